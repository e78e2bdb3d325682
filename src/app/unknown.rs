//! Answers to words of the command line that this program does not know: what was meant, or what other programs call
//! differently.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};

use crate::config::{self, Spelling};

/// Commands of other programs, between blanks, and what to write here.
const COMMANDS: &[(&str, &str)] = &[
    ("list dir lsd lsf tree find", "write ossmount ls URL"),
    ("lsl ll", "write ossmount ls -l URL"),
    ("du size count summary", "write ossmount ls -r --summary URL"),
    ("copy copyto download get mirror", "write ossmount cp SRC DST"),
    ("sync", "write ossmount cp -r --skip-existing SRC DST"),
    ("head info show describe", "write ossmount stat URL"),
    ("versions history", "write ossmount log URL"),
    ("warmup warm preload fetch cache-warm", "write ossmount prefetch PATH"),
    ("stats top ps mounts monitor metrics df", "write ossmount status"),
    ("attach mnt", "write ossmount mount URL DIR"),
    ("detach fusermount fusermount3 eject", "write ossmount umount DIR"),
    ("serve server gateway", "ossmount emulator serves a directory as a bucket, for trials"),
    ("try example tutorial quickstart", "write ossmount demo"),
    ("options settings env show-config", "write ossmount config"),
    ("man docs doc guide", "write ossmount manual"),
    ("completions completion", "write ossmount generate DIR: it writes completions and manual pages there"),
    ("rc remote", "write ossmount control DIR REQUEST"),
    (
        "put upload rm rmdir delete del mv move mkdir touch write mb rb purge",
        "ossmount writes nothing; use ossutil or the aws command line",
    ),
    ("remount reload", "unmount and mount again, or send SIGHUP to the daemon to change options"),
    ("restart start stop", "systemd starts and stops mounts; see packaging/systemd"),
];

/// The sentence for a parser's error about an unknown word, where this module knows more than the parser.
pub(super) fn sentence(error: &clap::Error, whole: &Command, args: &[&str]) -> Option<String> {
    let said = |kind| match error.get(kind) {
        Some(ContextValue::String(word)) => Some(word.as_str()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::UnknownArgument => {
            let flag = said(ContextKind::InvalidArg).filter(|arg| arg.starts_with('-'))?;
            Some(unknown_flag(flag, command_of(whole, args)))
        }
        ErrorKind::InvalidSubcommand => said(ContextKind::InvalidSubcommand).map(|word| unknown_command(word, whole)),
        _ => None,
    }
}

/// The command that the arguments are for: the one named last.
fn command_of<'a>(whole: &'a Command, args: &[&str]) -> &'a Command {
    args.iter()
        .skip(1)
        .try_fold(whole, |command, arg| command.find_subcommand(arg).ok_or(command))
        .unwrap_or_else(|last| last)
}

fn unknown_flag(flag: &str, command: &Command) -> String {
    let answer = config::answer(flag, Spelling::Flags);
    let name = flag.trim_start_matches('-');
    let is_known_elsewhere = config::TABLE.iter().any(|row| row.name == name);
    match answer {
        answer if !answer.is_empty() => format!("{flag}{answer}"),
        _ if is_known_elsewhere => {
            format!("{flag} is not an option of {0}; see ossmount {0} --help", command.get_name())
        }
        _ => {
            let known = command.get_arguments().filter(|arg| !arg.is_hide_set()).filter_map(Arg::get_long);
            let known: Vec<String> = known.map(|name| format!("--{name}")).collect();
            let hint = config::hint(flag, known.iter().map(String::as_str));
            let help =
                if command.get_name() == "ossmount" { String::new() } else { format!(" {}", command.get_name()) };
            let hint = if hint.is_empty() { format!("; see ossmount{help} --help") } else { hint };
            format!("unknown option {flag:?}{hint}")
        }
    }
}

fn unknown_command(word: &str, whole: &Command) -> String {
    let plain = word.to_ascii_lowercase();
    if let Some((_, answer)) = COMMANDS.iter().find(|(names, _)| names.split(' ').any(|name| name == plain)) {
        return format!("there is no command {word:?}; {answer}");
    }
    let known = whole.get_subcommands().filter(|command| !command.is_hide_set()).map(Command::get_name);
    let hint = config::hint(&plain, known);
    let is_bucket = word.contains([':', '/', '.']);
    match hint {
        hint if !hint.is_empty() => format!("unknown command {word:?}{hint}"),
        _ if is_bucket => {
            format!("unknown command {word:?}; to mount a bucket, write ossmount mount oss://BUCKET[/PREFIX] DIR")
        }
        _ => format!("unknown command {word:?}; see ossmount --help"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::cli;

    fn said(line: &str) -> String {
        let args: Vec<&str> = line.split(' ').collect();
        let error = cli::command().try_get_matches_from(&args).unwrap_err();
        sentence(&error, &cli::command(), &args).unwrap_or_else(|| panic!("{line}: {error}"))
    }

    #[test]
    fn plausible_mistakes_are_answered_and_never_mislead() {
        for (line, says) in [
            ("ossmount mont", "unknown command \"mont\"; did you mean \"mount\"?"),
            ("ossmount umonut", "unknown command \"umonut\"; did you mean \"umount\"?"),
            ("ossmount list oss://b", "there is no command \"list\"; write ossmount ls URL"),
            ("ossmount sync a b", "there is no command \"sync\"; write ossmount cp -r --skip-existing SRC DST"),
            (
                "ossmount rm oss://b/k",
                "there is no command \"rm\"; ossmount writes nothing; use ossutil or the aws command line",
            ),
            ("ossmount warmup /m", "there is no command \"warmup\"; write ossmount prefetch PATH"),
            (
                "ossmount my-bucket:/models /mnt",
                "unknown command \"my-bucket:/models\"; to mount a bucket, write ossmount mount oss://BUCKET[/PREFIX] DIR",
            ),
            ("ossmount frobnicate", "unknown command \"frobnicate\"; see ossmount --help"),
            (
                "ossmount mount oss://b /m --read-only",
                "--read-only is an option of Mountpoint, rclone and others; leave it out: mounts are read-only",
            ),
            (
                "ossmount mount oss://b /m --vfs-cache-mode=full",
                "--vfs-cache-mode is an option of rclone; leave it out: reading needs no cache on disk, and mounts are read-only",
            ),
            (
                "ossmount mount oss://b /m --endpoint-url x",
                "--endpoint-url is an option of Mountpoint and ossutil or the aws command line; write --endpoint",
            ),
            ("ossmount mount oss://b /m --no-verify", "--no-verify: there is no such option; write --verify=off"),
            (
                "ossmount mount oss://b /m --part-sise=1MiB",
                "unknown option \"--part-sise\"; did you mean \"--part-size\"?",
            ),
            (
                "ossmount mount oss://b /m --min-connections=1",
                "unknown option \"--min-connections\"; see ossmount mount --help",
            ),
            ("ossmount ls oss://b --recursiv", "unknown option \"--recursiv\"; did you mean \"--recursive\"?"),
            ("ossmount ls oss://b --metadata-ttl 5", "--metadata-ttl is not an option of ls; see ossmount ls --help"),
            ("ossmount ls oss://b --zzz", "unknown option \"--zzz\"; see ossmount ls --help"),
            ("ossmount --zzz", "unknown option \"--zzz\"; see ossmount --help"),
        ] {
            assert_eq!(said(line), says, "{line}");
        }
    }

    #[test]
    fn commands_of_others_are_none_of_ours() {
        // Hidden ones are among them.
        let whole = cli::command().subcommand(crate::app::commands::generate::command());
        for name in COMMANDS.iter().flat_map(|(names, _)| names.split(' ')) {
            assert!(whole.find_subcommand(name).is_none(), "{name}");
        }
        for (_, answer) in COMMANDS {
            if let Some(command) = answer.strip_prefix("write ossmount ").and_then(|rest| rest.split(' ').next()) {
                assert!(whole.find_subcommand(command).is_some(), "{answer}");
            }
        }
    }
}
