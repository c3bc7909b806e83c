//! The chart, rendered by the real helm.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use serde::Deserialize as _;
use serde_json::{Value, json};

use colocate_harness::programs;

/// The namespace of the release, which is named `colocate`.
pub(crate) const HOME: &str = "home";

/// A current Kubernetes version.
const KUBERNETES: &str = "1.37.0";

/// The chart with its default values.
pub(crate) static DEFAULTS: LazyLock<Rendered> = LazyLock::new(|| render(""));

/// The rendered chart.
#[derive(Debug, PartialEq)]
pub(crate) struct Rendered {
    pub(crate) text: String,
    objects: Vec<Value>,
}

/// Returns the folder of the chart.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/colocate")
}

/// Returns the content of a file of the chart.
pub(crate) fn file(name: &str) -> String {
    let path = folder().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the driver in docs/running.md, which has every key of a driver.
pub(crate) fn documented_driver() -> Value {
    let page = include_str!("../../docs/running.md");
    let (_, block) = page.split_once("```yaml\ndrivers:\n").expect("the page shows a driver");
    let mut drivers = yaml(block.split("```").next().unwrap_or_default());
    drivers[0]["provisioners"] = json!(["pxd.portworx.com"]);
    drivers[0]["recognises"] = json!(["class"]);
    drivers[0].take()
}

/// Renders the chart with these values, which are YAML.
pub(crate) fn render(values: &str) -> Rendered {
    render_for(KUBERNETES, values)
}

/// Renders the chart for a version of Kubernetes.
pub(crate) fn render_for(kubernetes: &str, values: &str) -> Rendered {
    let output = template(&["--kube-version", kubernetes], values);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "with the values\n{values}\nhelm says: {stderr}");
    Rendered::read(String::from_utf8(output.stdout).expect("helm prints UTF-8"))
}

/// Returns the objects of a release in another namespace, for a version of Kubernetes.
pub(crate) fn render_for_in(namespace: &str, kubernetes: &str, values: &str) -> Vec<Value> {
    let output = template(&["--kube-version", kubernetes, "--namespace", namespace], values);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Rendered::read(String::from_utf8(output.stdout).expect("helm prints UTF-8")).objects
}

/// Renders the chart for a release of that name.
pub(crate) fn render_as(release: &str, values: &str) -> Rendered {
    render_chart(release, &folder(), values)
}

/// Renders a packaged chart with its default values.
pub(crate) fn render_file(chart: &Path) -> Rendered {
    render_chart("colocate", chart, "")
}

fn render_chart(release: &str, chart: &Path, values: &str) -> Rendered {
    let chart = chart.to_str().expect("the path is UTF-8");
    let fixed = ["template", release, chart, "--namespace", HOME, "--kube-version", KUBERNETES, "--values", "-"];
    let output = helm(&fixed, values);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Rendered::read(String::from_utf8(output.stdout).expect("helm prints UTF-8"))
}

/// Returns helm's error message for values that it must reject.
pub(crate) fn refused(values: &str) -> String {
    let output = template(&["--kube-version", KUBERNETES], values);
    assert!(!output.status.success(), "helm accepted these values:\n{values}");
    String::from_utf8(output.stderr).expect("helm prints UTF-8")
}

pub(crate) fn template(arguments: &[&str], values: &str) -> Output {
    let chart = folder();
    let fixed =
        ["template", "colocate", chart.to_str().expect("the path is UTF-8"), "--namespace", HOME, "--values", "-"];
    helm(&[&fixed, arguments].concat(), values)
}

/// Runs helm with these values on stdin.
pub(crate) fn helm(arguments: &[&str], values: &str) -> Output {
    static HELM: LazyLock<PathBuf> = LazyLock::new(|| programs::folder().join("helm"));
    let mut child = Command::new(&*HELM)
        .args(arguments)
        // Ignores the helm configuration of the developer.
        .env("HOME", env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the helm binary is built");
    // helm may exit before it has read its input; its error message is what counts then.
    let _ = child.stdin.take().expect("stdin is piped").write_all(values.as_bytes());
    child.wait_with_output().expect("helm is running")
}

/// Parses YAML as JSON.
pub(crate) fn yaml(text: &str) -> Value {
    yaml_serde::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

impl Rendered {
    /// Parses manifests.
    pub(crate) fn read(text: String) -> Self {
        let documents = yaml_serde::Deserializer::from_str(&text).map(Value::deserialize);
        let objects = documents.map(|document| document.unwrap_or_else(|error| panic!("{error}: {text}")));
        let objects = objects.filter(|object| !object.is_null()).collect();
        Self { text, objects }
    }

    /// Returns all objects.
    pub(crate) fn objects(&self) -> &[Value] {
        &self.objects
    }

    /// Returns the names of all objects as `Kind/name`, prefixed with the namespace if it is not the release's.
    pub(crate) fn names(&self) -> Vec<String> {
        self.objects.iter().map(name).collect()
    }

    /// Returns the object of that name.
    pub(crate) fn find(&self, wanted: &str) -> Option<&Value> {
        self.objects.iter().find(|object| name(object) == wanted)
    }

    /// Returns the object of that name, which must exist.
    pub(crate) fn get(&self, wanted: &str) -> &Value {
        self.find(wanted).unwrap_or_else(|| panic!("{wanted} not found in {:?}", self.names()))
    }

    /// Returns the value at a JSON pointer in an object, or null.
    pub(crate) fn at(&self, object: &str, pointer: &str) -> &Value {
        self.find(object).and_then(|object| object.pointer(pointer)).unwrap_or(&Value::Null)
    }

    /// Returns the string at that place.
    pub(crate) fn text_at(&self, object: &str, pointer: &str) -> &str {
        self.at(object, pointer).as_str().unwrap_or_else(|| panic!("no string at {pointer} of {object}"))
    }

    /// Returns the webhooks of all configurations.
    pub(crate) fn webhooks(&self) -> impl Iterator<Item = &Value> {
        let configurations =
            self.objects.iter().filter(|object| text(object, "/kind").ends_with("WebhookConfiguration"));
        configurations.flat_map(|object| object["webhooks"].as_array().expect("a configuration has webhooks"))
    }

    /// Returns the webhook of that name.
    pub(crate) fn webhook(&self, name: &str) -> &Value {
        self.webhooks().find(|webhook| webhook["name"] == name).unwrap_or_else(|| panic!("{name} not found"))
    }
}

/// Returns the name of an object, as in [`Rendered::names`].
pub(crate) fn name(object: &Value) -> String {
    let name = format!("{}/{}", text(object, "/kind"), text(object, "/metadata/name"));
    match text(object, "/metadata/namespace") {
        "" | HOME => name,
        other => format!("{other}:{name}"),
    }
}

/// Returns the string at a JSON pointer, or an empty one.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Returns the strings of an array.
pub(crate) fn texts(array: &Value) -> Vec<&str> {
    array.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}
