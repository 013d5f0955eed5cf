//! Rates in: looks at the configured sources once a minute and puts what they say in force.
//!
//! Must never drop what is known because a source fails: the last known rates grow old instead, and pricing refuses
//! those that are too old to sell with. Must never take over what cannot be true, because a wrong price is worse than an
//! old one. The rules are told in `docs/rates.md`.

mod coins;
#[cfg(test)]
mod tests;

use super::{Ran, WorkerError};
use crate::engine::Engine;
use crate::entropy::to_hex;
use crate::ports::RateSource;
use crate::rates_file;
use domain::asset::Rails;
use domain::pricing::{CoinRate, FiatRate, Rates};
use domain::time::{Span, Time};
use rust_decimal::Decimal;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Between two looks at the sources.
const LOOK_EVERY: Span = Span::minutes(1);

/// How far a source's clock may be ahead of ours.
const CLOCKS_DIFFER: Span = Span::minutes(1);

/// A rate that moved further than this, in percent, is a fault of the source rather than of the market.
const MOST_MOVE_PERCENT: i64 = 20;

/// Where rates come from, by configuration.
#[derive(Clone, Default)]
pub struct RateSources {
    /// The European Central Bank's daily table.
    pub ecb: Option<Arc<dyn RateSource>>,
    /// The document of coin prices.
    pub coins: Option<Arc<dyn RateSource>>,
    /// US dollars per coin, above what the document says. They count from the first look on and grow old as all prices.
    pub fixed_usd: BTreeMap<String, Decimal>,
}

/// What is remembered between two looks. Losing it costs one look more and a line in the log.
#[derive(Default)]
pub struct Looks {
    last: Option<Time>,
    ecb: Complaints,
    coins: Complaints,
}

/// What was said in the log since the source last worked; each kind of fault is said once.
#[derive(Default)]
struct Complaints(BTreeSet<Fault>);

/// Kinds of faults of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// It gives no text.
    Silent,
    /// The text is not what it should be.
    Unreadable,
    /// The rates are of a time that has not come.
    Ahead,
    /// Newer rates are in force.
    Behind,
    /// A rate moved further than rates do.
    Jumped,
}

/// Why a text was not taken over.
#[derive(Debug, PartialEq, Eq)]
struct Rejected {
    fault: Fault,
    reason: String,
}

/// A source's text.
#[derive(Debug)]
struct Fetched {
    text: String,
    /// When it was written, else when it was fetched.
    at: Time,
}

/// Fetches and puts in force what changed; does nothing if the last look is less than a minute ago. One source's
/// failure is logged and does not keep the other from being taken over.
pub async fn run_once(
    engine: &Engine,
    sources: &RateSources,
    looks: &mut Looks,
    now: Time,
) -> Result<Ran, WorkerError> {
    if !looks.is_due(now) {
        return Ok(Ran::Idle);
    }
    let is_first = looks.last.replace(now).is_none();
    let (ecb, coins) = tokio::join!(fetch(sources.ecb.as_ref(), now), fetch(sources.coins.as_ref(), now));
    let market = engine.shared.market();
    let mut rates = (*market.rates).clone();
    if is_first {
        let fixed = sources.fixed_usd.iter().map(|(coin, usd)| (coin.clone(), CoinRate { usd: *usd, as_of: now }));
        rates.coins.extend(fixed);
    }
    if let (Some(source), Some(fetched)) = (&sources.ecb, ecb) {
        let taken = fetched.and_then(|fetched| take_fiat(&mut rates, &fetched.text, now));
        looks.ecb.note(source.name(), taken);
    }
    if let (Some(source), Some(fetched)) = (&sources.coins, coins) {
        let taken = fetched.and_then(|fetched| take_coins(&mut rates, &fetched, sources, &market.rails, now));
        looks.coins.note(source.name(), taken);
    }
    if rates == *market.rates {
        return Ok(Ran::Idle);
    }
    rates.id = snapshot_id(&rates);
    tracing::debug!(rates = rates.id, "rates in force");
    engine.shared.put_rates(Arc::new(rates));
    Ok(Ran::Worked)
}

/// Names a snapshot by what is in it: the same rates of the same times always have the same id.
pub fn snapshot_id(rates: &Rates) -> String {
    let Rates { fiat, fiat_as_of, coins, .. } = rates;
    to_hex(&Sha256::digest(format!("{fiat:?}{fiat_as_of:?}{coins:?}"))[..8])
}

impl Looks {
    /// A clock that was set back counts as time that has passed.
    fn is_due(&self, now: Time) -> bool {
        self.last.is_none_or(|last| !(Span(0)..LOOK_EVERY).contains(&now.since(last)))
    }
}

impl Complaints {
    fn note(&mut self, source: &str, taken: Result<(), Rejected>) {
        match taken {
            Ok(()) if self.0.is_empty() => {}
            Ok(()) => {
                self.0.clear();
                tracing::info!(source, "rates are taken from this source again");
            }
            Err(Rejected { fault, reason }) => {
                if self.0.insert(fault) {
                    tracing::warn!(source, reason, "rates not taken over; the last known ones stay and grow old");
                }
            }
        }
    }
}

impl Rejected {
    fn unreadable(error: impl std::error::Error) -> Rejected {
        Rejected { fault: Fault::Unreadable, reason: error.to_string() }
    }
}

async fn fetch(source: Option<&Arc<dyn RateSource>>, now: Time) -> Option<Result<Fetched, Rejected>> {
    let source = source?;
    // Asked first: a text that is replaced meanwhile then passes for older than it is, not for younger.
    let at = source.written_at().unwrap_or(now);
    let text = source.fetch().await;
    Some(match text {
        Ok(text) => Ok(Fetched { text, at }),
        Err(reason) => Err(Rejected { fault: Fault::Silent, reason }),
    })
}

/// Takes over a table of fiat rates as a whole, or nothing of it.
fn take_fiat(rates: &mut Rates, text: &str, now: Time) -> Result<(), Rejected> {
    let (as_of, table) = rates_file::parse(text).map_err(Rejected::unreadable)?;
    check_time(as_of, Some(rates.fiat_as_of), now)?;
    // Two tables that lie further apart may well differ so much.
    if now.since(rates.fiat_as_of) <= rates.max_age {
        for (currency, per_eur) in &table {
            let before = rates.fiat.get(currency).map(|rate| rate.per_eur);
            check_move(&format!("EUR/{currency}"), before, *per_eur)?;
        }
    }
    rates.fiat = table.into_iter().map(|(currency, per_eur)| (currency, FiatRate { per_eur })).collect();
    rates.fiat_as_of = as_of;
    Ok(())
}

/// Takes over all prices of a document but those that the configuration fixes, or none. Coins that it does not name
/// keep their last price.
fn take_coins(
    rates: &mut Rates,
    fetched: &Fetched,
    sources: &RateSources,
    rails: &Rails,
    now: Time,
) -> Result<(), Rejected> {
    let prices = coins::parse(&fetched.text).map_err(Rejected::unreadable)?;
    let as_of = prices.as_of.unwrap_or(fetched.at);
    let mut usd = prices.usd;
    usd.retain(|coin, _| !sources.fixed_usd.contains_key(coin));
    let newest = usd.keys().filter_map(|coin| rates.coins.get(coin)).map(|rate| rate.as_of).max();
    check_time(as_of, newest, now)?;
    for (coin, price) in &usd {
        // A stablecoin that falls is sold no longer (the depeg guard), so its fall must always be believed.
        let is_stable = rails.coin(coin).is_some_and(|coin| coin.usd_stable);
        let before = rates.coins.get(coin).filter(|rate| now.since(rate.as_of) <= rates.coin_max_age && !is_stable);
        check_move(&format!("{coin}/USD"), before.map(|rate| rate.usd), *price)?;
    }
    rates.coins.extend(usd.into_iter().map(|(coin, usd)| (coin, CoinRate { usd, as_of })));
    Ok(())
}

/// Rates of the future would never grow old, and older ones than those in force come from a cache that hangs.
fn check_time(as_of: Time, in_force: Option<Time>, now: Time) -> Result<(), Rejected> {
    if as_of > now + CLOCKS_DIFFER {
        let reason = format!("they are of {}, and it is {}", as_of.rfc3339(), now.rfc3339());
        return Err(Rejected { fault: Fault::Ahead, reason });
    }
    match in_force {
        Some(newer) if newer > as_of => {
            let reason = format!("they are of {}, and those in force of {}", as_of.rfc3339(), newer.rfc3339());
            Err(Rejected { fault: Fault::Behind, reason })
        }
        _ => Ok(()),
    }
}

fn check_move(rate: &str, before: Option<Decimal>, after: Decimal) -> Result<(), Rejected> {
    let Some(before) = before else {
        return Ok(());
    };
    let moved = after.checked_sub(before).map(|moved| moved.abs());
    let most = before.checked_mul(Decimal::new(MOST_MOVE_PERCENT, 2));
    if moved.zip(most).is_some_and(|(moved, most)| moved <= most) {
        return Ok(());
    }
    let reason = format!("{rate} went from {before} to {after}, which is more than {MOST_MOVE_PERCENT} %");
    Err(Rejected { fault: Fault::Jumped, reason })
}
