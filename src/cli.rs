//! A file a command.

pub mod certs;
pub mod probe;
