//! A bare HTTP/1.1 client on blocking sockets: what a test sees is what stood on the wire, header by header.
//!
//! One connection per request; nothing is followed, retried or decoded beyond chunked framing. An answer that ends early
//! is an error and no panic, because `crash` ends answers early on purpose and must tell a whole one from a half. Called
//! by the snapshot tests, and by the threads of `crash`.

use serde_json::Value;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Nothing in a test takes longer, and the heartbeat of a stream comes four times as often.
const SILENCE: Duration = Duration::from_secs(60);

/// A stream that only beats for so long (two minutes) will never say anything.
const MOST_HEARTBEATS: usize = 8;

/// What is sent.
#[derive(Clone, Copy, Default)]
pub struct Request<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
}

/// What came back.
pub struct Answer {
    pub status: u16,
    /// Names in lower case, in the order of the wire.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The first value of that name, which is written in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}

/// Sends a request and reads its whole answer.
pub fn call(address: &str, request: &Request<'_>) -> io::Result<Answer> {
    let mut reader = send(address, request)?;
    let mut answer = read_head(&mut reader)?;
    if answer.header("transfer-encoding").is_some() {
        while let Some(chunk) = read_chunk(&mut reader)? {
            answer.body.extend_from_slice(&chunk);
        }
    } else if let Some(length) = answer.header("content-length") {
        let length = length.parse().map_err(|_| broken("content-length is not a number"))?;
        answer.body.resize(length, 0);
        reader.read_exact(&mut answer.body)?;
    }
    Ok(answer)
}

/// An order's stream, open.
pub struct Live {
    /// Status and headers; its body stays empty.
    pub head: Answer,
    reader: BufReader<TcpStream>,
}

impl Live {
    /// Opens a stream; an answer that is none is an error.
    pub fn open(address: &str, path: &str, headers: &[(&str, &str)]) -> io::Result<Live> {
        let mut reader = send(address, &Request { method: "GET", path, headers, body: b"" })?;
        let head = read_head(&mut reader)?;
        let is_stream = head.header("content-type") == Some("text/event-stream");
        if head.status != 200 || !is_stream || head.header("transfer-encoding") != Some("chunked") {
            return Err(broken("the answer is no stream"));
        }
        Ok(Live { head, reader })
    }

    /// The next message as it stands on the wire, without its chunk's framing; `None` once the server has ended the
    /// stream. Heartbeats are left out, because they come by the clock.
    pub fn next_message(&mut self) -> io::Result<Option<String>> {
        for _ in 0..=MOST_HEARTBEATS {
            let Some(chunk) = read_chunk(&mut self.reader)? else {
                return Ok(None);
            };
            let message = String::from_utf8(chunk).map_err(|_| broken("a message is not UTF-8"))?;
            if !message.starts_with(':') {
                return Ok(Some(message));
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}

/// The order that a message carries; `None` for `stop`, which carries none.
pub fn order_of(message: &str) -> Option<Value> {
    let data = message.lines().find_map(|line| line.strip_prefix("data: ")).expect("a message has data");
    let is_stop = message.lines().any(|line| line == "event: stop");
    (!is_stop).then(|| serde_json::from_str(data).expect("the data of a message is JSON"))
}

fn send(address: &str, request: &Request<'_>) -> io::Result<BufReader<TcpStream>> {
    let mut message = Vec::new();
    write!(message, "{} {} HTTP/1.1\r\nhost: {address}\r\n", request.method, request.path)?;
    for (name, value) in request.headers {
        write!(message, "{name}: {value}\r\n")?;
    }
    write!(message, "content-length: {}\r\n\r\n", request.body.len())?;
    message.extend_from_slice(request.body);
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(SILENCE))?;
    socket.set_nodelay(true)?;
    socket.write_all(&message)?;
    Ok(BufReader::new(socket))
}

fn read_head(reader: &mut BufReader<TcpStream>) -> io::Result<Answer> {
    let line = read_line(reader)?;
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| broken("the first line has no status"))?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(reader)?;
        if line.is_empty() {
            return Ok(Answer { status, headers, body: Vec::new() });
        }
        let (name, value) = line.split_once(':').ok_or_else(|| broken("a header has no colon"))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

/// The next chunk; `None` for the last one, which is empty.
fn read_chunk(reader: &mut BufReader<TcpStream>) -> io::Result<Option<Vec<u8>>> {
    let line = read_line(reader)?;
    let length = usize::from_str_radix(&line, 16).map_err(|_| broken("a chunk has no length"))?;
    let mut chunk = vec![0; length];
    reader.read_exact(&mut chunk)?;
    if !read_line(reader)?.is_empty() {
        return Err(broken("a chunk is longer than it says"));
    }
    Ok((length > 0).then_some(chunk))
}

/// A line without its end; a line that was cut off is an error.
fn read_line(reader: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    match line.strip_suffix("\r\n") {
        Some(whole) => Ok(whole.to_owned()),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn broken(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
