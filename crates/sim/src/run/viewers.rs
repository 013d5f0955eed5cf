//! Pages that follow an order over a stream, lose the connection and come back, with the last version they saw or as if
//! they were new; each reads exactly what a client would.

use super::Run;
use crate::check::{self, Broken, WORDS};
use crate::shop::poll_once;
use domain::ids::OrderId;
use domain::project::{self, OrderState};
use server::http::handover::{Chunk, Next};
use server::http::stream::Stream;
use server::store::orders;
use std::task::Poll;

/// Pages open at once.
const VIEWERS: usize = 8;

/// One page.
pub(super) struct Viewer {
    pub(super) order: OrderId,
    no: i64,
    /// None while its connection is lost.
    stream: Option<Stream>,
    /// The life of the process that it was connected to.
    life: u32,
    /// The id of the last message that it was sent.
    id: i64,
    pub(super) seen: OrderState,
    /// The stream said that nothing will change any more.
    stopped: bool,
}

impl Run {
    pub(super) fn page_acts(&mut self) -> Result<String, Broken> {
        self.hang_up();
        let at = self.rng.below(VIEWERS as u64) as usize;
        let Some(viewer) = self.viewers.get(at) else { return self.open_page() };
        match (self.rng.below(4), viewer.stream.is_some()) {
            (0, _) => {
                let gone = self.viewers.swap_remove(at);
                Ok(format!("a page of {} is closed", gone.no))
            }
            (1, _) | (_, false) => self.connect(at),
            (_, true) => self.read_page(at),
        }
    }

    /// Streams end with the process that they came from.
    fn hang_up(&mut self) {
        let life = self.shop().crashes;
        self.viewers.iter_mut().filter(|viewer| viewer.life != life).for_each(|viewer| viewer.stream = None);
    }

    fn open_page(&mut self) -> Result<String, Broken> {
        let Some(known) = self.rng.pick(&self.known) else { return Ok("nobody opens a page".to_owned()) };
        let (order, no, seen) = (known.id, known.no, known.seen);
        self.viewers.push(Viewer { order, no, stream: None, life: 0, id: 0, seen, stopped: false });
        self.connect(self.viewers.len() - 1)
    }

    /// Connects with the last id, as a browser does, or as a page that was loaded again.
    fn connect(&mut self, at: usize) -> Result<String, Broken> {
        let (process, anew) = (self.rng.below(2) as usize, self.rng.happens(300));
        let life = self.shop().crashes;
        let viewer = &mut self.viewers[at];
        viewer.id = if anew { 0 } else { viewer.id };
        viewer.life = life;
        let (order, no, known) = (viewer.order, viewer.no, viewer.id);
        let stream = self.shop().subscribe(process, order, known).ok_or(format!("order {no} has no stream"))?;
        self.viewers[at].stream = Some(stream);
        let read = self.read_messages(at)?;
        // A new stream begins with what is true now, whatever the process had rendered before.
        if self.viewers[at].id != self.newest_id(order) {
            return Err(format!("a new stream of order {no} begins with an older version"));
        }
        Ok(format!("{read} by a new stream"))
    }

    fn newest_id(&self, order: OrderId) -> i64 {
        self.shop().read(|tx| orders::stream_id(tx, order)).unwrap_or(0)
    }

    /// Wakes as the task of a connection does, which slept since it had sent everything.
    fn read_page(&mut self, at: usize) -> Result<String, Broken> {
        match self.viewers[at].stream.as_mut().map(|stream| poll_once(stream.changed())) {
            Some(Poll::Ready(_)) => self.read_messages(at),
            Some(Poll::Pending) | None => Ok(format!("nothing new of {}", self.viewers[at].no)),
        }
    }

    /// Reads what there is.
    fn read_messages(&mut self, at: usize) -> Result<String, Broken> {
        let viewer = &mut self.viewers[at];
        let mut count = 0;
        let Some(mut stream) = viewer.stream.take() else { return Ok("nothing to read".to_owned()) };
        loop {
            match stream.what_next() {
                Next::Send(chunk) => viewer.take(&chunk)?,
                Next::Wait => break,
                Next::End | Next::Drop => return Err(format!("the stream of order {} ended without stop", viewer.no)),
                Next::Stop => {
                    let is_over = self.mirror.orders.get(&viewer.order).is_some_and(project::is_over);
                    if !is_over {
                        return Err(format!("a stream of order {} stopped before its end", viewer.no));
                    }
                    viewer.stopped = true;
                    break;
                }
            }
            count += 1;
        }
        viewer.stream = Some(stream);
        let (no, id, seen) = (viewer.no, viewer.id, viewer.seen);
        for known in self.known.iter_mut().filter(|known| known.no == no) {
            known.seen = known.seen.max(seen);
        }
        Ok(format!("{count} messages of {no}, now number {id}, {seen:?}"))
    }

    /// Once everything is at rest, every page that is still open has seen the last version.
    pub(super) fn pages_are_up_to_date(&mut self) -> Result<(), Broken> {
        self.hang_up();
        for at in 0..self.viewers.len() {
            self.read_page(at)?;
            let viewer = &self.viewers[at];
            let last = self.newest_id(viewer.order);
            if viewer.stream.is_some() && !viewer.stopped && viewer.id != last {
                let (no, id) = (viewer.no, viewer.id);
                return Err(format!("a stream of order {no} sent message {id} and never message {last}"));
            }
        }
        Ok(())
    }
}

impl Viewer {
    /// A message as the contract has it: `id`, one line of `data`, a blank line.
    fn take(&mut self, chunk: &Chunk) -> Result<(), Broken> {
        let text = String::from_utf8_lossy(chunk.message());
        let parts = text.strip_prefix("id: ").and_then(|rest| rest.split_once("\ndata: "));
        let Some((id, data)) = parts else { return Err(format!("a message of order {} cannot be read", self.no)) };
        let id: i64 = id.parse().map_err(|_| format!("the id {id:?} is no number"))?;
        if id <= self.id {
            return Err(format!("a stream of order {} went from message {} to {id}", self.no, self.id));
        }
        if !data.contains(&self.order.expose()) {
            return Err(format!("a stream of order {} shows another order", self.no));
        }
        let words = |word: &&OrderState| data.contains(&format!("\"order_state\":\"{}\"", word.word()));
        let word = WORDS.iter().find(words).ok_or(format!("a message of order {} has no state", self.no))?;
        check::not_back(self.no, self.seen, *word)?;
        (self.id, self.seen) = (id, *word);
        Ok(())
    }
}
