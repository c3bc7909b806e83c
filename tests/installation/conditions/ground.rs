//! A namespace, and all that is asked of an API server there: new objects, and changes of some that were there before.

use std::collections::BTreeSet;

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use super::changes::{Change, of_claim_templates};
use super::kind::Kind;
use super::odd;
use super::shape::{OPT_OUTS, Shape};
use crate::harness::{Api, ControlPlane, Decided, Namespace, OTHER_CLASS, PORTWORX_CLASS, Reply, background, pair};

/// How many requests are under way at once.
const AT_ONCE: usize = 16;

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

/// A request, which keeps nothing.
#[derive(Clone)]
pub(super) struct Asked {
    /// The name of the object, which no other one has.
    pub(super) name: String,
    /// None of one of no particular shape.
    kind: Option<Kind>,
    /// Where the object is, or is to be.
    path: String,
    pub(super) object: Value,
    is_update: bool,
}

/// An object as it is stored, and what it is to become.
struct Stored {
    old: Asked,
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
        let stored = ground.stored();
        ground.changes =
            background().block_on(stream::iter(stored).map(|one| ground.store(one)).buffered(AT_ONCE).collect());
        ground
    }

    pub(super) fn name(&self) -> &str {
        self.namespace.name()
    }

    /// Asks for everything, and then for the last object.
    pub(super) fn ask(&self) -> Vec<(Asked, Reply)> {
        let all = self.changes.iter().cloned().chain(self.shapes()).chain(self.odd());
        let send = async |asked: Asked| {
            let path = format!("{}?dryRun=All", asked.path);
            let reply = if asked.is_update {
                self.api.replace(&path, &asked.object).await
            } else {
                self.api.create(&path, &asked.object).await
            };
            (asked, reply)
        };
        let replies = background().block_on(stream::iter(all).map(send).buffered(AT_ONCE).collect());
        let mut last = pair::pod("data");
        last["metadata"]["name"] = LAST.into();
        let path = format!("{}?dryRun=All", pair::pods(self.name()));
        background().block_on(self.api.create(&path, &last));
        replies
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
                    Asked { name, kind: Some(kind), path: kind.path(namespace), object, is_update: false }
                },
            )
        });
        let claims = [("px", Some(PORTWORX_CLASS)), ("other", Some(OTHER_CLASS)), ("default", None)];
        let claims = claims.into_iter().map(move |(word, class)| {
            let name = format!("claim-templates-{word}");
            let object = of_claim_templates(&name, class, Shape::default().template());
            let (kind, path) = (Some(Kind::StatefulSet), Kind::StatefulSet.path(namespace));
            Asked { name, kind, path, object, is_update: false }
        });
        shaped.chain(claims)
    }

    /// New objects that are not built as their kind.
    fn odd(&self) -> impl Iterator<Item = Asked> {
        let namespace = self.name();
        let built_in = (0..).zip(odd::built_in("odd")).map(move |(number, (kind, mut object))| {
            let name = format!("odd-{number}-{}", kind.word());
            object["metadata"]["name"] = (&*name).into();
            Asked { name, kind: Some(kind), path: kind.path(namespace), object, is_update: false }
        });
        let custom = CUSTOM.into_iter().flat_map(move |custom| {
            (0..)
                .zip(odd::custom())
                .map(move |(number, content)| self.custom(custom, &format!("odd-{number}"), content))
        });
        built_in.chain(custom)
    }

    /// A new custom resource with that content.
    fn custom(&self, (version, plural, kind): (&str, &str, &str), name: &str, content: Value) -> Asked {
        let (name, mut object) = (format!("{name}-{plural}"), content);
        object["apiVersion"] = version.into();
        object["kind"] = kind.into();
        object["metadata"] = json!({"name": name});
        let path = format!("/apis/{version}/namespaces/{}/{plural}", self.name());
        Asked { name, kind: None, path, object, is_update: false }
    }

    /// What is to be stored.
    fn stored(&self) -> Vec<Stored> {
        let mut all = Vec::new();
        for kind in Kind::ALL {
            for change in Change::ALL {
                let name = format!("{}-{}", change.name, kind.word());
                let object = change.old(kind, &name, Shape::default().template());
                let old = Asked { name, kind: Some(kind), path: kind.path(self.name()), object, is_update: false };
                all.push(Stored { old, next: Next::Change(change, kind) });
            }
        }
        let contents = odd::custom();
        let count = contents.len();
        for custom in CUSTOM {
            for (one, content) in contents.iter().enumerate() {
                // To some, and from each to those with a claim.
                let others = [one + 1, one + 7, count - 4, count - 2].map(|other| other % count);
                for other in BTreeSet::from(others) {
                    let old = self.custom(custom, &format!("change-{one}-{other}"), content.clone());
                    all.push(Stored { old, next: Next::Content(contents[other].clone()) });
                }
            }
        }
        all
    }

    /// Stores an object, and says how it is to be changed.
    async fn store(&self, Stored { old, next }: Stored) -> Asked {
        let reply = self.api.create(&old.path, &old.object).await;
        assert!(reply.status.is_success(), "{}: {reply:?}", old.name);
        let stored = reply.object.0;
        let object = match next {
            Next::Change(change, kind) => change.changed(kind, &stored),
            Next::Content(mut content) => {
                for key in ["apiVersion", "kind", "metadata"] {
                    content[key] = stored[key].clone();
                }
                content
            }
        };
        Asked { path: format!("{}/{}", old.path, old.name), object, is_update: true, ..old }
    }
}

impl Asked {
    /// Whether somebody fills in defaults, and checks its fields.
    pub(super) fn is_built_in(&self) -> bool {
        self.kind.is_some_and(|kind| !kind.is_custom())
    }

    /// The values of its annotations by which it might opt out.
    pub(super) fn opt_outs(&self) -> impl Iterator<Item = &str> {
        let template = self.kind.and_then(|kind| self.object.pointer(kind.pointer()));
        let annotations = template.and_then(|template| template["metadata"]["annotations"].as_object());
        let opt_outs = annotations.into_iter().flatten().filter(|(key, _)| OPT_OUTS.contains(&key.as_str()));
        opt_outs.filter_map(|(_, value)| value.as_str())
    }

    /// Whether it has more volumes than an API server looks at.
    pub(super) fn has_many_volumes(&self) -> bool {
        let template = self.kind.and_then(|kind| self.object.pointer(kind.pointer()));
        let volumes = template.and_then(|template| template["spec"]["volumes"].as_array());
        volumes.is_some_and(|volumes| volumes.len() > 2_000)
    }

    /// The scheduler with which it came back.
    pub(super) fn scheduler<'r>(&self, reply: &'r Reply) -> &'r str {
        match self.kind {
            Some(kind) => reply.object.text(&format!("{}/spec/schedulerName", kind.pointer())),
            None if self.path.contains("/things") => reply.object.text("/spec/a~1b/~0c/if/spec/schedulerName"),
            None => reply.object.text("/spec/template/spec/schedulerName"),
        }
    }
}
