//! The termination log, which Kubernetes shows in the status of a container.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

/// Writes `line` to the file, if it exists. The kubelet creates it, and shows at most 4096 bytes.
pub(super) fn write(path: &Path, line: &str) {
    // A pipe that no one reads must not keep the process from ending.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    // Outside a container, the file does not exist and must not be created.
    if let Ok(mut file) = OpenOptions::new().write(true).truncate(true).custom_flags(flags).open(path) {
        let _ = writeln!(file, "{line}");
    }
}
