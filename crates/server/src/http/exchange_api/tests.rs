//! Parameters as clients send them, and the envelope.

use super::params::{Param, Params};
use super::*;
use axum::body::Bytes;
use axum::http::HeaderMap;

fn read(query: &str, kind: &str, body: &str) -> Result<Params, Fault> {
    let mut headers = HeaderMap::new();
    if !kind.is_empty() {
        headers.insert(header::CONTENT_TYPE, kind.parse().expect("a header"));
    }
    let query = (!query.is_empty()).then_some(query);
    futures_util::FutureExt::now_or_never(Params::read(query, &headers, Bytes::copy_from_slice(body.as_bytes())))
        .expect("nothing to wait for")
}

fn message(result: Result<Params, Fault>) -> String {
    result.expect_err("it is refused").to_json()["message"].as_str().expect("a message").to_owned()
}

fn text(value: &str) -> Param {
    Param::Text(value.to_owned())
}

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn the_same_order_is_the_same_as_json_form_and_multipart() {
    let list = Param::List(vec![Param::Map(vec![
        ("key".to_owned(), text("5d8e6002b80b7b4cd75a6499")),
        ("value".to_owned(), text("Z 1")),
    ])]);
    let json = read("", JSON, r#"{"amount":"-250","toValues":[{"key":"5d8e6002b80b7b4cd75a6499","value":"Z 1"}]}"#);
    let form = read("", FORM, "amount=-250&toValues[0][key]=5d8e6002b80b7b4cd75a6499&toValues%5B0%5D%5Bvalue%5D=Z+1");
    let part =
        |name: &str, value: &str| format!("--x\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let file = "--x\r\ncontent-disposition: form-data; name=\"image\"; filename=\"a.png\"\r\n\r\n\u{1}\r\n";
    let parts = [
        part("amount", "-250"),
        file.to_owned(),
        part("toValues[0][key]", "5d8e6002b80b7b4cd75a6499"),
        part("toValues[0][value]", "Z 1"),
        "--x--\r\n".to_owned(),
    ];
    let multipart = read("", "multipart/form-data; boundary=x", &parts.concat());
    for params in [json, form, multipart] {
        let params = params.expect("parameters");
        assert_eq!(params.get("toValues"), Some(&list));
        assert_eq!(params.text("amount", 40).expect("a text").as_deref(), Some("-250"));
    }
}

#[test]
fn the_body_wins_and_query_lists_are_lists_of_texts() {
    let params = read("a=1&ids[]=7&ids[]=8&n=1", JSON, r#" { "n" : 1.50, "z" : null } "#).expect("parameters");
    assert_eq!(params.get("ids"), Some(&Param::List(vec![text("7"), text("8")])));
    // A number keeps its digits; null is nothing.
    assert_eq!(params.get("n"), Some(&Param::Number("1.50".to_owned())));
    assert_eq!(params.get("z"), None);
    assert_eq!(params.texts("ids").expect("texts"), ["7", "8"]);
    assert_eq!(read("s=new,done", "", "").expect("parameters").texts("s").expect("texts"), ["new", "done"]);
}

#[test]
fn values_are_coerced_as_the_framework_does() {
    let params = read(
        "",
        JSON,
        r#"{"yes":1,"no":"false","odd":"maybe","n":"12","big":12.5,"m":{},"id":"5D8E6002B80B7B4CD75A6424"}"#,
    );
    let params = params.expect("parameters");
    assert_eq!(
        (params.flag("yes"), params.flag("no"), params.flag("none")),
        (Ok(Some(true)), Ok(Some(false)), Ok(None))
    );
    assert!(params.flag("odd").is_err() && params.flag("m").is_err());
    assert_eq!(params.integer("n", 1..=20), Ok(Some(12)));
    assert!(params.integer("n", 1..=10).is_err() && params.integer("big", 1..=20).is_err());
    assert_eq!(params.object_id("id"), Ok(Some(domain::ids::ObjectId::new("5d8e6002b80b7b4cd75a6424"))));
    assert!(params.object_id("n").is_err() && params.text("m", 9).is_err() && params.text("id", 9).is_err());
    assert_eq!(message(params.must_text("none", 9).map(|_| Params::default())), "param \"none\" required");
}

#[test]
fn bodies_that_nobody_would_send_are_refused_with_a_reason() {
    let deep = format!("{}1{}", "[".repeat(9), "]".repeat(9));
    let many = format!("{{\"a\":[{}1]}}", "1,".repeat(10_000));
    let brackets = format!("a{}=1", "[b]".repeat(9));
    let table = [
        (JSON, "{", "the body is not JSON: line 1"),
        (JSON, "[1]", "the body must be a JSON object"),
        (JSON, r#"{"a":1,"a":2}"#, "param \"a\" is given twice"),
        (JSON, r#"{"a":{"b":1,"b":2}}"#, "param \"b\" is given twice"),
        (JSON, r#"{"a":"\u0000"}"#, "a text holds the character NUL"),
        (JSON, &many, "more than 1000 values"),
        (JSON, &format!("{{\"a\":{deep}}}"), "values are nested more than 8 deep"),
        (FORM, "a=1&a=2", "param \"a\" is given twice"),
        (FORM, "a[b]=1&a=2", "param \"a\" is given twice"),
        (FORM, "a=1&a[b]=2", "param \"a[b]\" is given twice"),
        (FORM, "a=%00", "a text holds the character NUL"),
        (FORM, &"a[]=1&".repeat(10_000), "more than 1000 values"),
        (FORM, &brackets, "values are nested more than 8 deep"),
        ("multipart/form-data", "x", "the form cannot be read"),
        ("multipart/form-data; boundary=x", "--x\r\ncontent", "the form cannot be read"),
        ("image/png", "x", "a body of type \"image/png\" is not read"),
    ];
    for (kind, body, wanted) in table {
        let said = message(read("", kind, body));
        assert!(said.starts_with(wanted), "{kind} {}: {said}", &body[..body.len().min(40)]);
    }
    // JSON deeper than any parser of ours goes.
    assert!(read("", JSON, &format!("{{\"a\":{}", "[".repeat(200_000))).is_err());
    // Brackets that do not close are letters.
    assert_eq!(read("", FORM, "a[b=1").expect("parameters").get("a[b"), Some(&text("1")));
}

/// docs/merchants.md, Limits: those of the query, of the body and of one text with commas alike, nested ones too.
#[test]
fn a_call_has_at_most_a_thousand_values_wherever_they_stand() {
    let list = |items: usize| format!("{{\"a\":[{}1]}}", "1,".repeat(items - 1));
    assert!(read("", JSON, &list(999)).is_ok() && read("", JSON, &list(1_000)).is_err());
    assert!(message(read("b=1", JSON, &list(999))).starts_with("more than 1000 values"));
    let nested: String = (0..300).map(|number| format!("a{number}[b][c][d]=1&")).collect();
    assert!(message(read("", FORM, &nested)).starts_with("more than 1000 values"));
    let commas = |parts: usize| read(&format!("a={}", "b,".repeat(parts)), "", "").expect("parameters").texts("a");
    assert!(commas(1_000).is_ok_and(|texts| texts.len() == 1_000) && commas(1_001).is_err());
}

fn said(result: Result<Answer, Fault>, now: Time, latency_ms: i64) -> Value {
    serde_json::from_str(&envelope(result, now, latency_ms)).expect("an envelope is JSON")
}

/// Trap 6: `data` never empty; trap 7: `error.object` always an object.
#[test]
fn trap_6_data_is_never_empty_and_trap_7_object_is_always_an_object() {
    for empty in [Value::Null, json!({})] {
        assert_eq!(said(Ok(empty.into()), Time(0), 0)["data"], json!({ "ok": 1 }));
    }
    for fault in
        [Fault::missing("a"), Fault::no_route(), Fault::closed(), Fault::too_many(3), Fault::unknown_method("x")]
    {
        let answer = said(Err(fault), Time(0), 0);
        assert!(answer["success"] == json!(false) && answer["error"]["object"].is_object(), "{answer}");
        assert!(answer["error"]["errorCode"].as_u64().is_some_and(|code| code < 1 << 53), "{answer}");
    }
}

#[test]
fn a_request_id_is_the_time_and_seven_letters() {
    let answer = said(Ok(Value::Null.into()), Time(1_742_774_343_407), 26);
    let id = answer["requestId"].as_str().expect("an id");
    let (time, letters) = id.split_once('-').expect("two parts");
    assert_eq!(time, "1742774343407");
    assert!(letters.len() == 7 && letters.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
    assert_eq!(answer["latency_ms"], 26);
}
