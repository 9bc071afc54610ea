//! What a trained network gets nearly right is put right where the truth is known: after training, and for each class apart.
//!
//! - Choices: the logits get offsets, such that words and atoms come as often as in the real rows.
//! - Ranks: a made number is replaced by the real quantile at its rank among made numbers.
//! - Correlations: before that, normal scores of the ranks are mapped linearly from the made correlations to the real ones, by
//!   the map that moves them least (the optimal transport between two normal distributions: Olkin and Pukelsheim, "The distance
//!   between two random vectors with given dispersion matrices", 1982).
//!
//! What the network has learnt beyond single columns and pairs is kept. Nothing is stored but shares, quantiles and a matrix.

mod symmetric;

use ndarray::{Array1, Array2, s};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::encode::quantiles::{Quantiles, normal_quantile};
use super::encode::{Encoder, Feature};
use super::gan::Adversary;
use super::network::{Chance, Matrix, gumbel};
use super::table::Table;
use symmetric::power;

/// Rows that are made to see what a class's look like.
const MADE: usize = 8_192;
/// Quantiles that are kept of made numbers, and at most of real ones: a class of few rows has half as many as rows.
const MADE_KNOTS: usize = 512;
const REAL_KNOTS: usize = 512;
/// A class of fewer rows is left as the network makes it.
const ROWS_MIN: usize = 20;
/// Correlations need so many rows for each number of a row; fewer, and they are drawn towards none.
const ROWS_A_NUMBER: f64 = 3.0;
/// Rounds of fitting the logits' offsets, and made rows that are looked at.
const ROUNDS: usize = 40;
const OFFSET_ROWS: usize = 2_048;
/// Rows made at a time.
pub(super) const BLOCK: usize = 512;

/// What is put right, by class: genuine, then frauds. Without labels there is one class.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Polish {
    classes: Vec<Option<Class>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Class {
    /// For each code what is added to it where it is a logit.
    offsets: Vec<f32>,
    /// For each feature but the label's.
    numbers: Vec<Option<Ranks>>,
    /// Among the features that have ranks.
    mixing: Vec<f64>,
}

/// The road of a number: rank among made ones, mixed, rank again, real quantile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Ranks {
    made: Quantiles,
    mixed: Quantiles,
    real: Quantiles,
}

/// A row between network and table: a choice and a number for each feature but the label's.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    choices: Vec<usize>,
    numbers: Vec<f64>,
}

impl Polish {
    /// What the rows of `table` need that this adversary makes.
    pub(super) fn fit(encoder: &Encoder, adversary: &mut dyn Adversary, table: &Table, seed: u64) -> Polish {
        let numbers = encoder.numbers(table, seed);
        let codes = encoder.encode(table, seed);
        let is_fraud: Vec<bool> = match table.label() {
            Some(label) => label.values.iter().map(|value| *value == 1.0).collect(),
            None => vec![false; table.len()],
        };
        let classes = if encoder.has_label { vec![false, true] } else { vec![false] };
        let classes = classes.into_iter().map(|class| {
            let rows: Vec<usize> = (0..table.len()).filter(|row| is_fraud[*row] == class).collect();
            (rows.len() >= ROWS_MIN)
                .then(|| Class::fit(encoder, adversary, (&numbers, &codes), &rows, class, seed))?
        });
        Polish { classes: classes.collect() }
    }

    /// Rows of raw codes as drafts, by their class; row i hangs on nothing but the chance and i.
    pub(super) fn drafts(&self, encoder: &Encoder, raw: &Matrix, class: bool, chance: Chance) -> Vec<Draft> {
        let of = self.classes.get(usize::from(class)).and_then(Option::as_ref);
        let draft = |row: usize| {
            let raw = raw.row(row);
            let raw = raw.as_slice().expect("batches are in one piece");
            let mut draft = Draft::of(encoder, raw, of.map(|of| of.offsets.as_slice()), chance, row);
            if let Some(of) = of {
                of.put_right(&mut draft.numbers);
            }
            draft
        };
        (0..raw.nrows()).into_par_iter().map(draft).collect()
    }
}

impl Draft {
    fn of(encoder: &Encoder, raw: &[f32], offsets: Option<&[f32]>, chance: Chance, row: usize) -> Draft {
        let mut stream = chance.stream(CHOOSING, row);
        let mut choose = |feature: &Feature| {
            let score = |at: usize| raw[at] + offsets.map_or(0.0, |offsets| offsets[at]);
            let noisy = feature.choices.clone().map(|at| score(at) + gumbel(&mut stream));
            noisy.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(choice, _)| choice)
        };
        let choices: Vec<usize> = encoder.inputs().iter().map(&mut choose).collect();
        let number = |(feature, choice): (&Feature, &usize)| {
            feature.number_of_code(feature.scalar.map_or(f64::NAN, |at| f64::from(raw[at])), *choice)
        };
        let numbers = encoder.inputs().iter().zip(&choices).map(number).collect();
        Draft { choices, numbers }
    }

    /// The values that it stands for.
    pub(super) fn values(&self, encoder: &Encoder, chance: Chance, row: usize) -> Vec<f64> {
        let mut stream = chance.stream(DECODING, row);
        let features = encoder.inputs().iter().zip(&self.numbers).zip(&self.choices);
        features.map(|((feature, number), choice)| feature.decode(*number, *choice, &mut stream)).collect()
    }
}

const CHOOSING: u64 = 20;
const DECODING: u64 = 21;
const FITTING: u64 = 22;

impl Class {
    /// `None` where the adversary cannot be made to make this class.
    fn fit(
        encoder: &Encoder,
        adversary: &mut dyn Adversary,
        (numbers, codes): (&[Vec<f64>], &Matrix),
        rows: &[usize],
        class: bool,
        seed: u64,
    ) -> Option<Class> {
        let raw = made(encoder, adversary, class, MADE, seed)?;
        let offsets = offsets(encoder, &raw, codes, rows);
        let chance = Chance { seed: seed ^ FITTING, step: 0 };
        let draft = |row: usize| {
            let raw = raw.row(row);
            Draft::of(encoder, raw.as_slice().expect("batches are in one piece"), Some(&offsets), chance, row)
                .numbers
        };
        let drafts: Vec<Vec<f64>> = (0..raw.nrows()).into_par_iter().map(draft).collect();
        let knots = REAL_KNOTS.min(rows.len() / 2);
        let pairs = (0..encoder.inputs().len()).map(|feature| {
            let made = Quantiles::of(drafts.iter().map(|draft| draft[feature]), MADE_KNOTS)?;
            let real = Quantiles::of(rows.iter().map(|row| numbers[feature][*row]), knots)?;
            Some(Ranks { mixed: made.clone(), made, real })
        });
        let mut class = Class { offsets, numbers: pairs.collect(), mixing: Vec::new() };
        class.fit_mixing(&drafts, numbers, rows);
        Some(class)
    }

    fn ranked(&self) -> impl Iterator<Item = (usize, &Ranks)> {
        self.numbers.iter().enumerate().filter_map(|(at, ranks)| Some((at, ranks.as_ref()?)))
    }

    fn fit_mixing(&mut self, drafts: &[Vec<f64>], numbers: &[Vec<f64>], rows: &[usize]) {
        let size = self.ranked().count();
        let scores = |value: f64, of: &Quantiles| if value.is_nan() { 0.0 } else { score(of.share(value)) };
        let mut made = Array2::zeros((drafts.len(), size));
        let mut real = Array2::zeros((rows.len(), size));
        for (place, (feature, ranks)) in self.ranked().enumerate() {
            made.column_mut(place).assign(
                &drafts.iter().map(|draft| scores(draft[feature], &ranks.made)).collect::<Array1<f64>>(),
            );
            real.column_mut(place).assign(
                &rows.iter().map(|row| scores(numbers[feature][*row], &ranks.real)).collect::<Array1<f64>>(),
            );
        }
        let trust = (rows.len() as f64 / (ROWS_A_NUMBER * size.max(1) as f64)).min(1.0) * 0.999;
        let mixing = transport(&correlation(&made, 0.999), &correlation(&real, trust));
        let mixed = made.dot(&mixing.t());
        let mut places = 0..size;
        for (feature, ranks) in self.numbers.iter_mut().enumerate() {
            let Some(ranks) = ranks else { continue };
            let place = places.next().expect("a place for each that has ranks");
            let known = drafts.iter().zip(mixed.column(place)).filter(|(draft, _)| !draft[feature].is_nan());
            if let Some(of) = Quantiles::of(known.map(|(_, score)| *score), MADE_KNOTS) {
                ranks.mixed = of;
            }
        }
        self.mixing = mixing.into_raw_vec_and_offset().0;
    }

    fn put_right(&self, numbers: &mut [f64]) {
        let score_of = |(feature, ranks): (usize, &Ranks)| match numbers[feature] {
            missing if missing.is_nan() => 0.0,
            number => score(ranks.made.share(number)),
        };
        let scores: Vec<f64> = self.ranked().map(score_of).collect();
        for (place, (feature, ranks)) in self.ranked().enumerate() {
            if !numbers[feature].is_nan() {
                let row = &self.mixing[place * scores.len()..(place + 1) * scores.len()];
                let mixed: f64 = row.iter().zip(&scores).map(|(factor, score)| factor * score).sum();
                numbers[feature] = ranks.real.value(ranks.mixed.share(mixed));
            }
        }
    }
}

/// Raw codes of one class; `None` if the adversary hardly makes any. What TableGAN makes, it says itself what class it is.
pub(super) fn made(
    encoder: &Encoder,
    adversary: &mut dyn Adversary,
    class: bool,
    rows: usize,
    seed: u64,
) -> Option<Matrix> {
    let mut out = Matrix::zeros((rows, encoder.width));
    let mut filled = 0;
    for step in 0..BLOCKS_A_ROW * rows.div_ceil(BLOCK) {
        let chance = Chance { seed, step: (2 * step + usize::from(class)) as i64 };
        let raw = adversary.make(encoder, &[class; BLOCK], chance);
        for row in
            raw.rows().into_iter().filter(|row| is_of(encoder, row.as_slice().unwrap_or_default(), class))
        {
            out.row_mut(filled).assign(&row);
            filled += 1;
            if filled == rows {
                return Some(out);
            }
        }
    }
    None
}

/// Blocks that are tried for each that is wanted.
const BLOCKS_A_ROW: usize = 60;

/// Whether a raw row says itself that it is of a class.
fn is_of(encoder: &Encoder, raw: &[f32], class: bool) -> bool {
    match encoder.label() {
        None => true,
        Some(label) => match label.scalar {
            Some(at) => (raw[at] > 0.0) == class,
            None => {
                let (genuine, fraud) = (raw[label.choices.start], raw[label.choices.start + 1]);
                (fraud > genuine) == class
            }
        },
    }
}

/// Offsets of logits under which softmax's mean shares are those of the real codes.
fn offsets(encoder: &Encoder, raw: &Matrix, codes: &Matrix, rows: &[usize]) -> Vec<f32> {
    let mut offsets = vec![0.0_f32; encoder.width];
    let fit = |feature: &Feature| {
        let choices = feature.choices.clone();
        let wanted: Vec<f64> = choices
            .clone()
            .map(|code| {
                (rows.iter().filter(|row| codes[[**row, code]] == 1.0).count() as f64 + 1e-3)
                    / rows.len() as f64
            })
            .collect();
        let logits = raw.slice(s![.., choices]).to_owned();
        (feature.choices.start, offsets_of(&logits, &wanted))
    };
    let fitted: Vec<(usize, Vec<f32>)> =
        encoder.inputs().par_iter().filter(|feature| !feature.choices.is_empty()).map(fit).collect();
    for (start, of) in fitted {
        offsets[start..start + of.len()].copy_from_slice(&of);
    }
    offsets
}

fn offsets_of(logits: &Matrix, wanted: &[f64]) -> Vec<f32> {
    let step = logits.nrows().div_ceil(OFFSET_ROWS).max(1);
    let rows: Vec<Vec<f64>> = logits.rows().into_iter().step_by(step).map(exponentials).collect();
    let mut factors = vec![1.0_f64; wanted.len()];
    for _ in 0..ROUNDS {
        let mut shares = vec![0.0_f64; wanted.len()];
        for row in &rows {
            let sum: f64 = row.iter().zip(&factors).map(|(part, factor)| part * factor).sum();
            shares
                .iter_mut()
                .zip(row)
                .zip(&factors)
                .for_each(|((share, part), factor)| *share += part * factor / sum);
        }
        for ((factor, share), wanted) in factors.iter_mut().zip(shares).zip(wanted) {
            let step = (wanted / (share / rows.len() as f64).max(1e-6)).clamp(0.1, 10.0);
            *factor = (*factor * step).clamp(1e-12, 1e12);
        }
    }
    factors.into_iter().map(|factor| factor.ln() as f32).collect()
}

/// Of logits less their largest.
fn exponentials(logits: ndarray::ArrayView1<f32>) -> Vec<f64> {
    let most = logits.fold(f32::NEG_INFINITY, |most, logit| most.max(*logit));
    logits.iter().map(|logit| f64::from(logit - most).exp()).collect()
}

/// Normal score of a share, no further out than one row of all that are made.
fn score(share: f64) -> f64 {
    normal_quantile(share.clamp(0.5 / MADE as f64, 1.0 - 0.5 / MADE as f64))
}

/// Correlations of columns of scores, drawn towards none by `trust`.
fn correlation(scores: &Array2<f64>, trust: f64) -> Array2<f64> {
    let rows = scores.nrows().max(1) as f64;
    let size = scores.ncols();
    let means = scores.sum_axis(ndarray::Axis(0)) / rows;
    let centred = scores - &means;
    let products = centred.t().dot(&centred) / rows;
    let deviation: Vec<f64> = (0..size).map(|at| products[[at, at]].max(1e-12).sqrt()).collect();
    Array2::from_shape_fn((size, size), |(a, b)| {
        if a == b { 1.0 } else { trust * products[[a, b]] / (deviation[a] * deviation[b]) }
    })
}

/// The linear map that takes normals of one covariance to normals of another and moves them least.
fn transport(from: &Array2<f64>, to: &Array2<f64>) -> Array2<f64> {
    let (root, inverse) = (power(from, 0.5), power(from, -0.5));
    let middle = power(&root.dot(to).dot(&root), 0.5);
    inverse.dot(&middle).dot(&inverse)
}

#[cfg(test)]
mod tests {
    use super::super::encode::quantiles::normal_share;
    use super::*;

    #[test]
    fn transport_takes_one_correlation_to_the_other() {
        let from = ndarray::array![[1.0, 0.2, 0.0], [0.2, 1.0, 0.5], [0.0, 0.5, 1.0]];
        let to = ndarray::array![[1.0, -0.6, 0.1], [-0.6, 1.0, 0.0], [0.1, 0.0, 1.0]];
        let map = transport(&from, &to);
        let reached = map.dot(&from).dot(&map.t());
        assert!((&reached - &to).iter().all(|off| off.abs() < 1e-9), "{reached}");
    }

    #[test]
    fn offsets_make_choices_as_frequent_as_they_should_be() {
        let logits =
            Matrix::from_shape_fn((500, 3), |(row, choice)| (row * 7 % 11) as f32 * 0.1 * choice as f32);
        let wanted = [0.5, 0.45, 0.05];
        let offsets = offsets_of(&logits, &wanted);
        let share = |choice: usize| -> f64 {
            let of = |row: ndarray::ArrayView1<f32>| {
                let parts: Vec<f32> =
                    row.iter().zip(&offsets).map(|(logit, offset)| (logit + offset).exp()).collect();
                f64::from(parts[choice] / parts.iter().sum::<f32>())
            };
            logits.rows().into_iter().map(of).sum::<f64>() / 500.0
        };
        for (choice, wanted) in wanted.iter().enumerate() {
            assert!((share(choice) - wanted).abs() < 1e-3, "{choice}: {}", share(choice));
        }
    }

    #[test]
    fn scores_of_shares_are_bounded() {
        assert!(score(0.0) > -5.0 && score(1.0) < 5.0 && (normal_share(score(0.3)) - 0.3).abs() < 1e-6);
    }
}
