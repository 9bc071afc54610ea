//! What all engines have in common, and redflag's own.

use std::hint::black_box;
use std::rc::Rc;
use std::time::Instant;

use anyhow::Result;
use forest::{Forest, Instructions, Scorer, Scratch};

use super::rows::Rows;

/// Something that scores the rows of a benchmark, on one thread.
pub trait Engine {
    /// Its name in tables.
    fn name(&self) -> &str;

    /// Whether its results are margins, or else the scores that belong to them.
    fn gives_margins(&self) -> bool {
        true
    }

    /// Scores the rows `first..first + count` with one call for all, or with one each where it has none for many.
    fn score(&mut self, first: usize, count: usize, out: &mut Vec<f64>) -> Result<()>;

    /// Seconds for so many calls of `count` rows each, from `first` on; after the last row comes the first.
    fn seconds(&mut self, rows: &Rows, mut first: usize, count: usize, calls: usize) -> Result<f64> {
        let mut out = Vec::with_capacity(count);
        let started = Instant::now();
        for _ in 0..calls {
            self.score(first, count, &mut out)?;
            black_box(&out);
            first = rows.after(first, count);
        }
        Ok(started.elapsed().as_secs_f64())
    }
}

/// The instruction sets of this processor, the best one first.
pub fn instructions() -> Vec<Instructions> {
    let all = [Instructions::Avx512, Instructions::Avx2, Instructions::Portable];
    // What a processor lacks does not parse.
    all.into_iter().filter(|set| set.to_string().parse::<Instructions>().is_ok()).collect()
}

/// redflag with one set of instructions.
pub struct Ours {
    name: String,
    scorer: Scorer,
    scratch: Scratch,
    rows: Rc<Rows>,
}

impl Ours {
    pub fn new(forest: &Forest, instructions: Instructions, rows: &Rc<Rows>) -> Ours {
        Ours {
            name: format!("redflag {instructions}"),
            scorer: forest.scorer_on(instructions),
            scratch: Scratch::default(),
            rows: Rc::clone(rows),
        }
    }
}

impl Engine for Ours {
    fn name(&self) -> &str {
        &self.name
    }

    fn score(&mut self, first: usize, count: usize, out: &mut Vec<f64>) -> Result<()> {
        let rows = self.rows.wide(first, count);
        if count == 1 {
            out.clear();
            out.push(self.scorer.margin(rows, &mut self.scratch));
        } else {
            self.scorer.margin_batch(rows, &mut self.scratch, out);
        }
        Ok(())
    }
}
