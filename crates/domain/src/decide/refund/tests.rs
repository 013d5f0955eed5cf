//! What may go back of which order, who must agree, and that whatever is pressed gives no money back twice.

use super::*;
use crate::decide::{self, Command, Facts};
use crate::event::{HoldReason, Placed, Seen, Settlement};
use crate::ids::{OrderId, TransferId, Uuid};
use crate::order::Order;
use crate::payment::TransferStatus;
use crate::project::OrderState;
use crate::time::Span;
use crate::validate::samples::{NOW, basket, brand, fixed, line, market};
use crate::validate::{self, check};

/// Two cards: 100 USD and 50 USD with 1.5 %, hence 101.50 and 50.75; together 152.25 USDC in millionths.
const DUE: i64 = 152_250_000;
const FIRST: i64 = 101_500_000;
const SECOND: i64 = 50_750_000;
const DOLLAR: i64 = 1_000_000;
const PATIENCE: Patience = Patience {
    call_timeout: Span::seconds(10),
    settle: Span::seconds(10),
    lookup_every: Span::seconds(10),
    unknown_limit: Span::minutes(10),
};

fn placed() -> Order {
    let cards = brand("Card", "US", vec![fixed("a", "100 USD", "97 USD"), fixed("b", "50 USD", "48 USD")]);
    let market = market(vec![cards], Vec::new());
    let mut wanted = basket();
    wanted.lines = vec![line("Card", "100 USD"), line("Card", "50 USD")];
    let checked = check(&wanted, &market, &validate::Facts::default(), NOW).expect("it can be priced");
    let quote = checked.quote.expect("nothing is wrong with it");
    let prices: Vec<i64> = quote.lines.iter().map(|line| line.coin_units).collect();
    assert_eq!((quote.due_units, prices), (DUE, vec![FIRST, SECOND]));
    let placed = Placed {
        no: 1_001,
        origin: Default::default(),
        quote,
        address: "0xa".to_owned(),
        address_family: None,
        expires_at: NOW + Span::minutes(30),
        counts: Vec::new(),
        catalogue_id: String::new(),
        rates_id: String::new(),
        tolerance_units: 500_000,
        late_window: Span::minutes(30),
        policy: crate::postings::POLICY,
    };
    Order::placed(OrderId::new(Uuid::from_bytes([7; 16])), placed, NOW)
}

/// So many units came.
fn with_money(units: i64) -> Order {
    let mut order = placed();
    let asset = order.quote.asset.clone();
    let seen = Seen { transfer: TransferId::new("t0"), asset, units, block_at: NOW };
    order.apply(&Event::PaymentConfirmed(seen), NOW);
    order
}

/// The same, settled; lines are delivered but for those that were refused.
fn settled(units: i64, refused: &[u32]) -> Order {
    let mut order = with_money(units);
    let difference_units = (DUE - units).max(0);
    order.apply(&Event::PaymentSettled { settlement: Settlement::OnTime, sold_units: DUE, difference_units }, NOW);
    for line in 0..2 {
        let reference = crate::fulfil::reference(order.no, line, 0);
        order.apply(&Event::LineSent { line, attempt: 0, supplier: "sandbox".into(), reference, deadline: NOW }, NOW);
        let ended = match refused.contains(&line) {
            false => Event::LineDelivered { line, code: None },
            true => {
                let (refund_units, difference_units) = order.refund_of_line(line).expect("it is a line");
                Event::LineRefused { line, reason: "no".to_owned(), refund_units, difference_units }
            }
        };
        order.apply(&ended, NOW);
    }
    order
}

fn expired(units: i64) -> Order {
    let mut order = with_money(units);
    order.apply(&Event::Expired, NOW);
    order
}

fn no_facts(shared: &validate::Facts) -> Facts<'_> {
    Facts {
        shared,
        replay: None,
        address: None,
        next_no: 1,
        code: None,
        transfer: None,
        has_room: false,
        awaits_credit: false,
        price_now: None,
        rate_now: None,
        reserve_left: 0,
    }
}

fn act(order: &Order, refund: u32, action: RefundAction) -> Result<Order, Refusal> {
    let shared = validate::Facts::default();
    let facts = no_facts(&shared);
    let command = Command::Refund { order: order.id, refund, action };
    let decision = decide::decide(&facts, order, &command, NOW)?;
    let mut next = order.clone();
    decision.events.iter().for_each(|event| next.apply(event, NOW));
    Ok(next)
}

fn ask(order: &Order, share: Share, to: RefundTo) -> Result<Order, Refusal> {
    let policy = RefundPolicy::default();
    let wish = RefundWish { asset: None, share, fee_units: 0, to, by: "ann".to_owned(), policy };
    act(order, order.refunds.len() as u32, RefundAction::Ask(Box::new(wish)))
}

#[test]
fn no_more_goes_back_than_is_owed_and_each_share_is_what_it_says() {
    let over = || settled(DUE + 47_750_000, &[]);
    let both = || settled(DUE + 47_750_000, &[1]);
    let line = || settled(DUE, &[1]);
    let short = || expired(60 * DOLLAR);
    let nothing = "owes its payer nothing";
    let table: Vec<(&str, Order, Share, Result<i64, &str>)> = vec![
        ("all that was too much", over(), Share::Whole, Ok(47_750_000)),
        ("the same by its name", over(), Share::Excess, Ok(47_750_000)),
        ("a part", over(), Share::Part(1), Ok(1)),
        ("to the last", over(), Share::Part(47_750_000), Ok(47_750_000)),
        ("one too many", over(), Share::Part(47_750_001), Err("more than the order owes")),
        ("less than nothing", over(), Share::Part(-1), Err(nothing)),
        ("paid exactly", settled(DUE, &[]), Share::Whole, Err(nothing)),
        ("a line", line(), Share::Line(1), Ok(SECOND)),
        ("a line that was delivered", line(), Share::Line(0), Err("only a line that was given up")),
        ("no line", line(), Share::Line(2), Err("only a line that was given up")),
        ("nothing too much", line(), Share::Excess, Err(nothing)),
        ("both, whole", both(), Share::Whole, Ok(47_750_000 + SECOND)),
        ("both, the excess", both(), Share::Excess, Ok(47_750_000)),
        ("both, the line", both(), Share::Line(1), Ok(SECOND)),
        // Half a dollar was forgiven; a third of it, rounded down, belonged to the line: 500000 * 50.75 / 152.25.
        ("a line of what was paid within the tolerance", settled(DUE - 500_000, &[1]), Share::Line(1), Ok(50_583_334)),
        ("short, and the window is over", short(), Share::Whole, Ok(60 * DOLLAR)),
        ("nothing is too much of what bought nothing", short(), Share::Excess, Err(nothing)),
        ("short, and the rest may come", with_money(60 * DOLLAR), Share::Whole, Err("can still be paid")),
        ("never paid", placed(), Share::Whole, Err(nothing)),
    ];
    for (name, order, share, wanted) in table {
        let asked = ask(&order, share, RefundTo::ByHand);
        match (asked, wanted) {
            (Ok(asked), Ok(units)) => {
                assert_eq!(asked.refunds[0].units, units, "{name}");
                assert_eq!(asked.refundable_units(&order.quote.asset), order.credit_units - units, "{name}");
                // What is asked for is still owed; it only belongs to the refund.
                assert_eq!(asked.credit_units, order.credit_units, "{name}");
                assert!(asked.payment.settled_at.is_some() || asked.payment.closed, "{name}");
            }
            (Err(refusal), Err(why)) => assert!(refusal.to_string().contains(why), "{name}: {refusal}"),
            (asked, wanted) => panic!("{name}: {wanted:?}, and it is {:?}", asked.map(|asked| asked.refunds)),
        }
    }
}

#[test]
fn what_is_held_is_not_given_twice_and_is_free_again_when_it_is_off() {
    let order = settled(DUE, &[0, 1]);
    let first = ask(&order, Share::Line(0), RefundTo::ByHand).expect("it is owed");
    assert!(ask(&first, Share::Line(0), RefundTo::ByHand).is_err(), "it has a refund");
    let second = ask(&first, Share::Whole, RefundTo::ByHand).expect("the rest");
    assert_eq!(second.refunds[1].units, SECOND);
    assert!(ask(&second, Share::Part(1), RefundTo::ByHand).is_err(), "all of it is held");
    let reject = || RefundAction::Reject { by: "bob".to_owned(), note: "not yet".to_owned() };
    let off = act(&second, 0, reject()).expect("nobody was called");
    assert_eq!(off.refundable_units(&off.quote.asset), FIRST);
    ask(&off, Share::Line(0), RefundTo::ByHand).expect("it is owed as before");
    assert!(matches!(act(&off, 0, reject()), Err(Refusal::AlreadyDone(_))));
    assert!(matches!(act(&off, 9, reject()), Err(Refusal::Conflict(_))));
    // Pressed twice by somebody who saw none.
    let wish = RefundWish {
        asset: None,
        share: Share::Part(1),
        fee_units: 0,
        to: RefundTo::ByHand,
        by: "ann".to_owned(),
        policy: RefundPolicy::default(),
    };
    assert!(matches!(act(&off, 0, RefundAction::Ask(Box::new(wish))), Err(Refusal::Conflict(_))));
}

#[test]
fn two_people_agree_above_the_limit_however_it_is_split() {
    // The limit is 100 dollars, and a dollar coin was worth one.
    for (excess, needs) in [(100 * DOLLAR, false), (100 * DOLLAR + 1, true)] {
        let order = settled(DUE + excess, &[]);
        let whole = ask(&order, Share::Whole, RefundTo::ByHand).expect("it is owed");
        assert_eq!(whole.refunds[0].needs_approval, needs, "{excess}");
        let parts = ask(&order, Share::Part(60 * DOLLAR), RefundTo::ByHand).expect("a part");
        let parts = ask(&parts, Share::Whole, RefundTo::ByHand).expect("the rest");
        let needed: Vec<bool> = parts.refunds.iter().map(|refund| refund.needs_approval).collect();
        assert_eq!(needed, [false, needs], "{excess}");
    }
    let due = ask(&settled(DUE + 200 * DOLLAR, &[]), Share::Whole, RefundTo::ByHand).expect("it is owed");
    let approve = |by: &str| act(&due, 0, RefundAction::Approve { by: by.to_owned(), attempt: 0 });
    for same in ["ann", "Ann", "ANN", " ann ", PAYER, "Payer "] {
        assert!(matches!(approve(same), Err(Refusal::Conflict(_))), "{same}");
    }
    // Letters beyond ASCII have another case, too.
    assert!(is_same_name("ünal", "ÜNAL") && !is_same_name("ünal", "unal"));
    // Who looked at the first address does not agree to the second.
    let reopened = act(&due, 0, RefundAction::Reopen { by: "ann".to_owned() }).expect("it rests");
    assert!(
        act(&reopened, 0, RefundAction::Claim { attempt: 0, sealed: String::new(), policy: RefundPolicy::default() })
            .is_err(),
        "the old link"
    );
    let claim = RefundAction::Claim { attempt: 1, sealed: "another".to_owned(), policy: RefundPolicy::default() };
    let other = act(&reopened, 0, claim).expect("it waits for an address");
    let approve_other = |attempt| act(&other, 0, RefundAction::Approve { by: "bob".to_owned(), attempt });
    for old in [0, 2] {
        let refusal = approve_other(old).expect_err("that attempt is not due").to_string();
        assert!(refusal.contains("kiosk refund show"), "{refusal}");
    }
    assert_eq!(approve_other(1).expect("it was looked at").refunds[0].approved_by.as_deref(), Some("bob"));
    let pay = |order: &Order| act(order, 0, RefundAction::MarkPaid { by: "ann".to_owned(), proof: "x".to_owned() });
    assert!(pay(&due).is_err(), "nobody has agreed");
    let agreed = approve("bob").expect("another person");
    let paid = pay(&agreed).expect("it is agreed");
    assert_eq!((paid.credit_units, paid.state), (0, OrderState::Done));
}

#[test]
fn an_order_that_got_nothing_reads_refunded_once_everything_went_back() {
    let paid = |order: &Order, refund| {
        act(order, refund, RefundAction::MarkPaid { by: "bob".to_owned(), proof: "x".to_owned() })
            .expect("it is approved")
    };
    let refused = settled(DUE, &[0, 1]);
    assert_eq!(refused.state, OrderState::WaitingForManualAction);
    let half = paid(&ask(&refused, Share::Line(1), RefundTo::ByHand).expect("it is owed"), 0);
    assert_eq!((half.credit_units, half.state), (FIRST, OrderState::WaitingForManualAction));
    let rest = ask(&half, Share::Part(FIRST - 10 * DOLLAR), RefundTo::ByHand).expect("it is owed");
    // Two refunds of one order come to more than the limit.
    let rest = act(&rest, 1, RefundAction::Approve { by: "bob".to_owned(), attempt: 0 }).expect("another person");
    let rest = paid(&rest, 1);
    assert_eq!(rest.state, OrderState::WaitingForManualAction, "ten dollars are owed");
    let all = ask(&rest, Share::Whole, RefundTo::ByHand).expect("it is owed");
    let all = act(&all, 2, RefundAction::Approve { by: "bob".to_owned(), attempt: 0 }).expect("another person");
    assert_eq!(paid(&all, 2).state, OrderState::Refunded);

    let expired = ask(&expired(60 * DOLLAR), Share::Whole, RefundTo::ByHand).expect("it is owed");
    assert_eq!(expired.state, OrderState::Expired);
    assert_eq!(paid(&expired, 0).state, OrderState::Refunded);
}

#[test]
fn a_payer_claims_what_is_offered_and_no_trifle() {
    let claim = || RefundAction::Claim { attempt: 0, sealed: "sealed".to_owned(), policy: RefundPolicy::default() };
    // Half a dollar is a trifle; a millionth more is none.
    for (excess, offered) in [(500_000, 0), (500_001, 500_001)] {
        let order = settled(DUE + excess, &[]);
        assert_eq!(order.offered_units(), offered, "{excess}");
        assert_eq!(act(&order, 0, claim()).is_ok(), offered > 0, "{excess}");
    }
    let order = settled(DUE + 50 * DOLLAR, &[]);
    let claimed = act(&order, 0, claim()).expect("it is offered");
    assert_eq!((claimed.refunds[0].word(), claimed.refunds[0].asked_by.as_str()), ("approved", PAYER));
    assert_eq!(claimed.offered_units(), 0);
    assert!(matches!(act(&claimed, 0, claim()), Err(Refusal::AlreadyDone(_))), "an address is entered once");
    assert!(matches!(act(&claimed, 1, claim()), Err(Refusal::Conflict(_))), "nothing is offered any more");
    assert!(matches!(act(&order, 1, claim()), Err(Refusal::Conflict(_))), "that is not the next");
    assert_eq!(with_money(60 * DOLLAR).offered_units(), 0, "the rest may still come");
    assert_eq!(expired(60 * DOLLAR).offered_units(), 60 * DOLLAR);
}

#[test]
fn money_that_vanished_is_not_sent_after() {
    let mut order = settled(DUE + 50 * DOLLAR, &[]);
    let to = RefundTo::Address { destination: Destination::Operator, sealed: "sealed".to_owned() };
    order = ask(&order, Share::Whole, to).expect("it is owed");
    order.apply(&Event::PaymentReverted { transfer: TransferId::new("t0") }, NOW);
    let begun = act(&order, 0, RefundAction::Begin { attempt: 0, patience: PATIENCE }).expect("it is decided");
    assert_eq!(begun.refunds[0].word(), "failed");
}

#[test]
fn what_is_not_confirmed_yet_delays_a_refund_only_while_it_may_still_pay() {
    let with_seen = |asset: AssetId| {
        let mut order = expired(60 * DOLLAR);
        let seen = Seen { transfer: TransferId::new("t1"), asset, units: DOLLAR, block_at: NOW };
        order.apply(&Event::PaymentSeen(seen), NOW);
        order
    };
    let own = with_seen(placed().quote.asset);
    let refusal = ask(&own, Share::Whole, RefundTo::ByHand).expect_err("it may pay the order");
    assert!(refusal.to_string().contains("not confirmed yet"), "{refusal}");
    let mut closed = own.clone();
    closed.apply(&Event::LateWindowClosed, NOW);
    assert_eq!(ask(&closed, Share::Whole, RefundTo::ByHand).expect("nothing pays it").refunds[0].units, 60 * DOLLAR);
    let other = with_seen(AssetId::new("test:base/another"));
    assert_eq!(other.offered_units(), 60 * DOLLAR, "another token pays nothing");
}

/// Two payments of 50 dollars each came too late; one of them vanishes when the first refund may be on its way.
#[test]
fn two_refunds_never_share_what_is_left() {
    let mut order = expired(50 * DOLLAR);
    let (asset, seen_at) = (order.quote.asset.clone(), NOW);
    let second = Seen { transfer: TransferId::new("t1"), asset, units: 50 * DOLLAR, block_at: seen_at };
    order.apply(&Event::PaymentConfirmed(second), NOW);
    let to = || RefundTo::Address { destination: Destination::Operator, sealed: "sealed".to_owned() };
    for _ in 0..2 {
        order = ask(&order, Share::Part(50 * DOLLAR), to()).expect("it is owed");
    }
    let begin = || RefundAction::Begin { attempt: 0, patience: PATIENCE };
    let order = act(&order, 0, begin()).expect("it is due");
    assert_eq!(act(&order, 1, begin()).expect("it is due").refunds[1].word(), "sent", "there is enough for both");

    let mut short = order.clone();
    short.apply(&Event::PaymentReverted { transfer: TransferId::new("t1") }, NOW);
    assert_eq!((short.credit_units, short.is_overdrawn()), (50 * DOLLAR, true));
    let short = act(&short, 1, begin()).expect("it is decided");
    assert_eq!((short.refunds[0].word(), short.refunds[1].word()), ("sent", "failed"));
}

/// Each row: what a revert leaves stops the order until it is back, sold or not.
#[test]
fn an_order_stops_when_more_went_back_than_came() {
    let credit = |order: &Order, status| {
        let asset = order.quote.asset.clone();
        let before = order.payment.received[0].status;
        let (id, units, block_at) = (TransferId::new("t0"), 60 * DOLLAR, NOW);
        let fact = decide::TransferFact { id, asset, units, block_at, status, credited: Some(before) };
        let shared = validate::Facts::default();
        let facts = Facts { transfer: Some(&fact), ..no_facts(&shared) };
        let command = Command::Credit { transfer: TransferId::new("t0") };
        let decision = decide::decide(&facts, order, &command, NOW).expect("it is news");
        let mut next = order.clone();
        decision.events.iter().for_each(|event| next.apply(event, NOW));
        next
    };
    let open = ask(&expired(60 * DOLLAR), Share::Whole, RefundTo::ByHand).expect("it is owed");
    let paid = RefundAction::MarkPaid { by: "bob".to_owned(), proof: "x".to_owned() };
    let paid = act(&open, 0, paid).expect("it is below the limit");
    for (order, left) in [(open, 0), (paid, -60 * DOLLAR)] {
        let gone = credit(&order, TransferStatus::Reverted);
        assert_eq!((gone.credit_units, gone.is_stopped()), (left, true));
        assert!(gone.held_for(HoldReason::PaymentReverted).is_some());
        let back = credit(&gone, TransferStatus::Confirmed);
        assert_eq!((back.credit_units, back.is_stopped()), (left + 60 * DOLLAR, false));
    }
    let unasked = credit(&expired(60 * DOLLAR), TransferStatus::Reverted);
    assert_eq!((unasked.credit_units, unasked.is_stopped()), (0, false), "nobody has lost anything");
}

/// Whatever is pressed in whatever order: what is open or went back is never more than what was owed at first.
#[test]
fn no_sequence_gives_back_more_than_was_owed() {
    let owed = 98_500_000;
    let mut number: u64 = 1;
    // A linear congruential generator (Knuth, MMIX): the same each time.
    let mut next = move |end: u64| {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (number >> 33) % end
    };
    let (mut taken, mut finals) = (0, 0);
    for _ in 0..200 {
        let mut order = settled(DUE + 47_750_000, &[1]);
        for _ in 0..60 {
            let refund = next(order.refunds.len() as u64 + 1) as u32;
            let by = if next(2) == 0 { "ann" } else { "bob" }.to_owned();
            let sent_at = NOW;
            let report = match next(4) {
                0 => PayoutReport::Done { proof: "x".to_owned() },
                1 => PayoutReport::Refused("no".to_owned()),
                2 => PayoutReport::NeverArrived,
                _ => PayoutReport::Unknown("?".to_owned()),
            };
            let action = match next(10) {
                0 => RefundAction::Approve { by, attempt: order.refund(refund).map_or(0, Refund::attempt) },
                1 => RefundAction::Reject { by, note: "no".to_owned() },
                2 => RefundAction::Reopen { by },
                3 => RefundAction::Retry { by },
                4 => RefundAction::MarkPaid { by, proof: "x".to_owned() },
                5 => RefundAction::Begin { attempt: next(3) as u32, patience: PATIENCE },
                6 => RefundAction::Report { sent_at, report, patience: PATIENCE },
                7 => {
                    let attempt = order.refund(refund).map_or(0, |refund| refund.claim_attempt);
                    RefundAction::Claim { attempt, sealed: String::new(), policy: RefundPolicy::default() }
                }
                8 => RefundAction::Impossible { reason: "no".to_owned() },
                _ => {
                    let share = match next(4) {
                        0 => Share::Whole,
                        1 => Share::Excess,
                        2 => Share::Line(next(3) as u32),
                        _ => Share::Part(next(120) as i64 * DOLLAR),
                    };
                    let to = match next(3) {
                        0 => RefundTo::ByHand,
                        1 => RefundTo::Claim,
                        _ => RefundTo::Address { destination: Destination::Operator, sealed: String::new() },
                    };
                    let policy = RefundPolicy { four_eyes_above_usd: 30.into() };
                    RefundAction::Ask(Box::new(RefundWish { asset: None, share, fee_units: 0, to, by, policy }))
                }
            };
            let Ok(after) = act(&order, refund, action) else { continue };
            order = after;
            taken += 1;
            let sum = |is: fn(&Refund) -> bool| -> i64 {
                order.refunds.iter().filter(|refund| is(refund)).map(|refund| refund.units).sum()
            };
            let (open, back) = (sum(Refund::is_open), sum(Refund::is_final));
            assert!(open + back <= owed, "{open} + {back}: {:?}", order.refunds);
            assert_eq!(order.credit_units, owed - back);
            let one_person = |refund: &Refund| refund.needs_approval && refund.approved_by.is_none();
            let went_out = |refund: &&Refund| refund.payout().is_some();
            assert!(!order.refunds.iter().filter(went_out).any(one_person), "{:?}", order.refunds);
        }
        finals += order.refunds.iter().filter(|refund| refund.is_final()).count();
    }
    // A walk that does nothing would prove nothing.
    assert!(taken > 500 && finals > 50, "{taken}, {finals}");
}
