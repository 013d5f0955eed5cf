//! Where refunds go, and whose unattributed money is.

use super::databases::{for_each_store, read, write};
use crate::harness::START;
use crate::market::{network_id, order_id};
use domain::chain::{ChainTransfer, Change, Side};
use domain::ids::{AssetId, NetworkId, TransferId};
use domain::order::{Slot, Step, What};
use domain::time::Time;
use server::store::orders::{self, Due};
use server::store::refunds::{self, Assigned};
use server::store::transfers;
use server::store::{Conn, claims};

#[test]
fn each_refund_has_an_address_of_its_own_and_another_takes_its_place() {
    for_each_store(|conn| {
        let (one, other) = (order_id(1), order_id(2));
        let rows = vec![(one, 0, "first".to_owned()), (one, 1, "second".to_owned()), (other, 0, "third".to_owned())];
        write(conn, |tx| refunds::write_addresses(tx, rows));
        let address = |conn: &mut Conn, order, refund| read(conn, |tx| refunds::address(tx, order, refund));
        assert_eq!(address(conn, one, 0).as_deref(), Some("first"));
        assert_eq!(address(conn, one, 1).as_deref(), Some("second"));
        assert_eq!(address(conn, other, 0).as_deref(), Some("third"));
        assert_eq!(address(conn, other, 1), None);
        write(conn, |tx| refunds::write_addresses(tx, vec![(one, 0, "another".to_owned())]));
        assert_eq!(address(conn, one, 0).as_deref(), Some("another"));
        assert_eq!(address(conn, one, 1).as_deref(), Some("second"));
        write(conn, |tx| refunds::write_addresses(tx, Vec::new()));
    });
}

fn seen(id: &str, to: &str) -> Change {
    let transfer = ChainTransfer {
        id: TransferId::new(id),
        asset: AssetId::new("test:base/usdc"),
        side: Side::In,
        from: None,
        to: to.to_owned(),
        units: 5,
        raw: "5".to_owned(),
        block_at: START,
    };
    Change::Seen { transfer, height: 1, block_hash: "block-1".to_owned() }
}

fn scan(conn: &mut Conn, changes: &[Change]) {
    let base = network_id("Base");
    let recorded = write(conn, |tx| {
        let stood = transfers::watched(tx, &base, None)?;
        transfers::record_scan(tx, &base, &stood, &stood, changes)
    });
    assert!(recorded);
}

#[test]
fn a_transfer_of_nobody_is_assigned_once_and_stays_where_it_is() {
    for_each_store(|conn| {
        let owned = vec!["owned".to_owned()];
        write(conn, |tx| {
            claims::add_addresses(tx, domain::asset::ChainKind::Evm, &owned)?;
            claims::own_addresses(tx, vec![("owned".to_owned(), order_id(1))])
        });
        scan(
            conn,
            &[seen("t1", "stray"), seen("t2", "owned"), seen("t3", "stray"), Change::Reverted(TransferId::new("t3"))],
        );
        let assigned = Assigned { by: "ann".to_owned(), note: "she wrote to us".to_owned(), at: Time(7) };
        let assign = |conn: &mut Conn, id: &str, order: u64| {
            let id = TransferId::new(id);
            write(conn, |tx| refunds::assign(tx, &id, order_id(order), &assigned))
        };
        assert!(assign(conn, "t1", 2));
        for (id, why) in [
            ("t1", "it has an order now"),
            ("t2", "its address has one"),
            ("t3", "it is gone"),
            ("t4", "there is none"),
        ] {
            assert!(!assign(conn, id, 3), "{why}");
        }
        assert_eq!(read(conn, |tx| refunds::assigned_to(tx, order_id(2))), [(TransferId::new("t1"), assigned)]);
        assert!(read(conn, |tx| refunds::assigned_to(tx, order_id(3))).is_empty());
        // It is credited like any other, and a second look at its block does not take it away.
        scan(conn, &[seen("t1", "stray")]);
        let due = read(conn, |tx| transfers::due(tx, 9));
        assert_eq!(due, [TransferId::new("t1"), TransferId::new("t2")]);
        assert!(read(conn, |tx| transfers::of_no_order(tx, 9)).is_empty());
    });
}

#[test]
fn who_pays_out_on_a_network_takes_its_refunds_on_too() {
    for_each_store(|conn| {
        let (base, solana) = (network_id("Base"), network_id("Solana"));
        let step = |slot, what, due_ms| Step { slot, what, due_at: Time(due_ms) };
        let after = vec![
            step(Slot::Payout, What::PayOut(base.clone()), 30),
            step(Slot::Refund(0), What::PayRefund(base.clone()), 20),
            step(Slot::Refund(1), What::FindRefund(base.clone()), 10),
            step(Slot::Refund(2), What::PayRefund(solana.clone()), 10),
            step(Slot::Refund(10), What::FindRefund(base.clone()), 99),
        ];
        write(conn, |tx| orders::rewrite_steps(tx, &[(order_id(1), Vec::new(), after.clone())]));
        let due = |conn: &mut Conn, network: &NetworkId| -> Vec<Slot> {
            let found = read(conn, |tx| orders::due_steps(tx, &Due::Payouts(network.clone()), Time(50), 9));
            found.into_iter().map(|(_, step)| step.slot).collect()
        };
        assert_eq!(due(conn, &base), [Slot::Refund(1), Slot::Refund(0), Slot::Payout]);
        assert_eq!(due(conn, &solana), [Slot::Refund(2)]);
        let kept = read(conn, |tx| orders::steps_of(tx, order_id(1)));
        assert_eq!(kept.len(), after.len());
        assert!(after.iter().all(|step| kept.contains(step)), "{kept:?}");
    });
}
