//! Who is calling (contract 2): a guest, an account that signs with a key, or one whose browser is signed in.
//!
//! A wrong signature is refused on every method, public ones too: whoever signs wants to know that it does not fit.

use super::cookies;
use super::fault::Fault;
use super::params::{Param, Params};
use super::signed::is_signed;
use crate::http::App;
use crate::secret::Secret;
use crate::store::api_keys::{self, ApiKey};
use crate::store::logins;
use axum::http::HeaderMap;
use domain::ids::CustomerId;
use domain::time::{Span, Time};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Mutex;

/// Longest key or hash that is looked at.
const MOST_HEADER: usize = 64;
/// How far a call's time may be behind the newest of its key: clients that work in parallel overtake one another.
const MOST_BEHIND_MS: i64 = 60_000;
const WRONG_ADDRESS: &str = "this API key may not be used from this address";
/// A key that did not call for so long may begin with any time again.
const ANEW_AFTER: Span = Span::hours(1);
/// How far the time of a call that must be new may be from ours.
const FRESH: Span = Span::minutes(5);
/// Signed calls that are remembered of all keys: beyond it the key that was silent longest is forgotten.
const REMEMBERED_OF_ALL: usize = 500_000;
/// Signed calls of one key that are remembered.
const REMEMBERED: usize = 10_000;

/// A session is prolonged when so much of its time is over: not with each call, each of which would be a write.
const PROLONGED_AFTER: Span = Span::hours(24);

/// An account that called.
#[derive(Debug, Clone)]
pub struct Owner {
    pub account: CustomerId,
    pub by: Proof,
}

/// What shows that it is that account.
#[derive(Debug, Clone)]
pub enum Proof {
    /// The key and what was signed with it: carried out once.
    Signed {
        key: Box<ApiKey>,
        signed: String,
        /// As it was sent: mostly a unix time.
        time: i64,
    },
    /// The token of a browser that is signed in.
    Session(Secret<String>),
}

impl Owner {
    /// The key and what was signed with it; none for a browser.
    pub fn signed(&self) -> Option<&str> {
        match &self.by {
            Proof::Signed { signed, .. } => Some(signed),
            Proof::Session(_) => None,
        }
    }

    /// The name of the key; none for a browser.
    pub fn key(&self) -> Option<&str> {
        match &self.by {
            Proof::Signed { key, .. } => Some(&key.key),
            Proof::Session(_) => None,
        }
    }

    /// Whether notifications of orders that are placed so are sent until they arrive.
    pub fn wants_ipn_again(&self) -> bool {
        matches!(&self.by, Proof::Signed { key, .. } if key.ipn_retries)
    }

    /// The networks to which a key is bound that this caller makes: those of his own.
    pub fn bound_to(&self) -> String {
        match &self.by {
            Proof::Signed { key, .. } => key.allowed_from.clone(),
            Proof::Session(_) => String::new(),
        }
    }

    /// What gives or takes the power over an account is done by a browser that is signed in, or by a call that was signed just
    /// now: one that was overheard long ago must not become another.
    ///
    /// # Errors
    /// The signed `time` is none of now, in seconds or milliseconds.
    pub fn must_be_fresh(&self, now: Time) -> Result<(), Fault> {
        let is_now = |milliseconds: i64| (now.0 - milliseconds).abs() <= FRESH.0;
        match self.by {
            Proof::Signed { time, .. } if !is_now(time) && !is_now(time.saturating_mul(1_000)) => {
                Err(Fault::unauthorized("`time` of this call must be the unix time of now, up to five minutes off"))
            }
            Proof::Signed { .. } | Proof::Session(_) => Ok(()),
        }
    }

    /// The token of a browser that is signed in; none for a key.
    pub fn session(&self) -> Option<&str> {
        match &self.by {
            Proof::Signed { .. } => None,
            Proof::Session(token) => Some(token.expose()),
        }
    }
}

/// Signed calls that this process has seen. What writes is remembered in the database too, under its signature.
pub struct Seen {
    /// The time of a key's calls must grow with each; otherwise they may overtake one another a little.
    must_grow: bool,
    keys: Mutex<Keys>,
}

#[derive(Default)]
struct Keys {
    by_name: BTreeMap<String, OfKey>,
    /// Calls of all of them.
    calls: usize,
}

impl Keys {
    fn forget_the_silent(&mut self) {
        while self.calls > REMEMBERED_OF_ALL {
            let silent = self.by_name.iter().min_by_key(|(_, of_key)| of_key.at).map(|(name, _)| name.clone());
            let Some(of_key) = silent.and_then(|name| self.by_name.remove(&name)) else { return };
            self.calls -= of_key.order.len();
        }
    }
}

struct OfKey {
    newest: i64,
    /// When it called last, by our clock.
    at: Time,
    order: VecDeque<String>,
    known: BTreeSet<String>,
}

impl Seen {
    pub fn new(must_grow: bool) -> Seen {
        Seen { must_grow, keys: Mutex::default() }
    }

    /// Whether such a call is new. Its time must not be far behind the newest of its key (contract 2.1), unless the key has
    /// not called for long: some clients count from the start of their machine.
    fn is_new(&self, key: &str, time: i64, hash: &str, now: Time) -> bool {
        let mut seen = self.keys.lock().expect("nobody panics while remembering");
        let fresh = || OfKey { newest: 0, at: now, order: VecDeque::new(), known: BTreeSet::new() };
        let of_key = seen.by_name.entry(key.to_owned()).or_insert_with(fresh);
        let is_late = match self.must_grow {
            true => time <= of_key.newest,
            false => time < of_key.newest - MOST_BEHIND_MS && now.since(of_key.at) < ANEW_AFTER,
        };
        if is_late || !of_key.known.insert(hash.to_owned()) {
            return false;
        }
        of_key.newest = if now.since(of_key.at) < ANEW_AFTER { of_key.newest.max(time) } else { time };
        of_key.at = now;
        of_key.order.push_back(hash.to_owned());
        let oldest = if of_key.order.len() > REMEMBERED { of_key.order.pop_front() } else { None };
        match oldest {
            Some(oldest) => drop(of_key.known.remove(&oldest)),
            None => seen.calls += 1,
        }
        seen.forget_the_silent();
        true
    }
}

/// The account behind a call; none for a guest.
///
/// # Errors
/// A key is named, and key, signature, time or address do not fit.
pub async fn of(
    app: &App,
    headers: &HeaderMap,
    params: &Params,
    address: Option<IpAddr>,
    now: Time,
) -> Result<Option<Owner>, Fault> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let Some(name) = text("apikey").filter(|key| !key.is_empty()) else { return of_browser(app, headers, now).await };
    let hash = text("hash").unwrap_or_default();
    if name.len() > MOST_HEADER || hash.len() > MOST_HEADER {
        return Err(Fault::unauthorized("the API key or its hash does not fit"));
    }
    let wanted = name.to_owned();
    let key = app.engine.db.read(move |tx| api_keys::active(tx, &wanted)).await?;
    // An unknown key is worked on like a known one: the time that it takes tells nothing.
    let secret = app.vault.api_secret(name);
    let fits = is_signed(params, &secret, hash);
    let Some(key) = key.filter(|_| fits) else {
        return Err(Fault::unauthorized("the API key or its hash does not fit"));
    };
    check_address(&key, address)?;
    let time = params.get("time").and_then(whole_number).filter(|time| *time > 0);
    let time = time.ok_or_else(|| Fault::unauthorized("a signed call carries `time`, a unix time above zero"))?;
    if !app.reads.signed.is_new(&key.key, time, hash, now) {
        return Err(Fault::replayed());
    }
    let signed = format!("{}:{time}:{}", key.key, hash.to_ascii_lowercase());
    Ok(Some(Owner {
        account: CustomerId::new(key.account.clone()),
        by: Proof::Signed { signed, time, key: Box::new(key) },
    }))
}

/// The account of a key that somebody names and signs nothing with: only for what partners' monitors read (contract 9).
///
/// # Errors
/// The key is not in use, or not from this address.
pub async fn of_key(app: &App, name: String, address: Option<IpAddr>) -> Result<String, Fault> {
    let key = app.engine.db.read(move |tx| api_keys::active(tx, &name)).await?;
    let key = key.ok_or_else(|| Fault::unauthorized("there is no such API key in use"))?;
    check_address(&key, address)?;
    Ok(key.account)
}

fn check_address(key: &ApiKey, address: Option<IpAddr>) -> Result<(), Fault> {
    if key.may_be_used_from(address) { Ok(()) } else { Err(Fault::unauthorized(WRONG_ADDRESS)) }
}

/// The account that a browser is signed in to. A session that has run out makes a guest: who only looks must not be refused.
async fn of_browser(app: &App, headers: &HeaderMap, now: Time) -> Result<Option<Owner>, Fault> {
    let token = cookies::session_token(app, headers).filter(|token| !token.is_empty() && token.len() <= MOST_HEADER);
    let Some(token) = token else { return Ok(None) };
    let hash = app.vault.hash_of_secret(&token);
    let wanted = hash.clone();
    let Some(session) = app.engine.db.read(move |tx| logins::session(tx, &wanted, now)).await? else {
        return Ok(None);
    };
    if session.until.since(now).0 < cookies::LASTS.0 - PROLONGED_AFTER.0 {
        app.engine.write(move |tx| logins::prolong_session(tx, &hash, now + cookies::LASTS)).await?;
    }
    Ok(Some(Owner { account: CustomerId::new(session.account), by: Proof::Session(Secret::new(token)) }))
}

/// A number as it is sent, parts of a unit dropped: one client sends its clock with decimals.
fn whole_number(param: &Param) -> Option<i64> {
    let text = param.as_text()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if digits(whole) && digits(fraction) { whole.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_new_once_and_may_be_a_little_late() {
        let seen = Seen::new(false);
        let is_new = |key: &str, time: i64, hash: &str| seen.is_new(key, time, hash, Time(0));
        assert!(is_new("k", 1_000_000, "a"));
        assert!(!is_new("k", 1_000_000, "a"), "the same again");
        assert!(is_new("k", 1_000_000, "b"), "another call at the same moment");
        assert!(is_new("k", 940_000, "c"), "a minute late");
        assert!(!is_new("k", 939_999, "d"), "more than a minute late");
        assert!(is_new("other", 5, "a"), "each key has a time of its own");
        // Its machine was started anew.
        assert!(!seen.is_new("k", 7, "e", Time(3_599_999)));
        assert!(!seen.is_new("k", 7, "a", Time(3_600_000)), "the same again");
        assert!(seen.is_new("k", 7, "e", Time(3_600_000)));
        assert!(seen.is_new("k", 8, "f", Time(3_600_001)));
    }

    #[test]
    fn a_time_may_have_to_grow() {
        let seen = Seen::new(true);
        assert!(seen.is_new("k", 2, "a", Time(0)));
        for time in [1, 2] {
            assert!(!seen.is_new("k", time, "b", Time(36_000_000)), "{time}");
        }
        assert!(seen.is_new("k", 3, "b", Time(0)));
    }

    #[test]
    fn a_time_is_a_number_however_it_is_written() {
        let time = |text: &str| whole_number(&Param::Text(text.to_owned()));
        assert_eq!((time("1700000000000"), time("1234.5"), time("0")), (Some(1_700_000_000_000), Some(1_234), Some(0)));
        for wrong in ["", "-1", "1e3", ".5", "abc", "99999999999999999999"] {
            assert_eq!(time(wrong), None, "{wrong}");
        }
        assert_eq!(whole_number(&Param::Number("7".to_owned())), Some(7));
    }
}
