//! How fast networks learn: updates a second, and the sizes that another library needs to do the same.

use std::time::Instant;

use anyhow::{Context, Result};
use serde::Serialize;

use super::encode::Encoder;
use super::fit::Settings;
use super::gan::{Design, Lessons, Recipe, adversary, side_of};
use super::table::Table;

/// The sizes of networks.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Sizes {
    /// Of a Wasserstein GAN and its critic.
    Wasserstein(WassersteinSizes),
    /// Of TableGAN's three networks.
    Tablegan {
        /// Rows of a step.
        batch: usize,
        /// Side of the square that a row becomes.
        side: usize,
    },
}

impl Sizes {
    /// Steps of Adam in one step of all networks.
    pub fn updates(&self) -> usize {
        match self {
            Sizes::Wasserstein(sizes) => sizes.critic_steps + 1,
            Sizes::Tablegan { .. } => 3,
        }
    }
}

/// The sizes of a Wasserstein GAN and its critic.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WassersteinSizes {
    /// Rows of a step.
    pub batch: usize,
    /// Cells of a condition.
    pub condition: usize,
    /// Numbers of a row that end in a tanh.
    pub numbers: usize,
    /// Choices of a row that the generator makes, each with so many cells.
    pub choices: Vec<usize>,
    /// Rows that the critic sees at a time.
    pub pack: usize,
    /// Share that the critic drops out.
    pub dropout: f32,
    /// Steps of the critic for each of the generator's.
    pub critic_steps: usize,
    /// Whether the class is given to the generator and not made by it.
    pub gives_class: bool,
}

/// Sizes of what a table needs.
///
/// # Errors
/// For kinds that are no networks.
pub fn sizes(table: &Table, settings: &Settings) -> Result<Sizes> {
    let design = design(settings)?;
    let encoder = Encoder::fit(table, design.style());
    if design == Design::Tablegan {
        return Ok(Sizes::Tablegan { batch: settings.batch, side: side_of(encoder.width) });
    }
    let gives_class = design == Design::WganGp;
    let asked = encoder.features.iter().filter(|feature| feature.is_choice());
    let condition = match gives_class {
        true => encoder.label().map_or(0, |label| label.choices.len()),
        false => asked.map(|feature| feature.choices.len()).sum(),
    };
    let made = if gives_class { encoder.inputs() } else { encoder.features.as_slice() };
    let (pack, dropout, critic_steps) = if gives_class { (1, 0.0, 5) } else { (10, 0.5, 1) };
    Ok(Sizes::Wasserstein(WassersteinSizes {
        batch: settings.batch,
        condition,
        numbers: made.iter().filter(|feature| feature.scalar.is_some()).count(),
        choices: made.iter().map(|feature| feature.choices.len()).filter(|cells| *cells > 0).collect(),
        pack,
        dropout,
        critic_steps,
        gives_class,
    }))
}

fn design(settings: &Settings) -> Result<Design> {
    settings.method.design().context("only networks learn")
}

/// Updates of a network (of the critic or the generator) a second, for each of some repetitions of so many of the generator's.
///
/// # Errors
/// For kinds that are no networks.
pub fn updates_per_second(
    table: &Table,
    settings: &Settings,
    steps: u64,
    repetitions: usize,
    progress: &mut dyn FnMut(u64),
) -> Result<Vec<f64>> {
    let design = design(settings)?;
    let sizes = sizes(table, settings)?;
    let encoder = Encoder::fit(table, design.style());
    let lessons = Lessons::new(&encoder, encoder.encode(table, settings.seed));
    let recipe = Recipe { batch: settings.batch, ..Recipe::of(design) };
    let mut network = adversary(design, &encoder, recipe, settings.seed);
    // The first steps find memory and the processor's speed.
    for step in 0..steps.min(10) {
        super::fit::step(network.as_mut(), &lessons, step);
    }
    let repetition = |repetition: u64| {
        let started = Instant::now();
        for step in 0..steps {
            super::fit::step(network.as_mut(), &lessons, 10 + repetition * steps + step);
            progress(repetition * steps + step + 1);
        }
        (steps * sizes.updates() as u64) as f64 / started.elapsed().as_secs_f64()
    };
    Ok((0..repetitions as u64).map(repetition).collect())
}
