//! Made rows in what a model learns from, and what that forbids: a test on a time that their generator has seen.

use std::ops::Range;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use engine::Detector;
use engine::time::{format_instant, parse_instant};

use super::generator::{Generator, Subject, Wanted};
use crate::artifact::ModelFile;
use crate::train::TrainingSet;

/// Frauds made by a generator of the detector's features, up to a share.
#[derive(Clone)]
pub struct MadeFrauds {
    /// What makes them.
    pub generator: Arc<Generator>,
    /// The share of frauds that is wanted, above 0 and at most a half.
    pub fraud_share: f64,
    /// Seed of everything random.
    pub seed: u64,
}

impl PartialEq for MadeFrauds {
    fn eq(&self, other: &MadeFrauds) -> bool {
        let of = |made: &MadeFrauds| (made.generator.facts.id.clone(), made.fraud_share, made.seed);
        of(self) == of(other)
    }
}

impl std::fmt::Debug for MadeFrauds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.generator.facts.id, self.fraud_share)
    }
}

impl MadeFrauds {
    /// Refuses a generator of something else, and one that has seen what is not before `end_us`: `why` says what comes then.
    ///
    /// # Errors
    /// If it must not be learnt from.
    pub fn check(&self, detector: &Detector, end_us: i64, why: &str) -> Result<()> {
        let facts = &self.generator.facts;
        match &facts.subject {
            Subject::Features(_, fingerprint) if *fingerprint == detector.feature_fingerprint => {}
            _ => bail!(
                "the generator {} does not make features of `{}`: train one with `redflag synth fit --detector {} --features`",
                facts.id,
                detector.name,
                detector.name
            ),
        }
        let seen = facts.period().context("the generator does not say which time it has seen")?;
        ensure!(
            seen.end <= end_us,
            "the generator {} has seen transactions until {}, and {why} from {}: train it with --to {} or earlier",
            facts.id,
            format_instant(seen.end),
            format_instant(end_us),
            format_instant(end_us),
        );
        Ok(())
    }

    /// The set with made frauds after all others, as many as make the share. They have time, amount and card of real frauds.
    ///
    /// # Errors
    /// If the set has no fraud, or the generator cannot make any.
    pub fn apply(&self, set: &TrainingSet, names: &[String]) -> Result<TrainingSet> {
        let frauds: Vec<usize> = (0..set.len()).filter(|row| set.labels[*row]).collect();
        ensure!(!frauds.is_empty(), "there are no frauds among {} rows", set.len());
        let odds = self.fraud_share / (1.0 - self.fraud_share);
        let count = (((set.len() - frauds.len()) as f64 * odds) as usize).saturating_sub(frauds.len());
        let wanted = Wanted { rows: count, fraud_share: Some(1.0), seed: self.seed };
        let made = self.generator.sample(wanted, &mut |_| true)?;
        let mut balanced = set.clone();
        for (column, name) in balanced.columns.iter_mut().zip(names) {
            let values =
                made.column(name).with_context(|| format!("the generator makes no column `{name}`"))?;
            column.extend_from_slice(&values.values);
        }
        let like = || (0..count).map(|at| frauds[at % frauds.len()]);
        balanced.labels.resize(set.len() + count, true);
        balanced.times_us.extend(like().map(|row| set.times_us[row]));
        balanced.amounts.extend(like().map(|row| set.amounts[row]));
        balanced.cards.extend(like().map(|row| set.cards[row]));
        Ok(balanced)
    }
}

/// The parameter of a model file that says whose rows it has learnt from.
pub const PARAMETER: &str = "made_rows_of";

/// A generator's name and the time that it has seen, from the mark of its rows; none where the mark says no time.
fn seen(mark: &str) -> Option<(&str, Range<i64>)> {
    let (id, period) = mark.split_once('@')?;
    let (start, end) = period.split_once('/')?;
    Some((id, parse_instant(start)?..parse_instant(end)?))
}

/// Refuses to test a model on a time that a generator has seen whose rows the model has learnt from.
///
/// # Errors
/// If the two overlap.
pub fn refuse_seen(model: &ModelFile, test: &Range<i64>) -> Result<()> {
    let marks = model.parameters.get(PARAMETER).map_or("", String::as_str);
    for (id, period) in marks.split(',').filter_map(seen) {
        ensure!(
            period.end <= test.start || test.end <= period.start,
            "the model {} has learnt from rows of the generator {id}, which has seen transactions from {} to {}: \
             a test from {} would test on what was learnt from",
            model.id,
            format_instant(period.start),
            format_instant(period.end),
            format_instant(test.start),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_says_what_was_seen() {
        let (id, period) = seen("ctgan-1@2018-07-01T00:00:00Z/2018-08-01T00:00:00Z").unwrap();
        assert_eq!((id, period.end - period.start), ("ctgan-1", 31 * 86_400_000_000));
        assert_eq!(seen("simulator:card:7"), None);
    }
}
