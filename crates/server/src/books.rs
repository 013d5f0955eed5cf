//! The books for people and their programs: sums of accounts, and exports for spreadsheets and for hledger.
//!
//! Everything is read in one transaction, so that an export of a shop that sells on is one moment of it, and written as it
//! is read: no file is held in memory. Amounts are exact decimals made of integers. Must never change anything, and never
//! add up two assets. Called by the command line. For people: `docs/books.md`.

mod csv;
mod hledger;
mod orders;

use crate::store::ledger::{self, Entry};
use crate::store::{DbError, Tx};
use domain::asset::Rails;
use domain::ids::AssetId;
use domain::ledger::{Account, Transfer};
use domain::time::Time;
use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::io;

/// Transfers that are read at once.
const PAGE: i64 = 1_000;

/// Transfers that are looked at to learn what an asset is that the configuration does not name.
const ASKED: i64 = 20;

/// All orders together, in sums: there is no order of that number.
pub const ALL_ORDERS: Account = Account::Order(0);

/// Why an export was not written to its end.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("the database did not answer")]
    Database(#[from] DbError),
    #[error("the export cannot be written")]
    Write(#[from] io::Error),
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Export {
    /// CSV with a row for each side of each transfer.
    Postings,
    /// CSV with a row for each order.
    Orders,
    /// A journal of hledger with a transaction for each event.
    Hledger,
}

/// From a moment until before another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    pub from: Time,
    pub until: Time,
}

impl Period {
    /// Everything.
    pub const ALL: Period = Period { from: Time(i64::MIN), until: Time(i64::MAX) };

    fn holds(&self, at: Time) -> bool {
        (self.from..self.until).contains(&at)
    }
}

/// Writes an export. Postings belong to the time at which they were booked, orders to the one at which they were placed.
pub fn export(
    tx: &mut Tx<'_>,
    what: Export,
    rails: &Rails,
    period: Period,
    out: &mut dyn io::Write,
) -> Result<(), ExportError> {
    let coins = Coins::load(tx, rails)?;
    match what {
        Export::Postings => csv::postings(tx, &coins, period, out)?,
        Export::Orders => orders::write(tx, &coins, period, out)?,
        Export::Hledger => hledger::write(tx, &coins, period, out)?,
    }
    Ok(out.flush()?)
}

/// What an asset is called, and how many decimals the ledger keeps of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coin {
    pub name: String,
    pub network: String,
    pub scale: u32,
}

/// Every asset of the configuration and of the ledger.
#[derive(Debug)]
pub struct Coins(BTreeMap<AssetId, Coin>);

impl Coins {
    /// What the configuration does not name any more is as the orders have it that it was paid for.
    pub fn load(tx: &mut Tx<'_>, rails: &Rails) -> Result<Coins, DbError> {
        let mut coins = BTreeMap::new();
        for network in &rails.networks {
            for asset in &network.assets {
                let coin = Coin { name: asset.coin.clone(), network: network.name.clone(), scale: asset.scale() };
                coins.insert(asset.id.clone(), coin);
            }
        }
        let moved: BTreeSet<AssetId> = ledger::balances(tx)?.into_iter().map(|balance| balance.asset).collect();
        for asset in moved {
            if let btree_map::Entry::Vacant(unnamed) = coins.entry(asset) {
                let coin = coin_of_orders(tx, unnamed.key())?.unwrap_or_else(|| unknown(unnamed.key()));
                unnamed.insert(coin);
            }
        }
        Ok(Coins(coins))
    }

    /// One that is not known, such as a token that only looks like one that counts, is told in the ledger's own units.
    pub fn of(&self, asset: &AssetId) -> Coin {
        self.0.get(asset).cloned().unwrap_or_else(|| unknown(asset))
    }

    fn all(&self) -> impl Iterator<Item = (&AssetId, &Coin)> {
        self.0.iter()
    }
}

fn unknown(asset: &AssetId) -> Coin {
    Coin { name: asset.to_string(), network: String::new(), scale: 0 }
}

fn coin_of_orders(tx: &mut Tx<'_>, asset: &AssetId) -> Result<Option<Coin>, DbError> {
    for no in ledger::orders_that_moved(tx, asset, ASKED)? {
        let Some(order) = crate::store::orders::by_no(tx, no)? else { continue };
        let quote = &order.quote;
        if quote.asset == *asset {
            return Ok(Some(Coin { name: quote.coin.clone(), network: quote.network.clone(), scale: quote.scale }));
        }
        if let Some(to) = order.trade().map(|trade| &trade.to).filter(|to| to.asset == *asset) {
            return Ok(Some(Coin { name: to.symbol.clone(), network: to.network.to_string(), scale: to.scale }));
        }
    }
    Ok(None)
}

/// Integer units as an exact decimal with all decimals of the scale.
pub fn decimal(units: i128, scale: u32) -> String {
    let scale = scale as usize;
    let digits = format!("{:0>width$}", units.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let (sign, point) = (if units < 0 { "-" } else { "" }, if scale > 0 { "." } else { "" });
    format!("{sign}{whole}{point}{fraction}")
}

/// Debits less credits by asset and account; all orders stand together under [`ALL_ORDERS`].
pub type Sums = BTreeMap<(AssetId, Account), i128>;

/// Adds up the transfers that were booked before a moment.
pub fn sums(tx: &mut Tx<'_>, until: Time) -> Result<Sums, ExportError> {
    let mut sums = Sums::new();
    for_each_event(tx, |event| {
        for entry in event.iter().filter(|entry| entry.at < until) {
            add(&mut sums, &entry.transfer);
        }
        Ok(())
    })?;
    Ok(sums)
}

fn add(sums: &mut Sums, transfer: &Transfer) {
    let units = i128::from(transfer.units);
    for (account, units) in [(&transfer.debit, units), (&transfer.credit, -units)] {
        let account = if account.is_of_one_order() { ALL_ORDERS } else { account.clone() };
        *sums.entry((transfer.asset.clone(), account)).or_default() += units;
    }
}

/// Hands over the transfers of one event after the other, oldest first.
fn for_each_event(
    tx: &mut Tx<'_>,
    mut work: impl FnMut(&[Entry]) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let (mut after, mut event) = ((0, 0), Vec::<Entry>::new());
    loop {
        let page = ledger::entries_after(tx, after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = (last.seq, last.part);
        for entry in page {
            if event.first().is_some_and(|first| first.seq != entry.seq) {
                work(&event)?;
                event.clear();
            }
            event.push(entry);
        }
    }
    if event.is_empty() { Ok(()) } else { work(&event) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_decimals() {
        for (units, scale, text) in [
            (0, 6, "0.000000"),
            (1, 8, "0.00000001"),
            (-1, 8, "-0.00000001"),
            (101_500_000, 6, "101.500000"),
            (-25_380_000, 6, "-25.380000"),
            (500, 0, "500"),
            (-7, 0, "-7"),
            (9_223_372_036_854_775_808, 8, "92233720368.54775808"),
            (i128::from(i64::MIN) * 2, 0, "-18446744073709551616"),
        ] {
            assert_eq!(decimal(units, scale), text);
        }
    }

    #[test]
    fn a_period_ends_before_its_end() {
        let period = Period { from: Time(10), until: Time(20) };
        let held: Vec<i64> = (8..=22).filter(|at| period.holds(Time(*at))).collect();
        assert_eq!(held, (10..20).collect::<Vec<i64>>());
        assert!(Period::ALL.holds(Time(0)));
    }
}
