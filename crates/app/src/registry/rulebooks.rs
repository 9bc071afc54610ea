//! Rulebooks of detectors: `PLACE/DETECTOR/rulebook/NUMBER.json` is one, with who made it, when and why. As promotions they
//! are created where there was none, and never changed. Number 0 is the detector file's own.
//!
//! What is on its lists stands in `PLACE/DETECTOR/rulebook/entries/DIGEST.json`, under the digest of its content: a list of a
//! million values is written again when it changes, and not when a rule does.

pub mod change;

use std::collections::BTreeMap;

use anyhow::Context;
use engine::card::mask;
use engine::rulebook::{Entry, Flaw, List};
use engine::{Detector, Rulebook};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::{Registry, RegistryError, Request, now, numbered, pretty};
use crate::objects::Place;

/// The folder of a detector's rulebooks.
const RULEBOOKS: &str = "rulebook";

/// The folder in it of what is on lists.
const ENTRIES: &str = "entries";

/// Values on all lists of a rulebook together: about 100 bytes each in every process that decides by it.
pub const ENTRIES_MAX: usize = 1_000_000;

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
    /// By list, where its values stand.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub entries: BTreeMap<String, Entries>,
    /// The rulebook; as it is kept, its lists are empty.
    pub rulebook: Rulebook,
}

/// Where what is on a list stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entries {
    /// The first 16 bytes of the SHA-256 of its content, in hexadecimal digits.
    pub digest: String,
    /// Values on it.
    pub values: usize,
}

impl Published {
    /// What a detector's file says: number 0, which nobody published.
    pub fn of_file(detector: &Detector) -> Published {
        Published {
            number: 0,
            at: String::new(),
            by: String::new(),
            reason: String::new(),
            change: String::new(),
            fingerprint: detector.rules_fingerprint.clone(),
            entries: BTreeMap::new(),
            rulebook: Rulebook::of(detector),
        }
    }

    /// Values on one of its lists.
    pub fn values_on(&self, list: &List) -> usize {
        self.entries.get(&list.name).map_or(list.entries.len(), |entries| entries.values)
    }
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

    /// The rulebook that holds: the newest one, or the file's own.
    ///
    /// # Errors
    /// If the registry cannot be read.
    pub fn rulebook_in_force(&self, detector: &Detector) -> Result<Published, RegistryError> {
        let newest = self.newest_rulebook(&detector.name)?;
        Ok(newest.unwrap_or_else(|| Published::of_file(detector)))
    }

    /// The rulebook that holds, without what is on its lists.
    ///
    /// # Errors
    /// If the registry cannot be read.
    pub fn rulebook_in_force_in_short(&self, detector: &Detector) -> Result<Published, RegistryError> {
        let newest = self.numbers(&self.rulebooks_of(&detector.name))?.last().copied();
        newest.map_or_else(
            || Ok(Published::of_file(detector)),
            |number| self.rulebook_in_short(&detector.name, number),
        )
    }

    /// Whether there is a rulebook of a detector after this number.
    ///
    /// # Errors
    /// If that cannot be found out.
    pub fn has_rulebook_after(&self, detector: &str, number: u64) -> Result<bool, RegistryError> {
        Ok(self.objects.has(&numbered(&self.rulebooks_of(detector), number + 1))?)
    }

    /// The rulebook of this number, with what is on its lists.
    ///
    /// # Errors
    /// If there is none, or it cannot be read.
    pub fn rulebook(&self, detector: &str, number: u64) -> Result<Published, RegistryError> {
        let mut found = self.rulebook_in_short(detector, number)?;
        for list in &mut found.rulebook.lists {
            if let Some(entries) = found.entries.get(&list.name) {
                list.entries = self.entries(detector, &entries.digest)?;
            }
        }
        Ok(found)
    }

    /// All rulebooks of a detector, oldest first, without what is on their lists.
    ///
    /// # Errors
    /// If the registry cannot be read.
    pub fn rulebooks(&self, detector: &str) -> Result<Vec<Published>, RegistryError> {
        let numbers = self.numbers(&self.rulebooks_of(detector))?;
        numbers.into_iter().map(|number| self.rulebook_in_short(detector, number)).collect()
    }

    fn rulebook_in_short(&self, detector: &str, number: u64) -> Result<Published, RegistryError> {
        let found = self.read(&numbered(&self.rulebooks_of(detector), number))?;
        found.ok_or_else(|| RegistryError::Unknown(format!("`{detector}` has no rulebook {number}")))
    }

    fn entries(&self, detector: &str, digest: &str) -> Result<Vec<Entry>, RegistryError> {
        let place = self.entries_at(detector, digest);
        let bytes = self.objects.get(&place)?.with_context(|| format!("there is no {place} any more"))?;
        Ok(serde_json::from_slice(&bytes).with_context(|| format!("{place} is damaged"))?)
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
        let all = self.rulebooks(&detector.name)?;
        let Some(made) = all.iter().rev().find(|made| made.fingerprint == fingerprint) else {
            return Ok(None);
        };
        applied(detector, &self.rulebook(&detector.name, made.number)?.rulebook).map(Some)
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
        let newest = self.rulebook_in_force(detector)?;
        let holds = newest.number;
        if let Some(after) = after.filter(|after| *after != holds) {
            let message = format!("the change was made for rulebook {after}, and {holds} holds by now");
            return Err(RegistryError::Refused(message));
        }
        let mut rulebook = newest.rulebook;
        let change = change(&mut rulebook)?;
        without_card_numbers(detector, &mut rulebook)?;
        let fingerprint = applied(detector, &rulebook)?.rules_fingerprint;
        let mut made = Published {
            number: holds + 1,
            at: now(),
            by: mask(request.by).into_owned(),
            reason: mask(request.reason).into_owned(),
            change: mask(&change).into_owned(),
            fingerprint,
            entries: BTreeMap::new(),
            rulebook,
        };
        for list in &mut made.rulebook.lists {
            if let Some(entries) = self.move_entries(&detector.name, list)? {
                made.entries.insert(list.name.clone(), entries);
            }
        }
        let place = numbered(&self.rulebooks_of(&detector.name), made.number);
        if self.objects.create(&place, pretty(&made)?)? {
            return Ok(made);
        }
        Err(RegistryError::Refused(format!(
            "somebody else has just published rulebook {}: try again",
            made.number
        )))
    }

    /// Moves what is on a list to where it stands under its digest; `None` if nothing is on it.
    fn move_entries(&self, detector: &str, list: &mut List) -> Result<Option<Entries>, RegistryError> {
        let values = list.entries.len();
        if values == 0 {
            return Ok(None);
        }
        let bytes = serde_json::to_vec(&list.entries).context("entries cannot be written as JSON")?;
        let digest = digest(&SHA256, &bytes);
        let digest: String = digest.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        let place = self.entries_at(detector, &digest);
        if !self.objects.has(&place)? {
            self.objects.put(&place, bytes)?;
        }
        list.entries.clear();
        Ok(Some(Entries { digest, values }))
    }

    fn entries_at(&self, detector: &str, digest: &str) -> Place {
        self.rulebooks_of(detector).join(ENTRIES).join(format!("{digest}.json"))
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
    detector.with_rulebook(rulebook).map_err(RegistryError::Flawed)
}

/// Puts tokens where card numbers are on lists: what is kept is what transactions are known by. In words about why they are
/// masked.
///
/// # Errors
/// If there are too many values, or a card number stands in a name or in a condition, which would never fire: transactions
/// have tokens there.
fn without_card_numbers(detector: &Detector, rulebook: &mut Rulebook) -> Result<(), RegistryError> {
    let held: usize = rulebook.lists.iter().map(|list| list.entries.len()).sum();
    if held > ENTRIES_MAX {
        let message = format!("there would be {held} values on its lists, more than {ENTRIES_MAX}");
        return Err(RegistryError::Flawed(vec![flaw("the rulebook", message, None)]));
    }
    for list in &mut rulebook.lists {
        let field = list.field.as_deref().unwrap_or_default();
        for entry in &mut list.entries {
            entry.value = detector.schema.known_as(field, &entry.value).into_owned();
            mask_words(&mut entry.reason);
            mask_words(&mut entry.owner);
        }
        mask_words(&mut list.owner);
    }
    for rule in &mut rulebook.rules {
        mask_words(&mut rule.reason);
        mask_words(&mut rule.owner);
    }
    let rules = rulebook.rules.iter().filter(|rule| tells(&rule.name) || tells(&rule.when));
    let lists = rulebook.lists.iter().filter(|list| tells(&list.name));
    let names = rules.map(|rule| format!("rule `{}`", rule.name));
    let flaws: Vec<Flaw> = names
        .chain(lists.map(|list| format!("list `{}`", list.name)))
        .map(|of| holds_a_card_number(&of))
        .collect();
    if flaws.is_empty() { Ok(()) } else { Err(RegistryError::Flawed(flaws)) }
}

fn tells(text: &str) -> bool {
    mask(text) != text
}

fn mask_words(words: &mut String) {
    if let std::borrow::Cow::Owned(masked) = mask(words) {
        *words = masked;
    }
}

fn holds_a_card_number(of: &str) -> Flaw {
    let hint = "put the card on a list, which keeps its token, and ask whether it is on it".to_string();
    flaw(&mask(of), "a card number stands in it".to_string(), Some(hint))
}

fn flaw(of: &str, message: String, hint: Option<String>) -> Flaw {
    Flaw { of: of.to_string(), column: None, message, hint }
}
