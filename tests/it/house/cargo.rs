//! What `cargo publish` would upload: all that the program is built from and its user reads, and nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The files that the package would have.
fn files() -> BTreeSet<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let listed = Command::new(cargo)
        .args(["package", "--list", "--locked", "--offline", "--allow-dirty"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&listed.stderr);
    assert!(listed.status.success(), "{said}");
    String::from_utf8(listed.stdout).unwrap().lines().map(PathBuf::from).collect()
}

/// All files below a folder.
fn below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            below(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// Whether a file of `src` is compiled for tests alone: one of a module `tests` or `*_tests`.
fn is_of_tests(path: &Path) -> bool {
    let is_module = |name: &str| name == "tests" || name.ends_with("_tests");
    path.iter().filter_map(|part| part.to_str()).any(|part| is_module(part.strip_suffix(".rs").unwrap_or(part)))
}

#[test]
fn the_package_has_the_program_and_its_manual() {
    let packed = files();
    let mut wanted = Vec::new();
    ["src", "config", "docs"].iter().for_each(|folder| below(Path::new(folder), &mut wanted));
    wanted.retain(|path| !is_of_tests(path));
    assert!(wanted.len() > 300, "{}", wanted.len());
    wanted.extend(["Cargo.lock", "README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT"].map(PathBuf::from));
    let missing = wanted.iter().filter(|path| !packed.contains(*path)).collect::<Vec<_>>();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_package_has_nothing_for_developers_alone() {
    let folders = ["src", "config", "docs"];
    let names = [
        "Cargo.toml",
        "Cargo.toml.orig",
        "Cargo.lock",
        "README.md",
        "CHANGELOG.md",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        ".cargo_vcs_info.json",
    ];
    let packed = files();
    let is_odd = |path: &&PathBuf| {
        let is_listed = path.to_str().is_some_and(|path| names.contains(&path));
        let is_below = folders.iter().any(|folder| path.starts_with(folder));
        is_of_tests(path) || !is_listed && !is_below
    };
    let odd = packed.iter().filter(is_odd).collect::<Vec<_>>();
    assert!(odd.is_empty(), "{odd:?}");
}

#[test]
fn files_of_tests_are_told_by_the_names_of_their_modules() {
    for path in ["src/tree/tests.rs", "src/fs/names/fresh_tests.rs", "src/read/judge_tests/traces/cat.trace"] {
        assert!(is_of_tests(Path::new(path)), "{path}");
    }
    for path in ["src/tree/node.rs", "src/app/attests.rs", "docs/manual/tests.md"] {
        assert!(!is_of_tests(Path::new(path)), "{path}");
    }
}
