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
    ("cache", &["base", "metrics"]),
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

/// The lines of code: comments and all from the test module on left out.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().take_while(|line| line.trim() != "#[cfg(test)]").filter(|line| !line.trim_start().starts_with("//"))
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
