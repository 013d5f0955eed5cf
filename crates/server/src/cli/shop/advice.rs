//! What a buyer can do about each reason for which a shop refuses: one sentence for each code of the store contract,
//! sections 5.2 and 5.3.
//!
//! Names that only clients use and no shop sends (end of section 5.3) are not here. The sentences must never promise
//! what only the shop can know. Called where a refusal or a validation is shown.

/// Stands in for a code that this program does not know.
const UNKNOWN: &str =
    "This program does not know the code: ask the shop what it means, or use the version of kiosk that the shop runs.";

/// Code and sentence, in the order of the contract: 26 list codes, two codes of errors, five later codes.
#[rustfmt::skip] // One entry reads as one: code, then sentence.
const ADVICE: [(&str, &str); 33] = [
    ("AMOUNT_LESS_THEN_MINIMUM_ALLOWED",
     "The total is below the smallest order of this coin and network: take a higher value, more items or another \
      coin."),
    ("MAXIMUM_AMOUNT_PER_ORDER_EXCEEDED",
     "The total is above what one order may cost: split it into several orders, or sign in with --token-file if you \
      are a customer."),
    ("DAILY_SPENDING_LIMIT_EXCEEDED",
     "This buyer has reached the limit of the day: wait until the next day (UTC), or sign in with --token-file for a \
      higher limit."),
    ("MONTHLY_SPENDING_LIMIT_EXCEEDED",
     "This buyer has reached the limit of the month: wait until the next month (UTC), or sign in with --token-file \
      for a higher limit."),
    ("PRODUCT_COUNT_EXCEEDED",
     "The order has too many items: lower --quantity and place several orders."),
    ("MULTIPLE_LIMITED_PRODUCT_SAME_ORDER",
     "An order may hold one limited product only: set --quantity 1 and place one order for each."),
    ("NOT_AVAILABLE_PRODUCT",
     "The shop does not sell this: copy brand and denomination letter by letter from `kiosk shop products`, or keep \
      --value within the range shown there."),
    ("OUT_OF_STOCK",
     "This item is sold out: try another denomination, or try again later."),
    ("NOT_ACTIVE",
     "The shop has paused this item: choose another one from `kiosk shop brands`."),
    ("INVALID_BENEFICIARY_ACCOUNT",
     "The recipient does not fit the product: give --beneficiary an e-mail address for cards and eSIMs, or a phone \
      number such as +15551234567 for top-ups."),
    ("NOT_ALLOWED_PAYMENT_VIA",
     "The shop does not take this way of paying: leave out --via, or give one that the details list."),
    ("UNSUPPORTED_PROTOCOL_COIN_COMBINATION",
     "The coin cannot be paid on this network: give --coin and --network exactly as a pair that the details list."),
    ("LOGIN_REQUIRED",
     "This product is for customers who are signed in: give your token with --token-file."),
    ("COUPON_REQUIRES_LOGIN",
     "This coupon is for customers who are signed in: give your token with --token-file, or leave out --promo."),
    ("COUPON_NOT_FOUND",
     "There is no such coupon: check the spelling of --promo, or leave it out."),
    ("COUPON_NOT_ACTIVE",
     "The coupon is not valid yet: order when its time has begun, or leave out --promo."),
    ("COUPON_ALREADY_SPENT",
     "This buyer has used the coupon before: leave out --promo or give another one."),
    ("COUPON_MAX_USAGE_REACHED",
     "The coupon was used as often as it may be by all buyers together: leave out --promo or give another one."),
    ("COUPON_EXPIRED",
     "The coupon's time is over: leave out --promo or give another one."),
    ("COUPON_BELOW_MIN_AMOUNT",
     "The total is too low for this coupon: order more, or leave out --promo."),
    ("COUPON_NOT_VALID_FOR_USER",
     "The coupon belongs to another buyer: use the --email or the token that it was given to, or leave out --promo."),
    ("COUPON_NOT_VALID_FOR_CATEGORY",
     "The coupon does not cover this category: choose a brand of another category, or leave out --promo."),
    ("COUPON_NOT_VALID_FOR_KIND",
     "The coupon does not cover this kind of product, such as cards or top-ups: choose another kind, or leave out \
      --promo."),
    ("COUPON_NOT_VALID_FOR_BRAND",
     "The coupon does not cover this brand: choose another brand, or leave out --promo."),
    ("COUPON_NOT_VALID_FOR_COUNTRY",
     "The coupon does not cover this country: choose another --country, or leave out --promo."),
    ("COUPON_NOT_VALID_FOR_STORE",
     "The coupon is bound to another store or region: give the --partner it was made for, or leave out --promo."),
    ("SUSPENDED_COIN",
     "The shop does not take this coin at the moment: pay with another --coin, or try again later."),
    ("SUSPENDED_NETWORK",
     "The shop does not take payments on this network at the moment: choose another --network, or try again later."),
    ("FULLNAME_MISSING",
     "The shop needs the customer's full name for this coin and network: add it to your account, or pay on another \
      --network."),
    ("KYC_MISSING",
     "The shop must know who you are before it sells this: prove your identity with the shop, then order again."),
    ("KYC_PENDING",
     "The shop is still checking your identity: try again in an hour, and ask the shop if it takes longer than two \
      days."),
    ("VERIFICATION_REQUIRED",
     "The shop wants more proof of who you are: finish what it asks for in your account, then order again."),
    ("INVALID_EMAIL_DOMAIN",
     "The domain of the e-mail address cannot receive mail: check its spelling, or give another --email or \
      --beneficiary."),
];

/// What to do about a code. A code that the contract does not know gets a sentence that says so.
pub(super) fn advice(code: &str) -> &'static str {
    known(code).unwrap_or(UNKNOWN)
}

/// As [`advice`], and for an unknown code the HTTP status decides.
pub(super) fn advice_for(status: u16, code: &str) -> &'static str {
    known(code).unwrap_or_else(|| status_advice(status))
}

/// What to do about an answer that is known by its HTTP status alone. Contract, section 5.4.
pub(super) fn status_advice(status: u16) -> &'static str {
    match status {
        300..=399 => "The address points elsewhere: give the shop's final address as --url.",
        400 => "The shop could not understand the request: correct what it names and run the command again.",
        401 | 403 => {
            "The shop wants to know who is calling: give a --partner id that it knows, or a token that is valid."
        }
        404 => {
            "The shop has nothing there: check the order id, the brand and the country, and that --url is the shop's."
        }
        409 | 422 => {
            "The shop did not accept it: correct what it names, and use a new --key if this one is another order's."
        }
        429 => "There were too many calls: wait a minute and run the command again.",
        500..=599 => "The shop cannot answer at the moment: try again in some minutes.",
        _ => UNKNOWN,
    }
}

fn known(code: &str) -> Option<&'static str> {
    ADVICE.iter().find(|(known, _)| *known == code).map(|(_, sentence)| *sentence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// Contract, section 5.2, written out once more so that a slip in the table's spelling shows.
    const SECTION_5_2: &str = "AMOUNT_LESS_THEN_MINIMUM_ALLOWED MAXIMUM_AMOUNT_PER_ORDER_EXCEEDED \
        DAILY_SPENDING_LIMIT_EXCEEDED MONTHLY_SPENDING_LIMIT_EXCEEDED PRODUCT_COUNT_EXCEEDED \
        MULTIPLE_LIMITED_PRODUCT_SAME_ORDER NOT_AVAILABLE_PRODUCT OUT_OF_STOCK NOT_ACTIVE \
        INVALID_BENEFICIARY_ACCOUNT NOT_ALLOWED_PAYMENT_VIA UNSUPPORTED_PROTOCOL_COIN_COMBINATION LOGIN_REQUIRED \
        COUPON_REQUIRES_LOGIN COUPON_NOT_FOUND COUPON_NOT_ACTIVE COUPON_ALREADY_SPENT COUPON_MAX_USAGE_REACHED \
        COUPON_EXPIRED COUPON_BELOW_MIN_AMOUNT COUPON_NOT_VALID_FOR_USER COUPON_NOT_VALID_FOR_CATEGORY \
        COUPON_NOT_VALID_FOR_KIND COUPON_NOT_VALID_FOR_BRAND COUPON_NOT_VALID_FOR_COUNTRY \
        COUPON_NOT_VALID_FOR_STORE SUSPENDED_COIN SUSPENDED_NETWORK";

    const SECTION_5_3: &str = "FULLNAME_MISSING KYC_MISSING KYC_PENDING VERIFICATION_REQUIRED INVALID_EMAIL_DOMAIN";

    #[test]
    fn every_code_of_the_contract_has_a_sentence_of_its_own() {
        let codes: Vec<&str> = SECTION_5_2.split_whitespace().chain(SECTION_5_3.split_whitespace()).collect();
        assert_eq!(codes.len(), 28 + 5);
        let sentences: HashSet<&str> = codes.iter().map(|code| advice(code)).collect();
        assert_eq!(sentences.len(), codes.len(), "two codes share a sentence");
        assert!(!sentences.contains(UNKNOWN));
        for sentence in sentences {
            assert!(sentence.ends_with('.') && !sentence.contains(". "), "one sentence: {sentence}");
        }
    }

    #[test]
    fn every_code_that_our_rules_can_give_has_advice() {
        for code in domain::validate::CODES {
            assert_ne!(advice(code), UNKNOWN, "{code}");
        }
    }

    #[test]
    fn an_unknown_code_is_advised_by_its_status() {
        assert_eq!(advice("SOMETHING_NEW"), UNKNOWN);
        assert_eq!(advice("out_of_stock"), UNKNOWN);
        assert!(advice_for(401, "SOMETHING_NEW").contains("--partner"));
        assert!(advice_for(429, "slow down").contains("wait"));
        assert_eq!(advice_for(503, "OUT_OF_STOCK"), advice("OUT_OF_STOCK"));
    }
}
