//! Fuzzes the text of a manifest.

#![no_main]

use colocate_laws::manifest;

libfuzzer_sys::fuzz_target!(|text: &[u8]| manifest::hold(text));
