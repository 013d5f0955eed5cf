//! The wallet that money is paid to: a mnemonic, and what follows from it. It exists on the operator's offline machine.
//!
//! Must never be called by the server, nor write a secret anywhere but into the text that `kiosk wallet new` prints. What
//! it holds is overwritten when it is dropped, as far as the libraries leave no copies. Paths are BIP-44's: `m/44'/60'/0'`
//! for EVM, and `m/44'/501'/INDEX'/0'` for Solana, where Phantom, Solflare and Solana's own tools look.

use super::WalletError;
use super::slip10::Node;
use super::solana::SolanaAddress;
use crate::secret::Secret;
use bip32::{DerivationPath, Prefix, XPrv};
use bip39::{Language, Mnemonic};
use zeroize::Zeroizing;

/// Registered coin types (SLIP-0044).
const SOLANA: u32 = 501;
/// BIP-44's own purpose.
const PURPOSE: u32 = 44;
/// The account whose extended public key the server is given.
pub const EVM_ACCOUNT: &str = "m/44'/60'/0'";

/// Why words are no mnemonic. Never quotes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WordsError {
    #[error("a mnemonic has 12, 15, 18, 21 or 24 words; these are {0}")]
    Count(usize),
    #[error("word {0} is not in the English list of BIP-39: look at its spelling")]
    Unknown(usize),
    #[error("the words do not belong together (their checksum does not fit): one is wrong, or two have changed places")]
    Checksum,
}

/// A mnemonic and its seed.
#[derive(Debug)]
pub struct ColdWallet {
    mnemonic: Secret<Mnemonic>,
    seed: Secret<Zeroizing<[u8; 64]>>,
}

impl ColdWallet {
    /// The wallet of 32 random bytes: 24 words.
    pub fn new(entropy: &[u8; 32]) -> ColdWallet {
        let mnemonic = Mnemonic::from_entropy(entropy).expect("BIP-39 names 256 bits");
        ColdWallet::of(mnemonic)
    }

    /// The wallet of words that somebody has written down, in any case and with any space between them.
    pub fn from_words(words: &str) -> Result<ColdWallet, WordsError> {
        let words = Zeroizing::new(words.to_lowercase());
        let mnemonic = Mnemonic::parse_in_normalized(Language::English, &words).map_err(|error| match error {
            bip39::Error::BadWordCount(count) => WordsError::Count(count),
            bip39::Error::UnknownWord(at) => WordsError::Unknown(at + 1),
            bip39::Error::InvalidChecksum
            | bip39::Error::BadEntropyBitCount(_)
            | bip39::Error::AmbiguousLanguages(_) => WordsError::Checksum,
        })?;
        Ok(ColdWallet::of(mnemonic))
    }

    fn of(mnemonic: Mnemonic) -> ColdWallet {
        let seed = Secret::new(seed_of(&mnemonic, ""));
        ColdWallet { mnemonic: Secret::new(mnemonic), seed }
    }

    /// The words, for the one sheet that shows them.
    pub fn words(&self) -> Vec<&'static str> {
        self.mnemonic.expose().words().collect()
    }

    /// The extended public key of [`EVM_ACCOUNT`]: all that a server needs of this wallet.
    pub fn xpub(&self) -> Result<String, WalletError> {
        let path: DerivationPath = EVM_ACCOUNT.parse().map_err(WalletError::Derive)?;
        let key = XPrv::derive_from_path(self.seed.expose().as_slice(), &path).map_err(WalletError::Derive)?;
        Ok(key.public_key().to_string(Prefix::XPUB))
    }

    /// The parent of the Solana addresses.
    pub fn solana(&self) -> SolanaKeys {
        SolanaKeys(Node::root(self.seed.expose().as_slice()).child(PURPOSE).child(SOLANA))
    }
}

/// Makes Solana addresses.
#[derive(Debug)]
pub struct SolanaKeys(Node);

impl SolanaKeys {
    /// The address of one index below 2^31.
    pub fn address(&self, index: u32) -> SolanaAddress {
        SolanaAddress::of_public_key(self.0.child(index).child(0).public_key())
    }

    /// Where an address stands, as wallets name it.
    pub fn path(index: u32) -> String {
        format!("m/{PURPOSE}'/{SOLANA}'/{index}'/0'")
    }
}

fn seed_of(mnemonic: &Mnemonic, passphrase: &str) -> Zeroizing<[u8; 64]> {
    Zeroizing::new(mnemonic.to_seed_normalized(passphrase))
}

#[cfg(test)]
mod tests {
    use super::super::evm::EvmAccount;
    use super::*;
    use crate::entropy::{from_hex, to_hex};

    fn abandon() -> ColdWallet {
        ColdWallet::from_words(&format!("{}about", "abandon ".repeat(11))).expect("words")
    }

    #[test]
    fn words_and_seeds_are_those_of_bip_39() {
        // The vectors of the BIP's reference implementation (trezor/python-mnemonic, vectors.json); passphrase "TREZOR".
        let table = [
            (
                "0000000000000000000000000000000000000000000000000000000000000000",
                "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
                 abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon art",
                "bda85446c68413707090a52022edd26a1c9462295029f2e60cd7c4f2bbd30971\
                 70af7a4d73245cafa9c3cca8d561a7c3de6f5d4a10be8ed2a5e608d68f92fcc8",
            ),
            (
                "7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f",
                "legal winner thank year wave sausage worth useful legal winner thank year \
                 wave sausage worth useful legal winner thank year wave sausage worth title",
                "bc09fca1804f7e69da93c2f2028eb238c227f2e9dda30cd63699232578480a40\
                 21b146ad717fbb7e451ce9eb835f43620bf5c514db0f8add49f5d121449d3e87",
            ),
            (
                "8080808080808080808080808080808080808080808080808080808080808080",
                "letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd \
                 amount doctor acoustic avoid letter advice cage absurd amount doctor acoustic bless",
                "c0c519bd0e91a2ed54357d9d1ebef6f5af218a153624cf4f2da911a0ed8f7a09\
                 e2ef61af0aca007096df430022f7a2b6fb91661a9589097069720d015e4e982f",
            ),
            (
                "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
                "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo vote",
                "dd48c104698c30cfe2b6142103248622fb7bb0ff692eebb00089b32d22484e16\
                 13912f0a5b694407be899ffd31ed3992c456cdf60f5d4564b8ba3f05a69890ad",
            ),
            (
                "f585c11aec520db57dd353c69554b21a89b20fb0650966fa0a9d6f74fd989d8f",
                "void come effort suffer camp survey warrior heavy shoot primary clutch crush \
                 open amazing screen patrol group space point ten exist slush involve unfold",
                "01f5bced59dec48e362f2c45b5de68b9fd6c92c6634f44d6d40aab69056506f0\
                 e35524a518034ddc1192e1dacd32c1ed3eaa3c3b131c88ed8e7e54c49a5d0998",
            ),
        ];
        for (entropy, words, seed) in table {
            let wallet = ColdWallet::new(&from_hex(entropy).expect("hex"));
            assert_eq!(wallet.words().join(" "), words);
            assert_eq!(to_hex(seed_of(wallet.mnemonic.expose(), "TREZOR").as_slice()), seed);
            let again = ColdWallet::from_words(&words.to_uppercase().replace(' ', "\n ")).expect("the same words");
            assert_eq!(again.seed.expose().as_slice(), wallet.seed.expose().as_slice());
        }
    }

    #[test]
    fn a_slip_of_the_pen_is_noticed() {
        let refused = |words: &str| ColdWallet::from_words(words).expect_err("no mnemonic");
        assert_eq!(refused(""), WordsError::Count(0));
        assert_eq!(refused("zoo zoo zoo"), WordsError::Count(3));
        assert_eq!(refused(&"zoo ".repeat(12)), WordsError::Checksum);
        let misspelt = format!("{}abuot", "abandon ".repeat(11));
        assert_eq!(refused(&misspelt), WordsError::Unknown(12));
        assert!(!refused(&misspelt).to_string().contains("abuot"));
    }

    #[test]
    fn keys_below_a_seed_are_those_of_bip_32() {
        // Test vector 1 of the BIP, m/0'/1/2'/2/1000000000: bip32's own derivation, by the call that is used here.
        let seed: [u8; 16] = from_hex("000102030405060708090a0b0c0d0e0f").expect("hex");
        let path: DerivationPath = "m/0'/1/2'/2/1000000000".parse().expect("a path");
        let key = XPrv::derive_from_path(seed.as_slice(), &path).expect("a key").public_key();
        assert_eq!(
            key.to_string(Prefix::XPUB),
            "xpub6H1LXWLaKsWFhvm6RVpEL9P4KfRZSW7abD2ttkWP3SSQvnyA8FSVqNTEcYFgJS2UaFcxupHiYkro49S8yGasTvXEYBVPamhGW6cFJodrTHy"
        );
    }

    #[test]
    fn the_addresses_of_a_published_mnemonic_are_the_published_ones() {
        // "abandon .. about" without a passphrase; EVM and Solana addresses as MetaMask and Phantom show them.
        let wallet = abandon();
        let xpub = wallet.xpub().expect("a key");
        assert_eq!(
            xpub,
            "xpub6DCoCpSuQZB2jawqnGMEPS63ePKWkwWPH4TU45Q7LPXWuNd8TMtVxRrgjtEshuqpK3mdhaWHPFsBngh5GFZaM6si3yZdUsT8ddYM3PwnATt"
        );
        let account = EvmAccount::parse(&xpub).expect("an extended public key");
        assert_eq!(account.address(0).expect("an address"), "0x9858EfFD232B4033E47d90003D41EC34EcaEda94");
        assert_eq!(account.address(1).expect("an address"), "0x6Fac4D18c912343BF86fa7049364Dd4E424Ab9C0");
        let keys = wallet.solana();
        let solana: Vec<String> = [0, 1, 7].iter().map(|index| keys.address(*index).to_string()).collect();
        assert_eq!(
            solana,
            [
                "HAgk14JpMQLgt6rVgv7cBQFJWFto5Dqxi472uT3DKpqk",
                "Hh8QwFUA6MtVu1qAoq12ucvFHNwCcVTV7hpWjeY1Hztb",
                "9h1cLBiraaUqM1CdJTaVaew1oQtgQUW24FZ8YdnLLgJY",
            ]
        );
        assert_eq!(SolanaKeys::path(7), "m/44'/501'/7'/0'");
    }

    #[test]
    fn a_wallet_does_not_print() {
        let wallet = abandon();
        let printed = format!("{wallet:?} {:?}", wallet.solana());
        assert_eq!(printed, "ColdWallet { mnemonic: [secret], seed: [secret] } SolanaKeys(Node([secret]))");
    }
}
