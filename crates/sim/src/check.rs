//! The rules that must hold whatever happens, and the shop's books beside the world's.
//!
//! Safety is looked at after every step, for the orders that changed; the whole database now and then, and at the end.
//! Called by `run`.

// Money back.
pub mod refunds;
// Exchange orders.
pub mod trades;

use crate::office::RECIPIENT;
use crate::outside::{Fate, World};
use crate::shop::Shop;
use domain::event::Event;
use domain::fulfil::Line;
use domain::ids::{NetworkId, OrderId, TransferId};
use domain::order::Order;
use domain::payment::{BLOCK_TIME_GRACE, LATE_WINDOW, TransferStatus};
use domain::project::OrderState;
use domain::time::Time;
use domain::validate::QuotedLine;
use server::store::{fsck, orders};
use std::collections::{BTreeMap, BTreeSet};

/// The words of an order in the order in which it may move through them (architecture section 2).
pub const WORDS: [OrderState; 12] = [
    OrderState::Created,
    OrderState::WaitingForPayment,
    OrderState::PaymentStarted,
    OrderState::PartialPaymentStarted,
    OrderState::Expired,
    OrderState::PaymentReceived,
    OrderState::WaitingForDelivery,
    OrderState::WaitingForManualAction,
    OrderState::Done,
    OrderState::Refunded,
    OrderState::Canceled,
    OrderState::PaymentFailed,
];

/// A broken rule, as a sentence.
pub type Broken = String;

/// The orders as their events make them, kept beside the shop.
#[derive(Default)]
pub struct Mirror {
    pub orders: BTreeMap<OrderId, Order>,
    seq: i64,
    /// Lines that a person decided about.
    pub decided: BTreeSet<(i64, u32)>,
    /// Lines that an event refused because no code was left.
    sold_out: BTreeSet<(i64, u32)>,
    /// A backup was put back: what unpaid orders were promised may be gone.
    restored: bool,
    /// Who may be written to about an order.
    pub recipients: BTreeMap<OrderId, BTreeSet<String>>,
    /// What is kept of exchange orders.
    pub trades: trades::Kept,
    /// Payments that were counted since the last look, with the numbers of their orders.
    counted: Vec<(i64, TransferId)>,
    /// Orders that expired since then, with the ends of their windows.
    expired: Vec<(i64, NetworkId, Time)>,
    /// What is kept of refunds.
    pub refunds: refunds::Kept,
}

impl Mirror {
    /// The books of a shop that was put back; what people decided and who they are is still known.
    pub fn begin_again(&mut self) {
        let (decided, recipients) = (std::mem::take(&mut self.decided), std::mem::take(&mut self.recipients));
        let trades = std::mem::take(&mut self.trades).begin_again();
        let refunds = std::mem::take(&mut self.refunds).begin_again();
        *self = Mirror { decided, recipients, trades, refunds, restored: true, ..Mirror::default() };
    }

    /// Reads what was committed since, and looks at the orders that it is about.
    pub fn follow(&mut self, shop: &Shop) -> Result<(), Broken> {
        let after = self.seq;
        let log = shop.read(|tx| orders::events_after(tx, after, i64::MAX));
        let mut changed = BTreeSet::new();
        for logged in log {
            if logged.seq <= self.seq {
                return Err(format!("event {} comes after event {}", logged.seq, self.seq));
            }
            self.seq = logged.seq;
            changed.insert(logged.order);
            self.fold(logged)?;
        }
        let changed: Vec<OrderId> = changed.into_iter().collect();
        for row in shop.read(|tx| orders::by_ids(tx, &changed)) {
            if self.orders.get(&row.id) != Some(&row) {
                return Err(format!("order {} is not what its events make of it", row.no));
            }
            owed(&row, self.trades.given_back(row.id) + self.refunds.given_back(row.id))?;
        }
        Ok(())
    }

    fn fold(&mut self, logged: orders::LoggedEvent) -> Result<(), Broken> {
        let orders::LoggedEvent { seq, order: id, version, at, event, told: _ } = logged;
        if let Event::Placed(placed) = &event {
            let order = Order::placed(id, (**placed).clone(), at);
            self.trades.note(&order, &event, seq)?;
            return match self.orders.insert(id, order) {
                None => Ok(()),
                Some(order) => Err(format!("order {} was placed twice", order.no)),
            };
        }
        let order = self.orders.get_mut(&id).ok_or("an event belongs to no order")?;
        if version != order.version + 1 {
            return Err(format!("version {version} of order {} follows version {}", order.no, order.version));
        }
        let before = order.state;
        if let Event::LineDelivered { .. } = &event
            && order.payment.settled_at.is_none()
        {
            return Err(format!("goods of order {} were delivered before it was paid", order.no));
        }
        if let Event::LineRefused { line, reason, .. } = &event
            && reason == "no code is left in stock"
        {
            promise_is_broken(self.restored, order.no)?;
            self.sold_out.insert((order.no, *line));
        }
        if let Event::LineRefusedBySupplier { supplier, .. } = &event
            && supplier == domain::catalog::OWN_STOCK
        {
            promise_is_broken(self.restored, order.no)?;
        }
        let mut next = order.clone();
        let folded = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            next.apply(&event, at);
            next
        }));
        *order = folded.map_err(|_| format!("the event {} of order {} is not legal", event.kind(), order.no))?;
        not_back(order.no, before, order.state)?;
        self.trades.note(order, &event, seq)?;
        // Nobody watches for what is moved by hand.
        if !order.is_paid_by_hand() {
            if let Event::PaymentConfirmed(seen) = &event {
                self.counted.push((order.no, seen.transfer.clone()));
            }
            if matches!(event, Event::Expired) {
                self.expired.push((order.no, order.quote.network_id.clone(), order.expires_at));
            }
        }
        self.refunds.note(order, &event)?;
        if let Event::PaymentSettled { .. } = &event
            && order.payment.confirmed(&order.quote.asset) < order.quote.due_units - order.tolerance_units
        {
            return Err(format!("order {} was settled with less than its price", order.no));
        }
        Ok(())
    }
}

impl Mirror {
    /// Nothing was counted before its chain confirmed it, and nothing expired before its chain was seen to the end of the
    /// window.
    pub fn follows_the_chains(&mut self, world: &World) -> Result<(), Broken> {
        for (no, transfer) in self.counted.drain(..) {
            if !world.chains.values().any(|chain| chain.confirmed.contains(&transfer)) {
                return Err(format!("order {no} counts {transfer}, which its chain has not confirmed"));
            }
        }
        for (no, network, until) in self.expired.drain(..) {
            let shown = world.chains.get(&network).map_or(Time(0), |chain| chain.shown_through);
            if shown <= until {
                return Err(format!("order {no} expired while its network was not seen to the end of its window"));
            }
        }
        Ok(())
    }
}

/// A code of ours that was promised is there, unless its row was quarantined with a restore.
fn promise_is_broken(restored: bool, no: i64) -> Result<(), Broken> {
    if restored { Ok(()) } else { Err(format!("order {no} was promised a code of ours and did not get it")) }
}

/// What the payer sent and got nothing for, worked out from what is on the order and what went back to him.
fn owed(order: &Order, given_back: i64) -> Result<(), Broken> {
    let confirmed = order.payment.confirmed(&order.quote.asset);
    let is_sold = order.payment.settled_at.is_some() && !order.is_returned();
    let sold = if is_sold { order.quote.due_units - order.difference_units } else { 0 };
    let refused = order.lines.iter().zip(&order.quote.lines).filter(|(line, _)| matches!(line, Line::Refused { .. }));
    let part = |price: i64| {
        let part = i128::from(order.difference_units) * i128::from(price) / i128::from(order.quote.due_units);
        price - i64::try_from(part).unwrap_or(0)
    };
    let refunds: i64 = refused.map(|(_, quoted)| part(quoted.coin_units)).sum();
    if order.credit_units != confirmed - sold + refunds - given_back {
        let (no, owed) = (order.no, order.credit_units);
        return Err(format!(
            "order {no} is credited as {owed}, should be {confirmed} - {sold} + {refunds} - {given_back}"
        ));
    }
    Ok(())
}

/// What holds at any moment.
pub fn safety(shop: &Shop, mirror: &Mirror, world: &mut World) -> Result<(), Broken> {
    if let Some(broken) = world.broken.pop() {
        return Err(broken);
    }
    bought_once(mirror, world)?;
    trades::safety(shop, mirror, world)?;
    refunds::safety(mirror, world)?;
    let found = shop.read(fsck::check).wrong;
    found.into_iter().next().map_or(Ok(()), Err)
}

/// One line is bought once, whatever became of the calls.
fn bought_once(mirror: &Mirror, world: &World) -> Result<(), Broken> {
    let mut bought = BTreeMap::<&str, &str>::new();
    for (reference, deal) in world.deals.iter().filter(|(_, deal)| deal.bought) {
        let line = reference.rsplit_once('-').map_or("", |(line, _)| line);
        if let Some(other) = bought.insert(line, reference) {
            return Err(format!("a line was bought twice, as {other} and as {reference} from {}", deal.supplier));
        }
    }
    for order in mirror.orders.values().filter(|order| order.payment.settled_at.is_none()) {
        let mine = format!("k{}-", order.no);
        if world.deals.iter().any(|(reference, deal)| reference.starts_with(&mine) && !deal.forgotten) {
            return Err(format!("goods of order {} were asked for before it was paid", order.no));
        }
    }
    Ok(())
}

/// What holds once the faults have stopped and everything had time.
pub fn liveness(shop: &Shop, mirror: &Mirror, world: &World) -> Result<(), Broken> {
    for order in mirror.orders.values() {
        match order.trade() {
            Some(_) => trades::has_ended(order)?,
            None => is_settled_or_explained(order)?,
        }
        refunds::has_gone_out(order)?;
        deposits(order, world)?;
        outcome(order, world)?;
        refusals(order, mirror, world)?;
        mails(order, shop, mirror, world)?;
    }
    trades::all_told(shop)?;
    swept(shop, world)?;
    codes(shop, mirror, world)
}

/// What left our addresses is in the ledger, once, and what was reorganised away is not.
fn swept(shop: &Shop, world: &World) -> Result<(), Broken> {
    let mut expected = BTreeMap::<(String, String), i64>::new();
    for (network, chain) in &world.chains {
        let left = chain.blocks.iter().flat_map(|block| &block.transfers).filter(|transfer| transfer.from.is_some());
        for transfer in left {
            *expected.entry((format!("cold:{network}"), transfer.asset.to_string())).or_default() += transfer.units;
        }
    }
    let rows = shop.read(|tx| tx.query("select account, asset, debit_units - credit_units from balances", &[]));
    let kept: BTreeMap<(String, String), i64> = rows
        .iter()
        .filter(|row| row.text(0).starts_with("cold:") && row.int(2) != 0)
        .map(|row| ((row.text(0).to_owned(), row.text(1).to_owned()), row.int(2)))
        .collect();
    if kept != expected {
        return Err(format!("the ledger says that {kept:?} was swept, the chains say {expected:?}"));
    }
    Ok(())
}

/// Final, or on hold with a reason that a person can act on.
fn is_settled_or_explained(order: &Order) -> Result<(), Broken> {
    let paid = order.payment.settled_at.is_some();
    let is_final = if paid { order.lines.iter().all(Line::is_ended) } else { order.payment.closed };
    match (order.hold(), is_final) {
        (_, true) => Ok(()),
        (Some(hold), false) if paid && !hold.note.trim().is_empty() => Ok(()),
        _ => Err(format!("order {} never came to an end: {:?}", order.no, order.state)),
    }
}

/// Every deposit is credited once, or reversed.
fn deposits(order: &Order, world: &World) -> Result<(), Broken> {
    let mut on_chain = BTreeMap::<TransferId, (i64, bool)>::new();
    for chain in world.chains.values() {
        for transfer in chain.blocks.iter().flat_map(|block| &block.transfers) {
            if transfer.to == order.address {
                let may_be_left = transfer.asset == order.quote.asset && is_trifle(order, transfer.units);
                on_chain.insert(transfer.id.clone(), (transfer.units, may_be_left));
            }
        }
    }
    // What an operator confirmed by hand is on no chain.
    for received in order.payment.received.iter().filter(|_| !order.is_paid_by_hand()) {
        let counts = received.status == TransferStatus::Confirmed;
        match on_chain.remove(&received.transfer) {
            Some((units, _)) if counts && units == received.units => {}
            None if !counts => {}
            found => {
                let (id, status) = (&received.transfer, received.status);
                return Err(format!("order {} has {id} as {status:?}, the chain has {found:?}", order.no));
            }
        }
    }
    on_chain.retain(|_, (_, may_be_left)| !*may_be_left);
    match on_chain.keys().next() {
        None => Ok(()),
        Some(lost) => Err(format!("order {} knows nothing of the deposit {lost}", order.no)),
    }
}

/// Less than a two-hundredth of the price: the shop may leave it to the claim queue.
fn is_trifle(order: &Order, units: i64) -> bool {
    units.saturating_mul(200) < order.quote.due_units
}

/// Whoever paid in time gets the order settled; whoever paid soon after, at the same price, too.
fn outcome(order: &Order, world: &World) -> Result<(), Broken> {
    if order.payment.settled_at.is_some() || order.canceled_at.is_some() {
        return Ok(());
    }
    // Whoever asked for his money back does not get the goods for what comes later.
    if !order.refunds.is_empty() {
        return Ok(());
    }
    // What an expiry has let go of may be gone when late money comes; in the window everything is held.
    let promised = |line: &QuotedLine| domain::terms::is_own_stock(&line.suppliers);
    let may_be_gone = order.quote.lines.iter().any(promised) || order.counts.iter().any(|count| count.kept);
    let until = if may_be_gone { order.expires_at } else { order.expires_at + BLOCK_TIME_GRACE + LATE_WINDOW };
    // What no node showed at first may be found when the order is over: it is credited, and a person decides.
    let was_kept_back = |id: &TransferId| world.chains.values().any(|chain| chain.kept_back.contains(id));
    let transfers = world.chains.values().flat_map(|chain| &chain.blocks).flat_map(|block| &block.transfers);
    let paid: i64 = transfers
        .filter(|transfer| transfer.to == order.address && transfer.asset == order.quote.asset)
        .filter(|transfer| transfer.block_at <= until && !was_kept_back(&transfer.id))
        .filter(|transfer| !is_trifle(order, transfer.units))
        .map(|transfer| transfer.units)
        .sum();
    if paid >= order.quote.due_units - order.tolerance_units {
        return Err(format!("order {} was paid {paid} in time and is not settled", order.no));
    }
    Ok(())
}

/// A line is refused only if nobody could deliver it, or a person said so.
fn refusals(order: &Order, mirror: &Mirror, world: &World) -> Result<(), Broken> {
    for (at, line) in order.lines.iter().enumerate() {
        let at = at as u32;
        let of_line = format!("k{}-{at}-", order.no);
        let deals = || world.deals.iter().filter(|(reference, _)| reference.starts_with(&of_line));
        let by_person = mirror.decided.contains(&(order.no, at));
        match line {
            Line::Refused { .. } if by_person => {}
            Line::Refused { .. } => {
                let refused = deals().filter(|(_, deal)| deal.fate == Fate::Refused).count();
                let asked = order.quote.lines[at as usize].suppliers.iter().filter(|s| s.supplier != "stock").count();
                let sold_out = asked == 0 && mirror.sold_out.contains(&(order.no, at));
                if deals().any(|(_, deal)| deal.bought) || !(sold_out || asked > 0 && refused == asked) {
                    return Err(format!("line {at} of order {} is refused, and nobody refused it", order.no));
                }
            }
            Line::Delivered { code: None, .. } if by_person => {}
            Line::Delivered { .. } => {
                let from_stock = order.quote.lines[at as usize].suppliers[0].supplier == "stock";
                if !from_stock && !deals().any(|(_, deal)| deal.bought || deal.reversed) {
                    return Err(format!("line {at} of order {} is delivered, and nobody sold it", order.no));
                }
            }
            Line::Planned { .. } | Line::Sent { .. } | Line::Asking { .. } => {}
        }
    }
    Ok(())
}

/// Every message that an event asked for has arrived, and at nobody else's.
fn mails(order: &Order, shop: &Shop, mirror: &Mirror, world: &World) -> Result<(), Broken> {
    let log = shop.read(|tx| orders::events_of(tx, order.id));
    for logged in log {
        let wanted = match &logged.event {
            // Payers of exchange orders are told by notifications.
            Event::PaymentSettled { .. } if order.trade().is_some() => continue,
            Event::PaymentSettled { .. } => format!("confirmation-{}", logged.seq),
            Event::LineDelivered { line, .. } => {
                let by_mail = order.quote.lines[*line as usize].delivery == domain::catalog::DeliveryMethod::ByEmail;
                if !by_mail || !order.shows_goods() {
                    continue;
                }
                format!("delivery-{}", logged.seq)
            }
            _ => continue,
        };
        let mut sent = world.mails.iter().filter(|(id, _, _)| *id == wanted).peekable();
        if sent.peek().is_none() {
            return Err(format!("the mail {wanted} of order {} never arrived", order.no));
        }
        let Some(recipients) = mirror.recipients.get(&order.id) else { continue };
        if sent.any(|(_, to, _)| !recipients.contains(to)) {
            return Err(format!("the mail {wanted} of order {} went to somebody else", order.no));
        }
    }
    Ok(())
}

/// No code has two owners, none is shown that was not delivered, and none is in a log, an event or a mail.
fn codes(shop: &Shop, mirror: &Mirror, world: &World) -> Result<(), Broken> {
    let mut shown = BTreeMap::<String, i64>::new();
    for order in mirror.orders.values() {
        for code in shop.codes_of(order.id).into_iter().flatten() {
            if !world.codes.contains(&code) {
                return Err(format!("order {} has a code that nobody made", order.no));
            }
            if let Some(other) = shown.insert(code, order.no) {
                return Err(format!("one code belongs to the orders {other} and {}", order.no));
            }
        }
        let delivered = order.lines.iter().filter(|line| matches!(line, Line::Delivered { code: Some(_), .. })).count();
        let opened = shop.codes_of(order.id).iter().flatten().count();
        if delivered != opened {
            return Err(format!("order {} was delivered {delivered} codes and can open {opened}", order.no));
        }
    }
    let events = shop.read(|tx| tx.query("select body from events", &[]));
    let texts = events.iter().map(|row| row.text(0)).chain(world.mails.iter().map(|(_, _, text)| text.as_str()));
    for text in texts {
        says_too_much(text, world)?;
    }
    Ok(())
}

/// Whether a text that others see holds a code, or who bought.
pub fn says_too_much(text: &str, world: &World) -> Result<(), Broken> {
    // Codes begin so, and addresses and numbers of people.
    let begins = ["PIN-", "OWN-", "shopper-", "+1555", RECIPIENT];
    if begins.iter().any(|begin| text.contains(begin)) {
        let code = world.codes.iter().find(|code| text.contains(code.as_str()));
        let what = if code.is_some() { "a code" } else { "somebody's address" };
        return Err(format!("{what} stands in a text that others see"));
    }
    Ok(())
}

/// A state that a client saw before.
pub fn not_back(no: i64, seen: OrderState, now: OrderState) -> Result<(), Broken> {
    let place = |state| WORDS.iter().position(|word| *word == state);
    if place(now) < place(seen) {
        return Err(format!("a client saw order {no} move back from {seen:?} to {now:?}"));
    }
    Ok(())
}
