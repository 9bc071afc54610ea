//! Messages on their way in: parsed rows with where each came from.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use engine::card::mask;
use engine::detector::Schema;
use engine::{EventBatch, Rejection, Status};
use lab::dataset::{write_event, write_mark};
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};

/// Where a transaction stood in the input topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// Kafka's timestamp in milliseconds; -1 if it has none.
    pub timestamp_ms: i64,
}

impl Origin {
    /// Of a transaction that nobody remembers the place of.
    pub const UNKNOWN: Origin = Origin { partition: -1, offset: -1, timestamp_ms: -1 };

    /// Whether the place is known.
    pub fn is_known(self) -> bool {
        self.partition >= 0
    }

    /// Bits of the offset in a position.
    const OFFSET_BITS: u32 = 44;

    /// One number for it: the position that labels are learnt by. Partitions up to half a million, offsets up to 17 trillion.
    pub fn position(self) -> i64 {
        i64::from(self.partition) << Self::OFFSET_BITS | self.offset
    }
}

/// A message that is being entered.
pub struct Incoming<'a> {
    /// Where it stands.
    pub origin: Origin,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// The event as it was written.
    pub payload: &'a [u8],
    /// Its headers.
    pub headers: Option<OwnedHeaders>,
}

impl<'a> Incoming<'a> {
    /// The parts of a message of the input topic.
    pub fn of(message: &'a BorrowedMessage) -> Incoming<'a> {
        let timestamp_ms = message.timestamp().to_millis().unwrap_or(-1);
        Incoming {
            origin: Origin { partition: message.partition(), offset: message.offset(), timestamp_ms },
            key: message.key(),
            payload: message.payload().unwrap_or_default(),
            headers: message.headers().filter(|headers| headers.count() > 0).map(|headers| headers.detach()),
        }
    }
}

/// A message without the card numbers that it came with: what is passed on from topic to topic.
pub struct Concealed {
    payload: String,
    key: Option<Vec<u8>>,
    headers: Option<OwnedHeaders>,
}

impl Concealed {
    /// The message of the newest row of `batch` with tokens for card numbers, if it had any; its fields then, in canonical
    /// JSON, are all that is left of the payload. `tokens_before`: those that the batch had made before it read the message.
    pub fn of(incoming: &Incoming, batch: &EventBatch, tokens_before: u64) -> Option<Concealed> {
        let schema = batch.schema();
        let has_cards = |bytes: &[u8]| schema.cards.are_in(bytes);
        let headers = incoming.headers.as_ref();
        let is_bare = batch.tokens_made() == tokens_before
            && !has_cards(incoming.payload)
            && !incoming.key.is_some_and(has_cards)
            && !headers
                .is_some_and(|headers| headers.iter().any(|header| header.value.is_some_and(has_cards)));
        if is_bare {
            return None;
        }
        let row = batch.len() - 1;
        let mut payload = String::new();
        write_event(batch, row, false, &mut payload);
        write_mark(batch.mark(row), &mut payload);
        let key = incoming.key.map(|key| match std::str::from_utf8(key) {
            Ok(text) => schema.key_known_as(text).into_owned().into_bytes(),
            Err(_) => key.to_vec(),
        });
        Some(Concealed { payload, key, headers: headers.map(masked_headers) })
    }

    /// The message to pass on.
    pub fn incoming(&self, origin: Origin) -> Incoming<'_> {
        let headers = self.headers.clone();
        Incoming { origin, key: self.key.as_deref(), payload: self.payload.as_bytes(), headers }
    }
}

/// Headers with card numbers masked.
pub fn masked_headers(headers: &OwnedHeaders) -> OwnedHeaders {
    headers.iter().fold(OwnedHeaders::new(), |masked, header| {
        let value = header.value.map(masked_bytes);
        masked.insert(Header { key: header.key, value: value.as_deref() })
    })
}

/// Bytes with card numbers masked; as they are if there is none.
pub fn masked_bytes(bytes: &[u8]) -> Cow<'_, [u8]> {
    let text = String::from_utf8_lossy(bytes);
    match mask(&text) {
        masked if masked == text => Cow::Borrowed(bytes),
        masked => Cow::Owned(masked.into_owned().into_bytes()),
    }
}

/// Where a row stands in its stage.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The partition of the stage's topic.
    pub owner: i32,
    /// The offset in it.
    pub offset: i64,
    /// The newest event time of the partition as of the row.
    pub merge_us: i64,
}

/// What was no transaction, as it came.
pub struct Reject {
    /// Where it stood.
    pub origin: Origin,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// What it held.
    pub payload: Vec<u8>,
    /// Its headers.
    pub headers: Option<OwnedHeaders>,
    /// What is wrong with it.
    pub rejection: Rejection,
}

/// Rows of one stage in the order of arrival, column by column. The memory is kept from batch to batch.
pub struct Intake {
    /// The events.
    pub batch: EventBatch,
    /// Where each came from.
    pub origins: Vec<Origin>,
    /// The partition of this stage's topic that each came by.
    pub owners: Vec<i32>,
    /// The offset in that partition.
    pub offsets: Vec<i64>,
    /// The newest event time of each row's partition as of that row: the order in which partitions are merged.
    pub merge_us: Vec<i64>,
    /// What earlier stages found out: row-major features; empty in the first stage.
    pub features: Vec<f64>,
    /// What became of each row so far.
    pub statuses: Vec<Status>,
    /// Rows that were decided before: they only count for the state.
    pub decided: Vec<bool>,
    /// Rows that are labels of their transactions, and what they say.
    pub labels: Vec<Option<bool>>,
    /// When the rows were received.
    pub received: Instant,
    /// No more rows are to be added: they would make it too long in event time.
    pub is_closed: bool,
    bytes: Vec<u8>,
    /// Ends of each row's key and payload. A key that is absent is marked by `NO_KEY`.
    spans: Vec<(u32, u32, bool)>,
    /// Headers of the few rows that have some, by row.
    headers: Vec<(u32, OwnedHeaders)>,
}

impl Intake {
    /// An empty one.
    pub fn new(schema: &Arc<Schema>) -> Intake {
        Intake {
            batch: EventBatch::new(Arc::clone(schema)),
            origins: Vec::new(),
            owners: Vec::new(),
            offsets: Vec::new(),
            merge_us: Vec::new(),
            features: Vec::new(),
            statuses: Vec::new(),
            decided: Vec::new(),
            labels: Vec::new(),
            received: Instant::now(),
            is_closed: false,
            bytes: Vec::new(),
            spans: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.batch.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// Forgets all rows.
    pub fn clear(&mut self) {
        self.is_closed = false;
        self.batch.clear();
        self.origins.clear();
        self.owners.clear();
        self.offsets.clear();
        self.merge_us.clear();
        self.features.clear();
        self.statuses.clear();
        self.decided.clear();
        self.labels.clear();
        self.bytes.clear();
        self.spans.clear();
        self.headers.clear();
    }

    /// Completes the row that was just parsed into the batch; it came by `owner` and stands there at `offset`.
    pub fn add(&mut self, incoming: Incoming, at: Place, status: Status, decided: bool) {
        if self.origins.is_empty() {
            self.received = Instant::now();
        }
        let row = self.origins.len() as u32;
        self.origins.push(incoming.origin);
        self.owners.push(at.owner);
        self.offsets.push(at.offset);
        self.merge_us.push(at.merge_us);
        self.statuses.push(status);
        self.decided.push(decided);
        self.labels.push(None);
        self.bytes.extend_from_slice(incoming.key.unwrap_or_default());
        let key_end = self.bytes.len() as u32;
        self.bytes.extend_from_slice(incoming.payload);
        self.spans.push((key_end, self.bytes.len() as u32, incoming.key.is_some()));
        self.headers.extend(incoming.headers.map(|headers| (row, headers)));
    }

    /// Completes the row that was just parsed into the batch as a label of that transaction.
    pub fn add_label(&mut self, incoming: Incoming, at: Place, fraud: bool) {
        self.add(incoming, at, Status::OnTime, true);
        self.labels[self.batch.len() - 1] = Some(fraud);
    }

    /// Appends a row of another intake.
    pub fn add_row_of(&mut self, other: &Intake, row: usize) {
        self.batch.push_row_of(&other.batch, row);
        let columns = other.features.len() / other.len().max(1);
        self.features.extend_from_slice(&other.features[row * columns..][..columns]);
        let at =
            Place { owner: other.owners[row], offset: other.offsets[row], merge_us: other.merge_us[row] };
        self.add(other.incoming(row), at, other.statuses[row], other.decided[row]);
        self.labels[self.batch.len() - 1] = other.labels[row];
    }

    /// The message of a row.
    pub fn incoming(&self, row: usize) -> Incoming<'_> {
        Incoming {
            origin: self.origins[row],
            key: self.key(row),
            payload: self.payload(row),
            headers: self.headers(row).cloned(),
        }
    }

    /// The key of a row's message.
    pub fn key(&self, row: usize) -> Option<&[u8]> {
        let (key_end, _, has_key) = self.spans[row];
        has_key.then(|| &self.bytes[self.start(row)..key_end as usize])
    }

    /// The payload of a row's message.
    pub fn payload(&self, row: usize) -> &[u8] {
        let (key_end, end, _) = self.spans[row];
        &self.bytes[key_end as usize..end as usize]
    }

    /// The headers of a row's message.
    pub fn headers(&self, row: usize) -> Option<&OwnedHeaders> {
        let at = self.headers.binary_search_by_key(&(row as u32), |(row, _)| *row).ok()?;
        Some(&self.headers[at].1)
    }

    fn start(&self, row: usize) -> usize {
        if row == 0 { 0 } else { self.spans[row - 1].1 as usize }
    }
}
