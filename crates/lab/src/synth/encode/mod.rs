//! From rows to what a network can learn, and back.
//!
//! A column becomes one or two *features* (an instant is a day and a second of that day). A value of a feature is either an
//! *atom*, one of few that come often (a word, a round amount, a missing cell), or lies in between. How the rest is coded
//! differs by [`Style`]. Entities are no features: who it was is drawn anew.

pub mod mixture;
pub mod quantiles;

use std::collections::BTreeMap;

use engine::time::DAY_US;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::network::Matrix;
use super::table::{Column, Kind, Table};
use crate::random::Stream;
use mixture::{Mode, modes};
use quantiles::{Quantiles, normal_quantile, normal_share};

/// How values are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Style {
    /// CTGAN's mode-specific normalisation (Xu et al., 2019): which of several normals, and where in it.
    Modes,
    /// Normal scores of ranks: one number, however long the tails.
    Ranks,
    /// Ranks alone, words included: one number for everything, as the cells of TableGAN's square.
    Plane,
}

/// Which part of a column a feature is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Part {
    Whole,
    /// Days since 1970 of an instant.
    Day,
    /// Seconds of that day.
    Second,
}

/// How values that are no atoms are coded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Shape {
    /// There are none.
    Atoms,
    Modes {
        modes: Vec<Mode>,
        tails: Option<Tails>,
        low: f64,
        high: f64,
    },
    Ranks {
        quantiles: Quantiles,
    },
    /// Atoms too: `starts` has where the share of each begins, then of the rest, whose quantiles follow.
    Plane {
        starts: Vec<f64>,
        quantiles: Option<Quantiles>,
    },
}

/// Long tails are drawn in by asinh((value - center) / width): a logarithm for both signs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Tails {
    center: f64,
    width: f64,
}

/// What networks see of a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Feature {
    column: usize,
    part: Part,
    /// Values that come often. NaN, a missing cell, is written as null.
    #[serde(with = "missing_as_null")]
    atoms: Vec<f64>,
    /// Words too rare to be atoms, with how often each came; the last atom stands for all of them.
    rare: Vec<(f64, f64)>,
    shape: Shape,
    /// Where its number is among a row's codes.
    pub(super) scalar: Option<usize>,
    /// Where its choices are among a row's codes: first those of `shape`, then the atoms.
    pub(super) choices: std::ops::Range<usize>,
}

/// A column without its values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) words: Vec<String>,
}

/// Codes rows, and decodes them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Encoder {
    pub(super) style: Style,
    pub(super) columns: Vec<Named>,
    /// The label's feature is the last one, if there is a label.
    pub(super) features: Vec<Feature>,
    pub(super) has_label: bool,
    /// Codes of a row.
    pub(super) width: usize,
}

/// A value comes often if it has this share of the rows, or this one of the rows of a class.
const ATOM_SHARE: f64 = 0.02;
const ATOM_CLASS_SHARE: f64 = 0.05;
/// A number with no more distinct values than this is all atoms.
const FEW: usize = 20;
const ATOMS_MAX: usize = 64;
const KNOTS: usize = 1_000;
/// Normal scores are divided by this, so that networks end between -1 and 1.
const SCORE_MAX: f64 = 4.0;
/// A number whose range is so many times its middle half has long tails.
const LONG_TAIL: f64 = 30.0;
/// A mode's number is counted in these many of its deviations, as in CTGAN.
const MODE_WIDTH: f64 = 4.0;

impl Encoder {
    /// What these rows need.
    pub(super) fn fit(table: &Table, style: Style) -> Encoder {
        let columns: Vec<Named> = table.columns.iter().map(Named::of).collect();
        let label = table.label();
        let mut parts: Vec<(usize, Part)> = Vec::new();
        for (at, column) in table.columns.iter().enumerate() {
            match column.kind {
                Kind::Entity | Kind::Label => {}
                Kind::Instant => parts.extend([(at, Part::Day), (at, Part::Second)]),
                _ => parts.push((at, Part::Whole)),
            }
        }
        let is_fraud: Option<Vec<bool>> =
            label.map(|label| label.values.iter().map(|value| *value == 1.0).collect());
        let mut features: Vec<Feature> = parts
            .into_par_iter()
            .map(|(at, part)| Feature::fit(at, part, &table.columns[at], is_fraud.as_deref(), style))
            .collect();
        if let Some(at) = table.columns.iter().position(|column| column.kind == Kind::Label) {
            features.push(Feature::label(at, style));
        }
        let mut encoder = Encoder { style, columns, features, has_label: label.is_some(), width: 0 };
        encoder.place();
        encoder
    }

    fn place(&mut self) {
        for feature in &mut self.features {
            if feature.shape != Shape::Atoms {
                feature.scalar = Some(self.width);
                self.width += 1;
            }
            let count = feature.choice_count();
            feature.choices = self.width..self.width + count;
            self.width += count;
        }
    }

    /// The label's feature.
    pub(super) fn label(&self) -> Option<&Feature> {
        self.features.last().filter(|_| self.has_label)
    }

    /// The name of the label's column.
    pub(super) fn label_name(&self) -> Option<&str> {
        self.columns.iter().find(|column| column.kind == Kind::Label).map(|column| column.name.as_str())
    }

    /// All features but the label's.
    pub(super) fn inputs(&self) -> &[Feature] {
        &self.features[..self.features.len() - usize::from(self.has_label)]
    }

    /// The codes of all rows.
    pub(super) fn encode(&self, table: &Table, seed: u64) -> Matrix {
        let mut codes = Matrix::zeros((table.len(), self.width));
        let rows =
            codes.as_slice_mut().expect("a new matrix is in one piece").par_chunks_mut(self.width.max(1));
        rows.enumerate().for_each(|(row, codes)| {
            let mut chance = Stream::at(seed, ENCODING, row as u64, 0);
            for feature in &self.features {
                feature.encode(feature.value(&table.columns[feature.column], row), codes, &mut chance);
            }
        });
        codes
    }

    /// The numbers of all rows, feature by feature: NaN where a row has an atom.
    pub(super) fn numbers(&self, table: &Table, seed: u64) -> Vec<Vec<f64>> {
        let numbers = |(at, feature): (usize, &Feature)| {
            let column = &table.columns[feature.column];
            let number = |row| {
                let mut chance = Stream::at(seed, NUMBERS, row as u64, at as i64);
                feature.number(feature.value(column, row), &mut chance)
            };
            (0..table.len()).map(number).collect()
        };
        self.inputs().par_iter().enumerate().map(numbers).collect()
    }

    /// Rows of decoded values, one list a feature but the label's; entities are missing.
    pub(super) fn assemble(&self, values: &[Vec<f64>], labels: &[f64]) -> Table {
        let mut columns: Vec<Column> = self.columns.iter().map(Named::empty).collect();
        for (feature, values) in self.inputs().iter().zip(values) {
            let column = &mut columns[feature.column];
            if column.values.is_empty() {
                column.values = vec![0.0; labels.len()];
            }
            let scale = match feature.part {
                Part::Whole => 1.0,
                Part::Day => DAY_US as f64,
                Part::Second => 1e6,
            };
            for (into, value) in column.values.iter_mut().zip(values) {
                // Days and seconds are whole; a missing part makes all of it missing.
                *into += if feature.part == Part::Whole { *value } else { value.round() * scale };
            }
        }
        for column in &mut columns {
            finish(column, labels);
        }
        let mut table = Table { columns, times_us: Vec::new() };
        table.take_times();
        table
    }
}

/// Labels where they belong, numbers with as many decimals as the real ones have.
fn finish(column: &mut Column, labels: &[f64]) {
    match column.kind {
        Kind::Label => column.values = labels.to_vec(),
        Kind::Entity => column.values = vec![f64::NAN; labels.len()],
        _ => column.round(),
    }
}

/// Purposes of chance.
const ENCODING: u64 = 1;
const NUMBERS: u64 = 2;

impl Named {
    fn of(column: &Column) -> Named {
        // Names of entities are nobody's business.
        let words = if column.kind == Kind::Entity { Vec::new() } else { column.words.clone() };
        Named { name: column.name.clone(), kind: column.kind, words }
    }

    fn empty(&self) -> Column {
        Column { words: self.words.clone(), ..Column::new(&self.name, self.kind) }
    }
}

impl Feature {
    fn label(column: usize, style: Style) -> Feature {
        let shape = match style {
            Style::Plane => Shape::Plane { starts: vec![0.0, 0.5, 1.0], quantiles: None },
            _ => Shape::Atoms,
        };
        Feature {
            column,
            part: Part::Whole,
            atoms: vec![0.0, 1.0],
            rare: Vec::new(),
            shape,
            scalar: None,
            choices: 0..0,
        }
    }

    fn fit(at: usize, part: Part, column: &Column, is_fraud: Option<&[bool]>, style: Style) -> Feature {
        let mut feature = Feature {
            column: at,
            part,
            atoms: Vec::new(),
            rare: Vec::new(),
            shape: Shape::Atoms,
            scalar: None,
            choices: 0..0,
        };
        let values: Vec<f64> = (0..column.values.len()).map(|row| feature.value(column, row)).collect();
        let counts = counts(&values, is_fraud);
        if column.kind.is_discrete() {
            feature.take_words(&counts);
        } else {
            feature.take_atoms(&counts, values.len());
        }
        let rest: Vec<f64> =
            values.iter().copied().filter(|value| feature.atom_of(*value).is_none()).collect();
        feature.shape = match style {
            Style::Plane => feature.plane(&values, &rest),
            _ if rest.is_empty() => Shape::Atoms,
            Style::Modes => of_modes(&rest),
            Style::Ranks => Quantiles::of(rest.into_iter(), KNOTS)
                .map_or(Shape::Atoms, |quantiles| Shape::Ranks { quantiles }),
        };
        feature
    }

    /// What the feature is of a row.
    fn value(&self, column: &Column, row: usize) -> f64 {
        let value = column.values[row];
        match self.part {
            Part::Whole => value,
            Part::Day => (value / DAY_US as f64).floor(),
            Part::Second => value.rem_euclid(DAY_US as f64) / 1e6,
        }
    }

    fn take_words(&mut self, counts: &[Count]) {
        let mut by_count: Vec<&Count> = counts.iter().collect();
        by_count.sort_by(|a, b| b.all.cmp(&a.all).then(a.value.total_cmp(&b.value)));
        let kept = if by_count.len() > ATOMS_MAX { ATOMS_MAX - 1 } else { by_count.len() };
        self.atoms = by_count[..kept].iter().map(|count| count.value).collect();
        self.rare = by_count[kept..].iter().map(|count| (count.value, count.all as f64)).collect();
        if let Some((most, _)) = self.rare.first() {
            self.atoms.push(*most);
        }
    }

    fn take_atoms(&mut self, counts: &[Count], rows: usize) {
        let distinct = counts.iter().filter(|count| !count.value.is_nan()).count();
        let is_atom = |count: &&Count| {
            let share = |part: usize, of: usize| part as f64 / of.max(1) as f64;
            let often = share(count.all, rows) >= ATOM_SHARE
                || (count.of_class >= 5 && count.class_share >= ATOM_CLASS_SHARE);
            count.value.is_nan() || distinct <= FEW || (often && count.all > 1)
        };
        let mut atoms: Vec<&Count> = counts.iter().filter(is_atom).collect();
        atoms.sort_by(|a, b| b.all.cmp(&a.all).then(a.value.total_cmp(&b.value)));
        atoms.truncate(ATOMS_MAX);
        self.atoms = atoms.iter().map(|count| count.value).collect();
    }

    fn plane(&self, values: &[f64], rest: &[f64]) -> Shape {
        let mut counts = vec![0_usize; self.atoms.len() + 1];
        values.iter().for_each(|value| counts[self.atom_of(*value).unwrap_or(self.atoms.len())] += 1);
        let mut starts = vec![0.0];
        let mut below = 0;
        for count in counts {
            below += count;
            starts.push(below as f64 / values.len().max(1) as f64);
        }
        Shape::Plane { starts, quantiles: Quantiles::of(rest.iter().copied(), KNOTS) }
    }

    /// The atom that a value is. Rare words are all the last one.
    fn atom_of(&self, value: f64) -> Option<usize> {
        let found = self.atoms.iter().position(|atom| atom.total_cmp(&value).is_eq() || *atom == value);
        let is_rare = || self.rare.iter().any(|(word, _)| *word == value);
        found.or_else(|| is_rare().then(|| self.atoms.len() - 1))
    }

    fn choice_count(&self) -> usize {
        match &self.shape {
            Shape::Plane { .. } => 0,
            Shape::Atoms => self.atoms.len(),
            Shape::Modes { modes, .. } => modes.len() + self.atoms.len(),
            Shape::Ranks { .. } if self.atoms.is_empty() => 0,
            Shape::Ranks { .. } => 1 + self.atoms.len(),
        }
    }

    /// Choices that are no atoms.
    fn kinds_of_number(&self) -> usize {
        self.choice_count().saturating_sub(self.atoms.len())
    }

    /// Whether it is nothing but choices.
    pub(super) fn is_choice(&self) -> bool {
        self.shape == Shape::Atoms
    }

    fn encode(&self, value: f64, codes: &mut [f32], chance: &mut Stream) {
        let number = self.number(value, chance);
        if let Shape::Plane { .. } = self.shape {
            codes[self.scalar.expect("the plane is numbers")] = (2.0 * number - 1.0) as f32;
            return;
        }
        if let Some(atom) = self.atom_of(value) {
            codes[self.choices.start + self.kinds_of_number() + atom] = 1.0;
            return;
        }
        let (choice, code) = match &self.shape {
            Shape::Modes { modes, .. } => in_a_mode(number, modes, chance),
            _ => (0, number / SCORE_MAX),
        };
        if let Some(at) = self.scalar {
            codes[at] = code as f32;
        }
        if !self.choices.is_empty() {
            codes[self.choices.start + choice] = 1.0;
        }
    }

    /// A value on the scale that networks learn it on; NaN for an atom, except in the plane.
    fn number(&self, value: f64, chance: &mut Stream) -> f64 {
        let atom = self.atom_of(value);
        match &self.shape {
            Shape::Plane { starts, quantiles } => {
                let within = match (atom, quantiles) {
                    (None, Some(quantiles)) => quantiles.share(value),
                    _ => chance.uniform(),
                };
                let at = atom.unwrap_or(self.atoms.len());
                starts[at] + within * (starts[at + 1] - starts[at])
            }
            _ if atom.is_some() => f64::NAN,
            Shape::Atoms => f64::NAN,
            Shape::Modes { tails, .. } => {
                tails.map_or(value, |tails| ((value - tails.center) / tails.width).asinh())
            }
            Shape::Ranks { quantiles } => normal_quantile(quantiles.share(value).clamp(5e-5, 1.0 - 5e-5)),
        }
    }

    /// The number that a code stands for, given which choice was made.
    pub(super) fn number_of_code(&self, code: f64, choice: usize) -> f64 {
        match &self.shape {
            Shape::Atoms => f64::NAN,
            Shape::Plane { .. } => ((code + 1.0) / 2.0).clamp(0.0, 1.0),
            _ if choice >= self.kinds_of_number().max(1) => f64::NAN,
            Shape::Modes { modes, .. } => modes[choice].mean + MODE_WIDTH * modes[choice].deviation * code,
            Shape::Ranks { .. } => code * SCORE_MAX,
        }
    }

    /// The value that a number, or an atom chosen, stands for.
    pub(super) fn decode(&self, number: f64, choice: usize, chance: &mut Stream) -> f64 {
        match &self.shape {
            Shape::Plane { starts, quantiles } => {
                let at = starts[1..starts.len() - 1].partition_point(|start| *start <= number);
                match self.atoms.get(at) {
                    Some(_) => self.atom(at, chance),
                    None => {
                        let width = starts[at + 1] - starts[at];
                        let within = if width > 0.0 { (number - starts[at]) / width } else { 0.5 };
                        quantiles.as_ref().map_or(f64::NAN, |quantiles| quantiles.value(within))
                    }
                }
            }
            _ if number.is_nan() => self.atom(choice.saturating_sub(self.kinds_of_number()), chance),
            Shape::Modes { tails, low, high, .. } => {
                tails.map_or(number, |tails| tails.center + tails.width * number.sinh()).clamp(*low, *high)
            }
            Shape::Ranks { quantiles } => quantiles.value(normal_share(number)),
            Shape::Atoms => f64::NAN,
        }
    }

    fn atom(&self, at: usize, chance: &mut Stream) -> f64 {
        if !self.rare.is_empty() && at + 1 == self.atoms.len() {
            return chance.weighted(&self.rare);
        }
        self.atoms.get(at).copied().unwrap_or(f64::NAN)
    }
}

/// How often a value comes.
struct Count {
    value: f64,
    all: usize,
    /// In the class where it has the larger share, and that share.
    of_class: usize,
    class_share: f64,
}

fn counts(values: &[f64], is_fraud: Option<&[bool]>) -> Vec<Count> {
    let mut by_value: BTreeMap<i64, (f64, [usize; 2])> = BTreeMap::new();
    let mut totals = [0_usize; 2];
    for (row, value) in values.iter().enumerate() {
        let class = usize::from(is_fraud.is_some_and(|is_fraud| is_fraud[row]));
        totals[class] += 1;
        by_value.entry(ordered(*value)).or_insert((*value, [0, 0])).1[class] += 1;
    }
    let share = |counts: &[usize; 2], class: usize| counts[class] as f64 / totals[class].max(1) as f64;
    let count = |(value, counts): &(f64, [usize; 2])| {
        let class = usize::from(share(counts, 1) > share(counts, 0));
        Count {
            value: *value,
            all: counts[0] + counts[1],
            of_class: counts[class],
            class_share: share(counts, class),
        }
    };
    by_value.values().map(count).collect()
}

/// A key that orders as doubles do; 0 and -0 are the same, all NaN are the same.
fn ordered(value: f64) -> i64 {
    let bits = if value.is_nan() { f64::NAN.to_bits() as i64 } else { (value + 0.0).to_bits() as i64 };
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

fn of_modes(values: &[f64]) -> Shape {
    let tails = tails_of(values);
    let bent: Vec<f64> = values
        .iter()
        .map(|value| tails.map_or(*value, |tails| ((value - tails.center) / tails.width).asinh()))
        .collect();
    let (low, high) = values
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)));
    Shape::Modes { modes: modes(&bent), tails, low, high }
}

fn tails_of(values: &[f64]) -> Option<Tails> {
    let quantiles = Quantiles::of(values.iter().copied(), KNOTS)?;
    let half = quantiles.value(0.75) - quantiles.value(0.25);
    let range = quantiles.value(1.0) - quantiles.value(0.0);
    (half > 0.0 && range > LONG_TAIL * half).then(|| Tails { center: quantiles.value(0.5), width: half })
}

/// A mode, drawn by how well it explains the value, and where in it the value is.
fn in_a_mode(value: f64, modes: &[Mode], chance: &mut Stream) -> (usize, f64) {
    let logs: Vec<f64> = modes.iter().map(|mode| mode.log_density(value)).collect();
    let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<(usize, f64)> = logs.iter().map(|log| (log - most).exp()).enumerate().collect();
    let at = chance.weighted(&weights);
    let mode = &modes[at];
    (at, ((value - mode.mean) / (MODE_WIDTH * mode.deviation)).clamp(-0.99, 0.99))
}

/// JSON has no NaN.
mod missing_as_null {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(values: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
        let known: Vec<Option<f64>> =
            values.iter().map(|value| Some(*value).filter(|value| !value.is_nan())).collect();
        known.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
        let known = Vec::<Option<f64>>::deserialize(deserializer)?;
        Ok(known.into_iter().map(|value| value.unwrap_or(f64::NAN)).collect())
    }
}
