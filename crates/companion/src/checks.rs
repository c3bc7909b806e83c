//! The check of one object by all rules.

mod namespace_label;
mod pod_annotations;
mod storage_settings;
mod stork_keys;

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::value::RawValue;

use super::facts::{Facts, MountedClaim, Strategies};
use super::field_path::FieldPath;
use super::finding::{Finding, MOST, Part, Unchecked, ValidationReport};
use super::key::{Keys, Recognised};
use super::rule::{Needs, Rule};
use super::subject::{KeyMap, Subject, SubjectKind};
use super::validation_policy::Severities;
use colocate_engine::{ClaimRef, Driver, Owner, Policy, Setting, one_line, parse_bool};

/// The most characters of a value in a message: enough to recognise it.
const ENOUGH: usize = 60;

impl Subject<'_> {
    /// Checks the object, by what is known of its surroundings.
    pub fn check(&self, policy: &Policy, severities: &Severities, facts: &Facts) -> ValidationReport {
        self.run(policy, severities, facts).0
    }

    /// Returns what the rules need to know before they can check the object, where nothing is known of its claims and its
    /// Namespace, and these placement strategies exist.
    pub fn needs(&self, policy: &Policy, severities: &Severities, strategies: Strategies) -> BTreeSet<Needs> {
        let claims = self.claims().iter().map(|_| MountedClaim::default()).collect();
        self.run(policy, severities, &Facts { claims, strategies, namespace_opted_out: false }).1
    }

    fn run(&self, policy: &Policy, severities: &Severities, facts: &Facts) -> (ValidationReport, BTreeSet<Needs>) {
        let claims = self.claims();
        let known = each_once(claims.iter().zip(&facts.claims));
        let mut check = RuleCheck {
            policy,
            severities,
            keys: Keys::new(policy),
            portworx: policy.portworx(),
            subject: self,
            templates: templates(&known),
            claims: known,
            facts,
            report: ValidationReport::default(),
            needs: BTreeSet::new(),
        };
        check.check_keys();
        match self.kind {
            SubjectKind::Workload(_) => {
                check.check_pods();
                check.check_storage();
            }
            SubjectKind::Claim | SubjectKind::Class => check.check_storage(),
            SubjectKind::Namespace => check.check_namespace(),
        }
        (check.report, check.needs)
    }

    /// Returns whether no key in it is Stork's or close to one, so that it has no findings and needs no facts.
    pub fn is_silent(&self, policy: &Policy) -> bool {
        let keys = Keys::new(policy);
        let foreign = |key: &str| keys.recognise(key) == Recognised::Foreign && *key != *policy.opt_out.namespace_label;
        // A setting without the prefix matters only next to one that has it, or if it is not a string.
        let odd = |site: &KeyMap<'_>, key: &str, raw: &RawValue| {
            site.location.is_of_storage() && is_setting(key) && !raw.get().starts_with('"')
        };
        let silent = |site: &KeyMap<'_>| site.entries.iter().all(|(key, raw)| foreign(key) && !odd(site, key, raw));
        !self.names_a_strategy() && self.sites.iter().all(silent)
    }
}

/// A check in progress: the object, the facts, and the findings so far.
struct RuleCheck<'c> {
    policy: &'c Policy,
    severities: &'c Severities,
    keys: Keys<'c>,
    /// The driver that Stork belongs to.
    portworx: Driver,
    subject: &'c Subject<'c>,
    claims: Vec<(&'c ClaimRef<'c>, &'c MountedClaim)>,
    /// The index of the claim that will be made from the template with this name.
    templates: HashMap<&'c str, usize>,
    facts: &'c Facts,
    report: ValidationReport,
    /// The needs of the rules that depend on something that is not known.
    needs: BTreeSet<Needs>,
}

impl<'c> RuleCheck<'c> {
    fn find(&mut self, rule: Rule, path: FieldPath, part: Part, message: String, remedy: impl Into<String>) {
        let Some(severity) = self.severities.of(rule) else { return };
        if self.report.findings.len() == MOST {
            self.report.cut = true;
        } else {
            let remedy = remedy.into();
            self.report.findings.push(Finding { rule, severity, message, remedy, path, part });
        }
    }

    fn cannot_check(&mut self, rule: Rule, path: FieldPath, why: String) {
        let Some(severity) = self.severities.of(rule) else { return };
        self.needs.insert(rule.needs());
        if self.report.unchecked.len() == MOST {
            self.report.cut = true;
        } else {
            self.report.unchecked.push(Unchecked { rule, severity, why, path });
        }
    }

    /// Notes that a rule depends on what it needs here, and says nothing without it.
    fn need(&mut self, rule: Rule) {
        if self.severities.of(rule).is_some() {
            self.needs.insert(rule.needs());
        }
    }

    /// Returns whether a claim is Portworx'; `None` if that is not known.
    fn is_portworx(&self, claim: &MountedClaim) -> Option<bool> {
        match &claim.owner {
            Owner::Provisioner { provisioner, .. } => Some(self.portworx.provisioners.contains(provisioner)),
            Owner::NoProvisioner => Some(false),
            Owner::Missing | Owner::Unknown(_) => None,
        }
    }

    /// Returns why the owner of a claim is not known, for the first such claim.
    fn first_unknown(&self) -> Option<String> {
        self.claims.iter().find_map(|(claim, known)| known.owner.gap(claim, known.absence))
    }

    /// The claims that are known to be Portworx'.
    fn of_portworx(&self) -> impl Iterator<Item = (&'c ClaimRef<'c>, &'c MountedClaim)> {
        let claims = self.claims.iter().copied();
        claims.filter(|(_, known)| self.is_portworx(known) == Some(true))
    }
}

/// Drops repeated claims: a pod may mount one claim as two volumes.
fn each_once<'c>(
    claims: impl Iterator<Item = (&'c ClaimRef<'c>, &'c MountedClaim)>,
) -> Vec<(&'c ClaimRef<'c>, &'c MountedClaim)> {
    let mut seen = HashSet::new();
    claims.filter(|(claim, _)| claim.name().is_none_or(|name| seen.insert(name))).collect()
}

fn templates<'c>(claims: &[(&'c ClaimRef<'c>, &'c MountedClaim)]) -> HashMap<&'c str, usize> {
    let templates = claims.iter().enumerate().filter_map(|(place, (claim, _))| match claim {
        ClaimRef::Template { name, .. } => Some((&**name, place)),
        ClaimRef::Named(_) | ClaimRef::Inline { .. } => None,
    });
    templates.collect()
}

/// Returns whether Stork reads this key of a class or a claim.
fn is_setting(key: &str) -> bool {
    Setting::ALL.iter().any(|setting| setting.key() == key)
}

/// Parses a boolean. One that does not parse is reported by [`Rule::NoBoolean`].
fn flag(value: Option<impl AsRef<str>>) -> Option<bool> {
    value.and_then(|value| parse_bool(value.as_ref()))
}

/// Quotes a value of the object for a message.
fn shown(value: &str) -> String {
    format!("`{}`", one_line(value, ENOUGH))
}

#[cfg(test)]
mod tests;
