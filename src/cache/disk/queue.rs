//! What waits to be written: bounded, so that a disk that is slower than the network takes what it can.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Bytes of an object that stay as they are for as long as this lives.
pub type Bytes = Box<dyn AsRef<[u8]> + Send + Sync>;

/// Something to be written.
pub(super) trait Job: Send + 'static {
    /// How many bytes wait with it.
    fn len(&self) -> u64;
}

/// Jobs that wait, in the order in which they came.
#[derive(Debug)]
pub(super) struct Queue<J> {
    limit_bytes: u64,
    state: Mutex<Waiting<J>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Waiting<J> {
    jobs: VecDeque<J>,
    /// Bytes of those that wait and of those that are being written.
    bytes: u64,
    is_closed: bool,
}

impl<J: Job> Queue<J> {
    /// An empty one, for so many bytes.
    pub(super) fn new(limit_bytes: u64) -> Arc<Self> {
        let state = Mutex::new(Waiting { jobs: VecDeque::new(), bytes: 0, is_closed: false });
        Arc::new(Queue { limit_bytes, state, changed: Condvar::new() })
    }

    /// Adds a job. Gives it back where there is no room for it.
    pub(super) fn push(&self, job: J) -> Result<(), J> {
        let mut state = self.state.lock();
        // One that is larger than all that may wait must not wait for ever.
        if state.is_closed || state.bytes > 0 && state.bytes + job.len() > self.limit_bytes {
            return Err(job);
        }
        state.bytes += job.len();
        state.jobs.push_back(job);
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    /// The next job, once there is one; `None` after the end. [`Queue::done`] must be told of its end.
    pub(super) fn next(&self) -> Option<J> {
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.is_closed {
                return None;
            }
            self.changed.wait(&mut state);
        }
    }

    /// A job of so many bytes has ended.
    pub(super) fn done(&self, bytes: u64) {
        self.state.lock().bytes -= bytes;
        self.changed.notify_all();
    }

    /// The most bytes that wait.
    pub(super) fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }

    /// Bytes that wait or are being written.
    pub(super) fn bytes(&self) -> u64 {
        self.state.lock().bytes
    }

    /// Waits until at most so many bytes wait, for as long as `patience` at most. Says whether that was so.
    pub(super) fn wait_for(&self, most_bytes: u64, patience: Duration) -> bool {
        let mut state = self.state.lock();
        !self.changed.wait_while_for(&mut state, |state| state.bytes > most_bytes, patience).timed_out()
    }

    /// Nothing more is taken in, and what waits is dropped.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        let dropped: Vec<J> = state.jobs.drain(..).collect();
        state.bytes -= dropped.iter().map(Job::len).sum::<u64>();
        drop(state);
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Job for u64 {
        fn len(&self) -> u64 {
            *self
        }
    }

    #[test]
    fn what_does_not_fit_is_given_back() {
        let queue = Queue::new(10);
        assert_eq!(queue.push(25), Ok(()), "one may always wait");
        assert_eq!(queue.push(1), Err(1));
        assert_eq!(queue.next(), Some(25));
        assert_eq!((queue.push(1), queue.bytes()), (Err(1), 25), "it is being written");
        queue.done(25);
        assert_eq!((queue.push(4), queue.push(6), queue.push(1)), (Ok(()), Ok(()), Err(1)));
        assert!(!queue.wait_for(9, Duration::ZERO) && queue.wait_for(10, Duration::ZERO));
        queue.close();
        assert_eq!((queue.bytes(), queue.next(), queue.push(0)), (0, None, Err(0)));
    }

    #[test]
    fn who_waits_is_woken() {
        let queue = Queue::new(10);
        let other = queue.clone();
        let writer = std::thread::spawn(move || {
            while let Some(job) = other.next() {
                other.done(job);
            }
        });
        for _ in 0..100 {
            queue.push(10).unwrap();
            assert!(queue.wait_for(0, Duration::from_secs(60)));
        }
        queue.close();
        writer.join().unwrap();
    }
}
