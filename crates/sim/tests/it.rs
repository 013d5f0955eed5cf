//! The simulator proves itself: it repeats, it holds, it finds every bug that is planted, and it makes what it found
//! small.

use domain::planted::{Bug, plant};
use sim::plan::Plan;
use sim::pure;
use sim::run::Outcome;
use sim::shop::{Database, keep_quiet_about_crashes};
use sim::shrink::{run_on, shrink};
use std::sync::Once;

/// A planted bug must be found within so many seeds.
const SEEDS: u64 = 1_000;

fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(keep_quiet_about_crashes);
}

fn run_in_memory(plan: &Plan) -> Outcome {
    run_on(&Database::Memory, plan)
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    quiet();
    for seed in [3, 4, 5] {
        let plan = Plan::of_seed(seed);
        let (first, second) = (run_in_memory(&plan), run_in_memory(&plan));
        assert!(first.trace.len() > 100, "seed {seed} hardly does anything");
        assert_eq!(first.trace, second.trace, "seed {seed}");
    }
    let [first, second] = [3, 4].map(|seed| run_in_memory(&Plan::of_seed(seed)).trace);
    assert_ne!(first, second, "another seed is another run");
}

#[test]
fn five_hundred_seeds_hold() {
    quiet();
    let database = Database::Memory;
    for seed in 0..500 {
        let plan = Plan::of_seed(seed);
        let outcome = run_on(&database, &plan);
        assert!(outcome.failure.is_none(), "{}", outcome.report(&plan, &database).unwrap_or_default());
    }
}

#[test]
fn five_thousand_seeds_of_the_core_alone_hold() {
    let mut steps = 0;
    for seed in 0..5_000 {
        let ops = pure::ops_of_seed(seed);
        steps += pure::run(&ops).unwrap_or_else(|difference| panic!("seed {seed}: {difference:?}"));
    }
    assert!(steps > 1_000_000, "only {steps} wishes");
}

#[test]
fn what_was_wrong_once_is_right() {
    for (was_wrong, ops) in pure::kept::all() {
        assert_eq!(pure::run(&ops), Ok(ops.len()), "{was_wrong}");
    }
}

/// The bugs of the rules themselves; the others need an engine.
#[test]
fn the_model_finds_what_is_planted_in_the_core() {
    let bugs = [
        (Bug::RevertedStaysCounted, "is owed"),
        (Bug::ReleasedTwice, "unpaid orders hold"),
        (Bug::LateForgotten, "paid, expired, cancelled, closed"),
        (Bug::BodyIgnored, "the core says Replay"),
        (Bug::NeighbourRefused, "the lines of"),
    ];
    for (bug, words) in bugs {
        plant(Some(bug));
        let found = (0..SEEDS).map(pure::ops_of_seed).find(|ops| pure::run(ops).is_err());
        let ops = found.unwrap_or_else(|| panic!("{bug:?} was not found within {SEEDS} seeds"));
        let (small, difference) = pure::shrink(&ops);
        plant(None);
        assert!(small.len() < ops.len(), "{bug:?}: nothing was left out; {difference:?}");
        assert!(difference.what.contains(words), "{bug:?}: {difference:?}");
        assert_eq!(pure::run(&small), Ok(small.len()), "{bug:?}: it differs by itself");
    }
}

/// A seed takes a second there. Plain `cargo test`, which has no server, runs SQLite's alone.
#[test]
fn twenty_seeds_hold_on_postgresql() {
    let Ok(url) = std::env::var("KIOSK_TEST_POSTGRES") else { return };
    quiet();
    let database = Database::Postgres(url);
    for seed in 0..20 {
        let plan = Plan::of_seed(seed);
        let outcome = run_on(&database, &plan);
        assert!(outcome.failure.is_none(), "{}", outcome.report(&plan, &database).unwrap_or_default());
    }
    database.clean_up().expect("the server is still there");
}

/// The seed that finds the bug, what the simulator says, and the small plan.
fn found(bug: Bug) -> (u64, String, Plan) {
    quiet();
    plant(Some(bug));
    let seed = (0..SEEDS).find(|seed| run_in_memory(&Plan::of_seed(*seed)).failure.is_some());
    let seed = seed.unwrap_or_else(|| panic!("{bug:?} was not found within {SEEDS} seeds"));
    let (small, outcome) = shrink(&Database::Memory, &Plan::of_seed(seed));
    plant(None);
    let broken = outcome.failure.map(|failure| failure.broken).unwrap_or_default();
    // Without the bug the same plan holds: it is the bug that was found.
    assert!(run_in_memory(&small).failure.is_none(), "{bug:?}: the plan fails by itself");
    (seed, broken, small)
}

fn assert_found(bug: Bug, words: &[&str]) {
    let (seed, broken, small) = found(bug);
    assert!(words.iter().any(|word| broken.contains(word)), "{bug:?}: seed {seed} says {broken:?}");
    let whole = Plan::of_seed(seed);
    let is_smaller = small.steps < whole.steps || small.orders < whole.orders || small.rates.len() < whole.rates.len();
    assert!(is_smaller, "{bug:?}: nothing was taken away from {}", whole.arguments());
}

#[test]
fn a_call_before_its_commit_is_found() {
    assert_found(Bug::CallBeforeSent, &["went out before it was committed"]);
}

#[test]
fn money_that_stays_counted_is_found() {
    assert_found(
        Bug::RevertedStaysCounted,
        &[
            "the chain has None",
            "is credited as",
            "broke an invariant",
            "not legal",
            "the audit finds",
            "the ledger says",
        ],
    );
}

#[test]
fn a_hold_that_is_released_twice_is_found() {
    assert_found(Bug::ReleasedTwice, &["counters are not what the orders say", "the stock of"]);
}

#[test]
fn a_code_that_is_picked_whoever_owns_it_is_found() {
    assert_found(Bug::OwnerUnchecked, &["and the code table disagree", "the stock of"]);
}

#[test]
fn a_late_payment_that_is_forgotten_is_found() {
    assert_found(Bug::LateForgotten, &["in time and is not settled"]);
}

#[test]
fn a_key_that_ignores_the_body_is_found() {
    assert_found(Bug::BodyIgnored, &["another body was answered under the key"]);
}

#[test]
fn a_refusal_of_the_neighbour_is_found() {
    // What is owed is the price of another line than the one that is refused.
    assert_found(Bug::NeighbourRefused, &["is credited as"]);
}

#[test]
fn a_payout_for_money_that_nobody_found_is_found() {
    assert_found(Bug::ClaimBelieved, &["was settled with less than its price", "is not settled"]);
}

#[test]
fn a_payout_that_is_made_again_because_nobody_knows_is_found() {
    assert_found(Bug::PayoutRepeated, &["was paid out twice"]);
}

#[test]
fn a_deposit_that_is_overlooked_is_found() {
    assert_found(
        Bug::DepositOverlooked,
        &["the audit finds: at block", "knows nothing of the deposit", "in time and is not settled"],
    );
}

#[test]
fn money_that_counts_before_its_tag_is_found() {
    assert_found(Bug::TagIgnored, &["which its chain has not confirmed"]);
}

#[test]
fn a_window_that_ends_unseen_is_found() {
    assert_found(Bug::ExpiredUnseen, &["was not seen to the end of its window", "in time and is not settled"]);
}

/// What two hundred seeds say together.
fn two_hundred_traces() -> String {
    quiet();
    let run = |seed: u64| {
        let outcome = run_in_memory(&Plan::of_seed(seed));
        assert!(outcome.failure.is_none(), "seed {seed}");
        outcome.trace.join("\n")
    };
    (0..200).map(run).collect()
}

/// What seeds must reach together, so that nobody believes in orders that were never paid out, and in chains that never
/// did what chains do.
#[test]
fn two_hundred_seeds_come_to_every_end() {
    let all = two_hundred_traces();
    let ends = [
        "an exchange: ",
        ", again: ",
        "says that he has paid",
        "come to the bank",
        "finds money at the bank",
        "pays out by hand",
        "tries again to pay out",
        "finds paid out",
        "gives the money back",
        "notes the same money again",
        "without a look",
        "ether costs",
        "leaves out",
        "units to the operator's own wallet",
        "the tag jumps",
        "is mined again, in block",
        "is replaced by the smaller",
        "gives no answer this once",
        "says nothing at all",
        "keeps back the payments of block",
        "asks whose addresses they are, and is not told",
        "in which payments were mined",
        "this network cannot be paid on at the moment",
    ];
    for end in ends {
        assert!(all.contains(end), "no seed of two hundred comes to {end:?}");
    }
}
