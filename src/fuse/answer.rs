//! How an operation becomes an answer: at once where it can, later from the runtime where it must wait.
//!
//! A future is polled once on the thread that received the request, which costs no hand-over when the bytes are there;
//! if it has to wait, it moves to the runtime and answers from there, and no thread waits with it. A panic answers EIO
//! and takes nothing else along; every wait has an end.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::base::Ino;
use crate::fs::{self, Errno};

/// What a request asks, for the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    /// The operation's name in the FUSE protocol.
    pub(super) op: &'static str,
    /// The inode it concerns.
    pub(super) ino: Ino,
}

/// Answers requests.
#[derive(Debug)]
pub(super) struct Answers {
    runtime: Handle,
    limit: Duration,
    in_flight: Arc<InFlight>,
}

impl Answers {
    /// Answers wait on `runtime`, which must have its timer enabled, and for at most `limit`.
    pub(super) fn new(runtime: Handle, limit: Duration, in_flight: Arc<InFlight>) -> Self {
        Answers { runtime, limit, in_flight }
    }

    /// Runs an operation and hands its result to `reply`, exactly once.
    pub(super) fn answer<T: Send + 'static>(
        &self,
        request: Request,
        operation: impl Future<Output = fs::Result<T>> + Send + 'static,
        reply: impl FnOnce(fs::Result<T>) + Send + 'static,
    ) {
        let Some(turn) = self.in_flight.enter() else {
            return settle(request, Ok(Err(Errno(libc::ENOTCONN))), reply);
        };
        let _inside = self.runtime.enter();
        // Boxed, because it moves to the runtime after its first poll.
        let mut operation = Box::pin(AssertUnwindSafe(operation).catch_unwind());
        match operation.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => settle(request, outcome, reply),
            Poll::Pending => {
                let limit = self.limit;
                self.runtime.spawn(async move {
                    let outcome = tokio::time::timeout(limit, operation).await.unwrap_or_else(|_| {
                        tracing::error!(op = request.op, ino = request.ino.0, ?limit, "no answer in time: EIO");
                        Ok(Err(Errno::EIO))
                    });
                    settle(request, outcome, reply);
                    drop(turn);
                });
            }
        }
    }

    /// Runs an operation that never waits, and survives its panic; `None` then.
    pub(super) fn at_once<T>(&self, request: Request, operation: impl FnOnce() -> T) -> Option<T> {
        let _inside = self.runtime.enter();
        catch_unwind(AssertUnwindSafe(operation)).map_err(|panic| report(request, &*panic)).ok()
    }
}

fn settle<T>(request: Request, outcome: Result<fs::Result<T>, Box<dyn Any + Send>>, reply: impl FnOnce(fs::Result<T>)) {
    let result = outcome.unwrap_or_else(|panic| {
        report(request, &*panic);
        Err(Errno::EIO)
    });
    // A reply that is dropped unsent answers EIO by itself.
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| reply(result))) {
        report(request, &*panic);
    }
}

fn report(request: Request, panic: &(dyn Any + Send)) {
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

    use super::*;

    const READ: Request = Request { op: "read", ino: Ino(7) };

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
    }

    fn answers(runtime: &tokio::runtime::Runtime, limit: Duration) -> Answers {
        Answers::new(runtime.handle().clone(), limit, Arc::default())
    }

    /// The result of an operation, and the thread that answered.
    fn ask(
        answers: &Answers,
        operation: impl Future<Output = fs::Result<u32>> + Send + 'static,
    ) -> Receiver<(fs::Result<u32>, std::thread::ThreadId)> {
        let (sender, receiver) = channel();
        answers.answer(READ, operation, move |result| {
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
        assert_eq!(answers.at_once(READ, || panic!("never waits")), None::<u32>);
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
    fn after_closing_nothing_new_is_begun() {
        let runtime = runtime();
        let answers = answers(&runtime, Duration::from_secs(9));
        answers.in_flight.close();
        let receiver = ask(&answers, async { unreachable!("it must not be polled") });
        assert_eq!(receiver.try_recv().unwrap().0, Err(Errno(libc::ENOTCONN)));
        runtime.block_on(answers.in_flight.drained());
    }
}
