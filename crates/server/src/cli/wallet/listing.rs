//! `kiosk wallet addresses`: deposit addresses with their paths, and whether the pools hold what they should.
//!
//! A hardware wallet that shows other addresses at these paths does not have the keys to the money: whoever sets a shop up
//! compares a few before the first order. Public keys and addresses only.

use crate::boot::Kiosk;
use crate::boot::pool_keys::{self, Stretch};
use crate::cli::Installation;
use crate::store::claims::{self, PoolRow};
use crate::wallet::evm::EvmAccount;
use crate::wallet::family_name;
use crate::wallet::solana::SolanaAddress;
use anyhow::Context;
use domain::asset::ChainKind;
use std::process::ExitCode;

/// Rows that are read and checked in one go.
const PAGE: i64 = 1_000;
/// Progress is told after so many.
const TOLD_EVERY: u64 = 50_000;
/// Findings that are told one by one.
const MOST_TOLD: usize = 20;

#[derive(clap::Args)]
pub struct AddressesArgs {
    /// The first index to show.
    #[arg(long, default_value_t = 0)]
    from: u32,
    /// How many to show.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    count: u32,
    /// An extended public key, instead of the configuration's: needs no installation.
    #[arg(long, conflicts_with_all = ["check", "config", "data_dir"])]
    xpub: Option<String>,
    /// Derive every address of the EVM pool again and compare; check the form of every Solana address.
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    installation: Installation,
}

/// Lists, and checks if asked to; the exit code is 1 if an address is wrong.
pub async fn run(arguments: &AddressesArgs) -> anyhow::Result<ExitCode> {
    if let Some(xpub) = &arguments.xpub {
        let account = EvmAccount::parse(xpub).context("--xpub cannot be used")?;
        print!("{}", list(&account, arguments.from, arguments.count)?);
        return Ok(ExitCode::SUCCESS);
    }
    let kiosk = arguments.installation.open().await?;
    match kiosk.pools.evm_account().await? {
        Some(account) => print!("{}", list(&account, arguments.from, arguments.count)?),
        None => println!("The configuration has no wallet.evm_xpub: there are no EVM addresses to show."),
    }
    if !arguments.check {
        return Ok(ExitCode::SUCCESS);
    }
    let checked = check(&kiosk, &mut |done| eprintln!("{done} checked")).await?;
    print!("{}", checked.text());
    Ok(if checked.wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One line for each address: its path and itself.
pub fn list(account: &EvmAccount, from: u32, count: u32) -> anyhow::Result<String> {
    let mut text = String::new();
    for index in (i64::from(from)..).take(count as usize) {
        text += &format!("{}  {}\n", account.path(index), account.address(index)?);
    }
    Ok(text)
}

/// What a check of the pools found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    pub evm: u64,
    pub solana: u64,
    pub wrong: u64,
    /// The first of them, in sentences.
    pub told: Vec<String>,
}

impl Checked {
    fn wrong(&mut self, sentence: String) {
        self.wrong += 1;
        if self.told.len() < MOST_TOLD {
            self.told.push(sentence);
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = format!("{} EVM and {} Solana addresses of the pools were checked\n", self.evm, self.solana);
        for sentence in &self.told {
            text += &format!("WRONG: {sentence}\n");
        }
        if self.wrong > self.told.len() as u64 {
            text += &format!("and {} more\n", self.wrong - self.told.len() as u64);
        }
        text + match self.wrong {
            0 => "all of them are what they should be\n",
            _ => {
                "Stop the server: money that is sent to those addresses may be lost. `kiosk wallet pool retire` takes the free \
                 ones out of use.\n"
            }
        }
    }
}

/// Checks every address that was or will be given out: EVM addresses against the key that they were made with, of this
/// wallet or of one before it, Solana addresses for their form. Addresses that were set aside may be another wallet's.
pub async fn check(kiosk: &Kiosk, progress: &mut dyn FnMut(u64)) -> anyhow::Result<Checked> {
    let keys = Keys::of(kiosk).await?;
    let mut checked = Checked::default();
    for kind in [ChainKind::Evm, ChainKind::Svm] {
        let mut next = 0;
        loop {
            let rows = kiosk.engine.db.read(move |tx| claims::pool_rows(tx, kind, next, PAGE)).await?;
            let Some(last) = rows.last() else { break };
            next = last.index + 1;
            for row in rows.iter().filter(|row| row.in_use) {
                let wrong = match kind {
                    ChainKind::Evm => wrong_with_evm(keys.at(row.index), row)?,
                    ChainKind::Svm => wrong_with_solana(row),
                };
                if let Some(wrong) = wrong {
                    checked.wrong(format!("{} address {}: {wrong}", family_name(kind), row.index));
                }
                match kind {
                    ChainKind::Evm => checked.evm += 1,
                    ChainKind::Svm => checked.solana += 1,
                }
                let done = checked.evm + checked.solana;
                if done.is_multiple_of(TOLD_EVERY) {
                    progress(done);
                }
            }
        }
    }
    Ok(checked)
}

/// The keys of the EVM pool: earlier ones, each with the index at which its part ends, and the configuration's.
struct Keys {
    retired: Vec<(i64, EvmAccount)>,
    current: Option<EvmAccount>,
}

impl Keys {
    async fn of(kiosk: &Kiosk) -> anyhow::Result<Keys> {
        let mut retired = Vec::new();
        for Stretch { end, key } in kiosk.engine.db.read(pool_keys::retired).await? {
            retired.push((end, EvmAccount::parse(&key).context("a retired key of the pool cannot be read")?));
        }
        Ok(Keys { retired, current: kiosk.pools.evm_account().await? })
    }

    fn at(&self, index: i64) -> Option<&EvmAccount> {
        let earlier = self.retired.iter().find(|(end, _)| index < *end).map(|(_, account)| account);
        earlier.or(self.current.as_ref())
    }
}

fn wrong_with_evm(account: Option<&EvmAccount>, row: &PoolRow) -> anyhow::Result<Option<String>> {
    let Some(account) = account else {
        return Ok(Some("the configuration has no wallet.evm_xpub to compare it with".to_owned()));
    };
    let own = account.address(row.index)?;
    let wrong = own != row.address;
    Ok(wrong.then(|| format!("the pool has {}, the wallet {own} ({})", row.address, account.path(row.index))))
}

fn wrong_with_solana(row: &PoolRow) -> Option<String> {
    SolanaAddress::parse(&row.address).err().map(|error| error.to_string())
}
