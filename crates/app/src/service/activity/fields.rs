//! The fields by whose values decisions are counted.

use std::collections::HashSet;
use std::sync::Arc;

use engine::detector::{FieldKind, Schema};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::service::wire::BreakdownKind;

/// When so many different values are known, those that nothing counts any more are forgotten.
const FORGET_AT: usize = 1 << 20;

/// A field by whose values decisions are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// What its values are.
    pub kind: BreakdownKind,
}

/// Categories, and entities other than the key.
pub fn of_schema(schema: &Schema) -> Vec<Field> {
    let kind = |field: &engine::detector::Field| match &field.kind {
        FieldKind::Category { .. } if names_countries(&field.name) => Some(BreakdownKind::Country),
        FieldKind::Category { .. } => Some(BreakdownKind::Category),
        FieldKind::Id { slot } | FieldKind::Card { slot } if Some(*slot) != schema.key => {
            Some(BreakdownKind::Entity)
        }
        _ => None,
    };
    let found =
        schema.fields.iter().filter_map(|field| Some(Field { name: field.name.clone(), kind: kind(field)? }));
    found.collect()
}

fn names_countries(name: &str) -> bool {
    name == "country" || name.ends_with("_country") || name.ends_with("country_code")
}

/// Reads the values of the fields out of events.
#[derive(Debug, Default)]
pub struct Values {
    known: HashSet<Arc<str>>,
}

impl Values {
    /// The values that an event has; `None` where it lacks the field.
    pub fn read(&mut self, fields: &[Field], event: &str, into: &mut Vec<Option<Arc<str>>>) {
        into.clear();
        into.resize(fields.len(), None);
        let mut reader = serde_json::Deserializer::from_str(event);
        let reading = Reading { fields, values: self, into };
        // What is stored is an object that this program wrote: if it were not, it would have no values.
        drop(reading.deserialize(&mut reader));
    }

    fn intern(&mut self, value: &str) -> Arc<str> {
        if let Some(known) = self.known.get(value) {
            return Arc::clone(known);
        }
        if self.known.len() >= FORGET_AT {
            self.known.retain(|value| Arc::strong_count(value) > 1);
        }
        let new: Arc<str> = Arc::from(value);
        self.known.insert(Arc::clone(&new));
        new
    }
}

struct Reading<'a> {
    fields: &'a [Field],
    values: &'a mut Values,
    into: &'a mut Vec<Option<Arc<str>>>,
}

impl<'de> DeserializeSeed<'de> for Reading<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Reading<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<std::borrow::Cow<'de, str>>()? {
            match self.fields.iter().position(|field| *field.name == *name) {
                None => drop(members.next_value::<IgnoredAny>()?),
                Some(at) => {
                    self.into[at] = match members.next_value::<serde_json::Value>()? {
                        serde_json::Value::Null => None,
                        serde_json::Value::String(text) => Some(self.values.intern(&text)),
                        other => Some(self.values.intern(&other.to_string())),
                    };
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_where_they_stand() {
        let field = |name: &str| Field { name: name.to_string(), kind: BreakdownKind::Category };
        let fields = [field("channel"), field("terminal_id"), field("gone")];
        let mut values = Values::default();
        let mut found = Vec::new();
        let event = r#"{"id":"1","terminal_id":7,"amount":1.5,"channel":"on\u006cine","gone":null}"#;
        values.read(&fields, event, &mut found);
        let found: Vec<Option<&str>> = found.iter().map(Option::as_deref).collect();
        assert_eq!(found, [Some("online"), Some("7"), None]);
    }
}
