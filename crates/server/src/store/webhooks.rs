//! Webhooks: endpoints of accounts, a row for each message to each endpoint, and what happened to an account itself.

use super::db::{Bulk, Column, DbError, Row, Tx};
use super::{head, settings};
use domain::time::Time;

/// Endpoints of one account.
pub const MOST_ENDPOINTS: usize = 10;

/// An address that is told something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointRow {
    pub id: String,
    pub account: String,
    pub url: String,
    /// Types of events, with commas between them; empty: all.
    pub types: String,
    /// Of its secret; grows with each rotation.
    pub generation: i64,
    pub rotated_at: Time,
    /// It is told events with greater numbers.
    pub after_seq: i64,
    pub active: bool,
    /// Since when no message arrived.
    pub failing_since: Option<Time>,
    pub created_at: Time,
}

impl EndpointRow {
    /// Whether it is told events of that type.
    pub fn wants(&self, kind: &str) -> bool {
        self.types.is_empty() || self.types.split(',').any(|wanted| wanted == kind)
    }
}

const COLUMNS: &str = "select e.id, e.account, e.url, e.types, e.generation, e.rotated_at_ms, e.state, e.failing_since_ms, \
    e.created_at_ms, e.after_seq from webhook_endpoints e";
/// Those that are told something: of accounts in use.
const IN_USE: &str = "join accounts on accounts.id = e.account where e.state = 'on' and accounts.active = 1";

/// Adds an endpoint, which is told what happens from now on; false if the account has as many as it may.
pub fn add(tx: &mut Tx<'_>, endpoint: &EndpointRow) -> Result<bool, DbError> {
    if of_account(tx, &endpoint.account)?.len() >= MOST_ENDPOINTS {
        return Ok(false);
    }
    let last = head::last_seq(tx)?;
    let sql = "insert into webhook_endpoints \
        (id, account, url, types, generation, rotated_at_ms, state, created_at_ms, after_seq) \
        values ($1, $2, $3, $4, $5, $6, 'on', $7, $8)";
    let values = [
        endpoint.id.as_str().into(),
        endpoint.account.as_str().into(),
        endpoint.url.as_str().into(),
        endpoint.types.as_str().into(),
        endpoint.generation.into(),
        endpoint.rotated_at.0.into(),
        endpoint.created_at.0.into(),
        last.into(),
    ];
    tx.execute(sql, &values)?;
    Ok(true)
}

/// Endpoints of an account, oldest first.
pub fn of_account(tx: &mut Tx<'_>, account: &str) -> Result<Vec<EndpointRow>, DbError> {
    let sql = format!("{COLUMNS} where e.account = $1 order by e.created_at_ms, e.id");
    Ok(tx.query(&sql, &[account.into()])?.iter().map(read).collect())
}

/// Every endpoint that is told something.
pub fn active(tx: &mut Tx<'_>) -> Result<Vec<EndpointRow>, DbError> {
    let sql = format!("{COLUMNS} {IN_USE} order by e.id");
    Ok(tx.query(&sql, &[])?.iter().map(read).collect())
}

/// All endpoints, oldest first.
pub fn all(tx: &mut Tx<'_>) -> Result<Vec<EndpointRow>, DbError> {
    let sql = format!("{COLUMNS} order by e.created_at_ms, e.id");
    Ok(tx.query(&sql, &[])?.iter().map(read).collect())
}

/// One endpoint.
pub fn by_id(tx: &mut Tx<'_>, id: &str) -> Result<Option<EndpointRow>, DbError> {
    let sql = format!("{COLUMNS} where e.id = $1");
    Ok(tx.query_one(&sql, &[id.into()])?.as_ref().map(read))
}

/// One endpoint, if it is told something.
pub fn in_use(tx: &mut Tx<'_>, id: &str) -> Result<Option<EndpointRow>, DbError> {
    let sql = format!("{COLUMNS} {IN_USE} and e.id = $1");
    Ok(tx.query_one(&sql, &[id.into()])?.as_ref().map(read))
}

/// Deletes an endpoint; false if there is none. Its messages are forgotten with their time.
pub fn remove(tx: &mut Tx<'_>, id: &str) -> Result<bool, DbError> {
    Ok(tx.execute("delete from webhook_endpoints where id = $1", &[id.into()])? == 1)
}

/// Gives an endpoint another secret; the one before stays good for a day.
pub fn rotate(tx: &mut Tx<'_>, id: &str, now: Time) -> Result<bool, DbError> {
    let sql = "update webhook_endpoints set generation = generation + 1, rotated_at_ms = $2 where id = $1";
    Ok(tx.execute(sql, &[id.into(), now.0.into()])? == 1)
}

/// Opens an endpoint again, which is told what happens from now on; false if none of that name is closed.
pub fn enable(tx: &mut Tx<'_>, id: &str) -> Result<bool, DbError> {
    let last = head::last_seq(tx)?;
    let sql = "update webhook_endpoints set state = 'on', failing_since_ms = null, after_seq = $2 \
        where id = $1 and state = 'off'";
    Ok(tx.execute(sql, &[id.into(), last.into()])? == 1)
}

/// Closes an endpoint, and notes it for its account under a number of the event log; false if it was closed. What waits for
/// it waits until it is opened.
pub fn disable(tx: &mut Tx<'_>, endpoint: &EndpointRow, now: Time) -> Result<bool, DbError> {
    let sql = "update webhook_endpoints set state = 'off' where id = $1 and state = 'on'";
    if tx.execute(sql, &[endpoint.id.as_str().into()])? == 0 {
        return Ok(false);
    }
    let mut head = head::lock(tx, now)?;
    let sql = "insert into closed_endpoints (seq, account, endpoint, at_ms) values ($1, $2, $3, $4)";
    let values = [head.next_seq.into(), endpoint.account.as_str().into(), endpoint.id.as_str().into(), now.0.into()];
    tx.execute(sql, &values)?;
    head.next_seq += 1;
    head::advance(tx, &head)?;
    Ok(true)
}

/// Notes that a message arrived, or since when none does.
pub fn note_health(tx: &mut Tx<'_>, id: &str, failing_since: Option<Time>) -> Result<(), DbError> {
    let sql = "update webhook_endpoints set failing_since_ms = $2 where id = $1";
    tx.execute(sql, &[id.into(), failing_since.map(|time| time.0).into()])?;
    Ok(())
}

fn read(row: &Row) -> EndpointRow {
    let text = |at| row.text(at).to_owned();
    EndpointRow {
        id: text(0),
        account: text(1),
        url: text(2),
        types: text(3),
        generation: row.int(4),
        rotated_at: Time(row.int(5)),
        active: row.text(6) == "on",
        failing_since: row.opt_int(7).map(Time),
        created_at: Time(row.int(8)),
        after_seq: row.int(9),
    }
}

/// What happened, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    pub seq: i64,
    pub at: Time,
    /// Accounts whose it is.
    pub owners: Vec<String>,
    pub what: What,
}

/// An order that changed, or an endpoint that was closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Order,
    Endpoint { id: String },
}

/// What happened to the orders of those accounts, and to their endpoints, among the numbers `after + 1` to `through`; oldest
/// first. An order is its customer's; one that has none is its partner's. Who brought its payer owns nothing.
pub fn happened(
    tx: &mut Tx<'_>,
    accounts: &[String],
    after: i64,
    through: i64,
    limit: i64,
) -> Result<Vec<Happened>, DbError> {
    if accounts.is_empty() {
        return Ok(Vec::new());
    }
    let orders = "select events.seq, events.at_ms, p.id, orders.customer from events \
        join orders on orders.id = events.order_id \
        left join accounts p on p.id = orders.partner and p.role = 'partner' \
        and orders.customer is null \
        where events.seq > $1 and events.seq <= $2 and events.told = 1 \
        and (p.id = any($3) or orders.customer = any($3)) order by events.seq limit $4";
    let closed = "select seq, at_ms, endpoint, account from closed_endpoints \
        where seq > $1 and seq <= $2 and account = any($3) order by seq limit $4";
    let values = [after.into(), through.into(), accounts.to_vec().into(), limit.into()];
    let mut found = Vec::new();
    for row in tx.query(orders, &values)? {
        let owners = [row.opt_text(2), row.opt_text(3)].into_iter().flatten().map(str::to_owned).collect();
        found.push(Happened { seq: row.int(0), at: Time(row.int(1)), owners, what: What::Order });
    }
    for row in tx.query(closed, &values)? {
        let what = What::Endpoint { id: row.text(2).to_owned() };
        found.push(Happened { seq: row.int(0), at: Time(row.int(1)), owners: vec![row.text(3).to_owned()], what });
    }
    found.sort_by_key(|happened| happened.seq);
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(found)
}

/// A message to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub endpoint: String,
    pub seq: i64,
    pub due_at: Time,
    pub attempts: i64,
    pub state: DeliveryState,
    /// What the last attempt was answered.
    pub answer: String,
    /// When that was.
    pub at: Time,
}

/// How a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    Due,
    Sent,
    GivenUp,
}

impl DeliveryState {
    pub fn word(self) -> &'static str {
        match self {
            DeliveryState::Due => "due",
            DeliveryState::Sent => "sent",
            DeliveryState::GivenUp => "given_up",
        }
    }

    fn parse(word: &str) -> Result<DeliveryState, DbError> {
        let all = [DeliveryState::Due, DeliveryState::Sent, DeliveryState::GivenUp];
        all.into_iter().find(|state| state.word() == word).ok_or(DbError::Corrupt { what: "state of a webhook" })
    }
}

/// What became of an attempt to deliver a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub endpoint: String,
    pub seq: i64,
    /// With this one.
    pub attempts: i64,
    pub attempt: Attempt,
    /// Its receiver was called: what failed without him is not his fault.
    pub asked: bool,
    /// He wants nothing more.
    pub gone: bool,
    /// A status, or why there is none.
    pub answer: String,
    pub at: Time,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    Arrived,
    Again { due_at: Time },
    GivenUp,
}

/// What was looked at for messages, in `settings`.
const READER: &str = "webhooks";

/// The last event of the log that was looked at for messages.
pub fn looked_at(tx: &mut Tx<'_>) -> Result<i64, DbError> {
    settings::cursor(tx, READER)
}

/// Everything up to that event was looked at.
pub fn look_on_from(tx: &mut Tx<'_>, seq: i64) -> Result<(), DbError> {
    settings::set_cursor(tx, READER, seq)
}

const DELIVERY: &str = "select endpoint, seq, due_at_ms, attempts, state, answer, at_ms from webhook_deliveries";

/// Plans messages; one that is planned already stays as it is.
pub fn plan(tx: &mut Tx<'_>, rows: Vec<(String, i64)>, now: Time) -> Result<(), DbError> {
    use Column::{Int, Text};
    let row = |(endpoint, seq): (String, i64)| {
        vec![endpoint.into(), seq.into(), now.0.into(), 0.into(), "due".into(), "".into(), now.0.into()]
    };
    let target = "webhook_deliveries (endpoint, seq, due_at_ms, attempts, state, answer, at_ms)";
    let columns = &[Text, Int, Int, Int, Text, Text, Int];
    let rows = rows.into_iter().map(row).collect();
    tx.insert_all(target, "on conflict (endpoint, seq) do nothing", Bulk { columns, rows })?;
    Ok(())
}

/// Messages that are due: of each endpoint so many, oldest first. Asked one by one, so that nobody's backlog hides another's
/// messages.
pub fn due(tx: &mut Tx<'_>, most_of: &[(String, i64)], now: Time) -> Result<Vec<Delivery>, DbError> {
    let sql = format!(
        "{DELIVERY} where endpoint = $1 and state = 'due' and due_at_ms <= $2 order by due_at_ms, seq limit $3"
    );
    let mut due = Vec::new();
    for (endpoint, most) in most_of {
        for row in tx.query(&sql, &[endpoint.as_str().into(), now.0.into(), (*most).into()])? {
            due.push(read_delivery(&row)?);
        }
    }
    Ok(due)
}

/// Whether an endpoint has a message that is due.
pub fn has_due(tx: &mut Tx<'_>, endpoint: &str, now: Time) -> Result<bool, DbError> {
    let sql = "select 1 from webhook_deliveries where endpoint = $1 and state = 'due' and due_at_ms <= $2 limit 1";
    Ok(tx.query_one(sql, &[endpoint.into(), now.0.into()])?.is_some())
}

/// Takes messages until then: whoever looks meanwhile leaves them alone. Answers those that nobody else took.
pub fn take(tx: &mut Tx<'_>, wanted: &[Delivery], until: Time) -> Result<Vec<(String, i64)>, DbError> {
    let row = |delivery: &Delivery| {
        vec![delivery.endpoint.as_str().into(), delivery.seq.into(), delivery.due_at.0.into(), until.0.into()]
    };
    let sql = "update webhook_deliveries set due_at_ms = v.c4 from v where webhook_deliveries.endpoint = v.c1 \
        and webhook_deliveries.seq = v.c2 and webhook_deliveries.due_at_ms = v.c3 and webhook_deliveries.state = 'due' \
        returning webhook_deliveries.endpoint, webhook_deliveries.seq";
    let columns = &[Column::Text, Column::Int, Column::Int, Column::Int];
    let taken = tx.with_rows(sql, Bulk { columns, rows: wanted.iter().map(row).collect() })?;
    Ok(taken.iter().map(|row| (row.text(0).to_owned(), row.int(1))).collect())
}

/// Notes what became of an attempt.
pub fn note(tx: &mut Tx<'_>, outcome: &Outcome) -> Result<(), DbError> {
    let (state, due_at) = match outcome.attempt {
        Attempt::Arrived => (DeliveryState::Sent, outcome.at),
        Attempt::Again { due_at } => (DeliveryState::Due, due_at),
        Attempt::GivenUp => (DeliveryState::GivenUp, outcome.at),
    };
    let sql = "update webhook_deliveries set due_at_ms = $3, attempts = $4, state = $5, answer = $6, at_ms = $7 \
        where endpoint = $1 and seq = $2";
    let values = [
        outcome.endpoint.as_str().into(),
        outcome.seq.into(),
        due_at.0.into(),
        outcome.attempts.into(),
        state.word().into(),
        outcome.answer.as_str().into(),
        outcome.at.0.into(),
    ];
    tx.execute(sql, &values)?;
    Ok(())
}

/// The newest messages to an endpoint.
pub fn log(tx: &mut Tx<'_>, endpoint: &str, limit: i64) -> Result<Vec<Delivery>, DbError> {
    let sql = format!("{DELIVERY} where endpoint = $1 order by seq desc limit $2");
    tx.query(&sql, &[endpoint.into(), limit.into()])?.iter().map(read_delivery).collect()
}

/// Has one message sent again at once; false if the endpoint has none of that event.
pub fn resend(tx: &mut Tx<'_>, endpoint: &str, seq: i64, now: Time) -> Result<bool, DbError> {
    let sql =
        "update webhook_deliveries set state = 'due', due_at_ms = $3, attempts = 0 where endpoint = $1 and seq = $2";
    Ok(tx.execute(sql, &[endpoint.into(), seq.into(), now.0.into()])? == 1)
}

/// Has up to a thousand messages sent again that were given up; answers how many.
pub fn resend_given_up(tx: &mut Tx<'_>, endpoint: &str, now: Time) -> Result<u64, DbError> {
    let sql = "update webhook_deliveries set state = 'due', due_at_ms = $2, attempts = 0 where endpoint = $1 and seq in \
        (select seq from webhook_deliveries where endpoint = $1 and state = 'given_up' order by seq limit 1000)";
    tx.execute(sql, &[endpoint.into(), now.0.into()])
}

/// Forgets some messages of which nothing was heard since that moment; answers how many.
pub fn forget_before(tx: &mut Tx<'_>, before: Time) -> Result<u64, DbError> {
    let sql = "delete from webhook_deliveries where (endpoint, seq) in \
        (select endpoint, seq from webhook_deliveries where at_ms < $1 order by at_ms limit 1000)";
    tx.execute(sql, &[before.0.into()])
}

fn read_delivery(row: &Row) -> Result<Delivery, DbError> {
    Ok(Delivery {
        endpoint: row.text(0).to_owned(),
        seq: row.int(1),
        due_at: Time(row.int(2)),
        attempts: row.int(3),
        state: DeliveryState::parse(row.text(4))?,
        answer: row.text(5).to_owned(),
        at: Time(row.int(6)),
    })
}
