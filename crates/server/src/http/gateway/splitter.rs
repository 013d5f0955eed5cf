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
    /// `rest` is more than line ends.
    has_text: bool,
    line_has_text: bool,
    /// An LF that follows belongs to the CR before it.
    after_return: bool,
}

/// An event has more than [`MAX_EVENT_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

impl Splitter {
    /// Takes the next bytes and answers with the events that they end. Empty lines that end nothing go with the event
    /// after them.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, TooLarge> {
        let mut events: Vec<Vec<u8>> = Vec::new();
        let mut begin = 0;
        for (at, byte) in bytes.iter().enumerate() {
            let is_rest_of_line_end = std::mem::replace(&mut self.after_return, *byte == b'\r') && *byte == b'\n';
            if is_rest_of_line_end {
                if let (true, Some(event)) = (begin == at, events.last_mut()) {
                    event.push(*byte);
                    begin = at + 1;
                }
                continue;
            }
            let ends_line = matches!(byte, b'\n' | b'\r');
            if ends_line && !self.line_has_text && self.has_text {
                let mut event = std::mem::take(&mut self.rest);
                event.extend_from_slice(&bytes[begin..=at]);
                events.push(event);
                begin = at + 1;
                self.has_text = false;
            }
            self.line_has_text = !ends_line;
            self.has_text |= !ends_line;
        }
        self.rest.extend_from_slice(&bytes[begin..]);
        let sizes = events.iter().map(Vec::len).chain([self.rest.len()]);
        if sizes.max() > Some(MAX_EVENT_BYTES) { Err(TooLarge) } else { Ok(events) }
    }

    /// Whether an event has begun that has not ended.
    pub fn is_midway(&self) -> bool {
        self.has_text
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
            ("\n\n\ndata: a\n\n\n", vec!["\n\n\ndata: a\n\n", "\n"]),
            ("data: a\n", vec!["data: a\n"]),
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
        for (bytes, is_midway) in [("", false), ("d", true), ("ata: a\r\n\r", false), ("\n", false), ("\n:", true)] {
            splitter.feed(bytes.as_bytes()).expect("no event is too large");
            assert_eq!(splitter.is_midway(), is_midway, "{bytes:?}");
        }
    }
}
