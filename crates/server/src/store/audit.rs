//! What the audit compares, as figures: pages of the ledger with what chains showed of them, everything added up anew, samples
//! of addresses; and what it found.
//!
//! A page is bounded, and read in one transaction: the sums up to it are kept, so that nothing is added up twice but at night.
//! Must never judge: what differs is `domain::audit`'s to say.

use super::db::{Bulk, Column, DbError, Row, Tx, Val};
use super::{head, ledger, orders, settings, transfers};
use domain::asset::ChainKind;
use domain::audit::{Booked, Deposits, Difference, Owed, Shown, Totals, add_up, deposited};
use domain::chain::Header;
use domain::event::Event;
use domain::ids::{AssetId, NetworkId, OrderId};
use domain::payment::TransferStatus;
use domain::time::Time;
use std::collections::{BTreeMap, BTreeSet};

/// Events of one page.
pub const PAGE: i64 = 1_000;

/// How far the audit's sums go.
const SUMS: &str = "audit";

/// A block is asked about that lies so far below the newest one that its payments were shown by now, and not so far that a
/// node has forgotten what lay where. One that is not confirmed by then is older still.
const SETTLED: i64 = 16;
const REMEMBERED: i64 = 96;
const UNCONFIRMED: i64 = 64;

/// A part of the ledger, with what must hold after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The events after this one,
    pub after: i64,
    /// up to this one.
    pub through: i64,
    /// Sums up to and with this page.
    pub totals: Totals,
    /// The kept balances, if nothing follows this page.
    pub kept: Option<Totals>,
    pub booked: Vec<Booked>,
    pub owed: Vec<Owed>,
}

/// The next page; it may be empty.
pub fn page(tx: &mut Tx<'_>) -> Result<Page, DbError> {
    let after = settings::cursor(tx, SUMS)?;
    let events = orders::events_after(tx, after, PAGE)?;
    let is_last = (events.len() as i64) < PAGE;
    let through = match events.last() {
        Some(last) if !is_last => last.seq,
        Some(_) | None => head::last_seq(tx)?,
    };
    let entries = ledger::entries_between(tx, after, through)?;
    let mut totals = read_totals(tx, "audit_sums")?;
    add_up(&mut totals, entries.iter().map(|entry| &entry.transfer))
        .ok_or(DbError::Corrupt { what: "sum of the ledger" })?;
    let seen: BTreeMap<i64, String> = events.iter().filter_map(payment).collect();
    let shown = shown(tx, seen.values().cloned().collect())?;
    let is_deposit = |entry: &&ledger::Entry| deposited(&entry.transfer) != 0;
    let booked = entries.iter().filter(is_deposit).map(|entry| {
        let transfer = seen.get(&entry.seq).cloned().unwrap_or_default();
        let shown = shown.get(&transfer).cloned();
        Booked { transfer, asset: entry.transfer.asset.clone(), units: entry.transfer.units, shown }
    });
    let booked = booked.collect();
    let changed: BTreeSet<OrderId> = events.iter().map(|logged| logged.order).collect();
    let owed = owed(tx, &changed.into_iter().collect::<Vec<_>>())?;
    let kept = if is_last { Some(read_totals(tx, "balances")?) } else { None };
    Ok(Page { after, through, totals, kept, booked, owed })
}

/// The transfer that an event is about, by the event's number.
fn payment(logged: &orders::LoggedEvent) -> Option<(i64, String)> {
    let transfer = match &logged.event {
        Event::PaymentConfirmed(payment) => &payment.transfer,
        Event::PaymentReverted { transfer } => transfer,
        _ => return None,
    };
    Some((logged.seq, transfer.to_string()))
}

fn read_totals(tx: &mut Tx<'_>, table: &str) -> Result<Totals, DbError> {
    let rows = tx.query(&format!("select account, asset, debit_units, credit_units from {table}"), &[])?;
    let read = |row: &Row| ((row.text(0).to_owned(), AssetId::new(row.text(1))), (row.int(2), row.int(3)));
    Ok(rows.iter().map(read).collect())
}

/// What networks showed of those transfers.
fn shown(tx: &mut Tx<'_>, ids: Vec<String>) -> Result<BTreeMap<String, Shown>, DbError> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows = tx.query("select id, asset, units, raw from chain_transfers where id = any($1)", &[ids.into()])?;
    let read = |row: &Row| {
        let shown = Shown { asset: AssetId::new(row.text(1)), units: row.int(2), raw: row.text(3).to_owned() };
        (row.text(0).to_owned(), shown)
    };
    Ok(rows.iter().map(read).collect())
}

/// What those orders say that they owe, and what their accounts hold.
fn owed(tx: &mut Tx<'_>, ids: &[OrderId]) -> Result<Vec<Owed>, DbError> {
    let mut booked = BTreeMap::<(i64, AssetId), i128>::new();
    for entry in ledger::entries_of(tx, ids)? {
        let transfer = entry.transfer;
        let of_order = |account: &domain::ledger::Account| account.is_of_one_order();
        let units = i128::from(transfer.units);
        let units = units * (i128::from(of_order(&transfer.credit)) - i128::from(of_order(&transfer.debit)));
        *booked.entry((entry.order_no, transfer.asset)).or_default() += units;
    }
    let owed = orders::by_ids(tx, ids)?.into_iter().map(|order| {
        let booked_units = booked.get(&(order.no, order.quote.asset.clone())).copied().unwrap_or(0);
        Owed { no: order.no, asset: order.quote.asset, said_units: order.credit_units, booked_units }
    });
    Ok(owed.collect())
}

/// Keeps the sums of a page. False, and nothing is written, if another process has been there.
pub fn advance(tx: &mut Tx<'_>, page: &Page) -> Result<bool, DbError> {
    if settings::cursor(tx, SUMS)? != page.after {
        return Ok(false);
    }
    write_totals(tx, &page.totals)?;
    settings::set_cursor(tx, SUMS, page.through)?;
    Ok(true)
}

fn write_totals(tx: &mut Tx<'_>, totals: &Totals) -> Result<(), DbError> {
    let row = |((account, asset), (debit, credit)): (&(String, AssetId), &(i64, i64))| {
        vec![account.as_str().into(), asset.as_str().into(), (*debit).into(), (*credit).into()]
    };
    let rows = totals.iter().map(row).collect();
    let tail = "on conflict (account, asset) do update set debit_units = excluded.debit_units, \
        credit_units = excluded.credit_units";
    let columns = &[Column::Text, Column::Text, Column::Int, Column::Int];
    tx.insert_all("audit_sums (account, asset, debit_units, credit_units)", tail, Bulk { columns, rows })?;
    Ok(())
}

/// Everything added up anew, in pages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Whole {
    pub totals: Totals,
    /// How far the pages went by then, and what they should have come to.
    pub cursor: i64,
    pub sums: Totals,
    pub kept: Totals,
    /// By asset, what networks showed and orders know as confirmed.
    pub shown: BTreeMap<AssetId, Deposits>,
    /// By asset, what is booked as deposits.
    pub booked: BTreeMap<AssetId, i128>,
}

/// Adds everything up. Reads the whole ledger and all transfers of chains, of one moment.
pub fn whole(tx: &mut Tx<'_>) -> Result<Whole, DbError> {
    let (kept, cursor) = (read_totals(tx, "balances")?, settings::cursor(tx, SUMS)?);
    let mut whole = Whole { kept, cursor, ..Whole::default() };
    let mut after = (0, 0);
    loop {
        let entries = ledger::entries_after(tx, after, PAGE)?;
        let Some(last) = entries.last() else { break };
        after = (last.seq, last.part);
        let paged = entries.iter().filter(|entry| entry.seq <= cursor);
        let added = add_up(&mut whole.totals, entries.iter().map(|entry| &entry.transfer))
            .and(add_up(&mut whole.sums, paged.map(|entry| &entry.transfer)));
        added.ok_or(DbError::Corrupt { what: "sum of the ledger" })?;
        for entry in &entries {
            *whole.booked.entry(entry.transfer.asset.clone()).or_default() += deposited(&entry.transfer);
        }
    }
    let confirmed = TransferStatus::Confirmed.word();
    let sql = "select id, asset, units, raw from chain_transfers \
        where id > $1 and order_id is not null and credited = $2 order by id limit $3";
    let mut after = String::new();
    loop {
        let rows = tx.query(sql, &[after.as_str().into(), confirmed.into(), PAGE.into()])?;
        let Some(last) = rows.last() else { return Ok(whole) };
        last.text(0).clone_into(&mut after);
        for row in &rows {
            let nothing = Deposits { raw: Some(0), ..Deposits::default() };
            let deposits = whole.shown.entry(AssetId::new(row.text(1))).or_insert(nothing);
            deposits.count += 1;
            deposits.units += i128::from(row.int(2));
            let raw = row.text(3).parse::<i128>().ok();
            deposits.raw = deposits.raw.zip(raw).and_then(|(sum, raw)| sum.checked_add(raw));
        }
    }
}

/// Makes the kept sums anew: what was wrong with the ledger for a while must not be wrong with them for ever. False, and
/// nothing is written, if a page was looked at since.
pub fn reset(tx: &mut Tx<'_>, whole: &Whole) -> Result<bool, DbError> {
    if settings::cursor(tx, SUMS)? != whole.cursor {
        return Ok(false);
    }
    tx.execute("delete from audit_sums", &[])?;
    write_totals(tx, &whole.sums)?;
    Ok(true)
}

/// A block that is asked about: old enough that everything in it was shown, young enough that nodes know what lay where.
pub fn settled_block(tx: &mut Tx<'_>, network: &NetworkId) -> Result<Option<Header>, DbError> {
    let watched = transfers::watched(tx, network, None)?;
    let headers = &watched.window.headers;
    let tip = headers.last().map_or(0, |tip| tip.height);
    let below = |header: &Header| tip - header.height;
    let newest_first = || headers.iter().rev().filter(|header| !header.is_place());
    let settled = newest_first().find(|header| header.confirmed && (SETTLED..=REMEMBERED).contains(&below(header)));
    let old = newest_first().find(|header| (UNCONFIRMED..=2 * REMEMBERED).contains(&below(header)));
    // A chain that has just begun has no older ones.
    let is_young = headers.first().is_some_and(|first| below(first) < SETTLED);
    let young = newest_first().find(|header| is_young && header.confirmed);
    Ok(settled.or(old).or(young).cloned())
}

/// Addresses that were given to somebody, and what came to them and did not leave.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sample {
    pub addresses: Vec<String>,
    /// Raw amounts by asset and address, up to the height that was asked for.
    pub came: BTreeMap<(AssetId, String), i128>,
    /// Where that cannot be said, as an amount of it is too large to be added up: nothing is compared there.
    pub absurd: BTreeSet<(AssetId, String)>,
    /// The index from which the next sample goes on; 0 where the pool is at its end.
    pub through: i64,
}

/// Given addresses of a pool from the index `after` on, and those of `wanted`, with what of `assets` came to them on `network`
/// up to a height, less what left.
pub fn sample(
    tx: &mut Tx<'_>,
    (network, kind, assets): (&NetworkId, ChainKind, &[AssetId]),
    height: i64,
    (after, limit): (i64, i64),
    wanted: Vec<String>,
) -> Result<Sample, DbError> {
    let family = super::claims::family(kind);
    // What a restore leaves in the pool as a mark is no address (epoch.rs).
    let sql = "select idx, address, owner from addresses where family = $1 and idx >= $2 and owner is not null \
        and substr(address, 1, 8) <> 'skipped:' order by idx limit $3";
    let rows = tx.query(sql, &[family.into(), after.into(), limit.into()])?;
    let is_end = (rows.len() as i64) < limit;
    let through = rows.last().filter(|_| !is_end).map_or(0, |row| row.int(0) + 1);
    let mut owners: BTreeMap<String, String> =
        rows.iter().map(|row| (row.text(1).to_owned(), row.text(2).to_owned())).collect();
    if !wanted.is_empty() {
        let sql = "select address, owner from addresses where address = any($1) and owner is not null";
        let rows = tx.query(sql, &[wanted.into()])?;
        owners.extend(rows.iter().map(|row| (row.text(0).to_owned(), row.text(1).to_owned())));
    }
    let mut sample = Sample { addresses: owners.keys().cloned().collect(), through, ..Sample::default() };
    for asset in assets {
        came(tx, (network, asset), height, &owners, &mut sample)?;
    }
    Ok(sample)
}

/// What of an asset came to addresses, whether an order owned them then or not, and whose money it was made; less what left
/// them. One absurd amount must not keep everything else from being looked at.
fn came(
    tx: &mut Tx<'_>,
    (network, asset): (&NetworkId, &AssetId),
    height: i64,
    owners: &BTreeMap<String, String>,
    sample: &mut Sample,
) -> Result<(), DbError> {
    let by_owner = "select address, raw from v join chain_transfers on order_id = v.c1 \
        where network = v.c3 and asset = v.c6 and address = v.c2 and height <= v.c4 and status <> v.c5";
    let by_address = "select address, raw from v join chain_transfers on address = v.c2 \
        where order_id is null and network = v.c3 and asset = v.c6 and height <= v.c4 and status <> v.c5";
    // It lies where it came to, and is another order's money. Few were assigned: the order of the joins begins with them.
    let assigned = "select address, raw from v cross join assigned_transfers cross join chain_transfers \
        where id = transfer and address = v.c2 and chain_transfers.order_id <> v.c1 \
        and network = v.c3 and asset = v.c6 and height <= v.c4 and status <> v.c5";
    let gone = TransferStatus::Reverted.word();
    let swept = "select sender, raw from v join sweeps on sender = v.c2 \
        where network = v.c3 and asset = v.c6 and height <= v.c4 and status <> v.c5";
    for (sql, sign) in [(by_owner, 1), (by_address, 1), (assigned, 1), (swept, -1_i128)] {
        let row = |(address, owner): (&String, &String)| {
            let (owner, address): (Val, Val) = (owner.as_str().into(), address.as_str().into());
            vec![owner, address, network.as_str().into(), height.into(), gone.into(), asset.as_str().into()]
        };
        let rows = owners.iter().map(row).collect();
        let columns = &[Column::Text, Column::Text, Column::Text, Column::Int, Column::Text, Column::Text];
        for row in tx.with_rows(sql, Bulk { columns, rows })? {
            let place = (asset.clone(), row.text(0).to_owned());
            let sum = sample.came.get(&place).copied().unwrap_or(0);
            let raw = row.text(1).parse::<i128>().ok().and_then(|raw| raw.checked_mul(sign));
            match raw.and_then(|raw| sum.checked_add(raw)) {
                Some(sum) => {
                    sample.came.insert(place, sum);
                }
                None => {
                    sample.absurd.insert(place);
                }
            }
        }
    }
    Ok(())
}

/// How many addresses of a pool were given to somebody.
pub fn given(tx: &mut Tx<'_>, kind: ChainKind) -> Result<i64, DbError> {
    let sql = "select count(*) from addresses where family = $1 and owner is not null";
    Ok(tx.query_one(sql, &[super::claims::family(kind).into()])?.map_or(0, |row| row.int(0)))
}

/// What the audit found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub id: String,
    pub network: NetworkId,
    pub asset: AssetId,
    pub units: i64,
    pub sentence: String,
    pub found_at: Time,
    pub seen_at: Time,
    /// No later look has found it to be gone.
    pub is_open: bool,
    pub acknowledged: Option<(Time, String)>,
}

/// Notes what differs; one that differs by another amount than before is a new one. Answers the ids of new ones.
pub fn note(tx: &mut Tx<'_>, differences: &[Difference], now: Time) -> Result<Vec<String>, DbError> {
    let mut new = Vec::new();
    for difference in differences {
        let id = difference.id();
        if finding(tx, &id)?.is_some_and(|known| known.is_open && known.units == difference.units) {
            tx.execute("update audit_findings set seen_at_ms = $2 where id = $1", &[id.into(), now.0.into()])?;
            continue;
        }
        let sql = "insert into audit_findings (id, network, asset, units, sentence, found_at_ms, seen_at_ms, is_open) \
            values ($1, $2, $3, $4, $5, $6, $6, 1) on conflict (id) do update set units = excluded.units, \
            sentence = excluded.sentence, found_at_ms = excluded.found_at_ms, seen_at_ms = excluded.seen_at_ms, is_open = 1, \
            acknowledged_at_ms = null, note = null";
        let values: [Val; 6] = [
            id.as_str().into(),
            difference.network().as_str().into(),
            difference.asset.as_str().into(),
            difference.units.into(),
            difference.sentence.as_str().into(),
            now.0.into(),
        ];
        tx.execute(sql, &values)?;
        new.push(id);
    }
    Ok(new)
}

/// Ends findings that another look did not find; answers which were open.
pub fn end(tx: &mut Tx<'_>, ids: &[String]) -> Result<Vec<String>, DbError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let sql = "update audit_findings set is_open = 0 where is_open = 1 and id = any($1) returning id";
    Ok(tx.query(sql, &[ids.to_vec().into()])?.iter().map(|row| row.text(0).to_owned()).collect())
}

/// A person has looked into it: the network is not kept closed for it. False if there is no open one of that id.
pub fn acknowledge(tx: &mut Tx<'_>, id: &str, note: &str, now: Time) -> Result<bool, DbError> {
    let sql = "update audit_findings set acknowledged_at_ms = $2, note = $3 where id = $1 and is_open = 1";
    Ok(tx.execute(sql, &[id.into(), now.0.into(), note.into()])? == 1)
}

const FINDING: &str = "select id, network, asset, units, sentence, found_at_ms, seen_at_ms, is_open, acknowledged_at_ms, note \
    from audit_findings";

fn finding(tx: &mut Tx<'_>, id: &str) -> Result<Option<Finding>, DbError> {
    Ok(tx.query_one(&format!("{FINDING} where id = $1"), &[id.into()])?.as_ref().map(read_finding))
}

/// What is open: first what nobody has acknowledged, oldest first.
pub fn open(tx: &mut Tx<'_>, limit: i64) -> Result<Vec<Finding>, DbError> {
    let sql = format!("{FINDING} where is_open = 1 order by (acknowledged_at_ms is not null), found_at_ms limit $1");
    Ok(tx.query(&sql, &[limit.into()])?.iter().map(read_finding).collect())
}

fn read_finding(row: &Row) -> Finding {
    let note = || row.opt_text(9).unwrap_or_default().to_owned();
    Finding {
        id: row.text(0).to_owned(),
        network: NetworkId::new(row.text(1)),
        asset: AssetId::new(row.text(2)),
        units: row.int(3),
        sentence: row.text(4).to_owned(),
        found_at: Time(row.int(5)),
        seen_at: Time(row.int(6)),
        is_open: row.int(7) == 1,
        acknowledged: row.opt_int(8).map(|at| (Time(at), note())),
    }
}
