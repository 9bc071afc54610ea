//! Months: a partition of the decisions for each, made when the first event of it comes, dropped as a whole when it is
//! older than what is kept.

use std::collections::HashSet;

use postgres::Transaction;

use super::session::PARTITION_LOCK;
use crate::Result;

/// Twenty years. What comes beyond goes where everything goes that has no partition: planning a query looks at each.
const PARTITIONS_MAX: usize = 240;

const DAY_US: i64 = 86_400_000_000;

/// A month of the calendar, counted from January of the year 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Month(i64);

impl Month {
    /// The month of an instant in microseconds since 1970, by the civil calendar (Howard Hinnant's `civil_from_days`).
    pub fn of(us: i64) -> Month {
        let days = us.div_euclid(DAY_US) + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        Month((era * 400 + year_of_era) * 12 + from_march + 2)
    }

    /// Its first microsecond (Howard Hinnant's `days_from_civil`).
    pub fn start_us(self) -> i64 {
        let from_march = self.0 - 2;
        let (year, month) = (from_march.div_euclid(12), from_march.rem_euclid(12));
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + (153 * month + 2) / 5;
        (era * 146_097 + day_of_era - 719_468) * DAY_US
    }

    fn next(self) -> Month {
        Month(self.0 + 1)
    }

    /// `decisions_2026_11`.
    fn table(self) -> String {
        format!("decisions_{:04}_{:02}", self.0.div_euclid(12), self.0.rem_euclid(12) + 1)
    }

    fn of_table(table: &str) -> Option<Month> {
        let (year, month) = table.strip_prefix("decisions_")?.split_once('_')?;
        Some(Month(year.parse::<i64>().ok()? * 12 + month.parse::<i64>().ok()? - 1))
    }
}

/// The months that have a partition, as far as this process knows.
#[derive(Default)]
pub(super) struct Partitions {
    known: HashSet<Month>,
    /// How long decisions are kept, in microseconds of event time.
    pub retention_us: Option<i64>,
}

impl Partitions {
    pub fn new(retention_us: Option<i64>) -> Partitions {
        Partitions { known: HashSet::new(), retention_us }
    }

    /// What was made in a transaction that failed is not there.
    pub fn forget(&mut self) {
        self.known.clear();
    }

    /// Makes the months of these times, if need be, in the transaction that writes them.
    pub fn make(&mut self, transaction: &mut Transaction, times_us: impl Iterator<Item = i64>) -> Result<()> {
        let mut last = None;
        let mut missing = Vec::new();
        for time_us in times_us {
            let month = Month::of(time_us);
            // Most events are of the month of the one before.
            if last.replace(month) != Some(month) && self.known.insert(month) {
                missing.push(month);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&PARTITION_LOCK])?;
        let mut existing = months(transaction)?;
        for month in missing {
            if !existing.contains(&month) && existing.len() < PARTITIONS_MAX {
                create(transaction, month)?;
                existing.push(month);
            }
        }
        self.drop_old(transaction, &existing)
    }

    /// Drops the months that end before what is kept. The newest event says what time it is: the store has no clock.
    fn drop_old(&self, transaction: &mut Transaction, existing: &[Month]) -> Result<()> {
        let Some(retention_us) = self.retention_us else { return Ok(()) };
        let Some(newest) = existing.iter().max() else { return Ok(()) };
        let kept_from_us = newest.start_us().saturating_sub(retention_us);
        for month in existing.iter().filter(|month| month.next().start_us() <= kept_from_us) {
            let table = month.table();
            transaction.batch_execute(&format!(
                "DELETE FROM labels USING {table} WHERE labels.transaction_sequence = {table}.sequence; \
                 DELETE FROM shadow_scores USING {table} WHERE shadow_scores.sequence = {table}.sequence; \
                 DELETE FROM alert_transactions USING {table} WHERE alert_transactions.sequence = {table}.sequence; \
                 DROP TABLE {table};"
            ))?;
        }
        // What was refused has no event time: its age is told by the server's clock.
        let refused = "DELETE FROM rejections \
                       WHERE received_at_us < (extract(epoch FROM now()) * 1000000)::bigint - $1";
        transaction.execute(refused, &[&retention_us])?;
        // An alert goes with the last of its transactions.
        let expired = "DELETE FROM alerts WHERE last_event_us < $1 AND NOT EXISTS \
                       (SELECT 1 FROM alert_transactions t WHERE t.alert = alerts.id)";
        if transaction.execute(expired, &[&kept_from_us])? > 0 {
            let orphans =
                "DELETE FROM alert_changes c WHERE NOT EXISTS (SELECT 1 FROM alerts WHERE id = c.alert)";
            transaction.execute(orphans, &[])?;
        }
        Ok(())
    }
}

/// The months that have a partition.
fn months(transaction: &mut Transaction) -> Result<Vec<Month>> {
    let sql = "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
               WHERE i.inhparent = 'decisions'::regclass";
    let rows = transaction.query(sql, &[])?;
    Ok(rows.iter().filter_map(|row| Month::of_table(row.get(0))).collect())
}

/// A month whose events stand in the default partition already, because there were too many months, stays there.
fn create(transaction: &mut Transaction, month: Month) -> Result<()> {
    let (table, from, to) = (month.table(), month.start_us(), month.next().start_us());
    let strays =
        "SELECT EXISTS (SELECT 1 FROM decisions_default WHERE event_time_us >= $1 AND event_time_us < $2)";
    if transaction.query_one(strays, &[&from, &to])?.get(0) {
        return Ok(());
    }
    Ok(transaction.batch_execute(&format!(
        "CREATE TABLE {table} PARTITION OF decisions FOR VALUES FROM ({from}) TO ({to}); \
         CREATE UNIQUE INDEX {table}_id ON {table} (id); \
         CREATE UNIQUE INDEX {table}_sequence ON {table} (sequence);"
    ))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_follow_the_calendar() {
        let instant = |text: &str| engine::time::parse_instant(text).unwrap();
        for (text, table, start) in [
            ("1970-01-01T00:00:00Z", "decisions_1970_01", "1970-01-01"),
            ("1969-12-31T23:59:59Z", "decisions_1969_12", "1969-12-01"),
            ("2000-02-29T12:00:00Z", "decisions_2000_02", "2000-02-01"),
            ("2024-02-29T23:59:59Z", "decisions_2024_02", "2024-02-01"),
            ("2024-03-01T00:00:00Z", "decisions_2024_03", "2024-03-01"),
            ("2026-12-31T23:59:59Z", "decisions_2026_12", "2026-12-01"),
        ] {
            let month = Month::of(instant(text));
            assert_eq!((month.table().as_str(), month.start_us()), (table, instant(start)));
            assert_eq!(Month::of_table(table), Some(month));
            assert_eq!(Month::of(month.next().start_us() - 1), month);
        }
        assert_eq!(Month::of_table("decisions_default"), None);
    }
}
