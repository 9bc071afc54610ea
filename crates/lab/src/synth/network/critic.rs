//! The critic of a Wasserstein GAN, and the gradient penalty (Gulrajani et al., "Improved Training of Wasserstein GANs", 2017).
//!
//! The critic is linear between the kinks of its activations, so the slope of its judgement by an input is itself a product of
//! its weights with factors that do not depend on them: slopes g₀ = (((w ⊙ f₂) W₂ᵀ) ⊙ f₁) W₁ᵀ. The penalty λ·mean((‖g₀‖ − 1)²)
//! is therefore differentiated by going through that chain once more, in the other direction, and no second-order tape is
//! needed.

use ndarray::{Axis, concatenate, s};

use super::{Batch, Chance, Linear, Matrix, Parameter, multiply, product};
use crate::random::Stream;

/// Slope of the activations where their input is negative.
const LEAK: f32 = 0.2;

/// Judges rows: linear layers with leaky rectifiers and dropout between them, one number out.
#[derive(Debug, Clone)]
pub(in crate::synth) struct Critic {
    layers: Vec<Linear>,
    dropout: f32,
    /// For each hidden layer what its activation multiplied by.
    factors: Vec<Matrix>,
}

/// What a critic's step came to.
#[derive(Debug, Clone, Copy)]
pub(in crate::synth) struct Judged {
    /// Mean judgement of made rows minus that of real ones: what the critic lowers.
    pub(in crate::synth) loss: f32,
    /// λ · mean((‖slope‖ − 1)²).
    pub(in crate::synth) penalty: f32,
}

impl Critic {
    pub(in crate::synth) fn new(
        inputs: usize,
        hidden: &[usize],
        dropout: f32,
        chance: &mut Stream,
    ) -> Critic {
        let widths: Vec<usize> = std::iter::once(inputs).chain(hidden.iter().copied()).chain([1]).collect();
        let layers = widths.windows(2).map(|pair| Linear::new(pair[0], pair[1], chance)).collect();
        Critic { layers, dropout, factors: Vec::new() }
    }

    pub(in crate::synth) fn parameters(&mut self) -> Vec<&mut Parameter> {
        self.layers.iter_mut().flat_map(|layer| [&mut layer.weights, &mut layer.bias]).collect()
    }

    /// Cells of a row that it judges.
    pub(in crate::synth) fn inputs(&self) -> usize {
        self.layers[0].weights.value.nrows()
    }

    /// One judgement a row.
    pub(in crate::synth) fn forward(&mut self, mut rows: Matrix, batch: &Batch) -> Matrix {
        self.factors.clear();
        let last = self.layers.len() - 1;
        for (at, layer) in self.layers.iter_mut().enumerate() {
            rows = layer.forward(rows);
            if at < last {
                let factors =
                    factors(&rows, self.dropout, &batch.chance, PURPOSE + 16 * batch.pass + at as u64);
                rows *= &factors;
                self.factors.push(factors);
            }
        }
        rows
    }

    /// Adds the gradients of a loss with this slope by the judgements of the first rows.
    fn learn_from(&mut self, mut slope: Matrix) {
        for at in (0..self.layers.len()).rev() {
            match at.checked_sub(1) {
                Some(below) => {
                    slope = self.layers[at].backward(&slope, true);
                    slope *= &self.factors[below].slice(s![..slope.nrows(), ..]);
                }
                None => self.layers[at].learn(&slope),
            }
        }
    }

    /// The slope of a loss by the rows that were judged last.
    pub(in crate::synth) fn backward(&mut self, mut slope: Matrix) -> Matrix {
        for at in (0..self.layers.len()).rev() {
            slope = self.layers[at].backward(&slope, false);
            if let Some(below) = at.checked_sub(1) {
                slope *= &self.factors[below];
            }
        }
        slope
    }

    /// Adds the gradients of one step: real and made rows are judged, and the penalty is taken between them, at `mixed`.
    pub(in crate::synth) fn learn(
        &mut self,
        real: &Matrix,
        made: &Matrix,
        mixed: &Matrix,
        weight: f32,
        batch: &Batch,
    ) -> Judged {
        let count = real.nrows();
        let rows =
            concatenate(Axis(0), &[real.view(), made.view(), mixed.view()]).expect("rows are of one width");
        let judged = self.forward(rows, batch);
        let penalty = self.penalise(2 * count, weight);
        let mut slope = Matrix::from_elem((2 * count, 1), 1.0 / count as f32);
        slope.slice_mut(s![..count, ..]).fill(-1.0 / count as f32);
        let loss = (&judged.slice(s![..2 * count, ..]) * &slope).sum();
        self.learn_from(slope);
        Judged { loss, penalty }
    }

    /// Adds the gradients of the penalty at the rows from `first` on, which were judged last.
    fn penalise(&mut self, first: usize, weight: f32) -> f32 {
        let factors: Vec<_> = self.factors.iter().map(|of| of.slice(s![first.., ..])).collect();
        let rows = factors.first().map_or(0, |factors| factors.nrows());
        // Slopes by the input of each layer, from the last to the first; below an activation they carry its factors.
        let mut slopes: Vec<Matrix> = vec![Matrix::ones((rows, 1))];
        for at in (0..self.layers.len()).rev() {
            let mut slope = product(slopes[slopes.len() - 1].view(), self.layers[at].weights.value.t());
            if let Some(below) = at.checked_sub(1) {
                slope *= &factors[below];
            }
            slopes.push(slope);
        }
        slopes.reverse();
        let (penalty, mut outer) = penalty(&slopes[0], weight);
        for at in 0..self.layers.len() {
            multiply(outer.t(), slopes[at + 1].view(), 1.0, &mut self.layers[at].weights.gradient);
            if at < factors.len() {
                outer = product(outer.view(), self.layers[at].weights.value.view());
                outer *= &factors[at];
            }
        }
        penalty
    }
}

/// The penalty of slopes, and its derivative by them.
fn penalty(slopes: &Matrix, weight: f32) -> (f32, Matrix) {
    let rows = slopes.nrows() as f32;
    let mut outer = slopes.clone();
    let mut sum = 0.0;
    for mut row in outer.rows_mut() {
        let length = row.dot(&row).sqrt();
        sum += (length - 1.0) * (length - 1.0);
        row *= 2.0 * weight * (length - 1.0) / (length.max(1e-12) * rows);
    }
    (weight * sum / rows, outer)
}

/// Chance of the critic's dropout is none that others use.
const PURPOSE: u64 = 1 << 32;

/// What an activation multiplies by: the leak where negative, and dropout.
fn factors(rows: &Matrix, dropout: f32, chance: &Chance, purpose: u64) -> Matrix {
    let leak = |value: &f32| if *value > 0.0 { 1.0 } else { LEAK };
    if dropout == 0.0 {
        return rows.map(leak);
    }
    let mut factors = chance.dropout(purpose, dropout, rows.nrows(), rows.ncols());
    factors.zip_mut_with(rows, |factor, value| *factor *= leak(value));
    factors
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn matrix(value: &Value) -> Matrix {
        let rows: Vec<Vec<f32>> = serde_json::from_value(value.clone()).unwrap();
        Matrix::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
    }

    fn near(what: &str, found: &Matrix, expected: &Matrix) {
        assert_eq!(found.dim(), expected.dim(), "{what}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                (found - expected).abs() <= 2e-5 * expected.abs().max(0.1),
                "{what}: {found} instead of {expected}"
            );
        }
    }

    /// PyTorch's second-order automatic differentiation on the same weights and rows; see gradient_penalty.py.
    #[test]
    fn a_step_has_the_losses_and_gradients_of_pytorch() {
        let text = include_str!("../../../tests/fixtures/synth/gradient_penalty.json");
        let expected: Value = serde_json::from_str(text).unwrap();
        let mut critic = Critic::new(6, &[5, 4], 0.0, &mut Stream::at(0, 0, 0, 0));
        for (at, layer) in critic.layers.iter_mut().enumerate() {
            layer.weights.value = matrix(&expected["weights"][at]);
            layer.bias.value = matrix(&Value::from(vec![expected["biases"][at].clone()]));
        }
        let [real, made, mixed] = ["real", "made", "mixed"].map(|name| matrix(&expected[name]));
        let batch = Batch { is_training: true, chance: Chance { seed: 0, step: 0 }, pass: 0 };
        let judged = critic.learn(&real, &made, &mixed, expected["weight"].as_f64().unwrap() as f32, &batch);
        assert!((f64::from(judged.loss) - expected["loss"].as_f64().unwrap()).abs() < 1e-5);
        assert!((f64::from(judged.penalty) - expected["penalty"].as_f64().unwrap()).abs() < 1e-5);
        for (at, layer) in critic.layers.iter().enumerate() {
            near("weights", &layer.weights.gradient, &matrix(&expected["weight_gradients"][at]));
            let biases = matrix(&Value::from(vec![expected["bias_gradients"][at].clone()]));
            near("biases", &layer.bias.gradient, &biases);
        }
    }
}
