//! The two cookies of a browser that is signed in (contract 2.2): one that opens the account and that no script reads, and
//! one that pages read and repeat in the header `Csrf-Token`.
//!
//! The second follows from the first, so that nobody who can set cookies for this host can make a pair of his own.

use super::fault::Fault;
use super::methods::{self, Kind};
use crate::http::App;
use axum::http::{HeaderMap, HeaderValue, header};
use domain::time::Span;
use subtle::ConstantTimeEq;

const SESSION: &str = "kiosk_session";
const CSRF: &str = "_csrf";
const CSRF_HEADER: &str = "csrf-token";
/// Remembers the partner whose link a browser came by (contract 9).
const PARTNER: &str = "partner";

/// A browser is signed out so long after it asked who it is (`user/auth/session/get`), as every page does that begins.
pub const LASTS: Span = Span::hours(30 * 24);
/// How long the partner of a browser is remembered.
const REMEMBERED: Span = Span::hours(30 * 24);

/// The token of the session that a browser sent along; none if it sent several, of which somebody else may have set one.
pub fn session_token(app: &App, headers: &HeaderMap) -> Option<String> {
    only(headers, &session_name(is_secure(app)))
}

fn is_secure(app: &App) -> bool {
    app.settings.public_url.starts_with("https://")
}

/// Where there is TLS, browsers take a cookie of this prefix from this very host alone (RFC 6265bis, 4.1.3.2).
fn session_name(secure: bool) -> String {
    if secure { format!("__Host-{SESSION}") } else { SESSION.to_owned() }
}

/// The code of the partner whose link the browser came by.
pub fn partner(headers: &HeaderMap) -> Option<String> {
    only(headers, PARTNER)
}

fn only(headers: &HeaderMap, wanted: &str) -> Option<String> {
    let sent = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = sent.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut found = pairs.filter(|(name, _)| *name == wanted).map(|(_, value)| value.to_owned());
    let first = found.next();
    first.filter(|_| found.next().is_none())
}

/// Lets a browser's page change something only if it can read our cookies, which a page of another origin cannot.
pub fn check(app: &App, method: &str, token: &str, headers: &HeaderMap) -> Result<(), Fault> {
    if methods::kind_of(method) == Some(Kind::Reads) {
        return Ok(());
    }
    let told = headers.get(CSRF_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let fits = bool::from(told.as_bytes().ct_eq(app.vault.csrf_of(token).as_bytes()));
    if fits { Ok(()) } else { Err(Fault::no_csrf()) }
}

/// Whether the browser says that no page of ours makes this call. A link in a mail or a page of another site must not sign a
/// visitor in, as somebody else than he thinks.
pub fn is_from_elsewhere(public_url: &str, headers: &HeaderMap) -> bool {
    let says = |name: &str, word: &[u8]| headers.get(name).is_some_and(|value| value.as_bytes() == word);
    // Older browsers, and all of them without TLS, send `Origin` alone; programs send neither.
    let is_elsewhere = match headers.contains_key("sec-fetch-site") {
        true => !says("sec-fetch-site", b"same-origin"),
        false => headers.contains_key(header::ORIGIN) && !says("origin", public_url.trim_end_matches('/').as_bytes()),
    };
    is_elsewhere || says("sec-fetch-mode", b"navigate")
}

/// The cookies of a browser that is signed in by that token.
pub fn signed_in(app: &App, token: &str) -> Vec<HeaderValue> {
    let csrf = app.vault.csrf_of(token);
    let seconds = LASTS.0 / 1_000;
    vec![session_cookie(app, token, seconds), cookie(app, CSRF, &csrf, (seconds, ""))]
}

/// Remembers a partner's code.
pub fn came_by(app: &App, code: &str) -> HeaderValue {
    cookie(app, PARTNER, code, (REMEMBERED.0 / 1_000, ""))
}

/// Takes both away.
pub fn signed_out(app: &App) -> Vec<HeaderValue> {
    vec![session_cookie(app, "", 0), cookie(app, CSRF, "", (0, ""))]
}

fn session_cookie(app: &App, token: &str, seconds: i64) -> HeaderValue {
    cookie(app, &session_name(is_secure(app)), token, (seconds, "; HttpOnly"))
}

fn cookie(app: &App, name: &str, value: &str, (seconds, more): (i64, &str)) -> HeaderValue {
    let secure = if is_secure(app) { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/; Max-Age={seconds}; SameSite=Lax{more}{secure}");
    HeaderValue::from_str(&text).expect("names and tokens are letters, digits, - and _")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_is_found_among_other_cookies() {
        let mut headers = HeaderMap::new();
        let token = |headers: &HeaderMap| only(headers, &session_name(false));
        assert_eq!(token(&headers), None);
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; kiosk_session_old=x;_csrf=c"));
        assert_eq!(token(&headers), None);
        headers.append(header::COOKIE, HeaderValue::from_static("b=2;  kiosk_session=abc-_; partner=shop"));
        assert_eq!(token(&headers), Some("abc-_".to_owned()));
        assert_eq!(partner(&headers), Some("shop".to_owned()));
        assert_eq!(only(&headers, &session_name(true)), None, "over TLS it has another name");
        headers.append(header::COOKIE, HeaderValue::from_static("kiosk_session=planted"));
        assert_eq!(token(&headers), None, "two of one name");
    }

    #[test]
    fn only_a_page_of_ours_signs_a_browser_in() {
        let with_origin = |site: Option<&'static str>, mode: Option<&'static str>, origin: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            for (name, value) in [("sec-fetch-site", site), ("sec-fetch-mode", mode), ("origin", origin)] {
                headers.extend(
                    value.map(|value| (axum::http::HeaderName::from_static(name), HeaderValue::from_static(value))),
                );
            }
            is_from_elsewhere("https://shop.test", &headers)
        };
        let from = |site: Option<&'static str>, mode: Option<&'static str>| with_origin(site, mode, None);
        assert!(
            !with_origin(None, None, Some("https://shop.test")) && with_origin(None, None, Some("https://evil.test"))
        );
        assert!(!from(None, None) && !from(Some("same-origin"), Some("cors")));
        for site in ["none", "same-site", "cross-site"] {
            assert!(from(Some(site), None), "{site}");
        }
        assert!(from(Some("same-origin"), Some("navigate")));
    }
}
