//! What is kept and for how long, and the three forms in which an answer leaves: whole, compressed, not at all.

use super::super::catalogue::{PriceQuestion, ProductsQuestion, Terms};
use super::super::reads::Endpoint;
use super::super::testing::{self, NOW};
use super::*;
use crate::engine::Snapshot;
use flate2::read::GzDecoder;
use std::io::Read;

const SECOND: Span = Span::seconds(1);

fn view(snapshot: &Snapshot, now: Time) -> View<'_> {
    View { snapshot, logo_base: "https://shop.example/logos", product_type: "physical", now }
}

fn asked(query: &str) -> Asked<'_> {
    Asked { endpoint: Endpoint::Brands, path: "/v2/brands", query, country: "", partner: "" }
}

fn brands() -> Question {
    Question::Brands { country: "US".to_owned() }
}

fn products(brand: &str) -> Question {
    let terms = Terms { coin: Some("USDC".to_owned()), ..Terms::default() };
    let (country, language) = ("US".to_owned(), "en".to_owned());
    Question::Products(ProductsQuestion { country, family: None, brand: Some(brand.to_owned()), language, terms })
}

fn headers(fields: &[(header::HeaderName, &str)]) -> HeaderMap {
    fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).expect("a value"))).collect()
}

async fn bytes(response: Response) -> Bytes {
    axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a body in memory")
}

#[test]
fn a_second_request_gets_the_same_bytes_and_other_spellings_do_too() {
    let (answers, snapshot) = (Answers::default(), testing::snapshot());
    let (one, other) = (asked("country_code=US"), asked("cid=7&country_code=US"));
    assert!(answers.recall(&one, 1, NOW).is_none());
    let first = answers.answer(&one, brands(), &view(&snapshot, NOW)).expect("an answer");
    let again = answers.recall(&one, 1, NOW).expect("it is kept");
    assert!(Arc::ptr_eq(&first, &again));
    assert!(answers.recall(&other, 1, NOW).is_none());
    let spelled = answers.answer(&other, brands(), &view(&snapshot, NOW)).expect("an answer");
    assert!(Arc::ptr_eq(&first, &spelled) && answers.recall(&other, 1, NOW).is_some());
    for different in [
        Asked { country: "DE", ..one },
        Asked { partner: "x", ..one },
        Asked { path: "/v2/homepage", endpoint: Endpoint::Homepage, ..one },
        asked("country_code=DE"),
        asked(""),
    ] {
        assert!(answers.recall(&different, 1, NOW).is_none(), "{different:?}");
    }
}

#[test]
fn a_new_snapshot_ends_all_answers_and_a_late_old_one_is_not_kept() {
    let (answers, old) = (Answers::default(), testing::snapshot());
    let new = Snapshot { serial: 2, ..testing::snapshot() };
    let (one, other) = (asked("country_code=US"), asked("x"));
    answers.answer(&one, brands(), &view(&old, NOW)).expect("an answer");
    assert!(answers.recall(&one, 2, NOW).is_none());
    answers.answer(&one, brands(), &view(&new, NOW)).expect("an answer");
    assert!(answers.recall(&one, 2, NOW).is_some() && answers.recall(&one, 1, NOW).is_none());
    answers.answer(&other, products("Steam"), &view(&old, NOW)).expect("an answer");
    assert!(answers.recall(&other, 1, NOW).is_none() && answers.recall(&one, 2, NOW).is_some());
}

#[test]
fn answers_with_prices_end_by_time() {
    let (answers, snapshot) = (Answers::default(), testing::snapshot());
    let (one, other, lasting) = (asked("one"), asked("other"), asked("lasting"));
    let first = answers.answer(&one, products("Steam"), &view(&snapshot, NOW)).expect("an answer");
    answers.answer(&other, products("Steam"), &view(&snapshot, NOW)).expect("an answer");
    answers.answer(&lasting, brands(), &view(&snapshot, NOW)).expect("an answer");
    let (before, after) = (NOW + Span(PRICED_LIFETIME.0 - 1), NOW + PRICED_LIFETIME);
    assert!(answers.recall(&one, 1, before).is_some());
    assert!(answers.recall(&one, 1, after).is_none());
    assert!(answers.recall(&one, 1, Time(NOW.0 - 1)).is_none(), "the clock was set back");
    let second = answers.answer(&one, products("Steam"), &view(&snapshot, after)).expect("an answer");
    assert!(!Arc::ptr_eq(&first, &second));
    assert!(answers.recall(&one, 1, after + SECOND).is_some());
    // The replaced answer is gone with all of its spellings.
    assert!(answers.recall(&other, 1, NOW).is_none());
    drop(second);
    assert_eq!(Arc::strong_count(&first), 1);
    assert!(answers.recall(&lasting, 1, NOW + Span::hours(1)).is_some());
}

#[test]
fn what_is_quicker_made_anew_is_not_kept() {
    let (answers, snapshot) = (Answers::default(), testing::snapshot());
    let terms = Terms { coin: Some("USDC".to_owned()), ..Terms::default() };
    let (country, brand) = ("US".to_owned(), "Airbnb".to_owned());
    let price = Question::Price(PriceQuestion { country, brand, face_value: "75".to_owned(), terms });
    for question in [price, products("nonesuch")] {
        answers.answer(&asked("x"), question.clone(), &view(&snapshot, NOW)).expect("an answer");
        assert!(answers.recall(&asked("x"), 1, NOW).is_none(), "{question:?}");
    }
    let unknown = Question::Brands { country: "ZZ".to_owned() };
    assert!(answers.answer(&asked("x"), unknown, &view(&snapshot, NOW)).is_err());
    assert!(answers.recall(&asked("x"), 1, NOW).is_none());
    let long = "x".repeat(LONGEST_TEXT);
    answers.answer(&asked(&long), brands(), &view(&snapshot, NOW)).expect("an answer");
    assert!(answers.recall(&asked(&long), 1, NOW).is_none());
}

#[test]
fn what_is_kept_has_an_end() {
    let answer = |bytes: usize| {
        let small = Answer::new(Vec::new(), &brands(), NOW);
        Arc::new(Answer { body: vec![b' '; bytes].into(), ..small })
    };
    let question = |number: usize| Question::Brands { country: number.to_string() };
    let mut kept = Kept::default();
    let small = answer(10);
    for number in 0..MOST_ANSWERS {
        kept.keep(question(number), &small);
    }
    assert_eq!((kept.answers.len(), kept.bytes), (MOST_ANSWERS, MOST_ANSWERS * small.cost()));
    kept.keep(question(MOST_ANSWERS), &small);
    assert_eq!((kept.answers.len(), kept.bytes), (1, small.cost()));
    let large = answer(MOST_BYTES / 4);
    kept.keep(question(0), &large);
    kept.keep(question(0), &small);
    assert_eq!((kept.answers.len(), kept.bytes), (2, 2 * small.cost()), "replaced, not added");
    kept.keep(question(1), &large);
    kept.keep(question(2), &large);
    assert_eq!(kept.answers.len(), 1, "two of them and their compressed forms are too much");
    for number in 0..=MOST_TEXTS {
        let number = u64::try_from(number).expect("a small number");
        kept.note(number, &asked("x"), &small);
    }
    assert_eq!(kept.texts.len(), 1);
}

#[tokio::test]
async fn a_body_leaves_whole_with_its_headers() {
    let snapshot = testing::snapshot();
    let body = view(&snapshot, NOW).answer(&brands()).expect("an answer");
    let answer = Answer::new(body.clone(), &brands(), NOW);
    let response = answer.response(&HeaderMap::new()).await;
    assert_eq!(response.status(), StatusCode::OK);
    let head = response.headers().clone();
    assert_eq!(head[header::CONTENT_TYPE], "application/json");
    assert_eq!(head[header::CACHE_CONTROL], CACHE_CONTROL);
    assert_eq!(head[header::VARY], "Accept-Encoding, X-Country-ISO-Code");
    assert!(head.get(header::CONTENT_ENCODING).is_none());
    assert_eq!(bytes(response).await, body);
    let tag = head[header::ETAG].to_str().expect("ASCII");
    assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() == 34, "{tag}");
    let same = Answer::new(body.clone(), &brands(), NOW + SECOND);
    assert_eq!(same.plain[header::ETAG], head[header::ETAG], "the tag is that of the bytes");
    let other = Answer::new([&body[..], b" "].concat(), &brands(), NOW);
    assert_ne!(other.plain[header::ETAG], head[header::ETAG]);
    let priced = Answer::new(body, &products("Steam"), NOW);
    assert_eq!(priced.plain[header::VARY], "Accept-Encoding, X-Cr-Application");
}

#[tokio::test]
async fn a_body_is_compressed_for_whoever_takes_it() {
    let snapshot = testing::snapshot();
    let body = view(&snapshot, NOW).answer(&brands()).expect("an answer");
    assert!(body.len() > LEAST_COMPRESSED);
    let answer = Answer::new(body.clone(), &brands(), NOW);
    for accepted in ["gzip", "br, GZIP;q=0.5", "deflate, *", "x-gzip"] {
        let response = answer.response(&headers(&[(header::ACCEPT_ENCODING, accepted)])).await;
        assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip", "{accepted}");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        assert_ne!(response.headers()[header::ETAG], answer.plain[header::ETAG]);
        let packed = bytes(response).await;
        assert!(packed.len() < body.len());
        let mut unpacked = Vec::new();
        GzDecoder::new(&packed[..]).read_to_end(&mut unpacked).expect("gzip");
        assert_eq!(unpacked, body);
    }
    for refused in ["", "br", "gzip;q=0", "gzip; q=0.000, *", "*;q=0", "identity"] {
        let response = answer.response(&headers(&[(header::ACCEPT_ENCODING, refused)])).await;
        assert!(response.headers().get(header::CONTENT_ENCODING).is_none(), "{refused}");
    }
    let small = Answer::new(b"{}".to_vec(), &brands(), NOW);
    let response = small.response(&headers(&[(header::ACCEPT_ENCODING, "gzip")])).await;
    assert!(response.headers().get(header::CONTENT_ENCODING).is_none(), "too small to gain");
}

#[tokio::test]
async fn whoever_has_it_is_not_sent_it_again() {
    let snapshot = testing::snapshot();
    let body = view(&snapshot, NOW).answer(&brands()).expect("an answer");
    let answer = Answer::new(body, &brands(), NOW);
    let tag = answer.plain[header::ETAG].to_str().expect("ASCII").to_owned();
    let packed_tag = answer.compressed[header::ETAG].to_str().expect("ASCII").to_owned();
    let weak = format!("W/{tag}");
    let among = format!("\"x\" , {tag}");
    let (plain, packed) = (tag.as_str(), packed_tag.as_str());
    for (known, named) in
        [(plain, plain), (weak.as_str(), plain), (among.as_str(), plain), (packed, packed), ("*", plain)]
    {
        let response = answer.response(&headers(&[(header::IF_NONE_MATCH, known)])).await;
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{known}");
        assert_eq!(response.headers()[header::ETAG], named);
        assert!(
            response.headers().contains_key(header::CACHE_CONTROL) && response.headers().contains_key(header::VARY)
        );
        assert!(bytes(response).await.is_empty());
    }
    for unknown in ["\"x\"", "", plain.trim_matches('"')] {
        let response = answer.response(&headers(&[(header::IF_NONE_MATCH, unknown)])).await;
        assert_eq!(response.status(), StatusCode::OK, "{unknown}");
    }
}
