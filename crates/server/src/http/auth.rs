//! Who is calling: partner headers, a customer's bearer token, the visitor's address; and how often they may.
//!
//! The partner id is an identifier without a secret (contract 1.1): it attributes an order, which the partner's own webhooks
//! and key tell him of, and opens nothing.

use super::App;
use super::error::ApiError;
use super::exchange_api;
use super::visitors::{Bucket, RateLimit, Visitors};
use crate::store::accounts::{self, Role};
use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::{HeaderMap, header, request::Parts};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::ids::{CustomerId, PartnerId};
use domain::time::Time;
use ipnet::IpNet;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, RwLock};

/// Texts of identifying headers are cut off here; longer ones are refused.
const HEADER_LIMIT: usize = 200;

/// The caller of an order call.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    pub partner: Option<PartnerId>,
    pub client_version: Option<String>,
    pub customer: Option<CustomerId>,
    pub country: Option<String>,
    /// The visitor's network address, as far as we may believe it.
    pub address: Option<IpAddr>,
}

impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Caller, ApiError> {
        let text = |name: &str| header_text(&parts.headers, name);
        let partner = text("x-cr-application")?.map(PartnerId::new);
        let customer = match bearer(&parts.headers)? {
            Some(token) => Some(customer_of(app, &token).await?),
            None => None,
        };
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        Ok(Caller {
            partner,
            client_version: text("x-cr-version")?,
            customer,
            country: text("x-country-iso-code")?,
            address: app.reads.limiter.visitors.address(&parts.headers, peer),
        })
    }
}

fn header_text(headers: &HeaderMap, name: &str) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let wrong = || {
        ApiError::bad_request(format!("the header {name} must be at most {HEADER_LIMIT} printable ASCII characters"))
    };
    let text = value.to_str().map_err(|_| wrong())?.trim();
    if text.len() > HEADER_LIMIT {
        return Err(wrong());
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

fn bearer(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    let token = value.to_str().ok().and_then(|text| text.strip_prefix("Bearer ")).map(str::trim);
    match token {
        Some(token) if !token.is_empty() && token.len() <= HEADER_LIMIT => Ok(Some(token.to_owned())),
        _ => Err(ApiError::unauthorized("the Authorization header must be `Bearer <token>`")),
    }
}

async fn customer_of(app: &App, token: &str) -> Result<CustomerId, ApiError> {
    let hash = app.vault.hash_of_secret(token);
    let account = app.engine.db.read(move |tx| accounts::by_token_hash(tx, &hash)).await?;
    account
        .filter(|account| account.role == Role::Customer)
        .map(|account| CustomerId::new(account.id))
        .ok_or_else(|| ApiError::unauthorized("this bearer token is not known"))
}

/// Counts calls per visitor and per partner.
pub struct Limiter {
    pub visitors: Visitors,
    /// Whose word on a visitor's address is taken beside that of partners' servers.
    proxies: Vec<IpNet>,
    /// It was said that a proxy is not believed.
    warned: AtomicBool,
    of_partner: RateLimit,
    /// Partners in use: only they are counted, so that nobody fills this with names of his own.
    partners: RwLock<HashMap<String, Calls>>,
}

/// What is counted of a partner.
struct Calls {
    servers: Vec<IpNet>,
    of_servers: Mutex<Bucket>,
    of_others: Mutex<Bucket>,
}

impl Limiter {
    pub fn new(of_address: RateLimit, of_partner: RateLimit, proxies: Vec<IpNet>) -> Limiter {
        let visitors = Visitors::new(of_address);
        visitors.trust(proxies.clone());
        Limiter { visitors, proxies, warned: AtomicBool::new(false), of_partner, partners: RwLock::default() }
    }

    /// Takes over the partners as they are in the database now; one that is disabled is none.
    pub fn set_partners(&self, partners: &[accounts::Account], now: Time) {
        let active = || partners.iter().filter(|partner| partner.active);
        let nets = active().flat_map(|partner| networks(partner.trust_from.as_deref()));
        self.visitors.trust(self.proxies.iter().copied().chain(nets).collect());
        let mut known = self.partners.write().expect("nobody panics while setting");
        known.retain(|id, _| active().any(|partner| partner.id == *id));
        for partner in active() {
            let full = || Mutex::new(Bucket::full(self.of_partner, now));
            let new = || Calls { servers: Vec::new(), of_servers: full(), of_others: full() };
            let calls = known.entry(partner.id.clone()).or_insert_with(new);
            calls.servers = networks(partner.trust_from.as_deref());
        }
    }

    /// Says once that a call comes through a proxy that nobody named.
    fn warn_of_proxy(&self, headers: &HeaderMap, peer: IpAddr) {
        let names_others = headers.contains_key("x-forwarded-for") && !self.visitors.trusts(peer.to_canonical());
        if names_others && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %peer,
                "a call names another visitor in X-Forwarded-For and is not believed; if that peer is your proxy, add it to \
                 server.trust_proxies: without it all its visitors count as one"
            );
        }
    }

    fn knows(&self, partner: &str) -> bool {
        self.partners.read().expect("nobody panics while setting").contains_key(partner)
    }

    /// Counts one call of a partner, by that peer; who is none is not counted. A partner's id is no secret: calls of his
    /// own servers are counted apart, so that nobody who copies the id can use them up.
    pub fn count_partner(&self, partner: &str, peer: Option<IpAddr>, now: Time) -> Result<(), u32> {
        let partners = self.partners.read().expect("nobody panics while setting");
        let Some(calls) = partners.get(partner) else { return Ok(()) };
        let is_own = peer.is_some_and(|peer| calls.servers.iter().any(|net| net.contains(&peer.to_canonical())));
        let bucket = if is_own { &calls.of_servers } else { &calls.of_others };
        bucket.lock().expect("nobody panics while counting").take(self.of_partner, now)
    }
}

/// Reads a list of networks; what is not one was refused when it was typed.
fn networks(list: Option<&str>) -> Vec<IpNet> {
    list.into_iter().flat_map(|list| list.split(',')).filter_map(|net| net.trim().parse().ok()).collect()
}

/// Runs before every handler: rate limit, strict partner headers, request metrics.
pub async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let path = request.uri().path();
    let for_operators = matches!(path, "/livez" | "/readyz");
    if !for_operators {
        let (limiter, now) = (&app.reads.limiter, app.engine.clock.now());
        if let Some(peer) = peer {
            limiter.warn_of_proxy(request.headers(), peer);
        }
        let address = limiter.visitors.address(request.headers(), peer);
        let counted = address.map_or(Ok(()), |address| limiter.visitors.count(address, now));
        let partner = request.headers().get("x-cr-application").and_then(|value| value.to_str().ok()).map(str::trim);
        let counted =
            counted.and_then(|()| partner.map_or(Ok(()), |partner| limiter.count_partner(partner, peer, now)));
        if let Err(seconds) = counted {
            if exchange_api::is_method(path) {
                return exchange_api::too_many(seconds, now);
            }
            return ApiError::too_many(seconds).into_response();
        }
        let strict = app.settings.strict_partners && asks_for_partner(path);
        if let (true, Err(error)) = (strict, known_partner(&app, request.headers())) {
            return error.into_response();
        }
    }
    let response = next.run(request).await;
    app.reads.metrics.count_request(response.status().as_u16());
    response
}

fn asks_for_partner(path: &str) -> bool {
    ["/v2/", "/v3/", "/v4/", "/v5/"].iter().any(|prefix| path.starts_with(prefix)) && !path.starts_with("/v3/qrs/")
}

fn known_partner(app: &App, headers: &HeaderMap) -> Result<(), ApiError> {
    let partner = header_text(headers, "x-cr-application")?
        .ok_or_else(|| ApiError::unauthorized("the header X-Cr-Application is missing: send your partner id"))?;
    if !app.reads.limiter.knows(&partner) {
        return Err(ApiError::unauthorized("the partner id in X-Cr-Application is not known here"));
    }
    header_text(headers, "x-cr-version")?
        .ok_or_else(|| ApiError::unauthorized("the header X-Cr-Version is missing: send your client's version"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partner_is_counted_whatever_the_addresses_and_a_disabled_one_is_nobody() {
        let limiter =
            Limiter::new(RateLimit { per_second: 9, burst: 9 }, RateLimit { per_second: 1, burst: 2 }, Vec::new());
        let mut partner = accounts::Account {
            id: "shop".to_owned(),
            role: accounts::Role::Partner,
            name: "Shop".to_owned(),
            token_hash: None,
            trust_from: Some("192.0.2.0/24".to_owned()),
            active: true,
            created_at: Time(0),
        };
        limiter.set_partners(std::slice::from_ref(&partner), Time(0));
        let stranger: Option<IpAddr> = "198.51.100.1".parse().ok();
        assert_eq!(limiter.count_partner("shop", stranger, Time(0)), Ok(()));
        // Being read again does not fill the bucket.
        limiter.set_partners(std::slice::from_ref(&partner), Time(0));
        assert_eq!(limiter.count_partner("shop", stranger, Time(0)), Ok(()));
        assert_eq!(limiter.count_partner("shop", stranger, Time(0)), Err(1));
        assert_eq!(limiter.count_partner("stranger", stranger, Time(0)), Ok(()));
        // Whoever copies the id leaves the partner's own servers what is theirs.
        let server: IpAddr = "192.0.2.7".parse().expect("an address");
        assert_eq!(limiter.count_partner("shop", Some(server), Time(0)), Ok(()));
        assert!(limiter.knows("shop") && limiter.visitors.trusts(server));
        partner.active = false;
        limiter.set_partners(&[partner], Time(0));
        assert!(!limiter.knows("shop") && !limiter.visitors.trusts(server));
    }
}
