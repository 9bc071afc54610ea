//! Why a transaction looks suspicious: the features that add most to its score, and what they say in words.

use crate::detector::{Aggregate, Definition, Detector, Feature, FieldKind, Source, Window};
use crate::expression::{Arithmetic, BoolExpr, Calendar, NumberExpr};
use crate::time::{DAY_US, HOUR_US, SECOND_US};

/// What a person reads at a glance.
pub const REASONS_MAX: usize = 4;

/// An amount this many times a mean is told as such; below, the mean says more.
const NOTABLE_RATIO: f64 = 1.5;

/// A feature that speaks for fraud.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reason {
    /// Its column.
    pub feature: usize,
    /// Its value; NaN is missing.
    pub value: f64,
    /// What it adds to the margin of the model, above 0: to the log-odds for boosting.
    pub contribution: f64,
}

/// Appends the features with the largest contributions above 0, largest first, at most [`REASONS_MAX`]. Of equal ones
/// the column to the left comes first.
pub fn pick(features: &[f64], contributions: &[f64], reasons: &mut Vec<Reason>) {
    let first = reasons.len();
    for (feature, (value, contribution)) in features.iter().zip(contributions).enumerate() {
        let smaller = |reason: &Reason| reason.contribution < *contribution;
        let at = reasons[first..].iter().position(smaller).map_or(reasons.len(), |at| first + at);
        if *contribution > 0.0 && at < first + REASONS_MAX {
            reasons.truncate(first + REASONS_MAX - 1);
            reasons.insert(at, Reason { feature, value: *value, contribution: *contribution });
        }
    }
}

/// Says what features of a transaction mean. It needs nothing but the detector, the amount in major units and the row of
/// the feature matrix, so that decisions can be told from what is stored of them.
#[derive(Clone, Copy)]
pub struct Narrator<'a> {
    /// The detector that the features are of.
    pub detector: &'a Detector,
    /// The transaction's amount.
    pub amount: f64,
    /// All of its features.
    pub features: &'a [f64],
}

impl Narrator<'_> {
    /// A feature in words: "amount is 6.2 times the card's 30-day mean".
    pub fn sentence(&self, feature: usize) -> String {
        let value = self.features[feature];
        let told = match &self.detector.features[feature].definition {
            _ if !value.is_finite() => None,
            Definition::Field(source) => self.field(*source, value),
            Definition::Window(window) => Some(self.window(window, value)),
            Definition::Expression(expression) => self.expression(expression, value),
        };
        told.unwrap_or_else(|| self.plain(feature, value))
    }

    fn plain(&self, feature: usize, value: f64) -> String {
        let name = &self.detector.features[feature].name;
        if value.is_finite() { format!("{name} is {}", short(value)) } else { format!("{name} is missing") }
    }

    fn field(&self, source: Source, value: f64) -> Option<String> {
        match source {
            Source::Amount => Some(format!("amount is {}", self.money(value))),
            Source::Text(slot) => {
                let code = self.detector.schema.fields.iter().find_map(|field| match &field.kind {
                    FieldKind::Category { slot: of, values } if *of == slot => values.get(value as usize),
                    _ => None,
                });
                code.map(|word| format!("{} is {word}", self.detector.schema.text_name(slot)))
            }
            Source::Label | Source::Number(_) | Source::Feature(_) => None,
        }
    }

    fn window(&self, window: &Window, value: f64) -> String {
        let told = self.window_of_all(window, value);
        match &window.condition {
            Some(condition) => format!("{told}, counting those with {}", condition.text),
            None => told,
        }
    }

    fn window_of_all(&self, window: &Window, value: f64) -> String {
        let (entity, span) = (self.entity(window), span(window));
        let earlier = if window.exclude_current { "earlier " } else { "" };
        match (window.aggregate, window.of) {
            (Aggregate::Count, _) => {
                let events = if value == 1.0 { "transaction" } else { "transactions" };
                format!("{} {earlier}{events} of the {entity} {span}", short(value))
            }
            (Aggregate::Sum, Some(Source::Label)) => {
                let were = if value == 1.0 { "was" } else { "were" };
                format!("{} of the {entity}'s transactions {span} {were} fraud", short(value))
            }
            (Aggregate::Mean, Some(Source::Label)) => {
                format!("{} % of the {entity}'s transactions {span} were fraud", short(100.0 * value))
            }
            (Aggregate::Mean, Some(Source::Amount))
                if self.amount >= NOTABLE_RATIO * value && value > 0.0 =>
            {
                format!("amount is {} times {}", short(self.amount / value), self.quantity(window))
            }
            (Aggregate::Distinct, Some(source)) => {
                let things = plural(&self.noun(source), value);
                format!("{} different {things} of the {entity} {span}", short(value))
            }
            (Aggregate::TimeSinceLast, of) => {
                format!("{} since the {entity}'s last {}", elapsed(value), event_noun(of))
            }
            (Aggregate::TimeSinceFirst, of) => {
                format!("{} since the {entity}'s first {} {span}", elapsed(value), event_noun(of))
            }
            (Aggregate::RateRatio, _) => {
                let usual = window.baseline_us.map_or(String::new(), long);
                let things =
                    window.of.map_or("many transactions".into(), |of| format!("much {}", self.noun(of)));
                format!("{} times as {things} of the {entity} {span} as usual in {usual}", short(value))
            }
            (_, of) => {
                let value = if of == Some(Source::Amount) { self.money(value) } else { short(value) };
                format!("{} is {value}", self.quantity(window))
            }
        }
    }

    fn expression(&self, expression: &NumberExpr, value: f64) -> Option<String> {
        match expression {
            NumberExpr::Calendar(Calendar::Hour) => Some(format!("it is {} o'clock UTC", short(value))),
            NumberExpr::Truth(truth) => truth_words(truth, value == 1.0).map(str::to_string),
            NumberExpr::Arithmetic(Arithmetic::Divide, above, below) => self.division(above, below, value),
            _ => None,
        }
    }

    fn division(&self, above: &NumberExpr, below: &NumberExpr, value: f64) -> Option<String> {
        match above {
            _ if self.is_amount(above) => {
                let of = self.window_of(below)?;
                Some(format!("amount is {} times {}", short(value), self.quantity(of)))
            }
            NumberExpr::Arithmetic(Arithmetic::Subtract, from, mean)
                if self.is_amount(from) && self.is_deviation(below) =>
            {
                let mean = self.window_of(mean)?;
                let side = if value < 0.0 { "below" } else { "above" };
                let distance = short(value.abs());
                Some(format!("amount is {distance} standard deviations {side} {}", self.quantity(mean)))
            }
            _ => None,
        }
    }

    /// Whether it is the amount, of the event or passed on as a feature.
    fn is_amount(&self, expression: &NumberExpr) -> bool {
        match expression {
            NumberExpr::Amount => true,
            NumberExpr::Feature(feature) => {
                let definition = &self.detector.features[*feature].definition;
                matches!(definition, Definition::Field(Source::Amount))
            }
            _ => false,
        }
    }

    /// Whether it is a standard deviation, or one with something added against division by 0.
    fn is_deviation(&self, expression: &NumberExpr) -> bool {
        match expression {
            NumberExpr::Arithmetic(Arithmetic::Add, a, b) => {
                matches!(**b, NumberExpr::Constant(_)) && self.is_deviation(a)
            }
            _ => self.window_of(expression).is_some_and(|window| window.aggregate == Aggregate::Std),
        }
    }

    /// The window of a feature of amounts that an expression reads and does nothing with.
    fn window_of(&self, expression: &NumberExpr) -> Option<&Window> {
        let NumberExpr::Feature(feature) = expression else { return None };
        match &self.detector.features[*feature].definition {
            Definition::Window(window) if window.of == Some(Source::Amount) => Some(window),
            _ => None,
        }
    }

    /// What a window measures, as a noun: "the card's 30-day mean".
    fn quantity(&self, window: &Window) -> String {
        let entity = self.entity(window);
        let what = statistic(window.aggregate);
        let of = match window.of {
            None | Some(Source::Amount) => String::new(),
            Some(source) => format!(" of {}", self.noun(source)),
        };
        let before = if window.exclude_current { " before it" } else { "" };
        match window.aggregate {
            Aggregate::Last => {
                format!("the {entity}'s last {}", window.of.map_or("value".into(), |s| self.noun(s)))
            }
            _ => format!("the {entity}'s {} {what}{of}{before}", adjective(window.window_us)),
        }
    }

    /// What a feature is, without a value: "mean amount of the card in 30 days".
    pub fn meaning(detector: &Detector, feature: usize) -> String {
        let narrator = Narrator { detector, amount: f64::NAN, features: &[] };
        let Feature { definition, text, .. } = &detector.features[feature];
        match definition {
            Definition::Field(source) => format!("{} of the transaction", narrator.noun(*source)),
            Definition::Window(window) => narrator.meaning_of(window),
            Definition::Expression(_) => text.clone(),
        }
    }

    fn meaning_of(&self, window: &Window) -> String {
        let (entity, span) = (self.entity(window), span(window));
        let of = window.of.map_or("value".into(), |source| self.noun(source));
        let told = match window.aggregate {
            Aggregate::Count => format!("transactions of the {entity} {span}"),
            Aggregate::Sum if window.of == Some(Source::Label) => {
                format!("frauds among the {entity}'s transactions {span}")
            }
            Aggregate::Mean if window.of == Some(Source::Label) => {
                format!("share of fraud among the {entity}'s transactions {span}")
            }
            Aggregate::Distinct => format!("different {} of the {entity} {span}", plural(&of, 2.0)),
            Aggregate::Last => format!("{of} of the {entity}'s transaction before"),
            Aggregate::TimeSinceLast => {
                format!("seconds since the {entity}'s last {}", event_noun(window.of))
            }
            Aggregate::TimeSinceFirst => {
                format!("seconds since the {entity}'s first {} {span}", event_noun(window.of))
            }
            Aggregate::RateRatio => {
                let usual = window.baseline_us.map_or(String::new(), long);
                let what = window.of.map_or("transactions".into(), |source| self.noun(source));
                format!("{what} of the {entity} per time {span} over the same in {usual}")
            }
            Aggregate::Sum | Aggregate::Std => {
                format!("{} of {of} of the {entity} {span}", statistic(window.aggregate))
            }
            Aggregate::Mean | Aggregate::Min | Aggregate::Max => {
                format!("{} {of} of the {entity} {span}", statistic(window.aggregate))
            }
        };
        let earlier = if window.exclude_current { ", without this one" } else { "" };
        let counted =
            window.condition.as_ref().map(|condition| format!(", of those with {}", condition.text));
        format!("{told}{earlier}{}", counted.unwrap_or_default())
    }

    /// "card" for the field `card_id`.
    fn entity(&self, window: &Window) -> String {
        self.noun(Source::Text(window.by))
    }

    fn noun(&self, source: Source) -> String {
        let name = match source {
            Source::Label => "fraud",
            other => self.detector.source_name(other),
        };
        name.strip_suffix("_id").unwrap_or(name).replace('_', " ")
    }

    fn money(&self, value: f64) -> String {
        let schema = &self.detector.schema;
        format!("{value:.*} {}", schema.amount_decimals as usize, schema.currency)
    }
}

/// "standard deviation" for `std`.
fn statistic(aggregate: Aggregate) -> &'static str {
    match aggregate {
        Aggregate::Std => "standard deviation",
        Aggregate::Max => "maximum",
        Aggregate::Min => "minimum",
        other => other.name(),
    }
}

/// What is looked for among events.
fn event_noun(of: Option<Source>) -> &'static str {
    if of == Some(Source::Label) { "known fraud" } else { "transaction" }
}

fn truth_words(truth: &BoolExpr, holds: bool) -> Option<&'static str> {
    match (truth, holds) {
        (BoolExpr::IsNight, true) => Some("it is night"),
        (BoolExpr::IsNight, false) => Some("it is day"),
        (BoolExpr::IsWeekend, true) => Some("it is a weekend"),
        (BoolExpr::IsWeekend, false) => Some("it is a working day"),
        _ => None,
    }
}

/// When a window is: "in 7 days", "in 7 days up to 7 days ago".
fn span(window: &Window) -> String {
    let within = format!("in {}", long(window.window_us));
    if window.delay_us == 0 { within } else { format!("{within} up to {} ago", long(window.delay_us)) }
}

/// The largest unit that a length is a whole number of.
fn unit(us: i64) -> (i64, &'static str) {
    let units = [(DAY_US, "day"), (HOUR_US, "hour"), (60 * SECOND_US, "minute"), (SECOND_US, "second")];
    let whole = units.into_iter().find(|(unit, _)| us % unit == 0);
    whole.map_or((us / 1_000, "millisecond"), |(unit, name)| (us / unit, name))
}

/// "30 days", "1 hour".
fn long(us: i64) -> String {
    let (count, name) = unit(us);
    format!("{count} {}", plural(name, count as f64))
}

/// "30-day", "1-hour".
fn adjective(us: i64) -> String {
    let (count, name) = unit(us);
    format!("{count}-{name}")
}

/// Seconds, in the largest unit of which there is at least one.
fn elapsed(seconds: f64) -> String {
    let units = [(86_400.0, "day"), (3_600.0, "hour"), (60.0, "minute")];
    let (length, name) = units.into_iter().find(|(unit, _)| seconds >= *unit).unwrap_or((1.0, "second"));
    let count = short(seconds / length);
    let many = if count == "1" { 1.0 } else { 2.0 };
    format!("{count} {}", plural(name, many))
}

fn plural(noun: &str, count: f64) -> String {
    match noun.strip_suffix('y') {
        _ if count == 1.0 => noun.to_string(),
        Some(stem) if !stem.ends_with(['a', 'e', 'i', 'o', 'u']) => format!("{stem}ies"),
        _ => format!("{noun}s"),
    }
}

/// Two digits after the point below 1, one below 10, none from there on; no zeros at the end.
fn short(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 9.95 => 0,
        size if size >= 0.995 => 1,
        size if size >= 0.01 || size == 0.0 => 2,
        _ => return format!("{value:.1e}"),
    };
    let text = format!("{value:.digits$}");
    if digits == 0 { text } else { text.trim_end_matches('0').trim_end_matches('.').to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_contributions_come_first() {
        let mut reasons = vec![Reason { feature: 9, value: 0.0, contribution: 9.0 }];
        pick(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], &[0.1, 0.5, -2.0, 0.5, 0.2, 0.0, 0.3], &mut reasons);
        let picked: Vec<(usize, f64)> = reasons[1..].iter().map(|r| (r.feature, r.contribution)).collect();
        assert_eq!(picked, [(1, 0.5), (3, 0.5), (6, 0.3), (4, 0.2)]);
        assert_eq!(reasons[0].feature, 9);
    }

    #[test]
    fn numbers_are_short() {
        let told = [14.0, 6.24, 1.0, 0.384, 0.0, 1234.5, -3.06, 0.0004].map(short);
        assert_eq!(told, ["14", "6.2", "1", "0.38", "0", "1234", "-3.1", "4.0e-4"]);
    }

    #[test]
    fn lengths_are_told_in_words() {
        assert_eq!(long(30 * DAY_US), "30 days");
        assert_eq!(adjective(HOUR_US), "1-hour");
        assert_eq!(
            [1.0, 42.0, 90.0, 7_200.0].map(elapsed),
            ["1 second", "42 seconds", "1.5 minutes", "2 hours"]
        );
        assert_eq!(plural("country", 2.0), "countries");
    }
}
