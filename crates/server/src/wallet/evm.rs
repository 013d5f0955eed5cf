//! Deposit addresses of EVM chains: the children of one extended public key (BIP-32, BIP-44), as EIP-55 writes them.
//!
//! Must never take a private key where a public one belongs: the library would turn it into its public half and go on, and
//! the key that spends everything would stay in the configuration. Called by the pools, by the configuration's check and
//! by `kiosk wallet`.

use super::WalletError;
use super::leak::{self, Leak};
use crate::adapters::evm::Address;
use bip32::{ChildNumber, ExtendedKey, Prefix, XPub};

/// Depth of an account's key, `m/44'/60'/0'` (BIP-44).
const ACCOUNT_DEPTH: u8 = 3;
/// Depth of the parent of an account's receiving addresses, `m/44'/60'/0'/0`.
const CHAIN_DEPTH: u8 = 4;
/// The receiving addresses among an account's; 1 would be those for change.
const RECEIVING: u32 = 0;

/// Why a text is not the key of a wallet's deposit addresses. Never quotes the text: it may be a private key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XpubError {
    #[error("it is {0}: {advice}", advice = leak::ADVICE)]
    Private(Leak),
    #[error(
        "it is no extended public key: one begins with xpub, has 111 characters, and its checksum fits; copy it again"
    )]
    Form,
    #[error("it begins with {0}, as keys for Bitcoin's addresses or for test networks do; export Ethereum's, an xpub")]
    Prefix(String),
    #[error(
        "it is the key {child} at depth {depth} of its wallet; give the account's (m/44'/60'/0', depth 3) or that of its \
         receiving addresses (m/44'/60'/0'/0, depth 4)"
    )]
    Place { depth: u8, child: ChildNumber },
}

/// The key whose children are the deposit addresses of all EVM chains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvmAccount {
    /// The parent of the addresses.
    parent: XPub,
    /// What stands before the index in an address's path.
    path: String,
    xpub: String,
}

impl EvmAccount {
    /// Reads an operator's extended public key: an account's, or that of an account's receiving addresses.
    ///
    /// # Errors
    /// As [`XpubError`] names them; a private key among them.
    pub fn parse(text: &str) -> Result<EvmAccount, XpubError> {
        let text = text.trim();
        if let Some(leak) = leak::of(text) {
            return Err(XpubError::Private(leak));
        }
        let key: ExtendedKey = text.parse().map_err(|_| XpubError::Form)?;
        if key.prefix.is_private() {
            return Err(XpubError::Private(Leak::ExtendedKey));
        }
        if key.prefix != Prefix::XPUB {
            return Err(XpubError::Prefix(key.prefix.as_str().to_owned()));
        }
        let (depth, child) = (key.attrs.depth, key.attrs.child_number);
        let given = XPub::try_from(key).map_err(|_| XpubError::Form)?;
        let xpub = text.to_owned();
        match depth {
            ACCOUNT_DEPTH if child.is_hardened() => {
                let parent = given.derive_child(ChildNumber(RECEIVING)).map_err(|_| XpubError::Form)?;
                Ok(EvmAccount { parent, path: format!("m/44'/60'/{child}/{RECEIVING}"), xpub })
            }
            // Which account it belongs to does not stand in the key.
            CHAIN_DEPTH if child == ChildNumber(RECEIVING) => {
                Ok(EvmAccount { parent: given, path: format!("m/44'/60'/../{RECEIVING}"), xpub })
            }
            _ => Err(XpubError::Place { depth, child }),
        }
    }

    /// The sandbox's, whose addresses are children of its root.
    pub fn of_sandbox(xpub: &str) -> Result<EvmAccount, WalletError> {
        let parent: XPub = xpub.parse().map_err(WalletError::Derive)?;
        Ok(EvmAccount { parent, path: "m".to_owned(), xpub: xpub.to_owned() })
    }

    /// The address of one index, with the checksum of EIP-55.
    ///
    /// # Errors
    /// The index is negative, or 2^31 or more.
    pub fn address(&self, index: i64) -> Result<String, WalletError> {
        let number = u32::try_from(index).map_err(|_| WalletError::Index(index))?;
        let number = ChildNumber::new(number, false).map_err(|_| WalletError::Index(index))?;
        let key = self.parent.derive_child(number).map_err(WalletError::Derive)?;
        let point = key.public_key().to_sec1_point(false);
        Ok(Address::of_public_key(&point.as_bytes()[1..]).to_string())
    }

    /// The addresses of `count` indices from `from`.
    pub fn addresses(&self, from: i64, count: usize) -> Result<Vec<String>, WalletError> {
        (from..).take(count).map(|index| self.address(index)).collect()
    }

    /// Where an address stands in its wallet, as hardware wallets name it.
    pub fn path(&self, index: i64) -> String {
        format!("{}/{index}", self.path)
    }

    /// The key of the receiving addresses, the same whether it or the account's was given. Public.
    pub fn key(&self) -> String {
        self.parent.to_string(Prefix::XPUB)
    }

    /// The key as it was given, shortened: enough to tell two wallets apart.
    pub fn name(&self) -> String {
        match (self.xpub.get(..10), self.xpub.get(self.xpub.len().saturating_sub(6)..)) {
            (Some(head), Some(tail)) => format!("{head}..{tail}"),
            _ => self.xpub.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::throwaway_xpub;
    use super::*;

    // Of the mnemonic "test .. junk", with which Ethereum's development nodes start; computed with another library too
    // (bip-utils 2.12).
    const ACCOUNT: &str = "xpub6Ce9NcJvTk36xtLSrJLZqE7wtgA5deCeYs7rSQtreh4cj6ByPtrg9sD7V2FNFLPnf8heNP3FGkeV9qwfzvZNSd54JoNXVsXFYSYwHsnJxqP";
    const CHAIN: &str = "xpub6DyUKdwoLWmUJ4Tn9Bbsdtx7B5Ws18mEN19e5HT52ikE53FiUheSQXrZUNPovqfyKmw4579A1Mm3GXXKM39N64uooBfJ4tNAzFsEbodRTx4";
    const XPRV: &str = "xprv9yeny6n2dNUokQFykGoZU6BDLeKbEBUoBeCFe2VF6MXdrHrprMYRc4tddncDRxrJCy7GtPDk68zRcgWtGFveqdCV5NyhZwVgMoZVbTm78vx";
    /// The addresses that such a node prints as it starts.
    const PUBLISHED: [&str; 4] = [
        "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
        "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
        "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
        "0x90F79bf6EB2c4f870365E785982E1f101E93b906",
    ];

    #[test]
    fn public_children_are_those_of_bip_32() {
        // Test vector 1 of the BIP, m/0' -> m/0'/1, and test vector 2, m -> m/0.
        for (parent, index, child) in [
            (
                "xpub68Gmy5EdvgibQVfPdqkBBCHxA5htiqg55crXYuXoQRKfDBFA1WEjWgP6LHhwBZeNK1VTsfTFUHCdrfp1bgwQ9xv5ski8PX9rL2dZXvgGDnw",
                1,
                "xpub6ASuArnXKPbfEwhqN6e3mwBcDTgzisQN1wXN9BJcM47sSikHjJf3UFHKkNAWbWMiGj7Wf5uMash7SyYq527Hqck2AxYysAA7xmALppuCkwQ",
            ),
            (
                "xpub661MyMwAqRbcFW31YEwpkMuc5THy2PSt5bDMsktWQcFF8syAmRUapSCGu8ED9W6oDMSgv6Zz8idoc4a6mr8BDzTJY47LJhkJ8UB7WEGuduB",
                0,
                "xpub69H7F5d8KSRgmmdJg2KhpAK8SR3DjMwAdkxj3ZuxV27CprR9LgpeyGmXUbC6wb7ERfvrnKZjXoUmmDznezpbZb7ap6r1D3tgFxHmwMkQTPH",
            ),
        ] {
            let parent: XPub = parent.parse().expect("a key of the BIP");
            let derived = parent.derive_child(ChildNumber(index)).expect("a child");
            assert_eq!(derived.to_string(Prefix::XPUB), child);
        }
    }

    #[test]
    fn both_keys_of_a_wallet_lead_to_its_published_addresses() {
        for (xpub, path) in [(ACCOUNT, "m/44'/60'/0'/0/3"), (CHAIN, "m/44'/60'/../0/3")] {
            let account = EvmAccount::parse(&format!(" {xpub}\n")).expect("an extended public key");
            assert_eq!(account.addresses(0, 4).expect("addresses"), PUBLISHED);
            assert_eq!(account.address(1_000).expect("far out"), "0x6D58073AeeB28068c5925D618DA9f4c4F35727b3");
            assert_eq!(account.path(3), path);
        }
        assert_eq!(EvmAccount::parse(ACCOUNT).expect("a key").name(), "xpub6Ce9Nc..snJxqP");
    }

    #[test]
    fn indices_end_at_two_to_the_31() {
        let account = EvmAccount::parse(ACCOUNT).expect("a key");
        account.address((1 << 31) - 1).expect("the last one");
        for index in [-1, 1 << 31, 1 << 32, i64::MAX] {
            assert_eq!(account.address(index), Err(WalletError::Index(index)));
        }
    }

    #[test]
    fn a_private_key_is_refused_and_the_reason_is_said() {
        let words = format!("{}junk", "test ".repeat(11));
        for text in [XPRV, &words, &"ab".repeat(32), "xprv9s21ZrQH143K31xYSDQpPDxsXRTUcvj2iNHm5NUtrGiGG5e2DtALGdso"] {
            let error = EvmAccount::parse(text).expect_err("a private key");
            assert!(matches!(error, XpubError::Private(_)), "{error:?}");
            let said = error.to_string();
            assert!(said.contains("private key") || said.contains("mnemonic"), "{said}");
            assert!(said.contains("extended public key (xpub)") && said.contains("move its money"), "{said}");
            assert!(!said.contains(&text[..12]), "it is repeated: {said}");
        }
    }

    #[test]
    fn what_is_no_key_of_deposit_addresses_is_refused() {
        let place = |depth, child| XpubError::Place { depth, child: ChildNumber(child) };
        let typing_error = ACCOUNT.replace("Ce9N", "Ce9M");
        for (text, error) in [
            ("", XpubError::Form),
            ("xpub", XpubError::Form),
            (typing_error.as_str(), XpubError::Form),
            (&ACCOUNT[..110], XpubError::Form),
            ("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", XpubError::Form),
            // The account of BIP-84; and of test vector 1 of BIP-32: m, m/0' and m/0'/1/2'/2.
            (
                "zpub6qiy8cvfjiUGpweZnK5zLcKWkizhTsraN95DLyQVvvkp8aevEF8KMzSBnnLix3m9NYqeoLBLEc7G2rJVVCEj1A82gRVN2BXGiWmYosGpCAy",
                XpubError::Prefix("zpub".to_owned()),
            ),
            (
                "xpub661MyMwAqRbcFtXgS5sYJABqqG9YLmC4Q1Rdap9gSE8NqtwybGhePY2gZ29ESFjqJoCu1Rupje8YtGqsefD265TMg7usUDFdp6W1EGMcet8",
                place(0, 0),
            ),
            (
                "xpub68Gmy5EdvgibQVfPdqkBBCHxA5htiqg55crXYuXoQRKfDBFA1WEjWgP6LHhwBZeNK1VTsfTFUHCdrfp1bgwQ9xv5ski8PX9rL2dZXvgGDnw",
                place(1, ChildNumber::HARDENED_FLAG),
            ),
            (
                "xpub6FHa3pjLCk84BayeJxFW2SP4XRrFd1JYnxeLeU8EqN3vDfZmbqBqaGJAyiLjTAwm6ZLRQUMv1ZACTj37sR62cfN7fe5JnJ7dh8zL4fiyLHV",
                place(4, 2),
            ),
        ] {
            assert_eq!(EvmAccount::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn children_of_one_key_are_stable_and_differ() {
        let sandbox = EvmAccount::of_sandbox(&throwaway_xpub([7; 32]).expect("a key")).expect("an account");
        let all = sandbox.addresses(0, 3).expect("addresses");
        assert_eq!(sandbox.addresses(1, 2).expect("addresses"), all[1..]);
        assert!(all.iter().all(|address| address.len() == 42) && all[0] != all[1]);
        EvmAccount::of_sandbox("xprv-not-a-public-key").expect_err("no key");
    }

    #[test]
    fn an_account_and_its_chain_have_one_key() {
        let (account, chain) = (EvmAccount::parse(ACCOUNT).expect("a key"), EvmAccount::parse(CHAIN).expect("a key"));
        assert_eq!((account.key(), chain.key()), (CHAIN.to_owned(), CHAIN.to_owned()));
    }
}
