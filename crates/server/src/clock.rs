//! The real time and the real ids.

use crate::entropy;
use crate::ports::{Clock, Ids};
use domain::time::Time;
use std::time::{SystemTime, UNIX_EPOCH};

/// The machine's clock.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Time {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Time(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// The operating system's randomness.
pub struct SystemIds;

impl Ids for SystemIds {
    fn bytes(&self) -> [u8; 16] {
        entropy::bytes()
    }

    fn key(&self) -> [u8; 32] {
        entropy::bytes()
    }
}
