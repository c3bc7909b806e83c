//! Checks the laws of the engine and of the manifest editor on generated and published input.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod documents;
mod manifest;
mod patch;
mod published;
mod writer;
