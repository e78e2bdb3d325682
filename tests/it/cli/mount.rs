//! Mounts by the binary: ready when it returns, found, served, ended.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ossmount::base::{Clock, Timestamp};
use ossmount::emulator::{ACCESS_KEY_ID, ACCESS_KEY_SECRET, Account, Emulator, Operation, Options, Shaping};

use crate::support::program::{Target, Tool, runs, server, until};

#[test]
fn it_returns_when_the_mount_answers_and_umount_waits_for_the_end() {
    let server = server();
    let tool = Tool::for_server(&server);
    let (target, scratch) = (Target::new(), tempfile::tempdir().unwrap());
    // Without one it says so where the machine has no log either.
    let log = scratch.path().join("log");
    for url in ["oss://bucket", "s3://bucket"] {
        let ended = target.mount(&tool, url, &["--log-file", log.to_str().unwrap()]).ok();
        assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""));
        assert_eq!(fs::read_to_string(target.path("dir/deep/c.txt")).unwrap(), "gamma\n");
        let shown = ossmount::fuse::mounts().unwrap().into_iter().find(|mount| mount.dir == target.path(""));
        assert_eq!(shown.unwrap().source, url);

        let pid = target.daemon().unwrap();
        assert!(runs(pid));
        tool.run(&["umount", target.dir()]).ok();
        assert!(!runs(pid), "umount waits for the daemon");
        assert!(!target.is_mounted() && target.daemon().is_none());
    }
    tool.run(&["umount", target.dir()]).fails(1, &["is not a mount of ossmount"]);
}

/// The daemon of an earlier mount lives on while another name space, such as a container's, has a copy of that mount.
#[test]
fn a_mount_where_another_lives_on_elsewhere_is_asked_and_ended_itself() {
    let server = server();
    let tool = Tool::for_server(&server);
    let target = Target::new();
    target.mount(&tool, "oss://bucket", &[]).ok();
    let earlier = target.daemon().unwrap();
    let mut elsewhere = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", "echo ready; read -r line"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    BufReader::new(elsewhere.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    assert_eq!(ready, "ready\n", "this test needs root");
    tool.run(&["umount", "--lazy", target.dir()]).ok();
    target.mount(&tool, "oss://bucket/dir", &[]).ok();
    assert!(runs(earlier));

    let status = tool.run(&["status", "--json", target.dir()]).ok().stdout;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["source"], "oss://bucket/dir", "{status}");
    let later = u32::try_from(status["pid"].as_u64().unwrap()).unwrap();
    assert_ne!(later, earlier);
    tool.run(&["umount", target.dir()]).ok();
    assert!(!runs(later) && runs(earlier));
    drop(elsewhere.stdin.take());
    elsewhere.wait().unwrap();
    until("the earlier daemon has ended", || !runs(earlier));
}

#[test]
fn a_prefix_is_the_root_and_options_come_from_everywhere() {
    let server = server();
    let target = Target::new();
    let tool = Tool::for_server(&server).with("OSSMOUNT_FILE_MODE", "0440").with("OSSMOUNT_UID", "12");
    let folder = tool.home().join(".config/ossmount");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("config.json"), r#"{"uid": 11, "gid": 13, "file-mode": "0400"}"#).unwrap();
    target.mount(&tool, "oss://bucket/dir", &["-o", "file_mode=0404,defaults,nofail"]).ok();
    assert_eq!(fs::read_to_string(target.path("b.txt")).unwrap(), "beta\n");
    let meta = fs::metadata(target.path("b.txt")).unwrap();
    use std::os::unix::fs::MetadataExt;
    assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o7777), (12, 13, 0o404));
}

/// Whether one GET brings a small object is a tuned number: with another one, two reads are two GETs.
#[test]
fn a_tuned_number_changes_how_a_mount_reads() {
    use std::os::unix::fs::FileExt;

    let server = server();
    let content: Vec<u8> = (0..512 << 10).map(|at: u32| (at >> 12) as u8).collect();
    server.put("bucket", "half", content.clone());
    let tool = Tool::for_server(&server);
    let gets_with = |tune: &[&str]| {
        let target = Target::new();
        // Past the page cache, so that the kernel asks for what the test reads and no more.
        target.mount(&tool, "oss://bucket", &[&["--direct-io", "on"], tune].concat()).ok();
        let before = server.counters().of(Operation::GetObject);
        let file = File::open(target.path("half")).unwrap();
        for at in [0, 400 << 10] {
            let mut piece = [0; 4096];
            file.read_exact_at(&mut piece, at).unwrap();
            assert_eq!(piece, content[at as usize..][..4096]);
        }
        server.counters().of(Operation::GetObject) - before
    };
    assert_eq!(gets_with(&[]), 1);
    assert!(gets_with(&["--tune", "read.small_object_bytes=4096"]) > 1);

    let target = Target::new();
    let ended = target.mount(&tool, "oss://bucket", &["--tune", "read.small_objects=4096"]);
    ended.fails(2, &["--tune read.small_objects=4096", "small_objects is no tuned number", "read::Tuning::NAMES"]);
    assert!(!target.is_mounted());
}

#[test]
fn credentials_come_from_a_file() {
    let server = server();
    let target = Target::new();
    let keys = target.beside("keys.json");
    fs::write(&keys, format!(r#"{{"AccessKeyId": "{ACCESS_KEY_ID}", "AccessKeySecret": "{ACCESS_KEY_SECRET}"}}"#))
        .unwrap();
    let tool = Tool::bare().with("OSSMOUNT_ENDPOINT", &server.endpoint()).with("OSSMOUNT_REGION", "cn-hangzhou");
    target.mount(&tool, "oss://bucket", &["--credentials-file", keys.to_str().unwrap()]).ok();
    assert_eq!(fs::read_to_string(target.path("a.txt")).unwrap(), "alpha\n");
    let line = fs::read_to_string(format!("/proc/{}/cmdline", target.daemon().unwrap())).unwrap();
    assert!(line.contains("keys.json") && !line.contains(ACCESS_KEY_SECRET));
}

/// Keys that live for seconds, from a program, while files are read all the time.
#[test]
fn a_mount_outlives_its_keys() {
    let now = || Clock::system().now();
    let (first_ends, second_ends) = (now().plus_seconds(4), now().plus_seconds(3600));
    let account = |id: &str, ends| {
        let account = Account::new(id, "hush").with_token(format!("token-{id}"));
        Account { expires: Some(ends), ..account }
    };
    let credentials = vec![account("STS.first", first_ends), account("STS.second", second_ends)];
    let server = Emulator::start(Options { credentials, ..Options::default() }).unwrap();
    server.create_bucket("bucket");
    for index in 0..4000 {
        server.put("bucket", &format!("file-{index:04}"), "alpha\n");
    }
    let target = Target::new();
    let (keys, runs) = (target.beside("keys"), target.beside("runs"));
    let print = |id: &str, ends: Timestamp| {
        format!(
            r#"{{"AccessKeyId":"{id}","AccessKeySecret":"hush","SecurityToken":"token-{id}","Expiration":"{}"}}"#,
            jiff::Timestamp::from_second(ends.seconds).unwrap()
        )
    };
    fs::write(&keys, print("STS.first", first_ends)).unwrap();
    let tool = Tool::bare().with("OSSMOUNT_ENDPOINT", &server.endpoint()).with("OSSMOUNT_REGION", "cn-hangzhou");
    let program = format!("echo run >> {}; cat {}", runs.display(), keys.display());
    target.mount(&tool, "oss://bucket", &["--credentials-process", &program, "--prefetch", "off"]).ok();
    fs::write(&keys, print("STS.second", second_ends)).unwrap();
    let mut read = 0;
    while now() <= first_ends.plus_seconds(1) {
        assert_eq!(fs::read_to_string(target.path(&format!("file-{:04}", read % 4000))).unwrap(), "alpha\n");
        read += 1;
    }
    assert!(read > 10, "{read} files read");
    let runs = fs::read_to_string(&runs).unwrap().lines().count();
    assert!((2..=3).contains(&runs), "the program ran {runs} times");
}

#[test]
fn a_mount_in_use_is_left_alone_unless_lazily() {
    let server = server();
    let tool = Tool::for_server(&server);
    let target = Target::new();
    target.mount(&tool, "oss://bucket", &[]).ok();
    let pid = target.daemon().unwrap();
    let mut file = File::open(target.path("a.txt")).unwrap();
    tool.run(&["umount", target.dir()]).fails(1, &["is in use", "--lazy"]);
    tool.run(&["umount", "--lazy", target.dir()]).ok();
    assert!(!target.is_mounted() && runs(pid));
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "alpha\n");
    drop(file);
    until("the daemon has ended", || !runs(pid));
}

#[test]
fn a_second_mount_on_the_same_directory_is_refused_and_a_dead_one_replaced() {
    let server = server();
    let tool = Tool::for_server(&server);
    let target = Target::new();
    target.mount(&tool, "oss://bucket", &[]).ok();
    let pid = target.daemon().unwrap();
    tool.run(&["mount", "oss://bucket", target.dir()]).fails(1, &["already a mount of oss://bucket"]);
    // SAFETY: no memory is involved.
    unsafe { libc::kill(pid as i32, libc::SIGKILL) };
    until("the mount is dead", || nix::sys::statvfs::statvfs(&target.path("")) == Err(nix::errno::Errno::ENOTCONN));
    target.mount(&tool, "oss://bucket", &[]).ok();
    assert_eq!(fs::read_to_string(target.path("a.txt")).unwrap(), "alpha\n");
    tool.run(&["umount", target.dir()]).ok();
}

#[test]
fn signals_end_the_daemon_with_success() {
    let server = server();
    let tool = Tool::for_server(&server);
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let target = Target::new();
        let mut running = tool.spawn(&["mount", "-f", "oss://bucket", target.dir()]);
        until("it is mounted", || target.is_mounted());
        // Busy, so that it can be unmounted only lazily.
        let file = File::open(target.path("a.txt")).unwrap();
        running.signal(signal);
        let ended = running.wait().ok();
        assert!(ended.stderr.contains("mounted") && ended.stderr.contains("asked to end"), "{ended:?}");
        assert!(!target.is_mounted());
        drop(file);
    }
}

#[test]
fn what_is_under_way_is_answered_before_the_end() {
    let server = server();
    let tool = Tool::for_server(&server);
    let target = Target::new();
    let mut running = tool.spawn(&["mount", "-f", "oss://bucket", target.dir()]);
    until("it is mounted", || target.is_mounted());
    let path = target.path("a.txt");
    fs::metadata(&path).unwrap();
    server.reset_counters();
    let slow = ossmount::emulator::Shaping { ttfb: Duration::from_secs(2), ..Default::default() };
    server.set_shaping(slow);
    let reader = std::thread::spawn(move || fs::read_to_string(path));
    until("the read has reached the server", || server.counters().of(ossmount::emulator::Operation::GetObject) > 0);
    running.signal(libc::SIGTERM);
    running.wait().ok();
    assert_eq!(reader.join().unwrap().unwrap(), "alpha\n");
}

#[test]
fn a_drain_has_an_end() {
    let server = server();
    let tool = Tool::for_server(&server);
    let target = Target::new();
    let mut running = tool.spawn(&["mount", "-f", "oss://bucket", target.dir(), "--drain-timeout", "200ms"]);
    until("it is mounted", || target.is_mounted());
    let path = target.path("a.txt");
    fs::metadata(&path).unwrap();
    server.reset_counters();
    server.set_shaping(ossmount::emulator::Shaping { ttfb: Duration::from_secs(15), ..Default::default() });
    let reader = std::thread::spawn(move || fs::read_to_string(path));
    until("the read has reached the server", || server.counters().of(ossmount::emulator::Operation::GetObject) > 0);
    let asked = Instant::now();
    running.signal(libc::SIGTERM);
    let ended = running.wait().ok();
    assert!(asked.elapsed() < Duration::from_secs(10), "{ended:?}");
    assert!(ended.stderr.contains("were aborted after"), "{ended:?}");
    reader.join().unwrap().unwrap_err();
}

#[test]
fn the_log_goes_to_its_file_in_its_format_and_changes_its_level() {
    let server = server();
    let tool = Tool::for_server(&server);
    let target = Target::new();
    let log = target.beside("log");
    target.mount(&tool, "oss://bucket", &["--log-file", log.to_str().unwrap(), "--log-format", "json"]).ok();
    let lines = || -> Vec<serde_json::Value> {
        let text = fs::read_to_string(&log).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let mounted = lines().into_iter().find(|line| line["message"] == "mounted").unwrap();
    assert_eq!((&mounted["source"], &mounted["level"]), (&"oss://bucket".into(), &"INFO".into()));
    let pid = target.daemon().unwrap();
    let says =
        |words: &str| lines().iter().any(|line| line["message"].as_str().is_some_and(|text| text.contains(words)));
    // SAFETY: no memory is involved.
    unsafe { libc::kill(pid as i32, libc::SIGUSR2) };
    until("the level is debug", || says("log level is now debug"));
    // SAFETY: as above.
    unsafe { libc::kill(pid as i32, libc::SIGHUP) };
    until("the level is info again", || says("log level is now info"));
    assert_eq!(fs::read_to_string(target.path("a.txt")).unwrap(), "alpha\n");
    tool.run(&["umount", target.dir()]).ok();
    assert!(says("unmounted"));
    let text = fs::read_to_string(&log).unwrap();
    assert!(!text.contains(ACCESS_KEY_SECRET));
}

#[test]
fn no_core_is_ever_written() {
    let server = server();
    let tool = Tool::for_server(&server);
    let target = Target::new();
    target.mount(&tool, "oss://bucket", &[]).ok();
    let pid = target.daemon().unwrap();
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
}

/// The processes with a text among their arguments: each with its parent, its group and its session.
fn processes_of(argument: &str) -> Vec<[u32; 4]> {
    let described = |pid: u32| {
        let args = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut numbers = stat.rsplit(')').next()?.split_whitespace().skip(1).map(|number| number.parse().ok());
        args.split('\0').any(|arg| arg == argument).then_some([
            pid,
            numbers.next()??,
            numbers.next()??,
            numbers.next()??,
        ])
    };
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    pids.filter_map(described).collect()
}

/// Where a directory is mounted on demand (autofs), the kernel answers no other process before that is done.
#[test]
fn a_mount_is_made_in_the_process_group_of_its_caller_and_lives_in_a_session_of_its_own() {
    let server = server();
    let tool = Tool::for_server(&server);
    for args in [[].as_slice(), &["--supervise"]] {
        let target = Target::new();
        let log = target.beside("log");
        let pid_file = target.pid_file();
        let all = ["mount", "oss://bucket", target.dir(), "--pid-file", pid_file.to_str().unwrap(), "--log-file"];
        server.set_shaping(Shaping { page_time: Duration::from_secs(3), ..Shaping::default() });
        server.reset_counters();
        let mut caller = tool.spawn(&[&all, [log.to_str().unwrap()].as_slice(), args].concat());
        until("the daemon asks for the bucket", || server.counters().total() > 0);
        let processes = processes_of(target.dir());
        let [_, _, group, _] = *processes.iter().find(|process| process[0] == caller.child().id()).unwrap();
        let is_parent = |pid| processes.iter().any(|process| process[1] == pid);
        let daemon = processes.iter().find(|process| !is_parent(process[0])).unwrap();
        assert_ne!(daemon[0], caller.child().id());
        assert_eq!(daemon[2], group, "{processes:?}");
        caller.wait().ok();
        let daemon = target.daemon().unwrap();
        let processes = processes_of(target.dir());
        assert!(processes.iter().any(|process| process[0] == daemon && process[3] == daemon), "{processes:?}");
        assert!(processes.iter().all(|process| process[2] != group), "{processes:?}");
    }
}
