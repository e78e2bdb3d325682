//! Prefetching, pinning and dropping files of a live mount.

use std::fs::{self, File};
use std::io::Read;

use serde_json::{Value, json};

use crate::control::{Client, Mount};
use crate::support::program::{BINARY, Ended, until};

const MIB: usize = 1 << 20;

fn requests(client: &mut Client) -> u64 {
    client.done(&json!({"op": "stats"}))["metrics"]["get_requests"].as_u64().unwrap()
}

fn held(client: &mut Client) -> u64 {
    client.done(&json!({"op": "stats"}))["memory"]["file-bytes"].as_u64().unwrap()
}

/// Waits for the end of a job.
fn ended(client: &mut Client, job: &Value) -> Value {
    let mut answer = json!(null);
    until("the job is over", || {
        answer = client.done(&json!({"op": "prefetch-status", "job": job, "wait": true}));
        answer["state"] != "running"
    });
    answer
}

#[test]
fn what_was_prefetched_is_read_without_a_request() {
    let mount = Mount::with(&["--passthrough", "off"]);
    let big = vec![7; 40 * MIB];
    mount.put("big", big.clone());
    let mut client = mount.client();
    let answer = client.done(&json!({"op": "prefetch", "paths": ["big", "dir", "a.txt"]}));
    let answer = ended(&mut client, &answer["job"]);
    let expected = [("files", 4), ("files-done", 4), ("bytes-done", 40 * MIB + 5 + 6 + 6), ("failed", 0)];
    for (name, number) in expected {
        assert_eq!(answer[name], number, "{name}: {answer}");
    }
    let before = requests(&mut client);
    assert!(fs::read(mount.target.path("big")).unwrap() == big);
    assert_eq!(fs::read_to_string(mount.target.path("dir/deep/c.txt")).unwrap(), "gamma\n");
    assert_eq!(requests(&mut client), before);
}

#[test]
fn the_command_waits_and_says_what_became_of_it() {
    let mount = Mount::with(&["--memory-limit", "64MiB"]);
    mount.put("large/a", vec![1; 40 * MIB]);
    mount.put("large/b", vec![1; 40 * MIB]);
    let path = |name: &str| mount.target.path(name).to_str().unwrap().to_owned();
    let said = mount.tool.run(&["prefetch", "--wait", &path("a.txt"), &path("dir")]).ok().stdout;
    assert_eq!(said, "3 files of 17B are in memory\n");
    let said = mount.tool.run(&["prefetch", &path("a.txt")]).ok().stdout;
    assert!(said.starts_with("prefetch ") && said.contains("has started on"), "{said}");
    mount.tool.run(&["prefetch", "--wait", &path("none")]).fails(1, &["none: no such file or directory"]);
    mount.tool.run(&["prefetch", "/etc/passwd"]).fails(1, &["not under a live ossmount mount"]);
    mount.tool.run(&["prefetch", "--wait", &path("large")]).fails(1, &["1 file of 40MiB did not fit", "memory-limit"]);
}

#[test]
fn without_a_memory_cache_prefetching_is_refused() {
    let mount = Mount::with(&["--memory-cache", "off"]);
    let answer = mount.client().ask(&json!({"op": "prefetch", "paths": ["a.txt"]}));
    assert_eq!(answer["error"], "EOPNOTSUPP");
    assert!(answer["message"].as_str().unwrap().contains("memory-cache=off"), "{answer}");
}

#[test]
fn a_prefetch_can_be_cancelled() {
    let mount = Mount::with(&["--max-bandwidth", "1MiB"]);
    mount.put("big", vec![7; 100 * MIB]);
    let mut client = mount.client();
    let job = client.done(&json!({"op": "prefetch", "paths": ["big"]}))["job"].clone();
    let cancelled = client.done(&json!({"op": "prefetch-cancel", "job": job}));
    assert_eq!((&cancelled["state"], &cancelled["files-done"]), (&json!("cancelled"), &json!(0)));
    until("its memory is given back", || held(&mut client) == 0);
    assert_eq!(ended(&mut client, &job)["state"], "cancelled");
}

#[test]
fn bytes_of_a_prefetch_are_counted_as_they_come_and_its_job_is_listed() {
    let mount = Mount::with(&["--max-bandwidth", "8MiB"]);
    mount.put("big", vec![7; 100 * MIB]);
    let mut client = mount.client();
    assert_eq!(client.done(&json!({"op": "prefetch-list"})), json!({"jobs": []}));
    let job = client.done(&json!({"op": "prefetch", "paths": ["big"]}))["job"].clone();
    let mut status = json!(null);
    until("some of it has come", || {
        status = client.done(&json!({"op": "prefetch-status", "job": job}));
        status["bytes-arrived"].as_u64().unwrap() > 0
    });
    assert!(status["bytes-arrived"].as_u64().unwrap() < 100 * MIB as u64, "{status}");
    assert_eq!(
        (&status["files-done"], &status["bytes-done"], &status["paths"]),
        (&json!(0), &json!(0), &json!(["big"]))
    );
    let listed = client.done(&json!({"op": "prefetch-list"}))["jobs"].clone();
    assert_eq!((&listed[0]["job"], &listed[0]["state"]), (&job, &json!("running")), "{listed}");
    let jobs = |more: &[&str]| mount.tool.run(&[&["jobs", mount.target.dir()], more].concat());
    let said = jobs(&[]).ok().stdout;
    assert!(said.starts_with("prefetch:1   running   [") && said.contains("of 100.0MiB"), "{said}");
    let json: Value = serde_json::from_str(&jobs(&["--json"]).ok().stdout).unwrap();
    assert_eq!((&json["kind"], &json["directory"]), (&json!("prefetch"), &json!(mount.target.dir())), "{json}");
    let said = jobs(&["--cancel", "prefetch:1"]).ok().stdout;
    assert!(said.starts_with("prefetch:1   cancelled 0 files of 0B in "), "{said}");
    jobs(&["--cancel", "copy"]).fails(2, &["write prefetch:N or copy:N"]);
    // Of other tests there may be mounts that do not answer.
    let all = mount.tool.run(&["jobs"]).stdout;
    assert!(all.contains(&format!("{}  prefetch:1   cancelled", mount.target.dir())), "{all}");
}

#[test]
fn on_a_terminal_a_prefetch_is_waited_for_and_shows_its_progress() {
    let mount = Mount::with(&["--max-bandwidth", "16MiB"]);
    mount.put("big", vec![7; 24 * MIB]);
    let path = mount.target.path("big").to_str().unwrap().to_owned();
    let on_terminal = |args: &str| {
        let mut command = mount.tool.command("script");
        let run = format!("{BINARY} prefetch {args} {path}");
        Ended::of(command.env("SHELL", "/bin/sh").args(["--quiet", "--return", "--command", &run, "/dev/null"]))
            .ok()
            .stdout
    };
    let said = on_terminal("--no-wait");
    assert!(said.starts_with("prefetch 1 has started on"), "{said:?}");
    let said = on_terminal("");
    assert!(said.contains("MiB of 24.0MiB, ") && said.contains(" left, 0 of 1 file"), "{said:?}");
    assert!(said.ends_with("1 file of 24.0MiB is in memory\r\n"), "{said:?}");
    let said = mount.tool.run(&["prefetch", "--json", "--wait", &path]).ok().stdout;
    let last: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!((&last["state"], &last["bytes_done"]), (&json!("done"), &json!(24 * MIB)), "{said}");
}

#[test]
fn pins_hold_within_half_of_the_memory_until_they_are_dropped() {
    let mount = Mount::with(&["--memory-limit", "128MiB", "--passthrough", "off"]);
    mount.put("model", vec![3; 40 * MIB]);
    mount.put("other", vec![4; 100 * MIB]);
    let mut client = mount.client();
    let pinned = client.done(&json!({"op": "pin", "path": "model"}));
    let expected = json!({"bytes": 40 * MIB, "pinned-bytes": 40 * MIB, "pinned-bytes-limit": 64 * MIB});
    assert_eq!(pinned, expected);
    assert_eq!(client.done(&json!({"op": "pin", "path": "model"})), expected, "once is enough");
    let refused = client.ask(&json!({"op": "pin", "path": "other"}));
    assert_eq!(refused["error"], "ENOSPC");
    assert!(
        refused["message"].as_str().unwrap().contains("40MiB are pinned already: at most 64MiB can be"),
        "{refused}"
    );

    fs::read(mount.target.path("other")).unwrap();
    let before = requests(&mut client);
    assert!(fs::read(mount.target.path("model")).unwrap() == vec![3; 40 * MIB]);
    assert_eq!(requests(&mut client), before, "kept against what was read since");
    let dropped = client.done(&json!({"op": "drop", "path": "model"}));
    assert_eq!(dropped, json!({"files": 1, "bytes": 40 * MIB}));
    assert_eq!(client.done(&json!({"op": "stats"}))["memory"]["pinned"], 0);
}

#[test]
fn dropping_gives_back_memory_and_the_kernels_pages() {
    // Small files go through the page cache.
    let mount = Mount::with(&[]);
    let mut client = mount.client();
    let read = || {
        let mut text = String::new();
        File::open(mount.target.path("dir/b.txt")).unwrap().read_to_string(&mut text).unwrap();
        text
    };
    assert_eq!(read(), "beta\n");
    let before = requests(&mut client);
    assert_eq!(read(), "beta\n");
    assert_eq!(requests(&mut client), before, "from memory");
    let dropped = client.done(&json!({"op": "drop"}));
    assert_eq!((&dropped["files"], &dropped["bytes"]), (&json!(3), &json!(5)), "all of the mount");
    until("the kernel has forgotten it too", || {
        assert_eq!(read(), "beta\n");
        requests(&mut client) > before
    });
}

#[test]
fn figures_of_files_tell_what_the_kernel_reads_directly_and_how_much_was_used() {
    let mount = Mount::with(&["--bridge", "off"]);
    let bytes = vec![7; 40 * MIB];
    mount.put("big", bytes.clone());
    let mut client = mount.client();
    let mut figures = || client.done(&json!({"op": "stats", "files": true}));
    assert!(fs::read(mount.target.path("big")).unwrap() == bytes);
    let shown =
        |figures: &Value| figures["files"].as_array().unwrap().iter().find(|file| file["key"] == "big").cloned();
    // The kernel tells of closes when it likes, and all open handles of a file are of one kind.
    until("its first reader has closed it", || shown(&figures()).is_some_and(|file| file["handles"] == 0));
    // From the second open on, all of it being in memory.
    let mut file = File::open(mount.target.path("big")).unwrap();
    let mut all = Vec::new();
    file.read_to_end(&mut all).unwrap();
    assert!(all == bytes);
    let open = figures();
    let [opens, files, size] =
        ["passthrough_opens", "passthrough_files", "passthrough_bytes"].map(|name| open["metrics"][name].clone());
    assert_eq!((opens, files, size), (json!(1), json!(1), json!(40 * MIB)), "{open}");
    let big = shown(&open).unwrap();
    let told = ["fetched", "used", "fetched-per-used", "passthrough"].map(|name| big[name].clone());
    assert_eq!(told, [json!(40 * MIB), json!(40 * MIB), json!(1.0), json!(true)], "{big}");
    drop(file);
    until("it is closed", || figures()["metrics"]["passthrough_files"] == 0);
    assert_eq!(shown(&figures()).unwrap()["passthrough"], false);
}
