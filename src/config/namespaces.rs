//! `namespaces`: where claims are watched.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::error::Invalid;
use crate::engine::dns;

/// Namespaces by name, none of them twice; empty means all there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub(super) struct Namespaces(Vec<String>);

impl Namespaces {
    pub(super) fn names(&self) -> &[String] {
        &self.0
    }
}

impl TryFrom<Vec<String>> for Namespaces {
    type Error = Invalid;

    fn try_from(names: Vec<String>) -> Result<Self, Invalid> {
        let mut seen = HashSet::new();
        for name in &names {
            if !dns::is_label(name) {
                return Err(Invalid(format!(
                    "`{name}` is not the name of a namespace: write one such as team-a, {}",
                    dns::LABEL_FORM
                )));
            }
            if !seen.insert(name) {
                return Err(Invalid(format!("namespace `{name}` stands here twice")));
            }
        }
        Ok(Self(names))
    }
}
