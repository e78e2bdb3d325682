//! Watches the memory of the machine and of the cgroups of the daemon, and reports it to the reader.
//!
//! What follows from it is for `read` to say. Nothing here needs a right or a kernel feature: what cannot be read is
//! not observed. Where the kernel can report stalls ([`Alarms`]) it is asked to, so that a daemon
//! that does nothing sleeps; where it cannot, and near a limit, time does.
//!
//! The watch has a thread of its own: it must go on where no other thread can be made, and the kernel adds up the
//! figures of a large cgroup for milliseconds.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::base::Clock;
use crate::config::{MemoryGroup, meminfo};
use crate::fs::Fs;
use crate::read::{Alarm, Change, Headroom, Observation, Reader};

/// Stalls of this length in a window of this length wake the watch, in microseconds: first what needs a right, then
/// what a caller may ask for.
const TRIGGERS: [&str; 2] = ["some 50000 1000000", "some 150000 2000000"];
/// When an alarm rings, what was stalled since the last look was so within this.
const ALARM_WINDOW: Duration = Duration::from_secs(1);
/// After an alarm the next look is not before this: it rings for as long as a process stands still.
const AFTER_ALARM: Duration = Duration::from_millis(100);
/// A watch that has panicked begins again after this.
const PAUSE: Duration = Duration::from_secs(1);
/// Where no thread can be made, it is tried again after this.
const NEXT_TRY: Duration = Duration::from_secs(10);
/// Memory beyond what is accounted for that may be in use: the program, its stacks and connections, in bytes.
const UNACCOUNTED_BYTES: u64 = 32 << 20;
/// And a part of what is accounted for, as divisor: what allocators need between blocks.
const SLACK: u64 = 20;

/// Those whose memory is watched.
#[derive(Clone)]
pub(super) struct Watched {
    /// The owner of the read buffers, which receives the observations.
    pub(super) reader: Arc<Reader>,
    /// The file system, which holds names and attributes.
    pub(super) names: Weak<Fs>,
    /// What tells how long it was between two looks.
    pub(super) clock: Clock,
}

/// Looks until it is dropped.
pub(super) struct Watch {
    /// Closed, it ends the thread.
    _open: Option<io::PipeWriter>,
    /// What is to begin it yet.
    later: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins to look. Fails where no thread can be made.
    pub(super) fn begin(watched: Watched) -> io::Result<Watch> {
        let (closed, open) = io::pipe()?;
        thread::Builder::new().name("memory".to_owned()).spawn(move || {
            loop {
                if catch_unwind(AssertUnwindSafe(|| watch(&closed, &watched))).is_ok() {
                    return;
                }
                tracing::error!("the memory watcher panicked and is restarted");
                if wait(&closed, &mut Alarms::default(), PAUSE) == Woken::ToEnd {
                    return;
                }
            }
        })?;
        Ok(Watch { _open: Some(open), later: None })
    }

    /// Begins to look as soon as a thread can be made, for which this was the reason that none could.
    pub(super) fn later(runtime: &Handle, watched: Watched, error: io::Error) -> Watch {
        tracing::warn!(%error, "memory is not watched yet: the thread cannot be started; this is retried");
        let beginning = async move {
            loop {
                tokio::time::sleep(NEXT_TRY).await;
                if let Ok(_watch) = Watch::begin(watched.clone()) {
                    tracing::info!("memory is watched");
                    // Until this is called off.
                    return std::future::pending().await;
                }
            }
        };
        Watch { _open: None, later: Some(runtime.spawn(beginning)) }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(later) = &self.later {
            later.abort();
        }
    }
}

fn watch(closed: &io::PipeReader, watched: &Watched) {
    let Watched { reader, names, clock } = watched;
    let (mut watcher, mut alarms) = (Watcher::new(clock.clone()), Alarms::set());
    let mut woken = Woken::InTime;
    while woken != Woken::ToEnd {
        let mut seen = watcher.look(&read);
        if woken == Woken::ByAlarm {
            seen.interval = seen.interval.min(ALARM_WINDOW);
        }
        if let Some(change) = reader.observe_memory(&seen) {
            tell(change);
        }
        let accounted = reader.accounted_bytes() + names.upgrade().map_or(0, |fs| fs.names_bytes());
        tidy_up(accounted, || reader.give_back_freed());
        let pause = reader.next_observation(&seen, alarms.kind());
        woken = wait(closed, &mut alarms, pause);
        if woken == Woken::ByAlarm && wait(closed, &mut Alarms::default(), AFTER_ALARM) == Woken::ToEnd {
            woken = Woken::ToEnd;
        }
    }
}

/// Why a wait has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Woken {
    InTime,
    ByAlarm,
    ToEnd,
}

fn wait(closed: &io::PipeReader, alarms: &mut Alarms, most: Duration) -> Woken {
    let mut files = vec![PollFd::new(closed.as_fd(), PollFlags::POLLIN)];
    files.extend(alarms.0.iter().map(|alarm| PollFd::new(alarm.as_fd(), PollFlags::POLLPRI)));
    let most = PollTimeout::try_from(most).unwrap_or(PollTimeout::MAX);
    // A signal ends it early, which does no harm; what else fails would fail again at once.
    if poll(&mut files, most).is_err_and(|errno| errno != Errno::EINTR) {
        thread::sleep(PAUSE);
    }
    let rung: Vec<PollFlags> = files.iter().map(|file| file.revents().unwrap_or(PollFlags::empty())).collect();
    if !rung[0].is_empty() {
        return Woken::ToEnd;
    }
    let has_rung = rung[1..].iter().any(|events| events.contains(PollFlags::POLLPRI));
    alarms.rearm(&rung[1..]);
    if has_rung { Woken::ByAlarm } else { Woken::InTime }
}

/// Files that the kernel signals when a process stands still for lack of memory, or a cgroup has reached its limit.
#[derive(Debug, Default)]
struct Alarms(Vec<File>);

impl Alarms {
    /// Asks for what can be had.
    fn set() -> Alarms {
        let groups = MemoryGroup::all(&read(Path::new("/proc/self/cgroup")).unwrap_or_default());
        let stalls = groups.iter().filter_map(MemoryGroup::pressure_file);
        let stalls = stalls.chain([PathBuf::from("/proc/pressure/memory")]).find_map(|file| trigger(&file));
        let events = groups.iter().filter_map(MemoryGroup::events_file).filter_map(|file| File::open(file).ok());
        let mut alarms = Alarms(stalls.into_iter().chain(events).collect());
        let all = vec![PollFlags::POLLPRI; alarms.0.len()];
        alarms.rearm(&all);
        alarms
    }

    fn kind(&self) -> Alarm {
        if self.0.is_empty() { Alarm::None } else { Alarm::Kernel }
    }

    /// Those that have rung will ring again; those that cannot any more, because their cgroup is gone, are let go.
    fn rearm(&mut self, rung: &[PollFlags]) {
        let mut rung = rung.iter();
        self.0.retain_mut(|file| {
            let events = rung.next().copied().unwrap_or(PollFlags::empty());
            if events.is_empty() {
                return true;
            }
            // A file of events rings until it is read; one of stalls need not be, and can be all the same.
            let is_there = file.rewind().is_ok() && io::copy(&mut file.take(1 << 16), &mut io::sink()).is_ok();
            is_there && events.contains(PollFlags::POLLPRI)
        });
    }
}

/// A file of stalls that rings.
fn trigger(file: &Path) -> Option<File> {
    TRIGGERS.iter().find_map(|trigger| {
        let mut opened = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(file).ok()?;
        opened.write_all(&[trigger.as_bytes(), b"\0"].concat()).ok()?;
        Some(opened)
    })
}

fn tell(change: Change) {
    match change {
        Change::Short(bytes) => {
            tracing::warn!("memory is short: read buffers are evicted, down to {} MiB at first", bytes >> 20);
        }
        Change::Plentiful(bytes) => {
            tracing::info!("memory is sufficient again: read buffers may use {} MiB", bytes >> 20);
        }
    }
}

/// Where the process takes more than is accounted for, gives back what is kept of freed buffers, and what the allocator
/// keeps of freed blocks between others that are in use: half of 115 MiB after a quarter of an hour of readers of all
/// kinds on a busy machine. Takes milliseconds.
fn tidy_up(accounted_bytes: u64, give_back: impl FnOnce()) {
    let most = accounted_bytes.saturating_add(accounted_bytes / SLACK).saturating_add(UNACCOUNTED_BYTES);
    if resident_bytes() <= most {
        return;
    }
    give_back();
    #[cfg(target_env = "gnu")]
    if resident_bytes() > most {
        // SAFETY: it only looks at the allocator's own lists, under its locks.
        unsafe { libc::malloc_trim(0) };
    }
}

/// Keeps the allocator from giving most threads a heap of their own, in which it keeps what they freed, for them alone.
/// As many heaps as processors are enough, so that no thread waits; it makes up to eight times as many. To be called
/// before there are threads.
pub(super) fn share_heaps() {
    #[cfg(target_env = "gnu")]
    {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        // SAFETY: it sets a number that the allocator looks at when a thread allocates for the first time.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, i32::try_from(processors).unwrap_or(i32::MAX)) };
    }
}

/// Memory of this process that lies in RAM, in bytes; 0 where that cannot be told.
pub(super) fn resident_bytes() -> u64 {
    let pages =
        read(Path::new("/proc/self/statm")).and_then(|text| text.split_ascii_whitespace().nth(1)?.parse::<u64>().ok());
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4096);
    pages.unwrap_or(0) * page as u64
}

fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

struct Watcher {
    clock: Clock,
    groups: Vec<MemoryGroup>,
    /// The file that tells of stalls: of the innermost cgroup that has one, else of the machine.
    pressure: PathBuf,
    /// When it was read last, and what it said, if it could be read.
    last: Option<(Duration, Option<Duration>)>,
}

impl Watcher {
    fn new(clock: Clock) -> Self {
        let groups = MemoryGroup::all(&read(Path::new("/proc/self/cgroup")).unwrap_or_default());
        let pressure = groups.iter().filter_map(MemoryGroup::pressure_file).find(|file| read(file).is_some());
        let pressure = pressure.unwrap_or_else(|| PathBuf::from("/proc/pressure/memory"));
        Watcher { clock, groups, pressure, last: None }
    }

    fn look(&mut self, read: &dyn Fn(&Path) -> Option<String>) -> Observation {
        let now = self.clock.elapsed();
        let stalled = read(&self.pressure).and_then(|text| stalled(&text));
        let last = self.last.replace((now, stalled));
        let interval = last.map_or(Duration::ZERO, |(then, _)| now.saturating_sub(then));
        let stalled = match (last.and_then(|(_, before)| before), stalled) {
            (Some(before), Some(stalled)) => stalled.saturating_sub(before),
            _ => Duration::ZERO,
        };
        let of_group = |group: &MemoryGroup| {
            let limit_bytes = group.limit(read)?;
            Some(Headroom { limit_bytes, free_bytes: limit_bytes.saturating_sub(group.used(read)?) })
        };
        let limits = self.groups.iter().filter_map(of_group).chain(machine(read)).collect();
        Observation { interval, stalled, limits }
    }
}

fn machine(read: &dyn Fn(&Path) -> Option<String>) -> Option<Headroom> {
    let text = read(Path::new("/proc/meminfo"))?;
    Some(Headroom { limit_bytes: meminfo(&text, "MemTotal")?, free_bytes: meminfo(&text, "MemAvailable")? })
}

/// How long some task stood still since the start, in the text of a pressure file.
fn stalled(text: &str) -> Option<Duration> {
    let line = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let micros = line.split(' ').find_map(|field| field.strip_prefix("total="))?;
    micros.trim().parse().ok().map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;

    fn watcher(groups: &str) -> Watcher {
        let clock = Clock::manual(Timestamp::from_unix(0));
        Watcher { clock, groups: MemoryGroup::all(groups), pressure: "/pressure".into(), last: None }
    }

    #[test]
    fn stalls_count_from_one_look_to_the_next() {
        let mut watcher = watcher("");
        let mut look = |micros: Option<u64>| {
            watcher.clock.advance(Duration::from_secs(2));
            let text =
                micros.map(|micros| format!("some avg10=0.00 avg60=0.00 avg300=0.00 total={micros}\nfull total=9\n"));
            let seen = watcher.look(&|path| text.clone().filter(|_| path == Path::new("/pressure")));
            (seen.interval.as_secs(), seen.stalled.as_micros())
        };
        let texts = [Some(500), Some(700), None, Some(900), Some(900), Some(1)];
        assert_eq!(texts.map(&mut look), [(0, 0), (2, 200), (2, 0), (2, 0), (2, 0), (2, 0)]);
    }

    #[test]
    fn every_limit_on_the_way_up_and_the_machine_are_looked_at() {
        let files = [
            ("/sys/fs/cgroup/pods/pod1/memory.max", "1000\n"),
            ("/sys/fs/cgroup/pods/pod1/memory.current", "900\n"),
            ("/sys/fs/cgroup/pods/pod1/memory.stat", "inactive_file 500\n"),
            ("/sys/fs/cgroup/pods/memory.max", "max\n"),
            ("/sys/fs/cgroup/pods/memory.high", "2000\n"),
            ("/sys/fs/cgroup/pods/memory.current", "2001\n"),
            ("/proc/meminfo", "MemTotal: 8 kB\nMemAvailable: 4 kB\n"),
        ];
        let read = |path: &Path| files.iter().find(|(name, _)| Path::new(name) == path).map(|(_, text)| (*text).into());
        let seen = watcher("0::/pods/pod1\n").look(&read);
        let limits: Vec<_> = seen.limits.iter().map(|room| (room.limit_bytes, room.free_bytes)).collect();
        assert_eq!(limits, [(1000, 600), (2000, 0), (8192, 4096)]);
        assert_eq!(watcher("").look(&|_| None), Observation::default());
    }

    #[test]
    fn what_is_free_between_what_is_in_use_is_given_back() {
        let mut blocks: Vec<_> = (0..1000).map(|_| Some(vec![1_u8; 60 << 10])).collect();
        blocks.iter_mut().step_by(2).for_each(|block| *block = None);
        let before = resident_bytes();
        tidy_up(u64::MAX, || panic!("nothing need be given back"));
        let kept = resident_bytes();
        let mut is_asked = false;
        tidy_up(0, || is_asked = true);
        let after = resident_bytes();
        assert!(is_asked, "what is kept for new buffers goes first");
        assert!(kept + (8 << 20) > before && after + (16 << 20) < before, "{before}, {kept}, {after}");
        assert!(blocks.iter().flatten().all(|block| block.len() == 60 << 10));
    }

    #[test]
    #[cfg(target_env = "gnu")]
    fn threads_share_as_many_heaps_as_there_are_processors() {
        // Heaps are the whole process's, and `cargo test` runs all tests in one: a process of its own counts them.
        const ALONE: &str = "OSSMOUNT_TEST_COUNTS_HEAPS";
        if std::env::var_os(ALONE).is_none() {
            let name = "app::daemon::pressure::tests::threads_share_as_many_heaps_as_there_are_processors";
            let mut command = std::process::Command::new(std::env::current_exe().unwrap());
            let output = command.args([name, "--exact", "--test-threads=1"]).env(ALONE, "1").output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && said.contains("1 passed"), "{said}");
            return;
        }
        share_heaps();
        let processors = std::thread::available_parallelism().unwrap().get();
        let all_hold = std::sync::Barrier::new(4 * processors);
        std::thread::scope(|scope| {
            for _ in 0..4 * processors {
                scope.spawn(|| {
                    let held = std::hint::black_box(vec![1_u8; 60 << 10]);
                    all_hold.wait();
                    drop(held);
                });
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("heaps");
        let name = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
        // SAFETY: both strings end with a zero, and the stream is open until it is closed.
        let told = unsafe {
            let stream = libc::fopen(name.as_ptr(), c"w".as_ptr());
            assert!(!stream.is_null());
            (libc::malloc_info(0, stream), libc::fclose(stream))
        };
        assert_eq!(told, (0, 0));
        let heaps = fs::read_to_string(&path).unwrap().matches("<heap nr=").count();
        // A thread of the tests had one before.
        assert!((1..=processors.max(2)).contains(&heaps), "{heaps} heaps for {processors} processors");
    }

    #[test]
    fn a_watch_is_woken_by_an_alarm_and_by_its_end() {
        let (closed, open) = io::pipe().unwrap();
        let none = &mut Alarms::default();
        assert_eq!(wait(&closed, none, Duration::from_millis(1)), Woken::InTime);
        // A socket that gets a byte out of band rings as such a file does.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let ringing = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (heard, _) = listener.accept().unwrap();
        nix::sys::socket::send(std::os::fd::AsRawFd::as_raw_fd(&ringing), b"!", nix::sys::socket::MsgFlags::MSG_OOB)
            .unwrap();
        let mut alarms = Alarms(vec![File::from(std::os::fd::OwnedFd::from(heard))]);
        assert_eq!(alarms.kind(), Alarm::Kernel);
        assert_eq!(wait(&closed, &mut alarms, Duration::from_secs(60)), Woken::ByAlarm);
        assert_eq!(alarms.kind(), Alarm::None, "what cannot be read is let go");
        drop(open);
        assert_eq!(wait(&closed, &mut Alarms::default(), Duration::from_secs(60)), Woken::ToEnd);
    }

    #[test]
    fn a_file_that_is_there_stays_and_one_that_is_gone_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("memory.events");
        fs::write(&path, "max 0\n").unwrap();
        let open = || File::open(&path).unwrap();
        let mut alarms = Alarms(vec![open(), open(), open()]);
        alarms.rearm(&[PollFlags::empty(), PollFlags::POLLPRI | PollFlags::POLLERR, PollFlags::POLLERR]);
        assert_eq!(alarms.0.len(), 2, "an error alone means that the cgroup is gone");
        assert!(trigger(&folder.path().join("none")).is_none());
    }

    #[test]
    fn what_is_no_pressure_file_tells_nothing() {
        for text in ["", "some", "some total=", "some total=-1", "full total=5"] {
            assert_eq!(stalled(text), None, "{text}");
        }
    }
}
