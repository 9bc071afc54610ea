//! The online model against plain Python (fixtures/online/make_fixture.py), and what it promises.

use lab::online::{OnlineModel, Settings};
use serde_json::Value;

struct Step {
    row: Vec<f64>,
    fraud: bool,
    probability: f64,
}

fn fixture() -> (Settings, Vec<Step>) {
    let fixture: Value = serde_json::from_str(include_str!("../fixtures/online/expected.json")).unwrap();
    let steps = fixture["steps"].as_array().unwrap().iter().map(|step| Step {
        row: step["row"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap_or(f64::NAN)).collect(),
        fraud: step["fraud"].as_bool().unwrap(),
        probability: step["probability"].as_f64().unwrap(),
    });
    (serde_json::from_value(fixture["settings"].clone()).unwrap(), steps.collect())
}

#[test]
fn each_step_agrees_with_python() {
    let (settings, steps) = fixture();
    assert_eq!(steps.len(), 600);
    let mut model = OnlineModel::new(4, settings).unwrap();
    for (index, step) in steps.iter().enumerate() {
        let probability = model.probability(&step.row);
        assert!(
            (probability - step.probability).abs() < 1e-9,
            "{index}: {probability} is not {}",
            step.probability
        );
        model.learn(&step.row, step.fraud);
    }
}

#[test]
fn a_model_that_was_stored_goes_on_to_the_same_bits() {
    let (settings, steps) = fixture();
    let mut through = OnlineModel::new(4, settings).unwrap();
    let mut stored = through.clone();
    for step in &steps {
        through.learn(&step.row, step.fraud);
        stored = OnlineModel::from_json(&stored.to_json().unwrap()).unwrap();
        stored.learn(&step.row, step.fraud);
    }
    assert_eq!(stored.to_json().unwrap(), through.to_json().unwrap());
    assert_eq!(stored.labels(), 600);
}

/// Mean probability of frauds less that of genuine transactions, over steps from `first` on, each scored before it is learnt.
fn parting(model: &mut OnlineModel, steps: &[Step]) -> f64 {
    let (mut frauds, mut genuine) = (Vec::new(), Vec::new());
    for step in steps {
        let probability = model.probability(&step.row);
        if step.fraud {
            frauds.push(probability)
        } else {
            genuine.push(probability)
        }
        model.learn(&step.row, step.fraud);
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    mean(&frauds) - mean(&genuine)
}

#[test]
fn it_follows_a_world_that_turns_over() {
    let (settings, steps) = fixture();
    let mut model = OnlineModel::new(4, settings).unwrap();
    parting(&mut model, &steps[..150]);
    let before = parting(&mut model, &steps[150..300]);
    let turned = parting(&mut model, &steps[300..340]);
    parting(&mut model, &steps[340..450]);
    let after = parting(&mut model, &steps[450..]);
    assert!(before > 0.1 && after > 0.1, "{before} before, {after} after");
    assert!(turned < before / 2.0, "{turned} right after the turn, {before} before");
}

#[test]
fn every_mistake_is_named_at_once() {
    let wrong =
        Settings { rate: 0.0, l1: -1.0, genuine_share: 1.5, half_life: f64::NAN, ..Settings::default() };
    let mistakes = OnlineModel::new(3, wrong).unwrap_err().0;
    assert_eq!(mistakes.len(), 4, "{mistakes:?}");
    assert!(
        mistakes.contains(&"genuine_share = 1.5: expected a number above 0 and at most 1".to_owned()),
        "{mistakes:?}"
    );
    let stored = OnlineModel::new(1, Settings::default()).unwrap().to_json().unwrap();
    let mistakes =
        OnlineModel::from_json(&stored.replace("\"variance\":0.0", "\"variance\":-1.0")).unwrap_err();
    assert!(mistakes.to_string().starts_with("columns[0] = "), "{mistakes}");
}

#[test]
fn rows_that_are_short_or_infinite_are_missing_values() {
    let (settings, steps) = fixture();
    let mut model = OnlineModel::new(4, settings).unwrap();
    parting(&mut model, &steps);
    let whole = model.probability(&[1.0, f64::NAN, f64::NAN, f64::NAN]);
    assert_eq!(model.probability(&[1.0, f64::INFINITY]), whole);
    model.learn(&[f64::MAX, f64::NEG_INFINITY], true);
    assert!(model.to_json().is_ok());
}
