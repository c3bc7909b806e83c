//! All requests of one namespace: new objects, and changes of objects that existed before.

use std::collections::BTreeSet;

use colocate_harness::{Api, ControlPlane, Decided, Namespace, OTHER_CLASS, PORTWORX_CLASS, Reply, background, pair};
use serde_json::{Value, json};

use super::changes::{Change, with_claim_templates};
use super::kind::Kind;
use super::odd;
use super::shape::{OPT_OUTS, Shape};
use crate::dry_run::{DryRun, send_all, store_all};

/// The number of random shapes for each kind.
const MIXTURES: usize = 25;

/// The object that is sent last.
const LAST: &str = "last";

/// Custom resources: the group and version, the plural, and the kind.
const CUSTOM: [(&str, &str, &str); 2] =
    [("argoproj.io/v1alpha1", "rollouts", "Rollout"), ("example.test/v1", "things", "Thing")];

pub(super) struct Cases {
    namespace: Namespace,
    api: Api,
    seed: u64,
    changes: Vec<Case>,
}

/// A request about an object with a unique name.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) name: String,
    /// `None` for an object without a particular shape.
    kind: Option<Kind>,
    dry_run: DryRun,
}

/// A stored object, and its change.
struct Stored {
    name: String,
    kind: Option<Kind>,
    collection: String,
    old: Value,
    next: Next,
}

enum Next {
    Change(&'static Change, Kind),
    Content(Value),
}

impl Cases {
    /// Creates the namespace, and the objects that are changed later.
    pub(super) fn prepare(name: &str, seed: u64) -> Self {
        let namespace = Namespace::new(name);
        namespace.add_claim("data", PORTWORX_CLASS);
        namespace.add_claim("plain", OTHER_CLASS);
        let api = background().block_on(Api::administrator(ControlPlane::shared()));
        let mut cases = Self { namespace, api, seed, changes: Vec::new() };
        let all = cases.stored();
        let stored = store_all(&cases.api, all.iter().map(|one| (one.collection.clone(), one.old.clone())));
        cases.changes = all.into_iter().zip(stored).map(|(one, stored)| one.changed(&stored)).collect();
        cases
    }

    pub(super) fn name(&self) -> &str {
        self.namespace.name()
    }

    /// Sends all requests, and then the last object.
    pub(super) fn send(&self) -> Vec<(Case, Reply)> {
        let all: Vec<_> = self.changes.iter().cloned().chain(self.shapes()).chain(self.odd()).collect();
        let replies = send_all(&self.api, all.iter().map(|case| &case.dry_run));
        let mut last = pair::pod("data");
        last["metadata"]["name"] = LAST.into();
        send_all(&self.api, std::iter::once(&DryRun::create(pair::pods(self.name()), last)));
        all.into_iter().zip(replies).collect()
    }

    /// Returns true if the decision is about the last object.
    pub(super) fn is_last(&self, decided: &Decided) -> bool {
        decided.namespace == self.name() && decided.name == LAST
    }

    /// Returns new objects of each kind in each shape.
    fn shapes(&self) -> impl Iterator<Item = Case> {
        let namespace = self.name();
        let shaped = Kind::ALL.into_iter().flat_map(move |kind| {
            Shape::all(matches!(kind, Kind::Pod | Kind::Deployment), MIXTURES, self.seed).into_iter().enumerate().map(
                move |(number, shape)| {
                    let name = format!("shape-{number}-{}", kind.word());
                    let object = kind.object(&name, &shape.metadata(), shape.template());
                    Case { name, kind: Some(kind), dry_run: DryRun::create(kind.path(namespace), object) }
                },
            )
        });
        let claims = [("px", Some(PORTWORX_CLASS)), ("other", Some(OTHER_CLASS)), ("default", None)];
        let claims = claims.into_iter().map(move |(word, class)| {
            let name = format!("claim-templates-{word}");
            let object = with_claim_templates(&name, class, Shape::default().template());
            let kind = Kind::StatefulSet;
            Case { name, kind: Some(kind), dry_run: DryRun::create(kind.path(namespace), object) }
        });
        shaped.chain(claims)
    }

    /// Returns new objects that do not match the schema of their kind.
    fn odd(&self) -> impl Iterator<Item = Case> {
        let namespace = self.name();
        let built_in = (0..).zip(odd::built_in("odd")).map(move |(number, (kind, mut object))| {
            let name = format!("odd-{number}-{}", kind.word());
            object["metadata"]["name"] = (&*name).into();
            Case { name, kind: Some(kind), dry_run: DryRun::create(kind.path(namespace), object) }
        });
        let custom = CUSTOM.into_iter().flat_map(move |custom| {
            (0..).zip(odd::custom()).map(move |(number, content)| {
                let (name, collection, object) = self.custom(custom, &format!("odd-{number}"), content);
                Case { name, kind: None, dry_run: DryRun::create(collection, object) }
            })
        });
        built_in.chain(custom)
    }

    /// Returns a custom resource with that content: its name, its collection, and the object.
    fn custom(&self, custom: (&str, &str, &str), name: &str, content: Value) -> (String, String, Value) {
        let (version, plural, kind) = custom;
        let (name, mut object) = (format!("{name}-{plural}"), content);
        object["apiVersion"] = version.into();
        object["kind"] = kind.into();
        object["metadata"] = json!({"name": name});
        (name, format!("/apis/{version}/namespaces/{}/{plural}", self.name()), object)
    }

    /// Returns the objects to store first.
    fn stored(&self) -> Vec<Stored> {
        let mut all = Vec::new();
        for kind in Kind::ALL {
            for change in Change::ALL {
                let name = format!("{}-{}", change.name, kind.word());
                let old = change.old(kind, &name, Shape::default().template());
                let (collection, next) = (kind.path(self.name()), Next::Change(change, kind));
                all.push(Stored { name, kind: Some(kind), collection, old, next });
            }
        }
        let contents = odd::custom();
        let count = contents.len();
        for custom in CUSTOM {
            for (one, content) in contents.iter().enumerate() {
                // From each content to some of the others, always including those with a claim.
                let others = [one + 1, one + 7, count - 4, count - 2].map(|other| other % count);
                for other in BTreeSet::from(others) {
                    let name = format!("change-{one}-{other}");
                    let (name, collection, old) = self.custom(custom, &name, content.clone());
                    let next = Next::Content(contents[other].clone());
                    all.push(Stored { name, kind: None, collection, old, next });
                }
            }
        }
        all
    }
}

impl Stored {
    /// Returns the request that changes the stored object.
    fn changed(self, stored: &Value) -> Case {
        let Self { name, kind, collection, next, .. } = self;
        let object = match next {
            Next::Change(change, kind) => change.changed(kind, stored),
            Next::Content(mut content) => {
                for key in ["apiVersion", "kind", "metadata"] {
                    content[key] = stored[key].clone();
                }
                content
            }
        };
        Case { name, kind, dry_run: DryRun::update(&collection, object) }
    }
}

impl Case {
    pub(super) fn object(&self) -> &Value {
        &self.dry_run.object
    }

    /// Returns true if the API server defaults and validates its fields.
    pub(super) fn is_built_in(&self) -> bool {
        self.kind.is_some_and(|kind| !kind.is_custom())
    }

    fn template(&self) -> Option<&Value> {
        self.object().pointer(self.kind?.pointer())
    }

    /// Returns the values of the annotations that may opt out.
    pub(super) fn opt_outs(&self) -> impl Iterator<Item = &str> {
        let annotations = self.template().and_then(|template| template["metadata"]["annotations"].as_object());
        let opt_outs = annotations.into_iter().flatten().filter(|(key, _)| OPT_OUTS.contains(&key.as_str()));
        opt_outs.filter_map(|(_, value)| value.as_str())
    }

    /// Returns true if a controller owns it.
    pub(super) fn has_controller(&self) -> bool {
        let owners = self.object()["metadata"]["ownerReferences"].as_array();
        owners.is_some_and(|owners| owners.iter().any(|owner| owner["controller"] == true))
    }

    /// Returns true if it has more volumes than the conditions look at.
    pub(super) fn has_many_volumes(&self) -> bool {
        let volumes = self.template().and_then(|template| template["spec"]["volumes"].as_array());
        volumes.is_some_and(|volumes| volumes.len() > 2_000)
    }

    /// Returns the scheduler of the object in the reply.
    pub(super) fn scheduler<'r>(&self, reply: &'r Reply) -> &'r str {
        match self.kind {
            Some(kind) => reply.object.text(&format!("{}/spec/schedulerName", kind.pointer())),
            None if self.object()["kind"] == "Thing" => reply.object.text("/spec/a~1b/~0c/if/spec/schedulerName"),
            None => reply.object.text("/spec/template/spec/schedulerName"),
        }
    }
}
