//! Runs of training again, started by the schedule, by drift, or by a person.
//!
//! A run works in a process of its own, at the lowest priority and on few cores, so that no decision waits for it and nothing
//! that happens to it happens to the service. It is the same command that people and Airflow call, on the same folder; the service
//! only says when.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use engine::time::{DAY_US, format_instant, parse_instant};

use super::api::{Api, Doors};
use super::pipeline::{lock, now_us};
use super::settings::{ModelSource, Settings};
use super::wire::{self, Instant};
use crate::registry::Registry;
use crate::retraining::claim::{Refused, claim};
use crate::retraining::config::{Config, Promote};
use crate::retraining::run::{Run, State};
use crate::retraining::said;

/// How often is looked whether there is something to do.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Drift starts a run at most so often.
const BETWEEN_DRIFTS_US: i64 = DAY_US;

/// Runs that are shown.
const SHOWN: usize = 100;

/// The runs of a service.
pub struct Retraining {
    config: Config,
    /// The settings file, which the process of a run reads as well.
    settings_file: Option<PathBuf>,
    folder: PathBuf,
    /// Why no run can be started at all, if none can.
    impossible: Option<&'static str>,
    state: Mutex<Now>,
}

/// What is so at the moment.
#[derive(Default)]
struct Now {
    /// The process of a run, and the run's id.
    child: Option<(String, Child)>,
    next_us: Option<i64>,
    /// When drift last started a run.
    drift_us: Option<i64>,
    /// Runs that are not over and have no process; `None` when they must be looked for.
    waiting: Option<Vec<Run>>,
    /// A person's word is being carried out: nothing is to be started meanwhile.
    is_changing: bool,
    /// Why the schedule could not do as it should.
    trouble: Option<String>,
}

/// Why something is not done with a run.
#[derive(Debug)]
pub enum NotDone {
    /// There is no such run.
    Unknown,
    /// It cannot be, as things are.
    Refused(String),
    /// It failed.
    Failed(anyhow::Error),
}

impl From<anyhow::Error> for NotDone {
    fn from(error: anyhow::Error) -> NotDone {
        NotDone::Failed(error)
    }
}

/// What became of the runs of a data folder.
#[derive(Debug, Clone, Default)]
pub struct RunFigures {
    /// Those that are over, by outcome.
    pub over: Vec<(&'static str, u64)>,
    /// Whether one is not.
    pub is_running: bool,
    /// When one last came to a verdict, in microseconds since 1970.
    pub last_success_us: Option<i64>,
}

impl RunFigures {
    fn of(runs: &[Run]) -> RunFigures {
        let with = |state: State| runs.iter().filter(move |run| run.state == state);
        let over = [State::Promoted, State::Rejected, State::Failed, State::Cancelled];
        let judged = with(State::Promoted).chain(with(State::Rejected));
        RunFigures {
            over: over.map(|state| (state.name(), with(state).count() as u64)).to_vec(),
            is_running: runs.iter().any(|run| !run.state.is_over()),
            last_success_us: judged.filter_map(|run| parse_instant(run.ended_at.as_deref()?)).max(),
        }
    }
}

impl Retraining {
    /// As the settings say.
    pub fn new(settings: &Settings) -> Retraining {
        let config = settings.retraining.clone();
        let next_us = config.schedule.as_ref().and_then(|schedule| schedule.next_after(now_us()));
        let impossible = match (&settings.model, settings.remember) {
            (_, false) => Some("this service stores no decisions: there is nothing to learn from"),
            (ModelSource::Registry, true) => None,
            (_, true) => Some("the model of this service is no registry's: set model = \"registry\""),
        };
        Retraining {
            config,
            settings_file: settings.file.clone(),
            folder: settings.data_dir.join("retraining"),
            impossible,
            state: Mutex::new(Now { next_us, ..Now::default() }),
        }
    }

    /// What became of the runs so far. Reads a small file for each.
    pub fn figures(&self) -> RunFigures {
        RunFigures::of(&self.all_runs())
    }

    /// When the schedule starts the next run, in microseconds since 1970.
    pub fn next_us(&self) -> Option<i64> {
        lock(&self.state).next_us
    }

    /// Runs of this data folder, the newest first, as many as are shown.
    fn runs(&self) -> Vec<Run> {
        let mut runs = self.all_runs();
        runs.sort_by(|a, b| b.id.cmp(&a.id));
        runs.truncate(SHOWN);
        runs
    }

    fn all_runs(&self) -> Vec<Run> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return Vec::new() };
        let folders = entries.filter_map(|entry| Some(entry.ok()?.path()));
        folders.filter_map(|folder| Run::find(&folder).ok().flatten()).collect()
    }

    fn find(&self, id: &str) -> Result<Run, NotDone> {
        let is_name = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let found = if is_name { Run::find(&self.folder.join(id))? } else { None };
        found.ok_or(NotDone::Unknown)
    }

    /// All that there is to say.
    pub fn tell(&self, monitors: wire::Monitors) -> wire::Retraining {
        let (next_us, trouble) = {
            let now = lock(&self.state);
            (now.next_us, now.trouble.clone())
        };
        wire::Retraining {
            can_run: self.impossible.is_none(),
            detail: self.impossible.map(str::to_string).or(trouble),
            schedule: self.config.schedule.as_ref().map(ToString::to_string),
            time_zone: "UTC".to_string(),
            next_at: next_us.map(Instant),
            on_drift: self.config.on_drift,
            promote: if self.config.promote == Promote::Rule { "rule" } else { "person" }.to_string(),
            monitors,
            runs: self.runs().iter().map(wire::RetrainingRun::from).collect(),
        }
    }

    /// Starts a run, if none is under way here or anywhere. `scheduled_us` is the instant of the schedule that it is for.
    ///
    /// # Errors
    /// If one is under way, or it cannot be started.
    pub fn start(&self, api: &Doors, trigger: &str, scheduled_us: Option<i64>) -> Result<Run, NotDone> {
        let refused = |why: String| Err(NotDone::Refused(why));
        if let Some(why) = self.impossible {
            return refused(why.to_string());
        }
        // One that has just ended is seen off first.
        self.is_at_work(api)?;
        let registry = self.registry(api)?;
        let owner = format!("process {} on {}, {}", std::process::id(), machine(), self.folder.display());
        let claimed = claim(registry, &api.shared.detector.name, scheduled_us, trigger, &owner)?;
        let claimed = match claimed {
            Ok(claimed) => claimed,
            Err(Refused::Taken) => {
                return refused("another process has started this run of the schedule".to_string());
            }
            Err(Refused::UnderWay(other)) => {
                let why = format!("run {} is under way since {}, by {}", other.number, other.at, other.owner);
                return refused(why);
            }
        };
        let run = Run::new(format!("run-{:08}", claimed.number), Some(claimed.number), trigger);
        let folder = self.folder.join(&run.id);
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        run.save(&folder)?;
        api.audit.note(said(&run, trigger));
        self.launch(&run)?;
        Ok(run)
    }

    fn registry<'a>(&self, api: &'a Doors) -> Result<&'a Registry> {
        api.shared.models.registry().context("there is no registry")
    }

    /// `redflag retrain WHAT` on a run.
    fn command(&self, what: &str, id: &str) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe().context("cannot find the program itself")?);
        command.args(["retrain", what, "--humble", "--run"]).arg(self.folder.join(id));
        if let Some(file) = &self.settings_file {
            command.arg("--config").arg(file);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Ok(command)
    }

    /// Goes on with a run, in a process of its own.
    fn launch(&self, run: &Run) -> Result<()> {
        let child = self.command("run", &run.id)?.spawn().context("cannot start the process of a run")?;
        let mut now = lock(&self.state);
        (now.child, now.waiting) = (Some((run.id.clone(), child)), None);
        Ok(())
    }

    /// Promotes the challenger of a run that waits for a person, or ends a run, by `what`: `approve` or `cancel`.
    ///
    /// # Errors
    /// If the run does not allow that.
    pub fn change(&self, api: &Doors, what: &str, id: &str, by: &str, reason: &str) -> Result<Run, NotDone> {
        let run = self.find(id)?;
        let is_allowed = match what {
            "approve" => run.state == State::Approval,
            _ => !run.state.is_over(),
        };
        if !is_allowed {
            let why = format!("run {id} is {}: {}", run.state.name(), run.detail);
            return Err(NotDone::Refused(why));
        }
        lock(&self.state).is_changing = true;
        self.stop(id);
        let output = self.carry_out(what, id, by, reason);
        {
            let mut now = lock(&self.state);
            (now.is_changing, now.waiting) = (false, None);
        }
        let output = output?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let why = said.lines().last().unwrap_or_default().trim_start_matches("redflag: ").to_string();
            return Err(NotDone::Refused(why));
        }
        api.shared.models.follow();
        let run = self.find(id)?;
        self.end(api, &run)?;
        Ok(run)
    }

    fn carry_out(&self, what: &str, id: &str, by: &str, reason: &str) -> Result<Output> {
        // Whoever is named must not be taken for an option.
        let named = [format!("--by={by}"), format!("--reason={reason}")];
        let output = self.command(what, id)?.args(named).stderr(Stdio::piped()).output();
        output.context("cannot start the process that changes a run")
    }

    /// Kills the process of a run, if it has one.
    fn stop(&self, id: &str) {
        let mut now = lock(&self.state);
        if let Some((_, child)) = now.child.as_mut().filter(|(running, _)| running == id) {
            // It may have ended already.
            drop(child.kill());
            drop(child.wait());
            now.child = None;
        }
    }

    /// Kills the process of the run that is under way; the next start goes on with it.
    pub fn interrupt(&self) {
        let running = lock(&self.state).child.as_ref().map(|(id, _)| id.clone());
        running.iter().for_each(|id| self.stop(id));
    }

    /// Lets others start runs once this one is over.
    fn end(&self, api: &Doors, run: &Run) -> Result<()> {
        match run.number.filter(|_| run.state.is_over()) {
            Some(number) => self.registry(api)?.end_run(&api.shared.detector.name, number, run.state.name()),
            None => Ok(()),
        }
    }

    /// Looks what there is to do, and does it.
    fn tend(&self, api: &Doors) -> Result<()> {
        if self.impossible.is_some() || lock(&self.state).is_changing || self.is_at_work(api)? {
            return Ok(());
        }
        let stream_us = lock(&api.shared.stats).stream_us;
        if let Some(run) = self.waiting().iter().find(|run| is_due(run, stream_us)) {
            return self.launch(run);
        }
        self.start_scheduled(api)?;
        self.start_for_drift(api)
    }

    /// Runs that are not over. Folders are looked at when something has changed, and not every second.
    fn waiting(&self) -> Vec<Run> {
        if let Some(waiting) = &lock(&self.state).waiting {
            return waiting.clone();
        }
        let waiting: Vec<Run> = self.runs().into_iter().filter(|run| !run.state.is_over()).collect();
        lock(&self.state).waiting = Some(waiting.clone());
        waiting
    }

    /// Whether the process of a run works; one that has ended is seen off.
    fn is_at_work(&self, api: &Doors) -> Result<bool> {
        let ended = {
            let mut now = lock(&self.state);
            let Some((id, child)) = now.child.as_mut() else { return Ok(false) };
            let Some(status) = child.try_wait()? else { return Ok(true) };
            let id = id.clone();
            (now.child, now.waiting) = (None, None);
            (id, status)
        };
        let (id, status) = ended;
        let Some(mut run) = Run::find(&self.folder.join(&id))? else { return Ok(false) };
        if run.state == State::Running {
            run.end(State::Failed, &format!("its process ended: {status}"));
            api.audit.note(said(&run, &run.detail));
            run.save(&self.folder.join(&id))?;
        }
        api.shared.models.follow();
        self.end(api, &run)?;
        Ok(false)
    }

    fn start_scheduled(&self, api: &Doors) -> Result<()> {
        let Some(schedule) = &self.config.schedule else { return Ok(()) };
        let due_us = {
            let mut now = lock(&self.state);
            let Some(due_us) = now.next_us.filter(|due_us| *due_us <= now_us()) else { return Ok(()) };
            now.next_us = schedule.next_after(now_us());
            due_us
        };
        self.try_start(api, &format!("schedule {}", format_instant(due_us)), Some(due_us))
    }

    fn start_for_drift(&self, api: &Doors) -> Result<()> {
        if !self.config.on_drift || !api.monitors.take_crossing() {
            return Ok(());
        }
        {
            let mut now = lock(&self.state);
            if now.drift_us.is_some_and(|last_us| now_us() - last_us < BETWEEN_DRIFTS_US) {
                return Ok(());
            }
            now.drift_us = Some(now_us());
        }
        let raised = api.monitors.tell().raised;
        let named: Vec<String> =
            raised.iter().map(|alarm| format!("{} of {}", alarm.kind, alarm.name)).collect();
        self.try_start(api, &format!("drift: {}", named.join(", ")), None)
    }

    /// Starts a run by itself: that another one is under way is no mistake.
    fn try_start(&self, api: &Doors, trigger: &str, scheduled_us: Option<i64>) -> Result<()> {
        match self.start(api, trigger, scheduled_us) {
            Ok(_) => Ok(()),
            Err(NotDone::Refused(why)) => {
                tracing::info!(trigger, why, "retraining: no run is started");
                Ok(())
            }
            Err(NotDone::Failed(error)) => Err(error),
            Err(NotDone::Unknown) => bail!("the run is gone"),
        }
    }
}

/// Whether a run without a process has something to do: it was interrupted, or its challenger's time in the shadow is over.
fn is_due(run: &Run, stream_us: Option<i64>) -> bool {
    let until_us = run.shadow_until.as_deref().and_then(parse_instant);
    match run.state {
        State::Running => true,
        State::Shadow => until_us.zip(stream_us).is_some_and(|(until_us, stream_us)| stream_us >= until_us),
        _ => false,
    }
}

fn machine() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Tends to the runs as long as the service runs.
pub async fn watch(api: Api) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let held = Api::clone(&api);
        let tended = tokio::task::spawn_blocking(move || held.retraining.tend(&held)).await;
        let trouble = tended.ok().and_then(Result::err).map(|error| format!("{error:#}"));
        let mut now = lock(&api.retraining.state);
        if let Some(error) = trouble.as_ref().filter(|error| now.trouble.as_ref() != Some(error)) {
            tracing::error!(error, "retraining: runs cannot be tended to");
        }
        now.trouble = trouble;
    }
}
