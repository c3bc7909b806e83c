//! The real Prometheus, which scrapes replicas of colocate and the API server once per second.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};

use super::colocate::ask;
use super::control_plane::ControlPlane;
use super::kubelet::Replica;
use super::lines::Lines;

/// The name of the account and its roles.
const ACCOUNT: &str = "prometheus";

/// A Prometheus that runs until it is dropped.
pub struct Prometheus {
    address: SocketAddr,
    /// The file with the addresses of the replicas, which Prometheus watches.
    targets: PathBuf,
    process: Child,
}

/// A series in the result of a query.
#[derive(Debug)]
pub struct Series {
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// The times in seconds since the epoch, with the values.
    pub samples: Vec<(f64, f64)>,
}

impl Prometheus {
    /// Starts the Prometheus in the folder `programs`. It scrapes the API server, and no replica yet.
    pub fn start(programs: &Path, control_plane: &ControlPlane) -> Self {
        let folder = control_plane.dir().join(ACCOUNT);
        fs::create_dir_all(&folder).expect("the control plane's folder is writable");
        let config = folder.join("prometheus.yaml");
        fs::write(&config, configuration(control_plane).to_string()).expect("the folder exists");
        let targets = folder.join("replicas.json");
        fs::write(&targets, "[]").expect("the folder exists");
        let mut process = control_plane
            .command(&programs.join("prometheus"))
            .arg("--config.file")
            .arg(config)
            .arg("--storage.tsdb.path")
            .arg(folder.join("data"))
            .arg("--web.listen-address=127.0.0.1:0")
            .stderr(Stdio::piped())
            .spawn()
            .expect("the control plane was built");
        let log = Lines::of(process.stderr.take().expect("the stream is piped"));
        let address = log.wait_for("Prometheus' address", |line| {
            let (_, address) = line.split_once("msg=\"Listening on\" address=")?;
            address.trim().parse().ok()
        });
        log.wait_for("Prometheus' start", |line| line.contains("Server is ready").then_some(()));
        Self { address, targets, process }
    }

    /// Scrapes these replicas from now on, with the label `pod`, as the chart's `ServiceMonitor` does.
    pub fn scrape(&self, replicas: &[Arc<Replica>]) {
        let servers = replicas.iter().filter_map(|replica| Some((&replica.pod, replica.addresses.as_ref()?.admin)));
        let targets: Vec<_> =
            servers.map(|(pod, admin)| json!({"targets": [admin.to_string()], "labels": {"pod": pod}})).collect();
        // Prometheus must not read half of the file.
        let new = self.targets.with_extension("new");
        fs::write(&new, json!(targets).to_string()).expect("the folder exists");
        fs::rename(new, &self.targets).expect("the folder exists");
    }

    /// Returns the current result of a query.
    pub fn query(&self, query: &str) -> Vec<Series> {
        self.result(&format!("query?query={}", encode(query)))
    }

    /// Returns the results of a query between two times in seconds since the epoch, one for each `step` seconds.
    pub fn query_range(&self, query: &str, start: f64, end: f64, step: u32) -> Vec<Series> {
        self.result(&format!("query_range?query={}&start={start}&end={end}&step={step}", encode(query)))
    }

    fn result(&self, request: &str) -> Vec<Series> {
        // A response in HTTP/1.0 is not split into chunks.
        let response = ask(self.address, "HTTP/1.0", &format!("/api/v1/{request}"));
        let body = response.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        assert_eq!(body["status"], "success", "{request}: {response}");
        body["data"]["result"].as_array().into_iter().flatten().map(Series::of).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

impl Series {
    /// Reads an element of a vector or of a matrix.
    fn of(element: &Value) -> Self {
        let labels = element["metric"].as_object().into_iter().flatten();
        let text = |value: &Value| value.as_str().expect("labels are strings").to_owned();
        let samples = element["values"].as_array().into_iter().flatten().chain(element.get("value"));
        let sample = |sample: &Value| {
            let time = sample[0].as_f64().expect("a sample has a time");
            (time, text(&sample[1]).parse().expect("a sample has a number"))
        };
        Self {
            labels: labels.map(|(name, value)| (name.clone(), text(value))).collect(),
            samples: samples.map(sample).collect(),
        }
    }
}

/// Returns the configuration. Creates an account that may read the API server's metrics.
fn configuration(control_plane: &ControlPlane) -> Value {
    let kubectl = control_plane.kubectl();
    kubectl.run(&format!("create serviceaccount {ACCOUNT} --namespace default"));
    kubectl.run(&format!("create clusterrole {ACCOUNT} --verb=get --non-resource-url=/metrics"));
    let subject = format!("--clusterrole={ACCOUNT} --serviceaccount=default:{ACCOUNT}");
    kubectl.run(&format!("create clusterrolebinding {ACCOUNT} {subject}"));
    let token = kubectl.run(&format!("create token {ACCOUNT} --namespace default --duration=48h")).stdout;
    let url = control_plane.url();
    json!({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [
            {
                "job_name": "colocate",
                "file_sd_configs": [{"files": ["replicas.json"]}],
            },
            {
                "job_name": "apiserver",
                "scheme": "https",
                "authorization": {"credentials": token.trim()},
                "tls_config": {"ca_file": control_plane.authority()},
                "static_configs": [{"targets": [url.trim_start_matches("https://")]}],
                "metric_relabel_configs": [
                    {"source_labels": ["__name__"], "regex": "apiserver_admission_.*", "action": "keep"},
                ],
            },
        ],
    })
}

/// Encodes a text for the query of a URL.
fn encode(text: &str) -> String {
    let encode = |byte: u8| {
        if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(encode).collect()
}
