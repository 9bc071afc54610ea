//! A chain of stages, one for each kind of entity, against the engine that does it all.

use std::sync::Arc;

use engine::{Decider, Decisions, Detector, Engine, EventBatch, Positions, TimeJumps};
use proptest::prelude::*;

use crate::oracle::{Event, Measured, Spec};
use crate::windows::{Stream, WHOLE, a_stream, batch_of, detector, run, some_specs};

/// Two partitions of cards, two of shops.
struct Chain {
    cards: [Engine; 2],
    shops: [Engine; 2],
    decider: Decider,
}

impl Chain {
    fn new(detector: &Arc<Detector>) -> Chain {
        let stage = |kind| [(); 2].map(|()| Engine::stage(Arc::clone(detector), Some(kind)));
        Chain {
            cards: stage("card"),
            shops: stage("shop"),
            decider: Decider::new(Arc::clone(detector), None),
        }
    }

    /// Passes the rows through both stages, in the order given.
    fn observe(&mut self, batch: &EventBatch, rows: &[u32], events: &[Event], decisions: &mut Decisions) {
        for (partition, engine) in self.cards.iter_mut().enumerate() {
            let own: Vec<u32> = own(rows, |row| usize::from(events[row].card) % 2 == partition);
            engine.observe_rows(batch, &own, Positions::From(0), TimeJumps::Refuse, decisions);
        }
        for (partition, engine) in self.shops.iter_mut().enumerate() {
            let own: Vec<u32> = own(rows, |row| usize::from(events[row].shop.unwrap_or(0)) % 2 == partition);
            engine.observe_rows(batch, &own, Positions::From(0), TimeJumps::Admit, decisions);
        }
    }

    fn learn(&mut self, batch: &EventBatch, row: usize, event: &Event, fraud: bool) {
        self.cards[usize::from(event.card) % 2].learn(batch, row, row as i64, fraud);
        self.shops[usize::from(event.shop.unwrap_or(0)) % 2].learn(batch, row, row as i64, fraud);
    }
}

fn own(rows: &[u32], owns: impl Fn(usize) -> bool) -> Vec<u32> {
    rows.iter().copied().filter(|row| owns(*row as usize)).collect()
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_chain_of_stages_decides_as_one_engine(
        specs in some_specs(),
        stream in a_stream(),
        learnt in prop::collection::vec(prop::option::weighted(0.2, (any::<prop::sample::Index>(), any::<bool>())), 300),
    ) {
        let specs = forwards(specs);
        let detector = detector(&specs);
        let events = acceptable(&stream.events);
        let learnt = (0..events.len()).map(|row| {
            learnt[row].map(|(of, fraud)| (of.index(row + 1), fraud)).into_iter().collect()
        }).collect();
        let stream = Stream { events, learnt };
        let batch = batch_of(&detector, &stream.events);
        let whole = run(&detector, &stream, &WHOLE);
        let (mut chain, mut decisions) = (Chain::new(&detector), Decisions::default());
        decisions.begin(batch.len(), detector.features.len());
        for row in 0..stream.events.len() {
            chain.observe(&batch, &[row as u32], &stream.events, &mut decisions);
            for (of, fraud) in &stream.learnt[row] {
                chain.learn(&batch, *of, &stream.events[*of], *fraud);
            }
        }
        chain.decider.decide(&batch, &mut decisions);
        prop_assert_eq!(&whole.statuses, &decisions.statuses);
        prop_assert_eq!(&whole.features, &bits(&decisions.features));
        prop_assert_eq!(&whole.outcomes, &decisions.outcomes);
    }

    /// Where every window of the second stage is delayed, how two partitions of the first interleave cannot show, as long
    /// as they are not further apart than the delay.
    #[test]
    fn the_order_between_partitions_does_not_show(
        steps in prop::collection::vec((0_i64..40, 0_u8..4, 0_u8..2, 0_i64..2_000, any::<bool>()), 1..200),
        turns in prop::collection::vec(any::<bool>(), 200),
    ) {
        let spec = |by_shop, aggregate, of, delay_s| Spec {
            base: 0,
            above: None,
            by_shop, aggregate, of, window_s: 300, delay_s, baseline_s: 0, exclude_current: false, empty: None,
        };
        let specs = [
            spec(false, "mean", "amount", 0), spec(true, "count", "", 60), spec(true, "max", "amount", 90),
            spec(true, "mean", "label", 60), spec(true, "distinct", "x", 60),
        ];
        let detector = detector(&specs);
        let mut time_s = 1_600_000_000;
        let events: Vec<Event> = steps.iter().map(|(ahead_s, card, shop, minor, fraud)| {
            time_s += ahead_s;
            Event { time_s, card: *card, shop: Some(*shop), minor: *minor, fraud: *fraud, ..Event::default() }
        }).collect();
        let batch = batch_of(&detector, &events);
        let rows: Vec<u32> = (0..batch.len() as u32).collect();
        let decide = |order: &[u32]| {
            let (mut chain, mut decisions) = (Chain::new(&detector), Decisions::default());
            decisions.begin(batch.len(), detector.features.len());
            order.iter().for_each(|row| chain.observe(&batch, &[*row], &events, &mut decisions));
            chain.decider.decide(&batch, &mut decisions);
            decisions
        };
        let (in_order, interleaved) = (decide(&rows), decide(&drifting(&events, &turns)));
        prop_assert_eq!(bits(&in_order.features), bits(&interleaved.features));
        prop_assert_eq!(in_order.statuses, interleaved.statuses);
    }
}

/// The windows of the first stage know nothing of those of the second.
fn forwards(mut specs: Vec<Spec>) -> Vec<Spec> {
    for index in 0..specs.len() {
        let is_later = |of: usize| specs[of].by_shop && !specs[index].by_shop;
        let from_later = specs[index].of == "feature" && is_later(specs[index].base);
        let above_later = matches!(specs[index].above, Some((Measured::Feature(of), _)) if is_later(of));
        if from_later {
            specs[index].of = "amount";
        }
        if above_later {
            specs[index].above = None;
        }
    }
    specs
}

/// Each partition has a time of its own: what is no jump and not long forgotten for any of them is comparable.
fn acceptable(events: &[Event]) -> Vec<Event> {
    let (mut newest_s, mut accepted): ([Option<i64>; 2], _) = ([None; 2], Vec::new());
    for event in events {
        let own_s = &mut newest_s[usize::from(event.card) % 2];
        let no_jump = own_s.is_none_or(|own_s| event.time_s <= own_s + 600);
        let newest = (*own_s).max(Some(event.time_s));
        let stream_s = accepted.iter().map(|event: &Event| event.time_s).max();
        if no_jump
            && stream_s.is_none_or(|stream_s| (stream_s - 700..=stream_s + 600).contains(&event.time_s))
        {
            *own_s = newest;
            accepted.push(event.clone());
        }
    }
    accepted
}

/// The rows of two partitions, each in its order, with one ahead of the other by less than a minute now and then.
fn drifting(events: &[Event], turns: &[bool]) -> Vec<u32> {
    let of = |partition: u8| (0..events.len()).filter(move |row| events[*row].card % 2 == partition);
    let mut queues = [of(0).peekable(), of(1).peekable()];
    let mut order = Vec::new();
    for turn in turns.iter().cycle() {
        let heads = [0, 1].map(|side| queues[side as usize].peek().map(|row| events[*row].time_s));
        let side = match heads {
            [None, None] => break,
            [Some(a), Some(b)] if (a - b).abs() >= 60 => usize::from(b < a),
            [Some(_), Some(_)] => usize::from(*turn),
            [a, _] => usize::from(a.is_none()),
        };
        order.extend(queues[side].next().map(|row| row as u32));
    }
    order
}
