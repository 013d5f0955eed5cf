//! Notifications of exchange orders (exchange contract 7): each change once, those of one order in their order.
//!
//! A message is taken in the database before it is sent: it may be lost, never repeated. A receiver who is slow keeps
//! nobody waiting but himself: so many of his messages are under way at once, and no more are taken.

use super::{Ran, WorkerError};
use crate::engine::Engine;
use crate::entropy::to_hex;
use crate::ports::{Message, Posted, Poster};
use crate::store::deliveries::{self, Planned};
use crate::vault::{OpenOrder, Told, Vault};
use domain::ids::OrderId;
use domain::time::{Span, Time};
use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Messages taken at once.
const AT_ONCE: i64 = 256;
/// Orders whose messages are under way, in all and to one receiver.
const MOST_UNDER_WAY: usize = 1_024;
const MOST_TO_ONE: usize = 64;
/// The same to receivers that have not answered lately, all together and each: whoever names addresses that never answer
/// takes no place away from those that do.
const MOST_UNPROVEN: usize = 256;
const MOST_TO_ONE_UNPROVEN: usize = 8;
/// Receivers that are remembered for having answered.
const MOST_PROVEN: usize = 10_000;
/// After so long a message counts as sent though nobody said so: whoever took it is gone.
const GIVEN_UP: Span = Span::minutes(10);
/// Messages wait for so long.
const KEPT: Span = Span::hours(7 * 24);
/// When the server stops, what is under way may take so long.
const DRAIN: Duration = Duration::from_secs(10);

/// However much happens, the database is not asked more often than this.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// What sending takes.
#[derive(Clone)]
pub struct Sender {
    pub engine: Engine,
    pub vault: Arc<Vault>,
    pub poster: Arc<dyn Poster>,
}

/// The messages of one order that were taken together, in their order.
struct Job {
    order: OrderId,
    receiver: String,
    messages: Vec<Planned>,
}

/// What is under way.
#[derive(Default)]
struct UnderWay {
    orders: usize,
    unproven: usize,
    receivers: BTreeMap<String, usize>,
    /// Receivers that answered when they were told something last.
    proven: BTreeSet<String>,
    /// Sent, and not noted yet.
    finished: Vec<i64>,
}

/// What became of a job.
struct Ended {
    receiver: String,
    seqs: Vec<i64>,
    answered: bool,
}

impl UnderWay {
    /// Whether another job to that receiver may begin.
    fn has_room(&self, receiver: &str) -> bool {
        let to_one = self.receivers.get(receiver).copied().unwrap_or(0);
        match self.proven.contains(receiver) {
            true => self.orders < MOST_UNDER_WAY && to_one < MOST_TO_ONE,
            false => self.unproven < MOST_UNPROVEN && to_one < MOST_TO_ONE_UNPROVEN,
        }
    }

    fn begin(&mut self, receiver: &str) {
        self.orders += 1;
        self.unproven += usize::from(!self.proven.contains(receiver));
        *self.receivers.entry(receiver.to_owned()).or_default() += 1;
    }

    fn end(&mut self, ended: Ended) {
        self.orders -= 1;
        let others = self.receivers.remove(&ended.receiver).expect("what ends has begun") - 1;
        let was_proven = self.proven.contains(&ended.receiver);
        if !was_proven {
            self.unproven -= 1;
        }
        if was_proven != ended.answered {
            // Its other jobs move to the other side.
            if ended.answered {
                self.unproven -= others;
                // One that has nothing under way: what was begun as proven ends as proven.
                let idle = self.proven.iter().find(|known| !self.receivers.contains_key(*known)).cloned();
                if self.proven.len() >= MOST_PROVEN
                    && let Some(idle) = idle
                {
                    self.proven.remove(&idle);
                }
                self.proven.insert(ended.receiver.clone());
            } else {
                self.unproven += others;
                self.proven.remove(&ended.receiver);
            }
        }
        if others > 0 {
            self.receivers.insert(ended.receiver, others);
        }
        self.finished.extend(ended.seqs);
    }

    /// While strangers have all their places, only those are asked for who have answered.
    fn only(&self) -> Vec<String> {
        if self.unproven < MOST_UNPROVEN { Vec::new() } else { self.proven.iter().cloned().collect() }
    }

    fn busy_receivers(&self) -> Vec<String> {
        self.receivers.keys().filter(|receiver| !self.has_room(receiver)).cloned().collect()
    }
}

/// Sends everything that waits, and ends once it is sent; for tests and the simulator.
pub async fn run_once(sender: &Sender) -> Result<Ran, WorkerError> {
    let mut under_way = UnderWay::default();
    let jobs = take(sender, &mut under_way).await?;
    let ran = Ran::if_any(!jobs.is_empty());
    for ended in join_all(jobs.into_iter().map(|job| send(sender.clone(), job))).await {
        under_way.end(ended);
    }
    note(sender, &mut under_way).await?;
    Ok(ran)
}

/// Sends until `stop` turns true, and then to the end of what is under way.
pub async fn run(sender: Sender, pace: Duration, mut stop: tokio::sync::watch::Receiver<bool>) {
    let mut news = sender.engine.news();
    let mut under_way = UnderWay::default();
    let mut sending = FuturesUnordered::new();
    while !*stop.borrow() {
        news.mark_unchanged();
        match take(&sender, &mut under_way).await {
            Ok(jobs) => sending.extend(jobs.into_iter().map(|job| send(sender.clone(), job))),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "notifications not read; tried again");
            }
        }
        let (slow, soon) = (tokio::time::sleep(pace), tokio::time::sleep(BETWEEN_LOOKS));
        tokio::pin!(slow, soon);
        let mut wanted = false;
        loop {
            tokio::select! {
                Some(ended) = sending.next() => {
                    under_way.end(ended);
                    wanted = true;
                }
                _ = news.changed(), if !wanted => wanted = true,
                () = &mut soon, if wanted => break,
                () = &mut slow => break,
                _ = stop.changed() => break,
            }
            if *stop.borrow() {
                break;
            }
        }
    }
    let drained = async {
        while let Some(ended) = sending.next().await {
            under_way.end(ended);
        }
    };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        tracing::warn!("some notifications were cut off by the shutdown");
    }
    if let Err(error) = note(&sender, &mut under_way).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "sent notifications not noted");
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

/// Notes what was sent, so that the next messages about the same orders may go.
async fn note(sender: &Sender, under_way: &mut UnderWay) -> Result<(), WorkerError> {
    if under_way.finished.is_empty() {
        return Ok(());
    }
    let finished = under_way.finished.clone();
    sender.engine.write(move |tx| deliveries::finish(tx, finished)).await?;
    under_way.finished.clear();
    Ok(())
}

/// Takes what waits, a job for each order: none of orders that are under way, whichever process has them, and none to
/// receivers that have enough.
async fn take(sender: &Sender, under_way: &mut UnderWay) -> Result<Vec<Job>, WorkerError> {
    note(sender, under_way).await?;
    let only = under_way.only();
    if under_way.orders >= MOST_UNDER_WAY || (only.is_empty() && under_way.unproven >= MOST_UNPROVEN) {
        return Ok(Vec::new());
    }
    let now = sender.engine.clock.now();
    let (receivers, since) = (under_way.busy_receivers(), now - GIVEN_UP);
    let due = sender.engine.db.read(move |tx| deliveries::due(tx, &receivers, &only, since, AT_ONCE)).await?;
    let mut jobs = BTreeMap::<OrderId, Job>::new();
    for message in due {
        if let Some(job) = jobs.get_mut(&message.order) {
            job.messages.push(message);
        } else if under_way.has_room(&message.receiver) {
            under_way.begin(&message.receiver);
            let job = Job { order: message.order, receiver: message.receiver.clone(), messages: vec![message] };
            jobs.insert(job.order, job);
        }
    }
    let seqs: Vec<i64> = jobs.values().flat_map(|job| &job.messages).map(|message| message.seq).collect();
    if seqs.is_empty() {
        return Ok(Vec::new());
    }
    let taken = match sender.engine.write(move |tx| deliveries::take(tx, seqs, since, now)).await {
        Ok(taken) => taken.into_iter().collect::<BTreeSet<i64>>(),
        // Whether they were taken is not known: they are left, rather than told twice.
        Err(error) => {
            jobs.into_values().for_each(|job| under_way.end(job.left()));
            return Err(error.into());
        }
    };
    // Another process may have been quicker with some.
    let (mut own, mut left) = (Vec::new(), Vec::new());
    for mut job in jobs.into_values() {
        job.messages.retain(|message| taken.contains(&message.seq));
        if job.messages.is_empty() { left.push(job) } else { own.push(job) }
    }
    left.into_iter().for_each(|job| under_way.end(job.left()));
    Ok(own)
}

impl Job {
    /// The end of a job that was not begun after all.
    fn left(self) -> Ended {
        Ended { receiver: self.receiver, seqs: Vec::new(), answered: false }
    }
}

async fn send(sender: Sender, job: Job) -> Ended {
    let (id, vault) = (job.order, sender.vault.clone());
    let opened = sender.engine.db.read(move |tx| Ok(vault.open(tx, id))).await;
    let mut answered = false;
    match opened {
        Ok(Ok(Some(opened))) => {
            for planned in &job.messages {
                let now = sender.engine.clock.now();
                let Some(message) = message(&sender.vault, &opened, planned, now) else { continue };
                match sender.poster.post(&message).await {
                    Posted::Answered { .. } => answered = true,
                    Posted::Failed { reason } => {
                        answered = false;
                        tracing::info!(order.no = opened.order.no, reason, "a notification did not arrive");
                    }
                }
            }
        }
        Ok(Ok(None)) => {}
        Ok(Err(error)) => tracing::error!(error = &error as &dyn std::error::Error, "notifications not sent"),
        Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "notifications not sent"),
    }
    Ended { receiver: job.receiver, seqs: job.messages.iter().map(|message| message.seq).collect(), answered }
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

/// The headers of Standard Webhooks 1.0, for receivers who check them instead; nothing can be signed without a secret.
fn standard_headers(seq: i64, at_seconds: i64, body: &str, secret: &str) -> Vec<(&'static str, String)> {
    let id = format!("ipn_{seq}");
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

    fn ended(receiver: &str, answered: bool) -> Ended {
        Ended { receiver: receiver.to_owned(), seqs: Vec::new(), answered }
    }

    #[test]
    fn who_never_answers_takes_no_place_from_who_does() {
        let mut under_way = UnderWay::default();
        under_way.begin("good");
        under_way.begin("good");
        under_way.end(ended("good", true));
        assert_eq!((under_way.unproven, under_way.orders), (0, 1), "its other job moved to the proven");
        for stranger in 0..MOST_UNPROVEN / MOST_TO_ONE_UNPROVEN {
            for _ in 0..MOST_TO_ONE_UNPROVEN {
                assert!(under_way.has_room(&format!("stranger-{stranger}")));
                under_way.begin(&format!("stranger-{stranger}"));
            }
            assert!(!under_way.has_room(&format!("stranger-{stranger}")), "one has only so many");
        }
        assert!(!under_way.has_room("another") && under_way.has_room("good"));
        assert_eq!(under_way.only(), ["good"]);
        under_way.end(ended("stranger-0", false));
        assert!(under_way.has_room("another") && under_way.only().is_empty());
        // One that stops answering is a stranger again.
        under_way.begin("good");
        under_way.end(ended("good", false));
        assert!(!under_way.proven.contains("good") && under_way.unproven == MOST_UNPROVEN);
    }

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
