//! Exchange orders from their creation to their end (contract 5.5), and what an operator does by hand.

use super::{Office, Placed};
use domain::decide::AtRate;
use domain::payout::Payout;
use domain::time::Span;
use serde_json::{Value, json};
use server::boot;
use server::cli::refund::{self, Request, To, Wanted};
use server::cli::{exchange as desk, order as orders};
use server::ports::Clock;
use server::store::claims;

/// What is left of a currency's reserve, as routes show it.
fn reserve(office: &Office, from: &str, to: &str) -> Value {
    office.route(from, to)["rate"]["amount"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_paid_on_its_network_and_paid_out_by_itself() {
    let mut office = Office::open().await;
    let placed = office.create(&office.wanted("USDCSOL", "USDTERC20", "100"));
    assert_eq!((placed.id.len(), placed.secret.len()), (24, 24));
    assert_eq!(placed.created["rid"].as_str().map(str::len), Some(11));
    assert_eq!(office.status(&placed), "new");
    assert_eq!(reserve(&office, "USDCSOL", "USDTERC20"), "249901.5", "98.5 are held");
    assert_eq!(office.set(&placed, "waitPayment")["status"], "waitPayment");
    // The same again changes nothing.
    assert_eq!(office.set(&placed, "waitPayment")["status"], "waitPayment");
    let payment = office.order(&placed)["route"]["from"]["paymentDetails"]["payment"].take();
    assert_eq!((&payment["amount"], &payment["currency"]), (&json!("100"), &json!("USDC")));
    office.pay(&placed, "{}").await;
    assert_eq!(office.status(&placed), "done");
    let row = office.row(&placed).await;
    assert!(matches!(row.payout, Some(Payout::Done { .. })), "{:?}", row.payout);
    assert_eq!(row.credit_units, 0);
    // Sold is sold: it is used now, and no longer held.
    assert_eq!(reserve(&office, "USDCSOL", "USDTERC20"), "249901.5");
    let lasts = office.data("public/exchanger/order/get-lasts", &json!({}));
    assert_eq!(lasts["orders"][0]["inAmount"], 100);
    for secret in [placed.id.as_str(), placed.secret.as_str()] {
        assert!(!lasts.to_string().contains(secret), "the list of all names no order");
    }
    // What one has, the other has not: the books balance per asset.
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payer_may_cancel_what_he_has_not_paid_and_the_reserve_is_free_again() {
    let office = Office::open().await;
    let placed = office.create(&office.wanted("USDCSOL", "USDTERC20", "100"));
    office.set(&placed, "deleted");
    assert_eq!(office.status(&placed), "deleted");
    assert_eq!(reserve(&office, "USDCSOL", "USDTERC20"), "250000");
    assert_eq!(office.set_refused(&placed, "waitPayment")["errorCode"], 4_101_000_000_000_004_u64);
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_a_payer_may_say_is_taken() {
    let mut office = Office::open().await;
    let placed = office.create(&office.wanted("USDCSOL", "USDTERC20", "100"));
    for status in
        ["inProgress", "inProgressPayout", "done", "hold", "returned", "errorPayment", "errorPayout", "nonsense"]
    {
        let error = office.set_refused(&placed, status);
        assert_eq!(
            (&error["errorCode"], &error["object"]["status"]),
            (&json!(4_101_000_000_000_004_u64), &json!("new")),
            "{status}"
        );
    }
    office.set(&placed, "waitPayment");
    for status in ["new", "inProgressPayout", "done", "hold", "returned"] {
        office.set_refused(&placed, status);
    }
    office.set(&placed, "inProgress");
    for status in ["new", "waitPayment", "deleted", "done"] {
        office.set_refused(&placed, status);
    }
    // A claim is no money: nothing is paid out for it, and the order still ends unpaid.
    office.shop.pump().await;
    assert_eq!(office.status(&placed), "inProgress");
    office.shop.after(Span::minutes(31)).await;
    assert_eq!(office.status(&placed), "deleted");
    assert_eq!(reserve(&office, "USDCSOL", "USDTERC20"), "250000");
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn skip_preview_waits_for_the_payment_at_once() {
    let office = Office::open().await;
    let mut wanted = office.wanted("USDCSOL", "USDTERC20", "100");
    wanted["skipPreview"] = json!("1");
    assert_eq!(office.create(&wanted).created["status"], "waitPayment");
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn short_money_is_a_payment_error_until_the_rest_comes() {
    let mut office = Office::open().await;
    let placed = office.create(&office.wanted("USDCSOL", "USDTERC20", "100"));
    office.set(&placed, "waitPayment");
    office.pay(&placed, r#"{"factor":"0.4"}"#).await;
    assert_eq!(office.status(&placed), "errorPayment");
    office.pay(&placed, r#"{"factor":"0.6"}"#).await;
    assert_eq!(office.status(&placed), "done");
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_money_brings_a_deleted_order_back_and_too_late_money_waits_for_a_person() {
    let mut office = Office::open().await;
    let placed = office.create(&office.wanted("USDCSOL", "USDTERC20", "100"));
    office.set(&placed, "waitPayment");
    office.pay(&placed, r#"{"late":"20m"}"#).await;
    assert_eq!(office.status(&placed), "done");
    let placed = office.create(&office.wanted("USDCSOL", "USDTERC20", "100"));
    office.pay(&placed, r#"{"late":"3h"}"#).await;
    assert_eq!(office.status(&placed), "errorPayment");
    let no = placed.uid.to_string();
    let kiosk = &office.shop.kiosk;
    assert!(desk::paid(kiosk, &no, "by hand").await.is_err(), "it was never settled");
    desk::returned(kiosk, &no, "0xabc").await.expect("the money went back");
    assert_eq!(office.status(&placed), "returned");
    assert_eq!(office.row(&placed).await.credit_units, 0);
    office.shop.close().await;
}

/// What became of a payout to an address that ends so, at once and after its lookups.
async fn payout_to(office: &mut Office, ending: &str) -> (Placed, String) {
    let mut wanted = office.wanted("USDCSOL", "USDTERC20", "100");
    wanted["toValues"][0]["value"] = json!(format!("0x{}{ending}", "ab".repeat(18)));
    let placed = office.create(&wanted);
    office.set(&placed, "waitPayment");
    office.pay(&placed, "{}").await;
    let status = office.status(&placed);
    (placed, status)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payout_may_be_slow_lost_refused_or_found_and_is_never_made_twice() {
    let mut office = Office::open().await;
    let (pending, status) = payout_to(&mut office, "1111").await;
    assert_eq!(status, "inProgressPayout");
    let (found, status) = payout_to(&mut office, "3333").await;
    assert_eq!(status, "inProgressPayout");
    let (refused, status) = payout_to(&mut office, "2222").await;
    assert_eq!(status, "errorPayout");
    let (lost, status) = payout_to(&mut office, "4444").await;
    assert_eq!(status, "inProgressPayout");
    // After the call's time limit it is asked for; the limit of uncertainty in the sandbox is ten seconds.
    for _ in 0..4 {
        office.shop.after(Span::seconds(11)).await;
    }
    assert_eq!([&pending, &found].map(|placed| office.status(placed)), ["done", "done"]);
    assert_eq!((office.status(&lost), office.status(&refused)), ("hold".to_owned(), "errorPayout".to_owned()));

    let kiosk = &office.shop.kiosk;
    let text = orders::show(kiosk, &lost.uid.to_string(), "").await.expect("it is explained");
    let command = format!("kiosk exchange paid {} --reference TRANSACTION", lost.uid);
    assert!(text.contains(&command) && text.contains("On hold") | text.contains("on hold"), "{text}");
    assert!(desk::returned(kiosk, &lost.uid.to_string(), "x").await.is_err(), "it may have been paid out");
    desk::paid(kiosk, &lost.uid.to_string(), "0xfound-by-hand").await.expect("a person knows");
    assert_eq!(office.status(&lost), "done");

    // A refused one is tried again under another reference, or given back.
    desk::retry(kiosk, &refused.uid.to_string()).await.expect("it failed");
    office.shop.pump().await;
    assert_eq!(office.status(&refused), "errorPayout");
    let kiosk = &office.shop.kiosk;
    assert_eq!(reserve(&office, "USDCSOL", "USDTERC20"), "249606", "four times 98.5");
    desk::returned(kiosk, &refused.uid.to_string(), "0xback").await.expect("nothing was paid out");
    assert_eq!(office.status(&refused), "returned");
    assert_eq!(reserve(&office, "USDCSOL", "USDTERC20"), "249704.5", "what came back is there again");
    assert!(desk::paid(kiosk, &refused.uid.to_string(), "x").await.is_err());
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn money_that_is_moved_by_hand_is_confirmed_by_an_operator() {
    let mut office = Office::open().await;
    let placed = office.create(&office.wanted("BTC", "USDTERC20", "0.01"));
    let details = office.order(&placed)["route"]["from"]["paymentDetails"].take();
    assert_eq!(details["account"], "demo: no bitcoin address, nobody can pay here");
    assert_eq!(details["showIPaidBtn"], true);
    office.set(&placed, "waitPayment");
    office.set(&placed, "inProgress");
    // However long the operator takes: a claim about such money waits for him.
    office.shop.after(Span::hours(48)).await;
    assert_eq!(office.status(&placed), "inProgress");
    let (kiosk, no) = (&office.shop.kiosk, placed.uid.to_string());
    assert!(
        desk::confirm(kiosk, &no, Some(("0.000000001", "wallet 1")), None).await.is_err(),
        "more decimals than the currency has"
    );
    desk::confirm(kiosk, &no, Some(("0.004", "wallet 1")), None).await.expect("a part came");
    assert!(desk::confirm(kiosk, &no, Some(("0.004", "wallet 1")), None).await.is_err(), "the same money counts once");
    assert_eq!(office.status(&placed), "inProgress");
    desk::confirm(kiosk, &no, Some(("0.006", "wallet 2")), None).await.expect("the rest came");
    office.shop.pump().await;
    assert_eq!(office.status(&placed), "done");
    assert_eq!(office.row(&placed).await.credit_units, 0);

    // On a network that is watched nobody's word is needed.
    let watched = office.create(&office.wanted("USDCSOL", "USDTERC20", "100"));
    assert!(desk::confirm(&office.shop.kiosk, &watched.uid.to_string(), Some(("100", "x")), None).await.is_err());
    office.shop.close().await;
}

/// What vanished from its chain cannot go back; the exchange is off, and the reserve is there again.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_money_vanishes_before_the_payout_can_be_ended() {
    let mut office = Office::open().await;
    let placed = office.create(&office.wanted("USDCSOL", "SEPAEUR", "1000"));
    office.pay(&placed, r#"{"reorg":2}"#).await;
    office.shop.after(Span::minutes(1)).await;
    let mut rounds = 0;
    while office.status(&placed) != "hold" {
        // Another payment's block makes the chain go on, and the branch with the money is replaced.
        let other = office.create(&office.wanted("USDCSOL", "USDTERC20", "100"));
        office.pay(&other, "{}").await;
        rounds += 1;
        assert!(rounds < 10, "the reorganisation was never seen: {}", office.status(&placed));
    }
    let left = reserve(&office, "USDCSOL", "SEPAEUR");
    desk::returned(&office.shop.kiosk, &placed.uid.to_string(), "it vanished").await.expect("the exchange is off");
    assert_eq!(office.status(&placed), "returned");
    assert_eq!(office.row(&placed).await.credit_units, 0);
    assert_ne!(reserve(&office, "USDCSOL", "SEPAEUR"), left, "what it would have paid out is there again");
    office.shop.close().await;
}

/// Another token than agreed is nobody's payment.
#[tokio::test(flavor = "multi_thread")]
async fn a_look_alike_token_changes_no_status() {
    let mut office = Office::open().await;
    let placed = office.create(&office.wanted("USDCSOL", "USDTERC20", "100"));
    office.set(&placed, "waitPayment");
    office.pay(&placed, r#"{"wrong_token":true}"#).await;
    assert_eq!(office.status(&placed), "waitPayment");
    office.shop.after(Span::hours(2)).await;
    assert_eq!(office.status(&placed), "deleted");
    office.shop.close().await;
}

/// Money that came too late is settled by an operator's word alone, at the rate that he names.
#[tokio::test(flavor = "multi_thread")]
async fn what_came_too_late_is_settled_at_a_rate_that_the_operator_names() {
    let mut office = Office::open().await;
    let placed = office.create(&office.wanted("USDCSOL", "USDTERC20", "100"));
    office.pay(&placed, r#"{"late":"3h"}"#).await;
    assert_eq!(office.status(&placed), "errorPayment");
    let no = placed.uid.to_string();
    let kiosk = &office.shop.kiosk;
    assert!(desk::confirm(kiosk, &no, Some(("100", "x")), None).await.is_err(), "its network is watched");
    assert!(desk::confirm(kiosk, &no, None, None).await.is_err(), "at which rate?");
    desk::confirm(kiosk, &no, None, Some(AtRate::Agreed)).await.expect("his word");
    office.shop.pump().await;
    assert_eq!(office.status(&placed), "done");
    office.shop.close().await;
}

/// A claim is no free option on the rate: after the window the operator says which one holds.
#[tokio::test(flavor = "multi_thread")]
async fn money_by_hand_after_the_window_is_settled_at_a_rate_that_the_operator_names() {
    let mut office = Office::open().await;
    // 0.01 BTC at 90,000 USD less 1.5 %: 886.69 USDT, to the cent 0.01 / 0.000011277778 = 886.69...
    let claimed = || async {
        let placed = office.create(&office.wanted("BTC", "USDTERC20", "0.01"));
        office.set(&placed, "waitPayment");
        office.set(&placed, "inProgress");
        placed
    };
    let placed = [claimed().await, claimed().await, claimed().await];
    assert_eq!(placed[0].created["outAmount"], json!(886.69));
    office.shop.after(Span::minutes(62)).await;
    // What they held is free again.
    assert_eq!(reserve(&office, "BTC", "USDTERC20"), "250000");
    set_btc(&office, 80_000);
    let no = |at: usize| placed[at].uid.to_string();
    let kiosk = &office.shop.kiosk;
    // The route floats: today's rate holds unless something else is said. 800 / 1.015 = 788.17...
    desk::confirm(kiosk, &no(0), Some(("0.01", "a")), None).await.expect("at today's rate");
    desk::confirm(kiosk, &no(1), Some(("0.01", "b")), Some(AtRate::Agreed)).await.expect("as agreed");
    // Nobody knows today's rate: nothing is settled at a rate that was not meant.
    let shared = &kiosk.engine.shared;
    let mut rates = (*shared.market().rates).clone();
    rates.coins.remove("BTC");
    shared.put_rates(std::sync::Arc::new(rates));
    assert!(desk::confirm(kiosk, &no(2), Some(("0.01", "c")), None).await.is_err());
    assert!(desk::confirm(kiosk, &no(2), Some(("0.01", "c")), Some(AtRate::Today)).await.is_err());
    office.shop.pump().await;
    let amounts: Vec<Value> = placed.iter().map(|placed| office.order(placed)["outAmount"].clone()).collect();
    assert_eq!(amounts, [json!(788.17), json!(886.69), json!(886.69)]);
    let statuses: Vec<String> = placed.iter().map(|placed| office.status(placed)).collect();
    assert_eq!(statuses, ["done", "done", "inProgress"]);
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_floating_order_that_is_paid_while_no_rate_is_known_waits_for_a_person() {
    let mut office = Office::open().await;
    let placed = office.create(&office.wanted("USDCSOL", "BTC", "10000"));
    let shared = office.shop.kiosk.engine.shared.clone();
    let known = shared.market().rates.clone();
    let mut rates = (*known).clone();
    rates.coins.remove("BTC");
    shared.put_rates(std::sync::Arc::new(rates));
    office.pay(&placed, "{}").await;
    assert_eq!(office.status(&placed), "hold");
    let no = placed.uid.to_string();
    desk::paid(&office.shop.kiosk, &no, "by hand").await.expect("a person decides");
    assert_eq!(office.status(&placed), "done");
    office.shop.close().await;
}

/// Exact: what is left out would be paid out all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_cent_too_little_is_too_little_and_too_much_goes_back() {
    let mut office = Office::open().await;
    let short = office.create(&office.wanted("USDCSOL", "USDTERC20", "100"));
    office.pay(&short, r#"{"factor":"0.9999"}"#).await;
    assert_eq!(office.status(&short), "errorPayment");
    let over = office.create(&office.wanted("USDCSOL", "USDTERC20", "100"));
    office.pay(&over, r#"{"factor":"1.5"}"#).await;
    assert_eq!(office.status(&over), "done");
    assert_eq!(office.row(&over).await.credit_units, 50_000_000);
    desk::returned(&office.shop.kiosk, &over.uid.to_string(), "0xrest").await.expect("the rest went back");
    assert_eq!((office.row(&over).await.credit_units, office.status(&over)), (0, "done".to_owned()));
    assert!(desk::returned(&office.shop.kiosk, &over.uid.to_string(), "0xagain").await.is_err());
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_office_takes_no_orders_and_goes_on_with_those_it_has() {
    let mut office = Office::open().await;
    let wanted = office.wanted("USDCSOL", "USDTERC20", "100");
    let placed = office.create(&wanted);
    desk::set_closed(&office.shop.kiosk, true).await.expect("closed");
    office.shop.pump().await;
    assert_eq!(office.data("public/site/status/get", &json!({}))["offlineStatus"], true);
    assert_eq!(office.error("public/exchanger/order/create", &wanted)["errorCode"], 5_555_555_555_555_555_u64);
    office.pay(&placed, "{}").await;
    assert_eq!(office.status(&placed), "done");
    desk::set_closed(&office.shop.kiosk, false).await.expect("open");
    office.shop.pump().await;
    office.create(&wanted);
    office.shop.close().await;
}

/// A network that is gone from the configuration closes the office, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_file_that_fits_no_more_closes_the_office_and_another_opens_it() {
    let office = Office::open().await;
    let engine = office.shop.kiosk.engine.clone();
    let text = boot::DEMO_EXCHANGE.replace("network = \"Base\"", "network = \"Mars\"");
    let refused = boot::import_exchange(&office.shop.kiosk, text.clone()).await.expect_err("there is no such network");
    assert!(refused[0].contains("Mars"), "{refused:?}");
    let now = office.shop.clock.now();
    engine
        .write(move |tx| server::store::exchange::add(tx, "broken", &text, now + Span::seconds(1)))
        .await
        .expect("kept");
    assert!(server::workers::exchange::run_once(&engine).await.is_err());
    let again =
        boot::open_with(&office.shop.config, office.shop.clock.clone(), std::sync::Arc::new(server::clock::SystemIds))
            .await;
    let again = again.expect("an installation opens although its exchange file does not fit");
    assert!(again.engine.shared.market().exchange.routes.is_empty());
    office.shop.clock.advance(Span::seconds(2));
    boot::import_exchange(&again, boot::DEMO_EXCHANGE.to_owned()).await.expect("another file");
    assert!(!again.engine.shared.market().exchange.routes.is_empty());
    again.engine.close();
    drop(office);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_paid_out_by_itself_waits_for_an_operator() {
    let mut office = Office::open().await;
    let placed = office.create(&office.wanted("USDCSOL", "SEPAEUR", "1000"));
    office.set(&placed, "waitPayment");
    office.pay(&placed, "{}").await;
    assert_eq!(office.status(&placed), "inProgress");
    office.shop.after(Span::hours(1)).await;
    assert_eq!(office.status(&placed), "inProgress");
    // A copy of the database that is put back may be older than what an operator did since.
    assert!(server::cli::backup::may_have_moved_on(&office.row(&placed).await));
    let (kiosk, no) = (&office.shop.kiosk, placed.uid.to_string());
    let listed = desk::orders_in(kiosk, None, 10).await.expect("a list");
    assert!(listed.contains("1000 USDCSOL for") && listed.contains("inProgress"), "{listed}");
    assert!(desk::paid(kiosk, &no, "mail me@example.com").await.is_err(), "no addresses in the log");
    desk::paid(kiosk, &no, "SEPA 20261120-7").await.expect("paid by hand");
    assert_eq!(office.status(&placed), "done");
    assert!(!server::cli::backup::may_have_moved_on(&office.row(&placed).await));
    assert!(desk::paid(kiosk, &no, "again").await.is_err());
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_floating_order_is_paid_out_at_the_rate_of_its_payment() {
    let mut office = Office::open().await;
    let dear = office.create(&office.wanted("USDCSOL", "BTC", "10000"));
    let near = office.create(&office.wanted("USDCSOL", "BTC", "10000"));
    // 10,000 / 91,350 = 0.10946907...
    assert_eq!(dear.created["outAmount"], json!(0.10946907));
    set_btc(&office, 90_800);
    office.pay(&near, "{}").await;
    assert_eq!(office.order(&near)["outAmount"], json!(0.10946907), "0.9 % are not 1 %");
    set_btc(&office, 100_000);
    office.pay(&dear, "{}").await;
    // 10,000 / 101,500 = 0.09852216...
    let order = office.order(&dear);
    assert_eq!((&order["outAmount"], &order["status"]), (&json!(0.09852216), &json!("inProgress")));
    // 2.5 less both.
    assert_eq!(reserve(&office, "USDCSOL", "BTC"), "2.29200877");
    office.shop.close().await;
}

/// What one bitcoin costs from now on.
fn set_btc(office: &Office, usd: i64) {
    let shared = &office.shop.kiosk.engine.shared;
    let mut rates = (*shared.market().rates).clone();
    rates.coins.get_mut("BTC").expect("a price").usd = usd.into();
    shared.put_rates(std::sync::Arc::new(rates));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_on_hold_pays_nothing_out_until_the_hold_ends() {
    let mut office = Office::open().await;
    let placed = office.create(&office.wanted("USDCSOL", "USDTERC20", "100"));
    office.set(&placed, "waitPayment");
    let no = placed.uid.to_string();
    orders::hold(&office.shop.kiosk, &no, "looks odd").await.expect("held");
    assert_eq!(office.status(&placed), "hold");
    office.pay(&placed, "{}").await;
    assert_eq!(office.status(&placed), "hold");
    assert!(matches!(office.row(&placed).await.payout, Some(Payout::Planned { attempt: 0 })));
    orders::resolve(&office.shop.kiosk, &no, orders::Decision::GoOn, "all is well").await.expect("released");
    office.shop.pump().await;
    assert_eq!(office.status(&placed), "done");
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hidden_from_the_payer_is_kept_for_the_payout() {
    let mut office = Office::open().await;
    let mut wanted = office.wanted("USDCSOL", "USDTERC20", "100");
    wanted["hideOutData"] = json!(true);
    let placed = office.create(&wanted);
    assert_eq!(office.order(&placed)["toValues"], json!([]));
    office.pay(&placed, "{}").await;
    assert_eq!(office.status(&placed), "done");
    office.shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reserve_that_is_stated_anew_counts_from_then_on() {
    let mut office = Office::open().await;
    let placed = office.create(&office.wanted("USDCSOL", "USDTERC20", "100"));
    office.pay(&placed, "{}").await;
    assert_eq!(reserve(&office, "USDCSOL", "USDTERC20"), "249901.5");
    let engine = office.shop.kiosk.engine.clone();
    engine.write(|tx| server::store::exchange::state_reserve(tx, "USDTERC20", 2, "500")).await.expect("stated");
    office.shop.pump().await;
    assert_eq!(reserve(&office, "USDCSOL", "USDTERC20"), "500");
    let keys: Vec<_> = engine.shared.market().exchange.currencies.iter().map(|c| c.reserve_key()).collect();
    let counters = engine.db.read(move |tx| claims::counters(tx, &keys)).await.expect("counters");
    assert!(counters.values().all(|counter| counter.held == 0), "{counters:?}");
    // What an unpaid order holds still counts, whenever the reserve was stated.
    office.create(&office.wanted("USDCSOL", "USDTERC20", "-100"));
    engine.write(|tx| server::store::exchange::state_reserve(tx, "USDTERC20", 2, "600")).await.expect("stated");
    office.shop.pump().await;
    assert_eq!(reserve(&office, "USDCSOL", "USDTERC20"), "500");
    office.shop.close().await;
}

/// The public key of the first test of RFC 8032, as a Solana address.
const PAYER: &str = "FVen3X669xLzsi6N2V91DoiyzHzg1uAgqiT8jZ9nS96Z";

#[tokio::test(flavor = "multi_thread")]
async fn what_an_exchange_order_owes_is_refunded_and_not_given_back_beside_it() {
    let mut office = Office::open().await;
    let ask = |to| Request { share: Wanted::Whole, other_token: false, fee: None, to, by: "ann".to_owned() };
    let placed = office.create(&office.wanted("USDCSOL", "USDTERC20", "100"));
    office.set(&placed, "waitPayment");
    office.pay(&placed, r#"{"factor":"1.5"}"#).await;
    assert_eq!(office.status(&placed), "done");
    let (kiosk, no) = (&office.shop.kiosk, placed.uid.to_string());
    refund::request(kiosk, &no, &ask(To::Address(PAYER.to_owned())), "").await.expect("50 are owed");
    assert!(desk::returned(kiosk, &no, "x").await.is_err(), "it is on its way");
    office.shop.pump().await;
    let row = office.row(&placed).await;
    assert_eq!((row.refunds[0].word(), row.credit_units), ("final", 0));
    assert_eq!(office.status(&placed), "done");

    let late = office.create(&office.wanted("USDCSOL", "USDTERC20", "100"));
    office.pay(&late, r#"{"late":"3h"}"#).await;
    assert_eq!(office.status(&late), "errorPayment");
    let (kiosk, no) = (&office.shop.kiosk, late.uid.to_string());
    refund::request(kiosk, &no, &ask(To::ByHand), "").await.expect("100 are owed");
    refund::paid(kiosk, &no, 0, ("ann", "0xback")).await.expect("100 dollars need one person");
    assert_eq!(office.status(&late), "returned");
    assert!(desk::returned(kiosk, &no, "x").await.is_err(), "nothing is owed any more");
    office.shop.close().await;
}
