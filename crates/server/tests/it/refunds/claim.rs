//! The claim page: what it says, what it takes, and that it takes it once.

use super::{CARD, SMALL, URL, ask, codes, explained, paid, placed, standing, to};
use crate::harness::Shop;
use crate::http::{Answer, get, id, pay, post_form, row, show};
use api::Order;
use domain::refund::Destination;
use domain::time::Span;
use server::cli::refund::{self, To, Wanted};
use server::store::orders;

/// The path of the link by which the payer can claim now.
async fn link(shop: &Shop, order: &Order) -> String {
    let told = explained(shop, order).await;
    let url = told["claim"]["claim_url"].as_str().expect("something can be claimed").to_owned();
    url.strip_prefix(URL).expect("a link of ours").to_owned()
}

/// Presses the page's button.
async fn enter(shop: &Shop, path: &str, address: &str) -> Answer {
    post_form(&shop.url, path, &[("address", address), ("agreed", "yes")]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_payment_is_claimed_by_its_payer_once() {
    let mut shop = Shop::open().await;
    let (order, no) = paid(&mut shop, "a@example.com", &[SMALL], (None, "{}")).await;
    assert!(explained(&shop, &order).await.get("claim").is_none(), "nothing is owed");
    pay(&shop, &order, "{}").await;
    shop.pump().await;
    let path = link(&shop, &order).await;
    let page = get(&shop.url, &path).await;
    let text = page.text();
    assert_eq!(page.head.status, 200);
    assert!(text.contains("50.75 USDC on Base") && text.contains("on no other network"), "{text}");
    assert!(text.contains("do not take the address that your payment came from"), "{text}");
    assert_eq!(page.head.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(page.head.header("cache-control"), Some("no-store"));
    // Looking changes nothing.
    assert_eq!(standing(&shop, &order).await, (vec![], 50_750_000));

    let address = to("0000");
    let unticked = post_form(&shop.url, &path, &[("address", &address)]).await;
    assert_eq!(unticked.head.status, 422);
    let taken = enter(&shop, &path, &address).await;
    assert!(taken.head.status == 200 && taken.text().contains("on its way"), "{}", taken.text());
    let other = enter(&shop, &path, &to("9999")).await;
    assert!(other.head.status == 409 && other.text().contains("on its way"), "{}", other.text());
    shop.pump().await;
    assert_eq!(standing(&shop, &order).await, (vec!["final"], 0));
    let text = get(&shop.url, &path).await.text();
    assert!(text.contains("was sent") && text.contains("Transaction"), "{text}");
    assert!(!text.to_lowercase().contains(&address), "where it went is not shown again");
    let found = row(&shop, &order).await.refunds.remove(0);
    assert_eq!((found.destination, found.asked_by.as_str()), (Destination::Claim, "payer"));
    let told = explained(&shop, &order).await;
    assert_eq!((&told["refunds"][0]["state"], &told["refunds"][0]["amount"]), (&"final".into(), &"50.75".into()));
    assert!(told.get("claim").is_none() && !told.to_string().to_lowercase().contains(&address), "{told}");
    let id = id(&order);
    let log = shop.kiosk.engine.db.read(move |tx| orders::events_of(tx, id)).await.expect("a read");
    assert!(!format!("{log:?}").to_lowercase().contains(&address), "no address of a person in an event");
    let text = refund::list(&shop.kiosk).await.expect("a list");
    assert_eq!(text, "no refund is open");
    assert!(refund::link(&shop.kiosk, &no, ("ann", URL)).await.is_err(), "nothing can be claimed");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_would_lose_the_money_is_refused() {
    let mut shop = Shop::open().await;
    let (order, _) = paid(&mut shop, "a@example.com", &[SMALL], (None, r#"{"twice": true}"#)).await;
    let path = link(&shop, &order).await;
    let market = shop.kiosk.engine.shared.market();
    let token = market.rails.asset(&row(&shop, &order).await.quote.asset).and_then(|(_, asset)| asset.contract.clone());
    let ours = show(&shop, &order).await.wallet_address.expect("an address");
    let small = ours.to_lowercase();
    let phrase = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
    // The sample of EIP-55 with one letter of another case.
    let table = [
        ("", "no address of this network"),
        ("0x5aaeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "checksum"),
        ("FVen3X669xLzsi6N2V91DoiyzHzg1uAgqiT8jZ9nS96Z", "no address of this network"),
        ("0x0000000000000000000000000000000000000000", "Nobody has that address"),
        (token.as_deref().expect("it has a contract"), "contract of a token"),
        (ours.as_str(), "own"),
        (small.as_str(), "own"),
        (phrase, "seed phrase"),
        ("<script>alert(1)</script>", "no address of this network"),
    ];
    for (address, why) in table {
        let answer = enter(&shop, &path, address).await;
        let text = answer.text();
        assert_eq!(answer.head.status, 422, "{address}: {text}");
        assert!(text.contains(why) && !text.contains("<script"), "{address}: {text}");
        assert!(address.is_empty() || !text.contains(address), "what was typed is not repeated: {text}");
    }
    assert_eq!(standing(&shop, &order).await, (vec![], 50_750_000));
    // An operator's hand is held, too.
    let no = row(&shop, &order).await.no.to_string();
    assert!(ask(&shop, &no, Wanted::Whole, To::Address(ours)).await.is_err());
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_opens_one_refund_of_one_order() {
    let mut shop = Shop::open().await;
    let (one, _) = paid(&mut shop, "a@example.com", &[SMALL], (None, r#"{"twice": true}"#)).await;
    let (other, other_no) = paid(&mut shop, "b@example.com", &[SMALL], (None, r#"{"twice": true}"#)).await;
    let path = link(&shop, &one).await;
    let secret = path.rsplit('-').next().expect("a secret").to_owned();
    let wrong = [
        format!("{path}0"),
        path[..path.len() - 1].to_owned(),
        format!("/claim/{other_no}-0-{secret}"),
        path.replacen("-0-", "-1-", 1),
        "/claim/nonsense".to_owned(),
        "/claim/1-2".to_owned(),
        format!("/claim/{}", one.order_id),
    ];
    for path in wrong {
        assert_eq!(get(&shop.url, &path).await.head.status, 404, "{path}");
        assert_eq!(enter(&shop, &path, &to("0000")).await.head.status, 404, "{path}");
    }
    assert_eq!(standing(&shop, &other).await, (vec![], 50_750_000));
    assert!(!path.contains(&one.order_id.replace('-', "")) && !path.contains(&one.order_id), "the id opens the codes");
    shop.close().await;
}

/// Short, and the window is over: the payer takes his money, and nothing that comes later buys the goods.
#[tokio::test(flavor = "multi_thread")]
async fn who_claims_what_an_expired_order_has_gets_no_goods_for_what_comes_later() {
    let mut shop = Shop::open().await;
    let order = placed(&shop, "a@example.com", &[SMALL], None).await;
    pay(&shop, &order, r#"{"factor": "0.5"}"#).await;
    shop.pump().await;
    assert!(explained(&shop, &order).await.get("claim").is_none(), "the rest may still come");
    shop.after(Span::minutes(31)).await;
    let path = link(&shop, &order).await;
    let taken = enter(&shop, &path, &to("0000")).await;
    assert_eq!(taken.head.status, 200, "{}", taken.text());
    assert!(row(&shop, &order).await.payment.closed);
    // The other half, five minutes after the window: together it would have been enough.
    pay(&shop, &order, r#"{"factor": "0.5", "late": "5m"}"#).await;
    shop.pump().await;
    assert_eq!(standing(&shop, &order).await, (vec!["final"], 25_375_000));
    assert!(row(&shop, &order).await.payment.settled_at.is_none());
    assert_ne!(link(&shop, &order).await, path, "what came since is claimed by another link");
    enter(&shop, &link(&shop, &order).await, &to("0000")).await;
    shop.pump().await;
    assert_eq!(standing(&shop, &order).await, (vec!["final", "final"], 0));
    assert_eq!(show(&shop, &order).await.order_state.to_string(), "Refunded");
    assert_eq!(codes(&explained(&shop, &order).await), ["late"]);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_claim_waits_for_a_person_and_an_address_that_fails_for_another() {
    let mut shop = Shop::open_with("[refunds]\nfour_eyes_above = 0\n").await;
    let (order, no) = paid(&mut shop, "a@example.com", &[CARD], (None, r#"{"twice": true}"#)).await;
    // Nobody has said where to: the payer is asked.
    ask(&shop, &no, Wanted::Whole, To::Given).await.expect("it is owed");
    assert!(refund::link(&shop.kiosk, &no, ("payer", URL)).await.is_err(), "it says which operator sees it");
    let link = refund::link(&shop.kiosk, &no, ("ann", URL)).await.expect("it waits for the payer");
    let path = link.strip_prefix(URL).expect("a link of ours");
    assert!(refund::approve(&shop.kiosk, &no, 0, ("bob", 0)).await.is_err(), "nobody knows where to");
    enter(&shop, path, &to("2222")).await;
    shop.pump().await;
    assert_eq!(standing(&shop, &order).await, (vec!["due"], 101_500_000));
    assert!(get(&shop.url, path).await.text().contains("The shop looks at your refund"));
    refund::approve(&shop.kiosk, &no, 0, ("bob", 0)).await.expect("another person");
    shop.pump().await;
    assert_eq!(standing(&shop, &order).await.0, ["failed"]);
    refund::reopen(&shop.kiosk, &no, 0, ("bob", URL)).await.expect("the address was refused");
    // Whoever had the link before has nothing to say any more.
    let old = enter(&shop, path, &to("9999")).await;
    assert!(old.head.status == 404 && old.text().contains("no longer valid"), "{}", old.text());
    assert_eq!(standing(&shop, &order).await.0, ["claim_open"]);
    let link = refund::link(&shop.kiosk, &no, ("ann", URL)).await.expect("it waits for the payer again");
    let path = link.strip_prefix(URL).expect("a link of ours");
    enter(&shop, path, &to("0000")).await;
    assert_eq!(standing(&shop, &order).await.0, ["due"], "another address has to be agreed to anew");
    assert!(refund::approve(&shop.kiosk, &no, 0, ("bob", 0)).await.is_err(), "he looked at the address before");
    refund::approve(&shop.kiosk, &no, 0, ("bob", 1)).await.expect("another person");
    shop.pump().await;
    assert_eq!(standing(&shop, &order).await, (vec!["final"], 0));
    shop.close().await;
}
