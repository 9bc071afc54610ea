//! The section `[event]`: fields, their types and their slots.

use toml_span::value::ValueInner;
use toml_span::{Span, Value};

use super::reader::{Mistakes, Section, Spanned, nearest, parse_duration};
use super::{Field, FieldKind, Schema, TimeFormat};
use crate::card::Cards;
use crate::time::{self, DAY_US, HOUR_US};

/// A row's fields are tracked in the bits of a u128; far more than a payment has.
const FIELDS_MAX: usize = 120;

/// Names with a meaning of their own in expressions.
pub(super) const BUILTIN_NAMES: [&str; 4] = ["amount", "time", "score", "lists"];

pub(super) const NAME_HINT: &str = "letters, digits and _; not a digit first";

/// The section `[event]`, and which fields it passes on as features.
pub(super) struct Event {
    pub schema: Schema,
    pub as_features: Vec<Spanned<String>>,
}

struct Fields {
    fields: Vec<Field>,
    texts: usize,
    numbers: usize,
}

impl Fields {
    fn add(&mut self, name: Spanned<String>, optional: bool, kind: FieldKind, mistakes: &mut Mistakes) {
        if !is_name(&name.value) {
            mistakes.add_with_hint(name.at, format!("`{}` is not a name", name.value), NAME_HINT);
        } else if self.fields.iter().any(|field| field.name == name.value) {
            mistakes.add(name.at, format!("the field `{}` is declared twice", name.value));
        } else if means_something_else(&name.value, &kind) {
            let message = format!("the field `{}` has a name that means something else", name.value);
            mistakes.add_with_hint(name.at, message, "amount, label, lists, score and time are taken");
        }
        self.fields.push(Field { name: name.value, kind, optional });
    }

    fn text_slot(&mut self) -> usize {
        self.texts += 1;
        self.texts - 1
    }

    fn number_slot(&mut self) -> usize {
        self.numbers += 1;
        self.numbers - 1
    }
}

fn means_something_else(name: &str, kind: &FieldKind) -> bool {
    match name {
        "amount" => *kind != FieldKind::Amount,
        "time" => *kind != FieldKind::Time,
        "label" => *kind != FieldKind::Label,
        _ => BUILTIN_NAMES.contains(&name),
    }
}

/// The second is whether nothing was missing: what was has a placeholder, so that reading can go on.
pub(super) fn read_event(mut event: Section, mistakes: &mut Mistakes) -> (Event, bool) {
    let mut fields = Fields { fields: Vec::new(), texts: 0, numbers: 0 };
    let id = event.required_string("id", mistakes);
    let time = read_time_field(&mut event, mistakes);
    let amount = read_amount_field(&mut event, mistakes);
    let complete = id.is_some() && time.is_some() && amount.is_some();
    fields.add(id.unwrap_or_else(|| placeholder("id", event.at)), false, FieldKind::EventId, mistakes);
    let (time, format) = time.unwrap_or_else(|| (placeholder("time", event.at), TimeFormat::Auto));
    fields.add(time, false, FieldKind::Time, mistakes);
    let (amount, amount_decimals) = amount.unwrap_or_else(|| (placeholder("amount", event.at), 2));
    fields.add(amount, false, FieldKind::Amount, mistakes);
    if let Some(label) = event.string("label", mistakes) {
        fields.add(label, true, FieldKind::Label, mistakes);
    }
    let key = event.string("key", mistakes);
    let declared = event.entries("fields", mistakes);
    if let Some(key) = key.clone().filter(|key| declared.iter().all(|(name, _)| name.value != key.value)) {
        let slot = fields.text_slot();
        fields.add(key, false, FieldKind::Id { slot }, mistakes);
    }
    for (name, value) in declared.into_iter().take(FIELDS_MAX + 1) {
        read_field(name, value, &mut fields, mistakes);
    }
    let key = key.and_then(|key| key_slot(&key, &fields.fields, mistakes));
    if fields.fields.len() > FIELDS_MAX {
        mistakes.add(event.at, format!("[event] has more than {FIELDS_MAX} fields"));
    }
    let schema = Schema {
        time: format,
        amount_decimals,
        currency: event.string("currency", mistakes).map_or_else(|| "EUR".to_string(), |c| c.value),
        key,
        cards: Cards::default(),
        max_lateness_us: event.duration("max_lateness", mistakes).map_or(HOUR_US, |d| d.value),
        max_time_jump_us: event.duration("max_time_jump", mistakes).map_or(30 * DAY_US, |d| d.value),
        text_slots: fields.texts,
        number_slots: fields.numbers,
        fields: fields.fields,
    };
    let as_features = event.strings("as_features", mistakes).unwrap_or_default();
    event.finish(mistakes);
    (Event { schema, as_features }, complete)
}

fn placeholder(name: &str, at: Span) -> Spanned<String> {
    Spanned { value: name.to_string(), at }
}

fn read_time_field(event: &mut Section, mistakes: &mut Mistakes) -> Option<(Spanned<String>, TimeFormat)> {
    let Some(mut table) = detailed(event, "time", mistakes)? else {
        return event.required_string("time", mistakes).map(|name| (name, TimeFormat::Auto));
    };
    let name = table.required_string("field", mistakes);
    let unit = table.required_string("unit", mistakes);
    let unit = unit.and_then(|unit| parse_duration(&unit, "`unit` of `time`", mistakes));
    let origin = table.required_string("origin", mistakes);
    table.finish(mistakes);
    let origin = origin?;
    let Some(origin_us) = time::parse_instant(&origin.value) else {
        mistakes.add_with_hint(
            origin.at,
            format!("`origin` of `time` is \"{}\", which is no RFC 3339 time", origin.value),
            "for example \"2020-01-01T00:00:00Z\"",
        );
        return None;
    };
    Some((name?, TimeFormat::Units { unit_us: unit?.value, origin_us }))
}

fn read_amount_field(event: &mut Section, mistakes: &mut Mistakes) -> Option<(Spanned<String>, u32)> {
    let Some(mut table) = detailed(event, "amount", mistakes)? else {
        return event.required_string("amount", mistakes).map(|name| (name, 2));
    };
    let name = table.required_string("field", mistakes);
    let decimals = table.number("decimals", mistakes);
    table.finish(mistakes);
    match decimals {
        Some(d) if !(0.0..=4.0).contains(&d.value) || d.value.fract() != 0.0 => {
            mistakes.add(d.at, format!("`decimals` of `amount` is {}, expected 0 to 4", d.value));
            None
        }
        decimals => Some((name?, decimals.map_or(2, |d| d.value as u32))),
    }
}

/// A key that may be a name or a table with details: `Some(None)` where it is a name (or absent).
fn detailed<'de>(
    event: &mut Section<'de>,
    key: &'static str,
    mistakes: &mut Mistakes,
) -> Option<Option<Section<'de>>> {
    if !event.is_table(key) {
        return Some(None);
    }
    event.table(key, mistakes).map(|mut table| {
        table.rename(format!("`{key}`"));
        Some(table)
    })
}

fn read_field(name: Spanned<String>, mut value: Value, fields: &mut Fields, mistakes: &mut Mistakes) {
    let at = value.span;
    let what = format!("the field `{}`", name.value);
    let (kind, values, optional) = match value.take() {
        ValueInner::String(kind) => (Spanned { value: kind.into_owned(), at }, None, false),
        ValueInner::Table(table) => {
            let mut table = Section::new(table, at, what.clone());
            let kind = table.required_string("type", mistakes);
            let values = table.strings("values", mistakes);
            let optional = table.boolean("optional", mistakes).unwrap_or(false);
            table.finish(mistakes);
            let Some(kind) = kind else { return };
            (kind, values, optional)
        }
        other => {
            mistakes.add(at, format!("{what} must be a type or a table, not {}", other.type_str()));
            return;
        }
    };
    if values.is_some() && kind.value != "category" {
        mistakes.add(at, format!("{what} is of type {}: only a category has `values`", kind.value));
    }
    let Some(kind) = field_kind(&kind, values, fields, &what, mistakes) else { return };
    fields.add(name, optional, kind, mistakes);
}

fn field_kind(
    kind: &Spanned<String>,
    values: Option<Vec<Spanned<String>>>,
    fields: &mut Fields,
    what: &str,
    mistakes: &mut Mistakes,
) -> Option<FieldKind> {
    match kind.value.as_str() {
        "id" => Some(FieldKind::Id { slot: fields.text_slot() }),
        "card" => Some(FieldKind::Card { slot: fields.text_slot() }),
        "category" => {
            let values = values.unwrap_or_default().into_iter().map(|value| value.value).collect();
            Some(FieldKind::Category { slot: fields.text_slot(), values })
        }
        "number" => Some(FieldKind::Number { slot: fields.number_slot() }),
        "bool" => Some(FieldKind::Bool { slot: fields.number_slot() }),
        unknown => {
            let message = format!("{what} has the unknown type \"{unknown}\"");
            mistakes.add_with_hint(kind.at, message, "types: id, card, category, number, bool");
            // Read on with what was probably meant, so that what follows is not called wrong for it.
            let numeric =
                nearest(&unknown.to_lowercase(), ["number", "bool", "boolean"].into_iter()).is_some();
            Some(if numeric {
                FieldKind::Number { slot: fields.number_slot() }
            } else {
                FieldKind::Id { slot: fields.text_slot() }
            })
        }
    }
}

fn key_slot(key: &Spanned<String>, fields: &[Field], mistakes: &mut Mistakes) -> Option<usize> {
    let kind = fields.iter().find(|field| field.name == key.value).map(|field| &field.kind);
    match kind {
        Some(FieldKind::Id { slot } | FieldKind::Card { slot }) => Some(*slot),
        _ => {
            mistakes
                .add(key.at, format!("`key` is `{}`, which must be a field of type id or card", key.value));
            None
        }
    }
}

pub(super) fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}
