//! `commit_batch` on real databases, without HTTP and without workers: a shop on one connection, and what it must keep
//! whatever is asked of it. Every test ends with what `kiosk fsck` would find: nothing.
//!
//! `batches` is about one batch, `payments`, `dust` and `delivery` about the life of an order, `halving` about a command that
//! the database refuses, `together` about several engines on one database, `audit` about the figures that are audited, and
//! `damage` proves that the check finds
//! what is planted.

use crate::market::{self, SUPPLIER};
use crate::store::databases::{now, read, write};
use domain::asset::ChainKind;
use domain::chain::{ChainTransfer, Change, Side};
use domain::decide::{Command, Place, Refusal};
use domain::fulfil::{Patience, Report};
use domain::ids::{OrderId, Sku, TransferId};
use domain::order::Order;
use domain::time::{Span, Time};
use domain::validate::StockCount;
use server::engine::{Shared, SubmitError, commit_batch};
use server::store::transfers;
use server::store::{Conn, claims, fsck, orders, stock};
use std::sync::Arc;

mod batches;

mod payments;

mod dust;

mod delivery;

mod halving;

mod together;

mod damage;

mod audit;

/// What a command is answered with.
type Answer = Result<Arc<Order>, SubmitError>;

/// A supplier that answers within ten seconds and may take an order in five seconds late.
const PATIENCE: Patience = Patience {
    call_timeout: Span::seconds(10),
    settle: Span::seconds(5),
    lookup_every: Span::seconds(30),
    unknown_limit: Span::hours(6),
};

/// A shop on one connection. Its clock stands still unless the test moves it.
struct Shop<'a> {
    conn: &'a mut Conn,
    shared: Shared,
    now: Time,
    /// Transfers made so far.
    transfers: u32,
}

impl<'a> Shop<'a> {
    /// A new shop with enough addresses and nothing in stock.
    fn open(conn: &'a mut Conn) -> Shop<'a> {
        Shop::open_with_addresses(conn, 300)
    }

    /// A new shop with so many addresses of each family.
    fn open_with_addresses(conn: &'a mut Conn, count: usize) -> Shop<'a> {
        for kind in [ChainKind::Evm, ChainKind::Svm] {
            write(conn, |tx| claims::add_addresses(tx, kind, &market::addresses(kind, count)));
        }
        Shop::join(conn, "first")
    }

    /// One more engine on a database that a shop was opened on.
    fn join(conn: &'a mut Conn, process: &str) -> Shop<'a> {
        let now = now(conn);
        Shop { conn, shared: shared(process), now, transfers: 0 }
    }

    /// Puts codes of a brand's card on the shelf.
    fn stock(&mut self, brand: &str, count: usize) {
        let (codes, now) = (market::codes(brand, count), self.now);
        write(self.conn, |tx| stock::add(tx, codes, now));
    }

    fn commit(&mut self, commands: Vec<Command>) -> Vec<Answer> {
        commit_batch(self.conn, &self.shared, commands, self.now)
    }

    fn submit(&mut self, command: Command) -> Answer {
        self.commit(vec![command]).pop().expect("one answer per command")
    }

    fn place(&mut self, number: u64, brand: &str) -> Arc<Order> {
        self.submit(place(number, brand)).expect("the order is accepted")
    }

    /// A transfer of the order's coin to its address, in no block yet.
    fn transfer(&mut self, order: &Order, units: i64, block_at: Time) -> ChainTransfer {
        self.transfers += 1;
        ChainTransfer {
            id: TransferId::new(format!("{}|{}-{}|0", order.quote.network_id, self.shared.process, self.transfers)),
            asset: order.quote.asset.clone(),
            side: Side::In,
            from: None,
            to: order.address.clone(),
            units,
            raw: units.to_string(),
            block_at,
        }
    }

    /// The watcher notes what the order's network shows.
    fn scan(&mut self, order: &Order, changes: &[Change]) {
        let network = &order.quote.network_id;
        write(self.conn, |tx| {
            let stood = transfers::watched(tx, network, None)?;
            transfers::record_scan(tx, network, &stood, &stood, changes)
        });
    }

    /// The transfer is in a block that nothing follows yet.
    fn scan_seen(&mut self, order: &Order, transfer: &ChainTransfer) {
        self.scan(order, &[Change::Seen { transfer: transfer.clone(), height: 1, block_hash: "block-1".to_owned() }]);
    }

    /// Enough blocks follow it.
    fn scan_confirmed(&mut self, order: &Order, transfer: &ChainTransfer) {
        self.scan(order, &[Change::Confirmed(transfer.id.clone())]);
    }

    /// Another branch won, and the transfer is not in it.
    fn scan_reverted(&mut self, order: &Order, transfer: &ChainTransfer) {
        self.scan(order, &[Change::Reverted(transfer.id.clone())]);
    }

    /// Has the order look at where the transfer stands.
    fn credit(&mut self, transfer: &ChainTransfer) -> Answer {
        self.submit(Command::Credit { transfer: transfer.id.clone() })
    }

    /// A payment that is confirmed as soon as it is seen, credited.
    fn pay(&mut self, order: &Order, units: i64, block_at: Time) -> Arc<Order> {
        let transfer = self.transfer(order, units, block_at);
        self.scan_seen(order, &transfer);
        self.scan_confirmed(order, &transfer);
        self.credit(&transfer).expect("the payment is credited")
    }

    /// An order that is paid to the last unit, in time.
    fn sell(&mut self, number: u64, brand: &str) -> Arc<Order> {
        let order = self.place(number, brand);
        self.pay(&order, order.quote.due_units, order.placed_at)
    }

    fn order(&mut self, id: OrderId) -> Order {
        self.known(id).expect("the order is there")
    }

    fn known(&mut self, id: OrderId) -> Option<Order> {
        read(self.conn, |tx| orders::by_id(tx, id))
    }

    /// (free, held) of a brand's card.
    fn shelf(&mut self, brand: &str) -> (i64, i64) {
        let counts = read(self.conn, stock::counts);
        let StockCount { free, held } = counts.get(&market::sku(brand)).copied().unwrap_or_default();
        (free, held)
    }

    /// Everything that `kiosk fsck` finds.
    fn findings(&mut self) -> Vec<String> {
        read(self.conn, fsck::check).wrong
    }

    /// It must find nothing.
    fn check(&mut self) {
        assert_eq!(self.findings(), Vec::<String>::new());
    }
}

/// What every engine of a process shares.
fn shared(process: &str) -> Shared {
    Shared::new(process.to_owned(), (*market::market()).clone())
}

fn command(place: Place) -> Command {
    Command::Place(Box::new(place))
}

fn place(number: u64, brand: &str) -> Command {
    command(market::place(number, &[brand]))
}

fn begin(order: &Order, own: Option<Sku>) -> Command {
    Command::Begin { order: order.id, line: 0, own, patience: PATIENCE }
}

fn report(order: &Order, attempt: u32, report: Report) -> Command {
    Command::Report { order: order.id, line: 0, attempt, report, patience: PATIENCE }
}

/// The network is scanned past the end of the order's window.
fn expire(order: &Order) -> Command {
    Command::Expire { order: order.id, scanned_through: order.expires_at + Span(1) }
}

/// The network is scanned past the end of the order's late window.
fn close_late_window(order: &Order) -> Command {
    Command::CloseLateWindow { order: order.id, scanned_through: order.late_until() + Span(1) }
}

/// Why the rules refused a command; none if they did not, whatever the database said.
fn refusal(answer: &Answer) -> Option<&Refusal> {
    match answer {
        Err(SubmitError::Refused(refusal)) => Some(refusal),
        Err(SubmitError::Busy | SubmitError::Database(_)) | Ok(_) => None,
    }
}

/// The order's own suppliers, by name.
fn suppliers(order: &Order) -> Vec<&str> {
    order.quote.lines[0].suppliers.iter().map(|offer| offer.supplier.as_str()).collect()
}

/// A line that this supplier was asked for is not asked of anybody else.
fn is_at_supplier(order: &Order) -> bool {
    let asked = order.lines[0].attempt().map(|(supplier, _)| supplier);
    order.lines[0].reference().is_some() && asked.is_some_and(|at| suppliers(order)[at] == SUPPLIER)
}
