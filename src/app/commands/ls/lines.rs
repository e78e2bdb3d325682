//! The lines of a listing: names, long lines or JSON. They are written into one buffer a page, with nothing allocated
//! for each: a listing may have millions.

use std::borrow::Cow;
use std::io::{IsTerminal, Write};

use serde::Serialize;

use super::kind;
use crate::app::commands::text::{Time, shown, size};
use crate::base::escape_json;
use crate::list::Page;
use crate::store::ListEntry;

/// How the lines of a listing look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Style {
    Names,
    Long,
    Json,
}

/// How sizes are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sizes {
    /// In bytes, for programs.
    Bytes,
    /// As in `1.5GiB`, for people.
    Human,
}

impl Sizes {
    pub(super) fn text(self, bytes: u64) -> String {
        match self {
            Sizes::Bytes => bytes.to_string(),
            Sizes::Human => size(bytes),
        }
    }
}

/// Writes the lines of a listing.
pub(super) struct Lines {
    /// Left out of the names.
    directory: String,
    style: Style,
    sizes: Sizes,
    is_terminal: bool,
}

impl Lines {
    /// For what lies below a directory.
    pub(super) fn new(directory: String, style: Style, sizes: Sizes) -> Self {
        Lines { directory, style, sizes, is_terminal: std::io::stdout().is_terminal() }
    }

    /// From now on the directory is that of this key.
    pub(super) fn set_directory_of(&mut self, key: &str) {
        self.directory = key[..key.rfind('/').map_or(0, |at| at + 1)].to_owned();
    }

    /// Appends the lines of a page, objects and directories together in the order of their keys. An object that stands
    /// for the directory itself has none.
    pub(super) fn append(&self, page: &Page, out: &mut Vec<u8>) {
        for (key, entry) in page.items().filter(|(key, _)| *key != self.directory) {
            // Writing to memory cannot fail.
            let _ = match (self.style, entry) {
                (Style::Json, Some(entry)) => self.append_json(&Object::of(entry), out),
                (Style::Json, None) => self.append_json(&Directory { prefix: key }, out),
                (Style::Long, entry) => self.append_long(entry, out),
                (Style::Names, _) => Ok(()),
            };
            if self.style != Style::Json {
                self.append_name(key, out);
            }
            out.push(b'\n');
        }
    }

    fn append_json(&self, item: &impl Serialize, out: &mut Vec<u8>) -> std::io::Result<()> {
        if !self.is_terminal {
            return Ok(serde_json::to_writer(out, item)?);
        }
        out.extend_from_slice(escape_json(&serde_json::to_string(item)?).as_bytes());
        Ok(())
    }

    fn append_name(&self, key: &str, out: &mut Vec<u8>) {
        let name = key.strip_prefix(self.directory.as_str()).unwrap_or(key);
        out.extend_from_slice(self.foreign(name).as_bytes());
    }

    /// Size, time and class, before the name.
    fn append_long(&self, entry: Option<&ListEntry>, out: &mut Vec<u8>) -> std::io::Result<()> {
        let Some(entry) = entry else { return write!(out, "{:>14}  {:<20}  {:<11}  ", "-", "", "directory") };
        let class = self.foreign(entry.storage_class.as_ref().map_or("-", |class| &class.0));
        match self.sizes {
            Sizes::Bytes => write!(out, "{:>14}", entry.size)?,
            Sizes::Human => write!(out, "{:>14}", size(entry.size))?,
        }
        match entry.last_modified {
            Some(time) => write!(out, "  {:<20}  {class:<11}  ", Time(time)),
            None => write!(out, "  {:<20}  {class:<11}  ", ""),
        }
    }

    /// Text of the service: as it is for programs, escaped for a terminal.
    fn foreign<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.is_terminal { Cow::Owned(shown(text)) } else { Cow::Borrowed(text) }
    }
}

#[derive(Serialize)]
struct Object<'a> {
    key: &'a str,
    size: u64,
    last_modified: Option<Time>,
    etag: Option<&'a str>,
    r#type: &'static str,
    storage_class: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_id: Option<&'a str>,
}

impl<'a> Object<'a> {
    fn of(entry: &'a ListEntry) -> Self {
        Object {
            key: &entry.key,
            size: entry.size,
            last_modified: entry.last_modified.map(Time),
            etag: entry.etag.as_ref().map(|etag| etag.as_str()),
            r#type: kind(entry.kind),
            storage_class: entry.storage_class.as_ref().map(|class| &*class.0),
            version_id: entry.version.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct Directory<'a> {
    prefix: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{ETag, Timestamp};
    use crate::store::{ObjectKind, StorageClass};

    fn page() -> Page {
        let entry = |key: &str, size| ListEntry {
            key: key.to_owned(),
            size,
            etag: ETag::parse("\"5B\""),
            last_modified: Some(Timestamp::from_unix(1_709_210_096)),
            kind: ObjectKind::Normal,
            storage_class: Some(StorageClass("Archive".into())),
            version: None,
        };
        let bare = ListEntry {
            etag: None,
            last_modified: None,
            storage_class: None,
            kind: ObjectKind::Symlink,
            ..entry("d/z\u{1b}\"", 0)
        };
        let entries = vec![entry("d/", 0), entry("d/a", 7), entry("d/c", 1 << 46), bare];
        Page { entries, prefixes: vec!["d/b/".to_owned()], ..Page::default() }
    }

    fn check(style: Style, is_terminal: bool, expected: expect_test::Expect) {
        let mut out = Vec::new();
        Lines { directory: "d/".to_owned(), style, sizes: Sizes::Bytes, is_terminal }.append(&page(), &mut out);
        expected.assert_eq(std::str::from_utf8(&out).unwrap());
    }

    #[test]
    fn lines_of_every_style() {
        check(
            Style::Names,
            true,
            expect_test::expect![[r#"
            a
            b/
            c
            z\u{1b}"
        "#]],
        );
        check(
            Style::Long,
            true,
            expect_test::expect![[r#"
                             7  2024-02-29T12:34:56Z  Archive      a
                             -                        directory    b/
                70368744177664  2024-02-29T12:34:56Z  Archive      c
                             0                        -            z\u{1b}"
            "#]],
        );
        check(
            Style::Json,
            false,
            expect_test::expect![[r#"
                {"key":"d/a","size":7,"last_modified":"2024-02-29T12:34:56Z","etag":"5B","type":"Normal","storage_class":"Archive"}
                {"prefix":"d/b/"}
                {"key":"d/c","size":70368744177664,"last_modified":"2024-02-29T12:34:56Z","etag":"5B","type":"Normal","storage_class":"Archive"}
                {"key":"d/z\u001b\"","size":0,"last_modified":null,"etag":null,"type":"Symlink","storage_class":null}
            "#]],
        );
    }
}
