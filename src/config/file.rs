//! The JSON configuration file: one object, its keys the names of options.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::foreign::{self, Spelling};
use super::json::{Entry, Place, entries, place};
use super::problem::{Problem, Result};
use super::raw::{Origin, Raw};
use super::suggest;
use super::table::{Row, TABLE};
use super::value::Kind;
use crate::files::{self, Small};

/// The largest file that is taken, in bytes: a hundred times what all options need.
const MOST_BYTES: u64 = 1 << 20;

/// What some editors put in front of a text.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// The system's file and the user's, weakest first; they need not exist.
pub fn standard_files(variable: &dyn Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let home = variable("HOME").filter(|home| !home.is_empty());
    let user = home.map(|home| Path::new(&home).join(".config/ossmount/config.json"));
    std::iter::once(PathBuf::from("/etc/ossmount/config.json")).chain(user).collect()
}

/// Whether a file was there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// It was, and was read.
    Read,
    /// There is no such file.
    Missing,
}

impl Raw {
    /// Takes a file that must exist.
    pub fn read_file(&mut self, path: &Path) -> Result<()> {
        self.read_opened(path, files::read(path, MOST_BYTES))
    }

    /// Takes a file if it exists.
    pub fn read_file_if_there(&mut self, path: &Path) -> Result<Found> {
        match files::read(path, MOST_BYTES) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(Found::Missing)
            }
            opened => self.read_opened(path, opened).map(|()| Found::Read),
        }
    }

    fn read_opened(&mut self, path: &Path, opened: io::Result<Small>) -> Result<()> {
        let Small { bytes, facts } = opened.map_err(|error| {
            Problem::usage(format!("the configuration file {} cannot be read: {error}", path.display()))
        })?;
        self.read_bytes(path, &bytes, facts.distrust(path).as_deref())
    }

    /// Takes the text of a file. Where it is not to be believed, which `distrust` says, it may change nothing but how
    /// fast a mount is and what it shows.
    fn read_bytes(&mut self, path: &Path, bytes: &[u8], distrust: Option<&str>) -> Result<()> {
        let fail = |at: Place, what: String| Err(Problem::usage(format!("{}:{at}: {what}", path.display())));
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text),
            Err(error) => {
                let sound = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
                return fail(place(&sound, sound.len()), "not UTF-8; save the file in that encoding".to_owned());
            }
        };
        let entries = match entries(text) {
            Ok(entries) => entries,
            Err((at, what)) => return fail(at, what),
        };
        for (number, entry) in entries.iter().enumerate() {
            if let Some(first) = entries[..number].iter().find(|first| first.key == entry.key) {
                let (key, line) = (&entry.key, first.key_at.line);
                return fail(entry.key_at, format!("{key} is given twice, first on line {line}; keep one of them"));
            }
            self.read_entry(path, entry, distrust)?;
        }
        Ok(())
    }

    fn read_entry(&mut self, path: &Path, entry: &Entry<'_>, distrust: Option<&str>) -> Result<()> {
        let fail = |at: Place, what: String| Problem::usage(format!("{}:{at}: {what}", path.display()));
        let key = &entry.key;
        let Some(row) = TABLE.iter().find(|row| row.name == key) else {
            let answer = foreign::answer(key, Spelling::Names);
            if !answer.is_empty() {
                return Err(fail(entry.key_at, format!("{key}{answer}")));
            }
            let hint = suggest::hint(key, TABLE.iter().map(|row| row.name));
            let hint = if hint.is_empty() { "; see ossmount mount --help".to_owned() } else { hint };
            return Err(fail(entry.key_at, format!("unknown key {key:?}{hint}")));
        };
        if let Some(why) = distrust.filter(|_| row.key.needs_trust()) {
            return Err(fail(entry.key_at, format!("{key} is not accepted from this file: {why}")));
        }
        let origin = || Origin::File { path: path.to_owned(), at: entry.value_at };
        for text in texts(row, entry.value).map_err(|what| fail(entry.value_at, format!("{key}: {what}")))? {
            self.set(row.key, text, origin())?;
        }
        Ok(())
    }
}

/// What a value says, as it would be written after the option; nothing for null.
fn texts(row: &Row, json: &str) -> std::result::Result<Vec<String>, String> {
    use serde_json::Value;
    let takes_words = matches!(row.kind, Kind::Text(_) | Kind::Path | Kind::Choice(_) | Kind::List(_));
    let text = match serde_json::from_str(json).map_err(|error| format!("not JSON: {error}"))? {
        Value::Null => return Ok(Vec::new()),
        Value::String(text) => text,
        Value::Bool(on) if row.kind == Kind::Switch => if on { "on" } else { "off" }.to_owned(),
        // As it is written: 1.0 is no count.
        Value::Number(_) if !takes_words => json.to_owned(),
        Value::Bool(_) | Value::Number(_) => {
            return Err(format!("takes {}; write it in quotes", row.kind.placeholder()));
        }
        Value::Array(words) if matches!(row.kind, Kind::List(_)) => {
            let text = |word: Value| word.as_str().map(str::to_owned).ok_or("takes a list of strings".to_owned());
            return words.into_iter().map(text).collect();
        }
        Value::Array(_) => return Err(format!("takes {}, not a list", row.kind.placeholder())),
        Value::Object(_) => return Err(format!("takes {}, not an object", row.kind.placeholder())),
    };
    Ok(vec![text])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Name;

    fn read(text: &str) -> Result<Raw> {
        let mut raw = Raw::default();
        raw.read_bytes(Path::new("/etc/c.json"), text.as_bytes(), None)?;
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
        assert_eq!(read("\u{feff}{\"file-mode\": 440}\r\n").unwrap().text(Name::FileMode), Some("440"));
        assert!(read("{}").is_ok());
        assert_eq!(read(r#"{"bind": ["eth0", "10.0.0.1"]}"#).unwrap().text(Name::Bind), Some("eth0 10.0.0.1"));
        assert_eq!(read(r#"{"bind": "eth0"}"#).unwrap().text(Name::Bind), Some("eth0"));
    }

    #[test]
    fn mistakes_name_the_file_the_place_and_the_key() {
        for (text, says) in [
            (r#"{"regoin": "x"}"#, "/etc/c.json:1:2: unknown key \"regoin\"; did you mean \"region\"?"),
            ("{\n  \"part_size\": 1}", "/etc/c.json:2:3: unknown key \"part_size\"; did you mean \"part-size\"?"),
            (r#"{"colour": 1}"#, "/etc/c.json:1:2: unknown key \"colour\"; see ossmount mount --help"),
            ("{\n  \"part-size\": \"big\"}", "/etc/c.json:2:16: part-size: \"big\" is not a size"),
            (r#"{"part-size": [1]}"#, "/etc/c.json:1:15: part-size: takes SIZE, not a list"),
            (r#"{"part-size": {"x": 1}}"#, "/etc/c.json:1:15: part-size: takes SIZE, not an object"),
            (r#"{"part-size": true}"#, "/etc/c.json:1:15: part-size: takes SIZE; write it in quotes"),
            (r#"{"bind": ["eth0", 7]}"#, "/etc/c.json:1:10: bind: takes a list of strings"),
            (r#"{"region": true}"#, "/etc/c.json:1:12: region: takes REGION; write it in quotes"),
            (r#"{"log-file": 7}"#, "/etc/c.json:1:14: log-file: takes PATH; write it in quotes"),
            (r#"{"metadata-ttl": 1.5}"#, "/etc/c.json:1:18: metadata-ttl: \"1.5\" is not a time"),
            (
                r#"{"read_only": true}"#,
                "/etc/c.json:1:2: read_only is an option of Mountpoint, rclone and others; leave it",
            ),
            (r#"{"max-connections": 1.0}"#, "/etc/c.json:1:21: max-connections: \"1.0\""),
            (r#"{"part-size": 1e999}"#, "/etc/c.json:1:"),
            ("{\"uid\": 1,\n\"gid\": 1,\n \"uid\": 1}", "/etc/c.json:3:2: uid is given twice, first on line 1"),
            ("[]", "/etc/c.json:1:1: not a JSON object"),
            ("{", "/etc/c.json:1:1: not JSON"),
            ("{\"uid\": 1,}", "/etc/c.json:1:11: not JSON: trailing comma"),
            ("", "/etc/c.json:1:1: not JSON"),
        ] {
            let problem = read(text).unwrap_err();
            assert!(problem.sentence.contains(says) && problem.code() == 2, "{text}: {problem}");
        }
    }

    #[test]
    fn files_of_another_kind_are_refused() {
        let mut raw = Raw::default();
        let problem = raw.read_bytes(Path::new("c"), b"{\n \"regi\xff\"}", None).unwrap_err();
        assert!(problem.sentence.starts_with("c:2:7: not UTF-8"), "{problem}");
        // Without an end.
        let problem = raw.read_file(Path::new("/dev/zero")).unwrap_err();
        assert!(problem.sentence.contains("it is a device, not a regular file"), "{problem}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c");
        std::fs::write(&path, " ".repeat(MOST_BYTES as usize + 1)).unwrap();
        let problem = raw.read_file_if_there(&path).unwrap_err();
        assert!(problem.sentence.contains("larger than 1MiB"), "{problem}");
        std::fs::write(&path, " ".repeat(MOST_BYTES as usize - 2) + "{}").unwrap();
        assert_eq!(raw.read_file_if_there(&path), Ok(Found::Read));
        assert_eq!(raw.read_file_if_there(&folder.path().join("none")), Ok(Found::Missing));
        assert_eq!(raw.read_file_if_there(&path.join("none")), Ok(Found::Missing));
        let problem = raw.read_file(Path::new("/")).unwrap_err();
        assert!(problem.sentence.contains("the configuration file / cannot be read"), "{problem}");
    }

    #[test]
    fn a_file_that_others_may_write_chooses_no_keys_programs_hosts_or_files() {
        let read = |text: &str, distrust| Raw::default().read_bytes(Path::new("/c"), text.as_bytes(), distrust);
        let why = "it belongs to uid 7 (mode 0644), and this process runs as uid 0: chown 0 /c";
        for option in [
            "credentials",
            "credentials-file",
            "credentials-process",
            "credentials-uri",
            "profile",
            "ram-role",
            "role-arn",
            "oidc-token-file",
            "sts-endpoint",
            "metadata-endpoint",
            "endpoint",
            "proxy",
            "ca-bundle",
            "allow-other",
            "copy-from",
            "copy-to",
            "record",
            "log-file",
            "pid-file",
            "control-socket",
            "metrics-listen",
        ] {
            let value = match option {
                "credentials" => "env",
                "allow-other" => "on",
                _ => "x:1",
            };
            let text = format!("{{\"uid\": 1,\n \"{option}\": \"{value}\"}}");
            let problem = read(&text, Some(why)).unwrap_err();
            assert_eq!(problem.sentence, format!("/c:2:2: {option} is not accepted from this file: {why}"));
            assert_eq!(read(&text, None), Ok(()), "{option}");
        }
        assert_eq!(read(r#"{"region": "r", "part-size": "1MiB", "log-level": "warn"}"#, Some(why)), Ok(()));
    }

    #[test]
    fn the_users_file_comes_after_the_systems() {
        let files = standard_files(&|name| (name == "HOME").then(|| "/home/u".into()));
        assert_eq!(files, ["/etc/ossmount/config.json", "/home/u/.config/ossmount/config.json"].map(PathBuf::from));
        assert_eq!(standard_files(&|_| None).len(), 1);
    }
}
