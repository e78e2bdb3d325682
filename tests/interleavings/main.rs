//! Every interleaving of a fetcher with the reads that wait for its part (`read::part`): no wake-up is lost, and no read
//! waits for bytes that will not come.
//!
//! The file is compiled as it stands in `src`, in a crate where its lock and its buffer are those of loom, which runs
//! each test once for every order in which threads can meet there. What the part only counts or carries is empty here.

// The crate stands for the one that offers `parking_lot::Mutex`.
extern crate self as parking_lot;

#[allow(dead_code, unreachable_pub)]
#[path = "../../src/base/range.rs"]
mod range;

#[allow(dead_code, unreachable_pub)]
#[path = "../../src/base/stretches.rs"]
mod stretches;

#[allow(dead_code, unreachable_pub)]
#[path = "../../src/read/part.rs"]
mod part;

use std::sync::Arc;

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use crate::base::ByteRange;
use crate::buffer::Buffer;
use crate::part::{Lost, Origin, Part};

/// A lock of loom's with the interface that `part` uses.
pub struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    /// A lock over a value.
    pub fn new(value: T) -> Self {
        Mutex(loom::sync::Mutex::new(value))
    }

    /// Waits for the lock.
    pub fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
        self.0.lock().expect("no test panics under the lock")
    }
}

mod base {
    pub(crate) use crate::range::ByteRange;
    pub(crate) use crate::stretches::Stretches;
}

mod cache {
    pub(crate) struct MemoryFile;
}

mod metrics {
    pub(crate) enum Metric {
        BytesUsed,
        PrefetchedUnread,
    }

    #[derive(Default)]
    pub(crate) struct Metrics;

    impl Metrics {
        pub(crate) fn add(&self, _: Metric, _: u64) {}
    }
}

mod store {
    #[derive(Clone, Debug)]
    pub(crate) struct Error;
}

mod why {
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(crate) enum Why {
        Window,
    }
}

mod buffer {
    use std::sync::Arc;

    use super::{AtomicUsize, LEN, Ordering};
    use crate::cache::MemoryFile;

    /// Memory of which the first so many bytes are in.
    pub(crate) struct Buffer(pub(crate) AtomicUsize);

    impl Buffer {
        pub(crate) fn head(&self) -> &[u8] {
            &[0; LEN as usize][..self.0.load(Ordering::Acquire)]
        }

        pub(crate) fn is_in(&self, _: &Arc<MemoryFile>) -> bool {
            false
        }

        pub(crate) fn joined(_: Vec<&Buffer>) -> Option<&[u8]> {
            None
        }
    }
}

/// Bytes of the part.
const LEN: u64 = 2;

/// Switches between threads that may be forced in one run, where three threads meet: all orders would be too many.
const SWITCHES: usize = 3;

/// Runs the test once for every order.
fn every_order(test: impl Fn() + Sync + Send + 'static) {
    loom::model(test);
}

/// Runs the test once for every order that [`SWITCHES`] allow.
fn most_orders(test: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(SWITCHES);
    model.check(test);
}

/// A part that is being fetched, and its buffer.
fn part() -> (Arc<Part>, Arc<Buffer>) {
    let part = Part::new(ByteRange::new(0, LEN), Origin::Ahead(why::Why::Window), &Arc::default());
    let buffer = Arc::new(Buffer(AtomicUsize::new(0)));
    part.attach(buffer.clone());
    (part, buffer)
}

/// So many bytes are in, and reads that wait for no more are woken.
fn publish(part: &Part, buffer: &Buffer, len: usize) {
    buffer.0.store(len, Ordering::Release);
    part.advanced();
}

/// A thread with a read that waits until the bytes below `end` are in.
fn reader(part: &Arc<Part>, end: u64) -> thread::JoinHandle<Result<(), Lost>> {
    let part = part.clone();
    thread::spawn(move || loom::future::block_on(part.wait(end)))
}

#[test]
fn a_read_is_woken_by_the_bytes_that_it_waits_for() {
    every_order(|| {
        let (part, buffer) = part();
        let reader = reader(&part, LEN);
        publish(&part, &buffer, 1);
        publish(&part, &buffer, 2);
        part.complete();
        assert!(reader.join().unwrap().is_ok());
    });
}

#[test]
fn each_read_is_woken_by_the_bytes_that_it_waits_for() {
    most_orders(|| {
        let (part, buffer) = part();
        let readers = [reader(&part, 1), reader(&part, LEN)];
        publish(&part, &buffer, 1);
        publish(&part, &buffer, 2);
        part.complete();
        for reader in readers {
            assert!(reader.join().unwrap().is_ok());
        }
    });
}

#[test]
fn all_reads_learn_that_a_part_has_failed() {
    most_orders(|| {
        let (part, buffer) = part();
        let readers = [reader(&part, LEN), reader(&part, LEN)];
        publish(&part, &buffer, 1);
        part.fail(store::Error);
        for reader in readers {
            assert!(matches!(reader.join().unwrap(), Err(Lost::Failed(_))));
        }
    });
}

#[test]
fn a_part_is_given_up_only_where_no_read_waits_or_the_read_learns_of_it() {
    every_order(|| {
        let (part, buffer) = part();
        let reader = reader(&part, LEN);
        let is_gone = part.drop_out_unless_waited_for();
        publish(&part, &buffer, LEN as usize);
        part.complete();
        let waited = reader.join().unwrap();
        // The bytes may have come before the read looked.
        assert!(waited.is_ok() || is_gone && matches!(waited, Err(Lost::Dropped)), "{is_gone} {waited:?}");
        assert_eq!(part.is_lost(), is_gone);
    });
}

#[test]
fn a_read_that_is_given_up_is_not_waited_for() {
    every_order(|| {
        let (part, buffer) = part();
        let other = part.clone();
        let given_up = thread::spawn(move || {
            loom::future::block_on(async {
                let mut wait = std::pin::pin!(other.wait(LEN));
                std::future::poll_fn(|context| std::task::Poll::Ready(wait.as_mut().poll(context))).await.is_ready()
            })
        });
        publish(&part, &buffer, 1);
        given_up.join().unwrap();
        assert!(part.drop_out_unless_waited_for());
    });
}
