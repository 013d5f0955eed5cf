//! Keeps the list of contract tests complete: a public function of the store that no test names is found here.
//!
//! It reads source text, as far as that is needed: a function is `module::name` where it stands alone and `.name(` or
//! `::name(` where it is a method, and text after `//` counts for nothing. Being named is not being tested well; that
//! is for people to see.

use std::fs;
use std::path::Path;

/// One `pub fn` of the store.
struct Function {
    module: String,
    name: String,
    is_method: bool,
}

impl Function {
    fn is_named_in(&self, tests: &str) -> bool {
        let (free, called, of_type) =
            (format!("{}::{}", self.module, self.name), format!(".{}(", self.name), format!("::{}(", self.name));
        if self.is_method {
            return tests.contains(&called) || tests.contains(&of_type);
        }
        tests.match_indices(&free).any(|(start, _)| {
            let is_word = |character: char| character.is_alphanumeric() || character == '_';
            !tests[..start].ends_with(is_word) && !tests[start + free.len()..].starts_with(is_word)
        })
    }
}

/// Reads `pub fn`, `pub async fn` and `pub const fn` of one file, up to its own tests.
fn functions(module: &str, source: &str) -> Vec<Function> {
    let code = source.split("#[cfg(test)]").next().unwrap_or(source);
    let read = |line: &str| {
        let declared = line.trim_start().strip_prefix("pub ")?;
        let declared = declared.strip_prefix("async ").or(declared.strip_prefix("const ")).unwrap_or(declared);
        let name = declared.strip_prefix("fn ")?.split(['(', '<']).next()?;
        Some(Function { module: module.to_owned(), name: name.to_owned(), is_method: line.starts_with(' ') })
    };
    code.lines().filter_map(read).collect()
}

fn without_comments(source: &str) -> String {
    source.lines().map(|line| line.split("//").next().unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// (module, source) of every file in a folder of this crate, or of the one file.
fn sources(path: &str) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if path.is_file() {
        return vec![read(&path)];
    }
    let entries = fs::read_dir(&path).expect("the folder is readable");
    entries.map(|entry| read(&entry.expect("an entry of the folder").path())).collect()
}

fn read(file: &Path) -> (String, String) {
    let module = file.file_stem().expect("a file has a name").to_string_lossy().into_owned();
    (module, fs::read_to_string(file).expect("a source file is readable"))
}

#[test]
fn every_public_function_of_the_store_is_named_by_a_test() {
    let tests = ["tests/it/store.rs", "tests/it/store", "tests/it/engine.rs", "tests/it/engine"];
    let tests: Vec<String> = tests.into_iter().flat_map(sources).map(|(_, source)| without_comments(&source)).collect();
    let tests = tests.join("\n");
    let store = sources("src/store");
    let known: Vec<Function> = store.iter().flat_map(|(module, source)| functions(module, source)).collect();
    let missing: Vec<String> = known
        .iter()
        .filter(|function| !function.is_named_in(&tests))
        .map(|function| format!("{}::{}", function.module, function.name))
        .collect();
    assert_eq!(missing, Vec::<String>::new(), "add a contract test for each of them");
    // A reader that finds nothing would find nothing missing.
    assert!(known.len() >= 70, "only {} functions were found", known.len());
}

#[test]
fn what_no_test_names_is_found() {
    let source = "pub fn alone(tx: &mut Tx<'_>) {}\n    pub async fn method<T>(&self) {}\npub(super) fn hidden() {}\n\
        fn private() {}\n    pub const fn made() -> Self {}\n#[cfg(test)]\nmod tests {\n    pub fn sample() {}\n}\n";
    let found = functions("rows", source);
    let names: Vec<(&str, bool)> = found.iter().map(|function| (function.name.as_str(), function.is_method)).collect();
    assert_eq!(names, [("alone", false), ("method", true), ("made", true)]);

    let named_in = |tests: &str| -> Vec<bool> {
        let tests = without_comments(tests);
        found.iter().map(|function| function.is_named_in(&tests)).collect()
    };
    assert_eq!(named_in("rows::alone(tx); row.method(1); Row::made()"), [true, true, true]);
    assert_eq!(named_in("map(rows::alone)"), [true, false, false]);
    assert_eq!(named_in("arrows::alone(tx); rows::alone_too(tx); method(1) // row.made()"), [false; 3]);
}
