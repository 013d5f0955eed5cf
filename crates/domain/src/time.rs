//! Time as the rules see it: milliseconds since 1970-01-01T00:00:00Z, always an argument.
//!
//! Must never read a clock.

use serde::{Deserialize, Serialize};

/// A moment, in milliseconds since the Unix epoch (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub i64);

/// A span of time, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(pub i64);

impl Span {
    pub const fn seconds(count: i64) -> Self {
        Span(count * 1_000)
    }

    pub const fn minutes(count: i64) -> Self {
        Span::seconds(count * 60)
    }

    pub const fn hours(count: i64) -> Self {
        Span::minutes(count * 60)
    }
}

impl Time {
    /// Whole seconds since the epoch, rounded down: what the store API writes (contract section 2).
    pub const fn unix_seconds(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// How long after `earlier` this is; negative if it is before it.
    pub const fn since(self, earlier: Time) -> Span {
        Span(self.0 - earlier.0)
    }

    /// `YYYY-MM-DD` in UTC: the period of a daily limit.
    pub fn day(self) -> String {
        let (year, month, day) = civil_date(self.0.div_euclid(86_400_000));
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// `YYYY-MM` in UTC: the period of a monthly limit.
    pub fn month(self) -> String {
        let mut day = self.day();
        day.truncate(7);
        day
    }

    /// As [`Time::rfc3339`], with milliseconds: `2025-03-24T01:59:03.000Z`.
    pub fn rfc3339_millis(self) -> String {
        let seconds = self.rfc3339();
        format!("{}.{:03}Z", seconds.trim_end_matches('Z'), self.0.rem_euclid(1_000))
    }

    /// RFC 3339 in UTC with whole seconds, such as `2026-11-20T11:35:00Z`.
    pub fn rfc3339(self) -> String {
        let second = self.unix_seconds().rem_euclid(86_400);
        format!("{}T{:02}:{:02}:{:02}Z", self.day(), second / 3_600, second / 60 % 60, second % 60)
    }

    /// Reads `YYYY-MM-DD` (midnight UTC) or RFC 3339 with `Z` and whole seconds.
    pub fn parse(text: &str) -> Option<Time> {
        let (date, clock) = match text.split_once('T') {
            Some((date, clock)) => (date, clock.strip_suffix('Z')?),
            None => (text, "00:00:00"),
        };
        let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
        let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
        let valid = (1..=12).contains(&month) && day >= 1 && hour < 24 && minute < 60 && second < 60;
        let days = days_from_civil(year, month, day);
        (valid && civil_date(days) == (year, month, day))
            .then_some(Time((days * 86_400 + hour * 3_600 + minute * 60 + second) * 1_000))
    }
}

impl std::ops::Sub<Span> for Time {
    type Output = Time;

    fn sub(self, span: Span) -> Time {
        Time(self.0.saturating_sub(span.0))
    }
}

impl std::ops::Add<Span> for Time {
    type Output = Time;
    fn add(self, span: Span) -> Time {
        Time(self.0.saturating_add(span.0))
    }
}

fn numbers(text: &str, separator: char, widths: [usize; 3]) -> Option<[i64; 3]> {
    let mut parts = text.split(separator);
    let mut found = [0; 3];
    for (slot, width) in found.iter_mut().zip(widths) {
        let part = parts.next().filter(|part| part.len() == width && part.bytes().all(|b| b.is_ascii_digit()))?;
        *slot = part.parse().ok()?;
    }
    parts.next().is_none().then_some(found)
}

/// Days since the epoch to the proleptic Gregorian date; the era arithmetic counts years from March.
fn civil_date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted_month = (month + 9) % 12;
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        // 2026-11-20T11:35:00Z is 1,795,174,500 s after the epoch (`date -u -d ... +%s`).
        let moment = Time(1_795_174_500_000);
        assert_eq!(moment.rfc3339(), "2026-11-20T11:35:00Z");
        assert_eq!(moment.month(), "2026-11");
        assert_eq!(Time::parse("2026-11-20T11:35:00Z"), Some(moment));
        assert_eq!(Time(-1).day(), "1969-12-31");
        assert_eq!(Time::parse("2024-02-29").map(Time::day), Some("2024-02-29".into()));
    }

    #[test]
    fn dates_that_do_not_exist_are_refused() {
        for text in ["2026-02-29", "2026-13-01", "2026-1-1", "2026-01-01T24:00:00Z", "2026-01-01T10:00:00", "soon", ""]
        {
            assert_eq!(Time::parse(text), None, "{text}");
        }
    }
}
