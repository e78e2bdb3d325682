//! Injected faults, for tests: everything that a network and a busy service do to a request.
//!
//! Faults come from a script (the next request of a kind gets the next fault) or at random from a seed, so that a
//! failing run can be repeated.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::ReadBuf;
use tokio::time::{Sleep, sleep};

use crate::base::{ByteRange, Key};
use crate::store::{
    Body, Change, Error, ErrorKind, GetRequest, GetResponse, HeadRequest, ListPage, ListRequest, ObjectMeta, Outcome,
    Receive, Result, Store, StoreMut, Tags, VersionPage, VersionsRequest,
};

/// What goes wrong. The byte numbers count from the start of the body.
#[derive(Clone, PartialEq, Debug)]
pub enum Fault {
    /// The request fails with an error of this kind.
    Error(ErrorKind),
    /// The service is busy and says how long to wait.
    Throttle(Duration),
    /// No answer comes, ever.
    Silence,
    /// Nobody accepts a connection.
    Unanswered,
    /// The answer comes, but only after this long.
    Late(Duration),
    /// The body breaks with a network error after so many bytes.
    Break(At),
    /// The body stands still for ever after so many bytes.
    Stall(At),
    /// The body ends after so many bytes as if that were all.
    Short(At),
    /// One bit of this byte arrives wrong.
    Flip(At),
    /// This long passes before every piece of the body.
    Slow(Duration),
}

/// A place in a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum At {
    /// This byte; past the end of the body nothing happens.
    Byte(u64),
    /// Any byte, drawn from the seed.
    Random,
}

/// The kinds of request, to aim faults at one of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// Reading bytes of objects.
    Get,
    /// Looking at an object, at its tags, or at what a symlink names.
    Head,
    /// Listing a page of keys.
    List,
    /// Putting, deleting and copying objects.
    Write,
}

/// Breaks the answers of another store.
#[derive(Debug)]
pub struct FaultStore<S: ?Sized = dyn Store> {
    inner: Arc<S>,

    state: Mutex<Plan>,
}

#[derive(Debug)]
struct Plan {
    /// Each with the chance that it strikes a request.
    random: Vec<(f64, Fault)>,
    rng: StdRng,
    script: VecDeque<(Operation, Fault)>,
    /// Bytes of objects, each to arrive wrong once.
    flips: Vec<u64>,
    struck: u64,
}

impl<S: ?Sized> FaultStore<S> {
    /// A layer that breaks nothing yet.
    pub fn new(inner: Arc<S>) -> Self {
        let rng = StdRng::seed_from_u64(0);
        let state = Plan { random: Vec::new(), rng, script: VecDeque::new(), flips: Vec::new(), struck: 0 };
        FaultStore { inner, state: Mutex::new(state) }
    }

    /// Strikes each request with these chances (each from 0 to 1), drawn from a seed. Body faults strike only GETs.
    pub fn randomly(mut self, seed: u64, faults: impl IntoIterator<Item = (f64, Fault)>) -> Self {
        let state = self.state.get_mut();
        (state.random, state.rng) = (faults.into_iter().collect(), StdRng::seed_from_u64(seed));
        self
    }

    /// Strikes with these chances from now on.
    pub fn set_random(&self, faults: impl IntoIterator<Item = (f64, Fault)>) {
        self.state.lock().random = faults.into_iter().collect();
    }

    /// The next request of this kind that no earlier fault strikes gets this one.
    pub fn once(&self, operation: Operation, fault: Fault) {
        self.state.lock().script.push_back((operation, fault));
    }

    /// One bit of this byte, counted from the start of the object, arrives wrong with the next GET that brings it.
    pub fn flip_once(&self, offset: u64) {
        self.state.lock().flips.push(offset);
    }

    /// The byte of an answer, counted from its start, that is to arrive wrong.
    fn flip(&self, range: ByteRange) -> Option<u64> {
        let mut state = self.state.lock();
        let at = state.flips.iter().position(|offset| (range.start..range.end).contains(offset))?;
        state.struck += 1;
        Some(state.flips.remove(at) - range.start)
    }

    /// Requests that got a fault so far.
    pub fn struck(&self) -> u64 {
        self.state.lock().struck
    }

    /// The fault for a request, if any.
    fn draw(&self, operation: Operation) -> Option<Fault> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let scripted = state.script.iter().position(|(aimed, _)| *aimed == operation);
        let fault = match scripted.and_then(|at| state.script.remove(at)) {
            Some((_, fault)) => Some(fault),
            None => {
                let struck = state.random.iter().find(|(chance, _)| state.rng.random_bool(*chance));
                struck.map(|(_, fault)| fault.clone())
            }
        };
        let fault = fault.filter(|fault| operation == Operation::Get || !fault.is_in_body());
        state.struck += u64::from(fault.is_some());
        fault
    }

    /// Runs a request under a fault that strikes before the body.
    async fn under<T>(&self, fault: &Option<Fault>, call: impl Future<Output = Result<T>>) -> Result<T> {
        match fault {
            Some(Fault::Error(kind)) => Err(Error::new(*kind, "a fault was injected")),
            Some(Fault::Throttle(wait)) => Err(Error::new(ErrorKind::Throttled, "slow down, says an injected fault")
                .with_status(503)
                .with_retry_after(*wait)),
            Some(Fault::Silence) => std::future::pending().await,
            Some(Fault::Unanswered) => {
                let source = std::io::Error::from(std::io::ErrorKind::TimedOut);
                Err(Error::new(ErrorKind::Network, "nobody answers").with_source(Some(source.into())))
            }
            Some(Fault::Late(wait)) => {
                sleep(*wait).await;
                call.await
            }
            _ => call.await,
        }
    }

    /// Runs a body under a fault that strikes within it.
    fn broken(&self, fault: Option<Fault>, body: Body, len: u64) -> Body {
        match fault {
            Some(Fault::Slow(pause)) => Body::new(Slow { body, left: len, pause, timer: Box::pin(sleep(pause)) }),
            Some(Fault::Break(at)) => self.struck_at(at, len, body, Strike::Reset),
            Some(Fault::Stall(at)) => self.struck_at(at, len, body, Strike::Silence),
            Some(Fault::Short(at)) => self.struck_at(at, len, body, Strike::End),
            Some(Fault::Flip(at)) => self.struck_at(at, len, body, Strike::Flip),
            _ => body,
        }
    }

    /// The body, struck at this byte if it has it.
    fn struck_at(&self, at: At, len: u64, body: Body, strike: Strike) -> Body {
        match self.byte(at, len) {
            Some(byte) => Body::new(Struck { body, left: byte, strike }),
            None => body,
        }
    }

    /// The byte meant, if the body has it.
    fn byte(&self, at: At, len: u64) -> Option<u64> {
        match at {
            At::Byte(byte) => (byte < len).then_some(byte),
            At::Random => (len > 0).then(|| self.state.lock().rng.random_range(0..len)),
        }
    }
}

impl Fault {
    /// Whether it strikes within a body, which only a GET has.
    fn is_in_body(&self) -> bool {
        matches!(self, Fault::Break(_) | Fault::Stall(_) | Fault::Short(_) | Fault::Flip(_) | Fault::Slow(_))
    }
}

fn reset() -> Error {
    Error::new(ErrorKind::Network, "the connection was reset, says an injected fault")
}

/// What happens at a byte of a body.
#[derive(Clone, Copy, PartialEq)]
enum Strike {
    Reset,
    Silence,
    End,
    /// The lowest bit of the byte is turned.
    Flip,
}

/// A body that is struck after so many bytes.
struct Struck {
    body: Body,
    left: u64,
    strike: Strike,
}

impl Receive for Struck {
    fn poll_receive(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        match self.strike {
            Strike::Reset if self.left == 0 => return Poll::Ready(Err(reset())),
            Strike::Silence if self.left == 0 => return Poll::Pending,
            Strike::End if self.left == 0 => return Poll::Ready(Ok(())),
            _ => {}
        }
        let before = into.filled().len();
        ready!(self.body.poll_receive(cx, into))?;
        let received = &mut into.filled_mut()[before..];
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        match self.strike {
            Strike::Flip => match received.get_mut(left) {
                Some(byte) => {
                    *byte ^= 1;
                    self.left = u64::MAX;
                }
                None => self.left -= received.len() as u64,
            },
            _ => {
                let kept = received.len().min(left);
                into.set_filled(before + kept);
                self.left -= kept as u64;
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// A body with a pause before every piece.
struct Slow {
    body: Body,
    left: u64,
    pause: Duration,
    timer: Pin<Box<Sleep>>,
}

impl Receive for Slow {
    fn poll_receive(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        if self.left > 0 && !self.timer.is_elapsed() {
            ready!(self.timer.as_mut().poll(cx));
        }
        let before = into.filled().len();
        ready!(self.body.poll_receive(cx, into))?;
        self.left = self.left.saturating_sub((into.filled().len() - before) as u64);
        self.timer = Box::pin(sleep(self.pause));
        Poll::Ready(Ok(()))
    }
}

#[async_trait]
impl<S: Store + ?Sized> Store for FaultStore<S> {
    async fn get(&self, request: GetRequest) -> Result<GetResponse> {
        let fault = self.draw(Operation::Get);
        let response = self.under(&fault, self.inner.get(request)).await?;
        let (range, mut body) = (response.range, response.body);
        if let Some(byte) = self.flip(range) {
            body = self.struck_at(At::Byte(byte), range.len(), body, Strike::Flip);
        }
        let body = self.broken(fault, body, range.len());
        Ok(GetResponse { body, ..response })
    }

    async fn head(&self, request: HeadRequest) -> Result<ObjectMeta> {
        let fault = self.draw(Operation::Head);
        self.under(&fault, self.inner.head(request)).await
    }

    async fn list(&self, request: ListRequest) -> Result<ListPage> {
        let fault = self.draw(Operation::List);
        self.under(&fault, self.inner.list(request)).await
    }

    async fn list_versions(&self, request: VersionsRequest) -> Result<VersionPage> {
        let fault = self.draw(Operation::List);
        self.under(&fault, self.inner.list_versions(request)).await
    }

    async fn symlink_target(&self, key: &Key, version: Option<&str>) -> Result<String> {
        let fault = self.draw(Operation::Head);
        self.under(&fault, self.inner.symlink_target(key, version)).await
    }

    async fn tags(&self, key: &Key, version: Option<&str>) -> Result<Tags> {
        let fault = self.draw(Operation::Head);
        self.under(&fault, self.inner.tags(key, version)).await
    }
}

#[async_trait]
impl<S: StoreMut + ?Sized> StoreMut for FaultStore<S> {
    async fn change(&self, change: Change) -> Result<Outcome> {
        let fault = self.draw(Operation::Write);
        self.under(&fault, self.inner.change(change)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::MemoryStore;

    fn bucket() -> Arc<MemoryStore> {
        let bucket = MemoryStore::new().chunk_bytes(16);
        bucket.put("k", vec![0; 100]);
        Arc::new(bucket)
    }

    /// What arrived before the end, and how it ended.
    async fn read(store: &FaultStore<MemoryStore>, range: ByteRange) -> (Vec<u8>, Result<()>) {
        let mut bytes = Vec::new();
        let mut body = match store.get(GetRequest::new(Key::new("k")).range(range)).await {
            Ok(response) => response.body,
            Err(error) => return (bytes, Err(error)),
        };
        let mut piece = [0; 64];
        loop {
            match tokio::time::timeout(Duration::from_secs(9), body.read(&mut piece)).await {
                Ok(Ok(0)) => return (bytes, Ok(())),
                Ok(Ok(len)) => bytes.extend_from_slice(&piece[..len]),
                Ok(Err(error)) => return (bytes, Err(error)),
                Err(_) => return (bytes, Err(Error::new(ErrorKind::Timeout, ""))),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_fault_does_what_it_says_once() {
        let store = FaultStore::new(bucket());
        let cases = [
            (Fault::Error(ErrorKind::Server), 0, Some(ErrorKind::Server)),
            (Fault::Throttle(Duration::from_secs(1)), 0, Some(ErrorKind::Throttled)),
            (Fault::Late(Duration::from_secs(1)), 80, None),
            (Fault::Break(At::Byte(33)), 33, Some(ErrorKind::Network)),
            (Fault::Break(At::Byte(80)), 80, None),
            (Fault::Stall(At::Byte(33)), 33, Some(ErrorKind::Timeout)),
            (Fault::Short(At::Byte(33)), 33, None),
            (Fault::Flip(At::Byte(33)), 80, None),
            (Fault::Slow(Duration::from_secs(10)), 0, Some(ErrorKind::Timeout)),
        ];
        for (fault, len, kind) in cases.clone() {
            store.once(Operation::Get, fault.clone());
            let (bytes, end) = read(&store, ByteRange::new(20, 100)).await;
            assert_eq!((bytes.len(), end.err().map(|error| error.kind())), (len, kind), "{fault:?}");
            let flipped: Vec<_> = bytes.iter().enumerate().filter(|(_, byte)| **byte != 0).map(|(at, _)| at).collect();
            assert_eq!(flipped, if fault == Fault::Flip(At::Byte(33)) { vec![33] } else { vec![] });
            assert_eq!(read(&store, ByteRange::new(20, 100)).await.0.len(), 80, "once only: {fault:?}");
        }
        assert_eq!(store.struck(), cases.len() as u64);
    }

    #[tokio::test(start_paused = true)]
    async fn a_seed_repeats_the_same_misfortune() {
        let run = async |seed| {
            let faults = [(0.3, Fault::Break(At::Random)), (0.2, Fault::Error(ErrorKind::Network))];
            let store = FaultStore::new(bucket()).randomly(seed, faults);
            let mut lens = Vec::new();
            for _ in 0..40 {
                lens.push(read(&store, ByteRange::new(0, 100)).await.0.len());
                assert!(
                    store.list(ListRequest::default()).await.is_ok_and(|page| page.entries.len() == 1)
                        || store.struck() > 0
                );
            }
            lens
        };
        assert_eq!(run(7).await, run(7).await);
        assert_ne!(run(7).await, run(8).await);
    }
}
