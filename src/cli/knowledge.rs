//! The facts about claims: from the files, and from a cluster only what the files leave open.

use std::collections::BTreeSet;

use crate::api::ApiError;
use crate::claims::{Forbidden, Snapshot};
use crate::companion::Strategies;
use crate::engine::Absence;
use crate::manifest::{KnownObjects, Manifest, ManifestError, MissingFacts, Source};

/// Returns the facts in the files. Files that count more come after the others.
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
    /// Returns the facts that are missing, given those that are known.
    pub(super) open: F,
}

/// Rights that a person lacks in the cluster that was asked.
#[derive(Default)]
pub(super) struct MissingRights {
    /// One line for each of them, with what follows.
    pub(super) notes: Vec<String>,
    /// The answer to the first claim that there is no right to get.
    pub(super) refusal: Option<ApiError>,
}

impl<F: Fn(&KnownObjects) -> MissingFacts> Questions<'_, F> {
    /// Adds what is open and what the cluster knows of it. Files count more: they are what will be.
    ///
    /// # Errors
    /// A cluster that does not answer.
    pub(super) async fn complete(&self, known: &mut KnownObjects) -> Result<MissingRights, ApiError> {
        let mut missing = MissingRights::default();
        self.add_namespaces(known, &mut missing).await?;
        let claims = (self.open)(known).claims;
        if let Some(Forbidden { names, error }) = self.snapshot.claims(claims, &mut known.inventory).await? {
            known.inventory.visibility.hidden_claims = names;
            missing.refusal = Some(error);
        }
        self.add_classes(known, &mut missing).await?;
        let volumes = (self.open)(known).volumes;
        if !self.snapshot.volumes(volumes, &mut known.inventory).await? {
            known.inventory.visibility.volumes = Absence::Hidden;
            missing.note("no right to get persistentvolumes: what only a volume would tell is left unresolved");
        }
        self.add_strategies(known, &mut missing).await?;
        Ok(missing)
    }

    /// Adds, for the Namespaces that matter and that the files do not describe, whether they opt out.
    async fn add_namespaces(&self, known: &mut KnownObjects, missing: &mut MissingRights) -> Result<(), ApiError> {
        let names = (self.open)(known).namespaces.into_iter().filter(|name| !known.has_namespace(name)).collect();
        let mut hidden = BTreeSet::new();
        for (name, opts_out) in self.snapshot.opted_out(names, self.opt_out).await? {
            match opts_out {
                Some(opts_out) => known.insert_namespace(name, opts_out),
                None => drop(hidden.insert(format!("`{name}`"))),
            }
        }
        if !hidden.is_empty() {
            let names = hidden.into_iter().collect::<Vec<_>>().join(", ");
            missing.note(format!("no right to get the namespace {names}: no opt-out by its label is assumed"));
        }
        Ok(())
    }

    async fn add_classes(&self, known: &mut KnownObjects, missing: &mut MissingRights) -> Result<(), ApiError> {
        let open = (self.open)(known);
        // A class counts more than a volume.
        let decisive = !open.classes.is_empty() || !open.volumes.is_empty() || open.parameters;
        if decisive || open.class_names {
            let listed = self.snapshot.classes(&mut known.inventory).await?;
            if !listed && decisive {
                known.inventory.visibility.classes = Absence::Hidden;
                missing.note("no right to list storageclasses: what only a class would tell is left unresolved");
            }
        }
        Ok(())
    }

    async fn add_strategies(&self, known: &mut KnownObjects, missing: &mut MissingRights) -> Result<(), ApiError> {
        if !(self.open)(known).strategies {
            return Ok(());
        }
        let of_files: Vec<_> = known.strategies.names().into_iter().flatten().cloned().collect();
        known.strategies = self.snapshot.strategies().await?.unwrap_or_else(|| {
            let note = "no right to list volumeplacementstrategies.portworx.io: whether one exists is left unresolved";
            missing.note(note);
            let why = "there is no right to list them".to_owned();
            Strategies::Some { known: BTreeSet::new(), why }
        });
        for name in of_files {
            known.strategies.insert(name);
        }
        Ok(())
    }
}

impl MissingRights {
    fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }
}
