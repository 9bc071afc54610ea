//! The sections of a detector file, one after the other: text in, definitions and mistakes out.

use std::collections::{BTreeMap, BTreeSet};

use toml_span::value::ValueInner;
use toml_span::{Span, Value};

use super::fingerprint::fingerprint;
use super::reader::{Mistakes, Section, Spanned, nearest, parse_duration, section};
use super::{
    Aggregate, Definition, Detector, Feature, Field, FieldKind, Mistake, Schema, Source, TimeFormat, Window,
};
use crate::decide::{Basis, Outcome, Policy, Rule};
use crate::expression::{BoolExpr, NumberExpr, Parsed, Scope};
use crate::time::{self, DAY_US, HOUR_US};

/// A row's fields are tracked in the bits of a u128; far more than a payment has.
const FIELDS_MAX: usize = 120;

/// Rules are numbered in 16 bits in a decision.
const RULES_MAX: usize = 10_000;

/// Far more than a person writes; checking names against each other is quadratic.
const FILE_BYTES_MAX: usize = 1 << 20;

/// Names with a meaning of their own in expressions.
const BUILTIN_NAMES: [&str; 4] = ["amount", "time", "score", "lists"];

/// What `last` and `time_since_last` look back when no window is given.
const LOOK_BACK_US: i64 = 30 * DAY_US;

const FEATURE_KEYS: [&str; 8] =
    ["by", "aggregate", "of", "windows", "delay", "baseline", "exclude_current", "empty"];

const NAME_HINT: &str = "letters, digits and _; not a digit first";

pub(super) fn parse(text: &str) -> Result<Detector, Vec<Mistake>> {
    let mut mistakes = Mistakes::new(text);
    if text.len() > FILE_BYTES_MAX {
        mistakes.push(0, format!("the file has {} bytes, more than {FILE_BYTES_MAX}", text.len()), None);
        return Err(mistakes.into_sorted());
    }
    let detector = match toml_span::parse(text) {
        Ok(root) => {
            section(root, "the file", &mut mistakes).and_then(|root| read_detector(root, &mut mistakes))
        }
        Err(error) => {
            mistakes.push(error.span.start, format!("not TOML: {}", toml_message(&error)), None);
            None
        }
    };
    match detector {
        Some(detector) if mistakes.is_empty() => Ok(detector),
        _ => Err(mistakes.into_sorted()),
    }
}

fn toml_message(error: &toml_span::Error) -> String {
    match error.kind {
        toml_span::ErrorKind::InvalidCharInString('\n') => "the text in quotes does not end".to_string(),
        toml_span::ErrorKind::UnexpectedEof => "the file ends too early".to_string(),
        _ => error.to_string(),
    }
}

fn read_detector(mut root: Section, mistakes: &mut Mistakes) -> Option<Detector> {
    let name = root.required_string("name", mistakes);
    root.string("description", mistakes);
    if !root.has("event") {
        mistakes.add(root.at, "the file lacks the section [event]");
    }
    let event = root.table("event", mistakes).map(|event| read_event(event, mistakes));
    let lists = read_lists(root.table("lists", mistakes), mistakes);
    let features = root.tables("feature", mistakes);
    let rules = root.tables("rule", mistakes);
    let policy = root.table("policy", mistakes).map_or(Some(Policy::default()), |s| read_policy(s, mistakes));
    root.finish(mistakes);

    let (event, complete) = event?;
    let features = read_features(features, &event, &lists, mistakes);
    let names: Vec<String> = features.iter().map(|f| f.feature.name.clone()).collect();
    let rules = read_rules(rules, &event.schema, &names, &lists, mistakes);
    let policy = policy.filter(|_| complete)?;
    Some(Detector {
        name: name?.value,
        feature_fingerprint: fingerprint(features.iter().map(|f| f.canonical.clone())),
        rules_fingerprint: fingerprint(
            rules.iter().map(|(_, canonical)| canonical.clone()).chain([format!("{policy:?}")]),
        ),
        schema: event.schema,
        features: features.into_iter().map(|f| f.feature).collect(),
        rules: rules.into_iter().map(|(rule, _)| rule).collect(),
        policy,
    })
}

/// The section `[event]`, and which fields it passes on as features.
struct Event {
    schema: Schema,
    as_features: Vec<Spanned<String>>,
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
fn read_event(mut event: Section, mistakes: &mut Mistakes) -> (Event, bool) {
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
        "category" => {
            let values = values.unwrap_or_default().into_iter().map(|value| value.value).collect();
            Some(FieldKind::Category { slot: fields.text_slot(), values })
        }
        "number" => Some(FieldKind::Number { slot: fields.number_slot() }),
        "bool" => Some(FieldKind::Bool { slot: fields.number_slot() }),
        unknown => {
            let message = format!("{what} has the unknown type \"{unknown}\"");
            mistakes.add_with_hint(kind.at, message, "types: id, category, number, bool");
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
        Some(FieldKind::Id { slot }) => Some(*slot),
        _ => {
            mistakes.add(key.at, format!("`key` is `{}`, which must be a field of type id", key.value));
            None
        }
    }
}

fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn read_lists(section: Option<Section>, mistakes: &mut Mistakes) -> BTreeMap<String, Vec<String>> {
    let mut lists = BTreeMap::new();
    for (name, mut value) in section.map(Section::into_entries).unwrap_or_default() {
        let at = value.span;
        let ValueInner::Array(items) = value.take() else {
            mistakes.add(at, format!("the list `{}` must be a list of strings", name.value));
            continue;
        };
        let texts: Vec<String> = items.iter().filter_map(|item| item.as_str().map(str::to_string)).collect();
        if texts.len() != items.len() {
            mistakes.add(at, format!("the list `{}` must hold strings only", name.value));
        }
        lists.insert(name.value, texts);
    }
    lists
}

/// A feature and the text that identifies its meaning.
struct NamedFeature {
    feature: Feature,
    canonical: String,
}

/// A `[[feature]]` before its expression is compiled.
enum Declared {
    Columns(Vec<NamedFeature>),
    Expression { name: Spanned<String>, source: Spanned<String>, parsed: Option<Parsed> },
}

impl Declared {
    fn names(&self) -> Vec<&str> {
        match self {
            Declared::Columns(columns) => columns.iter().map(|c| c.feature.name.as_str()).collect(),
            Declared::Expression { name, .. } => vec![&name.value],
        }
    }
}

fn read_features(
    sections: Vec<Section>,
    event: &Event,
    lists: &BTreeMap<String, Vec<String>>,
    mistakes: &mut Mistakes,
) -> Vec<NamedFeature> {
    let mut declared: Vec<(Span, Declared)> = event
        .as_features
        .iter()
        .map(|name| (name.at, field_feature(name, &event.schema, mistakes)))
        .collect();
    let mut longest = BTreeMap::new();
    if declared.is_empty() && sections.is_empty() {
        mistakes.add(Span::new(0, 0), "the detector has no features");
    }
    for section in sections {
        let at = section.at;
        if let Some(feature) = read_feature(section, &event.schema, &mut longest, mistakes) {
            declared.push((at, feature));
        }
    }
    check_names(&declared, event, mistakes);
    check_order(&declared, mistakes);
    let names: Vec<String> = declared
        .iter()
        .flat_map(|(_, d)| d.names().into_iter().map(str::to_string).collect::<Vec<_>>())
        .collect();
    let scope = Scope { schema: &event.schema, features: &names, lists, has_score: false };
    declared.into_iter().flat_map(|(_, feature)| compile_feature(feature, &scope, mistakes)).collect()
}

fn field_feature(name: &Spanned<String>, schema: &Schema, mistakes: &mut Mistakes) -> Declared {
    let kind = match name.value.as_str() {
        "amount" => Some(&FieldKind::Amount),
        text => schema.index_of(text).map(|index| &schema.fields[index].kind),
    };
    let source = match kind {
        Some(FieldKind::Amount) => Some(Source::Amount),
        Some(FieldKind::Number { slot } | FieldKind::Bool { slot }) => Some(Source::Number(*slot)),
        Some(FieldKind::Category { slot, values }) if !values.is_empty() => Some(Source::Text(*slot)),
        _ => None,
    };
    let Some(source) = source else {
        let message = format!("`as_features` names `{}`, which cannot be a model input as it is", name.value);
        let hint = "it must be the amount, or a field of type number, bool, or category with `values`";
        mistakes.add_with_hint(name.at, message, hint);
        return Declared::Columns(Vec::new());
    };
    let values = match kind {
        Some(FieldKind::Category { values, .. }) => values.join(","),
        _ => String::new(),
    };
    let feature = Feature { name: name.value.clone(), definition: Definition::Field(source) };
    Declared::Columns(vec![NamedFeature { feature, canonical: format!("{}=field {values}", name.value) }])
}

fn read_feature(
    mut section: Section,
    schema: &Schema,
    longest: &mut BTreeMap<usize, i64>,
    mistakes: &mut Mistakes,
) -> Option<Declared> {
    let name = section.required_string("name", mistakes)?;
    section.rename(format!("feature `{}`", name.value));
    if !is_name(&name.value) {
        mistakes.add_with_hint(name.at, format!("`{}` is not a name", name.value), NAME_HINT);
    }
    if let Some(source) = section.string("expression", mistakes) {
        section.finish(mistakes);
        let parsed = parse_expression(&source, mistakes);
        return Some(Declared::Expression { name, source, parsed });
    }
    if !section.has("by") && !section.has("aggregate") {
        let message = format!("feature `{}` needs an `expression`, or `by` and `aggregate`", name.value);
        mistakes.add(section.at, message);
        FEATURE_KEYS.iter().for_each(|key| section.known(key));
        section.finish(mistakes);
        return None;
    }
    read_window_feature(name, section, schema, longest, mistakes).map(Declared::Columns)
}

fn parse_expression(source: &Spanned<String>, mistakes: &mut Mistakes) -> Option<Parsed> {
    match Parsed::new(&source.value) {
        Ok(parsed) => Some(parsed),
        Err(error) => {
            add_expression_error(source, error, mistakes);
            None
        }
    }
}

fn add_expression_error(
    source: &Spanned<String>,
    error: crate::expression::ExpressionError,
    mistakes: &mut Mistakes,
) {
    mistakes.push(mistakes.place_in_string(source.at, error.offset), error.message, error.hint);
}

fn read_window_feature(
    name: Spanned<String>,
    mut section: Section,
    schema: &Schema,
    longest: &mut BTreeMap<usize, i64>,
    mistakes: &mut Mistakes,
) -> Option<Vec<NamedFeature>> {
    let by = section.required_string("by", mistakes).and_then(|by| entity_slot(&by, schema, mistakes));
    let aggregate = section.required_string("aggregate", mistakes).and_then(|a| read_aggregate(&a, mistakes));
    let of = section.string("of", mistakes);
    let windows = read_windows(&mut section, &name.value, mistakes);
    let delay = section.duration("delay", mistakes);
    let baseline = section.duration("baseline", mistakes);
    let exclude_current = section.boolean("exclude_current", mistakes).unwrap_or(false);
    let empty = section.number("empty", mistakes);
    let at = section.at;
    section.finish(mistakes);
    let (by, aggregate) = (by?, aggregate?);
    check_empty(aggregate, empty.as_ref(), mistakes);
    let of = read_source(aggregate, of, schema, &name, mistakes)?;
    check_label_delay(of, delay.as_ref(), &name, mistakes);
    check_baseline(aggregate, baseline.as_ref(), &windows, &name, mistakes);
    let windows = default_windows(windows, aggregate, by, longest, &name, at, mistakes)?;
    let column = |(suffix, window_us): (String, i64)| {
        let window = Window {
            by,
            aggregate,
            of,
            window_us,
            baseline_us: baseline.as_ref().map(|b| b.value),
            delay_us: delay.as_ref().map_or(0, |d| d.value),
            exclude_current,
            empty: empty.as_ref().map_or(aggregate.default_empty(), |number| number.value),
        };
        let name = if suffix.is_empty() { name.value.clone() } else { format!("{}_{suffix}", name.value) };
        NamedFeature {
            canonical: canonical_window(&name, &window, schema),
            feature: Feature { name, definition: Definition::Window(window) },
        }
    };
    Some(windows.into_iter().map(column).collect())
}

fn canonical_window(name: &str, window: &Window, schema: &Schema) -> String {
    let of = match window.of {
        None => "-",
        Some(Source::Amount) => "amount",
        Some(Source::Label) => "label",
        Some(Source::Text(slot)) => schema.text_name(slot),
        Some(Source::Number(slot)) => {
            let field = schema.fields.iter().find(|field| field.kind.number_slot() == Some(slot));
            field.map_or("-", |field| field.name.as_str())
        }
    };
    format!(
        "{name}={} of {of} by {} over {} us, baseline {:?}, delay {}, exclude current {}, empty {}",
        window.aggregate.name(),
        schema.text_name(window.by),
        window.window_us,
        window.baseline_us,
        window.delay_us,
        window.exclude_current,
        window.empty,
    )
}

fn entity_slot(by: &Spanned<String>, schema: &Schema, mistakes: &mut Mistakes) -> Option<usize> {
    let entities = || schema.fields.iter().filter(|field| field.kind.text_slot().is_some());
    let found = entities().find(|field| field.name == by.value).and_then(|field| field.kind.text_slot());
    if found.is_none() {
        let names: Vec<&str> = entities().map(|field| field.name.as_str()).collect();
        let hint = match nearest(&by.value, names.iter().copied()) {
            Some(candidate) => format!("did you mean `{candidate}`?"),
            None if names.is_empty() => "declare one, for example: key = \"card_id\"".to_string(),
            None => format!("fields that name an entity: {}", names.join(", ")),
        };
        let message = format!("`by` is `{}`, which is no field of type id or category", by.value);
        mistakes.add_with_hint(by.at, message, hint);
    }
    found
}

fn read_aggregate(name: &Spanned<String>, mistakes: &mut Mistakes) -> Option<Aggregate> {
    let found = Aggregate::from_name(&name.value);
    if found.is_none() {
        let names = Aggregate::ALL.map(|(name, _)| name);
        let hint = match nearest(&name.value, names.into_iter()) {
            Some(candidate) => format!("did you mean \"{candidate}\"?"),
            None => format!("aggregates: {}", names.join(", ")),
        };
        mistakes.add_with_hint(name.at, format!("unknown aggregate \"{}\"", name.value), hint);
    }
    found
}

fn read_windows(section: &mut Section, feature: &str, mistakes: &mut Mistakes) -> Vec<(String, i64)> {
    let mut windows: Vec<(String, i64)> = Vec::new();
    for text in section.strings("windows", mistakes).unwrap_or_default() {
        let what = format!("a window of feature `{feature}`");
        let Some(us) = parse_duration(&text, &what, mistakes) else { continue };
        if windows.iter().any(|(known, _)| *known == text.value) {
            mistakes.add(text.at, format!("{what} is \"{}\" twice", text.value));
        }
        windows.push((text.value, us.value));
    }
    windows
}

fn read_source(
    aggregate: Aggregate,
    of: Option<Spanned<String>>,
    schema: &Schema,
    feature: &Spanned<String>,
    mistakes: &mut Mistakes,
) -> Option<Option<Source>> {
    let takes_none = matches!(aggregate, Aggregate::Count | Aggregate::TimeSinceLast);
    let Some(of) = of else {
        if takes_none || aggregate == Aggregate::RateRatio {
            return Some(None);
        }
        let message =
            format!("feature `{}` computes a {} but does not say `of` what", feature.value, aggregate.name());
        mistakes.add_with_hint(feature.at, message, "for example: of = \"amount\"");
        return None;
    };
    if takes_none {
        mistakes
            .add(of.at, format!("`{}` looks at events, not at a value: it takes no `of`", aggregate.name()));
        return None;
    }
    let source = match of.value.as_str() {
        "amount" => Some(Source::Amount),
        "label" => Some(Source::Label),
        name => schema.index_of(name).and_then(|index| source_of(&schema.fields[index].kind)),
    };
    let of_text = matches!(source, Some(Source::Text(_)));
    match source {
        None => {
            let with_value = schema.fields.iter().filter(|field| source_of(&field.kind).is_some());
            let names = with_value.map(|field| field.name.as_str());
            let hint = nearest(&of.value, names.chain(["amount", "label"]))
                .map_or("`of` names the amount, the label or a field of the event".into(), |n| {
                    format!("did you mean `{n}`?")
                });
            mistakes.add_with_hint(
                of.at,
                format!("`of` is `{}`, which has no value to aggregate", of.value),
                hint,
            );
            None
        }
        Some(_) if of_text && aggregate != Aggregate::Distinct => {
            let message = format!("`{}` needs numbers, and `{}` is text", aggregate.name(), of.value);
            mistakes.add_with_hint(of.at, message, "distinct is the aggregate of text");
            None
        }
        Some(Source::Label) if schema.label_field().is_none() => {
            mistakes.add(of.at, "`of` is the label, but [event] declares no `label`");
            None
        }
        source => Some(source),
    }
}

fn source_of(kind: &FieldKind) -> Option<Source> {
    match kind {
        FieldKind::Amount => Some(Source::Amount),
        FieldKind::Label => Some(Source::Label),
        FieldKind::Number { slot } | FieldKind::Bool { slot } => Some(Source::Number(*slot)),
        FieldKind::Id { slot } | FieldKind::Category { slot, .. } => Some(Source::Text(*slot)),
        FieldKind::EventId | FieldKind::Time => None,
    }
}

/// A label is known only after a while: a feature that reads it at once would know what it is to predict.
fn check_label_delay(
    of: Option<Source>,
    delay: Option<&Spanned<i64>>,
    name: &Spanned<String>,
    mistakes: &mut Mistakes,
) {
    if of == Some(Source::Label) && delay.is_none() {
        let message =
            format!("feature `{}` reads the label without a delay: it would know its own answer", name.value);
        mistakes.add_with_hint(name.at, message, "delay = \"7d\": how long it takes until a label is known");
    }
}

fn check_empty(aggregate: Aggregate, empty: Option<&Spanned<f64>>, mistakes: &mut Mistakes) {
    let Some(empty) = empty else { return };
    if matches!(aggregate, Aggregate::Count | Aggregate::Sum | Aggregate::Distinct) {
        let message = format!("a {} over nothing is 0: it takes no `empty`", aggregate.name());
        mistakes.add(empty.at, message);
    } else if empty.value.is_infinite() {
        mistakes.add_with_hint(
            empty.at,
            "`empty` is infinite, expected a number or nan",
            "nan is \"missing\"",
        );
    }
}

fn check_baseline(
    aggregate: Aggregate,
    baseline: Option<&Spanned<i64>>,
    windows: &[(String, i64)],
    name: &Spanned<String>,
    mistakes: &mut Mistakes,
) {
    match (aggregate, baseline) {
        (Aggregate::RateRatio, None) => {
            let message = format!("feature `{}` is a rate ratio without a `baseline`", name.value);
            mistakes.add_with_hint(name.at, message, "baseline = \"30d\": the longer window to compare with");
        }
        (Aggregate::RateRatio, Some(baseline)) => {
            for (text, _) in windows.iter().filter(|(_, us)| *us >= baseline.value) {
                mistakes.add(baseline.at, format!("the baseline must be longer than the window {text}"));
            }
        }
        (_, Some(baseline)) => mistakes.add(baseline.at, "only a rate_ratio has a `baseline`"),
        (_, None) => {}
    }
}

/// The windows of a feature. Those that look at the previous event may leave them out: they look back as far as the
/// longest window of the same entity so far.
fn default_windows(
    windows: Vec<(String, i64)>,
    aggregate: Aggregate,
    by: usize,
    longest: &mut BTreeMap<usize, i64>,
    name: &Spanned<String>,
    at: Span,
    mistakes: &mut Mistakes,
) -> Option<Vec<(String, i64)>> {
    let longest_us = longest.entry(by).or_insert(0);
    *longest_us = windows.iter().map(|(_, us)| *us).fold(*longest_us, i64::max);
    if !windows.is_empty() {
        return Some(windows);
    }
    if aggregate.looks_at_previous() {
        return Some(vec![(String::new(), if *longest_us > 0 { *longest_us } else { LOOK_BACK_US })]);
    }
    let message = format!("feature `{}` has no windows", name.value);
    mistakes.add_with_hint(at, message, "for example: windows = [\"1d\", \"7d\", \"30d\"]");
    None
}

fn check_names(declared: &[(Span, Declared)], event: &Event, mistakes: &mut Mistakes) {
    let mut seen = BTreeSet::new();
    for (at, feature) in declared {
        for name in feature.names() {
            if !seen.insert(name.to_string()) {
                mistakes.add(*at, format!("the feature `{name}` is declared twice"));
            }
            let passed_on = event.as_features.iter().any(|field| field.value == name);
            if BUILTIN_NAMES.contains(&name) && !passed_on {
                let message =
                    format!("the feature `{name}` has a name that means something else in expressions");
                mistakes.add(*at, message);
            }
            if event.schema.index_of(name).is_some() && !passed_on {
                let message = format!("the feature `{name}` has the name of a field");
                mistakes.add_with_hint(*at, message, "as_features passes a field on as it is");
            }
        }
    }
}

/// An expression reads features above it. Reading one below is a mistake, and a cycle when that one reads back.
fn check_order(declared: &[(Span, Declared)], mistakes: &mut Mistakes) {
    let owner: BTreeMap<&str, usize> = declared
        .iter()
        .enumerate()
        .flat_map(|(i, (_, d))| d.names().into_iter().map(move |n| (n, i)))
        .collect();
    let reads: Vec<Vec<usize>> = declared.iter().map(|(_, d)| reads_of(d, &owner)).collect();
    for (index, (_, feature)) in declared.iter().enumerate() {
        let Declared::Expression { name, source, parsed: Some(_) } = feature else { continue };
        for &read in reads[index].iter().filter(|read| **read >= index) {
            let other = declared[read].1.names().first().map_or(String::new(), |name| name.to_string());
            match path(&reads, read, index) {
                Some(steps) => {
                    let cycle: Vec<&str> =
                        std::iter::once(index).chain(steps).map(|i| declared[i].1.names()[0]).collect();
                    mistakes.add_with_hint(
                        source.at,
                        format!("feature `{}` is part of a cycle: {}", name.value, cycle.join(" -> ")),
                        "a feature cannot depend on itself",
                    );
                }
                None => {
                    let line = mistakes.line(declared[read].0);
                    mistakes.add_with_hint(
                        source.at,
                        format!(
                            "feature `{}` reads `{other}`, which is declared later, in line {line}",
                            name.value
                        ),
                        "features are computed in the order of the file: move it up",
                    );
                }
            }
        }
    }
}

fn reads_of(declared: &Declared, owner: &BTreeMap<&str, usize>) -> Vec<usize> {
    let Declared::Expression { parsed: Some(parsed), .. } = declared else { return Vec::new() };
    parsed.identifiers().iter().filter_map(|name| owner.get(name.as_str()).copied()).collect()
}

/// The features on a way from `from` to `to`, both included, if one reads the other through any number of steps.
fn path(reads: &[Vec<usize>], from: usize, to: usize) -> Option<Vec<usize>> {
    let mut came_from: BTreeMap<usize, usize> = BTreeMap::new();
    let mut waiting = vec![from];
    while let Some(at) = waiting.pop() {
        if at == to {
            let mut steps = vec![to];
            while let Some(before) = came_from.get(steps.last().expect("it starts with one")).copied() {
                steps.push(before);
                if before == from {
                    break;
                }
            }
            steps.reverse();
            return Some(steps);
        }
        for &next in &reads[at] {
            if next != from && !came_from.contains_key(&next) {
                came_from.insert(next, at);
                waiting.push(next);
            }
        }
    }
    None
}

fn compile_feature(declared: Declared, scope: &Scope, mistakes: &mut Mistakes) -> Vec<NamedFeature> {
    match declared {
        Declared::Columns(columns) => columns,
        Declared::Expression { name, source, parsed } => {
            let compiled = parsed.and_then(|parsed| match parsed.compile_number(scope) {
                Ok(number) => Some(number),
                Err(error) => {
                    add_expression_error(&source, error, mistakes);
                    None
                }
            });
            let expression = compiled.unwrap_or(NumberExpr::Constant(f64::NAN));
            vec![NamedFeature {
                canonical: format!(
                    "{}={}{}",
                    name.value,
                    source.value.trim(),
                    lists_in(&source.value, scope)
                ),
                feature: Feature { name: name.value, definition: Definition::Expression(expression) },
            }]
        }
    }
}

/// An expression means something else when a list that it reads changes.
fn lists_in(source: &str, scope: &Scope) -> String {
    let read = |name: &&String| source.contains(&format!("lists.{name}"));
    scope.lists.keys().filter(read).map(|name| format!(" {name} {:?}", scope.lists[name])).collect()
}

fn read_rules(
    sections: Vec<Section>,
    schema: &Schema,
    features: &[String],
    lists: &BTreeMap<String, Vec<String>>,
    mistakes: &mut Mistakes,
) -> Vec<(Rule, String)> {
    let scope = Scope { schema, features, lists, has_score: true };
    let mut rules: Vec<(Rule, String)> = Vec::new();
    if let Some(surplus) = sections.get(RULES_MAX) {
        mistakes.add(surplus.at, format!("there are {} rules, more than {RULES_MAX}", sections.len()));
    }
    for mut section in sections.into_iter().take(RULES_MAX) {
        let Some(name) = section.required_string("name", mistakes) else { continue };
        section.rename(format!("rule `{}`", name.value));
        let when = section.required_string("when", mistakes);
        let outcome = section.required_string("outcome", mistakes).and_then(|o| read_outcome(&o, mistakes));
        section.finish(mistakes);
        if rules.iter().any(|(rule, _)| rule.name == name.value) {
            mistakes.add(name.at, format!("the rule `{}` is declared twice", name.value));
        }
        let (Some(when), Some(outcome)) = (when, outcome) else { continue };
        let compiled = compile_rule(&when, &scope, mistakes);
        let canonical = format!("{}: {} -> {} {lists:?}", name.value, when.value.trim(), outcome.name());
        rules.push((Rule { name: name.value, when: compiled, outcome }, canonical));
    }
    rules
}

fn compile_rule(when: &Spanned<String>, scope: &Scope, mistakes: &mut Mistakes) -> BoolExpr {
    let compiled = Parsed::new(&when.value).and_then(|parsed| parsed.compile_bool(scope));
    compiled.unwrap_or_else(|error| {
        add_expression_error(when, error, mistakes);
        BoolExpr::Constant(false)
    })
}

fn read_outcome(text: &Spanned<String>, mistakes: &mut Mistakes) -> Option<Outcome> {
    let found = Outcome::from_name(&text.value);
    if found.is_none() {
        mistakes.add_with_hint(
            text.at,
            format!("unknown outcome \"{}\"", text.value),
            "outcomes: approve, review, decline",
        );
    }
    found
}

fn read_policy(mut section: Section, mistakes: &mut Mistakes) -> Option<Policy> {
    let at = section.at;
    let mut amount = |key, least: f64, most: f64, mistakes: &mut Mistakes| {
        let number = section.number(key, mistakes)?;
        if !(least..=most).contains(&number.value) {
            mistakes.add(number.at, format!("`{key}` is {}, expected {least} to {most}", number.value));
        }
        Some(number.value)
    };
    let review_threshold = amount("review_threshold", 0.0, 1.0, mistakes);
    let decline_threshold = amount("decline_threshold", 0.0, 1.0, mistakes);
    let review_cost = amount("review_cost", 0.0, 1e9, mistakes);
    let false_decline_cost = amount("false_decline_cost", 0.0, 1e9, mistakes);
    let daily_review_budget = amount("daily_review_budget", 0.0, 1e9, mistakes);
    section.finish(mistakes);
    let basis = match (review_threshold, decline_threshold, review_cost, false_decline_cost) {
        (Some(review), Some(decline), None, None) if review <= decline => {
            Basis::Thresholds { review, decline }
        }
        (Some(review), Some(decline), None, None) => {
            mistakes.add(at, format!("review_threshold {review} is above decline_threshold {decline}"));
            return None;
        }
        (None, None, Some(review), Some(false_decline)) => Basis::Costs { review, false_decline },
        (None, None, None, None) => Policy::default().basis,
        _ => {
            let hint = "either review_threshold and decline_threshold, or review_cost and false_decline_cost";
            mistakes.add_with_hint(at, "[policy] mixes thresholds and costs, or lacks one of a pair", hint);
            return None;
        }
    };
    Some(Policy { basis, daily_review_budget })
}
