//! `colocate mutate` as a process, on files.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed, as it should")]

mod cluster;
mod decisions;
mod files;
#[path = "../harness/folder.rs"]
mod folder;
mod output;
#[path = "../harness/scripted_api.rs"]
mod scripted_api;

const COMMAND: &str = "mutate";

/// The line that is inserted, and the one that it stands before.
const INSERTED: &str = "      schedulerName: stork\n      containers:\n";

fn mutated(text: &str) -> String {
    text.replacen("      containers:\n", INSERTED, 1)
}
