//! Decisions by the presence of a driver's scheduler.

use super::*;

pub(super) fn all() -> Vec<Row> {
    [present(), away_and_injected(), away_and_skipped(), independent_of_presence()].into_iter().flatten().collect()
}

/// A scheduler that does not have a Lease.
pub(super) fn absent() -> Presence {
    Presence::Away([LostLease::Absent("stork".into())].into())
}

/// A scheduler that does not renew a Lease.
pub(super) fn stale() -> Presence {
    Presence::Away([LostLease::Stale("kube-system/stork".into())].into())
}

/// A scheduler that needs two Leases: one is absent, and one is stale. Either may be first.
fn absent_and_stale() -> [Presence; 2] {
    let absent = LostLease::Absent("stork".into());
    let stale = LostLease::Stale("kube-system/stork-scheduler".into());
    [Presence::Away([absent.clone(), stale.clone()].into()), Presence::Away([stale, absent].into())]
}

/// Every kind that is changed on CREATE.
fn kinds() -> impl Iterator<Item = Kind> {
    std::iter::once(POD).chain(template_kinds())
}

fn present() -> Vec<Row> {
    let skip = away_policy(Away::Skip, Away::Skip);
    let presences = [Presence::Unknown, Presence::Alive];
    let rows = presences.into_iter().flat_map(|presence| kinds().map(move |kind| (presence.clone(), kind)));
    rows.map(|(presence, kind)| {
        let ask = Ask::create(kind, px()).with_presence(presence.clone());
        row(format!("{presence:?}"), ask, Reason::Injected).under(skip.clone()).sets("stork")
    })
    .collect()
}

fn away_and_injected() -> Vec<Row> {
    let mut rows = Vec::new();
    for kind in kinds() {
        let who = if kind.template.is_empty() { "the pod stays Pending" } else { "its pods stay Pending" };
        for (presence, policy) in
            [(absent(), away_policy(Away::Inject, Away::Skip)), (stale(), away_policy(Away::Skip, Away::Inject))]
        {
            let ask = Ask::create(kind, px()).with_presence(presence.clone());
            rows.push(row(format!("{presence:?}"), ask, Reason::Injected).under(policy).sets("stork").warns(who));
        }
    }
    let missing = Ask::create(POD, mounts(&["missing-data"])).with_presence(stale());
    let invalid = px().annotated(DISABLE_HYPERCONVERGENCE, "yes");
    rows.extend([
        row("a missing claim", missing, Reason::InjectedMissing)
            .under(inject_missing())
            .sets("stork")
            .warns("scheduler-away"),
        row("with other warnings", Ask::create(POD, invalid).with_presence(absent()), Reason::Injected)
            .sets("stork")
            .warns("opt-out-invalid")
            .warns("scheduler-away"),
        row("a new image", Ask::update(DEPLOYMENT, px(), new_image(px())).with_presence(stale()), Reason::Injected)
            .sets("stork")
            .warns("scheduler-away"),
    ]);
    rows
}

fn away_and_skipped() -> Vec<Row> {
    let mut rows = Vec::new();
    for kind in kinds() {
        for (presence, policy, reason) in [
            (absent(), away_policy(Away::Skip, Away::Inject), Reason::SchedulerAbsent),
            (stale(), away_policy(Away::Inject, Away::Skip), Reason::SchedulerStale),
        ] {
            let ask = Ask::create(kind, px()).with_presence(presence.clone());
            rows.push(row(format!("{presence:?}"), ask, reason).under(policy).warns(reason.as_str()));
        }
    }
    let skip = away_policy(Away::Skip, Away::Skip);
    let first_of_two = Drivers(vec![Driver { when_absent: Away::Skip, ..Driver::portworx() }, linstor()]);
    let missing = Ask::create(POD, mounts(&["missing-data"])).with_presence(absent());
    let both = Ask::create(POD, mounts(&["linstor-data", "px-data"])).with_presence(absent());
    let invalid = px().annotated(DISABLE_HYPERCONVERGENCE, "yes");
    rows.extend([
        row("a missing claim", missing, Reason::SchedulerAbsent)
            .under(Policy { missing_claim: MissingClaim::Inject, ..skip.clone() })
            .warns("scheduler-absent"),
        row("the first of two drivers counts", both, Reason::SchedulerAbsent)
            .under(Policy { drivers: first_of_two, ..policy() })
            .warns("scheduler `stork` is not running"),
        row("with other warnings", Ask::create(POD, invalid).with_presence(stale()), Reason::SchedulerStale)
            .under(skip)
            .warns("opt-out-invalid")
            .warns("scheduler-stale"),
    ]);
    rows
}

fn away_in_two_ways() -> Vec<Row> {
    let (inject, skip) = (Away::Inject, Away::Skip);
    let mut rows = Vec::new();
    for (when_absent, when_stale, reason) in [
        (inject, inject, Reason::Injected),
        (inject, skip, Reason::SchedulerStale),
        (skip, inject, Reason::SchedulerAbsent),
        (skip, skip, Reason::SchedulerAbsent),
    ] {
        for presence in absent_and_stale() {
            for lease in ["there is no Lease stork", "Lease kube-system/stork-scheduler is not renewed"] {
                let ask = Ask::create(POD, px()).with_presence(presence.clone());
                let row = row(format!("{when_absent:?}, {when_stale:?}, {presence:?}"), ask, reason);
                let row = if reason == Reason::Injected { row.sets("stork") } else { row };
                rows.push(row.under(away_policy(when_absent, when_stale)).warns(lease));
            }
        }
    }
    rows
}

fn independent_of_presence() -> Vec<Row> {
    let skip = away_policy(Away::Skip, Away::Skip);
    let mut rows = Vec::new();
    for presence in [absent(), stale()] {
        for kind in CHANGEABLE.into_iter().chain(FIXED).chain([ROLLOUT]) {
            let replaced = Ask::update(kind, px().scheduler("stork"), px()).with_presence(presence.clone());
            rows.push(row("restored", replaced, Reason::Kept).under(skip.clone()).sets("stork"));
        }
        let create = |template| Ask::create(POD, template).with_presence(presence.clone());
        rows.extend([
            row("already set", create(px().scheduler("stork")), Reason::AlreadySet).under(skip.clone()),
            row("a claim without a driver", create(mounts(&["local-data"])), Reason::NoDriver).under(skip.clone()),
            row("a missing claim that is skipped", create(mounts(&["missing-data"])), Reason::ClaimMissing)
                .under(skip.clone())
                .warns("claim-missing"),
        ]);
    }
    rows
}

tests! {
    a_present_or_unknown_scheduler_is_set_without_a_warning: present;
    when_inject_sets_an_absent_scheduler_with_a_warning: away_and_injected;
    when_skip_leaves_objects_while_the_scheduler_is_away: away_and_skipped;
    one_setting_that_says_skip_is_enough: away_in_two_ways;
    restoring_does_not_depend_on_the_presence_of_the_scheduler: independent_of_presence;
}
