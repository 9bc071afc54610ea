//! Gradients of the logistic loss, and the rows that a tree is grown on.
//!
//! A row is drawn with a probability in proportion to its gradient and weighs the inverse of it: of all ways to draw so
//! many rows, the sums in the histograms vary least by this one (minimal variance sampling, Ibragimov and Gusev
//! 2019). Where frauds are rare, most rows are genuine, known to be, and hardly missed.

use super::histogram::{Cell, Units};
use super::random::mix;

/// Rows per task, whatever the number of threads: sums of doubles are taken chunk by chunk and then in order.
pub(super) const CHUNK_ROWS: usize = 4096;
/// Steps per doubling of a score's size in [`Scores`].
const STEPS_BITS: u32 = 5;
/// From 2^-40 to 2^41.
const LEAST_EXPONENT: i32 = -40;
const BUCKETS: usize = 81 << STEPS_BITS;

/// A row's gradient and hessian, weighted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gradient {
    pub(super) gradient: f32,
    pub(super) hessian: f32,
}

/// The gradients at these margins. Nothing in the loop hinders the compiler from doing several rows at a time.
pub(super) fn gradients(margins: &[f64], labels: &[bool], weights: &[f32], into: &mut [Gradient]) {
    for (((margin, label), weight), into) in margins.iter().zip(labels).zip(weights).zip(into) {
        let p = (1.0 / (1.0 + exp(-margin))) as f32;
        let y = f32::from(u8::from(*label));
        *into = Gradient { gradient: (p - y) * weight, hessian: (p * (1.0 - p)).max(1e-16) * weight };
    }
}

/// e^x to ten digits, 0 or large beyond the range of doubles. The same on every machine, unlike the system's.
fn exp(x: f64) -> f64 {
    const SHIFT: f64 = (3u64 << 51) as f64 + 1023.0;
    // x = n ln 2 + r; adding the shift leaves n + 1023 in the low bits.
    let x = x.clamp(-700.0, 700.0);
    let shifted = x * std::f64::consts::LOG2_E + SHIFT;
    let n = shifted - SHIFT;
    let r = x - n * std::f64::consts::LN_2;
    let p = 1.0 / 362_880.0;
    let p = [40_320.0, 5_040.0, 720.0, 120.0, 24.0, 6.0, 2.0, 1.0, 1.0]
        .iter()
        .fold(p, |p, factorial| p * r + 1.0 / factorial);
    p * f64::from_bits(shifted.to_bits() << 52)
}

/// How the sizes of gradients are spread: so many rows, with this sum, in each bucket of sizes.
pub(super) struct Scores {
    buckets: Vec<(u32, f64)>,
}

impl Scores {
    pub(super) fn of(gradients: &[Gradient]) -> Scores {
        let mut buckets = vec![(0, 0.0); BUCKETS];
        for gradient in gradients {
            let score = score(gradient);
            let (count, sum) = &mut buckets[bucket(score)];
            *count += 1;
            *sum += f64::from(score);
        }
        Scores { buckets }
    }

    pub(super) fn add(mut self, other: &Scores) -> Scores {
        for (own, other) in self.buckets.iter_mut().zip(&other.buckets) {
            own.0 += other.0;
            own.1 += other.1;
        }
        self
    }

    /// No row has a larger score.
    pub(super) fn largest(&self) -> f64 {
        let last = self.buckets.iter().rposition(|(count, _)| *count > 0).unwrap_or(0);
        if last + 1 < BUCKETS { least_score(last + 1) } else { f64::from(f32::MAX) }
    }

    /// The score from which on every row is drawn, if `wanted` rows are to be drawn on average.
    pub(super) fn certain(&self, wanted: f64) -> f64 {
        let (mut above, mut below) = (0.0, self.buckets.iter().map(|bucket| bucket.1).sum::<f64>());
        for (at, (count, sum)) in self.buckets.iter().enumerate().rev() {
            // Between this bucket's ends, rows above are certain and the sum below is shared out.
            if wanted > above && below / (wanted - above) >= least_score(at) {
                return below / (wanted - above);
            }
            above += f64::from(*count);
            below -= sum;
        }
        0.0
    }
}

fn score(gradient: &Gradient) -> f32 {
    gradient.gradient.abs()
}

fn bucket(score: f32) -> usize {
    let at = (score.to_bits() >> (23 - STEPS_BITS)) as i32 - ((127 + LEAST_EXPONENT) << STEPS_BITS);
    at.clamp(0, BUCKETS as i32 - 1) as usize
}

fn least_score(bucket: usize) -> f64 {
    let bits = (bucket as i32 + ((127 + LEAST_EXPONENT) << STEPS_BITS)) as u32;
    f64::from(f32::from_bits(bits << (23 - STEPS_BITS)))
}

/// How rows are drawn for one tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draw {
    pub(super) seed: u64,
    /// Score from which on a row is certain; 0 if all are.
    pub(super) certain: f64,
    /// No row is drawn with less probability, so that none weighs too much.
    pub(super) least: f64,
}

impl Draw {
    fn probability(&self, gradient: &Gradient) -> f32 {
        (score(gradient) * (1.0 / self.certain.max(1e-30)) as f32).max(self.least as f32)
    }

    fn chance(&self, row: usize) -> u64 {
        mix(self.seed ^ row as u64)
    }

    /// The numbers of the rows drawn from those that start at `first`.
    pub(super) fn rows(&self, first: usize, gradients: &[Gradient]) -> Vec<u32> {
        let mut drawn = vec![0; gradients.len()];
        let mut count = 0;
        for (at, gradient) in gradients.iter().enumerate() {
            let uniform = (self.chance(first + at) >> 40) as f32 / (1u32 << 24) as f32;
            // Always written and sometimes kept: no branch to mispredict.
            drawn[count] = (first + at) as u32;
            count += usize::from(uniform < self.probability(gradient));
        }
        drawn.truncate(count);
        drawn
    }

    /// The cells of rows drawn, each weighing the inverse of its probability. Cells start at row `first`.
    pub(super) fn cells(
        &self,
        units: Units,
        rows: &[u32],
        gradients: &[Gradient],
        cells: &mut [Cell],
        first: usize,
    ) {
        for row in rows {
            let row = *row as usize;
            let gradient = gradients[row];
            let weight = 1.0 / f64::from(self.probability(&gradient).min(1.0));
            // Another draw than the one that chose the row.
            let chance = mix(self.chance(row));
            cells[row - first] = units.cell(
                f64::from(gradient.gradient) * weight,
                f64::from(gradient.hessian) * weight,
                chance,
            );
        }
    }
}
