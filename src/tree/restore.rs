//! Restoring the entries that an earlier daemon has told the kernel, under the same numbers.
//!
//! Directories are put where they belong, with nothing known of what is in them. Open objects are in no directory, like
//! those that are gone and that the kernel still refers to; a listing that shows one again takes it back.

use std::time::Duration;

use super::component::EntryKind;
use super::node::{Body, Node};
use super::packed::{Flags, NodeId, PackedTime, Tag};
use super::{Changes, Facts, Kind, Object, Standpoint, Tree};
use crate::base::{ETag, Ino, Timestamp};

impl Tree {
    /// Puts back a directory by its key prefix. False where such a directory cannot be, or would get another number.
    pub fn restore_directory(&mut self, ino: Ino, prefix: &str, mtime: Option<Timestamp>) -> bool {
        let Some(id) = self.way_to(prefix).filter(|&id| self.nodes.at(id).ino == ino) else { return false };
        self.directory_mut(id).mtime = PackedTime::new(mtime);
        self.refer_to(id);
        true
    }

    /// Puts back an open object. False where there is no place for it.
    pub fn restore_object(&mut self, ino: Ino, object: &Object) -> bool {
        if let Some(id) = self.find_ino(ino) {
            return !self.nodes.at(id).is_directory();
        }
        let (prefix, name) = object.key.split_at(object.key.rfind('/').map_or(0, |slash| slash + 1));
        let Some(parent) = self.way_to(prefix) else { return false };
        let asked_for = object.version.as_ref().filter(|_| self.options.view == Standpoint::Now);
        let component = match asked_for {
            Some(version) => format!("{name}?versionId={version}"),
            None => name.to_owned(),
        };
        let body = Body::Object {
            size: object.size,
            mtime: PackedTime::new(object.mtime),
            tag: Tag::new(object.etag.as_ref().map(ETag::as_str)),
        };
        // A symlink object is put back as the file that it was shown as when it was opened.
        let kind = if object.kind == Kind::Symlink { Kind::Normal } else { object.kind };
        let id = self.insert(parent, &component, ino, Flags::new(kind), body);
        let class = self.class_index(object.class.as_deref());
        let node = self.nodes.at_mut(id);
        node.class = class;
        node.flags.set(Flags::REMOVED, true);
        node.flags.set(Flags::STALE, object.stale);
        if asked_for.is_some() {
            node.flags.set(Flags::VERSION, true);
            self.versions.insert((parent, component.into()), id);
        } else {
            self.set_version_id(id, object.version.as_deref());
        }
        self.refer_to(id);
        true
    }

    /// How many references the kernel has is not known; more than these do no harm.
    fn refer_to(&mut self, id: NodeId) {
        let node: &mut Node = self.nodes.at_mut(id);
        node.references = node.references.saturating_add(1);
    }

    /// The directory of a key prefix, which is made where it is missing.
    fn way_to(&mut self, prefix: &str) -> Option<NodeId> {
        let below = prefix.strip_prefix(self.options.prefix.as_str())?;
        if !below.is_empty() && !below.ends_with('/') {
            return None;
        }
        let below = below.to_owned();
        let mut at = NodeId::ROOT;
        for component in below.split_terminator('/') {
            at = match self.find(at, component, EntryKind::Directory) {
                Some(known) => known,
                // What it shades is not known to the kernel either.
                None => self.put(
                    at,
                    component,
                    EntryKind::Directory,
                    &Facts::default(),
                    Duration::ZERO,
                    &mut Changes::default(),
                ),
            };
        }
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::BucketName;
    use crate::tree::{Lookup, OddKeys, Options, Probe, Shape};

    const NOW: Duration = Duration::from_secs(100);

    fn tree() -> Tree {
        Tree::new(Options {
            bucket: BucketName::new("bucket"),
            prefix: "top/".to_owned(),
            odd_keys: OddKeys::Hide,
            fresh_for: Some(Duration::from_secs(60)),
            absent_for: Some(Duration::from_secs(60)),
            missing_for: Some(Duration::from_secs(5)),
            default_time: Timestamp::from_unix(5),
            view: Standpoint::Now,
        })
    }

    fn facts() -> Facts<'static> {
        Facts { size: 7, etag: Some("abc"), mtime: Some(Timestamp::from_unix(9)), ..Facts::default() }
    }

    /// A tree with `top/a/b/file`, and the numbers of `a/b` and of the file.
    fn before() -> (Tree, Ino, Ino) {
        let mut tree = tree();
        let mut at = Ino::ROOT;
        for name in ["a", "b"] {
            tree.probed(at, name, &Probe::Directory, NOW);
            at = found(&mut tree, at, name);
        }
        tree.probed(at, "file", &Probe::Object(facts()), NOW);
        let file = found(&mut tree, at, "file");
        (tree, at, file)
    }

    fn found(tree: &mut Tree, parent: Ino, name: &str) -> Ino {
        match tree.lookup(parent, name.as_bytes(), NOW, NOW) {
            Lookup::Found(view) => view.ino,
            other => panic!("{name}: {other:?}"),
        }
    }

    #[test]
    fn directories_and_open_objects_come_back_under_their_numbers() {
        let (old, directory, file) = before();
        let mut tree = tree();
        assert!(tree.restore_object(file, &old.object(file).unwrap()));
        assert!(tree.restore_directory(directory, &old.prefix(directory).unwrap(), None));
        assert_eq!(tree.prefix(directory).unwrap(), "top/a/b/");
        assert_eq!(tree.object(file), old.object(file));
        assert_eq!(tree.view(file, NOW).unwrap().shape, Shape::File);
        let unsure = tree.lookup(directory, b"file", NOW, NOW);
        assert_eq!(unsure, Lookup::Unknown { key: Some("top/a/b/file".to_owned()) });

        tree.probed(directory, "file", &Probe::Object(facts()), NOW);
        assert_eq!(found(&mut tree, directory, "file"), file, "a later answer finds it");
        tree.forget(file, 4);
        tree.forget(directory, 4);
        assert!(!tree.is_referenced(file) && !tree.is_referenced(directory));
    }

    #[test]
    fn an_object_that_no_listing_shows_again_goes_with_its_last_reference() {
        let (old, _, file) = before();
        let mut tree = tree();
        let object = old.object(file).unwrap();
        assert!(tree.restore_object(file, &object) && tree.restore_object(file, &object));
        let len = tree.len();
        tree.forget(file, 1);
        assert_eq!((tree.len(), tree.object(file)), (len - 1, None));
    }

    #[test]
    fn a_version_comes_back_as_one() {
        let (mut old, directory, _) = before();
        let name = "file?versionId=v1";
        let version = old.add_version(directory, name, "v1", &facts()).unwrap();
        let object = old.object(version).unwrap();
        assert_eq!(object.version.as_deref(), Some("v1"));
        let mut tree = tree();
        assert!(tree.restore_object(version, &object) && tree.restore_directory(directory, "top/a/b/", None));
        assert_eq!(tree.object(version).unwrap(), object);
        assert_eq!(tree.version(directory, name), Some(version));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let (old, directory, file) = before();
        let mut tree = tree();
        for prefix in ["a/b/", "top/a/b", "top/a/", "top/a/c/", ""] {
            assert!(!tree.restore_directory(directory, prefix, None), "{prefix}");
        }
        let object = Object { key: "elsewhere".to_owned(), ..old.object(file).unwrap() };
        assert!(!tree.restore_object(file, &object));
        assert!(!tree.restore_object(Ino::ROOT, &old.object(file).unwrap()));
    }
}
