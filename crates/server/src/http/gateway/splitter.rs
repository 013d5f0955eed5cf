//! Cuts the bytes of an event stream where events end, and changes none of them.
//!
//! `api::sse` reads events; a gateway passes them on, whole and as they came. Must never hold more than the event that
//! has not ended. Called by `feeds`.

use api::sse::MAX_EVENT_BYTES;

/// Bytes in, bytes of whole events out.
#[derive(Default)]
pub struct Splitter {
    /// What came since the last event's end.
    rest: Vec<u8>,
    /// A line of the event has come that is no comment.
    has_field: bool,
    /// One of them is data: without it an event is nothing to anybody.
    has_data: bool,
    line: Line,
    /// An LF that follows belongs to the CR before it.
    after_return: bool,
}

/// What the line holds that has not ended.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Line {
    #[default]
    Empty,
    Comment,
    /// A field whose name may be `data`: so many bytes of it have come.
    Data(usize),
    /// Of `data`.
    Value,
    /// Another.
    Field,
}

/// An event has more than [`MAX_EVENT_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

impl Splitter {
    /// Takes the next bytes and answers with the events that they end, and with comments that stand alone. Empty lines that
    /// end nothing go with what they stand beside.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, TooLarge> {
        let mut events: Vec<Vec<u8>> = Vec::new();
        let mut begin = 0;
        for (at, byte) in bytes.iter().enumerate() {
            let is_rest_of_line_end = std::mem::replace(&mut self.after_return, *byte == b'\r') && *byte == b'\n';
            let is_empty_line = matches!(byte, b'\n' | b'\r') && self.line == Line::Empty && !self.has_field;
            if is_rest_of_line_end || is_empty_line {
                // It says nothing, and goes with what came right before it.
                if let (true, Some(event)) = (begin == at, events.last_mut()) {
                    event.push(*byte);
                    begin = at + 1;
                }
                continue;
            }
            if !matches!(byte, b'\n' | b'\r') {
                self.line = self.line.with(*byte);
                continue;
            }
            if self.end_line() {
                let mut event = std::mem::take(&mut self.rest);
                event.extend_from_slice(&bytes[begin..=at]);
                events.push(event);
                begin = at + 1;
            }
        }
        self.rest.extend_from_slice(&bytes[begin..]);
        let sizes = events.iter().map(Vec::len).chain([self.rest.len()]);
        if sizes.max() > Some(MAX_EVENT_BYTES) { Err(TooLarge) } else { Ok(events) }
    }

    /// Ends a line; true if what came so far is whole now.
    fn end_line(&mut self) -> bool {
        match std::mem::take(&mut self.line) {
            Line::Empty => {
                self.has_data = false;
                std::mem::take(&mut self.has_field)
            }
            // A comment is whole by itself, unless it stands in an event: some servers send them without an empty line.
            Line::Comment => !self.has_field,
            line @ (Line::Data(_) | Line::Value | Line::Field) => {
                self.has_field = true;
                self.has_data |= line == Line::Value || line == Line::Data(DATA.len());
                false
            }
        }
    }

    /// Whether an event has begun that says something, or a line, and has not ended.
    pub fn is_midway(&self) -> bool {
        self.has_data || self.line != Line::Empty
    }
}

const DATA: &[u8] = b"data";

impl Line {
    /// With one more byte that is no line end.
    fn with(self, byte: u8) -> Line {
        match self {
            Line::Empty if byte == b':' => Line::Comment,
            Line::Empty if byte == DATA[0] => Line::Data(1),
            Line::Data(count) if DATA.get(count) == Some(&byte) => Line::Data(count + 1),
            Line::Data(count) if count == DATA.len() && byte == b':' => Line::Value,
            Line::Empty | Line::Data(_) => Line::Field,
            Line::Comment | Line::Field | Line::Value => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out of these pieces, the rest that is no event last.
    fn split(pieces: &[&[u8]]) -> Vec<String> {
        let mut splitter = Splitter::default();
        let fed = pieces.iter().flat_map(|piece| splitter.feed(piece).expect("no event is too large"));
        let mut parts: Vec<Vec<u8>> = fed.collect();
        parts.push(splitter.rest);
        parts.into_iter().map(|part| String::from_utf8(part).expect("ASCII")).collect()
    }

    #[test]
    fn events_come_out_whole_and_as_they_came() {
        for (stream, parts) in [
            ("data: a\n\ndata: b\n\n", vec!["data: a\n\n", "data: b\n\n", ""]),
            ("id: 1\ndata: a\n\n: ping\n\nda", vec!["id: 1\ndata: a\n\n", ": ping\n\n", "da"]),
            ("data: a\r\n\r\nb\r\n\r\n", vec!["data: a\r\n\r\n", "b\r\n\r\n", ""]),
            ("data: a\r\rb\r", vec!["data: a\r\r", "b\r"]),
            ("data: a\r\n\nb\n\r\n", vec!["data: a\r\n\n", "b\n\r\n", ""]),
            ("\n\n\ndata: a\n\n\n", vec!["\n\n\ndata: a\n\n\n", ""]),
            ("data: a\n", vec!["data: a\n"]),
            (": ping\n:\r\ndata: a\n: in it\n\n", vec![": ping\n", ":\r\n", "data: a\n: in it\n\n", ""]),
            ("retry: 3000\n: ping\n\ndata: a\n\n", vec!["retry: 3000\n: ping\n\n", "data: a\n\n", ""]),
        ] {
            assert_eq!(split(&[stream.as_bytes()]), parts, "{stream:?}");
        }
    }

    #[test]
    fn every_cut_gives_the_same_events_and_loses_no_byte() {
        for line_end in ["\n", "\r\n", "\r"] {
            let stream =
                "id: 3\ndata: one\ndata: two\n\n: ping\n\n\nevent: stop\ndata: {}\n\nda".replace('\n', line_end);
            let texts = |parts: &[String]| -> Vec<String> { parts.iter().map(|part| part.trim().to_owned()).collect() };
            let whole = split(&[stream.as_bytes()]);
            assert_eq!(whole.len(), 4);
            for cut in 0..=stream.len() {
                let (head, tail) = stream.as_bytes().split_at(cut);
                let parts = split(&[head, tail]);
                assert_eq!(parts.concat(), stream, "{line_end:?} {cut}");
                assert_eq!(texts(&parts), texts(&whole), "{line_end:?} {cut}");
            }
            let single: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
            assert_eq!(texts(&split(&single)), texts(&whole), "{line_end:?}");
        }
    }

    #[test]
    fn an_event_without_an_end_is_given_up_at_the_limit() {
        let mut splitter = Splitter::default();
        let piece = vec![b'x'; 64 * 1024];
        let fed = (1..).take_while(|_| splitter.feed(&piece).is_ok()).count() + 1;
        assert_eq!(fed, MAX_EVENT_BYTES / piece.len() + 1);
        let mut at_once = vec![b'x'; MAX_EVENT_BYTES + 1];
        at_once.extend_from_slice(b"\n\n");
        assert_eq!(Splitter::default().feed(&at_once), Err(TooLarge));
        assert_eq!(Splitter::default().feed(&at_once[4..]).map(|events| events.len()), Ok(1));
    }

    #[test]
    fn only_an_event_that_has_begun_is_midway() {
        let mut splitter = Splitter::default();
        for (bytes, is_midway) in [
            ("", false),
            ("d", true),
            ("ata: a\r\n", true),
            ("\r", false),
            ("\n", false),
            (":", true),
            ("\n", false),
            ("retry: 3000\nid: 7\n", false),
            ("data", true),
            ("\n", true),
            ("\n", false),
            ("dataset: 7\nevent: x\n", false),
        ] {
            splitter.feed(bytes.as_bytes()).expect("no event is too large");
            assert_eq!(splitter.is_midway(), is_midway, "{bytes:?}");
        }
    }
}
