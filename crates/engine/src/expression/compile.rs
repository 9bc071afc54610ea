//! From CEL's syntax tree to a typed one, with messages that say which part is wrong and why.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cel::common::ast::operators as op;
use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, SourceInfo};

use super::{Arithmetic, BoolExpr, Calendar, Comparison, Function, NumberExpr, TextExpr, TextTest};
use crate::detector::{FieldKind, Schema, nearest};
use crate::rulebook::Members;

/// Something wrong in an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpressionError {
    /// Where, in characters from the expression's start.
    pub offset: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// The names that an expression may use.
pub struct Scope<'a> {
    /// Fields of the event.
    pub schema: &'a Schema,
    /// Columns of the feature matrix.
    pub features: &'a [String],
    /// Named lists, as `lists.NAME`.
    pub lists: NamedLists<'a>,
    /// Whether `score` is known: in rules, not in features.
    pub has_score: bool,
}

/// Lists by name.
#[derive(Clone, Copy)]
pub enum NamedLists<'a> {
    /// Of a detector file: they stay as they are.
    File(&'a BTreeMap<String, Vec<String>>),
    /// Of a rulebook: their entries expire.
    Rulebook(&'a BTreeMap<String, Arc<Members>>),
}

impl<'a> From<&'a BTreeMap<String, Vec<String>>> for NamedLists<'a> {
    fn from(lists: &'a BTreeMap<String, Vec<String>>) -> Self {
        NamedLists::File(lists)
    }
}

impl<'a> From<&'a BTreeMap<String, Arc<Members>>> for NamedLists<'a> {
    fn from(lists: &'a BTreeMap<String, Arc<Members>>) -> Self {
        NamedLists::Rulebook(lists)
    }
}

impl<'a> NamedLists<'a> {
    fn nearest(self, name: &str) -> Option<&'a str> {
        match self {
            NamedLists::File(lists) => nearest(name, lists.keys().map(String::as_str)),
            NamedLists::Rulebook(lists) => nearest(name, lists.keys().map(String::as_str)),
        }
    }
}

/// An expression whose grammar is right.
pub struct Parsed {
    tree: IdedExpr,
    places: SourceInfo,
}

/// Brackets within brackets: bounds the stack that parsing takes.
const MAX_NESTING: u16 = 64;

/// Operators upon operators, as in a long sum: bounds the stack that compiling and evaluating takes.
const MAX_DEPTH: usize = 200;

/// The longest expression that is read: a page of text, far more than a rule should be.
const MAX_LENGTH: usize = 4_096;

const FUNCTIONS: [(&str, Function); 8] = [
    ("abs", Function::Abs),
    ("ceil", Function::Ceil),
    ("floor", Function::Floor),
    ("round", Function::Round),
    ("sqrt", Function::Sqrt),
    ("log", Function::Log),
    ("log1p", Function::Log1p),
    ("exp", Function::Exp),
];

const OTHER_FUNCTIONS: [&str; 12] = [
    "hour",
    "weekday",
    "is_weekend",
    "is_night",
    "min",
    "max",
    "coalesce",
    "is_missing",
    "size",
    "startsWith",
    "endsWith",
    "contains",
];

enum Typed {
    Number(NumberExpr),
    Bool(BoolExpr),
    Text(TextExpr),
    Time,
}

type Compiled<T> = Result<T, ExpressionError>;

impl Parsed {
    /// Parses an expression.
    ///
    /// # Errors
    /// What the grammar expected, and where.
    pub fn new(source: &str) -> Compiled<Parsed> {
        if source.len() > MAX_LENGTH {
            let message = format!("the expression has {} bytes, more than {MAX_LENGTH}", source.len());
            return Err(ExpressionError { offset: 0, message, hint: None });
        }
        let parser = cel::parser::Parser::new().max_recursion_depth(MAX_NESTING);
        match parser.parse_with_source_info(source) {
            Ok((tree, _)) if is_deeper(&tree.expr, MAX_DEPTH) => {
                let message = format!("the expression has more than {MAX_DEPTH} operations upon each other");
                let hint = Some("split it: a feature can read the features above it".to_string());
                Err(ExpressionError { offset: 0, message, hint })
            }
            Ok((tree, places)) => Ok(Parsed { tree, places }),
            Err(errors) => Err(syntax_error(source, &errors)),
        }
    }

    /// All identifiers, for finding out which features an expression reads.
    pub fn identifiers(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        collect_identifiers(&self.tree.expr, &mut names);
        names
    }

    /// Compiles to an expression that yields a number; true and false become 1 and 0.
    ///
    /// # Errors
    /// An unknown name or function, a wrong type, or CEL that a detector has no use for.
    pub fn compile_number(&self, scope: &Scope) -> Compiled<NumberExpr> {
        let compiler = Compiler { scope, places: &self.places };
        match compiler.typed(&self.tree)? {
            Typed::Number(number) => Ok(number),
            Typed::Bool(truth) => Ok(NumberExpr::Truth(Box::new(truth))),
            other => Err(compiler.wrong_type(&self.tree, "a number or true/false", &other)),
        }
    }

    /// Compiles to an expression that yields true or false.
    ///
    /// # Errors
    /// As [`Parsed::compile_number`].
    pub fn compile_bool(&self, scope: &Scope) -> Compiled<BoolExpr> {
        Compiler { scope, places: &self.places }.boolean(&self.tree)
    }
}

/// Says what is wrong in the words of somebody who writes a rule; the parser's own words list its tokens.
fn syntax_error(source: &str, errors: &cel::ParseErrors) -> ExpressionError {
    let grammar = errors.errors.iter().find(|error| error.msg.starts_with("Syntax error"));
    let Some(error) = grammar.or(errors.errors.first()) else {
        return ExpressionError { offset: 0, message: "not a CEL expression".to_string(), hint: None };
    };
    let (line, column) = (error.pos.0.max(1) as usize, error.pos.1.max(1) as usize);
    let before: usize = source.split('\n').take(line - 1).map(|l| l.chars().count() + 1).sum();
    let offset = (before + column - 1).min(source.chars().count());
    let (message, hint) = explain(error.msg.trim(), source, offset);
    ExpressionError { offset, message, hint }
}

fn explain(detail: &str, source: &str, offset: usize) -> (String, Option<String>) {
    let token = token_at(source, offset);
    if detail.contains("Recursion limit") {
        return (format!("the expression is nested more than {MAX_NESTING} deep"), None);
    }
    if detail.starts_with("invalid int literal") || detail.starts_with("invalid uint literal") {
        return (format!("`{token}` is too large for a whole number"), Some("write 1e20".to_string()));
    }
    let Some(detail) = detail.strip_prefix("Syntax error: ") else { return (detail.to_string(), None) };
    if let Some(missing) = detail.strip_prefix("missing '").and_then(|rest| rest.split('\'').next()) {
        return (format!("a `{missing}` is missing"), None);
    }
    let expects_value = detail.contains("NUM_FLOAT");
    match token {
        "" if source.trim().is_empty() => ("the expression is empty".to_string(), None),
        "" if expects_value => ("the expression ends where a value is expected".to_string(), None),
        "" => ("the expression ends too early".to_string(), None),
        "'" | "\"" => ("the text that starts here does not end".to_string(), None),
        _ if expects_value => (format!("unexpected `{token}`: a value is expected here"), None),
        _ => (format!("unexpected `{token}`"), operator_hint(token)),
    }
}

fn operator_hint(token: &str) -> Option<String> {
    let meant = match token {
        "=" => "==",
        "&" | "and" | "AND" => "&&",
        "|" | "or" | "OR" => "||",
        "not" | "NOT" => "!",
        _ if token.starts_with(|c: char| c.is_alphanumeric()) => {
            return Some("two values need an operator between them".to_string());
        }
        _ => return None,
    };
    Some(format!("did you mean `{meant}`?"))
}

/// The word, number or sign at a place; empty at the end.
fn token_at(source: &str, offset: usize) -> &str {
    let start = source.char_indices().nth(offset).map_or(source.len(), |(at, _)| at);
    let rest = &source[start..];
    let number = rest.starts_with(|c: char| c.is_ascii_digit());
    let ends = |c: char| !c.is_alphanumeric() && c != '_' && !(number && c == '.');
    let word = rest.find(ends).unwrap_or(rest.len());
    let sign = rest.chars().next().map_or(0, char::len_utf8);
    &rest[..word.max(sign)]
}

fn is_deeper(expr: &Expr, allowed: usize) -> bool {
    let Some(allowed) = allowed.checked_sub(1) else { return true };
    let deeper = |inner: &IdedExpr| is_deeper(&inner.expr, allowed);
    match expr {
        Expr::Call(call) => call.target.iter().any(|target| deeper(target)) || call.args.iter().any(deeper),
        Expr::List(list) => list.elements.iter().any(deeper),
        Expr::Select(select) => deeper(&select.operand),
        _ => false,
    }
}

fn collect_identifiers(expr: &Expr, names: &mut BTreeSet<String>) {
    match expr {
        Expr::Ident(name) => {
            names.insert(name.clone());
        }
        Expr::Call(call) => {
            call.target.iter().for_each(|target| collect_identifiers(&target.expr, names));
            call.args.iter().for_each(|arg| collect_identifiers(&arg.expr, names));
        }
        Expr::List(list) => list.elements.iter().for_each(|item| collect_identifiers(&item.expr, names)),
        Expr::Select(select) => collect_identifiers(&select.operand.expr, names),
        _ => {}
    }
}

struct Compiler<'a> {
    scope: &'a Scope<'a>,
    places: &'a SourceInfo,
}

impl Compiler<'_> {
    fn error(&self, at: &IdedExpr, message: String) -> ExpressionError {
        let offset = self.places.offset_for(at.id).map_or(0, |(start, _)| start as usize);
        // The parser places a call at its bracket; people look for its name.
        let offset = match &at.expr {
            Expr::Call(call) if call.func_name.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                offset.saturating_sub(call.func_name.len())
            }
            _ => offset,
        };
        ExpressionError { offset, message, hint: None }
    }

    fn wrong_type(&self, at: &IdedExpr, expected: &str, found: &Typed) -> ExpressionError {
        let found = match found {
            Typed::Number(_) => "a number",
            Typed::Bool(_) => "true/false",
            Typed::Text(_) => "text",
            Typed::Time => "a time",
        };
        self.error(at, format!("expected {expected}, found {found}"))
    }

    fn number(&self, expr: &IdedExpr) -> Compiled<NumberExpr> {
        match self.typed(expr)? {
            Typed::Number(number) => Ok(number),
            other => Err(self.wrong_type(expr, "a number", &other)),
        }
    }

    fn boolean(&self, expr: &IdedExpr) -> Compiled<BoolExpr> {
        match self.typed(expr)? {
            Typed::Bool(truth) => Ok(truth),
            other => Err(self.wrong_type(expr, "true/false", &other)),
        }
    }

    fn text(&self, expr: &IdedExpr) -> Compiled<TextExpr> {
        match self.typed(expr)? {
            Typed::Text(text) => Ok(text),
            other => Err(self.wrong_type(expr, "text", &other)),
        }
    }

    fn time(&self, expr: &IdedExpr) -> Compiled<()> {
        match self.typed(expr)? {
            Typed::Time => Ok(()),
            other => Err(self.wrong_type(expr, "`time`", &other)),
        }
    }

    fn typed(&self, expr: &IdedExpr) -> Compiled<Typed> {
        match &expr.expr {
            Expr::Literal(literal) => self.literal(expr, literal),
            Expr::Ident(name) => self.identifier(expr, name),
            Expr::Call(call) => self.call(expr, call),
            Expr::List(_) => Err(self.error(expr, "a list can only stand to the right of `in`".into())),
            Expr::Select(_) => {
                Err(self.error(expr, "only `lists.NAME` to the right of `in` has a dot".into()))
            }
            _ => {
                Err(self.error(expr, "maps, messages and macros are not part of detector expressions".into()))
            }
        }
    }

    fn literal(&self, at: &IdedExpr, literal: &LiteralValue) -> Compiled<Typed> {
        match literal {
            LiteralValue::Boolean(value) => Ok(Typed::Bool(BoolExpr::Constant(*value.inner()))),
            LiteralValue::Double(value) => Ok(Typed::Number(NumberExpr::Constant(*value.inner()))),
            LiteralValue::Int(value) => Ok(Typed::Number(NumberExpr::Constant(*value.inner() as f64))),
            LiteralValue::UInt(value) => Ok(Typed::Number(NumberExpr::Constant(*value.inner() as f64))),
            LiteralValue::String(value) => Ok(Typed::Text(TextExpr::Constant(value.inner().to_string()))),
            LiteralValue::Null => Err(self.error(at, "`null` is not a value here: use is_missing(x)".into())),
            LiteralValue::Bytes(_) => Err(self.error(at, "bytes are not a value here".into())),
        }
    }

    fn identifier(&self, at: &IdedExpr, name: &str) -> Compiled<Typed> {
        // Fields first: a category that is passed on as a feature is still text here, not its code.
        if let Some(index) = self.scope.schema.index_of(name) {
            return self.field(at, &self.scope.schema.fields[index].kind);
        }
        if let Some(index) = self.scope.features.iter().position(|feature| feature == name) {
            return Ok(Typed::Number(NumberExpr::Feature(index)));
        }
        match name {
            "amount" => Ok(Typed::Number(NumberExpr::Amount)),
            "time" => Ok(Typed::Time),
            "score" if self.scope.has_score => Ok(Typed::Number(NumberExpr::Score)),
            "score" => Err(self.error(at, "`score` is known to rules only, not to features".into())),
            _ => Err(self.unknown_name(at, name)),
        }
    }

    fn field(&self, at: &IdedExpr, kind: &FieldKind) -> Compiled<Typed> {
        match kind {
            FieldKind::EventId => Ok(Typed::Text(TextExpr::EventId)),
            FieldKind::Time => Ok(Typed::Time),
            FieldKind::Amount => Ok(Typed::Number(NumberExpr::Amount)),
            FieldKind::Label => {
                Err(self.error(at, "the label is not known when a transaction is decided".into()))
            }
            FieldKind::Id { slot } | FieldKind::Card { slot } | FieldKind::Category { slot, .. } => {
                Ok(Typed::Text(TextExpr::Field(*slot)))
            }
            FieldKind::Number { slot } => Ok(Typed::Number(NumberExpr::Field(*slot))),
            FieldKind::Bool { slot } => Ok(Typed::Bool(BoolExpr::Field(*slot))),
        }
    }

    fn unknown_name(&self, at: &IdedExpr, name: &str) -> ExpressionError {
        let fields = self.scope.schema.fields.iter().map(|field| field.name.as_str());
        let features = self.scope.features.iter().map(String::as_str);
        let known = fields.chain(features).chain(["amount", "time"]);
        let mut error = self.error(at, format!("unknown name `{name}`"));
        error.hint = Some(match nearest(name, known) {
            Some(candidate) => format!("did you mean `{candidate}`?"),
            None => "an expression reads fields of the event and features declared above it".into(),
        });
        error
    }

    fn call(&self, at: &IdedExpr, call: &CallExpr) -> Compiled<Typed> {
        // `text.startsWith(part)` is `startsWith(text, part)`.
        let args: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
        match (call.func_name.as_str(), args.as_slice()) {
            (op::CONDITIONAL, [test, yes, no]) => self.conditional(test, yes, no),
            (op::LOGICAL_AND, [a, b]) => Ok(Typed::Bool(BoolExpr::And(self.bool_box(a)?, self.bool_box(b)?))),
            (op::LOGICAL_OR, [a, b]) => Ok(Typed::Bool(BoolExpr::Or(self.bool_box(a)?, self.bool_box(b)?))),
            (op::LOGICAL_NOT, [a]) => Ok(Typed::Bool(BoolExpr::Not(self.bool_box(a)?))),
            (op::NEGATE, [a]) => Ok(Typed::Number(NumberExpr::Negate(self.number_box(a)?))),
            (op::IN, [item, list]) => self.membership(item, list),
            (op::INDEX, _) => Err(self.error(at, "an index [ ] is not part of detector expressions".into())),
            (operator, [a, b]) if arithmetic(operator).is_some() => self.arithmetic(operator, a, b),
            (operator, [a, b]) if comparison(operator).is_some() => self.comparison(operator, a, b),
            (name, args) => self.function(at, name, args),
        }
    }

    fn number_box(&self, expr: &IdedExpr) -> Compiled<Box<NumberExpr>> {
        self.number(expr).map(Box::new)
    }

    fn bool_box(&self, expr: &IdedExpr) -> Compiled<Box<BoolExpr>> {
        self.boolean(expr).map(Box::new)
    }

    fn conditional(&self, test: &IdedExpr, yes: &IdedExpr, no: &IdedExpr) -> Compiled<Typed> {
        let test = self.bool_box(test)?;
        match self.typed(yes)? {
            Typed::Number(yes) => {
                Ok(Typed::Number(NumberExpr::If(test, Box::new(yes), self.number_box(no)?)))
            }
            Typed::Bool(yes) => Ok(Typed::Bool(BoolExpr::If(test, Box::new(yes), self.bool_box(no)?))),
            other => Err(self.wrong_type(yes, "a number or true/false", &other)),
        }
    }

    fn arithmetic(&self, operator: &str, a: &IdedExpr, b: &IdedExpr) -> Compiled<Typed> {
        let operator = arithmetic(operator).expect("the caller looked it up");
        Ok(Typed::Number(NumberExpr::Arithmetic(operator, self.number_box(a)?, self.number_box(b)?)))
    }

    fn comparison(&self, operator: &str, a: &IdedExpr, b: &IdedExpr) -> Compiled<Typed> {
        let operator = comparison(operator).expect("the caller looked it up");
        let compared = match self.typed(a)? {
            Typed::Number(a) => BoolExpr::Compare(operator, Box::new(a), self.number_box(b)?),
            Typed::Text(a) => BoolExpr::CompareText(operator, a, self.text(b)?),
            Typed::Bool(left) => match operator {
                Comparison::Equal => BoolExpr::Same(Box::new(left), self.bool_box(b)?),
                Comparison::NotEqual => {
                    BoolExpr::Not(Box::new(BoolExpr::Same(Box::new(left), self.bool_box(b)?)))
                }
                _ => return Err(self.error(a, "true and false have no order".into())),
            },
            Typed::Time => return Err(self.error(a, "a time is compared by its parts: hour(time)".into())),
        };
        Ok(Typed::Bool(compared))
    }

    fn membership(&self, item: &IdedExpr, list: &IdedExpr) -> Compiled<Typed> {
        let test = match self.typed(item)? {
            Typed::Text(text) => self.text_in(text, list)?,
            Typed::Number(number) => BoolExpr::NumberIn(Box::new(number), self.number_list(list)?),
            other => return Err(self.wrong_type(item, "text or a number to the left of `in`", &other)),
        };
        Ok(Typed::Bool(test))
    }

    fn text_in(&self, text: TextExpr, list: &IdedExpr) -> Compiled<BoolExpr> {
        let mut items = match &list.expr {
            Expr::List(items) => {
                items.elements.iter().map(|item| self.text_constant(item)).collect::<Compiled<Vec<_>>>()?
            }
            Expr::Select(select) if matches!(&select.operand.expr, Expr::Ident(name) if name == "lists") => {
                match self.scope.lists {
                    NamedLists::File(lists) => self.named(list, &select.field, lists)?.clone(),
                    NamedLists::Rulebook(lists) => {
                        let members = Arc::clone(self.named(list, &select.field, lists)?);
                        return Ok(BoolExpr::Listed(text, members));
                    }
                }
            }
            _ => return Err(self.error(list, "`in` needs a list: [\"a\", \"b\"] or lists.NAME".into())),
        };
        items.sort_unstable();
        Ok(BoolExpr::TextIn(text, items))
    }

    fn named<'l, T>(&self, at: &IdedExpr, name: &str, lists: &'l BTreeMap<String, T>) -> Compiled<&'l T> {
        lists.get(name).ok_or_else(|| {
            let mut error = self.error(at, format!("there is no list `{name}`"));
            error.hint = Some(match (self.scope.lists.nearest(name), self.scope.lists) {
                (Some(candidate), _) => format!("did you mean `lists.{candidate}`?"),
                (None, NamedLists::File(_)) => format!("declare it: [lists] {name} = [\"...\"]"),
                (None, NamedLists::Rulebook(_)) => format!("create it: redflag lists create {name}"),
            });
            error
        })
    }

    fn text_constant(&self, item: &IdedExpr) -> Compiled<String> {
        match self.text(item)? {
            TextExpr::Constant(text) => Ok(text),
            _ => Err(self.error(item, "a list holds constants".into())),
        }
    }

    fn number_list(&self, list: &IdedExpr) -> Compiled<Vec<f64>> {
        let Expr::List(items) = &list.expr else {
            return Err(self.error(list, "a number can only be `in` a list of numbers: [1, 2]".into()));
        };
        let constant = |item| match self.number(item)? {
            NumberExpr::Constant(value) => Ok(value),
            _ => Err(self.error(item, "a list holds constants".into())),
        };
        items.elements.iter().map(constant).collect()
    }

    fn function(&self, at: &IdedExpr, name: &str, args: &[&IdedExpr]) -> Compiled<Typed> {
        if let Some((_, function)) = FUNCTIONS.iter().find(|(known, _)| *known == name) {
            let [value] = args else { return Err(self.wrong_arity(at, name, "one number", args)) };
            return Ok(Typed::Number(NumberExpr::Function(*function, self.number_box(value)?)));
        }
        match (name, args) {
            ("hour", [t]) => self.time(t).map(|()| Typed::Number(NumberExpr::Calendar(Calendar::Hour))),
            ("weekday", [t]) => self.time(t).map(|()| Typed::Number(NumberExpr::Calendar(Calendar::Weekday))),
            ("is_weekend", [t]) => self.time(t).map(|()| Typed::Bool(BoolExpr::IsWeekend)),
            ("is_night", [t]) => self.time(t).map(|()| Typed::Bool(BoolExpr::IsNight)),
            ("is_missing", [x]) => self.is_missing(x).map(Typed::Bool),
            ("coalesce", [x, otherwise]) => {
                Ok(Typed::Number(NumberExpr::Coalesce(self.number_box(x)?, self.number_box(otherwise)?)))
            }
            ("size", [text]) => Ok(Typed::Number(NumberExpr::Length(self.text(text)?))),
            ("min", [_, _, ..]) => Ok(Typed::Number(NumberExpr::Least(self.numbers(args)?))),
            ("max", [_, _, ..]) => Ok(Typed::Number(NumberExpr::Greatest(self.numbers(args)?))),
            ("startsWith", [text, part]) => self.text_test(TextTest::StartsWith, text, part),
            ("endsWith", [text, part]) => self.text_test(TextTest::EndsWith, text, part),
            ("contains", [text, part]) => self.text_test(TextTest::Contains, text, part),
            _ => Err(self.unknown_function(at, name, args)),
        }
    }

    fn is_missing(&self, expr: &IdedExpr) -> Compiled<BoolExpr> {
        match self.typed(expr)? {
            Typed::Number(number) => Ok(BoolExpr::IsMissing(Box::new(number))),
            Typed::Bool(BoolExpr::Field(slot)) => Ok(BoolExpr::IsMissing(Box::new(NumberExpr::Field(slot)))),
            Typed::Text(text) => {
                Ok(BoolExpr::CompareText(Comparison::Equal, text, TextExpr::Constant(String::new())))
            }
            other => Err(self.wrong_type(expr, "a number or a field", &other)),
        }
    }

    fn numbers(&self, args: &[&IdedExpr]) -> Compiled<Vec<NumberExpr>> {
        args.iter().map(|arg| self.number(arg)).collect()
    }

    fn text_test(&self, test: TextTest, text: &IdedExpr, part: &IdedExpr) -> Compiled<Typed> {
        Ok(Typed::Bool(BoolExpr::TextTest(test, self.text(text)?, self.text(part)?)))
    }

    fn wrong_arity(&self, at: &IdedExpr, name: &str, expected: &str, args: &[&IdedExpr]) -> ExpressionError {
        self.error(at, format!("`{name}` takes {expected}, not {} arguments", args.len()))
    }

    fn unknown_function(&self, at: &IdedExpr, name: &str, args: &[&IdedExpr]) -> ExpressionError {
        if OTHER_FUNCTIONS.contains(&name) {
            let other = if args.len() == 1 { "one argument" } else { "so many arguments" };
            return self.error(at, format!("`{name}` does not take {other}"));
        }
        let known = || FUNCTIONS.iter().map(|(name, _)| *name).chain(OTHER_FUNCTIONS);
        let mut error = self.error(at, format!("unknown function `{}`", name.trim_matches(['_', '@'])));
        error.hint = Some(match nearest(name, known()) {
            Some(candidate) => format!("did you mean `{candidate}`?"),
            None => format!("known functions: {}", known().collect::<Vec<_>>().join(", ")),
        });
        error
    }
}

fn arithmetic(operator: &str) -> Option<Arithmetic> {
    match operator {
        op::ADD => Some(Arithmetic::Add),
        op::SUBSTRACT => Some(Arithmetic::Subtract),
        op::MULTIPLY => Some(Arithmetic::Multiply),
        op::DIVIDE => Some(Arithmetic::Divide),
        op::MODULO => Some(Arithmetic::Remainder),
        _ => None,
    }
}

fn comparison(operator: &str) -> Option<Comparison> {
    match operator {
        op::EQUALS => Some(Comparison::Equal),
        op::NOT_EQUALS => Some(Comparison::NotEqual),
        op::LESS => Some(Comparison::Less),
        op::LESS_EQUALS => Some(Comparison::LessOrEqual),
        op::GREATER => Some(Comparison::Greater),
        op::GREATER_EQUALS => Some(Comparison::GreaterOrEqual),
        _ => None,
    }
}
