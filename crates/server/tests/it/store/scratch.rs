//! The simulator's databases.

use super::databases::{for_each_shared_store, for_each_store, is_postgres, read, write};
use crate::harness::START;
use domain::time::Span;
use server::store::{Conn, DbError, Place, head, settings};

#[test]
fn a_copy_in_memory_is_the_database_of_that_moment() {
    for_each_store(|conn| {
        write(conn, |tx| settings::set(tx, "name", "before"));
        if is_postgres(conn) {
            assert!(matches!(conn.copy_in_memory(), Err(DbError::Open(_))));
            return;
        }
        let mut copy = conn.copy_in_memory().expect("a copy");
        write(conn, |tx| settings::set(tx, "name", "after"));
        assert_eq!(read(&mut copy, |tx| settings::get(tx, "name")).as_deref(), Some("before"));
    });
}

#[test]
fn a_scratch_schema_is_empty_in_virtual_time_and_gone_at_the_end() {
    for_each_shared_store(|database| {
        let Place::Postgres(url) = &database.place else { return };
        database.open();
        for _ in 0..2 {
            let mut conn = Conn::open_scratch(url, "scratch").expect("a schema of its own");
            conn.migrate().expect("an empty schema");
            assert_eq!(read(&mut conn, |tx| settings::get(tx, "name")), None);
            write(&mut conn, |tx| settings::set(tx, "name", "something"));
            // Days away from the server's clock.
            write(&mut conn, |tx| head::lock(tx, START + Span::minutes(100_000)));
        }
        Conn::drop_scratch(url, "scratch").expect("it is there");
        let mut conn = database.connect();
        let sql = "select count(*) from information_schema.schemata where schema_name = 'scratch'";
        assert_eq!(read(&mut conn, |tx| tx.query_one(sql, &[])).map(|row| row.int(0)), Some(0));
    });
}
