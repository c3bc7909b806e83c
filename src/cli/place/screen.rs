//! The answers as text for people.

use std::fmt::Write as _;

use super::Outcome;
use crate::cli::audit::table;
use crate::cli::paint::{Paint, TextStyle, bounded};
use crate::engine::printable;
use crate::inspect::{PlacedNode, Placement};

/// Text on standard output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Screen(pub(super) Paint);

impl Screen {
    /// Renders the answers.
    pub(super) fn render(self, outcome: &Outcome<'_>) -> String {
        let Placement { namespace, pod, driver, scheduler, named, extender, refusal, nodes } = outcome.placement;
        let mut text = self.line("pod", TextStyle::Plain, &format!("{namespace}/{pod}"));
        text += &self.line("asked", TextStyle::Plain, &format!("extender {extender} of driver {driver}"));
        if **scheduler != **named {
            let note = format!(
                "the pod's schedulerName is {named}, which does not call this extender: set it to {scheduler}, or let colocate set it"
            );
            text += &self.line("scheduler", TextStyle::Yellow, &note);
        }
        let passing = nodes.iter().filter(|node| node.passes).count();
        text += &match refusal {
            Some(message) => self.line("refused", TextStyle::Red, message),
            None => self.line("nodes", TextStyle::Plain, &format!("{passing} of {} pass", nodes.len())),
        };
        let rows = nodes.iter().map(|PlacedNode { node, passes, why, score, data }| {
            let passes = if *passes { "yes" } else { "no" };
            let score = score.map_or_else(|| "-".to_owned(), |score| score.to_string());
            let data = data.as_ref().map_or("?", |data| data.as_str());
            vec![printable(node), passes.to_owned(), score, data.to_owned(), bounded(why.as_deref().unwrap_or(""))]
        });
        text += "\n";
        text += &table(&["NODE", "PASSES", "SCORE", "LOCALITY", "MESSAGE"], rows, 2..3);
        if !outcome.not_seen.is_empty() {
            let _ = writeln!(text, "\n{}", self.0.text(TextStyle::Bold, "NOT SEEN"));
            for one in outcome.not_seen {
                let _ = writeln!(text, "  {}", bounded(&one.to_string()));
            }
        }
        text
    }

    fn line(self, label: &str, style: TextStyle, text: &str) -> String {
        format!("{label:<11}{}\n", self.0.text(style, &bounded(text)))
    }
}
