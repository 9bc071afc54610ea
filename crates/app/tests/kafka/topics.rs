//! Topics of a test's own on the broker that `KAFKA_BROKERS` names, and processes of redflag between them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Headers, Message, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

use super::process::{Service, Setup, folder, redflag, run, wait_until};

pub const PARTITIONS: i32 = 4;

/// Nothing here takes that long, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// The topics of one test; gone with the value.
pub struct Topics {
    brokers: String,
    pub group: String,
    pub folder: PathBuf,
    names: Vec<String>,
}

impl Topics {
    /// `None`, and a line that says so, where there is no broker.
    pub fn new(test: &str) -> Option<Topics> {
        let mut topics = Topics::missing(test)?;
        let created: Value = serde_json::from_str(&topics.create()).unwrap();
        topics.names = created.as_object().unwrap().keys().cloned().collect();
        Some(topics)
    }

    /// The names without the topics.
    pub fn missing(test: &str) -> Option<Topics> {
        let Ok(brokers) = std::env::var("KAFKA_BROKERS") else {
            println!("NOT RUN: the stream from Kafka: KAFKA_BROKERS is not set (scripts/kafka start)");
            return None;
        };
        let group = format!("test-{}-{test}", std::process::id());
        Some(Topics { brokers, group, folder: folder(&format!("kafka_{test}")), names: Vec::new() })
    }

    pub fn name(&self, key: &str) -> String {
        format!("{}.{key}", self.group)
    }

    /// The consumer groups, each with the topic it reads.
    fn groups(&self) -> [(String, String); 2] {
        let stage = format!("{}-by-terminal", self.group);
        [(self.group.clone(), self.name("transactions")), (format!("{}-terminal", self.group), stage)]
    }

    /// What `redflag topics create` prints; it must succeed.
    pub fn create(&self) -> String {
        let output = run(redflag()
            .args(["topics", "create", "--detector", "card-handbook", "--json", "--config"])
            .arg(self.settings()));
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn settings(&self) -> PathBuf {
        let file = self.folder.join("redflag.toml");
        let names: Vec<String> = ["transactions", "decisions", "alerts", "dead_letter", "labels"]
            .iter()
            .map(|key| format!("{key} = \"{}\"\n", self.name(key)))
            .collect();
        // A member that was killed is given up sooner than it need be elsewhere.
        let text = format!(
            "database = \"none\"\n[kafka]\nbrokers = \"{}\"\ngroup = \"{}\"\nsnapshots = \"{}\"\n{}[kafka.properties]\n\
             \"session.timeout.ms\" = 3000\n\"heartbeat.interval.ms\" = 500\n",
            self.brokers,
            self.group,
            self.folder.join("snapshots").display(),
            names.concat(),
        );
        std::fs::write(&file, text).unwrap();
        file
    }

    /// A process by this name.
    pub fn process(&self, name: &str) -> Setup {
        Setup::new(&self.folder.join(name)).with_file(&self.settings())
    }

    /// Starts a process and waits until its partitions are live.
    pub fn start(&self, setup: &Setup) -> Service {
        let service = setup.spawn().wait_to_listen();
        wait_until("the process is ready", || service.client().get("/readyz").status == 200);
        service
    }

    /// Sends transactions, keyed by their customers.
    pub fn send(&self, events: &[Value]) {
        let (producer, topic) = (self.producer(), self.name("transactions"));
        for event in events {
            let (key, text) = (event["customer_id"].to_string(), event.to_string());
            let record = BaseRecord::to(&topic).key(&key).payload(&text);
            producer.send(record).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
    }

    /// Sends the transactions of one partition after those of another. Customers have partitions of their own choice here.
    pub fn send_apart(&self, events: &[Value], pause: Duration) {
        let (producer, topic) = (self.producer(), self.name("transactions"));
        // Written beforehand: whoever reads waits for two seconds for a partition that has nothing.
        let mut written = vec![Vec::new(); PARTITIONS as usize];
        for event in events {
            let customer = event["customer_id"].as_i64().unwrap();
            written[(customer as i32 % PARTITIONS) as usize].push((customer.to_string(), event.to_string()));
        }
        for (partition, records) in (0..).zip(&written) {
            for (key, text) in records {
                producer.send(BaseRecord::to(&topic).partition(partition).key(key).payload(text)).unwrap();
            }
            producer.flush(PATIENCE).unwrap();
            std::thread::sleep(pause);
        }
    }

    /// Sends one message as it is.
    pub fn send_raw(
        &self,
        partition: i32,
        key: Option<&str>,
        payload: &str,
        timestamp_ms: i64,
        headers: &[(&str, &str)],
    ) {
        let topic = self.name("transactions");
        let mut record =
            BaseRecord::<str, str>::to(&topic).partition(partition).payload(payload).timestamp(timestamp_ms);
        record.key = key;
        let mut all = OwnedHeaders::new();
        for (key, value) in headers {
            all = all.insert(Header { key, value: Some(*value) });
        }
        let producer = self.producer();
        if let Err((error, _)) = producer.send(record.headers(all)) {
            panic!("{error}");
        }
        producer.flush(PATIENCE).unwrap();
    }

    fn producer(&self) -> BaseProducer {
        let mut config = self.client();
        // Without idempotence a batch that is sent again comes after its successors.
        config.set("enable.idempotence", "true");
        config.set("partitioner", "murmur2_random").set("queue.buffering.max.messages", "1000000");
        config.create().unwrap()
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        config
    }

    /// A consumer that can ask for the offsets of a group.
    fn consumer(&self, group: &str) -> BaseConsumer {
        let mut config = self.client();
        config
            .set("group.id", group)
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed");
        config.create().unwrap()
    }

    /// All committed messages of a topic, partition by partition.
    pub fn read(&self, key: &str) -> Vec<OwnedMessage> {
        self.read_topic(&self.name(key))
    }

    /// The same of a topic by its whole name.
    pub fn read_topic(&self, topic: &str) -> Vec<OwnedMessage> {
        let consumer = self.consumer("test-reader");
        self.wait_until_visible(topic);
        let (mut messages, mut ended) = (Vec::new(), BTreeSet::new());
        let mut list = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        while ended.len() < PARTITIONS as usize {
            match consumer.poll(PATIENCE) {
                Some(Ok(message)) => messages.push(message.detach()),
                Some(Err(KafkaError::PartitionEOF(partition))) => drop(ended.insert(partition)),
                other => panic!("{other:?}"),
            }
        }
        messages
    }

    /// Waits until no transaction is open in a topic: Kafka marks one as committed in its topics a moment after the offsets of
    /// the group, which were committed with it, can be seen.
    fn wait_until_visible(&self, topic: &str) {
        let committed = self.consumer("test-reader");
        let mut config = self.client();
        config.set("group.id", "test-ends").set("isolation.level", "read_uncommitted");
        let all: BaseConsumer = config.create().unwrap();
        let end = |consumer: &BaseConsumer, partition| {
            consumer.fetch_watermarks(topic, partition, PATIENCE).unwrap().1
        };
        wait_until("no transaction is open", || {
            (0..PARTITIONS).all(|partition| end(&committed, partition) == end(&all, partition))
        });
    }

    /// All committed decisions.
    pub fn decisions(&self) -> Vec<Value> {
        let text = |message: &OwnedMessage| serde_json::from_slice(message.payload().unwrap()).unwrap();
        self.read("decisions").iter().map(text).collect()
    }

    /// Waits until no group has anything left to read.
    pub fn wait_until_decided(&self) {
        let consumers = self.groups().map(|(group, topic)| (self.consumer(&group), topic));
        let deadline = Instant::now() + 2 * PATIENCE;
        while consumers.iter().any(|(consumer, topic)| behind(consumer, topic) > 0) {
            assert!(
                Instant::now() < deadline,
                "it does not come to an end: {:?}",
                self.groups().map(|(group, topic)| (behind(&self.consumer(&group), &topic), topic))
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Deletes from the topics that are read what every group has committed: nobody can read it again.
    pub fn forget_committed(&self) {
        let mut before = TopicPartitionList::new();
        for (group, topic) in self.groups() {
            for (partition, offset) in offsets(&self.consumer(&group), &topic) {
                before.add_partition_offset(&topic, partition, Offset::Offset(offset)).unwrap();
            }
        }
        let (runtime, admin) = self.admin();
        let deleted = runtime.block_on(admin.delete_records(&before, &AdminOptions::new())).unwrap();
        deleted.elements().iter().for_each(|place| place.error().unwrap());
    }

    fn admin(&self) -> (tokio::runtime::Runtime, AdminClient<DefaultClientContext>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        (runtime, self.client().create().unwrap())
    }

    /// Messages of the input that were decided and committed.
    pub fn committed(&self) -> i64 {
        let [(group, topic), _] = self.groups();
        offsets(&self.consumer(&group), &topic).iter().map(|(_, offset)| (*offset).max(0)).sum()
    }
}

/// Messages that a group has not read.
fn behind(consumer: &BaseConsumer, topic: &str) -> i64 {
    let left = |(partition, offset): &(i32, i64)| {
        let (_, end) = consumer.fetch_watermarks(topic, *partition, PATIENCE).unwrap();
        end - (*offset).max(0)
    };
    offsets(consumer, topic).iter().map(left).sum()
}

/// A group's committed offsets; negative where there is none.
fn offsets(consumer: &BaseConsumer, topic: &str) -> Vec<(i32, i64)> {
    let mut wanted = TopicPartitionList::new();
    wanted.add_partition_range(topic, 0, PARTITIONS - 1);
    let found = consumer.committed_offsets(wanted, PATIENCE).unwrap();
    found.elements().iter().map(|place| (place.partition(), place.offset().to_raw().unwrap_or(-1))).collect()
}

pub fn header<'a>(message: &'a OwnedMessage, name: &str) -> Option<&'a str> {
    let found = message.headers()?.iter().find(|header| header.key == name)?;
    std::str::from_utf8(found.value?).ok()
}

impl Drop for Topics {
    fn drop(&mut self) {
        if std::thread::panicking() || self.names.is_empty() {
            return;
        }
        let (runtime, admin) = self.admin();
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        runtime.block_on(admin.delete_topics(&names, &AdminOptions::new())).unwrap();
    }
}
