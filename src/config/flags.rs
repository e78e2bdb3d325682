//! The rows of the table as command-line flags.

use clap::{Arg, ArgAction, ArgMatches};

use super::problem::Result;
use super::raw::{Origin, Raw};
use super::table::{Group, Name, Row, TABLE};
use super::value::Kind;

/// The options that most people set: those that `-h` shows. `--help` shows all.
const COMMON: [&str; 13] = [
    "endpoint",
    "region",
    "internal",
    "credentials",
    "credentials-file",
    "profile",
    "at",
    "metadata-ttl",
    "file-mode",
    "allow-other",
    "memory-limit",
    "foreground",
    "log-file",
];

/// The flags of these groups.
pub fn args(groups: &[Group]) -> Vec<Arg> {
    TABLE.iter().filter(|row| groups.contains(&row.group)).map(arg).collect()
}

/// The flags of these options.
pub fn args_of(names: &[Name]) -> Vec<Arg> {
    names.iter().map(|name| arg(name.row())).collect()
}

/// Takes the flags that were given.
pub fn collect(raw: &mut Raw, matches: &ArgMatches) -> Result<()> {
    for row in TABLE {
        for text in matches.try_get_many::<String>(row.name).ok().flatten().into_iter().flatten() {
            raw.set(row.key, text, Origin::Flag)?;
        }
    }
    Ok(())
}

fn arg(row: &'static Row) -> Arg {
    let arg = Arg::new(row.name)
        .long(row.name)
        .action(ArgAction::Set)
        .value_name(row.kind.placeholder())
        .help(format!("{} [{}]", row.help, row.standing.text()))
        .help_heading(format!("{} options", row.group.title()))
        .hide_short_help(!COMMON.contains(&row.name));
    match row.kind {
        Kind::Switch => arg.num_args(0..=1).require_equals(true).default_missing_value("on"),
        Kind::List(_) => arg.action(ArgAction::Append),
        Kind::Text(_) | Kind::Path | Kind::Choice(_) => arg,
        // A number below zero is told as what it is, not as a flag that does not exist.
        _ => arg.allow_negative_numbers(true),
    }
}

#[cfg(test)]
mod tests {
    use clap::Command;

    use super::*;

    fn parse(line: &[&str]) -> Raw {
        let command = Command::new("x").no_binary_name(true).args(args(Group::ALL)).args_override_self(true);
        let mut raw = Raw::default();
        collect(&mut raw, &command.try_get_matches_from(line).unwrap()).unwrap();
        raw
    }

    #[test]
    fn flags_take_values_and_switches_need_none() {
        let command = Command::new("x").no_binary_name(true).args(args(Group::ALL));
        let matches = command.try_get_matches_from(["--memory-limit", "-1"]).unwrap();
        let problem = collect(&mut Raw::default(), &matches).unwrap_err();
        assert!(problem.sentence.starts_with("--memory-limit: \"-1\" is not a size"), "{problem}");
        let raw = parse(&[
            "--region",
            "a",
            "--region=b",
            "--bind",
            "lo",
            "--bind=eth0",
            "--allow-other",
            "--keep-page-cache=off",
        ]);
        assert_eq!(raw.text(Name::Region), Some("b"));
        assert_eq!(raw.text(Name::Bind), Some("lo eth0"));
        assert_eq!(raw.text(Name::AllowOther), Some("on"));
        assert_eq!(raw.text(Name::KeepPageCache), Some("off"));
        assert!(!raw.is_given(Name::Verify));
    }

    #[test]
    fn the_short_help_shows_what_most_people_set() {
        let mut command = Command::new("x").args(args(Group::ALL));
        let (short, long) = (command.render_help().to_string(), command.render_long_help().to_string());
        for name in COMMON {
            assert!(TABLE.iter().any(|row| row.name == name) && short.contains(&format!("--{name}")), "{name}");
        }
        assert!(!short.contains("--drain-timeout") && long.contains("--drain-timeout"), "{short}");
        assert_eq!(short.lines().filter(|line| line.trim_start().starts_with("--")).count(), COMMON.len());
    }

    #[test]
    fn a_command_shows_the_groups_it_wants() {
        let names: Vec<_> = args(&[Group::Credentials]).iter().map(|arg| arg.get_id().to_string()).collect();
        assert_eq!(names[..3], ["credentials", "credentials-file", "profile"]);
    }
}
