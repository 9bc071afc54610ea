//! Recipes of training: balancing, calibration and thresholds, on data whose truth is known.

use engine::Detector;
use engine::time::DAY_US;
use forest::grow::{Algorithm, Params};
use lab::artifact::ModelFile;
use lab::balance::{Balance, Method};
use lab::calibrate;
use lab::train::{Balancing, Recipe, Row, Threshold, TrainingSet, train};

const DETECTOR: &str = r#"
name = "known"
[event]
id = "id"
time = "time"
amount = "amount"
currency = "EUR"
label = "fraud"
key = "card"
as_features = ["amount", "a", "b"]
[event.fields]
a = "number"
b = "number"
"#;

/// Rows an hour apart; fraud is more likely the larger the second and the smaller the third feature is.
fn known(rows: usize, seed: u64) -> TrainingSet {
    let mut state = seed;
    let mut uniform = || {
        // Steele and Vigna, "Computationally easy, spectrally good multipliers", 2021.
        state = state.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let mut set = TrainingSet::new(3, None);
    for row in 0..rows {
        let (amount, a, b) = (100.0 * uniform(), uniform() + uniform(), uniform() + uniform());
        let probability = 1.0 / (1.0 + (7.0 - 4.0 * (a - b) - 0.01 * amount).exp());
        let of = Row { time_us: row as i64 * DAY_US / 500, amount, card: 0, fraud: uniform() < probability };
        set.push(of, &[amount, a, b]);
    }
    set
}

fn detector() -> Detector {
    Detector::parse(DETECTOR).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

fn recipe(algorithm: Algorithm) -> Recipe {
    let mut params = Params::defaults(algorithm);
    params.trees = if algorithm == Algorithm::DecisionTree { 1 } else { 60 };
    Recipe::plain(params)
}

/// Scores of rows that the model has not seen.
fn scores(model: &ModelFile, set: &TrainingSet) -> Vec<f64> {
    let model = model.bind(&detector()).unwrap();
    let rows: Vec<f64> =
        (0..set.len()).flat_map(|row| set.columns.iter().map(move |column| column[row])).collect();
    let mut scores = Vec::new();
    model.score_batch(&rows, &mut forest::Scratch::default(), &mut scores);
    scores
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn grown(recipe: &Recipe) -> ModelFile {
    train(&detector(), &known(30_000, 1), recipe, &mut |_| {}).unwrap()
}

/// However the classes were brought closer, a score is still how likely fraud is.
#[test]
fn what_balancing_does_to_the_prior_is_undone() {
    let later = known(20_000, 2);
    let share = later.frauds() as f64 / later.len() as f64;
    assert!((0.002..0.02).contains(&share), "{share}");
    let balance = |method| Some(Balancing::Rows(Balance::new(method)));
    let ways = [Some(Balancing::Weights), balance(Method::UnderSample), balance(Method::Smote)];
    for algorithm in [Algorithm::Gbdt, Algorithm::RandomForest] {
        for balance in &ways {
            let recipe = Recipe { balance: balance.clone(), ..recipe(algorithm) };
            let mut model = grown(&recipe);
            let corrected = mean(&scores(&model, &later));
            model.calibration = None;
            let raw = mean(&scores(&model, &later));
            assert!(raw > 3.0 * share, "{algorithm} {balance:?}: {raw}");
            assert!(
                (0.3..3.0).contains(&(corrected / share)),
                "{algorithm} {balance:?}: {corrected}, {share}"
            );
        }
    }
}

/// Of transactions with about the same score the share of frauds is about that score.
#[test]
fn calibrated_scores_are_what_comes_true() {
    let later = known(40_000, 3);
    for method in [calibrate::Method::Platt, calibrate::Method::Beta, calibrate::Method::Isotonic] {
        let balance = Some(Balancing::Rows(Balance { fraud_share: 0.3, ..Balance::new(Method::Smote) }));
        let recipe = Recipe { balance, calibrate: Some(method), ..recipe(Algorithm::Gbdt) };
        let scores = scores(&grown(&recipe), &later);
        let mut ranked: Vec<usize> = (0..later.len()).collect();
        ranked.sort_unstable_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        for part in ranked.chunks(later.len() / 4) {
            let expected: f64 = part.iter().map(|row| scores[*row]).sum();
            let found = part.iter().filter(|row| later.labels[**row]).count() as f64;
            let spread = 4.0 * (expected.max(found) + 1.0).sqrt() + 0.25 * expected;
            assert!((expected - found).abs() < spread, "{method}: {found} instead of {expected}");
        }
    }
}

#[test]
fn thresholds_keep_what_is_asked_of_them() {
    let later = known(40_000, 4);
    let frauds = later.frauds() as f64;
    let reviewed = |threshold| {
        let recipe = Recipe { threshold: Some(threshold), ..recipe(Algorithm::Gbdt) };
        let model = grown(&recipe);
        let scores = scores(&model, &later);
        let chosen = (0..later.len()).filter(move |row| scores[*row] >= model.review_score_min);
        let (found, all) = chosen.fold((0.0, 0.0), |(found, all), row| {
            (found + f64::from(u8::from(later.labels[row])), all + 1.0)
        });
        (found, all)
    };
    let (found, _) = reviewed(Threshold::Recall(0.8));
    assert!((0.6..0.95).contains(&(found / frauds)), "{found} of {frauds}");
    let (found, all) = reviewed(Threshold::Precision(0.05));
    assert!((0.02..0.12).contains(&(found / all)), "{found} of {all}");
    // Five hundred rows a day.
    let (_, all) = reviewed(Threshold::DailyBudget(20.0));
    assert!((0.5..2.0).contains(&(all / 80.0 / 20.0)), "{all} in 80 days");
}

#[test]
fn a_precision_that_no_score_has_is_said_to_be() {
    let mut set = known(30_000, 1);
    // The last quarter as the model cannot know it.
    set.labels.iter_mut().enumerate().skip(22_500).for_each(|(row, label)| *label = row % 500 == 0);
    let recipe = Recipe { threshold: Some(Threshold::Precision(1.0)), ..recipe(Algorithm::Gbdt) };
    let error = train(&detector(), &set, &recipe, &mut |_| {}).unwrap_err().to_string();
    assert!(error.ends_with("no score has precision 1"), "{error}");
}

#[test]
fn a_recipe_is_written_into_its_model() {
    let balance = Some(Balancing::Rows(Balance { fraud_share: 0.1, ..Balance::new(Method::Adasyn) }));
    let recipe = Recipe {
        balance,
        calibrate: Some(calibrate::Method::Platt),
        threshold: Some(Threshold::Recall(0.99)),
        ..recipe(Algorithm::DecisionTree)
    };
    let model = grown(&recipe);
    let said = ["balance", "calibrate", "review"].map(|name| model.parameters[name].as_str());
    assert_eq!(said, ["adasyn:0.1", "platt", "recall 0.99"]);
    assert_eq!(grown(&recipe), model, "the same recipe gives the same model");
}
