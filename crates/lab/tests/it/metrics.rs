//! The metrics against scikit-learn (fixtures/metrics/make_fixture.py), and what they refuse.

use lab::evaluate::metrics::{
    BestF1, Confusion, CurvePoint, MetricError, Ranking, brier, calibration_error, log_loss, reliability,
    thin,
};
use proptest::prelude::*;
use serde_json::Value;

/// Both sides sum 2,000 doubles, in different orders.
const TOLERANCE: f64 = 1e-9;

fn rows() -> (Vec<f64>, Vec<bool>) {
    let lines = include_str!("../fixtures/metrics/scores.csv").lines().skip(1);
    lines
        .map(|line| {
            let (score, label) = line.split_once(',').unwrap();
            (score.parse::<f64>().unwrap(), label == "1")
        })
        .unzip()
}

fn expected() -> Value {
    serde_json::from_str(include_str!("../fixtures/metrics/expected.json")).unwrap()
}

#[track_caller]
fn near(found: f64, expected: &Value) {
    let expected = expected.as_f64().unwrap();
    assert!((found - expected).abs() <= TOLERANCE, "found {found}, scikit-learn says {expected}");
}

#[test]
fn single_figures_agree_with_scikit_learn() {
    let ((scores, labels), expected) = (rows(), expected());
    let ranking = Ranking::new(&scores, &labels).unwrap();
    near(ranking.auc_roc(), &expected["auc_roc"]);
    near(ranking.average_precision(), &expected["average_precision"]);
    near(ranking.best_f1().f1, &expected["best_f1"]);
    near(ranking.best_f1().threshold, &expected["best_f1_threshold"]);
    near(log_loss(&scores, &labels).unwrap(), &expected["log_loss"]);
    near(brier(&scores, &labels).unwrap(), &expected["brier"]);
    for pair in expected["recall_at_fpr"].as_array().unwrap() {
        near(ranking.recall_at_fpr(pair[0].as_f64().unwrap()), &pair[1]);
    }
    for pair in expected["precision_at_recall"].as_array().unwrap() {
        near(ranking.precision_at_recall(pair[0].as_f64().unwrap()), &pair[1]);
    }
}

#[test]
fn curves_agree_with_scikit_learn() {
    let ((scores, labels), expected) = (rows(), expected());
    let ranking = Ranking::new(&scores, &labels).unwrap();
    let curves =
        [("roc_curve", ranking.roc_curve()), ("precision_recall_curve", ranking.precision_recall_curve())];
    for (name, curve) in curves {
        let wanted = &expected[name];
        // Ours begins with the point where nothing is predicted fraud.
        assert_eq!(curve.len() as u64 - 1, wanted["points"].as_u64().unwrap(), "{name}");
        for (point, want) in curve[1..].iter().step_by(10).zip(wanted["every_tenth"].as_array().unwrap()) {
            near(point.threshold, &want[0]);
            near(point.x, &want[1]);
            near(point.y, &want[2]);
        }
    }
}

#[test]
fn confusion_agrees_with_scikit_learn() {
    let ((scores, labels), expected) = (rows(), expected());
    for want in expected["confusion"].as_array().unwrap() {
        let found = Confusion::at(want["threshold"].as_f64().unwrap(), &scores, &labels).unwrap();
        let counts =
            [found.true_positives, found.false_positives, found.true_negatives, found.false_negatives];
        assert_eq!(serde_json::json!(counts), want["counts"]);
        near(found.precision(), &want["precision"]);
        near(found.recall(), &want["recall"]);
        near(found.f1(), &want["f1"]);
        near(found.accuracy(), &want["accuracy"]);
        near(found.false_positive_rate(), &want["false_positive_rate"]);
    }
}

#[test]
fn reliability_agrees_with_scikit_learn() {
    let ((scores, labels), expected) = (rows(), expected());
    let diagram = reliability(&scores, &labels, 10).unwrap();
    let wanted = expected["reliability"].as_array().unwrap();
    let filled: Vec<_> = diagram.iter().filter(|bin| bin.rows > 0).collect();
    assert_eq!(filled.len(), wanted.len());
    for (bin, want) in filled.into_iter().zip(wanted) {
        near(bin.mean_score, &want[0]);
        near(bin.fraud_share, &want[1]);
    }
    assert_eq!(diagram.iter().map(|bin| bin.rows).sum::<u64>(), 2_000);
    assert!(calibration_error(&diagram) > 0.0);
}

#[test]
fn equal_scores_cannot_be_ranked() {
    let ranking = Ranking::new(&[0.5; 4], &[true, false, false, false]).unwrap();
    assert_eq!(ranking.auc_roc(), 0.5);
    assert_eq!(ranking.average_precision(), 0.25);
    assert_eq!(ranking.recall_at_fpr(0.5), 0.0);
    assert_eq!(ranking.best_f1(), BestF1 { threshold: 0.5, f1: 0.4 });
    let zeros = Ranking::new(&[0.0, -0.0], &[true, false]).unwrap();
    assert_eq!(zeros.auc_roc(), 0.5, "0 and -0 are equal");
}

#[test]
fn margins_rank_as_well_as_probabilities() {
    let ranking =
        Ranking::new(&[f64::INFINITY, 3.0, -2.5, f64::NEG_INFINITY], &[true, true, false, false]).unwrap();
    assert_eq!((ranking.auc_roc(), ranking.average_precision()), (1.0, 1.0));
    assert_eq!(ranking.recall_at_fpr(0.0), 1.0);
    let corner = CurvePoint { threshold: 3.0, x: 0.0, y: 1.0 };
    assert_eq!(ranking.roc_curve()[2], corner);
}

#[test]
fn a_certain_mistake_costs_36_nats_not_infinity() {
    let loss = log_loss(&[0.0], &[true]).unwrap();
    assert!((loss - 36.043_653_389_117_15).abs() < TOLERANCE);
}

#[test]
fn a_thinned_curve_keeps_its_ends_and_its_shape() {
    let (scores, labels) = rows();
    let curve = Ranking::new(&scores, &labels).unwrap().roc_curve();
    let thinned = thin(&curve, 0.05);
    assert!(thinned.len() <= 42 && thinned.len() > 5, "{} points", thinned.len());
    assert_eq!((thinned.first(), thinned.last()), (curve.first(), curve.last()));
}

#[track_caller]
fn refuses<T: std::fmt::Debug>(result: Result<T, MetricError>, message: &str) {
    assert_eq!(result.unwrap_err().to_string(), message);
}

#[test]
fn what_has_no_value_says_why() {
    refuses(Ranking::new(&[0.1], &[true, false]), "1 scores for 2 labels");
    refuses(Ranking::new(&[], &[]), "no rows to evaluate");
    refuses(Ranking::new(&[0.1, f64::NAN], &[true, false]), "score of row 1 is not a number");
    refuses(
        Ranking::new(&[0.1, 0.2], &[false, false]),
        "all 2 rows are genuine, so the classes cannot be compared",
    );
    refuses(Ranking::new(&[0.1], &[true]), "all 1 rows are fraud, so the classes cannot be compared");
    refuses(log_loss(&[0.5, 1.5], &[true, false]), "score 1.5 of row 1 is not a probability between 0 and 1");
    refuses(brier(&[-0.1], &[true]), "score -0.1 of row 0 is not a probability between 0 and 1");
    refuses(reliability(&[], &[], 10), "no rows to evaluate");
    refuses(Confusion::at(0.5, &[f64::NAN], &[true]), "score of row 0 is not a number");
}

proptest! {
    /// The definition, pair by pair: the share of (fraud, genuine) pairs in the right order, ties half.
    #[test]
    fn auc_is_the_chance_of_ranking_a_pair_rightly(
        rows in prop::collection::vec((0u8..6, any::<bool>()), 2..60)
    ) {
        let scores: Vec<f64> = rows.iter().map(|(score, _)| f64::from(*score)).collect();
        let labels: Vec<bool> = rows.iter().map(|(_, label)| *label).collect();
        let Ok(ranking) = Ranking::new(&scores, &labels) else { return Ok(()) };
        let of = |class: bool| rows.iter().filter(move |row| row.1 == class).map(|row| row.0);
        let (mut right, mut pairs) = (0.0, 0.0);
        for fraud in of(true) {
            for genuine in of(false) {
                pairs += 1.0;
                right += if fraud > genuine { 1.0 } else if fraud == genuine { 0.5 } else { 0.0 };
            }
        }
        prop_assert!((ranking.auc_roc() - right / pairs).abs() < 1e-12);
    }

    /// A confusion at the best threshold has the best F1, and no threshold has a better one.
    #[test]
    fn best_f1_is_reached_and_never_passed(
        rows in prop::collection::vec((0u8..6, any::<bool>()), 2..60)
    ) {
        let scores: Vec<f64> = rows.iter().map(|(score, _)| f64::from(*score)).collect();
        let labels: Vec<bool> = rows.iter().map(|(_, label)| *label).collect();
        let Ok(ranking) = Ranking::new(&scores, &labels) else { return Ok(()) };
        let best = ranking.best_f1();
        prop_assert_eq!(Confusion::at(best.threshold, &scores, &labels).unwrap().f1(), best.f1);
        for threshold in &scores {
            prop_assert!(Confusion::at(*threshold, &scores, &labels).unwrap().f1() <= best.f1);
        }
    }
}
