use serde_json::json;

use super::*;

#[track_caller]
fn manifest(text: &str) -> Manifest<'_> {
    Manifest::new(text)
}

#[track_caller]
fn values(text: &str) -> Vec<Value> {
    let manifest = manifest(text);
    let documents = manifest.parse().unwrap_or_else(|error| panic!("{error}"));
    let ranges: String = documents.iter().map(Document::text).collect();
    assert!(documents.is_empty() || ranges == text, "{ranges}");
    documents.into_iter().map(|document| document.value).collect()
}

#[track_caller]
fn parse_error(text: &str) -> String {
    Manifest::new(text).parse().unwrap_err().to_string()
}

#[test]
fn documents_are_split_at_their_markers() {
    assert_eq!(values(""), [] as [Value; 0]);
    assert_eq!(values("# only\n\n"), [] as [Value; 0]);
    assert_eq!(values("a: 1"), [json!({"a": 1})]);
    assert_eq!(values("---\n---\n# c\n---\n"), [Value::Null, Value::Null, Value::Null]);
    assert_eq!(
        values("a: 1\n...\n# c\n%YAML 1.2\n---\nb: 2\n...\n...\nc: 3"),
        [json!({"a": 1}), json!({"b": 2}), json!({"c": 3})]
    );
    let text = "# a\n--- x\n--- # c\n- y\n... # d\r\n# e\nz";
    let ranges: Vec<_> = Split::new(text).map(|range| &text[range]).collect();
    assert_eq!(ranges, ["# a\n--- x\n", "--- # c\n- y\n... # d\r\n", "# e\nz"]);
}

#[test]
fn json_is_parsed_as_json() {
    let format = |text| manifest(text).syntax;
    for text in ["{}", " \n[1]", "\u{feff}{\"a\": 1}", "{}{}\n[]"] {
        assert_eq!(format(text), Syntax::Json, "{text}");
    }
    for text in ["{a: 1}", "--- {}", "# c\n{}", "{\"a\": 1,}", "{}\n---\n{}", "[a]", "'x'", "1"] {
        assert_eq!(format(text), Syntax::Yaml, "{text}");
    }
    assert_eq!(
        values("{\"a\": 1}{\"b\": [2.5, -3e2, true, null]}\n\"x\" "),
        [json!({"a": 1}), json!({"b": [2.5, -300.0, true, null]}), json!("x")]
    );
    // JSON that YAML parses differently or not at all.
    let key = "k".repeat(2_000);
    let text = format!("{{\n\t\"<<\": {{\"y\": \"\\ud83d\\ude00\\/\"}}, \"{key}\"\t:\t\"é\", \"\": 1E400}}");
    assert!(parse_error(&text).contains("number out of range"));
    let text = text.replace("1E400", "017".trim_start_matches('0'));
    assert_eq!(values(&text), [json!({"<<": {"y": "😀/"}, key: "é", "": 17})]);
}

#[test]
fn syntax_errors_have_a_position() {
    assert_eq!(parse_error("a: 1\nb: [\n"), "2:4: unclosed bracket '['\n  2 | b: [\n    |    ^");
    for (text, message) in [
        ("a: b: c\n", "1:5: mapping values are not allowed in this context"),
        ("é: ü\r\n\u{a0}: *x\r\n", "2:4: while parsing node, found unknown anchor"),
        ("a: 1\n b: 2\n", "2:3: mapping values are not allowed in this context"),
        ("a: !!int x", "1:10: `x` is not a whole number, as its tag requires"),
        // The JSON parser gets further than the YAML parser.
        ("{\"a\": \"\\x\"}", "1:7: invalid escape"),
        ("{\"a\": 01, \"b\" \"c\"}", "1:15: invalid trailing content"),
        ("{\"a\" 1}", "1:6: expected `:`"),
        ("{\"a\": 1", "1:8: expected `,` or `}`"),
        ("[1 2", "1:4: expected `,` or `]`"),
        ("{\"a\": ", "1:7: expected a value"),
        ("{\"a", "1:2: unterminated string"),
        ("[\"a\\\"", "1:2: unterminated string"),
        ("{\"a\": 1}\n{b: 2}", "2:2: expected a key in double quotes"),
        ("{} x", "1:4:"),
    ] {
        let error = parse_error(text);
        assert!(error.starts_with(message), "{text}: {error}");
    }
}

#[test]
fn a_duplicate_key_is_reported_with_both_positions() {
    let duplicate = |text: &str| {
        let manifest = manifest(text);
        let document = manifest.documents().next().unwrap().unwrap();
        document.duplicate.unwrap().to_string()
    };
    for (text, message) in [
        ("a: 1\nb: 2\na: 3\n", "3:1: duplicate key `a`: remove it here or on line 1"),
        ("{\"a\": {\"b\": 1,\n\"\\u0062\": 2}}", "2:1: duplicate key `b`: remove it here or on line 1"),
        (
            "x: &x {b: 1}\ny:\n  a: 1\n  <<: *x\n  b: 2\n  'a': 3\n",
            "6:3: duplicate key `a`: remove it here or on line 3",
        ),
        ("{a: 1, b: 2, a: 3}\n", "1:14: duplicate key `a`: remove it here or on line 1, column 2"),
        ("1: a\n0x1: b\n", "2:1: duplicate key `1`: remove it here or on line 1"),
        ("true: a\n'true': b\n", "2:1: duplicate key `true`"),
    ] {
        let error = duplicate(text);
        assert!(error.starts_with(message), "{text}: {error}");
    }
    assert_eq!(values("a: 1\nb: 2\na: 3\n")[0]["a"], 3, "the last one wins, as in kubectl");
    assert_eq!(values("~: 1\nnull: 2\n'null': 3\n").len(), 1);
}

#[test]
fn aliases_and_merge_keys_are_resolved_as_in_kubectl() {
    assert_eq!(values("a: &x [1, &y {b: 2}]\nc: *x\nd: *y\n*y : e\n").len(), 1);
    assert_eq!(values("a: &x 1\nb: &x 2\nc: *x\n")[0]["c"], 2);
    let text = "x: &x {a: 1, b: 1, c: 1}\ny: &y {b: 2, d: 2}\nz:\n  a: 3\n  <<: [*x, *y, {e: 4}]\n  c: 3\n";
    assert_eq!(values(text)[0]["z"], json!({"a": 1, "b": 1, "c": 3, "d": 2, "e": 4}));
    assert_eq!(values("x: {'<<': {a: 1}, !!merge <<: {b: 2}}")[0]["x"], json!({"<<": {"a": 1}, "b": 2}));
    assert_eq!(values("x: {<<: {<<: {a: 1}, b: 2}, c: 3}")[0]["x"], json!({"a": 1, "b": 2, "c": 3}));
    for value in ["1", "[1]", "~", "[[{}]]"] {
        assert!(
            parse_error(&format!("<<: {value}")).starts_with("1:5: the value of a merge key (`<<`) must be a mapping")
        );
    }
    let error = parse_error("a: &x\n  b: [*x]\n");
    assert!(error.starts_with("2:7: an alias refers to a collection that contains it"), "{error}");
    let error = parse_error("a: &x 1\n---\nb: *x\n");
    assert!(error.starts_with("3:4: while parsing node, found unknown anchor"), "{error}");
}

#[test]
fn the_expansion_of_aliases_is_bounded() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let last = format!("*a{}, ", level - 1).repeat(9);
        text = format!("{text}a{level}: &a{level} [{last}]\n");
    }
    assert!(parse_error(&text).contains("aliases expand this document to more than 16 MB"));
    // Merge keys and long strings count too.
    let long = "x".repeat(1 << 20);
    let text = format!("a: &a {{b: {long}}}\nc:\n{}", "- <<: *a\n".repeat(20));
    assert!(parse_error(&text).contains("aliases expand this document"));
    assert_eq!(values(&text.replace(&long, "x"))[0]["c"].as_array().unwrap().len(), 20);
}

#[test]
fn the_depth_of_nested_collections_is_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(manifest(&nested(255)).syntax, Syntax::Json);
    assert!(parse_error(&nested(300)).contains("nested"));
    assert!(parse_error(&nested(100_000)).contains("nested"));
    values(&format!("--- {}", nested(250)));
    parse_error(&format!("--- {}", nested(300)));
    let aliases = |depth| format!("a: &a {}\nb: &b {}\n", nested(depth), nested(depth).replacen("[]", "[*a]", 1));
    values(&aliases(100));
    assert!(parse_error(&aliases(200)).contains("more than 255 nested collections"));
}

#[test]
fn the_number_of_comments_is_not_limited() {
    let comments = "# c\n".repeat(1_000);
    assert_eq!(values(&format!("{comments}a:\n{comments}  b: 1\n{comments}")), [json!({"a": {"b": 1}})]);
}

#[test]
fn scalars_are_resolved_as_in_kubectl() {
    let text = "a: yes\nb: 'yes'\nc: !!str yes\nd: !other 1\ne: 0x10\nf:\ng: !!str\nh: 2001-12-14\ni: .inf\nj: |\n  x\nk: >-\n  y\n  z\n";
    let expected = json!({
        "a": true, "b": "yes", "c": "yes", "d": "1", "e": 16, "f": null, "g": "", "h": "2001-12-14", "i": ".inf",
        "j": "x\n", "k": "y z",
    });
    assert_eq!(values(text), [expected]);
    // As in libyaml and kubectl, no line feed is added.
    assert_eq!(values("a: |\n  x"), [json!({"a": "x"})]);
    let text = "1: a\n0x10: b\nyes: c\n1.10: d\n? e\n: f\n";
    assert_eq!(values(text), [json!({"1": "a", "16": "b", "true": "c", "1.10": "d", "e": "f"})]);
}

/// The kind, path and position of every object.
fn objects(text: &str) -> Vec<String> {
    let (manifest, mut objects) = (manifest(text), Vec::new());
    for document in manifest.parse().unwrap() {
        objects.extend(document.objects().iter().map(|object| {
            let ManifestObject { api_version, kind, path, position, value } = object;
            let name = value["metadata"]["name"].as_str().unwrap_or_default();
            format!("{api_version} {kind} {name} {}/{path} {position}", document.index)
        }));
    }
    objects
}

#[test]
fn objects_are_documents_and_the_items_of_lists() {
    let text = "\
# first
kind: A
apiVersion: v1
---
- kind: A
---
apiVersion: v1
kind: List
metadata: {name: no}
items:
- {apiVersion: v1, kind: B, metadata: {name: b}}
- apiVersion: g/v2
  kind: CList
  items:
  - metadata:
      name: c
  - kind: C
  - apiVersion: v1
    kind: D
  - 1
- {kind: B}
- {}
- apiVersion: v1
  kind: ListOfThings
  items: [{apiVersion: v1, kind: E}]
- {apiVersion: v1, kind: FList}
- {apiVersion: v1, kind: '', items: []}
";
    assert_eq!(
        objects(text),
        [
            "v1 A  0/ 2:1",
            "v1 B b 2/items[0] 11:3",
            "g/v2 C c 2/items[1].items[0] 15:5",
            "v1 D  2/items[1].items[2] 18:5",
            "v1 ListOfThings  2/items[4] 23:3",
            "v1 FList  2/items[5] 26:3",
        ]
    );
    assert_eq!(
        objects("{\"apiVersion\": \"v1\", \"kind\": \"A\"}\n{\"apiVersion\": \"v1\", \"kind\": \"B\"}"),
        ["v1 A  0/ 1:1", "v1 B  1/ 2:1"]
    );
    // Kubernetes objects cannot have such keys.
    for key in ["? [a]\n: b", "~: b", "? {a: b}\n: c", "metadata: {? ~ : b}"] {
        assert_eq!(objects(&format!("apiVersion: v1\nkind: A\n{key}\n")), [""; 0], "{key}");
    }
    assert_eq!(objects("apiVersion: v1\nkind: A\n1: b\n").len(), 1);
}

#[test]
fn every_field_has_its_range() {
    let text = "\u{feff}a: &x\n  'b': [1, {c: \"é\"}]\nd: *x\ne:\n  <<: *x\n  f: |\n    text\ng:\n";
    let manifest = manifest(text);
    let document = &manifest.parse().unwrap()[0];
    let at = |path: &FieldPath| {
        let shown =
            |range: Option<Range<usize>>| range.map(|range| (manifest.position(range.start).to_string(), &text[range]));
        (shown(document.key_span(path)), shown(document.value_span(path)))
    };
    let found = |place: &str, text| Some((place.to_owned(), text));
    let [a, alias, merged, empty] = ["a", "d", "e", "g"].map(|key| FieldPath::of([key]));
    let b = a.field("b");
    assert_eq!(at(&a), (found("1:1", "a"), found("2:3", "'b': [1, {c: \"é\"}]")));
    assert_eq!(at(&b), (found("2:3", "'b'"), found("2:8", "[1, {c: \"é\"}]")));
    assert_eq!(at(&b.index(1).field("c")), (found("2:13", "c"), found("2:16", "\"é\"")));
    assert_eq!(at(&b.index(0)), (None, found("2:9", "1")));
    // Through an alias or a merge key, it is the range of the original.
    assert_eq!(at(&alias), (found("3:1", "d"), found("3:4", "*x")));
    assert_eq!(at(&alias.field("b")), at(&b));
    assert_eq!(at(&merged.field("b")), at(&b));
    assert_eq!(at(&empty), (found("8:1", "g"), found("8:2", "")));
    assert_eq!(at(&FieldPath::default()).0, None);
    for path in [FieldPath::of(["x"]), a.index(0), b.index(2), b.field("c"), empty.field("a")] {
        assert_eq!(at(&path), (None, None), "{path:?}");
    }
}
