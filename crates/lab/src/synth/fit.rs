//! Training a generator.
//!
//! A tenth of the rows is held out. Every few epochs rows are made and polished as they will be later, and their distance to the
//! held-out ones is measured; the weights of the nearest are the ones that are kept. All chance belongs to a seed and a step, so a
//! training that was stopped goes on from its checkpoint to the same bytes.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::distance::Yardstick;
use super::encode::Encoder;
use super::gan::{Adversary, Lessons, Losses, Recipe, adversary};
use super::generator::{Arrays, Body, Facts, Generator, Method, Subject, Trained, sample_of};
use super::polish::Polish;
use super::smote::Smote;
use super::table::Table;
use crate::random::Stream;

/// How a generator is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// What kind of generator.
    pub method: Method,
    /// Times that all rows are gone through.
    pub epochs: usize,
    /// Rows of a step.
    pub batch: usize,
    /// Adam's rate; the design's own if `None`.
    pub learning_rate: Option<f32>,
    /// TableGAN's δ of means and of deviations: how far they may be off.
    pub privacy: (f32, f32),
    /// Stop when the distance has not become smaller so many times; never if 0.
    pub patience: usize,
    /// Seed of everything random.
    pub seed: u64,
}

impl Settings {
    /// Those that do well with most tables.
    pub fn of(method: Method) -> Settings {
        Settings {
            method,
            epochs: 300,
            batch: 500,
            learning_rate: None,
            privacy: (0.0, 0.0),
            patience: 15,
            seed: 0,
        }
    }
}

/// What rows come from: a table with what is known of it.
#[derive(Debug, Clone)]
pub struct Source<'a> {
    /// The rows.
    pub table: &'a Table,
    /// What they are.
    pub subject: Subject,
    /// The times they were taken from, if that was asked for; else those that they have.
    pub period: Option<std::ops::Range<i64>>,
}

/// How a training has gone so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Mean losses of each epoch.
    pub losses: Vec<Losses>,
    /// After how many epochs the distance was measured, and what it was.
    pub distances: Vec<(usize, f64)>,
}

impl History {
    /// The smallest distance, and after how many epochs it was.
    pub fn best(&self) -> Option<(usize, f64)> {
        self.distances.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1))
    }

    fn gone_without_better(&self) -> usize {
        let best = self.best().map_or(0, |(epoch, _)| epoch);
        self.distances.iter().filter(|(epoch, _)| *epoch > best).count()
    }
}

/// What can be looked at while training.
pub struct Progress<'a> {
    /// Epochs that are done, and all.
    pub epochs: (usize, usize),
    /// Steps that are done, and all.
    pub steps: (u64, u64),
    /// So far.
    pub history: &'a History,
    /// Rows that were made for the last distance, and the real ones that they were compared with; after an epoch that has one.
    pub samples: Option<(&'a Table, &'a Table)>,
}

/// Whom a training tells how it goes, and asks whether to go on.
pub type Watcher<'a> = dyn FnMut(&Progress) -> ControlFlow<()> + 'a;

/// Share of the rows that is held out, if there are enough.
const HELD_OUT: f64 = 0.1;
const ROWS_TO_HOLD_OUT: usize = 200;
/// Distances that are measured at most.
const DISTANCES: usize = 40;
/// What is made often gets worse before it gets better: one in so many epochs is waited for in any case.
const PATIENT_SHARE: usize = 3;
/// Rows a class must have to be in what is held out.
const CLASS_MIN: usize = 10;
const HOLDING_OUT: u64 = 60;

/// Trains a generator. With `checkpoint`, what a stopped training needs to go on is written there, and read if it is there.
///
/// # Errors
/// If there are too few rows, the checkpoint is another training's or cannot be written, or `watch` says to stop.
pub fn fit(
    source: &Source,
    settings: &Settings,
    checkpoint: Option<&Path>,
    watch: &mut Watcher,
) -> Result<Generator> {
    let table = source.table;
    ensure!(table.len() >= 20, "{} rows are too few to learn from", table.len());
    ensure!(
        settings.epochs > 0 && settings.batch >= 20,
        "epochs must be at least 1 and the batch at least 20"
    );
    let facts = facts(source, settings);
    let Some(design) = settings.method.design() else {
        return Ok(Generator { facts, history: History::default(), body: Body::Smote(Smote::of(table)) });
    };
    let (learnt, held_out) = hold_out(table, settings.seed);
    let encoder = Encoder::fit(&learnt, design.style());
    ensure!(!encoder.inputs().is_empty(), "there is no column to learn but entities and the label");
    let defaults = Recipe::of(design);
    let recipe = Recipe {
        batch: settings.batch.min(learnt.len().max(20)),
        learning_rate: settings.learning_rate.unwrap_or(defaults.learning_rate),
        privacy: settings.privacy,
    };
    let mut training = Training {
        adversary: adversary(design, &encoder, recipe, settings.seed),
        yardstick: (!held_out.is_empty()).then(|| Yardstick::new(&learnt, &held_out, settings.seed)),
        lessons: Lessons::new(&encoder, encoder.encode(&learnt, settings.seed)),
        encoder: &encoder,
        learnt: &learnt,
        held_out: &held_out,
        settings,
        state: State::new(&facts, settings),
        best: Vec::new(),
        path: checkpoint.map(Path::to_path_buf),
    };
    training.resume()?;
    training.run(watch)?;
    training.take_best();
    let Training { mut adversary, state, .. } = training;
    let polish = Polish::fit(&encoder, adversary.as_mut(), &learnt, settings.seed);
    let best = state.history.best();
    let done = state.history.losses.len();
    let facts = Facts {
        epochs: (done, best.map_or(done, |(epoch, _)| epoch)),
        distance: best.map(|(_, distance)| distance),
        ..facts
    };
    let trained = Trained::new(encoder, polish, recipe, table, adversary);
    Ok(Generator { facts, history: state.history, body: Body::Network(Box::new(trained)) })
}

fn facts(source: &Source, settings: &Settings) -> Facts {
    let table = source.table;
    let fingerprint = table.fingerprint();
    let how = format!("{settings:?}{fingerprint}");
    let short =
        Stream::seed_of(how.bytes().fold(0, |sum, byte| sum * 31 % (1 << 55) + u64::from(byte)), 0, 0, 0)
            >> 32;
    let covered =
        table.times_us.iter().min().zip(table.times_us.iter().max()).map(|(first, last)| *first..*last + 1);
    let period = source.period.clone().or(covered);
    Facts {
        id: format!("{}-{short:08x}", settings.method),
        method: settings.method,
        subject: source.subject.clone(),
        rows: table.len(),
        frauds: table.frauds().len(),
        period_us: period.map(|period| (period.start, period.end)),
        fingerprint,
        seed: settings.seed,
        epochs: (0, 0),
        distance: None,
    }
}

/// A tenth of each class that has enough rows, drawn from the seed.
fn hold_out(table: &Table, seed: u64) -> (Table, Table) {
    if table.len() < ROWS_TO_HOLD_OUT {
        return (table.clone(), Table::default());
    }
    let frauds = table.frauds();
    let is_out = |row: &usize| {
        let is_fraud = frauds.binary_search(row).is_ok();
        let few = is_fraud && frauds.len() < CLASS_MIN;
        !few && Stream::at(seed, HOLDING_OUT, *row as u64, 0).chance(HELD_OUT)
    };
    let (out, kept): (Vec<usize>, Vec<usize>) = (0..table.len()).partition(is_out);
    (table.select(&kept), table.select(&out))
}

/// What a checkpoint says beside its arrays.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct State {
    /// Whose it is.
    id: String,
    settings: Settings,
    history: History,
    step: u64,
    /// What is learnt from; checkpoints of earlier versions do not say it.
    #[serde(default)]
    facts: Option<Facts>,
}

impl State {
    /// Before the first step.
    fn new(facts: &Facts, settings: &Settings) -> State {
        State {
            id: facts.id.clone(),
            settings: settings.clone(),
            history: History::default(),
            step: 0,
            facts: Some(facts.clone()),
        }
    }
}

/// What a checkpoint says of a training: what it learns from, and how it has gone so far. The arrays are not read.
///
/// # Errors
/// If the file cannot be read or is no checkpoint, or an earlier version wrote it.
pub fn outline(checkpoint: &Path) -> Result<(Facts, History)> {
    let no_checkpoint = || format!("{} is no checkpoint", checkpoint.display());
    let text = Arrays::read_text(checkpoint)?;
    let state: State = serde_json::from_str(&text).with_context(no_checkpoint)?;
    Ok((state.facts.with_context(no_checkpoint)?, state.history))
}

struct Training<'a> {
    adversary: Box<dyn Adversary>,
    yardstick: Option<Yardstick>,
    lessons: Lessons<'a>,
    encoder: &'a Encoder,
    learnt: &'a Table,
    held_out: &'a Table,
    settings: &'a Settings,
    state: State,
    /// What the generator was at its best.
    best: Vec<super::network::Matrix>,
    path: Option<PathBuf>,
}

impl Training<'_> {
    fn run(&mut self, watch: &mut Watcher) -> Result<()> {
        let steps_an_epoch = (self.learnt.len() / self.settings.batch).max(1) as u64;
        let epochs = self.settings.epochs;
        let every = epochs.div_ceil(DISTANCES).max(1);
        while self.state.history.losses.len() < epochs {
            let losses = self.epoch(steps_an_epoch);
            self.state.history.losses.push(losses);
            let done = self.state.history.losses.len();
            let made = (done.is_multiple_of(every) || done == epochs).then(|| self.measure(done)).flatten();
            let progress = Progress {
                epochs: (done, epochs),
                steps: (self.state.step, steps_an_epoch * epochs as u64),
                history: &self.state.history,
                samples: made.as_ref().map(|made| (made, self.held_out)),
            };
            let goes_on = watch(&progress).is_continue();
            if made.is_some() || !goes_on {
                self.write_checkpoint()?;
            }
            ensure!(goes_on, "stopped after {done} of {epochs} epochs");
            if done >= epochs / PATIENT_SHARE && self.is_patience_at_its_end() {
                break;
            }
        }
        Ok(())
    }

    fn is_patience_at_its_end(&self) -> bool {
        self.settings.patience > 0 && self.state.history.gone_without_better() >= self.settings.patience
    }

    fn epoch(&mut self, steps: u64) -> Losses {
        let mut sum = Losses::default();
        for _ in 0..steps {
            let losses = step(self.adversary.as_mut(), &self.lessons, self.state.step);
            self.state.step += 1;
            sum.add(&losses, 1.0 / steps as f32);
        }
        sum
    }

    /// Makes rows as they would be made now, and keeps the weights if none were nearer.
    fn measure(&mut self, epoch: usize) -> Option<Table> {
        let yardstick = self.yardstick.as_ref()?;
        let adversary = self.adversary.as_mut();
        let polish = Polish::fit(self.encoder, adversary, self.learnt, self.settings.seed);
        let made = sample_of(self.encoder, &polish, adversary, yardstick.wanted(), self.settings.seed)?;
        // What cannot be told apart for want of a tree is not nearer for it.
        let distance = yardstick.distance(&made).unwrap_or(1.0);
        if self.state.history.best().is_none_or(|(_, best)| distance < best) {
            self.best = generator_of(adversary);
        }
        self.state.history.distances.push((epoch, distance));
        Some(made)
    }

    fn take_best(&mut self) {
        let mut best = self.best.iter();
        let count = self.adversary.of_generator();
        for (parameter, best) in self.adversary.parameters().into_iter().take(count).zip(&mut best) {
            parameter.value.clone_from(best);
        }
        self.adversary
            .generator_averages()
            .into_iter()
            .zip(best)
            .for_each(|(average, best)| average.clone_from(best));
    }

    fn write_checkpoint(&mut self) -> Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let mut arrays = Arrays::default();
        for parameter in self.adversary.parameters() {
            [&parameter.value, &parameter.mean, &parameter.square]
                .into_iter()
                .for_each(|array| arrays.push(array));
        }
        self.adversary.averages().into_iter().for_each(|average| arrays.push(average));
        self.best.iter().for_each(|array| arrays.push(array));
        arrays.write(&serde_json::to_string(&self.state)?, path)
    }

    fn resume(&mut self) -> Result<()> {
        let Some(path) = self.path.as_ref().filter(|path| path.exists()) else { return Ok(()) };
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let no_checkpoint = || format!("{} is no checkpoint of this training", path.display());
        let (text, mut arrays) = Arrays::read(&bytes).with_context(no_checkpoint)?;
        let state: State = serde_json::from_str(&text).with_context(no_checkpoint)?;
        ensure!(
            state.id == self.state.id && state.settings == *self.settings,
            "{}: it has seen other rows or has other settings; delete it to begin anew",
            no_checkpoint()
        );
        for parameter in self.adversary.parameters() {
            for array in [&mut parameter.value, &mut parameter.mean, &mut parameter.square] {
                arrays.fill(array)?;
            }
        }
        self.adversary.averages().into_iter().try_for_each(|average| arrays.fill(average))?;
        if !state.history.distances.is_empty() {
            self.best = generator_of(self.adversary.as_mut());
            self.best.iter_mut().try_for_each(|array| arrays.fill(array))?;
        }
        let facts = self.state.facts.take();
        self.state = State { facts, ..state };
        Ok(())
    }
}

/// One step, on a thread of the pool: from outside of it, each of the many small tasks would wake and await others.
pub(super) fn step(adversary: &mut dyn Adversary, lessons: &Lessons, step: u64) -> Losses {
    rayon::scope(|_| adversary.learn(lessons, step))
}

/// All that making rows needs.
fn generator_of(adversary: &mut dyn Adversary) -> Vec<super::network::Matrix> {
    let count = adversary.of_generator();
    let mut all: Vec<_> =
        adversary.parameters().into_iter().take(count).map(|parameter| parameter.value.clone()).collect();
    all.extend(adversary.generator_averages().into_iter().map(|average| average.clone()));
    all
}

impl Losses {
    fn add(&mut self, other: &Losses, weight: f32) {
        self.critic += weight * other.critic;
        self.penalty += weight * other.penalty;
        self.generator += weight * other.generator;
        self.condition += weight * other.condition;
        self.information += weight * other.information;
    }
}
