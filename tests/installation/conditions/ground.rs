//! A namespace, and all that is asked of an API server there: new objects, and changes of some that were there before.

use std::collections::BTreeSet;

use colocate_harness::{Api, ControlPlane, Decided, Namespace, OTHER_CLASS, PORTWORX_CLASS, Reply, background, pair};
use serde_json::{Value, json};

use super::changes::{Change, of_claim_templates};
use super::kind::Kind;
use super::odd;
use super::shape::{OPT_OUTS, Shape};
use crate::dry_run::{DryRun, ask_all, store_all};

/// Mixtures of shapes, for each kind.
const MIXTURES: usize = 25;

/// The object after which everything is decided.
const LAST: &str = "last";

/// Custom resources: the group and version, the plural, and the kind.
const CUSTOM: [(&str, &str, &str); 2] =
    [("argoproj.io/v1alpha1", "rollouts", "Rollout"), ("example.test/v1", "things", "Thing")];

pub(super) struct Ground {
    namespace: Namespace,
    api: Api,
    seed: u64,
    changes: Vec<Asked>,
}

/// A request about an object whose name no other one has.
#[derive(Clone)]
pub(super) struct Asked {
    pub(super) name: String,
    /// None of one of no particular shape.
    kind: Option<Kind>,
    dry_run: DryRun,
}

/// An object as it is stored, and what it is to become.
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

impl Ground {
    /// Makes it, with all that is to be changed.
    pub(super) fn prepare(name: &str, seed: u64) -> Self {
        let namespace = Namespace::new(name);
        namespace.add_claim("data", PORTWORX_CLASS);
        namespace.add_claim("plain", OTHER_CLASS);
        let api = background().block_on(Api::administrator(ControlPlane::shared()));
        let mut ground = Self { namespace, api, seed, changes: Vec::new() };
        let all = ground.stored();
        let stored = store_all(&ground.api, all.iter().map(|one| (one.collection.clone(), one.old.clone())));
        ground.changes = all.into_iter().zip(stored).map(|(one, stored)| one.changed(&stored)).collect();
        ground
    }

    pub(super) fn name(&self) -> &str {
        self.namespace.name()
    }

    /// Asks for everything, and then for the last object.
    pub(super) fn ask(&self) -> Vec<(Asked, Reply)> {
        let all: Vec<_> = self.changes.iter().cloned().chain(self.shapes()).chain(self.odd()).collect();
        let replies = ask_all(&self.api, all.iter().map(|asked| &asked.dry_run));
        let mut last = pair::pod("data");
        last["metadata"]["name"] = LAST.into();
        ask_all(&self.api, std::iter::once(&DryRun::create(pair::pods(self.name()), last)));
        all.into_iter().zip(replies).collect()
    }

    /// Whether it is of the last object.
    pub(super) fn is_last(&self, decided: &Decided) -> bool {
        decided.namespace == self.name() && decided.name == LAST
    }

    /// New objects of each kind in each shape.
    fn shapes(&self) -> impl Iterator<Item = Asked> {
        let namespace = self.name();
        let shaped = Kind::ALL.into_iter().flat_map(move |kind| {
            Shape::all(matches!(kind, Kind::Pod | Kind::Deployment), MIXTURES, self.seed).into_iter().enumerate().map(
                move |(number, shape)| {
                    let name = format!("shape-{number}-{}", kind.word());
                    let object = kind.object(&name, &shape.metadata(), shape.template());
                    Asked { name, kind: Some(kind), dry_run: DryRun::create(kind.path(namespace), object) }
                },
            )
        });
        let claims = [("px", Some(PORTWORX_CLASS)), ("other", Some(OTHER_CLASS)), ("default", None)];
        let claims = claims.into_iter().map(move |(word, class)| {
            let name = format!("claim-templates-{word}");
            let object = of_claim_templates(&name, class, Shape::default().template());
            let kind = Kind::StatefulSet;
            Asked { name, kind: Some(kind), dry_run: DryRun::create(kind.path(namespace), object) }
        });
        shaped.chain(claims)
    }

    /// New objects that are not built as their kind.
    fn odd(&self) -> impl Iterator<Item = Asked> {
        let namespace = self.name();
        let built_in = (0..).zip(odd::built_in("odd")).map(move |(number, (kind, mut object))| {
            let name = format!("odd-{number}-{}", kind.word());
            object["metadata"]["name"] = (&*name).into();
            Asked { name, kind: Some(kind), dry_run: DryRun::create(kind.path(namespace), object) }
        });
        let custom = CUSTOM.into_iter().flat_map(move |custom| {
            (0..).zip(odd::custom()).map(move |(number, content)| {
                let (name, collection, object) = self.custom(custom, &format!("odd-{number}"), content);
                Asked { name, kind: None, dry_run: DryRun::create(collection, object) }
            })
        });
        built_in.chain(custom)
    }

    /// A custom resource with that content: its name, its collection, and itself.
    fn custom(&self, custom: (&str, &str, &str), name: &str, content: Value) -> (String, String, Value) {
        let (version, plural, kind) = custom;
        let (name, mut object) = (format!("{name}-{plural}"), content);
        object["apiVersion"] = version.into();
        object["kind"] = kind.into();
        object["metadata"] = json!({"name": name});
        (name, format!("/apis/{version}/namespaces/{}/{plural}", self.name()), object)
    }

    /// What is to be stored.
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
                // To some, and from each to those with a claim.
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
    /// How it is to be changed, now that it is stored so.
    fn changed(self, stored: &Value) -> Asked {
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
        Asked { name, kind, dry_run: DryRun::update(&collection, object) }
    }
}

impl Asked {
    pub(super) fn object(&self) -> &Value {
        &self.dry_run.object
    }

    /// Whether somebody fills in defaults, and checks its fields.
    pub(super) fn is_built_in(&self) -> bool {
        self.kind.is_some_and(|kind| !kind.is_custom())
    }

    fn template(&self) -> Option<&Value> {
        self.object().pointer(self.kind?.pointer())
    }

    /// The values of its annotations by which it might opt out.
    pub(super) fn opt_outs(&self) -> impl Iterator<Item = &str> {
        let annotations = self.template().and_then(|template| template["metadata"]["annotations"].as_object());
        let opt_outs = annotations.into_iter().flatten().filter(|(key, _)| OPT_OUTS.contains(&key.as_str()));
        opt_outs.filter_map(|(_, value)| value.as_str())
    }

    /// Whether it has more volumes than an API server looks at.
    pub(super) fn has_many_volumes(&self) -> bool {
        let volumes = self.template().and_then(|template| template["spec"]["volumes"].as_array());
        volumes.is_some_and(|volumes| volumes.len() > 2_000)
    }

    /// The scheduler with which it came back.
    pub(super) fn scheduler<'r>(&self, reply: &'r Reply) -> &'r str {
        match self.kind {
            Some(kind) => reply.object.text(&format!("{}/spec/schedulerName", kind.pointer())),
            None if self.object()["kind"] == "Thing" => reply.object.text("/spec/a~1b/~0c/if/spec/schedulerName"),
            None => reply.object.text("/spec/template/spec/schedulerName"),
        }
    }
}
