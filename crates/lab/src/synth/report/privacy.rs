//! Whether synthetic rows are real ones, or give away which rows they were made from.

use std::collections::HashMap;

use anyhow::Result;
use serde::Serialize;

use super::sample::{by_itself, draw};
use super::space::{Nearest, Space};
use crate::evaluate::metrics::Ranking;
use crate::synth::table::{Kind, Table};

/// Rows whose nearest ones are looked for, at most.
pub const ROWS_ASKED_MAX: usize = 2_000;
/// Rows among which they are looked for, at most. They are many, because a copy is found only if its original is among them.
pub const ROWS_SEARCHED_MAX: usize = 50_000;
/// Decimals to which numbers count as equal.
const DIGITS: i32 = 6;

/// A figure of synthetic rows beside that of real rows which the compared ones do not hold.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Beside {
    /// Of synthetic rows.
    pub synthetic: f64,
    /// Of other real rows.
    pub baseline: f64,
    /// One by the other.
    pub ratio: f64,
}

/// How near synthetic rows are to real ones. Real rows that were held out are as near as they should be; where there are none,
/// each real row is, to all others.
#[derive(Debug, Clone, Serialize)]
pub struct Privacy {
    /// Distance to the closest record: median.
    pub distance_to_closest_record: Beside,
    /// The same: 5th percentile, where copies would be.
    pub distance_to_closest_record_p5: Beside,
    /// Distance to the nearest real row by that to the next: median. Near 0, a row belongs to one real row.
    pub nearest_neighbour_ratio: Beside,
    /// The same: 5th percentile.
    pub nearest_neighbour_ratio_p5: Beside,
    /// Share of rows that equal a real row in all columns but entities and times.
    pub exact_copies: Beside,
    /// The same with the time of day and the weekday: what is left where few columns tell rows apart.
    pub exact_copies_at_the_same_time: Beside,
    /// How well the distance to the closest synthetic row tells rows that the generator learnt from, from rows that it did not
    /// see: area under the ROC curve, 0.5 is chance. Needs rows that it did not see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub membership_inference_auc: Option<f64>,
    /// Distances of rows, for drawing: synthetic, other real rows.
    #[serde(skip)]
    pub distances: [Vec<f64>; 2],
}

/// Measures how near synthetic rows are to `real` ones, beside those held out.
///
/// # Errors
/// If there are no rows.
pub fn privacy(real: &Table, held_out: Option<&Table>, synthetic: &Table, seed: u64) -> Result<Privacy> {
    let (dated, dated_out, dated_made) = (real, held_out, synthetic);
    let (real, synthetic) = (&by_itself(dated), &by_itself(dated_made));
    let held_out = dated_out.map(by_itself);
    let held_out = held_out.as_ref();
    let space = Space::of(real);
    let known = draw(real.len(), ROWS_SEARCHED_MAX, seed, 31);
    let searched = space.points(real, &known);
    let asked = |table: &Table, purpose: u64| draw(table.len(), ROWS_ASKED_MAX, seed, purpose);
    let made = space.points(synthetic, &asked(synthetic, 32)).nearest_of(&searched, None);
    let fresh = match held_out {
        Some(others) => space.points(others, &asked(others, 33)).nearest_of(&searched, None),
        None => {
            let own = draw(known.len(), ROWS_ASKED_MAX, seed, 33);
            let rows: Vec<usize> = own.iter().map(|at| known[*at]).collect();
            space.points(real, &rows).nearest_of(&searched, Some(&own))
        }
    };
    let beside = |at: f64, of: fn(&[Nearest]) -> Vec<f64>| {
        beside_of(quantile(&of(&made), at), quantile(&of(&fresh), at))
    };
    let attack = |others: &Table| membership(&space, (real, others), synthetic, seed);
    Ok(Privacy {
        distance_to_closest_record: beside(0.5, distances),
        distance_to_closest_record_p5: beside(0.05, distances),
        nearest_neighbour_ratio: beside(0.5, ratios),
        nearest_neighbour_ratio_p5: beside(0.05, ratios),
        exact_copies: copies(dated, dated_out, dated_made),
        exact_copies_at_the_same_time: copies(real, held_out, synthetic),
        membership_inference_auc: held_out.map(attack).transpose()?,
        distances: [distances(&made), distances(&fresh)],
    })
}

fn beside_of(synthetic: f64, baseline: f64) -> Beside {
    Beside { synthetic, baseline, ratio: synthetic / baseline }
}

fn distances(nearest: &[Nearest]) -> Vec<f64> {
    nearest.iter().map(|nearest| nearest.first.sqrt()).collect()
}

/// Two copies of one row are as far as each other: 1.
fn ratios(nearest: &[Nearest]) -> Vec<f64> {
    let ratio =
        |nearest: &Nearest| if nearest.second > 0.0 { (nearest.first / nearest.second).sqrt() } else { 1.0 };
    nearest.iter().filter(|nearest| nearest.second.is_finite()).map(ratio).collect()
}

/// The value below which a share lies, between the two nearest. NaN of nothing.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut known: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
    known.sort_unstable_by(f64::total_cmp);
    let Some(last) = known.len().checked_sub(1) else { return f64::NAN };
    let place = share * last as f64;
    let (low, high) = (known[place.floor() as usize], known[place.ceil() as usize]);
    low + (high - low) * place.fract()
}

/// The share of rows that equal a real one in all columns but entities and times, numbers to six decimals: of synthetic rows,
/// and of those held out, or of real rows that equal another. NaN if no such column is left.
fn copies(real: &Table, held_out: Option<&Table>, synthetic: &Table) -> Beside {
    let compared: Vec<usize> = (0..real.columns.len())
        .filter(|at| !matches!(real.columns[*at].kind, Kind::Entity | Kind::Instant))
        .collect();
    if compared.is_empty() {
        return beside_of(f64::NAN, f64::NAN);
    }
    let scale = 10_f64.powi(DIGITS);
    let cell = |value: f64| if value.is_nan() { i64::MIN } else { (value * scale).round() as i64 };
    let key = |table: &Table, row: usize| -> Vec<i64> {
        compared.iter().map(|at| cell(table.columns[*at].values[row])).collect()
    };
    let mut known: HashMap<Vec<i64>, usize> = HashMap::new();
    (0..real.len()).for_each(|row| *known.entry(key(real, row)).or_default() += 1);
    let equal = |table: &Table, least: usize| {
        let is_known = |row: &usize| known.get(&key(table, *row)).is_some_and(|count| *count >= least);
        (0..table.len()).filter(is_known).count() as f64 / table.len() as f64
    };
    beside_of(equal(synthetic, 1), held_out.map_or_else(|| equal(real, 2), |others| equal(others, 1)))
}

/// The attack of Chen, Yu, Zhang and Fritz, "GAN-Leaks", 2020, in its simplest form: who is nearest to a synthetic row was
/// learnt from.
fn membership(
    space: &Space,
    (members, others): (&Table, &Table),
    synthetic: &Table,
    seed: u64,
) -> Result<f64> {
    let asked = members.len().min(others.len()).min(ROWS_ASKED_MAX);
    let searched = space.points(synthetic, &draw(synthetic.len(), ROWS_SEARCHED_MAX, seed, 34));
    let nearness = |table: &Table, purpose: u64| {
        let rows = draw(table.len(), asked, seed, purpose);
        space.points(table, &rows).nearest_of(&searched, None).into_iter().map(|nearest| -nearest.first)
    };
    let scores: Vec<f64> = nearness(members, 35).chain(nearness(others, 36)).collect();
    let labels: Vec<bool> = (0..2 * asked).map(|row| row < asked).collect();
    Ok(Ranking::new(&scores, &labels)?.auc_roc())
}
