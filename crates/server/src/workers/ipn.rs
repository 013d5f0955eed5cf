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
    orders: BTreeSet<OrderId>,
    receivers: BTreeMap<String, usize>,
}

impl UnderWay {
    fn begin(&mut self, job: &Job) {
        self.orders.insert(job.order);
        *self.receivers.entry(job.receiver.clone()).or_default() += 1;
    }

    fn end(&mut self, order: OrderId, receiver: &str) {
        self.orders.remove(&order);
        let count = self.receivers.get_mut(receiver).expect("what ends has begun");
        *count -= 1;
        if *count == 0 {
            self.receivers.remove(receiver);
        }
    }

    fn busy_receivers(&self) -> Vec<String> {
        self.receivers
            .iter()
            .filter(|(_, count)| **count >= MOST_TO_ONE)
            .map(|(receiver, _)| receiver.clone())
            .collect()
    }
}

/// Sends everything that waits, and ends once it is sent; for tests and the simulator.
pub async fn run_once(sender: &Sender) -> Result<Ran, WorkerError> {
    let jobs = take(sender, &UnderWay::default()).await?;
    let ran = Ran::if_any(!jobs.is_empty());
    join_all(jobs.into_iter().map(|job| send(sender.clone(), job))).await;
    Ok(ran)
}

/// Sends until `stop` turns true; what is under way then is given up, as a crash would.
pub async fn run(sender: Sender, pace: Duration, mut stop: tokio::sync::watch::Receiver<bool>) {
    let mut news = sender.engine.news();
    let mut under_way = UnderWay::default();
    let mut sending = FuturesUnordered::new();
    while !*stop.borrow() {
        news.mark_unchanged();
        match take(&sender, &under_way).await {
            Ok(jobs) => {
                for job in jobs {
                    under_way.begin(&job);
                    sending.push(send(sender.clone(), job));
                }
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "notifications not read; tried again");
            }
        }
        let (slow, soon) = (tokio::time::sleep(pace), tokio::time::sleep(BETWEEN_LOOKS));
        tokio::pin!(slow, soon);
        let mut wanted = false;
        loop {
            tokio::select! {
                Some((order, receiver)) = sending.next() => {
                    under_way.end(order, &receiver);
                    wanted = true;
                }
                _ = news.changed(), if !wanted => wanted = true,
                () = &mut soon, if wanted => break,
                () = &mut slow => break,
                _ = stop.changed() => return,
            }
        }
    }
}

/// Takes what waits, a job for each order, and none of orders that are under way or receivers that have enough.
async fn take(sender: &Sender, under_way: &UnderWay) -> Result<Vec<Job>, WorkerError> {
    let room = MOST_UNDER_WAY.saturating_sub(under_way.orders.len());
    let (orders, receivers): (Vec<OrderId>, _) =
        (under_way.orders.iter().copied().collect(), under_way.busy_receivers());
    if room == 0 {
        return Ok(Vec::new());
    }
    let due = sender.engine.db.read(move |tx| deliveries::due(tx, &receivers, &orders, AT_ONCE)).await?;
    let mut to_one = under_way.receivers.clone();
    let mut jobs = BTreeMap::<OrderId, Job>::new();
    for message in due {
        let known = jobs.contains_key(&message.order);
        let count = to_one.entry(message.receiver.clone()).or_default();
        if !known && (jobs.len() >= room || *count >= MOST_TO_ONE) {
            continue;
        }
        *count += usize::from(!known);
        let new = || Job { order: message.order, receiver: message.receiver.clone(), messages: Vec::new() };
        jobs.entry(message.order).or_insert_with(new).messages.push(message);
    }
    let seqs: Vec<i64> = jobs.values().flat_map(|job| &job.messages).map(|message| message.seq).collect();
    if seqs.is_empty() {
        return Ok(Vec::new());
    }
    let taken: BTreeSet<i64> = sender.engine.write(move |tx| deliveries::take(tx, seqs)).await?.into_iter().collect();
    let mut jobs: Vec<Job> = jobs.into_values().collect();
    // Another process may have been quicker with some.
    jobs.iter_mut().for_each(|job| job.messages.retain(|message| taken.contains(&message.seq)));
    jobs.retain(|job| !job.messages.is_empty());
    Ok(jobs)
}

async fn send(sender: Sender, job: Job) -> (OrderId, String) {
    let (id, vault) = (job.order, sender.vault.clone());
    let opened = sender.engine.db.read(move |tx| Ok(vault.open(tx, id))).await;
    match opened {
        Ok(Ok(Some(opened))) => {
            for planned in &job.messages {
                let Some(message) = message(&sender.vault, &opened, planned) else { continue };
                if let Posted::Failed { reason } = sender.poster.post(&message).await {
                    tracing::info!(order.no = opened.order.no, reason, "a notification did not arrive");
                }
            }
        }
        Ok(Ok(None)) => {}
        Ok(Err(error)) => tracing::error!(error = &error as &dyn std::error::Error, "notifications not sent"),
        Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "notifications not sent"),
    }
    (job.order, job.receiver)
}

/// One notification as contract 7 has it; none if the order's personal data were deleted.
fn message(vault: &Vault, opened: &OpenOrder, planned: &Planned) -> Option<Message> {
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
    headers.extend(standard_headers(planned.seq, planned.at.unix_seconds(), &body, secret));
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
