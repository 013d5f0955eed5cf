//! Whose call it is by its network address, and how often that address may call.
//!
//! Knows neither partners nor customers. Called by `auth` for the shop and by the gateway for itself.

use axum::http::HeaderMap;
use domain::time::Time;
use ipnet::IpNet;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, RwLock};

/// How often somebody may call, and the burst they may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    pub per_second: u32,
    pub burst: u32,
}

/// Addresses whose recent calls are remembered; beyond it the oldest are forgotten.
const REMEMBERED: usize = 100_000;

/// Counts calls per visitor, and knows whose word on a visitor's address is taken.
pub struct Visitors {
    limit: RateLimit,
    trusted: RwLock<Vec<IpNet>>,
    buckets: Mutex<HashMap<IpAddr, Bucket>>,
}

impl Visitors {
    pub fn new(limit: RateLimit) -> Visitors {
        Visitors { limit, trusted: RwLock::default(), buckets: Mutex::default() }
    }

    /// From now on, these networks are believed, and no others.
    pub fn trust(&self, networks: Vec<IpNet>) {
        *self.trusted.write().expect("nobody panics while setting") = networks;
    }

    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted.read().expect("nobody panics while setting").iter().any(|net| net.contains(&peer))
    }

    /// `X-Forwarded-For` counts only from a peer that is trusted, and only its rightmost entry that is not such a peer
    /// itself: everything further left the visitor may have written.
    pub fn address(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> Option<IpAddr> {
        let peer = peer?.to_canonical();
        if !self.trusts(peer) {
            return Some(peer);
        }
        let told = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
        let hops: Vec<&str> = told.flat_map(|text| text.split(',')).map(str::trim).collect();
        let read = |hop: &&str| hop.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        let first_stranger = hops.iter().rev().map_while(read).find(|address| !self.trusts(*address));
        Some(first_stranger.unwrap_or(peer))
    }

    /// Counts one call of an address; `Err` says after how many seconds the next is welcome.
    pub fn count(&self, address: IpAddr, now: Time) -> Result<(), u32> {
        let mut buckets = self.buckets.lock().expect("nobody panics while counting");
        if buckets.len() >= REMEMBERED {
            buckets.retain(|_, bucket| now.since(bucket.at).0 < 10_000);
        }
        // So many at once are a flood: forgetting all of them costs less than remembering more.
        if buckets.len() >= REMEMBERED {
            buckets.clear();
        }
        let bucket = buckets.entry(one_visitor(address)).or_insert_with(|| Bucket::full(self.limit, now));
        bucket.take(self.limit, now)
    }
}

/// An IPv6 visitor has a whole /64 to himself.
pub fn one_visitor(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
    }
}

/// A token bucket in thousandths of a call.
pub struct Bucket {
    milli_calls: i64,
    at: Time,
}

impl Bucket {
    pub fn full(limit: RateLimit, now: Time) -> Bucket {
        Bucket { milli_calls: i64::from(limit.burst) * 1_000, at: now }
    }

    /// Takes one call out; `Err` says after how many seconds the next is welcome.
    pub fn take(&mut self, limit: RateLimit, now: Time) -> Result<(), u32> {
        let refilled = now.since(self.at).0.max(0).saturating_mul(i64::from(limit.per_second));
        self.milli_calls = self.milli_calls.saturating_add(refilled).min(i64::from(limit.burst) * 1_000);
        self.at = now;
        if self.milli_calls < 1_000 {
            let missing = u32::try_from(1_000 - self.milli_calls).unwrap_or(u32::MAX);
            return Err(missing.div_ceil(limit.per_second.max(1)).div_ceil(1_000));
        }
        self.milli_calls -= 1_000;
        Ok(())
    }
}

/// How often somebody may say the wrong secret of one thing. By visitor and thing: whoever shares an address with a guesser
/// still opens his own.
pub struct Guesses {
    limit: RateLimit,
    buckets: Mutex<HashMap<(IpAddr, i64), Bucket>>,
}

impl Guesses {
    pub fn new(limit: RateLimit) -> Guesses {
        Guesses { limit, buckets: Mutex::default() }
    }

    /// Counts a try; `Err` says after how many seconds the next is welcome.
    pub fn take(&self, address: IpAddr, thing: i64, now: Time) -> Result<(), u32> {
        let mut buckets = self.buckets.lock().expect("nobody panics while counting");
        if buckets.len() >= REMEMBERED {
            buckets.retain(|_, bucket| now.since(bucket.at).0 < 10_000);
        }
        if buckets.len() >= REMEMBERED {
            buckets.clear();
        }
        let bucket = buckets.entry((one_visitor(address), thing)).or_insert_with(|| Bucket::full(self.limit, now));
        bucket.take(self.limit, now)
    }

    /// It was the right one.
    pub fn give_back(&self, address: IpAddr, thing: i64) {
        let mut buckets = self.buckets.lock().expect("nobody panics while counting");
        buckets.remove(&(one_visitor(address), thing));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_and_then_the_pace() {
        let visitors = Visitors::new(RateLimit { per_second: 2, burst: 3 });
        let address: IpAddr = "192.0.2.1".parse().expect("an address");
        let other: IpAddr = "192.0.2.2".parse().expect("an address");
        for _ in 0..3 {
            assert_eq!(visitors.count(address, Time(0)), Ok(()));
        }
        assert_eq!(visitors.count(address, Time(0)), Err(1));
        assert_eq!(visitors.count(other, Time(0)), Ok(()));
        assert_eq!(visitors.count(address, Time(499)), Err(1));
        assert_eq!(visitors.count(address, Time(500)), Ok(()));
    }

    #[test]
    fn a_forwarded_address_counts_only_from_a_trusted_peer() {
        let visitors = Visitors::new(RateLimit { per_second: 1, burst: 1 });
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "10.0.0.1, 198.51.100.7, 192.0.2.9".parse().expect("a header"));
        let peer: Option<IpAddr> = "192.0.2.1".parse().ok();
        assert_eq!(visitors.address(&headers, peer), peer);
        visitors.trust(vec!["192.0.2.0/24".parse().expect("a network")]);
        assert_eq!(visitors.address(&headers, peer), "198.51.100.7".parse().ok());
    }
}
