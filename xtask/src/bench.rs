//! `cargo xtask bench [FIGURE..]`: every figure that kiosk promises, measured on this machine, each beside its limit or
//! beside a peer of the same run.
//!
//! The tour: here is what can be measured and in which order; `tools` finds or installs what that takes, `programs`
//! builds and calls what is measured, `process` starts servers and stops them however the run ends; `shop` and `nginx`
//! are those servers; then a file for each group of figures; `report` says what came out.
//!
//! Everything is built before the first measurement, servers listen on the loopback address alone, and every step has a
//! limit of time. It judges no figure by itself: a goal that is missed is told, and is no failure of the task.

mod machine;
mod process;
mod programs;
mod report;
mod shop;
mod tools;

mod nginx;
mod wrk;

mod orders;

mod exchange;
mod gateway;
mod latency;
mod money;
mod reads;
mod rest;
mod settle;
mod streams;

mod build;

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use crate::step;
use programs::Bench;
use report::Report;
use tools::Tool;

/// One group of figures.
struct Group {
    name: &'static str,
    what: &'static str,
    needs: &'static [Tool],
    measure: fn(&Bench, &mut Report) -> Result<()>,
}

/// In the order in which they are measured.
const GROUPS: &[Group] = &[
    Group {
        name: "orders",
        what: "orders created per second on SQLite, also with a slow disk",
        needs: &[Tool::Strace],
        measure: orders::on_sqlite,
    },
    Group {
        name: "postgres",
        what: "orders created per second on PostgreSQL",
        needs: &[Tool::Postgres],
        measure: orders::on_postgres,
    },
    Group { name: "latency", what: "p99 of order creation at half load", needs: &[], measure: latency::measure },
    Group {
        name: "reads",
        what: "catalogue requests per second against static files",
        needs: &[Tool::Nginx, Tool::Wrk],
        measure: reads::measure,
    },
    Group { name: "rest", what: "memory at rest, time to the first answer", needs: &[], measure: rest::measure },
    Group {
        name: "streams",
        what: "memory per open stream, time to the last of many watchers",
        needs: &[Tool::Nginx],
        measure: streams::measure,
    },
    Group {
        name: "gateway",
        what: "what the gateway adds to an event, and what a viewer of it weighs",
        needs: &[Tool::Nginx],
        measure: gateway::measure,
    },
    Group {
        name: "exchange",
        what: "exchange orders per second, listeners of the WebSocket, notifications",
        needs: &[],
        measure: exchange::measure,
    },
    Group { name: "settle", what: "from the payment to the goods", needs: &[], measure: settle::measure },
    Group {
        name: "money",
        what: "the watcher's blocks, mined payments, catching up with a chain",
        needs: &[Tool::Anvil],
        measure: money::measure,
    },
];

/// A clean build takes minutes and every core: it is measured only when it is named.
const BUILD: &str = "build";

/// What the usage says of the figures.
pub fn figures() -> String {
    let lines = GROUPS.iter().map(|group| format!("    {:<10}{}\n", group.name, group.what));
    let build = format!("    {BUILD:<10}a clean release build; only when it is named\n");
    lines.chain([build]).collect()
}

/// Measures the named groups, all but the build without a name. An error means that nothing could be measured; a group
/// that could not is told in the report.
pub fn run(names: &[&str]) -> Result<Report> {
    let groups = chosen(names)?;
    let mut report = Report::new(machine::describe());
    if !groups.is_empty() {
        let needs: BTreeSet<Tool> = groups.iter().flat_map(|group| group.needs).copied().collect();
        tools::prepare(&needs)?;
        let bench = Bench::prepare()?;
        for group in groups {
            step(&format!("measuring: {} ({})", group.name, group.what));
            if let Err(error) = (group.measure)(&bench, &mut report) {
                report.fail(group.name, &error);
            }
        }
    }
    if names.contains(&BUILD) {
        step("measuring: build (a clean release build)");
        if let Err(error) = build::measure(&mut report) {
            report.fail(BUILD, &error);
        }
    }
    Ok(report)
}

fn chosen(names: &[&str]) -> Result<Vec<&'static Group>> {
    let known = |name: &str| name == BUILD || GROUPS.iter().any(|group| group.name == name);
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        bail!("there is no figure {unknown:?}; there are:\n{}", figures());
    }
    Ok(GROUPS.iter().filter(|group| names.is_empty() || names.contains(&group.name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(of: &[&str]) -> Vec<&'static str> {
        chosen(of).expect("known names").iter().map(|group| group.name).collect()
    }

    #[test]
    fn without_a_name_everything_but_the_build_is_measured() {
        assert_eq!(
            names(&[]),
            ["orders", "postgres", "latency", "reads", "rest", "streams", "gateway", "exchange", "settle", "money"]
        );
        assert_eq!(names(&["settle", "reads"]), ["reads", "settle"]);
        assert!(names(&["build"]).is_empty());
    }

    #[test]
    fn an_unknown_figure_is_refused_with_those_that_there_are() {
        let error = chosen(&["reads", "speed"]).err().expect("no such figure").to_string();
        assert!(error.contains("\"speed\"") && error.contains("latency") && error.contains("build"), "{error}");
    }
}
