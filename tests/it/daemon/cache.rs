//! The disk cache of daemons of their own: what the next one finds, what several share, what becomes of it when one
//! dies or the disk fails.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ossmount::base::ByteSize;
use ossmount::emulator::{Emulator, Shaping};
use serde_json::Value;

use crate::conformance::pattern;
use crate::support::program::{Target, Tool, kill, runs, server, until};

const MIB: usize = 1 << 20;
const SIZE: usize = 24 * MIB + 4321;

/// A server with one large object, and a directory for a cache.
struct Bench {
    server: Emulator,
    bytes: Vec<u8>,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        let (server, bytes) = (server(), pattern(SIZE).to_vec());
        server.put("bucket", "model", bytes.clone());
        Bench { server, bytes, folder: tempfile::tempdir().unwrap() }
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    fn mount(&self, more: &[&str]) -> Target {
        let target = Target::new();
        let cache = self.cache();
        let mut args = vec!["--cache-dir", cache.to_str().unwrap(), "--cache-free", "1MiB", "--cache-dir-any"];
        args.extend(more);
        target.mount(&Tool::for_server(&self.server), "oss://bucket", &args).ok();
        target
    }

    fn read(&self, target: &Target) {
        let mut all = Vec::new();
        File::open(target.path("model")).unwrap().read_to_end(&mut all).unwrap();
        assert!(all == self.bytes);
    }

    /// What the command shows of the cache.
    fn survey(&self, command: &str) -> Value {
        let cache = self.cache();
        let ended = Tool::bare().run(&["cache", command, "--json", cache.to_str().unwrap()]);
        serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
    }
}

fn metrics(target: &Target) -> Value {
    let status: Value =
        serde_json::from_str(&Tool::bare().run(&["status", "--json", target.dir()]).ok().stdout).unwrap();
    status["metrics"].clone()
}

fn metric(target: &Target, name: &str) -> u64 {
    metrics(target)[name].as_u64().unwrap_or_else(|| panic!("no {name}"))
}

fn unmount(target: Target) {
    Tool::bare().run(&["umount", target.dir()]).ok();
}

fn data(cache: &Path) -> PathBuf {
    let objects = fs::read_dir(cache.join("ossmount-1/o")).unwrap().map(|entry| entry.unwrap().path());
    let mut files = objects.flat_map(|dir| fs::read_dir(dir).unwrap()).map(|entry| entry.unwrap().path());
    files.find(|file| file.extension().unwrap() != "m").unwrap()
}

#[test]
fn the_next_mount_fetches_nothing_and_the_kernel_reads_by_itself() {
    let bench = Bench::new();
    let first = bench.mount(&[]);
    bench.read(&first);
    unmount(first);
    let found = bench.survey("status");
    assert_eq!((found["objects"].as_u64(), found["complete_objects"].as_u64()), (Some(1), Some(1)), "{found}");
    assert_eq!(found["bytes"].as_u64(), Some(SIZE as u64));
    let second = bench.mount(&[]);
    bench.read(&second);
    assert_eq!(metric(&second, "get_requests"), 0);
    assert_eq!(metric(&second, "passthrough_opens"), 1);
    unmount(second);
    // Where the kernel must not, the bytes come from the disk by way of the daemon.
    let third = bench.mount(&["--control-socket", "off", "--passthrough", "off", "--verify", "crc64"]);
    bench.read(&third);
    assert_eq!(metric(&third, "get_requests"), 0);
    unmount(third);
}

#[test]
fn an_object_that_was_overwritten_is_fetched_anew() {
    let bench = Bench::new();
    let first = bench.mount(&[]);
    bench.read(&first);
    unmount(first);
    let other: Vec<u8> = bench.bytes.iter().map(|byte| byte ^ 0x55).collect();
    bench.server.put("bucket", "model", other.clone());
    let second = bench.mount(&[]);
    assert!(fs::read(second.path("model")).unwrap() == other);
    assert!(metric(&second, "get_requests") > 0);
    unmount(second);
    assert_eq!(bench.survey("status")["objects"].as_u64(), Some(2), "both versions are kept");
}

#[test]
fn what_a_daemon_that_was_killed_had_written_is_there() {
    let bench = Bench::new();
    // Only what is asked for comes.
    let first = bench.mount(&["--prefetch", "off"]);
    let file = File::open(first.path("model")).unwrap();
    file.read_exact_at(&mut vec![0; 9 * MIB], 0).unwrap();
    until("something is written", || metric(&first, "disk_written_bytes") > 0);
    let daemon = first.daemon().unwrap();
    kill(daemon, libc::SIGKILL);
    until("the daemon is gone", || !runs(daemon));
    drop((file, first));
    let found = bench.survey("verify");
    assert_eq!(found["wrong_blocks"].as_u64(), Some(0), "{found}");
    let second = bench.mount(&[]);
    bench.read(&second);
    assert!(metric(&second, "disk_read_bytes") > 0);
    unmount(second);
    assert_eq!(bench.survey("status")["complete_objects"].as_u64(), Some(1), "what was missing came since");
}

#[test]
fn mounts_share_a_directory_while_both_live() {
    let bench = Bench::new();
    let (one, other) = (bench.mount(&[]), bench.mount(&[]));
    bench.read(&one);
    until("all of it is on disk", || metric(&one, "disk_written_bytes") == SIZE as u64);
    bench.read(&other);
    assert_eq!(metric(&other, "get_requests"), 0);
    let cache = bench.cache();
    Tool::bare().run(&["cache", "clear", cache.to_str().unwrap()]).fails(1, &["a mount uses", "unmount it first"]);
    unmount(one);
    unmount(other);
    until("the directory is let go of", || {
        Tool::bare().run(&["cache", "clear", cache.to_str().unwrap()]).status == Some(0)
    });
    assert_eq!(bench.survey("status")["objects"].as_u64(), Some(0));
}

#[test]
fn mounts_that_read_an_object_at_once_fetch_it_once() {
    let bench = Bench::new();
    let shaping =
        Shaping { ttfb: Duration::from_millis(20), total_bandwidth: Some(ByteSize(60_000_000)), ..Shaping::default() };
    bench.server.set_shaping(shaping);
    let mounts = [(); 4].map(|()| bench.mount(&[]));
    std::thread::scope(|scope| mounts.iter().for_each(|mount| drop(scope.spawn(|| bench.read(mount)))));
    let fetched: u64 = mounts.iter().map(|mount| metric(mount, "bytes_fetched")).sum();
    assert!(fetched * 100 <= SIZE as u64 * 105, "{fetched} bytes of {SIZE}");
    mounts.into_iter().for_each(unmount);
}

/// Ends a daemon, also when the test fails.
struct EndsDaemon(i32);

impl Drop for EndsDaemon {
    fn drop(&mut self) {
        // SAFETY: no memory is involved.
        unsafe { libc::kill(self.0, libc::SIGKILL) };
    }
}

#[test]
fn a_daemon_that_is_stopped_holds_up_no_other() {
    let bench = Bench::new();
    let (one, other) = (bench.mount(&[]), bench.mount(&[]));
    fs::metadata(one.path("model")).unwrap();
    bench.server.set_shaping(Shaping { ttfb: Duration::from_secs(600), ..Shaping::default() });
    std::thread::scope(|scope| {
        let read = || File::open(one.path("model")).and_then(|mut file| file.read_to_end(&mut Vec::new()));
        let reader = scope.spawn(read);
        let daemon = EndsDaemon(one.daemon().unwrap() as i32);
        until("it fetches", || metric(&one, "get_requests") > 0);
        // SAFETY: no memory is involved.
        assert_eq!(unsafe { libc::kill(daemon.0, libc::SIGSTOP) }, 0);
        bench.server.set_shaping(Shaping::default());
        bench.read(&other);
        assert!(metric(&other, "disk_waits") > 0);
        drop(daemon);
        assert!(reader.join().unwrap().is_err());
    });
    unmount(other);
}

#[test]
fn memory_does_not_keep_what_the_disk_has() {
    let bench = Bench::new();
    let first = bench.mount(&[]);
    bench.read(&first);
    unmount(first);
    let second = bench.mount(&["--passthrough", "off"]);
    bench.read(&second);
    let held = metric(&second, "buffer_bytes");
    assert!(held <= SIZE as u64 / 2, "{held} bytes in memory");
    bench.read(&second);
    assert_eq!((metric(&second, "get_requests"), metric(&second, "disk_corrupt")), (0, 0));
    unmount(second);
}

#[test]
fn a_disk_that_vanishes_is_no_reader_s_business() {
    let bench = Bench::new();
    for number in 0..6 {
        bench.server.put("bucket", &format!("other-{number}"), bench.bytes.clone());
    }
    let target = bench.mount(&["--memory-limit", "64MiB"]);
    bench.read(&target);
    fs::remove_dir_all(bench.cache()).unwrap();
    for number in 0..6 {
        assert!(fs::read(target.path(&format!("other-{number}"))).unwrap() == bench.bytes);
    }
    bench.read(&target);
    assert!(metric(&target, "disk_errors") > 0 && metric(&target, "read_errors") == 0);
    unmount(target);
}

#[test]
fn bytes_that_rot_on_disk_are_fetched_again() {
    let bench = Bench::new();
    let first = bench.mount(&[]);
    bench.read(&first);
    unmount(first);
    let file = File::options().write(true).open(data(&bench.cache())).unwrap();
    file.write_all_at(&[bench.bytes[7 * MIB] ^ 1], 7 * MIB as u64).unwrap();
    let found = bench.survey("verify");
    assert_eq!(found["wrong_blocks"].as_u64(), Some(1), "{found}");
    let second = bench.mount(&[]);
    bench.read(&second);
    assert!(metric(&second, "get_requests") > 0 && metric(&second, "bytes_fetched") < 9 * MIB as u64);
    unmount(second);
}

#[test]
fn a_directory_that_cannot_be_used_ends_the_mount_with_a_sentence() {
    let bench = Bench::new();
    let target = Target::new();
    let cache = bench.cache();
    let mount = |args: &[&str]| target.mount(&Tool::for_server(&bench.server), "oss://bucket", args);
    let dir = cache.to_str().unwrap();
    mount(&["--cache-dir", dir, "--cache-free", "100TiB"]).fails(1, &["cache-free", "make room"]);
    mount(&["--cache-size", "1GiB"]).fails(2, &["cache-size", "cache-dir"]);
    mount(&["--cache-dir", "/proc/nothing"]).fails(1, &["the disk cache cannot be used"]);
    Tool::bare().run(&["cache", "status", "/proc/nothing"]).fails(1, &["is not a directory"]);
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let memory = memory.path().to_str().unwrap();
    mount(&["--cache-dir", memory, "--cache-free", "1MiB"]).fails(1, &["in memory", "cache-dir-any"]);
    mount(&["--cache-dir", "/dev/shm"]).fails(1, &["other users may write", "name a directory below it"]);
}

/// The value of an extended attribute.
fn attribute(target: &Target, file: &str, name: &str) -> String {
    let mut value = [0; 64];
    let len = rustix::fs::getxattr(target.path(file), name, &mut value).unwrap();
    String::from_utf8(value[..len].to_vec()).unwrap()
}

#[test]
fn more_than_memory_holds_is_prefetched_to_disk_and_dropped_from_it() {
    let bench = Bench::new();
    for number in 0..5 {
        bench.server.put("bucket", &format!("dir/{number}"), bench.bytes.clone());
    }
    for number in 0..50 {
        bench.server.put("bucket", &format!("dir/small-{number}"), format!("{number}"));
    }
    let first = bench.mount(&["--memory-limit", "64MiB", "--prefetch", "off"]);
    let dir = first.path("dir");
    let told = Tool::bare().run(&["prefetch", "--wait", "--to", "disk", dir.to_str().unwrap()]).ok();
    assert!(told.stdout.contains("57 files") && told.stdout.contains("on disk"), "{told:?}");
    assert_eq!(attribute(&first, "dir/3", "user.oss.cached"), SIZE.to_string());
    assert_eq!(attribute(&first, "model", "user.oss.cached"), "0");
    unmount(first);
    assert_eq!(bench.survey("status")["complete_objects"].as_u64(), Some(57));
    let second = bench.mount(&[]);
    for number in 0..5 {
        assert!(fs::read(second.path(&format!("dir/{number}"))).unwrap() == bench.bytes);
    }
    for number in 0..50 {
        assert_eq!(fs::read_to_string(second.path(&format!("dir/small-{number}"))).unwrap(), number.to_string());
    }
    assert_eq!(metric(&second, "get_requests"), 0);
    let request = r#"{"op":"drop","path":"dir"}"#;
    Tool::bare().run(&["control", second.dir(), request]).ok();
    assert_eq!(bench.survey("status")["objects"].as_u64(), Some(0));
    assert!(fs::read(second.path("dir/0")).unwrap() == bench.bytes);
    assert!(metric(&second, "get_requests") > 0);
    unmount(second);
    let third = Target::new();
    third.mount(&Tool::for_server(&bench.server), "oss://bucket", &[]).ok();
    Tool::bare().run(&["prefetch", "--to", "disk", third.dir()]).fails(1, &["no disk cache", "cache-dir"]);
    unmount(third);
}

#[test]
fn what_is_pinned_is_not_evicted_from_disk() {
    let bench = Bench::new();
    for number in 0..4 {
        bench.server.put("bucket", &format!("other-{number}"), bench.bytes.clone());
    }
    let target = bench.mount(&["--cache-size", "64MiB"]);
    Tool::bare().run(&["control", target.dir(), r#"{"op":"pin","path":"model"}"#]).ok();
    until("it is on disk", || attribute(&target, "model", "user.oss.cached") == SIZE.to_string());
    for number in 0..4 {
        assert!(fs::read(target.path(&format!("other-{number}"))).unwrap() == bench.bytes);
    }
    until("something had to go", || metric(&target, "disk_evicted_bytes") + metric(&target, "disk_writes_dropped") > 0);
    assert_eq!(attribute(&target, "model", "user.oss.cached"), SIZE.to_string());
    // What is counted while something goes may be there before and after.
    until("the limit is kept", || bench.survey("status")["disk_bytes"].as_u64().unwrap() <= 64 << 20);
    unmount(target);
}
