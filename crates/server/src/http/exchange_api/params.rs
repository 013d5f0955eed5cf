//! Parameters of a call: query, JSON, form and multipart as one list that keeps order and number texts (contract 1.2).
//!
//! Order and texts matter because signatures are made over them (contract 2.1). Must never guess: what is given twice in
//! one place, nested too deeply or too much of is refused. Numbers stay texts until a method reads them.

use super::fault::Fault;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::stream;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::BTreeSet;
use std::fmt;

/// Values of one call, nested ones counted.
const MOST_VALUES: usize = 1_000;
/// Lists and objects in one another.
const MOST_DEPTH: usize = 8;

/// A value as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Param {
    Null,
    Bool(bool),
    /// The digits as they were written.
    Number(String),
    Text(String),
    List(Vec<Param>),
    Map(Vec<(String, Param)>),
}

/// All parameters of one call, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Params(Vec<(String, Param)>);

impl Params {
    /// `{...query, ...body}`: the body wins, and a name keeps the place that it had in the query.
    pub async fn read(query: Option<&str>, headers: &HeaderMap, body: Bytes) -> Result<Params, Fault> {
        let mut count = Count::default();
        let query = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        let mut params = Params(bracketed(query, &mut count)?);
        for (name, value) in body_params(headers, body, &mut count).await? {
            match params.0.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = value,
                None => params.0.push((name, value)),
            }
        }
        Ok(params)
    }

    /// All of them, in their order.
    pub fn entries(&self) -> &[(String, Param)] {
        &self.0
    }

    /// A value; null is none.
    pub fn get(&self, name: &str) -> Option<&Param> {
        let found = self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value);
        found.filter(|value| **value != Param::Null)
    }

    /// A text of at most so many characters; numbers and flags count as their text.
    pub fn text(&self, name: &str, most: usize) -> Result<Option<String>, Fault> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let text = value.as_text().ok_or_else(|| Fault::param(name, "a text"))?;
        if text.chars().count() > most {
            return Err(Fault::param(name, &format!("at most {most} characters")));
        }
        Ok(Some(text))
    }

    /// The same where it must be there.
    pub fn must_text(&self, name: &str, most: usize) -> Result<String, Fault> {
        self.text(name, most)?.ok_or_else(|| Fault::missing(name))
    }

    /// true, 1, "true" or "1", and their opposites.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, Fault> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match value.as_text().as_deref() {
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            _ => Err(Fault::param(name, "true or false")),
        }
    }

    /// A whole number within bounds.
    pub fn integer(&self, name: &str, bounds: std::ops::RangeInclusive<i64>) -> Result<Option<i64>, Fault> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let wanted = || Fault::param(name, &format!("a whole number from {} to {}", bounds.start(), bounds.end()));
        let number: i64 = value.as_text().and_then(|text| text.parse().ok()).ok_or_else(wanted)?;
        if bounds.contains(&number) { Ok(Some(number)) } else { Err(wanted()) }
    }

    /// An id of 24 hexadecimal digits.
    pub fn object_id(&self, name: &str) -> Result<Option<domain::ids::ObjectId>, Fault> {
        let Some(text) = self.text(name, 255)? else { return Ok(None) };
        let is_id = text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_id {
            return Err(Fault::param(name, "24 hexadecimal digits"));
        }
        Ok(Some(domain::ids::ObjectId::new(text.to_ascii_lowercase())))
    }

    /// A list of texts, or one text with commas.
    pub fn texts(&self, name: &str) -> Result<Vec<String>, Fault> {
        let wanted = || Fault::param(name, "a list of texts");
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Param::List(items)) => items.iter().map(|item| item.as_text().ok_or_else(wanted)).collect(),
            Some(value) => {
                let text = value.as_text().ok_or_else(wanted)?;
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                let texts: Vec<String> = parts.take(MOST_VALUES + 1).map(str::to_owned).collect();
                if texts.len() > MOST_VALUES { Err(too_many()) } else { Ok(texts) }
            }
        }
    }
}

impl Param {
    /// What the framework makes of a value where a text is wanted.
    pub fn as_text(&self) -> Option<String> {
        match self {
            Param::Text(text) | Param::Number(text) => Some(text.clone()),
            Param::Bool(flag) => Some(flag.to_string()),
            Param::Null | Param::List(_) | Param::Map(_) => None,
        }
    }

    /// A member of an object.
    pub fn member(&self, name: &str) -> Option<&Param> {
        let Param::Map(members) = self else { return None };
        members.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

async fn body_params(headers: &HeaderMap, body: Bytes, count: &mut Count) -> Result<Vec<(String, Param)>, Fault> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "multipart/form-data" {
        return multipart(kind, body, count).await;
    }
    let is_blank = body.iter().all(u8::is_ascii_whitespace);
    match essence.as_str() {
        _ if is_blank => Ok(Vec::new()),
        "application/x-www-form-urlencoded" => bracketed(form_urlencoded::parse(&body), count),
        // Many clients send JSON and do not say so.
        "application/json" | "text/plain" | "" => json_object(&body, count),
        _ if essence.ends_with("+json") => json_object(&body, count),
        other => {
            let known = "application/json, application/x-www-form-urlencoded or multipart/form-data";
            Err(Fault::body(StatusCode::BAD_REQUEST, format!("a body of type {other:?} is not read; send {known}")))
        }
    }
}

/// The text parts of a form; files have no place in any method that there is.
async fn multipart(kind: &str, body: Bytes, count: &mut Count) -> Result<Vec<(String, Param)>, Fault> {
    let broken =
        |what: &dyn fmt::Display| Fault::body(StatusCode::BAD_REQUEST, format!("the form cannot be read: {what}"));
    let boundary = multer::parse_boundary(kind).map_err(|error| broken(&error))?;
    let mut parts = multer::Multipart::new(stream::iter([Ok::<_, std::io::Error>(body)]), boundary);
    let mut pairs = Vec::new();
    while let Some(part) = parts.next_field().await.map_err(|error| broken(&error))? {
        if part.file_name().is_some() {
            continue;
        }
        let name = part.name().unwrap_or_default().to_owned();
        pairs.push((name, part.text().await.map_err(|error| broken(&error))?));
        if pairs.len() > MOST_VALUES {
            break;
        }
    }
    bracketed(pairs.into_iter().map(|(name, value)| (name.into(), value.into())), count)
}

/// Counts the values of one call as they are read, those of its query and those of its body.
#[derive(Default)]
struct Count(usize);

impl Count {
    fn add(&mut self, values: usize) -> Result<(), Fault> {
        self.0 += values;
        if self.0 > MOST_VALUES { Err(too_many()) } else { Ok(()) }
    }
}

fn too_many() -> Fault {
    Fault::params(format!("more than {MOST_VALUES} values; no method takes that many"))
}

fn too_deep() -> Fault {
    Fault::params(format!("values are nested more than {MOST_DEPTH} deep; no method takes such"))
}

fn twice(name: &str) -> Fault {
    Fault::params(format!("param \"{name}\" is given twice"))
}

fn checked(text: String) -> Result<String, Fault> {
    if text.contains('\0') {
        return Err(Fault::params("a text holds the character NUL"));
    }
    Ok(text)
}

fn json_object(body: &[u8], count: &mut Count) -> Result<Vec<(String, Param)>, Fault> {
    let broken = |error: serde_json::Error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        Fault::body(StatusCode::BAD_REQUEST, format!("the body is not JSON: {place}"))
    };
    let raw: &RawValue = serde_json::from_slice(body).map_err(broken)?;
    match json(raw.get(), 0, count)? {
        Param::Map(members) => Ok(members),
        Param::Null => Ok(Vec::new()),
        _ => Err(Fault::body(StatusCode::BAD_REQUEST, "the body must be a JSON object")),
    }
}

/// A piece of JSON that is known to be well-formed.
fn json(raw: &str, depth: usize, count: &mut Count) -> Result<Param, Fault> {
    let broken = |_| Fault::body(StatusCode::BAD_REQUEST, "the body is not JSON that can be read");
    if depth > MOST_DEPTH {
        return Err(too_deep());
    }
    // The object that holds them all is none of the call's values.
    count.add(usize::from(depth > 0))?;
    match raw.trim_start().as_bytes().first() {
        Some(b'{') => {
            let members: Members<'_> = serde_json::from_str(raw).map_err(broken)?;
            let mut names = BTreeSet::new();
            let mut read = Vec::new();
            for (name, value) in members.0 {
                if !names.insert(name.clone()) {
                    return Err(twice(&name));
                }
                let value = json(value.get(), depth + 1, count)?;
                read.push((checked(name)?, value));
            }
            Ok(Param::Map(read))
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(raw).map_err(broken)?;
            Ok(Param::List(items.iter().map(|item| json(item.get(), depth + 1, count)).collect::<Result<_, _>>()?))
        }
        Some(b'"') => Ok(Param::Text(checked(serde_json::from_str(raw).map_err(broken)?)?)),
        Some(b't') => Ok(Param::Bool(true)),
        Some(b'f') => Ok(Param::Bool(false)),
        Some(b'n') | None => Ok(Param::Null),
        Some(_) => Ok(Param::Number(raw.trim().to_owned())),
    }
}

/// The members of an object in their order, doubles and all.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> serde::Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// A value under its brackets, as it grows.
enum Node {
    Leaf(String),
    Branch(Vec<(String, Node)>),
}

/// `a[0][key]=x&b[]=y` as the lists and objects that it means.
fn bracketed<'a>(
    pairs: impl Iterator<Item = (std::borrow::Cow<'a, str>, std::borrow::Cow<'a, str>)>,
    count: &mut Count,
) -> Result<Vec<(String, Param)>, Fault> {
    let mut root = Vec::new();
    for (name, value) in pairs {
        count.add(1)?;
        if name.is_empty() {
            continue;
        }
        let path = path_of(&name)?;
        let opened = insert(&mut root, &path, checked(value.into_owned())?).map_err(|()| twice(&name))?;
        count.add(opened)?;
    }
    Ok(root.into_iter().map(|(name, node)| (name, settle(node))).collect())
}

/// `a[0][key]` as `a`, `0`, `key`; a name whose brackets do not close is a name as it is.
fn path_of(name: &str) -> Result<Vec<String>, Fault> {
    let name = checked(name.to_owned())?;
    let Some((first, rest)) = name.split_once('[').filter(|(first, _)| !first.is_empty()) else {
        return Ok(vec![name]);
    };
    let Some(inner) = rest.strip_suffix(']') else { return Ok(vec![name]) };
    let mut path = vec![first.to_owned()];
    path.extend(inner.split("][").map(str::to_owned));
    if path.len() > MOST_DEPTH {
        return Err(too_deep());
    }
    Ok(path)
}

/// Says how many lists and objects had to be opened for it.
fn insert(branch: &mut Vec<(String, Node)>, path: &[String], value: String) -> Result<usize, ()> {
    let (first, rest) = path.split_first().expect("a path has a first part");
    // `a[]` adds to the list.
    let key = if first.is_empty() { branch.len().to_string() } else { first.clone() };
    let known = branch.iter().position(|(known, _)| *known == key);
    match (known, rest.is_empty()) {
        (None, true) => {
            branch.push((key, Node::Leaf(value)));
            Ok(0)
        }
        (None, false) => {
            let mut inner = Vec::new();
            let opened = insert(&mut inner, rest, value)?;
            branch.push((key, Node::Branch(inner)));
            Ok(opened + 1)
        }
        (Some(at), false) => match &mut branch[at].1 {
            Node::Branch(inner) => insert(inner, rest, value),
            Node::Leaf(_) => Err(()),
        },
        (Some(_), true) => Err(()),
    }
}

/// A branch of numbers is a list in their order.
fn settle(node: Node) -> Param {
    let members = match node {
        Node::Leaf(text) => return Param::Text(text),
        Node::Branch(members) => members,
    };
    let numbers: Option<Vec<usize>> = members.iter().map(|(key, _)| key.parse().ok()).collect();
    match numbers {
        Some(numbers) => {
            let mut items: Vec<(usize, Param)> =
                numbers.into_iter().zip(members).map(|(number, (_, node))| (number, settle(node))).collect();
            items.sort_by_key(|(number, _)| *number);
            Param::List(items.into_iter().map(|(_, item)| item).collect())
        }
        None => Param::Map(members.into_iter().map(|(key, node)| (key, settle(node))).collect()),
    }
}
