//! Fuzzes the value of `metadata.annotations`.

#![no_main]

#[path = "../json.rs"]
mod json;

use colocate_laws::annotation;

const KEYS: [&str; 5] = [
    "",
    "example.test/a",
    "kubernetes.io/config.mirror",
    "stork.libopenstorage.org/disable-admission-controller",
    "stork.libopenstorage.org/disableHyperconvergence",
];

libfuzzer_sys::fuzz_target!(|annotations: &[u8]| annotation::hold(annotations));

libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    json::mutate(data, size, max_size, seed, &KEYS)
});
