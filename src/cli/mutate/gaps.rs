//! What the files leave open, asked of a cluster: that, and nothing else.

use crate::cluster::{Snapshot, SnapshotError};
use crate::engine::{Policy, Unknown};
use crate::manifest::{Known, Manifest, Mutator, Open};

/// The decisions to make, and the cluster that may know what they depend on.
pub(super) struct Gaps<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) policy: &'a Policy,
    pub(super) namespace: &'a str,
    pub(super) manifests: &'a [Manifest<'a>],
    /// Whether the classes are wanted that decisions do not depend on.
    pub(super) explain: bool,
}

/// What the person has no right to see, and what follows from that.
#[derive(Default)]
pub(super) struct Unseen {
    /// A line each.
    pub(super) notes: Vec<String>,
    /// What an explanation says of something that is not there, and what is true.
    words: Vec<(String, String)>,
}

impl Gaps<'_> {
    /// Which of the Namespaces that matter opt out. Those that `described` says are in the files are not asked for.
    pub(super) async fn opted_out(
        &self,
        known: &Known,
        described: impl Fn(&str) -> bool,
        unseen: &mut Unseen,
    ) -> Result<Vec<String>, SnapshotError> {
        let mut names = self.open(known).namespaces;
        names.retain(|name| !described(name));
        let label = &self.policy.opt_out.namespace_label;
        let (mut opted_out, mut hidden) = (Vec::new(), Vec::new());
        for (name, answer) in self.snapshot.opted_out(names, label).await? {
            match answer {
                Some(true) => opted_out.push(name),
                Some(false) => {}
                None => hidden.push(format!("`{name}`")),
            }
        }
        if !hidden.is_empty() {
            hidden.sort();
            let hidden = hidden.join(", ");
            unseen.notes.push(format!("no right to get the namespace {hidden}: no opt-out by its label is assumed"));
        }
        Ok(opted_out)
    }

    /// Adds to `known` the claims, classes and volumes that matter and that it lacks.
    pub(super) async fn fill(&self, known: &mut Known, unseen: &mut Unseen) -> Result<(), SnapshotError> {
        let open = self.open(known);
        for (namespace, name, claim) in self.snapshot.claims(open.claims).await? {
            known.inventory.insert_claim(&namespace, &name, claim);
        }
        let open = self.open(known);
        if !open.classes.is_empty() || (self.explain && open.class_names) {
            match self.snapshot.classes().await? {
                Some(classes) => {
                    for (name, class) in classes {
                        known.inventory.classes().entry(name).or_insert(class);
                    }
                }
                None => unseen.without_classes(open.classes),
            }
        }
        let open = self.open(known);
        if let Some(volumes) = self.snapshot.volumes(open.volumes.clone()).await? {
            known.inventory.volumes().extend(volumes);
        } else {
            unseen.without_volumes(open.volumes);
        }
        Ok(())
    }

    fn open(&self, known: &Known) -> Open {
        let mutator = Mutator { policy: self.policy, known, namespace: self.namespace };
        let mut open = Open::default();
        self.manifests.iter().for_each(|manifest| mutator.open(manifest, &mut open));
        open
    }
}

impl Unseen {
    fn without_classes(&mut self, unknown: Vec<Unknown>) {
        if !unknown.is_empty() {
            let text = "no right to list storageclasses: what only a class would tell is left unresolved";
            self.notes.push(text.to_owned());
        }
        for unknown in unknown {
            let instead = match &unknown {
                Unknown::ClassMissing(name) => format!("its StorageClass `{name}` cannot be seen"),
                _ => "it names no StorageClass, and which one is the default cannot be seen".to_owned(),
            };
            self.words.push((unknown.to_string(), instead));
        }
    }

    fn without_volumes(&mut self, names: impl IntoIterator<Item = String>) {
        let text = "no right to get persistentvolumes: what only a volume would tell is left unresolved";
        self.notes.push(text.to_owned());
        for name in names {
            let instead = format!("its PersistentVolume `{name}` cannot be seen");
            self.words.push((Unknown::VolumeMissing(name.into()).to_string(), instead));
        }
    }

    /// What was found, without calling absent what only cannot be seen.
    pub(super) fn correct(&self, found: &mut String) {
        for (absent, instead) in &self.words {
            *found = found.replace(absent, instead);
        }
    }
}
