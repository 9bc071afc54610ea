//! How the stages of a chain are joined.

use super::*;

impl Core {
    /// Fuses the stages as soon as this process owns all partitions of all of them.
    pub(super) fn join_stages(&mut self) -> Result<(), TransactionError> {
        let chained = self.chain.links.len() > 1 && self.stages.len() == self.chain.links.len();
        let drained = self.joint == Joint::Draining && self.have_read_all()?;
        match self.joint {
            Joint::Split if chained && self.owns_everything() => {
                // What was sent to the topics becomes visible; each is read once more to its end.
                self.commit_and_wait()?;
                self.stages[1..].iter_mut().for_each(|stage| stage.set_flowing(true));
                self.joint = Joint::Draining;
            }
            Joint::Draining if !self.owns_everything() => self.joint = Joint::Split,
            Joint::Draining if drained => {
                // Marks of transactions may have been all that was left to read: that is committed as well.
                self.uncommitted_since.get_or_insert_with(Instant::now);
                self.commit_and_wait()?;
                self.stages[1..].iter_mut().for_each(|stage| stage.set_flowing(false));
                self.joint = Joint::Fused;
                self.condition.set_fused(true);
                tracing::info!("the stages are fused");
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn owns_everything(&self) -> bool {
        self.stages.iter().all(Stage::is_whole) && self.labels.as_ref().is_none_or(Labels::is_whole)
    }

    /// Whether the stages behind the first have read all that is in their topics. The consumers' word is not enough: they see
    /// no further than the first transaction that is open, and this process's own rows may lie behind another's.
    pub(super) fn have_read_all(&mut self) -> Result<bool, TransactionError> {
        for stage in &mut self.stages[1..] {
            if !stage.is_drained() || !stage.has_read_all(&self.ends)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// As [`Core::split`]; nothing is on its way after this.
    pub(super) fn split_and_wait(&mut self) -> Result<(), TransactionError> {
        self.split()?;
        self.transaction.wait()
    }

    /// Joins the stages through their topics again: each goes on behind what this process has written.
    pub(super) fn split(&mut self) -> Result<(), TransactionError> {
        if self.joint == Joint::Fused {
            self.commit_record_ends()?;
            self.condition.set_fused(false);
            tracing::info!("the stages are split");
        }
        self.joint = Joint::Split;
        Ok(())
    }

    /// Commits where the records of fused stages end: nobody else writes them, so all of it is in the states.
    pub(super) fn commit_record_ends(&mut self) -> Result<(), TransactionError> {
        self.transaction.wait()?;
        let mut moved = false;
        for stage in &mut self.stages[1..] {
            for (partition, slot) in (0..).zip(&mut stage.slots) {
                let Some(slot) = slot else { continue };
                let (_, end) = self.ends.fetch_watermarks(&stage.topic, partition, ASK_TIMEOUT)?;
                moved |= slot.read_offset != end;
                slot.read_offset = end;
                if let Some(task) = &mut slot.task {
                    task.next_offset = end;
                }
            }
        }
        if moved { self.commit_offsets() } else { Ok(()) }
    }
}
