//! The play as one HTML file without a script, and as a table for others.

use std::fmt::Write;

use super::{Day, Figures, PLAYERS, Recovery, Run};
use crate::compare::{Chart, STYLE, Scale, escaped};

/// What each player does, for people.
const DEEDS: [&str; 4] = [
    "the first champion, left alone",
    "weekly runs, fresh challengers",
    "weekly runs, challengers that go on from the champion",
    "learns from each label as it comes",
];

/// From this population stability index on a population counts as another one (Lewis 1994).
const PSI_OTHER: f64 = 0.25;

/// The page; `about` is a line on how it was made.
pub fn page(recovery: &Recovery, about: &str) -> String {
    let title = format!("{}: a stream that drifts", escaped(&recovery.detector));
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><style>{STYLE}</style></head><body>\n\
         <h1>{title}</h1>\n<p class=\"quiet\">{}</p>\n<p>From day {} on the world is another (broken line). A label is known \
         {} days after its transaction. Every figure is of the seven days that end with its day; dots are promotions.</p>\n{}{}{}{}</body></html>\n",
        escaped(about),
        recovery.drift_day,
        recovery.label_delay_days,
        legend(),
        pictures(recovery),
        table(recovery),
        verdicts(&recovery.runs)
    )
}

/// Days as comma-separated values, one line a day.
pub fn csv(recovery: &Recovery) -> String {
    let mut text = "day,rows,frauds,psi_score,psi_feature,feature".to_string();
    for player in PLAYERS.map(|player| player.replace(' ', "_")) {
        write!(text, ",{player}_average_precision,{player}_recall_at_budget")
            .expect("text can be written to");
    }
    for day in &recovery.days {
        let (psi, feature) = farthest(day);
        write!(text, "\n{},{},{},{},{psi},{feature}", day.day, day.rows, day.frauds, day.psi_score)
            .expect("text can be written to");
        let figures = day.players.iter().flat_map(|of| [of.average_precision, of.recall_at_budget]);
        figures.for_each(|figure| text += &figure.map_or(",".to_string(), |figure| format!(",{figure}")));
    }
    text + "\n"
}

fn farthest(day: &Day) -> (f64, &str) {
    day.farthest.as_ref().map_or((0.0, ""), |shifted| (shifted.psi, &shifted.feature))
}

fn legend() -> String {
    let keys = PLAYERS.iter().zip(DEEDS).enumerate();
    let keys = keys.map(|(colour, (player, deed))| {
        format!("<span><i class=\"key c{colour}\"></i>{player}: {deed}</span>")
    });
    format!("<div class=\"legend\">{}</div>\n", keys.collect::<String>())
}

fn pictures(recovery: &Recovery) -> String {
    let drawn = [
        of_players(recovery, "Average precision", |of| of.average_precision),
        of_players(recovery, &format!("Recall at {} alerts a day", recovery.budget), |of| {
            of.recall_at_budget
        }),
        shifts(recovery),
    ];
    let cards = drawn.iter().map(|svg| format!("<div class=\"card\">{svg}</div>")).collect::<String>();
    format!("<div class=\"grid-of\">{cards}</div>\n")
}

fn span(recovery: &Recovery) -> Scale {
    let day = |day: Option<&Day>| day.map_or(0.0, |day| f64::from(day.day));
    Scale::between(day(recovery.days.first()), day(recovery.days.last()).max(1.0))
}

fn of_players(recovery: &Recovery, name: &str, figure: fn(&Figures) -> Option<f64>) -> String {
    let points = |at: usize| -> Vec<(f64, f64)> {
        let days = recovery.days.iter();
        days.filter_map(|day| Some((f64::from(day.day), figure(&day.players[at])?))).collect()
    };
    let curves: Vec<Vec<(f64, f64)>> = (0..PLAYERS.len()).map(points).collect();
    let highest = curves.iter().flatten().map(|point| point.1).fold(0.0, f64::max);
    let mut chart = Chart::new(name, ("day", span(recovery)), ("", Scale::up_to(highest)));
    chart.upright(f64::from(recovery.drift_day));
    for (at, curve) in curves.iter().enumerate() {
        chart.curve(curve, at, false);
        let promoted = recovery.runs.iter().filter(|run| run.promoted && run.player == PLAYERS[at]);
        let on = |run: &Run| curve.iter().find(|point| point.0 == f64::from(run.day)).copied();
        chart.dots(&promoted.filter_map(on).collect::<Vec<_>>(), at);
    }
    chart.svg(&format!("{name} of each player by day"))
}

fn shifts(recovery: &Recovery) -> String {
    let days = || recovery.days.iter();
    let of_score: Vec<(f64, f64)> = days().map(|day| (f64::from(day.day), day.psi_score)).collect();
    let of_feature: Vec<(f64, f64)> = days().map(|day| (f64::from(day.day), farthest(day).0)).collect();
    let highest = of_score.iter().chain(&of_feature).map(|point| point.1).fold(2.0 * PSI_OTHER, f64::max);
    let title = "PSI: the score (line), the farthest feature (broken)";
    let mut chart = Chart::new(title, ("day", span(recovery)), ("", Scale::up_to(highest)));
    chart.upright(f64::from(recovery.drift_day));
    chart.level(PSI_OTHER);
    chart.curve(&of_score, 5, false);
    chart.curve(&of_feature, 5, true);
    chart.svg("How far scores and features are from those of the first champion's training, by day")
}

fn table(recovery: &Recovery) -> String {
    let head = PLAYERS.map(|player| format!("<th scope=\"col\">{player}</th>")).concat();
    let rows: String = recovery.weeks().map(|day| row(recovery, day)).collect();
    format!(
        "<h2>Weeks</h2>\n<p class=\"quiet\">Average precision, and in brackets recall at {} alerts a day.</p>\n\
         <div class=\"scroll\"><table><thead><tr><th scope=\"col\">days</th><th scope=\"col\">frauds</th>{head}\
         <th scope=\"col\">PSI of the score</th><th scope=\"col\">farthest feature</th></tr></thead><tbody>\n{rows}</tbody></table></div>\n",
        recovery.budget
    )
}

fn row(recovery: &Recovery, day: &Day) -> String {
    let highest = day.players.iter().filter_map(|of| of.average_precision).fold(0.0, f64::max);
    let cell = |of: &Figures| {
        let best = if of.average_precision == Some(highest) { " class=\"best\"" } else { "" };
        let shown = |figure: Option<f64>| figure.map_or("–".to_string(), |figure| format!("{figure:.3}"));
        format!("<td{best}>{} ({})</td>", shown(of.average_precision), shown(of.recall_at_budget))
    };
    let (psi, feature) = farthest(day);
    let when = if day.day < recovery.drift_day { "before" } else { "after" };
    format!(
        "<tr><td>{} to {}, {when}</td><td>{}</td>{}<td>{:.3}</td><td>{} {psi:.2}</td></tr>\n",
        day.day - 6,
        day.day,
        day.frauds,
        day.players.iter().map(cell).collect::<String>(),
        day.psi_score,
        escaped(feature)
    )
}

fn verdicts(runs: &[Run]) -> String {
    let line = |run: &Run| {
        let class = if run.promoted { " class=\"best\"" } else { "" };
        let Run { player, day, words, .. } = run;
        format!(
            "<tr><td>{day}</td><td>{player}</td><td{class} style=\"text-align:left;white-space:normal\">{}</td></tr>\n",
            escaped(words)
        )
    };
    format!(
        "<h2>Verdicts</h2>\n<div class=\"scroll\"><table><thead><tr><th scope=\"col\">day</th><th scope=\"col\">player</th>\
         <th scope=\"col\">verdict</th></tr></thead><tbody>\n{}</tbody></table></div>\n",
        runs.iter().map(line).collect::<String>()
    )
}
