//! A forest compiled for speed.
//!
//! A layout is chosen once, by the shape of the trees and the instructions of the processor; all of them add
//! the same leaves in the same order and precision, so which one runs cannot be seen in a score.

use std::fmt::{self, Display};
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

use crate::ensemble::{Forest, Output, Precision, Tree};

/// Vector instructions: the only unsafe code.
#[allow(unsafe_code)]
mod simd;
/// Values to small whole numbers that compare alike.
mod slots;
/// Leaves and their sums.
mod leaves;
/// Complete trees in heap order, one at a time.
mod walk;
/// Trees evaluated whole.
mod shallow;
/// Deep trees in blocks of six levels.
#[cfg(target_arch = "x86_64")]
mod blocks;
/// Nodes linked by index, for the rest.
mod linked;

#[cfg(target_arch = "x86_64")]
use blocks::{BlockScratch, BlockTrees};
use linked::{LinkedScratch, LinkedTrees};
use shallow::{ShallowScratch, ShallowTrees};
use simd::Portable;
#[cfg(target_arch = "x86_64")]
use simd::{Avx2, Avx512};

/// A [`Forest`] compiled for speed: immutable, cheap to clone, shared freely between threads.
#[derive(Clone, Debug)]
pub struct Scorer {
    compiled: Arc<Compiled>,
}

/// Working memory of a scoring thread. Grows on first use, is never freed in between, carries no results over.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    shallow: ShallowScratch,
    #[cfg(target_arch = "x86_64")]
    blocks: BlockScratch,
    linked: LinkedScratch,
}

/// Which vector instructions to use. Scores do not depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Instructions {
    /// What every processor has.
    Portable,
    /// AVX2.
    Avx2,
    /// AVX-512 with VBMI.
    Avx512,
}

/// A name that is none of the instructions, or instructions that this processor lacks.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum InstructionsError {
    /// No such name.
    #[error("unknown instructions {0:?}, expected avx512, avx2 or portable")]
    Unknown(String),
    /// Not on this processor.
    #[error("this processor has no {0}")]
    Missing(Instructions),
}

impl Instructions {
    /// The environment variable that overrides [`Instructions::best`].
    pub const VARIABLE: &str = "REDFLAG_SIMD";

    /// The best that this processor has.
    pub fn best() -> Instructions {
        [Instructions::Avx512, Instructions::Avx2]
            .into_iter()
            .find(|instructions| instructions.is_here())
            .unwrap_or(Instructions::Portable)
    }

    /// What [`Instructions::VARIABLE`] says, or the best.
    ///
    /// # Errors
    /// If it says what does not exist or this processor lacks.
    pub fn chosen() -> Result<Instructions, InstructionsError> {
        match std::env::var(Instructions::VARIABLE) {
            Ok(name) if !name.is_empty() => name.parse(),
            _ => Ok(Instructions::best()),
        }
    }

    fn is_here(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => Avx512::detect().is_some(),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => Avx2::detect().is_some(),
            #[cfg(not(target_arch = "x86_64"))]
            Instructions::Avx512 | Instructions::Avx2 => false,
            Instructions::Portable => true,
        }
    }
}

impl Display for Instructions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Instructions::Portable => "portable",
            Instructions::Avx2 => "avx2",
            Instructions::Avx512 => "avx512",
        })
    }
}

impl FromStr for Instructions {
    type Err = InstructionsError;

    fn from_str(name: &str) -> Result<Instructions, InstructionsError> {
        let instructions = match name {
            "portable" => Instructions::Portable,
            "avx2" => Instructions::Avx2,
            "avx512" => Instructions::Avx512,
            _ => return Err(InstructionsError::Unknown(name.to_owned())),
        };
        if instructions.is_here() { Ok(instructions) } else { Err(InstructionsError::Missing(instructions)) }
    }
}

#[derive(Debug)]
struct Compiled {
    feature_count: usize,
    values: Precision,
    output: Output,
    instructions: Instructions,
    layout: Layout,
}

#[derive(Debug)]
enum Layout {
    #[cfg(target_arch = "x86_64")]
    Shallow512(ShallowTrees<Avx512>),
    #[cfg(target_arch = "x86_64")]
    Shallow2(ShallowTrees<Avx2>),
    ShallowPortable(ShallowTrees<Portable>),
    #[cfg(target_arch = "x86_64")]
    Blocks(BlockTrees),
    #[cfg(target_arch = "x86_64")]
    Linked512(Avx512, LinkedTrees),
    Linked(LinkedTrees),
    Plain(Vec<Tree>),
}

impl Layout {
    fn compile(forest: &Forest, instructions: Instructions) -> Layout {
        let shallow = match instructions {
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => {
                Avx512::detect().and_then(|simd| ShallowTrees::compile(forest, simd)).map(Layout::Shallow512)
            }
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => {
                Avx2::detect().and_then(|simd| ShallowTrees::compile(forest, simd)).map(Layout::Shallow2)
            }
            _ => ShallowTrees::compile(forest, Portable).map(Layout::ShallowPortable),
        };
        let linked = || match instructions {
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => {
                let simd = Avx512::detect()?;
                Some(Layout::Linked512(simd, LinkedTrees::compile(forest)?))
            }
            _ => LinkedTrees::compile(forest).map(Layout::Linked),
        };
        #[cfg(target_arch = "x86_64")]
        let shallow = shallow.or_else(|| {
            let simd = Avx512::detect().filter(|_| instructions == Instructions::Avx512)?;
            BlockTrees::compile(forest, simd).map(Layout::Blocks)
        });
        shallow.or_else(linked).unwrap_or_else(|| Layout::Plain(forest.trees.clone()))
    }
}

impl Scorer {
    /// Compiles a forest for given instructions; the best instead, if the processor lacks them.
    pub(crate) fn compile(forest: &Forest, instructions: Instructions) -> Scorer {
        let instructions = if instructions.is_here() { instructions } else { Instructions::best() };
        Scorer {
            compiled: Arc::new(Compiled {
                feature_count: forest.features.len(),
                values: forest.values,
                output: forest.output,
                instructions,
                layout: Layout::compile(forest, instructions),
            }),
        }
    }

    /// How many values a row has.
    pub fn feature_count(&self) -> usize {
        self.compiled.feature_count
    }

    /// What runs when this scores, for people: instructions and layout.
    pub fn describe(&self) -> String {
        let layout = match &self.compiled.layout {
            #[cfg(target_arch = "x86_64")]
            Layout::Shallow512(trees) => trees.describe(),
            #[cfg(target_arch = "x86_64")]
            Layout::Shallow2(trees) => trees.describe(),
            Layout::ShallowPortable(trees) => trees.describe(),
            #[cfg(target_arch = "x86_64")]
            Layout::Blocks(trees) => trees.describe(),
            #[cfg(target_arch = "x86_64")]
            Layout::Linked512(_, trees) => trees.describe(),
            Layout::Linked(trees) => trees.describe(),
            Layout::Plain(_) => "the plain walk".to_owned(),
        };
        format!("{}: {layout}", self.compiled.instructions)
    }

    /// The raw output for one row: log-odds for boosting, mean probability for a random forest or a tree.
    ///
    /// NaN means missing. Infinite values are compared like any other.
    ///
    /// # Panics
    /// If `row` does not have [`Scorer::feature_count`] values.
    pub fn margin(&self, row: &[f64], scratch: &mut Scratch) -> f64 {
        let Compiled { feature_count, values, output, layout, .. } = &*self.compiled;
        assert_eq!(row.len(), *feature_count, "a row has one value per feature");
        output.margin(match layout {
            #[cfg(target_arch = "x86_64")]
            Layout::Shallow512(trees) => trees.sum(output, row, &mut scratch.shallow),
            #[cfg(target_arch = "x86_64")]
            Layout::Shallow2(trees) => trees.sum(output, row, &mut scratch.shallow),
            Layout::ShallowPortable(trees) => trees.sum(output, row, &mut scratch.shallow),
            #[cfg(target_arch = "x86_64")]
            Layout::Blocks(trees) => trees.sum(output, row, &mut scratch.blocks),
            #[cfg(target_arch = "x86_64")]
            Layout::Linked512(simd, trees) => trees.sum(*simd, output, row, &mut scratch.linked),
            Layout::Linked(trees) => trees.sum(Portable, output, row, &mut scratch.linked),
            Layout::Plain(trees) => output.sum(trees.iter().map(|tree| tree.output(row, *values))),
        })
    }

    /// The score of one row: the probability in [0, 1] where the forest gives one.
    ///
    /// # Panics
    /// If `row` does not have [`Scorer::feature_count`] values.
    pub fn score(&self, row: &[f64], scratch: &mut Scratch) -> f64 {
        self.compiled.output.score(self.margin(row, scratch))
    }

    /// Margins for many rows. `rows` is row-major, `n * feature_count` values; `out` is cleared and receives `n`
    /// values, bit-identical to [`Scorer::margin`] row by row.
    ///
    /// # Panics
    /// If `rows` is not a whole number of rows.
    pub fn margin_batch(&self, rows: &[f64], scratch: &mut Scratch, out: &mut Vec<f64>) {
        let Compiled { feature_count, values, output, layout, .. } = &*self.compiled;
        out.clear();
        if *feature_count == 0 {
            // Rows without values cannot be counted.
            assert!(rows.is_empty(), "rows have one value per feature");
            return;
        }
        assert_eq!(rows.len() % feature_count, 0, "rows have one value per feature");
        out.resize(rows.len() / feature_count, 0.0);
        let (shallow, linked) = (&mut scratch.shallow, &mut scratch.linked);
        match layout {
            #[cfg(target_arch = "x86_64")]
            Layout::Shallow512(trees) => trees.sum_batch(output, rows, *feature_count, shallow, out),
            #[cfg(target_arch = "x86_64")]
            Layout::Shallow2(trees) => trees.sum_batch(output, rows, *feature_count, shallow, out),
            Layout::ShallowPortable(trees) => trees.sum_batch(output, rows, *feature_count, shallow, out),
            #[cfg(target_arch = "x86_64")]
            Layout::Blocks(trees) => {
                trees.sum_batch(output, rows, *feature_count, &mut scratch.blocks, out);
            }
            #[cfg(target_arch = "x86_64")]
            Layout::Linked512(simd, trees) => {
                trees.sum_batch(*simd, output, rows, *feature_count, linked, out);
            }
            Layout::Linked(trees) => trees.sum_batch(Portable, output, rows, *feature_count, linked, out),
            Layout::Plain(trees) => {
                for (row, sum) in rows.chunks_exact(*feature_count).zip(out.iter_mut()) {
                    *sum = output.sum(trees.iter().map(|tree| tree.output(row, *values)));
                }
            }
        }
        out.iter_mut().for_each(|sum| *sum = output.margin(*sum));
    }

    /// Scores for many rows, as [`Scorer::margin_batch`] gives margins.
    ///
    /// # Panics
    /// If `rows` is not a whole number of rows.
    pub fn score_batch(&self, rows: &[f64], scratch: &mut Scratch, out: &mut Vec<f64>) {
        self.margin_batch(rows, scratch, out);
        out.iter_mut().for_each(|margin| *margin = self.compiled.output.score(*margin));
    }
}
