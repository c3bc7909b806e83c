//! The harness of whole-program tests, the playground and the benchmarks: a real Kubernetes control plane, scripted API servers,
//! and colocate, which they call.
//!
//! Every function panics on failure and shows the request and the response, because a test can do nothing else with an error.
//! No function sleeps; tests wait for events.

#![allow(clippy::expect_used, clippy::missing_panics_doc, clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::missing_errors_doc, clippy::return_self_not_must_use, reason = "only tests use this")]

mod account;
mod api;
mod audit_log;
mod background;
mod balancer;
mod colocate;
mod control_plane;
mod folder;
mod helm;
mod installation;
mod kubectl;
mod kubelet;
mod launch;
mod lines;
mod load;
mod measured;
mod mount;
mod namespace;
mod object;
mod paging_api;
pub mod pair;
mod population;
pub mod process;
pub mod program;
pub mod programs;
mod prometheus;
mod release;
mod scripted_api;
mod storage;
mod stork;
mod webhook;

pub use self::account::{Account, COLOCATE, Rule};
pub use self::api::{Api, NoAnswer, Reply, Watch};
pub use self::audit_log::AuditLog;
pub use self::background::background;
pub use self::balancer::{Backend, Balancer, Counters};
pub use self::colocate::{Colocate, Decided};
pub use self::control_plane::ControlPlane;
pub use self::folder::{CLAIM, CLASS, DEPLOYMENT, Folder, Run, TWO_CLASSES};
pub use self::helm::Helm;
pub use self::installation::{Installation, SECRET, empty_secret, rights};
pub use self::kubectl::{Kubectl, Output};
pub use self::kubelet::{KUBELET_VALUES, Kubelet, Replica};
pub use self::launch::{Certificate, Launch, issue};
pub use self::lines::Lines;
pub use self::load::{Load, LoadError, Timings};
pub use self::measured::Measured;
pub use self::mount::{Files, Mount};
pub use self::namespace::Namespace;
pub use self::object::Object;
pub use self::paging_api::PagingApi;
pub use self::population::{CLASSES, NamedClass, NumberedClaim, Population, scramble};
pub use self::prometheus::{Prometheus, Series};
pub use self::release::{CHART, Release};
pub use self::scripted_api::ApiServer;
pub use self::storage::{OTHER_CLASS, PORTWORX_CLASS, volume};
pub use self::webhook::{Authority, Namespaces, VALIDATING_WEBHOOK, WEBHOOK, Webhook, bundles};

use std::path::{Path, PathBuf};
use std::time::Duration;

/// The timeout of every wait. An event usually takes seconds at most, but a busy machine may need longer.
pub const WAIT_TIMEOUT: Duration = Duration::from_mins(1);

/// A path in the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// The text of a file under `examples`, exactly as users see it.
pub fn example(name: &str) -> String {
    read(&format!("examples/{name}"))
}

/// The text of a file under `tests/fixtures`.
pub fn fixture(name: &str) -> String {
    read(&format!("tests/fixtures/{name}"))
}

fn read(path: &str) -> String {
    let path = repository(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
