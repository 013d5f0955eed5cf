//! A clean release build with two jobs, and which crates cost most. Only when it is asked for: it takes minutes and
//! every core.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::report::{Figure, Goal, Number, Report};
use crate::setup::run_command;
use crate::test::{plain_cargo, target_directory};

/// Crates that are named.
const NAMED: usize = 10;
/// Six minutes.
const LIMIT_SECONDS: i64 = 360;

pub fn measure(report: &mut Report) -> Result<()> {
    // What has to come over the network is not a cost of the build.
    run_command(plain_cargo().arg("fetch")).context("cannot fetch the dependencies")?;
    let target = target_directory().join("bench-build");
    remove(&target)?;
    let begin = Instant::now();
    let mut build = plain_cargo();
    build.args(["build", "--release", "--package", "server", "--jobs", "2", "--timings"]);
    let built = run_command(build.env("CARGO_TARGET_DIR", &target));
    let elapsed = u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX);
    let timings = fs::read_to_string(target.join("cargo-timings").join("cargo-timing.html"));
    remove(&target)?;
    built.context("cannot build kiosk")?;
    report.add(Figure {
        name: "clean release build, two jobs".to_owned(),
        value: Number::seconds(elapsed),
        unit: "s",
        peer: None,
        goal: Goal::Below(Number::whole(LIMIT_SECONDS)),
    });
    let crates = costs(&timings.context("cargo left no timings")?)?;
    for (name, seconds) in crates.into_iter().take(NAMED) {
        report.add(Figure {
            name: format!("build: {name}"),
            value: seconds,
            unit: "s",
            peer: None,
            goal: Goal::Information,
        });
    }
    Ok(())
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot delete {}", folder.display()))?;
    }
    Ok(())
}

/// Seconds per crate, build scripts and their runs included, the dearest first.
fn costs(page: &str) -> Result<Vec<(String, Number)>> {
    let units = page.split_once("UNIT_DATA = ").map(|(_, after)| after).context("the timings have no UNIT_DATA")?;
    let mut costs = BTreeMap::<String, Number>::new();
    for unit in units_in(units) {
        let (Some(name), Some(seconds)) = (unit.get("name"), unit.get("duration")) else {
            continue;
        };
        let seconds = Number::parse(seconds).with_context(|| format!("{name} took {seconds:?} seconds"))?;
        let cost = costs.entry(name.clone()).or_insert(Number::whole(0));
        *cost = cost.plus(seconds);
    }
    ensure!(!costs.is_empty(), "the timings name no crates");
    let mut costs: Vec<(String, Number)> = costs.into_iter().collect();
    costs.sort_by_key(|(name, seconds)| (std::cmp::Reverse(*seconds), name.clone()));
    Ok(costs)
}

/// Texts and numbers of each object in a list, by name; what lies deeper is passed over. It reads what cargo writes, no
/// more of JSON than that.
fn units_in(list: &str) -> Vec<BTreeMap<String, String>> {
    let mut units: Vec<BTreeMap<String, String>> = Vec::new();
    let mut depth = 0_usize;
    // The name of the field whose value comes next.
    let mut field: Option<String> = None;
    let mut rest = list;
    while let Some(character) = rest.chars().next() {
        let mut taken = character.len_utf8();
        match character {
            '[' | '{' => {
                depth += 1;
                field = None;
                if depth == 2 && character == '{' {
                    units.push(BTreeMap::new());
                }
            }
            ']' | '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    break;
                }
            }
            ',' => field = None,
            '"' => {
                let text = quoted(&rest[1..]);
                taken = text.len() + 2;
                field = keep(&mut units, depth, field.take(), text);
            }
            '0'..='9' | '-' => {
                let number = rest.split([',', '}', ']', ' ', '\n', '\r']).next().unwrap_or_default();
                taken = number.len();
                field = keep(&mut units, depth, field.take(), number);
            }
            _ => {}
        }
        rest = rest.get(taken..).unwrap_or_default();
    }
    units
}

/// A text or a number either names a field or is the value of the one that was named before it.
fn keep(units: &mut [BTreeMap<String, String>], depth: usize, field: Option<String>, text: &str) -> Option<String> {
    if depth != 2 {
        return None;
    }
    match (field, units.last_mut()) {
        (Some(name), Some(unit)) => {
            unit.insert(name, text.to_owned());
            None
        }
        _ => Some(text.to_owned()),
    }
}

/// Up to the closing quote. Names of crates hold no escaped characters; one in another text is stepped over.
fn quoted(text: &str) -> &str {
    let mut escaped = false;
    let end = text.find(|character: char| {
        let ends = character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
        ends
    });
    &text[..end.unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"<script>
const UNIT_DATA = [
  {
    "i": 0, "name": "sqlite", "version": "1.0", "target": " build script (run)", "features": ["bundled", "name"],
    "start": 0.5, "duration": 80.25, "sections": [["frontend", {"start": 0, "end": 1.5, "duration": 99}]],
    "unblocked_units": [1, 2], "rmeta_time": null
  },
  {"i": 1, "name": "sqlite", "target": "", "duration": 4.5},
  {"i": 2, "name": "quick \"one\"", "duration": 0.1},
  {"i": 3, "name": "server", "duration": 90.0}
];
const CONCURRENCY_DATA = [ {"name": "none", "duration": 1000} ];
</script>"#;

    #[test]
    fn a_crate_costs_what_all_of_its_units_cost() {
        let costs = costs(PAGE).expect("a page of timings");
        let expected = [
            ("server".to_owned(), Number::whole(90)),
            ("sqlite".to_owned(), Number::thousandths(84_750)),
            (r#"quick \"one\""#.to_owned(), Number::thousandths(100)),
        ];
        assert_eq!(costs, expected);
    }

    #[test]
    fn a_page_without_timings_is_refused() {
        assert!(costs("<html></html>").is_err());
        assert!(costs("const UNIT_DATA = [];").is_err());
    }
}
