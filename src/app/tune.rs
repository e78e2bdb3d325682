//! `--tune ROOM.NAME=VALUE`, by which benchmarks sweep the tuned numbers of a mount. No option: it stands in no table
//! and no help.

use clap::{Arg, ArgAction, ArgMatches};

use crate::config::{Problem, Result};
use crate::{fs, read};

/// The tuned numbers of a mount.
#[derive(Clone, Debug, Default)]
pub(in crate::app) struct Tuned {
    /// The tuned numbers of reading.
    pub(in crate::app) read: read::Tuning,
    /// The tuned numbers of names and files.
    pub(in crate::app) fs: fs::Tuning,
}

/// The flag, which may be given several times.
pub(in crate::app) fn arg() -> Arg {
    Arg::new("tune").long("tune").value_name("ROOM.NAME=VALUE").action(ArgAction::Append).hide(true)
}

impl Tuned {
    /// The usual numbers, and those that were given in place of some.
    pub(in crate::app) fn of(matches: &ArgMatches) -> Result<Tuned> {
        let mut tuned = Tuned::default();
        for given in matches.get_many::<String>("tune").into_iter().flatten() {
            tuned.set(given).map_err(|why| Problem::usage(format!("--tune {given}: {why}")))?;
        }
        Ok(tuned)
    }

    fn set(&mut self, given: &str) -> std::result::Result<(), String> {
        let parts = given.split_once('=').and_then(|(name, value)| Some((name.split_once('.')?, value)));
        let ((room, name), value) = parts.ok_or("write read.NAME=VALUE or fs.NAME=VALUE")?;
        let value = value.parse().map_err(|_| format!("{value} is not a whole number"))?;
        match room {
            "read" => self.read.set(name, value),
            "fs" => self.fs.set(name, value),
            _ => Err(format!("{room} has no tuned numbers; write read.NAME=VALUE or fs.NAME=VALUE")),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Command;

    use super::*;

    fn tuned(given: &[&str]) -> Result<Tuned> {
        let args = std::iter::once("mount").chain(given.iter().flat_map(|given| ["--tune", given]));
        Tuned::of(&Command::new("mount").arg(arg()).get_matches_from(args))
    }

    #[test]
    fn numbers_are_set_in_their_room_and_the_others_stay() {
        let set = tuned(&["read.head_growth=7", "fs.small_reads=9", "fs.small_reads=8"]).unwrap();
        let mut expected = Tuned::default();
        expected.read.set("head_growth", 7).unwrap();
        expected.fs.set("small_reads", 8).unwrap();
        assert_eq!((&set.read, &set.fs), (&expected.read, &expected.fs));
        assert_ne!(set.read, read::Tuning::default());
        assert_ne!(set.fs, fs::Tuning::default());
        assert_eq!(tuned(&[]).unwrap().read, read::Tuning::default());
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (given, expected) in [
            ("read.head_growth", "write read.NAME=VALUE or fs.NAME=VALUE"),
            ("head_growth=7", "write read.NAME=VALUE or fs.NAME=VALUE"),
            ("read.head_growth=1MiB", "1MiB is not a whole number"),
            ("read.head_growth=0", "head_growth must be 1 or more"),
            ("copy.parts=1", "copy has no tuned numbers; write read.NAME=VALUE or fs.NAME=VALUE"),
            ("fs.head_growth=1", "head_growth is no tuned number of names and files: see fs::Tuning::NAMES"),
        ] {
            let problem = tuned(&[given]).unwrap_err().to_string();
            assert!(problem.contains(&format!("--tune {given}: {expected}")), "{problem}");
        }
    }
}
