//! Orders with everything that is written beside them in the same commit: events, ledger transfers, steps.

use super::db::{Bulk, Column, DbError, Row, Tx, Val};
use domain::event::Event;
use domain::ids::{NetworkId, OrderId};
use domain::ledger::Transfer;
use domain::order::{Order, Slot, Step, What};
use domain::project::{self, ExchangeStatus, OrderState};
use domain::time::Time;

const ORDER_COLUMNS: &str = "orders (id, no, version, prior_version, state, hold, partner, placed_at_ms, updated_at_ms, body, status, customer, referrer)";

/// An order to be written, and the version it had when it was loaded (0: it is new).
#[derive(Debug)]
pub struct Changed<'a> {
    pub order: &'a Order,
    pub prior_version: i64,
}

/// The orders of those ids that exist.
pub fn by_ids(tx: &mut Tx<'_>, ids: &[OrderId]) -> Result<Vec<Order>, DbError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<String> = ids.iter().map(OrderId::expose).collect();
    tx.query("select body from orders where id = any($1)", &[ids.into()])?.iter().map(read_order).collect()
}

/// More versions than an order has in one epoch.
const VERSIONS_PER_EPOCH: i64 = 1_000_000_000;

/// Numbers the messages of an order's streams: its version, in later epochs greater than any of the epochs before. So a
/// client who saw what a restore has undone is sent the order anew.
pub fn stream_id(tx: &mut Tx<'_>, id: OrderId) -> Result<Option<i64>, DbError> {
    let sql = "select orders.version, log_head.epoch from orders, log_head where orders.id = $1 and log_head.id = 1";
    let row = tx.query_one(sql, &[id.expose().into()])?;
    Ok(row.map(|row| row.int(0) + (row.int(1) - 1) * VERSIONS_PER_EPOCH))
}

/// One order, or none of that id.
pub fn by_id(tx: &mut Tx<'_>, id: OrderId) -> Result<Option<Order>, DbError> {
    tx.query_one("select body from orders where id = $1", &[id.expose().into()])?.as_ref().map(read_order).transpose()
}

/// One order by its short public number.
pub fn by_no(tx: &mut Tx<'_>, no: i64) -> Result<Option<Order>, DbError> {
    tx.query_one("select body from orders where no = $1", &[no.into()])?.as_ref().map(read_order).transpose()
}

/// The newest orders below `before_no`, newest first.
pub fn newest(tx: &mut Tx<'_>, before_no: i64, limit: i64) -> Result<Vec<Order>, DbError> {
    let sql = "select body from orders where no < $1 order by no desc limit $2";
    tx.query(sql, &[before_no.into(), limit.into()])?.iter().map(read_order).collect()
}

/// The oldest orders above `after_no`, oldest first.
pub fn oldest(tx: &mut Tx<'_>, after_no: i64, limit: i64) -> Result<Vec<Order>, DbError> {
    let sql = "select body from orders where no > $1 order by no limit $2";
    tx.query(sql, &[after_no.into(), limit.into()])?.iter().map(read_order).collect()
}

/// What a list of orders is narrowed to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Narrowed {
    /// That state alone.
    pub state: Option<OrderState>,
    /// Only orders on hold.
    pub held_only: bool,
}

/// The newest orders below `before_no` that a list shows, newest first.
pub fn newest_narrowed(
    tx: &mut Tx<'_>,
    narrowed: &Narrowed,
    before_no: i64,
    limit: i64,
) -> Result<Vec<Order>, DbError> {
    let sql = "select body from orders where no < $1 and (state = $2 or $2 = '') and (hold is not null or $3 = 0) \
        order by no desc limit $4";
    let state = narrowed.state.map_or("", OrderState::word);
    let held_only = i64::from(narrowed.held_only);
    tx.query(sql, &[before_no.into(), state.into(), held_only.into(), limit.into()])?.iter().map(read_order).collect()
}

/// The word of an exchange order's status in its row; none for goods.
pub fn status_column(order: &Order) -> Option<String> {
    order.trade().map(|_| project::exchange_status(order).word().to_owned())
}

/// The newest exchange orders, all or those in that status, newest first.
pub fn newest_trades(tx: &mut Tx<'_>, status: Option<ExchangeStatus>, limit: i64) -> Result<Vec<Order>, DbError> {
    let rows = match status {
        Some(status) => {
            let sql = "select body from orders where status = $1 order by no desc limit $2";
            tx.query(sql, &[status.word().into(), limit.into()])?
        }
        None => {
            let sql = "select body from orders where status is not null order by no desc limit $1";
            tx.query(sql, &[limit.into()])?
        }
    };
    rows.iter().map(read_order).collect()
}

/// Exchange orders of the account `$1`: its own, and those that it brought and did not place itself. Each with the order of
/// the index that finds them.
const OWN: (&str, &str) = ("customer = $1", "no desc");
const BROUGHT: (&str, &str) = ("referrer = $1 and (customer is null or customer <> $1)", "placed_at_ms desc, no desc");

/// A page of an account's exchange orders, newest first, and how many there are; all, or those in these statuses.
pub fn trades_of(
    tx: &mut Tx<'_>,
    customer: &str,
    statuses: &[ExchangeStatus],
    page: (i64, i64),
) -> Result<(Vec<Order>, i64), DbError> {
    page_of(tx, OWN, customer, statuses, page)
}

/// The same of the exchange orders whose payers an account brought.
pub fn trades_brought_by(
    tx: &mut Tx<'_>,
    partner: &str,
    statuses: &[ExchangeStatus],
    page: (i64, i64),
) -> Result<(Vec<Order>, i64), DbError> {
    page_of(tx, BROUGHT, partner, statuses, page)
}

/// The newest of those that were placed from `since` until before `until`.
pub fn trades_brought_between(
    tx: &mut Tx<'_>,
    partner: &str,
    (since, until): (Time, Time),
    limit: i64,
) -> Result<Vec<Order>, DbError> {
    let (brought, newest_first) = BROUGHT;
    let sql = format!(
        "select body from orders where {brought} and placed_at_ms >= $2 and placed_at_ms < $3 \
         order by {newest_first} limit $4"
    );
    tx.query(&sql, &[partner.into(), since.0.into(), until.0.into(), limit.into()])?.iter().map(read_order).collect()
}

fn page_of(
    tx: &mut Tx<'_>,
    (whose, newest_first): (&str, &str),
    account: &str,
    statuses: &[ExchangeStatus],
    (offset, limit): (i64, i64),
) -> Result<(Vec<Order>, i64), DbError> {
    let words: Vec<String> = match statuses {
        [] => ExchangeStatus::ALL.iter(),
        some => some.iter(),
    }
    .map(|status| status.word().to_owned())
    .collect();
    let sql = format!(
        "select body from orders where {whose} and status = any($2) order by {newest_first} limit $3 offset $4"
    );
    let rows = tx.query(&sql, &[account.into(), words.clone().into(), limit.into(), offset.into()])?;
    let count = format!("select count(*) from orders where {whose} and status = any($2)");
    let total = tx.query_one(&count, &[account.into(), words.into()])?.map_or(0, |row| row.int(0));
    Ok((rows.iter().map(read_order).collect::<Result<_, _>>()?, total))
}

/// How many orders that are to be paid on a network still have a step before them. Looks through all that have.
pub fn not_ended_on(tx: &mut Tx<'_>, network: &NetworkId) -> Result<i64, DbError> {
    let quoted = format!("%\"network_id\":{}%", json(network));
    let sql = "select count(*) from orders where id in (select order_id from steps) and body like $1";
    Ok(tx.query_one(sql, &[quoted.into()])?.map_or(0, |row| row.int(0)))
}

/// How many orders stand in each state word.
pub fn count_by_state(tx: &mut Tx<'_>) -> Result<Vec<(String, i64)>, DbError> {
    let rows = tx.query("select state, count(*) from orders group by state order by state", &[])?;
    Ok(rows.iter().map(|row| (row.text(0).to_owned(), row.int(1))).collect())
}

fn read_order(row: &Row) -> Result<Order, DbError> {
    serde_json::from_str(row.text(0)).map_err(|_| DbError::Corrupt { what: "order" })
}

/// Writes new and changed orders alike; one whose stored version is not the loaded one fails the whole batch.
pub fn write(tx: &mut Tx<'_>, changed: &[Changed<'_>]) -> Result<(), DbError> {
    use Column::{Int, Text};
    let row = |changed: &Changed<'_>| {
        let order = changed.order;
        vec![
            order.id.expose().into(),
            order.no.into(),
            order.version.into(),
            changed.prior_version.into(),
            order.state.word().into(),
            order.hold().map(|hold| hold.note.clone()).into(),
            order.origin.partner.clone().into(),
            order.placed_at.0.into(),
            order.updated_at.0.into(),
            json(order).into(),
            status_column(order).into(),
            order.origin.customer.clone().into(),
            order.origin.referrer.clone().into(),
        ]
    };
    let tail = "on conflict (id) do update set version = excluded.version, prior_version = excluded.prior_version, \
        state = excluded.state, hold = excluded.hold, updated_at_ms = excluded.updated_at_ms, body = excluded.body, \
        status = excluded.status, customer = excluded.customer \
        where orders.version = excluded.prior_version returning id";
    let columns = &[Text, Int, Int, Int, Text, Text, Text, Int, Int, Text, Text, Text, Text];
    let rows = changed.iter().map(row).collect();
    let written = tx.insert_all(ORDER_COLUMNS, tail, Bulk { columns, rows })?;
    if written.len() != changed.len() {
        return Err(DbError::Invariant(format!(
            "{} of {} orders were stale",
            changed.len() - written.len(),
            changed.len()
        )));
    }
    Ok(())
}

/// Orders and events as they are kept. Most are between one and two KiB: the text is given its room at once.
fn json(value: &impl serde::Serialize) -> String {
    let mut text = Vec::with_capacity(2_048);
    serde_json::to_writer(&mut text, value).expect("orders and events are JSON");
    String::from_utf8(text).expect("JSON is UTF-8")
}

/// One row of the event log.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedEvent {
    pub seq: i64,
    pub order: OrderId,
    pub version: i64,
    pub at: Time,
    pub event: Event,
    /// It ends a decision after which the order looks different to its owner.
    pub told: bool,
}

/// Appends to the log.
pub fn append_events(tx: &mut Tx<'_>, events: &[LoggedEvent]) -> Result<(), DbError> {
    use Column::{Int, Text};
    let row = |logged: &LoggedEvent| {
        vec![
            logged.seq.into(),
            logged.order.expose().into(),
            logged.version.into(),
            logged.at.0.into(),
            logged.event.kind().into(),
            json(&logged.event).into(),
            i64::from(logged.told).into(),
        ]
    };
    let rows = events.iter().map(row).collect();
    let columns = &[Int, Text, Int, Int, Text, Text, Int];
    tx.insert_all("events (seq, order_id, version, at_ms, kind, body, told)", "", Bulk { columns, rows })?;
    Ok(())
}

/// Rows of the log after `seq`, oldest first.
pub fn events_after(tx: &mut Tx<'_>, seq: i64, limit: i64) -> Result<Vec<LoggedEvent>, DbError> {
    let sql = "select seq, order_id, version, at_ms, body, told from events where seq > $1 order by seq limit $2";
    tx.query(sql, &[seq.into(), limit.into()])?.iter().map(read_event).collect()
}

/// Which orders changed after `seq`: (sequence number, order), oldest first.
pub fn changes_after(tx: &mut Tx<'_>, seq: i64, limit: i64) -> Result<Vec<(i64, OrderId)>, DbError> {
    let rows =
        tx.query("select seq, order_id from events where seq > $1 order by seq limit $2", &[seq.into(), limit.into()])?;
    rows.iter().map(|row| Ok((row.int(0), read_id(row.text(1))?))).collect()
}

/// An exchange order that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TradeChange {
    pub no: i64,
    pub placed_at: Time,
}

/// What a page of the log says of exchange orders.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TradeChanges {
    /// The number of the page's last event; 0 if there is none.
    pub newest: i64,
    pub trades: Vec<TradeChange>,
}

/// Which exchange orders changed after `seq`, oldest change first.
pub fn traded_after(tx: &mut Tx<'_>, seq: i64, limit: i64) -> Result<TradeChanges, DbError> {
    let sql = "select events.seq, orders.no, orders.placed_at_ms, orders.status from events \
        join orders on orders.id = events.order_id where events.seq > $1 order by events.seq limit $2";
    let rows = tx.query(sql, &[seq.into(), limit.into()])?;
    let trades = rows.iter().filter(|row| row.opt_text(3).is_some());
    let trades = trades.map(|row| TradeChange { no: row.int(1), placed_at: Time(row.int(2)) }).collect();
    Ok(TradeChanges { newest: rows.last().map_or(0, |row| row.int(0)), trades })
}

/// The log of one order, oldest first.
pub fn events_of(tx: &mut Tx<'_>, id: OrderId) -> Result<Vec<LoggedEvent>, DbError> {
    let sql = "select seq, order_id, version, at_ms, body, told from events where order_id = $1 order by version";
    tx.query(sql, &[id.expose().into()])?.iter().map(read_event).collect()
}

/// The order as it was right after that event; none if there is no such event.
pub fn as_of(tx: &mut Tx<'_>, seq: i64) -> Result<Option<Order>, DbError> {
    let sql = "select seq, order_id, version, at_ms, body, told from events \
        where order_id = (select order_id from events where seq = $1) and seq <= $1 order by version";
    let log: Vec<LoggedEvent> = tx.query(sql, &[seq.into()])?.iter().map(read_event).collect::<Result<_, _>>()?;
    let Some((first, rest)) = log.split_first() else { return Ok(None) };
    let Event::Placed(placed) = &first.event else { return Err(DbError::Corrupt { what: "event" }) };
    // An event that is not legal for its order makes the fold panic.
    let folded = std::panic::catch_unwind(|| {
        let mut order = Order::placed(first.order, (**placed).clone(), first.at);
        rest.iter().for_each(|logged| order.apply(&logged.event, logged.at));
        order
    });
    folded.map(Some).map_err(|_| DbError::Corrupt { what: "event" })
}

fn read_event(row: &Row) -> Result<LoggedEvent, DbError> {
    let event = serde_json::from_str(row.text(4)).map_err(|_| DbError::Corrupt { what: "event" })?;
    Ok(LoggedEvent {
        seq: row.int(0),
        order: read_id(row.text(1))?,
        version: row.int(2),
        at: Time(row.int(3)),
        event,
        told: row.int(5) == 1,
    })
}

/// Reads an order id as the database holds it.
pub fn read_id(text: &str) -> Result<OrderId, DbError> {
    OrderId::parse(text).map_err(|_| DbError::Corrupt { what: "order id" })
}

/// A transfer of the ledger with the event that caused it.
#[derive(Debug, Clone, PartialEq)]
pub struct Posting {
    pub seq: i64,
    pub part: i64,
    pub order_no: i64,
    pub at: Time,
    pub transfer: Transfer,
}

/// Appends to the ledger and moves the balances of shared accounts.
///
/// # Errors
/// A balance would be larger than 64 bits hold: SQLite would go on with a rounded number.
pub fn post(tx: &mut Tx<'_>, postings: &[Posting]) -> Result<(), DbError> {
    use Column::{Int, Text};
    let row = |posting: &Posting| {
        let transfer = &posting.transfer;
        vec![
            posting.seq.into(),
            posting.part.into(),
            posting.order_no.into(),
            transfer.debit.to_string().into(),
            transfer.credit.to_string().into(),
            transfer.asset.as_str().into(),
            transfer.units.into(),
            posting.at.0.into(),
        ]
    };
    let rows = postings.iter().map(row).collect();
    let target = "ledger_transfers (seq, part, order_no, debit, credit, asset, units, at_ms)";
    tx.insert_all(target, "", Bulk { columns: &[Int, Int, Int, Text, Text, Text, Int, Int], rows })?;

    let mut moved = std::collections::BTreeMap::<(String, String), (i64, i64)>::new();
    for transfer in postings.iter().map(|posting| &posting.transfer) {
        for (account, debit, credit) in [(&transfer.debit, transfer.units, 0), (&transfer.credit, 0, transfer.units)] {
            if !account.is_of_one_order() {
                let balance = moved.entry((account.to_string(), transfer.asset.to_string())).or_default();
                let added = balance.0.checked_add(debit).zip(balance.1.checked_add(credit));
                *balance = added.ok_or_else(too_large)?;
            }
        }
    }
    let count = moved.len();
    let rows = moved
        .into_iter()
        .map(|((account, asset), (debit, credit))| vec![account.into(), asset.into(), debit.into(), credit.into()]);
    let tail = "on conflict (account, asset) do update set debit_units = balances.debit_units + excluded.debit_units, \
        credit_units = balances.credit_units + excluded.credit_units \
        where balances.debit_units <= 9223372036854775807 - excluded.debit_units \
        and balances.credit_units <= 9223372036854775807 - excluded.credit_units returning account";
    let target = "balances (account, asset, debit_units, credit_units)";
    let written = tx.insert_all(target, tail, Bulk { columns: &[Text, Text, Int, Int], rows: rows.collect() })?;
    if written.len() == count { Ok(()) } else { Err(too_large()) }
}

fn too_large() -> DbError {
    DbError::Invariant("a balance of the ledger would be too large to be kept".to_owned())
}

/// Deletes all steps of those orders.
pub fn clear_steps(tx: &mut Tx<'_>, ids: &[OrderId]) -> Result<(), DbError> {
    let rows = ids.iter().map(|id| vec![id.expose().into()]).collect();
    tx.with_rows("delete from steps where order_id in (select c1 from v)", Bulk { columns: &[Column::Text], rows })?;
    Ok(())
}

/// Writes the difference between the steps an order had and those it has now.
pub fn rewrite_steps(tx: &mut Tx<'_>, changes: &[(OrderId, Vec<Step>, Vec<Step>)]) -> Result<(), DbError> {
    use Column::{Int, Text};
    let mut gone = Vec::new();
    let mut written = Vec::new();
    for (id, before, after) in changes {
        for step in before.iter().filter(|step| !after.iter().any(|other| other.slot == step.slot)) {
            gone.push(vec![id.expose().into(), step.slot.word().into()]);
        }
        for step in after.iter().filter(|step| !before.contains(step)) {
            let (what, argument) = (step.what.word(), step.what.argument());
            written.push(vec![
                id.expose().into(),
                step.slot.word().into(),
                what.into(),
                argument.into(),
                step.due_at.0.into(),
            ]);
        }
    }
    tx.with_rows(
        "delete from steps where (order_id, slot) in (select c1, c2 from v)",
        Bulk { columns: &[Text, Text], rows: gone },
    )?;
    tx.insert_all(
        "steps (order_id, slot, what, argument, due_at_ms)",
        "on conflict (order_id, slot) do update set what = excluded.what, argument = excluded.argument, \
            due_at_ms = excluded.due_at_ms",
        Bulk { columns: &[Text, Text, Text, Text, Int], rows: written },
    )?;
    Ok(())
}

/// Which steps a worker takes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// Codes of our own.
    Codes,
    /// Windows that ended, for payments in time and for late ones.
    Windows,
    /// What that supplier is called for.
    Supplier(String),
    /// Payouts on that network, of exchange orders and of refunds.
    Payouts(NetworkId),
}

/// Steps that are due, oldest first.
pub fn due_steps(tx: &mut Tx<'_>, due: &Due, now: Time, limit: i64) -> Result<Vec<(OrderId, Step)>, DbError> {
    const COLUMNS: &str = "select order_id, slot, what, argument, due_at_ms from steps where due_at_ms <= $1";
    const ORDER: &str = "order by due_at_ms, order_id, slot";
    let rows = match due {
        Due::Codes => {
            let sql = format!("{COLUMNS} and what = 'take_code' {ORDER} limit $2");
            tx.query(&sql, &[now.0.into(), limit.into()])?
        }
        Due::Windows => {
            let sql = format!("{COLUMNS} and what in ('expire', 'close_late_window') {ORDER} limit $2");
            tx.query(&sql, &[now.0.into(), limit.into()])?
        }
        Due::Supplier(name) => {
            let sql = format!("{COLUMNS} and what in ('buy', 'find') and argument = $2 {ORDER} limit $3");
            tx.query(&sql, &[now.0.into(), name.as_str().into(), limit.into()])?
        }
        Due::Payouts(network) => {
            let whats = "what in ('pay_out', 'find_payout', 'pay_refund', 'find_refund')";
            let sql = format!("{COLUMNS} and {whats} and argument = $2 {ORDER} limit $3");
            tx.query(&sql, &[now.0.into(), network.as_str().into(), limit.into()])?
        }
    };
    rows.iter().map(read_step).collect()
}

/// All steps of one order.
pub fn steps_of(tx: &mut Tx<'_>, id: OrderId) -> Result<Vec<Step>, DbError> {
    let sql = "select order_id, slot, what, argument, due_at_ms from steps where order_id = $1 order by slot";
    tx.query(sql, &[id.expose().into()])?.iter().map(|row| read_step(row).map(|(_, step)| step)).collect()
}

/// When the next step is due, if there is one.
pub fn next_due(tx: &mut Tx<'_>) -> Result<Option<Time>, DbError> {
    Ok(tx.query_one("select min(due_at_ms) from steps", &[])?.and_then(|row| row.opt_int(0)).map(Time))
}

fn read_step(row: &Row) -> Result<(OrderId, Step), DbError> {
    let slot = Slot::parse(row.text(1)).ok_or(DbError::Corrupt { what: "slot of a step" })?;
    let what = What::parse(row.text(2), row.text(3)).ok_or(DbError::Corrupt { what: "kind of a step" })?;
    Ok((read_id(row.text(0))?, Step { slot, what, due_at: Time(row.int(4)) }))
}

/// The personal data of an order, sealed; none if its key was deleted.
pub fn personal(tx: &mut Tx<'_>, id: OrderId) -> Result<Option<domain::decide::SealedPersonal>, DbError> {
    let row =
        tx.query_one("select key, body from personal where order_id = $1 and key is not null", &[id.expose().into()])?;
    Ok(row.map(|row| domain::decide::SealedPersonal { key: row.text(0).to_owned(), body: row.text(1).to_owned() }))
}

/// Deletes the key of an order's personal data, and with it the data, and where its refunds went.
pub fn forget_personal(tx: &mut Tx<'_>, id: OrderId) -> Result<bool, DbError> {
    let sql = "update personal set key = null, body = '' where order_id = $1 and key is not null";
    Ok(tx.execute(sql, &[id.expose().into()])? > 0)
}

/// Data keys sealed under another key than `active`, for rotation.
pub fn personal_sealed_by_older_keys(
    tx: &mut Tx<'_>,
    active: &str,
    limit: i64,
) -> Result<Vec<(OrderId, String)>, DbError> {
    let prefix = format!("{active}.");
    let sql = "select order_id, key from personal where key is not null and substr(key, 1, $1) <> $2 \
        order by order_id limit $3";
    let rows = tx.query(sql, &[(prefix.len() as i64).into(), prefix.into(), limit.into()])?;
    rows.iter().map(|row| Ok((read_id(row.text(0))?, row.text(1).to_owned()))).collect()
}

/// Writes data keys as they are sealed now: (order, as it was sealed, as it is sealed). A key that changed or was deleted
/// since it was read stays as it is, so that nothing that was forgotten comes back.
pub fn reseal_personal(tx: &mut Tx<'_>, rows: Vec<(OrderId, String, String)>) -> Result<(), DbError> {
    let rows = rows.into_iter().map(|(id, old, new)| vec![id.expose().into(), old.into(), new.into()]).collect();
    tx.with_rows(
        "update personal set key = v.c3 from v where personal.order_id = v.c1 and personal.key = v.c2",
        Bulk { columns: &[Column::Text; 3], rows },
    )?;
    Ok(())
}

/// Writes the sealed personal data of new orders.
pub fn write_personal(tx: &mut Tx<'_>, rows: Vec<(OrderId, domain::decide::SealedPersonal)>) -> Result<(), DbError> {
    let row = |(id, sealed): (OrderId, domain::decide::SealedPersonal)| -> Vec<Val> {
        vec![id.expose().into(), sealed.key.into(), sealed.body.into()]
    };
    let rows = rows.into_iter().map(row).collect();
    tx.insert_all("personal (order_id, key, body)", "", Bulk { columns: &[Column::Text; 3], rows })?;
    Ok(())
}
