//! What a demo plays: a simulated world with a past and a present.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use engine::Detector;
use engine::detector::Schema;
use engine::time::DAY_US;
use lab::dataset::{Block, SimulatedReader};
use lab::simulate::{self, Settings, Simulator, simulator};
use lab::split::label_delay_us;
use serde::{Deserialize, Serialize};

use crate::cli::WrongInput;
use crate::service::pipeline::now_us;

/// Most days before the stream that fill the windows; the model learns from the later part of them.
const HISTORY_DAYS: i64 = 70;

/// Most transactions of history, about.
const HISTORY_ROWS: f64 = 1e6;

/// Most days of history that the model learns from.
const TRAINING_DAYS: i64 = 28;

/// The present begins so many days ago, where the simulator can begin at any time.
const BEGUN_DAYS: i64 = 45;

/// The simulated world, written down at the first start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct World {
    /// Whose events it has.
    pub detector: String,
    seed: u64,
    customers: u32,
    /// When history begins.
    start_us: i64,
    /// When the stream begins; history lies before it.
    pub stream_from_us: i64,
    /// Simulated time until a fraud is known.
    pub label_delay_us: i64,
}

impl World {
    /// The world of a data folder, or a new one that is written there.
    ///
    /// # Errors
    /// If the folder has another detector's, or there is no simulator of this one.
    pub fn open(folder: &Path, detector: &Detector, seed: u64, customers: Option<u32>) -> Result<World> {
        let path = folder.join("world.json");
        if let Ok(text) = std::fs::read_to_string(&path) {
            return World::found(folder, &text, &detector.name);
        }
        let world = World::new(detector, seed, customers)?;
        std::fs::write(&path, serde_json::to_string(&world)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(world)
    }

    fn found(folder: &Path, text: &str, detector: &str) -> Result<World> {
        let elsewhere = "give another folder with --data-dir, or remove it";
        let world: World = serde_json::from_str(text).map_err(|error| {
            WrongInput(format!("{}: world.json is not a demo's: {error}; {elsewhere}", folder.display()))
        })?;
        if world.detector != detector {
            let message = format!(
                "{} has a demo of {}, not of {detector}; {elsewhere}",
                folder.display(),
                world.detector
            );
            return Err(WrongInput(message).into());
        }
        Ok(world)
    }

    fn new(detector: &Detector, seed: u64, customers: Option<u32>) -> Result<World> {
        let label_delay_us = label_delay_us(detector).max(DAY_US);
        let customers = customers.unwrap_or_else(|| default_customers(&detector.name));
        let mut world = World {
            detector: detector.name.clone(),
            seed,
            customers,
            start_us: now_us().div_euclid(DAY_US) * DAY_US - (BEGUN_DAYS + HISTORY_DAYS) * DAY_US,
            stream_from_us: 0,
            label_delay_us,
        };
        let simulator = world.simulator()?;
        let enough_days = (HISTORY_ROWS / simulator.rows_per_day()) as i64;
        let history_days = enough_days.clamp(label_delay_us / DAY_US + 2, HISTORY_DAYS);
        let schema = Arc::new(detector.schema.clone());
        let first_us = first_time(SimulatedReader::new(simulator, &schema), &schema);
        world.stream_from_us = first_us.div_euclid(DAY_US) * DAY_US + history_days * DAY_US;
        Ok(world)
    }

    /// What has happened before the stream begins.
    ///
    /// # Errors
    /// If there is no simulator of that name.
    pub fn history(&self, schema: &Arc<Schema>) -> Result<SimulatedReader> {
        Ok(SimulatedReader::new(self.simulator()?, schema).until(self.stream_from_us))
    }

    /// The part of history that is learnt from: what is newer than its end has no labels when the stream begins.
    pub fn training(&self) -> Range<i64> {
        let until_us = self.stream_from_us - self.label_delay_us;
        until_us - TRAINING_DAYS * DAY_US..until_us
    }

    /// What its transactions are marked with.
    pub fn mark(&self) -> String {
        simulate::mark(&self.detector, self.seed)
    }

    /// All of its transactions, history first, without an end.
    ///
    /// # Errors
    /// If there is no simulator of that name.
    pub fn simulator(&self) -> Result<Box<dyn Simulator>> {
        let settings = Settings {
            seed: self.seed,
            start_us: self.start_us,
            customers: Some(self.customers),
            ..Settings::default()
        };
        Ok(simulator(&self.detector, &settings)?)
    }
}

/// Few of PaySim's accounts move much.
fn default_customers(detector: &str) -> u32 {
    if detector == "paysim" { 50_000 } else { 5_000 }
}

/// When the first transaction is: some simulators count from a zero of their own.
fn first_time(mut reader: SimulatedReader, schema: &Arc<Schema>) -> i64 {
    let mut block = Block::new(schema);
    while block.batch.is_empty() && reader.read_one(&mut block) {}
    if block.batch.is_empty() { 0 } else { block.batch.time_us(0) }
}
