//! Live orders over SSE (contract 4.5): one tail of the event log per process, and one rendered payload per version.
//! `handover` writes them to the sockets.
//!
//! Events only wake; the payload is rendered from the order's row. States may coalesce, and never move back. Must never
//! hold a history: a stream starts with one snapshot and shows newer versions only.

use super::HttpSettings;
use super::convert;
use super::handover::{Chunk, Next};
use crate::engine::Engine;
use crate::store::{DbError, Tx, head, orders};
use crate::vault::{OpenOrder, Vault, VaultError};
use domain::ids::OrderId;
use domain::project;
use domain::validate::Market;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use tokio::sync::watch;

/// How often the log is looked at when nothing wakes us: another process may have written.
const SLOW_POLL: Duration = Duration::from_millis(500);
const PAGE: i64 = 2_000;
/// Rounds of a busy log after which orders that nobody watches any more are forgotten.
const FORGET_EVERY: u32 = 64;

/// One version of an order, rendered once for all its watchers.
pub struct Frame {
    /// The order's version, and what makes it greater than any before a restore (`orders::stream_id`).
    pub version: i64,
    chunk: Chunk,
    /// Nothing can change by itself any more: `stop` follows.
    pub over: bool,
}

/// The orders that somebody watches, and where to read them.
pub struct Tail {
    engine: Engine,
    vault: Arc<Vault>,
    settings: Arc<HttpSettings>,
    watched: Mutex<HashMap<OrderId, Watched>>,
}

/// One order, and what its watchers share.
struct Watched {
    /// The newest version that came while somebody watched.
    changes: watch::Sender<Option<Arc<Frame>>>,
    /// The version that they began with, as long as one of them still has to be sent it: most orders are watched for
    /// minutes without a change, and a message takes as much memory as all the rest of a stream.
    snapshot: Weak<Frame>,
}

/// One open stream.
pub struct Stream {
    /// The snapshot, until it was looked at.
    first: Option<Arc<Frame>>,
    changes: watch::Receiver<Option<Arc<Frame>>>,
    /// The version that the client has.
    known: i64,
    over: bool,
}

impl Stream {
    fn new(first: Arc<Frame>, changes: watch::Receiver<Option<Arc<Frame>>>, known: i64) -> Stream {
        Stream { first: Some(first), changes, known, over: false }
    }

    /// What is to be done now. Newer versions only: a client that has the newest is told nothing.
    pub fn what_next(&mut self) -> Next {
        if self.over {
            return Next::Stop;
        }
        let newest = self.first.take().or_else(|| self.changes.borrow_and_update().clone());
        let Some(frame) = newest else { return Next::Wait };
        self.over = frame.over;
        if frame.version > self.known {
            self.known = frame.version;
            Next::Send(frame.chunk.clone())
        } else if self.over {
            Next::Stop
        } else {
            Next::Wait
        }
    }
}

impl Stream {
    /// Ends when there may be something to send; false if nothing will come any more.
    pub async fn changed(&mut self) -> bool {
        self.changes.changed().await.is_ok()
    }
}

impl Tail {
    pub fn new(engine: Engine, vault: Arc<Vault>, settings: Arc<HttpSettings>) -> Tail {
        Tail { engine, vault, settings, watched: Mutex::default() }
    }

    /// Registers a watcher first, then makes sure that there is a snapshot: no change can fall between. What others were
    /// sent is shared if it is still the newest: whoever has polled a version never begins with an older one.
    pub async fn subscribe(&self, id: OrderId, known: i64) -> Result<Option<Stream>, VaultError> {
        let (changes, shared) = self.register(id);
        let newest = self.engine.db.read(move |tx| orders::stream_id(tx, id)).await?;
        if let Some(first) = shared.filter(|frame| Some(frame.version) == newest) {
            return Ok(Some(Stream::new(first, changes, known)));
        }
        let Some(frame) = self.render(id).await? else {
            drop(changes);
            self.forget_unwatched();
            return Ok(None);
        };
        let first = Arc::new(frame);
        if let Some(watched) = self.watched.lock().expect("nobody panics while registering").get_mut(&id) {
            watched.snapshot = Arc::downgrade(&first);
        }
        Ok(Some(Stream::new(first, changes, known)))
    }

    /// What will come, and the newest that somebody has rendered already.
    fn register(&self, id: OrderId) -> (watch::Receiver<Option<Arc<Frame>>>, Option<Arc<Frame>>) {
        let mut watched = self.watched.lock().expect("nobody panics while registering");
        let order =
            watched.entry(id).or_insert_with(|| Watched { changes: watch::Sender::new(None), snapshot: Weak::new() });
        let mut changes = order.changes.subscribe();
        let newest = changes.borrow_and_update().clone();
        (changes, newest.or_else(|| order.snapshot.upgrade()))
    }

    /// A frame replaces older ones only.
    fn publish(&self, id: OrderId, frame: Frame) {
        let watched = self.watched.lock().expect("nobody panics while registering");
        if let Some(order) = watched.get(&id) {
            order.changes.send_if_modified(|current| {
                let newer = current.as_ref().is_none_or(|current| frame.version > current.version);
                if newer {
                    *current = Some(Arc::new(frame));
                }
                newer
            });
        }
    }

    fn forget_unwatched(&self) {
        let mut watched = self.watched.lock().expect("nobody panics while registering");
        watched.retain(|_, order| order.changes.receiver_count() > 0);
    }

    /// How many streams are open.
    pub fn open_streams(&self) -> usize {
        let watched = self.watched.lock().expect("nobody panics while registering");
        watched.values().map(|order| order.changes.receiver_count()).sum()
    }

    /// Follows the event log until `stop`.
    pub async fn run(&self, mut stop: watch::Receiver<bool>) {
        let mut news = self.engine.news();
        let mut cursor = self.engine.db.read(head::last_seq).await.unwrap_or(0);
        let mut rounds = 0_u32;
        while !*stop.borrow() {
            news.mark_unchanged();
            rounds = rounds.wrapping_add(1);
            if rounds.is_multiple_of(FORGET_EVERY) {
                self.forget_unwatched();
            }
            match self.follow(cursor).await {
                Ok(next) if next > cursor => {
                    cursor = next;
                    continue;
                }
                Ok(_) => self.forget_unwatched(),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "streams could not follow the log")
                }
            }
            tokio::select! {
                _ = news.changed() => {}
                () = tokio::time::sleep(SLOW_POLL) => {}
                _ = stop.changed() => {}
            }
        }
    }

    /// Hands the watchers what was committed after event number `cursor`; answers where to go on.
    pub async fn follow(&self, cursor: i64) -> Result<i64, VaultError> {
        // Known before the look for watchers: whoever comes after it renders what is committed by then.
        let newest = *self.engine.news().borrow();
        if self.watched.lock().expect("nobody panics while registering").is_empty() {
            return Ok(newest.max(cursor));
        }
        let changes = self.engine.db.read(move |tx| orders::changes_after(tx, cursor, PAGE)).await?;
        let next = changes.last().map_or(cursor, |(seq, _)| *seq);
        let changed: BTreeSet<OrderId> = {
            let watched = self.watched.lock().expect("nobody panics while registering");
            changes.into_iter().map(|(_, id)| id).filter(|id| watched.contains_key(id)).collect()
        };
        for id in changed {
            match self.render(id).await {
                Ok(Some(frame)) => self.publish(id, frame),
                Ok(None) => {}
                Err(VaultError::Database(error)) if error.is_passing() => return Err(error.into()),
                // One order that cannot be shown must not keep the others' streams from moving.
                Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "an order cannot be shown"),
            }
        }
        Ok(next)
    }

    /// Reads and renders an order as the message of its stream.
    async fn render(&self, id: OrderId) -> Result<Option<Frame>, VaultError> {
        let opener = self.vault.clone();
        let read = move |tx: &mut Tx<'_>| Ok::<_, DbError>((opener.open(tx, id), orders::stream_id(tx, id)?));
        let (opened, version) = self.engine.db.read(read).await?;
        let (opened, version) = (opened?, version.unwrap_or(0));
        let market = self.engine.shared.market();
        let rendered = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            opened.map(|opened| frame(&opened, version, &market, &self.settings))
        }));
        // An order that the rules cannot read must not end the task that all streams live on.
        rendered.map_err(|_| VaultError::Unreadable)
    }
}

fn frame(opened: &OpenOrder, version: i64, market: &Market, settings: &HttpSettings) -> Frame {
    let answer = convert::order(opened, &market.catalogue, &market.rails, settings);
    let json = serde_json::to_string(&answer).expect("an order is JSON");
    let message = format!("id: {version}\ndata: {json}\n\n");
    Frame { version, chunk: Chunk::new(message.as_bytes()), over: project::is_over(&opened.order) }
}
