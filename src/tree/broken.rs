//! References to entries that do not exist, which would be a defect of the tree itself.
//!
//! Nothing panics: a panic in the middle of a change would leave more of the tree wrong, and the next request would
//! meet it again. The reference is told in the log, and leads to an empty directory that has gone. An
//! operation on such an entry must not answer from it: [`take`] says whether something was missing.

use std::cell::Cell;

use super::packed::NodeId;

thread_local! {
    static MISSED: Cell<bool> = const { Cell::new(false) };
}

/// Notes that an entry which is referred to is not there.
#[cold]
pub(super) fn note(id: NodeId, what: &'static str) {
    MISSED.set(true);
    tracing::error!(place = id.0, "the tree of names refers to {what} that does not exist; please report this");
}

/// Whether this thread has come upon something missing since the last time; what it has found is not to be believed.
pub fn take() -> bool {
    MISSED.take()
}

#[cfg(test)]
impl super::Tree {
    /// Loses an entry that is still referred to, as only a mistake can.
    pub(crate) fn lose(&mut self, ino: crate::base::Ino) {
        let id = self.find_ino(ino).unwrap();
        self.nodes.remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Bucket, NOW, entries, list_directory, options, sweep};
    use super::super::{Lookup, OddKeys, Tree};
    use super::take;
    use crate::base::Ino;

    fn listed() -> (Tree, Bucket) {
        let keys = ["a", "b", "d/x", "d/y", "e/z", "f"];
        let bucket: Bucket = keys.map(|key| (key.to_owned(), (1, "tag".to_owned()))).into_iter().collect();
        let mut tree = Tree::new(options(OddKeys::Hide));
        list_directory(&mut tree, &bucket, Ino::ROOT, 1000, |_| {});
        for directory in ["d", "e"] {
            let number = found(&mut tree, Ino::ROOT, directory).unwrap();
            list_directory(&mut tree, &bucket, number, 1000, |_| {});
        }
        (tree, bucket)
    }

    fn found(tree: &mut Tree, parent: Ino, name: &str) -> Option<Ino> {
        match tree.lookup(parent, name.as_bytes(), NOW, NOW) {
            Lookup::Found(view) => Some(view.ino),
            _ => None,
        }
    }

    /// Everything that can be done with a tree that has lost an entry.
    fn use_up(tree: &mut Tree, bucket: &Bucket) {
        for name in ["a", "b", "d", "e", "f", "none"] {
            if let Some(ino) = found(tree, Ino::ROOT, name) {
                let _ = (tree.object(ino), tree.prefix(ino), tree.view(ino, NOW), tree.position(ino), tree.parent(ino));
                tree.mark_stale(ino, NOW);
                tree.renew(ino, None, NOW);
            }
        }
        list_directory(tree, bucket, Ino::ROOT, 1000, |_| {});
        list_directory(tree, &Bucket::new(), Ino::ROOT, 1000, |_| {});
        list_directory(tree, bucket, Ino::ROOT, 1000, |_| {});
        sweep(tree);
        for _ in 0..1000 {
            tree.evict(0);
        }
    }

    #[test]
    fn an_entry_that_is_missing_is_told_and_takes_nothing_along() {
        for name in ["a", "b", "d", "e", "f"] {
            let (mut tree, bucket) = listed();
            let ino = found(&mut tree, Ino::ROOT, name).unwrap();
            assert!(!take(), "nothing was missing so far");
            tree.lose(ino);
            assert!(tree.view(ino, NOW).is_none() && tree.object(ino).is_none() && tree.prefix(ino).is_none());
            take();
            entries(&mut tree, Ino::ROOT);
            assert!(take() && !take(), "a listing of the directory without {name}");
            use_up(&mut tree, &bucket);
            take();
        }
    }

    #[test]
    fn a_key_below_a_directory_that_is_missing_is_not_made_up() {
        let (mut tree, bucket) = listed();
        let directory = found(&mut tree, Ino::ROOT, "d").unwrap();
        let file = found(&mut tree, directory, "x").unwrap();
        assert_eq!(tree.object(file).unwrap().key, "d/x");
        tree.lose(directory);
        assert!(!take());
        assert_eq!(tree.object(file), None);
        assert!(take());
        use_up(&mut tree, &bucket);
        take();
    }
}
