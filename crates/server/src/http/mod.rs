//! The HTTP doors: every route on one page, and what handlers share.
//!
//! Handlers turn wire types into commands and orders into wire types. They must never decide a rule, write around the
//! engine, or name an adapter or a worker.

pub mod attempts;
pub mod auth;
pub mod body;
pub mod convert;
pub mod docs_page;
pub mod error;
pub mod gateway;
pub mod handover;
pub mod metrics;
pub mod openapi;
pub mod patient;
pub mod representation;
pub mod serve;
pub mod stream;
pub mod visitors;

pub mod exchange_api;
pub mod health;
pub mod own_api;
pub mod pages;
pub mod sandbox;
pub mod store_api;

use crate::engine::Engine;
use crate::ports::SimulatedChain;
use crate::vault::Vault;
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use std::sync::{Arc, LazyLock};
use tokio::sync::Notify;

/// Largest request body: an order of ten lines takes a few KiB.
const BODY_LIMIT_BYTES: usize = 256 * 1024;

/// What handlers share.
#[derive(Clone)]
pub struct App {
    pub engine: Engine,
    pub vault: Arc<Vault>,
    pub settings: Arc<HttpSettings>,
    pub reads: Arc<Reads>,
    pub tail: Arc<stream::Tail>,
    pub board: Arc<exchange_api::socket::Board>,
}

/// Answers that are kept, and counters.
pub struct Reads {
    pub answers: store_api::answers::Answers,
    pub logos: store_api::reads::LogoCache,
    pub metrics: metrics::Metrics,
    pub limiter: auth::Limiter,
    /// Wrong secrets of orders, by visitor.
    pub guesses: visitors::Guesses,
    /// Long answers of the exchange API.
    pub shelf: exchange_api::shelf::Shelf,
    /// Signed calls of the exchange API.
    pub signed: exchange_api::caller::Seen,
    /// Signing in at the exchange API.
    pub gate: exchange_api::gate::Gate,
}

/// Settings of the doors.
pub struct HttpSettings {
    /// Begins every link of ours, without a slash at its end.
    pub public_url: String,
    /// Begins every logo URL, without a slash at its end.
    pub logo_base: String,
    /// `product_type` of the store API: `physical` or `digital`.
    pub product_type: String,
    /// `delivery_state` of a delivered line: `Succeeded`, `Completed` or `Done`.
    pub delivery_word: String,
    /// Ask for the partner headers that the contract names but nobody enforces.
    pub strict_partners: bool,
    pub caps: domain::decide::Caps,
    /// The house's rules for money back.
    pub refunds: domain::refund::RefundPolicy,
    /// The simulated chain, in the demo only.
    pub sandbox: Option<Sandbox>,
}

/// The demo's means of paying.
pub struct Sandbox {
    pub chain: Arc<dyn SimulatedChain>,
    /// Tells the watcher to look.
    pub bell: Arc<Notify>,
}

/// Every route.
pub fn router(app: App) -> Router {
    let mut routes = Router::new()
        // Store API: what is on sale (contract 3.1 to 3.7, 3.14, 7).
        .route("/v3/payment_vias", get(store_api::reads::payment_vias))
        .route("/v3/currencies", get(store_api::reads::currencies))
        .route("/v2/brands", get(store_api::reads::brands))
        .route("/v2/homepage", get(store_api::reads::homepage))
        .route("/v2/search/{country_code}", get(store_api::reads::search))
        .route("/v5/products/country/{country_code}", get(store_api::reads::products))
        .route("/v4/products/price", get(store_api::reads::price))
        .route("/api/available-countries", get(store_api::reads::available_countries))
        .route("/logos/{file}", get(store_api::reads::logo))
        // Store API: orders (contract 3.8 to 3.12, 4.5).
        .route("/v5/orders/validations", post(store_api::orders::validate))
        .route("/v5/orders", post(store_api::orders::create))
        .route("/v5/orders/{order_id}", get(store_api::orders::show))
        .route("/v3/orders/{order_id}", get(store_api::orders::show))
        .route("/v5/orders/{order_id}/subscribe", get(store_api::orders::subscribe))
        .route("/api/orders/{order_id}/subscribe", get(store_api::orders::subscribe_for_pages))
        .route("/v3/qrs/{order_id}", get(store_api::orders::qr))
        // Pages.
        .route("/d/{secret}", get(pages::delivery::show))
        .route("/claim/{token}", get(pages::claim::show).post(pages::claim::enter))
        .route("/openapi.json", get(description))
        .merge(docs_page::routes())
        // kiosk's own.
        .route("/kiosk/v1/events", get(own_api::events))
        .route("/kiosk/v1/orders/{order_id}/explain", get(own_api::explain::show))
        // For operators.
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::show));
    if app.settings.sandbox.is_some() {
        routes = routes.route("/sandbox/orders/{order_id}/pay", post(sandbox::pay));
    }
    routes
        // Exchange API: its methods are paths with any number of slashes, and any verb (exchange contract 1.1).
        .fallback(exchange_api::or_no_such_route)
        .method_not_allowed_fallback(error::no_such_route)
        .layer(axum::middleware::from_fn_with_state(app.clone(), auth::guard))
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .with_state(app)
}

/// `GET /openapi.json`: the description of every route above, made from the code.
async fn description(State(app): State<App>) -> Response {
    static DEMO: LazyLock<String> = LazyLock::new(|| openapi::document(true).to_string());
    static SHOP: LazyLock<String> = LazyLock::new(|| openapi::document(false).to_string());
    let text = if app.settings.sandbox.is_some() { DEMO.as_str() } else { SHOP.as_str() };
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}
