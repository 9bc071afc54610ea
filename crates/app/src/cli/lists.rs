//! `redflag lists`: values that are allowed, denied or watched, which running services follow.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Subcommand, ValueEnum};
use engine::rulebook::{Entry, ListKind};
use serde::Deserialize;
use serde_json::json;

use super::WrongInput;
use super::model::registry::{Signed, print_table, told};
use super::rules::desk::{At, Desk};
use crate::registry::rulebooks::change;

/// Mistakes of a file that are told.
const MISTAKES_TOLD: usize = 20;

/// Look at lists of values that are allowed, denied or watched, and change them while services run.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the lists
    List,
    /// List what is on a list
    Show {
        /// The list
        list: String,
    },
    /// Make a list, or say what a list is to ask for
    Make {
        /// Its name: letters, digits and _
        list: String,
        /// What it asks for: approve (allow), decline (deny), review (watch), or nothing: rules read it (plain)
        #[arg(long, value_enum)]
        kind: Kind,
        /// The field whose values it holds
        #[arg(long, value_name = "FIELD")]
        field: Option<String>,
        #[command(flatten)]
        signed: Signed,
    },
    /// Put values on a list
    Add {
        /// The list
        list: String,
        /// The values
        #[arg(required = true)]
        values: Vec<String>,
        /// The first event time at which they are there no longer, as RFC 3339
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
        #[command(flatten)]
        signed: Signed,
    },
    /// Put the values of a CSV file on a list: columns value, and reason, owner and expires if they are there
    Import {
        /// The list
        list: String,
        /// The file
        file: PathBuf,
        #[command(flatten)]
        signed: Signed,
    },
    /// Take values off a list
    Remove {
        /// The list
        list: String,
        /// The values
        #[arg(required = true)]
        values: Vec<String>,
        #[command(flatten)]
        signed: Signed,
    },
    /// Take a list away, with all that is on it
    Drop {
        /// The list
        list: String,
        #[command(flatten)]
        signed: Signed,
    },
}

/// What a list asks for.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Allow,
    Deny,
    Watch,
    Plain,
}

impl Kind {
    fn kind(self) -> ListKind {
        match self {
            Kind::Allow => ListKind::Allow,
            Kind::Deny => ListKind::Deny,
            Kind::Watch => ListKind::Watch,
            Kind::Plain => ListKind::Plain,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// If the registry or the file cannot be used, there is no such list, or the change has mistakes.
pub fn run(args: Args) -> Result<()> {
    let desk = args.at.desk()?;
    let schema = &desk.detector.schema;
    match args.what {
        What::List => list(&desk),
        What::Show { list } => show(&desk, &list),
        What::Make { list, kind, field, signed } => {
            let owner = signed.by()?;
            desk.publish(None, &signed, |book| Ok(change::put_list(book, &list, kind.kind(), field, owner)))
        }
        What::Add { list, values, expires, signed } => {
            let (owner, reason) = (signed.by()?, signed.reason.clone());
            let entry = |value| Entry {
                value,
                reason: reason.clone(),
                owner: owner.clone(),
                expires: expires.clone(),
            };
            let entries = values.into_iter().map(entry).collect();
            desk.publish(None, &signed, |book| change::enlist(book, schema, &list, entries))
        }
        What::Import { list, file, signed } => {
            let entries = read(&file, &signed.by()?, &signed.reason)?;
            desk.publish(None, &signed, |book| change::enlist(book, schema, &list, entries))
        }
        What::Remove { list, values, signed } => {
            desk.publish(None, &signed, |book| change::delist(book, schema, &list, &values))
        }
        What::Drop { list, signed } => desk.publish(None, &signed, |book| change::drop_list(book, &list)),
    }
}

fn list(desk: &Desk) -> Result<()> {
    let made = desk.in_force()?;
    let lists = &made.rulebook.lists;
    if desk.json {
        let short = lists.iter().map(|list| {
            json!({ "name": list.name, "kind": list.kind, "field": list.field, "entries": list.entries.len() })
        });
        println!("{:#}", json!({ "number": made.number, "lists": short.collect::<Vec<_>>() }));
        return Ok(());
    }
    let head = ["name", "kind", "field", "values", "owner"].map(str::to_string);
    let rows = lists.iter().map(|list| {
        let field = list.field.clone().unwrap_or_default();
        let kind = list.kind.name().to_string();
        [list.name.clone(), kind, field, list.entries.len().to_string(), list.owner.clone()]
    });
    print_table(&head, &rows.collect::<Vec<_>>());
    Ok(())
}

fn show(desk: &Desk, name: &str) -> Result<()> {
    let mut made = desk.in_force()?;
    let entries = &change::list(&mut made.rulebook, name).map_err(told)?.entries;
    if desk.json {
        println!("{:#}", json!({ "number": made.number, "entries": entries }));
        return Ok(());
    }
    let head = ["value", "expires", "owner", "reason"].map(str::to_string);
    let rows = entries.iter().map(|entry| {
        let expires = entry.expires.clone().unwrap_or_default();
        [entry.value.clone(), expires, entry.owner.clone(), entry.reason.clone()]
    });
    print_table(&head, &rows.collect::<Vec<_>>());
    Ok(())
}

/// A row of a file of values.
#[derive(Deserialize)]
struct Row {
    value: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    owner: String,
    #[serde(default)]
    expires: Option<String>,
}

/// The values of a CSV file; what a row does not say of reason and owner is `reason` and `owner`.
fn read(file: &Path, owner: &str, reason: &str) -> Result<Vec<Entry>> {
    let wrong = |error: csv::Error| WrongInput(format!("{}: {error}", file.display()));
    let mut rows = csv::Reader::from_path(file).map_err(wrong)?;
    let (mut entries, mut mistakes) = (Vec::new(), Vec::new());
    for row in rows.deserialize::<Row>() {
        match row {
            Ok(row) => entries.push(entry(row, owner, reason)),
            Err(error) => mistakes.push(error.to_string()),
        }
    }
    if mistakes.is_empty() {
        return Ok(entries);
    }
    let told = mistakes.iter().take(MISTAKES_TOLD).cloned().collect::<Vec<_>>().join("\n");
    Err(WrongInput(format!("{} has {} mistake(s)\n{told}", file.display(), mistakes.len())).into())
}

fn entry(row: Row, owner: &str, reason: &str) -> Entry {
    let or = |text: String, other: &str| if text.is_empty() { other.to_string() } else { text };
    Entry {
        value: row.value,
        reason: or(row.reason, reason),
        owner: or(row.owner, owner),
        expires: row.expires.filter(|expires| !expires.is_empty()),
    }
}
