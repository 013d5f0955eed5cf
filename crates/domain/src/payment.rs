//! Money in: what was seen at an order's address, what of it is confirmed, and what follows from amounts and block times.
//!
//! Short, over, late and second payments are derived here, never stored, so that combined cases stay readable
//! (field-notes section 2). Must never look at the time of processing: late means the block was late.

use crate::event::Seen;
use crate::ids::{AssetId, TransferId};
use crate::time::{Span, Time};
use serde::{Deserialize, Serialize};

/// How far past the end of the window a block may be and still count as on time: clocks of chains differ.
pub const BLOCK_TIME_GRACE: Span = Span::seconds(60);

/// How long after the window a payment can still settle an order, if the rate hardly moved (field-notes section 5).
pub const LATE_WINDOW: Span = Span::minutes(30);

/// The rate must have moved by less than this for a late payment to settle, in basis points.
pub const LATE_RATE_BPS: i64 = 100;

/// Where a transfer stands on its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferStatus {
    Seen,
    Confirmed,
    Reverted,
}

impl TransferStatus {
    /// The word in the database.
    pub fn word(self) -> &'static str {
        match self {
            TransferStatus::Seen => "seen",
            TransferStatus::Confirmed => "confirmed",
            TransferStatus::Reverted => "reverted",
        }
    }

    /// Reads the word of the database.
    pub fn parse(word: &str) -> Option<Self> {
        [TransferStatus::Seen, TransferStatus::Confirmed, TransferStatus::Reverted]
            .into_iter()
            .find(|s| s.word() == word)
    }
}

/// One transfer to the order's address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    pub transfer: TransferId,
    pub asset: AssetId,
    pub units: i64,
    pub block_at: Time,
    pub status: TransferStatus,
}

/// Everything that came in for one order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Payment {
    pub received: Vec<Received>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expired_at: Option<Time>,
    /// Nothing can settle it by itself any more.
    #[serde(default)]
    pub closed: bool,
}

/// What is unusual about a payment. Several may hold at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentReason {
    Short,
    Over,
    Late,
    Second,
    WrongAsset,
    Reverted,
}

impl Payment {
    /// Confirmed units of `asset` in blocks no later than `until`.
    pub fn confirmed_until(&self, asset: &AssetId, until: Time) -> i64 {
        self.of(asset).filter(|r| r.status == TransferStatus::Confirmed && r.block_at <= until).map(|r| r.units).sum()
    }

    /// All confirmed units of `asset`.
    pub fn confirmed(&self, asset: &AssetId) -> i64 {
        self.confirmed_until(asset, Time(i64::MAX))
    }

    /// Confirmed and unconfirmed units of `asset`.
    pub fn seen(&self, asset: &AssetId) -> i64 {
        self.of(asset).filter(|r| r.status != TransferStatus::Reverted).map(|r| r.units).sum()
    }

    /// Whether something is on the chain, in a block no later than `until`, but not yet confirmed. What came later cannot
    /// be on time any more: whoever sends a unit each minute must not keep an order open.
    pub fn awaits_confirmation(&self, asset: &AssetId, until: Time) -> bool {
        self.of(asset).any(|r| r.status == TransferStatus::Seen && r.block_at <= until)
    }

    /// Whether that transfer counts.
    pub fn is_confirmed(&self, transfer: &TransferId) -> bool {
        self.received.iter().any(|r| r.transfer == *transfer && r.status == TransferStatus::Confirmed)
    }

    /// Notes a transfer, or its new standing.
    pub fn record(&mut self, seen: &Seen, status: TransferStatus) {
        match self.received.iter_mut().find(|received| received.transfer == seen.transfer) {
            Some(known) => {
                known.status = status;
                known.units = seen.units;
                known.block_at = seen.block_at;
            }
            None => self.received.push(Received {
                transfer: seen.transfer.clone(),
                asset: seen.asset.clone(),
                units: seen.units,
                block_at: seen.block_at,
                status,
            }),
        }
    }

    /// Marks a transfer as gone.
    pub fn revert(&mut self, transfer: &TransferId) {
        for received in self.received.iter_mut().filter(|received| received.transfer == *transfer) {
            received.status = TransferStatus::Reverted;
        }
    }

    /// Everything that is unusual, derived from amounts and block times.
    pub fn reasons(&self, terms: &Terms) -> Vec<PaymentReason> {
        let mut reasons = Vec::new();
        let confirmed = self.confirmed(&terms.asset);
        let on_time_until = terms.expires_at + BLOCK_TIME_GRACE;
        let live = |r: &&Received| r.status != TransferStatus::Reverted;
        let own: Vec<&Received> = self.of(&terms.asset).filter(live).collect();
        if confirmed > 0 && confirmed < terms.due_units - terms.tolerance_units {
            reasons.push(PaymentReason::Short);
        }
        if confirmed > terms.due_units {
            reasons.push(PaymentReason::Over);
        }
        if own.iter().any(|r| r.block_at > on_time_until) {
            reasons.push(PaymentReason::Late);
        }
        let first_is_enough = own.first().is_some_and(|r| r.units >= terms.due_units - terms.tolerance_units);
        if first_is_enough && own.len() > 1 {
            reasons.push(PaymentReason::Second);
        }
        if self.received.iter().filter(live).any(|r| r.asset != terms.asset) {
            reasons.push(PaymentReason::WrongAsset);
        }
        if self.received.iter().any(|r| r.status == TransferStatus::Reverted) {
            reasons.push(PaymentReason::Reverted);
        }
        reasons
    }

    fn of<'a>(&'a self, asset: &'a AssetId) -> impl Iterator<Item = &'a Received> + 'a {
        self.received.iter().filter(move |received| received.asset == *asset)
    }
}

/// What was agreed: how much of what, until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    pub asset: AssetId,
    pub due_units: i64,
    pub tolerance_units: i64,
    pub expires_at: Time,
    pub late_window: Span,
}

/// What the confirmed money amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Not enough, whenever it came.
    NotEnough,
    /// Enough in blocks of the window.
    Enough,
    /// Enough, but only with blocks after the window, all of them within the late window.
    EnoughLate,
    /// Enough, but only with blocks even after the late window.
    TooLate,
}

impl Payment {
    /// Compares confirmed money with the terms.
    pub fn standing(&self, terms: &Terms) -> Standing {
        let needed = terms.due_units - terms.tolerance_units;
        let on_time_until = terms.expires_at + BLOCK_TIME_GRACE;
        if self.confirmed_until(&terms.asset, on_time_until) >= needed {
            Standing::Enough
        } else if self.confirmed_until(&terms.asset, on_time_until + terms.late_window) >= needed {
            Standing::EnoughLate
        } else if self.confirmed(&terms.asset) >= needed {
            Standing::TooLate
        } else {
            Standing::NotEnough
        }
    }
}

/// What a payer may leave out: the smaller of 0.5 % and 0.50 USD, in units of the order's asset.
pub fn tolerance_units(due_units: i64, half_a_dollar_units: i64) -> i64 {
    (due_units / 200).min(half_a_dollar_units).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms() -> Terms {
        Terms {
            asset: AssetId::new("usdc"),
            due_units: 100_000_000,
            tolerance_units: 500_000,
            expires_at: Time(1_000_000),
            late_window: LATE_WINDOW,
        }
    }

    /// Each row: (units in millions, block time in seconds after the end of the window, status).
    fn paid(rows: &[(i64, i64, TransferStatus)]) -> Payment {
        let mut payment = Payment::default();
        for (at, (millions, late_s, status)) in rows.iter().enumerate() {
            let seen = Seen {
                transfer: TransferId::new(format!("t{at}")),
                asset: AssetId::new("usdc"),
                units: millions * 1_000_000,
                block_at: Time(1_000_000) + Span::seconds(*late_s),
            };
            payment.record(&seen, *status);
        }
        payment
    }

    /// What was paid, and what follows.
    type Row<'a> = (&'a str, &'a [(i64, i64, TransferStatus)], Standing, &'a [PaymentReason]);

    #[test]
    fn amounts_and_block_times_give_the_standing_and_the_reasons() {
        use PaymentReason::*;
        use Standing::*;
        use TransferStatus::{Confirmed, Reverted as Gone, Seen as Open};
        let table: &[Row<'_>] = &[
            ("nothing", &[], NotEnough, &[]),
            ("exact", &[(100, -5, Confirmed)], Enough, &[]),
            ("exact, not confirmed", &[(100, -5, Open)], NotEnough, &[]),
            ("short", &[(50, -5, Confirmed)], NotEnough, &[Short]),
            ("short, then the rest", &[(50, -5, Confirmed), (50, -1, Confirmed)], Enough, &[]),
            ("over", &[(150, -5, Confirmed)], Enough, &[Over]),
            ("twice", &[(100, -5, Confirmed), (100, -1, Confirmed)], Enough, &[Over, Second]),
            ("59 s after the window is on time", &[(100, 59, Confirmed)], Enough, &[]),
            ("61 s after the window is late", &[(100, 61, Confirmed)], EnoughLate, &[Late]),
            ("an hour after the window is too late", &[(100, 3_600, Confirmed)], TooLate, &[Late]),
            ("half on time, half late", &[(50, -5, Confirmed), (50, 600, Confirmed)], EnoughLate, &[Late]),
            ("short and late", &[(50, 600, Confirmed)], NotEnough, &[Short, Late]),
            ("gone", &[(100, -5, Gone)], NotEnough, &[Reverted]),
        ];
        for (name, rows, standing, reasons) in table {
            let payment = paid(rows);
            assert_eq!(payment.standing(&terms()), *standing, "{name}");
            assert_eq!(payment.reasons(&terms()), *reasons, "{name}");
        }
    }

    #[test]
    fn the_tolerance_is_capped_both_ways() {
        assert_eq!(tolerance_units(10_000_000, 500_000), 50_000);
        assert_eq!(tolerance_units(1_000_000_000, 500_000), 500_000);
    }

    #[test]
    fn the_same_transfer_in_another_block_is_one_transfer() {
        let mut payment = paid(&[(100, -5, TransferStatus::Reverted)]);
        let again = Seen {
            transfer: TransferId::new("t0"),
            asset: AssetId::new("usdc"),
            units: 100_000_000,
            block_at: Time(999_000),
        };
        payment.record(&again, TransferStatus::Confirmed);
        assert_eq!(payment.confirmed(&AssetId::new("usdc")), 100_000_000);
    }
}
