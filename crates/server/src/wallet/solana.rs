//! Solana addresses, and files of them that were made offline.
//!
//! ed25519 has no public derivation, so the server is given its addresses. Each is the public key of a wallet of its own
//! and must be a point of the curve: what is not (the account of a token, of a program) has no private key, and money that
//! is sent there is lost. Must never accept a private key, nor repeat one. Called by `kiosk wallet`.

use super::leak::{self, Leak};
use curve25519_dalek::edwards::CompressedEdwardsY;
use std::fmt;
use std::io::{self, BufRead, Read};

/// Addresses of one file: less than 100 MB of memory while it is read.
pub const MOST_OF_A_FILE: usize = 1_000_000;
/// The longest line of a file, comments included.
const LONGEST_LINE: usize = 500;
/// Characters of 32 bytes in base58.
const SHORTEST: usize = 32;
const LONGEST: usize = 44;

/// A wallet's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SolanaAddress([u8; 32]);

/// Why a text is no address to be paid at. Never quotes the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("that is {0}: {advice}", advice = leak::ADVICE)]
    Private(Leak),
    #[error("that is an EVM address; those follow from wallet.evm_xpub and are not imported")]
    Evm,
    #[error("that is no Solana address: 32 bytes in base58, 32 to 44 characters, nothing beside them")]
    Form,
    #[error(
        "that address has no private key (it is not on the curve): it is a token's or a program's account; give the wallet's own address"
    )]
    OffCurve,
    #[error("that address belongs to everybody or to nobody (a point of small order): no wallet has it")]
    SmallOrder,
}

impl SolanaAddress {
    /// A public key as it is.
    pub fn of_public_key(key: [u8; 32]) -> SolanaAddress {
        SolanaAddress(key)
    }

    /// Reads an address that a wallet may have.
    pub fn parse(text: &str) -> Result<SolanaAddress, AddressError> {
        if let Some(leak) = leak::of(text) {
            return Err(AddressError::Private(leak));
        }
        if text.len() == 42 && text.starts_with("0x") {
            return Err(AddressError::Evm);
        }
        if !(SHORTEST..=LONGEST).contains(&text.len()) {
            return Err(AddressError::Form);
        }
        let bytes = bs58::decode(text).into_vec().map_err(|_| AddressError::Form)?;
        let key = <[u8; 32]>::try_from(bytes).map_err(|_| AddressError::Form)?;
        let point = CompressedEdwardsY(key).decompress().ok_or(AddressError::OffCurve)?;
        if point.is_small_order() {
            return Err(AddressError::SmallOrder);
        }
        Ok(SolanaAddress(key))
    }
}

impl fmt::Display for SolanaAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&bs58::encode(self.0).into_string())
    }
}

/// Why a file of addresses was not taken.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("it cannot be read")]
    Read(#[source] io::Error),
    #[error("line {line}: {error}")]
    Address { line: u32, error: AddressError },
    #[error("line {line} is longer than {most} bytes or no text: write one address on each line", most = LONGEST_LINE)]
    Line { line: u32 },
    #[error("lines {first} and {second} hold the same address: an address serves one order only; make the file again")]
    Twice { first: u32, second: u32 },
    #[error("it holds more than {most} addresses: split it", most = MOST_OF_A_FILE)]
    Many,
    #[error("it holds no address")]
    Empty,
}

/// Reads a file of addresses, one on each line; empty lines and those that begin with `#` say nothing. All or nothing:
/// the first mistake ends it.
pub fn read_addresses(file: &mut dyn BufRead) -> Result<Vec<SolanaAddress>, FileError> {
    let (mut addresses, mut buffer) = (Vec::<(SolanaAddress, u32)>::new(), Vec::new());
    for line in 1.. {
        buffer.clear();
        let mut limited = Read::take(&mut *file, LONGEST_LINE as u64 + 1);
        if limited.read_until(b'\n', &mut buffer).map_err(FileError::Read)? == 0 {
            break;
        }
        let text = std::str::from_utf8(&buffer).ok().filter(|_| buffer.len() <= LONGEST_LINE);
        let text = text.ok_or(FileError::Line { line })?.trim();
        if text.starts_with('#') {
            // A comment may be anything but a key.
            if let Some(leak) = leak::of(text) {
                return Err(address_error(line, AddressError::Private(leak)));
            }
            continue;
        }
        if text.is_empty() {
            continue;
        }
        if addresses.len() == MOST_OF_A_FILE {
            return Err(FileError::Many);
        }
        let address = SolanaAddress::parse(text).map_err(|error| address_error(line, error))?;
        addresses.push((address, line));
    }
    if addresses.is_empty() {
        return Err(FileError::Empty);
    }
    none_twice(&addresses)?;
    Ok(addresses.into_iter().map(|(address, _)| address).collect())
}

fn address_error(line: u32, error: AddressError) -> FileError {
    FileError::Address { line, error }
}

/// Sorts positions, not addresses: the file's order is that of the wallet's indices and stays.
fn none_twice(addresses: &[(SolanaAddress, u32)]) -> Result<(), FileError> {
    let mut order: Vec<&(SolanaAddress, u32)> = addresses.iter().collect();
    order.sort_unstable();
    let twice = order.windows(2).find(|pair| pair[0].0 == pair[1].0);
    twice.map_or(Ok(()), |pair| Err(FileError::Twice { first: pair[0].1, second: pair[1].1 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Of the mnemonic "abandon .. about", m/44'/501'/0'/0' to 2'/0', as Phantom shows them.
    const FIRST: &str = "HAgk14JpMQLgt6rVgv7cBQFJWFto5Dqxi472uT3DKpqk";
    const SECOND: &str = "Hh8QwFUA6MtVu1qAoq12ucvFHNwCcVTV7hpWjeY1Hztb";
    const THIRD: &str = "7WktogJEd2wQ9eH2oWusmcoFTgeYi6rS632UviTBJ2jm";

    fn read(text: &str) -> Result<Vec<SolanaAddress>, String> {
        read_addresses(&mut text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_wallets_address_is_taken_as_it_is() {
        for text in [FIRST, SECOND, THIRD] {
            assert_eq!(SolanaAddress::parse(text).map(|address| address.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn what_no_wallet_can_have_is_refused() {
        let seed_and_key = "27npWoNE4HfmLeQo1TyWcW7NEA28qnsnDK7kcttDQEWrCWnro83HMJ97rMmpvYYZRwDAvG4KRuB7hTBacvwD7bgi";
        for (text, error) in [
            ("", AddressError::Form),
            (&FIRST[..31], AddressError::Form),
            // 33 bytes.
            ("zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", AddressError::Form),
            ("HAgk14JpMQLgt6rVgv7cBQFJWFto5Dqxi472uT3DKpq0", AddressError::Form),
            ("HAgk14JpMQLgt6rVgv7cBQFJWFto5Dqxi472uT3DKpqk,1", AddressError::Form),
            ("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", AddressError::Evm),
            // The system program: y = 0.
            ("11111111111111111111111111111111", AddressError::SmallOrder),
            (seed_and_key, AddressError::Private(Leak::SolanaKey)),
        ] {
            assert_eq!(SolanaAddress::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn off_the_curve_is_where_the_equation_has_no_solution() {
        // y = 2: (4 - 1) / (4d + 1) is no square. RFC 8032, section 5.1.3, step 3.
        let mut y = [0_u8; 32];
        y[0] = 2;
        assert_eq!(SolanaAddress::parse(&bs58::encode(y).into_string()), Err(AddressError::OffCurve));
        // The base point of RFC 8032, section 5.1: y = 4/5.
        let mut base = [0x66_u8; 32];
        base[0] = 0x58;
        SolanaAddress::parse(&bs58::encode(base).into_string()).expect("a point of the curve");
    }

    #[test]
    fn a_file_keeps_its_order() {
        let text = format!("# addresses\r\n\r\n{SECOND}\r\n  {FIRST}  \n# more\n{THIRD}");
        let read = read(&text).expect("three addresses");
        let texts: Vec<String> = read.iter().map(ToString::to_string).collect();
        assert_eq!(texts, [SECOND, FIRST, THIRD]);
    }

    #[test]
    fn a_mistake_is_told_with_its_line() {
        let words = format!("{}about", "abandon ".repeat(11));
        let long = "1".repeat(LONGEST_LINE + 1);
        for (text, told) in [
            (String::new(), "it holds no address"),
            ("# nothing\n\n".to_owned(), "it holds no address"),
            (format!("{FIRST}\nnothing\n"), "line 2: that is no Solana address"),
            (format!("{FIRST} {SECOND}"), "line 1: that is no Solana address"),
            (format!("{FIRST}\n{SECOND}\n\n{FIRST}\n"), "lines 1 and 4 hold the same address"),
            (format!("{FIRST}\n{long}\n"), "line 2 is longer than 500 bytes"),
            (format!("{FIRST}\n# of {words}\n"), "line 2: that is a mnemonic"),
            (format!("{words}\n"), "line 1: that is a mnemonic"),
        ] {
            let error = read(&text).expect_err("a mistake");
            assert!(error.starts_with(told), "{error}");
            assert!(!error.contains("abandon") && !error.contains(FIRST), "it is repeated: {error}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        let mut bytes: &[u8] = &[0xff, 0xfe, b'\n'];
        let error = read_addresses(&mut bytes).expect_err("no text");
        assert!(matches!(error, FileError::Line { line: 1 }), "{error}");
    }
}
