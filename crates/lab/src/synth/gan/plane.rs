//! TableGAN (Park et al., "Data Synthesis based on Generative Adversarial Networks", VLDB 2018).
//!
//! A row is a square of numbers, one cell a column, padded with zeros; generator, discriminator and classifier are DCGAN's
//! convolutions. Beside the discriminator's judgement the generator minimises
//! - the information loss: the distance between means and between deviations, over real and made rows, of what the
//!   discriminator's last layer sees, each only as far as it is beyond a threshold (the paper's δ, which buys privacy);
//! - the classification loss: how far a made row's label is from the one that a classifier reads off its other cells.
//!
//! Means and deviations are moving averages with weight 0.99, as in the paper; their slope is that of the batch. Frauds are a
//! quarter of each batch at least, so that some are seen in each; the share that is made is set when rows are made.

use ndarray::Axis;

use super::super::encode::Encoder;
use super::super::network::{
    Adam, Batch, Chance, Convolution, Layer, Matrix, Network, Parameter, Transposed,
};
use super::{Adversary, Lessons, Losses, Recipe, purpose};
use crate::random::Stream;

const NOISE: usize = 100;
/// Channels next to the square; each halving doubles them.
const CHANNELS: usize = 64;
/// Weight of what was, in moving averages.
const MEMORY: f32 = 0.99;
/// The least share of frauds in a batch.
const FRAUD_SHARE: f64 = 0.25;
const LEAK: f32 = 0.2;

/// A network that reads squares, and one number off what it saw.
struct Reader {
    eye: Network,
    verdict: Network,
}

impl Reader {
    fn new(side: usize, chance: &mut Stream) -> Reader {
        let mut layers = vec![Layer::Unflatten { pixels: side * side }];
        let (mut at, mut channels) = (side, 1);
        while at > 2 {
            let next = if channels == 1 { CHANNELS } else { 2 * channels };
            layers.push(Layer::Convolution(Convolution::halving(at, (channels, next), chance)));
            if channels > 1 {
                layers.push(Layer::batch_norm(next));
            }
            layers.push(Layer::leaky(LEAK));
            (at, channels) = (at / 2, next);
        }
        layers.push(Layer::Flatten { pixels: 4 });
        let verdict = Network::new(vec![Layer::linear(4 * channels, 1, chance)]);
        Reader { eye: Network::new(layers), verdict }
    }

    fn forward(&mut self, rows: Matrix, batch: &Batch) -> (Matrix, Matrix) {
        let seen = self.eye.forward(rows, batch);
        (self.verdict.forward(seen.clone(), batch), seen)
    }

    fn learn(&mut self, slope: Matrix) {
        let slope = self.verdict.backward(slope, true);
        self.eye.learn(slope);
    }

    /// The slope by squares of a loss with these slopes by the verdict and by what was seen.
    fn backward(&mut self, slope: Matrix, by_seen: Option<Matrix>) -> Matrix {
        let mut slope = self.verdict.backward(slope, false);
        if let Some(by_seen) = by_seen {
            slope += &by_seen;
        }
        self.eye.backward(slope, false)
    }

    fn parameters(&mut self) -> Vec<&mut Parameter> {
        let mut all = self.eye.parameters();
        all.extend(self.verdict.parameters());
        all
    }
}

/// Moving averages of what the discriminator sees.
#[derive(Clone)]
struct Statistics {
    mean: Matrix,
    deviation: Matrix,
}

impl Statistics {
    fn of(seen: &Matrix) -> Statistics {
        let mean = seen.mean_axis(Axis(0)).expect("batches are not empty").insert_axis(Axis(0));
        let deviation = seen.std_axis(Axis(0), 0.0).insert_axis(Axis(0));
        Statistics { mean, deviation }
    }

    fn follow(&mut self, now: &Statistics) {
        if self.mean.is_empty() {
            *self = now.clone();
            return;
        }
        for (past, now) in [(&mut self.mean, &now.mean), (&mut self.deviation, &now.deviation)] {
            past.zip_mut_with(now, |past, now| *past = MEMORY * *past + (1.0 - MEMORY) * now);
        }
    }
}

/// Generator, discriminator and classifier.
pub(in crate::synth) struct TableGan {
    generator: Network,
    discriminator: Reader,
    classifier: Reader,
    /// Of real and of made rows.
    statistics: [Statistics; 2],
    /// Cells of a square.
    area: usize,
    recipe: Recipe,
    of_generator: usize,
    seed: u64,
}

impl TableGan {
    pub(in crate::synth) fn new(encoder: &Encoder, recipe: Recipe, seed: u64) -> TableGan {
        let side = side_of(encoder.width);
        let mut chance = Stream::at(seed, purpose::BEGINNING, 0, 0);
        let mut generator = generator(side, &mut chance);
        let of_generator = generator.parameters().len();
        let nothing = Statistics { mean: Matrix::zeros((0, 0)), deviation: Matrix::zeros((0, 0)) };
        TableGan {
            discriminator: Reader::new(side, &mut chance),
            classifier: Reader::new(side, &mut chance),
            statistics: [nothing.clone(), nothing],
            area: side * side,
            generator,
            recipe,
            of_generator,
            seed,
        }
    }

    fn adam(&self) -> Adam {
        Adam { rate: self.recipe.learning_rate, betas: (0.5, 0.999), decay: 1e-5 }
    }

    /// Real rows as squares.
    fn real(&self, lessons: &Lessons, batch: &Batch) -> Matrix {
        let [genuine, frauds] = &lessons.by_class;
        let share = frauds.len() as f64 / (genuine.len() + frauds.len()).max(1) as f64;
        let share = if frauds.is_empty() || genuine.is_empty() {
            share
        } else {
            share.clamp(FRAUD_SHARE, 1.0 - FRAUD_SHARE)
        };
        let mut squares = Matrix::zeros((self.recipe.batch, self.area));
        for row in 0..self.recipe.batch {
            let mut chance = batch.chance.stream(purpose::ROWS, row);
            let list = if chance.chance(share) { frauds } else { genuine };
            let from = list[chance.below(list.len() as u32) as usize] as usize;
            for (cell, code) in squares.row_mut(row).iter_mut().zip(lessons.codes.row(from)) {
                *cell = *code;
            }
        }
        squares
    }

    fn learn_discriminator(&mut self, real: &Matrix, made: &Matrix, batch: &Batch) -> f32 {
        let mut loss = 0.0;
        for (rows, target) in [(real, 1.0), (made, 0.0)] {
            let (judged, _) = self.discriminator.forward(rows.clone(), batch);
            let (of, slope) = cross_entropy(&judged, |_| target);
            loss += of;
            self.discriminator.learn(slope);
        }
        loss
    }

    fn learn_classifier(&mut self, real: &Matrix, cell: usize, batch: &Batch) {
        let (read, _) = self.classifier.forward(hidden(real, cell), batch);
        let (_, slope) = cross_entropy(&read, |row| share_of(real[[row, cell]]));
        self.classifier.learn(slope);
    }

    fn learn_generator(&mut self, real: &Matrix, made: Matrix, cell: Option<usize>, batch: &Batch) -> Losses {
        let (_, seen) = self.discriminator.forward(real.clone(), batch);
        self.statistics[0].follow(&Statistics::of(&seen));
        let (judged, seen) = self.discriminator.forward(made.clone(), batch);
        let now = Statistics::of(&seen);
        self.statistics[1].follow(&now);
        let (generator, slope) = cross_entropy(&judged, |_| 1.0);
        let (information, by_seen) = self.information(&seen, &now);
        let mut slope = self.discriminator.backward(slope, Some(by_seen));
        let mut condition = 0.0;
        if let Some(cell) = cell {
            condition = self.classified(&made, cell, &mut slope, batch);
        }
        self.generator.learn(slope);
        Losses { generator, information, condition, ..Losses::default() }
    }

    /// The information loss, and its slope by what the discriminator saw of made rows.
    fn information(&self, seen: &Matrix, now: &Statistics) -> (f32, Matrix) {
        let [real, made] = &self.statistics;
        let rows = seen.nrows() as f32;
        let (by_mean, means) = beyond(&made.mean, &real.mean, self.recipe.privacy.0);
        let (by_deviation, deviations) = beyond(&made.deviation, &real.deviation, self.recipe.privacy.1);
        let mut slope = seen - &now.mean;
        slope *= &(by_deviation / now.deviation.mapv(|deviation| deviation.max(1e-6)));
        slope += &by_mean;
        (means + deviations, slope / rows)
    }

    /// The classification loss: |label − what the classifier reads|; its slope by made rows is added.
    fn classified(&mut self, made: &Matrix, cell: usize, slope: &mut Matrix, batch: &Batch) -> f32 {
        let rows = made.nrows() as f32;
        let (read, _) = self.classifier.forward(hidden(made, cell), batch);
        let mut by_read = Matrix::zeros(read.raw_dim());
        let mut loss = 0.0;
        for row in 0..read.nrows() {
            let share = sigmoid(read[[row, 0]]);
            let off = share_of(made[[row, cell]]) - share;
            loss += off.abs() / rows;
            slope[[row, cell]] += 0.5 * off.signum() / rows;
            by_read[[row, 0]] = -off.signum() * share * (1.0 - share) / rows;
        }
        let mut by_cells = self.classifier.backward(by_read, None);
        by_cells.column_mut(cell).fill(0.0);
        *slope += &by_cells;
        loss
    }
}

impl Adversary for TableGan {
    fn learn(&mut self, lessons: &Lessons, step: u64) -> Losses {
        let batch =
            Batch { is_training: true, chance: Chance { seed: self.seed, step: step as i64 }, pass: 0 };
        let cell = lessons.encoder.label().and_then(|label| label.scalar);
        let real = self.real(lessons, &batch);
        let noise = batch.chance.normals(purpose::NOISE, self.recipe.batch, NOISE);
        let made = self.generator.forward(noise, &batch);
        let adam = self.adam();
        let critic = self.learn_discriminator(&real, &made, &batch);
        adam.step(self.discriminator.parameters(), step + 1);
        if let Some(cell) = cell {
            self.learn_classifier(&real, cell, &batch);
            adam.step(self.classifier.parameters(), step + 1);
        }
        let losses = self.learn_generator(&real, made, cell, &batch);
        adam.step(self.generator.parameters(), step + 1);
        Losses { critic, ..losses }
    }

    fn make(&mut self, encoder: &Encoder, classes: &[bool], chance: Chance) -> Matrix {
        let batch = Batch { is_training: false, chance, pass: 0 };
        let noise = chance.normals(purpose::NOISE, classes.len(), NOISE);
        let squares = self.generator.forward(noise, &batch);
        squares.slice_move(ndarray::s![.., ..encoder.width])
    }

    fn parameters(&mut self) -> Vec<&mut Parameter> {
        let mut all = self.generator.parameters();
        all.extend(self.discriminator.parameters());
        all.extend(self.classifier.parameters());
        all
    }

    fn of_generator(&mut self) -> usize {
        self.of_generator
    }

    fn generator_averages(&mut self) -> Vec<&mut Matrix> {
        self.generator.averages()
    }

    fn averages(&mut self) -> Vec<&mut Matrix> {
        let mut all = self.generator.averages();
        all.extend(self.discriminator.eye.averages());
        all.extend(self.classifier.eye.averages());
        all.extend(self.statistics.iter_mut().flat_map(|of| [&mut of.mean, &mut of.deviation]));
        all
    }
}

/// The side of the smallest square with so many cells: a power of two, 4 at least.
pub(in crate::synth) fn side_of(cells: usize) -> usize {
    let mut side = 4;
    while side * side < cells {
        side *= 2;
    }
    side
}

fn generator(side: usize, chance: &mut Stream) -> Network {
    let mut channels = CHANNELS * side / 4;
    let mut layers = vec![Layer::linear(NOISE, 4 * channels, chance), Layer::Unflatten { pixels: 4 }];
    let mut at = 2;
    while at < side {
        layers.extend([Layer::batch_norm(channels), Layer::leaky(0.0)]);
        let next = if 2 * at == side { 1 } else { channels / 2 };
        layers.push(Layer::Transposed(Transposed::doubling(at, (channels, next), chance)));
        (at, channels) = (2 * at, next);
    }
    layers.extend([Layer::Flatten { pixels: side * side }, Layer::tanh()]);
    Network::new(layers)
}

/// Squares whose label cannot be seen.
fn hidden(squares: &Matrix, cell: usize) -> Matrix {
    let mut squares = squares.clone();
    squares.column_mut(cell).fill(0.0);
    squares
}

/// From a cell within -1 and 1 to a share.
fn share_of(cell: f32) -> f32 {
    ((cell + 1.0) / 2.0).clamp(0.0, 1.0)
}

fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

/// Mean cross-entropy of logits against targets, and its slope.
fn cross_entropy(logits: &Matrix, target: impl Fn(usize) -> f32) -> (f32, Matrix) {
    let rows = logits.nrows() as f32;
    let mut loss = 0.0;
    let mut slope = Matrix::zeros(logits.raw_dim());
    for (row, logit) in logits.iter().enumerate() {
        let target = target(row);
        loss += (logit.max(0.0) - logit * target + (-logit.abs()).exp().ln_1p()) / rows;
        slope[[row, 0]] = (sigmoid(*logit) - target) / rows;
    }
    (loss, slope)
}

/// How much the distance between two vectors is beyond a threshold, and its slope by the first.
fn beyond(made: &Matrix, real: &Matrix, threshold: f32) -> (Matrix, f32) {
    let mut apart = made - real;
    let length = apart.iter().map(|value| value * value).sum::<f32>().sqrt();
    if length <= threshold {
        apart.fill(0.0);
        return (apart, 0.0);
    }
    apart /= length.max(1e-12);
    (apart, length - threshold)
}
