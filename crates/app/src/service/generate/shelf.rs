//! The generators of a folder and how their trainings went, read again only where a file has changed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use engine::Detector;
use lab::synth::fit::{self, History};
use lab::synth::generator::{self, Facts, Subject};

use super::{CHECKPOINT, Config, name_of};
use crate::service::pipeline::lock;
use crate::service::wire::{GeneratorInfo, Instant, LossPoint, ToldApartPoint};

/// Most losses of a generator that are told.
const LOSSES_MAX: usize = 400;

/// A checkpoint that was not written for so long is one of a training that was stopped.
const STOPPED_AFTER: Duration = Duration::from_secs(600);

/// What is known of the files of the folder.
#[derive(Default)]
pub struct Shelf {
    read: Mutex<HashMap<PathBuf, Read>>,
}

/// What changes when a file is written anew.
#[derive(Clone, Copy, PartialEq)]
struct Stamp {
    modified: SystemTime,
    bytes: u64,
}

/// What a file says of a generator or of its training.
type Outline = (Facts, History);

/// What a file was when it was read, and what it said; `None` where it is nothing of ours.
type Read = (Stamp, Option<Arc<Outline>>);

/// A file of the folder that could be read.
struct Found {
    name: String,
    outline: Arc<Outline>,
    modified: SystemTime,
}

impl Shelf {
    /// All generators of the folder and all trainings whose checkpoints are there, by name. Files that are neither are left out.
    /// It reads files, so it must not be called on a thread that answers requests.
    pub fn list(&self, config: &Config, detector: &Detector) -> Vec<GeneratorInfo> {
        let generators = self.found(config.files(), generator::outline);
        let trainings = self.found(config.checkpoints(), fit::outline);
        self.forget_gone();
        let now = SystemTime::now();
        let mut listed: Vec<GeneratorInfo> =
            trainings.iter().map(|found| in_training(found, &generators, detector, now)).collect();
        // A training that was stopped does not hide the generator of its name.
        listed.retain(|info| info.training || generators.iter().all(|found| found.name != info.name));
        for found in &generators {
            if listed.iter().all(|info| info.name != found.name) {
                listed.push(ready(found, detector));
            }
        }
        listed.sort_by(|a, b| a.name.cmp(&b.name));
        listed
    }

    fn found(
        &self,
        files: impl Iterator<Item = PathBuf>,
        read: fn(&Path) -> anyhow::Result<Outline>,
    ) -> Vec<Found> {
        files.filter_map(|path| self.look(&path, read)).collect()
    }

    /// What a file says, from memory if it is as it was.
    fn look(&self, path: &Path, read: fn(&Path) -> anyhow::Result<Outline>) -> Option<Found> {
        let file = path.metadata().ok()?;
        let stamp = Stamp { modified: file.modified().ok()?, bytes: file.len() };
        let known = lock(&self.read).get(path).filter(|(known, _)| *known == stamp).cloned();
        let outline = match known {
            Some((_, outline)) => outline,
            None => {
                let outline = read(path).ok().map(Arc::new);
                lock(&self.read).insert(path.to_path_buf(), (stamp, outline.clone()));
                outline
            }
        };
        let name = match path.extension() {
            Some(ending) if ending == CHECKPOINT => name_of(&path.with_extension("")),
            _ => name_of(path),
        };
        Some(Found { name: name?, outline: outline?, modified: stamp.modified })
    }

    fn forget_gone(&self) {
        lock(&self.read).retain(|path, _| path.exists());
    }
}

/// A generator that is trained.
fn ready(found: &Found, detector: &Detector) -> GeneratorInfo {
    let (facts, history) = &*found.outline;
    GeneratorInfo {
        epochs: Some(facts.epochs.0 as u64),
        best_epoch: Some(facts.epochs.1 as u64),
        fits: fits(facts, detector),
        ..info(&found.name, facts, history)
    }
}

/// A generator that is being trained, or was until somebody stopped it. Its rows can be had if there is one of before.
fn in_training(found: &Found, ready: &[Found], detector: &Detector, now: SystemTime) -> GeneratorInfo {
    let (facts, history) = &*found.outline;
    let before = ready.iter().find(|ready| ready.name == found.name);
    GeneratorInfo {
        // A clock that was set back makes a checkpoint of the future: it was written just now.
        training: !now.duration_since(found.modified).is_ok_and(|silent| silent > STOPPED_AFTER),
        fits: before.is_some_and(|before| fits(&before.outline.0, detector)),
        ..info(&found.name, facts, history)
    }
}

fn fits(facts: &Facts, detector: &Detector) -> bool {
    facts.subject == Subject::Events(detector.name.clone())
}

fn info(name: &str, facts: &Facts, history: &History) -> GeneratorInfo {
    let seen = facts.period();
    GeneratorInfo {
        name: name.to_string(),
        id: facts.id.clone(),
        method: facts.method.to_string(),
        rows: facts.rows as u64,
        frauds: facts.frauds as u64,
        seen_from: seen.as_ref().map(|seen| Instant(seen.start)),
        seen_to: seen.map(|seen| Instant(seen.end)),
        fingerprint: facts.fingerprint.clone(),
        seed: facts.seed,
        epochs: None,
        best_epoch: None,
        training: false,
        fits: false,
        losses: losses(history),
        told_apart: told_apart(history),
    }
}

/// Losses of at most [`LOSSES_MAX`] epochs, evenly over the training, the last among them. Of a training that ran away some are
/// no numbers: they are left out.
fn losses(history: &History) -> Vec<LossPoint> {
    let epochs = history.losses.len();
    let shown = epochs.min(LOSSES_MAX);
    let point = |at: usize| {
        let epoch = at * epochs / shown;
        let losses = history.losses[epoch - 1];
        LossPoint {
            epoch: epoch as u64,
            generator: f64::from(losses.generator),
            critic: f64::from(losses.critic),
        }
    };
    let points = (1..=shown).map(point);
    points.filter(|point| point.generator.is_finite() && point.critic.is_finite()).collect()
}

fn told_apart(history: &History) -> Vec<ToldApartPoint> {
    let point = |&(epoch, distance): &(usize, f64)| ToldApartPoint { epoch: epoch as u64, distance };
    history.distances.iter().map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab::synth::Losses;

    #[test]
    fn long_trainings_are_told_evenly_to_their_end() {
        let of = |epochs: usize| {
            let loss = |epoch: usize| Losses { critic: epoch as f32, ..Losses::default() };
            let history = History { losses: (1..=epochs).map(loss).collect(), distances: Vec::new() };
            losses(&history)
        };
        assert!(of(0).is_empty());
        assert_eq!(of(3).iter().map(|point| point.epoch).collect::<Vec<_>>(), [1, 2, 3]);
        let long = of(1_000);
        assert_eq!((long.len(), long[399].epoch), (LOSSES_MAX, 1_000));
        assert!(long.iter().all(|point| point.critic == point.epoch as f64));
        assert!(long.windows(2).all(|two| (2..=3).contains(&(two[1].epoch - two[0].epoch))));
    }
}
