//! Daemons that die, or are replaced, under a live mount: programs that use the mount see a slow answer and no error.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use memmap2::Mmap;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use ossmount::emulator::{Emulator, Operation, Shaping};

use crate::support::namespace::with_open_fuse_device;
use crate::support::program::{BINARY, Ended, Running, Target, Tool, copy_binary, kill, runs, server, until};

const BIG: usize = 20 << 20;

/// Bytes of which no two blocks are alike.
fn bytes() -> Vec<u8> {
    (0..BIG as u32 / 4).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

fn stocked() -> Emulator {
    let server = server();
    server.put("bucket", "big", bytes());
    (0..300).for_each(|n| server.put("bucket", &format!("many/{n}"), format!("{n}")));
    server
}

/// A mount whose daemon is started again when it dies.
struct Supervised(Target);

impl Supervised {
    fn mount(server: &Emulator, args: &[&str]) -> Supervised {
        let target = Target::new();
        let log = target.beside("log");
        let args = [&["--supervise", "--log-file", log.to_str().unwrap()], args].concat();
        target.mount(&Tool::for_server(server), "oss://bucket", &args).ok();
        Supervised(target)
    }

    /// Kills the daemon, and waits until the next one serves.
    fn kill(&self) {
        let before = self.0.daemon().unwrap();
        kill(before, libc::SIGKILL);
        until("another daemon serves", || self.0.daemon().is_some_and(|pid| pid != before && runs(pid)));
    }
}

#[test]
fn what_is_open_stays_readable_across_three_deaths() {
    let server = stocked();
    let mount = Supervised::mount(&server, &[]);
    let path = |below: &str| mount.0.path(below);
    let expected = bytes();
    let file = File::open(path("big")).unwrap();
    // SAFETY: no process changes the file.
    let map = unsafe { Mmap::map(&file) }.unwrap();
    let held = File::open(path("dir/deep")).unwrap();
    let by_descriptor = format!("/proc/self/fd/{}", held.as_raw_fd());
    let mut listing = fs::read_dir(path("many")).unwrap();
    let mut names: Vec<_> = listing.by_ref().take(3).map(|entry| entry.unwrap().file_name()).collect();
    let time = fs::metadata(path("dir")).unwrap().mtime();
    for death in 1..=3 {
        mount.kill();
        let mut buffer = vec![0; 100_000];
        let at = death * 5_000_001;
        file.read_exact_at(&mut buffer, at as u64).unwrap();
        assert!(buffer == expected[at..at + buffer.len()], "after death {death}");
        assert!(map[at + 500_000..at + 700_000] == expected[at + 500_000..at + 700_000]);
        assert_eq!(file.metadata().unwrap().len(), BIG as u64);
        assert_eq!(fs::read_to_string(format!("{by_descriptor}/c.txt")).unwrap(), "gamma\n");
        assert_eq!(fs::read_to_string(path("a.txt")).unwrap(), "alpha\n");
        assert_eq!(fs::metadata(path("dir")).unwrap().mtime(), time);
    }
    names.extend(listing.map(|entry| entry.unwrap().file_name()));
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 300);
}

#[test]
fn readers_never_notice_that_daemons_are_killed() {
    let server = stocked();
    server.set_shaping(Shaping { ttfb: Duration::from_millis(20), ..Shaping::default() });
    let mount = Supervised::mount(&server, &["--memory-cache", "off", "--metadata-ttl", "1s", "--prefetch", "off"]);
    let expected = Arc::new(bytes());
    let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let worker = |work: fn(&Target, &[u8], u64)| {
        let (stop, rounds, expected) = (stop.clone(), rounds.clone(), expected.clone());
        let target = &mount.0;
        move || {
            for round in 0_u64.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                work(target, &expected, round);
                rounds.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        let workers = [
            scope.spawn(worker(|target, expected, round| {
                let at = (round.wrapping_mul(7_919_113) % (BIG as u64 - 70_000)) as usize;
                let mut buffer = vec![0; 65_536];
                File::open(target.path("big")).unwrap().read_exact_at(&mut buffer, at as u64).unwrap();
                assert!(buffer == expected[at..at + buffer.len()], "at {at}");
            })),
            scope.spawn(worker(|target, _, round| {
                let names: Vec<_> = fs::read_dir(target.path("many")).unwrap().map(|entry| entry.unwrap()).collect();
                assert_eq!(names.len(), 300);
                let n = round % 300;
                assert_eq!(fs::read_to_string(target.path(&format!("many/{n}"))).unwrap(), format!("{n}"));
                assert!(!fs::exists(target.path(&format!("many/none-{round}"))).unwrap());
            })),
        ];
        // More would wait for the pauses between short lives.
        for _ in 0..8 {
            let before = rounds.load(Ordering::Relaxed);
            until("a reader has made progress", || {
                rounds.load(Ordering::Relaxed) > before + 5 || workers.iter().any(|worker| worker.is_finished())
            });
            mount.kill();
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn deaths_are_told_and_counted() {
    let server = stocked();
    let mount = Supervised::mount(&server, &[]);
    for death in 1..=2 {
        mount.kill();
        let figures = Tool::bare().run(&["status", "--json", mount.0.dir()]).ok().stdout;
        let figures: serde_json::Value = serde_json::from_str(&figures).unwrap();
        assert_eq!(
            (&figures["restarts"], &figures["metrics"]["restarts"]),
            (&death.into(), &death.into()),
            "{figures}"
        );
    }
    let log = fs::read_to_string(mount.0.beside("log")).unwrap();
    let told: Vec<_> =
        log.lines().filter(|line| line.contains("the previous daemon was killed by SIGKILL after ")).collect();
    assert!(told.len() == 2 && told.iter().all(|line| line.contains("WARN")), "{log}");
}

#[test]
fn an_object_that_changed_meanwhile_is_stale() {
    let server = stocked();
    let mount = Supervised::mount(&server, &["--memory-cache", "off"]);
    let file = File::open(mount.0.path("big")).unwrap();
    let mut buffer = [0; 4096];
    file.read_exact_at(&mut buffer, 0).unwrap();
    server.put("bucket", "big", vec![7; BIG]);
    mount.kill();
    let error = file.read_exact_at(&mut buffer, 16 << 20).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ESTALE));
    until("a new open sees the new bytes", || {
        File::open(mount.0.path("big")).is_ok_and(|file| file.read_exact_at(&mut buffer, 0).is_ok())
    });
    assert_eq!(buffer, [7; 4096]);
}

#[test]
fn files_that_the_kernel_reads_by_itself_stay_so() {
    let server = stocked();
    let mount = Supervised::mount(&server, &[]);
    let expected = bytes();
    let path = mount.0.path("big");
    assert!(fs::read(&path).unwrap() == expected);
    let passed = File::open(&path).unwrap();
    server.reset_counters();
    mount.kill();
    let mut buffer = vec![0; BIG];
    passed.read_exact_at(&mut buffer, 0).unwrap();
    assert!(buffer == expected);
    assert_eq!(server.counters().of(Operation::GetObject), 0, "its bytes are still here");
    let again = File::open(&path).unwrap();
    again.read_exact_at(&mut buffer, 0).unwrap();
    drop((passed, again));
    assert!(fs::read(&path).unwrap() == expected);
}

#[test]
fn a_user_without_privileges_keeps_reading_too() {
    with_open_fuse_device(read_on_without_privileges);
}

fn read_on_without_privileges() {
    const NOBODY: u32 = 65534;
    let server = stocked();
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).into_os_string().into_string().unwrap();
    let (dir, binary, pid_file) = (place("mnt"), place("ossmount"), place("pid"));
    copy_binary(&binary);
    fs::create_dir(&dir).unwrap();
    for own in [folder.path(), dir.as_ref()] {
        std::os::unix::fs::chown(own, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let tool = Tool::for_server(&server).with("HOME", &place("")).with("XDG_RUNTIME_DIR", &place(""));
    let as_nobody = |program: &str, args: &[&str]| {
        let mut command = tool.command(program);
        command.args(args).uid(NOBODY).gid(NOBODY).current_dir("/");
        command
    };
    let options = ["--supervise", "--pid-file", &pid_file, "--log-file", &place("log")].map(str::to_owned);
    let mut mount = as_nobody(&binary, &["mount", "oss://bucket", &dir]);
    Ended::of(mount.args(options)).ok();
    let daemon = || fs::read_to_string(&pid_file).ok().and_then(|pid| pid.trim().parse::<u32>().ok());

    // Reads a piece of a file that is open all the time for each line it is given.
    let script = "exec 3<\"$0/big\"; while read -r line; do head --bytes=1000000 <&3 | cksum; done";
    let mut reader = as_nobody("sh", &["-c", script, &dir]);
    let mut reader = reader.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut asks, mut sums) = (reader.stdin.take().unwrap(), BufReader::new(reader.stdout.take().unwrap()).lines());
    for piece in bytes().chunks(1_000_000).take(3) {
        asks.write_all(b"\n").unwrap();
        let file = place("piece");
        fs::write(&file, piece).unwrap();
        let sum = Ended::of(tool.command("sh").args(["-c", "cksum <\"$0\"", &file])).ok().stdout;
        assert_eq!(sums.next().unwrap().unwrap(), sum.trim());
        let before = daemon().unwrap();
        kill(before, libc::SIGKILL);
        until("another daemon serves", || daemon().is_some_and(|pid| pid != before && runs(pid)));
    }
    drop(asks);
    reader.wait().unwrap();
    Ended::of(&mut as_nobody(&binary, &["umount", &dir])).ok();
    // A daemon that has only just begun is not entered among the live ones yet, so that umount may not wait for it.
    until("the daemon has ended", || daemon().is_none());
}

/// The daemon's process id as the mount itself tells it.
fn asked_for_pid(mount: &Target) -> Option<u64> {
    let ended = Tool::bare().run(&["control", mount.dir(), r#"{"op":"health"}"#]);
    serde_json::from_str::<serde_json::Value>(&ended.stdout).ok()?["pid"].as_u64()
}

#[test]
fn a_later_life_serves_without_what_lies_beside_the_mount_and_has_it_again() {
    let server = stocked();
    let target = Target::new();
    let folder = target.beside("beside");
    let names = ["pid", "log", "control", "metrics", "record"];
    let paths = names.map(|name| folder.join(name).into_os_string().into_string().unwrap());
    let [pid, log, control, metrics, record] = paths.each_ref().map(String::as_str);
    fs::create_dir(&folder).unwrap();
    let recorded = ["--record", record, "--replay", record];
    let args = ["--log-file", log, "--control-socket", control, "--metrics-listen", metrics, "--pid-file", pid];
    let all = [["mount", "oss://bucket", target.dir(), "--supervise"].as_slice(), &recorded, &args].concat();
    Tool::for_server(&server).run(&all).ok();
    let file = File::open(target.path("big")).unwrap();
    let first: u32 = fs::read_to_string(pid).unwrap().trim().parse().unwrap();
    // Not all at once: the daemon may write into it.
    until("the folder is gone", || fs::remove_dir_all(&folder).is_ok());
    // Nothing of it can be made again while a file has its name.
    fs::write(&folder, "").unwrap();
    server.set_shaping(Shaping { page_time: Duration::from_secs(600), ..Shaping::default() });
    kill(first, libc::SIGKILL);
    let mut buffer = vec![0; 100_000];
    file.read_exact_at(&mut buffer, 5_000_001).unwrap();
    assert!(buffer == bytes()[5_000_001..][..buffer.len()]);
    let second = asked_for_pid(&target).unwrap();
    assert_ne!(second, u64::from(first));

    fs::remove_file(&folder).unwrap();
    fs::create_dir(&folder).unwrap();
    until("the pid file is there again", || {
        fs::read_to_string(pid).is_ok_and(|text| text.trim().parse() == Ok(second))
    });
    for path in [control, metrics] {
        until("it takes clients again", || std::os::unix::net::UnixStream::connect(path).is_ok());
    }
    until("the log is there again", || fs::read_to_string(log).is_ok_and(|text| text.contains("exists now")));
    until("what is read is recorded again", || fs::exists(record).unwrap());
    assert_eq!(asked_for_pid(&target), Some(second), "it is still the second life");
    drop(file);
    Tool::bare().run(&["umount", target.dir()]).ok();
    assert!(!fs::exists(pid).unwrap() && !fs::exists(control).unwrap() && !fs::exists(metrics).unwrap());
}

#[test]
fn a_service_goes_on_with_its_mount_without_what_lies_beside_it() {
    let server = stocked();
    let target = Target::new();
    let mut manager = Manager::new(&server, &target);
    let folder = target.beside("beside");
    fs::create_dir(&folder).unwrap();
    let place = |name: &str| folder.join(name).into_os_string().into_string().unwrap();
    let args = ["oss://bucket", target.dir(), "--log-file", &place("log"), "--pid-file", &place("pid")];
    let mut running = manager.start(&args);
    running.signal(libc::SIGKILL);
    running.wait();
    fs::remove_dir_all(&folder).unwrap();
    let mut running = manager.start(&args);
    assert_eq!(fs::read_to_string(target.path("dir/b.txt")).unwrap(), "beta\n");
    running.signal(libc::SIGTERM);
    let ended = running.wait().ok();
    for words in ["log cannot be opened", "pid cannot be written"] {
        assert!(ended.stderr.contains(words), "{words:?} is not in {ended:?}");
    }
}

#[test]
fn who_unmounts_ends_the_supervisor_too() {
    let server = server();
    let tool = Tool::for_server(&server);
    for ends in [libc::SIGTERM, 0] {
        let target = Target::new();
        let pid_file = target.pid_file();
        let args =
            ["mount", "-f", "oss://bucket", target.dir(), "--supervise", "--pid-file", pid_file.to_str().unwrap()];
        let mut running = tool.spawn(&args);
        until("it is mounted", || target.is_mounted() && target.daemon().is_some());
        assert_ne!(target.daemon(), Some(running.child().id()), "the daemon is a process of its own");
        match ends {
            0 => drop(tool.run(&["umount", target.dir()]).ok()),
            signal => running.signal(signal),
        }
        running.wait().ok();
        assert!(!target.is_mounted() && target.daemon().is_none());
    }
}

#[test]
fn a_first_life_that_fails_is_told_and_not_repeated() {
    let server = server();
    let tool = Tool::for_server(&server);
    let target = Target::new();
    for args in [["mount", "-f", "oss://none"].as_slice(), &["mount", "oss://none"]] {
        let args = [args, &[target.dir(), "--supervise", "--log-level", "error"]].concat();
        let ended = tool.run(&args);
        assert_eq!(ended.status, Some(1), "{ended:?}");
        assert!(ended.stderr.contains("none"), "{ended:?}");
    }
}

/// A stand-in for systemd: keeps what a service has it keep, and starts the service with it.
struct Manager {
    ear: UnixDatagram,
    tool: Tool,
    kept: Vec<(String, OwnedFd)>,
}

impl Manager {
    fn new(server: &Emulator, target: &Target) -> Manager {
        let path = target.beside("notify");
        let ear = UnixDatagram::bind(&path).unwrap();
        ear.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let tool = Tool::for_server(server).with("NOTIFY_SOCKET", path.to_str().unwrap()).with("FDSTORE", "2");
        Manager { ear, tool, kept: Vec::new() }
    }

    /// Starts the service, and returns when it is ready.
    fn start(&mut self, args: &[&str]) -> Running {
        let running = self.begin(args);
        while !self.hear().contains("READY=1") {}
        running
    }

    /// Starts the service.
    fn begin(&mut self, args: &[&str]) -> Running {
        let names: Vec<_> = self.kept.iter().map(|(name, _)| name.as_str()).collect();
        let numbers: Vec<_> = self.kept.iter().map(|(_, descriptor)| descriptor.as_raw_fd()).collect();
        let mut command = self.tool.command("sh");
        command.args(["-c", "LISTEN_PID=$$ exec \"$0\" \"$@\"", BINARY, "mount", "-f"]).args(args);
        command.env("LISTEN_FDS", names.len().to_string()).env("LISTEN_FDNAMES", names.join(":"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        // SAFETY: fcntl and dup2 may be called between fork and exec, and the descriptors are open until after it.
        unsafe {
            command.pre_exec(move || {
                // Out of the way first, for they may have each other's numbers.
                for (at, &number) in numbers.iter().enumerate() {
                    let high = libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 100);
                    if high < 0 || libc::dup2(high, 3 + at as i32) < 0 {
                        return Err(std::io::Error::last_os_error());
                    }
                }
                Ok(())
            });
        }
        Running::of(command.spawn().unwrap())
    }

    /// Takes one message.
    fn hear(&mut self) -> String {
        let mut buffer = [0; 1024];
        let mut space = nix::cmsg_space!([std::os::fd::RawFd; 1]);
        let mut text = [std::io::IoSliceMut::new(&mut buffer)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let message = recvmsg::<()>(self.ear.as_raw_fd(), &mut text, Some(&mut space), flags).unwrap();
        let descriptor = message.cmsgs().unwrap().find_map(|part| match part {
            // SAFETY: the kernel has just made it for us.
            ControlMessageOwned::ScmRights(all) => Some(unsafe { OwnedFd::from_raw_fd(all[0]) }),
            _ => None,
        });
        let len = message.bytes;
        let said = String::from_utf8(buffer[..len].to_vec()).unwrap();
        let name = said.lines().find_map(|line| line.strip_prefix("FDNAME=")).unwrap_or_default().to_owned();
        match descriptor {
            Some(descriptor) => self.kept.push((name, descriptor)),
            None if said.starts_with("FDSTOREREMOVE=1") => self.kept.retain(|(kept, _)| *kept != name),
            None => {}
        }
        said
    }

    /// Takes all messages that are there.
    fn hear_all(&mut self) {
        let (looked, mut byte) = (MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT, [0; 1]);
        while nix::sys::socket::recv(self.ear.as_raw_fd(), &mut byte, looked).is_ok() {
            self.hear();
        }
    }
}

#[test]
fn a_service_manager_restarts_it_without_a_reader_noticing() {
    let server = stocked();
    let target = Target::new();
    let mut manager = Manager::new(&server, &target);
    let args = ["oss://bucket", target.dir()];
    let mut running = manager.start(&args);
    assert_eq!(manager.kept.len(), 2);
    let file = File::open(target.path("big")).unwrap();
    let expected = bytes();
    for signal in [libc::SIGUSR1, libc::SIGKILL, libc::SIGUSR1] {
        running.signal(signal);
        let ended = running.wait();
        assert_eq!(ended.status, (signal == libc::SIGUSR1).then_some(0), "{ended:?}");
        // No daemon serves now: the reader waits.
        let waiting = file.try_clone().unwrap();
        let reader = std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 20];
            waiting.read_exact_at(&mut buffer, 3 << 20).map(|()| buffer)
        });
        running = manager.start(&args);
        assert!(reader.join().unwrap().unwrap() == expected[3 << 20..4 << 20]);
        assert_eq!(fs::read_to_string(target.path("dir/b.txt")).unwrap(), "beta\n");
    }
    running.signal(libc::SIGTERM);
    running.wait().ok();
    manager.hear_all();
    assert!(manager.kept.is_empty() && !target.is_mounted(), "after a stop nothing is kept");
}

/// Readers whose requests no daemon has answered yet: each reads a place of its own, and gives the bytes.
fn readers(file: &File, count: u64) -> Vec<JoinHandle<std::io::Result<bool>>> {
    (0..count)
        .map(|at| {
            let (file, at) = (file.try_clone().unwrap(), at * 2_000_000);
            let read = move || {
                let mut buffer = vec![0; 4096];
                file.read_exact_at(&mut buffer, at)?;
                Ok(buffer == bytes()[at as usize..][..4096])
            };
            std::thread::spawn(read)
        })
        .collect()
}

#[test]
fn what_is_under_way_at_a_hand_over_is_answered_by_the_next_daemon_and_once() {
    let server = stocked();
    let target = Target::new();
    let mut manager = Manager::new(&server, &target);
    let args = ["oss://bucket", target.dir(), "--memory-cache", "off", "--prefetch", "off", "--direct-io", "on"];
    let mut running = manager.start(&args);
    let file = File::open(target.path("big")).unwrap();
    server.set_shaping(Shaping { ttfb: Duration::from_secs(600), ..Shaping::default() });
    server.reset_counters();
    let readers = readers(&file, 8);
    until("all are under way", || server.counters().of(Operation::GetObject) == 8);
    running.signal(libc::SIGUSR1);
    let ended = running.wait().ok();
    assert!(!ended.stderr.contains("Reply not sent"), "{ended:?}");
    server.set_shaping(Shaping { ttfb: Duration::from_millis(300), ..Shaping::default() });
    let mut running = manager.start(&args);
    for reader in readers {
        assert!(reader.join().unwrap().unwrap());
    }
    running.signal(libc::SIGTERM);
    let ended = running.wait().ok();
    assert!(!ended.stderr.contains("Failed to send"), "nothing is answered twice: {ended:?}");
}

#[test]
fn a_daemon_that_is_still_starting_hands_over_and_stops_too() {
    let server = stocked();
    let target = Target::new();
    let mut manager = Manager::new(&server, &target);
    let args = ["oss://bucket", target.dir()];
    let mut running = manager.start(&args);
    let file = File::open(target.path("big")).unwrap();
    let never = Duration::from_secs(600);
    for (signal, left, at) in [(libc::SIGUSR1, (true, 2), 0), (libc::SIGTERM, (false, 0), 10 << 20)] {
        running.signal(libc::SIGKILL);
        running.wait();
        server.set_shaping(Shaping { ttfb: never, page_time: never, ..Shaping::default() });
        server.reset_counters();
        running = manager.begin(&args);
        until("it asks for the bucket", || server.counters().total() > 0);
        running.signal(signal);
        running.wait().ok();
        manager.hear_all();
        assert_eq!((target.is_mounted(), manager.kept.len()), left);
        server.set_shaping(Shaping::default());
        running = manager.start(&args);
        assert_eq!(file.read_exact_at(&mut [0; 4096], at).is_ok(), left.0, "who stops it ends the mount");
    }
    running.signal(libc::SIGTERM);
    running.wait().ok();
}

#[test]
fn what_cannot_be_gone_on_with_is_mounted_anew() {
    let server = stocked();
    for (at, bytes) in [(0, b"ossledg0"), (8, b"\0\0\0\0\0\0\0\0")] {
        let target = Target::new();
        let mut manager = Manager::new(&server, &target);
        let mut running = manager.start(&["oss://bucket", target.dir()]);
        let file = File::open(target.path("a.txt")).unwrap();
        running.signal(libc::SIGKILL);
        running.wait();
        let ledger = manager.kept.iter().find(|(name, _)| name == "ossmount-ledger").unwrap();
        File::from(ledger.1.try_clone().unwrap()).write_all_at(bytes, at).unwrap();
        let mut running = manager.start(&["oss://bucket", target.dir()]);
        assert_eq!(fs::read_to_string(target.path("a.txt")).unwrap(), "alpha\n");
        file.read_exact_at(&mut [0; 6], 0).unwrap_err();
        running.signal(libc::SIGTERM);
        let ended = running.wait().ok();
        assert!(ended.stderr.contains("it is replaced by a new mount"), "{ended:?}");
        manager.hear_all();
        assert!(manager.kept.is_empty());
    }
}

#[test]
fn another_bucket_is_mounted_anew() {
    let server = stocked();
    server.create_bucket("other");
    server.put("other", "there", "other bytes");
    let target = Target::new();
    let mut manager = Manager::new(&server, &target);
    let mut running = manager.start(&["oss://bucket", target.dir()]);
    running.signal(libc::SIGUSR1);
    running.wait().ok();
    let mut running = manager.start(&["oss://other", target.dir()]);
    assert_eq!(fs::read_to_string(target.path("there")).unwrap(), "other bytes");
    running.signal(libc::SIGTERM);
    running.wait().ok();
}
