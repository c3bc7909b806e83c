use super::*;
use crate::config::Config;

#[test]
fn a_driver_with_only_its_name_has_the_built_in_values() {
    let config: Config = "drivers: [{name: portworx}]".parse().unwrap();
    assert_eq!(config, Config::default());
}

#[test]
fn a_scheduler_is_a_name_or_mapping_and_prints_in_short_form() {
    for short in ["stork", "{}", "{name: stork}", "{whenAbsent: inject, staleAfter: 180s}", "{lease: , leases: }"] {
        let config: Config = format!("drivers: [{{name: portworx, scheduler: {short}}}]").parse().unwrap();
        assert_eq!(config, Config::default(), "{short}");
    }
    assert!(Config::default().to_yaml().unwrap().contains("scheduler: stork\n"));
    let lease = "lease: {namespace: storage, name: linstor}";
    let text = format!(
        "drivers: [{{name: linstor, provisioners: [x], scheduler: {{name: linstor-scheduler, {lease}, whenStale: skip}}}}]"
    );
    let config: Config = text.parse().unwrap();
    let printed = config.to_yaml().unwrap();
    for line in ["name: linstor-scheduler", "whenAbsent: inject", "whenStale: skip", "staleAfter: 3m"] {
        assert!(printed.contains(line), "{line}\n{printed}");
    }
    assert_eq!(Config::parse(&printed, "printed").unwrap(), config);
    let expected = engine::Driver {
        name: "linstor".into(),
        provisioners: vec!["x".into()],
        scheduler: "linstor-scheduler".into(),
        when_stale: Away::Skip,
        ..engine::Driver::portworx()
    };
    assert_eq!(config.policy().drivers, engine::Drivers(vec![expected]));
}

#[test]
fn a_driver_without_a_scheduler_is_only_counted() {
    let counted = "{name: longhorn, provisioners: [driver.longhorn.io], locality: [{kind: nodeAffinity}]}";
    for scheduler in ["", ", scheduler: ", ", scheduler: ~"] {
        let text = format!("drivers: [{{name: portworx}}, {}{scheduler}}}]", counted.strip_suffix('}').unwrap());
        let config: Config = text.parse().unwrap();
        // The server behaves as if it were not configured.
        assert_eq!(config.policy(), Config::default().policy(), "{scheduler}");
        assert!(config.needs_restart(&Config::default()).is_empty());
        let drivers = config.locality();
        let schedulers: Vec<_> = drivers.0.iter().map(|own| (&*own.name, own.scheduler.as_deref())).collect();
        assert_eq!(schedulers, [("portworx", Some("stork")), ("longhorn", None)]);
        let printed = config.to_yaml().unwrap();
        assert_eq!(Config::parse(&printed, "printed").unwrap(), config, "{printed}");
    }
    let only: Config = format!("mode: off\ndrivers: [{counted}]").parse().unwrap();
    assert_eq!((only.policy().drivers.0.len(), only.locality().0.len()), (0, 1));
    let local = "{name: local, provisioners: [kubernetes.io/no-provisioner], locality: [{kind: nodeAffinity}]}";
    assert!(format!("drivers: [{{name: portworx}}, {local}]").parse::<Config>().is_ok());
}

#[test]
fn a_driver_recognises_everything_unless_it_lists_what() {
    let portworx = |recognises: &str| format!("drivers: [{{name: portworx{recognises}}}]").parse::<Config>().unwrap();
    let all = "class, betaProvisionerAnnotation, gaProvisionerAnnotation, provisionedBy, staticCsi, inTree, inlineCsi, ephemeral, noProvisioner";
    for recognises in ["", ", recognises: ", &format!(", recognises: [{all}]")] {
        assert_eq!(portworx(recognises), Config::default(), "{recognises}");
    }
    let some = portworx(", recognises: [inTree, class]");
    assert_eq!(some.policy().drivers.0[0].recognises, [Evidence::Class, Evidence::InTree]);
    assert_eq!(Config::parse(&some.to_yaml().unwrap(), "printed").unwrap(), some);
    assert!(some.needs_restart(&Config::default()).is_empty());
}

#[test]
fn a_scheduler_is_watched_if_its_lease_is_known() {
    let leases = |text: &str| {
        let config: Config = text.parse().unwrap();
        let lease = |lease: schedulers::LeaseRef| {
            (lease.name, lease.namespaces.into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>())
        };
        let schedulers = config.schedulers().map(|scheduler| {
            let leases: Vec<_> = scheduler.leases.into_iter().map(lease).collect();
            (scheduler.driver.to_string(), scheduler.name.to_string(), leases, scheduler.stale_after)
        });
        schedulers.collect::<Vec<_>>()
    };
    let three_minutes = Duration::from_mins(3);
    let lease = |name: &str, namespaces: &[&str]| {
        (name.to_owned(), namespaces.iter().map(|namespace| (*namespace).to_owned()).collect::<Vec<_>>())
    };
    let portworx = |leases| ("portworx".to_owned(), "stork".to_owned(), leases, three_minutes);
    let default = ["stork-scheduler", "stork"].map(|name| lease(name, &["portworx", "kube-system", ""]));
    assert_eq!(leases("{}"), [portworx(default.to_vec())]);
    for (text, expected) in [
        ("lease: {namespace: a, name: b}", vec![lease("b", &["a"])]),
        ("leases: [{name: b, namespaces: [a]}]", vec![lease("b", &["a"])]),
        (
            "leases: [{name: b, namespaces: [a, c]}, {name: d, namespaces: [a]}]",
            vec![lease("b", &["a", "c"]), lease("d", &["a"])],
        ),
    ] {
        let text = format!("drivers: [{{name: portworx, scheduler: {{{text}}}}}]");
        assert_eq!(leases(&text), [portworx(expected)], "{text}");
    }
    for text in [
        "drivers: [{name: portworx, scheduler: another}]",
        "drivers: [{name: other, provisioners: [x], scheduler: stork}]",
        "drivers: [{name: portworx, scheduler: {leases: []}}]",
    ] {
        assert_eq!(leases(text), [], "{text}");
    }
}
