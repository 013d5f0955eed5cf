//! Long answers that everybody gets alike, made once a second: the lists of routes, and the exports.
//!
//! An answer holds for a snapshot of routes and rates, and for the second in which it was made: reserves change with every
//! order. Must never keep what depends on who asks.

use domain::time::Time;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Answers by their name.
#[derive(Default)]
pub struct Shelf(Mutex<BTreeMap<&'static str, Kept>>);

#[derive(Clone)]
struct Kept {
    serial: u64,
    second: i64,
    text: Arc<str>,
}

impl Shelf {
    /// What is kept of this snapshot and second.
    pub fn recall(&self, name: &'static str, serial: u64, now: Time) -> Option<Arc<str>> {
        let kept = self.0.lock().expect("nobody panics while looking").get(name).cloned()?;
        (kept.serial == serial && kept.second == now.unix_seconds()).then_some(kept.text)
    }

    pub fn keep(&self, name: &'static str, serial: u64, now: Time, text: &Arc<str>) {
        let kept = Kept { serial, second: now.unix_seconds(), text: text.clone() };
        self.0.lock().expect("nobody panics while keeping").insert(name, kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_holds_for_its_snapshot_and_its_second() {
        let (shelf, text) = (Shelf::default(), Arc::<str>::from("routes"));
        shelf.keep("list", 7, Time(1_500), &text);
        assert_eq!(shelf.recall("list", 7, Time(1_999)), Some(text));
        assert_eq!(shelf.recall("list", 7, Time(2_000)), None, "another second");
        assert_eq!(shelf.recall("list", 8, Time(1_500)), None, "other rates");
        assert_eq!(shelf.recall("v2", 7, Time(1_500)), None);
    }
}
