//! Joining the groups: what is needed before the first message.

use super::*;

impl Core {
    pub(super) fn start(setup: Setup, data_dir: &Path) -> Result<(Arc<Mutex<Core>>, Consumers)> {
        let Setup { settings, detector, store, queue, shared, condition } = setup;
        let chain = Chain::of(&detector)?;
        let selected = chain.select(&settings.stages)?;
        let group = settings.group(&detector.name);
        let topics = Topics::of(&settings, &group, &chain);
        topics::await_partitions(&settings, &topics.all())?;
        let stage_topics: Vec<&str> = topics.stages.iter().map(String::as_str).collect();
        let partitions = topics::await_partitions(&settings, &stage_topics)?;
        let settings = Arc::new(settings);
        let schema = Arc::new(detector.schema.clone());
        let snapshots = Snapshots::new(&snapshots_place(&settings, data_dir)?, &group)?;
        let progress = (chain.merges() && selected.contains(&0))
            .then(|| Progress::watch(&settings, &chain.group(&group, 0), &topics.stages[0]))
            .transpose()?;
        let (open, opened) = channel();
        let recorder = Recorder::new(&schema, store, queue, shared.alerts.window_us)?;
        let core = Core {
            shared,
            condition,
            joint: Joint::Split,
            // The other cores are Kafka's, or other processes'.
            decider: Decider::new(Arc::clone(&detector), None).on_one_thread(),
            publisher: Publisher::new(topics.clone(), detector.schema.minor_per_unit()),
            records: topics.stages.iter().map(|_| Records::default()).collect(),
            recorder,
            transaction: Transaction::new(&settings, &format!("{group}-{}", instance(data_dir)?))?,
            committed: HashMap::new(),
            version: 0,
            challengers: Challengers::default(),
            turn: None,
            commit_interval: settings.commit_interval,
            snapshot_every: settings.snapshot_every,
            snapshot_writer: snapshot_writer(snapshots.clone())?,
            snapshots: snapshots.clone(),
            progress,
            ends: client::ends(&settings, &group)?,
            settings: Arc::clone(&settings),
            group: group.clone(),
            opened,
            open,
            in_transaction: 0,
            in_commit: 0,
            sampled: Vec::new(),
            sampled_in_commit: (Vec::new(), Instant::now()),
            uncommitted_since: None,
            busy: Some(Instant::now()),
            is_cut_off: false,
            stalled: None,
            stages: Vec::new(),
            labels: None,
            labels_sought: Instant::now(),
            reader: EventReader::without_labels(&schema),
            partitions,
            topics,
            chain,
            detector,
        };
        let core = Arc::new(Mutex::new(core));
        let mut consumers = Vec::new();
        let routes_labels = selected.contains(&0) && lock(&core).chain.links.iter().any(|link| link.learns);
        for (at, number) in selected.into_iter().enumerate() {
            let stage = lock(&core).join(at, number, &settings, &group, &snapshots, &core)?;
            consumers.push((Reads::Stage(at), Arc::clone(&stage.consumer)));
            lock(&core).stages.push(stage);
        }
        if routes_labels {
            let labels = lock(&core).join_labels(&settings, &group, &schema, &core)?;
            consumers.push((Reads::Labels, Arc::clone(&labels.consumer)));
            lock(&core).labels = Some(labels);
        }
        Ok((core, consumers))
    }

    /// Joins the consumer group of one stage.
    pub(super) fn join(
        &self,
        at: usize,
        number: usize,
        settings: &Arc<KafkaSettings>,
        group: &str,
        snapshots: &Snapshots,
        core: &Arc<Mutex<Core>>,
    ) -> Result<Stage> {
        let group = self.chain.group(group, number);
        let membership = Membership { reads: Reads::Stage(at), core: OnceLock::from(Arc::downgrade(core)) };
        let consumer = Arc::new(client::group_consumer(settings, &group, membership)?);
        let topic = self.topics.stages[number].clone();
        consumer.subscribe(&[&topic])?;
        let restorer = Restorer {
            settings: Arc::clone(settings),
            group,
            detector: Arc::clone(&self.detector),
            link: self.chain.links[number].clone(),
            first: number == 0,
            topic,
            snapshots: snapshots.clone(),
        };
        let chunk_us = (number == 0 && self.chain.merges()).then_some(self.chain.drift_us / 2);
        let condition = Arc::clone(&self.condition);
        Ok(Stage::new(number, self.partitions[number], consumer, restorer, condition, chunk_us))
    }

    /// Joins the consumer group of the topic of labels.
    pub(super) fn join_labels(
        &self,
        settings: &Arc<KafkaSettings>,
        group: &str,
        schema: &Arc<Schema>,
        core: &Arc<Mutex<Core>>,
    ) -> Result<Labels> {
        let membership = Membership { reads: Reads::Labels, core: OnceLock::from(Arc::downgrade(core)) };
        let consumer = Arc::new(client::group_consumer(settings, &format!("{group}-labels"), membership)?);
        consumer.subscribe(&[&self.topics.labels])?;
        let partitions = topics::await_partitions(settings, &[&self.topics.labels])?[0];
        Ok(Labels::new(&self.topics.labels, partitions, consumer, schema))
    }
}

fn snapshots_place(settings: &KafkaSettings, data_dir: &Path) -> Result<String> {
    if !settings.snapshots.is_empty() {
        return Ok(settings.snapshots.clone());
    }
    let folder = data_dir.join("snapshots").into_os_string().into_string();
    folder.map_err(|folder| anyhow::anyhow!("{} is not UTF-8", folder.display()))
}

fn snapshot_writer(snapshots: Snapshots) -> Result<Sender<SnapshotFile>> {
    let (send, files) = channel::<SnapshotFile>();
    let body = move || {
        for file in files {
            if let Err(error) = snapshots.write(&file.topic, file.partition, file.offset, file.bytes) {
                // The topic has everything; a restore takes longer, that is all.
                tracing::warn!(error = %format!("{error:#}"), "no snapshot could be written");
            }
        }
    };
    std::thread::Builder::new()
        .name("snapshots".into())
        .spawn(body)
        .context("cannot start the snapshot writer")?;
    Ok(send)
}

/// What tells this process from the others of its group, the same after a restart on the same data folder: the producer that
/// comes back fences off the transaction that the dead one has left open.
fn instance(data_dir: &Path) -> Result<String> {
    let path = data_dir.join("instance");
    if let Ok(found) = std::fs::read_to_string(&path) {
        return Ok(found.trim().to_string());
    }
    let mixed = foldhash::quality::RandomState::default();
    let name = format!("{:016x}", std::hash::BuildHasher::hash_one(&mixed, (std::process::id(), now_us())));
    std::fs::write(&path, &name).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(name)
}
