//! Somebody outside who is told things: he listens on a port of his own, and keeps what he hears.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

/// One message as it arrived.
#[derive(Clone)]
pub struct Heard {
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Heard {
    pub fn form(&self) -> BTreeMap<String, String> {
        form_urlencoded::parse(self.body.as_bytes()).into_owned().collect()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

/// Somebody who listens, and answers every call in the same way until he turns.
pub struct Receiver {
    pub url: String,
    answer: Arc<Mutex<&'static str>>,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Receiver {
    pub fn answering(status: &'static str) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://127.0.0.1:{}/told", listener.local_addr().expect("bound").port());
        let (answer, heard) = (Arc::new(Mutex::new(status)), Arc::new(Mutex::new(Vec::new())));
        let (says, keeps) = (answer.clone(), heard.clone());
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let Ok(mut socket) = socket else { return };
                let Some(call) = read(&mut socket) else { continue };
                keeps.lock().expect("nobody panics").push(call);
                let status = *says.lock().expect("nobody panics");
                // Whoever asked may have hung up.
                write!(socket, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap_or(());
            }
        });
        Receiver { url, answer, heard }
    }

    /// From now on he answers so.
    pub fn turn(&self, status: &'static str) {
        *self.answer.lock().expect("nobody panics") = status;
    }

    /// What he heard, oldest first.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().expect("nobody panics").clone()
    }

    /// What he heard since he was asked last.
    pub fn news(&self) -> Vec<Heard> {
        std::mem::take(&mut *self.heard.lock().expect("nobody panics"))
    }
}

fn read(socket: &mut std::net::TcpStream) -> Option<Heard> {
    let mut reader = BufReader::new(socket);
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            if line == "\r\n" {
                break;
            }
            continue;
        };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some(Heard { headers, body: String::from_utf8(body).ok()? })
}
