//! Daemons that do not answer: a command that asks one says so, and does not hang.

use crate::support::program::{Target, Tool, runs, server, until};

/// Sends a signal to a daemon.
fn signal(pid: u32, signal: i32) {
    // SAFETY: no memory is involved.
    assert_eq!(unsafe { libc::kill(pid as i32, signal) }, 0);
}

/// Stops a daemon, and waits until no thread of it runs any more.
fn stop(pid: u32) {
    signal(pid, libc::SIGSTOP);
    until("all of its threads stand still", || {
        std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().all(|task| {
            let text = std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap_or_default();
            text.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'))
        })
    });
}

#[test]
fn a_command_that_asks_a_stopped_daemon_says_that_it_does_not_answer() {
    let server = server();
    let tool = Tool::for_server(&server);
    for more in [[].as_slice(), &["--control-socket", "off"]] {
        let target = Target::new();
        target.mount(&tool, "oss://bucket", more).ok();
        let (dir, file) = (target.dir(), target.path("dir/b.txt"));
        let pid = target.daemon().unwrap();
        assert_eq!(tool.run(&["control", dir, r#"{"op":"health"}"#]).ok().stderr, "");
        stop(pid);
        let words = [dir.to_owned(), format!("does not answer (pid {pid}, stopped)"), format!("kill -CONT {pid}")];
        let words = words.each_ref().map(String::as_str);
        let (tool, file) = (&tool, file.to_str().unwrap());
        let asked: [&[&str]; 6] = [
            &["status", dir],
            &["status", "--json", file],
            &["status", "--prometheus", dir],
            &["control", dir, r#"{"op":"stats"}"#],
            &["prefetch", file],
            &["prefetch", "--wait", file],
        ];
        std::thread::scope(|scope| {
            for args in asked {
                scope.spawn(move || tool.run(args).fails(1, &words));
            }
        });
        // A process that was killed while it asked may take a while to let go of the mount.
        let mut unmounting = None;
        until("nothing keeps the mount busy", || {
            let ended = tool.run(&["umount", dir]);
            let is_busy = ended.stderr.contains("is in use");
            unmounting = Some(ended);
            !is_busy
        });
        unmounting.unwrap().fails(1, &words);
        assert!(!target.is_mounted());
        signal(pid, libc::SIGCONT);
        until("it ends when it is let go on", || !runs(pid));
    }
}
