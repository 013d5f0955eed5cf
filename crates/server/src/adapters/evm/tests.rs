//! The watcher's way through a chain in memory, past nodes that lie in every way that was seen in the field.

mod distrust;

use super::testing::{ANN, BOB, BRIDGED, DAI, FakeChain, Node, START, STRANGER, USDC, Watcher};
use super::*;
use crate::ports::DepositWindow;
use domain::chain::{Side, Stray, StrayKind, Window};
use domain::time::Span;
use std::sync::Arc;

type Chain = Arc<Mutex<FakeChain>>;

const NOTHING: &[&str] = &[];

/// A chain of so many empty blocks, the first of which has the height 0.
fn chain(blocks: usize) -> Chain {
    let mut chain = FakeChain::default();
    chain.mine_empty(blocks);
    Arc::new(Mutex::new(chain))
}

fn at(chain: &Chain) -> Time {
    chain.lock().expect("a lock").now()
}

fn on<T>(chain: &Chain, change: impl FnOnce(&mut FakeChain) -> T) -> T {
    change(&mut chain.lock().expect("a lock"))
}

/// A chain, a node of it, and a watcher that has seen its blocks.
async fn watched(blocks: usize) -> (Chain, Node, Watcher) {
    let chain = chain(blocks);
    let node = Node::over_http(&chain).await;
    let mut watcher = Watcher::new(&[&node], 1);
    assert_eq!(watcher.rounds(at(&chain)).await.expect("a scan"), NOTHING);
    (chain, node, watcher)
}

#[tokio::test]
async fn a_payment_is_seen_and_confirmed_with_its_time() {
    let (chain, _node, mut watcher) = watched(10).await;
    on(&chain, |chain| chain.mine(&[(USDC, ANN, 25_000_000, 1), (USDC, STRANGER, 99, 2), (USDC, ANN, 0, 3)]));
    let scan = watcher.scan(at(&chain)).await.expect("a scan");
    let transfer = &scan.blocks[0].transfers[0];
    assert_eq!((transfer.to.as_str(), transfer.raw.as_str(), transfer.units), (ANN, "25000000", 25_000_000));
    assert_eq!(transfer.asset.as_str(), format!("eip155:8453/erc20:{USDC}"));
    let mined_at = Time(START.0 + 20_000);
    assert_eq!((transfer.block_at, scan.scanned_through), (mined_at, Time(mined_at.0 - 1)));
    assert_eq!((scan.head, scan.keep_through), (Some(10), 9));

    assert_eq!(watcher.rounds(at(&chain)).await.expect("a scan"), ["seen 1.0 of 25000000 at 10"]);
    on(&chain, |chain| chain.mine_empty(1));
    assert_eq!(watcher.rounds(at(&chain)).await.expect("a scan"), NOTHING);
    on(&chain, |chain| chain.mine_empty(1));
    assert_eq!(watcher.rounds(at(&chain)).await.expect("a scan"), ["confirmed 1.0"]);
    assert_eq!(watcher.rounds(at(&chain)).await.expect("a scan"), NOTHING);
}

#[tokio::test]
async fn every_token_has_its_own_decimals_and_a_look_alike_its_own_name() {
    let (chain, _node, mut watcher) = watched(10).await;
    let eighteen = 25_500_000_000_000_000_001;
    on(&chain, |chain| chain.mine(&[(DAI, ANN, eighteen, 1), (BRIDGED, ANN, 7, 2)]));
    let scan = watcher.scan(at(&chain)).await.expect("a scan");
    let found = scan.blocks[0].transfers.iter().map(|transfer| (transfer.units, transfer.raw.as_str()));
    assert_eq!(found.collect::<Vec<_>>(), [(2_550_000_000, "25500000000000000001"), (7, "7")]);
    assert_eq!(scan.blocks[0].transfers[1].asset.as_str(), format!("eip155:8453/erc20:{BRIDGED}"));
    assert_eq!(watcher.rounds(at(&chain)).await.expect("a scan").len(), 2);
}

#[tokio::test]
async fn several_transfers_of_one_transaction_are_told_apart() {
    let (chain, _node, mut watcher) = watched(10).await;
    on(&chain, |chain| chain.mine(&[(USDC, ANN, 5, 1), (USDC, BOB, 5, 1), (USDC, ANN, 5, 1), (DAI, ANN, 5, 1)]));
    let words = watcher.rounds(at(&chain)).await.expect("a scan");
    assert_eq!(
        words,
        ["seen 1.0 of 5 at 10", "seen 1.0 of 5 at 10", "seen 1.1 of 5 at 10", "seen 1.0 of 0 at 10"],
        "to Ann, to Bob, to Ann once more, another token"
    );
    let ids: std::collections::BTreeSet<_> =
        watcher.window.headers.iter().flat_map(|header| &header.transfers).collect();
    assert_eq!(ids.len(), 4);
}

#[tokio::test]
async fn reorganisations_take_back_move_and_change_payments() {
    let (chain, _node, mut watcher) = watched(10).await;
    on(&chain, |chain| {
        chain.mine(&[(USDC, ANN, 5, 1), (USDC, ANN, 6, 2), (USDC, BOB, 7, 3)]);
        chain.mine_empty(2);
    });
    let seen = watcher.rounds(at(&chain)).await.expect("a scan");
    assert_eq!(seen.len(), 6, "three seen, three confirmed: {seen:?}");
    // Of three confirmed payments one is gone, one is in another block, and one comes back with less.
    on(&chain, |chain| {
        chain.fork(3);
        chain.mine_empty(1);
        chain.mine(&[(USDC, ANN, 6, 2), (USDC, BOB, 1, 3)]);
        chain.mine_empty(1);
    });
    let words = watcher.rounds(at(&chain)).await.expect("a scan");
    assert_eq!(words, ["reverted 1.0", "reverted 3.0", "seen 2.0 of 6 at 11", "seen 3.0 of 1 at 11"]);
    on(&chain, |chain| chain.mine_empty(1));
    assert_eq!(watcher.rounds(at(&chain)).await.expect("a scan"), ["confirmed 2.0", "confirmed 3.0"]);
}

#[tokio::test]
async fn what_leaves_our_addresses_is_a_fact_too() {
    let (chain, _node, mut watcher) = watched(10).await;
    on(&chain, |chain| {
        chain.senders.extend([(1, ANN), (2, ANN), (3, ANN)]);
        // To the operator's wallet, to another address of ours, and nothing at all; then between strangers.
        chain.mine(&[(USDC, STRANGER, 25, 1), (USDC, BOB, 5, 2), (USDC, STRANGER, 0, 3), (USDC, STRANGER, 9, 4)]);
    });
    let scan = watcher.scan(at(&chain)).await.expect("a scan");
    let found = scan.blocks[0].transfers.iter().map(|found| (found.side, found.from.as_deref(), found.to.as_str()));
    assert_eq!(found.collect::<Vec<_>>(), [(Side::Out, Some(ANN), STRANGER), (Side::Within, Some(ANN), BOB)]);
    let words = watcher.rounds(at(&chain)).await.expect("a scan");
    assert_eq!(words, ["sent 1.0 of 25 at 10", "moved 2.0 of 5 at 10"]);
    on(&chain, |chain| chain.mine_empty(2));
    assert_eq!(watcher.rounds(at(&chain)).await.expect("a scan"), ["confirmed 1.0", "confirmed 2.0"]);
    on(&chain, |chain| {
        chain.fork(3);
        chain.mine(&[(USDC, STRANGER, 25, 1)]);
        chain.mine_empty(3);
    });
    let words = watcher.rounds(at(&chain)).await.expect("a scan");
    assert_eq!(words, ["reverted 2.0", "sent 1.0 of 25 at 10", "confirmed 1.0"]);
}

#[tokio::test]
async fn a_chain_that_became_shorter_is_waited_for() {
    let (chain, _node, mut watcher) = watched(10).await;
    on(&chain, |chain| chain.mine(&[(USDC, ANN, 5, 1)]));
    watcher.rounds(at(&chain)).await.expect("a scan");
    on(&chain, |chain| chain.fork(4));
    let error = watcher.round(at(&chain)).await.expect_err("a node that is behind");
    assert!(error.contains("is at block 6, behind 10"), "{error}");
    on(&chain, |chain| chain.mine_empty(5));
    assert_eq!(watcher.rounds(at(&chain)).await.expect("a scan"), ["reverted 1.0"]);
}

#[tokio::test]
async fn five_thousand_blocks_are_caught_up_with() {
    let (chain, node, mut watcher) = watched(10).await;
    on(&chain, |chain| {
        for part in 0..50 {
            chain.mine_empty(99);
            chain.mine(&[(USDC, ANN, 100 + part, 1 + part as u64)]);
        }
    });
    node.lie(|lies| lies.most_blocks = Some(300));
    node.asked.lock().expect("a lock").clear();
    let words = watcher.rounds(at(&chain)).await.expect("a scan");
    let seen = words.iter().filter(|word| word.starts_with("seen")).count();
    let confirmed = words.iter().filter(|word| word.starts_with("confirmed")).count();
    // The last payment is in the newest block.
    assert_eq!((seen, confirmed), (50, 49), "{words:?}");
    assert_eq!(watcher.window.tip().map(|tip| tip.height), Some(5_009));
    let asked = node.asked.lock().expect("a lock").len();
    assert!(asked < 1_500, "{asked} questions for 5,000 blocks");
    assert_eq!(watcher.through, Time(START.0 + 5_009 * 2_000 - 1));
    // A restart goes on from what was kept.
    let restarted = Watcher::new(&[&node], 1);
    let mut restarted = Watcher { window: watcher.window.clone(), ..restarted };
    on(&chain, |chain| chain.mine(&[(USDC, BOB, 1, 99)]));
    let words = restarted.rounds(at(&chain)).await.expect("a scan");
    assert_eq!(words, ["seen 63.0 of 1 at 5010"]);
}

#[tokio::test]
async fn a_node_that_refuses_every_range_is_a_fault_and_no_loss() {
    let (chain, node, mut watcher) = watched(10).await;
    on(&chain, |chain| chain.mine_empty(2_000));
    node.lie(|lies| lies.most_blocks = Some(0));
    let error = watcher.round(at(&chain)).await.expect_err("no range is small enough");
    assert!(error.contains("more than 10000 results"), "{error}");
    node.tell_the_truth();
    watcher.rounds(at(&chain)).await.expect("a scan");
    assert_eq!(watcher.window.tip().map(|tip| tip.height), Some(2_009));
}

/// What is wrong with the only node, and a part of what is said about it.
type Case = (&'static str, fn(&mut testing::Lies), &'static str);

#[tokio::test]
async fn whatever_a_node_says_wrongly_nothing_is_taken_from_it() {
    let cases: &[Case] = &[
        ("lags", |lies| lies.lag = 1, "behind 11"),
        ("another chain", |lies| lies.chain_id = Some(1), "a node of chain 1, not of 8453"),
        ("no JSON", |lies| lies.says = Some("<html>busy</html>"), "no JSON-RPC"),
        ("half of an answer", |lies| lies.says = Some(r#"[{"jsonrpc":"2.0","id":1,"#), "no JSON-RPC"),
        ("an empty list", |lies| lies.says = Some("[]"), "something else than was asked"),
        ("null for everything", |lies| lies.says = Some("null"), "no JSON-RPC"),
        (
            "an error for everything",
            |lies| {
                lies.says = Some(r#"{"id":null,"error":{"code":-32000,"message":"hunter2hunter2 is over its limit"}}"#)
            },
            "[key] is over its limit",
        ),
        ("busy", |lies| lies.status = Some(503), "status 503"),
        ("moved", |lies| lies.status = Some(302), "status 302"),
        ("events of another block", |lies| lies.mixes_up_blocks = true, "events of another block"),
        ("events taken back", |lies| lies.takes_back = true, "taken back"),
    ];
    for (name, lie, expected) in cases {
        let (chain, node, mut watcher) = watched(10).await;
        on(&chain, |chain| chain.mine(&[(USDC, ANN, 5, 1)]));
        watcher.rounds(at(&chain)).await.expect("a scan");
        on(&chain, |chain| chain.mine(&[(USDC, ANN, 6, 2)]));
        if *name == "lags" {
            watcher.rounds(at(&chain)).await.expect("a scan");
        }
        node.lie(lie);
        // What was asked before is known: the chain of a node is asked for again after a failure.
        let known = watcher.window.clone();
        let mut error = String::new();
        for _ in 0..2 {
            match watcher.round(at(&chain)).await {
                Ok(words) => assert_eq!(words, ["seen 2.0 of 6 at 11"], "{name}: only the chain's number was wrong"),
                Err(text) => error = text,
            }
            watcher.window = known.clone();
            watcher.network.endpoints.iter().for_each(|node| node.failed(Time(0)));
        }
        assert!(error.contains(expected) && !error.contains("hunter2"), "{name}: {error}");
        assert!(error.contains("rpc 1 (http://127.0.0.1)"), "{name}: {error}");
        node.tell_the_truth();
        let words = watcher.rounds(at(&chain)).await.expect("a scan");
        let expected: &[&str] = if *name == "lags" { NOTHING } else { &["seen 2.0 of 6 at 11"] };
        assert_eq!(words, expected, "{name}: afterwards");
    }
}

#[tokio::test]
async fn a_silent_node_is_waited_for_no_longer_than_agreed() {
    let chain = chain(10);
    let node = Node::over_http(&chain).await;
    node.lie(|lies| lies.is_silent = true);
    let mut watcher = Watcher::new(&[&node], 1);
    let error = watcher.round(at(&chain)).await.expect_err("no answer");
    assert!(error.contains("no answer in time"), "{error}");
    let gone = node.url.clone();
    drop(node);
    let error = watcher.round(at(&chain)).await.expect_err("nobody is there");
    assert!(!error.contains("hunter2") && gone.contains("hunter2"), "{error}");
}

#[tokio::test]
async fn what_a_node_did_not_show_at_first_is_found_by_the_second_look() {
    let (chain, node, mut watcher) = watched(10).await;
    node.lie(|lies| lies.hides.extend([10]));
    on(&chain, |chain| {
        chain.mine(&[(USDC, ANN, 5, 1)]);
        chain.mine(&[(USDC, BOB, 6, 2)]);
    });
    assert_eq!(watcher.rounds(at(&chain)).await.expect("a scan"), ["seen 2.0 of 6 at 11"]);
    node.tell_the_truth();
    assert_eq!(watcher.rounds(at(&chain)).await.expect("a scan"), NOTHING, "it is not time yet");
    let later = at(&chain) + Span::seconds(31);
    // Both blocks are read again; what was known stays as it was.
    assert_eq!(watcher.rounds(later).await.expect("a scan"), ["seen 1.0 of 5 at 10", "seen 2.0 of 6 at 11"]);
    let much_later = later + Span::seconds(31);
    assert_eq!(watcher.rounds(much_later).await.expect("a scan"), NOTHING);
}

#[tokio::test]
async fn what_a_node_showed_once_is_not_taken_back_by_its_silence() {
    let (chain, node, mut watcher) = watched(10).await;
    node.lie(|lies| lies.hides.extend([10]));
    on(&chain, |chain| {
        chain.mine(&[(USDC, ANN, 5, 1)]);
        chain.mine(&[(USDC, BOB, 6, 2)]);
    });
    assert_eq!(watcher.rounds(at(&chain)).await.expect("a scan"), ["seen 2.0 of 6 at 11"]);
    // The second look sees the one and not the other any more.
    node.lie(|lies| lies.hides = [11].into());
    let known = watcher.window.clone();
    let error = watcher.round(at(&chain) + Span::seconds(31)).await.expect_err("a payment is missing");
    assert!(error.contains("no longer shows a transfer in block 11"), "{error}");
    assert_eq!(watcher.window, known);
    node.tell_the_truth();
    let words = watcher.rounds(at(&chain) + Span::seconds(62)).await.expect("a scan");
    assert_eq!(words, ["seen 1.0 of 5 at 10", "seen 2.0 of 6 at 11"]);
}

#[tokio::test]
async fn two_nodes_must_say_the_same() {
    let chain = chain(10);
    let (honest, other) = (Node::over_http(&chain).await, Node::over_http(&chain).await);
    let mut watcher = Watcher::new(&[&honest, &other], 2);
    watcher.rounds(at(&chain)).await.expect("a scan");
    on(&chain, |chain| chain.mine(&[(USDC, ANN, 5, 1)]));
    for liar in [&honest, &other] {
        liar.lie(|lies| lies.invents = Some((10, (USDC, BOB, 1_000, 7))));
        let error = watcher.round(at(&chain)).await.expect_err("one invents money");
        assert!(error.contains("do not agree about block 10"), "{error}");
        liar.tell_the_truth();
    }
    // One of them is a block behind: what both have is taken.
    on(&chain, |chain| chain.mine_empty(1));
    other.lie(|lies| lies.lag = 1);
    assert_eq!(watcher.round(at(&chain)).await.expect("a scan"), ["seen 1.0 of 5 at 10"]);
    assert_eq!(watcher.window.tip().map(|tip| tip.height), Some(10));
    // One alone is not enough.
    other.lie(|lies| lies.status = Some(500));
    let error = watcher.round(at(&chain)).await.expect_err("one of two");
    assert!(error.contains("1 of 2 nodes that must agree") && error.contains("rpc 2"), "{error}");
    other.tell_the_truth();
    assert_eq!(watcher.rounds(at(&chain)).await.expect("a scan"), NOTHING);
}

#[tokio::test]
async fn another_branch_needs_both_nodes() {
    let (ours, theirs) = (chain(10), chain(10));
    on(&ours, |chain| chain.mine(&[(USDC, ANN, 5, 1)]));
    on(&theirs, |chain| chain.mine(&[(USDC, ANN, 5, 1)]));
    let (one, other) = (Node::over_http(&ours).await, Node::over_http(&theirs).await);
    let mut watcher = Watcher::new(&[&one, &other], 2);
    assert_eq!(watcher.rounds(at(&ours)).await.expect("a scan"), ["seen 1.0 of 5 at 10"]);
    let replace = |chain: &mut FakeChain| {
        chain.fork(1);
        chain.mine_empty(3);
    };
    on(&ours, replace);
    on(&theirs, |chain| chain.mine_empty(2));
    let error = watcher.round(at(&ours)).await.expect_err("two branches");
    assert!(error.contains("do not agree"), "{error}");
    on(&theirs, |chain| {
        chain.fork(3);
        chain.mine_empty(3);
    });
    assert_eq!(watcher.rounds(at(&ours)).await.expect("a scan"), ["reverted 1.0"]);
}

#[tokio::test]
async fn the_next_node_takes_over_and_a_third_one_outvotes_a_liar() {
    let chain = chain(10);
    let nodes = [Node::over_http(&chain).await, Node::over_http(&chain).await, Node::over_http(&chain).await];
    let all: Vec<&Node> = nodes.iter().collect();
    let mut alone = Watcher::new(&all, 1);
    let mut pair = Watcher::new(&all, 2);
    alone.rounds(at(&chain)).await.expect("a scan");
    pair.rounds(at(&chain)).await.expect("a scan");
    nodes[0].lie(|lies| lies.status = Some(500));
    on(&chain, |chain| chain.mine(&[(USDC, ANN, 5, 1)]));
    let seen = ["seen 1.0 of 5 at 10"];
    assert_eq!(alone.round(at(&chain)).await.expect("the second node"), seen);
    assert_eq!(pair.round(at(&chain)).await.expect("the second and the third"), seen);

    nodes[0].tell_the_truth();
    nodes[0].lie(|lies| lies.invents = Some((11, (USDC, BOB, 1_000, 7))));
    on(&chain, |chain| chain.mine(&[(USDC, ANN, 6, 2)]));
    let mut now = at(&chain) + Span::minutes(2);
    let mut taken = None;
    for _ in 0..5 {
        if let Ok(words) = pair.round(now).await {
            taken = Some(words);
            break;
        }
        now = now + Span::seconds(1);
    }
    assert_eq!(taken.expect("two honest nodes found each other"), ["seen 2.0 of 6 at 11"]);
}

#[tokio::test]
async fn a_lagging_second_look_accuses_nobody_and_an_honest_one_finds_what_the_leader_hides() {
    let chain = chain(10);
    let (leader, other) = (Node::over_http(&chain).await, Node::over_http(&chain).await);
    let mut watcher = Watcher::new(&[&leader, &other], 1);
    watcher.rounds(at(&chain)).await.expect("a scan");
    leader.lie(|lies| lies.hides.extend([10]));
    on(&chain, |chain| chain.mine(&[(USDC, ANN, 5, 1)]));
    assert_eq!(watcher.rounds(at(&chain)).await.expect("a scan"), NOTHING);
    other.lie(|lies| lies.lag = 5);
    let later = at(&chain) + Span::seconds(31);
    assert_eq!(watcher.rounds(later).await.expect("a scan"), NOTHING, "the other one does not have the block");
    other.tell_the_truth();
    // After a look that failed the next ones are smaller: block 10 may be in the second or third.
    let mut error = None;
    for second in 15..25 {
        if let Err(told) = watcher.round(later + Span::seconds(second)).await {
            error = Some(told);
            break;
        }
    }
    let error = error.expect("one shows what the other hides");
    assert!(error.contains("do not agree about block 10"), "{error}");
    leader.tell_the_truth();
    let words = watcher.rounds(later + Span::seconds(30)).await.expect("a scan");
    assert_eq!(words, ["seen 1.0 of 5 at 10"]);
}

#[tokio::test]
async fn a_tag_confirms() {
    let chain = chain(10);
    let node = Node::over_http(&chain).await;
    let mut watcher = Watcher::with(&[&node], 1, Confirmation::Safe);
    on(&chain, |chain| chain.mine(&[(USDC, ANN, 5, 1)]));
    assert_eq!(watcher.rounds(at(&chain)).await.expect("a young chain"), ["seen 1.0 of 5 at 10"]);
    on(&chain, |chain| {
        chain.mine_empty(300);
        chain.safe = Some(9);
    });
    assert_eq!(watcher.rounds(at(&chain)).await.expect("a scan"), NOTHING);
    on(&chain, |chain| chain.safe = Some(10));
    assert_eq!(watcher.rounds(at(&chain)).await.expect("a scan"), ["confirmed 1.0"]);
}

#[tokio::test]
async fn another_chain_of_the_same_id_changes_nothing() {
    let (chain, _node, mut watcher) = watched(10).await;
    on(&chain, |chain| chain.mine(&[(USDC, ANN, 5, 1)]));
    watcher.rounds(at(&chain)).await.expect("a scan");
    let known = watcher.window.clone();
    on(&chain, |chain| {
        chain.fork(11);
        chain.mine_empty(20);
    });
    let error = watcher.round(at(&chain)).await.expect_err("a node that was set up anew");
    assert!(error.contains("no block that was scanned is on the chain"), "{error}");
    assert_eq!(watcher.window, known);
    // Until an operator says that it is right, and from where on.
    watcher.window = Window::begin_above(4);
    on(&chain, |chain| chain.mine(&[(USDC, BOB, 6, 2)]));
    assert_eq!(watcher.rounds(at(&chain)).await.expect("a scan"), ["seen 2.0 of 6 at 20"]);
    let heights: Vec<i64> = watcher.window.headers.iter().map(|header| header.height).collect();
    assert_eq!(heights, (5..=20).collect::<Vec<i64>>());
}

#[tokio::test]
async fn an_outage_longer_than_the_payment_window_loses_nothing() {
    let (chain, node, mut watcher) = watched(10).await;
    let before = watcher.through;
    node.lie(|lies| lies.status = Some(502));
    on(&chain, |chain| {
        chain.mine(&[(USDC, ANN, 5, 1)]);
        // An hour of blocks.
        chain.mine_empty(1_800);
    });
    for _ in 0..3 {
        watcher.round(at(&chain)).await.expect_err("an outage");
    }
    assert_eq!(watcher.through, before, "nothing expires while nobody looks");
    node.tell_the_truth();
    let words = watcher.rounds(at(&chain)).await.expect("a scan");
    assert_eq!(words, ["seen 1.0 of 5 at 10", "confirmed 1.0"]);
    assert!(watcher.through > before + Span::minutes(59));
}

#[tokio::test]
async fn a_websocket_answers_and_rings_when_there_is_a_block() {
    let chain = chain(10);
    let node = Node::over_websocket(&chain).await;
    let mut watcher = Watcher::new(&[&node], 1);
    // It connects in the background; until then the answer is that nobody is there.
    let mut first = watcher.rounds(at(&chain)).await;
    while first.is_err() {
        first = watcher.rounds(at(&chain)).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(first.expect("a scan"), NOTHING);
    on(&chain, |chain| chain.mine(&[(USDC, ANN, 5, 1)]));
    node.tell_news();
    watcher.network.rhythm.bell.notified().await;
    assert_eq!(watcher.rounds(at(&chain)).await.expect("a scan"), ["seen 1.0 of 5 at 10"]);
}

/// What is told of those windows: `address amount of contract by transaction`.
async fn strays(watcher: &Watcher, chain: &Chain, windows: &[DepositWindow]) -> Vec<String> {
    let found = watcher.network.strays(windows, at(chain)).await.expect("an answer");
    let told = |stray: &Stray| match &stray.what {
        StrayKind::Coin => format!("{} {}", stray.address, stray.raw),
        StrayKind::Token { contract, transaction } => {
            let number = transaction.trim_start_matches("0x").trim_start_matches('0');
            format!("{} {} of {contract} by {number}", stray.address, stray.raw)
        }
    };
    found.iter().map(told).collect()
}

#[tokio::test]
async fn what_does_not_count_is_told_and_never_scanned() {
    const UNLISTED: &str = "0x4444444444444444444444444444444444444444";
    let (chain, node, mut watcher) = watched(300).await;
    let (before, placed) = (at(&chain), at(&chain) + Span::seconds(1));
    on(&chain, |chain| {
        chain.balances.extend([(ANN, 1_000_000_000_000_000_000_u128), (STRANGER, 5)]);
        chain.mine(&[(UNLISTED, ANN, 7, 1), (UNLISTED, STRANGER, 8, 2), (UNLISTED, ANN, 0, 3), (USDC, ANN, 9, 4)]);
        chain.mine_empty(200);
        chain.mine(&[(UNLISTED, ANN, 6, 5)]);
        chain.mine_empty(50);
    });
    assert_eq!(watcher.rounds(at(&chain)).await.expect("a scan"), ["seen 4.0 of 9 at 300", "confirmed 4.0"]);
    node.lie(|lies| lies.most_blocks = Some(50));
    let window = |address: &str, from, until| DepositWindow { address: address.to_owned(), from, until };
    let (coin, first) = (format!("{ANN} 1000000000000000000"), format!("{ANN} 7 of {UNLISTED} by 1"));
    // Block 300 has the second 600, the order was placed half a second before it.
    let early = window(ANN, placed, placed + Span::seconds(10));
    assert_eq!(strays(&watcher, &chain, std::slice::from_ref(&early)).await, [coin.clone(), first.clone()]);
    let whole = window(ANN, placed, at(&chain) + Span::hours(1));
    let second = format!("{ANN} 6 of {UNLISTED} by 5");
    assert_eq!(strays(&watcher, &chain, &[whole, window(BOB, placed, placed)]).await, [coin.clone(), first, second]);
    assert_eq!(strays(&watcher, &chain, &[window(ANN, Time(0), before)]).await, [coin], "before it came");
    assert_eq!(strays(&watcher, &chain, &[window(BOB, Time(0), placed)]).await, NOTHING);
    assert_eq!(strays(&watcher, &chain, &[]).await, NOTHING);
}

#[tokio::test]
async fn of_many_worthless_tokens_a_few_are_told() {
    const UNLISTED: &str = "0x4444444444444444444444444444444444444444";
    let (chain, node, watcher) = watched(10).await;
    on(&chain, |chain| {
        for transaction in 1..=100 {
            chain.mine(&[(UNLISTED, ANN, 1, transaction)]);
        }
    });
    let window = DepositWindow { address: ANN.to_owned(), from: START, until: at(&chain) };
    let found = watcher.network.strays(std::slice::from_ref(&window), at(&chain)).await.expect("an answer");
    assert_eq!(found.len(), 20);
    node.lie(|lies| lies.status = Some(503));
    let error = watcher.network.strays(&[window], at(&chain)).await.expect_err("nobody answers");
    assert!(error.contains("status 503") && !error.contains("hunter2"), "{error}");
}

#[test]
fn ranges_are_halved_and_grow_again() {
    let mut range = Range::new(1_000);
    range.halve(1_000);
    assert_eq!(range.now, 500);
    range.halve(3);
    assert_eq!(range.now, 1);
    range.halve(1);
    assert_eq!(range.now, 1);
    (0..Range::PATIENCE * 3).for_each(|_| range.did_well());
    assert_eq!(range.now, 8);
    (0..Range::PATIENCE * 20).for_each(|_| range.did_well());
    assert_eq!(range.now, 1_000);
}

#[test]
fn an_address_that_is_none_is_not_quoted() {
    for address in ["", "hunter2", "http://", "https://[hunter2"] {
        let (pace, bell, patience) = (Duration::from_secs(1), Arc::default(), Span::minutes(1));
        let settings = Settings {
            id: NetworkId::new("eip155:1"),
            chain_id: 1,
            tokens: BTreeMap::new(),
            addresses: vec![Secret::new(address.to_owned())],
            agree: 1,
            confirmation: Confirmation::Blocks(1),
            blocks_per_query: 1,
            call_timeout: Duration::from_secs(1),
            rhythm: Rhythm { pace, bell, patience },
        };
        let error = EvmNetwork::new(settings).err().expect("no address");
        assert!(matches!(error, EvmError::NotAnAddress(1)) && !error.to_string().contains("hunter2"), "{error}");
    }
}
