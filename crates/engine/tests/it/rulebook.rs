//! Rulebooks: what decides, in which order, for whom and until when.

use std::sync::Arc;

use engine::rulebook::{Entry, List, ListKind, Rulebook, Stage, WrittenRule};
use engine::time::{format_instant, parse_instant};
use engine::{Decisions, Detector, Engine, EventBatch, Outcome, Value};

const DETECTOR: &str = r#"
name = "card"
[event]
id = "id"
time = "time"
amount = "amount"
[event.fields]
card = "id"
shop = "id"
[lists]
risky = ["shop7"]
[[feature]]
name = "seen"
by = "card"
aggregate = "count"
windows = ["1d"]
[[rule]]
name = "large"
when = 'amount > 100.0 || shop in lists.risky'
outcome = "review"
"#;

const NOON: &str = "2026-01-01T12:00:00Z";

fn detector() -> Detector {
    Detector::parse(DETECTOR).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

fn engine_of(book: &Rulebook) -> Engine {
    let made = detector().with_rulebook(book);
    Engine::new(Arc::new(made.unwrap_or_else(|flaws| panic!("{flaws:?}"))), None, 1)
}

fn batch(events: &[(&str, &str, i64, i64)]) -> EventBatch {
    let mut batch = EventBatch::new(Arc::new(detector().schema));
    let noon = parse_instant(NOON).unwrap();
    for (row, (card, shop, amount, seconds)) in events.iter().enumerate() {
        let time = format_instant(noon + seconds * 1_000_000);
        let fields = [row.to_string(), time, amount.to_string(), card.to_string(), shop.to_string()];
        let names = ["id", "time", "amount", "card", "shop"];
        batch.begin_row();
        for (name, text) in names.into_iter().zip(&fields) {
            let field = batch.schema().index_of(name).unwrap();
            let number = text.parse().ok().filter(|_| name == "amount");
            batch.set(field, number.map_or(Value::Text(text), Value::Number));
        }
        batch.end_row().unwrap();
    }
    batch
}

/// Outcome and fired names of each event.
fn decide(engine: &mut Engine, events: &[(&str, &str, i64, i64)]) -> Vec<(Outcome, Vec<String>)> {
    let mut decisions = Decisions::default();
    engine.process(&batch(events), 0, &mut decisions);
    let rules = &engine.detector().rules;
    let names = |row| decisions.rules_of(row).iter().map(|rule| rules[usize::from(*rule)].name.clone());
    (0..events.len()).map(|row| (decisions.outcomes[row], names(row).collect())).collect()
}

fn list(name: &str, kind: ListKind, field: &str, values: &[(&str, Option<&str>)]) -> List {
    let entry = |(value, expires): &(&str, Option<&str>)| Entry {
        value: value.to_string(),
        expires: expires.map(str::to_string),
        ..Entry::default()
    };
    let entries = values.iter().map(entry).collect();
    List { name: name.into(), kind, field: Some(field.into()), owner: String::new(), entries }
}

fn fired(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| name.to_string()).collect()
}

#[test]
fn the_files_own_rulebook_changes_nothing() {
    let own = detector();
    let book = Rulebook::of(&own);
    assert_eq!(own.with_rulebook(&book).unwrap().rules_fingerprint, own.rules_fingerprint);
    let mut other = book.clone();
    other.rules[0].owner = "ann".into();
    let other = own.with_rulebook(&other).unwrap();
    assert_ne!(other.rules_fingerprint, own.rules_fingerprint);
    assert_eq!(other.feature_fingerprint, own.feature_fingerprint);
}

#[test]
fn deny_beats_allow_and_allow_beats_review() {
    let mut book = Rulebook::of(&detector());
    book.lists.push(list("trusted", ListKind::Allow, "card", &[("a", None), ("b", None)]));
    book.lists.push(list("blocked", ListKind::Deny, "shop", &[("s", None)]));
    book.lists.push(list("watched", ListKind::Watch, "card", &[("c", None)]));
    let events =
        [("a", "s", 1, 0), ("b", "t", 500, 1), ("c", "t", 1, 2), ("d", "t", 1, 3), ("d", "shop7", 1, 4)];
    let expected = [
        (Outcome::Decline, fired(&["list:trusted", "list:blocked"])),
        (Outcome::Approve, fired(&["list:trusted", "large"])),
        (Outcome::Review, fired(&["list:watched"])),
        (Outcome::Approve, fired(&[])),
        (Outcome::Review, fired(&["large"])),
    ];
    assert_eq!(decide(&mut engine_of(&book), &events), expected);
}

#[test]
fn entries_and_rules_expire_by_the_time_of_the_event() {
    let later = "2026-01-01T12:01:00Z";
    let mut book = Rulebook::default();
    book.lists.push(list("blocked", ListKind::Deny, "shop", &[("s", Some(later))]));
    let mut rule = WrittenRule::live("new", "shop == 't'", Outcome::Review);
    (rule.from, rule.expires) = (Some(later.into()), Some("2026-01-01T12:02:00Z".into()));
    book.rules.push(rule);
    let events =
        [("a", "s", 1, 59), ("a", "s", 1, 60), ("a", "t", 1, 59), ("a", "t", 1, 60), ("a", "t", 1, 120)];
    let outcomes: Vec<Outcome> = decide(&mut engine_of(&book), &events).into_iter().map(|(o, _)| o).collect();
    use Outcome::{Approve, Decline, Review};
    assert_eq!(outcomes, [Decline, Approve, Approve, Review, Approve]);
}

#[test]
fn only_live_rules_decide() {
    let outcome_in = |stage| {
        let mut rule = WrittenRule::live("new", "amount > 1.0", Outcome::Decline);
        rule.stage = stage;
        let book = Rulebook { rules: vec![rule], ..Rulebook::default() };
        decide(&mut engine_of(&book), &[("a", "s", 50, 0)]).remove(0)
    };
    assert_eq!(outcome_in(Stage::Live), (Outcome::Decline, fired(&["new"])));
    assert_eq!(outcome_in(Stage::Shadow), (Outcome::Approve, fired(&["~new"])));
    assert_eq!(outcome_in(Stage::Draft), (Outcome::Approve, fired(&[])));
    assert_eq!(outcome_in(Stage::Retired), (Outcome::Approve, fired(&[])));
}

#[test]
fn a_share_is_close_stable_and_grows_only() {
    let cards: Vec<String> = (0..10_000).map(|card| format!("card{card}")).collect();
    let events: Vec<_> = cards.iter().map(|card| (card.as_str(), "s", 1, 0)).collect();
    let within = |name: &str, share: f64| -> Vec<bool> {
        let mut rule = WrittenRule::live(name, "amount > 0.0", Outcome::Decline);
        (rule.stage, rule.share, rule.share_by) = (Stage::Partial, Some(share), Some("card".into()));
        let book = Rulebook { rules: vec![rule], ..Rulebook::default() };
        decide(&mut engine_of(&book), &events)
            .iter()
            .map(|(outcome, _)| *outcome != Outcome::Approve)
            .collect()
    };
    let mut before = vec![false; cards.len()];
    for share in [0.0, 0.1, 0.25, 0.5, 0.9, 1.0] {
        let now = within("new", share);
        let count = now.iter().filter(|is_in| **is_in).count() as f64;
        // Five standard deviations of a binomial.
        let spread = 5.0 * (share * (1.0 - share) * cards.len() as f64).sqrt();
        assert!((count - share * cards.len() as f64).abs() <= spread, "{share}: {count}");
        assert!(before.iter().zip(&now).all(|(before, now)| !before | now), "{share}");
        assert_eq!(now, within("new", share));
        before = now;
    }
    assert_ne!(within("new", 0.5), within("another", 0.5));
}

#[test]
fn another_rulebook_leaves_the_state_alone() {
    let mut engine = engine_of(&Rulebook::default());
    decide(&mut engine, &[("a", "s", 1, 0), ("a", "s", 1, 1)]);
    let rule = WrittenRule::live("third", "seen_1d >= 3.0", Outcome::Decline);
    let book = Rulebook { rules: vec![rule], ..Rulebook::default() };
    engine.set_rulebook(Arc::new(detector().with_rulebook(&book).unwrap()));
    assert_eq!(decide(&mut engine, &[("a", "s", 1, 2)]), [(Outcome::Decline, fired(&["third"]))]);
}

#[test]
fn all_flaws_are_told_at_once() {
    let mut book = Rulebook::default();
    book.rules.push(WrittenRule::live("a,b", "amuont > 1.0", Outcome::Review));
    let mut rule = WrittenRule::live("part", "card in lists.bloked", Outcome::Review);
    (rule.stage, rule.expires) = (Stage::Partial, Some("soon".into()));
    book.rules.push(rule);
    book.lists.push(list("blocked", ListKind::Deny, "crad", &[("x", None), ("x", None)]));
    book.policy.daily_review_budget = Some(-1.0);
    let flaws = detector().with_rulebook(&book).unwrap_err();
    let told = flaws.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let parts = [
        "rule `a,b`: the name",
        "rule `a,b`, column 1: ",
        "did you mean `amount`?",
        "rule `part`: `expires` is \"soon\"",
        "rule `part`: lacks the key `share`",
        "did you mean `lists.blocked`?",
        "list `blocked`: holds \"x\" twice",
        "list `blocked`: `field` is \"crad\"",
        "did you mean `card`?",
        "the policy: `daily_review_budget` is -1",
    ];
    for part in parts {
        assert!(told.contains(part), "{part} is not in\n{told}");
    }
}
