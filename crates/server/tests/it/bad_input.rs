//! What nobody should send: each is a clear 4xx in JSON or, where it is not HTTP, a refused connection; it writes
//! nothing and leaves the server healthy.

use crate::harness::Shop;
use crate::raw::{self, Answer, BUYER, ORDERS, VALIDATIONS, card, line, order_of, range_card, with, without};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

/// A key on every create: a refused one must not keep it.
const KEYED: [(&str, &str); 1] = [("idempotency-key", "kept-nowhere")];

fn airbnb() -> Value {
    card("Airbnb", "100 USD")
}

/// Nothing that was tried in this test may have left a row, and the next honest order works.
async fn assert_unharmed(shop: Shop) {
    assert_eq!(raw::row_counts(&shop).await, [0; 9], "something was written");
    assert_eq!(raw::get(&shop.url, "/readyz").await.status, 200);
    raw::place(&shop, &KEYED, &airbnb()).await;
    shop.close().await;
}

/// Both doors call it no order.
async fn assert_malformed(shop: &Shop, what: &str, body: &[u8]) {
    for path in [VALIDATIONS, ORDERS] {
        let answer = raw::request(&shop.url, "POST", path, &KEYED, body).await;
        answer.assert_error(400, "BAD_REQUEST", &format!("{what} to {path}"));
    }
}

/// It is an order with a problem: in the list of a dry run, an error of a create.
async fn assert_problem(shop: &Shop, what: &str, body: &Value, code: &str) {
    let names_it = |answer: &Answer| {
        let body = answer.json();
        body["problems"].as_array().is_some_and(|problems| problems.iter().any(|problem| problem["problem"] == code))
    };
    let checked = raw::post(&shop.url, VALIDATIONS, &KEYED, body).await;
    assert_eq!(checked.status, 200, "{what}: {}", checked.text());
    assert!(names_it(&checked), "{what}: {}", checked.text());
    let created = raw::post(&shop.url, ORDERS, &KEYED, body).await;
    assert_eq!(created.status, 422, "{what}: {}", created.text());
    assert!(names_it(&created), "{what}: {}", created.text());
    let detail = created.json()["detail"].as_str().unwrap_or_default().to_owned();
    created.assert_error(422, &detail, what);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_json_is_not_an_order() {
    let shop = Shop::open().await;
    let whole = airbnb().to_string();
    let open_lists = "[".repeat(50_000);
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let deep_inside = format!(r#"{{"deep":{deep},{}"#, &whole[1..]);
    let deep_objects = format!("{}1{}", r#"{"a":"#.repeat(10_000), "}".repeat(10_000));
    let cases: [(&str, &[u8]); 14] = [
        ("nothing", b""),
        ("a brace", b"{"),
        ("half an order", &whole.as_bytes()[..whole.len() / 2]),
        ("an order and more", &[whole.as_bytes(), b" x"].concat()),
        ("two orders", &[whole.as_bytes(), whole.as_bytes()].concat()),
        ("a comma too many", br#"{"payment":{},}"#),
        ("a bare word", b"undefined"),
        ("not a number", br#"{"payment":NaN}"#),
        ("form data", b"coin=USDC&network=Solana"),
        ("bytes that are no text", b"{\"email\":\"\xff\xfe\"}"),
        ("a NUL byte", b"{\"email\":\"a\0b\"}"),
        ("deep nesting that does not end", open_lists.as_bytes()),
        ("deep nesting in an unknown field", deep_inside.as_bytes()),
        ("deep objects", deep_objects.as_bytes()),
    ];
    for (what, body) in cases {
        assert_malformed(&shop, what, body).await;
    }
    assert_unharmed(shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_types_are_named_by_their_field() {
    let shop = Shop::open().await;
    for body in ["[]", "null", "true", "1", "\"order\"", "[{}]", "{}"] {
        assert_malformed(&shop, body, body.as_bytes()).await;
    }
    let many = |count: usize| json!(vec![line("Airbnb", "50 USD"); count]);
    let cases = [
        ("/payment", json!("USDC")),
        ("/payment", Value::Null),
        ("/payment/type", json!("card")),
        ("/payment/payment_via", Value::Null),
        ("/payment/coin", json!(["USDC"])),
        ("/payment/network", json!(1)),
        ("/user", json!("me@example.com")),
        ("/user/email", json!({ "address": "me@example.com" })),
        ("/user/has_accepted_newsletter", json!("yes")),
        ("/lang", json!(5)),
        ("/promo_code", json!(true)),
        ("/acquisition", json!([])),
        ("/refund_wallet_address", json!(0)),
        ("/deliveries", json!({ "0": line("Airbnb", "50 USD") })),
        ("/deliveries", json!([])),
        ("/deliveries", json!([null])),
        ("/deliveries", many(201)),
        ("/deliveries", many(1_000)),
        ("/deliveries/0/brand_name", json!(5)),
        ("/deliveries/0/brand_name", json!("")),
        ("/deliveries/0/country_code", json!(["US"])),
        ("/deliveries/0/denomination", json!(100)),
        ("/deliveries/0/product_value", json!([75])),
        ("/deliveries/0/beneficiary_account", json!(14_155_551_234_i64)),
        ("/deliveries/0/quantity", json!(0)),
        ("/deliveries/0/quantity", json!(-1)),
        ("/deliveries/0/quantity", json!("many")),
        ("/deliveries/0/quantity", json!(1_001)),
        ("/deliveries/0/deliverable", json!("Airbnb")),
    ];
    for (pointer, value) in cases {
        let body = with(airbnb(), pointer, value).to_string();
        let answer = raw::request(&shop.url, "POST", ORDERS, &KEYED, body.as_bytes()).await;
        answer.assert_error(400, "BAD_REQUEST", pointer);
        // `/deliveries/0/quantity` is told as `deliveries[0].quantity`.
        let field = pointer.rsplit('/').next().unwrap_or_default();
        assert!(answer.text().contains(field), "{pointer}: {}", answer.text());
        assert!(!answer.text().contains("me@example.com"), "an error must not repeat what was sent");
        assert_malformed(&shop, pointer, body.as_bytes()).await;
    }
    assert_unharmed(shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_is_refused_and_one_at_the_limit_is_read() {
    let shop = Shop::open().await;
    let padded = |bytes: usize| {
        let mut body = airbnb().to_string().into_bytes();
        body.resize(bytes, b' ');
        body
    };
    let in_a_field = with(airbnb(), "/note", json!("x".repeat(1_048_576))).to_string().into_bytes();
    for body in [padded(256 * 1024 + 1), padded(1_048_576), padded(8 * 1_048_576), in_a_field] {
        for path in [VALIDATIONS, ORDERS, "/sandbox/orders/3c0d9a52-6e41-4b7f-8a1d-5f2e7b90c411/pay"] {
            let answer = raw::request(&shop.url, "POST", path, &KEYED, &body).await;
            answer.assert_error(413, "BODY_TOO_LARGE", path);
        }
    }
    let at_the_limit = raw::request(&shop.url, "POST", VALIDATIONS, &[], &padded(256 * 1024)).await;
    assert_eq!(at_the_limit.status, 200, "{}", at_the_limit.text());
    assert_unharmed(shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_no_product_has_are_problems() {
    let shop = Shop::open().await;
    for value in
        ["-75", "\"-75\"", "1e400", "\"1e400\"", "-0", "1e-400", "\"NaN\"", "\"75,00\"", "\"\u{661}\u{662}\"", "7.5e1"]
    {
        let body = range_card("Airbnb", serde_json::from_str(value).expect("JSON"));
        assert_problem(&shop, value, &body, "NOT_AVAILABLE_PRODUCT").await;
    }
    let vault = range_card("Demo Vault", json!("99999999999999999999999999999999"));
    assert_problem(&shop, "more than fits", &vault, "NOT_AVAILABLE_PRODUCT").await;
    for (pointer, value) in [
        ("/deliveries/0/brand_name", "No Such Brand"),
        ("/deliveries/0/brand_name", "airbnb"),
        ("/deliveries/0/brand_name", "Airbnb' or '1'='1"),
        ("/deliveries/0/country_code", "us"),
        ("/deliveries/0/country_code", "XX"),
        ("/deliveries/0/country_code", "United States"),
        ("/deliveries/0/country_code", "BR"),
        ("/deliveries/0/denomination", "-100 USD"),
        ("/deliveries/0/denomination", "100 usd"),
        ("/deliveries/0/denomination", "range"),
    ] {
        let body = with(airbnb(), pointer, json!(value));
        assert_problem(&shop, value, &body, "NOT_AVAILABLE_PRODUCT").await;
    }
    for coupon in ["WELCOME10\r\nX: y", "%", "' or 1=1 --"] {
        assert_problem(&shop, coupon, &with(airbnb(), "/promo_code", json!(coupon)), "COUPON_NOT_FOUND").await;
    }
    assert_unharmed(shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_recipients_are_problems() {
    let shop = Shop::open().await;
    let long = format!("{}@example.com", "a".repeat(250));
    let addresses = [
        "nobody",
        "@example.com",
        "a@b@example.com",
        "end user@example.com",
        "end.user@example",
        "end.user@example.com\r\nBcc: all@example.com",
        "end.user@example.com,all@example.com",
        "<end.user@example.com>",
        "\u{202e}moc.elpmaxe@resu",
        long.as_str(),
    ];
    for address in addresses {
        let recipient = with(airbnb(), "/deliveries/0/beneficiary_account", json!(address));
        assert_problem(&shop, address, &recipient, "INVALID_BENEFICIARY_ACCOUNT").await;
        let buyer = with(airbnb(), "/user/email", json!(address));
        assert_problem(&shop, address, &buyer, "INVALID_BENEFICIARY_ACCOUNT").await;
    }
    let top_up = card("T-Mobile US", "25 USD");
    for number in
        ["14155551234", "+1 415 555 1234", "+0155551234", "+1234567", "+1234567890123456", "+1415555123a", BUYER]
    {
        let body = with(top_up.clone(), "/deliveries/0/beneficiary_account", json!(number));
        assert_problem(&shop, number, &body, "INVALID_BENEFICIARY_ACCOUNT").await;
    }
    // Without any address there is nobody to deliver to.
    let nobody = without(without(without(airbnb(), "/user"), "/email"), "/deliveries/0/beneficiary_account");
    assert_problem(&shop, "nobody", &nobody, "INVALID_BENEFICIARY_ACCOUNT").await;
    assert_unharmed(shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nul_in_a_text_that_is_kept_is_refused() {
    let shop = Shop::open().await;
    for pointer in [
        "/email",
        "/user/email",
        "/lang",
        "/promo_code",
        "/refund_wallet_address",
        "/payment/payment_via",
        "/payment/coin",
        "/payment/network",
        "/deliveries/0/brand_name",
        "/deliveries/0/country_code",
        "/deliveries/0/denomination",
        "/deliveries/0/product_value",
        "/deliveries/0/beneficiary_account",
    ] {
        // The buyer beside `user` is read only without it.
        let body = if pointer == "/email" { without(airbnb(), "/user") } else { airbnb() };
        let body = with(body, pointer, json!("a\0b"));
        assert_malformed(&shop, pointer, body.to_string().as_bytes()).await;
    }
    let source = with(airbnb(), "/acquisition", json!({ "utm_source": "a\0b" }));
    assert_malformed(&shop, "utm_source", source.to_string().as_bytes()).await;
    let long = with(airbnb(), "/lang", json!("e".repeat(1_001)));
    assert_malformed(&shop, "a text that is too long", long.to_string().as_bytes()).await;
    assert_unharmed(shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_lines_than_an_order_may_have_are_a_problem() {
    let shop = Shop::open().await;
    for (what, deliveries) in [
        ("eleven entries", json!(vec![line("Airbnb", "50 USD"); 11])),
        ("two hundred entries", json!(vec![line("Airbnb", "50 USD"); 200])),
        ("a quantity of a thousand", json!([with(line("Airbnb", "50 USD"), "/quantity", json!(1_000))])),
    ] {
        assert_problem(&shop, what, &order_of(deliveries), "PRODUCT_COUNT_EXCEEDED").await;
    }
    assert_unharmed(shop).await;
}

/// A few KiB stand for twenty thousand lines: neither the work nor the answer may grow with them.
#[tokio::test(flavor = "multi_thread")]
async fn quantities_do_not_multiply_work_or_answer() {
    let shop = Shop::open().await;
    let line = with(line("Airbnb", "50 USD"), "/quantity", json!(1_000));
    let body = order_of(json!(vec![with(line, "/beneficiary_account", json!("nobody")); 20]));
    for path in [VALIDATIONS, ORDERS] {
        let answer = raw::post(&shop.url, path, &KEYED, &body).await;
        let refused = matches!((path, answer.status), (VALIDATIONS, 200) | (_, 400) | (ORDERS, 422));
        assert!(refused, "{path}: {}", answer.status);
        assert!(answer.body.len() <= 256 * 1024, "{path} answers with {} bytes", answer.body.len());
    }
    assert_unharmed(shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_that_are_none_or_of_something_else_lead_nowhere() {
    let shop = Shop::open().await;
    let order = raw::place(&shop, &[], &airbnb()).await;
    let text = |value: &Value| value.as_str().expect("an id").to_owned();
    let long = "a".repeat(4_000);
    let ids = [
        "1001".to_owned(),
        "null".to_owned(),
        "00000000-0000-4000-8000-000000000000".to_owned(),
        text(&order["payment_id"]),
        text(&order["deliveries"][0]["id"]),
        text(&order["reference_id"]),
        text(&order["wallet_address"]),
        raw::id_of(&order).replace('-', ""),
        format!("%7B{}%7D", raw::id_of(&order)),
        "%27%20or%20%271%27%3D%271".to_owned(),
        "..%2f..%2fsecret.key".to_owned(),
        "x%0d%0aset-cookie:%20a=b".to_owned(),
        "%00".to_owned(),
        long,
    ];
    for id in &ids {
        for path in
            ["/v5/orders/ID", "/v3/orders/ID", "/v3/qrs/ID", "/v5/orders/ID/subscribe", "/api/orders/ID/subscribe"]
        {
            let answer = raw::get(&shop.url, &path.replace("ID", id)).await;
            answer.assert_error(404, "NOT_FOUND", id);
            assert_eq!(answer.header("set-cookie"), None, "{id}");
        }
        let path = format!("/sandbox/orders/{id}/pay");
        raw::post(&shop.url, &path, &[], &json!({})).await.assert_error(404, "NOT_FOUND", id);
    }
    assert_eq!(raw::show(&shop, &order).await, order);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_router_refuses_by_itself_is_json_too() {
    let shop = Shop::open().await;
    let order = raw::place(&shop, &[], &airbnb()).await;
    let id = raw::id_of(&order);
    for path in [
        // An id that is no UTF-8.
        "/v5/orders/%ff".to_owned(),
        "/v3/qrs/%ff".to_owned(),
        format!("/v3/qrs/{id}?line=first"),
        format!("/v3/qrs/{id}?line=-1"),
        format!("/v3/qrs/{id}?line=0&line=1"),
        "/v5/nothing/here".to_owned(),
        "/".to_owned() + &"x".repeat(2_000),
    ] {
        let answer = raw::get(&shop.url, &path).await;
        assert!((400..500).contains(&answer.status), "{path}: {}", answer.status);
        let content_type = answer.header("content-type").unwrap_or_default();
        assert!(content_type.starts_with("application/json"), "{path}: {content_type:?} {}", answer.text());
        assert_eq!(answer.json()["status"], json!(answer.status), "{path}");
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_cannot_smuggle_anything_in() {
    let shop = Shop::open().await;
    let body = airbnb().to_string();
    let post = |headers: &[u8]| {
        let head = format!(
            "POST {ORDERS} HTTP/1.1\r\nhost: shop.test\r\nconnection: close\r\ncontent-length: {}\r\n",
            body.len()
        );
        [head.as_bytes(), headers, b"\r\n", body.as_bytes()].concat()
    };
    let large = [b"x-cr-application: ".as_slice(), &[b'a'; 100_000], b"\r\n"].concat();
    let many: Vec<u8> = (0..200).flat_map(|at| format!("x-header-{at}: 1\r\n").into_bytes()).collect();
    let not_http: [(&str, &[u8]); 10] = [
        ("a bare CR", b"x-cr-application: a\rx-evil: b\r\n"),
        ("a CR before the CRLF", b"x-cr-application: a\r\r\n"),
        ("a NUL", b"x-cr-application: a\0b\r\n"),
        ("another control character", b"x-cr-application: a\x1bb\r\n"),
        ("a folded line", b"x-cr-application: a\r\n x-evil: b\r\n"),
        ("a space in a name", b"x-cr application: a\r\n"),
        ("a space before the colon", b"x-cr-application : a\r\n"),
        ("two lengths", b"content-length: 1\r\n"),
        ("100 KB of header", &large),
        ("two hundred headers", &many),
    ];
    for (what, headers) in not_http {
        // Not HTTP: refused where it is read, before there is a request to answer in JSON.
        if let Some(answer) = raw::send(&shop.url, &post(headers)).await {
            assert!(matches!(answer.status, 400 | 431), "{what}: {} {}", answer.status, answer.text());
        }
    }
    let long = [b"x-cr-application: ".as_slice(), &[b'a'; 201], b"\r\n"].concat();
    let refused: [(&str, &[u8]); 4] = [
        ("letters outside ASCII", b"x-cr-application: caf\xc3\xa9\r\n"),
        ("bytes that are no text", b"x-cr-version: \xff\xfe\r\n"),
        ("a long id", &long),
        ("a tab in a country", b"x-country-iso-code: caf\xe9\tUS\r\n"),
    ];
    for (what, headers) in refused {
        let answer = raw::send(&shop.url, &post(headers)).await.expect("an answer");
        answer.assert_error(400, "BAD_REQUEST", what);
    }
    // A bare LF ends a header line for many servers. It must make no header of ours.
    let split = [("x-cr-application", "demo-partner\nx-evil: b")];
    let answer = raw::post(&shop.url, VALIDATIONS, &split, &airbnb()).await;
    assert_eq!(answer.header("x-evil"), None);
    assert_unharmed(shop).await;
}

/// Connections that this process may hold both ends of, 500 if it may.
fn most_connections() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let files: Option<usize> =
        files.and_then(|values| values.split_whitespace().next()).and_then(|soft| soft.parse().ok());
    files.map_or(500, |soft| (soft / 2).saturating_sub(150).min(500))
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_and_half_open_connections_do_not_stop_the_server() {
    let shop = Shop::open().await;
    let begun: [&[u8]; 5] = [
        b"",
        b"P",
        b"POST /v5/orders HTTP/1.1\r\nhost: shop.test\r\n",
        b"POST /v5/orders HTTP/1.1\r\nhost: shop.test\r\ncontent-length: 1000\r\n\r\n{\"email\":",
        b"GET /v5/orders/3c0d9a52-6e41-4b7f-8a1d-5f2e7b90c411/subscribe HTTP/1.1\r\n",
    ];
    let mut open = Vec::new();
    for start in begun.iter().cycle().take(most_connections()) {
        let mut connection = raw::connect(&shop.url).await;
        connection.write_all(start).await.expect("the server takes the connection");
        open.push(connection);
    }
    let order = raw::place(&shop, &[], &airbnb()).await;
    assert_eq!(raw::show(&shop, &order).await, order);
    assert_eq!(raw::get(&shop.url, "/readyz").await.status, 200);
    // Hung up in the middle of a body: nothing of it becomes an order.
    drop(open);
    raw::place(&shop, &[], &airbnb()).await;
    assert_eq!(raw::row_counts(&shop).await[0], 2);
    shop.close().await;
}
