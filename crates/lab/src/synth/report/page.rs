//! The report as one HTML file: no script, no request, light and dark as the reader's system is.

use std::fmt::Write;

use super::pictures::{cumulative, heat_map};
use super::{Behaviour, Beside, Learning, Privacy, Report, Size};
use crate::compare::{STYLE, escaped, short};

/// What this page has beside the style of the pages of models.
const OWN_STYLE: &str = "\
:root{--real:var(--c0);--synthetic:var(--c1)}\
.verdict{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(320px,100%),1fr));gap:16px;margin:16px 0}\
.verdict .card{border-top:4px solid var(--line)}.verdict ul{margin:6px 0 0;padding-left:18px}.verdict li{margin:5px 0}\
.verdict .no{border-top-color:var(--c1)}.verdict .yes{border-top-color:var(--good)}\
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(210px,100%),1fr));gap:12px;margin:16px 0}\
.tile b{display:block;font-size:24px;font-weight:600;font-variant-numeric:tabular-nums;line-height:1.3}.tile span{font-size:13px;color:var(--quiet)}\
.bar.heat{stroke:var(--line);stroke-width:.6}.small-of{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(260px,100%),1fr));gap:12px}\
td.name,th.name{text-align:left!important;white-space:normal;max-width:44ch}.off{color:var(--c1);font-weight:600}\
th:nth-child(2),td:nth-child(2){text-align:right}td,th{vertical-align:top}";

/// The page.
pub fn page(report: &Report) -> String {
    let title = "Synthetic beside real transactions";
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><style>{STYLE}{OWN_STYLE}</style></head><body>\n\
         <h1>{title}</h1>\n"
    );
    page += &about(report);
    page += &verdict(report);
    page += &tiles(report);
    page += &all_rows(report);
    page += &columns(report);
    page += &pairs(report);
    page += &report.learning.as_ref().map_or(String::new(), learning);
    page += &privacy(report);
    page += &report.behaviour.as_ref().map_or(String::new(), behaviour);
    page += &footer(report);
    page + "</body></html>\n"
}

fn about(report: &Report) -> String {
    let line = |name: &str, file: &str, size: &Size| {
        let frauds = size.frauds.map_or(String::new(), |frauds| {
            format!(", {frauds} frauds ({:.3} %)", 100.0 * frauds as f64 / size.rows.max(1) as f64)
        });
        format!("<p><b>{name}</b> {}: {} rows{frauds}</p>\n", escaped(file), size.rows)
    };
    let mut about = line("Real", &report.files[0], &report.real)
        + &line("Synthetic", &report.files[1], &report.synthetic);
    if let Some(held_out) = &report.held_out {
        about += &line("Held out", &report.files[2], held_out);
    }
    writeln!(about, "<p class=\"quiet\">{}</p>", escaped(&report.halves)).expect("text can be written to");
    if !report.warnings.is_empty() {
        let said: String =
            report.warnings.iter().map(|warning| format!("<p>{}</p>", escaped(warning))).collect();
        about += &format!("<div class=\"warn\" role=\"note\">{said}</div>\n");
    }
    about
}

fn verdict(report: &Report) -> String {
    let card = |title: &str, class: &str, lines: &[String]| {
        let items: String = lines.iter().map(|line| format!("<li>{}</li>", escaped(line))).collect();
        match lines {
            [] => String::new(),
            _ => format!("<div class=\"card {class}\"><h3>{title}</h3><ul>{items}</ul></div>"),
        }
    };
    format!(
        "<h2>What it is fit for, and what not</h2>\n<div class=\"verdict\">{}{}{}</div>\n",
        card("Not fit for", "no", &report.verdict.not_fit_for),
        card("Fit for", "yes", &report.verdict.fit_for),
        card("Cannot be told", "", &report.verdict.cannot_be_told)
    )
}

fn tiles(report: &Report) -> String {
    let mut tiles = vec![
        (score(report.scores.column_shapes), "column shapes: 1 is alike".to_string()),
        (score(report.scores.pair_trends), "pair trends: 1 is alike".to_string()),
        (
            score(report.correlation_difference.mean_absolute),
            "mean difference of correlations: 0 is alike".to_string(),
        ),
        discriminator_tile(report),
    ];
    tiles.extend(report.learning.as_ref().map(learning_tile));
    tiles.extend(privacy_tiles(report));
    tiles.extend(report.behaviour.as_ref().map(behaviour_tile));
    let tile = |(figure, words): &Tile| {
        format!("<div class=\"card tile\"><b>{figure}</b><span>{}</span></div>", escaped(words))
    };
    format!("<div class=\"tiles\">{}</div>\n", tiles.iter().map(tile).collect::<String>())
}

/// A figure, and what it is.
type Tile = (String, String);

fn discriminator_tile(report: &Report) -> Tile {
    let halves = score(report.discriminator.discriminator_auc_of_real_halves);
    (
        score(report.discriminator.discriminator_auc),
        format!("discriminator's AUC: 0.5 is perfect; real halves {halves}"),
    )
}

fn learning_tile(learning: &Learning) -> Tile {
    let [made, real, both] = [
        learning.train_synthetic_test_real_average_precision,
        learning.train_real_test_real_average_precision,
        learning.train_both_test_real_average_precision,
    ]
    .map(score);
    let words =
        format!("average precision on real rows, trained on synthetic; on real {real}, on both {both}");
    (made, words)
}

fn privacy_tiles(report: &Report) -> Vec<Tile> {
    let privacy = &report.privacy;
    let copies = privacy.exact_copies;
    let mut tiles = vec![
        (
            score(privacy.distance_to_closest_record.ratio),
            "distance to the closest real row, by that of other real rows: 1 is usual, near 0 are copies"
                .to_string(),
        ),
        (
            format!("{} %", score(100.0 * copies.synthetic)),
            format!("copies of real rows; among real rows {} %", score(100.0 * copies.baseline)),
        ),
    ];
    let membership = |auc| (score(auc), "membership inference's AUC: 0.5 is perfect".to_string());
    tiles.extend(privacy.membership_inference_auc.map(membership));
    tiles
}

fn behaviour_tile(behaviour: &Behaviour) -> Tile {
    let words = format!(
        "behaviour, at worst ({}): distance from the real one, by the noise between real halves; 1 is as good as real",
        behaviour.worst
    );
    (format!("{}×", score(behaviour.ratio)), words)
}

/// A figure in as many digits as say something.
fn score(value: f64) -> String {
    match value.abs() {
        _ if value.is_nan() => "–".to_string(),
        _ if value.is_infinite() => "∞".to_string(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size > 0.0 && size < 0.001 => format!("{value:.5}"),
        _ => format!("{value:.3}"),
    }
}

const LEGEND: &str = "<div class=\"legend\"><span><i class=\"key c0\"></i>real</span><span><i class=\"key c1\"></i>synthetic</span></div>";

fn all_rows(report: &Report) -> String {
    let drawn =
        [&report.pictures.principal, &report.pictures.t_sne, &heat_map(&report.correlation_difference)];
    let cards: String = drawn
        .iter()
        .filter(|svg| !svg.is_empty())
        .map(|svg| format!("<div class=\"card\">{svg}</div>"))
        .collect();
    format!(
        "<h2>All rows at a glance</h2>\n{LEGEND}<div class=\"grid-of\">{cards}</div>\n<p class=\"quiet\">At most 1,000 rows of each \
         are drawn. Components are those of the real rows; t-SNE is of distances between ranks, with perplexity 30. Correlations \
         are Spearman's: orange where synthetic columns go together more, blue where less.</p>\n"
    )
}

/// A table with heads; the first cell of a row is a name.
fn table(heads: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let head: String = heads
        .iter()
        .enumerate()
        .map(|(at, head)| {
            format!("<th scope=\"col\"{}>{head}</th>", if at == 0 { " class=\"name\"" } else { "" })
        })
        .collect();
    let row = |cells: Vec<String>| {
        let cell = |(at, cell): (usize, &String)| match at {
            0 => format!("<td class=\"name\">{cell}</td>"),
            _ => format!("<td>{cell}</td>"),
        };
        format!("<tr>{}</tr>\n", cells.iter().enumerate().map(cell).collect::<String>())
    };
    format!(
        "<div class=\"scroll\"><table><thead><tr>{head}</tr></thead><tbody>\n{}</tbody></table></div>\n",
        rows.map(row).collect::<String>()
    )
}

/// A figure that stands out if it is bad.
fn marked(value: f64, is_bad: bool) -> String {
    if is_bad { format!("<span class=\"off\">{}</span>", score(value)) } else { score(value) }
}

fn columns(report: &Report) -> String {
    let pictures: String =
        report.pictures.columns.iter().map(|svg| format!("<div class=\"card\">{svg}</div>")).collect();
    format!(
        "<h2>Columns one by one</h2>\n<p>Mean shape {}, values within bounds {}, ranges covered {}, known words {}, words covered \
         {}.</p>\n{}<details open><summary>Shapes</summary>{LEGEND}<div class=\"small-of\">{pictures}</div>\
         <p class=\"quiet\">Values beyond the middle 99 % of the real ones are in the outer bars.</p></details>\n",
        score(report.scores.column_shapes),
        score(report.scores.boundary_adherence),
        score(report.scores.range_coverage),
        score(report.scores.category_adherence),
        score(report.scores.category_coverage),
        columns_table(report)
    )
}

fn columns_table(report: &Report) -> String {
    let heads = [
        "column",
        "measure",
        "shape",
        "within bounds, known words",
        "range, words covered",
        "missing, real",
        "missing, synthetic",
    ];
    let rows = report.columns.iter().map(|column| {
        vec![
            escaped(&column.column),
            column.metric.to_string(),
            marked(column.score, column.score < 0.85),
            marked(column.adherence, column.adherence < 0.99),
            marked(column.coverage, column.coverage < 0.7),
            score(column.missing_real),
            marked(column.missing_synthetic, (column.missing_real - column.missing_synthetic).abs() > 0.05),
        ]
    });
    table(&heads, rows)
}

/// Pairs that are listed, at most.
const PAIRS_SHOWN: usize = 20;

fn pairs(report: &Report) -> String {
    let mut counted: Vec<_> = report.pairs.iter().filter(|pair| !pair.score.is_nan()).collect();
    counted.sort_by(|a, b| a.score.total_cmp(&b.score));
    let heads = ["columns", "measure", "trend", "real", "synthetic"];
    let rows = counted.iter().take(PAIRS_SHOWN).map(|pair| {
        vec![
            escaped(&format!("{}, {}", pair.left, pair.right)),
            pair.metric.to_string(),
            marked(pair.score, pair.score < 0.85),
            score(pair.real),
            score(pair.synthetic),
        ]
    });
    let listed = if counted.is_empty() { String::new() } else { table(&heads, rows) };
    format!(
        "<h2>Columns two by two</h2>\n<p>Of {} pairs, {} go together in the real data (|r| above 0.5 or Cramér's V above 0.3) and \
         count: pair trends {}. The worst are listed.</p>\n{listed}",
        report.pairs.len(),
        counted.len(),
        score(report.scores.pair_trends)
    )
}

fn learning(learning: &Learning) -> String {
    let bars = [
        ("real", learning.train_real_test_real_average_precision, learning.train_real_test_real_auc_roc),
        (
            "synthetic",
            learning.train_synthetic_test_real_average_precision,
            learning.train_synthetic_test_real_auc_roc,
        ),
        ("both", learning.train_both_test_real_average_precision, learning.train_both_test_real_auc_roc),
        ("guessing", learning.test_fraud_share, 0.5),
    ];
    let bar = |(name, precision, auc): (&str, f64, f64)| {
        format!(
            "<span>{name}</span><i style=\"width:{:.1}%\"></i><span>{} <span class=\"quiet\">AUC ROC {}</span></span>",
            100.0 * precision.clamp(0.0, 1.0),
            score(precision),
            score(auc)
        )
    };
    format!(
        "<h2>Learning from it</h2>\n<p>Average precision of redflag's boosted trees on {} real rows with {} frauds ({:.3} %): {}.</p>\n\
         <div class=\"card\" style=\"max-width:760px\"><div class=\"bars\">{}</div></div>\n",
        learning.test_rows,
        learning.test_frauds,
        100.0 * learning.test_fraud_share,
        escaped(&learning.test_is),
        bars.map(bar).concat()
    )
}

fn privacy(report: &Report) -> String {
    let privacy = &report.privacy;
    let [made, fresh] = &privacy.distances;
    let chart =
        cumulative("Distance to the closest real row", "distance", &[(fresh, 0, false), (made, 1, false)]);
    let card =
        if chart.is_empty() { String::new() } else { format!("<div class=\"card\">{LEGEND}{chart}</div>") };
    let membership = privacy.membership_inference_auc.map_or(String::new(), |auc| {
        format!(
            "<p>Membership inference by the closest synthetic row: AUC {} (0.5 is perfect).</p>\n",
            score(auc)
        )
    });
    format!(
        "<h2>What it gives away</h2>\n{membership}<div class=\"grid-of\"><div>{}</div>{card}</div>\n<p class=\"quiet\">Up to {} rows of \
         each are looked up among up to {} real ones. A number counts as its rank among real rows; words, truths and labels are 0 \
         apart if equal and 1 if not. Copies equal a real row in all columns but entities and times.</p>\n",
        privacy_table(privacy),
        super::privacy::ROWS_ASKED_MAX,
        super::privacy::ROWS_SEARCHED_MAX
    )
}

fn privacy_table(privacy: &Privacy) -> String {
    let row = |name: &str, beside: Beside| {
        vec![
            name.to_string(),
            score(beside.synthetic),
            score(beside.baseline),
            marked(beside.ratio, beside.ratio < 0.5),
        ]
    };
    let copied = |name: &str, copies: Beside| {
        let share = |share: f64| format!("{} %", score(100.0 * share));
        vec![name.to_string(), share(copies.synthetic), share(copies.baseline), String::new()]
    };
    let rows = [
        row("distance to the closest real row, median", privacy.distance_to_closest_record),
        row("the same, 5th percentile", privacy.distance_to_closest_record_p5),
        row("nearest by next nearest, median", privacy.nearest_neighbour_ratio),
        row("the same, 5th percentile", privacy.nearest_neighbour_ratio_p5),
        copied("share of exact copies, without times", privacy.exact_copies),
        copied("share of exact copies, with the time of day", privacy.exact_copies_at_the_same_time),
    ];
    table(&["", "synthetic", "other real rows", "ratio"], rows.into_iter())
}

fn behaviour(behaviour: &Behaviour) -> String {
    let [one, other, made] = &behaviour.gaps_s;
    let chart =
        cumulative("Times between events", "seconds", &[(one, 0, false), (other, 0, true), (made, 1, false)]);
    format!(
        "<h2>Behaviour</h2>\n<p>Compared are {}. A ratio near 1 is as good as real; generators that make rows one by one are far \
         above it.</p>\n<div class=\"grid-of\"><div class=\"card\"><h3>Distance by the noise between two real halves (bars grow by \
         powers)</h3><div class=\"bars\">{}</div></div><div class=\"card\">{LEGEND}{chart}</div></div>\n{}",
        escaped(&behaviour.halves),
        behaviour_bars(behaviour),
        behaviour_table(behaviour)
    )
}

fn behaviour_bars(behaviour: &Behaviour) -> String {
    let longest = behaviour.groups.values().copied().fold(1.0, f64::max);
    let bar = |(group, ratio): (&String, &f64)| {
        let width = 100.0 * (1.0 + ratio).ln() / (1.0 + longest).ln();
        format!(
            "<span>{group}</span><i style=\"width:{width:.1}%\"></i><span class=\"quiet\">{}×</span>",
            score(*ratio)
        )
    };
    behaviour.groups.iter().map(bar).collect()
}

fn behaviour_table(behaviour: &Behaviour) -> String {
    let heads = ["measure", "real", "other real half", "synthetic", "shown", "distance", "noise", "ratio"];
    let mut last = String::new();
    let rows = behaviour.measures.iter().map(|measure| {
        let group = if measure.group == last { String::new() } else { format!("<b>{}</b>: ", measure.group) };
        last.clone_from(&measure.group);
        let figure = |value: f64| {
            if measure.unit == "share" { format!("{:.3} %", 100.0 * value) } else { short(value) }
        };
        vec![
            format!("{group}{}", escaped(&measure.name)),
            figure(measure.real),
            figure(measure.real_other),
            figure(measure.synthetic),
            measure.unit.to_string(),
            format!("{} <span class=\"quiet\">{}</span>", score(measure.distance), measure.distance_is),
            score(measure.noise),
            marked(measure.ratio, measure.ratio > 3.0),
        ]
    });
    table(&heads, rows)
}

fn footer(report: &Report) -> String {
    format!(
        "<p class=\"quiet\" style=\"margin-top:32px\">redflag {} · seed {}. Shapes and trends as SDMetrics 0.32 defines them. The \
         discriminator is boosted trees in five folds on up to {} rows of each.</p>\n",
        env!("CARGO_PKG_VERSION"),
        report.seed,
        super::discriminator::ROWS_MAX
    )
}
