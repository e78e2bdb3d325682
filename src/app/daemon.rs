//! One mount from its first request to its end: store, reader, file system, kernel.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::{Handle, Runtime};
use tokio::time::MissedTickBehavior;

use super::beside::{Beside, Readiness, Served};
use super::held::{self, Life};
use super::log::Level;
use super::notify::Manager;
use super::pressure::{self, Watch};
use super::reach::{self, Below};
use super::recording::{self, Recording};
use super::registry;
use super::registry::Registration;
use super::signals::{Signals, Wish};
use super::socket::Door;
use crate::base::Clock;
use crate::config::{ControlSocket, Mounting, Problem, Result};
use crate::copy::{Account, Copier};
use crate::fs::{self as file_systems, Copying, Fs, Surroundings, Ttl};
use crate::fuse::{self, Drained, Mounted, Place, Target};
use crate::metrics::{Metric, Metrics};
use crate::read::{Prefetch, Reader};
use crate::store::layers::Rate;

/// What to mount where.
pub(super) struct Plan {
    /// The URL, as the table of mounts shall show it.
    pub(super) source: String,
    /// Where, absolute, or `/dev/fd/N`.
    pub(super) dir: PathBuf,
    /// How.
    pub(super) mounting: Mounting,
}

impl Plan {
    /// Whether somebody else has mounted, and will unmount.
    pub(super) fn is_handed_over(&self) -> bool {
        self.mounting.run.fuse_fd.is_some() || Place::is_descriptor(&self.dir)
    }

    /// Where to serve.
    fn place(&self) -> Result<Place> {
        let place = match self.mounting.run.fuse_fd {
            Some(number) => Place::device(number),
            None => Place::parse(&self.dir),
        };
        place.map_err(|error| Problem::failure(error.to_string()))
    }

    /// Whether a process beside the daemon keeps the mount alive.
    pub(super) fn is_supervised(&self) -> bool {
        self.mounting.run.supervise && !self.is_handed_over()
    }

    /// What a later life must find again to go on: what is mounted where, and what names it has.
    fn what(&self) -> String {
        let odd_keys = self.mounting.fs.odd_keys;
        format!("{} on {} ({odd_keys:?})", self.source, self.dir.display())
    }
}

/// A mount that answers. Dropping it unmounts.
pub(super) struct Live {
    mounted: Mounted,
    source: String,
    adjust: Adjust,
    /// Whether a later life can go on with it.
    is_kept: bool,
    /// What is under way is called off in the end.
    copier: Option<Copier>,
    _door: Option<Door>,
    _beside: Option<Beside>,
    _registration: Option<Registration>,
    _pid_file: Option<PidFile>,
    _watch: Watch,
    /// Behind the mount: what is under way until its end belongs to the load.
    _recording: Option<Recording>,
}

/// The runtime that a mount waits on.
pub(super) fn runtime() -> Result<Runtime> {
    pressure::share_heaps();
    tokio::runtime::Builder::new_multi_thread()
        .thread_name("ossmount")
        .enable_all()
        .build()
        .map_err(|error| Problem::failure(format!("no threads can be started: {error}")))
}

/// Reaches the bucket, mounts, and returns once the kernel has had an answer. On failure nothing stays mounted.
pub(super) async fn start(plan: Plan, level: Arc<Level>, manager: &Manager) -> Result<Live> {
    let place = plan.place()?;
    let life = match place {
        Place::Directory(_) if manager.keeps() => Life::begin(manager, &plan.what(), &plan.dir),
        _ => Life::Only,
    };
    let Plan { source, dir, mounting } = plan;
    let (metrics, clock) = (Arc::new(Metrics::default()), Clock::system());
    metrics.set(Metric::Began, clock.now().seconds.max(0) as u64);
    let beside = match &mounting.run.metrics_listen {
        Some(listen) => Some(Beside::open(listen).await?),
        None => None,
    };
    let mut options = mounting.fs;
    options.mount_time = life.mount_time().unwrap_or_else(|| clock.now());
    let (record, replay) = (mounting.run.record, mounting.run.replay);
    let bucket = mounting.store.bucket.clone();
    let trace = replay.map(|path| recording::load(&path, record.as_deref(), &bucket)).transpose()?.flatten();
    tracing::info!(from = mounting.store.credentials.describe(), "credentials");
    let store_options = mounting.store.clone();
    let (connected, below) = reach::reach(mounting.store, &options.prefix, &metrics, &clock).await?;

    if below == Below::Nothing {
        tracing::warn!("no key begins with {:?} yet; the mount is empty until one does", options.prefix);
    }
    let copying = mounting.copy_reach.map(|reach| {
        let account = Account::new(store_options, metrics.clone(), clock.clone()).sharing(&connected);
        Copying { copier: Copier::new(Arc::new(account), mounting.copy), reach }
    });
    let copier = copying.as_ref().map(|copying| copying.copier.clone());
    let reader = Reader::new(connected.store.clone(), mounting.read, metrics.clone());
    if let Some(trace) = trace {
        reader.replay(trace);
    }
    let begin = |path| Recording::begin(&Handle::current(), path, bucket, reader.clone());
    let recording = record.map(begin).transpose()?;
    let readiness = Readiness::new(connected.store.clone(), options.prefix.clone(), metrics.clone(), clock.clone());
    let watch = Watch::begin(&Handle::current(), reader.clone(), clock.clone());
    let adjusted_reader = reader.clone();
    let file_system = Fs::new(connected.store, reader, options, metrics, clock);
    let goes_on = life.goes_on();
    let target = Target { source: source.clone(), place: life.take_up(&file_system, place) };
    let mounted = fuse::mount(file_system.clone(), target, mounting.fuse, Handle::current())
        .map_err(|error| Problem::failure(error.to_string()))?;
    let entered = || {
        let pid_file = mounting.run.pid_file.map(PidFile::write).transpose()?;
        Ok((pid_file, door(mounting.run.control_socket, &file_system)?))
    };
    let (pid_file, door) = match entered() {
        Ok(entered) => entered,
        Err(problem) => {
            if goes_on {
                mounted.leave();
            }
            return Err(problem);
        }
    };
    let is_kept = goes_on || held::keep(&mounted, &file_system, manager);
    let socket = door.as_ref().map(Door::path);
    file_system.settle_in(Surroundings {
        source: source.clone(),
        dir: mounted.dir().map(PathBuf::from),
        socket: socket.map(PathBuf::from),
        metrics: beside.as_ref().map(|beside| beside.address().to_owned()),
        copying,
        daemon: Arc::new(Rest { level, max_bandwidth: connected.max_bandwidth.clone() }),
    });
    if let Some(beside) = &beside {
        beside.serve(Served { file_system: file_system.clone(), ended: mounted.ended(), readiness });
        tracing::info!(address = beside.address(), "figures and health are served");
    }
    let registration = mounted.dir().and_then(|dir| match registry::Registration::enter(dir, &source, socket) {
        Ok(registration) => Some(registration),
        Err(error) => {
            tracing::warn!(%error, "this mount cannot be entered among the live ones; umount will not wait for its end");
            None
        }
    });
    let how = if goes_on { "the mount goes on" } else { "mounted" };
    tracing::info!(source, dir = %dir.display(), endpoint = connected.endpoint, "{how}");
    let drain_timeout = mounting.run.drain_timeout.into();
    let max_bandwidth = connected.max_bandwidth;
    let adjust = Adjust { reader: adjusted_reader, file_system, max_bandwidth, drain_timeout };
    Ok(Live {
        mounted,
        source,
        adjust,
        is_kept,
        copier,
        _door: door,
        _beside: beside,
        _registration: registration,
        _pid_file: pid_file,
        _watch: watch,
        _recording: recording,
    })
}

/// Opens the control socket. One that was asked for must be had; without one of its own choice a mount works as well.
fn door(socket: ControlSocket, file_system: &Arc<Fs>) -> Result<Option<Door>> {
    let open = |path: PathBuf| Door::open(path, file_system.clone());
    match socket {
        ControlSocket::Off => Ok(None),
        ControlSocket::At(path) => {
            let failed =
                |error| Problem::failure(format!("the control socket {} cannot be opened: {error}", path.display()));
            open(path.clone()).map(Some).map_err(failed)
        }
        ControlSocket::Automatic => {
            let opened = registry::socket_path().and_then(open);
            Ok(opened.inspect_err(|error| tracing::warn!(%error, "there is no control socket")).ok())
        }
    }
}

/// What control requests change besides the file system.
struct Rest {
    level: Arc<Level>,
    max_bandwidth: Rate,
}

impl file_systems::Daemon for Rest {
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
pub(super) struct Adjust {
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
    /// it goes.
    pub(super) async fn serve(self, signals: Signals, manager: &Manager, level: &Level, reload: impl Fn(&Adjust)) {
        manager.ready(&self.source);
        tokio::select! {
            () = level.keep_telling() => {}
            () = self.serve_on(signals, manager, level, reload) => {}
        }
        level.tell_rest();
    }

    async fn serve_on(self, mut signals: Signals, manager: &Manager, level: &Level, reload: impl Fn(&Adjust)) {
        loop {
            tokio::select! {
                () = self.prove_life(manager) => {}
                () = self.mounted.wait() => {
                    tracing::info!("unmounted; the daemon ends");
                    manager.keep_no_more();
                    return self.stop_copies().await;
                }
                wish = signals.next() => match wish {
                    Wish::End => break,
                    Wish::Reload => {
                        manager.reloading();
                        reload(&self.adjust);
                        manager.ready(&self.source);
                    }
                    Wish::HandOver if self.is_kept => {
                        tracing::info!("the mount is left to the next daemon");
                        return self.mounted.leave();
                    }
                    Wish::HandOver => tracing::warn!("nobody keeps this mount for another daemon: it stays with this one"),
                    Wish::NextLevel => level.step(),
                }
            }
        }
        tracing::info!("asked to end");
        manager.stopping();
        manager.keep_no_more();
        self.end(signals).await;
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
    pub(super) async fn end(self, mut signals: Signals) {
        let drain_timeout = self.adjust.drain_timeout();
        let ended = async { tokio::join!(self.mounted.drain(drain_timeout), self.stop_copies()).0 };
        tokio::select! {
            drained = ended => match drained {
                Drained::Clean => tracing::info!("unmounted; everything under way was answered"),
                Drained::CutShort(count) => {
                    tracing::warn!("unmounted; {count} requests were cut short after {drain_timeout:?}");
                }
            },
            () = signals.end() => tracing::warn!("told twice to end: unmounted without waiting"),
        }
    }

    /// Calls off the copies under way: their parts would be paid for until somebody finds them.
    async fn stop_copies(&self) {
        let drain_timeout = self.adjust.drain_timeout();
        if let Some(copier) = &self.copier
            && tokio::time::timeout(drain_timeout, copier.stop()).await.is_err()
        {
            tracing::warn!("copies were cut short after {drain_timeout:?}; parts of them may be left");
        }
    }

    /// The directory mounted on.
    pub(super) fn dir(&self) -> Option<PathBuf> {
        self.mounted.dir().map(PathBuf::from)
    }
}

/// A file with the process id, for as long as this lives.
struct PidFile(PathBuf);

impl PidFile {
    fn write(path: PathBuf) -> Result<PidFile> {
        let written = File::create(&path).and_then(|mut file| writeln!(file, "{}", std::process::id()));
        match written {
            Ok(()) => Ok(PidFile(path)),
            Err(error) => Err(Problem::failure(format!("the pid file {} cannot be written: {error}", path.display()))),
        }
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = fs::remove_file(&self.0);
    }
}
