//! The laws of colocate: what holds for every review, manifest and annotation, whatever its bytes are.
//!
//! A law is one function that panics where it does not hold. Property tests, the corpus of bad input and the fuzz targets
//! share them.

#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a law panics where it does not hold"
)]

pub mod annotation;
pub mod edit;
pub mod manifest;
pub mod patch;
pub mod review;
