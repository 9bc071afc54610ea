//! When runs start: a cron expression of five fields, in UTC.
//!
//! Minute, hour, day of the month, month, day of the week (0 to 7, Sunday is both), each `*`, a number, a range, a list of
//! these, and steps as `*/15`. As in cron (POSIX.1-2017, `crontab`), where neither day field begins with `*`, a day that either
//! names is meant.

use engine::time::DAY_US;

const MINUTE_US: i64 = 60_000_000;

/// Days that are looked through for the next one: the rarest, 29 February on a given weekday, comes within forty years.
const DAYS_MAX: i64 = 366 * 41;

/// The fields: name, least and greatest value.
const FIELDS: [(&str, u32, u32); 5] = [
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day of the month", 1, 31),
    ("month", 1, 12),
    ("day of the week", 0, 7),
];

/// When runs start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    text: String,
    /// For each field the values that are meant, a bit each.
    fields: [u64; 5],
    /// Whether a day must be named by both day fields.
    needs_both: bool,
}

impl std::fmt::Display for Schedule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl Schedule {
    /// From an expression, as `0 3 * * 1`: Mondays at three.
    ///
    /// # Errors
    /// What was expected instead.
    pub fn parse(text: &str) -> Result<Schedule, String> {
        let parts: Vec<&str> = text.split_whitespace().collect();
        let parts: [&str; 5] = parts.try_into().map_err(|_| {
            "five fields: minute, hour, day of the month, month, day of the week, as 0 3 * * 1".to_string()
        })?;
        let mut fields = [0; 5];
        for ((field, part), (name, least, greatest)) in fields.iter_mut().zip(parts).zip(FIELDS) {
            *field = values(part, least, greatest)
                .ok_or_else(|| format!("the {name} from {least} to {greatest} where it says {part:?}"))?;
        }
        // Sunday by both its numbers.
        fields[4] |= fields[4] >> 7 & 1;
        let needs_both = parts[2].starts_with('*') || parts[4].starts_with('*');
        let schedule = Schedule { text: parts.join(" "), fields, needs_both };
        match schedule.next_after(0) {
            Some(_) => Ok(schedule),
            None => Err("a day that there is in some month".to_string()),
        }
    }

    /// The first instant after this one, in microseconds since 1970; `None` if there is none in forty years.
    pub fn next_after(&self, us: i64) -> Option<i64> {
        let first = us.div_euclid(MINUTE_US) * MINUTE_US + MINUTE_US;
        let today = first.div_euclid(DAY_US);
        let minutes = |day: i64| (0..1_440).map(move |minute| day * DAY_US + minute * MINUTE_US);
        let days = (today..today + DAYS_MAX).filter(|day| self.has_day(*day));
        days.flat_map(minutes).find(|at| *at >= first && self.has_minute(*at))
    }

    fn has(&self, field: usize, value: i64) -> bool {
        self.fields[field] >> value & 1 == 1
    }

    fn has_minute(&self, us: i64) -> bool {
        let minute = us.rem_euclid(DAY_US) / MINUTE_US;
        self.has(0, minute % 60) && self.has(1, minute / 60)
    }

    fn has_day(&self, days: i64) -> bool {
        let (month, day) = civil(days);
        // 1970 began on a Thursday.
        let by = [self.has(2, day), self.has(4, (days + 4).rem_euclid(7))];
        let is_named = if self.needs_both { by[0] && by[1] } else { by[0] || by[1] };
        self.has(3, month) && is_named
    }
}

/// The values that a field means, a bit each.
fn values(text: &str, least: u32, greatest: u32) -> Option<u64> {
    text.split(',').try_fold(0, |bits, part| Some(bits | range(part, least, greatest)?))
}

fn range(part: &str, least: u32, greatest: u32) -> Option<u64> {
    let (range, step) = match part.split_once('/') {
        Some((range, step)) => (range, Some(step.parse::<usize>().ok().filter(|step| *step > 0)?)),
        None => (part, None),
    };
    let number = |text: &str| text.parse::<u32>().ok().filter(|number| (least..=greatest).contains(number));
    let (from, to) = match (range, range.split_once('-')) {
        ("*", _) => (least, greatest),
        (_, Some((from, to))) => (number(from)?, number(to)?),
        // `5/10` is from 5 on, as in most crons.
        (from, None) => (number(from)?, if step.is_some() { greatest } else { number(from)? }),
    };
    (from <= to).then(|| (from..=to).step_by(step.unwrap_or(1)).fold(0, |bits, value| bits | 1 << value))
}

/// Month and day of a day since 1970 (Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`).
fn civil(days: i64) -> (i64, i64) {
    let of_era = (days + 719_468).rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    (if shifted < 10 { shifted + 3 } else { shifted - 9 }, of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use engine::time::{format_instant, parse_instant};

    use super::*;

    fn next(expression: &str, after: &str) -> String {
        let schedule = Schedule::parse(expression).unwrap();
        format_instant(schedule.next_after(parse_instant(after).unwrap()).unwrap())
    }

    #[test]
    fn the_next_instant_is_found() {
        // 23 November 2026 is a Monday.
        assert_eq!(next("0 3 * * 1", "2026-11-23T02:59:59Z"), "2026-11-23T03:00:00Z");
        assert_eq!(next("0 3 * * 1", "2026-11-23T03:00:00Z"), "2026-11-30T03:00:00Z");
        assert_eq!(next("*/15 * * * *", "2026-11-23T03:00:01Z"), "2026-11-23T03:15:00Z");
        assert_eq!(next("30 22-23 * * *", "2026-12-31T23:30:00Z"), "2027-01-01T22:30:00Z");
        assert_eq!(next("0 0 29 2 *", "2026-11-23T00:00:00Z"), "2028-02-29T00:00:00Z");
        assert_eq!(next("0 0 * * 7", "2026-11-23T00:00:00Z"), next("0 0 * * 0", "2026-11-23T00:00:00Z"));
        assert_eq!(next("5/20 4 1,15 * *", "2026-11-23T00:00:00Z"), "2026-12-01T04:05:00Z");
    }

    #[test]
    fn either_day_field_names_a_day_where_both_are_given() {
        assert_eq!(next("0 0 1 * 3", "2026-11-23T00:00:00Z"), "2026-11-25T00:00:00Z");
        assert_eq!(next("0 0 1 * 3", "2026-11-25T00:00:00Z"), "2026-12-01T00:00:00Z");
    }

    #[test]
    fn what_is_no_schedule_is_told() {
        for wrong in [
            "",
            "0 3 * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "5-3 * * * *",
            "*/0 * * * *",
            "0 0 31 2 *",
        ] {
            assert!(Schedule::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Schedule::parse("0 25 * * *").unwrap_err().contains("the hour from 0 to 23"));
    }
}
