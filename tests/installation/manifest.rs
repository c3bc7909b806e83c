//! `install.yaml` of a release: applied to an empty cluster, and later taken over by Helm.

use std::path::{Path, PathBuf};
use std::process::Command;

use colocate_harness::{
    CHART, ControlPlane, Folder, KUBELET_VALUES, Namespace, Object, PORTWORX_CLASS, Release, bundles, repository,
};

use crate::stream::Stream;

/// The namespace in the file.
const HOME: &str = "colocate";

/// The namespace in which pods are created.
const APPS: &str = "apps";

#[test]
fn an_applied_manifest_works_and_helm_takes_it_over() {
    let control_plane = &ControlPlane::own(&[]);
    let kubectl = control_plane.kubectl();
    let release = Release::prepare_with_service(control_plane, HOME);
    // The file creates it.
    kubectl.run(&format!("delete namespace {HOME}"));
    let folder = Folder::new(&[]);
    let chart = package(control_plane, &folder);
    let manifest = manifest(control_plane, &chart, release.balancer().port());

    kubectl.feed("apply -f -", &manifest);
    release.redirect_service();
    let apps = Namespace::within(control_plane, APPS);
    apps.add_claim("data", PORTWORX_CLASS);
    release.namespace().run("rollout status deployment/colocate --timeout=90s");
    release.wait_until_called(APPS);
    apps.apply(DEPLOYMENT);
    let [pod] = &apps.running_pods("-l app=mysql", 1)[..] else { panic!("one pod was awaited") };
    assert_eq!(pod.scheduler(), "stork");
    assert_eq!(kubectl.object(&format!("get namespace/{HOME}")).text(ENFORCED), "restricted");
    assert_eq!(image(&release), IMAGE);

    // Applied again, it keeps what colocate wrote.
    let (trust, authority) = (bundles(&configuration(&release)), release.namespace().get("secret/colocate-ca"));
    kubectl.feed("apply -f -", &manifest);
    assert_eq!(bundles(&configuration(&release)), trust);
    assert!(trust.iter().all(Option::is_some), "{trust:?}");

    // Helm before 3.17 accepts objects with its label and annotations.
    let dry_run = format!("install {HOME} {CHART} --dry-run=server");
    let refused = release.helm().attempt(&dry_run, "");
    assert!(!refused.succeeded && refused.stderr.contains("meta.helm.sh/release-name"), "{refused:?}");
    bash(control_plane, &indented(&page(), "      "));
    release.helm().run(&dry_run);
    release.namespace().run("annotate deployment/colocate meta.helm.sh/release-name-");

    let stream = Stream::start(control_plane, APPS, "data");
    let (own, command) = documented();
    kubectl.feed(&own, &manifest);
    release.helm_with(&command, &chart, "");
    assert_eq!(image(&release), IMAGE);
    stream.wait_for_more(20);
    release.helm_with("upgrade", &chart, "log: {level: info}");
    assert_eq!(image(&release), IMAGE);
    stream.wait_for_more(20);
    let created = stream.stop();
    let unchanged = created.iter().filter(|scheduler| *scheduler != "stork").count();
    assert_eq!(unchanged, 0, "of {} pods: {created:?}", created.len());
    assert_eq!(release.namespace().get("secret/colocate-ca").0["data"], authority.0["data"], "the CA was replaced");
    let output = release.test();
    assert!(output.succeeded, "{output:?}");

    release.helm().run(&format!("uninstall {HOME} --wait"));
    let left = kubectl.run(&format!("get {KINDS} -A -l app.kubernetes.io/name=colocate -o name")).stdout;
    assert_eq!(left, "");
}

/// The registry of the release, and its image.
const REGISTRY: &str = "registry.example.com/team";
const IMAGE: &str = concat!("registry.example.com/team/colocate:", env!("CARGO_PKG_VERSION"));

/// The kinds of objects in the file.
const KINDS: &str = "poddisruptionbudgets,serviceaccounts,secrets,configmaps,clusterroles,clusterrolebindings,roles,rolebindings,\
    services,deployments,mutatingwebhookconfigurations,validatingwebhookconfigurations,flowschemas";

const ENFORCED: &str = "/metadata/labels/pod-security.kubernetes.io~1enforce";

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: mysql}
spec:
  selector: {matchLabels: {app: mysql}}
  template:
    metadata: {labels: {app: mysql}}
    spec:
      containers: [{name: mysql, image: mysql}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
";

/// Packages the chart for the registry, as a release does. Returns the path of the package.
fn package(control_plane: &ControlPlane, folder: &Folder) -> PathBuf {
    let mut command = Command::new(repository("charts/package"));
    command.arg(folder.root()).env("REGISTRY", REGISTRY);
    output(control_plane, command).trim_end().into()
}

/// Returns install.yaml with two changes for this machine: a node selector for the kubelet, and the port of the balancer.
fn manifest(control_plane: &ControlPlane, chart: &Path, port: u16) -> String {
    let mut command = Command::new(repository("release/manifest"));
    command.arg(chart);
    let text = output(control_plane, command);
    let selector = "      nodeSelector:\n";
    assert_eq!((text.matches(selector).count(), text.matches("port: 443").count()), (1, 13), "{text}");
    let (_, label) = KUBELET_VALUES.trim_end().trim_end_matches('}').split_once('{').expect("the values are a mapping");
    let text = text.replace(selector, &format!("{selector}        {label}\n"));
    text.replace("port: 443", &format!("port: {port}"))
}

/// Returns the image of colocate's pods.
fn image(release: &Release) -> String {
    release.namespace().get("deployment/colocate").text("/spec/template/spec/containers/0/image").to_owned()
}

/// Returns the live configuration of the mutating webhooks.
fn configuration(release: &Release) -> Object {
    release.namespace().get(&format!("mutatingwebhookconfiguration/{}", release.configuration()))
}

/// Returns the part of `docs/install.md` about this file.
fn page() -> String {
    let page = std::fs::read_to_string(repository("docs/install.md")).expect("the page exists");
    let (_, section) = page.split_once("\n## Install without Helm\n").expect("the page has the section");
    section.split("\n## ").next().unwrap_or_default().to_owned()
}

/// Returns the lines with exactly this indentation.
fn indented(page: &str, indentation: &str) -> String {
    let lines = page.lines().filter_map(|line| line.strip_prefix(indentation));
    lines.filter(|line| !line.starts_with(' ')).flat_map(|line| [line, "\n"]).collect()
}

/// Runs commands with the kubectl of the control plane.
fn bash(control_plane: &ControlPlane, script: &str) {
    let mut command = Command::new("bash");
    command.args(["-euc", script]).env("KUBECONFIG", control_plane.kubeconfig());
    output(control_plane, command);
}

/// Runs a program that finds Helm and kubectl of the control plane. Returns its output.
fn output(control_plane: &ControlPlane, mut command: Command) -> String {
    let path = format!("{}:{}", control_plane.programs.display(), std::env::var("PATH").unwrap_or_default());
    let output = command.env("PATH", path).output().expect("bash is installed");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("programs print UTF-8")
}

/// Returns the arguments of the documented commands by which Helm takes the installation over: those of kubectl, and those of Helm
/// before the names of the release and the chart.
fn documented() -> (String, String) {
    let commands = indented(&page(), "    ");
    let find =
        |start: &str| commands.lines().find_map(|line| line.strip_prefix(start)).expect("the page shows the command");
    let own = find("kubectl apply --server-side").replace("dist/install.yaml", "-");
    let take = find(concat!(
        "helm upgrade --install colocate dist/colocate-",
        env!("CARGO_PKG_VERSION"),
        ".tgz --namespace colocate"
    ));
    (format!("apply --server-side{own}"), format!("upgrade --install{}", take.replace(" -f values.yaml", "")))
}
