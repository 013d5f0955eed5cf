//! The OpenAPI 3.1 description of what this server answers, made from one table of endpoints and the wire types.
//!
//! The table is [`ENDPOINTS`]; the schemas come from the types of the `api` crate, so that the document cannot say
//! anything else than the code that reads and writes the bodies. It must never hold what differs between two servers of
//! one version: no addresses, no settings, no times. That makes it a snapshot, and equal for equal arguments.
//!
//! The HTTP layer calls [`document`] for `/openapi.json`; the viewer of `docs_page` renders it.

// The table, first to last in the order in which a buyer meets the endpoints.
mod catalogue;
mod orders;
mod own;
// What several endpoints share: parameters, headers, refusals.
mod parts;
// Wire types to schemas.
mod schemas;
// Bodies to look at. None of them can be paid.
mod examples;
#[cfg(test)]
mod tests;

use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// Every endpoint that the document describes.
const ENDPOINTS: [&[Endpoint]; 3] = [catalogue::ENDPOINTS, orders::ENDPOINTS, own::ENDPOINTS];

const INTRODUCTION: &str = "Sells gift cards, phone top-ups and eSIMs for stablecoins. The way through it: list the \
    brands of a country, read the products of one, ask what an order would cost, place it, pay the address it names, \
    and follow it until the codes are there.\n\n\
    Amounts of coins are decimal strings without exponent, in whole coins (`101.50` USDC). Amounts in EUR are named as \
    such. Times in orders are unix seconds as strings. Countries are ISO 3166-1 alpha-2 in capitals. A field without a \
    value is left out; null is written only where a schema says so.\n\n\
    No key is needed but for the events of an account. `X-Cr-Application` and `X-Cr-Version` tell the store which \
    partner's program calls; a store can be set to ask for them. Who knows an order id can read the codes of that \
    order: treat it as a secret.\n\n\
    Every refusal is JSON with `detail` and `message`, and with `problems` where several things are wrong at once. \
    Nothing is redirected. Section numbers in the descriptions of schemas are those of the store API's wire contract.";

/// One row of the table.
struct Endpoint {
    method: Method,
    /// From the root, with `{name}` for the parameters, as the router writes it.
    path: &'static str,
    /// Unique; becomes the name of a function in generated clients, so it never changes.
    operation_id: &'static str,
    tag: Tag,
    /// A line without a full stop.
    summary: &'static str,
    /// CommonMark: what it is for, units, errors.
    description: &'static str,
    parameters: &'static [&'static Parameter],
    body: Option<Body>,
    login: Login,
    /// The first one is the successful one.
    answers: &'static [&'static Answer],
}

#[derive(Clone, Copy)]
enum Method {
    Get,
    Post,
}

/// The groups of the document, in its order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tag {
    Catalogue,
    Orders,
    Events,
    /// Exists only where the sandbox is on.
    Sandbox,
    Operation,
    Documentation,
}

/// What `Authorization` is for.
#[derive(Clone, Copy)]
enum Login {
    Ignored,
    /// A customer's token changes the answer.
    Optional,
    /// Nothing is answered without an API key.
    ApiKey,
}

/// A value of the path, the query or the head of a request.
struct Parameter {
    /// Its name among the components, where several endpoints have it.
    shared_as: Option<&'static str>,
    place: Place,
    name: &'static str,
    need: Need,
    form: Form,
    description: &'static str,
    example: Option<&'static str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Path,
    Query,
    Header,
}

#[derive(Clone, Copy)]
enum Need {
    Required,
    Optional,
}

/// What the text of a parameter looks like.
#[derive(Clone, Copy)]
enum Form {
    Text,
    /// ISO 3166-1 alpha-2, in capitals.
    CountryCode,
    /// Digits, and a point with more digits.
    Decimal,
    Uuid,
    /// Digits alone.
    Whole,
    /// A whole number from 1 to this one.
    UpTo(i64),
}

/// The body of a request.
struct Body {
    schema: SchemaOf,
    description: &'static str,
    need: Need,
    example: fn() -> Value,
}

/// What comes back with one status.
struct Answer {
    /// Its name among the components, where several endpoints have it.
    shared_as: Option<&'static str>,
    status: &'static str,
    description: &'static str,
    headers: &'static [&'static Header],
    content: &'static [Content],
}

/// A header of an answer.
struct Header {
    name: &'static str,
    description: &'static str,
    schema: fn() -> Value,
}

/// One form of a body.
struct Content {
    media_type: &'static str,
    /// `None` for bytes that have no structure to describe.
    schema: Option<SchemaOf>,
    example: Option<fn() -> Value>,
}

/// Makes the schema of one type, and leaves the types it names with the generator.
type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// The document. `sandbox` says whether the calls that play the payer are there, as they are in the demo.
pub fn document(sandbox: bool) -> Value {
    let mut generator = schemas::generator();
    let mut paths = Map::new();
    let mut parameters = Map::new();
    let mut answers = Map::new();
    for endpoint in served(sandbox) {
        for parameter in endpoint.parameters {
            if let Some(name) = parameter.shared_as {
                parameters.insert(name.to_owned(), parameter.described());
            }
        }
        for answer in endpoint.answers {
            if let Some(name) = answer.shared_as {
                answers.insert(name.to_owned(), answer.described(&mut generator));
            }
        }
        let operation = endpoint.operation(&mut generator);
        let item = paths.entry(endpoint.path).or_insert_with(|| Value::Object(Map::new()));
        item[endpoint.method.key()] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "kiosk store API",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Gift cards, top-ups and eSIMs for stablecoins",
            "description": INTRODUCTION,
            "license": { "name": "AGPL-3.0-or-later", "identifier": "AGPL-3.0-or-later" },
        },
        "tags": tags(sandbox),
        "paths": paths,
        "components": {
            "schemas": schemas::components(&mut generator),
            "parameters": parameters,
            "responses": answers,
            "securitySchemes": {
                "customer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The token of a customer of this store. It raises the limits and opens what asks \
                        for a login; without it the call is anonymous.",
                },
                "apiKey": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "KEY.SECRET",
                    "description": "An API key of an account and its secret, with a full stop between them. The \
                        operator of this store gives both.",
                },
            },
        },
    })
}

/// Method and path of every endpoint, those of the sandbox among them, for a comparison with the router. The page of
/// the viewer stands here; its scripts and its style sheet do not, see `docs_page::ASSETS`.
pub fn paths() -> Vec<(&'static str, &'static str)> {
    served(true).map(|endpoint| (endpoint.method.name(), endpoint.path)).collect()
}

fn served(sandbox: bool) -> impl Iterator<Item = &'static Endpoint> {
    ENDPOINTS.into_iter().flatten().filter(move |endpoint| sandbox || endpoint.tag != Tag::Sandbox)
}

/// The groups, each with its operations in the table's order, which `paths` does not keep.
fn tags(sandbox: bool) -> Vec<Value> {
    let mut tags = Vec::new();
    for tag in Tag::ALL {
        let operations: Vec<&str> =
            served(sandbox).filter(|endpoint| endpoint.tag == tag).map(|endpoint| endpoint.operation_id).collect();
        if !operations.is_empty() {
            tags.push(json!({
                "name": tag.name(),
                "description": tag.description(),
                "x-operations": operations,
            }));
        }
    }
    tags
}

impl Endpoint {
    fn operation(&self, generator: &mut SchemaGenerator) -> Value {
        let parameters: Vec<Value> = self.parameters.iter().map(|parameter| parameter.named()).collect();
        let mut answers = Map::new();
        for answer in self.answers {
            answers.insert(answer.status.to_owned(), answer.named(generator));
        }
        let mut operation = json!({
            "tags": [self.tag.name()],
            "operationId": self.operation_id,
            "summary": self.summary,
            "description": self.description,
            "parameters": parameters,
            "responses": answers,
        });
        if let Some(body) = &self.body {
            operation["requestBody"] = json!({
                "description": body.description,
                "required": body.need.is_required(),
                "content": {
                    "application/json": {
                        "schema": (body.schema)(generator).to_value(),
                        "example": (body.example)(),
                    },
                },
            });
        }
        match self.login {
            Login::Ignored => {}
            // The empty requirement is the anonymous call.
            Login::Optional => operation["security"] = json!([{}, { "customer": [] }]),
            Login::ApiKey => operation["security"] = json!([{ "apiKey": [] }]),
        }
        operation
    }
}

impl Parameter {
    fn described(&self) -> Value {
        let mut described = json!({
            "name": self.name,
            "in": self.place.name(),
            "required": self.need.is_required(),
            "description": self.description,
            "schema": self.form.schema(),
        });
        if let Some(example) = self.example {
            described["example"] = json!(example);
        }
        described
    }

    fn named(&self) -> Value {
        match self.shared_as {
            Some(name) => json!({ "$ref": format!("#/components/parameters/{name}") }),
            None => self.described(),
        }
    }
}

impl Answer {
    fn described(&self, generator: &mut SchemaGenerator) -> Value {
        let mut described = json!({ "description": self.description });
        if !self.headers.is_empty() {
            let headers: Map<String, Value> = self.headers.iter().map(|header| header.described()).collect();
            described["headers"] = Value::Object(headers);
        }
        if !self.content.is_empty() {
            let mut forms = Map::new();
            for content in self.content {
                forms.insert(content.media_type.to_owned(), content.described(generator));
            }
            described["content"] = Value::Object(forms);
        }
        described
    }

    fn named(&self, generator: &mut SchemaGenerator) -> Value {
        match self.shared_as {
            Some(name) => json!({ "$ref": format!("#/components/responses/{name}") }),
            None => self.described(generator),
        }
    }
}

impl Header {
    fn described(&self) -> (String, Value) {
        let described = json!({ "description": self.description, "schema": (self.schema)() });
        (self.name.to_owned(), described)
    }
}

impl Content {
    fn described(&self, generator: &mut SchemaGenerator) -> Value {
        let mut described = Map::new();
        if let Some(schema) = self.schema {
            described.insert("schema".to_owned(), schema(generator).to_value());
        }
        if let Some(example) = self.example {
            described.insert("example".to_owned(), example());
        }
        Value::Object(described)
    }
}

impl Method {
    const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }

    /// The word in the document.
    const fn key(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
        }
    }
}

impl Tag {
    const ALL: [Self; 6] =
        [Self::Catalogue, Self::Orders, Self::Events, Self::Sandbox, Self::Operation, Self::Documentation];

    const fn name(self) -> &'static str {
        match self {
            Self::Catalogue => "Catalogue",
            Self::Orders => "Orders",
            Self::Events => "Events",
            Self::Sandbox => "Sandbox",
            Self::Operation => "Operation",
            Self::Documentation => "Documentation",
        }
    }

    const fn description(self) -> &'static str {
        match self {
            Self::Catalogue => {
                "What is for sale, where, and how it can be paid. The answers carry an `ETag` and are compressed on \
                 request."
            }
            Self::Orders => "From a dry run to the delivered code.",
            Self::Events => "What happened to the orders of an account, goods and exchanges alike.",
            Self::Sandbox => "Playing the payer on the simulated chains. Only in the demo.",
            Self::Operation => "For the programs that watch over the server.",
            Self::Documentation => "This description, for programs and for people.",
        }
    }
}

impl Place {
    const fn name(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
        }
    }
}

impl Need {
    const fn is_required(self) -> bool {
        match self {
            Self::Required => true,
            Self::Optional => false,
        }
    }
}

impl Form {
    fn schema(self) -> Value {
        match self {
            Self::Text => json!({ "type": "string" }),
            Self::CountryCode => json!({ "type": "string", "pattern": "^[A-Z]{2}$" }),
            Self::Decimal => json!({ "type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?$" }),
            Self::Uuid => json!({ "type": "string", "format": "uuid" }),
            Self::Whole => json!({ "type": "integer", "minimum": 0 }),
            Self::UpTo(most) => json!({ "type": "integer", "minimum": 1, "maximum": most }),
        }
    }
}
