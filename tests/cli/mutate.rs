//! `colocate mutate` as a process, on files.

mod cluster;
mod decisions;
mod files;
mod output;

/// The inserted line, and the line after it.
const INSERTED: &str = "      schedulerName: stork\n      containers:\n";

pub(super) fn mutated(text: &str) -> String {
    text.replacen("      containers:\n", INSERTED, 1)
}
