//! Signs that features know the answer, or that the test has been seen.
//!
//! Fraud is rare and hard to tell: on transactions as they come in, an average precision above 0.9 means that something knows
//! the label, as PaySim's balances after the event do, until shown otherwise.

use std::collections::HashSet;

use anyhow::Result;
use engine::detector::{Definition, Detector, Feature, Source};
use forest::grow::{self, Algorithm, History, Params, Table};
use serde::Serialize;

use crate::evaluate::metrics::Ranking;
use crate::random::Stream;
use crate::train::{TrainingSet, cores, score_all};

/// What is too good to be true.
const TOO_GOOD: f64 = 0.9;

/// A feature carries a model if mixing up its values takes so much of the average precision away.
const CARRIES: f64 = 0.1;

/// Of two fields that have nothing to do with each other, far fewer rows differ by the amount to the cent.
const AFTER: f64 = 0.2;
const CENT: f64 = 0.005;

/// Rows by which pairs of fields are looked at.
const PAIR_ROWS: usize = 5_000;

/// The share of the time that a quick model is judged by, at its end.
const HELD_OUT: f64 = 0.25;

/// Genuine rows for each fraud that a quick model is grown on, at most.
const GENUINE_BY_FRAUD: usize = 50;

/// Trees of the quick model.
const TREES: usize = 50;

/// A sign of a leak.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "sign")]
pub enum Leak {
    /// One feature alone ranks frauds first.
    Alone {
        /// Its name.
        feature: String,
        /// Of ranking by its values, or by their negatives.
        average_precision: f64,
    },
    /// A quick model ranks frauds first, and cannot without this feature.
    Carries {
        /// Its name.
        feature: String,
        /// Of the model.
        average_precision: f64,
        /// Of the model with the feature's values mixed up.
        without: f64,
    },
    /// Two fields of an event differ by its amount: one of them is a state after the event.
    After {
        /// One of them.
        first: String,
        /// The other.
        second: String,
        /// The share of the rows of which it is so.
        share: f64,
    },
    /// Rows of the test that are, but for their time, rows of the training.
    SharedRows {
        /// How many.
        rows: usize,
        /// Of how many.
        of: usize,
    },
}

impl std::fmt::Display for Leak {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Leak::Alone { feature, average_precision } => write!(
                f,
                "`{feature}` alone ranks frauds with an average precision of {average_precision:.3}: it seems to know the \
                 label"
            ),
            Leak::Carries { feature, average_precision, without } => write!(
                f,
                "a quick model reaches an average precision of {average_precision:.3}, and {without:.3} without \
                 `{feature}`: it seems to know the label"
            ),
            Leak::After { first, second, share } => write!(
                f,
                "`{first}` and `{second}` differ by exactly the amount in {:.0} % of the rows: one of them is a state \
                 after the event, which nobody knows when it must be decided",
                100.0 * share
            ),
            Leak::SharedRows { rows, of } => {
                write!(f, "{rows} of {of} test rows are, but for their time, rows of the training as well")
            }
        }
    }
}

/// Looks for features that know the label, or what is known only after the event.
///
/// # Errors
/// If a feature has infinite values.
pub fn in_features(detector: &Detector, set: &TrainingSet) -> Result<Vec<Leak>> {
    let names = detector.feature_names();
    let is_number = |feature: &Feature| matches!(feature.definition, Definition::Field(Source::Number(_)));
    let numbers: Vec<usize> =
        (0..names.len()).filter(|column| is_number(&detector.features[*column])).collect();
    let mut leaks = after(set, &numbers, &names);
    leaks.extend(answers(set, &names)?);
    Ok(leaks)
}

/// Pairs of fields that differ by the amount.
fn after(set: &TrainingSet, fields: &[usize], names: &[String]) -> Vec<Leak> {
    let step = set.len().div_ceil(PAIR_ROWS).max(1);
    let mut leaks = Vec::new();
    for (at, first) in fields.iter().enumerate() {
        for second in &fields[at + 1..] {
            let values = |row: usize| (set.columns[*first][row], set.columns[*second][row], set.amounts[row]);
            let of_note = |(a, b, amount): &(f64, f64, f64)| amount.abs() > CENT && (*a != 0.0 || *b != 0.0);
            let noted: Vec<(f64, f64, f64)> =
                (0..set.len()).step_by(step).map(values).filter(of_note).collect();
            let differ = |(a, b, amount): &&(f64, f64, f64)| ((a - b).abs() - amount.abs()).abs() < CENT;
            let share = noted.iter().filter(differ).count() as f64 / noted.len().max(1) as f64;
            if share > AFTER {
                let (first, second) = (names[*first].clone(), names[*second].clone());
                leaks.push(Leak::After { first, second, share });
            }
        }
    }
    leaks
}

/// Features that tell the label.
fn answers(set: &TrainingSet, names: &[String]) -> Result<Vec<Leak>> {
    let (learnt, held_out) = set.split(set.cut(HELD_OUT));
    if !learnt.has_both() || !held_out.has_both() {
        return Ok(Vec::new());
    }
    let alone = names.iter().zip(&held_out.columns).filter_map(|(name, column)| {
        let average_precision = alone(column, &held_out.labels);
        (average_precision > TOO_GOOD).then(|| Leak::Alone { feature: name.clone(), average_precision })
    });
    let alone: Vec<Leak> = alone.collect();
    if alone.is_empty() { carried(&learnt, held_out, names) } else { Ok(alone) }
}

/// The better average precision of ranking by a column and by its negative; missing is last.
fn alone(column: &[f64], labels: &[bool]) -> f64 {
    let ranked_by = |sign: f64| {
        let score = |value: &f64| if value.is_nan() { f64::NEG_INFINITY } else { sign * value };
        let scores: Vec<f64> = column.iter().map(score).collect();
        Ranking::new(&scores, labels).map_or(0.0, |ranking| ranking.average_precision())
    };
    ranked_by(1.0).max(ranked_by(-1.0))
}

/// The features without which a quick model that is too good is not.
fn carried(learnt: &TrainingSet, mut held_out: TrainingSet, names: &[String]) -> Result<Vec<Leak>> {
    let kept = thinned(learnt);
    let table = Table { columns: &kept.columns, labels: &kept.labels, names, weights: None };
    let params = Params { trees: TREES, ..Params::defaults(Algorithm::Gbdt) };
    let forest = grow::grow_from(&table, &params, History::default(), cores(), &mut |_| {})?;
    let scorer = forest.scorer();
    let precision = |set: &TrainingSet| {
        Ranking::new(&score_all(&scorer, set), &set.labels).map(|r| r.average_precision())
    };
    let average_precision = precision(&held_out)?;
    let mut leaks = Vec::new();
    if average_precision <= TOO_GOOD {
        return Ok(leaks);
    }
    for (column, name) in names.iter().enumerate() {
        let own = held_out.columns[column].clone();
        mix(&mut held_out.columns[column], column as u64);
        let without = precision(&held_out)?;
        held_out.columns[column] = own;
        if average_precision - without > CARRIES {
            leaks.push(Leak::Carries { feature: name.clone(), average_precision, without });
        }
    }
    Ok(leaks)
}

/// All frauds and some genuine rows, evenly over the time.
fn thinned(set: &TrainingSet) -> TrainingSet {
    let genuine = set.len() - set.frauds();
    let step = genuine.div_ceil(set.frauds() * GENUINE_BY_FRAUD).max(1);
    let mut met = 0;
    let rows = (0..set.len()).filter(|row| {
        met += usize::from(!set.labels[*row]);
        set.labels[*row] || met % step == 0
    });
    set.select(&rows.collect::<Vec<_>>())
}

/// Fisher and Yates' shuffle.
pub(crate) fn mix(values: &mut [f64], number: u64) {
    let mut chance = Stream::at(0, MIX, number, 0);
    for last in (1..values.len()).rev() {
        values.swap(last, chance.below(last as u32 + 1) as usize);
    }
}

/// The purpose of its random numbers.
const MIX: u64 = u64::from_le_bytes(*b"leak mix");

/// Looks for rows that training and test have in common: a file that holds transactions twice, or a set that was made by
/// drawing.
pub fn between(train: &TrainingSet, test: &TrainingSet) -> Option<Leak> {
    let row_of = |set: &TrainingSet, row: usize| -> Vec<u64> {
        let features = set.columns.iter().map(|column| column[row].to_bits());
        features.chain([set.amounts[row].to_bits(), u64::from(set.cards[row])]).collect()
    };
    let known: HashSet<Vec<u64>> = (0..train.len()).map(|row| row_of(train, row)).collect();
    let rows = (0..test.len()).filter(|row| known.contains(&row_of(test, *row))).count();
    (rows > 0).then_some(Leak::SharedRows { rows, of: test.len() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Row;

    /// Four thousand rows with a fraud in forty; each column is made of the row's number, its label, and chance.
    fn set(columns: &[&dyn Fn(usize, bool, f64) -> f64]) -> TrainingSet {
        let mut set = TrainingSet::new(columns.len(), None);
        let mut chance = Stream::at(7, 0, 0, 0);
        for row in 0..4_000 {
            let fraud = chance.below(40) == 0;
            let features: Vec<f64> =
                columns.iter().map(|value| value(row, fraud, chance.uniform())).collect();
            set.push(Row { time_us: row as i64, fraud, ..Row::default() }, &features);
        }
        set
    }

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("f{number}")).collect()
    }

    #[test]
    fn honest_features_are_left_alone() {
        let helps = |_: usize, fraud: bool, chance: f64| chance + if fraud { 0.3 } else { 0.0 };
        let noise = |_: usize, _: bool, chance: f64| chance;
        assert_eq!(answers(&set(&[&helps, &noise]), &names(2)).unwrap(), []);
    }

    #[test]
    fn a_feature_that_is_the_label_is_named() {
        let noise = |_: usize, _: bool, chance: f64| chance;
        let answer = |_: usize, fraud: bool, chance: f64| if fraud { -5.0 } else { chance };
        let leaks = answers(&set(&[&noise, &answer]), &names(2)).unwrap();
        assert!(matches!(&leaks[..], [Leak::Alone { feature, .. }] if feature == "f1"), "{leaks:?}");
    }

    /// As PaySim's: the account is empty after a fraud, and after many a small genuine payment.
    #[test]
    fn features_that_know_the_label_only_together_are_named() {
        let before = |row: usize, _: bool, _: f64| 100.0 + (row * 37 % 900) as f64;
        let after = |row: usize, fraud: bool, chance: f64| match (fraud, row.is_multiple_of(7)) {
            (true, _) => 0.0,
            (false, true) => 1.0,
            (false, false) => 50.0 + chance * 800.0,
        };
        let leaks = answers(&set(&[&before, &after]), &names(2)).unwrap();
        assert!(leaks.iter().any(|leak| leak.to_string().contains("`f1`")), "{leaks:?}");
    }

    #[test]
    fn a_balance_before_and_one_after_are_told() {
        let before = |row: usize, _: bool, _: f64| 100.0 + (row * 37 % 900) as f64;
        let after_it =
            |row: usize, _: bool, _: f64| 100.0 + (row * 37 % 900) as f64 - 12.5 * (row % 2) as f64;
        let mut set = set(&[&before, &after_it]);
        set.amounts.fill(12.5);
        let leaks = after(&set, &[0, 1], &names(2));
        assert!(matches!(&leaks[..], [Leak::After { share, .. }] if (0.4..0.6).contains(share)), "{leaks:?}");
        set.amounts.fill(13.0);
        assert_eq!(after(&set, &[0, 1], &names(2)), []);
    }

    #[test]
    fn rows_in_both_parts_are_counted() {
        let noise = |_: usize, _: bool, chance: f64| chance;
        let whole = set(&[&noise]);
        let train = whole.select(&(0..3_000).collect::<Vec<_>>());
        let test = whole.select(&(2_990..4_000).collect::<Vec<_>>());
        assert_eq!(between(&train, &test), Some(Leak::SharedRows { rows: 10, of: 1_010 }));
        assert_eq!(between(&train, &whole.select(&(3_000..4_000).collect::<Vec<_>>())), None);
    }
}
