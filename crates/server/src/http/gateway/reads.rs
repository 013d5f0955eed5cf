//! What everybody may read: kept, asked for again while it is shown, and shown on when the shop is away
//! (RFC 9111; RFC 5861; `Cache-Status` of RFC 9211).
//!
//! One question goes up once, however many ask it. A customer's own token is never answered with what is kept, nor is
//! his answer kept. Must never keep what the shop wants kept nowhere, nor more than [`MOST_BYTES`].

use super::Gateway;
use super::upstream::{Failure, Upstream, headers_down, private};
use super::visitor::{Listed, Visitor};
use crate::http::error::ApiError;
use crate::http::representation::Representation;
use api::pass_on::{PassOn, PassedOn};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use domain::time::{Span, Time};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// Bytes that all that is kept may take, compressed forms included.
const MOST_BYTES: u64 = 64 * 1024 * 1024;
/// An estimate, for the size of tables.
const ANSWERS: usize = 2_000;
/// How long an answer is fresh if the shop does not say; and the longest that it may say.
const USUAL_FRESHNESS: Span = Span::seconds(30);
const MOST_FRESHNESS: Span = Span::seconds(3_600);
/// For so long after that it is shown once more while the shop is asked.
const WHILE_ASKING: Span = Span::seconds(30);
/// For so long it is shown when the shop is away.
const WHILE_AWAY: Span = Span::seconds(24 * 3_600);
/// After a failure nobody waits for the shop for so long, if there is something to show.
const REST: Span = Span::seconds(2);

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// What is kept, and which questions are on their way.
pub struct Kept {
    answers: Cache<Question, Arc<Answer>, BySize, DefaultHashBuilder, DefaultLifecycle<Question, Arc<Answer>>>,
    flights: Mutex<HashMap<Question, watch::Receiver<Option<Outcome>>>>,
    /// When the shop last failed to answer, in milliseconds.
    failed_at: AtomicI64,
}

/// A path with its query, and the country that the shop may answer for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Question {
    parts: Vec<String>,
    query: Option<String>,
    country: Option<HeaderValue>,
}

/// An answer that is kept.
struct Answer {
    form: Arc<Representation>,
    /// The shop's own tag: it is asked with it whether the answer still holds.
    tag: Option<HeaderValue>,
    asked_at: Time,
    fresh_for: Span,
}

/// Where an answer was when somebody asked for it.
#[derive(Clone, Copy)]
enum How {
    Kept,
    Asked,
}

/// What came of asking.
#[derive(Clone)]
enum Outcome {
    Answer(Arc<Answer>),
    /// To be shown and not to be kept.
    Passed(Arc<PassedOn>),
    Failed(Failure),
}

#[derive(Clone)]
struct BySize;

impl Weighter<Question, Arc<Answer>> for BySize {
    fn weight(&self, _: &Question, answer: &Arc<Answer>) -> u64 {
        answer.form.most_bytes() as u64
    }
}

impl Default for Kept {
    fn default() -> Kept {
        let options = OptionsBuilder::new()
            .estimated_items_capacity(ANSWERS)
            .weight_capacity(MOST_BYTES)
            // Shards share the capacity: the brands of a large country would fit into none of many.
            .shards(1)
            .build()
            .expect("every option is set");
        let answers = Cache::with_options(options, BySize, DefaultHashBuilder::default(), DefaultLifecycle::default());
        Kept { answers, flights: Mutex::default(), failed_at: AtomicI64::new(i64::MIN) }
    }
}

/// One of the listed reads.
pub async fn show(
    State(gateway): State<Gateway>,
    Listed { parts, query }: Listed,
    visitor: Visitor,
    asked: HeaderMap,
) -> Result<Response, ApiError> {
    let mut headers = visitor.headers();
    headers.insert(header::USER_AGENT, gateway.upstream.user_agent.clone());
    let is_own = visitor.token.is_some();
    let question = Question { parts, query, country: visitor.country };
    if is_own {
        let answer = gateway.upstream.ask(question.call(headers)).await.map_err(Failure::of_read)?;
        return Ok(private(&answer));
    }
    let now = gateway.door.clock.now();
    let known = gateway.kept.answers.get(&question);
    if let Some(answer) = &known {
        let is_fresh = answer.is_fresh(now);
        let is_soon_enough =
            answer.left(now).0 > -WHILE_ASKING.0 || gateway.kept.rests(now) && answer.age(now) < WHILE_AWAY;
        if !is_fresh && is_soon_enough {
            gateway.set_out(&question, headers.clone(), known.clone());
        }
        if is_fresh || is_soon_enough {
            return Ok(answer.response(&asked, now, How::Kept).await);
        }
    }
    let stale = known.clone().filter(|answer| answer.age(now) < WHILE_AWAY);
    match gateway.fetch(question, headers, known).await {
        Outcome::Answer(answer) => Ok(answer.response(&asked, gateway.door.clock.now(), How::Asked).await),
        Outcome::Passed(answer) if is_final(answer.status) => Ok(private(&answer)),
        Outcome::Passed(answer) => match stale {
            Some(stale) => Ok(stale.response(&asked, now, How::Kept).await),
            None => Ok(private(&answer)),
        },
        Outcome::Failed(failure) => match stale {
            Some(stale) => Ok(stale.response(&asked, now, How::Kept).await),
            None => Err(failure.of_read()),
        },
    }
}

/// Nothing that is kept is a better answer.
fn is_final(status: StatusCode) -> bool {
    !status.is_server_error() && status != StatusCode::TOO_MANY_REQUESTS
}

impl Gateway {
    /// Asks the shop, together with whoever asks the same at the same time.
    async fn fetch(&self, question: Question, headers: HeaderMap, known: Option<Arc<Answer>>) -> Outcome {
        let mut flight = self.set_out(&question, headers, known);
        let outcome = flight.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
        // No outcome: the task that asked is gone.
        outcome.unwrap_or(Outcome::Failed(Failure::Unreachable))
    }

    /// The question on its way; it goes up once.
    fn set_out(
        &self,
        question: &Question,
        headers: HeaderMap,
        known: Option<Arc<Answer>>,
    ) -> watch::Receiver<Option<Outcome>> {
        let mut flights = self.kept.flights.lock().expect("nobody panics while setting out");
        if let Some(flight) = flights.get(question)
            && flight.has_changed().is_ok()
        {
            return flight.clone();
        }
        let (landing, flight) = watch::channel(None);
        flights.insert(question.clone(), flight.clone());
        let (gateway, question) = (self.clone(), question.clone());
        // A task of its own: who asked first may leave.
        tokio::spawn(async move {
            let now = gateway.door.clock.now();
            let outcome = gateway.kept.ask(&gateway.upstream, &question, headers, known, now).await;
            gateway.kept.flights.lock().expect("nobody panics while setting out").remove(&question);
            landing.send_replace(Some(outcome));
        });
        flight
    }
}

impl Kept {
    /// Nobody should wait for the shop just now.
    fn rests(&self, now: Time) -> bool {
        now.0.saturating_sub(self.failed_at.load(Ordering::Relaxed)) < REST.0
    }

    async fn ask(
        &self,
        upstream: &Upstream,
        question: &Question,
        mut headers: HeaderMap,
        known: Option<Arc<Answer>>,
        now: Time,
    ) -> Outcome {
        if let Some(tag) = known.as_ref().and_then(|known| known.tag.clone()) {
            headers.insert(header::IF_NONE_MATCH, tag);
        }
        let answer = match upstream.ask(question.call(headers)).await {
            Ok(answer) => answer,
            Err(failure) => {
                self.failed_at.store(now.0, Ordering::Relaxed);
                return Outcome::Failed(failure);
            }
        };
        let kept = match known {
            Some(known) if answer.status == StatusCode::NOT_MODIFIED => Some(known.renewed(&answer, now)),
            _ if answer.status == StatusCode::OK => Answer::new(&answer, now),
            _ => None,
        };
        if let Some(kept) = kept {
            let kept = Arc::new(kept);
            self.answers.insert(question.clone(), kept.clone());
            return Outcome::Answer(kept);
        }
        if answer.status == StatusCode::NOT_MODIFIED {
            return Outcome::Failed(Failure::Foreign(None));
        }
        if answer.status.is_server_error() {
            self.failed_at.store(now.0, Ordering::Relaxed);
        }
        Outcome::Passed(Arc::new(answer))
    }
}

impl Question {
    fn call(&self, headers: HeaderMap) -> PassOn<'_> {
        let path = self.parts.iter().map(String::as_str).collect();
        PassOn { path, query: self.query.as_deref(), headers, body: None }
    }
}

impl Answer {
    /// `None` if the shop wants it kept nowhere, or by nobody but one visitor.
    fn new(answer: &PassedOn, now: Time) -> Option<Answer> {
        let fresh_for = freshness(&answer.headers)?;
        let mut headers = headers_down(answer);
        let lifetime = format!("public, max-age={}", fresh_for.0 / 1_000);
        headers.insert(header::CACHE_CONTROL, HeaderValue::try_from(lifetime).expect("ASCII"));
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding, X-Country-ISO-Code"));
        let form = Arc::new(Representation::new(answer.body.clone(), headers));
        Some(Answer { form, tag: answer.headers.get(header::ETAG).cloned(), asked_at: now, fresh_for })
    }

    /// The shop said that it still holds.
    fn renewed(&self, answer: &PassedOn, now: Time) -> Answer {
        let fresh_for = freshness(&answer.headers).unwrap_or(Span(0));
        Answer { form: self.form.clone(), tag: self.tag.clone(), asked_at: now, fresh_for }
    }

    /// A clock that was set back makes nothing fresh for ever.
    fn age(&self, now: Time) -> Span {
        let age = now.since(self.asked_at);
        if age < Span(0) { MOST_FRESHNESS } else { age }
    }

    /// How long it is fresh yet; negative once it is stale.
    fn left(&self, now: Time) -> Span {
        Span(self.fresh_for.0 - self.age(now).0)
    }

    fn is_fresh(&self, now: Time) -> bool {
        self.left(now) > Span(0)
    }

    /// The answer, and how old it is.
    async fn response(&self, asked: &HeaderMap, now: Time, how: How) -> Response {
        let mut response = self.form.response(asked).await;
        let headers = response.headers_mut();
        headers.insert(header::AGE, HeaderValue::from(self.age(now).0 / 1_000));
        let how = match how {
            How::Kept => "hit",
            How::Asked => "fwd=miss; stored",
        };
        let status = format!("kiosk-gateway; {how}; ttl={}", self.left(now).0.div_euclid(1_000));
        headers.insert(CACHE_STATUS, HeaderValue::try_from(status).expect("ASCII"));
        if !self.is_fresh(now) {
            // Obsolete since RFC 9111 and still what most readers of headers know.
            headers.insert(header::WARNING, HeaderValue::from_static("110 kiosk-gateway \"Response is Stale\""));
        }
        response
    }
}

/// For how long the shop says that an answer is fresh, or the usual; `None` if it must not be kept.
fn freshness(headers: &HeaderMap) -> Option<Span> {
    let varies_by_all = headers.get(header::VARY).is_some_and(|value| value == "*");
    let lines = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|line| line.to_str().ok());
    let directives: Vec<String> =
        lines.flat_map(|line| line.split(',')).map(|word| word.trim().to_ascii_lowercase()).collect();
    let is_kept_from_others = |word: &String| {
        let name = word.split('=').next().unwrap_or_default();
        matches!(name, "no-store" | "private" | "no-cache")
    };
    if varies_by_all || directives.iter().any(is_kept_from_others) {
        return None;
    }
    let seconds = |name: &str| {
        let told = directives.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        told.and_then(|text| text.trim_matches('"').parse::<u32>().ok())
    };
    let told = seconds("s-maxage").or_else(|| seconds("max-age")).map(|told| Span::seconds(i64::from(told)));
    Some(told.map_or(USUAL_FRESHNESS, |told| told.min(MOST_FRESHNESS)))
}
