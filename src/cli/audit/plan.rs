//! The repair plan as a shell script, which its reader may run.

use std::fmt::Write as _;

use serde_json::json;

use super::ClusterAudit;
use crate::engine::printable;
use crate::insight::{RepairPlan, WrongPod};

/// Waits for the reader between two rounds, so that a shell that runs the whole script does not begin them all at once. Without
/// an answer, the script ends.
const PAUSE: &str = "printf 'Press Enter when the new pods are ready: ' >&2 && read -r _ || exit 1";

/// Renders the commands for a cluster. Everything else is a comment.
pub(super) fn script(cluster: &ClusterAudit) -> String {
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
    let pods: usize = rounds.iter().map(Vec::len).sum();
    match audit.installed {
        Some(true) => {}
        Some(false) => {
            comment("no plan: colocate is not registered for pods, so new pods would get the same scheduler");
            return text;
        }
        None => comment(
            "it is not known whether colocate is registered for pods; without it, new pods get the same scheduler",
        ),
    }
    comment(&format!("{pods} pods in {} rounds; nothing has been run", rounds.len()));
    if let Some(first) = rounds.iter().flatten().next() {
        let namespace = &first.namespace;
        comment(&format!(
            "check first that API servers call colocate: colocate probe --apiserver --namespace {namespace}"
        ));
    }
    if rounds.len() > 1 {
        comment("start a round when the pods of the round before have been created again and are ready");
    }
    if *more > 0 {
        comment(&format!("{more} more pods are wrong: plan again after these rounds"));
    }
    for not_seen in &cluster.not_seen {
        comment(&format!("not seen: {not_seen}"));
    }
    let context = cluster.context.as_ref().map(|context| format!(" --context {}", quoted(context))).unwrap_or_default();
    for (number, round) in rounds.iter().enumerate() {
        if number > 0 {
            let _ = writeln!(text, "\n{PAUSE}");
        }
        let _ = writeln!(text, "\n# round {}", number + 1);
        for pod in round {
            let _ = writeln!(text, "{}", command(&context, pod));
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

/// Renders the eviction of a pod. `kubectl` has no command for it. The UID keeps a later pod of the same name.
fn command(context: &str, WrongPod { namespace, name, uid, .. }: &WrongPod) -> String {
    let eviction = json!({
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": namespace},
        "deleteOptions": {"preconditions": {"uid": uid}},
    });
    let (eviction, path) =
        (quoted(&eviction.to_string()), format!("/api/v1/namespaces/{namespace}/pods/{name}/eviction"));
    format!("echo {eviction} | kubectl{context} create --raw {} -f -", quoted(&path))
}

/// Quotes a word for a shell, unless it needs no quotes.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::insight::Labels;

    #[test]
    fn a_command_evicts_exactly_this_pod() {
        let pod = WrongPod {
            namespace: "db".into(),
            name: "mysql-0".into(),
            uid: "u1".into(),
            controller: None,
            pending: false,
            ready: true,
            labels: Labels::new(),
        };
        let json = r#"{"apiVersion":"policy/v1","deleteOptions":{"preconditions":{"uid":"u1"}},"kind":"Eviction","metadata":{"name":"mysql-0","namespace":"db"}}"#;
        let path = "/api/v1/namespaces/db/pods/mysql-0/eviction";
        assert_eq!(command("", &pod), format!("echo '{json}' | kubectl create --raw {path} -f -"));
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        for (word, expected) in
            [("prod", "prod"), ("a b", "'a b'"), ("", "''"), ("it's", r"'it'\''s'"), ("$(x)", "'$(x)'")]
        {
            assert_eq!(quoted(word), expected);
        }
    }
}
