//! The container in a pod's manifest, mapped to a local process.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::Object;

/// The only container of a pod.
#[derive(Clone)]
pub(crate) struct Container {
    pub(crate) pod: Object,
    /// The mounted volumes.
    pub(crate) volumes: Vec<Volume>,
}

/// A mounted volume.
#[derive(Clone)]
pub(crate) struct Volume {
    pub(crate) source: Source,
    path: String,
}

/// The source of a volume, with the name of the `ConfigMap` or Secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    ConfigMap(String),
    Secret(String),
}

/// The arguments of the local process.
pub(crate) struct Arguments {
    pub(crate) all: Vec<String>,
    /// The ports in the container. The local process listens on free ports instead.
    pub(crate) ports: Option<Ports>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub(crate) listen: u64,
    pub(crate) admin: u64,
}

impl Container {
    pub(crate) fn new(pod: Object) -> Self {
        let array = |pointer| pod.0.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
        assert_eq!(array("/spec/containers").count(), 1, "{}: only pods with one container are supported", pod.name());
        let sources: BTreeMap<_, _> = array("/spec/volumes")
            // A projected volume has the token of the service account, which is in the kubeconfig here.
            .filter(|volume| volume.get("projected").is_none())
            .map(|volume| (text(volume, "/name"), Source::of(volume)))
            .collect();
        let volumes = array("/spec/containers/0/volumeMounts").filter_map(|mount| {
            let (source, path) = (sources.get(text(mount, "/name"))?.clone(), text(mount, "/mountPath").to_owned());
            Some(Volume { source, path })
        });
        Self { volumes: volumes.collect(), pod }
    }

    pub(crate) fn service_account(&self) -> &str {
        self.pod.text("/spec/serviceAccountName")
    }

    /// Returns the arguments, with the mount paths replaced by `folders`, which are in the order of the volumes.
    pub(crate) fn arguments(&self, folders: &[PathBuf]) -> Arguments {
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

    /// The environment in the manifest.
    pub(crate) fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        let variables = self.at("/env").as_array().into_iter().flatten();
        variables.map(|variable| (text(variable, "/name"), text(variable, "/value")))
    }

    /// The path and the port of the readiness probe.
    pub(crate) fn readiness(&self) -> (&str, u64) {
        let probe = self.at("/readinessProbe/httpGet");
        (text(probe, "/path"), self.port(&probe["port"]))
    }

    /// Returns whether the container runs to completion.
    pub(crate) fn ends(&self) -> bool {
        self.pod.text("/spec/restartPolicy") == "Never"
    }

    /// The pod's status.
    pub(crate) fn status(&self, ready: bool) -> Value {
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
    pub(crate) fn port(&self, port: &Value) -> u64 {
        let named = || self.at("/ports").as_array()?.iter().find(|own| own["name"] == *port)?["containerPort"].as_u64();
        let number = port.as_u64().or_else(named);
        number.unwrap_or_else(|| panic!("{}: the container has no port {port}", self.pod.name()))
    }

    /// The value at a JSON pointer in the container.
    fn at(&self, pointer: &str) -> &Value {
        self.pod.0.pointer(&format!("/spec/containers/0{pointer}")).unwrap_or(&Value::Null)
    }
}

impl Source {
    fn of(volume: &Value) -> Self {
        match (text(volume, "/configMap/name"), text(volume, "/secret/secretName")) {
            ("", "") => panic!("the kubelet of the tests only mounts ConfigMaps and Secrets: {volume}"),
            ("", secret) => Self::Secret(secret.to_owned()),
            (map, _) => Self::ConfigMap(map.to_owned()),
        }
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
