//! What the consumer groups say, from inside of librdkafka's `poll`.

use super::*;

/// Tells the core what the consumer group says, and forwards librdkafka's log.
pub struct Membership {
    pub(super) reads: Reads,
    pub(super) core: OnceLock<Weak<Mutex<Core>>>,
}

impl ClientContext for Membership {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        Logged.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        Logged.error(error, reason);
    }
}

impl ConsumerContext for Membership {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, what: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let partitions: Vec<i32> = list.elements().iter().map(|place| place.partition()).collect();
        let core = self.core.get().and_then(Weak::upgrade);
        let done = if what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            let assigned = consumer.incremental_assign(list).and_then(|()| match self.reads {
                // Nothing flows before its state is there.
                Reads::Stage(_) => consumer.pause(list),
                Reads::Labels => Ok(()),
            });
            if let Some(core) = core {
                lock(&core).assigned(self.reads, &partitions);
            }
            assigned
        } else {
            if let Some(core) = core {
                lock(&core).revoked(self.reads, &partitions, consumer.assignment_lost());
            }
            consumer.incremental_unassign(list)
        };
        if let Err(error) = done {
            tracing::warn!(%error, "the consumer group's word could not be followed");
        }
    }
}

impl Core {
    pub(super) fn assigned(&mut self, reads: Reads, partitions: &[i32]) {
        let Reads::Stage(stage) = reads else {
            self.labels.iter_mut().for_each(|labels| labels.take(partitions));
            return;
        };
        self.condition.join();
        // Nothing is taken any more after the end.
        if partitions.is_empty() || self.stages.get(stage).is_none() {
            return;
        }
        tracing::info!(topic = self.stages[stage].topic, ?partitions, "got partitions");
        for partition in partitions {
            self.stages[stage].take(*partition, &self.open);
        }
    }

    pub(super) fn revoked(&mut self, reads: Reads, partitions: &[i32], lost: bool) {
        let Reads::Stage(stage) = reads else {
            if lost {
                self.give_up("the group has given its labels to others");
            } else if let Err(error) = self.commit_and_wait().and_then(|()| self.split_and_wait()) {
                self.give_up(&error.to_string());
            }
            self.labels.iter_mut().for_each(|labels| labels.forget(partitions));
            return;
        };
        // After the end there is nothing left to give up.
        let Some(topic) = self.stages.get(stage).map(|stage| stage.topic.clone()) else { return };
        tracing::info!(topic, ?partitions, lost, "partitions go elsewhere");
        if lost {
            self.give_up("the group has given its partitions to others");
        } else {
            self.hand_over(stage, partitions);
        }
        partitions.iter().for_each(|partition| self.stages[stage].forget(*partition));
    }

    /// Commits, and leaves a snapshot for whoever comes next.
    pub(super) fn hand_over(&mut self, stage: usize, partitions: &[i32]) {
        if let Err(error) = self.commit_and_wait().and_then(|()| self.split_and_wait()) {
            self.give_up(&error.to_string());
            return;
        }
        for partition in partitions {
            self.snapshot(stage, *partition);
        }
    }

    pub(super) fn consumer_error(&mut self, error: &KafkaError) {
        match error {
            KafkaError::MessageConsumption(RDKafkaErrorCode::AllBrokersDown) => self.is_cut_off = true,
            error => tracing::debug!(%error, "the consumer says"),
        }
    }
}
