//! How texts are laid out for a terminal: tables, label columns, times, and texts of a shop made safe to print.
//!
//! Pure, and without a word about shops. It must never let a control character of a shop reach the terminal, because
//! such characters can rewrite what stands on the screen, an address to pay to included. Called by `show`, `follow` and
//! `failure`.

use domain::time::Time;

/// Between two columns.
const GAP: &str = "  ";

/// The last second of the year 9999: later times have no four-digit year.
const LAST_SECOND: i64 = 253_402_300_799;

/// The longest tag that [`plain_text`] takes for one, in bytes; a `<` without a near `>` is a sign, not a tag.
const MOST_TAG_BYTES: usize = 1_000;

/// Tags inside a sentence: taking them out leaves no gap.
const INLINE_TAGS: [&str; 9] = ["a", "b", "code", "em", "i", "small", "span", "strong", "u"];

/// What HTML writes for a character, the ampersand last so that nothing is decoded twice.
const ENTITIES: [(&str, &str); 6] =
    [("&nbsp;", " "), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];

/// A table with its head, columns aligned to the left. Cells are made safe here. Each row should have as many cells as
/// the head; missing ones are blank.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|&title| title.to_owned()).collect();
    let lines: Vec<Vec<String>> =
        std::iter::once(&head).chain(rows).map(|row| row.iter().map(|cell| clean(cell)).collect()).collect();
    let mut widths: Vec<usize> = Vec::new();
    for line in &lines {
        for (column, cell) in line.iter().enumerate() {
            match widths.get_mut(column) {
                Some(widest) => *widest = width(cell).max(*widest),
                None => widths.push(width(cell)),
            }
        }
    }
    let mut text = String::new();
    for line in &lines {
        let padded: Vec<String> = line.iter().zip(&widths).map(|(cell, widest)| pad(cell, *widest)).collect();
        text.push_str(padded.join(GAP).trim_end());
        text.push('\n');
    }
    text
}

/// Labels and values, one pair a line, the values aligned. Values are made safe here.
pub(super) fn fields(pairs: &[(&str, String)]) -> String {
    let widest = pairs.iter().map(|(label, _)| width(label)).max().unwrap_or(0);
    let mut text = String::new();
    for (label, value) in pairs {
        let line = format!("{}{GAP}{}", pad(label, widest), clean(value));
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The text with spaces up to `columns` columns of a terminal; a longer text is not cut.
pub(super) fn pad(text: &str, columns: usize) -> String {
    let missing = columns.saturating_sub(width(text));
    format!("{text}{}", " ".repeat(missing))
}

/// One line that a terminal cannot take for commands: control characters and changes of direction become spaces.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|symbol| if is_unsafe(symbol) { ' ' } else { symbol }).collect()
}

/// Whether a terminal could take it for a command, or turn the text around.
pub(crate) fn is_unsafe(symbol: char) -> bool {
    // U+2028 and U+2029 are line breaks; the others turn the direction of the text that follows.
    symbol.is_control()
        || matches!(u32::from(symbol), 0x200e | 0x200f | 0x2028 | 0x2029 | 0x202a..=0x202e | 0x2066..=0x2069)
}

/// Columns of a terminal that a text takes.
fn width(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

/// Nothing for marks that stand on the letter before, two for the wide letters of East Asia and for most pictures.
fn columns_of(symbol: char) -> usize {
    match u32::from(symbol) {
        0x0300..=0x036f | 0x200b..=0x200d | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f
        | 0x2e80..=0x303e
        | 0x3041..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe4f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1f64f
        | 0x1f900..=0x1f9ff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// Unix seconds as a store writes them (contract, section 2); `None` for what is no such text.
pub(super) fn unix_seconds(text: &str) -> Option<i64> {
    text.parse().ok().filter(|seconds| (0..=LAST_SECOND).contains(seconds))
}

/// Unix seconds as RFC 3339 in UTC, so that a line means the same wherever it is read.
pub(super) fn utc(seconds: i64) -> String {
    Time(seconds.saturating_mul(1_000)).rfc3339()
}

/// A time of a store for people; what is not one is shown as it came.
pub(super) fn utc_text(text: &str) -> String {
    unix_seconds(text).map_or_else(|| clean(text), utc)
}

/// A text with markup as one line without it.
pub(super) fn plain_text(markup: &str) -> String {
    let mut text = String::with_capacity(markup.len());
    let mut rest = markup;
    while let Some(start) = rest.find('<') {
        let (before, from_sign) = rest.split_at(start);
        text.push_str(before);
        match tag_bytes(from_sign) {
            Some(length) => {
                let (tag, after) = from_sign.split_at(length);
                if !is_inline(tag) {
                    text.push(' ');
                }
                rest = after;
            }
            None => {
                text.push('<');
                rest = &from_sign[1..];
            }
        }
    }
    text.push_str(rest);
    for (entity, symbol) in ENTITIES {
        text = text.replace(entity, symbol);
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    clean(&words.join(" "))
}

/// How long the tag is that a text begins with; `None` when its `<` begins none.
fn tag_bytes(text: &str) -> Option<usize> {
    let second = text.as_bytes().get(1)?;
    if !second.is_ascii_alphabetic() && !matches!(second, b'/' | b'!') {
        return None;
    }
    let end = text.bytes().take(MOST_TAG_BYTES).position(|byte| byte == b'>')?;
    Some(end + 1)
}

fn is_inline(tag: &str) -> bool {
    let name: String = tag.trim_start_matches(['<', '/']).chars().take_while(char::is_ascii_alphanumeric).collect();
    INLINE_TAGS.iter().any(|inline| inline.eq_ignore_ascii_case(&name))
}

/// A word of a command that can be copied into a POSIX shell.
pub(super) fn shell_word(text: &str) -> String {
    let is_plain = |symbol: char| symbol.is_ascii_alphanumeric() || "-_./:@%+,=".contains(symbol);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", clean(text).replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|&cell| cell.to_owned()).collect()
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [row(&["Airbnb", "100 USD", "yes"]), row(&["A", "5 EUR - PIN", ""])];
        let expected = "\
BRAND   DENOMINATION  STOCK
Airbnb  100 USD       yes
A       5 EUR - PIN
";
        assert_eq!(table(&["BRAND", "DENOMINATION", "STOCK"], &rows), expected);
    }

    #[test]
    fn wide_letters_and_marks_keep_the_columns_straight() {
        // Two letters of four columns, a letter with a mark on it, and plain ones: each cell is padded to four.
        let rows = [row(&["商品", "x"]), row(&["e\u{301}", "x"]), row(&["ab", "x"])];
        assert_eq!(table(&["A", "B"], &rows), "A     B\n商品  x\ne\u{301}     x\nab    x\n");
    }

    #[test]
    fn labels_are_aligned_and_nothing_stands_behind_a_line() {
        let pairs = [("pay", "5 USDC".to_owned()), ("address", String::new())];
        assert_eq!(fields(&pairs), "pay      5 USDC\naddress\n");
        assert_eq!(fields(&[]), "");
    }

    #[test]
    fn a_shop_cannot_write_on_the_screen() {
        let hostile = "0xabc\u{1b}[2K\r0xdef\u{9b}1A\u{202e}\n";
        assert_eq!(clean(hostile), "0xabc [2K 0xdef 1A  ");
        assert!(!table(&["A"], &[row(&[hostile])]).contains('\u{1b}'));
        assert!(!fields(&[("address", hostile.to_owned())]).contains('\r'));
    }

    #[test]
    fn times_are_in_utc() {
        // 1,790,000,000 s are 20,717 days and 51,200 s: 21 September 2026, 14:13:20.
        assert_eq!(utc_text("1790000000"), "2026-09-21T14:13:20Z");
        assert_eq!(utc_text("0"), "1970-01-01T00:00:00Z");
        assert_eq!(utc_text("253402300799"), "9999-12-31T23:59:59Z");
        for text in ["253402300800", "-1", "soon", ""] {
            assert_eq!(unix_seconds(text), None);
            assert_eq!(utc_text(text), text);
        }
    }

    #[test]
    fn markup_becomes_sentences() {
        let cases = [
            ("<ol><li>Sign in.</li><li>Enter the <b>code</b>.</li></ol>", "Sign in. Enter the code."),
            ("Terms &amp; more<br/>5 &lt; 6 &amp;lt;", "Terms & more 5 < 6 &lt;"),
            ("a < b and <3", "a < b and <3"),
            ("open <p", "open <p"),
            ("", ""),
        ];
        for (markup, expected) in cases {
            assert_eq!(plain_text(markup), expected, "{markup}");
        }
    }

    #[test]
    fn a_tag_without_an_end_nearby_is_text() {
        let long = format!("<a {}>", "x".repeat(MOST_TAG_BYTES));
        assert_eq!(plain_text(&long), long);
    }

    #[test]
    fn words_survive_the_shell() {
        assert_eq!(shell_word("http://127.0.0.1:8080"), "http://127.0.0.1:8080");
        assert_eq!(shell_word("a b"), "'a b'");
        assert_eq!(shell_word("$(x)'"), r"'$(x)'\'''");
        assert_eq!(shell_word(""), "''");
    }
}
