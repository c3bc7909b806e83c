//! A file a command.

pub mod certs;
