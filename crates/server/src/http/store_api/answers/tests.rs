//! What is kept and for how long, and with which headers it leaves.

use super::super::catalogue::{PriceQuestion, ProductsQuestion, Terms};
use super::super::reads::Endpoint;
use super::super::testing::{self, NOW};
use super::*;
use crate::engine::Snapshot;

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
        Arc::new(Answer { form: Representation::new(vec![b' '; bytes].into(), HeaderMap::new()), ..small })
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
    let whole = |answer: Answer| async move { answer.form.response(&HeaderMap::new()).await };
    let response = whole(Answer::new(body.clone(), &brands(), NOW)).await;
    let head = response.headers().clone();
    assert_eq!(head[header::CONTENT_TYPE], "application/json");
    assert_eq!(head[header::CACHE_CONTROL], CACHE_CONTROL);
    assert_eq!(head[header::VARY], "Accept-Encoding, X-Country-ISO-Code");
    assert_eq!(axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a body in memory"), body);
    let same = whole(Answer::new(body.clone(), &brands(), NOW + SECOND)).await;
    assert_eq!(same.headers()[header::ETAG], head[header::ETAG], "the tag is that of the bytes");
    let priced = whole(Answer::new(body, &products("Steam"), NOW)).await;
    assert_eq!(priced.headers()[header::VARY], "Accept-Encoding, X-Cr-Application");
}
