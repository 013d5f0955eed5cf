//! CSV with a row for each order: what came in and what became of it, added up from the ledger.
//!
//! `received` is `sold` + `differences` + `returned` + `owed` in every row; the sums of a column are right for each asset.

use super::csv::{Cell, head, row};
use super::{Coins, ExportError, Period, decimal};
use crate::store::ledger::{self, Entry};
use crate::store::{Tx, orders};
use domain::ids::{AssetId, OrderId};
use domain::ledger::Account;
use domain::order::Order;
use std::collections::BTreeMap;
use std::io;

/// Orders that are read at once.
const PAGE: i64 = 200;

const COLUMNS: [&str; 19] = [
    "order",
    "placed",
    "settled",
    "state",
    "type",
    "coin",
    "network",
    "asset",
    "due",
    "received",
    "sold",
    "differences",
    "returned",
    "owed",
    "out_coin",
    "out_network",
    "out_asset",
    "paid_out",
    "other",
];

/// What the ledger says of one order.
#[derive(Debug, Default, PartialEq, Eq)]
struct Figures {
    received: i128,
    sold: i128,
    differences: i128,
    returned: i128,
    /// In what the payer of an exchange order gets.
    paid_out: i128,
    /// What came of other assets and was not given back, such as a token that does not count.
    other: BTreeMap<AssetId, i128>,
}

/// Orders in the order of their numbers.
pub fn write(tx: &mut Tx<'_>, coins: &Coins, period: Period, out: &mut dyn io::Write) -> Result<(), ExportError> {
    head(out, &COLUMNS)?;
    let mut after = 0;
    loop {
        let page = orders::oldest(tx, after, PAGE)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.no;
        let ids: Vec<OrderId> = page.iter().map(|order| order.id).collect();
        let mut entries = BTreeMap::<i64, Vec<Entry>>::new();
        for entry in ledger::entries_of(tx, &ids)? {
            entries.entry(entry.order_no).or_default().push(entry);
        }
        for order in page.iter().filter(|order| period.holds(order.placed_at)) {
            let figures = figures(order, entries.get(&order.no).map_or(&[], Vec::as_slice));
            row(out, &cells(order, &figures, coins))?;
        }
    }
}

fn figures(order: &Order, entries: &[Entry]) -> Figures {
    let mut figures = Figures::default();
    let own = Account::Order(order.no);
    for transfer in entries.iter().map(|entry| &entry.transfer) {
        let units = i128::from(transfer.units);
        // Out of the order's account, or into it; or past it: what leaves the house for an exchange.
        let (other, out) = match (transfer.debit == own, transfer.credit == own) {
            (true, _) => (&transfer.credit, units),
            (_, true) => (&transfer.debit, -units),
            _ => {
                figures.paid_out += left_the_house(&transfer.credit, units) + left_the_house(&transfer.debit, -units);
                continue;
            }
        };
        if transfer.asset != order.quote.asset {
            *figures.other.entry(transfer.asset.clone()).or_default() -= out;
            continue;
        }
        match other {
            Account::Network(_) => figures.received -= out,
            Account::Sales | Account::SalesOf(_) | Account::Exchanges => figures.sold += out,
            Account::Differences => figures.differences += out,
            Account::Order(_)
            | Account::ExchangeReserve
            | Account::PaidOut(_)
            | Account::Hot(_)
            | Account::Cold(_)
            | Account::Fees(_)
            | Account::Cost(_) => figures.returned += out,
        }
    }
    figures.other.retain(|_, units| *units != 0);
    figures
}

/// The units, if that account is one that money leaves by.
fn left_the_house(account: &Account, units: i128) -> i128 {
    match account {
        Account::PaidOut(_) | Account::Hot(_) => units,
        Account::Network(_)
        | Account::Order(_)
        | Account::Sales
        | Account::SalesOf(_)
        | Account::Exchanges
        | Account::ExchangeReserve
        | Account::Differences
        | Account::Cold(_)
        | Account::Fees(_)
        | Account::Cost(_) => 0,
    }
}

fn cells(order: &Order, figures: &Figures, coins: &Coins) -> Vec<Cell> {
    let quote = &order.quote;
    let amount = |units: i128| Cell::amount(units, quote.scale);
    let owed = figures.received - figures.sold - figures.differences - figures.returned;
    let kind = if order.trade().is_some() { "exchange" } else { "goods" };
    let mut cells = vec![
        Cell::Number(order.no.to_string()),
        Cell::text(order.placed_at.rfc3339()),
        Cell::text(order.payment.settled_at.map(|at| at.rfc3339()).unwrap_or_default()),
        Cell::text(order.state.word()),
        Cell::text(kind),
        Cell::text(quote.coin.as_str()),
        Cell::text(quote.network.as_str()),
        Cell::text(quote.asset.as_str()),
        amount(i128::from(quote.due_units)),
        amount(figures.received),
        amount(figures.sold),
        amount(figures.differences),
        amount(figures.returned),
        amount(owed),
    ];
    match order.trade().map(|trade| &trade.to) {
        Some(to) => cells.extend([
            Cell::text(to.symbol.as_str()),
            Cell::text(to.network.as_str()),
            Cell::text(to.asset.as_str()),
            Cell::amount(figures.paid_out, to.scale),
        ]),
        None => cells.extend([Cell::Empty, Cell::Empty, Cell::Empty, Cell::Empty]),
    }
    let other = |(asset, units): (&AssetId, &i128)| format!("{} {asset}", decimal(*units, coins.of(asset).scale));
    cells.push(Cell::text(figures.other.iter().map(other).collect::<Vec<_>>().join(" and ")));
    cells
}
