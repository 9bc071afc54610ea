//! `redflag store`: what a database holds, all of it into another, and decisions as a table.

mod erase;
mod export;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use serde_json::json;
use store::{Database, Shape, Store, Sync, TableSum, Totals, checksums, transfer};

use super::WrongInput;
use super::output::CountBar;

/// Where a service keeps what it remembers.
#[derive(Debug, clap::Args)]
pub struct Kept {
    /// The data folder of the service
    #[arg(long, default_value = "redflag-data")]
    pub data_dir: PathBuf,
    /// The database, where it is not the SQLite file in the data folder
    #[arg(long, value_name = "URL|FILE", env = "REDFLAG_DATABASE", hide_env_values = true, value_parser = Database::parse)]
    database: Option<Database>,
}

impl Kept {
    /// The database.
    pub fn database(&self) -> Database {
        self.database.clone().unwrap_or_else(|| Database::in_folder(&self.data_dir))
    }

    /// Opens the database for reading.
    ///
    /// # Errors
    /// If there is none.
    pub fn open_reader(&self) -> Result<Box<dyn Store>> {
        let database = self.database();
        database.open_reader().with_context(|| format!("no database at {database}"))
    }
}

/// Look at the database, copy it into another, export decisions.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Kind, schema, rows, size, partitions, totals
    #[command(after_help = "Example: redflag store status --database postgres://redflag@db/redflag")]
    Status {
        #[command(flatten)]
        kept: Kept,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Copy everything into another database, and check that both hold the same
    #[command(after_help = "\
Stop the service first: what it writes meanwhile may be missed. Interrupted, the same command goes on where it ended.

Example: redflag store migrate --from redflag-data/redflag.db --to postgres://redflag@db/redflag")]
    Migrate {
        /// The database that is copied
        #[arg(long, value_name = "URL|FILE", value_parser = Database::parse)]
        from: Database,
        /// The database that becomes its copy: empty, or a copy that was interrupted
        #[arg(long, value_name = "URL|FILE", value_parser = Database::parse)]
        to: Database,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Erase an id from all that a stopped service keeps; a random tombstone stands for it from then on
    #[command(after_help = "\
A running service is asked by POST /v1/erasures. Scores stay, and are still recomputed to the bit.

Example: redflag store erase --field customer_id --value 596 --reason 'request of 2026-11-23'")]
    Erase(erase::Args),
    /// Write decisions with their features, one column each, to a file
    Export(export::Args),
}

/// Runs the command.
///
/// # Errors
/// If a database cannot be used, or a copy differs.
pub fn run(args: Args) -> Result<()> {
    match args.what {
        What::Status { kept, json } => status(&kept, json),
        What::Migrate { from, to, json } => migrate(&from, &to, json),
        What::Erase(args) => erase::run(&args),
        What::Export(args) => export::run(&args),
    }
}

fn status(kept: &Kept, json: bool) -> Result<()> {
    let mut store = kept.open_reader()?;
    let (shape, totals) = (store.shape()?, store.totals()?);
    if json {
        let database = kept.database().to_string();
        println!("{:#}", json!({ "database": database, "shape": shape, "totals": totals }));
    } else {
        print_shape(&kept.database(), &shape);
        print_totals(&totals);
    }
    Ok(())
}

fn print_shape(database: &Database, shape: &Shape) {
    println!("database    {database}");
    println!("kind        {}, schema version {}", shape.kind, shape.schema);
    println!("size        {}", mebibytes(shape.bytes));
    println!(
        "rows        {} decisions, {} labels, {} rejections, {} versions",
        shape.decisions, shape.labels, shape.rejections, shape.versions
    );
    for partition in &shape.partitions {
        println!(
            "  {:<20} {:>12} decisions  {}",
            partition.name,
            partition.decisions,
            mebibytes(partition.bytes)
        );
    }
}

fn print_totals(totals: &Totals) {
    let [approve, review, decline] = totals.outcomes;
    println!(
        "decided     {} ({approve} approved, {review} in review, {decline} declined)",
        totals.decisions()
    );
    println!("            {} late, {} repeated, {} rejected", totals.late, totals.repeated, totals.rejected);
    println!("labels      {}, of which fraud {}", totals.labels, totals.labelled_fraud);
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

fn migrate(from: &Database, to: &Database, json: bool) -> Result<()> {
    if from == to {
        return Err(WrongInput(format!("--to is {to}: expected another database than --from")).into());
    }
    let mut source = from.open_reader().with_context(|| format!("no database at {from}"))?;
    let mut target = to.open(Sync::Commit).with_context(|| format!("database {to}"))?;
    target.hold_log().with_context(|| format!("database {to}"))?;
    let total = source.shape()?.decisions;
    let bar = CountBar::new("copying", "decisions", Some(total));
    transfer(&mut *source, &mut *target, &mut |done| bar.show(done))?;
    bar.finish();
    let bar = CountBar::new("comparing", "decisions", Some(2 * total));
    let theirs = checksums(&mut *source, &mut |done| bar.show(done))?;
    let ours = checksums(&mut *target, &mut |done| bar.show(total + done))?;
    bar.finish();
    report(&theirs, &ours, json);
    if theirs != ours {
        bail!("{to} does not hold what {from} holds");
    }
    Ok(())
}

fn report(theirs: &[TableSum], ours: &[TableSum], json: bool) {
    if json {
        println!("{:#}", json!({ "from": theirs, "to": ours, "identical": theirs == ours }));
        return;
    }
    println!("{:<12} {:>12} {:>18} {:>12} {:>18}", "table", "rows", "checksum", "rows", "checksum");
    for (from, to) in theirs.iter().zip(ours) {
        let verdict = if from == to { "identical" } else { "DIFFERENT" };
        println!(
            "{:<12} {:>12} {:>18} {:>12} {:>18}  {verdict}",
            from.table, from.rows, from.checksum, to.rows, to.checksum
        );
    }
}
