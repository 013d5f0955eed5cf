//! Notifications of exchange orders (exchange contract 7): each change once, those of one order in their order.
//!
//! A message is taken in the database before it is sent: it may be lost, never repeated. Only orders that were placed with a
//! key that asks for it are told again until somebody takes it, still in their order.

use super::outbox::{AT_ONCE, Ended, Outbox, Places, wait_after};
use super::{Ran, WorkerError};
use crate::engine::Engine;
use crate::entropy::to_hex;
use crate::happenings;
use crate::ports::{Message, Posted, Poster};
use crate::store::deliveries::{self, Outcome, Planned};
use crate::vault::{OpenOrder, Told, Vault, VaultError};
use domain::ids::OrderId;
use domain::time::{Span, Time};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// After so long a message counts as sent though nobody said so: whoever took it is gone.
const GIVEN_UP: Span = Span::minutes(10);
/// After the database did not answer, a message waits so long.
const AFTER_FAILURE: Span = Span::seconds(5);
/// Messages wait for so long.
const KEPT: Span = Span::hours(7 * 24);

/// What sending takes.
#[derive(Clone)]
pub struct Sender {
    pub engine: Engine,
    pub vault: Arc<Vault>,
    pub poster: Arc<dyn Poster>,
}

/// The messages of one order that were taken together, in their order.
pub struct Job {
    order: OrderId,
    receiver: String,
    messages: Vec<Planned>,
}

impl Outbox for Sender {
    type Job = Job;
    type Outcome = Outcome;

    fn engine(&self) -> &Engine {
        &self.engine
    }

    /// A job for each order: none of orders that are under way, whichever process has them, and none to receivers that
    /// have enough.
    async fn take(&self, places: &mut Places) -> Result<Vec<Job>, WorkerError> {
        let now = self.engine.clock.now();
        let (but, only, since) = (places.busy(), places.only(), now - GIVEN_UP);
        let read = self.engine.db.read(move |tx| {
            Ok((deliveries::due(tx, &but, &only, since, now, AT_ONCE)?, deliveries::is_left(tx, since)?))
        });
        let (due, is_left) = read.await?;
        if is_left {
            self.engine.write(move |tx| deliveries::requeue(tx, since)).await?;
        }
        let mut jobs = BTreeMap::<OrderId, Job>::new();
        for message in due {
            if let Some(job) = jobs.get_mut(&message.order) {
                job.messages.push(message);
            } else if places.has_room(&message.receiver) {
                places.begin(&message.receiver);
                let job = Job { order: message.order, receiver: message.receiver.clone(), messages: vec![message] };
                jobs.insert(job.order, job);
            }
        }
        let wanted: Vec<Planned> = jobs.values().flat_map(|job| job.messages.clone()).collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let taken = match self.engine.write(move |tx| deliveries::take(tx, &wanted, since, now)).await {
            Ok(taken) => taken.into_iter().collect::<BTreeSet<i64>>(),
            // Whether they were taken is not known: they are left, rather than told twice.
            Err(error) => {
                jobs.into_values().for_each(|job| places.leave(&job.receiver));
                return Err(error.into());
            }
        };
        // Another process may have been quicker with some.
        let (mut own, mut left) = (Vec::new(), Vec::new());
        for mut job in jobs.into_values() {
            job.messages.retain(|message| taken.contains(&message.seq));
            if job.messages.is_empty() { left.push(job) } else { own.push(job) }
        }
        left.into_iter().for_each(|job| places.leave(&job.receiver));
        Ok(own)
    }

    async fn send(self, job: Job) -> Ended<Outcome> {
        let (id, vault) = (job.order, self.vault.clone());
        let opened = self.engine.db.read(move |tx| Ok(vault.open(tx, id))).await;
        let mut ended = Ended { receiver: job.receiver, answered: None, outcomes: Vec::new() };
        let mut again_at = None;
        let opened = match opened {
            Ok(Ok(opened)) => opened,
            // Nothing was sent yet: it may be later.
            Ok(Err(VaultError::Database(error))) | Err(error) if error.is_passing() => {
                tracing::warn!(error = &error as &dyn std::error::Error, "notifications not sent; tried again");
                again_at = Some(self.engine.clock.now() + AFTER_FAILURE);
                None
            }
            Ok(Err(error)) => {
                tracing::error!(error = &error as &dyn std::error::Error, "notifications not sent");
                None
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "notifications not sent");
                None
            }
        };
        for planned in &job.messages {
            let now = self.engine.clock.now();
            let message = opened.as_ref().and_then(|opened| message(&self.vault, opened, planned, now));
            let outcome = match (again_at, message) {
                // What comes after one that is told later waits for it.
                (Some(due_at), _) => Outcome::Again { seq: planned.seq, attempts: planned.attempts, due_at },
                (None, Some(message)) => self.post(planned, &message, &mut ended.answered).await,
                (None, None) => Outcome::Ended { seq: planned.seq },
            };
            if let Outcome::Again { due_at, .. } = outcome {
                again_at = Some(due_at);
            }
            ended.outcomes.push(outcome);
        }
        ended
    }

    /// The next messages about the same orders may go.
    async fn note(&self, outcomes: Vec<Outcome>) -> Result<(), WorkerError> {
        Ok(self.engine.write(move |tx| deliveries::note(tx, outcomes)).await?)
    }
}

impl Sender {
    async fn post(&self, planned: &Planned, message: &Message, answered: &mut Option<bool>) -> Outcome {
        let arrived = match self.poster.post(message).await {
            Posted::Answered { status } => {
                *answered = Some(true);
                (200..300).contains(&status)
            }
            Posted::Failed { reason } => {
                *answered = Some(false);
                tracing::info!(event = happenings::id_of(planned.seq), reason, "a notification did not arrive");
                false
            }
        };
        let (seq, attempts) = (planned.seq, planned.attempts + 1);
        match wait_after(attempts, &happenings::id_of(seq)) {
            Some(wait) if planned.retries && !arrived => {
                Outcome::Again { seq, attempts, due_at: self.engine.clock.now() + wait }
            }
            Some(_) | None => Outcome::Ended { seq },
        }
    }
}

/// Forgets old messages; for a worker of its own.
pub async fn forget_once(engine: &Engine) -> Result<Ran, WorkerError> {
    let before = engine.clock.now() - KEPT;
    let unsent = engine.write(move |tx| deliveries::forget_before(tx, before)).await?;
    if unsent > 0 {
        tracing::warn!(unsent, "notifications were given up: their receivers took none for a week");
    }
    Ok(Ran::Idle)
}

/// One notification as contract 7 has it; none if the order's personal data were deleted.
fn message(vault: &Vault, opened: &OpenOrder, planned: &Planned, now: Time) -> Option<Message> {
    let (trade, told) = (opened.order.trade()?, opened.personal.trade.as_ref()?);
    let notice = Notice {
        uid: opened.order.no,
        id: vault.trade_names(&opened.order).object_id.to_string(),
        status: planned.status.word(),
        in_amount: trade.from.amount(),
        out_amount: trade.to.amount(),
        xml_from: &trade.from.xml,
        xml_to: &trade.to.xml,
        timestamp_ms: planned.at.0,
    };
    let secret = told.ipn_secret.as_deref().unwrap_or_default();
    let hash = notice.hash(secret);
    let body = notice.body(&told.to_values, &hash);
    let mut headers = vec![("hash", hash)];
    headers.extend(standard_headers(planned.seq, now.unix_seconds(), &body, secret));
    Some(Message { url: told.ipn_url.clone()?, content_type: "application/x-www-form-urlencoded", headers, body })
}

/// What a notification says.
struct Notice<'a> {
    uid: i64,
    id: String,
    status: &'a str,
    in_amount: String,
    out_amount: String,
    xml_from: &'a str,
    xml_to: &'a str,
    timestamp_ms: i64,
}

impl Notice<'_> {
    /// `sha256(orderId:newStatus:inAmount:outAmount:xml_from:xml_to:timestamp:ipnSecret)`, hex.
    fn hash(&self, secret: &str) -> String {
        let Notice { id, status, in_amount, out_amount, xml_from, xml_to, timestamp_ms, .. } = self;
        let text = format!("{id}:{status}:{in_amount}:{out_amount}:{xml_from}:{xml_to}:{timestamp_ms}:{secret}");
        to_hex(&Sha256::digest(text))
    }

    fn body(&self, to_values: &[Told], hash: &str) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("orderUID", &self.uid.to_string())
            .append_pair("orderId", &self.id)
            .append_pair("newStatus", self.status)
            .append_pair("inAmount", &self.in_amount)
            .append_pair("outAmount", &self.out_amount)
            .append_pair("xml_from", self.xml_from)
            .append_pair("xml_to", self.xml_to)
            .append_pair("timestamp", &self.timestamp_ms.to_string());
        for (at, told) in to_values.iter().enumerate() {
            form.append_pair(&format!("toValues[{at}][key]"), &told.field)
                .append_pair(&format!("toValues[{at}][name]"), &told.name)
                .append_pair(&format!("toValues[{at}][value]"), &told.value);
        }
        form.append_pair("hash", hash);
        form.finish()
    }
}

/// The headers of Standard Webhooks 1.0, for receivers who check them instead, with the id that the change has among the
/// account's events; nothing can be signed without a secret.
fn standard_headers(seq: i64, at_seconds: i64, body: &str, secret: &str) -> Vec<(&'static str, String)> {
    let id = happenings::id_of(seq);
    let mut headers = vec![("webhook-id", id.clone()), ("webhook-timestamp", at_seconds.to_string())];
    if !secret.is_empty() {
        let signature = crate::seal::standard_webhooks_signature(secret.as_bytes(), &id, at_seconds, body);
        headers.push(("webhook-signature", signature));
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector of contract 7.
    #[test]
    fn the_published_signature_is_reproduced() {
        let notice = Notice {
            uid: 1,
            id: "5d8e6002b80b7b4cd75a6424".to_owned(),
            status: "inProgress",
            in_amount: "2".to_owned(),
            out_amount: "317.42".to_owned(),
            xml_from: "ETH",
            xml_to: "WMZ",
            timestamp_ms: 1_571_328_406_072,
        };
        assert_eq!(notice.hash("SECRET123"), "af3acf947e6f0e0f2c267e300b8582e504dba12d1f2d058652b7414163c09f48");
    }

    /// The composed body of contract 7, byte for byte.
    #[test]
    fn the_body_is_the_contracts() {
        let notice = Notice {
            uid: 1_409,
            id: "67e0a0473c891fac7035e8d0".to_owned(),
            status: "done",
            in_amount: "0.05".to_owned(),
            out_amount: "152.3".to_owned(),
            xml_from: "ETH",
            xml_to: "WMZ",
            timestamp_ms: 1_742_774_343_407,
        };
        let told = Told {
            field: "5d8e6002b80b7b4cd75a6499".to_owned(),
            name: "Wallet".to_owned(),
            value: "Z123456789012".to_owned(),
        };
        let hash = notice.hash("ipn-secret-1");
        let body = notice.body(&[told], &hash);
        let wanted = "orderUID=1409&orderId=67e0a0473c891fac7035e8d0&newStatus=done&inAmount=0.05&outAmount=152.3\
            &xml_from=ETH&xml_to=WMZ&timestamp=1742774343407&toValues%5B0%5D%5Bkey%5D=5d8e6002b80b7b4cd75a6499\
            &toValues%5B0%5D%5Bname%5D=Wallet&toValues%5B0%5D%5Bvalue%5D=Z123456789012\
            &hash=2c180b47e9e73abb71e39ddb4b9385ad84d8ae098db374874d0d86ccf500da82";
        assert_eq!(body, wanted);
        // An order without fields about its receiver has no such part.
        assert!(!notice.body(&[], &hash).contains("toValues"));
    }
}
