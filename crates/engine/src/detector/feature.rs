//! The sections `[[feature]]`: columns of the feature matrix, checked against the event and each other.

use std::collections::{BTreeMap, BTreeSet};

use toml_span::Span;

use super::event::{BUILTIN_NAMES, Event, NAME_HINT, is_name};
use super::reader::{Mistakes, Section, Spanned, nearest, parse_duration};
use super::{Aggregate, Definition, Feature, FieldKind, Schema, Source, Window};
use crate::expression::{NumberExpr, Parsed, Scope};
use crate::time::DAY_US;

/// What `last` and `time_since_last` look back when no window is given.
const LOOK_BACK_US: i64 = 30 * DAY_US;

const FEATURE_KEYS: [&str; 8] =
    ["by", "aggregate", "of", "windows", "delay", "baseline", "exclude_current", "empty"];

/// A feature and the text that identifies its meaning.
pub(super) struct NamedFeature {
    pub feature: Feature,
    pub canonical: String,
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

pub(super) fn read_features(
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

pub(super) fn add_expression_error(
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
