//! What a partner earns by an exchange that his visitor makes (contract 9): agreed when the order is placed, so that another
//! percentage changes no order that is there. US dollars are `Fiat`: units of 10^-4.

use super::{Trade, unit_usd};
use crate::money::{Currency, Fiat};
use crate::time::Time;
use crate::validate::Market;
use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

/// What is agreed with the partner who brought an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commission {
    /// His part of what is received, in hundredths of a percent.
    pub bps: u32,
    /// One unit of the received currency in US dollars, when the order was placed; 0 if nobody knew.
    pub usd_rate: Decimal,
}

impl Commission {
    /// What the office gives now for orders that pay out this currency.
    pub fn agreed(xml: &str, market: &Market, now: Time) -> Commission {
        let exchange = &market.exchange;
        let rate = |priced_as: &str| unit_usd(priced_as, &market.rails, &market.rates, now).ok();
        let usd_rate = exchange.currency(xml).and_then(|to| rate(&to.priced_as)).unwrap_or_default();
        Commission { bps: exchange.affiliate_bps, usd_rate }
    }

    fn part_of(&self, units: i64) -> i64 {
        let part = i128::from(units) * i128::from(self.bps) / 10_000;
        i64::try_from(part).expect("below 100 percent of an i64")
    }
}

impl Trade {
    /// What is received, in US dollars at the rate of placing, rounded down. 0 for an order that nobody brought, and where no
    /// rate was known.
    pub fn received_usd(&self) -> Fiat {
        let received = Decimal::new(self.to.units, self.to.decimals);
        let usd = self.commission.as_ref().and_then(|agreed| received.checked_mul(agreed.usd_rate)).unwrap_or_default();
        let usd = Fiat::from_decimal(usd, Currency::USD, RoundingStrategy::ToZero);
        usd.unwrap_or(Fiat { currency: Currency::USD, units: 0 })
    }

    /// What its partner earns once it is paid out, rounded down.
    pub fn reward_usd(&self) -> Fiat {
        let received = self.received_usd();
        let units = self.commission.as_ref().map_or(0, |agreed| agreed.part_of(received.units));
        Fiat { units, ..received }
    }

    /// The same in units of the received currency, rounded down.
    pub fn reward_units(&self) -> i64 {
        self.commission.as_ref().map_or(0, |agreed| agreed.part_of(self.to.units))
    }
}

/// The partner, and the day (UTC) on which what he brought was placed: what an order adds is added there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartnerDay {
    /// An account's id.
    pub partner: String,
    /// `YYYY-MM-DD`.
    pub day: String,
}

/// What orders add to the figures of the partner who brought them. `_usd_units` of 10^-4 US dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Referred {
    pub placed: i64,
    /// Of those, paid out.
    pub done: i64,
    /// What these received.
    pub exchanged_usd_units: i64,
    /// What will be earned by orders that are paid and not paid out yet.
    pub waiting_usd_units: i64,
    pub earned_usd_units: i64,
}

impl Referred {
    /// Adds so many times another's figures; -1 takes them away.
    pub fn add(&mut self, other: &Referred, times: i64) {
        self.placed += times * other.placed;
        self.done += times * other.done;
        self.exchanged_usd_units += times * other.exchanged_usd_units;
        self.waiting_usd_units += times * other.waiting_usd_units;
        self.earned_usd_units += times * other.earned_usd_units;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{AssetId, NetworkId, ObjectId};
    use crate::route::{DealRate, Side};

    fn side(units: i64, decimals: u32) -> Side {
        Side {
            currency: ObjectId::new("67addeeb3887c106317a1343"),
            xml: "X".to_owned(),
            name: "X".to_owned(),
            symbol: "X".to_owned(),
            decimals,
            units,
            asset: AssetId::new("manual/X"),
            network: NetworkId::new("manual"),
            scale: decimals,
        }
    }

    /// An exchange of 100 for so much.
    fn trade(units: i64, decimals: u32, commission: Option<Commission>) -> Trade {
        Trade {
            route: ObjectId::new("67addfff3887c106317a1588"),
            from: side(10_000, 2),
            to: side(units, decimals),
            rate: DealRate::new(Decimal::ONE, 3).expect("a rate"),
            discount_bps: 0,
            fee_units: 0,
            reprice_bps: 0,
            auto_payout: false,
            skip_preview: false,
            hide_out_data: false,
            recipient: None,
            receiver: None,
            told_again: false,
            client_type: None,
            commission,
        }
    }

    fn agreed(bps: u32, usd_rate: &str) -> Option<Commission> {
        Some(Commission { bps, usd_rate: usd_rate.parse().expect("a decimal") })
    }

    #[test]
    fn a_reward_is_a_part_of_what_is_received_rounded_down() {
        let rewards = |trade: Trade| (trade.received_usd().plain(), trade.reward_usd().plain(), trade.reward_units());
        let texts = |usd: &str, reward: &str, units: i64| (usd.to_owned(), reward.to_owned(), units);
        // 98.5 at 0.5 %: 0.4925 of it, 0.49 of which can be written in its two decimals.
        assert_eq!(rewards(trade(9_850, 2, agreed(50, "1"))), texts("98.5", "0.4925", 49));
        // 0.10946907 at 90,000: 9,852.2163; 1 % of it is 98.522163.
        assert_eq!(rewards(trade(10_946_907, 8, agreed(100, "90000"))), texts("9852.2163", "98.5221", 109_469));
        assert_eq!(rewards(trade(1, 2, agreed(99, "1"))), texts("0.01", "0", 0));
        assert_eq!(rewards(trade(9_850, 2, agreed(0, "1"))), texts("98.5", "0", 0));
        assert_eq!(rewards(trade(9_850, 2, agreed(50, "0"))), texts("0", "0", 49), "worth nobody knows what");
        assert_eq!(rewards(trade(9_850, 2, None)), texts("0", "0", 0), "nobody brought it");
        assert_eq!(rewards(trade(i64::MAX, 0, agreed(9_999, "1"))).0, "0", "more than the books can hold");
    }

    #[test]
    fn orders_of_before_there_were_partners_are_read() {
        let old = serde_json::to_value(trade(9_850, 2, None)).expect("JSON");
        assert_eq!(old.get("commission"), None);
        assert_eq!(serde_json::from_value::<Trade>(old).expect("an old trade").commission, None);
        let new = trade(9_850, 2, agreed(50, "1.25"));
        assert_eq!(serde_json::from_str::<Trade>(&serde_json::to_string(&new).expect("JSON")).expect("a trade"), new);
    }

    #[test]
    fn what_is_added_can_be_taken_away() {
        let one = Referred { placed: 1, done: 2, exchanged_usd_units: 3, waiting_usd_units: 4, earned_usd_units: 5 };
        let mut sum = one;
        sum.add(&one, 1);
        assert_eq!((sum.placed, sum.done, sum.exchanged_usd_units), (2, 4, 6));
        assert_eq!((sum.waiting_usd_units, sum.earned_usd_units), (8, 10));
        sum.add(&one, -2);
        assert_eq!(sum, Referred::default());
    }
}
