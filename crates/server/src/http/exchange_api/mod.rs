//! The exchange API (contract in the project's exchange API reference): every method on one page.
//!
//! A method is a path, whatever the verb, under two mounts and with any number of slashes (contract 1.1); its answer is an
//! envelope with status 200, also where it is an error. Must never redirect. The tour: `params` (what came), `fault` (what
//! goes wrong), then one file per kind of method.

mod account;
mod affiliates;
pub mod caller;
mod code_page;
mod cookies;
mod export;
mod fault;
pub mod gate;
pub mod methods;
mod orders;
pub mod params;
mod partner;
mod partner_api;
mod routes;
pub mod shelf;
mod sign_in;
pub mod signed;
mod site;
pub mod socket;
mod two_factor;

#[cfg(test)]
mod tests;

use super::App;
use super::error::ApiError;
use crate::entropy;
use crate::store::api_keys;
use axum::body::to_bytes;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::time::Time;
use fault::Fault;
use methods::Kind;
use params::Params;
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// One call as its method sees it.
struct Call {
    app: App,
    params: Params,
    now: Time,
    /// The visitor's network address, as far as we may believe it.
    address: Option<IpAddr>,
    /// The account that called; none for a guest.
    owner: Option<caller::Owner>,
    /// The header `Lang` (contract 1.2).
    lang: Option<String>,
    /// A page of another site makes this call, as the browser says.
    is_from_elsewhere: bool,
    /// The code of the partner whose link the browser came by.
    partner: Option<String>,
}

impl Call {
    /// The account that called.
    fn must_owner(&self) -> Result<&caller::Owner, Fault> {
        self.owner.as_ref().ok_or_else(|| Fault::unauthorized("sign in, or sign the call with an API key"))
    }
}

/// What a method answers with.
struct Answer {
    data: Data,
    /// Seconds for which a client may keep it (contract 1.3).
    cache: Option<u32>,
    /// What the browser is to keep.
    cookies: Vec<HeaderValue>,
}

enum Data {
    Value(Value),
    /// JSON that was written before, for whoever asked in the same second.
    Written(Arc<str>),
}

impl From<Value> for Answer {
    fn from(data: Value) -> Answer {
        Answer { data: Data::Value(data), cache: None, cookies: Vec::new() }
    }
}

/// For how long clients may keep a route, and the list of routes, in seconds (contract 1.3).
const CACHE_ROUTE: u32 = 2;
const CACHE_ROUTES: u32 = 5;

fn kept(seconds: u32, data: Value) -> Answer {
    Answer { data: Data::Value(data), cache: Some(seconds), cookies: Vec::new() }
}

/// Every method.
async fn run(method: &str, call: &Call) -> Result<Answer, Fault> {
    match method {
        // Routes (contract 4).
        "public/exchanger/route/get" => routes::list(call).await,
        "public/exchanger/route-v2/get" => routes::list_v2(call).await,
        "public/exchanger/route/get/one" => routes::one(call).await,
        "public/exchanger/route/get/one/by-xml" => routes::by_xml(call).await,
        "public/exchanger/route/get/one/by-friendlyURL" => routes::by_friendly_url(call).await,
        "public/exchanger/favorite/get" => routes::favorites(call),
        // Orders (contract 5).
        "public/exchanger/order/create" => orders::create(call).await,
        "public/exchanger/order/get" => orders::show(call).await,
        "public/exchanger/order/update-status" => orders::update_status(call).await,
        "public/exchanger/order/get-lasts" => orders::lasts(call).await,
        // Of accounts (contract 2 and 6).
        "user/exchanger/order/history" => account::history(call).await,
        "user/exchanger/order/chart" => account::chart(call).await,
        "user/exchanger/order/update/owner" => account::update_owner(call).await,
        "user/auth/api/create" => account::create_key(call).await,
        "user/auth/api/get/list" => account::list_keys(call).await,
        "user/auth/api/delete" => account::delete_key(call).await,
        // Of partners (contract 9).
        "user/profile/edit/partner-link" => partner::edit_link(call).await,
        "user/affiliate/basic/get" => affiliates::basic(call).await,
        "user/affiliate/today/get" => affiliates::today(call).await,
        "user/affiliate/chart" => affiliates::chart(call).await,
        "user/affiliate/orders" => affiliates::orders(call).await,
        // Signing in (contract 2.2).
        "user/auth/register" => sign_in::register(call).await,
        "user/auth/register/confirm" => sign_in::confirm(call).await,
        "user/auth/sign-in" => sign_in::sign_in(call).await,
        "user/auth/reset-password" => sign_in::reset(call).await,
        "user/auth/reset-password/confirm" => sign_in::confirm_reset(call).await,
        "user/auth/session/get" => sign_in::session(call).await,
        "user/auth/session/destroy" => sign_in::sign_out(call).await,
        // The second factor; the contract names no methods, these are ours.
        "user/auth/2fa/init" => two_factor::begin(call).await,
        "user/auth/2fa/enable" => two_factor::turn_on(call).await,
        "user/auth/2fa/disable" => two_factor::turn_off(call).await,
        // What the official client asks for while it starts (contract 3, last paragraph).
        "public/site/status/get" => site::status(call),
        "public/rule/get" => site::empty_rule(),
        "public/visits/register" => site::nothing_to_say(),
        "user/auth/socket/get/token" => site::socket_token(),
        _ => site::empty_list(method).ok_or_else(|| Fault::unknown_method(method)),
    }
}

/// The parts of a path, however many slashes stand between them.
fn parts(path: &str) -> Vec<&str> {
    path.split('/').filter(|part| !part.is_empty()).collect()
}

/// Whether a path is one of the exchange API's methods, whose every answer is an envelope.
pub fn is_method(path: &str) -> bool {
    matches!(parts(path).as_slice(), ["service", "api", "v1", ..] | ["api", "v1", ..])
}

/// Every path that the router has no route for: those of the exchange API, and those of nobody.
pub async fn or_no_such_route(State(app): State<App>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    match parts(&path).as_slice() {
        ["service", "api", "v1"] | ["api", "v1"] => with_cors(StatusCode::NOT_FOUND.into_response()),
        ["service", "api", "v1", method @ ..] | ["api", "v1", method @ ..] => {
            let method = method.join("/");
            answer(app, &method, request).await
        }
        // With a partner's rate key the rates are the same, whatever the key: they are public, and what he earns is his
        // office's matter (contract 11).
        ["service", "export", format] | ["service", "export", format, _] => {
            export::show(&app, format, request.headers()).await
        }
        ["service", "partner", "api.php"] => partner_api::answer(app, request).await,
        ["ref", link] if partner::is_link(link) => {
            partner::arrive(&app, link, None, request.uri().query().unwrap_or_default())
        }
        ["ref", link, language] if partner::is_link(link) => {
            partner::arrive(&app, link, Some(*language), request.uri().query().unwrap_or_default())
        }
        ["account", word, code] if code_page::is_code(code) => match code_page::Wanted::parse(word) {
            Some(wanted) => {
                let code = (*code).to_owned();
                code_page::show(app, wanted, &code, request).await
            }
            None => ApiError::not_found().into_response(),
        },
        ["ws", ..] => socket::open(&app, &request),
        ["service", "fs", "logos", _] => super::store_api::reads::logo(State(app), request).await.into_response(),
        _ => ApiError::not_found().into_response(),
    }
}

async fn answer(app: App, method: &str, request: Request) -> Response {
    if request.method() == Method::OPTIONS {
        return with_cors(StatusCode::NO_CONTENT.into_response());
    }
    let now = app.engine.clock.now();
    let clock = app.engine.clock.clone();
    let mut result = match read(app, method, now, request).await {
        Ok(call) => run(method, &call).await,
        Err(fault) => Err(fault),
    };
    let status = result.as_ref().map_or_else(Fault::status, |_| StatusCode::OK);
    let cookies = result.as_mut().map(|answer| std::mem::take(&mut answer.cookies)).unwrap_or_default();
    let latency_ms = clock.now().since(now).0.max(0);
    let mut response = (status, envelope(result, now, latency_ms)).into_response();
    let kind = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for cookie in cookies {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    with_cors(response)
}

/// What came, before anybody asks who sent it.
struct Received {
    params: Params,
    headers: HeaderMap,
    /// The visitor's network address, as far as we may believe it.
    address: Option<IpAddr>,
}

async fn receive(app: &App, request: Request) -> Result<Received, Fault> {
    let (parts, body) = request.into_parts();
    let body = match to_bytes(body, super::BODY_LIMIT_BYTES).await {
        Ok(body) => body,
        Err(_) => {
            let message = format!("the body is larger than {} bytes, or broke off", super::BODY_LIMIT_BYTES);
            return Err(Fault::body(StatusCode::PAYLOAD_TOO_LARGE, message));
        }
    };
    let params = Params::read(parts.uri.query(), &parts.headers, body).await?;
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let address = app.reads.limiter.visitors.address(&parts.headers, peer);
    Ok(Received { params, headers: parts.headers, address })
}

async fn read(app: App, method: &str, now: Time, request: Request) -> Result<Call, Fault> {
    let Received { params, headers, address } = receive(&app, request).await?;
    let mut owner = caller::of(&app, &headers, &params, address, now).await?;
    let kind = methods::kind_of(method).ok_or_else(|| Fault::unknown_method(method))?;
    if kind == Kind::BeforeSignIn {
        owner = None;
    }
    if let Some(token) = owner.as_ref().and_then(caller::Owner::session) {
        cookies::check(&app, method, token, &headers)?;
    }
    if let Some(signed) = owner.as_ref().and_then(caller::Owner::signed).filter(|_| claims(method, kind)) {
        let signed = signed.to_owned();
        if !app.engine.write(move |tx| api_keys::claim_signature(tx, &signed, now)).await? {
            return Err(Fault::replayed());
        }
    }
    let is_from_elsewhere = cookies::is_from_elsewhere(&app.settings.public_url, &headers);
    let lang = headers.get("lang").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let partner = cookies::partner(&headers);
    Ok(Call { app, params, now, address, owner, lang, is_from_elsewhere, partner })
}

/// Whether a signed call is remembered in the database before it is carried out, so that no process carries it out again: all
/// that change something, but the one that remembers it with what it changes.
fn claims(method: &str, kind: Kind) -> bool {
    kind == Kind::Changes && method != "public/exchanger/order/create"
}

/// An answer of the rate limit, which is counted before any method is looked at.
pub fn too_many(seconds: u32, now: Time) -> Response {
    let text = envelope(Err(Fault::too_many(seconds)), now, 0);
    let kind = [(header::CONTENT_TYPE, "application/json; charset=utf-8")];
    with_cors((kind, text).into_response())
}

/// Contract 1.3. `data` is never empty on success: clients take an empty one for an error.
fn envelope(result: Result<Answer, Fault>, now: Time, latency_ms: i64) -> String {
    let request_id = format!("{}-{}", now.0, entropy::letters::<7>());
    match result {
        Ok(Answer { data, cache, cookies: _ }) => {
            let data = match data {
                Data::Written(text) => text,
                Data::Value(value) => written(&value),
            };
            let cache = cache.map(|seconds| format!("\"cache\":{seconds},")).unwrap_or_default();
            format!(
                "{{\"success\":true,{cache}\"data\":{data},\"latency_ms\":{latency_ms},\"requestId\":\"{request_id}\"}}"
            )
        }
        Err(fault) => {
            let error = fault.to_json();
            json!({ "success": false, "error": error, "latency_ms": latency_ms, "requestId": request_id }).to_string()
        }
    }
}

fn written(data: &Value) -> Arc<str> {
    let is_empty = data.is_null() || data.as_object().is_some_and(serde_json::Map::is_empty);
    if is_empty { "{\"ok\":1}".into() } else { data.to_string().into() }
}

/// Pages of any origin may call (contract 1.3), as guests: without `Access-Control-Allow-Credentials` a browser shows them
/// no answer that was made with its cookies, and what changes something asks for `Csrf-Token` besides (`cookies`).
fn with_cors(mut response: Response) -> Response {
    let head: [(HeaderName, &'static str); 4] = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PUT, DELETE"),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "Origin, X-Requested-With, Content-Type, Accept, Locale, Lang, jwt, apikey, hash, Csrf-Token, Authorization",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, "86400"),
    ];
    for (name, value) in head {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
