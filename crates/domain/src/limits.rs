//! Spending limits and the shared counters behind them: which rows an order touches, and with how much.
//!
//! A counter is a row of its own, so that no decision sums over orders. An e-mail address never stands in one: the
//! caller gives a keyed hash. Limits of an e-mail that nobody proved count paid orders only (contract section 12), else
//! a stranger could use up somebody's day by typing his address. Called by `validate` and by placing an order.

use crate::event::Count;
use crate::ids::CustomerId;
use crate::money::{Currency, Fiat};
use crate::time::Time;
use serde::{Deserialize, Serialize};

/// Most that one subject may spend, in EUR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tier {
    pub per_order: Fiat,
    /// Per UTC day.
    pub per_day: Fiat,
    /// Per UTC month.
    pub per_month: Fiat,
}

/// The limits of this shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Whoever is not signed in.
    pub anonymous: Tier,
    pub customer: Tier,
    /// Most lines of one order (contract section 10: 10 deliveries).
    pub max_lines: usize,
    /// Share of a SKU's free codes that unpaid orders may hold together, in percent; one code may always be held.
    pub unpaid_stock_share_percent: i64,
}

impl Tier {
    /// From whole EUR.
    pub fn whole(per_order: i64, per_day: i64, per_month: i64) -> Self {
        let eur = |amount| Fiat::whole(amount, Currency::EUR);
        Tier { per_order: eur(per_order), per_day: eur(per_day), per_month: eur(per_month) }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            anonymous: Tier::whole(1_000, 2_000, 10_000),
            customer: Tier::whole(5_000, 10_000, 50_000),
            max_lines: 10,
            unpaid_stock_share_percent: 100,
        }
    }
}

/// EUR cents of an amount in EUR; parts of a cent are dropped.
pub fn eur_cents(amount: Fiat) -> i64 {
    debug_assert_eq!(amount.currency, Currency::EUR);
    amount.units / 100
}

/// The rule of the counters of unpaid orders, by visitor.
pub const UNPAID: &str = "unpaid";

/// Names one counter row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CounterKey {
    /// `coupon`, `coupon_user`, `limit`, `unpaid`, `reserve` or `reserve_visitor`.
    pub rule: String,
    /// The coupon's code, or who is counted. Never an e-mail address.
    pub subject: String,
    /// `YYYY-MM-DD` or `YYYY-MM` (UTC) of a limit; whose use it is for `coupon_user`; else empty.
    pub period: String,
}

/// What stands in a counter row: uses, or EUR cents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counter {
    /// Of orders that wait for payment.
    pub held: i64,
    /// Of orders that were paid.
    pub used: i64,
}

impl Counter {
    /// Held and used together.
    pub fn total(&self) -> i64 {
        self.held.saturating_add(self.used)
    }
}

/// Who is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// Signed in: amounts are held from placing on.
    Customer(CustomerId),
    /// The keyed hash of an e-mail address that nobody proved: amounts count from settlement on.
    Email(String),
    /// Neither is known; only the limit per order applies.
    Nobody,
}

impl Subject {
    /// The signed-in customer, else the buyer's key (keyed hash of the lower-cased e-mail; empty if there is none).
    pub fn of(customer: Option<&CustomerId>, buyer_key: &str) -> Self {
        match customer {
            Some(customer) => Subject::Customer(customer.clone()),
            None if buyer_key.is_empty() => Subject::Nobody,
            None => Subject::Email(buyer_key.to_owned()),
        }
    }

    /// `customer:<id>` or `email:<hash>`.
    pub fn text(&self) -> Option<String> {
        match self {
            Subject::Customer(customer) => Some(format!("customer:{customer}")),
            Subject::Email(key) => Some(format!("email:{key}")),
            Subject::Nobody => None,
        }
    }

    /// The tier that applies to it.
    pub fn tier<'a>(&self, limits: &'a Limits) -> &'a Tier {
        match self {
            Subject::Customer(_) => &limits.customer,
            Subject::Email(_) | Subject::Nobody => &limits.anonymous,
        }
    }
}

/// Uses of a coupon over all shoppers.
pub fn coupon_key(code: &str) -> CounterKey {
    CounterKey { rule: "coupon".into(), subject: code.into(), period: String::new() }
}

/// Uses of a coupon by one user.
pub fn coupon_user_key(code: &str, user: &str) -> CounterKey {
    CounterKey { rule: "coupon_user".into(), subject: code.into(), period: user.into() }
}

/// EUR cents that a subject spent on the UTC day of `now`.
pub fn day_key(subject: &str, now: Time) -> CounterKey {
    CounterKey { rule: "limit".into(), subject: subject.into(), period: now.day() }
}

/// EUR cents that a subject spent in the UTC month of `now`.
pub fn month_key(subject: &str, now: Time) -> CounterKey {
    CounterKey { rule: "limit".into(), subject: subject.into(), period: now.month() }
}

/// What an order of `value_eur_cents` counts, and where. The day and month are those of placing, also for what is
/// counted at settlement only, so that one order never spreads over two periods.
pub fn counts(subject: &Subject, coupon: Option<&str>, value_eur_cents: i64, now: Time) -> Vec<Count> {
    let user = subject.text();
    let mut counts = Vec::new();
    if let Some(code) = coupon {
        let keys = std::iter::once(coupon_key(code)).chain(user.as_deref().map(|user| coupon_user_key(code, user)));
        counts.extend(keys.map(|key| Count { key, amount: 1, held: true, kept: true }));
    }
    let held = matches!(subject, Subject::Customer(_));
    if let Some(user) = &user {
        let keys = [day_key(user, now), month_key(user, now)];
        counts.extend(keys.map(|key| Count { key, amount: value_eur_cents, held, kept: true }));
    }
    counts
}

/// The rows that [`counts`] would touch: what a decision must have loaded.
pub fn counter_keys(subject: &Subject, coupon: Option<&str>, now: Time) -> Vec<CounterKey> {
    counts(subject, coupon, 0, now).into_iter().map(|count| count.key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_795_174_500_000); // 2026-11-20T11:35:00Z

    fn rows(subject: &Subject, coupon: Option<&str>) -> Vec<String> {
        let row = |count: Count| {
            let CounterKey { rule, subject, period } = count.key;
            format!("{rule}|{subject}|{period}|{}|{}", count.amount, if count.held { "held" } else { "at settlement" })
        };
        counts(subject, coupon, 8_800, NOW).into_iter().map(row).collect()
    }

    #[test]
    fn a_customers_amounts_are_held_and_an_unproven_emails_are_not() {
        let customer = Subject::of(Some(&CustomerId::new("c1")), "hash");
        assert_eq!(
            rows(&customer, Some("WELCOME10")),
            [
                "coupon|WELCOME10||1|held",
                "coupon_user|WELCOME10|customer:c1|1|held",
                "limit|customer:c1|2026-11-20|8800|held",
                "limit|customer:c1|2026-11|8800|held",
            ]
        );
        assert_eq!(
            rows(&Subject::of(None, "hash"), None),
            ["limit|email:hash|2026-11-20|8800|at settlement", "limit|email:hash|2026-11|8800|at settlement"]
        );
        assert_eq!(rows(&Subject::of(None, ""), Some("WELCOME10")), ["coupon|WELCOME10||1|held"]);
    }

    #[test]
    fn the_keys_to_load_are_those_that_are_counted() {
        let subject = Subject::of(None, "hash");
        let counted: Vec<CounterKey> = counts(&subject, Some("X"), 1, NOW).into_iter().map(|count| count.key).collect();
        assert_eq!(counter_keys(&subject, Some("X"), NOW), counted);
    }

    #[test]
    fn limits_are_those_of_the_shop() {
        let limits = Limits::default();
        let cents = |tier: &Tier| [tier.per_order, tier.per_day, tier.per_month].map(eur_cents);
        assert_eq!(cents(Subject::Nobody.tier(&limits)), [100_000, 200_000, 1_000_000]);
        assert_eq!(cents(Subject::of(Some(&CustomerId::new("c1")), "").tier(&limits)), [500_000, 1_000_000, 5_000_000]);
    }
}
