//! What must hold of exchange orders: who was paid what, and who was told what.

use super::{Broken, Mirror};
use crate::outside::{Paid, World};
use crate::shop::Shop;
use domain::event::Event;
use domain::ids::{AssetId, OrderId};
use domain::ledger::network_of;
use domain::order::Order;
use domain::payout::Payout;
use domain::project::{ExchangeStatus, exchange_status};
use domain::route::{Currency, Trade};
use rust_decimal::Decimal;
use server::store::claims;
use std::collections::{BTreeMap, BTreeSet};

/// What the mirror keeps of exchange orders beside the orders themselves.
#[derive(Default)]
pub struct Kept {
    /// The status of an order after each event of it: (number, status) by the event's number.
    statuses: BTreeMap<i64, (i64, ExchangeStatus)>,
    /// What went back to the payer, in units of what he gave.
    given_back: BTreeMap<OrderId, i64>,
    /// Where each order is to be paid out to.
    pub recipients: BTreeMap<OrderId, String>,
    /// Orders that an operator paid out without looking whether somebody else had.
    pub overridden: BTreeSet<i64>,
}

impl Kept {
    /// What is still known of a shop that was put back.
    pub fn begin_again(self) -> Kept {
        Kept { recipients: self.recipients, overridden: self.overridden, ..Kept::default() }
    }

    /// What went back to an order's payer.
    pub fn given_back(&self, order: OrderId) -> i64 {
        self.given_back.get(&order).copied().unwrap_or(0)
    }

    /// Takes note of an event, given the order as it is after it.
    pub fn note(&mut self, order: &Order, event: &Event, seq: i64) -> Result<(), Broken> {
        let Some(trade) = order.trade() else { return Ok(()) };
        self.statuses.insert(seq, (order.no, exchange_status(order)));
        match event {
            Event::Placed(_) | Event::Repriced { .. } => amounts_fit(order.no, trade)?,
            Event::Returned { returned_units: units, .. } | Event::CreditReturned { units, .. } => {
                *self.given_back.entry(order.id).or_default() += units;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Amounts are what a client computes: rounded in favour of the house, and by less than one unit.
fn amounts_fit(no: i64, trade: &Trade) -> Result<(), Broken> {
    let kept = Decimal::ONE - Decimal::new(i64::from(trade.discount_bps), 4);
    let rate = trade.rate.decimal() * kept;
    let given = Decimal::new(trade.from.units, trade.from.decimals);
    let received = Decimal::new(trade.to.units + trade.fee_units, trade.to.decimals);
    let (least_given, least_received) = (Decimal::new(1, trade.from.decimals), Decimal::new(1, trade.to.decimals));
    let in_favour = received * rate <= given;
    let is_close = (received + least_received) * rate > given || received * rate > given - least_given;
    if in_favour && is_close && trade.to.units > 0 {
        return Ok(());
    }
    Err(format!("order {no} exchanges {given} for {received} (fee included) at {rate}"))
}

/// What holds at any moment.
pub fn safety(shop: &Shop, mirror: &Mirror, world: &World) -> Result<(), Broken> {
    paid_out_once(mirror, world)?;
    told_in_order(mirror, world)?;
    within_reserves(shop)?;
    positions(shop, mirror)
}

fn paid_out_once(mirror: &Mirror, world: &World) -> Result<(), Broken> {
    let mut by_order = world.books.paid_by_order();
    for order in mirror.orders.values() {
        let Some(trade) = order.trade() else { continue };
        let all = by_order.remove(&order.no).unwrap_or_default();
        let paid: Vec<&Paid> = all.iter().copied().filter(|paid| !paid.forgotten).collect();
        let no = order.no;
        let by_override = mirror.trades.overridden.contains(&no);
        if let [first, second, ..] = paid[..]
            && !by_override
        {
            return Err(format!("order {no} was paid out twice, as {} and as {}", first.proof, second.proof));
        }
        if !paid.is_empty() && order.payment.settled_at.is_none() {
            return Err(format!("order {no} was paid out and is not settled"));
        }
        if !paid.is_empty() && order.is_returned() && !by_override {
            return Err(format!("order {no} was paid out, and its money went back"));
        }
        if all.is_empty() && matches!(order.payout, Some(Payout::Done { .. })) {
            return Err(format!("order {no} is said to be paid out, and nobody paid"));
        }
        for paid in paid {
            as_agreed(order, trade, paid, mirror.trades.recipients.get(&order.id))?;
        }
    }
    let strange = by_order.iter().find(|(_, paid)| paid.iter().any(|paid| !paid.forgotten));
    strange.map_or(Ok(()), |(no, _)| Err(format!("coins were paid out for order {no}, which does not exist")))
}

/// What was paid out is what was agreed, or what the rate of the payment made of it.
fn as_agreed(order: &Order, trade: &Trade, paid: &Paid, to: Option<&String>) -> Result<(), Broken> {
    let agreed = (&trade.to.asset, trade.to.ledger_units());
    if (&paid.asset, paid.units) != agreed {
        return Err(format!(
            "order {} was paid out {} of {}, agreed were {} of {}",
            order.no, paid.units, paid.asset, agreed.1, agreed.0
        ));
    }
    if to.is_some_and(|to| *to != paid.to) {
        return Err(format!("order {} was paid out to somebody else", order.no));
    }
    Ok(())
}

/// Each change is told once at most, those of one order in their order, and as the order was then.
fn told_in_order(mirror: &Mirror, world: &World) -> Result<(), Broken> {
    let mut last = BTreeMap::<i64, i64>::new();
    for notice in &world.books.told {
        let (no, seq) = (notice.no, notice.seq);
        if last.insert(no, seq).is_some_and(|before| before >= seq) {
            return Err(format!("a change of order {no} was told twice, or after a later one"));
        }
        if mirror.trades.statuses.get(&seq) != Some(&(no, notice.status)) {
            return Err(format!("order {no} was said to be {:?}, which it was not then", notice.status));
        }
    }
    Ok(())
}

/// Nobody was promised more than there is.
fn within_reserves(shop: &Shop) -> Result<(), Broken> {
    let market = shop.market();
    let currencies = &market.exchange.currencies;
    let keys: Vec<_> = currencies.iter().map(Currency::reserve_key).collect();
    let counters = shop.read(|tx| claims::counters(tx, &keys));
    for currency in currencies {
        let counted = counters.get(&currency.reserve_key()).copied().unwrap_or_default();
        let there = currency.reserve_units();
        if counted.held < 0 || counted.used < 0 || counted.total() > there {
            return Err(format!("of {} there is {there}, and {counted:?} is promised", currency.xml));
        }
    }
    Ok(())
}

/// Credits less debits of the office's shared accounts are what the orders say.
fn positions(shop: &Shop, mirror: &Mirror) -> Result<(), Broken> {
    let mut expected = BTreeMap::<(String, String), i64>::new();
    let mut add = |account: String, asset: &AssetId, units: i64| {
        *expected.entry((account, asset.to_string())).or_default() += units;
    };
    for order in mirror.orders.values() {
        for refund in order.refunds.iter().filter(|refund| refund.is_final()) {
            add(format!("paid_out:{}", network_of(&refund.asset)), &refund.asset, refund.payable_units());
        }
        let Some(trade) = order.trade() else { continue };
        let (from, to) = (&trade.from, &trade.to);
        if order.payment.settled_at.is_some() && !order.is_returned() {
            add("exchanges".to_owned(), &from.asset, order.quote.due_units);
            add("exchanges".to_owned(), &to.asset, -to.ledger_units());
            let is_paid_out = matches!(order.payout, Some(Payout::Done { .. }));
            let paid_by = if is_paid_out { format!("paid_out:{}", to.network) } else { "exchange_reserve".to_owned() };
            add(paid_by, &to.asset, to.ledger_units());
        }
        add(format!("paid_out:{}", from.network), &from.asset, mirror.trades.given_back(order.id));
    }
    expected.retain(|_, units| *units != 0);
    let rows = shop.read(|tx| tx.query("select account, asset, debit_units, credit_units from balances", &[]));
    let is_ours =
        |account: &str| ["exchanges", "exchange_reserve"].contains(&account) || account.starts_with("paid_out:");
    let kept: BTreeMap<(String, String), i64> = rows
        .iter()
        .filter(|row| is_ours(row.text(0)))
        .map(|row| ((row.text(0).to_owned(), row.text(1).to_owned()), row.int(3) - row.int(2)))
        .filter(|(_, units)| *units != 0)
        .collect();
    if kept != expected {
        return Err(format!("the office's books hold {kept:?}, should hold {expected:?}"));
    }
    Ok(())
}

/// Whether an exchange order has come to its end.
pub fn is_over(order: &Order) -> bool {
    match order.payment.settled_at {
        Some(_) => order.payout.as_ref().is_some_and(Payout::is_over),
        None => order.payment.closed,
    }
}

/// What holds of an exchange order once the faults have stopped and operators had time.
pub fn has_ended(order: &Order) -> Result<(), Broken> {
    if is_over(order) {
        return Ok(());
    }
    let (no, status) = (order.no, exchange_status(order));
    Err(format!("exchange order {no} never came to an end: {status:?}, {:?}", order.payout))
}

/// Everything that was to be told was tried to be told.
pub fn all_told(shop: &Shop) -> Result<(), Broken> {
    let waiting = shop.read(|tx| tx.query("select order_id from deliveries where state = 'due'", &[]));
    if waiting.is_empty() { Ok(()) } else { Err(format!("{} notifications were never sent", waiting.len())) }
}
