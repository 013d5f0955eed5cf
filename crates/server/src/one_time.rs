//! One-time codes of a second factor: RFC 6238 with SHA-1, steps of 30 seconds and six digits, as every app makes them.
//!
//! Pure: secret and time are arguments. Which steps were used is the caller's to keep.

use domain::time::Time;
use ring::hmac;
use subtle::ConstantTimeEq;

const STEP_SECONDS: i64 = 30;
/// Steps that an app's clock may be before or behind ours.
const TOLERANCE: i64 = 1;
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The step whose code this is, if it is one of those around now; the code of every step is compared.
pub fn step_of(secret: &[u8; 20], code: &str, now: Time) -> Option<i64> {
    let current = now.unix_seconds() / STEP_SECONDS;
    let mut found = None;
    for step in current - TOLERANCE..=current + TOLERANCE {
        if bool::from(code_of(secret, step).as_bytes().ct_eq(code.as_bytes())) {
            found = Some(step);
        }
    }
    found
}

/// The code of one step.
pub fn code_of(secret: &[u8; 20], step: i64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    // Dynamic truncation (RFC 4226, 5.3): the last half-byte says where the four bytes stand.
    let offset = usize::from(tag.last().copied().unwrap_or(0) & 0x0f);
    let word = u32::from_be_bytes([tag[offset] & 0x7f, tag[offset + 1], tag[offset + 2], tag[offset + 3]]);
    format!("{:06}", word % 1_000_000)
}

/// The secret as apps take it by hand: base32 (RFC 4648) without padding; 20 bytes fill it exactly.
pub fn base32(secret: &[u8; 20]) -> String {
    let mut text = String::with_capacity(32);
    for group in secret.chunks(5) {
        let mut word = [0_u8; 8];
        word[3..3 + group.len()].copy_from_slice(group);
        let word = u64::from_be_bytes(word);
        for slot in 0..8 {
            let symbol = (word >> (35 - 5 * slot)) & 0x1f;
            text.push(char::from(BASE32[symbol as usize]));
        }
    }
    text
}

/// The secret as apps read it from a QR code. `issuer` and `name` are letters, digits and `.`, `-`, `@` or are escaped.
pub fn uri(secret: &[u8; 20], issuer: &str, name: &str) -> String {
    let escaped = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20");
    let (issuer, name) = (escaped(issuer), escaped(name));
    format!(
        "otpauth://totp/{issuer}:{name}?secret={}&issuer={issuer}&algorithm=SHA1&digits=6&period=30",
        base32(secret)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8; 20] = b"12345678901234567890";

    /// Appendix B of the RFC has eight digits; the last six are ours.
    #[test]
    fn codes_are_those_of_rfc_6238() {
        let table = [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ];
        for (seconds, code) in table {
            assert_eq!(code_of(SECRET, seconds / STEP_SECONDS), code, "{seconds}");
        }
    }

    #[test]
    fn one_step_before_and_behind_is_taken_and_no_further() {
        let now = Time(1_111_111_109_000);
        let current = 1_111_111_109 / STEP_SECONDS;
        for (step, taken) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
            let found = step_of(SECRET, &code_of(SECRET, current + step), now);
            assert_eq!(found, taken.then_some(current + step), "{step}");
        }
        for wrong in ["", "81804", "0081804", "abcdef"] {
            assert_eq!(step_of(SECRET, wrong, now), None, "{wrong}");
        }
    }

    #[test]
    fn a_secret_is_written_as_apps_read_it() {
        assert_eq!(base32(SECRET), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        let uri = uri(SECRET, "shop.test", "ann@example.org");
        assert!(uri.starts_with("otpauth://totp/shop.test:ann%40example.org?secret=GEZDGNBV"), "{uri}");
    }
}
