//! Webhooks (Standard Webhooks 1.0): plans a message for each event of an account to each of its endpoints, and sends it
//! until somebody takes it, for three days.
//!
//! Sent, then noted: a message may arrive twice under the same id. Must never put a code, a secret or an
//! address of a person into a message (`happenings`).

use super::outbox::{Ended, Outbox, Places, wait_after};
use super::{Ran, WorkerError};
use crate::engine::Engine;
use crate::happenings;
use crate::ports::{Message, Posted, Poster};
use crate::seal::standard_webhooks_signature;
use crate::store::webhooks::{self, Attempt, Delivery, EndpointRow, Outcome};
use crate::store::{DbError, Tx, head};
use crate::vault::Vault;
use domain::time::{Span, Time};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Events of the log that are looked at in one go.
const WINDOW: i64 = 2_000;
/// Whoever takes a message has it for so long.
const TAKEN: Span = Span::seconds(60);
/// An endpoint that took nothing for so long is closed once a message was given up: the waits between attempts, together.
const MOST_FAILING: Span = Span::hours(71);
/// How long the secret before the newest is good.
pub const OVERLAP: Span = Span::hours(24);
/// Messages are kept for so long.
const KEPT: Span = Span::hours(30 * 24);
/// The answer of a receiver who wants nothing more.
const GONE: u16 = 410;

/// What sending takes.
#[derive(Clone)]
pub struct Sender {
    pub engine: Engine,
    pub vault: Arc<Vault>,
    pub poster: Arc<dyn Poster>,
    /// How far this process has looked, while nothing had to be written down.
    looked_at: Arc<AtomicI64>,
}

/// What one look finds.
struct Look {
    /// The cursor that all processes share.
    kept: i64,
    through: i64,
    /// To be planned: (endpoint, event).
    rows: Vec<(String, i64)>,
    has_due: bool,
}

impl Look {
    /// A commit for each order that concerns nobody would be dear: they are looked at again after a restart.
    fn is_worth_a_commit(&self) -> bool {
        !self.rows.is_empty() || self.has_due || self.through - self.kept >= WINDOW
    }
}

impl Outbox for Sender {
    type Job = Delivery;
    type Outcome = Outcome;

    fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Plans what the log says since the last look, and takes what is due, in one commit.
    async fn take(&self, places: &mut Places) -> Result<Vec<Delivery>, WorkerError> {
        let now = self.engine.clock.now();
        let looked_at = self.looked_at.load(Ordering::Relaxed);
        let endpoints = self.engine.db.read(webhooks::active).await?;
        let free = |endpoint: &EndpointRow| (endpoint.id.clone(), places.free(&endpoint.id) as i64);
        let most_of: Vec<(String, i64)> = endpoints.iter().map(free).filter(|(_, most)| *most > 0).collect();
        let asked = most_of.clone();
        let look = self.engine.db.read(move |tx| look(tx, &endpoints, looked_at, &asked, now)).await?;
        if !look.is_worth_a_commit() {
            self.looked_at.store(look.through, Ordering::Relaxed);
            return Ok(Vec::new());
        }
        let Look { kept, through, rows, .. } = look;
        let planned = self.engine.write(move |tx| {
            // Another process may have planned meanwhile, and not as far.
            let is_ours = webhooks::looked_at(tx)? == kept;
            if is_ours {
                webhooks::plan(tx, rows, now)?;
                webhooks::look_on_from(tx, through)?;
            }
            let due = webhooks::due(tx, &most_of, now)?;
            let taken: BTreeSet<_> = webhooks::take(tx, &due, now + TAKEN)?.into_iter().collect();
            Ok((is_ours, due, taken))
        });
        // Whatever was taken though nobody said so comes due again.
        let (is_ours, mut due, taken) = planned.await?;
        if is_ours {
            self.looked_at.store(through, Ordering::Relaxed);
        }
        due.retain(|delivery| {
            let may_go =
                taken.contains(&(delivery.endpoint.clone(), delivery.seq)) && places.has_room(&delivery.endpoint);
            if may_go {
                places.begin(&delivery.endpoint);
            }
            may_go
        });
        Ok(due)
    }

    async fn send(self, delivery: Delivery) -> Ended<Outcome> {
        let (receiver, seq) = (delivery.endpoint.clone(), delivery.seq);
        let attempts = delivery.attempts + 1;
        let (at, wait) = (self.engine.clock.now(), wait_after(attempts, &format!("{receiver}:{seq}")));
        let posted = match self.render(&delivery).await {
            Ok(Some(message)) => self.poster.post(&message).await,
            Ok(None) => return unasked(delivery, Attempt::GivenUp, "the endpoint or the order is gone", at),
            Err(error) if error.is_passing() => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a webhook could not be written; tried again");
                return Ended { receiver, answered: None, outcomes: Vec::new() };
            }
            Err(error) => {
                let event = happenings::id_of(seq);
                tracing::error!(event, error = &error as &dyn std::error::Error, "a webhook cannot be written");
                let attempt = wait.map_or(Attempt::GivenUp, |wait| Attempt::Again { due_at: at + wait });
                return unasked(delivery, attempt, "the event cannot be read", at);
            }
        };
        let answered = Some(matches!(posted, Posted::Answered { .. }));
        let (arrived, gone, answer) = match posted {
            Posted::Answered { status } => ((200..300).contains(&status), status == GONE, status.to_string()),
            Posted::Failed { reason } => (false, false, reason),
        };
        let at = self.engine.clock.now();
        let attempt = match wait {
            _ if arrived => Attempt::Arrived,
            Some(wait) if !gone => Attempt::Again { due_at: at + wait },
            Some(_) | None => Attempt::GivenUp,
        };
        let outcome = Outcome { endpoint: receiver.clone(), seq, attempts, attempt, asked: true, gone, answer, at };
        Ended { receiver, answered, outcomes: vec![outcome] }
    }

    async fn note(&self, outcomes: Vec<Outcome>) -> Result<(), WorkerError> {
        let now = self.engine.clock.now();
        let settled = self.engine.write(move |tx| {
            let closed = outcomes.iter().map(|outcome| Ok(settle(tx, outcome, now)?.then(|| outcome.clone())));
            closed.collect::<Result<Vec<_>, DbError>>()
        });
        for closed in settled.await?.into_iter().flatten() {
            let (endpoint, answer) = (closed.endpoint, closed.answer);
            tracing::warn!(endpoint, answer, "a webhook endpoint was closed; see `kiosk webhook list`");
        }
        Ok(())
    }
}

impl Sender {
    pub fn new(engine: Engine, vault: Arc<Vault>, poster: Arc<dyn Poster>) -> Sender {
        Sender { engine, vault, poster, looked_at: Arc::default() }
    }

    async fn render(&self, delivery: &Delivery) -> Result<Option<Message>, DbError> {
        let (id, seq, vault) = (delivery.endpoint.clone(), delivery.seq, self.vault.clone());
        let read = self.engine.db.read(move |tx| {
            let Some(endpoint) = webhooks::in_use(tx, &id)? else { return Ok(None) };
            let owner = std::slice::from_ref(&endpoint.account);
            let Some(happened) = webhooks::happened(tx, owner, seq - 1, seq, 1)?.pop() else { return Ok(None) };
            Ok(happenings::render(tx, &vault, &happened)?.map(|body| (endpoint, body.to_string())))
        });
        let now = self.engine.clock.now();
        Ok(read.await?.map(|(endpoint, body)| message(&self.vault, &endpoint, seq, &body, now)))
    }
}

/// The end of an attempt for which nobody was called.
fn unasked(delivery: Delivery, attempt: Attempt, why: &str, at: Time) -> Ended<Outcome> {
    let Delivery { endpoint, seq, attempts, .. } = delivery;
    let (receiver, answer, attempts) = (endpoint.clone(), why.to_owned(), attempts + 1);
    let outcome = Outcome { endpoint, seq, attempts, attempt, asked: false, gone: false, answer, at };
    Ended { receiver, answered: None, outcomes: vec![outcome] }
}

/// What the log has for those endpoints after both the cursor and what this process has looked at.
fn look(
    tx: &mut Tx<'_>,
    endpoints: &[EndpointRow],
    looked_at: i64,
    most_of: &[(String, i64)],
    now: Time,
) -> Result<Look, DbError> {
    let (kept, last) = (webhooks::looked_at(tx)?, head::last_seq(tx)?);
    let from = kept.max(looked_at.min(last));
    let through = if endpoints.is_empty() { last } else { last.min(from + WINDOW) };
    let accounts: BTreeSet<&String> = endpoints.iter().map(|endpoint| &endpoint.account).collect();
    let accounts: Vec<String> = accounts.into_iter().cloned().collect();
    let mut rows = Vec::new();
    for happened in webhooks::happened(tx, &accounts, from, through, WINDOW)? {
        let wanted = |endpoint: &&EndpointRow| {
            happened.seq > endpoint.after_seq
                && happened.owners.contains(&endpoint.account)
                && endpoint.wants(happenings::type_of(&happened.what))
        };
        rows.extend(endpoints.iter().filter(wanted).map(|endpoint| (endpoint.id.clone(), happened.seq)));
    }
    let mut has_due = false;
    for (endpoint, _) in most_of {
        has_due = has_due || webhooks::has_due(tx, endpoint, now)?;
    }
    Ok(Look { kept, through, rows, has_due })
}

/// Writes down an attempt, and closes an endpoint that wants nothing more or took nothing for long; whether it did.
fn settle(tx: &mut Tx<'_>, outcome: &Outcome, now: Time) -> Result<bool, DbError> {
    webhooks::note(tx, outcome)?;
    if !outcome.asked {
        return Ok(false);
    }
    let Some(endpoint) = webhooks::in_use(tx, &outcome.endpoint)? else { return Ok(false) };
    let failing_since = match outcome.attempt {
        Attempt::Arrived => None,
        Attempt::Again { .. } | Attempt::GivenUp => Some(endpoint.failing_since.unwrap_or(outcome.at)),
    };
    if failing_since != endpoint.failing_since {
        webhooks::note_health(tx, &endpoint.id, failing_since)?;
    }
    // Time alone does not tell: the shop itself may have been away.
    let failed_long = failing_since.is_some_and(|since| outcome.at.since(since) >= MOST_FAILING);
    let is_over = outcome.gone || (outcome.attempt == Attempt::GivenUp && failed_long);
    if is_over { webhooks::disable(tx, &endpoint, now) } else { Ok(false) }
}

fn message(vault: &Vault, endpoint: &EndpointRow, seq: i64, body: &str, now: Time) -> Message {
    let (id, at) = (happenings::id_of(seq), now.unix_seconds());
    let mut generations = vec![endpoint.generation];
    if endpoint.generation > 1 && now.since(endpoint.rotated_at) < OVERLAP {
        generations.push(endpoint.generation - 1);
    }
    let signature = generations
        .into_iter()
        .map(|generation| standard_webhooks_signature(&vault.webhook_key(&endpoint.id, generation), &id, at, body))
        .collect::<Vec<_>>()
        .join(" ");
    Message {
        url: endpoint.url.clone(),
        content_type: "application/json",
        headers: vec![("webhook-id", id), ("webhook-timestamp", at.to_string()), ("webhook-signature", signature)],
        body: body.to_owned(),
    }
}

/// Forgets what was done long ago, some at a time.
pub async fn forget_once(engine: &Engine) -> Result<Ran, WorkerError> {
    let before = engine.clock.now() - KEPT;
    let forgotten = engine.write(move |tx| webhooks::forget_before(tx, before)).await?;
    Ok(Ran::if_any(forgotten > 0))
}
