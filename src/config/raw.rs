//! What was given for each option, where, and which of several wins.

use std::ffi::OsString;
use std::path::PathBuf;

use super::problem::{Problem, Result};
use super::table::{Name, Row, TABLE};
use super::value;

/// Where a value was given. Later ones beat earlier ones.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Origin {
    /// A configuration file.
    File(PathBuf),
    /// An environment variable.
    Environment,
    /// A word after `-o`.
    Word,
    /// A flag.
    Flag,
}

/// The options as they were given, each checked against its kind.
#[derive(Clone, Default, Debug)]
pub struct Raw {
    values: Vec<(Name, Value)>,
}

#[derive(Clone, Debug)]
struct Value {
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
            Origin::File(_) => 0,
            Origin::Environment => 1,
            Origin::Word => 2,
            Origin::Flag => 3,
        };
        match self.values.iter_mut().find(|(key, _)| *key == name) {
            Some((_, held)) if rank(&held.origin) > rank(&origin) => {}
            Some((_, held)) => *held = Value { text, origin },
            None => self.values.push((name, Value { text, origin })),
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

    pub(super) fn switch(&self, name: Name) -> Result<bool> {
        self.read(name, value::switch).map(|on| on.unwrap_or(false))
    }

    pub(super) fn path(&self, name: Name) -> Option<PathBuf> {
        self.text(name).map(PathBuf::from)
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

    fn given(&self, name: Name) -> Option<&Value> {
        self.values.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

fn place(row: &Row, origin: &Origin) -> String {
    match origin {
        Origin::Flag => format!("--{}", row.name),
        Origin::Word => format!("-o {}", row.name),
        Origin::Environment => row.variable(),
        Origin::File(path) => format!("{}: {}", path.display(), row.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flag_beats_environment_beats_file_beats_default() {
        let mut raw = Raw::default();
        assert_eq!(raw.text(Name::PartSize), Some("8MiB"));
        let file = || Origin::File("c.json".into());
        for (text, origin) in
            [("1MiB", file()), ("2MiB", Origin::Environment), ("3MiB", Origin::Word), ("4MiB", Origin::Flag)]
        {
            raw.set(Name::PartSize, text, origin.clone()).unwrap();
            assert_eq!(raw.text(Name::PartSize), Some(text), "{origin:?}");
        }
        raw.set(Name::PartSize, "9MiB", file()).unwrap();
        assert_eq!(raw.text(Name::PartSize), Some("4MiB"));
    }

    #[test]
    fn a_later_file_beats_an_earlier_one() {
        let mut raw = Raw::default();
        raw.set(Name::Region, "a", Origin::File("/z".into())).unwrap();
        raw.set(Name::Region, "b", Origin::File("/a".into())).unwrap();
        assert_eq!(raw.text(Name::Region), Some("b"));
    }

    #[test]
    fn bad_values_are_refused_where_they_stand() {
        for (origin, says) in [
            (Origin::Flag, "--part-size: "),
            (Origin::Word, "-o part-size: "),
            (Origin::Environment, "OSSMOUNT_PART_SIZE: "),
            (Origin::File("/etc/c.json".into()), "/etc/c.json: part-size: "),
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
}
