//! How processes on one database tell each other that something is new; only PostgreSQL can.

use super::db::{DbError, Place, Tx};

impl Tx<'_> {
    /// Tells other processes on the same database that there is something new; carries no data but who says so.
    pub fn notify(&mut self, own: &str) -> Result<(), DbError> {
        if self.has_other_writers() {
            self.execute("select pg_notify('kiosk', $1)", &[own.into()])?;
        }
        Ok(())
    }
}

/// Calls `heard` whenever a process other than `own` commits something new on the same database; ends when `heard` says so
/// or the connection is lost. A file has no such signal: readers then rely on their slow poll.
pub fn listen(place: &Place, own: &str, mut heard: impl FnMut() -> bool) -> Result<(), DbError> {
    let Place::Postgres(url) = place else { return Ok(()) };
    let mut client = postgres::Client::connect(url, postgres::NoTls)?;
    client.batch_execute("listen kiosk")?;
    let mut notifications = client.notifications();
    let mut signals = notifications.blocking_iter();
    while let Some(signal) = fallible_iterator::FallibleIterator::next(&mut signals)? {
        if signal.payload() != own && !heard() {
            return Ok(());
        }
    }
    Err(DbError::Open("the signal connection was lost".to_owned()))
}
