//! The conductor: what the kernel asks, answered from the tree, the listing and the reader.
//!
//! Every operation is an `async fn` that is ready on its first poll when no request to the store is needed, so that
//! `fuse` can answer it on the thread that received it; otherwise it waits without holding a thread.
//!
//! [`Fs`] is the face of four wings. Each has private fields and locks of its own, and uses those named before it only:
//! `lives`, `names`, `files`, `control`. So their locks are taken in the opposite order: those of a later wing before
//! those of an earlier one, and the ledger's last of all.
//!
//! Errors of the store become an errno here, and one line in the log.
//!
//! | file | what it owns |
//! |---|---|
//! | `control` | control requests, one file each kind |
//! | `errno` | from errors of the store and refusals to errno |
//! | `failure` | why an operation was not done: an errno and a sentence, and its line in the log |
//! | `files` | file handles, how programs read, which files are expected next |
//! | `lives` | what outlives the process: the ledger, handles, requests sent again |
//! | `names` | the tree, listings, look-ups, directory handles, notifications to the kernel |
//! | `options` | how a mount behaves |
//! | `resume` | continuing the mount of an earlier daemon |
//! | `tuning` | the tuned numbers of names and files, each with its reason |
//! | `types` | what operations answer, in terms of neither the kernel interface nor the store |

mod control;
mod errno;
mod failure;
mod files;
#[cfg(test)]
mod histories;
mod lives;
mod names;
#[cfg(test)]
mod object_tests;
mod options;
mod resume;
#[cfg(test)]
mod tests;
mod tuning;
mod types;

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use futures::TryFutureExt;
use tokio::runtime::Handle;

pub use control::{Answered, Caller, Copying, Daemon, Surroundings};
pub use errno::Errno;
pub use files::{Opener, Pages, Program, ReadCalls};
pub use lives::{Extent, Ledger, LedgerError, Past, Suspects, Taken};
pub use names::Notifier;
pub use options::{DIRECT_IO_BYTES, DirectIo, KeepPageCache, ListingMode, OddKeys, Options, Symlinks, Ttl};
pub use resume::StillOpen;
pub use tuning::Tuning;
pub use types::{
    Attr, Backing, Counting, DirEntry, DirHandle, Entry, FileHandle, FileKind, Opened, PageCache, Room, Statfs,
    XattrReply,
};

use self::control::Control;
use self::files::Files;
use self::lives::Lives;
use self::names::Names;
use crate::base::{Clock, Ino};
use crate::metrics::Metrics;
use crate::read::{self, WrongBytes};
use crate::store::Store;
use crate::tree;

pub use crate::control::{Asker, Way};
pub use crate::read::Batch;
pub use crate::tree::Depth;

/// The result of an operation.
pub type Result<T> = std::result::Result<T, Errno>;

/// One mounted file system.
pub struct Fs {
    options: Arc<Options>,
    lives: Arc<Lives>,
    names: Arc<Names>,
    files: Arc<Files>,
    control: Arc<Control>,
}

/// What the wings need of the rest of the daemon.
#[derive(Clone)]
struct Context {
    store: Arc<dyn Store>,
    reader: Arc<read::Reader>,
    metrics: Arc<Metrics>,
    clock: Clock,
    runtime: Handle,
    options: Arc<Options>,
    tuning: Arc<Tuning>,
}

impl Fs {
    /// A file system over a store. Must be called within a tokio runtime; its operations may be polled anywhere, but
    /// what they start runs on that runtime.
    pub fn new(
        store: Arc<dyn Store>,
        reader: Arc<read::Reader>,
        options: Options,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Arc<Self> {
        Fs::tuned(store, reader, options, Tuning::default(), metrics, clock)
    }

    /// The same, with other numbers than the usual ones.
    pub fn tuned(
        store: Arc<dyn Store>,
        reader: Arc<read::Reader>,
        mut options: Options,
        tuning: Tuning,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Arc<Self> {
        if !options.prefix.is_empty() && !options.prefix.ends_with('/') {
            options.prefix.push('/');
        }
        let (runtime, options, tuning) = (Handle::current(), Arc::new(options), Arc::new(tuning));
        let lives = Arc::new(Lives::new(metrics.clone()));
        let context = Context { store, reader, metrics, clock, runtime, options, tuning };
        let names = Names::new(&context, lives.clone());
        let files = Files::new(&context, lives.clone(), names.clone());
        let control = Control::new(&context, names.clone(), files.clone());
        let open_files = Arc::downgrade(&files);
        names.tell_of_open_files(move || open_files.upgrade().map(|files| files.open_inodes()).unwrap_or_default());
        let ear = Ear { files: Arc::downgrade(&files), control: Arc::downgrade(&control) };
        context.reader.tell_of_wrong_bytes(Arc::new(ear));
        names.start();
        Arc::new(Fs { options: context.options, lives, names, files, control })
    }

    /// Sets the notifier of the kernel; `None` ends it, as a daemon that is about to unmount must.
    pub fn set_notifier(&self, notifier: Option<Arc<dyn Notifier>>) {
        self.names.set_notifier(notifier);
    }

    /// Whether the view is frozen. It stays so: the kernel was told to believe what it has seen for ever.
    pub fn is_frozen(&self) -> bool {
        self.names.ttl() == Ttl::Indefinite
    }

    /// Changes [`Options::metadata_ttl`] and [`Options::negative_ttl`], also for what is known already. The kernel goes
    /// on believing what it was told for as long as it was told. A frozen view is left as it is.
    pub fn set_ttls(&self, metadata_ttl: Ttl, negative_ttl: Duration) {
        self.names.set_ttls(metadata_ttl, negative_ttl);
    }

    /// Memory that names and attributes take now, in bytes.
    pub fn names_bytes(&self) -> u64 {
        self.names.bytes()
    }

    /// The key of an object, or the prefix of a directory, to name it in the log.
    pub fn key(&self, ino: Ino) -> Option<String> {
        self.names.key(ino)
    }
}

/// What the kernel asks of names.
impl Fs {
    /// `Found` takes one reference of the kernel's look-up count; [`Fs::forget`] gives it back.
    pub fn lookup(&self, parent: Ino, name: Vec<u8>) -> impl Future<Output = Result<Entry>> + use<> {
        self.names.clone().lookup(parent, name).err_into()
    }

    /// The kernel drops `count` references of its look-up count for `ino`.
    pub fn forget(&self, ino: Ino, count: u64) {
        self.names.forget(ino, count);
    }

    /// Attributes, from memory: a name that may have changed is looked up anew, an open file stays what it was. Only
    /// a symlink object shown as a file, or as a link, may need a request.
    pub fn getattr(&self, ino: Ino) -> impl Future<Output = Result<Attr>> + use<> {
        self.names.clone().getattr(ino).err_into()
    }

    /// The text of a link: a way within the mount.
    pub fn readlink(&self, ino: Ino) -> impl Future<Output = Result<Vec<u8>>> + use<> {
        self.names.clone().readlink(ino).err_into()
    }

    /// The value of an attribute. `size` 0 asks for the length only.
    pub fn getxattr(&self, ino: Ino, name: Vec<u8>, size: u32) -> impl Future<Output = Result<XattrReply>> + use<> {
        self.names.clone().getxattr(ino, name, size).err_into()
    }

    /// The names of the attributes that cost no request. `size` 0 asks for the length only.
    pub fn listxattr(&self, ino: Ino, size: u32) -> impl Future<Output = Result<XattrReply>> + use<> {
        self.names.clone().listxattr(ino, size).err_into()
    }

    /// Opens a directory. One whose listing is too old is listed anew; this does not wait for a page of it, but where a
    /// listing is going on that began too early to show all that must be seen, for the end of that one.
    pub fn opendir(&self, ino: Ino) -> impl Future<Output = Result<DirHandle>> + use<> {
        self.names.clone().opendir(ino).err_into()
    }

    /// Gives entries from `offset` on (0 is `.`, 1 is `..`) to `take`, until that has enough or no more are known;
    /// waits only while none is known, for one or for the directory's end. No entry given means the end. Offsets stay
    /// valid for the life of the handle. Of entries taken in the way of [`Counting::Plus`] the kernel holds a
    /// reference, all but `.` and `..`.
    pub fn readdir<T: FnMut(&DirEntry<'_>) -> Room + Send>(
        &self,
        handle: DirHandle,
        offset: u64,
        counting: Counting,
        take: T,
    ) -> impl Future<Output = Result<()>> + use<T> {
        self.names.clone().readdir(handle, offset, counting, take).err_into()
    }

    /// Closes an open directory.
    pub fn releasedir(&self, handle: DirHandle) {
        self.names.releasedir(handle);
    }

    /// Lists a directory, or all below it, anew, and returns when that is done. What has changed is told to the
    /// kernel; what has not keeps its number and its pages.
    pub fn refresh(&self, ino: Ino, depth: Depth) -> impl Future<Output = Result<()>> + use<> {
        self.names.clone().refresh(ino, depth).err_into()
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
}

/// What the kernel asks of files.
impl Fs {
    /// `flags` are those of open(2); anything that writes is EROFS. `opener` is asked only where it matters. Costs no
    /// request, but where every open asks the store, or this one does by O_DIRECT.
    pub fn open<O: Opener>(&self, ino: Ino, flags: i32, opener: O) -> impl Future<Output = Result<Opened>> + use<O> {
        self.files.clone().open(ino, flags, opener).err_into()
    }

    /// Reads up to `len` bytes at `offset`; fewer only at the end of the file.
    pub fn read(
        &self,
        handle: FileHandle,
        offset: u64,
        len: usize,
    ) -> impl Future<Output = Result<read::Slice>> + use<> {
        self.files.clone().read(handle, offset, len).err_into()
    }

    /// The same for the kernel's page cache, which reads so many bytes ahead of programs and around page faults. `None`
    /// where the kernel is to be refused, so that it asks for single pages, which are never refused.
    pub fn read_pages(
        &self,
        handle: FileHandle,
        offset: u64,
        len: usize,
        read_ahead_bytes: u64,
    ) -> impl Future<Output = Result<Option<read::Slice>>> + use<> {
        self.files.clone().read_pages(handle, offset, len, read_ahead_bytes).err_into()
    }

    /// The kernel can read files of at least so many bytes from pages of another file system, which asks for their
    /// bytes: opens offer them so from now on. `words` are what `status` shows of it.
    pub fn offer_pages(&self, least_bytes: u64, words: &'static str) {
        self.files.offer_pages(least_bytes, words);
    }

    /// It cannot, for this reason, which `status` shows.
    pub fn withhold_pages(&self, why: String) {
        self.files.withhold_pages(why);
    }

    /// Closes an open file.
    pub fn release(&self, handle: FileHandle) {
        self.files.release(handle);
    }

    /// SEEK_DATA and SEEK_HOLE (objects have no holes but the one at their end).
    pub fn lseek(&self, handle: FileHandle, offset: i64, whence: i32) -> impl Future<Output = Result<i64>> + use<> {
        self.files.clone().lseek(handle, offset, whence).err_into()
    }
}

/// What people and programs ask of the daemon.
impl Fs {
    /// Says where this file system is mounted, and by which daemon it is served. Once; a second time changes nothing.
    pub fn settle_in(&self, surroundings: Surroundings) {
        self.control.settle_in(surroundings);
    }

    /// Where longer answers can be had.
    pub fn control_socket(&self) -> Option<&str> {
        self.control.control_socket()
    }

    /// Does what a control request asks for. Ends within some seconds, or when the store's own limits of time do.
    pub fn control(&self, caller: Caller, request: Vec<u8>) -> impl Future<Output = Answered> + use<> {
        self.control.clone().control(caller, request)
    }

    /// Does what a control request asks for, and keeps the answer for [`Fs::control_result`].
    pub fn call(&self, caller: Caller, request: Vec<u8>) -> impl Future<Output = Result<()>> + use<> {
        self.control.clone().call(caller, request)
    }

    /// The answer to the last [`Fs::call`] on an inode, as the value of an extended attribute; `size` 0 asks for its
    /// length only.
    pub fn control_result(&self, caller: Caller, size: u32) -> impl Future<Output = Result<XattrReply>> + use<> {
        self.control.clone().control_result(caller, size)
    }

    /// Health and figures in one object, with files one by one, but without their names.
    pub fn status(&self) -> serde_json::Value {
        self.control.status()
    }

    /// The figures as Prometheus reads them.
    pub fn prometheus(&self) -> String {
        self.control.prometheus()
    }
}

/// Hears of wrong bytes that were handed out.
struct Ear {
    files: Weak<Files>,
    control: Weak<Control>,
}

impl WrongBytes for Ear {
    fn distrust(&self, ino: Ino) {
        if let Some(files) = self.files.upgrade() {
            files.distrust(ino);
        }
    }

    fn discard(&self, ino: Ino) {
        if let Some(files) = self.files.upgrade() {
            files.drop_wrong_pages(ino);
        }
        if let Some(control) = self.control.upgrade() {
            control.pin_again(ino);
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

impl fmt::Debug for Fs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fs").field("options", &self.options).finish_non_exhaustive()
    }
}
