//! `redflag evaluate`: every figure that the field asks for, of one model on one stretch of time.

use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;
use engine::Detector;
use engine::time::{TIME_RANGE_US, format_instant, parse_instant};
use lab::artifact::ModelFile;
use lab::dataset::{ColumnType, TableWriter};
use lab::evaluate::report::{ConfusionFigures, Evaluation, OutcomeFigures, Plan, Scored, evaluate, score};
use lab::synth::made::refuse_seen;

use super::WrongInput;
use super::output::{ReplayBar, bind_model, column_map, instant, load_detector, load_model, warn_of_rejects};

/// Measure a model on a later stretch of a file; what comes before it fills the windows.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Times are half-open: from is in, to is out. Card precision@100 is the share of compromised cards among the 100 of
highest score, the mean over days; its ceiling is what a perfect ranking would reach.

Examples:
  redflag evaluate --detector card --model card.model --in transactions.parquet --from 2018-08-08 --to 2018-08-15
  redflag evaluate --scores scores.csv --json")]
pub struct Args {
    /// Detector: the name of a shipped one, or a file
    #[arg(long, value_name = "NAME|FILE", required_unless_present = "scores")]
    detector: Option<String>,
    /// A model that was trained for the detector
    #[arg(long, value_name = "FILE", required_unless_present = "scores")]
    model: Option<PathBuf>,
    /// Transactions: .csv, .jsonl, .ndjson or .parquet
    #[arg(long = "in", value_name = "FILE", required_unless_present = "scores")]
    input: Option<PathBuf>,
    /// Columns that have another name than the detector's field
    #[arg(long, value_name = "FIELD=COLUMN,...")]
    columns: Option<String>,
    /// First instant of the test period [default: the end of training]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Option<i64>,
    /// First instant after the test period [default: the end of the file]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    to: Option<i64>,
    /// Follow a published protocol
    #[arg(long, value_enum)]
    protocol: Option<Protocol>,
    /// Write id, score, label, amount and outcome of every row that counts: .csv, .jsonl or .parquet
    #[arg(long, value_name = "FILE")]
    save_scores: Option<PathBuf>,
    /// Measure scores made elsewhere: CSV with the columns score and label
    #[arg(long, value_name = "FILE", conflicts_with_all = ["detector", "model", "input", "from", "to", "protocol"])]
    scores: Option<PathBuf>,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Protocol {
    /// The Fraud Detection Handbook's: cards known to be defrauded are left out
    Handbook,
}

/// Runs the command.
///
/// # Errors
/// If the input cannot be read, or what is in it cannot be measured.
pub fn run(args: Args) -> Result<()> {
    if let Some(path) = &args.scores {
        let scored = Scored::load(path).map_err(|error| WrongInput(format!("{error:#}")))?;
        let evaluation = evaluate(&scored, None)?;
        return if args.json { print_json(&evaluation, &[]) } else { print_table(&evaluation) };
    }
    let (Some(detector), Some(model), Some(input)) = (&args.detector, &args.model, &args.input) else {
        return Err(WrongInput("--detector, --model and --in are needed without --scores".to_string()).into());
    };
    measure(&args, detector, model, input)
}

fn measure(args: &Args, detector: &str, model: &Path, input: &Path) -> Result<()> {
    let detector = load_detector(detector)?;
    let file = load_model(model)?;
    let training = training_period(&file)?;
    let test = test_period(args, training.as_ref())?;
    refuse_seen(&file, &test).map_err(|error| WrongInput(error.to_string()))?;
    let plan = Plan {
        detector: &detector,
        model: bind_model(&file, &detector)?,
        input,
        columns: &column_map(args.columns.as_deref(), &detector)?,
        test: test.clone(),
        handbook_training: training.filter(|_| args.protocol.is_some()),
    };
    let bar = ReplayBar::new("scoring");
    let scored = score(&plan, &mut |progress| bar.show(progress));
    bar.finish();
    let scored = scored?;
    warn_of_rejects(&scored.summary, input);
    if let Some(path) = &args.save_scores {
        save_scores(&scored, path)?;
    }
    let evaluation = evaluate(&scored, Some(&detector))?;
    report(args, &detector, &file, &test, &evaluation)
}

/// None of an imported model, which does not say.
fn training_period(file: &ModelFile) -> Result<Option<Range<i64>>> {
    if file.trained_to.is_empty() {
        return Ok(None);
    }
    let read = |text: &str| {
        let instant = parse_instant(text);
        instant
            .with_context(|| format!("model {}: its training period has {text:?}, expected a time", file.id))
    };
    Ok(Some(read(&file.trained_from)?..read(&file.trained_to)?))
}

fn test_period(args: &Args, training: Option<&Range<i64>>) -> Result<Range<i64>> {
    let unknown = || args.from.filter(|_| args.protocol.is_none()).map(|from| from..from);
    let Some(training) = training.cloned().or_else(unknown) else {
        let message = "the model does not say when it was trained: give --from (and no --protocol), or import it \
                       with --trained-from and --trained-to";
        return Err(WrongInput(message.to_string()).into());
    };
    let test = args.from.unwrap_or(training.end)..args.to.unwrap_or(*TIME_RANGE_US.end());
    let (from, to, trained_to) =
        (format_instant(test.start), format_instant(test.end), format_instant(training.end));
    if test.is_empty() {
        return Err(WrongInput(format!("--to is {to}: expected a time after --from, {from}")).into());
    }
    if test.start < training.end && training.start < test.end {
        let message =
            "the test period, from {from}, overlaps the training period, to {trained_to}: that is a leak";
        let message = message.replace("{from}", &from).replace("{trained_to}", &trained_to);
        if args.protocol.is_some() {
            return Err(WrongInput(message).into());
        }
        eprintln!("warning: {message}");
    }
    if args.protocol.is_some() && args.to.is_none() {
        return Err(
            WrongInput("--protocol handbook needs --to: the days of the test count".to_string()).into()
        );
    }
    Ok(test)
}

fn save_scores(scored: &Scored, path: &Path) -> Result<()> {
    let columns = [
        ("id", ColumnType::Id),
        ("score", ColumnType::Number),
        ("label", ColumnType::Integer),
        ("amount", ColumnType::Number),
        ("outcome", ColumnType::Text),
    ];
    let mut table = TableWriter::create(path, &columns.map(|(name, kind)| (name.to_string(), kind)))?;
    for row in 0..scored.labels.len() {
        table.text(&scored.ids[row]);
        table.number(scored.scores[row]);
        table.integer(i64::from(scored.labels[row]));
        table.number(scored.amounts[row]);
        table.text(scored.outcomes[row].name());
        table.end_row()?;
    }
    table.finish().map(drop)
}

fn report(
    args: &Args,
    detector: &Detector,
    file: &ModelFile,
    test: &Range<i64>,
    evaluation: &Evaluation,
) -> Result<()> {
    let protocol = args.protocol.map_or("all rows", |_| "handbook");
    let (from, to) = (format_instant(test.start), format_instant(test.end));
    if args.json {
        let about = [
            ("detector", detector.name.as_str()),
            ("model", &file.id),
            ("from", &from),
            ("to", &to),
            ("protocol", protocol),
        ];
        return print_json(evaluation, &about);
    }
    println!("{} on {}, from {from} to {to}, {protocol}\n", file.id, detector.name);
    print_table(evaluation)
}

fn print_json(evaluation: &Evaluation, about: &[(&str, &str)]) -> Result<()> {
    let mut found = serde_json::to_value(evaluation)?;
    for (name, value) in about {
        found[*name] = (*value).into();
    }
    println!("{found}");
    Ok(())
}

fn print_table(evaluation: &Evaluation) -> Result<()> {
    let share = 100.0 * evaluation.frauds as f64 / evaluation.rows as f64;
    line("transactions", evaluation.rows, "");
    line("frauds", evaluation.frauds, &format!("{share:.3} %"));
    figure("AUC ROC", evaluation.auc_roc, "");
    figure("average precision", evaluation.average_precision, &format!("by chance {:.4}", share / 100.0));
    if let (Some(precision), Some(ceiling)) =
        (evaluation.card_precision_at_100, evaluation.card_precision_at_100_ceiling)
    {
        figure("card precision@100", precision, &format!("ceiling {ceiling:.4}"));
    }
    figure("recall at FPR 0.1 %", evaluation.recall_at_fpr_0_001, "");
    figure("recall at FPR 1 %", evaluation.recall_at_fpr_0_01, "");
    figure("recall at FPR 5 %", evaluation.recall_at_fpr_0_05, "");
    figure("precision at recall 99 %", evaluation.precision_at_recall_0_99, "");
    figure("best F1", evaluation.best_f1, &format!("at score {:.4}", evaluation.best_f1_threshold));
    figure("Brier score", evaluation.brier, "");
    figure("log loss", evaluation.log_loss, "");
    print_confusion(&evaluation.confusion_at_0_5);
    evaluation.outcomes.as_ref().map_or(Ok(()), print_outcomes)
}

fn print_confusion(at: &ConfusionFigures) {
    println!("\nat score 0.5         flagged     passed");
    println!(
        "fraud             {:>10} {:>10}   recall    {:.4}",
        at.true_positives, at.false_negatives, at.recall
    );
    println!(
        "genuine           {:>10} {:>10}   precision {:.4}",
        at.false_positives, at.true_negatives, at.precision
    );
    println!("{:42}F1        {:.4}", "", at.f1);
    println!("{:42}accuracy  {:.4}", "", at.accuracy);
}

fn print_outcomes(figures: &OutcomeFigures) -> Result<()> {
    println!("\noutcomes               all      fraud");
    for outcome in engine::Outcome::ALL.map(engine::Outcome::name) {
        let count =
            |counts: &std::collections::BTreeMap<String, u64>| counts.get(outcome).copied().unwrap_or(0);
        println!("{outcome:<15} {:>10} {:>10}", count(&figures.counts), count(&figures.frauds));
    }
    if let (Some(cost), Some(without)) = (figures.cost, figures.cost_without_detector) {
        println!("{:<15} {cost:>10.2}   approving everything costs {without:.2}", "cost");
    }
    Ok(())
}

fn line(name: &str, value: impl std::fmt::Display, note: &str) {
    println!("{}", format!("{name:<20} {value:>10}   {note}").trim_end());
}

fn figure(name: &str, value: f64, note: &str) {
    line(name, format!("{value:.4}"), note);
}
