//! Runs one pod, from its start until it is deleted or exits.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use super::Host;
use super::container::Container;
use super::replica::{Replica, Replicas};
use crate::account::kubeconfig;
use crate::balancer::answers;
use crate::launch::Addresses;

/// The interval of readiness probes. In a cluster, it is one or two seconds.
const PROBE_INTERVAL: Duration = Duration::from_millis(100);

/// A node without the label that the pods select.
const NODE: &str = "node-1";

/// Runs a pod, with its volumes in these folders, until its process exits or the pod is deleted.
pub(crate) async fn run_pod(
    host: Arc<Host>,
    container: Container,
    folders: Vec<PathBuf>,
    replicas: Replicas,
    deleted: CancellationToken,
) {
    let pod = RunningPod { host, container };
    pod.bind().await;
    let replica = pod.start(folders).await;
    replicas.add(replica.clone());
    let probed = replica.addresses.as_ref().map(|addresses| pod.add_backend(addresses));
    let mut ready = false;
    let mut probe = interval(PROBE_INTERVAL);
    loop {
        tokio::select! {
            code = replica.ended() => break pod.report_exit(code).await,
            () = deleted.cancelled() => break replica.terminate(),
            _ = probe.tick() => {
                let Some((address, path)) = &probed else { continue };
                let is_ready = answers(*address, path).await;
                if is_ready != ready {
                    ready = is_ready;
                    pod.patch_status(&pod.container.status(ready)).await;
                }
            }
        }
    }
}

struct RunningPod {
    host: Arc<Host>,
    container: Container,
}

impl RunningPod {
    fn name(&self) -> &str {
        self.container.pod.name()
    }

    /// Binds the pod to a node. First sets its phase to `Running`, because KWOK handles `Pending` pods.
    async fn bind(&self) {
        static ADDRESSES: AtomicU8 = AtomicU8::new(1);
        // An address from a documentation network (RFC 5737). Nothing connects to it.
        let address = format!("192.0.2.{}", ADDRESSES.fetch_add(1, Ordering::Relaxed));
        let mut status = self.container.status(false);
        status["phase"] = "Running".into();
        status["podIP"] = (&*address).into();
        status["podIPs"] = json!([{"ip": address}]);
        self.patch_status(&status).await;
        let binding = json!({
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": self.name()},
            "target": {"apiVersion": "v1", "kind": "Node", "name": NODE},
        });
        self.host.api.create(&self.host.path(&format!("pods/{}/binding", self.name())), &binding).await;
    }

    async fn start(&self, folders: Vec<PathBuf>) -> Arc<Replica> {
        let kubeconfig = self.kubeconfig().await;
        // This call blocks until the process listens.
        let (host, container) = (self.host.clone(), self.container.clone());
        let started = spawn_blocking(move || Replica::start(&host, &container, &folders, &kubeconfig)).await;
        Arc::new(started.expect("the task does not panic").expect("colocate was built"))
    }

    /// Writes a kubeconfig with a token of the pod's service account.
    async fn kubeconfig(&self) -> PathBuf {
        let Host { url, authority, folder, namespace, api, .. } = &*self.host;
        let account = self.container.service_account();
        // A session with the playground is shorter than 48 hours.
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": 48 * 60 * 60},
        });
        let reply = api.create(&self.host.path(&format!("serviceaccounts/{account}/token")), &request).await;
        let token = reply.object.text("/status/token");
        assert!(!token.is_empty(), "{}: no token for {account}: {reply:?}", self.name());
        let folder = folder.join(self.container.pod.uid());
        let file = folder.join("kubeconfig");
        fs::create_dir_all(folder).expect("the control plane's folder is writable");
        fs::write(&file, kubeconfig(url, authority, namespace, token).to_string()).expect("the folder exists");
        file
    }

    /// Adds the process to the balancer, and returns the address and path of its readiness probe.
    fn add_backend(&self, addresses: &Addresses) -> (SocketAddr, String) {
        let Addresses { listen, admin } = addresses;
        let (path, port) = self.container.readiness();
        let ports = self.container.arguments(&[]).ports.expect("a server has ports in its arguments");
        assert_eq!(port, ports.admin, "the probe uses the admin port");
        assert_eq!(self.container.port(&json!("https")), ports.listen, "the Service uses the port of reviews");
        self.host.balancer.add(*listen, *admin);
        (*admin, path.to_owned())
    }

    async fn report_exit(&self, code: i32) {
        let phase = match code {
            _ if !self.container.ends() => "Running",
            0 => "Succeeded",
            _ => "Failed",
        };
        let mut status = self.container.status(false);
        status["phase"] = phase.into();
        self.patch_status(&status).await;
    }

    /// Patches the status of the pod, which may have been deleted.
    async fn patch_status(&self, status: &Value) {
        self.host.api.merge(&self.host.path(&format!("pods/{}/status", self.name())), &json!({"status": status})).await;
    }
}
