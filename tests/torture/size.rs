//! The length of the scenarios: long with `COLOCATE_TORTURE=long`, otherwise short.

use std::env;
use std::time::Duration;

use colocate::trust::Lifetimes;
use jiff::SignedDuration;

/// The parameters that depend on the length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// `drain.grace`: the default in long runs. In short runs, it is just longer than the second that the balancer needs.
    pub(crate) grace: Duration,
    /// The number of times that both replicas are replaced. It is the same in short and in long runs.
    pub(crate) rollouts: usize,
    /// The number of rotations of the self-managed CA.
    pub(crate) rotations: usize,
    /// The lifetimes of the CA and its leaves. A new CA is generated after two thirds of the lifetime.
    pub(crate) lifetimes: Lifetimes,
    /// The number of rotations of the CA in files.
    pub(crate) file_rotations: usize,
    /// The number of times that a replica is killed.
    pub(crate) kills: usize,
    /// The number of times that each part of the control plane is stopped and started.
    pub(crate) outages: usize,
}

const SHORT: Size = Size {
    grace: Duration::from_secs(3),
    rollouts: 5,
    rotations: 3,
    // One rotation in 16 s. On a busy machine, a leaf may be renewed 2 s late.
    lifetimes: lifetimes(24_000, 6_000, 3_000),
    file_rotations: 2,
    kills: 2,
    outages: 1,
};

const LONG: Size = Size {
    grace: Duration::from_secs(15),
    rollouts: 5,
    rotations: 12,
    // One rotation in 10 s.
    lifetimes: lifetimes(15_000, 3_000, 1_800),
    file_rotations: 12,
    kills: 5,
    outages: 3,
};

const fn lifetimes(ca: i64, leaf: i64, settle: i64) -> Lifetimes {
    let millis = SignedDuration::from_millis;
    Lifetimes { ca: millis(ca), leaf: millis(leaf), settle: millis(settle) }
}

impl Size {
    /// Returns the length that the environment selects.
    pub(crate) fn from_env() -> Self {
        match env::var("COLOCATE_TORTURE").as_deref() {
            Ok("long") => LONG,
            Ok("short") | Err(_) => SHORT,
            Ok(other) => panic!("invalid COLOCATE_TORTURE={other}: use long or short"),
        }
    }
}
