//! Commit, give up, snapshots, the end.

use super::*;

impl Core {
    /// Commits what was entered and decided; nothing is on its way after this.
    pub(super) fn commit_and_wait(&mut self) -> Result<(), TransactionError> {
        self.commit()?;
        self.transaction.wait()
    }

    /// Begins to commit what was entered and decided.
    pub(super) fn commit(&mut self) -> Result<(), TransactionError> {
        if self.uncommitted_since.is_none() && self.transaction.opened().is_none() {
            return Ok(());
        }
        self.flush_records()?;
        let began = Instant::now();
        if let Err(error) = self.recorder.settle() {
            let error = format!("{error:#}");
            self.stall(Stall::Store(error.clone()));
            return Err(TransactionError::store(&error));
        }
        self.trace_stored(began);
        self.commit_offsets()
    }

    pub(super) fn commit_offsets(&mut self) -> Result<(), TransactionError> {
        let mut offsets = Vec::with_capacity(self.stages.len() + 1);
        for (at, stage) in self.stages.iter().enumerate() {
            // Where fused stages' records end is committed apart, when it is known.
            offsets.push((Reads::Stage(at), stage.offsets()?, stage.consumer.group_metadata()));
        }
        if let Some(labels) = &self.labels {
            offsets.push((Reads::Labels, labels.offsets()?, labels.consumer.group_metadata()));
        }
        // Each group costs two requests. Only the first one's commit says more than its offsets.
        let moved = |reads: Reads, list: &TopicPartitionList| {
            reads == Reads::Stage(0) || self.committed.get(&reads) != Some(&places(list))
        };
        let offsets: Vec<_> = offsets
            .into_iter()
            .filter(|(reads, list, _)| moved(*reads, list))
            .filter_map(|(reads, list, group)| Some((reads, list, group?)))
            .collect();
        self.committed.extend(offsets.iter().map(|(reads, list, _)| (*reads, places(list))));
        self.transaction.commit(offsets.into_iter().map(|(_, list, group)| (list, group)).collect())?;
        self.count_commit();
        self.in_commit = std::mem::take(&mut self.in_transaction);
        self.sampled_in_commit = (std::mem::take(&mut self.sampled), Instant::now());
        self.uncommitted_since = None;
        self.stages.iter_mut().for_each(Stage::note_committed);
        Ok(())
    }

    /// Counts how long the transaction took that was committed last.
    pub(super) fn count_commit(&mut self) {
        let (Some(took), decisions) = (self.transaction.take_time(), self.in_commit) else { return };
        lock(&self.shared.stats).count_transaction(took.as_micros() as u64, decisions);
        self.trace_committed(took);
    }

    /// The transaction cannot be completed: what was entered since the last commit is undone by restoring the states.
    pub(super) fn give_up(&mut self, why: &str) {
        tracing::warn!(why, "the transaction is given up; states are restored as of the last commit");
        self.transaction.abort();
        self.committed.clear();
        self.in_transaction = 0;
        self.sampled.clear();
        self.records.iter_mut().for_each(Records::clear);
        self.uncommitted_since = None;
        // What was given up leaves marks as well.
        self.busy = Some(Instant::now());
        self.joint = Joint::Split;
        self.condition.set_fused(false);
        self.labels.iter_mut().for_each(Labels::rewind);
        for stage in &mut self.stages {
            stage.set_flowing(false);
            let owned: Vec<i32> =
                (0..).zip(&stage.slots).filter(|(_, slot)| slot.is_some()).map(|(p, _)| p).collect();
            owned.iter().for_each(|partition| stage.take(*partition, &self.open));
        }
    }

    pub(super) fn take_snapshots(&mut self) -> Result<(), TransactionError> {
        let mut due = BTreeSet::new();
        for (at, stage) in self.stages.iter().enumerate() {
            for (partition, slot) in (0..).zip(&stage.slots) {
                let task = slot.as_ref().and_then(|slot| slot.task.as_ref());
                if task.is_some_and(|task| task.since_snapshot >= self.snapshot_every) {
                    due.insert((at, partition));
                }
            }
        }
        if self.joint == Joint::Fused && due.iter().any(|(at, _)| *at > 0) {
            self.commit_record_ends()?;
        }
        if !due.is_empty() {
            self.transaction.wait()?;
        }
        due.into_iter().for_each(|(at, partition)| self.snapshot(at, partition));
        Ok(())
    }

    /// Writes a partition's state, just after a commit.
    pub(super) fn snapshot(&mut self, at: usize, partition: i32) {
        let stage = &mut self.stages[at];
        let Some(Some(slot)) = stage.slots.get_mut(partition as usize) else { return };
        let Some(task) = slot.task.as_mut().filter(|task| task.since_snapshot > 0) else { return };
        task.since_snapshot = 0;
        let file = SnapshotFile {
            topic: stage.topic.clone(),
            partition,
            offset: task.next_offset,
            bytes: task.snapshot(),
        };
        // The writer ends after this.
        drop(self.snapshot_writer.send(file));
    }

    /// Lets the consumers go.
    pub(super) fn leave(&mut self) {
        self.stages.clear();
        self.labels = None;
    }

    pub(super) fn finish(&mut self) {
        if let Err(error) = self.commit_and_wait().and_then(|()| self.split_and_wait()) {
            tracing::warn!(%error, "the last transaction is given up");
            self.transaction.abort();
            return;
        }
        for at in 0..self.stages.len() {
            for partition in 0..self.stages[at].slots.len() as i32 {
                let stage = &mut self.stages[at];
                let Some(Some(slot)) = stage.slots.get_mut(partition as usize) else { continue };
                let Some(task) = slot.task.as_mut().filter(|task| task.since_snapshot > 0) else { continue };
                // At once: the writer's thread ends with the process.
                if let Err(error) =
                    self.snapshots.write(&stage.topic, partition, task.next_offset, task.snapshot())
                {
                    tracing::warn!(error = %format!("{error:#}"), "no snapshot could be written");
                }
            }
        }
    }
}

/// Partitions and offsets.
fn places(list: &TopicPartitionList) -> Vec<(i32, Option<i64>)> {
    list.elements().iter().map(|place| (place.partition(), place.offset().to_raw())).collect()
}
