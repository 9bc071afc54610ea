//! Rules, lists and policy over HTTP.

use engine::Rulebook;
use engine::decide::{BudgetScore, Policy};
use engine::rulebook::{self, Flaw, ListKind, Stage, WrittenRule};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::registry::rulebooks::Published;

/// The rules, lists and policy that decide.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RulesInForce {
    /// Number of the rulebook; 0 is the detector file's own.
    pub number: u64,
    /// What decisions name as the rules that they were made by.
    #[schema(example = "7d3c0f0e5ab1c2d4")]
    pub fingerprint: String,
    /// Who published it, when and why; null for the detector file's own.
    pub published: Option<RulebookNote>,
    /// Rules, in the order in which they are listed as fired.
    pub rules: Vec<RuleText>,
    /// Lists, without what is on them.
    pub lists: Vec<ListInShort>,
    /// How a score becomes an outcome.
    #[schema(value_type = PolicyText)]
    pub policy: Policy,
    /// What its review budget means for the model that was in use when it was set; null where that is the training's to say.
    pub budget_score: Option<BudgetScoreText>,
}

/// The least score of a review that a budget means for a model.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct BudgetScoreText {
    /// Id of the model.
    pub model: String,
    /// Below it nothing is sent to review.
    pub score_min: f64,
}

/// A rulebook's place in the history.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RulebookNote {
    /// Counts up from 1.
    pub number: u64,
    /// When, as RFC 3339.
    pub at: String,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// What was done, in a few words.
    pub change: String,
    /// What decisions made by it name as their rules.
    pub fingerprint: String,
}

/// All rulebooks of the detector.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RulebookHistory {
    /// The newest one first.
    pub rulebooks: Vec<RulebookNote>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RuleText {
    /// Its name: what decisions list as fired.
    #[schema(example = "large_at_night")]
    pub name: String,
    /// The condition, in CEL.
    #[schema(example = "tx_amount > 500.0")]
    pub when: String,
    /// What it asks for.
    #[schema(value_type = super::Outcome)]
    pub outcome: engine::Outcome,
    /// How far it has come: `draft`, `shadow`, `partial`, `live` or `retired`.
    #[schema(value_type = String, example = "live")]
    pub stage: Stage,
    /// In the stage `partial`: for which part it asks, 0 to 1.
    pub share: Option<f64>,
    /// In the stage `partial`: the field whose values are in or out as a whole; the detector's key if none is named.
    pub share_by: Option<String>,
    /// The first event time at which it holds, as RFC 3339.
    pub from: Option<String>,
    /// The first event time at which it holds no longer, as RFC 3339.
    pub expires: Option<String>,
    /// Who answers for it.
    pub owner: String,
    /// Why it is there.
    pub reason: String,
}

/// A list, without what is on it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ListInShort {
    /// Its name.
    #[schema(example = "blocked_terminals")]
    pub name: String,
    /// What it asks for: `allow`, `deny`, `watch`, or nothing (`plain`).
    #[schema(value_type = String, example = "deny")]
    pub kind: ListKind,
    /// The field whose values it holds.
    pub field: Option<String>,
    /// Who answers for it.
    pub owner: String,
    /// Values on it.
    pub entries: u64,
}

/// What is on a list.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ListPage {
    /// The list.
    pub list: ListInShort,
    /// Values that were asked for, in the order in which they were put there.
    #[schema(value_type = Vec<ListEntry>)]
    pub entries: Vec<rulebook::Entry>,
    /// Values on it that contain the text asked for.
    pub found: u64,
}

/// A value on a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ListEntry {
    /// The value. A card number is kept as its token.
    #[schema(example = "T17")]
    pub value: String,
    /// Why it is there; the request's reason if none is given.
    #[serde(default)]
    pub reason: String,
    /// Who put it there; whoever asks if nobody is named.
    #[serde(default)]
    pub owner: String,
    /// The first event time at which it is there no longer, as RFC 3339.
    #[serde(default)]
    pub expires: Option<String>,
}

/// A request that somebody signs. Each of them spells `by`, `reason` and `after` out: serde's `flatten` would take them from one
/// place, but excludes `deny_unknown_fields`, and a misspelt field of a rule must not be passed over.
pub trait Signed {
    /// Who.
    fn by(&mut self) -> &mut String;
    /// Why.
    fn reason(&self) -> &str;
    /// The number of the rulebook that the change was made for.
    fn after(&self) -> Option<u64>;
}

macro_rules! signed {
    ($($request:ty),+) => {
        $(impl Signed for $request {
            fn by(&mut self) -> &mut String {
                &mut self.by
            }
            fn reason(&self) -> &str {
                &self.reason
            }
            fn after(&self) -> Option<u64> {
                self.after
            }
        })+
    };
}

signed!(
    RuleRequest,
    StageRequest,
    ListRequest,
    EntriesRequest,
    RemovalRequest,
    PolicyRequest,
    RulebookRequest,
    ChangeRequest
);

/// A rule to be put in place.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"when": "tx_amount > 500.0", "outcome": "review", "stage": "shadow", "reason": "case 17", "by": "ada"}))]
pub struct RuleRequest {
    /// The condition, in CEL.
    pub when: String,
    /// What it asks for.
    #[schema(value_type = super::Outcome)]
    pub outcome: engine::Outcome,
    /// How far it has come: `draft`, `shadow`, `partial`, `live` or `retired`.
    #[serde(default)]
    #[schema(value_type = String)]
    pub stage: Stage,
    /// In the stage `partial`: for which part it asks, 0 to 1.
    #[serde(default)]
    pub share: Option<f64>,
    /// In the stage `partial`: the field whose values are in or out as a whole; the detector's key if none is named.
    #[serde(default)]
    pub share_by: Option<String>,
    /// The first event time at which it holds, as RFC 3339.
    #[serde(default)]
    pub from: Option<String>,
    /// The first event time at which it holds no longer, as RFC 3339.
    #[serde(default)]
    pub expires: Option<String>,
    /// Who answers for it; whoever asks if nobody is named.
    #[serde(default)]
    pub owner: String,
    /// Who changes it; counts only where nobody is asked who they are.
    #[serde(default)]
    pub by: String,
    /// Why: it stands in the history.
    #[serde(default)]
    pub reason: String,
    /// The number of the rulebook that the change was made for: refused if another holds by now.
    #[serde(default)]
    pub after: Option<u64>,
}

/// Another stage for a rule.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"stage": "partial", "share": 0.1, "reason": "no complaints in the shadow", "by": "ada"}))]
pub struct StageRequest {
    /// `draft`, `shadow`, `partial`, `live` or `retired`.
    #[schema(value_type = String)]
    pub stage: Stage,
    /// With `partial`: for which part of the keys it decides, 0 to 1.
    #[serde(default)]
    pub share: Option<f64>,
    /// Who changes it; counts only where nobody is asked who they are.
    #[serde(default)]
    pub by: String,
    /// Why: it stands in the history.
    #[serde(default)]
    pub reason: String,
    /// The number of the rulebook that the change was made for: refused if another holds by now.
    #[serde(default)]
    pub after: Option<u64>,
}

/// A list to be made, or what another is to ask for.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"kind": "deny", "field": "terminal_id", "reason": "case 17", "by": "ada"}))]
pub struct ListRequest {
    /// `allow`, `deny`, `watch` or `plain`.
    #[schema(value_type = String)]
    pub kind: ListKind,
    /// The field whose values it holds; only plain lists need none.
    #[serde(default)]
    pub field: Option<String>,
    /// Who answers for it; whoever asks if nobody is named.
    #[serde(default)]
    pub owner: String,
    /// Who changes it; counts only where nobody is asked who they are.
    #[serde(default)]
    pub by: String,
    /// Why: it stands in the history.
    #[serde(default)]
    pub reason: String,
    /// The number of the rulebook that the change was made for: refused if another holds by now.
    #[serde(default)]
    pub after: Option<u64>,
}

/// Values for a list.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"entries": [{"value": "T17", "expires": "2027-01-01T00:00:00Z"}], "reason": "case 17", "by": "ada"}))]
pub struct EntriesRequest {
    /// What is to be on it.
    pub entries: Vec<ListEntry>,
    /// Who changes it; counts only where nobody is asked who they are.
    #[serde(default)]
    pub by: String,
    /// Why: it stands in the history.
    #[serde(default)]
    pub reason: String,
    /// The number of the rulebook that the change was made for: refused if another holds by now.
    #[serde(default)]
    pub after: Option<u64>,
}

/// Values to be taken off a list.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"values": ["T17"], "reason": "terminal was replaced", "by": "ada"}))]
pub struct RemovalRequest {
    /// The values. A card may be named by its number.
    pub values: Vec<String>,
    /// Who changes it; counts only where nobody is asked who they are.
    #[serde(default)]
    pub by: String,
    /// Why: it stands in the history.
    #[serde(default)]
    pub reason: String,
    /// The number of the rulebook that the change was made for: refused if another holds by now.
    #[serde(default)]
    pub after: Option<u64>,
}

/// A change that needs no more to be said.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "the change of noon declines too much", "by": "ada"}))]
pub struct ChangeRequest {
    /// Who changes it; counts only where nobody is asked who they are.
    #[serde(default)]
    pub by: String,
    /// Why: it stands in the history.
    #[serde(default)]
    pub reason: String,
    /// The number of the rulebook that the change was made for: refused if another holds by now.
    #[serde(default)]
    pub after: Option<u64>,
}

/// How a score is to become an outcome.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"policy": {"basis": {"costs": {"review": 5.0, "false_decline": 20.0}}, "daily_review_budget": null},
    "reason": "reviews cost more now", "by": "ada"}))]
pub struct PolicyRequest {
    /// The policy.
    #[schema(value_type = PolicyText)]
    pub policy: Policy,
    /// Who changes it; counts only where nobody is asked who they are.
    #[serde(default)]
    pub by: String,
    /// Why: it stands in the history.
    #[serde(default)]
    pub reason: String,
    /// The number of the rulebook that the change was made for: refused if another holds by now.
    #[serde(default)]
    pub after: Option<u64>,
}

/// A rulebook as a whole.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"rulebook": {"rules": [{"name": "large", "when": "tx_amount > 500.0", "outcome": "review"}]},
    "reason": "a new beginning", "by": "ada"}))]
pub struct RulebookRequest {
    /// As `GET /v1/rulebooks/{number}` gives it.
    #[schema(value_type = Object)]
    pub rulebook: Rulebook,
    /// Who changes it; counts only where nobody is asked who they are.
    #[serde(default)]
    pub by: String,
    /// Why: it stands in the history.
    #[serde(default)]
    pub reason: String,
    /// The number of the rulebook that the change was made for: refused if another holds by now.
    #[serde(default)]
    pub after: Option<u64>,
}

/// A rulebook as a whole, with its place in the history.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct WholeRulebook {
    /// Its place in the history; null for the detector file's own.
    pub published: Option<RulebookNote>,
    /// Rules, lists with what is on them, policy.
    #[schema(value_type = Object)]
    pub rulebook: Rulebook,
}

/// How a score becomes an outcome.
#[derive(Debug, Clone, PartialEq, ToSchema)]
pub struct PolicyText {
    /// Scores, or the costs that they follow from.
    basis: BasisText,
    /// Reviews a day that people can do: the champion's least score for a review follows from it when the policy is set, and that of
    /// later models from their training.
    daily_review_budget: Option<f64>,
}

/// What a policy decides by.
#[derive(Debug, Clone, PartialEq, ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "says in the document what the engine's policy looks like")]
pub enum BasisText {
    /// Scores from which a transaction is reviewed and declined, 0 to 1.
    Thresholds { review: f64, decline: f64 },
    /// The least expected cost, in the currency's major units: of a review, and of declining a genuine transaction.
    Costs { review: f64, false_decline: f64 },
}

impl RulesInForce {
    /// Of a rulebook in force.
    pub fn of(made: Published) -> RulesInForce {
        RulesInForce {
            number: made.number,
            fingerprint: made.fingerprint.clone(),
            lists: made.rulebook.lists.iter().map(|list| ListInShort::of(list, &made)).collect(),
            policy: made.rulebook.policy,
            budget_score: made.rulebook.budget_score.clone().map(BudgetScoreText::from),
            rules: made.rulebook.rules.iter().cloned().map(RuleText::from).collect(),
            published: RulebookNote::of(made),
        }
    }
}

impl From<BudgetScore> for BudgetScoreText {
    fn from(BudgetScore { model, score_min }: BudgetScore) -> BudgetScoreText {
        BudgetScoreText { model, score_min }
    }
}

impl RulebookNote {
    /// Of a rulebook; `None` for the detector file's own, which nobody published.
    pub fn of(made: Published) -> Option<RulebookNote> {
        let Published { number, at, by, reason, change, fingerprint, .. } = made;
        (number > 0).then_some(RulebookNote { number, at, by, reason, change, fingerprint })
    }
}

impl From<WrittenRule> for RuleText {
    fn from(rule: WrittenRule) -> RuleText {
        let WrittenRule { name, when, outcome, stage, share, share_by, from, expires, owner, reason } = rule;
        RuleText { name, when, outcome, stage, share, share_by, from, expires, owner, reason }
    }
}

impl ListInShort {
    /// Of a list of a rulebook.
    pub fn of(list: &rulebook::List, made: &Published) -> ListInShort {
        ListInShort {
            name: list.name.clone(),
            kind: list.kind,
            field: list.field.clone(),
            owner: list.owner.clone(),
            entries: made.values_on(list) as u64,
        }
    }
}

impl RuleRequest {
    /// The rule of this name.
    pub fn rule(self, name: String) -> WrittenRule {
        let RuleRequest { when, outcome, stage, share, share_by, from, expires, owner, by, reason, .. } =
            self;
        let owner = if owner.is_empty() { by } else { owner };
        WrittenRule { name, when, outcome, stage, share, share_by, from, expires, owner, reason }
    }
}

impl ListEntry {
    /// As it is kept: signed by whoever puts it there, unless it says otherwise.
    pub fn signed(self, by: &str, reason: &str) -> rulebook::Entry {
        let or = |text: String, other: &str| if text.is_empty() { other.to_string() } else { text };
        rulebook::Entry {
            value: self.value,
            reason: or(self.reason, reason),
            owner: or(self.owner, by),
            expires: self.expires,
        }
    }
}

impl From<Flaw> for super::ProblemField {
    /// The field is what has the mistake, and the value what is wrong.
    fn from(flaw: Flaw) -> super::ProblemField {
        let at = flaw.column.map(|column| format!(", column {column}")).unwrap_or_default();
        let expected = flaw.hint.unwrap_or_else(|| "a rulebook that fits the detector".to_string());
        super::ProblemField { field: format!("{}{at}", flaw.of), value: flaw.message, expected }
    }
}
