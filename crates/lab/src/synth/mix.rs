//! Real transactions with made frauds among them.

use anyhow::{Result, bail, ensure};

use super::generator::{Generator, Wanted};
use super::table::{Column, Kind, Table};
use crate::random::Stream;

/// What a mixture should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mixture {
    /// Frauds among all rows, above 0 and below 1.
    pub fraud_share: f64,
    /// Made ones among the frauds, 0 to 1.
    pub synthetic_share: f64,
    /// Seed of everything random.
    pub seed: u64,
}

const REAL_FRAUDS: u64 = 70;
const ENTITIES: u64 = 71;

/// All genuine rows of `real`, some of its frauds, and made ones; in the order of time where there are times. Made frauds hit
/// entities of the real file, the busy ones more often. With each row comes the mark of what made it, empty for real ones.
///
/// # Errors
/// If the tables have other columns, or the real file has fewer frauds than are wanted of it.
pub fn mix(real: &Table, generator: &Generator, wanted: &Mixture) -> Result<(Table, Vec<String>)> {
    let share = wanted.fraud_share;
    ensure!(share > 0.0 && share < 1.0, "the share of frauds must be above 0 and below 1, not {share}");
    ensure!(real.label().is_some(), "a mixture needs labels, and the real file has none");
    let frauds = real.frauds();
    let genuine: Vec<usize> = (0..real.len()).filter(|row| frauds.binary_search(row).is_err()).collect();
    let all = (genuine.len() as f64 * share / (1.0 - share)).round() as usize;
    let made = (all as f64 * wanted.synthetic_share).round() as usize;
    ensure!(
        all - made <= frauds.len(),
        "{} frauds of the real file are wanted and it has {}: lower the share of frauds or raise that of made ones",
        all - made,
        frauds.len()
    );
    let kept = Stream::at(wanted.seed, REAL_FRAUDS, 0, 0).distinct((all - made) as u32, frauds.len() as u32);
    let mut rows: Vec<usize> =
        genuine.into_iter().chain(kept.into_iter().map(|at| frauds[at as usize])).collect();
    rows.sort_unstable();
    let real = real.select(&rows);
    let synthetic =
        generator.sample(Wanted { rows: made, fraud_share: Some(1.0), seed: wanted.seed }, &mut |_| true)?;
    let synthetic = alike(&synthetic, &real, &mut Stream::at(wanted.seed, ENTITIES, 0, 0))?;
    let marks = [vec![String::new(); real.len()], vec![generator.facts.mark(); synthetic.len()]].concat();
    Ok(in_time(&real.followed_by(&synthetic), &marks))
}

/// Made rows with the columns, the words and the entities of real ones.
fn alike(made: &Table, real: &Table, chance: &mut Stream) -> Result<Table> {
    let column = |column: &Column| match made.column(&column.name) {
        None => bail!("the generator makes no column `{}`", column.name),
        Some(_) if column.kind == Kind::Entity => {
            let draw = |_| column.values[chance.below(column.values.len() as u32) as usize];
            Ok(Column { values: (0..made.len()).map(draw).collect(), ..column.clone() })
        }
        Some(found) if column.kind == Kind::Category => renamed(found, column),
        Some(found) => Ok(Column { values: found.values.clone(), ..column.clone() }),
    };
    let columns = real.columns.iter().map(column).collect::<Result<_>>()?;
    let mut table = Table { columns, times_us: made.times_us.clone() };
    if table.times_us.is_empty() && !real.times_us.is_empty() {
        table.times_us =
            (0..made.len()).map(|_| real.times_us[chance.below(real.len() as u32) as usize]).collect();
    }
    Ok(table)
}

/// The same words by the numbers that another column gives them.
fn renamed(from: &Column, to: &Column) -> Result<Column> {
    let number = |value: &f64| match from.word(*value) {
        None => Ok(f64::NAN),
        Some(word) => match to.words.iter().position(|known| known == word) {
            Some(at) => Ok(at as f64),
            None => bail!("`{}` is {word:?} in a made row, which the real file never has", to.name),
        },
    };
    Ok(Column { values: from.values.iter().map(number).collect::<Result<_>>()?, ..to.clone() })
}

fn in_time(table: &Table, marks: &[String]) -> (Table, Vec<String>) {
    let mut order: Vec<usize> = (0..table.len()).collect();
    if !table.times_us.is_empty() {
        order.sort_by_key(|row| table.times_us[*row]);
    }
    (table.select(&order), order.iter().map(|row| marks[*row].clone()).collect())
}
