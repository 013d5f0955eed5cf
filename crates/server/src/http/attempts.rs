//! How often somebody may try a password, a code, or have a mail sent: counts within windows of time, in memory.
//!
//! Each process counts for itself and a restart begins anew: what is guessed is long enough for that, or, as a code of six
//! digits, changes every 30 seconds. Knows neither accounts nor addresses, only texts that name who is counted. Called by the
//! exchange API for passwords, codes, mails and keys.

use domain::time::{Span, Time};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// So many tries within a window that begins with the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    pub most: u32,
    pub within: Span,
}

/// Subjects that are remembered; beyond it the half with the fewest tries is forgotten, of those the ones that end first.
const REMEMBERED: usize = 100_000;

/// Tries by subject.
#[derive(Default)]
pub struct Attempts(Mutex<BTreeMap<String, Window>>);

struct Window {
    ends: Time,
    tries: u32,
}

impl Attempts {
    /// Counts a try; `Err` says after how many seconds the next is welcome.
    pub fn take(&self, subject: &str, limit: Limit, now: Time) -> Result<(), u32> {
        let mut windows = self.0.lock().expect("nobody panics while counting");
        if windows.len() >= REMEMBERED {
            windows.retain(|_, window| window.ends > now);
        }
        if windows.len() >= REMEMBERED {
            let mut ranks: Vec<(u32, Time)> = windows.values().map(|window| (window.tries, window.ends)).collect();
            let middle = ranks.len() / 2;
            let (_, middle, _) = ranks.select_nth_unstable(middle);
            let middle = *middle;
            windows.retain(|_, window| (window.tries, window.ends) > middle);
        }
        let fresh = || Window { ends: now + limit.within, tries: 0 };
        let window = windows.entry(subject.to_owned()).or_insert_with(fresh);
        if window.ends <= now {
            *window = fresh();
        }
        if window.tries >= limit.most {
            let seconds = (window.ends.since(now).0 + 999) / 1_000;
            return Err(u32::try_from(seconds).unwrap_or(u32::MAX));
        }
        window.tries += 1;
        Ok(())
    }

    /// It was the right one: its tries count no longer.
    pub fn give_back(&self, subject: &str) {
        self.0.lock().expect("nobody panics while counting").remove(subject);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_counted_by_subject_until_the_window_ends() {
        let attempts = Attempts::default();
        let limit = Limit { most: 2, within: Span::seconds(10) };
        assert_eq!(attempts.take("a", limit, Time(0)), Ok(()));
        assert_eq!(attempts.take("a", limit, Time(5_000)), Ok(()));
        assert_eq!(attempts.take("a", limit, Time(5_001)), Err(5));
        assert_eq!(attempts.take("b", limit, Time(5_001)), Ok(()));
        assert_eq!(attempts.take("a", limit, Time(10_000)), Ok(()), "a new window");
        assert_eq!(attempts.take("a", limit, Time(10_000)), Ok(()));
        attempts.give_back("a");
        assert_eq!(attempts.take("a", limit, Time(10_000)), Ok(()));
    }

    #[test]
    fn a_flood_of_subjects_makes_nobody_forget_a_guesser() {
        let attempts = Attempts::default();
        let limit = Limit { most: 2, within: Span::seconds(10) };
        for _ in 0..2 {
            assert_eq!(attempts.take("guesser", limit, Time(0)), Ok(()));
        }
        for number in 0..REMEMBERED + 10 {
            assert_eq!(attempts.take(&format!("{number}"), limit, Time(1)), Ok(()));
        }
        assert!(attempts.0.lock().expect("nobody panics").len() <= REMEMBERED);
        assert_eq!(attempts.take("guesser", limit, Time(2)), Err(10));
    }
}
