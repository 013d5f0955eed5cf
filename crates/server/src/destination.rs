//! Where money may be sent that goes back to a payer: a well-formed address of the right kind of network, that is nobody's
//! and no contract of a token. Whether it is one of ours is asked of the pool, by whoever calls.
//!
//! Called by the claim page, by `kiosk refund` and, once more, right before a refund is paid. Must never quote what was
//! typed: a seed phrase may have been pasted.

use crate::adapters::evm::{Address, AddressError};
use crate::wallet::solana::{self, SolanaAddress};
use domain::asset::{ChainKind, Network, Rails};

/// Why nothing is sent there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    #[error("that is no address of this network: one is 0x and 40 hexadecimal digits")]
    NotEvm,
    #[error("the address is mistyped: its capital letters are a checksum (EIP-55), and it does not fit; copy it again")]
    Checksum,
    #[error("that is no address of Solana: one has 32 to 44 letters and digits, and does not begin with 0x")]
    NotSolana,
    #[error("that is the account of a token or of a program, and no wallet; give the wallet's own address")]
    NoWallet,
    #[error("that is a private key or a seed phrase: whoever knows it owns the wallet. Give the wallet's address")]
    Secret,
    #[error("nobody has that address: what is sent there is lost")]
    Nobody,
    #[error("that is the contract of a token: what is sent there is lost. Give your wallet's own address")]
    Token,
    #[error("that address is the shop's own; give your wallet's address")]
    Ours,
}

/// The longest text that is looked at, in bytes: a seed phrase is told from an address, a book is not.
const MOST_BYTES: usize = 300;

/// The address as it is written: with its checksum on EVM chains.
///
/// # Errors
/// As [`DestinationError`] names them, but `Ours`.
pub fn check(text: &str, network: &Network, rails: &Rails) -> Result<String, DestinationError> {
    let text = text.trim();
    if text.len() > MOST_BYTES {
        return Err(match network.kind {
            ChainKind::Evm => DestinationError::NotEvm,
            ChainKind::Svm => DestinationError::NotSolana,
        });
    }
    if crate::wallet::leak::of(text).is_some() {
        return Err(DestinationError::Secret);
    }
    let contracts = rails.networks.iter().filter(|other| other.kind == network.kind);
    let mut contracts = contracts.flat_map(|other| &other.assets).filter_map(|asset| asset.contract.as_deref());
    match network.kind {
        ChainKind::Evm => {
            let address = Address::parse(text).map_err(|error| match error {
                AddressError::Form => DestinationError::NotEvm,
                AddressError::Checksum => DestinationError::Checksum,
            })?;
            // The lowest numbers are the zero address and the chain's own contracts.
            if address.bytes()[..18].iter().all(|byte| *byte == 0) {
                return Err(DestinationError::Nobody);
            }
            if contracts.any(|contract| Address::of_node(contract) == Some(address)) {
                return Err(DestinationError::Token);
            }
            Ok(address.to_string())
        }
        ChainKind::Svm => {
            // A mint may lie on the curve or beside it.
            if contracts.any(|contract| contract == text) {
                return Err(DestinationError::Token);
            }
            let address = SolanaAddress::parse(text).map_err(|error| match error {
                solana::AddressError::Private(_) => DestinationError::Secret,
                solana::AddressError::Evm | solana::AddressError::Form => DestinationError::NotSolana,
                solana::AddressError::OffCurve => DestinationError::NoWallet,
                solana::AddressError::SmallOrder => DestinationError::Nobody,
            })?;
            Ok(address.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::asset::{Asset, Confirmation};
    use domain::ids::{AssetId, NetworkId};
    use domain::time::Span;

    /// A sample of EIP-55.
    const EVM: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
    /// Another, here the contract of a token.
    const TOKEN: &str = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359";
    /// The public key of the first test of RFC 8032 (section 7.1).
    const SOLANA: &str = "FVen3X669xLzsi6N2V91DoiyzHzg1uAgqiT8jZ9nS96Z";
    /// The mint of USDC on Solana.
    const MINT: &str = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";

    fn network(kind: ChainKind, contract: &str) -> Network {
        let asset = Asset {
            id: AssetId::new(format!("test:{kind:?}/token:{contract}")),
            coin: "USDC".to_owned(),
            contract: Some(contract.to_owned()),
            decimals: 6,
            payment_method: "USDC".to_owned(),
        };
        Network {
            id: NetworkId::new(format!("test:{kind:?}")),
            name: format!("{kind:?}"),
            kind,
            chain_id: None,
            base_token: "COIN".to_owned(),
            transfer_cost: String::new(),
            window: Span::minutes(30),
            confirmation: Confirmation::Finalized,
            suspended: false,
            assets: vec![asset],
        }
    }

    #[test]
    fn money_goes_to_wallets_of_the_right_network_and_nowhere_else() {
        use DestinationError::*;
        let (evm, solana) = (network(ChainKind::Evm, TOKEN), network(ChainKind::Svm, MINT));
        let rails = Rails { coins: Vec::new(), networks: vec![evm.clone(), solana.clone()] };
        let mistyped = EVM.replacen('A', "a", 1);
        let phrase = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
        let key = "ab".repeat(32);
        let table: &[(&Network, &str, Result<&str, DestinationError>)] = &[
            (&evm, EVM, Ok(EVM)),
            (&evm, &EVM.to_lowercase(), Ok(EVM)),
            (&evm, &format!(" {EVM}\n"), Ok(EVM)),
            (&evm, &mistyped, Err(Checksum)),
            (&evm, "", Err(NotEvm)),
            (&evm, SOLANA, Err(NotEvm)),
            (&evm, "vitalik.eth", Err(NotEvm)),
            (&evm, &"1".repeat(MOST_BYTES + 1), Err(NotEvm)),
            (&evm, &format!("0x{}", "0".repeat(40)), Err(Nobody)),
            (&evm, &format!("0x{}1", "0".repeat(39)), Err(Nobody)),
            (&evm, TOKEN, Err(Token)),
            (&evm, &TOKEN.to_lowercase(), Err(Token)),
            (&evm, phrase, Err(Secret)),
            (&evm, &key, Err(Secret)),
            (&solana, SOLANA, Ok(SOLANA)),
            (&solana, EVM, Err(NotSolana)),
            (&solana, "", Err(NotSolana)),
            (&solana, &SOLANA[..31], Err(NotSolana)),
            // 2, as 32 bytes: no point of the curve has that height.
            (&solana, "8opHzTAnfzRpPEx21XtnrVTX28YQuCpAjcn1PczScKh", Err(NoWallet)),
            (&solana, &SOLANA.replacen('F', "0", 1), Err(NotSolana)),
            (&solana, "11111111111111111111111111111111", Err(Nobody)),
            (&solana, MINT, Err(Token)),
            (&solana, phrase, Err(Secret)),
        ];
        for (network, text, wanted) in table {
            let found = check(text, network, &rails);
            assert_eq!(found.as_deref().map_err(|error| *error), *wanted, "{text:?}");
            if let Err(error) = found {
                assert!(text.is_empty() || !error.to_string().contains(*text), "{error}");
            }
        }
    }
}
