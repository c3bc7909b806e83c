//! The termination log, which Kubernetes shows in the status of a container.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

/// Writes `line` to the file, if it exists. The kubelet creates it, and shows at most 4096 bytes.
pub(super) fn write(path: &Path, line: &str) {
    // Outside a container, the file does not exist and must not be created.
    if let Ok(mut file) = OpenOptions::new().write(true).truncate(true).open(path) {
        let _ = writeln!(file, "{line}");
    }
}
