//! A kiosk to be measured: an installation in a folder of its own, on a free port of the loopback address, with limits
//! so wide that no measurement meets one.
//!
//! Dropping a shop deletes its folder; its server must have been stopped by then. Called by every figure.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::process::Server;
use super::programs::{Bench, Disk, without_settings, words};
use crate::postgres::free_port;
use crate::setup::run_command;
use crate::test::repository_root;

/// The catalogue that every figure is measured with.
const RECORDS: &str = "10500";
/// A product of the demo's catalogue that is delivered from stock.
const PRODUCT: &str = "airbnb-us-100";
/// More orders than any run creates; each takes one.
const ADDRESSES: &str = "200000";
/// How long a server may take until it answers.
const START: Duration = Duration::from_secs(30);
/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// Where a shop keeps its orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Database {
    /// In its folder.
    Sqlite,
    /// A database's URL.
    Postgres(String),
}

/// An installation.
pub struct Shop {
    folder: PathBuf,
    /// `127.0.0.1:port`.
    pub address: String,
}

impl Shop {
    /// Makes the folder and the configuration.
    pub fn open(folder: PathBuf, database: Database) -> Result<Self> {
        let shop = Self { folder, address: format!("127.0.0.1:{}", free_port()?) };
        fs::create_dir_all(shop.data()).with_context(|| format!("cannot make {}", shop.data().display()))?;
        let settings = settings(&shop.address, &shop.data(), &database);
        fs::write(shop.config(), settings).context("cannot write a configuration")?;
        Ok(shop)
    }

    /// A real shop on SQLite, whose network, wallet and rates stand in `money`: with addresses, the demo's catalogue and `codes`
    /// codes of one of its products.
    pub fn real(bench: &Bench, name: &str, money: &str, codes: usize) -> Result<Self> {
        let shop = Self { folder: bench.folder().join(name), address: format!("127.0.0.1:{}", free_port()?) };
        fs::create_dir_all(shop.data()).with_context(|| format!("cannot make {}", shop.data().display()))?;
        let settings = format!("{}{money}", common_settings(&shop.address, &shop.data()));
        fs::write(shop.config(), settings).context("cannot write a configuration")?;
        let stock = shop.folder.join("codes.csv");
        let lines = (0..codes).map(|number| format!("{PRODUCT},BENCH-{number:06}\n"));
        fs::write(&stock, lines.fold("sku,pin_code\n".to_owned(), |text, line| text + &line))
            .context("cannot write codes")?;
        let catalogue = repository_root().join("demo").join("catalogue.json");
        for (what, file) in [("catalogue", catalogue), ("stock", stock)] {
            let mut import = Command::new(&bench.kiosk);
            import.args([what, "import"]).arg(file).arg("--config").arg(shop.config());
            run_command(without_settings(&mut import)).context("a shop cannot be filled")?;
        }
        // EVM addresses alone: Solana's are a wallet's own.
        bench.load(&["prepare", "--config", &text(&shop.config())?, "--addresses", "0"])?;
        Ok(shop)
    }

    /// Puts the synthetic catalogue and deposit addresses in.
    pub fn fill(&self, bench: &Bench) -> Result<()> {
        let catalogue = self.folder.join("catalogue.json");
        let generate = Command::new(&bench.kiosk)
            .args(["catalogue", "generate", "--records", RECORDS])
            .stdin(Stdio::null())
            .output()
            .context("cannot start kiosk")?;
        if !generate.status.success() {
            bail!("kiosk catalogue generate: {}", String::from_utf8_lossy(&generate.stderr));
        }
        fs::write(&catalogue, generate.stdout).context("cannot write the catalogue")?;
        let mut import = Command::new(&bench.kiosk);
        import.args(["catalogue", "import"]).arg(&catalogue).arg("--config").arg(self.config());
        run_command(without_settings(&mut import))?;
        bench.load(&["prepare", "--config", &text(&self.config())?, "--addresses", ADDRESSES])?;
        Ok(())
    }

    /// The same shop in another folder, on another port; a database of PostgreSQL is copied by the caller.
    pub fn copy_to(&self, folder: PathBuf, database: Database) -> Result<Self> {
        let copy = Self::open(folder, database)?;
        for entry in fs::read_dir(self.data()).context("cannot read the shop")? {
            let entry = entry.context("cannot read the shop")?;
            if entry.file_type().context("cannot read the shop")?.is_file() {
                fs::copy(entry.path(), copy.data().join(entry.file_name())).context("cannot copy the shop")?;
            }
        }
        Ok(copy)
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.join("kiosk.toml")
    }

    /// Where its data are.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Starts its server and waits until it answers.
    pub fn serve(&self, bench: &Bench, disk: Disk) -> Result<Server> {
        let server = self.start(bench, disk)?;
        wait_for(&self.address, "/livez", &server)?;
        Ok(server)
    }

    /// Starts its server and waits for nothing.
    pub fn start(&self, bench: &Bench, disk: Disk) -> Result<Server> {
        let mut command: Vec<OsString> = disk.prefix()?;
        let config = self.config();
        let serve = [bench.kiosk.as_os_str(), OsStr::new("serve"), OsStr::new("--config"), config.as_os_str()];
        command.extend(words(&serve));
        Server::start(&command, &self.folder.join("log"))
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("warning: {} was not deleted: {error}", self.folder.display());
        }
    }
}

/// A path as an argument of the load generator.
pub fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).with_context(|| format!("the path {} is not UTF-8", path.display()))
}

fn settings(address: &str, data: &Path, database: &Database) -> String {
    let database = match database {
        Database::Sqlite => String::new(),
        Database::Postgres(url) => format!("[database]\nurl = {url:?}\n"),
    };
    format!("{}[sandbox]\nenabled = true\n{database}", common_settings(address, data))
}

/// What every shop has, whatever it is paid with.
fn common_settings(address: &str, data: &Path) -> String {
    format!(
        "[server]\nlisten = {address:?}\ndata_dir = {:?}\ncalls_per_second = 1000000000\ncalls_burst = 1000000000\n\
         unpaid_products_per_visitor = 10000000\n[limits]\nunpaid_stock_share_percent = 100\n\
         [callbacks]\nallow = [\"127.0.0.0/8\"]\n[log]\nformat = \"text\"\nlevel = \"warn\"\n",
        data.display().to_string()
    )
}

/// Asks again and again until the answer is 200.
pub fn wait_for(address: &str, path: &str, server: &Server) -> Result<()> {
    let start = Instant::now();
    loop {
        if let Ok((200, _)) = get(address, path, &[]) {
            return Ok(());
        }
        server.expect_running()?;
        if start.elapsed() > START {
            bail!(
                "{address}{path} did not answer for {} s; the server said:\n{}",
                START.as_secs(),
                server.last_words()
            );
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// One request on a connection of its own: the status and the body as it came.
pub fn get(address: &str, path: &str, headers: &[&str]) -> Result<(u16, Vec<u8>)> {
    let mut socket = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
    socket.set_read_timeout(Some(ANSWER)).context("cannot set up a socket")?;
    let mut request = format!("GET {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n");
    headers.iter().for_each(|header| request.extend([*header, "\r\n"]));
    request.push_str("\r\n");
    socket.write_all(request.as_bytes()).context("cannot send a request")?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).context("cannot read an answer")?;
    split(&answer).with_context(|| format!("{address}{path} did not answer in HTTP"))
}

fn split(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let status = std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok()?;
    Some((status, answer[end + 4..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_apart() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\na\r\n\r\nb";
        assert_eq!(split(answer), Some((200, b"a\r\n\r\nb".to_vec())));
        assert_eq!(split(b"HTTP/1.1 200 OK\r\n"), None);
    }

    #[test]
    fn a_quote_in_a_folder_cannot_end_the_setting() {
        let database = Database::Postgres("postgres://postgres@127.0.0.1:1/x".to_owned());
        let settings = settings("127.0.0.1:2", Path::new("/tmp/a \"b\""), &database);
        assert!(settings.contains("data_dir = \"/tmp/a \\\"b\\\"\"\n"), "{settings}");
        assert!(settings.ends_with("[database]\nurl = \"postgres://postgres@127.0.0.1:1/x\"\n"), "{settings}");
    }
}
