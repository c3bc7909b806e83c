//! Tests of refused edits.

use super::*;

#[test]
fn edits_that_would_change_something_else_are_refused() {
    let pod = "apiVersion: v1\nkind: Pod\n";
    let message = |rest: &str| refusal(&format!("{pod}{rest}"));
    assert_eq!(
        message("x: &x {a: b}\nspec: *x\n"),
        "line 4: `spec` is an alias, so a change would also apply wherever its anchor is used: replace the alias with \
         its value"
    );
    assert_eq!(
        message("spec: &x\n  a: b\nx: *x\n"),
        "line 4: `spec` has an anchor that is used elsewhere, so a change would also apply there: replace the aliases \
         with their value"
    );
    assert_eq!(
        message("x: &x {schedulerName: default-scheduler}\nspec:\n  a: b\n  <<: *x\n"),
        "line 6: `spec.schedulerName` comes from a merge key (`<<`): set it here"
    );
    // YAML parsers differ about which of the two wins.
    let both = message("x: &x {schedulerName: other}\nspec:\n  schedulerName: default-scheduler\n  <<: [{}, *x]\n");
    assert!(both.starts_with("line 6: `spec.schedulerName` comes from a merge key (`<<`)"), "{both}");
    assert_eq!(
        refusal(&format!("x: &x {{spec: {{a: b}}}}\n<<: *x\n{pod}")),
        "line 2: `spec` comes from a merge key (`<<`): set it here"
    );
    for (rest, line) in
        [("", 1), ("spec:\n", 3), ("spec: {}\n", 3), ("spec: ~\n", 3), ("spec: []\n", 3), ("spec: a\n", 3)]
    {
        assert!(
            message(rest).starts_with(&format!("line {line}: `spec` is not a mapping with entries")),
            "{}",
            message(rest)
        );
    }
    for value in ["1", "true", "[]", "{a: b}", "yes"] {
        assert_eq!(
            message(&format!("spec:\n  schedulerName: {value}\n")),
            "line 4: `spec.schedulerName` is not a string: use the name of a scheduler"
        );
    }
    assert_eq!(
        message("spec:\n  schedulerName: |-\n    default-scheduler\n"),
        "line 5: `spec.schedulerName` is a block scalar (`|` or `>`): write it on one line"
    );
    assert_eq!(
        message("spec:\n  schedulerName: &s default-scheduler\nx: *s\n"),
        "line 4: `spec.schedulerName` has an anchor that is used elsewhere, so a change would also apply there: replace \
         the aliases with their value"
    );
    for rest in [
        "spec:\n  schedulerName: !!null\n",
        "spec:\n  schedulerName: !!null ~\n",
        "spec:\n  schedulerName: &a\n",
        "spec:\n  ? schedulerName\n",
    ] {
        assert!(
            message(rest).contains("`spec.schedulerName` cannot be set without changing"),
            "{rest}: {}",
            message(rest)
        );
    }
}

#[test]
fn shared_parent_mappings_are_refused() {
    let deployment = "apiVersion: apps/v1\nkind: Deployment\n";
    let message = refusal(&format!("{deployment}x: &x {{spec: {{a: b}}}}\nspec:\n  template: *x\n"));
    assert!(message.starts_with("line 5: `spec.template` is an alias"), "{message}");
    let message = refusal(&format!("{deployment}spec: &x\n  template: {{spec: {{a: b}}}}\ny: *x\n"));
    assert!(message.starts_with("line 4: `spec` has an anchor"), "{message}");
    let message = refusal(&format!("{deployment}x: &x {{template: {{spec: {{a: b}}}}}}\nspec:\n  <<: *x\n  a: b\n"));
    assert!(message.starts_with("line 5: `spec.template` comes from a merge key (`<<`)"), "{message}");
    let list = "apiVersion: v1\nkind: List\nitems:\n";
    let text = format!("{list}- &p\n  apiVersion: v1\n  kind: Pod\n  spec: {{a: b}}\n- *p\n- {{}}\n");
    let manifest = Manifest::new(&text);
    let messages: Vec<_> =
        edits(&manifest.parse().unwrap()[0]).into_iter().map(|edit| with_line(&edit.unwrap_err())).collect();
    assert!(messages[0].starts_with("line 5: `items[0]` has an anchor"), "{messages:?}");
    assert!(messages[1].starts_with("line 8: `items[1]` is an alias"), "{messages:?}");
}

#[test]
fn a_refused_edit_does_not_affect_the_others() {
    let pod = |rest: &str| format!("---\napiVersion: v1\nkind: Pod\nspec: {rest}\n");
    let (good, bad) = (pod("{a: b}"), pod("{schedulerName: &a }"));
    let text = [&good, &bad, &good, &good, &bad].map(String::as_str).concat();
    let changed = |text: &str| text.replace("{a: b}", "{schedulerName: stork, a: b}");
    assert_eq!(edit_all(&text), (changed(&text), vec![1, 4]));
    // The same within one document, which follows another document and a directive.
    let item = |rest: &str| format!("- {{apiVersion: v1, kind: Pod, spec: {rest}}}\n");
    let (good, bad) = (item("{a: b}"), item("{schedulerName: &a }"));
    let items = [&good, &good, &bad, &good].map(String::as_str).concat();
    let text = format!("a: &a 1\n...\n# c\n%YAML 1.2\n--- # d\nkind: List\napiVersion: v1\nitems:\n{items}");
    assert_eq!(edit_all(&text), (changed(&text), vec![2]));
}

#[test]
fn an_encrypted_document_is_not_changed() {
    let pod =
        "apiVersion: v1\nkind: Pod\nspec: {a: b}\nsops:\n  lastmodified: \"2024-01-01T00:00:00Z\"\n  mac: ENC[x]\n";
    assert_eq!(
        refusal(pod),
        "line 6: `sops.mac` is SOPS' checksum of the document, which a change would make invalid: set schedulerName with \
         `sops edit`"
    );
}
