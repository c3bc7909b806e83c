//! The opt-out label of a Namespace.

use super::{RuleCheck, shown};
use crate::finding::Part;
use crate::rule::Rule;
use crate::subject::{Holder, MapField, MapLocation};
use colocate_engine::parse_bool;

impl RuleCheck<'_> {
    pub(super) fn check_namespace(&mut self) {
        const LABELS: MapLocation = MapLocation { of: Holder::Namespace, map: MapField::Labels };
        let label = &*self.policy.opt_out.namespace_label;
        for site in self.subject.sites.iter().filter(|site| site.location == LABELS) {
            let Some(value) = site.entries.get(label).filter(|value| parse_bool(value).is_none()) else { continue };
            let message = format!("{} is not a boolean, so the Namespace does not opt out", shown(&value));
            self.find(Rule::NamespaceLabel, site.path.key(label), Part::Value, message, "use \"true\" or \"false\"");
        }
    }
}
