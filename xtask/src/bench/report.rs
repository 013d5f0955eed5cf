//! What came out: a table for people, then one JSON line per figure for programs.
//!
//! Numbers are kept as whole thousandths, so that what is printed is what was compared. Called by every figure.

use std::fmt;

/// A number with three decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number {
    thousandths: i64,
}

impl Number {
    pub const fn whole(whole: i64) -> Self {
        Self { thousandths: whole * 1_000 }
    }

    pub const fn thousandths(thousandths: i64) -> Self {
        Self { thousandths }
    }

    /// A quotient of whole numbers, rounded down; 0 if it would be without bounds.
    pub fn quotient(dividend: u64, divisor: u64) -> Self {
        if divisor == 0 {
            return Self::whole(0);
        }
        let thousandths = u128::from(dividend) * 1_000 / u128::from(divisor);
        Self { thousandths: i64::try_from(thousandths).unwrap_or(i64::MAX) }
    }

    /// How many a second, of so many in so many microseconds.
    pub fn per_second(count: u64, elapsed_us: u64) -> Self {
        Self::quotient(count.saturating_mul(1_000_000), elapsed_us)
    }

    /// Microseconds as milliseconds.
    pub fn milliseconds(micros: u64) -> Self {
        Self::quotient(micros, 1_000)
    }

    /// Microseconds as seconds.
    pub fn seconds(micros: u64) -> Self {
        Self::quotient(micros, 1_000_000)
    }

    /// KiB as MiB.
    pub fn mebibytes(kib: u64) -> Self {
        Self::quotient(kib, 1_024)
    }

    /// Reads a decimal such as `12345.67`; further decimals are dropped.
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_digits(whole) || !is_digits(decimals) {
            return None;
        }
        let padded: String = decimals.chars().chain("000".chars()).take(3).collect();
        let thousandths = whole.parse::<i64>().ok()?.checked_mul(1_000)? + padded.parse::<i64>().ok()?;
        Some(Self { thousandths })
    }

    /// This divided by another; `None` if that is not above zero.
    pub fn over(self, other: Self) -> Option<Self> {
        if other.thousandths <= 0 {
            return None;
        }
        let thousandths = i128::from(self.thousandths) * 1_000 / i128::from(other.thousandths);
        i64::try_from(thousandths).ok().map(Self::thousandths)
    }

    pub fn plus(self, other: Self) -> Self {
        Self { thousandths: self.thousandths.saturating_add(other.thousandths) }
    }

    pub fn minus(self, other: Self) -> Self {
        Self { thousandths: self.thousandths.saturating_sub(other.thousandths) }
    }

    /// Half of it, in whole numbers.
    pub fn half(self) -> u64 {
        u64::try_from(self.thousandths / 2_000).unwrap_or(0)
    }

    /// The middle of several; 0 of none.
    pub fn median(mut of: Vec<Self>) -> Self {
        of.sort_unstable();
        of.get(of.len() / 2).copied().unwrap_or(Self::whole(0))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.thousandths < 0 { "-" } else { "" };
        let (whole, decimals) = (self.thousandths.unsigned_abs() / 1_000, self.thousandths.unsigned_abs() % 1_000);
        let text = format!("{sign}{whole}.{decimals:03}");
        formatter.pad(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// What a figure should reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Nothing: it is told because it explains another.
    Information,
    /// Below a limit.
    Below(Number),
    /// So many times the peer or more.
    AtLeastOfPeer(Number),
    /// So many times the peer or less.
    AtMostOfPeer(Number),
}

/// What a figure is compared with, in the same unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub name: &'static str,
    pub value: Number,
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    pub name: String,
    pub value: Number,
    pub unit: &'static str,
    pub peer: Option<Peer>,
    pub goal: Goal,
}

impl Figure {
    fn ratio(&self) -> Option<Number> {
        self.peer.as_ref().and_then(|peer| self.value.over(peer.value))
    }

    /// `None` without a goal. A goal about a peer that could not be compared with is not met.
    fn met(&self) -> Option<bool> {
        match self.goal {
            Goal::Information => None,
            Goal::Below(limit) => Some(self.value < limit),
            Goal::AtLeastOfPeer(least) => Some(self.ratio().is_some_and(|ratio| ratio >= least)),
            Goal::AtMostOfPeer(most) => Some(self.ratio().is_some_and(|ratio| ratio <= most)),
        }
    }

    fn goal_text(&self) -> Option<String> {
        match self.goal {
            Goal::Information => None,
            Goal::Below(limit) => Some(format!("< {limit} {}", self.unit)),
            Goal::AtLeastOfPeer(least) => Some(format!("ratio >= {least}")),
            Goal::AtMostOfPeer(most) => Some(format!("ratio <= {most}")),
        }
    }

    /// `{"figure":..,"value":..,"unit":..,"peer":..,"peer_name":..,"ratio":..,"goal":..,"met":..}`; what there is not is
    /// null.
    fn json(&self) -> String {
        let number = |value: Option<Number>| value.map_or("null".to_owned(), |value| value.to_string());
        let text = |value: Option<&str>| value.map_or("null".to_owned(), quoted);
        format!(
            "{{\"figure\":{},\"value\":{},\"unit\":{},\"peer\":{},\"peer_name\":{},\"ratio\":{},\"goal\":{},\"met\":{}}}",
            quoted(&self.name),
            self.value,
            quoted(self.unit),
            number(self.peer.as_ref().map(|peer| peer.value)),
            text(self.peer.as_ref().map(|peer| peer.name)),
            number(self.ratio()),
            text(self.goal_text().as_deref()),
            self.met().map_or("null".to_owned(), |met| met.to_string()),
        )
    }

    fn cells(&self) -> [String; 5] {
        let peer = self.peer.as_ref().map(|peer| format!("{} ({})", peer.value, peer.name));
        let met = match self.met() {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "",
        };
        [
            self.name.clone(),
            format!("{} {}", self.value, self.unit),
            peer.unwrap_or_default(),
            self.ratio().map(|ratio| ratio.to_string()).unwrap_or_default(),
            self.goal_text().map(|goal| format!("{goal}  {met}")).unwrap_or_default(),
        ]
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => quoted.push(' '),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// All figures of a run.
pub struct Report {
    machine: String,
    figures: Vec<Figure>,
    failures: usize,
}

impl Report {
    pub fn new(machine: String) -> Self {
        Self { machine, figures: Vec::new(), failures: 0 }
    }

    /// Adds a figure, and says it at once: a run takes minutes.
    pub fn add(&mut self, figure: Figure) {
        eprintln!("    {}", figure.cells().join("  "));
        self.figures.push(figure);
    }

    /// A group that could not be measured; the others go on.
    pub fn fail(&mut self, group: &str, error: &anyhow::Error) {
        eprintln!("error: {group} could not be measured: {error:#}");
        self.failures += 1;
    }

    /// Whether everything that was asked for was measured, whatever came out.
    pub fn is_complete(&self) -> bool {
        self.failures == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}\n", self.machine)?;
        let head = ["figure", "value", "peer", "ratio", "goal"].map(str::to_owned);
        let rows: Vec<[String; 5]> = std::iter::once(head).chain(self.figures.iter().map(Figure::cells)).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..5).map(width).collect();
        for row in &rows {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            writeln!(formatter, "{}", line.trim_end())?;
        }
        writeln!(formatter)?;
        self.figures.iter().try_for_each(|figure| writeln!(formatter, "{}", figure.json()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(value: i64, peer: Option<i64>, goal: Goal) -> Figure {
        let peer = peer.map(|value| Peer { name: "another", value: Number::whole(value) });
        Figure { name: "speed".to_owned(), value: Number::whole(value), unit: "orders/s", peer, goal }
    }

    #[test]
    fn numbers_are_exact_to_the_thousandth() {
        // 80,123 in 8 s are 10,015.375 a second.
        assert_eq!(Number::per_second(80_123, 8_000_000).to_string(), "10015.375");
        assert_eq!(Number::milliseconds(12_340).to_string(), "12.34");
        assert_eq!(Number::mebibytes(1_536).to_string(), "1.5");
        assert_eq!(Number::whole(1).minus(Number::thousandths(1_250)).to_string(), "-0.25");
        assert_eq!(Number::whole(100).to_string(), "100");
        assert_eq!(Number::parse("12345.6789"), Some(Number::thousandths(12_345_678)));
        assert_eq!(Number::parse("7"), Some(Number::whole(7)));
        for wrong in ["", ".5", "1e3", "-1", "1.2.3"] {
            assert_eq!(Number::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Number::quotient(1, 0), Number::whole(0));
        assert_eq!(Number::median(vec![Number::whole(9), Number::whole(1), Number::whole(5)]), Number::whole(5));
    }

    #[test]
    fn a_goal_is_met_at_its_limit_and_a_below_is_not() {
        let least = Goal::AtLeastOfPeer(Number::thousandths(700));
        assert_eq!(figure(70, Some(100), least).met(), Some(true));
        assert_eq!(figure(69, Some(100), least).met(), Some(false));
        assert_eq!(figure(69, None, least).met(), Some(false), "nothing to compare with");
        assert_eq!(figure(100, Some(100), Goal::AtMostOfPeer(Number::whole(1))).met(), Some(true));
        assert_eq!(figure(101, Some(100), Goal::AtMostOfPeer(Number::whole(1))).met(), Some(false));
        assert_eq!(figure(50, None, Goal::Below(Number::whole(50))).met(), Some(false));
        assert_eq!(figure(49, None, Goal::Below(Number::whole(50))).met(), Some(true));
        assert_eq!(figure(1, None, Goal::Information).met(), None);
    }

    #[test]
    fn a_figure_is_one_json_line() {
        let told = figure(70, Some(100), Goal::AtLeastOfPeer(Number::thousandths(700))).json();
        let expected = "{\"figure\":\"speed\",\"value\":70,\"unit\":\"orders/s\",\"peer\":100,\"peer_name\":\"another\",\
            \"ratio\":0.7,\"goal\":\"ratio >= 0.7\",\"met\":true}";
        assert_eq!(told, expected);
        let alone = figure(70, None, Goal::Information).json();
        assert!(
            alone.ends_with("\"peer\":null,\"peer_name\":null,\"ratio\":null,\"goal\":null,\"met\":null}"),
            "{alone}"
        );
        assert_eq!(quoted("a\"b\\c\n"), "\"a\\\"b\\\\c \"");
    }

    #[test]
    fn the_report_ends_with_a_line_for_each_figure() {
        let mut report = Report::new("a machine".to_owned());
        report.add(figure(70, Some(100), Goal::AtLeastOfPeer(Number::thousandths(700))));
        report.add(figure(2, None, Goal::Information));
        let text = report.to_string();
        assert!(text.starts_with("a machine\n\nfigure  value"), "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with('{')).count(), 2);
        assert!(report.is_complete());
        report.fail("reads", &anyhow::anyhow!("no nginx"));
        assert!(!report.is_complete());
    }
}
