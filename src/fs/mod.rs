//! The conductor: what the kernel asks, answered from the tree, the listing and the reader.
//!
//! Every operation is an `async fn` that is ready on its first poll when no request to the store is needed, so that
//! `fuse` can answer it on the thread that received it; otherwise it waits without holding a thread.
//!
//! One lock guards the tree and the listings going on (`State`); it is held for the time of a look-up or of one page of
//! a listing, and never across an await. Open files and directories have locks of their own, which are taken alone; the
//! ledger's is taken last of all. Whatever waits, waits for a listing's next page (a `watch` channel, subscribed to
//! under the lock, so that no page is missed) or for a request of its own.
//!
//! Errors of the store become an errno here, and one line in the log.
//!
//! | file | what it owns |
//! |---|---|
//! | `changes` | what follows when the store has changed the tree: odd keys, what the kernel forgets |
//! | `control` | control requests, one file each kind |
//! | `directory` | directory handles |
//! | `distrust` | files of which wrong bytes were handed out |
//! | `errno` | from errors of the store and refusals to errno |
//! | `failures` | failures that a program has waited for, which are not waited for twice |
//! | `file` | file handles |
//! | `habits` | how programs read: in small pieces or large ones |
//! | `ledger` | what the next life of the daemon needs to know |
//! | `large` | directories that are too large to be kept, and how that is told |
//! | `listing` | listings going on |
//! | `lookup` | looking a name up: from the tree, by a listing, or by asking for the name |
//! | `notifier` | the seam by which the kernel is told what is no longer so |
//! | `numbered` | names that carry a number, as shards do |
//! | `options` | how a mount behaves |
//! | `pace` | how far a listing may run ahead of a walk |
//! | `probe` | requests for one name or one object, and what the tree learns from them |
//! | `rest` | reading a directory that is too large to be kept, page by page |
//! | `resume` | going on where an earlier life of the daemon stopped |
//! | `runs` | recognising who takes the files of a directory one after the other |
//! | `successors` | which files will be wanted next |
//! | `suspects` | requests under way at several deaths of the daemon |
//! | `types` | what operations answer, in terms of neither the kernel interface nor the store |
//! | `upkeep` | the background: listing again what is in use, forgetting what is not; refreshes |
//! | `walk` | recognising a program that walks the tree |
//! | `xattr` | extended attributes |

#[cfg(test)]
mod broken_tests;
mod changes;
mod control;
mod directory;
mod distrust;
mod errno;
mod failures;
mod file;
#[cfg(test)]
mod fresh_tests;
#[cfg(test)]
mod given_up_tests;
mod habits;
#[cfg(test)]
mod histories;
mod large;
mod ledger;
mod listing;
#[cfg(test)]
mod listing_tests;
mod lookup;
mod notifier;
mod numbered;
#[cfg(test)]
mod object_tests;
mod options;
#[cfg(test)]
mod order_tests;
#[cfg(test)]
mod outage_tests;
mod pace;
mod probe;
mod rest;
#[cfg(test)]
mod rest_tests;
mod resume;
mod runs;
mod successors;
#[cfg(test)]
mod successors_tests;
mod suspects;
#[cfg(test)]
mod tests;
mod types;
mod upkeep;
mod walk;
mod xattr;

use std::collections::HashMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use lru::LruCache;
use parking_lot::{Mutex, RwLock};
use tokio::runtime::Handle;
use tokio::sync::Notify;

pub use control::{Answered, Caller, Copying, Daemon, Surroundings};
pub use errno::Errno;
pub use habits::{Opener, Program, ReadCalls};
pub use ledger::{Ledger, LedgerError, Past};
pub use notifier::Notifier;
pub use options::{DIRECT_IO_BYTES, DirectIo, KeepPageCache, ListingMode, OddKeys, Options, Symlinks, Ttl};
pub use resume::StillOpen;
pub use suspects::{Suspects, Taken};
pub use types::{
    Attr, Backing, Counting, DirEntry, DirHandle, Entry, FileHandle, FileKind, Opened, PageCache, Room, Statfs,
    XattrReply,
};

use self::changes::OddLog;
use self::control::Desk;
use self::directory::OpenDirectory;
use self::distrust::{Distrusted, Ear};
use self::failures::Failures;
use self::file::OpenFile;
use self::habits::Habits;
use self::large::LargeDirectories;
use self::listing::Run;
use self::options::LiveTtl;
use self::rest::Streams;
use self::resume::Resumed;
use self::successors::Successors;
use self::upkeep::Uses;
use self::walk::Walks;
use crate::base::{Clock, Ino};
use crate::list::Findings;
use crate::metrics::{Metric, Metrics};
use crate::read;
use crate::store::{Error, ObjectMeta, Store};
use crate::tree::{self, Believed, Shape, Tree, View};

pub use crate::control::{Asker, Way};
pub use crate::tree::Depth;

/// The result of an operation.
pub type Result<T> = std::result::Result<T, Errno>;

/// What "for ever" is to the kernel.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// How long names that are there are believed under [`Ttl::EachOpen`]: a directory that was just read need not be asked
/// for name by name. That one is missing is not believed at all.
const GLANCE: Duration = Duration::from_secs(1);

/// Names that were said to be absent, the last ones: the kernel can be told about them again, and who looks for one
/// again is answered from the store once `negative-ttl` is over.
const REMEMBERED_ABSENT: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// Objects whose HEAD is remembered for extended attributes.
const REMEMBERED_HEADS: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// One mounted file system.
pub struct Fs {
    store: Arc<dyn Store>,
    reader: Arc<read::Reader>,
    metrics: Arc<Metrics>,
    clock: Clock,
    runtime: Handle,

    options: Options,
    /// When it began, on its clock.
    began: Duration,

    ttl: LiveTtl,
    /// What listings have found out about the server.
    findings: Arc<Findings>,
    state: Mutex<State>,
    files: RwLock<HashMap<FileHandle, Arc<OpenFile>>>,
    directories: Mutex<HashMap<DirHandle, Arc<OpenDirectory>>>,
    /// Directories that are read straight from the store.
    streams: Streams,
    /// Directories open from an earlier life that were not read on yet.
    resumed: Mutex<HashMap<DirHandle, Resumed>>,
    /// Handles from an earlier life, by the requests that opened them.
    asked: Mutex<HashMap<u64, u64>>,
    ledger: OnceLock<Arc<Ledger>>,
    suspects: Arc<Suspects>,
    /// Answers to HEAD by inode number, so by version.
    heads: Mutex<LruCache<Ino, Arc<ObjectMeta>>>,
    /// Tags by inode number, encoded; tags may change without the version, and are then seen late.
    tags: Mutex<LruCache<Ino, Option<String>>>,
    /// Names that were said to be absent, and since when.
    absent: Mutex<LruCache<(Ino, Vec<u8>), Duration>>,
    /// Files whose pages in the kernel are wrong.
    distrusted: Distrusted,
    notifier: RwLock<Option<Arc<dyn Notifier>>>,
    next_handle: AtomicU64,
    habits: Mutex<Habits>,
    odd: OddLog,
    failures: Failures,
    desk: Desk,
    /// Wakes what goes on in the background.
    wake: Arc<Notify>,
}

/// What the tree's lock guards.
struct State {
    tree: Tree,
    /// Listings of single directories going on, by directory.
    runs: HashMap<Ino, Arc<Run>>,
    /// Listings of subtrees going on.
    wide: Vec<Arc<Run>>,
    /// The findings by which what was settled is doubted already.
    doubted: u64,
    /// When the last listing of the whole mount began.
    everything_at: Option<Duration>,
    walks: Walks,
    uses: Uses,
    successors: Successors,
    /// Directories that are too large to be held.
    large: LargeDirectories,
    /// Entries as the gauge knows them.
    counted: u64,
}

impl Fs {
    /// A file system over a store. Must be called within a tokio runtime; its operations may be polled anywhere, but
    /// what they start runs on that runtime.
    pub fn new(
        store: Arc<dyn Store>,
        reader: Arc<read::Reader>,
        mut options: Options,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Arc<Self> {
        if !options.prefix.is_empty() && !options.prefix.ends_with('/') {
            options.prefix.push('/');
        }
        let (tree, wake) = (Tree::new(tree_options(&options)), Arc::new(Notify::new()));
        let fs = Arc::new(Fs {
            store,
            reader,
            metrics,
            began: clock.elapsed(),
            clock,
            runtime: Handle::current(),
            ttl: LiveTtl::new(options.metadata_ttl),
            findings: Arc::default(),
            options,
            state: Mutex::new(State {
                tree,
                runs: HashMap::new(),
                wide: Vec::new(),
                doubted: 0,
                everything_at: None,
                walks: Walks::new(),
                uses: Uses::new(wake.clone()),
                successors: Successors::new(),
                large: LargeDirectories::new(),
                counted: 0,
            }),
            files: RwLock::default(),
            directories: Mutex::default(),
            streams: Streams::new(),
            resumed: Mutex::default(),
            asked: Mutex::default(),
            ledger: OnceLock::new(),
            suspects: Arc::default(),
            heads: Mutex::new(LruCache::new(REMEMBERED_HEADS)),
            tags: Mutex::new(LruCache::new(REMEMBERED_HEADS)),
            absent: Mutex::new(LruCache::new(REMEMBERED_ABSENT)),
            distrusted: Distrusted::default(),
            notifier: RwLock::default(),
            next_handle: AtomicU64::new(1),
            habits: Mutex::new(Habits::new()),
            odd: OddLog::default(),
            failures: Failures::new(),
            desk: Desk::default(),
            wake,
        });
        fs.reader.tell_of_wrong_bytes(Arc::new(Ear(Arc::downgrade(&fs))));
        fs.start();
        fs
    }

    /// Sets who tells the kernel of changes; `None` ends it, as a daemon that is about to unmount must.
    pub fn set_notifier(&self, notifier: Option<Arc<dyn Notifier>>) {
        *self.notifier.write() = notifier;
    }

    /// Whether the view is frozen. It stays so: the kernel was told to believe what it has seen for ever.
    pub fn is_frozen(&self) -> bool {
        self.ttl.get() == Ttl::Indefinite
    }

    /// Changes [`Options::metadata_ttl`] and [`Options::negative_ttl`], also for what is known already. The kernel goes
    /// on believing what it was told for as long as it was told. A frozen view is left as it is.
    pub fn set_ttls(&self, metadata_ttl: Ttl, negative_ttl: Duration) {
        let mut state = self.state.lock();
        if self.is_frozen() {
            return;
        }
        self.ttl.set(metadata_ttl);
        state.tree.set_believed(believed(metadata_ttl, negative_ttl));
        // Upkeep has another pace now.
        self.wake.notify_one();
    }

    /// The kernel drops `count` references of its look-up count for `ino`.
    pub fn forget(&self, ino: Ino, count: u64) {
        let mut state = self.state.lock();
        state.tree.forget(ino, count);
        self.count_entries(&mut state);
        if let Some(ledger) = self.ledger()
            && !state.tree.is_referenced(ino)
        {
            ledger.forgotten(ino);
        }
    }

    /// Attributes, from memory: a name that may have changed is looked up anew, an open file stays what it was. Only
    /// a symlink object shown as a file, or as a link, may need a request.
    pub async fn getattr(self: Arc<Self>, ino: Ino) -> Result<Attr> {
        let view = self.state.lock().tree.view(ino, self.clock.elapsed()).ok_or(Errno::ESTALE)?;
        let view = match view.shape {
            Shape::Unresolved => self.resolve(ino).await?,
            _ => view,
        };
        Ok(Attr { ino, ..self.attr(&view) })
    }

    /// Room without end: what a bucket holds is not known, and a full file system would raise alarms.
    pub fn statfs(&self) -> Statfs {
        const BLOCK_BYTES: u32 = 4096;
        let blocks = (1 << 50) / u64::from(BLOCK_BYTES);
        let files = 1 << 32;
        Statfs {
            blocks,
            blocks_free: blocks,
            files,
            files_free: files,
            block_size: BLOCK_BYTES,
            name_max: tree::escape::NAME_BYTES as u32,
        }
    }

    fn attr(&self, view: &View) -> Attr {
        let options = &self.options;
        let (kind, mode, nlink) = match view.shape {
            Shape::Directory => (FileKind::Directory, options.dir_mode, 2),
            Shape::File => (FileKind::File, options.file_mode, 1),
            Shape::Unresolved if options.symlinks == Symlinks::Off => (FileKind::File, options.file_mode, 1),
            Shape::Link | Shape::Unresolved => (FileKind::Symlink, 0o777, 1),
        };
        let ttl = match (self.ttl.get(), view.shape) {
            (_, Shape::Unresolved) | (Ttl::EachOpen, _) => Duration::ZERO,
            _ => view.fresh_for.unwrap_or(FOR_EVER),
        };
        let (uid, gid) = (options.uid, options.gid);
        Attr { ino: view.ino, kind, size: view.size, mtime: view.mtime, mode, uid, gid, nlink, ttl }
    }

    /// The gauge of entries follows the tree.
    fn count_entries(&self, state: &mut State) {
        let entries = state.tree.len() as u64;
        if entries > state.counted {
            self.metrics.add(Metric::TreeEntries, entries - state.counted);
        } else {
            self.metrics.subtract(Metric::TreeEntries, state.counted - entries);
        }
        state.counted = entries;
    }

    fn handle(&self) -> u64 {
        self.next_handle.fetch_add(1, Ordering::Relaxed)
    }

    /// The one line that the log has for an error a program sees.
    fn report(&self, doing: &'static str, error: &Error) -> Errno {
        let (errno, key) = (Errno::from(error), error.key());
        match errno {
            // Not for operators: programs look for what is not there all the time.
            Errno::ENOENT => tracing::debug!(key, %error, ?errno, "{doing}"),
            Errno::ESTALE => tracing::warn!(key, %error, ?errno, "{doing}: the object has changed"),
            _ => tracing::error!(key, %error, ?errno, "{doing}"),
        }
        errno
    }

    /// The same for an object that was found before: that it is gone is ESTALE then, as on NFS. ENOENT is for look-ups
    /// and opens.
    fn report_of_version(&self, doing: &'static str, error: &Error) -> Errno {
        match Errno::from(error) {
            Errno::ENOENT => {
                tracing::warn!(key = error.key(), %error, errno = ?Errno::ESTALE, "{doing}: the object is gone");
                Errno::ESTALE
            }
            _ => self.report(doing, error),
        }
    }
}

/// The operation of one request: EIO where it comes upon a mistake of the tree's own, whatever it would have made of
/// it.
pub async fn unless_broken<T>(operation: impl Future<Output = Result<T>>) -> Result<T> {
    let mut operation = pin!(operation);
    poll_fn(|context| {
        // What was left on this thread by what went on before is not this request's.
        tree::broken::take();
        let polled = operation.as_mut().poll(context);
        if tree::broken::take() { Poll::Ready(Err(Errno::EIO)) } else { polled }
    })
    .await
}

fn believed(metadata_ttl: Ttl, negative_ttl: Duration) -> Believed {
    let (fresh_for, absent_for, missing_for) = match metadata_ttl {
        Ttl::For(ttl) => (Some(ttl), Some(ttl), Some(negative_ttl)),
        Ttl::EachOpen => (Some(GLANCE), Some(Duration::ZERO), Some(Duration::ZERO)),
        Ttl::Indefinite => (None, None, None),
    };
    Believed { fresh_for, absent_for, missing_for }
}

fn tree_options(options: &Options) -> tree::Options {
    let Believed { fresh_for, absent_for, missing_for } = believed(options.metadata_ttl, options.negative_ttl);
    tree::Options {
        bucket: options.bucket.clone(),
        prefix: options.prefix.clone(),
        odd_keys: options.odd_keys,
        fresh_for,
        absent_for,
        missing_for,
        default_time: options.mount_time,
    }
}

impl Drop for Fs {
    fn drop(&mut self) {
        // What goes on in the background sleeps, and ends when it finds no file system.
        self.wake.notify_one();
    }
}

impl fmt::Debug for Fs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fs").field("options", &self.options).finish_non_exhaustive()
    }
}
