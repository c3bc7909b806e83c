//! colocate keeps stateful pods next to their data: an admission server that sets the scheduler of the storage driver that
//! owns a pod's claims.
//!
//! This page is the map of the house. The way of one request through it:
//!
//! ```text
//! bytes -> Review -> Pending -> Owners -> Decision -> AdmissionResponse -> bytes
//!          parse     examine    owners    decide      one patch operation
//!                               (the only step that may wait)
//! ```
//!
//! Everything but `owners` is a pure function and lives in [`engine`]. [`claims::ClaimSource`] finds the owners.
//!
//! | room | what it is for | uses |
//! |---|---|---|
//! | [`cli`] | the commands, a file each: wiring and printing only | all rooms |
//! | [`config`] | the configuration file, and the defaults of its keys | `claims`, `schedulers`, `trust`, `tls`, `duration` |
//! | [`server`] | HTTP over TLS: listener, connections, routes, one review from bytes to bytes; probes and metrics | `claims`, `schedulers`, `tls`, `process`, `duration` |
//! | [`claims`] | claims of a cluster or of files: cache, watches, the wait for a claim that does not exist yet, snapshot | `api`, `process` |
//! | [`schedulers`] | whether the drivers' schedulers are alive, by their Leases | `api`, `process`, `duration` |
//! | [`trust`] | the CA in its Secret, its rotation, and its certificate in the live webhook configurations | `api`, `tls`, `process` |
//! | [`api`] | the API server: the only room that names `kube` | |
//! | [`tls`] | certificates: issued or read from files, renewed and replaced while they are served; who may call | |
//! | [`probe`] | a client that calls an admission webhook the way the API server does | |
//! | [`process`] | metrics, readiness, shutdown, background tasks, log: handed on as one value | |
//! | [`duration`] | durations in Go's syntax | |
//!
//! Every room may use the crates. They are pure (no clock, nothing asynchronous, no network), except that `manifest` reads files.
//!
//! | crate | what it is for | uses |
//! |---|---|---|
//! | [`manifest`] | files: documents with the place of every byte, the one edit, the places of findings, claims in files | `companion`, `engine` |
//! | [`companion`] | finds annotations that Stork ignores or misreads | `engine` |
//! | [`engine`] | decides about an object, and patches it | |

pub mod api;
pub mod claims;
pub mod cli;
pub mod config;
pub mod duration;
pub mod probe;
pub mod process;
pub mod schedulers;
pub mod server;
pub mod tls;
pub mod trust;

pub use colocate_companion as companion;
pub use colocate_engine as engine;
pub use colocate_manifest as manifest;
