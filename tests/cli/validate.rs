//! `colocate validate` as a process, on files.

mod cluster;
mod comments;
mod findings;
mod formats;
mod gaps;
mod junit;
mod places;
mod rules;

const LOCAL_ONLY: &str = "stork.libopenstorage.org/preferLocalNodeOnly";
const DISABLE: &str = "stork.libopenstorage.org/disableHyperconvergence";

/// Returns a Deployment whose pods mount the claim `data` and have these annotations, on line 9.
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
