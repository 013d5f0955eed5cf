//! What goes over the wire, and what each kind of answer becomes, against a scripted store.

use super::*;
use crate::request::{PaymentChoice, RequestDelivery};
use crate::testing::{Scripted, answer};

async fn store(answers: Vec<String>) -> (Scripted, Client) {
    let store = Scripted::start(answers).await;
    let client = Client::new(&store.base_url, Identity::default()).expect("a loopback address is a base URL");
    (store, client)
}

fn request_line(request: &str) -> &str {
    request.lines().next().expect("a request has a first line")
}

fn has_header(request: &str, line: &str) -> bool {
    request.lines().any(|header| header.eq_ignore_ascii_case(line))
}

fn some_order() -> OrderRequest {
    let line = RequestDelivery { brand_name: "Corner Shop".to_owned(), ..RequestDelivery::default() };
    OrderRequest::new("user@shop.example", PaymentChoice::via("USER_WALLET", "USDC", None), vec![line])
}

#[tokio::test]
async fn the_identity_goes_with_every_call() {
    let mut store = Scripted::start(vec![answer("200 OK", "[]")]).await;
    let identity = Identity {
        application: Some("partner-1".to_owned()),
        version: Some("2.0".to_owned()),
        bearer: Some("token-1".to_owned()),
    };
    let client = Client::new(&store.base_url, identity).expect("the identity is printable");
    assert!(client.payment_vias().await.expect("an empty list is an answer").is_empty());
    let request = store.request();
    assert_eq!(request_line(&request), "GET /v3/payment_vias HTTP/1.1");
    for line in [
        "x-cr-application: partner-1",
        "x-cr-version: 2.0",
        "authorization: Bearer token-1",
        "accept: application/json",
        "content-type: application/json",
    ] {
        assert!(has_header(&request, line), "{line} in {request}");
    }
    assert!(!format!("{client:?}").contains("token-1"));
}

#[tokio::test]
async fn names_are_escaped_in_paths_and_queries() {
    let (mut store, client) =
        store(vec![answer("200 OK", "[]"), answer("200 OK", "[]"), answer("404 Not Found", "{}")]).await;
    let wanted =
        ProductsQuery { country_code: "US", brand_name: Some("B&B Café"), coin: Some("USDC"), ..Default::default() };
    client.products(wanted).await.expect("an empty list is an answer");
    assert_eq!(
        request_line(&store.request()),
        "GET /v5/products/country/US?brand_name=B%26B+Caf%C3%A9&coin=USDC HTTP/1.1"
    );
    client.search("IT", "a/b", None).await.expect("an empty list is an answer");
    assert_eq!(request_line(&store.request()), "GET /v2/search/IT?q=a%2Fb HTTP/1.1");
    assert!(client.order("../x").await.is_err());
    assert_eq!(request_line(&store.request()), "GET /v5/orders/..%2Fx HTTP/1.1");
}

#[tokio::test]
async fn a_prefix_of_the_base_url_is_kept() {
    for prefix in ["/shop", "/shop/"] {
        let mut store = Scripted::start(vec![answer("200 OK", "[]")]).await;
        let base = format!("{}{prefix}", store.base_url);
        let client = Client::new(&base, Identity::default()).expect("a prefix is allowed");
        client.available_countries().await.expect("an empty list is an answer");
        assert_eq!(request_line(&store.request()), "GET /shop/api/available-countries HTTP/1.1");
    }
}

#[tokio::test]
async fn an_order_is_posted_with_its_key_as_a_quoted_string() {
    let refusal =
        r#"{"status":422,"detail":"OUT_OF_STOCK","message":"OUT_OF_STOCK","problems":[{"problem":"OUT_OF_STOCK"}]}"#;
    let (mut store, client) = store(vec![answer("422 Unprocessable Entity", refusal)]).await;
    let error = client.create_order(&some_order(), Some(r#"a"b\c"#)).await.expect_err("the store refuses");
    let ClientError::Refused { status, body, .. } = &error else { panic!("another error: {error:?}") };
    assert_eq!((*status, body.code(), body.problems.len()), (422, "OUT_OF_STOCK", 1));
    let request = store.request();
    assert_eq!(request_line(&request), "POST /v5/orders HTTP/1.1");
    assert!(has_header(&request, r#"idempotency-key: "a\"b\\c""#), "{request}");
    let (_, sent) = request.split_once("\r\n\r\n").expect("a request has a body");
    let sent: OrderRequest = serde_json::from_str(sent).expect("the body is the order");
    assert_eq!(sent, some_order());
}

#[tokio::test]
async fn a_key_that_is_no_header_is_refused_before_anything_is_sent() {
    let (_store, client) = store(vec![]).await;
    for key in ["", "line\nbreak", "é", "k".repeat(256).as_str()] {
        let error = client.create_order(&some_order(), Some(key)).await.expect_err("the key is wrong");
        assert!(matches!(error, ClientError::Setup { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn answers_without_a_reason_give_their_status() {
    let moved = "HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let answers = vec![moved.to_owned(), answer("502 Bad Gateway", "<html>"), answer("400 Bad Request", "{}")];
    let (_store, client) = store(answers).await;
    for expected in [302, 502, 400] {
        let error = client.currencies().await.expect_err("no answer is 2xx");
        assert!(matches!(error, ClientError::Status { status, .. } if status == expected), "{error:?}");
    }
}

#[tokio::test]
async fn an_answer_of_another_shape_names_the_call() {
    let (_store, client) = store(vec![answer("200 OK", r#"{"status":"ok"}"#)]).await;
    let error = client.homepage("US").await.expect_err("this is no envelope of brands");
    assert!(matches!(error, ClientError::Decode { call: "homepage", .. }), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_announces_too_much_is_not_read() {
    let huge = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", MAX_ANSWER_BYTES + 1);
    let (_store, client) = store(vec![huge]).await;
    let error = client.currencies().await.expect_err("too large");
    assert!(matches!(error, ClientError::TooLarge), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_turns_out_too_large_is_not_kept() {
    let endless = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}", " ".repeat(MAX_ANSWER_BYTES + 1));
    let (_store, client) = store(vec![endless]).await;
    let error = client.currencies().await.expect_err("too large");
    assert!(matches!(error, ClientError::TooLarge), "{error:?}");
}

#[tokio::test]
async fn an_answer_cut_short_is_a_transport_error_without_the_address() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\nconnection: close\r\n\r\n{";
    let (_store, client) = store(vec![cut.to_owned()]).await;
    let error = client.order("3c0d9a52").await.expect_err("the answer is cut short");
    assert!(matches!(error, ClientError::Transport(_)), "{error:?}");
    assert!(!format!("{error:?}").contains("3c0d9a52"));
}

#[tokio::test]
async fn an_error_says_when_to_come_back() {
    let busy =
        |body: &str| format!("HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\nconnection: close\r\n\r\n{body}");
    let dated = busy("{}").replace("after: 7", "after: Fri, 20 Nov 2026 11:35:00 GMT");
    let (_store, client) = store(vec![busy("{}"), busy(r#"{"detail":"TOO_MANY_REQUESTS"}"#), dated]).await;
    for expected in [Some(7), Some(7), None] {
        let error = client.order("o-1").await.expect_err("the store is busy");
        assert_eq!(error.retry_after_s(), expected, "{error:?}");
    }
}

#[tokio::test]
async fn an_id_stays_in_its_place_in_the_path() {
    let (mut store, client) = store(vec![answer("404 Not Found", "{}")]).await;
    for dots in ["", ".", ".."] {
        let error = client.order(dots).await.expect_err("no such address can be called");
        assert!(matches!(error, ClientError::Setup { .. }), "{dots}: {error:?}");
        assert!(client.qr(dots).await.is_err() && client.search(dots, "a", None).await.is_err(), "{dots}");
    }
    assert!(client.order("../brands?a=1#b").await.is_err());
    assert_eq!(request_line(&store.request()), "GET /v5/orders/..%2Fbrands%3Fa=1%23b HTTP/1.1");
}

#[tokio::test]
async fn a_picture_comes_as_its_bytes() {
    let (mut store, client) = store(vec![answer("200 OK", "PNG")]).await;
    assert_eq!(client.qr("o-1").await.expect("an answer"), b"PNG");
    let request = store.request();
    assert_eq!(request_line(&request), "GET /v3/qrs/o-1 HTTP/1.1");
    assert!(has_header(&request, "accept: image/png"), "{request}");
}

#[test]
fn base_urls_and_identities_are_checked() {
    for base in ["", "shop.example", "ftp://shop.example", "https://shop.example/?a=1", "https://shop.example/#top"] {
        let error = Client::new(base, Identity::default()).expect_err("not a base URL");
        assert!(matches!(error, ClientError::Setup { .. }), "{base}: {error:?}");
    }
    let identity = Identity { bearer: Some("line\nbreak".to_owned()), ..Identity::default() };
    assert!(!format!("{identity:?}").contains("break"));
    assert!(Client::new("https://shop.example", identity).is_err());
    assert!(Client::new("https://shop.example", Identity::default()).is_ok());
}
