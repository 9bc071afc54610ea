//! What an event of a detector looks like: its fields, their types, and where each is kept in a batch.

use crate::card::Cards;
use crate::event::MARK;

/// The fields of an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    /// All fields in a fixed order: id, time, amount, label (if any), then key and `fields` as declared.
    pub fields: Vec<Field>,
    /// How the time field is written.
    pub time: TimeFormat,
    /// Digits after the decimal point that `amount` keeps: 2 for euros and cents.
    pub amount_decimals: u32,
    /// ISO 4217 code that amounts are shown with.
    pub currency: String,
    /// Text slot of the key: the order that matters, and Kafka's partition key.
    pub key: Option<usize>,
    /// An event this much older than the newest of its entity still enters its true place.
    pub max_lateness_us: i64,
    /// An event further ahead of the stream than this is rejected.
    pub max_time_jump_us: i64,
    /// What makes tokens of card numbers: part of the schema, so that every batch has it, whoever fills it.
    pub cards: Cards,
    /// Text cells in a row of a batch.
    pub text_slots: usize,
    /// Number cells in a row of a batch.
    pub number_slots: usize,
}

/// One field of an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its name in the detector, and in JSON.
    pub name: String,
    /// What it holds.
    pub kind: FieldKind,
    /// Whether an event may lack it.
    pub optional: bool,
}

/// What a field holds, and the slot of a batch's row in which it is kept.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldKind {
    /// The idempotency key.
    EventId,
    /// The event time.
    Time,
    /// The amount, kept in minor units.
    Amount,
    /// Fraud or not; offline only.
    Label,
    /// Names an entity: card, terminal, account.
    Id {
        /// Its place among a row's texts.
        slot: usize,
    },
    /// A card: an entity whose number becomes a token before it enters a batch.
    Card {
        /// Its place among a row's texts.
        slot: usize,
    },
    /// One of few words. `values`, where given, are their order as a feature.
    Category {
        /// Its place among a row's texts.
        slot: usize,
        /// Words in the order of their codes.
        values: Vec<String>,
    },
    /// A number; missing is NaN.
    Number {
        /// Its place among a row's numbers.
        slot: usize,
    },
    /// True or false, kept as 1 or 0; missing is NaN.
    Bool {
        /// Its place among a row's numbers.
        slot: usize,
    },
}

impl FieldKind {
    /// The slot among a row's texts, for ids, cards and categories.
    pub fn text_slot(&self) -> Option<usize> {
        match self {
            FieldKind::Id { slot } | FieldKind::Card { slot } | FieldKind::Category { slot, .. } => {
                Some(*slot)
            }
            _ => None,
        }
    }

    /// The slot among a row's numbers, for numbers and booleans.
    pub fn number_slot(&self) -> Option<usize> {
        match self {
            FieldKind::Number { slot } | FieldKind::Bool { slot } => Some(*slot),
            _ => None,
        }
    }
}

/// How the time field is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeFormat {
    /// RFC 3339 text, or an epoch number in s, ms, us or ns, told apart by size.
    Auto,
    /// A count of units from an origin, as PaySim's `step`.
    Units {
        /// Length of the unit.
        unit_us: i64,
        /// The instant of the count 0.
        origin_us: i64,
    },
}

impl Schema {
    /// The position in [`Schema::fields`] of the field with this name.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    /// Where a batch takes the mark of a synthetic event ([`crate::event::MARK`]): behind all fields. `None` where a field has
    /// its name.
    pub fn mark_position(&self) -> Option<usize> {
        let taken = self.fields.iter().any(|field| field.name.eq_ignore_ascii_case(MARK));
        (!taken).then_some(self.fields.len())
    }

    /// Name of the field that holds the idempotency key.
    pub fn id_field(&self) -> &str {
        &self.fields[0].name
    }

    /// Name of the field that holds the event time.
    pub fn time_field(&self) -> &str {
        &self.fields[1].name
    }

    /// Name of the field that holds the label, if the detector has one.
    pub fn label_field(&self) -> Option<&str> {
        self.fields.iter().find(|field| field.kind == FieldKind::Label).map(|field| field.name.as_str())
    }

    /// Whether a field is declared to hold card numbers.
    pub fn has_cards(&self) -> bool {
        self.fields.iter().any(|field| matches!(field.kind, FieldKind::Card { .. }))
    }

    /// What a value of the field with this name is known as behind the door: a card number by its token. Any other value, and
    /// that of no field, as an id.
    pub fn known_as<'a>(&self, field: &str, text: &'a str) -> std::borrow::Cow<'a, str> {
        let kind = self.index_of(field).map_or(&FieldKind::EventId, |index| &self.fields[index].kind);
        self.cards.known_as(kind, text)
    }

    /// What a value of the key is known as behind the door.
    pub fn key_known_as<'a>(&self, text: &'a str) -> std::borrow::Cow<'a, str> {
        self.known_as(self.key.map_or("", |slot| self.text_name(slot)), text)
    }

    /// The name of a text slot's field.
    pub fn text_name(&self, slot: usize) -> &str {
        let field = self.fields.iter().find(|field| field.kind.text_slot() == Some(slot));
        &field.expect("every text slot belongs to a field").name
    }

    /// Minor units in one unit of money: 100 for two decimals.
    pub fn minor_per_unit(&self) -> f64 {
        10_f64.powi(self.amount_decimals as i32)
    }
}
