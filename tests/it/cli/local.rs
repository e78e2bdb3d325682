//! `cp` to local paths and `cat`: what they write, where they write it, and that they go on where they were ended.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use ossmount::emulator::{Emulator, Fault, FaultKind, Operation};
use serde_json::Value;
use tempfile::TempDir;

use crate::conformance::pattern;
use crate::copy::bench::MIB;
use crate::support::namespace::{in_own_mounts, limit_tmpfs, mount_tmpfs};
use crate::support::program::{Ended, Target, Tool, server, until};

const PARTS: &str = "--part-size=1MiB";

struct Bed {
    server: Emulator,
    tool: Tool,
    scratch: TempDir,
}

impl Bed {
    fn new() -> Bed {
        let server = server();
        server.put("bucket", "big", pattern(11 * MIB));
        let tool = Tool::for_server(&server);
        Bed { server, tool, scratch: tempfile::tempdir().unwrap() }
    }

    fn path(&self, below: &str) -> String {
        self.scratch.path().join(below).to_str().unwrap().to_owned()
    }

    fn cp(&self, from: &str, to: &str, more: &[&str]) -> Ended {
        self.tool.run(&[&["cp", from, &self.path(to)], more].concat())
    }

    fn read(&self, below: &str) -> Vec<u8> {
        fs::read(self.scratch.path().join(below)).unwrap()
    }
}

/// The paths of the files below a directory, hidden ones too, each with its size.
fn files(folder: &Path) -> Vec<(String, u64)> {
    fn gather(root: &Path, folder: &Path, found: &mut Vec<(String, u64)>) {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
            match entry.file_type().unwrap().is_dir() {
                true => gather(root, &entry.path(), found),
                false => {
                    let path = entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                    found.push((path, entry.metadata().unwrap().len()));
                }
            }
        }
    }
    let mut found = Vec::new();
    gather(folder, folder, &mut found);
    found.sort();
    found
}

#[test]
fn an_object_becomes_a_file_with_its_name_its_bytes_and_its_time() {
    let bed = Bed::new();
    let said = bed.cp("oss://bucket/dir/b.txt", "", &[]).ok();
    assert_eq!(said.stdout, format!("oss://bucket/dir/b.txt -> {}: 5B\n", bed.path("b.txt")));
    bed.cp("s3://bucket/a.txt", "renamed", &[]).ok();
    bed.cp("oss://bucket/a.txt", "made/", &[]).ok();
    bed.cp("oss://bucket/big", "big", &[PARTS]).ok();
    bed.server.put("bucket", "empty", "");
    bed.cp("oss://bucket/empty", "empty", &[]).ok();
    assert_eq!(
        (bed.read("b.txt"), bed.read("renamed"), bed.read("made/a.txt")),
        (b"beta\n".to_vec(), b"alpha\n".to_vec(), b"alpha\n".to_vec())
    );
    assert!(bed.read("big") == pattern(11 * MIB) && bed.read("empty").is_empty());
    assert_eq!(files(bed.scratch.path()).len(), 5, "no temporary file stays: {:?}", files(bed.scratch.path()));
    let stat = bed.tool.run(&["stat", "--json", "oss://bucket/a.txt"]).ok().stdout;
    let modified = serde_json::from_str::<Value>(&stat).unwrap()["last_modified"].as_str().unwrap().to_owned();
    let time = fs::metadata(bed.path("renamed")).unwrap().modified().unwrap();
    let seconds = time.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert_eq!(jiff::Timestamp::from_second(seconds as i64).unwrap().to_string(), modified);
}

#[test]
fn a_file_that_exists_is_replaced_only_when_that_is_asked_for() {
    let bed = Bed::new();
    fs::write(bed.path("file"), "mine").unwrap();
    fs::create_dir(bed.path("folder")).unwrap();
    fs::create_dir(bed.path("folder/a.txt")).unwrap();
    symlink(bed.path("file"), bed.path("link")).unwrap();
    bed.cp("oss://bucket/a.txt", "file", &[]).fails(1, &["file exists: --force replaces it"]);
    bed.cp("oss://bucket/a.txt", "file", &["--skip-existing"]).fails(1, &["file exists and is another version"]);
    bed.cp("oss://bucket/a.txt", "link", &[]).fails(1, &["link is a symbolic link"]);
    bed.cp("oss://bucket/a.txt", "folder", &["--force"]).fails(1, &["a.txt cannot be written"]);
    bed.cp("oss://bucket/a.txt", "none/x", &[]).fails(1, &["no such file or directory"]);
    assert_eq!(bed.read("file"), b"mine");
    bed.cp("oss://bucket/a.txt", "link", &["--force"]).ok();
    assert_eq!((bed.read("file"), bed.read("link")), (b"mine".to_vec(), b"alpha\n".to_vec()));
    bed.cp("oss://bucket/a.txt", "file", &["--force"]).ok();
    assert_eq!(bed.read("file"), b"alpha\n");
    let again = bed.cp("oss://bucket/a.txt", "file", &["--skip-existing"]).ok().stdout;
    assert!(again.ends_with("0B; 1 skipped because they exist\n"), "{again}");
}

#[test]
fn what_cannot_be_copied_is_told() {
    let bed = Bed::new();
    bed.cp("oss://bucket/none", "x", &[]).fails(1, &["object oss://bucket/none does not exist"]);
    bed.cp("oss://bucket/dir", "x", &[]).fails(1, &["oss://bucket/dir is a directory", "cp -r"]);
    bed.cp("oss://bucket/dir/", "x", &[]).fails(2, &["is a directory", "cp -r"]);
    bed.cp("oss://nowhere/a", "x", &[]).fails(1, &["bucket \"nowhere\" does not exist"]);
    bed.cp("oss://bucket/none", "x", &["-r"]).fails(1, &["no object exists below oss://bucket/none/"]);
    bed.cp("oss://bucket/a.txt", "x", &["-r"]).fails(1, &["oss://bucket/a.txt is an object: copy it without -r"]);
    bed.cp("oss://bucket/a.txt", "x", &["--storage-class=IA"]).fails(2, &["--storage-class is for copies within"]);
    bed.cp("oss://bucket/a.txt", "x", &["--if-match=0123"]).fails(1, &["does not have the requested entity tag"]);
    bed.cp("oss://bucket/dir/", "", &[]).fails(2, &["oss://bucket/dir/ is a directory", "cp -r"]);
    bed.cp(&bed.path("x"), "y", &[]).fails(1, &["is not a path in a live ossmount mount"]);
    assert_eq!(files(bed.scratch.path()), []);
    fs::write(bed.path("x"), "mine").unwrap();
    for to in [bed.path("y").as_str(), "oss://bucket/y"] {
        let ended = bed.tool.run(&["cp", &bed.path("x"), to]);
        ended.fails(2, &["is on this machine", "uploads nothing", "oss://bucket/key"]);
    }
}

#[test]
fn a_copy_that_found_no_room_is_told_so_and_is_whole_once_there_is_some() {
    let bed = Bed::new();
    in_own_mounts(|| {
        mount_tmpfs(bed.scratch.path());
        limit_tmpfs(bed.scratch.path(), 4);
        bed.cp("oss://bucket/big", "big", &[PARTS]).fails(1, &["the file cannot be written: No space left on device"]);
        assert!(!bed.scratch.path().join("big").exists());
        limit_tmpfs(bed.scratch.path(), 32);
        bed.cp("oss://bucket/big", "big", &[PARTS]).ok();
        assert!(bed.read("big") == pattern(11 * MIB));
    });
}

/// A command that is ended leaves what has come, and the next one asks for the rest alone.
#[test]
fn a_copy_goes_on_where_it_was_ended_unless_the_object_has_changed() {
    let bed = Bed::new();
    let stalls = Fault { probability: 0.4, ..Fault::always(FaultKind::StallBeforeHeaders(Duration::from_secs(60))) };
    bed.server.set_faults(vec![stalls.on(Operation::GetObject)]);
    let (to, record) =
        (bed.path("big"), || files(bed.scratch.path()).into_iter().find(|(name, _)| name.ends_with(".record")));
    let begin = || bed.tool.spawn(&["cp", "oss://bucket/big", &to, PARTS]);
    let mut first = begin();
    // A line of the record has 19 bytes or more.
    until("four parts are noted", || record().is_some_and(|(_, size)| size > 110));
    first.signal(libc::SIGKILL);
    assert_eq!(first.wait().status, None);
    assert!(!Path::new(&to).exists());
    bed.server.set_faults(Vec::new());
    bed.server.reset_counters();
    bed.cp("oss://bucket/big", "big", &[PARTS]).ok();
    let asked = bed.server.counters().of(Operation::GetObject);
    assert!((1..=8).contains(&asked), "{asked} of 11 parts were asked for");
    assert!(bed.read("big") == pattern(11 * MIB));
    assert_eq!(files(bed.scratch.path()), [("big".to_owned(), 11 * MIB as u64)]);

    fs::remove_file(&to).unwrap();
    let stalls = Fault { probability: 0.4, ..Fault::always(FaultKind::StallBeforeHeaders(Duration::from_secs(60))) };
    bed.server.set_faults(vec![stalls.on(Operation::GetObject)]);
    let mut second = begin();
    until("four parts are noted again", || record().is_some_and(|(_, size)| size > 110));
    bed.tool.run(&["cp", "oss://bucket/big", &to, PARTS]).fails(1, &["another process is copying the same object"]);
    second.signal(libc::SIGKILL);
    second.wait();
    bed.server.set_faults(Vec::new());
    let other: Vec<u8> = pattern(11 * MIB).iter().rev().copied().collect();
    bed.server.put("bucket", "big", other.clone());
    bed.server.reset_counters();
    bed.cp("oss://bucket/big", "big", &[PARTS]).ok();
    assert_eq!(bed.server.counters().of(Operation::GetObject), 11);
    assert!(bed.read("big") == other);
}

#[test]
fn bytes_are_compared_with_the_checksum_and_damaged_ones_are_removed() {
    let bed = Bed::new();
    bed.server.set_faults(vec![Fault::once(FaultKind::FlippedByte).on(Operation::GetObject)]);
    bed.cp("oss://bucket/big", "big", &[PARTS]).fails(1, &["do not have the CRC-64 of the object", "copy it again"]);
    assert_eq!(files(bed.scratch.path()), []);
    bed.cp("oss://bucket/big", "big", &[PARTS]).ok();
    assert!(bed.read("big") == pattern(11 * MIB));
    bed.server.set_faults(vec![Fault::once(FaultKind::FlippedByte).on(Operation::GetObject)]);
    let printed = bed.tool.run(&["cat", "oss://bucket/dir/b.txt"]);
    assert!(printed.status == Some(1) && printed.stderr.contains("do not have the CRC-64"), "{printed:?}");
    for kind in [FaultKind::ShortBody, FaultKind::ResetInBody, FaultKind::Status500, FaultKind::RangeIgnored] {
        bed.server.set_faults(vec![Fault::once(kind).on(Operation::GetObject)]);
        bed.cp("oss://bucket/big", "big", &[PARTS, "--force"]).ok();
        assert!(bed.read("big") == pattern(11 * MIB), "{kind:?}");
    }
}

#[test]
fn a_prefix_becomes_a_tree_that_is_never_left() {
    let bed = Bed::new();
    for key in ["t/a", "t/sub/b", "t/sub/deep/c", "t/../out", "t//etc/x", "t/sub", "t/link/d", "t/evil\u{1}name"] {
        bed.server.put("bucket", key, "data");
    }
    bed.server.put("bucket", "t/hollow/", "");
    fs::create_dir(bed.path("outside")).unwrap();
    fs::create_dir(bed.path("to")).unwrap();
    symlink(bed.path("outside"), bed.path("to/link")).unwrap();
    let ended = bed.cp("oss://bucket/t", "to", &["-r"]);
    assert_eq!(ended.status, Some(1), "{ended:?}");
    assert!(ended.stderr.ends_with("ossmount: 4 of 9 objects were not copied\n"), "{ended:?}");
    for said in [
        "t/../out: the key cannot be the path of a file",
        "t//etc/x: ",
        "t/sub: ",
        "t/link/d: link/d cannot be written",
    ] {
        assert!(ended.stderr.contains(said), "{said}: {ended:?}");
    }
    let file = |path: &str| (path.to_owned(), 4);
    let link = fs::symlink_metadata(bed.path("to/link")).unwrap().len();
    let plain = [file("a"), file("evil\u{1}name"), ("link".to_owned(), link), file("sub/b"), file("sub/deep/c")];
    assert_eq!(files(Path::new(&bed.path("to"))), plain);
    assert!(Path::new(&bed.path("to/hollow")).is_dir());
    assert_eq!(files(Path::new(&bed.path("outside"))), []);

    bed.cp("oss://bucket/t/", "all", &["-r", "--odd-keys=escape"]).ok();
    let all: Vec<String> = files(Path::new(&bed.path("all"))).into_iter().map(|(path, _)| path).collect();
    let escaped =
        ["%oss-dir=../out", "%oss-dir=/etc/x", "%oss-file=sub", "a", "evil\u{1}name", "link/d", "sub/b", "sub/deep/c"];
    assert_eq!(all, escaped);
    let again = bed.cp("oss://bucket/t/", "all", &["-r", "--odd-keys=escape", "--skip-existing"]).ok().stdout;
    assert!(again.ends_with(": 1 object, 0B; 8 skipped because they exist\n"), "{again}");
    bed.server.put("bucket", "t/a", "newer data");
    let refused = bed.cp("oss://bucket/t/", "all", &["-r", "--odd-keys=escape", "--skip-existing"]);
    assert!(refused.stderr.contains("t/a: a exists and is another version: --force replaces it"), "{refused:?}");
    fs::create_dir(bed.path("whole")).unwrap();
    fs::write(bed.path("whole/a.txt"), "mine").unwrap();
    let refused = bed.cp("oss://bucket/", "whole", &["-r"]);
    assert!(refused.stderr.starts_with("ossmount: a.txt exists: --force replaces it\n"), "{refused:?}");
}

#[test]
fn json_tells_what_was_copied() {
    let bed = Bed::new();
    let said = bed.cp("oss://bucket/dir", "to", &["-r", "--json"]).ok().stdout;
    let last: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["state"], &last["bytes"]["done"], &last["bytes"]["total"]),
        (&"done".into(), &11.into(), &11.into())
    );
    assert_eq!(
        (&last["objects"]["done"], &last["objects"]["failed"], &last["failures"]),
        (&2.into(), &0.into(), &Value::Array(Vec::new()))
    );
    let failed = bed.cp("oss://bucket/dir", "to", &["-r", "--json"]);
    let last: Value = serde_json::from_str(failed.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(
        (failed.status, &last["state"], &last["failures"][0]["key"]),
        (Some(1), &"failed".into(), &"dir/b.txt".into())
    );
}

#[test]
fn cat_prints_objects_in_order_from_urls_and_mounts() {
    let bed = Bed::new();
    let printed = bed.tool.run(&["cat", "oss://bucket/a.txt", "s3://bucket/dir/b.txt"]).ok();
    assert_eq!((printed.stdout.as_str(), printed.stderr.as_str()), ("alpha\nbeta\n", ""));
    assert_eq!(bed.tool.run(&["cp", "oss://bucket/a.txt", "-"]).ok().stdout, "alpha\n");
    let script = format!(
        "{} cat oss://bucket/big {PARTS} | cksum; {} cat oss://bucket/big {PARTS} | head -c 5 | wc -c",
        env!("CARGO_BIN_EXE_ossmount"),
        env!("CARGO_BIN_EXE_ossmount")
    );
    fs::write(bed.path("big"), pattern(11 * MIB)).unwrap();
    let wanted = Ended::of(bed.tool.command("sh").args(["-c", "cksum < \"$1\"", "sh", &bed.path("big")])).ok().stdout;
    let said = Ended::of(bed.tool.command("sh").args(["-c", &script])).ok();
    assert_eq!((said.stdout, said.stderr.as_str()), (format!("{wanted}5\n"), ""));
    bed.tool.run(&["cat", "oss://bucket/none"]).fails(1, &["object oss://bucket/none does not exist"]);
    let target = Target::new();
    target.mount(&bed.tool, "oss://bucket", &[]).ok();
    let path = target.path("dir/deep/c.txt");
    assert_eq!(bed.tool.run(&["cat", path.to_str().unwrap()]).ok().stdout, "gamma\n");
    bed.tool.run(&["cp", path.to_str().unwrap(), &bed.path("")]).ok();
    assert_eq!(bed.read("c.txt"), b"gamma\n");
}
