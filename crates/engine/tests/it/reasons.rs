//! Reasons: which, when, and in what words.

use std::sync::Arc;

use engine::model::ReasonScratch;
use engine::{Decisions, Detector, Engine, EventBatch, Model, Narrator, Outcome, Value};
use forest::Forest;
use forest::explain::{Explainer, Scratch};

use crate::shipped::{parse, sample, text_of};

const DETECTOR: &str = r#"
name = "reasons"
[event]
id = "id"
time = "time"
amount = "amount"
currency = "EUR"
key = "card_id"
label = "fraud"
as_features = ["amount", "channel", "tries"]
[event.fields]
terminal_id = "id"
channel = { type = "category", values = ["chip", "online"], optional = true }
country = { type = "category", optional = true }
tries = { type = "number", optional = true }

[[feature]]
name = "hour"
expression = "hour(time)"
[[feature]]
name = "is_night"
expression = "is_night(time)"
[[feature]]
name = "is_weekend"
expression = "is_weekend(time)"
[[feature]]
name = "card_count"
by = "card_id"
aggregate = "count"
windows = ["7d"]
[[feature]]
name = "card_count_before"
by = "card_id"
aggregate = "count"
windows = ["1h"]
exclude_current = true
[[feature]]
name = "card_mean"
by = "card_id"
aggregate = "mean"
of = "amount"
windows = ["30d"]
[[feature]]
name = "card_mean_before"
by = "card_id"
aggregate = "mean"
of = "amount"
windows = ["30d"]
exclude_current = true
[[feature]]
name = "card_std"
by = "card_id"
aggregate = "std"
of = "amount"
windows = ["30d"]
exclude_current = true
[[feature]]
name = "card_max"
by = "card_id"
aggregate = "max"
of = "amount"
windows = ["1d"]
exclude_current = true
[[feature]]
name = "card_tries"
by = "card_id"
aggregate = "sum"
of = "tries"
windows = ["1d"]
[[feature]]
name = "card_countries"
by = "card_id"
aggregate = "distinct"
of = "country"
windows = ["1d"]
[[feature]]
name = "card_since"
by = "card_id"
aggregate = "time_since_last"
windows = ["30d"]
[[feature]]
name = "card_rate"
by = "card_id"
aggregate = "rate_ratio"
windows = ["1h"]
baseline = "30d"
[[feature]]
name = "terminal_risk"
by = "terminal_id"
aggregate = "mean"
of = "label"
windows = ["7d"]
delay = "1h"
[[feature]]
name = "terminal_frauds"
by = "terminal_id"
aggregate = "sum"
of = "label"
windows = ["7d"]
delay = "1h"
[[feature]]
name = "amount_over_mean"
expression = "amount / card_mean_before_30d"
[[feature]]
name = "amount_deviations"
expression = "(amount - card_mean_before_30d) / (card_std_30d + 1.0)"
[[feature]]
name = "odd"
expression = "amount * 2.0 + tries"
"#;

fn payment(detector: &Detector, id: &str, time: &str, amount: f64, country: &str) -> EventBatch {
    let mut batch = EventBatch::new(Arc::new(detector.schema.clone()));
    batch.begin_row();
    for (name, value) in [
        ("id", Value::Text(id)),
        ("time", Value::Text(time)),
        ("amount", Value::Number(amount)),
        ("card_id", Value::Text("c1")),
        ("terminal_id", Value::Text("s1")),
        ("channel", Value::Text("online")),
        ("country", Value::Text(country)),
    ] {
        batch.set(detector.schema.index_of(name).unwrap(), value);
    }
    batch.end_row().unwrap();
    batch
}

/// Small payments of a card in the afternoon, and two large ones at night.
#[test]
fn features_are_told_in_words() {
    let detector = Arc::new(parse(DETECTOR));
    let mut engine = Engine::new(Arc::clone(&detector), None, 1);
    let mut decisions = Decisions::default();
    for (at, (time, amount, country)) in [
        ("2026-01-03T12:00:00Z", 10.0, "DE"),
        ("2026-01-03T13:00:00Z", 11.0, "DE"),
        ("2026-01-03T14:00:00Z", 12.0, "DE"),
        ("2026-01-03T15:00:00Z", 13.0, "DE"),
        ("2026-01-03T23:30:00Z", 250.0, "FR"),
        ("2026-01-04T00:10:00Z", 250.0, "FR"),
    ]
    .into_iter()
    .enumerate()
    {
        let batch = payment(&detector, &format!("t{at}"), time, amount, country);
        engine.process(&batch, 2 * at as i64, &mut decisions);
        engine.learn(&batch, 0, 2 * at as i64, at == 1);
    }
    let narrator = Narrator { detector: &detector, amount: 250.0, features: decisions.features_of(0) };
    let told: Vec<String> = (0..detector.features.len()).map(|feature| narrator.sentence(feature)).collect();
    assert_eq!(
        told,
        [
            "amount is 250.00 EUR",
            "channel is online",
            "tries is missing",
            "it is 0 o'clock UTC",
            "it is night",
            "it is a weekend",
            "6 transactions of the card in 7 days",
            "1 earlier transaction of the card in 1 hour",
            "amount is 2.7 times the card's 30-day mean",
            "amount is 4.2 times the card's 30-day mean before it",
            "the card's 30-day standard deviation before it is 106.67 EUR",
            "the card's 1-day maximum before it is 250.00 EUR",
            "the card's 1-day sum of tries is 0",
            "2 different countries of the card in 1 day",
            "40 minutes since the card's last transaction",
            "240 times as many transactions of the card in 1 hour as usual in 30 days",
            "25 % of the terminal's transactions in 7 days up to 1 hour ago were fraud",
            "1 of the terminal's transactions in 7 days up to 1 hour ago was fraud",
            "amount is 4.2 times the card's 30-day mean before it",
            "amount is 1.8 standard deviations above the card's 30-day mean before it",
            "odd is missing",
        ]
    );
}

/// A forest of one split for each feature, at the middle of what the sample has; every split weighs differently.
fn a_forest(detector: &Detector, features: &[f64]) -> Forest {
    let width = detector.features.len();
    let tree = |feature: usize| {
        let mut column: Vec<f64> = features.iter().skip(feature).step_by(width).copied().collect();
        column.retain(|value| value.is_finite());
        column.sort_by(f64::total_cmp);
        let middle = column.get(column.len() / 2).copied().unwrap_or_default();
        let weight = 0.01 * (feature % 7 + 1) as f64;
        let (left, right) = (-weight, 2.0 * weight + 1e-4 * feature as f64);
        format!(
            r#"{{ "nodes": [
                {{ "feature": {feature}, "below": {middle:?}, "missing": "left", "left": 1, "right": 2, "gain": 1, "cover": 20 }},
                {{ "leaf": {left:?}, "cover": 12 }}, {{ "leaf": {right:?}, "cover": 8 }}
            ] }}"#
        )
    };
    let names = detector.feature_names();
    let trees: Vec<String> = (0..width).map(tree).collect();
    let document = format!(
        r#"{{
            "format": "redflag-forest", "version": 2, "features": {names:?}, "values": "double",
            "output": {{
                "summation": "double", "start": 0, "divisor": 1, "scale": 1, "bias": 0, "link": "logistic", "slope": 1
            }},
            "trees": [{}]
        }}"#,
        trees.join(", ")
    );
    Forest::from_json(&document).unwrap()
}

/// In the shipped detector the amount has a name of its own and is a feature as well.
#[test]
fn ratios_of_the_shipped_detector_are_told_in_words() {
    let detector = parse(&text_of("card"));
    let features: Vec<f64> = (1..=detector.features.len()).map(|value| value as f64).collect();
    let narrator = Narrator { detector: &detector, amount: 1.0, features: &features };
    let told = |name: &str| {
        let feature = detector.features.iter().position(|feature| feature.name == name).unwrap();
        let value = features[feature];
        narrator.sentence(feature).replace(&format!(" {value} "), " N ")
    };
    assert_eq!(told("amount_over_usual"), "amount is N times the customer's 90-day mean before it");
    assert_eq!(told("amount_over_usual_max"), "amount is N times the customer's 90-day maximum before it");
    assert_eq!(
        told("amount_deviations"),
        "amount is N standard deviations above the customer's 90-day mean before it"
    );
    let large = told("customer_large_3d");
    let counted =
        "earlier transactions of the customer in 3 days, counting those with amount_over_usual > 3.0";
    assert!(large.ends_with(counted), "{large}");
    assert_eq!(told("amount_over_terminal_mean"), "amount is N times the terminal's 7-day mean");
}

fn decided(detector: &Arc<Detector>, model: &Model, batch: &EventBatch) -> Decisions {
    let mut decisions = Decisions::default();
    Engine::new(Arc::clone(detector), Some(model.clone()), 1).process(batch, 0, &mut decisions);
    decisions
}

/// The card detector, its sample, and a model, with a threshold that half of the sample is above.
struct Card {
    detector: Arc<Detector>,
    batch: EventBatch,
    forest: Forest,
    model: Model,
    review: f64,
}

fn card() -> Card {
    let text = text_of("card");
    let rules = text.find("[[rule]]").unwrap();
    let with_threshold = |review: f64| {
        let policy = format!("[policy]\nreview_threshold = {review:?}\ndecline_threshold = 1.0\n");
        Arc::new(parse(&format!("{}{policy}", &text[..rules])))
    };
    let detector = with_threshold(0.9);
    let batch = sample(&detector, "card");
    let mut decisions = Decisions::default();
    Engine::new(Arc::clone(&detector), None, 1).process(&batch, 0, &mut decisions);
    let forest = a_forest(&detector, &decisions.features);
    let model = Model::new("m", &forest, &detector.feature_fingerprint, 0.0, &detector).unwrap();
    let mut scores = decided(&detector, &model, &batch).scores;
    scores.sort_by(f64::total_cmp);
    let review = scores[scores.len() / 2];
    Card { detector: with_threshold(review), batch, forest, model, review }
}

#[test]
fn reasons_are_the_largest_contributions_from_the_threshold_on() {
    let Card { detector, batch, forest, model, review } = card();
    let explainer = Explainer::path_dependent(&forest).unwrap();
    let decisions = decided(&detector, &model, &batch);
    let mut contributions = vec![0.0; explainer.feature_count()];
    let mut explained = 0;
    for row in 0..batch.len() {
        let found: Vec<(usize, f64)> =
            decisions.reasons_of(row).iter().map(|reason| (reason.feature, reason.contribution)).collect();
        assert_eq!(decisions.outcomes[row] == Outcome::Review, decisions.scores[row] >= review);
        if decisions.scores[row] < review {
            assert_eq!(found, []);
            continue;
        }
        explained += 1;
        explainer.explain(decisions.features_of(row), &mut Scratch::default(), &mut contributions);
        let mut largest: Vec<(usize, f64)> = contributions.iter().copied().enumerate().collect();
        largest.sort_by(|a, b| b.1.total_cmp(&a.1));
        largest.retain(|(_, contribution)| *contribution > 0.0);
        largest.truncate(4);
        assert_eq!(found, largest, "row {row}");
    }
    assert!(explained > 0 && explained < batch.len(), "{explained} of {}", batch.len());
}

#[test]
fn reasons_do_not_show_how_a_batch_was_cut() {
    let Card { detector, batch, model, .. } = card();
    let whole = decided(&detector, &model, &batch);
    let mut engine = Engine::new(Arc::clone(&detector), Some(model), 3);
    let mut part = Decisions::default();
    for row in 0..batch.len() {
        let mut one = EventBatch::new(Arc::clone(batch.schema()));
        one.push_row_of(&batch, row);
        engine.process(&one, row as i64, &mut part);
        assert_eq!(part.reasons_of(0), whole.reasons_of(row), "row {row}");
    }
}

/// What a person asks of a decision below the threshold is answered as well, from the features that are stored.
#[test]
fn any_row_of_features_can_be_explained() {
    let Card { detector, batch, model, .. } = card();
    let decisions = decided(&detector, &model, &batch);
    let explained = (0..batch.len()).find(|row| !decisions.reasons_of(*row).is_empty()).unwrap();
    let mut reasons = Vec::new();
    model.explain(decisions.features_of(explained), &mut ReasonScratch::default(), &mut reasons);
    assert_eq!(reasons, decisions.reasons_of(explained));
}
