//! Webhooks (Standard Webhooks 1.0) and `/kiosk/v1/events`: who is told what, how often, and until when.

use crate::exchange::{Office, Placed};
use crate::raw;
use crate::receiver::{Heard, Receiver};
use domain::time::Span;
use serde_json::{Value, json};
use server::cli::accounts::{KeyTerms, add_key};
use server::cli::webhook;
use server::happenings;
use server::ports::{Answer, Message, Posted, Poster};
use server::store::accounts::{self, Role};
use server::workers::outbox::{self, Outbox};
use server::workers::{Ran, webhooks as worker};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);
const DAY: Span = Span::hours(24);

/// A merchant with an account and an endpoint of his own.
struct Merchant {
    account: String,
    bearer: String,
    key: String,
    receiver: Receiver,
    endpoint: String,
    secret: String,
}

impl Merchant {
    async fn join(office: &Office, name: &str) -> Merchant {
        Merchant::wanting(office, name, &[]).await
    }

    async fn wanting(office: &Office, name: &str, types: &[&str]) -> Merchant {
        let bearer = raw::sign_up(&office.shop, name).await;
        let account = format!("customer-{name}");
        let (key, secret) = add_key(&office.shop.kiosk, &account, KeyTerms::default()).await.expect("a key");
        let receiver = Receiver::answering("204 No Content");
        let (endpoint, hook_secret) = add(office, &account, &receiver.url, types).await.expect("an endpoint");
        Merchant { account, bearer, key: format!("{key}.{secret}"), receiver, endpoint, secret: hook_secret }
    }

    /// What `/kiosk/v1/events` says.
    fn events(&self, office: &Office, query: &str) -> Value {
        let answer = ask(office, query, &format!("Bearer {}", self.key));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// An order of goods.
    async fn buys(&self, office: &Office) -> Value {
        raw::place(&office.shop, &[("authorization", &self.bearer)], &raw::card("Apple", "25 USD")).await
    }
}

fn ask(office: &Office, query: &str, authorization: &str) -> crate::snapshots::wire::Answer {
    office.send("GET", &format!("/kiosk/v1/events{query}"), &[("authorization", authorization)], "")
}

/// Adds an endpoint as an operator does who lets this machine be called; answers its id and its secret.
async fn add(office: &Office, account: &str, url: &str, types: &[&str]) -> anyhow::Result<(String, String)> {
    let types: Vec<String> = types.iter().map(|kind| (*kind).to_owned()).collect();
    let allowed = &office.shop.config.callbacks.allow;
    let added = webhook::add(&office.shop.kiosk, allowed, account, url, &types).await?;
    let (id, secret) = added.split_once(' ').expect("an id and a secret");
    Ok((id.to_owned(), secret.to_owned()))
}

fn sender(office: &Office) -> worker::Sender {
    let kiosk = &office.shop.kiosk;
    worker::Sender::new(kiosk.engine.clone(), kiosk.vault.clone(), office.shop.outside.poster.clone())
}

/// Whether a message is signed with that secret, checked with another library than signs it.
fn is_signed(heard: &Heard, secret: &str, signature: &str) -> bool {
    let key = secret.strip_prefix("whsec_").expect("a secret of Standard Webhooks");
    let bytes = base64(key);
    let header = |name: &str| heard.headers[name].as_str();
    let signed = format!("{}.{}.{}", header("webhook-id"), header("webhook-timestamp"), heard.body);
    let told = base64(signature.strip_prefix("v1,").expect("a signature"));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &bytes);
    ring::hmac::verify(&key, signed.as_bytes(), &told).is_ok()
}

fn base64(text: &str) -> Vec<u8> {
    let text = text.trim_end_matches('=').replace('+', "-").replace('/', "_");
    server::entropy::from_base64url(&text).expect("base64")
}

fn ids(heard: &[Heard]) -> Vec<String> {
    heard.iter().map(|heard| heard.headers["webhook-id"].clone()).collect()
}

fn states(heard: &[Heard]) -> Vec<String> {
    heard.iter().map(|heard| heard.json()["status"].as_str().expect("a state").to_owned()).collect()
}

/// Every value of a name, wherever it stands.
fn all_of<'a>(value: &'a Value, name: &str, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                if key == name {
                    found.extend(value.as_str());
                }
                all_of(value, name, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| all_of(item, name, found)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_hears_of_his_orders_of_goods_and_reads_the_same_events() {
    let mut office = Office::open().await;
    let (ann, bea) = (Merchant::join(&office, "ann").await, Merchant::join(&office, "bea").await);
    let order = ann.buys(&office).await;
    raw::pay(&mut office.shop, &order).await;
    let mut heard = ann.receiver.heard();
    // They are sent side by side.
    heard.sort_by_key(|heard| happenings::seq_of(&heard.headers["webhook-id"]));
    for heard in &heard {
        let (body, header) = (heard.json(), |name: &str| heard.headers[name].as_str());
        assert!(is_signed(heard, &ann.secret, header("webhook-signature")), "{}", header("webhook-signature"));
        assert!(!is_signed(heard, &bea.secret, header("webhook-signature")), "another's secret");
        assert_eq!((header("content-type"), header("webhook-timestamp")), ("application/json", "1795174500"));
        assert_eq!((&body["id"], &body["type"]), (&json!(header("webhook-id")), &json!("order.updated")));
        assert_eq!(body["data"]["order"]["order_id"], order["order_id"]);
        // Where the store API's receivers look.
        assert_eq!(body["order_id"], order["order_id"]);
        assert_eq!(body["status"], body["data"]["order"]["order_state"]);
    }
    // As it was then, not as it is now; each once, and nothing that it passed through within a moment.
    let wanted = ["WaitingForPayment", "PaymentReceived", "WaitingForDelivery", "Done"];
    assert_eq!(states(&heard), wanted);
    let listed = ann.events(&office, "");
    let told: Vec<Value> = heard.iter().map(Heard::json).collect();
    assert_eq!(listed["events"], json!(told), "the same events with the same ids");
    // Nothing of it opens anything: no code, no address of a person.
    let shown = raw::show(&office.shop, &order).await;
    let mut codes = Vec::new();
    all_of(&shown, "pin_code", &mut codes);
    assert!(!codes.is_empty(), "{shown}");
    for secret in codes.into_iter().chain(["@example.com", "pin_code"]) {
        assert!(!listed.to_string().contains(secret), "an event holds {secret}");
    }
    assert_eq!(bea.receiver.heard().len(), 0, "it is none of hers");
    assert_eq!(bea.events(&office, "")["events"], json!([]));
    office.shop.close().await;
}

/// An exchange order of that merchant, on its way to being paid.
async fn exchanges(office: &Office, merchant: &Merchant, more: &Value) -> Placed {
    let mut wanted = office.wanted("USDCSOL", "USDTERC20", "100");
    for (name, value) in more.as_object().expect("parameters") {
        wanted[name] = value.clone();
    }
    let placed = office.create(&wanted);
    let account = merchant.account.clone();
    let id = office.row(&placed).await.id;
    let command = domain::decide::Command::TakeOver { order: id, customer: domain::ids::CustomerId::new(account) };
    office.shop.kiosk.engine.submit(server::engine::Lane::Client, command).await.expect("owned");
    placed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_has_the_id_that_the_change_has_among_the_events() {
    let mut office = Office::open().await;
    let ann = Merchant::join(&office, "ann").await;
    let ipn = Receiver::answering("200 OK");
    let placed = exchanges(&office, &ann, &json!({ "ipnUrl": ipn.url, "ipnSecret": "ipn-secret-1" })).await;
    office.set(&placed, "waitPayment");
    office.pay(&placed, "{}").await;
    let listed = ann.events(&office, "");
    let events = listed["events"].as_array().expect("a list");
    let notified = ipn.heard();
    assert_eq!(notified.len(), 4);
    let told: Vec<&Value> = events.iter().map(|event| &event["data"]["order"]["status"]).collect();
    assert_eq!(
        told,
        ["new", "new", "waitPayment", "inProgress", "inProgressPayout", "done"],
        "as notified, nothing between"
    );
    for notice in notified {
        let event = events.iter().find(|event| event["id"] == notice.headers["webhook-id"].as_str()).expect("listed");
        let order = &event["data"]["order"];
        assert_eq!(order["status"], notice.form()["newStatus"]);
        assert_eq!((&order["_id"], &order["uid"]), (&json!(placed.id), &placed.uid));
        assert_eq!((&order["inAmount"], &order["outAmount"]), (&json!("100"), &json!("98.5")));
        assert_eq!((&order["xml_from"], &order["xml_to"]), (&json!("USDCSOL"), &json!("USDTERC20")));
    }
    assert!(!listed.to_string().contains(&placed.secret), "the order's secret");
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_read_on_from_the_last_one_that_is_known() {
    let mut office = Office::open().await;
    let ann = Merchant::join(&office, "ann").await;
    let order = ann.buys(&office).await;
    raw::pay(&mut office.shop, &order).await;
    let all = ann.events(&office, "")["events"].as_array().expect("a list").clone();
    assert!(all.len() > 2);
    let (mut read, mut after) = (Vec::new(), String::new());
    loop {
        let page = ann.events(&office, &format!("?limit=2{after}"));
        let events = page["events"].as_array().expect("a list");
        assert!(events.len() <= 2);
        if events.is_empty() {
            break;
        }
        read.extend(events.iter().cloned());
        after = format!("&after={}", page["next"].as_str().expect("a name"));
    }
    assert_eq!(read, all);
    // Also whoever has read everything is told where to read on.
    let end = ann.events(&office, &format!("?{}", &after[1..]));
    assert_eq!(end["events"], json!([]));
    for wrong in ["?after=12", "?after=evt_-1", "?after=evt_999999", "?limit=0", "?limit=101", "?limit=x"] {
        assert_eq!(ask(&office, wrong, &format!("Bearer {}", ann.key)).status, 400, "{wrong}");
    }
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_for_whoever_holds_a_key() {
    let office = Office::open().await;
    let ann = Merchant::join(&office, "ann").await;
    let (key, secret) = ann.key.split_once('.').expect("a key and its secret");
    let wrong = [
        String::new(),
        format!("Bearer {key}"),
        format!("Bearer {key}."),
        format!("Bearer {key}.{}", "0".repeat(secret.len())),
        format!("Bearer EX_{}.{secret}", "0".repeat(40)),
        format!("Basic {}", ann.key),
        ann.bearer.clone(),
    ];
    for authorization in wrong {
        assert_eq!(ask(&office, "", &authorization).status, 401, "{authorization}");
    }
    // A key that is bound to other networks.
    let elsewhere = vec!["192.0.2.0/24".parse().expect("a network")];
    let terms = KeyTerms { allow_from: elsewhere, ..KeyTerms::default() };
    let bound = add_key(&office.shop.kiosk, &ann.account, terms).await.expect("a key");
    assert_eq!(ask(&office, "", &format!("Bearer {}.{}", bound.0, bound.1)).status, 401);
    let account = ann.account.clone();
    let close = move |tx: &mut server::store::Tx<'_>| accounts::set_active(tx, Role::Customer, &account, false);
    assert!(office.shop.kiosk.engine.write(close).await.expect("closed"));
    assert_eq!(ask(&office, "", &format!("Bearer {}", ann.key)).status, 401, "a closed account");
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_taken_is_sent_again_for_three_days_and_then_on_request() {
    let mut office = Office::open().await;
    let ann = Merchant::join(&office, "ann").await;
    ann.receiver.turn("500 Broken");
    ann.buys(&office).await;
    office.shop.pump().await;
    let first = ann.receiver.news();
    assert_eq!(states(&first), ["WaitingForPayment"]);
    office.shop.after(Span::seconds(4)).await;
    assert_eq!(ann.receiver.news().len(), 0, "not before five seconds");
    office.shop.after(Span::seconds(2)).await;
    let second = ann.receiver.news();
    assert_eq!((ids(&second), &second[0].body), (ids(&first), &first[0].body));
    let signature = &second[0].headers["webhook-signature"];
    assert!(is_signed(&second[0], &ann.secret, signature) && *signature != first[0].headers["webhook-signature"]);
    for hour in 0..100 {
        office.shop.after(Span::hours(1)).await;
        // It takes one now and then, and so stays open.
        if hour % 40 == 0 {
            ann.receiver.turn("204 No Content");
            ann.buys(&office).await;
            office.shop.pump().await;
            ann.receiver.turn("500 Broken");
        }
    }
    let log = webhook::log(&office.shop.kiosk, &ann.endpoint, 50).await.expect("a log");
    let line = |id: &str| log.lines().find(|line| line.starts_with(&format!("{id} "))).expect("a line").to_owned();
    let given_up = line(&ids(&first)[0]);
    assert!(given_up.contains("given_up  attempts 11  500"), "{given_up}");
    assert!(log.contains("sent  attempts 1  204"), "{log}");
    ann.receiver.news();
    ann.receiver.turn("200 OK");
    webhook::enable(&office.shop.kiosk, &ann.endpoint).await.expect("opened");
    let again = webhook::resend(&office.shop.kiosk, &ann.endpoint, Some(&ids(&first)[0])).await.expect("one");
    assert!(again.starts_with('1'), "{again}");
    office.shop.pump().await;
    let last = ann.receiver.news();
    assert_eq!((ids(&last), &last[0].body), (ids(&first), &first[0].body));
    assert!(webhook::resend(&office.shop.kiosk, &ann.endpoint, Some("evt_999999")).await.is_err());
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_fails_for_three_days_is_closed_and_others_are_told_so() {
    let mut office = Office::open().await;
    let ann = Merchant::join(&office, "ann").await;
    let other = Receiver::answering("200 OK");
    add(&office, &ann.account, &other.url, &["endpoint.disabled"]).await.expect("another endpoint");
    ann.receiver.turn("500 Broken");
    let first = ann.buys(&office).await;
    office.shop.pump().await;
    for _ in 0..71 {
        office.shop.after(Span::hours(1)).await;
    }
    assert_eq!(other.heard().len(), 0, "not before three days");
    for _ in 0..29 {
        office.shop.after(Span::hours(1)).await;
    }
    let told = other.news();
    assert_eq!(told.len(), 1, "of this type, and once");
    let notice = json!({ "endpoint": ann.endpoint });
    assert_eq!((&told[0].json()["type"], &told[0].json()["data"]), (&json!("endpoint.disabled"), &notice));
    let listed = ann.events(&office, "");
    assert!(listed["events"].as_array().expect("a list").contains(&told[0].json()));
    let state = webhook::list(&office.shop.kiosk, Some(ann.account.clone())).await.expect("a list");
    assert!(state.lines().any(|line| line.starts_with(&ann.endpoint) && line.ends_with("closed")), "{state}");
    // It hears nothing of what happens until it is opened again.
    ann.receiver.turn("200 OK");
    ann.receiver.news();
    ann.buys(&office).await;
    office.shop.pump().await;
    assert_eq!(ann.receiver.news().len(), 0);
    webhook::enable(&office.shop.kiosk, &ann.endpoint).await.expect("opened");
    office.shop.after(DAY).await;
    let waited = ann.receiver.news();
    // Of the first order one message was given up; the other waited, or was given up in the same hour: pauses are drawn.
    // The second order expires from now on.
    let (of_first, of_second): (Vec<Heard>, Vec<Heard>) =
        waited.into_iter().partition(|heard| heard.json()["order_id"] == first["order_id"]);
    assert!(of_first.len() <= 1, "{} were sent", of_first.len());
    assert_eq!(states(&of_second), ["Expired"]);
    ann.buys(&office).await;
    office.shop.pump().await;
    assert_eq!(states(&ann.receiver.news()), ["WaitingForPayment"]);
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_answers_410_is_told_nothing_more() {
    let mut office = Office::open().await;
    let ann = Merchant::join(&office, "ann").await;
    ann.receiver.turn("410 Gone");
    ann.buys(&office).await;
    office.shop.pump().await;
    ann.buys(&office).await;
    office.shop.after(DAY).await;
    assert_eq!(ann.receiver.news().len(), 1);
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_secrets_are_good_for_a_day_after_a_rotation() {
    let mut office = Office::open().await;
    let ann = Merchant::join(&office, "ann").await;
    let rotated = webhook::rotate(&office.shop.kiosk, &ann.endpoint).await.expect("rotated");
    let newest = rotated.split_once(' ').expect("an id and a secret").1.to_owned();
    assert_ne!(newest, ann.secret);
    let fits = |heard: &Heard, secret: &str| {
        heard.headers["webhook-signature"].split(' ').any(|signature| is_signed(heard, secret, signature))
    };
    ann.buys(&office).await;
    office.shop.pump().await;
    let told = ann.receiver.news();
    assert!(fits(&told[0], &newest) && fits(&told[0], &ann.secret));
    office.shop.after(DAY).await;
    ann.receiver.news();
    ann.buys(&office).await;
    office.shop.pump().await;
    let told = ann.receiver.news();
    assert!(fits(&told[0], &newest) && !fits(&told[0], &ann.secret));
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_hears_the_types_that_it_wants_and_a_closed_account_nothing() {
    let mut office = Office::open().await;
    let ann = Merchant::wanting(&office, "ann", &["endpoint.disabled"]).await;
    let bea = Merchant::join(&office, "bea").await;
    ann.buys(&office).await;
    bea.buys(&office).await;
    let account = bea.account.clone();
    let close = move |tx: &mut server::store::Tx<'_>| accounts::set_active(tx, Role::Customer, &account, false);
    assert!(office.shop.kiosk.engine.write(close).await.expect("closed"));
    office.shop.pump().await;
    assert_eq!((ann.receiver.heard().len(), bea.receiver.heard().len()), (0, 0));
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_may_add() {
    let office = Office::open().await;
    let ann = Merchant::join(&office, "ann").await;
    for wrong in [
        "ftp://shop.example/",
        "javascript:alert(1)",
        "shop.example",
        "http://shop.example/",
        "http://10.0.0.1/",
        "https://10.0.0.1/",
        "https://ann:word@shop.example/",
    ] {
        let refused = add(&office, &ann.account, wrong, &[]).await.expect_err(wrong).to_string();
        assert!(refused.contains("https://"), "{wrong}: {refused}");
    }
    let refused = add(&office, "nobody", "https://shop.example/", &[]).await.expect_err("no account").to_string();
    assert!(refused.contains("kiosk partner list"), "{refused}");
    for number in 2..=10 {
        add(&office, &ann.account, &format!("https://shop.example/{number}"), &[]).await.expect("one more");
    }
    let refused = add(&office, &ann.account, "https://shop.example/11", &[]).await.expect_err("full").to_string();
    assert!(refused.contains("10 endpoints"), "{refused}");
    office.shop.close().await;
}

/// Takes whatever it is given and answers at once, but one address never answers.
struct Patient {
    silent: String,
    taken: Mutex<tokio::sync::mpsc::UnboundedSender<String>>,
}

impl Poster for Patient {
    fn post<'a>(&'a self, message: &'a Message) -> Answer<'a, Posted> {
        Box::pin(async move {
            if message.url == self.silent {
                std::future::pending::<()>().await;
            }
            self.taken.lock().expect("nobody panics").send(message.url.clone()).expect("the test listens");
            Posted::Answered { status: 200 }
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_never_answers_keeps_nobody_waiting() {
    let office = Office::open().await;
    let (ann, bea) = (Merchant::join(&office, "ann").await, Merchant::join(&office, "bea").await);
    let (taken, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let poster = Patient { silent: ann.receiver.url.clone(), taken: Mutex::new(taken) };
    let kiosk = &office.shop.kiosk;
    let sender = worker::Sender::new(kiosk.engine.clone(), kiosk.vault.clone(), Arc::new(poster));
    let (stop, stopping) = tokio::sync::watch::channel(false);
    let sending = tokio::spawn(outbox::run(sender, "webhooks", Duration::from_millis(10), stopping));
    for _ in 0..20 {
        ann.buys(&office).await;
    }
    bea.buys(&office).await;
    let url = tokio::time::timeout(PATIENCE, heard.recv()).await.expect("in time").expect("it sends");
    assert_eq!(url, bea.receiver.url);
    sending.abort();
    drop(stop);
    office.shop.close().await;
}

/// However much waits for one endpoint, another's message is taken with the next look.
#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_of_one_endpoint_hides_nobody_elses_messages() {
    let office = Office::open().await;
    let (ann, bea) = (Merchant::join(&office, "ann").await, Merchant::join(&office, "bea").await);
    let sender = sender(&office);
    ann.buys(&office).await;
    assert_eq!(outbox::run_once(&sender).await.expect("sent"), Ran::Worked);
    let backlog = (100..1_100).map(|seq| (ann.endpoint.clone(), seq)).collect();
    let now = office.shop.kiosk.engine.clock.now();
    let plan = move |tx: &mut server::store::Tx<'_>| server::store::webhooks::plan(tx, backlog, now);
    office.shop.kiosk.engine.write(plan).await.expect("planned");
    bea.buys(&office).await;
    let mut places = outbox::Places::default();
    let taken = sender.take(&mut places).await.expect("taken");
    let of = |endpoint: &str| taken.iter().filter(|delivery| delivery.endpoint == endpoint).count();
    assert_eq!((of(&ann.endpoint), of(&bea.endpoint)), (8, 1));
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_send_a_message_once() {
    let office = Office::open().await;
    let ann = Merchant::join(&office, "ann").await;
    ann.buys(&office).await;
    let (one, other) = (sender(&office), sender(&office));
    let (mut places, mut others) = (outbox::Places::default(), outbox::Places::default());
    // Both look before either has taken anything.
    let (taken, by_other) = tokio::join!(one.take(&mut places), other.take(&mut others));
    assert_eq!(taken.expect("taken").len() + by_other.expect("looked").len(), 1);
    assert_eq!(outbox::run_once(&one).await.expect("nothing to do"), Ran::Idle);
    // Whoever took it died: it comes due again.
    office.shop.clock.advance(Span::minutes(1));
    assert_eq!(outbox::run_once(&other).await.expect("sent"), Ran::Worked);
    assert_eq!(states(&ann.receiver.news()), ["WaitingForPayment"]);
    office.shop.close().await;
}
