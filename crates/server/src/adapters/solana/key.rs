//! Accounts of Solana: 32 bytes in base58, and the token accounts that follow from a wallet's address.
//!
//! A wallet's tokens of one mint lie in an account of their own, whose address follows from wallet, token program and mint
//! (the associated token account). It is what payers' wallets pay into when they are given the wallet's address, and it
//! can be watched before it exists. What lies in other token accounts of the same wallet is not looked for.

use curve25519_dalek::edwards::CompressedEdwardsY;
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::LazyLock;

/// The program of the token accounts that follow from wallets.
static ASSOCIATED: LazyLock<Key> = LazyLock::new(|| well_known("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL"));
static TOKEN: LazyLock<Key> = LazyLock::new(|| well_known("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"));
static TOKEN_2022: LazyLock<Key> = LazyLock::new(|| well_known("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"));
/// The account that tells a slot's own number and time.
pub static CLOCK: LazyLock<Key> = LazyLock::new(|| well_known("SysvarC1ock11111111111111111111111111111111"));
/// The owner of that account and its kin.
pub static SYSVARS: LazyLock<Key> = LazyLock::new(|| well_known("Sysvar1111111111111111111111111111111111111"));
/// The owner of accounts that hold nothing but SOL.
pub static SYSTEM: LazyLock<Key> = LazyLock::new(|| well_known("11111111111111111111111111111111"));

/// What an address that a program made is told apart by.
const MARKER: &[u8] = b"ProgramDerivedAddress";

/// The address of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key([u8; 32]);

impl Key {
    /// Reads 32 bytes in base58.
    pub fn parse(text: &str) -> Option<Key> {
        if !(32..=44).contains(&text.len()) {
            return None;
        }
        let bytes = bs58::decode(text).into_vec().ok()?;
        <[u8; 32]>::try_from(bytes).ok().map(Key)
    }

    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn is_on_curve(&self) -> bool {
        CompressedEdwardsY(self.0).decompress().is_some()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&bs58::encode(self.0).into_string())
    }
}

fn well_known(text: &str) -> Key {
    Key::parse(text).expect("a program's address is written in this file")
}

/// Which program a mint belongs to; it never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    Token,
    /// Also called Token Extensions: among others mints that take a fee of each transfer.
    Token2022,
}

impl Program {
    /// As the configuration names it.
    pub fn parse(word: &str) -> Option<Program> {
        match word {
            "token" => Some(Program::Token),
            "token-2022" => Some(Program::Token2022),
            _ => None,
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Program::Token => "token",
            Program::Token2022 => "token-2022",
        }
    }

    pub fn key(self) -> Key {
        match self {
            Program::Token => *TOKEN,
            Program::Token2022 => *TOKEN_2022,
        }
    }
}

/// The account in which a wallet keeps its tokens of a mint. `None` for one wallet in 2^256, for which there is none.
pub fn token_account(wallet: &Key, program: Program, mint: &Key) -> Option<Key> {
    let program = program.key();
    (0..=u8::MAX).rev().find_map(|bump| {
        let mut hash = Sha256::new();
        for seed in [&wallet.0, &program.0, &mint.0] {
            hash.update(seed);
        }
        hash.update([bump]);
        hash.update(ASSOCIATED.0);
        hash.update(MARKER);
        let address = Key(hash.finalize().into());
        (!address.is_on_curve()).then_some(address)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        Key::parse(text).expect("an address")
    }

    #[test]
    fn token_accounts_follow_from_wallet_program_and_mint() {
        // By @solana/spl-token 0.4.15, getAssociatedTokenAddressSync.
        let wallet = key("HAgk14JpMQLgt6rVgv7cBQFJWFto5Dqxi472uT3DKpqk");
        let usdc = key("EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v");
        for (program, expected) in [
            (Program::Token, "5N3f1tj9v1vc5TUZ8S7mCAnVmjVKrfnzXWhxLaxyZAgt"),
            (Program::Token2022, "52DxsD9Yt7q6329gb9yCZwVL5tTXrjKRh2h9Ce4BqSKb"),
        ] {
            assert_eq!(token_account(&wallet, program, &usdc), Some(key(expected)));
        }
        let other = key("Hh8QwFUA6MtVu1qAoq12ucvFHNwCcVTV7hpWjeY1Hztb");
        assert_eq!(
            token_account(&other, Program::Token, &usdc),
            Some(key("8X8ts1CnpZmtqApE2rREA97xEJuSRcomPGVcMFdS2cgY"))
        );
    }

    #[test]
    fn an_address_is_thirty_two_bytes() {
        let text = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";
        assert_eq!(key(text).to_string(), text);
        assert_eq!(*SYSTEM, Key([0; 32]));
        for text in ["", "EPjF", "0PjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v", &"z".repeat(44), &"1".repeat(45)] {
            assert_eq!(Key::parse(text), None, "{text}");
        }
    }

    #[test]
    fn programs_are_called_as_in_the_configuration() {
        for program in [Program::Token, Program::Token2022] {
            assert_eq!(Program::parse(program.word()), Some(program));
        }
        assert_eq!(Program::parse("Token"), None);
    }
}
