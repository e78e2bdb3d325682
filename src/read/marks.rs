//! What answers are known by: the size, the entity tags and the time of the version that is open, and what was found
//! out of a store's tags. Pure but for the record of tags; what is asked of the store in a doubt is asked by `version`.

use std::sync::atomic::{AtomicBool, Ordering};

use lru::LruCache;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::object::Object;
use crate::base::{ETag, Ino, Timestamp};
use crate::store::{ListEntry, ObjectMeta};

/// So many objects are remembered with the tags of their answers, for stores that list others.
const KNOWN_TAGS: usize = 1 << 16;

/// Looks at once: many objects may change at a time, and each look is one or two requests.
const LOOKS: usize = 8;

/// What is known of a store's entity tags.
#[derive(Debug)]
pub(super) struct TagUse {
    /// One version has several tags.
    pub(super) several: AtomicBool,
    /// The listing has a tag of its own.
    pub(super) listing_differs: AtomicBool,
    /// Of objects whose listed tag is not that of their answers: those of their answers.
    known: Mutex<LruCache<Ino, Vec<ETag>>>,
    /// Few looks at a time, so that the next ones may find that none is needed.
    pub(super) looks: Semaphore,
}

impl TagUse {
    /// A store of which nothing is known yet.
    pub(super) fn new() -> Self {
        TagUse {
            several: AtomicBool::new(false),
            listing_differs: AtomicBool::new(false),
            // Not `new`, which would set aside room for all of them.
            known: Mutex::new(LruCache::unbounded()),
            looks: Semaphore::new(LOOKS),
        }
    }

    /// Whether one version has several tags in this store.
    pub(super) fn has_several(&self) -> bool {
        self.several.load(Ordering::Relaxed)
    }

    /// The tags of the answers for an object, where those are of any use.
    pub(super) fn known(&self, ino: Ino) -> Vec<ETag> {
        if self.has_several() { self.known.lock().get(&ino).cloned().unwrap_or_default() } else { Vec::new() }
    }

    /// Remembers the tags of the answers for an object.
    pub(super) fn know(&self, ino: Ino, tags: Vec<ETag>) {
        let mut known = self.known.lock();
        known.put(ino, tags);
        if known.len() > KNOWN_TAGS {
            known.pop_lru();
        }
    }
}

/// What an answer may carry that is of the version which is open.
#[derive(Clone, Debug)]
pub(super) struct Marks {
    size: u64,
    /// As it was listed, or recorded by an earlier load.
    pub(super) listed: Option<ETag>,
    pub(super) mtime: Option<Timestamp>,
    /// The tags of the answers so far.
    pub(super) seen: Vec<ETag>,
    /// The service refused the tag of a version that is still there: GETs ask for none.
    pub(super) is_loose: bool,
}

/// Whether an answer is of the version that is open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Same,
    Changed,
    /// The store must be asked.
    Doubt,
}

/// What a look has shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Seen {
    Same,
    Changed,
    /// The listing must tell.
    List,
}

/// Whether two times are known and in the same second.
fn same_second(a: Option<Timestamp>, b: Option<Timestamp>) -> bool {
    a.zip(b).is_some_and(|(a, b)| a.seconds == b.seconds)
}

/// Whether two times are known and not in the same second.
fn other_second(a: Option<Timestamp>, b: Option<Timestamp>) -> bool {
    a.zip(b).is_some_and(|(a, b)| a.seconds != b.seconds)
}

impl Marks {
    /// What is known of an object when it is opened.
    pub(super) fn new(object: &Object) -> Self {
        let Object { size, etag, mtime, .. } = object;
        Marks { size: *size, listed: etag.clone(), mtime: *mtime, seen: Vec::new(), is_loose: false }
    }

    /// When the version was last modified, where that is known.
    pub(super) fn mtime(&self) -> Option<Timestamp> {
        self.mtime
    }

    /// The object is opened once more, with a time that may not have been known before.
    pub(super) fn was_modified(&mut self, at: Option<Timestamp>) {
        self.mtime = self.mtime.or(at);
    }

    /// The tag that GETs ask for, unless they ask for none.
    pub(super) fn pin(&self) -> Option<ETag> {
        if self.is_loose { None } else { self.listed.as_ref().or(self.seen.first()).cloned() }
    }

    fn knows(&self, tag: &ETag) -> bool {
        self.seen.contains(tag) || self.listed.as_ref() == Some(tag)
    }

    /// An answer of this version carried this tag.
    pub(super) fn learn(&mut self, tag: Option<&ETag>) {
        self.seen.extend(tag.filter(|tag| !self.seen.contains(tag)).cloned());
    }

    /// Compares an answer. The first tag seen is one that the rest may carry.
    pub(super) fn judge(&mut self, answer: &ObjectMeta, has_several: bool) -> Verdict {
        if answer.size != self.size {
            return Verdict::Changed;
        }
        let Some(tag) = &answer.etag else {
            return if other_second(answer.last_modified, self.mtime) { Verdict::Changed } else { Verdict::Same };
        };
        let is_first = match &self.listed {
            _ if !self.seen.is_empty() => false,
            // Another second may be the listing's own.
            None => !other_second(answer.last_modified, self.mtime),
            Some(_) => has_several && same_second(answer.last_modified, self.mtime),
        };
        if !self.knows(tag) && !is_first {
            return Verdict::Doubt;
        }
        self.learn(Some(tag));
        Verdict::Same
    }

    /// Compares what a look has shown, after an answer that may be of another version or was refused.
    pub(super) fn weigh(&self, head: &ObjectMeta, answer: Option<&ObjectMeta>) -> Seen {
        if head.size != self.size || answer.is_some_and(|answer| answer.size != self.size) {
            return Seen::Changed;
        }
        if answer.is_some_and(|answer| !same_second(answer.last_modified, head.last_modified)) {
            return Seen::Changed;
        }
        match &head.etag {
            Some(tag) if self.knows(tag) => Seen::Same,
            // Without tags in the listing, only answers can tell what they carry.
            Some(_) if self.listed.is_none() && !self.seen.is_empty() => Seen::Changed,
            Some(_) if self.listed.is_some() && other_second(head.last_modified, self.mtime) => Seen::Changed,
            Some(_) => Seen::List,
            None if same_second(head.last_modified, self.mtime) => Seen::Same,
            None => Seen::Changed,
        }
    }

    /// Compares what the listing says now. `head` was taken between the answer and that.
    pub(super) fn weigh_listed(&self, head: &ObjectMeta, answer: Option<&ObjectMeta>, entry: &ListEntry) -> Seen {
        let is_listed_still = entry.size == self.size && entry.etag == self.listed;
        let is_head = match &self.listed {
            Some(_) => same_second(head.last_modified, entry.last_modified),
            // The listing has its own times.
            None => same_second(self.mtime, entry.last_modified),
        };
        let agree = answer.is_none_or(|answer| answer.etag == head.etag);
        if is_listed_still && is_head && agree { Seen::Same } else { Seen::Changed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Key;

    fn meta(size: u64, tag: &str, second: i64) -> ObjectMeta {
        let last_modified = (second > 0).then(|| Timestamp::from_unix(second));
        ObjectMeta { size, etag: ETag::parse(tag), last_modified, ..ObjectMeta::default() }
    }

    fn entry(size: u64, tag: &str, second: i64) -> ListEntry {
        let ObjectMeta { size, etag, last_modified, kind, .. } = meta(size, tag, second);
        ListEntry { key: "k".into(), size, etag, last_modified, kind, storage_class: None }
    }

    /// Of an object of ten bytes that was listed with this tag at second 5 (0: no time).
    fn marks(listed: &str, second: i64, seen: &[&str]) -> Marks {
        let ObjectMeta { size, etag, last_modified: mtime, .. } = meta(10, listed, second);
        let object = Object { ino: Ino(2), key: Key::new("k"), version: None, etag, size, mtime, archived: false };
        let seen = seen.iter().filter_map(|tag| ETag::parse(tag)).collect();
        Marks { seen, ..Marks::new(&object) }
    }

    #[test]
    fn answers_are_compared_by_size_tag_and_time() {
        use Verdict::{Changed, Doubt, Same};
        for (marks, answer, has_several, expected) in [
            (marks("a", 5, &[]), meta(10, "A", 9), false, Same),
            (marks("a", 5, &[]), meta(11, "a", 5), false, Changed),
            (marks("a", 5, &[]), meta(10, "b", 5), false, Doubt),
            (marks("a", 5, &[]), meta(10, "b", 5), true, Same),
            (marks("a", 5, &[]), meta(10, "b", 6), true, Doubt),
            (marks("a", 5, &[]), meta(10, "b", 0), true, Doubt),
            (marks("a", 0, &[]), meta(10, "b", 5), true, Doubt),
            (marks("a", 5, &["b"]), meta(10, "b", 6), true, Same),
            (marks("a", 5, &["b"]), meta(10, "c", 5), true, Doubt),
            (marks("", 5, &[]), meta(10, "b", 5), false, Same),
            (marks("", 0, &[]), meta(10, "b", 5), false, Same),
            (marks("", 5, &[]), meta(10, "b", 6), false, Doubt),
            (marks("", 5, &["b"]), meta(10, "c", 5), false, Doubt),
            (marks("a", 5, &[]), meta(10, "", 5), false, Same),
            (marks("a", 5, &[]), meta(10, "", 6), false, Changed),
            (marks("a", 5, &[]), meta(10, "", 0), false, Same),
        ] {
            assert_eq!(marks.clone().judge(&answer, has_several), expected, "{marks:?} {answer:?} {has_several}");
        }
        let mut first = marks("", 0, &[]);
        assert_eq!(first.judge(&meta(10, "b", 5), false), Same);
        assert_eq!(first.judge(&meta(10, "c", 5), false), Doubt, "the first tag pins the rest");
    }

    #[test]
    fn a_look_tells_a_change_from_a_store_with_several_tags() {
        for (marks, head, answer, expected) in [
            // The object is what was listed, and the answer of the same time.
            (marks("a", 5, &[]), meta(10, "a", 5), Some(meta(10, "a-part", 5)), Seen::Same),
            (marks("a", 5, &[]), meta(10, "a", 5), Some(meta(10, "b", 6)), Seen::Changed),
            (marks("a", 5, &[]), meta(10, "a", 0), Some(meta(10, "b", 0)), Seen::Changed),
            (marks("a", 5, &[]), meta(10, "a", 5), None, Seen::Same),
            (marks("a", 5, &[]), meta(11, "a", 5), None, Seen::Changed),
            // A third tag.
            (marks("a", 5, &[]), meta(10, "b", 5), None, Seen::List),
            (marks("a", 0, &[]), meta(10, "b", 5), None, Seen::List),
            (marks("a", 5, &[]), meta(10, "b", 6), None, Seen::Changed),
            (marks("a", 5, &[]), meta(10, "b", 5), Some(meta(10, "b", 5)), Seen::List),
            (marks("a", 5, &["b"]), meta(10, "b", 5), Some(meta(10, "c", 5)), Seen::Same),
            (marks("a", 5, &["b"]), meta(10, "c", 5), Some(meta(10, "c", 5)), Seen::List),
            (marks("a", 5, &["b"]), meta(10, "c", 6), Some(meta(10, "c", 6)), Seen::Changed),
            (marks("", 5, &["b"]), meta(10, "c", 5), Some(meta(10, "c", 5)), Seen::Changed),
            (marks("", 5, &[]), meta(10, "b", 6), Some(meta(10, "b", 6)), Seen::List),
            // No tag at all.
            (marks("a", 5, &[]), meta(10, "", 5), None, Seen::Same),
            (marks("a", 5, &[]), meta(10, "", 6), None, Seen::Changed),
            (marks("a", 0, &[]), meta(10, "", 5), None, Seen::Changed),
        ] {
            assert_eq!(marks.weigh(&head, answer.as_ref()), expected, "{marks:?} {head:?} {answer:?}");
        }
    }

    #[test]
    fn what_is_listed_as_before_has_not_changed() {
        let (tagged, untagged) = (marks("a", 5, &[]), marks("", 5, &[]));
        for (marks, head, answer, entry, expected) in [
            (&tagged, meta(10, "b", 5), None, entry(10, "a", 5), Seen::Same),
            (&tagged, meta(10, "b", 5), Some(meta(10, "b", 5)), entry(10, "a", 5), Seen::Same),
            (&tagged, meta(10, "b", 5), Some(meta(10, "c", 5)), entry(10, "a", 5), Seen::Changed),
            (&tagged, meta(10, "b", 5), None, entry(10, "b", 5), Seen::Changed),
            (&tagged, meta(10, "b", 5), None, entry(11, "a", 5), Seen::Changed),
            (&tagged, meta(10, "b", 6), None, entry(10, "a", 5), Seen::Changed),
            (&tagged, meta(10, "b", 0), None, entry(10, "a", 5), Seen::Changed),
            (&untagged, meta(10, "b", 6), Some(meta(10, "b", 6)), entry(10, "", 5), Seen::Same),
            (&untagged, meta(10, "b", 6), Some(meta(10, "b", 6)), entry(10, "", 6), Seen::Changed),
        ] {
            assert_eq!(marks.weigh_listed(&head, answer.as_ref(), &entry), expected, "{head:?} {answer:?} {entry:?}");
        }
    }
}
