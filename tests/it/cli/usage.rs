//! Words that are not understood: exit status 2, one sentence, and a hint. None of these needs a server.

use std::fs;

use crate::support::program::Tool;

#[test]
fn nothing_said_shows_what_there_is() {
    let ended = Tool::bare().run(&[]);
    assert_eq!(ended.status, Some(2));
    assert!(ended.stderr.contains("Usage: ossmount") && ended.stderr.contains("ossmount demo"), "{ended:?}");
    assert!(Tool::bare().run(&["--version"]).ok().stdout.starts_with("ossmount 0."));
    let help = Tool::bare().run(&["mount", "--help"]).ok().stdout;
    let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("--memory-limit <SIZE|auto>") && words.contains("a quarter of the machine"), "{help}");
    let short = Tool::bare().run(&["mount", "-h"]).ok().stdout;
    assert!(short.contains("--memory-limit") && !short.contains("--oidc-token-file"), "{short}");
}

#[test]
fn wrong_words_are_refused_with_a_hint() {
    let tool = Tool::bare();
    for (args, words) in [
        (&["mont", "oss://b", "/mnt"][..], &["\"mont\"", "\"mount\""][..]),
        (&["mount", "oss://b"], &["<DIR>"]),
        (&["mount", "oss://b", "/mnt", "--part-sise", "1MiB"], &["--part-sise", "--part-size"]),
        (&["mount", "oss://b", "/mnt", "--part-size", "8 apples"], &["--part-size", "8 apples", "512MiB"]),
        (&["mount", "oss://b", "/mnt", "-o", "part-sise=1MiB"], &["-o", "did you mean \"part-size\"?"]),
        (&["mount", "oss://b", "/mnt", "-o", "rw"], &["-o rw", "read-only"]),
        (&["oss://b", "/mnt", "-o", "remount"], &["unmount and mount again"]),
        (&["mount", "bucket", "/mnt"], &["bucket", "oss://bucket/prefix"]),
        (&["mount", "gs://b", "/mnt"], &["gs://b", "unknown scheme"]),
        (&["stat", "oss://"], &["names no bucket"]),
        (&["ls", "-r", "oss://"], &["oss://: name the bucket"]),
        (&["completions", "bash"], &["write ossmount generate DIR"]),
        (&["mount", "s3://b", "/mnt", "--sign", "v1"], &["--sign", "use v4 or none with s3://"]),
        (&["ls", "bucket"], &["oss://bucket/prefix"]),
        (&["emulator", "--listen", "nowhere"], &["--listen", "127.0.0.1:9000"]),
        (&["emulator", "--fault", "nonsense"], &["--fault", "not a kind of fault"]),
        (&["emulator", "--generate", "nonsense"], &["--generate", "BUCKET=KIND:COUNT"]),
    ] {
        tool.run(args).fails(2, words);
    }
}

#[test]
fn an_argument_cannot_act_on_the_terminal() {
    let tool = Tool::bare();
    for acting in ["a\u{1b}[2J", "a\u{9b}2J", "a\u{202e}b", "a\nERROR b"] {
        for args in
            [&["mount", acting, "/mnt"][..], &["mount", "oss://b", "/mnt", "-o", acting], &[acting], &["stat", acting]]
        {
            let ended = tool.run(args);
            assert_ne!(ended.status, Some(0));
            let line = ended.stderr.strip_suffix('\n').unwrap();
            assert!(!line.contains(|c: char| c.is_control() || c == '\u{202e}'), "{args:?}: {line:?}");
        }
    }
    let long = "x".repeat(100_000);
    let said = tool.run(&["stat", &long]).stderr;
    assert!(said.len() < 5000 && said.contains("bytes)"), "{}", said.len());
}

#[test]
fn a_variable_is_named_when_it_is_wrong() {
    let tool = Tool::bare().with("OSSMOUNT_PART_SIZE", "big");
    tool.run(&["mount", "oss://b", "/mnt"]).fails(2, &["OSSMOUNT_PART_SIZE", "\"big\" is not a size"]);
}

#[test]
fn files_are_read_and_named_when_they_are_wrong() {
    let tool = Tool::bare();
    let folder = tool.home().join(".config/ossmount");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("config.json"), r#"{"regoin": "cn-hangzhou"}"#).unwrap();
    let mine = ["mount", "oss://b", "/mnt"];
    tool.run(&mine).fails(2, &[".config/ossmount/config.json", ":1:2: unknown key \"regoin\"", "\"region\"?"]);

    let other = tool.home().join("other.json");
    fs::write(&other, r#"{"part-size": {}}"#).unwrap();
    let other = other.to_str().unwrap();
    tool.run(&["mount", "oss://b", "/mnt", "--config", other])
        .fails(2, &["other.json:1:15: part-size: takes SIZE, not an object"]);
    tool.run(&["mount", "oss://b", "/mnt", "--config", "/nonexistent.json"]).fails(2, &["/nonexistent.json"]);
}
