//! Card numbers become tokens where events come in; nothing behind that door ever sees one.
//!
//! A token keeps what people and issuers know a card by, the first six and the last four digits, and says the rest by 128 bits
//! of HMAC-SHA256 (RFC 2104) under a key that is kept apart from the data: `411111******1111~k7` and 26 letters. Without a key
//! it could be found by trying: of a number of 16 digits the head leaves a hundred thousand. Equal numbers give equal tokens,
//! however they were written, so windows, joins and labels work on tokens as they would on numbers.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::detector::FieldKind;

/// Digits of a card number (ISO/IEC 7812).
const DIGITS: RangeInclusive<usize> = 13..=19;

/// The first digits that a token keeps: the issuer.
const HEAD_DIGITS: usize = 6;

/// The last digits that a token and a mask keep.
const TAIL_DIGITS: usize = 4;

/// Letters that stand for the key.
const KEY_ID_LETTERS: usize = 2;

/// Letters that stand for the HMAC: five bits each.
const CODE_LETTERS: usize = 26;

/// A token of the longest number.
const TOKEN_BYTES_MAX: usize = 19 + 1 + KEY_ID_LETTERS + CODE_LETTERS;

/// A number with a separator behind each digit. Longer text is not looked at.
const WRITTEN_BYTES: RangeInclusive<usize> = 13..=38;

/// The alphabet of RFC 4648's base32, in small letters.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// The key of files that are read without one. It hides nothing: it makes what is computed of files the same everywhere.
const FILE_KEY: &[u8] = b"redflag: card numbers in files, read without a key of one's own";

/// Letters of a pseudonym.
const PSEUDONYM_LETTERS: usize = 16;

/// The fewest bytes of a key.
pub const KEY_BYTES_MIN: usize = 32;

/// Makes tokens of card numbers, always the same of the same.
#[derive(Clone)]
pub struct Cards {
    keyed: Hmac<Sha256>,
    key_id: [u8; KEY_ID_LETTERS],
    /// Whether numbers are looked for in fields that were not declared to hold them.
    detects: bool,
}

/// A token, made without allocation.
#[derive(Clone, Copy)]
pub struct Token {
    bytes: [u8; TOKEN_BYTES_MAX],
    length: usize,
}

impl Token {
    /// The token as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).expect("tokens are ASCII")
    }

    fn push(&mut self, byte: u8) {
        self.bytes[self.length] = byte;
        self.length += 1;
    }

    /// Five bits a letter, the first bits first; what is left over at the end is filled up with zeros.
    fn push_code(&mut self, code: &[u8], letters: usize) {
        let (mut held, mut bits, mut rest) = (0_u32, 0, code.iter());
        for _ in 0..letters {
            if bits < 5 {
                held = held << 8 | u32::from(rest.next().copied().unwrap_or(0));
                bits += 8;
            }
            bits -= 5;
            self.push(ALPHABET[(held >> bits & 31) as usize]);
        }
    }
}

impl Default for Cards {
    /// As files are read that no key was given for: declared card numbers become tokens, nothing else is looked at.
    fn default() -> Cards {
        Cards::new(FILE_KEY, false)
    }
}

impl std::fmt::Debug for Cards {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cards({}, detects: {})", self.key_id(), self.detects)
    }
}

impl PartialEq for Cards {
    fn eq(&self, other: &Cards) -> bool {
        (self.key_id, self.detects) == (other.key_id, other.detects)
    }
}

impl Cards {
    /// Tokens under `key`, of [`KEY_BYTES_MIN`] random bytes or more. `detects`: also in ids, categories and texts that were
    /// not declared as cards.
    pub fn new(key: &[u8], detects: bool) -> Cards {
        let keyed = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
        let mut named = Token { bytes: [0; TOKEN_BYTES_MAX], length: 0 };
        named.push_code(&code_of(&keyed, b"the name of this key"), KEY_ID_LETTERS);
        Cards { keyed, key_id: [named.bytes[0], named.bytes[1]], detects }
    }

    /// The two letters in every token that tell under which key it was made.
    pub fn key_id(&self) -> &str {
        std::str::from_utf8(&self.key_id).expect("letters are ASCII")
    }

    /// The token of a text that is a card number, with spaces or dashes or without.
    pub fn token(&self, text: &str) -> Option<Token> {
        Number::parse(text).map(|number| self.token_of(&number))
    }

    /// The token of a text that is a card number although nobody said that it would be: its first digits must belong to a
    /// card network as well. Text of another length costs a comparison.
    #[inline]
    pub fn detect(&self, text: &str) -> Option<Token> {
        let may_be =
            self.detects && WRITTEN_BYTES.contains(&text.len()) && text.as_bytes()[0].is_ascii_digit();
        if may_be { self.detect_number(text) } else { None }
    }

    #[cold]
    fn detect_number(&self, text: &str) -> Option<Token> {
        let number = Number::parse(text).filter(Number::is_of_a_network)?;
        Some(self.token_of(&number))
    }

    /// Whether somewhere in a message that was read as an event there is a number of a card network, declared or not. It looks
    /// at every thirteenth byte: of most messages nothing else.
    pub fn are_in(&self, message: &[u8]) -> bool {
        if !self.detects {
            return false;
        }
        let is_written = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b' ' | b'-');
        let step = *DIGITS.start();
        let mut at = step - 1;
        while let Some(byte) = message.get(at) {
            if !is_written(byte) {
                at += step;
                continue;
            }
            let start =
                message[..at].iter().rposition(|byte| !is_written(byte)).map_or(0, |before| before + 1);
            let end =
                at + message[at..].iter().position(|byte| !is_written(byte)).unwrap_or(message.len() - at);
            // The decimals of a number are none of a card.
            let is_fraction = start > 0 && message[start - 1] == b'.';
            if !is_fraction && end - start >= step && self.is_a_card(&message[start..end]) {
                return true;
            }
            at = end + step;
        }
        false
    }

    #[cold]
    fn is_a_card(&self, written: &[u8]) -> bool {
        let text = std::str::from_utf8(written).unwrap_or_default();
        Number::parse(text).is_some_and(|number| number.is_of_a_network()) || text.len() > 38
    }

    /// What a value of such a field is known as behind the door: its token if it is a card number.
    pub fn known_as<'a>(&self, kind: &FieldKind, text: &'a str) -> Cow<'a, str> {
        let token = match kind {
            FieldKind::Card { .. } => self.token(text),
            _ => self.detect(text),
        };
        token.map_or(Cow::Borrowed(text), |token| Cow::Owned(token.as_str().to_string()))
    }

    /// A token for a card that there is not: of a made transaction. Its digits are zeros.
    pub fn made(&self, name: &str) -> Token {
        let code = code_of(&self.keyed, name.as_bytes());
        self.assemble(&[0; 16], &code)
    }

    /// What an id is known as where it may not be read, nor guessed without the key: `~` and 16 letters.
    pub fn pseudonym(&self, id: &str) -> String {
        let mut named = Token { bytes: [0; TOKEN_BYTES_MAX], length: 0 };
        named.push(b'~');
        named.push_code(&code_of(&self.keyed, format!("an id: {id}").as_bytes()), PSEUDONYM_LETTERS);
        named.as_str().to_string()
    }

    fn token_of(&self, number: &Number) -> Token {
        let digits = number.digits();
        let mut text = [0; 19];
        for (byte, digit) in text.iter_mut().zip(digits) {
            *byte = b'0' + digit;
        }
        self.assemble(digits, &code_of(&self.keyed, &text[..digits.len()]))
    }

    fn assemble(&self, digits: &[u8], code: &[u8]) -> Token {
        let mut token = Token { bytes: [0; TOKEN_BYTES_MAX], length: 0 };
        for (place, digit) in digits.iter().enumerate() {
            let is_kept = place < HEAD_DIGITS || place + TAIL_DIGITS >= digits.len();
            token.push(if is_kept { b'0' + digit } else { b'*' });
        }
        token.push(b'~');
        self.key_id.iter().for_each(|letter| token.push(*letter));
        token.push_code(code, CODE_LETTERS);
        token
    }
}

/// The first 128 bits of the HMAC.
fn code_of(keyed: &Hmac<Sha256>, text: &[u8]) -> [u8; 16] {
    let mut code = keyed.clone();
    code.update(text);
    let whole = code.finalize().into_bytes();
    std::array::from_fn(|at| whole[at])
}

/// Whether this is a token, of whatever key, or stands for one that was erased.
pub fn is_token(text: &str) -> bool {
    if is_tombstone(text) {
        return true;
    }
    let Some((head, code)) = text.split_once('~') else { return false };
    let head = head.as_bytes();
    DIGITS.contains(&head.len())
        && head.iter().enumerate().all(|(place, byte)| {
            let is_kept = place < HEAD_DIGITS || place + TAIL_DIGITS >= head.len();
            if is_kept { byte.is_ascii_digit() } else { *byte == b'*' }
        })
        && code.len() == KEY_ID_LETTERS + CODE_LETTERS
        && code.bytes().all(|letter| ALPHABET.contains(&letter))
}

/// What an erased id begins with.
pub const ERASED: &str = "erased:";

/// A random id that stands for one that was erased: `erased:` and 26 letters of `random`.
pub fn tombstone(random: &[u8; 16]) -> String {
    let mut letters = Token { bytes: [0; TOKEN_BYTES_MAX], length: 0 };
    letters.push_code(random, CODE_LETTERS);
    format!("{ERASED}{}", letters.as_str())
}

fn is_tombstone(text: &str) -> bool {
    text.strip_prefix(ERASED).is_some_and(|code| {
        code.len() == CODE_LETTERS && code.bytes().all(|letter| ALPHABET.contains(&letter))
    })
}

/// The digits of a card number.
struct Number {
    digits: [u8; 19],
    length: usize,
}

impl Number {
    /// A number of the right length with a right check digit; spaces and dashes may stand anywhere.
    fn parse(text: &str) -> Option<Number> {
        let mut number = Number { digits: [0; 19], length: 0 };
        for byte in text.bytes() {
            match byte {
                b'0'..=b'9' if number.length < 19 => {
                    number.digits[number.length] = byte - b'0';
                    number.length += 1;
                }
                b' ' | b'-' => {}
                _ => return None,
            }
        }
        let digits = number.digits();
        (DIGITS.contains(&digits.len()) && passes_luhn(digits)).then_some(number)
    }

    fn digits(&self) -> &[u8] {
        &self.digits[..self.length]
    }

    /// Whether a card network gives out numbers of this length that begin like this. The ranges of issuer numbers are those
    /// that the networks publish: Visa, Mastercard and Maestro, American Express, Diners Club, JCB, Discover, UnionPay, Mir.
    fn is_of_a_network(&self) -> bool {
        let first = |count: usize| self.digits[..count].iter().fold(0_u32, |n, d| n * 10 + u32::from(*d));
        let length = self.length;
        match first(4) {
            4000..=4999 => matches!(length, 13 | 16 | 19),
            5100..=5599 | 2221..=2720 => length == 16,
            2200..=2204 => length >= 16,
            3400..=3499 | 3700..=3799 => length == 15,
            3528..=3589 => length >= 16,
            3000..=3059 | 3095 | 3600..=3699 | 3800..=3999 => length >= 14,
            6000..=6099 | 6200..=6299 | 6440..=6599 | 8100..=8199 => length >= 16,
            5000..=5099 | 5600..=5899 | 6300..=6399 | 6700..=6799 => true,
            _ => false,
        }
    }
}

/// The check digit of card numbers (ISO/IEC 7812-1, annex B).
fn passes_luhn(digits: &[u8]) -> bool {
    let weighed = digits.iter().rev().enumerate().map(|(at, digit)| match (at % 2, digit * 2) {
        (0, _) => u32::from(*digit),
        (_, doubled) if doubled > 9 => u32::from(doubled - 9),
        (_, doubled) => u32::from(doubled),
    });
    weighed.sum::<u32>() % 10 == 0
}

/// A text in which of everything that looks like a card number the last four digits are left: for what was refused, and may
/// hold numbers anywhere.
pub fn mask(text: &str) -> Cow<'_, str> {
    if text.bytes().filter(u8::is_ascii_digit).count() < *DIGITS.start() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(mask_runs(&with_plain_digits(text), false))
}

/// The beginning of a text, masked. Of digits at which it is cut nobody can say what they were: none is left.
pub fn mask_start(text: &str, bytes_max: usize) -> String {
    let start = &text[..text.floor_char_boundary(bytes_max)];
    mask_runs(&with_plain_digits(start), start.len() < text.len())
}

/// JSON may write a digit as `\u0034`: such digits as they are.
fn with_plain_digits(text: &str) -> Cow<'_, str> {
    if !text.contains("\\u003") {
        return Cow::Borrowed(text);
    }
    let digits = ('0'..='9').map(|digit| (format!("\\u003{digit}"), digit.to_string()));
    Cow::Owned(digits.fold(text.to_string(), |text, (escaped, digit)| text.replace(&escaped, &digit)))
}

fn mask_runs(text: &str, is_cut: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, digits) = rest.split_at(start);
        let (run, after) = digits.split_at(run_length(digits));
        out.push_str(before);
        push_masked(run, after.starts_with('…') || (after.is_empty() && is_cut), &mut out);
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The length of the digits at the beginning of a text, with the separators between and behind them.
fn run_length(text: &str) -> usize {
    text.find(|c: char| !(c.is_ascii_digit() || is_separator(c))).unwrap_or(text.len())
}

/// What people write between the digits of a number, and the point of a number in scientific notation.
fn is_separator(c: char) -> bool {
    matches!(c, ' ' | '-' | '.' | '_' | '+' | '\t' | '\u{a0}')
}

fn push_masked(run: &str, is_cut: bool, out: &mut String) {
    let mut hidden = hidden_digits(run).into_iter();
    for c in run.chars() {
        let hides = c.is_ascii_digit() && (hidden.next() == Some(true) || is_cut);
        out.push(if hides { '*' } else { c });
    }
}

/// Of each digit of a run, whether it is hidden. A card number begins and ends where digits do, and other numbers may stand
/// beside it (a date before, an expiry behind): every stretch of whole numbers is tried.
fn hidden_digits(run: &str) -> Vec<bool> {
    let digits: Vec<u8> = run.bytes().filter(u8::is_ascii_digit).map(|byte| byte - b'0').collect();
    let mut edges = vec![0];
    for number in run.split(is_separator).filter(|number| !number.is_empty()) {
        edges.push(edges[edges.len() - 1] + number.len());
    }
    let mut hidden = vec![false; digits.len()];
    for (place, &start) in edges.iter().enumerate() {
        let near = edges[place + 1..].iter().take_while(|&&end| end - start <= *DIGITS.end());
        for &end in near.filter(|&&end| DIGITS.contains(&(end - start))) {
            if passes_luhn(&digits[start..end]) {
                hidden[start..end - TAIL_DIGITS].fill(true);
            }
        }
    }
    hidden
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];

    fn token(text: &str) -> Option<String> {
        Cards::new(&KEY, true).detect(text).map(|token| token.as_str().to_string())
    }

    #[test]
    fn a_number_has_one_token_however_it_is_written() {
        let plain = token("4111111111111111").unwrap();
        assert!(plain.starts_with("411111******1111~"), "{plain}");
        assert!(is_token(&plain), "{plain}");
        assert_eq!(token("4111 1111-1111 1111"), Some(plain.clone()));
        assert_ne!(token("4111111111111111").unwrap(), token("4111111111111129").unwrap_or_default());
        let other = Cards::new(&[8; 32], true).detect("4111111111111111").unwrap();
        assert_ne!(other.as_str(), plain);
    }

    /// RFC 4231's construction by another implementation: Python's hmac and base64 over the same key and digits.
    #[test]
    fn a_token_is_the_hmac_in_base32() {
        assert_eq!(token("4111111111111111").unwrap(), "411111******1111~w6gpwpugylvb7ukry52zf2g2u33y");
    }

    #[test]
    fn what_no_network_gives_out_is_left_alone() {
        let others = [
            "4111111111111112",
            "1522540831000123",
            "0000000000000000",
            "C1234567890",
            "2018-04-01",
            "9f8b7c6d-1234-4111-8111-111111111111",
            "411111******1111",
            "",
        ];
        for text in others {
            assert_eq!(token(text), None, "{text}");
        }
        for text in
            ["378282246310005", "5555555555554444", "2223003122003222", "30569309025904", "6011111111111117"]
        {
            assert!(token(text).is_some(), "{text}");
        }
    }

    #[test]
    fn files_without_a_key_are_not_looked_through() {
        assert!(Cards::default().detect("4111111111111111").is_none());
        assert!(Cards::default().token("4111111111111111").is_some());
    }

    #[test]
    fn a_made_card_has_a_token_of_its_own() {
        let cards = Cards::new(&KEY, true);
        assert!(is_token(cards.made("a").as_str()));
        assert_ne!(cards.made("a").as_str(), cards.made("b").as_str());
    }

    #[test]
    fn card_numbers_are_masked_and_other_numbers_are_not() {
        let masks = [
            ("4111111111111111", "************1111"),
            (r#"{"card":"4111 1111-1111 1111","n":5}"#, r#"{"card":"**** ****-**** 1111","n":5}"#),
            ("378282246310005 and 4111111111111112", "***********0005 and 4111111111111112"),
            ("2018-04-01T10:00:00Z", "2018-04-01T10:00:00Z"),
            ("ü12 é", "ü12 é"),
            ("4.111111111111111e15", "*.***********1111e15"),
            (r#""\u0034111111111111111""#, r#""************1111""#),
        ];
        for (text, expected) in masks {
            assert_eq!(mask(text), expected);
        }
    }

    #[test]
    fn a_card_number_is_found_beside_other_numbers() {
        let masks = [
            ("2018-04-01 4111111111111111", "2018-04-01 ************1111"),
            ("4111111111111111 12/27", "************1111 12/27"),
            ("4111  1111 1111 1111 737", "****  **** **** 1111 737"),
            ("4111111111111111-4111111111111111", "************1111-************1111"),
        ];
        for (text, expected) in masks {
            assert_eq!(mask(text), expected);
        }
    }

    #[test]
    fn digits_at_which_a_text_was_cut_are_hidden() {
        assert_eq!(mask("card is \"411111111111111…: expected"), "card is \"***************…: expected");
        assert_eq!(mask_start("x4111111111111111", 16), "x***************");
        assert_eq!(mask_start("x411111111111111", 100), "x411111111111111", "15 digits, a wrong check digit");
    }
}
