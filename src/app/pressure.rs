//! Watches the memory of the machine and of the cgroups that the daemon is in, and tells the reader what it sees.
//!
//! What follows from it is for `read` to say. Nothing here needs a right or a kernel feature: what cannot be read is
//! not observed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::base::Clock;
use crate::config::{MemoryGroup, meminfo};
use crate::read::{Change, Headroom, Observation, Reader};

/// How often to look. Memory that runs out takes longer where pages of files can be dropped first.
const EVERY: Duration = Duration::from_secs(1);

/// Looks until it is dropped.
pub(super) struct Watch(JoinHandle<()>);

impl Watch {
    /// Begins to look, on this runtime.
    pub(super) fn begin(runtime: &Handle, reader: Arc<Reader>, clock: Clock) -> Watch {
        Watch(runtime.spawn(async move {
            let mut watcher = Watcher::new(clock);
            loop {
                tokio::time::sleep(EVERY).await;
                let limit_bytes = reader.memory_limit();
                // The kernel adds up the figures of a large cgroup for milliseconds.
                let looked = tokio::task::spawn_blocking(move || {
                    tidy_up(limit_bytes);
                    (watcher.look(&read), watcher)
                });
                let looked = looked.await;
                let Ok((seen, looking)) = looked else { return };
                watcher = looking;
                if let Some(change) = reader.observe_memory(&seen) {
                    tell(change);
                }
            }
        }))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn tell(change: Change) {
    match change {
        Change::Short(bytes) => {
            tracing::warn!("memory is short: read buffers are given up, down to {} MiB at first", bytes >> 20);
        }
        Change::Plentiful(bytes) => {
            tracing::info!("memory is plentiful again: read buffers may take {} MiB", bytes >> 20);
        }
    }
}

/// Where the process takes more than its buffers may, gives back what the allocator keeps of freed ones between others that
/// are in use: half of 115 MiB after a quarter of an hour of readers of all kinds on a busy machine. Takes milliseconds.
fn tidy_up(limit_bytes: u64) {
    #[cfg(target_env = "gnu")]
    if resident_bytes() > limit_bytes {
        // SAFETY: it only looks at the allocator's own lists, under its locks.
        unsafe { libc::malloc_trim(0) };
    }
}

/// Keeps the allocator from giving most threads a heap of their own, in which it keeps what they freed, for them alone. As
/// many heaps as processors are enough for nobody to wait; it makes up to eight times as many. To be called before there
/// are threads.
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
    last: Option<(Duration, Duration)>,
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
        let last = std::mem::replace(&mut self.last, stalled.map(|stalled| (now, stalled)));
        let (interval, stalled) = match (last, stalled) {
            (Some((then, before)), Some(stalled)) => (now.saturating_sub(then), stalled.saturating_sub(before)),
            _ => (Duration::ZERO, Duration::ZERO),
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
        assert_eq!(texts.map(&mut look), [(0, 0), (2, 200), (0, 0), (0, 0), (2, 0), (2, 0)]);
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
        tidy_up(u64::MAX);
        let kept = resident_bytes();
        tidy_up(0);
        let after = resident_bytes();
        assert!(kept + (8 << 20) > before && after + (16 << 20) < before, "{before}, {kept}, {after}");
        assert!(blocks.iter().flatten().all(|block| block.len() == 60 << 10));
    }

    #[test]
    #[cfg(target_env = "gnu")]
    fn threads_share_as_many_heaps_as_there_are_processors() {
        // Heaps are the whole process's, and `cargo test` runs all tests in one: a process of its own counts them.
        const ALONE: &str = "OSSMOUNT_TEST_COUNTS_HEAPS";
        if std::env::var_os(ALONE).is_none() {
            let name = "app::pressure::tests::threads_share_as_many_heaps_as_there_are_processors";
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
    fn what_is_no_pressure_file_tells_nothing() {
        for text in ["", "some", "some total=", "some total=-1", "full total=5"] {
            assert_eq!(stalled(text), None, "{text}");
        }
    }
}
