//! Rows as points of a plane: principal components, and t-SNE.

use rayon::prelude::*;

use crate::random::Stream;
use crate::synth::table::{Column, Kind, Table};

/// Categories with more words than this have the rarer ones left out of a projection.
const WORDS_MAX: usize = 10;

/// Points of the first two principal components of real rows.
#[derive(Debug, Clone)]
pub struct Principal {
    /// Real rows.
    pub real: Vec<[f64; 2]>,
    /// Synthetic rows, in the components of the real ones.
    pub synthetic: Vec<[f64; 2]>,
    /// Shares of the real rows' variance that the two components hold.
    pub explained: [f64; 2],
}

/// Principal components (Pearson, 1901) of columns in units of the real ones' standard deviation: numbers with missing ones at
/// the mean, words as one column for each of the ten most frequent. `None` if fewer than two columns vary.
pub fn principal(real: &Table, synthetic: &Table) -> Option<Principal> {
    let (mut columns, mut made): (Vec<Vec<f64>>, Vec<Vec<f64>>) =
        real.columns.iter().zip(&synthetic.columns).flat_map(|(real, made)| spread(real, made)).unzip();
    let mut varied = Vec::new();
    for (real, made) in columns.iter_mut().zip(&mut made) {
        varied.push(standardise(real, made));
    }
    let keep = |columns: Vec<Vec<f64>>| -> Vec<Vec<f64>> {
        columns.into_iter().zip(&varied).filter(|(_, varies)| **varies).map(|(column, _)| column).collect()
    };
    let (columns, made) = (keep(columns), keep(made));
    if columns.len() < 2 {
        return None;
    }
    let (values, vectors) = eigen(covariance(&columns));
    let total: f64 = values.iter().sum();
    let place = |columns: &[Vec<f64>], row: usize, component: &[f64]| -> f64 {
        columns.iter().zip(component).map(|(column, weight)| column[row] * weight).sum()
    };
    let points = |columns: &[Vec<f64>]| -> Vec<[f64; 2]> {
        let rows = 0..columns[0].len();
        rows.map(|row| [place(columns, row, &vectors[0]), place(columns, row, &vectors[1])]).collect()
    };
    let explained = [values[0] / total, values[1] / total];
    Some(Principal { real: points(&columns), synthetic: points(&made), explained })
}

/// A number as it is; words as zeros and ones.
fn spread(real: &Column, made: &Column) -> Vec<(Vec<f64>, Vec<f64>)> {
    if real.kind != Kind::Category {
        return vec![(real.values.clone(), made.values.clone())];
    }
    let mut counts = vec![(0_usize, 0_usize); real.words.len()];
    counts.iter_mut().enumerate().for_each(|(word, count)| count.1 = word);
    real.values.iter().filter(|value| !value.is_nan()).for_each(|value| counts[*value as usize].0 += 1);
    counts.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    let is = |values: &[f64], word: usize| -> Vec<f64> {
        values.iter().map(|value| f64::from(u8::from(*value == word as f64))).collect()
    };
    counts
        .iter()
        .take(WORDS_MAX)
        .map(|(_, word)| (is(&real.values, *word), is(&made.values, *word)))
        .collect()
}

/// Brings both to mean 0 and deviation 1 of the real values, missing ones to 0. False if the real ones do not vary.
fn standardise(real: &mut [f64], made: &mut [f64]) -> bool {
    let known: Vec<f64> = real.iter().copied().filter(|value| !value.is_nan()).collect();
    let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
    let variance = known.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / known.len().max(1) as f64;
    let deviation = variance.sqrt();
    for value in real.iter_mut().chain(made) {
        *value = if value.is_nan() { 0.0 } else { (*value - mean) / deviation };
    }
    deviation > 1e-12 * mean.abs()
}

fn covariance(columns: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let rows = columns[0].len() as f64;
    let product =
        |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() / (rows - 1.0).max(1.0);
    columns.iter().map(|a| columns.iter().map(|b| product(a, b)).collect()).collect()
}

/// Sweeps of rotations; a dozen are enough for any matrix of a few hundred columns.
const SWEEPS: usize = 60;

/// Eigenvalues, the largest first, and their vectors of a symmetric matrix, by Jacobi's rotations (1846). A vector points to
/// where the largest of its entries is positive.
fn eigen(mut matrix: Vec<Vec<f64>>) -> (Vec<f64>, Vec<Vec<f64>>) {
    let size = matrix.len();
    let mut vectors: Vec<Vec<f64>> =
        (0..size).map(|i| (0..size).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    for _ in 0..SWEEPS {
        let off: f64 =
            (0..size).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| matrix[i][j].powi(2)).sum();
        if off < 1e-22 {
            break;
        }
        for p in 0..size {
            for q in p + 1..size {
                rotate(&mut matrix, &mut vectors, p, q);
            }
        }
    }
    let mut order: Vec<usize> = (0..size).collect();
    order.sort_by(|a, b| matrix[*b][*b].total_cmp(&matrix[*a][*a]));
    let values = order.iter().map(|at| matrix[*at][*at].max(0.0)).collect();
    let directed = |at: &usize| {
        let vector: Vec<f64> = vectors.iter().map(|row| row[*at]).collect();
        let largest = vector.iter().copied().fold(0.0, |a: f64, b| if b.abs() > a.abs() { b } else { a });
        vector.iter().map(|value| value * largest.signum()).collect()
    };
    (values, order.iter().map(directed).collect())
}

/// Turns the plane of two columns until they are uncorrelated.
fn rotate(matrix: &mut [Vec<f64>], vectors: &mut [Vec<f64>], p: usize, q: usize) {
    if matrix[p][q].abs() < 1e-300 {
        return;
    }
    let theta = (matrix[q][q] - matrix[p][p]) / (2.0 * matrix[p][q]);
    let tangent = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let cosine = 1.0 / (tangent * tangent + 1.0).sqrt();
    let sine = tangent * cosine;
    let turn = |row: &mut Vec<f64>| {
        let (a, b) = (row[p], row[q]);
        (row[p], row[q]) = (cosine * a - sine * b, sine * a + cosine * b);
    };
    matrix.iter_mut().for_each(turn);
    for column in 0..matrix.len() {
        let (a, b) = (matrix[p][column], matrix[q][column]);
        matrix[p][column] = cosine * a - sine * b;
        matrix[q][column] = sine * a + cosine * b;
    }
    vectors.iter_mut().for_each(turn);
}

/// Neighbours that a point has about it, so to speak.
const PERPLEXITY: f64 = 30.0;
const ITERATIONS: usize = 500;
/// So long neighbours are pulled together harder, and momentum is low.
const EARLY: usize = 100;
const EXAGGERATION: f64 = 12.0;

/// Places points so that those which are near each other by `squared_distances` (all by all) stay near: t-SNE, exactly (van der
/// Maaten and Hinton, "Visualizing data using t-SNE", 2008), with the gains and momentum of its authors' program and the
/// learning rate of Belkina and others, 2019. The same points on any number of threads.
pub fn t_sne(squared_distances: &[Vec<f64>], seed: u64) -> Vec<[f64; 2]> {
    let size = squared_distances.len();
    let affinities = affinities(squared_distances);
    let mut chance = Stream::at(seed, 0x7453_4e45, size as u64, 0);
    let mut places: Vec<[f64; 2]> =
        (0..size).map(|_| chance.normal_pair()).map(|(x, y)| [1e-4 * x, 1e-4 * y]).collect();
    let mut steps = vec![[0.0_f64; 2]; size];
    let mut gains = vec![[1.0_f64; 2]; size];
    let rate = (size as f64 / EXAGGERATION).max(50.0);
    for iteration in 0..ITERATIONS {
        let (exaggeration, momentum) = if iteration < EARLY { (EXAGGERATION, 0.5) } else { (1.0, 0.8) };
        let slopes = slopes(&affinities, &places, exaggeration);
        for row in 0..size {
            for axis in 0..2 {
                let (slope, step) = (slopes[row][axis], &mut steps[row][axis]);
                let gain = &mut gains[row][axis];
                *gain = if (slope > 0.0) == (*step > 0.0) { (*gain * 0.8).max(0.01) } else { *gain + 0.2 };
                *step = momentum * *step - rate * *gain * slope;
                places[row][axis] += *step;
            }
        }
    }
    places
}

/// How much more often than chance two points are neighbours, in a sum of 1.
fn affinities(squared_distances: &[Vec<f64>]) -> Vec<Vec<f32>> {
    let size = squared_distances.len();
    let perplexity = PERPLEXITY.min((size as f64 - 1.0) / 3.0).max(1.0);
    let one_sided: Vec<Vec<f64>> =
        (0..size).into_par_iter().map(|row| conditional(&squared_distances[row], row, perplexity)).collect();
    let both =
        |i: usize, j: usize| ((one_sided[i][j] + one_sided[j][i]) / (2.0 * size as f64)).max(1e-12) as f32;
    (0..size).into_par_iter().map(|i| (0..size).map(|j| both(i, j)).collect()).collect()
}

/// The chance of each point to be picked as a neighbour of one, at the width that gives the perplexity (by bisection).
fn conditional(squared: &[f64], own: usize, perplexity: f64) -> Vec<f64> {
    let (mut low, mut high, mut beta) = (0.0, f64::INFINITY, 1.0);
    let nearest = squared
        .iter()
        .enumerate()
        .filter(|(at, _)| *at != own)
        .map(|(_, d)| *d)
        .fold(f64::INFINITY, f64::min);
    let mut weights = vec![0.0; squared.len()];
    for _ in 0..64 {
        let (mut sum, mut moment) = (0.0, 0.0);
        for (at, (weight, distance)) in weights.iter_mut().zip(squared).enumerate() {
            let beyond = distance - nearest;
            *weight = if at == own { 0.0 } else { libm::exp(-beta * beyond) };
            sum += *weight;
            moment += *weight * beyond;
        }
        weights.iter_mut().for_each(|weight| *weight /= sum);
        let entropy = libm::log(sum) + beta * moment / sum;
        let excess = entropy - libm::log(perplexity);
        if excess.abs() < 1e-5 {
            break;
        }
        if excess > 0.0 {
            low = beta
        } else {
            high = beta
        }
        beta = if high.is_infinite() { beta * 2.0 } else { f64::midpoint(low, high) };
    }
    weights
}

/// The gradient for each point.
fn slopes(affinities: &[Vec<f32>], places: &[[f64; 2]], exaggeration: f64) -> Vec<[f64; 2]> {
    /// Sums over the other points: of the weights, and of attraction and repulsion along both axes.
    type Sums = (f64, [f64; 2], [f64; 2]);
    let of = |row: usize| -> Sums {
        let ([x, y], mut sums) = (places[row], (-1.0, [0.0; 2], [0.0; 2]));
        for (affinity, place) in affinities[row].iter().zip(places) {
            let (dx, dy) = (x - place[0], y - place[1]);
            let weight = 1.0 / (1.0 + dx * dx + dy * dy);
            let (pull, push) = (f64::from(*affinity) * weight, weight * weight);
            sums.0 += weight;
            sums.1[0] += pull * dx;
            sums.1[1] += pull * dy;
            sums.2[0] += push * dx;
            sums.2[1] += push * dy;
        }
        sums
    };
    let sums: Vec<Sums> = (0..places.len()).into_par_iter().map(of).collect();
    // Added in the order of rows, so that threads cannot show.
    let total: f64 = sums.iter().map(|sums| sums.0).sum();
    let slope =
        |(_, pull, push): &Sums| [0, 1].map(|axis| 4.0 * (exaggeration * pull[axis] - push[axis] / total));
    sums.iter().map(slope).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value;

    use super::*;
    use crate::synth::read::read_columns;

    fn fixture(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/synth").join(name)
    }

    #[test]
    fn components_are_those_of_scikit_learn() {
        let text = std::fs::read_to_string(fixture("expected.json")).unwrap();
        let expected = &serde_json::from_str::<Value>(&text).unwrap()["principal"];
        let wanted: Vec<&str> =
            expected["columns"].as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect();
        let of = |name: &str| {
            let table = read_columns(&fixture(name), Some("is_fraud")).unwrap();
            table.without(|column| !wanted.contains(&column.name.as_str()))
        };
        let found = principal(&of("real.parquet"), &of("synthetic.parquet")).unwrap();
        for (name, points) in [("real", &found.real), ("synthetic", &found.synthetic)] {
            for (point, expected) in points.iter().zip(expected[name].as_array().unwrap()) {
                for axis in 0..2 {
                    let expected = expected[axis].as_f64().unwrap();
                    assert!(
                        (point[axis] - expected).abs() < 1e-9,
                        "{name}: {} and not {expected}",
                        point[axis]
                    );
                }
            }
        }
        for (axis, share) in found.explained.iter().enumerate() {
            assert!((share - expected["explained"][axis].as_f64().unwrap()).abs() < 1e-9);
        }
    }

    /// Three heaps far from each other in ten dimensions stay three heaps.
    #[test]
    fn t_sne_keeps_heaps_apart() {
        let mut chance = Stream::at(1, 2, 3, 4);
        let rows: Vec<Vec<f64>> = (0..150)
            .map(|row| (0..10).map(|axis| 20.0 * f64::from(axis == row % 3) + chance.normal()).collect())
            .collect();
        let squared = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        let all: Vec<Vec<f64>> = rows.iter().map(|a| rows.iter().map(|b| squared(a, b)).collect()).collect();
        let places = t_sne(&all, 7);
        let nearest = |row: usize| {
            let others = (0..150).filter(|other| *other != row);
            others.min_by(|a, b| {
                squared(&places[row], &places[*a]).total_cmp(&squared(&places[row], &places[*b]))
            })
        };
        let strays = (0..150).filter(|row| nearest(*row).unwrap() % 3 != row % 3).count();
        assert_eq!(strays, 0);
        assert_eq!(places, t_sne(&all, 7), "the same seed gives the same picture");
    }
}
