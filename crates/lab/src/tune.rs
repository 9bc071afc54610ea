//! Searching for the parameters of growing: trials on prequential folds of the training time, and nothing after it.
//!
//! The search is a tree-structured Parzen estimator (Bergstra, Bardenet, Bengio and Kégl, "Algorithms for hyper-parameter
//! optimization", 2011), random or a grid. A trial that is worse than the median of the others after the same folds is given up
//! (Golovin et al., "Google Vizier", 2017, section 3.2.2). With its seed a search is repeatable, and so it is resumed: the trials
//! that a study has written down are told again instead of grown again.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use forest::grow::Algorithm;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use tpe::{TpeOptimizer, parzen_estimator, range};

/// How the next trial is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampler {
    /// By what earlier ones have found.
    Tpe,
    /// By chance.
    Random,
    /// One after the other, so many values of each parameter.
    Grid(usize),
}

/// A search.
#[derive(Debug, Clone, Copy)]
pub struct Search {
    /// Trials.
    pub trials: usize,
    /// How they are chosen.
    pub sampler: Sampler,
    /// Seed of the search.
    pub seed: u64,
}

/// Parameters by the names that redflag has for them.
pub type Parameters = BTreeMap<String, f64>;

/// One trial: parameters and the figure of each fold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// From 1 on.
    pub number: usize,
    /// What was tried.
    pub parameters: Parameters,
    /// Average precision of each fold that was grown.
    pub folds: Vec<f64>,
    /// Given up before the last fold.
    pub pruned: bool,
}

impl Trial {
    /// The mean over the folds.
    pub fn mean(&self) -> f64 {
        self.folds.iter().sum::<f64>() / self.folds.len().max(1) as f64
    }
}

/// A parameter with its range.
struct Dimension {
    name: &'static str,
    low: f64,
    high: f64,
    by_magnitude: bool,
    is_whole: bool,
}

const fn whole(name: &'static str, low: f64, high: f64, by_magnitude: bool) -> Dimension {
    Dimension { name, low, high, by_magnitude, is_whole: true }
}

const fn number(name: &'static str, low: f64, high: f64, by_magnitude: bool) -> Dimension {
    Dimension { name, low, high, by_magnitude, is_whole: false }
}

const BOOSTING: [Dimension; 6] = [
    whole("trees", 100.0, 800.0, true),
    whole("max_depth", 3.0, 8.0, false),
    number("learning_rate", 0.02, 0.3, true),
    number("lambda", 0.5, 50.0, true),
    number("row_subsample", 0.3, 1.0, false),
    number("column_subsample", 0.3, 1.0, false),
];

const FOREST: [Dimension; 4] = [
    whole("trees", 100.0, 500.0, true),
    whole("max_depth", 6.0, 20.0, false),
    whole("min_samples_leaf", 1.0, 50.0, true),
    number("column_subsample", 0.1, 1.0, false),
];

const TREE: [Dimension; 2] =
    [whole("max_depth", 2.0, 12.0, false), whole("min_samples_leaf", 1.0, 200.0, true)];

/// What is searched of an algorithm.
fn space(algorithm: Algorithm) -> &'static [Dimension] {
    match algorithm {
        Algorithm::Gbdt => &BOOSTING,
        Algorithm::RandomForest => &FOREST,
        Algorithm::DecisionTree => &TREE,
    }
}

/// Trials by chance before there is anything to go by.
const RANDOM_FIRST: usize = 10;

/// Trials before one may be given up.
const TRIALS_TO_COMPARE: usize = 5;

/// Runs the trials, and gives them in order. `measure` grows one fold with parameters and gives its average precision; `told` is
/// told of each trial. With a `study` file, the trials in it are not grown again, and new ones are added to it.
///
/// # Errors
/// If a fold cannot be grown, or the study is that of another search.
pub fn tune(
    algorithm: Algorithm,
    search: Search,
    folds: usize,
    study: Option<&Path>,
    measure: &mut dyn FnMut(&Parameters, usize) -> Result<f64>,
    told: &mut dyn FnMut(&Trial),
) -> Result<Vec<Trial>> {
    let written = study.map_or(Ok(Vec::new()), read)?;
    let mut file = study.map(append).transpose()?;
    let mut asking = Asking::new(space(algorithm), search)?;
    let count = asking.grid_size().map_or(search.trials, |size| search.trials.min(size));
    let mut trials: Vec<Trial> = Vec::with_capacity(count);
    for number in 1..=count {
        let parameters = asking.ask(number - 1)?;
        let known = written.get(number - 1);
        ensure!(
            known.is_none_or(|known| known.parameters == parameters),
            "trial {number} of the study is that of another search: expected the same seed, algorithm and sampler"
        );
        let mut trial = Trial { number, parameters, folds: Vec::with_capacity(folds), pruned: false };
        while trial.folds.len() < folds && !trial.pruned {
            let fold = trial.folds.len();
            let figure = match known.and_then(|known| known.folds.get(fold)) {
                Some(figure) => *figure,
                None => measure(&trial.parameters, fold)?,
            };
            trial.folds.push(figure);
            trial.pruned = trial.folds.len() < folds && is_hopeless(&trial, &trials);
        }
        asking.tell(trial.mean())?;
        if let Some(file) = file.as_mut().filter(|_| known.is_none()) {
            writeln!(file, "{}", serde_json::to_string(&trial)?).context("cannot write the study")?;
        }
        told(&trial);
        trials.push(trial);
    }
    Ok(trials)
}

/// Whether a trial is worse than the median of the others after as many folds.
fn is_hopeless(trial: &Trial, others: &[Trial]) -> bool {
    let folds = trial.folds.len();
    let after = |other: &Trial| Some(other.folds.get(..folds)?.iter().sum::<f64>() / folds as f64);
    let mut means: Vec<f64> = others.iter().filter_map(after).collect();
    means.sort_unstable_by(f64::total_cmp);
    means.len() >= TRIALS_TO_COMPARE && trial.mean() < means[means.len() / 2]
}

/// The best of the trials that were not given up.
pub fn best(trials: &[Trial]) -> Option<&Trial> {
    trials.iter().filter(|trial| !trial.pruned).max_by(|a, b| a.mean().total_cmp(&b.mean()))
}

/// What chooses parameters. Places are along each dimension, in logarithms where it goes by magnitude.
struct Asking {
    space: &'static [Dimension],
    sampler: Sampler,
    chance: StdRng,
    estimators: Vec<TpeOptimizer>,
    /// Where the trial stands that was asked for last.
    places: Vec<f64>,
}

impl Asking {
    fn new(space: &'static [Dimension], search: Search) -> Result<Asking> {
        let estimator = |dimension: &Dimension| {
            let (from, to) = dimension.ends();
            Ok(TpeOptimizer::new(parzen_estimator(), range(from, to)?))
        };
        let estimators = space.iter().map(estimator).collect::<Result<_>>()?;
        let chance = StdRng::seed_from_u64(search.seed);
        Ok(Asking { space, sampler: search.sampler, chance, estimators, places: Vec::new() })
    }

    fn grid_size(&self) -> Option<usize> {
        match self.sampler {
            Sampler::Grid(points) => points.checked_pow(self.space.len() as u32),
            _ => None,
        }
    }

    /// The parameters of the trial after so many.
    fn ask(&mut self, trials_before: usize) -> Result<Parameters> {
        self.places.clear();
        for (at, dimension) in self.space.iter().enumerate() {
            let (from, to) = dimension.ends();
            let share = match self.sampler {
                Sampler::Tpe if trials_before >= RANDOM_FIRST => {
                    self.places.push(self.estimators[at].ask(&mut self.chance)?);
                    continue;
                }
                Sampler::Grid(points) => {
                    let step = trials_before / points.pow(at as u32) % points;
                    step as f64 / (points - 1) as f64
                }
                _ => self.chance.random::<f64>(),
            };
            self.places.push(from + share * (to - from));
        }
        let value =
            |(dimension, place): (&Dimension, &f64)| (dimension.name.to_string(), dimension.value(*place));
        Ok(self.space.iter().zip(&self.places).map(value).collect())
    }

    /// How good it was.
    fn tell(&mut self, figure: f64) -> Result<()> {
        if self.sampler != Sampler::Tpe {
            return Ok(());
        }
        for (estimator, place) in self.estimators.iter_mut().zip(&self.places) {
            // The estimator looks for the least.
            estimator.tell(*place, -figure)?;
        }
        Ok(())
    }
}

impl Dimension {
    fn ends(&self) -> (f64, f64) {
        if self.by_magnitude { (self.low.ln(), self.high.ln()) } else { (self.low, self.high) }
    }

    fn value(&self, place: f64) -> f64 {
        let value = if self.by_magnitude { place.exp() } else { place };
        // Six digits are more than a search can tell apart, and are written and read back as they are.
        let shown = if self.is_whole { value.round() } else { (value * 1e6).round() / 1e6 };
        shown.clamp(self.low, self.high)
    }
}

/// The trials of a study; none if there is no such file yet.
fn read(path: &Path) -> Result<Vec<Trial>> {
    let Ok(file) = File::open(path) else { return Ok(Vec::new()) };
    let mut trials = Vec::new();
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let at = || format!("{}, line {}: expected a trial of a study", path.display(), number + 1);
        trials.push(serde_json::from_str(&line?).with_context(at)?);
    }
    Ok(trials)
}

fn append(path: &Path) -> Result<File> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.with_context(|| format!("cannot write the study {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Best at depth 5 and a learning rate of 0.1; each fold a little worse than the one before.
    fn figure(parameters: &Parameters, fold: usize) -> f64 {
        let depth = (parameters["max_depth"] - 5.0).abs() / 5.0;
        let rate = (parameters["learning_rate"] / 0.1).ln().abs();
        1.0 - 0.1 * depth - 0.1 * rate - 0.01 * fold as f64
    }

    fn run(search: Search, study: Option<&Path>) -> (Vec<Trial>, usize) {
        let mut grown = 0;
        let mut measure = |parameters: &Parameters, fold| {
            grown += 1;
            Ok(figure(parameters, fold))
        };
        let trials = tune(Algorithm::Gbdt, search, 3, study, &mut measure, &mut |_| {}).unwrap();
        (trials, grown)
    }

    #[test]
    fn a_search_finds_the_best_and_gives_up_the_worst() {
        let search = Search { trials: 60, sampler: Sampler::Tpe, seed: 1 };
        let (trials, grown) = run(search, None);
        let found = best(&trials).unwrap();
        assert!(found.mean() > 0.97, "{found:?}");
        assert!(trials.iter().any(|trial| trial.pruned) && grown < 180, "{grown} folds");
        assert_eq!(run(search, None).0, trials, "a seed is a search");
    }

    #[test]
    fn a_study_goes_on_where_it_ended() {
        let path = std::env::temp_dir().join(format!("redflag-study-{}", std::process::id()));
        let search = |trials| Search { trials, sampler: Sampler::Tpe, seed: 4 };
        let (whole, folds_of_all) = run(search(20), None);
        let (first, folds_of_first) = run(search(8), Some(&path));
        let (resumed, folds_of_rest) = run(search(20), Some(&path));
        assert_eq!((&resumed, &resumed[..8]), (&whole, &first[..]));
        assert_eq!(folds_of_first + folds_of_rest, folds_of_all);
        assert_eq!(run(search(20), Some(&path)).1, 0, "all is known");
        let other = Search { seed: 5, ..search(20) };
        let refused = tune(Algorithm::Gbdt, other, 3, Some(&path), &mut |_, _| Ok(0.0), &mut |_| {});
        std::fs::remove_file(&path).unwrap();
        assert!(refused.unwrap_err().to_string().contains("another search"));
    }

    #[test]
    fn a_grid_takes_every_value() {
        let search = Search { trials: 12, sampler: Sampler::Grid(3), seed: 0 };
        let mut seen = Vec::new();
        let mut measure = |parameters: &Parameters, _| {
            seen.push((parameters["max_depth"], parameters["min_samples_leaf"]));
            Ok(0.5)
        };
        tune(Algorithm::DecisionTree, Search { trials: 9, ..search }, 1, None, &mut measure, &mut |_| {})
            .unwrap();
        seen.sort_by(|a, b| a.partial_cmp(b).unwrap());
        seen.dedup();
        assert_eq!(seen.len(), 9, "{seen:?}");
    }
}
