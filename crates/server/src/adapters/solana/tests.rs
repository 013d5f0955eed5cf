//! The adapter before nodes that are right, and before nodes that lie in every way that nodes do.

use super::testing::{ALIKE, ANN, BOB, Book, FakeChain, Node, PYUSD, START, STRANGER, USDC, Watcher, key, network};
use domain::time::{Span, Time};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// A chain with two hundred empty slots, and so many nodes of it.
async fn world(count: usize) -> (Arc<Mutex<FakeChain>>, Vec<Node>) {
    let chain = Arc::new(Mutex::new(FakeChain::at(200)));
    let mut nodes = Vec::new();
    for _ in 0..count {
        nodes.push(Node::of(&chain).await);
    }
    (chain, nodes)
}

fn with<T>(chain: &Arc<Mutex<FakeChain>>, change: impl FnOnce(&mut FakeChain) -> T) -> T {
    change(&mut chain.lock().expect("a lock"))
}

fn now(chain: &Arc<Mutex<FakeChain>>) -> Time {
    with(chain, |chain| chain.now())
}

#[tokio::test]
async fn payments_are_found_once_and_count_at_once() {
    let (chain, nodes) = world(1).await;
    let mut watcher = Watcher::new(&[&nodes[0]], 1);
    assert_eq!(watcher.round(now(&chain)).await, Ok(vec![]));
    assert_eq!(watcher.slots(), 200);
    with(&chain, |chain| {
        chain.pay(&[(ANN, USDC, 25)]);
        // Two orders in one transaction, beside somebody else's money.
        chain.pay(&[(ANN, PYUSD, 7), (STRANGER, USDC, 1), (BOB, PYUSD, 9)]);
        chain.pay(&[(BOB, ALIKE, 3)]);
        chain.slot += 5;
    });
    let expected = ["25 to HAgk at 201", "7 to HAgk at 202", "9 to Hh8Q at 202", "3 to Hh8Q at 203 of a look-alike"];
    let found = watcher.round(now(&chain)).await.expect("a look");
    assert_eq!(found.iter().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(expected));
    assert_eq!((watcher.slots(), watcher.window.headers.len()), (208, 1));
    let asked = nodes[0].count("getSignaturesForAddress");
    assert_eq!(watcher.round(now(&chain)).await, Ok(vec![]));
    assert_eq!(nodes[0].count("getSignaturesForAddress"), asked, "what is known is not read again");
    // After a start everything follows from what was stored.
    watcher.network = network(&[&nodes[0]], 1);
    with(&chain, |chain| chain.pay(&[(ANN, USDC, 4)]));
    assert_eq!(watcher.round(now(&chain)).await, Ok(vec!["4 to HAgk at 209".to_owned()]));
}

#[tokio::test]
async fn a_node_is_called_by_its_number_and_the_public_part_of_its_host() {
    let (_chain, mut nodes) = world(1).await;
    nodes[0].url = nodes[0].url.replace("127.0.0.1", "hunter2hunter2.solana.localhost");
    let watcher = Watcher::new(&[&nodes[0]], 1);
    assert_eq!(watcher.network.endpoints[0].name, "rpc 1 (http://solana.localhost)");
}

#[tokio::test]
async fn names_of_transfers_differ_and_stay() {
    let (chain, nodes) = world(1).await;
    with(&chain, |chain| chain.pay(&[(ANN, USDC, 25), (BOB, USDC, 25), (ANN, PYUSD, 25)]));
    let mut ids = Vec::new();
    for _ in 0..2 {
        let watcher = Watcher::new(&[&nodes[0]], 1);
        let scan =
            crate::ports::Network::scan(&watcher.network, &[], &watcher.book, now(&chain)).await.expect("a scan");
        let transfers = scan.settled.into_iter().flat_map(|block| block.transfers);
        ids.push(transfers.map(|transfer| transfer.id.to_string()).collect::<BTreeSet<_>>());
    }
    assert_eq!((ids[0].len(), &ids[0]), (3, &ids[1]));
    assert!(ids[0].iter().all(|id| id.starts_with("solana:test|signature0|")), "{ids:?}");
}

#[tokio::test]
async fn what_moves_nothing_is_left_out() {
    let (chain, nodes) = world(1).await;
    let mut watcher = Watcher::new(&[&nodes[0]], 1);
    with(&chain, |chain| {
        chain.fail(ANN, USDC);
        chain.pay(&[(ANN, USDC, 0)]);
        chain.pay(&[(ANN, USDC, 25)]);
        chain.fail(ANN, USDC);
        chain.pay(&[(ANN, USDC, -25)]);
        chain.pay(&[(ANN, USDC, 25)]);
        chain.pay_foreign(BOB, USDC, STRANGER, 50);
    });
    let expected = ["25 to HAgk at 203", "25 from HAgk at 205", "25 to HAgk at 206"];
    assert_eq!(watcher.round(now(&chain)).await, Ok(expected.map(str::to_owned).to_vec()));
    assert_eq!(watcher.slots(), 207);
}

#[tokio::test]
async fn accounts_out_of_tables_count_like_others() {
    let (chain, nodes) = world(1).await;
    let mut watcher = Watcher::new(&[&nodes[0]], 1);
    nodes[0].lie(|lies| lies.versioned = true);
    with(&chain, |chain| chain.pay(&[(STRANGER, USDC, 5), (ANN, USDC, 25)]));
    assert_eq!(watcher.round(now(&chain)).await, Ok(vec!["25 to HAgk at 201".to_owned()]));
}

#[tokio::test]
async fn transactions_of_version_1_are_asked_for() {
    let (chain, nodes) = world(1).await;
    let mut watcher = Watcher::new(&[&nodes[0]], 1);
    nodes[0].lie(|lies| lies.version = 1);
    with(&chain, |chain| chain.pay(&[(ANN, USDC, 25)]));
    assert_eq!(watcher.round(now(&chain)).await, Ok(vec!["25 to HAgk at 201".to_owned()]));
}

#[tokio::test]
async fn long_histories_are_read_page_by_page_and_part_by_part() {
    let (chain, nodes) = world(1).await;
    let mut watcher = Watcher::new(&[&nodes[0]], 1);
    nodes[0].lie(|lies| lies.page = Some(7));
    with(&chain, |chain| {
        for _ in 0..30 {
            chain.pay(&[(ANN, USDC, 1)]);
            (0..4).for_each(|_| drop(chain.pay_in_slot(&[(ANN, USDC, 1)])));
        }
        chain.pay(&[(BOB, USDC, 9)]);
    });
    let (mut found, mut rounds) = (Vec::new(), 0);
    while watcher.slots() < 231 {
        assert!(watcher.slots() < 0, "nothing is scanned through before everything is read");
        found.extend(watcher.round(now(&chain)).await.expect("a look"));
        rounds += 1;
    }
    // 150 transactions, 65 at a time: whole slots of five.
    assert_eq!((rounds, found.len()), (3, 151));
    assert_eq!(found.iter().filter(|word| word.starts_with("1 to HAgk")).count(), 150);
}

#[tokio::test]
async fn a_history_with_a_hole_holds_everything_up_but_what_others_were_paid() {
    let (chain, nodes) = world(1).await;
    let mut watcher = Watcher::new(&[&nodes[0]], 1);
    watcher.round(now(&chain)).await.expect("a look");
    let hidden = with(&chain, |chain| {
        chain.pay(&[(ANN, USDC, 25)]);
        let hidden = chain.pay(&[(ANN, USDC, 5)]);
        chain.pay(&[(ANN, USDC, 1)]);
        chain.pay(&[(BOB, USDC, 9)]);
        hidden
    });
    nodes[0].lie(|lies| lies.hides = BTreeSet::from([hidden]));
    assert_eq!(watcher.round(now(&chain)).await, Ok(vec!["9 to Hh8Q at 204".to_owned()]));
    assert_eq!(watcher.slots(), 200);
    let error = watcher.round(now(&chain)).await.expect_err("it is not explained");
    assert!(error.contains("is not what its history comes to") && !error.contains("hunter2"), "{error}");
    nodes[0].tell_the_truth();
    let found = watcher.round(now(&chain)).await.expect("a look");
    assert_eq!(found, ["25 to HAgk at 201", "5 to HAgk at 202", "1 to HAgk at 203"]);
    assert_eq!(watcher.slots(), 204);
}

#[tokio::test]
async fn an_account_that_cannot_be_read_holds_the_others_up_while_its_order_may_be_paid_and_no_longer() {
    let (chain, nodes) = world(1).await;
    let mut watcher = Watcher::new(&[&nodes[0]], 1);
    watcher.round(now(&chain)).await.expect("a look");
    let refused = with(&chain, |chain| {
        chain.pay(&[(ANN, USDC, 25)]);
        let refused = chain.pay(&[(ANN, USDC, 5)]);
        chain.pay(&[(BOB, USDC, 9)]);
        refused
    });
    nodes[0].lie(|lies| lies.refuses = BTreeSet::from([refused]));
    let found = watcher.round(now(&chain)).await.expect("a part of a look");
    assert_eq!(found, ["25 to HAgk at 201", "9 to Hh8Q at 203"], "what stands before it is read");
    assert_eq!(watcher.slots(), 200);
    let error = watcher.round(now(&chain)).await.expect_err("there is nothing else");
    assert!(error.contains("cannot be read") && error.contains("-32011"), "{error}");
    // Its order can be paid no more: looks are whole again, and others are found in them.
    for (number, wait) in [4, 5, 25].into_iter().enumerate() {
        with(&chain, |chain| chain.pay(&[(BOB, USDC, 1)]));
        let slot = 204 + number as i64;
        let found = watcher.round(START + Span::hours(wait)).await.expect("a look");
        assert_eq!((found, watcher.slots()), (vec![format!("1 to Hh8Q at {slot}")], slot));
    }
    // Daily from now on; what could not be read, in an hour.
    let next_looks = watcher.book.next_looks.lock().expect("a lock").clone();
    let next = |address: &str| next_looks[address].since(START + Span::hours(25));
    assert_eq!((next(ANN), next(BOB)), (Span::hours(1), Span::hours(24)));
    nodes[0].tell_the_truth();
    assert_eq!(watcher.round(START + Span::hours(26)).await, Ok(vec!["5 to HAgk at 202".to_owned()]));
}

#[tokio::test]
async fn a_busy_node_loses_nothing_that_was_read() {
    let (chain, nodes) = world(1).await;
    let mut watcher = Watcher::new(&[&nodes[0]], 1);
    watcher.round(now(&chain)).await.expect("a look");
    let last = with(&chain, |chain| {
        for _ in 0..20 {
            chain.pay(&[(ANN, USDC, 1)]);
        }
        chain.pay(&[(ANN, USDC, 7)])
    });
    nodes[0].lie(|lies| lies.is_busy_at = BTreeSet::from([last]));
    assert_eq!(watcher.round(now(&chain)).await.expect("a part of a look").len(), 20);
    assert_eq!(watcher.slots(), 200);
    let error = watcher.round(now(&chain)).await.expect_err("it is busy");
    assert!(error.contains("(429)"), "{error}");
    nodes[0].tell_the_truth();
    assert_eq!(watcher.round(now(&chain)).await, Ok(vec!["7 to HAgk at 221".to_owned()]));
    assert_eq!(watcher.slots(), 221);
}

/// One payment, 10 500 transactions that failed, and another payment: ten pages end above the oldest 503.
#[tokio::test]
async fn histories_of_any_length_are_read_in_the_end() {
    let (chain, nodes) = world(1).await;
    let mut watcher = Watcher::new(&[&nodes[0]], 1);
    with(&chain, |chain| {
        chain.pay(&[(ANN, USDC, 25)]);
        (0..10_500).for_each(|_| chain.fail(ANN, USDC));
        chain.pay(&[(ANN, USDC, 5)]);
    });
    let none: Vec<String> = Vec::new();
    let first = "25 to HAgk at 201".to_owned();
    let last = "5 to HAgk at 10702".to_owned();
    for expected in [none.clone(), vec![first], vec![last], none] {
        assert_eq!(watcher.round(now(&chain)).await, Ok(expected));
        assert_eq!(watcher.slots(), with(&chain, |chain| chain.slot), "nobody waits for it");
        with(&chain, |chain| chain.slot += 10);
        // What was found out so far is in the marks alone.
        watcher.network = network(&[&nodes[0]], 1);
    }
    assert_eq!(nodes[0].count("getTransaction"), 2, "failed ones are not asked for");
}

#[tokio::test]
async fn a_slot_that_the_chain_cannot_have_reached_is_not_believed() {
    let (chain, nodes) = world(1).await;
    let mut watcher = Watcher::new(&[&nodes[0]], 1);
    watcher.round(now(&chain)).await.expect("a look");
    // Slot 200 was 13 seconds ago: 5 slots in each, and 3000.
    nodes[0].lie(|lies| lies.leaps = 3_066);
    let error = watcher.round(now(&chain)).await.expect_err("it is too far");
    assert!(error.contains("it is at slot 3266, and the chain cannot be further than 3265"), "{error}");
    assert_eq!(watcher.window.tip().map(|tip| tip.height), Some(200));
    nodes[0].lie(|lies| lies.leaps = 3_065);
    assert_eq!(watcher.round(now(&chain)).await, Ok(vec![]));
}

#[tokio::test]
async fn empty_answers_explain_nothing() {
    let (chain, nodes) = world(1).await;
    let mut watcher = Watcher::new(&[&nodes[0]], 1);
    let signature = with(&chain, |chain| chain.pay(&[(ANN, USDC, 25)]));
    nodes[0].lie(|lies| lies.hides = BTreeSet::from([signature]));
    let error = watcher.round(now(&chain)).await.expect_err("money without a history");
    assert!(error.contains("history comes to"), "{error}");
    nodes[0].lie(|lies| (lies.hides, lies.has_no_transactions) = (BTreeSet::new(), true));
    let error = watcher.round(now(&chain)).await.expect_err("a history without transactions");
    assert!(error.contains("does not have a transaction"), "{error}");
    assert!(watcher.slots() < 0);
    nodes[0].tell_the_truth();
    assert_eq!(watcher.round(now(&chain)).await, Ok(vec!["25 to HAgk at 201".to_owned()]));
    // Known money that is not shown any more was not taken away by anybody.
    nodes[0].lie(|lies| lies.is_blind = true);
    let error = watcher.round(now(&chain)).await.expect_err("money that vanished");
    assert!(error.contains("history comes to"), "{error}");
}

#[tokio::test]
async fn a_node_that_lags_is_not_believed_and_another_takes_over() {
    let (chain, nodes) = world(2).await;
    let mut watcher = Watcher::new(&[&nodes[0], &nodes[1]], 1);
    watcher.round(now(&chain)).await.expect("a look");
    with(&chain, |chain| {
        chain.pay(&[(ANN, USDC, 25)]);
        chain.slot += 10;
    });
    nodes[0].lie(|lies| lies.lag = 100);
    assert_eq!(watcher.round(now(&chain)).await, Ok(vec!["25 to HAgk at 201".to_owned()]));
    assert_eq!(watcher.slots(), 211);
    nodes[1].lie(|lies| lies.status = Some(503));
    let error = watcher.round(now(&chain)).await.expect_err("nobody can be asked");
    assert!(error.starts_with("0 of 1 nodes that must agree can be asked: rpc "), "{error}");
    assert!(error.contains("Minimum context slot") && error.contains("status 503"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
    // A few slots are no lag: what is known stays known.
    nodes[0].lie(|lies| lies.lag = 12);
    assert_eq!(watcher.round(now(&chain)).await, Ok(vec![]));
    assert_eq!((watcher.slots(), watcher.window.tip().map(|tip| tip.height)), (211, Some(211)));
}

#[tokio::test]
async fn a_node_that_is_ahead_of_the_time_is_not_believed() {
    let (chain, nodes) = world(1).await;
    let mut watcher = Watcher::new(&[&nodes[0]], 1);
    with(&chain, |chain| chain.slot += 1_000);
    // Slot 1200 is of a second 601 seconds from now, then 600.
    let error = watcher.round(START + Span::seconds(599)).await.expect_err("it is ahead");
    assert!(error.contains("its clock is ahead"), "{error}");
    assert_eq!(watcher.round(START + Span::seconds(600)).await, Ok(vec![]));
}

#[tokio::test]
async fn whatever_else_a_node_says_changes_nothing() {
    let (chain, nodes) = world(1).await;
    with(&chain, |chain| chain.pay(&[(ANN, USDC, 25)]));
    for says in
        ["", "<html>busy</html>", "{}", "[]", r#"{"jsonrpc":"2.0","id":1,"result":{"context":{"slot":1},"value":[]}}"#]
    {
        nodes[0].lie(|lies| lies.says = Some(says));
        let error = Watcher::new(&[&nodes[0]], 1).round(now(&chain)).await.expect_err(says);
        assert!(error.starts_with("0 of 1 nodes") && !error.contains("hunter2"), "{says}: {error}");
    }
    nodes[0].tell_the_truth();
    nodes[0].lie(|lies| lies.is_silent = true);
    let error = Watcher::new(&[&nodes[0]], 1).round(now(&chain)).await.expect_err("silence");
    assert!(error.contains("no answer in time"), "{error}");
}

#[tokio::test]
async fn nodes_of_other_clusters_and_mints_that_differ_are_told_apart() {
    let (chain, nodes) = world(1).await;
    let devnet = "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG".to_owned();
    nodes[0].lie(|lies| lies.genesis = Some(devnet.clone()));
    let mut watcher = Watcher::new(&[&nodes[0]], 1);
    let error = watcher.round(now(&chain)).await.expect_err("another cluster");
    assert!(error.contains(&format!("a node of the cluster {devnet}, not of 5eykt4")), "{error}");
    nodes[0].lie(|lies| (lies.genesis, lies.decimals) = (None, Some(9)));
    let error = watcher.round(now(&chain)).await.expect_err("other decimals");
    assert!(error.contains("USDC has 9 decimals, and the configuration says 6"), "{error}");
    nodes[0].tell_the_truth();
    assert_eq!(watcher.round(now(&chain)).await, Ok(vec![]));
}

#[tokio::test]
async fn two_nodes_must_show_the_same() {
    let (chain, nodes) = world(2).await;
    let mut watcher = Watcher::new(&[&nodes[0], &nodes[1]], 2);
    watcher.round(now(&chain)).await.expect("a look");
    let signature = with(&chain, |chain| chain.pay(&[(ANN, USDC, 25)]));
    nodes[1].lie(|lies| lies.forges = 100);
    let error = watcher.round(now(&chain)).await.expect_err("they differ");
    assert!(error.contains("do not agree about a transaction"), "{error}");
    nodes[1].tell_the_truth();
    // One of the two hides the money itself.
    nodes[0].lie(|lies| (lies.is_blind, lies.hides) = (true, BTreeSet::from([signature])));
    let error = watcher.round(now(&chain)).await.expect_err("only one shows it");
    assert!(error.contains("history comes to"), "{error}");
    assert_eq!(watcher.slots(), 200);
    nodes[0].tell_the_truth();
    // One is a few slots behind: what is scanned through is what both have.
    with(&chain, |chain| chain.slot += 10);
    nodes[1].lie(|lies| lies.lag = 4);
    assert_eq!(watcher.round(now(&chain)).await, Ok(vec!["25 to HAgk at 201".to_owned()]));
    assert_eq!(watcher.slots(), 207);
}

#[tokio::test]
async fn what_one_node_never_shows_another_finds() {
    let (chain, nodes) = world(2).await;
    let mut watcher = Watcher::new(&[&nodes[0], &nodes[1]], 1);
    nodes[0].lie(|lies| lies.is_blind = true);
    with(&chain, |chain| chain.pay(&[(ANN, USDC, 25)]));
    let mut found = Vec::new();
    for _ in 0..8 {
        found.extend(watcher.round(now(&chain)).await.expect("a look"));
    }
    assert_eq!(found, ["25 to HAgk at 201"]);
}

#[tokio::test]
async fn any_number_of_addresses_is_asked_for_in_hundreds() {
    let (chain, nodes) = world(1).await;
    let mut watcher = Watcher::new(&[&nodes[0]], 1);
    let address = |number: u16| {
        let mut seed = [0; 32];
        seed[..2].copy_from_slice(&number.to_le_bytes());
        crate::wallet::throwaway_solana_address(seed)
    };
    let mut addresses: Vec<String> = (1..=450).map(address).collect();
    addresses.push(ANN.to_owned());
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    watcher.book = Book::of(&addresses, START);
    with(&chain, |chain| chain.pay(&[(ANN, USDC, 25)]));
    assert_eq!(watcher.round(now(&chain)).await, Ok(vec!["25 to HAgk at 201".to_owned()]));
    let asked = nodes[0].asked.lock().expect("a lock").clone();
    let named = asked.iter().filter(|(method, _)| method == "getMultipleAccounts").map(|(_, accounts)| accounts);
    assert_eq!(named.clone().max(), Some(&100));
    // The clock beside three accounts of each address, in every question; the mints, and the clock alone, once.
    let questions = named.clone().count();
    assert_eq!(named.sum::<usize>(), 3 * addresses.len() + 3 + questions);
}

#[tokio::test]
async fn older_addresses_are_looked_at_less_often() {
    let (chain, nodes) = world(1).await;
    let mut watcher = Watcher::new(&[&nodes[0]], 1);
    let (hours, mut clock) = (Span::hours, now(&chain));
    for (number, (wait, expected)) in [
        // Four hours old: within five minutes, not with every look.
        (hours(4), true),
        (Span::minutes(4), false),
        (Span::minutes(1), true),
        // A day old: daily.
        (hours(25), true),
        (hours(23), false),
        (hours(1), true),
        // A hundred days old: weekly.
        (hours(100 * 24), true),
        (hours(6 * 24), false),
        (hours(24), true),
    ]
    .into_iter()
    .enumerate()
    {
        with(&chain, |chain| chain.pay(&[(ANN, USDC, 1)]));
        clock = clock + wait;
        let found = watcher.round(clock).await.expect("a look");
        assert_eq!(!found.is_empty(), expected, "row {number}: {found:?}");
    }
    // Money that came and went since the last weekly look left nothing behind but its history.
    with(&chain, |chain| {
        chain.pay(&[(ANN, USDC, 70)]);
        chain.pay(&[(ANN, USDC, -70)]);
    });
    clock = clock + hours(7 * 24);
    assert_eq!(
        watcher.round(clock).await,
        Ok(["70 to HAgk at 210", "70 from HAgk at 211"].map(str::to_owned).to_vec())
    );
}

#[tokio::test]
async fn money_of_before_is_nobodys_payment() {
    let (chain, nodes) = world(1).await;
    let mut watcher = Watcher::new(&[&nodes[0]], 1);
    watcher.book = Book::of(&[ANN], START + Span::hours(2));
    with(&chain, |chain| {
        chain.pay(&[(ANN, USDC, 500)]);
        chain.slot += 7_200;
        chain.pay(&[(ANN, USDC, 25)]);
    });
    assert_eq!(watcher.round(now(&chain)).await, Ok(vec!["25 to HAgk at 7402".to_owned()]));
}

#[test]
fn samples_are_addresses() {
    for text in [ANN, BOB, STRANGER, USDC, PYUSD, ALIKE] {
        assert_eq!(key(text).to_string(), text);
    }
}
