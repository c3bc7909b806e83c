//! colocate in other tools: the examples of `docs/pipelines.md`, run by the real pre-commit, Helm and kustomize, and the
//! steps of GitHub workflows, run by bash as GitHub's runner does.
//!
//! These tests do not need a cluster.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod action;
mod builds;
mod commands;
mod helm;
mod kubectl;
mod kustomize;
mod page;
mod pre_commit;
mod project;
mod runner;
