//! Mail about accounts: a row per message, rendered when it is sent, with a code that is good once.
//!
//! The code stands nowhere: it follows from the message's id and the installation's key. Sent or not, the row stays until
//! its code is used or too old.

use super::db::{DbError, Row, Tx};
use crate::secret::Secret;
use domain::time::Time;

/// What a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetterKind {
    /// Shows that the address is its owner's.
    Confirm,
    /// Allows another password.
    Reset,
}

impl LetterKind {
    pub fn word(self) -> &'static str {
        match self {
            LetterKind::Confirm => "confirm",
            LetterKind::Reset => "reset",
        }
    }

    fn parse(word: &str) -> Option<LetterKind> {
        [LetterKind::Confirm, LetterKind::Reset].into_iter().find(|kind| kind.word() == word)
    }
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Stays the same over attempts; it is the message's id.
    pub id: String,
    /// Keyed hash of the code.
    pub hash: String,
    pub account: String,
    pub kind: LetterKind,
    pub language: String,
    /// How long the code is good.
    pub until: Time,
    pub attempts: i64,
    /// What the account is opened with once the code is shown; of registrations.
    pub password: Option<Secret<String>>,
}

const COLUMNS: &str = "select id, hash, account, kind, language, until_ms, attempts, password from letters";

/// Plans a message; it is due at once.
pub fn plan(tx: &mut Tx<'_>, letter: &Letter, due_at: Time) -> Result<(), DbError> {
    let sql = "insert into letters (id, hash, account, kind, language, until_ms, due_at_ms, attempts, state, password) \
        values ($1, $2, $3, $4, $5, $6, $7, $8, 'due', $9)";
    let values = [
        letter.id.as_str().into(),
        letter.hash.as_str().into(),
        letter.account.as_str().into(),
        letter.kind.word().into(),
        letter.language.as_str().into(),
        letter.until.0.into(),
        due_at.0.into(),
        letter.attempts.into(),
        letter.password.as_ref().map(|password| password.expose().clone()).into(),
    ];
    tx.execute(sql, &values)?;
    Ok(())
}

/// Messages that are due and whose codes are still good: resets first, whoever waits for one has an account; then the oldest.
pub fn due(tx: &mut Tx<'_>, now: Time, limit: i64) -> Result<Vec<Letter>, DbError> {
    let sql = format!(
        "{COLUMNS} where state = 'due' and due_at_ms <= $1 and until_ms > $1 order by kind desc, due_at_ms, id limit $2"
    );
    tx.query(&sql, &[now.0.into(), limit.into()])?.iter().map(read).collect()
}

/// Ends a message's sending: `sent` or `refused`.
pub fn end(tx: &mut Tx<'_>, id: &str, state: &str) -> Result<(), DbError> {
    tx.execute("update letters set state = $2, attempts = attempts + 1 where id = $1", &[id.into(), state.into()])?;
    Ok(())
}

/// Puts a message off.
pub fn retry(tx: &mut Tx<'_>, id: &str, due_at: Time) -> Result<(), DbError> {
    let sql = "update letters set due_at_ms = $2, attempts = attempts + 1 where id = $1";
    tx.execute(sql, &[id.into(), due_at.0.into()])?;
    Ok(())
}

/// The message whose code has that hash, if the code is still good.
pub fn opened_by(tx: &mut Tx<'_>, hash: &str, now: Time) -> Result<Option<Letter>, DbError> {
    let sql = format!("{COLUMNS} where hash = $1 and until_ms > $2");
    tx.query_one(&sql, &[hash.into(), now.0.into()])?.as_ref().map(read).transpose()
}

/// How many codes of a kind are good for an account.
pub fn open(tx: &mut Tx<'_>, account: &str, kind: LetterKind, now: Time) -> Result<i64, DbError> {
    let sql = "select count(*) from letters where account = $1 and kind = $2 and until_ms > $3";
    Ok(tx.query_one(sql, &[account.into(), kind.word().into(), now.0.into()])?.map_or(0, |row| row.int(0)))
}

/// Makes every code of an account worthless.
pub fn void(tx: &mut Tx<'_>, account: &str) -> Result<(), DbError> {
    tx.execute("delete from letters where account = $1", &[account.into()])?;
    Ok(())
}

/// Forgets messages whose codes are too old; answers how many.
pub fn forget(tx: &mut Tx<'_>, now: Time) -> Result<u64, DbError> {
    tx.execute("delete from letters where until_ms <= $1", &[now.0.into()])
}

fn read(row: &Row) -> Result<Letter, DbError> {
    let text = |at| row.text(at).to_owned();
    Ok(Letter {
        id: text(0),
        hash: text(1),
        account: text(2),
        kind: LetterKind::parse(row.text(3)).ok_or(DbError::Corrupt { what: "kind of a letter" })?,
        language: text(4),
        until: Time(row.int(5)),
        attempts: row.int(6),
        password: row.opt_text(7).map(|password| Secret::new(password.to_owned())),
    })
}
