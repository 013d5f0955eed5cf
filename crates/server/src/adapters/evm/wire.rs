//! What nodes write, read strictly: whatever is not exactly what was asked for is an error, never a guess.

use super::address::Address;
use super::amount::Amount;
use super::rpc::RpcError;
use crate::entropy::from_hex;
use domain::time::Time;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// `Transfer(address,address,uint256)`: the first topic of the event of ERC-20.
pub const TRANSFER: &str = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef";

/// `balanceOf(address)` of ERC-20: the first four bytes of a call of it.
pub const BALANCE_OF: &str = "0x70a08231";

/// No block is of a later second than this (the year 5138); later ones would overflow.
const LATEST_SECOND: i64 = 100_000_000_000;

/// A block as a node shows it, without what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mined {
    pub height: i64,
    /// In small letters.
    pub hash: String,
    pub parent: String,
    pub at: Time,
}

/// One transfer of a token as a node shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    pub height: i64,
    pub block: String,
    pub transaction: String,
    /// In its block.
    pub index: i64,
    pub contract: Address,
    pub from: Address,
    pub to: Address,
    pub amount: Amount,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireBlock {
    number: Option<String>,
    hash: Option<String>,
    parent_hash: String,
    timestamp: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireLog {
    address: String,
    topics: Vec<String>,
    data: String,
    block_number: Option<String>,
    block_hash: Option<String>,
    transaction_hash: Option<String>,
    log_index: Option<String>,
    #[serde(default)]
    removed: bool,
}

/// A number such as `0x1b4`.
pub fn quantity(text: &str) -> Option<i64> {
    let digits = text.strip_prefix("0x")?;
    let is_plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_plain.then(|| i64::from_str_radix(digits, 16).ok()).flatten()
}

/// A number as nodes read it.
pub fn to_quantity(number: i64) -> String {
    format!("{number:#x}")
}

/// The text in an answer.
pub fn text(raw: &RawValue) -> Result<String, RpcError> {
    read(raw)
}

/// The number in an answer.
pub fn number(raw: &RawValue) -> Result<i64, RpcError> {
    let text: String = read(raw)?;
    quantity(&text).ok_or(RpcError::Unclear("a number that is none"))
}

/// The one word in the answer of a contract. An address without a contract answers with none.
pub fn amount(raw: &RawValue) -> Result<Amount, RpcError> {
    let text: String = read(raw)?;
    Amount::of_word(&text).ok_or(RpcError::Unclear("a balance that is none"))
}

/// The balance in an answer.
pub fn balance(raw: &RawValue) -> Result<Amount, RpcError> {
    let text: String = read(raw)?;
    Amount::of_quantity(&text).ok_or(RpcError::Unclear("a balance that is none"))
}

/// The block in an answer; `None` where the node has none.
pub fn block(raw: &RawValue) -> Result<Option<Mined>, RpcError> {
    let Some(wire) = read::<Option<WireBlock>>(raw)? else { return Ok(None) };
    let mined = || {
        let seconds = quantity(&wire.timestamp).filter(|seconds| (0..=LATEST_SECOND).contains(seconds))?;
        Some(Mined {
            height: quantity(wire.number.as_ref()?)?,
            hash: hash(wire.hash.as_ref()?)?,
            parent: hash(&wire.parent_hash)?,
            at: Time(seconds * 1_000),
        })
    };
    mined().map(Some).ok_or(RpcError::Unclear("a block with a field that cannot be"))
}

/// The transfers in an answer, in the order of their blocks. Events that only look like ERC-20's (the same name with other
/// arguments, as ERC-721 has it) are left out.
pub fn logs(raw: &RawValue) -> Result<Vec<Log>, RpcError> {
    let mut found = Vec::new();
    for wire in read::<Vec<WireLog>>(raw)? {
        if wire.removed {
            return Err(RpcError::Unclear("an event that was taken back"));
        }
        if wire.topics.first().is_none_or(|topic| !topic.eq_ignore_ascii_case(TRANSFER)) {
            return Err(RpcError::Unclear("an event that was not asked for"));
        }
        if wire.topics.len() == 3 && wire.data.len() == 66 {
            found.push(log(&wire).ok_or(RpcError::Unclear("an event with a field that cannot be"))?);
        }
    }
    found.sort_by_key(|log| (log.height, log.index));
    Ok(found)
}

fn log(wire: &WireLog) -> Option<Log> {
    Some(Log {
        height: quantity(wire.block_number.as_ref()?)?,
        block: hash(wire.block_hash.as_ref()?)?,
        transaction: hash(wire.transaction_hash.as_ref()?)?,
        index: quantity(wire.log_index.as_ref()?)?,
        contract: Address::of_node(&wire.address)?,
        from: Address::of_word(&wire.topics[1])?,
        to: Address::of_word(&wire.topics[2])?,
        amount: Amount::of_word(&wire.data)?,
    })
}

fn hash(text: &str) -> Option<String> {
    let digits = text.strip_prefix("0x")?;
    from_hex::<32>(digits).map(|_| text.to_lowercase())
}

fn read<T: DeserializeOwned>(raw: &RawValue) -> Result<T, RpcError> {
    serde_json::from_str(raw.get()).map_err(|_| RpcError::Unclear("another kind of answer than was asked for"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn raw(value: &Value) -> Box<RawValue> {
        RawValue::from_string(value.to_string()).expect("JSON")
    }

    fn word(digit: &str) -> String {
        format!("0x{}", digit.repeat(64))
    }

    fn sample() -> Value {
        json!({
            "address": format!("0x{}", "aA".repeat(20)),
            "topics": [TRANSFER, word("0"), format!("0x{}{}", "0".repeat(24), "b".repeat(40))],
            "data": format!("0x{:064x}", 25),
            "blockNumber": "0x5",
            "blockHash": word("C"),
            "transactionHash": word("d"),
            "transactionIndex": "0x0",
            "logIndex": "0x3",
            "removed": false,
        })
    }

    #[test]
    fn a_transfer_is_read_whole() {
        let found = logs(&raw(&json!([sample()]))).expect("one event");
        let expected = Log {
            height: 5,
            block: word("c"),
            transaction: word("d"),
            index: 3,
            contract: Address::of_node(&format!("0x{}", "aa".repeat(20))).expect("an address"),
            from: Address::of_node(&format!("0x{}", "00".repeat(20))).expect("an address"),
            to: Address::of_node(&format!("0x{}", "bb".repeat(20))).expect("an address"),
            amount: Amount::of_word(&format!("0x{:064x}", 25)).expect("a word"),
        };
        assert_eq!(found, [expected]);
        assert_eq!(logs(&raw(&json!([]))), Ok(Vec::new()));
    }

    #[test]
    fn events_come_in_their_order() {
        let at = |block: &str, index: &str| {
            let mut event = sample();
            event["blockNumber"] = json!(block);
            event["logIndex"] = json!(index);
            event
        };
        let mixed = json!([at("0x10", "0x2"), at("0x9", "0xb"), at("0x10", "0x0"), at("0x9", "0xa")]);
        let found = logs(&raw(&mixed)).expect("four events");
        let order: Vec<(i64, i64)> = found.iter().map(|log| (log.height, log.index)).collect();
        assert_eq!(order, [(9, 10), (9, 11), (16, 0), (16, 2)]);
    }

    #[test]
    fn what_only_looks_like_a_transfer_is_left_out() {
        let mut of_a_collectible = sample();
        of_a_collectible["topics"] = json!([TRANSFER, word("0"), word("0"), word("0")]);
        of_a_collectible["data"] = json!("0x");
        let mut without_index = sample();
        without_index["topics"] = json!([TRANSFER]);
        assert_eq!(logs(&raw(&json!([of_a_collectible, without_index]))), Ok(Vec::new()));
    }

    #[test]
    fn an_event_with_a_wrong_field_is_an_error() {
        for (field, value) in [
            ("removed", json!(true)),
            ("topics", json!([])),
            ("topics", json!([word("1"), word("0"), word("0")])),
            ("topics", json!([TRANSFER, word("0"), word("1")])),
            ("topics", json!([TRANSFER, word("1"), word("0")])),
            ("data", json!(format!("0x{}", "g".repeat(64)))),
            ("blockNumber", json!(null)),
            ("blockNumber", json!("5")),
            ("blockNumber", json!(5)),
            ("blockHash", json!("0x1234")),
            ("transactionHash", json!(null)),
            ("logIndex", json!("0x-1")),
            ("address", json!("0x")),
        ] {
            let mut event = sample();
            event[field] = value;
            assert!(matches!(logs(&raw(&json!([event]))), Err(RpcError::Unclear(_))), "{field}");
        }
        for answer in [json!(null), json!({}), json!("0x"), json!([1])] {
            assert!(matches!(logs(&raw(&answer)), Err(RpcError::Unclear(_))), "{answer}");
        }
    }

    #[test]
    fn a_block_is_read_or_refused() {
        let whole = json!({
            "number": "0xa", "hash": word("A"), "parentHash": word("b"), "timestamp": "0x6b003064", "transactions": [],
        });
        let expected = Mined { height: 10, hash: word("a"), parent: word("b"), at: Time(1_795_174_500_000) };
        assert_eq!(block(&raw(&whole)), Ok(Some(expected)));
        assert_eq!(block(&raw(&json!(null))), Ok(None));
        for (field, value) in [
            ("number", json!(null)),
            ("hash", json!(null)),
            ("parentHash", json!("0x")),
            ("timestamp", json!("0xffffffffffff")),
            ("timestamp", json!(5)),
        ] {
            let mut wrong = whole.clone();
            wrong[field] = value;
            assert!(matches!(block(&raw(&wrong)), Err(RpcError::Unclear(_))), "{field}");
        }
    }

    #[test]
    fn a_balance_is_one_word() {
        let word = json!(format!("0x{:064x}", 25));
        assert_eq!(amount(&raw(&word)), Ok(Amount::of_word(&format!("0x{:064x}", 25)).expect("a word")));
        for answer in [json!("0x"), json!("0x19"), json!(null), json!(25), json!(format!("0x{}", "0".repeat(128)))] {
            assert!(matches!(amount(&raw(&answer)), Err(RpcError::Unclear(_))), "{answer}");
        }
    }

    #[test]
    fn numbers_are_hexadecimal_and_positive() {
        for (text, expected) in [
            ("0x0", Some(0)),
            ("0x2105", Some(8453)),
            ("0x7fffffffffffffff", Some(i64::MAX)),
            ("0x8000000000000000", None),
            ("0x", None),
            ("0x+1", None),
            ("0x-1", None),
            ("12", None),
        ] {
            assert_eq!(quantity(text), expected, "{text}");
        }
        assert_eq!((to_quantity(0), to_quantity(8453)), ("0x0".to_owned(), "0x2105".to_owned()));
    }
}
