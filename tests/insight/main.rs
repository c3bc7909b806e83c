//! Compares live objects with the decisions of the engine, and explains differences, on a real control plane.
//!
//! The tests share one control plane, with a namespace per test.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod audit;
mod audit_log;
mod conditions;
#[path = "../installation/dry_run.rs"]
#[expect(dead_code, reason = "the installation tests use all of it")]
mod dry_run;
mod files;
#[path = "../installation/conditions/kind.rs"]
#[expect(dead_code, reason = "the installation tests use all of it")]
mod kind;
mod outage;
mod plan;
mod release;
mod repair;
#[path = "../installation/conditions/shape.rs"]
mod shape;
mod why;
