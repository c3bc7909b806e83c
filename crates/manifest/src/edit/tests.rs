//! Tests with whole texts: `«new»` marks the insertion of an edit, `«old|new»` a replacement.

mod refusals;

use super::*;
use crate::Manifest;
use colocate_engine::Workloads;

/// The edit of every object that has a pod template.
fn edits(document: &Document<'_>) -> Vec<Result<Edit, EditRefusal>> {
    let workloads = Workloads::default();
    let edit = |object: &ManifestObject<'_>| {
        let (group, version) = object.api_version.split_once('/').unwrap_or(("", object.api_version));
        let workload = workloads.find(group, version, object.kind)?;
        Some(document.set_scheduler(object, &workload.path, "stork"))
    };
    document.objects().iter().filter_map(edit).collect()
}

/// The text with the edits of all objects made, and the indices of the refused edits.
fn edit_all(text: &str) -> (String, Vec<usize>) {
    let (manifest, mut made, mut refused, mut count) = (Manifest::new(text), Vec::new(), Vec::new(), 0);
    for document in manifest.parse().unwrap() {
        let edits: Vec<_> = edits(&document).into_iter().collect::<Result<_, _>>().unwrap();
        let edits_before = count;
        count += edits.len();
        let checked = document.check_edits(edits);
        made.extend(checked.made);
        refused.extend(checked.refused.into_iter().map(|(index, _)| edits_before + index));
    }
    assert!(count > 0, "no object: {text}");
    (edited(text, &made).collect(), refused)
}

fn changed(text: &str) -> String {
    let (changed, refused) = edit_all(text);
    assert_eq!(refused, [0; 0], "{text}");
    changed
}

/// The marked text before and after its edits.
fn before_and_after(marked: &str) -> (String, String) {
    let (mut before, mut after) = (String::new(), String::new());
    for (index, part) in marked.split(['«', '»']).enumerate() {
        let (old, new) = if index % 2 == 0 { (part, part) } else { part.split_once('|').unwrap_or(("", part)) };
        before.push_str(old);
        after.push_str(new);
    }
    (before, after)
}

#[track_caller]
fn becomes(marked: &str) {
    let (before, after) = before_and_after(marked);
    assert_ne!(before, after, "nothing is marked");
    assert_eq!(changed(&before), after);
    assert_eq!(changed(&after), after, "a second time");
}

fn with_line(refusal: &EditRefusal) -> String {
    format!("line {}: {refusal}", refusal.position.line)
}

/// The refusal for a text with one object that is not changed.
#[track_caller]
fn refusal(text: &str) -> String {
    let manifest = Manifest::new(text);
    let refusals = manifest.parse().unwrap().into_iter().filter_map(|document| {
        let mut edits = edits(&document);
        assert!(edits.len() <= 1, "{edits:?}");
        edits.pop().map(|edit| {
            edit.map_or_else(
                |refusal| refusal,
                |edit| {
                    let mut checked = document.check_edits(vec![edit]);
                    assert_eq!((checked.made.len(), checked.refused.len()), (0, 1), "it was changed");
                    checked.refused.remove(0).1
                },
            )
        })
    });
    let refusals: Vec<_> = refusals.map(|refusal| with_line(&refusal)).collect();
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    refusals.concat()
}

const MYSQL: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: mysql
spec:
  selector:
    matchLabels:
      app: mysql
  template:
    metadata:
      labels:
        app: mysql
    spec:
«      schedulerName: stork
»      containers:
      - name: mysql
        image: mysql:8.4
        volumeMounts:
        - name: data
          mountPath: /var/lib/mysql
      volumes:
      - name: data
        persistentVolumeClaim:
          claimName: mysql
";

#[test]
fn mysql_in_plain_blocks() {
    becomes(MYSQL);
    // Indented sequences.
    let (head, tail) = MYSQL.split_once("      - name: mysql").unwrap();
    let tail =
        format!("        - name: mysql{}", tail.trim_end().replace('\n', "\n  ").replace("    volumes:", "  volumes:"));
    becomes(&format!("{head}{tail}"));
    // Four columns per level.
    let wide = |line: &str| {
        let (mark, line) = line.split_at(if line.starts_with(['«', '»']) { '«'.len_utf8() } else { 0 });
        let depth = line.len() - line.trim_start().len();
        format!("{mark}{}{}", " ".repeat(depth), line.replace("- ", "-   "))
    };
    let wide: String = MYSQL.split_inclusive('\n').map(wide).collect();
    becomes(&wide);
}

#[test]
fn mysql_without_a_newline_at_the_end() {
    becomes(MYSQL.trim_end());
}

#[test]
fn mysql_with_other_line_endings() {
    becomes(&MYSQL.replace('\n', "\r\n"));
    becomes(&MYSQL.replace('\n', "\r"));
}

#[test]
fn mysql_with_a_byte_order_mark() {
    becomes(&format!("\u{feff}{MYSQL}"));
    becomes(&format!("\u{feff}{}", MYSQL.replace('\n', "\r\n")));
    becomes("\u{feff}{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"spec\":{«\"schedulerName\":\"stork\",»\"volumes\":[]}}");
}

#[test]
fn mysql_with_quoted_keys() {
    let keys = |quote: &str| {
        let mut text = MYSQL.to_owned();
        for key in ["apiVersion", "kind", "spec", "template", "containers", "volumes", "metadata"] {
            text = text.replace(&format!("{key}:"), &format!("{quote}{key}{quote}:"));
        }
        text.replace("schedulerName: stork", &format!("{quote}schedulerName{quote}: {quote}stork{quote}"))
    };
    becomes(&keys("'"));
    becomes(&keys("\""));
}

#[test]
fn mysql_with_comments_everywhere() {
    becomes(
        "\
# The database
apiVersion: apps/v1   # since 1.9
kind: Deployment
# spec: {}
metadata: # of the workload
  name: mysql
spec:
  template:    # a pod's
    # metadata: none
    spec: # of the pod
# out of line

«      schedulerName: stork
»      # One container:
    # it serves
      containers: # here
      # - name: no
      - name: mysql # yes
      # the end
# of all
",
    );
    becomes(
        "apiVersion: v1\nkind: Pod\nspec:\n«    schedulerName: stork\n»    # first\n    \t # second\n    volumes: []\n",
    );
    becomes("apiVersion: v1\nkind: Pod\nspec: &used-nowhere # a\n« schedulerName: stork\n» # b\n volumes: []\n");
}

#[test]
fn mysql_in_flow_style() {
    becomes(
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: mysql}, spec: {template: {spec: {«schedulerName: \
         stork, »containers: [{name: mysql}], volumes: [{name: data}]}}}}\n",
    );
    becomes("{apiVersion: v1, kind: Pod, spec: { «schedulerName: stork, »containers: [] } }\n");
    becomes("apiVersion: v1\nkind: Pod\nspec: {«schedulerName: stork, »containers}\n");
    becomes("apiVersion: v1\nkind: Pod\nspec: {«'schedulerName': 'stork', »'containers': []}\n");
    becomes("apiVersion: v1\nkind: Pod\nspec: !!map {«schedulerName: stork, »? containers : []}\n");
    becomes(
        "apiVersion: v1\nkind: Pod\nspec: { # why\n«  schedulerName: stork,\n»  # this\n  # that\n  containers: [],\n  volumes: []\n  }\n",
    );
    becomes("apiVersion: v1\nkind: Pod\nspec:\n  {«schedulerName: stork, »containers: [],\n  volumes: []\n  }\n");
    becomes("apiVersion: v1\nkind: Pod\nspec:\n  {\n «\tschedulerName: stork,\n »\tcontainers: []}\n");
}

#[test]
fn mysql_in_json() {
    let compact = r#"{"apiVersion":"apps/v1","kind":"Deployment","spec":{"template":{"spec":{«"schedulerName":"stork",»"containers":[{"name":"mysql"}]}}}}"#;
    becomes(compact);
    becomes(&format!("\n {compact}\n"));
    becomes(&format!("---\n{compact}\n---\n{compact}\n"));
    becomes(&compact.replace(':', ": ").replace(',', ", "));
    let pretty = "\
{
  \"apiVersion\": \"v1\",
  \"kind\": \"Pod\",
  \"metadata\": {\"annotations\": {\"a\\/b\": \"\\ud83d\\ude00\\u00e9\", \"<<\": \"é\"}},
  \"spec\": {
«    \"schedulerName\": \"stork\",
»    \"containers\": [],
    \"volumes\": []
  }
}
";
    becomes(pretty);
    becomes(&pretty.replace("  ", "\t"));
    becomes(&format!("# in YAML\n---\n{}", pretty.replace("  ", "\t").replace("\\ud83d\\ude00", "")));
    becomes(&pretty.replace('\n', "\r\n"));
    becomes(&pretty.replace("\":", "\" :"));
    becomes(&format!("{pretty}{compact} {compact}"));
}

#[test]
fn mysql_among_other_documents() {
    let (before, after) = before_and_after(MYSQL);
    for (head, between, tail) in [
        ("---\n", "---\n", "---\n"),
        ("%YAML 1.1\n---\n", "...\n---\n", "...\n"),
        ("# a\n---\n# b\n", "...\n# c\n", "---\n# d\n---\n"),
        ("--- {a: b}\n--- # c\n", "--- |\n  spec:\n    containers:\n---\nkind: List\n---\n- 1\n---\n", "--- 'x'"),
    ] {
        let text = format!("{head}{before}{between}{before}{tail}");
        assert_eq!(changed(&text), format!("{head}{after}{between}{after}{tail}"));
    }
}

#[test]
fn mysql_in_a_list() {
    becomes(
        "\
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Pod
  spec:
«    schedulerName: stork
»    containers: []
-
  kind: List
  apiVersion: v1
  items:
    - {apiVersion: v1, kind: Pod, spec: {«schedulerName: stork, »containers: []}}
    -   spec:
          template:
            spec:
              nodeName: a
              schedulerName: «default-scheduler|stork»
        kind: DaemonSet
        apiVersion: apps/v1
- kind: PodList
  apiVersion: v1
  items:
  - spec:
«      schedulerName: stork
»      volumes: []
  - spec: {«schedulerName: stork, »volumes: []}
",
    );
}

#[test]
fn the_templates_of_all_kinds_are_found() {
    becomes(
        "apiVersion: batch/v1\nkind: CronJob\nspec:\n jobTemplate:\n  spec:\n   template:\n    spec:\n«     schedulerName: stork\n»     volumes: []\n",
    );
    becomes("apiVersion: v1\nkind: PodTemplate\ntemplate:\n  spec:\n«    schedulerName: stork\n»    volumes: []\n");
}

#[test]
fn an_existing_name_is_replaced_within_its_quotes() {
    for (old, new) in [
        ("default-scheduler", "stork"),
        ("'default-scheduler'", "'stork'"),
        ("\"default-scheduler\"", "\"stork\""),
        ("\"default\\x2dscheduler\"", "\"stork\""),
        ("''", "'stork'"),
        ("\"\"", "\"stork\""),
        ("~", "stork"),
        ("null", "stork"),
        ("!!str default-scheduler", "!!str stork"),
        ("&unused default-scheduler", "&unused stork"),
        ("\n      default-scheduler", "\n      stork"),
    ] {
        for (before, after) in [("", ""), ("   ", " # why"), ("", "\n  # why")] {
            let marked = format!(
                "apiVersion: v1\nkind: Pod\nspec:\n  volumes: []\n  schedulerName: {before}«{old}|{new}»{after}\n  containers: []\n"
            );
            becomes(&marked);
            becomes(marked.trim_end());
        }
        becomes(&format!("apiVersion: v1\nkind: Pod\nspec: {{a: b, schedulerName: «{old}|{new}», volumes: []}}\n"));
    }
    becomes(r#"{"apiVersion":"v1","kind":"Pod","spec":{"schedulerName":«null|"stork"»}}"#);
    becomes(r#"{"apiVersion":"v1","kind":"Pod","spec":{"schedulerName":«""|"stork"»}}"#);
    becomes("---\n{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"spec\":{\"schedulerName\":«null|\"stork\"»}}");
}

#[test]
fn an_empty_name_is_filled_in() {
    for marked in [
        "schedulerName:« stork»\n",
        "schedulerName:« stork»",
        "schedulerName:« stork»   # why\n  # that\n",
        "schedulerName :« stork» \n",
        "'schedulerName':« 'stork»'\n",
        "schedulerName:« stork»\r\n  volumes: []\r\n",
        "volumes: []\n  schedulerName:« stork»\n  containers: []\n",
        "? schedulerName\n  : «default-scheduler|stork»\n",
    ] {
        becomes(&format!("apiVersion: v1\nkind: Pod\nspec:\n  {}", marked.replace("stork»'", "stork'»")));
    }
    for marked in [
        "{schedulerName«: stork»}",
        "{schedulerName«: stork», a: b}",
        "{schedulerName:« stork» }",
        "{schedulerName:« stork», a: b}",
        "{\"schedulerName\":« \"stork\"»}",
    ] {
        becomes(&format!("apiVersion: v1\nkind: Pod\nspec: {marked}\n"));
    }
}

#[test]
fn unusual_blocks_are_changed() {
    let pod = "apiVersion: v1\nkind: Pod\n";
    // A `?` before the key, an anchor before the first key, and the mapping next to its indicator.
    becomes(&format!("{pod}spec:\n«  schedulerName: stork\n»  ? containers\n  : []\n"));
    becomes(&format!("{pod}spec:\n«  schedulerName: stork\n»  &c containers: []\nmetadata: {{name: *c }}\n"));
    becomes(&format!("{pod}? spec\n: «schedulerName: stork\n  »containers: []\n  volumes: []\n"));
    becomes(&format!("{pod}spec: !!map\n  # why\n\n«  schedulerName: stork\n»  containers: []\n"));
    becomes(&format!("{pod}spec:\n  &unused\n«  schedulerName: stork\n»  containers: []\n"));
    // A merge key with other fields, before or after.
    becomes(&format!("{pod}x: &x {{a: b}}\nspec:\n«  schedulerName: stork\n»  <<: *x\n  containers: []\n"));
    becomes(&format!("{pod}x: &x {{a: b}}\nspec:\n«  schedulerName: stork\n»  containers: []\n  <<: [*x, {{c: d}}]\n"));
    // The name replaces an alias.
    becomes(&format!("{pod}x: &x default-scheduler\nspec:\n  schedulerName: «*x|stork»\n"));
    // An anchor below the changed mapping.
    becomes(&format!("{pod}spec:\n«  schedulerName: stork\n»  containers: &c []\nx: *c\n"));
    // The merge key comes first, so the explicit field wins in every YAML parser.
    becomes(&format!(
        "{pod}x: &x {{schedulerName: other}}\nspec:\n  <<: *x\n  schedulerName: «default-scheduler|stork»\n"
    ));
    // Block scalars before and after, whose text looks like other nodes.
    becomes(&format!(
        "x: |\n  spec:\n    containers: []\n{pod}spec:\n«  schedulerName: stork\n»  a: |+\n    x\n\n\n  containers: >-\n    y\n   # no\n\n"
    ));
}

#[test]
fn without_edits_the_text_is_unchanged() {
    let (text, _) = before_and_after(MYSQL);
    let checked = Manifest::new(&text).parse().unwrap()[0].check_edits(Vec::new());
    assert!(checked.made.is_empty() && checked.refused.is_empty());
    assert_eq!(edited(&text, &[]).collect::<String>(), text);
}

#[test]
fn a_name_that_is_not_a_plain_scalar_is_quoted() {
    let set = |spec: &str, scheduler: &str| {
        let text = format!("apiVersion: v1\nkind: Pod\nspec: {spec}\n");
        let manifest = Manifest::new(&text);
        let document = manifest.documents().next().unwrap().unwrap();
        let edit = document.set_scheduler::<&str>(&document.objects()[0], &[], scheduler).unwrap();
        let checked = document.check_edits(vec![edit]);
        assert_eq!(checked.refused, []);
        let text: String = edited(&text, &checked.made).collect();
        text.split_once("spec: ").unwrap().1.trim_end().to_owned()
    };
    for (name, written) in [
        ("a.b/c-d_e", "a.b/c-d_e"),
        ("yes", "\"yes\""),
        ("12", "\"12\""),
        ("", "\"\""),
        ("a: b", "\"a: b\""),
        ("it's \"é\"\n", r#""it's \"é\"\n""#),
        ("*x", "\"*x\""),
    ] {
        assert_eq!(set("{schedulerName: x}", name), format!("{{schedulerName: {written}}}"));
        assert_eq!(set("{volumes: []}", name), format!("{{schedulerName: {written}, volumes: []}}"));
    }
    assert_eq!(set("{schedulerName: 'x'}", "it's"), "{schedulerName: 'it''s'}");
    assert_eq!(set("{schedulerName: 'x'}", "a\tb"), "{schedulerName: \"a\\tb\"}");
}

/// Edits that `set_scheduler` never makes. They are refused if they change anything but their field.
#[test]
fn an_edit_that_changes_anything_else_is_refused() {
    let applied = |text: &str, old: &str, replacement: &str| {
        let manifest = Manifest::new(text);
        let document = manifest.documents().next().unwrap().unwrap();
        let start = text.find(old).unwrap();
        let edit = Edit {
            range: start..start + old.len(),
            replacement: replacement.to_owned(),
            spec: FieldPath::of(["spec"]),
            scheduler: "stork".to_owned(),
        };
        edited(text, &document.check_edits(vec![edit]).made).collect::<String>()
    };
    let text = "spec: {a: 1, b: 2}\n---\nc: 3\n";
    for (old, new) in [("a", "schedulerName: stork, a"), ("a: 1", "schedulerName: stork, a: 0x1")] {
        assert_eq!(applied(text, old, new), text.replacen(old, new, 1), "{new}");
    }
    for (old, new) in [
        ("a: 1", "schedulerName: stork"),
        ("a", "schedulerName: other, a"),
        ("a", "schedulerName: stork, d: 1, a"),
        ("a", "a"),
        ("a: 1, b: 2}\n---\nc: 3", "schedulerName: stork, a: 1, b: 2}\n---\nc: 4"),
        ("a: 1, b: 2}\n---\nc: 3", "schedulerName: stork, a: 1, b: 2}\n---\nc: 3\n---\n"),
        ("a: 1, b: 2}\n---\nc: 3", "schedulerName: stork, a: 1, b: 2}"),
        ("a", "schedulerName: stork, {"),
    ] {
        assert_eq!(applied(text, old, new), text, "{new}");
    }
    // An edit that turns JSON into YAML.
    let text = "{\"spec\": {\"a\": 1}}\n";
    assert_eq!(applied(text, "\"a\"", "schedulerName: stork, \"a\""), text);
    assert_ne!(applied(text, "\"a\"", "\"schedulerName\": \"stork\", \"a\""), text);
}
