//! What a payer must tell: fields with an expression that its value must match.
//!
//! The same expression runs in the client's browser; here it runs in linear time, whatever it says (`regex-lite`).

use crate::ids::ObjectId;
use regex_lite::Regex;

/// Characters of one value.
pub const MOST_VALUE: usize = 255;

/// One thing to be told.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub id: ObjectId,
    /// A second name that orders may use for it, such as `walletAddress` (contract 4.3).
    pub alias: Option<String>,
    pub name: String,
    pub placeholder: String,
    pub regexp: Option<Pattern>,
    /// What is said about a value that does not match.
    pub regexp_error: String,
    pub required: bool,
    /// If any, the value is one of these.
    pub options: Vec<FieldOption>,
}

/// A value to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldOption {
    pub name: String,
    pub value: String,
}

/// What is wrong with a value, or that there is none; the word is `err` of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldFault {
    Required,
    Regexp,
}

impl FieldFault {
    pub fn word(self) -> &'static str {
        match self {
            FieldFault::Required => "required",
            FieldFault::Regexp => "regexp",
        }
    }
}

/// A regular expression that is equal to another of the same text.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Longest expression.
    const MOST: usize = 1_000;

    /// Compiles an expression; `Err` says what is wrong with it.
    pub fn new(text: &str) -> Result<Pattern, String> {
        if text.len() > Self::MOST {
            return Err(format!("it is longer than {} characters", Self::MOST));
        }
        Regex::new(text).map(Pattern).map_err(|error| error.to_string())
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub fn matches(&self, value: &str) -> bool {
        self.0.is_match(value)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Field {
    /// Whether an order means this field by that key.
    pub fn is_called(&self, key: &str) -> bool {
        self.id.as_str() == key || self.alias.as_deref() == Some(key)
    }

    /// What is wrong with a value; an empty one is none.
    pub fn fault(&self, value: &str) -> Option<FieldFault> {
        if value.is_empty() {
            return self.required.then_some(FieldFault::Required);
        }
        let chosen = self.options.is_empty() || self.options.iter().any(|option| option.value == value);
        let matches = self.regexp.as_ref().is_none_or(|regexp| regexp.matches(value));
        let fits = chosen && matches && value.chars().count() <= MOST_VALUE;
        (!fits).then_some(FieldFault::Regexp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field() -> Field {
        Field {
            id: ObjectId::new("5d8e6002b80b7b4cd75a6499"),
            alias: Some("walletAddress".to_owned()),
            name: "Wallet".to_owned(),
            placeholder: String::new(),
            regexp: Some(Pattern::new("^0x[0-9a-fA-F]{40}$").expect("an expression")),
            regexp_error: String::new(),
            required: true,
            options: Vec::new(),
        }
    }

    #[test]
    fn a_value_is_checked_against_expression_options_and_length() {
        let wallet = format!("0x{}", "ab".repeat(20));
        assert_eq!(field().fault(&wallet), None);
        assert_eq!(field().fault(""), Some(FieldFault::Required));
        assert_eq!(field().fault("0x12"), Some(FieldFault::Regexp));
        assert_eq!(Field { required: false, ..field() }.fault(""), None);
        let option = |value: &str| FieldOption { name: value.to_uppercase(), value: value.to_owned() };
        let choice = Field { regexp: None, options: vec![option("sepa"), option("swift")], ..field() };
        assert_eq!(choice.fault("swift"), None);
        assert_eq!(choice.fault("SWIFT"), Some(FieldFault::Regexp));
        let free = Field { regexp: None, ..field() };
        assert_eq!(free.fault(&"ж".repeat(MOST_VALUE)), None);
        assert_eq!(free.fault(&"ж".repeat(MOST_VALUE + 1)), Some(FieldFault::Regexp));
    }

    #[test]
    fn a_field_is_meant_by_its_id_or_its_alias() {
        assert!(field().is_called("5d8e6002b80b7b4cd75a6499") && field().is_called("walletAddress"));
        assert!(!field().is_called("Wallet"));
    }

    #[test]
    fn an_expression_that_is_none_is_refused_and_a_hostile_one_is_fast() {
        assert!(Pattern::new("(").is_err() && Pattern::new(&"a".repeat(1_001)).is_err());
        let hostile = Pattern::new("^(a+)+$").expect("an expression");
        assert!(!hostile.matches(&format!("{}b", "a".repeat(254))));
    }
}
