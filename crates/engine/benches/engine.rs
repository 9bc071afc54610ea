//! What exact windows cost: count and sum over 1 h, 24 h and 7 d for each of 100,000 cards, in steady state, one thread.
//!
//! The events are made before the clock starts; what is timed is [`Engine::observe`], from a filled batch to the row of
//! the feature matrix. `cargo bench -p engine`.

use std::sync::Arc;
use std::time::Instant;

use engine::{Decisions, Detector, Engine, EventBatch, Value};

const CARDS: u64 = 100_000;
/// Four a day for each card: 28 in the longest window.
const EVENTS_PER_DAY: u64 = 4 * CARDS;
const BATCH_ROWS: u64 = 1_024;
const BATCHES: u64 = 250;
const REPETITIONS: usize = 15;
/// From here on nothing grows: seven days and the allowed hour of lateness have passed.
const WARM_UP_DAYS: u64 = 8;

const DETECTOR: &str = r#"
name = "windows"
[event]
id = "id"
time = "time"
amount = "amount"
key = "card"
[[feature]]
name = "count"
by = "card"
aggregate = "count"
windows = ["1h", "24h", "7d"]
[[feature]]
name = "sum"
by = "card"
aggregate = "sum"
of = "amount"
windows = ["1h", "24h", "7d"]
"#;

/// Events in order of time, of cards drawn at random (SplitMix64).
struct Events {
    number: u64,
    random: u64,
}

impl Events {
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn fill(&mut self, batch: &mut EventBatch) {
        batch.clear();
        for _ in 0..BATCH_ROWS {
            self.number += 1;
            let time_us = 1_600_000_000_000_000 + self.number * 86_400_000_000 / EVENTS_PER_DAY;
            batch.begin_row();
            batch.set(0, Value::Integer(self.number as i64));
            batch.set(1, Value::Instant(time_us as i64));
            batch.set(2, Value::Number((self.draw() % 20_000) as f64 / 100.0));
            batch.set(3, Value::Integer((self.draw() % CARDS) as i64));
            batch.end_row().expect("the bench makes sound events");
        }
    }
}

fn main() {
    let detector = Arc::new(Detector::parse(DETECTOR).expect("the detector is sound"));
    let schema = Arc::new(detector.schema.clone());
    let mut engine = Engine::new(detector, None, 1);
    let mut events = Events { number: 0, random: 1 };
    let mut decisions = Decisions::default();
    let mut batches = vec![EventBatch::new(schema); BATCHES as usize];
    while events.number < WARM_UP_DAYS * EVENTS_PER_DAY {
        events.fill(&mut batches[0]);
        engine.observe(&batches[0], events.number as i64, &mut decisions);
    }
    let mut times_ns: Vec<f64> = (0..REPETITIONS)
        .map(|_| {
            batches.iter_mut().for_each(|batch| events.fill(batch));
            let start = Instant::now();
            for batch in &batches {
                engine.observe(batch, events.number as i64, &mut decisions);
            }
            start.elapsed().as_nanos() as f64 / (BATCHES * BATCH_ROWS) as f64
        })
        .collect();
    times_ns.sort_by(f64::total_cmp);
    let state = &engine.state()[0];
    println!("count and sum over 1 h, 24 h, 7 d; {CARDS} cards; one thread; {REPETITIONS} repetitions");
    println!("state   {} entities, {} events, {} MB", state.entities, state.events, state.bytes / 1_000_000);
    println!(
        "event   median {:.0} ns, fastest {:.0} ns, slowest {:.0} ns",
        times_ns[REPETITIONS / 2],
        times_ns[0],
        times_ns[REPETITIONS - 1]
    );
}
