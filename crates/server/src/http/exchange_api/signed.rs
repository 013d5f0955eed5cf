//! Signed calls (contract 2.1): the strings that a client may have signed, and the signature over one of them.
//!
//! The server that clients were written for signs `JSON.stringify` of the parameters that it parsed; clients in other
//! languages write the same parameters a little differently. Every spelling needs the secret, so that taking several
//! weakens nothing. Pure; called by `caller`.

use super::params::{Param, Params};
use crate::entropy::to_hex;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// How a client may have written its parameters.
#[derive(Debug, Clone, Copy)]
struct Spelling {
    /// Numbers as they were sent (Python's `1.0`) instead of as JavaScript writes them.
    as_sent: bool,
    /// Characters beyond ASCII as `\uXXXX`.
    ascii: bool,
    /// Members by name.
    sorted: bool,
    /// A `time` of the query as a number.
    time_as_number: bool,
}

/// `hex(sha256(hex(sha256(params)) + secret))`, SHA-256 both times, whatever the help pages say.
fn signature(params: &str, secret: &str) -> String {
    let checksum = to_hex(&Sha256::digest(params));
    to_hex(&Sha256::digest(format!("{checksum}{secret}")))
}

/// Whether the hash is that of these parameters in one of their spellings. Compares in constant time.
pub fn is_signed(params: &Params, secret: &str, hash: &str) -> bool {
    let hash = hash.trim().to_ascii_lowercase();
    let mut found = subtle::Choice::from(0);
    for text in spellings(params) {
        found |= signature(&text, secret).as_bytes().ct_eq(hash.as_bytes());
    }
    found.into()
}

/// Every different spelling, the framework's own first.
pub fn spellings(params: &Params) -> Vec<String> {
    let whole = Param::Map(params.entries().to_vec());
    let both = [false, true];
    let mut texts = Vec::new();
    for (as_sent, ascii) in both.iter().flat_map(|a| both.map(|b| (*a, b))) {
        for (sorted, time_as_number) in both.iter().flat_map(|a| both.map(|b| (*a, b))) {
            let spelling = Spelling { as_sent, ascii, sorted, time_as_number };
            let mut text = String::new();
            write(&mut text, &whole, spelling, true);
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
    }
    texts
}

fn write(text: &mut String, param: &Param, spelling: Spelling, is_top: bool) {
    match param {
        Param::Null => text.push_str("null"),
        Param::Bool(flag) => text.push_str(if *flag { "true" } else { "false" }),
        Param::Number(digits) if spelling.as_sent => text.push_str(digits),
        Param::Number(digits) => text.push_str(&as_javascript(digits)),
        Param::Text(value) => write_text(text, value, spelling),
        Param::List(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                text.push_str(if at == 0 { "" } else { "," });
                write(text, item, spelling, false);
            }
            text.push(']');
        }
        Param::Map(members) => {
            let mut members: Vec<&(String, Param)> = members.iter().collect();
            if spelling.sorted {
                members.sort_by(|a, b| a.0.cmp(&b.0));
            }
            text.push('{');
            for (at, (name, value)) in members.into_iter().enumerate() {
                text.push_str(if at == 0 { "" } else { "," });
                write_text(text, name, spelling);
                text.push(':');
                match value {
                    Param::Text(time) if is_top && name == "time" && spelling.time_as_number && is_number(time) => {
                        text.push_str(time);
                    }
                    value => write(text, value, spelling, false),
                }
            }
            text.push('}');
        }
    }
}

/// Digits as JSON writes a number: without needless zeros before them.
fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'))
}

/// A text as `JSON.stringify` writes it; as Python does, everything beyond ASCII is escaped.
fn write_text(text: &mut String, value: &str, spelling: Spelling) {
    let quoted = serde_json::to_string(value).expect("a text is JSON");
    if !spelling.ascii {
        text.push_str(&quoted);
        return;
    }
    for character in quoted.chars() {
        if character.is_ascii() {
            text.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
}

/// A number as JavaScript writes it (ECMA-262, Number::toString): the shortest digits that mean the same.
fn as_javascript(digits: &str) -> String {
    let Ok(number) = digits.parse::<f64>() else { return digits.to_owned() };
    if !number.is_finite() {
        return "null".to_owned();
    }
    // `1.5e-7`: one digit before the point, the shortest after it.
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').expect("the form has an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent is a number");
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let digits: String = mantissa.chars().filter(|character| *character != '.').collect();
    if digits == "0" {
        return "0".to_owned();
    }
    let (count, point) = (digits.len() as i32, exponent + 1);
    let zeros = |count: i32| "0".repeat(count as usize);
    let body = match point {
        _ if count <= point && point <= 21 => format!("{digits}{}", zeros(point - count)),
        1..=21 => format!("{}.{}", &digits[..point as usize], &digits[point as usize..]),
        -5..=0 => format!("0.{}{digits}", zeros(-point)),
        _ => {
            let (first, rest) = digits.split_at(1);
            let rest = if rest.is_empty() { String::new() } else { format!(".{rest}") };
            format!("{first}{rest}e{}{}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
        }
    };
    format!("{sign}{body}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Bytes;
    use axum::http::{HeaderMap, header};
    use futures_util::FutureExt;

    const SECRET: &str = "0123456789abcdef0123456789abcdef01234567";

    fn read(query: &str, kind: &str, body: &str) -> Params {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, kind.parse().expect("a header"));
        let read = Params::read(Some(query), &headers, Bytes::copy_from_slice(body.as_bytes())).now_or_never();
        read.expect("nothing to wait for").expect("parameters")
    }

    /// Trap 5, and the vectors of contract 2.1: SHA-256 both times, over parsed values, query values as texts.
    #[test]
    fn trap_5_the_published_vectors_are_reproduced() {
        let json = "application/json";
        let form = "application/x-www-form-urlencoded";
        let order = r#"{"routeId": "5d8e6002b80b7b4cd75a6424", "amount": "100.5",
            "toValues": [{"key": "walletAddress", "value": "TEST-ADDRESS-1"}], "agreement": true,
            "skipPreview": true, "typeClient": "api", "hideOutData": true}"#;
        let fields = "routeId=5d8e6002b80b7b4cd75a6424&amount=-250&toValues[0][key]=5d8e6002b80b7b4cd75a6499\
            &toValues[0][value]=Z123&agreement=true";
        let name = r#"{"name":"Тест"}"#;
        let table = [
            ("time=1700000000000", json, "", "343754898f5291bea4b875c6f2a3a9bc261bb78490e436a912c563258b0b30d9"),
            ("time=1700000000001", json, order, "fd9693d6ff3bc85a7086d771578d4013b1039cea884c14b417133d8af9447ed4"),
            (
                "ids[]=1&ids[]=2&time=1700000000002",
                json,
                "",
                "29106d34673d53a7a520b88d25558a6aa50e1443d990823acb1944ae99d6f2a2",
            ),
            (
                "",
                json,
                r#"{"time": 1700000000003}"#,
                "90f323d397c1df059c9c9b0c80ea767c6fbb50ccf9fb73cbf35624c5c8045b36",
            ),
            ("time=1700000000004", form, fields, "70ee3b89539b28fce488961be36fc15986749423bd00a7bd429e13bc04e57ccf"),
            ("time=1700000000005", json, name, "19edc1a2f3817f692977057aaa2b0a0ee39bb32fac961054a667205c6dd4d0d1"),
            // The same, escaped as Python does.
            ("time=1700000000005", json, name, "871a768e9a60776d5a983a5b0e8406cbf4a3af143e4962df5c46553260acc4fe"),
        ];
        for (query, kind, body, hash) in table {
            let params = read(query, kind, body);
            assert!(is_signed(&params, SECRET, hash), "{query} {body}");
            assert!(is_signed(&params, SECRET, &hash.to_uppercase()), "a hash in capitals is the same");
            assert!(!is_signed(&params, "another secret", hash));
            let other = read(&format!("{query}&more=1"), kind, body);
            assert!(!is_signed(&other, SECRET, hash), "what was not signed is not taken");
        }
    }

    /// The example of the help pages, which only SHA-256 reproduces.
    #[test]
    fn the_vendors_example_is_reproduced() {
        let secret = "97aab8410868ba7c1824f490999607c0ce46a3de";
        let hash = "ac876c6314ffcca01b0e65571cc136cedfb2c3d8e2194aaaf364ca7123568fc7";
        assert!(is_signed(&read("", "application/json", r#"{"time":123456789,"param1":"val1"}"#), secret, hash));
        // The literal reading of the vendor's sample: the query's time as a number.
        assert!(is_signed(&read("time=123456789&param1=val1", "application/json", ""), secret, hash));
        // Sorted by name, as one client does.
        let sorted = signature(r#"{"param1":"val1","time":123456789}"#, secret);
        assert!(is_signed(&read("", "application/json", r#"{"time":123456789,"param1":"val1"}"#), secret, &sorted));
        // With the digits that Python sends.
        let python = signature(r#"{"time":1,"amount":1.0}"#, secret);
        assert!(is_signed(&read("", "application/json", r#"{"time":1,"amount":1.0}"#), secret, &python));
        let javascript = signature(r#"{"time":1,"amount":1}"#, secret);
        assert!(is_signed(&read("", "application/json", r#"{"time":1,"amount":1.0}"#), secret, &javascript));
    }

    #[test]
    fn every_spelling_is_json_and_the_first_is_the_frameworks_own() {
        let params = read("time=007&z=ж", "application/json", r#"{"amount":1.0,"a":[1e400,null,{}]}"#);
        let texts = spellings(&params);
        assert_eq!(texts[0], r#"{"time":"007","z":"ж","amount":1,"a":[null,null,{}]}"#);
        let is_json = |text: &String| serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok();
        assert!(texts.len() > 2 && texts.iter().all(is_json), "{texts:?}");
    }

    /// What a JavaScript engine prints for each; taken from ECMA-262's rules, one row per branch.
    #[test]
    fn numbers_are_written_as_javascript_writes_them() {
        for (sent, written) in [
            ("1.0", "1"),
            ("-0", "0"),
            ("100.50", "100.5"),
            ("1e3", "1000"),
            ("123456789012345678901", "123456789012345680000"),
            ("1e21", "1e+21"),
            ("1.5e300", "1.5e+300"),
            ("0.000001", "0.000001"),
            ("0.0000001", "1e-7"),
            ("-1.25e-9", "-1.25e-9"),
            ("0.1", "0.1"),
            ("1e400", "null"),
        ] {
            assert_eq!(as_javascript(sent), written, "{sent}");
        }
    }
}
