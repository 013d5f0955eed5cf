//! What is refused: each with a code of its own (contract 1.4), HTTP 200, and nothing written.

use super::Office;
use serde_json::{Value, json};
use server::store::orders;

/// How many exchange orders there are.
async fn count(office: &Office) -> usize {
    let read = office.shop.kiosk.engine.db.read(|tx| orders::newest_trades(tx, None, 1_000)).await;
    read.expect("a read").len()
}

const FIELD: u64 = 6_231_546_409_213_868;

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_order_is_told_what_is_wrong_and_leaves_nothing_behind() {
    let office = Office::open().await;
    let good = office.wanted("USDCSOL", "USDTERC20", "100");
    let with = |name: &str, value: Value| {
        let mut wanted = good.clone();
        wanted[name] = value;
        wanted
    };
    let table: Vec<(&str, Value, u64, Value)> = vec![
        ("no route", with("routeId", json!("5d8e6002b80b7b4cd75a6424")), 4_101_000_000_000_001, json!({})),
        ("no id", with("routeId", json!("nonsense")), 500_400_404, json!({})),
        ("no agreement", with("agreement", json!(false)), 4_101_000_000_000_002, json!({})),
        ("zero", with("amount", json!(0)), 1_661_545_348_963_371, json!({})),
        ("minus zero", with("amount", json!("-0.00")), 1_661_545_348_963_371, json!({})),
        ("NaN", with("amount", json!("NaN")), 5_071_545_873_252_155, json!({})),
        ("1e400", with("amount", serde_json::from_str("1e400").expect("a number")), 5_071_545_873_252_155, json!({})),
        ("1e-400", with("amount", json!("1e-400")), 5_071_545_873_252_155, json!({})),
        ("40 decimals", with("amount", json!(format!("1.{}1", "0".repeat(39)))), 5_071_545_873_252_155, json!({})),
        ("three decimals", with("amount", json!("100.001")), 5_071_545_873_252_155, json!({})),
        ("hexadecimal", with("amount", json!("0x64")), 5_071_545_873_252_155, json!({})),
        ("two signs", with("amount", json!("--5")), 5_071_545_873_252_155, json!({})),
        ("below the minimum", with("amount", json!("9.99")), 7_701_545_348_962_387, json!({ "min": "10" })),
        ("above the maximum", with("amount", json!("50000.01")), 3_631_545_348_962_766, json!({ "max": "50000" })),
        ("beyond all numbers", with("amount", json!("1e18")), 5_071_545_873_252_155, json!({})),
        (
            "a page as address",
            with("clientCallbackUrl", json!("javascript:alert(1)")),
            4_101_000_000_000_006,
            json!({}),
        ),
        ("a file as address", with("ipnUrl", json!("file:///etc/passwd")), 4_101_000_000_000_006, json!({})),
        ("a long address", with("ipnUrl", json!(format!("http://{}", "x".repeat(200)))), 500_400_404, json!({})),
        ("no mail", with("email", json!("not an address")), 3_961_529_529_941_976, json!({})),
        (
            "more than fits the ledger",
            with("amount", json!("-92233720368547.75")),
            3_631_545_348_962_766,
            json!({ "max": "50000" }),
        ),
        ("values of another form", with("toValues", json!(["x"])), 500_400_404, json!({})),
        (
            "too many values",
            with("toValues", json!(vec![json!({ "key": "a", "value": "b" }); 51])),
            500_400_404,
            json!({}),
        ),
    ];
    for (name, wanted, code, object) in table {
        let error = office.error("public/exchanger/order/create", &wanted);
        assert_eq!((&error["errorCode"], &error["object"]), (&json!(code), &object), "{name}: {error}");
    }
    let mut without = good.clone();
    without.as_object_mut().expect("an object").remove("amount");
    assert_eq!(office.error("public/exchanger/order/create", &without)["errorCode"], FIELD);
    assert_eq!(count(&office).await, 0);
    assert_eq!(office.route("USDCSOL", "USDTERC20")["rate"]["amount"], "250000", "nothing is held");
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_does_not_match_is_named() {
    let office = Office::open().await;
    let mut wanted = office.wanted("USDCSOL", "USDTERC20", "100");
    let field = office.route("USDCSOL", "USDTERC20")["to"]["fields"][0].take();
    wanted["toValues"][0]["value"] = json!("0x12");
    let error = office.error("public/exchanger/order/create", &wanted);
    let object =
        json!({ "fieldId": field["_id"], "nameField": "Ethereum address", "err": "regexp", "type": "toValues" });
    assert_eq!((&error["errorCode"], &error["object"]), (&json!(FIELD), &object));
    assert_eq!(error["message"], format!("Param toValues isn't valid: {}", field["_id"].as_str().expect("an id")));
    assert!(!error.to_string().contains("0x12"), "what somebody typed is not repeated");
    wanted["toValues"] = json!([]);
    assert_eq!(office.error("public/exchanger/order/create", &wanted)["object"]["err"], "required");
    // By its alias it is the same field.
    wanted["toValues"] = json!([{ "key": "walletAddress", "value": super::PAYOUT_ADDRESS }]);
    office.create(&wanted);
    let bank = office.wanted("SEPAEUR", "USDTERC20", "100");
    let mut nobody = bank.clone();
    nobody["fromValues"] = json!([]);
    assert_eq!(office.error("public/exchanger/order/create", &nobody)["object"]["type"], "fromValues");
    office.shop.close().await;
}

/// The answer to an order of somebody behind a proxy that is believed.
fn create_from(office: &Office, visitor: &str, wanted: &Value) -> Value {
    let head = [("content-type", "application/json"), ("x-forwarded-for", visitor)];
    office.send("POST", "/api/v1/public/exchanger/order/create", &head, &wanted.to_string()).json()
}

/// Unpaid orders may hold 80 % of the reserve together (the default), and one visitor half of that.
#[tokio::test(flavor = "multi_thread")]
async fn more_than_the_reserve_is_refused_and_nobody_holds_all_of_it() {
    let office = Office::open().await;
    let engine = &office.shop.kiosk.engine;
    engine.write(|tx| server::store::exchange::state_reserve(tx, "USDTERC20", 2, "250")).await.expect("stated");
    server::workers::exchange::run_once(engine).await.expect("in force");
    let wanted = |amount: &str| office.wanted("USDCSOL", "USDTERC20", amount);
    let most = |answer: &Value| {
        assert_eq!(answer["error"]["errorCode"], 9_951_545_348_963_165_u64, "{answer}");
        answer["error"]["object"]["max"].as_str().expect("a maximum").to_owned()
    };
    assert_eq!(most(&create_from(&office, "198.51.100.1", &wanted("-250.01"))), "250");
    assert_eq!(most(&create_from(&office, "198.51.100.1", &wanted("-100.01"))), "100");
    assert_eq!(create_from(&office, "198.51.100.1", &wanted("-60"))["success"], true);
    assert_eq!(most(&create_from(&office, "198.51.100.1", &wanted("-40.01"))), "40");
    assert_eq!(create_from(&office, "198.51.100.2", &wanted("-100"))["success"], true);
    assert_eq!(most(&create_from(&office, "198.51.100.3", &wanted("-40.01"))), "40");
    assert_eq!(create_from(&office, "198.51.100.3", &wanted("-40"))["success"], true);
    assert_eq!(count(&office).await, 3);
    office.shop.close().await;
}

/// Ordering and cancelling uses up addresses: a cancelled order counts among the visitor's unpaid ones for its window.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_order_still_counts_until_its_window_is_over() {
    let mut office = Office { shop: crate::harness::Shop::open_with("unpaid_products_per_visitor = 10\n").await };
    for _ in 0..10 {
        let placed = office.create(&office.wanted("USDCSOL", "USDTERC20", "100"));
        office.set(&placed, "deleted");
    }
    let wanted = office.wanted("USDCSOL", "USDTERC20", "100");
    assert_eq!(office.error("public/exchanger/order/create", &wanted)["errorCode"], 5_030_002);
    office.shop.after(domain::time::Span::minutes(31)).await;
    office.create(&wanted);
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_without_a_rate_is_not_available_and_the_office_says_so() {
    let office = Office::open().await;
    let shared = &office.shop.kiosk.engine.shared;
    let wanted = office.wanted("USDCSOL", "BTC", "100");
    let mut rates = (*shared.market().rates).clone();
    rates.coins.remove("BTC");
    shared.put_rates(std::sync::Arc::new(rates));
    assert_eq!(office.error("public/exchanger/order/create", &wanted)["errorCode"], 6_801_545_277_215_051_u64);
    let by_xml = json!({ "xmlIn": "USDCSOL", "xmlOut": "BTC" });
    assert_eq!(office.error("public/exchanger/route/get/one/by-xml", &by_xml)["errorCode"], 6_801_545_277_215_051_u64);
    let listed = office.data("public/exchanger/route/get", &json!({}));
    let is_to_btc = |route: &Value| route["to"]["xml"] == "BTC";
    assert!(!listed["routes"].as_array().expect("routes").iter().any(is_to_btc));
    assert_eq!(office.data("public/site/status/get", &json!({}))["offlineStatus"], false);
    shared.put_exchange(std::sync::Arc::default());
    assert_eq!(office.data("public/site/status/get", &json!({}))["offlineStatus"], true);
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_not_guessed_by_the_thousand() {
    let office = Office::open().await;
    let placed = office.create(&office.wanted("USDCSOL", "USDTERC20", "100"));
    let mut wrong = placed.who();
    wrong["orderSecret"] = json!("AAAAAAAAAAAAAAAAAAAAAAAA");
    let nobody = json!({ "orderUID": 7, "orderSecret": placed.secret });
    let (wrong_secret, no_order) =
        (office.error("public/exchanger/order/get", &wrong), office.error("public/exchanger/order/get", &nobody));
    assert_eq!(wrong_secret, no_order, "whoever guesses learns not even which orders there are");
    for _ in 0..19 {
        office.error("public/exchanger/order/update-status", &{
            let mut wrong = wrong.clone();
            wrong["status"] = json!("deleted");
            wrong
        });
    }
    let error = office.error("public/exchanger/order/get", &placed.who());
    assert_eq!((&error["errorCode"], &error["object"]), (&json!(5_030_000), &json!({ "time": 1 })));
    // Others at the same address open their own.
    let other = office.create(&office.wanted("USDCSOL", "USDTERC20", "100"));
    assert_eq!(office.status(&other), "new");
    office.shop.clock.advance(domain::time::Span::seconds(1));
    assert_eq!(office.status(&placed), "new");
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_goods_is_no_exchange_order() {
    let office = Office::open().await;
    let bought =
        crate::http::place(&office.shop, "buyer@example.com", &[("Airbnb", "50 USD", "ann@example.com")]).await;
    let row = crate::http::row(&office.shop, &bought).await;
    let names = office.shop.kiosk.vault.trade_names(&row);
    let who = json!({ "orderUID": row.no, "orderSecret": names.secret });
    assert_eq!(office.error("public/exchanger/order/get", &who)["errorCode"], 4_101_000_000_000_003_u64);
    let path = format!("/sandbox/orders/{}/pay", names.object_id);
    assert_eq!(office.send("POST", &path, &[], "").status, 404);
    office.shop.close().await;
}
