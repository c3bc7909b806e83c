//! What is to be run of a pod, as its manifest says, and what of it is another on this machine than in a container.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::harness::Object;

/// The one container of a pod.
#[derive(Clone)]
pub(super) struct Container {
    pub(super) pod: Object,
    /// What it mounts, and where.
    pub(super) volumes: Vec<Volume>,
}

/// A volume that is mounted.
#[derive(Clone)]
pub(super) struct Volume {
    pub(super) source: Source,
    path: String,
}

/// Where the files of a volume come from: the name of a `ConfigMap` or of a Secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    ConfigMap(String),
    Secret(String),
}

/// The arguments as they are here.
pub(super) struct Arguments {
    pub(super) all: Vec<String>,
    /// The ports in the container: of reviews, and of probes and scrapes. Here they are any that are free.
    pub(super) ports: Option<Ports>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    pub(super) listen: u64,
    pub(super) admin: u64,
}

impl Container {
    pub(super) fn new(pod: Object) -> Self {
        let array = |pointer| pod.0.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
        assert_eq!(array("/spec/containers").count(), 1, "{}: one container is run", pod.name());
        let sources: BTreeMap<_, _> = array("/spec/volumes")
            // The token, which a kubeconfig has here.
            .filter(|volume| volume.get("projected").is_none())
            .map(|volume| (text(volume, "/name"), Source::of(volume)))
            .collect();
        let volumes = array("/spec/containers/0/volumeMounts").filter_map(|mount| {
            let (source, path) = (sources.get(text(mount, "/name"))?.clone(), text(mount, "/mountPath").to_owned());
            Some(Volume { source, path })
        });
        Self { volumes: volumes.collect(), pod }
    }

    pub(super) fn service_account(&self) -> &str {
        self.pod.text("/spec/serviceAccountName")
    }

    /// The arguments, with folders of this machine, in the order of the volumes, in place of those in the container.
    pub(super) fn arguments(&self, folders: &[PathBuf]) -> Arguments {
        let written = self.at("/args").as_array().into_iter().flatten().filter_map(Value::as_str);
        let (mut all, mut listen, mut admin) = (Vec::new(), None, None);
        for argument in written {
            let mut argument = argument.to_owned();
            for (volume, folder) in self.volumes.iter().zip(folders) {
                let inside = format!("{}/", folder.display());
                argument = argument.replace(&format!("{}/", volume.path), &inside);
            }
            for (flag, port) in [("--listen=", &mut listen), ("--admin=", &mut admin)] {
                if let Some(address) = argument.strip_prefix(flag) {
                    *port = address.rsplit(':').next().and_then(|port| port.parse().ok());
                    argument = format!("{flag}127.0.0.1:0");
                    break;
                }
            }
            all.push(argument);
        }
        let ports = listen.zip(admin).map(|(listen, admin)| Ports { listen, admin });
        Arguments { all, ports }
    }

    /// The environment that the manifest says.
    pub(super) fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        let variables = self.at("/env").as_array().into_iter().flatten();
        variables.map(|variable| (text(variable, "/name"), text(variable, "/value")))
    }

    /// The path and the port of the readiness probe.
    pub(super) fn readiness(&self) -> (&str, u64) {
        let probe = self.at("/readinessProbe/httpGet");
        (text(probe, "/path"), self.port(&probe["port"]))
    }

    /// Whether it is to end by itself.
    pub(super) fn ends(&self) -> bool {
        self.pod.text("/spec/restartPolicy") == "Never"
    }

    /// What is told of it.
    pub(super) fn status(&self, ready: bool) -> Value {
        let now = Timestamp::now();
        let condition = |kind, holds| {
            let status = if holds { "True" } else { "False" };
            json!({"type": kind, "status": status, "lastTransitionTime": now})
        };
        json!({
            "conditions": [
                condition("PodScheduled", true),
                condition("Initialized", true),
                condition("ContainersReady", ready),
                condition("Ready", ready),
            ],
            "containerStatuses": [{
                "name": self.at("/name"),
                "image": self.at("/image"),
                "imageID": "",
                "ready": ready,
                "restartCount": 0,
                "state": {"running": {"startedAt": now}},
            }],
        })
    }

    /// The port of that name or number.
    pub(super) fn port(&self, port: &Value) -> u64 {
        let named = || self.at("/ports").as_array()?.iter().find(|own| own["name"] == *port)?["containerPort"].as_u64();
        let number = port.as_u64().or_else(named);
        number.unwrap_or_else(|| panic!("{}: the container has no port {port}", self.pod.name()))
    }

    /// What stands at a JSON pointer in the container.
    fn at(&self, pointer: &str) -> &Value {
        self.pod.0.pointer(&format!("/spec/containers/0{pointer}")).unwrap_or(&Value::Null)
    }
}

impl Source {
    fn of(volume: &Value) -> Self {
        match (text(volume, "/configMap/name"), text(volume, "/secret/secretName")) {
            ("", "") => panic!("the kubelet of the tests mounts ConfigMaps and Secrets, and not {volume}"),
            ("", secret) => Self::Secret(secret.to_owned()),
            (map, _) => Self::ConfigMap(map.to_owned()),
        }
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
