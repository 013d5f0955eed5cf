//! Goods out: codes of our own, suppliers one after the other, answers that stay open, and what a person decides.

use super::{PATIENCE, Shop, begin, is_at_supplier, refusal, report};
use crate::market::{BOUGHT, DUE, MIXED, OWN, sku};
use crate::store::databases::{for_each_store, read, write};
use domain::decide::{Command, Refusal, Resolution};
use domain::event::HoldReason;
use domain::fulfil::{Line, Patience, Report, SealedGoods};
use domain::ids::CodeId;
use domain::order::{Order, Slot, Step, What};
use domain::project::OrderState;
use domain::time::Span;
use server::store::{claims, orders, stock};
use std::collections::BTreeSet;

fn goods(name: &str) -> Report {
    Report::Delivered(Some(SealedGoods { code: CodeId::new(name), sealed: format!("sealed {name}") }))
}

/// The code that the order's line owns.
fn code_of(shop: &mut Shop<'_>, order: &Order) -> Option<CodeId> {
    let owner = claims::owner(order.id, 0);
    read(shop.conn, |tx| stock::sealed_of(tx, vec![owner.clone()])).remove(&owner).map(|(code, _)| code)
}

fn steps(shop: &mut Shop<'_>, order: &Order) -> Vec<Step> {
    read(shop.conn, |tx| orders::steps_of(tx, order.id))
}

#[test]
fn codes_of_our_own_are_given_out_once_each() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        shop.stock(OWN, 3);
        let sold: Vec<_> = (1..=3).map(|number| shop.sell(number, OWN)).collect();
        assert_eq!(shop.shelf(OWN), (3, 3));
        let due = Step { slot: Slot::Line(0), what: What::TakeCode(sku(OWN)), due_at: shop.now };
        assert_eq!(steps(&mut shop, &sold[0]), [due]);

        let mut wanted: Vec<Command> = sold.iter().map(|order| begin(order, Some(sku(OWN)))).collect();
        wanted.push(begin(&sold[0], Some(sku(OWN))));
        let answers = shop.commit(wanted);
        assert!(matches!(refusal(&answers[3]), Some(Refusal::AlreadyDone(_))), "{answers:?}");
        let mut codes = BTreeSet::new();
        for (order, answer) in sold.iter().zip(&answers) {
            let after = answer.as_ref().expect("a code is left for each of them");
            assert_eq!(after.state, OrderState::Done);
            let code = code_of(&mut shop, order).expect("it owns a code");
            assert_eq!(
                after.lines[0],
                Line::Delivered { at: shop.now, code: Some(code.clone()), attempt: None, reversed: None }
            );
            codes.insert(code);
        }
        assert_eq!((codes.len(), shop.shelf(OWN)), (3, (0, 0)));
        assert!(steps(&mut shop, &sold[0]).is_empty());
        shop.check();
    });
}

#[test]
fn a_code_that_expired_on_the_shelf_is_nobodys() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        shop.stock(OWN, 2);
        let (first, second) = (shop.sell(1, OWN), shop.sell(2, OWN));
        let yesterday = (shop.now + Span::hours(-24)).day();
        let sql = "update codes set expires_on = $1 where id = 'own-code-00000'";
        write(shop.conn, |tx| tx.execute(sql, &[yesterday.as_str().into()]));
        let served = shop.submit(begin(&first, Some(sku(OWN)))).expect("the other one is good");
        assert_eq!(
            served.lines[0],
            Line::Delivered { at: shop.now, code: Some(CodeId::new("own-code-00001")), attempt: None, reversed: None }
        );
        let refused = shop.submit(begin(&second, Some(sku(OWN)))).expect("an answer");
        assert_eq!((refused.state, refused.credit_units), (OrderState::WaitingForManualAction, DUE));
        shop.check();
    });
}

/// A row that its own events do not make: deciding about it panics.
#[test]
fn an_order_about_which_the_rules_break_waits_for_a_person() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        let (order, other) = (shop.sell(1, BOUGHT), shop.sell(2, BOUGHT));
        let damage = "update orders set body = replace(body, '\"lines\":[{\"sku\"', '\"lines\":[],\"lost\":[{\"sku\"') \
            where no = 1001";
        assert_eq!(write(shop.conn, |tx| tx.execute(damage, &[])), 1);
        let answers = shop.commit(vec![begin(&order, None), begin(&other, None)]);
        assert_eq!(refusal(&answers[0]), Some(&Refusal::Defect));
        assert!(is_at_supplier(answers[1].as_ref().expect("nobody else is kept waiting")));
        let held = shop.order(order.id).hold().cloned().expect("it waits for a person");
        assert_eq!(held.reason, HoldReason::InvariantBroken);
    });
}

#[test]
fn a_supplier_is_asked_once_and_its_code_is_kept() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        let order = shop.sell(1, BOUGHT);
        let begun = shop.submit(begin(&order, Some(sku(OWN)))).expect("what is bought needs no code of ours");
        assert!(is_at_supplier(&begun));
        assert_eq!(begun.lines[0].reference(), Some("k1001-0-0"));
        let deadline = shop.now + PATIENCE.call_timeout + PATIENCE.settle;
        let find = Step { slot: Slot::Line(0), what: What::Find("sandbox".to_owned()), due_at: deadline };
        assert_eq!(steps(&mut shop, &order), [find]);
        let again = shop.submit(begin(&order, None));
        assert!(matches!(refusal(&again), Some(Refusal::AlreadyDone(_))), "{again:?}");

        // The answer to the call and a lookup's arrive together: one of them counts.
        let answers = shop.commit(vec![report(&order, 0, goods("call")), report(&order, 0, goods("lookup"))]);
        assert_eq!(answers[0].as_ref().expect("it is delivered").state, OrderState::Done);
        assert!(matches!(refusal(&answers[1]), Some(Refusal::AlreadyDone(_))), "{answers:?}");
        assert_eq!(code_of(&mut shop, &order), Some(CodeId::new("call")));
        assert!(steps(&mut shop, &order).is_empty());
        shop.check();
    });
}

#[test]
fn what_nobody_delivers_is_owed_to_the_payer() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        let order = shop.sell(1, BOUGHT);
        shop.submit(begin(&order, None)).expect("it begins");
        let pending = shop.submit(report(&order, 0, Report::Pending)).expect("it is taken in");
        assert_eq!(pending.state, OrderState::WaitingForDelivery);
        let refused = shop.submit(report(&order, 0, Report::Refused("sold out".to_owned()))).expect("an answer");
        assert_eq!((refused.state, refused.credit_units), (OrderState::WaitingForManualAction, DUE));
        shop.check();

        let served = shop.sell(2, BOUGHT);
        shop.submit(begin(&served, None)).expect("it begins");
        let direct = shop.submit(report(&served, 0, Report::Delivered(None))).expect("the recipient has it");
        assert_eq!(direct.lines[0], Line::Delivered { at: shop.now, code: None, attempt: Some(0), reversed: None });
        assert_eq!(code_of(&mut shop, &served), None);
        shop.check();
    });
}

#[test]
fn a_promise_that_the_shelf_breaks_is_kept_by_the_next_supplier() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        for brand in [OWN, MIXED] {
            shop.stock(brand, 1);
        }
        let (alone, mixed) = (shop.sell(1, OWN), shop.sell(2, MIXED));
        // The codes turn out to be bad: they leave the shelf, and so does what is counted.
        write(shop.conn, |tx| tx.execute("update codes set state = 'quarantined'", &[]));
        write(shop.conn, |tx| tx.execute("update stock set free = 0", &[]));
        let answers = shop.commit(vec![begin(&alone, Some(sku(OWN))), begin(&mixed, Some(sku(MIXED)))]);
        let alone = answers[0].as_ref().expect("an answer");
        assert_eq!((alone.state, alone.credit_units), (OrderState::WaitingForManualAction, DUE));
        let mixed = answers[1].as_ref().expect("an answer");
        assert_eq!(mixed.lines[0], Line::Planned { supplier: 1, attempt: 1 });
        assert_eq!((shop.shelf(OWN), shop.shelf(MIXED)), ((0, 0), (0, 0)));
        shop.check();

        let asked = shop.submit(begin(mixed, None)).expect("the supplier is asked");
        assert_eq!(asked.lines[0].reference(), Some("k1002-0-1"));
        assert!(is_at_supplier(&asked));
        shop.submit(report(mixed, 1, goods("bought"))).expect("it is delivered");
        assert_eq!(code_of(&mut shop, mixed), Some(CodeId::new("bought")));
        shop.check();
    });
}

#[test]
fn an_open_answer_is_asked_for_again_and_is_a_persons_in_the_end() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        let order = shop.sell(1, BOUGHT);
        let begun = shop.now;
        shop.submit(begin(&order, None)).expect("it begins");
        let unknown = || Report::Unknown("no answer".to_owned());
        let asking = shop.submit(report(&order, 0, unknown())).expect("that is news");
        let later = begun + PATIENCE.lookup_every;
        assert!(matches!(&asking.lines[0], Line::Asking { unknown: true, next_lookup, .. } if *next_lookup == later));
        assert_eq!(asking.hold(), None);

        // A person takes it in hand before the limit, and decides.
        let line = Some(0);
        let note = "they say no".to_owned();
        let hold = Command::Hold { order: order.id, reason: HoldReason::OutcomeUnknown, line, note: note.clone() };
        shop.submit(hold).expect("anybody may ask for a hold");
        let resolve = |resolution| Command::Resolve { order: order.id, line: 0, resolution, note: note.clone() };
        let resolved = shop.submit(resolve(Resolution::Refused)).expect("the person decides");
        assert_eq!((resolved.hold(), resolved.credit_units), (None, DUE));
        let again = shop.submit(resolve(Resolution::Delivered));
        assert!(matches!(refusal(&again), Some(Refusal::AlreadyDone(_))), "{again:?}");
        let too_late = shop.submit(report(&order, 0, goods("late")));
        assert!(matches!(refusal(&too_late), Some(Refusal::AlreadyDone(_))), "{too_late:?}");
        shop.check();
    });
}

#[test]
fn an_answer_that_stays_open_beyond_the_limit_holds_its_line() {
    for_each_store(|conn| {
        let mut shop = Shop::open(conn);
        let order = shop.sell(1, BOUGHT);
        shop.submit(begin(&order, None)).expect("it begins");
        // No patience at all is a limit that has passed.
        let patience = Patience { unknown_limit: Span(0), ..PATIENCE };
        let unknown = Report::Unknown("no answer".to_owned());
        let answer = Command::Report { order: order.id, line: 0, attempt: 0, report: unknown, patience };
        let held = shop.submit(answer).expect("that is news");
        let hold = held.hold().expect("a person must look");
        assert_eq!((hold.reason, hold.line), (HoldReason::OutcomeUnknown, Some(0)));
        assert_eq!(held.state, OrderState::WaitingForManualAction);
        assert_eq!(steps(&mut shop, &order).len(), 1, "looking up goes on");

        let found = shop.submit(report(&order, 0, goods("found"))).expect("the lookup finds it");
        assert_eq!((found.hold(), found.state), (None, OrderState::Done));
        shop.check();
    });
}
