//! The operator's wallet, and the pools that belong to it: what `kiosk wallet` prints, writes, takes in and refuses.
//!
//! The keys are those of two published mnemonics, so that every expected text can be made with another program, too.

use crate::harness::{self, Folder, START, TestClock};
use crate::market::order_id;
use domain::asset::ChainKind;
use server::boot::{self, Kiosk};
use server::cli::backup;
use server::cli::wallet::import::{self, Imported};
use server::cli::wallet::listing::{self, Checked};
use server::cli::wallet::{self, cold};
use server::clock::SystemIds;
use server::config::Config;
use server::store::{claims, settings};
use server::wallet::cold::ColdWallet;
use server::wallet::evm::EvmAccount;
use server::wallet::solana::SolanaAddress;
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

const KIOSK: &str = env!("CARGO_BIN_EXE_kiosk");

/// Of "test .. junk".
const XPUB: &str =
    "xpub6Ce9NcJvTk36xtLSrJLZqE7wtgA5deCeYs7rSQtreh4cj6ByPtrg9sD7V2FNFLPnf8heNP3FGkeV9qwfzvZNSd54JoNXVsXFYSYwHsnJxqP";
/// Of "abandon .. about".
const ANOTHER: &str =
    "xpub6DCoCpSuQZB2jawqnGMEPS63ePKWkwWPH4TU45Q7LPXWuNd8TMtVxRrgjtEshuqpK3mdhaWHPFsBngh5GFZaM6si3yZdUsT8ddYM3PwnATt";

/// What is public of "abandon .. about".
const PUBLIC_SHEET: &str = r#"EVM: the server needs the extended public key of m/44'/60'/0', and nothing else of this wallet.
It takes money in and cannot spend it. In the configuration:

[wallet]
evm_xpub = "xpub6DCoCpSuQZB2jawqnGMEPS63ePKWkwWPH4TU45Q7LPXWuNd8TMtVxRrgjtEshuqpK3mdhaWHPFsBngh5GFZaM6si3yZdUsT8ddYM3PwnATt"

First addresses. Compare them with another wallet that was given the words:
  m/44'/60'/0'/0/0  0x9858EfFD232B4033E47d90003D41EC34EcaEda94
  m/44'/60'/0'/0/1  0x6Fac4D18c912343BF86fa7049364Dd4E424Ab9C0
  m/44'/60'/0'/0/2  0xb6716976A3ebe8D39aCEB04372f22Ff8e6802D7A

Solana: the server needs a file of addresses (--solana, --solana-file). First addresses:
  m/44'/501'/0'/0'  HAgk14JpMQLgt6rVgv7cBQFJWFto5Dqxi472uT3DKpqk
  m/44'/501'/1'/0'  Hh8QwFUA6MtVu1qAoq12ucvFHNwCcVTV7hpWjeY1Hztb
  m/44'/501'/2'/0'  7WktogJEd2wQ9eH2oWusmcoFTgeYi6rS632UviTBJ2jm
"#;

fn abandon() -> String {
    format!("{}about", "abandon ".repeat(11))
}

fn cold_wallet() -> ColdWallet {
    ColdWallet::from_words(&abandon()).expect("words")
}

/// The settings of a shop with a real wallet, or of one without.
fn settings_of(folder: &Folder, xpub: Option<&str>) -> Config {
    let text = xpub.map(|xpub| format!("[wallet]\nevm_xpub = \"{xpub}\"\n")).unwrap_or_default();
    let mut config = Config::parse(&text, std::iter::empty()).expect("a configuration");
    config.server.data_dir = folder.0.join("data");
    config
}

async fn try_open(config: &Config) -> anyhow::Result<Kiosk> {
    boot::open_with(config, TestClock::starting_at(START), Arc::new(SystemIds)).await
}

async fn open(config: &Config) -> Kiosk {
    try_open(config).await.expect("an installation")
}

async fn refused(config: &Config) -> String {
    let error = try_open(config).await.err().expect("it is refused");
    format!("{error:#}")
}

async fn free(kiosk: &Kiosk, kind: ChainKind) -> Vec<String> {
    let read = kiosk.engine.db.read(move |tx| claims::free_addresses(tx, kind, 10_000));
    read.await.expect("a read").into()
}

async fn make(kiosk: &Kiosk, kind: ChainKind, count: usize) -> Result<(), String> {
    wallet::make(kiosk, kind, count, &mut |_, _| {}).await.map_err(|error| format!("{error:#}"))
}

async fn check(kiosk: &Kiosk) -> Checked {
    listing::check(kiosk, &mut |_| {}).await.expect("a check")
}

#[test]
fn the_sheet_of_a_wallet_has_its_words_and_what_the_server_needs() {
    let wallet = cold_wallet();
    assert_eq!(cold::public_sheet(&wallet).expect("a sheet"), PUBLIC_SHEET);
    let words = cold::words_sheet(&wallet);
    let lines: Vec<&str> = words.lines().collect();
    assert_eq!(lines[..4], ["MNEMONIC (12 words)", "", "   1  abandon", "   2  abandon"]);
    assert_eq!(lines[12..15], ["  11  abandon", "  12  about", ""]);
    assert!(lines[15].starts_with("Write them on paper, in this order"), "{}", lines[15]);
    // A sheet that grows leaves copies of the words behind.
    assert!(words.capacity() > words.len() + PUBLIC_SHEET.len() + 500);
}

#[test]
fn words_are_read_from_one_line_and_never_repeated() {
    let wallet = cold::read_words(&mut format!("  {}\r\nmore\n", abandon().to_uppercase()).as_bytes()).expect("words");
    assert_eq!(cold::public_sheet(&wallet).expect("a sheet"), PUBLIC_SHEET);
    for wrong in ["", "\n", "abandon\n", &abandon().replace("about", "abandon"), &abandon().replace("about", "abuot")] {
        let error = format!("{:#}", cold::read_words(&mut wrong.as_bytes()).expect_err("no mnemonic"));
        assert!(error.starts_with("that is no mnemonic: ") && !error.contains("ab"), "{error}");
    }
    cold::read_words(&mut [0xff_u8, b'\n'].as_slice()).expect_err("no text");
}

#[test]
fn a_file_of_addresses_is_read_again_as_it_was_written() {
    let (folder, wallet) = (Folder::new(), cold_wallet());
    let path = folder.0.join("solana.txt");
    cold::write_solana(&wallet, 5, 3, &path).expect("a file");
    let text = fs::read_to_string(&path).expect("it is readable");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "# Solana deposit addresses of kiosk: m/44'/501'/INDEX'/0', INDEX 5 to 7.");
    assert_eq!((lines.len(), lines[2]), (5, "2EUrWmf5xMmWER9BtDbXbGbZjoL7R3eTDMXYR6H6cKPj"));
    assert_eq!(lines[4], "9h1cLBiraaUqM1CdJTaVaew1oQtgQUW24FZ8YdnLLgJY");
    let read: Vec<String> = import::read(&path).expect("addresses").iter().map(ToString::to_string).collect();
    assert_eq!(read, lines[2..]);

    let error = cold::write_solana(&wallet, 0, 1, &path).expect_err("it exists");
    assert!(error.to_string().contains("never overwritten"), "{error}");
    assert_eq!(fs::read_to_string(&path).expect("it is readable"), text);
    let last = folder.0.join("last.txt");
    cold::write_solana(&wallet, (1 << 31) - 1, 1, &last).expect("the last index");
    let beyond = folder.0.join("beyond.txt");
    cold::write_solana(&wallet, (1 << 31) - 1, 2, &beyond).expect_err("beyond the last index");
    assert!(!beyond.exists());
}

#[test]
fn a_server_is_noticed() {
    let folder = Folder::new();
    let (processes, here) = (folder.0.join("proc"), folder.0.join("here"));
    let runs = |id: &str, line: &str| {
        fs::create_dir_all(processes.join(id)).expect("a folder");
        fs::write(processes.join(id).join("cmdline"), line.replace(' ', "\0") + "\0").expect("writable");
    };
    let sign = || cold::sign_of_a_server(&processes, 100, &here);
    fs::create_dir_all(&here).expect("a folder");
    assert_eq!(sign(), None, "nothing is known of processes");
    runs("7", "/usr/bin/kiosk fsck");
    runs("8", "/usr/bin/vim kiosk serve");
    runs("100", "kiosk serve");
    runs("self", "kiosk serve");
    assert_eq!(sign(), None);
    runs("9", "/opt/kiosk/kiosk serve --config shop.toml");
    assert_eq!(sign().as_deref(), Some("a kiosk server runs on this machine (process 9)"));
    fs::create_dir_all(here.join("kiosk-data")).expect("a folder");
    assert_eq!(sign().as_deref(), Some("there is kiosk-data in this folder, as where a server runs"));
}

/// Runs a command in a folder.
fn run(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(KIOSK);
    command.args(arguments).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("its input is a pipe");
    // A command that refuses reads nothing.
    stdin.write_all(input.as_bytes()).unwrap_or(());
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn what_new_prints_derive_finds_again() {
    let folder = Folder::new();
    // Other tests run demos on this machine.
    let refused = run(&folder.0, &["wallet", "new", "--on-this-machine"], "");
    assert!(!refused.status.success() && text(&refused.stderr).contains("--allow-pipe"), "{}", text(&refused.stderr));
    assert!(refused.stdout.is_empty());

    let make = ["wallet", "new", "--on-this-machine", "--allow-pipe", "--solana", "20", "--solana-file", "solana.txt"];
    let made = run(&folder.0, &make, "");
    assert!(made.status.success(), "{}", text(&made.stderr));
    let sheet = text(&made.stdout);
    let words: Vec<&str> = sheet.lines().skip(2).take(24).filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!((words.len(), made.stderr.len()), (24, 0), "{sheet}");
    let public = &sheet[sheet.find("\nEVM: ").expect("the public part") + 1..];

    let derive =
        ["wallet", "derive", "--on-this-machine", "--solana", "5", "--solana-from", "15", "--solana-file", "b"];
    let derived = run(&folder.0, &derive, &words.join(" "));
    assert!(derived.status.success(), "{}", text(&derived.stderr));
    let (first, again) = (public.split("\n20 Solana").next(), text(&derived.stdout));
    assert_eq!(first, again.split("\n5 Solana").next());
    let written = |name: &str| {
        let text = fs::read_to_string(folder.0.join(name)).expect("a file of addresses");
        text.lines().skip(2).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(written("solana.txt")[15..], written("b"));

    let xpub = again.lines().find_map(|line| line.strip_prefix("evm_xpub = \"")?.strip_suffix('"'));
    let listed = run(&folder.0, &["wallet", "addresses", "--xpub", xpub.expect("a key"), "--count", "3"], "");
    let shown: Vec<&str> = again.lines().filter(|line| line.contains("  0x")).map(str::trim).collect();
    assert_eq!(text(&listed.stdout).lines().collect::<Vec<_>>(), shown);
    // Nobody opened an installation.
    let entries = fs::read_dir(&folder.0).expect("a folder");
    let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
    names.sort();
    assert_eq!(names, ["b", "solana.txt"]);
}

#[test]
fn a_server_with_a_private_key_does_not_start() {
    let folder = Folder::new();
    let words = abandon();
    for (config, told) in [
        (format!("[wallet]\nevm_xpub = \"{words}\"\n"), "line 2 holds a mnemonic"),
        (format!("# {}\n", "0f".repeat(32)), "line 1 holds a private key"),
    ] {
        fs::write(folder.0.join("shop.toml"), &config).expect("writable");
        let ended = run(&folder.0, &["serve", "--config", "shop.toml"], "");
        let said = text(&ended.stderr);
        assert!(!ended.status.success() && said.contains(told) && said.contains("move its money"), "{said}");
        assert!(!said.contains("abandon") && !said.contains("0f0f"), "{said}");
        assert!(!folder.0.join("kiosk-data").exists(), "nothing was made");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_evm_pool_follows_from_the_configured_key() {
    let folder = Folder::new();
    let config = settings_of(&folder, Some(XPUB));
    let kiosk = open(&config).await;
    make(&kiosk, ChainKind::Evm, 1_200).await.expect("addresses");
    let addresses = EvmAccount::parse(XPUB).expect("a key").addresses(0, 1_200).expect("addresses");
    assert_eq!(free(&kiosk, ChainKind::Evm).await, addresses);
    assert_eq!(addresses[0], "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
    let checked = check(&kiosk).await;
    assert_eq!(checked, Checked { evm: 1_200, ..Checked::default() });
    assert!(checked.text().ends_with("all of them are what they should be\n"), "{}", checked.text());
    assert_eq!(
        wallet::report(&kiosk).await.expect("a report"),
        "EVM: 1200 free, 0 given out, 0 set aside; the next one gets the index 1200\n  A running server adds more by \
         itself, from wallet.evm_xpub (xpub6Ce9Nc..snJxqP).\n\
         Solana: 0 free, 0 given out, 0 set aside; the next one gets the index 0\n  FEW ARE LEFT. For more: `kiosk wallet \
         derive --solana` on the machine with the wallet's keys, then `kiosk wallet pool import`.\n"
    );
    let account = kiosk.pools.evm_account().await.expect("a look").expect("a key");
    assert_eq!(
        listing::list(&account, 2, 2).expect("a list"),
        "m/44'/60'/0'/0/2  0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC\n\
         m/44'/60'/0'/0/3  0x90F79bf6EB2c4f870365E785982E1f101E93b906\n"
    );
    let error = make(&kiosk, ChainKind::Svm, 1).await.expect_err("there are no keys here");
    assert!(error.contains("private keys alone") && error.contains("kiosk wallet pool import"), "{error}");
    kiosk.engine.close();

    let kiosk = open(&settings_of(&folder, None)).await;
    let error = make(&kiosk, ChainKind::Evm, 1).await.expect_err("there is no key");
    assert!(error.contains("no wallet.evm_xpub"), "{error}");
    assert_eq!(check(&kiosk).await.wrong, 1_200, "nothing to compare with");
    kiosk.engine.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_runs_keeps_the_evm_pool_filled() {
    let folder = Folder::new();
    let kiosk = open(&settings_of(&folder, Some(XPUB))).await;
    kiosk.pools.fill_for_start().await.expect("addresses");
    assert_eq!(free(&kiosk, ChainKind::Evm).await.len(), 250);
    assert!(free(&kiosk, ChainKind::Svm).await.is_empty(), "addresses without keys");
    kiosk.engine.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_is_refused_until_the_free_addresses_are_retired() {
    let folder = Folder::new();
    let config = settings_of(&folder, Some(XPUB));
    let kiosk = open(&config).await;
    make(&kiosk, ChainKind::Evm, 3).await.expect("addresses");
    kiosk.engine.close();

    let other = settings_of(&folder, Some(ANOTHER));
    let said = refused(&other).await;
    assert!(said.contains("is not the key that the pool was made with: EVM address 0 differs"), "{said}");
    let kiosk = open(&config).await;
    let first = free(&kiosk, ChainKind::Evm).await.remove(0);
    let given = kiosk.engine.write(move |tx| claims::own_addresses(tx, vec![(first, order_id(1))]));
    given.await.expect("it is given to an order");
    assert_eq!(wallet::retire(&kiosk, ChainKind::Evm).await.expect("retired"), 2);
    assert_eq!(wallet::retire(&kiosk, ChainKind::Evm).await.expect("retired"), 0, "there is nothing left");
    kiosk.engine.close();

    let kiosk = open(&other).await;
    make(&kiosk, ChainKind::Evm, 2).await.expect("addresses");
    let own = EvmAccount::parse(ANOTHER).expect("a key").addresses(3, 2).expect("addresses");
    assert_eq!(free(&kiosk, ChainKind::Evm).await, own, "an index is used once");
    assert_eq!(check(&kiosk).await, Checked { evm: 3, ..Checked::default() }, "each by its own key");
    kiosk.engine.close();
    refused(&config).await;
}

/// What was derived since the backup was made may be an order's: money that comes there must be found.
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_shop_watches_what_may_have_been_given_out_since() {
    let (folder, elsewhere) = (Folder::new(), Folder::new());
    let config = settings_of(&folder, Some(XPUB));
    let kiosk = open(&config).await;
    make(&kiosk, ChainKind::Evm, 3).await.expect("addresses");
    kiosk.engine.close();
    let file = folder.0.join("copy.db");
    let account = EvmAccount::parse(XPUB).expect("a key");
    let mut at = vec![account.address(3).expect("an address"), account.address(22).expect("an address")];
    let new = settings_of(&elsewhere, Some(XPUB));
    // What holds a database blocks.
    let restored = tokio::task::spawn_blocking(move || {
        backup::back_up(&config, &file).expect("a backup");
        backup::put_back(&new, &file, 20, START).expect("it is restored");
        fs::copy(config.secret_key_file(), new.secret_key_file()).expect("its key");
        new
    });
    let kiosk = open(&restored.await.expect("it ends")).await;
    at.push(account.address(23).expect("an address"));
    let asked = at.clone();
    let watched = kiosk.engine.db.read(move |tx| claims::pool_addresses(tx, asked)).await.expect("a read");
    assert_eq!(watched, at[..2].iter().cloned().collect::<BTreeSet<_>>());
    assert!(free(&kiosk, ChainKind::Evm).await.is_empty(), "nothing is given out twice");
    make(&kiosk, ChainKind::Evm, 1).await.expect("an address");
    let next = account.address(23 + 1_000_000).expect("an address");
    assert_eq!(free(&kiosk, ChainKind::Evm).await, [next]);
    assert_eq!(check(&kiosk).await.wrong, 0);
    kiosk.engine.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_is_refused_while_no_address_is_free() {
    let folder = Folder::new();
    let (config, other) = (settings_of(&folder, Some(XPUB)), settings_of(&folder, Some(ANOTHER)));
    let kiosk = open(&config).await;
    make(&kiosk, ChainKind::Evm, 2).await.expect("addresses");
    let all = free(&kiosk, ChainKind::Evm).await;
    let given = kiosk.engine.write(move |tx| {
        claims::own_addresses(tx, all.into_iter().zip(1..).map(|(address, no)| (address, order_id(no))).collect())
    });
    given.await.expect("they are given to orders");
    kiosk.engine.close();
    let said = refused(&other).await;
    assert!(said.contains("is not the key that the pool was made with. A mistyped"), "{said}");
    // That of the receiving addresses of the same account is the same key.
    let chain = EvmAccount::parse(XPUB).expect("a key").key();
    open(&settings_of(&folder, Some(&chain))).await.engine.close();
    let kiosk = open(&config).await;
    wallet::retire(&kiosk, ChainKind::Evm).await.expect("retired");
    kiosk.engine.close();
    open(&other).await.engine.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_not_the_wallets_is_found() {
    let folder = Folder::new();
    let kiosk = open(&settings_of(&folder, Some(XPUB))).await;
    make(&kiosk, ChainKind::Evm, 5).await.expect("addresses");
    let damaged = kiosk.engine.write(|tx| {
        let stranger = "0x9858EfFD232B4033E47d90003D41EC34EcaEda94";
        tx.execute("update addresses set address = $1 where idx = 2", &[stranger.into()])?;
        claims::add_addresses(tx, ChainKind::Svm, &["11111111111111111111111111111111".to_owned()])
    });
    damaged.await.expect("it is written");
    let text = check(&kiosk).await.text();
    assert_eq!(
        text,
        "5 EVM and 1 Solana addresses of the pools were checked\n\
         WRONG: EVM address 2: the pool has 0x9858EfFD232B4033E47d90003D41EC34EcaEda94, the wallet \
         0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC (m/44'/60'/0'/0/2)\n\
         WRONG: Solana address 0: that address belongs to everybody or to nobody (a point of small order): no wallet has \
         it\n\
         Stop the server: money that is sent to those addresses may be lost. `kiosk wallet pool retire` takes the free ones \
         out of use.\n"
    );
    kiosk.engine.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn solana_addresses_are_imported_once_and_in_order() {
    let folder = Folder::new();
    let kiosk = open(&settings_of(&folder, None)).await;
    let keys = cold_wallet().solana();
    let addresses: Vec<SolanaAddress> = (0..2_500).map(|index| keys.address(index)).collect();
    // A run that was cut off, then the whole file, then the same again.
    for (count, added, known) in [(1_000, 1_000, 0), (2_500, 1_500, 1_000), (2_500, 0, 2_500)] {
        let imported = import::import(&kiosk, &addresses[..count], &mut |_| {}).await.expect("an import");
        assert_eq!(imported, Imported { added, known });
    }
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    assert_eq!(free(&kiosk, ChainKind::Svm).await, texts);
    assert_eq!(check(&kiosk).await, Checked { solana: 2_500, ..Checked::default() });
    kiosk.engine.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_and_a_real_wallet_never_share_a_database() {
    // Addresses of a sandbox have keys that nobody has.
    let folder = Folder::new();
    let sandbox = harness::config(&folder, "");
    let kiosk = open(&sandbox).await;
    make(&kiosk, ChainKind::Svm, 1).await.expect("an address");
    let error = import::import(&kiosk, &[cold_wallet().solana().address(0)], &mut |_| {}).await.expect_err("a sandbox");
    assert!(format!("{error:#}").contains("this is a sandbox"), "{error:#}");
    kiosk.engine.close();
    for xpub in [None, Some(XPUB)] {
        let said = refused(&settings_of(&folder, xpub)).await;
        assert!(said.contains("a sandbox filled the pools") && said.contains("empty data directory"), "{said}");
    }
    let kiosk = open(&sandbox).await;
    // As an earlier version left it.
    let older = kiosk.engine.write(|tx| {
        tx.execute("delete from settings where name = 'pool_origin'", &[])?;
        settings::set(tx, "evm_xpub", ANOTHER)
    });
    older.await.expect("it is written");
    kiosk.engine.close();
    refused(&settings_of(&folder, None)).await;
    open(&sandbox).await.engine.close();

    // And a sandbox would hand out real addresses.
    let folder = Folder::new();
    let kiosk = open(&settings_of(&folder, None)).await;
    import::import(&kiosk, &[cold_wallet().solana().address(0)], &mut |_| {}).await.expect("an import");
    kiosk.engine.close();
    let said = refused(&harness::config(&folder, "")).await;
    assert!(said.contains("belong to a real wallet"), "{said}");
}

#[test]
fn a_file_with_a_mistake_imports_nothing() {
    let folder = Folder::new();
    let path = folder.0.join("solana.txt");
    fs::write(&path, format!("{}\n{}\n", cold_wallet().solana().address(0), abandon())).expect("writable");
    let error = format!("{:#}", import::read(&path).expect_err("a mnemonic"));
    assert!(error.starts_with("nothing was imported from ") && error.contains("line 2: that is a mnemonic"), "{error}");
    assert!(!error.contains("abandon"), "{error}");
    import::read(&folder.0.join("missing")).expect_err("there is no such file");
}
