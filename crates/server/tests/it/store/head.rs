//! The locked head row, and the small named values beside it: batches, settings, cursors, leases.

use super::databases::{for_each_store, is_postgres, now, read, refused, write};
use domain::time::{Span, Time};
use server::store::head::{self, Head};
use server::store::{DbError, settings};

#[test]
fn numbers_begin_at_one_and_move_only_by_a_commit() {
    for_each_store(|conn| {
        let now = now(conn);
        let first = write(conn, |tx| head::lock(tx, now));
        assert_eq!(first, Head { next_seq: 1, next_no: 1_001, last_at: Time(0), epoch: 1 });
        assert_eq!(read(conn, head::last_seq), 0);

        let later = Head { next_seq: 5, next_no: 1_003, last_at: now, epoch: 1 };
        write(conn, |tx| head::advance(tx, &later));
        assert_eq!(write(conn, |tx| head::lock(tx, now)), later);
        assert_eq!(read(conn, head::last_seq), 4);

        let lost = Head { next_seq: 9, ..later.clone() };
        refused(conn, |tx| {
            head::advance(tx, &lost)?;
            Err::<(), _>(DbError::Overloaded)
        });
        assert_eq!(write(conn, |tx| head::lock(tx, now)), later);
    });
}

#[test]
fn a_clock_far_from_the_databases_does_not_commit() {
    for_each_store(|conn| {
        let now = now(conn);
        for wrong in [now + Span::seconds(40), Time(now.0 - 40_000)] {
            if is_postgres(conn) {
                let error = refused(conn, |tx| head::lock(tx, wrong));
                assert!(matches!(error, DbError::Clock(apart) if apart > 30_000), "{error:?}");
                assert!(error.is_passing(), "a clock can be set right");
            } else {
                // A file has no clock but ours.
                write(conn, |tx| head::lock(tx, wrong));
            }
        }
    });
}

#[test]
fn each_process_remembers_its_last_batch() {
    for_each_store(|conn| {
        assert_eq!(read(conn, |tx| head::last_batch(tx, "a")), None);
        for batch in [7, 8] {
            write(conn, |tx| head::note_batch(tx, "a", batch));
            assert_eq!(read(conn, |tx| head::last_batch(tx, "a")), Some(batch));
        }
        write(conn, |tx| head::note_batch(tx, "b", 1));
        assert_eq!(read(conn, |tx| head::last_batch(tx, "a")), Some(8));
    });
}

#[test]
fn named_values_are_set_and_set_again() {
    for_each_store(|conn| {
        assert_eq!(read(conn, |tx| settings::get(tx, "name")), None);
        for value in ["one", "", "three"] {
            write(conn, |tx| settings::set(tx, "name", value));
            assert_eq!(read(conn, |tx| settings::get(tx, "name")).as_deref(), Some(value));
        }
        assert_eq!(read(conn, |tx| settings::get(tx, "Name")), None);
    });
}

#[test]
fn each_reader_has_a_cursor_of_its_own() {
    for_each_store(|conn| {
        assert_eq!(read(conn, |tx| settings::cursor(tx, "mail")), 0);
        write(conn, |tx| settings::set_cursor(tx, "mail", 41));
        write(conn, |tx| settings::set_cursor(tx, "stream", 7));
        write(conn, |tx| settings::set_cursor(tx, "mail", 42));
        assert_eq!(read(conn, |tx| Ok((settings::cursor(tx, "mail")?, settings::cursor(tx, "stream")?))), (42, 7));
    });
}
