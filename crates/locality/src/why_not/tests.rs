use serde_json::json;

use super::*;
use crate::storage_driver::tests::drivers;
use crate::{Exemption, Node, Replica, Replicas};

/// Portworx with Stork.
pub(crate) fn portworx() -> StorageDrivers {
    drivers(&[("portworx", "pxd.portworx.com", "stork")])
}

pub(crate) fn expectation(reason: Reason, actual: &str, scheduler: &str) -> Expectation {
    let (actual, scheduler) = (actual.into(), scheduler.into());
    Expectation { reason, scheduler, actual, warnings: Vec::new(), claims: Vec::new(), unknown_fact: None }
}

pub(crate) fn replicas(nodes: &[&str], created: Option<&str>) -> Replicas {
    let created = created.map(|time| time.parse().unwrap());
    let mut replicas = Replicas::default();
    for node in nodes {
        let (node, healthy) = node.strip_suffix('!').map_or((*node, true), |node| (node, false));
        replicas.add(node.into(), Replica { healthy, created });
    }
    replicas
}

pub(crate) fn pod<'a>(volumes: impl IntoIterator<Item = &'a Replicas>) -> PlacedPod<'a> {
    let volume = |(index, replicas)| PodVolume {
        label: format!("claim `c{index}`"),
        driver: "portworx".into(),
        exemption: Ok(None),
        replicas: Ok(replicas),
        recognized: true,
    };
    let volumes = volumes.into_iter().enumerate().map(volume).collect();
    PlacedPod { node: "n9".into(), created: "2026-11-30T00:00:00Z".parse().ok(), exemption: None, volumes }
}

pub(crate) fn nodes(names: &[&str]) -> Nodes {
    let mut nodes = Nodes::default();
    for name in names {
        let (name, unschedulable) = name.strip_suffix('!').map_or((*name, false), |name| (name, true));
        nodes.insert(Node { name: name.into(), unschedulable, ..Node::default() });
    }
    nodes
}

fn words(circumstances: &Circumstances<'_>, pod: &PlacedPod<'_>) -> Vec<&'static str> {
    circumstances.why_not(pod).iter().map(WhyNot::as_str).collect()
}

#[test]
fn the_scheduler_explains_a_pod_that_is_not_local() {
    let (drivers, demand, nodes) = (portworx(), PodDemand::default(), nodes(&["n1"]));
    let on = replicas(&["n1"], None);
    for (reason, actual, scheduler, verdict, expected) in [
        (Reason::Injected, "default-scheduler", "stork", Some(Verdict::ClaimYounger), "wrong-scheduler"),
        (Reason::SchedulingGroup, "default-scheduler", "default-scheduler", None, "scheduling-group"),
        (Reason::NodeNameSet, "default-scheduler", "default-scheduler", None, "node-chosen"),
        (Reason::NotRecognised, "default-scheduler", "default-scheduler", None, "not-recognized"),
        (Reason::OtherScheduler, "mine", "mine", None, "other-scheduler"),
        (Reason::AlreadySet, "stork", "stork", None, "unexplained"),
    ] {
        let expectation = expectation(reason, actual, scheduler);
        let circumstances = Circumstances {
            verdict,
            is_fixed_by_recreation: Some(false),
            nodes: Some(&nodes),
            ..Circumstances::new(&drivers, &expectation, &demand)
        };
        assert_eq!(words(&circumstances, &pod([&on])), [expected]);
    }
    let text = |verdict, about: Option<&str>| {
        let (actual, expected) = ("default-scheduler".into(), "stork".into());
        WhyNot::WrongScheduler { actual, expected, verdict, about: about.map(Into::into) }.to_string()
    };
    let start = "it has the scheduler default-scheduler instead of stork";
    assert_eq!(text(None, None), start);
    assert_eq!(text(Some(Verdict::ClaimYounger), None), format!("{start} (claim-younger)"));
    assert_eq!(text(Some(Verdict::ClaimYounger), Some("mysql-0")), format!("{start} (mysql-0: claim-younger)"));
}

#[test]
fn the_scheduler_of_another_driver_is_not_the_right_one() {
    let drivers =
        drivers(&[("portworx", "pxd.portworx.com", "stork"), ("longhorn", "driver.longhorn.io", "longhorn-scheduler")]);
    let demand = PodDemand::default();
    let on = replicas(&["n1"], None);
    for (driver, scheduler, is_right) in [
        ("portworx", "stork", true),
        ("longhorn", "longhorn-scheduler", true),
        ("longhorn", "stork", false),
        ("portworx", "longhorn-scheduler", false),
    ] {
        let expectation = expectation(Reason::AlreadySet, scheduler, scheduler);
        let circumstances = Circumstances {
            is_fixed_by_recreation: Some(false),
            ..Circumstances::new(&drivers, &expectation, &demand)
        };
        let mut pod = pod([&on]);
        pod.volumes[0].driver = driver.into();
        let expected = if is_right { "unexplained" } else { "other-scheduler" };
        assert_eq!(words(&circumstances, &pod), [expected], "{driver} {scheduler}");
        assert_eq!(circumstances.would_be_placed(&pod), Some(is_right), "{driver} {scheduler}");
        // A volume that does not count has no say, but colocate would give the pod the scheduler of its driver.
        pod.volumes.push(pod.volumes[0].clone());
        pod.volumes[1].driver = if driver == "portworx" { "longhorn" } else { "portworx" }.into();
        pod.volumes[1].exemption = Ok(Some(Exemption::External));
        let expected = if is_right { "unexplained" } else { "other-driver" };
        assert_eq!(words(&circumstances, &pod), [expected], "{driver} {scheduler}");
    }
}

#[test]
fn the_replicas_and_nodes_explain_a_pod_with_the_right_scheduler() {
    let drivers = portworx();
    let expectation = expectation(Reason::AlreadySet, "stork", "stork");
    let picky = json!({"spec": {"nodeSelector": {"disk": "ssd"}}}).to_string();
    let (demand, picky) = (PodDemand::default(), PodDemand::parse(&picky).unwrap());
    let all = nodes(&["n1", "n2", "n3", "n9"]);
    let cordoned = nodes(&["n1!", "n2!", "n9"]);
    let why = |replicas: &[Replicas], demand: &PodDemand, nodes: &Nodes| {
        let nodes = Some(nodes);
        let circumstances = Circumstances {
            is_fixed_by_recreation: Some(false),
            nodes,
            ..Circumstances::new(&drivers, &expectation, demand)
        };
        words(&circumstances, &pod(replicas))
    };
    let (old, new) = (Some("2026-01-01T00:00:00Z"), Some("2026-11-30T01:00:00Z"));
    let on = |nodes: &[&str]| replicas(nodes, None);
    assert_eq!(why(&[on(&["n1"]), on(&["n2"])], &demand, &all), ["no-common-node"]);
    assert_eq!(why(&[on(&["n1"]), on(&["n2!"])], &demand, &all), ["no-healthy-replica"]);
    assert_eq!(why(&[on(&["n9!", "n1"])], &demand, &all), ["replica-failed"]);
    assert_eq!(why(&[on(&["n9!"])], &demand, &all), ["no-healthy-replica", "replica-failed"]);
    assert_eq!(why(&[on(&["n1", "n2"])], &picky, &all), ["nodes-excluded"]);
    assert_eq!(why(&[on(&["n1", "n2"])], &demand, &cordoned), ["nodes-unavailable"]);
    assert_eq!(why(&[on(&["n1", "n9x"])], &demand, &cordoned), ["nodes-unavailable"]);
    assert_eq!(why(&[on(&["n1", "n3"])], &demand, &all), ["unexplained"]);
    assert_eq!(why(&[replicas(&["n1", "n2"], new)], &demand, &all), ["replica-younger"]);
    assert_eq!(why(&[replicas(&["n1"], new), replicas(&["n1"], old)], &demand, &all), ["replica-younger"]);
    assert_eq!(why(&[replicas(&["n1"], old)], &demand, &all), ["unexplained"]);
    assert_eq!(why(&[replicas(&["n1"], new)], &demand, &cordoned), ["replica-younger", "nodes-unavailable"]);
}

#[test]
fn a_driver_without_a_scheduler_is_never_on_the_wrong_one() {
    let drivers = drivers(&[("portworx", "pxd.portworx.com", "stork"), ("longhorn", "driver.longhorn.io", "")]);
    let (local, two, other) = (replicas(&["n9"], None), replicas(&["n1", "n2"], None), replicas(&["n3", "n2!"], None));
    // The drivers of the volumes with their replicas, the reason and the actual scheduler, and what is found. Stork is expected
    // if the pod has a volume of Portworx.
    let volumes = |of: &[(&'static str, &'static str)]| of.to_vec();
    for (own, reason, actual, expected, gains) in [
        (volumes(&[("longhorn", "two")]), Reason::NoDriver, "default-scheduler", vec!["no-scheduler"], false),
        (volumes(&[("longhorn", "two")]), Reason::OtherScheduler, "volcano", vec!["no-scheduler"], false),
        (volumes(&[("longhorn", "two")]), Reason::AlreadySet, "stork", vec!["no-scheduler"], false),
        (volumes(&[("longhorn", "two")]), Reason::SchedulingGroup, "volcano", vec!["no-scheduler"], false),
        (volumes(&[("longhorn", "two")]), Reason::NodeNameSet, "default-scheduler", vec!["node-chosen"], false),
        // No scheduler could help.
        (
            volumes(&[("longhorn", "two"), ("longhorn", "other")]),
            Reason::NoDriver,
            "volcano",
            vec!["no-common-node"],
            false,
        ),
        // Stork would not bring the pod to the data of Longhorn, which is elsewhere.
        (
            volumes(&[("portworx", "local"), ("longhorn", "two")]),
            Reason::Injected,
            "default-scheduler",
            vec!["no-common-node"],
            false,
        ),
        (
            volumes(&[("portworx", "two"), ("longhorn", "two")]),
            Reason::Injected,
            "default-scheduler",
            vec!["wrong-scheduler"],
            true,
        ),
        (
            volumes(&[("portworx", "two"), ("longhorn", "one")]),
            Reason::Injected,
            "default-scheduler",
            vec!["wrong-scheduler"],
            false,
        ),
        (
            volumes(&[("portworx", "nine"), ("longhorn", "one")]),
            Reason::Injected,
            "default-scheduler",
            vec!["no-scheduler"],
            false,
        ),
    ] {
        let (one, nine) = (replicas(&["n1"], None), replicas(&["n9", "n1"], None));
        let of = |name: &str| match name {
            "local" => &local,
            "two" => &two,
            "one" => &one,
            "nine" => &nine,
            _ => &other,
        };
        let mut pod = pod(own.iter().map(|(_, name)| of(name)));
        for (volume, (driver, _)) in pod.volumes.iter_mut().zip(&own) {
            volume.driver = (*driver).into();
        }
        let scheduler = if own[0].0 == "portworx" { "stork" } else { actual };
        let (expectation, demand) = (expectation(reason, actual, scheduler), PodDemand::default());
        let circumstances =
            Circumstances { is_fixed_by_recreation: Some(true), ..Circumstances::new(&drivers, &expectation, &demand) };
        assert_eq!(words(&circumstances, &pod), expected, "{own:?} {reason:?}");
        assert_eq!(circumstances.would_be_placed(&pod), Some(gains), "{own:?} {reason:?}");
    }
}

#[test]
fn advice_fits_the_driver_and_the_workload() {
    let drivers = drivers(&[("portworx", "pxd.portworx.com", "stork"), ("longhorn", "driver.longhorn.io", "")]);
    let (one, two) = (replicas(&["n1"], None), replicas(&["n2"], None));
    let owner = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "web", "controller": true});
    let name = json!({"key": "metadata.name", "operator": "In", "values": ["n9"]});
    let required = json!({"nodeSelectorTerms": [{"matchFields": [name]}]});
    let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}});
    let daemon = json!({"metadata": {"ownerReferences": [owner]}, "spec": {"affinity": affinity}}).to_string();
    let (demand, daemon) = (PodDemand::default(), PodDemand::parse(&daemon).unwrap());
    let nodes = nodes(&["n1", "n9"]);
    let expectation = expectation(Reason::Injected, "default-scheduler", "stork");
    let advice = |driver: &str, demand: &PodDemand, replicas: &[&Replicas]| {
        let mut pod = pod(replicas.iter().copied());
        pod.volumes.iter_mut().for_each(|volume| volume.driver = driver.into());
        let circumstances = Circumstances {
            is_fixed_by_recreation: Some(true),
            nodes: Some(&nodes),
            ..Circumstances::new(&drivers, &expectation, demand)
        };
        let why = circumstances.why_not(&pod);
        why.iter().map(|why| format!("{}: {}", why.as_str(), why.advice())).collect::<Vec<_>>()
    };
    let together = "Place the volumes together with a VolumePlacementStrategy that has `volumeAffinity`.";
    assert_eq!(advice("portworx", &demand, &[&one, &two])[0], format!("no-common-node: {together}"));
    let own = "no-common-node: Move replicas so that one node has one of each volume.";
    assert_eq!(advice("longhorn", &demand, &[&one, &two]), [own]);
    let everywhere =
        "daemon-set: Place a replica on each node of the DaemonSet, or use a Deployment or StatefulSet instead.";
    assert_eq!(advice("portworx", &daemon, &[&one]), [everywhere]);
    assert_eq!(advice("longhorn", &daemon, &[&one]), [everywhere]);
}

#[test]
fn a_claim_that_is_not_recognized_is_named() {
    let (drivers, demand) = (portworx(), PodDemand::default());
    let expectation = expectation(Reason::AlreadySet, "stork", "stork");
    let on = replicas(&["n1"], None);
    let mut pod = pod([&on]);
    pod.volumes[0].recognized = false;
    let circumstances =
        Circumstances { is_fixed_by_recreation: Some(false), ..Circumstances::new(&drivers, &expectation, &demand) };
    let why: Vec<_> = circumstances.why_not(&pod).iter().map(ToString::to_string).collect();
    assert_eq!(why, ["the driver's scheduler does not recognize claim `c0`"]);
}

#[test]
fn a_volume_that_is_not_recognized_does_not_attract_its_pod() {
    let (drivers, demand) = (portworx(), PodDemand::default());
    let expectation = expectation(Reason::AlreadySet, "stork", "stork");
    let circumstances =
        Circumstances { is_fixed_by_recreation: Some(false), ..Circumstances::new(&drivers, &expectation, &demand) };
    let (one, both) = (replicas(&["n1"], None), replicas(&["n1", "n2"], None));
    for (volumes, recognized, expected) in [
        // Stork locates only the first volume, and may choose n2.
        ([&both, &one], [true, false], false),
        ([&one, &both], [true, false], true),
        ([&both, &one], [true, true], true),
        ([&one, &one], [false, false], false),
    ] {
        let mut pod = pod(volumes);
        for (volume, recognized) in pod.volumes.iter_mut().zip(recognized) {
            volume.recognized = recognized;
        }
        assert_eq!(circumstances.would_be_placed(&pod), Some(expected), "{recognized:?}");
    }
}
