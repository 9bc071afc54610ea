//! TOML tables read key by key, collecting every mistake with its place instead of stopping at the first.

use toml_span::value::{Table, ValueInner};
use toml_span::{Span, Value};

/// One thing that is wrong in a detector file, and where.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Mistake {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong: names the key, the value and what was expected.
    pub message: String,
    /// What to do about it, where that is known.
    pub hint: Option<String>,
}

impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n    hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// A value and the place in the file where it stands.
#[derive(Debug, Clone)]
pub(super) struct Spanned<T> {
    pub value: T,
    pub at: Span,
}

/// The text of the file and the mistakes found in it so far.
pub(super) struct Mistakes<'t> {
    text: &'t str,
    line_starts: Vec<usize>,
    found: Vec<Mistake>,
}

impl<'t> Mistakes<'t> {
    pub fn new(text: &'t str) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Mistakes { text, line_starts, found: Vec::new() }
    }

    pub fn add(&mut self, at: Span, message: impl Into<String>) {
        self.push(at.start, message.into(), None);
    }

    pub fn add_with_hint(&mut self, at: Span, message: impl Into<String>, hint: impl Into<String>) {
        self.push(at.start, message.into(), Some(hint.into()));
    }

    pub fn push(&mut self, offset: usize, message: String, hint: Option<String>) {
        let (line, column) = self.place(offset);
        self.found.push(Mistake { line, column, message, hint });
    }

    pub fn line(&self, at: Span) -> usize {
        self.place(at.start).0
    }

    /// All mistakes in the order of the file.
    pub fn into_sorted(mut self) -> Vec<Mistake> {
        self.found.sort_by_key(|m| (m.line, m.column));
        self.found.dedup();
        self.found
    }

    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    fn place(&self, offset: usize) -> (usize, usize) {
        let mut end = offset.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let line = self.line_starts.partition_point(|start| *start <= end);
        (line, self.text[self.line_starts[line - 1]..end].chars().count() + 1)
    }

    /// Where the character at `offset` of a string's value stands in the file, escapes allowed for.
    pub fn place_in_string(&self, at: Span, offset: usize) -> usize {
        let raw = self.text.get(at.start..at.end).unwrap_or_default();
        // Within '...' a backslash is one.
        let escapes = self.text[..at.start].ends_with('"');
        let mut rest = raw.char_indices();
        for _ in 0..offset {
            match rest.next() {
                Some((_, '\\')) if escapes => {
                    let digits = match rest.next() {
                        Some((_, 'u')) => 4,
                        Some((_, 'U')) => 8,
                        _ => 0,
                    };
                    rest.by_ref().take(digits).for_each(drop);
                }
                Some(_) => {}
                None => break,
            }
        }
        at.start + rest.next().map_or(raw.len(), |(position, _)| position)
    }
}

/// A TOML table that is being read. Keys that nobody asked for are mistakes: see [`Section::finish`].
pub(super) struct Section<'de> {
    table: Table<'de>,
    what: String,
    asked: Vec<&'static str>,
    pub at: Span,
}

impl<'de> Section<'de> {
    /// `what` is how messages call the section: `[event]`, or `feature "x"`.
    pub fn new(table: Table<'de>, at: Span, what: impl Into<String>) -> Self {
        Section { table, what: what.into(), asked: Vec::new(), at }
    }

    pub fn rename(&mut self, what: String) {
        self.what = what;
    }

    pub fn value(&mut self, key: &'static str) -> Option<Value<'de>> {
        self.asked.push(key);
        self.table.remove(key)
    }

    /// All entries in the order of the file, for a section whose keys are the user's own.
    pub fn into_entries(self) -> Vec<(Spanned<String>, Value<'de>)> {
        in_file_order(self.table)
    }

    /// Whether the key holds a table.
    pub fn is_table(&self, key: &str) -> bool {
        self.table.get(key).is_some_and(|value| value.as_table().is_some())
    }

    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Takes a key for known without reading it.
    pub fn known(&mut self, key: &'static str) {
        self.value(key);
    }

    pub fn string(&mut self, key: &'static str, mistakes: &mut Mistakes) -> Option<Spanned<String>> {
        let value = self.value(key)?;
        self.expect_string(key, value, mistakes)
    }

    pub fn required_string(&mut self, key: &'static str, mistakes: &mut Mistakes) -> Option<Spanned<String>> {
        if !self.has(key) {
            self.asked.push(key);
            mistakes.add(self.at, format!("{} lacks the key `{key}`", self.what));
            return None;
        }
        self.string(key, mistakes)
    }

    pub fn strings(&mut self, key: &'static str, mistakes: &mut Mistakes) -> Option<Vec<Spanned<String>>> {
        let mut value = self.value(key)?;
        let at = value.span;
        match value.take() {
            ValueInner::Array(items) => {
                Some(items.into_iter().filter_map(|item| self.expect_string(key, item, mistakes)).collect())
            }
            other => {
                self.wrong_type(key, at, "a list of strings", &other, mistakes);
                None
            }
        }
    }

    pub fn number(&mut self, key: &'static str, mistakes: &mut Mistakes) -> Option<Spanned<f64>> {
        let mut value = self.value(key)?;
        let at = value.span;
        match value.take() {
            ValueInner::Float(number) => Some(Spanned { value: number, at }),
            ValueInner::Integer(number) => Some(Spanned { value: number as f64, at }),
            other => {
                self.wrong_type(key, at, "a number", &other, mistakes);
                None
            }
        }
    }

    pub fn boolean(&mut self, key: &'static str, mistakes: &mut Mistakes) -> Option<bool> {
        let mut value = self.value(key)?;
        let at = value.span;
        match value.take() {
            ValueInner::Boolean(boolean) => Some(boolean),
            other => {
                self.wrong_type(key, at, "true or false", &other, mistakes);
                None
            }
        }
    }

    pub fn duration(&mut self, key: &'static str, mistakes: &mut Mistakes) -> Option<Spanned<i64>> {
        let text = self.string(key, mistakes)?;
        parse_duration(&text, &format!("`{key}` of {}", self.what), mistakes)
    }

    /// The entries of an inline table or subtable in the order of the file.
    pub fn entries(
        &mut self,
        key: &'static str,
        mistakes: &mut Mistakes,
    ) -> Vec<(Spanned<String>, Value<'de>)> {
        let Some(mut value) = self.value(key) else { return Vec::new() };
        let at = value.span;
        match value.take() {
            ValueInner::Table(table) => in_file_order(table),
            other => {
                self.wrong_type(key, at, "a table", &other, mistakes);
                Vec::new()
            }
        }
    }

    /// The tables of `[[key]]`.
    pub fn tables(&mut self, key: &'static str, mistakes: &mut Mistakes) -> Vec<Section<'de>> {
        let Some(mut value) = self.value(key) else { return Vec::new() };
        let at = value.span;
        match value.take() {
            ValueInner::Array(items) => {
                items.into_iter().filter_map(|item| section(item, &format!("[[{key}]]"), mistakes)).collect()
            }
            other => {
                self.wrong_type(key, at, &format!("tables that start with [[{key}]]"), &other, mistakes);
                Vec::new()
            }
        }
    }

    /// The table `[key]`.
    pub fn table(&mut self, key: &'static str, mistakes: &mut Mistakes) -> Option<Section<'de>> {
        let value = self.value(key)?;
        section(value, &format!("[{key}]"), mistakes)
    }

    /// Reports the keys that nobody asked for.
    pub fn finish(self, mistakes: &mut Mistakes) {
        for key in self.table.keys() {
            let message = format!("{} has an unknown key `{}`", self.what, key.name);
            let hint = match nearest(&key.name, self.asked.iter().copied()) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("known keys: {}", self.asked.join(", ")),
            };
            mistakes.add_with_hint(key.span, message, hint);
        }
    }

    fn expect_string(&self, key: &str, mut value: Value, mistakes: &mut Mistakes) -> Option<Spanned<String>> {
        let at = value.span;
        match value.take() {
            ValueInner::String(text) => Some(Spanned { value: text.into_owned(), at }),
            other => {
                self.wrong_type(key, at, "a string", &other, mistakes);
                None
            }
        }
    }

    fn wrong_type(&self, key: &str, at: Span, expected: &str, found: &ValueInner, mistakes: &mut Mistakes) {
        mistakes.add(at, format!("`{key}` of {} must be {expected}, not {}", self.what, found.type_str()));
    }
}

/// A value that must be a table, as a section.
pub(super) fn section<'de>(
    mut value: Value<'de>,
    what: &str,
    mistakes: &mut Mistakes,
) -> Option<Section<'de>> {
    let at = value.span;
    match value.take() {
        ValueInner::Table(table) => Some(Section::new(table, at, what)),
        other => {
            mistakes.add(at, format!("{what} must be a table, not {}", other.type_str()));
            None
        }
    }
}

/// A duration of at least a second, or a mistake.
pub(super) fn parse_duration(
    text: &Spanned<String>,
    what: &str,
    mistakes: &mut Mistakes,
) -> Option<Spanned<i64>> {
    const HINT: &str = "write a whole number and a unit: 90s, 15m, 1h, 7d, 2w";
    match crate::time::parse_duration(&text.value) {
        Some(us) if us >= crate::time::SECOND_US => Some(Spanned { value: us, at: text.at }),
        Some(_) => {
            let message = format!("{what} is \"{}\", shorter than a second", text.value);
            mistakes.add_with_hint(text.at, message, "the shortest duration is 1s");
            None
        }
        None => {
            mistakes.add_with_hint(
                text.at,
                format!("{what} is \"{}\", which is no duration", text.value),
                HINT,
            );
            None
        }
    }
}

/// The candidate that `text` was probably meant to be: at most a third of its letters away.
pub(crate) fn nearest<'a>(text: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let length = text.chars().count();
    let allowed = (length / 3).max(1);
    candidates
        .filter(|candidate| *candidate != text && candidate.chars().count().abs_diff(length) <= allowed)
        .map(|candidate| (edit_distance(text, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Letters inserted, left out, exchanged, or swapped with their neighbour (optimal string alignment).
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut next = vec![i + 1];
        for j in 0..b.len() {
            let exchanged = row[j] + usize::from(a[i] != b[j]);
            let mut least = exchanged.min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                least = least.min(before[j - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[b.len()]
}

/// The parser sorts tables by key; the order of the file is that of the keys' places.
fn in_file_order<'de>(table: Table<'de>) -> Vec<(Spanned<String>, Value<'de>)> {
    let mut entries: Vec<_> = table
        .into_iter()
        .map(|(key, value)| (Spanned { value: key.name.into_owned(), at: key.span }, value))
        .collect();
    entries.sort_by_key(|(key, _)| key.at.start);
    entries
}
