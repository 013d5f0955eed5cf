//! Following one order over its stream, through as many connections as that takes (store contract, section 4.5).
//!
//! The rules are those of the contract's client hook. A message is the whole order. A message that is no JSON is an error
//! for the caller and the stream stays open; JSON that is no order is dropped. A lost connection is opened again after
//! 1, 2, 4, 8, 16, then always 30 s, and only a valid order sets the wait back to 1 s, so that a server that accepts
//! connections and sends nothing useful is not called in a tight loop. `stop` ends it for ever. There is never more than
//! one connection, and dropping a [`Tracking`] closes it.
//!
//! It never polls and never decides that an order is over: the server says so. The gateway and the stories call it.

use std::pin::Pin;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{RequestBuilder, Response, StatusCode};
use serde::de::IgnoredAny;
use tokio::time::Sleep;

use crate::client::{CALL_TIMEOUT, Client, ClientError};
use crate::order::Order;
use crate::sse::{DEFAULT_EVENT_NAME, Event, Parser};

/// The wait after the first loss of a connection, and after a loss that follows a valid order.
pub const FIRST_WAIT: Duration = Duration::from_millis(1_000);

/// The longest wait.
pub const LONGEST_WAIT: Duration = Duration::from_millis(30_000);

/// The event that ends a stream for ever.
pub const STOP_EVENT_NAME: &str = "stop";

/// How long to wait before each new connection: 1, 2, 4, 8, 16, 30, 30 s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    next: Duration,
}

impl Backoff {
    /// The waits of the contract, from the first one.
    pub fn new() -> Self {
        Self { first: FIRST_WAIT, next: FIRST_WAIT }
    }

    /// The wait before the next connection; the one after it is twice as long, up to [`LONGEST_WAIT`].
    pub fn next_wait(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(LONGEST_WAIT);
        wait
    }

    /// Begins again with the first wait. Only a valid order is a reason for it.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

/// What a caller of [`Tracking::next`] is told beside orders.
#[derive(Debug, thiserror::Error)]
pub enum TrackError {
    /// A message was no JSON. The stream stays open; the next call goes on.
    #[error("the store sent a message that is not JSON; the stream goes on")]
    Malformed(#[source] serde_json::Error),
    /// A message was larger than the parser reads. The next call waits and opens a new connection.
    #[error("the store sent a message of more than 1 MiB; the next call opens a new connection")]
    TooLarge,
    /// The store answered 404. The next call gives `None`.
    #[error("the store does not know this order; check the order id and the base URL")]
    UnknownOrder,
}

/// One order being followed. See [`Client::subscribe`].
pub struct Tracking {
    client: Client,
    order_id: String,
    backoff: Backoff,
    link: Link,
}

enum Link {
    /// No connection until then.
    Waiting(Pin<Box<Sleep>>),
    /// The future is kept here and not in `next`, so that a caller that gives up on one call does not lose it.
    Connecting(Pin<Box<dyn Future<Output = Attempt> + Send>>),
    Open(Box<OpenStream>),
    Ended,
}

enum Attempt {
    Open(Box<OpenStream>),
    UnknownOrder,
    Failed,
}

struct OpenStream {
    response: Response,
    parser: Parser,
}

/// What an open stream gave.
enum Step {
    Order(Box<Order>),
    Malformed(serde_json::Error),
    Stop,
    TooLarge,
    Lost,
}

impl Client {
    /// Follows an order until nothing can change by itself any more. Nothing is sent before the first
    /// [`Tracking::next`]. Contract, sections 3.11 and 4.5.
    pub fn subscribe(&self, order_id: &str) -> Tracking {
        self.subscribe_with(order_id, Backoff::new())
    }

    fn subscribe_with(&self, order_id: &str, backoff: Backoff) -> Tracking {
        let order_id = order_id.to_owned();
        let connecting = connect(self.stream_request(&order_id));
        Tracking { client: self.clone(), order_id, backoff, link: Link::Connecting(connecting) }
    }
}

impl Tracking {
    /// The next state of the order, or `None` after the store said that it was the last one.
    ///
    /// Lost connections are opened again in here, for as long as the caller waits: put a time limit around the call if
    /// there is one. A call that is dropped loses nothing. The same state may come twice, once per connection.
    ///
    /// # Errors
    /// See [`TrackError`]; after each of them the call may be repeated.
    pub async fn next(&mut self) -> Option<Result<Order, TrackError>> {
        loop {
            match &mut self.link {
                Link::Ended => return None,
                Link::Waiting(until) => {
                    until.as_mut().await;
                    self.link = Link::Connecting(connect(self.client.stream_request(&self.order_id)));
                }
                Link::Connecting(attempt) => match attempt.as_mut().await {
                    Attempt::Open(stream) => self.link = Link::Open(stream),
                    Attempt::Failed => self.wait(),
                    Attempt::UnknownOrder => {
                        self.link = Link::Ended;
                        return Some(Err(TrackError::UnknownOrder));
                    }
                },
                Link::Open(stream) => match stream.step().await {
                    Step::Order(order) => {
                        self.backoff.reset();
                        return Some(Ok(*order));
                    }
                    Step::Malformed(source) => return Some(Err(TrackError::Malformed(source))),
                    Step::Stop => self.link = Link::Ended,
                    Step::Lost => self.wait(),
                    Step::TooLarge => {
                        self.wait();
                        return Some(Err(TrackError::TooLarge));
                    }
                },
            }
        }
    }

    /// Closes what is open and plans the next connection.
    fn wait(&mut self) {
        self.link = Link::Waiting(Box::pin(tokio::time::sleep(self.backoff.next_wait())));
    }
}

fn connect(request: Result<RequestBuilder, ClientError>) -> Pin<Box<dyn Future<Output = Attempt> + Send>> {
    Box::pin(async move {
        // What cannot stand in an address is no order's id.
        let Ok(request) = request else { return Attempt::UnknownOrder };
        // Only the head has a time limit: the body lasts as long as the order does.
        let response = match tokio::time::timeout(CALL_TIMEOUT, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(_)) | Err(_) => return Attempt::Failed,
        };
        if response.status() == StatusCode::NOT_FOUND {
            return Attempt::UnknownOrder;
        }
        if response.status().is_success() && is_event_stream(&response) {
            return Attempt::Open(Box::new(OpenStream { response, parser: Parser::new() }));
        }
        Attempt::Failed
    })
}

/// Whether an answer says that it is a stream of events.
pub fn is_event_stream(response: &Response) -> bool {
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("text/event-stream")
}

impl OpenStream {
    /// Waits for the next thing that matters. It waits for bytes only, and takes an event out only when it returns with
    /// it, so a call that is dropped loses nothing.
    async fn step(&mut self) -> Step {
        loop {
            while let Some(item) = self.parser.next_event() {
                match item {
                    Ok(event) => {
                        if let Some(step) = judge(&event) {
                            return step;
                        }
                    }
                    Err(_) => return Step::TooLarge,
                }
            }
            match self.response.chunk().await {
                Ok(Some(bytes)) => self.parser.feed(&bytes),
                Ok(None) | Err(_) => return Step::Lost,
            }
        }
    }
}

/// What an event means; `None` for one that is dropped.
fn judge(event: &Event) -> Option<Step> {
    if event.name == STOP_EVENT_NAME {
        return Some(Step::Stop);
    }
    if event.name != DEFAULT_EVENT_NAME {
        return None;
    }
    match serde_json::from_str::<Order>(&event.data) {
        Ok(order) => Some(Step::Order(Box::new(order))),
        // An order that does not fit the type and a text that is no JSON are different things to the contract.
        Err(_) => serde_json::from_str::<IgnoredAny>(&event.data).err().map(Step::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Identity;
    use crate::order::OrderState;
    use crate::testing::{Scripted, answer, order_text, stream};

    const STOP: &str = "event: stop\ndata: {}\n\n";

    fn message(state: &str) -> String {
        format!("data: {}\n\n", order_text(state))
    }

    fn event(name: &str, data: &str) -> Event {
        Event { name: name.to_owned(), data: data.to_owned(), id: None }
    }

    /// Follows the order of a scripted store. The waits are zero, so that no test waits; their length has its own test.
    async fn follow(answers: Vec<String>) -> (Scripted, Tracking) {
        let store = Scripted::start(answers).await;
        let client = Client::new(&store.base_url, Identity::default()).expect("a loopback address is a base URL");
        let at_once = Backoff { first: Duration::ZERO, next: Duration::ZERO };
        let tracking = client.subscribe_with("o-1", at_once);
        (store, tracking)
    }

    async fn next_state(tracking: &mut Tracking) -> OrderState {
        tracking.next().await.expect("the stream goes on").expect("the message is an order").order_state
    }

    #[test]
    fn the_waits_double_up_to_thirty_seconds() {
        let mut backoff = Backoff::new();
        let waits: Vec<u64> = (0..8).map(|_| backoff.next_wait().as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30]);
        backoff.reset();
        assert_eq!(backoff.next_wait(), Duration::from_millis(1_000));
        assert_eq!(backoff.next_wait(), Duration::from_millis(2_000));
    }

    #[test]
    fn an_event_is_judged_by_its_name_and_its_data() {
        assert!(matches!(judge(&event("message", &order_text("Done"))), Some(Step::Order(_))));
        assert!(matches!(judge(&event("message", "{\"order_id\":")), Some(Step::Malformed(_))));
        assert!(matches!(judge(&event("message", "")), Some(Step::Malformed(_))));
        assert!(matches!(judge(&event("stop", "not JSON")), Some(Step::Stop)));
        for dropped in ["{}", "null", "[1]", order_text("SomethingNew").as_str()] {
            assert!(judge(&event("message", dropped)).is_none(), "{dropped}");
        }
        assert!(judge(&event("other", &order_text("Done"))).is_none());
    }

    #[tokio::test]
    async fn states_come_in_order_and_stop_ends_for_ever() {
        let body = [message("WaitingForPayment"), ": ping\n\n".to_owned(), message("Done"), STOP.to_owned()].concat();
        let (mut store, mut tracking) = follow(vec![stream(&body), stream(&message("Done"))]).await;
        assert_eq!(next_state(&mut tracking).await, OrderState::WaitingForPayment);
        assert_eq!(next_state(&mut tracking).await, OrderState::Done);
        assert!(tracking.next().await.is_none());
        assert!(tracking.next().await.is_none());
        let request = store.request();
        assert!(request.starts_with("GET /v5/orders/o-1/subscribe HTTP/1.1"), "{request}");
        assert!(request.to_lowercase().contains("accept: text/event-stream"), "{request}");
        assert!(!request.to_lowercase().contains("last-event-id"), "{request}");
    }

    #[tokio::test]
    async fn a_lost_connection_is_opened_again() {
        let answers = vec![
            stream(&message("WaitingForPayment")),
            answer("503 Service Unavailable", "{}"),
            answer("200 OK", "{}"),
            stream("data: cut in the mid"),
            stream(&[message("Done"), STOP.to_owned()].concat()),
        ];
        let (_store, mut tracking) = follow(answers).await;
        assert_eq!(next_state(&mut tracking).await, OrderState::WaitingForPayment);
        assert_eq!(next_state(&mut tracking).await, OrderState::Done);
        assert!(tracking.next().await.is_none());
    }

    #[tokio::test]
    async fn a_malformed_message_is_told_and_the_stream_stays_open() {
        let body = ["data: {\n\n".to_owned(), "data: {}\n\n".to_owned(), message("Done"), STOP.to_owned()].concat();
        let (_store, mut tracking) = follow(vec![stream(&body)]).await;
        let error = tracking.next().await.expect("the stream goes on").expect_err("the first message is no JSON");
        assert!(matches!(error, TrackError::Malformed(_)), "{error:?}");
        assert_eq!(next_state(&mut tracking).await, OrderState::Done);
        assert!(tracking.next().await.is_none());
    }

    #[tokio::test]
    async fn a_message_beyond_the_limit_is_told_and_the_stream_is_opened_again() {
        let large = format!("data: {}\n\n", "x".repeat(crate::sse::MAX_EVENT_BYTES));
        let (_store, mut tracking) = follow(vec![stream(&large), stream(STOP)]).await;
        let error = tracking.next().await.expect("the stream goes on").expect_err("the message is too large");
        assert!(matches!(error, TrackError::TooLarge), "{error:?}");
        assert!(tracking.next().await.is_none());
    }

    #[tokio::test]
    async fn an_unknown_order_is_an_error_and_the_end() {
        let (_store, mut tracking) = follow(vec![answer("404 Not Found", "{}"), stream(&message("Done"))]).await;
        let error = tracking.next().await.expect("the refusal is told").expect_err("the order is unknown");
        assert!(matches!(error, TrackError::UnknownOrder), "{error:?}");
        assert!(tracking.next().await.is_none());
    }

    #[tokio::test]
    async fn only_a_valid_order_sets_the_wait_back() {
        let answers = vec![stream("data: {}\n\n"), stream(&message("Done")), answer("404 Not Found", "{}")];
        let store = Scripted::start(answers).await;
        let client = Client::new(&store.base_url, Identity::default()).expect("a loopback address is a base URL");
        // The first wait is zero so that the test does not wait; the next one shows whether it was set back.
        let mut tracking =
            client.subscribe_with("o-1", Backoff { first: Duration::ZERO, next: Duration::from_millis(1) });
        assert_eq!(next_state(&mut tracking).await, OrderState::Done);
        assert_eq!(tracking.backoff, Backoff { first: Duration::ZERO, next: Duration::ZERO });
    }
}
