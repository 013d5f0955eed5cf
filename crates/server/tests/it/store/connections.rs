//! Several connections to one database: waiting for each other, being lost, reading beside the writer, waking others.

use super::databases::{
    Database, for_each_shared_store, for_each_store, is_lasting, lose_patience, now, read, refused, write,
};
use crate::harness::Folder;
use server::store::{Conn, Db, DbError, Place, head, settings, signal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Signals are sent until one is heard, but not for ever.
const MOST_SIGNALS: usize = 20_000;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime")
}

#[test]
fn a_second_writer_waits_and_is_told_to_come_again() {
    for_each_shared_store(|database| {
        let (mut first, mut second) = (database.open(), database.connect());
        let now = now(&mut first);
        lose_patience(&mut second);
        write(&mut first, |tx| {
            head::lock(tx, now)?;
            let error = refused(&mut second, |tx| head::lock(tx, now));
            assert!(error.is_passing(), "{error:?}");
            Ok(())
        });
        write(&mut second, |tx| head::lock(tx, now));
    });
}

#[test]
fn what_is_not_committed_is_not_seen_by_others() {
    for_each_shared_store(|database| {
        let (mut writer, mut reader) = (database.open(), database.connect());
        write(&mut writer, |tx| {
            settings::set(tx, "name", "value")?;
            assert_eq!(read(&mut reader, |tx| settings::get(tx, "name")), None);
            Ok(())
        });
        assert_eq!(read(&mut reader, |tx| settings::get(tx, "name")).as_deref(), Some("value"));
    });
}

#[test]
fn a_second_process_finds_the_schema_in_place() {
    for_each_shared_store(|database| {
        let mut first = database.open();
        write(&mut first, |tx| settings::set(tx, "name", "value"));
        let mut second = database.open();
        assert_eq!(read(&mut second, |tx| settings::get(tx, "name")).as_deref(), Some("value"));
    });
}

#[test]
fn a_lost_connection_is_noticed_and_opened_again() {
    for_each_shared_store(|database| {
        let (mut conn, mut other) = (database.open(), database.connect());
        assert!(!conn.reopen_if_lost().expect("there is nothing to open"));
        let Conn::Postgres { client, .. } = &mut other else { return };
        let process = read(&mut conn, |tx| tx.query_one("select pg_backend_pid()", &[])).expect("a row").int(0);
        let process = i32::try_from(process).expect("process ids are small");
        client.execute("select pg_terminate_backend($1, 10000)", &[&process]).expect("the superuser may");

        let error = refused(&mut conn, head::last_seq);
        assert!(error.is_passing(), "{error:?}");
        assert!(conn.reopen_if_lost().expect("the server is still there"));
        assert_eq!(read(&mut conn, head::last_seq), 0);
        assert!(!conn.reopen_if_lost().expect("it is open again"));
    });
}

#[test]
fn a_file_is_durable_and_checked() {
    let folder = Folder::new();
    let conn = Conn::open(&Place::SqliteFile(folder.0.join("kiosk.db"))).expect("a new file");
    let Conn::Sqlite(connection) = &conn else { panic!("a file is SQLite's") };
    let pragma = |name: &str| {
        let value = connection.query_row(&format!("pragma {name}"), [], |row| row.get::<_, i64>(0));
        value.expect("a pragma with a number")
    };
    // 2 is FULL: a commit is on the disk when it returns.
    assert_eq!((pragma("synchronous"), pragma("foreign_keys")), (2, 1));
    let mode = connection.query_row("pragma journal_mode", [], |row| row.get::<_, String>(0));
    assert_eq!(mode.expect("a pragma with a text"), "wal");
    assert!(Conn::open(&Place::SqliteFile(folder.0.join("missing").join("kiosk.db"))).is_err());
}

#[test]
fn readers_see_what_is_committed() {
    for_each_shared_store(|database| {
        let mut conn = database.open();
        let readers = Db::open(&database.place, 2).expect("readers");
        let runtime = runtime();
        for value in ["one", "two", "three"] {
            write(&mut conn, |tx| settings::set(tx, "name", value));
            let found = runtime.block_on(readers.read(|tx| settings::get(tx, "name"))).expect("an answer");
            assert_eq!(found.as_deref(), Some(value));
        }
        let error = runtime.block_on(readers.read(|tx| tx.query("not SQL", &[]))).expect_err("it is not SQL");
        assert!(is_lasting(&error), "{error:?}");
    });
}

#[test]
fn a_read_that_panics_costs_nobody_else_an_answer() {
    for_each_shared_store(|database| {
        drop(database.open());
        let readers = Db::open(&database.place, 1).expect("a reader");
        let runtime = runtime();
        let broken = runtime.block_on(readers.read(|tx| {
            let row = tx.query_one("select 'text'", &[])?.expect("one row");
            Ok(row.int(0))
        }));
        assert!(matches!(broken, Err(DbError::Overloaded)), "{broken:?}");
        assert_eq!(runtime.block_on(readers.read(head::last_seq)).expect("an answer"), 0);
    });
}

#[test]
fn a_held_connection_reads_what_its_holder_wrote() {
    let mut conn = Conn::open(&Place::SqliteMemory).expect("memory");
    conn.migrate().expect("a schema");
    let conn = Arc::new(Mutex::new(conn));
    let readers = Db::held(conn.clone());
    write(&mut conn.lock().expect("nobody panicked"), |tx| settings::set(tx, "name", "value"));
    let found = runtime().block_on(readers.read(|tx| settings::get(tx, "name"))).expect("an answer");
    assert_eq!(found.as_deref(), Some("value"));
}

/// The sender must not fail where nobody can hear; the one who listens must not wait where nobody can speak.
#[test]
fn a_commit_wakes_whoever_listens() {
    for_each_store(|conn| write(conn, |tx| tx.notify("other")));
    for_each_shared_store(|database| {
        let mut conn = database.open();
        match &database.place {
            Place::Postgres(_) => assert!(wakes(database, &mut conn), "no signal was heard"),
            Place::SqliteFile(_) | Place::SqliteMemory => {
                signal::listen(&database.place, "own", || panic!("a file has no signals"))
                    .expect("there is nothing to wait for");
            }
        }
    });
}

fn wakes(database: &Database, conn: &mut Conn) -> bool {
    let (place, heard) = (database.place.clone(), Arc::new(AtomicBool::new(false)));
    let others = Arc::new(AtomicBool::new(false));
    let (told, from_others) = (heard.clone(), others.clone());
    let listening = std::thread::spawn(move || {
        signal::listen(&place, "own", || {
            assert!(from_others.load(Ordering::SeqCst), "its own signal is no news");
            told.store(true, Ordering::SeqCst);
            false
        })
    });
    (0..100).for_each(|_| write(conn, |tx| tx.notify("own")));
    others.store(true, Ordering::SeqCst);
    for _ in 0..MOST_SIGNALS {
        if heard.load(Ordering::SeqCst) {
            listening.join().expect("it does not panic").expect("it ends when it was told to");
            return true;
        }
        write(conn, |tx| tx.notify("other"));
    }
    false
}

#[test]
fn whoever_holds_the_log_keeps_other_writers_out() {
    for_each_shared_store(|database| {
        let (mut first, mut second) = (database.open(), database.connect());
        let now = now(&mut first);
        lose_patience(&mut second);
        write(&mut first, |tx| {
            head::hold(tx)?;
            let error = refused(&mut second, |tx| head::lock(tx, now));
            assert!(error.is_passing(), "{error:?}");
            Ok(())
        });
    });
}

#[test]
fn only_a_server_has_other_writers() {
    for_each_store(|conn| {
        let is_server = super::databases::is_postgres(conn);
        assert_eq!(write(conn, |tx| Ok(tx.has_other_writers())), is_server);
    });
}

#[test]
fn what_a_panic_left_open_is_rolled_back() {
    for_each_store(|conn| {
        let broken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            write(conn, |tx| -> Result<(), DbError> {
                settings::set(tx, "half", "done")?;
                panic!("an invariant is broken");
            });
        }));
        assert!(broken.is_err());
        conn.roll_back_after_panic().expect("a rollback");
        assert_eq!(read(conn, |tx| settings::get(tx, "half")), None);
    });
}
