//! What nodes write, read strictly: whatever is not exactly what was asked for is an error, never a guess. The forms are
//! those of Solana's documentation of its JSON-RPC API.

use super::key::{Key, SYSTEM, SYSVARS};
use crate::adapters::evm::rpc::RpcError;
use crate::entropy::from_base64url;
use domain::time::Time;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::value::RawValue;

/// The bytes of an account that are asked for: of a token account its mint, its owner and its amount.
pub const SLICE: usize = 72;
/// Of a mint all that both programs have in common.
pub const MINT_SLICE: usize = 82;

/// No slot is of a later second than this (the year 5138); later ones would overflow.
const LATEST_SECOND: i64 = 100_000_000_000;

/// Accounts as they were at one slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    pub slot: i64,
    /// The slot's own time.
    pub at: Time,
    /// In the order in which they were asked for.
    pub accounts: Vec<Option<Account>>,
}

/// One account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub program: Key,
    /// As much as was asked for.
    pub data: Vec<u8>,
}

/// What the account of a mint says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mint {
    pub program: Key,
    pub decimals: u8,
}

/// A transaction in the history of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub signature: String,
    pub slot: i64,
    pub failed: bool,
}

/// What one transaction did to one token account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    pub signature: String,
    pub slot: i64,
    pub at: Time,
    pub before: u64,
    pub after: u64,
    /// Whose the account was afterwards, if it was there.
    pub owner: Option<Key>,
}

#[derive(Deserialize)]
struct WireAccounts {
    context: WireContext,
    value: Vec<Option<WireAccount>>,
}

#[derive(Deserialize)]
struct WireContext {
    slot: i64,
}

#[derive(Deserialize)]
struct WireAccount {
    owner: String,
    /// The bytes, and how they are written.
    data: (String, String),
}

#[derive(Deserialize)]
struct WireListed {
    signature: String,
    slot: i64,
    err: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireTransaction {
    slot: i64,
    block_time: Option<i64>,
    meta: Option<WireMeta>,
    transaction: WireBody,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireMeta {
    err: Option<IgnoredAny>,
    pre_token_balances: Option<Vec<WireBalance>>,
    post_token_balances: Option<Vec<WireBalance>>,
    loaded_addresses: Option<WireLoaded>,
}

#[derive(Deserialize)]
struct WireLoaded {
    writable: Vec<String>,
    readonly: Vec<String>,
}

#[derive(Deserialize)]
struct WireBody {
    signatures: Vec<String>,
    message: WireMessage,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireMessage {
    account_keys: Vec<String>,
    /// Of transactions of version 0 alone.
    address_table_lookups: Option<Vec<IgnoredAny>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireBalance {
    account_index: usize,
    mint: String,
    owner: Option<String>,
    ui_token_amount: WireAmount,
}

#[derive(Deserialize)]
struct WireAmount {
    amount: String,
}

/// The text in an answer.
pub fn text(raw: &RawValue) -> Result<String, RpcError> {
    read(raw)
}

/// The answer to a question for the clock and `asked` accounts after it. Slot and time are the clock's own: it is read from
/// the same state as the accounts, whichever machine answered.
pub fn shown(raw: &RawValue, asked: usize) -> Result<Shown, RpcError> {
    let wire: WireAccounts = read(raw)?;
    if wire.value.len() != asked + 1 {
        return Err(RpcError::Unanswered);
    }
    let mut accounts = wire.value.into_iter().map(|account| account.map(read_account).transpose());
    let clock = accounts.next().transpose()?.flatten().filter(|clock| clock.program == *SYSVARS);
    let clock = clock.ok_or(RpcError::Unclear("no clock"))?;
    let number = |at: usize| {
        let bytes = clock.data.get(at..at + 8)?;
        i64::try_from(u64::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    let wrong = RpcError::Unclear("a clock that cannot be");
    let (Some(slot), Some(second)) = (number(0), number(32)) else { return Err(wrong) };
    if slot > wire.context.slot || !(0..=LATEST_SECOND).contains(&second) {
        return Err(wrong);
    }
    Ok(Shown { slot, at: Time(second * 1_000), accounts: accounts.collect::<Result<_, _>>()? })
}

fn read_account(wire: WireAccount) -> Result<Account, RpcError> {
    let (data, encoding) = wire.data;
    // Standard base64 in the alphabet that is read here.
    let data = data.trim_end_matches('=').replace('+', "-").replace('/', "_");
    let program = Key::parse(&wire.owner).filter(|_| encoding == "base64");
    match (program, from_base64url(&data)) {
        (Some(program), Some(data)) => Ok(Account { program, data }),
        _ => Err(RpcError::Unclear("an account that cannot be read")),
    }
}

impl Account {
    /// The tokens in it, of that mint and program. An account that holds nothing but SOL is none yet: whoever knows the
    /// address can send some there.
    pub fn amount(&self, program: &Key, mint: &Key) -> Result<u64, RpcError> {
        if self.program == *SYSTEM && self.data.is_empty() {
            return Ok(0);
        }
        let is_of_mint = self.program == *program && self.data.get(..32) == Some(mint.bytes().as_slice());
        let amount = self.data.get(64..SLICE).filter(|_| is_of_mint).and_then(|bytes| bytes.try_into().ok());
        amount.map(u64::from_le_bytes).ok_or(RpcError::Unclear("a token account that is none, or of another mint"))
    }

    /// What it says, if it is a mint.
    pub fn mint(&self) -> Option<Mint> {
        let [decimals, is_initialized]: [u8; 2] = self.data.get(44..46)?.try_into().ok()?;
        (is_initialized == 1 && self.data.len() == MINT_SLICE).then_some(Mint { program: self.program, decimals })
    }
}

/// A page of an account's history, newest first.
pub fn listed(raw: &RawValue) -> Result<Vec<Listed>, RpcError> {
    let wire: Vec<WireListed> = read(raw)?;
    if wire.windows(2).any(|pair| pair[0].slot < pair[1].slot) {
        return Err(RpcError::Unclear("a history out of order"));
    }
    let listed = |wire: WireListed| Listed { signature: wire.signature, slot: wire.slot, failed: wire.err.is_some() };
    Ok(wire.into_iter().map(listed).collect())
}

/// What a transaction did to a token account of that mint; `None` where the node does not have it.
pub fn moved(raw: &RawValue, listed: &Listed, account: &Key, mint: &Key) -> Result<Option<Moved>, RpcError> {
    let Some(wire) = read::<Option<WireTransaction>>(raw)? else { return Ok(None) };
    let unclear = |what| Err(RpcError::Unclear(what));
    let Some(meta) = wire.meta else { return unclear("a transaction without its outcome") };
    let is_asked_for = wire.transaction.signatures.first() == Some(&listed.signature) && wire.slot == listed.slot;
    if !is_asked_for || meta.err.is_some() != listed.failed {
        return unclear("another transaction than was listed");
    }
    let Some(second) = wire.block_time.filter(|second| (0..=LATEST_SECOND).contains(second)) else {
        return unclear("a transaction without its time");
    };
    let (Some(before), Some(after)) = (&meta.pre_token_balances, &meta.post_token_balances) else {
        return unclear("a transaction without balances");
    };
    let keys = all_keys(&wire.transaction.message, meta.loaded_addresses.as_ref());
    let name = account.to_string();
    let Some(index) = keys.and_then(|keys| keys.iter().position(|key| **key == name)) else {
        return unclear("a transaction that does not touch the account");
    };
    let mint = mint.to_string();
    let (before, _) = balance(before, index, &mint)?;
    let (after, owner) = balance(after, index, &mint)?;
    let (signature, slot) = (listed.signature.clone(), listed.slot);
    Ok(Some(Moved { signature, slot, at: Time(second * 1_000), before, after, owner }))
}

/// The accounts of a transaction as its balances number them: its own, then those that it took from tables (of which
/// those of version 0 have some; version 1 has no tables). `None` if the latter are missing.
fn all_keys<'a>(message: &'a WireMessage, loaded: Option<&'a WireLoaded>) -> Option<Vec<&'a String>> {
    let own = message.account_keys.iter();
    let has_tables = message.address_table_lookups.as_ref().is_some_and(|lookups| !lookups.is_empty());
    match loaded {
        None if has_tables => None,
        None => Some(own.collect()),
        Some(loaded) => Some(own.chain(&loaded.writable).chain(&loaded.readonly).collect()),
    }
}

/// An account's tokens, and whose they are; none where the account was not there.
fn balance(balances: &[WireBalance], index: usize, mint: &str) -> Result<(u64, Option<Key>), RpcError> {
    let Some(balance) = balances.iter().find(|balance| balance.account_index == index) else { return Ok((0, None)) };
    let owner = balance.owner.as_deref().and_then(Key::parse);
    match (balance.ui_token_amount.amount.parse::<u64>(), owner) {
        (Ok(amount), Some(owner)) if balance.mint == mint => Ok((amount, Some(owner))),
        _ => Err(RpcError::Unclear("a balance that cannot be")),
    }
}

fn read<T: DeserializeOwned>(raw: &RawValue) -> Result<T, RpcError> {
    serde_json::from_str(raw.get()).map_err(|_| RpcError::Unclear("another kind of answer than was asked for"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::to_base64;
    use serde_json::{Value, json};

    const WALLET: &str = "HAgk14JpMQLgt6rVgv7cBQFJWFto5Dqxi472uT3DKpqk";
    const MINT: &str = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";
    const ACCOUNT: &str = "5N3f1tj9v1vc5TUZ8S7mCAnVmjVKrfnzXWhxLaxyZAgt";
    const TOKEN: &str = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";

    fn raw(value: &Value) -> Box<RawValue> {
        RawValue::from_string(value.to_string()).expect("JSON")
    }

    fn key(text: &str) -> Key {
        Key::parse(text).expect("an address")
    }

    /// As the documentation of `getMultipleAccounts` shows one.
    fn account(owner: &str, data: &[u8]) -> Value {
        json!({
            "data": [to_base64(data), "base64"], "executable": false, "lamports": 2_039_280, "owner": owner,
            "rentEpoch": u64::MAX, "space": 165,
        })
    }

    fn clock(slot: u64, second: i64) -> Value {
        let words = [slot.to_le_bytes(), 0_u64.to_le_bytes(), 800_u64.to_le_bytes(), 801_u64.to_le_bytes()];
        let data = [words.concat(), second.to_le_bytes().to_vec()].concat();
        account("Sysvar1111111111111111111111111111111111111", &data)
    }

    fn tokens(amount: u64) -> Vec<u8> {
        [key(MINT).bytes().as_slice(), key(WALLET).bytes(), &amount.to_le_bytes()].concat()
    }

    fn answer(slot: u64, value: &[Value]) -> Box<RawValue> {
        raw(&json!({ "context": { "apiVersion": "2.2.7", "slot": slot }, "value": value }))
    }

    #[test]
    fn balances_come_with_the_clock_of_their_state() {
        let value = [
            clock(900, 1_795_174_500),
            account(TOKEN, &tokens(25)),
            Value::Null,
            account("11111111111111111111111111111111", &[]),
        ];
        let found = shown(&answer(901, &value), 3).expect("three accounts");
        assert_eq!((found.slot, found.at), (900, Time(1_795_174_500_000)));
        let amount = |at: usize| found.accounts[at].as_ref().map(|found| found.amount(&key(TOKEN), &key(MINT)));
        assert_eq!([amount(0), amount(1), amount(2)], [Some(Ok(25)), None, Some(Ok(0))]);
        let first = found.accounts[0].as_ref().expect("an account");
        assert!(first.amount(&key(TOKEN), &key(WALLET)).is_err(), "of another mint");
        assert!(first.amount(&key(MINT), &key(MINT)).is_err(), "of another program");
    }

    #[test]
    fn answers_that_do_not_fit_are_refused() {
        let (good, tokens) = (clock(900, 1_795_174_500), account(TOKEN, &tokens(1)));
        for value in [
            vec![],
            vec![good.clone()],
            vec![good.clone(), tokens.clone(), tokens.clone()],
            vec![Value::Null, tokens.clone()],
            vec![tokens.clone(), tokens.clone()],
            vec![clock(902, 1_795_174_500), tokens.clone()],
            vec![clock(900, -1), tokens.clone()],
            vec![clock(900, i64::MAX), tokens.clone()],
            vec![good.clone(), account("nobody", &[])],
            vec![good, json!({ "data": ["AAAA", "base58"], "owner": TOKEN })],
        ] {
            assert!(shown(&answer(901, &value), 1).is_err(), "{value:?}");
        }
        for other in [json!(null), json!([]), json!({ "value": [tokens] }), json!("x")] {
            assert!(shown(&raw(&other), 1).is_err(), "{other}");
        }
        let short = Account { program: key(TOKEN), data: vec![0; 71] };
        assert!(short.amount(&key(TOKEN), &key(MINT)).is_err());
    }

    #[test]
    fn a_mint_tells_its_decimals() {
        let mut data = vec![0; MINT_SLICE];
        (data[44], data[45]) = (6, 1);
        let account = |data: Vec<u8>| Account { program: key(TOKEN), data };
        assert_eq!(account(data.clone()).mint(), Some(Mint { program: key(TOKEN), decimals: 6 }));
        assert_eq!(account(data[..81].to_vec()).mint(), None);
        data[45] = 0;
        assert_eq!(account(data).mint(), None, "it is not set up");
    }

    /// As the documentation of `getSignaturesForAddress` shows one.
    fn entry(signature: &str, slot: i64, err: &Value) -> Value {
        json!({
            "signature": signature, "slot": slot, "err": err, "memo": null, "blockTime": 1_795_174_500,
            "confirmationStatus": "finalized",
        })
    }

    #[test]
    fn a_history_is_read_newest_first() {
        let failed = json!({ "InstructionError": [0, { "Custom": 1 }] });
        let page = json!([entry("b", 9, &failed), entry("a", 7, &json!(null))]);
        let listed_as = |signature: &str, slot, failed| Listed { signature: signature.to_owned(), slot, failed };
        assert_eq!(listed(&raw(&page)), Ok(vec![listed_as("b", 9, true), listed_as("a", 7, false)]));
        let mixed = json!([entry("a", 7, &json!(null)), entry("b", 9, &json!(null))]);
        assert!(listed(&raw(&mixed)).is_err());
        assert!(listed(&raw(&json!(null))).is_err());
    }

    fn held(index: usize, amount: &str) -> Value {
        json!({
            "accountIndex": index, "mint": MINT, "owner": WALLET, "programId": TOKEN,
            "uiTokenAmount": { "amount": amount, "decimals": 6, "uiAmount": null, "uiAmountString": "1.5" },
        })
    }

    /// A versioned transaction that took our account from a table: it stands after the two of its own.
    fn transaction() -> Value {
        json!({
            "slot": 7, "blockTime": 1_795_174_500, "version": 0,
            "meta": {
                "err": null, "fee": 5000, "innerInstructions": [], "status": { "Ok": null },
                "preTokenBalances": [held(1, "900"), held(2, "40")],
                "postTokenBalances": [held(1, "885"), held(2, "55")],
                "loadedAddresses": { "writable": [ACCOUNT], "readonly": [TOKEN] },
            },
            "transaction": {
                "signatures": ["a"],
                "message": {
                    "accountKeys": [WALLET, MINT],
                    "addressTableLookups": [{ "accountKey": MINT, "writableIndexes": [0], "readonlyIndexes": [1] }],
                },
            },
        })
    }

    fn read_moved(transaction: &Value) -> Result<Option<Moved>, RpcError> {
        let listed = Listed { signature: "a".to_owned(), slot: 7, failed: false };
        moved(&raw(transaction), &listed, &key(ACCOUNT), &key(MINT))
    }

    #[test]
    fn what_a_transaction_did_is_the_difference_that_it_made() {
        let expected = |before, after, owner| {
            let (signature, at) = ("a".to_owned(), Time(1_795_174_500_000));
            Ok(Some(Moved { signature, slot: 7, at, before, after, owner }))
        };
        let wallet = Some(key(WALLET));
        assert_eq!(read_moved(&transaction()), expected(40, 55, wallet));
        let mut made = transaction();
        made["meta"]["preTokenBalances"] = json!([]);
        assert_eq!(read_moved(&made), expected(0, 55, wallet));
        let mut closed = transaction();
        closed["meta"]["postTokenBalances"] = json!([]);
        assert_eq!(read_moved(&closed), expected(40, 0, None));
        assert_eq!(read_moved(&json!(null)), Ok(None));
    }

    /// As nodes show version 1 (SIMD-0385): all accounts are its own, and what it may cost stands in the message.
    #[test]
    fn transactions_of_version_1_have_no_tables() {
        let mut newer = transaction();
        newer["version"] = json!(1);
        newer["transaction"]["message"] = json!({
            "header": { "numRequiredSignatures": 1, "numReadonlySignedAccounts": 0, "numReadonlyUnsignedAccounts": 1 },
            "accountKeys": [WALLET, MINT, ACCOUNT, TOKEN],
            "recentBlockhash": "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d",
            "instructions": [{ "programIdIndex": 3, "accounts": [1, 2, 0], "data": "3DdGGhkhJbjm", "stackHeight": 1 }],
            "transactionConfig": { "priorityFee": 5000, "computeUnitLimit": 200_000 },
        });
        let nothing = json!({ "writable": [], "readonly": [] });
        for loaded in [Some(nothing), Some(json!(null)), None] {
            let meta = newer["meta"].as_object_mut().expect("an object");
            meta.remove("loadedAddresses");
            meta.extend(loaded.map(|loaded| ("loadedAddresses".to_owned(), loaded)));
            let moved = read_moved(&newer).expect("it can be read").expect("it is there");
            assert_eq!((moved.before, moved.after, moved.owner), (40, 55, Some(key(WALLET))));
        }
        newer["transaction"]["message"]["addressTableLookups"] = json!(null);
        assert!(read_moved(&newer).is_ok_and(|moved| moved.is_some()));
    }

    #[test]
    fn a_transaction_that_is_not_what_was_asked_for_is_refused() {
        for (pointer, value) in [
            ("/slot", json!(8)),
            ("/blockTime", json!(null)),
            ("/meta", json!(null)),
            ("/meta/err", json!({ "InstructionError": [0, "Custom"] })),
            ("/meta/preTokenBalances", json!(null)),
            ("/meta/loadedAddresses", json!(null)),
            ("/meta/loadedAddresses/writable", json!([])),
            ("/meta/postTokenBalances/1/mint", json!(TOKEN)),
            ("/meta/postTokenBalances/1/owner", json!(null)),
            ("/meta/postTokenBalances/1/uiTokenAmount/amount", json!("1.5")),
            ("/transaction/signatures/0", json!("b")),
        ] {
            let mut other = transaction();
            *other.pointer_mut(pointer).expect("it is in the sample") = value;
            assert!(read_moved(&other).is_err(), "{pointer}");
        }
    }
}
