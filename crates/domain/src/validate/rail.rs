//! Which coin on which network a basket is paid with, and the least amount that is taken there.

use super::{Basket, CheckError, Market, Problem};
use crate::asset::{Asset, Coin, Network, Rails};
use rust_decimal::Decimal;

/// One way to pay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rail<'a> {
    pub coin: &'a Coin,
    pub network: &'a Network,
    pub asset: &'a Asset,
}

/// The coin of that ticker; `GRAM` is another name of `TON` (contract 6.2 and section 12).
pub fn coin_named<'a>(rails: &'a Rails, name: &str) -> Option<&'a Coin> {
    let renamed = if name == "GRAM" { "TON" } else { name };
    rails.coin(name).or_else(|| rails.coin(renamed))
}

/// The rail that a basket names, or by default the first network of the coin that is not suspended (contract 3.9).
/// `None` if the coin is unknown or that network does not carry it. Errors: the coin or the network is suspended.
pub(super) fn choose<'a>(basket: &Basket, rails: &'a Rails) -> Result<Option<Rail<'a>>, CheckError> {
    let Some(coin) = coin_named(rails, &basket.coin) else {
        return Ok(None);
    };
    if coin.suspended {
        return Err(CheckError::SuspendedCoin);
    }
    let is_wanted = |network: &Network| basket.network.as_ref().is_none_or(|name| network.name == *name);
    let mut carriers = rails.networks_of(&coin.name).filter(|(network, _)| is_wanted(network)).peekable();
    let carried = carriers.peek().is_some();
    match carriers.find(|(network, _)| !network.suspended) {
        Some((network, asset)) => Ok(Some(Rail { coin, network, asset })),
        None if carried => Err(CheckError::SuspendedNetwork),
        None => Ok(None),
    }
}

/// The problem of a pair that does not exist, with every pair that does.
pub(super) fn unsupported(rails: &Rails) -> Problem {
    let open_networks = |coin: &str| -> Vec<(String, String)> {
        let open = rails.networks_of(coin).filter(|(network, _)| !network.suspended);
        open.map(|(network, _)| (coin.to_owned(), network.name.clone())).collect()
    };
    let coins = rails.coins.iter().filter(|coin| !coin.suspended);
    Problem::UnsupportedCombination { supported: coins.flat_map(|coin| open_networks(&coin.name)).collect() }
}

/// The least amount of a coin that is sold for, with exactly `decimals` decimals: `threshold` of contract 3.1.
/// By the last known rates; `None` if the coin's is not known.
pub fn threshold_text(coin: &Coin, market: &Market, decimals: u32) -> Option<String> {
    let mut minimum = minimum(coin, market, decimals)?;
    minimum.rescale(decimals);
    Some(minimum.to_string())
}

fn minimum(coin: &Coin, market: &Market, decimals: u32) -> Option<Decimal> {
    market.rates.eur_in_coin(Decimal::new(market.minimum_eur_cents, 2), coin, decimals)
}

/// Whether what is due is too little, or nothing at all: an order for nothing could never be paid.
pub(super) fn below_minimum(due_units: i64, rail: &Rail<'_>, market: &Market) -> Option<Problem> {
    let decimals = rail.coin.quoted_decimals;
    let due = Decimal::new(due_units, rail.asset.scale());
    let too_little = minimum(rail.coin, market, decimals).is_some_and(|minimum| due < minimum);
    (due_units <= 0 || too_little).then(|| Problem::AmountBelowMinimum {
        minimum: threshold_text(rail.coin, market, decimals).unwrap_or_default(),
        coin: rail.coin.name.clone(),
    })
}
