//! Lists what a live mount shows below a path, from the mount itself: without keys of its own, and with the names and
//! versions that programs see.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::app::commands::ask::Line;
use crate::app::commands::stat::attribute;
use crate::base::{ETag, Timestamp};
use crate::config::{Problem, Result};
use crate::files::{Beneath, Entry};
use crate::list::Page;
use crate::store::{ListEntry, ObjectKind, StorageClass};

/// What is listed: a directory or a file, and how much is asked of each file.
pub(super) struct Mounted {
    root: PathBuf,
    /// The key of the root, which ends in a slash unless it is empty or that of a file.
    pub(super) key: String,
    /// The directories that are still to be listed, below the root; the next one last.
    waiting: Vec<String>,
    is_recursive: bool,
    with_facts: bool,
}

impl Mounted {
    /// Asks the mount of a path what the path is.
    pub(super) fn open(path: &Path, is_recursive: bool, with_facts: bool) -> Result<Mounted> {
        let fail = |error: std::io::Error| Problem::failure(format!("{}: {error}", path.display()));
        // A daemon that does not answer would keep the first look waiting without end.
        Line::to(path)?.ask(&json!({"op": "health"}))?;
        let is_directory = std::fs::metadata(path).map_err(fail)?.is_dir();
        let key = text(path, "key").unwrap_or_default();
        let slash = if is_directory && !key.is_empty() && !key.ends_with('/') { "/" } else { "" };
        let waiting = if is_directory { vec![String::new()] } else { Vec::new() };
        Ok(Mounted { root: path.to_owned(), key: format!("{key}{slash}"), waiting, is_recursive, with_facts })
    }

    /// The one file that the path names; `None` for directories.
    pub(super) fn single(&self) -> Result<Option<ListEntry>> {
        match self.waiting.is_empty() {
            true => self.entry(&self.root, self.key.clone()).map(Some),
            false => Ok(None),
        }
    }

    /// The next directory as a page.
    pub(super) fn next(&mut self) -> Result<Option<Page>> {
        let Some(below) = self.waiting.pop() else { return Ok(None) };
        let directory = self.root.join(&below);
        let fail = |error: std::io::Error| Problem::failure(format!("{}: {error}", directory.display()));
        let mut names = Beneath::open(&directory).and_then(|folder| folder.names("")).map_err(fail)?;
        names.sort_unstable();
        let (mut page, mut deeper) = (Page::default(), Vec::new());
        for (name, kind) in names {
            let path = directory.join(&name);
            let key = text(&path, "key").unwrap_or_else(|| self.key_of(&below, &name));
            match kind {
                Entry::File => page.entries.push(self.entry(&path, key)?),
                Entry::Folder => {
                    deeper.extend(Path::new(&below).join(&name).to_str().map(str::to_owned));
                    if !self.is_recursive {
                        page.prefixes.push(if key.ends_with('/') { key } else { format!("{key}/") });
                    }
                }
            }
        }
        page.entries.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        page.prefixes.sort_unstable();
        if self.is_recursive {
            self.waiting.extend(deeper.into_iter().rev());
        }
        Ok(Some(page))
    }

    /// The key that a name most likely stands for, where the mount does not tell.
    fn key_of(&self, below: &str, name: &OsStr) -> String {
        let slash = if below.is_empty() { "" } else { "/" };
        format!("{}{below}{slash}{}", self.key, name.to_string_lossy())
    }

    fn entry(&self, path: &Path, key: String) -> Result<ListEntry> {
        let fail = |error: std::io::Error| Problem::failure(format!("{}: {error}", path.display()));
        let found = std::fs::symlink_metadata(path).map_err(fail)?;
        let modified = found.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        let modified = modified.and_then(|since| i64::try_from(since.as_secs()).ok());
        let fact = |name: &str| if self.with_facts { text(path, name) } else { None };
        Ok(ListEntry {
            key,
            size: found.len(),
            etag: fact("etag").as_deref().and_then(ETag::parse),
            last_modified: modified.map(Timestamp::from_unix),
            kind: match fact("type").as_deref() {
                Some("Multipart") => ObjectKind::Multipart,
                Some("Appendable") => ObjectKind::Appendable,
                Some("Symlink") => ObjectKind::Symlink,
                _ => ObjectKind::Normal,
            },
            storage_class: fact("storage-class").map(|class| StorageClass(class.into())),
            version: None,
        })
    }
}

fn text(path: &Path, fact: &str) -> Option<String> {
    let value = attribute(path, &format!("user.oss.{fact}")).ok().filter(|value| !value.is_empty())?;
    String::from_utf8(value).ok()
}
