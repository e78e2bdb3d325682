//! The values that were given for each option, their places, and their precedence.

use std::ffi::OsString;
use std::path::PathBuf;

use super::choices::Choice;
use super::foreign::{self, Spelling};
use super::json::Place;
use super::problem::{Problem, Result};
use super::suggest;
use super::table::{Name, Row, TABLE};
use super::value::{self, Kind};

/// Where a value was given. Later ones beat earlier ones.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Origin {
    /// A key of a configuration file.
    File {
        /// The path of the file.
        path: PathBuf,
        /// Where in it the value stands.
        at: Place,
    },
    /// A variable of the environment.
    Environment,
    /// A word after `-o`.
    Word,
    /// A flag of the command line.
    Flag,
}

impl Origin {
    /// Whether both are of one command line, one environment or one file.
    fn is_beside(&self, other: &Origin) -> bool {
        match (self, other) {
            (Origin::File { path, .. }, Origin::File { path: other, .. }) => path == other,
            _ => self == other,
        }
    }
}

/// The options as they were given, each checked against its kind.
#[derive(Clone, Default, Debug)]
pub struct Raw {
    values: Vec<(Name, GivenValue)>,
    /// What relative paths are relative to, where that is settled.
    directory: Option<PathBuf>,
}

#[derive(Clone, Debug)]
struct GivenValue {
    text: String,
    origin: Origin,
}

impl Raw {
    /// Takes a value, unless one from a stronger place is there. Of equal places the later call wins.
    ///
    /// Fails when the text is not of the option's kind.
    pub fn set(&mut self, name: Name, text: impl Into<String>, origin: Origin) -> Result<()> {
        let text = text.into();
        let row = name.row();
        if let Err(what) = row.kind.check(&text) {
            return Err(Problem::usage(format!("{}: {what}", place(row, &origin))));
        }
        let rank = |origin: &Origin| match origin {
            Origin::File { .. } => 0,
            Origin::Environment => 1,
            Origin::Word => 2,
            Origin::Flag => 3,
        };
        match self.values.iter_mut().find(|(key, _)| *key == name) {
            Some((_, held)) if matches!(row.kind, Kind::List(_)) && held.origin.is_beside(&origin) => {
                held.text.push(' ');
                held.text.push_str(&text);
            }
            Some((_, held)) if rank(&held.origin) > rank(&origin) => {}
            Some((_, held)) => *held = GivenValue { text, origin },
            None => self.values.push((name, GivenValue { text, origin })),
        }
        Ok(())
    }

    /// Takes `OSSMOUNT_<NAME>` of every option; empty variables count as unset.
    pub fn read_environment(&mut self, variable: &dyn Fn(&str) -> Option<OsString>) -> Result<()> {
        for row in TABLE {
            let Some(text) = variable(&row.variable()).filter(|text| !text.is_empty()) else { continue };
            let text = text
                .into_string()
                .map_err(|_| Problem::usage(format!("{}: the value is not UTF-8", row.variable())))?;
            self.set(row.key, text, Origin::Environment)?;
        }
        Ok(())
    }

    /// The text of an option: what was given, else the default, else nothing.
    pub fn text(&self, name: Name) -> Option<&str> {
        self.given(name).map(|value| value.text.as_str()).or_else(|| name.row().default())
    }

    /// Whether an option was given at all.
    pub fn is_given(&self, name: Name) -> bool {
        self.given(name).is_some()
    }

    /// A phrase that names an option and where it was given, for messages.
    pub fn describe(&self, name: Name) -> String {
        match self.given(name) {
            Some(value) => place(name.row(), &value.origin),
            None => name.row().name.to_owned(),
        }
    }

    /// Where an option was given, if it was.
    pub fn origin(&self, name: Name) -> Option<&Origin> {
        self.given(name).map(|value| &value.origin)
    }

    /// The words of an option that can be given several times.
    pub(super) fn list(&self, name: Name) -> impl Iterator<Item = &str> {
        self.text(name).unwrap_or_default().split([' ', ',']).filter(|word| !word.is_empty())
    }

    pub(super) fn switch(&self, name: Name) -> Result<bool> {
        self.read(name, value::switch).map(|on| on.unwrap_or(false))
    }

    /// Reads relative paths as of this directory from now on, and not as of the one that the process is in: a daemon
    /// leaves the directory that it was started in.
    pub fn set_directory(&mut self, directory: PathBuf) {
        self.directory = Some(directory);
    }

    /// A path that was given, from the directory that such paths are relative to.
    pub(super) fn path_from(&self, path: PathBuf) -> PathBuf {
        match &self.directory {
            Some(directory) => directory.join(path),
            None => path,
        }
    }

    pub(super) fn path(&self, name: Name) -> Option<PathBuf> {
        self.text(name).map(|path| self.path_from(PathBuf::from(path)))
    }

    /// The variant that an option's word stands for. `T` must be the choice that the option's row offers.
    pub(super) fn choice<T: Choice>(&self, name: Name) -> Result<T> {
        debug_assert_eq!(name.row().kind, Kind::Choice(T::WORDS));
        self.required(name, |text| {
            T::of_word(text).ok_or_else(|| format!("{text:?} is not one of {}", T::WORDS.join(", ")))
        })
    }

    /// Reads an option's text; `None` when it has neither value nor default.
    pub(super) fn read<T>(
        &self,
        name: Name,
        read: impl FnOnce(&str) -> std::result::Result<T, String>,
    ) -> Result<Option<T>> {
        let Some(text) = self.text(name) else { return Ok(None) };
        read(text).map(Some).map_err(|what| Problem::usage(format!("{}: {what}", self.describe(name))))
    }

    /// Reads an option that has a default.
    pub(super) fn required<T>(
        &self,
        name: Name,
        read: impl FnOnce(&str) -> std::result::Result<T, String>,
    ) -> Result<T> {
        let missing = || Problem::usage(format!("{} is missing", name.row().name));
        self.read(name, read)?.ok_or_else(missing)
    }

    fn given(&self, name: Name) -> Option<&GivenValue> {
        self.values.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

/// Those of these names that begin as variables of options do and belong to none, each with a phrase about the one that
/// was meant, or what to write for that option of another client; it may be empty.
pub fn unknown_variables(names: impl Iterator<Item = String>) -> Vec<(String, String)> {
    let known: Vec<String> = TABLE.iter().map(Row::variable).chain(["OSSMOUNT_CONFIG".to_owned()]).collect();
    let unknown = names.filter(|name| name.starts_with("OSSMOUNT_") && !known.contains(name));
    let hinted = unknown.map(|name| {
        let option = name.trim_start_matches("OSSMOUNT_");
        let hint = match foreign::answer(option, Spelling::Names) {
            answer if answer.is_empty() => suggest::hint(&name, known.iter().map(String::as_str)),
            answer => answer,
        };
        (name, hint)
    });
    hinted.collect()
}

fn place(row: &Row, origin: &Origin) -> String {
    match origin {
        Origin::Flag => format!("--{}", row.name),
        Origin::Word => format!("-o {}", row.name),
        Origin::Environment => row.variable(),
        Origin::File { path, at } => format!("{}:{at}: {}", path.display(), row.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> Origin {
        Origin::File { path: path.into(), at: Place { line: 2, column: 16 } }
    }

    #[test]
    fn flag_beats_environment_beats_file_beats_default() {
        let mut raw = Raw::default();
        assert_eq!(raw.text(Name::PartSize), Some("8MiB"));
        for (text, origin) in
            [("1MiB", file("c.json")), ("2MiB", Origin::Environment), ("3MiB", Origin::Word), ("4MiB", Origin::Flag)]
        {
            raw.set(Name::PartSize, text, origin.clone()).unwrap();
            assert_eq!(raw.text(Name::PartSize), Some(text), "{origin:?}");
        }
        raw.set(Name::PartSize, "9MiB", file("c.json")).unwrap();
        assert_eq!(raw.text(Name::PartSize), Some("4MiB"));
    }

    #[test]
    fn a_later_file_beats_an_earlier_one() {
        let mut raw = Raw::default();
        raw.set(Name::Region, "a", file("/z")).unwrap();
        raw.set(Name::Region, "b", file("/a")).unwrap();
        assert_eq!(raw.text(Name::Region), Some("b"));
    }

    #[test]
    fn lists_grow_in_one_place_and_yield_to_a_stronger_one() {
        let mut raw = Raw::default();
        for (text, origin) in [("eth0", file("a")), ("eth1", file("a")), ("eth2 eth3", file("b"))] {
            raw.set(Name::Bind, text, origin).unwrap();
        }
        assert_eq!(raw.list(Name::Bind).collect::<Vec<_>>(), ["eth2", "eth3"]);
        raw.set(Name::Bind, "lo", Origin::Flag).unwrap();
        raw.set(Name::Bind, "eth5", Origin::Environment).unwrap();
        raw.set(Name::Bind, "127.0.0.2", Origin::Flag).unwrap();
        assert_eq!(raw.list(Name::Bind).collect::<Vec<_>>(), ["lo", "127.0.0.2"]);
    }

    #[test]
    fn relative_paths_are_those_of_a_directory_once_it_is_settled() {
        let mut raw = Raw::default();
        raw.set(Name::PidFile, "run/pid", Origin::Flag).unwrap();
        raw.set(Name::Record, "/r", Origin::Flag).unwrap();
        assert_eq!(raw.path(Name::PidFile), Some("run/pid".into()));
        raw.set_directory("/d".into());
        assert_eq!(raw.path(Name::PidFile), Some("/d/run/pid".into()));
        assert_eq!((raw.path(Name::Record), raw.path(Name::LogFile)), (Some("/r".into()), None));
    }

    #[test]
    fn bad_values_are_refused_where_they_stand() {
        for (origin, says) in [
            (Origin::Flag, "--part-size: "),
            (Origin::Word, "-o part-size: "),
            (Origin::Environment, "OSSMOUNT_PART_SIZE: "),
            (file("/etc/c.json"), "/etc/c.json:2:16: part-size: "),
        ] {
            let problem = Raw::default().set(Name::PartSize, "8 apples", origin).unwrap_err();
            assert!(problem.sentence.starts_with(says), "{problem}");
            assert_eq!(problem.code(), 2);
        }
    }

    #[test]
    fn the_environment_is_read_by_name_and_empty_means_unset() {
        let mut raw = Raw::default();
        let variables = |name: &str| match name {
            "OSSMOUNT_REGION" => Some("cn-beijing".into()),
            "OSSMOUNT_ENDPOINT" => Some("".into()),
            _ => None,
        };
        raw.read_environment(&variables).unwrap();
        assert_eq!(raw.text(Name::Region), Some("cn-beijing"));
        assert!(!raw.is_given(Name::Endpoint));
    }

    #[test]
    fn variables_of_no_option_are_found() {
        let names =
            ["PATH", "OSSMOUNT_REGION", "OSSMOUNT_REGOIN", "OSSMOUNT_CONFIG", "OSSMOUNT_COLOUR", "OSSMOUNT_READ_ONLY"];
        let found = unknown_variables(names.into_iter().map(str::to_owned));
        let expected = [("OSSMOUNT_REGOIN", "; did you mean \"OSSMOUNT_REGION\"?"), ("OSSMOUNT_COLOUR", "")];
        assert_eq!(found[0], (expected[0].0.to_owned(), expected[0].1.to_owned()));
        assert_eq!(found[1].0, expected[1].0);
        assert!(found[2].1.contains("; leave it out: mounts are read-only"), "{found:?}");
        assert_eq!(found.len(), 3);
    }
}
