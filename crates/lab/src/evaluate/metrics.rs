//! Metrics of a score against a label, as scikit-learn defines them.
//!
//! What depends on the order of the scores only comes from a [`Ranking`], sorted once in O(n log n): ROC and
//! precision-recall curves, their areas, the best F1, recall at a false-positive rate. Rows with equal scores cannot
//! be told apart by a threshold, so they enter every curve together. What reads the score as a probability
//! ([`log_loss`], [`brier`], [`reliability`]) asks for scores in \[0, 1\].
//!
//! A row is predicted fraud where its score is at least the threshold.

/// Why a metric has no value: the input is at fault.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MetricError {
    /// The two slices are not rows of one table.
    #[error("{scores} scores for {labels} labels")]
    LengthMismatch {
        /// Number of scores.
        scores: usize,
        /// Number of labels.
        labels: usize,
    },
    /// There is nothing to measure.
    #[error("no rows to evaluate")]
    Empty,
    /// A score cannot be ordered.
    #[error("score of row {row} is not a number")]
    NotANumber {
        /// Index of the first such row.
        row: usize,
    },
    /// A score is no probability.
    #[error("score {score} of row {row} is not a probability between 0 and 1")]
    NotAProbability {
        /// Index of the first such row.
        row: usize,
        /// Its score.
        score: f64,
    },
    /// The metric compares the classes, and one is absent.
    #[error("all {rows} rows are {}, so the classes cannot be compared", if *.fraud { "fraud" } else { "genuine" })]
    OneClass {
        /// Number of rows.
        rows: usize,
        /// The class that they all have.
        fraud: bool,
    },
}

/// Rows by falling score: after each distinct score, how many frauds and how many genuine rows reach it.
#[derive(Clone, Debug)]
pub struct Ranking {
    /// By falling threshold; the last holds all rows.
    steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    threshold: f64,
    /// Frauds with at least this score.
    true_positives: u64,
    /// Genuine rows with at least this score.
    false_positives: u64,
}

/// A point of a curve, and the threshold that leads to it. The first point of a curve, where nothing is predicted
/// fraud, has an infinite threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurvePoint {
    /// Scores at or above it are predicted fraud.
    pub threshold: f64,
    /// False-positive rate of a ROC curve, recall of a precision-recall curve.
    pub x: f64,
    /// Recall of a ROC curve, precision of a precision-recall curve.
    pub y: f64,
}

/// A threshold and the F1 that it reaches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BestF1 {
    /// Scores at or above it are predicted fraud.
    pub threshold: f64,
    /// The harmonic mean of precision and recall.
    pub f1: f64,
}

impl Ranking {
    /// Ranks `scores` against `labels`, true where fraud. Scores may be any numbers, infinities included.
    ///
    /// # Errors
    /// [`MetricError`] where the lengths differ, a score is NaN, or either class is absent.
    pub fn new(scores: &[f64], labels: &[bool]) -> Result<Self, MetricError> {
        check_rows(scores, labels)?;
        check_classes(labels)?;
        let mut order: Vec<(f64, bool)> = scores.iter().copied().zip(labels.iter().copied()).collect();
        order.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        let mut steps: Vec<Step> = Vec::new();
        let (mut true_positives, mut false_positives) = (0, 0);
        for (threshold, fraud) in order {
            true_positives += u64::from(fraud);
            false_positives += u64::from(!fraud);
            let step = Step { threshold, true_positives, false_positives };
            match steps.last_mut() {
                // Compared as numbers: 0.0 and -0.0 are one score.
                Some(last) if last.threshold == threshold => *last = step,
                _ => steps.push(step),
            }
        }
        Ok(Self { steps })
    }

    /// The area under the ROC curve: the chance that a fraud scores above a genuine row, ties counting half.
    pub fn auc_roc(&self) -> f64 {
        let (frauds, genuine) = self.totals();
        // Twice the area in units of one fraud times one genuine row: exact in integers.
        let mut area: u128 = 0;
        let (mut seen_tp, mut seen_fp) = (0, 0);
        for step in &self.steps {
            area += u128::from(step.false_positives - seen_fp) * u128::from(step.true_positives + seen_tp);
            (seen_tp, seen_fp) = (step.true_positives, step.false_positives);
        }
        area as f64 / (2.0 * frauds as f64 * genuine as f64)
    }

    /// Average precision: the sum over thresholds of precision times the recall gained there, without interpolation.
    pub fn average_precision(&self) -> f64 {
        let (frauds, _) = self.totals();
        let mut sum = 0.0;
        let mut seen = 0;
        for step in &self.steps {
            sum += (step.true_positives - seen) as f64 * step.precision();
            seen = step.true_positives;
        }
        sum / frauds as f64
    }

    /// The highest F1 of any threshold; of equally good thresholds the highest, which alerts least.
    pub fn best_f1(&self) -> BestF1 {
        let (frauds, _) = self.totals();
        let mut best = BestF1 { threshold: f64::INFINITY, f1: 0.0 };
        for step in &self.steps {
            let f1 = 2.0 * step.true_positives as f64 / (step.alerts() + frauds) as f64;
            if f1 > best.f1 {
                best = BestF1 { threshold: step.threshold, f1 };
            }
        }
        best
    }

    /// The highest recall of a threshold whose false-positive rate is at most `fpr_max`; nothing is interpolated.
    pub fn recall_at_fpr(&self, fpr_max: f64) -> f64 {
        let (frauds, genuine) = self.totals();
        let within =
            self.steps.partition_point(|step| step.false_positives as f64 / genuine as f64 <= fpr_max);
        match within.checked_sub(1) {
            Some(last) => self.steps[last].true_positives as f64 / frauds as f64,
            None => 0.0,
        }
    }

    /// The highest precision of a threshold that finds at least `recall_min` of the frauds, a share up to 1; nothing is
    /// interpolated.
    pub fn precision_at_recall(&self, recall_min: f64) -> f64 {
        let (frauds, _) = self.totals();
        let enough =
            self.steps.partition_point(|step| (step.true_positives as f64 / frauds as f64) < recall_min);
        let precision =
            |step: &Step| step.true_positives as f64 / (step.true_positives + step.false_positives) as f64;
        self.steps[enough..].iter().map(precision).fold(0.0, f64::max)
    }

    /// The ROC curve: false-positive rate and recall from (0, 0) to (1, 1), a point for every distinct score.
    pub fn roc_curve(&self) -> Vec<CurvePoint> {
        let (frauds, genuine) = self.totals();
        let start = CurvePoint { threshold: f64::INFINITY, x: 0.0, y: 0.0 };
        let points = self.steps.iter().map(|step| CurvePoint {
            threshold: step.threshold,
            x: step.false_positives as f64 / genuine as f64,
            y: step.true_positives as f64 / frauds as f64,
        });
        std::iter::once(start).chain(points).collect()
    }

    /// The precision-recall curve from recall 0, where precision is taken as 1, to recall 1, a point for every
    /// distinct score.
    pub fn precision_recall_curve(&self) -> Vec<CurvePoint> {
        let (frauds, _) = self.totals();
        let start = CurvePoint { threshold: f64::INFINITY, x: 0.0, y: 1.0 };
        let points = self.steps.iter().map(|step| CurvePoint {
            threshold: step.threshold,
            x: step.true_positives as f64 / frauds as f64,
            y: step.precision(),
        });
        std::iter::once(start).chain(points).collect()
    }

    /// Frauds and genuine rows.
    fn totals(&self) -> (u64, u64) {
        let last = self.steps.last().expect("a ranking has rows");
        (last.true_positives, last.false_positives)
    }
}

impl Step {
    fn alerts(&self) -> u64 {
        self.true_positives + self.false_positives
    }

    fn precision(&self) -> f64 {
        self.true_positives as f64 / self.alerts() as f64
    }
}

/// A curve for drawing: the points that lie at least `resolution` from the last one kept, in x or in y, and both
/// ends. A rising curve in the unit square keeps at most 2 / `resolution` + 2 points.
pub fn thin(curve: &[CurvePoint], resolution: f64) -> Vec<CurvePoint> {
    let mut kept: Vec<CurvePoint> = Vec::new();
    for (index, point) in curve.iter().enumerate() {
        let far = kept
            .last()
            .is_none_or(|k| (point.x - k.x).abs() >= resolution || (point.y - k.y).abs() >= resolution);
        if far || index + 1 == curve.len() {
            kept.push(*point);
        }
    }
    kept
}

/// How often each label met each prediction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Confusion {
    /// Frauds predicted fraud.
    pub true_positives: u64,
    /// Genuine rows predicted fraud.
    pub false_positives: u64,
    /// Genuine rows predicted genuine.
    pub true_negatives: u64,
    /// Frauds predicted genuine.
    pub false_negatives: u64,
}

impl Confusion {
    /// Counts the rows, predicted fraud where the score is at least `threshold`.
    ///
    /// # Errors
    /// [`MetricError`] where the lengths differ, there are no rows, or a score is NaN. One class alone is fine.
    pub fn at(threshold: f64, scores: &[f64], labels: &[bool]) -> Result<Self, MetricError> {
        check_rows(scores, labels)?;
        let mut counts = Self::default();
        scores.iter().zip(labels).for_each(|(score, fraud)| counts.add(*score >= threshold, *fraud));
        Ok(counts)
    }

    /// Counts a row.
    pub fn add(&mut self, predicted_fraud: bool, fraud: bool) {
        let count = match (predicted_fraud, fraud) {
            (true, true) => &mut self.true_positives,
            (true, false) => &mut self.false_positives,
            (false, false) => &mut self.true_negatives,
            (false, true) => &mut self.false_negatives,
        };
        *count += 1;
    }

    /// The share of frauds among the alerts; 0 without alerts.
    pub fn precision(&self) -> f64 {
        ratio(self.true_positives, self.true_positives + self.false_positives)
    }

    /// The share of the frauds that are found; 0 without frauds.
    pub fn recall(&self) -> f64 {
        ratio(self.true_positives, self.true_positives + self.false_negatives)
    }

    /// The harmonic mean of precision and recall; 0 where both are.
    pub fn f1(&self) -> f64 {
        ratio(2 * self.true_positives, 2 * self.true_positives + self.false_positives + self.false_negatives)
    }

    /// The share of rows predicted as they are. On rare fraud, predicting none scores high: read it beside recall.
    pub fn accuracy(&self) -> f64 {
        let right = self.true_positives + self.true_negatives;
        ratio(right, right + self.false_positives + self.false_negatives)
    }

    /// The share of genuine rows that raise an alert; 0 without genuine rows.
    pub fn false_positive_rate(&self) -> f64 {
        ratio(self.false_positives, self.false_positives + self.true_negatives)
    }
}

/// Mean negative log-likelihood in nats. A probability is kept 2^-52 away from 0 and 1, as scikit-learn does, so one
/// confident mistake costs 36, not infinity.
///
/// # Errors
/// [`MetricError`] where the lengths differ, there are no rows, or a score is no probability.
pub fn log_loss(scores: &[f64], labels: &[bool]) -> Result<f64, MetricError> {
    check_probabilities(scores, labels)?;
    let loss = |(score, fraud): (&f64, &bool)| {
        let likelihood = if *fraud { *score } else { 1.0 - *score };
        -likelihood.clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln()
    };
    Ok(scores.iter().zip(labels).map(loss).sum::<f64>() / scores.len() as f64)
}

/// Brier score: the mean squared difference between probability and outcome.
///
/// # Errors
/// [`MetricError`] where the lengths differ, there are no rows, or a score is no probability.
pub fn brier(scores: &[f64], labels: &[bool]) -> Result<f64, MetricError> {
    check_probabilities(scores, labels)?;
    let squares =
        scores.iter().zip(labels).map(|(score, fraud)| (score - f64::from(u8::from(*fraud))).powi(2));
    Ok(squares.sum::<f64>() / scores.len() as f64)
}

/// One bin of a reliability diagram. In a calibrated model the two shares agree.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ReliabilityBin {
    /// Rows in the bin.
    pub rows: u64,
    /// Their mean score, the share of frauds that the model claims; 0 where there are no rows.
    pub mean_score: f64,
    /// The share of frauds among them; 0 where there are no rows.
    pub fraud_share: f64,
}

/// A reliability diagram of `bins` bins of equal width over \[0, 1\]. A score on the border of two bins is in the lower.
///
/// # Errors
/// [`MetricError`] where the lengths differ, there are no rows, or a score is no probability.
pub fn reliability(scores: &[f64], labels: &[bool], bins: usize) -> Result<Vec<ReliabilityBin>, MetricError> {
    check_probabilities(scores, labels)?;
    let borders: Vec<f64> = (1..bins).map(|border| border as f64 * (1.0 / bins as f64)).collect();
    let mut diagram = vec![ReliabilityBin::default(); borders.len() + 1];
    for (score, fraud) in scores.iter().zip(labels) {
        let bin = &mut diagram[borders.partition_point(|border| border < score)];
        bin.rows += 1;
        bin.mean_score += score;
        bin.fraud_share += f64::from(u8::from(*fraud));
    }
    for bin in diagram.iter_mut().filter(|bin| bin.rows > 0) {
        bin.mean_score /= bin.rows as f64;
        bin.fraud_share /= bin.rows as f64;
    }
    Ok(diagram)
}

/// Expected calibration error of a reliability diagram: the mean distance of the two shares, weighted by rows.
pub fn calibration_error(diagram: &[ReliabilityBin]) -> f64 {
    let rows: u64 = diagram.iter().map(|bin| bin.rows).sum();
    let distance = |bin: &ReliabilityBin| bin.rows as f64 * (bin.mean_score - bin.fraud_share).abs();
    if rows == 0 { 0.0 } else { diagram.iter().map(distance).sum::<f64>() / rows as f64 }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn check_rows(scores: &[f64], labels: &[bool]) -> Result<(), MetricError> {
    if scores.len() != labels.len() {
        return Err(MetricError::LengthMismatch { scores: scores.len(), labels: labels.len() });
    }
    if scores.is_empty() {
        return Err(MetricError::Empty);
    }
    match scores.iter().position(|score| score.is_nan()) {
        Some(row) => Err(MetricError::NotANumber { row }),
        None => Ok(()),
    }
}

fn check_classes(labels: &[bool]) -> Result<(), MetricError> {
    let frauds = labels.iter().filter(|fraud| **fraud).count();
    if frauds == 0 || frauds == labels.len() {
        return Err(MetricError::OneClass { rows: labels.len(), fraud: frauds > 0 });
    }
    Ok(())
}

fn check_probabilities(scores: &[f64], labels: &[bool]) -> Result<(), MetricError> {
    check_rows(scores, labels)?;
    match scores.iter().position(|score| !(0.0..=1.0).contains(score)) {
        Some(row) => Err(MetricError::NotAProbability { row, score: scores[row] }),
        None => Ok(()),
    }
}
