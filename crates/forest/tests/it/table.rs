//! Made-up tables to grow from.

use forest::grow::Table;

pub struct Sample {
    pub columns: Vec<Vec<f64>>,
    pub labels: Vec<bool>,
    pub names: Vec<String>,
}

impl Sample {
    pub fn table(&self) -> Table<'_> {
        Table { columns: &self.columns, labels: &self.labels, names: &self.names, weights: None }
    }

    pub fn row(&self, at: usize) -> Vec<f64> {
        self.columns.iter().map(|column| column[at]).collect()
    }

    pub fn rows(&self) -> Vec<f64> {
        (0..self.labels.len()).flat_map(|at| self.row(at)).collect()
    }
}

/// Rare positives that depend on several features; some values missing.
pub fn sample(rows: usize, columns: usize, seed: u64) -> Sample {
    let mut state = seed;
    let mut uniform = move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let mut values = vec![Vec::with_capacity(rows); columns];
    let mut labels = Vec::with_capacity(rows);
    for _ in 0..rows {
        let row: Vec<f64> = (0..columns).map(|_| uniform()).collect();
        let logit = 6.0 * row[0] * row[1 % columns] + 3.0 * row[2 % columns] - 6.0;
        labels.push(uniform() < 1.0 / (1.0 + (-logit).exp()));
        for (column, (at, x)) in values.iter_mut().zip(row.into_iter().enumerate()) {
            let missing = at % 3 == 1 && uniform() < 0.1;
            // Some columns are coarse, so that ties occur.
            let x = if at % 4 == 3 { (x * 8.0).floor() } else { x };
            column.push(if missing { f64::NAN } else { x });
        }
    }
    let names = (0..columns).map(|at| format!("f{at}")).collect();
    Sample { columns: values, labels, names }
}
