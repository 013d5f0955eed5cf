//! Reads Rust source as far as the tidy rules need it: which paths it names, how long its functions are, which lines
//! are test code.
//!
//! It is a scanner, not a parser: it knows strings, comments, words and brackets, and nothing of types. What a macro
//! pastes together it cannot see. It must never read a file itself, so that every rule can be tried on a sample.
//! Called by the rules of `tidy`.

use std::ops::RangeInclusive;

/// A word, a number, a `::` or a single other character, and the line it stands on (from 1).
#[derive(Clone, Copy, Debug)]
pub struct Token<'a> {
    pub line: usize,
    pub text: &'a str,
}

/// A path as code or a `use` names it; `a::{b, c::d}` gives `a::b` and `a::c::d`. A lone word is a path of one.
#[derive(Debug, PartialEq, Eq)]
pub struct Reference<'a> {
    pub line: usize,
    pub path: Vec<&'a str>,
}

/// A function with its signature and its body.
#[derive(Debug, PartialEq, Eq)]
pub struct Function<'a> {
    pub name: &'a str,
    pub line: usize,
    pub lines: usize,
}

/// The source with blanks for comments and for strings, so that their words are not taken for code. Lines stay.
pub fn code_only(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut index = 0;
    while index < characters.len() {
        let blank_until = comment_end(&characters, index)
            .or_else(|| raw_string_end(&characters, index))
            .or_else(|| string_end(&characters, index))
            .or_else(|| character_end(&characters, index));
        if let Some(end) = blank_until {
            code.extend(characters[index..end].iter().map(|character| if *character == '\n' { '\n' } else { ' ' }));
            index = end;
            continue;
        }
        // A word is taken whole: the `r` at the end of `for` begins no raw string.
        let end = word_end(&characters, index).max(index + 1);
        code.extend(&characters[index..end]);
        index = end;
    }
    code
}

/// Cuts code without strings and comments into tokens.
pub fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    for (index, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = if is_word(first) {
                rest.find(|character: char| !is_word(character)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            let (text, after) = rest.split_at(length);
            found.push(Token { line: index + 1, text });
            rest = after.trim_start();
        }
    }
    found
}

/// Every path that the code names, in order. A number such as `1f64` names the path of its type.
pub fn references<'a>(tokens: &[Token<'a>]) -> Vec<Reference<'a>> {
    let mut found = Vec::new();
    let mut index = 0;
    while let Some(token) = tokens.get(index) {
        if starts_name(token.text) {
            index = read_path(tokens, index, &[], &mut found);
            continue;
        }
        if let Some(suffix) = float_suffix(token.text) {
            found.push(Reference { line: token.line, path: vec![suffix] });
        }
        index += 1;
    }
    found
}

/// Every function with a name, also those inside of others.
pub fn functions<'a>(tokens: &[Token<'a>]) -> Vec<Function<'a>> {
    let mut found = Vec::new();
    for (index, pair) in tokens.windows(2).enumerate() {
        if pair[0].text == "fn" && starts_name(pair[1].text) {
            let line = pair[0].line;
            let last_line = tokens[item_end(tokens, index)].line;
            found.push(Function { name: pair[1].text, line, lines: last_line + 1 - line });
        }
    }
    found
}

/// The lines that exist only in a test build: what follows `#[cfg(test)]`, to its end.
pub fn test_lines(tokens: &[Token<'_>]) -> Vec<RangeInclusive<usize>> {
    const ATTRIBUTE: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut found = Vec::new();
    for (index, window) in tokens.windows(ATTRIBUTE.len()).enumerate() {
        if window.iter().map(|token| token.text).eq(ATTRIBUTE) {
            let item = index + ATTRIBUTE.len();
            let last_line = if item < tokens.len() { tokens[item_end(tokens, item)].line } else { window[0].line };
            found.push(window[0].line..=last_line);
        }
    }
    found
}

/// Reads one path, or a tree of them in braces; returns the index after it. Only a name, `*` or `{` continues a path.
fn read_path<'a>(tokens: &[Token<'a>], start: usize, prefix: &[&'a str], found: &mut Vec<Reference<'a>>) -> usize {
    let mut path = prefix.to_vec();
    let mut index = start;
    while let Some(token) = tokens.get(index) {
        if token.text == "{" {
            return read_group(tokens, index + 1, &path, found);
        }
        if token.text != "*" && !starts_name(token.text) {
            break;
        }
        path.push(token.text);
        index += 1;
        if tokens.get(index).is_none_or(|next| next.text != "::") {
            break;
        }
        index += 1;
    }
    found.push(Reference { line: tokens[start].line, path });
    index
}

fn read_group<'a>(tokens: &[Token<'a>], start: usize, prefix: &[&'a str], found: &mut Vec<Reference<'a>>) -> usize {
    let mut index = start;
    while let Some(token) = tokens.get(index) {
        index = match token.text {
            "}" => return index + 1,
            // The new name after `as` names nothing of anybody else.
            "as" => index + 2,
            text if text == "*" || starts_name(text) => read_path(tokens, index, prefix, found),
            _ => index + 1,
        };
    }
    index
}

/// The last token of the item at `start`: the `;` of a declaration or the brace that closes a body.
fn item_end(tokens: &[Token<'_>], start: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(start) {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" => depth = depth.saturating_sub(1),
            "}" => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return index;
                }
            }
            ";" if depth == 0 => return index,
            _ => {}
        }
    }
    tokens.len() - 1
}

fn comment_end(characters: &[char], start: usize) -> Option<usize> {
    if characters[start..].starts_with(&['/', '/']) {
        let length = characters[start..].iter().position(|character| *character == '\n');
        return Some(length.map_or(characters.len(), |length| start + length));
    }
    if !characters[start..].starts_with(&['/', '*']) {
        return None;
    }
    let mut depth = 0_usize;
    let mut index = start;
    while index < characters.len() {
        let rest = &characters[index..];
        if rest.starts_with(&['/', '*']) {
            depth += 1;
            index += 2;
        } else if rest.starts_with(&['*', '/']) {
            depth -= 1;
            index += 2;
            if depth == 0 {
                break;
            }
        } else {
            index += 1;
        }
    }
    Some(index)
}

/// `r".."`, `br#".."#` and the like, in which a backslash means nothing.
fn raw_string_end(characters: &[char], start: usize) -> Option<usize> {
    let word: String = characters[start..word_end(characters, start)].iter().collect();
    if !["r", "br", "cr"].contains(&word.as_str()) {
        return None;
    }
    let mut index = start + word.len();
    let hashes = characters[index..].iter().take_while(|character| **character == '#').count();
    index += hashes;
    if characters.get(index) != Some(&'"') {
        return None;
    }
    index += 1;
    while index < characters.len() {
        let follows = characters[index + 1..].iter().take(hashes);
        if characters[index] == '"' && follows.filter(|character| **character == '#').count() == hashes {
            return Some(index + 1 + hashes);
        }
        index += 1;
    }
    Some(characters.len())
}

fn string_end(characters: &[char], start: usize) -> Option<usize> {
    if characters[start] != '"' {
        return None;
    }
    let mut index = start + 1;
    while let Some(character) = characters.get(index) {
        match character {
            '"' => return Some(index + 1),
            '\\' => index += 2,
            _ => index += 1,
        }
    }
    Some(characters.len())
}

/// A character in quotes; a lifetime has no second quote and is left alone.
fn character_end(characters: &[char], start: usize) -> Option<usize> {
    if characters[start] != '\'' {
        return None;
    }
    if characters.get(start + 1) == Some(&'\\') {
        let after_escape = start + 3;
        let length = characters.get(after_escape..)?.iter().position(|character| *character == '\'')?;
        return Some(after_escape + length + 1);
    }
    (characters.get(start + 2) == Some(&'\'')).then_some(start + 3)
}

fn word_end(characters: &[char], start: usize) -> usize {
    let length = characters[start..].iter().take_while(|character| is_word(**character)).count();
    start + length
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn starts_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

fn float_suffix(text: &str) -> Option<&str> {
    let is_number = text.starts_with(|first: char| first.is_ascii_digit()) && !text.starts_with("0x");
    let start = text.len().checked_sub(3)?;
    let suffix = text.get(start..)?;
    (is_number && ["f32", "f64"].contains(&suffix)).then_some(suffix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(source: &str) -> Vec<String> {
        let code = code_only(source);
        references(&tokens(&code)).iter().map(|reference| reference.path.join("::")).collect()
    }

    #[test]
    fn strings_and_comments_are_not_code() {
        let cases = [
            ("a // b", "a     "),
            ("a /* b /* c */ d */ e", "a                   e"),
            (r#"a "b \" c" d"#, "a          d"),
            ("a r#\"b \" c\"# d", "a            d"),
            (r#"a r"\" b"#, "a      b"),
            ("for\"x\"", "for   "),
            ("r#type", "r#type"),
            ("'x' 'static '\\'' '\\u{1F600}' b'\"' c", "    'static                  b    c"),
            ("\"one\ntwo\" x", "    \n     x"),
        ];
        for (source, expected) in cases {
            assert_eq!(code_only(source), expected, "{source}");
        }
    }

    #[test]
    fn a_use_tree_is_taken_apart() {
        let source = "pub use crate::{\n    engine::{self, Queue as Waiting},\n    store::*,\n};\nuse std::fs;";
        assert_eq!(
            paths(source),
            ["pub", "use", "crate::engine::self", "crate::engine::Queue", "crate::store::*", "use", "std::fs"]
        );
    }

    #[test]
    fn a_group_member_is_named_with_its_own_line() {
        let tokens = tokens("use crate::{\n    engine,\n    http::auth,\n};");
        let lines: Vec<usize> = references(&tokens).iter().map(|reference| reference.line).collect();
        assert_eq!(lines, [1, 2, 3]);
    }

    #[test]
    fn paths_in_expressions_and_types_are_named() {
        assert_eq!(paths("x.sleep(d)"), ["x", "sleep", "d"]);
        assert_eq!(paths("Vec::<f64>::new()"), ["Vec", "f64", "new"]);
        assert_eq!(paths("1.5f64 + 2_f32 + 0xaf64"), ["f64", "f32"]);
        assert_eq!(paths("m::S { a: b::c }"), ["m::S", "a", "b::c"]);
    }

    #[test]
    fn a_function_is_measured_from_its_name_to_its_last_brace() {
        let source = "fn one(a: [u8; 2]) -> u8\nwhere\n    u8: Copy,\n{\n    \"}\";\n    a[0]\n}\n\nfn two();\n";
        let found = functions_of(source);
        assert_eq!(found, [("one".to_owned(), 1, 7), ("two".to_owned(), 9, 1)]);
        assert!(functions_of("type Callback = fn(u8) -> u8;").is_empty());
    }

    fn functions_of(source: &str) -> Vec<(String, usize, usize)> {
        let code = code_only(source);
        let found = functions(&tokens(&code));
        found.iter().map(|function| (function.name.to_owned(), function.line, function.lines)).collect()
    }

    #[test]
    fn test_code_ends_where_its_item_ends() {
        let source = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n#[cfg(test)]\nuse d;\nuse e;";
        assert_eq!(test_lines(&tokens(source)), [2..=5, 7..=8]);
        assert!(test_lines(&tokens("#[cfg(unix)] mod a {}")).is_empty());
    }
}
