//! The challenger that learns from each label while the service runs.
//!
//! What it is follows from the log alone ([`fold`]): whoever folds the same log has the same model to the last bit, and a service that
//! was killed goes on from what it wrote last. It scores what the challengers score and decides nothing: a decision is replayed by a
//! model that stays as it was.

/// From the log to the model.
mod fold;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use engine::Detector;
use lab::facts::Facts;
use lab::online::{OnlineModel, Settings};
use store::{Store, StoredDecision};

use self::fold::Fold;
use super::api::{Api, Doors, read};
use super::pipeline::lock;

/// Its id, among those of models.
pub const ID: &str = "online-logistic-regression";

/// What it is.
pub const ALGORITHM: &str = "logistic-regression";

/// Time between two looks at a log that has nothing new.
const IDLE: Duration = Duration::from_millis(250);

/// What was learnt is written so often at the most: what is lost is learnt again.
const WRITE_EVERY: Duration = Duration::from_secs(10);

/// The challenger: those who score see it as it has learnt by now.
pub struct Online {
    detector: Arc<Detector>,
    mature_after_us: Option<i64>,
    file: PathBuf,
    newest: Mutex<Arc<OnlineModel>>,
    following: Mutex<Following>,
}

/// What follows the log.
struct Following {
    fold: Fold,
    /// The position that was written, and when.
    written: (i64, Instant),
}

impl Online {
    /// A challenger that goes on from what it wrote into the data folder, or begins with the log.
    pub fn open(detector: &Arc<Detector>, mature_after_us: Option<i64>, data_dir: &Path) -> Arc<Online> {
        let file = data_dir.join("online.json");
        let following = Following::begin(&file, detector, mature_after_us);
        Arc::new(Online {
            detector: Arc::clone(detector),
            mature_after_us,
            file,
            newest: Mutex::new(Arc::new(following.fold.model.clone())),
            following: Mutex::new(following),
        })
    }

    /// As it has learnt by now.
    pub fn newest(&self) -> Arc<OnlineModel> {
        Arc::clone(&lock(&self.newest))
    }

    /// How it came to be.
    pub fn facts(&self) -> Facts {
        let newest = self.newest();
        Facts {
            model_id: ID.to_string(),
            detector: self.detector.name.clone(),
            feature_fingerprint: self.detector.feature_fingerprint.clone(),
            engine: "online".to_string(),
            engine_version: env!("CARGO_PKG_VERSION").to_string(),
            algorithm: ALGORITHM.to_string(),
            rows: newest.labels(),
            frauds: newest.frauds(),
            ..Facts::default()
        }
    }

    /// Learns from what is new in the log, a stretch of it at the most; how many entries that were.
    fn look(&self, api: &Doors, store: &mut dyn Store) -> store::Result<usize> {
        let fingerprint = &self.detector.feature_fingerprint;
        let is_own = |decision: &StoredDecision| {
            decision.versions.feature_fingerprint == *fingerprint && api.is_real(decision.mark.as_deref())
        };
        let mut following = lock(&self.following);
        let entries = following.fold.follow(store, api.stream.is_some(), &is_own);
        match entries {
            // What a look that failed has learnt is not known: what was written is.
            Err(_) => *following = Following::begin(&self.file, &self.detector, self.mature_after_us),
            Ok(0) => {}
            Ok(_) => *lock(&self.newest) = Arc::new(following.fold.model.clone()),
        }
        following.write(&self.file, &self.detector);
        entries
    }
}

impl Following {
    fn begin(file: &Path, detector: &Detector, mature_after_us: Option<i64>) -> Following {
        let fold = Fold::read(file, detector, mature_after_us).unwrap_or_else(|why| {
            tracing::info!(why, "the online challenger begins with the log");
            Fold::new(untaught(detector), mature_after_us)
        });
        Following { written: (fold.position, Instant::now()), fold }
    }

    /// Writes what was learnt, if that was a while ago.
    fn write(&mut self, file: &Path, detector: &Detector) {
        let (position, at) = self.written;
        if position == self.fold.position || at.elapsed() < WRITE_EVERY {
            return;
        }
        if let Err(error) = self.fold.write(file, detector) {
            tracing::warn!(%error, file = %file.display(), "what the online challenger learnt cannot be written");
        }
        self.written = (self.fold.position, Instant::now());
    }
}

fn untaught(detector: &Detector) -> OnlineModel {
    OnlineModel::new(detector.features.len(), Settings::default()).expect("the default settings are in range")
}

/// Lets the online challenger follow the log as long as the service runs, if there is one; with half of a core at the most.
pub async fn follow(api: Api) {
    let Some(online) = api.shared.models.current().online.clone() else { return };
    loop {
        let started = Instant::now();
        let (held, learner) = (Api::clone(&api), Arc::clone(&online));
        let entries = read(&api, move |store| learner.look(&held, store)).await;
        let is_idle = entries.is_none_or(|entries| entries == 0);
        tokio::time::sleep(if is_idle { IDLE } else { started.elapsed() }).await;
    }
}
