//! Decisions in the binary format of `COPY`, written straight from a group: no value takes a detour.
//!
//! The format is described in PostgreSQL's manual under `COPY`, "Binary Format".

use crate::NewDecision;

/// The columns, in the order in which they are written, without `sequence`.
pub(super) const COLUMNS: &str = "event_time_us, decided_at_us, latency_us, amount_minor, score, version, synthetic, id, key, outcome, rules, timeliness, \
     event, features, reasons, origin_partition, origin_offset, mark, fallback";
const COLUMN_COUNT: i16 = 19;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// The type of a double in the catalogue.
const FLOAT8_OID: i32 = 701;
const DOUBLE_BYTES: usize = 8;

/// Rows on their way. Whatever is wrong with a length (text of more than 2 GB) is the server's to say.
pub(super) struct Rows {
    bytes: Vec<u8>,
}

impl Rows {
    /// No rows yet.
    pub fn new() -> Rows {
        let mut bytes = Vec::with_capacity(1 << 16);
        bytes.extend_from_slice(SIGNATURE);
        bytes.extend_from_slice(&[0; 8]);
        Rows { bytes }
    }

    /// Whole, with the mark of the end.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(&(-1_i16).to_be_bytes());
        self.bytes
    }

    /// A row with its own position in front.
    pub fn push_at(&mut self, sequence: i64, decision: &NewDecision) {
        self.bytes.extend_from_slice(&(COLUMN_COUNT + 1).to_be_bytes());
        self.integer(sequence);
        self.columns(decision);
    }

    /// A row whose position the database gives.
    pub fn push(&mut self, decision: &NewDecision) {
        self.bytes.extend_from_slice(&COLUMN_COUNT.to_be_bytes());
        self.columns(decision);
    }

    fn columns(&mut self, decision: &NewDecision) {
        self.integer(decision.event_time_us);
        self.integer(decision.decided_at_us);
        self.integer(decision.latency_us);
        self.integer(decision.amount_minor);
        self.number(Some(decision.score).filter(|score| score.is_finite()));
        self.integer(decision.version);
        self.field(&[u8::from(decision.mark.is_some())]);
        self.field(decision.id.as_bytes());
        self.text(decision.key);
        self.field(decision.outcome.name().as_bytes());
        self.field(decision.rules.as_bytes());
        self.field(decision.timeliness.name().as_bytes());
        self.field(decision.event.as_bytes());
        self.numbers(decision.features);
        self.text(decision.reasons);
        match decision.origin {
            Some(origin) => {
                self.field(&origin.partition.to_be_bytes());
                self.integer(origin.offset);
            }
            None => {
                self.null();
                self.null();
            }
        }
        self.text(decision.mark);
        self.text(decision.fallback);
    }

    fn length(&mut self, bytes: usize) {
        self.bytes.extend_from_slice(&(bytes as i32).to_be_bytes());
    }

    fn null(&mut self) {
        self.bytes.extend_from_slice(&(-1_i32).to_be_bytes());
    }

    fn field(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.bytes.extend_from_slice(bytes);
    }

    fn integer(&mut self, value: i64) {
        self.field(&value.to_be_bytes());
    }

    fn number(&mut self, value: Option<f64>) {
        match value {
            Some(value) => self.field(&value.to_be_bytes()),
            None => self.null(),
        }
    }

    fn text(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.field(text.as_bytes()),
            None => self.null(),
        }
    }

    /// An array of one dimension: dimensions, whether there are nulls, type, length, first index, elements. An empty one
    /// has no dimension.
    fn numbers(&mut self, values: &[f64]) {
        let dimensions = i32::from(!values.is_empty());
        self.length(12 + 8 * dimensions as usize + values.len() * (4 + DOUBLE_BYTES));
        for part in [dimensions, 0, FLOAT8_OID] {
            self.bytes.extend_from_slice(&part.to_be_bytes());
        }
        if values.is_empty() {
            return;
        }
        for part in [values.len() as i32, 1] {
            self.bytes.extend_from_slice(&part.to_be_bytes());
        }
        for value in values {
            self.field(&value.to_be_bytes());
        }
    }
}
