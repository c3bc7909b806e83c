//! A release of the chart, with a kubelet that runs its pods and a balancer through which the API server reaches them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;

use super::balancer::Balancer;
use super::control_plane::ControlPlane;
use super::kubectl::Output;
use super::kubelet::{KUBELET_VALUES, Kubelet};
use super::{Api, Helm, Namespace, WAIT_TIMEOUT, background, pair};

/// The chart under test.
pub const CHART: &str = "charts/colocate";

/// A release in its own namespace.
pub struct Release {
    /// The name of the release and of its namespace.
    name: String,
    namespace: Namespace,
    helm: Helm,
    /// The path of the values file that every `helm` command uses.
    base: PathBuf,
    balancer: Arc<Balancer>,
    kubelet: Kubelet,
    api: Api,
}

impl Release {
    /// Creates the namespace, kubelet and balancer, but does not install the chart. The API server calls a URL.
    pub fn prepare(control_plane: &ControlPlane, name: &str) -> Self {
        let url = |balancer: &Balancer| format!("url: https://localhost:{}", balancer.port());
        Self::with(control_plane, name, url)
    }

    /// Like [`prepare`](Self::prepare), but the API server calls the Service of the release, which has the port of the balancer.
    /// See [`redirect_service`](Self::redirect_service).
    pub fn prepare_with_service(control_plane: &ControlPlane, name: &str) -> Self {
        let release = Self::with(control_plane, name, |_| String::new());
        let values = fs::read_to_string(&release.base).expect("the values file was written");
        let port = format!("service: {{port: {}}}\n", release.balancer.port());
        fs::write(&release.base, values + &port).expect("the control plane's folder is writable");
        release
    }

    /// Redirects the Service to this machine, as kube-proxy redirects it to the pods in a cluster. The API server speaks HTTP/1.1
    /// and verifies the Service name only if the registration names a Service.
    pub fn redirect_service(&self) {
        let spec = r#"{"spec":{"type":"ExternalName","externalName":"localhost","clusterIP":null,"clusterIPs":null}}"#;
        self.namespace.run(&format!("patch service/{} --type=merge -p {spec}", self.full_name()));
    }

    /// Prepares a release with these values in the section `webhook`.
    fn with(control_plane: &ControlPlane, name: &str, webhook: impl Fn(&Balancer) -> String) -> Self {
        let (namespace, balancer) = (Namespace::within(control_plane, name), Arc::new(Balancer::start()));
        // All pods of the chart satisfy the strictest Pod Security Standard.
        namespace.run(&format!("label namespace {name} pod-security.kubernetes.io/enforce=restricted"));
        let base = control_plane.dir().join(format!("{name}-values.yaml"));
        // The grace period is one second longer than the reaction time of the balancer.
        let values = format!(
            "{KUBELET_VALUES}log: {{level: debug}}\nconfig: {{drain: {{grace: 2s}}}}\nwebhook: {{name: zz-{name}, {}}}\n",
            webhook(&balancer)
        );
        fs::write(&base, values).expect("the control plane's folder is writable");
        let kubelet = Kubelet::start(control_plane, name, &balancer);
        let helm = Helm::new(control_plane, &namespace);
        let api = background().block_on(Api::administrator(control_plane));
        Self { name: name.to_owned(), namespace, helm, base, balancer, kubelet, api }
    }

    /// Runs `helm COMMAND NAME CHART` with the base values and these values, and waits until Helm reports that everything is
    /// ready.
    pub fn helm_with(&self, command: &str, chart: &Path, values: &str) -> String {
        let Self { name, base, .. } = self;
        let (chart, base) = (chart.display(), base.display());
        self.helm.feed(&format!("{command} {name} {chart} --values {base} --values - --wait --timeout 90s"), values)
    }

    /// Installs the chart with these values.
    pub fn install(&self, values: &str) -> String {
        self.helm_with("install", Path::new(CHART), values)
    }

    /// Upgrades the release to the current chart with these values.
    pub fn upgrade(&self, values: &str) -> String {
        self.helm_with("upgrade", Path::new(CHART), values)
    }

    /// Runs `helm test`, and returns its output.
    pub fn test(&self) -> Output {
        self.helm.attempt(&format!("test {} --timeout 60s", self.name), "")
    }

    /// Waits until the API server calls the release for pods in that namespace.
    pub fn wait_until_called(&self, namespace: &str) {
        let path = format!("{}?dryRun=All", pair::pods(namespace));
        let mut pod = pair::pod("probe");
        pod["spec"]["volumes"] = json!([{"name": "data", "csi": {"driver": "pxd.portworx.com"}}]);
        let began = Instant::now();
        loop {
            let reply = background().block_on(self.api.create(&path, &pod));
            if reply.object.scheduler() == "stork" {
                return;
            }
            assert!(began.elapsed() < WAIT_TIMEOUT, "the API server does not call colocate: {reply:?}");
        }
    }

    /// Helm in the namespace of the release.
    pub fn helm(&self) -> &Helm {
        &self.helm
    }

    /// The name of the release and of its namespace.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of the chart's objects.
    pub fn full_name(&self) -> String {
        if self.name.contains("colocate") { self.name.clone() } else { format!("{}-colocate", self.name) }
    }

    /// The name of the webhook configurations.
    pub fn configuration(&self) -> String {
        format!("zz-{}", self.name)
    }

    /// The namespace of the release.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The kubelet that runs the pods of the release.
    pub fn kubelet(&self) -> &Kubelet {
        &self.kubelet
    }

    /// The balancer in front of the ready replicas.
    pub fn balancer(&self) -> &Balancer {
        &self.balancer
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        // Every release validates StorageClasses, which have no namespace. The processes of this release are about to exit.
        let kinds = "mutatingwebhookconfigurations,validatingwebhookconfigurations";
        let line = format!("delete {kinds} {} --ignore-not-found", self.configuration());
        self.namespace.kubectl().attempt(&line, "");
    }
}
