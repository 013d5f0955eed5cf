//! What is wrong with a basket: one small function per group of codes of contract 5.2.

use super::beneficiary::{beneficiary_fault, email_fault};
use super::lines::{Line, Offer, own_stock};
use super::{Basket, Facts, Market, Problem};
use crate::catalog::{DeliveryMethod, Product};
use crate::coupon::{Coupon, Redemption};
use crate::ids::Sku;
use crate::limits::{Subject, coupon_key, coupon_user_key, day_key, eur_cents, month_key};
use crate::money::{Fiat, units_from_decimal};
use crate::pricing::RateError;
use crate::time::Time;
use rust_decimal::{Decimal, RoundingStrategy};
use std::collections::BTreeMap;

/// A basket beside everything that it is judged by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub basket: &'a Basket,
    pub market: &'a Market,
    pub facts: &'a Facts,
    /// One per line of the basket.
    pub lines: &'a [Line<'a>],
    pub now: Time,
}

/// The code that was sent, if any: web forms send an empty text for "none".
pub(super) fn promo_code(basket: &Basket) -> Option<&str> {
    basket.promo_code.as_deref().map(str::trim).filter(|code| !code.is_empty())
}

impl<'a> Asked<'a> {
    /// The lines that were found in the catalogue.
    pub fn offers(&self) -> impl Iterator<Item = &'a Offer<'a>> {
        self.lines.iter().filter_map(|line| line.offer.as_ref().ok())
    }

    /// Who is counted.
    pub fn subject(&self) -> Subject {
        Subject::of(self.basket.customer.as_ref(), &self.basket.buyer_key)
    }

    /// Face values of the lines that were found, in EUR cents by the last known rates.
    pub fn eur_cents(&self) -> Result<i64, RateError> {
        let mut total = Decimal::ZERO;
        for offer in self.offers() {
            let value = self.market.rates.counted_eur(offer.face).and_then(|value| total.checked_add(value));
            total = value.ok_or_else(|| RateError::Unknown { rate: format!("EUR/{}", offer.face.currency) })?;
        }
        units_from_decimal(total, 2, RoundingStrategy::MidpointAwayFromZero)
            .map_err(|_| RateError::OutOfRange { coin: "EUR".into() })
    }

    /// Everything but the coupon, the rail and the least amount.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = self.order_problems();
        for (at, line) in self.lines.iter().enumerate() {
            problems.extend(self.line_problems(at, line));
        }
        problems.extend(self.stock_problem());
        problems.extend(self.limit_problems());
        problems
    }

    fn order_problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let maximum = self.market.limits.max_lines;
        if self.lines.len() > maximum {
            problems.push(Problem::ProductCountExceeded { maximum });
        }
        if self.offers().filter(|offer| offer.brand.limited || offer.product.limited).count() > 1 {
            problems.push(Problem::MultipleLimitedProducts);
        }
        if !self.market.vias.contains(&self.basket.payment_via) {
            problems.push(Problem::NotAllowedPaymentVia { allowed: self.market.vias.clone() });
        }
        if let Some(reason) = self.basket.buyer_email.as_deref().and_then(email_fault) {
            problems.push(Problem::InvalidBeneficiary { line: None, reason });
        }
        problems
    }

    fn line_problems(&self, at: usize, line: &Line<'_>) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Some(brand) = line.brand {
            let product_inactive = line.offer.as_ref().is_ok_and(|offer| !offer.product.active);
            let login_missing = brand.login_required && self.basket.customer.is_none();
            let flags = [
                (brand.out_of_stock, Problem::OutOfStock),
                (!brand.active || product_inactive, Problem::NotActive),
                (login_missing, Problem::LoginRequired),
            ];
            problems.extend(flags.into_iter().filter_map(|(raised, problem)| raised.then_some(problem)));
        }
        match &line.offer {
            Err(problem) => problems.push(problem.clone()),
            Ok(offer) => problems.extend(self.beneficiary_problem(at, line, offer.product)),
        }
        problems
    }

    fn beneficiary_problem(&self, at: usize, line: &Line<'_>, product: &Product) -> Option<Problem> {
        let given = line.request.beneficiary.as_deref();
        let reason = match (given, product.delivery, &self.basket.buyer_email) {
            (Some(account), delivery, _) => beneficiary_fault(delivery, account)?,
            // Goes to the buyer, whose own address is judged once for the whole order.
            (None, DeliveryMethod::ByEmail, Some(_)) => return None,
            (None, DeliveryMethod::ByEmail, None) => "an e-mail address to deliver to is missing",
            (None, DeliveryMethod::ByPhone, _) => "the phone number to top up is missing",
        };
        Some(Problem::InvalidBeneficiary { line: Some(at), reason })
    }

    /// All lines of one SKU share its codes, so they are counted together.
    fn stock_problem(&self) -> Option<Problem> {
        let mut demand: BTreeMap<&Sku, i64> = BTreeMap::new();
        for offer in own_stock(self.lines) {
            *demand.entry(&offer.product.sku).or_default() += 1;
        }
        let share = self.market.limits.unpaid_stock_share_percent;
        demand.into_iter().any(|(sku, wanted)| !self.facts.may_hold(sku, wanted, share)).then_some(Problem::OutOfStock)
    }

    fn limit_problems(&self) -> Vec<Problem> {
        // Without a rate there is no price either, and then the basket is refused for that.
        let Ok(value) = self.eur_cents() else {
            return Vec::new();
        };
        let subject = self.subject();
        let tier = subject.tier(&self.market.limits);
        let exceeds = |limit: Fiat, before: i64| before.saturating_add(value) > eur_cents(limit);
        let mut problems = Vec::new();
        if exceeds(tier.per_order, 0) {
            problems.push(Problem::MaximumPerOrder { maximum: tier.per_order.with_minor_digits() });
        }
        let Some(user) = subject.text() else {
            return problems;
        };
        if exceeds(tier.per_day, self.facts.counted(&day_key(&user, self.now))) {
            problems.push(Problem::DailyLimit);
        }
        if exceeds(tier.per_month, self.facts.counted(&month_key(&user, self.now))) {
            problems.push(Problem::MonthlyLimit);
        }
        problems
    }

    /// The coupon that applies, if one was named; else everything that is wrong with it.
    pub fn coupon(&self) -> Result<Option<&'a Coupon>, Vec<Problem>> {
        let Some(code) = promo_code(self.basket) else {
            return Ok(None);
        };
        let Some(coupon) = self.market.catalogue.coupon(code) else {
            return Err(vec![Problem::CouponNotFound]);
        };
        let all_found = self.lines.iter().all(|line| line.offer.is_ok());
        let user = self.subject().text();
        let redemption = Redemption {
            now: self.now,
            customer: self.basket.customer.as_ref(),
            buyer_email: self.basket.buyer_email.as_deref(),
            partner: self.basket.partner.as_ref(),
            brands: self.lines.iter().filter_map(|line| line.brand).collect(),
            value_eur_cents: self.eur_cents().ok().filter(|_| all_found),
            uses: self.facts.counted(&coupon_key(&coupon.code)),
            uses_by_user: user.map_or(0, |user| self.facts.counted(&coupon_user_key(&coupon.code, &user))),
        };
        let problems = coupon.problems(&redemption);
        if problems.is_empty() { Ok(Some(coupon)) } else { Err(problems) }
    }
}
