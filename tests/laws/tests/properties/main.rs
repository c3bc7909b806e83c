//! The engine and the manifest editor, held to their laws on generated and published input.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod documents;
mod manifest;
mod patch;
mod pen;
mod published;
