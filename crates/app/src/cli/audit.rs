//! `redflag audit`: who did and saw what, and whether the log of it is as it was written.

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use engine::time::{format_instant, parse_instant};
use serde_json::json;
use store::{AuditEntry, AuditFilter, AuditLog, Chain, Flaw};

use super::WrongInput;
use super::output::CountBar;
use super::store::Kept;
use crate::service::privacy::kept_cards;
use crate::service::wire;

/// Look at the audit log, and check that nobody has changed it.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print entries, the newest first
    #[command(
        after_help = "Example: redflag audit list --by anna --action 'alerts.*' --from 2026-01-01T00:00:00Z"
    )]
    List {
        #[command(flatten)]
        kept: Kept,
        /// Only by this one
        #[arg(long)]
        by: Option<String>,
        /// Only this action, as decision.read, or all of a kind, as rules.*
        #[arg(long)]
        action: Option<String>,
        /// Only what was seen or changed of this entity, by its id. Of what is found, at most --limit are looked at
        #[arg(long, value_name = "ID")]
        about: Option<String>,
        /// From this time on, RFC 3339
        #[arg(long, value_parser = instant)]
        from: Option<i64>,
        /// Before this time, RFC 3339
        #[arg(long, value_parser = instant)]
        to: Option<i64>,
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: usize,
        /// One JSON object an entry
        #[arg(long)]
        json: bool,
    },
    /// Check that each entry follows from the one before it
    #[command(after_help = "\
What was cut off at the end leaves no gap: write number and hash of the last entry down somewhere else, and give them with
--known the next time.

Example: redflag audit verify --known 1042:5f1e...")]
    Verify {
        #[command(flatten)]
        kept: Kept,
        /// An entry that was there before, with its hash
        #[arg(long, value_name = "NUMBER:HASH", value_parser = known)]
        known: Option<(i64, String)>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

fn instant(text: &str) -> Result<i64, String> {
    parse_instant(text).ok_or_else(|| "expected an RFC 3339 time, as 2026-01-31T12:00:00Z".to_string())
}

fn known(text: &str) -> Result<(i64, String), String> {
    let parts = text.split_once(':').and_then(|(number, hash)| {
        let number = number.parse().ok().filter(|number| *number > 0)?;
        (hash.len() == 64).then(|| (number, hash.to_ascii_lowercase()))
    });
    parts.ok_or_else(|| "expected the number of an entry, a colon, and the 64 digits of its hash".to_string())
}

/// Runs the command.
///
/// # Errors
/// If there is no audit log, or it was changed.
pub fn run(args: Args) -> Result<()> {
    match args.what {
        What::List { kept, by, action, about, from, to, limit, json } => {
            let filter = AuditFilter { before: None, by, action, from_us: from, to_us: to, limit };
            let about = about.map(|id| pseudonym(&kept, &id)).transpose()?;
            list(&mut open(&kept)?, &filter, about.as_deref(), json)
        }
        What::Verify { kept, known, json } => verify(&mut open(&kept)?, known, json),
    }
}

fn open(kept: &Kept) -> Result<AuditLog> {
    let log = AuditLog::open_reader(Some(&kept.database()), &kept.data_dir);
    log.with_context(|| format!("no audit log in {} or {}", kept.data_dir.display(), kept.database()))
}

/// What an entity is noted as.
fn pseudonym(kept: &Kept, id: &str) -> Result<String> {
    let cards = kept_cards(&kept.data_dir)?;
    let unknown = || {
        WrongInput(format!(
            "--about needs the key of card tokens: there is none in {}",
            kept.data_dir.display()
        ))
    };
    Ok(cards.ok_or_else(unknown)?.pseudonym(id))
}

fn list(log: &mut AuditLog, filter: &AuditFilter, about: Option<&str>, json: bool) -> Result<()> {
    let found = log.entries(filter)?.into_iter();
    for stored in found.filter(|stored| about.is_none_or(|about| stored.entry.subject.contains(about))) {
        if json {
            println!("{}", serde_json::to_string(&wire::AuditEntry::from(stored))?);
        } else {
            println!("{}", line(&stored));
        }
    }
    Ok(())
}

fn line(stored: &AuditEntry) -> String {
    let entry = &stored.entry;
    let roles = if entry.roles.is_empty() { String::new() } else { format!(" ({})", entry.roles) };
    let detail = if entry.detail.is_empty() { String::new() } else { format!("  {}", entry.detail) };
    format!(
        "{:>8}  {}  {}{roles}  {}  {}  {}{detail}",
        stored.number,
        format_instant(entry.at_us),
        entry.by,
        entry.action,
        entry.subject,
        entry.outcome
    )
}

fn verify(log: &mut AuditLog, known: Option<(i64, String)>, json: bool) -> Result<()> {
    let bar = CountBar::new("checking", "entries", None);
    let chain = log.verify(&mut |count| bar.show(count))?;
    bar.finish();
    let missed = known.filter(|known| !holds(log, known)).map(|(number, _)| number);
    if json {
        println!("{:#}", described(&chain, missed));
    } else if chain.flaw.is_none() && missed.is_none() {
        println!("{} entries, each follows from the one before", chain.number);
        println!("the last one: {}:{}", chain.number, chain.hash.hex());
    }
    match (chain.flaw, missed) {
        (Some(Flaw::Missing(number)), _) => bail!("entry {number} is missing, later ones are there"),
        (Some(Flaw::Changed(number)), _) => bail!("entry {number} is not what was written"),
        (None, Some(number)) => {
            Err(WrongInput(format!("entry {number} is not the one that --known says")).into())
        }
        (None, None) => Ok(()),
    }
}

fn holds(log: &mut AuditLog, (number, hash): &(i64, String)) -> bool {
    let filter = AuditFilter { before: Some(number + 1), limit: 1, ..AuditFilter::default() };
    // What cannot be read does not hold.
    let found = log.entries(&filter).unwrap_or_default().pop();
    found.is_some_and(|found| found.number == *number && found.hash.hex() == *hash)
}

fn described(chain: &Chain, missed: Option<i64>) -> serde_json::Value {
    let (problem, at) = match (chain.flaw, missed) {
        (Some(Flaw::Missing(number)), _) => (Some("missing"), Some(number)),
        (Some(Flaw::Changed(number)), _) => (Some("changed"), Some(number)),
        (None, missed) => (missed.map(|_| "not the known one"), missed),
    };
    json!({ "entries": chain.number, "hash": chain.hash.hex(), "problem": problem, "at": at })
}
