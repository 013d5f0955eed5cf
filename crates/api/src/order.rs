//! Answers about orders: the order itself, a validation, and errors (store contract, sections 3.8 to 3.10, 4 and 5).
//!
//! The words for states are closed enums: a client that meets an unknown word gets a decode error that lists the known
//! ones, instead of a state it would treat as "nothing happened yet". The one exception is the state of a delivery,
//! whose end word is a setting of the server, see [`delivery_state`].
//!
//! An order holds codes that are worth money. Its `Debug` form therefore shows neither codes nor ids nor addresses, so
//! that a log line or a failed assertion cannot leak them; codes are absent, never null, until the order is done. The
//! server renders these types from its own orders, the client reads them; nothing here moves an order on.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use crate::catalogue::DeliveryType;
use crate::lenient;

/// Where an order stands. Contract, section 4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum OrderState {
    /// No payment activity yet.
    Created,
    /// The payment window is running.
    WaitingForPayment,
    /// Money was seen and is not confirmed yet.
    PaymentStarted,
    /// Too little money so far; the rest can be sent to the same address.
    PartialPaymentStarted,
    /// The money is confirmed.
    PaymentReceived,
    /// The goods are on order.
    WaitingForDelivery,
    /// A person looks at it, up to a day.
    WaitingForManualAction,
    /// Delivered.
    Done,
    /// Not paid in time. A late payment can still lead to `Done`.
    Expired,
    Canceled,
    PaymentFailed,
    /// No address could be made.
    PaymentSetupFailed,
    Refunded,
}

impl OrderState {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "Created",
            Self::WaitingForPayment => "WaitingForPayment",
            Self::PaymentStarted => "PaymentStarted",
            Self::PartialPaymentStarted => "PartialPaymentStarted",
            Self::PaymentReceived => "PaymentReceived",
            Self::WaitingForDelivery => "WaitingForDelivery",
            Self::WaitingForManualAction => "WaitingForManualAction",
            Self::Done => "Done",
            Self::Expired => "Expired",
            Self::Canceled => "Canceled",
            Self::PaymentFailed => "PaymentFailed",
            Self::PaymentSetupFailed => "PaymentSetupFailed",
            Self::Refunded => "Refunded",
        }
    }

    /// Whether the contract's section 4.1 marks the state as an end.
    ///
    /// `Expired` is one, and yet a late payment can move it on through support: to know that nothing can change by
    /// itself any more, wait for the stream's `stop`, not for this.
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Done
            | Self::Expired
            | Self::Canceled
            | Self::PaymentFailed
            | Self::PaymentSetupFailed
            | Self::Refunded => true,
            Self::Created
            | Self::WaitingForPayment
            | Self::PaymentStarted
            | Self::PartialPaymentStarted
            | Self::PaymentReceived
            | Self::WaitingForDelivery
            | Self::WaitingForManualAction => false,
        }
    }
}

impl fmt::Display for OrderState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Where the money stands. Contract, section 4.2, without the word that the contract says not to emit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum PaymentState {
    /// Right after creation.
    WalletCreated,
    /// Awaited.
    PaymentRequested,
    /// Confirmed; stays so when the order is done.
    PaymentReceived,
    /// Not paid in time.
    Expired,
    /// Money was seen, and the window closed before it was enough.
    ExpiredAfterPaymentDetection,
}

impl PaymentState {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WalletCreated => "WalletCreated",
            Self::PaymentRequested => "PaymentRequested",
            Self::PaymentReceived => "PaymentReceived",
            Self::Expired => "Expired",
            Self::ExpiredAfterPaymentDetection => "ExpiredAfterPaymentDetection",
        }
    }
}

impl fmt::Display for PaymentState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The words of [`Delivery::delivery_state`]. Contract, section 4.3.
///
/// Sources disagree on the word for a delivered line, so it is a setting of the server and the field is a string.
pub mod delivery_state {
    /// In a validation, which creates nothing.
    pub const CREATED: &str = "Created";
    /// The order is not paid.
    pub const WAITING_FOR_PAYMENT: &str = "WaitingForPayment";
    /// The order is paid and the goods are on order.
    pub const WAITING_FOR_DELIVERY: &str = "WaitingForDelivery";
    /// Delivered: the default word.
    pub const SUCCEEDED: &str = "Succeeded";
    /// Delivered: an alternative word.
    pub const COMPLETED: &str = "Completed";
    /// Delivered: an alternative word.
    pub const DONE: &str = "Done";
    /// Not delivered, and it will not be.
    pub const FAILED: &str = "Failed";
    /// The words a server may be set to use for a delivered line; the first is the default.
    pub const DELIVERED_WORDS: [&str; 3] = [SUCCEEDED, COMPLETED, DONE];

    /// Whether the word says that the line was delivered, whichever of them the server uses.
    pub fn is_delivered(word: &str) -> bool {
        DELIVERED_WORDS.contains(&word)
    }
}

/// An order. Contract, sections 3.9 and 3.10.
///
/// Amounts are decimal strings and times are unix seconds as strings. There is no expiry field: clients add the payment
/// window to `payment_requested_at`.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Order {
    /// UUID. Who knows it can read the codes: treat it as a secret.
    pub order_id: String,
    pub order_state: OrderState,
    pub payment_state: PaymentState,
    /// Unix seconds as a string.
    #[serde(deserialize_with = "lenient::text")]
    pub created_at: String,
    /// Unix seconds as a string: when the order last changed.
    #[serde(default, deserialize_with = "lenient::optional_text", skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<String>,
    /// Unix seconds as a string: when the payment window began.
    #[serde(default, deserialize_with = "lenient::optional_text", skip_serializing_if = "Option::is_none")]
    pub payment_requested_at: Option<String>,
    /// The coin to pay with.
    pub coin: String,
    /// The network to pay on.
    pub network: String,
    /// What to pay.
    pub coin_amount: String,
    /// What would be to pay without a discount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_coin_amount: Option<String>,
    /// The coin amount before a discount.
    pub original_price: String,
    /// What was received so far; `0` before the payment.
    pub sent_coin_amount: String,
    /// What was received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_amount: Option<String>,
    /// Where to pay; on Lightning this is the invoice. Absent while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wallet_address: Option<String>,
    /// The payment URI, contract section 6.4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qr_text: Option<String>,
    /// Address of the PNG of `qr_text`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qr_url: Option<String>,
    pub payment_via: String,
    /// Coin and network as one word, such as `USDC-MATIC`.
    pub payment_method: String,
    /// The family of the rail, such as `LIGHTNING_LIKE`.
    pub payment_method_protocol: String,
    /// UUID.
    pub payment_id: String,
    /// The order's worth in EUR, a JSON number that keeps its text.
    #[serde(deserialize_with = "lenient::number")]
    #[schemars(with = "f64")]
    pub payment_value: Number,
    /// False for `USER_WALLET`.
    pub is_payment_processor_external: bool,
    pub user: OrderUser,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_id: Option<String>,
    /// The money that went back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund: Option<Refund>,
    /// Where a refund would go; settable only at creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund_wallet_address: Option<String>,
    /// A copy of the first code, for a client that looks for it here; absent until the order is done.
    #[serde(default, deserialize_with = "lenient::optional_text", skip_serializing_if = "Option::is_none")]
    pub pin_code: Option<String>,
    pub deliveries: Vec<Delivery>,
}

impl fmt::Debug for Order {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Order")
            .field("order_state", &self.order_state)
            .field("payment_state", &self.payment_state)
            .field("coin", &self.coin)
            .field("network", &self.network)
            .field("coin_amount", &self.coin_amount)
            .field("sent_coin_amount", &self.sent_coin_amount)
            .field("deliveries", &self.deliveries)
            .finish_non_exhaustive()
    }
}

/// The buyer. Contract, section 3.9.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderUser {
    pub email: String,
}

/// Money that went back to the payer. Contract, section 3.9.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refund {
    /// A decimal string.
    #[serde(deserialize_with = "lenient::text")]
    pub amount: String,
    /// The coin.
    pub currency: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One line of an order or of a validation. Contract, section 4.3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Delivery {
    /// UUID.
    pub id: String,
    /// One of the words in [`delivery_state`].
    pub delivery_state: String,
    /// `giftcard`, `mobile_recharge` and the like; absent where a validation does not know the product.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    pub deliverable: Deliverable,
}

/// What a line delivers. Contract, section 4.3.
///
/// The fields from `pin_code` to `operator_reference` are absent until the order is done. The optional ones above them
/// are absent only where a validation does not know the product.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Deliverable {
    pub denomination: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub localized_denomination: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    pub brand_name: String,
    /// Uppercase alpha-2.
    pub country_code: String,
    /// An e-mail address or a phone number, by `delivery_type`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beneficiary_account: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_type: Option<DeliveryType>,
    /// Loyalty points, an integer as a string.
    #[serde(default, deserialize_with = "lenient::optional_text", skip_serializing_if = "Option::is_none")]
    pub points: Option<String>,
    /// The line's price as a decimal string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coin_amount: Option<String>,
    /// The line's price in EUR as a decimal string; in validations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_price: Option<String>,
    /// ISO 4217 code of the denomination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency_code: Option<String>,
    /// The value of a range product, a JSON number that keeps its text.
    #[serde(default, deserialize_with = "lenient::optional_number", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<f64>")]
    pub product_value: Option<Number>,
    /// The code, or an address to open.
    #[serde(default, deserialize_with = "lenient::optional_text", skip_serializing_if = "Option::is_none")]
    pub pin_code: Option<String>,
    #[serde(default, deserialize_with = "lenient::optional_text", skip_serializing_if = "Option::is_none")]
    pub pin_serial: Option<String>,
    #[serde(default, deserialize_with = "lenient::optional_text", skip_serializing_if = "Option::is_none")]
    pub security_code: Option<String>,
    #[serde(default, deserialize_with = "lenient::optional_text", skip_serializing_if = "Option::is_none")]
    pub barcode_image_url: Option<String>,
    #[serde(default, deserialize_with = "lenient::optional_text", skip_serializing_if = "Option::is_none")]
    pub qr_image_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redeem_instructions: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how_to_redeem: Option<String>,
    #[serde(default, deserialize_with = "lenient::optional_text", skip_serializing_if = "Option::is_none")]
    pub operator_reference: Option<String>,
    /// Why the line failed, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_description: Option<String>,
    /// Why the line failed, as a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<String>,
}

impl fmt::Debug for Deliverable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Deliverable")
            .field("brand_name", &self.brand_name)
            .field("country_code", &self.country_code)
            .field("denomination", &self.denomination)
            .field("coin_amount", &self.coin_amount)
            .field("has_code", &self.pin_code.is_some())
            .field("failure_reason", &self.failure_reason)
            .finish_non_exhaustive()
    }
}

/// The answer to a dry run. Contract, section 3.8.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Validation {
    pub coin: String,
    /// What would be to pay; absent when the problems keep it from being computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coin_amount: Option<String>,
    /// What would be to pay without a discount; absent when `coin_amount` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_coin_amount: Option<String>,
    /// The coupon that was applied; null without one.
    #[serde(default)]
    pub coupon_code: Option<String>,
    /// Of unknown shape, and null in every answer of ours.
    #[serde(default)]
    pub loyalty_summary: Option<Value>,
    /// The amounts once more.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub summary: ValidationSummary,
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub deliveries: Vec<Delivery>,
    /// Why the order could not be placed; a list even when empty.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub problems: Vec<Problem>,
}

/// The amounts of a validation. Its shape is our choice, contract section 12.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ValidationSummary {
    #[serde(default)]
    pub coin: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coin_amount: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_coin_amount: Option<String>,
}

/// One reason why an order could not be placed. Contract, section 5.1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// A code in capitals with underscores, such as `OUT_OF_STOCK`.
    pub problem: String,
    /// Facts that help to solve it; their shape depends on the code.
    #[serde(default, rename = "moreDetails", skip_serializing_if = "Option::is_none")]
    pub more_details: Option<Value>,
}

/// The body of an answer that is not 2xx, in the form that every known client can read. Contract, section 5.4.
///
/// It never stands beside an `order_id`: a client takes both together for an unknown outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// The HTTP status once more.
    #[serde(default, deserialize_with = "lenient::status")]
    pub status: u16,
    /// The code.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub detail: String,
    /// The code or a sentence for people.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub message: String,
    /// All reasons, where there are several; left out when empty.
    #[serde(default, deserialize_with = "lenient::null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    #[serde(default, rename = "moreDetails", skip_serializing_if = "Option::is_none")]
    pub more_details: Option<Value>,
}

impl ErrorBody {
    /// The first problem's code, else `detail`, else `message`; empty when the body says nothing.
    pub fn code(&self) -> &str {
        let first_problem = self.problems.first().map(|problem| problem.problem.as_str());
        [first_problem.unwrap_or_default(), self.detail.as_str(), self.message.as_str()]
            .into_iter()
            .find(|text| !text.is_empty())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
