//! The values in `docs/install.md` exist in the chart.

use serde_json::Value;

use crate::chart::{file, render};

#[test]
fn values_in_the_install_page_are_accepted() {
    let page = file("../../docs/install.md");
    let blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let values: Vec<_> = blocks.filter(|block| block.starts_with("# values.yaml\n")).collect();
    assert!(values.len() >= 6, "the page has fewer values than expected");
    for values in values {
        render(values);
    }
}

/// Values that the text mentions, such as `tls.source` or `config.mode: off`.
#[test]
fn values_named_in_the_install_page_exist() {
    let page = file("../../docs/install.md");
    let schema: Value = serde_json::from_str(&file("values.schema.json")).unwrap();
    let mut found = 0;
    for code in page.split('`').skip(1).step_by(2) {
        let (path, value) = code.split_once(": ").unwrap_or((code, ""));
        let mut keys = path.split('.');
        let Some(section) = keys.next().and_then(|key| schema["properties"].get(key)) else { continue };
        let there = keys.try_fold(section, |section, key| section["properties"].get(key));
        assert!(there.is_some(), "the chart does not have the value {path}");
        if !value.is_empty() {
            render(&path.rsplit('.').fold(value.to_owned(), |inner, key| format!("{{{key}: {inner}}}")));
        }
        found += 1;
    }
    assert!(found > 10, "{found}");
}
