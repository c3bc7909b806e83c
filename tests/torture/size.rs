//! How long a scenario is: long by `COLOCATE_TORTURE=long`, else short.

use std::env;
use std::time::Duration;

use colocate::trust::Lifetimes;
use jiff::SignedDuration;

/// What differs between the two.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// `drain.grace`: the default, or as short as is longer than the second that the balancer takes.
    pub(crate) grace: Duration,
    /// How often both replicas are replaced: as often in both.
    pub(crate) rollouts: usize,
    /// How often the self-managed CA is rotated.
    pub(crate) rotations: usize,
    /// How long it and its leaves live: the next CA is made when two thirds of the life of one have passed.
    pub(crate) lifetimes: Lifetimes,
    /// How often the CA of the files is.
    pub(crate) file_rotations: usize,
    /// How often a replica is killed.
    pub(crate) kills: usize,
    /// How often a part of the control plane goes and comes.
    pub(crate) outages: usize,
}

const SHORT: Size = Size {
    grace: Duration::from_secs(3),
    rollouts: 5,
    rotations: 3,
    // One rotation in 16 s: on a machine that does other things too, a leaf may be renewed 2 s late.
    lifetimes: lifetimes(24_000, 6_000, 3_000),
    file_rotations: 2,
    kills: 2,
    outages: 1,
};

const LONG: Size = Size {
    grace: Duration::from_secs(15),
    rollouts: 5,
    rotations: 12,
    // One in 10 s.
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
    /// As long as is wished.
    pub(crate) fn wished() -> Self {
        match env::var("COLOCATE_TORTURE").as_deref() {
            Ok("long") => LONG,
            Ok("short") | Err(_) => SHORT,
            Ok(other) => panic!("COLOCATE_TORTURE is {other}; write long or short"),
        }
    }
}
