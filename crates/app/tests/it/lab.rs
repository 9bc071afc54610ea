//! Splits, leaks, comparing and validating, as a data scientist runs them.

use serde_json::Value;

use super::desk::Desk;

/// Forty days of transactions, of as many customers as it takes for a fraud on most days.
fn history(name: &str) -> Desk {
    let desk = Desk::new(name);
    desk.ok("simulate --detector card --rows 60000 --customers 800 --seed 5 --out a.parquet");
    desk
}

fn fails(desk: &Desk, arguments: &str) -> String {
    let ran = desk.run(arguments);
    assert_eq!(ran.code, 2, "{ran:?}");
    ran.err
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn a_comparison_is_a_page_without_requests_and_the_same_figures_as_json() {
    let desk = history("compare");
    let ran = desk
        .ok("compare --detector card --in a.parquet --delay-days 2 --test-days 3 --balance none,smote:0.1 \
                       --out report.html --save-best best.json --json");
    let comparison = ran.json();
    let entries = comparison["entries"].as_array().unwrap();
    let of = |family: &str| entries.iter().filter(|entry| entry["family"] == family).count();
    assert_eq!(["gbdt", "random-forest", "decision-tree"].map(of), [2, 2, 2], "{comparison}");
    let best = entries.iter().map(|entry| number(&entry["average_precision"])).fold(0.0, f64::max);
    let page = desk.text("report.html");
    assert!(page.starts_with("<!doctype html>") && page.contains(&format!("{best:.4}")), "{best}");
    assert!(
        !page.contains("http") && !page.contains("<script") && !page.contains("NaN"),
        "a page that asks for nothing"
    );
    for picture in
        ["Precision and recall", "ROC", "Cost a day", "Calibration", "Scores", "Importance", "Confusion"]
    {
        assert!(page.contains(picture), "{picture}");
    }
    // What the best one scores is what evaluate finds on the same days.
    let split = comparison["split"].as_array().unwrap();
    let (from, to) = (split[2].as_str().unwrap(), split[3].as_str().unwrap());
    let evaluated = desk
        .ok(&format!(
            "evaluate --detector card --model best.json --in a.parquet --from {from} --to {to} --json"
        ))
        .json();
    assert_eq!(number(&evaluated["average_precision"]), best);
    assert_eq!(evaluated["rows"], comparison["test"][0]);
}

#[test]
fn folds_do_not_overlap_what_they_were_learnt_from() {
    let desk = history("validate");
    let asked = "validate --detector card --in a.parquet --folds 3 --train-days 10 --delay-days 2 --test-days 2 --trees 30";
    let validated = desk.ok(&format!("{asked} --json")).json();
    let folds = validated["folds"].as_array().unwrap();
    assert_eq!(folds.len(), 3);
    for (fold, next) in folds.iter().zip(&folds[1..]) {
        assert_eq!(fold["test_to"], next["test_from"]);
        assert!(fold["train_to"].as_str().unwrap() < fold["test_from"].as_str().unwrap());
    }
    let precisions: Vec<f64> = folds.iter().map(|fold| number(&fold["average_precision"])).collect();
    let mean = precisions.iter().sum::<f64>() / 3.0;
    assert!((number(&validated["spread"]["average_precision"]["mean"]) - mean).abs() < 1e-12);
    // The first fold is what train and evaluate make of the same days.
    let day = |name: &str| folds[0][name].as_str().unwrap().to_string();
    let (from, to) = (day("train_from"), day("train_to"));
    desk.ok(&format!(
        "train --detector card --in a.parquet --train-from {from} --train-to {to} --trees 30 --out first.json"
    ));
    let (from, to) = (day("test_from"), day("test_to"));
    let evaluated = desk
        .ok(&format!(
            "evaluate --detector card --model first.json --in a.parquet --from {from} --to {to} --json"
        ))
        .json();
    assert_eq!(number(&evaluated["average_precision"]), precisions[0]);
}

#[test]
fn a_stretch_that_is_too_short_says_how_many_days_it_needs() {
    let desk = history("short");
    let said =
        fails(&desk, "validate --detector card --in a.parquet --folds 9 --train-days 90 --test-days 7");
    assert!(said.contains("need 160 days") && said.contains("there are"), "{said}");
    let said = fails(&desk, "compare --detector card --in a.parquet --from 2030-01-02 --to 2030-01-01");
    assert!(said.contains("expected a time after --from"), "{said}");
}

/// The shipped detector leaves PaySim's balances after the event out; who takes them in is told.
#[test]
fn a_balance_after_the_event_is_told() {
    let desk = Desk::new("leak");
    desk.ok("simulate --detector paysim --rows 40000 --seed 2 --out a.csv");
    let honest = desk.ok("train --detector paysim --in a.csv --trees 20 --out honest.json");
    assert!(!honest.err.contains("differ by exactly the amount"), "{}", honest.err);
    let text = desk.ok("detector show paysim").out;
    let leaky = text.replacen("[event.fields]", "[event.fields]\nnewbalanceOrig = \"number\"", 1);
    desk.write("leaky.toml", leaky.replacen("as_features = [", "as_features = [\"newbalanceOrig\", ", 1));
    let told = desk.ok("train --detector leaky.toml --in a.csv --trees 20 --out leaky.json");
    let expected = "warning: `newbalanceOrig` and `oldbalanceOrg` differ by exactly the amount in";
    assert!(told.err.contains(expected), "{}", told.err);
}

#[test]
fn what_a_threshold_costs_is_told() {
    let desk = history("costs");
    let train = "train --detector card --in a.parquet --trees 30 --out m.json --json";
    let figure =
        |asked: &str, name: &str| number(&desk.ok(&format!("{train} {asked}")).json()["metrics"][name]);
    assert!(figure("--review-recall 0.8", "review_recall") >= 0.8);
    assert!(figure("--review-precision 0.7", "review_precision") >= 0.7);
    assert!(figure("--review-budget 20", "reviews_per_day") <= 20.0);
    let cheap = figure("--review-cost 0.5", "reviews_per_day");
    let dear = figure("--review-cost 50", "reviews_per_day");
    assert!(cheap > dear, "reviews that cost more are fewer: {cheap} and {dear}");
    assert!(figure("--calibrate beta", "brier_calibrated") < 0.05);
}

#[test]
fn the_registry_keeps_folds_iterations_and_the_report_of_any_engine() {
    let desk = history("train_folds");
    for (algorithm, trees, looked_at) in [("gbdt", 120, 60), ("random-forest", 7, 7)] {
        let train = format!(
            "train --detector card --in a.parquet --algorithm {algorithm} --trees {trees} --folds 2 --register --registry r"
        );
        desk.ok(&format!("{train} --out m.json"));
        let model: Value = serde_json::from_str(&desk.text("m.json")).unwrap();
        let place = format!("r/card/{}", model["id"].as_str().unwrap());
        let facts: Value = serde_json::from_str(&desk.text(&format!("{place}/facts.json"))).unwrap();
        let iterations = facts["iterations"].as_array().unwrap();
        assert_eq!(iterations.len(), looked_at, "{iterations:?}");
        let last = &iterations[looked_at - 1];
        assert_eq!(number(&last["trees"]), f64::from(trees));
        for name in ["average_precision", "auc_roc"] {
            let of_fold = number(&facts["folds"][1]["metrics"][name]);
            assert!((number(&last["metrics"][name]) - of_fold).abs() < 1e-9, "{name}: {last} and {of_fold}");
        }
        assert!(number(&last["metrics"]["log_loss"]) < number(&iterations[0]["metrics"]["log_loss"]));
        assert!(desk.text(&format!("{place}/report.html")).starts_with("<!doctype html>"));
    }
}

#[test]
fn a_search_is_written_down_and_goes_on() {
    let desk = history("tune");
    let train =
        "train --detector card --in a.parquet --algorithm decision-tree --study a.study --out m.json --json";
    desk.ok(&format!("{train} --tune 3 --folds 2"));
    let first = desk.text("a.study");
    assert_eq!(first.lines().count(), 3, "{first}");
    let tuned = desk.ok(&format!("{train} --tune 6 --folds 2"));
    let study = desk.text("a.study");
    assert!(study.starts_with(&first) && study.lines().count() == 6, "{study}");
    assert_eq!(tuned.err.matches("trial ").count(), 6, "{}", tuned.err);
    // The model has the parameters of the best trial.
    let trials = study.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mean = |trial: &Value| {
        let folds: Vec<f64> = trial["folds"].as_array().unwrap().iter().map(number).collect();
        folds.iter().sum::<f64>() / folds.len() as f64
    };
    let whole = trials.filter(|trial| trial["pruned"] == false);
    let best = whole.max_by(|a, b| mean(a).total_cmp(&mean(b))).unwrap();
    let model: Value = serde_json::from_str(&desk.text("m.json")).unwrap();
    let depth = number(&best["parameters"]["max_depth"]);
    assert_eq!(model["parameters"]["max_depth"], depth.to_string());
    let said = fails(&desk, "train --detector card --in a.parquet --tune 3 --tune-by luck --out m.json");
    assert!(said.contains("expected tpe, random, or grid"), "{said}");
}
