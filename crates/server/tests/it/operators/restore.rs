//! Backup and restore: the copy holds no key, and a shop that is put back gives nothing out twice.

use super::{BUYER, OWN, codes, numbers};
use crate::harness::{Folder, Shop, TestClock};
use crate::http::{id, pay, place, request, row};
use api::{Client, Identity};
use domain::asset::ChainKind;
use domain::event::HoldReason;
use domain::fulfil::Line;
use domain::ids::Sku;
use domain::order::Order;
use domain::project::OrderState;
use domain::time::Span;
use server::boot::{self, Kiosk, Running};
use server::cli::backup::{self, MAY_BE_OUT, RESTORED_NOTE, Restored};
use server::cli::order::{self, Decision, Wanted};
use server::cli::wallet;
use server::clock::SystemIds;
use server::config::Config;
use server::ports::Clock;
use server::store::{epoch, fsck, orders, stock};
use server::workers::driver::Outside;
use server::workers::{Ran, advance, credit, watch};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch as signal;
use tokio::task::JoinSet;

/// Still open when the backup is made; delivered a second later, and another one after that.
const PENDING: crate::http::Wanted<'static> = ("Apple", "25 USD", "pending.ann@example.com");

fn back_up(shop: &Shop, folder: &Folder) -> PathBuf {
    let file = folder.0.join("shop.backup");
    backup::back_up(&shop.config, &file).expect("a backup");
    file
}

/// The settings of the same shop on another machine, that has no data yet.
fn elsewhere(shop: &Shop, folder: &Folder) -> Config {
    let mut config = shop.config.clone();
    config.server.data_dir = folder.0.join("data");
    config
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder is readable");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_for_its_owner_alone_and_holds_nothing_in_the_clear() {
    let mut shop = Shop::open().await;
    let order = place(&shop, BUYER, &[OWN]).await;
    pay(&shop, &order, "{}").await;
    shop.pump().await;
    let folder = Folder::new();
    let file = back_up(&shop, &folder);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&file).expect("it exists").permissions().mode() & 0o777, 0o600);
    }
    let content = fs::read(&file).expect("it is readable");
    let searched = String::from_utf8_lossy(&content);
    let holds = |text: &str| searched.contains(text);
    assert!(holds("log_head"), "the search works");
    let keys = fs::read_to_string(shop.config.secret_key_file()).expect("the key file");
    for secret in keys.split_whitespace().filter(|word| word.len() == 64) {
        assert!(!holds(secret), "a key is in the backup");
    }
    let code = codes(&shop.kiosk, id(&order)).await.pop().expect("it was delivered").pin_code;
    assert!(!holds(&code) && !holds(BUYER), "something is in the clear");

    let again = backup::back_up(&shop.config, &file).expect_err("it exists");
    assert!(again.to_string().contains("never overwritten"), "{again}");
    assert_eq!(fs::read(&file).expect("it is readable"), content);
    assert_eq!(names_in(&folder.0), ["shop.backup"]);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_backup_is_not_restored_and_nothing_is_overwritten() {
    let shop = Shop::open().await;
    let folder = Folder::new();
    let file = back_up(&shop, &folder);
    let now = shop.clock.now();
    backup::put_back(&shop.config, &file, MAY_BE_OUT, now).expect_err("this shop has a database");

    let config = elsewhere(&shop, &folder);
    let wrong = folder.0.join("wrong");
    fs::write(&wrong, "this is not a database").expect("writable");
    backup::put_back(&config, &wrong, MAY_BE_OUT, now).expect_err("it is a text");
    backup::put_back(&config, &folder.0.join("missing"), MAY_BE_OUT, now).expect_err("there is no such file");
    rusqlite::Connection::open(folder.0.join("other"))
        .expect("a database")
        .execute_batch("create table t (a)")
        .expect("t");
    backup::put_back(&config, &folder.0.join("other"), MAY_BE_OUT, now).expect_err("it is another program's database");
    assert!(!config.server.data_dir.join("kiosk.db").exists());

    backup::put_back(&config, &file, MAY_BE_OUT, now).expect("it is restored");
    assert_eq!(names_in(&config.server.data_dir), ["kiosk.db"], "nothing half done is left");
    backup::put_back(&config, &file, MAY_BE_OUT, now).expect_err("now there is a database");
    shop.close().await;
}

/// A restored shop with doors and workers of its own, in the world that has gone on.
struct Again {
    kiosk: Kiosk,
    outside: Outside,
    client: Client,
    clock: Arc<TestClock>,
    put_off: credit::PutOff,
    stop: signal::Sender<bool>,
    running: Running,
}

impl Again {
    async fn open(config: &Config, clock: Arc<TestClock>) -> Again {
        let kiosk = boot::open_with(config, clock.clone(), Arc::new(SystemIds)).await.expect("it opens");
        let outside = boot::outside(config, &kiosk).expect("adapters");
        let (stop, stopping) = signal::channel(false);
        let running = boot::start_doors(config, &kiosk, &outside, JoinSet::new(), stopping).await.expect("doors");
        let identity = Identity { application: Some("demo-partner".into()), ..Identity::default() };
        let client = Client::new(&format!("http://{}", running.address), identity).expect("a client");
        Again { kiosk, outside, client, clock, put_off: credit::PutOff::default(), stop, running }
    }

    /// Watches, credits and delivers until nobody finds anything to do.
    async fn pump(&mut self) {
        let (engine, vault, now) = (&self.kiosk.engine, &self.kiosk.vault, self.clock.now());
        for _ in 0..100 {
            let mut ran = vec![
                watch::run_once(engine, &self.outside.networks, now).await.expect("watch"),
                credit::run_once(engine, &mut self.put_off, now).await.expect("credit"),
                advance::run_own(engine, now).await.expect("advance"),
            ];
            for supplier in &self.outside.suppliers {
                ran.push(advance::run_supplier(engine, vault, supplier.as_ref(), now).await.expect("supplier"));
            }
            if !ran.contains(&Ran::Worked) {
                return;
            }
        }
        panic!("the workers never come to rest");
    }

    async fn row(&self, order: &api::Order) -> Order {
        let id = id(order);
        let read = self.kiosk.engine.db.read(move |tx| orders::by_id(tx, id));
        read.await.expect("a read").expect("the order is in the backup")
    }

    async fn check(&self) {
        let findings = self.kiosk.engine.db.read(fsck::check).await.expect("a check");
        assert_eq!(findings.wrong, Vec::<String>::new());
    }

    async fn close(self) {
        self.check().await;
        self.stop.send_replace(true);
        self.running.ended().await.expect("a clean end");
    }
}

/// Every address that a shop ever had, whoever owns it.
async fn all_addresses(kiosk: &Kiosk) -> BTreeSet<String> {
    let read = kiosk.engine.db.read(|tx| tx.query("select address from addresses", &[]));
    read.await.expect("a read").iter().map(|row| row.text(0).to_owned()).collect()
}

/// (codes for sale, free addresses).
async fn on_the_shelf(kiosk: &Kiosk) -> (u64, u64) {
    let counts = kiosk.engine.db.read(stock::counts).await.expect("a read");
    let free: i64 = wallet::status(kiosk).await.expect("a status").iter().map(|(_, free, _)| *free).sum();
    (counts.values().map(|count| count.free as u64).sum(), free as u64)
}

/// The key comes from where the operator keeps it, and the world outside is as it is.
fn bring_key_and_world(from: &Config, to: &Config) {
    fs::copy(from.secret_key_file(), to.secret_key_file()).expect("the key is brought");
    let books = from.server.data_dir.join("sandbox.db");
    let target = to.server.data_dir.join("sandbox.db");
    let target = target.to_str().expect("a path of letters");
    rusqlite::Connection::open(books).expect("the books").execute("vacuum into ?1", [target]).expect("the same world");
}

/// Orders as they were when the backup was made.
struct Before {
    delivered: api::Order,
    unpaid: api::Order,
    held: api::Order,
    sent: api::Order,
    expired: api::Order,
}

async fn before(shop: &mut Shop) -> Before {
    let expired = place(shop, BUYER, &[OWN]).await;
    shop.after(Span::hours(2)).await;
    assert!(row(shop, &expired).await.payment.closed, "nothing can settle it any more");
    let [delivered, held, sent] =
        [place(shop, BUYER, &[OWN]).await, place(shop, BUYER, &[OWN]).await, place(shop, BUYER, &[PENDING]).await];
    order::hold(&shop.kiosk, &held.order_id, "looks odd").await.expect("it is held");
    for order in [&delivered, &held, &sent] {
        pay(shop, order, "{}").await;
    }
    shop.pump().await;
    let unpaid = place(shop, BUYER, &[OWN]).await;
    assert!(matches!(row(shop, &sent).await.lines[0], Line::Asking { .. }), "it is open at the supplier");
    Before { delivered, unpaid, held, sent, expired }
}

/// What the world saw after the backup, and the restored shop never heard of: the addresses and order numbers it must not
/// use.
async fn afterwards(shop: &mut Shop, before: &Before) -> (BTreeSet<String>, Vec<i64>) {
    pay(shop, &before.unpaid, "{}").await;
    shop.after(Span::seconds(1)).await;
    shop.after(Span::seconds(1)).await;
    for order in [&before.unpaid, &before.sent] {
        assert_eq!(row(shop, order).await.state, OrderState::Done, "it was delivered after the backup");
    }
    let lost = place(shop, BUYER, &[OWN]).await;
    pay(shop, &lost, "{}").await;
    shop.pump().await;
    wallet::make(&shop.kiosk, ChainKind::Evm, 300, &mut |_, _| {}).await.expect("more addresses");
    let listed = order::list(&shop.kiosk, &Wanted::default()).await.expect("a list");
    (all_addresses(&shop.kiosk).await, numbers(&listed))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_shop_gives_nothing_out_twice() {
    let mut shop = Shop::open().await;
    let before = before(&mut shop).await;
    let was = row(&shop, &before.delivered).await;
    let (unsold, free) = on_the_shelf(&shop.kiosk).await;
    let folder = Folder::new();
    let file = back_up(&shop, &folder);
    let (used, used_numbers) = afterwards(&mut shop, &before).await;

    let config = elsewhere(&shop, &folder);
    let Restored { begun, held } =
        backup::put_back(&config, &file, MAY_BE_OUT, shop.clock.now()).expect("it is restored");
    assert_eq!((begun.epoch, begun.quarantined, begun.skipped), (2, unsold, free));
    assert_eq!(held, 3, "the unpaid one, the one that was on hold, and the one that was asked for");
    bring_key_and_world(&shop.config, &config);
    let mut again = Again::open(&config, shop.clock.clone()).await;
    again.check().await;
    assert_eq!(on_the_shelf(&again.kiosk).await, (0, 0));

    again.pump().await;
    assert_eq!(again.row(&before.delivered).await, was, "what was known is not counted again");
    assert_eq!(again.row(&before.expired).await.hold(), None, "nothing can have happened to it");
    let sent = again.row(&before.sent).await;
    assert!(matches!(sent.lines[0], Line::Delivered { .. }), "the supplier was asked, not bought from");
    assert_eq!(sent.state, OrderState::WaitingForManualAction, "somebody may have given the line up since");
    for (order, earlier) in [(&before.unpaid, None), (&before.held, Some("looks odd"))] {
        let row = again.row(order).await;
        assert_eq!(row.state, OrderState::WaitingForManualAction, "paid, and not delivered by itself");
        let restored = row.held_for(HoldReason::OutcomeUnknown).expect("a person looks first");
        assert_eq!((restored.line, restored.note.as_str()), (None, RESTORED_NOTE));
        let operator = row.held_for(HoldReason::Operator).map(|hold| hold.note.as_str());
        assert_eq!(operator, earlier, "what it waited for before stands beside it");
    }
    let claims = Wanted { claims: true, ..Wanted::default() };
    let list = order::list(&again.kiosk, &claims).await.expect("a list");
    assert!(list.contains("no order  "), "money of an order that was lost: {list}");

    gives_new_addresses_and_numbers(&again, &used, &used_numbers).await;
    goes_on_after_a_look(&mut again, &before).await;
    again.close().await;
    shop.close().await;
}

async fn gives_new_addresses_and_numbers(again: &Again, used: &BTreeSet<String>, used_numbers: &[i64]) {
    let on = |network: &str| {
        let mut wanted = request(BUYER, &[PENDING]);
        wanted.payment.network = Some(network.to_owned());
        wanted
    };
    again.client.create_order(&on("Solana"), None).await.expect_err("no address is left");
    for kind in [ChainKind::Evm, ChainKind::Svm] {
        wallet::make(&again.kiosk, kind, 20, &mut |_, _| {}).await.expect("addresses");
    }
    for network in ["Solana", "Base"] {
        let placed = again.client.create_order(&on(network), None).await.expect("it is taken");
        let address = placed.wallet_address.clone().expect("an address");
        assert!(!used.contains(&address), "{address} on {network} was given before");
        let no = again.row(&placed).await.no;
        assert!(used_numbers.iter().all(|used| no > *used + 1_000), "{no} is too near to {used_numbers:?}");
    }
    // None of the codes may be sold before somebody has looked.
    again.client.create_order(&request(BUYER, &[OWN]), None).await.expect_err("nothing is for sale");
}

async fn goes_on_after_a_look(again: &mut Again, before: &Before) {
    let sku = Sku::new("airbnb-us-50");
    let waiting = again.kiosk.engine.db.read(epoch::quarantined).await.expect("a read");
    let released = backup::release_codes(&again.kiosk, vec![sku.clone()]).await.expect("a release");
    assert_eq!(released.get(&sku), waiting.get(&sku));
    assert_eq!(released.len(), 1, "the others stay where they are");
    again.check().await;

    let no = again.row(&before.held).await.no.to_string();
    order::resolve(&again.kiosk, &no, Decision::GoOn, "nothing was delivered").await.expect("it goes on");
    again.pump().await;
    assert_eq!(again.row(&before.held).await.state, OrderState::Done);
    assert_eq!(codes(&again.kiosk, id(&before.held)).await.len(), 1);
    let same = backup::release_codes(&again.kiosk, vec![sku]).await.expect("a release");
    assert!(same.is_empty(), "they are released once");
}
