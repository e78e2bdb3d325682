//! Control requests to a live mount, through the ioctl, the socket and the commands.

mod copy;
mod examples;
mod files;
mod namespaces;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use ossmount::emulator::Emulator;
use ossmount::fuse::{IOCTL, IOCTL_BYTES};
use serde_json::{Value, json};

use crate::support::program::{BINARY, Ended, Target, Tool, copy_binary, server};

/// What a request on a file or directory brings: the error number, or 0, and the answer.
pub(crate) fn ioctl(path: &Path, request: &str) -> (i32, Value) {
    let (errno, bytes) = raw_ioctl(path, IOCTL, request.as_bytes());
    let text = bytes.split(|&byte| byte == 0).next().unwrap();
    (errno, serde_json::from_slice(text).unwrap_or_else(|error| panic!("{error}: {text:?}")))
}

fn raw_ioctl(path: &Path, number: u32, request: &[u8]) -> (i32, Vec<u8>) {
    let file = File::open(path).unwrap();
    let mut buffer = vec![0; IOCTL_BYTES];
    buffer[..request.len()].copy_from_slice(request);
    // SAFETY: the number says that so many bytes go in and out, and the buffer has them.
    let done = unsafe { libc::ioctl(file.as_raw_fd(), libc::c_ulong::from(number), buffer.as_mut_ptr()) };
    let errno = std::io::Error::last_os_error().raw_os_error().unwrap();
    (if done < 0 { errno } else { 0 }, buffer)
}

/// A client of the socket.
pub(crate) struct Client(BufReader<UnixStream>);

impl Client {
    pub(crate) fn of(target: &Target) -> Client {
        let (errno, health) = ioctl(target.path("").as_path(), r#"{"op":"health"}"#);
        assert_eq!(errno, 0, "{health}");
        Client::at(Path::new(health["socket"].as_str().unwrap()))
    }

    pub(crate) fn at(path: &Path) -> Client {
        Client(BufReader::new(UnixStream::connect(path).unwrap()))
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    pub(crate) fn hear(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        (!line.is_empty()).then(|| serde_json::from_str(&line).unwrap())
    }

    pub(crate) fn ask(&mut self, request: &Value) -> Value {
        self.send(format!("{request}\n").as_bytes());
        self.hear().unwrap()
    }

    /// Asks, and takes the answer of what was done.
    pub(crate) fn done(&mut self, request: &Value) -> Value {
        let answer = self.ask(request);
        assert!(!answer["error"].is_string(), "{request}: {answer}");
        answer
    }
}

/// An emulator and a mount of its bucket.
pub(crate) struct Mount {
    pub(crate) server: Emulator,
    pub(crate) tool: Tool,
    pub(crate) target: Target,
}

impl Mount {
    pub(crate) fn with(args: &[&str]) -> Mount {
        let server = server();
        let (tool, target) = (Tool::for_server(&server), Target::new());
        target.mount(&tool, "oss://bucket", args).ok();
        Mount { server, tool, target }
    }

    pub(crate) fn client(&self) -> Client {
        Client::of(&self.target)
    }

    fn path(&self, below: &str) -> PathBuf {
        self.target.path(below)
    }

    /// Adds an object, which the mount shows from then on, whether or not it has been listed: copies that other tests
    /// make are told to all mounts of a bucket of that name.
    pub(crate) fn put(&self, key: &str, content: impl Into<bytes::Bytes>) {
        self.server.put("bucket", key, content);
        self.client().done(&json!({"op": "refresh", "recursive": true}));
    }
}

#[test]
fn every_door_leads_to_the_same_answers() {
    let mount = Mount::with(&[]);
    let mut client = mount.client();
    let facts = client.done(&json!({"op": "stat", "path": "dir/b.txt"}));
    assert_eq!((&facts["key"], &facts["size"]), (&json!("dir/b.txt"), &json!("5")));
    assert!(facts["crc64"].as_str().unwrap().parse::<u64>().is_ok(), "{facts}");
    assert_eq!(facts["inode"].as_u64().unwrap(), fs::metadata(mount.path("dir/b.txt")).unwrap().ino());

    let request = r#"{"op":"stat"}"#;
    assert_eq!(ioctl(&mount.path("dir/b.txt"), request), (0, facts.clone()), "on the file itself");
    let absolute = json!({"op": "stat", "path": mount.path("dir/b.txt"), "version": 1});
    assert_eq!(ioctl(&mount.path("dir"), &absolute.to_string()), (0, facts.clone()), "on a directory");
    let printed = mount.tool.run(&["control", mount.target.dir(), &absolute.to_string()]).ok().stdout;
    assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), facts);

    let directory = client.done(&json!({"op": "stat", "path": "./dir/"}));
    assert_eq!((&directory["key"], directory.get("size")), (&json!("dir/"), None));
}

#[test]
fn bad_requests_get_a_sentence_and_an_error_number() {
    let mount = Mount::with(&[]);
    let mut client = mount.client();
    for (request, errno, name, words) in [
        (r#"{"op":"fly"}"#, libc::EINVAL, "EINVAL", "unknown operation"),
        (r#"{"op":"stat","paht":"x"}"#, libc::EINVAL, "EINVAL", "`paht`"),
        ("no json", libc::EINVAL, "EINVAL", "not a JSON object"),
        ("", libc::EINVAL, "EINVAL", "not a JSON object"),
        (r#"{"op":"stat","path":"none"}"#, libc::ENOENT, "ENOENT", "none: No such file"),
        (r#"{"op":"stat","path":"a.txt/x"}"#, libc::EINVAL, "EINVAL", "Not a directory"),
        (r#"{"op":"stat","path":"dir/../a.txt"}"#, libc::EINVAL, "EINVAL", ".. leads out"),
        (r#"{"op":"stat","path":"/etc/passwd"}"#, libc::EINVAL, "EINVAL", "is not under"),
        (r#"{"op":"pin","path":"dir"}"#, libc::EINVAL, "EINVAL", "Is a directory"),
        (r#"{"op":"prefetch-status","job":99}"#, libc::ENOENT, "ENOENT", "prefetch 99 does not exist"),
        (r#"{"op":"set","memory-limit":"1MiB"}"#, libc::EINVAL, "EINVAL", "the minimum is 64MiB"),
    ] {
        let (number, answer) = ioctl(&mount.path(""), request);
        assert_eq!((number, &answer["error"]), (errno, &json!(name)), "{request}: {answer}");
        assert!(answer["message"].as_str().unwrap().contains(words), "{request}: {answer}");
        client.send(format!("{request}\n").as_bytes());
        assert_eq!(client.hear().unwrap(), answer, "the socket goes on after it");
    }
    let said = mount.tool.run(&["control", mount.target.dir(), r#"{"op":"fly"}"#]);
    said.fails(1, &["unknown operation \"fly\"", "(EINVAL)"]);
}

#[test]
fn other_ioctls_are_unknown() {
    let mount = Mount::with(&[]);
    for number in [IOCTL + 1, IOCTL ^ 0x100, 0x5401] {
        for path in ["", "a.txt"] {
            assert_eq!(raw_ioctl(&mount.path(path), number, b"{}").0, libc::ENOTTY, "{number:#x}");
        }
    }
}

#[test]
fn the_socket_takes_long_answers_and_bounds_what_comes_in() {
    let mount = Mount::with(&[]);
    for number in 0..200 {
        mount.server.put("bucket", &format!("many/{number}-{}", "x".repeat(60)), "x");
    }
    let mut client = mount.client();
    client.done(&json!({"op": "prefetch", "paths": ["many"], "wait": true}));
    let request = json!({"op": "stats", "files": true});
    let (errno, answer) = ioctl(&mount.path(""), &request.to_string());
    assert_eq!((errno, &answer["error"]), (libc::EMSGSIZE, &json!("EMSGSIZE")));
    assert!(answer["message"].as_str().unwrap().contains("use the control socket /"), "{answer}");
    let answer = client.done(&request);
    assert_eq!(answer["files"].as_array().unwrap().len(), 200);

    // Several in one write, one without a line break at the end.
    client.send(b"{\"op\":\"health\"}\n{\"op\":\"fly\"}\n{\"op\":\"health\"}");
    client.0.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
    let answers: Vec<Value> = std::iter::from_fn(|| client.hear()).collect();
    assert_eq!((answers.len(), &answers[1]["error"]), (3, &json!("EINVAL")));

    let mut client = mount.client();
    client.send(&vec![b' '; 257 << 10]);
    assert!(client.hear().unwrap()["message"].as_str().unwrap().contains("bytes in one line"));
    // What is left of the line is taken in: a client may send all of it before it reads.
    client.send(&vec![b' '; 300 << 10]);
    assert_eq!(client.hear(), None);
}

#[test]
fn more_clients_than_may_be_are_sent_away_and_others_come_in_their_place() {
    let mount = Mount::with(&[]);
    let mut clients: Vec<Client> = (0..64).map(|_| mount.client()).collect();
    for client in &mut clients {
        client.done(&json!({"op": "health"}));
    }
    let mut refused = mount.client();
    assert_eq!(refused.hear().unwrap()["error"], "EBUSY");
    refused.send(b"{\"op\":\"health\"}\n");
    assert_eq!(refused.hear(), None);
    drop(clients.pop());
    // The daemon learns of it a moment later.
    crate::support::program::until("a place is free", || {
        let mut client = mount.client();
        client.0.get_mut().write_all(b"{\"op\":\"health\"}\n").is_ok_and(|()| {
            let mut line = String::new();
            client.0.read_line(&mut line).is_ok() && line.contains("\"ok\"")
        })
    });
}

/// Runs the binary as another user.
fn as_user(tool: &Tool, uid: u32, args: &[&str]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let binary = folder.path().join("ossmount");
    copy_binary(&binary);
    let mut command = tool.command(&binary);
    command.args(args).uid(uid).gid(uid).current_dir("/");
    Ended::of(&mut command)
}

#[test]
fn only_the_owner_and_root_are_served() {
    let mount = Mount::with(&["--allow-other"]);
    for folder in mount.path("").ancestors().skip(1).take(1) {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let health = mount.client().done(&json!({"op": "health"}));
    let socket = Path::new(health["socket"].as_str().unwrap());
    assert_eq!(fs::metadata(socket).unwrap().permissions().mode() & 0o777, 0o600);
    for uid in [1234, 65534] {
        let refused = as_user(&mount.tool, uid, &["control", mount.target.dir(), r#"{"op":"health"}"#]);
        refused.fails(1, &["(EPERM)", "owner"]);
        // Also where the socket lets them in.
        fs::set_permissions(socket, fs::Permissions::from_mode(0o666)).unwrap();
        let refused = as_user(&mount.tool, uid, &["control", mount.target.dir(), r#"{"op":"health"}"#]);
        refused.fails(1, &["(EPERM)", "owner"]);
        fs::set_permissions(socket, fs::Permissions::from_mode(0o600)).unwrap();
    }
    mount.tool.run(&["control", mount.target.dir(), r#"{"op":"health"}"#]).ok();
}

#[test]
fn root_of_another_name_space_of_users_is_not_root() {
    let mount = Mount::with(&["--allow-other"]);
    for mapping in ["--map-root-user", "--map-users=0,1234,1"] {
        let mut command = mount.tool.command("unshare");
        command.args(["--user", mapping]);
        if mapping != "--map-root-user" {
            command.args(["--setuid", "0"]);
        }
        command.args([BINARY, "control", mount.target.dir(), r#"{"op":"health"}"#]);
        let ended = Ended::of(&mut command);
        if mapping == "--map-root-user" {
            // That is ourselves under another number.
            ended.ok();
        } else if !ended.stderr.contains("unshare") {
            ended.fails(1, &["(EPERM)"]);
        }
    }
}

#[test]
fn a_new_listing_shows_what_has_changed_at_once() {
    let mount = Mount::with(&["--metadata-ttl", "600s", "--negative-ttl", "600s"]);
    let names = |below: &str| -> Vec<String> {
        let entries = fs::read_dir(mount.path(below)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!((names(""), names("dir")), (vec!["a.txt".into(), "dir".into()], vec!["b.txt".into(), "deep".into()]));
    assert!(!mount.path("new.txt").exists());
    mount.server.put("bucket", "new.txt", "new\n");
    mount.server.put("bucket", "dir/new.txt", "new\n");
    assert_eq!(names("").len(), 2, "believed for ten minutes");
    let mut client = mount.client();
    assert_eq!(client.done(&json!({"op": "refresh"})), json!({"state": "done"}));
    assert_eq!((names("").len(), names("dir").len()), (3, 2));
    assert_eq!(fs::read_to_string(mount.path("new.txt")).unwrap(), "new\n");
    client.done(&json!({"op": "refresh", "path": "a.txt", "recursive": true}));
    assert_eq!(names("dir").len(), 3, "of the directory that the file is in");
}

#[test]
fn options_change_while_it_runs() {
    let mount = Mount::with(&["--log-file", "/dev/null"]);
    let mut client = mount.client();
    let limit = |client: &mut Client| client.done(&json!({"op": "stats"}))["memory"]["read-buffers-limit"].clone();
    let set = json!({"op": "set", "memory-limit": "128MiB", "max-bandwidth": "1GiB", "log-level": "debug"});
    let now = client.done(&set);
    assert_eq!(now, json!({"memory-limit": 128 << 20, "max-bandwidth": 1 << 30, "log-level": "debug"}));
    assert_eq!(limit(&mut client), 128 << 20);
    let bad = json!({"op": "set", "memory-limit": "256MiB", "max-bandwidth": 1});
    assert_eq!(client.ask(&bad)["error"], "EINVAL");
    assert_eq!(limit(&mut client), 128 << 20, "all of it or nothing");
    assert_eq!(client.done(&json!({"op": "set", "path": "a.txt", "prefetch": "off"})), json!({"prefetch": "off"}));
    let (errno, now) = ioctl(&mount.path("a.txt"), r#"{"op":"set","prefetch":"open","max-bandwidth":"none"}"#);
    assert_eq!((errno, now), (0, json!({"prefetch": "open", "max-bandwidth": "none"})));
}

#[test]
fn status_shows_all_mounts_or_the_figures_of_one() {
    let mount = Mount::with(&[]);
    fs::read(mount.path("a.txt")).unwrap();
    let all = mount.tool.run(&["status"]).ok().stdout;
    let line = all.lines().find(|line| line.starts_with(mount.target.dir())).unwrap();
    let pid = mount.target.daemon().unwrap();
    assert!(
        line.contains("oss://bucket  ") && line.contains(&format!("pid {pid}")) && line.ends_with(".sock"),
        "{line}"
    );
    let json = mount.tool.run(&["status", "--json"]).ok().stdout;
    let rows: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(rows.iter().any(|row| row["directory"] == mount.target.dir() && row["pid"] == pid), "{json}");

    let one = mount.tool.run(&["status", "--json", mount.path("dir").to_str().unwrap()]).ok().stdout;
    let one: Value = serde_json::from_str(&one).unwrap();
    assert_eq!((&one["directory"], &one["status"]), (&json!(mount.target.dir()), &json!("ok")));
    assert_eq!(one["metrics"]["bytes_read"], 6, "{one}");
    let text = mount.tool.run(&["status", "--all", mount.target.dir()]).ok().stdout;
    assert!(text.lines().any(|line| line.starts_with("metrics.reads ")), "{text}");
    let summary = mount.tool.run(&["status", mount.target.dir()]).ok().stdout;
    assert!(summary.starts_with(&format!("oss://bucket on {}\nstate     ok, up ", mount.target.dir())), "{summary}");
    assert!(summary.contains("\nread      6B in ") && summary.lines().count() == 8, "{summary}");
    mount.tool.run(&["status", "/etc"]).fails(1, &["/etc is not under a live ossmount mount"]);
}

#[test]
fn the_socket_is_where_it_was_asked_for_or_nowhere() {
    let server = server();
    let (tool, target) = (Tool::for_server(&server), Target::new());
    let socket = target.beside("control.sock");
    let words = ["--control-socket", socket.to_str().unwrap()];
    fs::write(&socket, "not a socket").unwrap();
    target.mount(&tool, "oss://bucket", &words).fails(1, &["control.sock cannot be opened", "not a socket"]);
    assert!(!target.is_mounted());
    fs::remove_file(&socket).unwrap();
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    target.mount(&tool, "oss://bucket", &words).ok();
    assert_eq!(Client::at(&socket).done(&json!({"op": "health"}))["socket"], json!(socket));
    let other = Target::new();
    other.mount(&tool, "oss://bucket", &words).fails(1, &["another daemon listens"]);
    tool.run(&["umount", target.dir()]).ok();
    assert!(!socket.exists());

    other.mount(&tool, "oss://bucket", &["--control-socket", "off"]).ok();
    let (errno, health) = ioctl(&other.path(""), r#"{"op":"health"}"#);
    assert_eq!((errno, health.get("socket")), (0, None));
    tool.run(&["status", other.dir()]).ok();
}
