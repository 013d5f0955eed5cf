//! What several endpoints have in common: parameters, headers of answers, refusals.
//!
//! Those with a name in `shared_as` stand once among the document's components. Nothing here belongs to one endpoint.

use api::ErrorBody;
use schemars::SchemaGenerator;
use serde_json::json;

use super::{Answer, Content, Form, Header, Need, Parameter, Place, examples};

pub(super) const APPLICATION: Parameter = Parameter {
    shared_as: Some("Application"),
    place: Place::Header,
    name: "X-Cr-Application",
    need: Need::Optional,
    form: Form::Text,
    description: "The partner's id. It attributes the call and opens nothing. A store in strict mode answers 401 \
        without a known one.",
    example: Some("my-shop"),
};

pub(super) const VERSION: Parameter = Parameter {
    shared_as: Some("Version"),
    place: Place::Header,
    name: "X-Cr-Version",
    need: Need::Optional,
    form: Form::Text,
    description: "The version of the calling program. A store in strict mode answers 401 without one.",
    example: Some("1.0.0"),
};

pub(super) const COUNTRY_HEADER: Parameter = Parameter {
    shared_as: Some("CountryHeader"),
    place: Place::Header,
    name: "X-Country-ISO-Code",
    need: Need::Optional,
    form: Form::CountryCode,
    description: "The visitor's country. Where `country_code` is asked for, it stands in for one that is missing; with \
        an order it is kept beside it.",
    example: Some("US"),
};

pub(super) const FORWARDED_FOR: Parameter = Parameter {
    shared_as: Some("ForwardedFor"),
    place: Place::Header,
    name: "X-Forwarded-For",
    need: Need::Optional,
    form: Form::Text,
    description: "The visitor's address, from a partner's server. It counts for limits, and is believed only where the \
        operator lists the peer that sends it.",
    example: None,
};

pub(super) const IF_NONE_MATCH: Parameter = Parameter {
    shared_as: Some("IfNoneMatch"),
    place: Place::Header,
    name: "If-None-Match",
    need: Need::Optional,
    form: Form::Text,
    description: "The `ETag` of an earlier answer; 304 when it still holds.",
    example: None,
};

pub(super) const IDEMPOTENCY_KEY: Parameter = Parameter {
    shared_as: Some("IdempotencyKey"),
    place: Place::Header,
    name: "Idempotency-Key",
    need: Need::Optional,
    form: Form::Text,
    description: "A text of your choice, new for every order, 1 to 200 printable ASCII characters, in quotes or \
        without. A second call with the same key and body answers with the order of the first, also when both arrive \
        at once; with another body it is refused with 422 `IDEMPOTENCY_KEY_REUSED`. Refusals are not kept: after one, \
        the key may be used again.",
    example: Some("\"basket-7f3a\""),
};

pub(super) const LAST_EVENT_ID: Parameter = Parameter {
    shared_as: Some("LastEventId"),
    place: Place::Header,
    name: "Last-Event-ID",
    need: Need::Optional,
    form: Form::Text,
    description: "The `id` of the last message received. It only spares a first message that says nothing newer.",
    example: None,
};

pub(super) const COUNTRY_QUERY: Parameter = Parameter {
    shared_as: Some("Country"),
    place: Place::Query,
    name: "country_code",
    need: Need::Optional,
    form: Form::CountryCode,
    description: "The country. Without it `X-Country-ISO-Code` is taken; without both the answer is 400.",
    example: Some("US"),
};

pub(super) const COUNTRY_PATH: Parameter = Parameter {
    shared_as: Some("CountryPath"),
    place: Place::Path,
    name: "country_code",
    need: Need::Required,
    form: Form::CountryCode,
    description: "The country.",
    example: Some("US"),
};

pub(super) const COIN: Parameter = Parameter {
    shared_as: Some("Coin"),
    place: Place::Query,
    name: "coin",
    need: Need::Optional,
    form: Form::Text,
    description: "The coin of the amounts, by its ticker; `BTC` when it is missing.",
    example: Some("USDC"),
};

pub(super) const PAYMENT_METHOD: Parameter = Parameter {
    shared_as: Some("PaymentMethod"),
    place: Place::Query,
    name: "payment_method",
    need: Need::Optional,
    form: Form::Text,
    description: "Coin and network as one word, as in `payment_method` of the answers. The name of a via is taken and \
        changes nothing.",
    example: Some("USER_WALLET"),
};

pub(super) const LANGUAGE: Parameter = Parameter {
    shared_as: Some("Language"),
    place: Place::Query,
    name: "lang",
    need: Need::Optional,
    form: Form::Text,
    description: "The language of texts, such as `it`; English where there is no text in it.",
    example: Some("en"),
};

pub(super) const PROMO_CODE: Parameter = Parameter {
    shared_as: Some("PromoCode"),
    place: Place::Query,
    name: "promo_code",
    need: Need::Optional,
    form: Form::Text,
    description: "A coupon; prices are shown with it where it holds. A validation says why it does not.",
    example: None,
};

pub(super) const ORDER_ID: Parameter = Parameter {
    shared_as: Some("OrderId"),
    place: Place::Path,
    name: "order_id",
    need: Need::Required,
    form: Form::Uuid,
    description: "The id from the answer to the creation. Treat it as a secret.",
    example: Some("7b1d0e54-93a6-4f0c-8a27-5d6e1c40b2f9"),
};

pub(super) const ETAG: Header = Header {
    name: "ETag",
    description: "Names this very body, for `If-None-Match`.",
    schema: || json!({ "type": "string" }),
};

pub(super) const CACHE_CONTROL: Header = Header {
    name: "Cache-Control",
    description: "For how long the answer may be kept.",
    schema: || json!({ "type": "string" }),
};

const RETRY_AFTER: Header = Header {
    name: "Retry-After",
    description: "Whole seconds after which the call may be repeated.",
    schema: || json!({ "type": "integer", "minimum": 1 }),
};

/// A refusal's body where no example tells more than the schema.
pub(super) const ERROR: Content = Content {
    media_type: "application/json",
    schema: Some(SchemaGenerator::subschema_for::<ErrorBody>),
    example: None,
};

pub(super) const NOT_MODIFIED: Answer = Answer {
    shared_as: Some("NotModified"),
    status: "304",
    description: "The answer of `If-None-Match` still holds.",
    headers: &[&ETAG],
    content: &[],
};

pub(super) const BAD_REQUEST: Answer = Answer {
    shared_as: Some("BadRequest"),
    status: "400",
    description: "The call cannot be understood. `message` names the field or parameter and what it must be.",
    headers: &[],
    content: &[ERROR],
};

pub(super) const UNAUTHORISED: Answer = Answer {
    shared_as: Some("Unauthorised"),
    status: "401",
    description: "A token that nobody has, or, in strict mode, no known partner id or no version. `message` names the \
        header.",
    headers: &[],
    content: &[ERROR],
};

pub(super) const NOT_FOUND: Answer = Answer {
    shared_as: Some("NotFound"),
    status: "404",
    description: "There is no such thing, or it is not yours.",
    headers: &[],
    content: &[ERROR],
};

pub(super) const REFUSED: Answer = Answer {
    shared_as: Some("Refused"),
    status: "422",
    description: "Understood and refused; nothing was created. `problems` says why, each with a code that stays the \
        same, and `detail` is the first of the codes. A suspended coin or network has its code in `detail` alone.",
    headers: &[],
    content: &[Content {
        media_type: "application/json",
        schema: Some(SchemaGenerator::subschema_for::<ErrorBody>),
        example: Some(examples::refusal),
    }],
};

pub(super) const TOO_MANY_REQUESTS: Answer = Answer {
    shared_as: Some("TooManyRequests"),
    status: "429",
    description: "Too many calls, or too many unpaid orders, of this partner or this address.",
    headers: &[&RETRY_AFTER],
    content: &[ERROR],
};

pub(super) const UNAVAILABLE: Answer = Answer {
    shared_as: Some("Unavailable"),
    status: "503",
    description: "The server cannot answer now: it is full, or a rate that it needs is too old. `message` says which \
        rate and how old. Nothing was created.",
    headers: &[&RETRY_AFTER],
    content: &[ERROR],
};
