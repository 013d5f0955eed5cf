//! The demo as a process of its own, with its data in a folder of the test. Must never outlive the test.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

const KIOSK: &str = env!("CARGO_BIN_EXE_kiosk");

/// A demo that runs.
pub struct Demo {
    /// Host and port.
    pub address: String,
    child: Child,
    /// Kept open: the demo must be able to print the rest of its greeting.
    _greeting: BufReader<ChildStdout>,
}

impl Demo {
    /// Starts the demo on a free port. Reads its first line, which it prints as soon as it takes requests.
    pub fn start(data_dir: &Path) -> Demo {
        let mut demo = Command::new(KIOSK);
        demo.args(["demo", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data_dir);
        demo.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log(data_dir));
        let mut child = demo.spawn().expect("the demo starts");
        let mut greeting = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        let mut line = String::new();
        greeting.read_line(&mut line).expect("the pipe can be read");
        let address = line.strip_prefix("kiosk is open at http://").and_then(|rest| rest.split_whitespace().next());
        let address = address.map(str::to_owned);
        let mut demo = Demo { address: String::new(), child, _greeting: greeting };
        match address {
            Some(address) => demo.address = address,
            None => panic!("the demo did not open: {line:?}; its log says: {}", read_log(data_dir)),
        }
        demo
    }

    /// SIGKILL, in the middle of whatever it does.
    pub fn kill(&mut self) {
        self.child.kill().expect("a process of ours can be killed");
        self.child.wait().expect("a process of ours can be waited for");
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Both fail only if it has ended already, which is what is wanted.
        self.child.kill().unwrap_or(());
        self.child.wait().map(|_| ()).unwrap_or(());
    }
}

/// `kiosk fsck` on what a kill left behind.
pub fn fsck(data_dir: &Path) {
    let mut fsck = Command::new(KIOSK);
    fsck.arg("fsck").arg("--data-dir").arg(data_dir).stdin(Stdio::null());
    let found = fsck.output().expect("fsck runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(found.status.success(), "fsck found: {}{}", text(&found.stdout), text(&found.stderr));
}

/// Fails if any of the processes panicked on the way.
pub fn assert_no_panic(data_dir: &Path) {
    let log = read_log(data_dir);
    assert!(!log.contains("panicked at"), "{log}");
}

fn log_file(data_dir: &Path) -> PathBuf {
    data_dir.with_extension("log")
}

/// Where the standard error of all processes goes, one after the other.
fn log(data_dir: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(log_file(data_dir)).expect("a log beside the data")
}

fn read_log(data_dir: &Path) -> String {
    std::fs::read_to_string(log_file(data_dir)).unwrap_or_default()
}
