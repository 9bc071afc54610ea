//! Mutilated detector files and snapshots are errors, never panics.

use std::sync::Arc;

use engine::{Decisions, Detector, Engine};
use proptest::prelude::*;

use crate::shipped::{NAMES, parse, sample, text_of};

/// One stroke of a careless pen.
#[derive(Debug, Clone)]
enum Stroke {
    Replace(prop::sample::Index, u8),
    Delete(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize),
    Insert(prop::sample::Index, &'static str),
}

fn a_stroke() -> impl Strategy<Value = Stroke> {
    let snippet = prop::sample::select(vec![
        "(",
        ")",
        "[",
        "]]",
        "\"",
        "'",
        "=",
        "\n",
        "1e999",
        "nan",
        "-",
        "!",
        "? :",
        "[[feature]]",
        "é",
        "\0",
        "in",
    ]);
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Stroke::Replace(at, byte)),
        (at(), 1_usize..80).prop_map(|(at, count)| Stroke::Delete(at, count)),
        (at(), 1_usize..200).prop_map(|(at, count)| Stroke::Repeat(at, count)),
        (at(), snippet).prop_map(|(at, text)| Stroke::Insert(at, text)),
    ]
}

fn apply(bytes: &mut Vec<u8>, stroke: &Stroke) {
    if bytes.is_empty() {
        return;
    }
    let end = |start: usize, count: usize| (start + count).min(bytes.len());
    match stroke {
        Stroke::Replace(at, byte) => {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        Stroke::Delete(at, count) => {
            let start = at.index(bytes.len());
            bytes.drain(start..end(start, *count));
        }
        Stroke::Repeat(at, count) => {
            let start = at.index(bytes.len());
            let piece = bytes[start..end(start, *count)].to_vec();
            bytes.splice(start..start, piece);
        }
        Stroke::Insert(at, text) => {
            let start = at.index(bytes.len());
            bytes.splice(start..start, text.bytes());
        }
    }
}

fn a_snapshot(name: &str) -> (Arc<Detector>, Vec<u8>) {
    let detector = Arc::new(parse(&text_of(name)));
    let mut engine = Engine::new(Arc::clone(&detector), None, 2);
    engine.process(&sample(&detector, name), 0, &mut Decisions::default());
    let bytes = engine.snapshot(19);
    (detector, bytes)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever parses can also be run; whatever does not says where it is wrong, inside the file.
    #[test]
    fn a_mutilated_detector_is_read_or_refused(
        name in prop::sample::select(NAMES.to_vec()),
        strokes in prop::collection::vec(a_stroke(), 1..6),
    ) {
        let mut bytes = text_of(name).into_bytes();
        strokes.iter().for_each(|stroke| apply(&mut bytes, stroke));
        let text = String::from_utf8_lossy(&bytes);
        match Detector::parse(&text) {
            Ok(detector) => drop(Engine::new(Arc::new(detector), None, 1)),
            Err(mistakes) => {
                prop_assert!(!mistakes.is_empty());
                let lines = text.split('\n').count();
                prop_assert!(mistakes.iter().all(|m| (1..=lines).contains(&m.line) && m.column >= 1));
            }
        }
    }

    #[test]
    fn a_damaged_snapshot_is_refused(
        name in prop::sample::select(vec!["card", "paysim"]),
        strokes in prop::collection::vec(a_stroke(), 1..4),
    ) {
        let (detector, whole) = a_snapshot(name);
        let mut bytes = whole.clone();
        strokes.iter().for_each(|stroke| apply(&mut bytes, stroke));
        prop_assert_eq!(Engine::restore(detector, None, 1, &bytes).is_ok(), bytes == whole);
    }
}

#[test]
fn every_cut_of_a_snapshot_is_refused() {
    let (detector, whole) = a_snapshot("card");
    for end in 0..whole.len() {
        assert!(Engine::restore(Arc::clone(&detector), None, 1, &whole[..end]).is_err(), "cut at {end}");
    }
}

/// The features are the same, but the entries count in cents or in tenths of them.
#[test]
fn a_snapshot_of_other_decimals_is_refused() {
    let with = |decimals: u8| {
        let amount = format!("amount = {{ field = \"amount\", decimals = {decimals} }}");
        Arc::new(parse(&text_of("banking").replace("amount = \"amount\"", &amount)))
    };
    let bytes = Engine::new(with(2), None, 1).snapshot(0);
    assert_eq!(with(2).feature_fingerprint, with(3).feature_fingerprint);
    assert!(Engine::restore(with(2), None, 3, &bytes).is_ok());
    assert!(Engine::restore(with(3), None, 1, &bytes).is_err());
}

/// A feature that reads a list means something else when the list changes.
#[test]
fn a_list_is_part_of_the_features_that_read_it() {
    let with = |country: &str| {
        let feature =
            "[[feature]]\nname = \"blocked\"\nexpression = \"country in lists.blocked_countries\"\n[policy]";
        parse(&text_of("banking").replace("\"SY\"", country).replace("[policy]", feature))
    };
    assert_eq!(with("\"SY\"").feature_fingerprint, with("\"SY\"").feature_fingerprint);
    assert_ne!(with("\"SY\"").feature_fingerprint, with("\"XX\"").feature_fingerprint);
}
