//! A snapshot of every answer of the exchange API: status, headers, and the body with what is random in it replaced.
//!
//! What the contract says of an answer is asserted in `traps`, `stories` and `refused`; here the whole of it is kept.

use super::{Office, Placed};
use crate::snapshots::wire::Answer;
use serde_json::{Value, json};

/// Compares an answer with its snapshot. `hidden` are texts that differ from run to run, each with its name.
fn keep(name: &str, answer: &Answer, hidden: &[(&str, &str)]) {
    let mut body = answer.json();
    body["requestId"] = json!("[request id]");
    body["latency_ms"] = json!(0);
    keep_json(name, answer, &body, hidden);
}

fn keep_json(name: &str, answer: &Answer, body: &Value, hidden: &[(&str, &str)]) {
    let head: Vec<String> = ["content-type", "cache-control", "access-control-allow-origin"]
        .iter()
        .filter_map(|name| answer.header(name).map(|value| format!("{name}: {value}\n")))
        .collect();
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
