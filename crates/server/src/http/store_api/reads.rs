//! Handlers of everything that can be read without an order: contract 3.1 to 3.7, 3.14 and section 7.
//!
//! A request becomes a question (`question`), a question has an answer (`catalogue`), and answers are kept (`answers`).
//! Must never touch the database for JSON: what is on sale stands in the snapshot. Called by the router.

// Which question a request asks.
mod question;
// Logos as files.
mod logos;

pub use logos::{LogoCache, logo};
pub use question::{Asked, Endpoint};

use super::answers::Answer;
use super::catalogue::{Refused, View};
use crate::http::App;
use crate::http::error::ApiError;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::response::Response;
use std::sync::Arc;

/// GET `/v3/payment_vias` (contract 3.1).
pub async fn payment_vias(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    respond(&app, Endpoint::PaymentVias, request).await
}

/// GET `/v3/currencies` (contract 3.2).
pub async fn currencies(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    respond(&app, Endpoint::Currencies, request).await
}

/// GET `/v2/brands?country_code=` (contract 3.3).
pub async fn brands(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    respond(&app, Endpoint::Brands, request).await
}

/// GET `/v2/homepage?country_code=` (contract 3.4).
pub async fn homepage(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    respond(&app, Endpoint::Homepage, request).await
}

/// GET `/v2/search/{country_code}?q=` (contract 3.5).
pub async fn search(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    respond(&app, Endpoint::Search, request).await
}

/// GET `/v5/products/country/{country_code}` (contract 3.6).
pub async fn products(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    respond(&app, Endpoint::Products, request).await
}

/// GET `/v4/products/price` (contract 3.7).
pub async fn price(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    respond(&app, Endpoint::Price, request).await
}

/// GET `/api/available-countries` (contract 3.14).
pub async fn available_countries(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    respond(&app, Endpoint::Countries, request).await
}

async fn respond(app: &App, endpoint: Endpoint, request: Request) -> Result<Response, ApiError> {
    let (parts, _) = request.into_parts();
    let answer = find(app, endpoint, &parts)?;
    Ok(answer.form.response(&parts.headers).await)
}

fn find(app: &App, endpoint: Endpoint, parts: &Parts) -> Result<Arc<Answer>, ApiError> {
    let snapshot = app.engine.shared.snapshot();
    let now = app.engine.clock.now();
    let asked = Asked::of(endpoint, parts);
    let answers = &app.reads.answers;
    if let Some(known) = answers.recall(&asked, snapshot.serial, now) {
        return Ok(known);
    }
    let question = asked.question(&parts.uri, &snapshot.market).map_err(ApiError::bad_request)?;
    let settings = &app.settings;
    let view = View { snapshot: &snapshot, logo_base: &settings.logo_base, product_type: &settings.product_type, now };
    answers.answer(&asked, question, &view).map_err(|refused| match refused {
        Refused::Question(detail) => ApiError::bad_request(detail),
        Refused::NotSold(problem) => ApiError::problems(&[problem]),
        Refused::Rate(error) => ApiError::rate(&error),
    })
}
