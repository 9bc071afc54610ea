//! Ids that are erased: a random tombstone stands for them in the database, in snapshots, in the state.
//!
//! An id matters to everything that is computed by being equal to others, so what was decided still comes out to the bit. What
//! is to go is written down before anything is changed, and that note is destroyed last: whoever dies in between goes on at the
//! next start. Every step may be done again.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use engine::card::tombstone;
use engine::detector::{FieldKind, Schema};
use engine::{Detector, FieldError};
use lab::dataset::write_json_text;
use serde::{Deserialize, Serialize};
use store::{Erased, Erasure, Store};

use super::privacy::random_bytes;
use super::recovery::Recovery;

/// An id that is to go, and what will stand for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingErasure {
    /// The field that holds it.
    pub field: String,
    /// The id as it is stored: of a card, its token.
    pub value: String,
    /// What stands for it.
    pub tombstone: String,
    is_key: bool,
    is_id: bool,
}

impl PendingErasure {
    /// An erasure of the id in a field. A card number is erased by its token.
    ///
    /// # Errors
    /// If there is no such field, or it holds no ids; inside, if there is no randomness to be had.
    pub fn of(schema: &Schema, field: &str, value: &str) -> Result<Result<PendingErasure, FieldError>> {
        let is_id_field = |kind: &FieldKind| {
            matches!(kind, FieldKind::EventId | FieldKind::Id { .. } | FieldKind::Card { .. })
        };
        let found = schema.fields.iter().find(|found| found.name == field && is_id_field(&found.kind));
        let Some(found) = found else {
            let fields = schema.fields.iter().filter(|field| is_id_field(&field.kind));
            let names: Vec<&str> = fields.map(|field| field.name.as_str()).collect();
            return Ok(Err(FieldError::new(
                "field",
                format_args!("{field:?}"),
                format!("one of {}", names.join(", ")),
            )));
        };
        if value.is_empty() || value.starts_with(engine::card::ERASED) {
            return Ok(Err(FieldError::new("value", format_args!("{value:?}"), "an id that is not erased")));
        }
        let random = random_bytes().context("the system has no random numbers")?;
        let bits = std::array::from_fn(|at| random[at]);
        Ok(Ok(PendingErasure {
            field: field.to_string(),
            value: schema.cards.known_as(&found.kind, value).into_owned(),
            tombstone: tombstone(&bits),
            is_key: found.kind.text_slot().is_some_and(|slot| schema.key == Some(slot)),
            is_id: found.kind == FieldKind::EventId,
        }))
    }

    /// As the store is told.
    pub fn erasure(&self) -> Erasure {
        let member = |value: &str| {
            let mut out = String::new();
            write_json_text(&self.field, &mut out);
            out.push(':');
            write_json_text(value, &mut out);
            out
        };
        Erasure {
            value: self.value.clone(),
            tombstone: self.tombstone.clone(),
            member: member(&self.value),
            erased_member: member(&self.tombstone),
            is_key: self.is_key,
            is_id: self.is_id,
        }
    }
}

impl Recovery {
    fn pending_path(&self) -> PathBuf {
        self.folder().join("erasure.pending")
    }

    /// Writes down what is to go, before anything is changed.
    ///
    /// # Errors
    /// If the folder cannot be written, or another erasure is under way.
    pub fn begin_erasure(&self, pending: &PendingErasure) -> Result<()> {
        let path = self.pending_path();
        let partial = path.with_extension("partial");
        let text = serde_json::to_vec(pending)?;
        let written =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial).and_then(
                |mut file| {
                    file.write_all(&text)?;
                    file.sync_all()?;
                    // Unlike renaming, this fails where another is under way.
                    std::fs::hard_link(&partial, &path)?;
                    std::fs::remove_file(&partial)
                },
            );
        match written {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                bail!("another erasure is under way, or was interrupted: the next start finishes it")
            }
            written => written.with_context(|| format!("cannot write {}", path.display())),
        }
    }

    /// Destroys the note of what was to go: it is gone.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn finish_erasure(&self) -> Result<()> {
        let path = self.pending_path();
        let destroyed = std::fs::metadata(&path).and_then(|found| {
            let mut file = File::options().write(true).open(&path)?;
            file.write_all(&vec![0; found.len() as usize])?;
            file.sync_all()?;
            std::fs::remove_file(&path)
        });
        destroyed.with_context(|| format!("cannot remove {}", path.display()))
    }

    fn pending(&self) -> Result<Option<PendingErasure>> {
        let path = self.pending_path();
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        // Zeros: it was being destroyed, so all was done.
        if bytes.iter().all(|byte| *byte == 0) {
            std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            return Ok(None);
        }
        Ok(Some(serde_json::from_slice(&bytes).with_context(|| format!("cannot use {}", path.display()))?))
    }
}

/// Erases an id where no service runs.
///
/// # Errors
/// If the store refuses, or a snapshot cannot be read or written; the next start goes on.
pub fn carry_out(
    pending: &PendingErasure,
    recovery: &Recovery,
    detector: &Arc<Detector>,
    store: &mut dyn Store,
) -> Result<Erased> {
    let erasure = pending.erasure();
    let found = store.mentions(&erasure, -1)?;
    let erased = store.erase(&erasure, &found)?;
    recovery.rename(detector, &pending.field, &pending.value, &pending.tombstone)?;
    store.scrub(&erasure)?;
    recovery.finish_erasure()?;
    Ok(erased)
}

/// Finishes what somebody began and did not live to finish.
///
/// # Errors
/// As [`carry_out`].
pub fn go_on(recovery: &Recovery, detector: &Arc<Detector>, store: &mut dyn Store) -> Result<()> {
    let Some(pending) = recovery.pending()? else { return Ok(()) };
    let erased = carry_out(&pending, recovery, detector, store)?;
    tracing::info!(decisions = erased.decisions, "an erasure that was interrupted is finished");
    Ok(())
}
