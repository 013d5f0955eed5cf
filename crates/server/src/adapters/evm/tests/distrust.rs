//! What one node shows and another does not, and what is too much for one answer: nothing of it is passed over in silence,
//! and nothing of it stops a network for good.

use super::*;

/// Hides a payment in block 10 from the first of two nodes, and has the second look find it.
async fn accused() -> (Chain, [Node; 2], Watcher, Time) {
    let chain = chain(10);
    let nodes = [Node::over_http(&chain).await, Node::over_http(&chain).await];
    let mut watcher = Watcher::new(&[&nodes[0], &nodes[1]], 1);
    watcher.rounds(at(&chain)).await.expect("a scan");
    nodes[0].lie(|lies| lies.hides.extend([10]));
    on(&chain, |chain| chain.mine(&[(USDC, ANN, 5, 1)]));
    assert_eq!(watcher.rounds(at(&chain)).await.expect("a scan"), NOTHING);
    let now = at(&chain) + Span::seconds(31);
    let error = watcher.round(now).await.expect_err("one shows what the other hides");
    assert!(error.contains("do not agree about block 10"), "{error}");
    (chain, nodes, watcher, now)
}

#[tokio::test]
async fn a_payment_that_one_of_two_shows_stops_the_network_until_they_agree() {
    let (chain, nodes, mut watcher, now) = accused().await;
    let (through, window) = (watcher.through, watcher.window.clone());
    for second in 1..=40 {
        on(&chain, |chain| chain.mine_empty(1));
        let error = watcher.round(now + Span::seconds(second)).await.expect_err("nothing is settled");
        assert!(error.contains("do not agree about block 10"), "{second}: {error}");
    }
    // Longer than any window: the blocks between are left out by now, and the claim is not.
    on(&chain, |chain| chain.mine_empty(600));
    let later = at(&chain) + Span::minutes(5);
    watcher.round(later).await.expect_err("nothing is settled");
    assert_eq!((watcher.through, &watcher.window), (through, &window));
    nodes[0].tell_the_truth();
    let words = watcher.rounds(later + Span::minutes(2)).await.expect("a scan");
    assert_eq!(words, ["seen 1.0 of 5 at 10", "confirmed 1.0"]);
    assert_eq!(watcher.through, Time(START.0 + 650 * 2_000 - 1));
}

#[tokio::test]
async fn a_claim_that_was_not_written_down_stays_open() {
    let (_chain, nodes, mut watcher, now) = accused().await;
    nodes[0].tell_the_truth();
    let found = |scan: &domain::chain::Scan| scan.blocks.iter().map(|block| block.transfers.len()).sum::<usize>();
    for second in 2..5 {
        // Another process was faster, or the database did not answer: the window stays as it was.
        let scan = watcher.scan(now + Span::seconds(second)).await.expect("a scan");
        assert_eq!(found(&scan), 1, "{second}");
    }
    assert_eq!(watcher.round(now + Span::seconds(6)).await.expect("a scan"), ["seen 1.0 of 5 at 10"]);
    let scan = watcher.scan(now + Span::seconds(7)).await.expect("a scan");
    assert_eq!(scan.blocks.len(), 0, "it is settled");
}

#[tokio::test]
async fn of_three_nodes_the_one_that_hides_stands_alone_and_rests() {
    let chain = chain(10);
    let nodes = [Node::over_http(&chain).await, Node::over_http(&chain).await, Node::over_http(&chain).await];
    let mut watcher = Watcher::new(&[&nodes[0], &nodes[1], &nodes[2]], 2);
    watcher.rounds(at(&chain)).await.expect("a scan");
    nodes[0].lie(|lies| lies.hides.extend([10]));
    // More than are asked for one by one: the leader's range is asked for.
    on(&chain, |chain| {
        chain.mine(&[(USDC, ANN, 5, 1)]);
        chain.mine_empty(10);
    });
    assert_eq!(watcher.rounds(at(&chain)).await.expect("a scan"), NOTHING);
    let now = at(&chain) + Span::seconds(31);
    let error = watcher.round(now).await.expect_err("one hides a payment");
    assert!(error.contains("rpc 1") && error.contains("against every other node"), "{error}");
    let words = watcher.rounds(now + Span::seconds(1)).await.expect("the two others");
    assert_eq!(words, ["seen 1.0 of 5 at 10", "confirmed 1.0"]);
    // A success does not make it good: it is not asked while it rests.
    nodes[0].asked.lock().expect("a lock").clear();
    for minute in 1..=4 {
        on(&chain, |chain| chain.mine_empty(1));
        watcher.rounds(now + Span::minutes(minute)).await.expect("a scan");
    }
    assert!(nodes[0].asked.lock().expect("a lock").is_empty());
}

#[tokio::test]
async fn of_three_nodes_the_one_that_invents_is_outvoted_and_stops_nobody() {
    let chain = chain(10);
    let nodes = [Node::over_http(&chain).await, Node::over_http(&chain).await, Node::over_http(&chain).await];
    let mut watcher = Watcher::new(&[&nodes[0], &nodes[1], &nodes[2]], 1);
    watcher.rounds(at(&chain)).await.expect("a scan");
    nodes[1].lie(|lies| lies.invents = Some((10, (USDC, BOB, 1_000, 7))));
    on(&chain, |chain| chain.mine(&[(USDC, ANN, 5, 1)]));
    let seen = ["seen 1.0 of 5 at 10"];
    assert_eq!(watcher.rounds(at(&chain)).await.expect("a scan"), seen);
    let now = at(&chain) + Span::seconds(31);
    // The block is read again, and nothing is new in it.
    assert_eq!(watcher.round(now).await.expect("two against one"), seen);
    let scan = watcher.scan(now + Span::seconds(1)).await.expect("a scan");
    assert_eq!(scan.blocks.len(), 0, "the claim is forgotten");
    nodes[1].asked.lock().expect("a lock").clear();
    watcher.rounds(now + Span::seconds(60)).await.expect("a second look by the third node");
    assert!(nodes[1].asked.lock().expect("a lock").is_empty());
}

#[tokio::test]
async fn what_led_to_a_block_must_be_in_it() {
    let (chain, node, mut watcher) = watched(10).await;
    let through = watcher.through;
    node.lie(|lies| lies.hides_by_hash.extend([10]));
    on(&chain, |chain| {
        chain.mine(&[(USDC, ANN, 5, 1)]);
        chain.mine_empty(10);
    });
    for _ in 0..3 {
        let error = watcher.round(at(&chain)).await.expect_err("seen by range, absent by hash");
        assert!(error.contains("rpc 1") && error.contains("when it is asked for a range"), "{error}");
    }
    assert_eq!(watcher.through, through);
    // The same where blocks are left out.
    on(&chain, |chain| chain.mine_empty(1_000));
    let error = watcher.round(at(&chain)).await.expect_err("seen by range, absent by hash");
    assert!(error.contains("when it is asked for a range"), "{error}");
    node.tell_the_truth();
    let words = watcher.rounds(at(&chain)).await.expect("a scan");
    assert_eq!(words, ["seen 1.0 of 5 at 10", "confirmed 1.0"]);
}

/// A chain on which a payment is in a block that is left out, and that the first node hides.
async fn far_payment(nodes: usize) -> (Chain, Vec<Node>, Watcher) {
    let chain = chain(10);
    let mut all = Vec::new();
    for _ in 0..nodes {
        all.push(Node::over_http(&chain).await);
    }
    let mut watcher = Watcher::new(&all.iter().collect::<Vec<_>>(), 1);
    watcher.rounds(at(&chain)).await.expect("a scan");
    all[0].lie(|lies| lies.hides.extend([500]));
    on(&chain, |chain| {
        chain.mine_empty(490);
        chain.mine(&[(USDC, ANN, 5, 1)]);
        chain.mine_empty(1_000);
    });
    (chain, all, watcher)
}

#[tokio::test]
async fn a_range_that_one_node_showed_is_looked_at_again_before_it_counts() {
    let (chain, nodes, mut watcher) = far_payment(1).await;
    let through = watcher.through;
    assert_eq!(watcher.round(at(&chain)).await.expect("a scan"), NOTHING);
    assert_eq!(watcher.window.tip().map(|tip| tip.height), Some(1_009));
    assert_eq!(watcher.through, through, "nothing expires before the second look");
    nodes[0].tell_the_truth();
    let words = watcher.rounds(at(&chain)).await.expect("a scan");
    assert_eq!(words, ["seen 1.0 of 5 at 500", "confirmed 1.0"]);
    assert_eq!(watcher.through, Time(START.0 + 1_500 * 2_000 - 1));
}

#[tokio::test]
async fn a_range_is_looked_at_again_by_another_node_also_after_a_start() {
    let (chain, nodes, mut watcher) = far_payment(2).await;
    let through = watcher.through;
    assert_eq!(watcher.round(at(&chain)).await.expect("a scan"), NOTHING);
    let known = watcher.window.clone();
    let mut restarted = Watcher { window: known, ..Watcher::new(&[&nodes[0], &nodes[1]], 1) };
    for watcher in [&mut watcher, &mut restarted] {
        let before = watcher.through;
        let error = watcher.rounds(at(&chain)).await.expect_err("one hides a payment");
        assert!(error.contains("do not agree about block 500"), "{error}");
        assert_eq!(watcher.through, before);
    }
    assert_eq!(watcher.through, through);
    nodes[0].tell_the_truth();
    let now = at(&chain) + Span::seconds(2);
    for watcher in [&mut watcher, &mut restarted] {
        let words = watcher.rounds(now).await.expect("a scan");
        assert_eq!(words, ["seen 1.0 of 5 at 500", "confirmed 1.0"]);
        assert_eq!(watcher.through, Time(START.0 + 1_500 * 2_000 - 1));
    }
}

#[tokio::test]
async fn after_a_start_the_known_blocks_are_looked_at_again_at_once() {
    let (chain, node, mut watcher) = watched(10).await;
    node.lie(|lies| lies.hides.extend([10]));
    on(&chain, |chain| {
        chain.mine(&[(USDC, ANN, 5, 1)]);
        chain.mine_empty(100);
    });
    assert_eq!(watcher.rounds(at(&chain)).await.expect("a scan"), NOTHING);
    node.tell_the_truth();
    let mut restarted = Watcher { window: watcher.window.clone(), ..Watcher::new(&[&node], 1) };
    let mut words = Vec::new();
    for _ in 0..4 {
        words.extend(restarted.round(at(&chain)).await.expect("a scan"));
    }
    assert_eq!(words, ["seen 1.0 of 5 at 10", "confirmed 1.0"]);
}

fn asked(node: &Node, method: &str) -> usize {
    node.asked.lock().expect("a lock").iter().filter(|asked| *asked == method).count()
}

#[tokio::test]
async fn a_node_that_takes_a_few_questions_at_once_is_asked_a_few() {
    let (chain, node, mut watcher) = watched(10).await;
    node.lie(|lies| lies.most_asks = Some(5));
    on(&chain, |chain| {
        chain.mine(&[(USDC, ANN, 5, 1)]);
        chain.mine(&[(USDC, ANN, 6, 2)]);
        chain.mine(&[(USDC, ANN, 7, 3)]);
        chain.mine_empty(100);
    });
    let words = watcher.rounds(at(&chain)).await.expect("a scan");
    assert_eq!(words.iter().filter(|word| word.starts_with("seen")).count(), 3, "{words:?}");
    assert_eq!(watcher.window.tip().map(|tip| tip.height), Some(112));
}

#[tokio::test]
async fn a_block_that_is_too_much_for_one_answer_is_read_contract_by_contract() {
    // Asked for by hash, and as a range.
    for more in [0, 10] {
        let (chain, node, mut watcher) = watched(10).await;
        node.lie(|lies| lies.fat.extend([10, 11]));
        on(&chain, |chain| {
            chain.mine(&[(DAI, ANN, 25 * 10_u128.pow(18), 1), (USDC, STRANGER, 0, 9), (USDC, BOB, 5, 2)]);
            chain.mine(&[(USDC, ANN, 6, 3)]);
            chain.mine_empty(more);
        });
        let words = watcher.rounds(at(&chain)).await.expect("a scan");
        let seen: Vec<&str> = words.iter().map(String::as_str).filter(|word| word.starts_with("seen")).collect();
        assert_eq!(seen, ["seen 1.0 of 2500000000 at 10", "seen 2.0 of 5 at 10", "seen 3.0 of 6 at 11"]);
    }
}

#[tokio::test]
async fn an_answer_about_one_block_may_be_larger_than_any_other() {
    let (chain, node, mut watcher) = watched(10).await;
    on(&chain, |chain| chain.mine(&[(USDC, ANN, 5, 1)]));
    node.lie(|lies| lies.padding = 17 << 20);
    assert_eq!(watcher.rounds(at(&chain)).await.expect("a scan"), ["seen 1.0 of 5 at 10"]);
}

#[tokio::test]
async fn a_token_that_says_that_nothing_was_sent_costs_no_question() {
    let (chain, node, mut watcher) = watched(10).await;
    node.asked.lock().expect("a lock").clear();
    on(&chain, |chain| {
        chain.senders.extend([(1, ANN), (2, BOB)]);
        for transaction in 1..=12 {
            chain.mine(&[(USDC, ANN, 0, transaction)]);
        }
    });
    assert_eq!(watcher.rounds(at(&chain)).await.expect("a scan"), NOTHING);
    assert_eq!((asked(&node, "eth_getLogs"), asked(&node, "eth_getBlockByHash")), (1, 0), "one range, and no block");
}

#[tokio::test]
async fn an_old_chain_without_a_tagged_block_is_a_fault() {
    let chain = chain(1_001);
    let node = Node::over_http(&chain).await;
    let mut watcher = Watcher::with(&[&node], 1, Confirmation::Safe);
    // The newest block has the height 1,000.
    assert_eq!(watcher.round(at(&chain)).await.expect("a young chain"), NOTHING);
    on(&chain, |chain| chain.mine_empty(1));
    let error = watcher.round(at(&chain)).await.expect_err("nothing would ever be confirmed");
    assert!(error.contains("rpc 1") && error.contains("no block for the tag"), "{error}");
    on(&chain, |chain| chain.safe = Some(990));
    assert_eq!(watcher.round(at(&chain)).await.expect("a scan"), NOTHING);
}

#[tokio::test]
async fn a_scan_that_takes_too_long_is_given_up_and_another_node_leads() {
    let chain = chain(10);
    let nodes = [Node::over_http(&chain).await, Node::over_http(&chain).await];
    let mut watcher = Watcher::new(&[&nodes[0], &nodes[1]], 1);
    watcher.rounds(at(&chain)).await.expect("a scan");
    // Each of its answers might still come in time: that takes twenty seconds here.
    watcher.network.deadline = Duration::from_millis(200);
    nodes[0].lie(|lies| lies.is_silent = true);
    on(&chain, |chain| chain.mine(&[(USDC, ANN, 5, 1)]));
    let error = watcher.round(at(&chain)).await.expect_err("a node that keeps everybody waiting");
    assert!(error.contains("rpc 1") && error.contains("took longer"), "{error}");
    watcher.network.deadline = Duration::from_secs(60);
    let now = at(&chain) + Span::seconds(60);
    assert_eq!(watcher.rounds(now).await.expect("the second node"), ["seen 1.0 of 5 at 10"]);
}

#[tokio::test]
async fn a_node_is_called_by_its_number_and_the_public_part_of_its_host() {
    let chain = chain(10);
    let mut node = Node::over_http(&chain).await;
    node.url = node.url.replace("127.0.0.1", "hunter2hunter2.base.localhost");
    let watcher = Watcher::new(&[&node], 1);
    assert_eq!(watcher.network.endpoints[0].name, "rpc 1 (http://base.localhost)");
}

#[tokio::test]
async fn a_token_that_is_another_one_on_the_chain_keeps_the_network_closed() {
    type Lie = fn(&mut testing::Lies);
    let cases: [(Lie, &str); 3] = [
        (|lies| lies.code = Some("0x"), "there is no contract at that address"),
        // Of USDC, whose address is the lowest.
        (|lies| lies.decimals = Some(Some(18)), "has 6 decimals, and the chain says 18"),
        (|lies| lies.decimals = Some(Some(0)), "has 6 decimals, and the chain says 0"),
    ];
    for (lie, expected) in cases {
        let chain = chain(10);
        let nodes = [Node::over_http(&chain).await, Node::over_http(&chain).await];
        nodes[0].lie(lie);
        let mut watcher = Watcher::new(&[&nodes[0]], 1);
        for _ in 0..2 {
            let error = watcher.round(at(&chain)).await.expect_err(expected);
            assert!(error.contains(expected) && error.contains(USDC) && error.contains("rpc 1"), "{error}");
        }
        // It is the node's word against the configuration's: another node may be right.
        let mut pair = Watcher::new(&[&nodes[0], &nodes[1]], 1);
        assert_eq!(pair.rounds(at(&chain)).await.expect("the second node"), NOTHING);
        nodes[0].tell_the_truth();
        assert_eq!(watcher.rounds(at(&chain)).await.expect("a scan"), NOTHING);
        let checked = asked(&nodes[0], "eth_getCode");
        watcher.rounds(at(&chain)).await.expect("a scan");
        assert_eq!(asked(&nodes[0], "eth_getCode"), checked, "once is enough");
    }
    // Who does not know the question is believed.
    let chain = chain(10);
    let node = Node::over_http(&chain).await;
    node.lie(|lies| lies.decimals = Some(None));
    assert_eq!(Watcher::new(&[&node], 1).rounds(at(&chain)).await.expect("a scan"), NOTHING);
}

#[tokio::test]
async fn a_payment_in_a_token_that_is_listed_no_more_is_neither_lost_nor_taken_back() {
    let (chain, node, mut watcher) = watched(10).await;
    node.lie(|lies| lies.hides.extend([10]));
    on(&chain, |chain| {
        chain.mine(&[(USDC, ANN, 5, 1)]);
        chain.mine(&[(DAI, BOB, 25 * 10_u128.pow(18), 2), (USDC, BOB, 6, 3)]);
    });
    let seen = ["seen 2.0 of 2500000000 at 11", "seen 3.0 of 6 at 11"];
    assert_eq!(watcher.rounds(at(&chain)).await.expect("a scan"), seen);
    node.tell_the_truth();
    watcher.network.tokens.remove(&Address::parse(DAI).expect("an address"));
    watcher.network.filter = Filter::new(watcher.network.tokens.keys().copied().collect());
    let later = at(&chain) + Span::seconds(31);
    let words = watcher.rounds(later).await.expect("a scan");
    assert_eq!(words, ["seen 1.0 of 5 at 10", "seen 3.0 of 6 at 11"]);
    on(&chain, |chain| chain.mine_empty(2));
    let words = watcher.rounds(later).await.expect("a scan");
    assert_eq!(words, ["confirmed 1.0", "confirmed 3.0", "confirmed 2.0"]);
}
