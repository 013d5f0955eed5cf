//! Whether a recipient looks like one: an e-mail address, or a phone number as E.164.
//!
//! Only the form is checked, never whether somebody is there. Strict on purpose: what passes here is put into mail
//! headers and sent to suppliers, so nothing but plain ASCII without spaces and control characters passes.

use crate::catalog::DeliveryMethod;

const LONGEST_EMAIL: usize = 254;
const LONGEST_LOCAL_PART: usize = 64;
const LONGEST_LABEL: usize = 63;

/// `None` if `account` has the form that the delivery needs (contract 3.9), else why not.
pub fn beneficiary_fault(delivery: DeliveryMethod, account: &str) -> Option<&'static str> {
    match delivery {
        DeliveryMethod::ByEmail => email_fault(account),
        DeliveryMethod::ByPhone => phone_fault(account),
    }
}

/// `None` if it is a sane e-mail address, else why not.
pub fn email_fault(address: &str) -> Option<&'static str> {
    if address.len() > LONGEST_EMAIL {
        return Some("an e-mail address has at most 254 characters");
    }
    if !address.is_ascii() || address.bytes().any(|byte| byte.is_ascii_control() || byte == b' ') {
        return Some("an e-mail address has no spaces, control or non-ASCII characters");
    }
    let Some((local, domain)) = address.split_once('@').filter(|(_, domain)| !domain.contains('@')) else {
        return Some("an e-mail address has exactly one @");
    };
    if !is_local_part(local) {
        return Some("the part before the @ is not that of an e-mail address");
    }
    (!is_domain(domain)).then_some("the part after the @ is not a domain name")
}

/// `None` if it is `+` and 8 to 15 digits, the first not 0 (ITU-T E.164), else why not.
pub fn phone_fault(number: &str) -> Option<&'static str> {
    let Some(digits) = number.strip_prefix('+') else {
        return Some("a phone number starts with + and the country code");
    };
    let valid =
        (8..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    (!valid).then_some("a phone number is + and 8 to 15 digits, the first not 0")
}

/// Dot-separated atoms (RFC 5322 section 3.2.3); quoted forms are not taken.
fn is_local_part(local: &str) -> bool {
    let is_atom_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte);
    local.len() <= LONGEST_LOCAL_PART && local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atom_byte))
}

/// At least two labels; the last of letters, or an internationalised one (`xn--`).
fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        (1..=LONGEST_LABEL).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let Some((_, top)) = domain.rsplit_once('.') else {
        return false;
    };
    let is_top = top.len() >= 2 && (top.bytes().all(|byte| byte.is_ascii_alphabetic()) || top.starts_with("xn--"));
    is_top && domain.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e_mail_addresses() {
        let longest_local = "a".repeat(64);
        for good in
            ["user@example.com", "a.b+c_d-e@sub.example.co.uk", "x@xn--80ak6aa92e.xn--p1ai", "o'hara@example.museum"]
        {
            assert_eq!(email_fault(good), None, "{good}");
        }
        assert_eq!(email_fault(&format!("{longest_local}@example.com")), None);
        let bad = [
            "",
            "not-an-address",
            "@example.com",
            "user@",
            "a@b@example.com",
            "user@example",
            "user@.com",
            "user@example.",
            "user@exa mple.com",
            "user@-example.com",
            "user@example-.com",
            "user@example.c0m",
            "user@example.c",
            ".user@example.com",
            "us..er@example.com",
            "user.@example.com",
            "us er@example.com",
            "user@example.com\r\nBcc: x@example.com",
            "us\0er@example.com",
            "<user@example.com>",
            "\"user\"@example.com",
            "usér@example.com",
            "user@exämple.com",
            " user@example.com",
            "+14155551234",
        ];
        for text in bad {
            assert!(email_fault(text).is_some(), "{text:?}");
        }
        assert!(email_fault(&format!("a{longest_local}@example.com")).is_some());
        assert!(email_fault(&format!("user@{}.com", "a".repeat(64))).is_some());
        let long_domain = ["abcdefghi"; 25].join(".");
        assert!(email_fault(&format!("user@{long_domain}.com")).is_some());
    }

    #[test]
    fn phone_numbers() {
        for good in ["+14155551234", "+12345678", "+123456789012345"] {
            assert_eq!(phone_fault(good), None, "{good}");
        }
        let bad = [
            "",
            "+",
            "14155551234",
            "+1234567",
            "+1234567890123456",
            "+04155551234",
            "+1 415 555 1234",
            "+1415555123a",
            "++14155551234",
            "0014155551234",
            "+١٢٣٤٥٦٧٨",
            "user@example.com",
        ];
        for text in bad {
            assert!(phone_fault(text).is_some(), "{text:?}");
        }
    }
}
