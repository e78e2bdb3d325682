//! Starting and going on with little: few threads, few rights, descriptors that belong to others.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;

use crate::support::namespace::with_open_fuse_device;
use crate::support::program::{BINARY, Ended, Target, Tool, copy_binary, server, until};

/// What the open descriptors of a process are.
fn descriptors(pid: u32) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    entries.filter_map(|entry| Some(fs::read_link(entry.ok()?.path()).ok()?.to_str()?.to_owned())).collect()
}

#[test]
fn a_daemon_lets_go_of_the_lock_under_which_it_was_started() {
    let server = server();
    let tool = Tool::for_server(&server);
    for more in [[].as_slice(), &["--supervise"]] {
        let target = Target::new();
        let (lock, pid_file) = (target.beside("lock"), target.pid_file());
        let mut command = tool.command("flock");
        command
            .arg(&lock)
            .args([BINARY, "mount", "oss://bucket", target.dir(), "--pid-file"])
            .arg(&pid_file)
            .args(more);
        Ended::of(&mut command).ok();
        Ended::of(tool.command("flock").arg("--nonblock").arg(&lock).arg("true")).ok();
        assert_eq!(fs::read_to_string(target.path("a.txt")).unwrap(), "alpha\n");
    }
}

#[test]
fn a_daemon_keeps_the_descriptors_that_options_name_and_no_others() {
    let (server, target) = (server(), Target::new());
    let path = |name: &str| target.beside(name).into_os_string().into_string().unwrap();
    let (log, other, pid_file) = (path("log"), path("other"), path("pid"));
    let script = "exec 7>>\"$1\" 8>>\"$2\" 9<&0; shift 2; exec \"$0\" \"$@\"";
    let mut command = Tool::for_server(&server).command("sh");
    command.args(["-c", script, BINARY, &log, &other, "mount", "oss://bucket", target.dir()]);
    Ended::of(command.args(["--log-file", "/dev/fd/7", "--pid-file", &pid_file])).ok();
    let open = descriptors(target.daemon().unwrap());
    assert!(open.contains(&log) && !open.contains(&other), "{open:?}");
    until("it is logged", || fs::read_to_string(&log).unwrap().contains("mounted"));
}

/// A user of whom no other process is, so that a limit of processes counts those of a test alone.
fn lonely_user() -> u32 {
    100_000 + std::process::id() % 100_000
}

#[test]
fn with_few_threads_there_is_a_mount_that_answers_or_an_error_and_no_mount() {
    with_open_fuse_device(|| {
        let outcomes: Vec<bool> = (1..=16).map(mount_with_so_many_tasks).collect();
        assert!(!outcomes[0], "one task is not enough for any daemon");
    });
}

/// Whether a mount was made by a user who may have so many tasks; checked is that it answers, or is not there.
fn mount_with_so_many_tasks(tasks: u64) -> bool {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).into_os_string().into_string().unwrap();
    let (dir, binary, user) = (place("mnt"), place("ossmount"), lonely_user());
    copy_binary(&binary);
    fs::create_dir(&dir).unwrap();
    for own in [folder.path(), Path::new(&dir)] {
        std::os::unix::fs::chown(own, Some(user), Some(user)).unwrap();
    }
    let tool = Tool::for_server(&server).with("HOME", &place("")).with("XDG_RUNTIME_DIR", &place(""));
    let mut command = tool.command(&binary);
    command.args(["mount", "oss://bucket", &dir, "--log-file", &place("log")]).uid(user).gid(user).current_dir("/");
    // SAFETY: setrlimit may be called between fork and exec.
    unsafe {
        command.pre_exec(move || {
            let limit = libc::rlimit { rlim_cur: tasks, rlim_max: tasks };
            if libc::setrlimit(libc::RLIMIT_NPROC, &raw const limit) == 0 {
                Ok(())
            } else {
                Err(std::io::Error::last_os_error())
            }
        });
    }
    let ended = Ended::of(&mut command);
    let is_there = ossmount::fuse::mounts().unwrap().iter().any(|mount| mount.dir == Path::new(&dir));
    match ended.status {
        Some(0) => {
            let read = tool.command("cat").arg(format!("{dir}/dir/b.txt")).uid(user).gid(user).output().unwrap();
            let log = fs::read_to_string(place("log")).unwrap_or_default();
            assert_eq!(String::from_utf8_lossy(&read.stdout), "beta\n", "{tasks} tasks: {log}");
            Ended::of(tool.command(&binary).args(["umount", &dir]).uid(user).gid(user)).ok();
            true
        }
        Some(1) => {
            assert!(!is_there, "{tasks} tasks: a dead mount is left: {ended:?}");
            assert!(ended.stderr.starts_with("ossmount: ") && ended.stderr.lines().count() == 1, "{ended:?}");
            false
        }
        _ => panic!("{tasks} tasks: {ended:?}"),
    }
}

#[test]
fn root_without_the_right_to_mount_is_told_which_it_lacks() {
    let (server, target) = (server(), Target::new());
    let mut command = Tool::for_server(&server).command("setpriv");
    command.args(["--bounding-set=-sys_admin", BINARY, "mount", "oss://bucket", target.dir()]);
    let words = [target.dir(), "without CAP_SYS_ADMIN", "fusermount3", "--cap-add SYS_ADMIN", "fuse-fd"];
    Ended::of(&mut command).fails(1, &words);
    assert!(!target.is_mounted());
}
