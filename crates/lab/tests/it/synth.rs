//! Generators: the same bytes from the same seed, resumed or not; what was learnt is near what was learnt from; and what has been
//! seen is no test.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use lab::synth::fit::{self, Progress, Settings, Source, fit};
use lab::synth::generator::{self, Generator, Method, Subject, Wanted};
use lab::synth::made::refuse_seen;
use lab::synth::mix::{Mixture, mix};
use lab::synth::read::{MARK, read_columns, write};
use lab::synth::table::{Column, Kind, Table};

/// A number with a long tail that depends on a word, a count, a number that is missing at times, and a label.
fn a_table(rows: usize) -> Table {
    let mut columns = vec![
        Column::new("amount", Kind::Number { decimals: Some(2) }),
        Column::new("trade", Kind::Category),
        Column::new("visits", Kind::Number { decimals: Some(0) }),
        Column::new("distance", Kind::Number { decimals: None }),
        Column::new("is_fraud", Kind::Label),
    ];
    columns[1].words = ["grocery", "fuel", "travel"].map(str::to_string).to_vec();
    let mut state = 12_345_u64;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    for row in 0..rows {
        let is_fraud = row % 10 == 0;
        let trade = if is_fraud { 2.0 } else { f64::from(u8::from(uniform() < 0.3)) };
        let amount = (-uniform().max(1e-9).ln() * (20.0 + 80.0 * trade) * 100.0).round() / 100.0;
        let distance = if uniform() < 0.1 { f64::NAN } else { amount * 0.5 + uniform() };
        let visits = (uniform() * 5.0).floor();
        for (column, value) in
            columns.iter_mut().zip([amount, trade, visits, distance, f64::from(u8::from(is_fraud))])
        {
            column.values.push(value);
        }
    }
    Table { columns, times_us: (0..rows as i64).map(|row| row * 1_000_000).collect() }
}

fn settings(method: Method, epochs: usize) -> Settings {
    Settings { epochs, batch: 100, patience: 0, ..Settings::of(method) }
}

fn trained(
    table: &Table,
    settings: &Settings,
    checkpoint: Option<&Path>,
    stop_after: usize,
) -> anyhow::Result<Generator> {
    let source = Source { table, subject: Subject::Columns, period: None };
    fit(&source, settings, checkpoint, &mut |progress: &Progress| {
        if progress.epochs.0 == stop_after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
}

fn scratch(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("redflag-synth-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn bytes(generator: &Generator, path: &Path) -> Vec<u8> {
    generator.save(path).unwrap();
    std::fs::read(path).unwrap()
}

fn rows(generator: &Generator, rows: usize, fraud_share: Option<f64>) -> Table {
    generator.sample(Wanted { rows, fraud_share, seed: 9 }, &mut |_| true).unwrap()
}

const NETWORKS: [Method; 3] = [Method::Tablegan, Method::WganGp, Method::Ctgan];

#[test]
fn a_seed_makes_the_same_bytes_interrupted_or_not() {
    let folder = scratch("bytes");
    let table = a_table(600);
    for method in NETWORKS {
        let settings = settings(method, 6);
        let whole = bytes(&trained(&table, &settings, None, 0).unwrap(), &folder.join("whole"));
        let checkpoint = folder.join(format!("{method}.checkpoint"));
        let stopped = trained(&table, &settings, Some(&checkpoint), 3).err().unwrap();
        assert!(stopped.to_string().contains("3 of 6"), "{stopped}");
        let resumed = trained(&table, &settings, Some(&checkpoint), 0).unwrap();
        assert!(whole == bytes(&resumed, &folder.join("resumed")), "{method}: resumed");
        // The history of a training that was stopped is the whole one's: it is in the bytes.
        assert_eq!(resumed.history.losses.len(), 6, "{method}");
        let other = Settings { seed: 1, ..settings };
        assert!(
            whole != bytes(&trained(&table, &other, None, 0).unwrap(), &folder.join("other")),
            "{method}: seeds"
        );
        let refused = trained(&a_table(700), &other, Some(&checkpoint), 0).err().unwrap().to_string();
        assert!(refused.contains("no checkpoint of this training"), "{refused}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_file_makes_the_rows_that_its_generator_made() {
    let folder = scratch("file");
    let table = a_table(400);
    for method in [Method::Tablegan, Method::WganGp, Method::Ctgan, Method::Smote] {
        let generator = trained(&table, &settings(method, 2), None, 0).unwrap();
        generator.save(&folder.join("generator")).unwrap();
        let again = Generator::load(&folder.join("generator")).unwrap();
        assert_eq!(generator.facts, again.facts);
        let (first, second) = (rows(&generator, 300, Some(0.5)), rows(&again, 300, Some(0.5)));
        let same =
            |(a, b): (&Column, &Column)| a.values.iter().zip(&b.values).all(|(a, b)| a.total_cmp(b).is_eq());
        assert!(first.columns.iter().zip(&second.columns).all(same), "{method}");
        assert_eq!(first.frauds().len(), 150, "{method}");
    }
    std::fs::write(folder.join("generator"), b"not a generator").unwrap();
    let error = Generator::load(&folder.join("generator")).err().unwrap();
    assert!(format!("{error:#}").contains("is no generator"), "{error:#}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_file_and_a_checkpoint_tell_how_the_training_went() {
    let folder = scratch("history");
    let table = a_table(600);
    let settings = settings(Method::WganGp, 4);
    let checkpoint = folder.join("checkpoint");
    trained(&table, &settings, Some(&checkpoint), 2).err().unwrap();
    let (facts, so_far) = fit::outline(&checkpoint).unwrap();
    let whole = trained(&table, &settings, Some(&checkpoint), 0).unwrap();
    assert_eq!((&facts.id, facts.rows, facts.epochs), (&whole.facts.id, 600, (0, 0)));
    assert_eq!((so_far.losses.len(), whole.history.losses.len()), (2, 4));
    assert_eq!(so_far.losses, whole.history.losses[..2]);
    assert_eq!(so_far.distances, whole.history.distances[..so_far.distances.len()]);
    assert_eq!(whole.history.best().map(|(_, distance)| distance), whole.facts.distance);
    let file = folder.join("generator");
    whole.save(&file).unwrap();
    assert_eq!(generator::outline(&file).unwrap(), (whole.facts.clone(), whole.history.clone()));
    assert_eq!(Generator::load(&file).unwrap().history, whole.history);
    for (wrong, said) in [(&checkpoint, "is no generator"), (&folder.join("absent"), "cannot read")] {
        let error = format!("{:#}", generator::outline(wrong).unwrap_err());
        assert!(error.contains(said), "{error}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// Files of earlier versions end before the history.
#[test]
fn a_file_without_a_history_is_read() {
    let folder = scratch("old");
    let generator = trained(&a_table(300), &settings(Method::WganGp, 2), None, 0).unwrap();
    let file = folder.join("generator");
    generator.save(&file).unwrap();
    let bytes = std::fs::read(&file).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = String::from_utf8(bytes[8..8 + length].to_vec()).unwrap();
    let begin = header.find(",{\\\"losses\\\":").unwrap();
    let end = begin + header[begin..].find("]\"").unwrap();
    let mut old = format!("{}{}", &header[..begin], &header[end..]).into_bytes();
    // The header is filled up with blanks, so that the arrays stay where they are.
    old.resize(length, b' ');
    std::fs::write(&file, [&bytes[..8], &old, &bytes[8 + length..]].concat()).unwrap();
    let read = Generator::load(&file).unwrap();
    assert_eq!((&read.facts, &read.history), (&generator.facts, &fit::History::default()));
    assert_eq!(generator::outline(&file).unwrap().1, fit::History::default());
    assert_eq!(rows(&read, 50, None).columns[0].values, rows(&generator, 50, None).columns[0].values);
    std::fs::remove_dir_all(folder).unwrap();
}

fn mean(table: &Table, column: &str, rows: &[usize]) -> f64 {
    let values = &table.column(column).unwrap().values;
    let known: Vec<f64> = rows.iter().map(|row| values[*row]).filter(|value| !value.is_nan()).collect();
    known.iter().sum::<f64>() / known.len() as f64
}

/// Shares, means and the dependence of two numbers are those of the real rows, in each class.
#[test]
fn what_is_made_is_near_what_was_learnt_from() {
    let table = a_table(2_000);
    for method in NETWORKS {
        let made = rows(&trained(&table, &settings(method, 30), None, 0).unwrap(), 2_000, None);
        assert_eq!(made.frauds().len(), 200, "{method}");
        for (real_rows, made_rows) in [(table.frauds(), made.frauds()), (genuine(&table), genuine(&made))] {
            let (real, synthetic) = (mean(&table, "amount", &real_rows), mean(&made, "amount", &made_rows));
            assert!((synthetic / real - 1.0).abs() < 0.25, "{method}: a mean of {synthetic}, not {real}");
            let (real, synthetic) = (mean(&table, "trade", &real_rows), mean(&made, "trade", &made_rows));
            assert!((synthetic - real).abs() < 0.08, "{method}: words {synthetic}, not {real}");
        }
        let missing = made.column("distance").unwrap().values.iter().filter(|value| value.is_nan()).count();
        assert!((100..320).contains(&missing), "{method}: {missing} missing of about 200");
        let (amount, visits) = (made.column("amount").unwrap(), made.column("visits").unwrap());
        assert!(
            visits.values.iter().all(|value| value.fract() == 0.0 && (0.0..5.0).contains(value)),
            "{method}"
        );
        assert!(
            amount.values.iter().all(|value| ((value * 100.0) - (value * 100.0).round()).abs() < 1e-6),
            "{method}"
        );
    }
}

fn genuine(table: &Table) -> Vec<usize> {
    let frauds = table.frauds();
    (0..table.len()).filter(|row| !frauds.contains(row)).collect()
}

#[test]
fn a_mixture_has_the_shares_that_were_asked_for_and_says_what_is_made() {
    let table = a_table(5_000);
    let frauds = table.select(&table.frauds());
    let generator = trained(&frauds, &settings(Method::WganGp, 3), None, 0).unwrap();
    let wanted = Mixture { fraud_share: 0.002, synthetic_share: 0.6, seed: 1 };
    let (mixed, marks) = mix(&table, &generator, &wanted).unwrap();
    let made: Vec<usize> = (0..mixed.len()).filter(|row| !marks[*row].is_empty()).collect();
    assert_eq!((mixed.frauds().len(), made.len()), (9, 5));
    assert!(made.iter().all(|row| mixed.frauds().contains(row) && marks[*row].starts_with("wgan-gp-")));
    assert!(mixed.times_us.is_sorted());
    let impossible = Mixture { fraud_share: 0.5, synthetic_share: 0.1, seed: 1 };
    let error = mix(&table, &generator, &impossible).unwrap_err().to_string();
    assert!(error.contains("4050 frauds of the real file are wanted and it has 500"), "{error}");
}

#[test]
fn what_the_system_says_of_a_file_is_said_once() {
    let error = read_columns(Path::new("absent.csv"), None).err().unwrap();
    assert_eq!(format!("{error:#}").matches("No such file").count(), 1, "{error:#}");
}

#[test]
fn a_file_of_made_rows_is_read_back_as_it_was_without_its_marks() {
    let folder = scratch("write");
    let table = a_table(50);
    let marks = vec!["ctgan-1".to_string(); 50];
    for ending in ["csv", "parquet"] {
        let path = folder.join(format!("made.{ending}"));
        write(&table, &marks, None, 0, &path).unwrap();
        let back = read_columns(&path, Some("is_fraud")).unwrap();
        assert!(back.column(MARK).is_none());
        assert_eq!(back.column("amount"), table.column("amount"), "{ending}");
        let words = |table: &Table| -> Vec<String> {
            let column = table.column("trade").unwrap();
            column.values.iter().map(|value| column.word(*value).unwrap().to_string()).collect()
        };
        assert_eq!(words(&back), words(&table), "{ending}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_has_been_seen_is_refused_as_a_test() {
    let generator = trained(&a_table(300), &settings(Method::Smote, 1), None, 0).unwrap();
    assert_eq!(generator.facts.period(), Some(0..299_000_001));
    assert!(generator.facts.refuse_overlap(&(299_000_001..400_000_000)).is_ok());
    let error = generator.facts.refuse_overlap(&(200_000_000..400_000_000)).unwrap_err().to_string();
    assert!(error.contains("1970-01-01T00:03:20") && error.contains(&generator.facts.id), "{error}");
}

/// A model that learnt from a file with made rows knows whose they are, and is refused where their generator has been.
#[test]
fn a_model_remembers_whose_rows_it_learnt_from() {
    let folder = scratch("marks");
    let text = include_str!("../../../../detectors/ulb.toml");
    let detector = std::sync::Arc::new(engine::Detector::parse(text).unwrap());
    let mut table = Table::default();
    for field in detector.schema.fields.iter().skip(1) {
        let kind = if field.name == "Class" { Kind::Label } else { Kind::Number { decimals: Some(2) } };
        let value = |row: usize| match field.name.as_str() {
            "Class" => f64::from(u8::from(row.is_multiple_of(10))),
            "Time" => row as f64,
            _ => f64::from(u8::from(row.is_multiple_of(10))) + (row % 7) as f64,
        };
        table
            .columns
            .push(Column { values: (0..500).map(value).collect(), ..Column::new(&field.name, kind) });
    }
    let mark = "ctgan-1@2013-09-01T00:00:00Z/2013-09-01T01:00:00Z";
    let marks: Vec<String> =
        (0..500).map(|row| if row == 100 { mark.to_string() } else { String::new() }).collect();
    let path = folder.join("mixed.csv");
    write(&table, &marks, Some(&detector.schema), 0, &path).unwrap();
    let (set, _) = lab::train::load(&detector, &path, &Default::default(), None, &mut |_| {}).unwrap();
    let params =
        forest::grow::Params { trees: 3, ..forest::grow::Params::defaults(forest::grow::Algorithm::Gbdt) };
    let model = lab::train::train(&detector, &set, &lab::train::Recipe::plain(params), &mut |_| {}).unwrap();
    let start = 1_377_993_600_000_000_i64;
    let hour = 3_600_000_000;
    assert!(refuse_seen(&model, &(start + hour..start + 2 * hour)).is_ok());
    let error = refuse_seen(&model, &(start + hour / 2..start + 2 * hour)).unwrap_err().to_string();
    assert!(error.contains("ctgan-1") && error.contains("2013-09-01T01:00:00Z"), "{error}");
    std::fs::remove_dir_all(folder).unwrap();
}
