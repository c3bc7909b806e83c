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
//! | [`engine`] | what the product exists for: decide about an object, and change it | nothing of ours; no I/O, no clock, nothing asynchronous |
//! | [`config`], [`duration`] | the configuration file, and the only home of defaults | `engine` |
//! | [`cluster`] | claims, classes and volumes as a cluster has them, and the wait for a claim on its way | `engine` |
//! | [`manifest`] | the same, from files | `engine` |
//! | [`claims`] | the one or the other, behind one question | `cluster`, `manifest` |
//! | [`server`] | HTTP over TLS: listener, routes, one review from bytes to bytes | `claims`, `engine` |
//! | [`admin`] | probes and metrics, on a plain port | `server`'s connections |
//! | [`tls`] | certificates: read from files, or issued | |
//! | [`probe`] | the other end of the wire: sends one review, or as many as are answered | |
//! | [`readiness`], [`shutdown`], [`metrics`], [`log`] | what a process needs beside | |
//! | [`cli`] | a file a command: wiring and printing only | all of it |
//!
//! Arrows point down this table's order of dependence only: `cli` knows everything, and `engine` knows nothing of ours. A
//! test holds `engine` free of kube, hyper and tokio.

pub mod admin;
pub mod claims;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod duration;
pub mod engine;
pub mod log;
pub mod manifest;
pub mod metrics;
pub mod probe;
pub mod readiness;
pub mod server;
pub mod shutdown;
mod storage;
pub mod tls;
