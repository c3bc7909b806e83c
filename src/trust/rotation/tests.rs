//! The rotation, step by step and over two years, with replicas that act in any order on outdated observations, each with
//! its own clock.

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

#[test]
fn steps_are_taken_when_they_are_due() {
    let mut alone = Alone::new();
    let two_thirds = 365 * DAY / 3 * 2;
    assert_eq!(alone.after(two_thirds - 1), (false, false));
    assert_eq!(alone.after(1), (true, false));
    // The bundle is written in the next round, and observed in the one after.
    assert_eq!(alone.after(1), (true, false));
    assert_eq!(alone.after(1), (true, false));
    assert_eq!(alone.after(59), (true, false));
    assert_eq!(alone.after(1), (false, true));
    assert_eq!(alone.after(7 * DAY + HOUR), (false, true));
    assert_eq!(alone.after(1), (false, false));
}

#[test]
fn a_replica_that_slept_for_years_replaces_the_ca_at_once() {
    let mut alone = Alone::new();
    let first = alone.cluster.currents[0].clone();
    // The first CA has expired, so none of its leaves is valid.
    assert_eq!(alone.after(5 * 365 * DAY), (false, false));
    assert_eq!(alone.after(0), (false, false));
    assert_ne!(alone.replica.leaf.as_ref().unwrap().authority, first);
    assert!(alone.replica.leaf_is_valid(alone.cluster.clock));
}

#[test]
fn a_ca_and_its_successor_that_have_expired_are_replaced() {
    let lifetimes = Lifetimes::default();
    let state = CaState::first(begin(), &lifetimes).unwrap();
    let state = state.after(RotationStep::Publish, begin(), &lifetimes).unwrap();
    let propagation = Propagation::new(CONFIGURATIONS);
    let later = begin() + SignedDuration::from_secs(366 * DAY);
    assert_eq!(state.step(&clocks(later), &propagation, &lifetimes), Some(RotationStep::Replace));
    let replaced = state.after(RotationStep::Replace, later, &lifetimes).unwrap();
    assert!(replaced.bundle().len() == 1 && !state.bundle().contains(&replaced.bundle()[0]));
    assert_eq!(replaced.step(&clocks(later), &propagation, &lifetimes), None);
    // One that is valid takes the place, settled or not.
    let published = state.after(RotationStep::Publish, later, &lifetimes).unwrap();
    let replaced = published.after(RotationStep::Replace, later, &lifetimes).unwrap();
    assert_eq!(replaced.bundle(), [published.bundle()[1]]);
}

#[test]
fn a_leafs_life_starts_at_the_read_and_never_outlives_its_ca() {
    let lifetimes = Lifetimes::default();
    let state = CaState::first(begin(), &lifetimes).unwrap();
    let propagation = Propagation::new([]);
    let day = |days: i64| begin() + SignedDuration::from_secs(days * DAY);
    let current = state.current.certificate();
    let leaf = |read, now, in_use: Option<&LeafInUse>| {
        state.leaf(read, &clocks(now), in_use, &propagation, &lifetimes).unwrap()
    };
    let issued = leaf(day(0), day(3), None).unwrap();
    assert_eq!(issued.not_after(), day(7));
    let in_use = |validity| LeafInUse { authority: current.clone(), validity };
    // Two thirds are 4 days and 16 hours.
    assert_eq!(leaf(day(4), day(4), Some(&in_use(issued))), None);
    assert_eq!(leaf(day(0), day(5), Some(&in_use(issued))), None);
    assert_eq!(leaf(day(5), day(5), Some(&in_use(issued))).unwrap().not_after(), day(12));
    assert_eq!(leaf(day(0), day(8), None), None);
    let last = leaf(day(360), day(360), None).unwrap();
    assert_eq!(last.not_after(), current.validity().not_after());
    assert_eq!(leaf(day(364), day(364), Some(&in_use(last))), None);
}

#[test]
fn an_unrotated_ca_signs_if_carried_or_if_the_leaf_has_expired() {
    let lifetimes = Lifetimes::default();
    let [first, second] = [0, 0].map(|_| CaState::first(begin(), &lifetimes).unwrap());
    let mut propagation = Propagation::new(["mutating"]);
    let validity = first.leaf(begin(), &clocks(begin()), None, &propagation, &lifetimes).unwrap().unwrap();
    let in_use = LeafInUse { authority: first.current.certificate().clone(), validity };
    let due = |now, propagation: &Propagation| {
        second.leaf(now, &clocks(now), Some(&in_use), propagation, &lifetimes).unwrap().is_some()
    };
    assert!(!due(begin(), &propagation));
    assert!(due(begin() + SignedDuration::from_secs(8 * DAY), &propagation));
    let carried = vec![second.current.certificate().clone()];
    propagation.record("mutating", Some(BundleObservation { version: "1", carried, unbroken: false }), Instant::now());
    assert!(due(begin(), &propagation));
}

/// Returns the states that a replica without these rules makes of this one when its clock jumps to `wrong`.
fn damaged(state: &CaState, wrong: Timestamp) -> [CaState; 3] {
    let lifetimes = Lifetimes::default();
    let published = state.after(RotationStep::Publish, wrong, &lifetimes).unwrap();
    let switched = published.after(RotationStep::Switch, wrong, &lifetimes).unwrap();
    let retired = switched.after(RotationStep::Retire, wrong, &lifetimes).unwrap();
    [published, switched, retired]
}

#[test]
fn a_replica_whose_clock_disagrees_takes_no_step() {
    let lifetimes = Lifetimes::default();
    let propagation = Propagation::new([]);
    let state = CaState::first(begin(), &lifetimes).unwrap();
    let day = |days: i64| begin() + SignedDuration::from_secs(days * DAY);
    let [published, switched, _] = damaged(&state, day(0));
    for (state, now, step) in [
        (&state, day(300), RotationStep::Publish),
        (&published, day(300), RotationStep::Switch),
        (&switched, day(300), RotationStep::Retire),
        (&state, day(400), RotationStep::Replace),
    ] {
        let step_of = |local, server| {
            let clocks = ClockReading { local, server, at: Instant::now() };
            state.step(&clocks, &propagation, &lifetimes)
        };
        assert_eq!(step_of(now, Some(now)), Some(step));
        for ahead in [-500 * DAY, -8 * HOUR, -HOUR, HOUR, 8 * HOUR, 260 * DAY, 400 * DAY] {
            let local = now + SignedDuration::from_secs(ahead);
            let expected = Some(step).filter(|_| ahead.abs() <= HOUR);
            assert_eq!(step_of(local, Some(now)), expected, "{ahead} s");
        }
        assert_eq!(step_of(now, None), None, "the API server's time is not known");
    }
}

#[test]
fn a_ca_of_the_future_signs_nothing_and_is_replaced_at_once() {
    let lifetimes = Lifetimes::default();
    let propagation = Propagation::new(CONFIGURATIONS);
    let state = CaState::first(begin(), &lifetimes).unwrap();
    for ahead in [2 * HOUR, 260 * DAY, 400 * DAY] {
        let [published, switched, retired] = damaged(&state, begin() + SignedDuration::from_secs(ahead));
        for damaged in [&switched, &retired] {
            let leaf = damaged.leaf(begin(), &clocks(begin()), None, &propagation, &lifetimes).unwrap();
            assert_eq!(leaf, None);
            assert_eq!(damaged.step(&clocks(begin()), &propagation, &lifetimes), Some(RotationStep::Replace));
            let healed = damaged.after(RotationStep::Replace, begin(), &lifetimes).unwrap();
            assert!(healed.current.certificate().validity().contains(begin()));
            assert!(!healed.bundle().contains(&damaged.current.certificate()));
            assert_eq!(healed.old, damaged.old, "leaves of the old CA stay trusted");
            let leaf = healed.leaf(begin(), &clocks(begin()), None, &propagation, &lifetimes).unwrap();
            assert!(leaf.unwrap().contains(begin()));
        }
        assert_eq!(published.step(&clocks(begin()), &propagation, &lifetimes), Some(RotationStep::Publish));
        let healed = published.after(RotationStep::Publish, begin(), &lifetimes).unwrap();
        assert!(healed.bundle().iter().all(|certificate| certificate.validity().contains(begin())));
    }
}

#[test]
fn a_good_leaf_stays_until_the_ca_that_replaced_another_has_settled() {
    let lifetimes = Lifetimes::default();
    let state = CaState::first(begin(), &lifetimes).unwrap();
    let mut propagation = Propagation::new(["mutating"]);
    let validity = state.leaf(begin(), &clocks(begin()), None, &propagation, &lifetimes).unwrap().unwrap();
    let in_use = LeafInUse { authority: state.current.certificate().clone(), validity };
    let [_, switched, _] = damaged(&state, begin() + SignedDuration::from_secs(400 * DAY));
    let healed = switched.after(RotationStep::Replace, begin(), &lifetimes).unwrap();
    let start = Instant::now();
    let observation = BundleObservation { version: "1", carried: bundle(&healed), unbroken: false };
    propagation.record("mutating", Some(observation), start);
    for (seconds, due) in [(0, false), (59, false), (60, true)] {
        let now = begin() + SignedDuration::from_secs(seconds);
        let at = start + Duration::from_secs(seconds.unsigned_abs());
        let clocks = ClockReading { local: now, server: Some(now), at };
        let leaf = healed.leaf(now, &clocks, Some(&in_use), &propagation, &lifetimes).unwrap();
        assert_eq!(leaf.is_some(), due, "after {seconds} s");
    }
}

#[test]
fn a_leaf_of_the_future_is_renewed_at_once() {
    let lifetimes = Lifetimes::default();
    let state = CaState::first(begin(), &lifetimes).unwrap();
    let propagation = Propagation::new([]);
    let wrong = begin() + SignedDuration::from_hours(8);
    let validity = state.leaf(wrong, &clocks(wrong), None, &propagation, &lifetimes).unwrap().unwrap();
    let in_use = LeafInUse { authority: state.current.certificate().clone(), validity };
    let leaf = |now| state.leaf(now, &clocks(now), Some(&in_use), &propagation, &lifetimes).unwrap();
    assert!(leaf(begin()).unwrap().contains(begin()));
    assert_eq!(leaf(validity.not_before()), None);
}

#[test]
fn an_old_ca_that_is_to_stay_for_too_long_gets_a_shorter_time() {
    let mut alone = Alone::new();
    let lifetimes = alone.cluster.lifetimes;
    let [published, switched, _] = damaged(&alone.cluster.secret.1, begin());
    assert_eq!(published.after(RotationStep::Shorten, begin(), &lifetimes).unwrap().bundle(), published.bundle());
    let until = switched.old.clone().unwrap().until;
    let with = |until| CaState { old: switched.old.clone().map(|old| OldCa { until, ..old }), ..switched.clone() };
    let hour = SignedDuration::from_hours(1);
    for (until, step) in [
        (until, None),
        (until + hour - SignedDuration::from_secs(1), None),
        (until + hour, Some(RotationStep::Shorten)),
    ] {
        let propagation = Propagation::new(CONFIGURATIONS);
        assert_eq!(with(until).step(&clocks(begin()), &propagation, &lifetimes), step, "{until}");
    }
    alone.cluster = Cluster::with(with("9999-01-01T00:00:00Z".parse().unwrap()), lifetimes);
    assert_eq!(alone.after(0), (false, true));
    assert_eq!(alone.cluster.secret.1.old.as_ref().unwrap().until, until);
    assert_eq!(alone.after(7 * DAY + HOUR), (false, true));
    assert_eq!(alone.after(1), (false, false));
}
