//! The findings of the companion in live objects.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::companion::{Facts, MountedClaim, Rule, Severities, Severity, Strategies, Subject, SubjectKind};
use crate::engine::{Inventory, Policy};

/// The largest number of findings that are kept with their text. All are counted.
const MAX_KEPT: usize = 1_000;

/// The findings in all objects that were read.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// The number of objects that were checked.
    pub(crate) objects: u64,
    /// The findings by rule.
    pub(crate) rules: BTreeMap<Rule, RuleCount>,
    /// The first findings.
    pub(crate) kept: Vec<KeptFinding>,
    /// The number of findings that were counted and not kept.
    pub(crate) more: u64,
}

/// The findings of one rule.
#[derive(Clone, Debug, Default)]
pub(crate) struct RuleCount {
    /// Its severity; `None` while it has no finding.
    pub(crate) severity: Option<Severity>,
    /// The number of its findings.
    pub(crate) count: u64,
    /// The object of the first finding, as in `Deployment shop/web`.
    pub(crate) example: String,
    /// The number of times that it could not be checked, because a fact is not known.
    pub(crate) unchecked: u64,
    /// The first of these facts.
    pub(crate) why: String,
}

/// A finding with its text.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct KeptFinding {
    pub(crate) rule: &'static str,
    #[serde(serialize_with = "word")]
    pub(crate) severity: Severity,
    pub(crate) message: String,
    pub(crate) remedy: String,
    pub(crate) path: String,
    pub(crate) object: FoundObject,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct FoundObject {
    kind: String,
    /// `None` for a cluster-scoped kind.
    namespace: Option<String>,
    name: String,
}

impl KeptFinding {
    /// The namespace of its object; `None` for a cluster-scoped kind.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.object.namespace.as_deref()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn word<S: Serializer>(severity: &Severity, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(severity.as_str())
}

impl Findings {
    /// Adds the findings in other objects.
    pub(super) fn merge(&mut self, other: Self) {
        self.objects += other.objects;
        for (rule, RuleCount { severity, count, example, unchecked, why }) in other.rules {
            let own = self.rules.entry(rule).or_default();
            if own.count == 0 {
                (own.severity, own.example) = (severity, example);
            }
            if own.unchecked == 0 {
                own.why = why;
            }
            own.count += count;
            own.unchecked += unchecked;
        }
        let room = MAX_KEPT - self.kept.len();
        self.more += other.more + other.kept.len().saturating_sub(room) as u64;
        self.kept.extend(other.kept.into_iter().take(room));
    }
}

/// The facts for the checks.
#[derive(Clone, Copy)]
pub(super) struct Checks<'a> {
    pub(super) policy: &'a Policy,
    pub(super) severities: &'a Severities,
    pub(super) inventory: &'a Inventory,
    pub(super) strategies: &'a Strategies,
}

impl Checks<'_> {
    /// Checks a live object, as `colocate validate` checks one in a file.
    ///
    /// # Errors
    /// The JSON does not have the structure of the kind.
    pub(super) fn check(
        self,
        kind: SubjectKind<'_>,
        (namespace, name): (&str, &str),
        namespace_opted_out: Option<bool>,
        json: &str,
        findings: &mut Findings,
    ) -> serde_json::Result<()> {
        let Self { policy, severities, inventory, strategies } = self;
        let subject = Subject::parse(json, kind)?;
        if subject.skipped(policy).is_some() {
            return Ok(());
        }
        findings.objects += 1;
        if subject.is_silent(policy) {
            return Ok(());
        }
        let claims = subject.claims();
        let facts = Facts {
            claims: claims.iter().map(|claim| MountedClaim::find(claim, inventory, namespace)).collect(),
            class_access: subject.class_name().and_then(|name| inventory.access_of_class(name, &[])),
            strategies: strategies.clone(),
            namespace_opted_out: namespace_opted_out.unwrap_or_default(),
        };
        let report = subject.check(policy, severities, &facts);
        let namespace = (!kind.is_cluster_scoped()).then_some(namespace);
        for finding in report.findings {
            let object =
                FoundObject { kind: kind.to_string(), namespace: namespace.map(str::to_owned), name: name.to_owned() };
            let count = findings.rules.entry(finding.rule).or_default();
            if count.count == 0 {
                let place = namespace.map(|namespace| format!("{namespace}/")).unwrap_or_default();
                count.example = format!("{kind} {place}{name}");
                count.severity = Some(finding.severity);
            }
            count.count += 1;
            if findings.kept.len() >= MAX_KEPT {
                findings.more += 1;
                continue;
            }
            findings.kept.push(KeptFinding {
                rule: finding.rule.id(),
                severity: finding.severity,
                message: finding.message,
                remedy: finding.remedy,
                path: finding.path.to_string(),
                object,
            });
        }
        for open in report.unchecked {
            let count = findings.rules.entry(open.rule).or_default();
            if count.unchecked == 0 {
                count.why = open.why;
            }
            count.unchecked += 1;
        }
        Ok(())
    }
}
