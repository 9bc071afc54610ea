//! Synthetic transactions on demand: what was asked for, what makes them, and the jobs that send them down the live stream.
//!
//! Whatever is made has an id of its own, a mark that says what made it, and a time that follows the live stream's. Where it
//! goes down that stream it also has entities of its own, so that no real card's windows count what never happened.

/// What a request asks for, and everything that is wrong with it.
pub mod wanted;
/// What makes transactions, and the simulators among it.
pub mod source;
/// Generators that were fitted.
pub mod sampled;
/// What is known of them and of their trainings.
pub mod shelf;
/// Real and made transactions of the store beside each other.
pub mod beside;
/// Made transactions with ids, times, entities and marks of their own.
pub mod events;
/// The same as a file.
pub mod file;
/// Where a job sends them.
pub mod destination;
/// Jobs that send them down the live stream.
pub mod jobs;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, ensure};
use engine::Detector;
use engine::event::MARK;
use lab::simulate;

use self::events::Events;
use self::sampled::Sampled;
use self::source::{Simulated, Source};
use self::wanted::{Maker, Wanted};

/// What may be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// A folder of generators; each is called by its file's name.
    pub generators: Option<PathBuf>,
    /// Most rows of a file or a job.
    pub rows_max: u64,
    /// Generations at the same time.
    pub at_once: usize,
}

impl Config {
    /// Names of the generators, in order.
    pub fn generators(&self) -> Vec<String> {
        let mut names: Vec<String> = self.files().filter_map(|path| name_of(&path)).collect();
        names.sort();
        names.dedup();
        names
    }

    /// The file of a generator.
    pub fn generator(&self, name: &str) -> Option<PathBuf> {
        self.files().find(|path| name_of(path).as_deref() == Some(name))
    }

    /// Files that may be generators.
    fn files(&self) -> impl Iterator<Item = PathBuf> {
        self.entries().filter(|path| {
            path.extension().is_none_or(|ending| !UNFINISHED.iter().any(|known| ending == *known))
        })
    }

    /// Files that trainings go on from.
    fn checkpoints(&self) -> impl Iterator<Item = PathBuf> {
        self.entries().filter(|path| path.extension().is_some_and(|ending| ending == CHECKPOINT))
    }

    fn entries(&self) -> impl Iterator<Item = PathBuf> {
        let entries =
            self.generators.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_file())
    }
}

/// What the name of a training's file ends with, behind that of its generator.
const CHECKPOINT: &str = "checkpoint";

/// Endings of files that are no generators yet.
const UNFINISHED: [&str; 2] = [CHECKPOINT, "partial"];

fn name_of(path: &Path) -> Option<String> {
    path.file_stem().and_then(|name| name.to_str()).map(str::to_string)
}

impl Default for Config {
    fn default() -> Self {
        Config { generators: None, rows_max: 1_000_000, at_once: 2 }
    }
}

/// Whose transactions are made, and for what.
pub struct Order<'a> {
    /// What was asked for.
    pub wanted: &'a Wanted,
    /// When the first transaction may be.
    pub start_us: i64,
    /// What ids begin with.
    pub own: &'a str,
    /// Whether entities begin with it too.
    pub own_entities: bool,
    /// Set when nobody wants any more of it.
    pub is_unwanted: Arc<AtomicBool>,
}

/// Makes ready what was asked for.
///
/// # Errors
/// Why it cannot be made, for whoever asked.
pub fn prepare(detector: &Arc<Detector>, config: &Config, order: Order) -> Result<Events> {
    let Order { wanted, start_us, .. } = order;
    ensure!(
        detector.schema.mark_position().is_some(),
        "the detector declares a field `{MARK}`, so what is made could not be told from real transactions"
    );
    let (source, mark): (Box<dyn Source>, String) = match &wanted.maker {
        Maker::Simulator(name) => {
            let simulated = Simulated::new(detector, name, wanted, start_us)?;
            (Box::new(simulated), simulate::mark(name, wanted.seed))
        }
        Maker::Generator(name) => {
            let path = config.generator(name).with_context(|| format!("there is no generator {name}"))?;
            let sampled = Sampled::new(detector, &path, wanted, start_us, Arc::clone(&order.is_unwanted))?;
            let mark = sampled.id().to_string();
            (Box::new(sampled), mark)
        }
    };
    Ok(Events::new(source, &detector.schema, mark, &order))
}
