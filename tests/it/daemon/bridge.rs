//! The bridge of a daemon of its own: what is left when that dies, more bytes than an image has, and where there is none.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use memmap2::Advice;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{major, minor};
use ossmount::emulator::{Fault, FaultKind, Generator, GeneratorKind, Operation, generated_content};

use crate::support::bridges::{also_by_loop_device, word};
use crate::support::mapping::{map, peek};
use crate::support::namespace::{in_own_mounts, mount_tmpfs};
use crate::support::program::{BINARY, Target, Tool, by_hand, kill, runs, server, until};

const MIB: usize = 1 << 20;
const TIB: u64 = 1 << 40;

also_by_loop_device! {
    readers_of_a_daemon_that_is_killed_see_errors_and_no_zeros
    a_daemon_leaves_no_detached_mount_behind_however_it_ends
    a_daemon_ends_while_the_kernel_waits_for_its_answers
    more_bytes_than_an_image_holds_are_read_right_one_after_the_other_and_beside_each_other
    overlays_bind_mounts_moved_mounts_and_user_namespaces_show_the_same_bytes
    programs_with_direct_reads_run_beside_one_that_maps_the_file
    files_are_mapped_one_after_the_other_beyond_all_places_that_are_kept
    a_mount_that_outlives_its_daemon_has_no_bridge
}

fn status(target: &Target) -> serde_json::Value {
    serde_json::from_str(&Tool::bare().run(&["status", "--json", target.dir()]).ok().stdout).unwrap()
}

fn passthrough_opens(target: &Target) -> u64 {
    status(target)["metrics"]["passthrough_opens"].as_u64().unwrap()
}

/// So many words, none of them zero, as bytes.
fn words(count: u32) -> Vec<u8> {
    (0..count).flat_map(|n| (n | 1).wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

#[test]
fn readers_of_a_daemon_that_is_killed_see_errors_and_no_zeros() {
    let (server, target) = (server(), Target::new());
    let bytes = words(10 * MIB as u32);
    server.put("bucket", "model", bytes.clone());
    target.mount(&Tool::for_server(&server), "oss://bucket", &["--bridge", word(), "--prefetch", "off"]).ok();
    let file = File::open(target.path("model")).unwrap();
    assert_eq!(passthrough_opens(&target), 1);
    let expected = if word() == "loop" { "on, by a loop device" } else { "on" };
    assert_eq!(status(&target)["reading"]["bridge"], expected);
    let map = map(&file);
    assert!(peek(&map, 0, MIB).unwrap() == bytes[..MIB]);
    let daemon = target.daemon().unwrap();
    kill(daemon, libc::SIGKILL);
    until("the daemon is gone", || !runs(daemon));
    assert!(peek(&map, 0, MIB).unwrap() == bytes[..MIB], "what was read stays");
    for at in (0..bytes.len() - MIB).step_by(MIB) {
        if let Ok(page) = peek(&map, at, MIB) {
            assert!(page == bytes[at..at + MIB], "{at}");
        }
        let mut piece = vec![0; MIB];
        if file.read_exact_at(&mut piece, at as u64).is_ok() {
            assert!(piece == bytes[at..at + MIB], "{at}");
        }
    }
    assert!(peek(&map, 30 * MIB, 4096).is_err());
    assert!(file.read_at(&mut [0], 30 * MIB as u64).is_err());
}

#[test]
fn large_files_are_read_through_the_bridge_where_nothing_else_is_asked_for() {
    let (server, target) = (server(), Target::new());
    let files = [("large", 16 * MIB, 1), ("small", 16 * MIB - 4, 0)];
    files.iter().for_each(|(name, size, _)| server.put("bucket", name, words(*size as u32 / 4)));
    target.mount(&Tool::for_server(&server), "oss://bucket", &[]).ok();
    assert_eq!(status(&target)["reading"]["bridge"], "on", "not by a loop device");
    for (name, size, opens) in files {
        let before = passthrough_opens(&target);
        let map = map(&File::open(target.path(name)).unwrap());
        assert!(peek(&map, 0, size).unwrap() == words(size as u32 / 4), "{name}");
        assert_eq!(passthrough_opens(&target) - before, opens, "{name}");
    }
}

#[test]
fn a_file_that_is_opened_for_each_read_is_fetched_once() {
    const SIZE: usize = 64 * MIB;
    const ROW: usize = 64 << 10;
    let (server, target, expected) = (server(), Target::new(), words(SIZE as u32 / 4));
    server.put("bucket", "model", expected.clone());
    target.mount(&Tool::for_server(&server), "oss://bucket", &[]).ok();
    // The kernel tells of a close beside the next open, as often as not.
    for _ in 0..3 {
        for at in (0..SIZE).step_by(ROW) {
            let (file, mut row) = (File::open(target.path("model")).unwrap(), [0; ROW]);
            file.read_exact_at(&mut row, at as u64).unwrap();
            assert!(row == expected[at..at + ROW], "the file differs at {at}");
        }
    }
    assert!(passthrough_opens(&target) > SIZE as u64 / ROW as u64);
    let metric = |name: &str| status(&target)["metrics"][name].as_u64().unwrap();
    let fetched = metric("bytes_fetched");
    assert!((SIZE as u64..SIZE as u64 / 4 * 5).contains(&fetched), "{fetched} bytes were fetched");
    // Half as many as would be if what it reads ahead failed after a close: seen were 256 to 333, and 796 to 1154.
    let requests = metric("reads");
    assert!(requests < 512, "the kernel requested the file in {requests} pieces");
}

/// The EROFS mounts of this machine, attached anywhere or not: the kernel has a directory for each.
fn images() -> BTreeSet<String> {
    // There is no such directory before the kernel has loaded it.
    let all = std::fs::read_dir("/sys/fs/erofs").into_iter().flatten().map(|entry| entry.unwrap().file_name());
    all.map(|name| name.into_string().unwrap()).filter(|name| name != "features").collect()
}

/// Those that a daemon has made, if these were there before. The names of loop devices are used again: which one is
/// its own, the directory shows that it holds open.
fn made_by(daemon: u32, before: &BTreeSet<String>) -> BTreeSet<String> {
    if word() == "on" {
        return images().difference(before).cloned().collect();
    }
    let open = std::fs::read_dir(format!("/proc/{daemon}/fd")).unwrap().map(|file| file.unwrap().path());
    let devices = open.filter_map(|file| Some(std::fs::metadata(file).ok()?.dev()));
    devices.filter(|device| major(*device) == 7).map(|device| format!("loop{}", minor(device))).collect()
}

#[test]
fn a_daemon_leaves_no_detached_mount_behind_however_it_ends() {
    let (server, target) = (server(), Target::new());
    server.put("bucket", "model", words(5 * MIB as u32));
    for ends_by in ["umount", "a kill", "a kill while a file is mapped", "a lazy umount while a file is mapped"] {
        let before = images();
        target.mount(&Tool::for_server(&server), "oss://bucket", &["--bridge", word()]).ok();
        let file = File::open(target.path("model")).unwrap();
        assert_eq!(passthrough_opens(&target), 1);
        let mapped = ends_by.ends_with("mapped").then(|| map(&file));
        drop(file);
        let daemon = target.daemon().unwrap();
        // Those of other tests may be among them, and end with these.
        let mut made = made_by(daemon, &before);
        assert!(!made.is_empty(), "{ends_by}: there is none to begin with");
        match ends_by {
            "umount" => drop(Tool::bare().run(&["umount", target.dir()]).ok()),
            "a lazy umount while a file is mapped" => drop(Tool::bare().run(&["umount", "--lazy", target.dir()]).ok()),
            _ => {
                kill(daemon, libc::SIGKILL);
                umount2(target.dir(), MntFlags::MNT_DETACH).unwrap();
            }
        }
        drop(mapped);
        until(ends_by, || {
            let there = images();
            made.retain(|image| there.contains(image));
            made.is_empty() && !runs(daemon)
        });
    }
}

/// How much the kernel reads ahead on each EROFS, in KiB. Those of other tests are among them.
fn read_aheads() -> Vec<String> {
    let devices = std::fs::read_dir("/sys/class/bdi").unwrap().map(|device| device.unwrap());
    let of_erofs = devices.filter(|device| device.file_name().as_encoded_bytes().starts_with(b"erofs-"));
    of_erofs.filter_map(|device| std::fs::read_to_string(device.path().join("read_ahead_kb")).ok()).collect()
}

#[test]
fn daemons_that_start_at_the_same_time_each_widen_what_is_read_ahead_for_them() {
    let server = server();
    server.put("bucket", "model", words(5 * MIB as u32));
    let targets: Vec<Target> = (0..8).map(|_| Target::new()).collect();
    std::thread::scope(|scope| {
        for target in &targets {
            scope.spawn(|| target.mount(&Tool::for_server(&server), "oss://bucket", &["--bridge", word()]).ok());
        }
    });
    until("all read as much ahead", || {
        let kib = read_aheads();
        kib.len() >= targets.len() && kib.iter().all(|kib| kib.trim() == "1024")
    });
}

/// How many files of the image a daemon has open: they have no name below its root.
fn open_files(daemon: u32) -> usize {
    let open = std::fs::read_dir(format!("/proc/{daemon}/fd")).unwrap();
    let links = open.filter_map(|file| std::fs::read_link(file.unwrap().path()).ok());
    links.filter(|link| link.as_os_str() == "/").count()
}

/// What the kernel reads ahead for nobody holds pages that the end of the mount waits for: no answer must be needed.
#[test]
fn a_daemon_ends_while_the_kernel_waits_for_its_answers() {
    let (server, target) = (server(), Target::new());
    server.put("bucket", "model", words(5 * MIB as u32));
    for (ends_by_a_kill, is_open) in [(false, false), (true, false), (false, true), (true, true)] {
        let before = images();
        let args = ["--bridge", word(), "--prefetch", "off", "--drain-timeout", "100ms"];
        target.mount(&Tool::for_server(&server), "oss://bucket", &args).ok();
        let daemon = target.daemon().unwrap();
        let unused = open_files(daemon);
        let file = File::open(target.path("model")).unwrap();
        assert!(open_files(daemon) > unused);
        let stall = FaultKind::StallBeforeHeaders(Duration::from_secs(600));
        server.set_faults(vec![Fault::always(stall).on(Operation::GetObject)]);
        let asked = || server.counters().of(Operation::GetObject);
        let seen = asked();
        let (map, file) = (map(&file), Some(file).filter(|_| is_open));
        match &file {
            Some(file) => posix_fadvise(file, 0, MIB as i64, PosixFadviseAdvice::POSIX_FADV_WILLNEED).unwrap(),
            None => map.advise(Advice::WillNeed).unwrap(),
        }
        until("the kernel reads ahead", || asked() > seen);
        drop((map, file));
        until("the daemon has seen the end of its use", || open_files(daemon) == unused);
        let made = made_by(daemon, &before);
        assert!(!made.is_empty());
        match ends_by_a_kill {
            true => {
                kill(daemon, libc::SIGKILL);
                umount2(target.dir(), MntFlags::MNT_DETACH).unwrap();
            }
            false => drop(Tool::bare().run(&["umount", target.dir()]).ok()),
        }
        until("the daemon is gone, with its mounts", || !runs(daemon) && images().is_disjoint(&made));
        server.set_faults(Vec::new());
    }
}

#[test]
fn more_bytes_than_an_image_holds_are_read_right_one_after_the_other_and_beside_each_other() {
    let (server, target) = (server(), Target::new());
    server.generate("huge", Generator::new(GeneratorKind::Shards, 12).sized(3 * TIB).seeded(9));
    target.mount(&Tool::for_server(&server), "oss://huge", &["--bridge", word(), "--prefetch", "off"]).ok();
    let key = |number: usize| format!("model-{number:05}-of-00012.safetensors");
    let is_right = |file: &File, number: usize| {
        for at in [0, 5 * MIB as u64 + 12_288, TIB + 4096, 3 * TIB - 8192] {
            let mut piece = vec![0; 8192];
            file.read_exact_at(&mut piece, at).unwrap();
            assert!(piece == generated_content(9, &key(number), at..at + 8192), "file {number} at {at}");
        }
    };
    // Five have room beside each other, and the others are read without the bridge.
    let open: Vec<_> = (1..=7).map(|number| File::open(target.path(&key(number))).unwrap()).collect();
    open.iter().zip(1..).for_each(|(file, number)| is_right(file, number));
    assert_eq!(passthrough_opens(&target), 5);
    drop(open);
    for number in (1..=12).chain(1..=12) {
        let before = passthrough_opens(&target);
        // The kernel closes in the background: the places of those before are free some milliseconds later.
        until("it has a place in the image", || {
            is_right(&File::open(target.path(&key(number))).unwrap(), number);
            passthrough_opens(&target) > before
        });
    }
}

/// Mounts an overlay on a mount, in this folder.
fn overlay_on(lower: &str, folder: &Path) -> PathBuf {
    let [upper, overlay] = ["upper", "overlay"].map(|name| folder.join(name));
    let [changes, work] = ["changes", "work"].map(|name| upper.join(name));
    std::fs::create_dir(&upper).unwrap();
    mount_tmpfs(&upper);
    for dir in [&changes, &work, &overlay] {
        std::fs::create_dir(dir).unwrap();
    }
    let layers = format!("lowerdir={lower},upperdir={},workdir={}", changes.display(), work.display());
    mount(Some("overlay"), &overlay, Some("overlay"), MsFlags::empty(), Some(layers.as_str())).unwrap();
    overlay
}

#[test]
fn overlays_bind_mounts_moved_mounts_and_user_namespaces_show_the_same_bytes() {
    let (server, target) = (server(), Target::new());
    let bytes = words(5 * MIB as u32);
    server.put("bucket", "model", bytes.clone());
    in_own_mounts(|| {
        let args = ["--bridge", word(), "--allow-other"];
        target.mount(&Tool::for_server(&server), "oss://bucket", &args).ok();
        let (folder, mut opens) = (tempfile::tempdir().unwrap(), 0);
        let place = |name: &str| {
            let place = folder.path().join(name);
            std::fs::create_dir(&place).unwrap();
            place
        };
        let mut is_right = |place: &Path| {
            let file = File::open(place.join("model")).unwrap();
            assert!(map(&file)[..] == bytes[..], "{place:?}");
            assert!(std::fs::read(place.join("model")).unwrap() == bytes, "{place:?}");
            let opened = passthrough_opens(&target);
            assert!(opened > opens, "{place:?} is read without the bridge");
            opens = opened;
        };
        let overlay = overlay_on(target.dir(), folder.path());
        is_right(&overlay);
        umount2(&overlay, MntFlags::empty()).unwrap();

        let bound = place("bound");
        mount(Some(target.dir()), &bound, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
        is_right(&bound);
        let moved = place("moved");
        mount(Some(&bound), &moved, None::<&str>, MsFlags::MS_MOVE, None::<&str>).unwrap();
        is_right(&moved);
        let file = moved.join("model");
        let read = Command::new("unshare").args(["--user", "--map-root-user", "cat"]).arg(&file).output().unwrap();
        assert!(read.stdout == bytes, "{}", String::from_utf8_lossy(&read.stderr));
        umount2(&moved, MntFlags::empty()).unwrap();
        Tool::bare().run(&["umount", target.dir()]).ok();
    });
}

/// Opens a file for direct reads.
fn direct(path: impl AsRef<Path>) -> io::Result<File> {
    File::options().read(true).custom_flags(libc::O_DIRECT).open(path)
}

#[test]
fn overlays_and_bind_mounts_of_a_file_have_no_direct_reads_beside_the_bridge() {
    let (server, target) = (server(), Target::new());
    let bytes = words(5 * MIB as u32);
    server.put("bucket", "model", bytes.clone());
    in_own_mounts(|| {
        // Each open looks the name up.
        let args = ["--bridge", word(), "--metadata-ttl", "0"];
        target.mount(&Tool::for_server(&server), "oss://bucket", &args).ok();
        let folder = tempfile::tempdir().unwrap();
        let overlay = overlay_on(target.dir(), folder.path()).join("model");
        let is_right = |file: File| {
            let mut piece = vec![0; MIB];
            file.read_exact_at(&mut piece, 9 * MIB as u64).unwrap();
            assert!(piece == bytes[9 * MIB..10 * MIB]);
        };
        let bound = folder.path().join("bound");
        File::create(&bound).unwrap();
        mount(Some(&target.path("model")), &bound, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
        let map = map(&File::open(&overlay).unwrap());
        for _ in 0..2 {
            for refused in [&overlay, &bound] {
                assert_eq!(direct(refused).unwrap_err().raw_os_error(), Some(libc::EINVAL), "{refused:?}");
                is_right(File::open(refused).unwrap());
            }
            let beside = direct(target.path("model")).unwrap();
            let before = passthrough_opens(&target);
            is_right(File::open(&overlay).unwrap());
            assert_eq!(passthrough_opens(&target), before + 1, "it is read through the bridge");
            is_right(beside);
        }
        assert!(map[..] == bytes[..], "the mapping differs");
        drop(map);
        until("it is mapped no more", || direct(&overlay).map(is_right).is_ok());
        umount2(&bound, MntFlags::empty()).unwrap();
        umount2(&folder.path().join("overlay"), MntFlags::empty()).unwrap();
        Tool::bare().run(&["umount", target.dir()]).ok();
    });
}

#[test]
fn programs_with_direct_reads_run_beside_one_that_maps_the_file() {
    let (server, target) = (server(), Target::new());
    let bytes = words(5 * MIB as u32);
    server.put("bucket", "model", bytes.clone());
    target.mount(&Tool::for_server(&server), "oss://bucket", &["--bridge", word()]).ok();
    let map = map(&File::open(target.path("model")).unwrap());
    let source = format!("if={}", target.path("model").display());
    let programs: Vec<_> = (0..3)
        .map(|_| {
            let mut dd = Command::new("dd");
            dd.args([&source, "iflag=direct", "bs=1M", "status=none"]).stdout(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for program in programs {
        let ended = program.wait_with_output().unwrap();
        assert!(ended.status.success() && ended.stdout == bytes);
    }
    assert_eq!(passthrough_opens(&target), 1);
    assert!(map[..] == bytes[..], "the mapping differs");
}

/// Threads that the daemon cannot tell from one another.
#[test]
fn programs_of_another_pid_namespace_have_direct_reads_beside_the_bridge() {
    let (server, target) = (server(), Target::new());
    let bytes = words(5 * MIB as u32);
    server.put("bucket", "model", bytes.clone());
    let mut daemon = Tool::for_server(&server).command("unshare");
    daemon.args(["--pid", "--fork", "--kill-child", BINARY, "mount", "oss://bucket", target.dir()]);
    let mut daemon = daemon.args(["--foreground", "--bridge", word()]).spawn().unwrap();
    until("it is mounted", || target.is_mounted() && target.path("model").exists());
    let file = File::open(target.path("model")).unwrap();
    let map = map(&file);
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (path, bytes) = (target.path("model"), &bytes);
            scope.spawn(move || {
                for at in (thread * MIB..bytes.len() - MIB).step_by(4 * MIB) {
                    let mut piece = vec![0; MIB];
                    direct(&path).unwrap().read_exact_at(&mut piece, at as u64).unwrap();
                    assert!(piece == bytes[at..at + MIB], "{at}");
                }
            });
        }
    });
    let without_a_name = direct(format!("/proc/self/fd/{}", file.as_raw_fd()));
    assert_eq!(without_a_name.unwrap_err().raw_os_error(), Some(libc::ESTALE));
    assert!(map[..] == bytes[..], "the mapping differs");
    drop((map, file));
    Tool::bare().run(&["umount", target.dir()]).ok();
    assert!(daemon.wait().unwrap().success());
}

#[test]
fn files_are_mapped_one_after_the_other_beyond_all_places_that_are_kept() {
    // By hand: 100,000.
    let files = by_hand("OSSMOUNT_BRIDGE_FILES", 1500);
    let (server, target) = (server(), Target::new());
    server.generate("many", Generator::new(GeneratorKind::Flat, files).sized(MIB as u64).seeded(3));
    let args = ["--bridge", word(), "--bridge-min", "1MiB", "--prefetch", "off"];
    target.mount(&Tool::for_server(&server), "oss://many", &args).ok();
    let mut count = 0;
    for entry in std::fs::read_dir(target.path("")).unwrap() {
        let entry = entry.unwrap();
        let at = (count * 4096) % MIB;
        let file = File::open(entry.path()).unwrap();
        let expected = generated_content(3, entry.file_name().to_str().unwrap(), at as u64..at as u64 + 4096);
        assert!(map(&file)[at..at + 4096] == expected[..], "{:?} at {at}", entry.path());
        count += 1;
    }
    assert_eq!((count as u64, passthrough_opens(&target)), (files, files));
}

#[test]
fn a_mount_that_outlives_its_daemon_has_no_bridge() {
    let (server, target) = (server(), Target::new());
    server.put("bucket", "model", vec![7; 20 * MIB]);
    let tool = Tool::for_server(&server);
    let words = ["the bridge is not possible", "outlive its daemon", "bridge=off"];
    target.mount(&tool, "oss://bucket", &["--supervise", "--bridge", word()]).fails(1, &words);
    assert!(!target.is_mounted());
    let log = target.beside("log");
    let args = ["--supervise", "--bridge", "auto", "--log-file", log.to_str().unwrap()];
    target.mount(&tool, "oss://bucket", &args).ok();
    assert!(std::fs::read(target.path("model")).unwrap() == vec![7; 20 * MIB]);
    let status = status(&target);
    assert_eq!(status["metrics"]["passthrough_opens"], 0);
    let why = "the mount is to outlive its daemon, and the pages of the bridge would not";
    assert_eq!(status["reading"]["bridge"], why);
    assert!(std::fs::read_to_string(log).unwrap().contains("large files are not read through the bridge"));
}
