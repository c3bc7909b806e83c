//! The opt-out label of a Namespace.

use super::{Case, shown};
use crate::finding::Part;
use crate::rule::Rule;
use crate::subject::{Holder, Map, Place};
use colocate_engine::parse_bool;

impl Case<'_> {
    pub(super) fn check_namespace(&mut self) {
        const LABELS: Place = Place { of: Holder::Namespace, map: Map::Labels };
        let label = &*self.policy.opt_out.namespace_label;
        for site in self.subject.sites.iter().filter(|site| site.place == LABELS) {
            let Some(value) = site.entries.get(label).filter(|value| parse_bool(value).is_none()) else { continue };
            let message = format!("{} is no boolean: the Namespace does not opt out", shown(&value));
            self.find(Rule::NamespaceLabel, site.path.key(label), Part::Value, message, "write \"true\" or \"false\"");
        }
    }
}
