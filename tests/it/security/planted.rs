//! What one user of the machine plants for another, above all for root: entries of daemons, folders, links, pipes, files.
//! The other user is played by uid 65534; where the places are the machine's, in a mount namespace of the test's own.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::fcntl::{Flock, FlockArg};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::namespace::{in_own_mounts, mount_tmpfs, with_open_fuse_device};
use crate::support::program::{BINARY, Ended, Running, Target, Tool, copy_binary, runs, server, until};

const STRANGER: u32 = 65534;

/// A folder that others may enter.
fn open_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn give(path: &Path) {
    lchown(path, Some(STRANGER), Some(STRANGER)).unwrap();
}

/// Runs the binary as another user.
fn as_user(tool: &Tool, uid: u32, args: &[&str]) -> Ended {
    let folder = open_folder();
    let binary = folder.path().join("ossmount");
    copy_binary(&binary);
    let mut command = tool.command(&binary);
    command.args(args).uid(uid).gid(uid).current_dir("/");
    Ended::of(&mut command)
}

/// An entry as a daemon writes it, in a folder of the stranger's.
fn plant_entry(folder: &Path, name: &str, entry: &Value) -> Flock<fs::File> {
    let path = folder.join(name);
    fs::write(&path, entry.to_string()).unwrap();
    give(&path);
    // As by a daemon that lives.
    Flock::lock(fs::File::open(path).unwrap(), FlockArg::LockExclusive).unwrap()
}

#[test]
fn roots_commands_obey_no_entry_of_another_user() {
    let (server, target) = (server(), Target::new());
    let tool = Tool::for_server(&server);
    in_own_mounts(|| {
        mount_tmpfs(Path::new("/run"));
        let folder = PathBuf::from(format!("/run/user/{STRANGER}/ossmount"));
        fs::create_dir_all(&folder).unwrap();
        target.mount(&tool, "oss://bucket", &["--log-file", "/dev/null"]).ok();
        let pid = target.daemon().unwrap();

        mkfifo(&folder.join("1.json"), Mode::S_IRWXU).unwrap();
        symlink("/dev/zero", folder.join("2.json")).unwrap();
        symlink(target.pid_file(), folder.join("3.json")).unwrap();
        // What a daemon that was killed would have left.
        fs::write(folder.join("4.json"), r#"{"pid":4,"dir":"/gone","source":"oss://b"}"#).unwrap();
        for name in ["1.json", "2.json", "3.json", "4.json"] {
            give(&folder.join(name));
        }
        let socket = folder.join("socket");
        let listener = UnixListener::bind(&socket).unwrap();
        listener.set_nonblocking(true).unwrap();
        let ours = json!({"pid": std::process::id(), "dir": target.dir(), "source": "oss://theirs\u{1b}[2J", "socket": socket});
        let _live = plant_entry(&folder, "5.json", &ours);
        for path in [&folder, folder.parent().unwrap()] {
            give(path);
        }

        let listed = tool.run(&["status"]).ok().stdout;
        let theirs = listed.lines().find(|line| line.contains("oss://theirs")).unwrap();
        assert!(theirs.ends_with(&format!("by uid {STRANGER}")) && !theirs.contains('\u{1b}'), "{listed}");
        let own = listed.lines().find(|line| line.contains("oss://bucket")).unwrap();
        assert!(own.contains(target.dir()) && !own.contains("by uid"), "{listed}");
        assert!(!listed.contains("/gone"), "{listed}");
        let json = tool.run(&["status", "--json"]).ok().stdout;
        let owners: Vec<Value> =
            json.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["owner"].clone()).collect();
        assert!(owners.contains(&json!(STRANGER)) && owners.contains(&Value::Null), "{json}");
        let health = tool.run(&["control", target.dir(), r#"{"op":"health"}"#]).ok().stdout;
        let health: Value = serde_json::from_str(&health).unwrap();
        assert_eq!(health["pid"], pid, "root's mount answers, not who claims it");
        tool.run(&["umount", target.dir()]).ok();
        assert!(!runs(pid), "its own daemon is the one that is waited for");
        assert!(listener.accept().is_err(), "no daemon came to the planted socket");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 6, "nothing is removed");
    });
}

#[test]
fn a_runtime_folder_that_another_user_made_is_not_used() {
    let (scratch, target) = (open_folder(), Target::new());
    let user = 1234;
    let folder = scratch.path().join(format!("ossmount-{user}"));
    fs::create_dir(&folder).unwrap();
    let made_up = json!({"pid": 1, "dir": target.dir(), "source": "oss://made-up"});
    let _live = plant_entry(&folder, "1.json", &made_up);
    give(&folder);
    let tool = Tool::bare().with("TMPDIR", scratch.path().to_str().unwrap());
    assert_eq!(as_user(&tool, user, &["status"]).ok().stdout, "");
    // What the user made is believed.
    chown(&folder, Some(user), None).unwrap();
    chown(folder.join("1.json"), Some(user), None).unwrap();
    assert!(as_user(&tool, user, &["status"]).ok().stdout.contains("oss://made-up"));
    // Nor is one that others may write to.
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(as_user(&tool, user, &["status"]).ok().stdout, "");
}

#[test]
fn a_file_of_another_user_runs_no_program_and_names_no_keys() {
    let (server, scratch) = (server(), open_folder());
    let tool = Tool::bare().with("OSSMOUNT_ENDPOINT", &server.endpoint()).with("OSSMOUNT_REGION", "cn-hangzhou");
    let at = |name: &str| scratch.path().join(name);
    let file = |name: &str, text: &str, mode: u32| {
        fs::write(at(name), text).unwrap();
        fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
        at(name).into_os_string().into_string().unwrap()
    };
    let ran = at("ran");
    let config =
        file("config.json", &json!({"credentials-process": format!("touch {}", ran.display())}).to_string(), 0o666);
    let ls = |args: &[&str]| tool.run(&[&["ls", "oss://bucket"], args].concat());
    ls(&["--config", &config]).fails(2, &["credentials-process is not accepted", "mode 0666", "chmod go-w"]);
    fs::set_permissions(&config, fs::Permissions::from_mode(0o644)).unwrap();
    give(Path::new(&config));
    ls(&["--config", &config]).fails(2, &["credentials-process is not accepted", "uid 65534", "chown 0"]);
    let profile = json!({"current": "p", "profiles": [{"name": "p", "mode": "External", "process_command": format!("touch {}", ran.display())}]});
    let keys = file("keys.json", &profile.to_string(), 0o600);
    give(Path::new(&keys));
    ls(&["--credentials-file", &keys]).fails(1, &["keys.json is not trusted", "uid 65534", "chown 0"]);
    let keys = file("link", "", 0o600);
    fs::remove_file(&keys).unwrap();
    symlink(at("keys.json"), &keys).unwrap();
    give(Path::new(&keys));
    ls(&["--credentials-file", &keys]).fails(1, &["link is a symbolic link that belongs to uid 65534"]);
    assert!(!ran.exists());
    // In the other user's own hands it is theirs to say.
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o777)).unwrap();
    as_user(&tool, STRANGER, &["ls", "oss://bucket", "--config", &config]);
    assert!(ran.exists());
}

#[test]
fn a_missing_file_of_keys_is_told_as_that() {
    let tool = Tool::bare().with("OSSMOUNT_ENDPOINT", "http://127.0.0.1:1").with("OSSMOUNT_REGION", "cn-hangzhou");
    let target = Target::new();
    let args = ["mount", "oss://bucket", target.dir(), "--credentials-file", "/nonexistent/keys"];
    let ended = tool.run(&args);
    assert!(!ended.stderr.contains("accepted"), "{ended:?}");
    ended.fails(1, &["the credentials file /nonexistent/keys cannot be read: No such file"]);
}

#[test]
fn a_password_does_not_stay_on_the_command_line() {
    // Takes clients, and says nothing.
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let tool = Tool::bare().with("OSSMOUNT_REGION", "cn-hangzhou").with("OSSMOUNT_ENDPOINT", "http://127.0.0.1:1");
    let url = format!("http://user:hush@127.0.0.1:{}", proxy.local_addr().unwrap().port());
    let words = format!("region=r,proxy={url}");
    for args in [["--proxy", &url], ["-o", &words]] {
        let args = [&["mount", "-f", "oss://bucket", "/nonexistent", "--credentials", "anonymous"], &args[..]].concat();
        let mut command = tool.command(BINARY);
        let child = command.args(args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let line = format!("/proc/{}/cmdline", child.id());
        let mut running = Running::of(child);
        until("it is blanked", || {
            fs::read_to_string(&line).is_ok_and(|line| line.contains("http://*********@127.0.0.1"))
        });
        assert!(!fs::read_to_string(&line).unwrap().contains("hush"));
        running.signal(libc::SIGKILL);
        let mut said = String::new();
        running.child().stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(said.contains("OSSMOUNT_PROXY") && !said.contains("hush"), "{said}");
    }
}

#[test]
fn a_program_for_keys_that_hangs_ends_with_the_mount() {
    let (server, target) = (server(), Target::new());
    let tool = Tool::bare().with("OSSMOUNT_ENDPOINT", &server.endpoint()).with("OSSMOUNT_REGION", "cn-hangzhou");
    let file = target.beside("started");
    let program = format!("echo run >> {0}.runs; sleep 600 & echo $! > {0}; wait", file.display());
    let mut mount = tool.spawn(&["mount", "-f", "oss://bucket", target.dir(), "--credentials-process", &program]);
    let pid = || fs::read_to_string(&file).ok().filter(|text| text.ends_with('\n'));
    until("the program runs", || pid().is_some());
    let stat = format!("/proc/{}/stat", pid().unwrap().trim());
    mount.signal(libc::SIGTERM);
    mount.wait();
    let lives = || fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
    until("what it started has ended", || !lives());
    assert_eq!(fs::read_to_string(file.with_extension("runs")).unwrap().lines().count(), 1);
}

#[test]
fn no_file_is_written_through_another_users_link() {
    let (server, target, scratch) = (server(), Target::new(), open_folder());
    let tool = Tool::for_server(&server);
    let at = |name: &str| scratch.path().join(name);
    fs::write(at("precious"), "precious").unwrap();
    symlink(at("precious"), at("link")).unwrap();
    fs::create_dir(at("folder")).unwrap();
    symlink(at("folder"), at("way")).unwrap();
    for name in ["link", "way"] {
        give(&at(name));
    }
    give(scratch.path());
    let mount = |option: &str, path: PathBuf| {
        tool.run(&["mount", "-f", "oss://bucket", target.dir(), option, path.to_str().unwrap(), "--log-level", "error"])
    };
    for option in ["--pid-file", "--record", "--control-socket"] {
        let ended = mount(option, at("link"));
        assert!(
            ended.status == Some(1) && ended.stderr.contains("a symbolic link exists there"),
            "{option}: {ended:?}"
        );
        let ended = mount(option, at("way/file"));
        let says = "way is a symbolic link that belongs to uid 65534";
        assert!(ended.status == Some(1) && ended.stderr.contains(says), "{option}: {ended:?}");
    }
    let ended = mount("--log-file", at("link"));
    assert!(ended.status == Some(1) && ended.stderr.contains("link that belongs to uid 65534"), "{ended:?}");
    let ended = mount("--replay", PathBuf::from("/dev/zero"));
    assert!(ended.status == Some(1) && ended.stderr.contains("it is a device"), "{ended:?}");
    let ended = mount("--record", at("folder"));
    assert!(ended.status == Some(1) && ended.stderr.contains("a directory exists there"), "{ended:?}");
    assert_eq!(fs::read_to_string(at("precious")).unwrap(), "precious");
    assert_eq!(fs::read_dir(at("folder")).unwrap().count(), 0);
    assert!(!target.is_mounted());
}

/// The daemon of an ordinary user whose folder another user made first, and what root's commands do about its mount.
#[test]
fn a_users_daemon_keeps_to_its_own_folder_and_root_reaches_it_by_the_kernels_word() {
    let (server, scratch) = (server(), open_folder());
    let dir = scratch.path().join("mnt");
    fs::create_dir(&dir).unwrap();
    give(&dir);
    let planted = scratch.path().join(format!("ossmount-{STRANGER}"));
    fs::create_dir(&planted).unwrap();
    chown(&planted, Some(1234), None).unwrap();
    let home = scratch.path().to_str().unwrap();
    let tool = Tool::for_server(&server).with("TMPDIR", home).with("HOME", home);
    let dir = dir.canonicalize().unwrap().into_os_string().into_string().unwrap();
    with_open_fuse_device(|| {
        mount_tmpfs(Path::new("/run"));
        let session = PathBuf::from(format!("/run/user/{STRANGER}"));
        fs::create_dir_all(&session).unwrap();
        give(&session);
        as_user(&tool, STRANGER, &["mount", "oss://bucket", &dir, "--log-file", "/dev/null"]).ok();
        let listed = as_user(&tool, STRANGER, &["status", "--json"]).ok().stdout;
        let entry: Value = serde_json::from_str(&listed).unwrap();
        assert!(entry["socket"].as_str().unwrap().starts_with(session.to_str().unwrap()), "{listed}");
        assert_eq!(fs::read_dir(&planted).unwrap().count(), 0, "nothing goes into the folder that was planted");

        // Root may not look into the mount, and need not.
        let health = tool.run(&["control", &dir, r#"{"op":"health"}"#]).ok().stdout;
        let health: Value = serde_json::from_str(&health).unwrap();
        assert_eq!(health["pid"], entry["pid"]);
        // With an entry that names another process, the socket is not the one to ask.
        let name = format!("{}.json", entry["pid"]);
        let file = session.join("ossmount").join(&name);
        let mut other = entry.clone();
        other["pid"] = json!(std::process::id());
        let mut text = other.to_string();
        // Shorter than what a daemon has written would be half of it.
        text.push_str(&" ".repeat(listed.len()));
        fs::write(&file, text).unwrap();
        tool.run(&["control", &dir, r#"{"op":"health"}"#]).fails(1, &["belongs to uid 65534", "as that user"]);
        tool.run(&["umount", &dir]).ok();
        let pid = entry["pid"].as_u64().unwrap() as u32;
        until("the daemon has ended", || !runs(pid));
    });
}
