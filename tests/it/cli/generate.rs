//! `ossmount generate`: manual pages that format without a warning, completions that shells can read and that offer
//! what there is.

use std::fs;
use std::path::Path;
use std::process::Command;

use ossmount::config::TABLE;
use tempfile::TempDir;

use crate::support::program::{Ended, Tool};

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
    let bash = folder.path().join("bash/ossmount.bash");
    run("bash", &["-n"], &bash).ok();
    run("zsh", &["-n"], &folder.path().join("zsh/_ossmount")).ok();
    run("fish", &["--no-execute"], &folder.path().join("fish/ossmount.fish")).ok();
    let script = r#"
        source "$1"
        offer() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _ossmount ossmount "${@: -1}" "${@: -2:1}"; echo "${COMPREPLY[@]}"; }
        offer ossmount um
        offer ossmount mount --part-s
    "#;
    let ended = Ended::of(Command::new("bash").args(["-c", script, "bash"]).arg(&bash)).ok();
    assert_eq!(ended.stdout, "umount\n--part-size\n", "{ended:?}");
}
