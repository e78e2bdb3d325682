//! `ls` and `stat`: what a bucket holds, without mounting it, and what a mounted file is.

use std::time::Duration;

use ossmount::emulator::{PutOptions, Shaping, StorageClass};
use serde_json::Value;

use crate::support::program::{Target, Tool, server, until};

#[test]
fn ls_shows_a_directory_or_everything_below() {
    let server = server();
    let tool = Tool::for_server(&server);
    for (args, expected) in [
        (&["ls", "oss://bucket"][..], "a.txt\ndir/\n"),
        (&["ls", "s3://bucket/dir"], "b.txt\ndeep/\n"),
        (&["ls", "-r", "--sort", "oss://bucket"], "a.txt\ndir/b.txt\ndir/deep/c.txt\n"),
        (&["ls", "-r", "oss://bucket/dir/"], "b.txt\ndeep/c.txt\n"),
        (&["ls", "oss://bucket/dir/b.txt"], "b.txt\n"),
    ] {
        assert_eq!(tool.run(args).ok().stdout, expected, "{args:?}");
    }
    tool.run(&["ls", "oss://bucket/none"]).fails(1, &["no object exists at or below oss://bucket/none"]);
    tool.run(&["ls", "oss://no-such-bucket"]).fails(1, &["does not exist"]);
    server.create_bucket("empty");
    assert_eq!(tool.run(&["ls", "oss://empty"]).ok().stdout, "");
}

#[test]
fn ls_without_a_bucket_lists_the_buckets() {
    let server = server();
    server.create_bucket("data-2");
    let tool = Tool::for_server(&server);
    for url in ["oss://", "s3://"] {
        assert_eq!(tool.run(&["ls", url]).ok().stdout, "bucket\ndata-2\n");
        let long = tool.run(&["ls", "-l", url]).ok().stdout;
        let fields: Vec<Vec<_>> = long.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!([fields[0][2], fields[1][2]], ["bucket", "data-2"], "{long}");
        assert!(fields[0][0].ends_with('Z'), "{long}");
        let json = tool.run(&["ls", "--json", url]).ok().stdout;
        let bucket: Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
        assert_eq!((&bucket["bucket"], &bucket["created"]), (&"bucket".into(), &fields[0][0].into()), "{json}");
    }
    let other = Tool::bare();
    other
        .run(&["ls", "oss://", "--credentials", "anonymous", "--endpoint", &server.endpoint()])
        .fails(1, &["cannot be listed"]);
}

#[test]
fn ls_tells_sizes_and_times_and_speaks_json() {
    let server = server();
    let tool = Tool::for_server(&server);
    let long = tool.run(&["ls", "-l", "oss://bucket"]).ok().stdout;
    let fields: Vec<Vec<_>> = long.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((fields[0][0], fields[0][2], fields[0][3]), ("6", "Standard", "a.txt"), "{long}");
    assert!(fields[0][1].ends_with('Z') && fields[1][1] == "directory", "{long}");

    let json = tool.run(&["ls", "--json", "oss://bucket"]).ok().stdout;
    let lines: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["key"], &lines[0]["size"]), (&"a.txt".into(), &6.into()));
    assert_eq!(lines[1]["prefix"], "dir/");
}

#[test]
fn ls_goes_through_all_pages_and_ends_when_its_reader_leaves() {
    let server = server();
    let tool = Tool::for_server(&server);
    server.create_bucket("many");
    for number in 0..2500 {
        server.put("many", &format!("{number:04}"), "x");
    }
    assert_eq!(tool.run(&["ls", "-r", "oss://many"]).ok().stdout.lines().count(), 2500);
    let mut pipe = tool.command("sh");
    pipe.args(["-c", "\"$0\" ls -r oss://many | head -n 1; echo ${PIPESTATUS:-}", crate::support::program::BINARY]);
    let ended = crate::support::program::Ended::of(&mut pipe).ok();
    assert!(ended.stdout.starts_with("0000\n") && ended.stderr.is_empty(), "{ended:?}");
}

#[test]
fn ls_adds_up_objects_and_bytes_by_storage_class() {
    let server = server();
    let tool = Tool::for_server(&server);
    let archived = PutOptions { storage_class: StorageClass::Archive, ..PutOptions::default() };
    server.put_with("bucket", "dir/old", "12345", archived);
    let text = tool.run(&["ls", "-r", "--summary", "oss://bucket"]).ok().stdout;
    let lines = [
        "objects         4",
        "bytes           22",
        "Archive         1 object, 5 bytes",
        "Standard        3 objects, 17 bytes",
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), lines);

    let json = tool.run(&["ls", "--summary", "--json", "oss://bucket/dir"]).ok().stdout;
    let sums: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&sums["objects"], &sums["directories"]), (&2.into(), &1.into()), "{json}");
    assert_eq!(sums["storage_classes"]["Archive"]["bytes"], 5, "{json}");

    assert_eq!(
        tool.run(&["ls", "--summary", "oss://bucket/a.txt"]).ok().stdout.lines().next(),
        Some("objects         1")
    );
    tool.run(&["ls", "--summary", "oss://bucket/none"]).fails(1, &["no object exists at or below oss://bucket/none"]);
    tool.run(&["ls", "--summary", "-l", "oss://bucket"]).fails(2, &["--summary", "--long"]);
}

#[test]
fn ls_says_what_to_do_where_listing_is_not_allowed() {
    let server = server();
    let tool = Tool::for_server(&server);
    for url in ["oss://bucket", "s3://bucket/dir"] {
        let words = ["denied", "(AccessDenied, request id ", "oss:ListObjects, or s3:ListBucket", "name a prefix"];
        tool.run(&["ls", "-r", "--credentials", "anonymous", url]).fails(1, &words);
    }
}

#[test]
fn ls_shows_on_a_terminal_how_far_it_is() {
    let server = server();
    let tool = Tool::for_server(&server);
    server.set_shaping(Shaping { page_time: Duration::from_millis(700), ..Shaping::default() });
    // `script` lends its command a terminal, of which only the errors' side is used.
    let mut command = tool.command("script");
    let listing =
        format!("{} ls -r oss://bucket >{}", crate::support::program::BINARY, tool.home().join("out").display());
    let shown = crate::support::program::Ended::of(command.args(["-q", "-e", "-c", &listing, "/dev/null"])).ok().stdout;
    assert!(shown.contains("\r0 entries, 0/s, "), "{shown:?}");
    assert!(shown.ends_with("\r\u{1b}[K"), "wiped at the end: {shown:?}");
    let listed = std::fs::read_to_string(tool.home().join("out")).unwrap();
    assert_eq!(listed.lines().count(), 3, "{listed}");
}

#[test]
fn ls_ends_at_once_when_interrupted() {
    let server = server();
    let tool = Tool::for_server(&server);
    server.set_shaping(Shaping { page_time: Duration::from_secs(600), ..Shaping::default() });
    let mut running = tool.spawn(&["ls", "-r", "oss://bucket"]);
    until("it lists", || server.counters().concurrency > 0);
    running.signal(libc::SIGINT);
    let ended = running.wait();
    assert_eq!((ended.status, ended.stderr.as_str()), (None, ""), "killed by the signal");
}

#[test]
fn stat_tells_an_object_by_url_and_by_path() {
    let server = server();
    let tool = Tool::for_server(&server);
    let options = PutOptions {
        content_type: Some("text/x-greeting".to_owned()),
        user_metadata: vec![("colour".to_owned(), "blue".to_owned())],
        ..PutOptions::default()
    };
    server.put_with("bucket", "dir/100%25 ü.txt", "hello\n", options);
    let url = "oss://bucket/dir/100%25 ü.txt";
    let by_url: Value = serde_json::from_str(&tool.run(&["stat", "--json", url]).ok().stdout).unwrap();
    for (name, value) in [
        ("key", "dir/100%25 ü.txt"),
        ("content_type", "text/x-greeting"),
        ("meta.colour", "blue"),
        ("storage_class", "Standard"),
    ] {
        assert_eq!(by_url[name], value, "{by_url}");
    }
    assert_eq!(by_url["size"], 6);
    let text = tool.run(&["stat", url]).ok().stdout;
    assert!(text.contains("content-type    text/x-greeting\n"), "{text}");

    let target = Target::new();
    target.mount(&tool, "oss://bucket", &[]).ok();
    let path = target.path("dir/100%25 ü.txt");
    let by_path: Value =
        serde_json::from_str(&tool.run(&["stat", "--json", path.to_str().unwrap()]).ok().stdout).unwrap();
    for name in ["key", "etag", "crc64", "storage_class", "size"] {
        assert_eq!(by_path[name], by_url[name], "{name}: {by_path}");
    }
    assert_eq!(by_path["bucket"], "bucket");
}

#[test]
fn stat_knows_directories_and_what_is_not_there() {
    let server = server();
    let tool = Tool::for_server(&server);
    assert!(tool.run(&["stat", "oss://bucket/dir"]).ok().stdout.contains("directory"));
    assert!(tool.run(&["stat", "s3://bucket"]).ok().stdout.contains("bucket"));
    tool.run(&["stat", "oss://bucket/none"]).fails(1, &["object oss://bucket/none does not exist"]);
    tool.run(&["stat", "oss://none/none"]).fails(1, &["bucket \"none\" does not exist"]);
    tool.run(&["stat", "/etc/passwd"]).fails(1, &["/etc/passwd is not a file in a live ossmount mount"]);
    tool.run(&["stat", "/nonexistent"]).fails(1, &["/nonexistent"]);
}

/// With `-h` sizes are for people, and help is `--help`.
#[test]
fn ls_shows_sizes_for_people() {
    let server = server();
    let tool = Tool::for_server(&server);
    server.put("bucket", "dir/large", vec![0; 1_600_000]);
    let long = tool.run(&["ls", "-lh", "oss://bucket/dir"]).ok().stdout;
    assert!(long.contains("            5B  ") && long.contains("        1.5MiB  "), "{long}");
    let sums = tool.run(&["ls", "-rh", "--summary", "oss://bucket"]).ok().stdout;
    assert!(sums.contains("bytes           1.5MiB\n") && sums.contains("4 objects, 1.5MiB\n"), "{sums}");
    assert!(tool.run(&["ls", "--help"]).ok().stdout.contains("--human-readable"));
    tool.run(&["ls", "-h"]).fails(2, &["<URL-or-PATH>"]);
}

/// A mount tells by itself: no key, endpoint or region is needed.
#[test]
fn ls_takes_paths_of_a_mount() {
    let server = server();
    let target = Target::new();
    let tool = Tool::for_server(&server);
    server.put("bucket", "dir/deep/.x/%", "12");
    target.mount(&tool, "oss://bucket/dir", &["--odd-keys", "escape"]).ok();
    server.reset_counters();
    let bare = Tool::bare();
    let path = |below: &str| target.path(below).to_str().unwrap().to_owned();
    let ls = |args: &[&str], below: &str| bare.run(&[&["ls"], args, &[&path(below)]].concat()).ok().stdout;
    assert_eq!(ls(&[], ""), "b.txt\ndeep/\n");
    assert_eq!(ls(&["-r"], ""), "b.txt\ndeep/c.txt\ndeep/.x/%\n");
    assert_eq!(ls(&[], "deep/"), ".x/\nc.txt\n");
    assert_eq!(ls(&[], "b.txt"), "b.txt\n");
    let from_service = tool.run(&["ls", "-l", "oss://bucket/dir"]).ok().stdout;
    assert_eq!(ls(&["-l"], ""), from_service);
    let json = tool.run(&["ls", "-r", "--sort", "--json", "oss://bucket/dir/deep"]).ok().stdout;
    let mut lines: Vec<String> = ls(&["-r", "--json"], "deep").lines().map(|line| format!("{line}\n")).collect();
    lines.sort();
    assert_eq!(lines.concat(), json);
    assert!(ls(&["-r", "--summary"], "").starts_with("objects         3\nbytes           13\n"));
    bare.run(&["ls", "/tmp"]).fails(1, &["/tmp"]);
}
