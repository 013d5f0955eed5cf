//! What everybody may read: kept, asked for again while it is shown, and shown on when the shop is away
//! (RFC 9111; RFC 5861; `Cache-Status` of RFC 9211).
//!
//! One question goes up once, however many ask it. A customer's own token is never answered with what is kept, nor is
//! his answer kept. Must never keep what the shop wants kept nowhere, nor more than [`MOST_BYTES`].

use super::Gateway;
use super::call::{COUNTRY, Listed, Visitor};
use super::upstream::{Failure, Upstream, headers_down, passed, private};
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
use std::time::Duration;
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
/// The longest that the shop can ask for by `Retry-After`.
const LONGEST_REST: Span = Span::seconds(60);

/// An answer that depends on one of these is one visitor's; all else that goes up is the same in every call, or part of the
/// question.
const OF_ONE_VISITOR: [&str; 2] = ["*", "x-forwarded-for"];

/// What is remembered of an answer's headers: all that is read of them.
const TOLD: [HeaderName; 6] = [
    header::CACHE_CONTROL,
    header::CONTENT_LANGUAGE,
    header::CONTENT_TYPE,
    header::ETAG,
    header::EXPIRES,
    header::VARY,
];

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// What is kept, and which questions are on their way.
pub struct Kept {
    answers: Cache<Question, Arc<Answer>, BySize, DefaultHashBuilder, DefaultLifecycle<Question, Arc<Answer>>>,
    flights: Mutex<HashMap<Question, watch::Receiver<Option<Outcome>>>>,
    /// When the shop last failed to answer, in milliseconds.
    failed_at: AtomicI64,
    /// What an answer depends on, for caches on its way.
    vary: HeaderValue,
    /// How long a visitor waits for the shop if there is something to show.
    patience: Duration,
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
    form: Representation,
    /// What the shop said of it ([`TOLD`]).
    told: HeaderMap,
    asked_at: Time,
    fresh_for: Span,
    /// The shop does not forbid it.
    shown_stale: bool,
    /// While it is stale, the shop is not asked again before: in milliseconds.
    next_try: AtomicI64,
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
    fn weight(&self, question: &Question, answer: &Arc<Answer>) -> u64 {
        let asked = question.query.as_ref().map_or(0, String::len);
        (answer.form.most_bytes() + asked) as u64
    }
}

impl Kept {
    /// Answers depend on the country that a proxy tells in that header.
    pub fn new(country_header: &HeaderName, patience: Duration) -> Kept {
        let options = OptionsBuilder::new()
            .estimated_items_capacity(ANSWERS)
            .weight_capacity(MOST_BYTES)
            // Shards share the capacity: the brands of a large country would fit into none of many.
            .shards(1)
            .build()
            .expect("every option is set");
        let answers = Cache::with_options(options, BySize, DefaultHashBuilder::default(), DefaultLifecycle::default());
        let own = if country_header == COUNTRY { String::new() } else { format!(", {country_header}") };
        let vary = HeaderValue::try_from(format!("Accept-Encoding, Authorization, X-Country-ISO-Code{own}"))
            .expect("names are ASCII");
        Kept { answers, flights: Mutex::default(), failed_at: AtomicI64::new(i64::MIN), vary, patience }
    }
}

/// One of the listed reads.
pub async fn show(
    State(gateway): State<Gateway>,
    Listed { parts, query }: Listed,
    visitor: Visitor,
    asked: HeaderMap,
) -> Result<Response, ApiError> {
    let question = Question { parts, query, country: visitor.country.clone() };
    if visitor.token.is_some() {
        gateway.door.count_up(&visitor).map_err(ApiError::too_many)?;
        let mut headers = visitor.headers();
        headers.insert(header::USER_AGENT, gateway.upstream.user_agent.clone());
        let answer = gateway.upstream.ask(question.call(headers)).await.map_err(Failure::of_read)?;
        return Ok(private(&answer));
    }
    let now = gateway.door.clock.now();
    let known = gateway.kept.answers.get(&question);
    if let Some(answer) = known.as_ref().filter(|answer| answer.is_fresh(now)) {
        return Ok(answer.response(&asked, now, How::Kept).await);
    }
    let stale = known.filter(|answer| answer.may_be_shown_stale(&question, now));
    let in_time = stale.as_ref().is_some_and(|stale| stale.left(now).0 > -WHILE_ASKING.0);
    let way = gateway.set_out(&question, if in_time { None } else { Some(&visitor) });
    let outcome = match (way, &stale) {
        (Way::Kept(answer), _) => Outcome::Answer(answer),
        (Way::Limited(seconds), None) => return Err(ApiError::too_many(seconds)),
        (Way::Resting | Way::Limited(_) | Way::Joined(_), Some(stale)) => {
            return Ok(stale.response(&asked, now, How::Kept).await);
        }
        (Way::SetOut(_), Some(stale)) if in_time => return Ok(stale.response(&asked, now, How::Kept).await),
        // Nobody waits long for what may not come, if there is something to show.
        (Way::SetOut(flight), Some(_)) => {
            let landed = tokio::time::timeout(gateway.kept.patience, land(flight)).await;
            landed.unwrap_or(Outcome::Failed(Failure::TimedOut))
        }
        (Way::SetOut(flight) | Way::Joined(flight), None) => land(flight).await,
        (Way::Resting, None) => Outcome::Failed(Failure::Unreachable),
    };
    match (outcome, stale) {
        (Outcome::Answer(answer), _) => Ok(answer.response(&asked, gateway.door.clock.now(), How::Asked).await),
        (Outcome::Passed(answer), _) if question.is_final(&answer) => Ok(private(&answer)),
        (Outcome::Passed(_) | Outcome::Failed(_), Some(stale)) => Ok(stale.response(&asked, now, How::Kept).await),
        (Outcome::Passed(answer), None) => Ok(private(&answer)),
        (Outcome::Failed(failure), None) => Err(failure.of_read()),
    }
}

/// What becomes of a question.
enum Way {
    /// It has been answered since the caller looked.
    Kept(Arc<Answer>),
    /// The shop was asked a moment ago, and there is something to show.
    Resting,
    /// The visitor may not ask more, for so many seconds.
    Limited(u32),
    /// Somebody else asks the same.
    Joined(Flight),
    SetOut(Flight),
}

type Flight = watch::Receiver<Option<Outcome>>;

async fn land(mut flight: Flight) -> Outcome {
    let outcome = flight.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
    // No outcome: the task that asked is gone.
    outcome.unwrap_or(Outcome::Failed(Failure::Unreachable))
}

impl Gateway {
    /// How many questions are on their way.
    pub fn open_questions(&self) -> usize {
        self.kept.flights.lock().expect("nobody panics while setting out").len()
    }

    /// Asks the shop, once for all who ask the same at the same time, and in nobody's name, because the answer is
    /// everybody's. `waits` is who waits for it: to him it counts.
    fn set_out(&self, question: &Question, waits: Option<&Visitor>) -> Way {
        let mut flights = self.kept.flights.lock().expect("nobody panics while setting out");
        if let Some(flight) = flights.get(question).filter(|flight| flight.has_changed().is_ok()) {
            return Way::Joined(flight.clone());
        }
        // Looked up again: what is kept is kept before its flight is forgotten.
        let now = self.door.clock.now();
        let known = self.kept.answers.get(question);
        if let Some(known) = &known {
            if known.is_fresh(now) {
                return Way::Kept(known.clone());
            }
            let rests = self.kept.rests(now) || !known.may_be_asked_for(now);
            if rests && known.may_be_shown_stale(question, now) {
                return Way::Resting;
            }
        }
        if let Some(Err(seconds)) = waits.map(|visitor| self.door.count_up(visitor)) {
            return Way::Limited(seconds);
        }
        let (landing, flight) = watch::channel(None);
        flights.insert(question.clone(), flight.clone());
        // A task of its own: who asked first may leave.
        tokio::spawn(self.clone().fly(question.clone(), known, now, landing));
        Way::SetOut(flight)
    }

    async fn fly(
        self,
        question: Question,
        known: Option<Arc<Answer>>,
        now: Time,
        landing: watch::Sender<Option<Outcome>>,
    ) {
        let outcome = self.kept.ask(&self.upstream, &question, known.clone(), now).await;
        let landed = self.door.clock.now();
        if outcome.is_failure() {
            self.kept.failed_at.store(landed.0, Ordering::Relaxed);
        }
        let asked_to_wait = match &outcome {
            Outcome::Passed(answer) => retry_after(&answer.headers),
            Outcome::Answer(_) | Outcome::Failed(_) => Span(0),
        };
        if let Some(known) = known {
            known.not_before(landed + asked_to_wait.max(REST));
        }
        self.kept.flights.lock().expect("nobody panics while setting out").remove(&question);
        landing.send_replace(Some(outcome));
    }
}

impl Kept {
    /// Nobody should wait for the shop just now.
    fn rests(&self, now: Time) -> bool {
        let since = now.0.saturating_sub(self.failed_at.load(Ordering::Relaxed));
        // A clock that was set back ends the rest.
        (0..REST.0).contains(&since)
    }

    async fn ask(&self, upstream: &Upstream, question: &Question, known: Option<Arc<Answer>>, now: Time) -> Outcome {
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, upstream.user_agent.clone());
        headers.extend(question.country.clone().map(|country| (COUNTRY, country)));
        let known = known.and_then(|known| Some((known.told.get(header::ETAG).cloned()?, known)));
        headers.extend(known.as_ref().map(|(tag, _)| (header::IF_NONE_MATCH, tag.clone())));
        let mut answer = match upstream.ask(question.call(headers)).await {
            Ok(answer) => answer,
            Err(failure) => return Outcome::Failed(failure),
        };
        if answer.status == StatusCode::NOT_MODIFIED {
            let Some((_, known)) = known else { return Outcome::Failed(Failure::Foreign(None)) };
            answer = known.renewed(answer);
        }
        if answer.status != StatusCode::OK {
            if question.is_final(&answer) {
                self.answers.remove(question);
            }
            return Outcome::Passed(Arc::new(answer));
        }
        match Answer::new(&answer, &self.vary, now) {
            Some(kept) => {
                let kept = Arc::new(kept);
                self.answers.insert(question.clone(), kept.clone());
                Outcome::Answer(kept)
            }
            None => {
                self.answers.remove(question);
                Outcome::Passed(Arc::new(answer))
            }
        }
    }
}

impl Question {
    fn call(&self, headers: HeaderMap) -> PassOn<'_> {
        let path = self.parts.iter().map(String::as_str).collect();
        PassOn { path, query: self.query.as_deref(), headers, body: None }
    }

    /// Whether the answer is a price and nothing else: it is worth nothing without a shop that sells for it.
    fn is_price(&self) -> bool {
        self.parts.first().is_some_and(|part| part == "v4")
    }

    /// Whether the answer names prices: of one face value, of a brand's products, of what a search found.
    fn has_prices(&self) -> bool {
        let begins = |words: [&str; 2]| self.parts.iter().take(2).eq(words.iter());
        self.is_price() || begins(["v5", "products"]) || begins(["v2", "search"])
    }

    /// Whether nothing that is kept is a better answer. A shop that refuses to name a price, because its rate is too old,
    /// is not overruled.
    fn is_final(&self, answer: &PassedOn) -> bool {
        let refuses_price = || {
            let body = serde_json::from_slice::<api::ErrorBody>(&answer.body);
            body.is_ok_and(|body| body.code() == "RATE_UNAVAILABLE")
        };
        match answer.status {
            StatusCode::TOO_MANY_REQUESTS => false,
            status if status.is_server_error() => self.has_prices() && refuses_price(),
            _ => true,
        }
    }
}

impl Outcome {
    /// Whether the shop is away, as far as this tells.
    fn is_failure(&self) -> bool {
        match self {
            Outcome::Failed(Failure::Unreachable | Failure::TimedOut) => true,
            Outcome::Failed(Failure::Foreign(status)) => status.is_some_and(|status| status.is_server_error()),
            // Whatever it says, a shop that says it is there.
            Outcome::Answer(_) | Outcome::Passed(_) | Outcome::Failed(Failure::Busy) => false,
        }
    }
}

impl Answer {
    /// `None` if the shop wants it kept nowhere, or by nobody but one visitor.
    fn new(answer: &PassedOn, vary: &HeaderValue, now: Time) -> Option<Answer> {
        let Freshness { fresh_for, downstream, shown_stale } = freshness(&answer.headers)?;
        let mut headers = headers_down(answer);
        let forbidding = if shown_stale { "" } else { ", must-revalidate" };
        let lifetime = format!("public, max-age={}{forbidding}", downstream.0 / 1_000);
        headers.insert(header::CACHE_CONTROL, HeaderValue::try_from(lifetime).expect("ASCII"));
        headers.insert(header::VARY, vary.clone());
        let form = Representation::new(answer.body.clone(), headers);
        // It may have been kept on its way before.
        let age = seconds_of(&answer.headers, header::AGE).unwrap_or(Span(0));
        let told = passed(answer, TOLD).collect();
        let asked_at = Time(now.0 - age.0);
        let next_try = AtomicI64::new((now + REST).0);
        Some(Answer { form, told, asked_at, fresh_for, shown_stale, next_try })
    }

    /// The shop said that it still holds: the body with the headers of then, but where it says something new
    /// (RFC 9111 section 3.2).
    fn renewed(&self, answer: PassedOn) -> PassedOn {
        let mut headers = self.told.clone();
        for name in answer.headers.keys() {
            headers.remove(name);
        }
        headers.extend(answer.headers);
        PassedOn { status: StatusCode::OK, headers, body: self.form.body().clone() }
    }

    fn may_be_asked_for(&self, now: Time) -> bool {
        let next_try = self.next_try.load(Ordering::Relaxed);
        // A clock that was set back makes nobody wait longer than the longest wait.
        now.0 >= next_try || next_try - now.0 > LONGEST_REST.0
    }

    fn not_before(&self, time: Time) {
        self.next_try.store(time.0, Ordering::Relaxed);
    }

    fn may_be_shown_stale(&self, question: &Question, now: Time) -> bool {
        let longest = if question.is_price() { Span(self.fresh_for.0 + WHILE_ASKING.0) } else { WHILE_AWAY };
        self.shown_stale && self.age(now) < longest
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

/// What the shop says about keeping an answer.
struct Freshness {
    fresh_for: Span,
    /// The same for those who keep it further down.
    downstream: Span,
    /// Whether it may be shown after that.
    shown_stale: bool,
}

/// `None` if the answer must not be kept (RFC 9111 sections 4.2, 5.2.2 and 5.3).
fn freshness(headers: &HeaderMap) -> Option<Freshness> {
    let lower = |value: &HeaderValue| value.to_str().map(str::to_ascii_lowercase).unwrap_or_else(|_| "*".to_owned());
    let listed = |name: HeaderName| -> Vec<String> {
        let lines: Vec<String> = headers.get_all(name).iter().map(lower).collect();
        lines.iter().flat_map(|line| line.split(',')).map(|word| word.trim().to_owned()).collect()
    };
    let is_of_one = listed(header::VARY).iter().any(|name| OF_ONE_VISITOR.contains(&name.as_str()));
    let directives = listed(header::CACHE_CONTROL);
    let has =
        |names: &[&str]| directives.iter().any(|word| names.contains(&word.split('=').next().unwrap_or_default()));
    if is_of_one || has(&["no-store", "private", "no-cache", "*"]) {
        return None;
    }
    let seconds = |name: &str| {
        let told = directives.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        let told = told.and_then(|text| text.trim_matches('"').parse::<u32>().ok());
        told.map(|told| Span::seconds(i64::from(told)).min(MOST_FRESHNESS))
    };
    // A date is not read: who sends one and no age is asked each time.
    let unsaid = if headers.contains_key(header::EXPIRES) { Span(0) } else { USUAL_FRESHNESS };
    let for_all = seconds("max-age").unwrap_or(unsaid);
    let fresh_for = seconds("s-maxage").unwrap_or(for_all);
    let allows_stale = has(&["stale-while-revalidate", "stale-if-error"]);
    let forbids_stale = has(&["must-revalidate", "proxy-revalidate"]) || has(&["s-maxage"]) && !allows_stale;
    Some(Freshness { fresh_for, downstream: fresh_for.min(for_all), shown_stale: !forbids_stale })
}

/// How long the shop asks not to be called, at most [`LONGEST_REST`].
fn retry_after(headers: &HeaderMap) -> Span {
    seconds_of(headers, header::RETRY_AFTER).unwrap_or(Span(0)).min(LONGEST_REST)
}

/// A header that counts seconds.
fn seconds_of(headers: &HeaderMap, name: HeaderName) -> Option<Span> {
    let count = headers.get(name)?.to_str().ok()?.trim().parse::<u32>().ok()?;
    Some(Span::seconds(i64::from(count)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_shop_says_of_keeping_is_kept_to() {
        // Lines of the answer; fresh for, downstream, and whether it may be shown stale.
        for (lines, expected) in [
            ("", Some((30, 30, true))),
            ("cache-control: public, max-age=5", Some((5, 5, true))),
            ("cache-control: Max-Age=\"5\"", Some((5, 5, true))),
            ("cache-control: max-age=86400", Some((3_600, 3_600, true))),
            ("cache-control: max-age=60, must-revalidate", Some((60, 60, false))),
            ("cache-control: max-age=0, s-maxage=300", Some((300, 0, false))),
            ("cache-control: s-maxage=300, stale-if-error=600", Some((300, 30, true))),
            ("expires: 0", Some((0, 0, true))),
            ("expires: 0\ncache-control: max-age=7", Some((7, 7, true))),
            ("vary: Accept-Encoding, X-Country-ISO-Code", Some((30, 30, true))),
            ("vary: accept-encoding\nvary: X-Forwarded-For", None),
            ("vary: accept, *", None),
            ("cache-control: no-store", None),
            ("cache-control: max-age=5\ncache-control: private", None),
            ("cache-control: no-cache=\"set-cookie\"", None),
        ] {
            let header = |line: &str| {
                let (name, value) = line.split_once(": ").expect("a header");
                (HeaderName::try_from(name).expect("a name"), HeaderValue::try_from(value).expect("a value"))
            };
            let mut headers = HeaderMap::new();
            lines.lines().map(header).for_each(|(name, value)| {
                headers.append(name, value);
            });
            let told = freshness(&headers);
            let told = told.map(|told| (told.fresh_for.0 / 1_000, told.downstream.0 / 1_000, told.shown_stale));
            assert_eq!(told, expected, "{lines:?}");
        }
    }
}
