//! Generates documents as values: workloads, lists of workloads, and other documents.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;
use serde_json::{Map, Value, json};

/// A kind with the keys that lead to its pod template.
pub(crate) type Kind = (&'static str, &'static str, &'static [&'static str]);

pub(crate) const KINDS: [Kind; 4] = [
    ("v1", "Pod", &[]),
    ("apps/v1", "Deployment", &["spec", "template"]),
    ("batch/v1", "CronJob", &["spec", "jobTemplate", "spec", "template"]),
    ("v1", "PodTemplate", &["template"]),
];

/// A document with the JSON pointers of its pod specs.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) value: Value,
    pub(crate) specs: Vec<String>,
}

pub(crate) fn document() -> impl Strategy<Value = Document> {
    Union::new_weighted(vec![
        (6, workload().boxed()),
        (2, vec(workload(), 0..3).prop_map(list).boxed()),
        (1, vec(vec(workload(), 0..2).prop_map(list), 0..3).prop_map(list).boxed()),
        (
            1,
            (any_value(), any_value())
                .prop_map(|(a, b)| Document { value: json!({"kind": a, "b": b}), specs: vec![] })
                .boxed(),
        ),
    ])
}

fn list(items: Vec<Document>) -> Document {
    let pointers = |(index, item): (usize, &Document)| -> Vec<_> {
        item.specs.iter().map(|spec| format!("/items/{index}{spec}")).collect()
    };
    let specs = items.iter().enumerate().flat_map(pointers).collect();
    let values: Vec<_> = items.into_iter().map(|item| item.value).collect();
    Document { value: json!({"apiVersion": "v1", "kind": "List", "items": values}), specs }
}

fn workload() -> impl Strategy<Value = Document> {
    let scheduler =
        select(vec![None, None, None, Some(Value::Null), Some(json!("")), Some(json!("default-scheduler"))]);
    (select(KINDS.to_vec()), any_map(1..4), scheduler, any_map(0..3), any_map(0..3)).prop_map(
        |((api_version, kind, template), mut spec, scheduler, siblings, metadata)| {
            spec.extend(scheduler.map(|scheduler| ("schedulerName".to_owned(), scheduler)));
            let mut value = Value::Object(spec);
            let mut pointer = "/spec".to_owned();
            for key in ["spec"].iter().chain(template.iter().rev()) {
                let mut parent = siblings.clone();
                parent.insert((*key).to_owned(), value);
                value = Value::Object(parent);
            }
            for key in template.iter().rev() {
                pointer = format!("/{key}{pointer}");
            }
            value["apiVersion"] = json!(api_version);
            value["kind"] = json!(kind);
            value["metadata"] = Value::Object(metadata);
            Document { value, specs: vec![pointer] }
        },
    )
}

fn any_map(size: std::ops::Range<usize>) -> impl Strategy<Value = Map<String, Value>> {
    btree_map(key(), any_value(), size).prop_map(|map| map.into_iter().collect())
}

fn any_value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        (-9_999..9_999_i32).prop_map(|number| Value::from(f64::from(number) + 0.5)),
        text().prop_map(Value::from),
    ];
    scalar.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(key(), inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => select(vec!["containers", "volumes", "name", "image", "mountPath", "schedulerNames", "a/b.c", "x"]).prop_map(str::to_owned),
        1 => "[ -~é😀]{0,12}",
    ]
    // These keys lead to a template or have another special meaning.
    .prop_filter("a reserved key", |key| !matches!(key.as_str(), "spec" | "template" | "jobTemplate" | "items" | "schedulerName" | "<<"))
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z/]{1,8}( [a-z./-]{1,5}){0,2}",
        2 => "[ -~é😀\\n\\t]{0,16}",
        2 => "([a-z:#-]{1,6}( [a-z]{1,4})?\\n){1,4}[a-z]{0,3}",
        1 => select(vec!["yes", "No", "~", "null", "017", "1e3", "---", "...", "- a", "a: b", "# no", "{", "*a", "&a", "spec:\n  containers:\n"]).prop_map(str::to_owned),
        1 => "[a-z ]{1200,1300}",
    ]
}
