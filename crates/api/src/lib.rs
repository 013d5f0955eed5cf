//! The wire types of the store API and a typed client for it.
//!
//! The server renders its answers from these types and the client reads the same ones, so a field that is a string for
//! one of them is a string for both. Nothing here decides anything: no prices, no rules, no storage, and nothing of the
//! other crates of kiosk is used.
//!
//! Two things must never happen in this crate. A number that carries money must not pass through a float: such fields
//! are `serde_json::Number`, which keeps the text it was read from. And no type may use a flattened field or an untagged
//! enum, because both take numbers apart and lose that text.
//!
//! The server uses the types and the reader of order bodies; the gateway, the stories and other programs use the client.

// What a customer can buy and how it can be paid: vias, brands, products, prices, countries.
pub mod catalogue;
// What the store answers about orders, validations and errors, and the words for their states.
pub mod order;
// What a client sends to place an order, and the forgiving reader of what clients really send.
pub mod request;
// One call per endpoint, with bounded answers and errors that say what to do.
pub mod client;
// Asking for one order again and again, for those who cannot hold a stream.
pub mod poll;
// Bytes in, server-sent events out.
pub mod sse;
// Calls of others that a gateway passes on.
pub mod pass_on;
// Following one order until nothing more can happen to it, through as many connections as that takes.
pub mod track;

mod lenient;
#[cfg(test)]
mod testing;

pub use catalogue::{
    Benefit, BenefitAmount, BenefitQuantity, Brand, BrandCategory, Brands, Country, Currency, DeliveryType, FaceAmount,
    FaceAmountType, FaceValue, PaymentVia, Price, Product, ProductGroup, Range, RichDescription, SmartContract,
    ViaCurrency, ViaNetwork,
};
pub use client::{Client, ClientError, Identity, PriceQuery, ProductsQuery};
pub use order::{
    Deliverable, Delivery, ErrorBody, Order, OrderState, OrderUser, PaymentState, Problem, Refund, Validation,
    ValidationSummary, delivery_state,
};
pub use poll::Polling;
pub use request::{
    Acquisition, BodyDelivery, BodyError, OrderBody, OrderRequest, PaymentChoice, PaymentKind, RequestDelivery,
    RequestUser,
};
pub use track::{Backoff, TrackError, Tracking};
