//! The rows that trainers are compared on.

use std::f64::consts::TAU;
use std::path::Path;

use anyhow::{Context, Result};
use forest::grow::Table;

use crate::cli::WrongInput;

/// Rows to learn from and rows held out.
pub struct Parts {
    pub names: Vec<String>,
    pub train: Rows,
    pub test: Rows,
}

/// Columns and labels.
pub struct Rows {
    pub columns: Vec<Vec<f64>>,
    pub labels: Vec<bool>,
}

impl Rows {
    pub fn table<'a>(&'a self, names: &'a [String]) -> Table<'a> {
        Table { columns: &self.columns, labels: &self.labels, names, weights: None }
    }

    /// Row by row.
    pub fn rows(&self) -> Vec<f64> {
        (0..self.labels.len()).flat_map(|row| self.columns.iter().map(move |column| column[row])).collect()
    }

    /// The rows from `at` on are split off.
    fn split_off(&mut self, at: usize) -> Rows {
        let columns = self.columns.iter_mut().map(|column| column.split_off(at)).collect();
        Rows { columns, labels: self.labels.split_off(at) }
    }
}

impl Parts {
    fn of(names: Vec<String>, mut all: Rows) -> Parts {
        let test = all.split_off(all.labels.len() * 2 / 3);
        Parts { names, train: all, test }
    }

    /// Reads a CSV file of numbers.
    ///
    /// # Errors
    /// If it cannot be read, or a cell is no number.
    pub fn read(path: &Path, label: &str) -> Result<Parts> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let wrong = |problem: String| WrongInput(format!("{}: {problem}", path.display()));
        let mut lines = text.lines().enumerate();
        let header = lines.next().map_or("", |(_, line)| line);
        let mut names: Vec<String> =
            header.split(',').map(|name| name.trim().trim_matches('"').to_string()).collect();
        let at = names.iter().position(|name| name == label);
        let at = at.ok_or_else(|| wrong(format!("there is no column `{label}`")))?;
        let mut columns = vec![Vec::new(); names.len()];
        for (number, line) in lines.filter(|(_, line)| !line.is_empty()) {
            let cells: Vec<&str> = line.split(',').collect();
            if cells.len() != names.len() {
                let (got, expected) = (cells.len(), names.len());
                return Err(wrong(format!("line {}: {got} cells, expected {expected}", number + 1)).into());
            }
            for (column, cell) in columns.iter_mut().zip(cells) {
                column.push(
                    number_in(cell)
                        .ok_or_else(|| wrong(format!("line {}: `{cell}` is no number", number + 1)))?,
                );
            }
        }
        names.remove(at);
        let labels = columns.remove(at).into_iter().map(|x| x == 1.0).collect();
        Ok(Parts::of(names, Rows { columns, labels }))
    }

    /// 150,000 rows of 30 columns: ten that tell, five that are mixtures of those, fifteen of noise. Either class is two
    /// clouds around corners of a cube, stretched and turned each in its own way, and one label in 200 is wrong (after
    /// Guyon 2003, "Design of experiments for the NIPS 2003 variable selection benchmark").
    pub fn made() -> Parts {
        const TELLING: usize = 10;
        let mut random = Random(1);
        let clouds: Vec<Cloud> = (0..4).map(|_| Cloud::new(TELLING, &mut random)).collect();
        let mixtures: Vec<Vec<f64>> =
            (0..5).map(|_| (0..TELLING).map(|_| random.between(-1.0, 1.0)).collect()).collect();
        let mut all = Rows { columns: vec![Vec::new(); 30], labels: Vec::new() };
        for _ in 0..150_000 {
            let positive = random.uniform() < 0.005;
            let second = random.uniform() < 0.5;
            let mut row = clouds[2 * usize::from(positive) + usize::from(second)].draw(&mut random);
            for mixture in &mixtures {
                row.push(mixture.iter().zip(&row[..TELLING]).map(|(a, b)| a * b).sum());
            }
            row.resize_with(30, || random.normal());
            all.columns.iter_mut().zip(row).for_each(|(column, x)| column.push(x));
            all.labels.push(positive != (random.uniform() < 0.005));
        }
        Parts::of((0..30).map(|at| format!("x{at}")).collect(), all)
    }
}

fn number_in(cell: &str) -> Option<f64> {
    match cell.trim().trim_matches('"') {
        "" => Some(f64::NAN),
        "true" | "True" => Some(1.0),
        "false" | "False" => Some(0.0),
        cell => cell.parse().ok(),
    }
}

/// A cloud of normal points, stretched and turned.
struct Cloud {
    center: Vec<f64>,
    turn: Vec<Vec<f64>>,
}

impl Cloud {
    fn new(dimensions: usize, random: &mut Random) -> Cloud {
        let center = (0..dimensions).map(|_| if random.uniform() < 0.5 { -1.0 } else { 1.0 }).collect();
        let mut row = || (0..dimensions).map(|_| random.between(-1.0, 1.0)).collect();
        Cloud { center, turn: (0..dimensions).map(|_| row()).collect() }
    }

    fn draw(&self, random: &mut Random) -> Vec<f64> {
        let point: Vec<f64> = self.center.iter().map(|_| random.normal()).collect();
        let turned = |row: &Vec<f64>| row.iter().zip(&point).map(|(a, b)| a * b).sum::<f64>();
        self.center.iter().zip(&self.turn).map(|(center, row)| center + turned(row)).collect()
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn between(&mut self, least: f64, most: f64) -> f64 {
        least + (most - least) * self.uniform()
    }

    /// Box and Muller 1958.
    fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.uniform()).ln()).sqrt() * (TAU * self.uniform()).cos()
    }
}
