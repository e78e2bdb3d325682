//! Telling the kernel what to drop, from a thread of its own.
//!
//! The kernel holds the caller until requests under way on the same inode or directory are answered. A session thread
//! that called would wait for itself; so would a task of the runtime that answers reads. The queue holds each thing to
//! forget once, so that it is bounded by what the kernel can know, and nothing in it is ever dropped.
//!
//! Pages have a queue and a thread of their own: dropping them waits for each page that is being read, and so for the
//! bucket, which names must not.

use std::collections::{HashSet, VecDeque};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::thread;

use fuser::INodeNo;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::bridge::Bridge;
use super::twin::{Node, Twins};
use crate::base::Ino;
use crate::fs;

/// What the kernel shall forget.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Memory {
    Entry {
        parent: Ino,
        name: Box<[u8]>,
    },
    Attributes(Ino),
    Pages(Ino),
    /// The same where some of them may be wrong.
    WrongPages(Ino),
}

/// Whether the kernel has dropped what it was told to drop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Told {
    /// It has, or did not know of it.
    Yes,
    /// It may not have.
    No,
}

/// Tells the kernel what is no longer so: names and attributes in the order asked, and pages.
#[derive(Debug)]
pub struct Notifier {
    names: Arc<Line>,
    pages: Arc<Line>,
}

/// What a thread tells, in the order asked.
#[derive(Debug, Default)]
struct Line {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    order: VecDeque<Memory>,
    /// Waiters for a number of notifications, in the order of these numbers.
    listeners: VecDeque<(u64, oneshot::Sender<()>)>,
    /// Entries told to the kernel so far.
    told: u64,
    /// Taken out of the queue so far.
    begun: u64,
    waiting: HashSet<Memory>,
    stopped: bool,
}

impl Notifier {
    /// Starts the threads that tell `kernel`, of an inode and of its twin, and the bridge of pages.
    pub(super) fn start(
        kernel: fuser::Notifier,
        bridge: Option<Arc<Bridge>>,
        twins: Arc<Twins>,
    ) -> io::Result<Arc<Notifier>> {
        Self::start_with(move |memory| {
            match (memory, &bridge) {
                (Memory::Pages(ino), Some(bridge)) => bridge.drop_pages(*ino),
                (Memory::WrongPages(ino), Some(bridge)) => bridge.drop_wrong_pages(*ino),
                _ => {}
            }
            tell(&kernel, memory, &twins)
        })
    }

    fn start_with(tell: impl Fn(&Memory) -> Told + Send + Sync + 'static) -> io::Result<Arc<Notifier>> {
        let (tell, notifier) = (Arc::new(tell), Notifier { names: Arc::default(), pages: Arc::default() });
        for (name, line) in [("fuse-notify", &notifier.names), ("fuse-pages", &notifier.pages)] {
            let (tell, line) = (tell.clone(), line.clone());
            let run = move || {
                while let Some(memory) = line.next() {
                    line.has_told(tell(&memory));
                }
            };
            if let Err(error) = thread::Builder::new().name(name.to_owned()).spawn(run) {
                notifier.stop();
                return Err(error);
            }
        }
        Ok(Arc::new(notifier))
    }

    /// Ends the threads after what they are doing; what still waits is not told. The kernel may hold a thread as long
    /// as a request is unanswered, so no thread waits for it.
    pub(super) fn stop(&self) {
        self.names.stop();
        self.pages.stop();
    }
}

impl Line {
    fn stop(&self) {
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

    /// `done` is sent when this was told, even if it waits already.
    fn push_and_hear(&self, memory: Memory, done: oneshot::Sender<()>) {
        let mut queue = self.queue.lock();
        if queue.stopped {
            return;
        }
        queue.order.push_back(memory);
        let at = queue.begun + queue.order.len() as u64;
        queue.listeners.push_back((at, done));
        self.changed.notify_one();
    }

    /// `done` is sent when what waits now was told.
    fn hear(&self, done: oneshot::Sender<()>) {
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

    fn has_told(&self, told: Told) {
        let mut queue = self.queue.lock();
        queue.told += 1;
        while queue.listeners.front().is_some_and(|(at, _)| *at <= queue.told) {
            let listener = queue.listeners.pop_front().filter(|_| told == Told::Yes);
            // The waiter may be gone.
            let _ = listener.map(|(_, listener)| listener.send(()));
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
        self.names.push(Memory::Entry { parent, name: name.into() });
    }

    fn invalidate_attributes(&self, ino: Ino) {
        self.names.push(Memory::Attributes(ino));
    }

    fn after_that(&self, done: oneshot::Sender<()>) {
        self.names.hear(done);
    }

    fn invalidate_pages(&self, ino: Ino) {
        self.pages.push(Memory::Pages(ino));
    }

    fn drop_pages(&self, ino: Ino, done: oneshot::Sender<()>) {
        self.pages.push_and_hear(Memory::WrongPages(ino), done);
    }
}

fn tell(kernel: &fuser::Notifier, memory: &Memory, twins: &Twins) -> Told {
    let inode = |ino: Ino, offset| {
        let nodes = [Some(Node::original(ino)), twins.known(ino)].into_iter().flatten();
        // Each is told, also where another could not be.
        let told: Vec<_> = nodes.map(|node| heard(memory, kernel.inval_inode(node.number(), offset, 0))).collect();
        if told.contains(&Told::No) { Told::No } else { Told::Yes }
    };
    match memory {
        Memory::Entry { parent, name } => heard(memory, kernel.inval_entry(INodeNo(parent.0), OsStr::from_bytes(name))),
        // A negative offset leaves the pages alone.
        Memory::Attributes(ino) => inode(*ino, -1),
        // All from the first byte on.
        Memory::Pages(ino) | Memory::WrongPages(ino) => inode(*ino, 0),
    }
}

fn heard(memory: &Memory, told: io::Result<()>) -> Told {
    match told {
        Ok(()) => Told::Yes,
        Err(error) => {
            tracing::debug!(?memory, %error, "the kernel rejected a notification");
            // What it does not know it has no pages of.
            if error.raw_os_error() == Some(libc::ENOENT) { Told::Yes } else { Told::No }
        }
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
        let gate = Mutex::new(gate);
        let notifier = Notifier::start_with(move |memory| {
            told.send(memory.clone()).unwrap();
            let _ = gate.lock().recv();
            Told::Yes
        })
        .unwrap();
        notifier.invalidate_attributes(Ino(1));
        assert_eq!(heard.recv().unwrap(), Memory::Attributes(Ino(1)));
        // The thread is held now, as by the kernel: callers are not.
        for _ in 0..1000 {
            notifier.invalidate_entry(Ino(2), b"a");
            notifier.invalidate_attributes(Ino(1));
        }
        assert_eq!(notifier.names.queue.lock().order.len(), 2);
        drop(go);
        assert_eq!(heard.recv().unwrap(), Memory::Entry { parent: Ino(2), name: (*b"a").into() });
        assert_eq!(heard.recv().unwrap(), Memory::Attributes(Ino(1)));
        notifier.stop();
        notifier.invalidate_attributes(Ino(3));
        assert!(heard.recv().is_err(), "the threads have ended");
    }

    #[test]
    fn who_waits_for_pages_hears_of_his_own_and_names_do_not_wait_for_them() {
        let (told, heard) = channel();
        let (go, gate) = channel();
        let gate = Mutex::new(gate);
        let notifier = Notifier::start_with(move |memory| {
            told.send(memory.clone()).unwrap();
            match memory {
                Memory::Pages(_) | Memory::WrongPages(_) => gate.lock().recv().unwrap_or(Told::No),
                _ => Told::Yes,
            }
        })
        .unwrap();
        notifier.invalidate_pages(Ino(1));
        assert_eq!(heard.recv().unwrap(), Memory::Pages(Ino(1)));
        // The thread is held by a page that is being read.
        let mut done: Vec<_> = (2..5).map(|_| oneshot::channel()).collect();
        let waiting: Vec<_> = done
            .drain(..)
            .map(|(done, wait)| {
                notifier.drop_pages(Ino(1), done);
                wait
            })
            .collect();
        notifier.invalidate_attributes(Ino(9));
        assert_eq!(heard.recv().unwrap(), Memory::Attributes(Ino(9)));
        for told in [Told::Yes, Told::Yes, Told::No, Told::Yes] {
            go.send(told).unwrap();
        }
        let answers: Vec<bool> = waiting.into_iter().map(|wait| wait.blocking_recv().is_ok()).collect();
        assert_eq!(answers, [true, false, true], "each hears of its own");
        let (done, wait) = oneshot::channel();
        notifier.stop();
        notifier.drop_pages(Ino(1), done);
        assert!(wait.blocking_recv().is_err(), "nothing was dropped");
    }
}
