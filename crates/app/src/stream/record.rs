//! What travels between two stages: many rows in one message, in the order in which they are to be entered.
//!
//! A message is `RFSTAGE1`, then row after row, all numbers little-endian:
//!
//! | field | type |
//! |---|---|
//! | partition and offset in the input topic | i32, i64 |
//! | timestamp in milliseconds, -1 if none | i64 |
//! | status (0 to 2), or label (100 genuine, 101 fraud); whether it was decided already | u8, u8 |
//! | key: length (-1: none) and bytes | i32, … |
//! | event as it was written: length and bytes | i32, … |
//! | headers: count, then name and value, each with its length (value -1: null) | u16, … |
//! | features so far: count (0 if it was decided) and doubles | u16, … |

use engine::{Decisions, Status};
use rdkafka::message::{Header, Headers, OwnedHeaders};

use super::intake::{Incoming, Intake, Origin};

/// First bytes of every message; the digit is the version of the format.
const MAGIC: &[u8; 8] = b"RFSTAGE1";

/// A message is closed when it has grown to this: brokers refuse more than a megabyte by default.
const MESSAGE_BYTES: usize = 400_000;

/// What stands for the status of a row that is a label; plus one if it says fraud.
const LABEL: u8 = 100;

/// Gathers rows into messages, one open for each partition.
#[derive(Debug, Default)]
pub struct Records {
    open: Vec<Vec<u8>>,
}

impl Records {
    /// Appends a row to a partition's message. `features` is empty for rows that are decided already. Whether the message is
    /// full: then hand it over.
    pub fn add(
        &mut self,
        partition: usize,
        intake: &Intake,
        row: usize,
        status: Status,
        features: &[f64],
    ) -> bool {
        if self.open.len() <= partition {
            self.open.resize_with(partition + 1, Vec::new);
        }
        let out = &mut self.open[partition];
        if out.is_empty() {
            out.extend_from_slice(MAGIC);
        }
        let what = intake.labels[row].map_or(status as u8, |fraud| LABEL + u8::from(fraud));
        write_row(intake, row, what, features, out);
        out.len() >= MESSAGE_BYTES
    }

    /// Hands what is open over, message by message with its partition, and forgets it. The memory is kept.
    ///
    /// # Errors
    /// The first one of `send`.
    pub fn hand_over<E>(&mut self, mut send: impl FnMut(usize, &[u8]) -> Result<(), E>) -> Result<(), E> {
        for partition in 0..self.open.len() {
            self.hand_over_one(partition, &mut send)?;
        }
        Ok(())
    }

    /// Hands a partition's message over, if there is one.
    ///
    /// # Errors
    /// That of `send`.
    pub fn hand_over_one<E>(
        &mut self,
        partition: usize,
        send: impl FnOnce(usize, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(message) = self.open.get_mut(partition).filter(|message| !message.is_empty()) else {
            return Ok(());
        };
        send(partition, message)?;
        message.clear();
        Ok(())
    }

    /// Forgets what is open.
    pub fn clear(&mut self) {
        self.open.iter_mut().for_each(Vec::clear);
    }
}

fn write_row(intake: &Intake, row: usize, what: u8, features: &[f64], out: &mut Vec<u8>) {
    let origin = intake.origins[row];
    out.extend_from_slice(&origin.partition.to_le_bytes());
    out.extend_from_slice(&origin.offset.to_le_bytes());
    out.extend_from_slice(&origin.timestamp_ms.to_le_bytes());
    out.push(what);
    out.push(u8::from(features.is_empty()));
    put_bytes(intake.key(row), out);
    put_bytes(Some(intake.payload(row)), out);
    let headers = intake.headers(row);
    out.extend_from_slice(&(headers.map_or(0, Headers::count) as u16).to_le_bytes());
    for header in headers.into_iter().flat_map(Headers::iter) {
        put_bytes(Some(header.key.as_bytes()), out);
        put_bytes(header.value, out);
    }
    out.extend_from_slice(&(features.len() as u16).to_le_bytes());
    features.iter().for_each(|feature| out.extend_from_slice(&feature.to_le_bytes()));
}

fn put_bytes(bytes: Option<&[u8]>, out: &mut Vec<u8>) {
    let len = bytes.map_or(-1, |bytes| bytes.len() as i32);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(bytes.unwrap_or_default());
}

/// A row as it is read.
pub struct Row<'a> {
    /// The message that the first stage got.
    pub incoming: Incoming<'a>,
    /// What became of it so far.
    pub status: Status,
    /// Whether it only counts for the state.
    pub decided: bool,
    /// That it is a label of the transaction, and what it says.
    pub label: Option<bool>,
    features: &'a [u8],
}

impl Row<'_> {
    /// Features so far.
    pub fn features(&self) -> impl Iterator<Item = f64> {
        self.features.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes))
    }
}

/// The message is not what a stage wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message is not one of this version's stages")]
pub struct Foreign;

/// Reads a message row by row.
pub fn rows(message: &[u8]) -> Result<Rows<'_>, Foreign> {
    message.strip_prefix(MAGIC).map(|rest| Rows { rest }).ok_or(Foreign)
}

/// The rows of a message.
pub struct Rows<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Rows<'a> {
    type Item = Result<Row<'a>, Foreign>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let row = self.row();
        if row.is_none() {
            self.rest = &[];
        }
        Some(row.ok_or(Foreign))
    }
}

impl<'a> Rows<'a> {
    fn row(&mut self) -> Option<Row<'a>> {
        let origin = Origin {
            partition: i32::from_le_bytes(self.word()?),
            offset: i64::from_le_bytes(self.word()?),
            timestamp_ms: i64::from_le_bytes(self.word()?),
        };
        let [what, decided] = self.word()?;
        let label = [false, true].into_iter().find(|fraud| LABEL + u8::from(*fraud) == what);
        let known =
            [Status::OnTime, Status::Late, Status::TooLate].into_iter().find(|status| *status as u8 == what);
        let status = known.or(label.map(|_| Status::OnTime))?;
        let (key, payload) = (self.bytes()?, self.bytes()??);
        let headers = self.headers()?;
        let count = u16::from_le_bytes(self.word()?);
        let features = self.take(usize::from(count) * 8)?;
        let incoming = Incoming { origin, key, payload, headers };
        Some(Row { incoming, status, decided: decided == 1, label, features })
    }

    fn headers(&mut self) -> Option<Option<OwnedHeaders>> {
        let count = usize::from(u16::from_le_bytes(self.word()?));
        let mut headers = OwnedHeaders::new_with_capacity(count);
        for _ in 0..count {
            let key = std::str::from_utf8(self.bytes()??).ok()?;
            headers = headers.insert(Header { key, value: self.bytes()? });
        }
        Some((count > 0).then_some(headers))
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn word<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// Bytes with their length before them; the inner `None` is null.
    fn bytes(&mut self) -> Option<Option<&'a [u8]>> {
        match i32::from_le_bytes(self.word()?) {
            -1 => Some(None),
            len => self.take(usize::try_from(len).ok()?).map(Some),
        }
    }
}

/// Puts what earlier stages found out where this stage goes on.
pub fn continue_with(intake: &Intake, columns: usize, decisions: &mut Decisions) {
    decisions.begin(intake.len(), columns);
    if intake.features.is_empty() {
        return;
    }
    for (row, features) in intake.features.chunks_exact(columns).enumerate() {
        decisions.set_row(row, features, intake.statuses[row]);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use engine::EventBatch;
    use lab::dataset::EventReader;

    use super::*;
    use crate::stream::intake::Place;

    fn intake() -> Intake {
        let text = include_str!("../../../../detectors/card-handbook.toml");
        let detector = engine::Detector::parse(text).expect("a shipped detector");
        let schema = Arc::new(detector.schema.clone());
        let reader = EventReader::without_labels(&schema);
        let mut intake = Intake::new(&schema);
        for number in 0..3 {
            let payload = format!(
                r#"{{"transaction_id":"t{number}","tx_datetime":"2018-04-01T00:00:31Z","tx_amount":5.5,"customer_id":"c1","terminal_id":"m"}}"#
            );
            reader.read(payload.as_bytes(), &mut intake.batch).expect("an event");
            let headers = (number == 1).then(|| {
                OwnedHeaders::new().insert(Header { key: "trace", value: Some("abc") }).insert(Header::<
                    &[u8],
                > {
                    key: "empty",
                    value: None,
                })
            });
            let origin = Origin { partition: 2, offset: 40 + number, timestamp_ms: 1_522_540_831_000 };
            let key = (number > 0).then_some(&b"c1"[..]);
            let incoming = Incoming { origin, key, payload: payload.as_bytes(), headers };
            let at = Place { owner: 2, offset: 40 + number, merge_us: 0 };
            intake.add(incoming, at, Status::OnTime, false);
        }
        intake
    }

    fn only_message(records: &mut Records) -> Vec<u8> {
        let mut message = None;
        let handed_over = records.hand_over(|_, bytes| match message.replace(bytes.to_vec()) {
            None => Ok(()),
            Some(_) => Err("one partition is open"),
        });
        assert_eq!(handed_over, Ok(()));
        records.hand_over(|_, _| Err("everything was handed over")).unwrap();
        message.expect("a message is open")
    }

    #[test]
    fn rows_come_out_as_they_went_in() {
        let (intake, mut records) = (intake(), Records::default());
        assert!(!records.add(0, &intake, 0, Status::Late, &[1.5, f64::NAN]));
        assert!(!records.add(0, &intake, 1, Status::OnTime, &[]));
        let message = only_message(&mut records);
        let read: Vec<Row> = rows(&message).unwrap().map(|row| row.expect("whole")).collect();
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].status, read[0].decided), (Status::Late, false));
        assert_eq!(read[0].incoming.key, None);
        let features: Vec<u64> = read[0].features().map(f64::to_bits).collect();
        assert_eq!(features, [1.5_f64.to_bits(), f64::NAN.to_bits()]);
        assert!(read[1].decided);
        assert_eq!(read[1].incoming.origin, intake.origins[1]);
        assert_eq!(read[1].incoming.payload, intake.payload(1));
        let headers = read[1].incoming.headers.as_ref().expect("two headers");
        assert_eq!((headers.get(0).key, headers.get(0).value), ("trace", Some(&b"abc"[..])));
        assert_eq!(headers.get(1).value, None);
    }

    #[test]
    fn a_mutilated_message_is_refused() {
        let (intake, mut records) = (intake(), Records::default());
        records.add(0, &intake, 1, Status::OnTime, &[1.0]);
        let message = only_message(&mut records);
        for cut in MAGIC.len() + 1..message.len() {
            assert!(rows(&message[..cut]).unwrap().any(|row| row.is_err()), "cut at {cut}");
        }
        assert!(rows(b"RFSTAGE2").is_err());
        let _: EventBatch = intake.batch;
    }
}
