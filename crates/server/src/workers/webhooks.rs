//! Webhooks (Standard Webhooks 1.0): plans a message for each event of an account to each of its endpoints, and sends it
//! until somebody takes it, for three days.
//!
//! Sent, then noted: a message may arrive twice under the same id, and is never lost. Must never put a code, a secret or an
//! address of a person into a message (`happenings`).

use super::outbox::{AT_ONCE, Ended, Outbox, Places, wait_after};
use super::{Ran, WorkerError};
use crate::engine::Engine;
use crate::happenings;
use crate::ports::{Message, Posted, Poster};
use crate::seal::standard_webhooks_signature;
use crate::store::webhooks::{self, Attempt, Delivery, EndpointRow, Outcome};
use crate::store::{DbError, Tx, head, settings};
use crate::vault::Vault;
use domain::time::{Span, Time};
use std::collections::BTreeSet;
use std::sync::Arc;

const READER: &str = "webhooks";
/// Events of the log that are looked at in one go.
const WINDOW: i64 = 2_000;
/// Whoever takes a message has it for so long.
const TAKEN: Span = Span::seconds(60);
/// An endpoint that took nothing for so long is closed.
const MOST_FAILING: Span = Span::hours(3 * 24);
/// How long the secret before the newest is good.
pub const OVERLAP: Span = Span::hours(24);
/// Messages that ended are kept for so long.
const KEPT: Span = Span::hours(30 * 24);
/// The answer of a receiver who wants nothing more.
const GONE: u16 = 410;

/// What sending takes.
#[derive(Clone)]
pub struct Sender {
    pub engine: Engine,
    pub vault: Arc<Vault>,
    pub poster: Arc<dyn Poster>,
}

/// Plans what the log says since the last look.
pub async fn plan_once(engine: &Engine) -> Result<Ran, WorkerError> {
    let now = engine.clock.now();
    let read = engine.db.read(|tx| {
        let from = settings::cursor(tx, READER)?;
        let last = head::last_seq(tx)?;
        let endpoints = if last > from { webhooks::active(tx)? } else { Vec::new() };
        let through = if endpoints.is_empty() { last } else { last.min(from + WINDOW) };
        let accounts: BTreeSet<&String> = endpoints.iter().map(|endpoint| &endpoint.account).collect();
        let accounts: Vec<String> = accounts.into_iter().cloned().collect();
        let happened = webhooks::happened(tx, &accounts, from, through, WINDOW)?;
        let mut rows = Vec::new();
        for happened in &happened {
            let wanted = |endpoint: &&EndpointRow| {
                happened.seq > endpoint.after_seq
                    && happened.owners.contains(&endpoint.account)
                    && endpoint.wants(happenings::type_of(&happened.what))
            };
            rows.extend(endpoints.iter().filter(wanted).map(|endpoint| (endpoint.id.clone(), happened.seq)));
        }
        Ok((from, through, rows))
    });
    let (from, through, rows) = read.await?;
    // A commit for each order that concerns nobody would be dear: they are looked at again.
    if through <= from || (rows.is_empty() && through - from < WINDOW) {
        return Ok(Ran::Idle);
    }
    engine
        .write(move |tx| {
            webhooks::plan(tx, rows, now)?;
            settings::set_cursor(tx, READER, through)
        })
        .await?;
    Ok(Ran::Worked)
}

impl Outbox for Sender {
    type Job = Delivery;
    type Outcome = Outcome;

    fn engine(&self) -> &Engine {
        &self.engine
    }

    async fn take(&self, places: &mut Places) -> Result<Vec<Delivery>, WorkerError> {
        while plan_once(&self.engine).await? == Ran::Worked {}
        let now = self.engine.clock.now();
        let (but, only) = (places.busy(), places.only());
        let due = self.engine.db.read(move |tx| webhooks::due(tx, &but, &only, now, AT_ONCE)).await?;
        let mut wanted = Vec::new();
        for delivery in due {
            if places.has_room(&delivery.endpoint) {
                places.begin(&delivery.endpoint);
                wanted.push(delivery);
            }
        }
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let asked = wanted.clone();
        let taken = self.engine.write(move |tx| webhooks::take(tx, &asked, now + TAKEN)).await;
        // Whoever else took one sends it; whatever was taken though nobody said so comes due again.
        let known: BTreeSet<(String, i64)> = taken.iter().flatten().cloned().collect();
        wanted.retain(|delivery| {
            let is_own = known.contains(&(delivery.endpoint.clone(), delivery.seq));
            if !is_own {
                places.leave(&delivery.endpoint);
            }
            is_own
        });
        taken?;
        Ok(wanted)
    }

    async fn send(self, delivery: Delivery) -> Ended<Outcome> {
        let (receiver, seq) = (delivery.endpoint.clone(), delivery.seq);
        let posted = match self.render(&delivery).await {
            Ok(Some(message)) => self.poster.post(&message).await,
            Ok(None) => {
                let answer = "its endpoint, the account or the order is gone".to_owned();
                let (attempts, at) = (delivery.attempts, self.engine.clock.now());
                let attempt = Attempt::GivenUp;
                let outcome = Outcome { endpoint: receiver.clone(), seq, attempts, attempt, gone: false, answer, at };
                return Ended { receiver, answered: None, outcomes: vec![outcome] };
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a webhook could not be written; tried again");
                return Ended { receiver, answered: None, outcomes: Vec::new() };
            }
        };
        let answered = Some(matches!(posted, Posted::Answered { .. }));
        let (arrived, gone, answer) = match posted {
            Posted::Answered { status } => ((200..300).contains(&status), status == GONE, status.to_string()),
            Posted::Failed { reason } => (false, false, reason),
        };
        let attempts = delivery.attempts + 1;
        let at = self.engine.clock.now();
        let wait = wait_after(attempts, &format!("{receiver}:{seq}"));
        let attempt = match wait {
            _ if arrived => Attempt::Arrived,
            Some(wait) if !gone => Attempt::Again { due_at: at + wait },
            Some(_) | None => Attempt::GivenUp,
        };
        let outcome = Outcome { endpoint: receiver.clone(), seq, attempts, attempt, gone, answer, at };
        Ended { receiver, answered, outcomes: vec![outcome] }
    }

    async fn note(&self, outcomes: Vec<Outcome>) -> Result<(), WorkerError> {
        let now = self.engine.clock.now();
        Ok(self.engine.write(move |tx| outcomes.iter().try_for_each(|outcome| settle(tx, outcome, now))).await?)
    }
}

impl Sender {
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

/// Writes down an attempt, and closes an endpoint that wants nothing more or took nothing for long.
fn settle(tx: &mut Tx<'_>, outcome: &Outcome, now: Time) -> Result<(), DbError> {
    webhooks::note(tx, outcome)?;
    let Some(endpoint) = webhooks::in_use(tx, &outcome.endpoint)? else { return Ok(()) };
    let failing_since = match outcome.attempt {
        Attempt::Arrived => None,
        Attempt::Again { .. } | Attempt::GivenUp => Some(endpoint.failing_since.unwrap_or(outcome.at)),
    };
    if failing_since != endpoint.failing_since {
        webhooks::note_health(tx, &endpoint.id, failing_since)?;
    }
    let failed_long = failing_since.is_some_and(|since| outcome.at.since(since) >= MOST_FAILING);
    if outcome.gone || failed_long { webhooks::disable(tx, &endpoint, now) } else { Ok(()) }
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

/// Forgets what ended long ago.
pub async fn forget_once(engine: &Engine) -> Result<Ran, WorkerError> {
    let before = engine.clock.now() - KEPT;
    engine.write(move |tx| webhooks::forget_before(tx, before)).await?;
    Ok(Ran::Idle)
}
