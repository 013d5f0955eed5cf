//! What the two engines' common face promises: values, lists, bulk writes, transactions, migrations.

use super::databases::{everything, for_each_store, is_lasting, read, refused, write};
use crate::harness::START;
use server::store::head::{self, Head};
use server::store::{Access, Bulk, Column, DbError, Val, claims, orders, settings, stock, transfers};
use std::collections::BTreeMap;

/// A character of every Unicode plane, and what quoting, escaping and JSON may trip over; everything but NUL.
fn every_plane() -> String {
    let of_planes = (0..=16_u32).filter_map(|plane| char::from_u32((plane << 16) | 0xabcd));
    let awkward = "\u{1}\u{8}\t\n\r\u{1f}\u{7f}'\"\\/$1 ?1 %_{}[]<>&\u{80}\u{feff}\u{fffd}\u{ffff}\u{10ffff}";
    of_planes.chain(awkward.chars()).collect()
}

fn readers(rows: Vec<Vec<Val>>) -> Bulk<'static> {
    Bulk { columns: &[Column::Text, Column::Int], rows }
}

#[test]
fn texts_of_every_plane_and_the_ends_of_the_integers_come_back() {
    assert_eq!(every_plane().chars().filter(|character| (*character as u32) & 0xffff == 0xabcd).count(), 17);
    for_each_store(|conn| {
        let planes = every_plane();
        for (text, number) in [(planes.as_str(), i64::MIN), ("", i64::MAX), ("'; drop table settings; --", -1)] {
            write(conn, |tx| settings::set(tx, text, text));
            write(conn, |tx| settings::set_cursor(tx, text, number));
            assert_eq!(read(conn, |tx| settings::get(tx, text)).as_deref(), Some(text));
            assert_eq!(read(conn, |tx| settings::cursor(tx, text)), number);

            // A list takes another way into SQLite than a single value.
            let listed = vec!["nobody".to_owned(), text.to_owned()];
            let sql = "select reader, seq from cursors where reader = any($1)";
            let rows = read(conn, |tx| tx.query(sql, &[listed.into()]));
            assert_eq!(rows.len(), 1);
            assert_eq!((rows[0].text(0), rows[0].int(1)), (text, number));

            // So do the arrays of a bulk write into PostgreSQL.
            let many: Vec<Vec<Val>> =
                vec![vec![format!("{text}+").into(), number.into()], vec![format!("{text}-").into(), 0.into()]];
            write(conn, |tx| tx.insert_all("cursors (reader, seq)", "", readers(many)));
            assert_eq!(read(conn, |tx| settings::cursor(tx, &format!("{text}+"))), number);
        }
    });
}

#[test]
fn rows_tell_numbers_texts_and_nothing_apart() {
    for_each_store(|conn| {
        let row = read(conn, |tx| tx.query_one("select 1, 'a', null", &[])).expect("one row");
        assert_eq!((row.int(0), row.text(1)), (1, "a"));
        assert_eq!((row.opt_int(0), row.opt_text(1)), (Some(1), Some("a")));
        assert_eq!((row.opt_int(2), row.opt_text(2)), (None, None));
        let none = read(conn, |tx| tx.query_one("select value from settings where name = $1", &["none".into()]));
        assert_eq!(none, None);

        let columns = &[Column::Text, Column::Text, Column::Text, Column::Text, Column::Text, Column::Int];
        let code = |id: &str, print: Option<&str>| -> Vec<Val> {
            vec![id.into(), "sku".into(), "sealed".into(), print.into(), "ready".into(), 0.into()]
        };
        let rows = vec![code("with", Some("print")), code("without", None), code("without too", None)];
        let target = "codes (id, sku, sealed, fingerprint, state, added_at_ms)";
        write(conn, |tx| tx.insert_all(target, "", Bulk { columns, rows }));
        let kept = read(conn, |tx| tx.query("select fingerprint from codes order by id", &[]));
        let kept: Vec<Option<&str>> = kept.iter().map(|row| row.opt_text(0)).collect();
        assert_eq!(kept, [Some("print"), None, None]);
    });
}

#[test]
fn bulk_writes_of_none_one_and_three_hundred_rows() {
    for_each_store(|conn| {
        for count in [0_i64, 1, 300] {
            let name = |at: i64| format!("{count}-{at}");
            let rows = |factor: i64| -> Vec<Vec<Val>> {
                (0..count).map(|at| vec![name(at).into(), (at * factor).into()]).collect()
            };
            let upsert = "on conflict (reader) do update set seq = excluded.seq returning reader, seq";
            for factor in [1, 2] {
                let written = write(conn, |tx| tx.insert_all("cursors (reader, seq)", upsert, readers(rows(factor))));
                let total: i64 = written.iter().map(|row| row.int(1)).sum();
                assert_eq!((written.len() as i64, total), (count, factor * count * (count - 1) / 2));
            }

            let add = "update cursors set seq = cursors.seq + v.c2 from v where cursors.reader = v.c1 \
                returning cursors.seq";
            let mut wanted = rows(3);
            wanted.push(vec!["nobody".into(), 1.into()]);
            let changed = write(conn, |tx| tx.with_rows(add, readers(wanted)));
            assert_eq!(changed.len() as i64, count, "a row that does not exist is not changed");
            for at in 0..count {
                assert_eq!(read(conn, |tx| settings::cursor(tx, &name(at))), at * 5);
            }
            let deleted = write(conn, |tx| tx.execute("delete from cursors where seq >= $1", &[0.into()]));
            assert_eq!(deleted as i64, count);
        }
    });
}

#[test]
fn empty_lists_ask_for_nothing_and_change_nothing() {
    for_each_store(|conn| {
        write(conn, |tx| settings::set_cursor(tx, "reader", 1));
        let before = everything(conn);
        let sql = "select reader from cursors where reader = any($1)";
        assert!(read(conn, |tx| tx.query(sql, &[Vec::<String>::new().into()])).is_empty());
        read(conn, |tx| {
            assert!(orders::by_ids(tx, &[])?.is_empty());
            assert!(claims::replays(tx, &[])?.is_empty());
            assert!(claims::address_owners(tx, Vec::new())?.is_empty());
            assert!(claims::counters(tx, &[])?.is_empty());
            assert!(claims::stock(tx, &[])?.is_empty());
            assert!(claims::free_codes(tx, &BTreeMap::new(), "2026-01-01")?.is_empty());
            assert!(stock::known_fingerprints(tx, Vec::new())?.is_empty());
            assert!(stock::sealed_of(tx, Vec::new())?.is_empty());
            assert!(transfers::facts(tx, &[])?.is_empty());
            Ok(())
        });
        write(conn, |tx| {
            orders::write(tx, &[])?;
            orders::append_events(tx, &[])?;
            orders::post(tx, &[])?;
            orders::rewrite_steps(tx, &[])?;
            orders::write_personal(tx, Vec::new())?;
            claims::remember(tx, Vec::new(), START)?;
            claims::own_addresses(tx, Vec::new())?;
            claims::write_counters(tx, Vec::new())?;
            claims::write_stock(tx, Vec::new())?;
            claims::take_codes(tx, Vec::new())?;
            claims::keep_goods(tx, Vec::new(), START)?;
            stock::add(tx, Vec::new(), START)?;
            stock::reseal(tx, Vec::new())?;
            transfers::mark_credited(tx, Vec::new())
        });
        assert_eq!(everything(conn), before);
    });
}

#[test]
fn an_error_rolls_back_everything_before_it() {
    for_each_store(|conn| {
        write(conn, |tx| settings::set(tx, "kept", "before"));
        let error = refused(conn, |tx| {
            settings::set(tx, "kept", "after")?;
            settings::set(tx, "new", "value")?;
            Err::<(), _>(DbError::Invariant("the test's own".to_owned()))
        });
        assert!(matches!(error, DbError::Invariant(_)), "{error:?}");

        // One row in three hundred that breaks a unique rule, after a write that went well.
        let error = refused(conn, |tx| {
            settings::set(tx, "kept", "after")?;
            let rows = (0..300_i64).map(|at| vec![format!("reader-{}", at % 299).into(), at.into()]);
            tx.insert_all("cursors (reader, seq)", "", readers(rows.collect()))
        });
        assert!(is_lasting(&error), "{error:?}");
        let error = refused(conn, |tx| tx.execute("delete from no_such_table", &[]));
        assert!(is_lasting(&error), "{error:?}");

        assert_eq!(read(conn, |tx| settings::get(tx, "kept")).as_deref(), Some("before"));
        assert_eq!(read(conn, |tx| settings::get(tx, "new")), None);
        assert!(read(conn, |tx| tx.query("select reader from cursors", &[])).is_empty());
        write(conn, |tx| settings::set(tx, "kept", "afterwards"));
        assert_eq!(read(conn, |tx| settings::get(tx, "kept")).as_deref(), Some("afterwards"));
    });
}

#[test]
fn a_transaction_may_end_with_an_error_of_its_caller() {
    #[derive(Debug)]
    enum Ended {
        Enough,
        Database(DbError),
    }
    impl From<DbError> for Ended {
        fn from(error: DbError) -> Self {
            Ended::Database(error)
        }
    }
    for_each_store(|conn| {
        let ended = conn.tx(Access::Write, |tx| {
            settings::set(tx, "name", "value")?;
            Err::<(), _>(Ended::Enough)
        });
        assert!(matches!(ended, Err(Ended::Enough)), "{ended:?}");
        let broken = conn.tx(Access::Write, |tx| Ok::<_, Ended>(tx.execute("not SQL", &[])?));
        assert!(matches!(&broken, Err(Ended::Database(error)) if is_lasting(error)), "{broken:?}");
        assert_eq!(read(conn, |tx| settings::get(tx, "name")), None);
    });
}

#[test]
fn migrations_that_run_again_change_nothing() {
    for_each_store(|conn| {
        let moved = Head { next_seq: 8, next_no: 1_005, last_at: START, epoch: 1 };
        write(conn, |tx| head::advance(tx, &moved));
        let before = everything(conn);
        for _ in 0..2 {
            conn.migrate().expect("nothing is left to do");
        }
        assert_eq!(everything(conn), before);
    });
}

#[test]
fn only_what_may_go_well_the_next_time_is_passing() {
    let sqlite = |code| DbError::Sqlite(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None));
    // SQLite's result codes: busy, locked, input or output error, disk full.
    for code in [5, 6, 10, 13] {
        assert!(sqlite(code).is_passing(), "{code}");
    }
    // An SQL error, a file that must not be written, a damaged file, a broken constraint.
    for code in [1, 8, 11, 19] {
        assert!(!sqlite(code).is_passing(), "{code}");
    }
    assert!(DbError::Overloaded.is_passing() && DbError::Clock(31_000).is_passing());
    assert!(!DbError::Invariant(String::new()).is_passing() && !DbError::Corrupt { what: "order" }.is_passing());
    assert!(!DbError::Open(String::new()).is_passing());
}
