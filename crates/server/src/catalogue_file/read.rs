//! Reads JSON objects key by key and remembers where in the file each value stands.
//!
//! A value is a slice borrowed from the text of the file: its line is counted only when an error needs it, no tree of
//! the whole file is built, and reading goes on after an error so that one import reports many. Must never know what
//! a catalogue is; its callers are the other files of this folder.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::ops::RangeInclusive;

/// Reading stops once so many errors are known: more would not help to mend the file.
pub const MOST_ERRORS: usize = 20;
/// Bytes of one text of the file.
pub(super) const LONGEST_TEXT: usize = 65_536;
/// Characters of one name: a brand, a SKU, a tag.
pub(super) const LONGEST_NAME: usize = 200;

/// One fault of the file and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileError {
    /// Counted from 1, as editors do.
    pub line: usize,
    /// Such as `brands[4].products[2].value`, counted from 0; empty if the file as a whole is meant.
    pub field: String,
    /// What is wrong and what is expected instead.
    pub message: String,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if !self.field.is_empty() {
            write!(f, ", {}", self.field)?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for FileError {}

/// The errors found so far. Shared by all values of a file, hence the cell; reading is one thread.
pub(super) struct Errors<'t> {
    text: &'t str,
    found: RefCell<Vec<FileError>>,
}

impl<'t> Errors<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Errors { text, found: RefCell::new(Vec::new()) }
    }

    /// The line of a slice of the text.
    pub(super) fn line_of(&self, part: &str) -> usize {
        let offset = part.as_ptr().addr().saturating_sub(self.text.as_ptr().addr()).min(self.text.len());
        self.text.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count() + 1
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.borrow().is_empty()
    }

    /// No more errors are kept: the reader may stop.
    pub(super) fn is_full(&self) -> bool {
        self.found.borrow().len() >= MOST_ERRORS
    }

    pub(super) fn into_found(self) -> Vec<FileError> {
        self.found.into_inner()
    }

    fn add(&self, line: usize, place: Place<'_>, message: String) {
        if !self.is_full() {
            self.found.borrow_mut().push(FileError { line, field: place.to_string(), message });
        }
    }
}

/// The way from the top of the file to a value, kept on the stack and written only into errors.
#[derive(Clone, Copy)]
enum Place<'p> {
    File,
    Key(&'p Place<'p>, &'p str),
    Item(&'p Place<'p>, usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File => Ok(()),
            Place::Key(Place::File, key) => f.write_str(key),
            Place::Key(above, key) => write!(f, "{above}.{key}"),
            Place::Item(above, at) => write!(f, "{above}[{at}]"),
        }
    }
}

/// One JSON value of the file, not yet read. The readers report what is wrong and return `None`.
#[derive(Clone, Copy)]
pub(super) struct Value<'t, 'p> {
    raw: &'t str,
    place: Place<'p>,
    errors: &'p Errors<'t>,
}

impl<'t, 'p> Value<'t, 'p> {
    /// The whole text.
    pub(super) fn file(errors: &'p Errors<'t>) -> Self {
        Value { raw: errors.text, place: Place::File, errors }
    }

    /// Its slice of the file.
    pub(super) fn raw(&self) -> &'t str {
        self.raw
    }

    pub(super) fn errors(&self) -> &'p Errors<'t> {
        self.errors
    }

    /// Reports a fault of this value.
    pub(super) fn complain(&self, message: impl Into<String>) {
        self.errors.add(self.errors.line_of(self.raw), self.place, message.into());
    }

    /// Reports a fault of this value, for readers that end with it.
    pub(super) fn refuse<T>(&self, message: impl Into<String>) -> Option<T> {
        self.complain(message);
        None
    }

    /// A text without NUL, at most 64 KiB.
    pub(super) fn text(&self) -> Option<String> {
        if !self.raw.starts_with('"') {
            return self.refuse(format!("a text in double quotes is expected, not {}", self.what()));
        }
        match serde_json::from_str::<String>(self.raw) {
            Err(_) => self.refuse("the text holds a \\u escape that is no character"),
            Ok(text) if text.contains('\0') => self.refuse("a text must not hold the NUL character"),
            Ok(text) if text.len() > LONGEST_TEXT => self.refuse(format!("a text has at most {LONGEST_TEXT} bytes")),
            Ok(text) => Some(text),
        }
    }

    /// A text of one line with something in it and no spaces around it.
    pub(super) fn name(&self) -> Option<String> {
        let text = self.text()?;
        if text.trim().is_empty() {
            return self.refuse("must not be empty");
        }
        if text.trim() != text || text.chars().any(char::is_control) {
            return self.refuse("must be one line without spaces before or after it");
        }
        if text.chars().count() > LONGEST_NAME {
            return self.refuse(format!("has at most {LONGEST_NAME} characters"));
        }
        Some(text)
    }

    /// A text that `parse` makes something of; its complaint becomes the error.
    pub(super) fn parsed<T>(&self, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text()?;
        match parse(&text) {
            Ok(found) => Some(found),
            Err(message) => self.refuse(message),
        }
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        self.parsed(|text| {
            let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
            found.ok_or_else(|| {
                let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                format!("{text:?} is not one of: {}", known.join(", "))
            })
        })
    }

    /// `true` or `false`.
    pub(super) fn flag(&self) -> Option<bool> {
        match self.raw {
            "true" => Some(true),
            "false" => Some(false),
            _ => self.refuse(format!("true or false is expected, not {}", self.what())),
        }
    }

    /// A whole number.
    pub(super) fn whole(&self, range: RangeInclusive<i64>) -> Option<i64> {
        let found = serde_json::from_str::<i64>(self.raw).ok().filter(|number| range.contains(number));
        found.or_else(|| {
            let (least, most) = (range.start(), range.end());
            self.refuse(format!("a whole number without quotes, from {least} to {most}, is expected"))
        })
    }

    /// The items of a list of at most `most`.
    pub(super) fn list<'v>(&'v self, most: usize) -> Option<Vec<Value<'t, 'v>>> {
        let Ok(items) = serde_json::from_str::<Vec<&'t RawValue>>(self.raw) else {
            return self.refuse(format!("a list in brackets is expected, not {}", self.what()));
        };
        if items.len() > most {
            return self.refuse(format!("has {} entries, at most {most} are allowed", items.len()));
        }
        let mut values = Vec::with_capacity(items.len());
        for (at, raw) in items.into_iter().enumerate() {
            values.push(Value { raw: raw.get(), place: Place::Item(&self.place, at), errors: self.errors });
        }
        Some(values)
    }

    /// The items of a list, each read by `read`; every faulty item is reported.
    pub(super) fn each<'v, T>(
        &'v self,
        most: usize,
        mut read: impl FnMut(&Value<'t, 'v>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let mut found = Vec::new();
        let mut complete = true;
        for item in self.list(most)? {
            match read(&item) {
                Some(value) => found.push(value),
                None => complete = false,
            }
        }
        complete.then_some(found)
    }

    fn what(&self) -> &'static str {
        match self.raw.trim_start().bytes().next() {
            Some(b'{') => "an object",
            Some(b'[') => "a list",
            Some(b'"') => "a text",
            Some(b't' | b'f') => "true or false",
            Some(b'n') => "null (leave the key out instead)",
            _ => "a number",
        }
    }
}

/// An object whose keys are taken one by one; `finish` reports those that nobody asked for.
pub(super) struct Object<'t, 'v> {
    value: &'v Value<'t, 'v>,
    entries: Vec<(Cow<'t, str>, &'t RawValue)>,
    known: Vec<&'static str>,
}

impl<'t, 'v> Object<'t, 'v> {
    /// Splits an object into its keys. Of the file itself it also finds out whether it is JSON at all.
    pub(super) fn open(value: &'v Value<'t, 'v>) -> Option<Self> {
        match serde_json::from_str::<Entries<'t>>(value.raw) {
            Ok(Entries(entries)) => Some(Object { value, entries, known: Vec::new() }),
            Err(error) if error.is_data() => {
                value.refuse(format!("an object in braces is expected, not {}", value.what()))
            }
            Err(error) => {
                let line = value.errors.line_of(value.raw) + error.line().saturating_sub(1);
                let said = error.to_string();
                let said = said.split(" at line ").next().unwrap_or_default();
                let message = format!("this is not JSON: {said} (column {})", error.column());
                value.errors.add(line, value.place, message);
                None
            }
        }
    }

    /// A value that may be absent.
    pub(super) fn optional(&mut self, key: &'static str) -> Option<Value<'t, 'v>> {
        self.known.push(key);
        let at = self.entries.iter().position(|(name, _)| name == key)?;
        let (_, raw) = self.entries.remove(at);
        Some(Self::inside(self.value, key, raw))
    }

    /// A value that must be there.
    pub(super) fn required(&mut self, key: &'static str) -> Option<Value<'t, 'v>> {
        let found = self.optional(key);
        if found.is_none() {
            let line = self.value.errors.line_of(self.value.raw);
            self.value.errors.add(line, Place::Key(&self.value.place, key), "is missing".to_owned());
        }
        found
    }

    /// Reads a value that must be there.
    pub(super) fn must<T>(&mut self, key: &'static str, read: impl FnOnce(&Value<'t, 'v>) -> Option<T>) -> Option<T> {
        read(&self.required(key)?)
    }

    /// Reads a value that may be absent: `Some(None)`. A faulty one is `None`.
    pub(super) fn maybe<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Value<'t, 'v>) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.optional(key) {
            None => Some(None),
            Some(value) => read(&value).map(Some),
        }
    }

    /// Reads a value that has a default.
    pub(super) fn or<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&Value<'t, 'v>) -> Option<T>,
    ) -> Option<T> {
        match self.optional(key) {
            None => Some(default),
            Some(value) => read(&value),
        }
    }

    /// Reports a fault of the object as a whole.
    pub(super) fn refuse<T>(&self, message: impl Into<String>) -> Option<T> {
        self.value.refuse(message)
    }

    /// The keys that nobody took, for objects whose keys are names (languages, countries).
    pub(super) fn others(&self) -> impl Iterator<Item = (&str, Value<'t, '_>)> {
        let value = self.value;
        self.entries.iter().map(move |entry| {
            let (key, raw): (&str, &'t RawValue) = (&entry.0, entry.1);
            (key, Self::inside(value, key, raw))
        })
    }

    /// Reports every key that was not asked for.
    pub(super) fn finish(self) {
        for entry in &self.entries {
            let (key, raw): (&str, &'t RawValue) = (&entry.0, entry.1);
            let message = if self.known.contains(&key) {
                "stands twice in one object".to_owned()
            } else {
                format!("is not a key of this object; those are {}", self.known.join(", "))
            };
            Self::inside(self.value, key, raw).complain(message);
        }
    }

    fn inside<'x>(value: &'x Value<'t, 'x>, key: &'x str, raw: &'t RawValue) -> Value<'t, 'x> {
        Value { raw: raw.get(), place: Place::Key(&value.place, key), errors: value.errors }
    }
}

/// All keys of an object with their unread values, in the order of the file.
struct Entries<'t>(Vec<(Cow<'t, str>, &'t RawValue)>);

/// A key, borrowed from the file unless it holds escapes.
#[derive(serde::Deserialize)]
struct Key<'k>(#[serde(borrow)] Cow<'k, str>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;

        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::with_capacity(16);
                while let Some((Key(key), raw)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
                    entries.push((key, raw));
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(EntriesVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str, read: impl FnOnce(&mut Object<'_, '_>)) -> Vec<String> {
        let errors = Errors::new(text);
        let value = Value::file(&errors);
        if let Some(mut object) = Object::open(&value) {
            read(&mut object);
            object.finish();
        }
        errors.into_found().iter().map(FileError::to_string).collect()
    }

    #[test]
    fn values_are_found_by_key_whatever_their_order() {
        let text = "{\"b\": [1, 2], \"a\": \"x\\n\", \"c\": false}";
        let faults = faults(text, |object| {
            assert_eq!(object.must("a", Value::text), Some("x\n".to_owned()));
            assert_eq!(object.must("b", |list| list.each(2, |item| item.whole(0..=9))), Some(vec![1, 2]));
            assert_eq!(object.or("c", true, Value::flag), Some(false));
            assert_eq!(object.or("d", true, Value::flag), Some(true));
            assert_eq!(object.maybe("e", Value::text), Some(None));
        });
        assert_eq!(faults, Vec::<String>::new());
    }

    #[test]
    fn an_error_names_line_and_field() {
        let text = "{\n \"a\": [\n  {},\n  7\n ],\n \"b\": null, \"b\": 1, \"z\": 1 }";
        let faults = faults(text, |object| {
            assert_eq!(object.must("a", |list| list.each(9, Value::text)), None);
            assert_eq!(object.must("b", Value::flag), None);
            assert_eq!(object.must("c", Value::flag), None);
        });
        assert_eq!(
            faults,
            [
                "line 3, a[0]: a text in double quotes is expected, not an object",
                "line 4, a[1]: a text in double quotes is expected, not a number",
                "line 6, b: true or false is expected, not null (leave the key out instead)",
                "line 1, c: is missing",
                "line 6, b: stands twice in one object",
                "line 6, z: is not a key of this object; those are a, b, c",
            ]
        );
    }

    #[test]
    fn what_is_not_json_is_named_by_its_line() {
        for (text, line) in [("", 1), ("{", 1), ("{\n\"a\": 1,\n}", 3), ("{\n\"a\": tru }", 2), ("{}\n\nx", 3)] {
            let errors = Errors::new(text);
            let value = Value::file(&errors);
            assert!(Object::open(&value).is_none(), "{text}");
            let found = errors.into_found();
            assert_eq!(found.len(), 1, "{text}");
            assert_eq!((found[0].line, found[0].field.as_str()), (line, ""), "{text}");
            assert!(found[0].message.starts_with("this is not JSON: "), "{}", found[0]);
        }
        assert_eq!(faults(" [1]", |_| ()), ["line 1: an object in braces is expected, not a list"]);
    }

    #[test]
    fn texts_and_names_have_their_limits() {
        let text = r#"{"nul": "a\u0000b", "half": "\ud800", "empty": " ", "space": " a", "lines": "a\nb"}"#;
        let faults = faults(text, |object| {
            assert_eq!(object.must("nul", Value::text), None);
            assert_eq!(object.must("half", Value::text), None);
            assert_eq!(object.must("empty", Value::name), None);
            assert_eq!(object.must("space", Value::name), None);
            assert_eq!(object.must("lines", Value::name), None);
        });
        assert_eq!(
            faults,
            [
                "line 1, nul: a text must not hold the NUL character",
                "line 1, half: the text holds a \\u escape that is no character",
                "line 1, empty: must not be empty",
                "line 1, space: must be one line without spaces before or after it",
                "line 1, lines: must be one line without spaces before or after it",
            ]
        );
    }

    #[test]
    fn no_more_than_twenty_errors_are_kept() {
        let text = format!("{{\"a\": [{}]}}", vec!["1"; 50].join(","));
        let faults = faults(&text, |object| {
            assert_eq!(object.must("a", |list| list.each(50, Value::text)), None);
        });
        assert_eq!(faults.len(), MOST_ERRORS);
    }
}
