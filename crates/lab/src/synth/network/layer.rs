//! Layers and their derivatives.

use ndarray::parallel::prelude::*;
use ndarray::{Array1, Axis, Zip, s};

use super::{Chance, Convolution, Matrix, Parameter, TASK_ROWS, Transposed, beside, multiply, product};
use crate::random::Stream;

/// How a batch goes through a network.
#[derive(Debug, Clone, Copy)]
pub(in crate::synth) struct Batch {
    /// Whether statistics are those of the batch, and chance is at work.
    pub(in crate::synth) is_training: bool,
    /// Where dropout gets its chance.
    pub(in crate::synth) chance: Chance,
    /// Tells several passes of one step apart.
    pub(in crate::synth) pass: u64,
}

/// One step from inputs to outputs. It keeps what the way back needs.
#[derive(Debug, Clone)]
pub(in crate::synth) enum Layer {
    /// x · W + b.
    Linear(Linear),
    /// Normalises each column of a batch (Ioffe and Szegedy, 2015).
    BatchNorm(BatchNorm),
    /// x where positive, `slope` · x elsewhere.
    Leaky { slope: f32, factors: Matrix },
    /// Appends the layer's input to what the layers inside make of it, as CTGAN's generator does.
    Residual { inside: Network, width: usize },
    /// A convolution of images.
    Convolution(Convolution),
    /// A transposed convolution of images.
    Transposed(Transposed),
    /// Rows of `pixels` pixels become one row each.
    Flatten { pixels: usize },
    /// The inverse of `Flatten`.
    Unflatten { pixels: usize },
    /// Hyperbolic tangent.
    Tanh { out: Matrix },
}

/// x · W + b, W of shape inputs × outputs.
#[derive(Debug, Clone)]
pub(in crate::synth) struct Linear {
    pub(super) weights: Parameter,
    pub(super) bias: Parameter,
    pub(super) input: Matrix,
}

impl Linear {
    /// As PyTorch begins: uniform within one over the root of the inputs.
    pub(in crate::synth) fn new(inputs: usize, outputs: usize, chance: &mut Stream) -> Linear {
        let bound = 1.0 / (inputs as f32).sqrt();
        Linear {
            weights: Parameter::uniform(inputs, outputs, bound, chance),
            bias: Parameter::uniform(1, outputs, bound, chance),
            input: Matrix::zeros((0, 0)),
        }
    }

    pub(super) fn forward(&mut self, input: Matrix) -> Matrix {
        let mut out = product(input.view(), self.weights.value.view());
        out += &self.bias.value;
        self.input = input;
        out
    }

    pub(super) fn backward(&mut self, slope: &Matrix, learns: bool) -> Matrix {
        if learns {
            self.learn(slope);
        }
        product(slope.view(), self.weights.value.t())
    }

    /// Adds gradients by the first rows of what came in, and asks nothing of the layers before.
    pub(super) fn learn(&mut self, slope: &Matrix) {
        let input = self.input.slice(s![..slope.nrows(), ..]);
        multiply(input.t(), slope.view(), 1.0, &mut self.weights.gradient);
        self.bias.gradient += &slope.sum_axis(Axis(0)).insert_axis(Axis(0));
    }
}

/// Columns of a batch with mean 0 and deviation 1, then scaled and shifted as learnt.
#[derive(Debug, Clone)]
pub(in crate::synth) struct BatchNorm {
    scale: Parameter,
    shift: Parameter,
    mean: Matrix,
    variance: Matrix,
    /// Normalised input and one over the deviation, for the way back.
    normal: Matrix,
    inverse: Matrix,
}

impl BatchNorm {
    const EPSILON: f32 = 1e-5;
    /// How much of a running average a new batch replaces.
    const MOMENTUM: f32 = 0.1;

    fn new(width: usize) -> BatchNorm {
        let (zeros, ones) = (Matrix::zeros((1, width)), Matrix::ones((1, width)));
        BatchNorm {
            scale: Parameter::new(ones.clone()),
            shift: Parameter::new(zeros.clone()),
            mean: zeros.clone(),
            variance: ones.clone(),
            normal: Matrix::zeros((0, 0)),
            inverse: ones,
        }
    }

    fn forward(&mut self, mut input: Matrix, is_training: bool) -> Matrix {
        let (mean, variance) =
            if is_training { self.measure(&input) } else { (self.mean.clone(), self.variance.clone()) };
        self.inverse = variance.mapv(|variance| 1.0 / (variance + Self::EPSILON).sqrt());
        let mut out = Matrix::zeros(input.raw_dim());
        let (mean, inverse) = (mean.row(0), self.inverse.row(0));
        let (scale, shift) = (self.scale.value.row(0), self.shift.value.row(0));
        let parts = input.axis_chunks_iter_mut(Axis(0), TASK_ROWS).into_par_iter();
        parts.zip(out.axis_chunks_iter_mut(Axis(0), TASK_ROWS)).for_each(|(mut input, mut out)| {
            for (mut input, mut out) in input.rows_mut().into_iter().zip(out.rows_mut()) {
                Zip::from(&mut input)
                    .and(&mean)
                    .and(&inverse)
                    .for_each(|x, mean, inverse| *x = (*x - mean) * inverse);
                Zip::from(&mut out)
                    .and(&input)
                    .and(&scale)
                    .and(&shift)
                    .for_each(|out, x, scale, shift| *out = x * scale + shift);
            }
        });
        self.normal = input;
        out
    }

    /// Mean and variance of the batch; the running ones move towards them.
    fn measure(&mut self, input: &Matrix) -> (Matrix, Matrix) {
        let rows = input.nrows() as f32;
        let mean = (input.sum_axis(Axis(0)) / rows).insert_axis(Axis(0));
        let mut variance = Matrix::zeros(mean.raw_dim());
        for row in input.rows() {
            Zip::from(&mut variance.row_mut(0))
                .and(&row)
                .and(&mean.row(0))
                .for_each(|sum, x, mean| *sum += (x - mean) * (x - mean));
        }
        let unbiased = &variance / (rows - 1.0).max(1.0);
        variance /= rows;
        self.mean = &self.mean * (1.0 - Self::MOMENTUM) + &(&mean * Self::MOMENTUM);
        self.variance = &self.variance * (1.0 - Self::MOMENTUM) + &(unbiased * Self::MOMENTUM);
        (mean, variance)
    }

    /// The way back of a batch in training.
    fn backward(&mut self, mut slope: Matrix, learns: bool) -> Matrix {
        let rows = slope.nrows() as f32;
        let of_shift = slope.sum_axis(Axis(0));
        let mut of_scale = Array1::<f32>::zeros(slope.ncols());
        for (slope, normal) in slope.rows().into_iter().zip(self.normal.rows()) {
            Zip::from(&mut of_scale)
                .and(&slope)
                .and(&normal)
                .for_each(|sum, slope, normal| *sum += slope * normal);
        }
        let factor = &self.scale.value.row(0) * &self.inverse.row(0);
        let (mean, along) = (&of_shift / rows, &of_scale / rows);
        let parts = slope.axis_chunks_iter_mut(Axis(0), TASK_ROWS).into_par_iter();
        parts.zip(self.normal.axis_chunks_iter(Axis(0), TASK_ROWS)).for_each(|(mut slope, normal)| {
            for (mut slope, normal) in slope.rows_mut().into_iter().zip(normal.rows()) {
                Zip::from(&mut slope).and(&normal).and(&mean).and(&along).and(&factor).for_each(
                    |slope, normal, mean, along, factor| {
                        *slope = factor * (*slope - mean - normal * along);
                    },
                );
            }
        });
        if learns {
            self.shift.gradient += &of_shift.insert_axis(Axis(0));
            self.scale.gradient += &of_scale.insert_axis(Axis(0));
        }
        slope
    }
}

/// Layers one after the other.
#[derive(Debug, Clone, Default)]
pub(in crate::synth) struct Network {
    layers: Vec<Layer>,
}

impl Network {
    pub(in crate::synth) fn new(layers: Vec<Layer>) -> Network {
        Network { layers }
    }

    pub(in crate::synth) fn forward(&mut self, mut rows: Matrix, batch: &Batch) -> Matrix {
        for layer in &mut self.layers {
            rows = layer.forward(rows, batch);
        }
        rows
    }

    /// From the slope of the loss by outputs to that by inputs; gradients of parameters are added up if it `learns`.
    pub(in crate::synth) fn backward(&mut self, mut slope: Matrix, learns: bool) -> Matrix {
        for layer in self.layers.iter_mut().rev() {
            slope = layer.backward(slope, learns);
        }
        slope
    }

    /// Adds gradients, and asks nothing of what came in.
    pub(in crate::synth) fn learn(&mut self, mut slope: Matrix) {
        let first =
            self.layers.iter().position(|layer| !matches!(layer, Layer::Unflatten { .. })).unwrap_or(0);
        for (at, layer) in self.layers.iter_mut().enumerate().skip(first).rev() {
            match layer {
                Layer::Linear(linear) if at == first => return linear.learn(&slope),
                Layer::Convolution(convolution) if at == first => return convolution.learn(&slope),
                _ => slope = layer.backward(slope, true),
            }
        }
    }

    pub(in crate::synth) fn parameters(&mut self) -> Vec<&mut Parameter> {
        self.layers.iter_mut().flat_map(Layer::parameters).collect()
    }

    /// Running averages: state that is not learnt but belongs to the network.
    pub(in crate::synth) fn averages(&mut self) -> Vec<&mut Matrix> {
        self.layers.iter_mut().flat_map(Layer::averages).collect()
    }
}

impl Layer {
    pub(in crate::synth) fn linear(inputs: usize, outputs: usize, chance: &mut Stream) -> Layer {
        Layer::Linear(Linear::new(inputs, outputs, chance))
    }

    pub(in crate::synth) fn batch_norm(width: usize) -> Layer {
        Layer::BatchNorm(BatchNorm::new(width))
    }

    pub(in crate::synth) fn leaky(slope: f32) -> Layer {
        Layer::Leaky { slope, factors: Matrix::zeros((0, 0)) }
    }

    pub(in crate::synth) fn tanh() -> Layer {
        Layer::Tanh { out: Matrix::zeros((0, 0)) }
    }

    /// CTGAN's block: linear, normalised, rectified, and the input beside it.
    pub(in crate::synth) fn residual(inputs: usize, outputs: usize, chance: &mut Stream) -> Layer {
        let inside =
            vec![Layer::linear(inputs, outputs, chance), Layer::batch_norm(outputs), Layer::leaky(0.0)];
        Layer::Residual { inside: Network::new(inside), width: outputs }
    }

    fn forward(&mut self, rows: Matrix, batch: &Batch) -> Matrix {
        match self {
            Layer::Linear(linear) => linear.forward(rows),
            Layer::BatchNorm(norm) => norm.forward(rows, batch.is_training),
            Layer::Leaky { slope, factors } => {
                *factors = rows.map(|value| if *value > 0.0 { 1.0 } else { *slope });
                rows * &*factors
            }
            Layer::Residual { inside, .. } => {
                let made = inside.forward(rows.clone(), batch);
                beside(&[made.view(), rows.view()])
            }
            Layer::Convolution(convolution) => convolution.forward(&rows),
            Layer::Transposed(transposed) => transposed.forward(rows),
            Layer::Flatten { pixels } => reshaped(rows, *pixels, true),
            Layer::Unflatten { pixels } => reshaped(rows, *pixels, false),
            Layer::Tanh { out } => {
                *out = rows.mapv_into(f32::tanh);
                out.clone()
            }
        }
    }

    fn backward(&mut self, slope: Matrix, learns: bool) -> Matrix {
        match self {
            Layer::Linear(linear) => linear.backward(&slope, learns),
            Layer::BatchNorm(norm) => norm.backward(slope, learns),
            Layer::Leaky { factors, .. } => slope * &*factors,
            Layer::Residual { inside, width } => {
                let mut out = inside.backward(slope.slice(s![.., ..*width]).to_owned(), learns);
                out += &slope.slice(s![.., *width..]);
                out
            }
            Layer::Convolution(convolution) => convolution.backward(&slope, learns),
            Layer::Transposed(transposed) => transposed.backward(&slope, learns),
            Layer::Flatten { pixels } => reshaped(slope, *pixels, false),
            Layer::Unflatten { pixels } => reshaped(slope, *pixels, true),
            Layer::Tanh { out } => {
                Zip::from(&slope).and(&*out).map_collect(|slope, out| slope * (1.0 - out * out))
            }
        }
    }

    fn parameters(&mut self) -> Vec<&mut Parameter> {
        match self {
            Layer::Linear(linear) => vec![&mut linear.weights, &mut linear.bias],
            Layer::BatchNorm(norm) => vec![&mut norm.scale, &mut norm.shift],
            Layer::Residual { inside, .. } => inside.parameters(),
            Layer::Convolution(convolution) => vec![&mut convolution.weights],
            Layer::Transposed(transposed) => vec![&mut transposed.weights],
            Layer::Leaky { .. } | Layer::Flatten { .. } | Layer::Unflatten { .. } | Layer::Tanh { .. } => {
                Vec::new()
            }
        }
    }

    fn averages(&mut self) -> Vec<&mut Matrix> {
        match self {
            Layer::BatchNorm(norm) => vec![&mut norm.mean, &mut norm.variance],
            Layer::Residual { inside, .. } => inside.averages(),
            _ => Vec::new(),
        }
    }
}

/// Rows of pixels side by side, or under each other.
fn reshaped(rows: Matrix, pixels: usize, flat: bool) -> Matrix {
    let (height, width) = rows.dim();
    let shape = if flat { (height / pixels, width * pixels) } else { (height * pixels, width / pixels) };
    rows.into_shape_with_order(shape).expect("a batch has whole images")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: Batch = Batch { is_training: true, chance: Chance { seed: 3, step: 0 }, pass: 0 };

    /// A loss that weighs every output differently.
    fn loss(out: &Matrix) -> f32 {
        out.iter().enumerate().map(|(at, value)| value * ((at % 7) as f32 - 2.5)).sum()
    }

    fn weights_of(out: &Matrix) -> Matrix {
        let weights = (0..out.len()).map(|at| (at % 7) as f32 - 2.5).collect();
        Matrix::from_shape_vec(out.raw_dim(), weights).unwrap()
    }

    /// Slopes by inputs and by parameters against differences of the loss.
    fn check(mut network: Network, rows: usize, columns: usize) {
        let input = BATCH.chance.normals(1, rows, columns);
        let out = network.forward(input.clone(), &BATCH);
        let by_input = network.backward(weights_of(&out), true);
        let by_parameter: Vec<Matrix> = network.parameters().iter().map(|of| of.gradient.clone()).collect();
        let step = 1e-2;
        let near = |what: &str, slope: f32, low: f32, high: f32| {
            let difference = (high - low) / (2.0 * step);
            assert!(
                (slope - difference).abs() < 0.03 * difference.abs().max(1.0),
                "{what}: {slope}, not {difference}"
            );
        };
        for at in [(0, 0), (rows - 1, columns - 1), (rows / 2, columns / 2)] {
            let at_step = |by: f32| {
                let mut moved = input.clone();
                moved[at] += by;
                loss(&network.clone().forward(moved, &BATCH))
            };
            near("input", by_input[at], at_step(-step), at_step(step));
        }
        for (place, slopes) in by_parameter.iter().enumerate() {
            let at = (slopes.nrows() / 2, slopes.ncols() - 1);
            let at_step = |by: f32| {
                let mut moved = network.clone();
                moved.parameters()[place].value[at] += by;
                loss(&moved.forward(input.clone(), &BATCH))
            };
            near("parameter", slopes[at], at_step(-step), at_step(step));
        }
    }

    /// Smooth ones: differences across a rectifier's kink say nothing.
    #[test]
    fn layers_have_the_slopes_of_their_outputs() {
        let mut chance = Stream::at(5, 0, 0, 0);
        let inside = vec![Layer::linear(6, 5, &mut chance), Layer::batch_norm(5), Layer::tanh()];
        let residual = Layer::Residual { inside: Network::new(inside), width: 5 };
        check(Network::new(vec![residual, Layer::linear(11, 3, &mut chance), Layer::tanh()]), 8, 6);
    }

    #[test]
    fn a_leaky_rectifier_keeps_a_share_of_what_is_negative() {
        let mut leaky = Network::new(vec![Layer::leaky(0.2)]);
        let out = leaky.forward(ndarray::array![[2.0, -3.0, 0.0]], &BATCH);
        assert_eq!(out, ndarray::array![[2.0, -0.6, 0.0]]);
        assert_eq!(leaky.backward(ndarray::array![[1.0, 1.0, 1.0]], true), ndarray::array![[1.0, 0.2, 0.2]]);
    }

    #[test]
    fn convolutions_have_the_slopes_of_their_outputs() {
        let mut chance = Stream::at(6, 0, 0, 0);
        let mut halving = Convolution::halving(4, (1, 3), &mut chance);
        let mut doubling = Transposed::doubling(2, (3, 2), &mut chance);
        // DCGAN's small weights would drown in the differences' error.
        halving.weights.value *= 20.0;
        doubling.weights.value *= 20.0;
        let layers = vec![
            Layer::Unflatten { pixels: 16 },
            Layer::Convolution(halving),
            Layer::Transposed(doubling),
            Layer::Flatten { pixels: 16 },
        ];
        check(Network::new(layers), 4, 16);
    }
}
