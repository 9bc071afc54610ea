//! The registry: models with the facts of how they came to be, and which of them decides.
//!
//! `PLACE/DETECTOR/MODEL/{model.json,facts.json}` is a model; it is written once and never changed.
//! `PLACE/DETECTOR/promotions/NUMBER.json` is what was done to the aliases: who did it, when and why, and the aliases after
//! it. The newest one says which model is the champion. A promotion is an object that is created where there was none: of
//! two that are made at once one finds its number taken, looks again at what holds now, and takes the next. So there is
//! no lock, aliases and history cannot disagree, and a bucket serves as well as a folder. Runs of training again are numbered in
//! the same way in `PLACE/DETECTOR/retraining`.

pub mod rulebooks;

use std::collections::HashMap;
use std::sync::Mutex;

use anyhow::{Context, Result, anyhow};
use engine::Detector;
use engine::time::format_instant;
use lab::artifact::ModelFile;
use lab::facts::Facts;
use lab::train::TrainingSet;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::objects::{Objects, Place};
use crate::retraining::claim::Claim;
use crate::service::pipeline::{lock, now_us};

/// Models that score in the shadow, at the most: each costs every event its scoring.
const CHALLENGERS_MAX: usize = 8;

/// Each time that a number is taken somebody else has promoted a model: so many do not at once.
const TRIES_MAX: usize = 100;

/// The folder of a detector's promotions.
const PROMOTIONS: &str = "promotions";

/// The folder of a detector's runs of training again.
const RUNS: &str = "retraining";

/// Models, promotions and aliases of all detectors.
pub struct Registry {
    objects: Objects,
    /// What was read and never changes: promotions and facts. A bucket is not asked for them again.
    seen: Mutex<HashMap<Place, Vec<u8>>>,
}

/// Why the registry does not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// There is no such model.
    #[error("{0}")]
    Unknown(String),
    /// It cannot be, as things are.
    #[error("{0}")]
    Refused(String),
    /// A rulebook has mistakes.
    #[error("the rulebook has {} mistake(s){}", .0.len(), .0.iter().map(|flaw| format!("\n{flaw}")).collect::<String>())]
    Flawed(Vec<engine::rulebook::Flaw>),
    /// The folder or bucket cannot be used.
    #[error("the registry cannot be used: {0:#}")]
    Unusable(#[from] anyhow::Error),
}

/// What is done to a model's alias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// It decides from now on.
    Champion,
    /// It scores in the shadow from now on.
    Challenger,
    /// It scores in the shadow no longer.
    Retired,
    /// It decides again, as before the champion of now.
    Rollback,
}

impl Step {
    /// The name in promotions, on the command line and over HTTP.
    pub fn name(self) -> &'static str {
        match self {
            Step::Champion => "champion",
            Step::Challenger => "challenger",
            Step::Retired => "retired",
            Step::Rollback => "rollback",
        }
    }
}

/// Which models do what for a detector.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aliases {
    /// The model that decides.
    pub champion: Option<String>,
    /// Models that score in the shadow, in the order in which they came.
    pub challengers: Vec<String>,
    /// Champions before this one, the last one last: where a rollback goes.
    pub before: Vec<String>,
}

/// What was done, by whom, when, why, and what holds since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promotion {
    /// Counts up from 1 for each detector.
    pub number: u64,
    /// When, as RFC 3339.
    pub at: String,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// What.
    pub step: Step,
    /// To which model.
    pub model: String,
    /// The champion before.
    pub from: Option<String>,
    /// The aliases after it.
    pub aliases: Aliases,
}

/// A model that is kept, with what it does.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Registered {
    /// `champion`, `challenger` or `registered`.
    pub role: &'static str,
    /// The newest thing that was done to it.
    pub promotion: Option<Promotion>,
    /// How it came to be.
    pub facts: Facts,
}

/// Who wants something done, and why.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Who.
    pub by: &'a str,
    /// Why.
    pub reason: &'a str,
}

impl Aliases {
    /// What a model does.
    pub fn role(&self, model: &str) -> &'static str {
        match self.champion.as_deref() {
            Some(champion) if champion == model => "champion",
            _ if self.challengers.iter().any(|challenger| challenger == model) => "challenger",
            _ => "registered",
        }
    }

    /// The aliases after a step. A rollback is one to `model`, which must be the champion before.
    fn after(&self, step: Step, model: &str) -> Result<Aliases, RegistryError> {
        let role = self.role(model);
        let refused = |why: &str| Err(RegistryError::Refused(format!("{model} is {why}")));
        let mut after = self.clone();
        match (step, role) {
            (Step::Champion | Step::Rollback, "champion") => return refused("the champion already"),
            (Step::Challenger, "challenger") => return refused("a challenger already"),
            (Step::Challenger | Step::Retired, "champion") => {
                return refused("the champion: promote another, or roll back");
            }
            (Step::Retired, "registered") => return refused("no challenger"),
            _ => {}
        }
        after.challengers.retain(|challenger| challenger != model);
        match step {
            Step::Champion => {
                after.before.extend(after.champion.take());
                after.champion = Some(model.to_string());
            }
            Step::Rollback => after.champion = after.before.pop(),
            Step::Challenger if after.challengers.len() == CHALLENGERS_MAX => {
                let why = format!("one too many: {CHALLENGERS_MAX} challengers are the most; retire one");
                return refused(&why);
            }
            Step::Challenger => after.challengers.push(model.to_string()),
            Step::Retired => {}
        }
        Ok(after)
    }
}

/// What a model file says of how it came to be; what it does not say is empty.
pub fn facts_of_file(model: &ModelFile) -> Facts {
    let nothing = TrainingSet::new(0, None);
    Facts { data_fingerprint: String::new(), ..Facts::of(model, &nothing) }
}

/// This instant as RFC 3339.
pub fn now() -> String {
    format_instant(now_us())
}

impl Registry {
    /// At `place`: a folder, which is created, or the URL of a bucket and what names in it begin with.
    ///
    /// # Errors
    /// If the folder cannot be created, or the URL is none of a store that is known.
    pub fn open(place: &str) -> Result<Registry> {
        let objects = Objects::open(place).context("the registry cannot be opened")?;
        Ok(Registry { objects, seen: Mutex::default() })
    }

    /// Keeps a model with its facts and what else is known of it, files by name; false if it is kept already, and then nothing
    /// changes.
    ///
    /// # Errors
    /// If another model has its id, or the registry cannot be written.
    pub fn register(
        &self,
        model: &ModelFile,
        facts: &Facts,
        attachments: &[(String, Vec<u8>)],
    ) -> Result<bool, RegistryError> {
        let place = self.of_model(&model.detector, &model.id);
        if let Some(kept) = self.read_model(&place)? {
            return if decides_alike(&kept, model) { Ok(false) } else { Err(taken(&model.id)) };
        }
        for (name, bytes) in attachments {
            let place = name.split('/').fold(place.clone(), |folder, part| folder.join(part));
            self.objects.put(&place, bytes.clone())?;
        }
        self.objects.put(&place.clone().join("facts.json"), pretty(facts)?)?;
        // Last, because a model is kept when its file is there.
        let text = serde_json::to_vec(model).context("a model cannot be written")?;
        Ok(self.objects.create(&place.join("model.json"), text)?)
    }

    /// The model of this id.
    ///
    /// # Errors
    /// If there is none, or it cannot be read.
    pub fn model(&self, detector: &str, id: &str) -> Result<ModelFile, RegistryError> {
        let found = self.read_model(&self.of_model(detector, id))?;
        found.ok_or_else(|| {
            RegistryError::Unknown(format!("there is no model {id:?} of the detector `{detector}`"))
        })
    }

    /// The facts of the model of this id.
    ///
    /// # Errors
    /// If there is none, or they cannot be read.
    pub fn facts(&self, detector: &str, id: &str) -> Result<Facts, RegistryError> {
        let found = self.read(&self.of_model(detector, id).join("facts.json"))?;
        found.ok_or_else(|| {
            RegistryError::Unknown(format!("there is no model {id:?} of the detector `{detector}`"))
        })
    }

    /// Models of one detector, or of all, with what they do; by detector, those with an alias first.
    ///
    /// # Errors
    /// If the registry cannot be read.
    pub fn list(&self, detector: Option<&str>) -> Result<Vec<Registered>, RegistryError> {
        let folders = match detector {
            Some(name) => vec![self.objects.root().join(name)],
            None => self.objects.list(&self.objects.root())?.folders,
        };
        let mut found = Vec::new();
        for folder in folders {
            found.extend(self.list_folder(&folder)?);
        }
        Ok(found)
    }

    fn list_folder(&self, folder: &Place) -> Result<Vec<Registered>, RegistryError> {
        let history = self.read_history(folder)?;
        let aliases = history.last().map(|newest| newest.aliases.clone()).unwrap_or_default();
        let mut found = Vec::new();
        for model in self.objects.list(folder)?.folders {
            if !self.objects.has(&model.clone().join("model.json"))? {
                continue;
            }
            let Some(facts) = self.read::<Facts>(&model.join("facts.json"))? else { continue };
            let promotion = history.iter().rfind(|promotion| promotion.model == facts.model_id).cloned();
            found.push(Registered { role: aliases.role(&facts.model_id), promotion, facts });
        }
        found.sort_by_key(|model| match model.role {
            "champion" => 0,
            "challenger" => 1,
            _ => 2,
        });
        Ok(found)
    }

    /// The model that an id or the beginning of one means, whatever its detector.
    ///
    /// # Errors
    /// If none or several begin like this.
    pub fn resolve(&self, beginning: &str, detector: Option<&str>) -> Result<Registered, RegistryError> {
        let all = self.list(detector)?;
        let exact = all.iter().position(|model| model.facts.model_id == beginning);
        let mut found: Vec<Registered> = match exact {
            Some(at) => vec![all[at].clone()],
            None => all.into_iter().filter(|model| model.facts.model_id.starts_with(beginning)).collect(),
        };
        match found.len() {
            0 => Err(RegistryError::Unknown(format!("no model's id begins with {beginning:?}"))),
            1 => Ok(found.remove(0)),
            _ => {
                let ids: Vec<&str> = found.iter().map(|model| model.facts.model_id.as_str()).collect();
                let message = format!("{beginning:?} is the beginning of several models: {}", ids.join(", "));
                Err(RegistryError::Unknown(message))
            }
        }
    }

    /// All that was done to a detector's aliases, oldest first.
    ///
    /// # Errors
    /// If the registry cannot be read.
    pub fn history(&self, detector: &str) -> Result<Vec<Promotion>, RegistryError> {
        Ok(self.read_history(&self.objects.root().join(detector))?)
    }

    /// The newest promotion of a detector.
    ///
    /// # Errors
    /// If the registry cannot be read.
    pub fn newest(&self, detector: &str) -> Result<Option<Promotion>, RegistryError> {
        let folder = self.objects.root().join(detector);
        let number = self.numbers(&folder.clone().join(PROMOTIONS))?.last().copied();
        Ok(number.map(|number| self.read_promotion(&folder, number)).transpose()?)
    }

    /// Whether there is a promotion of a detector after this number.
    ///
    /// # Errors
    /// If that cannot be found out.
    pub fn has_after(&self, detector: &str, number: u64) -> Result<bool, RegistryError> {
        Ok(self.objects.has(&promotion(&self.objects.root().join(detector), number + 1))?)
    }

    /// Changes what a model does.
    ///
    /// # Errors
    /// If there is no such model, it does not fit the detector, or it cannot be done as things are.
    pub fn promote(
        &self,
        detector: &Detector,
        model: &str,
        step: Step,
        request: Request,
    ) -> Result<Promotion, RegistryError> {
        let kept = self.model(&detector.name, model)?;
        if step != Step::Retired {
            kept.bind(detector).map_err(|error| RegistryError::Refused(format!("{error:#}")))?;
        }
        self.append(&detector.name, request, |aliases| {
            Ok((step, model.to_string(), aliases.after(step, model)?))
        })
    }

    /// Goes back to the champion before.
    ///
    /// # Errors
    /// If there is none, it does not fit the detector any more, or the registry cannot be written.
    pub fn rollback(&self, detector: &Detector, request: Request) -> Result<Promotion, RegistryError> {
        self.append(&detector.name, request, |aliases| {
            let none =
                || RegistryError::Refused(format!("`{}` has no champion before this one", detector.name));
            let model = aliases.before.last().cloned().ok_or_else(none)?;
            let bound = self.model(&detector.name, &model)?.bind(detector);
            bound.map_err(|error| RegistryError::Refused(format!("{error:#}")))?;
            let after = aliases.after(Step::Rollback, &model)?;
            Ok((Step::Rollback, model, after))
        })
    }

    /// Writes what follows from the newest promotion as the next one; anew if somebody else was faster.
    fn append(
        &self,
        detector: &str,
        request: Request,
        next: impl Fn(&Aliases) -> Result<(Step, String, Aliases), RegistryError>,
    ) -> Result<Promotion, RegistryError> {
        let folder = self.objects.root().join(detector);
        for _ in 0..TRIES_MAX {
            let newest = self.newest(detector)?;
            let before = newest.as_ref().map(|newest| newest.aliases.clone()).unwrap_or_default();
            let (step, model, aliases) = next(&before)?;
            let made = Promotion {
                number: newest.map_or(1, |newest| newest.number + 1),
                at: now(),
                by: request.by.to_string(),
                reason: request.reason.to_string(),
                step,
                model,
                from: before.champion,
                aliases,
            };
            if self.objects.create(&promotion(&folder, made.number), pretty(&made)?)? {
                return Ok(made);
            }
        }
        Err(anyhow!("others promote models of `{detector}` all the time").into())
    }

    /// The newest run of training again.
    ///
    /// # Errors
    /// If the registry cannot be read.
    pub fn newest_run(&self, detector: &str) -> Result<Option<Claim>> {
        let folder = self.objects.root().join(detector).join(RUNS);
        let number = self.numbers(&folder)?.last().copied();
        number.map(|number| self.read(&numbered(&folder, number))).transpose().map(Option::flatten)
    }

    /// Writes a run's number down where nobody has; false if somebody has.
    ///
    /// # Errors
    /// If the registry cannot be written.
    pub fn claim_run(&self, detector: &str, claim: &Claim) -> Result<bool> {
        let folder = self.objects.root().join(detector).join(RUNS);
        self.objects.create(&numbered(&folder, claim.number), pretty(claim)?)
    }

    /// Whether a run is over.
    ///
    /// # Errors
    /// If that cannot be found out.
    pub fn has_run_ended(&self, detector: &str, number: u64) -> Result<bool> {
        self.objects.has(&self.end_of_run(detector, number))
    }

    /// Says that a run is over, and how.
    ///
    /// # Errors
    /// If the registry cannot be written.
    pub fn end_run(&self, detector: &str, number: u64, how: &str) -> Result<()> {
        let end = serde_json::json!({ "at": now(), "state": how });
        self.objects.put(&self.end_of_run(detector, number), pretty(&end)?)
    }

    fn end_of_run(&self, detector: &str, number: u64) -> Place {
        self.objects.root().join(detector).join(RUNS).join(format!("{number:08}.end.json"))
    }

    fn of_model(&self, detector: &str, id: &str) -> Place {
        self.objects.root().join(detector).join(id)
    }

    fn read_model(&self, folder: &Place) -> Result<Option<ModelFile>> {
        let place = folder.clone().join("model.json");
        let Some(bytes) = self.objects.get(&place)? else { return Ok(None) };
        ModelFile::parse(&bytes, place.as_ref()).map(Some)
    }

    /// Promotions or facts, which never change.
    fn read<T: DeserializeOwned>(&self, place: &Place) -> Result<Option<T>> {
        let parse =
            |bytes: &[u8]| serde_json::from_slice(bytes).with_context(|| format!("{place} is damaged"));
        if let Some(bytes) = lock(&self.seen).get(place) {
            return parse(bytes).map(Some);
        }
        let Some(bytes) = self.objects.get(place)? else { return Ok(None) };
        let found = parse(&bytes)?;
        lock(&self.seen).insert(place.clone(), bytes);
        Ok(Some(found))
    }

    fn read_history(&self, folder: &Place) -> Result<Vec<Promotion>> {
        let numbers = self.numbers(&folder.clone().join(PROMOTIONS))?;
        numbers.into_iter().map(|number| self.read_promotion(folder, number)).collect()
    }

    fn read_promotion(&self, folder: &Place, number: u64) -> Result<Promotion> {
        let place = promotion(folder, number);
        self.read(&place)?.with_context(|| format!("there is no {place} any more"))
    }

    /// Numbers of the objects of a folder, in order.
    fn numbers(&self, folder: &Place) -> Result<Vec<u64>> {
        let found = self.objects.list(folder)?;
        let number = |name: &str| name.strip_suffix(".json")?.parse().ok();
        let mut numbers: Vec<u64> =
            found.objects.iter().filter_map(|place| number(place.filename()?)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }
}

fn promotion(folder: &Place, number: u64) -> Place {
    numbered(&folder.clone().join(PROMOTIONS), number)
}

fn numbered(folder: &Place, number: u64) -> Place {
    folder.clone().join(format!("{number:08}.json"))
}

fn pretty(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(value).context("it cannot be written as JSON")
}

/// Whether every event gets the same decision from both.
fn decides_alike(a: &ModelFile, b: &ModelFile) -> bool {
    a.feature_fingerprint == b.feature_fingerprint
        && a.review_score_min == b.review_score_min
        && a.calibration == b.calibration
        && a.forest == b.forest
}

fn taken(id: &str) -> RegistryError {
    let message =
        format!("the registry has another model {id}: its forest, calibration or threshold differs");
    RegistryError::Refused(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aliases(steps: &[(Step, &str)]) -> Aliases {
        steps.iter().fold(Aliases::default(), |aliases, (step, model)| aliases.after(*step, model).unwrap())
    }

    #[test]
    fn a_rollback_undoes_promotions_one_by_one() {
        use Step::{Champion, Rollback};
        let three = [(Champion, "a"), (Champion, "b"), (Champion, "c")];
        let back = aliases(&[&three[..], &[(Rollback, "b"), (Rollback, "a")]].concat());
        assert_eq!((back.champion.as_deref(), back.before.len()), (Some("a"), 0));
        let again = aliases(&[&three[..], &[(Rollback, "b"), (Champion, "c"), (Rollback, "b")]].concat());
        assert_eq!((again.champion.as_deref(), again.before), (Some("b"), vec!["a".to_string()]));
    }

    #[test]
    fn a_challenger_that_becomes_champion_is_no_challenger() {
        use Step::{Challenger, Champion, Retired};
        let found = aliases(&[(Champion, "a"), (Challenger, "b"), (Challenger, "c"), (Champion, "b")]);
        assert_eq!((found.champion.as_deref(), &found.challengers[..]), (Some("b"), &["c".to_string()][..]));
        assert_eq!(found.after(Retired, "c").unwrap().challengers, [""; 0]);
        for (step, model) in
            [(Champion, "b"), (Challenger, "b"), (Challenger, "c"), (Retired, "b"), (Retired, "a")]
        {
            assert!(found.after(step, model).is_err(), "{step:?} {model}");
        }
    }

    #[test]
    fn there_is_an_end_of_challengers() {
        let names: Vec<String> = (0..=CHALLENGERS_MAX).map(|number| number.to_string()).collect();
        let steps: Vec<_> =
            names[..CHALLENGERS_MAX].iter().map(|name| (Step::Challenger, name.as_str())).collect();
        assert!(aliases(&steps).after(Step::Challenger, &names[CHALLENGERS_MAX]).is_err());
    }
}
