//! kill -9 at any moment: the real process under load, two hundred times, with `kiosk fsck` after each.
//!
//! Buyers place orders, pay and look at them until the process is killed in the middle of it; what was answered in full
//! is remembered. Afterwards every acknowledged order must be there, every acknowledged payment must have come to its
//! end, a code that was shown must never change, and no code may be in two orders. Nothing here waits by the clock: the
//! start is read from the process's own first line, the kill follows a number of answers, the end of an order comes over
//! its stream. The seed chooses what is bought and when the kill falls; the machine chooses what it hits.

// The process: start, kill, check.
mod process;
// Who buys until the shop is gone.
mod buyer;
// What the shop has said, and must not take back.
mod memory;

use crate::harness::{self, Folder};
use crate::snapshots::wire::{Live, Request, call, order_of};
use buyer::{Buyer, Dice, GOODS, Goods};
use domain::asset::ChainKind;
use memory::{Known, Memory};
use process::Demo;
use serde_json::Value;
use server::boot;
use std::path::Path;
use std::sync::mpsc;

/// How often the process is killed.
const ROUNDS: u64 = 200;

/// After so many kills everything that was ever said is checked.
const CHECK_EVERY: u64 = 20;

const BUYERS: u64 = 4;

/// Answers that a round waits for before the kill.
const FEWEST_ANSWERS: u64 = 3;
const MOST_ANSWERS: u64 = 40;

/// Deposit addresses beyond those that a demo makes at its start, one for each order: a round is too short for the demo
/// to make its own.
const ADDRESSES: usize = 2_500;

/// Codes of the own card that the demo has; the test must leave some.
const CODES: usize = 1_000;

#[test]
fn two_hundred_kills_lose_nothing() {
    let folder = Folder::new();
    let data_dir = folder.0.join("data");
    install(&folder);
    let memory = Memory::default();
    for number in 1..=ROUNDS {
        let mut demo = Demo::start(&data_dir);
        round(&mut demo, &memory, number);
        process::fsck(&data_dir);
        if number % CHECK_EVERY == 0 {
            check_everything(&data_dir, &memory);
        }
    }
    sell_once_more(&data_dir, &memory);
    assert!(memory.count_of(Goods::OwnCard) < CODES, "the shelf ran empty: this run proved less than it should");
    process::assert_no_panic(&data_dir);
}

/// A demo with everything on its shelves, and with addresses enough.
fn install(folder: &Folder) {
    let config = harness::config(folder, "");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let kiosk = boot::open(&config).await.expect("an installation");
        boot::stock_demo(&kiosk).await.expect("the demo's stock");
        let added = kiosk.pools.add(ChainKind::Svm, ADDRESSES).await;
        added.expect("addresses in the pool");
        kiosk.engine.close();
    });
}

/// Buys until enough was answered, then kills.
fn round(demo: &mut Demo, memory: &Memory, number: u64) {
    let wanted = Dice::of(number, 0).between(FEWEST_ANSWERS, MOST_ANSWERS);
    let (answers, answered) = mpsc::channel();
    std::thread::scope(|scope| {
        for seat in 1..=BUYERS {
            let (address, answers) = (demo.address.clone(), answers.clone());
            let name = format!("{number}-{seat}");
            let buyer = Buyer { address, name, memory, answers, dice: Dice::of(number, seat) };
            scope.spawn(move || buyer.shop_until_it_is_gone());
        }
        // Only buyers hold a sender now: if they all stop early, the next line says so instead of waiting for ever.
        drop(answers);
        for _ in 0..wanted {
            answered.recv().expect("a shop that nobody killed goes on answering");
        }
        demo.kill();
    });
}

/// After a restart: all that the shop ever said still holds, and what was paid comes to its end.
fn check_everything(data_dir: &Path, memory: &Memory) {
    let mut demo = Demo::start(data_dir);
    for (id, known) in memory.all() {
        let order = if known.paid && !known.ended { follow(&demo.address, &id) } else { show(&demo.address, &id) };
        memory.told(&id, &known, &order);
        if known.paid {
            assert_ended_well(&known, &order);
        }
    }
    memory.assert_no_code_twice();
    demo.kill();
    process::fsck(data_dir);
}

/// The shop that was killed so often still sells all of its goods.
fn sell_once_more(data_dir: &Path, memory: &Memory) {
    let mut demo = Demo::start(data_dir);
    for (at, goods) in GOODS.into_iter().enumerate() {
        let (answers, _answered) = mpsc::channel();
        let (address, name) = (demo.address.clone(), format!("last-{at}"));
        let mut last = Buyer { address, name, memory, answers, dice: Dice::of(0, 0) };
        let id = last.buy(goods).expect("nobody kills this one");
        let order = follow(&demo.address, &id);
        memory.told(&id, &memory.known(&id), &order);
        assert_eq!(order["order_state"], "Done", "{goods:?}");
    }
    memory.assert_no_code_twice();
    demo.kill();
    process::fsck(data_dir);
}

/// An order as it is now.
fn show(address: &str, id: &str) -> Value {
    let path = format!("/v5/orders/{id}");
    let answer = call(address, &Request { method: "GET", path: &path, ..Request::default() }).expect("a whole answer");
    assert_eq!(answer.status, 200, "an acknowledged order is there");
    answer.json()
}

/// An order at its end, read from its stream: the last state before `stop`, or a state in which only a person can move
/// it on, because for that one the stream stays open.
fn follow(address: &str, id: &str) -> Value {
    let path = format!("/v5/orders/{id}/subscribe");
    let mut live = Live::open(address, &path, &[]).expect("an acknowledged order has a stream");
    let mut last = None;
    while let Some(message) = live.next_message().expect("a paid order ends within two minutes") {
        let Some(order) = order_of(&message) else { break };
        let is_for_a_person = order["order_state"] == "WaitingForManualAction";
        last = Some(order);
        if is_for_a_person {
            break;
        }
    }
    last.expect("a stream begins with the order as it is")
}

/// Money that was acknowledged becomes goods: a call that a kill cut off before it was made is made again.
fn assert_ended_well(known: &Known, order: &Value) {
    assert_eq!(order["order_state"], "Done", "{:?} that was paid", known.goods);
}
