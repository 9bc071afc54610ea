//! The models that a service scores with: the champion, which decides, and challengers, which score the same events in
//! the shadow. They come from a file, and stay, or from the registry, and follow its promotions. The rulebook comes from
//! the registry in either case.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use engine::{Detector, Model};
use lab::artifact::ModelFile;
use lab::drift::Baseline;
use lab::facts::Facts;
use store::{NewShadowScore, StoredDecision};

use super::online::{self, Online};
use super::pipeline::lock;
use crate::registry::rulebooks::applied;
use crate::registry::{Promotion, Registry, RegistryError, facts_of_file};

/// How often the registry is asked whether a model was promoted.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A model that is ready to score.
pub struct Loaded {
    /// How it came to be.
    pub facts: Facts,
    /// Trees.
    pub trees: usize,
    /// Where features and scores were when it was trained, if its file says so.
    pub baseline: Option<Baseline>,
    /// The model, bound to the detector.
    pub model: Model,
}

/// Who does what from one promotion, or rulebook, to the next.
pub struct Lineup {
    /// Number of the promotion; 0 before the first one, and without a registry.
    pub number: u64,
    /// Number of the rulebook; 0 is the detector file's own.
    pub rulebook: u64,
    /// The detector deciding by that rulebook.
    pub detector: Arc<Detector>,
    /// The model that decides; without one, rules alone do.
    pub champion: Option<Arc<Loaded>>,
    /// Models that score in the shadow.
    pub challengers: Vec<Arc<Loaded>>,
    /// One more, which learns from each label, if there is one.
    pub online: Option<Arc<Online>>,
}

impl Lineup {
    /// Nobody, and the file's own rules.
    fn of(detector: &Arc<Detector>) -> Lineup {
        let detector = Arc::clone(detector);
        Lineup { number: 0, rulebook: 0, detector, champion: None, challengers: Vec::new(), online: None }
    }

    /// Counts promotions and rulebooks: both only grow, so another lineup of a service has another turn.
    pub fn turn(&self) -> u64 {
        self.number + self.rulebook
    }

    /// Ids of all that score: of the champion, the challengers, and the one that learns.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        let online = self.online.iter().map(|_| online::ID);
        self.all().map(|loaded| &*loaded.model.id).chain(online)
    }

    /// All that score in the shadow, with their ids.
    pub fn in_the_shadow(&self) -> impl Iterator<Item = (&str, Scorer)> {
        let challengers = self.challengers.iter().map(|loaded| &loaded.model);
        let challengers = challengers.map(|model| (&*model.id, Scorer::Forest(Box::new(model.clone()))));
        let online = self.online.iter().map(|online| (online::ID, Scorer::Online(Arc::clone(online))));
        challengers.chain(online)
    }

    /// The champion, then the challengers that stay as they are.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Loaded>> {
        self.champion.iter().chain(&self.challengers)
    }

    /// Id of the model that decides.
    pub fn champion_id(&self) -> Option<&str> {
        self.champion.as_ref().map(|champion| &*champion.model.id)
    }
}

/// The models and the rulebook of a service.
pub struct Models {
    /// As its file is.
    detector: Arc<Detector>,
    registry: Registry,
    /// Whether models come from the registry as well.
    follows_promotions: bool,
    current: Mutex<Arc<Lineup>>,
    /// Turn of the current lineup, to be looked at for every group.
    number: AtomicU64,
    /// Held by whoever loads: the registry is read once for all that want to follow it.
    loading: Mutex<()>,
    /// Why the registry could not be followed, until it can.
    trouble: Mutex<Option<String>>,
}

impl Models {
    /// A model file, or none, and the rulebooks of the registry from now on.
    ///
    /// # Errors
    /// If the model or the newest rulebook does not fit the detector, or the registry cannot be read.
    pub fn of_file(
        detector: &Arc<Detector>,
        file: Option<&ModelFile>,
        registry: Registry,
    ) -> Result<Arc<Models>> {
        let load = |file: &ModelFile| Loaded::new(file, facts_of_file(file), detector).map(Arc::new);
        let champion = file.map(load).transpose()?;
        Models::watching(detector, registry, false, Lineup { champion, ..Lineup::of(detector) })
    }

    /// What the registry says, now and from now on.
    ///
    /// # Errors
    /// If it cannot be read, or its models or the newest rulebook do not fit the detector.
    pub fn of_registry(detector: &Arc<Detector>, registry: Registry) -> Result<Arc<Models>> {
        Models::watching(detector, registry, true, Lineup::of(detector))
    }

    fn watching(
        detector: &Arc<Detector>,
        registry: Registry,
        follows_promotions: bool,
        lineup: Lineup,
    ) -> Result<Arc<Models>> {
        let models = Arc::new(Models {
            detector: Arc::clone(detector),
            registry,
            follows_promotions,
            number: AtomicU64::new(lineup.turn()),
            current: Mutex::new(Arc::new(lineup)),
            loading: Mutex::new(()),
            trouble: Mutex::new(None),
        });
        models.load_newest()?;
        let watched = Arc::downgrade(&models);
        let watch = move || {
            while let Some(models) = watched.upgrade() {
                models.follow();
                drop(models);
                std::thread::sleep(LOOK_EVERY);
            }
        };
        std::thread::Builder::new()
            .name("models".into())
            .spawn(watch)
            .context("cannot watch the registry")?;
        Ok(models)
    }

    /// Lets this one score in the shadow as well, whatever is promoted.
    pub fn join(&self, online: Arc<Online>) {
        let _loading = lock(&self.loading);
        let mut current = lock(&self.current);
        let Lineup { number, rulebook, detector, champion, challengers, .. } = &**current;
        *current = Arc::new(Lineup {
            number: *number,
            rulebook: *rulebook,
            detector: Arc::clone(detector),
            champion: champion.clone(),
            challengers: challengers.clone(),
            online: Some(online),
        });
    }

    /// Who does what.
    pub fn current(&self) -> Arc<Lineup> {
        Arc::clone(&lock(&self.current))
    }

    /// Who does what, if that is not what it was at this turn.
    pub fn other_than(&self, turn: Option<u64>) -> Option<Arc<Lineup>> {
        (turn != Some(self.number.load(Ordering::Acquire))).then(|| self.current())
    }

    /// Where models are kept, if they do not come from a file.
    pub fn registry(&self) -> Option<&Registry> {
        self.follows_promotions.then_some(&self.registry)
    }

    /// Where rulebooks are kept.
    pub fn rulebooks(&self) -> &Registry {
        &self.registry
    }

    /// The detector as its file is, which rulebooks are for.
    pub fn file_detector(&self) -> &Arc<Detector> {
        &self.detector
    }

    /// Why the registry cannot be followed at the moment.
    pub fn trouble(&self) -> Option<String> {
        lock(&self.trouble).clone()
    }

    /// The model of this id, in use or kept. Reads the registry.
    pub fn find(&self, id: &str) -> Option<Model> {
        let current = self.current();
        if let Some(found) = current.all().find(|loaded| &*loaded.model.id == id) {
            return Some(found.model.clone());
        }
        self.registry()?.model(&self.detector.name, id).ok()?.bind(&self.detector).ok()
    }

    /// The model that a decision was made with; the champion if that is gone. Reads the registry.
    pub fn behind(&self, stored: &StoredDecision) -> Option<Model> {
        let made = stored.versions.model.as_deref().and_then(|id| self.find(id));
        made.or_else(|| self.current().champion.as_ref().map(|champion| champion.model.clone()))
    }

    /// The detector with the rules that a decision was made by; with those of now if they are gone. Reads the registry.
    pub fn detector_behind(&self, stored: &StoredDecision) -> Arc<Detector> {
        let fingerprint = &stored.versions.rules_fingerprint;
        let current = self.current();
        if current.detector.rules_fingerprint == *fingerprint {
            return Arc::clone(&current.detector);
        }
        let found = self.registry.detector_behind(&self.detector, fingerprint).ok().flatten();
        found.map_or_else(|| Arc::clone(&current.detector), Arc::new)
    }

    /// Looks whether something was promoted, and takes it over. What cannot be taken over leaves everything as it is.
    pub fn follow(&self) {
        let followed = self.load_newest();
        let error = followed.err().map(|error| format!("{error:#}"));
        let mut trouble = lock(&self.trouble);
        if let Some(error) = error.as_ref().filter(|error| trouble.as_ref() != Some(error)) {
            tracing::error!(error, "the registry cannot be followed: the models stay as they are");
        }
        *trouble = error;
    }

    fn load_newest(&self) -> Result<(), RegistryError> {
        let _loading = lock(&self.loading);
        let current = self.current();
        let (rulebook, detector) = self.newest_rulebook(&current)?;
        let lineup = match self.newest_promotion(&current)? {
            Some(promotion) => self.lineup_after(&current, &promotion)?,
            None if rulebook == current.rulebook => return Ok(()),
            None => Lineup {
                number: current.number,
                champion: current.champion.clone(),
                challengers: current.challengers.clone(),
                ..Lineup::of(&detector)
            },
        };
        let lineup = Lineup { rulebook, detector, online: current.online.clone(), ..lineup };
        tracing::info!(
            champion = lineup.champion_id(),
            rulebook = lineup.rulebook,
            challengers = lineup.challengers.len(),
            "models and rules are taken"
        );
        let turn = lineup.turn();
        *lock(&self.current) = Arc::new(lineup);
        self.number.store(turn, Ordering::Release);
        Ok(())
    }

    /// The newest promotion, if there is one that is not followed yet.
    fn newest_promotion(&self, current: &Lineup) -> Result<Option<Promotion>, RegistryError> {
        let name = &self.detector.name;
        if !self.follows_promotions || !self.registry.has_after(name, current.number)? {
            return Ok(None);
        }
        self.registry.newest(name)
    }

    fn lineup_after(&self, current: &Lineup, promotion: &Promotion) -> Result<Lineup, RegistryError> {
        let load = |id: &String| self.load(current, id);
        let champion = promotion.aliases.champion.as_ref().map(load).transpose()?;
        let challengers = promotion.aliases.challengers.iter().map(load).collect::<Result<_, _>>()?;
        Ok(Lineup { number: promotion.number, champion, challengers, ..Lineup::of(&self.detector) })
    }

    /// The newest rulebook's number, and the detector deciding by it.
    fn newest_rulebook(&self, current: &Lineup) -> Result<(u64, Arc<Detector>), RegistryError> {
        let name = &self.detector.name;
        if !self.registry.has_rulebook_after(name, current.rulebook)? {
            return Ok((current.rulebook, Arc::clone(&current.detector)));
        }
        let Some(newest) = self.registry.newest_rulebook(name)? else {
            return Ok((0, Arc::clone(&self.detector)));
        };
        Ok((newest.number, Arc::new(applied(&self.detector, &newest.rulebook)?)))
    }

    /// A model that is in use already, or one from the registry.
    fn load(&self, current: &Lineup, id: &str) -> Result<Arc<Loaded>, RegistryError> {
        if let Some(loaded) = current.all().find(|loaded| &*loaded.model.id == id) {
            return Ok(Arc::clone(loaded));
        }
        let file = self.registry.model(&self.detector.name, id)?;
        let facts = self.registry.facts(&self.detector.name, id)?;
        Ok(Arc::new(Loaded::new(&file, facts, &self.detector)?))
    }
}

impl Loaded {
    fn new(file: &ModelFile, facts: Facts, detector: &Detector) -> Result<Loaded> {
        let (trees, baseline) = (file.forest.tree_count(), file.baseline.clone());
        Ok(Loaded { facts, trees, baseline, model: file.bind(detector)? })
    }
}

/// What gives a challenger's scores.
pub enum Scorer {
    /// Trees, which stay as they are.
    Forest(Box<Model>),
    /// What learns from each label.
    Online(Arc<Online>),
}

impl Scorer {
    /// Scores every row of a feature matrix; `scratch` and `scores` are reused.
    fn score(&self, features: &[f64], rows: usize, scratch: &mut forest::Scratch, scores: &mut Vec<f64>) {
        match self {
            Scorer::Forest(model) => model.score_batch(features, scratch, scores),
            Scorer::Online(online) => {
                let model = online.newest();
                let row = |row: usize| &features[row * model.width()..][..model.width()];
                scores.clear();
                scores.extend((0..rows).map(|at| model.probability(row(at))));
            }
        }
    }
}

/// Challengers at work, each with the number of its version in the database.
#[derive(Default)]
pub struct Challengers {
    models: Vec<(i64, Scorer)>,
    scratch: forest::Scratch,
    /// One challenger's scores of a batch.
    scores: Vec<f64>,
}

/// What challengers say of the rows of a batch. The memory is kept from batch to batch.
#[derive(Debug, Default)]
pub struct ShadowScores {
    /// Row by row, one for each challenger.
    scores: Vec<NewShadowScore>,
    challengers: usize,
}

impl Challengers {
    /// These models, with the numbers of their versions.
    pub fn new(models: Vec<(i64, Scorer)>) -> Challengers {
        Challengers { models, ..Challengers::default() }
    }

    /// Scores every row of a feature matrix.
    pub fn score(&mut self, features: &[f64], rows: usize, out: &mut ShadowScores) {
        let challengers = self.models.len();
        out.challengers = challengers;
        out.scores.clear();
        out.scores.resize(rows * challengers, NewShadowScore { version: 0, score: f64::NAN });
        for (at, (version, model)) in self.models.iter().enumerate() {
            model.score(features, rows, &mut self.scratch, &mut self.scores);
            for (row, score) in self.scores.iter().enumerate() {
                out.scores[row * challengers + at] = NewShadowScore { version: *version, score: *score };
            }
        }
    }
}

impl ShadowScores {
    /// What challengers say of a row.
    pub fn of(&self, row: usize) -> &[NewShadowScore] {
        &self.scores[row * self.challengers..][..self.challengers]
    }

    /// Forgets all rows.
    pub fn clear(&mut self) {
        self.scores.clear();
        self.challengers = 0;
    }
}
