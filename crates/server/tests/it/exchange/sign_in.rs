//! Signing in with e-mail and password, the second factor, and what a browser's cookies open (contract 2.2).

use super::Office;
use super::account::code;
use crate::snapshots::wire::Answer;
use domain::time::Span;
use serde_json::{Value, json};
use server::one_time;
use server::ports::Clock;
use server::store::logins;

const EMAIL: &str = "ann@example.org";
const PASSWORD: &str = "correct horse";

/// A browser: it keeps cookies, and its pages repeat `_csrf`.
#[derive(Default)]
pub struct Browser {
    pub session: String,
    pub csrf: String,
}

impl Browser {
    pub fn call_with(&self, office: &Office, method: &str, params: &Value, csrf: Option<&str>) -> Answer {
        let cookie = format!("other=1; kiosk_session={}; _csrf={}", self.session, self.csrf);
        let mut head = vec![("content-type", "application/json"), ("cookie", cookie.as_str())];
        head.extend(csrf.map(|csrf| ("Csrf-Token", csrf)));
        office.send("POST", &format!("/service/api/v1/{method}/"), &head, &params.to_string())
    }

    pub fn call(&self, office: &Office, method: &str, params: &Value) -> Value {
        let answer = self.call_with(office, method, params, Some(&self.csrf));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// Signs in, and keeps what it is given.
    pub fn sign_in(office: &Office, params: &Value) -> Browser {
        let answer = office.answer("user/auth/sign-in", params);
        assert_eq!(answer.json()["success"], true, "{}", answer.text());
        Browser { session: cookie(&answer, "kiosk_session"), csrf: cookie(&answer, "_csrf") }
    }
}

/// The line that sets a cookie.
fn cookie_line<'a>(answer: &'a Answer, name: &str) -> &'a str {
    let mut lines = answer.headers.iter().filter(|(known, _)| known == "set-cookie").map(|(_, value)| value.as_str());
    let begin = format!("{name}=");
    lines.find(|line| line.starts_with(&begin)).expect("the cookie is set")
}

fn cookie(answer: &Answer, name: &str) -> String {
    let line = cookie_line(answer, name);
    let (_, value) = line.split(';').next().expect("a pair").split_once('=').expect("a value");
    value.to_owned()
}

pub fn who() -> Value {
    json!({ "email": EMAIL, "password": PASSWORD })
}

/// The mails to that address, oldest first by name: (text, code).
fn mails(office: &Office) -> Vec<(String, String)> {
    let dir = office.shop.config.server.data_dir.join("mail");
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let texts = entries.map(|entry| std::fs::read_to_string(entry.expect("an entry").path()).expect("readable"));
    let about_accounts = texts.filter(|text| text.contains("/account/"));
    let with_code = about_accounts.map(|text| {
        let link = text.lines().find(|line| line.contains("/account/")).expect("a link");
        let code = link.rsplit('/').next().expect("a code").to_owned();
        (text, code)
    });
    with_code.collect()
}

/// The code of the one mail whose text has those words.
pub fn mailed(office: &Office, words: &str) -> String {
    let mut found: Vec<String> =
        mails(office).into_iter().filter(|(text, _)| text.contains(words)).map(|(_, code)| code).collect();
    assert_eq!(found.len(), 1, "mails with {words:?}");
    found.pop().expect("one")
}

/// An account whose address is confirmed.
pub async fn join(office: &mut Office) {
    office.data("user/auth/register", &who());
    office.shop.pump().await;
    let code = mailed(office, "Confirm your e-mail");
    office.data("user/auth/register/confirm", &json!({ "code": code }));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_opens_once_its_address_is_confirmed() {
    let mut office = Office::open().await;
    office.data("user/auth/register", &who());
    assert_eq!(office.error("user/auth/sign-in", &who())["errorCode"], 2_355_231_636_112_u64);
    office.shop.pump().await;
    let code = mailed(&office, "Confirm your e-mail");
    let wrong = json!({ "code": "A".repeat(32) });
    assert_eq!(office.error("user/auth/register/confirm", &wrong)["errorCode"], 3_421_537_955_653_247_u64);
    // Reading the page that the mail links to uses nothing up.
    let page = office.send("GET", &format!("/account/confirm/{code}"), &[], "");
    assert!(page.status == 200 && page.text().contains("<form"), "{}", page.text());
    office.data("user/auth/register/confirm", &json!({ "code": code }));
    assert_eq!(
        office.error("user/auth/register/confirm", &json!({ "code": code }))["errorCode"],
        3_421_537_955_653_247_u64,
        "once"
    );
    assert_eq!(office.error("user/auth/register", &who())["errorCode"], 11_000_654);
    let answer = office.answer("user/auth/sign-in", &json!({ "email": "Ann@Example.org", "password": PASSWORD }));
    let line = cookie_line(&answer, "kiosk_session");
    assert!(line.contains("; HttpOnly") && line.contains("; SameSite=Lax") && !line.contains("Secure"), "{line}");
    assert!(!cookie_line(&answer, "_csrf").contains("HttpOnly"));
    let profile = &answer.json()["data"];
    assert_eq!((&profile["email"], &profile["twoFactor"]), (&json!(EMAIL), &json!(false)));
    // Nothing of it stands in the database as it is.
    let rows =
        office.shop.kiosk.engine.db.read(|tx| tx.query("select email_hash, email_sealed, password from logins", &[]));
    let rows = format!("{:?}", rows.await.expect("a read"));
    assert!(!rows.contains("ann") && !rows.contains("horse"), "{rows}");
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_button_in_the_mail_s_page_confirms_too() {
    let mut office = Office::open().await;
    office.data("user/auth/register", &who());
    office.shop.pump().await;
    let code = mailed(&office, "Confirm your e-mail");
    let head = [("content-type", "application/x-www-form-urlencoded")];
    let path = format!("/account/confirm/{code}");
    let without = office.send("POST", &path, &head, &format!("code={code}&password="));
    assert!(without.text().contains("role=\"alert\""), "it asks for a password: {}", without.text());
    let done = office.send("POST", &path, &head, &format!("code={code}&password=staple%20of%20horses"));
    assert!(done.text().contains("Your address is confirmed"), "{}", done.text());
    assert_eq!(office.error("user/auth/sign-in", &who())["errorCode"], 241_351, "what a stranger chose opens nothing");
    Browser::sign_in(&office, &json!({ "email": EMAIL, "password": "staple of horses" }));
    office.shop.close().await;
}

/// Which code is whose nobody can see who reads both mails: he names the password that he wants.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_registers_an_address_again_replaces_nobody_s_password() {
    let mut office = Office::open().await;
    office.data("user/auth/register", &who());
    office.shop.pump().await;
    let code = mailed(&office, "Confirm your e-mail");
    office.data("user/auth/register", &json!({ "email": EMAIL, "password": "a stranger's" }));
    let alone = json!({ "code": code });
    assert_eq!(office.error("user/auth/register/confirm", &alone)["errorCode"], 5_341_529_529_941_981_u64);
    office.data("user/auth/register/confirm", &json!({ "code": code, "password": PASSWORD }));
    Browser::sign_in(&office, &who());
    assert_eq!(
        office.error("user/auth/sign-in", &json!({ "email": EMAIL, "password": "a stranger's" }))["errorCode"],
        241_351
    );
    office.shop.close().await;
}

/// Whoever knew the old password may have made keys; those that the operator made stay.
#[tokio::test(flavor = "multi_thread")]
async fn another_password_takes_away_the_keys_that_the_account_made() {
    let mut office = Office::open().await;
    join(&mut office).await;
    let browser = Browser::sign_in(&office, &who());
    browser.call(&office, "user/auth/api/create", &json!({ "name": "a thief's" }));
    let kiosk = &office.shop.kiosk;
    let account = server::cli::accounts::find(kiosk, EMAIL).await.expect("an account");
    let terms = server::cli::accounts::KeyTerms { name: "the shop's".to_owned(), ..Default::default() };
    server::cli::accounts::add_key(kiosk, &account, terms).await.expect("a key");
    office.data("user/auth/reset-password", &json!({ "email": EMAIL }));
    office.shop.pump().await;
    let reset = json!({ "code": mailed(&office, "asked for another password"), "password": PASSWORD });
    office.data("user/auth/reset-password/confirm", &reset);
    let browser = Browser::sign_in(&office, &who());
    let keys = browser.call(&office, "user/auth/api/get/list", &json!({}))["data"]["keys"].take();
    let names: Vec<&str> = keys.as_array().expect("a list").iter().filter_map(|key| key["name"].as_str()).collect();
    assert_eq!(names, ["the shop's"]);
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_address_and_no_password_has_its_own_code() {
    let office = Office::open().await;
    for (params, code) in [
        (json!({ "password": PASSWORD }), 8_781_529_530_113_112_u64),
        (json!({ "email": "ann", "password": PASSWORD }), 3_961_529_529_941_976),
        (json!({ "email": EMAIL, "password": "short" }), 5_341_529_529_941_981),
        (json!({ "email": EMAIL }), 5_341_529_529_941_981),
    ] {
        assert_eq!(office.error("user/auth/register", &params)["errorCode"], code, "{params}");
    }
    assert_eq!(office.error("user/auth/sign-in", &who())["errorCode"], 241_351, "nobody");
    assert_eq!(office.error("user/auth/session/get", &json!({}))["errorCode"], 40301);
    assert_eq!(office.data("user/auth/reset-password", &json!({ "email": EMAIL })), json!({ "ok": 1 }));
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_says_what_an_unknown_address_says_and_guesses_end() {
    let mut office = Office::open().await;
    join(&mut office).await;
    let wrong = json!({ "email": EMAIL, "password": "wrong horse" });
    let stranger = json!({ "email": "bob@example.org", "password": "wrong horse" });
    assert_eq!(office.error("user/auth/sign-in", &wrong), office.error("user/auth/sign-in", &stranger));
    for _ in 0..9 {
        assert_eq!(office.error("user/auth/sign-in", &wrong)["errorCode"], 241_351);
    }
    let stopped = office.error("user/auth/sign-in", &who());
    assert_eq!((&stopped["errorCode"], &stopped["object"]["time"]), (&json!(5_030_000), &json!(900)));
    office.shop.after(Span::minutes(15)).await;
    Browser::sign_in(&office, &who());
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_sees_its_orders_and_changes_nothing_without_the_header() {
    let mut office = Office::open().await;
    join(&mut office).await;
    let guest = office.create(&office.wanted("USDCSOL", "USDTERC20", "50"));
    let browser = Browser::sign_in(&office, &who());
    let wanted = office.wanted("USDCSOL", "USDTERC20", "100");
    for csrf in [None, Some(""), Some("AAAA")] {
        let refused = browser.call_with(&office, "public/exchanger/order/create", &wanted, csrf).json();
        assert_eq!(code(&refused), 4_101_000_000_000_007);
    }
    // Any verb reaches a method (trap 3), and asks for the same.
    let sent = format!("kiosk_session={}", browser.session);
    let head = [("cookie", sent.as_str())];
    let by_link = office.send("GET", "/service/api/v1/user/auth/api/create", &head, "").json();
    assert_eq!(code(&by_link), 4_101_000_000_000_007);
    let created = browser.call(&office, "public/exchanger/order/create", &wanted);
    assert_eq!(created["success"], true, "{created}");
    let history = browser.call_with(&office, "user/exchanger/order/history", &json!({}), None).json();
    assert_eq!(history["data"]["count"]["total"], 1, "reading asks for no header: {history}");
    let taken = browser.call(&office, "user/exchanger/order/update/owner", &guest.who());
    assert_eq!(taken["data"]["count"], 1, "{taken}");
    assert_eq!(browser.call(&office, "user/exchanger/order/chart", &json!({}))["success"], true);
    let key = browser.call(&office, "user/auth/api/create", &json!({ "name": "shop" }));
    assert_eq!(key["data"]["access"]["secret"].as_str().map(str::len), Some(40), "{key}");
    assert_eq!(browser.call(&office, "user/auth/socket/get/token", &json!({}))["data"], json!({ "token": "public" }));
    // Guests and keys need no header.
    assert_eq!(office.data("user/auth/socket/get/token", &json!({})), json!({ "token": "public" }));
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_slides_runs_out_and_ends() {
    let mut office = Office::open().await;
    join(&mut office).await;
    let browser = Browser::sign_in(&office, &who());
    let is_open = |office: &Office| browser.call(office, "user/auth/session/get", &json!({}))["success"] == true;
    for _ in 0..3 {
        office.shop.clock.advance(Span::hours(20 * 24));
        assert!(is_open(&office), "asking who it is prolongs it");
    }
    office.shop.clock.advance(Span::hours(30 * 24));
    assert!(!is_open(&office));
    let browser = Browser::sign_in(&office, &who());
    let out = browser.call_with(&office, "user/auth/session/destroy", &json!({}), Some(&browser.csrf));
    assert_eq!(out.json()["data"], json!({ "ok": 1 }));
    assert_eq!(cookie(&out, "kiosk_session"), "");
    assert_eq!(code(&browser.call(&office, "user/auth/session/get", &json!({}))), 40301);
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_password_ends_every_session_and_its_code_is_good_once_for_an_hour() {
    let mut office = Office::open().await;
    join(&mut office).await;
    let browser = Browser::sign_in(&office, &who());
    office.data("user/auth/reset-password", &json!({ "email": EMAIL, "lang": "ru" }));
    office.shop.pump().await;
    let old = mailed(&office, "запросил новый пароль");
    office.shop.clock.advance(Span::hours(1));
    let params = |code: &str| json!({ "code": code, "password": "battery staple" });
    let confirm = "user/auth/reset-password/confirm";
    assert_eq!(office.error(confirm, &params(&old))["errorCode"], 3_421_537_955_653_247_u64);
    office.data("user/auth/reset-password", &json!({ "email": EMAIL }));
    office.shop.pump().await;
    let fresh = mailed(&office, "asked for another password");
    office.data(confirm, &params(&fresh));
    assert_eq!(office.error(confirm, &params(&fresh))["errorCode"], 3_421_537_955_653_247_u64);
    assert_eq!(code(&browser.call(&office, "user/auth/session/get", &json!({}))), 40301);
    assert_eq!(office.error("user/auth/sign-in", &who())["errorCode"], 241_351);
    Browser::sign_in(&office, &json!({ "email": EMAIL, "password": "battery staple" }));
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn api_auth_gives_a_key_and_no_cookie() {
    let mut office = Office::open().await;
    join(&mut office).await;
    let answer = office.answer("user/auth/sign-in", &json!({ "email": EMAIL, "password": PASSWORD, "apiAuth": true }));
    assert!(answer.header("set-cookie").is_none());
    let key = &answer.json()["data"]["apiKey"];
    assert!(key["key"].as_str().expect("a key").starts_with("EX_"), "{key}");
    assert_eq!(key["secret"].as_str().map(str::len), Some(40));
    // A page of another site must not sign anybody in.
    let head = [("content-type", "application/json"), ("sec-fetch-site", "cross-site")];
    let from_elsewhere = office.send("POST", "/api/v1/user/auth/sign-in", &head, &who().to_string());
    assert_eq!(code(&from_elsewhere.json()), 4_101_000_000_000_008);
    office.shop.close().await;
}

/// What the authenticator app of the one account was given.
pub async fn second_factor(office: &Office) -> [u8; 20] {
    let (engine, vault) = (&office.shop.kiosk.engine, &office.shop.kiosk.vault);
    let key = vault.login_key(EMAIL);
    let login = engine.db.read(move |tx| logins::by_email(tx, &key)).await.expect("a read").expect("a login");
    vault.two_factor_secret(&login.account, login.generation)
}

/// What the app shows now.
pub fn code_now(office: &Office, secret: &[u8; 20]) -> String {
    one_time::code_of(secret, office.shop.clock.now().unix_seconds() / 30)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor_is_asked_for_and_each_code_taken_once() {
    let mut office = Office::open().await;
    join(&mut office).await;
    let browser = Browser::sign_in(&office, &who());
    let init = "user/auth/2fa/init";
    assert_eq!(browser.call(&office, init, &json!({}))["success"], false, "it asks for the password");
    assert_eq!(code(&browser.call(&office, init, &json!({ "password": "wrong horse" }))), 241_351);
    let begun = browser.call(&office, init, &json!({ "password": PASSWORD }));
    assert!(begun["data"]["url"].as_str().expect("a URL").starts_with("otpauth://totp/shop.test:"), "{begun}");
    let secret = second_factor(&office).await;
    assert_eq!(begun["data"]["secret"], one_time::base32(&secret));
    let now = |office: &Office| code_now(office, &secret);
    let six = now(&office);
    let other = format!("{}{}", (six.as_bytes()[0] - b'0' + 1) % 10, &six[1..]);
    for wrong in ["000000x", &other] {
        let wrong = browser.call(&office, "user/auth/2fa/enable", &json!({ "code": wrong }));
        assert_eq!(code(&wrong), 3_421_537_955_653_247);
    }
    let first = now(&office);
    assert_eq!(browser.call(&office, "user/auth/2fa/enable", &json!({ "code": first }))["success"], true);
    assert_eq!(code(&browser.call(&office, init, &json!({ "password": PASSWORD }))), 2_801_537_954_040_709);
    let with = |code: &str| json!({ "email": EMAIL, "password": PASSWORD, "code": code });
    assert_eq!(office.error("user/auth/sign-in", &who())["errorCode"], 6_231_533_598_118_172_u64);
    assert_eq!(office.error("user/auth/sign-in", &with(&first))["errorCode"], 6_231_533_598_118_172_u64, "used");
    office.shop.clock.advance(Span::seconds(30));
    let second = now(&office);
    Browser::sign_in(&office, &with(&second));
    assert_eq!(office.error("user/auth/sign-in", &with(&second))["errorCode"], 6_231_533_598_118_172_u64, "used");
    office.shop.clock.advance(Span::seconds(30));
    let off = browser.call(&office, "user/auth/2fa/disable", &json!({ "code": now(&office) }));
    assert_eq!(off["success"], true, "{off}");
    Browser::sign_in(&office, &who());
    // Who has lost it goes to the operator.
    let account = server::cli::accounts::find(&office.shop.kiosk, EMAIL).await.expect("an account");
    let forget = server::cli::accounts::forget_second_factor;
    assert!(forget(&office.shop.kiosk, &account).await.is_err(), "none is asked for");
    browser.call(&office, init, &json!({ "password": PASSWORD }));
    let secret = second_factor(&office).await;
    let params = json!({ "code": code_now(&office, &secret) });
    assert_eq!(browser.call(&office, "user/auth/2fa/enable", &params)["success"], true);
    assert_eq!(office.error("user/auth/sign-in", &who())["errorCode"], 6_231_533_598_118_172_u64);
    forget(&office.shop.kiosk, &account).await.expect("forgotten");
    Browser::sign_in(&office, &who());
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partner_s_link_leads_home_and_marks_the_order() {
    let mut office = Office::open().await;
    join(&mut office).await;
    let browser = Browser::sign_in(&office, &who());
    let link = json!({ "affiliateLink": "ann-shop" });
    assert_eq!(browser.call(&office, "user/profile/edit/partner-link", &link)["data"], json!({ "ok": 1 }));
    let home = office.send("GET", "/ref/ann-shop/en/?cur_from=BTC&to=USDTERC20&next=//evil.example", &[], "");
    assert_eq!(home.status, 301);
    assert_eq!(home.header("location"), Some("http://shop.test/en/?from=BTC&to=USDTERC20&ref=ann-shop"));
    assert!(cookie_line(&home, "partner").starts_with("partner=ann-shop;"));
    let mut wanted = office.wanted("USDCSOL", "USDTERC20", "100");
    for (partner, is_known) in [("ann-shop", true), ("nobody", false), ("", false)] {
        wanted["partner"] = json!(partner);
        let placed = office.create(&wanted);
        assert_eq!(office.order(&placed)["partner"].is_string(), is_known, "{partner}");
    }
    wanted["partner"] = json!("ann-shop");
    let own = browser.call(&office, "public/exchanger/order/create", &wanted)["data"].take();
    let who = json!({ "orderUID": own["uid"], "orderSecret": own["secret"] });
    assert!(
        office.data("public/exchanger/order/get", &who)["order"]["partner"].is_null(),
        "one's own counts for nothing"
    );
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_seals_addresses_again_and_signs_nobody_out() {
    let mut office = Office::open().await;
    join(&mut office).await;
    let browser = Browser::sign_in(&office, &who());
    let key_file = office.shop.config.secret_key_file();
    let resealed = server::cli::keys::rotate(&office.shop.kiosk, &key_file).await.expect("a rotation");
    assert_eq!((resealed.logins, resealed.closed), (1, 0));
    let profile = browser.call(&office, "user/auth/session/get", &json!({}));
    assert_eq!(profile["data"]["email"], EMAIL, "{profile}");
    office.shop.close().await;
}
