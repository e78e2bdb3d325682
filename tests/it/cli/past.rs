//! `at`: buckets as they stood, listed, looked at, copied and mounted; and `ossmount log`.

use std::fs;

use ossmount::emulator::{Emulator, Fault, Options};
use serde_json::Value;

use crate::support::program::{Target, Tool, until};

/// A bucket with a past: two hours ago two files and a third; one hour ago one overwritten, one deleted, one added.
fn server() -> Emulator {
    let server = Emulator::start(Options::default()).unwrap();
    server.create_versioned_bucket("bucket");
    server.set_clock_offset(-7200);
    server.put("bucket", "data/a.txt", "old a\n");
    server.put("bucket", "data/b.txt", "old b\n");
    server.put("bucket", "data/sub/c.txt", "old c\n");
    server.set_clock_offset(-3600);
    server.put("bucket", "data/a.txt", "a bad upload\n");
    server.delete("bucket", "data/b.txt");
    server.put("bucket", "data/new/d.txt", "new d\n");
    server.set_clock_offset(0);
    server
}

#[test]
fn ls_and_stat_tell_what_stood_then() {
    let server = server();
    let tool = Tool::for_server(&server);
    for url in ["oss://bucket", "s3://bucket"] {
        for (args, expected) in [
            (&["ls", "-r", "--sort"][..], "data/a.txt\ndata/new/d.txt\ndata/sub/c.txt\n"),
            (&["ls", "-r", "--sort", "--at", "90m"], "data/a.txt\ndata/b.txt\ndata/sub/c.txt\n"),
            (&["ls", "-r", "--sort", "--at", "30m"], "data/a.txt\ndata/new/d.txt\ndata/sub/c.txt\n"),
            (&["ls", "-r", "--at", "3h"], ""),
        ] {
            let mut args = args.to_vec();
            args.push(url);
            assert_eq!(tool.run(&args).ok().stdout, expected, "{args:?}");
        }
    }
    let stat = |args: &[&str]| -> Value {
        let all: Vec<&str> = ["stat", "--json"].iter().chain(args).copied().collect();
        serde_json::from_str(&tool.run(&all).ok().stdout).unwrap()
    };
    let (then, now) = (stat(&["--at", "90m", "oss://bucket/data/a.txt"]), stat(&["oss://bucket/data/a.txt"]));
    assert_eq!((&then["size"], &now["size"]), (&6.into(), &13.into()));
    assert_ne!(then["version_id"], now["version_id"]);
    assert_eq!(stat(&["--at", "90m", "oss://bucket/data/b.txt"])["size"], 6);
    tool.run(&["stat", "oss://bucket/data/b.txt"]).fails(1, &["does not exist"]);
    tool.run(&["stat", "--at", "90m", "oss://bucket/data/new/d.txt"]).fails(1, &["does not exist"]);
    let json = tool.run(&["ls", "--json", "--at", "90m", "oss://bucket/data/b.txt"]).ok().stdout;
    let line: Value = serde_json::from_str(json.trim()).unwrap();
    assert_eq!(line["version_id"], stat(&["--at", "90m", "oss://bucket/data/b.txt"])["version_id"]);
}

#[test]
fn cp_brings_back_a_prefix_as_it_stood() {
    let server = server();
    let tool = Tool::for_server(&server);
    tool.run(&["cp", "-r", "--at", "90m", "oss://bucket/data/", "oss://bucket/data/"]).ok();
    let listed = tool.run(&["ls", "-r", "--sort", "oss://bucket"]).ok().stdout;
    assert_eq!(listed, "data/a.txt\ndata/b.txt\ndata/new/d.txt\ndata/sub/c.txt\n", "what came later stays");
    let target = Target::new();
    target.mount(&tool, "oss://bucket", &[]).ok();
    for (name, content) in [("a.txt", "old a\n"), ("b.txt", "old b\n"), ("sub/c.txt", "old c\n")] {
        assert_eq!(fs::read_to_string(target.path(&format!("data/{name}"))).unwrap(), content, "{name}");
    }
    tool.run(&["cp", "--at", "90m", "oss://bucket/data/b.txt", "oss://bucket/b-again.txt"]).ok();
    assert!(tool.run(&["ls", "oss://bucket"]).ok().stdout.contains("b-again.txt"));
    tool.run(&["cp", "-r", "--at", "1s", "oss://bucket/data/", "oss://bucket/x/"]).fails(2, &["at least 60 s ago"]);
}

#[test]
fn log_prints_versions_and_delete_markers_newest_first() {
    let server = server();
    let tool = Tool::for_server(&server);
    let log = tool.run(&["log", "oss://bucket/data/b.txt"]).ok().stdout;
    let lines: Vec<Vec<&str>> = log.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((lines.len(), lines[0][1], lines[0][2], lines[1][1]), (2, "deleted", "*", "6"), "{log}");
    assert!(lines.iter().all(|line| line.last() == Some(&"data/b.txt")), "{log}");
    let all = tool.run(&["log", "--json", "s3://bucket/data/"]).ok().stdout;
    let all: Vec<Value> = all.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(all.len(), 6);
    let times: Vec<&str> = all.iter().map(|line| line["last_modified"].as_str().unwrap()).collect();
    assert!(times.is_sorted_by(|newer, older| newer >= older), "{times:?}");
    assert_eq!(all.iter().filter(|line| line["is_delete_marker"] == true).count(), 1);
    assert_eq!(tool.run(&["log", "-n", "2", "oss://bucket"]).ok().stdout.lines().count(), 2);
    tool.run(&["log", "oss://bucket/data/none"]).fails(1, &["has no versions"]);
}

#[test]
fn a_mount_of_the_past_survives_its_daemon_and_never_moves() {
    let server = server();
    let tool = Tool::for_server(&server);
    let target = Target::new();
    target.mount(&tool, "oss://bucket/data", &["--at", "90m", "--supervise"]).ok();
    let read = |name: &str| fs::read_to_string(target.path(name));
    assert_eq!(read("a.txt").unwrap(), "old a\n");
    assert_eq!(read("b.txt").unwrap(), "old b\n");
    assert!(read("new/d.txt").is_err());
    server.put("bucket", "data/a.txt", "later still\n");
    let first = target.daemon().unwrap();
    let mut kill = tool.command("kill");
    kill.args(["-9", &first.to_string()]);
    crate::support::program::Ended::of(&mut kill).ok();
    until("another daemon serves", || target.daemon().is_some_and(|pid| pid != first) && read("a.txt").is_ok());
    assert_eq!(read("a.txt").unwrap(), "old a\n");
    assert_eq!(read("sub/c.txt").unwrap(), "old c\n");
    assert!(read("new/d.txt").is_err());
}

#[test]
fn what_cannot_be_shown_is_refused_with_what_to_do() {
    let server = server();
    let tool = Tool::for_server(&server);
    let target = Target::new();
    for (args, status, says) in [
        (&["--at", "30s"][..], 2, "name a time at least 60 s ago"),
        (&["--at", "2999-01-01T00:00:00Z"], 2, "name a time at least 60 s ago"),
        (&["--at", "last tuesday"], 2, "RFC 3339"),
        (&["--at", "1h", "--metadata-ttl", "10s"], 2, "--metadata-ttl"),
    ] {
        target.mount(&tool, "oss://bucket", args).fails(status, &[says]);
    }
    tool.run(&["ls", "--at", "0s", "oss://bucket"]).fails(2, &["at least 60 s ago"]);
    tool.run(&["log", "oss://no-such-bucket"]).fails(1, &["does not exist"]);
    server.set_faults(vec!["403,operation=ListObjectVersions".parse::<Fault>().unwrap()]);
    target.mount(&tool, "oss://bucket", &["--at", "1h"]).fails(1, &["oss:ListObjectVersions"]);
    tool.run(&["ls", "--at", "1h", "s3://bucket"]).fails(1, &["s3:ListBucketVersions"]);
    tool.run(&["log", "oss://bucket/data/"]).fails(1, &["oss:ListObjectVersions"]);
    assert!(!target.is_mounted());
}

#[test]
fn a_version_that_may_not_be_read_names_the_permission() {
    for (url, permission) in
        [("oss://bucket/data", "oss:GetObjectVersion"), ("s3://bucket/data", "s3:GetObjectVersion")]
    {
        let server = server();
        let (tool, target) = (Tool::for_server(&server), Target::new());
        let log = target.beside("log");
        target.mount(&tool, url, &["--at", "90m", "--prefetch", "off", "--log-file", log.to_str().unwrap()]).ok();
        server.set_faults(vec!["403,operation=GetObject".parse::<Fault>().unwrap()]);
        assert_eq!(fs::read(target.path("a.txt")).unwrap_err().raw_os_error(), Some(libc::EACCES), "{url}");
        let said = fs::read_to_string(log).unwrap();
        assert!(said.contains(permission), "{said}");
    }
}

#[test]
fn a_bucket_without_versions_is_shown_with_a_warning() {
    let server = Emulator::start(Options::default()).unwrap();
    server.create_bucket("bucket");
    server.set_clock_offset(-7200);
    server.put("bucket", "old", "old\n");
    server.set_clock_offset(0);
    server.put("bucket", "new", "new\n");
    let tool = Tool::for_server(&server);
    let target = Target::new();
    let log = target.beside("log");
    target.mount(&tool, "oss://bucket", &["--at", "1h", "--log-file", log.to_str().unwrap()]).ok();
    assert_eq!(fs::read_to_string(target.path("old")).unwrap(), "old\n");
    assert!(fs::metadata(target.path("new")).is_err());
    let said = fs::read_to_string(log).unwrap();
    assert_eq!(said.matches("seems to keep no versions").count(), 1, "{said}");
    assert!(said.contains("as it stood at 20"), "{said}");
}
