//! Panels of the dashboard, and what they show.

use std::collections::BTreeMap;

use colocate_harness::{Object, Series};
use serde_json::Value;

/// The value of `$__rate_interval`. Grafana would use four times the interval of the scrapes, which are late on a busy machine.
const RATE_INTERVAL: &str = "5s";

/// A panel without data.
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) unit: String,
    pub(super) queries: Vec<Query>,
}

/// A query of a panel.
pub(super) struct Query {
    pub(super) expression: String,
    /// The name of each series, with `{{label}}` for the value of a label.
    legend: String,
}

/// What a panel shows.
pub(super) struct Shown {
    pub(super) title: String,
    pub(super) unit: String,
    /// For each query, its name and its series.
    pub(super) queries: Vec<(String, Vec<Line>)>,
}

/// A series with its name.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) name: String,
    /// The times in seconds since the epoch, with the values.
    pub(super) samples: Vec<(f64, f64)>,
}

impl Panel {
    /// Reads the panels of a dashboard.
    pub(super) fn all(dashboard: &str) -> Vec<Self> {
        let dashboard = Object(serde_json::from_str(dashboard).expect("the dashboard is JSON"));
        let panels = dashboard.0["panels"].as_array().expect("the dashboard has panels");
        panels.iter().map(Self::read).collect()
    }

    fn read(panel: &Value) -> Self {
        let text = |value: &Value| value.as_str().expect("the field is a string").to_owned();
        let query = |target: &Value| Query {
            expression: text(&target["expr"]).replace("$__rate_interval", RATE_INTERVAL),
            legend: text(&target["legendFormat"]),
        };
        Self {
            title: text(&panel["title"]),
            unit: text(&panel["fieldConfig"]["defaults"]["unit"]),
            queries: panel["targets"].as_array().expect("a panel has queries").iter().map(query).collect(),
        }
    }

    /// Returns what the panel shows when `ask` answers its queries.
    pub(super) fn show(&self, ask: impl Fn(&str) -> Vec<Series>) -> Shown {
        let queries = self.queries.iter().map(|query| {
            let lines = ask(&query.expression).into_iter().map(|series| query.line(series));
            (query.legend.clone(), lines.collect())
        });
        Shown { title: self.title.clone(), unit: self.unit.clone(), queries: queries.collect() }
    }
}

impl Query {
    fn line(&self, series: Series) -> Line {
        let fill = |name: String, (label, value): (&String, &String)| name.replace(&format!("{{{{{label}}}}}"), value);
        Line { name: series.labels.iter().fold(self.legend.clone(), fill), samples: series.samples }
    }
}

impl Shown {
    /// All series, by name.
    pub(super) fn lines(&self) -> BTreeMap<&str, &Line> {
        let lines = self.queries.iter().flat_map(|(_, lines)| lines);
        lines.map(|line| (&*line.name, line)).collect()
    }
}

impl Line {
    /// Returns whether a sample is a number other than zero. A quantile of no requests is not a number.
    pub(super) fn has_data(&self) -> bool {
        self.samples.iter().any(|(_, value)| value.is_finite() && *value != 0.0)
    }

    /// The largest number in it.
    pub(super) fn max(&self) -> f64 {
        self.samples.iter().map(|(_, value)| *value).filter(|value| value.is_finite()).fold(0.0, f64::max)
    }
}
