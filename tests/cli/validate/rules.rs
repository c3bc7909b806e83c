//! `--list-rules`.

use colocate::companion::Rule;
use colocate_harness::Folder;
use serde_json::Value;

#[test]
fn every_rule_is_listed_with_its_configured_severity() {
    let folder = Folder::new(&[("config.txt", "validation: {rules: {HC001: off, HC022: error}}")]);
    let run = folder.run("validate --list-rules --config config.txt");
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    let entries: Vec<Vec<&str>> = run.out.split("\n\n").map(|entry| entry.trim_end().lines().collect()).collect();
    for (rule, lines) in Rule::ALL.iter().zip(&entries) {
        let severity = match rule.id() {
            "HC001" => "off",
            "HC022" => "error",
            _ => rule.severity().as_str(),
        };
        let indented = |text: &str| format!("      {text}");
        let head = format!("{} {severity:7} {}", rule.id(), rule.title());
        assert_eq!(*lines, [head, indented(rule.explanation()), indented(rule.origin())]);
    }
    assert_eq!(entries.len(), Rule::ALL.len());

    let run = folder.run("validate --list-rules --config config.txt -o json");
    let list: Vec<Value> = serde_json::from_str(&run.out).unwrap();
    let expected = serde_json::json!({
        "id": "HC001",
        "name": "NoBoolean",
        "severity": "off",
        "title": Rule::NoBoolean.title(),
        "explanation": Rule::NoBoolean.explanation(),
        "origin": Rule::NoBoolean.origin(),
    });
    assert_eq!((list.len(), &list[0], &list[21]["severity"]), (Rule::ALL.len(), &expected, &Value::from("error")));
}
