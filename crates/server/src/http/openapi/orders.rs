//! The endpoints around an order, from the dry run to the delivered code (store contract, sections 3.8 to 3.12 and
//! 4.5), and the page that a delivery mail links to.

use api::{Order, OrderRequest, Validation};
use schemars::SchemaGenerator;

use super::parts::{
    APPLICATION, BAD_REQUEST, CACHE_CONTROL, COUNTRY_HEADER, FORWARDED_FOR, IDEMPOTENCY_KEY, LAST_EVENT_ID, NOT_FOUND,
    ORDER_ID, REFUSED, TOO_MANY_REQUESTS, UNAUTHORISED, UNAVAILABLE, VERSION,
};
use super::{Answer, Body, Content, Endpoint, Form, Login, Method, Need, Parameter, Place, Tag, examples, schemas};

const BASKET: Body = Body {
    schema: SchemaGenerator::subschema_for::<OrderRequest>,
    description: "The basket, in the flat form that the schema shows.\n\n\
        The reader is lenient. It takes each delivery flat, or nested as `quantity` beside `deliverable`, or both \
        mixed in one body, and expands `quantity`; `product_value` as a number or a string; a missing `network`, for \
        which it takes the first one of the coin that is not suspended; a missing `beneficiary_account` of a product \
        that goes by e-mail, for which it takes `user.email`; `email` for a missing `user.email`; a missing `coin` as \
        `BTC`. An empty string and null count as missing, and unknown fields are ignored. What it cannot understand \
        is 400.",
    need: Need::Required,
    example: examples::basket,
};

const ORDER: Content = Content {
    media_type: "application/json",
    schema: Some(SchemaGenerator::subschema_for::<Order>),
    example: Some(examples::order),
};

const STATES: &[Content] =
    &[Content { media_type: "text/event-stream", schema: Some(schemas::text), example: Some(examples::stream) }];

const STATES_DESCRIPTION: &str = "Server-sent events. A `message` is the whole order as JSON, in the form of \
    `GET /v5/orders/{order_id}`, and its `id` is the version of the order. `stop` says that nothing can change by \
    itself any more: close, and do not connect again; its data is `{}`. A comment every 15 seconds keeps the line \
    open.";

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        method: Method::Post,
        path: "/v5/orders/validations",
        operation_id: "validateOrder",
        tag: Tag::Orders,
        summary: "What an order would cost, and what stands against it",
        description: "Takes the body of an order and creates nothing. The answer is 200 also when the order could not \
            be placed: then `problems` lists every reason at once, each with a code. Amounts are decimal strings in \
            `coin`, and are there whenever they can be computed; `original_price` of a line is in EUR.\n\n\
            422 with the code in `detail` when the coin or the network is suspended; 503 when the rate that the price \
            needs is too old.",
        parameters: &[&APPLICATION, &VERSION, &COUNTRY_HEADER, &FORWARDED_FOR],
        body: Some(BASKET),
        login: Login::Optional,
        answers: &[
            &Answer {
                shared_as: None,
                status: "200",
                description: "The price, the lines, and the problems, which may be none.",
                headers: &[],
                content: &[Content {
                    media_type: "application/json",
                    schema: Some(SchemaGenerator::subschema_for::<Validation>),
                    example: Some(examples::validation),
                }],
            },
            &BAD_REQUEST,
            &UNAUTHORISED,
            &REFUSED,
            &TOO_MANY_REQUESTS,
            &UNAVAILABLE,
        ],
    },
    Endpoint {
        method: Method::Post,
        path: "/v5/orders",
        operation_id: "createOrder",
        tag: Tag::Orders,
        summary: "Place an order",
        description: "Locks the price and answers with the address to pay. Send exactly `coin_amount` of `coin` on \
            `network` to `wallet_address` within the payment window, 30 minutes unless the store sets another one for \
            the network; it begins at `payment_requested_at`. Too little can be completed at the same address; what \
            comes late or too much is kept and not lost.\n\n\
            `coin_amount` is a decimal string in `coin`, `payment_value` a number in EUR, times are unix seconds as \
            strings. `qr_text` is a payment link for wallets: EIP-681 or Solana Pay.\n\n\
            Anything that stands against the order is 422 with all `problems`, and nothing is created; a body that is \
            no order is 400. After a broken connection repeat the call with the same `Idempotency-Key`: it places no \
            second order.",
        parameters: &[&IDEMPOTENCY_KEY, &APPLICATION, &VERSION, &COUNTRY_HEADER, &FORWARDED_FOR],
        body: Some(BASKET),
        login: Login::Optional,
        answers: &[
            &Answer {
                shared_as: None,
                status: "200",
                description: "The order, placed now or by an earlier call with the same key.",
                headers: &[],
                content: &[ORDER],
            },
            &BAD_REQUEST,
            &UNAUTHORISED,
            &REFUSED,
            &TOO_MANY_REQUESTS,
            &UNAVAILABLE,
        ],
    },
    Endpoint {
        method: Method::Get,
        path: "/v5/orders/{order_id}",
        operation_id: "getOrder",
        tag: Tag::Orders,
        summary: "An order as it is now",
        description: "The way for clients that cannot hold a stream; every 5 to 10 seconds is often enough. \
            `pin_code` and the fields beside it are absent until `order_state` is `Done`. `sent_coin_amount` is what \
            was received so far, in `coin`. An unknown id is 404.",
        parameters: &[&ORDER_ID, &APPLICATION, &VERSION],
        body: None,
        login: Login::Ignored,
        answers: &[
            &Answer {
                shared_as: None,
                status: "200",
                description: "The order.",
                headers: &[&CACHE_CONTROL],
                content: &[ORDER],
            },
            &UNAUTHORISED,
            &NOT_FOUND,
            &TOO_MANY_REQUESTS,
            &UNAVAILABLE,
        ],
    },
    Endpoint {
        method: Method::Get,
        path: "/v3/orders/{order_id}",
        operation_id: "getOrderV3",
        tag: Tag::Orders,
        summary: "An order as it is now, at the path of older clients",
        description: "The same as `/v5/orders/{order_id}`.",
        parameters: &[&ORDER_ID, &APPLICATION, &VERSION],
        body: None,
        login: Login::Ignored,
        answers: &[
            &Answer {
                shared_as: None,
                status: "200",
                description: "The order.",
                headers: &[&CACHE_CONTROL],
                content: &[ORDER],
            },
            &UNAUTHORISED,
            &NOT_FOUND,
            &TOO_MANY_REQUESTS,
            &UNAVAILABLE,
        ],
    },
    Endpoint {
        method: Method::Get,
        path: "/v5/orders/{order_id}/subscribe",
        operation_id: "subscribeToOrder",
        tag: Tag::Orders,
        summary: "Follow an order, live",
        description: "The state now, then every newer one; states may be skipped and never go back. The last message \
            holds the codes that `GET /v5/orders/{order_id}` would show. An order that is over already gives its state \
            and `stop`. After a lost connection wait 1 second, then 2, 4, 8, at most 30, and connect again.\n\n\
            An unknown id is 404 with a JSON body.",
        parameters: &[&ORDER_ID, &LAST_EVENT_ID, &APPLICATION, &VERSION],
        body: None,
        login: Login::Ignored,
        answers: &[
            &Answer {
                shared_as: None,
                status: "200",
                description: STATES_DESCRIPTION,
                headers: &[&CACHE_CONTROL],
                content: STATES,
            },
            &UNAUTHORISED,
            &NOT_FOUND,
            &TOO_MANY_REQUESTS,
            &UNAVAILABLE,
        ],
    },
    Endpoint {
        method: Method::Get,
        path: "/api/orders/{order_id}/subscribe",
        operation_id: "subscribeToOrderFromPage",
        tag: Tag::Orders,
        summary: "Follow an order, live, from a page of the same origin",
        description: "The stream of `/v5/orders/{order_id}/subscribe` at the path that a page's `EventSource` uses. No \
            partner headers are asked for, because `EventSource` cannot send any.",
        parameters: &[&ORDER_ID, &LAST_EVENT_ID],
        body: None,
        login: Login::Ignored,
        answers: &[
            &Answer {
                shared_as: None,
                status: "200",
                description: STATES_DESCRIPTION,
                headers: &[&CACHE_CONTROL],
                content: STATES,
            },
            &NOT_FOUND,
            &TOO_MANY_REQUESTS,
            &UNAVAILABLE,
        ],
    },
    Endpoint {
        method: Method::Get,
        path: "/v3/qrs/{order_id}",
        operation_id: "getOrderQr",
        tag: Tag::Orders,
        summary: "The payment link or an eSIM as a QR picture",
        description: "The picture of the order's `qr_text`; `qr_url` of an order points here. With `line` it is the \
            activation code of a delivered eSIM, to which `qr_image_url` points.\n\n\
            404 for an unknown order, for one without a payment link, and for a line without such a code.",
        parameters: &[
            &ORDER_ID,
            &Parameter {
                shared_as: None,
                place: Place::Query,
                name: "line",
                need: Need::Optional,
                form: Form::Whole,
                description: "Which delivery of the order, counted from 0.",
                example: None,
            },
        ],
        body: None,
        login: Login::Ignored,
        answers: &[
            &Answer {
                shared_as: None,
                status: "200",
                description: "The picture.",
                headers: &[&CACHE_CONTROL],
                content: &[Content { media_type: "image/png", schema: None, example: None }],
            },
            &BAD_REQUEST,
            &NOT_FOUND,
            &TOO_MANY_REQUESTS,
            &UNAVAILABLE,
        ],
    },
    Endpoint {
        method: Method::Get,
        path: "/d/{secret}",
        operation_id: "openDelivery",
        tag: Tag::Orders,
        summary: "The page behind the link of a delivery mail",
        description: "Shows what one line of an order delivered, to whoever has the link, and nothing else of the \
            order. A link that opens nothing is a page too, with status 404.",
        parameters: &[&Parameter {
            shared_as: None,
            place: Place::Path,
            name: "secret",
            need: Need::Required,
            form: Form::Text,
            description: "The last part of the link.",
            example: None,
        }],
        body: None,
        login: Login::Ignored,
        answers: &[
            &Answer {
                shared_as: None,
                status: "200",
                description: "The page with the code.",
                headers: &[&CACHE_CONTROL],
                content: &[Content { media_type: "text/html", schema: Some(schemas::text), example: None }],
            },
            &Answer {
                shared_as: None,
                status: "404",
                description: "The page that says that the link opens nothing.",
                headers: &[],
                content: &[Content { media_type: "text/html", schema: Some(schemas::text), example: None }],
            },
            &TOO_MANY_REQUESTS,
            &UNAVAILABLE,
        ],
    },
];
