//! The arrows of the house, as `src/lib.rs` draws them: no room names another that it may not use, and the crates
//! that belong to one room alone are named nowhere else.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const ARROWS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("files", &["base"]),
    ("metrics", &["base"]),
    ("tree", &["base"]),
    ("control", &["base"]),
    ("store", &["files", "base", "metrics"]),
    ("cache", &["files", "base", "metrics"]),
    ("list", &["store", "base", "metrics"]),
    ("read", &["store", "cache", "base", "metrics"]),
    ("copy", &["store", "list", "base", "metrics"]),
    ("fs", &["tree", "list", "read", "copy", "control", "base", "metrics", "store"]),
    ("fuse", &["fs", "base", "metrics"]),
    (
        "config",
        &["files", "base", "store", "list", "tree", "read", "cache", "copy", "control", "fs", "fuse", "emulator"],
    ),
    ("emulator", &["files", "base"]),
    ("manual", &[]),
];

/// Words that only the named place may say in code.
const RESERVED: &[(&str, &str)] = &[
    ("fuser::", "src/fuse/"),
    ("hyper", "src/emulator/|src/app/daemon/beside/"),
    ("httparse::", "src/store/http/"),
    ("rustls::", "src/store/http/"),
    ("SystemTime::now", "src/base/clock.rs"),
    ("Instant::now", "src/base/clock.rs"),
];

fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_owned(), text));
            }
        }
    }
    assert!(found.len() > 20, "the scan found only {} files", found.len());
    found
}

/// The lines of code: without comments, without what is for tests alone.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let mut is_for_tests = false;
    let mut lines = text.lines();
    std::iter::from_fn(move || {
        loop {
            let line = lines.next()?;
            let was_for_tests = std::mem::replace(&mut is_for_tests, line.trim() == "#[cfg(test)]");
            match line {
                // The module of tests is a file's last item.
                _ if was_for_tests && line.ends_with('{') && line.starts_with("mod ") => return None,
                _ if was_for_tests || is_for_tests || line.trim_start().starts_with("//") => {}
                line => return Some(line),
            }
        }
    })
}

/// Whether a file holds tests alone.
fn is_tests(path: &Path) -> bool {
    let parts: Vec<_> = path.iter().filter_map(|part| part.to_str()).collect();
    parts.iter().any(|part| *part == "tests.rs" || part.ends_with("_tests.rs") || *part == "histories")
}

/// Rooms named by `crate::room` and by the groups of `use crate::{a::…, b::…}`.
fn rooms_named(text: &str) -> BTreeSet<String> {
    let code: String = code(text).collect::<Vec<_>>().join("\n");
    let mut named = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut word = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        named.insert(std::mem::take(&mut word));
                    }
                    _ if depth == 0 => word.push(c),
                    _ => {}
                }
            }
            named.insert(word);
        } else {
            named.insert(rest.to_owned());
        }
    }
    let identifier = |text: &str| text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    named.iter().map(|text| identifier(text)).filter(|name: &String| !name.is_empty()).collect()
}

#[test]
fn rooms_use_only_the_rooms_they_may() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let room = path.components().nth(1).unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned();
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == room) else {
            assert!(["lib", "main", "app"].contains(&room.as_str()), "{room} is a new room: draw its arrows");
            continue;
        };
        for other in rooms_named(&text) {
            if other != room && !allowed.contains(&other.as_str()) {
                wrong.push(format!("{}: {room} must not use {other}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The wings of `fs` and the type that is the face of each, in the order in which they may use each other: each names
/// those before it only.
const WINGS: [(&str, &str); 5] =
    [("lives", "Lives"), ("names", "Names"), ("files", "Files"), ("control", "Control"), ("", "Fs")];

#[test]
fn wings_of_fs_use_only_those_before_them() {
    let mut wrong = Vec::new();
    let mut looked_at = [0; WINGS.len() - 1];
    for (path, text) in sources() {
        let wing = path.strip_prefix("src/fs").ok().and_then(|below| below.iter().next()?.to_str());
        let Some(place) = WINGS.iter().position(|(name, _)| Some(*name) == wing).filter(|_| !is_tests(&path)) else {
            continue;
        };
        looked_at[place] += 1;
        let words: BTreeSet<&str> = code(&text).flat_map(|line| line.split(|c: char| !c.is_alphanumeric())).collect();
        for (_, face) in &WINGS[place + 1..] {
            if words.contains(face) {
                wrong.push(format!("{} must not name {face}", path.display()));
            }
        }
    }
    assert!(looked_at.iter().all(|files| *files > 2), "{looked_at:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn reserved_words_stay_in_their_room() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        for (word, places) in RESERVED {
            let at_home = places.split('|').any(|place| path.to_str().unwrap().starts_with(place));
            if !at_home && code(&text).any(|line| line.contains(word)) {
                wrong.push(format!("{} says {word}, which belongs to {places}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_owns() {
    for (path, text) in sources() {
        assert!(text.starts_with("//! "), "{} has no opening line", path.display());
    }
}

#[test]
fn the_scan_sees_paths_and_groups() {
    let text = "use crate::store::Error;\nuse crate::{base::{Key, Ino}, list, tree::Tree};\n// crate::fuse\nlet x = crate::read::y();\n#[cfg(test)]\nuse crate::app;";
    let named: Vec<_> = rooms_named(text).into_iter().collect();
    assert_eq!(named, ["base", "list", "read", "store", "tree"]);
}
