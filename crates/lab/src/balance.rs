//! Training sets with a larger share of frauds: fewer genuine transactions, or synthetic frauds.
//!
//! Only what is learnt from is ever balanced, never what is tested on. A model that was grown on a balanced set takes fraud for
//! more frequent than it is; [`prior_shift`] says by how much its margins are off.

use std::ops::RangeInclusive;

use anyhow::{Result, ensure};

use crate::random::Stream;
use crate::train::TrainingSet;
use neighbours::Points;
use synthetic::Synthetic;
pub(crate) use synthetic::{Draws, most_frequent};

/// Nearest neighbours.
mod neighbours;
/// SMOTE and its relatives.
mod synthetic;

/// How a training set is balanced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Genuine transactions are left out, by chance.
    UnderSample,
    /// Synthetic frauds between frauds.
    Smote,
    /// The same with categories, which are taken from the neighbours.
    SmoteNc,
    /// Synthetic frauds where frauds are surrounded by genuine transactions.
    BorderlineSmote,
    /// More synthetic frauds where more genuine transactions are near.
    Adasyn,
}

impl Method {
    /// All of them, by the names that people use.
    pub const ALL: [(&str, Method); 5] = [
        ("under", Method::UnderSample),
        ("smote", Method::Smote),
        ("smote-nc", Method::SmoteNc),
        ("borderline-smote", Method::BorderlineSmote),
        ("adasyn", Method::Adasyn),
    ];

    /// The one of that name.
    pub fn named(name: &str) -> Option<Method> {
        Method::ALL.iter().find(|(known, _)| *known == name).map(|(_, method)| *method)
    }
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = Method::ALL.iter().find(|(_, method)| method == self).map(|(name, _)| *name);
        f.write_str(name.unwrap_or_default())
    }
}

/// A way to balance a training set, with its parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Balance {
    /// How.
    pub method: Method,
    /// The share of frauds that is wanted, above 0 and at most a half.
    pub fraud_share: f64,
    /// Neighbours of a fraud among which another is chosen.
    pub neighbours: usize,
    /// Seed of everything random.
    pub seed: u64,
}

/// Shares of frauds that can be asked for.
pub const FRAUD_SHARES: RangeInclusive<f64> = 0.0001..=0.5;

impl Balance {
    /// This method up to as many frauds as genuine transactions, with five neighbours.
    pub fn new(method: Method) -> Balance {
        Balance { method, fraud_share: 0.5, neighbours: 5, seed: 0 }
    }

    /// The set with the wanted share of frauds; as it is if it has that many. `categorical` are the columns whose numbers name
    /// categories. A synthetic row has the time, amount and card of the fraud that it begins at, and
    /// follows all others.
    ///
    /// # Errors
    /// If a parameter is out of range, or the set has too few frauds for the method.
    pub fn apply(&self, set: &TrainingSet, categorical: &[usize]) -> Result<TrainingSet> {
        let share = self.fraud_share;
        ensure!(FRAUD_SHARES.contains(&share), "the share of frauds must be from 0.0001 to 0.5, not {share}");
        ensure!(
            (1..=100).contains(&self.neighbours),
            "neighbours must be from 1 to 100, not {}",
            self.neighbours
        );
        let (frauds, genuine) = (set.frauds(), set.len() - set.frauds());
        ensure!(
            frauds > 0 && genuine > 0,
            "balancing needs frauds and genuine transactions, and there are {frauds} frauds among {}",
            set.len()
        );
        let odds = share / (1.0 - share);
        let mut chance = Chance(Stream::at(self.seed, BALANCE, 0, 0));
        if self.method == Method::UnderSample {
            let kept = (frauds as f64 / odds) as usize;
            return Ok(under_sample(set, kept.min(genuine), &mut chance));
        }
        let count = ((genuine as f64 * odds) as usize).saturating_sub(frauds);
        if count == 0 { Ok(set.clone()) } else { self.add_frauds(set, categorical, count, &mut chance) }
    }

    fn add_frauds(
        &self,
        set: &TrainingSet,
        categorical: &[usize],
        count: usize,
        draws: &mut impl Draws,
    ) -> Result<TrainingSet> {
        let rows: Vec<usize> = (0..set.len()).filter(|row| set.labels[*row]).collect();
        let named: &[usize] = if self.method == Method::SmoteNc { categorical } else { &[] };
        let k = self.neighbours;
        let (synthetic, near) = match self.method {
            Method::BorderlineSmote => {
                let points = points(set, &(0..set.len()).collect::<Vec<_>>(), &[]);
                (synthetic::borderline_smote(&points, &set.labels, count, k, draws)?, Vec::new())
            }
            Method::Adasyn => {
                let points = points(set, &(0..set.len()).collect::<Vec<_>>(), &[]);
                (synthetic::adasyn(&points, &set.labels, count, k, draws)?, Vec::new())
            }
            _ => synthetic::smote(&points(set, &rows, named), count, k, draws)?,
        };
        let mut balanced = set.clone();
        for (column, values) in balanced.columns.iter_mut().enumerate() {
            let value = |fraud: usize| set.columns[column][rows[fraud]];
            if named.contains(&column) {
                let categories = |row: &Synthetic| near[row.base].iter().map(|fraud| value(*fraud));
                values.extend(synthetic.iter().map(|row| most_frequent(categories(row), draws)));
            } else {
                values.extend(synthetic.iter().map(|row| row.between(value(row.base), value(row.towards))));
            }
        }
        balanced.labels.resize(set.len() + synthetic.len(), true);
        let bases = || synthetic.iter().map(|row| rows[row.base]);
        balanced.times_us.extend(bases().map(|row| set.times_us[row]));
        balanced.amounts.extend(bases().map(|row| set.amounts[row]));
        balanced.cards.extend(bases().map(|row| set.cards[row]));
        Ok(balanced)
    }
}

/// By how much the margins (log odds) of a model are too high that was grown on `balanced` instead of `set`: Elkan, "The
/// foundations of cost-sensitive learning", 2001, theorem 2.
pub fn prior_shift(set: &TrainingSet, balanced: &TrainingSet) -> f64 {
    let log_odds = |set: &TrainingSet| (set.frauds() as f64 / (set.len() - set.frauds()) as f64).ln();
    log_odds(balanced) - log_odds(set)
}

/// The purpose of its random numbers.
const BALANCE: u64 = u64::from_le_bytes(*b"balance ");

struct Chance(Stream);

impl Draws for Chance {
    fn below(&mut self, count: usize) -> usize {
        self.0.below(count as u32) as usize
    }

    fn gap(&mut self) -> f64 {
        self.0.uniform()
    }
}

/// All frauds and so many genuine rows, in their order.
fn under_sample(set: &TrainingSet, kept: usize, draws: &mut impl Draws) -> TrainingSet {
    let mut left = set.len() - set.frauds();
    let mut wanted = kept;
    // Knuth, "The Art of Computer Programming", 3.4.2, algorithm S.
    let mut is_kept = |is_fraud: bool| {
        if is_fraud {
            return true;
        }
        let taken = draws.below(left) < wanted;
        left -= 1;
        wanted -= usize::from(taken);
        taken
    };
    let rows: Vec<usize> = (0..set.len()).filter(|row| is_kept(set.labels[*row])).collect();
    set.select(&rows)
}

/// Rows as points: every column less its mean and divided by its standard deviation, missing as the mean, so that no unit
/// outweighs another; and those that name categories.
fn points(set: &TrainingSet, rows: &[usize], categorical: &[usize]) -> Points {
    let is_number = |column: &usize| !categorical.contains(column);
    let numbers = (0..set.columns.len()).filter(is_number);
    let numbers = numbers.map(|column| standardised(&set.columns[column], rows)).collect();
    let words = |column: &usize| rows.iter().map(|row| set.columns[*column][*row]).collect();
    encoded(numbers, &categorical.iter().map(words).collect::<Vec<_>>())
}

/// Columns as points. A column of categories becomes a coordinate for each, such that two points of different categories are
/// as far apart as the median standard deviation of the columns of numbers (SMOTE-NC).
fn encoded(numbers: Vec<Vec<f64>>, categories: &[Vec<f64>]) -> Points {
    let mut deviations: Vec<f64> = numbers.iter().map(|column| mean_and_deviation(column).1).collect();
    let weight = median(&mut deviations) / std::f64::consts::SQRT_2;
    let categories = categories.iter().flat_map(|column| one_hot(column, weight));
    let columns: Vec<Vec<f64>> = numbers.into_iter().chain(categories).collect();
    let rows = columns.first().map_or(0, Vec::len);
    let values = (0..rows).flat_map(|row| columns.iter().map(move |column| column[row])).collect();
    Points { values, dimensions: columns.len() }
}

/// SMOTE between rows of one class: `count` synthetic rows, and each row's `k` nearest. Columns of numbers are standardised, those
/// of words are categories.
///
/// # Errors
/// If there are no more than `k` rows.
pub(crate) fn between_rows(
    numbers: &[&[f64]],
    words: &[&[f64]],
    count: usize,
    k: usize,
    draws: &mut impl Draws,
) -> Result<(Vec<Synthetic>, Vec<Vec<usize>>)> {
    let rows: Vec<usize> =
        (0..numbers.iter().chain(words).map(|column| column.len()).next().unwrap_or(0)).collect();
    let numbers = numbers.iter().map(|column| standardised(column, &rows)).collect();
    let words: Vec<Vec<f64>> = words.iter().map(|column| column.to_vec()).collect();
    Ok(synthetic::smote(&encoded(numbers, &words), count, k, draws)?)
}

fn standardised(column: &[f64], rows: &[usize]) -> Vec<f64> {
    let values: Vec<f64> = rows.iter().map(|row| column[*row]).collect();
    let (mean, deviation) = mean_and_deviation(&values);
    let scale = if deviation > 0.0 { 1.0 / deviation } else { 1.0 };
    values.iter().map(|value| if value.is_nan() { 0.0 } else { (value - mean) * scale }).collect()
}

/// Of what is not missing.
fn mean_and_deviation(column: &[f64]) -> (f64, f64) {
    let known = || column.iter().filter(|value| !value.is_nan());
    let count = known().count().max(1) as f64;
    let mean = known().sum::<f64>() / count;
    (mean, (known().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count).sqrt())
}

/// 0 of nothing.
fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

fn one_hot(column: &[f64], weight: f64) -> Vec<Vec<f64>> {
    let mut categories = column.to_vec();
    categories.sort_unstable_by(f64::total_cmp);
    categories.dedup_by(|a, b| a.total_cmp(b).is_eq());
    let place = |value: &f64, category: &f64| if value.total_cmp(category).is_eq() { weight } else { 0.0 };
    categories.iter().map(|category| column.iter().map(|value| place(value, category)).collect()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use serde_json::Value;

    use super::*;
    use crate::train::Row;

    /// The choices that imbalanced-learn has made.
    struct Recorded {
        picks: VecDeque<usize>,
        gaps: VecDeque<f64>,
    }

    impl Draws for Recorded {
        fn below(&mut self, count: usize) -> usize {
            let pick = self.picks.pop_front().unwrap();
            assert!(pick < count);
            pick
        }

        fn gap(&mut self) -> f64 {
            self.gaps.pop_front().unwrap()
        }
    }

    /// What imbalanced-learn was given, what it drew, and what it made.
    struct Reference {
        /// Three of numbers and one of categories.
        columns: Vec<Vec<f64>>,
        labels: Vec<bool>,
        frauds: Vec<usize>,
        neighbours: usize,
        asked: usize,
        draws: Recorded,
        made: Vec<Vec<f64>>,
    }

    fn numbers(value: &Value) -> Vec<f64> {
        value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
    }

    fn rows(value: &Value) -> Vec<Vec<f64>> {
        value.as_array().unwrap().iter().map(numbers).collect()
    }

    fn reference(method: &str) -> Reference {
        let text = include_str!("../tests/fixtures/balance/expected.json");
        let fixture: Value = serde_json::from_str(text).unwrap();
        let data = rows(&fixture["rows"]);
        let labels: Vec<bool> = numbers(&fixture["labels"]).iter().map(|label| *label == 1.0).collect();
        let expected = &fixture["methods"][method];
        Reference {
            columns: (0..4).map(|column| data.iter().map(|row| row[column]).collect()).collect(),
            frauds: (0..labels.len()).filter(|row| labels[*row]).collect(),
            labels,
            neighbours: fixture["neighbours"].as_u64().unwrap() as usize,
            asked: expected["asked"].as_u64().unwrap() as usize,
            draws: Recorded {
                picks: numbers(&expected["picks"]).into_iter().map(|pick| pick as usize).collect(),
                gaps: numbers(&expected["gaps"]).into(),
            },
            made: rows(&expected["rows"]),
        }
    }

    impl Reference {
        fn of_frauds(&self, column: usize) -> Vec<f64> {
            self.frauds.iter().map(|row| self.columns[column][*row]).collect()
        }

        fn check(&self, synthetic: &[Synthetic]) {
            assert_eq!(synthetic.len(), self.made.len());
            for (row, made) in synthetic.iter().zip(&self.made) {
                for (column, made) in made.iter().take(3).enumerate() {
                    let values = self.of_frauds(column);
                    let value = row.between(values[row.base], values[row.towards]);
                    assert!((value - made).abs() < 1e-12, "{row:?}: {value} instead of {made}");
                }
            }
        }
    }

    #[test]
    fn smote_is_that_of_imbalanced_learn() {
        let mut reference = reference("smote");
        let points = encoded((0..3).map(|column| reference.of_frauds(column)).collect(), &[]);
        let (asked, k) = (reference.asked, reference.neighbours);
        let (made, _) = synthetic::smote(&points, asked, k, &mut reference.draws).unwrap();
        reference.check(&made);
    }

    #[test]
    fn smote_with_categories_is_that_of_imbalanced_learn() {
        let mut reference = reference("smote_nc");
        let words = reference.of_frauds(3);
        let numbers = (0..3).map(|column| reference.of_frauds(column)).collect();
        let points = encoded(numbers, std::slice::from_ref(&words));
        let (asked, k) = (reference.asked, reference.neighbours);
        let (made, near) = synthetic::smote(&points, asked, k, &mut reference.draws).unwrap();
        reference.check(&made);
        for (row, expected) in made.iter().zip(&reference.made) {
            let categories = near[row.base].iter().map(|fraud| words[*fraud]);
            assert_eq!(synthetic::most_frequent(categories, &mut reference.draws), expected[3]);
        }
    }

    #[test]
    fn borderline_smote_and_adasyn_are_those_of_imbalanced_learn() {
        let mut reference_of_border = reference("borderline_smote");
        let points = encoded(reference_of_border.columns[..3].to_vec(), &[]);
        let Reference { labels, asked, neighbours, draws, .. } = &mut reference_of_border;
        let made = synthetic::borderline_smote(&points, labels, *asked, *neighbours, draws).unwrap();
        reference_of_border.check(&made);
        let mut reference_of_adasyn = reference("adasyn");
        let Reference { labels, asked, neighbours, draws, .. } = &mut reference_of_adasyn;
        let made = synthetic::adasyn(&points, labels, *asked, *neighbours, draws).unwrap();
        reference_of_adasyn.check(&made);
    }

    fn a_set(genuine: usize, frauds: usize) -> TrainingSet {
        let mut set = TrainingSet::new(2, None);
        for row in 0..genuine + frauds {
            let is_fraud = row % ((genuine + frauds) / frauds) == 0 && set.frauds() < frauds;
            let place = if is_fraud { 5.0 } else { 0.0 } + (row % 17) as f64;
            let of = Row { time_us: row as i64, fraud: is_fraud, ..Row::default() };
            set.push(of, &[place, if row % 9 == 0 { f64::NAN } else { place * 1e6 }]);
        }
        set
    }

    #[test]
    fn every_method_reaches_the_share_that_is_asked_for() {
        let set = a_set(2_000, 40);
        for method in
            [Method::UnderSample, Method::Smote, Method::SmoteNc, Method::BorderlineSmote, Method::Adasyn]
        {
            for share in [0.1, 0.5] {
                let balanced =
                    Balance { fraud_share: share, ..Balance::new(method) }.apply(&set, &[]).unwrap();
                let reached = balanced.frauds() as f64 / balanced.len() as f64;
                assert!((reached - share).abs() < 0.02, "{method:?}: {reached} instead of {share}");
                let odds = |set: &TrainingSet| set.frauds() as f64 / (set.len() - set.frauds()) as f64;
                let shift = prior_shift(&set, &balanced).exp();
                assert!((odds(&balanced) / shift - odds(&set)).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn one_class_alone_cannot_be_balanced() {
        let mut set = a_set(100, 5);
        set.labels.fill(false);
        for (_, method) in Method::ALL {
            let error = Balance::new(method).apply(&set, &[]).unwrap_err().to_string();
            assert!(error.contains("0 frauds among 105"), "{method}: {error}");
        }
    }

    #[test]
    fn too_few_frauds_are_said_to_be() {
        let error = Balance::new(Method::Smote).apply(&a_set(100, 5), &[]).unwrap_err();
        assert_eq!(error.to_string(), "5 frauds are too few for 5 neighbours each");
    }
}
