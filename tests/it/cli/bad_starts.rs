//! Mounts that cannot be: one sentence with what to do, exit status 1, nothing mounted, nothing running.

use std::fs;
use std::net::TcpListener;

use crate::support::program::{BINARY, Ended, Target, Tool, server};

/// A mount of `oss://bucket` that must fail with these words, in the background and in the foreground.
fn fails(tool: &Tool, url: &str, args: &[&str], words: &[&str]) {
    let target = Target::new();
    for way in [&[][..], &["--foreground"]] {
        let ended = target.mount(tool, url, &[args, way].concat());
        let said = Ended { stderr: last_line(&ended.stderr), ..ended };
        said.fails(1, words);
        assert!(!target.is_mounted(), "{url} {args:?}");
        assert_eq!(target.daemon(), None, "no pid file stays");
        assert_eq!(fs::read_dir(target.dir()).unwrap().count(), 0);
    }
}

/// In the foreground the log shares stderr with the sentence.
fn last_line(text: &str) -> String {
    text.lines().next_back().map(|line| format!("{line}\n")).unwrap_or_default()
}

#[test]
fn no_credentials() {
    let tool = Tool::bare().with("OSSMOUNT_REGION", "cn-hangzhou");
    fails(&tool, "oss://bucket", &[], &["no credentials", "OSS_ACCESS_KEY_ID"]);
    fails(&tool, "s3://bucket", &[], &["no credentials", "AWS_ACCESS_KEY_ID"]);
    let half = Tool::bare().with("OSS_ACCESS_KEY_ID", "x");
    fails(&half, "oss://bucket", &[], &["OSS_ACCESS_KEY_SECRET is not"]);
    let file = ["--credentials-file", "/nonexistent/keys.json", "--region", "cn-hangzhou"];
    fails(&Tool::bare(), "oss://bucket", &file, &["/nonexistent/keys.json"]);
}

#[test]
fn wrong_secret() {
    let server = server();
    let tool = Tool::for_server(&server).with("OSS_ACCESS_KEY_SECRET", "wrong").with("AWS_SECRET_ACCESS_KEY", "wrong");
    for url in ["oss://bucket", "s3://bucket"] {
        fails(&tool, url, &[], &["SignatureDoesNotMatch", "secret is wrong"]);
    }
    let tool = Tool::for_server(&server).with("OSS_ACCESS_KEY_ID", "Nobody");
    fails(&tool, "oss://bucket", &[], &["does not know the access key id"]);
}

#[test]
fn wrong_region() {
    let server = server();
    let tool = Tool::for_server(&server).with("OSSMOUNT_REGION", "cn-beijing");
    for url in ["oss://bucket", "s3://bucket"] {
        fails(&tool, url, &[], &["region"]);
    }
}

#[test]
fn no_such_bucket() {
    let server = server();
    let tool = Tool::for_server(&server);
    for url in ["oss://no-such-bucket", "s3://no-such-bucket/prefix"] {
        fails(&tool, url, &[], &["bucket \"no-such-bucket\" does not exist", "check its name"]);
    }
}

#[test]
fn nobody_listens() {
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let endpoint = format!("http://127.0.0.1:{port}");
    let tool = Tool::for_server(&server()).with("OSSMOUNT_ENDPOINT", &endpoint);
    fails(&tool, "oss://bucket", &[], &[&endpoint, "cannot be reached", "refused", "check endpoint"]);
}

#[test]
fn no_place_to_mount() {
    let server = server();
    let tool = Tool::for_server(&server);
    let target = Target::new();
    fs::write(target.path("file"), "x").unwrap();
    let file = target.path("file");
    for (dir, words) in [
        (target.path("missing"), &["missing does not exist"][..]),
        (file, &["file is not a directory"]),
        (target.path(""), &["is not empty", "nonempty"]),
    ] {
        tool.run(&["mount", "oss://bucket", dir.to_str().unwrap()]).fails(1, words);
        assert!(!target.is_mounted());
    }
    assert_eq!(fs::read_to_string(target.path("file")).unwrap(), "x");
}

#[test]
fn no_fuse_device() {
    let server = server();
    let target = Target::new();
    // A /dev without it, for this one process and its children.
    let script = r#"
        set -e
        mkdir "$1/dev" && mount -t tmpfs none "$1/dev" && cp -a /dev/null /dev/urandom "$1/dev/"
        mount --bind "$1/dev" /dev
        exec "$2" mount oss://bucket "$3"
    "#;
    let beside = target.beside("");
    let mut command = Tool::for_server(&server).command("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]);
    command.args([beside.to_str().unwrap(), BINARY, target.dir()]);
    Ended::of(&mut command).fails(1, &["/dev/fuse does not exist", "modprobe fuse"]);
}

#[test]
fn no_place_to_log() {
    let server = server();
    fails(
        &Tool::for_server(&server),
        "oss://bucket",
        &["--log-file", "/nonexistent/log"],
        &["/nonexistent/log", "log-file"],
    );
    let target = Target::new();
    let ended =
        Tool::for_server(&server).run(&["mount", "oss://bucket", target.dir(), "--pid-file", "/nonexistent/pid"]);
    ended.fails(1, &["/nonexistent/pid"]);
    assert!(!target.is_mounted());
}
