//! colocate keeps stateful pods next to their data: an admission server that sets a pod's scheduler to that of the storage
//! driver that owns its claims.
//!
//! This page is the map of the crate. The path of one request:
//!
//! ```text
//! bytes -> Review -> Pending -> Owners -> Decision -> AdmissionResponse -> bytes
//!          parse     examine    owners    decide      one patch operation
//!                               (the only step that may wait)
//! ```
//!
//! Every step except `owners` is a pure function in [`engine`]. [`claims::ClaimSource`] finds the owners.
//!
//! | module | purpose | uses |
//! |---|---|---|
//! | [`cli`] | the commands, one file each: only wiring and output | `config`, `server`, `claims`, `schedulers`, `events`, `trust`, `inspect`, `api`, `tls`, `probe`, `process`, `file`, `duration` |
//! | [`config`] | the configuration file, and the defaults of its keys | `claims`, `schedulers`, `trust`, `tls`, `file`, `duration` |
//! | [`server`] | HTTP over TLS: listener, connections, routes, one review from bytes to bytes; probes and metrics | `claims`, `schedulers`, `events`, `tls`, `process`, `duration` |
//! | [`claims`] | claims of a cluster or of files: cache, watches, the wait for a claim that does not exist yet, snapshot | `api`, `process` |
//! | [`schedulers`] | whether the drivers' schedulers are alive, by their Leases | `api`, `process`, `duration` |
//! | [`events`] | Kubernetes Events on the controllers of pods: deduplication, limits, requests | `api`, `process` |
//! | [`trust`] | the CA in its Secret, its rotation, and its certificate in the live webhook configurations | `api`, `tls`, `file`, `process` |
//! | [`api`] | the API server client: the only module that uses `kube` | `file`, `process` |
//! | [`inspect`] | reads of a live cluster for users: permissions, lists in pages, the facts; the answer to why an object has its scheduler | `config`, `schedulers`, `api` |
//! | [`tls`] | certificates: issued or read from files, and replaced while in use; verification of client certificates | `file`, `process` |
//! | [`probe`] | a client that calls an admission webhook the way the API server does | |
//! | [`process`] | metrics, readiness, shutdown, background tasks, the clock and logging, passed on as one value | |
//! | [`file`](mod@file) | reads of files, limited in size and time | |
//! | [`duration`] | durations in Go's syntax | |
//!
//! Every module may use the crates. They are pure (no clock, no async, no network), except that `manifest` reads files.
//!
//! | crate | purpose | uses |
//! |---|---|---|
//! | [`manifest`] | manifest files: documents with byte positions, the one edit, the positions of findings, claims in files | `companion`, `engine` |
//! | [`companion`] | finds annotations that Stork ignores or misreads | `engine` |
//! | [`locality`] | whether pods run where their volumes have replicas, and why not | `companion`, `engine`, `insight` |
//! | [`insight`] | what live objects should look like, and why they do not | `engine` |
//! | [`engine`] | decides about an object and builds the patch | |

pub mod api;
pub mod claims;
pub mod cli;
pub mod config;
pub mod duration;
pub mod events;
pub mod file;
pub mod inspect;
pub mod probe;
pub mod process;
pub mod schedulers;
pub mod server;
pub mod tls;
pub mod trust;

pub use colocate_companion as companion;
pub use colocate_engine as engine;
pub use colocate_insight as insight;
pub use colocate_locality as locality;
pub use colocate_manifest as manifest;
