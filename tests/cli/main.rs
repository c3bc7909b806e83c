//! Commands of colocate as processes, on files and on scripted clusters.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod audit;
mod destination;
mod environments;
mod input;
mod kustomize;
mod locality;
mod memory;
mod mutate;
mod place;
mod validate;
mod why;
