//! The lines of `colocate mutate` on standard error.

use crate::cli::console::Console;
use crate::cli::paint::bounded;
use crate::engine::{Mode, Policy, Reason, Templates, Topic, amount};
use crate::manifest::{DescriptionKind, Document, MutatedDocument, MutatedObject, Position, Source, TEMPLATE_ADVICE};

/// Prints what could not be resolved, warnings and explanations, and counts what changes.
pub(super) struct Report<'c> {
    pub(super) console: &'c mut Console,
    detail: Detail,
    /// Whether objects of kinds without decisions are named.
    names_undecided: bool,
    /// Whether something would change.
    pub(super) changed: bool,
    /// Whether something is unresolved.
    pub(super) unresolved: bool,
    /// The number of objects with unresolved claims.
    open: usize,
    /// The number of objects that only the configuration leaves unchanged.
    pub(super) prevented: usize,
}

/// The lines to print about each object, in addition to problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    Nothing,
    /// A line about each object that would change.
    Changes,
    /// A line about each object, with the reason of its decision.
    Explanations,
}

impl<'c> Report<'c> {
    pub(super) fn new(console: &'c mut Console, detail: Detail, strict: bool) -> Self {
        let names_undecided = strict || detail == Detail::Explanations;
        Self { console, detail, names_undecided, changed: false, unresolved: false, open: 0, prevented: 0 }
    }

    /// Prints what could not be read from the cluster.
    pub(super) fn note(&mut self, note: &str) {
        self.console.say(&format!("colocate: {note}\n"));
    }

    /// Prints that an object or a document is not used.
    pub(super) fn skipped(&mut self, file: &str, position: Position, what: &str) {
        self.console.say(&(bounded(&format!("{file}:{position}: skipped: {what}")) + "\n"));
    }

    /// Prints what was decided about a document, as far as it was asked for or needs attention.
    pub(super) fn document(&mut self, source: &Source, document: &Document<'_>, mutated: &MutatedDocument<'_>) {
        let mut lines = String::new();
        if let Some(position) = mutated.template {
            lines += &(bounded(&format!("{}:{position}: left unchanged: {TEMPLATE_ADVICE}", source.name)) + "\n");
        }
        if let Some(error) = &document.duplicate {
            lines += &Self::duplicate(source, document, mutated, error.position, &error.message);
        }
        if self.names_undecided {
            for (position, what) in &mutated.undecided {
                lines += &(bounded(&format!("{}:{position}: left unchanged: {what}", source.name)) + "\n");
            }
        }
        for object in &mutated.objects {
            self.count(object);
            if self.detail == Detail::Explanations {
                lines += &explanation(source, object);
                if object.reason == Reason::Unreadable {
                    lines += &own_warnings(source, object);
                }
            } else if object.is_unresolved() {
                lines += &unresolved(source, object);
            }
            if self.detail == Detail::Changes && object.is_changed() {
                let scheduler = object.scheduler.as_deref().unwrap_or_default();
                lines += &line(source, object, &format!("would be set to {scheduler}"));
            }
            lines += &warnings(source, object);
        }
        self.unresolved |= mutated.is_unresolved();
        self.console.say(&lines);
    }

    /// Prints the last lines: what the configuration prevented, and how to resolve more. If `offline`, no cluster was asked.
    pub(super) fn end(&mut self, policy: &Policy, offline: bool) {
        if self.prevented > 0 {
            let objects = amount(self.prevented, "object");
            let unchanged = format!("{objects} left unchanged because the configuration has {}", restrictions(policy));
            let advice = "use --config with a configuration that sets the scheduler in files";
            self.note(&format!("{unchanged}: {advice} (`mode: inject`, `templates: inject`)"));
        }
        if self.open > 0 && offline && policy.mode != Mode::Off {
            let objects = amount(self.open, "object");
            self.note(&format!("the claims of {objects} are not resolved: {}", crate::cli::facts::ADVICE));
        }
    }

    /// Counts the objects that only the configuration leaves unchanged. `unrestricted` has the decisions without its restrictions.
    pub(super) fn count_prevented(&mut self, mutated: &MutatedDocument<'_>, unrestricted: &MutatedDocument<'_>) {
        let pairs = mutated.objects.iter().zip(&unrestricted.objects);
        self.prevented += pairs.filter(|(object, other)| !object.is_changed() && other.is_changed()).count();
    }

    fn count(&mut self, object: &MutatedObject<'_>) {
        self.changed |= object.is_changed();
        self.open += usize::from(matches!(object.reason, Reason::ClaimMissing | Reason::ClaimUnknown));
    }

    /// Describes a document with a duplicate key, about which nothing is decided.
    fn duplicate(
        source: &Source,
        document: &Document<'_>,
        mutated: &MutatedDocument<'_>,
        position: Position,
        what: &str,
    ) -> String {
        let at = |text: String| bounded(&format!("{}:{position}: {text}", source.name)) + "\n";
        let unread = mutated.unread.iter().map(|object| at(format!("{}: left unchanged: {what}", object.title())));
        let lines: String = unread.collect();
        if !lines.is_empty() {
            return lines;
        }
        let objects = document.objects();
        let described = objects.iter().find(|object| DescriptionKind::of(object).is_some());
        at(described
            .map_or_else(|| format!("skipped: {what}"), |object| format!("skipped: {}: {what}", object.title())))
    }
}

/// Names the keys of a configuration that prevent changes of files.
fn restrictions(policy: &Policy) -> String {
    let mode = match policy.mode {
        Mode::Inject => None,
        Mode::Audit => Some("`mode: audit`"),
        Mode::Off => Some("`mode: off`"),
    };
    let templates = (policy.templates == Templates::Leave).then_some("`templates: leave`");
    mode.into_iter().chain(templates).collect::<Vec<_>>().join(" and ")
}

/// Describes what was found for a workload, what was decided, and why.
fn explanation(source: &Source, mutation: &MutatedObject<'_>) -> String {
    let found = match &*mutation.claims {
        "" => String::new(),
        found => format!("; {found}"),
    };
    let why = mutation.reason.explanation().trim_end_matches('.');
    let scheduler = mutation.scheduler.as_deref().map(|name| format!(" -> {name}")).unwrap_or_default();
    let refusal = mutation.refusal.as_ref();
    let refusal = refusal.map(|why| format!("; left unchanged: {why}, at {}", why.position)).unwrap_or_default();
    line(source, mutation, &format!("{}{scheduler}{found}{refusal} ({why})", mutation.reason))
}

/// Describes what could not be resolved for a workload.
fn unresolved(source: &Source, mutation: &MutatedObject<'_>) -> String {
    match &mutation.refusal {
        Some(why) => line_at(source, why.position, mutation, &format!("left unchanged: {why}")),
        None if mutation.claims.is_empty() => own_warnings(source, mutation),
        None => line(source, mutation, &format!("{}: {}", mutation.reason, mutation.claims)),
    }
}

/// Renders the warnings that `kubectl apply` would print, except those about unresolved claims.
fn warnings(source: &Source, mutation: &MutatedObject<'_>) -> String {
    warning_lines(source, mutation, |of_reason| !(of_reason && mutation.is_unresolved()))
}

/// Renders the warnings that explain why something is unresolved.
fn own_warnings(source: &Source, mutation: &MutatedObject<'_>) -> String {
    warning_lines(source, mutation, |of_reason| of_reason)
}

/// Renders the warnings that `shown` accepts. Its argument is true for the warning of the decision's reason.
fn warning_lines(source: &Source, mutation: &MutatedObject<'_>, shown: impl Fn(bool) -> bool) -> String {
    let own = Topic::Reason(mutation.reason);
    let shown = mutation.warnings.iter().filter(|warning| shown(warning.topic() == Some(own)));
    shown.map(|warning| line(source, mutation, &warning.to_string())).collect()
}

/// Renders a line about a workload.
fn line(source: &Source, mutation: &MutatedObject<'_>, text: &str) -> String {
    line_at(source, mutation.object.position, mutation, text)
}

fn line_at(source: &Source, position: Position, mutation: &MutatedObject<'_>, text: &str) -> String {
    let MutatedObject { object, namespace, name, .. } = mutation;
    let name = match &**name {
        "" => format!("without a name in {namespace}"),
        name => format!("{namespace}/{name}"),
    };
    bounded(&format!("{}:{position}: {} {name}: {text}", source.name, object.kind)) + "\n"
}
