//! The endpoints that say what is for sale and how it can be paid (store contract, sections 3.1 to 3.7, 3.14 and 7).

use api::{Brands, Country, Currency, PaymentVia, Price, ProductGroup};
use schemars::SchemaGenerator;

use super::parts::{
    APPLICATION, BAD_REQUEST, CACHE_CONTROL, COIN, COUNTRY_HEADER, COUNTRY_PATH, COUNTRY_QUERY, ETAG, IF_NONE_MATCH,
    LANGUAGE, NOT_FOUND, NOT_MODIFIED, PAYMENT_METHOD, PROMO_CODE, REFUSED, TOO_MANY_REQUESTS, UNAUTHORISED,
    UNAVAILABLE, VERSION,
};
use super::{Answer, Content, Endpoint, Form, Login, Method, Need, Parameter, Place, Tag, examples};

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        method: Method::Get,
        path: "/v3/payment_vias",
        operation_id: "listPaymentVias",
        tag: Tag::Catalogue,
        summary: "Ways to pay, with their coins and networks",
        description: "What an order may name in `payment`: the vias, the coins each takes, and the networks each coin \
            can be sent on, the recommended one first. `threshold` is the least amount of an order, in the coin, as a \
            decimal string. A suspended coin or network is listed and takes no new orders.",
        parameters: &[&APPLICATION, &VERSION, &IF_NONE_MATCH],
        body: None,
        login: Login::Ignored,
        answers: &[
            &Answer {
                shared_as: None,
                status: "200",
                description: "One entry per via.",
                headers: &[&ETAG, &CACHE_CONTROL],
                content: &[Content {
                    media_type: "application/json",
                    schema: Some(SchemaGenerator::subschema_for::<Vec<PaymentVia>>),
                    example: Some(examples::payment_vias),
                }],
            },
            &NOT_MODIFIED,
            &UNAUTHORISED,
            &TOO_MANY_REQUESTS,
        ],
    },
    Endpoint {
        method: Method::Get,
        path: "/v3/currencies",
        operation_id: "listCurrencies",
        tag: Tag::Catalogue,
        summary: "Coins",
        description: "Every coin the store takes, whichever the via. Networks and least amounts are with the vias.",
        parameters: &[&APPLICATION, &VERSION, &IF_NONE_MATCH],
        body: None,
        login: Login::Ignored,
        answers: &[
            &Answer {
                shared_as: None,
                status: "200",
                description: "One entry per coin.",
                headers: &[&ETAG, &CACHE_CONTROL],
                content: &[Content {
                    media_type: "application/json",
                    schema: Some(SchemaGenerator::subschema_for::<Vec<Currency>>),
                    example: Some(examples::currencies),
                }],
            },
            &NOT_MODIFIED,
            &UNAUTHORISED,
            &TOO_MANY_REQUESTS,
        ],
    },
    Endpoint {
        method: Method::Get,
        path: "/api/available-countries",
        operation_id: "listCountries",
        tag: Tag::Catalogue,
        summary: "Countries that can be sold to",
        description: "Codes and English names, by name. A country may be listed and have no brands yet.",
        parameters: &[&IF_NONE_MATCH],
        body: None,
        login: Login::Ignored,
        answers: &[
            &Answer {
                shared_as: None,
                status: "200",
                description: "One entry per country.",
                headers: &[&ETAG, &CACHE_CONTROL],
                content: &[Content {
                    media_type: "application/json",
                    schema: Some(SchemaGenerator::subschema_for::<Vec<Country>>),
                    example: Some(examples::countries),
                }],
            },
            &NOT_MODIFIED,
            &TOO_MANY_REQUESTS,
        ],
    },
    Endpoint {
        method: Method::Get,
        path: "/v2/brands",
        operation_id: "listBrands",
        tag: Tag::Catalogue,
        summary: "Brands of a country",
        description: "All brands that are active in the country, once in `all_brands` and by kind and category in \
            `categories`, where a brand may stand in several. `min` and `max` are labels for people, such as `$5`. The \
            answer can have a megabyte: ask with `Accept-Encoding: gzip`, and again with `If-None-Match`.\n\n\
            400 when no country is given, or one that is not known or not in capitals.",
        parameters: &[
            &COUNTRY_QUERY,
            &Parameter {
                shared_as: None,
                place: Place::Query,
                name: "promo_code",
                need: Need::Optional,
                form: Form::Text,
                description: "A coupon that some clients send. It changes nothing here.",
                example: None,
            },
            &Parameter {
                shared_as: None,
                place: Place::Query,
                name: "cid",
                need: Need::Optional,
                form: Form::Text,
                description: "A customer id that some clients send. It changes nothing here.",
                example: None,
            },
            &APPLICATION,
            &VERSION,
            &COUNTRY_HEADER,
            &IF_NONE_MATCH,
        ],
        body: None,
        login: Login::Ignored,
        answers: &[
            &Answer {
                shared_as: None,
                status: "200",
                description: "The brands.",
                headers: &[&ETAG, &CACHE_CONTROL],
                content: &[Content {
                    media_type: "application/json",
                    schema: Some(SchemaGenerator::subschema_for::<Brands>),
                    example: Some(examples::brands),
                }],
            },
            &NOT_MODIFIED,
            &BAD_REQUEST,
            &UNAUTHORISED,
            &TOO_MANY_REQUESTS,
        ],
    },
    Endpoint {
        method: Method::Get,
        path: "/v2/homepage",
        operation_id: "getHomepage",
        tag: Tag::Catalogue,
        summary: "The curated brands of a country",
        description: "The form of the brands, with the featured and trending ones alone, in the operator's order. 400 \
            as for the brands.",
        parameters: &[&COUNTRY_QUERY, &APPLICATION, &VERSION, &COUNTRY_HEADER, &IF_NONE_MATCH],
        body: None,
        login: Login::Ignored,
        answers: &[
            &Answer {
                shared_as: None,
                status: "200",
                description: "The brands to show first.",
                headers: &[&ETAG, &CACHE_CONTROL],
                content: &[Content {
                    media_type: "application/json",
                    schema: Some(SchemaGenerator::subschema_for::<Brands>),
                    example: None,
                }],
            },
            &NOT_MODIFIED,
            &BAD_REQUEST,
            &UNAUTHORISED,
            &TOO_MANY_REQUESTS,
        ],
    },
    Endpoint {
        method: Method::Get,
        path: "/v2/search/{country_code}",
        operation_id: "searchProducts",
        tag: Tag::Catalogue,
        summary: "Brands and their products, by words",
        description: "Every word must begin a word of a brand's name, family, category or tags; case and accents do \
            not count. Best first. Nothing found is an empty array.\n\n\
            400 without `q` or for an unknown coin; 503 when the rate that the prices need is too old.",
        parameters: &[
            &COUNTRY_PATH,
            &Parameter {
                shared_as: None,
                place: Place::Query,
                name: "q",
                need: Need::Required,
                form: Form::Text,
                description: "The words, at most 200 bytes.",
                example: Some("air"),
            },
            &COIN,
            &PAYMENT_METHOD,
            &LANGUAGE,
            &PROMO_CODE,
            &APPLICATION,
            &VERSION,
            &IF_NONE_MATCH,
        ],
        body: None,
        login: Login::Ignored,
        answers: &[
            &Answer {
                shared_as: None,
                status: "200",
                description: "One entry per brand, best first.",
                headers: &[&ETAG, &CACHE_CONTROL],
                content: &[Content {
                    media_type: "application/json",
                    schema: Some(SchemaGenerator::subschema_for::<Vec<ProductGroup>>),
                    example: None,
                }],
            },
            &NOT_MODIFIED,
            &BAD_REQUEST,
            &UNAUTHORISED,
            &TOO_MANY_REQUESTS,
            &UNAVAILABLE,
        ],
    },
    Endpoint {
        method: Method::Get,
        path: "/v5/products/country/{country_code}",
        operation_id: "listProducts",
        tag: Tag::Catalogue,
        summary: "Products of a brand or a family",
        description: "One group per brand. A fixed product has a `denomination` to order by, letter by letter, and a \
            price; a range (`is_dynamic`) has `range`, and its price comes from `/v4/products/price`. Prices are \
            decimal strings in `coin`.\n\n\
            One of `family_name` and `brand_name` is needed, else 400; an unknown coin is 400 too. An unknown family, \
            brand or country is an empty array. 503 when the rate that the prices need is too old.",
        parameters: &[
            &COUNTRY_PATH,
            &Parameter {
                shared_as: None,
                place: Place::Query,
                name: "family_name",
                need: Need::Optional,
                form: Form::Text,
                description: "A family from the brands; upper and lower case are the same.",
                example: Some("Airbnb"),
            },
            &Parameter {
                shared_as: None,
                place: Place::Query,
                name: "brand_name",
                need: Need::Optional,
                form: Form::Text,
                description: "A brand's name from the brands.",
                example: None,
            },
            &COIN,
            &PAYMENT_METHOD,
            &LANGUAGE,
            &PROMO_CODE,
            &APPLICATION,
            &VERSION,
            &IF_NONE_MATCH,
        ],
        body: None,
        login: Login::Ignored,
        answers: &[
            &Answer {
                shared_as: None,
                status: "200",
                description: "One group per brand.",
                headers: &[&ETAG, &CACHE_CONTROL],
                content: &[Content {
                    media_type: "application/json",
                    schema: Some(SchemaGenerator::subschema_for::<Vec<ProductGroup>>),
                    example: Some(examples::products),
                }],
            },
            &NOT_MODIFIED,
            &BAD_REQUEST,
            &UNAUTHORISED,
            &TOO_MANY_REQUESTS,
            &UNAVAILABLE,
        ],
    },
    Endpoint {
        method: Method::Get,
        path: "/v4/products/price",
        operation_id: "getPrice",
        tag: Tag::Catalogue,
        summary: "Price of one face value",
        description: "Made for ranges; it takes the values of fixed products too. `coin_amount` is a decimal string in \
            `coin`, rounded up to the decimals in which that coin is quoted. It holds for now: an order locks its own \
            price.\n\n\
            A missing parameter and an unknown coin are 400. A brand that the country does not have and a value that \
            is not sold are 422, with the code that an order for it would be refused with. 503 when the rate that the \
            price needs is too old.",
        parameters: &[
            &Parameter {
                shared_as: None,
                place: Place::Query,
                name: "brand_name",
                need: Need::Required,
                form: Form::Text,
                description: "A brand's exact name.",
                example: Some("Airbnb"),
            },
            &Parameter {
                shared_as: None,
                place: Place::Query,
                name: "country_code",
                need: Need::Required,
                form: Form::CountryCode,
                description: "The country.",
                example: Some("US"),
            },
            &Parameter {
                shared_as: None,
                place: Place::Query,
                name: "face_value",
                need: Need::Required,
                form: Form::Decimal,
                description: "The value in the product's own currency.",
                example: Some("75"),
            },
            &Parameter {
                shared_as: None,
                place: Place::Query,
                name: "coin",
                need: Need::Required,
                form: Form::Text,
                description: "The coin to pay with, by its ticker.",
                example: Some("USDC"),
            },
            &PAYMENT_METHOD,
            &PROMO_CODE,
            &APPLICATION,
            &VERSION,
            &IF_NONE_MATCH,
        ],
        body: None,
        login: Login::Ignored,
        answers: &[
            &Answer {
                shared_as: None,
                status: "200",
                description: "The price.",
                headers: &[&ETAG, &CACHE_CONTROL],
                content: &[Content {
                    media_type: "application/json",
                    schema: Some(SchemaGenerator::subschema_for::<Price>),
                    example: Some(examples::price),
                }],
            },
            &NOT_MODIFIED,
            &BAD_REQUEST,
            &UNAUTHORISED,
            &REFUSED,
            &TOO_MANY_REQUESTS,
            &UNAVAILABLE,
        ],
    },
    Endpoint {
        method: Method::Get,
        path: "/logos/{file}",
        operation_id: "getLogo",
        tag: Tag::Catalogue,
        summary: "Logo of a brand",
        description: "What `logo_url` points to while logos are served from here. The other forms are made by adding \
            to `logo_base_url`: `.webp`, `_500x318.webp`, `_300x190.webp`, `.jpg`, `_500x318.jpg`, `_300x190.jpg`; the \
            numbers are pixels.",
        parameters: &[
            &Parameter {
                shared_as: None,
                place: Place::Path,
                name: "file",
                need: Need::Required,
                form: Form::Text,
                description: "The last part of `logo_base_url` and one of the six endings.",
                example: Some("airbnb_300x190.webp"),
            },
            &IF_NONE_MATCH,
        ],
        body: None,
        login: Login::Ignored,
        answers: &[
            &Answer {
                shared_as: None,
                status: "200",
                description: "The picture.",
                headers: &[&ETAG, &CACHE_CONTROL],
                content: &[
                    Content { media_type: "image/webp", schema: None, example: None },
                    Content { media_type: "image/jpeg", schema: None, example: None },
                ],
            },
            &NOT_MODIFIED,
            &NOT_FOUND,
            &TOO_MANY_REQUESTS,
            &UNAVAILABLE,
        ],
    },
];
