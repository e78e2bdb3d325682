//! How an operation becomes an answer: at once if it is ready, later from the runtime if it has to wait.
//!
//! A future is polled once on the thread that received the request, which costs no hand-over when the bytes are there;
//! if it has to wait, it moves to the runtime and answers from there, and no thread waits with it. A panic answers EIO
//! and takes nothing else along; every wait has an end. A request that the kernel sends again, because the daemon
//! before died with it, is served from the runtime, where it may have to wait for others that are suspected of that
//! death.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::caller::{Caller, LOOK};
use crate::base::Ino;
use crate::fs::{self, Errno, Extent, Suspects};

/// What a request asks, and who.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// The operation's name in the FUSE protocol.
    pub(super) op: &'static str,
    /// The inode it concerns.
    pub(super) ino: Ino,
    /// The thread that waits for the answer.
    pub(super) caller: Caller,
    /// What is known of it where an earlier life of the daemon took it and did not answer.
    pub(super) again: Option<Arc<Again>>,
}

/// A request that the kernel has sent again, as the log names it.
#[derive(Clone, Debug)]
pub(super) struct Again {
    /// The same whichever time it is sent.
    pub(super) number: u64,
    /// The key that it concerns, if that is known.
    pub(super) key: Option<String>,
    /// The arguments of the request.
    pub(super) what: String,
    /// What it reads, if it reads a file.
    pub(super) read: Option<Extent>,
}

impl Request {
    /// The same with its arguments, which are put in words only where they may be needed.
    pub(super) fn with(mut self, what: impl FnOnce() -> String) -> Self {
        if let Some(again) = &mut self.again {
            Arc::make_mut(again).what = what();
        }
        self
    }

    /// The same of a read.
    pub(super) fn reading(mut self, read: Extent) -> Self {
        if let Some(again) = &mut self.again {
            let Extent { handle, range } = read;
            let again = Arc::make_mut(again);
            again.what = format!("handle {handle}, {} bytes at offset {}", range.len(), range.start);
            again.read = Some(read);
        }
        self
    }
}

/// Answers the requests of a session.
#[derive(Debug)]
pub(super) struct Answers {
    runtime: Handle,
    limit: Duration,
    in_flight: Arc<InFlight>,
    suspects: Arc<Suspects>,
}

impl Answers {
    /// Answers wait on `runtime`, which must have its timer enabled, and for at most `limit`.
    pub(super) fn new(runtime: Handle, limit: Duration, in_flight: Arc<InFlight>, suspects: Arc<Suspects>) -> Self {
        Answers { runtime, limit, in_flight, suspects }
    }

    /// Runs an operation and hands its result to `reply`, exactly once.
    pub(super) fn answer<T: Send + 'static>(
        &self,
        request: Request,
        operation: impl Future<Output = fs::Result<T>> + Send + 'static,
        reply: impl FnOnce(fs::Result<T>) + Send + 'static,
    ) {
        let watching = self.watching(&request);
        self.answer_watched(request, watching.over(operation), reply);
    }

    /// What watches over the waits of a request.
    pub(super) fn watching(&self, request: &Request) -> Watching {
        Watching { op: request.op, ino: request.ino, caller: request.caller, limit: self.limit }
    }

    /// Runs an operation whose waits are watched already.
    pub(super) fn answer_watched<T: Send + 'static>(
        &self,
        request: Request,
        operation: impl Future<Output = fs::Result<T>> + Send + 'static,
        reply: impl FnOnce(fs::Result<T>) + Send + 'static,
    ) {
        let Some(turn) = self.in_flight.enter() else {
            return settle(&request, Ok(Err(Errno(libc::ENOTCONN))), reply);
        };
        let operation = fs::unless_broken(operation);
        if let Some(again) = request.again.clone() {
            return self.answer_again(request, &again, turn, operation, reply);
        }
        let _inside = self.runtime.enter();
        // Boxed, because it moves to the runtime after its first poll.
        let mut operation = Box::pin(AssertUnwindSafe(operation).catch_unwind());
        match operation.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => settle(&request, outcome, reply),
            Poll::Pending => {
                self.runtime.spawn(async move {
                    settle(&request, operation.await, reply);
                    drop(turn);
                });
            }
        }
    }

    /// Whether a read repeats, by another request, one that was refused because it had killed the daemon.
    pub(super) fn refuses(&self, read: Extent) -> bool {
        self.suspects.is_repeated(read)
    }

    /// The same for a request with which an earlier life of the daemon died.
    fn answer_again<T: Send + 'static>(
        &self,
        request: Request,
        again: &Again,
        turn: Turn,
        operation: impl Future<Output = fs::Result<T>> + Send + 'static,
        reply: impl FnOnce(fs::Result<T>) + Send + 'static,
    ) {
        let mut taken = self.suspects.take(again.number);
        if let Some(deaths) = taken.guilty_of() {
            let Again { key, what, read, .. } = again;
            // Before it is answered: the kernel asks for the same again at once.
            let _inside = self.runtime.enter();
            read.iter().for_each(|read| self.suspects.refuse_repeats(*read));
            tracing::warn!(
                op = request.op,
                ino = request.ino.0,
                key,
                what,
                "the daemon died {deaths} times while it served this request, the last time with no other request in \
                 flight that could be the cause: EIO"
            );
        }
        let watching = self.watching(&request);
        self.runtime.spawn(async move {
            let served = async {
                watching
                    .over(async {
                        taken.wait().await;
                        Ok(())
                    })
                    .await?;
                taken.serve(operation).await
            };
            settle(&request, AssertUnwindSafe(served).catch_unwind().await, reply);
            // It is over only when the kernel has its answer.
            drop((taken, turn));
        });
    }

    /// Runs an operation that never waits, and survives its panic; `None` then.
    pub(super) fn at_once<T>(&self, request: Request, operation: impl FnOnce() -> T) -> Option<T> {
        let _inside = self.runtime.enter();
        catch_unwind(AssertUnwindSafe(operation)).map_err(|panic| report(&request, &*panic)).ok()
    }
}

/// What ends the waits of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watching {
    op: &'static str,
    ino: Ino,
    caller: Caller,
    limit: Duration,
}

impl Watching {
    /// The operation, until its time is over (EIO) or the thread that waits for it is told to end (EINTR): what it
    /// waits for is given up then. Must be polled a second time when the first poll brings nothing.
    pub(super) async fn over<T>(self, operation: impl Future<Output = fs::Result<T>>) -> fs::Result<T> {
        let Watching { op, ino, caller, limit } = self;
        let mut operation = pin!(operation);
        // The first poll is on the thread that received the request, and nearly always the last one: no timer yet.
        if let Poll::Ready(result) = futures::poll!(operation.as_mut()) {
            return result;
        }
        futures::pending!();
        let (mut left, mut watch) = (limit, caller.watch());
        while !left.is_zero() {
            let wait = LOOK.min(left);
            if let Ok(result) = tokio::time::timeout(wait, operation.as_mut()).await {
                return result;
            }
            left -= wait;
            if watch.is_ending() {
                tracing::debug!(op, ino = ino.0, "the calling process has a fatal signal pending: EINTR");
                return Err(Errno::EINTR);
            }
        }
        tracing::error!(op, ino = ino.0, ?limit, "the request was not answered within the time limit: EIO");
        Err(Errno::EIO)
    }
}

fn settle<T>(
    request: &Request,
    outcome: Result<fs::Result<T>, Box<dyn Any + Send>>,
    reply: impl FnOnce(fs::Result<T>),
) {
    let result = outcome.unwrap_or_else(|panic| {
        report(request, &*panic);
        Err(Errno::EIO)
    });
    // A reply that is dropped unsent answers EIO by itself.
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| reply(result))) {
        report(request, &*panic);
    }
}

fn report(request: &Request, panic: &(dyn Any + Send)) {
    let text = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("no message");
    tracing::error!(op = request.op, ino = request.ino.0, panic = text, "an operation panicked: EIO");
}

/// The requests that are being answered.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    closed: AtomicBool,
    count: AtomicUsize,
    idle: Notify,
}

impl InFlight {
    fn enter(self: &Arc<Self>) -> Option<Turn> {
        // Counted before the look, so that `drained` cannot pass between the two.
        self.count.fetch_add(1, Ordering::SeqCst);
        let turn = Turn(self.clone());
        (!self.is_closed()).then_some(turn)
    }

    /// Refuses requests from now on.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Whether requests are refused.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Requests that are being answered now.
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Waits until, after [`InFlight::close`], the last request is answered.
    pub(super) async fn drained(&self) {
        loop {
            let idle = self.idle.notified();
            tokio::pin!(idle);
            // Registered before the look, so that the last turn's notice cannot fall between the two.
            idle.as_mut().enable();
            if self.count() == 0 {
                return;
            }
            idle.await;
        }
    }
}

/// A request's place among those in flight.
struct Turn(Arc<InFlight>);

impl Drop for Turn {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::SeqCst) == 1 && self.0.is_closed() {
            self.0.idle.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::super::caller::Sight;
    use super::*;

    fn read() -> Request {
        Request { op: "read", ino: Ino(7), caller: Caller::new(0, Sight::Clear), again: None }
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
    }

    fn answers(runtime: &tokio::runtime::Runtime, limit: Duration) -> Answers {
        Answers::new(runtime.handle().clone(), limit, Arc::default(), Arc::default())
    }

    /// The result of an operation, and the thread that answered.
    fn ask(
        answers: &Answers,
        operation: impl Future<Output = fs::Result<u32>> + Send + 'static,
    ) -> Receiver<(fs::Result<u32>, std::thread::ThreadId)> {
        let (sender, receiver) = channel();
        answers.answer(read(), operation, move |result| {
            sender.send((result, std::thread::current().id())).unwrap();
        });
        receiver
    }

    #[test]
    fn what_is_ready_is_answered_on_the_same_thread() {
        let runtime = runtime();
        let receiver = ask(&answers(&runtime, Duration::from_secs(9)), async { Ok(5) });
        assert_eq!(receiver.try_recv().unwrap(), (Ok(5), std::thread::current().id()));
    }

    #[test]
    fn what_waits_is_answered_from_the_runtime() {
        let runtime = runtime();
        let answers = answers(&runtime, Duration::from_secs(9));
        let (sender, waits) = tokio::sync::oneshot::channel();
        let receiver = ask(&answers, async move { Ok(waits.await.unwrap()) });
        assert_eq!(answers.in_flight.count(), 1);
        assert!(receiver.try_recv().is_err());
        sender.send(6).unwrap();
        let (result, thread) = receiver.recv().unwrap();
        assert_eq!(result, Ok(6));
        assert_ne!(thread, std::thread::current().id());
        answers.in_flight.close();
        runtime.block_on(answers.in_flight.drained());
    }

    #[test]
    fn a_panic_answers_eio_before_and_after_the_first_wait() {
        let runtime = runtime();
        let answers = answers(&runtime, Duration::from_secs(9));
        let receiver = ask(&answers, async { panic!("at once") });
        assert_eq!(receiver.recv().unwrap().0, Err(Errno::EIO));
        let receiver = ask(&answers, async {
            tokio::task::yield_now().await;
            panic!("later")
        });
        assert_eq!(receiver.recv().unwrap().0, Err(Errno::EIO));
        assert_eq!(answers.at_once(read(), || panic!("never waits")), None::<u32>);
        answers.in_flight.close();
        runtime.block_on(answers.in_flight.drained());
    }

    #[test]
    fn a_wait_without_an_end_gets_one() {
        let runtime = runtime();
        let receiver = ask(&answers(&runtime, Duration::from_millis(20)), std::future::pending());
        assert_eq!(receiver.recv().unwrap().0, Err(Errno::EIO));
    }

    #[test]
    fn a_wait_ends_with_the_thread_that_waits_and_not_before() {
        let runtime = runtime();
        let answers = answers(&runtime, Duration::from_secs(600));
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let request = Request { caller: Caller::new(child.id(), Sight::Clear), ..read() };
        let (sender, receiver) = channel();
        let given_up = Arc::new(());
        let held = given_up.clone();
        let operation = async move {
            let _held = held;
            std::future::pending().await
        };
        answers.answer(request, operation, move |result: fs::Result<u32>| sender.send(result).unwrap());
        assert!(receiver.recv_timeout(LOOK * 3).is_err(), "the program lives");
        child.kill().unwrap();
        assert_eq!(receiver.recv().unwrap(), Err(Errno::EINTR));
        assert_eq!(Arc::strong_count(&given_up), 1, "what it waited for is given up");
        child.wait().unwrap();
    }

    #[test]
    fn after_closing_nothing_new_is_begun() {
        let runtime = runtime();
        let answers = answers(&runtime, Duration::from_secs(9));
        answers.in_flight.close();
        let receiver = ask(&answers, async { unreachable!("it must not be polled") });
        assert_eq!(receiver.try_recv().unwrap().0, Err(Errno(libc::ENOTCONN)));
        runtime.block_on(answers.in_flight.drained());
    }
}
