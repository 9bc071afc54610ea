//! A detector file as a whole, and its short sections: text in, definitions and mistakes out.

use std::collections::BTreeMap;

use toml_span::value::ValueInner;

use super::event::read_event;
use super::feature::{add_expression_error, read_features};
use super::fingerprint::fingerprint;
use super::reader::{Mistakes, Section, Spanned, section};
use super::{Detector, Mistake, Schema};
use crate::decide::{Basis, Outcome, Policy, Rule};
use crate::expression::{BoolExpr, Parsed, Scope};

/// Rules are numbered in 16 bits in a decision.
const RULES_MAX: usize = 10_000;

/// Far more than a person writes; checking names against each other is quadratic.
const FILE_BYTES_MAX: usize = 1 << 20;

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
        lists,
        policy,
        budget_score: None,
    })
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

fn read_rules(
    sections: Vec<Section>,
    schema: &Schema,
    features: &[String],
    lists: &BTreeMap<String, Vec<String>>,
    mistakes: &mut Mistakes,
) -> Vec<(Rule, String)> {
    let scope = Scope { schema, features, lists: lists.into(), has_score: true };
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
        let text = when.value.trim().to_string();
        let canonical = format!("{}: {text} -> {} {lists:?}", name.value, outcome.name());
        rules.push((Rule { name: name.value, when: compiled, text, outcome, shadow: false }, canonical));
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
