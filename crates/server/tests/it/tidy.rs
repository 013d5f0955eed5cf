//! The rules of this repository that the compiler does not know: who may name whom, how long a file may be, where the
//! clock is read, and that the documents speak of files that exist.
//!
//! Here are the tables and the tests over the whole repository; `rules` judges one file, with samples that prove that
//! each rule can fail, and `source` reads Rust. A rule must never be made to pass by making the reader blind: change
//! the table, with a reason.

mod rules;

mod repository;

mod source;

use std::collections::BTreeMap;

use repository::{documents, repository_root, rust_sources};
use rules::{
    Finding, Oversize, arrow_findings, ban_findings, machine_findings, oversizes, path_findings, size_findings,
};

/// Who must not know whom. `within` is a file without its `.rs`, or a folder.
pub struct Arrow {
    within: &'static str,
    never: &'static [&'static str],
    reason: &'static str,
}

/// The arrows of ARCHITECTURE.md. `::` at the end of a name means the crate, not a variable of that name.
const ARROWS: &[Arrow] = &[
    Arrow {
        within: "crates/domain/src",
        never: &[
            "std::fs",
            "std::net",
            "std::time::SystemTime",
            "std::time::Instant",
            "std::thread",
            "std::env",
            "std::f32",
            "std::f64",
            "f32",
            "f64",
            "tokio::",
        ],
        reason: "the rules are pure: no IO, no clock, no threads, and no floating point near money",
    },
    Arrow {
        within: "crates/api/src",
        never: &["domain::", "server::"],
        reason: "the wire types are written from the contract, so that a change of ours cannot change the wire",
    },
    Arrow {
        within: "crates/server/src/store",
        never: &[
            "crate::ports",
            "crate::engine",
            "crate::workers",
            "crate::adapters",
            "crate::http",
            "crate::cli",
            "crate::config",
            "crate::clock",
            "crate::entropy",
            "api::",
        ],
        reason: "the store keeps what the domain decided and decides nothing; time, ids and randomness are arguments",
    },
    Arrow {
        within: "crates/server/src/ports",
        never: &[
            "crate::store",
            "crate::engine",
            "crate::workers",
            "crate::adapters",
            "crate::http",
            "crate::cli",
            "crate::config",
            "crate::seal",
            "api::",
        ],
        reason: "a port says what leaves the process in the words of the domain alone",
    },
    Arrow {
        within: "crates/server/src/adapters",
        never: &["crate::store", "crate::engine", "crate::workers", "crate::http", "crate::cli", "api::"],
        reason: "an adapter talks to the outside and knows neither orders nor our database",
    },
    Arrow {
        within: "crates/server/src/engine",
        never: &[
            "crate::workers",
            "crate::adapters",
            "crate::http",
            "crate::cli",
            "crate::config",
            "crate::clock",
            "crate::entropy",
            "api::",
        ],
        reason: "the simulator calls the engine with a clock, ids and ports of its own",
    },
    Arrow {
        within: "crates/server/src/workers",
        never: &["crate::adapters", "crate::http", "crate::cli", "api::"],
        reason: "a worker reaches the outside through a port, so that the simulator can stand in for it",
    },
    Arrow {
        within: "crates/server/src/http",
        never: &["crate::adapters", "crate::workers", "crate::cli"],
        reason: "a handler reads, or submits a command; what takes time is a step that a worker does",
    },
];

/// A call that has one place.
pub struct Ban {
    calls: &'static [&'static str],
    only_in: &'static [&'static str],
    code: Code,
    reason: &'static str,
}

/// Which code a ban looks at.
#[derive(Clone, Copy)]
pub enum Code {
    All,
    OutsideTests,
    InTests,
}

const BANS: &[Ban] = &[
    Ban {
        calls: &["SystemTime::now", "Instant::now"],
        only_in: &["crates/server/src/clock.rs", "crates/server/benches/", "crates/sim/src/main.rs", "xtask/"],
        code: Code::OutsideTests,
        reason: "time is an argument, so that the simulator can turn the clock",
    },
    Ban {
        calls: &["getrandom", "rand::"],
        only_in: &["crates/server/src/entropy.rs"],
        code: Code::All,
        reason: "randomness is an argument, so that a run can be repeated from its seed",
    },
    Ban {
        calls: &["env::var", "env::var_os", "env::vars", "env::vars_os"],
        only_in: &["crates/server/src/config.rs", "crates/server/benches/", "xtask/"],
        code: Code::OutsideTests,
        reason: "every setting is read in one place, where an operator can look it up",
    },
    Ban {
        calls: &["println", "eprintln"],
        only_in: &[
            "crates/api/examples/",
            "crates/server/src/cli/",
            "crates/server/src/main.rs",
            "crates/server/benches/",
            "crates/sim/src/main.rs",
            "xtask/",
        ],
        code: Code::All,
        reason: "a server logs with fields; only a command prints",
    },
    Ban {
        calls: &["sleep"],
        only_in: &[],
        code: Code::InTests,
        reason: "a test that sleeps is slow on a fast machine and wrong on a slow one: run workers until idle",
    },
];

const MOST_FILE_LINES: usize = 600;
const MOST_FUNCTION_LINES: usize = 70;

/// What may be longer than the rule. One that is no longer needed fails the test, too.
pub struct Exception {
    path: &'static str,
    /// The function; `None` is the file.
    function: Option<&'static str>,
    reason: &'static str,
}

const SIZE_EXCEPTIONS: &[Exception] = &[];

/// A word in backticks that begins like this names a file or a folder of the repository.
const REPOSITORY_FOLDERS: &[&str] = &["crates/", "docs/", "demo/", "migrations/", "xtask/", ".ci/"];

/// Documents that must be there, besides all of docs/.
const ROOT_DOCUMENTS: &[&str] = &["ARCHITECTURE.md", "README.md"];

/// Put together from halves, or this file would contain what it looks for.
const MACHINE_TEXT: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/fa", "rm/"), concat!("index.crates", ".io"), concat!("artifac", "tory")];

#[test]
fn the_arrows_between_modules_hold() {
    assert_none(rust_sources().iter().flat_map(arrow_findings));
}

#[test]
fn files_and_functions_fit_their_limits() {
    let sizes: Vec<Oversize> = rust_sources().iter().flat_map(oversizes).collect();
    assert_none(size_findings(&sizes, SIZE_EXCEPTIONS));
}

#[test]
fn banned_calls_stay_in_their_place() {
    assert_none(rust_sources().iter().flat_map(ban_findings));
}

#[test]
fn documents_name_files_that_exist() {
    let documents = documents();
    for name in ROOT_DOCUMENTS {
        let found = documents.iter().any(|document| document.path == *name);
        assert!(found, "{name} is missing");
    }
    let root = repository_root();
    let is_checked =
        |path: &str| ROOT_DOCUMENTS.contains(&path) || (path.starts_with("docs/") && path.ends_with(".md"));
    let checked = documents.iter().filter(|document| is_checked(&document.path));
    assert_none(checked.flat_map(|document| path_findings(document, &|name: &str| root.join(name).exists())));
}

#[test]
fn no_machine_paths_or_registry_addresses() {
    assert_none(documents().iter().flat_map(machine_findings));
}

/// A file that no other names is compiled by nobody, and its tests never run.
#[test]
fn every_file_is_a_module_of_another() {
    let sources: BTreeMap<String, String> =
        rust_sources().into_iter().map(|source| (source.path, source.text)).collect();
    let lost: Vec<&String> = sources.keys().filter(|path| !is_mounted(path, &sources)).collect();
    assert_eq!(lost, Vec::<&String>::new(), "name each in its parent: `mod NAME;`");
    let alone = BTreeMap::from([("a/src/lib.rs", "mod b;"), ("a/src/b.rs", "mod c;"), ("a/src/b/d.rs", "")]);
    let alone = alone.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned())).collect();
    assert!(is_mounted("a/src/b.rs", &alone) && is_mounted("a/src/b/c.rs", &alone));
    assert!(!is_mounted("a/src/b/d.rs", &alone), "the rule sees a lost file");
}

/// Whether the file that a file lies under names it. Cargo itself finds the roots of crates.
fn is_mounted(path: &str, sources: &BTreeMap<String, String>) -> bool {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let name = file.trim_end_matches(".rs");
    let holds_roots = ["/targets", "/bin", "/examples", "/tests"].iter().any(|end| folder.ends_with(end));
    if holds_roots || ["main", "lib", "build"].contains(&name) {
        return true;
    }
    let (parent, name) = match (name, folder.rsplit_once('/')) {
        ("mod", Some((parent, name))) => (parent, name),
        _ => (folder, name),
    };
    let candidates = ["{}.rs", "{}/mod.rs", "{}/lib.rs", "{}/main.rs"].map(|form| form.replace("{}", parent));
    let wanted = format!("mod {name};");
    let names = |text: &String| text.lines().any(|line| line == wanted || line.ends_with(&format!(" {wanted}")));
    candidates.iter().filter_map(|candidate| sources.get(candidate)).any(names)
}

/// A walk that finds nothing would pass every rule above.
#[test]
fn the_walk_sees_the_whole_repository() {
    let paths: Vec<String> = documents().into_iter().map(|document| document.path).collect();
    for path in ["Cargo.toml", "crates/domain/src/lib.rs", "crates/server/tests/it/tidy.rs", "xtask/src/main.rs"] {
        assert!(paths.iter().any(|found| found == path), "{path} was not found");
    }
    assert!(!paths.iter().any(|path| path.starts_with("target/") || path.starts_with(".git/")));
}

fn assert_none(findings: impl IntoIterator<Item = Finding>) {
    let lines: Vec<String> = findings.into_iter().map(|finding| finding.to_string()).collect();
    assert!(lines.is_empty(), "{} findings:\n{}", lines.len(), lines.join("\n"));
}
