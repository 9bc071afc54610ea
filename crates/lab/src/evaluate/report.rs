//! One model on one stretch of time: every figure that the field asks for.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use engine::decide::Basis;
use engine::detector::Detector;
use engine::time::DAY_US;
use engine::{Decisions, Engine, Label, Model, Outcome, Status};
use serde::Serialize;

use super::handbook::{Fold, Rows, card_precision, card_precision_ceiling, test_rows};
use super::metrics::{Confusion, Ranking, brier, log_loss};
use crate::dataset::{Block, ColumnMap, DatasetError, Reject, open};
use crate::replay::{self, Sink, Summary};
use crate::train::{BATCH_ROWS, TrainingSet, cores, in_words};

/// Cards that an analyst looks at in a day: the Handbook's k.
const CARDS_PER_DAY: usize = 100;

/// Days of training in the Handbook.
const HANDBOOK_TRAIN_DAYS: i32 = 7;

/// Scored and labelled transactions, column by column.
#[derive(Debug, Default)]
pub struct Scored {
    /// Transaction ids; empty where scores came from a file.
    pub ids: Vec<String>,
    /// Days since 1970.
    pub days: Vec<i32>,
    /// Cards, numbered in the order of appearance.
    pub cards: Vec<u32>,
    /// Fraud or not.
    pub labels: Vec<bool>,
    /// Scores.
    pub scores: Vec<f64>,
    /// Amounts in major units.
    pub amounts: Vec<f64>,
    /// What was decided.
    pub outcomes: Vec<Outcome>,
    /// What the replay did that scored them.
    pub summary: Summary,
    names: HashMap<String, u32>,
    period: Range<i64>,
}

/// Figures of a model over a test period.
#[derive(Debug, Clone, Serialize)]
pub struct Evaluation {
    /// Transactions evaluated.
    pub rows: u64,
    /// Of them fraud.
    pub frauds: u64,
    /// Area under the ROC curve.
    pub auc_roc: f64,
    /// Average precision, as scikit-learn defines it.
    pub average_precision: f64,
    /// Card precision@100 of the Handbook, where the detector has a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card_precision_at_100: Option<f64>,
    /// The same with a perfect ranking: what can be reached at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card_precision_at_100_ceiling: Option<f64>,
    /// Share of the fraud found when 0.1 % of the genuine is flagged.
    pub recall_at_fpr_0_001: f64,
    /// The same at 1 %.
    pub recall_at_fpr_0_01: f64,
    /// The same at 5 %.
    pub recall_at_fpr_0_05: f64,
    /// Precision where 99 % of the fraud is found.
    pub precision_at_recall_0_99: f64,
    /// The best F1 that any threshold reaches.
    pub best_f1: f64,
    /// The threshold that reaches it.
    pub best_f1_threshold: f64,
    /// Mean squared error of the scores as probabilities.
    pub brier: f64,
    /// Mean negative log likelihood of the scores as probabilities.
    pub log_loss: f64,
    /// What the outcomes did; absent for scores from a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcomes: Option<OutcomeFigures>,
    /// Confusion at a threshold of 0.5.
    pub confusion_at_0_5: ConfusionFigures,
    /// Confusion at the threshold of the best F1.
    pub confusion_at_best_f1: ConfusionFigures,
}

/// A confusion matrix with its ratios.
#[derive(Debug, Clone, Serialize)]
pub struct ConfusionFigures {
    /// Fraud flagged.
    pub true_positives: u64,
    /// Genuine flagged.
    pub false_positives: u64,
    /// Genuine passed.
    pub true_negatives: u64,
    /// Fraud passed.
    pub false_negatives: u64,
    /// Of the flagged, the share that is fraud.
    pub precision: f64,
    /// Of the fraud, the share that is flagged.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
    /// Share of all that is right.
    pub accuracy: f64,
}

/// What a detector's policy and rules did.
#[derive(Debug, Clone, Serialize)]
pub struct OutcomeFigures {
    /// Transactions by outcome.
    pub counts: BTreeMap<String, u64>,
    /// Fraud by outcome.
    pub frauds: BTreeMap<String, u64>,
    /// What it cost by the policy's costs: passed fraud its amount, a review and a false decline what the policy says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    /// What it would have cost to approve everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_without_detector: Option<f64>,
}

/// What to evaluate, and how.
pub struct Plan<'a> {
    /// The detector.
    pub detector: &'a Arc<Detector>,
    /// Its model.
    pub model: Model,
    /// The file; rows before the test period fill the windows.
    pub input: &'a Path,
    /// Other names of columns.
    pub columns: &'a ColumnMap,
    /// The test period.
    pub test: Range<i64>,
    /// The training period: with it the Handbook's protocol is followed, which leaves out the cards that were defrauded in its
    /// last week, and those that become known as the test goes on.
    pub handbook_training: Option<Range<i64>>,
}

impl Scored {
    fn new(period: Range<i64>) -> Scored {
        Scored { period, ..Scored::default() }
    }

    /// The rows of a feature matrix with their scores, decided by the detector's policy; its rules are left out.
    pub fn of(set: &TrainingSet, scores: Vec<f64>, detector: &Detector, review_score_min: f64) -> Scored {
        let decided = scores.iter().zip(&set.amounts);
        let outcome =
            |(score, amount): (&f64, &f64)| detector.policy.outcome(*score, *amount, review_score_min);
        Scored {
            days: set.times_us.iter().map(|time| time.div_euclid(DAY_US) as i32).collect(),
            cards: set.cards.clone(),
            labels: set.labels.clone(),
            amounts: set.amounts.clone(),
            outcomes: decided.map(outcome).collect(),
            scores,
            ..Scored::default()
        }
    }

    fn card(&mut self, name: &str) -> u32 {
        if let Some(card) = self.names.get(name) {
            return *card;
        }
        let card = self.names.len() as u32;
        self.names.insert(name.to_string(), card);
        card
    }

    fn keep(&mut self, rows: &[usize]) {
        fn pick<T: Clone>(column: &mut Vec<T>, rows: &[usize]) {
            *column = rows.iter().filter_map(|row| column.get(*row).cloned()).collect();
        }
        pick(&mut self.ids, rows);
        pick(&mut self.days, rows);
        pick(&mut self.cards, rows);
        pick(&mut self.labels, rows);
        pick(&mut self.scores, rows);
        pick(&mut self.amounts, rows);
        pick(&mut self.outcomes, rows);
    }

    /// Reads a file of scores: CSV with the columns `score` and `label` (0 or 1).
    ///
    /// # Errors
    /// If the file cannot be read, lacks a column, or a cell is not what it should be.
    pub fn load(path: &Path) -> Result<Scored> {
        let mut reader =
            csv::Reader::from_path(path).with_context(|| format!("cannot open {}", path.display()))?;
        let header = reader.headers()?.clone();
        let column = |name: &str| {
            let found = header.iter().position(|column| column == name);
            found.with_context(|| format!("{} lacks the column `{name}`", path.display()))
        };
        let (score_at, label_at) = (column("score")?, column("label")?);
        let mut scored = Scored::default();
        for (index, record) in reader.records().enumerate() {
            let record = record?;
            let cell = |at: usize| record.get(at).unwrap_or_default();
            let line = index + 2;
            let score = cell(score_at);
            scored.scores.push(
                score
                    .parse()
                    .with_context(|| format!("line {line}: score is {score:?}, expected a number"))?,
            );
            scored.labels.push(match cell(label_at) {
                "0" | "0.0" | "false" => false,
                "1" | "1.0" | "true" => true,
                other => bail!("line {line}: label is {other:?}, expected 0 or 1"),
            });
        }
        Ok(scored)
    }
}

impl Sink for Scored {
    fn decided(&mut self, block: &Block, decisions: &Decisions) -> Result<()> {
        for row in 0..block.batch.len() {
            let label = block.batch.label(row);
            let time_us = block.batch.time_us(row);
            let wanted = self.period.contains(&time_us) && label != Label::Unknown;
            if !wanted || decisions.statuses[row] == Status::TimeJump {
                continue;
            }
            let card = self.card(block.batch.key(row).unwrap_or_default());
            self.ids.push(block.batch.id(row).to_string());
            self.days.push(time_us.div_euclid(DAY_US) as i32);
            self.cards.push(card);
            self.labels.push(label == Label::Fraud);
            self.scores.push(decisions.scores[row]);
            self.amounts.push(block.batch.amount(row));
            self.outcomes.push(decisions.outcomes[row]);
        }
        Ok(())
    }

    fn rejected(&mut self, _: &[Reject]) -> Result<()> {
        Ok(())
    }
}

/// Scores the test period, with every window filled by what came before it.
///
/// # Errors
/// If the file cannot be read or has no labelled row in the period.
pub fn score(plan: &Plan, progress: &mut dyn FnMut(replay::Progress)) -> Result<Scored> {
    let schema = Arc::new(plan.detector.schema.clone());
    let reader = open(plan.input, &schema, plan.columns)?;
    let collected_from = plan.handbook_training.as_ref().map_or(plan.test.start, |training| training.start);
    let mut scored = Scored::new(collected_from..plan.test.end);
    let mut engine = Engine::new(Arc::clone(plan.detector), Some(plan.model.clone()), cores());
    scored.summary = replay::replay(reader, &mut engine, BATCH_ROWS, &mut scored, progress)?;
    if let Some(training) = &plan.handbook_training {
        let rows = handbook_rows(&scored.days, &scored.cards, &scored.labels, training, &plan.test)?;
        scored.keep(&rows);
    }
    if scored.labels.is_empty() {
        let (path, period) = (plan.input.to_path_buf(), format!(" {}", in_words(&plan.test)));
        return Err(DatasetError::NoRows { path, period, read: scored.summary.events }.into());
    }
    Ok(scored)
}

/// The rows of a test period that the Handbook keeps; `days` count from 1970.
///
/// # Errors
/// If training ends after the test begins, or the columns differ in length.
pub fn handbook_rows(
    days: &[i32],
    cards: &[u32],
    labels: &[bool],
    training: &Range<i64>,
    test: &Range<i64>,
) -> Result<Vec<usize>> {
    Ok(test_rows(days, cards, labels, fold(training, test)?)?)
}

fn fold(training: &Range<i64>, test: &Range<i64>) -> Result<Fold> {
    let day = |us: i64| us.div_euclid(DAY_US) as i32;
    let last_day = |end_us: i64| day(end_us - 1) + 1;
    ensure!(
        training.end <= test.start,
        "the test period begins before the training period has ended: that is a leak"
    );
    let train_end = last_day(training.end);
    // The book takes out the cards of its training week. A longer training is measured on the same transactions.
    let train_start = day(training.start).max(train_end - HANDBOOK_TRAIN_DAYS);
    Ok(Fold {
        train_start,
        train_days: train_end - train_start,
        delay_days: day(test.start) - train_end,
        test_days: last_day(test.end) - day(test.start),
    })
}

/// All figures of scored transactions.
///
/// # Errors
/// If they are all of one class, or a score is not a number.
pub fn evaluate(scored: &Scored, detector: Option<&Detector>) -> Result<Evaluation> {
    let ranking = Ranking::new(&scored.scores, &scored.labels)?;
    let best = ranking.best_f1();
    let cards = detector.is_some_and(|detector| detector.schema.key.is_some());
    let rows = Rows { day: &scored.days, card: &scored.cards, label: &scored.labels, score: &scored.scores };
    let at_100 = cards.then(|| card_precision(rows, CARDS_PER_DAY)).transpose()?;
    let ceiling = cards.then(|| card_precision_ceiling(rows, CARDS_PER_DAY)).transpose()?;
    Ok(Evaluation {
        rows: scored.labels.len() as u64,
        frauds: scored.labels.iter().filter(|label| **label).count() as u64,
        auc_roc: ranking.auc_roc(),
        average_precision: ranking.average_precision(),
        card_precision_at_100: at_100.map(|precision| precision.mean),
        card_precision_at_100_ceiling: ceiling.map(|precision| precision.mean),
        recall_at_fpr_0_001: ranking.recall_at_fpr(0.001),
        recall_at_fpr_0_01: ranking.recall_at_fpr(0.01),
        recall_at_fpr_0_05: ranking.recall_at_fpr(0.05),
        precision_at_recall_0_99: ranking.precision_at_recall(0.99),
        best_f1: best.f1,
        best_f1_threshold: best.threshold,
        brier: brier(&scored.scores, &scored.labels)?,
        log_loss: log_loss(&scored.scores, &scored.labels)?,
        outcomes: detector.map(|detector| outcome_figures(scored, detector)),
        confusion_at_0_5: confusion(scored, 0.5)?,
        confusion_at_best_f1: confusion(scored, best.threshold)?,
    })
}

fn confusion(scored: &Scored, threshold: f64) -> Result<ConfusionFigures> {
    let at = Confusion::at(threshold, &scored.scores, &scored.labels)?;
    Ok(ConfusionFigures {
        true_positives: at.true_positives,
        false_positives: at.false_positives,
        true_negatives: at.true_negatives,
        false_negatives: at.false_negatives,
        precision: at.precision(),
        recall: at.recall(),
        f1: at.f1(),
        accuracy: at.accuracy(),
    })
}

fn outcome_figures(scored: &Scored, detector: &Detector) -> OutcomeFigures {
    let tally = |fraud_only: bool| {
        let count = |outcome: Outcome| {
            let same = scored.outcomes.iter().zip(&scored.labels);
            same.filter(|(decided, fraud)| **decided == outcome && (!fraud_only || **fraud)).count() as u64
        };
        Outcome::ALL.iter().map(|outcome| (outcome.name().to_string(), count(*outcome))).collect()
    };
    let costs = match detector.policy.basis {
        Basis::Costs { review, false_decline } => Some((review, false_decline)),
        Basis::Thresholds { .. } => None,
    };
    let rows = || scored.outcomes.iter().zip(&scored.labels).zip(&scored.amounts);
    let cost_of = |(review, false_decline): (f64, f64)| {
        let each = rows().map(|((outcome, fraud), amount)| match (outcome, fraud) {
            (Outcome::Approve, true) => *amount,
            (Outcome::Review, _) => review,
            (Outcome::Decline, false) => false_decline,
            _ => 0.0,
        });
        each.sum::<f64>()
    };
    let passed = || rows().filter(|((_, fraud), _)| **fraud).map(|(_, amount)| *amount).sum::<f64>();
    OutcomeFigures {
        counts: tally(false),
        frauds: tally(true),
        cost: costs.map(cost_of),
        cost_without_detector: costs.map(|_| passed()),
    }
}
