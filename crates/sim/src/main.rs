//! `cargo run -p sim --release -- --seed N` repeats a run; `--runs N` makes many, from `--seed` on.

use sim::plan::{Fault, Plan};
use sim::pure;
use sim::shop::Database;
use sim::shrink::{run_on, shrink};
use std::process::ExitCode;
use std::time::Instant;

const USAGE: &str = "\
usage: sim [--seed N] [--runs N] [--steps N] [--orders N] [--without FAULT,..] [--trace]
           [--pure | --postgres URL]

  --seed N      the first seed (0)
  --runs N      how many seeds (1); a failing one ends it, and is made small
  --steps N     so many steps instead of the seed's own
  --orders N    so many orders instead of the seed's own
  --without ..  switch faults off
  --trace       print every step
  --pure        the core alone on maps, beside a model of it
  --postgres U  on PostgreSQL, in a schema of its own in the database with the URL U
";

struct Arguments {
    seed: u64,
    runs: u64,
    steps: Option<u32>,
    orders: Option<u32>,
    without: Vec<Fault>,
    trace: bool,
    pure: bool,
    database: Database,
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(wrong) => {
            eprint!("error: {wrong}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    sim::shop::keep_quiet_about_crashes();
    let passed = if arguments.pure { many_pure(&arguments) } else { many(&arguments) };
    arguments.database.clean_up().expect("the database is still there");
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether every seed passed; the first that fails ends it.
fn many(arguments: &Arguments) -> bool {
    let begun = Instant::now();
    let mut steps = 0_u64;
    for seed in arguments.seed..arguments.seed + arguments.runs {
        let plan = plan(arguments, seed);
        let outcome = run_on(&arguments.database, &plan);
        if arguments.trace {
            println!("{}", outcome.trace.join("\n"));
        }
        steps += u64::from(outcome.steps);
        if outcome.failure.is_some() {
            eprintln!("seed {seed} fails; making it small");
            let (small, outcome) = shrink(&arguments.database, &plan);
            println!("{}", outcome.report(&small, &arguments.database).unwrap_or_default());
            return false;
        }
        let done = seed + 1 - arguments.seed;
        if done.is_multiple_of(100) {
            eprintln!("{done} seeds, {}", pace(steps, begun));
        }
    }
    println!("{} seeds from {} on passed; {}", arguments.runs, arguments.seed, pace(steps, begun));
    true
}

/// The same of the core alone.
fn many_pure(arguments: &Arguments) -> bool {
    let begun = Instant::now();
    let mut steps = 0_u64;
    for seed in arguments.seed..arguments.seed + arguments.runs {
        let ops = pure::ops_of_seed(seed);
        match pure::run(&ops) {
            Ok(count) => steps += count as u64,
            Err(_) => {
                let (small, difference) = pure::shrink(&ops);
                println!("seed {seed}: {}\nafter {small:#?}", difference.what);
                return false;
            }
        }
    }
    println!("{} seeds from {} passed; {}", arguments.runs, arguments.seed, pace(steps, begun));
    true
}

fn pace(steps: u64, begun: Instant) -> String {
    let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
    format!("{steps} steps in {} s, {} steps per second", millis / 1_000, steps * 1_000 / millis)
}

fn plan(arguments: &Arguments, seed: u64) -> Plan {
    let mut plan = Plan::of_seed(seed);
    plan.steps = arguments.steps.unwrap_or(plan.steps);
    plan.orders = arguments.orders.unwrap_or(plan.orders);
    arguments.without.iter().for_each(|fault| plan = plan.without(*fault));
    plan
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments {
        seed: 0,
        runs: 1,
        steps: None,
        orders: None,
        without: Vec::new(),
        trace: false,
        pure: false,
        database: Database::Memory,
    };
    while let Some(word) = words.next() {
        let flag = match word.as_str() {
            "--trace" => Some(&mut arguments.trace),
            "--pure" => Some(&mut arguments.pure),
            _ => None,
        };
        if let Some(flag) = flag {
            *flag = true;
            continue;
        }
        let value = words.next().ok_or(format!("{word} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{word} {value}: not a number"));
        let small = || u32::try_from(number()?).map_err(|_| format!("{word} {value}: too large"));
        match word.as_str() {
            "--seed" => arguments.seed = number()?,
            "--runs" => arguments.runs = number()?,
            "--steps" => arguments.steps = Some(small()?),
            "--orders" => arguments.orders = Some(small()?),
            "--postgres" => arguments.database = Database::Postgres(value.clone()),
            "--without" => {
                let read = |word: &str| Fault::parse(word).ok_or(format!("there is no fault {word:?}"));
                arguments.without = value.split(',').map(read).collect::<Result<_, _>>()?;
            }
            _ => return Err(format!("no such argument: {word}")),
        }
    }
    let plain = arguments.steps.is_none() && arguments.orders.is_none() && arguments.without.is_empty();
    if arguments.pure && !(plain && !arguments.trace && arguments.database == Database::Memory) {
        return Err("--pure goes with --seed and --runs alone".to_owned());
    }
    Ok(arguments)
}
