//! Calibration: what share of transactions with a score turns out to be fraud, learnt on a slice of time that the model has
//! not seen.

use anyhow::{Result, ensure};
use engine::Calibration;

/// How scores become probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// A logistic curve over the log odds; two parameters, at home with few frauds.
    Platt,
    /// A curve of three parameters, which can also bend towards the corners.
    Beta,
    /// Any rising curve; wants many frauds.
    Isotonic,
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Method::Platt => "platt",
            Method::Beta => "beta",
            Method::Isotonic => "isotonic",
        })
    }
}

/// Rounds of Newton's method; it takes fewer than twenty where there is a best fit.
const ROUNDS: usize = 100;

/// As good as no regularisation, but a slice that a score parts perfectly has a best fit as well.
const RIDGE: f64 = 1e-11;

/// No prior is further off than this, in log odds, and this many halvings find it to the last bits.
const SHIFT_MAX: f64 = 50.0;
const HALVINGS: usize = 60;

/// Scores this near to 0 or 1 are taken for this.
const NEAREST: f64 = 1e-15;

/// The calibration that fits best what became of transactions with these scores.
///
/// # Errors
/// If frauds or genuine transactions are missing, or nothing rising fits.
pub fn fit(method: Method, scores: &[f64], labels: &[bool]) -> Result<Calibration> {
    let frauds = check(labels)?;
    let calibration = match method {
        Method::Platt => platt(scores, labels, frauds),
        Method::Beta => beta(scores, labels),
        Method::Isotonic => isotonic(scores, labels),
    };
    calibration.check().map_err(anyhow::Error::msg)?;
    Ok(calibration)
}

/// The calibration that moves the prior alone, so that as much fraud is expected as there was.
///
/// # Errors
/// If frauds or genuine transactions are missing.
pub fn fit_prior(scores: &[f64], labels: &[bool]) -> Result<Calibration> {
    let frauds = check(labels)?;
    let expected = |shift: f64| {
        let calibration = Calibration::prior(shift);
        scores.iter().map(|score| calibration.probability(*score)).sum::<f64>()
    };
    // What is expected falls as the shift grows.
    let (mut low, mut high) = (-SHIFT_MAX, SHIFT_MAX);
    for _ in 0..HALVINGS {
        let middle = (low + high) / 2.0;
        if expected(middle) > frauds as f64 { low = middle } else { high = middle }
    }
    Ok(Calibration::prior((low + high) / 2.0))
}

/// How many frauds there are.
fn check(labels: &[bool]) -> Result<usize> {
    let frauds = labels.iter().filter(|label| **label).count();
    ensure!(
        frauds > 0 && frauds < labels.len(),
        "calibration needs frauds and genuine transactions, and there are {frauds} frauds among {}",
        labels.len()
    );
    Ok(frauds)
}

/// Platt's targets are not 0 and 1 but what a prior of one more of each makes of them.
fn platt(scores: &[f64], labels: &[bool], frauds: usize) -> Calibration {
    let genuine = labels.len() - frauds;
    let (low, high) = (1.0 / (genuine as f64 + 2.0), (frauds as f64 + 1.0) / (frauds as f64 + 2.0));
    let targets: Vec<f64> = labels.iter().map(|fraud| if *fraud { high } else { low }).collect();
    let [_, slope, intercept] =
        logistic(scores, &targets, |ln_score, ln_rest| [0.0, ln_score - ln_rest, 1.0]);
    Calibration::LogOdds { of_score: slope, of_rest: slope, intercept }
}

/// A factor that would have to be negative is left out.
fn beta(scores: &[f64], labels: &[bool]) -> Calibration {
    let targets: Vec<f64> = labels.iter().map(|fraud| f64::from(u8::from(*fraud))).collect();
    let [mut of_score, mut of_rest, mut intercept] =
        logistic(scores, &targets, |ln_score, ln_rest| [ln_score, -ln_rest, 1.0]);
    if of_score < 0.0 {
        [of_score, of_rest, intercept] = logistic(scores, &targets, |_, ln_rest| [0.0, -ln_rest, 1.0]);
    } else if of_rest < 0.0 {
        [of_score, of_rest, intercept] = logistic(scores, &targets, |ln_score, _| [ln_score, 0.0, 1.0]);
    }
    Calibration::LogOdds { of_score, of_rest, intercept }
}

/// Logistic regression on three terms of `ln p` and `ln(1 - p)` by Newton's method with halved steps. A term that is 0
/// everywhere has the factor 0.
fn logistic(scores: &[f64], targets: &[f64], terms: impl Fn(f64, f64) -> [f64; 3]) -> [f64; 3] {
    let rows: Vec<[f64; 3]> =
        scores.iter().map(|p| terms(p.max(NEAREST).ln(), (1.0 - p).max(NEAREST).ln())).collect();
    let mut factors = [0.0; 3];
    let mut loss = loss_of(&rows, targets, factors);
    for _ in 0..ROUNDS {
        let step = newton_step(&rows, targets, factors);
        let mut share = 1.0;
        let better = loop {
            let tried = std::array::from_fn(|term| factors[term] - share * step[term]);
            let tried_loss = loss_of(&rows, targets, tried);
            if tried_loss < loss {
                break Some((tried, tried_loss));
            }
            share /= 2.0;
            if share < 1e-10 {
                break None;
            }
        };
        let Some(found) = better else { break };
        (factors, loss) = found;
    }
    factors
}

fn margin(row: &[f64; 3], factors: [f64; 3]) -> f64 {
    row.iter().zip(factors).map(|(term, factor)| term * factor).sum()
}

/// Negative log likelihood with the ridge.
fn loss_of(rows: &[[f64; 3]], targets: &[f64], factors: [f64; 3]) -> f64 {
    let of_row = |(row, target): (&[f64; 3], &f64)| {
        let margin = margin(row, factors);
        // ln(1 + exp(margin)) - target margin, without overflow.
        margin.max(0.0) + (-margin.abs()).exp().ln_1p() - target * margin
    };
    let ridge = factors.iter().map(|factor| factor * factor).sum::<f64>() * RIDGE / 2.0;
    rows.iter().zip(targets).map(of_row).sum::<f64>() + ridge
}

/// The gradient divided by the curvature.
fn newton_step(rows: &[[f64; 3]], targets: &[f64], factors: [f64; 3]) -> [f64; 3] {
    let mut gradient = factors.map(|factor| factor * RIDGE);
    let mut curvature = [[0.0; 3]; 3];
    (0..3).for_each(|term| curvature[term][term] = RIDGE);
    for (row, target) in rows.iter().zip(targets) {
        let probability = 1.0 / (1.0 + (-margin(row, factors)).exp());
        let weight = probability * (1.0 - probability);
        for a in 0..3 {
            gradient[a] += (probability - target) * row[a];
            (0..3).for_each(|b| curvature[a][b] += weight * row[a] * row[b]);
        }
    }
    solve(curvature, gradient)
}

/// Gaussian elimination with the largest pivot first.
fn solve(mut matrix: [[f64; 3]; 3], mut right: [f64; 3]) -> [f64; 3] {
    for column in 0..3 {
        let size = |row: &usize| matrix[*row][column].abs();
        let pivot = (column..3).max_by(|a, b| size(a).total_cmp(&size(b))).unwrap_or(column);
        matrix.swap(column, pivot);
        right.swap(column, pivot);
        for row in column + 1..3 {
            let factor = matrix[row][column] / matrix[column][column];
            (column..3).for_each(|at| matrix[row][at] -= factor * matrix[column][at]);
            right[row] -= factor * right[column];
        }
    }
    let mut solution = [0.0; 3];
    for row in (0..3).rev() {
        let known: f64 = (row + 1..3).map(|at| matrix[row][at] * solution[at]).sum();
        solution[row] = (right[row] - known) / matrix[row][row];
    }
    solution
}

/// A stretch of scores that share a probability.
#[derive(Clone, Copy)]
struct Block {
    first: f64,
    last: f64,
    frauds: f64,
    rows: f64,
}

impl Block {
    fn share(&self) -> f64 {
        self.frauds / self.rows
    }
}

/// Pool adjacent violators (Ayer et al., 1955). As scikit-learn's: equal scores are one point, and a block keeps its ends.
fn isotonic(scores: &[f64], labels: &[bool]) -> Calibration {
    let mut points: Vec<(f64, f64)> =
        scores.iter().zip(labels).map(|(score, fraud)| (*score, f64::from(u8::from(*fraud)))).collect();
    points.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mut blocks: Vec<Block> = Vec::new();
    for same in points.chunk_by(|a, b| a.0 == b.0) {
        let (score, rows) = (same[0].0, same.len() as f64);
        let frauds = same.iter().map(|(_, fraud)| fraud).sum();
        let mut block = Block { first: score, last: score, frauds, rows };
        while let Some(before) = blocks.pop_if(|before| before.share() >= block.share()) {
            block = Block {
                first: before.first,
                last: block.last,
                frauds: before.frauds + block.frauds,
                rows: before.rows + block.rows,
            };
        }
        blocks.push(block);
    }
    let (mut scores, mut probabilities) = (Vec::new(), Vec::new());
    for block in blocks {
        scores.push(block.first);
        probabilities.push(block.share());
        if block.last > block.first {
            scores.push(block.last);
            probabilities.push(block.share());
        }
    }
    Calibration::Isotonic { scores, probabilities }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn numbers(value: &Value) -> Vec<f64> {
        value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
    }

    fn compare(method: Method, name: &str, tolerance: f64) {
        let text = include_str!("../tests/fixtures/calibration/expected.json");
        let fixture: Value = serde_json::from_str(text).unwrap();
        let labels: Vec<bool> = numbers(&fixture["labels"]).iter().map(|label| *label == 1.0).collect();
        let calibration = fit(method, &numbers(&fixture["scores"]), &labels).unwrap();
        let expected = numbers(&fixture["probabilities"][name]);
        for (score, expected) in numbers(&fixture["asked"]).into_iter().zip(expected) {
            let found = calibration.probability(score);
            assert!((found - expected).abs() < tolerance, "{name} of {score}: {found} instead of {expected}");
        }
    }

    #[test]
    fn isotonic_is_that_of_scikit_learn() {
        compare(Method::Isotonic, "isotonic", 1e-12);
    }

    /// Its search for the best fit ends earlier than ours.
    #[test]
    fn platt_is_that_of_scikit_learn() {
        compare(Method::Platt, "platt", 1e-5);
    }

    /// As Platt's.
    #[test]
    fn beta_is_that_of_betacal() {
        compare(Method::Beta, "beta", 3e-4);
    }

    #[test]
    fn a_slice_that_a_score_parts_perfectly_can_be_fitted() {
        let (scores, labels) = ([0.1, 0.2, 0.8, 0.9], [false, false, true, true]);
        for method in [Method::Platt, Method::Beta, Method::Isotonic] {
            let calibration = fit(method, &scores, &labels).unwrap();
            assert!(calibration.probability(0.05) < 0.4 && calibration.probability(0.95) > 0.6, "{method:?}");
        }
    }

    #[test]
    fn a_moved_prior_expects_what_there_was() {
        let scores: Vec<f64> = (1..100).map(|percent| f64::from(percent) / 100.0).collect();
        let labels: Vec<bool> = (1..100).map(|percent| percent % 20 == 0).collect();
        let calibration = fit_prior(&scores, &labels).unwrap();
        let expected: f64 = scores.iter().map(|score| calibration.probability(*score)).sum();
        assert!((expected - 4.0).abs() < 1e-9, "{expected}");
    }

    #[test]
    fn one_class_alone_cannot_be_calibrated() {
        let error = fit(Method::Platt, &[0.1, 0.2], &[false, false]).unwrap_err().to_string();
        assert!(error.contains("0 frauds among 2"), "{error}");
    }
}
