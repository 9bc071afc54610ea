//! Convolutions as products of matrices.
//!
//! An image of s × s pixels is s² rows of a matrix, one column a channel. A convolution gathers, for each pixel that it makes,
//! the pixels that it sees into one row, and multiplies; a transposed one multiplies and scatters.

use ndarray::parallel::prelude::*;
use rayon::slice::ParallelSliceMut;

use super::{Matrix, Parameter, multiply, product};
use crate::random::Stream;

/// Which pixels see each other: square images, a square kernel.
#[derive(Debug, Clone, Copy)]
struct Geometry {
    /// Side of the larger image, which a convolution reads and a transposed one makes.
    large: usize,
    /// Side of the smaller one.
    small: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    /// Channels of the larger image.
    channels: usize,
}

impl Geometry {
    /// The pixel of the larger image that a pixel of the smaller one sees at a place of the kernel.
    fn seen(&self, pixel: usize, at: usize) -> Option<usize> {
        let place = |pixel: usize, at: usize| {
            (pixel * self.stride + at).checked_sub(self.padding).filter(|place| *place < self.large)
        };
        let y = place(pixel / self.small, at / self.kernel)?;
        let x = place(pixel % self.small, at % self.kernel)?;
        Some(y * self.large + x)
    }

    /// For each pixel of the small images all that it sees, in one row.
    fn gather(&self, large: &Matrix) -> Matrix {
        let (area, window, channels) = (self.large * self.large, self.kernel * self.kernel, self.channels);
        let images = large.nrows() / area;
        let pixels = self.small * self.small;
        let mut out = Matrix::zeros((images * pixels, window * channels));
        let source = large.as_slice().expect("batches are in one piece");
        let rows =
            out.as_slice_mut().expect("a new matrix is in one piece").par_chunks_mut(window * channels);
        rows.enumerate().with_min_len(64).for_each(|(row, cells)| {
            let (image, pixel) = (row / pixels, row % pixels);
            for (at, cells) in cells.chunks_mut(channels).enumerate() {
                if let Some(seen) = self.seen(pixel, at) {
                    let from = (image * area + seen) * channels;
                    cells.copy_from_slice(&source[from..from + channels]);
                }
            }
        });
        out
    }

    /// The inverse direction: adds each row's cells to the pixels that they came from.
    fn scatter(&self, rows: &Matrix) -> Matrix {
        let (area, window, channels) = (self.large * self.large, self.kernel * self.kernel, self.channels);
        let pixels = self.small * self.small;
        let images = rows.nrows() / pixels;
        let mut out = Matrix::zeros((images * area, channels));
        let source = rows.as_slice().expect("batches are in one piece");
        let targets =
            out.as_slice_mut().expect("a new matrix is in one piece").par_chunks_mut(area * channels);
        targets.enumerate().with_min_len(8).for_each(|(image, target)| {
            for pixel in 0..pixels {
                for at in 0..window {
                    let Some(seen) = self.seen(pixel, at) else { continue };
                    let from = ((image * pixels + pixel) * window + at) * channels;
                    let cells = &mut target[seen * channels..(seen + 1) * channels];
                    cells
                        .iter_mut()
                        .zip(&source[from..from + channels])
                        .for_each(|(cell, value)| *cell += value);
                }
            }
        });
        out
    }
}

/// A convolution without bias; normalisation follows it.
#[derive(Debug, Clone)]
pub(in crate::synth) struct Convolution {
    pub(super) weights: Parameter,
    geometry: Geometry,
    gathered: Matrix,
}

/// Deviation of the weights that DCGAN begins with (Radford, Metz and Chintala, 2016).
const WEIGHT_DEVIATION: f32 = 0.02;

fn normal_weights(rows: usize, columns: usize, chance: &mut Stream) -> Parameter {
    Parameter::new(Matrix::from_shape_simple_fn((rows, columns), || {
        WEIGHT_DEVIATION * chance.normal() as f32
    }))
}

impl Convolution {
    /// Halves the side of images: kernel 4, stride 2, padding 1.
    pub(in crate::synth) fn halving(
        side: usize,
        channels: (usize, usize),
        chance: &mut Stream,
    ) -> Convolution {
        let geometry =
            Geometry { large: side, small: side / 2, kernel: 4, stride: 2, padding: 1, channels: channels.0 };
        Convolution::of(geometry, channels.1, chance)
    }

    fn of(geometry: Geometry, outputs: usize, chance: &mut Stream) -> Convolution {
        let inputs = geometry.kernel * geometry.kernel * geometry.channels;
        Convolution {
            weights: normal_weights(inputs, outputs, chance),
            geometry,
            gathered: Matrix::zeros((0, 0)),
        }
    }

    pub(super) fn forward(&mut self, rows: &Matrix) -> Matrix {
        self.gathered = self.geometry.gather(rows);
        product(self.gathered.view(), self.weights.value.view())
    }

    pub(super) fn backward(&mut self, slope: &Matrix, learns: bool) -> Matrix {
        if learns {
            self.learn(slope);
        }
        self.geometry.scatter(&product(slope.view(), self.weights.value.t()))
    }
}

impl Convolution {
    /// Adds gradients, and asks nothing of the layers before.
    pub(super) fn learn(&mut self, slope: &Matrix) {
        multiply(self.gathered.t(), slope.view(), 1.0, &mut self.weights.gradient);
    }
}

/// A transposed convolution without bias.
#[derive(Debug, Clone)]
pub(in crate::synth) struct Transposed {
    pub(super) weights: Parameter,
    geometry: Geometry,
    input: Matrix,
}

impl Transposed {
    /// Doubles the side of images: kernel 4, stride 2, padding 1. `side` is that of the smaller one.
    pub(in crate::synth) fn doubling(
        side: usize,
        channels: (usize, usize),
        chance: &mut Stream,
    ) -> Transposed {
        let geometry =
            Geometry { large: 2 * side, small: side, kernel: 4, stride: 2, padding: 1, channels: channels.1 };
        let window = geometry.kernel * geometry.kernel * channels.1;
        Transposed {
            weights: normal_weights(channels.0, window, chance),
            geometry,
            input: Matrix::zeros((0, 0)),
        }
    }

    pub(super) fn forward(&mut self, rows: Matrix) -> Matrix {
        let out = self.geometry.scatter(&product(rows.view(), self.weights.value.view()));
        self.input = rows;
        out
    }

    pub(super) fn backward(&mut self, slope: &Matrix, learns: bool) -> Matrix {
        let gathered = self.geometry.gather(slope);
        if learns {
            multiply(self.input.t(), gathered.view(), 1.0, &mut self.weights.gradient);
        }
        product(gathered.view(), self.weights.value.t())
    }
}
