//! `colocate validate` as a process, on files.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed, as it should")]

mod cluster;
mod findings;
#[path = "../harness/folder.rs"]
mod folder;
mod formats;
mod gaps;
mod places;
mod rules;
#[path = "../harness/scripted_api.rs"]
mod scripted_api;

use crate::folder::Run;

const COMMAND: &str = "validate";

const LOCAL_ONLY: &str = "stork.libopenstorage.org/preferLocalNodeOnly";
const DISABLE: &str = "stork.libopenstorage.org/disableHyperconvergence";

/// A Deployment whose pods have these annotations, on its line 9, and mount the claim `data`.
fn deployment(annotations: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: mysql}}
spec:
  selector: {{matchLabels: {{app: mysql}}}}
  template:
    metadata:
      labels: {{app: mysql}}
      annotations: {{{annotations}}}
    spec:
      containers: [{{name: mysql, image: mysql}}]
      volumes: [{{name: data, persistentVolumeClaim: {{claimName: data}}}}]
"
    )
}

fn claim(modes: &str) -> String {
    format!(
        "apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: data}}
spec: {{storageClassName: px, accessModes: [{modes}]}}
"
    )
}

const CLASS: &str = "apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: px}
provisioner: pxd.portworx.com
parameters: {repl: \"2\"}
";

impl Run {
    /// The first line of each finding, up to and with its rule: `a.yaml:1:2: error[HC001]`.
    fn places(&self) -> Vec<&str> {
        let heads = self.out.lines().filter(|line| line.contains(": ") && !line.starts_with(' '));
        heads.filter_map(|line| Some(&line[..=line.find(']')?])).collect()
    }
}
