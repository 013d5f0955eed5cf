//! Wishes on which core and model once differed, made small, with what was wrong. They hold now and stay.

use super::Op;
use domain::payment::TransferStatus::{Confirmed, Reverted, Seen};

/// What was wrong, and the wishes that showed it.
pub fn all() -> Vec<(&'static str, Vec<Op>)> {
    vec![late_before_early(), counted_twice()]
}

/// Found by the other simulation, seed 1372.
fn late_before_early() -> (&'static str, Vec<Op>) {
    (
        "late money that was weighed first let go of the code that money in time had paid for",
        vec![
            Op::Place { key: 0, body: 0, buyer: 0, visitor: 0, coupon: false, brands: vec![0; 6] },
            Op::Pay { order: 0, per_mille: 1_000, right_token: true },
            Op::Turn { transfer: 0, status: Confirmed },
            Op::Pass { seconds: 7_200 },
            Op::Pay { order: 0, per_mille: 1_000, right_token: true },
            Op::Turn { transfer: 1, status: Confirmed },
            Op::Credit { transfer: 1 },
            Op::Place { key: 1, body: 0, buyer: 1, visitor: 1, coupon: false, brands: vec![0; 6] },
            Op::Credit { transfer: 0 },
        ],
    )
}

fn counted_twice() -> (&'static str, Vec<Op>) {
    (
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
    )
}
