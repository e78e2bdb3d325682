//! The log of a daemon, as who runs it finds it: what is in it, how its file changes, how its reader wants it.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;

use ossmount::emulator::{Emulator, PutOptions, StorageClass};
use serde_json::Value;

use crate::support::program::{BINARY, Running, Target, Tool, server, until};

/// A mount in the background whose log is a file.
struct Bed {
    server: Emulator,
    target: Target,
    tool: Tool,
}

fn mounted(args: &[&str]) -> Bed {
    let (server, target) = (server(), Target::new());
    let tool = Tool::for_server(&server);
    let log = target.beside("log");
    let mut all = vec!["--log-file", log.to_str().unwrap()];
    all.extend(args);
    target.mount(&tool, "oss://bucket", &all).ok();
    Bed { server, target, tool }
}

fn signal(pid: u32, signal: i32) {
    // SAFETY: no memory is involved.
    unsafe { libc::kill(pid as i32, signal) };
}

impl Bed {
    fn log(&self) -> String {
        fs::read_to_string(self.target.beside("log")).unwrap_or_default()
    }

    /// The lines of a log in JSON.
    fn lines(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.log().lines().map(parse).collect()
    }
}

fn is_within(line: &Value, span: &str, ino: u64, key: &str) -> bool {
    let spans = line["spans"].as_array().map(Vec::as_slice).unwrap_or_default();
    spans.iter().any(|had| had["name"] == span && had["ino"] == ino && had["key"] == key)
}

#[test]
fn requests_are_told_with_inode_key_and_request_id_when_asked_for() {
    let bed = mounted(&["--log-level", "debug", "--log-format", "json"]);
    let path = bed.target.path("dir/b.txt");
    assert_eq!(fs::read_to_string(&path).unwrap(), "beta\n");
    let ino = fs::metadata(&path).unwrap().ino();
    let lines = bed.lines();
    let find =
        |what: &dyn Fn(&Value) -> bool| lines.iter().find(|line| what(line)).unwrap_or_else(|| panic!("{lines:#?}"));
    let get = find(&|line| line["operation"] == "GetObject" && is_within(line, "fetch", ino, "dir/b.txt"));
    assert!(get["request_id"].as_str().is_some_and(|id| !id.is_empty()), "{get}");
    assert!(get["status"].as_u64().is_some_and(|status| status / 100 == 2), "{get}");
    let read = find(&|line| line["message"] == "read" && is_within(line, "read", ino, "dir/b.txt"));
    assert_eq!(read["bytes"], 5);
    let directory = fs::metadata(bed.target.path("dir")).unwrap().ino();
    let listed = |line: &Value| line["operation"].is_string() && is_within(line, "list", directory, "dir/");
    fs::read_dir(bed.target.path("dir")).unwrap().count();
    assert!(bed.lines().iter().any(listed), "{:#?}", bed.lines());
}

#[test]
fn a_level_changes_while_it_runs_and_the_file_is_opened_anew() {
    let bed = mounted(&[]);
    assert!(!bed.log().contains("the service has answered"));
    bed.tool.run(&["control", bed.target.dir(), r#"{"op":"set","log-level":"debug"}"#]).ok();
    fs::read(bed.target.path("a.txt")).unwrap();
    until("requests are told", || bed.log().contains("the service has answered"));
    let moved = bed.target.beside("moved");
    fs::rename(bed.target.beside("log"), &moved).unwrap();
    signal(bed.target.daemon().unwrap(), libc::SIGHUP);
    until("the file is there again", || bed.log().contains("configuration was reloaded"));
    assert!(fs::read_to_string(&moved).unwrap().contains("mounted"));
}

#[test]
fn a_file_that_has_grown_is_kept_and_another_begun() {
    let bed = mounted(&["--log-level", "debug", "--log-file-size", "4KiB", "--log-file-count", "3"]);
    let size = |name: &str| fs::metadata(bed.target.beside(name)).map(|meta| meta.len());
    until("there are three files", || {
        bed.tool.run(&["control", bed.target.dir(), r#"{"op":"refresh"}"#]).ok();
        size("log.2").is_ok()
    });
    for name in ["log.1", "log.2"] {
        assert!((2048..=4096).contains(&size(name).unwrap()), "{name}: {}", size(name).unwrap());
    }
    assert!(size("log.3").is_err());
}

#[test]
fn what_fails_again_and_again_is_told_a_few_times() {
    let bed = mounted(&[]);
    let storage_class = StorageClass::Archive;
    bed.server.put_with("bucket", "cold/a.txt", "alpha\n", PutOptions { storage_class, ..PutOptions::default() });
    for _ in 0..30 {
        fs::read(bed.target.path("cold/a.txt")).unwrap_err();
    }
    let count = bed.log().lines().filter(|line| line.contains("ERROR") && line.contains("key=\"cold/a.txt\"")).count();
    assert_eq!(count, 5, "{}", bed.log());
    assert!(!bed.log().contains("left_out"));
    bed.tool.run(&["umount", bed.target.dir()]).ok();
    // The kernel may ask twice for one read.
    let told = |line: &str| {
        let (_, rest) = line.split_once("similar lines were omitted left_out=")?;
        let (count, line) = rest.split_once(" line=")?;
        Some((count.parse::<u32>().unwrap() >= 25, line.starts_with("reading an archived object")))
    };
    assert_eq!(bed.log().lines().filter_map(told).collect::<Vec<_>>(), [(true, true)], "{}", bed.log());
}

/// A service of systemd has a variable that names what its stderr is.
#[test]
fn the_journal_gets_priorities_and_no_times() {
    let (server, target) = (server(), Target::new());
    let path = target.beside("journal");
    let journal = File::create(&path).unwrap();
    let meta = journal.metadata().unwrap();
    let tool = Tool::for_server(&server).with("JOURNAL_STREAM", &format!("{}:{}", meta.dev(), meta.ino()));
    let mut command = tool.command(BINARY);
    command.args(["mount", "-f", "oss://bucket", target.dir()]).stdout(Stdio::null()).stderr(journal);
    let mut daemon = command.spawn().unwrap();
    until("it is mounted", || fs::read_to_string(&path).unwrap().contains("INFO mounted "));
    signal(daemon.id(), libc::SIGTERM);
    assert!(daemon.wait().unwrap().success());
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.lines().any(|line| line.starts_with("<6> INFO mounted ")), "{text}");
    assert!(text.lines().all(|line| line.starts_with('<')), "{text}");

    let failing = File::create(&path).unwrap();
    let mut command = tool.command(BINARY);
    command.args(["mount", "-f", "oss://none", target.dir(), "--part-size", "large"]).stderr(failing);
    assert_eq!(command.status().unwrap().code(), Some(2));
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("<3>ossmount: ") && text.lines().count() == 1, "{text}");
}

#[test]
fn a_person_is_told_of_a_daemon_that_nobody_hears_and_a_log_is_not() {
    let (server, target) = (server(), Target::new());
    let ended = target.mount(&Tool::for_server(&server), "oss://bucket", &[]).ok();
    assert_eq!(ended.stderr, "", "this stderr is a pipe");
    let is_heard = UnixDatagram::unbound().unwrap().connect("/dev/log").is_ok();
    let (target, terminal) = (Target::new(), nix::pty::openpty(None, None).unwrap());
    let mut command = Tool::for_server(&server).command(BINARY);
    let pid_file = target.pid_file();
    command.args(["mount", "oss://bucket", target.dir(), "--pid-file", pid_file.to_str().unwrap()]);
    let status = command.stdout(Stdio::null()).stderr(terminal.slave.try_clone().unwrap()).status().unwrap();
    drop((command, terminal.slave));
    let mut said = [0; 512];
    let mut master = File::from(terminal.master);
    // Where nothing was said, the end of the other side is an error.
    let len = std::io::Read::read(&mut master, &mut said).unwrap_or(0);
    let said = String::from_utf8_lossy(&said[..len]).into_owned();
    assert!(status.success(), "{said}");
    assert_eq!(said.starts_with("ossmount: nothing is logged: /dev/log does not exist"), !is_heard, "{said}");
}

/// Outputs that take nothing: a full one, and a pipe without a reader.
fn outputs_that_fail() -> [Stdio; 2] {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    [full.into(), writer.into()]
}

#[test]
fn an_output_that_takes_nothing_fails_no_mount_that_stands() {
    let server = server();
    let tool = Tool::for_server(&server);
    for (stdout, stderr) in outputs_that_fail().into_iter().zip(outputs_that_fail()) {
        let target = Target::new();
        let mut command = tool.command(BINARY);
        // As mount.fuse calls it, which has it say that the mount answers.
        command.args(["oss://bucket", target.dir(), "-v", "--pid-file", target.pid_file().to_str().unwrap()]);
        assert_eq!(command.stdout(stdout).stderr(stderr).status().unwrap().code(), Some(0));
        assert_eq!(fs::read_to_string(target.path("a.txt")).unwrap(), "alpha\n");
    }
}

#[test]
fn a_daemon_whose_log_goes_nowhere_goes_on() {
    let server = server();
    let tool = Tool::for_server(&server);
    for (stdout, stderr) in outputs_that_fail().into_iter().zip(outputs_that_fail()) {
        let target = Target::new();
        let mut command = tool.command(BINARY);
        command.args(["mount", "-f", "oss://bucket", target.dir(), "--log-level", "trace"]);
        let mut running = Running::of(command.stdout(stdout).stderr(stderr).spawn().unwrap());
        until("it is mounted", || target.is_mounted());
        assert_eq!(fs::read_to_string(target.path("dir/b.txt")).unwrap(), "beta\n");
        running.signal(libc::SIGTERM);
        running.wait().ok();
    }
}
