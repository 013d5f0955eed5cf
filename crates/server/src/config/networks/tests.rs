//! What a `[[networks]]` may say, and what errors about it must not.

use super::*;
use crate::config::Config;

const BASE: &str = r#"
[[networks]]
name = "Base"
kind = "evm"
chain_id = 8453
rpc = ["https://node.example/v2/hunter2hunter2", "wss://other.example/hunter2hunter2"]
confirmations = 12

[[networks.tokens]]
coin = "USDC"
contract = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"
decimals = 6

[[networks.look_alikes]]
name = "USDbC"
contract = "0xd9aaec86b65d86f6a7b5b1b0c42ffa531710b6ca"
decimals = 6
"#;

fn parse(text: &str) -> anyhow::Result<Config> {
    Config::parse(text, std::iter::empty())
}

fn refused(text: &str) -> String {
    format!("{:#}", parse(text).expect_err(text))
}

#[test]
fn a_network_is_read_with_its_defaults() {
    let config = parse(BASE).expect("a configuration");
    let network = &config.networks[0];
    assert_eq!(network.confirmation(), Confirmation::Blocks(12));
    let found = (network.poll_ms(), network.suspend_after_seconds, network.blocks_per_query, network.agree);
    assert_eq!(found, (1_000, 180, 1_000, None));
    assert_eq!(network.addresses().expect("addresses").len(), 2);
    let printed = format!("{network:?}");
    assert!(!printed.contains("hunter2") && !printed.contains("node.example"), "{printed}");
    for (written, read) in [
        ("\"safe\"", Confirmation::Safe),
        ("\"finalized\"", Confirmation::Finalized),
        ("1", Confirmation::Blocks(1)),
        ("200", Confirmation::Blocks(200)),
    ] {
        let text = BASE.replace("confirmations = 12", &format!("confirmations = {written}"));
        assert_eq!(parse(&text).expect(written).networks[0].confirmation(), read, "{written}");
    }
    let alone = BASE.replace(
        r#"["https://node.example/v2/hunter2hunter2", "wss://other.example/hunter2hunter2"]"#,
        "\"http://127.0.0.1:8545\"",
    );
    let config = parse(&alone).expect("an address without brackets");
    assert_eq!(config.networks[0].addresses().expect("an address").len(), 1);
}

#[test]
fn what_cannot_be_is_refused_with_its_reason() {
    // What is replaced by what, and a part of the error.
    for (from, to, expected) in [
        ("kind = \"evm\"", "kind = \"tron\"", "allowed is \"evm\" or \"solana\""),
        ("name = \"Base\"", "name = \" \"", "store API's name"),
        ("chain_id = 8453", "chain_id = 0", "EIP-155"),
        ("chain_id = 8453", "", "EIP-155"),
        ("chain_id = 8453", "chain_id = 8453\ngenesis = \"x\"", "named by its chain_id"),
        ("confirmations = 12", "", "confirmations is missing"),
        ("coin = \"USDC\"", "coin = \"USDC\"\nprogram = \"token-2022\"", "only mints of Solana"),
        ("confirmations = 12", "confirmations = 0", "from 1 to 200"),
        ("confirmations = 12", "confirmations = \"latest\"", "\"safe\" or \"finalized\""),
        ("confirmations = 12", "confirmations = 12\nrpc_file = \"x\"", "one of the two"),
        ("confirmations = 12", "confirmations = 12\nagree = 0", "1 or more"),
        ("confirmations = 12", "confirmations = 12\npoll_ms = 5", "between 100 and 60000"),
        ("confirmations = 12", "confirmations = 12\npol_ms = 500", "pol_ms"),
        ("coin = \"USDC\"", "coin = \"usdc\"", "capital letters"),
        ("decimals = 6\n\n[[networks.look", "decimals = 60\n\n[[networks.look", "at most 36"),
        // One letter in another case than its checksum wants.
        ("0x833589fCD6", "0x833589FCD6", "the contract of USDC"),
        ("0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", "0x833589", "the contract of USDC"),
        (
            "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913",
            "0xd9aaec86b65d86f6a7b5b1b0c42ffa531710b6ca",
            "the contract of USDbC stands twice",
        ),
    ] {
        let text = BASE.replacen(from, to, 1);
        assert_ne!(text, BASE, "{from} is in the sample");
        let error = refused(&text);
        assert!(error.contains(expected) && !error.contains("hunter2"), "{to}: {error}");
    }
    let twice = refused(&format!("{BASE}{BASE}"));
    assert!(twice.contains("stands twice"), "{twice}");
    let beside = refused(&format!("{BASE}\n[sandbox]\nenabled = true\n"));
    assert!(beside.contains("[sandbox]") && beside.contains("[[networks]]"), "{beside}");
}

#[test]
fn addresses_of_nodes_are_checked_and_never_quoted() {
    for (rpc, expected) in [
        ("[]", "one of the two"),
        ("[\"node.example/hunter2\"]", "rpc number 1 does not begin with https://"),
        ("5", "addresses of nodes in quotes"),
        ("[5]", "string"),
    ] {
        let rpc_line = BASE.lines().find(|line| line.starts_with("rpc")).expect("a line");
        let read = parse(&BASE.replace(rpc_line, &format!("rpc = {rpc}")));
        let error = read.and_then(|config| config.networks[0].addresses()).expect_err(rpc);
        let error = format!("{error:#}");
        assert!(error.contains(expected) && !error.contains("hunter2"), "{rpc}: {error}");
    }
    let misspelled = refused(&BASE.replace("rpc =", "rcp ="));
    assert!(misspelled.contains("rcp") && misspelled.contains("line 6") && !misspelled.contains("hunter2"));
    let broken = refused(&BASE.replace("\"https://node", "https://node"));
    assert!(broken.contains("line 6") && !broken.contains("hunter2"), "{broken}");
    let more = BASE.replace("confirmations = 12", "confirmations = 12\nagree = 3");
    let error = parse(&more).expect("a configuration").networks[0].addresses().expect_err("two are named");
    assert!(error.to_string().contains("more nodes than rpc names"), "{error}");
}

#[test]
fn one_node_does_not_count_as_two_and_no_way_without_tls_leads_far() {
    let line = BASE.lines().find(|line| line.starts_with("rpc")).expect("a line");
    let read = |rpc: &str, more: &str| {
        let text = BASE.replace(line, &format!("rpc = {rpc}{more}"));
        parse(&text).expect("a configuration").networks[0].addresses().map(|addresses| addresses.len())
    };
    for rpc in [
        r#"["https://node.example/v2/hunter2hunter2", "https://node.example/v2/hunter2hunter2/"]"#,
        r#"["http://127.0.0.1:8545", "https://other.example", "http://127.0.0.1:8545/"]"#,
        r#"["https://Node.example", "https://node.example:443"]"#,
    ] {
        let error = read(rpc, "").expect_err(rpc).to_string();
        assert!(error.contains("is the same node as number 1") && !error.contains("hunter2"), "{error}");
    }
    assert_eq!(read(r#"["https://node.example/a", "https://node.example/b"]"#, "").ok(), Some(2), "told, and allowed");
    let near = "127.0.0.1 127.8.0.1 10.1.2.3 172.16.0.1 172.31.9.9 192.168.0.5 [::1] [fd12:3456::1] [::ffff:10.0.0.1] localhost";
    for host in near.split(' ') {
        assert_eq!(read(&format!("\"http://{host}:8545\""), "").ok(), Some(1), "{host}");
    }
    for host in ["node.example", "8.8.8.8", "172.32.0.1", "[2001:db8::1]", "[::ffff:8.8.8.8]", "geth"] {
        for scheme in ["http", "ws"] {
            let rpc = format!("\"{scheme}://{host}:8545/hunter2hunter2\"");
            let error = read(&rpc, "").expect_err(&rpc).to_string();
            assert!(error.contains("allow_plain_http = true") && !error.contains("hunter2"), "{error}");
            assert_eq!(read(&rpc, "\nallow_plain_http = true").ok(), Some(1), "{rpc}");
        }
        assert_eq!(read(&format!("\"https://{host}\""), "").ok(), Some(1), "{host}");
    }
}

#[test]
fn a_file_of_addresses_holds_no_key_to_spend_with() {
    let folder = std::env::temp_dir().join(format!("kiosk-rpc-file-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let (file, hex) = (folder.join("nodes.txt"), "ab".repeat(32));
    let rpc_line = BASE.lines().find(|line| line.starts_with("rpc")).expect("a line");
    let config = parse(&BASE.replace(rpc_line, &format!("rpc_file = {file:?}"))).expect("a configuration");
    // A service's key within an address is its own matter.
    let node = format!("https://node.example/?key={hex}\n");
    for (more, expected) in [
        (String::new(), None),
        (format!("# {hex}\n"), Some("line 2 of rpc_file holds a private key")),
        (format!("{hex}\n"), Some("line 2 of rpc_file holds a private key")),
        (format!("{}\n", "zoo ".repeat(12)), Some("line 2 of rpc_file holds a mnemonic")),
    ] {
        std::fs::write(&file, format!("{node}{more}")).expect("it is written");
        let error = config.networks[0].addresses().err().map(|error| format!("{error:#}"));
        match (&error, expected) {
            (None, None) => {}
            (Some(said), Some(expected)) => {
                assert!(said.contains(expected) && !said.contains("abab") && !said.contains("zoo"), "{said}");
            }
            _ => panic!("{error:?} instead of {expected:?}"),
        }
    }
    std::fs::remove_dir_all(&folder).expect("it is removed");
}

#[test]
fn a_server_that_is_given_a_key_to_spend_with_does_not_start() {
    // Names are refused whatever the value is: what looks like a key is found in any section (`wallet::leak`).
    let key = "hunter2 in a form that nobody knows";
    for name in
        ["private_key", "private-key", "PrivateKey", "mnemonic", "seed", "seed_phrase", "keystore", "secret_key"]
    {
        for at in ["chain_id = 8453", "coin = \"USDC\"", "name = \"USDbC\""] {
            let text = BASE.replace(at, &format!("{at}\n{name} = \"{key}\""));
            let error = refused(&text);
            assert!(error.contains(name) && error.contains("holds no key"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
    // Other sections have secrets of their own.
    assert!(parse(&format!("[server]\nsecret_key_file = \"secret.key\"\n{BASE}")).is_ok());
}

const SOLANA: &str = r#"
[[networks]]
name = "Solana"
kind = "solana"
rpc = "https://node.example/hunter2hunter2"

[[networks.tokens]]
coin = "USDC"
mint = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
decimals = 6

[[networks.tokens]]
coin = "PYUSD"
mint = "2b1kV6DkPAnxd5ixfnxCpjxmKwqjjaYmCZfHsFu24GXo"
decimals = 6
program = "token-2022"
"#;

#[test]
fn solana_is_read_with_defaults_of_its_own() {
    let config = parse(SOLANA).expect("a configuration");
    let network = &config.networks[0];
    assert_eq!((network.kind, network.confirmation()), (NetworkKind::Solana, Confirmation::Finalized));
    assert_eq!((network.poll_ms(), network.base_token(), network.genesis()), (2_000, "SOL", Some(MAINNET)));
    let programs: Vec<Program> = network.tokens.iter().map(|token| token.program.0).collect();
    assert_eq!(programs, [Program::Token, Program::Token2022]);
    let devnet = "genesis = \"EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG\"\nconfirmations = \"finalized\"";
    let config = parse(&SOLANA.replace("kind = \"solana\"", &format!("kind = \"solana\"\n{devnet}"))).expect("devnet");
    assert_eq!(config.networks[0].genesis(), Some("EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG"));
    assert!(parse(&format!("{BASE}{SOLANA}")).is_ok(), "both kinds stand side by side");
}

#[test]
fn what_cannot_be_on_solana_is_refused_with_its_reason() {
    for (from, to, expected) in [
        ("kind = \"solana\"", "kind = \"solana\"\nchain_id = 101", "named by its genesis hash"),
        ("kind = \"solana\"", "kind = \"solana\"\ngenesis = \"0x1234\"", "getGenesisHash"),
        ("kind = \"solana\"", "kind = \"solana\"\nconfirmations = 32", "only what is finalized"),
        ("kind = \"solana\"", "kind = \"solana\"\nconfirmations = \"safe\"", "only what is finalized"),
        (
            "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
            "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913",
            "32 bytes in base58",
        ),
        (
            "2b1kV6DkPAnxd5ixfnxCpjxmKwqjjaYmCZfHsFu24GXo",
            "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
            "PYUSD stands twice",
        ),
        ("token-2022", "token22", "\"token\" or \"token-2022\""),
    ] {
        let text = SOLANA.replacen(from, to, 1);
        assert_ne!(text, SOLANA, "{from} is in the sample");
        let error = refused(&text);
        assert!(error.contains(expected) && !error.contains("hunter2"), "{to}: {error}");
    }
    let other = SOLANA
        .replace("\"Solana\"", "\"Devnet\"")
        .replace("kind = \"solana\"", "kind = \"solana\"\ngenesis = \"EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG\"");
    let two = refused(&format!("{SOLANA}{other}"));
    assert!(two.contains("two of kind"), "{two}");
    let socket = parse(&SOLANA.replace("https://", "wss://")).expect("a configuration").networks[0].addresses();
    let error = socket.expect_err("a WebSocket").to_string();
    assert!(error.contains("does not begin with https://, http://") && !error.contains("hunter2"), "{error}");
}
