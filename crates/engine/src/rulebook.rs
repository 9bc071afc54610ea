//! Rules, lists and policy that change while a detector's fields and features stay.
//!
//! A [`Rulebook`] is what people write; [`Detector::with_rulebook`] checks it as a whole and gives the detector that
//! decides by it. Stages, times and shares become part of the compiled conditions, so that deciding knows nothing of them.
//! All times are compared with the time of the event: the engine has no clock, and a decision recomputes the same.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::BuildHasher;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::decide::{Basis, BudgetScore, Outcome, Policy, Rule};
use crate::detector::{Detector, fingerprint, nearest};
use crate::expression::{BoolExpr, Parsed, Scope, TextExpr};
use crate::time::parse_instant;

/// Fired rules and lists are numbered in 16 bits in a decision.
const RULES_MAX: usize = 10_000;

/// Seeds the hash of a rule's name, which seeds the hash of those that it is tried on.
const SHARE_SEED: u64 = 0x7368_6172_655f_6f66;

/// Rules, lists and policy of a detector.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rulebook {
    /// Rules, in the order in which they are listed as fired.
    #[serde(default)]
    pub rules: Vec<WrittenRule>,
    /// Lists; their names differ.
    #[serde(default)]
    pub lists: Vec<List>,
    /// How a score becomes an outcome.
    #[serde(default)]
    pub policy: Policy,
    /// What the policy's review budget means for the model that was in use when it was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_score: Option<BudgetScore>,
}

/// A rule as a person writes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenRule {
    /// Its name: what decisions list as fired.
    pub name: String,
    /// The condition, in CEL.
    pub when: String,
    /// What it asks for.
    pub outcome: Outcome,
    /// How far it has come.
    #[serde(default)]
    pub stage: Stage,
    /// In the stage `partial`: for which part it asks, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// In the stage `partial`: the field whose values are in or out as a whole; the
    /// detector's key if none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_by: Option<String>,
    /// The first event time at which it holds, as RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The first event time at which it holds no longer, as RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// Why it is there.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// How far a rule has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Checked, never evaluated.
    Draft,
    /// Evaluated and listed as `~NAME`; changes nothing.
    Shadow,
    /// Decides for a share of entities.
    Partial,
    /// Decides.
    #[default]
    Live,
    /// Kept to be read, never evaluated.
    Retired,
}

impl Stage {
    /// All stages, as a rule goes through them.
    pub const ALL: [Stage; 5] = [Stage::Draft, Stage::Shadow, Stage::Partial, Stage::Live, Stage::Retired];

    /// The name in JSON and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Draft => "draft",
            Stage::Shadow => "shadow",
            Stage::Partial => "partial",
            Stage::Live => "live",
            Stage::Retired => "retired",
        }
    }
}

/// Values with something in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// Its name: rules say `lists.NAME`, decisions list it as `list:NAME`.
    pub name: String,
    /// What it asks for.
    #[serde(default)]
    pub kind: ListKind,
    /// The field whose values it holds; a plain list, which only rules read, needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// What is on it.
    #[serde(default)]
    pub entries: Vec<Entry>,
}

/// What a list asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ListKind {
    /// Approves, whatever score and review rules say; what declines is stronger.
    Allow,
    /// Declines.
    Deny,
    /// Sends to review.
    Watch,
    /// Nothing: rules read it.
    #[default]
    Plain,
}

/// A value on a list.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The value.
    pub value: String,
    /// Why it is there.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Who put it there.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// The first event time at which it is there no longer, as RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// One thing that is wrong in a rulebook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Flaw {
    /// Of what: a rule, a list, the policy.
    pub of: String,
    /// In an expression: the character at which it is wrong, from 1.
    pub column: Option<usize>,
    /// What is wrong: names the key, the value and what was expected.
    pub message: String,
    /// What to do about it, where that is known.
    pub hint: Option<String>,
}

impl std::fmt::Display for Flaw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.of)?;
        if let Some(column) = self.column {
            write!(f, ", column {column}")?;
        }
        write!(f, ": {}", self.message)?;
        self.hint.iter().try_for_each(|hint| write!(f, "\n    hint: {hint}"))
    }
}

/// The values of a list, each with the event time from which it is there no longer: one look-up, nothing allocated.
#[derive(Debug, Clone, PartialEq)]
pub struct Members(HashMap<Box<str>, i64, foldhash::fast::FixedState>);

impl Members {
    /// Whether a value is on the list at a time, in microseconds since 1970.
    pub fn contains(&self, value: &str, time_us: i64) -> bool {
        self.0.get(value).is_some_and(|expires_us| time_us < *expires_us)
    }
}

/// Whether a value belongs to the part of all values that `share` (0 to 1) names: always the same values of one seed,
/// and those of a smaller share belong to every larger one.
pub(crate) fn is_in_share(value: &str, seed: u64, share: f64) -> bool {
    let hash = foldhash::quality::FixedState::with_seed(seed).hash_one(value);
    // The 53 bits that a double holds: a fraction in [0, 1).
    ((hash >> 11) as f64 / (1_u64 << 53) as f64) < share
}

impl ListKind {
    /// All kinds.
    pub const ALL: [ListKind; 4] = [ListKind::Allow, ListKind::Deny, ListKind::Watch, ListKind::Plain];

    /// The name in JSON and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            ListKind::Allow => "allow",
            ListKind::Deny => "deny",
            ListKind::Watch => "watch",
            ListKind::Plain => "plain",
        }
    }

    /// What being on the list asks for.
    fn outcome(self) -> Option<Outcome> {
        match self {
            ListKind::Allow => Some(Outcome::Approve),
            ListKind::Deny => Some(Outcome::Decline),
            ListKind::Watch => Some(Outcome::Review),
            ListKind::Plain => None,
        }
    }
}

impl Rulebook {
    /// The rules, lists and policy of a detector file.
    pub fn of(detector: &Detector) -> Rulebook {
        let rules = detector.rules.iter().map(|rule| WrittenRule::live(&rule.name, &rule.text, rule.outcome));
        let entry = |value: &String| Entry { value: value.clone(), ..Entry::default() };
        let lists = detector.lists.iter().map(|(name, values)| List {
            name: name.clone(),
            kind: ListKind::Plain,
            field: None,
            owner: String::new(),
            // A file may name a value twice; it means the same.
            entries: values.iter().collect::<BTreeSet<_>>().into_iter().map(entry).collect(),
        });
        let (policy, budget_score) = (detector.policy, detector.budget_score.clone());
        Rulebook { rules: rules.collect(), lists: lists.collect(), policy, budget_score }
    }

    /// Identifies its content, as 16 hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        let rules = self.rules.iter().map(|rule| format!("{rule:?}"));
        let lists = self.lists.iter().map(|list| format!("{list:?}"));
        let policy = format!("{:?}", self.policy);
        let budget_score = self.budget_score.iter().map(|budget_score| format!("{budget_score:?}"));
        fingerprint(rules.chain(lists).chain([policy]).chain(budget_score))
    }
}

impl WrittenRule {
    /// A rule that decides.
    pub fn live(name: &str, when: &str, outcome: Outcome) -> WrittenRule {
        WrittenRule {
            name: name.to_string(),
            when: when.to_string(),
            outcome,
            stage: Stage::Live,
            share: None,
            share_by: None,
            from: None,
            expires: None,
            owner: String::new(),
            reason: String::new(),
        }
    }
}

impl Detector {
    /// This detector, as its file has it, deciding by a rulebook. Features, and lists that features read, stay the file's.
    ///
    /// # Errors
    /// Everything that is wrong with the rulebook.
    pub fn with_rulebook(&self, book: &Rulebook) -> Result<Detector, Vec<Flaw>> {
        if *book == Rulebook::of(self) {
            return Ok(self.clone());
        }
        let features = self.feature_names();
        let mut reading = Reading { detector: self, features: &features, flaws: Vec::new() };
        let lists = reading.lists(&book.lists);
        let mut rules = reading.list_rules(&book.lists, &lists);
        rules.extend(reading.rules(&book.rules, &lists));
        reading.policy(&book.policy);
        reading.budget_score(book.budget_score.as_ref());
        if rules.len() > RULES_MAX {
            let message = format!("there are {} rules and lists, more than {RULES_MAX}", rules.len());
            reading.add("the rulebook", message, None);
        }
        if !reading.flaws.is_empty() {
            return Err(reading.flaws);
        }
        Ok(Detector {
            rules,
            policy: book.policy,
            budget_score: book.budget_score.clone(),
            rules_fingerprint: book.fingerprint(),
            ..self.clone()
        })
    }
}

/// A rulebook that is being read for a detector, and what is wrong with it so far.
struct Reading<'a> {
    detector: &'a Detector,
    features: &'a [String],
    flaws: Vec<Flaw>,
}

type Lists = BTreeMap<String, Arc<Members>>;

impl Reading<'_> {
    fn add(&mut self, of: &str, message: String, hint: Option<String>) {
        self.flaws.push(Flaw { of: of.to_string(), column: None, message, hint });
    }

    fn lists(&mut self, written: &[List]) -> Lists {
        let mut lists = Lists::new();
        for list in written {
            let of = format!("list `{}`", list.name);
            if !is_identifier(&list.name) {
                let message = format!("the name is {:?}, expected letters, digits and _", list.name);
                self.add(&of, message, None);
            }
            let members = Arc::new(self.members(&of, list));
            if lists.insert(list.name.clone(), members).is_some() {
                self.add(&of, "is declared twice".into(), None);
            }
        }
        lists
    }

    fn members(&mut self, of: &str, list: &List) -> Members {
        let mut members = HashMap::with_capacity_and_hasher(list.entries.len(), Default::default());
        for entry in &list.entries {
            let expires = self.instant(of, "expires", entry.expires.as_deref()).unwrap_or(i64::MAX);
            let field = list.field.as_deref().unwrap_or_default();
            let value = self.detector.schema.known_as(field, &entry.value);
            if members.insert(Box::from(&*value), expires).is_some() {
                self.add(of, format!("holds {value:?} twice"), None);
            }
        }
        Members(members)
    }

    /// What the lists ask for, as rules: deny declines, allow approves, watch reviews.
    fn list_rules(&mut self, written: &[List], lists: &Lists) -> Vec<Rule> {
        let mut rules = Vec::new();
        for list in written {
            let of = format!("list `{}`", list.name);
            let slot = list.field.as_deref().and_then(|field| self.text_slot(&of, "field", field));
            let Some(outcome) = list.kind.outcome() else { continue };
            if list.field.is_none() {
                self.add(&of, "lacks the key `field`".into(), Some("only plain lists need none".into()));
            }
            let Some(slot) = slot else { continue };
            let field = list.field.as_deref().unwrap_or_default();
            rules.push(Rule {
                name: format!("list:{}", list.name),
                when: BoolExpr::Listed(TextExpr::Field(slot), Arc::clone(&lists[&list.name])),
                text: format!("{field} in lists.{}", list.name),
                outcome,
                shadow: false,
            });
        }
        rules
    }

    fn text_slot(&mut self, of: &str, key: &str, field: &str) -> Option<usize> {
        let fields = &self.detector.schema.fields;
        let slot = fields.iter().find(|known| known.name == field).and_then(|known| known.kind.text_slot());
        if slot.is_none() {
            let texts = || fields.iter().filter(|known| known.kind.text_slot().is_some());
            let hint = nearest(field, texts().map(|known| known.name.as_str()));
            let hint = hint.map(|candidate| format!("did you mean `{candidate}`?"));
            self.add(of, format!("`{key}` is {field:?}, expected an id or category field"), hint);
        }
        slot
    }

    fn rules(&mut self, written: &[WrittenRule], lists: &Lists) -> Vec<Rule> {
        let mut names = BTreeSet::new();
        let mut rules = Vec::new();
        for rule in written {
            let of = format!("rule `{}`", rule.name);
            if !names.insert(&rule.name) {
                self.add(&of, "is declared twice".into(), None);
            }
            self.rule_name(&of, &rule.name);
            let conditions = [self.period(&of, rule), self.part(&of, rule), self.condition(&of, rule, lists)];
            if matches!(rule.stage, Stage::Draft | Stage::Retired) {
                continue;
            }
            let shadow = rule.stage == Stage::Shadow;
            rules.push(Rule {
                name: format!("{}{}", if shadow { "~" } else { "" }, rule.name),
                when: all_of(conditions.into_iter().flatten()),
                text: rule.when.trim().to_string(),
                outcome: rule.outcome,
                shadow,
            });
        }
        rules
    }

    /// Names of fired rules are kept in one text with commas, those of lists and of shadow rules with a sign before them.
    /// A name of the detector file is as it is.
    fn rule_name(&mut self, of: &str, name: &str) {
        let reserved = name.starts_with('~') || name.starts_with("list:");
        let split = name.contains(|letter: char| letter == ',' || letter.is_control());
        let of_file = self.detector.rules.iter().any(|rule| rule.name == name);
        if !of_file && (name.trim().is_empty() || reserved || split) {
            self.add(of, "the name must have a letter, no comma, and no ~ or list: before it".into(), None);
        }
    }

    fn condition(&mut self, of: &str, rule: &WrittenRule, lists: &Lists) -> Option<BoolExpr> {
        let schema = &self.detector.schema;
        let scope = Scope { schema, features: self.features, lists: lists.into(), has_score: true };
        let compiled = Parsed::new(&rule.when).and_then(|parsed| parsed.compile_bool(&scope));
        compiled
            .map_err(|error| {
                let (column, message, hint) = (Some(error.offset + 1), error.message, error.hint);
                self.flaws.push(Flaw { of: of.to_string(), column, message, hint });
            })
            .ok()
    }

    fn period(&mut self, of: &str, rule: &WrittenRule) -> Option<BoolExpr> {
        let from_us = self.instant(of, "from", rule.from.as_deref());
        let until_us = self.instant(of, "expires", rule.expires.as_deref());
        if let (Some(from), Some(until)) = (from_us, until_us)
            && from >= until
        {
            self.add(of, "`expires` is not after `from`".into(), None);
        }
        let (from_us, until_us) = (from_us.unwrap_or(i64::MIN), until_us.unwrap_or(i64::MAX));
        (rule.from.is_some() || rule.expires.is_some()).then_some(BoolExpr::During { from_us, until_us })
    }

    fn part(&mut self, of: &str, rule: &WrittenRule) -> Option<BoolExpr> {
        let slot = rule.share_by.as_deref().map(|field| self.text_slot(of, "share_by", field));
        let share = match (rule.stage, rule.share) {
            (Stage::Partial, None) => {
                self.add(of, "lacks the key `share`".into(), Some("the stage `partial` needs one".into()));
                return None;
            }
            (_, Some(share)) if !(0.0..=1.0).contains(&share) => {
                self.add(of, format!("`share` is {share}, expected 0 to 1"), None);
                return None;
            }
            (Stage::Partial, Some(share)) => share,
            _ => return None,
        };
        let by = slot.unwrap_or(self.detector.schema.key).map_or(TextExpr::EventId, TextExpr::Field);
        let seed = foldhash::quality::FixedState::with_seed(SHARE_SEED).hash_one(rule.name.as_str());
        Some(BoolExpr::Share { by, seed, share })
    }

    fn instant(&mut self, of: &str, key: &str, text: Option<&str>) -> Option<i64> {
        let text = text?;
        let found = parse_instant(text);
        if found.is_none() {
            let message = format!("`{key}` is {text:?}, expected a time such as 2026-01-31T12:00:00Z");
            self.add(of, message, None);
        }
        found
    }

    fn budget_score(&mut self, found: Option<&BudgetScore>) {
        let Some(BudgetScore { score_min, .. }) = found else { return };
        if !(score_min.is_finite() && *score_min >= 0.0) {
            let message = format!("`score_min` is {score_min}, expected a score");
            self.add("the budget score", message, None);
        }
    }

    fn policy(&mut self, policy: &Policy) {
        let (pair, most) = match policy.basis {
            Basis::Thresholds { review, decline } => ([("review", review), ("decline", decline)], 1.0),
            Basis::Costs { review, false_decline } => {
                ([("review", review), ("false_decline", false_decline)], 1e9)
            }
        };
        let budget = policy.daily_review_budget.map(|budget| ("daily_review_budget", budget, 1e9));
        let numbers = pair.into_iter().map(|(key, number)| (key, number, most)).chain(budget);
        for (key, number, most) in numbers {
            if !(0.0..=most).contains(&number) {
                self.add("the policy", format!("`{key}` is {number}, expected 0 to {most}"), None);
            }
        }
        if let Basis::Thresholds { review, decline } = policy.basis
            && review > decline
        {
            let message = format!("`review` {review} is above `decline` {decline}");
            self.add("the policy", message, None);
        }
    }
}

fn all_of(conditions: impl Iterator<Item = BoolExpr>) -> BoolExpr {
    let both = |a, b| BoolExpr::And(Box::new(a), Box::new(b));
    conditions.reduce(both).unwrap_or(BoolExpr::Constant(false))
}

fn is_identifier(name: &str) -> bool {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') && name.chars().all(is_letter)
}
