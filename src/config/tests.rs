//! Values of the configuration file that are accepted, refused, or left out.

use super::*;

fn error(text: &str) -> String {
    Config::parse(text, "config.yaml").unwrap_err().to_string()
}

#[test]
fn a_file_without_content_is_refused() {
    for text in ["", "\n", "# mode: off\n", "---\n# nothing\n", "--- ~\n"] {
        let expected = "config.yaml: the file is empty or has only comments: write {} to use the defaults";
        assert_eq!(error(text), expected, "{text:?}");
    }
}

#[test]
fn a_configuration_without_values_is_the_default_of_the_engine() {
    for text in [
        "{}",
        "mode:\ndrivers: null\noptOut:\n  # annotations: []\nmissingClaim: ~\n",
        "optOut: {namespaceLabel: , owners: }\ndrain: {grace: }\nmissingClaim: {then: , wait: }\nvalidation: {rules: }\n",
    ] {
        assert_eq!(Config::parse(text, "config.yaml").unwrap(), Config::default(), "{text:?}");
    }
    assert_eq!(Config::default().policy(), engine::Policy::default());
}

#[test]
fn the_printed_configuration_is_equivalent() {
    let text = "mode: audit\ntemplates: leave\ndrivers:\n- {name: portworx}\n- {name: linstor, provisioners: [linstor.csi.linbit.com], scheduler: linstor-scheduler}\ncustomWorkloads:\n- {group: argoproj.io, version: v1alpha1, resource: rollouts, kind: Rollout, path: /spec/template}\nmissingClaim: {wait: 15s, then: inject}\noptOut: {owners: [{group: apps, kind: ReplicaSet}]}\n";
    for config in [Config::default(), Config::parse(text, "config.yaml").unwrap()] {
        let printed = config.to_yaml().unwrap();
        assert_eq!(Config::parse(&printed, "printed").unwrap(), config, "{printed}");
    }
}

#[test]
fn unset_limits_have_their_defaults() {
    let limits = |text: &str| text.parse::<Config>().unwrap().claim_limits();
    let default =
        ClaimLimits { wait: Duration::from_secs(2), max_waiters: 64, max_waiters_per_namespace: 16, max_gets: 64 };
    assert_eq!(limits("{}"), default);
    assert_eq!(limits("missingClaim: {maxWaiters:, maxGets: 1}"), ClaimLimits { max_gets: 1, ..default });
    let lowered = ClaimLimits { max_waiters: 8, max_waiters_per_namespace: 8, ..default };
    assert_eq!(limits("missingClaim: {maxWaiters: 8}"), lowered);
    let never = ClaimLimits { max_waiters: 0, max_waiters_per_namespace: 0, ..default };
    assert_eq!(limits("missingClaim: {maxWaiters: 0}"), never);
    let printed = "missingClaim: {maxWaiters: 0}".parse::<Config>().unwrap().to_yaml().unwrap();
    assert_eq!(limits(&printed), never);
}

#[test]
fn namespaces_are_empty_by_default() {
    assert!(Config::default().namespaces().is_empty());
    let config: Config = "namespaces: [team-a, 7]".parse().unwrap();
    assert_eq!(config.namespaces(), ["team-a", "7"]);
}

#[test]
fn an_unknown_key_is_rejected_with_its_position_and_a_hint() {
    assert_eq!(
        error("mode: inject\ntemplate: leave\n"),
        "config.yaml:2:1: unknown key `template`; did you mean `templates`?"
    );
    assert_eq!(
        error("missingClaim:\n  timeout: 2s\n"),
        "config.yaml:2:3: unknown key `timeout`; the valid keys here are wait, then, maxWaiters, maxWaitersPerNamespace, maxGets"
    );
    assert!(error("drivers:\n- name: portworx\n  schedular: x\n").contains("did you mean `scheduler`?"));
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn an_invalid_value_is_rejected_with_advice() {
    for (text, part) in [
        ("mode: enforce\n", "config.yaml:1:7: `enforce` is not one of inject, audit, off"),
        (
            "missingClaim: {wait: 2}\n",
            "config.yaml:1:22: invalid duration `2`: use Go syntax, for example `2s` or `1m30s`",
        ),
        ("missingClaim: {wait: -2s}\n", "invalid duration `-2s`"),
        ("missingClaim: {maxGets: 0}\n", "maxGets is 0, so no claim could be looked up: use at least 1"),
        ("missingClaim: {maxWaitersPerNamespace: 0}\n", "or maxWaiters: 0 if no pod should wait"),
        (
            "missingClaim: {maxWaiters: 8, maxWaitersPerNamespace: 9}\n",
            "config.yaml:1:15: maxWaitersPerNamespace (9) is larger than maxWaiters (8)",
        ),
        ("missingClaim: {maxWaiters: -1}\n", "config.yaml:1:28: a whole number is expected here"),
        ("namespaces: [Team A]\n", "`Team A` is not the name of a namespace: use one such as team-a"),
        ("namespaces: ['']\n", "is not the name of a namespace"),
        ("namespaces: [-a]\n", "`-a` is not the name of a namespace"),
        ("namespaces: [a, b, a]\n", "config.yaml:1:13: namespace `a` is listed twice"),
        ("drivers: [{name: linstor}]\n", "driver `linstor` has no `provisioners`"),
        (
            "drivers: [{name: portworx, provisioners: [pxd.portworx.com, kubernetes.io/no-provisioner]}]\n",
            "config.yaml:1:11: driver `portworx` cannot have the provisioner `kubernetes.io/no-provisioner`",
        ),
        ("drivers: [{name: portworx, recognises: []}]\n", "empty list `recognises`, so no claim would count"),
        ("drivers: [{name: portworx, recognises: [class, class]}]\n", "lists the same entry of `recognises` twice"),
        ("drivers: [{name: portworx, recognises: [pvc]}]\n", "`pvc` is not one of class, betaProvisionerAnnotation"),
        (
            "drivers: []\n",
            "config.yaml:1:10: no driver is listed, so nothing could be changed: list at least one, or set `mode: off`",
        ),
        ("drivers: [{name: portworx}, {name: portworx}]\n", "two drivers have the name `portworx`"),
        (
            "drivers: [{name: a, provisioners: [x], scheduler: a}, {name: b, provisioners: [x], scheduler: b}]\n",
            "provisioner `x` is listed twice",
        ),
        ("drivers: [{name: portworx, scheduler: default-scheduler}]\n", "name the driver's own scheduler"),
        ("drivers: [{name: portworx, scheduler: ''}]\n", "empty name for its scheduler"),
        ("drivers: [{name: portworx, scheduler: {name: ''}}]\n", "empty name for its scheduler"),
        ("drivers: [{name: portworx, scheduler: [stork]}]\n", "the name of a scheduler, or a mapping"),
        (
            "drivers: [{name: linstor, provisioners: [x], scheduler: {}}]\n",
            "driver `linstor` has a `scheduler` without a name: set `name` in it",
        ),
        (
            "drivers: [{name: portworx}, {name: longhorn, provisioners: [x]}]\n",
            "driver `longhorn` has neither `scheduler` nor `locality`, so nothing would use it: set `scheduler` to have",
        ),
        (
            "drivers: [{name: portworx}, {name: longhorn, provisioners: [x], locality: []}]\n",
            "driver `longhorn` has neither `scheduler` nor `locality`",
        ),
        (
            "drivers: [{name: portworx}, {name: a, provisioners: [x], locality: [{kind: extender}]}]\n",
            "driver `a` has a `locality` source of kind `extender`, but no `scheduler` that it could extend: set",
        ),
        (
            "drivers: [{name: portworx}, {name: a, provisioners: [x], recognises: [class], locality: [{kind: nodeAffinity}]}]\n",
            "driver `a` has `recognises`, but no `scheduler` that recognizes claims: set",
        ),
        (
            "drivers: [{name: portworx}, {name: a, provisioners: [kubernetes.io/no-provisioner], scheduler: b, locality: [{kind: nodeAffinity}]}]\n",
            "To count pods with local volumes, add a separate driver: {name: local, provisioners: [kubernetes.io/no-provisioner], locality: [{kind: nodeAffinity}]}",
        ),
        (
            "drivers: [{name: portworx}, {name: a, provisioners: [kubernetes.io/no-provisioner], locality: [{kind: customResource, name: topolvm}]}]\n",
            "driver `a` cannot have the provisioner `kubernetes.io/no-provisioner`",
        ),
        (
            "drivers: [{name: portworx}, {name: a, provisioners: [x, kubernetes.io/no-provisioner], locality: [{kind: nodeAffinity}]}]\n",
            "driver `a` cannot have the provisioner `kubernetes.io/no-provisioner`",
        ),
        (
            "drivers: [{name: a, provisioners: [x], locality: [{kind: nodeAffinity}]}]\n",
            "no driver has a `scheduler`, so colocate cannot change any pod: set `scheduler` for at least one driver, or set `mode: off`",
        ),
        (
            "drivers: [{name: portworx, scheduler: {whenStale: skip}}]\n",
            "config.yaml:1:39: `whenStale: skip` needs `leases` that show whether the scheduler is alive: set the Leases of the leader elections of its processes, such as leases: [{name: stork-scheduler, namespaces: [kube-system]}]",
        ),
        (
            "drivers: [{name: portworx, scheduler: {staleAfter: 999ms}}]\n",
            "`staleAfter: 999ms` is too short: use at least 1s",
        ),
        ("drivers: [{name: portworx, scheduler: {whenGone: skip}}]\n", "did you mean"),
        ("drivers: [{name: portworx, scheduler: {whenStale: wait}}]\n", "`wait` is not one of inject, skip"),
        (
            "drivers: [{name: portworx, scheduler: {lease: {namespace: a, name: ../pods}}}]\n",
            "invalid name `../pods` of a Lease: use leases: [{name: stork-scheduler, namespaces: [kube-system]}]",
        ),
        (
            "drivers: [{name: portworx, scheduler: {leases: [{name: a, namespaces: [a.b]}]}}]\n",
            "invalid namespace `a.b` of Lease `a`: use leases: [",
        ),
        (
            "drivers: [{name: portworx, scheduler: {leases: [{name: a, namespaces: []}]}}]\n",
            "Lease `a` has no namespace",
        ),
        (
            "drivers: [{name: portworx, scheduler: {leases: [{name: a, namespaces: [b]}, {name: a, namespaces: [c]}]}}]\n",
            "Lease `a` is listed twice: list all of its namespaces in one entry",
        ),
        (
            "drivers: [{name: portworx, scheduler: {lease: {namespace: a, name: b}, leases: []}}]\n",
            "`lease` and `leases` exclude each other",
        ),
        (
            "drivers: [{name: portworx, scheduler: {leases: [], whenAbsent: skip}}]\n",
            "`whenAbsent: skip` needs `leases`",
        ),
        ("drivers: [{name: portworx, scheduler: {lease: {name: stork}}}]\n", "missing field `namespace`"),
        ("replaceableSchedulers: [stork]\n", "remove it there"),
        (
            "drivers: [{name: portworx, scheduler: Stork_2}]\n",
            "driver `portworx` has the scheduler `Stork_2`, which is not a DNS subdomain: use the schedulerName of the driver's scheduler, such as stork",
        ),
        ("drivers: [{name: portworx, scheduler: a/b}]\n", "`a/b`, which is not a DNS subdomain"),
        ("drivers: [{name: portworx, scheduler: ' stork'}]\n", "` stork`, which is not a DNS subdomain"),
        ("replaceableSchedulers: [my scheduler]\n", "config.yaml:1:24: `my scheduler` is not the name of a scheduler"),
        ("replaceableSchedulers: ['']\n", "`` is not the name of a scheduler: use one such as default-scheduler"),
        ("optOut: {labels: [a b]}\n", "`a b` is not the key of a label: use one such as example.com/opt-out"),
        (
            "missingClaim: {wait: 31s}\n",
            "config.yaml:1:15: wait (31s) is longer than any webhook's timeout: use at most 30s",
        ),
        (
            "customWorkloads: [{group: g, version: v1, resource: rs, kind: R, path: /spec/jobs/0/template}]\n",
            "path `/spec/jobs/0/template` leads through a list (`0`), and templates in lists are not read: remove this entry, and colocate decides about the pods when they are created",
        ),
        (
            "customWorkloads: [{group: ray.io, version: v1, resource: rayclusters, kind: RayCluster, path: /spec/workerGroupSpecs/template}]\n",
            "path `/spec/workerGroupSpecs/template` leads through a list (`/spec/workerGroupSpecs`)",
        ),
        (
            "customWorkloads: [{group: jobset.x-k8s.io, version: v1alpha2, resource: jobsets, kind: JobSet, path: /spec/replicatedJobs}]\n",
            "path `/spec/replicatedJobs` leads through a list (`/spec/replicatedJobs`)",
        ),
        (
            "customWorkloads: [{group: g, version: v1, resource: rs, kind: R, path: /spec/jobs/-/template}]\n",
            "leads through a list (`-`)",
        ),
        (
            "customWorkloads: [{group: g, version: v1, resource: rs, kind: R, path: spec.template}]\n",
            "use a JSON pointer such as /spec/template",
        ),
        (
            "customWorkloads: [{group: apps, version: v1, resource: deployments, kind: Deployment, path: /spec/template}]\n",
            "Deployment of apps/v1 is built in",
        ),
        (
            "customWorkloads: [{group: g/v1, version: v1, resource: rs, kind: R, path: /spec}]\n",
            "`g/v1` is not an API group",
        ),
        ("customWorkloads: [{group: g, version: v1, resource: rs, kind: R, path: /}]\n", "has an empty segment"),
        ("drivers: [{name: portworx, provisioners: []}]\n", "an empty list of provisioners"),
        ("optOut: {annotations: ['']}\n", "is not the key of an annotation"),
        ("drain: {grace: 5s, timeout: 1s}\n", "drain.timeout (1s) is shorter than drain.grace (5s)"),
        ("drivers: portworx\n", "config.yaml:1:10: a list is expected here"),
        ("optOut: true\n", "config.yaml:1:9: a mapping of keys and values is expected here"),
        ("mode: inject\nmode: audit\n", "use each key once"),
        ("mode: inject\n---\nmode: audit\n", "use a single document"),
        ("mode: [\n", "config.yaml:"),
    ] {
        let error = error(text);
        assert!(error.contains(part), "{text:?}: {error}");
    }
}

#[test]
fn rules_keep_their_severity_unless_it_is_changed() {
    let text = "validation: {mode: enforce, rules: {HC003: off, HC004: error, HC022: warning}}";
    let config: Config = text.parse().unwrap();
    let validation = config.validation();
    assert_eq!(validation.enforcement, Enforcement::Enforce);
    let of = |rule| validation.severities.of(rule);
    assert_eq!(of(companion::Rule::Misspelled), None);
    assert_eq!(of(companion::Rule::UnknownKey), Some(companion::Severity::Error));
    assert_eq!(of(companion::Rule::OptOutRestore), Some(companion::Severity::Warning));
    assert_eq!(of(companion::Rule::NoBoolean), Some(companion::Severity::Error));
    assert_eq!(Config::parse(&config.to_yaml().unwrap(), "printed").unwrap(), config);
    assert_eq!(Config::default().validation(), companion::ValidationPolicy::default());
}

#[test]
fn an_unknown_rule_or_severity_is_rejected_with_its_position() {
    let error = |text: &str| Config::parse(text, "config.yaml").unwrap_err().to_string();
    let unknown = error("validation:\n  rules:\n    HC999: off\n");
    assert!(unknown.starts_with("config.yaml:3:5: unknown rule `HC999`"), "{unknown}");
    let level = error("validation: {rules: {HC001: none}}");
    assert!(level.contains("`none` is not one of off, info, warning, error"), "{level}");
    let mode = error("validation: {mode: deny}");
    assert!(mode.contains("`deny` is not one of warn, enforce, off"), "{mode}");
}
