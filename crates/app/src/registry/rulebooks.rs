//! Rulebooks of detectors: `PLACE/DETECTOR/rulebook/NUMBER.json` is one as a whole, with who made it, when and why. As
//! promotions they are created where there was none, and never changed. Number 0 is the detector file's own.

use engine::{Detector, Rulebook};
use serde::{Deserialize, Serialize};

use super::{Registry, RegistryError, Request, now, numbered, pretty};
use crate::objects::Place;

/// The folder of a detector's rulebooks.
const RULEBOOKS: &str = "rulebook";

/// A rulebook that was published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Published {
    /// Counts up from 1 for each detector.
    pub number: u64,
    /// When, as RFC 3339.
    pub at: String,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// What was done, in a few words.
    pub change: String,
    /// What decisions made by it name as their rules.
    pub fingerprint: String,
    /// The rulebook as a whole.
    pub rulebook: Rulebook,
}

impl Registry {
    /// The newest rulebook of a detector; `None` while its file's own holds.
    ///
    /// # Errors
    /// If the registry cannot be read.
    pub fn newest_rulebook(&self, detector: &str) -> Result<Option<Published>, RegistryError> {
        let number = self.numbers(&self.rulebooks_of(detector))?.last().copied();
        number.map(|number| self.rulebook(detector, number)).transpose()
    }

    /// Whether there is a rulebook of a detector after this number.
    ///
    /// # Errors
    /// If that cannot be found out.
    pub fn has_rulebook_after(&self, detector: &str, number: u64) -> Result<bool, RegistryError> {
        Ok(self.objects.has(&numbered(&self.rulebooks_of(detector), number + 1))?)
    }

    /// The rulebook of this number.
    ///
    /// # Errors
    /// If there is none, or it cannot be read.
    pub fn rulebook(&self, detector: &str, number: u64) -> Result<Published, RegistryError> {
        let found = self.read(&numbered(&self.rulebooks_of(detector), number))?;
        found.ok_or_else(|| RegistryError::Unknown(format!("`{detector}` has no rulebook {number}")))
    }

    /// All rulebooks of a detector, oldest first.
    ///
    /// # Errors
    /// If the registry cannot be read.
    pub fn rulebooks(&self, detector: &str) -> Result<Vec<Published>, RegistryError> {
        let numbers = self.numbers(&self.rulebooks_of(detector))?;
        numbers.into_iter().map(|number| self.rulebook(detector, number)).collect()
    }

    /// The detector as it decided when decisions named these rules: its file's, or one of its rulebooks. `None` if no
    /// rulebook has this fingerprint.
    ///
    /// # Errors
    /// If the registry cannot be read, or the rulebook does not fit the detector any more.
    pub fn detector_behind(
        &self,
        detector: &Detector,
        fingerprint: &str,
    ) -> Result<Option<Detector>, RegistryError> {
        if detector.rules_fingerprint == fingerprint {
            return Ok(Some(detector.clone()));
        }
        for number in self.numbers(&self.rulebooks_of(&detector.name))?.into_iter().rev() {
            let published = self.rulebook(&detector.name, number)?;
            if published.fingerprint == fingerprint {
                return applied(detector, &published.rulebook).map(Some);
            }
        }
        Ok(None)
    }

    /// Publishes what `change` makes of the rulebook that holds: numbered `after` if that is given. `change` tells in a
    /// few words what it did.
    ///
    /// # Errors
    /// If another rulebook than `after` holds or somebody else is faster, the rulebook does not fit the detector (all
    /// flaws are told), or the registry cannot be written.
    pub fn publish_rulebook(
        &self,
        detector: &Detector,
        after: Option<u64>,
        request: Request,
        change: impl FnOnce(&mut Rulebook) -> Result<String, RegistryError>,
    ) -> Result<Published, RegistryError> {
        let newest = self.newest_rulebook(&detector.name)?;
        let holds = newest.as_ref().map_or(0, |newest| newest.number);
        if let Some(after) = after.filter(|after| *after != holds) {
            let message = format!("the change was made for rulebook {after}, and {holds} holds by now");
            return Err(RegistryError::Refused(message));
        }
        let mut rulebook = newest.map_or_else(|| Rulebook::of(detector), |newest| newest.rulebook);
        let change = change(&mut rulebook)?;
        let made = Published {
            number: holds + 1,
            at: now(),
            by: request.by.to_string(),
            reason: request.reason.to_string(),
            change,
            fingerprint: applied(detector, &rulebook)?.rules_fingerprint,
            rulebook,
        };
        let place = numbered(&self.rulebooks_of(&detector.name), made.number);
        if self.objects.create(&place, pretty(&made)?)? {
            return Ok(made);
        }
        Err(RegistryError::Refused(format!(
            "somebody else has just published rulebook {}: try again",
            made.number
        )))
    }

    fn rulebooks_of(&self, detector: &str) -> Place {
        self.objects.root().join(detector).join(RULEBOOKS)
    }
}

/// The detector deciding by a rulebook.
///
/// # Errors
/// All flaws of the rulebook.
pub fn applied(detector: &Detector, rulebook: &Rulebook) -> Result<Detector, RegistryError> {
    detector.with_rulebook(rulebook).map_err(|flaws| {
        let told: Vec<String> = flaws.iter().map(ToString::to_string).collect();
        RegistryError::Refused(format!("the rulebook has {} mistake(s)\n{}", told.len(), told.join("\n")))
    })
}
