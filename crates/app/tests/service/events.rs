//! Transactions of the detector `card-handbook`, written by hand or simulated.

use std::path::Path;

use serde_json::Value;

use super::process::succeed;

/// The fields of a transaction, in the order of the detector.
pub const FIELDS: [&str; 5] = ["transaction_id", "tx_datetime", "tx_amount", "customer_id", "terminal_id"];

/// A transaction of 12.34 at a time of the form `2018-04-01T12:00:00Z`.
pub fn transaction(id: &str, time: &str, customer: &str, terminal: &str) -> String {
    format!(
        "{{\"transaction_id\":\"{id}\",\"tx_datetime\":\"{time}\",\"tx_amount\":12.34,\
         \"customer_id\":\"{customer}\",\"terminal_id\":\"{terminal}\"}}"
    )
}

/// A transaction whose seconds after an hour of the first of April count up.
pub fn numbered(number: usize) -> String {
    let (minute, second) = (number / 60 % 60, number % 60);
    let time =
        format!("2018-04-{:02}T{:02}:{minute:02}:{second:02}Z", 1 + number / 86_400, number / 3_600 % 24);
    transaction(&format!("n{number}"), &time, &format!("c{}", number % 97), &format!("t{}", number % 53))
}

pub fn label(id: &str, fraud: bool) -> String {
    format!("{{\"transaction_id\":\"{id}\",\"fraud\":{fraud}}}")
}

/// A simulated transaction.
#[derive(Debug, Clone)]
pub struct Simulated {
    pub id: String,
    /// As it is written: times in UTC sort as their text does.
    pub time: String,
    pub customer: String,
    pub fraud: bool,
    /// As it is posted.
    pub body: String,
}

/// Simulated transactions over some weeks, which are left in `stream.jsonl` of the folder.
pub fn simulated(folder: &Path, rows: usize, customers: usize, seed: u64) -> Vec<Simulated> {
    let arguments = format!("--rows {rows} --customers {customers} --seed {seed} --out stream.jsonl");
    succeed(folder, &format!("simulate --detector card-handbook {arguments}"));
    read_simulated(&folder.join("stream.jsonl"))
}

/// Simulated transactions of a file of JSON lines.
pub fn read_simulated(file: &Path) -> Vec<Simulated> {
    let text = std::fs::read_to_string(file).unwrap();
    let parse = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        Simulated {
            id: event["transaction_id"].to_string(),
            time: event["tx_datetime"].as_str().unwrap().to_string(),
            customer: event["customer_id"].to_string(),
            fraud: event["tx_fraud"] == 1,
            body: line.to_string(),
        }
    };
    text.lines().map(parse).collect()
}
