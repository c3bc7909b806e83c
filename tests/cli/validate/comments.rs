//! Comments that ignore findings.

use colocate_harness::Folder;
use serde_json::{Value, json};

use super::{CLASS, DISABLE, LOCAL_ONLY, claim, deployment};

const IGNORE: &str = "# colocate: ignore HC001 because the driver reads yes\n";

/// Returns a Deployment with an error, HC001 on line 9.
fn yes() -> String {
    deployment(&format!("{LOCAL_ONLY}: \"yes\""))
}

/// Checks a file. Returns the exit code with the findings of standard output, and the summary.
fn validate(text: &str, options: &str) -> (Option<i32>, Vec<String>, String) {
    let run = Folder::new(&[("a.yaml", text)]).run(&format!("validate a.yaml{options}"));
    let places = run.places().into_iter().map(str::to_owned).collect();
    (run.code, places, run.err)
}

#[test]
fn a_finding_that_a_comment_ignores_is_counted_only() {
    let text = yes();
    let ignored = (Some(0), Vec::new(), "colocate: no findings in 1 object of 1 file; 1 ignored\n".to_owned());
    for text in [
        format!("{IGNORE}{text}"),
        format!("# a\n{IGNORE}---\n{text}"),
        format!("{text}{IGNORE}"),
        text.replace("      annotations", &format!("      {IGNORE}      annotations")),
        text.replace("yes\"}\n", &format!("yes\"}} {IGNORE}")),
        format!("{}{text}", IGNORE.replace("HC001", "HC001, NoBoolean")),
    ] {
        assert_eq!(validate(&text, " --strict --fail-on info"), ignored, "{text}");
    }
    // The comment is about another document, or another rule.
    let other = format!("{CLASS}{IGNORE}---\n{text}");
    let (code, places, _) = validate(&other, "");
    assert_eq!(
        (code, places),
        (Some(1), vec!["a.yaml:6:1: warning[HC039]".to_owned(), "a.yaml:16:67: error[HC001]".to_owned()])
    );
    let (code, places, _) = validate(&format!("{}{text}", IGNORE.replace("HC001", "HC002")), "");
    assert_eq!(
        (code, places),
        (Some(1), vec!["a.yaml:1:1: warning[HC039]".to_owned(), "a.yaml:10:67: error[HC001]".to_owned()])
    );
}

#[test]
fn a_comment_in_a_list_is_about_one_item() {
    let pod = |name: &str| {
        format!("- apiVersion: v1\n  kind: Pod\n  metadata: {{name: {name}, annotations: {{{LOCAL_ONLY}: \"yes\"}}}}\n")
    };
    let list = |items: &str| format!("apiVersion: v1\nkind: List\nitems:\n{items}");
    let (code, places, _) = validate(&list(&format!("{IGNORE}{}{}", pod("a"), pod("b"))), "");
    assert_eq!((code, places.len()), (Some(1), 1), "{places:?}");
    assert!(places[0].starts_with("a.yaml:10:"), "{places:?}");
    let (_, places, _) = validate(&list(&format!("{}{IGNORE}{}", pod("a"), pod("b"))), "");
    assert!(places.len() == 1 && places[0].starts_with("a.yaml:6:"), "{places:?}");
}

#[test]
fn an_invalid_comment_is_a_finding_and_ignores_nothing() {
    for (comment, why) in [
        ("colocate: ignore HC001", "it gives no reason"),
        ("colocate ignore HC001 because x", "it must begin with `colocate:`, in lower case"),
        ("Colocate: Ignore HC001 because x", "it must begin with `colocate:`, in lower case"),
        ("colocate: IGNORE HC001 because x", "unknown command `IGNORE`"),
        ("colocate: skip HC001 because x", "unknown command `skip`"),
        (
            "colocate: ignore HC999 because x",
            "unknown rule `HC999`: use HC001 to HC039; `colocate validate --list-rules` lists them",
        ),
    ] {
        let folder = Folder::new(&[("a.yaml", &format!("# {comment}\n{}", yes()))]);
        let run = folder.run("validate a.yaml");
        assert_eq!(
            (run.code, run.places()),
            (Some(1), vec!["a.yaml:1:1: warning[HC038]", "a.yaml:10:67: error[HC001]"])
        );
        let carets = "^".repeat(comment.len() + 2);
        let first = format!(
            "a.yaml:1:1: warning[HC038] the comment has no effect: {why}\n  1 | # {comment}\n    | {carets}\n    = help: write it as `# colocate: ignore HC011 because REASON`, with one or more rules, separated by commas\n"
        );
        assert!(run.out.starts_with(&first), "{}", run.out);
    }
    // A string is not a comment, and JSON has none.
    let text = yes().replace("metadata: {name: mysql}", "metadata: {name: mysql, labels: {a: \"# colocate: x\"}}");
    assert_eq!(validate(&text, "").1.len(), 1);
}

#[test]
fn a_comment_that_ignores_nothing_is_a_finding() {
    let good = deployment("a: b");
    let folder = Folder::new(&[
        ("a.yaml", &format!("{IGNORE}{good}")),
        ("service.yaml", &format!("{IGNORE}apiVersion: v1\nkind: Service\nmetadata: {{name: s}}\n")),
        ("values.yaml", &format!("{IGNORE}a: b\n")),
        ("off.txt", "validation: {rules: {HC001: off}}"),
        ("unused.txt", "validation: {rules: {HC039: off}}"),
    ]);
    for (file, object) in [
        ("a", json!({"kind": "Deployment", "namespace": "default", "name": "mysql"})),
        ("service", json!({"kind": "Service", "namespace": "default", "name": "s"})),
        ("values", json!({"kind": "document", "namespace": null, "name": ""})),
    ] {
        let run = folder.run(&format!("validate {file}.yaml -o json"));
        let list: Value = serde_json::from_str(&run.out).unwrap();
        let expected = json!([{
            "rule": "HC039",
            "severity": "warning",
            "message": "the comment ignores HC001, but the object has no such finding (Stork does not recognize the value)",
            "remedy": "remove the comment",
            "file": format!("{file}.yaml"),
            "line": 1,
            "column": 1,
            "object": object,
            "path": "",
        }]);
        assert_eq!((run.code, list), (Some(0), expected), "{file}");
    }
    // The rule is off, so its findings are not known.
    for config in ["off", "unused"] {
        assert_eq!(folder.run(&format!("validate a.yaml -o json --config {config}.txt")).out, "[]\n");
    }
}

#[test]
fn an_ignored_rule_that_cannot_be_checked_is_not_reported() {
    let comment = "# colocate: ignore HC013, HC014 because the claim is created by an operator\n";
    let local = deployment(&format!("{LOCAL_ONLY}: \"true\""));
    let folder = Folder::new(&[
        ("a.yaml", &format!("{comment}{local}")),
        ("one.yaml", &format!("{}{local}", comment.replace("HC013, ", ""))),
        ("claim.yaml", &claim("ReadWriteOnce")),
        ("class.yaml", CLASS),
        // The missing facts of this rule are not reported.
        (
            "restore.yaml",
            &format!("{}{}", comment.replace("HC013, HC014", "HC022"), deployment(&format!("{DISABLE}: \"true\""))),
        ),
    ]);
    let run = folder.run("validate a.yaml --strict");
    let said = (run.code, run.out.as_str(), run.err.as_str());
    assert_eq!(said, (Some(0), "", "colocate: no findings in 1 object of 1 file\n"));
    let run = folder.run("validate one.yaml --strict");
    assert!(run.code == Some(3) && run.err.contains("unchecked[HC013]") && !run.err.contains("HC014"), "{}", run.err);
    // With the claim, both are known to be unused.
    let run = folder.run("validate a.yaml --manifests claim.yaml class.yaml --strict");
    assert_eq!((run.code, run.places()), (Some(0), vec!["a.yaml:1:1: warning[HC039]"; 2]), "{}", run.out);
    assert!(run.out.contains("= help: remove HC013 from it\n"), "{}", run.out);
    let run = folder.run("validate restore.yaml --strict");
    assert!(!run.out.contains("HC039") && !run.err.contains("HC022"), "{}{}", run.out, run.err);
}

#[test]
fn an_object_that_is_not_checked_has_no_unused_comment() {
    let owner = "ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: r, controller: true}]";
    let pod = format!("{IGNORE}apiVersion: v1\nkind: Pod\nmetadata: {{name: p, {owner}}}\n");
    let set =
        "apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: r}\nspec: {template: {spec: {containers: []}}}\n";
    for text in [
        format!("{pod}---\n{set}"),
        format!("{IGNORE}apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec: []\n"),
        format!("{IGNORE}apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nmetadata: {{name: q}}\n"),
        format!("{IGNORE}apiVersion: v1\nkind: Pod\nmetadata: {{name: {{{{ p }}}}}}\n"),
    ] {
        assert_eq!(validate(&text, "").1, [""; 0], "{text}");
    }
}

#[test]
fn patches_and_kustomizations_have_comments_too() {
    let patch =
        format!("{IGNORE}- op: add\n  path: /spec/template/metadata/annotations\n  value: {{{LOCAL_ONLY}: \"yes\"}}\n");
    let common = format!(
        "kind: Kustomization\napiVersion: kustomize.config.k8s.io/v1beta1\ncommonAnnotations: # colocate: ignore OnEveryObject because x\n  {LOCAL_ONLY}: \"true\"\n"
    );
    for text in [patch, common] {
        let (code, places, summary) = validate(&text, " --fail-on info");
        assert_eq!((code, places), (Some(0), Vec::new()), "{text}");
        assert_eq!(summary, "colocate: no findings in 1 object of 1 file; 1 ignored\n", "{text}");
    }
}

#[test]
fn sarif_has_ignored_findings_as_suppressed_results() {
    let two = deployment(&format!("{LOCAL_ONLY}: \"yes\", stork.libopenstorage.org/unknown: x"));
    let folder = Folder::new(&[("a.yaml", &format!("{IGNORE}{two}"))]);
    let run = folder.run("validate a.yaml -o sarif");
    let log: Value = serde_json::from_str(&run.out).unwrap();
    let results = log["runs"][0]["results"].as_array().unwrap();
    let suppressions: Vec<_> = results.iter().map(|result| (&result["ruleId"], &result["suppressions"])).collect();
    let accepted = json!([{"kind": "inSource", "status": "accepted", "justification": "the driver reads yes"}]);
    assert_eq!(suppressions, [(&json!("HC001"), &accepted), (&json!("HC004"), &json!([]))]);
    for format in ["json", "github"] {
        let out = folder.run(&format!("validate a.yaml -o {format}")).out;
        assert!(!out.contains("HC001") && out.contains("HC004"), "{out}");
    }
}

#[test]
fn a_second_comment_for_one_rule_is_unused() {
    let key = "stork.libopenstorage.org/disableHyperconvergenc: \"true\"";
    let comment = "# colocate: ignore HC003 because x\n";
    let pod = format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: a, annotations: {{{key}}}}}\n");
    let places = |comments: &str| Folder::new(&[("a.yaml", &format!("{comments}{pod}"))]).run("validate .").out;
    assert!(!places(comment).contains("HC039"), "{}", places(comment));
    let twice = places(&comment.repeat(2));
    assert!(twice.contains("./a.yaml:2:1: ") && twice.contains("HC039"), "{twice}");
}
