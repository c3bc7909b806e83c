//! Single steps of the rotation, and single leaves.

use super::*;

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
