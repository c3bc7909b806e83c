//! Properties that hold for every row, and the texts of decisions.

use std::collections::HashSet;

use super::*;
use crate::entries::KEPT;
use crate::owners::MAX_DESCRIPTION;

#[test]
fn every_reason_is_reached_by_a_row() {
    let rows = table();
    let mut missing: HashSet<_> = Reason::ALL.iter().copied().collect();
    for row in &rows {
        missing.remove(&row.reason);
        for mode in [Mode::Audit, Mode::Off] {
            let policy = Policy { mode, ..row.policy.clone() };
            missing.remove(&Answer::to(&row.ask, &policy, Order::ApiServer).reason);
        }
    }
    // The API server does not send reviews for such a Namespace.
    missing.remove(&Reason::NamespaceOptedOut);
    assert!(missing.is_empty(), "no row has the reason {missing:?}");
}

#[test]
fn an_object_in_an_opted_out_namespace_is_left_alone() {
    let policy = policy();
    let workload = policy.workloads.find_object("apps/v1", "Deployment").unwrap();
    let object = object(DEPLOYMENT, mounts(&["px-data"])).to_string();
    let reason = |opted_out| match examine(&policy, &Request::from_manifest(workload, "demo", opted_out, &object)) {
        Examination::Decided(decision) => Some(decision.reason),
        Examination::Resolve(pending) => {
            assert!(!pending.may_wait());
            None
        }
    };
    assert_eq!(reason(true), Some(Reason::NamespaceOptedOut));
    assert_eq!(reason(false), None);
}

#[test]
fn the_order_of_request_fields_does_not_matter() {
    for row in table() {
        let answer = |order| {
            let mut answer = Answer::to(&row.ask, &row.policy, order);
            // The position of an error does depend on the order.
            for warning in &mut answer.warnings {
                *warning = warning.split(" at line ").next().unwrap().to_owned();
            }
            answer
        };
        assert_eq!(answer(Order::ApiServer), answer(Order::Reversed), "{}: {}", row.ask.kind.name, row.name);
    }
}

/// A number of claims after which a claim is kept only if it can affect the decision.
const MANY: usize = 600;

#[test]
fn a_claim_after_many_others_is_used() {
    let mut tried = 0;
    for row in table() {
        let answer_after = |many: usize| {
            let mut ask = row.ask.clone();
            for object in ["object", "oldObject"] {
                let volumes = format!("/request/{object}{}/spec/volumes", row.ask.kind.template);
                if let Some(Value::Array(volumes)) = ask.review.pointer_mut(&volumes) {
                    volumes.splice(0..0, (0..many).map(claim_of_no_driver));
                }
            }
            Answer::to(&ask, &row.policy, Order::ApiServer)
        };
        let (one, all) = (answer_after(1), answer_after(MANY));
        let name = format!("{}: {}", row.ask.kind.name, row.name);
        assert_eq!((all.reason, &all.patch, &all.scheduler), (one.reason, &one.patch, &one.scheduler), "{name}");
        assert_eq!(all.warnings, one.warnings, "{name}");
        tried += usize::from(all.found.contains("local-data"));
    }
    assert!(tried > 20, "{tried} rows have volumes that were looked up");
}

fn claim_of_no_driver(number: usize) -> Value {
    json!({"name": format!("before-{number}"), "persistentVolumeClaim": {"claimName": "local-data"}})
}

#[test]
fn audit_decides_the_same_without_changes_and_warnings() {
    for row in table() {
        let policy = Policy { mode: Mode::Audit, ..row.policy.clone() };
        let inject = Answer::to(&row.ask, &row.policy, Order::ApiServer);
        let audit = Answer::to(&row.ask, &policy, Order::ApiServer);
        let reason = match inject.reason {
            Reason::Injected | Reason::InjectedMissing => Reason::WouldInject,
            Reason::Kept => Reason::WouldKeep,
            other => other,
        };
        assert_eq!(audit, Answer { reason, patch: None, warnings: Vec::new(), ..inject }, "{}", row.name);
    }
}

#[test]
fn off_decides_nothing() {
    for row in table() {
        let policy = Policy { mode: Mode::Off, ..row.policy.clone() };
        let answer = Answer::to(&row.ask, &policy, Order::ApiServer);
        assert_eq!(answer, Answer::from(Decision::leave(Reason::Off)), "{}", row.name);
    }
}

#[test]
fn no_warning_of_the_table_is_truncated() {
    let warnings = |row: &Row| Answer::to(&row.ask, &row.policy, Order::ApiServer).warnings;
    let warnings: Vec<_> = table().iter().flat_map(warnings).collect();
    assert!(warnings.len() > 10, "{warnings:#?}");
    for warning in warnings {
        assert!(warning.starts_with("colocate: ") && !warning.ends_with('…'), "{warning}");
    }
}

/// Examines a request up to the lookup of its claims, and passes the result to `test`.
fn pending<T>(ask: &Ask, policy: &Policy, test: impl FnOnce(Pending<'_>) -> T) -> T {
    let body = encode(&ask.review, Order::ApiServer);
    let review = Review::parse(body.as_bytes(), &policy.workloads).unwrap();
    match examine(policy, &review.request) {
        Examination::Resolve(pending) => test(pending),
        Examination::Decided(decision) => panic!("decided before its claims were looked up: {decision:?}"),
    }
}

#[test]
fn only_a_stored_pod_in_mode_inject_may_wait() {
    let may_wait = |kind, mode| {
        let policy = Policy { mode, ..policy() };
        pending(&Ask::create(kind, mounts(&["missing-data"])), &policy, |pending| pending.may_wait())
    };
    assert!(may_wait(POD, Mode::Inject));
    assert!(!may_wait(POD, Mode::Audit));
    assert!(!may_wait(DEPLOYMENT, Mode::Inject));
    assert!(!may_wait(JOB, Mode::Inject));
    let dry_run = Ask::create(POD, mounts(&["missing-data"])).with_request("/dryRun", json!(true));
    assert!(!pending(&dry_run, &policy(), |pending| pending.may_wait()));
    let named = Ask::create(POD, mounts(&["missing-data"]).scheduler("stork"));
    assert!(!pending(&named, &policy(), |pending| pending.may_wait()), "only a warning depends on the claim");
}

#[test]
fn a_driver_among_the_owners_is_detected() {
    let owner = |provisioner: &str| Owner::Provisioner {
        class: None,
        provisioner: provisioner.into(),
        evidence: Evidence::Class.into(),
        unread_volume: None,
    };
    pending(&Ask::create(POD, mounts(&["px-data"])), &policy(), |pending| {
        assert!(pending.has_driver(&[Owner::Missing, owner("pxd.portworx.com")]));
        assert!(!pending.has_driver(&[Owner::Missing, Owner::NoProvisioner, owner("local.example.test")]));
        assert!(!pending.has_driver(&[Owner::Unknown(Unknown::Unbound)]));
    });
    let (px, linstor) = (owner("pxd.portworx.com"), owner("linstor.csi.linbit.com"));
    let named = Ask::create(POD, mounts(&["px-data"]).scheduler("stork"));
    let dropped = Ask::update(DEPLOYMENT, super::px().scheduler("stork"), super::px());
    for ask in [named, dropped] {
        pending(&ask, &two_drivers(), |pending| {
            assert!(pending.has_driver([&linstor, &px]));
            assert!(!pending.has_driver([&linstor]), "another driver does not decide");
        });
    }
}

#[test]
fn claims_are_described_in_one_line() {
    let claims = ["px-data", "local-data", "by-hand-data", "missing-data", "unknown-data"];
    let volumes = mounts(&claims)["spec"]["volumes"].as_array().unwrap().clone();
    let inline = json!({"name": "id", "portworxVolume": {"volumeID": "1"}});
    let ephemeral = json!({"name": "tmp", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}});
    let template = with_volumes(&volumes.into_iter().chain([inline, ephemeral]).collect());
    let answer = Answer::to(&Ask::create(POD, template), &policy(), Order::ApiServer);
    assert_eq!(
        answer.found.split("; ").collect::<Vec<_>>(),
        [
            "claim `px-data`: class px, provisioner pxd.portworx.com, driver portworx",
            "claim `local-data`: class local, provisioner local.example.test, driver none",
            "claim `by-hand-data`: bound to a volume without a driver",
            "claim `missing-data`: missing",
            "claim `unknown-data`: unknown: its StorageClass `deleted` does not exist",
            "volume `id`: provisioner kubernetes.io/portworx-volume, driver portworx",
            "claim template `tmp`: class standard, provisioner pxd.portworx.com, driver portworx",
        ]
    );
}

#[test]
fn unsafe_characters_are_replaced_in_the_description() {
    let volumes = json!([
        {"name": "v\u{202e}1", "csi": {"driver": "a\nb"}},
        {"name": "w", "persistentVolumeClaim": {"claimName": "c\u{2028}\u{9b}"}},
        {"name": "x", "ephemeral": {"volumeClaimTemplate": {"spec": {"storageClassName": "d\u{7f}"}}}},
    ]);
    let answer = Answer::to(&Ask::create(POD, with_volumes(&volumes)), &policy(), Order::ApiServer);
    assert!(!answer.found.contains(crate::is_unsafe), "{:?}", answer.found);
    assert!(answer.found.starts_with("volume `v\u{fffd}1`: provisioner a\u{fffd}b, driver none; "), "{}", answer.found);
}

#[test]
fn the_description_of_many_claims_is_truncated() {
    let describe = |claim| {
        let mut volumes: Vec<_> = (0..MANY).map(claim_of_no_driver).collect();
        volumes.push(json!({"name": "last", "persistentVolumeClaim": {"claimName": claim}}));
        Answer::to(&Ask::create(POD, with_volumes(&volumes.into())), &policy(), Order::ApiServer).found
    };
    let found = describe("px-data");
    let lines: Vec<_> = found.split("; ").collect();
    assert_eq!(lines.len(), KEPT + 2);
    assert_eq!(lines[KEPT - 1], "claim `local-data`: class local, provisioner local.example.test, driver none");
    assert_eq!(lines[KEPT..], ["claim `px-data`: class px, provisioner pxd.portworx.com, driver portworx", "and more"]);
    assert!(describe("missing-data").ends_with("driver none; and more"));
}

#[test]
fn the_description_of_claims_with_long_names_is_bounded() {
    let volume = |number| json!({"name": "v", "csi": {"driver": format!("{number}{}", "n".repeat(5_000))}});
    let template = with_volumes(&(0..200).map(volume).collect());
    let found = Answer::to(&Ask::create(POD, template), &policy(), Order::ApiServer).found;
    assert!((MAX_DESCRIPTION..MAX_DESCRIPTION + 1_000).contains(&found.len()), "{} bytes", found.len());
    assert!(found.ends_with("; and more"));
}

#[test]
fn warnings_name_the_problem_and_the_remedy() {
    let warning = |template| Answer::to(&Ask::create(POD, template), &policy(), Order::ApiServer).warnings;
    assert_eq!(
        warning(mounts(&["px-data"]).annotated(DISABLE_HYPERCONVERGENCE, "yes")),
        [concat!(
            "colocate: opt-out-invalid: stork.libopenstorage.org/disableHyperconvergence is ignored because \"yes\" is ",
            "not a boolean; use \"true\" to opt out"
        )]
    );
    assert_eq!(
        warning(mounts(&["px-data"]).annotated(DISABLE_HYPERCONVERGENCE, "true").scheduler("stork")),
        [concat!(
            "colocate: opt-out-without-effect: stork.libopenstorage.org/disableHyperconvergence opts out, but ",
            "schedulerName is still stork: in addition to the opt-out, set schedulerName: ",
            "default-scheduler"
        )]
    );
    assert_eq!(
        warning(mounts(&["missing-data"]).with("/spec/schedulerName", Value::Null)),
        [concat!(
            "colocate: claim-missing: claim `missing-data` does not exist; the pod keeps scheduler default-scheduler, ",
            "which cannot be changed later: fix this, then create the pod again"
        )]
    );
}

#[test]
fn warnings_about_schedulers_name_the_consequence_for_pods() {
    let warning = |kind, policy: &Policy| {
        let ask = Ask::create(kind, px()).with_presence(schedulers::stale());
        Answer::to(&ask, policy, Order::ApiServer).warnings
    };
    let (inject, skip) = (away_policy(Away::Skip, Away::Inject), away_policy(Away::Inject, Away::Skip));
    let away = "scheduler `stork` is not running (Lease kube-system/stork is not renewed)";
    for (kind, policy, line) in [
        (POD, &inject, format!("scheduler-away: {away}: the pod stays Pending until it is back")),
        (DEPLOYMENT, &inject, format!("scheduler-away: {away}: its pods stay Pending until it is back")),
        (
            POD,
            &skip,
            format!(
                "scheduler-stale: {away}; the pod keeps scheduler default-scheduler, which cannot be changed later: start `stork`, then create the pod again"
            ),
        ),
        (
            DEPLOYMENT,
            &skip,
            format!(
                "scheduler-stale: {away}: start it. The template keeps scheduler default-scheduler, and pods created before `stork` runs keep default-scheduler permanently"
            ),
        ),
    ] {
        assert_eq!(warning(kind, policy), [format!("colocate: {line}")]);
    }
}

#[test]
fn the_default_policy_has_the_nine_built_in_kinds() {
    let workloads = Workloads::default();
    for kind in [&CHANGEABLE[..], &FIXED].concat() {
        let workload = workloads.find(kind.group, kind.version, kind.name).unwrap();
        let keys: Vec<_> = kind.template.split('/').skip(1).collect();
        assert!(workload.path == keys, "{kind:?}");
        assert!(workloads.find("other.example.test", kind.version, kind.name).is_none());
        assert!(workloads.find(kind.group, "v1beta1", kind.name).is_none());
    }
    assert!(workloads.find(ROLLOUT.group, ROLLOUT.version, ROLLOUT.name).is_none());
}

#[test]
fn a_custom_workload_replaces_a_built_in_kind() {
    let custom = Workload {
        group: "apps".to_owned(),
        version: "v1".to_owned(),
        kind: "Deployment".to_owned(),
        path: vec!["elsewhere".to_owned()],
        update: Update::Allowed,
        custom: true,
    };
    let policy = Policy { workloads: Workloads::new([custom]), ..Policy::default() };
    let moved = Kind { template: "/elsewhere", ..DEPLOYMENT };
    check_all(&[
        row("its template is read at the configured path", Ask::create(moved, mounts(&["px-data"])), Reason::Injected)
            .under(policy.clone())
            .sets("stork"),
        row("and not at the built-in path", Ask::create(DEPLOYMENT, mounts(&["px-data"])), Reason::NoTemplate)
            .under(policy),
    ]);
}
