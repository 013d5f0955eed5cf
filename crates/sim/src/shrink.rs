//! Makes a failing plan small: fewer faults, fewer orders, fewer steps, as long as the same rule breaks.

use crate::plan::Plan;
use crate::run::{Outcome, run};
use crate::shop::Database;

/// Runs a plan on an empty database.
pub fn run_on(database: &Database, plan: &Plan) -> Outcome {
    run(plan, database.open().expect("the database can be opened and emptied"))
}

/// The smallest plan found that fails, with what came of it.
pub fn shrink(database: &Database, plan: &Plan) -> (Plan, Outcome) {
    let mut best = (plan.clone(), run_on(database, plan));
    loop {
        let rule = rule_of(&best.1);
        let smaller = candidates(&best.0, &best.1).into_iter().find_map(|candidate| {
            let outcome = run_on(database, &candidate);
            (rule_of(&outcome) == rule).then_some((candidate, outcome))
        });
        match smaller {
            Some(found) => best = found,
            None => return best,
        }
    }
}

/// What broke, without the numbers of this run.
fn rule_of(outcome: &Outcome) -> Option<String> {
    outcome.failure.as_ref().map(|failure| failure.broken.chars().filter(|letter| !letter.is_ascii_digit()).collect())
}

/// Each is smaller than the plan.
fn candidates(plan: &Plan, outcome: &Outcome) -> Vec<Plan> {
    let mut candidates = Vec::new();
    let failed_at = outcome.failure.as_ref().map_or(plan.steps, |failure| failure.step);
    if failed_at < plan.steps {
        candidates.push(Plan { steps: failed_at, ..plan.clone() });
        candidates.push(Plan { steps: failed_at + 1, ..plan.clone() });
    }
    candidates.extend(plan.rates.keys().map(|fault| plan.without(*fault)));
    for part in [2, 4, 8] {
        candidates.push(Plan { orders: plan.orders - plan.orders / part, ..plan.clone() });
        candidates.push(Plan { steps: plan.steps - plan.steps / part, ..plan.clone() });
    }
    candidates.push(Plan { orders: plan.orders.saturating_sub(1), ..plan.clone() });
    candidates.push(Plan { steps: plan.steps.saturating_sub(1), ..plan.clone() });
    candidates.retain(|candidate| candidate != plan && candidate.orders > 0 && candidate.steps <= plan.steps);
    candidates
}
