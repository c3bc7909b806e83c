//! colocate
pub mod cli;
pub mod engine;
pub mod probe;
pub mod tls;
