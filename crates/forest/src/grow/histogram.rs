//! Sums of gradients per bin.
//!
//! Gradients and hessians are whole numbers of a small unit (as in quantized training, Shi and others 2022), both
//! in one word: adding a row to a bin is one addition. Sums are exact, the same on any number of threads, and a
//! sibling's histogram is its parent's less the other's without loss. Numbers are rounded up or down at random,
//! by the row and the seed, in proportion to what is cut off, so that many small ones are not lost.

use rayon::prelude::*;

use super::Table;
use super::bins::{self, Cut};

/// Features whose bins stand together: a row's bins of a group are one word, its gradient is fetched once for all
/// of them, and their histograms of 128 bins (8 kB) fit the first-level cache.
pub(super) const GROUP: usize = 8;
/// Most of a row's number: more than its single precision has.
const QUANTA_MAX: f64 = (1u32 << 26) as f64;

/// A sum of gradients in the upper half, and a sum of hessians, not negative, in the lower. Half words neither
/// overflow nor borrow: see [`Units::new`].
pub(super) type Cell = i64;

/// The columns of a table as bins.
pub(super) struct Binned {
    pub(super) columns: Vec<Vec<u8>>,
    /// The same in groups of [`GROUP`] features, row by row within a group.
    groups: Vec<Vec<[u8; GROUP]>>,
    /// By feature.
    pub(super) cuts: Vec<Cut>,
    /// Cells of one feature's histogram: 64, 128 or 256. The last is for missing values.
    pub(super) stride: usize,
}

/// How cells translate into numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Units {
    pub(super) gradient: f64,
    pub(super) hessian: f64,
}

/// A cell in numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sums {
    pub(super) gradient: f64,
    pub(super) hessian: f64,
}

impl Binned {
    /// Cuts the columns; those marked are categories.
    pub(super) fn new(table: &Table, categorical: &[bool], bins: usize) -> Binned {
        let cut = |(column, categorical): (&Vec<f64>, &bool)| {
            let cut = if *categorical {
                Cut::Categories(bins::categories(column, table.labels, bins))
            } else {
                Cut::Thresholds(bins::thresholds(column, table.labels, bins))
            };
            let binned = cut.bins(column);
            (cut, binned)
        };
        let (cuts, columns): (Vec<Cut>, Vec<Vec<u8>>) =
            table.columns.par_iter().zip(categorical).map(cut).unzip();
        let groups = columns.par_chunks(GROUP).map(row_by_row).collect();
        Binned { columns, groups, cuts, stride: (bins + 1).next_power_of_two().max(64) }
    }

    pub(super) fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// Cells of the histograms of one group.
    pub(super) fn group_cells(&self) -> usize {
        GROUP * self.stride
    }

    /// Adds the rows' cells to the histograms of one group.
    pub(super) fn add_rows(&self, group: usize, rows: &[u32], cells: &[Cell], into: &mut [Cell]) {
        let bins = &self.groups[group];
        match self.stride {
            64 => add_rows::<64>(bins, rows, cells, into),
            128 => add_rows::<128>(bins, rows, cells, into),
            _ => add_rows::<256>(bins, rows, cells, into),
        }
    }
}

fn row_by_row(columns: &[Vec<u8>]) -> Vec<[u8; GROUP]> {
    let mut rows = vec![[0; GROUP]; columns[0].len()];
    for (lane, column) in columns.iter().enumerate() {
        rows.iter_mut().zip(column).for_each(|(row, bin)| row[lane] = *bin);
    }
    rows
}

/// The length of a histogram is known at compile time, so that no index needs a check.
fn add_rows<const STRIDE: usize>(bins: &[[u8; GROUP]], rows: &[u32], cells: &[Cell], into: &mut [Cell]) {
    let into: &mut [[Cell; STRIDE]; GROUP] =
        into.as_chunks_mut().0.as_chunks_mut().0.first_mut().expect("a group has so many histograms");
    for &row in rows {
        let (bins, cell) = (bins[row as usize], cells[row as usize]);
        for lane in 0..GROUP {
            into[lane][usize::from(bins[lane]) % STRIDE] += cell;
        }
    }
}

impl Units {
    /// Units for so many rows whose gradients and hessians are at most `largest`. A row's number is rounded up by less
    /// than 1, so sums stay below 2^31.
    pub(super) fn new(rows: usize, largest: f64) -> Units {
        let quanta = ((1u64 << 31) as f64 / (rows + 1) as f64 - 2.0).clamp(1.0, QUANTA_MAX);
        Units { gradient: largest / quanta, hessian: largest / quanta }
    }

    /// The cell of one row. `chance` gives the direction of rounding.
    pub(super) fn cell(self, gradient: f64, hessian: f64, chance: u64) -> Cell {
        let chance = [chance >> 32, chance & 0xffff_ffff].map(|half| half as f64 / (1u64 << 32) as f64);
        let gradient = (gradient / self.gradient + chance[0]).floor() as i64;
        let hessian = (hessian / self.hessian + chance[1]).floor() as i64;
        (gradient << 32) + hessian
    }

    pub(super) fn sums(self, cell: Cell) -> Sums {
        let [gradient, hessian] = halves(cell);
        Sums { gradient: f64::from(gradient) * self.gradient, hessian: f64::from(hessian) * self.hessian }
    }
}

/// The two sums of a cell, in quanta.
pub(super) fn halves(cell: Cell) -> [i32; 2] {
    [(cell >> 32) as i32, cell as i32]
}

pub(super) fn subtract(from: &mut [Cell], other: &[Cell]) {
    for (from, other) in from.iter_mut().zip(other) {
        *from -= *other;
    }
}
