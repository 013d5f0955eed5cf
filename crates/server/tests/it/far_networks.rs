//! Chains on other machines, whichever they are: one that is down closes itself, says so everywhere, and keeps nobody else
//! waiting. The real adapters' own tests are beside them and in `evm`.

use crate::harness::Shop;
use crate::http::{Live, get, pay, place, show};
use domain::chain::{Header, Scan};
use domain::ids::NetworkId;
use domain::time::{Span, Time};
use serde_json::{Value, json};
use server::engine::board::Condition;
use server::ports::{AddressBook, Answer, Clock, Network, Rhythm};
use server::workers::{driver, watch as watcher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// A chain that answers as a test wants it to.
struct Far {
    id: NetworkId,
    rhythm: Rhythm,
    /// `None`: it never answers.
    says: Mutex<Option<Result<Scan, String>>>,
    /// The next look ends in a panic.
    breaks: AtomicBool,
    /// Rung by each look.
    looked: Notify,
}

impl Network for Far {
    fn id(&self) -> &NetworkId {
        &self.id
    }

    fn scan<'a>(
        &'a self,
        _known: &'a [Header],
        _book: &'a dyn AddressBook,
        _now: Time,
    ) -> Answer<'a, Result<Scan, String>> {
        self.looked.notify_one();
        assert!(!self.breaks.swap(false, Ordering::SeqCst), "a defect that a test planted");
        match self.says.lock().expect("a lock").clone() {
            Some(says) => Box::pin(std::future::ready(says)),
            None => Box::pin(std::future::pending()),
        }
    }

    fn rhythm(&self) -> Option<&Rhythm> {
        Some(&self.rhythm)
    }
}

impl Far {
    fn says(&self, says: Result<Scan, String>) {
        *self.says.lock().expect("a lock") = Some(says);
    }
}

/// Puts such a chain in the place of the sandbox's Base.
fn far_base(shop: &mut Shop) -> Arc<Far> {
    let (pace, bell, patience) = (Duration::from_millis(5), Arc::new(Notify::new()), Span::minutes(3));
    let far = Arc::new(Far {
        id: NetworkId::new("sandbox:base"),
        rhythm: Rhythm { pace, bell, patience },
        says: Mutex::new(None),
        breaks: AtomicBool::new(false),
        looked: Notify::new(),
    });
    shop.kiosk.engine.shared.board.expect(far.id.clone());
    shop.outside.networks.retain(|network| network.id() != &far.id);
    shop.outside.networks.push(far.clone());
    far
}

/// What `/readyz` says of Base, and which networks of USDC the store API calls suspended.
async fn told(shop: &Shop) -> (u16, Value, Vec<String>) {
    let ready = get(&shop.url, "/readyz").await;
    let vias = get(&shop.url, "/v3/payment_vias").await.json();
    let networks = vias.pointer("/0/currencies/0/networks").and_then(Value::as_array).expect("networks of USDC");
    let suspended = networks.iter().filter(|network| network["is_suspended"] == json!(true));
    let names = suspended.map(|network| network["name"].as_str().expect("a name").to_owned());
    (ready.head.status, ready.json()["networks"].clone(), names.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_takes_orders_while_it_is_scanned() {
    let mut shop = Shop::open().await;
    let before = told(&shop).await;
    // Avalanche is suspended by configuration, and stays so.
    assert_eq!(before, (200, Value::Null, vec!["Avalanche".to_owned()]));
    let far = far_base(&mut shop);
    let both = vec!["Base".to_owned(), "Avalanche".to_owned()];
    let scanned = |through: Time| Ok(Scan { keep_through: i64::MAX, scanned_through: through, ..Scan::default() });
    let now = shop.clock.now();

    far.says(Err("nobody is there".to_owned()));
    shop.pump().await;
    assert_eq!(told(&shop).await, (503, json!({ "Base": "down" }), both.clone()));
    far.says(scanned(Time(now.0 - Span::minutes(4).0)));
    shop.pump().await;
    assert_eq!(told(&shop).await, (503, json!({ "Base": "behind" }), both.clone()));
    far.says(scanned(now));
    shop.pump().await;
    assert_eq!(told(&shop).await, (200, json!({ "Base": "ok" }), before.2.clone()));

    far.says(Err("nobody is there".to_owned()));
    shop.after(Span::minutes(2)).await;
    assert_eq!(told(&shop).await, (200, json!({ "Base": "ok" }), before.2.clone()), "it was seen two minutes ago");
    shop.after(Span::minutes(2)).await;
    assert_eq!(told(&shop).await, (503, json!({ "Base": "down" }), both));
    let metrics = get(&shop.url, "/metrics").await.text();
    for line in ["kiosk_network_open{network=\"Base\"} 0", "kiosk_chain_scan_failures{network=\"Base\"}"] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_never_answers_keeps_nobody_else_waiting() {
    let mut shop = Shop::open().await;
    let _far = far_base(&mut shop);
    let (stop, stopping) = watch::channel(false);
    let mut workers = driver::start(&shop.kiosk.engine, &shop.kiosk.vault, &shop.outside, stopping);
    let order = place(&shop, "ann@example.com", &[("Airbnb", "100 USD", "ann@example.com")]).await;
    let mut live = Live::open(&shop.url, &format!("/v5/orders/{}/subscribe", order.order_id), "").await;
    pay(&shop, &order, "{}").await;
    live.text_until("\"Done\"").await;
    assert_eq!(show(&shop, &order).await.order_state, api::OrderState::Done);
    // A look that hangs does not keep the server from ending either.
    stop.send_replace(true);
    while workers.join_next().await.is_some() {}
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_that_does_not_end_keeps_no_network_open() {
    let mut shop = Shop::open().await;
    let far = far_base(&mut shop);
    let now = shop.clock.now();
    far.says(Ok(Scan { keep_through: i64::MAX, scanned_through: now, ..Scan::default() }));
    shop.pump().await;
    assert_eq!(told(&shop).await.0, 200);
    // No look ends from now on, and the clock goes on.
    shop.clock.advance(Span::minutes(4));
    let (status, words, _) = told(&shop).await;
    assert_eq!((status, words), (503, json!({ "Base": "behind" })));
    let metrics = get(&shop.url, "/metrics").await.text();
    assert!(metrics.contains("kiosk_network_open{network=\"Base\"} 0"), "{metrics}");
    watcher::close_late(&shop.kiosk.engine, shop.clock.now());
    assert_eq!(told(&shop).await.2, ["Base", "Avalanche"]);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watching_task_that_breaks_is_noticed_and_started_again() {
    let mut shop = Shop::open().await;
    let far = far_base(&mut shop);
    let through = shop.clock.now();
    far.says(Ok(Scan { keep_through: i64::MAX, scanned_through: through, ..Scan::default() }));
    far.breaks.store(true, Ordering::SeqCst);
    let (stop, stopping) = watch::channel(false);
    let mut workers = driver::start(&shop.kiosk.engine, &shop.kiosk.vault, &shop.outside, stopping);
    // The look that breaks, the first one of the new task, and one after it: by then that is on the board.
    for _ in 0..3 {
        far.looked.notified().await;
    }
    let board = shop.kiosk.engine.shared.board.all();
    let base = &board[&far.id];
    assert_eq!((base.failures, base.condition(shop.clock.now())), (1, Condition::Open));
    stop.send_replace(true);
    while workers.join_next().await.is_some() {}
    shop.close().await;
}
