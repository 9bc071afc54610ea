//! What people do to a rulebook, one thing at a time. Each tells in a few words what it did.

use std::collections::{HashMap, HashSet};

use engine::Rulebook;
use engine::decide::{BudgetScore, Policy};
use engine::detector::Schema;
use engine::rulebook::{Entry, List, ListKind, Stage, WrittenRule};

use crate::registry::RegistryError;

/// Puts a rule where the one of its name is, or behind all others.
pub fn put_rule(book: &mut Rulebook, rule: WrittenRule) -> String {
    let name = rule.name.clone();
    match book.rules.iter_mut().find(|known| known.name == name) {
        Some(known) => {
            *known = rule;
            format!("rule {name} was changed")
        }
        None => {
            book.rules.push(rule);
            format!("rule {name} is new")
        }
    }
}

/// Moves a rule to another stage; `share` is the part that it decides for in the stage `partial`.
///
/// # Errors
/// If there is no such rule.
pub fn move_rule(
    book: &mut Rulebook,
    name: &str,
    stage: Stage,
    share: Option<f64>,
) -> Result<String, RegistryError> {
    let rule = rule(book, name)?;
    (rule.stage, rule.share) = (stage, share);
    let of_share = share.map(|share| format!(" for a share of {share}")).unwrap_or_default();
    Ok(format!("rule {name} is {}{of_share}", stage.name()))
}

/// Ends a rule at a time of events, as RFC 3339.
///
/// # Errors
/// If there is no such rule.
pub fn expire_rule(book: &mut Rulebook, name: &str, at: &str) -> Result<String, RegistryError> {
    rule(book, name)?.expires = Some(at.to_string());
    Ok(format!("rule {name} ends at {at}"))
}

/// Makes a list, or says of a list that there is what it asks for; its entries stay.
pub fn put_list(
    book: &mut Rulebook,
    name: &str,
    kind: ListKind,
    field: Option<String>,
    owner: String,
) -> String {
    if let Some(known) = book.lists.iter_mut().find(|list| list.name == name) {
        (known.kind, known.field, known.owner) = (kind, field, owner);
        return format!("list {name} is of the kind {}", kind.name());
    }
    book.lists.push(List { name: name.to_string(), kind, field, owner, entries: Vec::new() });
    format!("list {name} is new")
}

/// Takes a list away.
///
/// # Errors
/// If there is no such list.
pub fn drop_list(book: &mut Rulebook, name: &str) -> Result<String, RegistryError> {
    let entries = list(book, name)?.entries.len();
    book.lists.retain(|list| list.name != name);
    Ok(format!("list {name} with {entries} entries is gone"))
}

/// Puts values on a list, each as `schema` knows it. What is on it already gets the new reason, owner and expiry; of a value
/// that comes twice the last one counts.
///
/// # Errors
/// If there is no such list.
pub fn enlist(
    book: &mut Rulebook,
    schema: &Schema,
    name: &str,
    new: Vec<Entry>,
) -> Result<String, RegistryError> {
    let List { entries, field, .. } = list(book, name)?;
    let (before, put) = (entries.len(), new.len());
    let mut places: HashMap<String, usize> =
        entries.iter().enumerate().map(|(place, entry)| (entry.value.clone(), place)).collect();
    for mut entry in new {
        entry.value = schema.known_as(field.as_deref().unwrap_or_default(), &entry.value).into_owned();
        match places.get(&entry.value) {
            Some(place) => entries[*place] = entry,
            None => {
                places.insert(entry.value.clone(), entries.len());
                entries.push(entry);
            }
        }
    }
    let added = entries.len() - before;
    let known = put - added;
    Ok(format!("put on list {name}: {added} new, {known} that were there"))
}

/// Takes values off a list.
///
/// # Errors
/// If there is no such list, or none of the values is on it.
pub fn delist(
    book: &mut Rulebook,
    schema: &Schema,
    name: &str,
    values: &[String],
) -> Result<String, RegistryError> {
    let List { entries, field, .. } = list(book, name)?;
    let field = field.as_deref().unwrap_or_default();
    let gone: HashSet<_> = values.iter().map(|value| schema.known_as(field, value)).collect();
    let before = entries.len();
    entries.retain(|entry| !gone.contains(entry.value.as_str()));
    match before - entries.len() {
        0 => Err(RegistryError::Unknown(format!("nothing of {values:?} is on the list `{name}`"))),
        taken => Ok(format!("taken off list {name}: {taken}")),
    }
}

/// Sets how a score becomes an outcome, and what its review budget means for the model in use, if that is known.
pub fn set_policy(book: &mut Rulebook, policy: Policy, budget_score: Option<BudgetScore>) -> String {
    (book.policy, book.budget_score) = (policy, budget_score);
    match (&book.budget_score, policy.daily_review_budget) {
        (Some(BudgetScore { model, score_min }), _) => {
            format!("the policy was changed; {model} reviews from score {score_min:.6} on")
        }
        (None, Some(_)) => {
            "the policy was changed; its review budget holds from the next training on".to_string()
        }
        (None, None) => "the policy was changed".to_string(),
    }
}

/// Sets everything at once.
pub fn set_all(book: &mut Rulebook, rulebook: Rulebook) -> String {
    *book = rulebook;
    "the whole rulebook was set".to_string()
}

/// The rule of this name.
///
/// # Errors
/// If there is none.
pub fn rule<'b>(book: &'b mut Rulebook, name: &str) -> Result<&'b mut WrittenRule, RegistryError> {
    let found = book.rules.iter_mut().find(|rule| rule.name == name);
    found.ok_or_else(|| RegistryError::Unknown(format!("there is no rule `{name}`")))
}

/// The list of this name.
///
/// # Errors
/// If there is none.
pub fn list<'b>(book: &'b mut Rulebook, name: &str) -> Result<&'b mut List, RegistryError> {
    let found = book.lists.iter_mut().find(|list| list.name == name);
    found.ok_or_else(|| RegistryError::Unknown(format!("there is no list `{name}`")))
}
