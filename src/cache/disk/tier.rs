//! All cache directories of a daemon, and the threads that wait for their disks.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::runtime::{Builder, Runtime};

use super::directory::Directory;
use super::entry::{Cached, Write};
use super::identity::Identity;
use super::map::Boot;
use super::place::{Access, Place};
use super::queue::Queue;
use super::room::{Limits, Room};
use crate::base::Clock;
use crate::metrics::{Metric, Metrics};

/// Threads that write, of all directories.
const WRITERS: usize = 2;
/// Threads that read, of all directories.
const READERS: usize = 16;
/// How often it is looked whether others have filled the disk.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often directories are scanned, in looks.
const SCAN_EVERY: u32 = 3600;

/// How bytes are kept on disk.
#[derive(Clone, Debug, Default)]
pub struct DiskOptions {
    /// The directories. None means that nothing is kept on disk.
    pub dirs: Vec<PathBuf>,
    /// The most bytes that all of them hold; `None` where the free space alone limits them.
    pub size_bytes: Option<u64>,
    /// What stays free on each file system, in bytes; `None` is the larger of 10 GiB and a twentieth of it.
    pub free_bytes: Option<u64>,
    /// Whether file systems that are no local disk are taken.
    pub takes_any: bool,
    /// The store that objects are of: its dialect, host and bucket.
    pub origin: String,
}

/// The disk tier of a daemon.
#[derive(Debug)]
pub struct Disk {
    directories: Vec<Arc<Directory>>,
    origin: String,
    queue: Arc<Queue<Write>>,
    _threads: Threads,
    keeper: Arc<Keeper>,
}

/// Threads that wait for disks. They are those of a runtime of which nothing else is used.
#[derive(Debug)]
struct Threads(Option<Runtime>);

impl Threads {
    fn new() -> io::Result<Threads> {
        let threads =
            Builder::new_current_thread().max_blocking_threads(READERS).thread_name("cache-reader").build()?;
        Ok(Threads(Some(threads)))
    }
}

impl Drop for Threads {
    /// Does not wait for those that hang.
    fn drop(&mut self) {
        if let Some(threads) = self.0.take() {
            threads.shutdown_background();
        }
    }
}

/// Tells the thread that looks after the directories when to end.
#[derive(Debug, Default)]
struct Keeper {
    has_ended: Mutex<bool>,
    changed: Condvar,
}

impl Keeper {
    /// Waits for the next look. False at the end.
    fn goes_on(&self) -> bool {
        let mut has_ended = self.has_ended.lock();
        self.changed.wait_while_for(&mut has_ended, |has_ended| !*has_ended, LOOK_EVERY);
        !*has_ended
    }

    fn end(&self) {
        *self.has_ended.lock() = true;
        self.changed.notify_all();
    }
}

impl Disk {
    /// Opens the directories. `queue_bytes` may wait to be written. Fails with a sentence that says what to do.
    pub fn open(
        options: &DiskOptions,
        queue_bytes: u64,
        metrics: &Arc<Metrics>,
        clock: &Clock,
    ) -> io::Result<Arc<Disk>> {
        Disk::in_boot(options, queue_bytes, metrics, clock, Boot::now())
    }

    /// The same with a queue of 64 MiB, in a boot of the machine that is called so.
    #[cfg(test)]
    pub(crate) fn in_boot_called(boot: &str, options: &DiskOptions, metrics: &Arc<Metrics>) -> io::Result<Arc<Disk>> {
        Disk::in_boot(options, 64 << 20, metrics, &Clock::system(), Boot::of(boot))
    }

    /// The same in another boot of the machine, for tests.
    pub(super) fn in_boot(
        options: &DiskOptions,
        queue_bytes: u64,
        metrics: &Arc<Metrics>,
        clock: &Clock,
        boot: Boot,
    ) -> io::Result<Arc<Disk>> {
        let threads = Threads::new()?;
        let Some(waiting) = threads.0.as_ref().map(Runtime::handle) else { return Err(io::ErrorKind::Other.into()) };
        let shares = options.dirs.len().max(1) as u64;
        let limits =
            Limits { size_bytes: options.size_bytes.map(|bytes| bytes / shares), free_bytes: options.free_bytes };
        let open = |dir: &PathBuf| {
            let place = Arc::new(Place::open(dir, options.takes_any, Access::Shared, boot)?);
            limits.check(&place)?;
            let room = Room::new(place.clone(), limits, metrics.clone(), clock.clone());
            Ok(Arc::new(Directory::new(place, room, waiting.clone(), metrics.clone(), clock.clone())))
        };
        let directories = options.dirs.iter().map(open).collect::<io::Result<Vec<_>>>()?;
        let queue = Queue::<Write>::new(queue_bytes);
        for _ in 0..WRITERS {
            let queue = queue.clone();
            thread::Builder::new().name("cache-writer".to_owned()).spawn(move || {
                while let Some(write) = queue.next() {
                    let bytes = super::queue::Job::len(&write);
                    write.run();
                    queue.done(bytes);
                }
            })?;
        }
        let keeper = Arc::new(Keeper::default());
        let (watched, watcher) = (directories.clone(), keeper.clone());
        thread::Builder::new().name("cache-keeper".to_owned()).spawn(move || {
            for look in 0.. {
                watched.iter().for_each(|directory| keep(directory, look % SCAN_EVERY == 0));
                show(&watched, limits.size_bytes.map(|bytes| bytes * shares));
                if !watcher.goes_on() {
                    return;
                }
            }
        })?;
        let origin = options.origin.clone();
        Ok(Arc::new(Disk { directories, origin, queue, _threads: threads, keeper }))
    }

    /// The store that objects are of.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Looks for an object. `None` where no directory answers.
    pub async fn look(&self, identity: Identity) -> Option<Arc<Cached>> {
        let up = self.directories.iter().filter(|directory| directory.is_up());
        let scored = up.map(|directory| (directory.score(&identity, 1), directory));
        let (_, directory) = scored.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
        Cached::open(directory.clone(), self.queue.clone(), identity).await
    }

    /// Waits until what is to be written is written, for so long at most. Says whether all of it was.
    pub fn drain(&self, patience: Duration) -> bool {
        self.queue.wait_for(0, patience)
    }

    /// Waits until so many bytes more may wait to be written, for so long at most. Says whether they may.
    pub fn wait_for_room(&self, bytes: u64, patience: Duration) -> bool {
        self.queue.wait_for(self.queue.limit_bytes().saturating_sub(bytes), patience)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.queue.close();
        self.keeper.end();
    }
}

/// Looks after a directory: puts its count right, and evicts where others have filled its disk.
fn keep(directory: &Directory, is_scan_due: bool) {
    if !directory.is_up() {
        return;
    }
    if is_scan_due {
        // A million files take a while.
        directory.judged(directory.segments.look_at_all());
        directory.judged(directory.room.scan());
    }
    directory.judge(|| directory.room.relieve());
}

fn show(directories: &[Arc<Directory>], limit_bytes: Option<u64>) {
    let Some(first) = directories.first() else { return };
    let sum = |figure: fn(&Directory) -> io::Result<u64>| {
        directories.iter().filter_map(|directory| figure(directory).ok()).sum::<u64>()
    };
    first.metrics.set(Metric::DiskUsed, sum(|directory| directory.place.usage.used()));
    first.metrics.set(Metric::DiskFree, sum(|directory| Ok(directory.place.free()?.bytes)));
    first.metrics.set(Metric::DiskLimit, limit_bytes.unwrap_or(0));
}
