//! The scheduler that pods get, as it depends on the configuration, the Namespace and their claims.

use super::*;

/// Opt-outs of these kinds of the group `apps`.
fn owners_of(kinds: &[&str]) -> OptOut {
    let owner = |kind: &&str| OwnerKind { group: "apps".to_owned(), kind: (*kind).to_owned() };
    OptOut { owners: kinds.iter().map(owner).collect(), ..OptOut::default() }
}

#[test]
fn enforcement_depends_on_the_configuration() {
    let local = deployment(&[(LOCAL_ONLY, "true")], &["data"]);
    let default = Policy::default;
    for (policy, enforced) in [
        (default(), true),
        (Policy { mode: Mode::Audit, ..default() }, false),
        (Policy { mode: Mode::Off, ..default() }, false),
        (Policy { templates: Templates::Leave, ..default() }, true),
        // The pods of a Deployment are controlled by a ReplicaSet.
        (Policy { opt_out: owners_of(&["Deployment"]), ..default() }, true),
        (Policy { opt_out: owners_of(&["Deployment", "ReplicaSet"]), ..default() }, false),
        (Policy { opt_out: owners_of(&["StatefulSet"]), ..default() }, true),
        (Policy { replaceable: ReplaceableSchedulers(vec!["x".to_owned()]), ..default() }, true),
    ] {
        let report = check_with(&local, &policy, &Severities::default(), strategies());
        assert_eq!(found(&report, Rule::LocalOnlyUnenforced).is_empty(), enforced, "{policy:?}");
    }
    let driver = Driver { name: "px".into(), scheduler: "own-stork".into(), ..Driver::portworx() };
    let policy = Policy { drivers: Drivers(vec![driver]), ..default() };
    for (scheduler, enforced) in [("own-stork", true), ("stork", false)] {
        let report =
            check_with(&with_scheduler(local.clone(), scheduler), &policy, &Severities::default(), strategies());
        assert_eq!(found(&report, Rule::LocalOnlyUnenforced).is_empty(), enforced, "{scheduler}");
    }
}

#[test]
fn the_configuration_states_what_stork_recognizes() {
    let inline = json!({ "csi": { "driver": "pxd.portworx.com" } });
    let ephemeral = objects::inline_claim;
    let all = Evidence::ALL.to_vec();
    let local = [(LOCAL_ONLY, "true")];
    for (recognises, object, unrecognized, given) in [
        // The default says nothing about Stork's version.
        (all.clone(), with_volume(inline.clone(), &local, &[]), true, true),
        (all, with_volume(ephemeral(), &local, &[]), true, true),
        (vec![Evidence::Class, Evidence::Ephemeral], with_volume(ephemeral(), &local, &[]), false, false),
        (vec![Evidence::Class, Evidence::InlineCsi], with_volume(inline.clone(), &local, &[]), false, false),
        (vec![Evidence::Class, Evidence::GaProvisionerAnnotation], deployment(&local, &["ga"]), false, false),
        (vec![Evidence::Class, Evidence::StaticCsi], deployment(&local, &["static"]), false, false),
        // The pod keeps its scheduler, unless it names Stork.
        (vec![Evidence::Class], with_volume(ephemeral(), &local, &[]), true, false),
        (vec![Evidence::Class], with_scheduler(with_volume(ephemeral(), &local, &[]), "stork"), true, true),
        (vec![Evidence::InTree], deployment(&local, &["data"]), true, false),
    ] {
        let driver = Driver { recognises, ..Driver::portworx() };
        let policy = Policy { drivers: Drivers(vec![driver]), ..Policy::default() };
        let report = check_with(&object, &policy, &Severities::default(), strategies());
        let count = |rule| found(&report, rule).len();
        let expected = (usize::from(unrecognized), usize::from(given));
        assert_eq!((count(Rule::Unrecognized), count(Rule::NotRecognised)), expected, "{policy:?} {object}");
    }
}

#[test]
fn a_stated_ephemeral_volume_has_the_settings_of_a_claim() {
    let driver = Driver { recognises: vec![Evidence::Class, Evidence::Ephemeral], ..Driver::portworx() };
    let policy = Policy { drivers: Drivers(vec![driver]), ..Policy::default() };
    let mut volume = objects::inline_claim();
    volume["ephemeral"]["volumeClaimTemplate"] = claim("px", ONCE, &[(REMOTE_ONLY, "true")]);
    let report = check_with(&with_volume(volume, &[], &[]), &policy, &Severities::default(), strategies());
    let rules: Vec<_> = report.findings.iter().map(|finding| finding.rule).collect();
    assert_eq!(rules, [Rule::RemoteNotShared]);
}

#[test]
fn only_pods_that_are_given_to_stork_gain_nothing_from_it() {
    let default = Policy::default;
    let of_other = Driver {
        name: "other".into(),
        provisioners: vec!["other.example.test".into()],
        scheduler: "other-scheduler".into(),
        ..Driver::portworx()
    };
    let inline = || objects::with_volume(objects::inline_claim(), &[], &["other"]);
    let mut stateful = inline();
    stateful["kind"] = "StatefulSet".into();
    let named = |scheduler| with_scheduler(inline(), scheduler);
    for (policy, object, count) in [
        (default(), inline(), 1),
        (Policy { mode: Mode::Audit, ..default() }, inline(), 0),
        (Policy { mode: Mode::Off, ..default() }, inline(), 0),
        (Policy { mode: Mode::Off, ..default() }, named("stork"), 1),
        // Its pods get their scheduler when they are created.
        (Policy { templates: Templates::Leave, ..default() }, inline(), 1),
        (Policy { opt_out: owners_of(&["StatefulSet"]), ..default() }, stateful.clone(), 0),
        (Policy { opt_out: owners_of(&["DaemonSet"]), ..default() }, stateful, 1),
        (Policy { opt_out: owners_of(&["Deployment", "ReplicaSet"]), ..default() }, inline(), 0),
        (Policy { opt_out: owners_of(&["Deployment", "ReplicaSet"]), ..default() }, named("stork"), 1),
        // The claim of another driver decides, or its scheduler is named.
        (Policy { drivers: Drivers(vec![of_other.clone(), Driver::portworx()]), ..default() }, inline(), 0),
        (Policy { drivers: Drivers(vec![Driver::portworx(), of_other.clone()]), ..default() }, inline(), 1),
        (Policy { drivers: Drivers(vec![Driver::portworx(), of_other]), ..default() }, named("other-scheduler"), 0),
    ] {
        let report = check_with(&object, &policy, &Severities::default(), strategies());
        assert_eq!(found(&report, Rule::NotRecognised).len(), count, "{policy:?} {object}");
    }
}

/// The rules about what Stork does with `preferLocalNodeOnly`.
const BY_STORK: [Rule; 11] = [
    Rule::LocalOnlyShared,
    Rule::LocalOnlySeveral,
    Rule::LocalOnlyDaemonSet,
    Rule::LocalOnlyAutoscaler,
    Rule::LocalOnlyExternal,
    Rule::LocalOnlyRemoteOnly,
    Rule::LocalOnlyWindows,
    Rule::Unrecognized,
    Rule::LocalOnlyFirstConsumer,
    Rule::LocalOnlyPreemption,
    Rule::NotRecognised,
];

/// The rules of [`BY_STORK`] with a finding about the pods of `object`, and the number of findings that nothing enforces the
/// annotation.
fn by_stork(object: &Value, policy: &Policy) -> (Vec<Rule>, usize) {
    let report = check_with(object, policy, &Severities::default(), strategies());
    let of_pods = report.findings.iter().filter(|finding| !finding.path.to_string().contains("volumeClaimTemplate"));
    let rules = of_pods.map(|finding| finding.rule).filter(|rule| BY_STORK.contains(rule)).collect();
    (rules, found(&report, Rule::LocalOnlyUnenforced).len())
}

#[test]
fn what_stork_would_do_is_not_reported_for_excluded_pods() {
    let rows = table().into_iter().filter(|row| BY_STORK.contains(&row.rule));
    for object in rows.flat_map(|row| row.fires).map(|(object, _)| object) {
        let template = &object["spec"]["template"];
        let is_local = template["metadata"]["annotations"][LOCAL_ONLY] == "true";
        if !is_local || template["spec"]["schedulerName"] == "stork" {
            continue;
        }
        let mut annotated = object.clone();
        annotated["spec"]["template"]["metadata"]["annotations"]["stork.libopenstorage.org/disable-admission-controller"] =
            "true".into();
        for excluded in [
            objects::with_label(object.clone(), "colocate/ignore", "true"),
            objects::with_field(object.clone(), "nodeName", "node-1"),
            objects::with_field(object.clone(), "schedulingGroup", json!({})),
            with_scheduler(object.clone(), "my-scheduler"),
            annotated,
        ] {
            assert_eq!(by_stork(&excluded, &Policy::default()), (Vec::new(), 1), "{excluded}");
        }
    }
}

#[test]
fn what_stork_would_do_is_not_reported_for_pods_of_another_driver() {
    let object = deployment(&[(LOCAL_ONLY, "true")], &["array", "other"]);
    assert_eq!(by_stork(&object, &Policy::default()), (vec![Rule::LocalOnlyExternal], 0));
    let first = Driver {
        name: "other".into(),
        provisioners: vec!["other.example.test".into()],
        scheduler: "other-scheduler".into(),
        ..Driver::portworx()
    };
    let policy = Policy { drivers: Drivers(vec![first, Driver::portworx()]), ..Policy::default() };
    assert_eq!(by_stork(&object, &policy), (vec![], 1));
    let report = check_with(&object, &policy, &Severities::default(), strategies());
    let [finding] = found(&report, Rule::LocalOnlyUnenforced)[..] else { panic!("{report:?}") };
    let expected = "the pod gets the scheduler `other-scheduler` for the claims of another driver";
    assert!(finding.message.contains(expected), "{}", finding.message);
    let named = with_scheduler(object, "stork");
    assert_eq!(by_stork(&named, &policy), (vec![Rule::LocalOnlyExternal], 0), "Stork is named");
    let only_other = deployment(&[(LOCAL_ONLY, "true")], &["other"]);
    let report = check_with(&only_other, &policy, &Severities::default(), strategies());
    let rules: Vec<_> = report.findings.iter().map(|finding| finding.rule).collect();
    assert_eq!(rules, [Rule::LocalOnlyWithoutClaim], "the pod has no volume that Stork could place it by");
}

#[test]
fn a_pod_may_get_stork_for_a_claim_that_is_not_known() {
    let other = Driver {
        name: "other".into(),
        provisioners: vec!["other.example.test".into()],
        scheduler: "other-scheduler".into(),
        ..Driver::portworx()
    };
    // Only a volume that names its driver in another field is recognized.
    let portworx = Driver { recognises: vec![Evidence::ProvisionedBy], ..Driver::portworx() };
    let object = deployment(&[(LOCAL_ONLY, "true")], &["data", "other", "missing"]);
    for (drivers, unenforced, unchecked) in
        [(vec![portworx.clone(), other.clone()], 0, 1), (vec![other, portworx], 1, 0)]
    {
        let policy = Policy { drivers: Drivers(drivers), ..Policy::default() };
        let report = check_with(&object, &policy, &Severities::default(), strategies());
        let unknown = report.unchecked.iter().filter(|gap| gap.rule == Rule::LocalOnlyUnenforced).count();
        assert_eq!((found(&report, Rule::LocalOnlyUnenforced).len(), unknown), (unenforced, unchecked), "{report:?}");
    }
}

#[test]
fn a_volume_is_only_said_to_have_a_service_if_that_is_known() {
    for (volumes, certain) in [(&["shared"][..], false), (&["many"], false), (&["service"], true)] {
        let report = check(&deployment(&[(LOCAL_ONLY, "true")], volumes));
        let [finding] = found(&report, Rule::LocalOnlyShared)[..] else { panic!("{volumes:?}: {report:?}") };
        assert_eq!(!finding.message.contains("pxctl volume inspect"), certain, "{}", finding.message);
    }
}

#[test]
fn a_configured_label_opts_out_even_with_a_name_of_stork() {
    let key = "stork.libopenstorage.org/disable-admission-controller";
    let object = objects::with_label(deployment(&[(LOCAL_ONLY, "true")], &["data"]), key, "true");
    let rules = |policy: &Policy| {
        let report = check_with(&object, policy, &Severities::default(), strategies());
        report.findings.iter().map(|finding| finding.rule).collect::<Vec<_>>()
    };
    assert_eq!(rules(&Policy::default()), [Rule::InLabels]);
    let opt_out = OptOut { labels: vec![key.into()], ..OptOut::default() };
    let expected = [Rule::LocalOnlyUnenforced, Rule::OptOutRestore, Rule::OptOutHealth];
    assert_eq!(rules(&Policy { opt_out, ..Policy::default() }), expected);
}

#[test]
fn nothing_enforces_local_only_in_an_opted_out_namespace() {
    let (policy, text) = (Policy::default(), deployment(&[(LOCAL_ONLY, "true")], &[]).to_string());
    let subject = Subject::parse(&text, SubjectKind::find(&policy, "apps", "v1", "Deployment").unwrap()).unwrap();
    for opted_out in [true, false] {
        let facts = Facts { namespace_opted_out: opted_out, ..Facts::default() };
        let report = subject.check(&policy, &Severities::default(), &facts);
        assert_eq!(found(&report, Rule::LocalOnlyUnenforced).len(), usize::from(opted_out));
    }
}
