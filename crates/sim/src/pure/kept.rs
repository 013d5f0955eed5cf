//! Wishes on which core and model once differed, made small, with what was wrong. They hold now and stay.

use super::Op;
use domain::payment::TransferStatus::{Confirmed, Reverted, Seen};

/// What was wrong, and the wishes that showed it.
pub fn all() -> Vec<(&'static str, Vec<Op>)> {
    vec![(
        "confirmed money that vanished and was seen again before anybody looked was counted twice",
        vec![
            Op::Place { key: 0, body: 0, buyer: 0, visitor: 0, coupon: false, brands: vec![2] },
            Op::Pay { order: 0, per_mille: 1_000, right_token: true },
            Op::Turn { transfer: 0, status: Confirmed },
            Op::Credit { transfer: 0 },
            Op::Turn { transfer: 0, status: Reverted },
            Op::Turn { transfer: 0, status: Seen },
            Op::Credit { transfer: 0 },
            Op::Turn { transfer: 0, status: Confirmed },
            Op::Credit { transfer: 0 },
        ],
    )]
}
