//! Snapshots of tasks in a folder, which may be shared between machines.
//!
//! `FOLDER/GROUP/TOPIC/PARTITION/OFFSET.snapshot` holds the state before that offset. A file is written whole or not at all.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Snapshots of one partition that are kept: the newest, and one before it in case the newest is damaged.
const KEPT: usize = 2;

/// Where the snapshots of one consumer group are.
#[derive(Debug, Clone)]
pub struct Snapshots {
    folder: PathBuf,
}

impl Snapshots {
    /// In `folder`, which is created when the first one is written.
    pub fn new(folder: &Path, group: &str) -> Snapshots {
        Snapshots { folder: folder.join(group) }
    }

    /// Writes the state before `offset`, and removes all but the newest few.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn write(&self, topic: &str, partition: i32, offset: i64, bytes: &[u8]) -> Result<()> {
        let folder = self.of(topic, partition);
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let path = folder.join(format!("{offset:020}.snapshot"));
        // Two processes may write the same one during a rebalance: each its own file until it is whole.
        let partial = folder.join(format!("{offset:020}.{}.partial", std::process::id()));
        std::fs::write(&partial, bytes)
            .and_then(|()| std::fs::rename(&partial, &path))
            .with_context(|| format!("cannot write {}", path.display()))?;
        for old in self.list(topic, partition).into_iter().skip(KEPT) {
            // Another process may have removed it already.
            drop(std::fs::remove_file(folder.join(format!("{old:020}.snapshot"))));
        }
        Ok(())
    }

    /// Snapshots of states before an offset of at most `offset`, newest first, each with its own offset.
    pub fn up_to(
        &self,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> impl Iterator<Item = (i64, Result<Vec<u8>>)> {
        let folder = self.of(topic, partition);
        let offsets = self.list(topic, partition).into_iter().filter(move |found| *found <= offset);
        offsets.map(move |offset| {
            let path = folder.join(format!("{offset:020}.snapshot"));
            let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()));
            (offset, bytes)
        })
    }

    fn of(&self, topic: &str, partition: i32) -> PathBuf {
        self.folder.join(topic).join(partition.to_string())
    }

    /// Offsets of a partition's snapshots, newest first.
    fn list(&self, topic: &str, partition: i32) -> Vec<i64> {
        let Ok(entries) = std::fs::read_dir(self.of(topic, partition)) else { return Vec::new() };
        let offset = |name: &std::ffi::OsStr| name.to_str()?.strip_suffix(".snapshot")?.parse().ok();
        let mut offsets: Vec<i64> =
            entries.flatten().filter_map(|entry| offset(&entry.file_name())).collect();
        offsets.sort_unstable_by(|a, b| b.cmp(a));
        offsets
    }
}
