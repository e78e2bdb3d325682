//! A load that is recorded by one mount and replayed by the next, by the binary.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use ossmount::emulator::{Emulator, Operation, Options};

use crate::support::program::{Target, Tool, until};

const MIB: usize = 1 << 20;
const FILES: u8 = 4;

fn name(index: u8) -> String {
    format!("shard-{index}.bin")
}

/// A bucket with files of 20 MiB, each of bytes that are its number, so that the store has a checksum to compare with.
fn server() -> Emulator {
    let server = Emulator::start(Options::default()).unwrap();
    server.create_bucket("bucket");
    fill(&server);
    server
}

fn fill(server: &Emulator) {
    for index in 0..FILES {
        server.put("bucket", &name(index), vec![index; 20 * MIB]);
    }
}

/// The last mebibytes of every file before the first ones: an order that nothing but a recording tells.
fn load(target: &Target) {
    for offset in [15, 2] {
        for index in (0..FILES).rev() {
            let file = File::open(target.path(&name(index))).unwrap();
            let mut bytes = vec![99; 4 * MIB];
            file.read_exact_at(&mut bytes, (offset * MIB) as u64).unwrap();
            assert!(bytes.iter().all(|&byte| byte == index), "{index}");
        }
    }
}

#[test]
fn a_recorded_load_is_fetched_when_its_first_file_is_opened() {
    check_replay(&server(), &[]);
}

#[test]
fn a_load_of_the_past_is_recorded_and_replayed_as_any() {
    let server = Emulator::start(Options::default()).unwrap();
    server.create_versioned_bucket("bucket");
    server.set_clock_offset(-7200);
    fill(&server);
    server.set_clock_offset(-60);
    for index in 0..FILES {
        server.put("bucket", &name(index), "another version");
    }
    server.set_clock_offset(0);
    check_replay(&server, &["--at", "1h"]);
}

fn check_replay(server: &Emulator, options: &[&str]) {
    let tool = Tool::for_server(server);
    let target = Target::new();
    let path = target.beside("load.jsonl");
    let path = path.to_str().unwrap();
    // The same options every time: the file is not there yet.
    let options = [&["--record", path, "--replay", path], options].concat();
    let mount = || target.mount(&tool, "oss://bucket", &options).ok();
    mount();
    load(&target);
    tool.run(&["umount", target.dir()]).ok();
    let recorded = fs::read_to_string(path).unwrap();
    assert_eq!(recorded.lines().filter(|line| line.contains("shard-")).count(), usize::from(FILES), "{recorded}");

    mount();
    fs::read_dir(target.path("")).unwrap().for_each(drop);
    server.reset_counters();
    let last = File::open(target.path(&name(FILES - 1))).unwrap();
    let wanted = u64::from(FILES) * 2 * 4 * MIB as u64;
    until("the load is fetched ahead", || server.counters().body_bytes >= wanted);
    drop(last);
    load(&target);
    let counted = server.counters();
    assert!(counted.body_bytes < wanted + wanted / 10 + 2 * MIB as u64, "{counted:?}");
    assert!(counted.of(Operation::GetObject) > 0);
    tool.run(&["umount", target.dir()]).ok();
    assert!(fs::read_to_string(path).unwrap().ends_with("}\n"), "the second load was recorded in turn");
}

#[test]
fn what_cannot_be_followed_or_written_is_said_at_mount() {
    let server = server();
    let tool = Tool::for_server(&server);
    let target = Target::new();
    let path = target.beside("load.jsonl");
    let path = path.to_str().unwrap();
    let mount = |args: &[&str]| target.mount(&tool, "oss://bucket", args);
    mount(&["--replay", path]).fails(1, &[path, "No such file", "record it again"]);
    fs::write(path, "{\"ossmount_trace\":1,\"bucket\":\"other\"}\n").unwrap();
    mount(&["--replay", path]).fails(1, &[path, "line 1", "bucket other", "record it again"]);
    mount(&["--record", "/nowhere/load"]).fails(1, &["/nowhere/load", "name another file"]);
    mount(&["--replay", path, "--prefetch", "off"]).fails(2, &["--replay", "--prefetch"]);
    assert!(!target.is_mounted());
}
