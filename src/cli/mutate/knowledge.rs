//! What is known of claims: from the files, and what they leave open, and nothing else, from a cluster.

use std::collections::BTreeSet;

use crate::cluster::{Snapshot, SnapshotError};
use crate::engine::{Inventory, Policy, Unknown};
use crate::manifest::{Known, Manifest, Mutator, Open, Source};

/// Where the claims, classes and volumes of some manifests are known from.
pub(super) struct Knowledge<'a> {
    /// All files, those that count more behind the others.
    pub(super) files: &'a [(&'a Source, &'a Manifest<'a>)],
    /// Those of the files that are decided about.
    pub(super) manifests: &'a [Manifest<'a>],
    pub(super) snapshot: Option<&'a Snapshot>,
    pub(super) policy: &'a Policy,
    pub(super) namespace: &'a str,
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

impl Knowledge<'_> {
    /// What the files say, and a cluster of what they leave open. Files count more: they are what will be.
    pub(super) async fn gather(&self) -> anyhow::Result<(Known, Unseen)> {
        let (mut known, mut unseen) = (self.with_files(Known::default())?, Unseen::default());
        if let Some(snapshot) = self.snapshot {
            let opted_out = self.opted_out(snapshot, &known, &mut unseen).await?;
            known = self.with_files(Known::new(Inventory::default(), opted_out))?;
            self.fill(snapshot, &mut known, &mut unseen).await?;
        }
        Ok((known, unseen))
    }

    fn with_files(&self, mut known: Known) -> anyhow::Result<Known> {
        for (source, manifest) in self.files {
            known.add(&source.name, manifest, self.namespace, &self.policy.opt_out.namespace_label)?;
        }
        Ok(known)
    }

    /// Which of the Namespaces that matter, and that the files do not describe, opt out.
    async fn opted_out(
        &self,
        snapshot: &Snapshot,
        known: &Known,
        unseen: &mut Unseen,
    ) -> Result<Vec<String>, SnapshotError> {
        let described: BTreeSet<_> = self.files.iter().flat_map(|(_, manifest)| manifest.namespaces()).collect();
        let names = self.open(known).namespaces.difference(&described).cloned().collect();
        let (mut opted_out, mut hidden) = (Vec::new(), BTreeSet::new());
        for (name, answer) in snapshot.opted_out(names, &self.policy.opt_out.namespace_label).await? {
            match answer {
                Some(true) => opted_out.push(name),
                Some(false) => {}
                None => drop(hidden.insert(format!("`{name}`"))),
            }
        }
        unseen.without_namespaces(hidden);
        Ok(opted_out)
    }

    /// Adds the claims, classes and volumes that matter and are not known.
    async fn fill(&self, snapshot: &Snapshot, known: &mut Known, unseen: &mut Unseen) -> Result<(), SnapshotError> {
        snapshot.claims(self.open(known).claims, &mut known.inventory).await?;
        let open = self.open(known);
        // A class counts more than a volume.
        let decisive = !open.classes.is_empty() || !open.volumes.is_empty();
        if decisive || (self.explain && open.class_names) {
            let listed = snapshot.classes(&mut known.inventory).await?;
            if !listed && decisive {
                unseen.without_classes(open.classes);
            }
        }
        let names = self.open(known).volumes;
        if !snapshot.volumes(names.clone(), &mut known.inventory).await? {
            unseen.without_volumes(names);
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
    fn without_namespaces(&mut self, names: BTreeSet<String>) {
        if !names.is_empty() {
            let names = names.into_iter().collect::<Vec<_>>().join(", ");
            self.notes.push(format!("no right to get the namespace {names}: no opt-out by its label is assumed"));
        }
    }

    fn without_classes(&mut self, unknown: Vec<Unknown>) {
        let text = "no right to list storageclasses: what only a class would tell is left unresolved";
        self.notes.push(text.to_owned());
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
