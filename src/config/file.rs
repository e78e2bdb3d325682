//! The JSON configuration file: one object, its keys the names of options.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::problem::{Problem, Result};
use super::raw::{Origin, Raw};
use super::suggest;
use super::table::TABLE;

/// The system's file and the user's, weakest first; they need not exist.
pub fn standard_files(variable: &dyn Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let home = variable("HOME").filter(|home| !home.is_empty());
    let user = home.map(|home| Path::new(&home).join(".config/ossmount/config.json"));
    std::iter::once(PathBuf::from("/etc/ossmount/config.json")).chain(user).collect()
}

impl Raw {
    /// Takes a file that must exist.
    pub fn read_file(&mut self, path: &Path) -> Result<()> {
        let text = fs::read_to_string(path).map_err(|error| {
            Problem::usage(format!("the configuration file {} cannot be read: {error}", path.display()))
        })?;
        self.read_json(path, &text)
    }

    /// Takes a file if it exists.
    pub fn read_file_if_there(&mut self, path: &Path) -> Result<()> {
        match fs::metadata(path) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(()),
            _ => self.read_file(path),
        }
    }

    fn read_json(&mut self, path: &Path, text: &str) -> Result<()> {
        let fail = |what: String| Problem::usage(format!("{}: {what}", path.display()));
        let json: Value = serde_json::from_str(text).map_err(|error| fail(format!("not JSON: {error}")))?;
        let Value::Object(keys) = json else {
            return Err(fail("not a JSON object; write {\"region\": \"cn-hangzhou\"}".to_owned()));
        };
        for (key, value) in keys {
            let Some(row) = TABLE.iter().find(|row| row.name == key) else {
                let hint = suggest::hint(&key, TABLE.iter().map(|row| row.name));
                return Err(fail(format!("unknown key {key:?}{hint}")));
            };
            let text = match value {
                Value::Null => continue,
                Value::String(text) => text,
                Value::Bool(true) => "on".to_owned(),
                Value::Bool(false) => "off".to_owned(),
                Value::Number(number) => number.to_string(),
                Value::Array(_) | Value::Object(_) => {
                    return Err(fail(format!("{key}: takes text, a number, true or false")));
                }
            };
            self.set(row.key, text, Origin::File(path.to_owned()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Name;

    fn read(text: &str) -> Result<Raw> {
        let mut raw = Raw::default();
        raw.read_json(Path::new("/etc/c.json"), text)?;
        Ok(raw)
    }

    #[test]
    fn text_numbers_and_truth_are_taken() {
        let raw = read(
            r#"{"region": "cn-hangzhou", "part-size": 1048576, "allow-other": true, "keep-page-cache": false, "uid": null}"#,
        )
        .unwrap();
        let texts = [Name::Region, Name::PartSize, Name::AllowOther, Name::KeepPageCache].map(|name| raw.text(name));
        assert_eq!(texts, [Some("cn-hangzhou"), Some("1048576"), Some("on"), Some("off")]);
        assert!(!raw.is_given(Name::Uid));
    }

    #[test]
    fn mistakes_name_the_file_and_the_key() {
        for (text, says) in [
            (r#"{"regoin": "x"}"#, "/etc/c.json: unknown key \"regoin\"; did you mean \"region\"?"),
            (r#"{"part_size": 1}"#, "did you mean \"part-size\"?"),
            (r#"{"part-size": "big"}"#, "/etc/c.json: part-size: \"big\" is not a size"),
            (r#"{"part-size": [1]}"#, "/etc/c.json: part-size: takes text"),
            ("[]", "/etc/c.json: not a JSON object"),
            ("{", "/etc/c.json: not JSON"),
        ] {
            let problem = read(text).unwrap_err();
            assert!(problem.sentence.contains(says) && problem.code() == 2, "{text}: {problem}");
        }
    }

    #[test]
    fn the_users_file_comes_after_the_systems() {
        let files = standard_files(&|name| (name == "HOME").then(|| "/home/u".into()));
        assert_eq!(files, ["/etc/ossmount/config.json", "/home/u/.config/ossmount/config.json"].map(PathBuf::from));
        assert_eq!(standard_files(&|_| None).len(), 1);
    }
}
