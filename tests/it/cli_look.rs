//! `ls` and `stat`: what a bucket holds, without mounting it, and what a mounted file is.

use ossmount::emulator::PutOptions;
use serde_json::Value;

use crate::cli::{Target, Tool, server};

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
    tool.run(&["ls", "oss://bucket/none"]).fails(1, &["there is nothing at oss://bucket/none"]);
    tool.run(&["ls", "oss://no-such-bucket"]).fails(1, &["does not exist"]);
    server.create_bucket("empty");
    assert_eq!(tool.run(&["ls", "oss://empty"]).ok().stdout, "");
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
    pipe.args(["-c", "\"$0\" ls -r oss://many | head -n 1; echo ${PIPESTATUS:-}", crate::cli::BINARY]);
    let ended = crate::cli::Ended::of(&mut pipe).ok();
    assert!(ended.stdout.starts_with("0000\n") && ended.stderr.is_empty(), "{ended:?}");
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
        ("content-type", "text/x-greeting"),
        ("meta.colour", "blue"),
        ("storage-class", "Standard"),
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
    for name in ["key", "etag", "crc64", "storage-class"] {
        assert_eq!(by_path[name], by_url[name], "{name}: {by_path}");
    }
    assert_eq!((&by_path["size"], &by_path["bucket"]), (&"6".into(), &"bucket".into()));
}

#[test]
fn stat_knows_directories_and_what_is_not_there() {
    let server = server();
    let tool = Tool::for_server(&server);
    assert!(tool.run(&["stat", "oss://bucket/dir"]).ok().stdout.contains("directory"));
    assert!(tool.run(&["stat", "s3://bucket"]).ok().stdout.contains("bucket"));
    tool.run(&["stat", "oss://bucket/none"]).fails(1, &["there is no object oss://bucket/none"]);
    tool.run(&["stat", "oss://none/none"]).fails(1, &["bucket \"none\" does not exist"]);
    tool.run(&["stat", "/etc/passwd"]).fails(1, &["/etc/passwd is no file of a live ossmount mount"]);
    tool.run(&["stat", "/nonexistent"]).fails(1, &["/nonexistent"]);
}
