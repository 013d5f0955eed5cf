//! A snapshot of every answer of the exchange API: status, headers, and the body with what is random in it replaced.
//!
//! What the contract says of an answer is asserted in `traps`, `stories` and `refused`; here the whole of it is kept.

use super::sign_in::{Browser, code_now, join, mailed, second_factor, who};
use super::{Office, Placed};
use crate::snapshots::wire::Answer;
use domain::time::Span;
use serde_json::{Value, json};

/// Compares an answer with its snapshot. `hidden` are texts that differ from run to run, each with its name.
fn keep(name: &str, answer: &Answer, hidden: &[(&str, &str)]) {
    let mut body = answer.json();
    body["requestId"] = json!("[request id]");
    body["latency_ms"] = json!(0);
    keep_json(name, answer, &body, hidden);
}

fn keep_json(name: &str, answer: &Answer, body: &Value, hidden: &[(&str, &str)]) {
    let mut head: Vec<String> = ["content-type", "cache-control", "access-control-allow-origin"]
        .iter()
        .filter_map(|name| answer.header(name).map(|value| format!("{name}: {value}\n")))
        .collect();
    head.extend(answer.headers.iter().filter(|(name, _)| name == "set-cookie").map(|(_, line)| hidden_cookie(line)));
    let body = serde_json::to_string_pretty(body).expect("JSON can be written");
    let mut text = format!("HTTP {}\n{}\n{body}\n", answer.status, head.concat());
    for (random, name) in hidden {
        text = text.replace(random, name);
    }
    insta::with_settings!({
        snapshot_path => "snapshots",
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, {
        insta::assert_snapshot!(format!("exchange_{name}"), text);
    });
}

/// A cookie without its value, but whether it has one.
fn hidden_cookie(line: &str) -> String {
    let (pair, more) = line.split_once(';').expect("a pair and what is said of it");
    let (name, value) = pair.split_once('=').expect("a pair");
    let value = if value.is_empty() { "" } else { "[value]" };
    format!("set-cookie: {name}={value};{more}\n")
}

/// A list as its first entry: the others are of the same form.
fn first_of(answer: &Answer, path: &str) -> Value {
    let mut body = answer.json();
    body["requestId"] = json!("[request id]");
    body["latency_ms"] = json!(0);
    let list = body.pointer_mut(path).and_then(Value::as_array_mut).expect("a list");
    list.truncate(1);
    body
}

fn hidden(placed: &Placed) -> Vec<(&str, &str)> {
    let rid = placed.created["rid"].as_str().expect("a rid");
    vec![(placed.id.as_str(), "[id]"), (placed.secret.as_str(), "[secret]"), (rid, "[rid]")]
}

#[tokio::test(flavor = "multi_thread")]
async fn routes() {
    let office = Office::open().await;
    let list = office.answer("public/exchanger/route/get", &json!({}));
    keep_json("route_get", &list, &first_of(&list, "/data/routes"), &[]);
    let v2 = office.answer("public/exchanger/route-v2/get", &json!({}));
    let mut body = first_of(&v2, "/data/routes");
    let kept = body["data"]["routes"][0]["from"].as_str().expect("an id").to_owned();
    body["data"]["currencies"].as_object_mut().expect("a map").retain(|id, _| *id == kept);
    keep_json("route_v2_get", &v2, &body, &[]);
    let by_xml = json!({ "xmlIn": "SEPAEUR", "xmlOut": "USDTERC20", "lang": "en" });
    keep("route_get_one_by_xml", &office.answer("public/exchanger/route/get/one/by-xml", &by_xml), &[]);
    let id = json!({ "id": office.route("USDTERC20", "BTC")["routeId"] });
    keep("route_get_one", &office.answer("public/exchanger/route/get/one", &id), &[]);
    let url = json!({ "friendlyURL": "bitcoin-to-tether-erc20" });
    keep("route_get_one_by_friendly_url", &office.answer("public/exchanger/route/get/one/by-friendlyURL", &url), &[]);
    keep("favorite_get", &office.answer("public/exchanger/favorite/get", &json!({})), &[]);
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders() {
    let mut office = Office::open().await;
    let mut wanted = office.wanted("USDCSOL", "USDTERC20", "100");
    wanted["clientCallbackUrl"] = json!("https://shop.example/back");
    wanted["typeClient"] = json!("api");
    let answer = office.answer("public/exchanger/order/create", &wanted);
    let created = answer.json()["data"].take();
    let text = |name: &str| created[name].as_str().expect("a text").to_owned();
    let placed =
        Placed { id: text("_id"), uid: created["uid"].clone(), secret: text("secret"), created: created.clone() };
    keep("order_create", &answer, &hidden(&placed));
    let get = |office: &Office, kind: &str| {
        let mut params = placed.who();
        params["type"] = json!(kind);
        office.answer("public/exchanger/order/get", &params)
    };
    let row = office.row(&placed).await;
    let names: Vec<(&str, &str)> = [hidden(&placed), vec![(row.address.as_str(), "[address]")]].concat();
    keep("order_get_new", &get(&office, "order"), &names);
    keep("order_get_payment", &get(&office, "payment"), &names);
    let mut status = placed.who();
    status["status"] = json!("waitPayment");
    keep("order_update_status", &office.answer("public/exchanger/order/update-status", &status), &names);
    status["status"] = json!("done");
    keep("order_update_status_refused", &office.answer("public/exchanger/order/update-status", &status), &names);
    office.pay(&placed, "{}").await;
    keep("order_get_done", &get(&office, "order"), &names);
    keep("order_get_lasts", &office.answer("public/exchanger/order/get-lasts", &json!({ "limit": 1 })), &names);
    let by_hand = office.create(&office.wanted("SEPAEUR", "USDTERC20", "100"));
    let shown = office.answer("public/exchanger/order/get", &by_hand.who());
    keep("order_get_by_hand", &shown, &hidden(&by_hand));
    let nobody = json!({ "orderUID": 1, "orderSecret": "nope" });
    keep("order_get_unknown", &office.answer("public/exchanger/order/get", &nobody), &[]);
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn site() {
    let office = Office::open().await;
    let rule = json!({ "link": "agreement", "lang": "en" });
    keep("rule_get", &office.answer("public/rule/get", &rule), &[]);
    for method in [
        "public/contacts/list",
        "public/social-networks/list",
        "public/site/page/static/list",
        "public/site/page/static/content",
        "public/news/get/one",
        "public/reviews/get",
        "public/partners-block/list",
        "public/rule/list",
        "public/faq/get/list",
        "public/faq/get/group",
        "public/faq/get/one",
        "public/server/lang/all",
        "public/web-alerts/get/list",
    ] {
        let name = method.trim_start_matches("public/").replace(['/', '-'], "_");
        keep(&format!("empty_{name}"), &office.answer(method, &json!({})), &[]);
    }
    for (name, method) in [
        ("site_status", "public/site/status/get"),
        ("visits_register", "public/visits/register"),
        ("news_list", "public/news/list/full"),
        ("socket_token", "user/auth/socket/get/token"),
        ("unknown_method", "public/exchanger/nothing"),
    ] {
        keep(name, &office.answer(method, &json!({})), &[]);
    }
    office.shop.close().await;
}

/// A text of an answer's data.
fn text_of(answer: &Answer, path: &str) -> String {
    let body = answer.json();
    body.pointer(path).and_then(Value::as_str).expect("a text").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in() {
    let mut office = Office::open().await;
    keep("register", &office.answer("user/auth/register", &who()), &[]);
    keep("sign_in_not_confirmed", &office.answer("user/auth/sign-in", &who()), &[]);
    office.shop.pump().await;
    let code = json!({ "code": mailed(&office, "Confirm your e-mail") });
    keep("register_confirm", &office.answer("user/auth/register/confirm", &code), &[]);
    keep("register_confirm_again", &office.answer("user/auth/register/confirm", &code), &[]);
    keep("register_again", &office.answer("user/auth/register", &who()), &[]);
    let answer = office.answer("user/auth/sign-in", &who());
    let (id, rate_key) = (text_of(&answer, "/data/_id"), text_of(&answer, "/data/affiliate/rateKey"));
    let names = [(id.as_str(), "[account]"), (rate_key.as_str(), "[rate key]")];
    keep("sign_in", &answer, &names);
    let wrong = json!({ "email": "bob@example.org", "password": "wrong horse" });
    keep("sign_in_wrong", &office.answer("user/auth/sign-in", &wrong), &[]);
    let mut with_key = who();
    with_key["apiAuth"] = json!(true);
    let answer = office.answer("user/auth/sign-in", &with_key);
    let (key, secret) = (text_of(&answer, "/data/apiKey/key"), text_of(&answer, "/data/apiKey/secret"));
    let more = [names.as_slice(), &[(key.as_str(), "[key]"), (secret.as_str(), "[key's secret]")]].concat();
    keep("sign_in_with_key", &answer, &more);
    let browser = Browser::sign_in(&office, &who());
    let call = |method: &str, csrf: Option<&str>| browser.call_with(&office, method, &json!({}), csrf);
    keep("session_get", &call("user/auth/session/get", None), &names);
    keep("session_get_of_a_guest", &office.answer("user/auth/session/get", &json!({})), &[]);
    keep("session_destroy_without_csrf", &call("user/auth/session/destroy", None), &[]);
    keep("session_destroy", &call("user/auth/session/destroy", Some(&browser.csrf)), &[]);
    let address = json!({ "email": who()["email"] });
    keep("reset_password", &office.answer("user/auth/reset-password", &address), &[]);
    office.shop.pump().await;
    let mut reset = json!({ "code": "A".repeat(32), "password": "battery staple" });
    keep("reset_password_wrong_code", &office.answer("user/auth/reset-password/confirm", &reset), &[]);
    reset["code"] = json!(mailed(&office, "asked for another password"));
    keep("reset_password_confirm", &office.answer("user/auth/reset-password/confirm", &reset), &[]);
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_factor() {
    let mut office = Office::open().await;
    join(&mut office).await;
    let browser = Browser::sign_in(&office, &who());
    let call = |method: &str, params: &Value| browser.call_with(&office, method, params, Some(&browser.csrf));
    let begun = call("user/auth/2fa/init", &json!({ "password": who()["password"] }));
    let secret = text_of(&begun, "/data/secret");
    keep("two_factor_init", &begun, &[(secret.as_str(), "[secret]")]);
    let key = second_factor(&office).await;
    let code = |office: &Office| json!({ "code": code_now(office, &key) });
    keep("two_factor_enable_wrong_code", &call("user/auth/2fa/enable", &json!({ "code": "000000x" })), &[]);
    keep("two_factor_enable", &call("user/auth/2fa/enable", &code(&office)), &[]);
    keep("two_factor_init_again", &call("user/auth/2fa/init", &json!({ "password": who()["password"] })), &[]);
    keep("sign_in_without_code", &office.answer("user/auth/sign-in", &who()), &[]);
    // Each code is good once.
    office.shop.clock.advance(Span::seconds(30));
    keep("two_factor_disable", &call("user/auth/2fa/disable", &code(&office)), &[]);
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partners() {
    let mut office = Office::open().await;
    join(&mut office).await;
    let browser = Browser::sign_in(&office, &who());
    let link = json!({ "affiliateLink": "ann-shop" });
    let edit = "user/profile/edit/partner-link";
    keep("partner_link", &browser.call_with(&office, edit, &link, Some(&browser.csrf)), &[]);
    let mut wanted = office.wanted("USDCSOL", "USDTERC20", "100");
    wanted["partner"] = json!("ann-shop");
    let placed = office.create(&wanted);
    office.pay(&placed, "{}").await;
    let call = |method: &str, params: &Value| browser.call_with(&office, method, params, None);
    let basic = call("user/affiliate/basic/get", &json!({}));
    let rate_key = text_of(&basic, "/data/affiliate/rateKey");
    keep("affiliate_basic", &basic, &[(rate_key.as_str(), "[rate key]")]);
    keep("affiliate_today", &call("user/affiliate/today/get", &json!({})), &[]);
    keep("affiliate_chart", &call("user/affiliate/chart", &json!({})), &[]);
    let params = json!({ "page": 1, "limit": 10, "allOrders": true });
    keep("affiliate_orders", &call("user/affiliate/orders", &params), &hidden(&placed));

    let access = browser.call_with(&office, "user/auth/api/create", &json!({ "name": "monitor" }), Some(&browser.csrf));
    let key = text_of(&access, "/data/access/key");
    let ask = |method: &str, key: &str| {
        let path = format!("/service/partner/api.php?api_action=pp&api_key={key}&method={method}");
        office.send("GET", &path, &[], "")
    };
    let exchanges = ask("get_exchanges", &key);
    let user = text_of(&exchanges, &format!("/data/items/{}/user_hash", placed.uid));
    keep_json("partner_get_exchanges", &exchanges, &exchanges.json(), &[(user.as_str(), "[user hash]")]);
    for (name, method, key) in [
        ("partner_get_info", "get_info", key.as_str()),
        ("partner_get_links", "get_links", key.as_str()),
        ("partner_unknown_method", "get_nothing", key.as_str()),
        ("partner_unknown_key", "get_info", "EX_00"),
    ] {
        let answer = ask(method, key);
        keep_json(name, &answer, &answer.json(), &[]);
    }
    office.shop.close().await;
}

/// What an account sees of its orders and keys, and the events of both kinds of orders.
#[tokio::test(flavor = "multi_thread")]
async fn an_account() {
    let mut office = Office::open().await;
    join(&mut office).await;
    let browser = Browser::sign_in(&office, &who());
    let call =
        |office: &Office, method: &str, params: &Value| browser.call_with(office, method, params, Some(&browser.csrf));
    let guest = office.create(&office.wanted("USDCSOL", "USDTERC20", "100"));
    let names = hidden(&guest);
    keep("order_update_owner", &call(&office, "user/exchanger/order/update/owner", &guest.who()), &names);
    office.pay(&guest, "{}").await;
    let page = json!({ "page": 1, "limit": 10 });
    keep("order_history", &call(&office, "user/exchanger/order/history", &page), &names);
    keep("order_chart", &call(&office, "user/exchanger/order/chart", &json!({})), &names);
    let access = call(&office, "user/auth/api/create", &json!({ "name": "shop" }));
    let (key, secret) = (text_of(&access, "/data/access/key"), text_of(&access, "/data/access/secret"));
    let keys = [(key.as_str(), "[key]"), (secret.as_str(), "[key's secret]")];
    keep("api_create", &access, &keys);
    keep("api_get_list", &call(&office, "user/auth/api/get/list", &json!({})), &keys);
    let bearer = format!("Bearer {key}.{secret}");
    let events = office.send("GET", "/kiosk/v1/events?limit=2", &[("authorization", &bearer)], "");
    keep_json("events", &events, &events.json(), &names);
    keep("api_delete", &call(&office, "user/auth/api/delete", &json!({ "apiKey": key })), &keys);
    let refused = office.send("GET", "/kiosk/v1/events", &[("authorization", &bearer)], "");
    keep_json("events_refused", &refused, &refused.json(), &[]);
    let elsewhere = [("content-type", "application/json"), ("sec-fetch-site", "cross-site")];
    let answer = office.send("POST", "/api/v1/user/auth/sign-in", &elsewhere, &who().to_string());
    keep("sign_in_from_elsewhere", &answer, &[]);
    office.shop.close().await;
}
