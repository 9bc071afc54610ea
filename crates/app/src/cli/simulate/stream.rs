//! Simulated transactions into a Kafka topic, at a rate.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use engine::detector::Schema;
use engine::{EventBatch, Label};
use lab::dataset::{Block, SimulatedReader, write_event, write_mark};

use super::Tally;
use super::pace::Pace;
use crate::cli::output::CountBar;
use crate::stream::feed::Feed;
use crate::stream::settings::KafkaSettings;

/// Rows that are sent before the clock is looked at.
const ROWS: usize = 64;

/// Sends what a simulator makes to the topic of transactions, keyed by the detector's key, `rows` of them or until it ends.
/// Without a rate as fast as Kafka takes it.
///
/// # Errors
/// If Kafka refuses a message.
pub fn send(
    schema: &Arc<Schema>,
    mut reader: SimulatedReader,
    settings: &KafkaSettings,
    rows: Option<u64>,
    rate: Option<f64>,
) -> Result<Tally> {
    let feed = Feed::new(settings)?;
    let mut block = Block::new(schema);
    let (started, bar) = (Instant::now(), CountBar::new("sending", "transactions", rows));
    let mut pace = rate.map(Pace::new);
    let (mut tally, mut last_us, mut json) = (Tally::default(), None, String::new());
    let wanted = rows.unwrap_or(u64::MAX);
    while tally.rows < wanted
        && (0..ROWS.min((wanted - tally.rows) as usize)).any(|_| reader.read_one(&mut block))
    {
        let batch = &block.batch;
        for row in 0..batch.len() {
            json.clear();
            write_event(batch, row, false, &mut json);
            write_mark(batch.mark(row), &mut json);
            if let Some(pace) = &mut pace {
                wait_until(pace.due(), started, &feed);
                pace.sent(started.elapsed());
            }
            feed.transaction(batch.key(row), &json)?;
            tally.frauds += u64::from(batch.label(row) == Label::Fraud);
        }
        tally.rows += batch.len() as u64;
        tally.first_time.get_or_insert_with(|| time_of(batch, 0));
        last_us = batch.len().checked_sub(1).map(|row| time_of(batch, row));
        block.clear();
        bar.show(tally.rows);
        feed.poll();
    }
    feed.finish()?;
    bar.finish();
    tally.last_time = last_us;
    tally.pacing = pace.map(|pace| pace.kept());
    Ok(tally)
}

/// Waits for what is due, and lets the producer work meanwhile.
fn wait_until(due: Duration, started: Instant, feed: &Feed) {
    let left = due.saturating_sub(started.elapsed());
    if !left.is_zero() {
        feed.poll();
        std::thread::sleep(left);
    }
}

fn time_of(batch: &EventBatch, row: usize) -> String {
    engine::time::format_instant(batch.time_us(row))
}
