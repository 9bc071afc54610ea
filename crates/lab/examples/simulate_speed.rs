//! How fast a simulator makes rows: `cargo run --release -p lab --example simulate_speed -- card 20000000`.

use std::error::Error;
use std::time::Instant;

use lab::simulate::{NAMES, Row, Settings, simulator};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let detector = arguments.next();
    let rows = arguments.next().map_or(Ok(2_000_000), |rows| rows.parse())?;
    for name in NAMES.iter().filter(|name| detector.as_deref().is_none_or(|wanted| wanted == **name)) {
        report(name, rows)?;
    }
    Ok(())
}

/// Pulls `rows` rows and prints their number, the frauds, the time, and the most memory this process has held.
fn report(detector: &str, rows: u64) -> Result<(), Box<dyn Error>> {
    let started = Instant::now();
    let mut stream = simulator(detector, &Settings { seed: 1, rows: Some(rows), ..Settings::default() })?;
    let mut row = Row::new();
    let (mut count, mut cells) = (0u64, 0usize);
    while stream.next(&mut row) {
        count += 1;
        cells += row.cells().len();
    }
    let seconds = started.elapsed().as_secs_f64();
    let rate = count as f64 / seconds / 1e6;
    println!(
        "{detector:14} {count} rows, {cells} cells, {seconds:.2} s, {rate:.2} M rows/s, peak {}",
        peak_memory()
    );
    Ok(())
}

/// The process's peak resident memory, where the system tells.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |peak| peak.trim().to_owned())
}
