//! One mount from its first request to its end: store, reader, file system, kernel.

use std::cell::RefCell;
use std::io;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::time::MissedTickBehavior;

use super::accessories::{About, Accessories, Addresses, Wanted};
use super::addresses::Reached;
use super::beside::{Beside, Readiness};
use super::handover::{self, Life};
use super::health::HealthWatch;
use super::log::Level;
use super::notify::Manager;
use super::pressure::{self, Watch};
use super::reach::{self, Below};
use super::recording::{self, Recording};
use super::signals::{Signals, Wish};
use crate::app::tune::Tuned;
use crate::base::{Clock, Timestamp};
use crate::cache::{Disk, DiskOptions};
use crate::config::{Mounting, Problem, Result};
use crate::copy::{Account, Copier};
use crate::fs::{self as file_systems, Copying, Fs, Surroundings, Ttl};
use crate::fuse::{self, Drained, Mounted, Place, Target};
use crate::metrics::{Metric, Metrics};
use crate::read::{Prefetch, Reader};
use crate::store::layers::Rate;
use crate::store::{self, Connected};

/// What to mount where.
pub(in crate::app) struct Plan {
    /// The URL, as the table of mounts shall show it.
    pub(in crate::app) source: String,
    /// Where, absolute, or `/dev/fd/N`.
    pub(in crate::app) dir: PathBuf,
    /// How the bucket is mounted.
    pub(in crate::app) mounting: Mounting,
    /// The tuned numbers of the mount.
    pub(in crate::app) tuned: Tuned,
}

impl Plan {
    /// Whether another process has mounted, and will unmount.
    pub(in crate::app) fn is_handed_over(&self) -> bool {
        self.mounting.run.fuse_fd.is_some() || Place::is_descriptor(&self.dir)
    }

    /// Goes on with the mount of an earlier daemon, or begins one that can be gone on with, where one is kept.
    fn begin_life(&self, place: &Place, manager: &Manager) -> Life {
        match place {
            Place::Directory(_) if manager.keeps() => Life::begin(manager, &self.what(), &self.dir),
            _ => Life::Only,
        }
    }

    /// Where the mount is served.
    fn place(&self) -> Result<Place> {
        let place = match self.mounting.run.fuse_fd {
            Some(number) => Place::device(number),
            None => Place::parse(&self.dir),
        };
        place.map_err(|error| Problem::failure(error.to_string()))
    }

    /// Whether a process beside the daemon keeps the mount alive.
    pub(in crate::app) fn is_supervised(&self) -> bool {
        self.mounting.run.supervise && !self.is_handed_over()
    }

    /// The descriptors of the caller that options name, as `/dev/fd/N` does.
    pub(in crate::app) fn descriptors(&self) -> Vec<RawFd> {
        let run = &self.mounting.run;
        let mut paths: Vec<PathBuf> = [&run.log.file, &run.pid_file, &run.record, &run.replay]
            .into_iter()
            .chain([&self.mounting.store.ca_bundle])
            .chain(self.mounting.store.near.iter().flat_map(|near| [&near.token_file, &near.ca_bundle]))
            .flatten()
            .cloned()
            .collect();
        let named = RefCell::new(Vec::new());
        self.mounting.store.credentials.clone().map_paths(&|path| {
            named.borrow_mut().push(path.to_owned());
            path.to_owned()
        });
        paths.append(&mut named.borrow_mut());
        paths.iter().filter_map(|path| number_of(path)).collect()
    }

    /// What a later life must find again to go on: what is mounted where, and what names it has.
    fn what(&self) -> String {
        let odd_keys = self.mounting.fs.odd_keys;
        format!("{} on {} ({odd_keys:?})", self.source, self.dir.display())
    }
}

/// The descriptor that a path names.
fn number_of(path: &Path) -> Option<RawFd> {
    let path = path.to_str()?;
    let number = path.strip_prefix("/dev/fd/").or_else(|| path.strip_prefix("/proc/self/fd/"))?;
    number.parse().ok()
}

/// A mount that answers. Dropping it unmounts.
pub(in crate::app) struct Live {
    mounted: Mounted,
    source: String,
    adjust: Adjust,
    /// Whether a later life can go on with it.
    is_kept: bool,
    /// What is under way is called off in the end.
    copier: Option<Copier>,
    disk: Option<Arc<Disk>>,
    _accessories: Accessories,
    health: HealthWatch,
    _watch: Watch,
    /// Behind the mount: what is under way until its end belongs to the load.
    _recording: Option<Recording>,
}

/// Reaches the bucket, mounts, and returns once the kernel has had an answer. On failure nothing stays mounted.
///
/// A life that goes on with a mount has users who wait, so that it fails for nothing that serving them does not need.
pub(in crate::app) async fn start(plan: Plan, level: Arc<Level>, manager: &Manager) -> Result<Live> {
    let place = plan.place()?;
    let life = plan.begin_life(&place, manager);
    let goes_on = life.goes_on();
    report_deaths(manager);
    let Plan { source, dir, mounting, tuned } = plan;
    let (metrics, clock) = (Arc::new(Metrics::default()), Clock::system());
    metrics.set(Metric::Began, clock.now().seconds.max(0) as u64);
    let wanted = Wanted::of(&mounting.run);
    // From the first moment on, so that a starter of many sees which is not ready yet.
    let beside = match &wanted.metrics_listen {
        Some(listen) if !goes_on => Some(Beside::open(listen).await?),
        _ => None,
    };
    let mount_time = life.mount_time().unwrap_or_else(|| clock.now());
    // A later life shows the same time, also where that was told as a duration.
    let as_of = mounting.at.map(|moment| moment.before(mount_time));
    let options = file_systems::Options { mount_time, as_of, ..mounting.fs };
    let (record, replay, bucket) = (mounting.run.record, mounting.run.replay, mounting.store.bucket.clone());
    let load = |path: PathBuf| bearable(goes_on, recording::load(&path, record.as_deref(), &bucket));
    let trace = replay.map(load).transpose()?.flatten().flatten();
    tracing::info!(from = mounting.store.credentials.describe(), "credentials");
    let store_options = mounting.store.clone();
    let requests_to = Reached { addresses: mounting.store.addresses.clone(), clock: clock.clone() };
    let connected = match &mounting.buckets {
        Some(only) => reach::reach_all(mounting.store, only, (goes_on, &metrics, &clock)).await?,
        None => connect(mounting.store, &options, goes_on, &metrics, &clock).await?,
    };
    let copying = mounting.copy_reach.map(|reach| {
        let account = Account::new(store_options, metrics.clone(), clock.clone()).sharing(&connected);
        Copying { copier: Copier::new(Arc::new(account), mounting.copy), reach }
    });
    let copier = copying.as_ref().map(|copying| copying.copier.clone());
    let store = reach::viewed(&connected, options.as_of);
    let reader = Reader::tuned(store.clone(), mounting.read, tuned.read, metrics.clone());
    trace.into_iter().for_each(|trace| reader.replay(trace));
    let disk = bearable(goes_on, open_disk(mounting.disk, &reader, &metrics, &clock).await)?.flatten();
    let begin = |path| Recording::begin(&Handle::current(), path, bucket, reader.clone(), goes_on);
    let recording = record.map(begin).transpose()?;
    let health = HealthWatch { metrics: metrics.clone(), clock: clock.clone(), source: source.clone() };
    let readiness = Readiness::new(store.clone(), options.prefix.clone(), metrics.clone(), clock.clone());
    let adjusted_reader = reader.clone();
    let file_system = Fs::tuned(store, reader, options, tuned.fs, metrics, clock.clone());
    let watch = watch_memory(&adjusted_reader, &file_system, &clock, goes_on)?;
    let target = Target { source: source.clone(), place: life.take_up(&file_system, place) };
    let mounted = fuse::mount(file_system.clone(), target, mounting.fuse, Handle::current())
        .map_err(|error| Problem::failure(error.to_string()))?;
    let addresses = Addresses::default();
    let rest = Rest { level, max_bandwidth: connected.max_bandwidth.clone(), addresses: requests_to };
    file_system.settle_in(surroundings(&mounted, &source, &addresses, copying, rest));
    let about = about(&file_system, &mounted, &source, readiness);
    let accessories = Accessories::of(goes_on, wanted, about, beside, addresses).await?;
    let is_kept = goes_on || handover::keep(&mounted, &file_system, manager);
    let how = if goes_on { "the mount of the previous daemon continues" } else { "mounted" };
    tracing::info!(source, dir = %dir.display(), endpoint = connected.endpoint, "{how}");
    let (max_bandwidth, drain_timeout) = (connected.max_bandwidth, mounting.run.drain_timeout.into());
    let adjust = Adjust { reader: adjusted_reader, file_system, max_bandwidth, drain_timeout };
    Ok(Live {
        mounted,
        source,
        adjust,
        is_kept,
        copier,
        disk,
        _accessories: accessories,
        health,
        _watch: watch,
        _recording: recording,
    })
}

/// What those beside the mount are told of it.
fn about(file_system: &Arc<Fs>, mounted: &Mounted, source: &str, readiness: Arc<Readiness>) -> About {
    About {
        file_system: file_system.clone(),
        dir: mounted.dir().map(PathBuf::from),
        source: source.to_owned(),
        ended: mounted.ended(),
        readiness,
    }
}

/// What control requests speak of beside the file system.
fn surroundings(
    mounted: &Mounted,
    source: &str,
    addresses: &Addresses,
    copying: Option<Copying>,
    rest: Rest,
) -> Surroundings {
    Surroundings {
        source: source.to_owned(),
        dir: mounted.dir().map(PathBuf::from),
        socket: addresses.socket.clone(),
        metrics: addresses.metrics.clone(),
        copying,
        daemon: Arc::new(rest),
    }
}

/// Says in the log how the daemons before this one have ended.
fn report_deaths(manager: &Manager) {
    match manager.deaths() {
        Some(deaths) if deaths.was_replaced() => tracing::info!("{deaths}"),
        Some(deaths) => tracing::warn!("{deaths}"),
        None => {}
    }
}

/// Reaches the bucket; in the background where a mount that stands is gone on with.
async fn connect(
    options: store::Options,
    shown: &file_systems::Options,
    goes_on: bool,
    metrics: &Arc<Metrics>,
    clock: &Clock,
) -> Result<Connected> {
    let (prefix, at) = (shown.prefix.as_str(), shown.as_of);
    if let Some(at) = at {
        tracing::info!("the bucket is shown as it stood at {}", at.rfc3339());
    }
    if goes_on {
        look_at_bucket(options.clone(), (prefix.to_owned(), at), metrics.clone(), clock.clone());
        return reach::connect(options, metrics, clock);
    }
    let (connected, below) = reach::reach(options, (prefix, at), metrics, clock).await?;
    if below == Below::Nothing {
        tracing::warn!("no key begins with {prefix:?} yet; the mount is empty until one does");
    }
    Ok(connected)
}

/// So much may wait to be written to the disk cache, in bytes: an eighth of the memory for read buffers at most.
const DISK_QUEUE_BYTES: u64 = 256 << 20;

/// Opens the disk cache and gives it to the reader, where the options name directories.
async fn open_disk(
    options: DiskOptions,
    reader: &Reader,
    metrics: &Arc<Metrics>,
    clock: &Clock,
) -> Result<Option<Arc<Disk>>> {
    if options.dirs.is_empty() {
        return Ok(None);
    }
    let (metrics, clock) = (metrics.clone(), clock.clone());
    let queue_bytes = DISK_QUEUE_BYTES.min(reader.memory_limit() / 8);
    let opened = tokio::task::spawn_blocking(move || Disk::open(&options, queue_bytes, &metrics, &clock)).await;
    match opened.map_err(io::Error::other).flatten() {
        Ok(disk) => {
            reader.keep_on_disk(disk.clone());
            Ok(Some(disk))
        }
        Err(error) => Err(Problem::failure(format!("the disk cache cannot be used: {error}"))),
    }
}

/// Watches the memory of the machine; later, where a mount that stands is gone on with and no thread can be made.
fn watch_memory(reader: &Arc<Reader>, file_system: &Arc<Fs>, clock: &Clock, goes_on: bool) -> Result<Watch> {
    let watched =
        pressure::Watched { reader: reader.clone(), names: Arc::downgrade(file_system), clock: clock.clone() };
    match Watch::begin(watched.clone()) {
        Err(error) if goes_on => Ok(Watch::later(&Handle::current(), watched, error)),
        watch => watch.map_err(|error| {
            let sentence = format!(
                "memory cannot be watched, because no thread can be started: {error}; raise the limit of tasks"
            );
            Problem::failure(sentence)
        }),
    }
}

/// What failed is only told where a mount goes on, which does not need it.
fn bearable<T>(goes_on: bool, outcome: Result<T>) -> Result<Option<T>> {
    match outcome {
        Err(problem) if goes_on => {
            tracing::warn!("{problem}; the mount continues without it");
            Ok(None)
        }
        outcome => outcome.map(Some),
    }
}

/// Says in the log where the bucket does not answer a life that goes on with a mount, and so does not wait for it.
fn look_at_bucket(
    options: store::Options,
    (prefix, at): (String, Option<Timestamp>),
    metrics: Arc<Metrics>,
    clock: Clock,
) {
    tokio::spawn(async move {
        if let Err(problem) = reach::reach(options, (&prefix, at), &metrics, &clock).await {
            tracing::warn!("{problem}; the mount continues, and requests that need the bucket wait");
        }
    });
}

/// What control requests change besides the file system.
struct Rest {
    level: Arc<Level>,
    max_bandwidth: Rate,
    addresses: Reached,
}

impl file_systems::Daemon for Rest {
    fn addresses(&self) -> serde_json::Value {
        self.addresses.shown()
    }

    fn set_log_level(&self, level: &str) {
        self.level.set(level);
    }

    fn resident_bytes(&self) -> u64 {
        pressure::resident_bytes()
    }

    fn set_max_bandwidth(&self, bytes_per_second: Option<u64>) {
        self.max_bandwidth.set(bytes_per_second);
    }
}

/// What of a live mount can be changed without a new one.
pub(in crate::app) struct Adjust {
    reader: Arc<Reader>,
    file_system: Arc<Fs>,
    max_bandwidth: Rate,
    drain_timeout: Mutex<Duration>,
}

impl Adjust {
    pub(super) fn set_memory_limit(&self, bytes: u64) {
        self.reader.set_memory_limit(bytes);
    }

    pub(super) fn set_max_bandwidth(&self, bytes_per_second: Option<u64>) {
        self.max_bandwidth.set(bytes_per_second);
    }

    pub(super) fn set_prefetch(&self, prefetch: Prefetch) {
        self.reader.set_prefetch_of_all(prefetch);
    }

    pub(super) fn set_part_bytes(&self, bytes: u64) {
        self.reader.set_part_bytes(bytes);
    }

    /// Whether the mount shows for ever what it has shown once.
    pub(super) fn is_frozen(&self) -> bool {
        self.file_system.is_frozen()
    }

    pub(super) fn set_ttls(&self, metadata_ttl: Ttl, negative_ttl: Duration) {
        self.file_system.set_ttls(metadata_ttl, negative_ttl);
    }

    pub(super) fn set_drain_timeout(&self, timeout: Duration) {
        *self.drain_timeout.lock() = timeout;
    }

    fn drain_timeout(&self) -> Duration {
        *self.drain_timeout.lock()
    }
}

impl Live {
    /// Serves until the mount is gone or a signal ends it; then drains. `reload` answers SIGHUP; `manager` hears how
    /// it goes. Fails where the session with the kernel broke while the mount stood.
    pub(in crate::app) async fn serve(
        self,
        signals: Signals,
        manager: &Manager,
        level: &Level,
        reload: impl Fn(&Adjust),
    ) -> Result<()> {
        manager.ready(&self.source);
        let health = self.health.clone();
        let outcome = tokio::select! {
            () = level.keep_telling() => Ok(()),
            () = health.keep_telling(manager) => Ok(()),
            outcome = self.serve_on(signals, manager, level, reload) => outcome,
        };
        level.tell_rest();
        outcome
    }

    async fn serve_on(
        self,
        mut signals: Signals,
        manager: &Manager,
        level: &Level,
        reload: impl Fn(&Adjust),
    ) -> Result<()> {
        loop {
            tokio::select! {
                () = self.prove_life(manager) => {}
                () = self.mounted.wait() => match self.mounted.broke() {
                    None => {
                        tracing::info!("unmounted; the daemon ends");
                        manager.keep_no_more();
                        self.stop_copies().await;
                        self.finish_disk().await;
                        return Ok(());
                    }
                    Some(why) => {
                        self.stop_copies().await;
                        if self.is_kept {
                            self.mounted.leave();
                        }
                        return Err(Problem::failure(format!("the FUSE session failed: {why}")));
                    }
                },
                wish = signals.next() => match wish {
                    Wish::End => break,
                    Wish::Reload => {
                        manager.reloading();
                        reload(&self.adjust);
                        manager.ready(&self.source);
                    }
                    Wish::HandOver if self.is_kept => {
                        tracing::info!("the mount is handed over to the next daemon");
                        self.mounted.hand_over();
                        return Ok(());
                    }
                    Wish::HandOver => tracing::warn!("no supervisor keeps this mount, so that it cannot be handed \
                                                      over: this daemon continues"),
                    Wish::NextLevel => level.step(),
                }
            }
        }
        tracing::info!("the daemon was asked to end");
        manager.stopping();
        manager.keep_no_more();
        self.end(signals).await;
        Ok(())
    }

    /// Tells a manager that watches, again and again, that requests through the mount are answered. Where they are not
    /// it is told nothing, and will act.
    async fn prove_life(&self, manager: &Manager) {
        let Some(period) = manager.watchdog() else { return std::future::pending().await };
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let dir = self.dir();
            let asked = tokio::task::spawn_blocking(move || dir.is_none_or(|dir| fuse::answers(&dir)));
            match asked.await {
                Ok(true) => manager.alive(),
                _ => tracing::error!("the mount does not answer"),
            }
        }
    }

    /// Unmounts, and answers what is under way within the drain time; a second request to end cuts that short.
    pub(in crate::app) async fn end(self, mut signals: Signals) {
        let drain_timeout = self.adjust.drain_timeout();
        let ended = async {
            let drained = tokio::join!(self.mounted.drain(drain_timeout), self.stop_copies()).0;
            self.finish_disk().await;
            drained
        };
        tokio::select! {
            drained = ended => match drained {
                Drained::Clean => tracing::info!("unmounted; all requests in flight were answered"),
                Drained::CutShort(count) => {
                    tracing::warn!("unmounted; {count} requests in flight were aborted after {drain_timeout:?}");
                }
            },
            () = signals.end() => tracing::warn!("the daemon was asked to end twice: unmounted without waiting for \
                                                  requests in flight"),
        }
    }

    /// Writes what waits for the disk cache, within the drain time.
    async fn finish_disk(&self) {
        let (Some(disk), drain_timeout) = (self.disk.clone(), self.adjust.drain_timeout()) else { return };
        let written = tokio::task::spawn_blocking(move || disk.drain(drain_timeout)).await;
        if !written.unwrap_or(false) {
            tracing::info!("the disk cache does not have all that was fetched last: the disk took too long");
        }
    }

    /// Calls off the copies under way: their parts would be paid for until they are aborted by hand.
    async fn stop_copies(&self) {
        let drain_timeout = self.adjust.drain_timeout();
        if let Some(copier) = &self.copier
            && tokio::time::timeout(drain_timeout, copier.stop()).await.is_err()
        {
            tracing::warn!(
                "copies in flight were aborted after {drain_timeout:?}; their parts may remain in the bucket"
            );
        }
    }

    /// The directory mounted on.
    pub(in crate::app) fn dir(&self) -> Option<PathBuf> {
        self.mounted.dir().map(PathBuf::from)
    }
}
