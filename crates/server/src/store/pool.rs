//! Reads from async code: a few threads, each with a connection of its own. In the simulator, one held connection.
//!
//! Must never write: writes go through the engine's thread.

use super::db::{Access, Conn, DbError, Place, Tx};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;

/// Reads that may wait for a thread; more are told to come back.
const WAITING_READS: usize = 4_096;

type Job = Box<dyn FnOnce(&mut Conn) + Send>;

/// Reads from the database. Cheap to clone.
#[derive(Clone)]
pub struct Db(Kind);

#[derive(Clone)]
enum Kind {
    Threads(SyncSender<Job>),
    Held(Arc<Mutex<Conn>>),
}

impl Db {
    /// Starts `threads` readers; they end when the last clone is dropped.
    pub fn open(place: &Place, threads: usize) -> Result<Db, DbError> {
        let (jobs, waiting) = sync_channel::<Job>(WAITING_READS);
        let waiting = Arc::new(Mutex::new(waiting));
        for number in 0..threads {
            let (waiting, place) = (waiting.clone(), place.clone());
            let mut conn = Some(Conn::open(&place)?);
            std::thread::Builder::new()
                .name(format!("kiosk-read-{number}"))
                .spawn(move || {
                    while let Some(job) = next_job(&waiting) {
                        run_job(&mut conn, &place, job);
                    }
                })
                .map_err(|error| DbError::Open(error.to_string()))?;
        }
        Ok(Db(Kind::Threads(jobs)))
    }

    /// Reads on a connection that others hold too.
    pub fn held(conn: Arc<Mutex<Conn>>) -> Db {
        Db(Kind::Held(conn))
    }

    /// Runs `work` in a read transaction.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, DbError> {
        match &self.0 {
            Kind::Held(conn) => {
                conn.lock().expect("no reader panics while holding the connection").tx(Access::Read, work)
            }
            Kind::Threads(jobs) => {
                let (answer, result) = oneshot::channel();
                let job: Job = Box::new(move |conn| {
                    // The asker may have gone away; then nobody wants the answer.
                    answer.send(conn.tx(Access::Read, work)).unwrap_or(());
                });
                jobs.try_send(job).map_err(|error| match error {
                    TrySendError::Full(_) => DbError::Overloaded,
                    TrySendError::Disconnected(_) => DbError::Open("the readers have ended".to_owned()),
                })?;
                result.await.unwrap_or(Err(DbError::Overloaded))
            }
        }
    }
}

fn next_job(waiting: &Mutex<Receiver<Job>>) -> Option<Job> {
    waiting.lock().expect("no reader panics while waiting").recv().ok()
}

/// A connection that was lost is opened again before the next read; a read that panics loses its connection.
fn run_job(conn: &mut Option<Conn>, place: &Place, job: Job) {
    let usable = match conn.take() {
        Some(mut held) => held.reopen_if_lost().map(|_| held),
        None => Conn::open(place),
    };
    // Without a connection the job is dropped, and its asker is told to come back.
    let Ok(mut taken) = usable else { return };
    let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        job(&mut taken);
        taken
    }));
    *conn = ran.ok();
}
