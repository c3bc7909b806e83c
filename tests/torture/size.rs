//! How long a scenario is: long by `COLOCATE_TORTURE=long`, else short.

use std::env;
use std::time::Duration;

/// What differs between the two.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// `drain.grace`: the default, or as short as is longer than the second that the balancer takes.
    pub(crate) grace: Duration,
    /// How often both replicas are replaced: as often in both.
    pub(crate) rollouts: usize,
    /// How often the self-managed CA is rotated, every 10 s.
    pub(crate) rotations: usize,
    /// How often the CA of the files is.
    pub(crate) file_rotations: usize,
    /// How often a replica is killed.
    pub(crate) kills: usize,
    /// How often a part of the control plane goes and comes.
    pub(crate) outages: usize,
}

const SHORT: Size =
    Size { grace: Duration::from_secs(3), rollouts: 5, rotations: 3, file_rotations: 2, kills: 2, outages: 1 };

const LONG: Size =
    Size { grace: Duration::from_secs(15), rollouts: 5, rotations: 12, file_rotations: 12, kills: 5, outages: 3 };

impl Size {
    /// As long as is wished.
    pub(crate) fn wished() -> Self {
        match env::var("COLOCATE_TORTURE").as_deref() {
            Ok("long") => LONG,
            Ok("short") | Err(_) => SHORT,
            Ok(other) => panic!("COLOCATE_TORTURE is {other}; write long or short"),
        }
    }
}
