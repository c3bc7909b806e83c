//! The facts about claims that a cluster has and the files do not contain.

use std::collections::BTreeSet;

use crate::api::ApiError;
use crate::claims::{Forbidden, Snapshot};
use crate::companion::Strategies;
use crate::engine::Absence;
use crate::manifest::{KnownObjects, MissingFacts};

/// The advice if the files do not contain what is needed and no cluster was asked.
pub(super) const ADVICE: &str =
    "pass the files that define the claims and classes with --manifests, or query a cluster with --cluster";

/// A cluster, and the facts to ask it for.
pub(super) struct ClusterQuery<'a, F> {
    pub(super) snapshot: &'a Snapshot,
    /// The label by which Namespaces opt out.
    pub(super) opt_out: &'a str,
    /// Returns the facts that are missing, given those that are known.
    pub(super) open: F,
}

/// Permissions that the user lacks in the cluster.
#[derive(Default)]
pub(super) struct MissingPermissions {
    /// One line per permission, with the consequence.
    pub(super) notes: Vec<String>,
    /// The response to the first claim that the user may not get.
    pub(super) refusal: Option<ApiError>,
}

impl<F: FnMut(&KnownObjects) -> anyhow::Result<MissingFacts>> ClusterQuery<'_, F> {
    /// Adds the missing facts that the cluster has. Files take precedence, because they describe the intended state.
    ///
    /// # Errors
    /// If the cluster does not answer, or a file cannot be read again.
    pub(super) async fn complete(&mut self, known: &mut KnownObjects) -> anyhow::Result<MissingPermissions> {
        let mut missing = MissingPermissions::default();
        self.add_namespaces(known, &mut missing).await?;
        let claims = (self.open)(known)?.claims;
        if let Some(Forbidden { names, error }) = self.snapshot.claims(claims, known).await? {
            known.visibility.hidden_claims = names;
            missing.refusal = Some(error);
        }
        self.add_classes(known, &mut missing).await?;
        let volumes = (self.open)(known)?.volumes;
        if !self.snapshot.volumes(volumes, known).await? {
            known.visibility.volumes = Absence::Hidden;
            missing
                .note("cannot get persistentvolumes (grant the verb `get`): claims whose driver is identified only by a volume stay unresolved");
        }
        self.add_strategies(known, &mut missing).await?;
        Ok(missing)
    }

    /// Adds whether the relevant Namespaces opt out, except those that the files contain.
    async fn add_namespaces(
        &mut self,
        known: &mut KnownObjects,
        missing: &mut MissingPermissions,
    ) -> anyhow::Result<()> {
        let names = (self.open)(known)?.namespaces.into_iter().filter(|name| !known.has_namespace(name)).collect();
        let mut hidden = BTreeSet::new();
        for (name, opts_out) in self.snapshot.opted_out(names, self.opt_out).await? {
            match opts_out {
                Some(opts_out) => known.add_namespace_of_cluster(&name, opts_out),
                None => drop(hidden.insert(format!("`{name}`"))),
            }
        }
        if !hidden.is_empty() {
            let names = hidden.into_iter().collect::<Vec<_>>().join(", ");
            missing.note(format!("cannot get namespaces {names} (grant the verb `get` on `namespaces`): assuming that they do not opt out"));
        }
        Ok(())
    }

    async fn add_classes(&mut self, known: &mut KnownObjects, missing: &mut MissingPermissions) -> anyhow::Result<()> {
        let open = (self.open)(known)?;
        // A class takes precedence over a volume.
        let decisive = !open.classes.is_empty() || !open.volumes.is_empty() || open.parameters;
        if decisive || open.class_names {
            let listed = self.snapshot.classes(known).await?;
            if !listed && decisive {
                known.visibility.classes = Absence::Hidden;
                missing
                    .note("cannot list storageclasses (grant the verb `list`): claims whose driver is identified only by their class stay unresolved");
            }
        }
        Ok(())
    }

    async fn add_strategies(
        &mut self,
        known: &mut KnownObjects,
        missing: &mut MissingPermissions,
    ) -> anyhow::Result<()> {
        if !(self.open)(known)?.strategies {
            return Ok(());
        }
        let of_files: Vec<_> = known.strategies.names().into_iter().flatten().cloned().collect();
        known.strategies = self.snapshot.strategies().await?.unwrap_or_else(|| {
            let note = "cannot list volumeplacementstrategies.portworx.io (grant the verb `list`): references to them stay unchecked";
            missing.note(note);
            let why = "not allowed to list them".to_owned();
            Strategies::Some { known: BTreeSet::new(), why }
        });
        for name in of_files {
            known.strategies.insert(name);
        }
        Ok(())
    }
}

impl MissingPermissions {
    fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }
}
