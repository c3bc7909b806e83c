//! A row of the table: the number of claims, and the API server that serves them.

use std::fmt;
use std::str::FromStr;

use colocate_harness::Population;

use crate::figure::thousands;

/// A number of claims of one API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) claims: usize,
    pub(crate) source: Source,
}

/// The API server that serves the claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// kube-apiserver with etcd.
    Real,
    /// A server that generates its claims on request.
    Scripted,
}

/// The error for an invalid row.
#[derive(Debug, thiserror::Error)]
#[error(
    "invalid row: use a number of claims (at least 10) and an API server, for example `50000-real` or `1000000-scripted`"
)]
pub(crate) struct InvalidRow;

impl FromStr for Row {
    type Err = InvalidRow;

    fn from_str(text: &str) -> Result<Self, InvalidRow> {
        let (claims, source) = text.split_once('-').ok_or(InvalidRow)?;
        let source = match source {
            "real" => Source::Real,
            "scripted" => Source::Scripted,
            _ => return Err(InvalidRow),
        };
        // With fewer claims, none would have a Portworx class.
        let claims = claims.parse().ok().filter(|claims| *claims >= 10).ok_or(InvalidRow)?;
        Ok(Self { claims, source })
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match self.source {
            Source::Real => "a real",
            Source::Scripted => "a scripted",
        };
        write!(f, "{} from {source} API server", thousands(self.claims as u64))
    }
}

/// Returns a population with a realistic number of namespaces: 200 for 50,000 claims, 2,000 for a million.
pub(crate) fn population(claims: usize) -> Population {
    Population::new(claims, (claims / 500).clamp(200, 2_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_numbers_and_sources() {
        let row = "50000-real".parse::<Row>().unwrap();
        assert_eq!(row, Row { claims: 50_000, source: Source::Real });
        assert_eq!(row.to_string(), "50,000 from a real API server");
        assert_eq!("1000000-scripted".parse::<Row>().unwrap().source, Source::Scripted);
        for text in ["", "50000", "0-real", "-real", "50000-kind", "many-real"] {
            assert!(text.parse::<Row>().is_err(), "{text}");
        }
    }

    #[test]
    fn namespaces_grow_with_the_claims() {
        let namespaces = [1_000, 50_000, 1_000_000].map(|claims| population(claims).namespaces().count());
        assert_eq!(namespaces, [200, 200, 2_000]);
    }
}
