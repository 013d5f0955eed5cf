//! What accounts sign in with, sessions, and mail about accounts.

use super::databases::{account, for_each_store, read, write};
use crate::harness::START;
use domain::time::{Span, Time};
use server::store::accounts::{self, Role};
use server::store::letters::{self, Letter, LetterKind};
use server::store::logins::{self, Login, Session};
use server::store::{api_keys, epoch};

fn login(account: &str, email: &str) -> Login {
    Login {
        account: account.to_owned(),
        email_hash: format!("hash of {email}"),
        email_sealed: format!("0000aaaa.{email}"),
        password: "argon2id$".to_owned().into(),
        confirmed_at: None,
        two_factor_at: None,
        generation: 0,
    }
}

#[test]
fn an_address_has_one_login_that_is_found_by_it_and_by_its_account() {
    for_each_store(|conn| {
        let one = login("one", "a");
        assert!(write(conn, |tx| logins::add(tx, &one)));
        assert!(!write(conn, |tx| logins::add(tx, &login("two", "a"))), "the address is used");
        assert!(!write(conn, |tx| logins::add(tx, &login("one", "b"))), "the account has one");
        assert_eq!(read(conn, |tx| logins::by_email(tx, "hash of a")), Some(one.clone()));
        assert_eq!(read(conn, |tx| logins::by_email(tx, "hash of b")), None);
        write(conn, |tx| logins::set_password(tx, "one", &"other".to_owned().into()));
        write(conn, |tx| logins::confirm(tx, "one", START));
        write(conn, |tx| logins::confirm(tx, "one", START + Span(1)));
        let confirmed = Login { password: "other".to_owned().into(), confirmed_at: Some(START), ..one };
        assert_eq!(read(conn, |tx| logins::of_account(tx, "one")), Some(confirmed));
        assert_eq!(read(conn, |tx| logins::of_account(tx, "two")), None);
    });
}

#[test]
fn a_step_is_taken_once_and_a_secret_changes_only_while_it_is_not_asked_for() {
    for_each_store(|conn| {
        write(conn, |tx| logins::add(tx, &login("one", "a")));
        assert_eq!(write(conn, |tx| logins::next_generation(tx, "one")), Some(1));
        for (step, taken) in [(7, true), (7, false), (6, false), (8, true)] {
            assert_eq!(write(conn, |tx| logins::claim_step(tx, "one", step)), taken, "{step}");
        }
        assert!(!write(conn, |tx| logins::turn_on_two_factor(tx, "one", 9, START)), "another secret");
        assert!(write(conn, |tx| logins::turn_on_two_factor(tx, "one", 1, START)));
        assert!(!write(conn, |tx| logins::turn_on_two_factor(tx, "one", 1, START)), "it is on");
        assert_eq!(write(conn, |tx| logins::next_generation(tx, "one")), None);
        let known = read(conn, |tx| logins::of_account(tx, "one")).expect("a login");
        assert_eq!((known.two_factor_at, known.generation), (Some(START), 1));
        assert!(write(conn, |tx| logins::turn_off_two_factor(tx, "one")));
        assert!(!write(conn, |tx| logins::turn_off_two_factor(tx, "one")), "it is off");
        assert_eq!(write(conn, |tx| logins::next_generation(tx, "one")), Some(2 + epoch::JUMP));
        assert!(write(conn, |tx| logins::claim_step(tx, "one", 7)), "steps of another secret");
    });
}

#[test]
fn addresses_are_sealed_again_unless_they_changed_meanwhile() {
    for_each_store(|conn| {
        for (account, email) in [("one", "a"), ("two", "b")] {
            write(conn, |tx| logins::add(tx, &login(account, email)));
        }
        assert!(read(conn, |tx| logins::sealed_by_older_keys(tx, "0000aaaa", 9)).is_empty());
        let older = read(conn, |tx| logins::sealed_by_older_keys(tx, "0000bbbb", 9));
        assert_eq!(older[1], ("two".to_owned(), "0000aaaa.b".to_owned()));
        let row = |account: &str, old: &str, new: &str| (account.to_owned(), old.to_owned(), new.to_owned());
        let rows = vec![row("one", "0000aaaa.a", "0000bbbb.a"), row("two", "another", "0000bbbb.b")];
        write(conn, |tx| logins::reseal(tx, rows));
        let older = read(conn, |tx| logins::sealed_by_older_keys(tx, "0000bbbb", 9));
        assert_eq!(older, [("two".to_owned(), "0000aaaa.b".to_owned())]);
    });
}

#[test]
fn a_session_lasts_until_its_end_its_account_s_or_somebody_s_word() {
    for_each_store(|conn| {
        let session = |hash: &str, account: &str, until: i64| Session {
            hash: hash.to_owned(),
            account: account.to_owned(),
            until: Time(until),
        };
        for id in ["one", "two"] {
            assert!(write(conn, |tx| accounts::add(tx, &account(id))));
        }
        for (hash, id, until) in [("a", "one", 10), ("b", "one", 20), ("c", "two", 30), ("d", "two", 30)] {
            write(conn, |tx| logins::begin_session(tx, &session(hash, id, until)));
        }
        assert_eq!(read(conn, |tx| logins::session(tx, "a", Time(9))), Some(session("a", "one", 10)));
        assert_eq!(read(conn, |tx| logins::session(tx, "a", Time(10))), None);
        write(conn, |tx| logins::prolong_session(tx, "a", Time(40)));
        assert_eq!(read(conn, |tx| logins::session(tx, "a", Time(10))), Some(session("a", "one", 40)));
        assert_eq!(write(conn, |tx| logins::forget_sessions(tx, Time(20))), 1);
        write(conn, |tx| logins::end_session(tx, "c"));
        assert_eq!(read(conn, |tx| logins::session(tx, "c", Time(0))), None);
        write(conn, |tx| accounts::set_active(tx, Role::Customer, "two", false));
        assert_eq!(read(conn, |tx| logins::session(tx, "d", Time(0))), None, "its account is closed");
        write(conn, |tx| logins::end_sessions(tx, "one"));
        assert_eq!(read(conn, |tx| logins::session(tx, "a", Time(0))), None);
    });
}

#[test]
fn a_letter_is_due_until_it_is_sent_and_its_code_good_until_it_is_old() {
    for_each_store(|conn| {
        let letter = |id: &str, account: &str, kind: LetterKind, until: i64| Letter {
            id: id.to_owned(),
            hash: format!("hash of {id}"),
            account: account.to_owned(),
            kind,
            language: "en".to_owned(),
            until: Time(until),
            attempts: 0,
            password: (kind == LetterKind::Confirm).then(|| format!("hash chosen with {id}").into()),
        };
        let (a, b) = (letter("a", "one", LetterKind::Confirm, 100), letter("b", "two", LetterKind::Reset, 50));
        write(conn, |tx| letters::plan(tx, &a, Time(5)));
        write(conn, |tx| letters::plan(tx, &b, Time(1)));
        assert_eq!(read(conn, |tx| letters::due(tx, Time(4), 9)), std::slice::from_ref(&b));
        assert_eq!(read(conn, |tx| letters::due(tx, Time(5), 9)), [b.clone(), a.clone()]);
        assert_eq!(read(conn, |tx| letters::due(tx, Time(5), 1)), std::slice::from_ref(&b));
        assert_eq!(read(conn, |tx| letters::due(tx, Time(50), 9)), std::slice::from_ref(&a), "too old to be sent");
        write(conn, |tx| letters::end(tx, "b", "sent"));
        write(conn, |tx| letters::retry(tx, "a", Time(7)));
        assert!(read(conn, |tx| letters::due(tx, Time(6), 9)).is_empty());
        assert_eq!(read(conn, |tx| letters::due(tx, Time(7), 9)), [Letter { attempts: 1, ..a.clone() }]);
        let opened = read(conn, |tx| letters::opened_by(tx, "hash of b", Time(49)));
        assert_eq!(opened, Some(Letter { attempts: 1, ..b }));
        assert_eq!(read(conn, |tx| letters::opened_by(tx, "hash of b", Time(50))), None);
        assert_eq!(write(conn, |tx| letters::forget(tx, Time(50))), 1);
        write(conn, |tx| letters::void(tx, "one"));
        assert_eq!(read(conn, |tx| letters::opened_by(tx, "hash of a", Time(0))), None);
        assert_eq!((LetterKind::Confirm.word(), LetterKind::Reset.word()), ("confirm", "reset"));
    });
}

#[test]
fn an_account_that_nobody_confirmed_is_forgotten_and_one_with_a_key_is_not() {
    for_each_store(|conn| {
        for name in ["new", "confirmed", "keyed"] {
            write(conn, |tx| accounts::add(tx, &account(name)));
            write(conn, |tx| logins::add(tx, &login(name, name)));
        }
        write(conn, |tx| logins::confirm(tx, "confirmed", START));
        let key = api_keys::ApiKey {
            key: "EX_1".to_owned(),
            account: "keyed".to_owned(),
            name: String::new(),
            permissions: "base".to_owned(),
            allowed_from: String::new(),
            ipn_retries: false,
            own: false,
            created_at: START,
        };
        assert!(write(conn, |tx| api_keys::add(tx, &key)));
        assert_eq!(write(conn, |tx| logins::forget_unconfirmed(tx, START)), 0, "it is new");
        let waits = Letter {
            id: "l".to_owned(),
            hash: "h".to_owned(),
            account: "new".to_owned(),
            kind: LetterKind::Confirm,
            language: "en".to_owned(),
            until: START + Span(9),
            attempts: 0,
            password: None,
        };
        write(conn, |tx| letters::plan(tx, &waits, START));
        assert_eq!(read(conn, |tx| letters::open(tx, "new", LetterKind::Confirm, START)), 1);
        assert_eq!(read(conn, |tx| letters::open(tx, "new", LetterKind::Reset, START)), 0);
        assert_eq!(write(conn, |tx| logins::forget_unconfirmed(tx, START + Span(1))), 0, "its mail is good");
        assert_eq!(write(conn, |tx| letters::forget(tx, START + Span(9))), 1);
        assert_eq!(write(conn, |tx| logins::forget_unconfirmed(tx, START + Span(1))), 1);
        assert_eq!(read(conn, |tx| accounts::by_id(tx, "new")), None);
        assert_eq!(read(conn, |tx| logins::of_account(tx, "new")), None);
        for name in ["confirmed", "keyed"] {
            assert!(read(conn, |tx| logins::of_account(tx, name)).is_some(), "{name}");
        }
    });
}
