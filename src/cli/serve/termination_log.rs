//! Where Kubernetes looks for the last words of a container.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

/// Writes why the process ends, where there is such a file. The kubelet makes it, and shows 4096 bytes of it in the pod's
/// status.
pub(super) fn write(path: &Path, line: &str) {
    // Outside of a container it is not there, and not to be made.
    if let Ok(mut file) = OpenOptions::new().write(true).truncate(true).open(path) {
        let _ = writeln!(file, "{line}");
    }
}
