//! What can be seen of a process that opens a file.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use lru::LruCache;
use parking_lot::Mutex;

use crate::base::Clock;
use crate::fs::{Opener, Program, ReadCalls};

/// How long the name of a thread's program is believed after it was read: a program that opens a file for each sample
/// pays for one reading of many, and one that is executed in its place a moment later is hardly taken for it. Chosen,
/// not measured.
const BELIEVED: Duration = Duration::from_millis(100);

/// How many threads are remembered.
const THREADS: NonZeroUsize = NonZeroUsize::new(256).expect("it is not zero");

/// The programs of threads that have opened files of late. Reading a name takes four system calls, 7 us of the 60 that
/// an open and a close of a large file cost a program.
#[derive(Debug)]
pub(super) struct Programs {
    clock: Clock,
    /// By the kernel's number of the thread; each with the time, by the clock, until which it is believed.
    known: Mutex<LruCache<u32, (Program, Duration)>>,
}

impl Programs {
    pub(super) fn new(clock: Clock) -> Self {
        Programs { clock, known: Mutex::new(LruCache::new(THREADS)) }
    }

    /// The process of a thread.
    pub(super) fn process(self: &Arc<Self>, thread: u32) -> Process {
        Process { thread, programs: self.clone() }
    }

    fn of(&self, thread: u32) -> Option<Program> {
        let now = self.clock.elapsed();
        if let Some((program, until)) = self.known.lock().get(&thread)
            && *until > now
        {
            return Some(program.clone());
        }
        let program: Program = std::fs::read(format!("/proc/{thread}/comm")).ok()?.into();
        self.known.lock().put(thread, (program.clone(), now + BELIEVED));
        Some(program)
    }
}

/// A process, by one of its threads. There is nothing to see of those in a name space that we do not see into.
pub(super) struct Process {
    thread: u32,
    programs: Arc<Programs>,
}

impl Opener for Process {
    fn program(&self) -> Option<Program> {
        self.programs.of(self.thread)
    }

    fn calls(&self) -> Option<ReadCalls> {
        let text = std::fs::read_to_string(format!("/proc/{}/io", self.thread)).ok()?;
        let count = |name| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        Some(ReadCalls { calls: count("syscr:")?, bytes: count("rchar:")? })
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::prctl;

    use super::*;
    use crate::base::Timestamp;

    #[test]
    fn a_program_is_read_once_for_opens_in_a_row_and_again_after_a_moment() {
        let clock = Clock::manual(Timestamp { seconds: 0, nanos: 0 });
        let programs = Arc::new(Programs::new(clock.clone()));
        let process = programs.process(nix::unistd::gettid().as_raw() as u32);
        let is = |expected: &[u8]| process.program().as_deref() == Some(expected);
        prctl::set_name(c"first").unwrap();
        assert!(is(b"first\n"));
        prctl::set_name(c"second").unwrap();
        clock.advance(BELIEVED - Duration::from_millis(1));
        assert!(is(b"first\n"));
        clock.advance(Duration::from_millis(1));
        assert!(is(b"second\n"));
    }

    #[test]
    fn of_a_thread_that_cannot_be_seen_nothing_is_known() {
        let programs = Arc::new(Programs::new(Clock::system()));
        let process = programs.process(0);
        assert_eq!((process.program(), process.calls()), (None, None));
        assert!(programs.known.lock().is_empty());
    }
}
