//! Finding brands by what a shopper types: word beginnings, whatever the case and the accents.
//!
//! Must never rank by anything but the name, the operator's own popularity and the order of the file. Called by
//! `Catalogue`, which keeps the folded words of every brand so that a search only compares.

use crate::catalog::Brand;

/// Most words of one query; longer ones find nothing, because no brand has so many.
const MOST_QUERY_WORDS: usize = 16;

/// What a search compares, folded once when the catalogue is built.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SearchText {
    /// The brand's name with single spaces and without punctuation.
    name: String,
    /// Words of name, family, categories and tags, sorted.
    words: Vec<String>,
}

/// A query, folded like what it is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    whole: String,
    words: Vec<QueryWord>,
}

/// `H&M` is one word (`hm`) and also two (`h`, `m`); either way may match.
#[derive(Debug, Clone, PartialEq, Eq)]
struct QueryWord {
    joined: String,
    parts: Vec<String>,
}

impl SearchText {
    pub(crate) fn of(brand: &Brand) -> Self {
        let texts = [&brand.name, &brand.family, &brand.category];
        let texts = texts.into_iter().chain(&brand.additional_categories).chain(&brand.tags);
        let mut words: Vec<String> = texts
            .flat_map(|text| query_words(text))
            .flat_map(|word| word.parts.into_iter().chain([word.joined]))
            .collect();
        words.sort_unstable();
        words.dedup();
        SearchText { name: joined(&query_words(&brand.name)), words }
    }

    /// Whether every word of the query begins a word of the brand.
    pub(crate) fn matches(&self, query: &Query) -> bool {
        let begins = |beginning: &String| {
            let first = self.words.partition_point(|word| word < beginning);
            self.words.get(first).is_some_and(|word| word.starts_with(beginning.as_str()))
        };
        query.words.iter().all(|word| begins(&word.joined) || word.parts.iter().all(begins))
    }

    /// Whether the name itself begins with the query.
    pub(crate) fn name_begins_with(&self, query: &Query) -> bool {
        self.name.starts_with(&query.whole)
    }
}

impl Query {
    /// `None` if there is nothing to look for, or far too much.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let words = query_words(text);
        let usable = (1..=MOST_QUERY_WORDS).contains(&words.len());
        usable.then(|| Query { whole: joined(&words), words })
    }
}

fn joined(words: &[QueryWord]) -> String {
    words.iter().map(|word| word.joined.as_str()).collect::<Vec<_>>().join(" ")
}

/// The words of a text: separated by space, each with the parts between its punctuation.
fn query_words(text: &str) -> Vec<QueryWord> {
    let folded = fold(text);
    let word = |raw: &str| {
        let parts: Vec<String> =
            raw.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()).map(String::from).collect();
        (!parts.is_empty()).then(|| QueryWord { joined: parts.concat(), parts })
    };
    folded.split_whitespace().filter_map(word).collect()
}

/// Lower case without accents: `Café` and `CAFE` are the same, so are `İŞ`, `ış` and `is`, `Straße` and `STRASSE`.
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for letter in text.chars().flat_map(char::to_lowercase) {
        match fold_letter(letter) {
            Some(plain) => folded.push_str(plain),
            None => folded.push(letter),
        }
    }
    folded
}

/// The plain spelling of a lower-case Latin letter with marks; empty for a combining mark; `None` to keep it.
fn fold_letter(letter: char) -> Option<&'static str> {
    let plain = match letter {
        '\u{300}'..='\u{36f}' => "",
        'à'..='å' | 'ā' | 'ă' | 'ą' | 'ǎ' | '\u{1ea0}'..='\u{1eb7}' => "a",
        'æ' => "ae",
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => "c",
        'ď' | 'đ' | 'ð' | 'ḍ' => "d",
        'è'..='ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' | 'ə' | '\u{1eb8}'..='\u{1ec7}' => "e",
        'ĝ' | 'ğ' | 'ġ' | 'ģ' | 'ǧ' | 'ǵ' => "g",
        'ĥ' | 'ħ' | 'ḥ' => "h",
        'ì'..='ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' | 'ǐ' | '\u{1ec8}'..='\u{1ecb}' => "i",
        'ĳ' => "ij",
        'ĵ' => "j",
        'ķ' | 'ĸ' => "k",
        'ĺ' | 'ļ' | 'ľ' | 'ŀ' | 'ł' => "l",
        'ñ' | 'ń' | 'ņ' | 'ň' | 'ŋ' => "n",
        'ò'..='ö' | 'ø' | 'ō' | 'ŏ' | 'ő' | 'ơ' | 'ǒ' | '\u{1ecc}'..='\u{1ee3}' => "o",
        'œ' => "oe",
        'ŕ' | 'ŗ' | 'ř' => "r",
        'ś' | 'ŝ' | 'ş' | 'š' | 'ș' | 'ſ' | 'ṣ' => "s",
        'ß' => "ss",
        'ţ' | 'ť' | 'ŧ' | 'ț' | 'ṭ' => "t",
        'þ' => "th",
        'ù'..='ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' | 'ư' | 'ǔ' | 'ǖ' | 'ǘ' | 'ǚ' | 'ǜ' | '\u{1ee4}'..='\u{1ef1}' => {
            "u"
        }
        'ŵ' | 'ẁ' | 'ẃ' | 'ẅ' => "w",
        'ý' | 'ÿ' | 'ŷ' | '\u{1ef2}'..='\u{1ef9}' => "y",
        'ź' | 'ż' | 'ž' | 'ẓ' => "z",
        _ => return None,
    };
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::samples::{brand, market};

    #[test]
    fn case_and_accents_do_not_matter() {
        let table = [
            ("Café", "cafe"),
            ("CAFE\u{301}", "cafe"),
            ("İŞBANK ışık", "isbank isik"),
            ("Straße STRASSE", "strasse strasse"),
            ("Ægir Œuvre Þor", "aegir oeuvre thor"),
            ("Łódź Đà Nẵng Ørsted", "lodz da nang orsted"),
            ("Ἀθήνα МОСКВА", "ἀθήνα москва"),
            ("楽天", "楽天"),
        ];
        for (text, expected) in table {
            assert_eq!(fold(text), expected, "{text}");
        }
    }

    /// Brands: "name|family|category|tags|popular".
    fn found(query: &str, limit: usize) -> Vec<String> {
        let rows = [
            "Amazon.com|Amazon|e-commerce|books|2",
            "Prime Video|Amazon|streaming||",
            "Şok Market|Şok|groceries|süpermarket|",
            "H&M|H&M|apparel_clothing||5",
            "McDonald's|McDonald's|food||1",
            "eSIM Market|Airalo|e-sim||",
            "Market 24|Market|retail||",
        ];
        let brands = rows.map(|row| {
            let parts: Vec<&str> = row.split('|').collect();
            let mut brand = brand(parts[0], "TR", Vec::new());
            brand.family = parts[1].into();
            brand.category = parts[2].into();
            brand.tags = vec![parts[3].into()];
            brand.popular = parts[4].parse().ok();
            brand
        });
        let mut hidden = brand("Amazon Hidden", "TR", Vec::new());
        hidden.active = false;
        let elsewhere = brand("Amazon Abroad", "US", Vec::new());
        let brands = brands.into_iter().chain([hidden, elsewhere]).collect();
        let market = market(brands, Vec::new());
        market.catalogue.search("TR", query, limit).into_iter().map(|brand| brand.name.clone()).collect()
    }

    #[test]
    fn every_word_must_begin_a_word_and_names_come_first() {
        let table: &[(&str, &[&str])] = &[
            ("amazon", &["Amazon.com", "Prime Video"]),
            ("AMAZON.COM", &["Amazon.com"]),
            ("amazon vid", &["Prime Video"]),
            ("mazon", &[]),
            ("sok", &["Şok Market"]),
            ("ŞOK süper", &["Şok Market"]),
            ("market", &["Market 24", "Şok Market", "eSIM Market"]),
            ("h&m", &["H&M"]),
            ("mcdonalds", &["McDonald's"]),
            ("McDonald\u{2019}s", &["McDonald's"]),
            ("esim", &["eSIM Market"]),
            ("e-sim", &["eSIM Market"]),
            ("apparel", &["H&M"]),
            ("com", &["Amazon.com"]),
            ("", &[]),
            ("  & ", &[]),
        ];
        for (query, expected) in table {
            assert_eq!(found(query, 10), *expected, "{query}");
        }
        assert_eq!(found("m", 2), ["McDonald's", "Market 24"]);
        assert_eq!(found(&"m ".repeat(17), 10), Vec::<String>::new());
        assert_eq!(found("market", 0), Vec::<String>::new());
    }
}
