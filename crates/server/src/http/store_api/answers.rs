//! Answers of the read endpoints, made once and kept: a hit is one hash lookup and the same bytes again.
//!
//! What is kept belongs to one snapshot and goes with it. Answers with prices also end by time, because a rate can
//! become too old to sell with while nothing else changes. Must never keep what is quicker made anew (a price, an empty
//! list): whoever asks for ever new things would push out what others need. Called by `reads`.

#[cfg(test)]
mod tests;

use super::catalogue::{Question, Refused, View};
use super::reads::Asked;
use crate::entropy::to_hex;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use domain::time::{Span, Time};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::sync::{Arc, RwLock};
use tokio::sync::OnceCell;

/// Bytes that all kept answers may take, their compressed forms included.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// Different questions whose answers are kept.
const MOST_ANSWERS: usize = 2_000;
/// Different spellings of questions that are known at once.
const MOST_TEXTS: usize = 4_000;
/// Longer requests are always read in full.
const LONGEST_TEXT: usize = 1_024;
/// Most that an answer takes beside its body and the compressed one: headers, question, entries.
const OVERHEAD_BYTES: usize = 4 * 1024;
/// Smaller bodies gain nothing from compression.
const LEAST_COMPRESSED: usize = 1_024;
/// How long an answer with prices is kept.
const PRICED_LIFETIME: Span = Span::seconds(30);
const CACHE_CONTROL: &str = "public, max-age=30";

/// The answers of this process.
#[derive(Default)]
pub struct Answers {
    kept: RwLock<Kept>,
    /// Seeded per process, so that nobody can choose requests that collide.
    hasher: RandomState,
}

/// What is kept of one snapshot.
#[derive(Default)]
struct Kept {
    serial: u64,
    bytes: usize,
    answers: HashMap<Question, Arc<Answer>>,
    /// By the hash of the request, so that looking one up allocates nothing.
    texts: HashMap<u64, Text>,
}

/// A request as it was sent, with its answer.
struct Text {
    /// Path, query, country and partner.
    parts: [Box<str>; 4],
    answer: Arc<Answer>,
}

/// One body with its headers, plain and compressed.
pub struct Answer {
    made_at: Time,
    /// `None`: as long as its snapshot.
    lifetime: Option<Span>,
    body: Bytes,
    plain: HeaderMap,
    compressed: HeaderMap,
    /// Made when somebody first asks for it.
    compressed_body: OnceCell<Bytes>,
}

impl Answers {
    /// The answer to a request that was sent with the same text before, if it still holds.
    pub fn recall(&self, asked: &Asked<'_>, serial: u64, now: Time) -> Option<Arc<Answer>> {
        let hash = self.hasher.hash_one(asked);
        let kept = self.kept.read().expect("nobody panics while keeping answers");
        let text = kept.texts.get(&hash).filter(|text| kept.serial == serial && text.is(asked))?;
        text.answer.holds(now).then(|| text.answer.clone())
    }

    /// The kept answer to a question that was perhaps spelled otherwise, else a new one. Errors: as [`View::answer`];
    /// a refusal is not kept.
    pub fn answer(&self, asked: &Asked<'_>, question: Question, view: &View<'_>) -> Result<Arc<Answer>, Refused> {
        let serial = view.snapshot.serial;
        if let Some(known) = self.known(&question, serial, view.now) {
            self.change(serial, |kept| kept.note(self.hasher.hash_one(asked), asked, &known));
            return Ok(known);
        }
        let body = view.answer(&question)?;
        let answer = Arc::new(Answer::new(body, &question, view.now));
        if is_worth_keeping(&question, &answer) {
            self.change(serial, |kept| {
                kept.keep(question, &answer);
                kept.note(self.hasher.hash_one(asked), asked, &answer);
            });
        }
        Ok(answer)
    }

    fn known(&self, question: &Question, serial: u64, now: Time) -> Option<Arc<Answer>> {
        let kept = self.kept.read().expect("nobody panics while keeping answers");
        let known = kept.answers.get(question).filter(|answer| kept.serial == serial && answer.holds(now));
        known.cloned()
    }

    /// Changes what is kept of a snapshot; not if a newer one has already come.
    fn change(&self, serial: u64, change: impl FnOnce(&mut Kept)) {
        let mut kept = self.kept.write().expect("nobody panics while keeping answers");
        if kept.serial < serial {
            *kept = Kept { serial, ..Kept::default() };
        }
        if kept.serial == serial {
            change(&mut kept);
        }
    }
}

impl Kept {
    fn keep(&mut self, question: Question, answer: &Arc<Answer>) {
        if self.answers.len() >= MOST_ANSWERS || self.bytes + answer.cost() > MOST_BYTES {
            *self = Kept { serial: self.serial, ..Kept::default() };
        }
        self.bytes += answer.cost();
        if let Some(replaced) = self.answers.insert(question, answer.clone()) {
            self.bytes -= replaced.cost();
            // Else other spellings would hold on to answers that nobody counts.
            self.texts.retain(|_, text| !Arc::ptr_eq(&text.answer, &replaced));
        }
    }

    fn note(&mut self, hash: u64, asked: &Asked<'_>, answer: &Arc<Answer>) {
        let parts = asked.parts();
        if parts.iter().map(|part| part.len()).sum::<usize>() > LONGEST_TEXT {
            return;
        }
        if self.texts.len() >= MOST_TEXTS {
            self.texts.clear();
        }
        self.texts.insert(hash, Text { parts: parts.map(Box::from), answer: answer.clone() });
    }
}

impl Text {
    fn is(&self, asked: &Asked<'_>) -> bool {
        self.parts.iter().zip(asked.parts()).all(|(kept, asked)| **kept == *asked)
    }
}

/// A price is made quicker than looked after, and so is an empty list.
fn is_worth_keeping(question: &Question, answer: &Answer) -> bool {
    let is_priced_alone = matches!(question, Question::Price(_));
    !is_priced_alone && *answer.body != *b"[]" && answer.cost() <= MOST_BYTES
}

impl Answer {
    fn new(body: Vec<u8>, question: &Question, now: Time) -> Answer {
        let tag = entity_tag(&body);
        let (lifetime, vary) = match question {
            Question::PaymentVias | Question::Currencies | Question::Countries => (None, "Accept-Encoding"),
            Question::Brands { .. } | Question::Homepage { .. } => (None, "Accept-Encoding, X-Country-ISO-Code"),
            Question::Search(_) | Question::Products(_) | Question::Price(_) => {
                (Some(PRICED_LIFETIME), "Accept-Encoding, X-Cr-Application")
            }
        };
        let mut plain = HeaderMap::new();
        plain.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        plain.insert(header::CACHE_CONTROL, HeaderValue::from_static(CACHE_CONTROL));
        plain.insert(header::VARY, HeaderValue::from_static(vary));
        plain.insert(header::ETAG, quoted(&tag));
        let mut compressed = plain.clone();
        compressed.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        // Other bytes need another strong tag (RFC 9110 section 8.8.3).
        compressed.insert(header::ETAG, quoted(&format!("{tag}-gzip")));
        Answer { made_at: now, lifetime, body: body.into(), plain, compressed, compressed_body: OnceCell::new() }
    }

    /// Whether it may still be given. A clock that was set back counts as time that has passed.
    fn holds(&self, now: Time) -> bool {
        let age = now.since(self.made_at);
        self.lifetime.is_none_or(|lifetime| age >= Span(0) && age < lifetime)
    }

    fn cost(&self) -> usize {
        2 * self.body.len() + OVERHEAD_BYTES
    }

    /// The response to a request with these headers: 304 if the asker has it, else the body, compressed if that is
    /// taken.
    pub async fn response(&self, asked: &HeaderMap) -> Response {
        if let Some(known) = already_known(asked, &[&self.plain, &self.compressed]) {
            return not_modified(known);
        }
        if self.body.len() > LEAST_COMPRESSED
            && accepts_gzip(asked)
            && let Some(body) = self.compressed_body().await
        {
            return full(&self.compressed, body);
        }
        full(&self.plain, &self.body)
    }

    /// Made once, however many ask at the same time; `None` if it cannot be made.
    async fn compressed_body(&self) -> Option<&Bytes> {
        let make = || {
            let body = self.body.clone();
            async move {
                // Milliseconds for a large body: not on a thread that serves sockets.
                let packed = tokio::task::spawn_blocking(move || gzip(&body)).await.map_err(std::io::Error::other)?;
                packed.map(Bytes::from)
            }
        };
        match self.compressed_body.get_or_try_init(make).await {
            Ok(body) => Some(body),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "an answer could not be compressed");
                None
            }
        }
    }
}

/// A strong entity tag without its quotes: half of a SHA-256 is unique enough for what one address ever answers.
pub(super) fn entity_tag(body: &[u8]) -> String {
    let digest = Sha256::digest(body);
    to_hex(&digest[..16])
}

/// An entity tag as a header.
pub(super) fn quoted(tag: &str) -> HeaderValue {
    HeaderValue::try_from(format!("\"{tag}\"")).expect("hexadecimal digits are fit for a header")
}

/// The whole body under prepared headers.
pub(super) fn full(headers: &HeaderMap, body: &Bytes) -> Response {
    let mut response = Response::new(Body::from(body.clone()));
    *response.headers_mut() = headers.clone();
    response
}

/// 304 with the headers that a cache updates (RFC 9110 section 15.4.5).
pub(super) fn not_modified(headers: &HeaderMap) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    for name in [header::CACHE_CONTROL, header::ETAG, header::VARY] {
        if let Some(value) = headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

/// The form whose entity tag `If-None-Match` names; tags are compared weakly (RFC 9110 section 13.1.2).
pub(super) fn already_known<'a>(asked: &HeaderMap, forms: &[&'a HeaderMap]) -> Option<&'a HeaderMap> {
    let lines = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
    let mut tags = lines.flat_map(|line| line.split(',')).map(str::trim);
    tags.find_map(|tag| {
        let tag = tag.strip_prefix("W/").unwrap_or(tag);
        let names = |form: &&&'a HeaderMap| tag == "*" || form.get(header::ETAG).is_some_and(|own| own == tag);
        forms.iter().find(names).copied()
    })
}

/// Whether `Accept-Encoding` takes gzip, by name or by `*`, and not with `q=0` (RFC 9110 section 12.5.3).
fn accepts_gzip(asked: &HeaderMap) -> bool {
    let lines = asked.get_all(header::ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    let mut any_coding = false;
    for item in lines.flat_map(|line| line.split(',')) {
        let (coding, weight) = item.split_once(';').unwrap_or((item, ""));
        let coding = coding.trim();
        if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") {
            return !is_zero(weight);
        }
        if coding == "*" {
            any_coding = !is_zero(weight);
        }
    }
    any_coding
}

/// `q=0`, `q=0.000`.
fn is_zero(weight: &str) -> bool {
    let value = weight.split_once('=').map(|(_, value)| value.trim());
    value.is_some_and(|value| value.bytes().all(|digit| matches!(digit, b'0' | b'.')))
}

fn gzip(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::new(6));
    encoder.write_all(body)?;
    encoder.finish()
}
