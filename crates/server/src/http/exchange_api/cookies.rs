//! The two cookies of a browser that is signed in (contract 2.2): one that opens the account and that no script reads, and
//! one that pages read and repeat in the header `Csrf-Token`.
//!
//! The second follows from the first, so that nobody who can set cookies for this host can make a pair of his own.

use super::fault::Fault;
use crate::http::App;
use axum::http::{HeaderMap, HeaderValue, header};
use domain::time::Span;
use subtle::ConstantTimeEq;

const SESSION: &str = "kiosk_session";
const CSRF: &str = "_csrf";
const CSRF_HEADER: &str = "csrf-token";
/// The code of the partner whose link a browser came by (contract 9).
pub const PARTNER: &str = "partner";

/// Without a call for so long, a browser is signed out.
pub const LASTS: Span = Span::hours(30 * 24);

/// The methods that change nothing. Every other method asks a browser's page for the header: a method that somebody adds
/// and forgets here asks for it, too.
const READING: [&str; 22] = [
    "public/exchanger/route/get",
    "public/exchanger/route-v2/get",
    "public/exchanger/route/get/one",
    "public/exchanger/route/get/one/by-xml",
    "public/exchanger/route/get/one/by-friendlyURL",
    "public/exchanger/favorite/get",
    "public/exchanger/order/get",
    "public/exchanger/order/get-lasts",
    "user/exchanger/order/history",
    "user/exchanger/order/chart",
    "user/auth/api/get/list",
    "user/auth/session/get",
    "user/auth/socket/get/token",
    "user/affiliate/basic/get",
    "user/affiliate/today/get",
    "user/affiliate/chart",
    "user/affiliate/orders",
    "public/site/status/get",
    "public/rule/get",
    "public/visits/register",
    "public/exchanger/verification/find",
    "public/exchanger/verification/find/by-order-id",
];

/// The methods by which somebody becomes a signed-in caller: they do nothing in the name of whoever the browser belongs to.
const BEFORE_SIGN_IN: [&str; 5] = [
    "user/auth/sign-in",
    "user/auth/register",
    "user/auth/register/confirm",
    "user/auth/reset-password",
    "user/auth/reset-password/confirm",
];

/// Whether a method sees every caller as a guest.
pub fn is_before_sign_in(method: &str) -> bool {
    BEFORE_SIGN_IN.contains(&method)
}

/// The token of the session that a browser sent along.
pub fn session_token(headers: &HeaderMap) -> Option<String> {
    sent(headers, SESSION)
}

/// The code of the partner whose link the browser came by.
pub fn partner(headers: &HeaderMap) -> Option<String> {
    sent(headers, PARTNER)
}

fn sent(headers: &HeaderMap, wanted: &str) -> Option<String> {
    let sent = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = sent.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == wanted).map(|(_, value)| value.to_owned())
}

/// Lets a browser's page change something only if it can read our cookies, which a page of another origin cannot.
pub fn check(app: &App, method: &str, token: &str, headers: &HeaderMap) -> Result<(), Fault> {
    let is_list = super::site::empty_list(method).is_some();
    if READING.contains(&method) || is_list {
        return Ok(());
    }
    let told = headers.get(CSRF_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let fits = bool::from(told.as_bytes().ct_eq(app.vault.csrf_of(token).as_bytes()));
    if fits { Ok(()) } else { Err(Fault::no_csrf()) }
}

/// Whether the browser says that a page of another site makes this call. Such a page must not sign a visitor in, as somebody
/// else than he thinks.
pub fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|value| value.as_bytes() == b"cross-site")
}

/// The cookies of a browser that is signed in by that token.
pub fn signed_in(app: &App, token: &str) -> Vec<HeaderValue> {
    let csrf = app.vault.csrf_of(token);
    let seconds = LASTS.0 / 1_000;
    vec![cookie(app, SESSION, token, (seconds, "; HttpOnly")), cookie(app, CSRF, &csrf, (seconds, ""))]
}

/// Takes both away.
pub fn signed_out(app: &App) -> Vec<HeaderValue> {
    vec![cookie(app, SESSION, "", (0, "; HttpOnly")), cookie(app, CSRF, "", (0, ""))]
}

fn cookie(app: &App, name: &str, value: &str, (seconds, more): (i64, &str)) -> HeaderValue {
    let secure = if app.settings.public_url.starts_with("https://") { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/; Max-Age={seconds}; SameSite=Lax{more}{secure}");
    HeaderValue::from_str(&text).expect("names and tokens are letters, digits, - and _")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_is_found_among_other_cookies() {
        let mut headers = HeaderMap::new();
        assert_eq!(session_token(&headers), None);
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; kiosk_session_old=x;_csrf=c"));
        assert_eq!(session_token(&headers), None);
        headers.append(header::COOKIE, HeaderValue::from_static("b=2;  kiosk_session=abc-_; partner=shop"));
        assert_eq!(session_token(&headers), Some("abc-_".to_owned()));
        assert_eq!(partner(&headers), Some("shop".to_owned()));
    }

    #[test]
    fn what_changes_something_is_in_no_list_of_readers() {
        for method in ["user/auth/api/create", "user/auth/session/destroy", "public/exchanger/order/create", "x"] {
            assert!(!READING.contains(&method) && !is_before_sign_in(method), "{method}");
        }
    }
}
