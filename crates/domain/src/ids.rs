//! Names of things: small newtypes, so that an order id is never passed where a line id is meant.
//!
//! Must never make an id: ids are arguments (`Ids` in the server's ports), so that a simulator can choose them.

use serde::{Deserialize, Serialize};
use std::fmt;

/// 128 bits, written as a lower-case UUID (8-4-4-4-12 hex).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid([u8; 16]);

/// The text is not a UUID of the form 8-4-4-4-12 hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a UUID of the form 8-4-4-4-12 hexadecimal digits")]
pub struct NotAUuid;

impl Uuid {
    /// Any sixteen bytes, taken as they are.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Uuid(bytes)
    }

    /// Sixteen random bytes as a version 4 UUID (RFC 9562 section 5.4).
    pub const fn from_random(mut bytes: [u8; 16]) -> Self {
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        Uuid(bytes)
    }

    /// Reads 36 characters; upper case is accepted.
    pub fn parse(text: &str) -> Result<Self, NotAUuid> {
        let raw = text.as_bytes();
        if raw.len() != 36 {
            return Err(NotAUuid);
        }
        let mut bytes = [0u8; 16];
        let mut digits = 0;
        for (at, character) in raw.iter().enumerate() {
            if matches!(at, 8 | 13 | 18 | 23) {
                if *character != b'-' {
                    return Err(NotAUuid);
                }
                continue;
            }
            let digit = char::from(*character).to_digit(16).ok_or(NotAUuid)? as u8;
            bytes[digits / 2] = bytes[digits / 2] << 4 | digit;
            digits += 1;
        }
        Ok(Uuid(bytes))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        // Written as one piece: ids are formatted several times for each order.
        let mut text = [b'-'; 36];
        let mut at = 0;
        for (number, byte) in self.0.iter().enumerate() {
            at += usize::from(matches!(number, 4 | 6 | 8 | 10));
            text[at] = DIGITS[usize::from(byte >> 4)];
            text[at + 1] = DIGITS[usize::from(byte & 15)];
            at += 2;
        }
        f.write_str(std::str::from_utf8(&text).expect("hexadecimal digits are ASCII"))
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Uuid {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Uuid {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Uuid::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Names one order, and opens its codes: whoever knows it may read them. `Debug` therefore hides it;
/// logs carry the short order number instead.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OrderId(Uuid);

impl OrderId {
    /// Wraps a UUID.
    pub const fn new(uuid: Uuid) -> Self {
        OrderId(uuid)
    }

    /// Reads the text form.
    pub fn parse(text: &str) -> Result<Self, NotAUuid> {
        Uuid::parse(text).map(OrderId)
    }

    /// The text form. A secret: for the database and for the order's own answers only.
    pub fn expose(&self) -> String {
        self.0.to_string()
    }
}

impl fmt::Debug for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OrderId([secret])")
    }
}

macro_rules! uuid_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

uuid_name!(
    /// One brand in one country (`brand_id` of the store API).
    BrandId
);
uuid_name!(
    /// One product of a brand (`product_id` of the store API).
    ProductId
);

macro_rules! text_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps a text.
            pub fn new(text: impl Into<String>) -> Self {
                $name(text.into())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_name!(
    /// The operator's own name of a product, unique in the catalogue.
    Sku
);
text_name!(
    /// A partner, as sent in `X-Cr-Application`.
    PartnerId
);
text_name!(
    /// A signed-in customer.
    CustomerId
);
text_name!(
    /// A network, as a CAIP-2 name (`eip155:8453`) or a sandbox's (`sandbox:base`).
    NetworkId
);
text_name!(
    /// One token or native coin on one network, as a CAIP-19 name.
    AssetId
);
text_name!(
    /// One transfer on a network: `network|transaction|index`; the same payment mined again keeps it.
    TransferId
);
text_name!(
    /// A currency, route or field of the exchange API: 24 lower-case hexadecimal digits (contract 1.2).
    ObjectId
);
text_name!(
    /// One row of the code stock. Never the code itself.
    CodeId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_read_and_written_as_text() {
        let text = "3c0d9a52-6e41-4b7f-8a1d-5f2e7b90c411";
        let id = Uuid::parse(text).expect("a UUID");
        assert_eq!(id.to_string(), text);
        assert_eq!(Uuid::parse(&text.to_uppercase()), Ok(id));
        for wrong in ["", "ord_abc123xyz", "3c0d9a526e414b7f8a1d5f2e7b90c411", "3c0d9a52-6e41-4b7f-8a1d-5f2e7b90c41g"] {
            assert_eq!(Uuid::parse(wrong), Err(NotAUuid), "{wrong}");
        }
    }

    #[test]
    fn random_bytes_become_version_4() {
        assert_eq!(Uuid::from_random([0xff; 16]).to_string(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }

    #[test]
    fn an_order_id_does_not_show_itself_in_debug() {
        let id = OrderId::parse("3c0d9a52-6e41-4b7f-8a1d-5f2e7b90c411").expect("a UUID");
        assert!(!format!("{id:?}").contains("3c0d"));
    }
}
