//! Checks one object against all rules.

mod namespace_label;
mod pod_annotations;
mod pod_scheduler;
mod storage_settings;
mod stork_keys;

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::value::RawValue;

use super::facts::{Facts, MountedClaim, Strategies};
use super::field_path::FieldPath;
use super::finding::{Finding, MAX_FINDINGS, Part, Unchecked, ValidationReport};
use super::key::{Keys, Recognized, is_like_placement_strategy};
use super::rule::{Needs, Rule};
use super::severity::Severity;
use super::subject::{KeyMap, Subject, SubjectKind};
use super::validation_policy::Severities;
use colocate_engine::{ClaimRef, Driver, Owner, Policy, Setting, one_line, parse_bool};

/// The most characters of a value in a message.
const MAX_SHOWN: usize = 60;

impl Subject<'_> {
    /// Checks the object with the known facts about its surroundings.
    pub fn check(&self, policy: &Policy, severities: &Severities, facts: &Facts) -> ValidationReport {
        self.run(policy, severities, facts).0
    }

    /// Checks the object, and also returns the facts that rules lack. The result of these rules is not certain.
    pub fn check_with_needs(
        &self,
        policy: &Policy,
        severities: &Severities,
        facts: &Facts,
    ) -> (ValidationReport, BTreeSet<Needs>) {
        self.run(policy, severities, facts)
    }

    /// Returns the facts that the rules need to check the object, given the placement strategies but no facts about its
    /// claims and its Namespace.
    pub fn needs(&self, policy: &Policy, severities: &Severities, strategies: Strategies) -> BTreeSet<Needs> {
        let claims = self.claims().iter().map(|_| MountedClaim::default()).collect();
        self.run(policy, severities, &Facts { claims, strategies, ..Facts::default() }).1
    }

    /// Checks only the keys and their values. For incomplete objects, such as patches.
    pub fn check_keys(&self, policy: &Policy, severities: &Severities) -> ValidationReport {
        let facts = Facts::default();
        let mut check = self.rule_check(policy, severities, &facts, Vec::new());
        check.check_keys();
        check.check_strays();
        check.report
    }

    fn run(&self, policy: &Policy, severities: &Severities, facts: &Facts) -> (ValidationReport, BTreeSet<Needs>) {
        let claims = self.claims();
        let known = each_once(claims.iter().zip(&facts.claims));
        let mut check = self.rule_check(policy, severities, facts, known);
        check.check_keys();
        check.check_strays();
        match self.kind {
            SubjectKind::Workload(_) => {
                check.check_pods();
                check.check_storage();
            }
            SubjectKind::Claim | SubjectKind::Class => check.check_storage(),
            SubjectKind::Namespace => check.check_namespace(),
            SubjectKind::Kustomization | SubjectKind::Other(_) => {}
        }
        (check.report, check.needs)
    }

    fn rule_check<'c>(
        &'c self,
        policy: &'c Policy,
        severities: &'c Severities,
        facts: &'c Facts,
        claims: Vec<Mounted<'c>>,
    ) -> RuleCheck<'c> {
        RuleCheck {
            policy,
            severities,
            keys: Keys::new(policy),
            portworx: policy.portworx(),
            subject: self,
            templates: templates(&claims),
            claims,
            facts,
            report: ValidationReport::default(),
            needs: BTreeSet::new(),
        }
    }

    /// Returns true if the object has no key of Stork and none that is close to one, so that it has no findings and needs no
    /// facts.
    pub fn is_silent(&self, policy: &Policy) -> bool {
        let keys = Keys::new(policy);
        let foreign = |key: &str| keys.recognize(key) == Recognized::Foreign && *key != *policy.opt_out.namespace_label;
        // A setting whose key lacks Stork's prefix can cause findings only if the object also has a key with the
        // prefix, or if the setting is rejected.
        let rejected = |site: &KeyMap<'_>, key: &str, raw: &RawValue| {
            let is_not_a_string = || is_setting(key) && !raw.get().starts_with('"');
            site.location.is_of_storage() && is_not_a_string() || storage_settings::rejection(site, key).is_some()
        };
        let silent = |site: &KeyMap<'_>| {
            let is_strategy = |key: &str| site.location.is_of_storage() && is_like_placement_strategy(key);
            let is_read = |key: &str| site.location.is_opt_out_label(key, policy) || is_strategy(key);
            let is_silent = |key: &str, raw: &RawValue| foreign(key) && !is_read(key) && !rejected(site, key, raw);
            site.entries.iter().all(|(key, raw)| is_silent(key, raw))
        };
        let has_strays = self.strays.iter().any(|stray| !foreign(&stray.name));
        self.strategy_names().next().is_none() && !has_strays && self.sites.iter().all(silent)
    }
}

/// A claim and what is known about it.
type Mounted<'c> = (&'c ClaimRef<'c>, &'c MountedClaim);

/// A check in progress: the object, the facts, and the findings so far.
struct RuleCheck<'c> {
    policy: &'c Policy,
    severities: &'c Severities,
    keys: Keys<'c>,
    /// The driver that Stork belongs to.
    portworx: Driver,
    subject: &'c Subject<'c>,
    claims: Vec<Mounted<'c>>,
    /// The index of the claim that will be created from the template with this name.
    templates: HashMap<&'c str, usize>,
    facts: &'c Facts,
    report: ValidationReport,
    /// The needs of the rules that depend on unknown facts.
    needs: BTreeSet<Needs>,
}

impl<'c> RuleCheck<'c> {
    fn find(&mut self, rule: Rule, path: FieldPath, part: Part, message: String, remedy: impl Into<String>) {
        self.find_at_most(Severity::Error, rule, path, part, message, remedy);
    }

    /// Adds a finding whose severity is lowered to `worst`.
    fn find_at_most(
        &mut self,
        worst: Severity,
        rule: Rule,
        path: FieldPath,
        part: Part,
        message: String,
        remedy: impl Into<String>,
    ) {
        let Some(severity) = self.severities.of(rule).map(|severity| severity.min(worst)) else { return };
        if self.report.findings.len() == MAX_FINDINGS {
            self.report.cut = true;
        } else {
            let remedy = remedy.into();
            self.report.findings.push(Finding { rule, severity, message, remedy, path, part });
        }
    }

    fn cannot_check(&mut self, rule: Rule, path: FieldPath, why: String) {
        let Some(severity) = self.severities.of(rule) else { return };
        self.needs.extend(rule.needs());
        if self.report.unchecked.len() == MAX_FINDINGS {
            self.report.cut = true;
        } else {
            self.report.unchecked.push(Unchecked { rule, severity, why, path });
        }
    }

    /// Records that a rule needs its facts here, without reporting it as unchecked.
    fn need(&mut self, rule: Rule) {
        if self.severities.of(rule).is_some() {
            self.needs.extend(rule.needs());
        }
    }

    /// Returns whether a claim belongs to Portworx; `None` if that is not known.
    fn is_portworx(&self, claim: &MountedClaim) -> Option<bool> {
        match &claim.owner {
            Owner::Provisioner { provisioner, .. } => Some(self.portworx.provisioners.contains(provisioner)),
            Owner::NoProvisioner => Some(false),
            Owner::Missing | Owner::Unknown(_) => None,
        }
    }

    /// Finds the first claim whose owner is unknown, and describes why.
    fn first_unknown(&self) -> Option<String> {
        self.claims.iter().find_map(|(claim, known)| known.owner.gap(claim, known.absence))
    }

    /// The claims that are known to belong to Portworx.
    fn of_portworx(&self) -> impl Iterator<Item = Mounted<'c>> {
        let claims = self.claims.iter().copied();
        claims.filter(|(_, known)| self.is_portworx(known) == Some(true))
    }
}

/// Drops repeated claims: a pod may mount one claim as two volumes.
fn each_once<'c>(claims: impl Iterator<Item = Mounted<'c>>) -> Vec<Mounted<'c>> {
    let mut seen = HashSet::new();
    claims.filter(|(claim, _)| claim.name().is_none_or(|name| seen.insert(name))).collect()
}

fn templates<'c>(claims: &[Mounted<'c>]) -> HashMap<&'c str, usize> {
    let templates = claims.iter().enumerate().filter_map(|(index, (claim, _))| match claim {
        ClaimRef::Template { name, .. } => Some((&**name, index)),
        ClaimRef::Named(_) | ClaimRef::Inline { .. } => None,
    });
    templates.collect()
}

/// Returns true if Stork reads this key of a class or a claim.
fn is_setting(key: &str) -> bool {
    Setting::ALL.iter().any(|setting| setting.key() == key)
}

/// Parses a boolean. One that does not parse is reported by [`Rule::NoBoolean`].
fn flag(value: Option<impl AsRef<str>>) -> Option<bool> {
    value.and_then(|value| parse_bool(value.as_ref()))
}

/// Quotes a value of the object for a message.
fn shown(value: &str) -> String {
    format!("`{}`", one_line(value, MAX_SHOWN))
}

#[cfg(test)]
mod tests;
