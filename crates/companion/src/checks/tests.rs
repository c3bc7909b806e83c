//! Tests of the rules against their table, and of properties that hold for all rules.

mod objects;
mod scheduling;
mod table;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Value, json};

use colocate_engine::{
    AccessModes, Driver, Drivers, Evidence, Mode, OptOut, OwnerKind, ReplaceableSchedulers, Settings, Templates,
    Update, Workload,
};

use super::*;
use crate::{Level, MountedClass, Severity, Strategies};
use objects::{
    DISABLE, LOCAL_ONLY, MANY, ON_TEMPLATE, ON_TEMPLATE_DISABLE, ONCE, REMOTE_ONLY, access_of_class, claim, class,
    deployment, inventory, map, with_scheduler, with_volume,
};
use table::{Row, table};

fn check_with(object: &Value, policy: &Policy, severities: &Severities, strategies: Strategies) -> ValidationReport {
    let text = object.to_string();
    let (api_version, kind) = (object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
    let kind = SubjectKind::find_object(policy, api_version, kind).expect("a kind with rules");
    let subject = Subject::parse(&text, kind).expect("a valid object of its kind");
    let inventory = inventory();
    let claims = subject.claims().iter().map(|claim| MountedClaim::find(claim, &inventory, "shop")).collect();
    let class_access = subject.class_name().and_then(access_of_class);
    let report =
        subject.check(policy, severities, &Facts { claims, class_access, strategies, namespace_opted_out: false });
    if subject.is_silent(policy) {
        // It has none because of a key.
        assert!(report.findings.iter().all(|finding| finding.rule == Rule::NotRecognised), "{object}");
        assert_eq!(report.unchecked, [], "a silent object has unchecked rules: {object}");
    }
    report
}

fn strategies() -> Strategies {
    Strategies::All(["together", "apart"].map(str::to_owned).into())
}

fn check(object: &Value) -> ValidationReport {
    check_with(object, &Policy::default(), &Severities::default(), strategies())
}

fn found(report: &ValidationReport, rule: Rule) -> Vec<&Finding> {
    report.findings.iter().filter(|finding| finding.rule == rule).collect()
}

#[test]
fn each_rule_matches_its_row_of_the_table() {
    for Row { rule, fires, quiet } in table() {
        for (object, path) in &fires {
            let report = check(object);
            let [finding] = found(&report, rule)[..] else { panic!("{rule}: {report:?}\n{object}") };
            assert_eq!((finding.path.to_string().as_str(), finding.severity), (*path, rule.severity()), "{object}");
            let Finding { message, remedy, .. } = finding;
            assert!(!message.is_empty() && !remedy.is_empty() && !message.ends_with('.'), "{message}; {remedy}");
        }
        for object in &quiet {
            assert_eq!(found(&check(object), rule), [] as [&Finding; 0], "{rule}: {object}");
        }
        assert!(!fires.is_empty() && !quiet.is_empty(), "{rule}");
    }
}

#[test]
fn each_rule_can_be_turned_off_or_given_another_severity() {
    for Row { rule, fires, .. } in table() {
        for (object, _) in fires {
            let with = |level| {
                let severities = Severities::new([(rule, level)]);
                check_with(&object, &Policy::default(), &severities, strategies())
            };
            assert_eq!(found(&with(Level::Off), rule), [] as [&Finding; 0], "{rule}");
            let levels = [Level::Error, Level::Warning, Level::Info];
            for (level, severity) in levels.into_iter().zip(Severity::ALL) {
                let report = with(level);
                assert_eq!(found(&report, rule)[0].severity, severity, "{rule}");
            }
        }
    }
}

#[test]
fn the_table_has_a_row_for_each_rule() {
    let rows: Vec<_> = table().iter().map(|row| row.rule).collect();
    // Rules about comments concern files, not objects.
    let of_comments = [Rule::InvalidComment, Rule::UnusedComment];
    assert_eq!([&rows[..], &of_comments].concat(), Rule::ALL);
}

/// A choice of facts about an object's surroundings, by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct FactChoice {
    claims: usize,
    parameters: usize,
    strategies: usize,
    namespace: usize,
}

impl FactChoice {
    /// Every tested combination.
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for (claims, parameters) in (0..8).flat_map(|claims| (0..8).map(move |parameters| (claims, parameters))) {
            let others = [(0, 0), (1, 1), (2, 0), (0, 1)];
            // All combinations with one claim, and two with each other, to save time.
            let count = if (claims, parameters) == (3, 1) { others.len() } else { 2 };
            for (strategies, namespace) in others.into_iter().take(count) {
                all.push(Self { claims, parameters, strategies, namespace });
            }
        }
        all
    }

    #[expect(clippy::match_same_arms, reason = "the choices also differ in other facts")]
    fn facts(self, subject: &Subject<'_>) -> Facts {
        let settings = |pairs: &'static [(Setting, &'static str)]| {
            Settings::read(|key| pairs.iter().find(|(setting, _)| setting.key() == key).map(|(_, value)| *value))
        };
        let provisioner = |provisioner: &str| Owner::Provisioner {
            provisioner: provisioner.into(),
            class: None,
            evidence: Evidence::Class.into(),
            unread_volume: None,
        };
        let portworx = || provisioner("pxd.portworx.com");
        let by_hand = || Owner::Provisioner {
            provisioner: "pxd.portworx.com".into(),
            class: None,
            evidence: Evidence::StaticCsi.into(),
            unread_volume: None,
        };
        let access = |mode: &'static str| Some([mode].into_iter().collect::<AccessModes>());
        let together: &[_] = &[(Setting::PlacementStrategy, "together"), (Setting::PreferRemoteNode, "false")];
        let (owner, access, own) = match self.claims {
            0 => (Owner::Missing, None, &[][..]),
            1 => (Owner::NoProvisioner, access(ONCE), &[][..]),
            2 => (provisioner("other.example.test"), access(MANY), &[][..]),
            3 => (portworx(), access(ONCE), &[][..]),
            4 => (portworx(), access(MANY), &[][..]),
            5 => (by_hand(), access(MANY), &[][..]),
            6 => (portworx(), access(ONCE), together),
            // The others are `ReadWriteOnce`.
            _ => (portworx(), access(MANY), &[][..]),
        };
        let parameters = match self.parameters {
            0 => None,
            1 => Some(settings(&[])),
            2 => Some(settings(&[(Setting::Sharedv4, "true"), (Setting::PreferRemoteNodeOnly, "false")])),
            3 => Some(settings(&[(Setting::Backend, "pure_block")])),
            4 => Some(settings(&[(Setting::Winshare, "true")])),
            5 => Some(settings(&[(Setting::PreferRemoteNodeOnly, "true")])),
            // With another binding mode.
            6 => Some(settings(&[])),
            _ => Some(settings(&[
                (Setting::PlacementStrategy, "spread"),
                (Setting::PreferRemoteNode, "false"),
                (Setting::PreferRemoteNodeOnly, "true"),
            ])),
        };
        let binds_late = self.parameters == 6;
        let class = parameters.map(|parameters| MountedClass { parameters, binds_late });
        let recognized = Some(self.claims != 5);
        let settings = settings(own);
        let claim = MountedClaim { owner, access, settings, class, recognized, ..MountedClaim::default() };
        let once = [ONCE].into_iter().collect::<AccessModes>();
        let mut claims = vec![claim; subject.claims().len()];
        if self.claims == 7
            && let Some((_, others)) = claims.split_first_mut()
        {
            for claim in others {
                claim.access = Some(once);
            }
        }
        Facts {
            claims,
            class_access: access,
            strategies: [strategies(), Strategies::All(BTreeSet::new()), Strategies::NotInstalled][self.strategies]
                .clone(),
            namespace_opted_out: self.namespace == 1,
        }
    }

    /// The facts that a rule with these needs may use; the others are reset.
    fn restricted_to(self, needs: &[Needs]) -> Self {
        let mut restricted = Self::default();
        for need in needs {
            match need {
                Needs::Claims => restricted.claims = self.claims,
                Needs::ClassParameters => {
                    restricted.claims = self.claims;
                    restricted.parameters = self.parameters;
                }
                Needs::Strategies => restricted.strategies = self.strategies,
                Needs::Namespace => restricted.namespace = self.namespace,
            }
        }
        restricted
    }

    /// This choice with the facts of one need reset. What includes those of another need is kept.
    fn without(self, need: Needs) -> Self {
        match need {
            Needs::Claims => Self { claims: 0, ..self },
            Needs::ClassParameters => Self { parameters: 0, ..self },
            Needs::Strategies => Self { strategies: 0, ..self },
            Needs::Namespace => Self { namespace: 0, ..self },
        }
    }
}

#[test]
fn a_rule_depends_on_exactly_its_declared_needs() {
    let (policy, severities) = (Policy::default(), Severities::default());
    let mut depend = BTreeSet::new();
    for object in table().into_iter().flat_map(|row| row.fires.into_iter().map(|(object, _)| object).chain(row.quiet)) {
        let text = object.to_string();
        let (api_version, kind) = (object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
        let subject = Subject::parse(&text, SubjectKind::find_object(&policy, api_version, kind).unwrap()).unwrap();
        let reports = FactChoice::all().into_iter().map(|choice| {
            let report = subject.check(&policy, &severities, &choice.facts(&subject));
            (choice, report)
        });
        let reports: Vec<_> = reports.collect();
        for &rule in Rule::ALL {
            let mut of_rule = HashMap::new();
            for (choice, report) in &reports {
                let findings: Vec<_> = report.findings.iter().filter(|finding| finding.rule == rule).collect();
                let unchecked: Vec<_> = report.unchecked.iter().filter(|open| open.rule == rule).collect();
                let result = (findings, unchecked);
                let seen = choice.restricted_to(rule.needs());
                let before = of_rule.entry(seen).or_insert_with(|| result.clone());
                assert_eq!(*before, result, "{rule} needs more than {:?}: {choice:?}\n{object}", rule.needs());
            }
            for &need in rule.needs() {
                // The result must differ for two choices that differ only in this need.
                let mut of_others = HashMap::new();
                for (seen, result) in &of_rule {
                    if of_others.entry(seen.without(need)).or_insert(result) != &result {
                        depend.insert((rule, need));
                    }
                }
            }
        }
    }
    let declared = Rule::ALL.iter().flat_map(|rule| rule.needs().iter().map(|need| (*rule, *need)));
    assert_eq!(depend, declared.collect(), "a rule declares a need that it does not have");
}

#[test]
fn needs_follow_from_the_keys_of_the_object() {
    let policy = Policy::default();
    let needs = |object: &Value, severities: &Severities| {
        let (api_version, kind) = (object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
        let text = object.to_string();
        let subject = Subject::parse(&text, SubjectKind::find_object(&policy, api_version, kind).unwrap()).unwrap();
        subject.needs(&policy, severities, strategies()).into_iter().collect::<Vec<_>>()
    };
    let default = Severities::default();
    let local = deployment(&[(LOCAL_ONLY, "true")], &["data"]);
    let disabled = deployment(&[(DISABLE, "true")], &["data"]);
    let placed = |strategy| claim("px", MANY, &[("placement_strategy", strategy)]);
    for (object, expected) in [
        (deployment(&[(LOCAL_ONLY, "no")], &["data"]), &[][..]),
        (deployment(&[(LOCAL_ONLY, "true")], &[]), &[Needs::Namespace]),
        (local.clone(), &[Needs::Claims, Needs::ClassParameters, Needs::Namespace]),
        (with_scheduler(local.clone(), "stork"), &[Needs::Claims, Needs::ClassParameters]),
        (disabled.clone(), &[Needs::Claims, Needs::ClassParameters]),
        (claim("px", MANY, &[(REMOTE_ONLY, "true")]), &[Needs::Claims, Needs::ClassParameters]),
        (placed("together"), &[Needs::ClassParameters]),
    ] {
        assert_eq!(needs(&object, &default), expected, "{object}");
    }
    let off = |rule| Severities::new([(rule, Level::Off)]);
    assert_eq!(needs(&disabled, &off(Rule::DisabledShared)), [Needs::Claims]);
    assert!(!needs(&local, &off(Rule::LocalOnlyUnenforced)).contains(&Needs::Namespace));
}

/// The rules that could not be checked, with the reason.
fn unchecked(object: &Value, strategies: Strategies) -> BTreeMap<Rule, String> {
    let report = check_with(object, &Policy::default(), &Severities::default(), strategies);
    report.unchecked.into_iter().map(|open| (open.rule, open.why)).collect()
}

#[test]
fn rules_with_unknown_facts_are_reported_as_unchecked() {
    let why = "claim `absent` does not exist".to_owned();
    let local = deployment(&[(LOCAL_ONLY, "true")], &["absent"]);
    let open = unchecked(&local, strategies());
    assert_eq!(open, [(Rule::LocalOnlyWithoutClaim, why.clone()), (Rule::LocalOnlyShared, why.clone())].into());

    let two = deployment(&[(LOCAL_ONLY, "true")], &["data", "absent"]);
    let open = unchecked(&two, strategies());
    assert_eq!(open.keys().collect::<Vec<_>>(), [&Rule::LocalOnlyShared, &Rule::LocalOnlySeveral]);

    let disabled = deployment(&[(DISABLE, "true")], &["absent"]);
    let open = unchecked(&disabled, strategies());
    assert_eq!(open.keys().collect::<Vec<_>>(), [&Rule::DisabledShared, &Rule::OptOutRestore, &Rule::OptOutHealth]);

    let open = unchecked(&claim("absent", MANY, &[(REMOTE_ONLY, "true")]), strategies());
    assert_eq!(open, [(Rule::NotPortworx, "its StorageClass `absent` does not exist".to_owned())].into());

    for quiet in
        [deployment(&[], &["absent"]), claim("absent", MANY, &[]), deployment(&[(LOCAL_ONLY, "no")], &["absent"])]
    {
        assert!(unchecked(&quiet, strategies()).is_empty(), "{quiet}");
    }
}

#[test]
fn strategies_are_checked_only_if_all_are_known() {
    let class = class("pxd.portworx.com", &[("placement_strategy", "spread")]);
    let missing = |strategies| {
        let report = check_with(&class, &Policy::default(), &Severities::default(), strategies);
        (found(&report, Rule::NoStrategy).len(), report.unchecked.len())
    };
    let known = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    assert_eq!(missing(Strategies::All(known(&["other"]))), (1, 0));
    assert_eq!(missing(Strategies::All(known(&["spread"]))), (0, 0));
    assert_eq!(missing(Strategies::NotInstalled), (0, 0));
    assert_eq!(missing(Strategies::default()), (0, 1));
    assert_eq!(missing(Strategies::Some { known: known(&["spread"]), why: "x".to_owned() }), (0, 0));
}

#[test]
fn a_restore_of_a_bound_claim_is_never_denied() {
    let mut object = claim("px", MANY, &[("stork.libopenstorage.org/restore-in-progress", "true")]);
    let severity = |object: &Value, severities: &Severities| {
        let report = check_with(object, &Policy::default(), severities, strategies());
        let [finding] = found(&report, Rule::RestoreInProgress)[..] else { panic!("{report:?}") };
        finding.severity
    };
    assert_eq!(severity(&object, &Severities::default()), Severity::Error);
    object["status"] = json!({ "phase": "Bound" });
    for (level, expected) in
        [(Level::Error, Severity::Warning), (Level::Warning, Severity::Warning), (Level::Info, Severity::Info)]
    {
        assert_eq!(severity(&object, &Severities::new([(Rule::RestoreInProgress, level)])), expected, "{level:?}");
    }
    assert_eq!(severity(&object, &Severities::default()), Severity::Warning);
}

#[test]
fn the_finding_for_a_first_pod_says_what_happens_to_later_ones() {
    for (claims, message, remedy) in [
        (&["late"][..], "with its data: claim `late`", "create the pod again"),
        (
            &["data", "late-array"],
            "each later pod stays Pending, because no node has a replica of claim `late-array`",
            "remove it",
        ),
        (&["late-files", "late"], "because no node has a replica of claim `late-files`", "remove it"),
        (
            &["late-windows"],
            "later pods may run on all nodes, because claim `late-windows` is for Windows",
            "mount the volumes in separate pods",
        ),
    ] {
        let report = check(&deployment(&[(LOCAL_ONLY, "true")], claims));
        let [finding] = &report.findings[..] else { panic!("{report:?}") };
        assert_eq!(finding.rule, Rule::LocalOnlyFirstConsumer);
        assert!(finding.message.contains(message) && finding.remedy.contains(remedy), "{finding:?}");
    }
}

#[test]
fn a_change_is_reported_with_its_new_findings_only() {
    let before = check(&deployment(&[(LOCAL_ONLY, "yes")], &["data"]));
    let after = check(&deployment(&[(LOCAL_ONLY, "yes"), (DISABLE, "no")], &["data"]));
    let since = after.clone().since(&before);
    assert_eq!(
        since.findings.iter().map(|finding| &finding.path).map(ToString::to_string).collect::<Vec<_>>(),
        [ON_TEMPLATE_DISABLE]
    );
    // Another value is a new finding.
    let other = check(&deployment(&[(LOCAL_ONLY, "ja")], &["data"]));
    assert_eq!(other.since(&before).findings.len(), 1);
    assert_eq!(before.clone().since(&before), ValidationReport::default());
}

#[test]
fn the_claim_of_an_ephemeral_volume_is_checked() {
    let mut object = deployment(&[(LOCAL_ONLY, "true")], &[]);
    let template = claim("px", MANY, &[(REMOTE_ONLY, "maybe")]);
    object["spec"]["template"]["spec"]["volumes"] = json!([{ "name": "cache", "emptyDir": {} }, { "name": "scratch", "ephemeral": { "volumeClaimTemplate": template } }]);
    let report = check(&object);
    let found: Vec<_> = report.findings.iter().map(|finding| (finding.rule, finding.path.to_string())).collect();
    // Stork does not look at the volume, so the access mode does not matter.
    let path = "spec.template.spec.volumes[1].ephemeral.volumeClaimTemplate.metadata.annotations[stork.libopenstorage.org/preferRemoteNodeOnly]";
    let volumes = (Rule::NotRecognised, "spec.template.spec.volumes".to_owned());
    assert_eq!(found, [(Rule::NoBoolean, path.to_owned()), volumes, (Rule::Unrecognized, ON_TEMPLATE.to_owned())]);
}

#[test]
fn fields_of_custom_resources_may_be_read_by_their_controllers() {
    let rollout = Workload {
        group: "argoproj.io".to_owned(),
        version: "v1alpha1".to_owned(),
        kind: "Rollout".to_owned(),
        path: vec!["spec".to_owned(), "template".to_owned()],
        update: Update::Allowed,
        custom: true,
    };
    let kind = SubjectKind::Workload(&rollout);
    let found = |object: Value| -> Vec<String> {
        let json = object.to_string();
        let report = Subject::parse(&json, kind).unwrap().check_keys(&Policy::default(), &Severities::default());
        report.findings.iter().map(|finding| format!("{} {}", finding.rule, finding.path)).collect()
    };
    assert_eq!(found(json!({ "spec": { "podAnnotations": map(&[(LOCAL_ONLY, "true")]) } })), [""; 0]);
    let in_template = json!({ "spec": { "template": { "annotations": map(&[(LOCAL_ONLY, "true")]) } } });
    assert_eq!(found(in_template), [format!("HC036 spec.template.annotations[{LOCAL_ONLY}]")]);
    let in_metadata = json!({ "metadata": map(&[(LOCAL_ONLY, "true")]) });
    assert_eq!(found(in_metadata), [format!("HC036 metadata[{LOCAL_ONLY}]")]);
}

#[test]
fn unusual_objects_are_accepted_or_rejected() {
    let policy = Policy::default();
    let kind = SubjectKind::find(&policy, "apps", "v1", "Deployment").unwrap();
    for text in [
        "{}",
        r#"{"metadata":null,"spec":null}"#,
        r#"{"spec":{"template":{"metadata":{"annotations":null},"spec":{"volumes":[null]}}}}"#,
    ] {
        let subject = Subject::parse(text, kind).unwrap();
        assert!(subject.is_silent(&policy) && subject.claims().is_empty(), "{text}");
    }
    for text in ["[]", r#"{"metadata":[]}"#, r#"{"metadata":{"annotations":[]}}"#, r#"{"spec":{"template":1}}"#] {
        assert!(Subject::parse(text, kind).is_err(), "{text}");
    }
}

#[test]
fn the_number_of_findings_is_bounded() {
    let keys: Vec<_> = (0..5_000).map(|n| format!("stork.libopenstorage.org/unknown-{n}")).collect();
    let pairs: Vec<_> = keys.iter().map(|key| (key.as_str(), "x")).collect();
    let report = check(&deployment(&pairs, &["data"]));
    assert_eq!((report.findings.len(), report.cut), (200, true));
    assert!(!check(&deployment(&pairs[..200], &["data"])).cut);
}

#[test]
fn many_claim_templates_are_matched_by_name() {
    let mut object = deployment(&[], &[]);
    let claims = (0..20_000)
        .map(|n| json!({ "metadata": { "name": format!("c{n}"), "annotations": { "placement_strategy": "apart" } } }));
    object["spec"]["volumeClaimTemplates"] = claims.collect();
    object["spec"]["template"]["spec"]["volumes"] = (0..20_000)
        .map(|n| json!({ "name": format!("c{n}"), "persistentVolumeClaim": { "claimName": "x" } }))
        .collect();
    object["kind"] = "StatefulSet".into();
    assert_eq!(check(&object), ValidationReport::default());
}

#[test]
fn moving_a_volume_in_its_list_is_not_a_new_finding() {
    let with = |volumes: Value| {
        let mut object = deployment(&[], &[]);
        object["spec"]["template"]["spec"]["volumes"] = volumes;
        check(&object)
    };
    let bad = json!({ "name": "scratch", "ephemeral": { "volumeClaimTemplate": claim("px", MANY, &[(REMOTE_ONLY, "maybe")]) } });
    let before = with(json!([bad]));
    assert_eq!(found(&before, Rule::NoBoolean).len(), 1);
    assert_eq!(with(json!([{ "name": "cache", "emptyDir": {} }, bad])).since(&before), ValidationReport::default());
}
