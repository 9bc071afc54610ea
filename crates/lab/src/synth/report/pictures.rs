//! The report's pictures as SVG, without a script.

use std::fmt::Write;

use super::privacy::quantile;
use super::projection::{principal, t_sne};
use super::sample::draw;
use super::shapes::sorted;
use super::space::Space;
use super::trends::CorrelationDifference;
use super::{POINTS, Pictures};
use crate::compare::{Chart, Scale, escaped, short};
use crate::synth::table::{Column, Kind, Table};

/// Bars of a histogram of numbers.
const BINS: usize = 24;
/// Words that have a bar of their own.
const WORDS: usize = 8;
/// Columns that are drawn, at most.
const COLUMNS_MAX: usize = 80;

/// The pictures of all rows.
pub fn pictures(real: &Table, synthetic: &Table, seed: u64) -> Pictures {
    let columns = real.columns.iter().zip(&synthetic.columns).take(COLUMNS_MAX);
    let columns = columns.map(|(real, made)| histogram(real, made)).collect();
    let drawn = |table: &Table, purpose: u64| table.select(&draw(table.len(), POINTS, seed, purpose));
    let (one, other) = (drawn(real, 61), drawn(synthetic, 62));
    let principal = principal(&one, &other).map_or(String::new(), |points| {
        let [first, second] = points.explained.map(|share| 100.0 * share);
        let title = format!("Principal components: {first:.0} % and {second:.0} % of the real variance");
        cloud(&title, &points.real, &points.synthetic)
    });
    let space = Space::of(real);
    let mut both = one.clone();
    both.columns.iter_mut().zip(&other.columns).for_each(|(column, more)| column.values.extend(&more.values));
    let points = space.points(&both, &(0..both.len()).collect::<Vec<_>>());
    let places = t_sne(&points.all_by_all(), seed);
    let (real, made) = places.split_at(one.len());
    Pictures { columns, principal, t_sne: cloud("t-SNE: rows that are alike lie together", real, made) }
}

/// The colours, which whatever shows a picture may set. Each has one of its own where nothing does.
const REAL: &str = "var(--real,#0072b2)";
const SYNTHETIC: &str = "var(--synthetic,#d55e00)";
const INK: &str = "var(--ink,#1f2328)";
const QUIET: &str = "var(--quiet,var(--ink,#59636e))";

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 340.0;

/// Two clouds of points in one frame. What lies beyond 99 % of either is drawn at the frame.
fn cloud(title: &str, real: &[[f64; 2]], synthetic: &[[f64; 2]]) -> String {
    let ends = |axis: usize| {
        let of = |points: &[[f64; 2]], share: f64| {
            quantile(&points.iter().map(|p| p[axis]).collect::<Vec<_>>(), share)
        };
        let low = of(real, 0.005).min(of(synthetic, 0.005));
        let high = of(real, 0.995).max(of(synthetic, 0.995));
        let margin = 0.04 * (high - low).max(1e-12);
        (low - margin, high + margin)
    };
    let (across, up) = (ends(0), ends(1));
    let place = |[x, y]: &[f64; 2]| {
        let share = |value: f64, (low, high): (f64, f64)| ((value - low) / (high - low)).clamp(0.0, 1.0);
        (8.0 + share(*x, across) * (WIDTH - 16.0), HEIGHT - 8.0 - share(*y, up) * (HEIGHT - 40.0))
    };
    let mut body = heading(8, 16, title);
    for (points, colour) in [(real, REAL), (synthetic, SYNTHETIC)] {
        // One path of dots is a tenth of as many circles.
        let dots: String = points.iter().map(place).fold(String::new(), |mut path, (x, y)| {
            write!(path, "M{x:.1},{y:.1}h0").expect("text can be written to");
            path
        });
        write!(body, "<path style=\"stroke:{colour};{CLOUD}\" d=\"{dots}\"/>")
            .expect("text can be written to");
    }
    drawing(WIDTH, HEIGHT, title, &body)
}

/// How a cloud is drawn: each point is a line without a length, whose round ends make a dot.
const CLOUD: &str = "fill:none;stroke-width:3.6;stroke-linecap:round;stroke-opacity:.55";

fn drawing(width: f64, height: f64, described: &str, body: &str) -> String {
    format!(
        "<svg viewBox=\"0 0 {width} {height}\" role=\"img\"><title>{}</title>{body}</svg>\n",
        escaped(described)
    )
}

/// What a picture is called, within it.
fn heading(x: u32, y: u32, words: &str) -> String {
    let style = format!("fill:{INK};font-size:13px;font-weight:600");
    format!("<text style=\"{style}\" x=\"{x}\" y=\"{y}\">{}</text>", escaped(words))
}

/// Shares of rows by value: real as bars, synthetic as a line of steps over them.
fn histogram(real: &Column, made: &Column) -> String {
    let (shares, labels) = if real.kind.is_discrete() { by_word(real, made) } else { by_bin(real, made) };
    let (width, height) = (300.0, 150.0);
    let mut body = heading(6, 15, &real.name);
    body += &bars(&shares, width);
    labels.iter().for_each(|(share, label)| body += &label_at(6.0 + share * (width - 12.0), *share, label));
    drawing(width, height, &format!("Shares of {}, real and synthetic", real.name), &body)
}

/// Where the bars of a histogram stand, and how high the highest reaches.
const GROUND: f64 = 130.0;
const TOP: f64 = 26.0;

/// Real shares as bars, synthetic ones as steps.
fn bars(shares: &[[f64; 2]], width: f64) -> String {
    let highest = shares.iter().flatten().copied().fold(1e-9, f64::max);
    let bar = (width - 12.0) / shares.len().max(1) as f64;
    let rise = |share: f64| (GROUND - TOP) * share / highest;
    let mut body = format!("<g style=\"fill:{REAL};fill-opacity:.45;stroke:none\">");
    let mut steps = String::new();
    for (at, [known, new]) in shares.iter().enumerate() {
        let (left, tall, line) = (6.0 + at as f64 * bar, rise(*known), GROUND - rise(*new));
        let (inner, top) = ((bar - 1.0).max(0.5), GROUND - tall);
        write!(body, "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{inner:.1}\" height=\"{tall:.1}\"/>")
            .expect("text can be written to");
        let joint = if at == 0 { 'M' } else { 'L' };
        write!(steps, "{joint}{left:.1},{line:.1}L{:.1},{line:.1}", left + bar)
            .expect("text can be written to");
    }
    body + "</g>" + &format!("<path style=\"fill:none;stroke:{SYNTHETIC};stroke-width:1.8\" d=\"{steps}\"/>")
}

/// Words under the bars, `share` of the way along them.
fn label_at(x: f64, share: f64, label: &str) -> String {
    let anchor = match share {
        share if share < 0.02 => "start",
        share if share > 0.98 => "end",
        _ => "middle",
    };
    let (y, style) = (GROUND + 14.0, format!("fill:{QUIET};font-size:11px"));
    format!(
        "<text style=\"{style}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>",
        escaped(label)
    )
}

type Bars = (Vec<[f64; 2]>, Vec<(f64, String)>);

/// Between the first and the last half percent of the real values; what lies beyond is in the outer bars.
fn by_bin(real: &Column, made: &Column) -> Bars {
    let known = sorted(&real.values);
    let (low, high) = (quantile(&known, 0.005), quantile(&known, 0.995));
    if known.is_empty() {
        return (Vec::new(), vec![(0.0, "no value".to_string())]);
    }
    // Few whole numbers, as weekdays, have a bar each.
    let is_whole = known.iter().all(|value| value.fract() == 0.0) && high - low < BINS as f64;
    let bins = if is_whole { (high - low) as usize + 1 } else { BINS };
    let width = if is_whole { bins as f64 } else { (high - low).max(1e-9 * high.abs().max(1e-9)) };
    let mut shares = vec![[0.0; 2]; bins];
    for (at, column) in [real, made].into_iter().enumerate() {
        let values = column.values.iter().filter(|value| !value.is_nan());
        let count = values.clone().count().max(1) as f64;
        for value in values {
            let bin = ((value - low) / width * bins as f64).clamp(0.0, (bins - 1) as f64) as usize;
            shares[bin][at] += 1.0 / count;
        }
    }
    (shares, vec![(0.0, short(low)), (1.0, short(high))])
}

/// The most frequent real words, and the rest together.
fn by_word(real: &Column, made: &Column) -> Bars {
    let words = real.words.len().max(2);
    let mut counts = vec![[0.0; 2]; words];
    for (at, column) in [real, made].into_iter().enumerate() {
        for value in column.values.iter().filter(|value| !value.is_nan()) {
            counts[*value as usize][at] += 1.0 / column.values.len() as f64;
        }
    }
    let mut order: Vec<usize> = (0..words).collect();
    if real.kind == Kind::Category {
        order.sort_by(|a, b| counts[*b][0].total_cmp(&counts[*a][0]).then(a.cmp(b)));
    }
    let mut shares: Vec<[f64; 2]> = order.iter().take(WORDS).map(|word| counts[*word]).collect();
    let name = |word: usize| real.words.get(word).cloned().unwrap_or_else(|| word.to_string());
    let mut names: Vec<String> = order.iter().take(WORDS).map(|word| name(*word)).collect();
    if words > WORDS {
        let rest = |at: usize| order[WORDS..].iter().map(|word| counts[*word][at]).sum();
        shares.push([rest(0), rest(1)]);
        names.push("others".to_string());
    }
    let room = 40 / names.len().max(1);
    let clipped = |name: &String| name.chars().take(room.max(3)).collect::<String>();
    let count = names.len() as f64;
    let labels = names.iter().enumerate().map(|(at, name)| ((at as f64 + 0.5) / count, clipped(name)));
    (shares, labels.collect())
}

/// Differences of correlations as a square of tiles, of one colour where synthetic columns go together more, of another where
/// less.
pub fn heat_map(difference: &CorrelationDifference) -> String {
    let count = difference.columns.len();
    if count < 2 {
        return String::new();
    }
    let longest = difference.columns.iter().map(|name| name.chars().count()).max().unwrap_or(0).min(18);
    let (left, top) = (14.0 + 6.3 * longest as f64, 30.0);
    let tile = ((WIDTH - left - 6.0) / count as f64).clamp(5.0, 40.0);
    let width = (left + tile * count as f64 + 6.0).max(WIDTH);
    let height = top + tile * count as f64 + 12.0 + 6.3 * longest as f64;
    let mut body =
        "<text class=\"title\" x=\"6\" y=\"16\">Correlations: synthetic minus real</text>".to_string();
    for (row, differences) in difference.differences.iter().enumerate() {
        let y = top + tile * row as f64;
        for (column, value) in differences.iter().enumerate().filter(|(column, _)| *column != row) {
            let x = left + tile * column as f64;
            let (colour, strength) = if value.is_nan() {
                ("c5", 0.15)
            } else {
                (if *value > 0.0 { "c1" } else { "c0" }, value.abs().min(1.0))
            };
            write!(
                body,
                "<rect class=\"bar {colour} heat\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{0:.1}\" height=\"{0:.1}\" fill-opacity=\"{strength:.2}\">\
                 <title>{1}, {2}: {value:+.3}</title></rect>",
                tile - 0.6,
                escaped(&difference.columns[row]),
                escaped(&difference.columns[column])
            )
            .expect("text can be written to");
        }
        let name: String = difference.columns[row].chars().take(18).collect();
        let (name, middle) = (escaped(&name), tile / 2.0 + 4.0);
        let (across, below) = (left + tile * row as f64 + middle - 1.0, top + tile * count as f64 + 8.0);
        write!(
            body,
            "<text class=\"quiet\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text><text class=\"quiet\" text-anchor=\"end\" \
             transform=\"translate({across:.1} {below:.1}) rotate(-90)\">{name}</text>",
            left - 5.0,
            y + middle
        )
        .expect("text can be written to");
    }
    drawing(width, height, "Differences of correlations by pairs of columns", &body)
}

/// Shares of values at or below, one curve each, over powers of ten.
pub fn cumulative(title: &str, axis: &str, curves: &[(&[f64], usize, bool)]) -> String {
    let all = || curves.iter().flat_map(|(values, ..)| values.iter()).copied().filter(|value| *value > 0.0);
    let (low, high) =
        all().fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    if low > high {
        return String::new();
    }
    let scale = Scale::log(low.max(high * 1e-6), high);
    let mut chart = Chart::new(title, (axis, scale), ("share of rows at or below", Scale::SHARE));
    for (values, colour, is_broken) in curves {
        let points: Vec<(f64, f64)> = (0..=200)
            .map(|step| f64::from(step) / 200.0)
            .map(|share| (quantile(values, share), share))
            .collect();
        chart.curve(&points, *colour, *is_broken);
    }
    chart.svg(title)
}
