//! A live mount: its threads, its end.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use fuser::{Config, Session, SessionACL};
use parking_lot::{Condvar, Mutex};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::answer::{Answers, InFlight};
use super::attach::{self, Point};
use super::bridge::Bridge;
use super::caller::{self, Sight};
use super::ops::Kernel;
use super::read_ahead::ReadAhead;
use super::resume_session::{self, Spot, Terms};
use super::{Access, BridgeUse, Kept, MountError, Notifier, Options, Place, Target, request_limit};
use crate::fs::{Fs, StillOpen};

/// How long dropping a mount waits for its threads. Files that programs hold open keep them, lawfully.
const PATIENCE: Duration = Duration::from_secs(5);

/// Mounts a file system, and returns once the kernel has had an answer through it.
///
/// Operations that wait do so on `runtime`, a multi-threaded one with its timer enabled, which must outlive the
/// mount. Blocks for some milliseconds.
pub fn mount(fs: Arc<Fs>, target: Target, options: Options, runtime: Handle) -> Result<Mounted, MountError> {
    let in_flight = Arc::new(InFlight::default());
    // Before the mount is there, which is held to what the limit is then.
    request_limit::raise(options.max_request_bytes);
    let bridge = bridge(&fs, &runtime, &in_flight, &options)?;
    let Connection { device, point, pid_namespace, terms, open } = Connection::to(target, &options)?;
    let sight = Sight::of_mount_in(pid_namespace.as_deref());
    note_spot(&fs, point.as_ref(), pid_namespace);
    let answers = Answers::new(runtime, options.answer_limit, in_flight.clone(), fs.suspects().clone());
    let device = Arc::new(device);
    let kernel = Kernel::new(fs.clone(), device.clone(), &open, answers, sight, bridge.clone(), &options);
    let (read_ahead, twins) = (kernel.read_ahead.clone(), kernel.twins());
    // The kernel lets in all but the owner unless told; between the others only the crate can tell.
    let acl = if options.access == Access::OwnerAndRoot { SessionACL::RootAndOwner } else { SessionACL::All };
    let config = config(&options, fs.ledger().is_none());
    let session = match terms {
        Some(terms) => resume_session::session(kernel, &device, terms, acl, config),
        None => device.try_clone().and_then(|device| Session::from_fd(kernel, device, acl, config)),
    };
    let started = session.and_then(|session| {
        let kernel = session.notifier();
        if terms.is_some() {
            // Before anything is taken from the device: what this life has taken would be sent to it twice.
            resume_session::ask_again(&device)?;
        }
        let ended = serve(session)?;
        Ok((Notifier::start(kernel, bridge, twins)?, ended))
    });
    let device = fs.ledger().is_some().then_some(device);
    let (notifier, ended) = match started {
        Ok(started) => started,
        Err(error) => {
            // One that goes on is left to the next life: what failed here, as for lack of threads, may not last.
            if let Some(point) = point.filter(|_| terms.is_none()) {
                let _ = point.detach();
            }
            return Err(MountError::Handshake(error));
        }
    };
    fs.set_notifier(Some(notifier.clone()));
    let mounted = Mounted { fs, point, device, read_ahead, notifier, in_flight, ended };
    match mounted.settle_in(&options) {
        Err(error) if terms.is_some() => tracing::warn!(%error, "the mount continues, although a step of its start \
                                                                 failed"),
        settled => settled?,
    }
    Ok(mounted)
}

/// The bridge, where the options want one and it can be had.
fn bridge(
    fs: &Arc<Fs>,
    runtime: &Handle,
    in_flight: &Arc<InFlight>,
    options: &Options,
) -> Result<Option<Arc<Bridge>>, MountError> {
    if options.bridge == BridgeUse::Off {
        return Ok(None);
    }
    let answers = Answers::new(runtime.clone(), options.answer_limit, in_flight.clone(), fs.suspects().clone());
    let started = match fs.ledger() {
        Some(_) => Err("the mount is to outlive its daemon, and the pages of the bridge would not".to_owned()),
        None => Bridge::start(answers, options.bridge_thread_count(), options.read_ahead_kib, options.bridge),
    };
    match started {
        Ok(bridge) => Ok(Some(bridge)),
        Err(why) if options.bridge != BridgeUse::Auto => Err(MountError::NoBridge(why)),
        Err(why) => {
            tracing::info!(why, "large files are not read through the bridge");
            fs.withhold_pages(why);
            Ok(None)
        }
    }
}

/// A connection to the kernel.
struct Connection {
    device: OwnedFd,
    /// None where another process has mounted.
    point: Option<Point>,
    /// Where the numbers of callers mean something, if that is known.
    pid_namespace: Option<String>,
    /// What was agreed on in an earlier life, and what is open from it.
    terms: Option<Terms>,
    open: Vec<StillOpen>,
}

impl Connection {
    fn to(target: Target, options: &Options) -> Result<Connection, MountError> {
        match target.place {
            Place::Directory(dir) => {
                let (device, point) = attach::attach(&dir, &target.source, options)?;
                let pid_namespace = caller::own_namespace();
                Ok(Connection { device, point: Some(point), pid_namespace, terms: None, open: Vec::new() })
            }
            Place::Device(device) => {
                Ok(Connection { device, point: None, pid_namespace: None, terms: None, open: Vec::new() })
            }
            Place::Kept(Kept { device, notes: [spot, terms], open }) => {
                let lost = |error: serde_json::Error| MountError::Lost(error.into());
                let spot: Spot = serde_json::from_str(&spot).map_err(lost)?;
                let terms = Some(serde_json::from_str(&terms).map_err(lost)?);
                let point = Some(spot.find(options).map_err(MountError::Lost)?);
                Ok(Connection { device, point, pid_namespace: spot.pid_namespace, terms, open })
            }
        }
    }
}

/// Writes down where the mount is, for a later life.
fn note_spot(fs: &Fs, point: Option<&Point>, pid_namespace: Option<String>) {
    let (Some(ledger), Some(point)) = (fs.ledger(), point) else { return };
    let spot = Spot { dir: point.dir().to_owned(), device: point.device(), pid_namespace };
    match serde_json::to_string(&spot) {
        Ok(spot) => ledger.note(resume_session::MOUNT, &spot),
        Err(error) => tracing::warn!(%error, "the path of the mount point cannot be recorded in the ledger"),
    }
}

/// A clone of the device takes what it was asked with it when the process ends, and the kernel answers for it: where
/// the mount shall outlive the process there are none.
fn config(options: &Options, clones: bool) -> Config {
    let mut config = Config::default();
    config.n_threads = Some(options.thread_count());
    // The crate opens the device anew for each clone, which a user may not do where `fusermount3` mounted.
    config.clone_fd = clones && File::options().read(true).write(true).open("/dev/fuse").is_ok();
    config
}

/// Runs a session on threads of its own.
fn serve(session: Session<Kernel>) -> io::Result<Arc<Ended>> {
    let ended = Arc::new(Ended::default());
    let shared = ended.clone();
    thread::Builder::new().name("fuse-session".to_owned()).spawn(move || {
        if let Err(error) = session.run() {
            tracing::error!(%error, "the FUSE session failed");
            shared.broke.lock().get_or_insert(error.to_string());
        }
        shared.set();
    })?;
    Ok(ended)
}

/// A live mount. Dropping it unmounts; what another process has mounted in its place by then is left alone.
#[derive(Debug)]
pub struct Mounted {
    fs: Arc<Fs>,
    /// None where another process mounted, and will unmount.
    point: Option<Point>,
    /// Where the mount shall outlive the process.
    device: Option<Arc<OwnedFd>>,
    read_ahead: Arc<ReadAhead>,
    notifier: Arc<Notifier>,
    in_flight: Arc<InFlight>,

    ended: Arc<Ended>,
}

/// How a drain ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Drained {
    /// Every request was answered.
    Clean,
    /// The time was over with this many requests unanswered.
    CutShort(usize),
}

impl Mounted {
    /// The directory mounted on, absolute and without links; none where a device was given.
    pub fn dir(&self) -> Option<&Path> {
        self.point.as_ref().map(Point::dir)
    }

    /// The device to keep for a later life of the daemon; none where the kernel, or the way it was mounted, does not
    /// allow one.
    pub fn device(&self) -> Option<BorrowedFd<'_>> {
        let can = self.point.is_some() && self.fs.ledger().is_some_and(|ledger| ledger.has_note(resume_session::TERMS));
        self.device.as_ref().filter(|_| can).map(|device| device.as_fd())
    }

    /// Leaves the mount to a later life: it stays, and what is not answered will be asked again. The process must end.
    pub fn leave(mut self) {
        self.point = None;
    }

    /// The same where this process ends because it was asked to, and not because of what it was asked for.
    pub fn hand_over(self) {
        if let Some(ledger) = self.fs.ledger() {
            ledger.hands_over();
        }
        self.leave();
    }

    /// Takes the mount out of the tree of names. Programs that have files open keep reading until they close them,
    /// and the session lives until then. Does nothing when it is out already, or where a device was given.
    pub fn unmount(&self) -> Result<(), MountError> {
        self.fs.set_notifier(None);
        self.notifier.stop();
        match &self.point {
            // After the end of the mount the directory, and even the mount's number, may be another's. One whose
            // session broke is still there, and would be dead.
            Some(point) if !self.ended.is_set() || self.broke().is_some() => point.detach(),
            _ => Ok(()),
        }
    }

    /// Becomes true when the session with the kernel has ended.
    pub fn ended(&self) -> watch::Receiver<bool> {
        self.ended.watch.subscribe()
    }

    /// Why the session ended, where it was not the end of the mount: for lack of threads, most likely.
    pub fn broke(&self) -> Option<String> {
        self.ended.broke.lock().clone()
    }

    /// Waits until the mount is gone and no program has a file of it open.
    pub async fn wait(&self) {
        let mut watch = self.ended.watch.subscribe();
        // Fails only when the sender is gone, which `self` holds.
        let _ = watch.wait_for(|ended| *ended).await;
    }

    /// Unmounts, refuses new requests, and answers those in flight for at most `limit`. Programs with open files are
    /// cut off when this process ends.
    pub async fn drain(&self, limit: Duration) -> Drained {
        if let Err(error) = self.unmount() {
            tracing::warn!(%error, "could not unmount");
        }
        self.in_flight.close();
        let answered = async {
            tokio::select! {
                () = self.wait() => {}
                () = self.in_flight.drained() => {}
            }
        };
        match tokio::time::timeout(limit, answered).await {
            Ok(()) => Drained::Clean,
            Err(_) => Drained::CutShort(self.in_flight.count()),
        }
    }

    /// Checks that the kernel gets answers, and widens its readahead.
    fn settle_in(&self, options: &Options) -> Result<(), MountError> {
        let Some(point) = &self.point else { return Ok(()) };
        attach::ask(point.dir()).map_err(|error| MountError::NoAnswer(point.dir().to_owned(), error))?;
        if let Some(why) = self.broke() {
            return Err(MountError::Handshake(io::Error::other(why)));
        }
        self.read_ahead.widen(point.device(), options.read_ahead_kib);
        Ok(())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Err(error) = self.unmount() {
            tracing::warn!(%error, "could not unmount");
        }
        // After a drain nothing is left to wait for but files that programs keep open, and this process ends them.
        if self.point.is_some() && !self.in_flight.is_closed() {
            self.ended.wait_at_most(PATIENCE);
        }
    }
}

/// Whether the session has ended, for threads and for tasks.
#[derive(Debug, Default)]
struct Ended {
    done: Mutex<bool>,
    /// Why, where it was not the end of the mount.
    broke: Mutex<Option<String>>,
    changed: Condvar,
    watch: watch::Sender<bool>,
}

impl Ended {
    fn set(&self) {
        *self.done.lock() = true;
        self.changed.notify_all();
        self.watch.send_replace(true);
    }

    fn is_set(&self) -> bool {
        *self.done.lock()
    }

    fn wait_at_most(&self, limit: Duration) {
        let mut done = self.done.lock();
        self.changed.wait_while_for(&mut done, |done| !*done, limit);
    }
}
