//! What one run is made of: a seed, how much happens, and which faults are on.
//!
//! Swarm testing: each seed switches on a random subset of the faults at random rates, so that rare combinations get
//! depth. A plan can be made smaller, and says itself as a command line.

use crate::rng::Rng;
use std::collections::BTreeMap;

/// What can go wrong outside the shop, or be done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The newest blocks, not confirmed yet, are replaced.
    Reorg,
    /// Confirmed blocks are replaced.
    DeepReorg,
    /// A network is seen some blocks behind.
    Lag,
    /// A network gives no answer, at times for longer than a payment window.
    Outage,
    /// Blocks that were handed over are handed over again.
    Duplicate,
    /// Payers send too little.
    Short,
    /// Payers send too much.
    Over,
    /// Payers send after the window.
    Late,
    /// Payers send twice.
    Twice,
    /// Payers send another token.
    WrongToken,
    /// Somebody sends a trifle.
    Dust,
    /// Money comes to the address of an order that is over.
    OldAddress,
    /// Suppliers deliver later.
    Pending,
    /// Suppliers refuse.
    Refuse,
    /// A call never reaches the supplier.
    LostCall,
    /// A call reaches the supplier and its answer is lost.
    LostAnswer,
    /// The supplier never knows what became of a call.
    NeverKnown,
    /// Lookups fail.
    LookupDown,
    /// A supplier's answer comes twice, or late.
    LateReport,
    /// A supplier takes back what it delivered.
    Reversal,
    /// The mail server takes mail later.
    MailLater,
    /// The mail server takes a mail, and the connection breaks before it says so.
    MailCutOff,
    /// The process dies, before or after any call and any commit.
    Crash,
    /// The clock of the shop jumps, both ways.
    ClockJump,
    /// The disk is full for a while.
    DiskFull,
    /// The disk dies, and a backup is put back: the shop is older than the world.
    Restore,
    /// Clients send the same order again under the same key.
    Retry,
    /// Clients send another order under a key that was used.
    OtherBody,
    /// Shoppers cancel while they pay.
    Cancel,
    /// Operators hold orders, release them, decide about lines.
    Operator,
    /// Payers of exchange orders say that they have paid, whether they have or not.
    Claim,
    /// An operator pays out by hand while nobody knows whether it was paid, and does not look.
    Override,
    /// The price of ether jumps.
    RatesMove,
    /// Rates are not heard of.
    RatesStop,
    /// Receivers of notifications give no answer; some had heard all the same.
    Deaf,
    /// A far network leaves out blocks without payments.
    Sparse,
    /// The tag of a network stands still, and jumps later.
    TagStands,
    /// A far network does not answer once.
    ScanFails,
    /// A far network never answers, and whoever asked gives up.
    ScanHangs,
    /// A far network does not show the payments of a block until the second look.
    KeepsBack,
    /// Whose an address is cannot be looked up.
    BookFails,
}

impl Fault {
    pub const ALL: [Fault; 41] = [
        Fault::Reorg,
        Fault::DeepReorg,
        Fault::Lag,
        Fault::Outage,
        Fault::Duplicate,
        Fault::Short,
        Fault::Over,
        Fault::Late,
        Fault::Twice,
        Fault::WrongToken,
        Fault::Dust,
        Fault::OldAddress,
        Fault::Pending,
        Fault::Refuse,
        Fault::LostCall,
        Fault::LostAnswer,
        Fault::NeverKnown,
        Fault::LookupDown,
        Fault::LateReport,
        Fault::Reversal,
        Fault::MailLater,
        Fault::MailCutOff,
        Fault::Crash,
        Fault::ClockJump,
        Fault::DiskFull,
        Fault::Restore,
        Fault::Retry,
        Fault::OtherBody,
        Fault::Cancel,
        Fault::Operator,
        Fault::Claim,
        Fault::Override,
        Fault::RatesMove,
        Fault::RatesStop,
        Fault::Deaf,
        Fault::Sparse,
        Fault::TagStands,
        Fault::ScanFails,
        Fault::ScanHangs,
        Fault::KeepsBack,
        Fault::BookFails,
    ];

    /// Its word on the command line.
    pub fn word(self) -> String {
        let mut word = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_uppercase() && !word.is_empty() {
                word.push('-');
            }
            word.extend(letter.to_lowercase());
        }
        word
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Fault> {
        Fault::ALL.into_iter().find(|fault| fault.word() == word)
    }
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub seed: u64,
    /// Things that happen before the faults stop.
    pub steps: u32,
    /// Most orders for goods that are placed, and most exchange orders.
    pub orders: u32,
    /// How often in a thousand chances each fault that is on happens.
    pub rates: BTreeMap<Fault, u32>,
}

impl Plan {
    /// The plan of a seed.
    pub fn of_seed(seed: u64) -> Plan {
        let mut rng = Rng::new(seed);
        // Half as much again as goods alone would take: the exchange office works, too.
        let (steps, orders) = (rng.between(150, 500) as u32 * 3 / 2, rng.between(2, 25) as u32);
        let mut rates = BTreeMap::new();
        // Some seeds are quiet and some wild.
        let wildness = rng.between(100, 700) as u32;
        for fault in Fault::ALL {
            let (on, rate) = (rng.happens(wildness), rng.between(20, 500) as u32);
            // A crash is a chance at every call and every commit.
            let rate = if fault == Fault::Crash { rate / 3 } else { rate };
            if on {
                rates.insert(fault, rate);
            }
        }
        Plan { seed, steps, orders, rates }
    }

    /// The rate of a fault, in a thousand; 0 if it is off.
    pub fn rate(&self, fault: Fault) -> u32 {
        self.rates.get(&fault).copied().unwrap_or(0)
    }

    /// The same with a fault switched off.
    pub fn without(&self, fault: Fault) -> Plan {
        let mut plan = self.clone();
        plan.rates.remove(&fault);
        plan
    }

    /// The arguments that repeat it.
    pub fn arguments(&self) -> String {
        let of_seed = Plan::of_seed(self.seed);
        let mut text = format!("--seed {}", self.seed);
        if self.steps != of_seed.steps {
            text.push_str(&format!(" --steps {}", self.steps));
        }
        if self.orders != of_seed.orders {
            text.push_str(&format!(" --orders {}", self.orders));
        }
        let off: Vec<String> =
            of_seed.rates.keys().filter(|fault| !self.rates.contains_key(fault)).map(|fault| fault.word()).collect();
        if !off.is_empty() {
            text.push_str(&format!(" --without {}", off.join(",")));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_fault_has_a_word_of_its_own() {
        let words: BTreeSet<String> = Fault::ALL.into_iter().map(Fault::word).collect();
        assert_eq!(words.len(), Fault::ALL.len());
        assert!(Fault::ALL.into_iter().all(|fault| Fault::parse(&fault.word()) == Some(fault)));
        assert_eq!(Fault::DeepReorg.word(), "deep-reorg");
    }

    #[test]
    fn every_fault_is_on_in_some_seed_and_off_in_another() {
        for fault in Fault::ALL {
            let on = (0..200).filter(|seed| Plan::of_seed(*seed).rate(fault) > 0).count();
            assert!((10..190).contains(&on), "{fault:?}: {on} of 200");
        }
    }

    #[test]
    fn a_smaller_plan_says_how_it_differs() {
        let plan = Plan::of_seed(7);
        assert_eq!(plan.arguments(), "--seed 7");
        let fault = *plan.rates.keys().next().expect("a fault is on");
        let smaller = Plan { steps: 9, orders: 1, ..plan.without(fault) };
        assert_eq!(smaller.arguments(), format!("--seed 7 --steps 9 --orders 1 --without {}", fault.word()));
    }
}
