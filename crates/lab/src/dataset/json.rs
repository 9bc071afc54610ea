//! Events as JSON: one object each, read without building a tree, written in one canonical form.

use std::collections::HashMap;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::detector::{FieldKind, Schema};
use engine::event::MARK;
use engine::{EventBatch, FieldError, Label, Rejection, Value};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Block, ColumnMap, DatasetError, Reader};

/// The longest line that is read: far more than an event, far less than memory.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Reads JSON objects into rows of a batch.
#[derive(Debug, Clone)]
pub struct EventReader {
    /// Keys in the order of the schema's fields, then that of the mark.
    names: Vec<String>,
    positions: HashMap<String, usize>,
    ignored: Option<usize>,
    /// Whether `AMOUNT` is `amount`: so in files, whose columns are found that way in every format.
    any_case: bool,
}

impl EventReader {
    /// A reader that takes every declared field, labels included: for files.
    pub fn with_labels(schema: &Schema, map: &ColumnMap) -> EventReader {
        let mut names: Vec<String> =
            schema.fields.iter().map(|field| map.column_of(&field.name).to_string()).collect();
        if schema.mark_position().is_some() && !names.iter().any(|name| name.eq_ignore_ascii_case(MARK)) {
            names.push(MARK.to_string());
        }
        let positions = names.iter().enumerate().map(|(position, name)| (name.clone(), position)).collect();
        EventReader { names, positions, ignored: None, any_case: true }
    }

    /// A reader for events that are to be decided: a label is never among what a decision may know.
    pub fn without_labels(schema: &Schema) -> EventReader {
        let mut reader = EventReader::with_labels(schema, &ColumnMap::default());
        reader.ignored = schema.fields.iter().position(|field| field.kind == FieldKind::Label);
        reader.any_case = false;
        reader
    }

    /// Appends the event in `json` to `batch`.
    ///
    /// # Errors
    /// Everything that is wrong with it; the batch is then as before.
    pub fn read(&self, json: &[u8], batch: &mut EventBatch) -> Result<(), Rejection> {
        self.parse(json, batch)?;
        batch.end_row()
    }

    /// Enters all fields of the event and leaves the row open. Tells whether the event has an id.
    fn parse(&self, json: &[u8], batch: &mut EventBatch) -> Result<bool, Rejection> {
        batch.begin_row();
        // Checked once as a whole, the text needs no further check string by string.
        let text = std::str::from_utf8(json).map_err(|_| self.abandon(batch, &"it is not UTF-8"))?;
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let row = Row { reader: self, batch: &mut *batch };
        let parsed =
            row.deserialize(&mut deserializer).and_then(|has_id| deserializer.end().map(|()| has_id));
        parsed.map_err(|error| self.abandon(batch, &error))
    }

    fn abandon(&self, batch: &mut EventBatch, why: &dyn std::fmt::Display) -> Rejection {
        batch.abandon_row();
        syntax_error(why).into()
    }

    /// The position of a key. Most events list their fields in the declared order, with one left out here and there:
    /// the next one is tried first, then the one after it.
    #[inline]
    fn position(&self, key: &str, expected: usize) -> Option<usize> {
        let position = match self.names.get(expected) {
            Some(name) if name == key => Some(expected),
            _ if self.names.get(expected + 1).is_some_and(|name| name == key) => Some(expected + 1),
            _ => self.position_anywhere(key),
        };
        position.filter(|position| Some(*position) != self.ignored)
    }

    fn position_anywhere(&self, key: &str) -> Option<usize> {
        let exact = self.positions.get(key).copied();
        let alike = || self.names.iter().position(|name| name.eq_ignore_ascii_case(key));
        if self.any_case { exact.or_else(alike) } else { exact }
    }
}

fn syntax_error(error: &dyn std::fmt::Display) -> FieldError {
    let value = format!("the body is not a JSON object ({error})");
    FieldError {
        field: String::new(),
        // The parser quotes what it did not expect.
        value: engine::card::mask(&value).into_owned(),
        expected: "one JSON object with the fields of the detector".to_string(),
    }
}

struct Row<'a> {
    reader: &'a EventReader,
    batch: &'a mut EventBatch,
}

impl<'de> DeserializeSeed<'de> for Row<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Row<'_> {
    /// Whether the id was among the keys: it is the first field of every schema.
    type Value = bool;

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let (mut expected, mut has_id) = (0, false);
        while let Some(position) = map.next_key_seed(Key { reader: self.reader, expected })? {
            match position {
                Some(field) => {
                    expected = field + 1;
                    has_id |= field == 0;
                    map.next_value_seed(Cell { field, batch: self.batch })?;
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(has_id)
    }
}

/// Turns a key into its field's position, without keeping the text.
struct Key<'a> {
    reader: &'a EventReader,
    expected: usize,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.reader.position(key, self.expected))
    }
}

/// Sets one field from whatever JSON value stands there.
struct Cell<'a> {
    field: usize,
    batch: &'a mut EventBatch,
}

impl<'de> DeserializeSeed<'de> for Cell<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Cell<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.batch.set(self.field, Value::Bool(value));
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.batch.set(self.field, Value::Integer(value));
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        let value = i64::try_from(value).map_or(Value::Number(value as f64), Value::Integer);
        self.batch.set(self.field, value);
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.batch.set(self.field, Value::Number(value));
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.batch.set(self.field, Value::Text(value));
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.batch.set(self.field, Value::Missing);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.batch.set(self.field, Value::Nested("an array"));
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        self.batch.set(self.field, Value::Nested("an object"));
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

/// Appends a row as one JSON object, fields in the order of the schema, missing ones left out. Reading it back gives the
/// same row to the bit. The label is written only if `with_label`.
pub fn write_event(batch: &EventBatch, row: usize, with_label: bool, out: &mut String) {
    out.push('{');
    let start = out.len();
    for (index, field) in batch.schema().fields.iter().enumerate() {
        let value = batch.value(row, index);
        if value == Value::Missing || (field.kind == FieldKind::Label && !with_label) {
            continue;
        }
        if out.len() > start {
            out.push(',');
        }
        write_json_text(&field.name, out);
        out.push(':');
        match field.kind {
            FieldKind::Amount => write_money(batch.amount_minor(row), batch.schema().amount_decimals, out),
            FieldKind::Label => out.push(if batch.label(row) == Label::Fraud { '1' } else { '0' }),
            _ => write_value(value, out),
        }
    }
    out.push('}');
}

/// Appends a row as one JSON object with everything that is known of it: the label as well, and the mark of a synthetic event.
pub fn write_whole_event(batch: &EventBatch, row: usize, out: &mut String) {
    write_event(batch, row, true, out);
    write_mark(batch.mark(row), out);
}

/// Adds the mark, if there is one, to the event that was appended last.
pub fn write_mark(mark: Option<&str>, out: &mut String) {
    let Some(mark) = mark else { return };
    out.pop();
    out.push_str(",\"");
    out.push_str(MARK);
    out.push_str("\":");
    write_json_text(mark, out);
    out.push('}');
}

fn write_value(value: Value, out: &mut String) {
    match value {
        Value::Bool(truth) => out.push_str(if truth { "true" } else { "false" }),
        Value::Number(number) => write_number(number, out),
        Value::Integer(number) => out.push_str(itoa::Buffer::new().format(number)),
        Value::Text(text) | Value::Untyped(text) => write_json_text(text, out),
        Value::Instant(us) => {
            out.push('"');
            engine::time::write_instant(us, out);
            out.push('"');
        }
        Value::Missing | Value::Nested(_) => out.push_str("null"),
    }
}

/// Appends the shortest digits that read back as `number`; whole numbers without a point, what is not finite as null.
pub fn write_number(number: f64, out: &mut String) {
    if !number.is_finite() {
        out.push_str("null");
    } else if number.fract() == 0.0 && number.abs() < 1e15 && (number != 0.0 || number.is_sign_positive()) {
        out.push_str(itoa::Buffer::new().format(number as i64));
    } else {
        out.push_str(ryu::Buffer::new().format_finite(number));
    }
}

/// Appends an amount in minor units as a decimal number, with exactly so many decimals.
pub(super) fn write_money(minor: i64, decimals: u32, out: &mut String) {
    if minor < 0 {
        out.push('-');
    }
    let (minor, unit) = (minor.unsigned_abs(), 10_u64.pow(decimals));
    out.push_str(itoa::Buffer::new().format(minor / unit));
    if decimals > 0 {
        out.push('.');
        for place in (0..decimals).rev() {
            out.push(char::from(b'0' + (minor / 10_u64.pow(place) % 10) as u8));
        }
    }
}

/// Appends `text` as a JSON string.
pub fn write_json_text(text: &str, out: &mut String) {
    out.push('"');
    // Nearly every text: looked through without a branch a byte.
    if text.bytes().fold(true, |plain, byte| plain & (byte >= 0x20) & (byte != b'"') & (byte != b'\\')) {
        out.push_str(text);
    } else {
        write_escaped(text, out);
    }
    out.push('"');
}

fn write_escaped(text: &str, out: &mut String) {
    let mut plain_from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..0x20 => "",
            _ => continue,
        };
        out.push_str(&text[plain_from..at]);
        out.push_str(escape);
        if escape.is_empty() {
            out.push_str("\\u00");
            out.push(char::from(b'0' + (byte >> 4)));
            out.push(
                char::from_digit(u32::from(byte & 15), 16).expect("four bits are one hexadecimal digit"),
            );
        }
        plain_from = at + 1;
    }
    out.push_str(&text[plain_from..]);
}

pub(super) struct JsonlReader {
    path: PathBuf,
    input: Box<dyn BufRead + Send>,
    bytes: Option<u64>,
    read_bytes: u64,
    line: Vec<u8>,
    lines: u64,
    reader: EventReader,
    /// Whether the events have no id and their line is taken for it: as the first of them, so all.
    numbered: Option<bool>,
}

impl JsonlReader {
    pub fn new(
        path: &Path,
        input: Box<dyn BufRead + Send>,
        bytes: Option<u64>,
        schema: &Arc<Schema>,
        map: &ColumnMap,
    ) -> JsonlReader {
        let reader = EventReader::with_labels(schema, map);
        let path = path.to_path_buf();
        JsonlReader { path, input, bytes, read_bytes: 0, line: Vec::new(), lines: 0, reader, numbered: None }
    }

    /// Reads the next line into `self.line`; what is beyond [`LINE_BYTES_MAX`] is skipped. False at the end.
    fn next_line(&mut self) -> Result<bool, DatasetError> {
        self.line.clear();
        let mut any = false;
        loop {
            let available = self.input.fill_buf().map_err(|source| DatasetError::Damaged {
                path: self.path.clone(),
                message: source.to_string(),
            })?;
            if available.is_empty() {
                return Ok(any);
            }
            any = true;
            let newline = available.iter().position(|byte| *byte == b'\n');
            let taken = newline.unwrap_or(available.len());
            let room = (LINE_BYTES_MAX + 1).saturating_sub(self.line.len());
            self.line.extend_from_slice(&available[..taken.min(room)]);
            let consumed = taken + usize::from(newline.is_some());
            self.input.consume(consumed);
            self.read_bytes += consumed as u64;
            if newline.is_some() {
                return Ok(true);
            }
        }
    }

    fn enter(&mut self, batch: &mut EventBatch) -> Result<(), Rejection> {
        if self.line.len() > LINE_BYTES_MAX {
            let value = format_args!("a line of more than {LINE_BYTES_MAX} bytes");
            return Err(FieldError::new("", value, "one event a line").into());
        }
        let has_id = self.reader.parse(&self.line, batch)?;
        match *self.numbered.get_or_insert(!has_id) {
            true if has_id => {
                let expected = "none, as in the first event: lines are numbered";
                batch.add_error(FieldError::new(batch.schema().id_field(), "an id", expected));
            }
            true => batch.set(0, Value::Integer(self.lines as i64)),
            false => {}
        }
        batch.end_row()
    }
}

impl Reader for JsonlReader {
    fn read(&mut self, block: &mut Block, rows: usize) -> Result<bool, DatasetError> {
        for _ in 0..rows {
            if !self.next_line()? {
                return Ok(false);
            }
            self.lines += 1;
            if self.line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let entered = self.enter(&mut block.batch);
            block.end_row(self.lines, entered, || String::from_utf8_lossy(&self.line).into_owned());
        }
        Ok(true)
    }

    fn progress(&self) -> Option<f64> {
        self.bytes.map(|bytes| self.read_bytes as f64 / bytes.max(1) as f64)
    }
}
