//! Files of one room do not need each other in a circle: each can be read after those that it uses. The heads of rooms
//! (`mod.rs`) stand apart, since they declare their files and offer what is in them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The one circle that may stay: a file in memory knows whose it is, and is made by its owner.
const ALLOWED: [&str; 2] = ["read::inode", "read::whole"];

/// The files below `src` by their module, each with its code and whether it is a head.
type Files = BTreeMap<String, (String, bool)>;

/// What files offer under another's name: by the offering module and the name, the module that has it.
type Offers = BTreeMap<(String, String), String>;

fn files() -> Files {
    fn gather(folder: &Path, module: &str, found: &mut Files) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let stem = path.file_stem().unwrap().to_str().unwrap();
            let name = match (module, stem) {
                (_, "mod") => module.to_owned(),
                ("", _) => stem.to_owned(),
                _ => format!("{module}::{stem}"),
            };
            if path.is_dir() {
                gather(&path, &name, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !is_tests(&name) {
                let code = code(&fs::read_to_string(&path).unwrap());
                found.insert(name, (code, stem == "mod"));
            }
        }
    }
    let mut found = Files::new();
    gather(Path::new("src"), "", &mut found);
    assert!(found.len() > 300, "{}", found.len());
    found
}

fn is_tests(module: &str) -> bool {
    module.split("::").any(|part| part == "tests" || part.ends_with("_tests") || part == "histories")
}

/// The text without comments and without its module of tests.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The paths of a tree as it stands behind `use`.
fn expand(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((before, rest)) = tree.split_once('{') else {
        return vec![tree.split(" as ").next().unwrap_or(tree).to_owned()];
    };
    let group = rest.trim_end().strip_suffix('}').unwrap_or(rest);
    let (mut branches, mut depth) = (vec![String::new()], 0);
    for c in group.chars() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        match branches.last_mut() {
            Some(_) if c == ',' && depth == 0 => branches.push(String::new()),
            Some(branch) => branch.push(c),
            None => {}
        }
    }
    let branches = branches.iter().filter(|branch| !branch.trim().is_empty());
    branches.flat_map(|branch| expand(branch)).map(|path| format!("{before}{path}")).collect()
}

/// The paths that the code names in `use`, each with whether it is offered to others, and those that it names elsewhere.
fn paths(code: &str) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    for statement in code.split(';') {
        let lines = statement.lines().skip_while(|line| {
            let line = line.trim_start();
            !(line.starts_with("use ") || line.starts_with("pub") && line.contains(" use "))
        });
        let text = lines.collect::<Vec<_>>().join(" ");
        if let Some((before, tree)) = text.split_once("use ") {
            found.extend(expand(tree).into_iter().map(|path| (path, before.contains("pub"))));
        }
    }
    for root in ["super::", "crate::", "self::"] {
        for (at, _) in code.match_indices(root) {
            let is_whole_word = !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
            let end = code[at..].find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(0);
            let path = code[at..at + end].trim_end_matches(':');
            if is_whole_word && path.contains("::") {
                found.push((path.to_owned(), false));
            }
        }
    }
    found
}

/// The file that a path leads to from a module, and what follows in the path.
fn resolve<'a>(files: &Files, module: &str, path: &'a str) -> Option<(String, Vec<&'a str>)> {
    let mut at: Vec<&str> = module.split("::").collect();
    let mut rest: Vec<&str> = path.split("::").map(str::trim).collect();
    match *rest.first()? {
        "crate" => at.clear(),
        "self" => {}
        "super" => {
            while rest.get(1) == Some(&"super") {
                at.pop();
                rest.remove(0);
            }
            at.pop();
        }
        _ => return None,
    }
    rest.remove(0);
    let lengths = (0..=rest.len()).rev();
    lengths.map(|length| ([&at[..], &rest[..length]].concat().join("::"), rest[length..].to_vec())).find(|found| {
        // What lies behind a file is an item of it.
        files.contains_key(&found.0)
    })
}

/// What each head offers of its files.
fn offers(files: &Files) -> Offers {
    let mut offers = Offers::new();
    for (module, (code, _)) in files {
        for (path, _) in paths(code).into_iter().filter(|(_, is_offered)| *is_offered) {
            let name = path.rsplit("::").next().unwrap_or(&path).to_owned();
            let is_rooted = ["crate", "self", "super"].iter().any(|root| path.starts_with(root));
            let path = if is_rooted { path } else { format!("self::{path}") };
            if let Some((target, _)) = resolve(files, module, &path) {
                offers.insert((module.clone(), name), target);
            }
        }
    }
    offers
}

/// The files of its own room that each file uses.
fn uses(files: &Files) -> BTreeMap<&str, BTreeSet<String>> {
    let offers = offers(files);
    let room = |module: &str| module.split("::").next().unwrap_or_default().to_owned();
    let mut uses = BTreeMap::new();
    for (module, (code, _)) in files.iter().filter(|(_, (_, is_head))| !is_head) {
        let target = |(path, _): (String, bool)| {
            let (target, rest) = resolve(files, module, &path)?;
            let offered = rest.first().and_then(|name| offers.get(&(target.clone(), (*name).to_owned())));
            Some(offered.cloned().unwrap_or(target))
        };
        let is_beside = |other: &String| other != module && room(other) == room(module) && !files[other].1;
        uses.insert(module.as_str(), paths(code).into_iter().filter_map(target).filter(is_beside).collect());
    }
    uses
}

/// All files that lead to one another.
fn circles(uses: &BTreeMap<&str, BTreeSet<String>>) -> BTreeSet<Vec<String>> {
    let reached = |from: &str| {
        let (mut reached, mut next) = (BTreeSet::new(), vec![from.to_owned()]);
        while let Some(module) = next.pop() {
            let new = uses[module.as_str()].iter().filter(|other| reached.insert((*other).clone()));
            next.extend(new.cloned().collect::<Vec<_>>());
        }
        reached
    };
    let all: BTreeMap<&str, BTreeSet<String>> = uses.keys().map(|module| (*module, reached(module))).collect();
    let circle = |module: &&str| {
        let back = |other: &&String| all[other.as_str()].contains(*module);
        let circle: Vec<String> = all[module].iter().filter(back).cloned().collect();
        (circle.len() > 1).then_some(circle)
    };
    all.keys().filter_map(circle).collect()
}

#[test]
fn files_of_a_room_form_no_circle() {
    let files = files();
    let uses = uses(&files);
    assert!(uses.values().map(BTreeSet::len).sum::<usize>() > 500, "too few uses were seen");
    let circles: Vec<_> = circles(&uses).into_iter().collect();
    assert_eq!(circles, [ALLOWED.map(str::to_owned).to_vec()], "move what both need to a file of its own");
}

#[test]
fn circles_are_seen_also_where_a_head_stands_between() {
    let file = |code: &str| (code.to_owned(), false);
    let files = Files::from([
        ("a".to_owned(), ("mod b;\nmod c;\nmod d;\npub use b::B;\npub(crate) use self::{c::C};".to_owned(), true)),
        ("a::b".to_owned(), file("use super::{C, d};\nstruct B(C);")),
        ("a::c".to_owned(), file("use std::fmt;\nfn c() -> crate::a::B {}")),
        ("a::d".to_owned(), file("use crate::other::b;\nfn d() -> self::e {}")),
        ("other".to_owned(), file("use crate::a::B;")),
    ]);
    assert_eq!(Vec::from_iter(circles(&uses(&files))), [["a::b", "a::c"].map(str::to_owned)]);
}
