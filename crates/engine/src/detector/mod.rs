//! The detector file: one definition of event, features, rules and policy, used offline and online alike.
//!
//! [`Detector::parse`] reads the TOML of design section 4 and reports everything that is wrong with it at once. What
//! comes out needs no further checks: names are resolved to slots, expressions are typed and compiled.

mod event;
mod feature;
mod file;
mod fingerprint;
mod reader;
mod schema;

use std::collections::{BTreeMap, BTreeSet};

use crate::decide::{BudgetScore, Policy, Rule};
use crate::expression::{BoolExpr, NumberExpr};
use crate::model::Model;

pub(crate) use fingerprint::fingerprint;
pub use reader::Mistake;
pub(crate) use reader::nearest;
pub use schema::{Field, FieldKind, Schema, TimeFormat};

/// A detector: everything that turns an event into a decision, except the model.
#[derive(Debug, Clone)]
pub struct Detector {
    /// Its name.
    pub name: String,
    /// What an event looks like.
    pub schema: Schema,
    /// The model's inputs in order: one column of the feature matrix each.
    pub features: Vec<Feature>,
    /// Rules in the order of the file.
    pub rules: Vec<Rule>,
    /// Lists of the file, as `lists.NAME` in its expressions.
    pub lists: BTreeMap<String, Vec<String>>,
    /// How a score becomes an outcome.
    pub policy: Policy,
    /// What its review budget means for a model that was trained with another.
    pub budget_score: Option<BudgetScore>,
    /// Identifies the feature list: a model trained on another is refused.
    pub feature_fingerprint: String,
    /// Identifies rules and policy.
    pub rules_fingerprint: String,
}

/// One column of the feature matrix.
#[derive(Debug, Clone)]
pub struct Feature {
    /// The column's name.
    pub name: String,
    /// How its value comes about.
    pub definition: Definition,
    /// Its expression as the file writes it; empty of a field or a window.
    pub text: String,
    /// The columns that the definition itself reads, all to the left of it.
    pub reads: Vec<usize>,
}

/// How the value of a feature comes about.
#[derive(Debug, Clone)]
pub enum Definition {
    /// A field of the event as it is.
    Field(Source),
    /// An aggregate over the past of an entity.
    Window(Window),
    /// An expression over the event and earlier features.
    Expression(NumberExpr),
}

/// An aggregate of one entity over `(t - delay - window, t - delay]`.
#[derive(Debug, Clone)]
pub struct Window {
    /// Text slot of the entity's id.
    pub by: usize,
    /// What is computed.
    pub aggregate: Aggregate,
    /// What it is computed of; `None` where the aggregate needs nothing (count, time since last).
    pub of: Option<Source>,
    /// Length of the window.
    pub window_us: i64,
    /// Length of the longer window that a rate ratio compares with.
    pub baseline_us: Option<i64>,
    /// How far back the window ends.
    pub delay_us: i64,
    /// Leave the event itself out.
    pub exclude_current: bool,
    /// The value where the window holds nothing to compute from; NaN is "missing".
    pub empty: f64,
    /// Which events are in it; all of the entity's if `None`.
    pub condition: Option<Condition>,
}

/// What must hold of an event, at its own time, to be in a window.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// As the file writes it.
    pub text: String,
    /// Over the event and the features to the left.
    pub test: BoolExpr,
}

/// A value that an event carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// The amount, in major units as a feature, in minor units inside windows.
    Amount,
    /// Fraud (1) or not known to be (0).
    Label,
    /// A number or boolean field, by slot; windows keep it in millionths.
    Number(usize),
    /// An id or category field, by slot.
    Text(usize),
    /// What a feature was of the event at its own time, by column; windows keep it in millionths.
    Feature(usize),
}

/// What can be computed over a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Aggregate {
    /// Events.
    Count,
    /// Sum of a value.
    Sum,
    /// Mean of a value.
    Mean,
    /// Least value.
    Min,
    /// Greatest value.
    Max,
    /// Sample standard deviation (n - 1).
    Std,
    /// Different values.
    Distinct,
    /// The value of the event before this one.
    Last,
    /// Seconds since the event before this one; of the label, since the newest fraud.
    TimeSinceLast,
    /// Seconds since the oldest event before this one; of the label, since the oldest fraud.
    TimeSinceFirst,
    /// Events (or sum of a value) per time in the window, over the same in the baseline window.
    RateRatio,
}

impl Aggregate {
    /// All aggregates with the names they have in a detector file.
    pub const ALL: [(&'static str, Aggregate); 11] = [
        ("count", Aggregate::Count),
        ("sum", Aggregate::Sum),
        ("mean", Aggregate::Mean),
        ("min", Aggregate::Min),
        ("max", Aggregate::Max),
        ("std", Aggregate::Std),
        ("distinct", Aggregate::Distinct),
        ("last", Aggregate::Last),
        ("time_since_last", Aggregate::TimeSinceLast),
        ("time_since_first", Aggregate::TimeSinceFirst),
        ("rate_ratio", Aggregate::RateRatio),
    ];

    /// The aggregate of this name.
    pub fn from_name(name: &str) -> Option<Aggregate> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, aggregate)| *aggregate)
    }

    /// The name in a detector file.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, aggregate)| *aggregate == self).expect("ALL lists every aggregate").0
    }

    /// Whether it looks at one of the events before this one instead of a whole window.
    pub fn looks_at_previous(self) -> bool {
        matches!(self, Aggregate::Last | Aggregate::TimeSinceLast | Aggregate::TimeSinceFirst)
    }

    /// The value of an empty window unless the file says otherwise: nothing counted is 0, nothing measured is missing.
    pub fn default_empty(self) -> f64 {
        match self {
            Aggregate::Count | Aggregate::Sum | Aggregate::Mean | Aggregate::Distinct => 0.0,
            _ => f64::NAN,
        }
    }
}

impl Detector {
    /// The least score that a model's transactions are reviewed from: what the review budget in force means for it, or what its training
    /// found. 0 is no bound.
    pub fn review_score_min(&self, model: Option<&Model>) -> f64 {
        let Some(model) = model else { return 0.0 };
        let in_force = self.budget_score.as_ref().filter(|found| *found.model == *model.id);
        in_force.map_or(model.review_score_min, |found| found.score_min)
    }

    /// Reads a detector file.
    ///
    /// # Errors
    /// Every mistake in the file, in its order, each with line, column and, where one is known, a hint.
    pub fn parse(text: &str) -> Result<Detector, Vec<Mistake>> {
        file::parse(text)
    }

    /// The fields, by text slot, by whose windows the value of a column comes about: its own, and those of all that it reads.
    pub fn entities_behind(&self, column: usize) -> BTreeSet<usize> {
        let feature = &self.features[column];
        let own = match &feature.definition {
            Definition::Window(window) => Some(window.by),
            _ => None,
        };
        feature.reads.iter().flat_map(|read| self.entities_behind(*read)).chain(own).collect()
    }

    /// What a source is called: its field, or the feature that it was.
    pub fn source_name(&self, source: Source) -> &str {
        match source {
            Source::Amount => "amount",
            Source::Label => self.schema.label_field().unwrap_or("label"),
            Source::Text(slot) => self.schema.text_name(slot),
            Source::Number(slot) => {
                let field = self.schema.fields.iter().find(|field| field.kind.number_slot() == Some(slot));
                field.map_or("number", |field| field.name.as_str())
            }
            Source::Feature(column) => &self.features[column].name,
        }
    }

    /// The names of the feature matrix's columns.
    pub fn feature_names(&self) -> Vec<String> {
        self.features.iter().map(|feature| feature.name.clone()).collect()
    }
}
