//! What clients send to validate or place an order (store contract, sections 3.8 and 3.9).
//!
//! Two halves. [`OrderRequest`] is what our own client writes: the flat form that every working client uses. [`OrderBody`]
//! is what the server reads: both known forms of a delivery, also mixed in one body, numbers where strings are documented,
//! and unknown fields.
//!
//! The reader judges form alone: whether a brand exists, an address is valid or ten lines are too many is decided by the
//! domain. Its errors name a field and never repeat a value, because bodies hold e-mail addresses and phone numbers. The
//! HTTP layer of the server calls the reader; the typed client sends the requests.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::lenient;

/// The coin of an order that names none. Contract, section 12.
pub const DEFAULT_COIN: &str = "BTC";

/// The most entries of `deliveries` that are read. The domain allows fewer lines and says so with a code; this limit
/// only keeps a body from costing more work than an answer.
pub const MAX_DELIVERY_ENTRIES: usize = 200;

/// The largest `quantity` that is read.
pub const MAX_QUANTITY: u32 = 1_000;

/// The longest text, in bytes.
pub const MAX_TEXT_BYTES: usize = 1_000;

/// The longest e-mail address, in bytes.
pub const MAX_EMAIL_BYTES: usize = 320;

/// An order or a dry run as our client sends it: the flat form. Contract, section 3.9.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderRequest {
    /// The buyer's address once more, for a server that reads it here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The buyer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<RequestUser>,
    pub payment: PaymentChoice,
    /// One to ten lines.
    pub deliveries: Vec<RequestDelivery>,
    /// The language of texts, such as `en`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lang: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acquisition: Option<Acquisition>,
    /// A coupon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promo_code: Option<String>,
    /// Where a refund may go; it cannot be set later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund_wallet_address: Option<String>,
}

impl OrderRequest {
    /// An order of these lines for this buyer, without anything optional.
    pub fn new(email: impl Into<String>, payment: PaymentChoice, deliveries: Vec<RequestDelivery>) -> Self {
        let email = email.into();
        Self {
            email: Some(email.clone()),
            user: Some(RequestUser { email, has_accepted_newsletter: None }),
            payment,
            deliveries,
            lang: None,
            acquisition: None,
            promo_code: None,
            refund_wallet_address: None,
        }
    }
}

/// The buyer of a request. Contract, section 3.9.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequestUser {
    pub email: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_accepted_newsletter: Option<bool>,
}

/// How an order is to be paid. Contract, section 3.9.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentChoice {
    #[serde(rename = "type")]
    pub kind: PaymentKind,
    /// A name of the payment vias, such as `USER_WALLET`.
    pub payment_via: String,
    /// A coin of the via.
    pub coin: String,
    /// A network of the coin, letter by letter; without it the server takes the first one that is not suspended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
}

impl PaymentChoice {
    /// Payment through a via.
    pub fn via(payment_via: impl Into<String>, coin: impl Into<String>, network: Option<&str>) -> Self {
        Self {
            kind: PaymentKind::Via,
            payment_via: payment_via.into(),
            coin: coin.into(),
            network: network.map(str::to_owned),
        }
    }
}

/// The one kind of payment there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum PaymentKind {
    #[serde(rename = "via")]
    Via,
}

/// One line of a request. Contract, section 3.9.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequestDelivery {
    /// The exact name of the brand.
    pub brand_name: String,
    /// Uppercase alpha-2.
    pub country_code: String,
    /// A listed denomination letter by letter, or `range`.
    pub denomination: String,
    /// The value of a range product, as a decimal string.
    #[serde(default, deserialize_with = "lenient::optional_text", skip_serializing_if = "Option::is_none")]
    pub product_value: Option<String>,
    /// An e-mail address, or a phone number in E.164 with `+`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beneficiary_account: Option<String>,
}

/// Where the buyer came from. Contract, section 3.9.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Acquisition {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utm_source: Option<String>,
}

/// The body of an order or a dry run as the server understood it.
///
/// An empty string counts as absent, like null: forms send empty fields for what nobody filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderBody {
    /// `user.email`, else `email`. Absent when the body has neither; whether that is allowed is the caller's rule.
    pub buyer_email: Option<String>,
    /// False when not said.
    pub has_accepted_newsletter: bool,
    pub payment_via: String,
    /// [`DEFAULT_COIN`] when not said.
    pub coin: String,
    pub network: Option<String>,
    /// At least one and at most [`MAX_DELIVERY_ENTRIES`].
    pub deliveries: Vec<BodyDelivery>,
    pub lang: Option<String>,
    pub utm_source: Option<String>,
    pub promo_code: Option<String>,
    pub refund_wallet_address: Option<String>,
}

/// One entry of a body's `deliveries`; it stands for `quantity` lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyDelivery {
    pub brand_name: String,
    pub country_code: String,
    pub denomination: String,
    /// The text of the number or of the string that was sent; not checked to be a number.
    pub product_value: Option<String>,
    pub beneficiary_account: Option<String>,
    /// 1 to [`MAX_QUANTITY`].
    pub quantity: u32,
}

/// A body that cannot be understood. Shown to the client as a 400: it names the field and what it must be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} {expected}")]
pub struct BodyError {
    /// The field, such as `deliveries[2].brand_name`, or `the body`.
    pub path: String,
    /// What was expected there, such as `must be a string`. Never holds a value from the body.
    pub expected: String,
}

impl BodyError {
    fn new(path: impl Into<String>, expected: impl fmt::Display) -> Self {
        Self { path: path.into(), expected: expected.to_string() }
    }
}

impl OrderBody {
    /// Reads a body in the flat form, in the nested form (`quantity` beside `deliverable`), or with both mixed.
    ///
    /// # Errors
    /// Names the first field that is missing or has the wrong type or size.
    pub fn read(body: &Value) -> Result<Self, BodyError> {
        let Value::Object(fields) = body else {
            return Err(BodyError::new("the body", "must be a JSON object"));
        };
        let body = Scope { path: String::new(), fields };
        let payment = body.scope("payment")?.ok_or_else(|| BodyError::new("payment", "is required"))?;
        // Absent is taken for "via": it is the only kind there is.
        if payment.text("type", MAX_TEXT_BYTES)?.is_some_and(|kind| kind != "via") {
            return Err(BodyError::new("payment.type", "must be \"via\""));
        }
        let user = body.scope("user")?;
        let user_email = match &user {
            Some(user) => user.text("email", MAX_EMAIL_BYTES)?,
            None => None,
        };
        let has_accepted_newsletter = match &user {
            Some(user) => user.flag("has_accepted_newsletter")?,
            None => false,
        };
        let utm_source = match body.scope("acquisition")? {
            Some(acquisition) => acquisition.text("utm_source", MAX_TEXT_BYTES)?,
            None => None,
        };
        let deliveries = read_deliveries(&body)?;
        let lines: u32 = deliveries.iter().map(|delivery| delivery.quantity).sum();
        if lines > MAX_QUANTITY {
            let path = "deliveries";
            return Err(BodyError::new(path, format_args!("must not stand for more than {MAX_QUANTITY} products")));
        }
        Ok(Self {
            buyer_email: match user_email {
                Some(email) => Some(email),
                None => body.text("email", MAX_EMAIL_BYTES)?,
            },
            has_accepted_newsletter,
            payment_via: payment.required_text("payment_via")?,
            coin: payment.text("coin", MAX_TEXT_BYTES)?.unwrap_or_else(|| DEFAULT_COIN.to_owned()),
            network: payment.text("network", MAX_TEXT_BYTES)?,
            deliveries,
            lang: body.text("lang", MAX_TEXT_BYTES)?,
            utm_source,
            promo_code: body.text("promo_code", MAX_TEXT_BYTES)?,
            refund_wallet_address: body.text("refund_wallet_address", MAX_TEXT_BYTES)?,
        })
    }

    /// How many lines the entries stand for, each counted `quantity` times. At most [`MAX_QUANTITY`].
    pub fn line_count(&self) -> u32 {
        self.deliveries.iter().map(|delivery| delivery.quantity).sum()
    }
}

fn read_deliveries(body: &Scope<'_>) -> Result<Vec<BodyDelivery>, BodyError> {
    let entries = match body.value("deliveries") {
        Some(Value::Array(entries)) => entries,
        Some(_) => return Err(BodyError::new("deliveries", "must be an array")),
        None => return Err(BodyError::new("deliveries", "is required")),
    };
    if entries.is_empty() {
        return Err(BodyError::new("deliveries", "must have at least one entry"));
    }
    if entries.len() > MAX_DELIVERY_ENTRIES {
        return Err(BodyError::new("deliveries", format_args!("must have at most {MAX_DELIVERY_ENTRIES} entries")));
    }
    entries.iter().enumerate().map(|(index, entry)| read_delivery(index, entry)).collect()
}

fn read_delivery(index: usize, entry: &Value) -> Result<BodyDelivery, BodyError> {
    let path = format!("deliveries[{index}]");
    let Value::Object(fields) = entry else {
        return Err(BodyError::new(path, "must be an object"));
    };
    let flat = Scope { path, fields };
    let entry = Entry { nested: flat.scope("deliverable")?, flat };
    Ok(BodyDelivery {
        brand_name: entry.required_text("brand_name")?,
        country_code: entry.required_text("country_code")?,
        denomination: entry.required_text("denomination")?,
        product_value: match entry.value("product_value") {
            Some((value, path)) => decimal_text(value, path)?,
            None => None,
        },
        beneficiary_account: entry.text("beneficiary_account")?,
        quantity: match entry.value("quantity") {
            Some((value, path)) => quantity(value, path)?,
            None => 1,
        },
    })
}

/// One entry of `deliveries`: each field may stand in the entry or in its `deliverable`, and the entry goes first.
struct Entry<'a> {
    flat: Scope<'a>,
    nested: Option<Scope<'a>>,
}

impl<'a> Entry<'a> {
    fn value(&self, name: &str) -> Option<(&'a Value, String)> {
        let holders = [Some(&self.flat), self.nested.as_ref()];
        holders.into_iter().flatten().find_map(|scope| scope.value(name).map(|value| (value, scope.path_of(name))))
    }

    fn text(&self, name: &str) -> Result<Option<String>, BodyError> {
        match self.value(name) {
            Some((value, path)) => bounded_text(value, path, MAX_TEXT_BYTES).map(Some),
            None => Ok(None),
        }
    }

    fn required_text(&self, name: &str) -> Result<String, BodyError> {
        self.text(name)?.ok_or_else(|| BodyError::new(self.flat.path_of(name), "is required"))
    }
}

/// An object of the body and where it stands.
struct Scope<'a> {
    path: String,
    fields: &'a Map<String, Value>,
}

impl<'a> Scope<'a> {
    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// The value, unless it is absent, null or an empty string.
    fn value(&self, name: &str) -> Option<&'a Value> {
        self.fields.get(name).filter(|value| match value {
            Value::Null => false,
            Value::String(text) => !text.is_empty(),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => true,
        })
    }

    fn scope(&self, name: &str) -> Result<Option<Scope<'a>>, BodyError> {
        match self.value(name) {
            Some(Value::Object(fields)) => Ok(Some(Scope { path: self.path_of(name), fields })),
            Some(_) => Err(BodyError::new(self.path_of(name), "must be an object")),
            None => Ok(None),
        }
    }

    fn text(&self, name: &str, limit_bytes: usize) -> Result<Option<String>, BodyError> {
        match self.value(name) {
            Some(value) => bounded_text(value, self.path_of(name), limit_bytes).map(Some),
            None => Ok(None),
        }
    }

    fn required_text(&self, name: &str) -> Result<String, BodyError> {
        self.text(name, MAX_TEXT_BYTES)?.ok_or_else(|| BodyError::new(self.path_of(name), "is required"))
    }

    fn flag(&self, name: &str) -> Result<bool, BodyError> {
        match self.value(name) {
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(BodyError::new(self.path_of(name), "must be true or false")),
            None => Ok(false),
        }
    }
}

fn bounded_text(value: &Value, path: String, limit_bytes: usize) -> Result<String, BodyError> {
    match value {
        Value::String(text) => checked(text.clone(), path, limit_bytes),
        _ => Err(BodyError::new(path, "must be a string")),
    }
}

/// A number or a string, as its text: a value such as 50.10 must not pass through a float.
fn decimal_text(value: &Value, path: String) -> Result<Option<String>, BodyError> {
    match value {
        Value::String(text) => checked(text.clone(), path, MAX_TEXT_BYTES).map(Some),
        Value::Number(number) => checked(number.to_string(), path, MAX_TEXT_BYTES).map(Some),
        _ => Err(BodyError::new(path, "must be a number or a string")),
    }
}

/// Text as the database can take it: bounded, and without NUL, which it cannot store.
fn checked(text: String, path: String, limit_bytes: usize) -> Result<String, BodyError> {
    if text.len() > limit_bytes {
        return Err(BodyError::new(path, format_args!("must be at most {limit_bytes} bytes long")));
    }
    if text.contains('\0') {
        return Err(BodyError::new(path, "must not contain a NUL character"));
    }
    Ok(text)
}

fn quantity(value: &Value, path: String) -> Result<u32, BodyError> {
    let count: Option<u32> = match value {
        Value::Number(number) => number.as_u64().and_then(|count| u32::try_from(count).ok()),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    match count {
        Some(count) if (1..=MAX_QUANTITY).contains(&count) => Ok(count),
        _ => Err(BodyError::new(path, format_args!("must be a whole number from 1 to {MAX_QUANTITY}"))),
    }
}

#[cfg(test)]
mod tests;
