//! Arguments that several commands take, and the forms in which a mount is asked for.

use clap::{Arg, ArgAction};

/// How the mount command was reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// `ossmount mount URL DIR`, by a person.
    Command,
    /// `ossmount URL DIR -o ...`, by mount.fuse or a person.
    Bare,
    /// `mount.ossmount URL DIR -o ...`, by mount(8).
    Helper,
}

/// `--config FILE`, which every command with options takes.
pub(super) fn config_arg() -> Arg {
    Arg::new("config")
        .long("config")
        .value_name("FILE")
        .help("Read options from this JSON file instead of the standard ones")
        .help_heading("Daemon options")
}

/// The flag `--json`, which prints JSON.
pub(super) fn json_arg() -> Arg {
    Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print JSON, one object a line")
}
