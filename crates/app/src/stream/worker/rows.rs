//! Rows through the stages, and what becomes of them.

use super::traces::{Traced, continued};
use super::*;

impl Core {
    /// Takes what has come in through the stage.
    pub(super) fn run_stage(&mut self, at: usize) -> Result<(), TransactionError> {
        let mut unit = self.recorder.unit();
        std::mem::swap(&mut unit.intake, &mut self.stages[at].intake);
        self.run_unit(at, unit)?;
        self.send_records()
    }

    /// Takes what has come in through the first stage, in the order of time as far as partitions go: they meet in the
    /// next one. Rows of partitions that are too far ahead wait.
    pub(super) fn merge(&mut self, at: usize) -> Result<(), TransactionError> {
        let others = self.stages[at].others();
        let elsewhere = self.progress.as_ref().map(|progress| progress.of(&others)).unwrap_or_default();
        let elsewhere = |partition| elsewhere.get(&partition).copied().unwrap_or_default();
        let limits = self.stages[at].limits(self.chain.drift_us, elsewhere);
        while !self.is_commit_due() {
            let mut unit = self.recorder.unit();
            if !self.stages[at].next_chunk(&limits, &mut unit.intake) {
                self.recorder.put_back(unit);
                break;
            }
            self.run_unit(at, unit)?;
        }
        self.stages[at].note_order(elsewhere);
        self.stages[at].note_entered();
        if self.stages[at].has_news() {
            self.uncommitted_since.get_or_insert_with(Instant::now);
        }
        self.stages[at].pause_held();
        if let Some(progress) = &self.progress {
            progress.set_urgent(self.stages[at].holds_rows());
        }
        self.send_records()
    }

    pub(super) fn is_commit_due(&self) -> bool {
        self.uncommitted_since.is_some_and(|since| since.elapsed() >= self.commit_interval)
    }

    pub(super) fn run_unit(&mut self, at: usize, mut unit: Box<Unit>) -> Result<(), TransactionError> {
        if unit.intake.is_empty() {
            self.stages[at].note_entered();
            self.recorder.put_back(unit);
            return Ok(());
        }
        unit.taken = Instant::now();
        unit.positions.extend(unit.intake.origins.iter().map(|origin: &Origin| origin.position()));
        unit.order.extend(0..unit.intake.len() as u32);
        if self.stages[at].number == 0 {
            self.drop_repeats(at, &mut unit);
        }
        continue_with(&unit.intake, self.detector.features.len(), &mut unit.decisions);
        let redis = self.shared.redis.as_ref();
        self.stages[at].observe(&mut unit, redis, |intake, row| intake.owners[row] as usize);
        self.stages[at].note_entered();
        self.uncommitted_since.get_or_insert_with(Instant::now);
        self.busy = Some(Instant::now());
        self.refuse_time_jumps(at, &mut unit)?;
        unit.order.retain(|row| !unit.intake.decided[*row as usize]);
        self.pass_on(at, unit)
    }

    /// Leaves out the rows whose id was seen before.
    pub(super) fn drop_repeats(&mut self, at: usize, unit: &mut Unit) {
        let slots = &mut self.stages[at].slots;
        unit.order.retain(|row| {
            let slot = slots[unit.intake.owners[*row as usize] as usize].as_mut();
            let task = slot.and_then(|slot| slot.task.as_mut());
            task.is_some_and(|task| task.seen.is_new(unit.intake.batch.id(*row as usize)))
        });
        unit.repeated = (unit.intake.len() - unit.order.len()) as u64;
    }

    /// Decides here, or leaves it to the next stage.
    pub(super) fn pass_on(&mut self, at: usize, mut unit: Box<Unit>) -> Result<(), TransactionError> {
        let number = self.stages[at].number;
        if number == self.chain.last() {
            return self.decide(unit);
        }
        if self.joint != Joint::Fused {
            self.forward(number + 1, &unit, true)?;
            self.recorder.put_back(unit);
            return Ok(());
        }
        for next in number + 1..=self.chain.last() {
            self.forward(next, &unit, false)?;
            let (link, partitions) = (&self.chain.links[next], self.partitions[next]);
            let redis = self.shared.redis.as_ref();
            let owner = |intake: &Intake, row| link.partition(&intake.batch, row, partitions);
            self.stages[next].observe(&mut unit, redis, owner);
        }
        self.decide(unit)
    }

    /// Writes rows to the next stage's topic: to be decided there, or as the record of what was decided here.
    pub(super) fn forward(
        &mut self,
        next: usize,
        unit: &Unit,
        undecided: bool,
    ) -> Result<(), TransactionError> {
        let (link, partitions) = (&self.chain.links[next], self.partitions[next]);
        for row in unit.order.iter().map(|row| *row as usize) {
            let features = if undecided { unit.decisions.features_of(row) } else { &[] };
            let partition = link.partition(&unit.intake.batch, row, partitions);
            let status = unit.decisions.statuses[row];
            if self.records[next].add(partition, &unit.intake, row, status, features) {
                let send = record_to(&self.topics.stages[next], &mut self.transaction);
                self.records[next].hand_over_one(partition, send)?;
            }
        }
        Ok(())
    }

    /// Sends what the next stages wait for. Fused stages wait for nothing: their records gather until the commit, because a
    /// message for every few rows would cost the broker more than the decisions do.
    pub(super) fn send_records(&mut self) -> Result<(), TransactionError> {
        if self.joint == Joint::Fused { Ok(()) } else { self.flush_records() }
    }

    /// Sends the stage records that are still gathering rows.
    pub(super) fn flush_records(&mut self) -> Result<(), TransactionError> {
        for (topic, records) in self.topics.stages.iter().zip(&mut self.records) {
            records.hand_over(record_to(topic, &mut self.transaction))?;
        }
        Ok(())
    }

    pub(super) fn decide(&mut self, mut unit: Box<Unit>) -> Result<(), TransactionError> {
        self.decider.decide(&unit.intake.batch, &mut unit.decisions);
        self.shadow(&mut unit);
        let (detector, batch) = (&self.detector, &unit.intake.batch);
        if self.recorder.is_on() {
            unit.rendered.fill(detector, batch, &unit.decisions);
        } else {
            unit.rendered.explain(detector, batch, &unit.decisions);
        }
        unit.decided_at_us = now_us();
        unit.latency_us = unit.intake.received.elapsed().as_micros() as i64;
        let (decided, traced) = (Instant::now(), self.traced(&unit));
        self.publish(&unit, &traced)?;
        self.trace(&traced, &unit, decided);
        self.count(&unit, decided);
        if let Some(redis) = &self.shared.redis {
            for row in &unit.order {
                let decision = unit.decision(*row as usize);
                let summary = render::summary(&decision, self.detector.schema.minor_per_unit());
                redis.offer_decision(decision.key.unwrap_or_default(), &summary);
            }
        }
        self.recorder.offer(unit);
        Ok(())
    }

    /// Sends decisions and alerts, those of sampled records with their places in the traces.
    fn publish(&mut self, unit: &Unit, traced: &Traced) -> Result<(), TransactionError> {
        let mut traced = traced.iter().peekable();
        for row in &unit.order {
            let mut incoming = unit.intake.incoming(*row as usize);
            if let Some((_, trace)) = traced.next_if(|(traced, _)| traced == row) {
                incoming.headers = Some(continued(incoming.headers, *trace));
            }
            self.publisher.decision(&unit.decision(*row as usize), incoming, &mut self.transaction)?;
        }
        Ok(())
    }

    /// Lets challengers score the same rows, if there is somewhere to keep what they say.
    fn shadow(&mut self, unit: &mut Unit) {
        unit.version = self.version;
        if self.recorder.is_on() {
            let features = &unit.decisions.features;
            self.challengers.score(features, unit.decisions.len(), &mut unit.shadow);
        }
    }

    fn count(&mut self, unit: &Unit, decided: Instant) {
        self.in_transaction += unit.order.len() as u64;
        let minor_per_unit = self.detector.schema.minor_per_unit();
        let mut stats = lock(&self.shared.stats);
        for row in unit.order.iter().map(|row| *row as usize) {
            let outcome = unit.decisions.outcomes[row];
            stats.totals.outcomes[outcome as usize] += 1;
            stats.totals.synthetic[outcome as usize] += u64::from(unit.intake.batch.mark(row).is_some());
            stats.totals.late += u64::from(unit.decisions.statuses[row] != Status::OnTime);
            stats.count_score(unit.decisions.scores[row]);
        }
        let outcomes = |wanted: Outcome| {
            unit.order.iter().filter(|row| unit.decisions.outcomes[**row as usize] == wanted).count() as u64
        };
        stats.totals.repeated += unit.repeated;
        stats.totals.rejected += unit.rejections.len() as u64;
        stats.count_rejections(&unit.rejections);
        let now_s = unit.decided_at_us / 1_000_000;
        let second = stats.second(now_s);
        second.decisions += unit.order.len() as u64;
        second.in_review += outcomes(Outcome::Review);
        second.declined += outcomes(Outcome::Decline);
        let shown = unit.order.len().saturating_sub(SHOWN);
        stats.decided += shown as u64;
        for row in &unit.order[shown..] {
            stats.keep_recent(&render::summary(&unit.decision(*row as usize), minor_per_unit));
        }
        let us = |from: Instant, to: Instant| (to - from).as_micros() as u64;
        let waited_us = us(unit.intake.received, unit.taken);
        let stages_us = [waited_us, us(unit.taken, decided), unit.latency_us as u64];
        stats.count_together(stages_us, unit.order.len() as u64, now_s);
        stats.stream_us = self.stages.first().and_then(newest_us);
    }

    /// Events whose time is too far ahead are no decisions but dead letters.
    pub(super) fn refuse_time_jumps(&mut self, at: usize, unit: &mut Unit) -> Result<(), TransactionError> {
        let stage = &self.stages[at];
        if stage.number > 0 {
            return Ok(());
        }
        let statuses = &unit.decisions.statuses;
        for row in unit.order.iter().map(|row| *row as usize).filter(|row| statuses[*row] == Status::TimeJump)
        {
            let slot = stage.slots[unit.intake.owners[row] as usize].as_ref();
            let Some(task) = slot.and_then(|slot| slot.task.as_ref()) else { continue };
            let rejection = task.engine.time_jump(&unit.intake.batch, row).into();
            let incoming = unit.intake.incoming(row);
            let source = place(&stage.topic, incoming.origin);
            unit.rejections.push(new_rejection(&source, &rejection, incoming.payload));
            self.publisher.dead_letter(&stage.topic, incoming, &rejection, &mut self.transaction)?;
        }
        unit.order.retain(|row| unit.decisions.statuses[*row as usize] != Status::TimeJump);
        Ok(())
    }

    /// Sends what was no transaction to the dead letters.
    pub(super) fn bury(&mut self, at: usize) -> Result<(), TransactionError> {
        let rejects = self.stages[at].take_rejects();
        let topic = self.stages[at].topic.clone();
        self.bury_all(&topic, rejects)
    }

    pub(super) fn bury_all(&mut self, topic: &str, rejects: Vec<Reject>) -> Result<(), TransactionError> {
        if rejects.is_empty() {
            return Ok(());
        }
        let mut rejections: Vec<NewRejection> = Vec::with_capacity(rejects.len());
        for reject in &rejects {
            let incoming = Incoming {
                origin: reject.origin,
                key: reject.key.as_deref(),
                payload: &reject.payload,
                headers: reject.headers.clone(),
            };
            rejections.push(new_rejection(&place(topic, reject.origin), &reject.rejection, &reject.payload));
            self.publisher.dead_letter(topic, incoming, &reject.rejection, &mut self.transaction)?;
        }
        let mut stats = lock(&self.shared.stats);
        stats.totals.rejected += rejections.len() as u64;
        stats.count_rejections(&rejections);
        drop(stats);
        let mut unit = self.recorder.unit();
        unit.rejections = rejections;
        self.recorder.offer(unit);
        self.uncommitted_since.get_or_insert_with(Instant::now);
        Ok(())
    }
}

fn newest_us(stage: &Stage) -> Option<i64> {
    stage.slots.iter().flatten().filter_map(|slot| slot.newest_us).max()
}

/// What sends stage records to a topic.
fn record_to(
    topic: &str,
    transaction: &mut Transaction,
) -> impl FnMut(usize, &[u8]) -> Result<(), TransactionError> {
    move |partition, payload| {
        let partition = Some(partition as i32);
        transaction.send(Outgoing { topic, partition, key: None, payload, timestamp_ms: -1, headers: None })
    }
}
