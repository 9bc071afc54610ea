//! The schema that editors use: the shipped detectors follow it, and it knows the keys that the engine knows.

use std::path::{Path, PathBuf};

use engine::Detector;
use serde_json::Value as Json;
use toml_span::value::ValueInner;

fn detectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../detectors")
}

fn shipped() -> Vec<PathBuf> {
    let files = std::fs::read_dir(detectors()).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect()
}

fn schema() -> Json {
    let text = std::fs::read_to_string(detectors().join("detector.schema.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn shipped_detectors_follow_the_schema() {
    let schema = schema();
    assert!(!shipped().is_empty());
    for file in shipped() {
        let errors = violations(&schema, &toml(&std::fs::read_to_string(&file).unwrap()));
        assert_eq!(errors, Vec::<String>::new(), "{}", file.display());
    }
}

/// Every key that the engine knows occurs in this file, and the schema knows it too.
#[test]
fn the_schema_and_the_engine_know_the_same_keys() {
    assert!(Detector::parse(EVERY_KEY).is_ok());
    let schema = schema();
    assert_eq!(violations(&schema, &toml(EVERY_KEY)), Vec::<String>::new());
    let mut unused = declared_keys(&schema);
    unused.retain(|key| !EVERY_KEY.contains(&format!("{key} =")) && !EVERY_KEY.contains(&format!("{key}]")));
    assert_eq!(unused, ["review_threshold", "decline_threshold"], "costs and thresholds exclude each other");
}

const EVERY_KEY: &str = r#"
name = "all"
description = "every key"
[event]
id = "id"
time = { field = "t", unit = "1s", origin = "2020-01-01T00:00:00Z" }
amount = { field = "amount", decimals = 3 }
currency = "EUR"
label = "fraud"
key = "card"
max_lateness = "1h"
max_time_jump = "30d"
as_features = ["amount"]
[event.fields]
kind = { type = "category", values = ["a", "b"], optional = true }
[lists]
some = ["a"]
[[feature]]
name = "rate"
by = "card"
aggregate = "rate_ratio"
of = "amount"
where = "amount > 1.0"
windows = ["1h"]
baseline = "1d"
delay = "1h"
exclude_current = true
empty = 0.0
[[feature]]
name = "twice"
expression = "amount * 2.0"
[[rule]]
name = "some"
when = "kind in lists.some"
outcome = "review"
[policy]
review_cost = 1
false_decline_cost = 2
daily_review_budget = 3
"#;

#[test]
fn the_schema_refuses_what_the_engine_refuses() {
    let schema = schema();
    for (from, to) in [
        ("currency", "curency"),
        ("exclude_current = true", "exclude_current = 1"),
        ("outcome = \"review\"", "outcome = \"block\""),
        ("decimals = 3", "decimals = 9"),
        ("baseline = \"1d\"", "baseline = \"a day\""),
        ("review_cost = 1", "review_cost = -1"),
        ("name = \"twice\"", "title = \"twice\""),
    ] {
        assert!(EVERY_KEY.contains(from), "{from}");
        let wrong = EVERY_KEY.replace(from, to);
        assert!(!violations(&schema, &toml(&wrong)).is_empty(), "schema: {to}");
        assert!(Detector::parse(&wrong).is_err(), "engine: {to}");
    }
}

fn toml(text: &str) -> Json {
    json(toml_span::parse(text).unwrap())
}

fn json(mut value: toml_span::Value) -> Json {
    match value.take() {
        ValueInner::String(text) => Json::String(text.into_owned()),
        ValueInner::Integer(number) => Json::from(number),
        // JSON has no nan; for the schema any number will do.
        ValueInner::Float(number) => Json::from(if number.is_finite() { number } else { 0.5 }),
        ValueInner::Boolean(truth) => Json::Bool(truth),
        ValueInner::Array(items) => Json::Array(items.into_iter().map(json).collect()),
        ValueInner::Table(table) => {
            Json::Object(table.into_iter().map(|(key, value)| (key.name.into_owned(), json(value))).collect())
        }
    }
}

fn declared_keys(schema: &Json) -> Vec<String> {
    let mut keys = Vec::new();
    collect_keys(schema, &mut keys);
    keys.sort();
    keys.dedup();
    keys.sort_by_key(|key| std::cmp::Reverse(key.clone()));
    keys
}

fn collect_keys(schema: &Json, keys: &mut Vec<String>) {
    match schema {
        Json::Object(map) => {
            if let Some(Json::Object(properties)) = map.get("properties") {
                keys.extend(properties.keys().cloned());
            }
            map.values().for_each(|value| collect_keys(value, keys));
        }
        Json::Array(items) => items.iter().for_each(|item| collect_keys(item, keys)),
        _ => {}
    }
}

fn violations(schema: &Json, value: &Json) -> Vec<String> {
    let mut found = Vec::new();
    Walker { root: schema }.check(schema, value, "", &mut found);
    found
}

/// The part of JSON Schema that `detector.schema.json` uses; a keyword that it does not know is an error, so that the
/// schema cannot outgrow it unnoticed.
struct Walker<'a> {
    root: &'a Json,
}

impl Walker<'_> {
    fn check(&self, schema: &Json, value: &Json, at: &str, found: &mut Vec<String>) {
        for (keyword, argument) in schema.as_object().unwrap() {
            if !self.holds(keyword, argument, schema, value, at, found) {
                found.push(format!("{at}: {value} against {keyword} {argument}"));
            }
        }
    }

    fn holds(
        &self,
        keyword: &str,
        argument: &Json,
        schema: &Json,
        value: &Json,
        at: &str,
        found: &mut Vec<String>,
    ) -> bool {
        match keyword {
            "$schema" | "$defs" | "title" | "description" | "examples" => {}
            "$ref" => {
                let target = self.root.pointer(argument.as_str().unwrap().strip_prefix('#').unwrap());
                self.check(target.unwrap(), value, at, found);
            }
            "type" => return has_type(value, argument.as_str().unwrap()),
            "enum" => return argument.as_array().unwrap().contains(value),
            "minimum" => return value.as_f64().is_none_or(|number| number >= argument.as_f64().unwrap()),
            "maximum" => return value.as_f64().is_none_or(|number| number <= argument.as_f64().unwrap()),
            "minItems" => {
                return value.as_array().is_none_or(|items| items.len() as u64 >= argument.as_u64().unwrap());
            }
            "pattern" => return value.as_str().is_none_or(|text| matches(argument.as_str().unwrap(), text)),
            "anyOf" => {
                return argument.as_array().unwrap().iter().any(|choice| {
                    let mut errors = Vec::new();
                    self.check(choice, value, at, &mut errors);
                    errors.is_empty()
                });
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    self.check(argument, item, &format!("{at}/{index}"), found);
                }
            }
            "required" => {
                return value.as_object().is_none_or(|map| {
                    argument.as_array().unwrap().iter().all(|key| map.contains_key(key.as_str().unwrap()))
                });
            }
            "dependentRequired" => {
                return value.as_object().is_none_or(|map| {
                    argument.as_object().unwrap().iter().filter(|(key, _)| map.contains_key(*key)).all(
                        |(_, needed)| {
                            needed.as_array().unwrap().iter().all(|n| map.contains_key(n.as_str().unwrap()))
                        },
                    )
                });
            }
            "propertyNames" => {
                for key in value.as_object().into_iter().flatten().map(|(key, _)| key) {
                    self.check(argument, &Json::String(key.clone()), at, found);
                }
            }
            "properties" => {
                for (key, inner) in argument.as_object().unwrap() {
                    if let Some(item) = value.get(key) {
                        self.check(inner, item, &format!("{at}/{key}"), found);
                    }
                }
            }
            "additionalProperties" => {
                let known = schema.get("properties").and_then(Json::as_object);
                let extra = value
                    .as_object()
                    .into_iter()
                    .flatten()
                    .filter(|(key, _)| known.is_none_or(|known| !known.contains_key(*key)));
                for (key, item) in extra {
                    match argument {
                        Json::Bool(false) => found.push(format!("{at}: unknown key {key}")),
                        inner => self.check(inner, item, &format!("{at}/{key}"), found),
                    }
                }
            }
            other => panic!("the walker does not know the keyword {other}"),
        }
        true
    }
}

fn has_type(value: &Json, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64(),
        "boolean" => value.is_boolean(),
        other => panic!("the walker does not know the type {other}"),
    }
}

/// The two patterns of the schema.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern {
        "^[A-Za-z_][A-Za-z0-9_]*$" => {
            let mut bytes = text.bytes();
            bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
                && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
        }
        "^[0-9]+(ms|s|m|h|d|w)$" => {
            let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
            unit.len() < text.len() && ["ms", "s", "m", "h", "d", "w"].contains(&unit)
        }
        other => panic!("the walker does not know the pattern {other}"),
    }
}
