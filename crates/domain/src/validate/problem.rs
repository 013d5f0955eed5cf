//! The problem codes of the store API: what can be wrong with a basket, each with the data that its details need.
//!
//! The 26 list codes of contract 5.2, spelled as there (`LESS_THEN` is right). `SUSPENDED_COIN` and `SUSPENDED_NETWORK`
//! are answers of another kind (`CheckError`). How details are written as JSON is the http layer's business.

/// Bounds of a range product, as plain decimal texts in its own currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeBounds {
    pub min: String,
    pub max: String,
    pub step: String,
}

/// One thing that is wrong with a basket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// Due less than the smallest amount that is sold in this coin.
    AmountBelowMinimum {
        minimum: String,
        coin: String,
    },
    /// `maximum` in EUR.
    MaximumPerOrder {
        maximum: String,
    },
    DailyLimit,
    MonthlyLimit,
    ProductCountExceeded {
        maximum: usize,
    },
    MultipleLimitedProducts,
    /// Not in the catalogue under that name; for a value outside a range product, its bounds.
    NotAvailableProduct {
        range: Option<RangeBounds>,
    },
    OutOfStock,
    NotActive,
    /// `line` counts from 0; `None` means the buyer's own e-mail.
    InvalidBeneficiary {
        line: Option<usize>,
        reason: &'static str,
    },
    NotAllowedPaymentVia {
        allowed: Vec<String>,
    },
    /// Pairs of coin and network that can be paid with now.
    UnsupportedCombination {
        supported: Vec<(String, String)>,
    },
    LoginRequired,
    CouponRequiresLogin,
    CouponNotFound,
    CouponNotActive,
    CouponAlreadySpent,
    CouponMaxUsageReached,
    CouponExpired,
    CouponBelowMinAmount,
    CouponNotValidForUser,
    CouponNotValidForCategory,
    CouponNotValidForKind,
    CouponNotValidForBrand,
    CouponNotValidForCountry,
    CouponNotValidForStore,
}

/// All list codes in the order of contract 5.2, which is the order in which problems are answered.
pub const CODES: [&str; 26] = [
    "AMOUNT_LESS_THEN_MINIMUM_ALLOWED",
    "MAXIMUM_AMOUNT_PER_ORDER_EXCEEDED",
    "DAILY_SPENDING_LIMIT_EXCEEDED",
    "MONTHLY_SPENDING_LIMIT_EXCEEDED",
    "PRODUCT_COUNT_EXCEEDED",
    "MULTIPLE_LIMITED_PRODUCT_SAME_ORDER",
    "NOT_AVAILABLE_PRODUCT",
    "OUT_OF_STOCK",
    "NOT_ACTIVE",
    "INVALID_BENEFICIARY_ACCOUNT",
    "NOT_ALLOWED_PAYMENT_VIA",
    "UNSUPPORTED_PROTOCOL_COIN_COMBINATION",
    "LOGIN_REQUIRED",
    "COUPON_REQUIRES_LOGIN",
    "COUPON_NOT_FOUND",
    "COUPON_NOT_ACTIVE",
    "COUPON_ALREADY_SPENT",
    "COUPON_MAX_USAGE_REACHED",
    "COUPON_EXPIRED",
    "COUPON_BELOW_MIN_AMOUNT",
    "COUPON_NOT_VALID_FOR_USER",
    "COUPON_NOT_VALID_FOR_CATEGORY",
    "COUPON_NOT_VALID_FOR_KIND",
    "COUPON_NOT_VALID_FOR_BRAND",
    "COUPON_NOT_VALID_FOR_COUNTRY",
    "COUPON_NOT_VALID_FOR_STORE",
];

impl Problem {
    /// The code on the wire (contract 5.2).
    pub fn code(&self) -> &'static str {
        CODES[self.rank()]
    }

    /// Its place in [`CODES`].
    fn rank(&self) -> usize {
        match self {
            Problem::AmountBelowMinimum { .. } => 0,
            Problem::MaximumPerOrder { .. } => 1,
            Problem::DailyLimit => 2,
            Problem::MonthlyLimit => 3,
            Problem::ProductCountExceeded { .. } => 4,
            Problem::MultipleLimitedProducts => 5,
            Problem::NotAvailableProduct { .. } => 6,
            Problem::OutOfStock => 7,
            Problem::NotActive => 8,
            Problem::InvalidBeneficiary { .. } => 9,
            Problem::NotAllowedPaymentVia { .. } => 10,
            Problem::UnsupportedCombination { .. } => 11,
            Problem::LoginRequired => 12,
            Problem::CouponRequiresLogin => 13,
            Problem::CouponNotFound => 14,
            Problem::CouponNotActive => 15,
            Problem::CouponAlreadySpent => 16,
            Problem::CouponMaxUsageReached => 17,
            Problem::CouponExpired => 18,
            Problem::CouponBelowMinAmount => 19,
            Problem::CouponNotValidForUser => 20,
            Problem::CouponNotValidForCategory => 21,
            Problem::CouponNotValidForKind => 22,
            Problem::CouponNotValidForBrand => 23,
            Problem::CouponNotValidForCountry => 24,
            Problem::CouponNotValidForStore => 25,
        }
    }
}

/// Identical problems once, in the order of contract 5.2; equals keep the order of the lines.
pub(super) fn tidy(found: Vec<Problem>) -> Vec<Problem> {
    let mut problems: Vec<Problem> = Vec::new();
    for problem in found {
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
    problems.sort_by_key(Problem::rank);
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_form_that_clients_accept() {
        // NIM refuses an answer with a code outside ^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$ (contract 5.1).
        for code in CODES {
            let words: Vec<&str> = code.split('_').collect();
            assert!(words.len() > 1 && words.iter().all(|word| !word.is_empty()), "{code}");
            assert!(code.bytes().all(|byte| byte == b'_' || byte.is_ascii_uppercase()), "{code}");
        }
    }

    #[test]
    fn only_identical_problems_are_merged() {
        let first = Problem::InvalidBeneficiary { line: Some(0), reason: "x" };
        let second = Problem::InvalidBeneficiary { line: Some(1), reason: "x" };
        let found = vec![Problem::CouponExpired, second.clone(), first.clone(), second.clone(), Problem::OutOfStock];
        assert_eq!(tidy(found), [Problem::OutOfStock, second, first, Problem::CouponExpired]);
    }
}
