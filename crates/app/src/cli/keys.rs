//! `redflag keys`: API keys, made and ended. A service that runs takes them within a second.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Subcommand;
use engine::time::parse_duration;
use serde_json::json;

use super::WrongInput;
use crate::service::access::keys::{KeyFile, StoredKey};
use crate::service::access::role::Role;
use crate::service::pipeline::now_us;

/// The longest name.
const NAME_CHARS_MAX: usize = 100;

/// Make, list and revoke API keys.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  redflag keys create --name gateway --role ingest\n  \
                        redflag keys create --name anna --role analyst --expires 90d\n  redflag keys list\n  \
                        redflag keys revoke --name gateway")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

/// Which keys.
#[derive(Debug, clap::Args)]
struct Kept {
    /// The file with the hashes of keys, as in `[access] keys` of the settings
    #[arg(long, value_name = "FILE", default_value = "keys.toml", env = "REDFLAG_ACCESS_KEYS")]
    keys: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make a key and print it: it is shown this once, the file has only its hash
    Create {
        #[command(flatten)]
        kept: Kept,
        /// Whose it is: a system or a person; it stands in the audit log
        #[arg(long, value_parser = name)]
        name: String,
        /// What they may do: ingest, analyst, engineer or admin
        #[arg(long, value_parser = role)]
        role: Role,
        /// How long it is good, as 90d; without it, until it is revoked
        #[arg(long, value_parser = lasting)]
        expires: Option<i64>,
    },
    /// List keys, also those that are no longer good
    List {
        #[command(flatten)]
        kept: Kept,
    },
    /// End a key
    Revoke {
        #[command(flatten)]
        kept: Kept,
        /// Whose key
        #[arg(long)]
        name: String,
    },
}

fn name(text: &str) -> Result<String, String> {
    let name = text.trim();
    let is_name =
        !name.is_empty() && name.chars().count() <= NAME_CHARS_MAX && !name.chars().any(char::is_control);
    is_name
        .then(|| name.to_string())
        .ok_or_else(|| format!("expected 1 to {NAME_CHARS_MAX} printable characters"))
}

fn role(text: &str) -> Result<Role, String> {
    Role::from_name(text).ok_or_else(|| "expected ingest, analyst, engineer or admin".to_string())
}

fn lasting(text: &str) -> Result<i64, String> {
    parse_duration(text).filter(|us| *us > 0).ok_or_else(|| "expected a duration, as 90d".to_string())
}

/// Runs the command.
///
/// # Errors
/// If the file cannot be read or written, or there is no such key, or one already.
pub fn run(args: Args) -> Result<()> {
    match args.what {
        What::Create { kept, name, role, expires } => create(&kept, &name, role, expires),
        What::List { kept } => list(&kept),
        What::Revoke { kept, name } => revoke(&kept, &name),
    }
}

fn create(kept: &Kept, name: &str, role: Role, lasts_us: Option<i64>) -> Result<()> {
    let now_us = now_us();
    let expires_us = lasts_us.map(|lasts_us| now_us.saturating_add(lasts_us));
    let wrong = |error: anyhow::Error| anyhow::Error::from(WrongInput(error.to_string()));
    let key = KeyFile::change(&kept.keys, |keys| keys.create(name, role, expires_us, now_us).map_err(wrong));
    let key = key.with_context(|| kept.keys.display().to_string())?;
    if kept.json {
        println!("{}", json!({ "name": name, "role": role.name(), "key": key }));
    } else {
        println!("{key}");
        eprintln!("The key of {name} ({}). It is not shown again.", role.name());
    }
    Ok(())
}

fn list(kept: &Kept) -> Result<()> {
    let file = KeyFile::read(&kept.keys).with_context(|| kept.keys.display().to_string())?;
    let now_us = now_us();
    for key in &file.keys {
        if kept.json {
            let StoredKey { name, role, created, expires, revoked, .. } = key;
            let good = key.is_good(now_us);
            println!(
                "{}",
                json!({ "name": name, "role": role, "created": created, "expires": expires, "revoked": revoked, "good": good })
            );
        } else {
            println!("{:<24} {:<9} {}  {}", key.name, key.role, key.created, condition(key, now_us));
        }
    }
    Ok(())
}

fn condition(key: &StoredKey, now_us: i64) -> String {
    match (&key.revoked, &key.expires) {
        (Some(at), _) => format!("revoked {at}"),
        (None, Some(at)) if !key.is_good(now_us) => format!("expired {at}"),
        (None, Some(at)) => format!("good until {at}"),
        (None, None) => "good".to_string(),
    }
}

fn revoke(kept: &Kept, name: &str) -> Result<()> {
    KeyFile::read(&kept.keys).with_context(|| kept.keys.display().to_string())?;
    let revoked = KeyFile::change(&kept.keys, |keys| Ok(keys.revoke(name, now_us())))?;
    if revoked == 0 {
        return Err(WrongInput(format!("there is no good key {name:?} in {}", kept.keys.display())).into());
    }
    if kept.json {
        println!("{}", json!({ "name": name, "revoked": true }));
    } else {
        println!("the key of {name} is no longer good");
    }
    Ok(())
}
