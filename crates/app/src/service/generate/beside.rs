//! Made transactions of the store beside real ones of the store: the report of `redflag synth report`.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, Result};
use engine::{Detector, EventBatch, Label};
use lab::dataset::EventReader;
use lab::synth::report::{Comparison, Report, Sample, Verdict, report};
use store::{Filter, Made, StoredDecision};

use crate::service::wire::SyntheticReport;

/// Transactions of each kind, at least.
pub const ROWS_MIN: usize = 100;

/// Transactions of each kind, at most: with more, whoever waits for a report waits long.
pub const ROWS_MAX: usize = 5_000;

/// Transactions of each kind where nothing else is asked for.
pub const ROWS_USUAL: usize = 2_000;

/// Marks that are named; there may be as many as there were jobs.
const MARKS_NAMED: usize = 3;

/// What is to be compared with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What made the synthetic transactions; anything if `None`.
    pub mark: Option<String>,
    /// The newest so many of each kind.
    pub rows: usize,
}

impl Question {
    /// Which real and which synthetic decisions it takes. What `own_mark` marks comes from the service's own simulator and
    /// counts as real, unless it is what is asked about.
    pub fn filters(&self, own_mark: Option<&str>) -> [Filter; 2] {
        let own = own_mark.filter(|own| self.mark.as_deref() != Some(own)).map(str::to_string);
        let made = match (&self.mark, &own) {
            (Some(mark), _) => Made::By(mark.clone()),
            (None, Some(own)) => Made::NotBy(own.clone()),
            (None, None) => Made::Synthetic,
        };
        let real = own.map_or(Made::Real, Made::RealOrBy);
        [real, made].map(|made| Filter { made: Some(made), limit: self.rows, ..Filter::default() })
    }
}

/// Why there is no report: too few transactions of a kind.
///
/// # Errors
/// In words, which kind and how many there are.
pub fn check_counts(real: usize, made: usize) -> Result<(), String> {
    match [("real", real), ("synthetic", made)].into_iter().find(|(_, rows)| *rows < ROWS_MIN) {
        None => Ok(()),
        Some((kind, rows)) => {
            Err(format!("{rows} {kind} transactions are stored: at least {ROWS_MIN} are needed"))
        }
    }
}

/// Puts made decisions beside real ones, both newest first.
///
/// # Errors
/// Why they cannot be compared.
pub fn compare(
    detector: &Arc<Detector>,
    real: &[StoredDecision],
    made: &[StoredDecision],
) -> Result<SyntheticReport> {
    let marks = marks_of(made);
    let comparison = Comparison {
        real: sample(detector, real),
        synthetic: sample(detector, made),
        held_out: None,
        detector: Some(Arc::clone(detector)),
        names: ["stored transactions".to_string(), marks.clone(), String::new()],
        seed: 0,
    };
    check_counts(comparison.real.len(), comparison.synthetic.len()).map_err(anyhow::Error::msg)?;
    let mut report = report(comparison, &mut |_, _| {})?;
    report.warnings.extend(unlabelled(detector, real, made));
    told(report, marks)
}

/// Decisions as rows, oldest first. A transaction that nobody has labelled counts as genuine, as those of a file do: of jobs,
/// only frauds are labelled. One that the detector reads no longer, because its fields were others then, is left out.
fn sample(detector: &Detector, stored: &[StoredDecision]) -> Sample {
    let schema = Arc::new(detector.schema.clone());
    let reader = EventReader::without_labels(&schema);
    let mut events = EventBatch::new(schema);
    let mut rejected = 0;
    for decision in stored.iter().rev() {
        if reader.read(decision.event.as_bytes(), &mut events).is_err() {
            rejected += 1;
            continue;
        }
        let is_fraud = decision.label.is_some_and(|label| label.fraud);
        events.set_label(events.len() - 1, if is_fraud { Label::Fraud } else { Label::Genuine });
    }
    Sample { rejected, ..Sample::of_batch(events) }
}

/// Says how many labels were supposed.
fn unlabelled(detector: &Detector, real: &[StoredDecision], made: &[StoredDecision]) -> Option<String> {
    let of = |stored: &[StoredDecision]| stored.iter().filter(|decision| decision.label.is_none()).count();
    let [real, made] = [of(real), of(made)];
    let says = detector.schema.label_field().is_some() && real + made > 0;
    says.then(|| {
        format!("{real} real and {made} synthetic transactions have no label yet: they count as genuine")
    })
}

/// What made them, the first few by name.
fn marks_of(made: &[StoredDecision]) -> String {
    let marks: BTreeSet<&str> = made.iter().filter_map(|decision| decision.mark.as_deref()).collect();
    let named = marks.iter().take(MARKS_NAMED).copied().collect::<Vec<_>>().join(", ");
    match marks.len().saturating_sub(MARKS_NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

fn told(report: Report, synthetic: String) -> Result<SyntheticReport> {
    Ok(SyntheticReport {
        synthetic,
        real_rows: report.real.rows as u64,
        synthetic_rows: report.synthetic.rows as u64,
        verdict: sentences(&report.verdict),
        figures: serde_json::to_value(&report).context("figures are plain data")?,
        columns: report.pictures.columns,
        principal: report.pictures.principal,
        t_sne: report.pictures.t_sne,
    })
}

/// The verdict's sentences, what the rows are not fit for first.
fn sentences(verdict: &Verdict) -> Vec<String> {
    let Verdict { not_fit_for, fit_for, cannot_be_told } = verdict;
    let parts = [("Not fit for", not_fit_for), ("Fit for", fit_for), ("Cannot be told", cannot_be_told)];
    let said = |(part, lines): (&'static str, &Vec<String>)| -> Vec<String> {
        lines.iter().map(|line| format!("{part}: {line}")).collect()
    };
    parts.into_iter().flat_map(said).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_services_own_transactions_count_as_real() {
        let made = |mark: Option<&str>, own: Option<&str>| {
            let question = Question { mark: mark.map(str::to_string), rows: 7 };
            question.filters(own).map(|filter| filter.made.unwrap())
        };
        let by = |mark: &str| mark.to_string();
        assert_eq!(made(None, None), [Made::Real, Made::Synthetic]);
        assert_eq!(made(None, Some("own")), [Made::RealOrBy(by("own")), Made::NotBy(by("own"))]);
        assert_eq!(made(Some("a"), Some("own")), [Made::RealOrBy(by("own")), Made::By(by("a"))]);
        assert_eq!(made(Some("own"), Some("own")), [Made::Real, Made::By(by("own"))]);
    }

    #[test]
    fn too_few_of_a_kind_are_named() {
        assert_eq!(check_counts(ROWS_MIN, ROWS_MIN), Ok(()));
        assert!(check_counts(99, 0).unwrap_err().starts_with("99 real"));
        assert!(check_counts(100, 0).unwrap_err().starts_with("0 synthetic"));
    }
}
