//! Mail to be sent: a row per message, made from the event log, rendered when it is sent.

use super::db::{Bulk, Column, DbError, Tx};
use super::orders::read_id;
use domain::ids::OrderId;
use domain::time::Time;

/// What a mail says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailKind {
    /// To the buyer: the order is paid.
    Confirmation,
    /// To the recipient of one line: the goods.
    Delivery,
}

impl MailKind {
    pub fn word(self) -> &'static str {
        match self {
            MailKind::Confirmation => "confirmation",
            MailKind::Delivery => "delivery",
        }
    }

    fn parse(word: &str) -> Option<MailKind> {
        [MailKind::Confirmation, MailKind::Delivery].into_iter().find(|kind| kind.word() == word)
    }
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailRow {
    /// Stays the same over attempts; it is the message's id.
    pub id: String,
    pub order: OrderId,
    pub kind: MailKind,
    pub line: u32,
    pub attempts: i64,
}

/// Plans messages; one that is planned already stays as it is.
pub fn plan(tx: &mut Tx<'_>, mails: &[MailRow], due_at: Time) -> Result<(), DbError> {
    use Column::{Int, Text};
    let row = |mail: &MailRow| {
        let line = i64::from(mail.line);
        let (id, kind) = (mail.id.as_str(), mail.kind.word());
        vec![
            id.into(),
            mail.order.expose().into(),
            kind.into(),
            line.into(),
            due_at.0.into(),
            mail.attempts.into(),
            "due".into(),
        ]
    };
    let columns = &[Text, Text, Text, Int, Int, Int, Text];
    let target = "mails (id, order_id, kind, line, due_at_ms, attempts, state)";
    tx.insert_all(target, "on conflict (id) do nothing", Bulk { columns, rows: mails.iter().map(row).collect() })?;
    Ok(())
}

/// Messages that are due, oldest first.
pub fn due(tx: &mut Tx<'_>, now: Time, limit: i64) -> Result<Vec<MailRow>, DbError> {
    let sql = "select id, order_id, kind, line, attempts from mails where state = 'due' and due_at_ms <= $1 \
        order by due_at_ms, id limit $2";
    let read = |row: &super::Row| {
        Ok(MailRow {
            id: row.text(0).to_owned(),
            order: read_id(row.text(1))?,
            kind: MailKind::parse(row.text(2)).ok_or(DbError::Corrupt { what: "kind of a mail" })?,
            line: u32::try_from(row.int(3)).map_err(|_| DbError::Corrupt { what: "line of a mail" })?,
            attempts: row.int(4),
        })
    };
    tx.query(sql, &[now.0.into(), limit.into()])?.iter().map(read).collect()
}

/// Whether a message of that order is still to be sent.
pub fn is_due_for(tx: &mut Tx<'_>, order: OrderId) -> Result<bool, DbError> {
    let sql = "select id from mails where order_id = $1 and state = 'due' limit 1";
    Ok(tx.query_one(sql, &[order.expose().into()])?.is_some())
}

/// Ends a message: `sent` or `refused`.
pub fn end(tx: &mut Tx<'_>, id: &str, state: &str) -> Result<(), DbError> {
    tx.execute("update mails set state = $2, attempts = attempts + 1 where id = $1", &[id.into(), state.into()])?;
    Ok(())
}

/// Puts a message off.
pub fn retry(tx: &mut Tx<'_>, id: &str, due_at: Time) -> Result<(), DbError> {
    tx.execute(
        "update mails set due_at_ms = $2, attempts = attempts + 1 where id = $1",
        &[id.into(), due_at.0.into()],
    )?;
    Ok(())
}

/// Puts a message off without counting an attempt.
pub fn put_off(tx: &mut Tx<'_>, id: &str, due_at: Time) -> Result<(), DbError> {
    tx.execute("update mails set due_at_ms = $2 where id = $1", &[id.into(), due_at.0.into()])?;
    Ok(())
}

/// Notes which delivery line a link's secret opens; only a hash of the secret is kept.
pub fn add_link(tx: &mut Tx<'_>, hash: &str, order: OrderId, line: u32) -> Result<(), DbError> {
    let sql = "insert into delivery_links (hash, order_id, line) values ($1, $2, $3) on conflict (hash) do nothing";
    tx.execute(sql, &[hash.into(), order.expose().into(), i64::from(line).into()])?;
    Ok(())
}

/// The delivery line that a link opens.
pub fn link(tx: &mut Tx<'_>, hash: &str) -> Result<Option<(OrderId, u32)>, DbError> {
    let row = tx.query_one("select order_id, line from delivery_links where hash = $1", &[hash.into()])?;
    let Some(row) = row else { return Ok(None) };
    let line = u32::try_from(row.int(1)).map_err(|_| DbError::Corrupt { what: "line of a link" })?;
    Ok(Some((read_id(row.text(0))?, line)))
}
