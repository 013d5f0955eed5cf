//! Addresses of accounts and contracts: twenty bytes, written with the checksum of EIP-55.

use crate::entropy::{from_hex, to_hex};
use sha3::{Digest, Keccak256};
use std::fmt;

/// An account or a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address([u8; 20]);

/// Why a text is not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("an address is 0x and 40 hexadecimal digits")]
    Form,
    #[error("the address is mistyped: its capital letters are a checksum (EIP-55), and it does not fit")]
    Checksum,
}

impl Address {
    /// Reads what a person wrote. All letters small (or all capital) carry no checksum; any other mixture must fit.
    pub fn parse(text: &str) -> Result<Address, AddressError> {
        let digits = text.strip_prefix("0x").ok_or(AddressError::Form)?;
        let address = Address(from_hex(digits).ok_or(AddressError::Form)?);
        let has = |is: fn(&u8) -> bool| digits.as_bytes().iter().any(is);
        let is_mixed = has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase);
        if is_mixed && address.to_string() != text {
            return Err(AddressError::Checksum);
        }
        Ok(address)
    }

    /// Reads what a node wrote: its letters are small, or whatever the node likes.
    pub fn of_node(text: &str) -> Option<Address> {
        from_hex(text.strip_prefix("0x")?).map(Address)
    }

    /// Reads a word of 32 bytes that holds an address: the twelve bytes before it are zero.
    pub fn of_word(text: &str) -> Option<Address> {
        let word: [u8; 32] = from_hex(text.strip_prefix("0x")?)?;
        let (zeros, address) = word.split_at(12);
        let is_address = zeros.iter().all(|byte| *byte == 0);
        is_address.then(|| address.try_into().ok()).flatten().map(Address)
    }

    /// The address of an uncompressed public key without its leading 4: the last twenty bytes of its Keccak-256.
    pub fn of_public_key(point: &[u8]) -> Address {
        let digest = Keccak256::digest(point);
        Address(std::array::from_fn(|at| digest[at + 12]))
    }

    /// In small letters: the form that names are made of.
    pub fn small(&self) -> String {
        format!("0x{}", to_hex(&self.0))
    }

    /// As a word of 32 bytes.
    pub fn word(&self) -> String {
        format!("0x{:0>64}", to_hex(&self.0))
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

/// With its checksum: the form of the pool, and the one for people.
impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = to_hex(&self.0);
        let digest = Keccak256::digest(digits.as_bytes());
        let mut text = String::with_capacity(42);
        text.push_str("0x");
        for (at, letter) in digits.chars().enumerate() {
            let nibble = digest[at / 2] >> (if at % 2 == 0 { 4 } else { 0 }) & 0xf;
            text.push(if nibble >= 8 { letter.to_ascii_uppercase() } else { letter });
        }
        formatter.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the EIP.
    const SAMPLES: [&str; 8] = [
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
        "0x52908400098527886E0F7030069857D2E4169EE7",
        "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
        "0xde709f2102306220921060314715629080e2fb77",
        "0x27b1fdb04752bbc536007a920d24acb045561c26",
    ];

    #[test]
    fn addresses_are_written_with_their_checksum() {
        for text in SAMPLES {
            for spelled in [text.to_owned(), text.to_lowercase(), format!("0x{}", text[2..].to_uppercase())] {
                assert_eq!(Address::parse(&spelled).map(|address| address.to_string()).as_deref(), Ok(text));
            }
            let address = Address::parse(text).expect("a sample");
            assert_eq!(address.small(), text.to_lowercase());
            assert_eq!(Address::of_node(&text.to_uppercase().replace("0X", "0x")), Some(address));
        }
    }

    #[test]
    fn a_mistyped_address_is_refused() {
        let one_letter = SAMPLES[0].replacen('A', "a", 1);
        assert_eq!(Address::parse(&one_letter), Err(AddressError::Checksum));
        for text in ["", "0x", "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0x5aAeb6", "0xg"] {
            assert_eq!(Address::parse(text), Err(AddressError::Form), "{text}");
        }
        assert_eq!(Address::parse(&format!("{}00", SAMPLES[0])), Err(AddressError::Form));
    }

    #[test]
    fn a_word_holds_an_address_if_nothing_stands_before_it() {
        let word = format!("0x{}{}", "0".repeat(24), SAMPLES[1][2..].to_lowercase());
        assert_eq!(Address::of_word(&word), Address::of_node(SAMPLES[1]));
        assert_eq!(Address::of_node(SAMPLES[1]).map(|address| address.word()), Some(word.clone()));
        assert_eq!(Address::of_word(&word.replacen("00", "01", 1)), None);
        assert_eq!(Address::of_word(SAMPLES[1]), None);
    }

    #[test]
    fn an_address_is_the_hash_of_the_public_key() {
        // The generator point: the address of private key 1 is widely published.
        let point = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798\
            483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8";
        let bytes: [u8; 64] = from_hex(point).expect("hex");
        assert_eq!(Address::of_public_key(&bytes).to_string(), "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf");
    }
}
