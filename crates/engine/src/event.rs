//! Events on their way in. A row is checked field by field as it enters a batch; what is inside is trusted.
//!
//! A batch keeps its rows column by column in a few vectors and one string, so that filling, processing and clearing it
//! again and again allocates nothing.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::card::{self, Token};
use crate::detector::{FieldKind, Schema, TimeFormat};
use crate::time::{self, TIME_RANGE_US};

/// Numbers are kept in millionths inside windows, amounts in minor units; either must stay below this, so that the sum
/// of squares of a hundred million of them fits 128 bits.
pub const SCALED_MAX: i64 = 1_000_000_000_000_000;

/// Millionths in one: the scale that windows keep numbers in.
pub const NUMBER_SCALE: f64 = 1_000_000.0;

/// The longest id or category in bytes.
pub const TEXT_MAX: usize = 256;

/// The name under which a synthetic event says what made it, in JSON, files and topics: `simulator:card:7`, or the id of a
/// generator. Reserved, unless a detector declares a field of that name.
pub const MARK: &str = "synthetic";

/// The longest mark in bytes.
pub const MARK_MAX: usize = 128;

/// A field's value as a reader found it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Null, or an empty cell.
    Missing,
    /// true or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Number(f64),
    /// Text of a typed source (JSON): only ids, categories and times are written as text.
    Text(&'a str),
    /// Text of an untyped source (CSV): numbers and booleans are read from it as well.
    Untyped(&'a str),
    /// An instant in microseconds, from a source that has such a type.
    Instant(i64),
    /// An array, object or other value that no field can hold.
    Nested(&'static str),
}

/// What is wrong with one field of an event.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FieldError {
    /// The field's name; empty where the event as a whole is meant.
    pub field: String,
    /// The value found, cut to a readable length.
    pub value: String,
    /// What was expected.
    pub expected: String,
}

/// Everything that is wrong with one event.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Rejection {
    /// All mistakes, in the order in which they were met.
    pub errors: Vec<FieldError>,
}

impl FieldError {
    /// An error, with the value cut to 80 characters and card numbers in it masked.
    pub fn new(field: &str, value: impl std::fmt::Display, expected: impl Into<String>) -> FieldError {
        let mut shown = String::new();
        let written = write!(shown, "{value}");
        debug_assert!(written.is_ok(), "writing to a string cannot fail");
        let mut shown = card::mask(&shown).into_owned();
        if let Some((cut, _)) = shown.char_indices().nth(80) {
            shown.truncate(cut);
            shown.push('…');
        }
        FieldError { field: card::mask(field).into_owned(), value: shown, expected: expected.into() }
    }
}

impl From<FieldError> for Rejection {
    fn from(error: FieldError) -> Self {
        Rejection { errors: vec![error] }
    }
}

impl std::fmt::Display for FieldError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.field.as_str() {
            "" => write!(f, "{}: expected {}", self.value, self.expected),
            field => write!(f, "{field} is {}: expected {}", self.value, self.expected),
        }
    }
}

impl std::fmt::Display for Rejection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            write!(f, "{}{error}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for Rejection {}

impl std::fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Missing => f.write_str("missing"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Integer(value) => write!(f, "{value}"),
            Value::Number(value) => write!(f, "{value:?}"),
            Value::Text(text) | Value::Untyped(text) => write!(f, "{text:?}"),
            Value::Instant(us) if TIME_RANGE_US.contains(us) => f.write_str(&time::format_instant(*us)),
            Value::Instant(us) => write!(f, "{us} us since 1970"),
            Value::Nested(what) => f.write_str(what),
        }
    }
}

/// Fraud or not, as far as a row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Label {
    /// Not known.
    Unknown,
    /// Known to be genuine.
    Genuine,
    /// Known to be fraud.
    Fraud,
}

#[derive(Debug, Clone, Copy, Default)]
struct Span {
    start: u32,
    end: u32,
}

/// Rows of events of one schema.
#[derive(Debug, Clone)]
pub struct EventBatch {
    schema: Arc<Schema>,
    arena: String,
    ids: Vec<Span>,
    times_us: Vec<i64>,
    amounts_minor: Vec<i64>,
    labels: Vec<Label>,
    texts: Vec<Span>,
    numbers: Vec<f64>,
    /// The rows that are marked as synthetic, in their order: most streams have none.
    marks: Vec<(usize, Span)>,
    pending: Pending,
    cells: Vec<Cell>,
    /// Card numbers that became tokens since the batch was made.
    tokens_made: u64,
    /// Bit i: the field at position i must be set.
    required: u128,
}

/// Where the value of a field goes.
#[derive(Debug, Clone, Copy)]
enum Cell {
    EventId,
    Time,
    Amount,
    Label,
    Text(usize),
    Card(usize),
    Number(usize),
    Bool(usize),
    Mark,
}

impl Cell {
    fn of(kind: &FieldKind) -> Cell {
        match kind {
            FieldKind::EventId => Cell::EventId,
            FieldKind::Time => Cell::Time,
            FieldKind::Amount => Cell::Amount,
            FieldKind::Label => Cell::Label,
            FieldKind::Id { slot } | FieldKind::Category { slot, .. } => Cell::Text(*slot),
            FieldKind::Card { slot } => Cell::Card(*slot),
            FieldKind::Number { slot } => Cell::Number(*slot),
            FieldKind::Bool { slot } => Cell::Bool(*slot),
        }
    }
}

/// The row that is being entered.
#[derive(Debug, Clone, Default)]
struct Pending {
    arena_start: usize,
    id: Span,
    time_us: i64,
    amount_minor: i64,
    label: Option<Label>,
    mark: Option<Span>,
    /// Bit i: the field at position i was set.
    seen: u128,
    errors: Vec<FieldError>,
}

impl EventBatch {
    /// An empty batch.
    pub fn new(schema: Arc<Schema>) -> EventBatch {
        let cells = schema.fields.iter().map(|field| Cell::of(&field.kind));
        let cells = cells.chain(schema.mark_position().map(|_| Cell::Mark)).collect();
        let required = schema.fields.iter().enumerate().filter(|(_, field)| !field.optional);
        EventBatch {
            cells,
            required: required.fold(0, |bits, (index, _)| bits | 1 << index),
            schema,
            arena: String::new(),
            ids: Vec::new(),
            times_us: Vec::new(),
            amounts_minor: Vec::new(),
            labels: Vec::new(),
            texts: Vec::new(),
            numbers: Vec::new(),
            marks: Vec::new(),
            pending: Pending::default(),
            tokens_made: 0,
        }
    }

    /// How many card numbers became tokens since the batch was made: whoever passes on what a row was read from compares
    /// before and after.
    pub fn tokens_made(&self) -> u64 {
        self.tokens_made
    }

    /// Rows in the batch.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether it holds no row.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The schema that its rows follow.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Removes all rows and keeps the memory.
    pub fn clear(&mut self) {
        self.truncate(0);
        self.arena.clear();
    }

    /// The row's idempotency key.
    pub fn id(&self, row: usize) -> &str {
        self.slice(self.ids[row])
    }

    /// The row's event time.
    pub fn time_us(&self, row: usize) -> i64 {
        self.times_us[row]
    }

    /// The row's amount in minor units.
    pub fn amount_minor(&self, row: usize) -> i64 {
        self.amounts_minor[row]
    }

    /// The row's amount in major units: the double nearest to the decimal that was written.
    pub fn amount(&self, row: usize) -> f64 {
        self.amounts_minor[row] as f64 / self.schema.minor_per_unit()
    }

    /// The row's label.
    pub fn label(&self, row: usize) -> Label {
        self.labels[row]
    }

    /// Overwrites the row's label.
    pub fn set_label(&mut self, row: usize, label: Label) {
        self.labels[row] = label;
    }

    /// A text field by slot; empty if the row lacks it.
    pub fn text(&self, row: usize, slot: usize) -> &str {
        self.slice(self.texts[row * self.schema.text_slots + slot])
    }

    /// A number field by slot; NaN if the row lacks it.
    pub fn number(&self, row: usize, slot: usize) -> f64 {
        self.numbers[row * self.schema.number_slots + slot]
    }

    /// What made the row's event, if it is synthetic. Nothing that is computed of an event looks at it.
    pub fn mark(&self, row: usize) -> Option<&str> {
        let at = self.marks.binary_search_by_key(&row, |(marked, _)| *marked).ok()?;
        Some(self.slice(self.marks[at].1))
    }

    /// The row's key, if the schema has one.
    pub fn key(&self, row: usize) -> Option<&str> {
        self.schema.key.map(|slot| self.text(row, slot))
    }

    /// Starts a row. Follow with [`EventBatch::set`] for each field and [`EventBatch::end_row`].
    pub fn begin_row(&mut self) {
        self.pending.arena_start = self.arena.len();
        self.pending.seen = 0;
        self.pending.label = None;
        self.pending.mark = None;
        self.pending.errors.clear();
        self.texts.resize((self.len() + 1) * self.schema.text_slots, Span::default());
        self.numbers.resize((self.len() + 1) * self.schema.number_slots, f64::NAN);
    }

    /// Sets a field of the started row; the position behind the last field is that of the [`MARK`], where the schema leaves
    /// room for one. What is wrong with it is remembered until [`EventBatch::end_row`].
    pub fn set(&mut self, field: usize, value: Value) {
        let bit = 1_u128 << field;
        if self.pending.seen & bit != 0 {
            self.error(field, value, "the field only once");
            return;
        }
        if value == Value::Missing || value == Value::Untyped("") {
            return;
        }
        self.pending.seen |= bit;
        if let Err(expected) = self.enter(field, value) {
            self.error(field, value, &expected);
        }
    }

    /// Remembers a mistake of the started row that belongs to no declared field.
    pub fn add_error(&mut self, error: FieldError) {
        self.pending.errors.push(error);
    }

    /// Ends the started row.
    ///
    /// # Errors
    /// Everything that is wrong with the row, which is then not part of the batch.
    pub fn end_row(&mut self) -> Result<(), Rejection> {
        if self.pending.seen & self.required != self.required {
            self.report_missing();
        }
        if !self.pending.errors.is_empty() {
            let errors = std::mem::take(&mut self.pending.errors);
            self.abandon_row();
            return Err(Rejection { errors });
        }
        if let Some(mark) = self.pending.mark {
            self.marks.push((self.ids.len(), mark));
        }
        self.ids.push(self.pending.id);
        self.times_us.push(self.pending.time_us);
        self.amounts_minor.push(self.pending.amount_minor);
        self.labels.push(self.pending.label.unwrap_or(Label::Unknown));
        Ok(())
    }

    /// Forgets the started row.
    pub fn abandon_row(&mut self) {
        self.arena.truncate(self.pending.arena_start);
        self.truncate(self.ids.len());
    }

    /// Removes the last row.
    pub fn pop_row(&mut self) {
        // Text of the row that was kept before its id stays until the batch is cleared: nothing refers to it.
        if let Some(id) = self.ids.last() {
            self.arena.truncate(id.start as usize);
        }
        self.truncate(self.len().saturating_sub(1));
    }

    /// Appends a row of another batch of the same schema.
    pub fn push_row_of(&mut self, other: &EventBatch, row: usize) {
        debug_assert_eq!(self.schema, other.schema, "rows move between batches of one schema only");
        if let Some(mark) = other.mark(row) {
            let mark = self.keep(mark);
            self.marks.push((self.len(), mark));
        }
        let id = self.keep(other.id(row));
        self.ids.push(id);
        self.times_us.push(other.times_us[row]);
        self.amounts_minor.push(other.amounts_minor[row]);
        self.labels.push(other.labels[row]);
        for slot in 0..self.schema.text_slots {
            let span = self.keep(other.text(row, slot));
            self.texts.push(span);
        }
        let numbers = row * self.schema.number_slots..(row + 1) * self.schema.number_slots;
        self.numbers.extend_from_slice(&other.numbers[numbers]);
    }

    /// What a field of a row holds, as it would be set: the inverse of [`EventBatch::set`].
    pub fn value(&self, row: usize, field: usize) -> Value<'_> {
        match &self.schema.fields[field].kind {
            FieldKind::EventId => Value::Text(self.id(row)),
            FieldKind::Time => Value::Instant(self.time_us(row)),
            FieldKind::Amount => Value::Number(self.amount(row)),
            FieldKind::Label => match self.labels[row] {
                Label::Unknown => Value::Missing,
                label => Value::Bool(label == Label::Fraud),
            },
            FieldKind::Id { slot } | FieldKind::Card { slot } | FieldKind::Category { slot, .. } => {
                match self.text(row, *slot) {
                    "" => Value::Missing,
                    text => Value::Text(text),
                }
            }
            FieldKind::Number { slot } => match self.number(row, *slot) {
                number if number.is_nan() => Value::Missing,
                number => Value::Number(number),
            },
            FieldKind::Bool { slot } => match self.number(row, *slot) {
                number if number.is_nan() => Value::Missing,
                number => Value::Bool(number == 1.0),
            },
        }
    }

    fn report_missing(&mut self) {
        let absent = self.required & !self.pending.seen;
        for index in (0..self.schema.fields.len()).filter(|index| absent >> index & 1 == 1) {
            let name = &self.schema.fields[index].name;
            if !self.pending.errors.iter().any(|error| error.field == *name) {
                self.error(index, Value::Missing, &expectation(self.cells[index]));
            }
        }
    }

    fn truncate(&mut self, rows: usize) {
        self.ids.truncate(rows);
        self.times_us.truncate(rows);
        self.amounts_minor.truncate(rows);
        self.labels.truncate(rows);
        self.texts.truncate(rows * self.schema.text_slots);
        self.numbers.truncate(rows * self.schema.number_slots);
        while self.marks.last().is_some_and(|(row, _)| *row >= rows) {
            self.marks.pop();
        }
    }

    fn slice(&self, span: Span) -> &str {
        &self.arena[span.start as usize..span.end as usize]
    }

    fn keep(&mut self, text: &str) -> Span {
        let start = self.arena.len() as u32;
        self.arena.push_str(text);
        Span { start, end: self.arena.len() as u32 }
    }

    fn error(&mut self, field: usize, value: Value, expected: &str) {
        let name = self.schema.fields.get(field).map_or(MARK, |field| &field.name);
        let error = match value {
            Value::Missing => FieldError::new(name, value, expected),
            // Nearly a card number is most of one.
            _ if matches!(self.cells.get(field), Some(Cell::Card(_))) => {
                FieldError::new(name, "a value that is not shown", expected)
            }
            Value::Untyped(text) | Value::Text(text) => {
                FieldError::new(name, format_args!("{text:?}"), expected)
            }
            other => FieldError::new(name, other, expected),
        };
        self.pending.errors.push(error);
    }

    fn enter(&mut self, field: usize, value: Value) -> Result<(), String> {
        let row = self.ids.len();
        let cell = self.cells[field];
        let accepted = match cell {
            Cell::EventId => self.enter_text(value).map(|span| self.pending.id = span),
            Cell::Time => read_time(value, self.schema.time).map(|us| self.pending.time_us = us),
            Cell::Amount => read_amount(value, self.schema.minor_per_unit())
                .map(|minor| self.pending.amount_minor = minor),
            Cell::Label => read_bool(value)
                .map(|fraud| self.pending.label = Some(if fraud { Label::Fraud } else { Label::Genuine })),
            Cell::Text(slot) => {
                let at = row * self.schema.text_slots + slot;
                self.enter_text(value).map(|span| self.texts[at] = span)
            }
            Cell::Card(slot) => {
                let at = row * self.schema.text_slots + slot;
                self.enter_card(value).map(|span| self.texts[at] = span)
            }
            Cell::Number(slot) => {
                let at = row * self.schema.number_slots + slot;
                read_number(value).map(|number| self.numbers[at] = number)
            }
            Cell::Bool(slot) => {
                let at = row * self.schema.number_slots + slot;
                read_bool(value).map(|truth| self.numbers[at] = f64::from(u8::from(truth)))
            }
            Cell::Mark => self.enter_mark(value).map(|span| self.pending.mark = Some(span)),
        };
        accepted.ok_or_else(|| expectation(cell))
    }

    fn enter_mark(&mut self, value: Value) -> Option<Span> {
        match value {
            Value::Text(text) | Value::Untyped(text) if is_mark(text) => Some(self.keep_known(text)),
            _ => None,
        }
    }

    fn enter_text(&mut self, value: Value) -> Option<Span> {
        match value {
            Value::Text(text) | Value::Untyped(text) if acceptable_text(text) => Some(self.keep_known(text)),
            _ => {
                let mut digits = [0_u8; 20];
                let text = integer_text(whole_number(value)?, &mut digits);
                Some(self.keep_known(text))
            }
        }
    }

    /// Keeps a text, or the token of the card number that it is.
    fn keep_known(&mut self, text: &str) -> Span {
        let token = self.schema.cards.detect(text);
        self.tokens_made += u64::from(token.is_some());
        self.keep(token.as_ref().map_or(text, Token::as_str))
    }

    /// A card number, as its token; or the token itself, in what was stored or sent on.
    fn enter_card(&mut self, value: Value) -> Option<Span> {
        let token: Option<Token> = match value {
            Value::Text(text) | Value::Untyped(text) if card::is_token(text) => return Some(self.keep(text)),
            Value::Text(text) | Value::Untyped(text) => self.schema.cards.token(text),
            _ => self.schema.cards.token(integer_text(whole_number(value)?, &mut [0; 20])),
        };
        self.tokens_made += u64::from(token.is_some());
        token.map(|token| self.keep(token.as_str()))
    }
}

/// Whether this says what made an event. True and false do not.
pub fn is_mark(text: &str) -> bool {
    acceptable_text(text) && text.len() <= MARK_MAX && read_bool(Value::Untyped(text)).is_none()
}

/// Ids and categories end up in logs, topics and keys: no control characters, no blanks at the ends, a bounded length.
fn acceptable_text(text: &str) -> bool {
    !text.is_empty() && text.len() <= TEXT_MAX && text.trim() == text && !text.chars().any(char::is_control)
}

fn whole_number(value: Value) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(number),
        Value::Number(number) if number.fract() == 0.0 && number.abs() < 9e15 => Some(number as i64),
        _ => None,
    }
}

fn expectation(cell: Cell) -> String {
    match cell {
        Cell::EventId | Cell::Text(_) => format!("text of 1 to {TEXT_MAX} bytes, or a whole number"),
        Cell::Card(_) => "a card number: 13 to 19 digits, the last of them the check digit".to_string(),
        Cell::Time => "an RFC 3339 time or an epoch number, in the years 1 to 9999".to_string(),
        Cell::Amount => "a number from 0 to 10 trillion".to_string(),
        Cell::Label | Cell::Bool(_) => "true or false".to_string(),
        Cell::Number(_) => "a finite number below a billion".to_string(),
        Cell::Mark => format!("what made the event, as text of 1 to {MARK_MAX} bytes"),
    }
}

fn read_number(value: Value) -> Option<f64> {
    let number = match value {
        Value::Integer(number) => number as f64,
        Value::Number(number) => number,
        Value::Untyped(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    (number.is_finite() && number.abs() * NUMBER_SCALE <= SCALED_MAX as f64).then_some(number)
}

fn read_amount(value: Value, minor_per_unit: f64) -> Option<i64> {
    let amount = match value {
        Value::Integer(number) => number as f64,
        Value::Number(number) => number,
        Value::Untyped(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    let minor = (amount * minor_per_unit).round();
    (amount >= 0.0 && minor <= SCALED_MAX as f64).then_some(minor as i64)
}

fn read_bool(value: Value) -> Option<bool> {
    match value {
        Value::Bool(truth) => Some(truth),
        Value::Integer(0) => Some(false),
        Value::Integer(1) => Some(true),
        Value::Number(0.0) => Some(false),
        Value::Number(1.0) => Some(true),
        Value::Untyped("0" | "0.0" | "false" | "False" | "FALSE") => Some(false),
        Value::Untyped("1" | "1.0" | "true" | "True" | "TRUE") => Some(true),
        _ => None,
    }
}

fn read_time(value: Value, format: TimeFormat) -> Option<i64> {
    let us = match (value, format) {
        (Value::Instant(us), _) => us,
        (Value::Text(text) | Value::Untyped(text), _) if text.as_bytes().get(4) == Some(&b'-') => {
            time::parse_instant(text)?
        }
        (Value::Untyped(text), _) => return read_time(Value::Number(text.trim().parse().ok()?), format),
        (Value::Integer(count), TimeFormat::Auto) => {
            epoch_us(count as i128 * 1_000_000, count.unsigned_abs())?
        }
        (Value::Number(count), TimeFormat::Auto) if count.abs() < 1e18 => {
            epoch_us((count * 1e6).round() as i128, count.abs() as u64)?
        }
        (Value::Integer(count), TimeFormat::Units { unit_us, origin_us }) => {
            count.checked_mul(unit_us)?.checked_add(origin_us)?
        }
        (Value::Number(count), TimeFormat::Units { unit_us, origin_us })
            if count.abs() * (unit_us as f64) < 4e18 =>
        {
            ((count * unit_us as f64).round() as i64).checked_add(origin_us)?
        }
        _ => return None,
    };
    TIME_RANGE_US.contains(&us).then_some(us)
}

/// An epoch number's unit is told by its size: seconds reach 10^11 in the year 5138, milliseconds start at 10^11 in
/// 1973, and so on. `millionths` is the number times 10^6.
fn epoch_us(millionths: i128, magnitude: u64) -> Option<i64> {
    let us = match magnitude {
        0..100_000_000_000 => millionths,
        100_000_000_000..100_000_000_000_000 => millionths / 1_000,
        100_000_000_000_000..100_000_000_000_000_000 => millionths / 1_000_000,
        _ => millionths / 1_000_000_000,
    };
    i64::try_from(us).ok()
}

fn integer_text(value: i64, digits: &mut [u8; 20]) -> &str {
    let mut rest = value.unsigned_abs();
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        start -= 1;
        digits[start] = b'-';
    }
    std::str::from_utf8(&digits[start..]).expect("digits are ASCII")
}
