//! The comparison as one HTML file: no script, no request, light and dark as the reader's system is.

use std::fmt::Write;

use engine::time::{DAY_US, format_instant};

use super::chart::{Chart, Scale, escaped, short, standalone};
use super::{BINS, Comparison, CostPoint, Entry};
use crate::evaluate::metrics::CurvePoint;
use crate::evaluate::report::ConfusionFigures;

/// Colours that differ by lightness as well as by hue, after Okabe and Ito, "Color universal design", 2008.
pub(crate) const STYLE: &str = "\
:root{--ink:#1f2328;--quiet:#59636e;--ground:#fff;--card:#f6f8fa;--line:#d1d9e0;--good:#1a7f37;--warn:#9a6700;\
--c0:#0072b2;--c1:#d55e00;--c2:#009e73;--c3:#b0468c;--c4:#a67c00;--c5:#3a3a3a;--c6:#4aa3d9}\
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--quiet:#9198a1;--ground:#0d1117;--card:#151b23;--line:#3d444d;\
--good:#3fb950;--warn:#d29922;--c0:#58a6ff;--c1:#ff8c42;--c2:#3fd0a0;--c3:#e08acb;--c4:#e3b341;--c5:#c9d1d9;--c6:#7fd3ff}}\
*{box-sizing:border-box}body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--ground);margin:0 auto;\
padding:24px;max-width:1440px}h1{font-size:26px;margin:0 0 4px}h2{font-size:19px;margin:32px 0 10px}h3{font-size:15px;margin:0 0 8px}\
p{margin:4px 0;max-width:80ch}.quiet{color:var(--quiet)}.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}\
th,td{padding:5px 8px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}th{color:var(--quiet);font-weight:500;white-space:normal;max-width:11ch;vertical-align:bottom}\
th:first-child,td:first-child,th:nth-child(2),td:nth-child(2){text-align:left}.best{color:var(--good);font-weight:600}\
.warn{border:1px solid var(--warn);border-left-width:5px;border-radius:6px;padding:10px 16px;margin:16px 0}\
.grid-of{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(420px,100%),1fr));gap:16px}\
.card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:14px}svg{width:100%;height:auto;display:block}\
svg text{fill:var(--ink);font-size:11px}svg .title{font-size:13px;font-weight:600}svg .quiet{fill:var(--quiet)}\
.grid{stroke:var(--line);stroke-width:1}.quiet-line{stroke:var(--quiet);stroke-dasharray:3 4}.curve{fill:none;stroke-width:1.8}\
.broken{stroke-dasharray:6 4}.legend{display:flex;flex-wrap:wrap;gap:6px 20px;margin:8px 0 14px;font-size:13px}\
.key{display:inline-block;width:22px;height:0;border-top:3px solid;margin-right:6px;vertical-align:middle}.key.broken{border-top-style:dashed}\
details{margin:10px 0}summary{cursor:pointer;font-weight:600;padding:6px 0}.matrix td,.matrix th{text-align:right!important}\
.bars{display:grid;grid-template-columns:max-content 1fr max-content;gap:3px 10px;font-size:13px;align-items:center}\
.bars i{display:block;height:12px;border-radius:2px;background:var(--c0)}\
.c0{stroke:var(--c0)}.c1{stroke:var(--c1)}.c2{stroke:var(--c2)}.c3{stroke:var(--c3)}.c4{stroke:var(--c4)}.c5{stroke:var(--c5)}.c6{stroke:var(--c6)}\
.bar.c0,.dot.c0{fill:var(--c0);stroke:none}.bar.c1,.dot.c1{fill:var(--c1);stroke:none}.dot.c2{fill:var(--c2);stroke:none}.dot.c3{fill:var(--c3);stroke:none}.key.c0{border-color:var(--c0)}\
.key.c1{border-color:var(--c1)}.key.c2{border-color:var(--c2)}.key.c3{border-color:var(--c3)}.key.c4{border-color:var(--c4)}\
.key.c5{border-color:var(--c5)}.key.c6{border-color:var(--c6)}";

const COLOURS: usize = 7;

/// The page.
pub fn page(comparison: &Comparison) -> String {
    let mut page = String::new();
    let title = format!("{}: models side by side", escaped(&comparison.detector));
    page += &format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><style>{STYLE}</style></head><body>\n\
         <h1>{title}</h1>\n"
    );
    page += &about(comparison);
    page += &warnings(comparison);
    page += &summary(comparison);
    page += &overview(comparison);
    page += "<h2>One by one</h2>\n";
    for (number, entry) in comparison.entries.iter().enumerate() {
        page += &one(entry, number == best(&comparison.entries));
    }
    page += &footer(comparison);
    page + "</body></html>\n"
}

/// The pictures as SVG files, by name: those of all models, then those of each.
pub fn drawings(comparison: &Comparison) -> Vec<(String, String)> {
    let mut drawn = vec![
        ("precision_recall".to_string(), precision_recall(&comparison.entries)),
        ("roc".to_string(), roc(&comparison.entries)),
        ("cost".to_string(), costs(comparison)),
    ];
    for entry in &comparison.entries {
        drawn.push((format!("scores_{}", entry.model), histogram(entry)));
        drawn.push((format!("calibration_{}", entry.model), calibration(entry)));
    }
    let named = |(name, svg): (String, String)| (format!("{name}.svg"), standalone(&svg, STYLE));
    drawn.into_iter().filter(|(_, svg)| !svg.is_empty()).map(named).collect()
}

fn about(comparison: &Comparison) -> String {
    let Comparison { split, train, test, .. } = comparison;
    let days = |from: i64, to: i64| (to - from) as f64 / DAY_US as f64;
    let part = |name: &str, period: &std::ops::Range<i64>, [rows, frauds]: [usize; 2]| {
        format!(
            "<p><b>{name}</b> {} to {} ({} days): {rows} transactions, {frauds} frauds ({:.3} %)</p>\n",
            day(period.start),
            day(period.end),
            short(days(period.start, period.end)),
            100.0 * frauds as f64 / rows.max(1) as f64
        )
    };
    let gap = days(split.train.end, split.test.start);
    format!(
        "<p class=\"quiet\">{} · detector {} · features {} · rows {}</p>\n{}<p><b>Gap</b> {} days, in which the labels of \
         the training become known</p>\n{}",
        escaped(&comparison.data),
        escaped(&comparison.detector),
        escaped(&comparison.feature_fingerprint),
        comparison.data_fingerprint,
        part("Training", &split.train, *train),
        short(gap),
        part("Test", &split.test, *test)
    )
}

/// 2018-04-01, or with the time of day if it is not midnight.
fn day(time_us: i64) -> String {
    let instant = format_instant(time_us);
    instant.strip_suffix("T00:00:00Z").unwrap_or(&instant).to_string()
}

fn warnings(comparison: &Comparison) -> String {
    let mut lines: Vec<String> = comparison.leaks.iter().map(ToString::to_string).collect();
    let precision = |entry: &Entry| entry.evaluation.average_precision;
    let highest = comparison.entries.iter().map(precision).fold(0.0, f64::max);
    if highest > 0.9 {
        lines.push(format!(
            "an average precision of {highest:.3} on transactions as they come in is a leak until shown otherwise"
        ));
    }
    lines.extend(comparison.absent.iter().map(|why| format!("not here: {why}")));
    let said: String = lines.iter().map(|line| format!("<p>{}</p>", marked(line))).collect();
    if lines.is_empty() { String::new() } else { format!("<div class=\"warn\" role=\"note\">{said}</div>\n") }
}

/// Names between backticks are code.
fn marked(line: &str) -> String {
    let parts = escaped(line);
    let mut marked = String::new();
    for (number, part) in parts.split('`').enumerate() {
        marked += &if number % 2 == 1 { format!("<code>{part}</code>") } else { part.to_string() };
    }
    marked
}

fn best(entries: &[Entry]) -> usize {
    let precision = |at: &usize| entries[*at].evaluation.average_precision;
    (0..entries.len()).max_by(|a, b| precision(a).total_cmp(&precision(b))).unwrap_or(0)
}

/// A column of the table: its name, whether more is better, and the figure.
type Column = (&'static str, Option<bool>, fn(&Entry) -> Option<f64>);

const TABLE: [Column; 13] = [
    ("average precision", Some(true), |entry| Some(entry.evaluation.average_precision)),
    ("AUC ROC", Some(true), |entry| Some(entry.evaluation.auc_roc)),
    ("card precision@100", Some(true), |entry| entry.evaluation.card_precision_at_100),
    ("recall at FPR 0.1 %", Some(true), |entry| Some(entry.evaluation.recall_at_fpr_0_001)),
    ("at 1 %", Some(true), |entry| Some(entry.evaluation.recall_at_fpr_0_01)),
    ("at 5 %", Some(true), |entry| Some(entry.evaluation.recall_at_fpr_0_05)),
    ("precision at recall 99 %", Some(true), |entry| Some(entry.evaluation.precision_at_recall_0_99)),
    ("best F1", Some(true), |entry| Some(entry.evaluation.best_f1)),
    ("Brier", Some(false), |entry| Some(entry.evaluation.brier)),
    ("calibration error", Some(false), |entry| Some(entry.calibration_error)),
    ("least cost a day", Some(false), |entry| entry.cheapest.map(|cheapest| cheapest.cost_per_day)),
    ("training, s", Some(false), |entry| Some(entry.growing_s)),
    ("scoring, µs a row", Some(false), |entry| Some(entry.score_us)),
];

fn summary(comparison: &Comparison) -> String {
    let entries = &comparison.entries;
    let shown: Vec<&Column> =
        TABLE.iter().filter(|(_, _, figure)| entries.iter().any(|entry| figure(entry).is_some())).collect();
    let heads: String = shown.iter().map(|(name, ..)| format!("<th scope=\"col\">{name}</th>")).collect();
    let mut rows = String::new();
    for entry in entries {
        let (family, balance) = (escaped(&entry.family), escaped(&entry.balance));
        write!(rows, "<tr><td>{family}</td><td>{balance}</td>").expect("text can be written to");
        for (_, more_is_better, figure) in &shown {
            rows += &cell(figure(entry), entries, *more_is_better, *figure);
        }
        rows += "</tr>\n";
    }
    let ceiling = entries.iter().find_map(|entry| entry.evaluation.card_precision_at_100_ceiling);
    let ceiling = ceiling.map_or(String::new(), |ceiling| {
        format!("<p class=\"quiet\">Card precision@100 of a perfect ranking: {ceiling:.3}.</p>\n")
    });
    format!(
        "<h2>Figures of the test</h2>\n<div class=\"scroll\"><table><thead><tr><th scope=\"col\">family</th>\
         <th scope=\"col\">classes</th>{heads}</tr></thead><tbody>\n{rows}</tbody></table></div>\n{ceiling}"
    )
}

fn cell(
    value: Option<f64>,
    entries: &[Entry],
    more_is_better: Option<bool>,
    figure: fn(&Entry) -> Option<f64>,
) -> String {
    let Some(value) = value else { return "<td></td>".to_string() };
    let all = || entries.iter().filter_map(figure);
    let is_best = match more_is_better {
        Some(true) => all().all(|other| other <= value),
        Some(false) => all().all(|other| other >= value),
        None => false,
    };
    let class = if is_best { " class=\"best\"" } else { "" };
    format!("<td{class}>{}</td>", figure_text(value))
}

fn figure_text(value: f64) -> String {
    match value.abs() {
        size if size >= 1_000.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size < 0.01 && size > 0.0 => format!("{value:.5}"),
        _ => format!("{value:.4}"),
    }
}

/// The colour of a family, and whether its curve is broken: the second balance of a family is.
fn look(entries: &[Entry], at: usize) -> (usize, bool) {
    let mut families: Vec<&str> = Vec::new();
    for entry in entries {
        if !families.contains(&entry.family.as_str()) {
            families.push(&entry.family);
        }
    }
    let family = families.iter().position(|family| *family == entries[at].family).unwrap_or(0);
    let is_later = entries[..at].iter().any(|earlier| earlier.family == entries[at].family);
    (family % COLOURS, is_later)
}

fn overview(comparison: &Comparison) -> String {
    let entries = &comparison.entries;
    let mut legend = String::new();
    for (at, entry) in entries.iter().enumerate() {
        let (colour, is_broken) = look(entries, at);
        let broken = if is_broken { " broken" } else { "" };
        let name = escaped(&format!("{}, {}", entry.family, entry.balance));
        write!(legend, "<span><i class=\"key c{colour}{broken}\"></i>{name}</span>")
            .expect("text can be written to");
    }
    let drawn = [precision_recall(entries), roc(entries), costs(comparison), times(entries)];
    let cards: String = drawn
        .iter()
        .filter(|svg| !svg.is_empty())
        .map(|svg| format!("<div class=\"card\">{svg}</div>"))
        .collect();
    format!(
        "<h2>Side by side</h2>\n<div class=\"legend\">{legend}</div>\n<div class=\"grid-of\">{cards}</div>\n"
    )
}

fn precision_recall(entries: &[Entry]) -> String {
    let mut chart = Chart::new("Precision and recall", ("recall", Scale::SHARE), ("precision", Scale::SHARE));
    for (at, entry) in entries.iter().enumerate() {
        let (colour, is_broken) = look(entries, at);
        chart.curve(&points(&entry.pictures.precision_recall), colour, is_broken);
    }
    chart.svg("Precision over recall of every model")
}

fn roc(entries: &[Entry]) -> String {
    let x = ("false-positive rate", Scale::log(1e-4, 1.0));
    let mut chart = Chart::new("ROC", x, ("recall", Scale::SHARE));
    for (at, entry) in entries.iter().enumerate() {
        let (colour, is_broken) = look(entries, at);
        chart.curve(&points(&entry.pictures.roc), colour, is_broken);
    }
    chart.svg("Recall over the false-positive rate of every model")
}

fn points(curve: &[CurvePoint]) -> Vec<(f64, f64)> {
    curve.iter().map(|point| (point.x, point.y)).collect()
}

fn costs(comparison: &Comparison) -> String {
    let entries = &comparison.entries;
    let all = || entries.iter().flat_map(|entry| &entry.pictures.costs);
    let most = |of: fn(&CostPoint) -> f64| all().map(of).fold(0.0, f64::max);
    if all().next().is_none() {
        return String::new();
    }
    let x = Scale::up_to(most(|point| point.reviews_per_day));
    let y = Scale::up_to(most(|point| point.cost_per_day));
    let title = format!("Cost a day by reviews a day, {}", comparison.currency);
    let mut chart = Chart::new(&title, ("reviews a day", x), ("cost", y));
    for (at, entry) in entries.iter().enumerate() {
        let (colour, is_broken) = look(entries, at);
        let curve: Vec<(f64, f64)> =
            entry.pictures.costs.iter().map(|point| (point.reviews_per_day, point.cost_per_day)).collect();
        chart.curve(&curve, colour, is_broken);
    }
    chart.svg("Cost of reviews and of frauds that pass, over the reviews a day")
}

fn times(entries: &[Entry]) -> String {
    let longest = entries.iter().map(|entry| entry.growing_s).fold(0.0, f64::max);
    let bars = entries.iter().map(|entry| {
        (format!("{}, {}", entry.family, entry.balance), entry.growing_s, format!("{:.1} s", entry.growing_s))
    });
    format!("<h3>Training time</h3>{}", bar_list(bars, longest))
}

/// Bars with a name to the left and a figure to the right.
fn bar_list(bars: impl Iterator<Item = (String, f64, String)>, longest: f64) -> String {
    let bar = |(name, length, figure): (String, f64, String)| {
        let share = 100.0 * (length / longest.max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
        format!(
            "<span>{}</span><i style=\"width:{share:.1}%\"></i><span class=\"quiet\">{figure}</span>",
            escaped(&name)
        )
    };
    format!("<div class=\"bars\">{}</div>", bars.map(bar).collect::<String>())
}

fn one(entry: &Entry, is_open: bool) -> String {
    let open = if is_open { " open" } else { "" };
    let evaluation = &entry.evaluation;
    let title = escaped(&format!("{}, {}", entry.family, entry.balance));
    let cards = [
        matrix("Confusion at score 0.5", &evaluation.confusion_at_0_5),
        matrix(
            &format!("Confusion at the best F1, score {}", short(evaluation.best_f1_threshold)),
            &evaluation.confusion_at_best_f1,
        ),
        histogram(entry),
        calibration(entry),
        importance(entry),
    ];
    let cards: String = cards.iter().map(|card| format!("<div class=\"card\">{card}</div>")).collect();
    format!(
        "<details{open}><summary>{title} <span class=\"quiet\">{} · {} trees · average precision {:.4}</span></summary>\n\
         <div class=\"grid-of\">{cards}</div></details>\n",
        escaped(&entry.model),
        entry.trees,
        evaluation.average_precision
    )
}

fn matrix(title: &str, at: &ConfusionFigures) -> String {
    format!(
        "<h3>{}</h3><table class=\"matrix\"><thead><tr><th></th><th scope=\"col\">flagged</th><th scope=\"col\">passed</th>\
         <th></th></tr></thead><tbody><tr><th scope=\"row\">fraud</th><td>{}</td><td>{}</td><td class=\"quiet\">recall {:.3}</td>\
         </tr><tr><th scope=\"row\">genuine</th><td>{}</td><td>{}</td><td class=\"quiet\">precision {:.3}</td></tr></tbody></table>\
         <p class=\"quiet\">F1 {:.3} · accuracy {:.4}</p>",
        escaped(title),
        at.true_positives,
        at.false_negatives,
        at.recall,
        at.false_positives,
        at.true_negatives,
        at.precision,
        at.f1,
        at.accuracy
    )
}

fn histogram(entry: &Entry) -> String {
    let [genuine, frauds] = &entry.pictures.histogram;
    let title = "Scores: genuine (blue) and fraud (orange)";
    let mut chart = Chart::new(title, ("score", Scale::SHARE), ("share of the class", Scale::log(1e-4, 1.0)));
    for bin in 0..BINS {
        let (from, to) = (bin as f64 / BINS as f64, (bin + 1) as f64 / BINS as f64);
        let middle = f64::midpoint(from, to);
        for (from, to, share, colour) in [(from, middle, genuine[bin], 0), (middle, to, frauds[bin], 1)] {
            if share > 0.0 {
                chart.bar(from, to, share, colour);
            }
        }
    }
    chart.svg("Histogram of scores by class, on a logarithmic scale")
}

fn calibration(entry: &Entry) -> String {
    let bins = entry.pictures.reliability.iter().filter(|bin| bin.rows > 0);
    let points: Vec<(f64, f64)> = bins.map(|bin| (bin.mean_score, bin.fraud_share)).collect();
    let title =
        format!("Calibration: Brier {:.5}, error {:.4}", entry.evaluation.brier, entry.calibration_error);
    let mut chart = Chart::new(&title, ("mean score", Scale::SHARE), ("share of frauds", Scale::SHARE));
    chart.diagonal();
    chart.curve(&points, 0, false);
    chart.dots(&points, 0);
    chart.svg("Share of frauds over the mean score, by tenths of the score")
}

fn importance(entry: &Entry) -> String {
    let longest = entry.importance.first().map_or(0.0, |first| first.loss);
    let bars = entry.importance.iter().filter(|feature| feature.loss > 0.0);
    let bars = bars.map(|feature| (feature.feature.clone(), feature.loss, format!("{:.4}", feature.loss)));
    format!(
        "<h3>Importance: average precision lost when a feature is mixed up</h3>{}",
        bar_list(bars, longest)
    )
}

fn footer(comparison: &Comparison) -> String {
    format!(
        "<p class=\"quiet\" style=\"margin-top:32px\">redflag {} · {}. Times are one run each. The same rows are learnt from and \
         tested on; only what is learnt from is balanced. Scores are calibrated where balancing moved the prior.</p>\n",
        env!("CARGO_PKG_VERSION"),
        escaped(&comparison.machine)
    )
}
