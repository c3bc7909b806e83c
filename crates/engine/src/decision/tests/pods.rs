//! Decisions about pods, by their volumes, schedulers and annotations.

use super::*;

pub(super) fn all() -> Vec<Row> {
    [pods(), left_pods(), volumes(), missing_claims(), drivers(), recognition(), named_schedulers(), unsupported()]
        .into_iter()
        .flatten()
        .collect()
}

fn pods() -> Vec<Row> {
    let pod = |template| Ask::create(POD, template);
    let ask = pod(px());
    vec![
        row("a claim of Portworx", ask.clone(), Reason::Injected).sets("stork"),
        row("no scheduler", pod(px().with("/spec", json!({"volumes": px()["spec"]["volumes"]}))), Reason::Injected)
            .sets("stork"),
        row("a null scheduler", pod(px().with("/spec/schedulerName", Value::Null)), Reason::Injected).sets("stork"),
        row("an empty scheduler", pod(px().scheduler("")), Reason::Injected).sets("stork"),
        row("an empty scheduler always counts", pod(px().scheduler("")), Reason::Injected)
            .under(replaceable(&[]))
            .sets("stork"),
        row("GKE's scheduler", pod(px().scheduler("gke.io/optimize-utilization-scheduler")), Reason::Injected)
            .sets("stork"),
        row("Gardener's scheduler", pod(px().scheduler("bin-packing-scheduler")), Reason::Injected).sets("stork"),
        row(
            "a platform's scheduler that is not replaceable",
            pod(px().scheduler("bin-packing-scheduler")),
            Reason::OtherScheduler,
        )
        .under(replaceable(&["default-scheduler"])),
        row("a pod with an owner", ask.clone().controlled_by("apps/v1", "ReplicaSet"), Reason::Injected).sets("stork"),
        row("templates: leave changes pods", ask.clone(), Reason::Injected).under(templates_left()).sets("stork"),
        row("a replaceable scheduler", pod(px().scheduler("mine")), Reason::Injected)
            .under(replaceable(&["other", "mine"]))
            .sets("stork"),
        row(
            "an explicit default in its manifest is not an opt-out",
            ask.clone().last_applied(&manifest(POD)),
            Reason::Injected,
        )
        .sets("stork"),
        row("nor in the fields of server-side apply", ask.managed("Apply", &owned_fields(POD)), Reason::Injected)
            .sets("stork"),
    ]
}

fn left_pods() -> Vec<Row> {
    let pod = |template| Ask::create(POD, template);
    vec![
        row("a mirror pod", pod(px().annotated(MIRROR_POD, "abc")), Reason::MirrorPod),
        row("already on a node", pod(px().with("/spec/nodeName", json!("n1"))), Reason::NodeNameSet),
        row("an empty node name counts as absent", pod(px().with("/spec/nodeName", json!(""))), Reason::Injected)
            .sets("stork"),
        row(
            "in a group",
            pod(px().with("/spec/schedulingGroup", json!({"podGroupName": "g"}))),
            Reason::SchedulingGroup,
        ),
        row(
            "in a group of Kubernetes 1.35",
            pod(px().with("/spec/workloadRef", workload_ref())),
            Reason::SchedulingGroup,
        ),
        row("a null group counts as absent", pod(px().with("/spec/schedulingGroup", Value::Null)), Reason::Injected)
            .sets("stork"),
        row("a null reference counts as absent", pod(px().with("/spec/workloadRef", Value::Null)), Reason::Injected)
            .sets("stork"),
        row("another scheduler", pod(px().scheduler("mine")), Reason::OtherScheduler),
        row(
            "another scheduler with the same prefix",
            pod(px().scheduler("default-scheduler2")),
            Reason::OtherScheduler,
        ),
        row("the default where it is not replaceable", pod(px()), Reason::OtherScheduler).under(replaceable(&["mine"])),
        row("the driver's scheduler", pod(px().scheduler("stork")), Reason::AlreadySet),
        row("the scheduler of another driver", pod(px().scheduler("linstor-scheduler")), Reason::AlreadySet)
            .under(two_drivers())
            .warns("schedulerName is linstor-scheduler, but no claim belongs to linstor: set schedulerName: stork"),
        row("no driver of that scheduler", pod(px().scheduler("linstor-scheduler")), Reason::OtherScheduler),
        row("no spec", pod(json!({"metadata": {}})), Reason::NoTemplate),
        row("a null spec", pod(json!({"metadata": {}, "spec": null})), Reason::NoTemplate),
        row("no volumes", pod(px().with("/spec/volumes", Value::Null)), Reason::NoClaims),
        row("no claim", pod(with_volumes(&json!([{"name": "tmp", "emptyDir": {}}]))), Reason::NoClaims),
    ]
}

fn volumes() -> Vec<Row> {
    let volume = |source: Value| {
        let mut volume = source;
        volume["name"] = json!("v");
        Ask::create(POD, with_volumes(&json!([{"name": "tmp", "emptyDir": {}}, volume])))
    };
    let ephemeral = |spec: Value| volume(json!({"ephemeral": {"volumeClaimTemplate": {"spec": spec}}}));
    let csi = |driver: &str| volume(json!({"csi": {"driver": driver}}));
    let beta = json!({"annotations": {"volume.beta.kubernetes.io/storage-class": "px"}});
    let by_annotation = json!({"volumeClaimTemplate": {"metadata": beta, "spec": {"storageClassName": "local"}}});
    vec![
        row("an ephemeral volume of its class", ephemeral(json!({"storageClassName": "px"})), Reason::Injected)
            .sets("stork"),
        row("an ephemeral volume of another class", ephemeral(json!({"storageClassName": "local"})), Reason::NoDriver),
        row("an ephemeral volume of the default class", ephemeral(json!({})), Reason::Injected).sets("stork"),
        row("an ephemeral volume of no class", ephemeral(json!({"storageClassName": ""})), Reason::ClaimUnknown)
            .warns("claim template `v`: it has no StorageClass"),
        row("an ephemeral volume's annotation", volume(json!({"ephemeral": by_annotation})), Reason::Injected)
            .sets("stork"),
        row("an inline volume of Portworx", csi("pxd.portworx.com"), Reason::Injected).sets("stork"),
        row(
            "an inline volume of a driver with Portworx's name as its prefix",
            csi("pxd.portworx.com.example.test"),
            Reason::NoDriver,
        ),
        row("an inline volume of a driver whose name is a prefix of Portworx's", csi("pxd"), Reason::NoDriver),
        row("an inline volume of another driver", csi("secrets-store.csi.k8s.io"), Reason::NoDriver),
        row("a volume by its id", volume(json!({"portworxVolume": {"volumeID": "1"}})), Reason::Injected).sets("stork"),
        row("a volume by its id without Portworx as a driver", volume(json!({"portworxVolume": {}})), Reason::NoDriver)
            .under(Policy { drivers: Drivers(vec![linstor()]), ..policy() }),
        row("a claim of another provisioner", Ask::create(POD, mounts(&["local-data"])), Reason::NoDriver),
        row("a claim without a driver", Ask::create(POD, mounts(&["by-hand-data"])), Reason::NoDriver),
        row(
            "the second of three claims",
            Ask::create(POD, mounts(&["local-data", "px-data", "by-hand-data"])),
            Reason::Injected,
        )
        .sets("stork"),
    ]
}

fn missing_claims() -> Vec<Row> {
    let pod = |claims: &[&str]| Ask::create(POD, mounts(claims));
    let no_drivers = Policy { drivers: Drivers(Vec::new()), ..inject_missing() };
    let first = Drivers(vec![linstor(), Driver::portworx()]);
    vec![
        row("unreadable is not missing", pod(&["unreadable-data"]), Reason::ClaimUnreadable)
            .warns("claim `unreadable-data` could not be read from the API server; the pod keeps scheduler"),
        row("a volume is unreadable", pod(&["unreadable-volume"]), Reason::ClaimUnreadable)
            .under(inject_missing())
            .warns("claim `unreadable-volume`: its PersistentVolume `pv` could not be read from the API server"),
        row("unreadable, inject", pod(&["unreadable-data"]), Reason::InjectedMissing)
            .under(inject_missing())
            .sets("stork"),
        row("unreadable next to one of a driver", pod(&["unreadable-data", "px-data"]), Reason::Injected).sets("stork"),
        row(
            "unreadable in a template",
            Ask::create(DEPLOYMENT, mounts(&["unreadable-volume"])),
            Reason::ClaimUnreadable,
        ),
        row("skip", pod(&["missing-data"]), Reason::ClaimMissing).warns("claim `missing-data` does not exist"),
        row("inject", pod(&["missing-data"]), Reason::InjectedMissing).under(inject_missing()).sets("stork"),
        row("inject the first driver", pod(&["missing-data"]), Reason::InjectedMissing)
            .under(Policy { drivers: first, ..inject_missing() })
            .sets("linstor-scheduler"),
        row("inject without a driver", pod(&["missing-data"]), Reason::ClaimMissing)
            .under(no_drivers)
            .warns("claim `missing-data` does not exist"),
        row("next to a driver's claim", pod(&["missing-data", "px-data"]), Reason::Injected).sets("stork"),
        row("inject, next to a driver's claim", pod(&["missing-data", "px-data"]), Reason::Injected)
            .under(inject_missing())
            .sets("stork"),
        row("next to a claim without a driver", pod(&["local-data", "missing-data"]), Reason::ClaimMissing)
            .warns("claim `missing-data` does not exist"),
        row("unknown", pod(&["unknown-data"]), Reason::ClaimUnknown)
            .warns("claim `unknown-data`: its StorageClass `deleted` does not exist"),
        row("unknown is not missing", pod(&["unknown-data"]), Reason::ClaimUnknown)
            .under(inject_missing())
            .warns("claim `unknown-data`"),
        row("missing takes precedence over unknown", pod(&["unknown-data", "missing-data"]), Reason::ClaimMissing)
            .warns("claim `missing-data` does not exist"),
        row("unknown next to a driver's claim", pod(&["unknown-data", "px-data"]), Reason::Injected).sets("stork"),
        row(
            "a template's claim may come later",
            Ask::create(DEPLOYMENT, mounts(&["missing-data"])),
            Reason::ClaimMissing,
        ),
        row("inject, in a template", Ask::create(DEPLOYMENT, mounts(&["missing-data"])), Reason::ClaimMissing)
            .under(inject_missing()),
        row("a template's class may come later", Ask::create(JOB, mounts(&["unknown-data"])), Reason::ClaimUnknown),
    ]
}

fn drivers() -> Vec<Row> {
    let both = ["linstor-data", "px-data"];
    let reversed = Policy { drivers: Drivers(vec![linstor(), Driver::portworx()]), ..policy() };
    let twins = Driver { scheduler: "stork".into(), ..linstor() };
    let one_scheduler = Policy { drivers: Drivers(vec![Driver::portworx(), twins]), ..policy() };
    vec![
        row("the second driver", Ask::create(POD, mounts(&["linstor-data"])), Reason::Injected)
            .under(two_drivers())
            .sets("linstor-scheduler"),
        row("a driver that is not configured", Ask::create(POD, mounts(&["linstor-data"])), Reason::NoDriver),
        row("two drivers: the first configured one wins", Ask::create(POD, mounts(&both)), Reason::Injected)
            .under(two_drivers())
            .sets("stork")
            .warns("the pod mounts claims of portworx and linstor: stork schedules it"),
        row("two drivers in the reverse order", Ask::create(POD, mounts(&both)), Reason::Injected)
            .under(reversed)
            .sets("linstor-scheduler")
            .warns("the pod mounts claims of linstor and portworx: linstor-scheduler schedules it"),
        row("two drivers in a template", Ask::create(STATEFUL_SET, mounts(&both)), Reason::Injected)
            .under(two_drivers())
            .sets("stork")
            .warns("use one driver per pod"),
        row("two claims of one driver", Ask::create(POD, mounts(&["px-data", "px-logs"])), Reason::Injected)
            .under(two_drivers())
            .sets("stork"),
        row("two drivers with one scheduler", Ask::create(POD, mounts(&both)), Reason::Injected)
            .under(one_scheduler)
            .sets("stork"),
    ]
}

/// A scheduler like Stork's before 25.2.0.
fn recognition() -> Vec<Row> {
    use Evidence::{BetaProvisionerAnnotation, Class, GaProvisionerAnnotation, InTree};
    use Evidence::{InlineCsi, NoProvisioner, ProvisionedBy};
    let portworx = |recognises: &[Evidence]| Driver { recognises: recognises.to_vec(), ..Driver::portworx() };
    let under = |drivers: Vec<Driver>| Policy { drivers: Drivers(drivers), ..policy() };
    let stork = under(vec![portworx(&[Class, BetaProvisionerAnnotation, ProvisionedBy, InTree])]);
    let ephemeral = json!({"volumeClaimTemplate": {"spec": {"storageClassName": "px"}}});
    let pod = |volumes: Value| Ask::create(POD, with_volumes(&volumes));
    let volume = |source: Value| pod(json!([source.with("/name", json!("v"))]));
    let inline = volume(json!({"csi": {"driver": "pxd.portworx.com"}}));
    let both = json!([{"name": "v", "csi": {"driver": "pxd.portworx.com"}}, claim_volume("px-data")]);
    let missing = json!([{"name": "v", "csi": {"driver": "pxd.portworx.com"}}, claim_volume("missing-data")]);
    let dropped = Ask::update(
        DEPLOYMENT,
        with_volumes(&json!([claim_volume("ga-data")])).scheduler("stork"),
        with_volumes(&json!([claim_volume("ga-data")])),
    );
    let named = |claim: &str| Ask::create(POD, mounts(&[claim]));
    vec![
        row("by its class", named("px-data"), Reason::Injected).under(stork.clone()).sets("stork"),
        row("by the beta annotation", named("beta-data"), Reason::Injected).under(stork.clone()).sets("stork"),
        row("by the GA annotation alone", named("ga-data"), Reason::NotRecognised).under(stork.clone()),
        row("by the GA annotation and an in-tree class", named("migrated-data"), Reason::Injected)
            .under(stork.clone())
            .sets("stork"),
        row("by the GA annotation and a class of another driver", named("recreated-data"), Reason::NotRecognised)
            .under(stork.clone()),
        row("by one of its two annotations", named("both-data"), Reason::Injected)
            .under(under(vec![portworx(&[GaProvisionerAnnotation])]))
            .sets("stork"),
        row("a static volume whose class hides it", named("static-annotated"), Reason::NotRecognised)
            .under(stork.clone()),
        row("an in-tree volume whose class hides it", named("static-in-tree"), Reason::NotRecognised)
            .under(stork.clone()),
        row("a static volume, if the class does not prevent it", named("static-csi"), Reason::Injected)
            .under(under(vec![portworx(&[NoProvisioner])]))
            .sets("stork"),
        row(
            "an ephemeral volume is known by nothing else",
            volume(json!({"ephemeral": ephemeral})),
            Reason::NotRecognised,
        )
        .under(under(vec![portworx(&[Class, NoProvisioner])])),
        row("by the annotation of its volume", named("annotated-data"), Reason::Injected)
            .under(stork.clone())
            .sets("stork"),
        row("by the CSI driver of its volume", named("csi-data"), Reason::NotRecognised).under(stork.clone()),
        row("by its in-tree volume", named("in-tree-data"), Reason::Injected).under(stork.clone()).sets("stork"),
        row("an in-tree volume of a pod", volume(json!({"portworxVolume": {"volumeID": "1"}})), Reason::Injected)
            .under(stork.clone())
            .sets("stork"),
        row("an inline CSI volume", inline.clone(), Reason::NotRecognised).under(stork.clone()),
        row("an ephemeral volume", volume(json!({"ephemeral": ephemeral})), Reason::NotRecognised).under(stork.clone()),
        row("next to a claim that is recognized", pod(both), Reason::Injected).under(stork.clone()).sets("stork"),
        row("next to a missing claim", pod(missing), Reason::ClaimMissing)
            .under(stork.clone())
            .warns("claim `missing-data` does not exist"),
        row("a template", Ask::create(DEPLOYMENT, mounts(&["csi-data"])), Reason::NotRecognised).under(stork.clone()),
        row("an update that drops the scheduler never rolls the pods", dropped, Reason::Kept)
            .under(stork)
            .sets("stork"),
        row("what one driver's scheduler recognizes", inline, Reason::Injected)
            .under(under(vec![portworx(&[InlineCsi])]))
            .sets("stork"),
        row("by default, everything", named("csi-data"), Reason::Injected).sets("stork"),
        row("by default, the GA annotation too", named("ga-data"), Reason::Injected).sets("stork"),
    ]
}

/// Objects that name a driver's scheduler: it is never changed, but a warning says if it does not fit their claims.
fn named_schedulers() -> Vec<Row> {
    let twins = Driver { scheduler: "stork".into(), ..linstor() };
    let one_scheduler = Policy { drivers: Drivers(vec![Driver::portworx(), twins]), ..policy() };
    let opted_out = mounts(&[]).scheduler("stork").annotated(DISABLE_HYPERCONVERGENCE, "true");
    let mut rows = vec![
        row(
            "a custom resource without claims",
            Ask::create(ROLLOUT, mounts(&[]).scheduler("stork")),
            Reason::AlreadySet,
        ),
        row("an opted-out pod without claims", Ask::create(POD, opted_out), Reason::OptOutWithoutEffect)
            .warns("opts out, but schedulerName is still stork"),
        row(
            "a pod without claims on a node",
            Ask::create(POD, mounts(&[]).scheduler("stork").with("/spec/nodeName", json!("n"))),
            Reason::NodeNameSet,
        ),
    ];
    for kind in std::iter::once(POD).chain(template_kinds()).filter(|kind| kind.name != ROLLOUT.name) {
        let ask = Ask::create(kind, mounts(&[]).scheduler("stork"));
        let named = row("it has no claim", ask, Reason::AlreadySet);
        rows.push(named.warns("no claim belongs to portworx: set schedulerName: default-scheduler"));
    }
    for kind in std::iter::once(POD).chain(template_kinds()) {
        let named = |claims: &[&str]| row("", Ask::create(kind, mounts(claims).scheduler("stork")), Reason::AlreadySet);
        let row = |name: &str, row: Row| Row { name: name.to_owned(), ..row };
        rows.extend([
            row("its claim belongs to the driver", named(&["px-data"])),
            row("one of its claims belongs to the driver", named(&["local-data", "px-data"])),
            row("its claim belongs to no driver", named(&["local-data"]))
                .warns("no claim belongs to portworx: set schedulerName: default-scheduler"),
            row("its claim was bound by hand", named(&["by-hand-data"])).warns("scheduler-without-claim"),
            row("its claim belongs to another driver", named(&["linstor-data"]))
                .under(two_drivers())
                .warns("no claim belongs to portworx: set schedulerName: linstor-scheduler"),
            row("its claims belong to two drivers", named(&["linstor-data", "px-data"]))
                .under(two_drivers())
                .warns("the pod mounts claims of portworx and linstor: stork schedules it"),
            row("two drivers share the scheduler", named(&["linstor-data"])).under(one_scheduler.clone()),
            row("no claim belongs to either driver", named(&["local-data"]))
                .under(one_scheduler.clone())
                .warns("schedulerName is stork, but no claim belongs to portworx or linstor: set schedulerName:"),
            row("a claim is missing", named(&["local-data", "missing-data"])),
            row("a claim is unknown", named(&["linstor-data", "unknown-data"])).under(two_drivers()),
            row("a claim is bound to its volume later", named(&["linstor-data", "late-data"])).under(two_drivers()),
        ]);
    }
    rows
}

fn unsupported() -> Vec<Row> {
    let operation = |operation: &str, object| Ask::new(POD, operation, &object, &px());
    let resize = Ask::update(POD, px().scheduler("stork"), px()).with_request("/subResource", json!("resize"));
    let whole = Ask::create(POD, px()).with_request("/subResource", json!(""));
    vec![
        row("a delete", operation("DELETE", Value::Null), Reason::UnsupportedOperation),
        row("a connect", operation("CONNECT", json!({"kind": "PodExecOptions"})), Reason::UnsupportedOperation),
        row("a subresource", resize, Reason::UnsupportedOperation),
        row("an empty subresource counts as absent", whole, Reason::Injected).sets("stork"),
        row("another kind", Ask::create(kind("", "ConfigMap", "/spec"), px()), Reason::UnsupportedKind),
        row(
            "a kind of another group",
            Ask::create(Kind { group: "x.example.test", ..POD }, px()),
            Reason::UnsupportedKind,
        ),
        row(
            "a kind of another version",
            Ask::create(Kind { version: "v1beta1", ..CRON_JOB }, px()),
            Reason::UnsupportedKind,
        ),
    ]
}

tests! {
    pods_are_decided_when_they_are_created: pods;
    pods_that_colocate_must_not_place_are_left_alone: left_pods;
    all_volume_sources_of_a_driver_count: volumes;
    missing_and_unknown_claims_follow_the_policy: missing_claims;
    the_first_configured_driver_wins: drivers;
    a_claim_that_the_scheduler_does_not_recognise_does_not_count: recognition;
    a_named_scheduler_without_a_claim_of_its_driver_is_warned_about: named_schedulers;
    unsupported_kinds_and_operations_are_reported: unsupported;
}
