//! The rotation, step by step and over two years, with replicas that act in any order on what they saw long ago.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const CONFIGURATIONS: [&str; 2] = ["mutating", "validating"];
const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn begin() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

/// A moment on both clocks.
#[derive(Clone, Copy)]
struct Clock {
    begun: Instant,
    seconds: i64,
}

impl Clock {
    fn now(self, skew: i64) -> Timestamp {
        begin() + SignedDuration::from_secs(self.seconds + skew)
    }

    fn at(self) -> Instant {
        self.begun + Duration::from_secs(self.seconds.try_into().unwrap())
    }
}

/// The Secret and the configurations, as the API server has them.
struct Cluster {
    clock: Clock,
    lifetimes: Lifetimes,
    secret: (u64, CaState),
    /// Each bundle that was live, and from when on. Both configurations have the same.
    live: Vec<(i64, Vec<Certificate>)>,
    switches: usize,
    /// The CAs that were current, in order.
    currents: Vec<Certificate>,
}

struct Replica {
    /// What its clock is ahead, in seconds.
    skew: i64,
    view: Option<View>,
    live: Propagation,
    leaf: Option<LeafInUse>,
    /// A patch that is on its way: the version of the configuration that it is for, and what it writes.
    patch: Option<(usize, Vec<Certificate>)>,
}

#[derive(Clone)]
struct View {
    version: u64,
    state: CaState,
    read: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Read,
    /// Takes the step that is due by what it read last.
    Step,
    Look,
    /// Looks at the configuration, then reads the Secret.
    BeginPatch,
    EndPatch,
    Leaf,
    /// Somebody starts the replica anew: it knows nothing any more.
    Restart,
}

const ACTS: [Act; 6] = [Act::Read, Act::Step, Act::Look, Act::BeginPatch, Act::EndPatch, Act::Leaf];

impl Cluster {
    /// With a CA that is known everywhere.
    fn new(lifetimes: Lifetimes) -> Self {
        let clock = Clock { begun: Instant::now(), seconds: 0 };
        let state = CaState::first(clock.now(0), &lifetimes).unwrap();
        let current = state.current.certificate().clone();
        let live = vec![(i64::MIN, vec![current.clone()])];
        Self { clock, lifetimes, secret: (1, state), live, switches: 0, currents: vec![current] }
    }

    fn carried(&self) -> &[Certificate] {
        &self.live.last().unwrap().1
    }

    fn act(&mut self, replica: &mut Replica, act: Act) {
        let now = self.clock.now(replica.skew);
        match act {
            Act::Read => {
                let (version, state) = self.secret.clone();
                replica.view = Some(View { version, state, read: now });
            }
            Act::Step => self.step(replica, now),
            Act::Look => self.look(replica),
            Act::BeginPatch => {
                let seen = self.live.len();
                let wanted: Vec<_> = self.secret.1.bundle().into_iter().cloned().collect();
                replica.patch = (wanted != self.carried()).then_some((seen, wanted));
            }
            Act::EndPatch => {
                if let Some((seen, wanted)) = replica.patch.take()
                    && seen == self.live.len()
                {
                    self.live.push((self.clock.seconds, wanted));
                }
            }
            Act::Leaf => {
                let Some(view) = &replica.view else { return };
                let in_use = replica.leaf.as_ref();
                let leaf = view.state.leaf(view.read, now, in_use, &replica.live, &self.lifetimes).unwrap();
                if let Some(validity) = leaf {
                    let authority = view.state.current.certificate().clone();
                    assert!(validity.not_after() <= authority.validity().not_after());
                    replica.leaf = Some(LeafInUse { authority, validity });
                }
            }
            Act::Restart => *replica = Replica::new(replica.skew),
        }
    }

    /// What a replica does when nothing is in its way.
    fn round(&mut self, replica: &mut Replica) {
        for act in [Act::Read, Act::Look, Act::BeginPatch, Act::EndPatch, Act::Step, Act::Leaf] {
            self.act(replica, act);
        }
    }

    fn look(&self, replica: &mut Replica) {
        let version = self.live.len().to_string();
        for name in CONFIGURATIONS {
            // The worst of looks: what lay between this one and the last was not seen.
            let look = BundleObservation { version: &version, carried: self.carried().to_vec(), unbroken: false };
            replica.live.saw(name, Some(look), self.clock.at());
        }
    }

    fn step(&mut self, replica: &mut Replica, now: Timestamp) {
        let Some(View { version, state, .. }) = replica.view.clone() else { return };
        let due = |replica: &Replica| state.step(now, self.clock.at(), &replica.live, &self.lifetimes);
        let Some(mut step) = due(replica) else { return };
        if step == RotationStep::Switch {
            // As the server does it: what was seen is looked at again just before.
            self.look(replica);
            match due(replica) {
                Some(again) => step = again,
                None => return,
            }
        }
        if version != self.secret.0 {
            return; // 409
        }
        let after = state.after(step, now, &self.lifetimes).unwrap();
        assert!(after.bundle().len() <= 3 && !(after.next.is_some() && after.old.is_some()));
        if step == RotationStep::Switch {
            self.switches += 1;
            self.currents.push(after.current.certificate().clone());
        } else {
            assert_eq!(after.current.certificate(), state.current.certificate());
        }
        self.secret = (version + 1, after);
    }

    /// Every leaf that is valid chains to a CA in every bundle that an API server may have now.
    fn check(&self, replicas: &[Replica]) {
        let since = self.clock.seconds - self.lifetimes.settle.as_secs();
        let first = self.live.iter().rposition(|(from, _)| *from <= since).unwrap();
        for leaf in replicas.iter().filter_map(|replica| replica.leaf.as_ref()) {
            if leaf.validity.not_after() < self.clock.now(0) {
                continue;
            }
            for (from, bundle) in &self.live[first..] {
                let number = self.currents.iter().position(|current| *current == leaf.authority);
                assert!(
                    bundle.contains(&leaf.authority),
                    "a leaf of CA {number:?} of {} is in use at {} s, and the bundle of {from} s does not have it",
                    self.currents.len(),
                    self.clock.seconds,
                );
            }
        }
    }
}

impl Replica {
    fn new(skew: i64) -> Self {
        let live = Propagation::new(CONFIGURATIONS.map(str::to_owned));
        Self { skew, view: None, live, leaf: None, patch: None }
    }

    fn leaf_is_valid(&self, clock: Clock) -> bool {
        self.leaf.as_ref().is_some_and(|leaf| leaf.validity.not_after() >= clock.now(0))
    }
}

#[test]
fn two_years_of_replicas_that_work() {
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
fn a_rotation_of_seconds_is_the_same() {
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
    fn no_leaf_is_without_its_ca_whatever_the_order(
        skews in proptest::array::uniform3(-15 * MINUTE..15 * MINUTE),
        acts in proptest::collection::vec(
            (0..3_usize, 0..100_u8, select(&ACTS[..]), 0..100_u8, 0..100_i64), 8000..9000
        ),
    ) {
        let mut cluster = Cluster::new(Lifetimes::default());
        let mut replicas = skews.map(Replica::new);
        for (who, restart, act, unit, time) in acts {
            let act = if restart == 0 { Act::Restart } else { act };
            cluster.act(&mut replicas[who], act);
            cluster.check(&replicas);
            // Bursts of about a hundred acts within a minute, with minutes, hours and days between them.
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
}

/// A replica alone, whose cluster carries whatever it wants at once.
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

    /// What the Secret holds after so many seconds: whether there is a next and an old one.
    fn after(&mut self, seconds: i64) -> (bool, bool) {
        self.cluster.clock.seconds += seconds;
        self.round();
        let state = &self.cluster.secret.1;
        (state.next.is_some(), state.old.is_some())
    }
}

#[test]
fn the_steps_come_when_they_are_due_and_not_before() {
    let mut alone = Alone::new();
    let two_thirds = 365 * DAY / 3 * 2;
    assert_eq!(alone.after(two_thirds - 1), (false, false));
    assert_eq!(alone.after(1), (true, false));
    // The bundle is written in the next round, and seen in the one after.
    assert_eq!(alone.after(1), (true, false));
    assert_eq!(alone.after(1), (true, false));
    assert_eq!(alone.after(59), (true, false));
    assert_eq!(alone.after(1), (false, true));
    assert_eq!(alone.after(7 * DAY + HOUR), (false, true));
    assert_eq!(alone.after(1), (false, false));
}

#[test]
fn who_slept_for_years_catches_up_one_step_at_a_time() {
    let mut alone = Alone::new();
    let first = alone.cluster.currents[0].clone();
    assert_eq!(alone.after(5 * 365 * DAY), (true, false));
    assert_eq!(alone.after(0), (false, true));
    // The first one has expired: no leaf of its can be valid.
    assert_eq!(alone.after(0), (false, false));
    assert_eq!(alone.after(0), (false, false));
    assert_ne!(alone.replica.leaf.as_ref().unwrap().authority, first);
    assert!(alone.replica.leaf_is_valid(alone.cluster.clock));
}

#[test]
fn a_next_ca_that_expired_before_its_time_came_is_made_anew() {
    let lifetimes = Lifetimes::default();
    let state = CaState::first(begin(), &lifetimes).unwrap();
    let state = state.after(RotationStep::Publish, begin(), &lifetimes).unwrap();
    let live = Propagation::new([]);
    let later = begin() + SignedDuration::from_secs(366 * DAY);
    assert_eq!(state.step(later, Instant::now(), &live, &lifetimes), Some(RotationStep::Publish));
    let renewed = state.after(RotationStep::Publish, later, &lifetimes).unwrap();
    assert_ne!(renewed.bundle()[1], state.bundle()[1]);
    assert_eq!(renewed.step(later, Instant::now(), &live, &lifetimes), Some(RotationStep::Switch));
}

#[test]
fn a_leaf_counts_from_the_reading_ends_with_its_ca_and_is_renewed_only_by_a_longer_one() {
    let lifetimes = Lifetimes::default();
    let state = CaState::first(begin(), &lifetimes).unwrap();
    let live = Propagation::new([]);
    let day = |days: i64| begin() + SignedDuration::from_secs(days * DAY);
    let current = state.current.certificate();
    let leaf = |read, now, in_use: Option<&LeafInUse>| state.leaf(read, now, in_use, &live, &lifetimes).unwrap();
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
fn a_ca_from_nowhere_signs_when_the_bundle_has_it_or_nothing_else_is_left() {
    let lifetimes = Lifetimes::default();
    let [first, second] = [0, 0].map(|_| CaState::first(begin(), &lifetimes).unwrap());
    let mut live = Propagation::new(["mutating".to_owned()]);
    let validity = first.leaf(begin(), begin(), None, &live, &lifetimes).unwrap().unwrap();
    let in_use = LeafInUse { authority: first.current.certificate().clone(), validity };
    let due = |now, live: &Propagation| second.leaf(now, now, Some(&in_use), live, &lifetimes).unwrap().is_some();
    assert!(!due(begin(), &live));
    assert!(due(begin() + SignedDuration::from_secs(8 * DAY), &live));
    let carried = vec![second.current.certificate().clone()];
    live.saw("mutating", Some(BundleObservation { version: "1", carried, unbroken: false }), Instant::now());
    assert!(due(begin(), &live));
}

#[test]
fn what_is_carried_counts_from_when_all_had_it_without_a_break() {
    let lifetimes = Lifetimes::default();
    let [one, other] = [0, 0].map(|_| CaState::first(begin(), &lifetimes).unwrap().current.certificate().clone());
    let begun = Instant::now();
    let at = |seconds| begun + Duration::from_secs(seconds);
    let mut live = Propagation::new(CONFIGURATIONS.map(str::to_owned));
    let look = |version, carried: &[&Certificate], unbroken| {
        Some(BundleObservation { version, carried: carried.iter().copied().cloned().collect(), unbroken })
    };
    let for_seconds =
        |live: &Propagation, now| live.carries_for(&one, at(now)).map(|time| u64::try_from(time.as_secs()).unwrap());
    assert_eq!(for_seconds(&live, 0), None);
    live.saw("mutating", look("1", &[&one], false), at(0));
    assert!(!live.carries(&one), "the other one was not looked at");
    live.saw("validating", None, at(5));
    assert_eq!(for_seconds(&live, 10), Some(10));
    live.saw("validating", look("2", &[&one, &other], false), at(10));
    assert_eq!(for_seconds(&live, 30), Some(20));
    live.saw("validating", look("2", &[&one, &other], false), at(20));
    live.saw("mutating", look("3", &[&one, &other], true), at(20));
    assert_eq!(for_seconds(&live, 30), Some(20));
    live.saw("validating", look("4", &[&one], false), at(25));
    assert_eq!(for_seconds(&live, 30), Some(5), "what lay between 2 and 4 was not seen");
    live.saw("mutating", look("5", &[&other], true), at(30));
    assert!(!live.carries(&one));
    live.saw("mutating", look("6", &[&one], true), at(40));
    assert_eq!(for_seconds(&live, 41), Some(1));
    assert!(live.exists());
    live.saw("mutating", None, at(50));
    live.saw("validating", None, at(50));
    assert_eq!(live.carries_for(&one, at(50)), Some(SignedDuration::MAX));
    assert!(!live.exists());
    live.saw("another", look("1", &[], false), at(50));
    assert!(live.carries(&one));
}
