//! Deposit addresses: derived from an extended public key on EVM chains, made offline on Solana.
//!
//! The server holds no spending key for incoming money: it reads `evm` and `solana` alone, and `leak` keeps private keys
//! out of its configuration. `cold` and `slip10` hold keys, for the commands that an operator runs on a machine without a
//! network; nothing else may call them. In the demo the keys are thrown away as they are made.

pub mod evm;
pub mod leak;
pub mod solana;

pub mod cold;
mod slip10;

use bip32::{Prefix, XPrv};
use domain::asset::ChainKind;
use ring::signature::{Ed25519KeyPair, KeyPair};

/// Why no address could be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WalletError {
    #[error("no key could be derived: {0}")]
    Derive(bip32::Error),
    #[error("the index {0} is beyond what one extended public key can derive")]
    Index(i64),
}

/// An extended public key whose private half is forgotten at once: for the demo, where no real money can arrive.
pub fn throwaway_xpub(seed: [u8; 32]) -> Result<String, WalletError> {
    let root = XPrv::new(&seed).map_err(WalletError::Derive)?;
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
