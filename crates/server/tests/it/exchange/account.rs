//! Signed calls, and what an account sees of its orders and keys (contract 2.1, 3 and 6).

use super::{Office, Placed};
use serde_json::{Value, json};
use server::cli::accounts::{KeyTerms, add_key};
use server::store::accounts::{self, Account, Role};
use sha2::{Digest, Sha256};

fn hex(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An account with a key, as a merchant's program knows it.
pub struct Merchant {
    pub account: String,
    pub key: String,
    pub secret: String,
    time: std::cell::Cell<u64>,
}

impl Merchant {
    pub async fn join(office: &Office, name: &str) -> Merchant {
        Merchant::with(office, name, false).await
    }

    /// One whose notifications are sent until they arrive.
    pub async fn with_retries(office: &Office, name: &str) -> Merchant {
        Merchant::with(office, name, true).await
    }

    async fn with(office: &Office, name: &str, ipn_retries: bool) -> Merchant {
        let kiosk = &office.shop.kiosk;
        let account = Account {
            id: format!("account-{name}"),
            role: Role::Customer,
            name: name.to_owned(),
            token_hash: None,
            trust_from: None,
            active: true,
            created_at: kiosk.engine.clock.now(),
        };
        let id = account.id.clone();
        kiosk.engine.write(move |tx| accounts::add(tx, &account)).await.expect("added");
        let (key, secret) = add_key(kiosk, &id, KeyTerms { ipn_retries, ..KeyTerms::default() }).await.expect("a key");
        let time = u64::try_from(kiosk.engine.clock.now().0).expect("after 1970");
        Merchant { account: id, key, secret, time: std::cell::Cell::new(time) }
    }

    /// The hash over a JSON text, as contract 2.1 says.
    fn sign(&self, text: &str) -> String {
        hex(&format!("{}{}", hex(text), self.secret))
    }

    /// Calls with `time` in the query, signed; the parameters are compact JSON in the order of their keys.
    pub fn call(&self, office: &Office, method: &str, params: &Value) -> Value {
        self.time.set(self.time.get() + 1);
        self.call_at(office, method, params, self.time.get())
    }

    fn call_at(&self, office: &Office, method: &str, params: &Value, time: u64) -> Value {
        let body = params.to_string();
        let rest = body.strip_prefix('{').expect("an object");
        let comma = if rest == "}" { "" } else { "," };
        let hash = self.sign(&format!("{{\"time\":\"{time}\"{comma}{rest}"));
        let head = [("content-type", "application/json"), ("apiKey", self.key.as_str()), ("hash", &hash)];
        let answer = office.send("POST", &format!("/api/v1/{method}?time={time}"), &head, &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    fn history(&self, office: &Office, params: &Value) -> Value {
        let mut answer = self.call(office, "user/exchanger/order/history", params);
        assert_eq!(answer["success"], true, "{answer}");
        answer["data"].take()
    }
}

pub fn code(answer: &Value) -> u64 {
    assert_eq!(answer["success"], false, "{answer}");
    answer["error"]["errorCode"].as_u64().expect("a code")
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_15_a_signed_order_stands_in_the_history_with_its_secret() {
    let office = Office::open().await;
    let (merchant, other) = (Merchant::join(&office, "one").await, Merchant::join(&office, "two").await);
    let mut wanted = office.wanted("USDCSOL", "USDTERC20", "100");
    wanted["hideOutData"] = json!(true);
    let created = merchant.call(&office, "public/exchanger/order/create", &wanted)["data"].take();
    let listed = merchant.history(&office, &json!({ "limit": 10 }));
    assert_eq!(listed["count"], json!({ "total": 1, "pages": 1, "select_page": 1, "limit": 10, "offset": 0 }));
    for name in ["_id", "uid", "secret", "rid", "status", "inAmount", "outAmount"] {
        assert_eq!(listed["orders"][0][name], created[name], "{name}");
    }
    assert_eq!(listed["orders"][0]["route"]["from"]["xml"], "USDCSOL");
    assert_eq!(other.history(&office, &json!({}))["orders"], json!([]), "another's history is empty");
    // The owner sees what is hidden from the payer.
    let who = json!({ "orderSecret": created["secret"], "orderUID": created["uid"] });
    assert_eq!(office.data("public/exchanger/order/get", &who)["order"]["toValues"], json!([]));
    let shown = merchant.call(&office, "public/exchanger/order/get", &who);
    assert_eq!(shown["data"]["order"]["toValues"][0]["value"], super::PAYOUT_ADDRESS, "{shown}");
    let shown = other.call(&office, "public/exchanger/order/get", &who);
    assert_eq!(shown["data"]["order"]["toValues"], json!([]));
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_18_statuses_are_a_list_and_pages_are_cut() {
    let office = Office::open().await;
    let merchant = Merchant::join(&office, "one").await;
    let mut placed = Vec::new();
    for amount in ["100", "200", "300"] {
        let wanted = office.wanted("USDCSOL", "USDTERC20", amount);
        placed.push(merchant.call(&office, "public/exchanger/order/create", &wanted)["data"].take());
    }
    let first = Placed {
        id: String::new(),
        uid: placed[0]["uid"].clone(),
        secret: placed[0]["secret"].as_str().expect("a secret").to_owned(),
        created: Value::Null,
    };
    office.set(&first, "waitPayment");
    let amounts = |listed: &Value| -> Vec<Value> {
        listed["orders"].as_array().expect("orders").iter().map(|order| order["inAmount"].clone()).collect()
    };
    let new = merchant.history(&office, &json!({ "statuses": ["new", "done"] }));
    assert_eq!((amounts(&new), &new["count"]["total"]), (vec![json!(300), json!(200)], &json!(2)));
    let both = merchant.history(&office, &json!({ "statuses": "waitPayment,new", "limit": 2, "page": 2 }));
    assert_eq!((amounts(&both), &both["count"]["pages"]), (vec![json!(100)], &json!(2)));
    let wrong = merchant.call(&office, "user/exchanger/order/history", &json!({ "statuses": ["Done"] }));
    assert_eq!(code(&wrong), 500_400_404);
    // A query's list, as the web client sends it.
    let time = merchant.time.get() + 1;
    let hash = merchant.sign(&format!("{{\"statuses\":[\"waitPayment\"],\"time\":\"{time}\"}}"));
    let head = [("apikey", merchant.key.as_str()), ("hash", hash.as_str())];
    let path = format!("/service/api/v1/user/exchanger/order/history/?statuses[]=waitPayment&time={time}");
    let answer = office.send("GET", &path, &head, "").json();
    assert_eq!(amounts(&answer["data"]), [json!(100)], "{answer}");
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_signature_is_refused_on_every_method_and_a_replay_writes_nothing() {
    let office = Office::open().await;
    let merchant = Merchant::join(&office, "one").await;
    let stranger = Merchant { key: "EX_00".to_owned(), time: merchant.time.clone(), ..clone_of(&merchant) };
    let liar = Merchant { secret: "0".repeat(40), time: merchant.time.clone(), ..clone_of(&merchant) };
    for wrong in [&stranger, &liar] {
        let answer = wrong.call(&office, "public/exchanger/favorite/get", &json!({}));
        assert_eq!(code(&answer), 40301);
        assert_eq!(
            (&answer["error"]["errorType"], &answer["error"]["statusCode"]),
            (&json!("unauthorized"), &json!(403))
        );
    }
    // A guest has no history, and a call without a time is none.
    assert_eq!(office.error("user/exchanger/order/history", &json!({}))["errorCode"], 40301);
    let hash = merchant.sign("{}");
    let head = [("apikey", merchant.key.as_str()), ("hash", hash.as_str())];
    assert_eq!(code(&office.send("GET", "/api/v1/public/exchanger/favorite/get", &head, "").json()), 40301);
    // The same call again.
    let wanted = office.wanted("USDCSOL", "USDTERC20", "100");
    let again = || merchant.call_at(&office, "public/exchanger/order/create", &wanted, 1_700_000_900_000);
    assert_eq!(again()["success"], true);
    assert_eq!(code(&again()), 40301);
    // Far in the past of what this key has said.
    let late = merchant.call_at(&office, "public/exchanger/favorite/get", &json!({}), 1_700_000_800_000);
    assert_eq!(code(&late), 40301);
    assert_eq!(
        merchant.call_at(&office, "user/exchanger/order/history", &json!({}), 1_700_000_900_001)["data"]["count"]["total"],
        1
    );
    office.shop.close().await;
}

/// What a restarted server has forgotten the database still knows: a signed order is made once.
#[tokio::test(flavor = "multi_thread")]
async fn a_replay_after_a_restart_is_refused_by_the_database() {
    let office = Office::open().await;
    let merchant = Merchant::join(&office, "one").await;
    let wanted = office.wanted("USDCSOL", "USDTERC20", "100");
    let time = 1_700_000_900_000;
    assert_eq!(merchant.call_at(&office, "public/exchanger/order/create", &wanted, time)["success"], true);
    // Doors of another process, with a memory of their own, on the same database.
    let (stop, stopping) = tokio::sync::watch::channel(false);
    let workers = tokio::task::JoinSet::new();
    let shop = &office.shop;
    let doors = server::boot::start_doors(&shop.config, &shop.kiosk, &shop.outside, workers, stopping).await;
    let doors = doors.expect("doors");
    let body = wanted.to_string();
    let hash = merchant.sign(&format!("{{\"time\":\"{time}\",{}", body.strip_prefix('{').expect("an object")));
    let head = [("content-type", "application/json"), ("apikey", merchant.key.as_str()), ("hash", hash.as_str())];
    let request = crate::snapshots::wire::Request {
        method: "POST",
        path: &format!("/api/v1/public/exchanger/order/create?time={time}"),
        headers: &head,
        body: body.as_bytes(),
    };
    let answer = crate::snapshots::wire::call(&doors.address.to_string(), &request).expect("an answer").json();
    assert_eq!(code(&answer), 40301);
    let listed = merchant.call_at(&office, "user/exchanger/order/history", &json!({}), time + 1);
    assert_eq!(listed["data"]["count"]["total"], 1);
    stop.send_replace(true);
    drop(office);
}

fn clone_of(merchant: &Merchant) -> Merchant {
    Merchant {
        account: merchant.account.clone(),
        key: merchant.key.clone(),
        secret: merchant.secret.clone(),
        time: merchant.time.clone(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_makes_and_deletes_its_keys() {
    let office = Office::open().await;
    let merchant = Merchant::join(&office, "one").await;
    // The official client's button sends its click event as the name.
    let made = merchant.call(&office, "user/auth/api/create", &json!({ "name": { "isTrusted": true } }));
    let access = &made["data"]["access"];
    assert_eq!((&access["permission"]["base"], &access["isActive"]), (&json!(true), &json!(true)));
    let fresh = Merchant {
        key: access["key"].as_str().expect("a key").to_owned(),
        secret: access["secret"].as_str().expect("a secret").to_owned(),
        ..clone_of(&merchant)
    };
    assert_eq!(fresh.history(&office, &json!({}))["count"]["total"], 0, "the new key opens the account");
    let listed = fresh.call(&office, "user/auth/api/get/list", &json!({}))["data"].take();
    assert_eq!(listed["keys"].as_array().map(Vec::len), Some(2));
    assert!(!listed.to_string().contains(&fresh.secret), "a secret is shown once");
    for _ in 0..3 {
        assert_eq!(merchant.call(&office, "user/auth/api/create", &json!({ "name": "more" }))["success"], true);
    }
    assert_eq!(code(&merchant.call(&office, "user/auth/api/create", &json!({}))), 4_101_000_000_000_005);
    assert_eq!(
        merchant.call(&office, "user/auth/api/delete", &json!({ "apiKey": fresh.key }))["data"],
        json!({ "ok": 1 })
    );
    assert_eq!(code(&fresh.call(&office, "user/auth/api/get/list", &json!({}))), 40301);
    // Another's key is not his to delete.
    let other = Merchant::join(&office, "two").await;
    assert_eq!(
        code(&other.call(&office, "user/auth/api/delete", &json!({ "apiKey": merchant.key }))),
        4_101_000_000_000_005
    );
    // A closed account opens nothing.
    let id = merchant.account.clone();
    let engine = &office.shop.kiosk.engine;
    engine.write(move |tx| accounts::set_active(tx, Role::Customer, &id, false)).await.expect("closed");
    assert_eq!(code(&merchant.call(&office, "user/auth/api/get/list", &json!({}))), 40301);
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_takes_over_what_it_made_as_a_guest_and_nothing_else() {
    let mut office = Office::open().await;
    let (merchant, other) = (Merchant::join(&office, "one").await, Merchant::join(&office, "two").await);
    let placed = [
        office.create(&office.wanted("USDCSOL", "USDTERC20", "100")),
        office.create(&office.wanted("USDCSOL", "USDTERC20", "200")),
    ];
    let named = |secret: &str, at: usize| json!({ "secret": secret, "uid": placed[at].uid });
    let orders = json!({ "orders": [named(&placed[0].secret, 0), named("AAAAAAAAAAAAAAAAAAAAAAAA", 1)] });
    let taken = merchant.call(&office, "user/exchanger/order/update/owner", &orders);
    assert_eq!(taken["data"]["count"], 1, "{taken}");
    let again = other.call(&office, "user/exchanger/order/update/owner", &placed[0].who());
    assert_eq!(code(&again), 4_101_000_000_000_005, "it has an owner");
    assert_eq!(merchant.history(&office, &json!({}))["count"]["total"], 1);
    office.pay(&placed[0], "{}").await;
    let chart = merchant.call(&office, "user/exchanger/order/chart", &json!({}));
    let day = json!({ "date": "2026-11-20", "sumAmountsUSD": 100, "avgAmountsUSD": 100, "doneOrders": 1, "count": 1 });
    assert_eq!(chart["data"]["statistics"], json!([day]));
    office.shop.close().await;
}
