//! Opt-outs.

use super::*;

/// The advice for an opt-out without effect.
const ADVICE: &str = "in addition to the opt-out, set schedulerName: default-scheduler";

pub(super) fn all() -> Vec<Row> {
    [spellings(), opt_outs(), labels(), owners_opted_out(), opted_out_templates()].into_iter().flatten().collect()
}

fn spellings() -> Vec<Row> {
    let mut rows = Vec::new();
    for key in [DISABLE_HYPERCONVERGENCE, DISABLE_ADMISSION_CONTROLLER] {
        let mut expect = |value: &str, reason, scheduler, warning| {
            for kind in [POD, DEPLOYMENT] {
                let ask = Ask::create(kind, px().annotated(key, value));
                let row = row(format!("{key}: {value:?}"), ask, reason);
                rows.push(Row { scheduler, warnings: Vec::from_iter(warning), ..row });
            }
        };
        for value in ["1", "t", "T", "TRUE", "true", "True"] {
            expect(value, Reason::OptedOut, None, None);
        }
        for value in ["0", "f", "F", "FALSE", "false", "False"] {
            expect(value, Reason::Injected, Some("stork"), None);
        }
        for value in ["", "yes", "on", "tRUE", " true", "2", "\n"] {
            expect(value, Reason::Injected, Some("stork"), Some("is not a boolean"));
        }
    }
    rows
}

fn opt_outs() -> Vec<Row> {
    let [one, other] = [DISABLE_HYPERCONVERGENCE, DISABLE_ADMISSION_CONTROLLER];
    let own_key =
        Policy { opt_out: OptOut { annotations: vec!["example.test/off".into()], ..OptOut::default() }, ..policy() };
    vec![
        row(
            "one of two is enough",
            Ask::create(POD, px().annotated(one, "false").annotated(other, "true")),
            Reason::OptedOut,
        ),
        row(
            "an invalid one next to a valid one",
            Ask::create(POD, px().annotated(one, "x").annotated(other, "true")),
            Reason::OptedOut,
        )
        .warns("is not a boolean"),
        row(
            "a long invalid one leaves space for the advice",
            Ask::create(POD, px().annotated(one, &"x".repeat(1_000))),
            Reason::Injected,
        )
        .sets("stork")
        .warns("use \"true\" to opt out"),
        row(
            "an invalid one and a claim without a driver",
            Ask::create(POD, mounts(&["local-data"]).annotated(one, "x")),
            Reason::NoDriver,
        )
        .warns("is not a boolean"),
        row("an invalid one with no claim", Ask::create(POD, mounts(&[]).annotated(one, "x")), Reason::NoClaims)
            .warns("is not a boolean"),
        row(
            "an invalid one and a missing claim",
            Ask::create(POD, mounts(&["missing-data"]).annotated(one, "x")),
            Reason::ClaimMissing,
        )
        .warns("is not a boolean")
        .warns("does not exist"),
        row(
            "a value that is not a string",
            Ask::create(ROLLOUT, px().with("/metadata/annotations", json!({one: true}))),
            Reason::Injected,
        )
        .sets("stork")
        .warns("true is not a boolean"),
        row("keys are case-sensitive", Ask::create(POD, px().annotated(&one.to_lowercase(), "true")), Reason::Injected)
            .sets("stork"),
        row("a configured key", Ask::create(POD, px().annotated("example.test/off", "true")), Reason::OptedOut)
            .under(own_key.clone()),
        row("a default key that is not configured", Ask::create(POD, px().annotated(one, "true")), Reason::Injected)
            .under(own_key)
            .sets("stork"),
        row(
            "and another scheduler",
            Ask::create(POD, px().annotated(one, "true").scheduler("mine")),
            Reason::OtherScheduler,
        ),
        row(
            "and the driver's scheduler",
            Ask::create(POD, px().annotated(one, "true").scheduler("stork")),
            Reason::OptOutWithoutEffect,
        )
        .warns(ADVICE),
    ]
}

/// The label that the API server also evaluates, on the object itself.
fn labels() -> Vec<Row> {
    let label = |value: &str| json!({"colocate/ignore": value});
    let own_label =
        Policy { opt_out: OptOut { labels: vec!["example.test/off".into()], ..OptOut::default() }, ..policy() };
    let mut rows = Vec::new();
    for kind in std::iter::once(POD).chain(template_kinds()) {
        let ask = |template| Ask::create(kind, template);
        let labelled = |value| px().with("/metadata/labels", label(value));
        rows.extend([
            row("a label of the pod or template", ask(labelled("true")), Reason::OptedOut),
            row("a label of the object", ask(px()).with("/metadata/labels", label("1")), Reason::OptedOut),
            row("a false label", ask(labelled("false")), Reason::Injected).sets("stork"),
            row("a label that is not a boolean", ask(labelled("yes")), Reason::Injected)
                .sets("stork")
                .warns("colocate/ignore is ignored because \"yes\" is not a boolean"),
            row("another label is configured", ask(labelled("true")), Reason::Injected)
                .under(own_label.clone())
                .sets("stork"),
            row(
                "an annotation of that name has no effect",
                ask(px().annotated("colocate/ignore", "true")),
                Reason::Injected,
            )
            .sets("stork"),
            row("the driver's scheduler", ask(labelled("true").scheduler("stork")), Reason::OptOutWithoutEffect)
                .warns("colocate/ignore opts out, but schedulerName is still stork"),
        ]);
    }
    for kind in CHANGEABLE {
        let dropped = Ask::update(kind, px().scheduler("stork"), px());
        rows.push(row(
            "an update that drops the scheduler",
            dropped.with("/metadata/labels", label("true")),
            Reason::OptedOut,
        ));
    }
    for kind in FIXED {
        let dropped = Ask::update(kind, px().scheduler("stork"), px());
        rows.push(
            row("an immutable object", dropped.with("/metadata/labels", label("true")), Reason::Kept).sets("stork"),
        );
    }
    rows
}

fn opt_out_kind(group: &str, kind: &str) -> Policy {
    let kind = OwnerKind { group: group.to_owned(), kind: kind.to_owned() };
    Policy { opt_out: OptOut { owners: vec![kind], ..OptOut::default() }, ..policy() }
}

fn owner_opt_out() -> Policy {
    opt_out_kind("kafka.example.test", "PodSet")
}

fn owners_opted_out() -> Vec<Row> {
    let controlled = |group: &str, kind: &str| Ask::create(POD, px()).controlled_by(group, kind);
    let not_controlling = json!([{"apiVersion": "kafka.example.test/v1", "kind": "PodSet", "controller": false}]);
    vec![
        row(
            "a template with an owner",
            Ask::create(STATEFUL_SET, px()).controlled_by("kafka.example.test/v1", "PodSet"),
            Reason::ControllerOwned,
        )
        .under(owner_opt_out()),
        row("the owner", controlled("kafka.example.test/v1beta2", "PodSet"), Reason::OwnerOptedOut)
            .under(owner_opt_out()),
        row("an owner of another group", controlled("other.example.test/v1", "PodSet"), Reason::Injected)
            .under(owner_opt_out())
            .sets("stork"),
        row("an owner of another kind", controlled("kafka.example.test/v1", "Pods"), Reason::Injected)
            .under(owner_opt_out())
            .sets("stork"),
        row("an owner of the core group", controlled("v1", "PodSet"), Reason::OwnerOptedOut)
            .under(opt_out_kind("", "PodSet")),
        row("a template whose own kind opts out", Ask::create(STATEFUL_SET, px()), Reason::OwnerOptedOut)
            .under(opt_out_kind("apps", "StatefulSet")),
        row("an update of one", Ask::update(STATEFUL_SET, px().scheduler("stork"), px()), Reason::OwnerOptedOut)
            .under(opt_out_kind("apps", "StatefulSet")),
        row(
            "a Deployment's pods have a ReplicaSet for a controller",
            controlled("apps/v1", "ReplicaSet"),
            Reason::Injected,
        )
        .under(opt_out_kind("apps", "Deployment"))
        .sets("stork"),
        row("a template of that kind in another group", Ask::create(STATEFUL_SET, px()), Reason::Injected)
            .under(opt_out_kind("example.test", "StatefulSet"))
            .sets("stork"),
        row(
            "an owner that does not control",
            Ask::create(POD, px()).with("/metadata/ownerReferences", not_controlling),
            Reason::Injected,
        )
        .under(owner_opt_out())
        .sets("stork"),
    ]
}

fn opted_out_templates() -> Vec<Row> {
    let mut rows = Vec::new();
    let [one, other] = [DISABLE_HYPERCONVERGENCE, DISABLE_ADMISSION_CONTROLLER];
    for kind in template_kinds() {
        let ask = Ask::create(kind, px());
        let metadata = json!({one: "true", other: "true"});
        rows.push(
            row("on the workload's own metadata", ask.with("/metadata/annotations", metadata), Reason::Injected)
                .sets("stork"),
        );
        let injected = px().annotated(other, "true").scheduler("stork");
        rows.push(
            row("injected before it opted out", Ask::create(kind, injected), Reason::OptOutWithoutEffect).warns(ADVICE),
        );
    }
    rows
}

tests! {
    an_annotation_that_go_does_not_parse_as_a_boolean_is_warned_about: spellings;
    one_true_annotation_opts_out: opt_outs;
    a_label_of_the_object_or_its_template_opts_out: labels;
    a_pod_is_opted_out_by_the_kind_of_its_controller: owners_opted_out;
    a_workload_is_opted_out_by_annotations_of_its_template: opted_out_templates;
}
