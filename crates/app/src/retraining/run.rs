//! How far a run is, in its folder's `run.json`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use lab::retrain::Verdict;
use serde::{Deserialize, Serialize};

use crate::registry::now;

/// The file that says how far a run is.
const FILE: &str = "run.json";

/// What a run does, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// Rows are collected from the database.
    Collect,
    /// The challenger is grown.
    Train,
    /// It is measured on weeks that it has not seen.
    Evaluate,
    /// It is kept in the registry and scores in the shadow.
    Register,
    /// It is compared with the champion.
    Judge,
    /// It takes the champion's place, or does not.
    Promote,
}

impl Step {
    /// All of them, in order.
    pub const ALL: [Step; 6] =
        [Step::Collect, Step::Train, Step::Evaluate, Step::Register, Step::Judge, Step::Promote];

    /// The name on the command line and over HTTP.
    pub fn name(self) -> &'static str {
        match self {
            Step::Collect => "collect",
            Step::Train => "train",
            Step::Evaluate => "evaluate",
            Step::Register => "register",
            Step::Judge => "judge",
            Step::Promote => "promote",
        }
    }
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// A step is under way, or the next one may be.
    Running,
    /// The challenger scores beside the champion until it is judged.
    Shadow,
    /// A person is asked to promote it.
    Approval,
    /// The challenger is the champion.
    Promoted,
    /// It is not.
    Rejected,
    /// A step went wrong.
    Failed,
    /// A person stopped it.
    Cancelled,
}

impl State {
    /// The name over HTTP.
    pub fn name(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Shadow => "shadow",
            State::Approval => "approval",
            State::Promoted => "promoted",
            State::Rejected => "rejected",
            State::Failed => "failed",
            State::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more comes of it.
    pub fn is_over(self) -> bool {
        matches!(self, State::Promoted | State::Rejected | State::Failed | State::Cancelled)
    }
}

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its id: the name of its folder.
    pub id: String,
    /// Its number in the registry, if it was started by a service.
    pub number: Option<u64>,
    /// What started it.
    pub trigger: String,
    /// How it stands.
    pub state: State,
    /// The step that is under way or was the last.
    pub step: Step,
    /// Steps that are done.
    pub done: Vec<Step>,
    /// When it started.
    pub started_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
    /// First instant of what is learnt from, first of what is tested on, and first after that; event time.
    pub stretch: Option<[String; 3]>,
    /// Event time until which the challenger scores in the shadow.
    pub shadow_until: Option<String>,
    /// Figures by name.
    pub figures: BTreeMap<String, f64>,
    /// What was found when the challenger was compared.
    pub verdict: Option<Verdict>,
    /// The challenger's id.
    pub model: Option<String>,
    /// The page of the run on the MLflow server.
    pub mlflow: Option<String>,
    /// What is to be said of it.
    pub detail: String,
}

impl Run {
    /// The run of a folder that is there; a new one, kept in it, if it has none.
    ///
    /// # Errors
    /// If the folder cannot be read or written.
    pub fn open(folder: &Path, trigger: &str) -> Result<Run> {
        if let Some(run) = Run::find(folder)? {
            return Ok(run);
        }
        let name = std::fs::canonicalize(folder)?;
        let id =
            name.file_name().map_or_else(|| "run".to_string(), |name| name.to_string_lossy().into_owned());
        let run = Run::new(id, None, trigger);
        run.save(folder)?;
        Ok(run)
    }

    /// One that has not begun.
    pub fn new(id: String, number: Option<u64>, trigger: &str) -> Run {
        Run {
            id,
            number,
            trigger: trigger.to_string(),
            state: State::Running,
            step: Step::Collect,
            done: Vec::new(),
            started_at: now(),
            ended_at: None,
            stretch: None,
            shadow_until: None,
            figures: BTreeMap::new(),
            verdict: None,
            model: None,
            mlflow: None,
            detail: String::new(),
        }
    }

    /// The run that a folder has.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn find(folder: &Path) -> Result<Option<Run>> {
        let path = folder.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let run = serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))?;
        Ok(Some(run))
    }

    /// Keeps it in its folder, whole or not at all.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let (path, partial) = (folder.join(FILE), folder.join("run.partial"));
        std::fs::write(&partial, serde_json::to_vec_pretty(self)?)
            .and_then(|()| std::fs::rename(&partial, &path))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Share of the steps that is done.
    pub fn progress(&self) -> f64 {
        self.done.len() as f64 / Step::ALL.len() as f64
    }

    /// Whether a step is done.
    pub fn has_done(&self, step: Step) -> bool {
        self.done.contains(&step)
    }

    /// Ends it.
    pub fn end(&mut self, state: State, detail: &str) {
        (self.state, self.detail, self.ended_at) = (state, detail.to_string(), Some(now()));
    }
}
