//! The sandbox: simulated chains and a simulated supplier, so that an order can be paid and delivered without real
//! money, and every accident of either can be asked for.
//!
//! `books` is the memory of both, a SQLite file that the server and the command line share; `network` reads the chains
//! as a watcher's port, `supplier` sells as a supplier's port. Must never stand beside a real network or supplier: what
//! it delivers is worth nothing. Called by main, which wires the ports, and by whoever pays an order of the demo.
//! For people: `docs/sandbox.md`.

mod books;
mod network;
mod payer;
mod supplier;

pub use books::{Books, BooksError, MOST_CARRYING};
pub use network::SandboxNetwork;
pub use payer::{PAYOUT_ENDINGS, PayoutEnding, SandboxPayer};
pub use supplier::{Ending, OUTCOMES, OutcomeRule, SandboxSupplier};

#[cfg(test)]
mod testing {
    use crate::ports::{AddressBook, Answer, Given, Wanted};
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::PathBuf;
    use std::task::{Context, Poll, Waker};

    /// The answer of a port that must not wait: polled once.
    pub fn ready<T>(mut answer: Answer<'_, T>) -> T {
        match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("an answer of the sandbox is ready at once"),
        }
    }

    /// A book that nobody asks: simulated chains show nothing but our own transfers.
    pub struct Nobody;

    impl AddressBook for Nobody {
        fn ours<'a>(&'a self, _addresses: &'a [String]) -> Answer<'a, Result<BTreeSet<String>, String>> {
            panic!("a simulated chain shows transfers to us alone")
        }

        fn given<'a>(&'a self, _wanted: Wanted) -> Answer<'a, Result<Vec<Given>, String>> {
            panic!("a simulated chain is not asked for addresses")
        }

        fn marks<'a>(&'a self, _accounts: &'a [String]) -> Answer<'a, Result<BTreeMap<String, String>, String>> {
            panic!("a simulated chain has nothing to remember")
        }
    }

    /// A folder of one test, gone with it.
    pub struct Folder(PathBuf);

    impl Folder {
        pub fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("kiosk-sandbox-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&path).expect("the folder for temporary files is writable");
            Folder(path)
        }

        /// Where the books of this test lie.
        pub fn books(&self) -> PathBuf {
            self.0.join("sandbox.db")
        }

        /// Every byte that lies in the folder.
        pub fn bytes(&self) -> Vec<u8> {
            let entries = std::fs::read_dir(&self.0).expect("our own folder");
            let read = |entry: std::io::Result<std::fs::DirEntry>| {
                std::fs::read(entry.expect("our own folder").path()).expect("our own file")
            };
            entries.flat_map(read).collect()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            // What stays behind in the folder for temporary files harms nobody.
            std::fs::remove_dir_all(&self.0).ok();
        }
    }
}
