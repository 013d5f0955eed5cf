//! Partners: their codes, the orders that they brought, what these add up to, and what they were paid.

use super::databases::{account, for_each_store, read, write};
use super::office::{keep, trade};
use crate::harness::START;
use domain::order::Order;
use domain::payout::Payout;
use domain::project::ExchangeStatus;
use domain::route::{Commission, PartnerDay, Referred};
use domain::time::{Span, Time};
use server::store::accounts::{self, Account, Role};
use server::store::affiliates::{self, Payment, Standing};
use server::store::partner_links::{self, Link, Wish};
use server::store::{Conn, orders};

fn link(code: &str, active: bool) -> Link {
    Link { code: code.to_owned(), active }
}

/// An order that `one` brought, placed so many seconds after the first; it receives 1 of what costs two dollars, of which half
/// is earned.
fn brought(number: u64, customer: Option<&str>) -> Order {
    let mut order = trade(number, customer);
    order.origin.referrer = Some("one".to_owned());
    order.placed_at = START + Span::seconds(i64::try_from(number).expect("a small number"));
    let agreed = Commission { bps: 5_000, usd_rate: 2.into() };
    order.quote.trade.as_deref_mut().expect("a trade").commission = Some(agreed);
    order
}

fn numbers(orders: &[Order]) -> Vec<i64> {
    orders.iter().map(|order| order.no).collect()
}

#[test]
fn a_link_belongs_to_one_account_and_to_none_that_is_closed() {
    for_each_store(|conn| {
        for id in ["one", "two"] {
            assert!(write(conn, |tx| accounts::add(tx, &account(id))));
        }
        assert_eq!(write(conn, |tx| partner_links::set(tx, "one", "shop")), Wish::Granted);
        assert_eq!(write(conn, |tx| partner_links::set(tx, "one", "shop")), Wish::Granted, "the same again");
        assert_eq!(write(conn, |tx| partner_links::set(tx, "two", "shop")), Wish::Taken);
        assert_eq!(read(conn, |tx| partner_links::owner(tx, "shop")), Some("one".to_owned()));
        assert_eq!(write(conn, |tx| partner_links::set(tx, "one", "other")), Wish::Granted);
        assert_eq!(read(conn, |tx| partner_links::owner(tx, "shop")), None);
        assert_eq!(read(conn, |tx| partner_links::of_account(tx, "one")), Some(link("other", true)));
        assert_eq!(read(conn, |tx| partner_links::of_account(tx, "two")), None);
        write(conn, |tx| accounts::set_active(tx, Role::Customer, "one", false));
        assert_eq!(read(conn, |tx| partner_links::owner(tx, "other")), None);
    });
}

#[test]
fn a_link_that_an_operator_took_out_of_use_stays_so_until_he_says_otherwise() {
    for_each_store(|conn| {
        assert!(write(conn, |tx| accounts::add(tx, &account("one"))));
        assert!(!write(conn, |tx| partner_links::set_active(tx, "one", false)), "it has none");
        write(conn, |tx| partner_links::set(tx, "one", "shop"));
        assert!(write(conn, |tx| partner_links::set_active(tx, "one", false)));
        assert_eq!(read(conn, |tx| partner_links::owner(tx, "shop")), None);
        assert_eq!(write(conn, |tx| partner_links::set(tx, "one", "other")), Wish::Disabled);
        assert_eq!(read(conn, |tx| partner_links::of_account(tx, "one")), Some(link("shop", false)));
        assert!(write(conn, |tx| partner_links::set_active(tx, "one", true)));
        assert_eq!(read(conn, |tx| partner_links::owner(tx, "shop")), Some("one".to_owned()));
    });
}

#[test]
fn what_a_partner_brought_is_found_by_page_and_by_time_without_his_own_and_without_goods() {
    for_each_store(|conn| {
        let mut done = brought(2, Some("you"));
        done.payout = Some(Payout::Done { at: START, proof: "x".to_owned() });
        let mut goods = crate::market::order(5);
        goods.origin.partner = Some("one".to_owned());
        let orders = [brought(1, None), done, brought(3, Some("one")), trade(4, None), goods, brought(6, None)];
        orders.iter().for_each(|order| keep(conn, order));
        let (page, total) = read(conn, |tx| orders::trades_brought_by(tx, "one", &[], (0, 2)));
        assert_eq!((numbers(&page), total), (vec![1_006, 1_002], 3));
        let (page, _) = read(conn, |tx| orders::trades_brought_by(tx, "one", &[], (2, 2)));
        assert_eq!(numbers(&page), [1_001]);
        let (page, total) = read(conn, |tx| orders::trades_brought_by(tx, "one", &[ExchangeStatus::Done], (0, 9)));
        assert_eq!((numbers(&page), total), (vec![1_002], 1));
        assert_eq!(read(conn, |tx| orders::trades_brought_by(tx, "you", &[], (0, 9))).1, 0, "he placed it");
        let mut between = |since: i64, until: i64, limit: i64| {
            let times = (START + Span::seconds(since), START + Span::seconds(until));
            numbers(&read(conn, |tx| orders::trades_brought_between(tx, "one", times, limit)))
        };
        assert_eq!(between(0, 100, 9), [1_006, 1_002, 1_001]);
        assert_eq!(between(0, 100, 2), [1_006, 1_002]);
        assert_eq!(between(1, 2, 9), [1_001], "from the first moment until before the last");
    });
}

#[test]
fn an_order_adds_to_its_partner_what_it_comes_to_as_it_stands() {
    let figures = |order: &Order| order.referred().map(|(_, referred)| referred);
    let mut order = brought(1, None);
    let placed = Referred { placed: 1, ..Referred::default() };
    assert_eq!(figures(&order), Some(placed));
    let day = PartnerDay { partner: "one".to_owned(), day: "2026-11-20".to_owned() };
    assert_eq!(order.referred().expect("he brought it").0, day);
    // It receives two dollars' worth: 20,000 units, half of which are earned.
    order.payment.settled_at = Some(START);
    order.quote.due_units = 0;
    order.tolerance_units = 0;
    assert_eq!(figures(&order), Some(Referred { waiting_usd_units: 10_000, ..placed }));
    order.payout = Some(Payout::Failed { at: START, attempt: 0, reason: String::new() });
    assert_eq!(figures(&order), Some(Referred { waiting_usd_units: 10_000, ..placed }));
    order.payout = Some(Payout::Done { at: START, proof: String::new() });
    let done = Referred { done: 1, exchanged_usd_units: 20_000, earned_usd_units: 10_000, ..placed };
    assert_eq!(figures(&order), Some(done));
    // Its payer's money vanished from its chain.
    let short = Order { quote: domain::validate::Quote { due_units: 1, ..order.quote.clone() }, ..order.clone() };
    assert_eq!(figures(&short), Some(placed));
    let returned = Order { payout: Some(Payout::Returned { at: START, proof: String::new() }), ..order.clone() };
    assert_eq!(figures(&returned), Some(placed));
    let mut own = order.clone();
    own.origin.customer = Some("one".to_owned());
    assert_eq!(figures(&own), None, "his own");
    let mut nobodys = order;
    nobodys.origin.referrer = None;
    assert_eq!(figures(&nobodys), None);
}

#[test]
fn days_add_up_and_go_back_and_are_each_partner_s_own() {
    for_each_store(|conn| {
        let day = |partner: &str, day: &str| PartnerDay { partner: partner.to_owned(), day: day.to_owned() };
        let one = Referred { placed: 1, done: 1, exchanged_usd_units: 5, waiting_usd_units: 0, earned_usd_units: 3 };
        let back =
            Referred { placed: 0, done: -1, exchanged_usd_units: -5, waiting_usd_units: 0, earned_usd_units: -3 };
        let waits = Referred { placed: 1, waiting_usd_units: 7, ..Referred::default() };
        write(conn, |tx| affiliates::count(tx, &[(day("one", "2026-11-20"), one), (day("one", "2026-11-21"), one)]));
        write(conn, |tx| affiliates::count(tx, &[(day("one", "2026-11-20"), waits), (day("two", "2026-11-20"), one)]));
        let both = Referred { placed: 2, waiting_usd_units: 7, ..one };
        let from = |conn: &mut Conn, since: &str| read(conn, |tx| affiliates::days(tx, "one", since));
        let second = ("2026-11-21".to_owned(), one);
        assert_eq!(from(conn, "2026-11-20"), [("2026-11-20".to_owned(), both), second.clone()]);
        assert_eq!(from(conn, "2026-11-21"), [second]);
        assert_eq!(read(conn, affiliates::all_days).len(), 3);
        write(conn, |tx| affiliates::count(tx, &[(day("one", "2026-11-21"), back)]));
        let left = Referred { placed: 1, ..Referred::default() };
        assert_eq!(from(conn, "2026-11-21"), [("2026-11-21".to_owned(), left)]);
        write(conn, |tx| affiliates::count(tx, &[]));
        let sum = Referred { placed: 3, ..both };
        assert_eq!(read(conn, |tx| affiliates::standing(tx, "one")), Standing { referred: sum, paid_usd_units: 0 });
        assert_eq!(read(conn, |tx| affiliates::standing(tx, "nobody")), Standing::default());
    });
}

#[test]
fn a_payment_is_noted_once_and_who_is_owed_something_is_listed() {
    for_each_store(|conn| {
        for (id, after) in [("three", 2), ("one", 0), ("two", 1), ("none", 3)] {
            let account = Account { created_at: Time(START.0 + after), ..account(id) };
            assert!(write(conn, |tx| accounts::add(tx, &account)));
        }
        write(conn, |tx| partner_links::set(tx, "two", "shop"));
        for partner in ["one", "three"] {
            let day = PartnerDay { partner: partner.to_owned(), day: "2026-11-20".to_owned() };
            let earned = Referred { earned_usd_units: 100, ..Referred::default() };
            write(conn, |tx| affiliates::count(tx, &[(day, earned)]));
        }
        assert_eq!(read(conn, affiliates::partners), ["one", "two", "three"]);
        let payment = |account: &str, reference: &str, usd_units: i64| Payment {
            account: account.to_owned(),
            reference: reference.to_owned(),
            usd_units,
            at: START,
        };
        assert!(write(conn, |tx| affiliates::pay(tx, &payment("one", "a", 60))));
        assert!(!write(conn, |tx| affiliates::pay(tx, &payment("one", "a", 60))), "once");
        assert!(write(conn, |tx| affiliates::pay(tx, &payment("three", "a", 100))), "another's books");
        assert!(write(conn, |tx| affiliates::pay(tx, &payment("one", "b", 15))));
        assert!(write(conn, |tx| affiliates::pay(tx, &payment("one", "c", 7))));
        assert_eq!(write(conn, |tx| affiliates::take_back(tx, "one", "c", START)), Some(7));
        assert_eq!(write(conn, |tx| affiliates::take_back(tx, "one", "c", START)), None, "once");
        assert_eq!(write(conn, |tx| affiliates::take_back(tx, "two", "a", START)), None, "another's");
        let standing = read(conn, |tx| affiliates::standing(tx, "one"));
        assert_eq!((standing.paid_usd_units, standing.owed_usd_units()), (75, 25));
    });
}
