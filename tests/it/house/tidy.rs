//! The form of the code: what a reader should not have to look past. The numbers are those of CONTRIBUTING.md.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Columns of a line of a comment. Code is kept within them by rustfmt; rows of tables and messages that are quoted
/// cannot be broken.
const COLUMNS: usize = 120;
/// Lines of a function.
const FUNCTION_LINES: usize = 70;
/// Lines of a file.
const FILE_LINES: usize = 620;
/// Words of a documentation comment.
const WORDS: usize = 4;

/// A source file, by its path below `src`.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The room that it belongs to.
    fn room(&self) -> &str {
        self.path.split(['/', '.']).next().unwrap_or_default()
    }

    /// The text without its module of tests; nothing for files of tests.
    fn code(&self) -> &str {
        if self.path.contains("tests") || self.path.contains("histories/") {
            return "";
        }
        self.text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
    }

    /// The lines outside of examples, each with its number.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut is_example = false;
        let lines = self.text.lines().enumerate().map(|(index, line)| (index + 1, line));
        lines.filter(move |(_, line)| {
            is_example ^= line.trim_start_matches(['/', '!', ' ']).starts_with("```");
            !is_example
        })
    }
}

fn sources() -> Vec<Source> {
    fn gather(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                gather(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    gather(Path::new("src"), &mut paths);
    assert!(paths.len() > 300, "{}", paths.len());
    let source = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        Source { path: path.strip_prefix("src").unwrap().display().to_string(), text }
    };
    paths.into_iter().map(source).collect()
}

/// The name that a line at the border of a file declares as a type.
fn declared_type(line: &str) -> Option<&str> {
    let line = match line.strip_prefix("pub") {
        Some(rest) => rest.strip_prefix(' ').or_else(|| rest.split_once(") ").map(|(_, rest)| rest))?,
        None => line,
    };
    let name = ["struct ", "enum ", "trait ", "union ", "type "].iter().find_map(|word| line.strip_prefix(word))?;
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
    Some(&name[..end])
}

#[test]
fn a_type_has_a_name_of_its_own_in_its_room() {
    let sources = sources();
    let mut names: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for source in &sources {
        for name in source.code().lines().filter_map(declared_type) {
            names.entry((source.room(), name)).or_default().push(&source.path);
        }
    }
    assert!(names.len() > 500, "{}", names.len());
    let twice: Vec<_> = names.into_iter().filter(|(_, paths)| paths.len() > 1).collect();
    assert!(twice.is_empty(), "one name for two types: {twice:#?}");
}

#[test]
fn lines_of_comments_end_where_lines_of_code_do() {
    let sources = sources();
    let mut long = Vec::new();
    for source in &sources {
        let is_long = |line: &str| line.trim_start().starts_with("//") && line.chars().count() > COLUMNS;
        let is_row = |line: &str| line.trim_start().trim_start_matches(['/', '!']).trim_start().starts_with(['|', '>']);
        let lines = source.lines().filter(|(_, line)| is_long(line) && !is_row(line));
        long.extend(lines.map(|(number, _)| format!("src/{}:{number}", source.path)));
    }
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn documentation_is_more_than_a_word() {
    let sources = sources();
    let mut short = Vec::new();
    for source in &sources {
        let lines: Vec<&str> = source.code().lines().map(str::trim).collect();
        let is_doc = |index: usize| lines.get(index).is_some_and(|line| line.starts_with("///"));
        let begins = (0..lines.len()).filter(|&index| is_doc(index) && (index == 0 || !is_doc(index - 1)));
        for begin in begins {
            let doc = (begin..).take_while(|&index| is_doc(index)).map(|index| lines[index].trim_start_matches('/'));
            let words: usize = doc.map(|line| line.split_whitespace().count()).sum();
            if words < WORDS {
                short.push(format!("src/{}:{}: {}", source.path, begin + 1, lines[begin]));
            }
        }
    }
    assert!(short.is_empty(), "{} short ones: {short:#?}", short.len());
}

/// The functions of a file that are longer than they should be: their names and lines.
fn long_functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut long = Vec::new();
    for (begin, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let is_function = line.contains("fn ") && !line.trim_start().starts_with("//") && line.contains('(');
        let Some(name) = line.split("fn ").nth(1).filter(|_| is_function).and_then(|rest| rest.split('(').next())
        else {
            continue;
        };
        let end = format!("{}}}", " ".repeat(indent));
        let length = lines[begin..].iter().position(|line| *line == end).map_or(0, |last| last + 1);
        let is_declaration =
            lines[begin..].iter().find(|line| line.ends_with(['{', ';', '}'])).is_some_and(|line| line.ends_with(';'));
        if length > FUNCTION_LINES && !is_declaration {
            long.push((name.to_owned(), length));
        }
    }
    long
}

#[test]
fn functions_and_files_can_be_read_in_one_piece() {
    let sources = sources();
    let mut long = Vec::new();
    for source in &sources {
        if source.text.lines().count() > FILE_LINES {
            long.push(format!("src/{}: {} lines", source.path, source.text.lines().count()));
        }
        let functions = long_functions(source.code()).into_iter();
        long.extend(functions.map(|(name, lines)| format!("src/{}: {name}: {lines} lines", source.path)));
    }
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn the_measures_measure() {
    assert_eq!(declared_type("pub(super) struct Name<T> {"), Some("Name"));
    assert_eq!(declared_type("pub(in crate::app) enum Word {"), Some("Word"));
    assert_eq!(declared_type("pub type Pair = (String, String);"), Some("Pair"));
    assert_eq!(declared_type("    type Item = u8;"), None);
    assert_eq!(declared_type("impl Name {"), None);
    let long = format!("fn long() {{\n{}}}\nfn short() {{\n}}\n", "    x();\n".repeat(FUNCTION_LINES));
    assert_eq!(long_functions(&long), [("long".to_owned(), FUNCTION_LINES + 2)]);
}

#[test]
fn every_tuned_number_is_used() {
    let sources = sources();
    let mut unused = Vec::new();
    let mut numbers = 0;
    for room in ["read", "fs"] {
        let declared = sources.iter().find(|source| source.path == format!("{room}/tuning.rs")).unwrap();
        let (_, rows) = declared.code().split_once("tuned_numbers! {").unwrap();
        let names = rows.lines().filter_map(|line| line.trim().strip_suffix(';')?.split_once(" = "));
        for (name, _) in names {
            numbers += 1;
            let use_of = format!("tuning.{name}");
            let is_used = |source: &Source| source.room() == room && source.code().contains(&use_of);
            if !sources.iter().any(is_used) {
                unused.push(format!("{room}: {name}"));
            }
        }
    }
    assert!(numbers > 80, "{numbers}");
    assert!(unused.is_empty(), "{unused:?}");
}

/// Participles that may be names of files. "Chunked" and "packed" are words of the field; the directories and handles of
/// an earlier life are what was resumed.
const NOUNS: [&str; 3] = ["chunked", "packed", "resumed"];

#[test]
fn files_have_nouns_or_verbs_for_names() {
    let participles: Vec<_> = sources()
        .into_iter()
        .map(|source| source.path)
        .filter(|path| {
            let name = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".rs");
            name.ends_with("ed") && !NOUNS.contains(&name)
        })
        .collect();
    assert!(participles.is_empty(), "what is in these files has a name of its own: {participles:?}");
}
