//! Telling the kernel what to forget, from a thread that answers nothing.
//!
//! The kernel holds the caller until requests under way on the same inode or directory are answered. A session thread
//! that called would wait for itself; so would a task of the runtime that answers reads. The queue holds each thing to
//! forget once, so that it is bounded by what the kernel can know, and nothing in it is ever dropped.

use std::collections::{HashSet, VecDeque};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::thread;

use fuser::INodeNo;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::base::Ino;
use crate::fs;

/// What the kernel shall forget.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Memory {
    Entry { parent: Ino, name: Box<[u8]> },
    Attributes(Ino),
    Pages(Ino),
}

/// Tells the kernel, in the order asked, what is no longer so.
#[derive(Debug)]
pub struct Notifier {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    order: VecDeque<Memory>,
    /// Who wants to know when so many have been told, in that order.
    listeners: VecDeque<(u64, oneshot::Sender<()>)>,
    /// Told so far.
    told: u64,
    /// Taken out of the queue so far.
    begun: u64,
    waiting: HashSet<Memory>,
    stopped: bool,
}

impl Notifier {
    /// Starts the thread that tells `kernel`.
    pub(super) fn start(kernel: fuser::Notifier) -> io::Result<Arc<Notifier>> {
        Self::start_with(move |memory| tell(&kernel, memory))
    }

    fn start_with(tell: impl Fn(&Memory) + Send + 'static) -> io::Result<Arc<Notifier>> {
        let notifier = Arc::new(Notifier { queue: Mutex::default(), changed: Condvar::new() });
        let shared = notifier.clone();
        thread::Builder::new().name("fuse-notify".to_owned()).spawn(move || {
            while let Some(memory) = shared.next() {
                tell(&memory);
                shared.has_told();
            }
        })?;
        Ok(notifier)
    }

    /// Ends the thread after what it is doing; what still waits is not told. The kernel may hold the thread as long
    /// as a request is unanswered, so nobody waits for it.
    pub(super) fn stop(&self) {
        let mut queue = self.queue.lock();
        *queue = Queue { stopped: true, ..Queue::default() };
        self.changed.notify_all();
    }

    fn push(&self, memory: Memory) {
        let mut queue = self.queue.lock();
        if !queue.stopped && queue.waiting.insert(memory.clone()) {
            queue.order.push_back(memory);
            self.changed.notify_one();
        }
    }

    fn has_told(&self) {
        let mut queue = self.queue.lock();
        queue.told += 1;
        while queue.listeners.front().is_some_and(|(at, _)| *at <= queue.told) {
            // Nobody need wait any more.
            let _ = queue.listeners.pop_front().map(|(_, listener)| listener.send(()));
        }
    }

    fn next(&self) -> Option<Memory> {
        let mut queue = self.queue.lock();
        loop {
            if queue.stopped {
                return None;
            }
            if let Some(memory) = queue.order.pop_front() {
                // Out of the set before it is told: a change after this must be told again.
                queue.waiting.remove(&memory);
                queue.begun += 1;
                return Some(memory);
            }
            self.changed.wait(&mut queue);
        }
    }
}

impl fs::Notifier for Notifier {
    fn invalidate_entry(&self, parent: Ino, name: &[u8]) {
        self.push(Memory::Entry { parent, name: name.into() });
    }

    fn invalidate_attributes(&self, ino: Ino) {
        self.push(Memory::Attributes(ino));
    }

    fn after_that(&self, done: oneshot::Sender<()>) {
        let mut queue = self.queue.lock();
        if queue.stopped {
            return;
        }
        // What is being told now counts as waiting.
        let at = queue.begun + queue.order.len() as u64;
        if at <= queue.told {
            let _ = done.send(());
        } else {
            queue.listeners.push_back((at, done));
        }
    }

    fn invalidate_pages(&self, ino: Ino) {
        self.push(Memory::Pages(ino));
    }
}

fn tell(kernel: &fuser::Notifier, memory: &Memory) {
    let told = match memory {
        Memory::Entry { parent, name } => kernel.inval_entry(INodeNo(parent.0), OsStr::from_bytes(name)),
        // A negative offset leaves the pages alone.
        Memory::Attributes(ino) => kernel.inval_inode(INodeNo(ino.0), -1, 0),
        // All from the first byte on.
        Memory::Pages(ino) => kernel.inval_inode(INodeNo(ino.0), 0, 0),
    };
    if let Err(error) = told {
        tracing::debug!(?memory, %error, "the kernel did not take a notice");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::fs::Notifier as _;

    #[test]
    fn the_same_thing_waits_once_and_nothing_is_lost() {
        let (told, heard) = channel();
        let (go, gate) = channel::<()>();
        let notifier = Notifier::start_with(move |memory| {
            told.send(memory.clone()).unwrap();
            let _ = gate.recv();
        })
        .unwrap();
        notifier.invalidate_attributes(Ino(1));
        assert_eq!(heard.recv().unwrap(), Memory::Attributes(Ino(1)));
        // The thread is held now, as by the kernel: callers are not.
        for _ in 0..1000 {
            notifier.invalidate_entry(Ino(2), b"a");
            notifier.invalidate_attributes(Ino(1));
        }
        assert_eq!(notifier.queue.lock().order.len(), 2);
        drop(go);
        assert_eq!(heard.recv().unwrap(), Memory::Entry { parent: Ino(2), name: (*b"a").into() });
        assert_eq!(heard.recv().unwrap(), Memory::Attributes(Ino(1)));
        notifier.stop();
        notifier.invalidate_attributes(Ino(3));
        assert!(heard.recv().is_err(), "the thread has ended");
    }
}
