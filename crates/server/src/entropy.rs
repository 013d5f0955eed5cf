//! Randomness from the operating system, and the two text forms that random bytes travel in.
//!
//! The only file of the server that draws randomness: everything else takes keys, nonces and tokens as
//! arguments, so that tests and the simulator choose them. It must never fall back to a weaker source, and
//! nothing that decides about an order may call it. Called where a process starts, where a code or personal
//! data is sealed, and where a secret link or token is made.

/// The 64 symbols of base64url (RFC 4648, section 5), which need no escaping in a URL or a file name.
const SYMBOLS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";

/// `N` random bytes, fit for keys and nonces.
///
/// # Panics
/// When the operating system gives none: a server without randomness must not go on with guessable secrets.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut drawn = [0_u8; N];
    getrandom::fill(&mut drawn).expect("the operating system gives random bytes; without them no key or token is safe");
    drawn
}

/// A secret for links and bearer tokens: 32 random bytes as 43 characters of base64url.
///
/// # Panics
/// As [`bytes`].
pub fn token() -> String {
    to_base64url(&bytes::<32>())
}

/// `N` random letters and digits, for names that need not be secret.
///
/// # Panics
/// As [`bytes`].
pub fn letters<const N: usize>() -> String {
    letters_of(&bytes::<N>())
}

/// A letter or digit for each byte; of 256 values the first eight letters are a little more likely.
pub fn letters_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(SYMBOLS[usize::from(*byte) % 62])).collect()
}

/// base64url without padding (RFC 4648, section 5).
pub fn to_base64url(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let mut word = 0_u32;
        for slot in 0..3 {
            word = (word << 8) | u32::from(group.get(slot).copied().unwrap_or(0));
        }
        for slot in 0..=group.len() {
            let symbol = (word >> (18 - 6 * slot)) & 0x3f;
            text.push(char::from(SYMBOLS[symbol as usize]));
        }
    }
    text
}

/// base64 with padding (RFC 4648, section 4).
pub fn to_base64(bytes: &[u8]) -> String {
    let mut text = to_base64url(bytes).replace('-', "+").replace('_', "/");
    text.extend(std::iter::repeat_n('=', (4 - text.len() % 4) % 4));
    text
}

/// The bytes of unpadded base64url; `None` for a foreign symbol, an impossible length, or spare bits that are
/// not zero. So one value has one text only, and a token cannot be varied into a second spelling.
pub fn from_base64url(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for group in text.as_bytes().chunks(4) {
        if group.len() == 1 {
            return None;
        }
        let mut word = 0_u32;
        for slot in 0..4 {
            let value = match group.get(slot) {
                Some(symbol) => symbol_value(*symbol)?,
                None => 0,
            };
            word = (word << 6) | u32::from(value);
        }
        let [_, decoded @ ..] = word.to_be_bytes();
        let (used, spare) = decoded.split_at(group.len() - 1);
        if spare.iter().any(|byte| *byte != 0) {
            return None;
        }
        bytes.extend_from_slice(used);
    }
    Some(bytes)
}

/// Lower-case hexadecimal, two digits a byte.
pub fn to_hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(HEX_DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(HEX_DIGITS[usize::from(byte & 0x0f)]));
    }
    text
}

/// Exactly `N` bytes from `2 * N` hexadecimal digits of either case; `None` for anything else.
pub fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0_u8; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = (hex_value(pair[0])? << 4) | hex_value(pair[1])?;
    }
    Some(bytes)
}

fn symbol_value(symbol: u8) -> Option<u8> {
    match symbol {
        b'A'..=b'Z' => Some(symbol - b'A'),
        b'a'..=b'z' => Some(symbol - b'a' + 26),
        b'0'..=b'9' => Some(symbol - b'0' + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    }
}

fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64url_agrees_with_the_vectors_of_rfc_4648() {
        // Section 10 of the RFC, with its padding left off; the last two rows reach the symbols - and _.
        let table: [(&[u8], &str); 9] = [
            (b"", ""),
            (b"f", "Zg"),
            (b"fo", "Zm8"),
            (b"foo", "Zm9v"),
            (b"foob", "Zm9vYg"),
            (b"fooba", "Zm9vYmE"),
            (b"foobar", "Zm9vYmFy"),
            (&[0xfb, 0xff], "-_8"),
            (&[0xff, 0xff, 0xff], "____"),
        ];
        for (plain, text) in table {
            assert_eq!(to_base64url(plain), text);
            assert_eq!(from_base64url(text).as_deref(), Some(plain), "{text}");
            assert_eq!(to_base64(plain).trim_end_matches('=').replace('+', "-").replace('/', "_"), text);
            assert!(to_base64(plain).len().is_multiple_of(4), "{text}");
        }
    }

    #[test]
    fn base64url_refuses_every_second_spelling() {
        // Padding, a lone symbol, the standard alphabet, white space, and spare bits that are not zero.
        for text in ["Zg==", "Z", "Zm9vY", "+/8", "Zm 8", "Zh", "Zm9", "Zü"] {
            assert_eq!(from_base64url(text), None, "{text}");
        }
    }

    #[test]
    fn hex_is_exact_in_length_and_alphabet() {
        assert_eq!(to_hex(&[0x00, 0x9f, 0xa5]), "009fa5");
        assert_eq!(from_hex::<3>("009FA5"), Some([0x00, 0x9f, 0xa5]));
        for text in ["009fa", "009fa500", "009fag", "0x9fa5", "é09fa"] {
            assert_eq!(from_hex::<3>(text), None, "{text}");
        }
    }

    #[test]
    fn a_token_is_43_symbols_of_32_bytes_and_never_the_same() {
        let first = token();
        assert_eq!(first.len(), 43);
        assert_eq!(from_base64url(&first).map(|bytes| bytes.len()), Some(32));
        assert_ne!(first, token());
        assert_ne!(bytes::<24>(), [0_u8; 24]);
    }
}
