//! `redflag store erase`: an id goes for good, where no service runs.

use std::sync::Arc;

use anyhow::{Context, Result};
use store::Sync;

use super::{Kept, WrongInput};
use crate::cli::output::load_detector;
use crate::service::erasure::{PendingErasure, carry_out, go_on};
use crate::service::privacy;
use crate::service::run::DataDir;
use crate::service::wire::ErasureDone;

/// Whose id is to go, and why.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    kept: Kept,
    /// The field that holds the id
    #[arg(long)]
    field: String,
    /// The id; of a card its number or its token
    #[arg(long)]
    value: String,
    /// Why
    #[arg(long)]
    reason: String,
    /// The detector of the service: the name of a shipped one, or a file
    #[arg(long, default_value = "card")]
    detector: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// If a service has the data folder, the field holds no ids, or the database refuses.
pub fn run(args: &Args) -> Result<()> {
    if args.reason.trim().is_empty() {
        return Err(WrongInput("--reason is \"\": expected words".to_string()).into());
    }
    let folder = &args.kept.data_dir;
    let data_dir = DataDir::take(folder).context("a running service is asked by POST /v1/erasures")?;
    let mut detector = load_detector(&args.detector)?;
    if let Some(cards) = privacy::kept_cards(folder)? {
        Arc::make_mut(&mut detector).schema.cards = cards;
    }
    let pending = PendingErasure::of(&detector.schema, &args.field, &args.value)?
        .map_err(|error| WrongInput(error.to_string()))?;
    let database = args.kept.database();
    database.open_reader().with_context(|| format!("no database at {database}"))?;
    let mut store = database.open(Sync::Commit).with_context(|| format!("database {database}"))?;
    store.hold_log().with_context(|| format!("database {database}"))?;
    go_on(&data_dir.recovery, &detector, &mut *store)?;
    data_dir.recovery.begin_erasure(&pending)?;
    let erased = carry_out(&pending, &data_dir.recovery, &detector, &mut *store)?;
    let done = ErasureDone::of(pending.tombstone, erased, false);
    if args.json {
        println!("{}", serde_json::to_string_pretty(&done)?);
    } else {
        let ErasureDone { tombstone, decisions, alerts, notes, rejections, .. } = done;
        println!(
            "erased from {decisions} decisions, {alerts} alerts, {notes} notes and {rejections} rejections"
        );
        println!("{tombstone} stands for it");
    }
    Ok(())
}
