//! Formatting sizes, times and names.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, IsTerminal, Write};

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::base::{Foreign, Timestamp, escape_json, escape_text};
use crate::config::{Problem, Result};

/// A time that shows as `2024-02-29T12:34:56Z`.
#[derive(Clone, Copy)]
pub(super) struct Time(pub(super) Timestamp);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.0.seconds) {
            Ok(time) => fmt::Display::fmt(&time, f),
            Err(_) => write!(f, "@{}", self.0.seconds),
        }
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Writes a time as in `2024-02-29T12:34:56Z`.
pub(super) fn time(time: Timestamp) -> String {
    Time(time).to_string()
}

/// `1 key`, `2 keys`.
pub(super) fn counted(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Writes a size as in `999B` and `1.5GiB`.
pub(in crate::app) fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let Some(power) = bytes.checked_ilog2().map(|log| log as usize / 10).filter(|power| *power > 0) else {
        return format!("{bytes}B");
    };
    let power = power.min(units.len());
    format!("{:.1}{}", bytes as f64 / (1_u64 << (10 * power)) as f64, units[power - 1])
}

/// An object as one line of JSON, as all commands print it: names in snake case, also those that a daemon answers with
/// hyphens. Names of user metadata (`meta.NAME`) and of hosts are not ours to change.
pub(super) fn json_line(value: &Value) -> String {
    snake_case(value).to_string()
}

fn snake_case(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let renamed = fields.iter().map(|(name, value)| {
                let is_ours = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
                let name = if is_ours { name.replace('-', "_") } else { name.clone() };
                (name, snake_case(value))
            });
            Value::Object(renamed.collect())
        }
        Value::Array(values) => Value::Array(values.iter().map(snake_case).collect()),
        other => other.clone(),
    }
}

/// Text of others for a terminal, as [`Foreign`] shows it.
pub(super) fn shown(text: &str) -> String {
    Foreign(text).to_string()
}

/// Standard output that ends quietly when its reader has had enough.
pub(super) struct Output<'a> {
    is_terminal: bool,
    out: io::BufWriter<io::StdoutLock<'a>>,
}

/// Whether to go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reader {
    Listens,
    Left,
}

impl Output<'_> {
    pub(super) fn new() -> Self {
        let out = io::stdout();
        Output { is_terminal: out.is_terminal(), out: io::BufWriter::new(out.lock()) }
    }

    /// Prints a line. On a terminal no control character in it acts; other readers get it as it is.
    pub(super) fn line(&mut self, line: &str) -> Result<Reader> {
        let line = if self.is_terminal { harmless(line) } else { Cow::Borrowed(line) };
        outcome(self.out.write_all(line.as_bytes()).and_then(|()| self.out.write_all(b"\n")))
    }

    /// Lines that are printed at once.
    pub(super) fn write(&mut self, lines: &[u8]) -> Result<Reader> {
        outcome(self.out.write_all(lines).and_then(|()| self.out.flush()))
    }

    pub(super) fn flush(&mut self) -> Result<Reader> {
        outcome(self.out.flush())
    }
}

/// A line in which nothing acts. An object or an array stays JSON.
fn harmless(line: &str) -> Cow<'_, str> {
    if line.starts_with(['{', '[']) { escape_json(line) } else { escape_text(line) }
}

fn outcome(result: io::Result<()>) -> Result<Reader> {
    match result {
        Ok(()) => Ok(Reader::Listens),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Left),
        Err(error) => Err(Problem::failure(format!("cannot write to standard output: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_cannot_drive_a_terminal() {
        assert_eq!(harmless("STANDARD\u{9b}2J \u{202e}x"), "STANDARD\\u{9b}2J \\u{202e}x");
        assert_eq!(harmless("{\"class\":\"\u{9b}\"}"), "{\"class\":\"\\u009b\"}");
    }

    #[test]
    fn names_in_json_are_in_snake_case() {
        let value = serde_json::json!({"last-modified": 1, "a": [{"b-c": "d-e"}], "meta.x-y": "z", "h-1.org": 2});
        assert_eq!(json_line(&value), r#"{"a":[{"b_c":"d-e"}],"h-1.org":2,"last_modified":1,"meta.x-y":"z"}"#);
    }

    #[test]
    fn names_cannot_drive_a_terminal() {
        assert_eq!(shown("a\u{1b}[2Jb\n\u{9b}ü"), "a\\u{1b}[2Jb\\n\\u{9b}ü");
    }

    #[test]
    fn times_are_universal() {
        assert_eq!(time(Timestamp::from_unix(1_709_210_096)), "2024-02-29T12:34:56Z");
        assert_eq!(time(Timestamp::from_unix(i64::MAX)), format!("@{}", i64::MAX));
    }
}
