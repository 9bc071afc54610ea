//! Snapshots of tasks, in a folder or in an object store.
//!
//! `PLACE/GROUP/TOPIC/PARTITION/OFFSET.snapshot` holds the state before that offset. It is written whole or not at all.

use std::sync::Arc;

use anyhow::{Context, Result};

use crate::objects::{Objects, Place};

/// Snapshots of one partition that are kept: the newest, and one before it in case the newest is damaged.
const KEPT: usize = 2;

/// Where the snapshots of one consumer group are.
#[derive(Debug, Clone)]
pub struct Snapshots {
    objects: Arc<Objects>,
    group: Place,
}

impl Snapshots {
    /// At `place`: a folder, which is created, or the URL of a bucket and what names in it begin with. Keys and endpoint of
    /// a bucket are those of the environment, by their usual names.
    ///
    /// # Errors
    /// If the folder cannot be created, or the URL is none of a store that is known.
    pub fn new(place: &str, group: &str) -> Result<Snapshots> {
        let objects = Objects::open(place).context("snapshots cannot be kept there")?;
        let group = objects.root().join(group);
        Ok(Snapshots { objects: Arc::new(objects), group })
    }

    /// Writes the state before `offset`, and removes all but the newest few.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, topic: &str, partition: i32, offset: i64, bytes: Vec<u8>) -> Result<()> {
        self.objects.put(&self.place(topic, partition, offset), bytes)?;
        for old in self.list(topic, partition)?.into_iter().skip(KEPT) {
            // Another process may have removed it already.
            drop(self.objects.delete(&self.place(topic, partition, old)));
        }
        Ok(())
    }

    /// Snapshots of states before an offset of at most `offset`, newest first, each with its own offset.
    ///
    /// # Errors
    /// If it cannot be found out which there are.
    pub fn up_to(
        &self,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> Result<impl Iterator<Item = (i64, Result<Vec<u8>>)>> {
        let offsets = self.list(topic, partition)?.into_iter().filter(move |found| *found <= offset);
        Ok(offsets.map(move |offset| (offset, self.read(&self.place(topic, partition, offset)))))
    }

    fn read(&self, place: &Place) -> Result<Vec<u8>> {
        self.objects.get(place)?.with_context(|| format!("there is no snapshot {place} any more"))
    }

    fn place(&self, topic: &str, partition: i32, offset: i64) -> Place {
        self.of(topic, partition).join(format!("{offset:020}.snapshot"))
    }

    fn of(&self, topic: &str, partition: i32) -> Place {
        self.group.clone().join(topic).join(partition.to_string())
    }

    /// Offsets of a partition's snapshots, newest first.
    fn list(&self, topic: &str, partition: i32) -> Result<Vec<i64>> {
        let found = self.objects.list(&self.of(topic, partition))?;
        let offset = |name: &str| name.strip_suffix(".snapshot")?.parse().ok();
        let mut offsets: Vec<i64> =
            found.objects.iter().filter_map(Place::filename).filter_map(offset).collect();
        offsets.sort_unstable_by(|a, b| b.cmp(a));
        Ok(offsets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::PART_BYTES;

    #[test]
    fn the_newest_two_are_kept_and_found_up_to_an_offset() {
        let folder = std::env::temp_dir().join(format!("redflag-snapshots-{}", std::process::id()));
        let snapshots = Snapshots::new(folder.join("a/b").to_str().unwrap(), "group").unwrap();
        assert_eq!(snapshots.up_to("t", 3, 100).unwrap().count(), 0);
        for offset in [5, 70, 9] {
            snapshots.write("t", 3, offset, offset.to_string().into_bytes()).unwrap();
        }
        snapshots.write("t", 4, 1, vec![7; PART_BYTES + 1]).unwrap();
        let found = |offset| -> Vec<(i64, Vec<u8>)> {
            let found = snapshots.up_to("t", 3, offset).unwrap();
            found.map(|(offset, bytes)| (offset, bytes.unwrap())).collect()
        };
        assert_eq!(found(100), [(70, b"70".to_vec()), (9, b"9".to_vec())]);
        assert_eq!(found(69), [(9, b"9".to_vec())]);
        let (_, large) = snapshots.up_to("t", 4, 1).unwrap().next().unwrap();
        assert_eq!(large.unwrap().len(), PART_BYTES + 1);
        assert!(folder.join("a/b/group/t/3/00000000000000000070.snapshot").is_file());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
