//! `ossmount config`: what holds and where it comes from; mistakes in files; the worked examples; SIGHUP.

use std::fs;
use std::path::{Path, PathBuf};

use ossmount::config::{Machine, MemoryShares, TABLE};
use serde_json::Value;

use crate::support::program::{Target, Tool, server, until};

/// The three worked examples.
const EXAMPLES: [&str; 3] = ["model-serving.json", "training-data.json", "small-machine.json"];

fn example(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name).to_str().unwrap().to_owned()
}

/// Writes the user's own file.
fn write_file(tool: &Tool, text: &str) -> PathBuf {
    let folder = tool.home().join(".config/ossmount");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("config.json");
    fs::write(&path, text).unwrap();
    path
}

fn line<'a>(stdout: &'a str, name: &str) -> Vec<&'a str> {
    let line = stdout.lines().find(|line| line.split(' ').next() == Some(name)).unwrap();
    line.split("  ").map(str::trim).filter(|part| !part.is_empty()).collect()
}

#[test]
fn every_option_says_what_holds_and_why() {
    let tool = Tool::bare()
        .with("OSSMOUNT_REGION", "cn-beijing")
        .with("OSSMOUNT_REGOIN", "x")
        .with("OSSMOUNT_READ_ONLY", "1")
        .with("OSS_ACCESS_KEY_ID", "id-of-the-key")
        .with("OSS_ACCESS_KEY_SECRET", "hush");
    let file = write_file(&tool, "{\n  \"part-size\": \"1MiB\",\n  \"region\": \"cn-hangzhou\",\n  \"uid\": 7\n}\n");
    let args = ["config", "oss://bkt/models", "/mnt", "-o", "memory-limit=1GiB", "--verify", "off"];
    let ended = tool.run(&args).ok();
    let file = file.to_str().unwrap();
    assert!(ended.stdout.contains(&format!("# {file}: read\n")), "{ended:?}");
    assert!(ended.stdout.contains("# /etc/ossmount/config.json: "), "{ended:?}");
    for (name, value, from) in [
        ("part-size", "1MiB", format!("{file}:2:16")),
        ("uid", "7", format!("{file}:4:10")),
        ("region", "cn-beijing", "OSSMOUNT_REGION".to_owned()),
        ("memory-limit", "1GiB", "-o memory-limit".to_owned()),
        ("verify", "off", "--verify".to_owned()),
        ("negative-ttl", "5s", "default".to_owned()),
        ("endpoint", "https://oss-cn-beijing.aliyuncs.com", "default: from the region".to_owned()),
        ("credentials", "the access key id-of-the-key", "default: auto, the first source found".to_owned()),
    ] {
        assert_eq!(line(&ended.stdout, name), [name, value, &from]);
    }
    let options = ended.stdout.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(options, TABLE.len());
    assert!(!format!("{ended:?}").contains("hush"));
    assert!(ended.stderr.contains("OSSMOUNT_REGOIN: unknown option; did you mean \"OSSMOUNT_REGION\"?"));
    assert!(ended.stderr.contains("OSSMOUNT_READ_ONLY is an option of "), "{}", ended.stderr);
    assert!(ended.stderr.contains("; leave it out: mounts are read-only"), "{}", ended.stderr);
}

#[test]
fn json_has_a_line_for_each_option() {
    let tool = Tool::bare().with("OSSMOUNT_MAX_BANDWIDTH", "1GiB");
    let file = write_file(&tool, "{\"part-size\": 1048576}");
    let stdout = tool.run(&["config", "--json"]).ok().stdout;
    let lines: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), TABLE.len());
    let of = |name: &str| lines.iter().find(|line| line["option"] == name).unwrap();
    assert_eq!(of("part-size")["from"]["kind"], "file");
    assert_eq!((&of("part-size")["from"]["line"], &of("part-size")["given"]), (&1.into(), &"1048576".into()));
    assert_eq!(of("part-size")["from"]["file"], file.to_str().unwrap());
    assert_eq!(of("max-bandwidth")["from"]["variable"], "OSSMOUNT_MAX_BANDWIDTH");
    let limit: ossmount::base::ByteSize = of("memory-limit")["value"].as_str().unwrap().parse().unwrap();
    let expected = MemoryShares::of(Machine::look().memory, None, None).buffers;
    assert_eq!(limit.0, expected);
    assert!(of("memory-limit")["computed"].as_str().unwrap().starts_with("a quarter of the "));
    assert_eq!((&of("log-file")["value"], &of("log-file")["from"]["kind"]), (&Value::Null, &"default".into()));
}

#[test]
fn what_forbids_a_mount_is_said_with_both_places() {
    let tool = Tool::bare().with("OSSMOUNT_PREFETCH", "off");
    let file = write_file(&tool, "{\n \"internal\": true}");
    let internal = format!("{}:2:14: internal", file.display());
    let ended = tool.run(&["config", "oss://b", "--endpoint", "h"]);
    assert_eq!(line(&ended.stdout, "endpoint")[1], "h", "the values are shown all the same");
    ended.fails(2, &[&internal, "--endpoint", "both locate the bucket"]);
    let ended = tool.run(&["config", "--replay", "/f"]);
    ended.fails(2, &["--replay", "OSSMOUNT_PREFETCH", "give only one of them"]);
    tool.run(&["config", "oss://b", "-o", "region=cn-hangzhou"]).fails(1, &["no credentials"]);
    tool.run(&["config", "bucket"]).fails(2, &["oss://bucket/prefix"]);
}

#[test]
fn mistakes_in_files_name_file_line_and_key() {
    let tool = Tool::bare();
    for (text, says) in [
        ("{\n  \"regoin\": \"x\"\n}", ":2:3: unknown key \"regoin\"; did you mean \"region\"?"),
        ("{\n  \"part-size\": \"8 apples\"\n}", ":2:16: part-size: \"8 apples\" is not a size"),
        ("{\n  \"negative-ttl\": \"soon\"\n}", ":2:19: negative-ttl: \"soon\" is not a time"),
        ("{\n  \"uid\": 1,\n  \"uid\": 2\n}", ":3:3: uid is given twice, first on line 2"),
        ("{\n  \"uid\": 1\n  \"gid\": 1\n}", ":3:3: not JSON: expected `,` or `}`"),
        ("[]", ":1:1: not a JSON object"),
    ] {
        write_file(&tool, text);
        for args in [&["config"][..], &["mount", "oss://b", "/mnt"], &["ls", "oss://b"]] {
            tool.run(args).fails(2, &[".config/ossmount/config.json", says]);
        }
    }
    let huge = tool.home().join("huge.json");
    fs::write(&huge, format!("{{\"region\": \"{}\"}}", "x".repeat(2 << 20))).unwrap();
    tool.run(&["config", "--config", huge.to_str().unwrap()])
        .fails(2, &["huge.json cannot be read: it is larger than 1MiB"]);
    tool.run(&["config", "--config", tool.home().to_str().unwrap()]).fails(2, &["cannot be read", "directory"]);
}

#[test]
fn the_examples_mount() {
    let server = server();
    for name in EXAMPLES {
        let tool = Tool::for_server(&server);
        let (target, file) = (Target::new(), example(name));
        // The emulator is no region's own endpoint.
        target.mount(&tool, "oss://bucket", &["--config", &file, "--internal=off"]).ok();
        assert_eq!(fs::read_to_string(target.path("dir/b.txt")).unwrap(), "beta\n", "{name}");
        tool.run(&["umount", target.dir()]).ok();
        // As they stand they hold together too.
        let bare = Tool::bare().with("OSS_ACCESS_KEY_ID", "k").with("OSS_ACCESS_KEY_SECRET", "k");
        let shown = bare.run(&["config", "oss://bucket", "--config", &file]).ok().stdout;
        assert!(shown.contains(&format!("{file}:2:13")), "{shown}");
    }
}

fn hang_up(pid: u32) {
    // SAFETY: no memory is involved.
    unsafe { libc::kill(pid as i32, libc::SIGHUP) };
}

#[test]
fn a_hang_up_takes_over_what_can_change_and_names_the_rest() {
    let server = server();
    let tool = Tool::for_server(&server);
    let target = Target::new();
    // A relative name: the daemon has left the directory that it counts from.
    fs::write(target.beside("c.json"), "{\"memory-limit\": \"1GiB\", \"part-size\": \"1MiB\", \"uid\": 1}").unwrap();
    let log = target.beside("log");
    let mut command = tool.command(crate::support::program::BINARY);
    command.current_dir(target.beside("")).args(["mount", "oss://bucket", target.dir(), "--config", "c.json"]);
    command.args(["--log-file", "log", "--pid-file", "pid"]);
    crate::support::program::Ended::of(&mut command).ok();
    let pid = target.daemon().unwrap();
    let says = |words: &str| fs::read_to_string(&log).unwrap().contains(words);

    let text = "{\n \"memory-limit\": \"512MiB\",\n \"uid\": 2,\n \"max-bandwidth\": \"100MiB\",\n \
                \"log-level\": \"debug\", \"prefetch\": \"off\", \"drain-timeout\": \"3s\", \"part-size\": \"2MiB\", \
                \"metadata-ttl\": \"1s\", \"negative-ttl\": \"1s\"}";
    fs::write(target.beside("c.json"), text).unwrap();
    hang_up(pid);
    until("it is taken over", || says("a new mount is required to apply"));
    let all = "applied metadata-ttl, negative-ttl, prefetch, part-size, memory-limit, max-bandwidth, log-level, \
               drain-timeout";
    assert!(says(all), "{}", fs::read_to_string(&log).unwrap());
    assert!(says(&format!("a new mount is required to apply {}:3:9: uid", target.beside("c.json").display())));
    let status = tool.run(&["status", target.dir(), "--json"]).ok().stdout;
    let figures: Value = serde_json::from_str(&status).unwrap();
    assert!(figures.to_string().contains(&(512u64 << 20).to_string()), "{figures}");

    fs::write(target.beside("c.json"), "{\"memory-limit\": \"big\"}").unwrap();
    hang_up(pid);
    until("the mistake is told", || says("the configuration was not reloaded"));
    assert!(says("c.json:1:18: memory-limit: \"big\" is not a size"));
    fs::write(target.beside("c.json"), text).unwrap();
    hang_up(pid);
    until("nothing changes", || says("no change to apply"));
    assert_eq!(fs::read_to_string(target.path("a.txt")).unwrap(), "alpha\n");
    tool.run(&["umount", target.dir()]).ok();
}
