//! Deposit addresses: derived from an extended public key on EVM chains, made offline on Solana.
//!
//! The server holds no spending key for incoming money. In the demo the keys are thrown away as they are made.

use bip32::{ChildNumber, ExtendedPrivateKey, Prefix, XPub};
use domain::asset::ChainKind;
use ring::signature::{Ed25519KeyPair, KeyPair};
use sha3::{Digest, Keccak256};

/// Why no address could be made.
#[derive(Debug, thiserror::Error)]
pub enum WalletError {
    #[error("the extended public key cannot be used: {0}")]
    Xpub(bip32::Error),
    #[error("the index {0} is beyond what one extended public key can derive")]
    Index(i64),
}

/// EVM addresses of the children `from..from + count` of an extended public key, with EIP-55 checksums.
pub fn evm_addresses(xpub: &str, from: i64, count: usize) -> Result<Vec<String>, WalletError> {
    let parent: XPub = xpub.parse().map_err(WalletError::Xpub)?;
    let child = |at: i64| {
        let index = u32::try_from(at).map_err(|_| WalletError::Index(at))?;
        let number = ChildNumber::new(index, false).map_err(|_| WalletError::Index(at))?;
        let key = parent.derive_child(number).map_err(WalletError::Xpub)?;
        let point = key.public_key().to_sec1_point(false);
        Ok(evm_address(&point.as_bytes()[1..]))
    };
    (from..).take(count).map(child).collect()
}

/// The last twenty bytes of Keccak-256 of an uncompressed public key, with the checksum of EIP-55.
fn evm_address(public_key: &[u8]) -> String {
    let digest = Keccak256::digest(public_key);
    checksummed(&crate::entropy::to_hex(&digest[12..]))
}

fn checksummed(hex: &str) -> String {
    let digest = Keccak256::digest(hex.as_bytes());
    let letter = |(at, letter): (usize, char)| {
        let nibble = digest[at / 2] >> (if at % 2 == 0 { 4 } else { 0 }) & 0xf;
        if nibble >= 8 { letter.to_ascii_uppercase() } else { letter }
    };
    std::iter::once("0x".to_owned()).chain(hex.chars().enumerate().map(|pair| letter(pair).to_string())).collect()
}

/// An extended public key whose private half is forgotten at once: for the demo, where no real money can arrive.
pub fn throwaway_xpub(seed: [u8; 32]) -> Result<String, WalletError> {
    let root: ExtendedPrivateKey<bip32::secp256k1::ecdsa::SigningKey> =
        ExtendedPrivateKey::new(&seed).map_err(WalletError::Xpub)?;
    Ok(root.public_key().to_string(Prefix::XPUB))
}

/// A Solana address whose private key is forgotten at once.
pub fn throwaway_solana_address(seed: [u8; 32]) -> String {
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("any 32 bytes are a seed");
    bs58::encode(pair.public_key().as_ref()).into_string()
}

/// The word for people.
pub fn family_name(kind: ChainKind) -> &'static str {
    match kind {
        ChainKind::Evm => "EVM",
        ChainKind::Svm => "Solana",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_eip_55() {
        // The examples of the EIP.
        for address in ["0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"] {
            assert_eq!(checksummed(&address[2..].to_lowercase()), address);
        }
    }

    #[test]
    fn children_of_one_key_are_stable_and_differ() {
        let xpub = throwaway_xpub([7; 32]).expect("a key");
        let all = evm_addresses(&xpub, 0, 3).expect("addresses");
        assert_eq!(evm_addresses(&xpub, 1, 2).expect("addresses"), all[1..]);
        assert!(all.iter().all(|address| address.len() == 42) && all[0] != all[1]);
    }

    #[test]
    fn an_address_is_the_hash_of_the_public_key() {
        // The generator point: the address of private key 1 is widely published.
        let point = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798\
            483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8";
        let bytes: [u8; 64] = crate::entropy::from_hex(point).expect("hex");
        assert_eq!(evm_address(&bytes), "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf");
    }

    #[test]
    fn an_indexed_private_key_is_refused() {
        assert!(evm_addresses("xprv-not-a-public-key", 0, 1).is_err());
    }
}
