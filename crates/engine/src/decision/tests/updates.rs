//! Decisions about updates that (a) name another scheduler, (b) leave the template as it was, (c) drop the driver's
//! scheduler, or (d) change the template in another way; and about updates of immutable objects.

use super::*;

pub(super) fn all() -> Vec<Row> {
    [updates(), restored(), moved(), fixed()].into_iter().flatten().collect()
}

fn updates() -> Vec<Row> {
    let mut rows = Vec::new();
    for kind in CHANGEABLE.into_iter().chain([ROLLOUT]) {
        let update = |old, new| Ask::update(kind, old, new);
        let relabeled = update(px(), px()).with("/metadata/labels", json!({"team": "x"}));
        let opted_out = px().annotated(DISABLE_HYPERCONVERGENCE, "true");
        rows.extend([
            row("(a) it names another scheduler", update(px(), px().scheduler("mine")), Reason::OtherScheduler),
            row(
                "(a) it replaces the driver's scheduler",
                update(px().scheduler("stork"), px().scheduler("mine")),
                Reason::OtherScheduler,
            ),
            row("(b) another label of the workload", relabeled, Reason::TemplateUnchanged),
            row(
                "(b) no change, with another scheduler",
                update(px().scheduler("mine"), px().scheduler("mine")),
                Reason::TemplateUnchanged,
            ),
            row(
                "(b) no change, with the driver's scheduler",
                update(px().scheduler("stork"), px().scheduler("stork")),
                Reason::TemplateUnchanged,
            ),
            row("(b) no template in both", update(Value::Null, Value::Null), Reason::TemplateUnchanged),
            row("(d) a new image", update(px(), new_image(px())), Reason::Injected).sets("stork"),
            row(
                "(d) a new label of its pods",
                update(px(), px().with("/metadata/labels", json!({"app": "y"}))),
                Reason::Injected,
            )
            .sets("stork"),
            row("(d) a new claim", update(mounts(&[]), px()), Reason::Injected).sets("stork"),
            row("(d) no template before", update(Value::Null, px()), Reason::Injected).sets("stork"),
            row("(d) no template now", update(px(), Value::Null), Reason::NoTemplate),
            row(
                "(d) a new image with the driver's scheduler",
                update(px().scheduler("stork"), new_image(px().scheduler("stork"))),
                Reason::AlreadySet,
            ),
            row("(d) it opts out", update(px(), opted_out.clone()), Reason::OptedOut),
            row(
                "(d) it opts out, and keeps the driver's scheduler",
                update(px().scheduler("stork"), opted_out.scheduler("stork")),
                Reason::OptOutWithoutEffect,
            )
            .warns("but schedulerName is still stork"),
            row(
                "(d) its manifest sets the field",
                update(px(), new_image(px())).last_applied(&manifest(kind)),
                Reason::SourceNamesScheduler,
            ),
            row("(d) a missing claim", update(px(), mounts(&["missing-data"])), Reason::ClaimMissing),
            row("(d) of another provisioner", update(px(), mounts(&["local-data"])), Reason::NoDriver),
            row("(d) another scheduler before", update(px().scheduler("mine"), px()), Reason::Injected).sets("stork"),
            row(
                "a controller",
                update(px(), new_image(px())).controlled_by("apps/v1", "Deployment"),
                Reason::ControllerOwned,
            ),
            row("a node", update(px(), px().with("/spec/nodeName", json!("n1"))), Reason::NodeNameSet),
            row("a group", update(px(), px().with("/spec/schedulingGroup", json!({}))), Reason::SchedulingGroup),
            row("templates: leave", update(px(), new_image(px())), Reason::TemplatesLeft).under(templates_left()),
            row(
                "templates: leave, and the driver's scheduler is dropped",
                update(px().scheduler("stork"), px()),
                Reason::TemplatesLeft,
            )
            .under(templates_left()),
        ]);
    }
    rows
}

/// Case (c): the update drops the driver's scheduler.
fn restored() -> Vec<Row> {
    let mut rows = Vec::new();
    for kind in CHANGEABLE.into_iter().chain([ROLLOUT]) {
        let replaced = |new| Ask::update(kind, px().scheduler("stork"), new);
        let deleted = Ask::update(kind, mounts(&["missing-data"]).scheduler("stork"), mounts(&["missing-data"]));
        let data = mounts(&["linstor-data"]);
        let keeps = |name, ask| row(name, ask, Reason::Kept).sets("stork");
        rows.extend([
            keeps("the default", replaced(px())),
            keeps("none", replaced(px().with("/spec/schedulerName", Value::Null))),
            keeps("an empty one", replaced(px().scheduler(""))),
            keeps("with a new image", replaced(new_image(px()))),
            keeps("its claim was deleted", deleted),
            keeps("a claim is missing", replaced(mounts(&["local-data", "missing-data"]))),
            keeps("a claim is unknown", replaced(mounts(&["unknown-data"]))),
            keeps("a claim is bound to its volume later", replaced(mounts(&["late-data"]))),
            keeps("a driver's claim next to one without a driver", replaced(mounts(&["local-data", "px-data"]))),
            keeps("an opt-out that is not a boolean", replaced(px().annotated(DISABLE_HYPERCONVERGENCE, "yes")))
                .warns("is not a boolean"),
            row(
                "the scheduler of the second driver",
                Ask::update(kind, data.clone().scheduler("linstor-scheduler"), data),
                Reason::Kept,
            )
            .under(two_drivers())
            .sets("linstor-scheduler"),
            row("it opts out", replaced(px().annotated(DISABLE_ADMISSION_CONTROLLER, "true")), Reason::OptedOut),
            row(
                "its manifest sets the field",
                replaced(px()).last_applied(&manifest(kind)),
                Reason::SourceNamesScheduler,
            ),
            row(
                "its applier owns the field",
                replaced(px()).managed("Apply", &owned_fields(kind)),
                Reason::SourceNamesScheduler,
            ),
            row(
                "its claims do not belong to a driver",
                replaced(mounts(&["local-data", "by-hand-data"])),
                Reason::NoDriver,
            ),
            row("it no longer has a claim", replaced(mounts(&[])), Reason::NoClaims),
            row(
                "replaced by another driver's scheduler",
                replaced(px().scheduler("linstor-scheduler")),
                Reason::AlreadySet,
            )
            .under(two_drivers())
            .warns("no claim belongs to linstor: set schedulerName: stork"),
            row("a controller", replaced(px()).controlled_by("example.test/v1", "Database"), Reason::ControllerOwned),
            row(
                "a scheduler that no longer belongs to a driver",
                replaced(mounts(&["linstor-data"])),
                Reason::Injected,
            )
            .under(Policy { drivers: Drivers(vec![linstor()]), ..policy() })
            .sets("linstor-scheduler"),
        ]);
    }
    rows
}

/// Case (c): the update drops the driver's scheduler, after the data moved to another driver.
fn moved() -> Vec<Row> {
    let mut rows = Vec::new();
    for kind in CHANGEABLE.into_iter().chain([ROLLOUT]) {
        let moved = |claims: &[&str]| Ask::update(kind, px().scheduler("stork"), mounts(claims));
        let back = Ask::update(kind, mounts(&["linstor-data"]).scheduler("linstor-scheduler"), px());
        let twins = Driver { scheduler: "stork".into(), ..linstor() };
        let one_scheduler = Policy { drivers: Drivers(vec![Driver::portworx(), twins]), ..policy() };
        let skip = Driver { when_absent: Away::Skip, ..linstor() };
        let skip = Policy { drivers: Drivers(vec![Driver::portworx(), skip]), ..policy() };
        let all = [
            row("to the second driver", moved(&["linstor-data"]), Reason::Injected).sets("linstor-scheduler"),
            row("to the first driver", back, Reason::Injected).sets("stork"),
            row("to the second driver and to none", moved(&["local-data", "linstor-data"]), Reason::Injected)
                .sets("linstor-scheduler"),
            row("to no driver", moved(&["local-data"]), Reason::NoDriver),
            row("in part", moved(&["linstor-data", "px-data"]), Reason::Kept)
                .sets("stork")
                .warns("the pod mounts claims of portworx and linstor: stork schedules it"),
            row("perhaps in part", moved(&["linstor-data", "missing-data"]), Reason::Kept).sets("stork"),
            row("perhaps in part: unknown", moved(&["linstor-data", "unknown-data"]), Reason::Kept).sets("stork"),
            row(
                "and the old scheduler stays named",
                Ask::update(kind, px().scheduler("stork"), mounts(&["linstor-data"]).scheduler("stork")),
                Reason::AlreadySet,
            )
            .warns("no claim belongs to portworx: set schedulerName: linstor-scheduler"),
        ];
        rows.extend(all.map(|row| row.under(two_drivers())));
        rows.extend([
            row("to a driver with the same scheduler", moved(&["linstor-data"]), Reason::Kept)
                .under(one_scheduler)
                .sets("stork"),
            row(
                "to a driver whose scheduler is away",
                moved(&["linstor-data"])
                    .with_presence(Presence::Away([LostLease::Absent("linstor-scheduler".into())].into())),
                Reason::SchedulerAbsent,
            )
            .under(skip)
            .warns("scheduler-absent"),
        ]);
    }
    rows
}

/// Pods, Jobs and immutable custom resources: case (c) is the only one that applies, and it always does.
fn fixed() -> Vec<Row> {
    let mut rows = Vec::new();
    for kind in FIXED.into_iter().chain([ROLLOUT]) {
        let policy = rollouts_with(Update::Rejected);
        let replaced = |new| Ask::update(kind, px().scheduler("stork"), new);
        let opted_out = px().annotated(DISABLE_HYPERCONVERGENCE, "true");
        let both = Policy { replaceable: ReplaceableSchedulers(vec!["stork".into()]), ..policy.clone() };
        let own = [
            row("the default", replaced(px()), Reason::Kept).sets("stork"),
            row("none", replaced(px().with("/spec/schedulerName", Value::Null)), Reason::Kept).sets("stork"),
            row("its claim is missing", replaced(mounts(&["missing-data"])), Reason::Kept).sets("stork"),
            row("its claim does not belong to a driver", replaced(mounts(&["local-data"])), Reason::Kept).sets("stork"),
            row("it has no claim", replaced(mounts(&[])), Reason::Kept).sets("stork"),
            row("it opts out", replaced(opted_out), Reason::Kept).sets("stork"),
            row("its opt-out is not a boolean", replaced(px().annotated(DISABLE_HYPERCONVERGENCE, "x")), Reason::Kept)
                .sets("stork")
                .warns("is not a boolean"),
            row("its manifest sets the field", replaced(px()).last_applied(&manifest(kind)), Reason::Kept)
                .sets("stork"),
            row("its applier owns the field", replaced(px()).managed("Apply", &owned_fields(kind)), Reason::Kept)
                .sets("stork"),
            row("it has a controller", replaced(px()).controlled_by("batch/v1", "CronJob"), Reason::Kept).sets("stork"),
            row("it is on its node", replaced(px().with("/spec/nodeName", json!("n1"))), Reason::Kept).sets("stork"),
            row("another scheduler", replaced(px().scheduler("mine")), Reason::Immutable),
            row("the driver's scheduler in both", replaced(new_image(px().scheduler("stork"))), Reason::Immutable),
            row("no change", Ask::update(kind, px(), px()), Reason::Immutable),
            row("a new image", Ask::update(kind, px(), new_image(px())), Reason::Immutable),
            row(
                "the default replaces another scheduler",
                Ask::update(kind, px().scheduler("mine"), px()),
                Reason::Immutable,
            ),
        ];
        rows.extend(own.map(|row| row.under(policy.clone())));
        rows.push(
            row(
                "the driver's scheduler, which is replaceable, in both",
                replaced(new_image(px().scheduler("stork"))),
                Reason::Immutable,
            )
            .under(both),
        );
    }
    let replaced = |kind| Ask::update(kind, px().scheduler("stork"), px());
    rows.extend([
        row("a Pod under templates: leave", replaced(POD), Reason::Kept).under(templates_left()).sets("stork"),
        row("a Job under templates: leave", replaced(JOB), Reason::TemplatesLeft).under(templates_left()),
    ]);
    rows
}

tests! {
    an_update_is_changed_only_if_it_changes_the_template: updates;
    a_scheduler_that_an_update_drops_is_restored: restored;
    a_scheduler_is_not_restored_after_its_data_moved: moved;
    immutable_objects_always_keep_their_scheduler: fixed;
}
