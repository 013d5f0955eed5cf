//! How long a node that failed is asked last; for the adapters of every chain.

use domain::time::{Span, Time};

/// The first rest; each further failure doubles it.
const FIRST: Span = Span::seconds(1);
const LONGEST: Span = Span::minutes(1);

/// The rest of one node; by default it needs none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rest {
    failures: u32,
    until: Time,
}

impl Rest {
    /// When it is worth asking before others again.
    pub fn until(&self) -> Time {
        self.until
    }

    /// It failed once more.
    pub fn failed(&mut self, now: Time) {
        let rest = Span(FIRST.0 << self.failures.min(10)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        self.until = now + rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_doubles_the_rest_up_to_a_minute() {
        let (mut rest, now) = (Rest::default(), Time(1_795_174_500_000));
        assert_eq!(rest.until(), Time(0));
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            rest.failed(now);
            assert_eq!(rest.until().since(now), Span::seconds(seconds));
        }
    }
}
