//! The queue before the committer, and the committer's thread: worker commands first, then clients', then other writes.

use super::{BATCH_LIMIT, Shared, SubmitError, commit_batch};
use crate::ports::Clock;
use crate::store::{Conn, DbError};
use domain::decide::Command;
use domain::order::Order;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex};
use tokio::sync::oneshot;

/// Which queue a command waits in. Workers never wait behind client creates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    Worker,
    Client,
}

const LANE_LIMIT: usize = 4_096;

type Reply = oneshot::Sender<Result<Arc<Order>, SubmitError>>;
type Write = Box<dyn FnOnce(&mut Conn) + Send>;

/// Bounded queues in front of the committer.
#[derive(Default)]
pub(super) struct Lanes {
    waiting: Mutex<Waiting>,
    ready: Condvar,
}

#[derive(Default)]
struct Waiting {
    workers: VecDeque<(Command, Reply)>,
    clients: VecDeque<(Command, Reply)>,
    writes: VecDeque<Write>,
    closed: bool,
}

impl Lanes {
    /// Queues a command; a full lane is the caller's `503`.
    pub(super) fn submit(&self, lane: Lane, command: Command, reply: Reply) -> Result<(), SubmitError> {
        let mut waiting = self.waiting.lock().expect("nobody panics while queueing");
        let closed = waiting.closed;
        let queue = match lane {
            Lane::Worker => &mut waiting.workers,
            Lane::Client => &mut waiting.clients,
        };
        if closed || queue.len() >= LANE_LIMIT {
            return Err(SubmitError::Busy);
        }
        queue.push_back((command, reply));
        self.ready.notify_one();
        Ok(())
    }

    /// Queues a write that is not an order's.
    pub(super) fn write(&self, write: Write) -> Result<(), DbError> {
        let mut waiting = self.waiting.lock().expect("nobody panics while queueing");
        if waiting.closed || waiting.writes.len() >= LANE_LIMIT {
            return Err(DbError::Overloaded);
        }
        waiting.writes.push_back(write);
        self.ready.notify_one();
        Ok(())
    }

    /// Lets the thread end after what waits.
    pub(super) fn close(&self) {
        self.waiting.lock().expect("nobody panics while queueing").closed = true;
        self.ready.notify_all();
    }

    /// The committer's thread.
    pub(super) fn run(&self, mut conn: Conn, shared: &Shared, clock: &dyn Clock) {
        while let Some((batch, writes)) = self.next() {
            if let Err(error) = reopen(&mut conn) {
                tracing::error!(error = &error as &dyn std::error::Error, "the database cannot be reached");
            }
            for write in writes {
                guarded(&mut conn, |conn| write(conn));
            }
            if batch.is_empty() {
                continue;
            }
            let (commands, replies): (Vec<Command>, Vec<Reply>) = batch.into_iter().unzip();
            // Without an answer the askers hear that the server is busy: their replies are dropped here.
            let answers = guarded(&mut conn, |conn| commit_batch(conn, shared, commands, clock.now()));
            for (reply, answer) in replies.into_iter().zip(answers.unwrap_or_default()) {
                // The asker may have gone away; what was committed stays committed.
                reply.send(answer).unwrap_or(());
            }
        }
    }

    #[expect(clippy::type_complexity, reason = "a pair that is taken apart at once")]
    fn next(&self) -> Option<(Vec<(Command, Reply)>, Vec<Write>)> {
        let mut waiting = self.waiting.lock().expect("nobody panics while queueing");
        loop {
            if !(waiting.workers.is_empty() && waiting.clients.is_empty() && waiting.writes.is_empty()) {
                break;
            }
            if waiting.closed {
                return None;
            }
            waiting = self.ready.wait(waiting).expect("nobody panics while queueing");
        }
        let from_workers = waiting.workers.len().min(BATCH_LIMIT);
        let mut batch: Vec<_> = waiting.workers.drain(..from_workers).collect();
        let from_clients = waiting.clients.len().min(BATCH_LIMIT - from_workers);
        batch.extend(waiting.clients.drain(..from_clients));
        Some((batch, waiting.writes.drain(..).collect()))
    }
}

/// A connection lost while nobody wrote is opened again, with the committer's settings.
pub(super) fn reopen(conn: &mut Conn) -> Result<bool, DbError> {
    let lost = conn.reopen_if_lost()?;
    if lost {
        conn.prepare_to_commit()?;
    }
    Ok(lost)
}

/// The committer outlives a panic in one piece of work; its transaction is rolled back.
fn guarded<T>(conn: &mut Conn, work: impl FnOnce(&mut Conn) -> T) -> Option<T> {
    let done = catch_unwind(AssertUnwindSafe(|| work(conn)));
    if done.is_err() {
        tracing::error!("a commit broke an invariant; nothing of it was kept");
        if let Err(error) = conn.roll_back_after_panic() {
            tracing::error!(error = &error as &dyn std::error::Error, "the rollback failed");
        }
    }
    done.ok()
}
