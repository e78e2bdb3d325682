//! Completions for shells: what the command line's description yields, with the values that options take, and with the
//! live mounts for commands that take one.

use clap::builder::PossibleValuesParser;
use clap::{Arg, Command, ValueHint};
use clap_complete::aot::{Shell, generate};

use crate::config::{Kind, TABLE};
use crate::manual::PAGES;

/// Commands whose DIR is a live mount.
const OF_MOUNTS: [&str; 4] = ["umount", "status", "jobs", "control"];

/// The files, by their paths below the directory of all.
pub(super) fn of(whole: &Command) -> [(&'static str, String); 3] {
    let described = described(whole.clone());
    let text = |shell| {
        let mut text = Vec::new();
        generate(shell, &mut described.clone(), "ossmount", &mut text);
        String::from_utf8_lossy(&text).into_owned()
    };
    [
        ("bash/ossmount.bash", text(Shell::Bash) + BASH),
        ("zsh/_ossmount", with_mounts_in_zsh(&text(Shell::Zsh))),
        ("fish/ossmount.fish", text(Shell::Fish) + &fish()),
    ]
}

/// The command line with what each argument takes. The parser itself leaves values to the options, which say what is
/// wrong with one.
fn described(command: Command) -> Command {
    command.mut_args(with_values).mut_subcommands(described)
}

fn with_values(arg: Arg) -> Arg {
    let words = |words: &[&'static str]| PossibleValuesParser::new(words.to_vec());
    let kind = TABLE.iter().find(|row| arg.get_id() == row.name).map(|row| row.kind);
    match (kind, arg.get_id().as_str()) {
        (Some(Kind::Switch), _) => arg.value_parser(words(&["on", "off"])),
        (Some(Kind::Choice(choices)), _) => arg.value_parser(words(choices)),
        (Some(Kind::Path), _) | (None, "config" | "paths" | "request" | "src" | "dst") => {
            arg.value_hint(ValueHint::AnyPath)
        }
        (Some(Kind::List("DIR")), _) | (None, "dir" | "root") => arg.value_hint(ValueHint::DirPath),
        (None, "page") => arg.value_parser(PossibleValuesParser::new(PAGES.iter().map(|page| page.name))),
        _ => arg,
    }
}

/// Before the generated function is asked, which knows no mounts. What begins none of them is a path below one, or is
/// completed as other paths are.
const BASH: &str = r#"
_ossmount_or_mounts() {
    local current=${COMP_WORDS[COMP_CWORD]}
    case ${COMP_WORDS[1]-} in
        umount|unmount|status|jobs|control|prefetch)
            if [[ $COMP_CWORD -ge 2 && $current != -* && $3 != --* ]]; then
                local IFS=$'\n'
                COMPREPLY=($(compgen -W "$("$1" status --dirs 2>/dev/null)" -- "$current"))
                compopt -o filenames 2>/dev/null
                return 0
            fi
            ;;
    esac
    _ossmount "$@"
}
complete -F _ossmount_or_mounts -o bashdefault -o default ossmount
"#;

const ZSH: &str = r#"
_ossmount_mounts() {
    local -a mounts
    mounts=(${(f)"$(_call_program mounts ossmount status --dirs 2>/dev/null)"})
    _alternative 'mounts:mount:compadd -a mounts' 'files:directory:_files -/'
}

"#;

/// The generated function with the mounts where it offers directories to commands that take a mount.
fn with_mounts_in_zsh(generated: &str) -> String {
    let mut out = String::with_capacity(generated.len() + ZSH.len());
    let mut is_of_mounts = false;
    for line in generated.split_inclusive('\n') {
        if let Some(command) = line.strip_prefix('(').and_then(|rest| rest.trim_end().strip_suffix(')')) {
            is_of_mounts = OF_MOUNTS.contains(&command);
        }
        let is_end = line.starts_with("if [ \"$funcstack[1]\"");
        if is_end {
            out.push_str(ZSH);
        }
        match line.starts_with("':dir") || line.starts_with("'::dir") {
            true if is_of_mounts => out.push_str(&line.replace(":_files -/'", ":_ossmount_mounts'")),
            _ => out.push_str(line),
        }
    }
    out
}

fn fish() -> String {
    let of = |command: &&str| {
        format!(
            "complete -c ossmount -n \"__fish_ossmount_using_subcommand {command}\" -f -a \"(ossmount status --dirs \
             2>/dev/null)\" -d 'live mount'\n"
        )
    };
    OF_MOUNTS.iter().map(of).collect()
}
