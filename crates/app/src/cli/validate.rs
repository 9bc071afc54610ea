//! `redflag validate`: a recipe on one split of the time after the other.

use anyhow::Result;
use clap::ValueEnum;
use lab::validate::{Fold, Protocol, Spread, fold};

use super::input::Input;
use super::output::CountBar;
use super::recipe::Making;
use super::splitting::Splitting;

/// Train and measure a model on several splits, each later than the one before; no row is tested on that was learnt from.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The tests of the folds follow each other and end with the data, or at --to. Between training and test lie the days in which
labels become known.

Examples:
  redflag validate --detector card --in transactions.parquet --folds 4
  redflag validate --detector card-handbook --in transactions.parquet --protocol handbook --to 2018-09-05 --folds 4 \\
    --train-days 7 --delay-days 7 --test-days 7 --engine xgboost --trees 50 --max-depth 3")]
pub struct Args {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    splitting: Splitting,
    /// Splits
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    folds: u16,
    /// Which rows of a test count
    #[arg(long, value_enum, default_value_t = Counted::All)]
    protocol: Counted,
    #[command(flatten)]
    making: Making,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Counted {
    /// All
    All,
    /// The Handbook's: those of cards that are not known to be defrauded
    Handbook,
}

impl From<Counted> for Protocol {
    fn from(counted: Counted) -> Protocol {
        match counted {
            Counted::All => Protocol::All,
            Counted::Handbook => Protocol::Handbook,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// If the input cannot be read or split, or a fold cannot be learnt from.
pub fn run(args: Args) -> Result<()> {
    let recipe = args.making.recipe()?;
    let (detector, columns) = args.input.load()?;
    let (set, _) = args.input.load_set(&detector, &columns, args.splitting.period()?)?;
    let splits = args.splitting.splits(&detector, &set, usize::from(args.folds))?;
    let bar = CountBar::new("validating", "folds", Some(splits.len() as u64));
    let mut folds = Vec::with_capacity(splits.len());
    for split in &splits {
        folds.push(fold(&detector, &set, split, &recipe, args.protocol.into())?);
        bar.show(folds.len() as u64);
    }
    bar.finish();
    if args.json {
        println!("{}", serde_json::json!({ "folds": folds, "spread": spreads(&folds) }));
    } else {
        print_table(&folds);
    }
    Ok(())
}

/// A figure of a fold, by name.
pub type Figure = (&'static str, fn(&Fold) -> Option<f64>);

/// Those that are shown and kept.
pub const FIGURES: [Figure; 8] = [
    ("average_precision", |fold| Some(fold.evaluation.average_precision)),
    ("auc_roc", |fold| Some(fold.evaluation.auc_roc)),
    ("card_precision_at_100", |fold| fold.evaluation.card_precision_at_100),
    ("card_precision_at_100_ceiling", |fold| fold.evaluation.card_precision_at_100_ceiling),
    ("recall_at_fpr_0_01", |fold| Some(fold.evaluation.recall_at_fpr_0_01)),
    ("precision_at_recall_0_99", |fold| Some(fold.evaluation.precision_at_recall_0_99)),
    ("best_f1", |fold| Some(fold.evaluation.best_f1)),
    ("brier", |fold| Some(fold.evaluation.brier)),
];

fn spreads(folds: &[Fold]) -> serde_json::Map<String, serde_json::Value> {
    let spread =
        |figure: fn(&Fold) -> Option<f64>| Spread::of(&folds.iter().filter_map(figure).collect::<Vec<_>>());
    let entry = |(name, figure): Figure| Some((name.to_string(), serde_json::json!(spread(figure)?)));
    FIGURES.into_iter().filter_map(entry).collect()
}

fn print_table(folds: &[Fold]) {
    println!(
        "{:<23} {:<23} {:>8} {:>7} {:>8} {:>7} {:>8} {:>8} {:>9}",
        "training", "test", "rows", "frauds", "avg pr", "AUC", "card@100", "ceiling", "recall 1%"
    );
    for fold in folds {
        let figures = &fold.evaluation;
        let of_cards = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.4}"));
        println!(
            "{:<23} {:<23} {:>8} {:>7} {:>8.4} {:>7.4} {:>8} {:>8} {:>9.4}",
            format!("{} {}", day(&fold.train_from), day(&fold.train_to)),
            format!("{} {}", day(&fold.test_from), day(&fold.test_to)),
            figures.rows,
            figures.frauds,
            figures.average_precision,
            figures.auc_roc,
            of_cards(figures.card_precision_at_100),
            of_cards(figures.card_precision_at_100_ceiling),
            figures.recall_at_fpr_0_01,
        );
    }
    for (name, figure) in FIGURES {
        let values: Vec<f64> = folds.iter().filter_map(figure).collect();
        if let Some(Spread { mean, deviation }) = Spread::of(&values) {
            println!("{name:<30} {mean:.4} +/- {deviation:.4}");
        }
    }
}

fn day(instant: &str) -> &str {
    instant.split('T').next().unwrap_or(instant)
}
