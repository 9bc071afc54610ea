//! Labels to the stages that read them.

use super::*;

impl Core {
    /// Sends labels to the stages that read them, each when its transaction is found.
    pub(super) fn route_labels(&mut self) -> Result<(), TransactionError> {
        let Some(labels) = self.labels.as_mut().filter(|_| self.joint != Joint::Draining) else {
            return Ok(());
        };
        let rejects = std::mem::take(&mut labels.rejects);
        let due = !labels.waiting.is_empty() && self.labels_sought.elapsed() >= LABELS_EVERY;
        let ids = labels.waiting.iter().take(LABELS_MAX).map(|label| label.transaction_id.clone()).collect();
        let topic = labels.topic.clone();
        self.bury_all(&topic, rejects)?;
        if !due {
            return Ok(());
        }
        self.labels_sought = Instant::now();
        let found =
            self.recorder.find(ids).map_err(|error| TransactionError::store(&format!("{error:#}")))?;
        let mut unit = self.recorder.unit();
        let mut lost = Vec::new();
        if let Some(labels) = &mut self.labels {
            labels.route(found, &self.reader, self.recorder.is_on(), &mut unit, &mut lost);
        }
        self.bury_all(&topic, lost)?;
        self.learn(unit)
    }

    pub(super) fn learn(&mut self, mut unit: Box<Unit>) -> Result<(), TransactionError> {
        if unit.intake.is_empty() {
            self.recorder.put_back(unit);
            return Ok(());
        }
        unit.order.extend(0..unit.intake.len() as u32);
        unit.positions.extend(unit.intake.origins.iter().map(|origin: &Origin| origin.position()));
        continue_with(&unit.intake, self.detector.features.len(), &mut unit.decisions);
        for next in 1..self.chain.links.len() {
            if !self.chain.links[next].learns {
                continue;
            }
            self.forward(next, &unit, false)?;
            if self.joint == Joint::Fused {
                let (link, partitions) = (&self.chain.links[next], self.partitions[next]);
                let owner = |intake: &Intake, row| link.partition(&intake.batch, row, partitions);
                self.stages[next].observe(&mut unit, self.shared.redis.as_ref(), owner);
            }
        }
        self.send_records()?;
        self.uncommitted_since.get_or_insert_with(Instant::now);
        self.busy = Some(Instant::now());
        let frauds = unit.intake.labels.iter().filter(|label| **label == Some(true)).count() as u64;
        let mut stats = lock(&self.shared.stats);
        stats.totals.labels += unit.intake.len() as u64;
        stats.totals.labelled_fraud += frauds;
        let now_us = now_us();
        (0..unit.intake.len())
            .for_each(|row| stats.label_delays.observe(unit.intake.batch.time_us(row), now_us));
        stats.second(now_us / 1_000_000).labelled_fraud += frauds;
        drop(stats);
        unit.order.clear();
        self.recorder.offer(unit);
        Ok(())
    }
}
