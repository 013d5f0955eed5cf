//! What the mails about accounts say. The exchange API knows two languages; English stands in for all others.

use super::{Paragraphs, fill, one_line};

/// A mail with a code that is good once.
#[derive(Clone, Debug)]
pub struct CodeMail {
    /// Where the account is: the host that people know.
    pub site: String,
    /// Opens a page that asks once more, so that a program that follows the links of mails uses nothing up.
    pub link: crate::secret::Secret<String>,
    /// The same code, to be typed in.
    pub code: crate::secret::Secret<String>,
}

struct Words {
    confirm_subject: &'static str,
    confirm: &'static str,
    reset_subject: &'static str,
    reset: &'static str,
    open: &'static str,
    code: &'static str,
    confirm_end: &'static str,
    reset_end: &'static str,
}

const ENGLISH: Words = Words {
    confirm_subject: "Confirm your e-mail address for {site}",
    confirm: "Somebody, probably you, made an account at {site} with this e-mail address.",
    reset_subject: "Another password for {site}",
    reset: "Somebody, probably you, asked for another password at {site}.",
    open: "Open this link:",
    code: "Or enter this code:",
    confirm_end: "It is good for 24 hours. If it was not you, ignore this mail: without the code nothing happens.",
    reset_end: "It is good for one hour, and once. If it was not you, ignore this mail: your password stays as it is.",
};

const RUSSIAN: Words = Words {
    confirm_subject: "Подтвердите адрес электронной почты для {site}",
    confirm: "Кто-то, вероятно вы, зарегистрировался на {site} с этим адресом электронной почты.",
    reset_subject: "Новый пароль для {site}",
    reset: "Кто-то, вероятно вы, запросил новый пароль на {site}.",
    open: "Откройте эту ссылку:",
    code: "Или введите этот код:",
    confirm_end: "Код действует 24 часа. Если это были не вы, не обращайте внимания: без кода ничего не произойдёт.",
    reset_end: "Код действует один час и один раз. Если это были не вы, не обращайте внимания: пароль останется прежним.",
};

/// Subject and text of the mail that confirms an address.
pub fn confirm(language: &str, mail: &CodeMail) -> (String, String) {
    let words = words_of(language);
    put_together(words, mail, (words.confirm_subject, words.confirm, words.confirm_end))
}

/// Subject and text of the mail that allows another password.
pub fn reset(language: &str, mail: &CodeMail) -> (String, String) {
    let words = words_of(language);
    put_together(words, mail, (words.reset_subject, words.reset, words.reset_end))
}

fn put_together(words: &Words, mail: &CodeMail, (subject, first, last): (&str, &str, &str)) -> (String, String) {
    let values = [("{site}", mail.site.as_str())];
    let mut text = Paragraphs::new();
    text.add(&fill(first, &values));
    text.add(&format!("{}\n{}", words.open, mail.link.expose()));
    text.add(&format!("{}\n{}", words.code, mail.code.expose()));
    text.add(last);
    (one_line(&fill(subject, &values)), text.done())
}

fn words_of(language: &str) -> &'static Words {
    if language == "ru" { &RUSSIAN } else { &ENGLISH }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_mails_say_where_and_how_and_keep_the_code_out_of_the_subject() {
        let mail = CodeMail {
            site: "shop.test".to_owned(),
            link: "https://shop.test/account/confirm/CODE".to_owned().into(),
            code: "CODE".to_owned().into(),
        };
        for language in ["en", "ru", "xx"] {
            for (subject, text) in [confirm(language, &mail), reset(language, &mail)] {
                assert!(subject.contains("shop.test") && !subject.contains("CODE"), "{subject}");
                assert!(text.contains("\nhttps://shop.test/account/confirm/CODE\n"), "{text}");
                assert!(text.contains("\nCODE\n") && !text.contains(['{', '}']), "{text}");
            }
        }
        assert_ne!(confirm("en", &mail), confirm("ru", &mail));
        assert_eq!(confirm("en", &mail), confirm("xx", &mail));
    }
}
