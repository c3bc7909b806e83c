//! The positions of findings, in every style of YAML and JSON.

use colocate_harness::Folder;

use super::{LOCAL_ONLY, deployment};

/// Returns the positions of the findings in one file with this name: `1:2: error[HC001]`.
fn found(name: &str, text: &str) -> Vec<String> {
    let run = Folder::new(&[(name, text)]).run(&format!("validate -f {name}"));
    assert_eq!(run.code, Some(1), "{}", run.err);
    let prefix = format!("{name}:");
    run.places().into_iter().map(|place| place.strip_prefix(&prefix).unwrap().to_owned()).collect()
}

#[test]
fn positions_are_correct_in_block_and_flow_yaml_and_in_json() {
    let flow = deployment(&format!("{LOCAL_ONLY}: \"yes\""));
    assert_eq!(found("a.yaml", &flow), ["9:67: error[HC001]"]);
    let block = flow.replace("annotations: {", "annotations:\n        ").replace("\"yes\"}", "\"yes\"");
    assert_eq!(found("a.yaml", &block), ["10:55: error[HC001]"]);
    let folded = block.replace("\"yes\"", ">-\n          yes");
    assert_eq!(found("a.yaml", &folded), ["11:11: error[HC001]"]);
    let json = format!(
        "{{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {{\n  \"annotations\": {{\"{LOCAL_ONLY}\": \"yes\"}}}}}}"
    );
    assert_eq!(found("a.json", &json), ["2:67: error[HC001]"]);
}

#[test]
fn line_endings_and_a_byte_order_mark_do_not_shift_positions() {
    let text = deployment(&format!("{LOCAL_ONLY}: \"yes\""));
    for text in [text.replace('\n', "\r\n"), text.replace('\n', "\r"), format!("\u{feff}{text}")] {
        let run = Folder::new(&[("a.yaml", &text)]).run("validate -f a.yaml");
        assert_eq!(run.places(), ["a.yaml:9:67: error[HC001]"], "{}", run.out);
        assert!(run.out.contains("preferLocalNodeOnly: \"yes\"}\n    | ") && !run.out.contains('\r'), "{}", run.out);
    }
}

#[test]
fn positions_are_correct_in_several_documents_and_in_lists() {
    let text = deployment(&format!("{LOCAL_ONLY}: \"yes\""));
    assert_eq!(
        found("a.yaml", &format!("# a\n---\n{text}---\n{text}")),
        ["11:67: error[HC001]", "24:67: error[HC001]"]
    );
    let items = format!("- {}\n", text.trim_end().replace('\n', "\n  "));
    let list = format!("apiVersion: v1\nkind: List\nitems:\n{items}{items}");
    assert_eq!(found("a.yaml", &list), ["12:69: error[HC001]", "24:69: error[HC001]"]);
    let pods = format!(
        r#"{{"apiVersion": "v1", "kind": "PodList", "items": [
{{"metadata": {{"annotations": {{"{LOCAL_ONLY}": "yes"}}}}}},
{{"metadata": {{"annotations": {{"{LOCAL_ONLY}": 1}}}}}}]}}"#
    );
    assert_eq!(found("a.json", &pods), ["2:79: error[HC001]", "3:79: error[HC002]"]);
}

#[test]
fn a_finding_from_an_alias_or_merge_key_is_at_the_anchor() {
    let first = deployment(&format!("{LOCAL_ONLY}: \"yes\"")).replace("annotations: {", "annotations: &a {");
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {annotations: ";
    let in_list = |pod: &str| {
        let indented = |text: &str| text.trim_end().replace('\n', "\n  ");
        format!("apiVersion: v1\nkind: List\nitems:\n- {}\n- {}\n", indented(&first), indented(pod))
    };
    for annotations in ["*a}\n", "{<<: *a, b: c}}\n"] {
        let text = in_list(&format!("{pod}{annotations}"));
        assert_eq!(found("a.yaml", &text), ["12:72: error[HC001]", "12:72: error[HC001]"], "{text}");
    }
}

#[test]
fn carets_mark_the_key_if_the_key_is_wrong() {
    let run = Folder::new(&[("a.yaml", &deployment("preferLocalNodeOnly: \"true\""))]).run("validate -f a.yaml");
    assert_eq!(run.places(), ["a.yaml:9:21: error[HC003]"]);
    let carets = run.out.lines().nth(2).unwrap();
    assert_eq!(carets, format!("    | {}{}", " ".repeat(20), "^".repeat("preferLocalNodeOnly".len())));
}

#[test]
fn control_characters_are_not_printed() {
    let key = "stork.libopenstorage.org/\\e[31m\\n";
    let run = Folder::new(&[("a.yaml", &deployment(&format!("\"{key}\": \"true\"")))]).run("validate -f a.yaml");
    assert_eq!((run.code, run.out.lines().count()), (Some(0), 4), "{}", run.out);
    assert!(!run.out.contains('\u{1b}'), "{}", run.out);
}
