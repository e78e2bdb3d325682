//! The manual is true: its examples print what it says they print, and the sentences that it explains are the program's.
//!
//! A block marked `console` is run line by line in a directory of its own, with a server whose bucket `bucket` holds
//! `a.txt`, `dir/b.txt` and `dir/deep/c.txt`, and with endpoint, region and keys in the environment. A bucket `versions` keeps
//! old versions of what is overwritten, and `special` has an archived object and a link. `elsewhere` runs a command as another
//! machine would, which knows of no mount here. `...` in what a command should print stands for anything within a line,
//! alone on a line for any number of lines.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ossmount::emulator::{Emulator, PutOptions, StorageClass};

use crate::support::program::{BINARY, Ended, Tool, server};

const MANUAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/manual");

/// The pages: the contents, by the name `README`, and all that it lists.
fn pages() -> Vec<(String, String)> {
    let paths = fs::read_dir(MANUAL).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<_> = paths
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap()))
        .collect();
    pages.sort();
    pages
}

pub(crate) fn blocks(page: &str) -> impl Iterator<Item = &str> {
    page.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap())
}

/// Runs a command where the notes on live mounts are out of sight.
const ELSEWHERE: &str = r#"elsewhere() { unshare --mount sh -c 'mount -t tmpfs none /run && exec "$@"' - "$@"; }"#;

/// A command, and what it should print.
struct Step<'a> {
    command: &'a str,
    prints: Vec<&'a str>,
}

fn steps(block: &str) -> Vec<Step<'_>> {
    let mut steps: Vec<Step<'_>> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step { command, prints: Vec::new() }),
            (None, Some(step)) => step.prints.push(line),
            (None, None) => panic!("a block begins with a command: {block}"),
        }
    }
    steps
}

/// Runs the commands of a block one after the other in one shell, in this directory, and says where what they print is
/// not what the block says.
pub(crate) fn differences(block: &str, tool: &Tool, folder: &Path) -> Vec<String> {
    const END: &str = "--- end of what this command prints ---";
    let mut script = format!("exec 2>&1\nPATH={}:$PATH\n{ELSEWHERE}\n", Path::new(BINARY).parent().unwrap().display());
    let steps = steps(block);
    for step in &steps {
        script.push_str(&format!("{}\necho '{END}'\n", step.command));
    }
    let mut command = tool.command("bash");
    command
        .current_dir(folder)
        .env("OSSMOUNT_LOG_LEVEL", "warn")
        .env("OSSMOUNT_LOG_FILE", tool.home().join("log"))
        .args(["-c", &script]);
    let said = Ended::of(&mut command).stdout;
    let end = format!("{END}\n");
    let differs = steps
        .iter()
        .zip(said.split(&end))
        .filter(|(step, said)| !matches(&said.lines().collect::<Vec<_>>(), &step.prints));
    differs
        .map(|(step, said)| format!("$ {}\nprints\n{said}and should print\n{}\n", step.command, step.prints.join("\n")))
        .collect()
}

/// A directory below which nothing stays mounted.
struct Mounts(PathBuf);

impl Drop for Mounts {
    fn drop(&mut self) {
        for mount in ossmount::fuse::mounts().unwrap_or_default() {
            if mount.dir.starts_with(&self.0) {
                let _ = std::process::Command::new(BINARY).args(["umount", "--lazy"]).arg(&mount.dir).status();
            }
        }
        // Those of other types, which an example left: the latest first.
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        for dir in table.lines().rev().filter_map(|line| line.split(' ').nth(4)).map(Path::new) {
            if dir.starts_with(&self.0) {
                let _ = std::process::Command::new("umount").arg("--lazy").arg(dir).status();
            }
        }
    }
}

/// Whether lines are as they should be.
fn matches(printed: &[&str], expected: &[&str]) -> bool {
    match (expected.split_first(), printed.split_first()) {
        (None, None) => true,
        (Some((&"...", rest)), _) => (0..=printed.len()).any(|skipped| matches(&printed[skipped..], rest)),
        (Some((line, rest)), Some((printed, more))) => line_matches(printed, line) && matches(more, rest),
        _ => false,
    }
}

fn line_matches(printed: &str, expected: &str) -> bool {
    let mut parts = expected.split("...");
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = printed.strip_prefix(first) else { return false };
    let mut open = false;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
        open = part.is_empty();
    }
    rest.is_empty() || open
}

#[test]
fn expectations_are_told_from_what_is_printed() {
    for (printed, expected, same) in [
        (&["a"][..], &["a"][..], true),
        (&["a"], &["b"], false),
        (&["a", "b"], &["a"], false),
        (&["a"], &["a", "b"], false),
        (&["size 5, at 12:00"], &["size 5, at ..."], true),
        (&["size 5, at 12:00"], &["size ..., at ..."], true),
        (&["size 5"], &["size ...6"], false),
        (&["x", "y", "b"], &["...", "b"], true),
        (&["x", "y"], &["...", "b"], false),
    ] {
        assert_eq!(matches(printed, expected), same, "{printed:?} {expected:?}");
    }
}

/// What the examples are run on.
fn buckets() -> Emulator {
    let server = server();
    server.create_versioned_bucket("versions");
    server.put("versions", "a.txt", "alpha\n");
    server.create_versioned_bucket("past");
    server.set_clock_offset(-7200);
    server.put("past", "data/a.txt", "old a\n");
    server.set_clock_offset(-7100);
    server.put("past", "data/b.txt", "old b\n");
    server.set_clock_offset(-3600);
    server.delete("past", "data/b.txt");
    server.set_clock_offset(-3500);
    server.put("past", "data/a.txt", "a bad upload\n");
    server.set_clock_offset(0);
    server.create_bucket("special");
    server.put("special", "dir/b.txt", "beta\n");
    let archived = PutOptions { storage_class: StorageClass::Archive, ..PutOptions::default() };
    server.put_with("special", "archived", "alpha\n", archived);
    let link = PutOptions { symlink_target: Some("dir/b.txt".to_owned()), ..PutOptions::default() };
    server.put_with("special", "link", "", link);
    server
}

fn examples_work(name: &str) {
    let name = name.replace('_', "-");
    let text = fs::read_to_string(Path::new(MANUAL).join(&name).with_extension("md")).unwrap();
    for block in blocks(&text) {
        let server = buckets();
        let folder = tempfile::tempdir().unwrap();
        let mounts = Mounts(folder.path().canonicalize().unwrap());
        let wrong = differences(block, &Tool::for_server(&server), &mounts.0);
        drop(mounts);
        assert!(wrong.is_empty(), "{name}:\n{}", wrong.join("\n"));
    }
}

/// One test for each page, so that they run side by side.
macro_rules! pages_with_examples {
    ($($name:ident),* $(,)?) => {
        mod examples {
            $(#[test] fn $name() { super::examples_work(stringify!($name)) })*
        }

        #[test]
        fn no_page_with_examples_is_left_out() {
            let with: Vec<_> = pages().into_iter().filter(|(_, text)| blocks(text).count() > 0).collect();
            let names: Vec<_> = with.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, [$(stringify!($name).replace('_', "-")),*]);
        }
    };
}

pages_with_examples!(caching, commands, migrating, models, past, quick_start, semantics, writing);

/// The sources without comments on lines of their own, texts that are written over several lines joined.
fn sources() -> String {
    fn read(folder: &Path, out: &mut String) {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match entry.extension() {
                None if entry.is_dir() => read(&entry, out),
                Some(extension) if extension == "rs" => {
                    let text = fs::read_to_string(&entry).unwrap();
                    let code = text.lines().map(str::trim).filter(|line| !line.starts_with("//"));
                    let joined: String = code.map(|line| format!("{line}\n")).collect();
                    out.push_str(&joined.replace("\\\n", ""));
                }
                _ => {}
            }
        }
    }
    let mut out = String::new();
    read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut out);
    out
}

/// What stands in a quotation (`> ...`) of the page on troubles is what the program says: each stretch between two
/// `...` is in its sources.
#[test]
fn the_sentences_explained_are_the_programs() {
    let (text, sources) = (fs::read_to_string(Path::new(MANUAL).join("troubleshooting.md")).unwrap(), sources());
    let quoted: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("> ")).collect();
    assert!(quoted.len() > 20, "{quoted:?}");
    for sentence in quoted {
        for stretch in sentence.trim_matches('`').split("...").map(str::trim).filter(|stretch| !stretch.is_empty()) {
            assert!(sources.contains(stretch), "nothing says {stretch:?}");
        }
    }
}

/// Words between backticks.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The flags of all commands, as their help shows them.
fn flags() -> String {
    const COMMANDS: &[&str] = &[
        "mount", "umount", "ls", "stat", "log", "cp", "prefetch", "jobs", "status", "config", "control", "cache",
        "demo", "emulator", "manual",
    ];
    COMMANDS.iter().map(|command| ossmount::app::help_page(command).unwrap()).collect()
}

/// What the manual tells people to say is understood. Of the tables that translate options of others, the last column is
/// ours.
#[test]
fn options_named_in_the_manual_exist() {
    let flags = flags();
    let known: BTreeSet<_> = flags.split(|c: char| c.is_whitespace() || "[=,".contains(c)).collect();
    for (name, text) in pages() {
        for line in text.lines().filter(|line| !line.starts_with("$ ") && !line.starts_with("ossmount: ")) {
            let ours = match line.strip_suffix(" |").filter(|_| name == "migrating") {
                Some(row) => row.rsplit(" | ").next().unwrap_or_default(),
                None if name == "migrating" => "",
                None => line,
            };
            for flag in code(ours).filter(|word| word.starts_with("--") && *word != "--") {
                let flag = flag.split([' ', '=']).next().unwrap_or_default();
                // That one is for those who start containers.
                assert!(known.contains(flag) || flag == "--device", "{name}: there is no option {flag}: {line}");
            }
        }
    }
}

/// The page has headings, examples and links that a forge renders: no link leads nowhere, and no line is longer than those
/// of the code.
#[test]
fn links_of_the_manual_lead_to_its_pages() {
    let pages = pages();
    let anchor = |heading: &str| {
        let kept = heading.to_lowercase().replace(' ', "-");
        kept.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect::<String>()
    };
    let anchors = |text: &str| -> BTreeSet<String> {
        text.lines().filter_map(|line| line.trim_start_matches('#').strip_prefix(' ')).map(anchor).collect()
    };
    let (mut wrong, mut count) = (Vec::new(), 0);
    for (name, text) in &pages {
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (page, heading) = target.split_once('#').unwrap_or((target, ""));
            let found = match page {
                "" => Some(text),
                page => pages.iter().find(|(name, _)| page.strip_suffix(".md") == Some(name)).map(|(_, text)| text),
            };
            let leads = found.is_some_and(|text| heading.is_empty() || anchors(text).contains(heading));
            let is_elsewhere = target.starts_with("https://") || Path::new(MANUAL).join(page).exists();
            if !leads && !is_elsewhere {
                wrong.push(format!("{name}: {target}"));
            }
            count += 1;
        }
        let mut is_code = false;
        for line in text.lines() {
            is_code ^= line.starts_with("```");
            if !is_code && line.chars().count() > 120 && !line.starts_with(['|', '>', '<']) {
                wrong.push(format!("{name}: a long line: {line}"));
            }
        }
    }
    assert!(wrong.is_empty() && count > 60, "{count} links: {wrong:#?}");
}

/// Figures that the manual names are kept.
#[test]
fn figures_named_in_the_manual_exist() {
    let sources = sources();
    for (name, text) in pages() {
        for figure in code(&text).filter_map(|word| word.strip_prefix("metrics.")).filter(|word| !word.contains(' ')) {
            assert!(sources.contains(&format!("{figure:?}")), "{name}: there is no figure {figure}");
        }
    }
}

/// The functions that the security page names as the tests of its promises are there.
#[test]
fn each_promise_of_the_security_page_has_its_test() {
    let (_, page) = pages().into_iter().find(|(name, _)| name == "security").unwrap();
    let (_, table) = page.split_once("# Tests").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| ")).skip(1);
    let mut named = 0;
    for row in rows {
        let tests: Vec<&str> =
            row.rsplit(" | ").next().unwrap().split('`').filter(|word| word.contains("::")).collect();
        assert!(!tests.is_empty(), "{row}");
        for test in tests {
            let (module, function) = test.rsplit_once("::").unwrap();
            let path = module.strip_suffix("::tests").unwrap_or(module).replace("::", "/");
            let root = Path::new(env!("CARGO_MANIFEST_DIR"));
            let places =
                ["tests/it/PATH.rs", "tests/it/PATH/mod.rs", "src/PATH.rs", "src/PATH/tests.rs", "src/PATH/mod.rs"];
            let texts =
                places.map(|place| fs::read_to_string(root.join(place.replace("PATH", &path))).unwrap_or_default());
            assert!(texts.iter().any(|text| text.contains(&format!("fn {function}("))), "there is no test {test}");
            named += 1;
        }
    }
    assert!(named > 10, "{named}");
}
