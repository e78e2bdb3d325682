//! Files: open ones, how programs read them, and which will be wanted next.
//!
//! The table of handles and what is remembered of readers have locks of their own. Of names this wing asks the tree
//! through [`Names`]: with `successors` locked, the tree's lock is taken, never the other way round.
//!
//! | file | what it owns |
//! |---|---|
//! | `distrust` | files of which wrong bytes were handed out |
//! | `file` | file handles: opening, reading, seeking |
//! | `habits` | how programs read: in small pieces or large ones |
//! | `numbering` | names that carry a number, as shards do |
//! | `open_file` | an open file, and how far it has been read |
//! | `page_source` | bytes for pages of another file system, through which the kernel reads a file |
//! | `pages` | which big files go through the page cache although their readers read in large pieces |
//! | `runs` | recognising programs that take the files of a directory one after the other |
//! | `successors` | which files will be wanted next |

mod distrust;
mod file;
mod habits;
mod numbering;
mod open_file;
mod page_source;
mod pages;
mod runs;
mod successors;
#[cfg(test)]
mod successors_tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};
use tokio::runtime::Handle;

pub(super) use self::file::to_read;
pub use self::habits::{Opener, Program, ReadCalls};
pub use self::page_source::Pages;

use self::distrust::Distrusted;
use self::habits::Habits;
use self::open_file::OpenFile;
use self::pages::PageUses;
use self::successors::Successors;
use super::failure::{Failure, Tried, report, report_archived, report_of_version};
use super::lives::{Lives, PastFile};
use super::names::Names;
use super::{Context, FileHandle, Options, Tuning};
use crate::base::Ino;
use crate::metrics::{Metric, Metrics};
use crate::read;

/// The open files of one mount.
pub(super) struct Files {
    lives: Arc<Lives>,
    names: Arc<Names>,
    reader: Arc<read::Reader>,
    metrics: Arc<Metrics>,
    runtime: Handle,
    options: Arc<Options>,
    tuning: Arc<Tuning>,

    open: RwLock<HashMap<FileHandle, Arc<OpenFile>>>,
    habits: Mutex<Habits>,
    pages: Mutex<PageUses>,
    successors: Mutex<Successors>,
    /// Files whose pages in the kernel are wrong.
    distrusted: Distrusted,
    /// Files of at least so many bytes are read through pages of another file system.
    least_pages_bytes: AtomicU64,
    /// How they are read so, in words.
    pages_words: OnceLock<&'static str>,
    /// Why no files are read so.
    no_pages: OnceLock<String>,
}

impl Files {
    pub(super) fn new(context: &Context, lives: Arc<Lives>, names: Arc<Names>) -> Arc<Self> {
        let Context { reader, metrics, runtime, options, tuning, .. } = context.clone();
        Arc::new(Files {
            lives,
            names,
            reader,
            metrics,
            runtime,
            options,
            open: RwLock::default(),
            habits: Mutex::new(Habits::new(tuning.clone())),
            pages: Mutex::new(PageUses::new(tuning.clone())),
            successors: Mutex::new(Successors::new(tuning.clone())),
            distrusted: Distrusted::default(),
            least_pages_bytes: AtomicU64::new(u64::MAX),
            pages_words: OnceLock::new(),
            no_pages: OnceLock::new(),
            tuning,
        })
    }

    /// Files that were open in the life before this one, by handle.
    pub(super) fn resume(&self, files: BTreeMap<u64, PastFile>) {
        for (handle, PastFile { ino, object, backing, .. }) in files {
            let size = object.size;
            let file = self.reader.open(to_read(ino, object));
            self.open.write().insert(FileHandle(handle), Arc::new(OpenFile::again(ino, size, file, backing.is_some())));
            self.metrics.add(Metric::OpenFiles, 1);
        }
    }

    /// Does what [`super::Fs::offer_pages`] says.
    pub(super) fn offer_pages(&self, least_bytes: u64, words: &'static str) {
        self.pages_words.get_or_init(|| words);
        self.least_pages_bytes.store(least_bytes, Ordering::Relaxed);
    }

    /// Does what [`super::Fs::withhold_pages`] says.
    pub(super) fn withhold_pages(&self, why: String) {
        self.least_pages_bytes.store(u64::MAX, Ordering::Relaxed);
        self.no_pages.get_or_init(|| why);
    }

    /// Whether files are read through pages of another file system, in words.
    pub(super) fn pages_in_words(&self) -> &str {
        match self.least_pages_bytes.load(Ordering::Relaxed) {
            u64::MAX => self.no_pages.get().map_or("off", String::as_str),
            _ => self.pages_words.get().copied().unwrap_or_default(),
        }
    }

    /// The kernel reads an open file by itself.
    pub(super) fn passed(&self, handle: FileHandle) {
        if let Some(open) = self.open.read().get(&handle) {
            open.is_passed.store(true, Ordering::Relaxed);
        }
        self.metrics.add(Metric::PassthroughOpens, 1);
    }

    /// The open files that the kernel reads by itself, with their sizes in bytes.
    pub(super) fn all_passed(&self) -> HashMap<Ino, u64> {
        let open = self.open.read();
        let passed = open.values().filter(|file| file.is_passed.load(Ordering::Relaxed));
        passed.map(|file| (file.ino, file.size)).collect()
    }

    /// The inodes of all open files.
    pub(super) fn open_inodes(&self) -> HashSet<Ino> {
        self.open.read().values().map(|file| file.ino).collect()
    }
}
