//! Images are built from images that are named by digest: a tag may stand for another one tomorrow.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

const SCRIPT: &str = "packaging/docker/base-images";
const DIGEST: &str = "sha256:5b3c1f1fd17b0f8d0f6f6b0f0c1b1e0f5b3c1f1fd17b0f8d0f6f6b0f0c1b1e0f";

/// Dockerfiles below a folder.
fn dockerfiles(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            dockerfiles(&path, found);
        } else if (name.contains("Dockerfile") || name.contains("Containerfile")) && !name.ends_with("ignore") {
            found.push(fs::read_to_string(path).unwrap());
        }
    }
}

/// What a Dockerfile builds from without a digest, or without refusing an argument that has none.
fn unpinned(dockerfile: &str) -> Vec<&str> {
    let words = dockerfile.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let instructions = words.filter(|words| !words.is_empty()).collect::<Vec<_>>();
    let has_default =
        |name: &str| instructions.iter().any(|words| words[0] == "ARG" && words[1].starts_with(&format!("{name}=")));
    let is_refused = |name: &str| dockerfile.contains(&format!("case \"${name}\" in *@sha256:*) ;;"));
    let from = instructions.iter().filter(|words| words[0].eq_ignore_ascii_case("FROM")).map(|words| words[1]);
    from.filter(|image| match image.strip_prefix("${").and_then(|name| name.strip_suffix('}')) {
        Some(name) => has_default(name) || !is_refused(name),
        None => *image != "scratch" && !image.contains("@sha256:"),
    })
    .collect()
}

#[test]
fn base_images_are_named_by_digest() {
    let mut found = Vec::new();
    ["packaging", "tests"].iter().for_each(|folder| dockerfiles(Path::new(folder), &mut found));
    assert!(!found.is_empty());
    for dockerfile in found {
        assert_eq!(unpinned(&dockerfile), [""; 0]);
    }
    for (dockerfile, expected) in [
        ("FROM debian:bookworm", vec!["debian:bookworm"]),
        ("FROM debian@sha256:0", vec![]),
        ("ARG A\nFROM ${A}", vec!["${A}"]),
        ("ARG A=debian\nFROM ${A}\nRUN case \"$A\" in *@sha256:*) ;;", vec!["${A}"]),
        ("ARG A\nFROM ${A} AS b\nRUN case \"$A\" in *@sha256:*) ;;", vec![]),
        ("FROM rust:1-${A}", vec!["rust:1-${A}"]),
    ] {
        assert_eq!(unpinned(dockerfile), expected, "{dockerfile}");
    }
}

/// Runs the script with a lock file in this folder, and a `skopeo` that says this.
fn base_images(folder: &Path, says: &str, arguments: &[&str]) -> Output {
    let skopeo = folder.join("skopeo");
    fs::write(&skopeo, format!("#!/bin/sh\necho \"$*\" >>{}/asked\n{says}\n", folder.display())).unwrap();
    fs::set_permissions(&skopeo, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.display());
    let lock = folder.join("lock");
    let mut command = Command::new(SCRIPT);
    command.args(arguments).env_clear().env("PATH", path).env("OSSMOUNT_BASE_IMAGES_LOCK", lock);
    command.output().unwrap()
}

#[test]
fn digests_are_looked_up_once_and_stay() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let said = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    for says in ["exit 1", "echo sha256:0", "echo latest"] {
        let output = base_images(folder, says, &[]);
        assert!(!output.status.success(), "{says}");
        assert!(said(&output).contains("no digest for docker.io/library/rust:"), "{}", said(&output));
        assert!(!folder.join("lock").exists(), "{says}: nothing is written by halves");
    }
    let output = base_images(folder, &format!("echo {DIGEST}"), &[]);
    assert!(output.status.success(), "{}", said(&output));
    let printed = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = printed.lines().collect();
    assert!(
        lines[0].starts_with("--build-arg BUILD_IMAGE=docker.io/library/rust:") && lines[0].ends_with(DIGEST),
        "{printed}"
    );
    assert_eq!(lines[1], format!("--build-arg BASE_IMAGE=docker.io/library/debian:bookworm-slim@{DIGEST}"));
    assert_eq!(lines.len(), 2);
    let again = base_images(folder, "exit 1", &[]);
    assert_eq!(String::from_utf8(again.stdout).unwrap(), printed, "what was looked up stays");
    assert!(!base_images(folder, "exit 1", &["renew"]).status.success());
    assert!(!base_images(folder, "exit 1", &["other"]).status.success());
    fs::write(folder.join("lock"), "BASE_IMAGE=debian:bookworm\n").unwrap();
    let output = base_images(folder, "exit 1", &[]);
    assert!(!output.status.success() && said(&output).contains("is no image with a digest"), "{}", said(&output));
}
