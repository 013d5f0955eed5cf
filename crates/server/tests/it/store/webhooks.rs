//! Webhooks: endpoints, what happened to an account's orders, and the messages about it.

use super::databases::{account, for_each_store, now, read, write};
use crate::harness::START;
use crate::market::placed;
use domain::event::Event;
use domain::order::Order;
use domain::time::{Span, Time};
use server::store::accounts::{self, Account, Role};
use server::store::orders::{self, Changed, LoggedEvent};
use server::store::webhooks::{
    self, Attempt, Delivery, DeliveryState, EndpointRow, Happened, MOST_ENDPOINTS, Outcome, What,
};
use server::store::{Conn, epoch, head};

fn endpoint(number: usize, account: &str) -> EndpointRow {
    EndpointRow {
        id: format!("we_{number:02}"),
        account: account.to_owned(),
        url: "https://shop.example/told".to_owned(),
        types: "order.updated,endpoint.disabled".to_owned(),
        generation: 1,
        rotated_at: START,
        after_seq: 0,
        active: true,
        failing_since: None,
        created_at: START + Span(number as i64),
    }
}

/// An order of that customer with these events, numbered from `first` on; the second is none that is told.
fn keep(conn: &mut Conn, number: u64, customer: &str, first: i64, more: &[Event]) -> Order {
    let (mut order, event) = placed(number);
    order.origin.customer = Some(customer.to_owned());
    let mut event = event;
    if let Event::Placed(placed) = &mut event {
        placed.origin.customer = Some(customer.to_owned());
    }
    let events: Vec<LoggedEvent> = std::iter::once(event)
        .chain(more.iter().cloned())
        .zip(1..)
        .map(|(event, version)| LoggedEvent {
            seq: first + version - 1,
            order: order.id,
            version,
            at: START,
            event,
            told: version != 2,
        })
        .collect();
    for logged in &events[1..] {
        order.apply(&logged.event, logged.at);
    }
    write(conn, |tx| orders::append_events(tx, &events));
    write(conn, |tx| orders::write(tx, &[Changed { order: &order, prior_version: 0 }]));
    order
}

fn advance(conn: &mut Conn, next_seq: i64) {
    let now = now(conn);
    write(conn, |tx| {
        let mut head = head::lock(tx, now)?;
        head.next_seq = next_seq;
        head::advance(tx, &head)
    });
}

#[test]
fn an_order_is_read_as_it_was_after_an_event() {
    for_each_store(|conn| {
        let now = keep(conn, 1, "one", 1, &[Event::Expired]);
        let (then, _) = placed(1);
        let read_at = |conn: &mut Conn, seq: i64| read(conn, |tx| orders::as_of(tx, seq));
        let first = read_at(conn, 1).expect("it was placed");
        assert_eq!((first.version, first.state), (1, then.state));
        assert_eq!(read_at(conn, 2), Some(now));
        assert_eq!(read_at(conn, 3), None);
    });
}

#[test]
fn what_happened_to_an_account_is_its_orders_and_its_endpoints() {
    for_each_store(|conn| {
        keep(conn, 1, "one", 1, &[Event::Expired, Event::LateWindowClosed]);
        keep(conn, 2, "two", 4, &[]);
        advance(conn, 5);
        write(conn, |tx| accounts::add(tx, &account("one")));
        write(conn, |tx| webhooks::add(tx, &endpoint(1, "one")));
        let row = read(conn, |tx| webhooks::by_id(tx, "we_01")).expect("added");
        let now = now(conn);
        assert!(write(conn, |tx| webhooks::disable(tx, &row, now)));
        assert!(!write(conn, |tx| webhooks::disable(tx, &row, now)), "it is closed");
        let of = |conn: &mut Conn, account: &str, after: i64, through: i64, limit: i64| -> Vec<(i64, What)> {
            let accounts = [account.to_owned()];
            let found = read(conn, |tx| webhooks::happened(tx, &accounts, after, through, limit));
            assert!(found.iter().all(|happened| happened.owners == accounts));
            found.into_iter().map(|Happened { seq, what, .. }| (seq, what)).collect()
        };
        let closed = What::Endpoint { id: "we_01".to_owned() };
        let all = [(1, What::Order), (3, What::Order), (5, closed)];
        assert_eq!(of(conn, "one", 0, 99, 99), all, "told once, under the log's next number");
        assert_eq!(of(conn, "one", 1, 4, 99), all[1..2]);
        assert_eq!(of(conn, "one", 0, 99, 2), all[..2]);
        assert_eq!(of(conn, "two", 0, 99, 99), [(4, What::Order)]);
        assert_eq!(read(conn, |tx| webhooks::happened(tx, &[], 0, 99, 99)), []);
        assert_eq!(read(conn, head::last_seq), 5);
    });
}

/// A partner's id is no secret: whoever names a customer instead tells him nothing.
#[test]
fn an_order_of_goods_is_its_partners_and_an_exchange_order_not_that_of_who_brought_its_payer() {
    for_each_store(|conn| {
        let partner = Account { role: Role::Partner, ..account("shop") };
        write(conn, |tx| accounts::add(tx, &partner));
        write(conn, |tx| accounts::add(tx, &account("one")));
        let keep = |conn: &mut Conn, number: u64, partner: &str, status: bool| {
            let (mut order, event) = placed(number);
            if !status {
                order.origin.partner = Some(partner.to_owned());
            } else {
                order.origin.referrer = Some(partner.to_owned());
                order.quote.trade = Some(Box::new(super::office::terms()));
                order.payout = Some(domain::payout::Payout::Planned { attempt: 0 });
            }
            let (id, seq) = (order.id, number as i64);
            let event = LoggedEvent { seq, order: id, version: 1, at: START, event, told: true };
            write(conn, |tx| orders::append_events(tx, std::slice::from_ref(&event)));
            write(conn, |tx| orders::write(tx, &[Changed { order: &order, prior_version: 0 }]));
        };
        keep(conn, 1, "shop", false);
        keep(conn, 2, "shop", true);
        keep(conn, 3, "one", false);
        let both = ["shop".to_owned(), "one".to_owned()];
        let found = read(conn, |tx| webhooks::happened(tx, &both, 0, 99, 99));
        let found: Vec<_> = found.into_iter().map(|happened| (happened.seq, happened.owners)).collect();
        assert_eq!(found, [(1, vec!["shop".to_owned()])]);
    });
}

#[test]
fn endpoints_of_an_account() {
    for_each_store(|conn| {
        for id in ["one", "two"] {
            write(conn, |tx| accounts::add(tx, &account(id)));
        }
        advance(conn, 8);
        for number in 1..=MOST_ENDPOINTS {
            assert!(write(conn, |tx| webhooks::add(tx, &endpoint(number, "one"))));
        }
        assert!(!write(conn, |tx| webhooks::add(tx, &endpoint(99, "one"))));
        let wanted = EndpointRow { after_seq: 7, ..endpoint(1, "one") };
        assert_eq!(read(conn, |tx| webhooks::of_account(tx, "one"))[0], wanted);
        assert!(wanted.wants("order.updated") && !wanted.wants("order"));
        assert!(EndpointRow { types: String::new(), ..wanted.clone() }.wants("order.updated"));
        assert!(write(conn, |tx| webhooks::add(tx, &endpoint(20, "two"))));
        assert_eq!(read(conn, webhooks::all).len(), MOST_ENDPOINTS + 1);
        assert!(write(conn, |tx| webhooks::rotate(tx, "we_01", START + Span(5))));
        write(conn, |tx| webhooks::note_health(tx, "we_01", Some(START)));
        let row = read(conn, |tx| webhooks::in_use(tx, "we_01")).expect("in use");
        assert_eq!((row.generation, row.rotated_at, row.failing_since), (2, START + Span(5), Some(START)));
        let now = now(conn);
        assert!(write(conn, |tx| webhooks::disable(tx, &row, now)));
        assert_eq!(read(conn, |tx| webhooks::in_use(tx, "we_01")), None);
        assert!(write(conn, |tx| webhooks::enable(tx, "we_01")));
        assert!(!write(conn, |tx| webhooks::enable(tx, "we_01")), "it is open");
        let row = read(conn, |tx| webhooks::in_use(tx, "we_01")).expect("in use again");
        assert_eq!((row.failing_since, row.after_seq), (None, 8), "it is told what happens from now on");
        write(conn, |tx| accounts::set_active(tx, Role::Customer, "two", false));
        assert_eq!(read(conn, |tx| webhooks::in_use(tx, "we_20")), None, "a closed account");
        assert_eq!(read(conn, webhooks::active).len(), MOST_ENDPOINTS);
        assert!(write(conn, |tx| webhooks::remove(tx, "we_20")));
        assert!(!write(conn, |tx| webhooks::remove(tx, "we_20")));
        assert!(
            !write(conn, |tx| webhooks::enable(tx, "we_20")) && !write(conn, |tx| webhooks::rotate(tx, "we_20", START))
        );
    });
}

#[test]
fn a_message_is_taken_once_and_comes_due_again() {
    for_each_store(|conn| {
        write(conn, |tx| accounts::add(tx, &account("one")));
        for number in 1..=2 {
            write(conn, |tx| webhooks::add(tx, &endpoint(number, "one")));
        }
        let rows = vec![("we_01".to_owned(), 1), ("we_01".to_owned(), 2), ("we_02".to_owned(), 1)];
        write(conn, |tx| webhooks::plan(tx, rows.clone(), START));
        write(conn, |tx| webhooks::plan(tx, rows, START + Span(1)));
        let of = |first: i64, second: i64| [("we_01".to_owned(), first), ("we_02".to_owned(), second)];
        let due = |conn: &mut Conn, now: Time| read(conn, |tx| webhooks::due(tx, &of(9, 9), now));
        let names = |found: &[Delivery]| -> Vec<(String, i64)> {
            found.iter().map(|delivery| (delivery.endpoint.clone(), delivery.seq)).collect()
        };
        assert_eq!(due(conn, START - Span(1)), []);
        let all = due(conn, START);
        assert_eq!(all.len(), 3);
        let some = read(conn, |tx| webhooks::due(tx, &of(1, 9), START));
        assert_eq!(names(&some), [("we_01".to_owned(), 1), ("we_02".to_owned(), 1)], "of each so many");
        assert_eq!(read(conn, |tx| webhooks::due(tx, &of(9, 9)[1..], START)).len(), 1);
        let until = START + Span(60);
        assert_eq!(write(conn, |tx| webhooks::take(tx, &all, until)), names(&all));
        assert_eq!(write(conn, |tx| webhooks::take(tx, &all, until)), [], "somebody has them");
        assert_eq!((due(conn, START), due(conn, until).len()), (vec![], 3));
        let outcome = |seq: i64, attempt: Attempt| Outcome {
            endpoint: "we_01".to_owned(),
            seq,
            attempts: 1,
            attempt,
            asked: true,
            gone: false,
            answer: "500".to_owned(),
            at: START + Span(2),
        };
        write(conn, |tx| webhooks::note(tx, &outcome(1, Attempt::Arrived)));
        write(conn, |tx| webhooks::note(tx, &outcome(2, Attempt::Again { due_at: START + Span(99) })));
        let log = read(conn, |tx| webhooks::log(tx, "we_01", 10));
        let states: Vec<_> = log.iter().map(|delivery| (delivery.seq, delivery.state, delivery.due_at)).collect();
        assert_eq!(states, [(2, DeliveryState::Due, START + Span(99)), (1, DeliveryState::Sent, START + Span(2))]);
        assert_eq!((log[0].answer.as_str(), log[0].attempts, log[0].at), ("500", 1, START + Span(2)));
        write(conn, |tx| webhooks::note(tx, &outcome(2, Attempt::GivenUp)));
        assert!(!read(conn, |tx| webhooks::has_due(tx, "we_01", START + Span(3))));
        assert_eq!(write(conn, |tx| webhooks::resend_given_up(tx, "we_01", START + Span(3))), 1);
        assert!(read(conn, |tx| webhooks::has_due(tx, "we_01", START + Span(3))));
        assert!(!read(conn, |tx| webhooks::has_due(tx, "we_01", START + Span(2))));
        assert!(write(conn, |tx| webhooks::resend(tx, "we_01", 1, START + Span(3))));
        assert!(!write(conn, |tx| webhooks::resend(tx, "we_01", 7, START)));
        assert_eq!(names(&due(conn, START + Span(3))), [("we_01".to_owned(), 1), ("we_01".to_owned(), 2)]);
        write(conn, |tx| webhooks::note(tx, &outcome(1, Attempt::GivenUp)));
        assert_eq!(write(conn, |tx| webhooks::forget_before(tx, START)), 0);
        assert_eq!(write(conn, |tx| webhooks::forget_before(tx, START + Span(3))), 3);
        assert_eq!(due(conn, START + Span(99)), []);
        write(conn, |tx| webhooks::look_on_from(tx, 7));
        assert_eq!(read(conn, webhooks::looked_at), 7);
    });
}

/// A copy is older than the world: it may hold endpoints that were deleted since.
#[test]
fn after_a_restore_endpoints_are_closed_and_nothing_waits() {
    for_each_store(|conn| {
        write(conn, |tx| accounts::add(tx, &account("one")));
        write(conn, |tx| webhooks::add(tx, &endpoint(1, "one")));
        write(conn, |tx| webhooks::plan(tx, vec![("we_01".to_owned(), 1)], START));
        write(conn, epoch::begin);
        assert_eq!(read(conn, |tx| webhooks::in_use(tx, "we_01")), None);
        let log = read(conn, |tx| webhooks::log(tx, "we_01", 10));
        assert_eq!(log[0].state, DeliveryState::GivenUp);
        assert_eq!(read(conn, webhooks::looked_at), read(conn, head::last_seq), "the jump holds no events");
    });
}
