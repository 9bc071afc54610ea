//! What exact windows cost: count and sum over 1 h, 24 h and 7 d for each card, in steady state, one thread.
//!
//! The events are made while the clock stands; what is timed is [`Engine::observe`], from a filled batch to the row of
//! the feature matrix: in batches of 1,024, and in batches of one event, as they come online. `cargo bench -p engine`
//! goes through a thousand cards, which fit the cache, and more, which do not; `cargo bench -p engine -- 10000 1 5` takes
//! that many cards, events a batch and repetitions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{Decisions, Detector, Engine, EventBatch, Value};

const CARDS: [u64; 3] = [1_000, 10_000, 100_000];
const BATCH_ROWS: [u64; 2] = [1_024, 1];
/// Four a day for each card: 28 in the longest window.
const EVENTS_PER_CARD_DAY: u64 = 4;
/// Batches that are filled, and then timed, at once: few, so that they are still at hand as those of a service are.
const BATCHES: usize = 16;
const ROWS: usize = 1 << 17;
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
    cards: u64,
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

    fn fill(&mut self, batch: &mut EventBatch, rows: usize) {
        batch.clear();
        for _ in 0..rows {
            self.number += 1;
            let time_us =
                1_600_000_000_000_000 + self.number * 86_400_000_000 / (EVENTS_PER_CARD_DAY * self.cards);
            batch.begin_row();
            batch.set(0, Value::Integer(self.number as i64));
            batch.set(1, Value::Instant(time_us as i64));
            batch.set(2, Value::Number((self.draw() % 20_000) as f64 / 100.0));
            batch.set(3, Value::Integer((self.draw() % self.cards) as i64));
            batch.end_row().expect("the bench makes sound events");
        }
    }
}

/// An engine with the events that it is fed.
struct Stream {
    engine: Engine,
    events: Events,
    decisions: Decisions,
}

impl Stream {
    /// A stream in steady state.
    fn new(cards: u64) -> Stream {
        let detector = Arc::new(Detector::parse(DETECTOR).expect("the detector is sound"));
        let mut batch = [EventBatch::new(Arc::new(detector.schema.clone()))];
        let events = Events { cards, number: 0, random: 1 };
        let engine = Engine::new(detector, None, 1);
        let mut stream = Stream { engine, events, decisions: Decisions::default() };
        while stream.events.number < WARM_UP_DAYS * EVENTS_PER_CARD_DAY * cards {
            stream.round(&mut batch, 1_024);
        }
        stream
    }

    /// Fills the batches with so many events each, and says how long it takes to observe them.
    fn round(&mut self, batches: &mut [EventBatch], rows: usize) -> Duration {
        batches.iter_mut().for_each(|batch| self.events.fill(batch, rows));
        let start = Instant::now();
        for batch in &*batches {
            self.engine.observe(batch, self.events.number as i64, &mut self.decisions);
        }
        start.elapsed()
    }

    /// Nanoseconds an event, of each repetition, ascending.
    fn times_ns(&mut self, batch_rows: usize, repetitions: usize) -> Vec<f64> {
        let schema = Arc::new(self.engine.detector().schema.clone());
        let mut batches = vec![EventBatch::new(schema); BATCHES];
        let rounds = ROWS / BATCHES / batch_rows;
        let mut repetition = || (0..rounds).map(|_| self.round(&mut batches, batch_rows)).sum::<Duration>();
        let mut times: Vec<f64> =
            (0..repetitions).map(|_| repetition().as_nanos() as f64 / ROWS as f64).collect();
        times.sort_by(f64::total_cmp);
        times
    }
}

fn main() {
    let given: Vec<u64> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let cards = given.first().map_or(&CARDS[..], std::slice::from_ref);
    let batch_rows = given.get(1).map_or(&BATCH_ROWS[..], std::slice::from_ref);
    let repetitions = given.get(2).map_or(REPETITIONS, |count| *count as usize);
    println!("count and sum over 1 h, 24 h, 7 d; one thread; {repetitions} repetitions");
    for &cards in cards {
        let mut stream = Stream::new(cards);
        let state = &stream.engine.state()[0];
        let (entities, events, megabytes) = (state.entities, state.events, state.bytes / 1_000_000);
        println!("{entities} cards, {events} events held in {megabytes} MB");
        for &batch_rows in batch_rows {
            let times = stream.times_ns(batch_rows as usize, repetitions);
            let (median, fastest, slowest) = (times[repetitions / 2], times[0], times[repetitions - 1]);
            println!(
                "  {batch_rows:>5} a batch: median {median:.0} ns, fastest {fastest:.0} ns, slowest {slowest:.0} ns"
            );
        }
    }
}
