//! The laws of colocate: invariants that hold for every review, manifest and annotation, for any bytes.
//!
//! Each law is a function that panics if the invariant does not hold. Property tests, the corpus of bad input and the fuzz
//! targets share the laws.

#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a law panics if it does not hold"
)]

pub mod annotation;
pub mod edit;
pub mod manifest;
pub mod patch;
pub mod review;
