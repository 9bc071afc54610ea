//! A detector's rulebook in a registry, for commands that show and change it.

use std::sync::Arc;

use anyhow::Result;
use engine::{Detector, Rulebook};
use serde_json::json;

use crate::cli::model::registry::{Kept, Signed, told};
use crate::cli::output::load_detector;
use crate::registry::rulebooks::Published;
use crate::registry::{Registry, RegistryError, Request};
use crate::service::privacy::kept_cards;

/// Whose rulebook, where.
#[derive(Debug, clap::Args)]
pub struct At {
    #[command(flatten)]
    kept: Kept,
    /// A shipped detector by name, or a detector file
    #[arg(long, value_name = "NAME|FILE", default_value = "card", global = true)]
    detector: String,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

impl At {
    /// The rulebook's place, with the key of card tokens that is kept beside the registry.
    ///
    /// # Errors
    /// If there is no such detector, or the key cannot be read.
    pub fn desk(self) -> Result<Desk> {
        let mut detector = load_detector(&self.detector)?;
        if let Some(folder) = self.kept.beside()
            && let Some(cards) = kept_cards(folder)?
        {
            Arc::make_mut(&mut detector).schema.cards = cards;
        }
        Ok(Desk { kept: self.kept, detector, json: self.json })
    }
}

/// A detector's place in a registry.
pub struct Desk {
    kept: Kept,
    /// As its file is.
    pub detector: Arc<Detector>,
    /// Whether JSON is wanted.
    pub json: bool,
}

impl Desk {
    /// The registry; made if there is none.
    ///
    /// # Errors
    /// If it cannot be used.
    pub fn registry(&self) -> Result<Registry> {
        self.kept.make()
    }

    /// The rulebook that holds.
    ///
    /// # Errors
    /// If the registry cannot be read.
    pub fn in_force(&self) -> Result<Published> {
        self.registry()?.rulebook_in_force(&self.detector).map_err(told)
    }

    /// The rulebook of a number; 0 is the detector file's own.
    ///
    /// # Errors
    /// If there is none, or the registry cannot be read.
    pub fn numbered(&self, number: u64) -> Result<Rulebook> {
        if number == 0 {
            return Ok(Rulebook::of(&self.detector));
        }
        Ok(self.registry()?.rulebook(&self.detector.name, number).map_err(told)?.rulebook)
    }

    /// Publishes what `change` makes of the rulebook that holds: that must be number `after`, if it is given.
    ///
    /// # Errors
    /// If the change cannot be made, has mistakes, or the registry cannot be written.
    pub fn publish(
        &self,
        after: Option<u64>,
        signed: &Signed,
        change: impl FnOnce(&mut Rulebook) -> Result<String, RegistryError>,
    ) -> Result<()> {
        let by = signed.by()?;
        let request = Request { by: &by, reason: &signed.reason };
        let made = self.registry()?.publish_rulebook(&self.detector, after, request, change).map_err(told)?;
        if self.json {
            println!("{}", json!({ "number": made.number, "fingerprint": made.fingerprint }));
        } else {
            println!("{}", in_words(&made));
        }
        Ok(())
    }
}

/// What was published, by whom and why.
pub fn in_words(made: &Published) -> String {
    let Published { number, by, reason, change, fingerprint, .. } = made;
    format!("no. {number} ({fingerprint}): {change}, by {by}: {reason}")
}
