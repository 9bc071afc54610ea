//! `redflag rules`: the rules of a detector, which running services follow.

pub mod desk;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Subcommand, ValueEnum};
use engine::rulebook::{Stage, WrittenRule};
use engine::{Outcome, Rulebook};
use serde_json::json;

use self::desk::{At, Desk, in_words};
use super::WrongInput;
use super::model::registry::{Signed, print_table, told};
use crate::registry::rulebooks::{applied, change};

/// Look at the rules of a detector, and change them while services run.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the rules that hold
    List,
    /// Print the rulebook that holds, or an earlier one, as JSON that `set` takes
    Show {
        /// Its number; 0 is the detector file's own
        number: Option<u64>,
    },
    /// Say everything that is wrong with a rulebook
    Check {
        /// The rulebook as JSON
        file: PathBuf,
    },
    /// Put a rule in place: a new one, or one instead of the rule of this name
    Put(Put),
    /// Publish a rulebook
    Set {
        /// The rulebook as JSON
        file: PathBuf,
        /// The number of the rulebook that it was made from: refused if another holds by now
        #[arg(long, value_name = "NUMBER")]
        after: Option<u64>,
        #[command(flatten)]
        signed: Signed,
    },
    /// Move a rule to another stage
    Stage {
        /// The rule
        name: String,
        /// The stage
        #[arg(value_enum)]
        to: To,
        /// With `partial`: for which part of the keys it decides, 0 to 1
        #[arg(long, value_name = "SHARE")]
        share: Option<f64>,
        #[command(flatten)]
        signed: Signed,
    },
    /// End a rule at a time of events
    Expire {
        /// The rule
        name: String,
        /// The first event time at which it holds no longer, as RFC 3339
        #[arg(long, value_name = "TIME")]
        at: String,
        #[command(flatten)]
        signed: Signed,
    },
    /// List what was published, by whom, when and why
    History,
    /// Publish an earlier rulebook again
    Rollback {
        /// Its number; 0 is the detector file's own
        to: u64,
        #[command(flatten)]
        signed: Signed,
    },
}

/// A rule.
#[derive(Debug, clap::Args)]
struct Put {
    /// Its name: what decisions list as fired
    name: String,
    /// The condition, in CEL
    #[arg(long, value_name = "CEL")]
    when: String,
    /// What it asks for
    #[arg(long, value_parser = outcome)]
    outcome: Outcome,
    /// How far it has come
    #[arg(long, value_enum, default_value = "draft")]
    stage: To,
    /// With `partial`: for which part of the keys it decides, 0 to 1
    #[arg(long, value_name = "SHARE")]
    share: Option<f64>,
    /// With `partial`: the field whose values are in or out as a whole, instead of the detector's key
    #[arg(long, value_name = "FIELD")]
    share_by: Option<String>,
    /// The first event time at which it holds, as RFC 3339
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// The first event time at which it holds no longer, as RFC 3339
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    #[command(flatten)]
    signed: Signed,
}

fn outcome(text: &str) -> Result<Outcome, String> {
    Outcome::from_name(text).ok_or_else(|| "expected approve, review or decline".to_string())
}

/// The stage that a rule moves to.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum To {
    Draft,
    Shadow,
    Partial,
    Live,
    Retired,
}

impl To {
    fn stage(self) -> Stage {
        match self {
            To::Draft => Stage::Draft,
            To::Shadow => Stage::Shadow,
            To::Partial => Stage::Partial,
            To::Live => Stage::Live,
            To::Retired => Stage::Retired,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// If the registry cannot be used, or the rulebook has mistakes.
pub fn run(args: Args) -> Result<()> {
    let desk = args.at.desk()?;
    match args.what {
        What::List => list(&desk),
        What::Show { number } => show(&desk, number),
        What::Check { file } => check(&desk, &read(&file)?),
        What::Put(put) => {
            let rule = put.rule()?;
            desk.publish(None, &put.signed, |book| Ok(change::put_rule(book, rule)))
        }
        What::Set { file, after, signed } => {
            let rulebook = read(&file)?;
            desk.publish(after, &signed, |book| Ok(change::set_all(book, rulebook)))
        }
        What::Stage { name, to, share, signed } => {
            desk.publish(None, &signed, |book| change::move_rule(book, &name, to.stage(), share))
        }
        What::Expire { name, at, signed } => {
            desk.publish(None, &signed, |book| change::expire_rule(book, &name, &at))
        }
        What::History => history(&desk),
        What::Rollback { to, signed } => {
            let rulebook = desk.numbered(to)?;
            desk.publish(None, &signed, |book| {
                *book = rulebook;
                Ok(format!("back to rulebook {to}"))
            })
        }
    }
}

impl Put {
    fn rule(&self) -> Result<WrittenRule> {
        Ok(WrittenRule {
            stage: self.stage.stage(),
            share: self.share,
            share_by: self.share_by.clone(),
            from: self.from.clone(),
            expires: self.expires.clone(),
            owner: self.signed.by()?,
            reason: self.signed.reason.clone(),
            ..WrittenRule::live(&self.name, &self.when, self.outcome)
        })
    }
}

fn read(file: &Path) -> Result<Rulebook> {
    let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let wrong = |error| WrongInput(format!("{}: {error}", file.display()));
    Ok(serde_json::from_slice(&text).map_err(wrong)?)
}

fn list(desk: &Desk) -> Result<()> {
    let made = desk.in_force()?;
    if desk.json {
        println!("{:#}", json!({ "number": made.number, "rules": made.rulebook.rules }));
        return Ok(());
    }
    let head = ["name", "stage", "outcome", "expires", "when"].map(str::to_string);
    let rules = made.rulebook.rules.iter().map(|rule| {
        let share = rule.share.map(|share| format!(" {share}")).unwrap_or_default();
        let stage = format!("{}{share}", rule.stage.name());
        let expires = rule.expires.clone().unwrap_or_default();
        [rule.name.clone(), stage, rule.outcome.name().to_string(), expires, rule.when.clone()]
    });
    println!("rulebook {} of {}", made.number, desk.detector.name);
    print_table(&head, &rules.collect::<Vec<_>>());
    Ok(())
}

fn show(desk: &Desk, number: Option<u64>) -> Result<()> {
    let book = match number {
        Some(number) => desk.numbered(number)?,
        None => desk.in_force()?.rulebook,
    };
    println!("{}", serde_json::to_string_pretty(&book)?);
    Ok(())
}

fn check(desk: &Desk, book: &Rulebook) -> Result<()> {
    let made = applied(&desk.detector, book).map_err(told)?;
    if desk.json {
        println!("{}", json!({ "fingerprint": made.rules_fingerprint }));
    } else {
        println!("the rulebook fits `{}`: fingerprint {}", made.name, made.rules_fingerprint);
    }
    Ok(())
}

fn history(desk: &Desk) -> Result<()> {
    let all = desk.registry()?.rulebooks(&desk.detector.name).map_err(told)?;
    if desk.json {
        println!("{:#}", json!({ "rulebooks": all }));
        return Ok(());
    }
    all.iter().for_each(|made| println!("{}  {}", made.at, in_words(made)));
    Ok(())
}
