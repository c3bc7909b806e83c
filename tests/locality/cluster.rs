//! A real control plane of 40 nodes with the objects of a world, and with a stub of their storage systems.

use std::sync::LazyLock;
use std::time::Instant;

use colocate_harness::{Account, Api, ControlPlane, Folder, Rule, Run, WAIT_TIMEOUT, background, fixture};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::egress::{self, POD_ADDRESS};
use super::objects::{self, Creation, STORAGE_NAMESPACES, node_name};
use super::stub::{Answer, Stub, TOKEN};
use super::world::{Driver, NAMESPACES, NODES, Truth, World};

/// The namespace of the storage systems' Services, and that of the accounts of this test.
const STORAGE: &str = "portworx";
pub(crate) const HOME: &str = "locality";

/// The number of requests in flight.
const AT_ONCE: usize = 16;

/// The configuration: each driver with its source. Those with a scheduler have the one of this control plane, so that only the data
/// matters.
pub(crate) const CONFIG: &str = "
drivers:
- name: portworx
  locality:
  - kind: openStorage
    service: {tls: true}
    token: {namespace: portworx, name: px-user-token, key: auth-token}
- {name: longhorn, provisioners: [driver.longhorn.io], locality: [{kind: customResource, name: longhorn}]}
- {name: hwameistor, provisioners: [lvm.hwameistor.io], scheduler: stork, recognises: [class, provisionedBy]}
- {name: topolvm, provisioners: [topolvm.io], locality: [{kind: customResource, name: topolvm}]}
- {name: openebs-lvm, provisioners: [local.csi.openebs.io], locality: [{kind: customResource, name: openebs-lvm}]}
- {name: linstor, provisioners: [linstor.csi.linbit.com], scheduler: stork}
- {name: local, provisioners: [kubernetes.io/no-provisioner], locality: [{kind: nodeAffinity}]}
- {name: scored, provisioners: [scored.example.test], scheduler: stork, locality: [{kind: extender}]}
- {name: silent, provisioners: [silent.example.test], scheduler: stork}
";

/// Everything that `colocate locality` reads with this configuration.
pub(crate) fn reader() -> Vec<Rule> {
    vec![
        Rule::new("", "pods", &["list", "get"]),
        Rule::new("", "namespaces", &["list", "get"]),
        Rule::new("", "nodes", &["list"]),
        Rule::new("", "persistentvolumeclaims", &["list", "get"]),
        Rule::new("", "persistentvolumes", &["list"]),
        Rule::new("storage.k8s.io", "storageclasses", &["list", "get"]),
        Rule::new("admissionregistration.k8s.io", "mutatingwebhookconfigurations", &["list"]),
        Rule::new("", "secrets", &["get"]).named("px-user-token"),
        Rule::new("", "services/proxy", &["create", "get"]).named("https:portworx-api:9021"),
        Rule::new("", "services/proxy", &["create"]).named("stork-service:8099"),
        Rule::new("longhorn.io", "replicas", &["list"]),
        Rule::new("hwameistor.io", "localvolumereplicas", &["list"]),
        Rule::new("topolvm.io", "logicalvolumes", &["list"]),
        Rule::new("local.openebs.io", "lvmvolumes", &["list"]),
        Rule::new("internal.linstor.linbit.com", "resources", &["list"]),
    ]
}

/// The control plane of all tests.
pub(crate) struct Cluster {
    pub(crate) control_plane: ControlPlane,
    pub(crate) stub: Stub,
    pub(crate) world: World,
    pub(crate) api: Api,
}

impl Cluster {
    /// Starts it. Its schedulers are stopped, because tests choose the nodes of pods.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: LazyLock<Cluster> = LazyLock::new(Cluster::start);
        &SHARED
    }

    fn start() -> Self {
        let (egress_folder, egress) = egress::start();
        let control_plane = ControlPlane::own(&["--nodes", &NODES.to_string(), "--apiserver-arg", &egress]);
        // The API server has read it.
        drop(egress_folder);
        control_plane.request("stop kube-scheduler");
        let api = background().block_on(Api::administrator(&control_plane));
        let cluster = Self { control_plane, stub: Stub::start(), world: World::new(2026), api };
        let kubectl = cluster.control_plane.kubectl();
        kubectl.feed("create -f -", &fixture("crds/storage.yaml"));
        let names: Vec<_> = NAMESPACES.iter().chain(&STORAGE_NAMESPACES).chain(&[STORAGE, HOME]).copied().collect();
        let namespaces = names
            .iter()
            .map(|name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}).to_string());
        kubectl.feed("create -f -", &namespaces.collect::<Vec<_>>().join("\n---\n"));
        kubectl.run("label namespace data-out stork.libopenstorage.org/disable-admission-controller=true");
        kubectl.run("wait --for=condition=Established crd --all --timeout=60s");
        cluster.add_service("portworx-api", 9021, cluster.stub.gateway.port());
        cluster.add_service("stork-service", 8099, cluster.stub.extender.port());
        kubectl.run(&format!("create secret generic px-user-token -n {STORAGE} --from-literal=auth-token={TOKEN}"));
        cluster.answer_from_the_world();
        cluster.create(objects::classes());
        cluster.create(cluster.world.volumes.iter().flat_map(objects::claim));
        cluster.create(cluster.world.volumes.iter().flat_map(objects::custom_resources));
        cluster.create(cluster.world.pods.iter().map(|pod| objects::pod(&cluster.world, pod)));
        let placed = cluster.world.pods.iter().filter_map(|pod| Some((pod.namespace, &*pod.name, pod.node?)));
        cluster.bind(placed);
        let running = cluster.world.pods.iter().filter(|pod| pod.node.is_some()).count();
        cluster.wait_until_running(running);
        cluster
    }

    /// Creates a Service whose only endpoint is a pod with the address of the stub, as the API server demands.
    fn add_service(&self, name: &str, port: u16, target: u16) {
        let kubectl = self.control_plane.kubectl().within(STORAGE);
        let address = POD_ADDRESS;
        // No scheduler binds it, so KWOK does not give it another address.
        let spec = json!({"schedulerName": "none", "containers": [{"name": "main", "image": "example.test/main:1"}]});
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec});
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": [{"port": port, "targetPort": target}]}});
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
            "ports": [{"name": "", "port": target}],
            "endpoints": [{
                "addresses": [address], "conditions": {"ready": true},
                "targetRef": {"kind": "Pod", "namespace": STORAGE, "name": name},
            }],
        });
        kubectl.feed("create -f -", &format!("{pod}\n---\n{service}\n---\n{slice}"));
        let status = json!({"status": {"podIP": address, "podIPs": [{"ip": address}]}});
        kubectl.run(&format!("patch pod {name} --subresource=status --type=merge -p {status}"));
    }

    /// Lets the stub answer from the world.
    fn answer_from_the_world(&self) {
        let nodes = objects::gateway_nodes().to_string();
        let volumes = objects::gateway_volumes(&self.world.volumes).to_string();
        let of_extender = self.world.volumes.iter().filter(|volume| volume.driver == Driver::Scored && volume.listed);
        let layout = of_extender.map(|volume| {
            let nodes = volume.replicas.iter().map(|(node, _)| node_name(*node)).collect();
            (format!("{}/{}", volume.namespace, volume.claim), nodes)
        });
        self.stub.change(|answers| {
            answers.nodes = Answer { body: nodes, ..Answer::default() };
            answers.volumes = Answer { body: volumes, ..Answer::default() };
            answers.scores = layout.collect();
        });
    }

    /// Creates objects, and then their statuses.
    pub(crate) fn create(&self, objects: impl IntoIterator<Item = Creation>) {
        let create = async |Creation { path, object, status }: Creation| {
            let reply = self.api.create(&path, &object).await;
            assert_eq!(reply.status, 201, "{reply:?}");
            if let Some(status) = status {
                let path = format!("{path}/{}/status", reply.object.name());
                let reply = self.api.merge(&path, &json!({ "status": status })).await;
                assert_eq!(reply.status, 200, "{reply:?}");
            }
        };
        in_parallel(objects.into_iter().collect(), create);
    }

    /// Binds pods to nodes, as a scheduler does.
    pub(crate) fn bind<'p>(&self, pods: impl IntoIterator<Item = (&'p str, &'p str, usize)>) {
        let bind = async |(namespace, name, node): (&str, &str, usize)| {
            let target = json!({"apiVersion": "v1", "kind": "Node", "name": node_name(node)});
            let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target});
            let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/binding");
            let reply = self.api.create(&path, &binding).await;
            assert_eq!(reply.status, 201, "{reply:?}");
        };
        in_parallel(pods.into_iter().collect(), bind);
    }

    /// Waits until this number of pods with claims runs, and all volumes are bound.
    fn wait_until_running(&self, pods: usize) {
        let began = Instant::now();
        let number = |path: &str, phase: &str| {
            let list = background().block_on(self.api.get(path)).object.0;
            let items = list["items"].as_array().cloned().unwrap_or_default();
            items.iter().filter(|item| item["status"]["phase"] == phase).count()
        };
        while number("/api/v1/pods", "Running") < pods
            || number("/api/v1/persistentvolumes", "Bound") < self.world.volumes.len()
        {
            assert!(began.elapsed() < 2 * WAIT_TIMEOUT, "pods do not run, or volumes are not bound");
        }
    }

    /// Runs a command with this configuration as the administrator.
    pub(crate) fn run(&self, arguments: &str) -> Run {
        let folder = Folder::new(&[("own.yaml", CONFIG)]);
        folder.run(&format!("{arguments} --config own.yaml --kubeconfig {}", self.control_plane.kubeconfig().display()))
    }
}

/// Runs a command as an account.
pub(crate) fn run_as(account: &Account, arguments: &str) -> Run {
    let folder = Folder::new(&[("own.yaml", CONFIG)]);
    folder.run(&format!("{arguments} --config own.yaml --kubeconfig {}", account.kubeconfig().display()))
}

/// Handles all items, a few at a time.
fn in_parallel<T: Send>(items: Vec<T>, handle: impl AsyncFn(T)) {
    let mut queues: Vec<Vec<T>> = (0..AT_ONCE).map(|_| Vec::new()).collect();
    for (index, item) in items.into_iter().enumerate() {
        queues[index % AT_ONCE].push(item);
    }
    let handle = &handle;
    let queues = queues.into_iter().map(|queue| async move {
        for item in queue {
            handle(item).await;
        }
    });
    background().block_on(join_all(queues));
}

/// Returns the document of a run, which matches its schema.
pub(crate) fn document(run: &Run) -> Value {
    let document: Value =
        serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{error}: {}{}", run.out, run.err));
    let schema: Value = serde_json::from_str(include_str!("../../docs/schemas/locality.json")).unwrap();
    let schema = jsonschema::draft202012::new(&schema).unwrap();
    let errors: Vec<_> =
        schema.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    document
}

/// Returns the place of each pod in a document of `--by workload`. All pods are bare, so each is its own workload.
pub(crate) fn places(document: &Value) -> Truth {
    let mut places = Truth::new();
    for group in document["shares"]["groups"].as_array().unwrap() {
        let counts = ["local", "partly", "remote", "meantToBeRemote", "unknown"];
        let mut own = counts.into_iter().filter(|name| group[*name] != 0);
        let (place, more) = (own.next().unwrap(), own.next());
        assert_eq!((&group[place], more, &group["kind"]), (&json!(1), None, &json!("Pod")), "{group}");
        let text = |key: &str| group[key].as_str().unwrap().to_owned();
        places.insert((text("namespace"), text("name")), place);
    }
    assert_eq!(document["shares"]["more"], 0);
    places
}
