//! The one way to change an order: commands in, one commit per batch, answers out.
//!
//! `commit_batch` is synchronous from the lock to the commit, so that no scheduler can reorder it and a simulator calls
//! the same function. One thread per process runs it over whatever waits (`lanes.rs`). Must never call a port, and no
//! door or worker may write an order around it.

mod batch;
pub mod board;
mod lanes;

use crate::ports::Clock;
use crate::store::transfers::Watched;
use crate::store::{Access, Conn, Db, DbError, Place, Tx, head, orders, signal, transfers};
use batch::Batch;
use board::Board;
use domain::catalog::Catalogue;
use domain::decide::{Command, Refusal};
use domain::event::HoldReason;
use domain::ids::{NetworkId, OrderId, Sku};
use domain::order::Order;
use domain::pricing::Rates;
use domain::route::Exchange;
use domain::time::Time;
use domain::validate::Market;
use lanes::Lanes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;
use tokio::sync::{oneshot, watch};

pub use lanes::Lane;

/// After a lost signal connection; until then the slow polls carry on.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// Commands that one commit serves at most.
pub const BATCH_LIMIT: usize = 256;

/// Why a command changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the server is busy; try again in a second")]
    Busy,
    #[error("the database did not take it")]
    Database(#[from] DbError),
}

/// What is on sale at one moment. `serial` grows with each change, so that answers made from it can be kept.
#[derive(Clone)]
pub struct Snapshot {
    pub serial: u64,
    pub market: Arc<Market>,
    /// SKUs of the own stock that cannot be promised any more.
    pub sold_out: BTreeSet<Sku>,
    /// SKUs of the own stock of which few are left.
    pub low: BTreeSet<Sku>,
}

/// What `commit_batch` needs beside the connection.
pub struct Shared {
    /// Names this process's batches.
    pub process: String,
    snapshot: RwLock<Arc<Snapshot>>,
    /// Networks that the configuration suspends: they stay so, however well they are.
    suspended: BTreeSet<NetworkId>,
    /// How the chains on other machines are.
    pub board: Board,
    /// Where this process's watcher stood when it last looked; the database says whether that is still so.
    windows: Mutex<BTreeMap<NetworkId, Arc<Watched>>>,
    /// Number of the newest event that this process knows to be committed.
    newest: watch::Sender<i64>,
    /// The same of the newest commit that left a step due at once.
    due: watch::Sender<i64>,
    batches: Mutex<i64>,
}

impl Shared {
    pub fn new(process: String, market: Market) -> Shared {
        let (newest, due) = (watch::Sender::new(0), watch::Sender::new(0));
        let suspended = market.rails.networks.iter().filter(|network| network.suspended);
        let suspended = suspended.map(|network| network.id.clone()).collect();
        let snapshot =
            Snapshot { serial: 1, market: Arc::new(market), sold_out: BTreeSet::new(), low: BTreeSet::new() };
        let (snapshot, board) = (RwLock::new(Arc::new(snapshot)), Board::default());
        let windows = Mutex::default();
        Shared { process, snapshot, suspended, board, windows, newest, due, batches: Mutex::new(0) }
    }

    /// What is on sale now; immutable.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.read().expect("nobody panics while holding the snapshot").clone()
    }

    /// Catalogue, rates and rules as they are now; immutable.
    pub fn market(&self) -> Arc<Market> {
        self.snapshot().market.clone()
    }

    /// Puts a catalogue in force.
    pub fn put_catalogue(&self, catalogue: Arc<Catalogue>) {
        self.change(|snapshot| {
            snapshot.market = Arc::new(Market { catalogue, ..(*snapshot.market).clone() });
        });
    }

    /// Puts an exchange file in force.
    pub fn put_exchange(&self, exchange: Arc<Exchange>) {
        self.change(|snapshot| snapshot.market = Arc::new(Market { exchange, ..(*snapshot.market).clone() }));
    }

    /// Puts rates in force.
    pub fn put_rates(&self, rates: Arc<Rates>) {
        self.change(|snapshot| snapshot.market = Arc::new(Market { rates, ..(*snapshot.market).clone() }));
    }

    /// Takes over which networks can take no new orders now. They read as suspended, as those do that the configuration
    /// suspends.
    pub fn put_closed(&self, closed: &BTreeSet<NetworkId>) {
        let is_suspended = |id: &NetworkId| self.suspended.contains(id) || closed.contains(id);
        let market = self.market();
        if market.rails.networks.iter().all(|network| network.suspended == is_suspended(&network.id)) {
            return;
        }
        self.change(|snapshot| {
            let mut market = (*snapshot.market).clone();
            market.rails.networks.iter_mut().for_each(|network| network.suspended = is_suspended(&network.id));
            snapshot.market = Arc::new(market);
        });
    }

    /// Where this process's watcher of a network stood last.
    pub fn window(&self, network: &NetworkId) -> Option<Arc<Watched>> {
        self.windows.lock().expect("nobody panics while holding the windows").get(network).cloned()
    }

    /// Remembers it.
    pub fn put_window(&self, network: NetworkId, watched: Arc<Watched>) {
        self.windows.lock().expect("nobody panics while holding the windows").insert(network, watched);
    }

    /// Takes over what the shelves hold; answers the SKUs that are low since this call.
    pub fn put_shelves(&self, sold_out: BTreeSet<Sku>, low: BTreeSet<Sku>) -> Vec<Sku> {
        let current = self.snapshot();
        let newly_low = low.difference(&current.low).cloned().collect();
        if current.sold_out != sold_out || current.low != low {
            self.change(|snapshot| {
                snapshot.sold_out = sold_out;
                snapshot.low = low;
            });
        }
        newly_low
    }

    fn change(&self, change: impl FnOnce(&mut Snapshot)) {
        let mut current = self.snapshot.write().expect("nobody panics while changing the snapshot");
        let mut next = (**current).clone();
        change(&mut next);
        next.serial += 1;
        *current = Arc::new(next);
    }

    /// Wakes whoever reads the event log; with work that is due at once, the workers too. Carries no data beyond "look".
    fn wake(&self, committed: Committed) {
        raise(&self.newest, committed.seq);
        if committed.leaves_work {
            raise(&self.due, committed.seq);
        }
    }

    fn next_batch(&self) -> i64 {
        let mut batches = self.batches.lock().expect("nobody panics while counting");
        *batches += 1;
        *batches
    }
}

/// What a commit means for those who wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Committed {
    /// Number of its newest event.
    seq: i64,
    /// It wrote a step that is due at once.
    leaves_work: bool,
}

/// Wakes the readers of a number that has grown.
fn raise(signal: &watch::Sender<i64>, to: i64) {
    signal.send_if_modified(|current| {
        let later = to > *current;
        *current = to.max(*current);
        later
    });
}

/// The engine as doors and workers see it. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub db: Db,
    pub shared: Arc<Shared>,
    pub clock: Arc<dyn Clock>,
    committer: Committer,
}

#[derive(Clone)]
enum Committer {
    Thread(Arc<Lanes>),
    /// Each command is a batch of its own, at once, on the caller's thread.
    Held(Arc<Mutex<Conn>>),
}

impl Engine {
    /// Opens connections, starts the committer's thread and the readers.
    /// To be called outside of a runtime: the clients of both databases block.
    pub fn start(place: &Place, shared: Arc<Shared>, clock: Arc<dyn Clock>) -> Result<Engine, DbError> {
        let db = Db::open(place, 3)?;
        let lanes = Arc::new(Lanes::default());
        let mut conn = Conn::open(place)?;
        conn.prepare_to_commit()?;
        let seq = conn.tx(Access::Read, head::last_seq)?;
        shared.wake(Committed { seq, leaves_work: true });
        let (for_thread, shared_too, clock_too) = (lanes.clone(), shared.clone(), clock.clone());
        std::thread::Builder::new()
            .name("kiosk-commit".to_owned())
            .spawn(move || for_thread.run(conn, &shared_too, clock_too.as_ref()))
            .map_err(|error| DbError::Open(error.to_string()))?;
        listen(place, &shared)?;
        Ok(Engine { db, shared, clock, committer: Committer::Thread(lanes) })
    }

    /// An engine on a held connection, for the simulator and for tests: everything happens on the caller's thread, and
    /// several engines may take turns on it.
    pub fn held(conn: Arc<Mutex<Conn>>, shared: Arc<Shared>, clock: Arc<dyn Clock>) -> Engine {
        Engine { db: Db::held(conn.clone()), shared, clock, committer: Committer::Held(conn) }
    }

    /// Has a command decided and committed; answers with the order as it is then.
    pub async fn submit(&self, lane: Lane, command: Command) -> Result<Arc<Order>, SubmitError> {
        match &self.committer {
            Committer::Held(conn) => {
                let mut conn = conn.lock().expect("no holder panics");
                let mut answers = commit_batch(&mut conn, &self.shared, vec![command], self.clock.now());
                answers.pop().expect("one answer per command")
            }
            Committer::Thread(lanes) => {
                let (answer, result) = oneshot::channel();
                lanes.submit(lane, command, answer)?;
                result.await.unwrap_or(Err(SubmitError::Busy))
            }
        }
    }

    /// Writes what is not an order's (a catalogue, a scan, a cursor) in a transaction of the committer's thread.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, DbError> {
        match &self.committer {
            Committer::Held(conn) => exclusive(&mut conn.lock().expect("no holder panics"), work),
            Committer::Thread(lanes) => {
                let (answer, result) = oneshot::channel();
                lanes.write(Box::new(move |conn| {
                    // The asker may have gone away; what was written stays written.
                    answer.send(exclusive(conn, work)).unwrap_or(());
                }))?;
                result.await.unwrap_or(Err(DbError::Overloaded))
            }
        }
    }

    /// Signals each time this process learns of newer events.
    pub fn news(&self) -> watch::Receiver<i64> {
        self.shared.newest.subscribe()
    }

    /// Signals each time a commit leaves a step due at once: most orders are placed and paid later. What another process
    /// committed is not known, so every commit of another process signals, too.
    pub fn due_work(&self) -> watch::Receiver<i64> {
        self.shared.due.subscribe()
    }

    /// Ends the committer's thread once what waits is committed.
    pub fn close(&self) {
        if let Committer::Thread(lanes) = &self.committer {
            lanes.close();
        }
    }
}

/// A transaction that no batch of any process runs beside: what it counts stays true until it commits.
fn exclusive<T>(conn: &mut Conn, work: impl FnOnce(&mut Tx<'_>) -> Result<T, DbError>) -> Result<T, DbError> {
    conn.tx(Access::Write, |tx| {
        head::hold(tx)?;
        work(tx)
    })
}

/// Wakes this process when another one commits. Only PostgreSQL signals; elsewhere every reader polls slowly.
fn listen(place: &Place, shared: &Arc<Shared>) -> Result<(), DbError> {
    if !matches!(place, Place::Postgres(_)) {
        return Ok(());
    }
    let (place, shared) = (place.clone(), Arc::downgrade(shared));
    let listening = move || {
        while let Some(own) = shared.upgrade().map(|shared| shared.process.clone()) {
            let heard = Conn::open(&place).and_then(|mut conn| {
                signal::listen(&place, &own, || match (shared.upgrade(), conn.tx(Access::Read, head::last_seq)) {
                    (Some(shared), Ok(seq)) => {
                        // What another process committed is not known here.
                        shared.wake(Committed { seq, leaves_work: true });
                        true
                    }
                    (None, _) | (_, Err(_)) => false,
                })
            });
            if let Err(error) = heard {
                tracing::warn!(error = &error as &dyn std::error::Error, "signals of other processes are not heard");
                std::thread::sleep(LISTEN_AGAIN);
            }
        }
    };
    let thread = std::thread::Builder::new().name("kiosk-listen".to_owned()).spawn(listening);
    thread.map(|_| ()).map_err(|error| DbError::Open(error.to_string()))
}

/// Decides and commits `commands` in their order; one answer each, in the same order.
///
/// A database error that is not passing halves the batch until the culprit stands alone; its order is put on hold by a
/// commit of its own.
pub fn commit_batch(
    conn: &mut Conn,
    shared: &Shared,
    commands: Vec<Command>,
    now: Time,
) -> Vec<Result<Arc<Order>, SubmitError>> {
    let batch_no = shared.next_batch();
    let mut decided = None;
    let attempt = conn.tx(Access::Write, |tx| {
        let mut batch = Batch::load(tx, &commands, &shared.market(), now)?;
        let answers: Vec<_> = commands.iter().map(|command| batch.decide(command)).collect();
        let committed = batch.write(tx, &shared.process)?;
        head::note_batch(tx, &shared.process, batch_no)?;
        decided = Some((answers, committed));
        Ok::<_, DbError>(())
    });
    let attempt = match (attempt, decided) {
        (Ok(()), Some(decided)) => Ok(decided),
        // The connection went down during COMMIT: only the database knows whether the batch is in it.
        (Err(error), Some(decided)) if error.is_passing() && was_committed(conn, shared, batch_no) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the batch was committed all the same");
            Ok(decided)
        }
        (Err(error), _) => Err(error),
        (Ok(()), None) => unreachable!("a batch that commits was decided"),
    };
    match attempt {
        Ok((answers, committed)) => {
            shared.wake(committed);
            hold_defects(conn, shared, &commands, &answers, now);
            answers.into_iter().map(|answer| answer.map_err(SubmitError::Refused)).collect()
        }
        Err(error) if error.is_passing() => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, commands = commands.len(), "batch not committed");
            commands.iter().map(|_| Err(SubmitError::Busy)).collect()
        }
        Err(error) if commands.len() == 1 => vec![refuse_culprit(conn, shared, &commands[0], error, now)],
        Err(_) => {
            let mut first = commands;
            let second = first.split_off(first.len() / 2);
            let mut answers = commit_batch(conn, shared, first, now);
            answers.extend(commit_batch(conn, shared, second, now));
            answers
        }
    }
}

/// The command that the database cannot take is refused, loudly, and its order waits for a person.
fn refuse_culprit(
    conn: &mut Conn,
    shared: &Shared,
    command: &Command,
    error: DbError,
    now: Time,
) -> Result<Arc<Order>, SubmitError> {
    hold_order_of(conn, shared, command, &error, now);
    Err(SubmitError::Database(error))
}

/// An order about which a decision broke an invariant waits for a person: the same decision would break it again.
fn hold_defects(
    conn: &mut Conn,
    shared: &Shared,
    commands: &[Command],
    answers: &[Result<Arc<Order>, Refusal>],
    now: Time,
) {
    for (command, _) in commands.iter().zip(answers).filter(|(_, answer)| matches!(answer, Err(Refusal::Defect))) {
        hold_order_of(conn, shared, command, &Refusal::Defect, now);
    }
}

/// The order that a command is about; a credit names only a transfer.
fn order_of(conn: &mut Conn, command: &Command) -> Option<OrderId> {
    let Command::Credit { transfer } = command else { return command.order() };
    let found = conn.tx(Access::Read, |tx| transfers::facts(tx, std::slice::from_ref(transfer)));
    found.ok()?.remove(transfer)?.1
}

/// Puts the order of a command on hold that could not be carried out, and says so in the log.
fn hold_order_of(
    conn: &mut Conn,
    shared: &Shared,
    command: &Command,
    error: &(dyn std::error::Error + 'static),
    now: Time,
) {
    let order = order_of(conn, command);
    let known = order.and_then(|id| conn.tx(Access::Read, |tx| orders::by_id(tx, id)).ok().flatten());
    let no = known.as_ref().map_or(0, |order| order.no);
    tracing::error!(order.no = no, command = batch::name(command), error, "a command broke an invariant");
    let is_held = known.is_some_and(|order| order.held_for(HoldReason::InvariantBroken).is_some());
    if let Some(order) = order.filter(|_| !is_held && !matches!(command, Command::Hold { .. })) {
        hold(conn, shared, order, now);
    }
}

fn hold(conn: &mut Conn, shared: &Shared, order: OrderId, now: Time) {
    let note = "the program met a state that must not be; the log has the details".to_owned();
    let command = Command::Hold { order, reason: HoldReason::InvariantBroken, line: None, note };
    for answer in commit_batch(conn, shared, vec![command], now) {
        if let Err(error) = answer {
            tracing::error!(error = &error as &dyn std::error::Error, "the order could not be put on hold");
        }
    }
}

/// After a connection lost during COMMIT: whether the batch is in the database.
fn was_committed(conn: &mut Conn, shared: &Shared, batch: i64) -> bool {
    if !lanes::reopen(conn).unwrap_or(false) {
        return false;
    }
    let last = conn.tx(Access::Read, |tx| head::last_batch(tx, &shared.process));
    last.is_ok_and(|last| last.is_some_and(|last| last >= batch))
}

/// The order of that id as it is now.
pub async fn read_order(db: &Db, id: OrderId) -> Result<Option<Order>, DbError> {
    db.read(move |tx| orders::by_id(tx, id)).await
}
