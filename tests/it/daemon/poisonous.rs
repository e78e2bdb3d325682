//! A request that kills every daemon that takes it: it is refused in the end, and no other one is.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use memmap2::MmapOptions;
use ossmount::emulator::{Emulator, Fault, FaultKind, Operation};

use crate::support::program::{Target, Tool, runs, server, until};

/// A mount whose daemon is started again when it dies, and its log.
fn supervised(server: &Emulator, target: &Target, direct_io: &str) -> String {
    let log = target.beside("log").into_os_string().into_string().unwrap();
    let args =
        ["--supervise", "--log-file", &log, "--memory-cache", "off", "--prefetch", "off", "--direct-io", direct_io];
    target.mount(&Tool::for_server(server), "oss://bucket", &args).ok();
    log
}

/// A reader of a few bytes, from some place on.
fn reader(path: &Path, at: u64) -> JoinHandle<std::io::Result<()>> {
    let file = File::open(path).unwrap();
    std::thread::spawn(move || file.read_exact_at(&mut [0; 4096], at))
}

/// Waits for another daemon than the one of this number, kills it when a condition holds, and gives its number.
fn kill(target: &Target, before: Option<u32>, signal: i32, what: &str, when: impl FnMut() -> bool) -> Option<u32> {
    until(what, when);
    until("another daemon serves", || target.daemon().is_some_and(|pid| Some(pid) != before && runs(pid)));
    let pid = target.daemon();
    // SAFETY: no memory is involved.
    assert_eq!(unsafe { libc::kill(pid.unwrap() as i32, signal) }, 0);
    pid
}

#[test]
fn a_request_that_kills_three_daemons_is_refused_and_those_beside_it_are_answered() {
    let (server, target) = (server(), Target::new());
    server.put("bucket", "poison", vec![7; 1 << 20]);
    let stall = |seconds| FaultKind::StallBeforeHeaders(Duration::from_secs(seconds));
    let poison = Fault::always(stall(600)).on(Operation::GetObject).for_keys_with("poison");
    let slow = Fault::always(stall(1)).on(Operation::GetObjectTagging);
    server.set_faults(vec![poison, slow]);
    let log = supervised(&server, &target, "on");
    let asked = |operation| server.counters().of(operation);
    let others: Vec<_> = ["a.txt", "dir/b.txt", "dir/deep/c.txt"]
        .map(|name| target.path(name))
        .into_iter()
        .map(|path| {
            let file = File::open(path).unwrap();
            std::thread::spawn(move || tags(&file))
        })
        .collect();
    until("the others are under way", || asked(Operation::GetObjectTagging) == 3);
    let guilty = reader(&target.path("poison"), 0);
    let mut daemon = None;
    for death in 1..=3 {
        let asked_again = || asked(Operation::GetObject) == death;
        daemon = kill(&target, daemon, libc::SIGABRT, "the request is under way", asked_again);
    }
    assert_eq!(guilty.join().unwrap().unwrap_err().raw_os_error(), Some(libc::EIO));
    for other in others {
        assert_eq!(other.join().unwrap(), Err(rustix::io::Errno::NODATA), "it has no tags");
    }
    assert_eq!(asked(Operation::GetObject), 3);
    server.set_faults(Vec::new());
    assert_eq!(fs::read(target.path("poison")).unwrap(), [7; 1 << 20]);
    let log = fs::read_to_string(log).unwrap();
    let told: Vec<_> = log.lines().filter(|line| line.contains("the daemon died")).collect();
    assert_eq!(told.len(), 1, "{log}");
    for words in ["WARN", "died 3 times", "op=\"read\"", "key=\"poison\"", "4096 bytes at offset 0", "handle "] {
        assert!(told[0].contains(words), "{words:?} is not in {told:?}");
    }
}

/// A program that reads or maps a few bytes; how the call ended.
type Program = fn(File) -> std::io::Result<usize>;

fn reads(file: File) -> std::io::Result<usize> {
    file.read_at(&mut [0; 4096], 1 << 20)
}

/// Has the kernel write to a socket from a mapped page: EFAULT where the page cannot be had.
fn maps(file: File) -> std::io::Result<usize> {
    let (into, _out) = UnixStream::pair()?;
    // SAFETY: nobody changes the file, and only the kernel looks at the mapping, which survives a missing page.
    let map = unsafe { MmapOptions::new().offset(1 << 20).len(8192).map(&file) }?;
    // SAFETY: the mapping is longer than what is written from it.
    let written = unsafe { libc::write(into.as_raw_fd(), map.as_ptr().cast(), 4096) };
    usize::try_from(written).map_err(|_| std::io::Error::last_os_error())
}

#[test]
fn pages_that_the_kernel_asks_for_again_by_other_requests_take_no_more_deaths() {
    for (program, refused) in [(reads as Program, libc::EIO), (maps, libc::EFAULT)] {
        let (server, target) = (server(), Target::new());
        server.put("bucket", "poison", vec![7; 4 << 20]);
        let stall = FaultKind::StallBeforeHeaders(Duration::from_secs(600));
        server.set_faults(vec![Fault::always(stall).on(Operation::GetObject)]);
        let log = supervised(&server, &target, "off");
        let file = File::open(target.path("poison")).unwrap();
        let reading = std::thread::spawn(move || program(file));
        let (mut daemon, mut seen) = (None, 0);
        for _ in 1..=3 {
            let asked = || server.counters().of(Operation::GetObject);
            daemon = kill(&target, daemon, libc::SIGKILL, "the page is asked for", || asked() > seen);
            seen = asked();
        }
        assert_eq!(reading.join().unwrap().unwrap_err().raw_os_error(), Some(refused));
        assert_eq!(server.counters().of(Operation::GetObject), seen, "no later life has asked for it");
        server.set_faults(Vec::new());
        assert!(fs::read(target.path("poison")).unwrap() == [7; 4 << 20]);
        let log = fs::read_to_string(log).unwrap();
        assert_eq!(log.lines().filter(|line| line.contains("the daemon died")).count(), 1, "{log}");
    }
}

/// Asks for the tags of an object.
fn tags(file: &File) -> rustix::io::Result<usize> {
    rustix::fs::fgetxattr(file, "user.oss.tags", &mut [0_u8; 4096])
}

#[test]
fn readers_that_are_under_way_at_many_kills_lose_one_of_their_number_for_each_from_the_third_on() {
    let (server, target) = (server(), Target::new());
    server.put("bucket", "slow", vec![7; 20 << 20]);
    let slow = Fault::always(FaultKind::StallBeforeHeaders(Duration::from_secs(600))).on(Operation::GetObject);
    server.set_faults(vec![slow]);
    supervised(&server, &target, "on");
    let readers: Vec<_> = (0..8).map(|n| reader(&target.path("slow"), n * 2_000_000)).collect();
    let mut daemon = None;
    for death in 1..=3 {
        let mut under_way = || server.counters().of(Operation::GetObject) >= if death < 3 { death * 8 } else { 17 };
        daemon = kill(&target, daemon, libc::SIGKILL, "they are under way", &mut under_way);
    }
    server.set_faults(Vec::new());
    let ended: Vec<_> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
    let refused: Vec<_> = ended.iter().filter_map(|ended| ended.as_ref().err()?.raw_os_error()).collect();
    assert_eq!(refused, [libc::EIO], "{ended:?}");
}
