//! One pod, from its start to its end.

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
use crate::harness::account::kubeconfig;
use crate::harness::balancer::answers;
use crate::harness::launch::Addresses;

/// How often a process is asked whether it is ready. In a cluster, it is every second or two.
const PROBES: Duration = Duration::from_millis(100);

/// A node, which has another label than the pod asked for.
const NODE: &str = "node-1";

/// Runs a pod whose volumes are in these folders, until it ends or is deleted.
pub(super) async fn tend(
    host: Arc<Host>,
    container: Container,
    folders: Vec<PathBuf>,
    replicas: Replicas,
    deleted: CancellationToken,
) {
    let pod = Tended { host, container };
    pod.take().await;
    let replica = pod.start(folders).await;
    replicas.add(replica.clone());
    let probed = replica.addresses.as_ref().map(|addresses| pod.listens(addresses));
    let mut ready = false;
    let mut probe = interval(PROBES);
    loop {
        tokio::select! {
            code = replica.ended() => break pod.ended(code).await,
            () = deleted.cancelled() => break replica.terminate(),
            _ = probe.tick() => {
                let Some((address, path)) = &probed else { continue };
                let is_ready = answers(*address, path).await;
                if is_ready != ready {
                    ready = is_ready;
                    pod.tell(&pod.container.status(ready)).await;
                }
            }
        }
    }
}

struct Tended {
    host: Arc<Host>,
    container: Container,
}

impl Tended {
    fn name(&self) -> &str {
        self.container.pod.name()
    }

    /// Binds it. KWOK takes pods that are `Pending`; this one is not any more when KWOK sees it.
    async fn take(&self) {
        static ADDRESSES: AtomicU8 = AtomicU8::new(1);
        // For documentation (RFC 5737): nobody listens there, and nobody asks.
        let address = format!("192.0.2.{}", ADDRESSES.fetch_add(1, Ordering::Relaxed));
        let mut status = self.container.status(false);
        status["phase"] = "Running".into();
        status["podIP"] = (&*address).into();
        status["podIPs"] = json!([{"ip": address}]);
        self.tell(&status).await;
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
        // It waits for what the process says.
        let (host, container) = (self.host.clone(), self.container.clone());
        let started = spawn_blocking(move || Replica::start(&host, &container, &folders, &kubeconfig)).await;
        Arc::new(started.expect("it says why it panicked").expect("colocate was built"))
    }

    /// As whom it asks, in a file.
    async fn kubeconfig(&self) -> PathBuf {
        let Host { url, authority, folder, namespace, api, .. } = &*self.host;
        let account = self.container.service_account();
        // Longer than anybody plays with a playground.
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
        fs::create_dir_all(folder).expect("the control plane's folder is ours");
        fs::write(&file, kubeconfig(url, authority, namespace, token).to_string()).expect("the folder is there");
        file
    }

    /// Makes it a backend of the balancer, and says where and how it is probed.
    fn listens(&self, addresses: &Addresses) -> (SocketAddr, String) {
        let Addresses { listen, admin } = addresses;
        let (path, port) = self.container.readiness();
        let ports = self.container.arguments(&[]).ports.expect("it listens");
        assert_eq!(port, ports.admin, "probes go to where it answers them");
        assert_eq!(self.container.port(&json!("https")), ports.listen, "the Service's port is that of reviews");
        self.host.balancer.add(*listen, *admin);
        (*admin, path.to_owned())
    }

    async fn ended(&self, code: i32) {
        let phase = match code {
            _ if !self.container.ends() => "Running",
            0 => "Succeeded",
            _ => "Failed",
        };
        let mut status = self.container.status(false);
        status["phase"] = phase.into();
        self.tell(&status).await;
    }

    /// Writes its status, as far as it is there.
    async fn tell(&self, status: &Value) {
        self.host.api.merge(&self.host.path(&format!("pods/{}/status", self.name())), &json!({"status": status})).await;
    }
}
