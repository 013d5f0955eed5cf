//! Each tidy rule as a function from the text of one file to findings.
//!
//! The tables that the rules go by stand in `tidy`; the samples at the end prove that each rule can fail. A rule must
//! never read the disk itself.

use std::fmt;

use super::repository::Document;
use super::source::{code_only, functions, references, test_lines, tokens};
use super::{
    ARROWS, BANS, Ban, Code, Exception, MACHINE_TEXT, MOST_FILE_LINES, MOST_FUNCTION_LINES, REPOSITORY_FOLDERS,
};

/// Where a rule is broken, and what the rule is for.
#[derive(Debug)]
pub struct Finding {
    path: String,
    line: usize,
    rule: String,
    reason: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {} ({})", self.path, self.line, self.rule, self.reason)
    }
}

pub fn arrow_findings(file: &Document) -> Vec<Finding> {
    let Some(arrow) = ARROWS.iter().find(|arrow| is_within(&file.path, arrow.within)) else {
        return Vec::new();
    };
    let code = code_only(&file.text);
    let mut findings = Vec::new();
    for reference in references(&tokens(&code)) {
        let path = from_crate_root(&reference.path, module_depth(&file.path));
        for name in arrow.never.iter().filter(|name| position(&path, name) == Some(0)) {
            findings.push(Finding {
                path: file.path.clone(),
                line: reference.line,
                rule: format!("{} must not use {name}", arrow.within),
                reason: arrow.reason.to_owned(),
            });
        }
    }
    findings
}

/// Whether a file is `folder.rs` or lies in the folder.
fn is_within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

/// How many modules a file lies below its crate root: 2 for `src/store/orders.rs`, 1 for `src/store/mod.rs`.
fn module_depth(path: &str) -> usize {
    let inside = path.split_once("/src/").map_or(path, |(_, inside)| inside);
    let parts = inside.split('/').count();
    if inside.ends_with("/mod.rs") { parts - 1 } else { parts }
}

/// Writes `super::super::x` as `crate::x` where it climbs to the top, so that no detour leads around a rule.
fn from_crate_root<'a>(path: &[&'a str], depth: usize) -> Vec<&'a str> {
    let climbs = path.iter().take_while(|segment| **segment == "super").count();
    if climbs == 0 || climbs < depth {
        return path.to_vec();
    }
    let mut absolute = vec!["crate"];
    absolute.extend_from_slice(&path[climbs..]);
    absolute
}

/// Where a name such as `std::fs` stands in a path. A name that ends in `::` stands only where more follows it.
fn position(path: &[&str], name: &str) -> Option<usize> {
    let bare = name.trim_end_matches("::");
    let wanted: Vec<&str> = bare.split("::").collect();
    let must_go_on = bare.len() < name.len();
    let mut windows = path.windows(wanted.len()).enumerate();
    let found = windows.find(|(start, window)| {
        let goes_on = start + wanted.len() < path.len();
        *window == wanted && (goes_on || !must_go_on)
    });
    found.map(|(start, _)| start)
}

pub fn ban_findings(file: &Document) -> Vec<Finding> {
    let code = code_only(&file.text);
    let tokens = tokens(&code);
    let ranges = test_lines(&tokens);
    let is_test_file = is_test_file(&file.path);
    let mut findings = Vec::new();
    for reference in references(&tokens) {
        let in_tests = is_test_file || ranges.iter().any(|range| range.contains(&reference.line));
        for ban in BANS {
            let looks_here = match ban.code {
                Code::All => true,
                Code::OutsideTests => !in_tests,
                Code::InTests => in_tests,
            };
            if !looks_here || ban.only_in.iter().any(|place| file.path.starts_with(*place)) {
                continue;
            }
            for call in ban.calls.iter().filter(|call| position(&reference.path, call).is_some()) {
                findings.push(Finding {
                    path: file.path.clone(),
                    line: reference.line,
                    rule: format!("`{call}` is banned here{}", allowed_places(ban)),
                    reason: ban.reason.to_owned(),
                });
            }
        }
    }
    findings
}

fn allowed_places(ban: &Ban) -> String {
    if ban.only_in.is_empty() {
        return String::new();
    }
    format!(", its place is {}", ban.only_in.join(", "))
}

fn is_test_file(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs") || path.ends_with("_tests.rs")
}

/// A file, or a function in it, that is longer than its limit.
pub struct Oversize {
    path: String,
    function: Option<String>,
    line: usize,
    lines: usize,
}

pub fn oversizes(file: &Document) -> Vec<Oversize> {
    let mut found = Vec::new();
    let lines = file.text.lines().count();
    if lines > MOST_FILE_LINES {
        found.push(Oversize { path: file.path.clone(), function: None, line: 1, lines });
    }
    let code = code_only(&file.text);
    for function in functions(&tokens(&code)) {
        if function.lines > MOST_FUNCTION_LINES {
            found.push(Oversize {
                path: file.path.clone(),
                function: Some(function.name.to_owned()),
                line: function.line,
                lines: function.lines,
            });
        }
    }
    found
}

pub fn size_findings(sizes: &[Oversize], exceptions: &[Exception]) -> Vec<Finding> {
    let covers = |exception: &Exception, size: &Oversize| {
        exception.path == size.path && exception.function == size.function.as_deref()
    };
    let too_long = sizes.iter().filter(|size| !exceptions.iter().any(|exception| covers(exception, size)));
    let mut findings: Vec<Finding> = too_long.map(too_long_finding).collect();
    for exception in exceptions.iter().filter(|exception| !sizes.iter().any(|size| covers(exception, size))) {
        findings.push(Finding {
            path: exception.path.to_owned(),
            line: 1,
            rule: format!("the exception for {} is no longer needed", exception.function.unwrap_or("the file")),
            reason: format!("it was made because {}; remove it", exception.reason),
        });
    }
    findings
}

fn too_long_finding(size: &Oversize) -> Finding {
    let (what, most) = match &size.function {
        Some(name) => (format!("fn {name}"), MOST_FUNCTION_LINES),
        None => ("the file".to_owned(), MOST_FILE_LINES),
    };
    Finding {
        path: size.path.clone(),
        line: size.line,
        rule: format!("{what} has {} lines, the limit is {most}", size.lines),
        reason: "a function fits one screen and a file one sitting; split it by what it does".to_owned(),
    }
}

pub fn path_findings(document: &Document, exists: &dyn Fn(&str) -> bool) -> Vec<Finding> {
    let named = named_paths(&document.text);
    let missing = named.iter().filter(|(_, name)| !exists(name));
    let to_finding = |(line, name): &(usize, &str)| Finding {
        path: document.path.clone(),
        line: *line,
        rule: format!("`{name}` does not exist"),
        reason: "a document that names what is gone sends its reader astray".to_owned(),
    };
    missing.map(to_finding).collect()
}

/// The repository paths in backticks, with their lines. Code blocks are left out: they show what a user types.
fn named_paths(markdown: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut in_block = false;
    for (index, line) in markdown.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
            continue;
        }
        if in_block {
            continue;
        }
        for word in line.split('`').skip(1).step_by(2).flat_map(str::split_whitespace) {
            // `file.rs:12`, `file.rs::function` and `file.md#heading` name the file.
            let name = word.split([':', '#']).next().unwrap_or(word).trim_end_matches([',', '.', ';', ')']);
            let is_pattern = name.contains(['*', '<', '{', '$']);
            if !is_pattern && REPOSITORY_FOLDERS.iter().any(|folder| name.starts_with(*folder)) {
                found.push((index + 1, name));
            }
        }
    }
    found
}

pub fn machine_findings(document: &Document) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in document.text.lines().enumerate() {
        for text in MACHINE_TEXT.iter().filter(|text| line.contains(**text)) {
            findings.push(Finding {
                path: document.path.clone(),
                line: index + 1,
                rule: format!("the text {text:?} is not allowed"),
                reason: "it is true on one machine only; use a relative path or the public default".to_owned(),
            });
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> Document {
        Document { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn every_arrow_can_fail() {
        for arrow in ARROWS {
            for name in arrow.never {
                let text = format!("//! Sample.\nuse {}::thing;\n", name.trim_end_matches("::"));
                for path in [format!("{}.rs", arrow.within), format!("{}/sample.rs", arrow.within)] {
                    let findings = arrow_findings(&file(&path, &text));
                    assert_eq!(findings.len(), 1, "{path}: {text}");
                    assert_eq!((findings[0].path.as_str(), findings[0].line), (path.as_str(), 2));
                    assert!(findings[0].to_string().contains(arrow.reason), "{}", findings[0]);
                }
            }
        }
    }

    #[test]
    fn an_arrow_sees_groups_and_detours_but_not_comments() {
        let found = |path: &str, text: &str| arrow_findings(&file(path, text)).len();
        assert_eq!(found("crates/server/src/http/mod.rs", "use crate::{engine, workers::{run, idle}};"), 2);
        assert_eq!(found("crates/server/src/store/orders.rs", "use super::super::engine::Queue;"), 1);
        assert_eq!(found("crates/server/src/store/mod.rs", "use super::engine::Queue;"), 1);
        assert_eq!(found("crates/server/src/store/orders.rs", "use super::engine::Queue;"), 0);
        assert_eq!(found("crates/server/src/store/orders.rs", "// crate::engine\nlet s = \"crate::engine::x\";"), 0);
        assert_eq!(found("crates/server/src/storefront.rs", "use crate::engine;"), 0);
        assert_eq!(found("crates/server/src/engine.rs", "use crate::{store, ports}; let api = 1; api.x();"), 0);
        assert_eq!(found("crates/domain/src/money.rs", "fn f(x: f64) -> Vec<f32> { 1f64 }"), 3);
        assert_eq!(found("crates/domain/src/time.rs", "use std::time::Duration;"), 0);
    }

    #[test]
    fn every_ban_can_fail() {
        for ban in BANS {
            for call in ban.calls {
                let text = format!("fn sample() {{\n    {}::<u8>();\n}}\n", call.replace("rand::", "rand::random"));
                let path = match ban.code {
                    Code::All | Code::OutsideTests => "crates/server/src/http/sample.rs",
                    Code::InTests => "crates/server/tests/it/sample.rs",
                };
                let findings = ban_findings(&file(path, &text));
                assert_eq!(findings.len(), 1, "{text}");
                assert_eq!(findings[0].line, 2);
                for place in ban.only_in {
                    assert_eq!(ban_findings(&file(place, &text)).len(), 0, "{place}: {text}");
                }
            }
        }
    }

    #[test]
    fn a_ban_knows_test_code() {
        let found = |path: &str, text: &str| ban_findings(&file(path, text)).len();
        let in_module = "#[cfg(test)]\nmod tests {\n    fn a() { Instant::now(); thread::sleep(x); }\n}\n";
        assert_eq!(found("crates/server/src/http/mod.rs", in_module), 1, "the sleep");
        assert_eq!(found("crates/server/tests/it/story.rs", "Instant::now(); time.sleep(x);"), 1, "the sleep");
        assert_eq!(found("crates/server/src/workers/mod.rs", "tokio::time::sleep(x).await;"), 0);
        assert_eq!(found("crates/api/src/track.rs", "let at = std::time::Instant::now();"), 1);
    }

    #[test]
    fn a_long_file_and_a_long_function_are_found() {
        let longest = format!("fn sample() {{\n{}}}\n", "    x();\n".repeat(MOST_FUNCTION_LINES - 2));
        assert!(oversizes(&file("crates/a.rs", &longest)).is_empty(), "the limit itself is allowed");
        let longer = longest.replacen("    x();\n", "    x();\n    y();\n", 1);
        let sizes = oversizes(&file("crates/a.rs", &longer));
        assert_eq!(sizes.len(), 1);
        assert_eq!((sizes[0].line, sizes[0].lines), (1, MOST_FUNCTION_LINES + 1));

        assert!(oversizes(&file("crates/a.rs", &"//\n".repeat(MOST_FILE_LINES))).is_empty());
        assert_eq!(oversizes(&file("crates/a.rs", &"//\n".repeat(MOST_FILE_LINES + 1))).len(), 1);
    }

    #[test]
    fn an_exception_excuses_its_case_and_fails_when_it_is_stale() {
        let sizes = oversizes(&file("crates/a.rs", &"//\n".repeat(MOST_FILE_LINES + 1)));
        let excused = Exception { path: "crates/a.rs", function: None, reason: "it is a table" };
        let stale = Exception { path: "crates/a.rs", function: Some("gone"), reason: "it was a table" };
        assert_eq!(size_findings(&sizes, &[]).len(), 1);
        assert_eq!(size_findings(&sizes, &[excused]).len(), 0);
        let findings = size_findings(&[], &[stale]);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].rule.contains("exception for gone"), "{}", findings[0]);
    }

    #[test]
    fn a_document_that_names_a_missing_file_is_found() {
        let text = "See `crates/gone.rs:12`, `docs/there.md#part` and `cat demo/gone.json`.\n\
                    ```\ncat `crates/in-a-block`\n```\nNot `src/lib.rs`, crates/plain or `crates/*/src`.\n";
        assert_eq!(named_paths(text), [(1, "crates/gone.rs"), (1, "docs/there.md"), (1, "demo/gone.json")]);
        let findings = path_findings(&file("README.md", text), &|name: &str| name == "docs/there.md");
        assert_eq!(findings.len(), 2);
        assert!(findings[0].to_string().starts_with("README.md:1: `crates/gone.rs` does not exist"));
    }

    #[test]
    fn every_machine_text_is_found() {
        for text in MACHINE_TEXT {
            let findings = machine_findings(&file("notes.md", &format!("fine\nsee {text} there")));
            assert_eq!(findings.len(), 1, "{text}");
            assert_eq!(findings[0].line, 2);
        }
        assert!(machine_findings(&file("notes.md", "a framework, a network and src/workers/mod.rs")).is_empty());
    }
}
