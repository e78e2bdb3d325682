//! Programs of `credentials-process` that hang: whatever ends who runs them, nothing of them stays, and they run once.

use std::fs;
use std::path::Path;

use crate::support::program::{Target, Tool, server, until};

/// Whether the process of this number is there.
fn lives(pid: &str) -> bool {
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !state.is_empty() && !state.contains(") Z ")
}

/// The processes that the program has written down, all of them once there are two.
fn written(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(str::to_owned).collect()
}

#[test]
fn nothing_stays_of_a_program_for_keys_that_hangs_when_its_caller_ends() {
    let server = server();
    for (number, signal) in [libc::SIGINT, libc::SIGTERM, libc::SIGKILL].into_iter().enumerate() {
        for command in ["ls", "stat", "mount"] {
            let target = Target::new();
            let (path, log) = (target.beside(&format!("pids-{number}")), target.beside("log"));
            let shown = path.display();
            // A shell and what it started, both deaf to requests to end.
            let program = format!("trap '' INT TERM HUP; sleep 600 & echo $$ >> {shown}; echo $! >> {shown}; wait");
            let tool = Tool::for_server(&server);
            let keys = ["--credentials-process", &program];
            let mut args = match command {
                "mount" => vec!["mount", "oss://bucket", target.dir(), "--log-file", log.to_str().unwrap()],
                "stat" => vec!["stat", "oss://bucket/a.txt"],
                _ => vec!["ls", "oss://bucket"],
            };
            args.extend(keys);
            let mut running = without_keys(tool).spawn(&args);
            until("the program runs", || written(&path).len() >= 2);
            running.signal(signal);
            running.child().wait().unwrap();
            let pids = written(&path);
            until("nothing of it is left", || !pids.iter().any(|pid| lives(pid)));
            if command == "mount" {
                let said = || fs::read_to_string(&log).unwrap_or_default();
                until("the daemon gives up", || {
                    said().contains("the process that requested this mount has ended: nothing is mounted")
                });
                assert!(!target.is_mounted());
            }
            assert_eq!(written(&path).len(), 2, "{command}: it ran once");
            drop(running);
        }
    }
}

#[test]
fn a_program_for_keys_does_not_begin_before_it_is_watched() {
    let server = server();
    // The race is lost by the one who kills first.
    for _ in 0..20 {
        let target = Target::new();
        let path = target.beside("pids");
        let program = format!("echo $$ >> {}; kill -KILL $PPID; sleep 600", path.display());
        let tool = without_keys(Tool::for_server(&server));
        let mut running = tool.spawn(&["ls", "oss://bucket", "--credentials-process", &program]);
        running.child().wait().unwrap();
        until("the program has begun", || !written(&path).is_empty());
        until("nothing of it is left", || !lives(&written(&path)[0]));
    }
}

/// A tool that has nothing but the program to get keys from.
fn without_keys(tool: Tool) -> Tool {
    let names = ["OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    names.into_iter().fold(tool, |tool, name| tool.with(name, ""))
}
