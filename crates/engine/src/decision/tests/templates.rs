//! Decisions about templates when their workload is created.

use super::*;

pub(super) fn all() -> Vec<Row> {
    [templates(), sources(), claim_templates(), rollouts()].into_iter().flatten().collect()
}

fn templates() -> Vec<Row> {
    let mut rows = Vec::new();
    for kind in template_kinds() {
        let ask = |template| Ask::create(kind, template);
        let group = px().with("/spec/schedulingGroup", json!({"podGroupName": "g"}));
        let node = json!([{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "0"}]);
        let bare = |kind: Kind, parent: Value| Ask::create(kind, parent);
        rows.extend([
            row("a claim of Portworx", ask(px()), Reason::Injected).sets("stork"),
            row("no scheduler", ask(px().with("/spec/schedulerName", Value::Null)), Reason::Injected).sets("stork"),
            row("another scheduler", ask(px().scheduler("mine")), Reason::OtherScheduler),
            row("the driver's scheduler", ask(px().scheduler("stork")), Reason::AlreadySet),
            row("a claim of another driver", ask(mounts(&["local-data"])), Reason::NoDriver),
            row("no claim", ask(mounts(&[])), Reason::NoClaims),
            row("a controller", ask(px()).controlled_by("example.test/v1", "Database"), Reason::ControllerOwned),
            row("an owner that does not control", ask(px()).with("/metadata/ownerReferences", node), Reason::Injected)
                .sets("stork"),
            row("a node", ask(px().with("/spec/nodeName", json!("n1"))), Reason::NodeNameSet),
            row("a group", ask(group), Reason::SchedulingGroup),
            row(
                "a group of Kubernetes 1.35",
                ask(px().with("/spec/workloadRef", workload_ref())),
                Reason::SchedulingGroup,
            ),
            row("templates: leave", ask(px()), Reason::TemplatesLeft).under(templates_left()),
            row(
                "a mirror annotation has no effect on a template",
                ask(px().annotated(MIRROR_POD, "abc")),
                Reason::Injected,
            )
            .sets("stork"),
            row("a null template", bare(kind, Value::Null), Reason::NoTemplate),
            row("a template with no spec", ask(json!({"metadata": {}})), Reason::NoTemplate),
            row("a template with a null spec", ask(json!({"spec": null})), Reason::NoTemplate),
        ]);
    }
    let claimed =
        px().with("/metadata", json!({"ownerReferences": [{"apiVersion": "v1", "kind": "X", "controller": true}]}));
    rows.extend([
        row(
            "a ReplicaSet of a Deployment",
            Ask::create(REPLICA_SET, px()).controlled_by("apps/v1", "Deployment"),
            Reason::ControllerOwned,
        ),
        row("a Job of a CronJob", Ask::create(JOB, px()).controlled_by("batch/v1", "CronJob"), Reason::ControllerOwned),
        row(
            "an owner in the template's metadata has no effect",
            Ask::create(DEPLOYMENT, claimed.clone()),
            Reason::Injected,
        )
        .sets("stork"),
        row(
            "even without metadata on the workload",
            Ask::create(DEPLOYMENT, claimed).with("/metadata", Value::Null),
            Reason::Injected,
        )
        .sets("stork"),
    ]);
    rows
}

fn sources() -> Vec<Row> {
    let mut rows = Vec::new();
    for kind in template_kinds() {
        let ask = Ask::create(kind, px());
        let null = object(kind, json!({"spec": {"schedulerName": null}})).to_string();
        let elsewhere = object(kind, json!({"schedulerName": "x", "spec": {"containers": [{"schedulerName": "x"}]}}));
        let whole = {
            let mut fields = json!({});
            put(&mut fields, &format!("{}/spec", kind.template).replace('/', "/f:"), json!({"f:volumes": {}}));
            fields
        };
        let names = Reason::SourceNamesScheduler;
        rows.extend([
            row("its manifest sets the field", ask.clone().last_applied(&manifest(kind)), names),
            row("its applier owns the field", ask.clone().managed("Apply", &owned_fields(kind)), names),
            row(
                "an updater's ownership has no effect",
                ask.clone().managed("Update", &owned_fields(kind)),
                Reason::Injected,
            )
            .sets("stork"),
            row("its applier owns other fields", ask.clone().managed("Apply", &whole), Reason::Injected).sets("stork"),
            row("a null field has no effect", ask.clone().last_applied(&null), Reason::Injected).sets("stork"),
            row("another field of that name", ask.clone().last_applied(&elsewhere.to_string()), Reason::Injected)
                .sets("stork"),
            row("an invalid manifest", ask.last_applied("schedulerName: {"), Reason::Injected).sets("stork"),
        ]);
    }
    let opted_out = Ask::create(DEPLOYMENT, px().annotated(DISABLE_HYPERCONVERGENCE, "true"));
    rows.extend([
        row(
            "with the driver's scheduler",
            Ask::create(DEPLOYMENT, px().scheduler("stork")).last_applied(&manifest(DEPLOYMENT)),
            Reason::AlreadySet,
        ),
        row("and opts out", opted_out.last_applied(&manifest(DEPLOYMENT)), Reason::OptedOut),
    ]);
    rows
}

fn claim_templates() -> Vec<Row> {
    let claim = |name: &str, spec: Value| json!({"metadata": {"name": name}, "spec": spec});
    let px_class = json!({"storageClassName": "px"});
    let local_class = json!({"storageClassName": "local"});
    let set = |volumes: &[&str], claims: Value| {
        Ask::create(STATEFUL_SET, mounts(volumes)).with("/spec/volumeClaimTemplates", claims)
    };
    let beta = json!({"annotations": {"volume.beta.kubernetes.io/storage-provisioner": "pxd.portworx.com"}});
    let by_annotation = json!({"metadata": beta, "spec": local_class});
    vec![
        row("its class", set(&[], json!([claim("data", px_class.clone())])), Reason::Injected).sets("stork"),
        row("the default class", set(&[], json!([claim("data", json!({}))])), Reason::Injected).sets("stork"),
        row("another class", set(&[], json!([claim("data", local_class.clone())])), Reason::NoDriver),
        row("no class", set(&[], json!([claim("data", json!({"storageClassName": ""}))])), Reason::ClaimUnknown),
        row(
            "a class that was deleted",
            set(&[], json!([claim("data", json!({"storageClassName": "deleted"}))])),
            Reason::ClaimUnknown,
        ),
        row("an annotation wins over its class", set(&[], json!([by_annotation])), Reason::Injected).sets("stork"),
        row(
            "the second one",
            set(&[], json!([claim("a", local_class.clone()), claim("b", px_class.clone())])),
            Reason::Injected,
        )
        .sets("stork"),
        row("next to a volume", set(&["px-data"], json!([claim("a", local_class.clone())])), Reason::Injected)
            .sets("stork"),
        row(
            "replaces a driver's volume of its name",
            set(&["px-data"], json!([claim("v-px-data", local_class)])),
            Reason::NoDriver,
        ),
        row(
            "replaces a volume without a driver",
            set(&["local-data"], json!([claim("v-local-data", px_class.clone())])),
            Reason::Injected,
        )
        .sets("stork"),
        row(
            "above the path of claim templates",
            Ask::create(CRON_JOB, mounts(&[]))
                .with("/spec/volumeClaimTemplates", json!([claim("a", px_class.clone())])),
            Reason::NoClaims,
        ),
        row("null", set(&[], Value::Null), Reason::NoClaims),
        row(
            "below the path of claim templates",
            Ask::create(STATEFUL_SET, mounts(&[]).with("/spec/volumeClaimTemplates", json!([claim("a", px_class)]))),
            Reason::NoClaims,
        ),
    ]
}

fn rollouts() -> Vec<Row> {
    let bare = json!({"spec": {"volumes": px()["spec"]["volumes"]}});
    let by_reference = Ask::create(ROLLOUT, Value::Null)
        .with("/spec", json!({"workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "x"}}));
    let mut rows = vec![
        row("a template without defaults", Ask::create(ROLLOUT, bare.clone()), Reason::Injected).sets("stork"),
        row(
            "a new image, without defaults",
            Ask::update(ROLLOUT, bare.clone(), new_image(bare.clone())),
            Reason::Injected,
        )
        .sets("stork"),
        row("dropped, without defaults", Ask::update(ROLLOUT, bare.clone().scheduler("stork"), bare), Reason::Kept)
            .sets("stork"),
        row("a reference instead of a template", by_reference, Reason::NoTemplate),
        row("no spec", Ask::create(ROLLOUT, px()).with("/spec", Value::Null), Reason::NoTemplate),
    ];
    let unreadable = |name, ask| row(name, ask, Reason::Unreadable).warns("its pod template cannot be read");
    for (name, pointer, wrong) in [
        ("spec", "/spec", json!([])),
        ("template", "/spec/template", json!("a name")),
        ("template.spec", "/spec/template/spec", json!([1, 2])),
        ("volumes", "/spec/template/spec/volumes", json!({})),
        ("schedulerName", "/spec/template/spec/schedulerName", json!(1)),
        ("annotations", "/spec/template/metadata/annotations", json!([])),
        ("ownerReferences", "/metadata/ownerReferences", json!("x")),
    ] {
        rows.push(unreadable(name, Ask::create(ROLLOUT, px()).with(pointer, wrong.clone())));
        let update = Ask::update(ROLLOUT, mounts(&[]), px()).with(pointer, wrong);
        rows.push(unreadable(name, update));
    }
    for (pointer, list) in [("/spec", "`/spec` is a list"), ("/spec/template", "`/spec/template` is a list")] {
        for templates in [json!([]), json!([px()])] {
            for ask in [Ask::create(ROLLOUT, px()), Ask::update(ROLLOUT, mounts(&[]), px())] {
                rows.push(row("a list", ask.with(pointer, templates.clone()), Reason::Unreadable).warns(list));
            }
        }
    }
    let broken = px().with("/spec/volumes", json!("none"));
    rows.extend([
        row(
            "unreadable before and after",
            Ask::update(ROLLOUT, broken.clone(), broken.clone()),
            Reason::TemplateUnchanged,
        ),
        unreadable("unreadable in an immutable kind", Ask::update(ROLLOUT, broken.clone(), broken))
            .under(rollouts_with(Update::Rejected)),
        row("not configured", Ask::create(ROLLOUT, px()), Reason::UnsupportedKind).under(Policy::default()),
    ]);
    rows
}

tests! {
    a_template_without_a_controller_is_decided_like_a_pod: templates;
    a_template_whose_source_sets_the_field_is_left_alone: sources;
    claim_templates_are_resolved_by_their_class: claim_templates;
    a_custom_workload_may_have_any_structure: rollouts;
}
