//! Rejections for people: what is wrong how often, and the newest ones without card numbers.

use std::collections::HashMap;

use store::NewRejection;

use super::wire::{Instant, RejectionInfo, RejectionKind, RejectionPage};

/// Rejections whose reasons are counted, the newest ones.
pub const LOOKED_AT_MAX: usize = 10_000;

/// Reasons that are told.
const KINDS_MAX: usize = 20;

/// Digits of a card number (ISO/IEC 7812).
const CARD_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;

/// Digits of a card number that stay.
const SHOWN_DIGITS: usize = 4;

/// The newest rejections, newest first, as they are shown: all of them counted, the first `limit` listed.
pub fn page(newest: &[NewRejection], stored: u64, limit: usize) -> RejectionPage {
    let mut kinds: HashMap<String, RejectionKind> = HashMap::new();
    for rejection in newest {
        let reason = without_values(&rejection.reason);
        let new =
            || RejectionKind { reason: reason.clone(), count: 0, last_at: Instant(rejection.received_at_us) };
        kinds.entry(reason.clone()).or_insert_with(new).count += 1;
    }
    let mut kinds: Vec<RejectionKind> = kinds.into_values().collect();
    kinds.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.reason.cmp(&b.reason)));
    kinds.truncate(KINDS_MAX);
    let shown = |rejection: &NewRejection| RejectionInfo {
        received_at: Instant(rejection.received_at_us),
        source: rejection.source.clone(),
        reason: masked(&rejection.reason),
        raw: masked(&rejection.raw),
    };
    RejectionPage { stored, kinds, items: newest.iter().take(limit).map(shown).collect() }
}

/// A reason without the values that were found: `amount is "x": expected a number` is one with every other `x`.
fn without_values(reason: &str) -> String {
    let mistakes = reason.split("; ").map(|mistake| match mistake.split_once(": expected ") {
        Some((found, expected)) => match found.split_once(" is ") {
            Some((field, _)) => format!("{field}: expected {expected}"),
            None => format!("expected {expected}"),
        },
        None => mistake.to_string(),
    });
    masked(&mistakes.collect::<Vec<String>>().join("; "))
}

/// A text in which of everything that looks like a card number the last four digits are left.
fn masked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        out.push_str(&rest[..start]);
        let run = digits_at(&rest[start..]);
        push_masked(&rest[start..start + run], &mut out);
        rest = &rest[start + run..];
    }
    out.push_str(rest);
    out
}

/// The length of the digits at the beginning of a text, with single spaces and dashes between them.
fn digits_at(text: &str) -> usize {
    let bytes = text.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let belongs =
        |at: &usize| is_digit(*at) || (matches!(bytes.get(*at), Some(b' ' | b'-')) && is_digit(at + 1));
    (0..bytes.len()).take_while(belongs).count()
}

fn push_masked(run: &str, out: &mut String) {
    let digits: Vec<u32> = run.chars().filter_map(|c| c.to_digit(10)).collect();
    if !(CARD_DIGITS.contains(&digits.len()) && passes_luhn(&digits)) {
        out.push_str(run);
        return;
    }
    let mut left = digits.len();
    for c in run.chars() {
        left -= usize::from(c.is_ascii_digit());
        out.push(if c.is_ascii_digit() && left >= SHOWN_DIGITS { '*' } else { c });
    }
}

/// The check digit of card numbers (ISO/IEC 7812-1, annex B).
fn passes_luhn(digits: &[u32]) -> bool {
    let weighed = digits.iter().rev().enumerate().map(|(at, digit)| match (at % 2, digit * 2) {
        (0, _) => *digit,
        (_, doubled) if doubled > 9 => doubled - 9,
        (_, doubled) => doubled,
    });
    weighed.sum::<u32>() % 10 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn card_numbers_are_masked_and_other_numbers_are_not() {
        let masks = [
            ("4111111111111111", "************1111"),
            (r#"{"card":"4111 1111-1111 1111","n":5}"#, r#"{"card":"**** ****-**** 1111","n":5}"#),
            ("378282246310005 and 4111111111111112", "***********0005 and 4111111111111112"),
            ("2018-04-01T10:00:00Z", "2018-04-01T10:00:00Z"),
            ("ü12 é", "ü12 é"),
        ];
        for (text, expected) in masks {
            assert_eq!(masked(text), expected);
        }
    }

    #[test]
    fn alike_reasons_are_one() {
        let rejection = |at: i64, reason: &str| NewRejection {
            received_at_us: at,
            source: "http".to_string(),
            reason: reason.to_string(),
            raw: String::new(),
        };
        let newest = [
            rejection(9, "amount is \"x\": expected a number; time is missing: expected a time"),
            rejection(8, "amount is \"y: z\": expected a number; time is missing: expected a time"),
            rejection(7, "not JSON"),
        ];
        let page = page(&newest, 12, 2);
        assert_eq!((page.stored, page.items.len(), page.kinds.len()), (12, 2, 2));
        let first = &page.kinds[0];
        assert_eq!(first.reason, "amount: expected a number; time: expected a time");
        assert_eq!((first.count, first.last_at), (2, Instant(9)));
    }
}
