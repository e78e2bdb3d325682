//! Answers broken on purpose, for tests: everything that a network and a busy service do to a request.
//!
//! Faults come from a script (the next request of a kind gets the next fault) or at random from a seed, so that a
//! failing run can be repeated.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::base::Key;
use crate::store::{
    Body, DeleteRequest, Error, ErrorKind, GetRequest, GetResponse, HeadRequest, ListPage, ListRequest, ObjectMeta,
    PutRequest, Result, Store, StoreMut,
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
    /// This long passes before every chunk of the body.
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
    /// Reading bytes.
    Get,
    /// Looking at an object, or at what a symlink names.
    Head,
    /// Listing a page.
    List,
    /// Putting or deleting.
    Write,
}

/// Breaks the answers of another store.
#[derive(Debug)]
pub struct FaultStore<S: ?Sized = dyn Store> {
    inner: Arc<S>,
    /// Each with the chance that it strikes a request.
    random: Vec<(f64, Fault)>,

    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rng: StdRng,
    script: VecDeque<(Operation, Fault)>,
    struck: u64,
}

impl<S: ?Sized> FaultStore<S> {
    /// Breaks nothing yet.
    pub fn new(inner: Arc<S>) -> Self {
        let rng = StdRng::seed_from_u64(0);
        FaultStore { inner, random: Vec::new(), state: Mutex::new(State { rng, script: VecDeque::new(), struck: 0 }) }
    }

    /// Strikes each request with these chances (each from 0 to 1), drawn from a seed. Body faults strike only GETs.
    pub fn randomly(mut self, seed: u64, faults: impl IntoIterator<Item = (f64, Fault)>) -> Self {
        self.random = faults.into_iter().collect();
        self.state.get_mut().rng = StdRng::seed_from_u64(seed);
        self
    }

    /// The next request of this kind that no earlier fault strikes gets this one.
    pub fn once(&self, operation: Operation, fault: Fault) {
        self.state.lock().script.push_back((operation, fault));
    }

    /// Requests that got a fault so far.
    pub fn struck(&self) -> u64 {
        self.state.lock().struck
    }

    /// The fault for a request, if any.
    fn draw(&self, operation: Operation) -> Option<Fault> {
        let mut state = self.state.lock();
        let scripted = state.script.iter().position(|(aimed, _)| *aimed == operation);
        let fault = match scripted.and_then(|at| state.script.remove(at)) {
            Some((_, fault)) => Some(fault),
            None => {
                let struck = self.random.iter().find(|(chance, _)| state.rng.random_bool(*chance));
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
            Some(Fault::Late(wait)) => {
                tokio::time::sleep(*wait).await;
                call.await
            }
            _ => call.await,
        }
    }

    /// Runs a body under a fault that strikes within it.
    fn broken(&self, fault: Option<Fault>, body: Body, len: u64) -> Body {
        match fault {
            Some(Fault::Break(at)) => match self.byte(at, len) {
                Some(at) => cut(body, at).chain(stream::once(async { Err(reset()) })).boxed(),
                None => body,
            },
            Some(Fault::Stall(at)) => match self.byte(at, len) {
                Some(at) => cut(body, at).chain(stream::pending()).boxed(),
                None => body,
            },
            Some(Fault::Short(at)) => cut(body, self.byte(at, len).unwrap_or(len)),
            Some(Fault::Flip(at)) => match self.byte(at, len) {
                Some(at) => flipped(body, at),
                None => body,
            },
            Some(Fault::Slow(pause)) => body
                .then(move |chunk| async move {
                    tokio::time::sleep(pause).await;
                    chunk
                })
                .boxed(),
            _ => body,
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

/// The first `len` bytes of a body.
fn cut(body: Body, len: u64) -> Body {
    stream::unfold((body, len), |(mut body, left)| async move {
        if left == 0 {
            return None;
        }
        match body.next().await? {
            Ok(mut chunk) => {
                chunk.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                let left = left - chunk.len() as u64;
                Some((Ok(chunk), (body, left)))
            }
            Err(error) => Some((Err(error), (body, 0))),
        }
    })
    .boxed()
}

/// A body with the lowest bit of one byte turned.
fn flipped(body: Body, at: u64) -> Body {
    let mut seen = 0u64;
    body.map(move |chunk| {
        let chunk = chunk?;
        let inside = at.checked_sub(seen).filter(|inside| *inside < chunk.len() as u64);
        seen += chunk.len() as u64;
        Ok(match inside {
            Some(inside) => {
                let mut bytes = chunk.to_vec();
                bytes[inside as usize] ^= 1;
                Bytes::from(bytes)
            }
            None => chunk,
        })
    })
    .boxed()
}

#[async_trait]
impl<S: Store + ?Sized> Store for FaultStore<S> {
    async fn get(&self, request: GetRequest) -> Result<GetResponse> {
        let fault = self.draw(Operation::Get);
        let response = self.under(&fault, self.inner.get(request)).await?;
        let body = self.broken(fault, response.body, response.range.len());
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

    async fn symlink_target(&self, key: &Key) -> Result<String> {
        let fault = self.draw(Operation::Head);
        self.under(&fault, self.inner.symlink_target(key)).await
    }
}

#[async_trait]
impl<S: StoreMut + ?Sized> StoreMut for FaultStore<S> {
    async fn put(&self, request: PutRequest) -> Result<ObjectMeta> {
        let fault = self.draw(Operation::Write);
        self.under(&fault, self.inner.put(request)).await
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        let fault = self.draw(Operation::Write);
        self.under(&fault, self.inner.delete(request)).await
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;

    use super::*;
    use crate::base::ByteRange;
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
        loop {
            match tokio::time::timeout(Duration::from_secs(9), body.try_next()).await {
                Ok(Ok(Some(chunk))) => bytes.extend_from_slice(&chunk),
                Ok(Ok(None)) => return (bytes, Ok(())),
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
