//! What is left as it is, and why.

use super::*;

#[test]
fn what_would_change_something_else_is_refused() {
    let pod = "apiVersion: v1\nkind: Pod\n";
    let said = |rest: &str| refusal(&format!("{pod}{rest}"));
    assert_eq!(
        said("x: &x {a: b}\nspec: *x\n"),
        "line 4: `spec` is an alias: a change here would show wherever the same anchor is used; write it out in place of \
         the alias"
    );
    assert_eq!(
        said("spec: &x\n  a: b\nx: *x\n"),
        "line 4: `spec` has an anchor that is used elsewhere: a change here would show there too; write it out in place \
         of the aliases"
    );
    assert_eq!(
        said("x: &x {schedulerName: default-scheduler}\nspec:\n  a: b\n  <<: *x\n"),
        "line 6: `spec.schedulerName` comes from a merge key (`<<`): write it out here"
    );
    // Readers differ about which of the two wins.
    let both = said("x: &x {schedulerName: other}\nspec:\n  schedulerName: default-scheduler\n  <<: [{}, *x]\n");
    assert!(both.starts_with("line 6: `spec.schedulerName` comes from a merge key (`<<`)"), "{both}");
    assert_eq!(
        refusal(&format!("x: &x {{spec: {{a: b}}}}\n<<: *x\n{pod}")),
        "line 2: `spec` comes from a merge key (`<<`): write it out here"
    );
    for (rest, line) in
        [("", 1), ("spec:\n", 3), ("spec: {}\n", 3), ("spec: ~\n", 3), ("spec: []\n", 3), ("spec: a\n", 3)]
    {
        assert!(
            said(rest).starts_with(&format!("line {line}: `spec` is not a mapping with entries")),
            "{}",
            said(rest)
        );
    }
    for value in ["1", "true", "[]", "{a: b}", "yes"] {
        assert_eq!(
            said(&format!("spec:\n  schedulerName: {value}\n")),
            "line 4: `spec.schedulerName` is not text: write the name of a scheduler"
        );
    }
    assert_eq!(
        said("spec:\n  schedulerName: |-\n    default-scheduler\n"),
        "line 5: `spec.schedulerName` is written over several lines (`|` or `>`): write it in one line"
    );
    assert_eq!(
        said("spec:\n  schedulerName: &s default-scheduler\nx: *s\n"),
        "line 4: `spec.schedulerName` has an anchor that is used elsewhere: a change here would show there too; write it \
         out in place of the aliases"
    );
    for rest in [
        "spec:\n  schedulerName: !!null\n",
        "spec:\n  schedulerName: !!null ~\n",
        "spec:\n  schedulerName: &a\n",
        "spec:\n  ? schedulerName\n",
    ] {
        assert!(said(rest).contains("`spec.schedulerName` cannot be set without a change"), "{rest}: {}", said(rest));
    }
}

#[test]
fn mappings_on_the_way_that_are_shared_are_refused() {
    let deployment = "apiVersion: apps/v1\nkind: Deployment\n";
    let said = refusal(&format!("{deployment}x: &x {{spec: {{a: b}}}}\nspec:\n  template: *x\n"));
    assert!(said.starts_with("line 5: `spec.template` is an alias"), "{said}");
    let said = refusal(&format!("{deployment}spec: &x\n  template: {{spec: {{a: b}}}}\ny: *x\n"));
    assert!(said.starts_with("line 4: `spec` has an anchor"), "{said}");
    let said = refusal(&format!("{deployment}x: &x {{template: {{spec: {{a: b}}}}}}\nspec:\n  <<: *x\n  a: b\n"));
    assert!(said.starts_with("line 5: `spec.template` comes from a merge key (`<<`)"), "{said}");
    let list = "apiVersion: v1\nkind: List\nitems:\n";
    let text = format!("{list}- &p\n  apiVersion: v1\n  kind: Pod\n  spec: {{a: b}}\n- *p\n- {{}}\n");
    let manifest = Manifest::parse(&text).unwrap();
    let said: Vec<_> = edits(&manifest).into_iter().map(|edit| with_line(&edit.unwrap_err())).collect();
    assert!(said[0].starts_with("line 5: `items[0]` has an anchor"), "{said:?}");
    assert!(said[1].starts_with("line 8: `items[1]` is an alias"), "{said:?}");
}

#[test]
fn a_bad_edit_leaves_the_others() {
    let pod = |rest: &str| format!("---\napiVersion: v1\nkind: Pod\nspec: {rest}\n");
    let (good, bad) = (pod("{a: b}"), pod("{schedulerName: &a }"));
    let text = [&good, &bad, &good, &good, &bad].map(String::as_str).concat();
    let manifest = Manifest::parse(&text).unwrap();
    let edits: Vec<_> = edits(&manifest).into_iter().map(Result::unwrap).collect();
    let applied = manifest.apply(&edits);
    assert_eq!(applied.refused.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1, 4]);
    assert_eq!(applied.text, text.replace("{a: b}", "{schedulerName: stork, a: b}"));
    // The same in one document, and behind what belongs to another one.
    let item = |rest: &str| format!("- {{apiVersion: v1, kind: Pod, spec: {rest}}}\n");
    let (good, bad) = (item("{a: b}"), item("{schedulerName: &a }"));
    let items = [&good, &good, &bad, &good].map(String::as_str).concat();
    let text = format!("a: &a 1\n...\n# c\n%YAML 1.2\n--- # d\nkind: List\napiVersion: v1\nitems:\n{items}");
    let manifest = Manifest::parse(&text).unwrap();
    let edits: Vec<_> = self::edits(&manifest).into_iter().map(Result::unwrap).collect();
    let applied = manifest.apply(&edits);
    assert_eq!(applied.refused.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [2]);
    assert_eq!(applied.text, text.replace("{a: b}", "{schedulerName: stork, a: b}"));
}
