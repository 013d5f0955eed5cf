//! Money back: the machine of one refund, and what is asked for.
//!
//! claim_open -> (due ->) approved -> sent -> (asking ->)* final (field-notes section 5), and rejected from wherever the
//! money still is. Paying is the machine of every payout. What an order's refunds may add up to is what its own account
//! owes its payer: one that is open holds its amount, so that two cannot give the same money back. Must never know an
//! address: those are sealed beside the order. Called by `order` and `decide`.

use crate::ids::AssetId;
use crate::payout::{Payout, PayoutReport, PayoutStep};
use crate::time::Time;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// Who a payer is called who claims for himself.
pub const PAYER: &str = "payer";

/// Refunds of one order: more are a mistake of whoever asks.
pub const MOST_REFUNDS: usize = 100;

/// One refund of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    pub asset: AssetId,
    /// What is owed less once it is final, at the ledger's scale.
    pub units: i64,
    /// What of it stays with the house for the network's fee; fees are the house's unless told otherwise.
    #[serde(default)]
    pub fee_units: i64,
    pub cause: Cause,
    pub destination: Destination,
    pub asked_by: String,
    pub asked_at: Time,
    /// Another person than `asked_by` has to approve it.
    pub needs_approval: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// The attempt for which the payer was last asked where to: a link of an earlier one opens nothing any more.
    #[serde(default, skip_serializing_if = "is_first")]
    pub claim_attempt: u32,
    /// When its last step was.
    pub since: Time,
    pub stage: Stage,
}

/// What a refund is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// All that was owed.
    Whole,
    /// An amount that a person named.
    Part,
    /// What came above the price.
    Excess,
    /// The price of a line that was not delivered.
    Line(u32),
}

/// Where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Destination {
    /// To the address that was given with the order.
    AtCreation,
    /// To the address that the payer enters on the claim page.
    Claim,
    /// To an address that an operator entered.
    Operator,
    /// An operator pays it by hand.
    ByHand,
}

/// Where a refund stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum Stage {
    /// The payer has yet to say where to. `attempt` is that of the first call.
    ClaimOpen { attempt: u32 },
    /// It is known where to, and another person has to approve it.
    Due { attempt: u32 },
    /// Approved: to be paid, on its way, or paid.
    Paying { payout: Payout },
    /// It is off; what it held is free again.
    Rejected { at: Time, by: String, note: String },
}

/// One step of a refund: an event without its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum RefundStep {
    Asked {
        asset: AssetId,
        units: i64,
        #[serde(default)]
        fee_units: i64,
        cause: Cause,
        destination: Destination,
        by: String,
        needs_approval: bool,
    },
    /// The payer has said where to; the address itself is sealed elsewhere.
    Addressed,
    Approved {
        by: String,
    },
    Rejected {
        by: String,
        note: String,
    },
    /// The payer is to enter another address.
    Reopened {
        by: String,
    },
    /// Written before anybody is told to pay, so that a crash after the call does not look like no call.
    Sent {
        attempt: u32,
        reference: String,
        deadline: Time,
    },
    /// It is under way, or nobody knows: ask again by our reference.
    Asking {
        unknown: bool,
        next_lookup: Time,
    },
    /// Nobody ever got our reference: the same call is made again.
    NeverArrived,
    /// Certainly not paid: a person decides what next.
    Failed {
        reason: String,
    },
    /// A person wants it tried again.
    Retried {
        by: String,
    },
    /// The payer has it.
    Final {
        /// The transaction, or what the operator named. No personal data.
        proof: String,
        /// Who paid it by hand.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
}

/// The house's rules for money back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefundPolicy {
    /// Refunds of one order that come to more US dollars than this need a second person.
    pub four_eyes_above_usd: Decimal,
}

impl Default for RefundPolicy {
    fn default() -> Self {
        RefundPolicy { four_eyes_above_usd: Decimal::ONE_HUNDRED }
    }
}

/// What is to be done about one refund.
#[derive(Debug, Clone)]
pub enum RefundAction {
    /// An operator asks for it. Its number must be the order's next, so that pressing twice asks once.
    Ask(Box<RefundWish>),
    /// The payer says where to; without a refund that waits for him this claims what is offered. `sealed` is the address, and
    /// `attempt` that of his link: 0 for what is offered.
    Claim {
        attempt: u32,
        sealed: String,
        policy: RefundPolicy,
    },
    /// Somebody else agrees to that attempt: it is the address that he has looked at, and no other.
    Approve {
        by: String,
        attempt: u32,
    },
    Reject {
        by: String,
        note: String,
    },
    /// The payer is to enter another address.
    Reopen {
        by: String,
    },
    Retry {
        by: String,
    },
    /// An operator paid it by hand. `proof` holds no personal data: it stays in the log.
    MarkPaid {
        by: String,
        proof: String,
    },
    /// Claim that attempt before anyone is told to pay. Another address has another attempt: whoever read an address begins
    /// no payment to the one that took its place.
    Begin {
        attempt: u32,
        patience: crate::fulfil::Patience,
    },
    /// What became known of the call that was claimed then.
    Report {
        sent_at: Time,
        report: PayoutReport,
        patience: crate::fulfil::Patience,
    },
    /// It cannot be paid as it stands; nobody was called.
    Impossible {
        reason: String,
    },
}

/// What an operator asks for.
#[derive(Debug, Clone)]
pub struct RefundWish {
    /// The order's own asset if none is named.
    pub asset: Option<AssetId>,
    pub share: Share,
    pub fee_units: i64,
    pub to: RefundTo,
    pub by: String,
    pub policy: RefundPolicy,
}

/// How much of what is owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    Whole,
    /// At the ledger's scale.
    Part(i64),
    Excess,
    Line(u32),
}

/// Where to.
#[derive(Debug, Clone)]
pub enum RefundTo {
    /// A checked address, sealed for this refund.
    Address {
        destination: Destination,
        sealed: String,
    },
    /// The payer says it on the claim page.
    Claim,
    ByHand,
}

impl Refund {
    /// What the payer gets.
    pub fn payable_units(&self) -> i64 {
        self.units - self.fee_units
    }

    /// Neither final nor rejected: it holds its amount.
    pub fn is_open(&self) -> bool {
        match &self.stage {
            Stage::ClaimOpen { .. } | Stage::Due { .. } => true,
            Stage::Paying { payout } => !payout.is_over(),
            Stage::Rejected { .. } => false,
        }
    }

    /// The payer has it.
    pub fn is_final(&self) -> bool {
        match &self.stage {
            Stage::Paying { payout } => payout.is_over(),
            Stage::ClaimOpen { .. } | Stage::Due { .. } | Stage::Rejected { .. } => false,
        }
    }

    /// Open or final.
    pub fn counts(&self) -> bool {
        !matches!(self.stage, Stage::Rejected { .. })
    }

    /// What is paid, once it is approved.
    pub fn payout(&self) -> Option<&Payout> {
        match &self.stage {
            Stage::Paying { payout } => Some(payout),
            Stage::ClaimOpen { .. } | Stage::Due { .. } | Stage::Rejected { .. } => None,
        }
    }

    /// Which try it is; another address never has the attempt of one before. 0 for one that is over.
    pub fn attempt(&self) -> u32 {
        attempt_of(&self.stage)
    }

    /// The word for people and programs.
    pub fn word(&self) -> &'static str {
        match &self.stage {
            Stage::ClaimOpen { .. } => "claim_open",
            Stage::Due { .. } => "due",
            Stage::Rejected { .. } => "rejected",
            Stage::Paying { payout } => match payout {
                Payout::Planned { .. } => "approved",
                Payout::Sent { .. } | Payout::Asking { .. } => "sent",
                Payout::Failed { .. } => "failed",
                Payout::Done { .. } | Payout::Returned { .. } => "final",
            },
        }
    }

    /// The refund that a first step makes; none for any other.
    pub fn asked(step: &RefundStep, at: Time) -> Option<Refund> {
        let RefundStep::Asked { asset, units, fee_units, cause, destination, by, needs_approval } = step else {
            return None;
        };
        let mut refund = Refund {
            asset: asset.clone(),
            units: *units,
            fee_units: *fee_units,
            cause: *cause,
            destination: *destination,
            asked_by: by.clone(),
            asked_at: at,
            needs_approval: *needs_approval,
            approved_by: None,
            claim_attempt: 0,
            since: at,
            stage: Stage::ClaimOpen { attempt: 0 },
        };
        if *destination != Destination::Claim {
            refund.stage = refund.addressed(0);
        }
        Some(refund)
    }

    fn addressed(&self, attempt: u32) -> Stage {
        if self.needs_approval {
            return Stage::Due { attempt };
        }
        Stage::Paying { payout: Payout::Planned { attempt } }
    }

    /// The refund after a step. Panics on a step that is not legal here.
    pub fn after(&self, step: &RefundStep, at: Time) -> Refund {
        let mut next = self.clone();
        next.since = at;
        next.stage = match (step, &self.stage) {
            (RefundStep::Addressed, Stage::ClaimOpen { attempt }) => self.addressed(*attempt),
            (RefundStep::Approved { by }, Stage::Due { attempt }) => {
                next.approved_by = Some(by.clone());
                Stage::Paying { payout: Payout::Planned { attempt: *attempt } }
            }
            (RefundStep::Rejected { by, note }, stage) if is_at_rest(stage) => {
                Stage::Rejected { at, by: by.clone(), note: note.clone() }
            }
            (RefundStep::Reopened { .. }, stage) if is_at_rest(stage) => {
                next.destination = Destination::Claim;
                next.approved_by = None;
                // Never the same reference for another address, and never the same link.
                next.claim_attempt = attempt_of(stage) + 1;
                Stage::ClaimOpen { attempt: next.claim_attempt }
            }
            (step, Stage::Paying { payout }) => match step.of_payout() {
                Some(step) => Stage::Paying { payout: payout.after(&step, at) },
                None => panic!("{step:?} is not legal for a refund that is {:?}", self.stage),
            },
            (step, stage) => panic!("{step:?} is not legal for a refund that is {stage:?}"),
        };
        next
    }
}

// Serde hands the value over by reference.
fn is_first(attempt: &u32) -> bool {
    *attempt == 0
}

/// Nobody was called who may still pay: it can be rejected, or sent elsewhere.
pub fn is_at_rest(stage: &Stage) -> bool {
    match stage {
        Stage::ClaimOpen { .. } | Stage::Due { .. } => true,
        Stage::Paying { payout } => matches!(payout, Payout::Planned { .. } | Payout::Failed { .. }),
        Stage::Rejected { .. } => false,
    }
}

fn attempt_of(stage: &Stage) -> u32 {
    match stage {
        Stage::ClaimOpen { attempt } | Stage::Due { attempt } => *attempt,
        Stage::Paying { payout } => match payout {
            Payout::Planned { attempt }
            | Payout::Sent { attempt, .. }
            | Payout::Asking { attempt, .. }
            | Payout::Failed { attempt, .. } => *attempt,
            Payout::Done { .. } | Payout::Returned { .. } => 0,
        },
        Stage::Rejected { .. } => 0,
    }
}

impl RefundStep {
    fn of_payout(&self) -> Option<PayoutStep> {
        Some(match self {
            RefundStep::Sent { attempt, reference, deadline } => {
                PayoutStep::Sent { attempt: *attempt, reference: reference.clone(), deadline: *deadline }
            }
            RefundStep::Asking { unknown, next_lookup } => {
                PayoutStep::Asking { unknown: *unknown, next_lookup: *next_lookup }
            }
            RefundStep::NeverArrived => PayoutStep::NeverArrived,
            RefundStep::Failed { reason } => PayoutStep::Failed { reason: reason.clone() },
            RefundStep::Retried { .. } => PayoutStep::Retried,
            RefundStep::Final { proof, .. } => PayoutStep::Done { proof: proof.clone() },
            RefundStep::Asked { .. }
            | RefundStep::Addressed
            | RefundStep::Approved { .. }
            | RefundStep::Rejected { .. }
            | RefundStep::Reopened { .. } => return None,
        })
    }
}

/// Our own reference for one attempt: `r<order number>-<refund>-<attempt>`, the same after a restart.
pub fn reference(order_no: i64, refund: u32, attempt: u32) -> String {
    format!("r{order_no}-{refund}-{attempt}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;

    const NOW: Time = Time(1_000);

    fn example() -> Refund {
        asked(Destination::Claim, true)
    }

    fn asked(destination: Destination, needs_approval: bool) -> Refund {
        let step = RefundStep::Asked {
            asset: AssetId::new("test:base/usdc"),
            units: 5_000_000,
            fee_units: 0,
            cause: Cause::Whole,
            destination,
            by: "ann".to_owned(),
            needs_approval,
        };
        Refund::asked(&step, NOW).expect("a first step")
    }

    /// Where a refund is after some steps, and whether it still holds its amount.
    fn words(mut refund: Refund, steps: &[RefundStep]) -> Vec<(&'static str, bool)> {
        let mut words = vec![(refund.word(), refund.is_open())];
        for step in steps {
            refund = refund.after(step, NOW);
            words.push((refund.word(), refund.is_open()));
        }
        words
    }

    #[test]
    fn a_refund_goes_its_way_and_holds_its_amount_until_its_end() {
        let sent = |attempt| RefundStep::Sent { attempt, reference: reference(7, 0, attempt), deadline: NOW };
        let by = || "bob".to_owned();
        let done = || RefundStep::Final { proof: "0x1".to_owned(), by: None };
        let failed = || RefundStep::Failed { reason: "no".to_owned() };
        assert_eq!(
            words(
                asked(Destination::Claim, true),
                &[
                    RefundStep::Addressed,
                    RefundStep::Approved { by: by() },
                    sent(0),
                    RefundStep::Asking { unknown: true, next_lookup: NOW },
                    RefundStep::NeverArrived,
                    sent(0),
                    done(),
                ]
            ),
            [
                ("claim_open", true),
                ("due", true),
                ("approved", true),
                ("sent", true),
                ("sent", true),
                ("approved", true),
                ("sent", true),
                ("final", false)
            ]
        );
        assert_eq!(
            words(
                asked(Destination::AtCreation, false),
                &[
                    sent(0),
                    failed(),
                    RefundStep::Retried { by: by() },
                    sent(1),
                    failed(),
                    RefundStep::Reopened { by: by() },
                    RefundStep::Addressed,
                    sent(2),
                    done(),
                ]
            ),
            [
                ("approved", true),
                ("sent", true),
                ("failed", true),
                ("approved", true),
                ("sent", true),
                ("failed", true),
                ("claim_open", true),
                ("approved", true),
                ("sent", true),
                ("final", false)
            ]
        );
        let rejected = RefundStep::Rejected { by: by(), note: "a mistake".to_owned() };
        assert_eq!(words(asked(Destination::Claim, false), &[rejected]), [("claim_open", true), ("rejected", false)]);
    }

    #[test]
    fn each_address_that_is_asked_for_has_an_attempt_of_its_own() {
        let by = || "bob".to_owned();
        let first = asked(Destination::Claim, true).after(&RefundStep::Addressed, NOW);
        let again = first.after(&RefundStep::Reopened { by: by() }, NOW);
        assert_eq!((first.claim_attempt, again.claim_attempt), (0, 1));
        // A retry has another attempt for the same address.
        let steps = [
            RefundStep::Addressed,
            RefundStep::Approved { by: by() },
            RefundStep::Failed { reason: "no".to_owned() },
            RefundStep::Retried { by: by() },
        ];
        let retried = steps.iter().fold(again, |refund, step| refund.after(step, NOW));
        assert_eq!((retried.claim_attempt, retried.attempt()), (1, 2));
        assert_eq!(retried.after(&RefundStep::Reopened { by: by() }, NOW).claim_attempt, 3);
    }

    #[test]
    fn what_may_be_on_its_way_is_neither_rejected_nor_sent_elsewhere() {
        let on_its_way = asked(Destination::AtCreation, false)
            .after(&RefundStep::Sent { attempt: 0, reference: reference(7, 0, 0), deadline: NOW }, NOW);
        for step in [
            RefundStep::Rejected { by: "bob".to_owned(), note: "late".to_owned() },
            RefundStep::Reopened { by: "bob".to_owned() },
            RefundStep::Addressed,
            RefundStep::Approved { by: "bob".to_owned() },
        ] {
            let applied = std::panic::catch_unwind(|| on_its_way.after(&step, NOW));
            assert!(applied.is_err(), "{step:?}");
        }
    }

    #[test]
    fn what_is_written_down_is_read_again_as_it_was() {
        let by = || "bob".to_owned();
        let asked = |cause, destination| RefundStep::Asked {
            asset: AssetId::new("test:base/usdc"),
            units: i64::MAX,
            fee_units: 1,
            cause,
            destination,
            by: by(),
            needs_approval: true,
        };
        let steps = [
            asked(Cause::Whole, Destination::AtCreation),
            asked(Cause::Part, Destination::Claim),
            asked(Cause::Excess, Destination::Operator),
            asked(Cause::Line(7), Destination::ByHand),
            RefundStep::Addressed,
            RefundStep::Approved { by: by() },
            RefundStep::Rejected { by: by(), note: "no".to_owned() },
            RefundStep::Reopened { by: by() },
            RefundStep::Sent { attempt: 3, reference: reference(7, 0, 3), deadline: NOW },
            RefundStep::Asking { unknown: true, next_lookup: NOW },
            RefundStep::NeverArrived,
            RefundStep::Failed { reason: "no".to_owned() },
            RefundStep::Retried { by: by() },
            RefundStep::Final { proof: "0x1".to_owned(), by: None },
            RefundStep::Final { proof: "0x1".to_owned(), by: Some(by()) },
        ];
        for step in steps {
            let event = Event::Refund { refund: 2, step };
            let text = serde_json::to_string(&event).expect("JSON");
            assert_eq!(serde_json::from_str::<Event>(&text).expect("an event"), event, "{text}");
            assert!(text.contains(&format!("\"type\":\"{}\"", event.kind())), "{text}");
        }
        let refund = |stage| Refund { stage, ..example() };
        let sent = Payout::Sent { attempt: 1, reference: reference(7, 0, 1), sent_at: NOW, deadline: NOW };
        for refund in [
            refund(Stage::ClaimOpen { attempt: 1 }),
            refund(Stage::Due { attempt: 1 }),
            refund(Stage::Paying { payout: Payout::Planned { attempt: 1 } }),
            refund(Stage::Paying { payout: sent }),
            refund(Stage::Rejected { at: NOW, by: by(), note: "no".to_owned() }),
        ] {
            let text = serde_json::to_string(&refund).expect("JSON");
            assert_eq!(serde_json::from_str::<Refund>(&text).expect("a refund"), refund, "{text}");
        }
    }

    #[test]
    fn names_say_which_order_which_refund_and_which_attempt() {
        assert_eq!(reference(1_001, 2, 3), "r1001-2-3");
    }
}
