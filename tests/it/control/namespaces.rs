//! What root of a container may ask of a mount that is bound into it, and where copies of a mount may go.

use std::process::Command;

use ossmount::emulator::Operation;
use serde_json::{Value, json};

use crate::control::{Mount, ioctl};
use crate::support::namespace::in_own_mounts;
use crate::support::program::{BINARY, Ended};

const STEERING: [&str; 6] = [
    r#"{"op":"set","log-level":"debug"}"#,
    r#"{"op":"drop","path":"a.txt"}"#,
    r#"{"op":"pin","path":"a.txt"}"#,
    r#"{"op":"prefetch-cancel","job":1}"#,
    r#"{"op":"copy","source":"a.txt","destination":"stolen.txt"}"#,
    r#"{"op":"copy-cancel","job":1}"#,
];

const READING: [&str; 5] = [
    r#"{"op":"stat","path":"a.txt"}"#,
    r#"{"op":"stats"}"#,
    r#"{"op":"health"}"#,
    r#"{"op":"refresh"}"#,
    r#"{"op":"prefetch","paths":["a.txt"]}"#,
];

#[test]
fn root_of_another_mount_namespace_reads_and_does_no_more() {
    let mount = Mount::with(&["--allow-other", "--copy=on"]);
    let root = mount.target.path("");
    in_own_mounts(|| {
        for request in STEERING {
            let (errno, answer) = ioctl(&root, request);
            assert_eq!(errno, libc::EPERM, "{request}: {answer}");
            let says = answer["message"].as_str().unwrap();
            assert!(says.contains("namespace") && says.contains("control socket"), "{says}");
        }
        for request in READING {
            assert_eq!(ioctl(&root, request).0, 0, "{request}");
        }
    });
    assert_eq!(mount.server.counters().of(Operation::CopyObject), 0);
    for request in STEERING {
        assert_ne!(ioctl(&root, request).0, libc::EPERM, "where the daemon runs: {request}");
    }
}

#[test]
fn root_of_another_user_namespace_reads_and_does_no_more() {
    let mount = Mount::with(&["--allow-other", "--copy=on", "--control-socket", "off"]);
    let ask = |request: &str| {
        // As an ordinary container has it: number 0 inside is number 0 outside, without its capabilities.
        let mut command = Command::new("unshare");
        let control = ["--user", "--map-root-user", BINARY, "control", mount.target.dir(), request];
        Ended::of(command.args(control))
    };
    for request in STEERING {
        ask(request).fails(1, &["namespace", "EPERM"]);
    }
    for request in READING {
        ask(request).ok();
    }
}

#[test]
fn a_mount_for_everyone_makes_no_copies_unless_asked() {
    let copy = json!({"op": "copy", "source": "a.txt", "destination": "copy.txt"}).to_string();
    let mount = Mount::with(&["--allow-other"]);
    let (errno, answer) = ioctl(&mount.target.path(""), &copy);
    assert_eq!(errno, libc::EOPNOTSUPP, "{answer}");
    assert!(answer["message"].as_str().unwrap().contains("allow-other: mount with copy=on"), "{answer}");
}

#[test]
fn copies_stay_within_what_the_mount_names() {
    let server = crate::support::program::server();
    for bucket in ["payroll", "archive", "shared"] {
        server.create_bucket(bucket);
        server.put(bucket, "2026/secret", "secret\n");
    }
    server.put("bucket", "beside", "beside\n");
    let (tool, target) = (crate::support::program::Tool::for_server(&server), crate::support::program::Target::new());
    let options = ["--copy-from", "shared", "--copy-to", "archive/2026", "--copy-to", "bucket/new"];
    target.mount(&tool, "oss://bucket/dir", &options).ok();
    let copy = |source: &str, destination: &str, recursive: bool| {
        let request = json!({"op": "copy", "source": source, "destination": destination, "recursive": recursive});
        let (errno, answer) = ioctl(&target.path(""), &request.to_string());
        (errno, answer["message"].as_str().unwrap_or_default().to_owned())
    };
    for (source, destination, recursive, option) in [
        ("oss://payroll/2026/secret", "stolen", false, "copy-from=payroll"),
        ("oss://payroll/2026", "stolen", true, "copy-from=payroll"),
        ("oss://archive/2026/secret", "stolen", false, "copy-from=archive"),
        ("oss://bucket/beside", "stolen", false, "copy-from=bucket"),
        ("oss://bucket", "stolen", true, "copy-from=bucket"),
        ("b.txt", "oss://shared/b.txt", false, "copy-to=shared"),
        ("b.txt", "oss://archive/b.txt", false, "copy-to=archive"),
        ("b.txt", "oss://archive/20260/b.txt", false, "copy-to=archive"),
        ("b.txt", "oss://bucket/b.txt", false, "copy-to=bucket"),
    ] {
        let (errno, says) = copy(source, destination, recursive);
        assert_eq!(errno, libc::EPERM, "{source} to {destination}: {says}");
        assert!(says.contains(option), "{says}");
    }
    for (source, destination, recursive) in [
        ("b.txt", "c.txt", false),
        ("oss://bucket/dir/b.txt", "oss://bucket/dir/d.txt", false),
        ("oss://shared/2026/secret", "e.txt", false),
        ("oss://shared", "all", true),
        ("b.txt", "oss://archive/2026/b.txt", false),
        ("b.txt", "oss://bucket/new/b.txt", false),
    ] {
        let (errno, says) = copy(source, destination, recursive);
        assert_eq!((errno, says.as_str()), (0, ""), "{source} to {destination}");
    }
    let printed = tool.run(&["control", target.dir(), r#"{"op":"copy-list"}"#]).ok().stdout;
    assert_eq!(serde_json::from_str::<Value>(&printed).unwrap()["jobs"].as_array().unwrap().len(), 6);
}
