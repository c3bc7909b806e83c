//! Reads of a live cluster for people: what they may read, lists in pages, and the facts on which expectations are based.
//!
//! A person may lack any right. What cannot be read is a [`NotSeen`], which says what it hides, and never an error.

mod access;
mod cluster;
pub(crate) mod kinds;
mod pages;

pub(crate) use access::{Access, Found, NotSeen};
pub(crate) use cluster::{Cluster, Labels};
