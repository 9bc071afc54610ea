//! Rejections for people: what is wrong how often, and the newest ones without card numbers.

use std::collections::HashMap;

use engine::card::{mask, mask_start};
use store::NewRejection;

use super::wire::{Instant, RejectionInfo, RejectionKind, RejectionPage};

/// Rejections whose reasons are counted, the newest ones.
pub const LOOKED_AT_MAX: usize = 10_000;

/// Reasons that are told.
const KINDS_MAX: usize = 20;

/// The most that is shown of what came in.
const TEXT_BYTES_MAX: usize = 2_048;

/// Characters after which a value in a reason is cut, see [`engine::FieldError::new`].
const VALUE_CHARS_MAX: usize = 80;

/// What came in lately, as the store tells it.
#[derive(Debug, Default)]
pub struct Found {
    /// Rejections that are stored.
    pub stored: u64,
    /// When and why, of the newest [`LOOKED_AT_MAX`], newest first.
    pub reasons: Vec<(i64, String)>,
    /// The newest in full, as many as are listed, newest first.
    pub newest: Vec<NewRejection>,
}

/// Why something is rejected, in a word of few: what metrics count by.
pub const REASONS: [&str; 6] =
    ["malformed", "missing", "wrong_value", "too_large", "time_jump", "unknown_transaction"];

/// What the reasons say, each at its word's place in [`REASONS`]; what none of them is in is a wrong value.
const SIGNS: [(&str, usize); 6] = [
    ("the body is not a JSON object", 0),
    (": expected a smaller one", 3),
    (": expected one event a line", 3),
    ("(max_time_jump)", 4),
    (": expected the id of a stored transaction", 5),
    (": expected the whole event with its label", 5),
];

/// The place in [`REASONS`] of a rejection's first mistake. What came in is not looked at: only what was expected of it.
pub fn reason(text: &str) -> usize {
    let bare = bare(text);
    let first = bare.split("; ").next().unwrap_or_default();
    let sign = SIGNS.iter().find(|(sign, _)| first.contains(sign));
    sign.map_or(if first.contains(" is missing: expected") { 1 } else { 2 }, |(_, place)| *place)
}

/// Rejections as they are shown.
pub fn page(found: &Found) -> RejectionPage {
    let items = found.newest.iter().map(shown).collect();
    RejectionPage { stored: found.stored, kinds: kinds(&found.reasons), items }
}

/// Masked when it was stored; what an older version has stored was not.
fn shown(rejection: &NewRejection) -> RejectionInfo {
    RejectionInfo {
        received_at: Instant(rejection.received_at_us),
        source: mask(&rejection.source).into_owned(),
        reason: mask(&rejection.reason).into_owned(),
        raw: mask_start(&rejection.raw, TEXT_BYTES_MAX),
    }
}

/// What is wrong how often, the most frequent first; `reasons` are newest first.
fn kinds(reasons: &[(i64, String)]) -> Vec<RejectionKind> {
    let mut kinds: HashMap<String, RejectionKind> = HashMap::new();
    for (at, reason) in reasons {
        let reason = without_values(reason);
        let new = || RejectionKind { reason: reason.clone(), count: 0, last_at: Instant(*at) };
        kinds.entry(reason.clone()).or_insert_with(new).count += 1;
    }
    let mut kinds: Vec<RejectionKind> = kinds.into_values().collect();
    kinds.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.reason.cmp(&b.reason)));
    kinds.truncate(KINDS_MAX);
    kinds
}

/// A reason without the values that were found: `amount is "x": expected a number` is one with every other `x`.
fn without_values(reason: &str) -> String {
    let bare = bare(reason);
    let mistakes = bare.split("; ").map(|mistake| match mistake.split_once(": expected ") {
        Some((found, expected)) => match found.split_once(" is ") {
            Some((field, _)) => format!("{field}: expected {expected}"),
            None => mistake.to_string(),
        },
        None => mistake.to_string(),
    });
    mask(&mistakes.collect::<Vec<String>>().join("; ")).into_owned()
}

/// A text with `…` for what is quoted and `#` for numbers, times and durations. Digits in names stay.
pub fn bare(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let in_a_name = out.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let length = match first {
            '"' => quoted_length(rest),
            '0'..='9' if !in_a_name => number_length(rest),
            _ => first.len_utf8(),
        };
        match first {
            '"' => out.push('…'),
            '0'..='9' if !in_a_name => out.push('#'),
            _ => out.push(first),
        }
        rest = &rest[length..];
    }
    out
}

/// The length of the quoted value at the beginning of a text, up to its closing quote, or to where a long one was cut.
fn quoted_length(text: &str) -> usize {
    let mut escaped = false;
    for (number, (at, c)) in text.char_indices().enumerate().skip(1) {
        if (c == '"' && !escaped) || (c == '…' && number == VALUE_CHARS_MAX) {
            return at + c.len_utf8();
        }
        escaped = c == '\\' && !escaped;
    }
    text.len()
}

/// The length of the number, time or duration at the beginning of a text.
fn number_length(text: &str) -> usize {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || ".:+-".contains(c))).unwrap_or(text.len());
    text[..end].trim_end_matches(|c: char| !c.is_ascii_alphanumeric()).len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_in_is_cut_at_a_character() {
        let rejection = NewRejection {
            received_at_us: 1,
            source: "http".to_string(),
            reason: "not JSON".to_string(),
            raw: "\u{fffd}".repeat(2_048),
        };
        let page = page(&Found { stored: 1, reasons: Vec::new(), newest: vec![rejection] });
        assert_eq!(page.items[0].raw, "\u{fffd}".repeat(682));
    }

    #[test]
    fn a_reason_is_one_of_few_whatever_was_found() {
        for (text, expected) in [
            (
                "the body is not a JSON object (EOF at line 1): expected one JSON object with fields",
                "malformed",
            ),
            ("amount is missing: expected a number; time is \"x\": expected a time", "missing"),
            ("amount is \"is missing: expected\": expected a number", "wrong_value"),
            ("amount is \"(max_time_jump)\": expected a number; b is missing: expected x", "wrong_value"),
            ("a transaction of more than 65536 bytes: expected a smaller one", "too_large"),
            ("t is 2030-01-01T00:00:00Z: expected a time at most 30d (max_time_jump) after", "time_jump"),
            ("transaction_id is x: expected the id of a stored transaction", "unknown_transaction"),
        ] {
            assert_eq!(REASONS[reason(text)], expected, "{text}");
        }
    }

    #[test]
    fn values_are_left_out_whatever_they_hold() {
        let long = format!("amount is \"{}…: expected a number", "; ".repeat(39) + "x");
        let bare = [
            ("amount is \"x\": expected a number", "amount: expected a number"),
            ("amount is \"a; b: expected \\\" c\": expected a number", "amount: expected a number"),
            (&long, "amount: expected a number"),
            ("v1 is -2.5e3: expected a number from 0 to 10", "v1: expected a number from # to #"),
            ("key must be a string at line 1 column 77", "key must be a string at line # column #"),
            ("more than 65536 bytes: expected a smaller one", "more than # bytes: expected a smaller one"),
            (
                "t is 2030-01-01T00:00:00Z: expected a time at most 30d after 2018-04-01T00:00:00Z",
                "t: expected a time at most # after #",
            ),
        ];
        for (reason, expected) in bare {
            assert_eq!(without_values(reason), expected, "{reason}");
        }
    }

    #[test]
    fn alike_reasons_are_one() {
        let reasons = [
            (9, "amount is \"x\": expected a number; time is missing: expected a time"),
            (8, "amount is \"y: z\": expected a number; time is missing: expected a time"),
            (7, "not JSON"),
        ];
        let kinds = kinds(&reasons.map(|(at, reason)| (at, reason.to_string())));
        let told: Vec<_> =
            kinds.iter().map(|kind| (kind.reason.as_str(), kind.count, kind.last_at)).collect();
        let amount = "amount: expected a number; time: expected a time";
        assert_eq!(told, [(amount, 2, Instant(9)), ("not JSON", 1, Instant(7))]);
    }
}
