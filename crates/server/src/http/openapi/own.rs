//! The endpoints that the store contract does not know: the events of an account, what an order's payer is told of his
//! payment, the page on which he claims his money back, the payer of the sandbox, the probes,
//! and this description.

use super::parts::{BAD_REQUEST, ERROR, NOT_FOUND, ORDER_ID, REFUSED, TOO_MANY_REQUESTS, UNAVAILABLE};
use super::{Answer, Body, Content, Endpoint, Form, Login, Method, Need, Parameter, Place, Tag, examples, schemas};

const PLAIN_TEXT: Content = Content { media_type: "text/plain", schema: Some(schemas::text), example: None };

const PAGE: Content = Content { media_type: "text/html", schema: Some(schemas::text), example: None };

const READINESS: Content = Content { media_type: "application/json", schema: Some(schemas::readiness), example: None };

const AFTER: Parameter = Parameter {
    shared_as: None,
    place: Place::Query,
    name: "after",
    need: Need::Optional,
    form: Form::Text,
    description: "The `id` of the last event that is known, or `next` of the answer before, such as `evt_1234`. \
        Without it the list begins with the first event there is.",
    example: None,
};

const LIMIT: Parameter = Parameter {
    shared_as: None,
    place: Place::Query,
    name: "limit",
    need: Need::Optional,
    form: Form::UpTo(100),
    description: "Most events of one answer; 100 when it is missing.",
    example: None,
};

const NO_KEY: Answer = Answer {
    shared_as: None,
    status: "401",
    description: "No API key, one that nobody has, a secret that is not its own, or a key that may not be used from \
        this address.",
    headers: &[],
    content: &[ERROR],
};

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        method: Method::Get,
        path: "/kiosk/v1/events",
        operation_id: "listEvents",
        tag: Tag::Events,
        summary: "What happened to the orders of an account",
        description: "The events of the account whose key it is, oldest first: those that its webhooks are told, with \
            the same ids, and those that nobody was told because no endpoint was open.\n\n\
            Read on with `next` as `after`. An answer may hold fewer events than `limit`, or none, while more follow; \
            everything is read once `next` is the `after` that was sent.",
        parameters: &[&AFTER, &LIMIT],
        body: None,
        login: Login::ApiKey,
        answers: &[
            &Answer {
                shared_as: None,
                status: "200",
                description: "What happened.",
                headers: &[],
                content: &[Content {
                    media_type: "application/json",
                    schema: Some(schemas::events),
                    example: Some(examples::events),
                }],
            },
            &BAD_REQUEST,
            &NO_KEY,
            &TOO_MANY_REQUESTS,
            &UNAVAILABLE,
        ],
    },
    Endpoint {
        method: Method::Get,
        path: "/kiosk/v1/orders/{order_id}/explain",
        operation_id: "explainOrder",
        tag: Tag::Orders,
        summary: "What is unusual about an order's payment",
        description: "One sentence for the payer for everything that is unusual about his payment, what is missing while \
            it can still be sent, his refunds, and the links by which he says where his money is to go back to. Whoever \
            has such a link can say so: treat them as secrets, like the id itself.",
        parameters: &[&ORDER_ID],
        body: None,
        login: Login::Ignored,
        answers: &[
            &Answer {
                shared_as: None,
                status: "200",
                description: "The explanation; all lists are empty where nothing is unusual.",
                headers: &[],
                content: &[Content {
                    media_type: "application/json",
                    schema: Some(schemas::explanation),
                    example: Some(examples::explanation),
                }],
            },
            &NOT_FOUND,
            &TOO_MANY_REQUESTS,
            &UNAVAILABLE,
        ],
    },
    Endpoint {
        method: Method::Get,
        path: "/claim/{token}",
        operation_id: "openClaim",
        tag: Tag::Orders,
        summary: "The page on which a payer claims his money back",
        description: "Says how much goes back on which network, and asks for an address there; its form posts to the same \
            address. Once that is done it says what became of the refund. A link that opens nothing is a page too, with \
            status 404.",
        parameters: &[&Parameter {
            shared_as: None,
            place: Place::Path,
            name: "token",
            need: Need::Required,
            form: Form::Text,
            description: "The last part of the link.",
            example: None,
        }],
        body: None,
        login: Login::Ignored,
        answers: &[
            &Answer { shared_as: None, status: "200", description: "The page.", headers: &[], content: &[PAGE] },
            &Answer {
                shared_as: None,
                status: "404",
                description: "The page that says that the link opens nothing.",
                headers: &[],
                content: &[PAGE],
            },
            &TOO_MANY_REQUESTS,
            &UNAVAILABLE,
        ],
    },
    Endpoint {
        method: Method::Post,
        path: "/sandbox/orders/{order_id}/pay",
        operation_id: "paySandboxOrder",
        tag: Tag::Sandbox,
        summary: "Pay an order on the simulated chain",
        description: "Puts a payment on the simulated chain, where the store finds it like any other; each call pays \
            once more. It pays `factor` times `coin_amount`. No money moves, and the tokens exist on no real chain.\n\n\
            400 for a body that is not understood, 404 for an unknown order, 422 `NOT_PAID` for a payment that cannot \
            be made; `message` says why.",
        parameters: &[&ORDER_ID],
        body: Some(Body {
            schema: schemas::sandbox_payment,
            description: "How to pay.",
            need: Need::Optional,
            example: examples::sandbox_payment,
        }),
        login: Login::Ignored,
        answers: &[
            &Answer {
                shared_as: None,
                status: "200",
                description: "The payment is on the simulated chain.",
                headers: &[],
                content: &[Content {
                    media_type: "application/json",
                    schema: Some(schemas::sandbox_paid),
                    example: None,
                }],
            },
            &BAD_REQUEST,
            &NOT_FOUND,
            &REFUSED,
            &TOO_MANY_REQUESTS,
            &UNAVAILABLE,
        ],
    },
    Endpoint {
        method: Method::Get,
        path: "/livez",
        operation_id: "isAlive",
        tag: Tag::Operation,
        summary: "Whether the process answers",
        description: "200 as long as the process answers at all. A failure is a reason to start it again.",
        parameters: &[],
        body: None,
        login: Login::Ignored,
        answers: &[&Answer {
            shared_as: None,
            status: "200",
            description: "It does.",
            headers: &[],
            content: &[PLAIN_TEXT],
        }],
    },
    Endpoint {
        method: Method::Get,
        path: "/readyz",
        operation_id: "isReady",
        tag: Tag::Operation,
        summary: "Whether the server can take calls",
        description: "200 while the database answers, there is a catalogue to sell from and a network to be paid on. A \
            failure is a reason to send calls elsewhere, and none to start the process again. Stale rates are said and \
            are no failure: what needs no rate is still sold. Nor is a network that is down while another is not.",
        parameters: &[],
        body: None,
        login: Login::Ignored,
        answers: &[
            &Answer { shared_as: None, status: "200", description: "It can.", headers: &[], content: &[READINESS] },
            &Answer {
                shared_as: None,
                status: "503",
                description: "Not now; the body says what is missing.",
                headers: &[],
                content: &[READINESS],
            },
        ],
    },
    Endpoint {
        method: Method::Get,
        path: "/metrics",
        operation_id: "readMetrics",
        tag: Tag::Operation,
        summary: "Counters and gauges for Prometheus",
        description: "All names begin with `kiosk_`. No label holds an order id, an address or anything of a person.",
        parameters: &[],
        body: None,
        login: Login::Ignored,
        answers: &[
            &Answer {
                shared_as: None,
                status: "200",
                description: "The text format of OpenMetrics.",
                headers: &[],
                content: &[Content {
                    media_type: "application/openmetrics-text",
                    schema: Some(schemas::text),
                    example: None,
                }],
            },
            &UNAVAILABLE,
        ],
    },
    Endpoint {
        method: Method::Get,
        path: "/openapi.json",
        operation_id: "getDescription",
        tag: Tag::Documentation,
        summary: "This description",
        description: "An OpenAPI 3.1 document of this very server, made from its code.",
        parameters: &[],
        body: None,
        login: Login::Ignored,
        answers: &[
            &Answer {
                shared_as: None,
                status: "200",
                description: "The document.",
                headers: &[],
                content: &[Content {
                    media_type: "application/json",
                    schema: Some(schemas::any_object),
                    example: None,
                }],
            },
            &TOO_MANY_REQUESTS,
        ],
    },
    Endpoint {
        method: Method::Get,
        path: "/docs",
        operation_id: "getDescriptionPage",
        tag: Tag::Documentation,
        summary: "This description as a page",
        description: "A viewer with a form to try every call that only reads. It loads nothing from elsewhere.",
        parameters: &[],
        body: None,
        login: Login::Ignored,
        answers: &[
            &Answer {
                shared_as: None,
                status: "200",
                description: "The page.",
                headers: &[],
                content: &[Content { media_type: "text/html", schema: Some(schemas::text), example: None }],
            },
            &TOO_MANY_REQUESTS,
        ],
    },
];
