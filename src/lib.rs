//! colocate keeps stateful pods next to their data: an admission server that sets the scheduler of the storage driver that
//! owns a pod's claims.
//!
//! This page is the map of the house. The way of one request through it:
//!
//! ```text
//! bytes -> Review -> Object -> ClaimRefs -> Owners -> Decision -> Patch -> bytes
//!          parse     locate    what is      resolve   the rules   one op   answer
//!                              mounted      (the only step that may wait)
//! ```
//!
//! Everything but `resolve` is a pure function, and lives in [`engine`].
//!
//! | room | what it is for | may use |
//! |---|---|---|
//! | [`cli`] | a file a command: wiring and printing only | all of it |
//! | [`admin`] | probes and metrics, on a plain port | `server`'s connections, `readiness`, `metrics` |
//! | [`server`] | HTTP over TLS: listener, routes, one review from bytes to bytes | `claims`, `presence`, `companion`, `engine`, `duration`, `tls` (whose certificate may ask), and what a process needs |
//! | [`probe`] | the other end of the wire: sends one review, or as many as are answered | `engine`, `duration` |
//! | [`claims`] | the cluster's or the files', behind one question | `cluster`, `manifest`, `companion`, `engine`, `metrics` |
//! | [`cluster`] | claims, classes and volumes as a cluster has them: watched or asked for, with the wait for a claim on its way; whether its schedulers are there; trust, kept in a Secret and in the webhook configurations; and whether an API server asks colocate at all | `config`, `presence`, `companion`, `engine`, `storage`, `tls`, `readiness`, `tasks`, `metrics`, `duration` |
//! | [`manifest`] | files: documents with the place of every byte, the one edit, where a finding is, and what they say of claims | `companion`, `engine`, `storage` |
//! | `storage` | Kubernetes' storage objects, reduced to what ownership depends on | `engine` |
//! | [`config`] | the configuration file, and the only home of defaults | `presence`, `companion`, `engine`, `tls`, `duration` |
//! | [`presence`] | which drivers' schedulers are there, between who watches them and who asks | `engine` |
//! | [`tls`] | certificates: read from files or issued, rotated, and swapped while they are served | |
//! | [`readiness`], [`shutdown`], [`tasks`], [`metrics`], [`log`], [`duration`] | what a process needs beside | |
//! | [`companion`] | the other half of the product: which annotations Stork will not read as they were meant | `engine`, `storage`; no I/O, no clock, nothing asynchronous |
//! | [`engine`] | what the product exists for: decide about an object, and change it | nothing of ours (it is a package of its own); no I/O, no clock, nothing asynchronous |
//!

pub mod admin;
pub mod claims;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod duration;
pub mod log;
pub mod metrics;
pub mod presence;
pub mod probe;
pub mod readiness;
pub mod server;
pub mod shutdown;
pub mod tasks;
pub mod tls;

pub use colocate_companion as companion;
pub use colocate_engine as engine;
pub use colocate_manifest as manifest;
