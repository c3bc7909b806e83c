//! Clocks that are wrong, and what they left in the Secret.

use super::*;

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
