//! Texts that are read as manifests.

#![no_main]

#[path = "../../tests/laws/manifest.rs"]
mod manifest;

libfuzzer_sys::fuzz_target!(|text: &[u8]| manifest::hold(text));
