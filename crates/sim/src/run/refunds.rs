//! Operators who give money back: they ask for what orders of goods owe, agree, try again what failed, call off what they
//! should not have asked for, and press all of it too often. Payers claim what is offered to them.

use super::{Run, told};
use crate::check::Broken;
use domain::asset::ChainKind;
use domain::decide::Command;
use domain::ids::OrderId;
use domain::order::Order;
use domain::payout::Payout;
use domain::refund::{Destination, RefundAction, RefundPolicy, RefundTo, RefundWish, Share, Stage};
use server::wallet::throwaway_solana_address;

/// Above so many dollars two people must agree.
const FOUR_EYES_USD: i64 = 10;

impl Run {
    pub(super) fn money_goes_back(&mut self) -> Result<String, Broken> {
        let is_concerned =
            |order: &&Order| order.trade().is_none() && (order.credit_units > 0 || !order.refunds.is_empty());
        let concerned: Vec<OrderId> = self.mirror.orders.values().filter(is_concerned).map(|order| order.id).collect();
        let Some(order) = self.rng.pick(&concerned).and_then(|id| self.mirror.orders.get(id)).cloned() else {
            return Ok("nobody is owed anything".to_owned());
        };
        let (what, number, action) = self.about_money_back(&order);
        let no = order.no;
        // What a payer claimed himself, anybody of the house may approve.
        let asked_by = order.refund(number).map(|refund| refund.asked_by.as_str());
        let self_approved = matches!(&action, RefundAction::Approve { by, .. } if asked_by == Some(by));
        let answers = self.submit(vec![Command::Refund { order: order.id, refund: number, action }]);
        if self_approved && answers.as_ref().is_some_and(|answers| answers.iter().any(Result::is_ok)) {
            return Err(format!("whoever asked for refund {number} of order {no} approved it, too"));
        }
        Ok(format!("the office {what} {number} of {no}: {}", told(answers)))
    }

    /// What somebody does about an order's money: mostly what is next.
    fn about_money_back(&mut self, order: &Order) -> (&'static str, u32, RefundAction) {
        let next = order.refunds.len() as u32;
        let open: Vec<u32> = (0..next).filter(|at| order.refund(*at).is_some_and(|refund| refund.is_open())).collect();
        let known = self.rng.pick(&open).copied().filter(|_| self.rng.happens(700));
        let Some(number) = known else { return self.new_refund(order, next) };
        let (by, note) = ("bob".to_owned(), "not this one".to_owned());
        if self.rng.happens(50) {
            return ("calls off refund", number, RefundAction::Reject { by, note });
        }
        match order.refund(number).map(|refund| &refund.stage) {
            Some(Stage::ClaimOpen { .. }) => self.claim(order, number),
            // He who asked presses, too.
            Some(Stage::Due { attempt }) if self.rng.happens(200) => {
                ("agrees to its own refund", number, RefundAction::Approve { by: "ann".to_owned(), attempt: *attempt })
            }
            Some(Stage::Due { attempt }) => {
                ("agrees to refund", number, RefundAction::Approve { by, attempt: *attempt })
            }
            Some(Stage::Paying { payout: Payout::Failed { .. } }) if self.rng.happens(300) => {
                ("wants another address for refund", number, RefundAction::Reopen { by })
            }
            _ => ("tries again refund", number, RefundAction::Retry { by }),
        }
    }

    fn new_refund(&mut self, order: &Order, number: u32) -> (&'static str, u32, RefundAction) {
        if order.offered_units() > 0 && self.rng.happens(300) {
            return self.claim(order, number);
        }
        let left = order.refundable_units(&order.quote.asset);
        let share = match self.rng.below(4) {
            0 => Share::Whole,
            1 => Share::Excess,
            2 => Share::Line(self.rng.below(order.lines.len() as u64) as u32),
            // More than there is, too.
            _ => Share::Part(self.rng.between(1, left.max(1) * 5 / 4 + 1)),
        };
        let to = match self.rng.happens(300) {
            true => RefundTo::Claim,
            false => {
                let sealed = self.sealed_address(order, number);
                RefundTo::Address { destination: Destination::Operator, sealed }
            }
        };
        let wish = RefundWish { asset: None, share, fee_units: 0, to, by: "ann".to_owned(), policy: policy() };
        ("asks for refund", number, RefundAction::Ask(Box::new(wish)))
    }

    fn claim(&mut self, order: &Order, number: u32) -> (&'static str, u32, RefundAction) {
        let attempt = order.refund(number).map_or(0, |refund| refund.claim_attempt);
        let sealed = self.sealed_address(order, number);
        ("hears where to from the payer: refund", number, RefundAction::Claim { attempt, sealed, policy: policy() })
    }

    /// A new address for a refund, and a note of it.
    fn sealed_address(&mut self, order: &Order, number: u32) -> String {
        let market = self.shop().market();
        let kind = market.rails.network_by_id(&order.quote.network_id).map_or(ChainKind::Evm, |network| network.kind);
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.rng.number().to_be_bytes());
        let address = match kind {
            ChainKind::Evm => format!("0x{}", server::entropy::to_hex(&seed[..20])),
            ChainKind::Svm => throwaway_solana_address(seed),
        };
        self.mirror.refunds.addresses.entry((order.no, number)).or_default().insert(address.to_lowercase());
        let (vault, id) = (self.shop().vault.clone(), order.id);
        let sealed = self.shop().read(move |tx| Ok(vault.seal_refund_address(tx, id, number, &address)));
        sealed.expect("the order's key opens")
    }
}

fn policy() -> RefundPolicy {
    RefundPolicy { four_eyes_above_usd: FOUR_EYES_USD.into() }
}
