//! What whole-program tests, the playground and `make bench-claims` stand on: a real Kubernetes control plane, a scripted API
//! server, and colocate in front of them.
//!
//! Everything here panics when it fails, with what was asked and what came back: a test has no better use for an error.
//! Nothing sleeps: whatever takes time is watched until it is there.

#![allow(dead_code, unused_imports, reason = "each of its users uses a part of it")]
#![allow(clippy::expect_used, reason = "it fails by panicking")]

mod account;
mod api;
mod audit_log;
mod background;
mod balancer;
mod colocate;
mod control_plane;
mod helm;
mod installation;
mod kubectl;
mod kubelet;
mod launch;
mod lines;
mod mount;
mod namespace;
mod object;
mod paging_api;
pub(crate) mod pair;
mod population;
mod programs;
mod release;
mod storage;
mod webhook;

pub(crate) use account::{Account, COLOCATE, Rule};
pub(crate) use api::{Api, NoAnswer, Reply, Watch};
pub(crate) use audit_log::AuditLog;
pub(crate) use background::background;
pub(crate) use balancer::{Backend, Balancer};
pub(crate) use colocate::{Colocate, Decided};
pub(crate) use control_plane::ControlPlane;
pub(crate) use helm::Helm;
pub(crate) use installation::{Installation, SECRET, empty_secret, rights};
pub(crate) use kubectl::Kubectl;
pub(crate) use kubelet::{KUBELET_VALUES, Kubelet, Replica};
pub(crate) use launch::{Certificate, Launch, issue};
pub(crate) use mount::{Files, Mount};
pub(crate) use namespace::Namespace;
pub(crate) use object::Object;
pub(crate) use paging_api::PagingApi;
pub(crate) use population::{CLASSES, NamedClass, NumberedClaim, Population, scramble};
pub(crate) use release::{CHART, Release};
pub(crate) use storage::{OTHER_CLASS, PORTWORX_CLASS, volume};
pub(crate) use webhook::{Authority, Namespaces, VALIDATING_WEBHOOK, WEBHOOK, Webhook, bundles};

use std::path::Path;
use std::time::Duration;

/// How long anything may take that must come. Everything comes within seconds; a busy machine may need longer.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// The text of a file under `examples`: what users are shown, word for word.
pub(crate) fn example(name: &str) -> String {
    read(&format!("examples/{name}"))
}

/// The text of a file under `tests/fixtures`.
pub(crate) fn fixture(name: &str) -> String {
    read(&format!("tests/fixtures/{name}"))
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
