//! The repair plan as a shell script, which its reader may run.

use std::fmt::Write as _;

use super::ClusterAudit;
use crate::engine::{Mode, amount, printable};
use crate::insight::{RepairPlan, WrongPod};
use crate::inspect::{Audit, ConfigSource, Kubectl};

/// Waits for Enter between two rounds, so that running the whole script does not start them all at once. At end of input, the
/// script exits.
const PAUSE: &str = "printf 'Press Enter when the new pods are ready: ' >&2 && read -r _ || exit 1";

/// Renders the commands for a cluster. Everything else is a comment.
pub(super) fn script(cluster: &ClusterAudit, kubectl: Kubectl<'_>) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let mut comment = |line: &str| writeln!(text, "# {}", printable(line)).unwrap_or_default();
    if let Some(context) = &cluster.context {
        comment(&format!("context {context}"));
    }
    let Ok(audit) = &cluster.audit else {
        comment("not audited: see the error");
        return text;
    };
    let RepairPlan { rounds, left_out, more } = &audit.plan;
    if let Some(obstacle) = obstacle(audit) {
        comment(&format!("no plan: {obstacle}"));
        cluster.not_seen.iter().for_each(|not_seen| comment(&format!("not seen: {not_seen}")));
        return text;
    }
    if audit.installed.is_none() {
        comment("it is not known whether colocate is registered for pods; without it, new pods get the same scheduler");
    }
    match &audit.config {
        ConfigSource::File => comment(
            "configuration: the file of --config; if colocate runs with another one, new pods may get the same scheduler",
        ),
        source => comment(&format!("configuration: {source}")),
    }
    let pods: usize = rounds.iter().map(Vec::len).sum();
    let plan = format!("{} in {}", amount(pods, "pod"), amount(rounds.len(), "round"));
    comment(&format!("{plan}; nothing has been run"));
    if let Some(first) = rounds.iter().flatten().next() {
        let namespace = &first.namespace;
        comment(&format!(
            "check first, with KUBECONFIG and the current context of this cluster, that API servers call colocate: colocate probe --apiserver --namespace {namespace}"
        ));
    }
    if rounds.len() > 1 {
        comment("start a round when the pods of the round before have been created again and are ready");
    }
    if *more > 0 {
        let are = if *more == 1 { "is" } else { "are" };
        let pods = amount(*more, "more pod");
        comment(&format!("{pods} {are} on the wrong scheduler: run --repair-plan again after these rounds"));
    }
    for not_seen in &cluster.not_seen {
        comment(&format!("not seen: {not_seen}"));
    }
    for (number, round) in rounds.iter().enumerate() {
        if number > 0 {
            let _ = writeln!(text, "\n{PAUSE}");
        }
        let _ = writeln!(text, "\n# round {}", number + 1);
        for WrongPod { namespace, name, uid, .. } in round {
            let _ = writeln!(text, "{}", kubectl.evict(namespace, name, uid));
        }
    }
    if !left_out.is_empty() {
        let _ = writeln!(text, "\n# not in the plan");
        for (WrongPod { namespace, name, .. }, reason) in left_out {
            let _ = writeln!(text, "# {}: {}", printable(&format!("{namespace}/{name}")), printable(reason));
        }
    }
    text
}

/// Returns the reason why a new pod would get the same scheduler, or may get it, if one holds for all pods.
fn obstacle(audit: &Audit) -> Option<&'static str> {
    match (audit.installed, &audit.config, audit.mode) {
        (Some(false), ..) => Some("colocate is not registered for pods, so new pods would get the same scheduler"),
        (_, ConfigSource::NotSeen, _) => Some(
            "the configuration of colocate is not known, so new pods may get the same scheduler: pass it with --config",
        ),
        (.., Mode::Audit) => Some("the configuration says mode: audit, so new pods would get the same scheduler"),
        (.., Mode::Off) => Some("the configuration says mode: off, so new pods would get the same scheduler"),
        (.., Mode::Inject) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::path::Path;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::api::ClusterChoice;
    use crate::insight::Labels;
    use crate::inspect;

    fn pod(name: &str) -> WrongPod {
        WrongPod {
            namespace: "db".into(),
            name: name.into(),
            uid: "u1".into(),
            controller: None,
            pending: false,
            ready: true,
            labels: Labels::new(),
            obstacle: None,
            not_sent: None,
        }
    }

    fn cluster(installed: Option<bool>) -> ClusterAudit {
        let left_out = vec![(pod("bare"), "it has\nno controller".to_owned())];
        let plan = RepairPlan { rounds: vec![vec![pod("a-0"), pod("b-0")], vec![pod("a-1")]], left_out, more: 7 };
        let audit = Ok(inspect::Audit { installed, plan, ..inspect::Audit::default() });
        let context = Some("the west".to_owned());
        ClusterAudit { context, audit, seen: Vec::new(), not_seen: Vec::new(), skipped: Vec::new() }
    }

    fn render(cluster: &ClusterAudit) -> String {
        let kubectl = ClusterChoice { kubeconfig: Some(Path::new("a b")), context: cluster.context.as_deref() };
        script(cluster, Kubectl(kubectl))
    }

    /// Runs a script with this standard input. Its kubectl prints the path of each eviction.
    fn run(script: &str, stdin: &str) -> (Option<i32>, String) {
        let kubectl = r#"kubectl() { cat > /dev/null; echo "$1 $2 $3: $5"; }"#;
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{kubectl}\n{script}")]).stdin(Stdio::piped());
        let mut shell = shell.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        // The shell may exit before it has read everything.
        let _ = shell.stdin.take().unwrap().write_all(stdin.as_bytes());
        let output = shell.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    }

    #[test]
    fn the_script_waits_for_enter_between_rounds() {
        let script = render(&cluster(Some(true)));
        let evicted = |names: &[&str]| {
            let line = |name| {
                format!("--kubeconfig=a b --context=the west create: /api/v1/namespaces/db/pods/{name}/eviction\n")
            };
            names.iter().map(line).collect::<Vec<_>>().concat()
        };
        assert_eq!(run(&script, ""), (Some(1), evicted(&["a-0", "b-0"])), "{script}");
        assert_eq!(run(&script, "\n"), (Some(0), evicted(&["a-0", "b-0", "a-1"])), "{script}");
        for line in [
            "# 3 pods in 2 rounds; nothing has been run",
            "# 7 more pods are on the wrong scheduler: run --repair-plan again after these rounds",
        ] {
            assert!(script.lines().any(|found| found == line), "{line}: {script}");
        }
        assert!(script.ends_with("\n# not in the plan\n# db/bare: it has\u{fffd}no controller\n"), "{script}");
    }

    #[test]
    fn nothing_is_evicted_while_colocate_is_not_registered() {
        let script = render(&cluster(Some(false)));
        assert_eq!(run(&script, "\n"), (Some(0), String::new()), "{script}");
        assert!(script.contains("# no plan: colocate is not registered for pods"), "{script}");
    }

    #[test]
    fn nothing_is_evicted_without_a_known_configuration_that_injects() {
        let with = |config, mode| {
            let mut cluster = cluster(Some(true));
            let audit = cluster.audit.as_mut().unwrap();
            (audit.config, audit.mode) = (config, mode);
            render(&cluster)
        };
        let place = || ConfigSource::Cluster("system/colocate".to_owned());
        for (config, mode, why) in [
            (place(), Mode::Audit, "the configuration says mode: audit,"),
            (place(), Mode::Off, "the configuration says mode: off,"),
            (ConfigSource::NotSeen, Mode::Inject, "the configuration of colocate is not known,"),
        ] {
            let script = with(config, mode);
            assert_eq!(run(&script, "\n"), (Some(0), String::new()), "{script}");
            assert!(script.contains(&format!("# no plan: {why}")), "{script}");
        }
        assert!(with(place(), Mode::Inject).contains("/pods/a-0/eviction"));
    }
}
