//! As much of an HTTP/1.1 client as measuring needs: keep-alive calls with a `Content-Length`, and event streams.
//!
//! Whatever the servers under measurement do not send (chunked answers to calls, redirects, compression that nobody
//! asked for) is an error here and not a case. Called by every measurement over HTTP.

use anyhow::{Context, bail, ensure};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An order's answer fits in without growing.
const BUFFER_BYTES: usize = 4 * 1024;
/// An answer that is longer is somebody else's.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// Ends a head.
const BLANK_LINE: &[u8] = b"\r\n\r\n";

/// A request without a body.
pub fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n").into_bytes()
}

/// A request with a JSON body. `more_headers` are whole lines, each with its line end.
pub fn post(path: &str, more_headers: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         {more_headers}\r\n{body}",
        length = body.len()
    )
    .into_bytes()
}

/// A keep-alive connection: one call at a time.
pub struct Connection {
    socket: TcpStream,
    buffer: Vec<u8>,
}

/// What a call was answered.
pub struct Answer<'a> {
    pub status: u16,
    pub body: &'a [u8],
}

impl Answer<'_> {
    /// The body of a success.
    ///
    /// # Errors
    /// Any other status, with the beginning of what the server said.
    pub fn success(&self) -> anyhow::Result<&[u8]> {
        if (200..300).contains(&self.status) {
            return Ok(self.body);
        }
        let said = String::from_utf8_lossy(&self.body[..self.body.len().min(500)]);
        bail!("the server answered {}: {said}", self.status);
    }
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> anyhow::Result<Connection> {
        let socket = connect(address).await?;
        Ok(Connection { socket, buffer: Vec::with_capacity(BUFFER_BYTES) })
    }

    /// Sends a request and reads the whole answer.
    pub async fn call(&mut self, request: &[u8]) -> anyhow::Result<Answer<'_>> {
        self.socket.write_all(request).await.context("the request could not be sent")?;
        self.buffer.clear();
        let head = read_head(&mut self.socket, &mut self.buffer).await?;
        let status = status(&self.buffer)?;
        let length = content_length(&self.buffer[..head])?;
        ensure!(length <= MOST_BYTES, "an answer of {length} bytes is longer than expected");
        while self.buffer.len() < head + length {
            read_more(&mut self.socket, &mut self.buffer).await?;
        }
        ensure!(self.buffer.len() == head + length, "the server sent more than its answer");
        Ok(Answer { status, body: &self.buffer[head..] })
    }
}

/// An open event stream. Its framing is not undone: whoever waits for a word finds it in the bytes as they come.
pub struct EventStream {
    socket: TcpStream,
    buffer: Vec<u8>,
    /// Up to here the buffer holds nothing that is waited for.
    searched: usize,
}

impl EventStream {
    /// Subscribes; the head was read when this answers.
    pub async fn open(address: SocketAddr, path: &str) -> anyhow::Result<EventStream> {
        let mut socket = connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: bench\r\naccept: text/event-stream\r\n\r\n");
        socket.write_all(request.as_bytes()).await.context("the subscription could not be sent")?;
        let mut buffer = Vec::with_capacity(BUFFER_BYTES);
        let head = read_head(&mut socket, &mut buffer).await?;
        let status = status(&buffer)?;
        ensure!(status == 200, "the server answered a subscription with {status}");
        buffer.drain(..head);
        Ok(EventStream { socket, buffer, searched: 0 })
    }

    /// Waits until `word` has come, and forgets everything before the end of what was read with it. Answers how many
    /// bytes that was.
    pub async fn wait_for(&mut self, word: &[u8]) -> anyhow::Result<usize> {
        loop {
            if position(&self.buffer[self.searched..], word).is_some() {
                let bytes = self.buffer.len();
                self.buffer.clear();
                self.searched = 0;
                return Ok(bytes);
            }
            // A word may have come in halves.
            self.searched = (self.buffer.len() + 1).saturating_sub(word.len());
            ensure!(self.buffer.len() <= MOST_BYTES, "the word that was waited for never came");
            read_more(&mut self.socket, &mut self.buffer).await?;
        }
    }

    /// Waits for the first message, a comment included.
    pub async fn wait_for_first(&mut self) -> anyhow::Result<usize> {
        self.wait_for(b"\n\n").await
    }

    /// Whether the server still holds it.
    pub fn is_open(&self) -> bool {
        let mut sink = [0; 1];
        match self.socket.try_read(&mut sink) {
            Ok(read) => read > 0,
            Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
        }
    }
}

async fn connect(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let socket = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
    socket.set_nodelay(true).context("cannot set up a socket")?;
    Ok(socket)
}

/// Reads until a head is whole; answers where it ends.
async fn read_head(socket: &mut TcpStream, buffer: &mut Vec<u8>) -> anyhow::Result<usize> {
    loop {
        if let Some(end) = position(buffer, BLANK_LINE) {
            return Ok(end + BLANK_LINE.len());
        }
        ensure!(buffer.len() <= MOST_BYTES, "the head of an answer never ends");
        read_more(socket, buffer).await?;
    }
}

async fn read_more(socket: &mut TcpStream, buffer: &mut Vec<u8>) -> anyhow::Result<()> {
    let read = socket.read_buf(buffer).await.context("the answer could not be read")?;
    ensure!(read > 0, "the server closed the connection");
    Ok(())
}

/// `HTTP/1.1 200 OK`.
fn status(head: &[u8]) -> anyhow::Result<u16> {
    let digits = head.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
    digits.and_then(|digits| digits.parse().ok()).context("the answer does not begin with a status")
}

/// The length that a head names.
pub fn content_length(head: &[u8]) -> anyhow::Result<usize> {
    let head = std::str::from_utf8(head).context("the head of an answer is not text")?;
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let mut lengths = fields.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let (_, length) = lengths.next().context("an answer has no Content-Length")?;
    length.trim().parse().context("a Content-Length is not a number")
}

/// Where `word` first stands. Its first byte is looked for alone: most bytes of a message are not it.
fn position(bytes: &[u8], word: &[u8]) -> Option<usize> {
    let first = *word.first()?;
    let mut from = 0;
    while let Some(next) = bytes.get(from..)?.iter().position(|byte| *byte == first) {
        from += next;
        if bytes[from..].starts_with(word) {
            return Some(from);
        }
        from += 1;
    }
    None
}
