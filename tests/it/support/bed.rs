//! A real mount, in this process, for the length of a test.
//!
//! `Bed::over(store)` mounts any store on a fresh directory; dropping it unmounts, also while a test panics, and
//! checks that nothing stays behind. Tests that need other options change a [`Recipe`] first. Where there is no
//! `/dev/fuse` these tests fail: a mount that was not tried is not known to work.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ossmount::base::{BucketName, Clock};
use ossmount::fs::{self, Fs};
use ossmount::fuse::{self, BridgeUse, Mounted, Place, Target};
use ossmount::metrics::Metrics;
use ossmount::read::{self, Headroom, Observation, Reader};
use ossmount::store::Store;
use tempfile::TempDir;

/// How to make a [`Bed`].
pub(crate) struct Recipe {
    /// What `/proc/mounts` shows.
    pub(crate) source: String,
    /// Options of the file system; a TTL of 60 s for names unless told.
    pub(crate) fs: fs::Options,
    /// Options of the reader.
    pub(crate) read: read::Options,
    /// Options of the mount.
    pub(crate) fuse: fuse::Options,
    /// The clock that freshness goes by.
    pub(crate) clock: Clock,
    /// What memory the daemon has found free, in bytes; 0 while it has not looked.
    pub(crate) free_bytes: u64,
}

/// Without the bridge, unlike a mount by default: it would take the place of the other ways to read a large file.
impl Default for Recipe {
    fn default() -> Self {
        Recipe {
            source: "oss://bucket".to_owned(),
            fs: fs::Options::new(BucketName::new("bucket")),
            read: read::Options::default(),
            fuse: fuse::Options { bridge: BridgeUse::Off, ..fuse::Options::default() },
            clock: Clock::system(),
            free_bytes: 0,
        }
    }
}

impl Recipe {
    /// Mounts.
    pub(crate) fn make(self, store: Arc<dyn Store>) -> Bed {
        let kitchen = Kitchen::new();
        let (reader, metrics) = kitchen.reader(store.clone(), self.read);
        let limits = vec![Headroom { limit_bytes: 2 * self.free_bytes, free_bytes: self.free_bytes }];
        if self.free_bytes > 0 {
            reader.observe_memory(&Observation { limits, ..Observation::default() });
        }
        let fs = kitchen.fs_over(store, reader, self.fs, (metrics.clone(), self.clock));
        let dir = tempfile::tempdir().unwrap();
        let target = Target { source: self.source, place: Place::Directory(dir.path().to_owned()) };
        let mounted = kitchen.mount(fs, target, self.fuse).unwrap_or_else(|error| panic!("cannot mount: {error}"));
        Bed { mounted: Some(mounted), dir, metrics, kitchen }
    }
}

/// The runtime that a mount lives on.
pub(crate) struct Kitchen {
    /// The runtime itself.
    pub(crate) runtime: tokio::runtime::Runtime,
}

impl Kitchen {
    /// A runtime with two threads.
    pub(crate) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Kitchen { runtime }
    }

    /// A file system over a store, not mounted yet.
    pub(crate) fn fs(
        &self,
        store: Arc<dyn Store>,
        options: fs::Options,
        read: read::Options,
        clock: Clock,
    ) -> (Arc<Fs>, Arc<Metrics>) {
        let (reader, metrics) = self.reader(store.clone(), read);
        (self.fs_over(store, reader, options, (metrics.clone(), clock)), metrics)
    }

    fn reader(&self, store: Arc<dyn Store>, options: read::Options) -> (Arc<Reader>, Arc<Metrics>) {
        let _inside = self.runtime.enter();
        let metrics = Arc::new(Metrics::default());
        (Reader::new(store, options, metrics.clone()), metrics)
    }

    fn fs_over(
        &self,
        store: Arc<dyn Store>,
        reader: Arc<Reader>,
        options: fs::Options,
        (metrics, clock): (Arc<Metrics>, Clock),
    ) -> Arc<Fs> {
        let _inside = self.runtime.enter();
        Fs::new(store, reader, options, metrics, clock)
    }

    /// Mounts it.
    pub(crate) fn mount(
        &self,
        fs: Arc<Fs>,
        target: Target,
        options: fuse::Options,
    ) -> Result<Mounted, fuse::MountError> {
        fuse::mount(fs, target, options, self.runtime.handle().clone())
    }
}

/// A live mount. See the head of this file.
pub(crate) struct Bed {
    mounted: Option<Mounted>,
    dir: TempDir,
    metrics: Arc<Metrics>,
    kitchen: Kitchen,
}

impl Bed {
    /// Mounts a store with the default options.
    pub(crate) fn over(store: Arc<dyn Store>) -> Bed {
        Recipe::default().make(store)
    }

    /// The root of the mount.
    pub(crate) fn root(&self) -> &Path {
        self.dir.path()
    }

    /// A path below the root.
    pub(crate) fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.root().join(below)
    }

    /// The figures of the mount.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The mount itself.
    pub(crate) fn mounted(&self) -> &Mounted {
        self.mounted.as_ref().expect("it is there until the bed is dropped")
    }

    /// Runs a future on the mount's runtime.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.kitchen.runtime.block_on(future)
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let root = self.dir.path().canonicalize().unwrap_or_else(|_| self.dir.path().to_owned());
        drop(self.mounted.take());
        let left = fuse::mounts().unwrap().into_iter().any(|mount| mount.dir == root);
        if left && !std::thread::panicking() {
            panic!("{} is still mounted", root.display());
        }
    }
}
