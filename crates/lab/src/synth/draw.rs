//! A training as a page: losses, and made rows beside real ones. It loads itself anew while the training goes on.

use super::fit::{History, Progress};
use super::table::{Column, Table};
use crate::compare::{Chart, STYLE, Scale, escaped};

/// Columns that are drawn.
const COLUMNS: usize = 24;
const BARS: usize = 24;
/// Seconds after which an open page looks again.
const REFRESH_S: u32 = 3;

/// The page. `title` says what is trained; `is_done` ends the looking again.
pub fn page(title: &str, progress: &Progress, columns: &str, is_done: bool) -> String {
    let refresh = if is_done {
        String::new()
    } else {
        format!("<meta http-equiv=\"refresh\" content=\"{REFRESH_S}\">")
    };
    let history = progress.history;
    let best = history.best().map_or(String::new(), |(epoch, distance)| {
        format!(", nearest after epoch {epoch}: boosted trees tell made from real with {:.3} (0 not at all, 1 always)", distance)
    });
    let state = if is_done { "trained" } else { "in training" };
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">{refresh}<title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><style>{STYLE}</style></head><body>\n\
         <h1>{title}</h1><p class=\"quiet\">{state}: {} of {} epochs, {} steps{best}</p>\n\
         <div class=\"grid-of\">{}{}</div>\n<h2>Columns, real and made</h2>\n\
         <p class=\"legend\"><span><i class=\"key c0\"></i>real, held out</span><span><i class=\"key c1\"></i>made</span></p>\n\
         <div class=\"grid-of\">{columns}</div></body></html>\n",
        progress.epochs.0,
        progress.epochs.1,
        progress.steps.0,
        distances(history),
        losses(history),
        title = escaped(title),
    )
}

fn card(svg: &str) -> String {
    format!("<div class=\"card\">{svg}</div>\n")
}

fn distances(history: &History) -> String {
    let epochs = history.losses.len().max(1) as f64;
    let mut chart = Chart::new(
        "How well made rows are told from real ones",
        ("epoch", Scale::up_to(epochs)),
        ("", Scale::SHARE),
    );
    let points: Vec<(f64, f64)> =
        history.distances.iter().map(|(epoch, distance)| (*epoch as f64, *distance)).collect();
    chart.curve(&points, 0, false);
    chart.dots(&points, 0);
    card(&chart.svg("distance by epoch"))
}

fn losses(history: &History) -> String {
    let of: [(&str, fn(&super::Losses) -> f32); 5] = [
        ("critic", |losses| losses.critic),
        ("generator", |losses| losses.generator),
        ("penalty", |losses| losses.penalty),
        ("condition", |losses| losses.condition),
        ("information", |losses| losses.information),
    ];
    let used: Vec<_> =
        of.iter().filter(|(_, of)| history.losses.iter().any(|losses| of(losses) != 0.0)).collect();
    let most =
        history.losses.iter().flat_map(|losses| used.iter().map(move |(_, of)| f64::from(of(losses).abs())));
    let most = most.filter(|size| size.is_finite()).fold(0.1, f64::max);
    let epochs = Scale::up_to(history.losses.len().max(1) as f64);
    let mut chart = Chart::new("Losses (size)", ("epoch", epochs), ("", Scale::up_to(most)));
    let mut legend = String::new();
    for (colour, (name, of)) in used.iter().enumerate() {
        let points: Vec<(f64, f64)> = history
            .losses
            .iter()
            .enumerate()
            .map(|(epoch, losses)| (epoch as f64 + 1.0, f64::from(of(losses).abs())))
            .collect();
        chart.curve(&points, colour, false);
        legend += &format!("<span><i class=\"key c{colour}\"></i>{name}</span>");
    }
    card(&format!("{}<div class=\"legend\">{legend}</div>", chart.svg("losses by epoch")))
}

/// Histograms of the first columns of two tables, as cards.
pub fn columns(made: &Table, real: &Table) -> String {
    let comparable = made
        .columns
        .iter()
        .zip(&real.columns)
        .filter(|(made, _)| made.kind.is_continuous() || made.kind.is_discrete());
    comparable.take(COLUMNS).map(|(made, real)| card(&column(made, real))).collect()
}

fn column(made: &Column, real: &Column) -> String {
    let (low, high) = span(real);
    let heights = [shares(real, low, high), shares(made, low, high)];
    let most = heights.iter().flatten().copied().fold(0.01, f64::max);
    let mut chart =
        Chart::new(&real.name, ("", Scale::between(low, high)), ("share of rows", Scale::up_to(most)));
    let width = (high - low) / BARS as f64;
    for (colour, heights) in heights.iter().enumerate() {
        let points: Vec<(f64, f64)> = heights
            .iter()
            .enumerate()
            .flat_map(|(at, height)| {
                [(low + at as f64 * width, *height), (low + (at + 1) as f64 * width, *height)]
            })
            .collect();
        chart.curve(&points, colour, colour == 1);
    }
    chart.svg(&format!("{}: real and made", real.name))
}

/// From the first to the last hundredth, so that tails do not flatten the rest.
fn span(column: &Column) -> (f64, f64) {
    let mut known: Vec<f64> = column.values.iter().copied().filter(|value| !value.is_nan()).collect();
    known.sort_unstable_by(f64::total_cmp);
    let at =
        |share: f64| known.get(((known.len().max(1) - 1) as f64 * share) as usize).copied().unwrap_or(0.0);
    let (low, high) = (at(0.01), at(0.99));
    if high > low { (low, high) } else { (low - 0.5, low + 0.5) }
}

fn shares(column: &Column, low: f64, high: f64) -> Vec<f64> {
    let mut counts = vec![0.0; BARS];
    for value in column.values.iter().filter(|value| !value.is_nan()) {
        let at = ((value - low) / (high - low) * BARS as f64).clamp(0.0, BARS as f64 - 1.0) as usize;
        counts[at] += 1.0 / column.values.len() as f64;
    }
    counts
}
