//! Where a command writes: results to one side, everything else to the other, for people or for programs.
//!
//! In the form for programs the results are JSON alone, one document a line, also when a command fails. Writers are
//! handed in, so that tests read what a person would. It must never buffer a line: who follows an order reads each one
//! when it comes. Called by every command of `shop`.

use std::io::{self, Write};

use serde::Serialize;

/// For whom results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Aligned text.
    Text,
    /// JSON.
    Json,
}

/// The two outputs of a command and the form of its results.
pub(super) struct Terminal<'a> {
    results: &'a mut (dyn Write + Send),
    notes: &'a mut (dyn Write + Send),
    form: Form,
}

impl<'a> Terminal<'a> {
    pub(super) fn new(results: &'a mut (dyn Write + Send), notes: &'a mut (dyn Write + Send), form: Form) -> Self {
        Self { results, notes, form }
    }

    pub(super) fn form(&self) -> Form {
        self.form
    }

    /// A result in the form that was asked for. `text` is only called for people.
    ///
    /// # Errors
    /// The output cannot be written, such as when the program that reads it has ended.
    pub(super) fn result(&mut self, document: &impl Serialize, text: impl FnOnce() -> String) -> io::Result<()> {
        match self.form {
            Form::Text => self.text(&text()),
            Form::Json => {
                let document = serde_json::to_string(document)
                    .expect("wire types and reports have text keys only, so they can be written as JSON");
                self.text(&document)
            }
        }
    }

    /// A result for people, ended with a line break. Only for what a document of [`Terminal::result`] says already.
    ///
    /// # Errors
    /// As [`Terminal::result`].
    pub(super) fn text(&mut self, text: &str) -> io::Result<()> {
        let end = if text.ends_with('\n') { "" } else { "\n" };
        self.results.write_all(text.as_bytes())?;
        self.results.write_all(end.as_bytes())?;
        self.results.flush()
    }

    /// A word beside the results. That nobody reads it is no reason to end a command.
    pub(super) fn note(&mut self, text: &str) {
        drop(writeln!(self.notes, "{}", text.trim_end()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(form: Form) -> (String, String) {
        let (mut results, mut notes) = (Vec::<u8>::new(), Vec::<u8>::new());
        let mut terminal = Terminal::new(&mut results, &mut notes, form);
        terminal.result(&["a\nb"], || "two\nlines".to_owned()).expect("a vector takes everything");
        terminal.note("a note\n");
        let read = |bytes: Vec<u8>| String::from_utf8(bytes).expect("only text was written");
        (read(results), read(notes))
    }

    #[test]
    fn results_and_notes_go_apart() {
        assert_eq!(written(Form::Text), ("two\nlines\n".to_owned(), "a note\n".to_owned()));
    }

    #[test]
    fn a_document_is_one_line() {
        assert_eq!(written(Form::Json), ("[\"a\\nb\"]\n".to_owned(), "a note\n".to_owned()));
    }
}
