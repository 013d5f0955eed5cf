//! Bytes in, server-sent events out: an incremental parser of `text/event-stream`.
//!
//! It knows the stream format of the HTML standard and nothing about orders, sockets or reconnecting. It accepts any cut
//! of the bytes into chunks, also inside a character or between CR and LF, and it never holds more than
//! [`MAX_EVENT_BYTES`] of an event that is not complete. An event that the stream ends before its empty line is dropped,
//! as the standard says. `track` feeds it; the stories of the server read their streams with it too.

use std::collections::VecDeque;

/// The most bytes one event may have, its current line included: 1 MiB. An order with ten lines has a hundredth of it.
pub const MAX_EVENT_BYTES: usize = 1_048_576;

/// The name of an event that gives none.
pub const DEFAULT_EVENT_NAME: &str = "message";

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// One event of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The `event` field, or [`DEFAULT_EVENT_NAME`].
    pub name: String,
    /// The `data` lines, joined by LF.
    pub data: String,
    /// The `id` field of this event, if it has one.
    pub id: Option<String>,
}

/// The stream held an event of more than [`MAX_EVENT_BYTES`]; nothing after it can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream sent an event of more than 1 MiB; close the connection and open a new one")]
pub struct EventTooLarge;

/// The parser: feed it bytes with [`Parser::feed`], then take events with [`Parser::next_event`] until there are none.
#[derive(Debug, Default)]
pub struct Parser {
    ready: VecDeque<Result<Event, EventTooLarge>>,
    /// The line that has not ended yet.
    line: Vec<u8>,
    /// The event that has not ended yet.
    draft: Draft,
    /// The last byte was CR: an LF that follows belongs to it.
    after_carriage_return: bool,
    /// A line has ended, so a byte order mark can no longer come.
    past_first_line: bool,
    /// An event was too large: what follows is ignored.
    broken: bool,
}

#[derive(Debug, Default)]
struct Draft {
    name: String,
    data: String,
    has_data: bool,
    id: Option<String>,
}

impl Draft {
    fn size(&self) -> usize {
        self.name.len() + self.data.len() + self.id.as_ref().map_or(0, String::len)
    }
}

impl Parser {
    /// A parser at the beginning of a stream. A new connection needs a new parser.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the stream, in chunks of any size.
    pub fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !self.broken && !rest.is_empty() {
            if self.after_carriage_return {
                self.after_carriage_return = false;
                if let [b'\n', after @ ..] = rest {
                    rest = after;
                    continue;
                }
            }
            let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let (part, after) = rest.split_at(end.unwrap_or(rest.len()));
            if self.line.len() + part.len() + self.draft.size() > MAX_EVENT_BYTES {
                self.give_up();
                return;
            }
            self.line.extend_from_slice(part);
            rest = after;
            if let [line_end, after @ ..] = rest {
                self.after_carriage_return = *line_end == b'\r';
                rest = after;
                self.end_line();
            }
        }
    }

    /// The next complete event, in the order of the stream. The error comes after the events before it, and last.
    pub fn next_event(&mut self) -> Option<Result<Event, EventTooLarge>> {
        self.ready.pop_front()
    }

    fn give_up(&mut self) {
        self.broken = true;
        self.line = Vec::new();
        self.draft = Draft::default();
        self.ready.push_back(Err(EventTooLarge));
    }

    fn end_line(&mut self) {
        let bytes = std::mem::take(&mut self.line);
        let mut line = bytes.as_slice();
        if !self.past_first_line {
            self.past_first_line = true;
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        if line.is_empty() {
            self.end_event();
            return;
        }
        // Decoded by the line, so that a character cut by two chunks is whole again here.
        let text = String::from_utf8_lossy(line);
        let (field, value) = text.split_once(':').unwrap_or((&*text, ""));
        self.take_field(field, value.strip_prefix(' ').unwrap_or(value));
    }

    fn take_field(&mut self, field: &str, value: &str) {
        match field {
            "event" => self.draft.name = value.to_owned(),
            "data" => {
                if self.draft.has_data {
                    self.draft.data.push('\n');
                }
                self.draft.data.push_str(value);
                self.draft.has_data = true;
            }
            "id" if !value.contains('\0') => self.draft.id = Some(value.to_owned()),
            // A comment has an empty field name. `retry` is not relied on by the contract: the waits are fixed.
            _ => {}
        }
    }

    fn end_event(&mut self) {
        let draft = std::mem::take(&mut self.draft);
        if !draft.has_data {
            return;
        }
        let name = if draft.name.is_empty() { DEFAULT_EVENT_NAME.to_owned() } else { draft.name };
        self.ready.push_back(Ok(Event { name, data: draft.data, id: draft.id }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, data: &str) -> Event {
        Event { name: name.to_owned(), data: data.to_owned(), id: None }
    }

    fn drain(parser: &mut Parser) -> Vec<Event> {
        std::iter::from_fn(|| parser.next_event()).map(|item| item.expect("no event is too large")).collect()
    }

    fn parse(bytes: &[u8]) -> Vec<Event> {
        let mut parser = Parser::new();
        parser.feed(bytes);
        drain(&mut parser)
    }

    #[test]
    fn the_forms_of_a_stream() {
        for (text, expected) in [
            ("data: {}\n\n", vec![event("message", "{}")]),
            ("event: stop\ndata: {}\n\n", vec![event("stop", "{}")]),
            ("data:one\ndata: two\ndata:  three\n\n", vec![event("message", "one\ntwo\n three")]),
            ("data\n\n", vec![event("message", "")]),
            ("data:\ndata:\n\n", vec![event("message", "\n")]),
            (": ping\n\n", vec![]),
            (": ping\ndata: a\n: ping\n\n", vec![event("message", "a")]),
            ("event: stop\n\ndata: a\n\n", vec![event("message", "a")]),
            ("retry: 5\nunknown: 1\ndata: a:b\n\n", vec![event("message", "a:b")]),
            ("data: never ended\n", vec![]),
            ("\n\n\ndata: a\n\n\n\ndata: b\n\n", vec![event("message", "a"), event("message", "b")]),
        ] {
            assert_eq!(parse(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn an_id_belongs_to_its_event_and_has_no_nul() {
        let events = parse(b"id: 7\ndata: a\n\ndata: b\n\nid: 8\0\ndata: c\n\n");
        let ids: Vec<Option<&str>> = events.iter().map(|event| event.id.as_deref()).collect();
        assert_eq!(ids, [Some("7"), None, None]);
    }

    const STREAM: &str = "\u{feff}data: {\"price\":\"5 €\"}\n\n: ping\n\nid: 3\nevent: note\ndata: a\ndata: b\n\nevent: stop\ndata: {}\n\n";

    fn expected_events() -> Vec<Event> {
        let note = Event { name: "note".to_owned(), data: "a\nb".to_owned(), id: Some("3".to_owned()) };
        vec![event("message", "{\"price\":\"5 €\"}"), note, event("stop", "{}")]
    }

    #[test]
    fn every_line_end_and_every_cut_gives_the_same_events() {
        for line_end in ["\n", "\r\n", "\r"] {
            let bytes = STREAM.replace('\n', line_end).into_bytes();
            for cut in 0..=bytes.len() {
                let mut parser = Parser::new();
                parser.feed(&bytes[..cut]);
                let mut events = drain(&mut parser);
                parser.feed(&bytes[cut..]);
                events.extend(drain(&mut parser));
                assert_eq!(events, expected_events(), "line end {line_end:?}, cut at {cut}");
            }
        }
    }

    #[test]
    fn single_bytes_give_the_same_events() {
        let mut parser = Parser::new();
        for byte in STREAM.replace('\n', "\r\n").bytes() {
            parser.feed(&[byte]);
        }
        assert_eq!(drain(&mut parser), expected_events());
    }

    #[test]
    fn an_event_is_ready_at_the_first_byte_of_its_last_line_end() {
        let mut parser = Parser::new();
        parser.feed(b"data: a\r\n\r");
        assert_eq!(drain(&mut parser), [event("message", "a")]);
        parser.feed(b"\ndata: b\r\n\r\n");
        assert_eq!(drain(&mut parser), [event("message", "b")]);
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        assert_eq!(parse(b"data: a\xFFb\n\n"), [event("message", "a\u{fffd}b")]);
    }

    #[test]
    fn an_event_at_the_limit_passes_and_one_byte_more_does_not() {
        for (length, fits) in [(MAX_EVENT_BYTES - "data:".len(), true), (MAX_EVENT_BYTES - "data:".len() + 1, false)] {
            let mut parser = Parser::new();
            parser.feed(b"data: before\n\ndata:");
            for _ in 0..length {
                parser.feed(b"x");
            }
            parser.feed(b"\n\ndata: after\n\n");
            assert_eq!(parser.next_event(), Some(Ok(event("message", "before"))));
            if fits {
                let large = parser.next_event().expect("the event is complete").expect("the event fits");
                assert_eq!(large.data.len(), length);
                assert_eq!(parser.next_event(), Some(Ok(event("message", "after"))));
            } else {
                assert_eq!(parser.next_event(), Some(Err(EventTooLarge)));
            }
            assert_eq!(parser.next_event(), None);
        }
    }

    #[test]
    fn many_lines_and_endless_lines_are_bounded_alike() {
        for line in ["data: 0123456789\n", ": 0123456789", "event"] {
            let mut parser = Parser::new();
            for _ in 0..=MAX_EVENT_BYTES / 5 {
                parser.feed(line.as_bytes());
            }
            assert_eq!(parser.next_event(), Some(Err(EventTooLarge)), "{line:?}");
            parser.feed(b"\n\ndata: a\n\n");
            assert_eq!(parser.next_event(), None);
        }
    }
}
