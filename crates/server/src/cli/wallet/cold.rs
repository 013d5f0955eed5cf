//! `kiosk wallet new` and `kiosk wallet derive`: for a machine without a network.
//!
//! They open no installation and no connection, and store no secret: the words are printed once, files hold public
//! addresses alone. They refuse to run beside a server, because whoever breaks into that machine later would find the words
//! in its terminal's history, its swap or its logs. Must never write a word into an error or a log.

use crate::entropy;
use crate::wallet::cold::{ColdWallet, EVM_ACCOUNT, SolanaKeys};
use crate::wallet::evm::EvmAccount;
use anyhow::{Context, bail};
use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, BufWriter, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zeroize::Zeroizing;

/// Addresses on the sheet, for comparison with another wallet.
const SHOWN: u32 = 3;
/// The longest line of words that is read.
const MOST_OF_WORDS: u64 = 1_000;

/// Bytes of the whole sheet, and more: a text that grows leaves copies of the words behind.
const ROOM: usize = 4_000;

/// Where the system tells what runs.
const PROCESSES: &str = "/proc";
/// What a server's folder holds, by the defaults of the other commands.
const OF_A_SERVER: [&str; 2] = ["kiosk.toml", "kiosk-data"];

#[derive(clap::Args)]
pub struct NewArgs {
    #[command(flatten)]
    solana: SolanaArgs,
    /// Print the words although the output is no terminal: whatever reads them may keep them.
    #[arg(long)]
    allow_pipe: bool,
    /// Go on although a server seems to run here.
    #[arg(long)]
    on_this_machine: bool,
}

#[derive(clap::Args)]
pub struct DeriveArgs {
    #[command(flatten)]
    solana: SolanaArgs,
    /// The index of the first Solana address of the file.
    #[arg(long, default_value_t = 0, requires = "solana")]
    solana_from: u32,
    /// Go on although a server seems to run here.
    #[arg(long)]
    on_this_machine: bool,
}

#[derive(clap::Args)]
struct SolanaArgs {
    /// So many Solana addresses go to the file, for `kiosk wallet pool import`.
    #[arg(long, requires = "solana_file", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    solana: Option<u32>,
    /// The file, which must not exist. It holds no secret.
    #[arg(long, requires = "solana")]
    solana_file: Option<PathBuf>,
}

/// Makes a wallet and prints it.
pub fn new(arguments: &NewArgs) -> anyhow::Result<ExitCode> {
    refuse_beside_a_server(arguments.on_this_machine)?;
    if !arguments.allow_pipe && !io::stdout().is_terminal() {
        bail!(
            "the output is no terminal: the words would stay wherever it goes. Run this at a terminal, or with \
             --allow-pipe if nothing keeps what it prints"
        );
    }
    let entropy = Zeroizing::new(entropy::bytes::<32>());
    let wallet = ColdWallet::new(&entropy);
    // The file first: words whose addresses could not be written must not be taken for a wallet.
    let written = arguments.solana.write(&wallet, 0).context("no wallet was made")?;
    let mut sheet = words_sheet(&wallet);
    sheet.push_str(&format!("\n{}{written}", public_sheet(&wallet)?));
    print_whole(&sheet)
}

/// Prints what is public of a wallet whose words are read from standard input.
pub fn derive(arguments: &DeriveArgs) -> anyhow::Result<ExitCode> {
    refuse_beside_a_server(arguments.on_this_machine)?;
    if io::stdin().is_terminal() {
        eprintln!("The words of the mnemonic, in one line (they will be seen on the screen):");
    }
    let wallet = read_words(&mut io::stdin().lock())?;
    let written = arguments.solana.write(&wallet, arguments.solana_from)?;
    print_whole(&format!("{}{written}", public_sheet(&wallet)?))
}

/// Reads one line of words.
pub fn read_words(input: &mut dyn BufRead) -> anyhow::Result<ColdWallet> {
    let mut line = Zeroizing::new(String::with_capacity(MOST_OF_WORDS as usize));
    let mut limited = Read::take(input, MOST_OF_WORDS);
    limited.read_line(&mut line).map_err(|_| anyhow::anyhow!("the words cannot be read: they are not in UTF-8"))?;
    ColdWallet::from_words(&line).context("that is no mnemonic")
}

/// The part of the sheet that is for paper alone.
pub fn words_sheet(wallet: &ColdWallet) -> Zeroizing<String> {
    let words = wallet.words();
    let mut text = Zeroizing::new(String::with_capacity(ROOM));
    text.push_str(&format!("MNEMONIC ({} words)\n\n", words.len()));
    for (word, number) in words.iter().zip(1..) {
        text.push_str(&Zeroizing::new(format!("  {number:>2}  {word}\n")));
    }
    text.push_str(
        "\nWrite them on paper, in this order, twice, and keep the two apart. Whoever has them has all money that is paid to\n\
         the shop; without them nobody has it. They are stored nowhere and will not be shown again.\n",
    );
    text
}

/// The part of the sheet that may be seen by everybody: what the server needs, and addresses to compare.
pub fn public_sheet(wallet: &ColdWallet) -> anyhow::Result<String> {
    let xpub = wallet.xpub()?;
    let account = EvmAccount::parse(&xpub).context("the key that was made cannot be read again")?;
    let mut text = format!(
        "EVM: the server needs the extended public key of {EVM_ACCOUNT}, and nothing else of this wallet.\n\
         It takes money in and cannot spend it. In the configuration:\n\n\
         [wallet]\nevm_xpub = \"{xpub}\"\n\n\
         First addresses. Compare them with another wallet that was given the words:\n"
    );
    for index in 0..SHOWN {
        text += &format!("  {}  {}\n", account.path(index.into()), account.address(index.into())?);
    }
    text += "\nSolana: the server needs a file of addresses (--solana, --solana-file). First addresses:\n";
    let keys = wallet.solana();
    for index in 0..SHOWN {
        text += &format!("  {}  {}\n", SolanaKeys::path(index), keys.address(index));
    }
    Ok(text)
}

impl SolanaArgs {
    /// Writes the file that was asked for; answers what there is to say of it.
    fn write(&self, wallet: &ColdWallet, from: u32) -> anyhow::Result<String> {
        let (Some(count), Some(path)) = (self.solana, &self.solana_file) else {
            return Ok(String::new());
        };
        write_solana(wallet, from, count, path)?;
        Ok(format!(
            "\n{count} Solana addresses are in {path}. Carry the file to the server, then: kiosk wallet pool import {path}\n\
             Their indices begin at {from}; the next file's begin at {next} (kiosk wallet derive --solana-from {next}).\n",
            path = path.display(),
            next = from + count,
        ))
    }
}

/// Writes `count` addresses from an index on into a file that does not exist yet.
pub fn write_solana(wallet: &ColdWallet, from: u32, count: u32, path: &Path) -> anyhow::Result<()> {
    let after = from.checked_add(count).filter(|after| *after <= 1 << 31);
    let after = after.context("indices end at 2147483647: choose a smaller --solana-from")?;
    let unwritable = || format!("cannot write {}; a file that exists is never overwritten", path.display());
    let file = OpenOptions::new().write(true).create_new(true).open(path).with_context(unwritable)?;
    let mut file = BufWriter::new(file);
    let keys = wallet.solana();
    writeln!(file, "# Solana deposit addresses of kiosk: m/44'/501'/INDEX'/0', INDEX {from} to {}.", after - 1)
        .with_context(unwritable)?;
    writeln!(file, "# Public: no key stands here. One on each line, in the order of their indices.")
        .with_context(unwritable)?;
    for index in from..after {
        writeln!(file, "{}", keys.address(index)).with_context(unwritable)?;
    }
    let file = file.into_inner().map_err(io::IntoInnerError::into_error).with_context(unwritable)?;
    file.sync_all().with_context(unwritable)
}

fn print_whole(text: &str) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("the wallet could not be printed whole")?;
    Ok(ExitCode::SUCCESS)
}

fn refuse_beside_a_server(is_allowed: bool) -> anyhow::Result<()> {
    let found = sign_of_a_server(Path::new(PROCESSES), std::process::id(), Path::new("."));
    match found.filter(|_| !is_allowed) {
        Some(sign) => bail!(
            "{sign}: a mnemonic must never be seen on the machine that a server runs on, for whoever breaks into it may find \
             it later. Run this on a machine without a network. If this is one all the same: --on-this-machine"
        ),
        None => Ok(()),
    }
}

/// What says that a server runs here: a process, where the system tells of processes, or a server's files in `folder`.
pub fn sign_of_a_server(processes: &Path, own_id: u32, folder: &Path) -> Option<String> {
    let file = OF_A_SERVER.iter().find(|name| folder.join(name).exists());
    if let Some(name) = file {
        return Some(format!("there is {name} in this folder, as where a server runs"));
    }
    let running = fs::read_dir(processes).ok()?.filter_map(Result::ok).find_map(|entry| {
        let id = entry.file_name().to_str()?.parse::<u32>().ok().filter(|id| *id != own_id)?;
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        serves(&line).then_some(id)
    });
    running.map(|id| format!("a kiosk server runs on this machine (process {id})"))
}

/// Whether a command line, its arguments ended by NULs, is a server's.
fn serves(line: &[u8]) -> bool {
    let mut arguments = line.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let program = arguments.next().unwrap_or_default();
    let is_kiosk = Path::new(&*program).file_name().is_some_and(|name| name == "kiosk");
    is_kiosk && arguments.next().is_some_and(|command| ["serve", "demo", "gateway"].contains(&&*command))
}
