//! Files that others may have made are opened by `src/files`: no other room opens, removes, renames or changes by path, but
//! where a reason stands here.

use std::fs;
use std::path::{Path, PathBuf};

/// What is done by path. Where `fs::` is the room `fs`, it has none of these names.
const BY_PATH: &[&str] = &[
    "File::open(",
    "File::create(",
    "File::options()",
    "OpenOptions",
    "fs::read(",
    "fs::read_to_string(",
    "fs::read_dir(",
    "fs::write(",
    "fs::remove_file(",
    "fs::remove_dir(",
    "fs::remove_dir_all(",
    "fs::create_dir(",
    "fs::create_dir_all(",
    "fs::set_permissions(",
    "fs::rename(",
    "fs::copy(",
    "fs::hard_link(",
    "UnixListener::bind(",
    "UnixStream::connect(",
    "UnixDatagram::bind(",
    "tempdir(",
    "tempfile_in(",
    "NamedTempFile::new",
];

/// Where it is done nevertheless, and why nothing planted is met there.
const ALLOWED: &[(&str, &str)] = &[
    ("src/files/", "does it for all"),
    ("src/fuse/", "the directory to mount on, the device of FUSE, and files of the kernel"),
    ("src/config/machine.rs", "files of the kernel"),
    ("src/app/daemon/pressure.rs", "files of the kernel"),
    ("src/app/blank_arguments.rs", "files of the kernel"),
    ("src/app/commands/hung.rs", "files of the kernel"),
    ("src/app/daemon/threads.rs", "files of the kernel"),
    ("src/app/daemon/background.rs", "/dev/null"),
    ("src/app/commands/generate.rs", "output for packagers, which daemons never make"),
    ("src/app/commands/demo.rs", "a directory of its own, made under a name that did not exist"),
    ("src/emulator/content.rs", "files that the emulator has staged itself"),
    ("src/emulator/receive.rs", "files that the emulator has staged itself"),
    ("src/emulator/bucket/directory.rs", "files that the emulator has staged itself"),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, found),
            false if path.extension().is_some_and(|end| end == "rs") => found.push(path),
            false => {}
        }
    }
}

/// The numbers of lines of code that do something by path, tests and comments left out.
fn by_path(text: &str) -> Vec<usize> {
    let code = text.lines().enumerate().take_while(|(_, line)| line.trim() != "#[cfg(test)]");
    let code = code.filter(|(_, line)| !line.trim_start().starts_with("//"));
    code.filter(|(_, line)| BY_PATH.iter().any(|word| says(line, word))).map(|(at, _)| at + 1).collect()
}

/// Whether a line has a word, and not as the end of a longer name.
fn says(line: &str, word: &str) -> bool {
    let is_name = |before: &str| before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| !is_name(&line[..at]))
}

fn is_test(path: &Path) -> bool {
    let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    name == "tests" || name.ends_with("_tests")
}

#[test]
fn nothing_is_opened_by_path_but_where_a_reason_stands() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    let mut wrong = Vec::new();
    let mut used = vec![false; ALLOWED.len()];
    for path in files.iter().filter(|path| !is_test(path)) {
        let shown = path.strip_prefix(root).unwrap().to_str().unwrap();
        let lines = by_path(&fs::read_to_string(path).unwrap());
        match ALLOWED.iter().position(|(place, _)| shown.starts_with(place)) {
            Some(at) => used[at] |= !lines.is_empty(),
            None => wrong.extend(lines.iter().map(|line| format!("{shown}:{line}"))),
        }
    }
    assert!(wrong.is_empty(), "by path, which src/files does safely:\n{}", wrong.join("\n"));
    let idle: Vec<_> = ALLOWED.iter().zip(used).filter(|(_, used)| !used).map(|((place, _), _)| place).collect();
    // What does it through other means is listed for its folder alone.
    assert!(idle.iter().all(|place| **place == "src/files/"), "nothing is opened by path there any more: {idle:?}");
}

/// What the disk cache must not do to files that others may have open, and what says nothing of which bytes are there:
/// zero pages in the page cache turn holes into data, and what is punched or cut reads as zeros.
const NOT_ON_DISK: &[&str] = &["SEEK_HOLE", "SEEK_DATA", "FIEMAP", "fallocate(", "ftruncate(", "mmap(", "rename("];

#[test]
fn the_disk_cache_looks_for_no_holes_and_makes_none_in_files_that_are_in_use() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src/cache/disk"), &mut files);
    let (mut wrong, mut lengths) = (Vec::new(), Vec::new());
    for path in files.iter().filter(|path| !is_test(path)) {
        let shown = path.strip_prefix(root).unwrap().display();
        let text = fs::read_to_string(path).unwrap();
        let code = text.lines().take_while(|line| line.trim() != "#[cfg(test)]");
        for (number, line) in (1..).zip(code).filter(|(_, line)| !line.trim_start().starts_with("//")) {
            wrong.extend(
                NOT_ON_DISK.iter().filter(|word| says(line, word)).map(|word| format!("{shown}:{number}: {word}")),
            );
            lengths.extend(line.contains("set_len(").then(|| format!("{shown}")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(lengths, ["src/cache/disk/held.rs"], "only a file that nobody knows yet is given a length");
}

#[test]
fn the_scan_sees_code_and_not_comments_or_tests() {
    let text = "use std::fs;\n// File::open(x)\nlet a = std::fs::read(path);\nLogFile::open(x);\n#[cfg(test)]\nfs::write(a, b);\n";
    assert_eq!(by_path(text), [3]);
}
