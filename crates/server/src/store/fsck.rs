//! Proves that the database holds together: log and rows, ledger and orders, counters and codes.
//!
//! Reads everything, in pages; changes nothing. Run by `kiosk fsck`, by the simulator and after every crash in tests.

use super::db::{DbError, Tx};
use super::{affiliates, claims, orders, sweeps};
use domain::event::Event;
use domain::ids::{OrderId, Sku};
use domain::ledger::{Account, Transfer};
use domain::limits::{Counter, CounterKey};
use domain::order::Order;
use domain::payment::TransferStatus;
use domain::postings::postings;
use domain::refund::{Destination, Stage};
use domain::route::{PartnerDay, Referred};
use domain::time::Time;
use domain::validate::StockCount;
use std::collections::{BTreeMap, BTreeSet};

const PAGE: i64 = 1_000;

/// What was looked at, and what is wrong.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Findings {
    pub orders: u64,
    pub events: u64,
    pub transfers: u64,
    pub codes: u64,
    /// One sentence each; at most a hundred.
    pub wrong: Vec<String>,
}

impl Findings {
    fn report(&mut self, sentence: String) {
        if self.wrong.len() < 100 {
            self.wrong.push(sentence);
        }
    }
}

/// Ledger sums per (order number, asset) and per asset.
type Sums = BTreeMap<(i64, String), i64>;

/// Checks everything.
pub fn check(tx: &mut Tx<'_>) -> Result<Findings, DbError> {
    let mut findings = Findings::default();
    let folded = fold_log(tx, &mut findings)?;
    let expected = compare_orders(tx, &folded, &mut findings)?;
    check_columns(tx, &folded, &mut findings)?;
    check_addresses(tx, &folded, &mut findings)?;
    check_ledger(tx, &folded, &mut findings)?;
    check_counters(tx, expected.counters, &mut findings)?;
    check_stock(tx, expected.held, &mut findings)?;
    check_codes(tx, &folded, &mut findings)?;
    check_transfers(tx, &folded, &mut findings)?;
    check_sweeps(tx, &mut findings)?;
    check_refunds(tx, &folded, &mut findings)?;
    check_affiliates(tx, &folded, &mut findings)?;
    Ok(findings)
}

/// Folds the whole log; checks that numbers grow, versions are contiguous, and postings are those of the events.
fn fold_log(tx: &mut Tx<'_>, findings: &mut Findings) -> Result<BTreeMap<OrderId, Order>, DbError> {
    let mut folded = BTreeMap::<OrderId, Order>::new();
    let mut after = 0;
    loop {
        let page = orders::events_after(tx, after, PAGE)?;
        let Some(last) = page.last() else { return Ok(folded) };
        let mut written = ledger_page(tx, OF_EVENTS, after, last.seq)?;
        after = last.seq;
        for logged in page {
            findings.events += 1;
            let wanted = match (folded.get_mut(&logged.order), &logged.event) {
                (None, Event::Placed(placed)) => {
                    folded.insert(logged.order, Order::placed(logged.order, (**placed).clone(), logged.at));
                    Vec::new()
                }
                (Some(order), event) if logged.version == order.version + 1 => {
                    let Some((next, wanted)) = fold(order, event, logged.at) else {
                        findings.report(format!("event {} is not legal for its order as it was then", logged.seq));
                        continue;
                    };
                    *order = next;
                    wanted
                }
                _ => {
                    findings.report(format!("event {} does not follow the events of its order", logged.seq));
                    continue;
                }
            };
            let wanted: Vec<_> = wanted
                .iter()
                .map(|t| (t.debit.to_string(), t.credit.to_string(), t.asset.to_string(), t.units))
                .collect();
            let found = written.remove(&logged.seq).unwrap_or_default();
            findings.transfers += found.len() as u64;
            if found != wanted {
                findings
                    .report(format!("the ledger transfers of event {} are not those its kind asks for", logged.seq));
            }
        }
        for seq in written.into_keys() {
            findings.report(format!("ledger transfers of event {seq} belong to no event"));
        }
    }
}

/// The order after one more event, and what the ledger must say of it; none if the fold refuses the event.
fn fold(order: &Order, event: &Event, at: Time) -> Option<(Order, Vec<Transfer>)> {
    let folded = std::panic::catch_unwind(|| {
        let mut next = order.clone();
        next.apply(event, at);
        (next, postings(order, event))
    });
    folded.ok()
}

type LedgerRows = BTreeMap<i64, Vec<(String, String, String, i64)>>;

/// Entries of events of orders; what sweeps move belongs to none.
const OF_EVENTS: &str = "and order_no <> 0";
const OF_EVERYTHING: &str = "";

fn ledger_page(tx: &mut Tx<'_>, which: &str, after: i64, through: i64) -> Result<LedgerRows, DbError> {
    let sql = format!(
        "select seq, debit, credit, asset, units from ledger_transfers where seq > $1 and seq <= $2 {which} \
        order by seq, part"
    );
    let mut found = LedgerRows::new();
    for row in tx.query(&sql, &[after.into(), through.into()])? {
        let text = |at| row.text(at).to_owned();
        found.entry(row.int(0)).or_default().push((text(1), text(2), text(3), row.int(4)));
    }
    Ok(found)
}

/// What shared rows must hold, added up from the orders.
#[derive(Default)]
struct Expected {
    counters: BTreeMap<CounterKey, Counter>,
    held: BTreeMap<Sku, i64>,
}

fn compare_orders(
    tx: &mut Tx<'_>,
    folded: &BTreeMap<OrderId, Order>,
    findings: &mut Findings,
) -> Result<Expected, DbError> {
    let mut expected = Expected::default();
    let mut numbers = BTreeSet::new();
    let mut before = i64::MAX;
    loop {
        let page = orders::newest(tx, before, PAGE)?;
        let Some(last) = page.last() else { break };
        before = last.no;
        for order in page {
            findings.orders += 1;
            numbers.insert(order.no);
            if folded.get(&order.id) != Some(&order) {
                findings.report(format!("order {} is not what its events make of it", order.no));
            }
            if orders::steps_of(tx, order.id)? != sorted_steps(&order) {
                findings.report(format!("the steps of order {} are not those that its state asks for", order.no));
            }
            expect(&order, &mut expected);
        }
    }
    for order in folded.values().filter(|order| !numbers.contains(&order.no)) {
        findings.report(format!("order {} has events but no row", order.no));
    }
    Ok(expected)
}

/// The columns beside an order's body: queries and the guard against stale writes trust them.
fn check_columns(tx: &mut Tx<'_>, folded: &BTreeMap<OrderId, Order>, findings: &mut Findings) -> Result<(), DbError> {
    for row in tx.query("select id, no, version, state, hold, status, customer from orders", &[])? {
        let Some(order) = folded.get(&orders::read_id(row.text(0))?) else { continue };
        let kept = (row.int(1), row.int(2), row.text(3), row.opt_text(4));
        let hold = order.hold().map(|hold| hold.note.as_str());
        if kept != (order.no, order.version, order.state.word(), hold) {
            findings.report(format!("a column of order {} is not what its body says", order.no));
        }
        let kept = (row.opt_text(5).map(str::to_owned), row.opt_text(6).map(str::to_owned));
        if kept != (orders::status_column(order), order.origin.customer.clone()) {
            findings.report(format!("status or customer of order {} are not what its body says", order.no));
        }
    }
    Ok(())
}

/// Each order owns its address and no other.
fn check_addresses(tx: &mut Tx<'_>, folded: &BTreeMap<OrderId, Order>, findings: &mut Findings) -> Result<(), DbError> {
    let mut owned = BTreeMap::<String, Vec<String>>::new();
    for row in tx.query("select owner, address from addresses where owner is not null", &[])? {
        owned.entry(row.text(0).to_owned()).or_default().push(row.text(1).to_owned());
    }
    for order in folded.values() {
        // Money that is moved by hand goes to an account of the operator's.
        let address = (!order.is_paid_by_hand()).then_some(order.address.as_str());
        if owned.remove(&order.id.expose()).unwrap_or_default() != address.into_iter().collect::<Vec<_>>() {
            findings.report(format!("the address of order {} is not owned by it, or not by it alone", order.no));
        }
    }
    // Addresses that a restore skipped are nobody's.
    let strangers = owned.keys().filter(|owner| OrderId::parse(owner).is_ok()).count();
    if strangers > 0 {
        findings.report(format!("{strangers} addresses are owned by orders that do not exist"));
    }
    Ok(())
}

fn sorted_steps(order: &Order) -> Vec<domain::order::Step> {
    let mut steps = order.next_steps();
    steps.sort_by_key(|step| step.slot.word());
    steps
}

fn expect(order: &Order, expected: &mut Expected) {
    let paid = order.payment.settled_at.is_some();
    for count in &order.counts {
        expected.counters.entry(count.key.clone()).or_default().used += order.used_of(count);
        let counter = expected.counters.entry(count.key.clone()).or_default();
        if order.counts_are_held && count.held {
            counter.held += count.amount;
        }
    }
    for (line, quoted) in order.lines.iter().zip(&order.quote.lines) {
        let own = domain::terms::is_own_stock(&quoted.suppliers);
        let waiting =
            order.counts_are_held || (paid && matches!(line, domain::fulfil::Line::Planned { supplier: 0, .. }));
        if own && waiting {
            *expected.held.entry(quoted.sku.clone()).or_default() += 1;
        }
    }
}

fn check_ledger(tx: &mut Tx<'_>, folded: &BTreeMap<OrderId, Order>, findings: &mut Findings) -> Result<(), DbError> {
    let mut owed = Sums::new();
    let mut shared = BTreeMap::<(String, String), (i64, i64)>::new();
    let mut after = 0;
    loop {
        let page = ledger_page(tx, OF_EVERYTHING, after, after + PAGE)?;
        for (debit, credit, asset, units) in page.into_values().flatten() {
            for (account, debited, credited) in [(debit, units, 0), (credit, 0, units)] {
                match account.strip_prefix("order:").and_then(|no| no.parse().ok()) {
                    Some(no) => *owed.entry((no, asset.clone())).or_default() += credited - debited,
                    None => {
                        let balance = shared.entry((account, asset.clone())).or_default();
                        *balance = (balance.0 + debited, balance.1 + credited);
                    }
                }
            }
        }
        after += PAGE;
        if after > super::head::last_seq(tx)? {
            break;
        }
    }
    for order in folded.values() {
        let booked = owed.get(&(order.no, order.quote.asset.to_string())).copied().unwrap_or(0);
        if booked != order.credit_units {
            findings.report(format!("order {} owes {} units, the ledger says {booked}", order.no, order.credit_units));
        }
    }
    let rows = tx.query("select account, asset, debit_units, credit_units from balances", &[])?;
    let kept: BTreeMap<_, _> =
        rows.iter().map(|row| ((row.text(0).to_owned(), row.text(1).to_owned()), (row.int(2), row.int(3)))).collect();
    if kept != shared {
        findings.report("the balances of shared accounts are not the sums of their transfers".to_owned());
    }
    Ok(())
}

fn check_counters(
    tx: &mut Tx<'_>,
    mut expected: BTreeMap<CounterKey, Counter>,
    findings: &mut Findings,
) -> Result<(), DbError> {
    expected.retain(|_, counter| *counter != Counter::default());
    let mut kept = BTreeMap::new();
    for row in tx.query("select rule, subject, period, held, used from counters", &[])? {
        let text = |at| row.text(at).to_owned();
        let counter = Counter { held: row.int(3), used: row.int(4) };
        if counter != Counter::default() {
            kept.insert(CounterKey { rule: text(0), subject: text(1), period: text(2) }, counter);
        }
    }
    if kept != expected {
        let differing = kept.iter().filter(|(key, counter)| expected.get(key) != Some(counter)).count();
        let missing = expected.keys().filter(|key| !kept.contains_key(key)).count();
        findings.report(format!("{differing} counters are not what the orders say, {missing} are missing"));
    }
    Ok(())
}

fn check_stock(tx: &mut Tx<'_>, held: BTreeMap<Sku, i64>, findings: &mut Findings) -> Result<(), DbError> {
    let rows = tx.query("select sku, count(*) from codes where owner is null and state = 'ready' group by sku", &[])?;
    let free: BTreeMap<Sku, i64> = rows.iter().map(|row| (Sku::new(row.text(0)), row.int(1))).collect();
    let counts = super::stock::counts(tx)?;
    for sku in counts.keys().chain(free.keys()).chain(held.keys()).collect::<BTreeSet<_>>() {
        let kept = counts.get(sku).copied().unwrap_or_default();
        let real = StockCount { free: free.get(sku).copied().unwrap_or(0), held: held.get(sku).copied().unwrap_or(0) };
        if kept != real {
            findings.report(format!("the stock of {sku} is counted as {kept:?} and is {real:?}"));
        }
    }
    Ok(())
}

fn check_codes(tx: &mut Tx<'_>, folded: &BTreeMap<OrderId, Order>, findings: &mut Findings) -> Result<(), DbError> {
    use domain::fulfil::Line;
    let mut owned = BTreeMap::new();
    for row in tx.query("select id, owner from codes where owner is not null", &[])? {
        findings.codes += 1;
        owned.insert(row.text(1).to_owned(), row.text(0).to_owned());
    }
    for order in folded.values() {
        for (at, line) in order.lines.iter().enumerate() {
            let code = match line {
                Line::Delivered { code, .. } => code.as_ref().map(|code| code.to_string()),
                Line::Planned { .. } | Line::Sent { .. } | Line::Asking { .. } | Line::Refused { .. } => None,
            };
            if owned.remove(&claims::owner(order.id, at as u32)) != code {
                findings.report(format!("line {at} of order {} and the code table disagree", order.no));
            }
        }
    }
    for code in owned.into_values() {
        findings.report(format!("code {code} is owned by a line that does not exist"));
    }
    Ok(())
}

/// Every transfer to an order's address is known to that order in the standing that was credited.
fn check_transfers(tx: &mut Tx<'_>, folded: &BTreeMap<OrderId, Order>, findings: &mut Findings) -> Result<(), DbError> {
    let sql = "select order_id, id, credited, units from chain_transfers \
        where order_id is not null and credited is not null";
    let mut credited = BTreeMap::<(OrderId, String), (String, i64)>::new();
    for row in tx.query(sql, &[])? {
        let known = (row.text(2).to_owned(), row.int(3));
        credited.insert((orders::read_id(row.text(0))?, row.text(1).to_owned()), known);
    }
    for order in folded.values() {
        // What an operator confirmed by hand is on no chain.
        for received in order.payment.received.iter().filter(|_| !order.is_paid_by_hand()) {
            let known = credited.remove(&(order.id, received.transfer.to_string()));
            let standing = known.as_ref().map(|(standing, _)| standing.as_str());
            if standing != Some(received.status.word()) {
                findings.report(format!("a transfer of order {} is credited as {standing:?}", order.no));
            } else if received.status == TransferStatus::Confirmed && known.is_some_and(|(_, u)| u != received.units) {
                findings.report(format!("a transfer of order {} is worth something else on its chain", order.no));
            }
        }
    }
    if !credited.is_empty() {
        findings.report(format!("{} credited transfers are unknown to their orders", credited.len()));
    }
    Ok(())
}

/// What the ledger says was swept is what the sweeps that it counts add up to.
fn check_sweeps(tx: &mut Tx<'_>, findings: &mut Findings) -> Result<(), DbError> {
    let mut expected = BTreeMap::<(String, String), i64>::new();
    for (network, asset, units) in sweeps::booked(tx)? {
        *expected.entry((Account::Cold(network).to_string(), asset.to_string())).or_default() += units;
    }
    let mut kept = BTreeMap::new();
    for row in tx.query("select account, asset, debit_units - credit_units from balances", &[])? {
        if row.text(0).starts_with("cold:") {
            kept.insert((row.text(0).to_owned(), row.text(1).to_owned()), row.int(2));
        }
    }
    expected.retain(|_, units| *units != 0);
    kept.retain(|_, units| *units != 0);
    if kept != expected {
        findings.report("the ledger counts other sweeps than those that are marked as booked".to_owned());
    }
    Ok(())
}

/// Where a refund goes is known, once its order says so.
fn check_refunds(tx: &mut Tx<'_>, folded: &BTreeMap<OrderId, Order>, findings: &mut Findings) -> Result<(), DbError> {
    let mut known = BTreeSet::new();
    for row in tx.query("select order_id, refund from refund_addresses", &[])? {
        known.insert((orders::read_id(row.text(0))?, row.int(1)));
    }
    for order in folded.values() {
        for (number, refund) in (0_i64..).zip(&order.refunds) {
            let is_needed = match &refund.stage {
                Stage::Due { .. } | Stage::Paying { .. } => refund.destination != Destination::ByHand,
                Stage::ClaimOpen { .. } | Stage::Rejected { .. } => false,
            };
            if is_needed && !known.contains(&(order.id, number)) {
                findings.report(format!("nobody knows where refund {number} of order {} goes", order.no));
            }
        }
    }
    Ok(())
}

/// What partners' days say is what the orders that they brought add up to.
fn check_affiliates(
    tx: &mut Tx<'_>,
    folded: &BTreeMap<OrderId, Order>,
    findings: &mut Findings,
) -> Result<(), DbError> {
    let mut expected = BTreeMap::<PartnerDay, Referred>::new();
    for (day, referred) in folded.values().filter_map(Order::referred) {
        expected.entry(day).or_default().add(&referred, 1);
    }
    let mut kept: BTreeMap<PartnerDay, Referred> = affiliates::all_days(tx)?.into_iter().collect();
    kept.retain(|_, referred| *referred != Referred::default());
    if kept != expected {
        let differing = kept.iter().filter(|(day, referred)| expected.get(day) != Some(referred)).count();
        let missing = expected.keys().filter(|day| !kept.contains_key(day)).count();
        findings.report(format!("{differing} days of partners are not what their orders say, {missing} are missing"));
    }
    Ok(())
}
