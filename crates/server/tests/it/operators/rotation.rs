//! A new sealing key: everything is sealed again with it, and a server that runs meanwhile reads and sells on.

use super::{BUYER, OWN, codes, opened};
use crate::harness::Shop;
use crate::http::{id, pay, place, show};
use domain::ids::OrderId;
use server::boot::{self, Kiosk};
use server::cli::keys::{self, Resealed};
use server::clock::SystemIds;
use server::store::{Tx, orders, stock};
use std::sync::Arc;

fn count(tx: &mut Tx<'_>, table: &str) -> u64 {
    let row = tx.query_one(&format!("select count(*) from {table}"), &[]).expect("a count").expect("one row");
    row.int(0) as u64
}

fn active_key(kiosk: &Kiosk) -> String {
    kiosk.vault.ring().active_key_id().to_owned()
}

/// What stands in the database under another key than the active one: codes, and orders' personal data.
async fn older(kiosk: &Kiosk) -> (usize, usize) {
    let active = active_key(kiosk);
    let read = kiosk.engine.db.read(move |tx| {
        let codes = stock::sealed_by_older_keys(tx, &active, i64::from(i32::MAX))?;
        let personal = orders::personal_sealed_by_older_keys(tx, &active, i64::from(i32::MAX))?;
        Ok((codes.len(), personal.len()))
    });
    read.await.expect("a read")
}

async fn buy(shop: &mut Shop) -> api::Order {
    let order = place(shop, BUYER, &[OWN]).await;
    pay(shop, &order, "{}").await;
    shop.pump().await;
    let order = show(shop, &order).await;
    assert_eq!(order.order_state, api::OrderState::Done);
    order
}

async fn assert_reads(kiosk: &Kiosk, order: &api::Order) {
    let id: OrderId = id(order);
    let code = codes(kiosk, id).await.pop().map(|goods| goods.pin_code);
    assert!(code.is_some() && code == order.pin_code, "the code is the one that was shown before");
    assert_eq!(opened(kiosk, id).await.personal.email.as_deref(), Some(BUYER));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_rotation_everything_opens_also_for_a_server_that_was_running() {
    let mut shop = Shop::open().await;
    let before = buy(&mut shop).await;
    // Another process with the keys as they are now.
    let running = boot::open_with(&shop.config, shop.clock.clone(), Arc::new(SystemIds)).await.expect("it opens");
    let old = active_key(&running);
    let all = shop.kiosk.engine.db.read(|tx| Ok(count(tx, "codes"))).await.expect("a read");
    let key_file = shop.config.secret_key_file();

    let resealed = keys::rotate(&shop.kiosk, &key_file).await.expect("a rotation");
    assert_eq!(resealed, Resealed { codes: all, personal: 1, logins: 0, closed: 0 });
    assert_ne!(active_key(&shop.kiosk), old);
    assert_eq!(older(&shop.kiosk).await, (0, 0));
    assert_reads(&shop.kiosk, &before).await;

    assert_eq!(active_key(&running), old, "nobody told it");
    assert_reads(&running, &before).await;
    assert_eq!(active_key(&running), active_key(&shop.kiosk), "it has found the new key");
    let after = buy(&mut shop).await;
    assert_reads(&running, &after).await;
    assert_ne!(before.pin_code, after.pin_code);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_key_opens_is_counted_and_keeps_nothing_else_back() {
    let mut shop = Shop::open().await;
    let forgotten = buy(&mut shop).await;
    let kept = buy(&mut shop).await;
    let gone = id(&forgotten);
    let damaged = shop.kiosk.engine.write(move |tx| {
        orders::forget_personal(tx, gone)?;
        tx.execute(
            "update codes set sealed = 'damaged' where id = (select min(id) from codes where owner is null)",
            &[],
        )
    });
    assert_eq!(damaged.await.expect("a write"), 1);
    let all = shop.kiosk.engine.db.read(|tx| Ok(count(tx, "codes"))).await.expect("a read");

    let resealed = keys::rotate(&shop.kiosk, &shop.config.secret_key_file()).await.expect("a rotation");
    assert_eq!(resealed, Resealed { codes: all - 1, personal: 1, logins: 0, closed: 1 });
    let again = keys::reseal(&shop.kiosk).await.expect("nothing is left to do");
    assert_eq!(again, Resealed { codes: 0, personal: 0, logins: 0, closed: 1 });
    assert_reads(&shop.kiosk, &kept).await;
    assert_eq!(opened(&shop.kiosk, gone).await.personal.email, None, "what was forgotten stays so");
    shop.close().await;
}
