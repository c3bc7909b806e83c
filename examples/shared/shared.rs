//! What the programs behind `make bench` and `make bench-claims` share: a server to measure, and tables to print.

#![allow(dead_code, unused_imports, reason = "each program uses its part of it")]

pub(crate) mod machine;
mod server;
mod table;

pub(crate) use server::Server;
pub(crate) use table::{Table, Verdict, megabytes, thousands};
