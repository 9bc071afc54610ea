//! Contributions against the `shap` package, XGBoost and LightGBM; `fixtures/explain/make_explain.py` made the numbers.

use forest::Forest;
use forest::explain::{Explainer, NotExplained, Scratch};
use serde_json::Value;

struct Fixture {
    numbers: Value,
    forest: Forest,
    rows: Vec<Vec<f64>>,
    background: Vec<f64>,
}

fn fixture(text: &str) -> Fixture {
    let numbers: Value = serde_json::from_str(text).expect("the fixture is JSON");
    let forest = Forest::from_json(&numbers["forest"].to_string()).expect("a sound forest");
    let (rows, background) = (table(&numbers["rows"]), table(&numbers["background"]).concat());
    Fixture { numbers, forest, rows, background }
}

fn xgboost() -> Fixture {
    fixture(include_str!("../fixtures/explain/xgboost.json"))
}

fn lightgbm() -> Fixture {
    fixture(include_str!("../fixtures/explain/lightgbm.json"))
}

fn categories() -> Fixture {
    fixture(include_str!("../fixtures/explain/categories.json"))
}

fn random_forest() -> Fixture {
    fixture(include_str!("../fixtures/explain/random_forest.json"))
}

/// Rows of numbers; null is missing.
fn table(value: &Value) -> Vec<Vec<f64>> {
    let row = |row: &Value| -> Vec<f64> {
        row.as_array().expect("a list").iter().map(|x| x.as_f64().unwrap_or(f64::NAN)).collect()
    };
    value.as_array().expect("a list").iter().map(row).collect()
}

impl Fixture {
    /// Compares contributions and expected value with another program's, relative to the largest of the row.
    fn check(&self, explainer: &Explainer, by: &str, tolerance: f64, expected_tolerance: f64) {
        let theirs = &self.numbers["contributions"][by];
        let expected = theirs["expected"].as_f64().expect("a number");
        let off = (explainer.expected() - expected).abs();
        assert!(off <= expected_tolerance, "{by}: expected {} against {expected}", explainer.expected());
        let mut scratch = Scratch::default();
        let mut ours = vec![0.0; explainer.feature_count()];
        for (row, theirs) in self.rows.iter().zip(table(&theirs["values"])) {
            explainer.explain(row, &mut scratch, &mut ours);
            let largest = theirs.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
            for (ours, theirs) in ours.iter().zip(theirs) {
                let off = (ours - theirs).abs();
                assert!(off <= tolerance * largest, "{by}: {ours} against {theirs}, off by {off:e}");
            }
        }
    }

    /// Contributions and expected value sum to the margin, in double precision.
    fn check_sums(&self, explainer: &Explainer) {
        // The same forest, adding in double precision.
        let text = self.forest.to_json().replace("\"summation\":\"single\"", "\"summation\":\"double\"");
        let scorer = Forest::from_json(&text).expect("a sound forest").scorer();
        let mut scratch = Scratch::default();
        let mut ours = vec![0.0; explainer.feature_count()];
        for row in &self.rows {
            explainer.explain(row, &mut scratch, &mut ours);
            let sum = explainer.expected() + ours.iter().sum::<f64>();
            let margin = scorer.margin(row, &mut forest::Scratch::default());
            assert!((sum - margin).abs() < 1e-12, "{sum} against {margin}");
        }
    }

    fn path_dependent(&self) -> Explainer {
        let explainer = Explainer::path_dependent(&self.forest).expect("covers are known");
        self.check_sums(&explainer);
        explainer
    }

    fn interventional(&self) -> Explainer {
        let explainer = Explainer::interventional(&self.forest, &self.background).expect("a background");
        self.check_sums(&explainer);
        explainer
    }
}

/// XGBoost's covers are single-precision sums: those of two children are not exactly that of their parent. Both
/// programs divide by the parent's. XGBoost's own expected value is in single precision.
#[test]
fn path_dependent_is_as_in_shap() {
    let xgboost = xgboost();
    xgboost.check(&xgboost.path_dependent(), "path_dependent", 1e-12, 1e-6);
    let lightgbm = lightgbm();
    lightgbm.check(&lightgbm.path_dependent(), "path_dependent", 1e-12, 1e-12);
    let random_forest = random_forest();
    random_forest.check(&random_forest.path_dependent(), "path_dependent", 1e-9, 1e-12);
}

/// The package keeps the weights of orders in single precision here: its contributions add up to 1e-7, ours to 1e-12.
#[test]
fn interventional_is_as_in_shap() {
    for fixture in [xgboost(), lightgbm(), random_forest()] {
        fixture.check(&fixture.interventional(), "interventional", 1e-6, 1e-12);
    }
}

/// XGBoost computes and answers in single precision.
#[test]
fn path_dependent_is_as_in_xgboost() {
    let xgboost = xgboost();
    xgboost.check(&xgboost.path_dependent(), "library", 2e-5, 1e-6);
}

#[test]
fn path_dependent_is_as_in_lightgbm() {
    for fixture in [lightgbm(), categories()] {
        fixture.check(&fixture.path_dependent(), "library", 1e-12, 1e-12);
    }
}

#[test]
fn interventional_sums_with_categories() {
    categories().interventional();
}

#[test]
fn covers_can_be_taken_from_rows() {
    let Fixture { forest, rows, background, .. } = lightgbm();
    let document = forest.to_json();
    let without = without_covers(&document);
    let forest = Forest::from_json(&without).expect("a sound forest");
    let refusal = Explainer::path_dependent(&forest).expect_err("no covers");
    assert_eq!(refusal, NotExplained::NoCover { tree: 0 });
    assert!(refusal.to_string().contains("explain with background rows"), "{refusal}");

    let explainer = Explainer::path_dependent(&forest.with_covers_from(&background)).expect("covers");
    let scorer = forest.scorer();
    let mut scratch = forest::Scratch::default();
    let margins = background.chunks_exact(10).map(|row| scorer.margin(row, &mut scratch));
    let mean = margins.sum::<f64>() / (background.len() / 10) as f64;
    assert!((explainer.expected() - mean).abs() < 1e-12, "{} against {mean}", explainer.expected());
    let mut ours = vec![0.0; 10];
    for row in &rows {
        explainer.explain(row, &mut Scratch::default(), &mut ours);
        let sum = explainer.expected() + ours.iter().sum::<f64>();
        assert!((sum - scorer.margin(row, &mut scratch)).abs() < 1e-12);
    }
}

/// The document with every cover set to 0.
fn without_covers(document: &str) -> String {
    let mut document: Value = serde_json::from_str(document).expect("JSON");
    for tree in document["trees"].as_array_mut().expect("trees") {
        tree["nodes"].as_array_mut().expect("nodes").iter_mut().for_each(|node| node["cover"] = 0.into());
    }
    document.to_string()
}

#[test]
fn an_interventional_explanation_needs_whole_rows() {
    let Fixture { forest, background, .. } = lightgbm();
    for values in [&background[..0], &background[..15]] {
        let refusal = Explainer::interventional(&forest, values).expect_err("no background");
        assert_eq!(refusal, NotExplained::NoBackground { features: 10, values: values.len() });
    }
}

/// A tree that is one chain of splits, asking for the features in turn.
fn chain(length: usize, features: usize) -> Forest {
    let names: Vec<String> = (0..features).map(|at| format!("\"f{at}\"")).collect();
    let mut nodes = Vec::new();
    for at in 0..length {
        let (left, right) = (2 * at + 1, 2 * at + 2);
        let (feature, below, cover) = (at % features, at as f64 / length as f64, length - at + 1);
        nodes.push(format!(
            r#"{{"feature":{feature},"below":{below},"missing":"left","left":{left},"right":{right},"gain":0,"cover":{cover}}}"#
        ));
        nodes.push(format!(r#"{{"leaf":{below},"cover":1}}"#));
    }
    nodes.push(r#"{"leaf":1,"cover":1}"#.to_owned());
    let text = format!(
        r#"{{"format":"redflag-forest","version":2,"features":[{}],"values":"double",
"output":{{"summation":"double","start":0,"divisor":1,"scale":1,"bias":0,"link":"identity"}},
"trees":[{{"nodes":[{}]}}]}}"#,
        names.join(","),
        nodes.join(",")
    );
    Forest::from_json(&text).expect("a sound forest")
}

fn check_chain(length: usize, features: usize) {
    let forest = chain(length, features);
    let explainer = Explainer::path_dependent(&forest).expect("covers are known");
    let row: Vec<f64> = (0..features).map(|at| 0.3 + 0.6 * at as f64 / features as f64).collect();
    let mut ours = vec![0.0; features];
    explainer.explain(&row, &mut Scratch::default(), &mut ours);
    let sum = explainer.expected() + ours.iter().sum::<f64>();
    let margin = forest.scorer().margin(&row, &mut forest::Scratch::default());
    assert!((sum - margin).abs() < 1e-9, "{length} splits, {features} features: {sum} against {margin}");
}

#[test]
fn long_chains_are_explained() {
    check_chain(100_000, 14);
    check_chain(1_000, 100);
    check_chain(2_000, 1_000);
}

#[test]
fn a_path_of_too_many_features_is_refused() {
    let forest = chain(5_000, 5_000);
    let refusal = Explainer::path_dependent(&forest).expect_err("too many");
    assert_eq!(refusal, NotExplained::TooManyFeatures { tree: 0, features: 5_000, most: 4_096 });
    let refusal = Explainer::interventional(&chain(65, 65), &[0.5; 65]).expect_err("too many");
    assert_eq!(refusal, NotExplained::TooManyFeatures { tree: 0, features: 65, most: 64 });
}
