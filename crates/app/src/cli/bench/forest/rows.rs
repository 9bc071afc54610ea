//! The rows that are scored.

use std::path::Path;

use anyhow::Result;
use forest::Forest;
use lab::dataset::MatrixReader;

use crate::cli::WrongInput;

/// Rows of a benchmark: as many as its largest batch has.
pub const COUNT: usize = 100_000;

/// Different rows, at least, that a benchmark goes through: more than a branch predictor learns.
pub const DIFFERENT: usize = 4_096;

/// [`COUNT`] rows, in double and in single precision.
pub struct Rows {
    columns: usize,
    wide: Vec<f64>,
    narrow: Vec<f32>,
}

impl Rows {
    /// The rows of a CSV file, over and over if it has fewer.
    ///
    /// # Errors
    /// If it cannot be read or has none.
    pub fn read(path: &Path, forest: &Forest) -> Result<Rows> {
        let mut reader = MatrixReader::open(path, forest.feature_names())?;
        let (mut row, mut wide) = (Vec::new(), Vec::new());
        let columns = forest.feature_names().len();
        while wide.len() < COUNT * columns && reader.next_row(&mut row)? {
            wide.extend_from_slice(&row);
        }
        if wide.is_empty() {
            return Err(WrongInput(format!("{}: has no rows", path.display())).into());
        }
        Ok(Rows::of(wide.into_iter().cycle().take(COUNT * columns).collect(), columns))
    }

    /// Rows drawn around the thresholds of a forest, so that they reach its leaves.
    pub fn drawn(forest: &Forest) -> Rows {
        let thresholds = forest.thresholds();
        let mut random = Random(1);
        let wide = (0..COUNT).flat_map(|_| thresholds.iter().collect::<Vec<_>>());
        let wide = wide.map(|thresholds| random.around(thresholds)).collect();
        Rows::of(wide, thresholds.len())
    }

    fn of(wide: Vec<f64>, columns: usize) -> Rows {
        Rows { columns, narrow: wide.iter().map(|x| *x as f32).collect(), wide }
    }

    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Some rows in double precision.
    pub fn wide(&self, first: usize, count: usize) -> &[f64] {
        &self.wide[first * self.columns..(first + count) * self.columns]
    }

    /// Some rows in single precision.
    pub fn narrow(&self, first: usize, count: usize) -> &[f32] {
        &self.narrow[first * self.columns..(first + count) * self.columns]
    }

    /// Where the next `count` rows begin, after the `count` from `first` on.
    pub fn after(&self, first: usize, count: usize) -> usize {
        if first + 2 * count <= COUNT { first + count } else { 0 }
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014): the same rows on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number between two neighbours of ascending thresholds, or a little beyond their ends.
    fn around(&mut self, thresholds: &[f64]) -> f64 {
        let (Some(first), Some(last)) = (thresholds.first(), thresholds.last()) else { return 0.0 };
        let step = ((last - first) / thresholds.len() as f64).max(first.abs() * 1e-3).max(1e-9);
        let at = (self.next() % (thresholds.len() as u64 + 1)) as usize;
        let low = if at == 0 { first - step } else { thresholds[at - 1] };
        let high = thresholds.get(at).copied().unwrap_or(last + step);
        let share = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        low + share * (high - low)
    }
}
