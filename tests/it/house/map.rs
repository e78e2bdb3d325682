//! The map leads somewhere: the heads of rooms name every file below them, and the page of the crate names files that
//! exist.

use std::fs;
use std::path::{Path, PathBuf};

/// The `mod.rs` files of a folder and of all below it.
fn rooms(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rooms(&path, found);
        } else if path.ends_with("mod.rs") {
            found.push(path);
        }
    }
}

/// The lines of the comment that a file begins with.
fn head(text: &str) -> String {
    text.lines().take_while(|line| line.starts_with("//!")).collect::<Vec<_>>().join("\n")
}

/// Modules that a file declares, without those of tests.
fn modules(text: &str) -> Vec<&str> {
    let mut modules = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        let declared = line.split_once("mod ").filter(|(before, _)| before.is_empty() || before.starts_with("pub"));
        if let Some(name) = declared.and_then(|(_, name)| name.strip_suffix(';'))
            && !is_test
        {
            modules.push(name);
        }
        is_test = line.starts_with("#[cfg(") && line.contains("test") || (is_test && line.starts_with("#["));
    }
    modules
}

#[test]
fn the_head_of_a_room_names_each_of_its_files() {
    let mut files = Vec::new();
    rooms(Path::new("src"), &mut files);
    assert!(files.len() > 20, "{files:?}");
    let mut missing = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let head = head(&text);
        let unnamed = modules(&text)
            .into_iter()
            .filter(|name| !head.contains(&format!("`{name}`")) && !head.contains(&format!("[`{name}`]")));
        missing.extend(unnamed.map(|name| format!("{}: `{name}`", file.display())));
    }
    assert!(missing.is_empty(), "no line of the table at the head of: {missing:#?}");
}

#[test]
fn the_page_of_the_crate_names_files_that_exist() {
    let text = fs::read_to_string("src/lib.rs").unwrap();
    let head = head(&text);
    let named = head.split('`').skip(1).step_by(2).map(|word| word.split("::").next().unwrap_or(word));
    let paths: Vec<&str> = named.filter(|word| word.contains('/') && !word.contains(' ')).collect();
    assert!(paths.len() > 40, "{paths:?}");
    let lost = paths.iter().filter(|path| {
        let below_src = Path::new("src").join(path.trim_end_matches('/'));
        !below_src.exists() && !Path::new(path).exists() && !below_src.with_extension("rs").exists()
    });
    let lost = lost.collect::<Vec<_>>();
    assert!(lost.is_empty(), "the map names files that are not there: {lost:?}");
}

/// The text of all files below a folder.
fn text_below(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text.push_str(&text_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
    text
}

#[test]
fn the_walks_name_functions_that_exist() {
    let head = head(&fs::read_to_string("src/lib.rs").unwrap());
    let all = text_below(Path::new("src"));
    let named: Vec<_> = head.split('`').skip(1).step_by(2).filter_map(|word| word.rsplit_once("::")).collect();
    assert!(named.len() > 12, "{named:?}");
    let is_lost = |(place, name): &&(&str, &str)| {
        let within = place.split_once(".rs").map(|(path, _)| fs::read_to_string(format!("src/{path}.rs")).unwrap());
        let text = within.as_ref().unwrap_or(&all);
        !["fn", "mod", "struct", "trait"].iter().any(|word| text.contains(&format!("{word} {name}")))
    };
    let lost: Vec<_> = named.iter().filter(is_lost).collect();
    assert!(lost.is_empty(), "the walks name functions that are not there: {lost:?}");
}

#[test]
fn modules_are_read_as_they_are_declared() {
    let text = "//! Head.\npub(super) mod a;\nmod b;\n#[cfg(test)]\nmod c;\n#[cfg(test)]\n#[path = \"x\"]\nmod d;\nmod e;\nmod f {}\n";
    assert_eq!(modules(text), ["a", "b", "e"]);
}
