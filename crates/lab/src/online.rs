//! A model that learns from each label as it comes: logistic regression by FTRL-proximal.
//!
//! Rates by coordinate are AdaGrad's (Duchi, Hazan, Singer 2011, "Adaptive subgradient methods"), the weights FTRL-proximal's in
//! their closed form (McMahan et al. 2013, "Ad click prediction: a view from the trenches", algorithm 1). Their sums of squared
//! gradients are forgotten by halves, so rates do not fall to nothing and the model follows drift; the mean and variance that
//! inputs are standardised by are forgotten alike (West 1979, with decaying weights).
//!
//! The model is a fold over labels in their order: no clock, no chance, logarithms from `libm`. The same labels make the same
//! bits. Neither scoring nor learning allocates.

use serde::{Deserialize, Serialize};

/// Standardised inputs are cut off here, in standard deviations: one wild value must not undo what was learnt.
const FURTHEST: f64 = 6.0;

/// Below this variance a column counts as constant and says nothing.
const VARIANCE_LEAST: f64 = 1e-12;

/// How a model learns.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// α: the rate of learning, above 0.
    pub rate: f64,
    /// β: added to the root of squared gradients, above 0; steadies the first steps.
    pub steadiness: f64,
    /// Penalty on absolute weights, at least 0.
    pub l1: f64,
    /// Penalty on squared weights, at least 0.
    pub l2: f64,
    /// Labels after which what was seen counts half, above 0.
    pub half_life: f64,
    /// How many genuine transactions a fraud counts for while learning, above 0; probabilities are put right for it.
    pub fraud_weight: f64,
    /// Share of the genuine transactions that is learnt from, above 0 and at most 1; probabilities are put right for it.
    pub genuine_share: f64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            rate: 0.1,
            steadiness: 1.0,
            l1: 0.0,
            l2: 0.01,
            half_life: 20_000.0,
            fraud_weight: 10.0,
            genuine_share: 1.0,
        }
    }
}

/// Why settings or a stored model cannot be used: every mistake, by field, value and what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct Mistakes(pub Vec<String>);

/// One weight and what its next step depends on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Weight {
    value: f64,
    /// FTRL's sum of gradients less what was already taken up.
    gradients: f64,
    /// Sum of squared gradients, forgotten by halves.
    squares: f64,
}

/// One column of the input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Column {
    /// Labels that had a value, forgotten by halves.
    seen: f64,
    mean: f64,
    variance: f64,
    /// 1 / standard deviation, 0 while constant: follows from the variance, kept so that a score needs no root and no division.
    #[serde(skip)]
    scale: f64,
    weight: Weight,
    /// Weight of having no value.
    missing: Weight,
}

/// Logistic regression that goes on learning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnlineModel {
    settings: Settings,
    labels: u64,
    /// Of them fraud.
    frauds: u64,
    bias: Weight,
    columns: Vec<Column>,
}

impl OnlineModel {
    /// A model of `columns` inputs that has seen no label.
    ///
    /// # Errors
    /// Every setting that is out of its range.
    pub fn new(columns: usize, settings: Settings) -> Result<OnlineModel, Mistakes> {
        let model = OnlineModel {
            settings,
            labels: 0,
            frauds: 0,
            bias: Weight::default(),
            columns: vec![Column::default(); columns],
        };
        model.check().map(|()| model)
    }

    /// A model as [`OnlineModel::to_json`] wrote it; goes on to the same bits.
    ///
    /// # Errors
    /// Text that is no such model, or one with numbers out of range.
    pub fn from_json(text: &str) -> Result<OnlineModel, Mistakes> {
        let mut model: OnlineModel =
            serde_json::from_str(text).map_err(|error| Mistakes(vec![error.to_string()]))?;
        model.columns.iter_mut().for_each(Column::rescale);
        model.check().map(|()| model)
    }

    /// As JSON, every double to its last bit.
    ///
    /// # Errors
    /// If JSON cannot be written, or a number has become infinite.
    pub fn to_json(&self) -> Result<String, Mistakes> {
        self.check()?;
        serde_json::to_string(self).map_err(|error| Mistakes(vec![error.to_string()]))
    }

    /// Labels learnt from.
    pub fn labels(&self) -> u64 {
        self.labels
    }

    /// Of them fraud.
    pub fn frauds(&self) -> u64 {
        self.frauds
    }

    /// A model of the same width and settings that has seen no label.
    pub fn untaught(&self) -> OnlineModel {
        OnlineModel {
            settings: self.settings,
            labels: 0,
            frauds: 0,
            bias: Weight::default(),
            columns: vec![Column::default(); self.columns.len()],
        }
    }

    /// Width of a row.
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// Probability of fraud, put right for weighted frauds and genuine transactions left out; 0.5 before any label and without
    /// such correction. `row` has one value a column; what is not finite is missing, and so is what a short row lacks.
    pub fn probability(&self, row: &[f64]) -> f64 {
        let Settings { fraud_weight, genuine_share, .. } = self.settings;
        logistic(self.margin(row) - libm::log(fraud_weight / genuine_share))
    }

    /// Learns what became of a transaction.
    pub fn learn(&mut self, row: &[f64], fraud: bool) {
        let expected = logistic(self.margin(row));
        let error = if fraud { (expected - 1.0) * self.settings.fraud_weight } else { expected };
        let keep = libm::exp2(-1.0 / self.settings.half_life);
        self.bias.step(error, keep, &self.settings);
        for (column, value) in self.columns.iter_mut().zip(padded(row)) {
            column.learn(value, error, keep, &self.settings);
        }
        self.labels += 1;
        self.frauds += u64::from(fraud);
    }

    /// Log odds among the labels as they were weighted.
    fn margin(&self, row: &[f64]) -> f64 {
        let columns = self.columns.iter().zip(padded(row));
        columns.fold(self.bias.value, |sum, (column, value)| sum + column.share(value))
    }

    fn check(&self) -> Result<(), Mistakes> {
        let mut mistakes = self.settings.mistakes();
        if !self.bias.is_sound() {
            mistakes.push(format!("bias = {:?}: expected finite numbers, squares of at least 0", self.bias));
        }
        for (index, column) in self.columns.iter().enumerate().filter(|(_, column)| !column.is_sound()) {
            mistakes.push(format!(
                "columns[{index}] = {column:?}: expected finite numbers, sums of squares of at least 0"
            ));
        }
        if mistakes.is_empty() { Ok(()) } else { Err(Mistakes(mistakes)) }
    }
}

impl Settings {
    fn mistakes(&self) -> Vec<String> {
        let above_zero = |value: f64| value.is_finite() && value > 0.0;
        let at_least_zero = |value: f64| value.is_finite() && value >= 0.0;
        let fields = [
            ("rate", self.rate, above_zero(self.rate), "above 0"),
            ("steadiness", self.steadiness, above_zero(self.steadiness), "above 0"),
            ("l1", self.l1, at_least_zero(self.l1), "at least 0"),
            ("l2", self.l2, at_least_zero(self.l2), "at least 0"),
            ("half_life", self.half_life, above_zero(self.half_life), "above 0"),
            ("fraud_weight", self.fraud_weight, above_zero(self.fraud_weight), "above 0"),
            (
                "genuine_share",
                self.genuine_share,
                above_zero(self.genuine_share) && self.genuine_share <= 1.0,
                "above 0 and at most 1",
            ),
        ];
        let wrong = fields.iter().filter(|(_, _, right, _)| !right);
        wrong
            .map(|(name, value, _, expected)| format!("{name} = {value}: expected a number {expected}"))
            .collect()
    }
}

impl Weight {
    /// A step against `gradient`, after old squares have shrunk to the share `keep`.
    fn step(&mut self, gradient: f64, keep: f64, settings: &Settings) {
        let squares = self.squares * keep + gradient * gradient;
        let stiffer = (squares.sqrt() - self.squares.sqrt()) / settings.rate;
        self.gradients += gradient - stiffer * self.value;
        self.squares = squares;
        let beyond = (self.gradients.abs() - settings.l1).max(0.0).copysign(self.gradients);
        self.value = -beyond / ((settings.steadiness + squares.sqrt()) / settings.rate + settings.l2);
    }

    fn is_sound(&self) -> bool {
        self.value.is_finite()
            && self.gradients.is_finite()
            && self.squares.is_finite()
            && self.squares >= 0.0
    }
}

impl Column {
    /// What a value adds to the margin.
    fn share(&self, value: f64) -> f64 {
        if value.is_finite() {
            self.standardised(signed_log(value)) * self.weight.value
        } else {
            self.missing.value
        }
    }

    fn standardised(&self, value: f64) -> f64 {
        ((value - self.mean) * self.scale).clamp(-FURTHEST, FURTHEST)
    }

    fn rescale(&mut self) {
        self.scale = if self.variance < VARIANCE_LEAST { 0.0 } else { 1.0 / self.variance.sqrt() };
    }

    /// Learns with the scale that the margin was computed with, then moves the scale.
    fn learn(&mut self, value: f64, error: f64, keep: f64, settings: &Settings) {
        if !value.is_finite() {
            return self.missing.step(error, keep, settings);
        }
        let value = signed_log(value);
        self.weight.step(error * self.standardised(value), keep, settings);
        self.seen = self.seen * keep + 1.0;
        let from_mean = value - self.mean;
        self.mean += from_mean / self.seen;
        self.variance += (from_mean * (value - self.mean) - self.variance) / self.seen;
        self.rescale();
    }

    fn is_sound(&self) -> bool {
        let sums = [self.seen, self.variance];
        let finite = self.mean.is_finite() && sums.iter().all(|sum| sum.is_finite() && *sum >= 0.0);
        finite && self.weight.is_sound() && self.missing.is_sound()
    }
}

/// Sign of a value with ln(1 + |value|): amounts over many orders of magnitude, of either sign, on one scale.
fn signed_log(value: f64) -> f64 {
    libm::log1p(value.abs()).copysign(value)
}

fn logistic(margin: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-margin))
}

/// The values of a row, then missing ones without end.
fn padded(row: &[f64]) -> impl Iterator<Item = f64> + '_ {
    row.iter().copied().chain(std::iter::repeat(f64::NAN))
}
