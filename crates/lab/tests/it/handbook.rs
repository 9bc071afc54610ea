//! The Handbook's protocol, by hand on small tables and in full on the book's data where that is at hand.

use std::fs::File;
use std::path::PathBuf;

use lab::evaluate::handbook::{Fold, Rows, card_precision, card_precision_ceiling, test_rows};
use lab::evaluate::metrics::Ranking;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::RowAccessor;
use parquet::schema::types::Type;

/// A table from rows of (day, card, label, score).
struct Table {
    day: Vec<i32>,
    card: Vec<u32>,
    label: Vec<bool>,
    score: Vec<f64>,
}

impl Table {
    fn of(rows: &[(i32, u32, u8, f64)]) -> Self {
        Self {
            day: rows.iter().map(|row| row.0).collect(),
            card: rows.iter().map(|row| row.1).collect(),
            label: rows.iter().map(|row| row.2 == 1).collect(),
            score: rows.iter().map(|row| row.3).collect(),
        }
    }

    fn rows(&self) -> Rows<'_> {
        Rows { day: &self.day, card: &self.card, label: &self.label, score: &self.score }
    }

    fn select(&self, rows: &[usize]) -> Self {
        Self {
            day: rows.iter().map(|row| self.day[*row]).collect(),
            card: rows.iter().map(|row| self.card[*row]).collect(),
            label: rows.iter().map(|row| self.label[*row]).collect(),
            score: rows.iter().map(|row| self.score[*row]).collect(),
        }
    }
}

#[test]
fn a_card_has_its_highest_score_and_its_highest_label() {
    // Card 1's fraud scores low, but its genuine payment takes it to the top.
    let table = Table::of(&[(0, 1, 1, 0.1), (0, 1, 0, 0.9), (0, 2, 0, 0.8), (0, 3, 1, 0.2)]);
    let day = card_precision(table.rows(), 2).unwrap().days[0];
    assert_eq!((day.compromised, day.detected, day.precision), (2, 1, 0.5));
}

#[test]
fn a_detected_card_is_gone_on_later_days_and_an_overlooked_one_is_not() {
    let table = Table::of(&[
        (4, 1, 1, 0.9),
        (4, 2, 1, 0.1),
        (5, 1, 1, 0.9),
        (5, 2, 1, 0.8),
        // A genuine card that was looked at comes back, too.
        (3, 7, 0, 1.0),
        (5, 7, 0, 0.1),
    ]);
    let found = card_precision(table.rows(), 1).unwrap();
    let days: Vec<_> = found.days.iter().map(|day| (day.day, day.compromised, day.detected)).collect();
    assert_eq!(days, [(3, 0, 0), (4, 2, 1), (5, 1, 1)]);
    assert!((found.mean - 2.0 / 3.0).abs() < 1e-15);
}

#[test]
fn fewer_cards_than_calls_still_count_all_calls() {
    let table = Table::of(&[(0, 1, 1, 0.9)]);
    assert_eq!(card_precision(table.rows(), 100).unwrap().mean, 0.01);
}

#[test]
fn cards_of_equal_score_go_by_number() {
    let table = Table::of(&[(0, 9, 1, 0.5), (0, 2, 0, 0.5), (0, 4, 1, 0.5)]);
    assert_eq!(card_precision(table.rows(), 1).unwrap().days[0].detected, 0);
    assert_eq!(card_precision(table.rows(), 2).unwrap().days[0].detected, 1);
}

#[test]
fn what_cannot_be_measured_says_why() {
    let table = Table::of(&[(0, 1, 1, f64::NAN)]);
    let refused = |rows: Rows<'_>, k| card_precision(rows, k).unwrap_err().to_string();
    assert_eq!(refused(table.rows(), 5), "score of row 0 is not a number");
    assert_eq!(refused(table.rows(), 0), "card precision needs at least one card a day");
    assert_eq!(refused(Table::of(&[]).rows(), 5), "no rows to evaluate");
    let short = Rows { card: &[], ..table.rows() };
    assert_eq!(refused(short, 5), "column `card` has 0 rows where `day` has 1");
}

/// Training 0 to 6, delay 7 to 13, test 14 to 20: on which test days is a card that was defrauded on `day` left out?
#[test]
fn a_fraud_makes_its_card_known_eight_days_later() {
    let known_on = |fraud_day: i32| -> Vec<i32> {
        let mut rows: Vec<_> = (14..21).map(|day| (day, 1, 0, 0.0)).collect();
        rows.push((fraud_day, 1, 1, 0.0));
        let table = Table::of(&rows);
        let kept = test_rows(&table.day, &table.card, &table.label, Fold::weekly(0)).unwrap();
        (14..21).filter(|day| !kept.iter().any(|row| table.day[*row] == *day)).collect()
    };
    assert_eq!(known_on(-1), [0; 0], "before training");
    assert_eq!(known_on(0), [14, 15, 16, 17, 18, 19, 20]);
    assert_eq!(known_on(6), [14, 15, 16, 17, 18, 19, 20], "the last training day");
    assert_eq!(known_on(7), [15, 16, 17, 18, 19, 20], "the first delay day: not on test day 0");
    assert_eq!(known_on(12), [20]);
    assert_eq!(known_on(13), [0; 0], "the last delay day is never known in the test week");
    assert_eq!(known_on(14), [0; 0]);
}

/// The book's four folds: test transactions, frauds, cards detected in the week by a perfect ranking, by the amount
/// as a score and by a constant score, and the amount's AUC and average precision. The first three are published
/// (shared/data/handbook-tables.md: card precision@100 is a 700th of the cards); the rest were computed with pandas
/// and scikit-learn following the book's code, with a stable sort.
#[test]
fn the_books_own_data_gives_the_books_figures() {
    let Some(table) = handbook_table() else { return };
    let folds = [
        (115, 58_264, 385, [278, 47, 11], 0.579_732_370_465, 0.137_911_823_646),
        (122, 57_937, 387, [286, 60, 7], 0.633_373_316_541, 0.243_417_759_626),
        (129, 58_337, 408, [294, 68, 8], 0.643_813_111_825, 0.262_289_432_225),
        (136, 57_604, 422, [316, 64, 8], 0.628_183_172_015, 0.214_480_122_522),
    ];
    for (train_start, rows, frauds, cards, auc, average_precision) in folds {
        let kept = test_rows(&table.day, &table.card, &table.label, Fold::weekly(train_start)).unwrap();
        let test = table.select(&kept);
        assert_eq!(test.day.len(), rows);
        assert_eq!(test.label.iter().filter(|label| **label).count(), frauds);
        let constant = Rows { score: &vec![0.5; rows], ..test.rows() };
        let precisions = [
            card_precision_ceiling(test.rows(), 100).unwrap(),
            card_precision(test.rows(), 100).unwrap(),
            card_precision(constant, 100).unwrap(),
        ];
        for (found, cards) in precisions.iter().zip(cards) {
            assert_eq!(found.days.iter().map(|day| day.detected).sum::<usize>(), cards);
            assert!((found.mean - cards as f64 / 700.0).abs() < 1e-12);
        }
        let ranking = Ranking::new(&test.score, &test.label).unwrap();
        assert!((ranking.auc_roc() - auc).abs() < 1e-9);
        assert!((ranking.average_precision() - average_precision).abs() < 1e-9);
    }
}

/// The Handbook's transactions with the amount as their score. The data is not part of the repository: it is looked
/// for in REDFLAG_SHARED_DATA, then in `shared/data` beside the repository.
fn handbook_table() -> Option<Table> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("REDFLAG_SHARED_DATA").map_or(beside, PathBuf::from);
    let path = folder.join("handbook_raw.parquet");
    let Ok(file) = File::open(&path) else {
        println!(
            "NOT RUN: the Handbook's data is absent: {}; set REDFLAG_SHARED_DATA to its folder",
            path.display()
        );
        return None;
    };
    let reader = SerializedFileReader::new(file).unwrap();
    let names = ["TX_TIME_DAYS", "CUSTOMER_ID", "TX_FRAUD", "TX_AMOUNT"];
    let schema = reader.metadata().file_metadata().schema();
    let fields = schema.get_fields().iter().filter(|field| names.contains(&field.name())).cloned().collect();
    let projection = Type::group_type_builder("schema").with_fields(fields).build().unwrap();
    let mut table = Table::of(&[]);
    // The projection keeps the file's order of columns.
    for row in reader.get_row_iter(Some(projection)).unwrap() {
        let row = row.unwrap();
        table.card.push(row.get_int(0).unwrap() as u32);
        table.score.push(row.get_double(1).unwrap());
        table.day.push(row.get_int(2).unwrap());
        table.label.push(row.get_byte(3).unwrap() == 1);
    }
    Some(table)
}
