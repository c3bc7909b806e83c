//! The plan and its progress as text for people.

use std::fmt::Write as _;
use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};

use super::rollouts::{Place, Released};
use super::{Action, Plan};
use crate::cli::paint::{Paint, TextStyle, bounded};
use crate::engine::{Source, amount, printable};
use crate::insight::{Effect, Leftover};
use crate::inspect::FoundLeftover;

/// The sections in their order, each with its heading.
const SECTIONS: [(Action, &str); 4] = [
    (Action::Release, "to release: their source does not name a scheduler"),
    (Action::Unknown, "source not known: to release them too, name them or use --all"),
    (Action::Keep, "named by their source: change it there"),
    (Action::Reject, "immutable: let the Jobs end, or delete them and create them again"),
];

/// Text on standard output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Screen {
    pub(super) paint: Paint,
}

impl Screen {
    /// Renders the templates by their handling, and what was not seen.
    pub(super) fn plan(self, plan: &Plan) -> String {
        let mut text = String::new();
        if plan.seen.is_empty() {
            text += "Templates cannot be listed.\n";
        } else if plan.templates.is_empty() && plan.not_seen.is_empty() {
            text += "No template names a driver's scheduler.\n";
        } else if plan.templates.is_empty() {
            text += "None of the templates that could be read names a driver's scheduler.\n";
        }
        let schedulers: Vec<_> = plan.schedulers.iter().map(|name| printable(name)).collect();
        let _ = writeln!(text, "Schedulers: {} (configuration: {})", schedulers.join(", "), plan.config);
        for (action, heading) in SECTIONS {
            let found: Vec<_> = plan.of(action).collect();
            if found.is_empty() {
                continue;
            }
            let heading = self.paint.text(TextStyle::Bold, &format!("{} {heading}", found.len()));
            let _ = writeln!(text, "\n{heading}\n{}", table(&found));
        }
        if !plan.not_seen.is_empty() {
            let _ = writeln!(text, "\n{}", self.paint.text(TextStyle::Bold, "not seen"));
            for not_seen in &plan.not_seen {
                let _ = writeln!(text, "  {}", bounded(&not_seen.to_string()));
            }
        }
        text
    }

    /// States what the change of these templates causes. `wait` is the longest time to wait for each rollout.
    pub(super) fn consequence(self, templates: &[&FoundLeftover], wait: Option<Duration>) -> String {
        let rollouts = templates.iter().filter(|found| found.leftover.effect == Effect::Rollout).count();
        let order = match wait {
            Some(_) => "each rollout ends before the next template is changed",
            None => "without a wait for rollouts",
        };
        let cause = if rollouts == 1 { "causes" } else { "cause" };
        let templates = amount(templates.len(), "template");
        let text = format!(
            "\n{templates} will be changed, one after the other. {rollouts} of these changes {cause} a rollout, which replaces all pods of the workload; {order}.\n"
        );
        self.paint.text(TextStyle::Yellow, &text)
    }

    /// Renders the result for one template.
    pub(super) fn released(self, found: &FoundLeftover, released: &Released) -> String {
        let (style, result) = match released {
            Released::Changed => (TextStyle::Green, "released".to_owned()),
            Released::RollingOut => (TextStyle::Green, "released, and its pods are being replaced".to_owned()),
            Released::RolledOut => (TextStyle::Green, "released, and its pods have been replaced".to_owned()),
            Released::Gone => (TextStyle::Yellow, "does not exist any more".to_owned()),
            Released::Rejected(error) if error.code() == Some(422) => {
                let why = format!("not changed: it may have changed since it was read: run the command again: {error}");
                (TextStyle::Red, why)
            }
            Released::Rejected(error) => (TextStyle::Red, format!("not changed: {error}")),
        };
        format!("{}: {}\n", printable(&Place(found).to_string()), self.paint.text(style, &bounded(&result)))
    }
}

/// The lines about templates that no command releases, and about what was not seen.
pub(super) fn remarks(plan: &Plan) -> String {
    let mut text = String::new();
    for (action, heading) in SECTIONS.into_iter().skip(1) {
        let number = plan.of(action).count();
        if number > 0 {
            let _ = writeln!(text, "colocate: {number} {heading}");
        }
    }
    for not_seen in &plan.not_seen {
        let _ = writeln!(text, "colocate: not seen: {}", bounded(&not_seen.to_string()));
    }
    text
}

fn table(found: &[&FoundLeftover]) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["NAMESPACE", "KIND", "NAME", "SCHEDULER", "SOURCE", "EFFECT"]);
    for FoundLeftover { leftover, .. } in found {
        let Leftover { namespace, kind, name, scheduler, effect, .. } = leftover;
        let cells = [namespace, kind, name, scheduler, &source(leftover), effect.explanation()];
        table.add_row(cells.map(printable));
    }
    let lines: Vec<_> = table.lines().map(|line| format!(" {}", line.trim_end())).collect();
    lines.join("\n")
}

/// The source of a template in a few words.
fn source(leftover: &Leftover) -> String {
    match (leftover.source, &leftover.helm_release, leftover.helm_revision) {
        (_, Some(release), Some(revision)) => format!("Helm release {}, revision {revision}", release.name),
        (Source::Unknown, Some(release), None) => format!("not known (Helm release {})", release.name),
        (Source::Unknown, None, _) => "not known".to_owned(),
        (Source::NamesScheduler | Source::OmitsScheduler, ..) => "applied manifest".to_owned(),
    }
}
