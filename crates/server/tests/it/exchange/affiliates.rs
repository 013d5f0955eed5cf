//! Partners: the orders that they brought, what they earn by them, and what their monitors read (contract 9).
//!
//! The demo's office gives 0.2 %. 100 USDC are 98.5 USDT, of which that is 0.197.

use super::account::{Merchant, code};
use super::{Office, Placed};
use domain::time::Span;
use serde_json::{Value, json};
use server::boot;
use server::cli::accounts::{KeyTerms, add_key};
use server::cli::{affiliates as desk, exchange};
use server::store::accounts::{self, Role};

/// An account with a link.
async fn partner(office: &Office, name: &str) -> Merchant {
    let merchant = Merchant::join(office, name).await;
    let link = json!({ "affiliateLink": format!("{name}-shop") });
    assert_eq!(merchant.call(office, "user/profile/edit/partner-link", &link)["data"], json!({ "ok": 1 }));
    merchant
}

/// An order of 100 USDC that came by that link.
fn brought(office: &Office, link: &str) -> Placed {
    let mut wanted = office.wanted("USDCSOL", "USDTERC20", "100");
    wanted["partner"] = json!(link);
    office.create(&wanted)
}

fn data(merchant: &Merchant, office: &Office, method: &str, params: &Value) -> Value {
    let mut answer = merchant.call(office, method, params);
    assert_eq!(answer["success"], true, "{answer}");
    answer["data"].take()
}

/// What the account has as a partner, flat.
fn basic(merchant: &Merchant, office: &Office) -> Value {
    data(merchant, office, "user/affiliate/basic/get", &json!({}))["affiliate"].take()
}

/// (earned, waiting, orders, done).
fn figures(merchant: &Merchant, office: &Office) -> [Value; 4] {
    let basic = basic(merchant, office);
    let earned = basic["totalReceived"]["usd"].clone();
    let [waiting, orders, done] =
        ["waitedPartnerRewardsUSD", "countAllOrders", "countSuccessOrders"].map(|name| basic[name].clone());
    [earned, waiting, orders, done]
}

/// Calls the partners' API.
fn monitor(office: &Office, key: &str, rest: &str) -> Value {
    let path = format!("/service/partner/api.php?api_action=pp&api_key={key}&method={rest}");
    let answer = office.send("GET", &path, &[], "");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json; charset=utf-8")));
    answer.json()
}

fn items(office: &Office, key: &str, rest: &str) -> Value {
    let mut answer = monitor(office, key, rest);
    assert_eq!(
        (&answer["status"], &answer["error"], &answer["error_text"]),
        (&json!("success"), &json!(0), &json!(""))
    );
    answer["data"]["items"].take()
}

fn refused(office: &Office, key: &str, rest: &str) -> String {
    let answer = monitor(office, key, rest);
    assert_eq!((&answer["status"], &answer["error"], &answer["data"]), (&json!("error"), &json!(1), &json!({})));
    answer["error_text"].as_str().expect("a text").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partner_earns_by_what_his_visitors_are_paid_out() {
    let mut office = Office::open().await;
    let merchant = partner(&office, "ann").await;
    assert_eq!(figures(&merchant, &office), [0, 0, 0, 0].map(|zero| json!(zero)));
    let placed = [brought(&office, "ann-shop"), brought(&office, "ann-shop"), brought(&office, "ann-shop")];
    office.create(&office.wanted("USDCSOL", "USDTERC20", "100"));
    office.set(&placed[1], "deleted");
    assert_eq!(figures(&merchant, &office), [json!(0), json!(0), json!(3), json!(0)]);
    office.pay(&placed[0], "{}").await;
    assert_eq!(office.status(&placed[0]), "done");
    assert_eq!(figures(&merchant, &office), [json!(0.197), json!(0), json!(3), json!(1)]);

    // Contract 6 and 9: lists are of what is done, unless all is asked for.
    let listed = data(&merchant, &office, "user/affiliate/orders", &json!({ "limit": 10, "page": 1 }));
    assert_eq!(listed["count"], json!({ "total": 1, "pages": 1, "select_page": 1, "limit": 10, "offset": 0 }));
    let order = &listed["orders"][0];
    assert_eq!((&order["uid"], &order["status"], &order["outAmount"]), (&placed[0].uid, &json!("done"), &json!(98.5)));
    let fee = json!({ "type": "byAmount", "percent": 0.2, "amountOut": 0.19, "amountInUSD": 0.197 });
    assert_eq!(order["partnerFee"], fee);
    let utm = order["utm"].as_object().expect("an object");
    assert!(utm.len() == 10 && utm.values().all(Value::is_null), "{utm:?}");
    assert_eq!(order["route"]["to"]["xml"], "USDTERC20");
    let all = json!({ "allOrders": true, "limit": 2, "page": 2 });
    let listed = data(&merchant, &office, "user/affiliate/orders", &all);
    assert_eq!(listed["count"], json!({ "total": 3, "pages": 2, "select_page": 2, "limit": 2, "offset": 2 }));
    assert_eq!(listed["orders"].as_array().map(Vec::len), Some(1));
    assert_eq!(listed["orders"][0]["uid"], placed[0].uid, "the oldest is the last");
    // Whoever brought an order may not open it.
    assert!(!listed.to_string().contains(&placed[0].secret), "{listed}");

    let day =
        json!({ "date": "2026-11-20", "sumAmountsUSD": 98.5, "avgAmountsUSD": 98.5, "doneOrders": 1, "count": 3 });
    assert_eq!(data(&merchant, &office, "user/affiliate/chart", &json!({}))["statistics"], json!([day]));
    let today = |office: &Office| data(&merchant, office, "user/affiliate/today/get", &json!({}))["affiliate"].take();
    let first = today(&office);
    assert_eq!((&first["totalOrders"], &first["todaySuccessOrders"]), (&json!(3), &json!(1)));
    assert_eq!(first["todayExchangedInUSD"], 98.5);
    office.shop.after(Span::hours(24)).await;
    assert_eq!(today(&office)["totalOrders"], 0, "of another day");
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_shows_terms_link_and_balance() {
    let mut office = Office::open().await;
    let merchant = partner(&office, "ann").await;
    let placed = brought(&office, "ann-shop");
    office.pay(&placed, "{}").await;
    let affiliate = data(&merchant, &office, "user/auth/session/get", &json!({}))["affiliate"].take();
    let key = affiliate["rateKey"].as_str().expect("a key").to_owned();
    assert_eq!(
        affiliate,
        json!({
            "type": "byAmount", "rate": 0.2, "discount": 0, "link": "ann-shop", "rateKey": key,
            "rateExportFormatType": "xml", "minReward": 0, "totalReceived": { "usd": 0.197 },
            "balance": { "usd": 0.197 },
        })
    );
    assert!(key.len() == 24 && key.bytes().all(|byte| byte.is_ascii_hexdigit()), "{key}");
    let other = Merchant::join(&office, "bob").await;
    let others = data(&other, &office, "user/auth/session/get", &json!({}))["affiliate"].take();
    assert_ne!(others["rateKey"], json!(key), "each has his own");
    assert_eq!((&others["link"], &others["balance"]), (&json!(""), &json!({ "usd": 0 })));
    // Contract 11: the cabinet's links to the rates have it.
    let rates = |path: &str| office.send("GET", path, &[], "");
    let (open, keyed) = (rates("/service/export/txt"), rates(&format!("/service/export/txt/{key}/")));
    assert_eq!((open.status, keyed.status, open.text()), (200, 200, keyed.text()));
    // For accounts alone.
    for method in ["basic/get", "today/get", "chart", "orders"] {
        assert_eq!(office.error(&format!("user/affiliate/{method}"), &json!({}))["errorCode"], 40301, "{method}");
    }
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_percentage_is_the_one_of_the_placing() {
    let mut office = Office::open().await;
    let merchant = partner(&office, "ann").await;
    let before = brought(&office, "ann-shop");
    let other = boot::DEMO_EXCHANGE.replace("affiliate_percent = \"0.2\"", "affiliate_percent = \"0.29\"");
    office.shop.clock.advance(Span::seconds(1));
    boot::import_exchange(&office.shop.kiosk, other).await.expect("another percentage");
    let after = brought(&office, "ann-shop");
    assert_eq!(basic(&merchant, &office)["rate"], 0.29);
    for placed in [&before, &after] {
        office.pay(placed, "{}").await;
    }
    let listed = data(&merchant, &office, "user/affiliate/orders", &json!({}));
    let rewards: Vec<&Value> =
        listed["orders"].as_array().expect("a list").iter().map(|order| &order["partnerFee"]["amountInUSD"]).collect();
    assert_eq!(rewards, [&json!(0.2856), &json!(0.197)]);
    assert_eq!(figures(&merchant, &office)[0], json!(0.4826));
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_given_back_earns_nothing() {
    let mut office = Office::open().await;
    let merchant = partner(&office, "ann").await;
    let mut wanted = office.wanted("USDCSOL", "USDTERC20", "100");
    wanted["partner"] = json!("ann-shop");
    // An address whose payout the simulated network refuses.
    wanted["toValues"][0]["value"] = json!(format!("0x{}2222", "ab".repeat(18)));
    let placed = office.create(&wanted);
    office.pay(&placed, "{}").await;
    assert_eq!(office.status(&placed), "errorPayout");
    assert_eq!(figures(&merchant, &office), [json!(0), json!(0.197), json!(1), json!(0)]);
    exchange::returned(&office.shop.kiosk, &placed.uid.to_string(), "0xback").await.expect("it went back");
    assert_eq!(figures(&merchant, &office), [json!(0), json!(0), json!(1), json!(0)]);
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_earns_by_his_own_orders_whenever_they_become_his() {
    let mut office = Office::open().await;
    let merchant = partner(&office, "ann").await;
    let mut wanted = office.wanted("USDCSOL", "USDTERC20", "100");
    wanted["partner"] = json!("ann-shop");
    let own = merchant.call(&office, "public/exchanger/order/create", &wanted);
    assert_eq!(own["success"], true, "{own}");
    assert_eq!(figures(&merchant, &office)[2], 0, "he placed it");
    let guest = brought(&office, "ann-shop");
    office.pay(&guest, "{}").await;
    assert_eq!(figures(&merchant, &office), [json!(0.197), json!(0), json!(1), json!(1)]);
    let taken = merchant.call(&office, "user/exchanger/order/update/owner", &guest.who());
    assert_eq!(taken["data"]["count"], 1, "{taken}");
    assert_eq!(figures(&merchant, &office), [0, 0, 0, 0].map(|zero| json!(zero)));
    let all = data(&merchant, &office, "user/affiliate/orders", &json!({ "allOrders": "1" }));
    assert_eq!((&all["orders"], &all["count"]["total"]), (&json!([]), &json!(0)));
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_came_by_a_link_is_its_owner_s_visitor_unless_the_page_says_another() {
    let office = Office::open().await;
    let (ann, bob) = (partner(&office, "ann").await, partner(&office, "bob").await);
    let came = office.send("GET", "/ref/ann-shop/", &[], "");
    let cookie = came.header("set-cookie").and_then(|line| line.split(';').next()).expect("a cookie").to_owned();
    assert_eq!(cookie, "partner=ann-shop");
    let mut wanted = office.wanted("USDCSOL", "USDTERC20", "100");
    let brought_by = |wanted: &Value| {
        let head = [("content-type", "application/json"), ("cookie", cookie.as_str())];
        let path = "/service/api/v1/public/exchanger/order/create/";
        let created = office.send("POST", path, &head, &wanted.to_string()).json()["data"].take();
        let who = json!({ "orderUID": created["uid"], "orderSecret": created["secret"] });
        office.data("public/exchanger/order/get", &who)["order"]["partner"].take()
    };
    let names = [&ann, &bob].map(|partner| json!(office.shop.kiosk.vault.account_object_id(&partner.account)));
    assert_eq!(brought_by(&wanted), names[0]);
    for (said, name) in [("", &names[0]), ("bob-shop", &names[1]), ("nobody", &Value::Null)] {
        wanted["partner"] = json!(said);
        assert_eq!(brought_by(&wanted), *name, "{said}");
    }
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_monitor_reads_what_was_exchanged_by_the_key_alone() {
    let mut office = Office::open().await;
    let (ann, bob) = (partner(&office, "ann").await, partner(&office, "bob").await);
    let first = brought(&office, "ann-shop");
    office.pay(&first, "{}").await;
    office.shop.after(Span::minutes(1)).await;
    let (second, others) = (brought(&office, "ann-shop"), brought(&office, "bob-shop"));
    let info = monitor(&office, &ann.key, "get_info")["data"].take();
    let link = "http://shop.test/ref/ann-shop/";
    let known = json!({ "balance": 0.197, "totalReceived": 0.197, "link": link, "min_payout": 0, "items": {} });
    assert_eq!(info, known);

    let exchanges = items(&office, &ann.key, "get_exchanges");
    let (first_uid, second_uid) = (first.uid.to_string(), second.uid.to_string());
    assert_eq!(
        exchanges.as_object().map(serde_json::Map::len),
        Some(2),
        "a map by number, and nobody else's: {exchanges}"
    );
    let hash = exchanges[&first_uid]["user_hash"].as_str().expect("a hash").to_owned();
    assert_eq!(
        exchanges[&first_uid],
        json!({
            "id": first.uid, "time": 1_795_174_500, "date": "2026-11-20 11:35:00", "course_give": 1.005,
            "course_get": 1, "amount_give": 100, "amount_get": 98.5, "exchange_success": 1, "accrued": 1,
            "partner_reward": 0.197, "user_hash": hash,
        })
    );
    let open = &exchanges[&second_uid];
    assert_eq!((&open["exchange_success"], &open["accrued"]), (&json!(0), &json!(0)));
    // One payer is one payer to each partner, and nobody can tell that two partners have the same.
    assert_eq!(open["user_hash"], json!(hash));
    let of_bob = items(&office, &bob.key, "get_exchanges");
    assert_ne!(of_bob[others.uid.to_string()]["user_hash"], json!(hash));
    for secret in [first.secret.as_str(), super::PAYOUT_ADDRESS, "127.0.0.1", ann.account.as_str()] {
        assert!(!exchanges.to_string().contains(secret), "{secret}");
    }
    // Seconds, both ends within.
    let within = |start: i64, end: i64| {
        let found = items(&office, &ann.key, &format!("get_exchanges&start_time={start}&end_time={end}"));
        found.as_object().expect("a map").keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(within(1_795_174_500, 1_795_174_500), [first_uid]);
    assert_eq!(within(1_795_174_501, 1_795_174_560), [second_uid]);
    assert_eq!(within(1_795_174_561, 9_999_999_999), Vec::<String>::new());
    assert_eq!(items(&office, &ann.key, "get_links"), json!({}), "visits are not kept");
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_monitor_without_a_good_key_is_told_in_its_own_envelope() {
    let office = Office::open().await;
    let merchant = partner(&office, "ann").await;
    assert!(refused(&office, &merchant.key, "get_nothing").contains("get_nothing"));
    assert!(refused(&office, &merchant.key, "get_exchanges&start_time=soon").contains("start_time"));
    let no_action =
        office.send("GET", &format!("/service/partner/api.php?api_key={}&method=get_info", merchant.key), &[], "");
    assert_eq!((no_action.status, &no_action.json()["status"]), (200, &json!("error")));
    let elsewhere = vec!["192.0.2.0/24".parse().expect("a network")];
    let terms = KeyTerms { allow_from: elsewhere, ..KeyTerms::default() };
    let (bound, _) = add_key(&office.shop.kiosk, &merchant.account, terms).await.expect("a key");
    assert!(refused(&office, &bound, "get_info").contains("address"));
    let (engine, id) = (&office.shop.kiosk.engine, merchant.account.clone());
    engine.write(move |tx| accounts::set_active(tx, Role::Customer, &id, false)).await.expect("closed");
    let unknown = refused(&office, "EX_00", "get_info");
    assert_eq!(refused(&office, &merchant.key, "get_info"), unknown, "a closed account's key is none");
    // 30 wrong keys in 15 minutes; three were wrong so far.
    for _ in 0..27 {
        assert_eq!(refused(&office, "EX_00", "get_info"), unknown);
    }
    assert!(refused(&office, "EX_00", "get_info").contains("900 seconds"));
    office.shop.clock.advance(Span::minutes(15));
    assert_eq!(refused(&office, "EX_00", "get_info"), unknown);
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_what_he_owes_notes_what_he_paid_and_closes_a_link() {
    let mut office = Office::open().await;
    assert_eq!(desk::listed(&office.shop.kiosk).await.expect("a list"), "nobody has a link");
    let merchant = partner(&office, "ann").await;
    let placed = brought(&office, "ann-shop");
    office.pay(&placed, "{}").await;
    let (kiosk, id) = (&office.shop.kiosk, merchant.account.as_str());
    let line = |text: String| text.lines().nth(1).expect("a line").split_whitespace().collect::<Vec<_>>().join(" ");
    let listed = line(desk::listed(kiosk).await.expect("a list"));
    assert_eq!(listed, "account-ann ann-shop 1 1 0.197 0.00 0.197");
    for (amount, reference) in [("0.1971", "too much"), ("0", "none"), ("x", "none"), ("0.1", "to ann@example.org")] {
        assert!(desk::paid(kiosk, id, amount, reference).await.is_err(), "{amount} {reference}");
    }
    let noted = desk::paid(kiosk, id, "0.1", "SEPA 7").await.expect("noted");
    assert_eq!(noted, "noted; account account-ann is now owed 0.097 USD");
    assert!(desk::paid(kiosk, id, "0.1", "SEPA 7").await.is_err(), "each reference once");
    // A mistake is taken back, once, and noted anew.
    let wrong = desk::paid(kiosk, id, "0.05", "SEPA 8").await.expect("noted");
    assert_eq!(wrong, "noted; account account-ann is now owed 0.047 USD");
    let back = desk::unpaid(kiosk, id, "SEPA 8").await.expect("taken back");
    assert_eq!(back, "0.05 USD are taken back; account account-ann is now owed 0.097 USD");
    for nothing in ["SEPA 8", "SEPA 9"] {
        assert!(desk::unpaid(kiosk, id, nothing).await.is_err(), "{nothing}");
    }
    assert_eq!(line(desk::listed(kiosk).await.expect("a list")), "account-ann ann-shop 1 1 0.197 0.10 0.097");
    let figures = basic(&merchant, &office);
    assert_eq!((&figures["totalReceived"]["usd"], &figures["balance"]["usd"]), (&json!(0.197), &json!(0.097)));

    desk::set_active(kiosk, id, false).await.expect("it has a link");
    assert!(desk::set_active(kiosk, "nobody", false).await.is_err());
    let unmarked = brought(&office, "ann-shop");
    assert!(office.order(&unmarked)["partner"].is_null());
    assert_eq!(basic(&merchant, &office)["link"], "");
    let again = merchant.call(&office, "user/profile/edit/partner-link", &json!({ "affiliateLink": "other" }));
    assert_eq!(code(&again), 4_101_000_000_000_005);
    desk::set_active(kiosk, id, true).await.expect("it has a link");
    assert!(office.order(&brought(&office, "ann-shop"))["partner"].is_string());
    office.shop.close().await;
}
