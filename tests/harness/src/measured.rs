//! The time and memory of a command that prints a long document.

use std::fs;
use std::io::Read as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Folder, program};

/// The kernel counts CPU time in ticks of this many milliseconds.
const TICK: u64 = 10;

/// A command that succeeded.
pub struct Measured {
    /// The time until it began to write its document.
    pub took: Duration,
    /// Its CPU time until then.
    pub cpu: Duration,
    /// Its largest resident memory until then, in bytes.
    pub peak: u64,
    /// Its document, which must be larger than a pipe.
    pub document: Value,
}

impl Measured {
    /// Runs `colocate` with these space-separated arguments and the file `kubeconfig` of the folder.
    pub fn run(folder: &Folder, arguments: &str) -> Self {
        let began = Instant::now();
        let mut child = program::command()
            .args(arguments.split(' '))
            .arg("--kubeconfig")
            .arg(folder.path("kubeconfig"))
            .current_dir(folder.root())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = child.stdout.take().unwrap();
        // The document is larger than a pipe, so the process waits until it is read.
        let mut text = vec![0];
        out.read_exact(&mut text).unwrap();
        let took = began.elapsed();
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let peak =
            status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB")?.trim().parse::<u64>().ok());
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        // The fields after the name, which is in parentheses: user and system time are the 12th and 13th.
        let times = stat.rsplit(')').next().unwrap().split_whitespace().skip(11).take(2);
        let cpu = Duration::from_millis(times.map(|ticks| ticks.parse::<u64>().unwrap() * TICK).sum());
        out.read_to_end(&mut text).unwrap();
        assert!(child.wait().unwrap().success());
        let document = serde_json::from_slice(&text).unwrap();
        Self { took, cpu, peak: peak.expect("the process waits") * 1024, document }
    }
}
