//! The command line: which commands there are, and the two ways mount(8) calls this program.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::error::ErrorKind;
use clap::{ArgMatches, Command};

use super::args::Form;
use super::commands::{
    cache, cat, config, control, cp, demo, emulator, generate, jobs, log, ls, manual, mount, prefetch, stat, status,
    umount,
};
use super::unknown;
use crate::config::{BucketUrl, Problem, Result};

/// The whole command line.
pub fn command() -> Command {
    Command::new("ossmount")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Mounts Alibaba Cloud OSS and S3-compatible buckets read-only, at the speed of the network")
        .after_help(
            "Every option can also be set after -o, as OSSMOUNT_<NAME> in the environment, or in \
             /etc/ossmount/config.json and ~/.config/ossmount/config.json.\n\
             To try it without an account: ossmount demo. To learn more: ossmount manual",
        )
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommands([
            mount::command(Form::Command),
            umount::command(),
            ls::command(),
            stat::command(),
            log::command(),
            prefetch::command(),
            jobs::command(),
            status::command(),
            config::command(),
            control::command(),
            cache::command(),
            cp::command(),
            cat::command(),
            demo::command(),
            emulator::command(),
            manual::command(),
        ])
}

/// What `ossmount COMMAND --help` prints.
pub fn help_page(name: &str) -> Option<String> {
    let mut whole = command();
    whole.build();
    whole.find_subcommand_mut(name).map(|command| command.render_long_help().to_string())
}

pub(super) fn run(args: Vec<OsString>) -> Result<()> {
    match form(&args) {
        Form::Command => {
            let all = command().subcommand(generate::command());
            let Some(matches) = parsed(all, as_flags(args))? else { return Ok(()) };
            dispatch(&matches)
        }
        form => {
            let Some(matches) = parsed(mount::command(form).no_binary_name(false), args)? else { return Ok(()) };
            mount::run(&matches, form)
        }
    }
}

/// `help`, `help COMMAND` and `version` as the flags that do the same.
fn as_flags(args: Vec<OsString>) -> Vec<OsString> {
    let (program, rest) = args.split_at(args.len().min(1));
    let flags = match rest.first().and_then(|first| first.to_str()) {
        Some("help") => [&rest[1..], &[OsString::from("--help")]].concat(),
        Some("version") if rest.len() == 1 => vec![OsString::from("--version")],
        _ => return args,
    };
    [program, &flags].concat()
}

fn dispatch(matches: &ArgMatches) -> Result<()> {
    match matches.subcommand() {
        Some(("mount", matches)) => mount::run(matches, Form::Command),
        Some(("umount", matches)) => umount::run(matches),
        Some(("ls", matches)) => ls::run(matches),
        Some(("stat", matches)) => stat::run(matches),
        Some(("log", matches)) => log::run(matches),
        Some(("prefetch", matches)) => prefetch::run(matches),
        Some(("jobs", matches)) => jobs::run(matches),
        Some(("status", matches)) => status::run(matches),
        Some(("config", matches)) => config::run(matches),
        Some(("control", matches)) => control::run(matches),
        Some(("cache", matches)) => cache::run(matches),
        Some(("cp", matches)) => cp::run(matches),
        Some(("cat", matches)) => cat::run(matches),
        Some(("demo", matches)) => demo::run(matches),
        Some(("emulator", matches)) => emulator::run(matches),
        Some(("manual", matches)) => manual::run(matches),
        Some(("generate", matches)) => generate::run(matches, command()),
        _ => Err(Problem::usage("no command given; see ossmount --help")),
    }
}

/// mount(8) looks for `mount.TYPE`; mount.fuse runs what stands before the `#`, with a URL where commands stand.
fn form(args: &[OsString]) -> Form {
    let name = args.first().and_then(|name| Path::new(name).file_name()).and_then(OsStr::to_str).unwrap_or_default();
    if name.starts_with("mount.") {
        return Form::Helper;
    }
    let mut rest = args.iter().skip(1).filter_map(|arg| arg.to_str());
    match rest.next() {
        Some(first) if BucketUrl::is_url(first) => Form::Bare,
        // Options first: only the mount form has them there.
        Some(first) if first.starts_with('-') && rest.any(BucketUrl::is_url) => Form::Bare,
        _ => Form::Command,
    }
}

/// `None` when help or the version was asked for, and has been printed.
fn parsed(whole: Command, args: Vec<OsString>) -> Result<Option<ArgMatches>> {
    let words = args.clone();
    let words: Vec<&str> = words.iter().filter_map(|arg| arg.to_str()).collect();
    match whole.clone().try_get_matches_from(args) {
        Ok(matches) => Ok(Some(matches)),
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            // A closed pipe is the reader's choice.
            let _ = error.print();
            Ok(None)
        }
        Err(error) if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            Err(Problem::usage(""))
        }
        Err(error) => {
            let known = unknown::sentence(&error, &whole, &words);
            Err(Problem::usage(known.unwrap_or_else(|| one_sentence(&error.render().to_string()))))
        }
    }
}

/// The parser's words without their line breaks: what is wrong, what was meant, where help is.
fn one_sentence(words: &str) -> String {
    let mut parts = Vec::new();
    for line in words.lines().map(str::trim) {
        if line.starts_with("Usage:") || line.starts_with("For more information") {
            break;
        }
        match line.strip_prefix("tip: ") {
            _ if line.is_empty() => {}
            Some(tip) => parts.push(format!("; {tip}")),
            None if parts.is_empty() => parts.push(line.trim_start_matches("error: ").to_owned()),
            None => parts.push(format!(" {line}")),
        }
    }
    parts.push("; see --help".to_owned());
    parts.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn the_form_is_told_from_the_words() {
        for (line, expected) in [
            ("ossmount mount oss://b /m", Form::Command),
            ("ossmount ls oss://b", Form::Command),
            ("ossmount --help", Form::Command),
            ("ossmount oss://b /m -o ro", Form::Bare),
            ("ossmount -o ro,region=x oss://b /m", Form::Bare),
            ("/usr/bin/ossmount ossmount#oss://b /m", Form::Bare),
            ("/sbin/mount.ossmount oss://b /m -o rw", Form::Helper),
            ("mount.fuse.ossmount oss://b /m", Form::Helper),
        ] {
            assert_eq!(form(&args(line)), expected, "{line}");
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
        mount::command(Form::Bare).debug_assert();
        mount::command(Form::Helper).debug_assert();
    }

    #[test]
    fn commands_that_others_have_as_flags_are_understood() {
        for (line, expected) in [
            ("ossmount help", "ossmount --help"),
            ("ossmount help ls", "ossmount ls --help"),
            ("ossmount version", "ossmount --version"),
            ("ossmount ls help", "ossmount ls help"),
        ] {
            assert_eq!(as_flags(args(line)), args(expected));
        }
        assert_eq!(as_flags(Vec::new()), Vec::<OsString>::new());
        let matches = command().try_get_matches_from(args("ossmount unmount /m")).unwrap();
        assert_eq!(matches.subcommand_name(), Some("umount"));
    }

    #[test]
    fn usage_errors_are_one_sentence_that_suggests() {
        for (line, says) in [
            ("ossmount mont", "\"mount\""),
            ("ossmount mount oss://b /m --part-sise=1MiB", "\"--part-size\""),
            ("ossmount oss://b /m --part-sise=1MiB", "\"--part-size\""),
            ("ossmount help mont", "\"mount\""),
            ("ossmount mount oss://b", "<DIR>"),
            ("ossmount oss://b", "<DIR>"),
        ] {
            let problem = run(args(line)).unwrap_err();
            assert!(problem.sentence.contains(says), "{line}: {problem}");
            assert!(!problem.sentence.contains('\n') && problem.code() == 2, "{line}: {problem}");
        }
    }
}
