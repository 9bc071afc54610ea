//! Small neural networks: layers that know their own derivatives, and Adam.
//!
//! A batch is a matrix with one row an example. Images (TableGAN) have one row a pixel and one column a channel, so that a
//! convolution is a matrix product as well. Products are cut by rows, always in the same places, so that the number of threads
//! cannot show; which instructions a processor has can (sums are fused differently), as in every such library.

mod convolution;
mod critic;
mod layer;

use ndarray::linalg::general_mat_mul;
use ndarray::parallel::prelude::*;
use ndarray::{Array2, ArrayView2, Axis, s};
use rayon::slice::ParallelSliceMut;

use crate::random::Stream;

pub(super) use convolution::{Convolution, Transposed};
pub(super) use critic::{Critic, Judged};
pub(super) use layer::{Batch, Layer, Linear, Network};

/// Rows of examples, or weights.
pub(super) type Matrix = Array2<f32>;

/// Rows of a product that one task computes.
const TASK_ROWS: usize = 256;

/// Multiplications below which a second thread is not worth waking.
const TASK_WORK: usize = 1 << 18;

/// a · b.
pub(super) fn product(a: ArrayView2<f32>, b: ArrayView2<f32>) -> Matrix {
    let mut out = Matrix::zeros((a.nrows(), b.ncols()));
    multiply(a, b, 0.0, &mut out);
    out
}

/// out ← a · b + scale · out.
fn multiply(a: ArrayView2<f32>, b: ArrayView2<f32>, scale: f32, out: &mut Matrix) {
    let rows = task_rows(a.nrows(), a.ncols() * b.ncols());
    let chunks =
        out.axis_chunks_iter_mut(Axis(0), rows).into_par_iter().zip(a.axis_chunks_iter(Axis(0), rows));
    chunks.for_each(|(mut out, a)| general_mat_mul(1.0, &a, &b, scale, &mut out));
}

/// Matrices of as many rows side by side, row after row in memory.
pub(super) fn beside(parts: &[ArrayView2<f32>]) -> Matrix {
    let rows = parts.first().map_or(0, ArrayView2::nrows);
    let mut out = Matrix::zeros((rows, parts.iter().map(ArrayView2::ncols).sum()));
    let mut start = 0;
    for part in parts {
        let end = start + part.ncols();
        out.slice_mut(s![.., start..end]).assign(part);
        start = end;
    }
    out
}

/// Equal parts of at most [`TASK_ROWS`]; all rows in one task where the work is small.
fn task_rows(rows: usize, work_a_row: usize) -> usize {
    let tasks = if rows * work_a_row < TASK_WORK { 1 } else { rows.div_ceil(TASK_ROWS).max(2) };
    rows.div_ceil(tasks).max(1)
}

/// What is learnt: a value, its gradient, and Adam's two moments.
#[derive(Debug, Clone)]
pub(super) struct Parameter {
    pub(super) value: Matrix,
    pub(super) gradient: Matrix,
    pub(super) mean: Matrix,
    pub(super) square: Matrix,
}

impl Parameter {
    pub(super) fn new(value: Matrix) -> Parameter {
        let zeros = Matrix::zeros(value.raw_dim());
        Parameter { gradient: zeros.clone(), mean: zeros.clone(), square: zeros, value }
    }

    /// Uniform between -bound and bound.
    pub(super) fn uniform(rows: usize, columns: usize, bound: f32, chance: &mut Stream) -> Parameter {
        Parameter::new(Matrix::from_shape_simple_fn((rows, columns), || {
            (2.0 * chance.uniform() as f32 - 1.0) * bound
        }))
    }
}

/// Adam (Kingma and Ba, 2015), with the weights' squares as a penalty as in PyTorch's `weight_decay`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Adam {
    pub(super) rate: f32,
    pub(super) betas: (f32, f32),
    pub(super) decay: f32,
}

impl Adam {
    const EPSILON: f32 = 1e-8;

    /// Moves parameters against their gradients and empties those; `step` counts from 1.
    pub(super) fn step(&self, parameters: Vec<&mut Parameter>, step: u64) {
        let (first, second) = self.betas;
        let corrected = |beta: f32| 1.0 - f64::from(beta).powi(step.min(i32::MAX as u64) as i32) as f32;
        let (rate, root) = (self.rate / corrected(first), corrected(second).sqrt());
        parameters.into_par_iter().for_each(|parameter| {
            let Parameter { value, gradient, mean, square } = parameter;
            ndarray::Zip::from(value).and(gradient).and(mean).and(square).for_each(
                |value, gradient, mean, square| {
                    let slope = *gradient + self.decay * *value;
                    *mean = first * *mean + (1.0 - first) * slope;
                    *square = second * *square + (1.0 - second) * slope * slope;
                    *value -= rate * *mean / (square.sqrt() / root + Self::EPSILON);
                    *gradient = 0.0;
                },
            );
        });
    }
}

/// Chance that belongs to a seed and a step, so that a training that goes on is the one that was never interrupted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chance {
    pub(super) seed: u64,
    pub(super) step: i64,
}

impl Chance {
    pub(super) fn stream(&self, purpose: u64, row: usize) -> Stream {
        Stream::at(self.seed, purpose, row as u64, self.step)
    }

    fn filled(
        &self,
        purpose: u64,
        rows: usize,
        columns: usize,
        fill: impl Fn(&mut Stream, &mut [f32]) + Sync,
    ) -> Matrix {
        let mut out = Matrix::zeros((rows, columns));
        let rows = out.as_slice_mut().expect("a new matrix is in one piece").par_chunks_mut(columns.max(1));
        rows.enumerate().for_each(|(row, cells)| fill(&mut self.stream(purpose, row), cells));
        out
    }

    /// Independent standard normals.
    pub(super) fn normals(&self, purpose: u64, rows: usize, columns: usize) -> Matrix {
        self.filled(purpose, rows, columns, |stream, cells| {
            for pair in cells.chunks_mut(2) {
                let (first, second) = stream.normal_pair();
                pair[0] = first as f32;
                if let Some(cell) = pair.get_mut(1) {
                    *cell = second as f32;
                }
            }
        })
    }

    /// Gumbel noise for choices.
    pub(super) fn gumbels(&self, purpose: u64, rows: usize, columns: usize) -> Matrix {
        self.filled(purpose, rows, columns, |stream, cells| {
            cells.iter_mut().for_each(|cell| *cell = gumbel(stream));
        })
    }

    /// `1 / (1 - share)` where kept, 0 where dropped.
    pub(super) fn dropout(&self, purpose: u64, share: f32, rows: usize, columns: usize) -> Matrix {
        let kept = 1.0 / (1.0 - share);
        self.filled(purpose, rows, columns, |stream, cells| {
            for cell in cells {
                *cell = if stream.uniform() < f64::from(share) { 0.0 } else { kept };
            }
        })
    }
}

/// A draw of Gumbel's distribution: the largest of logits with such noise is a draw of their softmax.
pub(super) fn gumbel(stream: &mut Stream) -> f32 {
    let uniform = (stream.uniform() as f32).clamp(1e-7, 1.0 - 6e-8);
    -(-uniform.ln()).ln()
}
