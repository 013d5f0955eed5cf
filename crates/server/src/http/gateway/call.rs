//! A visitor's call: who makes it, which listed path it names, and what of its headers goes up.

use super::Gateway;
use crate::http::body::Segment;
use crate::http::error::ApiError;
use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use std::net::{IpAddr, SocketAddr};

/// Longest variable part of a path: ids have 36 characters, logo files a few more.
const MOST_SEGMENT_BYTES: usize = 128;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub const COUNTRY: HeaderName = HeaderName::from_static("x-country-iso-code");

/// Who calls.
pub struct Visitor {
    pub address: Option<IpAddr>,
    /// Uppercase alpha-2.
    pub country: Option<HeaderValue>,
    /// `Authorization` of a customer who is signed in at the shop.
    pub token: Option<HeaderValue>,
    pub user_agent: Option<HeaderValue>,
}

impl FromRequestParts<Gateway> for Visitor {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Visitor, ApiError> {
        let (headers, door) = (&parts.headers, &gateway.door);
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        // What a proxy says, only from one that is trusted; the contract's own header anybody may send (1.1).
        let is_trusted = peer.is_some_and(|peer| door.visitors.trusts(peer.to_canonical()));
        let told = if is_trusted { headers.get(&door.country_header) } else { None };
        let mut token = headers.get(header::AUTHORIZATION).cloned();
        if let Some(token) = &mut token {
            token.set_sensitive(true);
        }
        Ok(Visitor {
            address: door.visitors.address(headers, peer),
            country: told.or_else(|| headers.get(COUNTRY)).and_then(country),
            token,
            user_agent: headers.get(header::USER_AGENT).cloned(),
        })
    }
}

impl Visitor {
    /// What goes up of this visitor with every call (contract 1.1).
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let address = self.address.map(|address| HeaderValue::try_from(address.to_string()));
        let told = [
            (FORWARDED_FOR, address.and_then(Result::ok)),
            (COUNTRY, self.country.clone()),
            (header::AUTHORIZATION, self.token.clone()),
        ];
        headers.extend(told.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))));
        headers
    }
}

fn country(value: &HeaderValue) -> Option<HeaderValue> {
    let code = value.to_str().ok()?.trim().to_ascii_uppercase();
    let is_code = code.len() == 2 && code.bytes().all(|letter| letter.is_ascii_uppercase());
    if is_code { HeaderValue::try_from(code).ok() } else { None }
}

/// A listed path, in parts, and the query that came with it. A variable part has only characters that have no meaning of
/// their own in an address, so that none of them leads elsewhere.
pub struct Listed {
    pub parts: Vec<String>,
    pub query: Option<String>,
}

impl Listed {
    /// The order of `/v5/orders/{order_id}/subscribe`, and of the same under `/api`.
    pub fn order_id(&self) -> &str {
        self.parts.get(2).expect("every path of a stream has its order third")
    }
}

impl FromRequestParts<Gateway> for Listed {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Listed, ApiError> {
        let matched = MatchedPath::from_request_parts(parts, gateway).await.map_err(|_| ApiError::not_found())?;
        let mut listed = Vec::new();
        for part in matched.as_str().split('/').skip(1) {
            if part.starts_with('{') {
                let Segment(text) = Segment::from_request_parts(parts, gateway).await?;
                listed.push(harmless(text)?);
            } else {
                listed.push(part.to_owned());
            }
        }
        Ok(Listed { parts: listed, query: parts.uri.query().map(str::to_owned) })
    }
}

fn harmless(text: String) -> Result<String, ApiError> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    let is_dots = text.bytes().all(|byte| byte == b'.');
    if is_plain && !is_dots && text.len() <= MOST_SEGMENT_BYTES { Ok(text) } else { Err(ApiError::not_found()) }
}
