//! Wasserstein GANs with gradient penalty: CTGAN, and a plain one that is given the class.
//!
//! CTGAN (Xu et al., 2019): rows are coded by modes; each example comes with a condition, one choice of one discrete column,
//! drawn by the logarithm of its frequency, and a real row that meets it (training by sampling); the critic sees ten rows at a
//! time (PacGAN, Lin et al., 2018). Sizes, rates and losses are those of the `ctgan` package.
//!
//! The plain one codes numbers by ranks, always conditions on the class, both as often, and gives the critic five steps for
//! each of the generator's.

use ndarray::{Axis, s};

use super::super::encode::{Encoder, Feature};
use super::super::network::{Adam, Batch, Chance, Critic, Judged, Layer, Matrix, Network, Parameter, beside};
use super::{Adversary, Lessons, Losses, Recipe, purpose};
use crate::random::Stream;

const NOISE: usize = 128;
const HIDDEN: usize = 256;
/// Softness of choices while training (Jang et al., 2017).
const TEMPERATURE: f32 = 0.2;
const PENALTY: f32 = 10.0;
const GENERATOR_DECAY: f32 = 1e-6;

/// How conditions are drawn and who sees them.
#[derive(Debug, Clone)]
struct Conditions {
    /// Features that conditions are about, and where the choices of each begin among a condition's cells.
    features: Vec<(usize, usize)>,
    width: usize,
    /// Whether frequent choices are drawn more often, by the logarithm.
    by_frequency: bool,
    /// Whether the class is given to the generator, not made by it.
    gives_class: bool,
}

/// A generator and its critic.
pub(in crate::synth) struct Wasserstein {
    generator: Network,
    critic: Critic,
    conditions: Conditions,
    recipe: Recipe,
    /// Rows that the critic sees at a time.
    pack: usize,
    critic_steps: u64,
    of_generator: usize,
    seed: u64,
}

/// Conditions of a batch, and real rows that meet them.
struct Asked {
    cells: Matrix,
    /// For each row the feature and the code that it asks for.
    of: Vec<Option<(usize, usize)>>,
    rows: Vec<usize>,
}

impl Wasserstein {
    pub(in crate::synth) fn ctgan(encoder: &Encoder, recipe: Recipe, seed: u64) -> Wasserstein {
        let discrete = encoder.features.iter().enumerate().filter(|(_, feature)| feature.is_choice());
        let conditions = Conditions::about(discrete, true, false);
        Wasserstein::new(encoder, conditions, recipe, (10, 0.5, 1), seed)
    }

    pub(in crate::synth) fn wgan_gp(encoder: &Encoder, recipe: Recipe, seed: u64) -> Wasserstein {
        let label = encoder.label().map(|label| (encoder.features.len() - 1, label));
        let conditions = Conditions::about(label.into_iter(), false, true);
        Wasserstein::new(encoder, conditions, recipe, (1, 0.0, 5), seed)
    }

    fn new(
        encoder: &Encoder,
        conditions: Conditions,
        recipe: Recipe,
        (pack, dropout, critic_steps): (usize, f32, u64),
        seed: u64,
    ) -> Wasserstein {
        let mut chance = Stream::at(seed, purpose::BEGINNING, 0, 0);
        let made = conditions.made_width(encoder);
        let input = NOISE + conditions.width;
        let mut generator = Network::new(vec![
            Layer::residual(input, HIDDEN, &mut chance),
            Layer::residual(input + HIDDEN, HIDDEN, &mut chance),
            Layer::linear(input + 2 * HIDDEN, made, &mut chance),
        ]);
        let seen = encoder.width + if conditions.gives_class { 0 } else { conditions.width };
        let critic = Critic::new(pack * seen, &[HIDDEN, HIDDEN], dropout, &mut chance);
        let of_generator = generator.parameters().len();
        let batch = (recipe.batch / pack).max(1) * pack;
        let recipe = Recipe { batch, ..recipe };
        Wasserstein { generator, critic, conditions, recipe, pack, critic_steps, of_generator, seed }
    }

    fn adam(&self, decay: f32) -> Adam {
        Adam { rate: self.recipe.learning_rate, betas: (0.5, 0.9), decay }
    }

    fn learn_generator(
        &mut self,
        lessons: &Lessons,
        (made, asked): (Made, Asked),
        batch: &Batch,
    ) -> (f32, f32) {
        let view = self.view();
        let seen = view.of(&made.codes, &asked.cells);
        let count = seen.nrows() as f32;
        let judged = self.critic.forward(seen, batch);
        let slope = self.critic.backward(Matrix::from_elem(judged.raw_dim(), -1.0 / count));
        let slope =
            slope.into_shape_with_order((self.recipe.batch, view.width)).expect("packs are whole rows");
        let mut slope = made.backward(&slope, lessons.encoder, self.conditions.made_width(lessons.encoder));
        let missed =
            if self.conditions.gives_class { 0.0 } else { made.missed(&asked, lessons.encoder, &mut slope) };
        self.generator.learn(slope);
        (-judged.sum() / count, missed)
    }

    fn view(&self) -> View {
        View {
            pack: self.pack,
            width: self.critic.inputs() / self.pack,
            gives_class: self.conditions.gives_class,
        }
    }
}

/// What the critic sees.
#[derive(Clone, Copy)]
struct View {
    pack: usize,
    /// Cells of one row.
    width: usize,
    gives_class: bool,
}

impl View {
    /// Codes and conditions, as many rows to a row as the critic sees at a time.
    fn of(&self, codes: &Matrix, cells: &Matrix) -> Matrix {
        let has_class = self.gives_class && codes.ncols() == self.width;
        let given = if has_class { cells.slice(s![.., ..0]) } else { cells.view() };
        let rows = beside(&[codes.view(), given]);
        let shape = (rows.nrows() / self.pack, rows.ncols() * self.pack);
        rows.into_shape_with_order(shape).expect("batches are whole packs")
    }
}

/// Made rows, with what was asked of them.
fn fake(
    generator: &mut Network,
    conditions: &Conditions,
    lessons: &Lessons,
    rows: usize,
    batch: &Batch,
) -> (Made, Asked) {
    let asked = conditions.draw(lessons, rows, batch);
    let pass = purpose::PASS * batch.pass;
    let noise = batch.chance.normals(pass + purpose::NOISE, rows, NOISE);
    let raw = generator.forward(beside(&[noise.view(), asked.cells.view()]), batch);
    let noise = batch.chance.gumbels(pass + purpose::CHOICES, raw.nrows(), raw.ncols());
    (Made::activate(raw, noise, lessons.encoder, conditions.gives_class), asked)
}

fn learn_critic(
    critic: &mut Critic,
    view: View,
    lessons: &Lessons,
    (made, asked): &(Made, Asked),
    batch: &Batch,
) -> Judged {
    let made = view.of(&made.codes, &asked.cells);
    let real = view.of(&lessons.select(&asked.rows), &asked.cells);
    let mut mixed = made.clone();
    for (row, (mut mixed, real)) in mixed.rows_mut().into_iter().zip(real.rows()).enumerate() {
        let share = batch.chance.stream(purpose::PASS * batch.pass + purpose::MIXING, row).uniform() as f32;
        mixed.zip_mut_with(&real, |made, real| *made += share * (real - *made));
    }
    critic.learn(&real, &made, &mixed, PENALTY, batch)
}

impl Adversary for Wasserstein {
    /// The generator stands still while the critic learns, so the rows of the next pass are made meanwhile.
    fn learn(&mut self, lessons: &Lessons, step: u64) -> Losses {
        let chance = Chance { seed: self.seed, step: step as i64 };
        let batch = |pass: u64| Batch { is_training: true, chance, pass };
        let (view, adam, rows) = (self.view(), self.adam(0.0), self.recipe.batch);
        let mut losses = Losses::default();
        let mut made = fake(&mut self.generator, &self.conditions, lessons, rows, &batch(0));
        for pass in 0..self.critic_steps {
            let passed = step * self.critic_steps + pass;
            let Wasserstein { generator, critic, conditions, .. } = self;
            let learn = || {
                let judged = learn_critic(critic, view, lessons, &made, &batch(pass));
                adam.step(critic.parameters(), passed + 1);
                judged
            };
            let make = || fake(generator, conditions, lessons, rows, &batch(pass + 1));
            let (judged, next) = rayon::join(learn, make);
            (losses.critic, losses.penalty) = (judged.loss, judged.penalty);
            made = next;
        }
        (losses.generator, losses.condition) = self.learn_generator(lessons, made, &batch(self.critic_steps));
        let adam = self.adam(GENERATOR_DECAY);
        adam.step(self.generator.parameters(), step + 1);
        losses
    }

    fn make(&mut self, encoder: &Encoder, classes: &[bool], chance: Chance) -> Matrix {
        let batch = Batch { is_training: false, chance, pass: 0 };
        let noise = chance.normals(purpose::NOISE, classes.len(), NOISE);
        let cells = self.conditions.of_classes(encoder, classes);
        let input = beside(&[noise.view(), cells.view()]);
        let mut raw = self.generator.forward(input, &batch);
        for feature in &encoder.features {
            if let Some(at) = feature.scalar.filter(|at| *at < raw.ncols()) {
                raw.column_mut(at).mapv_inplace(f32::tanh);
            }
        }
        if !self.conditions.gives_class {
            return raw;
        }
        let given = if encoder.has_label { cells.view() } else { cells.slice(s![.., ..0]) };
        beside(&[raw.view(), given])
    }

    fn parameters(&mut self) -> Vec<&mut Parameter> {
        let mut all = self.generator.parameters();
        all.extend(self.critic.parameters());
        all
    }

    fn of_generator(&mut self) -> usize {
        self.of_generator
    }

    fn generator_averages(&mut self) -> Vec<&mut Matrix> {
        self.generator.averages()
    }

    fn averages(&mut self) -> Vec<&mut Matrix> {
        self.generator.averages()
    }
}

impl Conditions {
    fn about<'a>(
        features: impl Iterator<Item = (usize, &'a Feature)>,
        by_frequency: bool,
        gives_class: bool,
    ) -> Conditions {
        let mut width = 0;
        let places = features.map(|(at, feature)| {
            let start = width;
            width += feature.choices.len();
            (at, start)
        });
        let features = places.collect();
        Conditions { features, width, by_frequency, gives_class }
    }

    /// Codes that the generator makes of a row.
    fn made_width(&self, encoder: &Encoder) -> usize {
        let given = if self.gives_class { encoder.label().map_or(0, |label| label.choices.len()) } else { 0 };
        encoder.width - given
    }

    fn draw(&self, lessons: &Lessons, rows: usize, batch: &Batch) -> Asked {
        let mut asked = Asked { cells: Matrix::zeros((rows, self.width)), of: Vec::new(), rows: Vec::new() };
        for row in 0..rows {
            let mut chance = batch.chance.stream(purpose::PASS * batch.pass + purpose::ROWS, row);
            if self.features.is_empty() {
                asked.of.push(None);
                asked.rows.push(chance.below(lessons.codes.nrows() as u32) as usize);
                continue;
            }
            let (feature, start) = self.features[chance.below(self.features.len() as u32) as usize];
            let lists = &lessons.by_choice[feature];
            let weight = |list: &Vec<u32>| match (list.is_empty(), self.by_frequency) {
                (true, _) => 0.0,
                (_, true) => ((list.len() + 1) as f64).ln(),
                (_, false) => 1.0,
            };
            let weights: Vec<(usize, f64)> = lists.iter().map(weight).enumerate().collect();
            let choice = chance.weighted(&weights);
            let list = &lists[choice];
            asked.cells[[row, start + choice]] = 1.0;
            asked.of.push(Some((feature, lessons.encoder.features[feature].choices.start + choice)));
            asked.rows.push(list[chance.below(list.len() as u32) as usize] as usize);
        }
        asked
    }

    /// Conditions that ask for classes and nothing else.
    fn of_classes(&self, encoder: &Encoder, classes: &[bool]) -> Matrix {
        let mut cells = Matrix::zeros((classes.len(), self.width));
        let label = encoder.has_label.then(|| encoder.features.len() - 1);
        let found = self.features.iter().find(|(feature, _)| Some(*feature) == label);
        if let Some((_, start)) = found {
            for (row, fraud) in classes.iter().enumerate() {
                cells[[row, start + usize::from(*fraud)]] = 1.0;
            }
        }
        cells
    }
}

/// A batch that the generator made.
struct Made {
    /// Logits, before any noise.
    raw: Matrix,
    /// What the critic sees: numbers within -1 and 1, choices that sum to 1.
    codes: Matrix,
}

impl Made {
    fn activate(raw: Matrix, noise: Matrix, encoder: &Encoder, gives_class: bool) -> Made {
        let mut codes = Matrix::zeros((raw.nrows(), raw.ncols()));
        for feature in of_width(encoder, raw.ncols()) {
            if let Some(at) = feature.scalar {
                codes.column_mut(at).assign(&raw.column(at).mapv(f32::tanh));
            }
            let choices = feature.choices.clone();
            if !choices.is_empty() {
                let soft = &raw.slice(s![.., choices.clone()]) + &noise.slice(s![.., choices.clone()]);
                codes.slice_mut(s![.., choices]).assign(&softmax(soft / TEMPERATURE));
            }
        }
        debug_assert!(gives_class || codes.ncols() == encoder.width);
        Made { raw, codes }
    }

    /// From the slope by what the critic sees to that by the generator's output.
    fn backward(&self, slope: &Matrix, encoder: &Encoder, width: usize) -> Matrix {
        let mut out = Matrix::zeros((slope.nrows(), width));
        for feature in of_width(encoder, width) {
            if let Some(at) = feature.scalar {
                let column = ndarray::Zip::from(slope.column(at))
                    .and(self.codes.column(at))
                    .map_collect(|slope, code| slope * (1.0 - code * code));
                out.column_mut(at).assign(&column);
            }
            let choices = feature.choices.clone();
            if !choices.is_empty() {
                let (slope, codes) =
                    (slope.slice(s![.., choices.clone()]), self.codes.slice(s![.., choices.clone()]));
                let along = (&slope * &codes).sum_axis(Axis(1)).insert_axis(Axis(1));
                out.slice_mut(s![.., choices]).assign(&(&codes * &(&slope - &along) / TEMPERATURE));
            }
        }
        out
    }

    /// Cross-entropy of what conditions asked for, in the mean over all rows; its slope is added.
    fn missed(&self, asked: &Asked, encoder: &Encoder, slope: &mut Matrix) -> f32 {
        let rows = asked.of.len() as f32;
        let mut sum = 0.0;
        for (row, of) in asked.of.iter().enumerate() {
            let Some((feature, code)) = of else { continue };
            let choices = encoder.features[*feature].choices.clone();
            let shares = softmax(self.raw.slice(s![row..=row, choices.clone()]).to_owned());
            for (at, share) in choices.zip(shares.iter()) {
                slope[[row, at]] += (share - f32::from(u8::from(at == *code))) / rows;
            }
            sum -= shares[[0, code - encoder.features[*feature].choices.start]].max(1e-12).ln();
        }
        sum / rows
    }
}

/// Features whose codes lie within the first `width`.
fn of_width(encoder: &Encoder, width: usize) -> impl Iterator<Item = &Feature> {
    let end = |feature: &Feature| feature.choices.end.max(feature.scalar.map_or(0, |at| at + 1));
    encoder.features.iter().filter(move |feature| end(feature) <= width)
}

/// Rows that sum to 1.
fn softmax(mut rows: Matrix) -> Matrix {
    for mut row in rows.rows_mut() {
        let most = row.fold(f32::NEG_INFINITY, |most, value| most.max(*value));
        row.mapv_inplace(|value| (value - most).exp());
        let sum = row.sum();
        row /= sum;
    }
    rows
}
