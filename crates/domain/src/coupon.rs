//! Coupons: what a promotion takes off an order, and the conditions under which it does.
//!
//! A condition that does not hold is a problem code of contract 5.2; several may fail at once. How much is taken off
//! is arithmetic and stands in `pricing`. Must never count uses: those are shared counters (`limits`), given as numbers.
//! Called by `validate` and by listings.

use crate::catalog::Brand;
use crate::ids::{CustomerId, PartnerId};
use crate::limits::eur_cents;
use crate::money::Fiat;
use crate::time::Time;
use crate::validate::Problem;
use rust_decimal::Decimal;

/// What a coupon takes off the total.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discount {
    /// Percent of the total, 0 to 100.
    Percent(Decimal),
    /// A fixed amount, in EUR.
    Amount(Fiat),
}

/// One promotion. An empty list and a missing bound mean "no such condition".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coupon {
    /// Upper case; shoppers may type it in any case.
    pub code: String,
    pub discount: Discount,
    /// Valid from this moment on.
    pub starts_at: Option<Time>,
    /// Valid before this moment.
    pub ends_at: Option<Time>,
    pub active: bool,
    /// Uses over all shoppers.
    pub max_uses: Option<i64>,
    /// Uses of one signed-in customer or of one buyer's e-mail.
    pub max_uses_per_user: Option<i64>,
    /// In EUR, compared with the order's value before the discount.
    pub min_amount: Option<Fiat>,
    pub requires_login: bool,
    /// Customer ids, or e-mail addresses in any case.
    pub users: Vec<String>,
    pub categories: Vec<String>,
    pub kinds: Vec<String>,
    pub brands: Vec<String>,
    pub countries: Vec<String>,
    pub partners: Vec<String>,
}

/// An order as its coupon sees it.
#[derive(Debug, Clone)]
pub struct Redemption<'a> {
    pub now: Time,
    pub customer: Option<&'a CustomerId>,
    /// The buyer's e-mail; counts as the user only when nobody is signed in (contract section 12).
    pub buyer_email: Option<&'a str>,
    /// The store of contract section 12.
    pub partner: Option<&'a PartnerId>,
    /// The brand of every line.
    pub brands: Vec<&'a Brand>,
    /// The order's value in EUR cents before the discount; `None` when it cannot be told.
    pub value_eur_cents: Option<i64>,
    /// Uses so far, held and used.
    pub uses: i64,
    /// Uses so far of this user, held and used.
    pub uses_by_user: i64,
}

/// The form in which codes are kept and compared: upper case, without surrounding space.
pub fn normal_code(code: &str) -> String {
    code.trim().to_uppercase()
}

impl Coupon {
    /// An active coupon without any condition.
    pub fn new(code: &str, discount: Discount) -> Self {
        Coupon {
            code: normal_code(code),
            discount,
            starts_at: None,
            ends_at: None,
            active: true,
            max_uses: None,
            max_uses_per_user: None,
            min_amount: None,
            requires_login: false,
            users: Vec::new(),
            categories: Vec::new(),
            kinds: Vec::new(),
            brands: Vec::new(),
            countries: Vec::new(),
            partners: Vec::new(),
        }
    }

    /// Every condition of contract 5.2 that does not hold for this order; empty when the coupon applies.
    pub fn problems(&self, order: &Redemption<'_>) -> Vec<Problem> {
        let reached = |limit: Option<i64>, uses: i64| limit.is_some_and(|limit| uses >= limit);
        let below = |min: Fiat| order.value_eur_cents.is_some_and(|value| value < eur_cents(min));
        let not_yet = self.starts_at.is_some_and(|starts_at| order.now < starts_at);
        let conditions = [
            (self.requires_login && order.customer.is_none(), Problem::CouponRequiresLogin),
            (!self.active || not_yet, Problem::CouponNotActive),
            (reached(self.max_uses_per_user, order.uses_by_user), Problem::CouponAlreadySpent),
            (reached(self.max_uses, order.uses), Problem::CouponMaxUsageReached),
            (self.ends_at.is_some_and(|ends_at| order.now >= ends_at), Problem::CouponExpired),
            (self.min_amount.is_some_and(below), Problem::CouponBelowMinAmount),
            (!self.covers_user(order), Problem::CouponNotValidForUser),
            (!order.brands.iter().all(|brand| self.covers_category(brand)), Problem::CouponNotValidForCategory),
            (!order.brands.iter().all(|brand| lists(&self.kinds, &brand.kind)), Problem::CouponNotValidForKind),
            (!order.brands.iter().all(|brand| lists(&self.brands, &brand.name)), Problem::CouponNotValidForBrand),
            (
                !order.brands.iter().all(|brand| lists(&self.countries, &brand.country)),
                Problem::CouponNotValidForCountry,
            ),
            (!self.covers_store(order), Problem::CouponNotValidForStore),
        ];
        conditions.into_iter().filter_map(|(fails, problem)| fails.then_some(problem)).collect()
    }

    fn covers_user(&self, order: &Redemption<'_>) -> bool {
        match (order.customer, order.buyer_email) {
            _ if self.users.is_empty() => true,
            (Some(customer), _) => self.users.iter().any(|user| user == customer.as_str()),
            (None, Some(email)) => self.users.iter().any(|user| user.to_lowercase() == email.to_lowercase()),
            (None, None) => false,
        }
    }

    fn covers_category(&self, brand: &Brand) -> bool {
        lists(&self.categories, &brand.category)
            || brand.additional_categories.iter().any(|category| self.categories.contains(category))
    }

    fn covers_store(&self, order: &Redemption<'_>) -> bool {
        self.partners.is_empty() || order.partner.is_some_and(|partner| lists(&self.partners, partner.as_str()))
    }
}

/// Whether a condition list covers `value`; an empty list covers everything.
fn lists(list: &[String], value: &str) -> bool {
    list.is_empty() || list.iter().any(|listed| listed == value)
}
