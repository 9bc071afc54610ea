//! The sections `[[feature]]`: columns of the feature matrix, checked against the event and each other.

use std::collections::{BTreeMap, BTreeSet};

use toml_span::Span;

use super::event::{BUILTIN_NAMES, Event, NAME_HINT, is_name};
use super::reader::{Mistakes, Section, Spanned, nearest, parse_duration};
use super::{Aggregate, Condition, Definition, Feature, FieldKind, Schema, Source, Window};
use crate::expression::{BoolExpr, ExpressionError, NamedLists, NumberExpr, Parsed, Scope};
use crate::time::DAY_US;

/// What `last` and `time_since_last` look back when no window is given.
const LOOK_BACK_US: i64 = 30 * DAY_US;

const FEATURE_KEYS: [&str; 9] =
    ["by", "aggregate", "of", "where", "windows", "delay", "baseline", "exclude_current", "empty"];

/// A feature and the text that identifies its meaning.
pub(super) struct NamedFeature {
    pub feature: Feature,
    pub canonical: String,
}

/// A `[[feature]]` before its expressions are compiled.
enum Declared {
    Columns { columns: Vec<NamedFeature>, condition: Option<Unread> },
    Expression { name: Spanned<String>, unread: Unread },
}

/// An expression before it is compiled; not parsed if its grammar is wrong.
struct Unread {
    source: Spanned<String>,
    parsed: Option<Parsed>,
}

impl Declared {
    fn names(&self) -> Vec<&str> {
        match self {
            Declared::Columns { columns, .. } => columns.iter().map(|c| c.feature.name.as_str()).collect(),
            Declared::Expression { name, .. } => vec![&name.value],
        }
    }

    fn unread(&self) -> Option<&Unread> {
        match self {
            Declared::Columns { condition, .. } => condition.as_ref(),
            Declared::Expression { unread, .. } => Some(unread),
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
    let columns = |declared: &[(Span, Declared)]| -> Vec<String> {
        declared.iter().flat_map(|(_, d)| d.names()).map(str::to_string).collect()
    };
    for section in sections {
        let at = section.at;
        let above = columns(&declared);
        if let Some(feature) = read_feature(section, &event.schema, &above, &mut longest, mistakes) {
            declared.push((at, feature));
        }
    }
    check_names(&declared, event, mistakes);
    check_order(&declared, mistakes);
    let names = columns(&declared);
    let scope = Scope { schema: &event.schema, features: &names, lists: lists.into(), has_score: false };
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
        return Declared::Columns { columns: Vec::new(), condition: None };
    };
    let values = match kind {
        Some(FieldKind::Category { values, .. }) => values.join(","),
        _ => String::new(),
    };
    let definition = Definition::Field(source);
    let feature = Feature { name: name.value.clone(), definition, text: String::new(), reads: Vec::new() };
    let canonical = format!("{}=field {values}", name.value);
    Declared::Columns { columns: vec![NamedFeature { feature, canonical }], condition: None }
}

fn read_feature(
    mut section: Section,
    schema: &Schema,
    above: &[String],
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
        return Some(Declared::Expression { name, unread: parse_expression(source, mistakes) });
    }
    if !section.has("by") && !section.has("aggregate") {
        let message = format!("feature `{}` needs an `expression`, or `by` and `aggregate`", name.value);
        mistakes.add(section.at, message);
        FEATURE_KEYS.iter().for_each(|key| section.known(key));
        section.finish(mistakes);
        return None;
    }
    let condition = section.string("where", mistakes).map(|source| parse_expression(source, mistakes));
    let columns = read_window_feature(name, section, schema, above, longest, mistakes)?;
    Some(Declared::Columns { columns, condition })
}

fn parse_expression(source: Spanned<String>, mistakes: &mut Mistakes) -> Unread {
    let parsed = Parsed::new(&source.value).map_err(|error| add_expression_error(&source, error, mistakes));
    Unread { source, parsed: parsed.ok() }
}

pub(super) fn add_expression_error(
    source: &Spanned<String>,
    error: ExpressionError,
    mistakes: &mut Mistakes,
) {
    mistakes.push(mistakes.place_in_string(source.at, error.offset), error.message, error.hint);
}

fn read_window_feature(
    name: Spanned<String>,
    mut section: Section,
    schema: &Schema,
    above: &[String],
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
    let of = read_source(aggregate, of, schema, above, &name, mistakes)?;
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
            condition: None,
        };
        let name = if suffix.is_empty() { name.value.clone() } else { format!("{}_{suffix}", name.value) };
        let reads = match of {
            Some(Source::Feature(column)) => vec![column],
            _ => Vec::new(),
        };
        NamedFeature {
            canonical: canonical_window(&name, &window, schema, above),
            feature: Feature { name, definition: Definition::Window(window), text: String::new(), reads },
        }
    };
    Some(windows.into_iter().map(column).collect())
}

fn canonical_window(name: &str, window: &Window, schema: &Schema, above: &[String]) -> String {
    let of = match window.of {
        None => "-",
        Some(Source::Amount) => "amount",
        Some(Source::Label) => "label",
        Some(Source::Text(slot)) => schema.text_name(slot),
        Some(Source::Number(slot)) => {
            let field = schema.fields.iter().find(|field| field.kind.number_slot() == Some(slot));
            field.map_or("-", |field| field.name.as_str())
        }
        Some(Source::Feature(column)) => &above[column],
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
    above: &[String],
    feature: &Spanned<String>,
    mistakes: &mut Mistakes,
) -> Option<Option<Source>> {
    let since = matches!(aggregate, Aggregate::TimeSinceLast | Aggregate::TimeSinceFirst);
    let takes_none = since || aggregate == Aggregate::Count;
    let Some(of) = of else {
        if takes_none || aggregate == Aggregate::RateRatio {
            return Some(None);
        }
        let message =
            format!("feature `{}` computes a {} but does not say `of` what", feature.value, aggregate.name());
        mistakes.add_with_hint(feature.at, message, "for example: of = \"amount\"");
        return None;
    };
    if takes_none && !(since && of.value == "label") {
        let but = if since { " but the label" } else { "" };
        let message =
            format!("`{}` looks at events, not at a value: it takes no `of`{but}", aggregate.name());
        mistakes.add(of.at, message);
        return None;
    }
    let source = match of.value.as_str() {
        "amount" => Some(Source::Amount),
        "label" => Some(Source::Label),
        name => match schema.index_of(name) {
            Some(index) => source_of(&schema.fields[index].kind),
            None => above.iter().position(|feature| feature == name).map(Source::Feature),
        },
    };
    let of_text = matches!(source, Some(Source::Text(_)));
    match source {
        None => {
            let with_value = schema.fields.iter().filter(|field| source_of(&field.kind).is_some());
            let names = with_value.map(|field| field.name.as_str()).chain(above.iter().map(String::as_str));
            let all = "`of` names the amount, the label, a field of the event, or a feature above";
            let hint = nearest(&of.value, names.chain(["amount", "label"]))
                .map_or(all.into(), |n| format!("did you mean `{n}`?"));
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
        FieldKind::Id { slot } | FieldKind::Card { slot } | FieldKind::Category { slot, .. } => {
            Some(Source::Text(*slot))
        }
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
        let (Some(name), Some(Unread { source, .. })) = (feature.names().first().copied(), feature.unread())
        else {
            continue;
        };
        for &read in reads[index].iter().filter(|read| **read >= index) {
            let other = declared[read].1.names().first().map_or(String::new(), |name| name.to_string());
            match path(&reads, read, index) {
                Some(steps) => {
                    let cycle: Vec<&str> =
                        std::iter::once(index).chain(steps).map(|i| declared[i].1.names()[0]).collect();
                    mistakes.add_with_hint(
                        source.at,
                        format!("feature `{name}` is part of a cycle: {}", cycle.join(" -> ")),
                        "a feature cannot depend on itself",
                    );
                }
                None => {
                    let line = mistakes.line(declared[read].0);
                    mistakes.add_with_hint(
                        source.at,
                        format!("feature `{name}` reads `{other}`, which is declared later, in line {line}"),
                        "features are computed in the order of the file: move it up",
                    );
                }
            }
        }
    }
}

fn reads_of(declared: &Declared, owner: &BTreeMap<&str, usize>) -> Vec<usize> {
    let Some(Unread { parsed: Some(parsed), .. }) = declared.unread() else { return Vec::new() };
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
        Declared::Columns { columns, condition: None } => columns,
        Declared::Columns { columns, condition: Some(unread) } => {
            let test = unread.compile(|parsed| parsed.compile_bool(scope), mistakes);
            let condition = Condition {
                text: unread.source.value.trim().to_string(),
                test: test.unwrap_or(BoolExpr::Constant(true)),
            };
            let reads = unread.columns(scope);
            let canonical = format!(", where {}{}", condition.text, lists_in(&condition.text, scope));
            columns.into_iter().map(|column| column.with(&condition, &reads, &canonical)).collect()
        }
        Declared::Expression { name, unread } => {
            let compiled = unread.compile(|parsed| parsed.compile_number(scope), mistakes);
            let source = unread.source.value.trim();
            let definition = Definition::Expression(compiled.unwrap_or(NumberExpr::Constant(f64::NAN)));
            let canonical = format!("{}={source}{}", name.value, lists_in(source, scope));
            let (text, reads) = (source.to_string(), unread.columns(scope));
            let feature = Feature { name: name.value, definition, text, reads };
            vec![NamedFeature { feature, canonical }]
        }
    }
}

impl Unread {
    fn compile<T>(
        &self,
        compile: impl Fn(&Parsed) -> Result<T, ExpressionError>,
        mistakes: &mut Mistakes,
    ) -> Option<T> {
        let compiled = compile(self.parsed.as_ref()?);
        compiled.map_err(|error| add_expression_error(&self.source, error, mistakes)).ok()
    }

    /// The features that it reads. A name that is a field's means the field.
    fn columns(&self, scope: &Scope) -> Vec<usize> {
        let Some(parsed) = &self.parsed else { return Vec::new() };
        let names = parsed.identifiers();
        let reads = |name: &String| names.contains(name) && scope.schema.index_of(name).is_none();
        (0..scope.features.len()).filter(|column| reads(&scope.features[*column])).collect()
    }
}

impl NamedFeature {
    /// A window's column with a condition upon events.
    fn with(mut self, condition: &Condition, reads: &[usize], canonical: &str) -> NamedFeature {
        if let Definition::Window(window) = &mut self.feature.definition {
            window.condition = Some(condition.clone());
        }
        self.feature.reads.extend_from_slice(reads);
        self.canonical.push_str(canonical);
        self
    }
}

/// An expression means something else when a list that it reads changes.
fn lists_in(source: &str, scope: &Scope) -> String {
    // Features read lists of the file only: those of a rulebook change.
    let NamedLists::File(lists) = scope.lists else { return String::new() };
    let read = |(name, _): &(&String, &Vec<String>)| source.contains(&format!("lists.{name}"));
    lists.iter().filter(read).map(|(name, values)| format!(" {name} {values:?}")).collect()
}
