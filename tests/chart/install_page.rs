//! `docs/install.md`: its values are the chart's.

use serde_json::Value;

use crate::chart::{file, render};

#[test]
fn the_values_in_the_page_for_operators_are_taken() {
    let page = file("../../docs/install.md");
    let blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let values: Vec<_> = blocks.filter(|block| block.starts_with("# values.yaml\n")).collect();
    assert!(values.len() >= 6, "the values are gone");
    for values in values {
        render(values);
    }
}

/// What it says in passing, such as `tls.source` or `config.mode: off`.
#[test]
fn the_values_that_it_names_are_there() {
    let page = file("../../docs/install.md");
    let schema: Value = serde_json::from_str(&file("values.schema.json")).unwrap();
    let mut found = 0;
    for code in page.split('`').skip(1).step_by(2) {
        let (path, value) = code.split_once(": ").unwrap_or((code, ""));
        let mut keys = path.split('.');
        let Some(section) = keys.next().and_then(|key| schema["properties"].get(key)) else { continue };
        let there = keys.try_fold(section, |section, key| section["properties"].get(key));
        assert!(there.is_some(), "there is no value {path}");
        if !value.is_empty() {
            render(&path.rsplit('.').fold(value.to_owned(), |inner, key| format!("{{{key}: {inner}}}")));
        }
        found += 1;
    }
    assert!(found > 10, "{found}");
}
