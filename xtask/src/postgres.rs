//! A throw-away PostgreSQL cluster for one run of the tests or of the bench: made in a new temporary folder, started on
//! a free port of the loopback address, stopped and deleted at the end, however the end comes.
//!
//! That of the tests is fast because it is unsafe: nothing is ever synced to the disk. The bench measures durable writes
//! and asks for the other kind. It never touches a cluster that it did not make. Called by `test` and `bench`.

use std::env;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use crate::setup::{is_root, run_command};

/// How long the server may take to answer after its start; it takes a tenth of a second on an idle machine.
const START_SECONDS: &str = "60";

/// Test processes run side by side, a few connections each; 300 serves a machine of many cores.
const CONNECTIONS: u32 = 300;

/// Whether what was committed survives a power cut.
#[derive(Clone, Copy)]
pub enum Durability {
    /// Nothing is synced; for tests.
    None,
    /// As PostgreSQL comes: fsync, synchronous_commit and full_page_writes on; for measuring.
    Full,
}

impl Durability {
    fn settings(self) -> &'static str {
        match self {
            Self::None => "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n",
            Self::Full => "fsync = on\nsynchronous_commit = on\nfull_page_writes = on\n",
        }
    }
}

/// A running server. Dropping it stops the server and deletes everything it wrote.
pub struct Cluster {
    port: u16,
    _cleaner: Cleaner,
}

impl Cluster {
    /// Makes and starts a cluster with the programs of one PostgreSQL installation. An error carries what the failing
    /// program, or the server's log, says.
    pub fn start(programs: &Path, durability: Durability) -> Result<Self> {
        let account = Account::choose()?;
        let directory = make_directory()?;
        let data = directory.join("data");
        let mut stop = account.command(&programs.join("pg_ctl"));
        stop.arg("-D").arg(&data).args(["-m", "immediate", "-w", "stop"]);
        // First the cleaner, then what it cleans: nothing is left behind if a later line fails.
        let cleaner = Cleaner::watch(&directory, &stop)?;
        account.receive(&directory)?;

        let mut initialise = account.command(&programs.join("initdb"));
        initialise.args(["--no-sync", "--auth=trust", "--username=postgres", "--locale=C", "--encoding=UTF8", "-D"]);
        run_command(initialise.arg(&data).current_dir(&directory)).context("cannot make a PostgreSQL cluster")?;

        let port = free_port()?;
        write_settings(&data, &directory, port, durability)?;
        let log = directory.join("server.log");
        let mut start = account.command(&programs.join("pg_ctl"));
        start.arg("-D").arg(&data).arg("-l").arg(&log).args(["-w", "-t", START_SECONDS, "start"]);
        run_command(start.current_dir(&directory)).with_context(|| {
            let said = fs::read_to_string(&log).unwrap_or_default();
            format!("cannot start PostgreSQL; its log says:\n{said}")
        })?;
        Ok(Self { port, _cleaner: cleaner })
    }

    /// Where the tests connect, as a superuser that needs no password.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// The same for one database of the cluster.
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }
}

/// Who runs the server: it refuses to be root.
enum Account {
    Own,
    Postgres,
}

impl Account {
    fn choose() -> Result<Self> {
        if !is_root()? {
            return Ok(Self::Own);
        }
        run_command(Command::new("id").args(["-u", "postgres"])).context(
            "PostgreSQL refuses to run as root and there is no user postgres to run it: make one \
             (useradd --system postgres) or run this as another user",
        )?;
        Ok(Self::Postgres)
    }

    fn command(&self, program: &Path) -> Command {
        match self {
            Self::Own => Command::new(program),
            Self::Postgres => {
                let mut command = Command::new("runuser");
                command.args(["-u", "postgres", "--"]).arg(program);
                command
            }
        }
    }

    /// Hands a folder that this process made over to the account.
    fn receive(&self, directory: &Path) -> Result<()> {
        match self {
            Self::Own => Ok(()),
            Self::Postgres => {
                run_command(Command::new("chown").arg("postgres").arg(directory))?;
                Ok(())
            }
        }
    }
}

/// A shell that waits for its input to end, then stops the server and deletes the folder. The other end of that input
/// is held by this process alone, so it ends with the process in every case: a return, a panic, Ctrl-C, a kill.
/// (A guard that only ran on drop left servers running when somebody interrupted the tests.)
struct Cleaner {
    process: Child,
}

/// `$1` is the folder, the rest is the command that stops the server.
const CLEAN: &str = r#"
directory=$1
shift
cat >/dev/null
status=0
if [ -e "$directory/data/postmaster.pid" ]; then
    "$@" >/dev/null || status=$?
fi
rm -rf -- "$directory" || status=$?
exit $status
"#;

impl Cleaner {
    fn watch(directory: &Path, stop: &Command) -> Result<Self> {
        let process = Command::new("sh")
            .args(["-c", CLEAN, "kiosk-test-postgres"])
            .arg(directory)
            .arg(stop.get_program())
            .args(stop.get_args())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            // A group of its own: Ctrl-C in the terminal must reach the tests, not the one who cleans up after them.
            .process_group(0)
            .spawn()
            .context("cannot start sh, which stops the PostgreSQL server at the end")?;
        Ok(Self { process })
    }
}

impl Drop for Cleaner {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        match self.process.wait() {
            Ok(status) if status.success() => {}
            Ok(status) => eprintln!("warning: the PostgreSQL of the tests was not cleaned up: {status}"),
            Err(error) => eprintln!("warning: it is unknown whether the PostgreSQL of the tests was stopped: {error}"),
        }
    }
}

fn make_directory() -> Result<PathBuf> {
    // Two tests of one process ask within the same microsecond.
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock stands before 1970")?;
    let name = format!("kiosk-test-postgres-{}-{}-{number}", process::id(), since_epoch.as_micros());
    let directory = env::temp_dir().join(name);
    // Not recursive: it fails if the folder exists, so nothing of anybody else is ever deleted at the end.
    let made = DirBuilder::new().mode(0o700).create(&directory);
    made.with_context(|| format!("cannot make the folder {}", directory.display()))?;
    Ok(directory)
}

/// A port that was free a moment ago; it is asked for right before the start, to keep that moment short.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("cannot find a free port on 127.0.0.1")?;
    Ok(listener.local_addr().context("cannot read the address of a socket")?.port())
}

fn write_settings(data: &Path, socket_directory: &Path, port: u16, durability: Durability) -> Result<()> {
    // In the file and not on pg_ctl's command line, which passes through a shell.
    let socket_directory = socket_directory.display().to_string().replace('\'', "''");
    let settings = format!(
        "\nlisten_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{socket_directory}'\n\
         max_connections = {CONNECTIONS}\n{}",
        durability.settings()
    );
    let path = data.join("postgresql.conf");
    let opened = OpenOptions::new().append(true).open(&path);
    let mut file = opened.with_context(|| format!("cannot open {}", path.display()))?;
    file.write_all(settings.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands for stopping a server here: it leaves a mark beside the folder.
    fn leave_mark(mark: &Path) -> Command {
        let mut command = Command::new("touch");
        command.arg(mark);
        command
    }

    #[test]
    fn the_cleaner_stops_a_started_server_and_deletes_its_folder() {
        let directory = make_directory().expect("the temporary folder is writable");
        let mark = directory.with_extension("stopped");
        fs::create_dir(directory.join("data")).expect("the folder is new");
        fs::write(directory.join("data/postmaster.pid"), "1").expect("the folder is new");
        let cleaner = Cleaner::watch(&directory, &leave_mark(&mark)).expect("sh starts");

        drop(cleaner);

        assert!(mark.exists(), "a server with a pid file must be stopped");
        assert!(!directory.exists(), "the folder must be deleted");
        fs::remove_file(&mark).expect("the mark was just seen");
    }

    #[test]
    fn the_cleaner_of_a_server_that_never_started_only_deletes() {
        let directory = make_directory().expect("the temporary folder is writable");
        let mark = directory.with_extension("stopped");
        let cleaner = Cleaner::watch(&directory, &leave_mark(&mark)).expect("sh starts");

        drop(cleaner);

        assert!(!mark.exists(), "there was nothing to stop");
        assert!(!directory.exists(), "the folder must be deleted");
    }

    #[test]
    fn a_quote_in_the_folder_name_cannot_end_the_setting() {
        let data = make_directory().expect("the temporary folder is writable");
        fs::write(data.join("postgresql.conf"), "# head").expect("the folder is new");

        write_settings(&data, Path::new("/tmp/it's"), 5433, Durability::None).expect("the file is there");

        let written = fs::read_to_string(data.join("postgresql.conf")).expect("just written");
        fs::remove_dir_all(&data).expect("just made");
        assert!(written.starts_with("# head\n"), "{written}");
        assert!(written.contains("unix_socket_directories = '/tmp/it''s'\n"), "{written}");
        assert!(written.contains("port = 5433\n"), "{written}");
        assert!(written.contains("\nfsync = off\n"), "{written}");
    }
}
