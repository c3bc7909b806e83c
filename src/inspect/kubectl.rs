//! Commands of kubectl for the cluster that the user named, quoted for a shell.

use serde_json::json;

use crate::api::ClusterChoice;

/// The kubectl of a cluster.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kubectl<'a>(pub(crate) ClusterChoice<'a>);

impl Kubectl<'_> {
    /// Returns the command with these arguments.
    pub(crate) fn command<'w>(self, arguments: impl IntoIterator<Item = &'w str>) -> String {
        let ClusterChoice { kubeconfig, context } = self.0;
        let kubeconfig = kubeconfig.map(|path| format!("--kubeconfig={}", path.display()));
        let context = context.map(|context| format!("--context={context}"));
        let mut words = vec!["kubectl".to_owned()];
        words.extend(kubeconfig.into_iter().chain(context).map(|option| quoted(&option)));
        words.extend(arguments.into_iter().map(quoted));
        words.join(" ")
    }

    /// Returns the command that evicts a pod. `kubectl` has no verb for it. The UID keeps a later pod of the same name.
    pub(crate) fn evict(self, namespace: &str, name: &str, uid: &str) -> String {
        let eviction = json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": namespace},
            "deleteOptions": {"preconditions": {"uid": uid}},
        });
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/eviction");
        // Not every shell has `<<<`.
        format!("echo {} | {}", quoted(&eviction.to_string()), self.command(["create", "--raw", &path, "-f", "-"]))
    }
}

/// Quotes a word for a shell, unless it needs no quotes.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=./:,@+".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell() {
        for (word, expected) in [
            ("--namespace=db", "--namespace=db"),
            ("a b", "'a b'"),
            ("", "''"),
            ("it's", r"'it'\''s'"),
            ("$(x)", "'$(x)'"),
            (r#"[{"a":1}]"#, r#"'[{"a":1}]'"#),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }

    #[test]
    fn an_eviction_is_of_one_pod_of_the_named_cluster() {
        let json = r#"{"apiVersion":"policy/v1","deleteOptions":{"preconditions":{"uid":"u1"}},"kind":"Eviction","metadata":{"name":"mysql-0","namespace":"db"}}"#;
        let rest = "create --raw /api/v1/namespaces/db/pods/mysql-0/eviction -f -";
        let evict = |choice| Kubectl(choice).evict("db", "mysql-0", "u1");
        assert_eq!(evict(ClusterChoice::default()), format!("echo '{json}' | kubectl {rest}"));
        let choice = ClusterChoice { kubeconfig: Some(Path::new("my config")), context: Some("west") };
        assert_eq!(evict(choice), format!("echo '{json}' | kubectl '--kubeconfig=my config' --context=west {rest}"));
    }
}
