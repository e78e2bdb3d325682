//! `cp`: what it copies, what it says, and how it ends.

use std::time::Duration;

use ossmount::emulator::{Emulator, Fault, FaultKind, Operation};
use serde_json::Value;

use crate::conformance::pattern;
use crate::copy::bench::MIB;
use crate::support::program::{Target, Tool, server, until};

const SIZES: [&str; 2] = ["--copy-part-size=1MiB", "--copy-threshold=2MiB"];

/// The server of the other commands, with a second bucket.
fn bed() -> (Emulator, Tool) {
    let server = server();
    server.create_bucket("other");
    server.put("bucket", "big", pattern(11 * MIB));
    let tool = Tool::for_server(&server);
    (server, tool)
}

#[test]
fn cp_copies_and_says_what() {
    let (server, tool) = bed();
    let cp = |from: &str, to: &str, more: &[&str]| tool.run(&[&["cp", from, to], &SIZES[..], more].concat());
    let said = cp("oss://bucket/a.txt", "oss://other/b.txt", &[]).ok();
    assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("oss://bucket/a.txt -> oss://other/b.txt: 6B\n", ""));
    assert_eq!(
        cp("oss://bucket/big", "oss://other/", &[]).ok().stdout,
        "oss://bucket/big -> oss://other/big: 11.0MiB in 11 parts\n"
    );
    assert_eq!(cp("s3://bucket/a.txt", "s3://other/", &["--forbid-overwrite"]).ok().stderr, "");
    assert_eq!(tool.run(&["ls", "--sort", "oss://other"]).ok().stdout, "a.txt\nb.txt\nbig\n");
    let below = cp("oss://bucket/dir", "oss://other/to", &["-r"]).ok().stdout;
    assert!(below.starts_with("oss://bucket/dir -> oss://other/to/: 2 objects, "), "{below}");
    let again = cp("oss://bucket/dir", "oss://other/to", &["-r", "--skip-existing"]).ok().stdout;
    assert!(again.contains(": 0 objects, ") && again.ends_with("; 2 skipped because they exist\n"), "{again}");
    assert_eq!(tool.run(&["ls", "-r", "--sort", "oss://other/to"]).ok().stdout, "b.txt\ndeep/c.txt\n");
    assert_eq!(server.counters().of(Operation::GetObject), 0);
}

/// However long a mount believes what it knows.
#[test]
fn a_live_mount_shows_at_once_what_cp_has_copied() {
    let (_server, tool) = bed();
    let target = Target::new();
    target.mount(&tool, "oss://bucket", &["--metadata-ttl", "600s", "--negative-ttl", "600s"]).ok();
    let read = |name: &str| std::fs::read_to_string(target.path(name)).ok();
    let names = || std::fs::read_dir(target.path("")).unwrap().count();
    let before = names();
    for name in ["new.txt", "dir/new.txt", "fresh/deep/new.txt", "all/b.txt"] {
        assert_eq!(read(name), None);
    }
    tool.run(&["cp", "oss://bucket/a.txt", "oss://bucket/new.txt"]).ok();
    assert_eq!((read("new.txt").as_deref(), names()), (Some("alpha\n"), before + 1));
    let path = target.path("dir/new.txt");
    tool.run(&["cp", target.path("a.txt").to_str().unwrap(), path.to_str().unwrap()]).ok();
    assert_eq!(read("dir/new.txt").as_deref(), Some("alpha\n"));
    tool.run(&["cp", "oss://bucket/a.txt", "oss://bucket/fresh/deep/new.txt"]).ok();
    assert_eq!(read("fresh/deep/new.txt").as_deref(), Some("alpha\n"));
    tool.run(&["cp", "-r", "oss://bucket/dir", "oss://bucket/all"]).ok();
    assert_eq!(read("all/b.txt").as_deref(), Some("beta\n"));
    // An object that is replaced: what is open stays what it was, the next open sees the new one.
    tool.run(&["cp", "oss://bucket/dir/b.txt", "oss://bucket/new.txt"]).ok();
    assert_eq!(read("new.txt").as_deref(), Some("beta\n"));
}

/// A mount of a bucket of that name whose own server is gone: it tries for ten seconds to list each directory.
#[test]
fn a_mount_that_cannot_list_does_not_hold_up_cp() {
    let (_server, tool) = bed();
    let gone = server();
    let target = Target::new();
    target.mount(&Tool::for_server(&gone), "oss://bucket", &["--metadata-ttl", "600s"]).ok();
    drop(gone);
    let copy = "oss://bucket/1/2/3/4/5/6/7/8/new.txt";
    tool.run(&["cp", "oss://bucket/a.txt", copy]).ok();
    assert_eq!(tool.run(&["ls", copy]).ok().stdout, "new.txt\n");
    let status = tool.run(&["status", "--json", target.dir()]).ok().stdout;
    let status: Value = serde_json::from_str(&status).unwrap();
    assert!(status["metrics"]["retries"].as_u64() > Some(0), "it was told: {status}");
}

#[test]
fn cp_speaks_json_and_ends_with_what_came_of_it() {
    let (_server, tool) = bed();
    let args = ["cp", "--json", "oss://bucket/big", "oss://other/", SIZES[0], SIZES[1]];
    let lines: Vec<Value> =
        tool.run(&args).ok().stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = lines.last().unwrap();
    assert_eq!(
        (&last["state"], &last["manner"], &last["parts"]["done"]),
        (&"done".into(), &"parts".into(), &11.into())
    );
    assert_eq!((&last["destination"]["key"], &last["bytes"]["total"]), (&"big".into(), &(11 * MIB).into()));
    assert!(
        last["result"]["crc64"].as_str().unwrap().parse::<u64>().is_ok() && last["result"]["request_id"].is_string()
    );
    let failed =
        tool.run(&["cp", "--json", "oss://bucket/none", "oss://other/"]).fails(1, &["NoSuchKey", "request id"]);
    let last: Value = serde_json::from_str(failed.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&last["state"], &last["error"]["code"]), (&"failed".into(), &"NoSuchKey".into()));
}

#[test]
fn cp_refuses_what_cannot_be() {
    let (server, tool) = bed();
    let refused: [(&[&str], &str); 9] = [
        (&["oss://bucket/a.txt", "s3://other/"], "not in the same service"),
        (&["oss://bucket/dir/", "oss://other/"], "with -r"),
        (&["oss://bucket/a.txt", "oss://other/", "--tagging-directive=move"], "copy or replace"),
        (&["oss://bucket/a.txt", "oss://other/", "--metadata-directive=copy", "--metadata=a=b"], "leave out one"),
        (&["oss://bucket/a.txt", "oss://other/", "--metadata=a b=c"], "NAME=VALUE"),
        (&["oss://bucket/a.txt", "oss://other/", "--tagging==x"], "is empty"),
        (&["oss://bucket/a.txt", "oss://other/", "--copy-part-size=1KiB"], "the minimum is 100KiB"),
        (&["-r", "oss://bucket", "oss://bucket/dir"], "lies within"),
        (&["-r", "oss://bucket/dir", "oss://other", "--resume=x"], "applies to one object"),
    ];
    for (args, says) in refused {
        tool.run(&[&["cp"], args].concat()).fails(2, &[says]);
    }
    assert_eq!(server.counters().total(), 0, "nothing was asked");
    let nowhere = tempfile::tempdir().unwrap();
    let nowhere = nowhere.path().to_str().unwrap();
    tool.run(&["cp", nowhere, "oss://other/"]).fails(2, &["is on this machine", "uploads nothing"]);
    tool.run(&["cp", "oss://bucket/a.txt", &format!("{nowhere}/none/x")]).fails(1, &["no such file or directory"]);
    tool.run(&["cp", "oss://bucket/a.txt", "oss://other/", "--if-match=0123"])
        .fails(1, &["does not have the requested entity tag"]);
}

#[test]
fn cp_knows_paths_under_a_mount() {
    let (server, tool) = bed();
    let target = Target::new();
    target.mount(&tool, "oss://bucket/dir", &[]).ok();
    let path = |below: &str| target.path(below).to_str().unwrap().to_owned();
    tool.run(&["cp", &path("b.txt"), &path("new.txt")]).ok();
    tool.run(&["cp", &path("b.txt"), &path("deep")]).ok();
    tool.run(&["cp", &path("deep/c.txt"), "oss://other/"]).ok();
    tool.run(&["cp", "-r", target.dir(), "oss://other/all"]).ok();
    tool.run(&["cp", &path("deep"), "oss://other/"]).fails(2, &["with -r"]);
    let listed = tool.run(&["ls", "-r", "--sort", "oss://bucket/dir"]).ok().stdout;
    assert_eq!(listed, "b.txt\ndeep/b.txt\ndeep/c.txt\nnew.txt\n");
    let copied = tool.run(&["ls", "-r", "--sort", "oss://other"]).ok().stdout;
    assert_eq!(copied, "all/b.txt\nall/deep/b.txt\nall/deep/c.txt\nall/new.txt\nc.txt\n");
    // The mount still shows the object as it was: another is not copied in its place.
    server.put("bucket", "dir/b.txt", "changed meanwhile");
    tool.run(&["cp", &path("b.txt"), "oss://other/"]).fails(1, &["does not have the requested entity tag"]);
}

#[test]
fn cp_ends_cleanly_when_interrupted() {
    let (server, tool) = bed();
    let slow = FaultKind::StallBeforeHeaders(Duration::from_secs(5));
    server.set_faults(vec![Fault::always(slow).on(Operation::UploadPartCopy)]);
    let mut running = tool.spawn(&["cp", "oss://bucket/big", "oss://other/", SIZES[0], SIZES[1]]);
    until("parts are under way", || server.counters().of(Operation::UploadPartCopy) > 0);
    running.signal(libc::SIGINT);
    running.wait().fails(1, &["cancelled"]);
    assert_eq!(server.uploads("other"), [0_usize; 0]);
    assert_eq!(tool.run(&["ls", "oss://other"]).ok().stdout, "");
}
