//! A body on its way out: large slices of shared bytes and stretches of files, paced, and spoiled where a fault says
//! so.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::{Sleep, sleep};

use super::connection::Connection;
use super::content::{Content, FileSlice};
use super::counters::UnderWay;
use super::sendfile::{LONGEST, SHORTEST};
use super::shaping::{Pace, Shaping};
use crate::base::Clock;

/// Bytes handed over at once. The HTTP layer writes frames of this size without copying them.
const FRAME: usize = LONGEST;
/// Waits shorter than this are not worth a timer, which has a resolution of a millisecond.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
/// Before a connection is cut, what was sent so far is given this long to leave.
const LAST_GASP: Duration = Duration::from_millis(20);

/// What goes wrong in a body, and before which byte of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mishap {
    /// The connection ends, with a reset or cleanly.
    Cut {
        at: u64,
        reset: bool,
    },
    Stall {
        at: u64,
        time: Duration,
    },
    /// One bit is turned over.
    Flip {
        at: u64,
    },
}

impl Mishap {
    fn at(self) -> u64 {
        match self {
            Mishap::Cut { at, .. } | Mishap::Stall { at, .. } | Mishap::Flip { at } => at,
        }
    }
}

/// The next bytes of a body.
#[derive(Debug)]
enum Piece {
    Read(Bytes),
    /// Of a file, not read.
    Stretch(FileSlice),
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Piece::Read(bytes) => bytes.len(),
            Piece::Stretch(stretch) => stretch.len() as usize,
        }
    }
}

/// The limits a body keeps to, its own and those it shares.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    pub(super) shaping: Shaping,
    pub(super) total: Arc<Mutex<Pace>>,
    pub(super) clock: Clock,
}

/// The body of an answer.
#[derive(Debug)]
pub(super) struct Body {
    content: Content,
    at: u64,
    end: u64,
    flow: Option<Flow>,
    mishap: Option<Mishap>,
    connection: Arc<Connection>,
    under_way: UnderWay,
    timer: Option<Pin<Box<Sleep>>>,
    /// Taken from the content, and waiting for its time.
    paced: Option<Piece>,
    cut: bool,
}

impl Body {
    /// The bytes `at..end` of a content.
    pub(super) fn new(
        content: Content,
        (at, end): (u64, u64),
        flow: Flow,
        connection: Arc<Connection>,
        under_way: UnderWay,
    ) -> Self {
        let flow = (!flow.shaping.is_unlimited()).then_some(flow);
        Body { content, at, end, flow, mishap: None, connection, under_way, timer: None, paced: None, cut: false }
    }

    /// Spoils the body; `at` of the mishap counts from the body's first byte.
    pub(super) fn spoil(&mut self, mishap: Mishap) {
        self.mishap = Some(match mishap {
            Mishap::Cut { at, reset } => Mishap::Cut { at: at + self.at, reset },
            Mishap::Stall { at, time } => Mishap::Stall { at: at + self.at, time },
            Mishap::Flip { at } => Mishap::Flip { at: at + self.at },
        });
    }

    fn wait(&mut self, time: Duration) {
        self.timer = Some(Box::pin(sleep(time)));
    }

    /// Lets a mishap happen when its place is reached.
    fn mishap_here(&mut self) {
        match self.mishap.filter(|mishap| mishap.at() <= self.at) {
            Some(Mishap::Cut { reset, .. }) => {
                self.connection.cut(reset);
                self.cut = true;
                self.wait(LAST_GASP);
            }
            Some(Mishap::Stall { time, .. }) => self.wait(time),
            Some(Mishap::Flip { .. }) | None => return,
        }
        self.mishap = None;
    }

    fn next(&mut self) -> io::Result<Piece> {
        let step = self.flow.as_ref().map_or(FRAME, |flow| flow.shaping.step_bytes(FRAME));
        let until = match self.mishap {
            Some(Mishap::Cut { at, .. } | Mishap::Stall { at, .. }) => self.end.min(at),
            _ => self.end,
        };
        let most = step.min(usize::try_from(until - self.at).unwrap_or(step));
        let is_flipped = matches!(self.mishap, Some(Mishap::Flip { .. }));
        let stretch = self.content.stretch(self.at, most as u64).filter(|stretch| stretch.len() >= SHORTEST);
        if let Some(stretch) = stretch.filter(|_| !is_flipped) {
            self.at += stretch.len();
            return Ok(Piece::Stretch(stretch));
        }
        let mut bytes = self.content.read(self.at, most)?;
        if let Some(Mishap::Flip { at }) = self.mishap
            && (self.at..self.at + bytes.len() as u64).contains(&at)
        {
            let mut spoiled = bytes.to_vec();
            spoiled[(at - self.at) as usize] ^= 1;
            bytes = spoiled.into();
        }
        self.at += bytes.len() as u64;
        Ok(Piece::Read(bytes))
    }

    /// When the bytes may go, counted from now.
    fn pace(&self, bytes: usize) -> Duration {
        let Some(flow) = &self.flow else { return Duration::ZERO };
        let now = flow.clock.elapsed();
        let own = self.connection.pace.lock().reserve(now, bytes, flow.shaping.connection_bandwidth);
        let shared = match flow.shaping.total_bandwidth {
            Some(_) => flow.total.lock().reserve(now, bytes, flow.shaping.total_bandwidth),
            None => now,
        };
        own.max(shared).saturating_sub(now)
    }

    fn emit(&mut self, piece: Piece) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let bytes = match piece {
            Piece::Read(bytes) => bytes,
            Piece::Stretch(stretch) => self.connection.outgoing.lock().promise(stretch),
        };
        self.under_way.tally().body_bytes.fetch_add(bytes.len() as u64, Relaxed);
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let body = &mut *self;
        loop {
            if let Some(timer) = &mut body.timer {
                ready!(timer.as_mut().poll(cx));
                body.timer = None;
            }
            if body.cut {
                return Poll::Ready(Some(Err(io::Error::other("cut on purpose"))));
            }
            if let Some(piece) = body.paced.take() {
                return body.emit(piece);
            }
            body.mishap_here();
            if body.timer.is_some() {
                continue;
            }
            if body.at >= body.end {
                return Poll::Ready(None);
            }
            let piece = body.next()?;
            let wait = body.pace(piece.len());
            if wait < SHORTEST_WAIT {
                return body.emit(piece);
            }
            body.paced = Some(piece);
            body.wait(wait);
        }
    }

    fn is_end_stream(&self) -> bool {
        self.at >= self.end && self.paced.is_none() && self.timer.is_none() && !self.cut
    }

    fn size_hint(&self) -> SizeHint {
        let waiting = self.paced.as_ref().map_or(0, |piece| piece.len() as u64);
        SizeHint::with_exact(self.end - self.at + waiting)
    }
}
