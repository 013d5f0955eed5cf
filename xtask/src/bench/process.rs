//! Servers under measurement: each is started with room for many sockets, and is stopped when its guard is dropped or
//! when this process ends in any other way.
//!
//! A server is watched by a shell whose input this process holds open. When that input ends (a return, a panic, Ctrl-C,
//! a kill), the shell asks the server and everything it has started to end, and after ten seconds makes them. Called by
//! `shop` and `nginx`.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

use super::programs::without_settings;

/// Open files of a server or of the load generator: 8,000 streams and what else there is.
pub const OPEN_FILES: &str = "16384";

/// `$1` is the limit of open files, `$2` the log, the rest is the server. The first line of output is the server's
/// process, which leads a group of its own.
const WATCH: &str = r#"
files=$1
log=$2
shift 2
ulimit -n "$files" || exit 1
setsid "$@" </dev/null >>"$log" 2>&1 &
server=$!
echo "$server"
cat >/dev/null
# Without a group the server has not come to lead one yet.
kill -s TERM -- "-$server" 2>/dev/null || kill -s TERM "$server" 2>/dev/null
tenths=0
while kill -s 0 -- "-$server" 2>/dev/null; do
    if [ "$tenths" -ge 100 ]; then
        kill -s KILL -- "-$server" 2>/dev/null
        break
    fi
    sleep 0.1
    tenths=$((tenths + 1))
done
wait "$server"
"#;

/// A running server. Dropping it stops the server.
pub struct Server {
    watcher: Child,
    process: u32,
    log: PathBuf,
}

impl Server {
    /// Starts a server. Whether it answers is for the caller to find out.
    pub fn start(command: &[OsString], log: &Path) -> Result<Self> {
        let mut shell = Command::new("sh");
        shell.args(["-c", WATCH, "kiosk-bench-server", OPEN_FILES]).arg(log).args(command);
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        // A group of its own: Ctrl-C in the terminal must not end the one who stops the server.
        let mut watcher = without_settings(&mut shell).process_group(0).spawn().context("cannot start sh")?;
        let mut line = String::new();
        let printed = watcher.stdout.take().context("the output of sh was set to a pipe above")?;
        let read = BufReader::new(printed).read_line(&mut line);
        // From here on the guard stops it, whatever was read.
        let mut server = Self { watcher, process: 0, log: log.to_owned() };
        read.context("cannot read what sh prints")?;
        server.process = line.trim().parse().with_context(|| {
            format!("a server could not be started: are {OPEN_FILES} open files allowed here (ulimit -n)?")
        })?;
        Ok(server)
    }

    /// The process that was started.
    pub fn process(&self) -> u32 {
        self.process
    }

    /// The process and all that it has started.
    pub fn processes(&self) -> Result<Vec<u32>> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").context("cannot read /proc")? {
            let name = entry.context("cannot read /proc")?.file_name();
            let Some(process) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            // One that has just ended is none of ours.
            let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
            if group_in(&stat) == Some(self.process) {
                found.push(process);
            }
        }
        Ok(found)
    }

    /// An error if it has ended by itself, with what it said last.
    pub fn expect_running(&self) -> Result<()> {
        if Path::new(&format!("/proc/{}", self.process)).exists() {
            return Ok(());
        }
        bail!("the server has ended; it said:\n{}", self.last_words())
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        const LINES: usize = 20;
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.watcher.stdin.take());
        if let Err(error) = self.watcher.wait() {
            eprintln!("warning: it is unknown whether process {} was stopped: {error}", self.process);
        }
    }
}

/// The fifth field of `/proc/N/stat`. The second is a name in parentheses and may hold anything.
fn group_in(stat: &str) -> Option<u32> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::run_command;

    #[test]
    fn a_server_leads_a_group_and_ends_with_its_guard() {
        let folder = std::env::temp_dir().join(format!("kiosk-bench-test-{}", std::process::id()));
        fs::create_dir(&folder).expect("the temporary folder is writable");
        let told = folder.join("told");
        run_command(Command::new("mkfifo").arg(&told)).expect("mkfifo is there");
        let script = ["sh", "-c", "echo said; echo ready > \"$0\"; exec sleep 600"].map(OsString::from);
        let command: Vec<OsString> = script.into_iter().chain([told.clone().into_os_string()]).collect();

        let server = Server::start(&command, &folder.join("log")).expect("sh starts");
        // Blocks until the server has written: it leads its group by then.
        assert_eq!(fs::read_to_string(&told).expect("a pipe"), "ready\n");
        let process = server.process();
        assert_eq!(server.processes().expect("/proc"), [process]);
        assert_eq!(server.last_words(), "said");
        server.expect_running().expect("it runs until it is stopped");
        drop(server);

        assert!(!Path::new(&format!("/proc/{process}")).exists(), "it must end with its guard");
        fs::remove_dir_all(&folder).expect("just made");
    }

    #[test]
    fn a_group_is_read_behind_any_name() {
        assert_eq!(group_in("42 (a) b) S 7 99 99 0 -1"), Some(99));
        assert_eq!(group_in(""), None);
    }
}
