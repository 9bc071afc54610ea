//! The report about synthetic data: its figures against SDMetrics (fixtures/synth/make_fixture.py), and what it must find.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use engine::{Detector, EventBatch, Value};
use lab::dataset::{Block, Reader, SimulatedReader};
use lab::simulate::{Settings, simulator};
use lab::synth::report::{Comparison, Report, Sample, page, report};
use lab::synth::table::{Column, Kind, Table};

/// Both sides add a few hundred doubles, in different orders.
const TOLERANCE: f64 = 1e-9;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/synth").join(name)
}

fn made(
    real: Sample,
    synthetic: Sample,
    held_out: Option<Sample>,
    detector: Option<Arc<Detector>>,
) -> Report {
    let names = ["real", "synthetic", "held out"].map(str::to_string);
    report(Comparison { real, synthetic, held_out, detector, names, seed: 1 }, &mut |_, _| {}).unwrap()
}

fn of_fixture() -> &'static Report {
    static REPORT: OnceLock<Report> = OnceLock::new();
    REPORT.get_or_init(|| {
        let read = |name: &str| Sample::of_columns(&fixture(name), Some("is_fraud")).unwrap();
        made(read("real.parquet"), read("synthetic.parquet"), None, None)
    })
}

fn expected() -> serde_json::Value {
    serde_json::from_str(include_str!("../fixtures/synth/expected.json")).unwrap()
}

/// A figure that the package cannot tell is missing here too.
#[track_caller]
fn near(what: &str, found: f64, expected: &serde_json::Value) {
    match expected.as_f64() {
        None => assert!(found.is_nan(), "{what}: found {found}, SDMetrics cannot tell"),
        Some(expected) => {
            assert!((found - expected).abs() <= TOLERANCE, "{what}: {found}, SDMetrics says {expected}")
        }
    }
}

#[test]
fn columns_have_the_shapes_that_sdmetrics_finds() {
    let (report, expected) = (of_fixture(), expected());
    assert_eq!(report.columns.len(), expected["columns"].as_object().unwrap().len());
    for column in &report.columns {
        let expected = &expected["columns"][&column.column];
        assert_eq!(column.metric, expected["metric"], "{}", column.column);
        near(&column.column, column.score, &expected["score"]);
        near(&column.column, column.adherence, &expected["adherence"]);
        near(&column.column, column.coverage, &expected["coverage"]);
    }
    near("column shapes", report.scores.column_shapes, &expected["column_shapes"]);
}

#[test]
fn pairs_have_the_trends_that_sdmetrics_finds() {
    let (report, expected) = (of_fixture(), expected());
    assert_eq!(report.pairs.len(), expected["pairs"].as_object().unwrap().len());
    for pair in &report.pairs {
        let name = format!("{}, {}", pair.left, pair.right);
        let expected = &expected["pairs"][&name];
        assert_eq!(pair.metric, expected["metric"], "{name}");
        near(&name, pair.score, &expected["score"]);
        near(&name, pair.real, &expected["real"]);
    }
    near("pair trends", report.scores.pair_trends, &expected["pair_trends"]);
    near("quality", report.scores.quality, &expected["quality"]);
}

#[test]
fn missing_rows_that_were_not_seen_are_said_to_hide_membership() {
    let report = of_fixture();
    assert!(report.privacy.membership_inference_auc.is_none());
    assert!(report.verdict.cannot_be_told.iter().any(|said| said.starts_with("Membership inference")));
    assert!(report.verdict.cannot_be_told.iter().any(|said| said.starts_with("Behaviour")));
}

#[test]
fn the_page_is_one_file_and_the_figures_are_one_object() {
    let report = of_fixture();
    let page = page(report);
    assert!(!page.contains("<script") && !page.contains("http") && !page.contains("NaN"), "self-contained");
    assert!(page.contains("Not fit for") && page.contains("prefers-color-scheme:dark"));
    let figures = serde_json::to_value(report).unwrap();
    for key in [
        "column_shapes",
        "pair_trends",
        "discriminator_auc",
        "train_synthetic_test_real_average_precision",
        "train_real_test_real_average_precision",
        "train_both_test_real_average_precision",
    ] {
        assert!(figures[key].is_f64(), "{key} is {}", figures[key]);
    }
    assert!(figures["distance_to_closest_record"]["ratio"].is_f64());
    assert_eq!(figures["columns"][0]["column"], "when");
}

/// Another page shows them in its own colours, dark or light, and none of its classes changes them.
#[test]
fn pictures_take_their_colours_from_whatever_shows_them() {
    let pictures = &of_fixture().pictures;
    // An instant is drawn as the time of day and the weekday.
    assert_eq!(pictures.columns.len(), of_fixture().columns.len() + 1);
    for svg in pictures.columns.iter().chain([&pictures.principal, &pictures.t_sne]) {
        assert!(svg.starts_with("<svg") && svg.contains("role=\"img\"><title>"), "{svg:.200}");
        assert!(svg.contains("var(--real,#0072b2)") && svg.contains("var(--synthetic,#d55e00)"));
        assert!(svg.contains("var(--ink,#") && !svg.contains("class="), "{svg:.200}");
    }
}

/// Numbers that depend on each other, a word that depends on them, and frauds among the large ones.
fn rows(seed: u64, count: usize) -> Table {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut columns: [Vec<f64>; 5] = Default::default();
    for _ in 0..count {
        let (one, noise, other) = (uniform(), uniform(), uniform());
        let cells = [
            -(1.0 - one).ln(),
            one + 0.2 * noise,
            other,
            f64::from(u8::from(one > 0.5)),
            f64::from(u8::from(one > 0.8 && uniform() < 0.8)),
        ];
        columns.iter_mut().zip(cells).for_each(|(column, cell)| column.push(cell));
    }
    let number = Kind::Number { decimals: None };
    let kinds = [number, number, number, Kind::Category, Kind::Label];
    let named = ["amount", "follows", "alone", "word", "fraud"].into_iter().zip(kinds).zip(columns);
    let words = |kind: Kind| match kind {
        Kind::Category => vec!["low".to_string(), "high".to_string()],
        _ => Vec::new(),
    };
    let column = |((name, kind), values): ((&str, Kind), Vec<f64>)| Column {
        values,
        words: words(kind),
        ..Column::new(name, kind)
    };
    Table { columns: named.map(column).collect(), times_us: Vec::new() }
}

fn sample(table: Table) -> Sample {
    Sample { table, events: None, rejected: 0 }
}

#[test]
fn another_draw_of_the_same_rows_is_as_good_as_real() {
    let report = made(sample(rows(1, 3_000)), sample(rows(2, 3_000)), Some(sample(rows(3, 3_000))), None);
    assert!(
        report.scores.column_shapes > 0.97 && report.scores.pair_trends > 0.95,
        "{} {}",
        report.scores.column_shapes,
        report.scores.pair_trends
    );
    assert!(
        (0.45..0.55).contains(&report.discriminator.discriminator_auc),
        "{}",
        report.discriminator.discriminator_auc
    );
    let membership = report.privacy.membership_inference_auc.unwrap();
    assert!((0.46..0.54).contains(&membership), "{membership}");
    assert!((0.9..1.1).contains(&report.privacy.distance_to_closest_record.ratio));
    assert_eq!(report.privacy.exact_copies.synthetic, 0.0);
    let learning = report.learning.as_ref().unwrap();
    let (made, real) = (
        learning.train_synthetic_test_real_average_precision,
        learning.train_real_test_real_average_precision,
    );
    assert!((made / real - 1.0).abs() < 0.1, "{made} {real}");
    assert!(
        report.verdict.not_fit_for.iter().all(|said| said.starts_with("Improving")),
        "{:?}",
        report.verdict
    );
}

#[test]
fn columns_mixed_by_themselves_keep_their_shapes_and_lose_their_trends() {
    let real = rows(1, 3_000);
    let mut mixed = rows(2, 3_000);
    for (at, column) in mixed.columns.iter_mut().enumerate() {
        column.values.rotate_left(17 * at);
    }
    let report = made(sample(real), sample(mixed), None, None);
    assert!(report.scores.column_shapes > 0.97, "{}", report.scores.column_shapes);
    assert!(report.scores.pair_trends < 0.85, "{}", report.scores.pair_trends);
    assert!(report.discriminator.discriminator_auc > 0.9, "{}", report.discriminator.discriminator_auc);
    let learning = report.learning.unwrap();
    assert!(
        learning.train_synthetic_test_real_average_precision
            < 0.5 * learning.train_real_test_real_average_precision
    );
}

#[test]
fn copies_are_found_as_copies_and_give_their_originals_away() {
    let (real, held_out) = (rows(1, 3_000), rows(3, 3_000));
    let report = made(sample(real.clone()), sample(real), Some(sample(held_out)), None);
    assert_eq!(report.privacy.exact_copies.synthetic, 1.0);
    assert!(report.privacy.membership_inference_auc.unwrap() > 0.99);
    assert_eq!(report.privacy.distance_to_closest_record.ratio, 0.0);
    assert!(report.verdict.not_fit_for.iter().any(|said| said.starts_with("Giving away")));
}

#[test]
fn columns_of_one_file_are_left_out_and_said() {
    let (mut real, synthetic) = (rows(1, 200), rows(2, 200));
    real.columns[2].name = "only here".to_string();
    let report = made(sample(real), sample(synthetic), None, None);
    assert_eq!(report.columns.len(), 4);
    assert!(
        report.warnings.iter().any(|said| said.contains("`only here` of the real data")),
        "{:?}",
        report.warnings
    );
    assert!(
        report.warnings.iter().any(|said| said.contains("`alone` of the synthetic data")),
        "{:?}",
        report.warnings
    );
}

#[test]
fn columns_of_other_kinds_are_refused_all_at_once() {
    let (real, mut synthetic) = (rows(1, 200), rows(2, 200));
    synthetic.columns[0].kind = Kind::Instant;
    synthetic.columns[1].kind = Kind::Bool;
    let names = Default::default();
    let comparison = Comparison {
        real: sample(real),
        synthetic: sample(synthetic),
        held_out: None,
        detector: None,
        names,
        seed: 0,
    };
    let said = report(comparison, &mut |_, _| {}).unwrap_err().to_string();
    assert!(said.contains("`amount` holds numbers in the real data and instants"), "{said}");
    assert!(said.contains("`follows` holds numbers in the real data and truths"), "{said}");
}

#[test]
fn the_seed_alone_decides() {
    let made = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| page(&made(sample(rows(1, 600)), sample(rows(2, 500)), None, None)))
    };
    assert_eq!(made(1), made(3));
}

fn detector() -> Arc<Detector> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../detectors/card-handbook.toml");
    Arc::new(Detector::parse(&std::fs::read_to_string(file).unwrap()).unwrap())
}

fn payments(detector: &Detector, seed: u64) -> EventBatch {
    payments_from(detector, seed, Settings::default().start_us)
}

fn payments_from(detector: &Detector, seed: u64, start_us: i64) -> EventBatch {
    let schema = Arc::new(detector.schema.clone());
    let people = Settings { customers: Some(300), terminals: Some(600), ..Settings::default() };
    let settings = Settings { seed, days: Some(24), start_us, ..people };
    let mut reader = SimulatedReader::new(simulator("card-handbook", &settings).unwrap(), &schema);
    let mut block = Block::new(&schema);
    while reader.read(&mut block, 4_096).unwrap() {}
    block.batch
}

/// The same rows, each with the customer of another.
fn with_customers_mixed(events: &EventBatch) -> EventBatch {
    let key = events.schema().index_of("customer_id").unwrap();
    let mut mixed = EventBatch::new(Arc::clone(events.schema()));
    for row in 0..events.len() {
        mixed.begin_row();
        for field in 0..events.schema().fields.len() {
            let other = (row * 7_919 + 13) % events.len();
            let value: Value<'_> = events.value(if field == key { other } else { row }, field);
            mixed.set(field, value);
        }
        mixed.end_row().unwrap();
    }
    mixed
}

#[test]
fn rows_with_the_customers_of_others_behave_otherwise() {
    let detector = detector();
    let real = payments(&detector, 1);
    let mixed = with_customers_mixed(&real);
    let of = |synthetic: EventBatch| {
        let real = Sample::of_batch(real.clone());
        made(real, Sample::of_batch(synthetic), None, Some(Arc::clone(&detector))).behaviour.unwrap()
    };
    let (fresh, mixed) = (of(payments(&detector, 2)), of(mixed));
    assert!(fresh.ratio < 1.5, "{:?}", fresh.groups);
    assert!(mixed.ratio > 3.0 && mixed.worst == "shared places", "{:?}", mixed.groups);
    assert!(
        mixed.groups["history by customer_id"] > 1.5 * fresh.groups["history by customer_id"],
        "{:?}",
        mixed.groups
    );
}

/// Between two months of which one was left out lies more than the detector takes for a right clock: the later one was once
/// rejected as a whole, and nothing could be learnt about it.
#[test]
fn rows_held_out_after_a_long_gap_are_tested_on() {
    let detector = detector();
    let start_us = Settings::default().start_us;
    let later = payments_from(&detector, 1, start_us + 90 * 86_400_000_000);
    let [real, synthetic] = [1, 2].map(|seed| Sample::of_batch(payments(&detector, seed)));
    let report = made(real, synthetic, Some(Sample::of_batch(later)), Some(detector));
    let learning = report.learning.unwrap();
    assert!(
        learning.train_real_test_real_average_precision > 10.0 * learning.test_fraud_share,
        "{learning:?}"
    );
}
