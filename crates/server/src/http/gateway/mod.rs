//! `kiosk gateway`: the partner's proxy route (contract 4.5) as a program, and the rest of the store API beside it.
//!
//! It stands between a partner's visitors and a shop, this program or any other that speaks the store API. It adds the
//! partner's id to what goes up, keeps what everybody may read, and holds one stream per order however many watch. Must
//! never keep anything of an order once nobody watches it, and until then only its newest message, what a slow viewer has
//! not read, and an event that has not ended. Must never follow a redirect, show the partner's id, or let a path up that
//! is not on this page. `cli/gateway.rs` starts it.

// A visitor's call, and what of it goes up.
mod call;
// Calls to the shop, and what of its answers comes down.
mod upstream;
// What everybody may read, kept and asked for again.
mod reads;
// What belongs to one order: passed on, never kept.
mod orders;
// One stream per order, for all who watch it.
pub mod feeds;
// Bytes in, whole events out.
mod splitter;

use super::error::{self, ApiError};
use super::health;
use super::visitors::Visitors;
use crate::ports::Clock;
use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use call::Visitor;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tower_http::cors::CorsLayer;
use upstream::Upstream;

/// Longest query.
const MOST_QUERY_BYTES: usize = 4 * 1024;
/// How long a browser may remember what another origin's pages are allowed.
const ALLOWANCE_LIFETIME: Duration = Duration::from_secs(600);

/// What handlers share.
#[derive(Clone)]
pub struct Gateway {
    upstream: Upstream,
    feeds: Arc<feeds::Feeds>,
    kept: Arc<reads::Kept>,
    door: Arc<Door>,
}

/// What is known of visitors before they are let in.
pub struct Door {
    /// Counts every call.
    pub visitors: Visitors,
    /// Counts the calls that go up to the shop: what is kept or shared costs it nothing.
    pub goes_up: Visitors,
    pub clock: Arc<dyn Clock>,
    /// The header in which a proxy tells the visitor's country.
    pub country_header: HeaderName,
    /// Somebody was told already that a proxy in front is not trusted.
    pub warned: AtomicBool,
}

impl Door {
    /// Counts a call that goes up.
    fn count_up(&self, visitor: &Visitor) -> Result<(), u32> {
        visitor.address.map_or(Ok(()), |address| self.goes_up.count(address, self.clock.now()))
    }

    /// An operator who has forgotten `--trust-proxy` would wonder why all his visitors are one.
    fn warn_of_proxy(&self, headers: &HeaderMap, peer: IpAddr) {
        let names_others = headers.contains_key("x-forwarded-for") && !self.visitors.trusts(peer.to_canonical());
        if names_others && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %peer,
                "a call names another visitor in X-Forwarded-For and is not believed; if that peer is your proxy, add \
                 --trust-proxy with its address: without it all its visitors count as one"
            );
        }
    }
}

impl Gateway {
    /// A gateway to the shop of that client, whose identity is the partner's.
    pub fn new(client: api::Client, user_agent: HeaderValue, door: Door, patience: feeds::Patience) -> Gateway {
        let upstream = Upstream::new(client, user_agent);
        let kept = Arc::new(reads::Kept::new(&door.country_header, patience.if_kept));
        let feeds = Arc::new(feeds::Feeds::new(upstream.client.clone(), patience));
        Gateway { upstream, feeds, kept, door: Arc::new(door) }
    }

    /// How many streams to the shop are open.
    pub fn open_feeds(&self) -> usize {
        self.feeds.open()
    }
}

/// Every path that goes up, and one that does not. Pages of `origins` may call from a browser.
pub fn router(gateway: Gateway, origins: &[HeaderValue]) -> Router {
    let routes = Router::new()
        // What is on sale (contract 3.1 to 3.7, 3.14, 7).
        .route("/v3/payment_vias", get(reads::show))
        .route("/v3/currencies", get(reads::show))
        .route("/v2/brands", get(reads::show))
        .route("/v2/homepage", get(reads::show))
        .route("/v2/search/{country_code}", get(reads::show))
        .route("/v5/products/country/{country_code}", get(reads::show))
        .route("/v4/products/price", get(reads::show))
        .route("/api/available-countries", get(reads::show))
        .route("/logos/{file}", get(reads::show))
        // Orders (contract 3.8 to 3.12, 4.5).
        .route("/v5/orders/validations", post(orders::pass_on))
        .route("/v5/orders", post(orders::pass_on))
        .route("/v5/orders/{order_id}", get(orders::pass_on))
        .route("/v3/orders/{order_id}", get(orders::pass_on))
        .route("/v3/qrs/{order_id}", get(orders::pass_on))
        .route("/v5/orders/{order_id}/subscribe", get(orders::subscribe))
        .route("/api/orders/{order_id}/subscribe", get(orders::subscribe))
        // For operators.
        .route("/livez", get(health::livez))
        .fallback(error::no_such_route)
        .method_not_allowed_fallback(error::no_such_route)
        .layer(middleware::from_fn_with_state(gateway.clone(), guard))
        .layer(DefaultBodyLimit::max(super::BODY_LIMIT_BYTES));
    let routes = if origins.is_empty() { routes } else { routes.layer(allowances(origins)) };
    routes.with_state(gateway)
}

/// What pages of other origins may do (the Fetch standard, section 3.2).
fn allowances(origins: &[HeaderValue]) -> CorsLayer {
    let sent = ["x-cr-application", "x-cr-version", "x-country-iso-code", "idempotency-key", "last-event-id"];
    let sent = sent.map(HeaderName::from_static).into_iter().chain([header::CONTENT_TYPE, header::AUTHORIZATION]);
    let read = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "cache-status"];
    let read = read.map(HeaderName::from_static).into_iter().chain([header::ETAG, header::AGE, header::RETRY_AFTER]);
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(sent.collect::<Vec<_>>())
        .expose_headers(read.collect::<Vec<_>>())
        .max_age(ALLOWANCE_LIFETIME);
    if origins.iter().any(|origin| origin == "*") {
        return layer.allow_origin(tower_http::cors::Any);
    }
    layer.allow_origin(origins.to_vec())
}

/// Runs before every handler: how often a visitor may call, and how long a query may be.
async fn guard(State(gateway): State<Gateway>, request: Request, next: Next) -> Response {
    if request.uri().path() != "/livez" {
        let door = &gateway.door;
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        if let Some(peer) = peer {
            door.warn_of_proxy(request.headers(), peer);
        }
        let address = door.visitors.address(request.headers(), peer);
        if let Some(Err(seconds)) = address.map(|address| door.visitors.count(address, door.clock.now())) {
            return ApiError::too_many(seconds).into_response();
        }
    }
    if request.uri().query().is_some_and(|query| query.len() > MOST_QUERY_BYTES) {
        let message = format!("the query is longer than {MOST_QUERY_BYTES} bytes");
        return ApiError::new(StatusCode::URI_TOO_LONG, "URI_TOO_LONG", message).into_response();
    }
    next.run(request).await
}
