//! The rotation, step by step and over two years, with replicas that act in any order on outdated observations, each with
//! its own clock.

mod clocks;
mod steps;

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use tokio::time::Instant;

use super::*;
use crate::process::clock::ServerDate;
use crate::trust::propagation::BundleObservation;

const CONFIGURATIONS: [&str; 2] = ["mutating", "validating"];
const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn begin() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

/// A moment by the API server's clock, which is right, and by the monotonic clock.
#[derive(Clone, Copy)]
struct TrueTime {
    started: Instant,
    seconds: i64,
}

impl TrueTime {
    fn now(self) -> Timestamp {
        begin() + SignedDuration::from_secs(self.seconds)
    }

    fn at(self) -> Instant {
        self.started + Duration::from_secs(self.seconds.try_into().unwrap())
    }
}

/// Returns clocks that agree.
fn clocks(now: Timestamp) -> ClockReading {
    ClockReading { local: now, server: Some(now), at: Instant::now() }
}

/// The Secret and the configurations of the API server.
struct Cluster {
    clock: TrueTime,
    lifetimes: Lifetimes,
    secret: (u64, CaState),
    /// Each bundle that was live, and since when. Both configurations have the same.
    live: Vec<(i64, Vec<Certificate>)>,
    switches: usize,
    /// The CAs that were current, in order.
    currents: Vec<Certificate>,
}

struct Replica {
    /// The number of seconds by which its clock is ahead.
    ahead: i64,
    /// The `Date` of the last response.
    server_date: Option<ServerDate>,
    secret: Option<SecretCopy>,
    propagation: Propagation,
    leaf: Option<LeafInUse>,
    /// A patch in flight: the version of the configuration that it is for, and its bundle.
    patch: Option<(usize, Vec<Certificate>)>,
}

#[derive(Clone)]
struct SecretCopy {
    version: u64,
    state: CaState,
    read: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    ReadSecret,
    /// Takes the step that is due according to the last read of the Secret.
    Rotate,
    ReadConfigurations,
    /// Reads the configuration, then the Secret.
    BeginPatch,
    EndPatch,
    Issue,
    /// Forgets everything.
    Restart,
}

const ACTIONS: [Action; 6] = [
    Action::ReadSecret,
    Action::Rotate,
    Action::ReadConfigurations,
    Action::BeginPatch,
    Action::EndPatch,
    Action::Issue,
];

impl Cluster {
    /// Creates a cluster with a CA that is known everywhere.
    fn new(lifetimes: Lifetimes) -> Self {
        Self::with(CaState::first(begin(), &lifetimes).unwrap(), lifetimes)
    }

    /// Creates a cluster whose Secret has this state, which is known everywhere.
    fn with(state: CaState, lifetimes: Lifetimes) -> Self {
        let clock = TrueTime { started: Instant::now(), seconds: 0 };
        let current = state.current.certificate().clone();
        let live = vec![(i64::MIN, bundle(&state))];
        Self { clock, lifetimes, secret: (1, state), live, switches: 0, currents: vec![current] }
    }

    fn carried(&self) -> &[Certificate] {
        &self.live.last().unwrap().1
    }

    /// Returns the clocks as this replica reads them.
    fn clocks(&self, replica: &Replica) -> ClockReading {
        let (local, at) = (self.clock.now() + SignedDuration::from_secs(replica.ahead), self.clock.at());
        ClockReading { local, server: replica.server_date.map(|server| server.time(at, local)), at }
    }

    /// Gives a replica the time in a response.
    fn respond(&self, replica: &mut Replica) {
        let (date, at) = (self.clock.now(), self.clock.at());
        replica.server_date = Some(ServerDate { date, sent: at, received: at });
    }

    fn act(&mut self, replica: &mut Replica, action: Action) {
        match action {
            Action::ReadSecret => {
                self.respond(replica);
                let (version, state) = self.secret.clone();
                replica.secret = Some(SecretCopy { version, state, read: self.clocks(replica).now() });
            }
            Action::Rotate => self.step(replica),
            Action::ReadConfigurations => self.observe(replica),
            Action::BeginPatch => {
                let version = self.live.len();
                let wanted = bundle(&self.secret.1);
                replica.patch = (wanted != self.carried()).then_some((version, wanted));
            }
            Action::EndPatch => {
                if let Some((version, wanted)) = replica.patch.take()
                    && version == self.live.len()
                {
                    self.live.push((self.clock.seconds, wanted));
                }
            }
            Action::Issue => {
                let Some(secret) = &replica.secret else { return };
                let in_use = replica.leaf.as_ref();
                let clocks = self.clocks(replica);
                let leaf =
                    secret.state.leaf(secret.read, &clocks, in_use, &replica.propagation, &self.lifetimes).unwrap();
                if let Some(validity) = leaf {
                    let authority = secret.state.current.certificate().clone();
                    assert!(validity.not_after() <= authority.validity().not_after());
                    replica.leaf = Some(LeafInUse { authority, validity });
                }
            }
            Action::Restart => *replica = Replica::new(replica.ahead),
        }
    }

    /// Runs one undisturbed round of a replica.
    fn round(&mut self, replica: &mut Replica) {
        for action in [
            Action::ReadSecret,
            Action::ReadConfigurations,
            Action::BeginPatch,
            Action::EndPatch,
            Action::Rotate,
            Action::Issue,
        ] {
            self.act(replica, action);
        }
    }

    fn observe(&self, replica: &mut Replica) {
        self.respond(replica);
        let version = self.live.len().to_string();
        for name in CONFIGURATIONS {
            // The worst case: changes since the last observation may have been missed.
            let observation =
                BundleObservation { version: &version, carried: self.carried().to_vec(), unbroken: false };
            replica.propagation.record(name, Some(observation), self.clock.at());
        }
    }

    fn step(&mut self, replica: &mut Replica) {
        let Some(SecretCopy { version, state, .. }) = replica.secret.clone() else { return };
        let due = |replica: &Replica| state.step(&self.clocks(replica), &replica.propagation, &self.lifetimes);
        let Some(mut step) = due(replica) else { return };
        if step == RotationStep::Switch {
            // Like the server, it reads the configurations again just before the switch.
            self.observe(replica);
            match due(replica) {
                Some(again) => step = again,
                None => return,
            }
        }
        if version != self.secret.0 {
            return; // 409
        }
        let after = state.after(step, self.clocks(replica).now(), &self.lifetimes).unwrap();
        assert!(after.bundle().len() <= 3 && !(after.next.is_some() && after.old.is_some()));
        if matches!(step, RotationStep::Switch | RotationStep::Replace) {
            self.switches += 1;
            self.currents.push(after.current.certificate().clone());
        } else {
            assert_eq!(after.current.certificate(), state.current.certificate());
        }
        self.secret = (version + 1, after);
    }

    /// Checks that API servers accept every leaf that has not expired, like Go: it is valid, and chains to a valid CA in every
    /// bundle that an API server may have now.
    fn check(&self, replicas: &[Replica]) {
        let now = self.clock.now();
        let since = self.clock.seconds - self.lifetimes.settle.as_secs();
        let first = self.live.iter().rposition(|(from, _)| *from <= since).unwrap();
        for leaf in replicas.iter().filter_map(|replica| replica.leaf.as_ref()) {
            if leaf.validity.not_after() < now {
                continue;
            }
            let number = self.currents.iter().position(|current| *current == leaf.authority);
            assert!(
                leaf.is_valid(now),
                "a leaf of CA {number:?} of {} is in use at {now}, and not valid: {leaf:?}",
                self.currents.len(),
            );
            for (from, bundle) in &self.live[first..] {
                assert!(
                    bundle.contains(&leaf.authority),
                    "a leaf of CA {number:?} of {} is in use at {} s, but the bundle of {from} s does not have that CA",
                    self.currents.len(),
                    self.clock.seconds,
                );
            }
        }
    }
}

impl Replica {
    /// Creates a replica whose clock is ahead by this number of seconds.
    fn new(ahead: i64) -> Self {
        let propagation = Propagation::new(CONFIGURATIONS);
        Self { ahead, server_date: None, secret: None, propagation, leaf: None, patch: None }
    }

    fn leaf_is_valid(&self, clock: TrueTime) -> bool {
        self.leaf.as_ref().is_some_and(|leaf| leaf.is_valid(clock.now()))
    }
}

/// Returns the certificates that every configuration must carry, in the order in which all replicas write them.
fn bundle(state: &CaState) -> Vec<Certificate> {
    let mut bundle: Vec<_> = state.bundle().into_iter().cloned().collect();
    bundle.sort_unstable_by(|one, other| one.der().cmp(other.der()));
    bundle
}

/// Generates the seconds by which a clock is ahead: zero, within the tolerance, or up to 500 days.
fn ahead() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0), -59 * MINUTE..=59 * MINUTE, -500 * DAY..500 * DAY]
}

#[test]
fn two_undisturbed_years_rotate_on_schedule() {
    let mut cluster = Cluster::new(Lifetimes::default());
    let mut replicas = [0, 300, -300].map(Replica::new);
    let mut minutes = 0;
    while cluster.clock.seconds < 2 * 365 * DAY {
        for replica in &mut replicas {
            cluster.round(replica);
        }
        assert!(replicas.iter().all(|replica| replica.leaf_is_valid(cluster.clock)));
        cluster.check(&replicas);
        minutes += 1;
        cluster.clock.seconds += if minutes % 50 == 0 { MINUTE } else { HOUR };
    }
    // A CA lives for a year and gives way when two thirds have passed: after 243, 487 and 730 days, less a few hours.
    assert_eq!(cluster.switches, 2);
    let last = cluster.currents.last().unwrap();
    assert!(replicas.iter().all(|replica| replica.leaf.as_ref().unwrap().authority == *last));
    assert!(cluster.secret.1.old.is_none() && cluster.carried() == [last.clone()]);
}

#[test]
fn lifetimes_of_a_few_seconds_work_too() {
    let seconds = SignedDuration::from_secs;
    let mut cluster = Cluster::new(Lifetimes { ca: seconds(16), leaf: seconds(4), settle: seconds(1) });
    let mut replicas = [0, 0].map(Replica::new);
    while cluster.clock.seconds < 120 {
        for replica in &mut replicas {
            cluster.round(replica);
        }
        assert!(replicas.iter().all(|replica| replica.leaf_is_valid(cluster.clock)));
        cluster.check(&replicas);
        cluster.clock.seconds += 1;
    }
    assert!((8..=10).contains(&cluster.switches), "{}", cluster.switches);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_bundle_has_the_ca_of_every_leaf_in_any_order_of_actions(
        actions in proptest::collection::vec(
            (0..3_usize, 0..100_u8, ahead(), select(&ACTIONS[..]), 0..100_u8, 0..100_i64), 8000..9000
        ),
    ) {
        let mut cluster = Cluster::new(Lifetimes::default());
        let mut replicas = [0, 0, 0].map(Replica::new);
        for (who, chance, ahead, action, unit, time) in actions {
            if chance < 10 {
                replicas[who].ahead = ahead;
            }
            let action = if chance == 99 { Action::Restart } else { action };
            cluster.act(&mut replicas[who], action);
            cluster.check(&replicas);
            // Bursts of about a hundred actions within a minute, with minutes, hours and days between them.
            let pause = match unit {
                0 => time * 4 * HOUR,
                1 => time * 10 * MINUTE,
                2 => time * 5,
                _ => time / 80,
            };
            if pause > 0 {
                cluster.clock.seconds += pause;
                cluster.check(&replicas);
            }
        }
        prop_assert!(cluster.clock.seconds < 365 * DAY || cluster.switches > 0);
    }

    #[test]
    fn every_leaf_is_accepted_at_every_moment_whatever_the_clocks_of_replicas_show(
        events in proptest::collection::vec((0..3_usize, ahead(), 1..12 * HOUR), 3000..3500),
        damage in proptest::option::of(-500 * DAY..500 * DAY),
    ) {
        let lifetimes = Lifetimes::default();
        let mut cluster = Cluster::new(lifetimes);
        // The Secret as a replica without these rules left it.
        if let Some(ahead) = damage {
            let wrong = begin() + SignedDuration::from_secs(ahead);
            let published = cluster.secret.1.after(RotationStep::Publish, wrong, &lifetimes).unwrap();
            cluster = Cluster::with(published.after(RotationStep::Switch, wrong, &lifetimes).unwrap(), lifetimes);
        }
        let mut replicas = [0, 0, 0].map(Replica::new);
        for replica in &mut replicas {
            cluster.round(replica);
        }
        cluster.clock.seconds += MINUTE;
        for (who, ahead, pause) in events {
            replicas[who].ahead = ahead;
            for replica in &mut replicas {
                cluster.round(replica);
            }
            for moment in [0, pause / 2, pause - pause / 2] {
                cluster.clock.seconds += moment;
                prop_assert!(replicas.iter().all(|replica| replica.leaf_is_valid(cluster.clock)));
                cluster.check(&replicas);
            }
        }
        prop_assert!(cluster.switches > 1);
    }
}

/// A single replica in a cluster of its own.
struct Alone {
    cluster: Cluster,
    replica: Replica,
}

impl Alone {
    fn new() -> Self {
        let mut alone = Self { cluster: Cluster::new(Lifetimes::default()), replica: Replica::new(0) };
        alone.round();
        alone
    }

    fn round(&mut self) {
        self.cluster.round(&mut self.replica);
    }

    /// Lets time pass, and returns whether the Secret then has a next and an old CA.
    fn after(&mut self, seconds: i64) -> (bool, bool) {
        self.cluster.clock.seconds += seconds;
        self.round();
        let state = &self.cluster.secret.1;
        (state.next.is_some(), state.old.is_some())
    }
}
