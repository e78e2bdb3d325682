//! A bucket that is a directory: files are objects, and their paths are keys.
//!
//! Tags and checksums are computed once for each state of a file (size and modification time) and kept in memory. Keys
//! that no path can stand for (empty segments, `.` and `..`, a trailing slash, long names) are not found here, and no
//! link leads out of the directory.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use super::Cursor;
use crate::base::{Clock, Timestamp};
use crate::emulator::content::{Content, splitmix};
use crate::emulator::object::Object;
use crate::emulator::options::PutOptions;
use crate::files::{Beneath, Entry, Facts, Folder};

/// Files up to this size are hashed for their tag; larger ones get a tag from their size and time, and no MD5.
const HASHED_BYTES: u64 = 8 << 20;
/// The longest name of a file.
const LONGEST_NAME: usize = 255;
/// Files that are hashed at once, at most.
const HASHING: usize = 64;
/// Directories whose sorted names are remembered.
const MOST_LISTED: usize = 256;
/// The permissions of the files of objects.
const FILE_MODE: u32 = 0o644;
/// A directory that changed less than this ago may change again within the same tick of its time stamp.
const SETTLED: Duration = Duration::from_millis(50);

/// A directory and what is known of its files.
#[derive(Debug)]
pub(super) struct Directory {
    root: Arc<Beneath>,
    staging: PathBuf,
    clock: Clock,
    /// What is known of each file, by its key.
    known: Mutex<HashMap<String, Known>>,
    /// Held while a file is hashed for its tag, one by the hash of its key, so that those who ask for the same file
    /// wait for the tag and share one checksum.
    hashing: [Mutex<()>; HASHING],
    /// By path below the root.
    listed: Mutex<HashMap<String, Listed>>,
}

#[derive(Debug)]
struct Known {
    size: u64,
    modified: SystemTime,
    object: Arc<Object>,
}

#[derive(Debug)]
struct Listed {
    modified: SystemTime,
    names: Arc<[Name]>,
}

/// What became of a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Written {
    InFile,
    /// No file can have this name, or a directory has it.
    NoSuchPath,
}

impl Directory {
    pub(super) fn new(root: Beneath, staging: PathBuf) -> Self {
        Directory {
            root: Arc::new(root),
            staging,
            clock: Clock::system(),
            known: Mutex::default(),
            hashing: std::array::from_fn(|_| Mutex::default()),
            listed: Mutex::default(),
        }
    }

    /// Where files are written before they take their names, made when first needed.
    pub(super) fn staging(&self) -> io::Result<&Path> {
        Folder::open_or_make(&self.staging)?;
        Ok(&self.staging)
    }

    pub(super) fn exists(&self) -> bool {
        self.root.exists()
    }

    /// The object of a key, its tag ready and its file not yet opened.
    pub(super) fn find(&self, key: &str) -> io::Result<Option<Arc<Object>>> {
        if !is_path(key) {
            return Ok(None);
        }
        let facts = match self.root.file(key) {
            Ok((_, facts)) => facts,
            Err(error) if is_absence(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        if let Some(object) = self.remembered(key, &facts) {
            return Ok(Some(object));
        }
        let _only = self.hashing[stripe(key)].lock();
        if let Some(object) = self.remembered(key, &facts) {
            return Ok(Some(object));
        }
        let object = self.fresh(key, &facts)?;
        self.remember(key, &facts, object.reopened());
        Ok(Some(Arc::new(object)))
    }

    /// The object that is known of a file in this state.
    fn remembered(&self, key: &str, facts: &Facts) -> Option<Arc<Object>> {
        let known = self.known.lock();
        let known = known.get(key).filter(|known| known.size == facts.size && known.modified == facts.modified)?;
        Some(Arc::new(known.object.reopened()))
    }

    fn fresh(&self, key: &str, facts: &Facts) -> io::Result<Object> {
        let content = Content::below(self.root.clone(), key, facts.size);
        let modified = Timestamp::from(facts.modified);
        let attributes = PutOptions { content_type: content_type(Path::new(key)), ..PutOptions::default() };
        if facts.size <= HASHED_BYTES {
            let md5 = content.md5()?;
            return Ok(Object::put(content.reopened(), md5, None, modified, attributes));
        }
        let mut state = facts.size ^ (modified.seconds as u64).rotate_left(20) ^ u64::from(modified.nanos);
        let etag = format!("{:016X}{:016X}-1", splitmix(&mut state), splitmix(&mut state));
        Ok(Object::tagged(content, etag, None, modified, attributes))
    }

    fn remember(&self, key: &str, facts: &Facts, object: Object) {
        let known = Known { size: facts.size, modified: facts.modified, object: Arc::new(object) };
        self.known.lock().insert(key.to_owned(), known);
    }

    /// Writes an object into a file that takes its name at once, whole.
    pub(super) fn write(&self, key: &str, object: &Object) -> io::Result<Written> {
        if !is_path(key) {
            return Ok(Written::NoSuchPath);
        }
        let taken = match object.content.sole_temporary() {
            Some(staged) => self.root.take_in(staged, key, FILE_MODE),
            None => {
                let mut staged = tempfile::NamedTempFile::new_in(self.staging()?)?;
                object.content.each(|piece| io::Write::write_all(&mut staged, piece))?;
                let staged = staged.into_temp_path();
                self.root.take_in(&staged, key, FILE_MODE)
            }
        };
        let facts = match taken {
            Ok(facts) => facts,
            Err(error) if is_absence(&error) || error.kind() == io::ErrorKind::IsADirectory => {
                return Ok(Written::NoSuchPath);
            }
            Err(error) => return Err(error),
        };
        let content = Content::below(self.root.clone(), key, facts.size);
        let modified = Timestamp::from(facts.modified);
        self.remember(key, &facts, Object { content, modified, ..object.clone() });
        Ok(Written::InFile)
    }

    /// Changes what is known of a file without touching it.
    pub(super) fn amend(&self, key: &str, object: Object) {
        if let Some(known) = self.known.lock().get_mut(key) {
            known.object = Arc::new(object.reopened());
        }
    }

    /// Deletes a file, and the directories that it leaves empty.
    pub(super) fn delete(&self, key: &str) -> io::Result<()> {
        if !is_path(key) {
            return Ok(());
        }
        self.known.lock().remove(key);
        match self.root.remove(key) {
            Err(error) if is_absence(&error) || error.kind() == io::ErrorKind::IsADirectory => Ok(()),
            other => other,
        }
    }

    pub(super) fn cursor(&self) -> DirectoryCursor<'_> {
        let mut cursor = DirectoryCursor { directory: self, levels: Vec::new(), key: None };
        cursor.seek("");
        cursor
    }

    /// The names of a directory in the order of the keys below it. A directory that cannot be read has none.
    fn names(&self, below: &str) -> Arc<[Name]> {
        let Ok(modified) = self.root.modified(below) else { return Arc::default() };
        if let Some(listed) = self.listed.lock().get(below)
            && listed.modified == modified
        {
            return listed.names.clone();
        }
        let mut names: Vec<Name> = self.root.names(below).into_iter().flatten().filter_map(name_of).collect();
        names.sort_unstable();
        let names: Arc<[Name]> = names.into();
        let (now, then) = (self.clock.now(), Timestamp::from(modified));
        let age = (now.seconds - then.seconds) as i128 * 1_000_000_000 + i128::from(now.nanos) - i128::from(then.nanos);
        if age > SETTLED.as_nanos() as i128 {
            let mut listed = self.listed.lock();
            if listed.len() >= MOST_LISTED {
                listed.clear();
            }
            listed.insert(below.to_owned(), Listed { modified, names: names.clone() });
        }
        names
    }
}

/// A name below a directory; directories end in a slash, so that names order as the keys below them do.
type Name = Box<str>;

/// Links to files within the tree count as files; links to directories are passed over, so that no walk runs in a
/// circle. Names that are not UTF-8 cannot be keys.
fn name_of((name, entry): (std::ffi::OsString, Entry)) -> Option<Name> {
    let name = name.into_string().ok()?;
    Some(match entry {
        Entry::Folder => format!("{name}/").into(),
        Entry::File => name.into(),
    })
}

/// Which of the locks for hashing is that of a key.
fn stripe(key: &str) -> usize {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish() as usize % HASHING
}

/// Whether a file can have a key as its path.
fn is_path(key: &str) -> bool {
    let fits = |name: &str| {
        !name.is_empty() && name != "." && name != ".." && name.len() <= LONGEST_NAME && !name.contains('\0')
    };
    key.split('/').all(fits)
}

fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | InvalidFilename)
}

/// The type that the official tools would have sent with a file of this name.
fn content_type(path: &Path) -> Option<String> {
    let kind = match path.extension()?.to_str()? {
        "txt" | "md" => "text/plain",
        "json" => "application/json",
        "html" => "text/html",
        "csv" => "text/csv",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        _ => return None,
    };
    Some(kind.to_owned())
}

/// Walks the files of a directory tree in the order of their keys.
pub(super) struct DirectoryCursor<'a> {
    directory: &'a Directory,
    levels: Vec<Level>,
    key: Option<String>,
}

struct Level {
    /// The path of the directory with a trailing slash; empty for the root.
    prefix: String,
    names: Arc<[Name]>,
    at: usize,
}

impl DirectoryCursor<'_> {
    fn enter(&mut self, prefix: String, least: &str) {
        let names = self.directory.names(&prefix);
        let inside = |name: &str| name.ends_with('/') && least.starts_with(name);
        let at = names.partition_point(|name| name.as_ref() < least && !inside(name));
        let deeper = names.get(at).filter(|name| inside(name)).map(|name| name.to_string());
        self.levels.push(Level { prefix: prefix.clone(), names, at });
        if let Some(name) = deeper {
            self.enter(prefix + &name, &least[name.len()..]);
        }
    }

    /// Goes on from where the levels stand to the next file.
    fn settle(&mut self) {
        while let Some(level) = self.levels.last_mut() {
            match level.names.get(level.at) {
                None => {
                    self.levels.pop();
                    if let Some(above) = self.levels.last_mut() {
                        above.at += 1;
                    }
                }
                Some(name) if name.ends_with('/') => {
                    let prefix = format!("{}{name}", level.prefix);
                    self.enter(prefix, "");
                }
                Some(name) => {
                    self.key = Some(format!("{}{name}", level.prefix));
                    return;
                }
            }
        }
        self.key = None;
    }
}

impl Cursor for DirectoryCursor<'_> {
    fn seek(&mut self, least: &str) {
        self.levels.clear();
        self.enter(String::new(), least);
        self.settle();
    }

    fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// A file that vanished since its directory was read is no object.
    fn object(&self) -> Option<Arc<Object>> {
        self.directory.find(self.key()?).ok().flatten()
    }

    fn advance(&mut self) {
        if let Some(level) = self.levels.last_mut() {
            level.at += 1;
        }
        self.settle();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn directory() -> (tempfile::TempDir, Directory) {
        let folder = tempfile::tempdir().unwrap();
        let (root, staging) = (folder.path().join("bucket"), folder.path().join("staging"));
        fs::create_dir(&root).unwrap();
        (folder, Directory::new(Beneath::open(&root).unwrap(), staging))
    }

    fn put(directory: &Directory, key: &str, bytes: &'static [u8]) -> Written {
        let content = Content::Memory(Bytes::from_static(bytes));
        let md5 = content.md5().unwrap();
        let object = Object::put(content, md5, None, Timestamp::default(), PutOptions::default());
        directory.write(key, &object).unwrap()
    }

    fn keys(cursor: &mut DirectoryCursor<'_>) -> Vec<String> {
        let mut keys = Vec::new();
        while let Some(key) = cursor.key() {
            keys.push(key.to_owned());
            cursor.advance();
        }
        keys
    }

    #[test]
    fn only_safe_keys_become_files() {
        let (folder, directory) = directory();
        for key in ["../escape", "a/../b", "./a", "a//b", "a/", "/a", ".", "nul\0", &"n".repeat(256)] {
            assert_eq!(put(&directory, key, b"x"), Written::NoSuchPath, "{key}");
            assert!(directory.find(key).unwrap().is_none(), "{key}");
        }
        assert_eq!(put(&directory, "a/b", b"x"), Written::InFile);
        assert_eq!(put(&directory, "a", b"x"), Written::NoSuchPath);
        assert_eq!(put(&directory, "a/b/c", b"x"), Written::NoSuchPath);
        assert_eq!(fs::read_dir(folder.path().join("bucket")).unwrap().count(), 1);
        directory.delete("a/b").unwrap();
        assert_eq!(fs::read_dir(folder.path().join("bucket")).unwrap().count(), 0);
    }

    #[test]
    fn what_a_link_leads_to_outside_is_no_object() {
        let (folder, directory) = directory();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("outside")).unwrap();
        fs::write(at("outside/secret"), "secret").unwrap();
        std::os::unix::fs::symlink("../outside", at("bucket/out")).unwrap();
        std::os::unix::fs::symlink("../outside/secret", at("bucket/file")).unwrap();
        for key in ["out/secret", "file"] {
            assert!(directory.find(key).unwrap().is_none(), "{key}");
        }
        assert_eq!(keys(&mut directory.cursor()), Vec::<String>::new());
        assert_eq!(put(&directory, "out/new", b"x"), Written::NoSuchPath);
        directory.delete("out/secret").unwrap();
        assert_eq!(fs::read_dir(at("outside")).unwrap().count(), 1);
        assert_eq!(fs::read_to_string(at("outside/secret")).unwrap(), "secret");
    }

    #[test]
    fn a_changed_file_is_another_object() {
        let (folder, directory) = directory();
        put(&directory, "f", b"one");
        let before = directory.find("f").unwrap().unwrap();
        fs::write(folder.path().join("bucket/f"), b"three").unwrap();
        let after = directory.find("f").unwrap().unwrap();
        assert_ne!(before.etag, after.etag);
        assert_eq!((before.size(), after.size()), (3, 5));
        assert_eq!(after.crc64().unwrap(), crate::emulator::content::crc64(b"three"));
    }

    #[test]
    fn a_file_that_many_ask_for_first_is_hashed_once() {
        let (folder, directory) = directory();
        fs::write(folder.path().join("bucket/f"), vec![7; 1 << 20]).unwrap();
        let (directory, start) = (Arc::new(directory), Arc::new(std::sync::Barrier::new(16)));
        let askers: Vec<_> = (0..16)
            .map(|_| {
                let (directory, start) = (directory.clone(), start.clone());
                std::thread::spawn(move || {
                    start.wait();
                    directory.find("f").unwrap().unwrap()
                })
            })
            .collect();
        let found: Vec<_> = askers.into_iter().map(|asker| asker.join().unwrap()).collect();
        assert!(found.iter().all(|object| Arc::ptr_eq(&object.crc, &found[0].crc)), "they share one checksum");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn walks_agree_with_a_sorted_map(
            names in proptest::collection::vec("[ab.-]{1,2}(/[ab!é]{1,2}){0,2}", 0..30),
            least in "[ab/.-]{0,4}",
        ) {
            let (_folder, directory) = directory();
            let mut model = BTreeMap::new();
            for name in names {
                if put(&directory, &name, b"x") == Written::InFile {
                    model.insert(name, ());
                }
            }
            let mut cursor = directory.cursor();
            prop_assert_eq!(keys(&mut cursor), model.keys().cloned().collect::<Vec<_>>());
            cursor.seek(&least);
            prop_assert_eq!(keys(&mut cursor), model.range(least..).map(|(k, _)| k.clone()).collect::<Vec<_>>());
        }
    }
}
