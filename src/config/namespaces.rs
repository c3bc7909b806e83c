//! `namespaces`: the namespaces whose claims are watched.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::engine::dns;

/// Unique names of Namespaces; an empty list means all Namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub(super) struct NamespacesSection(pub(super) Vec<String>);

impl TryFrom<Vec<String>> for NamespacesSection {
    type Error = String;

    fn try_from(names: Vec<String>) -> Result<Self, String> {
        let mut seen = HashSet::new();
        for name in &names {
            if !dns::is_label(name) {
                return Err(format!(
                    "`{name}` is not the name of a namespace: use one such as team-a, {}",
                    dns::LABEL_FORM
                ));
            }
            if !seen.insert(name) {
                return Err(format!("namespace `{name}` is listed twice: list it once"));
            }
        }
        Ok(Self(names))
    }
}
