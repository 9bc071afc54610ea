//! Generators that learn against an adversary: what they learn from, and what all of them can do.

mod plane;
mod wasserstein;

use ndarray::Axis;
use serde::{Deserialize, Deserializer, Serialize};

use super::encode::{Encoder, Style};
use super::network::{Chance, Matrix, Parameter};

pub(super) use plane::{TableGan, side_of};
pub(super) use wasserstein::Wasserstein;

/// The published designs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Design {
    /// Park et al., "Data Synthesis based on Generative Adversarial Networks", 2018.
    Tablegan,
    /// Gulrajani et al., "Improved Training of Wasserstein GANs", 2017, given the class.
    WganGp,
    /// Xu et al., "Modeling Tabular Data using Conditional GAN", 2019.
    Ctgan,
}

/// What can be set of a training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// Rows of a step.
    pub batch: usize,
    /// Adam's rate of learning.
    pub learning_rate: f32,
    /// TableGAN: how far means and deviations of what the discriminator sees may be off without loss: more is more private.
    pub privacy: (f32, f32),
}

impl Recipe {
    /// As published.
    pub fn of(design: Design) -> Recipe {
        let learning_rate = if design == Design::WganGp { 3e-4 } else { 2e-4 };
        Recipe { batch: 500, learning_rate, privacy: (0.0, 0.0) }
    }
}

impl Design {
    /// How it wants values coded.
    pub(super) fn style(self) -> Style {
        match self {
            Design::Tablegan => Style::Plane,
            Design::WganGp => Style::Ranks,
            Design::Ctgan => Style::Modes,
        }
    }
}

/// Coded rows to learn from.
pub(super) struct Lessons<'a> {
    pub(super) encoder: &'a Encoder,
    pub(super) codes: Matrix,
    /// Rows by what conditions can ask for: for each feature that is nothing but choices, for each choice.
    by_choice: Vec<Vec<Vec<u32>>>,
    /// Rows by class; all in the first without labels.
    by_class: [Vec<u32>; 2],
}

impl<'a> Lessons<'a> {
    pub(super) fn new(encoder: &'a Encoder, codes: Matrix) -> Lessons<'a> {
        let is_one = |row: usize, code: usize| codes[[row, code]] == 1.0;
        let rows = 0..codes.nrows();
        let of = |code: usize| rows.clone().filter(|row| is_one(*row, code)).map(|row| row as u32).collect();
        let by_choice = encoder.features.iter().map(|feature| match feature.is_choice() {
            true => feature.choices.clone().map(of).collect(),
            false => Vec::new(),
        });
        let by_choice = by_choice.collect();
        let is_fraud = |row: &u32| match encoder.label() {
            Some(label) if label.is_choice() => is_one(*row as usize, label.choices.start + 1),
            Some(label) => label.scalar.is_some_and(|at| codes[[*row as usize, at]] > 0.0),
            None => false,
        };
        let (frauds, genuine) = (0..codes.nrows() as u32).partition(is_fraud);
        Lessons { encoder, by_choice, by_class: [genuine, frauds], codes }
    }

    fn select(&self, rows: &[usize]) -> Matrix {
        self.codes.select(Axis(0), rows)
    }
}

/// What a step came to. What a design does not have is 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Losses {
    /// Of the critic or discriminator.
    #[serde(deserialize_with = "or_nan")]
    pub critic: f32,
    /// The gradient penalty.
    #[serde(deserialize_with = "or_nan")]
    pub penalty: f32,
    /// Of the generator: how it fares against the critic.
    #[serde(deserialize_with = "or_nan")]
    pub generator: f32,
    /// CTGAN: how badly conditions were met. TableGAN: of the classifier, on made rows.
    #[serde(deserialize_with = "or_nan")]
    pub condition: f32,
    /// TableGAN: how far statistics were off, beyond what privacy allows.
    #[serde(deserialize_with = "or_nan")]
    pub information: f32,
}

/// JSON has no word for what is no number: `null` stands for it.
fn or_nan<'de, D: Deserializer<'de>>(from: D) -> Result<f32, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f32::NAN))
}

/// A generator in training.
pub(super) trait Adversary: Send {
    /// One step of every network.
    fn learn(&mut self, lessons: &Lessons, step: u64) -> Losses;

    /// Raw codes, one row for each of `classes`: numbers as they are, logits where choices are. Row i hangs on nothing but the
    /// chance and i.
    fn make(&mut self, encoder: &Encoder, classes: &[bool], chance: Chance) -> Matrix;

    /// All that is learnt, in a fixed order: the generator's first.
    fn parameters(&mut self) -> Vec<&mut Parameter>;

    /// How many of [`Adversary::parameters`] are the generator's.
    fn of_generator(&mut self) -> usize;

    /// Running averages that making rows needs, in a fixed order.
    fn generator_averages(&mut self) -> Vec<&mut Matrix>;

    /// All running averages, in a fixed order.
    fn averages(&mut self) -> Vec<&mut Matrix>;
}

/// A new adversary of a design.
pub(super) fn adversary(design: Design, encoder: &Encoder, recipe: Recipe, seed: u64) -> Box<dyn Adversary> {
    match design {
        Design::Tablegan => Box::new(TableGan::new(encoder, recipe, seed)),
        Design::WganGp => Box::new(Wasserstein::wgan_gp(encoder, recipe, seed)),
        Design::Ctgan => Box::new(Wasserstein::ctgan(encoder, recipe, seed)),
    }
}

/// Purposes of chance in a step.
mod purpose {
    pub(super) const BEGINNING: u64 = 10;
    pub(super) const ROWS: u64 = 11;
    pub(super) const NOISE: u64 = 12;
    pub(super) const CHOICES: u64 = 13;
    pub(super) const MIXING: u64 = 14;
    /// Passes of one step are this far apart.
    pub(super) const PASS: u64 = 64;
}
