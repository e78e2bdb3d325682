//! `demo` and `emulator` as a newcomer runs them, and the commands of the README.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;

use crate::house::manual;
use crate::support::program::{BINARY, Ended, Running, Target, Tool};

/// The first line of its output that has these words.
fn line_with(running: &mut Running, words: &str) -> String {
    let out = running.child().stdout.as_mut().unwrap();
    let line = BufReader::new(out).lines().map_while(Result::ok).find(|line| line.contains(words));
    line.unwrap_or_else(|| panic!("it never said {words:?}"))
}

#[test]
fn the_demo_mounts_a_model_and_leaves_nothing() {
    let tool = Tool::bare();
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().canonicalize().unwrap().join("new");
    let mut running = tool.spawn(&["demo", dir.to_str().unwrap()]);
    let said = line_with(&mut running, "is mounted on");
    assert!(said.contains(dir.to_str().unwrap()), "{said}");

    let index = fs::read(dir.join("model/model.safetensors.index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    for shard in index["weight_map"].as_object().unwrap().values() {
        let bytes = fs::read(dir.join("model").join(shard.as_str().unwrap())).unwrap();
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        serde_json::from_slice::<serde_json::Value>(&bytes[8..8 + header]).unwrap();
    }
    assert_eq!(fs::read_dir(dir.join("dataset/train")).unwrap().count(), 300);
    running.signal(libc::SIGINT);
    running.wait().ok();
    assert!(!dir.exists(), "the directory it made is gone");
}

#[test]
fn the_demos_log_level_can_be_set() {
    let tool = Tool::bare();
    let target = Target::new();
    let mut running = tool.spawn(&["demo", target.dir()]);
    line_with(&mut running, "is mounted on");
    tool.run(&["control", target.dir(), r#"{"op":"set","log-level":"debug"}"#]).ok();
    running.signal(libc::SIGTERM);
    let said = running.wait().ok().stderr;
    assert!(said.contains("log level is now debug") && said.contains(" INFO "), "{said}");
}

#[test]
fn the_demo_uses_a_directory_that_is_there_and_keeps_it() {
    let tool = Tool::bare().with("OSS_ACCESS_KEY_ID", "somebody").with("OSSMOUNT_ENDPOINT", "http://elsewhere:1");
    let target = Target::new();
    let mut running = tool.spawn(&["demo", target.dir()]);
    line_with(&mut running, "is mounted on");
    assert!(fs::read_to_string(target.path("README.txt")).unwrap().contains("ossmount demo"));
    running.signal(libc::SIGTERM);
    running.wait().ok();
    assert!(!target.is_mounted() && Path::new(target.dir()).exists());
}

#[test]
fn the_emulator_serves_directories_as_buckets() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("books/new")).unwrap();
    fs::write(folder.path().join("books/new/one.txt"), "1\n").unwrap();
    let mut running = Tool::bare().spawn(&["emulator", "--root", folder.path().to_str().unwrap()]);
    let said = line_with(&mut running, "listening on ");
    let endpoint = said.strip_prefix("listening on ").unwrap();
    let tool = Tool::bare()
        .with("OSS_ACCESS_KEY_ID", ossmount::emulator::ACCESS_KEY_ID)
        .with("OSS_ACCESS_KEY_SECRET", ossmount::emulator::ACCESS_KEY_SECRET);
    let args = ["ls", "-r", "oss://books", "--endpoint", endpoint, "--region", "cn-hangzhou"];
    assert_eq!(tool.run(&args).ok().stdout, "new/one.txt\n");
    running.signal(libc::SIGTERM);
    running.wait().ok();
}

#[test]
fn the_emulator_takes_shaping_faults_and_computed_buckets() {
    let options = ["--generate", "big=flat:12000:1KiB", "--fault", "500:1,times=1", "--public-read", "--ttfb", "1ms"];
    let mut running = Tool::bare().spawn(&[&["emulator"][..], &options].concat());
    let said = line_with(&mut running, "listening on ");
    let endpoint = said.strip_prefix("listening on ").unwrap();
    let args =
        ["ls", "-r", "oss://big", "--endpoint", endpoint, "--region", "cn-hangzhou", "--credentials", "anonymous"];
    assert_eq!(Tool::bare().run(&args).ok().stdout.lines().count(), 12000);
}

#[test]
fn the_readmes_commands_work() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let blocks: Vec<_> = readme.split("```sh test\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(!blocks.is_empty());
    let tool = Tool::bare();
    for block in blocks {
        let folder = Path::new(BINARY).parent().unwrap().to_str().unwrap().to_owned();
        let mut command = tool.command("bash");
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        command.args(["-euc", &format!("PATH={folder}:$PATH\n{block}")]);
        let ended = Ended::of(&mut command).ok();
        assert!(ended.stdout.contains("hello") && ended.stdout.contains("greeting.txt"), "{ended:?}");
    }
}

/// What the README shows of the demo is what the demo shows.
#[test]
fn the_readmes_picture_is_of_the_demo() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let picture = manual::blocks(&readme).next().unwrap();
    let (tool, folder) = (Tool::bare(), tempfile::tempdir().unwrap());
    let mut running = tool.spawn(&["demo", folder.path().join("demo").to_str().unwrap()]);
    line_with(&mut running, "is mounted on");
    let wrong = manual::differences(picture, &tool, folder.path());
    running.signal(libc::SIGINT);
    running.wait().ok();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
