//! The chart, rendered by the real helm.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use serde::Deserialize as _;
use serde_json::{Value, json};

use colocate_harness::programs;

/// The namespace of the release, which is called `colocate`.
pub(crate) const HOME: &str = "home";

/// A Kubernetes of today.
const KUBERNETES: &str = "1.37.0";

/// The chart with its default values.
pub(crate) static DEFAULTS: LazyLock<Rendered> = LazyLock::new(|| render(""));

/// What became of the chart with some values.
#[derive(Debug, PartialEq)]
pub(crate) struct Rendered {
    pub(crate) text: String,
    objects: Vec<Value>,
}

/// Where the chart is.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/colocate")
}

/// The text of one of its files.
pub(crate) fn file(name: &str) -> String {
    let path = folder().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The driver of docs/running.md, which has every key of a driver.
pub(crate) fn documented_driver() -> Value {
    let page = include_str!("../../docs/running.md");
    let (_, block) = page.split_once("```yaml\ndrivers:\n").expect("the page has a driver");
    let mut drivers = yaml(block.split("```").next().unwrap_or_default());
    drivers[0]["provisioners"] = json!(["pxd.portworx.com"]);
    drivers[0].take()
}

/// The chart with these values, in YAML.
pub(crate) fn render(values: &str) -> Rendered {
    render_for(KUBERNETES, values)
}

/// The same for a version of Kubernetes.
pub(crate) fn render_for(kubernetes: &str, values: &str) -> Rendered {
    let output = template(&["--kube-version", kubernetes], values);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "with the values\n{values}\nhelm says: {said}");
    Rendered::read(String::from_utf8(output.stdout).expect("helm writes text"))
}

/// The same of a release of that name, for a Kubernetes of today.
pub(crate) fn render_as(release: &str, values: &str) -> Rendered {
    render_chart(release, &folder(), values)
}

/// A chart in a file, with its default values.
pub(crate) fn render_file(chart: &Path) -> Rendered {
    render_chart("colocate", chart, "")
}

fn render_chart(release: &str, chart: &Path, values: &str) -> Rendered {
    let chart = chart.to_str().expect("the path is text");
    let fixed = ["template", release, chart, "--namespace", HOME, "--kube-version", KUBERNETES, "--values", "-"];
    let output = helm(&fixed, values);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Rendered::read(String::from_utf8(output.stdout).expect("helm writes text"))
}

/// What helm says of values that are refused.
pub(crate) fn refused(values: &str) -> String {
    let output = template(&["--kube-version", KUBERNETES], values);
    assert!(!output.status.success(), "this was taken:\n{values}");
    String::from_utf8(output.stderr).expect("helm writes text")
}

fn template(arguments: &[&str], values: &str) -> Output {
    let chart = folder();
    let fixed =
        ["template", "colocate", chart.to_str().expect("the path is text"), "--namespace", HOME, "--values", "-"];
    helm(&[&fixed, arguments].concat(), values)
}

/// Runs helm with these values as its input.
pub(crate) fn helm(arguments: &[&str], values: &str) -> Output {
    static HELM: LazyLock<PathBuf> = LazyLock::new(|| programs::folder().join("helm"));
    let mut child = Command::new(&*HELM)
        .args(arguments)
        // Whatever the person who runs the tests has configured is not looked at.
        .env("HOME", env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("helm was built");
    // helm may end before it has read all; what it says then is what counts.
    let _ = child.stdin.take().expect("it is piped").write_all(values.as_bytes());
    child.wait_with_output().expect("helm was started")
}

/// YAML as JSON; nothing is null.
pub(crate) fn yaml(text: &str) -> Value {
    yaml_serde::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

impl Rendered {
    fn read(text: String) -> Self {
        let documents = yaml_serde::Deserializer::from_str(&text).map(Value::deserialize);
        let objects = documents.map(|document| document.unwrap_or_else(|error| panic!("{error}: {text}")));
        let objects = objects.filter(|object| !object.is_null()).collect();
        Self { text, objects }
    }

    /// All objects.
    pub(crate) fn objects(&self) -> &[Value] {
        &self.objects
    }

    /// What all objects are called: `Kind/name`, with the namespace before it where that is not the release's own.
    pub(crate) fn names(&self) -> Vec<String> {
        self.objects.iter().map(name).collect()
    }

    /// The object of that name.
    pub(crate) fn find(&self, wanted: &str) -> Option<&Value> {
        self.objects.iter().find(|object| name(object) == wanted)
    }

    /// The same, which is there.
    pub(crate) fn get(&self, wanted: &str) -> &Value {
        self.find(wanted).unwrap_or_else(|| panic!("there is no {wanted} but {:?}", self.names()))
    }

    /// What stands at a JSON pointer in an object; null for nothing.
    pub(crate) fn at(&self, object: &str, pointer: &str) -> &Value {
        self.find(object).and_then(|object| object.pointer(pointer)).unwrap_or(&Value::Null)
    }

    /// The text that stands there.
    pub(crate) fn text_at(&self, object: &str, pointer: &str) -> &str {
        self.at(object, pointer).as_str().unwrap_or_else(|| panic!("no text at {pointer} of {object}"))
    }

    /// The webhooks of both configurations, or of those there are.
    pub(crate) fn webhooks(&self) -> impl Iterator<Item = &Value> {
        let configurations =
            self.objects.iter().filter(|object| text(object, "/kind").ends_with("WebhookConfiguration"));
        configurations.flat_map(|object| object["webhooks"].as_array().expect("it has entries"))
    }

    /// The webhook of that name.
    pub(crate) fn webhook(&self, name: &str) -> &Value {
        self.webhooks().find(|webhook| webhook["name"] == name).unwrap_or_else(|| panic!("there is no {name}"))
    }
}

fn name(object: &Value) -> String {
    let name = format!("{}/{}", text(object, "/kind"), text(object, "/metadata/name"));
    match text(object, "/metadata/namespace") {
        "" | HOME => name,
        other => format!("{other}:{name}"),
    }
}

/// The text at a JSON pointer; empty for none.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The texts of an array.
pub(crate) fn texts(array: &Value) -> Vec<&str> {
    array.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}
