//! One stream of the shop per order, for all who watch it (contract 4.5).
//!
//! A feed reads the shop's stream and gives each of its viewers the same bytes, whole events at a time. Who comes later
//! begins with the newest message. A feed ends with the shop's stream or its `stop`, after a minute without a byte (the
//! client's limit), or a moment after its last viewer has left. It never connects again by itself, because its viewers
//! do. A customer with a token of his own has a feed of his own.

use super::splitter::Splitter;
use super::upstream::is_packed;
use crate::http::error::ApiError;
use crate::http::handover::{Chunk, Next};
use api::sse::{DEFAULT_EVENT_NAME, Parser};
use api::track::{STOP_EVENT_NAME, is_event_stream};
use axum::http::{HeaderMap, StatusCode, header};
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, broadcast, watch};
use tokio::time::Sleep;

/// Reads of the shop's stream that a viewer may be behind; each holds whole events, one as a rule.
const MOST_UNREAD: usize = 64;
/// Feeds at a time; each is a connection to the shop.
const MOST_FEEDS: usize = 10_000;

/// How long is waited, and for what.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For the head of the shop's answer.
    pub head: Duration,
    /// For the rest of an event that has begun.
    pub rest_of_event: Duration,
    /// For another viewer, once the last one has left.
    pub viewer: Duration,
    /// For the answer to a read, if an older one is kept.
    pub if_kept: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            head: api::client::CALL_TIMEOUT,
            rest_of_event: Duration::from_secs(10),
            viewer: Duration::from_millis(500),
            if_kept: Duration::from_secs(1),
        }
    }
}

/// The open feeds.
pub struct Feeds {
    client: api::Client,
    patience: Patience,
    /// Those that anybody may join, by order.
    shared: Mutex<HashMap<String, Arc<Feed>>>,
    free: Arc<Semaphore>,
}

/// One stream of the shop.
struct Feed {
    order_id: String,
    state: Mutex<State>,
    /// What the shop answered, once it has.
    opened: watch::Sender<Option<Result<(), Refused>>>,
    /// A viewer has left.
    left: Notify,
}

struct State {
    /// The last message of an order that went out: who comes later begins with it.
    newest: Option<Chunk>,
    /// `None` once the feed is over.
    events: Option<broadcast::Sender<Chunk>>,
}

/// Why a viewer gets no stream: the status and text of contract 4.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    pub status: StatusCode,
    pub error: &'static str,
    pub retry_after_s: Option<u32>,
}

const NO_CONNECTION: Refused = Refused::new(StatusCode::BAD_GATEWAY, "Failed to connect to upstream stream");
const NO_PLACE: Refused = Refused::new(StatusCode::SERVICE_UNAVAILABLE, "Too many streams are open; try again later");

impl Refused {
    const fn new(status: StatusCode, error: &'static str) -> Refused {
        Refused { status, error, retry_after_s: None }
    }

    fn by_the_shop(status: StatusCode) -> Refused {
        Refused::new(status, "Upstream returned an error")
    }

    /// After so many seconds the next stream is welcome.
    pub fn too_many(retry_after_s: u32) -> Refused {
        let refused = Refused::new(StatusCode::TOO_MANY_REQUESTS, "Too many streams were opened; slow down");
        Refused { retry_after_s: Some(retry_after_s.max(1)), ..refused }
    }
}

impl From<ApiError> for Refused {
    /// An address that cannot be an order's is not asked for.
    fn from(_: ApiError) -> Refused {
        Refused::new(StatusCode::NOT_FOUND, "No such order")
    }
}

/// One who watches a feed.
pub struct Viewer {
    feed: Arc<Feed>,
    /// `None` once it has left.
    events: Option<broadcast::Receiver<Chunk>>,
    /// Taken out of `events`, or the message to begin with, and not yet sent.
    waiting: Option<Chunk>,
    end: Option<End>,
}

#[derive(Clone, Copy)]
enum End {
    OfFeed,
    TooFarBehind,
}

impl Feeds {
    pub fn new(client: api::Client, patience: Patience) -> Feeds {
        Feeds { client, patience, shared: Mutex::default(), free: Arc::new(Semaphore::new(MOST_FEEDS)) }
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        MOST_FEEDS - self.free.available_permits()
    }

    /// Whether somebody watches that order, so that another viewer costs the shop nothing.
    pub fn has(&self, order_id: &str) -> bool {
        self.shared.lock().expect("nobody panics while registering").contains_key(order_id)
    }

    /// Joins the order's feed; the first viewer's `headers` open it.
    pub async fn open_shared(self: &Arc<Self>, order_id: &str, headers: HeaderMap) -> Result<Viewer, Refused> {
        let (viewer, begun) = {
            let mut shared = self.shared.lock().expect("nobody panics while registering");
            match shared.get(order_id).and_then(Feed::join) {
                Some(viewer) => (viewer, None),
                None => {
                    let (open, viewer) = self.begin(order_id)?;
                    shared.insert(order_id.to_owned(), open.feed.clone());
                    (viewer, Some(open))
                }
            }
        };
        // Without the lock: a runtime that ends drops the task here and now, and its end takes the lock.
        if let Some(open) = begun {
            tokio::spawn(open.run(headers));
        }
        viewer.opened().await
    }

    /// A feed for one viewer, whose headers name him to the shop.
    pub async fn open_own(self: &Arc<Self>, order_id: &str, headers: HeaderMap) -> Result<Viewer, Refused> {
        let (open, viewer) = self.begin(order_id)?;
        tokio::spawn(open.run(headers));
        viewer.opened().await
    }

    fn begin(self: &Arc<Self>, order_id: &str) -> Result<(Open, Viewer), Refused> {
        let place = self.free.clone().try_acquire_owned().map_err(|_| NO_PLACE)?;
        let (feed, viewer) = Feed::begin(order_id);
        Ok((Open { feeds: self.clone(), feed, _place: place }, viewer))
    }

    /// The shop's stream, as soon as its head says that it is one.
    async fn connect(&self, order_id: &str, headers: HeaderMap) -> Result<reqwest::Response, Refused> {
        let opening = tokio::time::timeout(self.patience.head, self.client.open_stream(order_id, headers));
        let response = match opening.await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "no stream from the shop");
                return Err(NO_CONNECTION);
            }
            Err(_) => {
                tracing::warn!("no stream from the shop: it did not answer in time");
                return Err(NO_CONNECTION);
            }
        };
        let status = response.status();
        let has_no_body = matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT);
        let is_foreign = response.headers().contains_key(header::CONTENT_TYPE) && !is_event_stream(&response);
        if status.is_success() && !has_no_body && !is_foreign && !is_packed(response.headers()) {
            return Ok(response);
        }
        tracing::warn!(status = status.as_u16(), "the shop's answer is no stream");
        let is_error = status.is_client_error() || status.is_server_error();
        Err(Refused::by_the_shop(if is_error { status } else { StatusCode::BAD_GATEWAY }))
    }

    /// Passes on what comes until the shop's stream ends or is no longer one.
    async fn read(&self, feed: &Feed, mut response: reqwest::Response) {
        let mut splitter = Splitter::default();
        // Of the event that has begun, from its first byte on: a shop that drips must not keep it open.
        let mut limit: Option<Pin<Box<Sleep>>> = None;
        loop {
            let piece = if splitter.is_midway() {
                let limit = limit.get_or_insert_with(|| Box::pin(tokio::time::sleep(self.patience.rest_of_event)));
                tokio::select! {
                    piece = response.chunk() => piece,
                    () = limit => Ok(None),
                }
            } else {
                response.chunk().await
            };
            let bytes = match piece {
                Ok(Some(bytes)) => bytes,
                Ok(None) => break,
                Err(error) => {
                    let error = error.without_url();
                    tracing::warn!(error = &error as &dyn std::error::Error, "the shop's stream broke off");
                    break;
                }
            };
            let Ok(events) = splitter.feed(&bytes) else {
                tracing::warn!("the shop sent an event of more than 1 MiB; its stream was closed");
                return;
            };
            if !events.is_empty() || !splitter.is_midway() {
                limit = None;
            }
            // Nothing follows a `stop`: who comes later asks the shop anew, and is told the same.
            if !events.is_empty() && feed.publish(&events) == Goes::Over {
                return;
            }
        }
        if splitter.is_midway() {
            tracing::warn!("the shop's stream ended or stood still in the middle of an event");
        }
    }

    /// Ends when nobody has watched for a moment; nobody can join the feed any more then.
    async fn deserted(&self, feed: &Arc<Feed>) {
        loop {
            feed.left.notified().await;
            tokio::time::sleep(self.patience.viewer).await;
            // Joining takes the same lock.
            let mut shared = self.shared.lock().expect("nobody panics while registering");
            if !feed.is_watched() {
                forget(&mut shared, feed);
                return;
            }
        }
    }
}

fn forget(shared: &mut HashMap<String, Arc<Feed>>, feed: &Arc<Feed>) {
    if shared.get(&feed.order_id).is_some_and(|known| Arc::ptr_eq(known, feed)) {
        shared.remove(&feed.order_id);
    }
}

/// A feed whose task runs; dropped with the task, and with the connection to the shop.
struct Open {
    feeds: Arc<Feeds>,
    feed: Arc<Feed>,
    /// One of [`MOST_FEEDS`].
    _place: OwnedSemaphorePermit,
}

impl Open {
    /// The life of a feed. However it ends, its viewers' streams end with it.
    async fn run(self, headers: HeaderMap) {
        let (feeds, feed) = (&self.feeds, &self.feed);
        let reading = async {
            match feeds.connect(&feed.order_id, headers).await {
                Ok(response) => {
                    feed.opened.send_replace(Some(Ok(())));
                    feeds.read(feed, response).await;
                }
                Err(refused) => {
                    feed.opened.send_replace(Some(Err(refused)));
                }
            }
        };
        tokio::select! {
            () = reading => {}
            () = feeds.deserted(feed) => {}
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        forget(&mut self.feeds.shared.lock().expect("nobody panics while registering"), &self.feed);
        self.feed.state.lock().expect("nobody panics while publishing").events = None;
        // Who still waits for an answer gets one.
        self.feed
            .opened
            .send_if_modified(|opened| opened.is_none().then(|| *opened = Some(Err(NO_CONNECTION))).is_some());
    }
}

impl Feed {
    fn begin(order_id: &str) -> (Arc<Feed>, Viewer) {
        let (sender, events) = broadcast::channel(MOST_UNREAD);
        let state = Mutex::new(State { newest: None, events: Some(sender) });
        let (opened, left) = (watch::Sender::new(None), Notify::new());
        let feed = Arc::new(Feed { order_id: order_id.to_owned(), state, opened, left });
        (feed.clone(), Viewer { feed, events: Some(events), waiting: None, end: None })
    }

    /// Another viewer; none can join a feed that is over.
    fn join(self: &Arc<Feed>) -> Option<Viewer> {
        let state = self.state.lock().expect("nobody panics while publishing");
        let events = state.events.as_ref()?.subscribe();
        Some(Viewer { feed: self.clone(), events: Some(events), waiting: state.newest.clone(), end: None })
    }

    fn is_watched(&self) -> bool {
        let state = self.state.lock().expect("nobody panics while publishing");
        state.events.as_ref().is_some_and(|events| events.receiver_count() > 0)
    }

    fn publish(&self, events: &[Vec<u8>]) -> Goes {
        let all = Chunk::new(&events.concat());
        let said: Vec<Said> = events.iter().map(|event| said(event)).collect();
        let newest = events.iter().zip(&said).rev().find(|(_, said)| **said == Said::Order).map(|(event, _)| event);
        let newest = newest.map(|event| if events.len() == 1 { all.clone() } else { Chunk::new(event) });
        let mut state = self.state.lock().expect("nobody panics while publishing");
        if newest.is_some() {
            state.newest = newest;
        }
        if let Some(sender) = &state.events {
            // An error means that nobody watches: the next to come begins with the newest.
            sender.send(all).unwrap_or(0);
        }
        if said.contains(&Said::Stop) { Goes::Over } else { Goes::On }
    }
}

/// Whether a feed goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goes {
    On,
    Over,
}

/// What the bytes of an event mean to a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// An order, as it is then.
    Order,
    /// Nothing more will come.
    Stop,
    /// A comment, or an event of another name.
    Else,
}

/// What makes a message an order, for a gateway that reads no more of it.
#[derive(serde::Deserialize)]
struct Seen {
    #[serde(rename = "order_id")]
    _order_id: String,
    #[serde(rename = "order_state")]
    _order_state: String,
}

fn said(event: &[u8]) -> Said {
    let mut parser = Parser::new();
    parser.feed(event);
    match parser.next_event() {
        // What the client drops (contract 4.5) is nothing to begin with either.
        Some(Ok(event)) if event.name == DEFAULT_EVENT_NAME => match serde_json::from_str::<Seen>(&event.data) {
            Ok(_) => Said::Order,
            Err(_) => Said::Else,
        },
        Some(Ok(event)) if event.name == STOP_EVENT_NAME => Said::Stop,
        Some(_) | None => Said::Else,
    }
}

impl Viewer {
    /// Waits for the shop's answer.
    async fn opened(self) -> Result<Viewer, Refused> {
        let mut opened = self.feed.opened.subscribe();
        let answer = opened.wait_for(Option::is_some).await.map_or(Some(Err(NO_CONNECTION)), |answer| *answer);
        answer.unwrap_or(Err(NO_CONNECTION)).map(|()| self)
    }

    /// What is to be done now.
    pub fn what_next(&mut self) -> Next {
        if let Some(chunk) = self.waiting.take() {
            return Next::Send(chunk);
        }
        match self.end {
            Some(End::OfFeed) => return Next::End,
            Some(End::TooFarBehind) => return Next::Drop,
            None => {}
        }
        match self.events.as_mut().map(broadcast::Receiver::try_recv) {
            Some(Ok(chunk)) => Next::Send(chunk),
            Some(Err(TryRecvError::Empty)) => Next::Wait,
            Some(Err(TryRecvError::Closed)) | None => Next::End,
            Some(Err(TryRecvError::Lagged(_))) => Next::Drop,
        }
    }

    /// Ends when there is something to do.
    pub async fn changed(&mut self) -> bool {
        let Some(events) = &mut self.events else { return false };
        match events.recv().await {
            Ok(chunk) => self.waiting = Some(chunk),
            Err(RecvError::Closed) => self.end = Some(End::OfFeed),
            Err(RecvError::Lagged(_)) => self.end = Some(End::TooFarBehind),
        }
        true
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        // First, so that the feed counts right when it looks.
        self.events = None;
        self.feed.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: &str = r#"data: {"order_id":"o-1","order_state":"Done"}"#;

    fn feed() -> (Arc<Feed>, Viewer) {
        Feed::begin("o-1")
    }

    fn event(id: usize) -> Vec<Vec<u8>> {
        vec![format!("id: {id}\n{ORDER}\n\n").into_bytes()]
    }

    /// What the viewer is told, until there is nothing to tell.
    fn told(viewer: &mut Viewer) -> Vec<String> {
        let mut told = Vec::new();
        loop {
            told.push(match viewer.what_next() {
                Next::Send(chunk) => String::from_utf8_lossy(chunk.message()).into_owned(),
                Next::Stop => "stop".to_owned(),
                Next::End => "end".to_owned(),
                Next::Drop => "drop".to_owned(),
                Next::Wait => return told,
            });
            if told.last().is_some_and(|last| ["end", "drop"].contains(&last.as_str())) {
                return told;
            }
        }
    }

    #[test]
    fn a_viewer_may_be_sixty_four_events_behind_and_no_more() {
        for (behind, is_dropped) in [(MOST_UNREAD, false), (MOST_UNREAD + 1, true)] {
            let (feed, mut viewer) = feed();
            (0..behind).for_each(|id| assert_eq!(feed.publish(&event(id)), Goes::On));
            let told = told(&mut viewer);
            let expected = if is_dropped { 1 } else { MOST_UNREAD };
            assert_eq!(
                (told.len(), told.last().is_some_and(|last| last == "drop")),
                (expected, is_dropped),
                "{behind}"
            );
        }
    }

    #[test]
    fn who_comes_later_begins_with_the_last_order_of_what_came_together() {
        let (feed, mut first) = feed();
        let together = [event(1), event(2), vec![b": ping\n\n".to_vec()]].concat();
        feed.publish(&together);
        assert_eq!(told(&mut first), [String::from_utf8(together.concat()).expect("ASCII")]);
        let mut later = feed.join().expect("the feed is open");
        assert_eq!(told(&mut later), [format!("id: 2\n{ORDER}\n\n")]);
    }

    #[test]
    fn only_stop_ends_a_feed_by_what_is_said() {
        for (event, expected) in [
            ("data: {\"order_id\":\"o-1\",\"order_state\":\"Done\"}\n\n", Said::Order),
            ("event: message\ndata: {\"order_state\":\"Done\",\ndata: \"order_id\":\"o-1\"}\n\n", Said::Order),
            ("data: {}\n\n", Said::Else),
            ("data: {\"order_id\":\n\n", Said::Else),
            ("data: ping\n\n", Said::Else),
            ("event: stop\ndata: {}\n\n", Said::Stop),
            ("event: note\ndata: {}\n\n", Said::Else),
            (": data: {}\n\n", Said::Else),
            ("event: stop\n\n", Said::Else),
        ] {
            assert_eq!(said(event.as_bytes()), expected, "{event:?}");
        }
        let (feed, _viewer) = feed();
        assert_eq!(feed.publish(&[event(1), vec![b"event: stop\ndata: {}\n\n".to_vec()]].concat()), Goes::Over);
    }
}
