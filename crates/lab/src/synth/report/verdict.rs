//! What the figures mean, in words.
//!
//! A limit says from where on a sentence is said. They are conventions: chosen so that a real half beside another real half
//! passes all of them, and that a generator of single rows fails those of behaviour.

use serde::Serialize;

use super::Report;
use super::shapes::mean;

/// Shapes and trends below this are not those of the data.
const SCORE_MIN: f64 = 0.85;
/// A single column whose shape is below this is named.
const COLUMN_MIN: f64 = 0.7;
/// Where fewer dates than this share are within the real period, it is another period.
const DATES_MIN: f64 = 0.9;
/// The mean difference of correlations from which on they are not kept.
const CORRELATION_MAX: f64 = 0.1;
/// The area under the curve from which on anybody can tell.
const DISCRIMINATOR_MAX: f64 = 0.8;
/// The share of what real rows teach that synthetic ones should.
const LEARNING_MIN: f64 = 0.9;
/// The covered share of a range below which its tails are missing.
const RANGE_MIN: f64 = 0.7;
/// Distances below this share of what is usual among real rows are too near.
const CLOSENESS_MIN: f64 = 0.5;
/// Attacks by membership that do better than this succeed.
const MEMBERSHIP_MAX: f64 = 0.6;
/// Copies beyond what real rows have in common, as a share.
const COPIES_MAX: f64 = 0.005;
/// A behaviour further away than this many times the noise is another one.
const BEHAVIOUR_MAX: f64 = 3.0;

/// What the data is good for.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Verdict {
    /// Purposes that the figures allow.
    pub fit_for: Vec<String>,
    /// Purposes that they forbid.
    pub not_fit_for: Vec<String>,
    /// What could not be told.
    pub cannot_be_told: Vec<String>,
}

impl Verdict {
    fn say(&mut self, is_fit: bool, fit: String, unfit: String) {
        if is_fit { self.fit_for.push(fit) } else { self.not_fit_for.push(unfit) }
    }
}

/// The sentences of a report.
pub fn verdict(report: &Report) -> Verdict {
    let mut verdict = Verdict::default();
    columns(report, &mut verdict);
    tails_and_words(report, &mut verdict);
    learning(report, &mut verdict);
    privacy(report, &mut verdict);
    behaviour(report, &mut verdict);
    let skipped = report.skipped.iter();
    verdict
        .cannot_be_told
        .extend(skipped.map(|skipped| format!("{}: {}", capital(skipped.what), skipped.why)));
    verdict
}

fn columns(report: &Report, verdict: &mut Verdict) {
    let bad: Vec<&str> = report
        .columns
        .iter()
        .filter(|column| column.score < COLUMN_MIN && !column.is_instant)
        .map(|column| column.column.as_str())
        .collect();
    let named = if bad.is_empty() { String::new() } else { format!("; furthest off: {}", listed(&bad)) };
    let shapes = mean(report.columns.iter().filter(|column| !column.is_instant).map(|column| column.score));
    verdict.say(
        shapes >= SCORE_MIN && bad.is_empty(),
        format!("Figures of single columns, as means and shares (column shapes without dates {shapes:.3})."),
        format!("Figures of single columns: shapes differ (column shapes without dates {shapes:.3}{named})."),
    );
    let elsewhere = report.columns.iter().filter(|column| column.is_instant && column.adherence < DATES_MIN);
    let elsewhere: Vec<&str> = elsewhere.map(|column| column.column.as_str()).collect();
    if !elsewhere.is_empty() {
        verdict.not_fit_for.push(format!(
            "Joining with other data by date: the dates of {} are of another period than the real ones.",
            listed(&elsewhere)
        ));
    }
    let difference = report.correlation_difference.mean_absolute;
    let holds = |value: f64, is_good: bool| value.is_nan() || is_good;
    let trends = if report.pair_trends.is_nan() {
        "no pair goes together".to_string()
    } else {
        format!("{:.3}", report.pair_trends)
    };
    let figures = format!("pair trends {trends}, mean difference of correlations {difference:.3}");
    verdict.say(
        holds(report.pair_trends, report.pair_trends >= SCORE_MIN)
            && holds(difference, difference <= CORRELATION_MAX),
        format!("What depends on two columns at a time ({figures})."),
        format!("What depends on columns together: they do not go together as the real ones do ({figures})."),
    );
    let (auc, usual) = (report.discriminator_auc, report.discriminator_auc_of_real_halves);
    verdict.say(
        auc <= DISCRIMINATOR_MAX,
        format!("Passing for real, row by row: boosted trees tell the rows apart with an AUC of {auc:.3} (real halves: {usual:.3}, chance: 0.5)."),
        format!(
            "Passing for real: boosted trees tell synthetic rows from real ones with an AUC of {auc:.3} (real halves: {usual:.3}, \
             chance: 0.5). A model trained on a mix of both may learn that difference instead of fraud."
        ),
    );
}

fn tails_and_words(report: &Report, verdict: &mut Verdict) {
    let short_of = |metric: &str| -> Vec<&str> {
        let columns = report
            .columns
            .iter()
            .filter(|column| column.metric == metric && column.coverage < RANGE_MIN && !column.is_instant);
        columns.map(|column| column.column.as_str()).collect()
    };
    let short = short_of("KSComplement");
    if !short.is_empty() {
        verdict.not_fit_for.push(format!(
            "Extremes and limits, as stress tests with large amounts: less than 70 % of the real range occurs in {}.",
            listed(&short)
        ));
    }
    let rare = short_of("TVComplement");
    if !rare.is_empty() {
        verdict
            .not_fit_for
            .push(format!("Rare categories: more than 30 % of the words of {} never occur.", listed(&rare)));
    }
    let missing =
        report.columns.iter().filter(|column| (column.missing_real - column.missing_synthetic).abs() > 0.05);
    let missing: Vec<&str> = missing.map(|column| column.column.as_str()).collect();
    if !missing.is_empty() {
        verdict.not_fit_for.push(format!(
            "Tests of how missing values are handled: they are missing more or less often in {}.",
            listed(&missing)
        ));
    }
}

fn learning(report: &Report, verdict: &mut Verdict) {
    let Some(learning) = &report.learning else { return };
    let (real, made, both) = (
        learning.train_real_test_real_average_precision,
        learning.train_synthetic_test_real_average_precision,
        learning.train_both_test_real_average_precision,
    );
    let chance = learning.test_fraud_share;
    let learnt = (made - chance) / (real - chance).max(1e-9);
    verdict.say(
        learnt >= LEARNING_MIN,
        format!("Training a model instead of the real data: average precision {made:.3} on real rows, against {real:.3}."),
        format!(
            "Training a model instead of the real data: average precision {made:.3} on real rows, against {real:.3} from real \
             ones (guessing: {chance:.3})."
        ),
    );
    verdict.say(
        both > real,
        format!("Adding to the real data: average precision {both:.3} with both, against {real:.3} without."),
        format!("Improving a model by adding to the real data: average precision {both:.3} with both, against {real:.3} without."),
    );
}

fn privacy(report: &Report, verdict: &mut Verdict) {
    let privacy = &report.privacy;
    let mut leaks = Vec::new();
    let copies = [
        (privacy.exact_copies, "without times"),
        (privacy.exact_copies_at_the_same_time, "down to the time of day"),
    ];
    for (copies, which) in copies.iter().filter(|(copies, _)| copies.synthetic - copies.baseline > COPIES_MAX)
    {
        leaks.push(format!(
            "{:.1} % of the rows are copies of real ones, {which}, where {:.1} % of other real rows equal one",
            100.0 * copies.synthetic,
            100.0 * copies.baseline
        ));
    }
    let closest = privacy.distance_to_closest_record;
    let closest_p5 = privacy.distance_to_closest_record_p5;
    for (beside, which) in [(closest, "median"), (closest_p5, "5th percentile")] {
        if beside.ratio < CLOSENESS_MIN {
            leaks.push(format!(
                "the {which} of the distance to the closest real row is {:.2} of what it is among real rows",
                beside.ratio
            ));
        }
    }
    if let Some(auc) = privacy.membership_inference_auc.filter(|auc| *auc > MEMBERSHIP_MAX) {
        leaks.push(format!("who was learnt from can be told with an AUC of {auc:.3}"));
    }
    let fit = "No row stands out as a copy of a real one, or nearer to one than real rows are to each other. That is a \
               necessary sign, not a guarantee of privacy.";
    verdict.say(
        leaks.is_empty(),
        format!("Showing to people who may see aggregates: {}{}", fit[..1].to_lowercase(), &fit[1..]),
        format!("Giving away: {}.", leaks.join("; ")),
    );
}

/// For each group of measures, by how its name begins, what it would be good for.
const PURPOSES: [(&str, &str); 6] = [
    ("times between events", "Features of times between an entity's events"),
    ("bursts", "Tests of bursts and of limits on how fast an entity may act"),
    ("activity", "Load and capacity tests by entity"),
    ("shared places", "Searching for shared terminals, rings and points of compromise"),
    ("history", "Learning from what an entity did before"),
    ("velocity", "Tuning velocity features and rules"),
];

fn behaviour(report: &Report, verdict: &mut Verdict) {
    let Some(behaviour) = &report.behaviour else { return };
    for (group, ratio) in &behaviour.groups {
        let purpose = PURPOSES.iter().find(|(prefix, _)| group.starts_with(prefix));
        let purpose = purpose.map_or(group.as_str(), |(_, purpose)| purpose);
        let told = format!("{purpose} ({group}: {ratio:.1} times the noise between two real halves).");
        verdict.say(*ratio <= BEHAVIOUR_MAX, told.clone(), told);
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// The first few names, and how many more there are.
fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 6;
    let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN { format!("{shown} and {} more", names.len() - SHOWN) } else { shown }
}
