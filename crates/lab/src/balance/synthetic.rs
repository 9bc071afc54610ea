//! Synthetic frauds between real ones: SMOTE and its relatives, as the papers and imbalanced-learn have them.
//!
//! SMOTE: Chawla, Bowyer, Hall and Kegelmeyer, "SMOTE: Synthetic Minority Over-sampling Technique", 2002; with categories
//! (SMOTE-NC) section 6.1 of it. Borderline-SMOTE 1: Han, Wang and Mao, "Borderline-SMOTE: A New Over-Sampling Method in
//! Imbalanced Data Sets Learning", 2005. ADASYN: He, Bai, Garcia and Li, "ADASYN: Adaptive synthetic sampling approach for
//! imbalanced learning", 2008.

use rayon::prelude::*;

use super::neighbours::{Neighbours, Points};

/// Neighbours of any class among which a fraud counts as endangered (Borderline-SMOTE), as imbalanced-learn has it.
const BORDERLINE_NEIGHBOURS: usize = 10;

/// Where chance comes in.
pub trait Draws {
    /// A whole number below `count`.
    fn below(&mut self, count: usize) -> usize;
    /// A number in [0, 1).
    fn gap(&mut self) -> f64;
}

/// A synthetic row: a point of the line from one fraud to another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Synthetic {
    /// The fraud that it begins at.
    pub base: usize,
    /// The neighbour that it goes towards.
    pub towards: usize,
    /// How far it goes, 0 to 1.
    pub gap: f64,
}

impl Synthetic {
    /// A value of the row, between those of the two frauds. Missing where the first one's is; where only the other's is, the
    /// first one's.
    pub fn between(&self, base: f64, towards: f64) -> f64 {
        if towards.is_nan() { base } else { base + self.gap * (towards - base) }
    }
}

/// Why there can be no synthetic rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    /// Fewer frauds than neighbours.
    #[error("{frauds} frauds are too few for {neighbours} neighbours each")]
    TooFew {
        /// Frauds.
        frauds: usize,
        /// Neighbours that each should have.
        neighbours: usize,
    },
    /// No genuine transaction is near any fraud.
    #[error("no genuine transaction is among the neighbours of any fraud: there is no border to strengthen")]
    NoBorder,
}

/// `count` rows between frauds and their `k` nearest frauds, which are given as well.
///
/// # Errors
/// If there are no more than `k` frauds.
pub fn smote(
    frauds: &Points,
    count: usize,
    k: usize,
    draws: &mut impl Draws,
) -> Result<(Vec<Synthetic>, Vec<Vec<usize>>), Impossible> {
    let all: Vec<usize> = (0..frauds.len()).collect();
    let near = near_frauds(frauds, &all, k)?;
    Ok((between(&all, &near, count, k, draws), near))
}

/// As [`smote`], but only from frauds of whose nearest neighbours at least half, and not all, are genuine. `rows` are the
/// frauds' places among all points.
///
/// # Errors
/// As [`smote`], and if no fraud is endangered.
pub fn borderline_smote(
    points: &Points,
    is_fraud: &[bool],
    count: usize,
    k: usize,
    draws: &mut impl Draws,
) -> Result<Vec<Synthetic>, Impossible> {
    let rows = frauds_of(is_fraud);
    let genuine = genuine_near(points, is_fraud, &rows, BORDERLINE_NEIGHBOURS);
    let is_endangered = |fraud: &usize| {
        let genuine = genuine[*fraud];
        2 * genuine >= BORDERLINE_NEIGHBOURS && genuine < BORDERLINE_NEIGHBOURS
    };
    let endangered: Vec<usize> = (0..rows.len()).filter(is_endangered).collect();
    if endangered.is_empty() {
        return Err(Impossible::NoBorder);
    }
    let near = near_frauds(&points.select(rows), &endangered, k)?;
    Ok(between(&endangered, &near, count, k, draws))
}

/// About `count` rows, more of them from frauds with more genuine neighbours among their `k` nearest.
///
/// # Errors
/// As [`smote`], and if no fraud has a genuine neighbour.
pub fn adasyn(
    points: &Points,
    is_fraud: &[bool],
    count: usize,
    k: usize,
    draws: &mut impl Draws,
) -> Result<Vec<Synthetic>, Impossible> {
    let rows = frauds_of(is_fraud);
    let genuine = genuine_near(points, is_fraud, &rows, k);
    let shares: Vec<f64> = genuine.iter().map(|genuine| *genuine as f64 / k as f64).collect();
    let sum: f64 = shares.iter().sum();
    if sum == 0.0 {
        return Err(Impossible::NoBorder);
    }
    let all: Vec<usize> = (0..rows.len()).collect();
    let near = near_frauds(&points.select(rows), &all, k)?;
    let number = |share: &f64| (share / sum * count as f64).round_ties_even() as usize;
    let bases = all.iter().zip(&shares).flat_map(|(fraud, share)| std::iter::repeat_n(*fraud, number(share)));
    let drawn: Vec<(usize, usize)> = bases.map(|base| (base, draws.below(k))).collect();
    Ok(drawn
        .into_iter()
        .map(|(base, nth)| Synthetic { base, towards: near[base][nth], gap: draws.gap() })
        .collect())
}

/// The category that is most frequent among some; of several such, a drawn one. Missing is a category.
pub fn most_frequent(categories: impl Iterator<Item = f64>, draws: &mut impl Draws) -> f64 {
    let mut counts: Vec<(f64, usize)> = Vec::new();
    for category in categories {
        match counts.iter_mut().find(|(known, _)| known.total_cmp(&category).is_eq()) {
            Some((_, count)) => *count += 1,
            None => counts.push((category, 1)),
        }
    }
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0);
    counts.retain(|(_, count)| *count == most);
    counts.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    match counts.len() {
        0 => f64::NAN,
        1 => counts[0].0,
        several => counts[draws.below(several)].0,
    }
}

/// The rows of frauds.
fn frauds_of(is_fraud: &[bool]) -> Vec<usize> {
    is_fraud.iter().enumerate().filter(|(_, fraud)| **fraud).map(|(row, _)| row).collect()
}

/// For some of the frauds the `k` frauds that are nearest, without themselves.
fn near_frauds(frauds: &Points, some: &[usize], k: usize) -> Result<Vec<Vec<usize>>, Impossible> {
    if frauds.len() <= k {
        return Err(Impossible::TooFew { frauds: frauds.len(), neighbours: k });
    }
    let tree = Neighbours::of(frauds);
    Ok(some.par_iter().map(|fraud| others(&tree, frauds.point(*fraud), *fraud, k)).collect())
}

/// For each fraud how many of its `count` nearest neighbours are genuine.
fn genuine_near(points: &Points, is_fraud: &[bool], rows: &[usize], count: usize) -> Vec<usize> {
    let tree = Neighbours::of(points);
    let genuine = |row: &usize| {
        let near = others(&tree, points.point(*row), *row, count);
        near.into_iter().filter(|row| !is_fraud[*row]).count()
    };
    rows.par_iter().map(genuine).collect()
}

/// The nearest points but the point itself.
fn others(tree: &Neighbours, point: &[f64], itself: usize, count: usize) -> Vec<usize> {
    let mut near = tree.nearest(point, count + 1);
    near.retain(|row| *row != itself);
    near.truncate(count);
    near
}

/// Draws a base among `bases` and one of its neighbours, then how far to go. `near` is by the place in `bases`.
fn between(
    bases: &[usize],
    near: &[Vec<usize>],
    count: usize,
    k: usize,
    draws: &mut impl Draws,
) -> Vec<Synthetic> {
    let drawn: Vec<usize> = (0..count).map(|_| draws.below(bases.len() * k)).collect();
    let synthetic = |place: usize| Synthetic {
        base: bases[place / k],
        towards: near[place / k][place % k],
        gap: draws.gap(),
    };
    drawn.into_iter().map(synthetic).collect()
}
