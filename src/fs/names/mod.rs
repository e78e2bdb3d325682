//! Names: the tree, the listings that fill it, what the kernel was told of it, and directory handles.
//!
//! One lock guards the tree and the listings going on (`State`); it is held for the time of a look-up or of one page of
//! a listing, and never across an await. Open directories have locks of their own, which are taken alone. Whatever
//! waits, waits for a listing's next page (a `watch` channel, subscribed to under the lock, so that no page is missed)
//! or for a request of its own.
//!
//! The tree itself is seen here alone: other wings ask for an object, a view or a prefix by its inode number.
//!
//! | file | what it owns |
//! |---|---|
//! | `appear` | makes the objects that a copy has written visible |
//! | `changes` | what follows a change of the tree: warnings about odd keys, notifications to the kernel |
//! | `directory` | opening, reading and closing directories |
//! | `failures` | recent failures, so that no program waits for the same one twice |
//! | `head_start` | how long a listing has before a single name is asked for beside it |
//! | `handle` | what an open directory is |
//! | `large_directories` | which directories are too large for memory, and the warning about them |
//! | `remainder` | what a listing that stopped at the limit has left of a directory |
//! | `listing` | listings: begun, joined, applied page after page, ended |
//! | `lookup` | looking a name up: from the tree, by a listing, or by asking for the name |
//! | `notifier` | the trait by which the kernel is told to drop names and attributes |
//! | `pace` | how far a listing may run ahead of a walk |
//! | `probe` | requests for one name or one object, and what the tree learns from them |
//! | `paging` | reading a directory that is too large for memory, page by page |
//! | `resumed` | directories from an earlier life of the daemon |
//! | `state` | the tree and the running listings, under one lock |
//! | `task` | the task of one listing, and what it signals |
//! | `overflow` | when a listing stops at the limit, and how handles continue with `paging` |
//! | `upkeep` | background work: renewing directories in use, evicting others; refreshes |
//! | `uses` | which directories have been used since they were last listed |
//! | `walk` | recognising a program that walks the tree |
//! | `xattr` | extended attributes |

mod appear;
#[cfg(test)]
mod broken_tests;
mod changes;
mod directory;
mod failures;
#[cfg(test)]
mod fresh_tests;
#[cfg(test)]
mod given_up_tests;
mod handle;
mod head_start;
mod large_directories;
mod listing;
#[cfg(test)]
mod listing_tests;
mod lookup;
mod notifier;
#[cfg(test)]
mod order_tests;
#[cfg(test)]
mod outage_tests;
mod overflow;
mod pace;
mod paging;
#[cfg(test)]
mod paging_tests;
mod probe;
mod remainder;
mod resumed;
mod state;
mod task;
mod upkeep;
mod uses;
mod walk;
#[cfg(test)]
mod walk_tests;
pub(super) mod xattr;

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use lru::LruCache;
use parking_lot::{Mutex, RwLock};
use tokio::runtime::Handle;
use tokio::sync::Notify;

pub use self::notifier::Notifier;

use self::changes::OddLog;
use self::failures::Failures;
use self::handle::{OpenDirectory, Resumed};
use self::head_start::HeadStart;
use self::paging::Streams;
use self::resumed::Unlisted;
use self::state::State;
use super::failure::{Failure, Tried, report, report_of_version};
use super::lives::Lives;
use super::options::LiveTtl;
use super::tuning::{Tuning, ms};
use super::{
    Attr, Context, Counting, DirEntry, DirHandle, Entry, Errno, FileKind, ListingMode, Options, Room, Symlinks, Ttl,
    XattrReply,
};
use crate::base::{Clock, Ino};
use crate::list::Findings;
use crate::metrics::Metrics;
use crate::read;
use crate::store::{ObjectMeta, Store};
use crate::tree::{self, Believed, Shape, View};

/// What "for ever" is to the kernel.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// Names that were said to be absent, the last ones: the kernel can be told about them again, and a program that looks
/// for one again is answered from the store once `negative-ttl` is over.
const REMEMBERED_ABSENT: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// Objects whose HEAD is remembered for extended attributes.
const REMEMBERED_HEADS: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// Says which files are open: what is open is not worth forgetting.
type OpenInodes = dyn Fn() -> HashSet<Ino> + Send + Sync;

/// The names of one mount.
pub(super) struct Names {
    lives: Arc<Lives>,
    store: Arc<dyn Store>,
    reader: Arc<read::Reader>,
    metrics: Arc<Metrics>,
    clock: Clock,
    runtime: Handle,
    options: Arc<Options>,
    tuning: Arc<Tuning>,

    ttl: LiveTtl,
    /// Which rules of listings the server was seen to break.
    findings: Arc<Findings>,
    state: Mutex<State>,
    directories: Mutex<HashMap<DirHandle, Arc<OpenDirectory>>>,
    /// Directories that are read straight from the store.
    streams: Streams,
    /// Directories open from an earlier life that were not read on yet.
    resumed: Mutex<HashMap<DirHandle, Resumed>>,
    /// Directories that the kernel knows from an earlier life, and that were not listed in this one.
    unlisted: tokio::sync::Mutex<Unlisted>,
    /// Answers to HEAD by inode number, so by version.
    heads: Mutex<LruCache<Ino, Arc<ObjectMeta>>>,
    /// Tags by inode number, encoded; tags may change without the version, and are then seen late.
    tags: Mutex<LruCache<Ino, Option<String>>>,
    /// Names that were said to be absent, and since when.
    absent: Mutex<LruCache<(Ino, Vec<u8>), Duration>>,
    notifier: RwLock<Option<Arc<dyn Notifier>>>,
    open_inodes: OnceLock<Box<OpenInodes>>,
    odd: OddLog,
    failures: Failures,
    head_start: HeadStart,
    /// Wakes what goes on in the background.
    wake: Arc<Notify>,
}

impl Names {
    /// Nothing is known yet, and nothing goes on before [`Names::start`].
    pub(super) fn new(context: &Context, lives: Arc<Lives>) -> Arc<Self> {
        let Context { store, reader, metrics, clock, runtime, options, tuning } = context.clone();
        let wake = Arc::new(Notify::new());
        Arc::new(Names {
            lives,
            store,
            reader,
            metrics,
            clock,
            runtime,
            ttl: LiveTtl::new(options.metadata_ttl),
            findings: Arc::default(),
            state: Mutex::new(State::new(&options, &tuning, wake.clone())),
            options,
            directories: Mutex::default(),
            streams: Streams::new(),
            resumed: Mutex::default(),
            unlisted: tokio::sync::Mutex::default(),
            heads: Mutex::new(LruCache::new(REMEMBERED_HEADS)),
            tags: Mutex::new(LruCache::new(REMEMBERED_HEADS)),
            absent: Mutex::new(LruCache::new(REMEMBERED_ABSENT)),
            notifier: RwLock::default(),
            open_inodes: OnceLock::new(),
            odd: OddLog::default(),
            failures: Failures::new(&tuning),
            head_start: HeadStart::default(),
            tuning,
            wake,
        })
    }

    /// Does what [`crate::fs::Fs::set_notifier`] says.
    pub(super) fn set_notifier(&self, notifier: Option<Arc<dyn Notifier>>) {
        *self.notifier.write() = notifier;
    }

    /// The notifier of the kernel, if it listens.
    pub(super) fn notifier(&self) -> Option<Arc<dyn Notifier>> {
        self.notifier.read().clone()
    }

    /// Sets the source of which files are open. Once, before the first request.
    pub(super) fn tell_of_open_files(&self, open: impl Fn() -> HashSet<Ino> + Send + Sync + 'static) {
        // It is set once.
        let _ = self.open_inodes.set(Box::new(open));
    }

    /// How long names are believed.
    pub(super) fn ttl(&self) -> Ttl {
        self.ttl.get()
    }

    /// Does what [`crate::fs::Fs::set_ttls`] says.
    pub(super) fn set_ttls(&self, metadata_ttl: Ttl, negative_ttl: Duration) {
        let mut state = self.state.lock();
        if self.ttl.get() == Ttl::Indefinite {
            return;
        }
        self.ttl.set(metadata_ttl);
        state.tree.set_believed(believed(metadata_ttl, negative_ttl, &self.tuning));
        // Upkeep has another pace now.
        self.wake.notify_one();
    }

    /// The kernel drops `count` references of its look-up count for `ino`.
    pub(super) fn forget(&self, ino: Ino, count: u64) {
        let mut state = self.state.lock();
        state.tree.forget(ino, count);
        self.count_entries(&mut state);
        if let Some(ledger) = self.lives.ledger()
            && !state.tree.is_referenced(ino)
        {
            ledger.forgotten(ino);
        }
    }

    /// Does what [`crate::fs::Fs::getattr`] says.
    pub(super) async fn getattr(self: Arc<Self>, ino: Ino) -> Tried<Attr> {
        let view = self.view(ino).ok_or(Failure::ESTALE)?;
        let view = match view.shape {
            Shape::Unresolved => self.resolve(ino).await?,
            _ => view,
        };
        Ok(Attr { ino, ..self.attr(&view) })
    }

    /// Does what [`crate::fs::Fs::readlink`] says.
    pub(super) async fn readlink(self: Arc<Self>, ino: Ino) -> Tried<Vec<u8>> {
        if let Some(text) = self.link(ino) {
            return Ok(text);
        }
        self.resolve(ino).await?;
        self.link(ino).ok_or(Failure::EINVAL)
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
}

fn believed(metadata_ttl: Ttl, negative_ttl: Duration, tuning: &Tuning) -> Believed {
    let (fresh_for, absent_for, missing_for) = match metadata_ttl {
        Ttl::For(ttl) => (Some(ttl), Some(ttl), Some(negative_ttl)),
        Ttl::EachOpen => (Some(ms(tuning.glance_ms)), Some(Duration::ZERO), Some(Duration::ZERO)),
        Ttl::Indefinite => (None, None, None),
    };
    Believed { fresh_for, absent_for, missing_for }
}

impl Drop for Names {
    fn drop(&mut self) {
        // What goes on in the background sleeps, and ends when it finds no names.
        self.wake.notify_one();
    }
}
