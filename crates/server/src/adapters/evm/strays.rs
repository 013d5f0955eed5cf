//! What lies at our addresses and does not count: the network's own coin, by its balance, and tokens that nobody listed, by
//! one filtered query.
//!
//! Anybody can make a contract say that it moved something. So nothing here is a transfer, nothing of it is decided by, and
//! one node's word is enough. Of a token nothing is shown but its contract: its name is a stranger's text. Must never take
//! part in a scan. Called by `workers/strays.rs`, through the port.

use super::address::Address;
use super::council::{Fault, Seat};
use super::endpoint::Filter;
use super::{EvmNetwork, Range};
use crate::ports::{Answer, DepositWindow, Finder};
use domain::chain::{Stray, StrayKind};
use domain::time::Time;
use std::collections::BTreeMap;

/// Tokens that are told of for one address.
const MOST: usize = 20;
/// Blocks of one look; on a chain with four blocks a second it is more than a day.
const MOST_BLOCKS: i64 = 500_000;
/// The first step on the way back from the newest block; each is twice the one before.
const STEP: i64 = 64;

impl Finder for EvmNetwork {
    fn strays<'a>(&'a self, windows: &'a [DepositWindow], now: Time) -> Answer<'a, Result<Vec<Stray>, String>> {
        Box::pin(async move { self.find(windows, now).await.map_err(|fault| fault.to_string()) })
    }
}

impl EvmNetwork {
    async fn find(&self, windows: &[DepositWindow], now: Time) -> Result<Vec<Stray>, Fault> {
        // What the pool spells is an address; whatever is none was never given to anybody.
        let addresses: Vec<Address> =
            windows.iter().filter_map(|window| Address::parse(&window.address).ok()).collect();
        let begin = windows.iter().map(|window| window.from).min();
        let (Some(begin), Some(end)) = (begin, windows.iter().map(|window| window.until).max()) else {
            return Ok(Vec::new());
        };
        let council = self.council(0, now).await?;
        let seat = council.leader();
        let balances = seat.node.balances(&addresses).await.map_err(|error| seat.fault(error))?;
        let coins = addresses.iter().zip(balances).filter(|(_, balance)| !balance.is_zero());
        let mut found: Vec<Stray> = coins
            .map(|(address, balance)| Stray {
                address: address.to_string(),
                what: StrayKind::Coin,
                raw: balance.to_string(),
            })
            .collect();
        let first = first_block_at(seat, begin).await?;
        let last = (first_block_at(seat, Time(end.0 + 1)).await? - 1).min(first + MOST_BLOCKS);
        found.extend(self.unlisted(seat, &addresses, first, last).await?);
        Ok(found)
    }

    /// Transfers of tokens that nobody listed to those addresses.
    async fn unlisted(
        &self,
        seat: &Seat<'_>,
        addresses: &[Address],
        first: i64,
        last: i64,
    ) -> Result<Vec<Stray>, Fault> {
        let filter = Filter::to(addresses.iter().copied().collect());
        // A range of its own: what strangers do to it must not slow the watcher down.
        let (mut range, mut next) = (Range::new(self.range()), first);
        let mut told = BTreeMap::<Address, usize>::new();
        let mut found = Vec::new();
        while next <= last {
            let end = last.min(next + range.now - 1);
            let logs = match seat.node.logs_between(&filter, next, end).await {
                Ok(logs) => logs,
                Err(error) if error.may_be_too_much() && end > next => {
                    range.halve(end - next + 1);
                    continue;
                }
                Err(error) => return Err(seat.fault(error)),
            };
            next = end + 1;
            for log in logs.iter().filter(|log| !log.amount.is_zero() && !self.tokens.contains_key(&log.contract)) {
                let count = told.entry(log.to).or_default();
                *count += 1;
                if *count <= MOST {
                    let (contract, transaction) = (log.contract.to_string(), log.transaction.clone());
                    let what = StrayKind::Token { contract, transaction };
                    found.push(Stray { address: log.to.to_string(), what, raw: log.amount.to_string() });
                }
            }
        }
        Ok(found)
    }
}

/// The first block of that time or later; one above the newest, if there is none.
async fn first_block_at(seat: &Seat<'_>, time: Time) -> Result<i64, Fault> {
    let newest = &seat.newest;
    if newest.at < time {
        return Ok(newest.height + 1);
    }
    // Blocks at `low` and below are earlier, the one at `high` is not.
    let (mut low, mut high, mut step) = (-1, newest.height, STEP);
    while high > 0 && low < 0 {
        let height = (high - step).max(0);
        if is_before(seat, height, time).await? {
            low = height;
        } else {
            high = height;
        }
        step = step.saturating_mul(2);
    }
    while high - low > 1 {
        let height = low + (high - low) / 2;
        if is_before(seat, height, time).await? {
            low = height;
        } else {
            high = height;
        }
    }
    Ok(high)
}

async fn is_before(seat: &Seat<'_>, height: i64, time: Time) -> Result<bool, Fault> {
    let blocks = seat.node.blocks(&[height]).await.map_err(|error| seat.fault(error))?;
    Ok(blocks.first().is_some_and(|block| block.at < time))
}
