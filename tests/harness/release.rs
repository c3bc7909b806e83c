//! The chart, installed by Helm, with a kubelet that runs its pods and the balancer by which the API server reaches them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;

use super::balancer::Balancer;
use super::control_plane::ControlPlane;
use super::kubectl::Output;
use super::kubelet::{KUBELET_VALUES, Kubelet, Replica};
use super::{Api, Helm, Namespace, PATIENCE, background, pair};

/// The chart under test.
pub(crate) const CHART: &str = "charts/colocate";

/// A release, which has a namespace of its own.
pub(crate) struct Release {
    /// Its name, and that of its namespace.
    name: String,
    namespace: Namespace,
    helm: Helm,
    /// The values that it has in these tests, whatever else they set.
    base: PathBuf,
    balancer: Arc<Balancer>,
    kubelet: Kubelet,
    api: Api,
}

impl Release {
    /// Makes its namespace, and all that it takes but the chart. API servers ask at a URL.
    pub(crate) fn prepare(control_plane: &ControlPlane, name: &str) -> Self {
        let url = |balancer: &Balancer| format!("url: https://localhost:{}", balancer.port());
        Self::with(control_plane, name, url)
    }

    /// The same, but API servers ask at its Service, whose port is that of the balancer; see
    /// [`lead_service`](Self::lead_service).
    pub(crate) fn prepare_with_service(control_plane: &ControlPlane, name: &str) -> Self {
        let release = Self::with(control_plane, name, |_| String::new());
        let values = fs::read_to_string(&release.base).expect("it was written");
        let port = format!("service: {{port: {}}}\n", release.balancer.port());
        fs::write(&release.base, values + &port).expect("the control plane's folder is ours");
        release
    }

    /// Makes its Service one that leads to this machine, where in a cluster kube-proxy leads to the pods. For a Service the API server
    /// speaks HTTP/1.1 and asks for the Service's name; at a URL of its own machine it does neither.
    pub(crate) fn lead_service(&self) {
        let spec = r#"{"spec":{"type":"ExternalName","externalName":"localhost","clusterIP":null,"clusterIPs":null}}"#;
        self.namespace.run(&format!("patch service/{} --type=merge -p {spec}", self.full_name()));
    }

    /// The same, with what stands in the section `webhook` of its values.
    fn with(control_plane: &ControlPlane, name: &str, webhook: impl Fn(&Balancer) -> String) -> Self {
        let (namespace, balancer) = (Namespace::within(control_plane, name), Arc::new(Balancer::start()));
        // All pods of the chart are as the strictest Pod Security Standard wants them.
        namespace.run(&format!("label namespace {name} pod-security.kubernetes.io/enforce=restricted"));
        let base = control_plane.dir().join(format!("{name}-values.yaml"));
        // It lets go a second after the balancer does, and of nothing else.
        let values = format!(
            "{KUBELET_VALUES}log: {{level: debug}}\nconfig: {{drain: {{grace: 2s}}}}\nwebhook: {{name: zz-{name}, {}}}\n",
            webhook(&balancer)
        );
        fs::write(&base, values).expect("the control plane's folder is ours");
        let kubelet = Kubelet::start(control_plane, name, &balancer);
        let helm = Helm::new(control_plane, &namespace);
        let api = background().block_on(Api::administrator(control_plane));
        Self { name: name.to_owned(), namespace, helm, base, balancer, kubelet, api }
    }

    /// Runs `helm COMMAND NAME CHART` with these values, of which those of the tests are the base, and returns when Helm says that
    /// all is ready.
    pub(crate) fn helm_with(&self, command: &str, chart: &Path, values: &str) -> String {
        let Self { name, base, .. } = self;
        let (chart, base) = (chart.display(), base.display());
        self.helm.feed(&format!("{command} {name} {chart} --values {base} --values - --wait --timeout 90s"), values)
    }

    /// Installs the chart with these values.
    pub(crate) fn install(&self, values: &str) -> String {
        self.helm_with("install", Path::new(CHART), values)
    }

    /// Changes it to these values, and to the chart as it is.
    pub(crate) fn upgrade(&self, values: &str) -> String {
        self.helm_with("upgrade", Path::new(CHART), values)
    }

    /// What `helm test` says.
    pub(crate) fn test(&self) -> Output {
        self.helm.attempt(&format!("test {} --timeout 60s", self.name), "")
    }

    /// Returns when the API server asks it about pods in that namespace, and gets an answer.
    pub(crate) fn wait_until_called(&self, namespace: &str) {
        let path = format!("{}?dryRun=All", pair::pods(namespace));
        let mut pod = pair::pod("probe");
        pod["spec"]["volumes"] = json!([{"name": "data", "csi": {"driver": "pxd.portworx.com"}}]);
        let began = Instant::now();
        loop {
            let reply = background().block_on(self.api.create(&path, &pod));
            if reply.object.scheduler() == "stork" {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "the API server does not call colocate: {reply:?}");
        }
    }

    pub(crate) fn helm(&self) -> &Helm {
        &self.helm
    }

    /// Its name, which is that of its namespace.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What the chart calls its objects.
    pub(crate) fn full_name(&self) -> String {
        if self.name.contains("colocate") { self.name.clone() } else { format!("{}-colocate", self.name) }
    }

    /// The name of its webhook configurations.
    pub(crate) fn configuration(&self) -> String {
        format!("zz-{}", self.name)
    }

    pub(crate) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    pub(crate) fn kubelet(&self) -> &Kubelet {
        &self.kubelet
    }

    /// Where the API server reaches the replicas that are ready.
    pub(crate) fn balancer(&self) -> &Balancer {
        &self.balancer
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        // All releases are asked about classes, which are in no namespace: none of those whose processes end now may be.
        let kinds = "mutatingwebhookconfigurations,validatingwebhookconfigurations";
        let line = format!("delete {kinds} {} --ignore-not-found", self.configuration());
        self.namespace.kubectl().attempt(&line, "");
    }
}
