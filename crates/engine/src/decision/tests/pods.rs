//! Decisions about pods, by what they mount and what they say.

use super::*;

pub(super) fn all() -> Vec<Row> {
    [pods(), left_pods(), volumes(), missing_claims(), drivers(), unsupported()].into_iter().flatten().collect()
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
        row("whoever owns it", ask.clone().controlled_by("apps/v1", "ReplicaSet"), Reason::Injected).sets("stork"),
        row("templates: leave changes pods", ask.clone(), Reason::Injected).under(templates_left()).sets("stork"),
        row("a scheduler of the list", pod(px().scheduler("mine")), Reason::Injected)
            .under(replaceable(&["other", "mine"]))
            .sets("stork"),
        row(
            "an explicit default in its manifest is no opt-out",
            ask.clone().last_applied(&manifest(POD)),
            Reason::Injected,
        )
        .sets("stork"),
        row("nor in an applier's fields", ask.managed("Apply", &owned_fields(POD)), Reason::Injected).sets("stork"),
    ]
}

fn left_pods() -> Vec<Row> {
    let pod = |template| Ask::create(POD, template);
    vec![
        row("a mirror pod", pod(px().annotated(MIRROR_POD, "abc")), Reason::MirrorPod),
        row("on a node already", pod(px().with("/spec/nodeName", json!("n1"))), Reason::NodeNameSet),
        row("an empty node name is none", pod(px().with("/spec/nodeName", json!(""))), Reason::Injected).sets("stork"),
        row(
            "in a group",
            pod(px().with("/spec/schedulingGroup", json!({"podGroupName": "g"}))),
            Reason::SchedulingGroup,
        ),
        row("a null group is none", pod(px().with("/spec/schedulingGroup", Value::Null)), Reason::Injected)
            .sets("stork"),
        row("another scheduler", pod(px().scheduler("mine")), Reason::OtherScheduler),
        row("another scheduler that begins alike", pod(px().scheduler("default-scheduler2")), Reason::OtherScheduler),
        row("the default where it is not replaceable", pod(px()), Reason::OtherScheduler).under(replaceable(&["mine"])),
        row("the driver's scheduler", pod(px().scheduler("stork")), Reason::AlreadySet),
        row("the scheduler of another driver", pod(px().scheduler("linstor-scheduler")), Reason::AlreadySet)
            .under(two_drivers()),
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
        row("an inline volume of one that begins alike", csi("pxd.portworx.com.example.test"), Reason::NoDriver),
        row("an inline volume of one that Portworx begins like", csi("pxd"), Reason::NoDriver),
        row("an inline volume of another driver", csi("secrets-store.csi.k8s.io"), Reason::NoDriver),
        row("a volume by its id", volume(json!({"portworxVolume": {"volumeID": "1"}})), Reason::Injected).sets("stork"),
        row("a volume by its id where Portworx is no driver", volume(json!({"portworxVolume": {}})), Reason::NoDriver)
            .under(Policy { drivers: Drivers(vec![linstor()]), ..policy() }),
        row("a claim of another provisioner", Ask::create(POD, mounts(&["local-data"])), Reason::NoDriver),
        row("a claim of nobody", Ask::create(POD, mounts(&["by-hand-data"])), Reason::NoDriver),
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
        row("skip", pod(&["missing-data"]), Reason::ClaimMissing).warns("claim `missing-data` does not exist"),
        row("inject", pod(&["missing-data"]), Reason::InjectedMissing).under(inject_missing()).sets("stork"),
        row("inject the first driver", pod(&["missing-data"]), Reason::InjectedMissing)
            .under(Policy { drivers: first, ..inject_missing() })
            .sets("linstor-scheduler"),
        row("inject, and there is no driver", pod(&["missing-data"]), Reason::ClaimMissing)
            .under(no_drivers)
            .warns("claim `missing-data` does not exist"),
        row("beside one of a driver", pod(&["missing-data", "px-data"]), Reason::Injected).sets("stork"),
        row("inject, beside one of a driver", pod(&["missing-data", "px-data"]), Reason::Injected)
            .under(inject_missing())
            .sets("stork"),
        row("beside one of no driver", pod(&["local-data", "missing-data"]), Reason::ClaimMissing)
            .warns("claim `missing-data` does not exist"),
        row("unknown", pod(&["unknown-data"]), Reason::ClaimUnknown)
            .warns("claim `unknown-data`: its StorageClass `deleted` does not exist"),
        row("unknown is not missing", pod(&["unknown-data"]), Reason::ClaimUnknown)
            .under(inject_missing())
            .warns("claim `unknown-data`"),
        row("missing says more than unknown", pod(&["unknown-data", "missing-data"]), Reason::ClaimMissing)
            .warns("claim `missing-data` does not exist"),
        row("unknown beside one of a driver", pod(&["unknown-data", "px-data"]), Reason::Injected).sets("stork"),
        row(
            "a template's claim may come later",
            Ask::create(DEPLOYMENT, mounts(&["missing-data"])),
            Reason::ClaimMissing,
        ),
        row("inject, of a template", Ask::create(DEPLOYMENT, mounts(&["missing-data"])), Reason::ClaimMissing)
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
        row("of two, the first of the configuration", Ask::create(POD, mounts(&both)), Reason::Injected)
            .under(two_drivers())
            .sets("stork")
            .warns("claims of portworx and linstor in one pod: stork schedules it"),
        row("of two, the first of the other configuration", Ask::create(POD, mounts(&both)), Reason::Injected)
            .under(reversed)
            .sets("linstor-scheduler")
            .warns("claims of linstor and portworx in one pod: linstor-scheduler schedules it"),
        row("of two, in a template", Ask::create(STATEFUL_SET, mounts(&both)), Reason::Injected)
            .under(two_drivers())
            .sets("stork")
            .warns("use one driver a pod"),
        row("two claims of one driver", Ask::create(POD, mounts(&["px-data", "px-logs"])), Reason::Injected)
            .under(two_drivers())
            .sets("stork"),
        row("two drivers with one scheduler", Ask::create(POD, mounts(&both)), Reason::Injected)
            .under(one_scheduler)
            .sets("stork"),
    ]
}

fn unsupported() -> Vec<Row> {
    let operation = |operation: &str, object| Ask::new(POD, operation, &object, &px());
    let resize = Ask::update(POD, px().scheduler("stork"), px()).with_request("/subResource", json!("resize"));
    let whole = Ask::create(POD, px()).with_request("/subResource", json!(""));
    vec![
        row("a delete", operation("DELETE", Value::Null), Reason::UnsupportedOperation),
        row("a connect", operation("CONNECT", json!({"kind": "PodExecOptions"})), Reason::UnsupportedOperation),
        row("a subresource", resize, Reason::UnsupportedOperation),
        row("an empty subresource is none", whole, Reason::Injected).sets("stork"),
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
    pods_are_decided_when_they_are_created_whoever_owns_them: pods;
    a_pod_is_left_alone_where_another_places_it: left_pods;
    every_kind_of_volume_that_a_driver_may_own_counts: volumes;
    a_missing_or_unknown_claim_follows_the_policy_and_earns_a_pod_a_warning: missing_claims;
    the_first_driver_of_the_configuration_wins: drivers;
    what_is_not_decided_about_says_so: unsupported;
}
