//! What the shop has said in answers that arrived: orders, payments, ends, codes. What it says later must fit.

use super::buyer::{Dice, Goods};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is known of one acknowledged order.
#[derive(Debug, Clone)]
pub struct Known {
    pub goods: Goods,
    /// Its payment was acknowledged.
    pub paid: bool,
    /// It was seen done, or waiting for a person: nothing changes by itself any more.
    pub ended: bool,
    pub code: Option<String>,
}

/// Shared by all buyers of all rounds.
#[derive(Default)]
pub struct Memory(Mutex<BTreeMap<String, Known>>);

impl Memory {
    /// A buyer that fails must not make the others fail for another reason.
    fn orders(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An order was acknowledged.
    pub fn placed(&self, id: &str, goods: Goods) {
        let known = Known { goods, paid: false, ended: false, code: None };
        let before = self.orders().insert(id.to_owned(), known);
        assert!(before.is_none(), "an order id was given twice");
    }

    /// A payment was acknowledged.
    pub fn paid(&self, id: &str) {
        self.orders().get_mut(id).expect("only what was placed is paid").paid = true;
    }

    /// What is known of an order now, before it is asked for again.
    pub fn known(&self, id: &str) -> Known {
        self.orders().get(id).expect("only what was placed is looked at").clone()
    }

    /// Takes in an order as the shop shows it; fails if that does not fit what was known `before` it was asked for.
    /// Two buyers may hear of one order in the other order than they are heard here, so nothing else is compared but the
    /// code, which has no before.
    pub fn told(&self, id: &str, before: &Known, order: &Value) {
        let state = order["order_state"].as_str().expect("an order has a state");
        let code = order["deliveries"][0]["deliverable"]["pin_code"].as_str();
        let is_end = matches!(state, "Done" | "WaitingForManualAction");
        assert!(!before.ended || is_end, "an order that had ended went back to {state}");
        let shows_code = state == "Done" && before.goods != Goods::TopUp;
        assert_eq!(code.is_some(), shows_code, "a code at Done, and only then");
        assert!(before.code.is_none() || code.is_some(), "a code that was shown is gone");
        let mut orders = self.orders();
        let known = orders.get_mut(id).expect("only what was placed is looked at");
        if let (Some(earlier), Some(code)) = (&known.code, code) {
            assert!(earlier == code, "a code that was shown has changed");
        }
        known.ended |= is_end;
        known.code = known.code.take().or_else(|| code.map(str::to_owned));
    }

    /// Some order that was acknowledged earlier.
    pub fn pick(&self, dice: &mut Dice) -> Option<String> {
        let orders = self.orders();
        let last = orders.len().checked_sub(1)?;
        let at = dice.between(0, last as u64);
        orders.keys().nth(at as usize).cloned()
    }

    /// Everything that was acknowledged.
    pub fn all(&self) -> Vec<(String, Known)> {
        self.orders().iter().map(|(id, known)| (id.clone(), known.clone())).collect()
    }

    /// How many orders of that kind were acknowledged.
    pub fn count_of(&self, goods: Goods) -> usize {
        self.orders().values().filter(|known| known.goods == goods).count()
    }

    /// Fails if two orders have shown one code.
    pub fn assert_no_code_twice(&self) {
        let orders = self.orders();
        let mut codes: Vec<&String> = orders.values().filter_map(|known| known.code.as_ref()).collect();
        let shown = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), shown, "a code was shown in two orders");
    }
}
