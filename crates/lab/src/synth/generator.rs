//! A trained generator: one file, from which rows are made.
//!
//! The file is safetensors: weights as arrays, and all else as one JSON text in its header.

use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use engine::time::format_instant;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::encode::Encoder;
use super::encode::quantiles::Quantiles;
use super::fit::History;
use super::gan::{Adversary, Design, Recipe, adversary};
use super::network::{Chance, Matrix};
use super::polish::{BLOCK, Polish, made};
use super::smote::Smote;
use super::table::{Kind, Table};
use crate::random::Stream;

/// How rows are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Park et al., 2018.
    Tablegan,
    /// A Wasserstein GAN with gradient penalty that is given the class.
    WganGp,
    /// Xu et al., 2019.
    Ctgan,
    /// Chawla et al., 2002: between real rows. The file holds those rows.
    Smote,
}

impl Method {
    /// All of them, by name.
    pub const ALL: [(&str, Method); 4] = [
        ("tablegan", Method::Tablegan),
        ("wgan-gp", Method::WganGp),
        ("ctgan", Method::Ctgan),
        ("smote", Method::Smote),
    ];

    /// The network that it trains, if it does.
    pub(super) fn design(self) -> Option<Design> {
        match self {
            Method::Tablegan => Some(Design::Tablegan),
            Method::WganGp => Some(Design::WganGp),
            Method::Ctgan => Some(Design::Ctgan),
            Method::Smote => None,
        }
    }
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = Method::ALL.iter().find(|(_, method)| method == self).map(|(name, _)| *name);
        f.write_str(name.unwrap_or_default())
    }
}

/// What rows of a table are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// Events of the detector of this name.
    Events(String),
    /// Features of the detector of this name, with the fingerprint of their list.
    Features(String, String),
    /// Columns of some file.
    Columns,
}

/// What a generator has seen, and how it came to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Its name: the method, and a fingerprint of what it learnt from and how.
    pub id: String,
    /// How it makes rows.
    pub method: Method,
    /// What its rows are.
    pub subject: Subject,
    /// Rows it has seen, those for early stopping included.
    pub rows: usize,
    /// Frauds among them.
    pub frauds: usize,
    /// From the first to after the last of their times, in microseconds since 1970, where they have times.
    pub period_us: Option<(i64, i64)>,
    /// Fingerprint of all their values.
    pub fingerprint: String,
    /// Seed of everything random.
    pub seed: u64,
    /// Epochs it was trained for, and the one whose weights it has.
    pub epochs: (usize, usize),
    /// How well boosted trees tell made rows from real ones that were held out: 0 not at all, 1 always; where some were held out.
    pub distance: Option<f64>,
}

impl Facts {
    /// The times that it has seen.
    pub fn period(&self) -> Option<Range<i64>> {
        self.period_us.map(|(start, end)| start..end)
    }

    /// What rows that it makes are marked with: its name, and the time it has seen, so that whoever learns from them knows what
    /// must not be a test.
    pub fn mark(&self) -> String {
        let day = |us: i64| format_instant(us);
        self.period()
            .map_or(self.id.clone(), |seen| format!("{}@{}/{}", self.id, day(seen.start), day(seen.end)))
    }

    /// Refuses a test on a time that the generator has seen.
    ///
    /// # Errors
    /// If the two overlap.
    pub fn refuse_overlap(&self, test: &Range<i64>) -> Result<()> {
        let Some(seen) = self.period() else { return Ok(()) };
        ensure!(
            seen.end <= test.start || test.end <= seen.start,
            "the generator {} has seen transactions from {} to {}: a test from {} to {} would test on what was learnt from",
            self.id,
            format_instant(seen.start),
            format_instant(seen.end),
            format_instant(test.start),
            format_instant(test.end),
        );
        Ok(())
    }
}

/// How often the entities of a column appear.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Activity {
    column: usize,
    entities: usize,
    rows_each: Quantiles,
}

/// Quantiles that are kept of how active entities are.
const ACTIVITY_KNOTS: usize = 128;

impl Activity {
    fn of(table: &Table) -> Vec<Activity> {
        let entities = table.columns.iter().enumerate().filter(|(_, column)| column.kind == Kind::Entity);
        let activity = |(at, column): (usize, &super::table::Column)| {
            let mut rows = vec![0.0_f64; column.words.len()];
            column
                .values
                .iter()
                .filter(|value| !value.is_nan())
                .for_each(|value| rows[*value as usize] += 1.0);
            rows.retain(|rows| *rows > 0.0);
            let rows_each = Quantiles::of(rows.iter().copied(), ACTIVITY_KNOTS)?;
            Some(Activity { column: at, entities: rows.len(), rows_each })
        };
        entities.filter_map(activity).collect()
    }

    /// Gives each row somebody, the busy ones more often. They are new: their names are numbers.
    fn fill(&self, table: &mut Table, chance: &mut Stream) {
        let share = |entity: usize| (entity as f64 + 0.5) / self.entities as f64;
        let mut sum = 0.0;
        let ends: Vec<f64> = (0..self.entities)
            .map(|entity| {
                sum += self.rows_each.value(share(entity));
                sum
            })
            .collect();
        let column = &mut table.columns[self.column];
        column.words = (0..self.entities).map(|entity| format!("s{entity}")).collect();
        for value in &mut column.values {
            let at = chance.uniform() * sum;
            *value = ends.partition_point(|end| *end <= at).min(self.entities - 1) as f64;
        }
    }
}

/// What is asked of a generator.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wanted {
    /// Rows.
    pub rows: usize,
    /// Frauds among them, as a share; that of the rows it has seen if `None`.
    pub fraud_share: Option<f64>,
    /// The same seed makes the same rows.
    pub seed: u64,
}

/// A generator.
pub struct Generator {
    /// What it has seen.
    pub facts: Facts,
    /// How its training went; nothing where nothing was trained, or by a version that did not keep it.
    pub history: History,
    pub(super) body: Body,
}

/// What makes the rows.
pub(super) enum Body {
    Network(Box<Trained>),
    Smote(Smote),
}

/// A network with all that is around it.
pub(super) struct Trained {
    pub(super) encoder: Encoder,
    pub(super) polish: Polish,
    pub(super) recipe: Recipe,
    activity: Vec<Activity>,
    /// Layers keep what they saw last, so one caller at a time.
    pub(super) adversary: Mutex<Box<dyn Adversary>>,
}

impl Trained {
    pub(super) fn new(
        encoder: Encoder,
        polish: Polish,
        recipe: Recipe,
        table: &Table,
        adversary: Box<dyn Adversary>,
    ) -> Trained {
        Trained { encoder, polish, recipe, activity: Activity::of(table), adversary: Mutex::new(adversary) }
    }

    /// Rows of both classes.
    fn sample(
        &self,
        counts: [usize; 2],
        seed: u64,
        progress: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Table> {
        let mut adversary = self.adversary.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rows = Rows::new(&self.encoder);
        for (class, count) in [(false, counts[0]), (true, counts[1])] {
            let before = rows.labels.len();
            let mut block = 0;
            while rows.labels.len() < before + count {
                ensure!(progress(rows.labels.len()), "stopped");
                let wanted = (before + count - rows.labels.len()).min(BLOCK);
                let seed = Stream::seed_of(seed, SAMPLING, u64::from(class), block);
                let raw =
                    made(&self.encoder, adversary.as_mut(), class, wanted, seed).with_context(|| {
                        format!(
                            "the generator hardly makes any {} rows",
                            if class { "fraudulent" } else { "genuine" }
                        )
                    })?;
                rows.push(&self.encoder, &self.polish, &raw, class, seed);
                block += 1;
            }
        }
        Ok(self.encoder.assemble(&rows.values, &rows.labels))
    }
}

const SAMPLING: u64 = 40;
const ORDER: u64 = 41;
const ENTITIES: u64 = 42;

/// Rows as they are made.
struct Rows {
    values: Vec<Vec<f64>>,
    labels: Vec<f64>,
}

impl Rows {
    fn new(encoder: &Encoder) -> Rows {
        Rows { values: vec![Vec::new(); encoder.inputs().len()], labels: Vec::new() }
    }

    fn push(&mut self, encoder: &Encoder, polish: &Polish, raw: &Matrix, class: bool, seed: u64) {
        let chance = Chance { seed, step: 0 };
        for (row, draft) in polish.drafts(encoder, raw, class, chance).iter().enumerate() {
            for (column, value) in self.values.iter_mut().zip(draft.values(encoder, chance, row)) {
                column.push(value);
            }
            self.labels.push(f64::from(u8::from(class)));
        }
    }
}

/// Rows of a network in training.
pub(super) fn sample_of(
    encoder: &Encoder,
    polish: &Polish,
    adversary: &mut dyn Adversary,
    counts: [usize; 2],
    seed: u64,
) -> Option<Table> {
    let mut rows = Rows::new(encoder);
    for (class, count) in [(false, counts[0]), (true, counts[1])] {
        if count > 0 {
            let seed = Stream::seed_of(seed, SAMPLING, u64::from(class), 0);
            rows.push(encoder, polish, &made(encoder, adversary, class, count, seed)?, class, seed);
        }
    }
    Some(encoder.assemble(&rows.values, &rows.labels))
}

impl Generator {
    /// Rows as real ones would be: in the order of time, where there are times, else in any. `progress` is told how many there
    /// are and says whether to go on.
    ///
    /// # Errors
    /// If a share is asked for that cannot be, or `progress` says no.
    pub fn sample(&self, wanted: Wanted, progress: &mut dyn FnMut(usize) -> bool) -> Result<Table> {
        let counts = self.counts(wanted)?;
        let mut table = match &self.body {
            Body::Network(trained) => trained.sample(counts, wanted.seed, progress)?,
            Body::Smote(smote) => smote.sample(counts, wanted.seed)?,
        };
        let activity = match &self.body {
            Body::Network(trained) => trained.activity.as_slice(),
            Body::Smote(_) => &[],
        };
        for (at, activity) in activity.iter().enumerate() {
            activity.fill(&mut table, &mut Stream::at(wanted.seed, ENTITIES, at as u64, 0));
        }
        Ok(ordered(&table, wanted.seed))
    }

    /// The name of the column of labels, if it makes labels.
    pub fn label(&self) -> Option<&str> {
        match &self.body {
            Body::Network(trained) => trained.encoder.label_name(),
            Body::Smote(smote) => smote.label_name(),
        }
    }

    /// Genuine rows and frauds.
    fn counts(&self, wanted: Wanted) -> Result<[usize; 2]> {
        let Facts { rows, frauds, .. } = &self.facts;
        let share = wanted.fraud_share.unwrap_or(*frauds as f64 / (*rows).max(1) as f64);
        ensure!((0.0..=1.0).contains(&share), "the share of frauds must be from 0 to 1, not {share}");
        let fraud = (wanted.rows as f64 * share).round() as usize;
        let counts = [wanted.rows - fraud, fraud];
        for (count, seen, what) in
            [(counts[0], rows - frauds, "genuine transactions"), (counts[1], *frauds, "frauds")]
        {
            if count > 0 && seen == 0 {
                bail!(
                    "the generator {} has seen no {what}: ask for a share of frauds of {}",
                    self.facts.id,
                    if what == "frauds" { 0 } else { 1 }
                );
            }
        }
        Ok(counts)
    }

    /// Writes the file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut arrays = Arrays::default();
        let kept = match &self.body {
            Body::Network(trained) => {
                let mut adversary = trained.adversary.lock().unwrap_or_else(PoisonError::into_inner);
                arrays.push_generator(adversary.as_mut());
                Kept::Network {
                    encoder: trained.encoder.clone(),
                    polish: trained.polish.clone(),
                    recipe: trained.recipe,
                    activity: trained.activity.clone(),
                }
            }
            Body::Smote(smote) => Kept::Smote(smote.clone()),
        };
        arrays.write(&serde_json::to_string(&(&self.facts, kept, &self.history))?, path)
    }

    /// Reads the file.
    ///
    /// # Errors
    /// If it cannot be read or is no generator's.
    pub fn load(path: &Path) -> Result<Generator> {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let no_generator = || format!("{} is no generator", path.display());
        let (text, mut arrays) = Arrays::read(&bytes).with_context(no_generator)?;
        let Text(facts, kept, history) = serde_json::from_str(&text).with_context(no_generator)?;
        let body = match kept {
            Kept::Smote(smote) => Body::Smote(smote),
            Kept::Network { encoder, polish, recipe, activity } => {
                let design = facts.method.design().with_context(no_generator)?;
                let mut adversary = adversary(design, &encoder, recipe, facts.seed);
                arrays.fill_generator(adversary.as_mut()).with_context(no_generator)?;
                let adversary = Mutex::new(adversary);
                Body::Network(Box::new(Trained { encoder, polish, recipe, activity, adversary }))
            }
        };
        Ok(Generator { facts, history, body })
    }
}

/// What a generator's file says of it: what it has seen, and how its training went. What makes its rows is not read.
///
/// # Errors
/// If the file cannot be read or is no generator's.
pub fn outline(path: &Path) -> Result<(Facts, History)> {
    let text = Arrays::read_text(path)?;
    let Text(facts, IgnoredAny, history) =
        serde_json::from_str(&text).with_context(|| format!("{} is no generator", path.display()))?;
    Ok((facts, history))
}

/// The text of a file. Those of earlier versions have no history.
#[derive(Deserialize)]
struct Text<K>(Facts, K, #[serde(default)] History);

/// What a file says beside its arrays.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kept {
    Network { encoder: Encoder, polish: Polish, recipe: Recipe, activity: Vec<Activity> },
    Smote(Smote),
}

/// By time, or in an order drawn from the seed.
fn ordered(table: &Table, seed: u64) -> Table {
    let mut rows: Vec<usize> = (0..table.len()).collect();
    let mut chance = Stream::at(seed, ORDER, 0, 0);
    for last in (1..rows.len()).rev() {
        rows.swap(last, chance.below(last as u32 + 1) as usize);
    }
    if !table.times_us.is_empty() {
        rows.sort_by_key(|row| table.times_us[*row]);
    }
    table.select(&rows)
}

/// Arrays of a file, in order.
#[derive(Default)]
pub(super) struct Arrays {
    arrays: Vec<Matrix>,
    next: usize,
}

/// The key of the text in a file's header.
const TEXT: &str = "redflag";

impl Arrays {
    pub(super) fn push(&mut self, array: &Matrix) {
        self.arrays.push(array.clone());
    }

    /// What making rows needs of an adversary.
    pub(super) fn push_generator(&mut self, adversary: &mut dyn Adversary) {
        let count = adversary.of_generator();
        adversary.parameters().into_iter().take(count).for_each(|parameter| self.push(&parameter.value));
        adversary.generator_averages().into_iter().for_each(|average| self.push(average));
    }

    pub(super) fn fill_generator(&mut self, adversary: &mut dyn Adversary) -> Result<()> {
        let count = adversary.of_generator();
        for parameter in adversary.parameters().into_iter().take(count) {
            self.fill(&mut parameter.value)?;
        }
        adversary.generator_averages().into_iter().try_for_each(|average| self.fill(average))
    }

    /// Puts the next array where one of that shape is.
    pub(super) fn fill(&mut self, into: &mut Matrix) -> Result<()> {
        let from = self.arrays.get(self.next).context("an array is missing")?;
        let begins = into.is_empty();
        ensure!(begins || from.dim() == into.dim(), "array {} is of another shape", self.next);
        into.clone_from(from);
        self.next += 1;
        Ok(())
    }

    pub(super) fn write(&self, text: &str, path: &Path) -> Result<()> {
        let bytes: Vec<Vec<u8>> = self
            .arrays
            .iter()
            .map(|array| array.iter().flat_map(|value| value.to_le_bytes()).collect())
            .collect();
        let views = self.arrays.iter().zip(&bytes).enumerate().map(|(at, (array, bytes))| {
            let shape = vec![array.nrows(), array.ncols()];
            Ok((format!("{at:04}"), TensorView::new(Dtype::F32, shape, bytes)?))
        });
        let views = views.collect::<Result<Vec<_>>>()?;
        let header = std::collections::HashMap::from([(TEXT.to_string(), text.to_string())]);
        let written = safetensors::serialize(views, Some(header))?;
        let partial = path.with_extension("partial");
        std::fs::write(&partial, written)
            .and_then(|()| std::fs::rename(&partial, path))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// The text of a file alone: no more of it is read than its header, which is JSON behind its length.
    pub(super) fn read_text(path: &Path) -> Result<String> {
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = std::fs::File::open(path)?;
            let mut length = [0; 8];
            file.read_exact(&mut length)?;
            let mut header = Vec::new();
            // A length beyond the file's end gives fewer bytes, not a buffer of that size.
            file.take(u64::from_le_bytes(length)).read_to_end(&mut header)?;
            Ok(header)
        };
        let header = read().with_context(|| format!("cannot read {}", path.display()))?;
        let mut header: Header =
            serde_json::from_slice(&header).with_context(|| format!("{} is no generator", path.display()))?;
        header.texts.remove(TEXT).with_context(|| format!("{} is no generator", path.display()))
    }

    pub(super) fn read(bytes: &[u8]) -> Result<(String, Arrays)> {
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        let text = header
            .metadata()
            .as_ref()
            .and_then(|texts| texts.get(TEXT))
            .context("there is no header")?
            .clone();
        let tensors = SafeTensors::deserialize(bytes)?;
        let mut names: Vec<&str> = tensors.names();
        names.sort_unstable();
        let array = |name: &&str| {
            let view = tensors.tensor(name)?;
            let [rows, columns] = view.shape() else { bail!("{name} is no matrix") };
            ensure!(view.dtype() == Dtype::F32, "{name} is not of 32-bit numbers");
            let values = view
                .data()
                .chunks_exact(4)
                .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
            Ok(Matrix::from_shape_vec((*rows, *columns), values.collect())?)
        };
        Ok((text, Arrays { arrays: names.iter().map(array).collect::<Result<_>>()?, next: 0 }))
    }
}

/// The header of a file, as far as it is of use without the arrays.
#[derive(Deserialize)]
struct Header {
    #[serde(rename = "__metadata__")]
    texts: std::collections::HashMap<String, String>,
}
