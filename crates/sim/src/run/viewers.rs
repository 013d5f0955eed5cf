//! Pages that follow an order over a stream, lose the connection and come back, with the last version they saw or as if
//! they were new; each reads exactly what a client would.

use super::Run;
use crate::check::{self, Broken, WORDS};
use domain::ids::OrderId;
use domain::project::{self, OrderState};
use server::http::stream::{Frame, Next, Stream};

/// Pages open at once.
const VIEWERS: usize = 8;

/// One page.
pub(super) struct Viewer {
    order: OrderId,
    no: i64,
    stream: Stream,
    /// The life of the process that it is connected to.
    life: u32,
    /// The last version that it was sent.
    version: i64,
    seen: OrderState,
    /// The stream said that nothing will change any more.
    stopped: bool,
}

impl Run {
    pub(super) fn page_acts(&mut self) -> Result<String, Broken> {
        self.hang_up();
        let at = self.rng.below(VIEWERS as u64) as usize;
        match (self.rng.below(4), at < self.viewers.len()) {
            (_, false) => self.open_page(),
            (0, true) => {
                let gone = self.viewers.swap_remove(at);
                Ok(format!("a page of {} is closed", gone.no))
            }
            (1, true) => self.reconnect(at),
            (_, true) => self.read_page(at),
        }
    }

    /// Streams end with the process that they came from.
    fn hang_up(&mut self) {
        let life = self.shop().crashes;
        self.viewers.retain(|viewer| viewer.life == life);
    }

    fn open_page(&mut self) -> Result<String, Broken> {
        let Some(known) = self.rng.pick(&self.known) else { return Ok("nobody opens a page".to_owned()) };
        let (order, no) = (known.id, known.no);
        self.connect(order, no, 0, known.seen)
    }

    fn reconnect(&mut self, at: usize) -> Result<String, Broken> {
        let before = self.viewers.swap_remove(at);
        self.connect(before.order, before.no, before.version, before.seen)
    }

    fn connect(&mut self, order: OrderId, no: i64, version: i64, seen: OrderState) -> Result<String, Broken> {
        let process = self.rng.below(2) as usize;
        let stream = self.shop().subscribe(process, order, version).ok_or(format!("order {no} has no stream"))?;
        let life = self.shop().crashes;
        self.viewers.push(Viewer { order, no, stream, life, version, seen, stopped: false });
        let read = self.read_page(self.viewers.len() - 1)?;
        // A new stream begins with what is true now, whatever the process had rendered before.
        let (viewer, mirrored) = (self.viewers.last(), self.mirror.orders.get(&order));
        if viewer.map(|viewer| viewer.version) < mirrored.map(|order| order.version) {
            return Err(format!("a new stream of order {no} begins with an older version"));
        }
        Ok(format!("{read} by a new stream"))
    }

    /// Reads what has come.
    fn read_page(&mut self, at: usize) -> Result<String, Broken> {
        let viewer = &mut self.viewers[at];
        let mut count = 0;
        loop {
            match viewer.stream.next() {
                Next::Send(frame) => viewer.take(&frame)?,
                Next::Wait => break,
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
        let (no, version, seen) = (viewer.no, viewer.version, viewer.seen);
        for known in self.known.iter_mut().filter(|known| known.no == no) {
            known.seen = known.seen.max(seen);
        }
        Ok(format!("{count} messages of {no}, now version {version}, {seen:?}"))
    }

    /// Once everything is at rest, every page that is still open has seen the last version.
    pub(super) fn pages_are_up_to_date(&mut self) -> Result<(), Broken> {
        self.hang_up();
        for at in 0..self.viewers.len() {
            self.read_page(at)?;
            let viewer = &self.viewers[at];
            let last = self.mirror.orders.get(&viewer.order).map_or(0, |order| order.version);
            if !viewer.stopped && viewer.version != last {
                let (no, version) = (viewer.no, viewer.version);
                return Err(format!("a stream of order {no} saw version {version} and never version {last}"));
            }
        }
        Ok(())
    }
}

impl Viewer {
    /// A message as the contract has it: `id`, one line of `data`, a blank line.
    fn take(&mut self, frame: &Frame) -> Result<(), Broken> {
        let text = String::from_utf8_lossy(frame.message());
        let parts = text.strip_prefix("id: ").and_then(|rest| rest.split_once("\ndata: "));
        let Some((id, data)) = parts else { return Err(format!("a message of order {} cannot be read", self.no)) };
        let version: i64 = id.parse().map_err(|_| format!("the id {id:?} is not a version"))?;
        if version <= self.version {
            return Err(format!("a stream of order {} went from version {} to {version}", self.no, self.version));
        }
        let words = |word: &&OrderState| data.contains(&format!("\"order_state\":\"{}\"", word.word()));
        let word = WORDS.iter().find(words).ok_or(format!("a message of order {} has no state", self.no))?;
        check::not_back(self.no, self.seen, *word)?;
        (self.version, self.seen) = (version, *word);
        Ok(())
    }
}
