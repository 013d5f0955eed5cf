//! Stories of money back: whole, in part, what was too much, for a line; to an address that is known, through a claim
//! link, by hand; with two people, and with payers who forget, refuse and stay silent.
//!
//! A card of 100 USD and 1.5 % costs 101.50 USDC, one of 50 USD 50.75, one of 25 USD 25.375, rounded up to 25.38. How the
//! address of a payout ends chooses what becomes of it (docs/sandbox.md). The commands' own functions are called, on the
//! shop that the harness runs; the claim page is read and sent as a browser does it.

// The page on which a payer says where to.
mod claim;

use crate::harness::Shop;
use crate::http::{Wanted as Line, get, id, pay, request as goods, row, show};
use api::{Order, PaymentChoice};
use domain::asset::ChainKind;
use domain::decide::{Command, Refusal};
use domain::event::HoldReason;
use domain::ids::{NetworkId, OrderId};
use domain::payout::Payout;
use domain::project::OrderState;
use domain::refund::{Destination, RefundAction, Stage};
use domain::time::Span;
use serde_json::Value;
use server::cli::refund::{self, Request, To, Wanted};
use server::cli::{order as orders, transfers};
use server::engine::{Lane, SubmitError};
use server::ports::{Clock, SimulatedPayment};
use server::store::claims;

const CARD: Line<'static> = ("Airbnb", "100 USD", "ann@example.com");
const SMALL: Line<'static> = ("Airbnb", "50 USD", "ann@example.com");
const REFUSED: Line<'static> = ("Apple", "25 USD", "refused.ann@example.com");
const URL: &str = "http://shop.test";

/// An order on Base, with the address for refunds that its buyer gave.
async fn placed(shop: &Shop, buyer: &str, lines: &[Line<'_>], given: Option<&str>) -> Order {
    let mut request = goods(buyer, lines);
    request.payment = PaymentChoice::via("USER_WALLET", "USDC", Some("Base"));
    request.refund_wallet_address = given.map(str::to_owned);
    shop.client.create_order(&request, None).await.expect("the order is taken")
}

/// The same, paid so.
async fn paid(shop: &mut Shop, buyer: &str, lines: &[Line<'_>], (given, how): (Option<&str>, &str)) -> (Order, String) {
    let order = placed(shop, buyer, lines, given).await;
    pay(shop, &order, how).await;
    shop.pump().await;
    let no = row(shop, &order).await.no.to_string();
    (order, no)
}

/// An address that ends so. All letters are small: it carries no checksum.
fn to(ending: &str) -> String {
    format!("0x{}{ending}", "ab".repeat(18))
}

fn wish(share: Wanted, to: To, by: &str) -> Request {
    Request { share, other_token: false, fee: None, to, by: by.to_owned() }
}

async fn ask(shop: &Shop, no: &str, share: Wanted, to: To) -> anyhow::Result<String> {
    refund::request(&shop.kiosk, no, &wish(share, to, "ann"), URL).await
}

/// The words of an order's refunds, and what is still owed, in units.
async fn standing(shop: &Shop, order: &Order) -> (Vec<&'static str>, i64) {
    let row = row(shop, order).await;
    (row.refunds.iter().map(|refund| refund.word()).collect(), row.credit_units)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_delivered_goes_back_whole_to_the_address_that_was_given() {
    let mut shop = Shop::open().await;
    let given = to("0000");
    let (order, no) = paid(&mut shop, "a@example.com", &[REFUSED], (Some(&given), "{}")).await;
    assert_eq!(show(&shop, &order).await.order_state.to_string(), "WaitingForManualAction");
    let told = ask(&shop, &no, Wanted::Whole, To::Given).await.expect("it is owed");
    assert_eq!(told, format!("refund 0 of order {no}: 25.38 USDC, approved"));
    // Until it is final a person has it in hand.
    assert_eq!(row(&shop, &order).await.state, OrderState::WaitingForManualAction);
    shop.pump().await;
    assert_eq!(standing(&shop, &order).await, (vec!["final"], 0));
    let shown = show(&shop, &order).await;
    assert_eq!(shown.order_state.to_string(), "Refunded");
    let refund = shown.refund.expect("the contract shows it");
    assert_eq!((refund.amount.as_str(), refund.currency.as_str()), ("25.38", "USDC"));
    let found = row(&shop, &order).await.refunds.remove(0);
    assert_eq!((found.destination, found.units), (Destination::AtCreation, 25_380_000));
    let text = orders::show(&shop.kiosk, &no, "").await.expect("it is explained");
    assert!(text.contains("Refund 0: 25.38 USDC, all that was owed; asked for by ann"), "{text}");
    assert!(!text.to_lowercase().contains(&given), "where it goes is nobody's but who looks for it");
    let text = refund::show(&shop.kiosk, &no).await.expect("it is shown");
    assert!(text.to_lowercase().contains(&given) && text.contains("given with the order"), "{text}");
    let again = ask(&shop, &no, Wanted::Whole, To::Given).await.expect_err("nothing is owed any more");
    assert!(again.to_string().contains("owes its payer nothing"), "{again}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_add_up_to_what_is_owed_and_never_to_more() {
    let mut shop = Shop::open().await;
    // 152.25 came for 101.50.
    let (order, no) = paid(&mut shop, "a@example.com", &[CARD], (None, r#"{"factor": "1.5"}"#)).await;
    let address = || To::Address(to("0000"));
    for (amount, why) in [("50.76", "more than the order owes"), ("0", "owes its payer nothing"), ("x", "no amount")] {
        let error = ask(&shop, &no, Wanted::Amount(amount.to_owned()), address()).await.expect_err(amount);
        assert!(error.to_string().contains(why), "{amount}: {error}");
    }
    ask(&shop, &no, Wanted::Amount("20".to_owned()), address()).await.expect("a part");
    // It holds its amount before it is paid.
    let error = ask(&shop, &no, Wanted::Amount("30.76".to_owned()), address()).await.expect_err("too much");
    assert!(error.to_string().contains("more than the order owes"), "{error}");
    let told = ask(&shop, &no, Wanted::Excess, address()).await.expect("the rest of what was too much");
    assert!(told.contains("30.75 USDC"), "{told}");
    assert_eq!(standing(&shop, &order).await, (vec!["approved", "approved"], 50_750_000));
    shop.pump().await;
    assert_eq!(standing(&shop, &order).await, (vec!["final", "final"], 0));
    // What was delivered stays delivered.
    assert_eq!(show(&shop, &order).await.order_state.to_string(), "Done");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_was_given_up_is_paid_back_once_and_a_fee_stays() {
    let mut shop = Shop::open().await;
    let (order, no) = paid(&mut shop, "a@example.com", &[SMALL, REFUSED], (None, "{}")).await;
    assert_eq!(standing(&shop, &order).await, (vec![], 25_380_000));
    let delivered = ask(&shop, &no, Wanted::Line(0), To::ByHand).await.expect_err("it was delivered");
    assert!(delivered.to_string().contains("only a line that was given up"), "{delivered}");
    let with_fee = Request { fee: Some("0.38".to_owned()), ..wish(Wanted::Line(1), To::Address(to("0000")), "ann") };
    let told = refund::request(&shop.kiosk, &no, &with_fee, URL).await.expect("it was given up");
    assert!(told.contains("25 USDC") || told.contains("25.00 USDC"), "{told}");
    assert!(ask(&shop, &no, Wanted::Line(1), To::ByHand).await.is_err(), "it has a refund");
    shop.pump().await;
    assert_eq!(standing(&shop, &order).await, (vec!["final"], 0));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn above_the_limit_another_person_has_to_agree() {
    let mut shop = Shop::open_with("[refunds]\nfour_eyes_above = 8\n").await;
    let (order, no) = paid(&mut shop, "a@example.com", &[CARD], (None, r#"{"factor": "1.5"}"#)).await;
    let address = || To::Address(to("0000"));
    ask(&shop, &no, Wanted::Amount("5".to_owned()), address()).await.expect("a small one");
    // A large one in small parts is a large one.
    let told = ask(&shop, &no, Wanted::Amount("5".to_owned()), address()).await.expect("another");
    assert!(told.contains(&format!("kiosk refund approve {no} 1 --as NAME")), "{told}");
    shop.pump().await;
    assert_eq!(standing(&shop, &order).await, (vec!["final", "due"], 45_750_000));
    assert!(refund::paid(&shop.kiosk, &no, 1, ("ann", "0x1")).await.is_err(), "nobody has agreed");
    for name in ["ann", "ANN", "payer"] {
        assert!(refund::approve(&shop.kiosk, &no, 1, (name, 0)).await.is_err(), "{name}");
    }
    assert!(refund::approve(&shop.kiosk, &no, 1, ("bob", 1)).await.is_err(), "another attempt");
    let text = refund::show(&shop.kiosk, &no).await.expect("it is shown");
    assert!(text.contains("(attempt 0)"), "{text}");
    refund::approve(&shop.kiosk, &no, 1, ("bob", 0)).await.expect("another person");
    assert!(refund::approve(&shop.kiosk, &no, 1, ("eve", 0)).await.is_err(), "it is approved");
    shop.pump().await;
    assert_eq!(standing(&shop, &order).await, (vec!["final", "final"], 40_750_000));
    let found = row(&shop, &order).await.refunds.remove(1);
    assert_eq!((found.asked_by.as_str(), found.approved_by.as_deref()), ("ann", Some("bob")));
    // What is called off is owed again.
    ask(&shop, &no, Wanted::Whole, address()).await.expect("the rest");
    refund::reject(&shop.kiosk, &no, 2, ("bob", "asked for by mistake")).await.expect("it has not gone out");
    assert!(refund::approve(&shop.kiosk, &no, 2, ("bob", 0)).await.is_err(), "it is off");
    ask(&shop, &no, Wanted::Whole, address()).await.expect("it is owed as before");
    assert_eq!(standing(&shop, &order).await.0, ["final", "final", "rejected", "due"]);
    shop.close().await;
}

/// A refund of 25.38 to an address that ends so.
async fn refund_to(shop: &mut Shop, ending: &str) -> (Order, String) {
    let (order, no) = paid(shop, &format!("b{ending}@example.com"), &[REFUSED], (None, "{}")).await;
    ask(shop, &no, Wanted::Whole, To::Address(to(ending))).await.expect("it is owed");
    shop.pump().await;
    (order, no)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_may_be_slow_lost_refused_or_found_and_is_never_paid_twice() {
    let mut shop = Shop::open().await;
    let (pending, _) = refund_to(&mut shop, "1111").await;
    let (refused, refused_no) = refund_to(&mut shop, "2222").await;
    let (found, _) = refund_to(&mut shop, "3333").await;
    let (lost, lost_no) = refund_to(&mut shop, "4444").await;
    assert_eq!(standing(&shop, &pending).await, (vec!["sent"], 25_380_000));
    assert_eq!(standing(&shop, &refused).await, (vec!["failed"], 25_380_000));
    for _ in 0..4 {
        shop.after(Span::seconds(16)).await;
    }
    for order in [&pending, &found] {
        assert_eq!(standing(&shop, order).await, (vec!["final"], 0));
    }
    assert_eq!(standing(&shop, &lost).await, (vec!["sent"], 25_380_000));
    // It may have been paid: only who has looked may say more.
    assert!(refund::reject(&shop.kiosk, &lost_no, 0, ("bob", "too long")).await.is_err());
    assert!(refund::reopen(&shop.kiosk, &lost_no, 0, ("bob", URL)).await.is_err());
    let text = orders::show(&shop.kiosk, &lost_no, "").await.expect("it is explained");
    assert!(text.contains(&format!("no clear answer under our reference r{lost_no}-0-0")), "{text}");
    refund::paid(&shop.kiosk, &lost_no, 0, ("bob", "0xfound")).await.expect("a person knows");
    assert_eq!(standing(&shop, &lost).await, (vec!["final"], 0));
    assert_eq!(row(&shop, &lost).await.state, OrderState::Refunded);

    refund::retry(&shop.kiosk, &refused_no, 0, "bob").await.expect("it failed");
    shop.pump().await;
    let failed = row(&shop, &refused).await.refunds.remove(0).stage;
    assert!(matches!(failed, Stage::Paying { payout: Payout::Failed { attempt: 1, .. } }), "{failed:?}");
    let told = refund::reopen(&shop.kiosk, &refused_no, 0, ("bob", URL)).await.expect("it failed again");
    assert!(told.contains(&format!("{URL}/claim/{refused_no}-0-")), "{told}");
    refund::reject(&shop.kiosk, &refused_no, 0, ("bob", "the payer wants it by hand")).await.expect("it rests");
    ask(&shop, &refused_no, Wanted::Whole, To::ByHand).await.expect("by hand");
    shop.pump().await;
    assert_eq!(standing(&shop, &refused).await.0, ["rejected", "approved"]);
    refund::paid(&shop.kiosk, &refused_no, 1, ("bob", "receipt 17")).await.expect("it is paid");
    assert_eq!(standing(&shop, &refused).await, (vec!["rejected", "final"], 0));
    assert!(refund::paid(&shop.kiosk, &refused_no, 1, ("bob", "receipt 17")).await.is_err(), "once");
    shop.close().await;
}

/// The process dies after the attempt was claimed and before anybody was told to pay.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_the_call_pays_once_and_later() {
    let mut shop = Shop::open().await;
    let (order, no) = paid(&mut shop, "a@example.com", &[REFUSED], (None, "{}")).await;
    ask(&shop, &no, Wanted::Whole, To::Address(to("0000"))).await.expect("it is owed");
    let payer = shop.outside.payers.iter().find(|payer| *payer.network() == NetworkId::new("sandbox:base"));
    let patience = payer.expect("Base has a payer").patience();
    let begin =
        || Command::Refund { order: id(&order), refund: 0, action: RefundAction::Begin { attempt: 0, patience } };
    shop.kiosk.engine.submit(Lane::Worker, begin()).await.expect("it is due");
    let again = shop.kiosk.engine.submit(Lane::Worker, begin()).await.expect_err("it is claimed");
    assert!(matches!(again, SubmitError::Refused(Refusal::AlreadyDone(_))), "{again}");
    shop.pump().await;
    assert_eq!(standing(&shop, &order).await, (vec!["sent"], 25_380_000));
    assert!(refund::paid(&shop.kiosk, &no, 0, ("bob", "0x1")).await.is_err(), "it may be on the wire");
    // 5 s to be on the wire and 10 s for the call.
    shop.after(Span::seconds(15)).await;
    assert_eq!(standing(&shop, &order).await, (vec!["final"], 0));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_on_hold_gives_nothing_back() {
    let mut shop = Shop::open().await;
    let (order, no) = paid(&mut shop, "a@example.com", &[REFUSED], (None, "{}")).await;
    ask(&shop, &no, Wanted::Whole, To::Address(to("0000"))).await.expect("it is owed");
    let hold =
        Command::Hold { order: id(&order), reason: HoldReason::Operator, line: None, note: "a question".to_owned() };
    shop.kiosk.engine.submit(Lane::Client, hold).await.expect("it is put on hold");
    shop.pump().await;
    assert_eq!(standing(&shop, &order).await, (vec!["approved"], 25_380_000));
    let release = Command::Release { order: id(&order), note: "answered".to_owned() };
    shop.kiosk.engine.submit(Lane::Client, release).await.expect("the hold ends");
    shop.pump().await;
    assert_eq!(standing(&shop, &order).await, (vec!["final"], 0));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_token_goes_back_by_hand_and_with_two_people() {
    let mut shop = Shop::open().await;
    let (order, no) = paid(&mut shop, "a@example.com", &[SMALL], (None, r#"{"wrong_token": true}"#)).await;
    let wanted = |to| Request { other_token: true, ..wish(Wanted::Whole, to, "ann") };
    let early = refund::request(&shop.kiosk, &no, &wanted(To::ByHand), URL).await.expect_err("its window is open");
    assert!(early.to_string().contains("can still be paid"), "{early}");
    shop.after(Span::minutes(31)).await;
    let unknown = refund::request(&shop.kiosk, &no, &wanted(To::Given), URL).await.expect_err("nobody can pay it");
    assert!(unknown.to_string().contains("--by-hand"), "{unknown}");
    refund::request(&shop.kiosk, &no, &wanted(To::ByHand), URL).await.expect("by hand");
    assert_eq!(standing(&shop, &order).await.0, ["due"], "what has no price is never small");
    refund::approve(&shop.kiosk, &no, 0, ("bob", 0)).await.expect("another person");
    refund::paid(&shop.kiosk, &no, 0, ("ann", "0x2")).await.expect("it is paid");
    let row = row(&shop, &order).await;
    let other = row.payment.received[0].asset.clone();
    assert_eq!((row.owed_units(&other), row.state), (0, OrderState::Refunded));
    assert!(refund::request(&shop.kiosk, &no, &wanted(To::ByHand), URL).await.is_err(), "nothing is left of it");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn money_of_nobody_is_assigned_to_an_order_and_pays_it() {
    let mut shop = Shop::open().await;
    let order = placed(&shop, "a@example.com", &[SMALL], None).await;
    let no = row(&shop, &order).await.no.to_string();
    let free = shop.kiosk.engine.db.read(|tx| claims::free_addresses(tx, ChainKind::Evm, 9)).await.expect("a read");
    let quote = row(&shop, &order).await.quote;
    let stray = SimulatedPayment {
        network: quote.network_id.clone(),
        asset: quote.asset.clone(),
        to: free.back().expect("the pool has more").clone(),
        units: quote.due_units,
        raw: quote.due_units.to_string(),
        block_at: shop.clock.now(),
        confirmations: 2,
        reorg: None,
    };
    let books = shop.kiosk.books.clone().expect("a sandbox");
    let transfer = books.pay(&stray).expect("it is mined").to_string();
    shop.pump().await;
    let listed = transfers::list(&shop.kiosk, 9).await.expect("a list");
    assert!(listed.contains(&transfer) && listed.contains("50.75 USDC"), "{listed}");
    let assign = |to: String| {
        let (kiosk, transfer) = (&shop.kiosk, transfer.clone());
        async move { transfers::assign(kiosk, &transfer, &to, ("ann", "the payer sent the transaction")).await }
    };
    assert!(assign("999999".to_owned()).await.is_err(), "there is no such order");
    assign(no.clone()).await.expect("it belongs to nobody");
    assert!(assign(no.clone()).await.is_err(), "it belongs to the order now");
    shop.pump().await;
    assert_eq!(show(&shop, &order).await.order_state.to_string(), "Done");
    let text = orders::show(&shop.kiosk, &no, "").await.expect("it is explained");
    assert!(text.contains("was assigned to it by ann: the payer sent the transaction"), "{text}");
    assert_eq!(transfers::list(&shop.kiosk, 9).await.expect("a list"), "every transfer belongs to an order");
    shop.close().await;
}

/// What the payer is told, as a program reads it.
async fn explained(shop: &Shop, order: &Order) -> Value {
    get(&shop.url, &format!("/kiosk/v1/orders/{}/explain", order.order_id)).await.json()
}

/// The codes of the reasons.
fn codes(explained: &Value) -> Vec<&str> {
    let reasons = explained["reasons"].as_array().expect("a list");
    reasons.iter().map(|reason| reason["code"].as_str().expect("a code")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payer_is_told_what_is_unusual_and_what_he_can_do() {
    let mut shop = Shop::open().await;
    /// How it is paid, what is unusual, what is missing, and what can be claimed.
    type Row = (&'static str, &'static [&'static str], Option<&'static str>, Option<&'static str>);
    let table: &[Row] = &[
        ("{}", &[], None, None),
        (r#"{"factor": "0.996"}"#, &["tolerance"], None, None),
        (r#"{"factor": "1.004"}"#, &["trifle"], None, None),
        (r#"{"factor": "0.5"}"#, &["short"], Some("25.375"), None),
        (r#"{"factor": "1.5"}"#, &["over"], None, Some("25.375")),
        (r#"{"twice": true}"#, &["over", "second"], None, Some("50.75")),
        (r#"{"late": "5m"}"#, &["late_accepted"], None, None),
        (r#"{"late": "45m"}"#, &["late"], None, Some("50.75")),
        (r#"{"late": "5m", "factor": "0.5"}"#, &["short_expired", "late"], None, Some("25.375")),
        (r#"{"wrong_token": true}"#, &["wrong_asset"], None, None),
        (r#"{"reorg": 1}"#, &["reverted"], None, None),
    ];
    for (at, (how, reasons, missing, claim)) in table.iter().enumerate() {
        let (order, _) = paid(&mut shop, &format!("buyer{at}@example.com"), &[SMALL], (None, how)).await;
        let told = explained(&shop, &order).await;
        assert_eq!(codes(&told), *reasons, "{how}");
        assert_eq!(told["pay_the_rest"]["amount"].as_str(), *missing, "{how}: {told}");
        assert_eq!(told["claim"]["amount"].as_str(), *claim, "{how}: {told}");
        assert!(!told.to_string().contains("operator") && !told.to_string().contains("payer"), "{told}");
    }
    let unknown = OrderId::parse("7b1d0e54-93a6-4f0c-8a27-5d6e1c40b2f9").expect("a UUID");
    let path = format!("/kiosk/v1/orders/{}/explain", unknown.expose());
    assert_eq!(get(&shop.url, &path).await.head.status, 404);
    shop.close().await;
}
