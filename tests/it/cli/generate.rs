//! `ossmount generate`: manual pages that format without a warning, completions that shells can read and that offer
//! what there is: commands, options, values and live mounts.

use std::fs;
use std::path::Path;
use std::process::Command;

use ossmount::config::TABLE;
use tempfile::TempDir;

use crate::support::program::{BINARY, Ended, Target, Tool, server};

fn generated() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    Tool::bare().run(&["generate", folder.path().to_str().unwrap()]).ok();
    folder
}

fn run(program: &str, args: &[&str], file: &Path) -> Ended {
    Ended::of(Command::new(program).args(args).arg(file).env("LC_ALL", "C.UTF-8").env("MANWIDTH", "80"))
}

#[test]
fn manual_pages_format_and_have_every_option() {
    let folder = generated();
    let mut names = Vec::new();
    for page in fs::read_dir(folder.path().join("man")).unwrap() {
        let page = page.unwrap().path();
        let shown = run("man", &["--warnings", "--local-file"], &page).ok();
        assert_eq!(shown.stderr, "", "{}", page.display());
        let linted = run("mandoc", &["-T", "lint", "-W", "error"], &page);
        assert_eq!((linted.status, linted.stdout.as_str()), (Some(0), ""), "{}", page.display());
        let is_command = !page.ends_with("ossmount.json.5");
        for section in ["SYNOPSIS", "EXAMPLES", "EXIT STATUS", "SEE ALSO"].into_iter().filter(|_| is_command) {
            assert!(shown.stdout.lines().any(|line| line == section), "{section} in {}", page.display());
        }
        names.push(page.file_name().unwrap().to_str().unwrap().to_owned());
        let has_options = ["ossmount-mount.1", "mount.ossmount.8", "ossmount.json.5"];
        if has_options.contains(&names.last().unwrap().as_str()) {
            // Lines break at hyphens too.
            let plain: String = shown.stdout.replace("\u{2010}\n", "-").replace('\u{2010}', "-");
            for row in TABLE {
                assert!(plain.contains(row.name), "{} in {}", row.name, page.display());
            }
        }
    }
    for name in ["ossmount.1", "ossmount-mount.1", "ossmount-cp.1", "mount.ossmount.8", "ossmount.json.5"] {
        assert!(names.iter().any(|held| held == name), "{name} of {names:?}");
    }
    assert!(!names.iter().any(|name| name.contains("generate")), "{names:?}");
}

#[test]
fn shells_read_their_completions() {
    let folder = generated();
    run("bash", &["-n"], &folder.path().join("bash/ossmount.bash")).ok();
    run("zsh", &["-n"], &folder.path().join("zsh/_ossmount")).ok();
    run("fish", &["--no-execute"], &folder.path().join("fish/ossmount.fish")).ok();
}

/// What bash offers for each of these lines, by the function that it was told to ask.
fn offered_by_bash(tool: &Tool, lines: &[&str]) -> Vec<String> {
    let folder = generated();
    let path = format!("{}:{}", Path::new(BINARY).parent().unwrap().display(), std::env::var("PATH").unwrap());
    let script = r#"
        source "$1"; shift
        ask=$(complete -p ossmount | sed 's/.*-F \([^ ]*\).*/\1/')
        for line; do
            read -ra COMP_WORDS <<< "$line"; [[ $line == *' ' ]] && COMP_WORDS+=("")
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=()
            "$ask" ossmount "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"; echo "${COMPREPLY[@]}"
        done
    "#;
    let mut command = tool.command("bash");
    command.env("PATH", path).args(["-c", script, "bash"]).arg(folder.path().join("bash/ossmount.bash")).args(lines);
    Ended::of(&mut command).ok().stdout.lines().map(str::to_owned).collect()
}

#[test]
fn completions_know_commands_options_and_values() {
    let lines = [
        "ossmount um",
        "ossmount mount --part-s",
        "ossmount mount --listing ",
        "ossmount mount --allow-other=o",
        "ossmount prefetch --to ",
        "ossmount manual sem",
    ];
    let offered = offered_by_bash(&Tool::bare(), &lines);
    let expected = ["umount", "--part-size", "auto lazy eager", "", "memory disk near", "semantics"];
    for ((line, offered), expected) in lines.iter().zip(&offered).zip(expected) {
        // Of an option with its value in one word, bash makes three.
        assert!(offered == expected || expected.is_empty(), "{line}: {offered}");
    }
    assert_eq!(offered.len(), lines.len());
}

#[test]
fn completions_know_the_live_mounts() {
    let server = server();
    let (tool, target) = (Tool::for_server(&server).with("OSSMOUNT_READ_ONLY", "1"), Target::new());
    let mounted = target.mount(&tool, "oss://bucket", &[]).ok();
    assert!(mounted.stderr.contains("OSSMOUNT_READ_ONLY is an option of "), "{mounted:?}");
    let beginning = &target.dir()[..target.dir().len() - 2];
    let lines: Vec<String> = ["umount", "status", "jobs", "control", "prefetch --no-wait"]
        .map(|command| format!("ossmount {command} {beginning}"))
        .to_vec();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    for (line, offered) in lines.iter().zip(offered_by_bash(&tool, &lines)) {
        // After a flag without a value, paths are offered as they are elsewhere.
        assert!(offered == target.dir() || line.contains("--no-wait"), "{line}: {offered}");
    }
    let folder = generated();
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(read("zsh/_ossmount").matches(":_ossmount_mounts'").count() >= 4);
    assert!(read("fish/ossmount.fish").contains("using_subcommand umount\" -f -a \"(ossmount status --dirs"));
}
