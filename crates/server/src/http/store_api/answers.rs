//! Answers of the read endpoints, made once and kept: a hit is one hash lookup and the same bytes again.
//!
//! What is kept belongs to one snapshot and goes with it. Answers with prices also end by time, because a rate can
//! become too old to sell with while nothing else changes. Must never keep what is quicker made anew (a price, an empty
//! list): whoever asks for ever new things would push out what others need. Called by `reads`.

#[cfg(test)]
mod tests;

use super::catalogue::{Question, Refused, View};
use super::reads::Asked;
use crate::http::representation::Representation;
use axum::http::{HeaderMap, HeaderValue, header};
use domain::time::{Span, Time};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, RwLock};

/// Bytes that all kept answers may take, their compressed forms included.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// Different questions whose answers are kept.
const MOST_ANSWERS: usize = 2_000;
/// Different spellings of questions that are known at once.
const MOST_TEXTS: usize = 4_000;
/// Longer requests are always read in full.
const LONGEST_TEXT: usize = 1_024;
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

/// One answer, and how long it may be given.
pub struct Answer {
    made_at: Time,
    /// `None`: as long as its snapshot.
    lifetime: Option<Span>,
    pub form: Representation,
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
    !is_priced_alone && **answer.form.body() != *b"[]" && answer.cost() <= MOST_BYTES
}

impl Answer {
    fn new(body: Vec<u8>, question: &Question, now: Time) -> Answer {
        let (lifetime, vary) = match question {
            Question::PaymentVias | Question::Currencies | Question::Countries => (None, "Accept-Encoding"),
            Question::Brands { .. } | Question::Homepage { .. } => (None, "Accept-Encoding, X-Country-ISO-Code"),
            Question::Search(_) | Question::Products(_) | Question::Price(_) => {
                (Some(PRICED_LIFETIME), "Accept-Encoding, X-Cr-Application")
            }
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(CACHE_CONTROL));
        headers.insert(header::VARY, HeaderValue::from_static(vary));
        Answer { made_at: now, lifetime, form: Representation::new(body.into(), headers) }
    }

    /// Whether it may still be given. A clock that was set back counts as time that has passed.
    fn holds(&self, now: Time) -> bool {
        let age = now.since(self.made_at);
        self.lifetime.is_none_or(|lifetime| age >= Span(0) && age < lifetime)
    }

    fn cost(&self) -> usize {
        self.form.most_bytes()
    }
}
