//! How a caller can trust this server: its names, and certificates for them.

mod authority;
mod name;
#[cfg(test)]
pub(crate) mod testing;

pub use authority::{Authority, Error, Leaf, Validity};
pub use name::{InvalidName, Name};
