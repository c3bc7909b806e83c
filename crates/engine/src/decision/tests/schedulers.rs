//! Decisions while a driver's scheduler is there, and while it is not.

use super::*;

pub(super) fn all() -> Vec<Row> {
    [there(), away_and_injected(), away_and_skipped(), away_and_none_of_its_business()].into_iter().flatten().collect()
}

/// Every kind that is changed at CREATE.
fn kinds() -> impl Iterator<Item = Kind> {
    std::iter::once(POD).chain(templates_of_all())
}

fn there() -> Vec<Row> {
    let skip = away(Away::Skip, Away::Skip);
    let present = [Presence::Unknown, Presence::Alive];
    let rows = present.into_iter().flat_map(|presence| kinds().map(move |kind| (presence, kind)));
    rows.map(|(presence, kind)| {
        let ask = Ask::create(kind, px()).while_they_are(presence);
        row(format!("{presence:?}"), ask, Reason::Injected).under(skip.clone()).sets("stork")
    })
    .collect()
}

fn away_and_injected() -> Vec<Row> {
    let mut rows = Vec::new();
    for kind in kinds() {
        let who = if kind.template.is_empty() { "the pod stays Pending" } else { "its pods stay Pending" };
        for (presence, policy) in
            [(Presence::Absent, away(Away::Inject, Away::Skip)), (Presence::Stale, away(Away::Skip, Away::Inject))]
        {
            let ask = Ask::create(kind, px()).while_they_are(presence);
            rows.push(row(format!("{presence:?}"), ask, Reason::Injected).under(policy).sets("stork").warns(who));
        }
    }
    let missing = Ask::create(POD, mounts(&["missing-data"])).while_they_are(Presence::Stale);
    let invalid = px().annotated(DISABLE_HYPERCONVERGENCE, "yes");
    rows.extend([
        row("a missing claim", missing, Reason::InjectedMissing)
            .under(inject_missing())
            .sets("stork")
            .warns("scheduler-away"),
        row("beside other warnings", Ask::create(POD, invalid).while_they_are(Presence::Absent), Reason::Injected)
            .sets("stork")
            .warns("opt-out-invalid")
            .warns("scheduler-away"),
        row(
            "a new image",
            Ask::update(DEPLOYMENT, px(), new_image(px())).while_they_are(Presence::Stale),
            Reason::Injected,
        )
        .sets("stork")
        .warns("scheduler-away"),
    ]);
    rows
}

fn away_and_skipped() -> Vec<Row> {
    let mut rows = Vec::new();
    for kind in kinds() {
        for (presence, policy, reason) in [
            (Presence::Absent, away(Away::Skip, Away::Inject), Reason::SchedulerAbsent),
            (Presence::Stale, away(Away::Inject, Away::Skip), Reason::SchedulerStale),
        ] {
            let ask = Ask::create(kind, px()).while_they_are(presence);
            rows.push(row(format!("{presence:?}"), ask, reason).under(policy).warns(reason.as_str()));
        }
    }
    let skip = away(Away::Skip, Away::Skip);
    let first_of_two = Drivers(vec![Driver { when_absent: Away::Skip, ..Driver::portworx() }, linstor()]);
    let missing = Ask::create(POD, mounts(&["missing-data"])).while_they_are(Presence::Absent);
    let both = Ask::create(POD, mounts(&["linstor-data", "px-data"])).while_they_are(Presence::Absent);
    let invalid = px().annotated(DISABLE_HYPERCONVERGENCE, "yes");
    rows.extend([
        row("a missing claim", missing, Reason::SchedulerAbsent)
            .under(Policy { missing_claim: MissingClaim::Inject, ..skip.clone() })
            .warns("scheduler-absent"),
        row("of two drivers, the first counts", both, Reason::SchedulerAbsent)
            .under(Policy { drivers: first_of_two, ..policy() })
            .warns("no scheduler `stork` is alive"),
        row("beside other warnings", Ask::create(POD, invalid).while_they_are(Presence::Stale), Reason::SchedulerStale)
            .under(skip)
            .warns("opt-out-invalid")
            .warns("scheduler-stale"),
    ]);
    rows
}

fn away_and_none_of_its_business() -> Vec<Row> {
    let skip = away(Away::Skip, Away::Skip);
    let mut rows = Vec::new();
    for presence in [Presence::Absent, Presence::Stale] {
        for kind in CHANGEABLE.into_iter().chain(FIXED).chain([ROLLOUT]) {
            let replaced = Ask::update(kind, px().scheduler("stork"), px()).while_they_are(presence);
            rows.push(row("put back", replaced, Reason::Kept).under(skip.clone()).sets("stork"));
        }
        let create = |template| Ask::create(POD, template).while_they_are(presence);
        rows.extend([
            row("named already", create(px().scheduler("stork")), Reason::AlreadySet).under(skip.clone()),
            row("no driver's claim", create(mounts(&["local-data"])), Reason::NoDriver).under(skip.clone()),
            row("a missing claim that is skipped", create(mounts(&["missing-data"])), Reason::ClaimMissing)
                .under(skip.clone())
                .warns("claim-missing"),
        ]);
    }
    rows
}

tests! {
    a_scheduler_that_is_there_or_that_nobody_knows_of_is_set_without_a_word: there;
    a_scheduler_that_is_away_is_set_with_a_warning: away_and_injected;
    a_policy_leaves_objects_while_the_scheduler_is_away: away_and_skipped;
    what_was_set_before_does_not_depend_on_whether_the_scheduler_is_there: away_and_none_of_its_business;
}
