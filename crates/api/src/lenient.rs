//! Readers for fields that are written in one form but were seen in several: null for an empty list, a number for a
//! decimal string, a string for a number.
//!
//! They only widen what is read; what is written never changes. Their errors never repeat a value, because the value may
//! be a code that opens a gift card. The wire types of this crate are the only callers.

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::{Number, Value};

/// Null is read as the empty value. Use together with `default`, so that an absent field is too.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// A string, or a number kept as its text (timestamps and points of the contract, sections 2 and 3.9).
pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    text_of(Value::deserialize(deserializer)?).ok_or_else(|| D::Error::custom("expected a string or a number"))
}

/// As [`text`], and null is absent. Use together with `default`.
pub(crate) fn optional_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        value => match text_of(value) {
            Some(text) => Ok(Some(text)),
            None => Err(D::Error::custom("expected a string, a number or null")),
        },
    }
}

/// As [`optional_text`], and the form `{"amount": 5, "currency": "USD"}` that one fixture shows for the ends of a range
/// (contract, section 3.6, contested).
pub(crate) fn optional_amount_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let value = match Value::deserialize(deserializer)? {
        Value::Null => return Ok(None),
        Value::Object(mut fields) => fields.remove("amount").unwrap_or(Value::Null),
        value => value,
    };
    match text_of(value) {
        Some(text) => Ok(Some(text)),
        None => Err(D::Error::custom("expected a decimal as a string, a number or an object with an amount")),
    }
}

/// A number, or a string that holds one (`payment_value` was once seen so, contract, section 3.9).
pub(crate) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Number, D::Error> {
    number_of(Value::deserialize(deserializer)?)
        .ok_or_else(|| D::Error::custom("expected a number or a string that holds one"))
}

/// As [`number`], and null is absent. Use together with `default`.
pub(crate) fn optional_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Number>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        value => match number_of(value) {
            Some(number) => Ok(Some(number)),
            None => Err(D::Error::custom("expected a number, a string that holds one, or null")),
        },
    }
}

/// The `status` of an error body: an integer, or one in a string; anything else is 0, because an error that cannot be
/// read in full is still worth reading.
pub(crate) fn status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let text = text_of(Value::deserialize(deserializer)?).unwrap_or_default();
    Ok(text.parse().unwrap_or(0))
}

fn text_of(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn number_of(value: Value) -> Option<Number> {
    match value {
        Value::Number(number) => Some(number),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Sample {
        #[serde(default, deserialize_with = "null_as_default")]
        list: Vec<String>,
        #[serde(deserialize_with = "text")]
        at: String,
        #[serde(default, deserialize_with = "optional_amount_text")]
        end: Option<String>,
        #[serde(deserialize_with = "number")]
        value: Number,
    }

    fn sample(text: &str) -> Result<Sample, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn every_seen_form_gives_the_same_text() {
        for text in [
            r#"{"list":null,"at":1790000000,"end":{"amount":50.00,"currency":"USD"},"value":"21.50"}"#,
            r#"{"at":"1790000000","end":"50.00","value":21.50}"#,
            r#"{"list":[],"at":"1790000000","end":50.00,"value":21.50}"#,
        ] {
            let read = sample(text).expect("a form that was seen on the wire");
            assert!(read.list.is_empty());
            assert_eq!(read.at, "1790000000");
            assert_eq!(read.end.as_deref(), Some("50.00"));
            assert_eq!(read.value.to_string(), "21.50");
        }
    }

    #[test]
    fn errors_do_not_repeat_the_value() {
        let error = sample(r#"{"at":"1","value":"ABCD-SECRET"}"#).expect_err("not a number");
        assert!(!error.to_string().contains("SECRET"), "{error}");
        let error = sample(r#"{"at":["ABCD-SECRET"],"value":1}"#).expect_err("not a text");
        assert!(!error.to_string().contains("SECRET"), "{error}");
    }
}
