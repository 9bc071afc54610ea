//! What a run does, step by step. Each step finds what the one before has left in the folder.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use engine::Detector;
use engine::time::{DAY_US, format_instant, parse_instant};
use lab::artifact::ModelFile;
use lab::dataset::{ColumnMap, DatasetError};
use lab::facts::Facts;
use lab::retrain::{self, Verdict, challenger};
use lab::split::Split;
use lab::train::{Recipe, TrainingSet, load, read_rows, score_all, write_rows};
use lab::validate::{Protocol, measure};
use store::AuditLog;

use super::config::Promote;
use super::rows::{Collected, Wanted, collect, newest_us};
use super::run::{Run, State, Step};
use super::said;
use crate::mlflow::server::{Client, Credentials, Server};
use crate::mlflow::{self, Alias, Place, Publication};
use crate::registry::{self, Registry, Request};
use crate::service::settings::{ModelSource, Settings};

/// Who promotes by the rule, as the history of promotions says it.
pub const BY: &str = "retraining";

/// Rows that scoring is timed on, at most.
const TIMED_ROWS: usize = 20_000;

/// How often; the shortest time counts, because everything else on the machine only adds to it.
const TIMES: usize = 5;

/// Figures of a measured model that a run shows.
const FIGURES: [&str; 4] = ["average_precision", "auc_roc", "recall_at_fpr_0_01", "brier"];

/// What people follow a step by: how much is done, of what.
pub type Progress<'a> = dyn FnMut(&'static str, u64) + 'a;

/// A run with all that its steps need.
pub struct Work {
    folder: PathBuf,
    settings: Settings,
    detector: Arc<Detector>,
    /// The detector's file.
    text: String,
    recipe: Recipe,
    run: Run,
    /// Held for as long as somebody works on the run.
    _lock: File,
}

impl Work {
    /// The run of a folder, new or to be gone on with. While another process works on it, this waits.
    ///
    /// # Errors
    /// If the folder cannot be used.
    pub fn open(
        folder: &Path,
        settings: Settings,
        (detector, text): (Arc<Detector>, String),
        recipe: Recipe,
        trigger: &str,
    ) -> Result<Work> {
        let _lock = hold(folder)?;
        let run = Run::open(folder, trigger)?;
        Ok(Work { folder: folder.to_path_buf(), settings, detector, text, recipe, run, _lock })
    }

    /// How far it is.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// Does the steps up to this one that are not done, as far as it goes: until the challenger scores in the shadow, a person is
    /// asked, or the run is over. What goes wrong is kept with the run; called again, it tries that step again.
    ///
    /// # Errors
    /// If a step goes wrong.
    pub fn go(&mut self, last: Step, progress: &mut Progress) -> Result<()> {
        if matches!(self.run.state, State::Promoted | State::Rejected | State::Cancelled) {
            return Ok(());
        }
        for step in Step::ALL.into_iter().filter(|step| *step <= last) {
            if self.run.has_done(step) {
                continue;
            }
            self.begin(step)?;
            match self.step(step, progress) {
                Ok(true) => self.finish(step)?,
                Ok(false) => return self.run.save(&self.folder),
                Err(error) => return self.fail(error),
            }
            if self.run.state.is_over() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Says what happened, on the log and in the audit log. The run goes on where that cannot be written: the service refuses changes
    /// then, and this one can be taken back.
    fn note(&self, words: &str) {
        let entry = said(&self.run, words);
        let database = self.settings.remember.then(|| self.settings.database());
        let noted = AuditLog::open(database.as_ref(), &self.settings.data_dir)
            .and_then(|mut log| log.append(&[entry]));
        if let Err(error) = noted {
            tracing::warn!(%error, "the audit log cannot be written");
        }
    }

    fn begin(&mut self, step: Step) -> Result<()> {
        (self.run.step, self.run.state, self.run.ended_at) = (step, State::Running, None);
        self.run.detail.clear();
        self.run.save(&self.folder)
    }

    fn finish(&mut self, step: Step) -> Result<()> {
        self.run.done.push(step);
        self.run.save(&self.folder)
    }

    fn fail(&mut self, error: anyhow::Error) -> Result<()> {
        self.run.end(State::Failed, &format!("{error:#}"));
        self.note(&self.run.detail);
        self.run.save(&self.folder)?;
        Err(error)
    }

    /// Whether the step is done; if not, something must be waited for.
    fn step(&mut self, step: Step, progress: &mut Progress) -> Result<bool> {
        match step {
            Step::Collect => self.collect(progress)?,
            Step::Train => self.train(progress)?,
            Step::Evaluate => self.evaluate()?,
            Step::Register => self.register()?,
            Step::Judge => return self.judge(progress),
            Step::Promote => return self.promote(),
        }
        Ok(true)
    }

    fn collect(&mut self, progress: &mut Progress) -> Result<()> {
        let Collected { mut set, counts, .. } = self.rows(None, progress)?;
        if let Some(earlier) = self.earlier(&set)? {
            self.run.figures.insert("rows_also".to_string(), earlier.len() as f64);
            let mut all = TrainingSet::new(set.columns.len(), None);
            all.extend(&earlier);
            all.extend(&set);
            set = all;
        }
        let config = &self.settings.retraining;
        let split = config.stretch.of(&set)?;
        write_rows(&set, &self.detector.feature_names(), &self.rows_file())?;
        self.run.figures.extend(counts);
        let cuts = [split.train.start, split.test.start, split.test.end];
        self.run.stretch = Some(cuts.map(format_instant));
        let rows = set.len();
        self.note(&format!("{rows} rows from {} on, {} fraud", format_instant(cuts[0]), set.frauds()));
        Ok(())
    }

    /// Rows of the file from before the database's first, computed by the engine; `None` where none are wanted or there are none.
    fn earlier(&self, set: &TrainingSet) -> Result<Option<TrainingSet>> {
        let config = &self.settings.retraining;
        let Some(file) = &config.also else { return Ok(None) };
        let first_us = set.times_us.iter().copied().min().unwrap_or(i64::MAX);
        let weeks = i64::from(config.stretch.train_weeks + config.stretch.test_weeks);
        let wanted = set.days().end - weeks * 7 * DAY_US..first_us;
        if wanted.is_empty() {
            return Ok(None);
        }
        match load(&self.detector, file, &ColumnMap::default(), Some(wanted), &mut |_| {}) {
            Ok((earlier, _)) => Ok(Some(earlier)),
            Err(error) if matches!(error.downcast_ref(), Some(DatasetError::NoRows { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Rows of the database from an event time on, as far back as is learnt from without one.
    fn rows(&self, from_us: Option<i64>, progress: &mut Progress) -> Result<Collected> {
        let config = &self.settings.retraining;
        let wanted = Wanted {
            detector: &self.detector,
            from_us,
            stretch: config.stretch,
            rows_max: config.rows_max,
            mature_after_us: self.settings.mature_after_us,
        };
        collect(&mut *self.reader()?, &wanted, &mut |read| progress("decisions", read))
    }

    fn reader(&self) -> Result<Box<dyn store::Store>> {
        let database = self.settings.database();
        database.open_reader().with_context(|| format!("no database at {database}"))
    }

    fn rows_file(&self) -> PathBuf {
        self.folder.join("rows.parquet")
    }

    fn model_file(&self) -> PathBuf {
        self.folder.join("challenger.json")
    }

    fn split(&self) -> Result<Split> {
        let cuts = self.run.stretch.as_ref().context("no rows were collected: run `collect` first")?;
        let [first, cut, end] = cuts.each_ref().map(|text| parse_instant(text).unwrap_or(0));
        Ok(Split { train: first..cut, test: cut..end })
    }

    fn collected(&self) -> Result<TrainingSet> {
        read_rows(&self.rows_file(), &self.detector.feature_names())
    }

    fn challenger(&self) -> Result<ModelFile> {
        ModelFile::load(&self.model_file())
    }

    fn train(&mut self, progress: &mut Progress) -> Result<()> {
        let (set, split) = (self.collected()?, self.split()?);
        let older = if self.settings.retraining.warm_start { self.champion()? } else { None };
        let started = Instant::now();
        let model = challenger(&self.detector, &set, &split, &self.recipe, older.as_ref(), &mut |done| {
            progress("trees", done.trees_done as u64);
        })?;
        let learnt = set.within(&split.train);
        let facts = Facts {
            data: self.settings.database().to_string(),
            growing_s: started.elapsed().as_secs_f64(),
            made_at: registry::now(),
            ..Facts::of(&model, &learnt)
        };
        model.save(&self.model_file())?;
        std::fs::write(self.folder.join("facts.json"), serde_json::to_vec_pretty(&facts)?)?;
        let figures = [
            ("train_rows", learnt.len() as f64),
            ("train_frauds", learnt.frauds() as f64),
            ("trees", model.forest.tree_count() as f64),
            ("growing_s", facts.growing_s),
        ];
        self.run.figures.extend(figures.map(|(name, value)| (name.to_string(), value)));
        self.run.model = Some(model.id.clone());
        self.note(&format!("{} is grown in {:.1} s", model.id, facts.growing_s));
        Ok(())
    }

    /// Figures of the challenger on the weeks that it was not grown on.
    fn evaluate(&mut self) -> Result<()> {
        let (set, split, model) = (self.collected()?, self.split()?, self.challenger()?);
        let (evaluation, _) = measure(&self.detector, &set, &split, &model, Protocol::All)
            .context("the challenger cannot be measured on the weeks kept to test on")?;
        let document = serde_json::to_value(&evaluation)?;
        std::fs::write(self.folder.join("evaluation.json"), serde_json::to_vec_pretty(&document)?)?;
        let found = FIGURES.iter().filter_map(|name| Some((name.to_string(), document[*name].as_f64()?)));
        self.run.figures.extend(found);
        self.note(&format!(
            "average precision {:.4} on the weeks kept to test on",
            evaluation.average_precision
        ));
        Ok(())
    }

    fn registry(&self) -> Result<Registry> {
        Registry::open(&self.settings.registry())
    }

    /// The model that decides now.
    fn champion(&self) -> Result<Option<ModelFile>> {
        match &self.settings.model {
            ModelSource::Rules => Ok(None),
            ModelSource::File(path) => ModelFile::load(path).map(Some),
            ModelSource::Registry => {
                let registry = self.registry()?;
                let newest = registry.newest(&self.detector.name)?;
                let champion = newest.and_then(|newest| newest.aliases.champion);
                Ok(champion.map(|id| registry.model(&self.detector.name, &id)).transpose()?)
            }
        }
    }

    /// Keeps the challenger with its facts and lets it score in the shadow, in place of the one of an earlier run.
    fn register(&mut self) -> Result<()> {
        let (model, registry) = (self.challenger()?, self.registry()?);
        if self.champion()?.is_some_and(|champion| champion.id == model.id) {
            self.run.end(State::Rejected, "the challenger is the champion over again");
            self.note(&self.run.detail);
            return Ok(());
        }
        let mut facts: Facts = serde_json::from_slice(&std::fs::read(self.folder.join("facts.json"))?)?;
        let measured = self.run.figures.iter().filter(|(name, _)| FIGURES.contains(&name.as_str()));
        facts.metrics.extend(measured.map(|(name, value)| (name.clone(), *value)));
        let evaluation = ("evaluation.json".to_string(), std::fs::read(self.folder.join("evaluation.json"))?);
        registry.register(&model, &facts, std::slice::from_ref(&evaluation))?;
        self.retire_earlier(&registry)?;
        let reason = format!("run {}: {}", self.run.id, self.run.trigger);
        let aliases = registry.newest(&self.detector.name)?.map(|newest| newest.aliases).unwrap_or_default();
        if !aliases.challengers.contains(&model.id) {
            let request = Request { by: BY, reason: &reason };
            registry.promote(&self.detector, &model.id, registry::Step::Challenger, request)?;
        }
        let newest = newest_us(&mut *self.reader()?)?.unwrap_or(0);
        self.run.shadow_until = Some(format_instant(newest + self.settings.retraining.shadow_us));
        self.note(&format!("{} is registered and scores in the shadow", model.id));
        self.publish(&model, &facts, &[evaluation]);
        Ok(())
    }

    /// Challengers of earlier runs score no longer; those of people do.
    fn retire_earlier(&self, registry: &Registry) -> Result<()> {
        let listed = registry.list(Some(&self.detector.name))?;
        let is_ours = |model: &&registry::Registered| {
            model.role == "challenger" && model.promotion.as_ref().is_some_and(|promotion| promotion.by == BY)
        };
        let is_other = |model: &&registry::Registered| Some(&model.facts.model_id) != self.run.model.as_ref();
        for model in listed.iter().filter(is_ours).filter(is_other) {
            let reason = format!("run {} has another challenger", self.run.id);
            let request = Request { by: BY, reason: &reason };
            registry.promote(&self.detector, &model.facts.model_id, registry::Step::Retired, request)?;
        }
        Ok(())
    }

    /// Compares the challenger with the champion, once it has scored in the shadow for long enough: on everything that has matured
    /// by now and that neither was trained on. Shadow scores need not be read: a model gives stored feature values the score that
    /// it gave them in the shadow, to the bit.
    fn judge(&mut self, progress: &mut Progress) -> Result<bool> {
        let until = self
            .run
            .shadow_until
            .as_deref()
            .and_then(parse_instant)
            .context("the challenger is not registered")?;
        let newest = newest_us(&mut *self.reader()?)?.unwrap_or(0);
        if newest < until {
            self.run.state = State::Shadow;
            self.run.detail = format!(
                "the challenger scores in the shadow until the event time {}; it is {} now",
                format_instant(until),
                format_instant(newest)
            );
            return Ok(false);
        }
        let verdict = self.compare(progress)?;
        self.note(&verdict.words);
        std::fs::write(self.folder.join("verdict.json"), serde_json::to_vec_pretty(&verdict)?)?;
        self.run.detail.clone_from(&verdict.words);
        self.run.verdict = Some(verdict);
        Ok(true)
    }

    fn compare(&self, progress: &mut Progress) -> Result<Verdict> {
        let (split, model, champion) = (self.split()?, self.challenger()?, self.champion()?);
        let newer = self.rows(Some(split.test.start), progress)?.set;
        let first = newer.times_us.iter().copied().min().unwrap_or(split.test.end);
        let mut set = self.collected()?.within(&(split.test.start..first.max(split.test.start)));
        set.extend(&newer);
        let end = set.times_us.iter().copied().max().unwrap_or(0) + 1;
        let row_ns = champion.as_ref().map(|champion| [champion, &model].map(|model| row_ns(model, &set)));
        let criteria = self.settings.retraining.criteria();
        let test = split.test.start..end;
        retrain::judge(&self.detector, &set, &test, champion.as_ref(), &model, row_ns, &criteria)
    }

    /// Does what the verdict says, or asks a person.
    fn promote(&mut self) -> Result<bool> {
        let verdict = self.run.verdict.clone().context("the challenger was not judged: run `judge` first")?;
        if !verdict.promote {
            self.retire(&verdict.words)?;
            self.run.end(State::Rejected, &verdict.words);
            self.note("the champion stays");
            return Ok(true);
        }
        if self.settings.retraining.promote == Promote::Person {
            self.run.state = State::Approval;
            self.run.detail =
                format!("a person is asked to promote {}: {}", verdict.challenger, verdict.words);
            self.note("a person is asked");
            return Ok(false);
        }
        self.crown(BY, &verdict.words)?;
        Ok(true)
    }

    /// Promotes the challenger of a run that asks a person, in that person's name.
    ///
    /// # Errors
    /// If the run does not ask, or the registry refuses.
    pub fn approve(&mut self, by: &str, reason: &str) -> Result<()> {
        ensure!(
            self.run.state == State::Approval,
            "the run {} is {}: only one that waits for a person can be approved",
            self.run.id,
            self.run.state.name()
        );
        let words = self.run.verdict.as_ref().map_or("", |verdict| verdict.words.as_str());
        let reason = if reason.is_empty() { words.to_string() } else { format!("{reason} ({words})") };
        self.crown(by, &reason)?;
        self.finish(Step::Promote)
    }

    /// Ends the run at a person's word; its challenger scores no longer.
    ///
    /// # Errors
    /// If the run is over, or the registry refuses.
    pub fn cancel(&mut self, by: &str, reason: &str) -> Result<()> {
        if self.run.state.is_over() {
            bail!("the run {} is {} already", self.run.id, self.run.state.name());
        }
        if self.run.has_done(Step::Register) {
            self.retire(&format!("cancelled by {by}"))?;
        }
        self.run.end(State::Cancelled, format!("cancelled by {by}: {reason}").trim_end_matches([':', ' ']));
        self.note(&self.run.detail);
        self.run.save(&self.folder)
    }

    fn crown(&mut self, by: &str, reason: &str) -> Result<()> {
        let model = self.run.model.clone().context("there is no challenger")?;
        let request = Request { by, reason };
        self.registry()?.promote(&self.detector, &model, registry::Step::Champion, request)?;
        self.run.end(State::Promoted, reason);
        self.note(&format!("{model} decides from now on"));
        self.tell_champion();
        Ok(())
    }

    fn retire(&self, reason: &str) -> Result<()> {
        let Some(model) = &self.run.model else { return Ok(()) };
        let registry = self.registry()?;
        let aliases = registry.newest(&self.detector.name)?.map(|newest| newest.aliases).unwrap_or_default();
        if aliases.challengers.contains(model) {
            let request = Request { by: BY, reason };
            registry.promote(&self.detector, model, registry::Step::Retired, request)?;
        }
        Ok(())
    }

    fn mlflow(&self) -> Option<Result<Client>> {
        let url = self.settings.retraining.mlflow.as_ref()?;
        let server = Server::parse(url, Credentials::from_environment());
        Some(server.map_err(|error| anyhow::anyhow!("retraining.mlflow: {error}")).and_then(Client::new))
    }

    fn mlflow_model(&self) -> String {
        format!("redflag-{}", self.detector.name)
    }

    /// Tells MLflow of the challenger. Whatever goes wrong there does not end the run: the registry is what decides.
    fn publish(&mut self, model: &ModelFile, facts: &Facts, attachments: &[(String, Vec<u8>)]) {
        let Some(client) = self.mlflow() else { return };
        let place = Place {
            experiment: format!("redflag/{}", self.detector.name),
            model: self.mlflow_model(),
            alias: Some(Alias::Challenger),
        };
        let publication = Publication { model, facts, detector: &self.text, attachments };
        match client.and_then(|client| mlflow::publish(&client, &place, &publication)) {
            Ok(published) => {
                self.note(&published.to_string());
                self.run.mlflow = Some(published.version);
            }
            Err(error) => {
                tracing::warn!(run = self.run.id, error = %format!("{error:#}"), "MLflow was not told")
            }
        }
    }

    /// Gives the version on the MLflow server the champion's alias.
    fn tell_champion(&self) {
        let (Some(client), Some(version)) = (self.mlflow(), &self.run.mlflow) else { return };
        let name = self.mlflow_model();
        let told = client.and_then(|client| mlflow::give_alias(&client, &name, version, Alias::Champion));
        if let Err(error) = told {
            tracing::warn!(run = self.run.id, error = %format!("{error:#}"), "MLflow was not told of the promotion");
        }
    }
}

/// Takes a run's folder for this process; a service that was killed may have left a process that still works on it.
fn hold(folder: &Path) -> Result<File> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let path = folder.join("lock");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    if file.try_lock().is_err() {
        tracing::info!(folder = %folder.display(), "retraining: another process works on this run; waiting for it");
        file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    }
    Ok(file)
}

/// Nanoseconds that a model needs for a row, one thread, the shortest of some times.
fn row_ns(model: &ModelFile, set: &TrainingSet) -> f64 {
    let rows: Vec<usize> = (0..set.len().min(TIMED_ROWS)).collect();
    let (some, scorer) = (set.select(&rows), model.forest.scorer());
    let time = || {
        let started = Instant::now();
        std::hint::black_box(score_all(&scorer, &some));
        started.elapsed().as_nanos() as f64 / rows.len().max(1) as f64
    };
    (0..TIMES).map(|_| time()).fold(f64::INFINITY, f64::min)
}
