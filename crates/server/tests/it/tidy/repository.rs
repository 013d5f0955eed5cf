//! The text files of this repository, as the tidy rules read them.
//!
//! It only reads, and it knows no rule. Called by `tidy`.

use std::fs;
use std::path::{Path, PathBuf};

/// A text file of the repository, its path relative to the root.
pub struct Document {
    pub path: String,
    pub text: String,
}

pub fn repository_root() -> PathBuf {
    let server = Path::new(env!("CARGO_MANIFEST_DIR"));
    server.ancestors().nth(2).expect("the server crate lies two folders deep").to_owned()
}

pub fn rust_sources() -> Vec<Document> {
    let is_source = |path: &str| path.ends_with(".rs") && (path.starts_with("crates/") || path.starts_with("xtask/"));
    documents().into_iter().filter(|document| is_source(&document.path)).collect()
}

/// Every text file of the repository, in the order of their paths, without what .gitignore names. It asks the folders
/// and not git, so that the rules also hold in a source archive and before the first commit.
pub fn documents() -> Vec<Document> {
    let root = repository_root();
    let ignored = fs::read_to_string(root.join(".gitignore")).expect("the repository has a .gitignore");
    let mut folders = vec![String::new()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).expect("a folder of the repository is readable") {
            let entry = entry.expect("a folder of the repository is readable");
            let name = entry.file_name().into_string().expect("file names are UTF-8");
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            let kind = entry.file_type().expect("a file of the repository has a type");
            if is_ignored(&path, &ignored) {
                continue;
            }
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                // What is not UTF-8 is a picture or the like, and no rule reads it.
                found.extend(fs::read_to_string(entry.path()).ok().map(|text| Document { path, text }));
            }
        }
    }
    found.sort_by(|left, right| left.path.cmp(&right.path));
    found
}

/// Knows two of git's forms: `/path` from the root, and a plain name anywhere.
fn is_ignored(path: &str, patterns: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    path == ".git"
        || patterns.lines().map(|line| line.trim().trim_end_matches('/')).any(|pattern| {
            match pattern.strip_prefix('/') {
                Some(from_root) => from_root == path,
                None => pattern == name,
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_files_are_not_read() {
        let patterns = "/target\n/kiosk-data/\nnode_modules\n";
        for path in [".git", "target", "kiosk-data", "clients/typescript/node_modules"] {
            assert!(is_ignored(path, patterns), "{path}");
        }
        for path in ["crates/target", ".github", "README.md"] {
            assert!(!is_ignored(path, patterns), "{path}");
        }
    }
}
