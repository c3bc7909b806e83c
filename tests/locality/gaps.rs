//! Checks that missing facts make pods unknown, and never anything else.

use std::collections::BTreeSet;

use colocate_harness::{Account, Rule};
use serde_json::Value;

use super::cluster::{Cluster, HOME, document, places, reader, run_as};
use super::counts::same;
use super::stub::{Answers, Fault};
use super::world::{Driver, Truth};

/// A fifth of the pods, because the command runs many times.
const COMMAND: &str = "locality -n data-1 --by workload -o json";

/// A part of the answers: its name, the driver that needs it, and its faults.
type Part = (&'static str, Driver, fn(&mut Answers) -> &mut Fault, [Fault; 2]);

/// Asserts that pods are where they were, or unknown, and that some pods of the drivers became unknown.
fn only_unknown_grows(cluster: &Cluster, before: &Truth, document: &Value, drivers: &[Driver], what: &str) {
    let after = places(document);
    let grown: BTreeSet<_> = before
        .iter()
        .filter(|(pod, place)| {
            let now = after.get(*pod).unwrap_or_else(|| panic!("{what}: {pod:?} is not counted"));
            assert!(now == *place || *now == "unknown", "{what}: {pod:?} was {place} and is {now}");
            now != *place
        })
        .map(|(pod, _)| pod)
        .collect();
    assert_eq!(after.len(), before.len(), "{what}");
    let of_driver = |driver: Driver| {
        let pods = cluster.world.pods.iter();
        pods.filter(move |pod| pod.volumes.iter().any(|index| cluster.world.volumes[*index].driver == driver))
    };
    for driver in drivers {
        let lost = of_driver(*driver).any(|pod| grown.contains(&(pod.namespace.to_owned(), pod.name.clone())));
        assert!(lost, "{what}: no pod of {} became unknown", driver.name());
    }
    let touched: BTreeSet<_> = drivers
        .iter()
        .flat_map(|driver| of_driver(*driver))
        .map(|pod| (pod.namespace.to_owned(), pod.name.clone()))
        .collect();
    assert!(grown.iter().all(|pod| touched.contains(*pod)), "{what}: a pod of another driver became unknown");
}

/// The places of the pods now.
fn places_now(cluster: &Cluster) -> Truth {
    places(&document(&cluster.run(COMMAND)))
}

/// Revokes each permission, one by one.
pub(crate) fn a_missing_right_increases_unknown_and_nothing_else(cluster: &Cluster) {
    use Driver::{Hwameistor, Linstor, Local, Longhorn, OpenEbs, Portworx, Scored, TopoLvm};
    let before = places_now(cluster);
    let known = &[Portworx, Longhorn, Hwameistor, TopoLvm, OpenEbs, Linstor, Local, Scored][..];
    let expected = |rule: &Rule| -> Option<&[Driver]> {
        Some(match rule.resource() {
            "pods" => return None,
            "namespaces" | "persistentvolumeclaims" | "persistentvolumes" | "storageclasses" => known,
            "mutatingwebhookconfigurations" => &[],
            "nodes" => &[Local, Scored],
            "secrets" => &[Portworx],
            "services/proxy" if rule.verbs().contains(&"get") => &[Portworx],
            "services/proxy" => &[Scored],
            "replicas" => &[Longhorn],
            "localvolumereplicas" => &[Hwameistor],
            "logicalvolumes" => &[TopoLvm],
            "lvmvolumes" => &[OpenEbs],
            "resources" => &[Linstor],
            other => panic!("{other}"),
        })
    };
    let all = reader();
    let full = Account::new(&cluster.control_plane, HOME, "reader", &all);
    let run = run_as(&full, &format!("{COMMAND} --strict"));
    // Pods of the driver without a source are unknown.
    assert_eq!((run.code, &document(&run)["notSeen"]), (Some(3), &serde_json::json!([])));
    same(&places(&document(&run)), &before, "with all rights");
    for (index, missing) in all.iter().enumerate() {
        let mut rules = all.clone();
        rules.remove(index);
        let account = Account::new(&cluster.control_plane, HOME, &format!("without-{index}"), &rules);
        let run = run_as(&account, &format!("{COMMAND} --strict"));
        let document = document(&run);
        let what = format!("without {}", missing.resource());
        let not_seen = document["notSeen"].as_array().unwrap();
        assert!(
            not_seen
                .iter()
                .any(|one| one["resource"].as_str().is_some_and(|resource| resource.starts_with(missing.resource()))),
            "{what}: {not_seen:?}"
        );
        assert_eq!(run.code, Some(3), "{what}");
        match expected(missing) {
            None => assert_eq!((&document["pods"], &document["shares"]), (&Value::Null, &Value::Null), "{what}"),
            Some(drivers) => only_unknown_grows(cluster, &before, &document, drivers, &what),
        }
    }
}

/// Takes each answer of the gateway and of the extender away, in several ways.
pub(crate) fn a_missing_answer_increases_unknown_and_nothing_else(cluster: &Cluster) {
    let before = places_now(cluster);
    let parts: [Part; 4] = [
        ("nodes", Driver::Portworx, |answers| &mut answers.nodes.fault, [Fault::Error, Fault::Truncated]),
        ("volumes", Driver::Portworx, |answers| &mut answers.volumes.fault, [Fault::Error, Fault::Garbage]),
        ("filter", Driver::Scored, |answers| &mut answers.filter, [Fault::Garbage, Fault::Error]),
        ("prioritize", Driver::Scored, |answers| &mut answers.prioritize, [Fault::Truncated, Fault::Error]),
    ];
    for (name, driver, part, faults) in parts {
        for fault in faults {
            let run =
                cluster.stub.with(|answers| *part(answers) = fault, || cluster.run(&format!("{COMMAND} --strict")));
            let what = format!("{fault:?} of {name}");
            assert_eq!(run.code, Some(3), "{what}");
            only_unknown_grows(cluster, &before, &document(&run), &[driver], &what);
        }
    }
    // A token may not see all volumes, and Portworx may not know the name of a node.
    for (what, change) in [("volumes", true), ("nodes", false)] {
        let half = |body: &str, key: &str| {
            let mut answer: Value = serde_json::from_str(body).unwrap();
            let all = answer[key].as_array_mut().unwrap();
            let mut index = 0;
            all.retain(|_| {
                index += 1;
                index % 2 == 0
            });
            answer.to_string()
        };
        let fault = |answers: &mut Answers| {
            let answer = if change { &mut answers.volumes } else { &mut answers.nodes };
            answer.body = half(&answer.body, what);
        };
        let run = cluster.stub.with(fault, || cluster.run(COMMAND));
        only_unknown_grows(cluster, &before, &document(&run), &[Driver::Portworx], &format!("half of the {what}"));
    }
    same(&places_now(cluster), &before, "after all faults");
}

/// Deletes the custom resources of one driver after the other.
pub(crate) fn a_missing_resource_increases_unknown_and_nothing_else(cluster: &Cluster) {
    let kubectl = cluster.control_plane.kubectl();
    let mut before = places_now(cluster);
    for (driver, resource) in [
        (Driver::Longhorn, "replicas.longhorn.io"),
        (Driver::Hwameistor, "localvolumereplicas.hwameistor.io"),
        (Driver::TopoLvm, "logicalvolumes.topolvm.io"),
        (Driver::OpenEbs, "lvmvolumes.local.openebs.io"),
        (Driver::Linstor, "resources.internal.linstor.linbit.com"),
    ] {
        kubectl.run(&format!("delete crd {resource} --timeout=60s"));
        let run = cluster.run(&format!("{COMMAND} --strict"));
        assert_eq!(run.code, Some(3), "{resource}");
        let document = document(&run);
        only_unknown_grows(cluster, &before, &document, &[driver], &format!("without {resource}"));
        before = places(&document);
    }
}
