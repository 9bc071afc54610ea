//! The protocol of the Fraud Detection Handbook (Le Borgne, Siblini, Lebichot and Bontempi, 2022), chapters 3 to 5.
//!
//! A model is trained on a week, the labels of the week after it are not yet known, and the week after that is the
//! test. Two things set the book's figures apart from others:
//!
//! - [`test_rows`] takes the cards out of the test that are already known to be defrauded: a bank has blocked them.
//! - [`card_precision`] counts cards, not transactions: investigators call so many holders a day, and a card found
//!   on one day is not there to be found on the next.
//!
//! Card precision has a ceiling below one, since a day has fewer compromised cards than calls; see
//! [`card_precision_ceiling`].

use std::collections::{HashMap, HashSet};

/// Why the protocol cannot be applied: the input is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandbookError {
    /// The columns are not of one table.
    #[error("column `{column}` has {found} rows where `day` has {expected}")]
    LengthMismatch {
        /// The column that differs.
        column: &'static str,
        /// Its length.
        found: usize,
        /// The length of `day`.
        expected: usize,
    },
    /// There are no days to take the mean over.
    #[error("no rows to evaluate")]
    Empty,
    /// No card would be looked at.
    #[error("card precision needs at least one card a day")]
    NoCards,
    /// A score cannot be ordered.
    #[error("score of row {row} is not a number")]
    NotANumber {
        /// Index of the first such row.
        row: usize,
    },
}

/// Scored test transactions, one element a row, in any order.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// The day of the transaction, counted from any origin.
    pub day: &'a [i32],
    /// The card.
    pub card: &'a [u32],
    /// Whether it is fraud.
    pub label: &'a [bool],
    /// The higher, the more suspicious.
    pub score: &'a [f64],
}

/// Card precision over a test period.
#[derive(Clone, Debug, PartialEq)]
pub struct CardPrecision {
    /// Cards looked at each day.
    pub cards_per_day: usize,
    /// The mean of the days' precisions.
    pub mean: f64,
    /// Each day, in order.
    pub days: Vec<CardPrecisionDay>,
}

/// Card precision of one day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CardPrecisionDay {
    /// The day.
    pub day: i32,
    /// Compromised cards with a transaction that day, those found on an earlier day left out.
    pub compromised: usize,
    /// Those of them among the highest cards.
    pub detected: usize,
    /// Detected over the cards looked at, also on a day that has fewer cards than that.
    pub precision: f64,
}

/// Card precision@k: per day and card the highest score and the highest label; of the `cards_per_day` highest cards
/// the share that is compromised; a compromised card so found is taken out of the later days.
///
/// Cards of equal score are taken by rising card number. The book leaves them to an unstable sort, so figures with
/// many ties (a constant score, a shallow tree) can differ from it in the third decimal.
///
/// # Errors
/// [`HandbookError`] where the columns differ in length, there are no rows or no cards, or a score is NaN.
pub fn card_precision(rows: Rows<'_>, cards_per_day: usize) -> Result<CardPrecision, HandbookError> {
    check(rows, cards_per_day)?;
    let mut found = HashSet::new();
    let mut days = Vec::new();
    for (day, indices) in by_day(rows.day) {
        let mut cards = cards_of_day(rows, &indices, &found);
        cards.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.card.cmp(&b.card)));
        let detected: Vec<u32> =
            cards.iter().take(cards_per_day).filter(|card| card.compromised).map(|card| card.card).collect();
        days.push(CardPrecisionDay {
            day,
            compromised: cards.iter().filter(|card| card.compromised).count(),
            detected: detected.len(),
            precision: detected.len() as f64 / cards_per_day as f64,
        });
        found.extend(detected);
    }
    let mean = days.iter().map(|day| day.precision).sum::<f64>() / days.len() as f64;
    Ok(CardPrecision { cards_per_day, mean, days })
}

/// The card precision of a perfect ranking, which scores every fraud above every genuine transaction: no model can
/// reach more. The scores of `rows` are not read.
///
/// # Errors
/// As [`card_precision`].
pub fn card_precision_ceiling(rows: Rows<'_>, cards_per_day: usize) -> Result<CardPrecision, HandbookError> {
    let perfect: Vec<f64> = rows.label.iter().map(|fraud| f64::from(u8::from(*fraud))).collect();
    card_precision(Rows { score: &perfect, ..rows }, cards_per_day)
}

/// Where the periods of one fold lie, in days: training, then delay, then test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fold {
    /// The first training day.
    pub train_start: i32,
    /// Days of training; 7 in the book.
    pub train_days: i32,
    /// Days whose labels are not known yet; 7 in the book.
    pub delay_days: i32,
    /// Days of test; 7 in the book.
    pub test_days: i32,
}

impl Fold {
    /// The book's fold of three weeks.
    pub fn weekly(train_start: i32) -> Self {
        Self { train_start, train_days: 7, delay_days: 7, test_days: 7 }
    }

    fn train_end(&self) -> i32 {
        self.train_start + self.train_days
    }

    fn test_start(&self) -> i32 {
        self.train_end() + self.delay_days
    }

    fn test_end(&self) -> i32 {
        self.test_start() + self.test_days
    }

    /// The first test day on which a fraud of `day` makes its card known, if it ever does in this fold.
    ///
    /// A fraud of the training period is known throughout. On test day i (from 0) the day train_end + i - 1 joins,
    /// which is the test day less the delay and one: on test day 0 that is the last training day once more, so the
    /// frauds of the first delay day count from test day 1 on. That is the book's code, and so it stays.
    fn known_from(&self, day: i32) -> Option<i32> {
        if day < self.train_start {
            return None;
        }
        let known = self.test_start() + (day - self.train_end() + 1).max(0);
        (known < self.test_end()).then_some(known)
    }
}

/// The rows of the test period whose card is not yet known to be defrauded, as indices in rising order.
///
/// The slices are all transactions of the period from the first training day to the last test day, or more, in any
/// order; frauds before the training period are not looked at.
///
/// # Errors
/// [`HandbookError::LengthMismatch`] where the columns differ in length.
pub fn test_rows(day: &[i32], card: &[u32], label: &[bool], fold: Fold) -> Result<Vec<usize>, HandbookError> {
    check_lengths(day, &[("card", card.len()), ("label", label.len())])?;
    let known_from = known_from(day, card, label, fold);
    let tested = |row: &usize| {
        (fold.test_start()..fold.test_end()).contains(&day[*row])
            && known_from.get(&card[*row]).is_none_or(|known| day[*row] < *known)
    };
    Ok((0..day.len()).filter(tested).collect())
}

/// For each card that becomes known in the fold, the first test day on which it is.
fn known_from(day: &[i32], card: &[u32], label: &[bool], fold: Fold) -> HashMap<u32, i32> {
    let mut first = HashMap::new();
    for row in (0..day.len()).filter(|row| label[*row]) {
        if let Some(known) = fold.known_from(day[row]) {
            first.entry(card[row]).and_modify(|day: &mut i32| *day = known.min(*day)).or_insert(known);
        }
    }
    first
}

/// One card's day: its highest score, and whether any of its transactions was fraud.
#[derive(Clone, Copy)]
struct CardDay {
    card: u32,
    score: f64,
    compromised: bool,
}

/// Row indices of each day, days in order.
fn by_day(day: &[i32]) -> Vec<(i32, Vec<usize>)> {
    let mut order: Vec<usize> = (0..day.len()).collect();
    order.sort_by_key(|row| day[*row]);
    order.chunk_by(|a, b| day[*a] == day[*b]).map(|rows| (day[rows[0]], rows.to_vec())).collect()
}

/// The cards of these rows that were not found before.
fn cards_of_day(rows: Rows<'_>, indices: &[usize], found: &HashSet<u32>) -> Vec<CardDay> {
    let mut cards: Vec<CardDay> = indices
        .iter()
        .filter(|row| !found.contains(&rows.card[**row]))
        .map(|row| CardDay {
            card: rows.card[*row],
            score: rows.score[*row] + 0.0,
            compromised: rows.label[*row],
        })
        .collect();
    cards.sort_unstable_by_key(|card| card.card);
    cards.dedup_by(|next, kept| {
        let same = next.card == kept.card;
        if same {
            kept.score = kept.score.max(next.score);
            kept.compromised |= next.compromised;
        }
        same
    });
    cards
}

fn check(rows: Rows<'_>, cards_per_day: usize) -> Result<(), HandbookError> {
    let lengths = [("card", rows.card.len()), ("label", rows.label.len()), ("score", rows.score.len())];
    check_lengths(rows.day, &lengths)?;
    if rows.day.is_empty() {
        return Err(HandbookError::Empty);
    }
    if cards_per_day == 0 {
        return Err(HandbookError::NoCards);
    }
    match rows.score.iter().position(|score| score.is_nan()) {
        Some(row) => Err(HandbookError::NotANumber { row }),
        None => Ok(()),
    }
}

fn check_lengths(day: &[i32], columns: &[(&'static str, usize)]) -> Result<(), HandbookError> {
    for &(column, found) in columns {
        if found != day.len() {
            return Err(HandbookError::LengthMismatch { column, found, expected: day.len() });
        }
    }
    Ok(())
}
