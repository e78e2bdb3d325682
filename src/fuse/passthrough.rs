//! Which files the kernel reads by itself.
//!
//! The kernel's rules, by inode (each breach fails an open with EIO): while it reads a file by itself, every open must
//! let it do so, from the same backing file; and it must not begin to while a descriptor is open in another way:
//! through the page cache, or past it and mapped, of which we hear nothing. So all open handles of an inode are of one
//! kind, and the first of them decides; what cannot be of that kind is opened by another inode, the twin (`twin`). What
//! is closed here was closed in the kernel before, so that counts are never too low.
//!
//! A mapping outlives the handles: the kernel closes the file when the program does, and goes on to read the backing
//! file for the mapping. So a backing file whose last handle was closed is kept until it is not mapped either.
//!
//! One of the bridge is kept for a moment in any case. For a program that opens it for each of its reads, what the
//! kernel reads ahead while it is closed would fail else, and be asked for again in small pieces.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use fuser::ReplyOpen;
use parking_lot::Mutex;

use super::bridge::{Bridge, InUse};
use super::lease;
use super::twin::{Attempt, Node, Twins};
use crate::base::{Clock, Ino};
use crate::fs::{Backing, Errno, Fs, PageCache};

/// The kind of an inode's open handles, and how many there are.
#[derive(Debug)]
struct Open<Id, File> {
    handles: u64,
    /// How the kernel reads it by itself, if it does. The number of a backing file must live as long as its users, and
    /// its bytes must stay: they are held here, or from an earlier life by the kernel alone.
    passed: Option<(Arc<Id>, Option<File>)>,
    /// Until when, by the clock, it stays as it is after its last close; `None` where it does not, or that is over.
    lingers_until: Option<Duration>,
}

/// The kinds of all open handles.
#[derive(Debug)]
pub(super) struct Passing<Id = Registered, File = Backing> {
    /// Whether the kernel may be offered files. It says that it can before it is known whether we are allowed to.
    is_offered: AtomicBool,
    clock: Clock,
    /// Which inodes cannot be opened as programs wish. Locked after the state, where both are.
    pub(super) twins: Arc<Twins>,
    state: Mutex<Inodes<Id, File>>,
}

#[derive(Debug)]
struct Inodes<Id, File> {
    /// Those with open handles, and those without that are mapped or linger.
    inodes: HashMap<Node, Open<Id, File>>,
    /// Whether a thread looks after those without open handles.
    is_watched: bool,
}

/// How long after the last close a mapping is looked for again, first and at most. The kernel lets go of a file that
/// is not mapped just after it has told of its close.
const LOOKS: [Duration; 2] = [Duration::from_millis(5), Duration::from_secs(1)];

/// How long a file of the bridge stays as it is after its last close. Chosen, not measured: many times what a program
/// takes to open it again for its next read, and little beside a round trip to the store, in which more than is read
/// would be fetched of a file that is closed for good.
const LINGERS: Duration = LOOKS[0];

/// What the kernel knows a backing file by.
pub(super) trait Known<File> {
    /// Whether a handle with these flags of open(2) may be added to those that read the file so.
    fn admits(&self, flags: i32) -> Result<(), Refusal>;

    /// Whether programs see the file although no handle is open.
    fn is_mapped(&self, file: Option<&File>) -> bool;

    /// Whether the file stays as it is for a moment after its last close.
    fn lingers(&self) -> bool;
}

/// What there is of files that are not open and yet kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Closed {
    None,
    /// Some of them are mapped.
    Mapped,
    /// Some of them linger.
    Linger,
}

/// Why a handle is not added to others.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Refusal {
    /// Only the twin can be opened so.
    Twin,
    /// No inode can be.
    Errno(Errno),
}

/// Why a backing file could not be made known to the kernel.
#[derive(Debug)]
pub(super) enum Unknown {
    /// No file can be.
    Any(io::Error),
    /// This one cannot be.
    This(io::Error),
}

impl<Id: Known<File>, File> Open<Id, File> {
    /// Whether programs see the file that the kernel reads by itself, although no handle is open.
    fn is_mapped(&self) -> bool {
        self.passed.as_ref().is_some_and(|(id, file)| id.is_mapped(file.as_ref()))
    }

    fn lingers(&self) -> bool {
        self.passed.as_ref().is_some_and(|(id, _)| id.lingers())
    }

    fn admits(&self, flags: i32) -> Result<(), Refusal> {
        self.passed.as_ref().map_or(Ok(()), |(id, _)| id.admits(flags))
    }
}

impl<Id: Known<File> + Send + Sync + 'static, File: Send + 'static> Passing<Id, File> {
    pub(super) fn new() -> Self {
        Passing::by_clock(Clock::system())
    }

    fn by_clock(clock: Clock) -> Self {
        let state = Inodes { inodes: HashMap::new(), is_watched: false };
        let twins = Arc::new(Twins::new(clock.clone()));
        Passing { is_offered: AtomicBool::new(false), clock, twins, state: Mutex::new(state) }
    }

    /// Says that the kernel can read files by itself.
    pub(super) fn offer(&self) {
        self.is_offered.store(true, Ordering::Relaxed);
    }

    /// A handle is about to be opened, and is to be answered so: `None` means that the kernel shall ask for bytes.
    /// `backing` is the file it could read; `register` makes the file known to it. Where it fails the handle does not
    /// count as open.
    pub(super) fn opening(
        &self,
        node: Node,
        attempt: Attempt,
        backing: Option<File>,
        register: impl FnOnce(&File) -> Result<Id, Unknown>,
    ) -> Result<Option<Arc<Id>>, Errno> {
        // Freed without the lock.
        let _gone;
        let inodes = &mut self.state.lock().inodes;
        if let Some(open) = inodes.get_mut(&node) {
            match open.admits(attempt.flags) {
                Ok(()) => {
                    self.twins.opened(node.ino(), attempt);
                    open.handles += 1;
                    return Ok(open.passed.as_ref().map(|(id, _)| id.clone()));
                }
                // It only lingers: this is the first to open it.
                Err(_) if open.handles == 0 && !open.is_mapped() => _gone = inodes.remove(&node),
                Err(Refusal::Twin) => return Err(self.twins.wish(node.ino(), attempt)),
                Err(Refusal::Errno(errno)) => return Err(errno),
            }
        }
        self.twins.opened(node.ino(), attempt);
        let passed = backing.filter(|_| self.is_offered.load(Ordering::Relaxed)).and_then(|backing| {
            let id = register(&backing).inspect_err(|unknown| self.refused(node.ino(), unknown)).ok()?;
            Some((Arc::new(id), Some(backing)))
        });
        let id = passed.as_ref().map(|(id, _)| id.clone());
        inodes.insert(node, Open { handles: 1, passed, lingers_until: None });
        Ok(id)
    }

    /// A handle is open from an earlier life, in which the kernel was told to read it by itself, or was not.
    /// All handles of an inode are of one kind, so that only the first is looked at.
    pub(super) fn is_open(&self, ino: Ino, id: impl FnOnce() -> Option<Id>) {
        let inodes = &mut self.state.lock().inodes;
        let passed = || id().map(|id| (Arc::new(id), None));
        let first = || Open { handles: 0, passed: passed(), lingers_until: None };
        inodes.entry(Node::original(ino)).or_insert_with(first).handles += 1;
    }

    /// A handle was closed.
    pub(super) fn closed(self: &Arc<Self>, node: Node) {
        let mut state = self.state.lock();
        let Some(open) = state.inodes.get_mut(&node) else { return };
        open.handles -= 1;
        if open.handles > 0 {
            return;
        }
        if open.lingers() {
            open.lingers_until = Some(self.clock.elapsed() + LINGERS);
            if self.watch(&mut state).is_ok() {
                return;
            }
        }
        if state.inodes.get(&node).is_some_and(Open::is_mapped) {
            if let Err(error) = self.watch(&mut state) {
                tracing::warn!(%error, "no thread can look for the end of mappings: what is mapped stays in memory \
                                        until another such file is closed");
            }
            return;
        }
        let gone = state.inodes.remove(&node);
        // Freed without the lock.
        drop(state);
        drop(gone);
    }

    /// Has a thread look after files that are mapped, or linger.
    fn watch(self: &Arc<Self>, state: &mut Inodes<Id, File>) -> io::Result<()> {
        if state.is_watched {
            return Ok(());
        }
        let passing = Arc::downgrade(self);
        let watch = move || {
            let [first, most] = LOOKS;
            let (mut pause, mut slept, mut left) = (first, Duration::ZERO, Closed::Linger);
            while left != Closed::None {
                // Those that are mapped are looked at ever more seldom, also while others linger.
                let step = if left == Closed::Linger { first } else { pause.saturating_sub(slept) };
                thread::sleep(step);
                slept += step;
                let is_due = slept >= pause;
                if is_due {
                    (pause, slept) = ((2 * pause).min(most), Duration::ZERO);
                }
                left = passing.upgrade().map_or(Closed::None, |passing| passing.free_closed(is_due));
            }
        };
        thread::Builder::new().name("fuse-closed".to_owned()).spawn(watch)?;
        state.is_watched = true;
        Ok(())
    }

    /// Frees what lingered and is not mapped, and what is mapped no more, where that is to be looked at. Says what is
    /// left; the thread ends if nothing is.
    fn free_closed(&self, looks_at_mapped: bool) -> Closed {
        let (mut state, now) = (self.state.lock(), self.clock.elapsed());
        let is_gone = |open: &mut Open<_, _>| {
            let lingered = open.lingers_until.take_if(|until| *until <= now).is_some();
            let is_due = open.lingers_until.is_none() && (lingered || looks_at_mapped);
            open.handles == 0 && is_due && !open.is_mapped()
        };
        let gone: Vec<_> = state.inodes.extract_if(|_, open| is_gone(open)).collect();
        let left = match () {
            // Also one that is open between: it will soon linger again.
            () if state.inodes.values().any(|open| open.lingers_until.is_some()) => Closed::Linger,
            () if state.inodes.values().any(|open| open.handles == 0) => Closed::Mapped,
            () => Closed::None,
        };
        state.is_watched = left != Closed::None;
        drop(state);
        drop(gone);
        left
    }

    fn refused(&self, ino: Ino, unknown: &Unknown) {
        match unknown {
            Unknown::Any(error) if self.is_offered.swap(false, Ordering::Relaxed) => {
                tracing::info!(%error, "passthrough is not available: the page cache serves repeated reads");
            }
            Unknown::Any(_) => {}
            Unknown::This(error) => tracing::debug!(ino = ino.0, %error, "a file is not read through the bridge"),
        }
    }
}

/// Makes files known to the kernel, of one inode.
pub(super) struct Registry {
    pub(super) fs: Arc<Fs>,
    pub(super) node: Node,
    pub(super) device: Arc<OwnedFd>,
    pub(super) bridge: Option<Arc<Bridge>>,
}

impl Registry {
    /// Makes a file known, in which the answer to an open may be given then.
    pub(super) fn register(
        &self,
        backing: &Backing,
        page_cache: PageCache,
        reply: &ReplyOpen,
    ) -> Result<Registered, Unknown> {
        match backing {
            Backing::Whole(file) => {
                let id = reply.open_backing(file).map_err(Unknown::Any)?;
                Ok(Registered::new(id.into_raw(), &self.device, None))
            }
            Backing::Pages(pages) => {
                let bridge = self.bridge.as_ref().ok_or_else(|| Unknown::This(io::ErrorKind::Unsupported.into()))?;
                let in_use = bridge.open(self.node.ino(), pages).map_err(Unknown::This)?;
                let id =
                    reply.open_backing(&in_use).inspect_err(|error| self.gives_up(error)).map_err(Unknown::This)?;
                if page_cache == PageCache::Keep {
                    pages.are_kept();
                }
                Ok(Registered::new(id.into_raw(), &self.device, Some(in_use)))
            }
        }
    }

    /// The kernel takes no file of EROFS for passthrough: it will take no other.
    fn gives_up(&self, error: &io::Error) {
        tracing::warn!(%error, "the kernel does not read files through the bridge: it is not used any more");
        self.fs.withhold_pages(format!("the kernel does not pass opens on to EROFS ({error})"));
    }
}

nix::ioctl_write_ptr!(backing_close, 229, 2, u32);

/// A file that the kernel knows under a number, until this is dropped.
#[derive(Debug)]
pub(super) struct Registered {
    pub(super) number: u32,
    device: Arc<OwnedFd>,
    /// Where it is read through the bridge.
    bridged: Option<InUse>,
}

impl Registered {
    /// Takes a number over, which the kernel has given out on this device.
    pub(super) fn new(number: u32, device: &Arc<OwnedFd>, bridged: Option<InUse>) -> Self {
        Registered { number, device: device.clone(), bridged }
    }

    /// The file of EROFS, where the kernel asks for the bytes through the bridge.
    pub(super) fn bridged(&self) -> Option<Arc<OwnedFd>> {
        self.bridged.as_ref().map(InUse::file)
    }
}

impl Known<Backing> for Registered {
    fn admits(&self, flags: i32) -> Result<(), Refusal> {
        match &self.bridged {
            // EROFS on a file reads through the page cache only.
            Some(_) if flags & libc::O_DIRECT != 0 => Err(Refusal::Twin),
            Some(in_use) if in_use.is_wrong() => Err(Refusal::Errno(Errno::EIO)),
            _ => Ok(()),
        }
    }

    fn is_mapped(&self, file: Option<&Backing>) -> bool {
        match (&self.bridged, file) {
            (Some(in_use), _) => lease::is_shared(in_use),
            (None, Some(Backing::Whole(whole))) => whole.is_needed_by_mappings() && lease::is_shared(whole),
            // From an earlier life, the memory of which is the kernel's now.
            (None, _) => false,
        }
    }

    fn lingers(&self) -> bool {
        self.bridged.is_some()
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // The number goes first, the place in the image after it.
        // SAFETY: the kernel reads a number from the pointer, which is valid.
        if let Err(errno) = unsafe { backing_close(self.device.as_raw_fd(), &raw const self.number) } {
            // After the end of the mount the number is gone as well.
            tracing::debug!(%errno, number = self.number, "the kernel did not release a backing file");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;

    const INO: Ino = Ino(1);
    const NODE: Node = Node::original(INO);

    type Table = Passing<u32, Arc<()>>;

    fn attempt(flags: i32) -> Attempt {
        Attempt { flags, thread: 1 }
    }

    impl Known<Arc<()>> for u32 {
        /// Odd ones admit no flags.
        fn admits(&self, flags: i32) -> Result<(), Refusal> {
            if self % 2 == 1 && flags != 0 { Err(Refusal::Twin) } else { Ok(()) }
        }

        /// It is for as long as more than the test and the table hold it.
        fn is_mapped(&self, file: Option<&Arc<()>>) -> bool {
            file.is_some_and(|file| Arc::strong_count(file) > 2)
        }

        /// Those from 100 on do.
        fn lingers(&self) -> bool {
            *self >= 100
        }
    }

    fn passing() -> Arc<Table> {
        let passing = Passing::new();
        passing.offer();
        Arc::new(passing)
    }

    fn open(passing: &Arc<Table>, file: Option<&Arc<()>>, id: u32) -> Option<u32> {
        passing.opening(NODE, attempt(0), file.cloned(), |_| Ok(id)).unwrap().map(|id| *id)
    }

    #[test]
    fn all_handles_of_a_file_share_one_backing_until_the_last_is_closed() {
        let (passing, file) = (passing(), Arc::new(()));
        assert_eq!(open(&passing, Some(&file), 5), Some(5));
        // Also where there is none to offer any more, or another.
        assert_eq!(open(&passing, None, 6), Some(5));
        assert_eq!(open(&passing, Some(&Arc::new(())), 7), Some(5));
        passing.closed(NODE);
        passing.closed(NODE);
        assert_eq!(Arc::strong_count(&file), 2);
        passing.closed(NODE);
        assert_eq!(Arc::strong_count(&file), 1, "its bytes may go");
        assert_eq!(open(&passing, Some(&file), 8), Some(8));
    }

    #[test]
    fn what_was_open_before_keeps_its_kind() {
        let (passing, file) = (passing(), Arc::new(()));
        passing.is_open(INO, || Some(9));
        passing.is_open(INO, || unreachable!("it is known"));
        assert_eq!(open(&passing, Some(&file), 5), Some(9));
        (0..3).for_each(|_| passing.closed(NODE));
        passing.is_open(INO, || None);
        assert_eq!(open(&passing, Some(&file), 5), None);
        (0..2).for_each(|_| passing.closed(NODE));
        assert_eq!(open(&passing, Some(&file), 5), Some(5));
    }

    #[test]
    fn a_file_that_is_open_in_another_way_is_not_passed_on() {
        let (passing, file) = (passing(), Arc::new(()));
        assert_eq!(open(&passing, None, 1), None);
        assert_eq!(open(&passing, Some(&file), 2), None);
        passing.closed(NODE);
        assert_eq!(open(&passing, Some(&file), 3), None);
        passing.closed(NODE);
        passing.closed(NODE);
        assert_eq!(open(&passing, Some(&file), 4), Some(4));
        assert_eq!(passing.state.lock().inodes.len(), 1);
    }

    #[test]
    fn who_may_not_is_not_asked_twice() {
        let file = Arc::new(());
        let never = Arc::new(Table::new());
        assert_eq!(open(&never, Some(&file), 1), None);
        let passing = passing();
        let refused = |_: &Arc<()>| Err(Unknown::Any(io::Error::from_raw_os_error(libc::EPERM)));
        assert_eq!(passing.opening(NODE, attempt(0), Some(file.clone()), refused), Ok(None));
        passing.closed(NODE);
        assert_eq!(open(&passing, Some(&file), 2), None);
        passing.closed(NODE);
        assert!(passing.state.lock().inodes.is_empty() && Arc::strong_count(&file) == 1);
    }

    #[test]
    fn a_file_that_cannot_be_read_so_says_nothing_of_others() {
        let (passing, file) = (passing(), Arc::new(()));
        let refused = |_: &Arc<()>| Err(Unknown::This(io::Error::from_raw_os_error(libc::EFBIG)));
        assert_eq!(passing.opening(NODE, attempt(0), Some(file.clone()), refused), Ok(None));
        passing.closed(NODE);
        assert_eq!(open(&passing, Some(&file), 2), Some(2));
    }

    #[test]
    fn a_handle_that_is_not_admitted_is_not_counted() {
        let (passing, file) = (passing(), Arc::new(()));
        assert_eq!(open(&passing, Some(&file), 5), Some(5));
        let with_flags = || passing.opening(NODE, attempt(libc::O_DIRECT), None, |_| unreachable!("it is known"));
        assert_eq!(with_flags(), Err(Errno::ESTALE));
        assert_eq!(with_flags(), Err(Errno::EINVAL));
        passing.closed(NODE);
        assert!(passing.state.lock().inodes.is_empty());
        // The first is asked before: it is offered no file that it could not read.
        assert_eq!(open(&passing, Some(&file), 6), Some(6));
        assert_eq!(with_flags(), Ok(Some(Arc::new(6))));
    }

    #[test]
    fn a_twin_is_opened_beside_for_as_long_as_the_inode_is_of_another_kind() {
        let (passing, file, twin) = (passing(), Arc::new(()), Node::twin(INO));
        assert_eq!(open(&passing, Some(&file), 5), Some(5));
        let direct = |node| passing.opening(node, attempt(libc::O_DIRECT), None, |_| unreachable!("there is none"));
        let look_up = || passing.twins.look_up(Node::original(Ino(8)), INO, 1);
        assert_eq!((direct(NODE), look_up()), (Err(Errno::ESTALE), twin));
        assert_eq!((direct(twin), look_up()), (Ok(None), NODE));
        passing.closed(twin);
        assert_eq!(open(&passing, None, 6), Some(5), "the inode is of its kind still");
        assert_eq!(direct(NODE), Err(Errno::ESTALE));
        let mapping = file.clone();
        (0..2).for_each(|_| passing.closed(NODE));
        assert_eq!(look_up(), twin, "it is mapped");
        drop(mapping);
        assert_eq!(passing.free_closed(true), Closed::None);
        assert_eq!(direct(NODE), Ok(None));
        assert_eq!(look_up(), NODE);
    }

    #[test]
    fn a_file_that_is_mapped_is_kept_after_its_last_close() {
        let (passing, file) = (passing(), Arc::new(()));
        assert_eq!(open(&passing, Some(&file), 4), Some(4));
        let mapping = file.clone();
        passing.closed(NODE);
        assert_eq!(passing.free_closed(true), Closed::Mapped);
        assert_eq!(Arc::strong_count(&file), 3);
        // Opened again, it is the same, and closed again, it is still mapped.
        assert_eq!(open(&passing, None, 6), Some(4));
        passing.closed(NODE);
        assert_eq!(passing.free_closed(true), Closed::Mapped);
        drop(mapping);
        assert_eq!(passing.free_closed(true), Closed::None);
        assert_eq!(Arc::strong_count(&file), 1, "its bytes may go");
    }

    fn lingering() -> (Arc<Table>, Arc<()>, Clock) {
        let clock = Clock::manual(Timestamp { seconds: 0, nanos: 0 });
        let passing = Arc::new(Passing::by_clock(clock.clone()));
        passing.offer();
        // Looked after by hand.
        passing.state.lock().is_watched = true;
        let file = Arc::new(());
        assert_eq!(open(&passing, Some(&file), 101), Some(101));
        passing.closed(NODE);
        (passing, file, clock)
    }

    #[test]
    fn a_file_of_the_bridge_is_kept_for_a_moment_after_each_close() {
        let (passing, file, clock) = lingering();
        for _ in 0..3 {
            clock.advance(LINGERS - Duration::from_millis(1));
            assert_eq!(passing.free_closed(true), Closed::Linger);
            assert_eq!(open(&passing, Some(&Arc::new(())), 7), Some(101));
            assert_eq!(passing.free_closed(true), Closed::Linger, "it will soon linger again");
            passing.closed(NODE);
        }
        assert_eq!(Arc::strong_count(&file), 2);
        clock.advance(LINGERS);
        assert_eq!(passing.free_closed(false), Closed::None);
        assert_eq!(Arc::strong_count(&file), 1, "its bytes may go");
        assert_eq!(open(&passing, Some(&file), 108), Some(108));
        assert_eq!(passing.free_closed(true), Closed::None, "nothing is left to look after");
        passing.closed(NODE);
        assert_eq!(open(&passing, None, 9), Some(108));
        clock.advance(LINGERS);
        assert_eq!(passing.free_closed(true), Closed::None, "it is open for longer than it would have lingered");
        assert_eq!(Arc::strong_count(&file), 2);
    }

    #[test]
    fn a_file_that_lingers_keeps_no_program_from_opening_it_in_another_way() {
        let (passing, file, clock) = lingering();
        let direct = || passing.opening(NODE, attempt(libc::O_DIRECT), None, |_| unreachable!("there is none"));
        let mapping = file.clone();
        assert_eq!(direct(), Err(Errno::ESTALE), "it is mapped");
        clock.advance(LINGERS);
        assert_eq!(passing.free_closed(false), Closed::Mapped, "it is mapped still");
        drop(mapping);
        assert_eq!(passing.free_closed(false), Closed::Mapped, "that was not looked at");
        assert_eq!(direct(), Ok(None));
        assert_eq!(Arc::strong_count(&file), 1, "its bytes may go");
        assert_eq!(open(&passing, Some(&file), 8), None, "it is of another kind now");
    }

    #[test]
    fn a_thread_finds_the_end_of_a_mapping() {
        let (passing, file) = (passing(), Arc::new(()));
        open(&passing, Some(&file), 4);
        let mapping = file.clone();
        passing.closed(NODE);
        drop(mapping);
        let began = std::time::Instant::now();
        while Arc::strong_count(&file) > 1 {
            assert!(began.elapsed() < Duration::from_secs(60), "it is kept for ever");
            thread::yield_now();
        }
        assert!(!passing.state.lock().is_watched);
    }
}
