//! `namespaces`: where claims are watched.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::error::Invalid;

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
            check(name)?;
            if !seen.insert(name) {
                return Err(Invalid(format!("namespace `{name}` stands here twice")));
            }
        }
        Ok(Self(names))
    }
}

/// A namespace's name is a DNS label (RFC 1123).
pub(super) fn check(name: &str) -> Result<(), Invalid> {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let inside = name.bytes().all(|c| plain(c) || c == b'-');
    let ends = name.bytes().next().is_some_and(plain) && name.bytes().last().is_some_and(plain);
    if inside && ends && name.len() <= 63 {
        return Ok(());
    }
    Err(Invalid(format!(
        "`{name}` is no name of a namespace; write one such as team-a: at most 63 of a-z, 0-9 and `-`, no `-` at an end"
    )))
}
