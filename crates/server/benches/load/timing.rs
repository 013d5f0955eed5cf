//! Times as whole microseconds, and the two ways in which many of them become one.

use std::time::{Duration, Instant};

/// Microseconds; durations here never reach half a million years.
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Microseconds from one moment to another, 0 if they come in the other order.
pub fn micros_between(from: Instant, to: Instant) -> u64 {
    micros(to.saturating_duration_since(from))
}

/// The smallest value that so many thousandths of all values do not exceed (nearest rank); 0 of none.
pub fn per_mille(values: &mut [u64], thousandths: usize) -> u64 {
    values.sort_unstable();
    let rank = (values.len() * thousandths).div_ceil(1_000).max(1);
    values.get(rank - 1).copied().unwrap_or(0)
}

/// The middle value.
pub fn median(values: &mut [u64]) -> u64 {
    per_mille(values, 500)
}
