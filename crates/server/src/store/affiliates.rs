//! What partners earn by the exchange orders that they brought, and what they were paid of it. US dollars are in units of
//! 10^-4.
//!
//! A row for a partner's day, so that no total is a sum over orders; each follows from the orders, and `fsck` proves it.

use super::db::{Bulk, Column, DbError, Row, Tx};
use domain::route::{PartnerDay, Referred};
use domain::time::Time;

const FIGURES: &str = "placed, done, exchanged_usd_units, waiting_usd_units, earned_usd_units";

/// Adds what changed orders change of their partners' days.
pub fn count(tx: &mut Tx<'_>, changes: &[(PartnerDay, Referred)]) -> Result<(), DbError> {
    use Column::{Int, Text};
    let row = |(day, change): &(PartnerDay, Referred)| {
        vec![
            day.partner.as_str().into(),
            day.day.as_str().into(),
            change.placed.into(),
            change.done.into(),
            change.exchanged_usd_units.into(),
            change.waiting_usd_units.into(),
            change.earned_usd_units.into(),
        ]
    };
    let target = format!("affiliate_days (account, day, {FIGURES})");
    let tail = "on conflict (account, day) do update set placed = affiliate_days.placed + excluded.placed, \
        done = affiliate_days.done + excluded.done, \
        exchanged_usd_units = affiliate_days.exchanged_usd_units + excluded.exchanged_usd_units, \
        waiting_usd_units = affiliate_days.waiting_usd_units + excluded.waiting_usd_units, \
        earned_usd_units = affiliate_days.earned_usd_units + excluded.earned_usd_units";
    let columns = &[Text, Text, Int, Int, Int, Int, Int];
    tx.insert_all(&target, tail, Bulk { columns, rows: changes.iter().map(row).collect() })?;
    Ok(())
}

/// A partner's days from that one on, oldest first.
pub fn days(tx: &mut Tx<'_>, account: &str, since: &str) -> Result<Vec<(String, Referred)>, DbError> {
    let sql = format!("select day, {FIGURES} from affiliate_days where account = $1 and day >= $2 order by day");
    let rows = tx.query(&sql, &[account.into(), since.into()])?;
    Ok(rows.iter().map(|row| (row.text(0).to_owned(), figures(row, 1))).collect())
}

/// All days of all partners, for the check of the database.
pub fn all_days(tx: &mut Tx<'_>) -> Result<Vec<(PartnerDay, Referred)>, DbError> {
    let rows = tx.query(&format!("select account, day, {FIGURES} from affiliate_days"), &[])?;
    let day = |row: &Row| PartnerDay { partner: row.text(0).to_owned(), day: row.text(1).to_owned() };
    Ok(rows.iter().map(|row| (day(row), figures(row, 2))).collect())
}

/// Where a partner stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Of all his days.
    pub referred: Referred,
    pub paid_usd_units: i64,
}

impl Standing {
    /// What he is owed; below zero if he was paid for what was taken back since.
    pub fn owed_usd_units(&self) -> i64 {
        self.referred.earned_usd_units - self.paid_usd_units
    }
}

/// Where an account stands as a partner: one row is read for each day on which it brought an order.
pub fn standing(tx: &mut Tx<'_>, account: &str) -> Result<Standing, DbError> {
    let mut referred = Referred::default();
    for (_, day) in days(tx, account, "")? {
        referred.add(&day, 1);
    }
    let sql = "select usd_units from affiliate_payments where account = $1";
    let paid = tx.query(sql, &[account.into()])?;
    Ok(Standing { referred, paid_usd_units: paid.iter().map(|row| row.int(0)).sum() })
}

/// A payment to a partner, as an operator noted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    pub account: String,
    /// Where it stands in the operator's books.
    pub reference: String,
    pub usd_units: i64,
    pub at: Time,
}

/// Notes a payment; false if that reference is noted for this account already.
pub fn pay(tx: &mut Tx<'_>, payment: &Payment) -> Result<bool, DbError> {
    let sql = "insert into affiliate_payments (account, reference, usd_units, at_ms) values ($1, $2, $3, $4) \
        on conflict (account, reference) do nothing";
    let values = [
        payment.account.as_str().into(),
        payment.reference.as_str().into(),
        payment.usd_units.into(),
        payment.at.0.into(),
    ];
    Ok(tx.execute(sql, &values)? == 1)
}

/// Takes a payment back that was noted by mistake, by a row of its own; answers how much it was. None if there is none under
/// that reference, or it was taken back before.
pub fn take_back(tx: &mut Tx<'_>, account: &str, reference: &str, now: Time) -> Result<Option<i64>, DbError> {
    let sql = "select usd_units from affiliate_payments where account = $1 and reference = $2 and usd_units > 0";
    let Some(row) = tx.query_one(sql, &[account.into(), reference.into()])? else { return Ok(None) };
    let reference = format!("{reference} (taken back)");
    let back = Payment { account: account.to_owned(), reference, usd_units: -row.int(0), at: now };
    Ok(pay(tx, &back)?.then_some(row.int(0)))
}

/// The accounts that have a code or brought an order, oldest first.
pub fn partners(tx: &mut Tx<'_>) -> Result<Vec<String>, DbError> {
    let sql = "select id from accounts where id in (select account from partner_links) \
        or id in (select account from affiliate_days) order by created_at_ms, id";
    Ok(tx.query(sql, &[])?.iter().map(|row| row.text(0).to_owned()).collect())
}

fn figures(row: &Row, from: usize) -> Referred {
    Referred {
        placed: row.int(from),
        done: row.int(from + 1),
        exchanged_usd_units: row.int(from + 2),
        waiting_usd_units: row.int(from + 3),
        earned_usd_units: row.int(from + 4),
    }
}
