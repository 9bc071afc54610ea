//! Durations and instants. Inside the engine both are microseconds in an `i64`; an instant counts from 1970-01-01 UTC.

/// Microseconds in a second.
pub const SECOND_US: i64 = 1_000_000;
/// Microseconds in an hour.
pub const HOUR_US: i64 = 3_600 * SECOND_US;
/// Microseconds in a day.
pub const DAY_US: i64 = 24 * HOUR_US;

/// The instants that are accepted: years 1 to 9999. Sums and differences of two of them never overflow.
pub const TIME_RANGE_US: std::ops::RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;

/// Reads `90s`, `15m`, `1h`, `7d` or `2w` as microseconds; `None` for anything else, zero and overflow included.
pub fn parse_duration(text: &str) -> Option<i64> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, unit) = text.split_at(unit_at);
    let unit_us = match unit {
        "ms" => 1_000,
        "s" => SECOND_US,
        "m" => 60 * SECOND_US,
        "h" => HOUR_US,
        "d" => DAY_US,
        "w" => 7 * DAY_US,
        _ => return None,
    };
    digits.parse::<i64>().ok()?.checked_mul(unit_us).filter(|us| *us > 0 && *us <= 36_525 * DAY_US)
}

/// Writes a duration in the largest unit that divides it: the inverse of [`parse_duration`].
pub fn format_duration(us: i64) -> String {
    let units = [(DAY_US, "d"), (HOUR_US, "h"), (60 * SECOND_US, "m"), (SECOND_US, "s")];
    match units.iter().find(|(unit, _)| us % unit == 0) {
        Some((unit, name)) => format!("{}{name}", us / unit),
        None => format!("{}ms", us / 1_000),
    }
}

/// Reads an RFC 3339 instant (`2018-04-01T00:00:31.5+02:00`). A space for the `T`, a missing zone (UTC is meant) and a
/// bare date are accepted, because that is how pandas and most CSV files write time.
pub fn parse_instant(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let date_us = parse_date(bytes.get(..10)?)? * DAY_US;
    if bytes.len() == 10 {
        return Some(date_us);
    }
    if !matches!(bytes[10], b'T' | b't' | b' ') {
        return None;
    }
    let (clock_us, rest) = parse_clock(&bytes[11..])?;
    let (fraction_us, zone) = parse_fraction(rest)?;
    let instant = date_us + clock_us + fraction_us - parse_zone(zone)?;
    TIME_RANGE_US.contains(&instant).then_some(instant)
}

/// Writes an instant as RFC 3339 in UTC with microseconds where there are any.
pub fn format_instant(us: i64) -> String {
    let mut text = String::with_capacity(27);
    write_instant(us, &mut text);
    text
}

/// Appends what [`format_instant`] returns to `out`.
pub fn write_instant(us: i64, out: &mut String) {
    let (year, month, day) = civil_from_days(us.div_euclid(DAY_US));
    let in_day = us.rem_euclid(DAY_US);
    let (seconds, fraction) = (in_day / SECOND_US, in_day % SECOND_US);
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    put_digits(year, &mut text[..4]);
    let pairs = [(5, month), (8, day), (11, seconds / 3600), (14, seconds / 60 % 60), (17, seconds % 60)];
    for (at, value) in pairs {
        put_digits(value, &mut text[at..at + 2]);
    }
    put_digits(fraction, &mut text[20..26]);
    let (to_seconds, rest) = text.split_at(19);
    for ascii in [to_seconds, if fraction == 0 { b"Z" } else { rest }] {
        out.push_str(std::str::from_utf8(ascii).unwrap_or_default());
    }
}

/// Hour of the day, 0 to 23, in UTC.
pub fn hour(us: i64) -> i64 {
    us.rem_euclid(DAY_US) / HOUR_US
}

/// Day of the week, Monday 0 to Sunday 6, in UTC.
pub fn weekday(us: i64) -> i64 {
    // 1970-01-01 was a Thursday.
    (us.div_euclid(DAY_US) + 3).rem_euclid(7)
}

/// Saturday or Sunday.
pub fn is_weekend(us: i64) -> bool {
    weekday(us) >= 5
}

/// 00:00:00 to 06:59:59, the night of the Fraud Detection Handbook (chapter 3, `is_night`).
pub fn is_night(us: i64) -> bool {
    hour(us) <= 6
}

/// The last digits of a number, as many as there is room for.
fn put_digits(value: i64, out: &mut [u8]) {
    let mut rest = value as u32;
    for digit in out.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

fn digits(bytes: &[u8]) -> Option<i64> {
    bytes.iter().try_fold(0, |value, b| b.is_ascii_digit().then(|| value * 10 + i64::from(b - b'0')))
}

/// Days since 1970-01-01 of `YYYY-MM-DD`.
fn parse_date(bytes: &[u8]) -> Option<i64> {
    let (year, month, day) = (digits(&bytes[0..4])?, digits(&bytes[5..7])?, digits(&bytes[8..10])?);
    let separated = bytes[4] == b'-' && bytes[7] == b'-';
    (separated && (1..=12).contains(&month) && day >= 1 && day <= days_in_month(year, month))
        .then(|| days_from_civil(year, month, day))
}

fn parse_clock(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let clock = bytes.get(..8).filter(|c| c[2] == b':' && c[5] == b':')?;
    let (hour, minute, second) = (digits(&clock[0..2])?, digits(&clock[3..5])?, digits(&clock[6..8])?);
    (hour < 24 && minute < 60 && second < 60)
        .then(|| (((hour * 60 + minute) * 60 + second) * SECOND_US, &bytes[8..]))
}

/// The fraction of a second in microseconds; digits beyond the sixth are cut off.
fn parse_fraction(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.', rest)) = bytes.split_first() else { return Some((0, bytes)) };
    let count = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let kept = count.min(6);
    (count > 0)
        .then(|| digits(&rest[..kept]))
        .flatten()
        .map(|value| (value * 10_i64.pow(6 - kept as u32), &rest[count..]))
}

fn parse_zone(bytes: &[u8]) -> Option<i64> {
    let sign = match bytes {
        [] | [b'Z' | b'z'] => return Some(0),
        [b'+', ..] => 1,
        [b'-', ..] => -1,
        _ => return None,
    };
    let (hours, minutes) = match bytes.len() {
        6 if bytes[3] == b':' => (digits(&bytes[1..3])?, digits(&bytes[4..6])?),
        5 => (digits(&bytes[1..3])?, digits(&bytes[3..5])?),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes) * 60 * SECOND_US)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Howard Hinnant, "chrono-compatible low-level date algorithms", `days_from_civil`.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`], from the same source.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_of_every_accepted_spelling_agree() {
        let expected = 1_522_540_831 * SECOND_US;
        for text in [
            "2018-04-01T00:00:31Z",
            "2018-04-01 00:00:31",
            "2018-04-01T02:00:31+02:00",
            "2018-03-31T20:00:31.000-0400",
        ] {
            assert_eq!(parse_instant(text), Some(expected), "{text}");
        }
        assert_eq!(parse_instant("2018-04-01T00:00:31.25Z"), Some(expected + 250_000));
    }

    #[test]
    fn nonsense_is_no_instant() {
        for text in
            ["", "2018", "2018-02-30", "2018-04-01T24:00:00Z", "2018-04-01T00:00:31.Z", "2018-04-01x00:00:31"]
        {
            assert_eq!(parse_instant(text), None, "{text}");
        }
    }

    #[test]
    fn a_written_instant_is_read_back() {
        for us in
            [0, -1, 1_522_540_831_000_000, 951_782_400_000_001, *TIME_RANGE_US.end(), *TIME_RANGE_US.start()]
        {
            assert_eq!(parse_instant(&format_instant(us)), Some(us), "{}", format_instant(us));
        }
    }

    #[test]
    fn durations_are_read_and_written() {
        for text in ["90s", "15m", "1h", "36h", "7d", "250ms"] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        }
        assert_eq!(parse_duration("2w"), Some(14 * DAY_US));
        for text in ["", "1", "d", "0d", "-1d", "1y", "99999999999d"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn the_calendar_is_right_around_the_epoch() {
        assert_eq!((weekday(0), hour(0)), (3, 0));
        assert_eq!((weekday(-1), hour(-1)), (2, 23));
        assert!(is_weekend(parse_instant("2018-08-11").unwrap()));
        assert!(is_night(parse_instant("2018-08-10T06:59:59Z").unwrap()));
        assert!(!is_night(parse_instant("2018-08-10T07:00:00Z").unwrap()));
    }
}
