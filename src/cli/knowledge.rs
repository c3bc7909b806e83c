//! What is known of claims: from the files, and what they leave open, and nothing else, from a cluster.

use std::collections::BTreeSet;

use crate::api::ApiError;
use crate::claims::{Forbidden, Snapshot};
use crate::companion::Strategies;
use crate::engine::Unknown;
use crate::manifest::{KnownObjects, Manifest, ManifestError, MissingFacts, Source};

/// What files say, those that count more behind the others.
///
/// # Errors
/// A claim, class or volume that is not built as its kind.
pub(super) fn of_files<'f>(
    files: impl IntoIterator<Item = (&'f Source, &'f Manifest<'f>)>,
    namespace: &str,
    opt_out: &str,
) -> Result<KnownObjects, ManifestError> {
    let mut known = KnownObjects::default();
    for (source, manifest) in files {
        known.add(&source.name, manifest, namespace, opt_out)?;
    }
    Ok(known)
}

/// A cluster, and what it is asked.
pub(super) struct Questions<'a, F> {
    pub(super) snapshot: &'a Snapshot,
    /// The label by which Namespaces opt out.
    pub(super) opt_out: &'a str,
    /// What is open by what is known.
    pub(super) open: F,
}

/// What is not there to be seen, and what follows from that.
#[derive(Default)]
pub(super) struct Unseen {
    /// What a person has no right to see: a line each.
    pub(super) notes: Vec<String>,
    /// Why there are claims that cannot be seen, if there are.
    pub(super) refusal: Option<ApiError>,
    words: Vec<Word>,
}

/// What is said of something that is not there, and what is true.
struct Word {
    /// In which namespace it is said; in all, where there is none.
    namespace: Option<String>,
    absent: String,
    instead: String,
}

impl<F: Fn(&KnownObjects) -> MissingFacts> Questions<'_, F> {
    /// Adds what is open and what the cluster knows of it. Files count more: they are what will be.
    ///
    /// # Errors
    /// A cluster that does not answer.
    pub(super) async fn complete(&self, known: &mut KnownObjects) -> Result<Unseen, ApiError> {
        let mut unseen = Unseen::default();
        self.add_namespaces(known, &mut unseen).await?;
        if let Some(refused) = self.snapshot.claims((self.open)(known).claims, &mut known.inventory).await? {
            unseen.without_claims(refused);
        }
        self.add_classes(known, &mut unseen).await?;
        let volumes = (self.open)(known).volumes;
        if !self.snapshot.volumes(volumes.clone(), &mut known.inventory).await? {
            unseen.without_volumes(volumes);
        }
        self.add_strategies(known, &mut unseen).await?;
        Ok(unseen)
    }

    /// Which of the Namespaces that matter, and that the files do not describe, opt out.
    async fn add_namespaces(&self, known: &mut KnownObjects, unseen: &mut Unseen) -> Result<(), ApiError> {
        let names = (self.open)(known).namespaces.into_iter().filter(|name| !known.has_namespace(name)).collect();
        let mut hidden = BTreeSet::new();
        for (name, opts_out) in self.snapshot.opted_out(names, self.opt_out).await? {
            match opts_out {
                Some(opts_out) => known.insert_namespace(name, opts_out),
                None => drop(hidden.insert(format!("`{name}`"))),
            }
        }
        unseen.without_namespaces(hidden);
        Ok(())
    }

    async fn add_classes(&self, known: &mut KnownObjects, unseen: &mut Unseen) -> Result<(), ApiError> {
        let open = (self.open)(known);
        // A class counts more than a volume.
        let decisive = !open.classes.is_empty() || !open.volumes.is_empty() || open.parameters;
        if decisive || open.class_names {
            let listed = self.snapshot.classes(&mut known.inventory).await?;
            if !listed && decisive {
                unseen.without_classes(open.classes);
            }
        }
        Ok(())
    }

    async fn add_strategies(&self, known: &mut KnownObjects, unseen: &mut Unseen) -> Result<(), ApiError> {
        if !(self.open)(known).strategies {
            return Ok(());
        }
        let of_files: Vec<_> = known.strategies.names().into_iter().flatten().cloned().collect();
        known.strategies = self.snapshot.strategies().await?.unwrap_or_else(|| {
            let note = "no right to list volumeplacementstrategies.portworx.io: whether one exists is left unresolved";
            unseen.notes.push(note.to_owned());
            let why = "there is no right to list them".to_owned();
            Strategies::Some { known: BTreeSet::new(), why }
        });
        for name in of_files {
            known.strategies.insert(name);
        }
        Ok(())
    }
}

impl Unseen {
    /// What is in none of the files, where nobody else is asked.
    pub(super) fn beyond_files(open: MissingFacts) -> Self {
        let mut unseen = Self::default();
        for (namespace, name) in open.claims {
            unseen.say_of_claim(namespace, &name, "is in none of the files");
        }
        for unknown in open.classes {
            let instead = match &unknown {
                Unknown::ClassMissing(name) => format!("its StorageClass `{name}` is in none of the files"),
                _ => "it names no StorageClass, and the files have no default one".to_owned(),
            };
            unseen.say(unknown.to_string(), instead);
        }
        for name in open.volumes {
            let instead = format!("its PersistentVolume `{name}` is in none of the files");
            unseen.say(Unknown::VolumeMissing(name.into()).to_string(), instead);
        }
        unseen
    }

    fn without_namespaces(&mut self, names: BTreeSet<String>) {
        if !names.is_empty() {
            let names = names.into_iter().collect::<Vec<_>>().join(", ");
            self.notes.push(format!("no right to get the namespace {names}: no opt-out by its label is assumed"));
        }
    }

    fn without_claims(&mut self, Forbidden { names, error }: Forbidden) {
        for (namespace, name) in names {
            self.say_of_claim(namespace, &name, "cannot be seen");
        }
        self.refusal = Some(error);
    }

    fn without_classes(&mut self, unknown: Vec<Unknown>) {
        let text = "no right to list storageclasses: what only a class would tell is left unresolved";
        self.notes.push(text.to_owned());
        for unknown in unknown {
            let instead = match &unknown {
                Unknown::ClassMissing(name) => format!("its StorageClass `{name}` cannot be seen"),
                _ => "it names no StorageClass, and which one is the default cannot be seen".to_owned(),
            };
            self.say(unknown.to_string(), instead);
        }
    }

    fn without_volumes(&mut self, names: BTreeSet<String>) {
        let text = "no right to get persistentvolumes: what only a volume would tell is left unresolved";
        self.notes.push(text.to_owned());
        for name in names {
            let instead = format!("its PersistentVolume `{name}` cannot be seen");
            self.say(Unknown::VolumeMissing(name.into()).to_string(), instead);
        }
    }

    fn say_of_claim(&mut self, namespace: String, name: &str, instead: &str) {
        let (absent, instead) = (format!("claim `{name}` does not exist"), format!("claim `{name}` {instead}"));
        self.words.push(Word { namespace: Some(namespace), absent, instead });
    }

    fn say(&mut self, absent: String, instead: String) {
        self.words.push(Word { namespace: None, absent, instead });
    }

    /// What was found of an object in this namespace, without calling absent what only cannot be seen.
    pub(super) fn correct(&self, namespace: &str, found: &mut String) {
        for Word { namespace: own, absent, instead } in &self.words {
            if own.as_ref().is_none_or(|own| own == namespace) {
                *found = found.replace(absent, instead);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_that_cannot_be_seen_is_not_one_of_its_name_elsewhere() {
        let mut unseen = Unseen::default();
        unseen.say_of_claim("shop".to_owned(), "data", "cannot be seen");
        let corrected = |namespace: &str| {
            let mut found = "claim `data` does not exist".to_owned();
            unseen.correct(namespace, &mut found);
            found
        };
        assert_eq!(corrected("shop"), "claim `data` cannot be seen");
        assert_eq!(corrected("elsewhere"), "claim `data` does not exist");
    }
}
