//! colocate
pub mod engine;
