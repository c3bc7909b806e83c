//! A picture of the panels, as SVG.

#![allow(clippy::cast_precision_loss, reason = "no count of panels, events or characters has more than 52 bits")]

use std::fmt::Write as _;

use super::panel::{Line, Shown};
use super::run::Run;

/// The size of the picture and of its parts, in pixels.
const WIDTH: f64 = 960.0;
const GAP: f64 = 8.0;
const COLUMNS: usize = 3;
const PANEL: (f64, f64) = ((WIDTH - GAP * (COLUMNS as f64 + 1.0)) / COLUMNS as f64, 153.0);
/// The plot in its panel: its left, top, right and bottom edge.
const PLOT: [f64; 4] = [48.0, 34.0, PANEL.0 - 12.0, 114.0];
const LEGEND: (f64, f64) = (12.0, 132.0);
const ROW: f64 = 13.0;
const LEGEND_ROWS: usize = 2;
/// The average width of a character in the legend.
const CHARACTER: f64 = 5.4;

/// The width of the number of a mark with a space.
const DIGIT: f64 = 9.0;

/// Colors of the lines of a panel that can be told apart on white.
const COLORS: [&str; 8] = ["#3274d9", "#e0752d", "#56a64b", "#e02f44", "#8f3bb8", "#f2b705", "#0e9c9c", "#7a7a7a"];

const STYLE: &str = "text{font:10px system-ui,sans-serif;fill:#555}.title{font-weight:600;font-size:12px;fill:#222}\
    .panel{fill:#fff;stroke:#d8d9da}.grid{stroke:#e4e5e6}.mark{stroke:#999;stroke-dasharray:2 3}.line{fill:none;stroke-width:1.4;stroke-linecap:round}\
    .axis{text-anchor:end}.middle{text-anchor:middle}";

/// A text of an SVG.
struct Svg(String);

/// Draws the panels of a run.
pub(super) fn draw(panels: &[Shown], run: &Run) -> String {
    let duration = panels.iter().flat_map(|panel| panel.lines().into_values()).flat_map(|line| &line.samples);
    let duration = duration.map(|(time, _)| time - run.begin).fold(1.0, f64::max);
    let marks: Vec<_> = run.marks.iter().map(|(time, event)| ((time - run.begin) / duration, *event)).collect();
    // The cell after the panels explains the marks.
    let rows = (panels.len() + 1).div_ceil(COLUMNS);
    let height = GAP + rows as f64 * (PANEL.1 + GAP);
    let mut svg = Svg(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\">\n\
         <title>The panels of colocate's dashboard</title>\n<style>{STYLE}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#f4f5f5\"/>\n"
    ));
    for (index, panel) in panels.iter().enumerate() {
        svg.open(index);
        svg.panel(panel, run.begin, duration, &marks);
        svg.close();
    }
    svg.open(panels.len());
    for (index, (_, event)) in marks.iter().enumerate() {
        svg.text("", LEGEND.0, PLOT[1] + 1.2 * ROW * index as f64, &format!("{}: {event}", index + 1));
    }
    svg.close();
    svg.0 += "</svg>\n";
    svg.0
}

impl Svg {
    fn panel(&mut self, panel: &Shown, begin: f64, duration: f64, marks: &[(f64, &str)]) {
        let [left, top, right, bottom] = PLOT;
        let mut lines: Vec<_> = panel.lines().into_values().collect();
        lines.sort_by(|a, b| b.max().total_cmp(&a.max()));
        let most = round_up(lines.first().map(|line| line.max()).unwrap_or_default());

        self.add(&format!("<rect class=\"panel\" width=\"{:.1}\" height=\"{}\" rx=\"3\"/>", PANEL.0, PANEL.1));
        self.text("title", LEGEND.0, 17.0, &panel.title);
        let shares: &[f64] = if panel.unit == "bool_yes_no" { &[0.0, 1.0] } else { &[0.0, 0.5, 1.0] };
        for share in shares {
            let y = bottom - share * (bottom - top);
            self.add(&format!("<path class=\"grid\" d=\"M{left} {y:.0}H{right:.0}\"/>"));
            self.text("axis", left - 5.0, y + 3.0, &label(share * most, &panel.unit));
        }
        let mut free = 0.0;
        for (index, (share, _)) in marks.iter().enumerate() {
            let x = left + share * (right - left);
            self.add(&format!("<path class=\"mark\" d=\"M{x:.0} {top}V{bottom}\"/>"));
            let x = x.max(free);
            self.text("middle", x, top - 3.0, &(index + 1).to_string());
            free = x + DIGIT;
        }
        for (line, color) in lines.iter().zip(COLORS.iter().cycle()) {
            let point = |(time, value): (f64, f64)| {
                let x = left + (time - begin) / duration * (right - left);
                (x, bottom - (value / most).clamp(0.0, 1.0) * (bottom - top))
            };
            self.add(&format!("<path class=\"line\" stroke=\"{color}\" d=\"{}\"/>", path(line, point)));
        }
        self.legend(&lines);
        self.text("axis", right, bottom + 11.0, &format!("{duration:.0} s"));
    }

    /// Adds as many names as there is room for.
    fn legend(&mut self, lines: &[&Line]) {
        let (mut x, mut row, mut missing) = (LEGEND.0, 0, 0);
        for (line, color) in lines.iter().zip(COLORS.iter().cycle()) {
            let width = 20.0 + CHARACTER * line.name.chars().count() as f64;
            if x > LEGEND.0 && x + width > PLOT[2] {
                (x, row) = (LEGEND.0, row + 1);
            }
            if row >= LEGEND_ROWS {
                missing += 1;
                continue;
            }
            let y = LEGEND.1 + ROW * row as f64;
            self.add(&format!("<path stroke=\"{color}\" stroke-width=\"3\" d=\"M{x:.0} {:.0}h10\"/>", y - 3.0));
            self.text("", x + 14.0, y, &line.name);
            x += width;
        }
        if missing > 0 {
            self.text("axis", PANEL.0 - 12.0, 17.0, &format!("+{missing}"));
        }
    }

    /// Begins the cell with this number, from the left to the right and from the top to the bottom.
    fn open(&mut self, cell: usize) {
        let (column, row) = ((cell % COLUMNS) as f64, (cell / COLUMNS) as f64);
        let (x, y) = (GAP + column * (PANEL.0 + GAP), GAP + row * (PANEL.1 + GAP));
        self.add(&format!("<g transform=\"translate({x:.0} {y:.0})\">"));
    }

    fn close(&mut self) {
        self.add("</g>");
    }

    fn text(&mut self, class: &str, x: f64, y: f64, text: &str) {
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        self.add(&format!("<text{class} x=\"{x:.0}\" y=\"{y:.0}\">{text}</text>"));
    }

    fn add(&mut self, element: &str) {
        self.0 += element;
        self.0.push('\n');
    }
}

/// Returns the path of a line, with a gap where the series has no value. A line of no length is a point.
fn path(line: &Line, point: impl Fn((f64, f64)) -> (f64, f64)) -> String {
    let mut path = String::new();
    let mut before: Option<f64> = None;
    for (time, value) in line.samples.iter().filter(|(_, value)| value.is_finite()) {
        let command = if before.is_some_and(|before| time - before < 1.5) { 'L' } else { 'M' };
        let (x, y) = point((*time, *value));
        let _ = write!(path, "{command}{x:.1} {y:.1}");
        if command == 'M' {
            path += "h0";
        }
        before = Some(*time);
    }
    path
}

/// Returns the smallest of 1, 2 and 5 times a power of ten that is not less than the number.
fn round_up(number: f64) -> f64 {
    if number <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(number.log10().floor());
    [1.0, 2.0, 5.0].map(|factor| factor * power).into_iter().find(|rounded| number <= *rounded).unwrap_or(10.0 * power)
}

/// Returns a number with its unit, as on the axis of a panel.
fn label(number: f64, unit: &str) -> String {
    match unit {
        "bool_yes_no" => if number > 0.0 { "yes" } else { "no" }.to_owned(),
        "s" if number > 0.0 && number < 1.0 => format!("{} ms", short(number * 1000.0)),
        "s" => format!("{} s", short(number)),
        "reqps" => format!("{}/s", short(number)),
        _ => short(number),
    }
}

/// Returns a number with at most two decimals.
fn short(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        for (number, rounded) in [(0.0, 1.0), (0.3, 0.5), (1.0, 1.0), (1.1, 2.0), (21.0, 50.0), (51.0, 100.0)] {
            assert!((round_up(number) - rounded).abs() < 1e-9, "{number}");
        }
        let labels = [(0.025, "s"), (0.0, "s"), (5.0, "s"), (50.0, "reqps"), (0.25, "short"), (1.0, "bool_yes_no")];
        let labels = labels.map(|(number, unit)| label(number, unit));
        assert_eq!(labels, ["25 ms", "0 s", "5 s", "50/s", "0.25", "yes"]);
    }

    #[test]
    fn a_line_has_gaps_where_values_are_missing() {
        let samples = vec![(1.0, 1.0), (2.0, 2.0), (3.0, f64::NAN), (4.0, 1.0), (7.0, 0.0)];
        let line = Line { name: String::new(), samples };
        assert_eq!(path(&line, |point| point), "M1.0 1.0h0L2.0 2.0M4.0 1.0h0M7.0 0.0h0");
    }
}
