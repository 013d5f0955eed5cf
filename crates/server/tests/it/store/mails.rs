//! Mail to be sent, and the links to delivery lines.

use super::databases::{for_each_store, read, write};
use crate::market::order_id;
use domain::time::Time;
use server::store::Conn;
use server::store::mails::{self, MailKind, MailRow};

fn mail(id: &str, kind: MailKind, line: u32) -> MailRow {
    MailRow { id: id.to_owned(), order: order_id(1), kind, line, attempts: 0 }
}

fn due(conn: &mut Conn, now_ms: i64) -> Vec<String> {
    read(conn, |tx| mails::due(tx, Time(now_ms), 1_000)).into_iter().map(|mail| mail.id).collect()
}

#[test]
fn a_message_is_planned_once_and_due_from_its_time_on() {
    for_each_store(|conn| {
        let (confirmation, delivery) = (mail("c", MailKind::Confirmation, 0), mail("d", MailKind::Delivery, u32::MAX));
        write(conn, |tx| mails::plan(tx, &[delivery.clone(), confirmation.clone()], Time(100)));
        let changed = MailRow { line: 7, attempts: 9, ..confirmation.clone() };
        write(conn, |tx| mails::plan(tx, &[changed, mail("early", MailKind::Delivery, 0)], Time(50)));

        assert!(due(conn, 49).is_empty());
        assert_eq!(due(conn, 50), ["early"]);
        assert_eq!(due(conn, 100), ["early", "c", "d"]);
        let first_two = read(conn, |tx| mails::due(tx, Time(i64::MAX), 2));
        assert_eq!(first_two, [mail("early", MailKind::Delivery, 0), confirmation]);
        assert_eq!(read(conn, |tx| mails::due(tx, Time(100), 9)).pop(), Some(delivery));
        assert_eq!((MailKind::Confirmation.word(), MailKind::Delivery.word()), ("confirmation", "delivery"));
    });
}

#[test]
fn no_message_and_three_hundred_messages_are_planned_at_once() {
    for_each_store(|conn| {
        write(conn, |tx| mails::plan(tx, &[], Time(0)));
        assert!(due(conn, i64::MAX).is_empty());
        let many: Vec<MailRow> = (0..300).map(|line| mail(&format!("m{line}"), MailKind::Delivery, line)).collect();
        write(conn, |tx| mails::plan(tx, &many, Time(0)));
        assert_eq!(due(conn, 0).len(), 300);
    });
}

#[test]
fn a_message_is_put_off_or_ended_and_every_attempt_counts() {
    for_each_store(|conn| {
        let planned = ["later", "refused", "sent"].map(|id| mail(id, MailKind::Delivery, 0));
        assert!(!read(conn, |tx| mails::is_due_for(tx, order_id(1))));
        write(conn, |tx| mails::plan(tx, &planned, Time(0)));
        assert!(read(conn, |tx| mails::is_due_for(tx, order_id(1))));
        assert!(!read(conn, |tx| mails::is_due_for(tx, order_id(2))));
        write(conn, |tx| mails::retry(tx, "later", Time(500)));
        write(conn, |tx| mails::end(tx, "sent", "sent"));
        write(conn, |tx| mails::end(tx, "refused", "refused"));
        assert!(due(conn, 499).is_empty());
        let left = read(conn, |tx| mails::due(tx, Time(500), 9));
        assert_eq!(left, [MailRow { attempts: 1, ..mail("later", MailKind::Delivery, 0) }]);
        // What has ended is not planned again.
        write(conn, |tx| mails::plan(tx, &planned, Time(0)));
        assert_eq!(due(conn, i64::MAX), ["later"]);

        let rows = read(conn, |tx| tx.query("select state, attempts from mails order by id", &[]));
        let rows: Vec<(&str, i64)> = rows.iter().map(|row| (row.text(0), row.int(1))).collect();
        assert_eq!(rows, [("due", 1), ("refused", 1), ("sent", 1)]);
    });
}

#[test]
fn a_link_opens_one_line_for_ever() {
    for_each_store(|conn| {
        assert_eq!(read(conn, |tx| mails::link(tx, "hash")), None);
        write(conn, |tx| mails::add_link(tx, "hash", order_id(1), u32::MAX));
        write(conn, |tx| mails::add_link(tx, "hash", order_id(2), 0));
        assert_eq!(read(conn, |tx| mails::link(tx, "hash")), Some((order_id(1), u32::MAX)));
        assert_eq!(read(conn, |tx| mails::link(tx, "")), None);
    });
}

#[test]
fn a_message_that_is_put_off_has_not_used_up_an_attempt() {
    for_each_store(|conn| {
        write(conn, |tx| mails::plan(tx, &[mail("held", MailKind::Delivery, 0)], Time(100)));
        write(conn, |tx| mails::put_off(tx, "held", Time(200)));
        assert!(due(conn, 199).is_empty());
        let again = read(conn, |tx| mails::due(tx, Time(200), 9));
        assert_eq!(again, [mail("held", MailKind::Delivery, 0)]);
    });
}
