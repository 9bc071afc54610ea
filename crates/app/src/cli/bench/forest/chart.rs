//! Bars on a logarithmic scale, written as SVG by hand: a group for each size of batch, a bar for each engine.

use std::fmt::Write;

use super::measure::{BATCHES, Timing};
use super::{Figures, ModelFigures};

const WIDTH: f64 = 860.0;
/// Where bars begin: to the left are names.
const LEFT: f64 = 210.0;
/// Where the longest bar ends: to the right are values.
const RIGHT: f64 = 720.0;
const BAR: f64 = 20.0;
const GAP: f64 = 30.0;

/// Light, and dark where the reader's system is.
const STYLE: &str = "\
svg{font:13px system-ui,sans-serif;background:#fff}text{fill:#1f2328}.quiet{fill:#656d76}.title{font-size:16px;font-weight:600}\
.group{font-weight:600}.value{font-variant-numeric:tabular-nums}.ours{fill:#cf222e}.theirs{fill:#8c959f}line{stroke:#d8dee4}\
@media(prefers-color-scheme:dark){svg{background:#0d1117}text{fill:#e6edf3}.quiet{fill:#8d96a0}.ours{fill:#f85149}\
.theirs{fill:#6e7681}line{stroke:#30363d}}";

/// Draws the figures.
pub fn svg(figures: &Figures) -> String {
    let mut chart = Chart { body: String::new(), y: 30.0 };
    for model in &figures.models {
        chart.model(model);
    }
    chart.text(16.0, "quiet", &format!("One thread, median of {}. {}", figures.repetitions, figures.machine));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\"><title>Microseconds to score a row</title><style>{STYLE}</style>\n{}</svg>\n",
        chart.body,
        height = chart.y + 20.0,
    )
}

struct Chart {
    body: String,
    y: f64,
}

/// From microseconds to a place on the drawing.
struct Scale {
    /// Powers of ten at either end.
    low: f64,
    high: f64,
}

impl Scale {
    fn of(timings: &[Timing]) -> Scale {
        let medians = || timings.iter().map(|timing| timing.us_per_row.median.max(1e-6).log10());
        // A decade below the quickest, so that its bar is more than a line.
        let low = medians().fold(f64::INFINITY, f64::min) - 0.5;
        Scale { low: low.floor(), high: medians().fold(f64::NEG_INFINITY, f64::max).ceil() }
    }

    fn x(&self, us: f64) -> f64 {
        let share = (us.max(1e-6).log10() - self.low) / (self.high - self.low).max(1.0);
        LEFT + share * (RIGHT - LEFT)
    }
}

impl Chart {
    fn model(&mut self, model: &ModelFigures) {
        let title = format!(
            "{}: {} trees, depth {}, {} features",
            model.library, model.trees, model.depth, model.features
        );
        self.text(16.0, "title", &title);
        self.y += 20.0;
        self.text(16.0, "quiet", "microseconds a row, on a logarithmic scale; shorter is quicker");
        let scale = Scale::of(&model.timings);
        let (top, at) = (self.y + 8.0, self.body.len());
        for batch in BATCHES {
            self.group(model, batch, &scale);
        }
        // Lines belong behind bars: they are written before them, once it is known how far down they go.
        let lines = grid(&scale, top, self.y + 12.0);
        self.body.insert_str(at, &lines);
        self.y += 62.0;
    }

    fn group(&mut self, model: &ModelFigures, batch: usize, scale: &Scale) {
        self.y += GAP;
        let name = if batch == 1 { "one row".to_owned() } else { format!("batches of {}", grouped(batch)) };
        self.text(16.0, "group", &name);
        self.y += 6.0;
        for timing in model.timings.iter().filter(|timing| timing.rows_per_call == batch) {
            self.y += BAR;
            self.bar(timing, scale);
        }
    }

    fn bar(&mut self, timing: &Timing, scale: &Scale) {
        let us = timing.us_per_row.median;
        let (end, top) = (scale.x(us), self.y - BAR + 7.0);
        let class = if timing.engine.starts_with("redflag") { "ours" } else { "theirs" };
        self.text(16.0, "name", &timing.engine);
        writeln!(
            self.body,
            "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{}\"/>",
            (end - LEFT).max(1.0),
            BAR - 5.0,
        )
        .expect("text can be written to");
        let ratio = timing.times_redflag;
        let ratio = if ratio > 1.0 { format!("  ({ratio:.1} x)") } else { String::new() };
        self.text(end + 6.0, "value", &format!("{us:.3}{ratio}"));
    }

    fn text(&mut self, x: f64, class: &str, text: &str) {
        let (y, text) = (self.y, escaped(text));
        writeln!(self.body, "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\">{text}</text>")
            .expect("text can be written to");
    }
}

/// A line for each power of ten, with its name below.
fn grid(scale: &Scale, top: f64, bottom: f64) -> String {
    let mut lines = String::new();
    for power in scale.low as i32..=scale.high as i32 {
        let us = 10f64.powi(power);
        let x = scale.x(us);
        writeln!(
            lines,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top:.1}\" y2=\"{bottom:.1}\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" class=\"quiet\" text-anchor=\"middle\">{us}</text>",
            bottom + 16.0
        )
        .expect("text can be written to");
    }
    lines
}

/// A number with commas between thousands.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let comma = |(at, digit): (usize, char)| {
        let before = at > 0 && (digits.len() - at).is_multiple_of(3);
        before.then_some(',').into_iter().chain([digit])
    };
    digits.chars().enumerate().flat_map(comma).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
