//! The honest report about synthetic transactions: what they keep of the real ones, what they give away, and in words what
//! they are not fit for.
//!
//! `sample → shapes, trends → projection → discriminator → learning → privacy → behaviour → verdict → page`. Everything random
//! depends on the seed, and nothing on the number of threads.

/// Who does what after what.
mod behaviour;
/// Telling real from synthetic.
mod discriminator;
/// Events through the engine.
mod history;
/// Train on synthetic, test on real.
mod learning;
/// The page.
mod page;
/// Its pictures.
mod pictures;
/// Copies and closeness.
mod privacy;
/// Rows as points of a plane.
mod projection;
/// The rows that are compared.
mod sample;
/// Columns one by one.
mod shapes;
/// Distances between rows.
mod space;
/// Columns two by two.
mod trends;
/// What all of it means.
mod verdict;

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use engine::detector::Detector;
use serde::Serialize;

use super::table::Table;

pub use behaviour::{Behaviour, Measure};
pub use learning::Learning;
pub use page::page;
pub use privacy::{Beside, Privacy};
pub use sample::Sample;
pub use shapes::ColumnShape;
pub use trends::{CorrelationDifference, PairTrend};
pub use verdict::Verdict;

/// Rows of each kind in the pictures of all rows as points.
const POINTS: usize = 1_000;
/// Real rows that make a half, at least.
const ROWS_MIN: usize = 20;

/// What is compared.
pub struct Comparison {
    /// Real rows: those that the generator learnt from, where others are held out.
    pub real: Sample,
    /// Synthetic rows.
    pub synthetic: Sample,
    /// Real rows that the generator did not see.
    pub held_out: Option<Sample>,
    /// Whose events they are.
    pub detector: Option<Arc<Detector>>,
    /// Names of the files, for the page: real, synthetic, held out.
    pub names: [String; 3],
    /// Seed of everything random.
    pub seed: u64,
}

/// Rows and frauds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Size {
    /// Rows.
    pub rows: usize,
    /// Those labelled fraud; none without labels.
    pub frauds: Option<usize>,
}

impl Size {
    fn of(table: &Table) -> Size {
        Size { rows: table.len(), frauds: table.label().map(|_| table.frauds().len()) }
    }
}

/// What could not be measured, and why.
#[derive(Debug, Clone, Serialize)]
pub struct Skipped {
    /// Which figure.
    pub what: &'static str,
    /// Why not.
    pub why: String,
}

/// The report.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Names of the files: real, synthetic, held out (or empty).
    pub files: [String; 3],
    /// The seed.
    pub seed: u64,
    /// Real rows.
    pub real: Size,
    /// Synthetic rows.
    pub synthetic: Size,
    /// Real rows that the generator did not see.
    pub held_out: Option<Size>,
    /// What was left out or had to be understood otherwise.
    pub warnings: Vec<String>,
    /// What the synthetic rows are fit for, and what not, in words.
    pub verdict: Verdict,
    /// What columns and pairs come to.
    #[serde(flatten)]
    pub scores: Scores,
    /// How correlations differ.
    pub correlation_difference: CorrelationDifference,
    /// Whether rows can be told apart.
    #[serde(flatten)]
    pub discriminator: Discriminator,
    /// What models learn from synthetic rows.
    #[serde(flatten)]
    pub learning: Option<Learning>,
    /// What synthetic rows give away.
    #[serde(flatten)]
    pub privacy: Privacy,
    /// What entities do.
    pub behaviour: Option<Behaviour>,
    /// What could not be measured.
    pub skipped: Vec<Skipped>,
    /// How the real rows were cut, in words.
    pub halves: String,
    /// Columns one by one.
    pub columns: Vec<ColumnShape>,
    /// Pairs of columns.
    pub pairs: Vec<PairTrend>,
    /// What is drawn.
    #[serde(skip)]
    pub pictures: Pictures,
}

/// What columns and pairs come to. NaN is "cannot be told".
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Scores {
    /// The mean of the next two, SDMetrics' overall score.
    pub quality: f64,
    /// The mean score of columns, 0 to 1.
    pub column_shapes: f64,
    /// The mean score of the pairs of columns that go together, 0 to 1; missing if none do.
    pub pair_trends: f64,
    /// Mean share of synthetic numbers and instants within the real bounds.
    pub boundary_adherence: f64,
    /// Mean share of the real ranges that is covered.
    pub range_coverage: f64,
    /// Mean share of synthetic words that are real ones.
    pub category_adherence: f64,
    /// Mean share of real words that occur.
    pub category_coverage: f64,
}

/// Whether boosted trees can tell rows apart.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Discriminator {
    /// How well boosted trees tell synthetic rows from real ones: area under the ROC curve, 0.5 is perfect.
    pub discriminator_auc: f64,
    /// How well they tell two real halves apart.
    pub discriminator_auc_of_real_halves: f64,
}

/// What is drawn of all rows, each picture a whole SVG. Colours are the CSS variables `--real`, `--synthetic` and `--ink` of
/// whatever shows it, and those of the page where it has none.
#[derive(Debug, Default)]
pub struct Pictures {
    /// Histograms of the columns.
    pub columns: Vec<String>,
    /// Principal components; empty where there are none.
    pub principal: String,
    /// t-SNE.
    pub t_sne: String,
}

/// Steps that are counted while a report is made.
pub const STEPS: usize = 7;

/// Makes a report. `progress` is told how many of [`STEPS`] are done, and what comes next.
///
/// # Errors
/// If the files have no common column, a column is of different kinds in them, or there are too few rows.
pub fn report(mut comparison: Comparison, progress: &mut dyn FnMut(usize, &'static str)) -> Result<Report> {
    let mut warnings = comparison.prepare()?;
    let Comparison { real, synthetic, held_out, detector, names, seed } = comparison;
    let (detector, others) = (detector.as_ref(), held_out.as_ref());
    progress(0, "columns");
    let columns = shapes::shapes(&real.table, &synthetic.table);
    progress(1, "pairs of columns");
    let pairs = trends::trends(&real.table, &synthetic.table);
    let correlation_difference = trends::correlation_difference(&real.table, &synthetic.table);
    progress(2, "pictures");
    let own = [&real, &synthetic].map(|sample| sample::by_itself(&sample.table));
    let pictures = pictures::pictures(&own[0], &own[1], seed);
    progress(3, "telling them apart");
    let (discriminator, halves) = Discriminator::of(&own, others, seed)?;
    progress(4, "distances");
    let privacy = privacy::privacy(&real.table, others.map(|sample| &sample.table), &synthetic.table, seed)?;
    progress(5, "learning");
    let mut skipped = membership_skipped(others);
    let learning = learn((&real, &synthetic, others), detector, seed);
    let learning = or_skipped(learning, "training on synthetic rows", &mut skipped);
    warnings.extend(learning.iter().flat_map(|learning| learning.telling.clone()));
    progress(6, "behaviour");
    let behaviour = or_skipped(behave(&real, &synthetic, detector, seed), "behaviour", &mut skipped);
    let mut report = Report {
        files: names,
        seed,
        real: Size::of(&real.table),
        synthetic: Size::of(&synthetic.table),
        held_out: others.map(|sample| Size::of(&sample.table)),
        warnings,
        verdict: Verdict::default(),
        scores: Scores::of(&columns, &pairs),
        correlation_difference,
        discriminator,
        learning,
        privacy,
        behaviour,
        skipped,
        halves,
        columns,
        pairs,
        pictures,
    };
    report.verdict = verdict::verdict(&report);
    Ok(report)
}

impl Comparison {
    /// Brings the samples to the same columns, and says what had to be left out.
    fn prepare(&mut self) -> Result<Vec<String>> {
        let mut warnings = rejected(&self.real, &self.synthetic, self.held_out.as_ref());
        let mut samples = vec![("real", &mut self.real.table), ("synthetic", &mut self.synthetic.table)];
        samples.extend(self.held_out.iter_mut().map(|sample| ("held-out", &mut sample.table)));
        warnings.extend(sample::align(&mut samples)?);
        check_sizes(&self.real, &self.synthetic, self.held_out.as_ref())?;
        if sample::by_itself(&self.real.table).columns.is_empty() {
            bail!("the files have no column in common that is not an entity: there is nothing to compare");
        }
        Ok(warnings)
    }
}

impl Scores {
    fn of(columns: &[ColumnShape], pairs: &[PairTrend]) -> Scores {
        let column_shapes = shapes::mean(columns.iter().map(|column| column.score));
        let pair_trends = shapes::mean(pairs.iter().map(|pair| pair.score));
        let of = |metric: &'static str, figure: fn(&ColumnShape) -> f64| {
            shapes::mean(columns.iter().filter(|column| column.metric == metric).map(figure))
        };
        Scores {
            quality: shapes::mean([column_shapes, pair_trends].into_iter()),
            column_shapes,
            pair_trends,
            boundary_adherence: of("KSComplement", |column| column.adherence),
            range_coverage: of("KSComplement", |column| column.coverage),
            category_adherence: of("TVComplement", |column| column.adherence),
            category_coverage: of("TVComplement", |column| column.coverage),
        }
    }
}

impl Discriminator {
    /// Of real and synthetic rows, and of the halves that the words say.
    fn of(own: &[Table; 2], held_out: Option<&Sample>, seed: u64) -> Result<(Discriminator, String)> {
        let (one, other, said) = halves(&own[0], held_out, seed);
        let discriminator_auc = discriminator::auc(&own[0], &own[1], seed)?;
        let discriminator_auc_of_real_halves = discriminator::auc(&one, &other, seed)?;
        Ok((Discriminator { discriminator_auc, discriminator_auc_of_real_halves }, said))
    }
}

fn membership_skipped(held_out: Option<&Sample>) -> Vec<Skipped> {
    let why = "it needs real rows that the generator did not see (--holdout): of two halves of what it learnt from, both are \
               members";
    let skipped = Skipped { what: "membership inference", why: why.to_string() };
    if held_out.is_some() { Vec::new() } else { vec![skipped] }
}

fn rejected(real: &Sample, synthetic: &Sample, held_out: Option<&Sample>) -> Vec<String> {
    let all = [("real", Some(real)), ("synthetic", Some(synthetic)), ("held-out", held_out)];
    let rejected = all.into_iter().filter_map(|(of, sample)| Some((of, sample?.rejected)));
    let said =
        |(of, rejected)| format!("{rejected} rows of the {of} data are no events of the detector: left out");
    rejected.filter(|(_, rejected)| *rejected > 0).map(said).collect()
}

fn check_sizes(real: &Sample, synthetic: &Sample, held_out: Option<&Sample>) -> Result<()> {
    let all = [("real", Some(real)), ("synthetic", Some(synthetic)), ("held-out", held_out)];
    for (of, sample) in all.into_iter().filter_map(|(of, sample)| Some((of, sample?))) {
        if sample.len() < 2 * ROWS_MIN {
            bail!(
                "the {of} data has {} rows: at least {} are needed to say anything",
                sample.len(),
                2 * ROWS_MIN
            );
        }
    }
    Ok(())
}

/// Two sets of real rows that synthetic ones are measured against, and how they came to be.
fn halves(real: &Table, held_out: Option<&Sample>, seed: u64) -> (Table, Table, String) {
    if let Some(sample) = held_out {
        let said = "What the rows held out are to those that the generator learnt from is what synthetic rows are measured by.";
        return (real.clone(), sample::by_itself(&sample.table), said.to_string());
    }
    let (one, other) = sample::part(real, 0.5, seed, 11);
    let said = "No rows were held out. What two halves of the real rows (by chance, each class alike) are to each other, and each \
                real row to the others, is what synthetic rows are measured by.";
    (real.select(&one), real.select(&other), said.to_string())
}

fn learn(
    samples: (&Sample, &Sample, Option<&Sample>),
    detector: Option<&Arc<Detector>>,
    seed: u64,
) -> Result<Learning> {
    let without = "no column is named as the label (--label, or a detector with one)";
    samples.0.table.label().context(without)?;
    learning::learning(samples, detector, seed)
}

fn behave(
    real: &Sample,
    synthetic: &Sample,
    detector: Option<&Arc<Detector>>,
    seed: u64,
) -> Result<Behaviour> {
    let detector =
        detector.context("without a detector nothing says which rows belong to whom (--detector)")?;
    real.events.as_ref().context("rows of features have no entities and times")?;
    behaviour::behaviour(real, synthetic, detector, seed)
}

fn or_skipped<T>(measured: Result<T>, what: &'static str, skipped: &mut Vec<Skipped>) -> Option<T> {
    measured.map_err(|error| skipped.push(Skipped { what, why: format!("{error:#}") })).ok()
}
