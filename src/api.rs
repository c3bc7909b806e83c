//! The Kubernetes API, and the only module that uses `kube`. It has one way to create a client, one function that sends
//! every request, and one watch loop.

mod client;
mod client_file;
mod dry_run;
mod request;
mod watch;

pub use client::{ApiClient, ClusterChoice, NotConfigured};
pub use client_file::ClientFileError;
pub use dry_run::{DryRun, DryRunError, DryRunOutcome, DryRunVolume};
pub use request::ApiError;
pub(crate) use request::{Cause as ApiCause, FIELD_MANAGER, Resource};
pub(crate) use watch::{ListMeta, Watch, WatchEvent, follow};

#[cfg(test)]
pub(crate) use watch::tests::requests_in_30_s;
