//! `redflag rules`: the rulebook of a detector, which running services follow.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Subcommand, ValueEnum};
use engine::rulebook::{Entry, Stage};
use engine::{Detector, Rulebook};
use serde_json::json;

use super::WrongInput;
use super::model::registry::{Kept, Signed, print_table, told};
use super::output::load_detector;
use crate::registry::rulebooks::{Published, applied};
use crate::registry::{RegistryError, Request};

/// Look at the rules, lists and policy of a detector, and change them while services run.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    kept: Kept,
    /// A shipped detector by name, or a detector file
    #[arg(long, value_name = "NAME|FILE", default_value = "card", global = true)]
    detector: String,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the rules and lists that hold
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
    /// Put a value on a list
    Enlist {
        /// The list
        list: String,
        /// The value
        value: String,
        /// The first event time at which it is there no longer, as RFC 3339
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
        #[command(flatten)]
        signed: Signed,
    },
    /// Take a value off a list
    Delist {
        /// The list
        list: String,
        /// The value
        value: String,
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
    let detector = load_detector(&args.detector)?;
    let desk = Desk { kept: args.kept, detector: &detector, json: args.json };
    match args.what {
        What::List => desk.list(),
        What::Show { number } => desk.show(number),
        What::Check { file } => desk.check(&read(&file)?),
        What::Set { file, after, signed } => {
            let rulebook = read(&file)?;
            desk.publish(after, &signed, |book| {
                *book = rulebook;
                Ok("the whole rulebook was set".to_string())
            })
        }
        What::Stage { name, to, share, signed } => desk.publish(None, &signed, |book| {
            let rule = rule(book, &name)?;
            (rule.stage, rule.share) = (to.stage(), share);
            Ok(format!("rule {name} moved to {:?}", rule.stage).to_lowercase())
        }),
        What::Expire { name, at, signed } => desk.publish(None, &signed, |book| {
            rule(book, &name)?.expires = Some(at.clone());
            Ok(format!("rule {name} ends at {at}"))
        }),
        What::Enlist { list, value, expires, signed } => {
            let entry =
                Entry { value: value.clone(), reason: signed.reason.clone(), owner: signed.by()?, expires };
            desk.publish(None, &signed, |book| {
                entries(book, &list)?.push(entry);
                Ok(format!("{value} is on list {list}"))
            })
        }
        What::Delist { list, value, signed } => desk.publish(None, &signed, |book| {
            let entries = entries(book, &list)?;
            let before = entries.len();
            entries.retain(|entry| entry.value != value);
            let none = || RegistryError::Unknown(format!("{value:?} is not on the list `{list}`"));
            (entries.len() < before).then_some(()).ok_or_else(none)?;
            Ok(format!("{value} is off list {list}"))
        }),
        What::History => desk.history(),
        What::Rollback { to, signed } => {
            let rulebook = desk.numbered(to)?;
            desk.publish(None, &signed, |book| {
                *book = rulebook;
                Ok(format!("back to {to}"))
            })
        }
    }
}

fn read(file: &std::path::Path) -> Result<Rulebook> {
    let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let wrong = |error| WrongInput(format!("{}: {error}", file.display()));
    Ok(serde_json::from_slice(&text).map_err(wrong)?)
}

fn rule<'b>(
    book: &'b mut Rulebook,
    name: &str,
) -> Result<&'b mut engine::rulebook::WrittenRule, RegistryError> {
    let found = book.rules.iter_mut().find(|rule| rule.name == name);
    found.ok_or_else(|| RegistryError::Unknown(format!("there is no rule `{name}`")))
}

fn entries<'b>(book: &'b mut Rulebook, name: &str) -> Result<&'b mut Vec<Entry>, RegistryError> {
    let found = book.lists.iter_mut().find(|list| list.name == name);
    found
        .map(|list| &mut list.entries)
        .ok_or_else(|| RegistryError::Unknown(format!("there is no list `{name}`")))
}

/// A detector's place in a registry.
struct Desk<'a> {
    kept: Kept,
    detector: &'a Detector,
    json: bool,
}

impl Desk<'_> {
    fn numbered(&self, number: u64) -> Result<Rulebook> {
        if number == 0 {
            return Ok(Rulebook::of(self.detector));
        }
        Ok(self.kept.open()?.rulebook(&self.detector.name, number).map_err(told)?.rulebook)
    }

    fn newest(&self) -> Result<(u64, Rulebook)> {
        let newest = self.kept.make()?.newest_rulebook(&self.detector.name).map_err(told)?;
        Ok(newest.map_or_else(|| (0, Rulebook::of(self.detector)), |newest| (newest.number, newest.rulebook)))
    }

    fn list(&self) -> Result<()> {
        let (number, book) = self.newest()?;
        if self.json {
            println!("{:#}", json!({ "number": number, "rules": book.rules, "lists": book.lists }));
            return Ok(());
        }
        let head = ["name", "stage", "outcome", "when"].map(str::to_string);
        let rules = book.rules.iter().map(|rule| {
            let stage = format!("{:?}", rule.stage).to_lowercase();
            [rule.name.clone(), stage, rule.outcome.name().to_string(), rule.when.clone()]
        });
        let lists = book.lists.iter().map(|list| {
            let kind = format!("{:?}", list.kind).to_lowercase();
            let entries = format!("{} entries", list.entries.len());
            [format!("list:{}", list.name), kind, list.field.clone().unwrap_or_default(), entries]
        });
        println!("rulebook {number} of {}", self.detector.name);
        print_table(&head, &rules.chain(lists).collect::<Vec<_>>());
        Ok(())
    }

    fn show(&self, number: Option<u64>) -> Result<()> {
        let book = match number {
            Some(number) => self.numbered(number)?,
            None => self.newest()?.1,
        };
        println!("{}", serde_json::to_string_pretty(&book)?);
        Ok(())
    }

    fn check(&self, book: &Rulebook) -> Result<()> {
        let made = applied(self.detector, book).map_err(told)?;
        if self.json {
            println!("{}", json!({ "fingerprint": made.rules_fingerprint }));
        } else {
            println!("the rulebook fits `{}`: fingerprint {}", made.name, made.rules_fingerprint);
        }
        Ok(())
    }

    fn publish(
        &self,
        after: Option<u64>,
        signed: &Signed,
        change: impl FnOnce(&mut Rulebook) -> Result<String, RegistryError>,
    ) -> Result<()> {
        let by = signed.by()?;
        let request = Request { by: &by, reason: &signed.reason };
        let made = self.kept.make()?.publish_rulebook(self.detector, after, request, change).map_err(told)?;
        if self.json {
            println!("{}", json!({ "number": made.number, "fingerprint": made.fingerprint }));
        } else {
            println!("{}", in_words(&made));
        }
        Ok(())
    }

    fn history(&self) -> Result<()> {
        let all = self.kept.open()?.rulebooks(&self.detector.name).map_err(told)?;
        if self.json {
            println!("{:#}", json!({ "rulebooks": all }));
            return Ok(());
        }
        all.iter().for_each(|made| println!("{}  {}", made.at, in_words(made)));
        Ok(())
    }
}

fn in_words(made: &Published) -> String {
    let Published { number, by, reason, change, fingerprint, .. } = made;
    format!("no. {number} ({fingerprint}): {change}, by {by}: {reason}")
}
