//! Stands between a server and its node, hands everything on as it comes, and notes when it was asked and answered.
//!
//! The server asks one question at a time on a connection, so bytes of the server after bytes of the node begin the next
//! one. Closed, it cuts every connection off: the node is gone, as far as the server knows.

use anyhow::Context;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const CHUNK: usize = 64 * 1024;

/// One question.
#[derive(Debug, Clone, Copy)]
pub struct Exchange {
    /// Its first byte came.
    pub asked: Instant,
    /// The newest byte of its answer went on.
    pub answered: Instant,
}

/// A relay that listens; it ends with this value.
pub struct Relay {
    notes: Arc<Notes>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Notes {
    is_closed: AtomicBool,
    exchanges: Mutex<Vec<Exchange>>,
}

impl Relay {
    /// Begins to listen, open.
    pub async fn start(listen: SocketAddr, node: SocketAddr) -> anyhow::Result<Relay> {
        let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
        let notes = Arc::new(Notes::default());
        let of_task = notes.clone();
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let notes = of_task.clone();
                if notes.is_closed.load(Ordering::SeqCst) {
                    continue;
                }
                tokio::spawn(async move {
                    // A connection that breaks is the server's to make anew.
                    carry(socket, node, &notes).await.unwrap_or(());
                });
            }
        });
        Ok(Relay { notes, task })
    }

    /// Cuts off who is connected at the next question, and who connects at once.
    pub fn close(&self) {
        self.notes.is_closed.store(true, Ordering::SeqCst);
    }

    /// Lets everybody through again, and forgets what was noted.
    pub fn open(&self) {
        self.notes.exchanges.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.notes.is_closed.store(false, Ordering::SeqCst);
    }

    /// What was asked since it was opened, in the order of the questions.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.notes.exchanges.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Notes {
    /// A question; answers its place in the list.
    fn asked(&self) -> usize {
        let now = Instant::now();
        let mut exchanges = self.exchanges.lock().unwrap_or_else(PoisonError::into_inner);
        exchanges.push(Exchange { asked: now, answered: now });
        exchanges.len() - 1
    }

    fn answered(&self, at: usize) {
        let mut exchanges = self.exchanges.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(exchange) = exchanges.get_mut(at) {
            exchange.answered = Instant::now();
        }
    }
}

async fn carry(mut server: TcpStream, node: SocketAddr, notes: &Notes) -> std::io::Result<()> {
    let mut node = TcpStream::connect(node).await?;
    server.set_nodelay(true)?;
    node.set_nodelay(true)?;
    let (mut question, mut answer) = (vec![0; CHUNK], vec![0; CHUNK]);
    // Under way, and whether its answer has begun.
    let mut exchange: Option<(usize, bool)> = None;
    loop {
        tokio::select! {
            read = server.read(&mut question) => {
                let read = read?;
                if read == 0 || notes.is_closed.load(Ordering::SeqCst) {
                    return Ok(());
                }
                if exchange.is_none_or(|(_, has_answer)| has_answer) {
                    exchange = Some((notes.asked(), false));
                }
                node.write_all(&question[..read]).await?;
            }
            read = node.read(&mut answer) => {
                let read = read?;
                if read == 0 {
                    return Ok(());
                }
                server.write_all(&answer[..read]).await?;
                if let Some((at, has_answer)) = &mut exchange {
                    *has_answer = true;
                    notes.answered(*at);
                }
            }
        }
    }
}
