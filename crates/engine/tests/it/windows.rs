//! Random streams through random detectors: the engine against the oracle, and against itself cut in other ways.

use std::sync::Arc;

use engine::{Decisions, Detector, Engine, EventBatch, Outcome, Status, Value};
use proptest::prelude::*;

use crate::oracle::{Event, Fate, Measured, Oracle, Spec, detector_text};

/// A stream: each event with the labels that are learnt right after it, as (index of the event, fraud).
#[derive(Debug, Clone)]
pub struct Stream {
    pub events: Vec<Event>,
    pub learnt: Vec<Vec<(usize, bool)>>,
}

fn a_spec() -> impl Strategy<Value = Spec> {
    let aggregate = prop_oneof![
        Just(("count", "")),
        Just(("time_since_last", "")),
        Just(("time_since_first", "")),
        Just(("time_since_last", "label")),
        Just(("time_since_first", "label")),
        Just(("rate_ratio", "")),
        prop_oneof![
            Just("sum"),
            Just("mean"),
            Just("min"),
            Just("max"),
            Just("std"),
            Just("last"),
            Just("rate_ratio")
        ]
        .prop_flat_map(|aggregate| {
            prop_oneof![Just("amount"), Just("x"), Just("label"), Just("feature")]
                .prop_map(move |of| (aggregate, of))
        }),
        prop_oneof![Just("kind"), Just("shop"), Just("amount"), Just("x"), Just("feature")]
            .prop_map(|of| ("distinct", of)),
    ];
    let window_s = prop_oneof![Just(1_i64), Just(10), Just(60), Just(61), Just(300)];
    let delay_s = prop_oneof![3 => Just(0_i64), 1 => Just(10), 1 => Just(60)];
    let empty = prop_oneof![Just(None), Just(Some(-1.0)), Just(Some(f64::NAN))];
    let above = prop_oneof![
        4 => Just(None),
        1 => Just(Some((Measured::Amount, 5.0))),
        2 => (any::<usize>(), prop_oneof![Just(0.5), Just(1.5), Just(8.0)])
            .prop_map(|(feature, above)| Some((Measured::Feature(feature), above))),
    ];
    (any::<bool>(), aggregate, (window_s, delay_s), any::<bool>(), empty, (any::<usize>(), above)).prop_map(
        |(by_shop, (aggregate, of), (window_s, delay_s), exclude_current, empty, (base, above))| Spec {
            by_shop,
            aggregate,
            of,
            base,
            above,
            window_s,
            // A label without a delay would know its own answer.
            delay_s: if of == "label" { delay_s.max(10) } else { delay_s },
            baseline_s: window_s * 5,
            exclude_current,
            empty: empty.filter(|_| !matches!(aggregate, "count" | "sum" | "distinct")),
        },
    )
}

pub fn some_specs() -> impl Strategy<Value = Vec<Spec>> {
    prop::collection::vec(a_spec(), 1..14).prop_map(|mut specs| {
        specs.iter_mut().enumerate().for_each(|(index, spec)| spec.look_back(index));
        specs
    })
}

impl Spec {
    /// What it depends on must be one of the features before it; the first depends on none.
    fn look_back(&mut self, index: usize) {
        self.base = self.base.checked_rem(index).unwrap_or(0);
        if index == 0 && self.of == "feature" {
            self.of = "amount";
        }
        self.above = match self.above {
            Some((Measured::Feature(feature), above)) => {
                feature.checked_rem(index).map(|feature| (Measured::Feature(feature), above))
            }
            above => above,
        };
    }
}

/// How far the clock moves, how far behind it the event is dated, and what is learnt afterwards.
type Step = (i64, i64, Event, Vec<(prop::sample::Index, bool)>);

fn a_step() -> impl Strategy<Value = Step> {
    let ahead_s =
        prop_oneof![6 => Just(0_i64), 12 => 1_i64..15, 3 => 15_i64..90, 1 => 90_i64..560, 1 => Just(3_000)];
    let behind_s = prop_oneof![8 => Just(0_i64), 2 => 1_i64..30, 1 => 30_i64..121, 1 => 121_i64..700];
    let learnt = prop_oneof![4 => Just(0), 1 => 1..3_usize];
    let learnt =
        learnt.prop_flat_map(|n| prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), n));
    (ahead_s, behind_s, an_event(), learnt)
}

fn an_event() -> impl Strategy<Value = Event> {
    let few = || prop::option::weighted(0.8, 0_u8..3);
    let minor = prop_oneof![0_i64..5, 0_i64..2_000, Just(1_000_000_000_000_000)];
    let x = prop::option::weighted(0.7, -20_i64..20);
    (0_u8..3, few(), few(), minor, x, any::<bool>()).prop_map(|(card, shop, kind, minor, x, fraud)| Event {
        time_s: 0,
        card,
        shop,
        kind,
        minor,
        x,
        fraud,
    })
}

pub fn a_stream() -> impl Strategy<Value = Stream> {
    prop::collection::vec(a_step(), 1..300).prop_map(|steps| {
        let (mut clock_s, mut events, mut learnt) = (1_600_000_000, Vec::new(), Vec::new());
        for (ahead_s, behind_s, event, labels) in steps {
            let time_s = clock_s + ahead_s - behind_s;
            // A jump is refused and moves nothing.
            clock_s += if ahead_s < 600 { ahead_s } else { 0 };
            events.push(Event { time_s, ..event });
            let known = events.len();
            learnt.push(labels.into_iter().map(|(at, fraud)| (at.index(known), fraud)).collect());
        }
        Stream { events, learnt }
    })
}

pub fn detector(specs: &[Spec]) -> Arc<Detector> {
    Arc::new(crate::shipped::parse(&detector_text(specs)))
}

pub fn batch_of(detector: &Detector, events: &[Event]) -> EventBatch {
    let schema = Arc::new(detector.schema.clone());
    let mut batch = EventBatch::new(Arc::clone(&schema));
    for (number, event) in events.iter().enumerate() {
        let word = |letter: char, number: Option<u8>| number.map(|number| format!("{letter}{number}"));
        let (card, shop, kind) = (word('c', Some(event.card)), word('s', event.shop), word('k', event.kind));
        fn text(word: &Option<String>) -> Value<'_> {
            word.as_deref().map_or(Value::Missing, Value::Text)
        }
        batch.begin_row();
        let mut set = |name: &str, value: Value| batch.set(schema.index_of(name).unwrap(), value);
        set("id", Value::Integer(number as i64));
        set("t", Value::Instant(event.time_s * 1_000_000));
        set("amount", Value::Number(event.minor as f64 / 100.0));
        set("fraud", Value::Bool(event.fraud));
        set("card", text(&card));
        set("shop", text(&shop));
        set("kind", text(&kind));
        set("x", event.x.map_or(Value::Missing, |tenths| Value::Number(tenths as f64 / 10.0)));
        batch.end_row().unwrap();
    }
    batch
}

/// Everything that a run decides, comparable to the last bit.
#[derive(Debug, Default, PartialEq)]
pub struct Decided {
    pub features: Vec<u64>,
    pub outcomes: Vec<Outcome>,
    pub statuses: Vec<Status>,
    pub rules: Vec<Vec<u16>>,
    pub time_jumps: Vec<String>,
}

impl Decided {
    fn add(&mut self, engine: &Engine, batch: &EventBatch, decisions: &Decisions) {
        self.features.extend(decisions.features.iter().map(|value| value.to_bits()));
        self.outcomes.extend(&decisions.outcomes);
        self.statuses.extend(&decisions.statuses);
        for row in 0..decisions.len() {
            self.rules.push(decisions.rules_of(row).to_vec());
            if decisions.statuses[row] == Status::TimeJump {
                self.time_jumps.push(engine.time_jump(batch, row).to_string());
            }
        }
    }
}

/// How a stream is worked through.
pub struct Manner<'a> {
    pub shards: usize,
    /// Whether a batch ends after this event.
    pub cut: &'a dyn Fn(usize) -> bool,
    /// After this event: snapshot, and go on from it with so many shards.
    pub restart: Option<(usize, usize)>,
}

pub const WHOLE: Manner = Manner { shards: 1, cut: &|_| false, restart: None };

pub fn run(detector: &Arc<Detector>, stream: &Stream, manner: &Manner) -> Decided {
    let all = batch_of(detector, &stream.events);
    let mut engine = Engine::new(Arc::clone(detector), None, manner.shards);
    let (mut decided, mut decisions) = (Decided::default(), Decisions::default());
    let mut batch = EventBatch::new(Arc::clone(all.schema()));
    let mut first = 0;
    for row in 0..all.len() {
        batch.push_row_of(&all, row);
        let restart = manner.restart.filter(|(after, _)| *after == row);
        let ends = row + 1 == all.len() || (manner.cut)(row) || restart.is_some();
        if ends || !stream.learnt[row].is_empty() {
            engine.process(&batch, first as i64, &mut decisions);
            decided.add(&engine, &batch, &decisions);
            batch.clear();
            first = row + 1;
        }
        for (of, fraud) in &stream.learnt[row] {
            engine.learn(&all, *of, *of as i64, *fraud);
        }
        if let Some((_, shards)) = restart {
            let bytes = engine.snapshot(row as i64);
            let (restored, position) = Engine::restore(Arc::clone(detector), None, shards, &bytes).unwrap();
            assert_eq!(position, row as i64);
            engine = restored;
        }
    }
    decided
}

fn fate(status: Status) -> Fate {
    match status {
        Status::OnTime => Fate::OnTime,
        Status::Late => Fate::Late,
        Status::TooLate => Fate::TooLate,
        Status::TimeJump => Fate::TimeJump,
    }
}

fn same(exact: bool, expected: f64, found: f64) -> bool {
    let close = (expected - found).abs() <= 1e-12 * expected.abs();
    expected.to_bits() == found.to_bits() || (expected.is_nan() && found.is_nan()) || (!exact && close)
}

fn check_against_oracle(specs: &[Spec], stream: &Stream) {
    let detector = detector(specs);
    let decided = run(&detector, stream, &WHOLE);
    let mut oracle = Oracle::new(specs);
    // The amount as it is comes first.
    let columns = specs.len() + 1;
    for (row, event) in stream.events.iter().enumerate() {
        let (expected_fate, expected) = oracle.observe(event);
        assert_eq!(fate(decided.statuses[row]), expected_fate, "event {row}: {event:?}");
        for (index, spec) in specs.iter().enumerate() {
            let found = f64::from_bits(decided.features[row * columns + 1 + index]);
            let matches = same(spec.is_exact(), expected[index], found);
            assert!(matches, "event {row}, {spec:?}: expected {}, found {found}", expected[index]);
        }
        for (of, fraud) in &stream.learnt[row] {
            oracle.events[*of].fraud = *fraud;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn features_are_those_of_the_definition(specs in some_specs(), stream in a_stream()) {
        check_against_oracle(&specs, &stream);
    }

    #[test]
    fn batches_and_shards_do_not_show(
        specs in some_specs(),
        stream in a_stream(),
        shards in 1_usize..=5,
        cuts in prop::collection::vec(any::<bool>(), 300),
    ) {
        let detector = detector(&specs);
        let whole = run(&detector, &stream, &WHOLE);
        let cut = run(&detector, &stream, &Manner { shards, cut: &|row| cuts[row], restart: None });
        prop_assert_eq!(whole, cut);
    }

    #[test]
    fn a_restart_from_a_snapshot_does_not_show(
        specs in some_specs(),
        stream in a_stream(),
        at in any::<prop::sample::Index>(),
        shards in 1_usize..=5,
        shards_after in 1_usize..=5,
    ) {
        let detector = detector(&specs);
        let restart = Some((at.index(stream.events.len()), shards_after));
        let restarted = run(&detector, &stream, &Manner { shards, cut: &|_| false, restart });
        prop_assert_eq!(run(&detector, &stream, &WHOLE), restarted);
    }

    #[test]
    fn a_refused_time_leaves_no_trace(specs in some_specs(), stream in a_stream()) {
        let detector = detector(&specs);
        let with = run(&detector, &stream, &WHOLE);
        let accepted = |row: &usize| with.statuses[*row] != Status::TimeJump;
        let kept: Vec<usize> = (0..stream.events.len()).filter(accepted).collect();
        // Labels name events by their place in the log, which moves: without any the streams are comparable.
        let silent = Stream { events: stream.events.clone(), learnt: vec![Vec::new(); stream.events.len()] };
        let events = kept.iter().map(|row| stream.events[*row].clone()).collect();
        let without = Stream { events, learnt: vec![Vec::new(); kept.len()] };
        let (with, without) = (run(&detector, &silent, &WHOLE), run(&detector, &without, &WHOLE));
        let columns = specs.len() + 1;
        for (at, row) in kept.iter().enumerate() {
            let features = |decided: &Decided, row: usize| decided.features[row * columns..][..columns].to_vec();
            prop_assert_eq!(features(&with, *row), features(&without, at), "event {}", row);
        }
    }
}

/// Ties, borders and the event itself, spelt out: windows are open at the left and closed at the right.
#[test]
fn borders_of_a_window_are_exact() {
    let spec = |aggregate, window_s, delay_s, exclude_current| Spec {
        base: 0,
        above: None,
        by_shop: false,
        aggregate,
        of: "",
        window_s,
        delay_s,
        baseline_s: 0,
        exclude_current,
        empty: None,
    };
    let specs = [
        spec("count", 10, 0, false),
        spec("count", 10, 0, true),
        spec("count", 10, 10, false),
        spec("time_since_last", 60, 0, false),
    ];
    let events = [100, 100, 109, 110, 110, 120].map(|time_s| Event { time_s, ..Event::default() });
    let stream = Stream { learnt: vec![Vec::new(); events.len()], events: events.to_vec() };
    let decided = run(&detector(&specs), &stream, &WHOLE);
    let rows: Vec<Vec<f64>> = decided
        .features
        .chunks(5)
        .map(|row| row[1..].iter().map(|bits| f64::from_bits(*bits)).collect())
        .collect();
    assert!(rows[0][3].is_nan(), "there is nothing before the first event");
    assert_eq!(rows[0][..3], [1.0, 0.0, 0.0]);
    assert_eq!(rows[1], [2.0, 1.0, 0.0, 0.0], "an earlier event of the same time is past");
    assert_eq!(rows[2], [3.0, 2.0, 0.0, 9.0]);
    assert_eq!(
        rows[3],
        [2.0, 1.0, 2.0, 1.0],
        "at 110 the events of 100 leave the window and enter the delayed one"
    );
    assert_eq!(rows[4], [3.0, 2.0, 2.0, 0.0]);
    assert_eq!(rows[5], [1.0, 0.0, 3.0, 10.0]);
}

fn one_off_cards() -> Arc<Detector> {
    Arc::new(crate::shipped::parse(
        r#"
name = "one-off"
[event]
id = "id"
time = "t"
amount = "amount"
key = "card"
max_lateness = "1s"
max_time_jump = "10s"
[[feature]]
name = "count"
by = "card"
aggregate = "count"
windows = ["10s"]
[[feature]]
name = "amounts"
by = "card"
aggregate = "distinct"
of = "amount"
windows = ["5s"]
[[feature]]
name = "most"
by = "card"
aggregate = "max"
of = "amount"
windows = ["5s"]
"#,
    ))
}

/// Enters `count` events, a hundred a second, of the cards that `card` names.
fn feed(engine: &mut Engine, count: i64, card: impl Fn(i64) -> i64) -> Vec<u64> {
    let mut batch = EventBatch::new(Arc::new(engine.detector().schema.clone()));
    let (mut decisions, mut bits) = (Decisions::default(), Vec::new());
    for number in 0..count {
        batch.begin_row();
        batch.set(0, Value::Integer(number));
        batch.set(1, Value::Instant(1_600_000_000_000_000 + number * 10_000));
        batch.set(2, Value::Integer(number % 7));
        batch.set(3, Value::Integer(card(number)));
        batch.end_row().unwrap();
        if batch.len() == 1_000 || number + 1 == count {
            engine.process(&batch, number + 1 - batch.len() as i64, &mut decisions);
            bits.extend(decisions.features.iter().map(|value| value.to_bits()));
            batch.clear();
        }
    }
    bits
}

/// The hand that frees entities once moved as fast as new ones came, and so never reached an old one.
#[test]
fn entities_that_never_come_back_are_freed() {
    for shards in [1, 3] {
        let mut engine = Engine::new(one_off_cards(), None, shards);
        feed(&mut engine, 200_000, |number| number);
        let state = &engine.state()[0];
        // An entity is held for 10 s + 1 s + 10 s, which see 2,100 cards.
        assert!(state.entities <= 2 * 2_100, "{shards} shards hold {} entities", state.entities);
        assert!(state.bytes <= 4_000_000, "{shards} shards hold {} bytes", state.bytes);
    }
}

/// Cards that come back just before, at and after the moment when they may be freed.
#[test]
fn when_an_entity_was_freed_does_not_show() {
    let card = |number: i64| if number % 3 == 0 { number % 2_103 } else { number };
    let of_shards = |shards| feed(&mut Engine::new(one_off_cards(), None, shards), 30_000, card);
    let one = of_shards(1);
    assert!((2..=5).all(|shards| of_shards(shards) == one));
}

#[test]
fn a_hot_entity_shows_in_the_state_report() {
    let mut engine = Engine::new(one_off_cards(), None, 2);
    feed(&mut engine, 5_000, |number| if number % 2 == 0 { 4_711 } else { number });
    let (key, events) = engine.state()[0].largest.clone().unwrap();
    assert_eq!(key, "4711");
    assert!((500..=600).contains(&events), "11 s of 50 events each: {events}");
}

/// What `inspect` shows is what the newest decision saw.
#[test]
fn an_inspected_entity_shows_its_newest_decision() {
    let mut engine = Engine::new(one_off_cards(), None, 3);
    let bits = feed(&mut engine, 100, |_| 1);
    let view = engine.inspect("card", "1").unwrap();
    let shown: Vec<u64> = view.features.iter().map(|(_, value)| value.to_bits()).collect();
    assert_eq!(shown, bits[bits.len() - 3..]);
    assert_eq!((view.events, engine.inspect("card", "2")), (100, None));
}
