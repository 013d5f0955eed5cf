//! Finds private keys where none belongs: in a configuration, a variable, an argument or a file of addresses.
//!
//! Must never put what it found, or a part of it, into its answer: the answer is printed and logged. Errs on the side of
//! refusing: twelve words of the BIP-39 list in a row are taken for a mnemonic, whether their checksum fits or not. It
//! cannot see a key that looks like something public: the 32 bytes of a Solana seed in base58 look like an address.

use bip39::Language;
use ring::signature::Ed25519KeyPair;
use std::fmt;

/// What to do about one.
pub const ADVICE: &str = "a server needs no private key to take money in. Give it the extended public key (xpub) that \
    `kiosk wallet new` or your wallet shows; delete this key wherever it stood, copies and backups included; and move \
    its money, because what stood on a server may have been read";

/// The fewest words of a mnemonic (BIP-39).
const FEWEST_WORDS: usize = 12;
/// So many numbers below 256 in a row are a key as Solana's own tools write it: 64 of them, or the seed's 32.
const FEWEST_BYTES: usize = 32;
/// An extended key has 111 characters; a part of one is a leak, too.
const FEWEST_OF_EXTENDED: usize = 50;

/// What to do about 64 digits that are something else's.
pub const NO_WALLETS: &str = "If it is no wallet's key, put it into a file of its own and name that file: here nobody can \
    tell them apart";

/// A kind of private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leak {
    /// `xprv` and its kin (BIP-32).
    ExtendedKey,
    /// The words of BIP-39.
    Mnemonic,
    /// 32 bytes in hexadecimal.
    HexKey,
    /// A Solana key pair: base58, or a list of bytes.
    SolanaKey,
}

impl fmt::Display for Leak {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Leak::ExtendedKey => "an extended private key (xprv)",
            Leak::Mnemonic => "a mnemonic",
            Leak::HexKey => "a private key (32 bytes in hexadecimal)",
            Leak::SolanaKey => "the private key of a Solana address",
        })
    }
}

/// The first private key in a text, and the line (from 1) where it ends.
pub fn find(text: &str) -> Option<(usize, Leak)> {
    let (mut words, mut bytes) = (0, 0);
    for (line, at) in text.lines().zip(1..) {
        for (token, opens_something_else) in tokens(line) {
            if let Some(leak) = whole(token).filter(|leak| !opens_something_else || *leak != Leak::HexKey) {
                return Some((at, leak));
            }
            if is_word(token) {
                words += 1;
            } else if !is_number(token) {
                words = 0;
            }
            bytes = if token.parse::<u8>().is_ok() { bytes + 1 } else { 0 };
            if words >= FEWEST_WORDS {
                return Some((at, Leak::Mnemonic));
            }
            if bytes >= FEWEST_BYTES {
                return Some((at, Leak::SolanaKey));
            }
        }
    }
    None
}

/// The private key that a text is or holds.
pub fn of(text: &str) -> Option<Leak> {
    find(text).map(|(_, leak)| leak)
}

/// The words of a line; with each whether it stands in a URL or is the password of a database (`password=..`): 64 digits
/// there open somebody's RPC service or the database, not a wallet.
fn tokens(line: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut before = "";
    let parts = line.split(|letter: char| letter.is_whitespace() || "\"'`".contains(letter));
    let parts = parts.filter(|part| !part.is_empty()).map(move |part| {
        let elsewhere = part.contains("://") || part.starts_with("password=") || before == "password=";
        before = part;
        (part, elsewhere)
    });
    parts.flat_map(|(part, elsewhere)| {
        part.split(separates).filter(|token| !token.is_empty()).map(move |token| (token, elsewhere))
    })
}

/// What stands between words, and around a value in TOML.
fn separates(letter: char) -> bool {
    letter.is_whitespace() || "\"'`=,;:[]{}()#".contains(letter)
}

/// Words may be numbered: a number does not end their row.
fn is_number(token: &str) -> bool {
    token.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

fn is_word(token: &str) -> bool {
    Language::English.find_word(&token.to_ascii_lowercase()).is_some()
}

/// A key in one piece.
fn whole(token: &str) -> Option<Leak> {
    if token.get(1..4) == Some("prv") && token.len() >= FEWEST_OF_EXTENDED {
        return Some(Leak::ExtendedKey);
    }
    let digits = token.strip_prefix("0x").or_else(|| token.strip_prefix("0X")).unwrap_or(token);
    if digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Some(Leak::HexKey);
    }
    // A signature has 64 bytes, too: only a pair whose halves belong together is a key.
    let pair = (86..=88).contains(&token.len()).then(|| bs58::decode(token).into_vec().ok()).flatten()?;
    let (seed, public_key) = pair.split_at_checked(32)?;
    Ed25519KeyPair::from_seed_and_public_key(seed, public_key).ok().map(|_| Leak::SolanaKey)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Keys of the mnemonic "abandon .. about", which is published everywhere: nothing is left to steal there.
    const XPRV: &str = "xprv9zDSoJv1aBcjX6sNgEpE2J9K6MV2MUnXuqXsFgzVn3zY2aHyupaFQdYCtdCbNMkvcTdx9FeN49sgXw6mjrhrFLRSzJVnRYPfSCCgjeg4GxY";
    const XPUB: &str = "xpub6DCoCpSuQZB2jawqnGMEPS63ePKWkwWPH4TU45Q7LPXWuNd8TMtVxRrgjtEshuqpK3mdhaWHPFsBngh5GFZaM6si3yZdUsT8ddYM3PwnATt";
    const SOLANA_PAIR: &str =
        "27npWoNE4HfmLeQo1TyWcW7NEA28qnsnDK7kcttDQEWrCWnro83HMJ97rMmpvYYZRwDAvG4KRuB7hTBacvwD7bgi";

    #[test]
    fn every_kind_of_key_is_found_wherever_it_stands() {
        let words = format!("{}about", "abandon ".repeat(11));
        let numbered: String = words.split(' ').zip(1..).map(|(word, at)| format!("{at}. {word}\n")).collect();
        let bytes: Vec<String> = (100..164).map(|byte| byte.to_string()).collect();
        let table = [
            (XPRV.to_owned(), Leak::ExtendedKey),
            (XPRV[..60].to_owned(), Leak::ExtendedKey),
            (words.clone(), Leak::Mnemonic),
            (words.to_uppercase(), Leak::Mnemonic),
            (words.replace(' ', "\", \""), Leak::Mnemonic),
            // A last word that does not fit the checksum, and one that was left out of twenty-four.
            ("zoo ".repeat(12), Leak::Mnemonic),
            ("zoo ".repeat(23), Leak::Mnemonic),
            (numbered, Leak::Mnemonic),
            ("ab".repeat(32), Leak::HexKey),
            (format!("0x{}", "AB".repeat(32)), Leak::HexKey),
            (SOLANA_PAIR.to_owned(), Leak::SolanaKey),
            (format!("[{}]", bytes.join(",")), Leak::SolanaKey),
            (format!("[{}]", bytes[..32].join(", ")), Leak::SolanaKey),
        ];
        for (text, leak) in table {
            assert_eq!(of(&text), Some(leak), "{text}");
            assert_eq!(of(&format!("# old: {text}")), Some(leak), "{text}");
            assert_eq!(of(&format!("wallet.key = \"{text}\"")), Some(leak), "{text}");
        }
    }

    #[test]
    fn beside_a_url_and_even_in_one_keys_are_found() {
        let hex = "ab".repeat(32);
        for (text, leak) in [
            (format!("rpc = [\"https://rpc.example/?key=1\", \"{hex}\"]"), Leak::HexKey),
            (format!("rpc = \"https://rpc.example/\" # {hex}"), Leak::HexKey),
            (format!("https://rpc.example/?key={XPRV}"), Leak::ExtendedKey),
            (format!("wallet_password={hex}"), Leak::HexKey),
            (format!("host=db password=secret key={hex}"), Leak::HexKey),
        ] {
            assert_eq!(of(&text), Some(leak), "{text}");
        }
    }

    #[test]
    fn the_line_is_told() {
        assert_eq!(find(&format!("[wallet]\n\nevm_xpub = \"{XPRV}\"\n")), Some((3, Leak::ExtendedKey)));
    }

    #[test]
    fn what_is_public_is_no_leak() {
        let prose = "the address of each order is made from the public key, and people will never find one twice; a coin \
            that comes late is still noticed, and the office has to decide what happens to the money then";
        let service = format!("https://rpc.example/eth/{}", "ab".repeat(32));
        let by_query =
            format!("rpc = [\"wss://rpc.example/?key={0}&v=1\", \"http://u:{0}@[::1]:8545\"]", "ab".repeat(32));
        let database = format!("host=db user=kiosk password={} port=5432", "ab".repeat(32));
        let quoted = format!("url = \"host=db password='{}'\"", "ab".repeat(32));
        let signature = bs58::encode([7_u8; 64]).into_string();
        for text in [
            XPUB,
            prose,
            &service,
            &by_query,
            &database,
            &quoted,
            &signature,
            "0x9858EfFD232B4033E47d90003D41EC34EcaEda94",
            "HAgk14JpMQLgt6rVgv7cBQFJWFto5Dqxi472uT3DKpqk",
            "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo",
            "payment_windows = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]",
            "",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn the_answer_does_not_repeat_the_key() {
        let found = of(XPRV).expect("a key");
        assert!(!format!("{found} {found:?} {ADVICE}").contains(&XPRV[..8]));
    }
}
