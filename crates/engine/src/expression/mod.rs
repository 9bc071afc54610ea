//! CEL expressions (Common Expression Language, cel.dev), type-checked at load and evaluated without allocation.
//!
//! The grammar is the `cel` crate's; what it parses is checked against the detector's fields and compiled to a small
//! typed tree, because an interpreter over dynamic values costs more than a whole forest. All numbers are doubles. A
//! number that is missing is NaN: comparisons with it are false, and a feature that is not finite becomes missing.

#![expect(missing_docs, reason = "the variants of a syntax tree are named after what they are")]

mod compile;

pub use compile::{ExpressionError, NamedLists, Parsed, Scope};

use std::sync::Arc;

use crate::event::EventBatch;
use crate::rulebook::{Members, is_in_share};
use crate::time;

/// What an expression may look at: one row of a batch and the features computed for it so far.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The batch that holds the event.
    pub batch: &'a EventBatch,
    /// The event's row.
    pub row: usize,
    /// The row of the feature matrix; columns to the right of the one being computed are unset.
    pub features: &'a [f64],
    /// The model's score; NaN before it is known or without a model.
    pub score: f64,
}

/// An expression that yields a number.
#[derive(Debug, Clone, PartialEq)]
pub enum NumberExpr {
    Constant(f64),
    Amount,
    Field(usize),
    Feature(usize),
    Score,
    Calendar(Calendar),
    Truth(Box<BoolExpr>),
    Negate(Box<NumberExpr>),
    Arithmetic(Arithmetic, Box<NumberExpr>, Box<NumberExpr>),
    Function(Function, Box<NumberExpr>),
    Least(Vec<NumberExpr>),
    Greatest(Vec<NumberExpr>),
    Coalesce(Box<NumberExpr>, Box<NumberExpr>),
    Length(TextExpr),
    If(Box<BoolExpr>, Box<NumberExpr>, Box<NumberExpr>),
}

/// An expression that yields true or false.
#[derive(Debug, Clone, PartialEq)]
pub enum BoolExpr {
    Constant(bool),
    Field(usize),
    IsWeekend,
    IsNight,
    Not(Box<BoolExpr>),
    And(Box<BoolExpr>, Box<BoolExpr>),
    Or(Box<BoolExpr>, Box<BoolExpr>),
    Same(Box<BoolExpr>, Box<BoolExpr>),
    Compare(Comparison, Box<NumberExpr>, Box<NumberExpr>),
    CompareText(Comparison, TextExpr, TextExpr),
    TextIn(TextExpr, Vec<String>),
    Listed(TextExpr, Arc<Members>),
    NumberIn(Box<NumberExpr>, Vec<f64>),
    TextTest(TextTest, TextExpr, TextExpr),
    IsMissing(Box<NumberExpr>),
    During { from_us: i64, until_us: i64 },
    Share { by: TextExpr, seed: u64, share: f64 },
    If(Box<BoolExpr>, Box<BoolExpr>, Box<BoolExpr>),
}

/// An expression that yields text.
#[derive(Debug, Clone, PartialEq)]
pub enum TextExpr {
    Constant(String),
    Field(usize),
    EventId,
}

/// Parts of the event time, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calendar {
    Hour,
    Weekday,
}

/// Arithmetic operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// Comparison operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Functions of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    Abs,
    Ceil,
    Floor,
    Round,
    Sqrt,
    Log,
    Log1p,
    Exp,
}

/// Tests of one text against another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextTest {
    StartsWith,
    EndsWith,
    Contains,
}

impl NumberExpr {
    /// The value for one event.
    pub fn evaluate(&self, cx: &Context) -> f64 {
        match self {
            NumberExpr::Constant(value) => *value,
            NumberExpr::Amount => cx.batch.amount(cx.row),
            NumberExpr::Field(slot) => cx.batch.number(cx.row, *slot),
            NumberExpr::Feature(index) => cx.features[*index],
            NumberExpr::Score => cx.score,
            NumberExpr::Calendar(part) => part.of(cx.batch.time_us(cx.row)),
            NumberExpr::Truth(truth) => f64::from(u8::from(truth.evaluate(cx))),
            NumberExpr::Negate(value) => -value.evaluate(cx),
            NumberExpr::Arithmetic(operator, a, b) => operator.apply(a.evaluate(cx), b.evaluate(cx)),
            NumberExpr::Function(function, value) => function.apply(value.evaluate(cx)),
            NumberExpr::Least(values) => values.iter().map(|v| v.evaluate(cx)).fold(f64::NAN, f64::min),
            NumberExpr::Greatest(values) => values.iter().map(|v| v.evaluate(cx)).fold(f64::NAN, f64::max),
            NumberExpr::Coalesce(value, otherwise) => {
                let value = value.evaluate(cx);
                if value.is_finite() { value } else { otherwise.evaluate(cx) }
            }
            NumberExpr::Length(text) => text.evaluate(cx).chars().count() as f64,
            NumberExpr::If(test, yes, no) => if test.evaluate(cx) { yes } else { no }.evaluate(cx),
        }
    }
}

impl BoolExpr {
    /// The value for one event.
    pub fn evaluate(&self, cx: &Context) -> bool {
        match self {
            BoolExpr::Constant(value) => *value,
            BoolExpr::Field(slot) => cx.batch.number(cx.row, *slot) == 1.0,
            BoolExpr::IsWeekend => time::is_weekend(cx.batch.time_us(cx.row)),
            BoolExpr::IsNight => time::is_night(cx.batch.time_us(cx.row)),
            BoolExpr::Not(value) => !value.evaluate(cx),
            BoolExpr::And(a, b) => a.evaluate(cx) && b.evaluate(cx),
            BoolExpr::Or(a, b) => a.evaluate(cx) || b.evaluate(cx),
            BoolExpr::Same(a, b) => a.evaluate(cx) == b.evaluate(cx),
            BoolExpr::Compare(comparison, a, b) => comparison.holds(&a.evaluate(cx), &b.evaluate(cx)),
            BoolExpr::CompareText(comparison, a, b) => comparison.holds(a.evaluate(cx), b.evaluate(cx)),
            BoolExpr::TextIn(text, sorted) => {
                let text = text.evaluate(cx);
                sorted.binary_search_by(|item| item.as_str().cmp(text)).is_ok()
            }
            BoolExpr::Listed(text, members) => members.contains(text.evaluate(cx), cx.batch.time_us(cx.row)),
            BoolExpr::NumberIn(number, items) => items.contains(&number.evaluate(cx)),
            BoolExpr::TextTest(test, text, part) => test.holds(text.evaluate(cx), part.evaluate(cx)),
            BoolExpr::During { from_us, until_us } => {
                (*from_us..*until_us).contains(&cx.batch.time_us(cx.row))
            }
            BoolExpr::Share { by, seed, share } => is_in_share(by.evaluate(cx), *seed, *share),
            BoolExpr::IsMissing(number) => !number.evaluate(cx).is_finite(),
            BoolExpr::If(test, yes, no) => if test.evaluate(cx) { yes } else { no }.evaluate(cx),
        }
    }
}

impl TextExpr {
    fn evaluate<'a>(&'a self, cx: &Context<'a>) -> &'a str {
        match self {
            TextExpr::Constant(text) => text,
            TextExpr::Field(slot) => cx.batch.text(cx.row, *slot),
            TextExpr::EventId => cx.batch.id(cx.row),
        }
    }
}

impl Calendar {
    fn of(self, time_us: i64) -> f64 {
        match self {
            Calendar::Hour => time::hour(time_us) as f64,
            Calendar::Weekday => time::weekday(time_us) as f64,
        }
    }
}

impl Arithmetic {
    fn apply(self, a: f64, b: f64) -> f64 {
        match self {
            Arithmetic::Add => a + b,
            Arithmetic::Subtract => a - b,
            Arithmetic::Multiply => a * b,
            Arithmetic::Divide => a / b,
            Arithmetic::Remainder => a % b,
        }
    }
}

impl Comparison {
    fn holds<T: PartialOrd + ?Sized>(self, a: &T, b: &T) -> bool {
        match self {
            Comparison::Equal => a == b,
            Comparison::NotEqual => a != b,
            Comparison::Less => a < b,
            Comparison::LessOrEqual => a <= b,
            Comparison::Greater => a > b,
            Comparison::GreaterOrEqual => a >= b,
        }
    }
}

impl Function {
    fn apply(self, value: f64) -> f64 {
        match self {
            Function::Abs => value.abs(),
            Function::Ceil => value.ceil(),
            Function::Floor => value.floor(),
            Function::Round => value.round(),
            Function::Sqrt => value.sqrt(),
            Function::Log => value.ln(),
            Function::Log1p => value.ln_1p(),
            Function::Exp => value.exp(),
        }
    }
}

impl TextTest {
    fn holds(self, text: &str, part: &str) -> bool {
        match self {
            TextTest::StartsWith => text.starts_with(part),
            TextTest::EndsWith => text.ends_with(part),
            TextTest::Contains => text.contains(part),
        }
    }
}
