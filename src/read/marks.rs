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

/// A version with more tags than this has another one in every answer.
const MOST_TAGS: usize = 4;

/// A version that is older than this, in seconds, cannot have been replaced by another one of the same second: this is
/// the bound of RFC 9110 (8.8.2.2) for clocks that are not the same.
const SETTLED_SECONDS: i64 = 60;

/// Looks at once: many objects may change at a time, and each look is one or two requests.
const LOOKS: usize = 8;

/// What is known of a store's entity tags.
#[derive(Debug)]
pub(super) struct TagUse {
    /// One version has several tags.
    pub(super) several: AtomicBool,
    /// The listing has a tag of its own.
    pub(super) listing_differs: AtomicBool,
    /// Every answer has another tag, which tells nothing.
    pub(super) endless: AtomicBool,
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
            endless: AtomicBool::new(false),
            // Not `new`, which would set aside room for all of them.
            known: Mutex::new(LruCache::unbounded()),
            looks: Semaphore::new(LOOKS),
        }
    }

    /// Whether one version has several tags in this store.
    pub(super) fn has_several(&self) -> bool {
        self.several.load(Ordering::Relaxed)
    }

    /// Whether every answer of this store has another tag.
    pub(super) fn are_endless(&self) -> bool {
        self.endless.load(Ordering::Relaxed)
    }

    /// How many tags a version has in this store, as far as was found out.
    pub(super) fn habit(&self) -> TagHabit {
        match (self.are_endless(), self.has_several()) {
            (true, _) => TagHabit::Endless,
            (false, true) => TagHabit::Several,
            (false, false) => TagHabit::One,
        }
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

/// How many entity tags one version has in a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TagHabit {
    One,
    Several,
    /// Another one in every answer.
    Endless,
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
    /// Only the tags differ. The object must be looked at once more: where that shows yet another tag, tags tell
    /// nothing in this store.
    Again(Vouched),
    /// Nothing tells whether it has changed, because it is too young for its time to tell.
    TooYoung,
}

/// Whether a listing still shows the tag with which a version was listed before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Vouched {
    Listed,
    No,
}

/// Whether two times are known and in the same second.
fn same_second(a: Option<Timestamp>, b: Option<Timestamp>) -> bool {
    a.zip(b).is_some_and(|(a, b)| a.seconds == b.seconds)
}

/// Whether two times are known and not in the same second.
fn other_second(a: Option<Timestamp>, b: Option<Timestamp>) -> bool {
    a.zip(b).is_some_and(|(a, b)| a.seconds != b.seconds)
}

/// Whether two answers about one object differ in nothing but their tags, long after the time that both tell.
pub(super) fn differ_by_tag_alone([one, other]: [&ObjectMeta; 2], now: Timestamp) -> bool {
    let have_other_tags = one.etag.as_ref().zip(other.etag.as_ref()).is_some_and(|(one, other)| one != other);
    let is_same_time = same_second(one.last_modified, other.last_modified) && is_settled(one.last_modified, now);
    have_other_tags && is_same_time && one.size == other.size
}

/// Whether a version is so old that its time tells it from every later one.
pub(super) fn is_settled(mtime: Option<Timestamp>, now: Timestamp) -> bool {
    mtime.is_some_and(|mtime| mtime.seconds.saturating_add(SETTLED_SECONDS) <= now.seconds)
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
        if self.seen.len() <= MOST_TAGS {
            self.seen.extend(tag.filter(|tag| !self.seen.contains(tag)).cloned());
        }
    }

    /// Whether the version has had so many tags that it will have more.
    pub(super) fn has_too_many_tags(&self) -> bool {
        self.seen.len() > MOST_TAGS
    }

    /// Compares an answer that has come `now`. The first tag seen is one that the rest may carry; where tags have no
    /// end, the time tells versions apart that are old enough for it.
    pub(super) fn judge(&mut self, answer: &ObjectMeta, habit: TagHabit, now: Timestamp) -> Verdict {
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
            Some(_) => habit != TagHabit::One && same_second(answer.last_modified, self.mtime),
        };
        let is_timed =
            habit == TagHabit::Endless && same_second(answer.last_modified, self.mtime) && is_settled(self.mtime, now);
        if !self.knows(tag) && !is_first && !is_timed {
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
            Some(_) if self.listed.is_none() && !self.seen.is_empty() => self.weigh_tag(head, answer),
            Some(_) if self.listed.is_some() && other_second(head.last_modified, self.mtime) => Seen::Changed,
            Some(_) => Seen::List,
            None if same_second(head.last_modified, self.mtime) => Seen::Same,
            None => Seen::Changed,
        }
    }

    /// Compares what the listing says now. `head` was taken between the answer and that.
    pub(super) fn weigh_listed(&self, head: &ObjectMeta, answer: Option<&ObjectMeta>, entry: &ListEntry) -> Seen {
        let is_head = match &self.listed {
            Some(_) => same_second(head.last_modified, entry.last_modified),
            // The listing has its own times.
            None => same_second(self.mtime, entry.last_modified),
        };
        if entry.size != self.size || !is_head {
            return Seen::Changed;
        }
        if entry.etag != self.listed {
            return self.weigh_tag(head, answer);
        }
        let agree = answer.is_none_or(|answer| answer.etag == head.etag);
        if agree { Seen::Same } else { Seen::Again(Vouched::Listed) }
    }

    /// Compares what the listing says now, after an answer or a refusal, where the store refuses HEADs.
    pub(super) fn weigh_listed_alone(&self, answer: Option<&ObjectMeta>, entry: &ListEntry) -> Seen {
        let is_of_same_time = answer.is_none_or(|answer| same_second(answer.last_modified, entry.last_modified));
        // A tag that is listed still; without one, nothing tells.
        let is_listed_still = self.listed.is_some() && entry.etag == self.listed && entry.size == self.size;
        if is_listed_still && is_of_same_time { Seen::Same } else { Seen::Changed }
    }

    /// What it means that a look has shown a tag which is not of this version, where nothing else differs.
    fn weigh_tag(&self, head: &ObjectMeta, answer: Option<&ObjectMeta>) -> Seen {
        let is_another = answer.is_none_or(|answer| answer.etag != head.etag);
        let is_of_same_time = same_second(head.last_modified, self.mtime);
        if is_another && is_of_same_time { Seen::Again(Vouched::No) } else { Seen::Changed }
    }

    /// Compares two looks in a row, the second of which is over `now`. Where the listing does not vouch for the
    /// version, its age must.
    pub(super) fn weigh_again(&self, [head, again]: [&ObjectMeta; 2], vouched: Vouched, now: Timestamp) -> Seen {
        let is_same_but_for_tag = again.size == head.size && same_second(again.last_modified, head.last_modified);
        let has_another_tag = again.etag.as_ref().is_some_and(|tag| !self.knows(tag)) && again.etag != head.etag;
        match (is_same_but_for_tag && has_another_tag, vouched) {
            (false, _) => Seen::Changed,
            (true, Vouched::Listed) => Seen::Same,
            (true, Vouched::No) if is_settled(again.last_modified, now) => Seen::Same,
            (true, Vouched::No) => Seen::TooYoung,
        }
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
        ListEntry { key: "k".into(), size, etag, last_modified, kind, storage_class: None, version: None }
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
        use TagHabit::{Endless, One, Several};
        use Verdict::{Changed, Doubt, Same};
        let now = Timestamp::from_unix(5 + SETTLED_SECONDS);
        for (marks, answer, habit, expected) in [
            (marks("a", 5, &[]), meta(10, "A", 9), One, Same),
            (marks("a", 5, &[]), meta(11, "a", 5), One, Changed),
            (marks("a", 5, &[]), meta(10, "b", 5), One, Doubt),
            (marks("a", 5, &[]), meta(10, "b", 5), Several, Same),
            (marks("a", 5, &[]), meta(10, "b", 6), Several, Doubt),
            (marks("a", 5, &[]), meta(10, "b", 0), Several, Doubt),
            (marks("a", 0, &[]), meta(10, "b", 5), Several, Doubt),
            (marks("a", 5, &["b"]), meta(10, "b", 6), Several, Same),
            (marks("a", 5, &["b"]), meta(10, "c", 5), Several, Doubt),
            (marks("", 5, &[]), meta(10, "b", 5), One, Same),
            (marks("", 0, &[]), meta(10, "b", 5), One, Same),
            (marks("", 5, &[]), meta(10, "b", 6), One, Doubt),
            (marks("", 5, &["b"]), meta(10, "c", 5), One, Doubt),
            (marks("a", 5, &[]), meta(10, "", 5), One, Same),
            (marks("a", 5, &[]), meta(10, "", 6), One, Changed),
            (marks("a", 5, &[]), meta(10, "", 0), One, Same),
            // The time tells, where it is known and long ago.
            (marks("a", 5, &["b"]), meta(10, "c", 5), Endless, Same),
            (marks("", 5, &["b"]), meta(10, "c", 5), Endless, Same),
            (marks("a", 5, &["b"]), meta(10, "c", 6), Endless, Doubt),
            (marks("a", 5, &["b"]), meta(10, "c", 0), Endless, Doubt),
            (marks("a", 6, &["b"]), meta(10, "c", 6), Endless, Doubt),
            (marks("a", 6, &[]), meta(10, "c", 6), Endless, Same),
            (marks("a", 5, &["b"]), meta(11, "c", 5), Endless, Changed),
        ] {
            assert_eq!(marks.clone().judge(&answer, habit, now), expected, "{marks:?} {answer:?} {habit:?}");
        }
        let mut first = marks("", 0, &[]);
        assert_eq!(first.judge(&meta(10, "b", 5), One, now), Same);
        assert_eq!(first.judge(&meta(10, "c", 5), One, now), Doubt, "the first tag pins the rest");
    }

    #[test]
    fn a_version_has_so_many_tags_and_then_too_many() {
        let mut marks = marks("a", 5, &[]);
        for (number, tag) in ["b", "c", "d", "e", "f", "g"].iter().enumerate() {
            assert_eq!(marks.has_too_many_tags(), number > MOST_TAGS);
            marks.learn(ETag::parse(tag).as_ref());
        }
        assert_eq!(marks.seen.len(), MOST_TAGS + 1, "what tells nothing is not kept");
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
            (marks("", 5, &["b"]), meta(10, "d", 5), Some(meta(10, "c", 5)), Seen::Again(Vouched::No)),
            (marks("", 5, &["b"]), meta(10, "c", 5), None, Seen::Again(Vouched::No)),
            (marks("", 5, &["b"]), meta(10, "d", 6), Some(meta(10, "c", 6)), Seen::Changed),
            (marks("", 0, &["b"]), meta(10, "d", 5), Some(meta(10, "c", 5)), Seen::Changed),
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
            (&tagged, meta(10, "b", 5), Some(meta(10, "b", 5)), entry(10, "b", 5), Seen::Changed),
            (&tagged, meta(10, "b", 5), None, entry(11, "a", 5), Seen::Changed),
            // Tags that may tell nothing.
            (&tagged, meta(10, "b", 5), Some(meta(10, "c", 5)), entry(10, "a", 5), Seen::Again(Vouched::Listed)),
            (&tagged, meta(10, "b", 5), Some(meta(10, "c", 5)), entry(10, "d", 5), Seen::Again(Vouched::No)),
            (&tagged, meta(10, "b", 5), None, entry(10, "b", 5), Seen::Again(Vouched::No)),
            (&tagged, meta(10, "b", 6), Some(meta(10, "c", 6)), entry(10, "d", 6), Seen::Changed),
            (&tagged, meta(10, "b", 6), None, entry(10, "a", 5), Seen::Changed),
            (&tagged, meta(10, "b", 0), None, entry(10, "a", 5), Seen::Changed),
            (&untagged, meta(10, "b", 6), Some(meta(10, "b", 6)), entry(10, "", 5), Seen::Same),
            (&untagged, meta(10, "b", 6), Some(meta(10, "b", 6)), entry(10, "", 6), Seen::Changed),
        ] {
            assert_eq!(marks.weigh_listed(&head, answer.as_ref(), &entry), expected, "{head:?} {answer:?} {entry:?}");
        }
    }

    #[test]
    fn where_heads_are_refused_the_tag_that_is_listed_still_tells() {
        let (tagged, untagged) = (marks("a", 5, &["b"]), marks("", 5, &["b"]));
        for (marks, answer, entry, expected) in [
            (&tagged, Some(meta(10, "c", 5)), entry(10, "a", 5), Seen::Same),
            (&tagged, None, entry(10, "a", 5), Seen::Same),
            (&tagged, Some(meta(10, "c", 6)), entry(10, "a", 5), Seen::Changed),
            (&tagged, Some(meta(10, "c", 0)), entry(10, "a", 5), Seen::Changed),
            (&tagged, Some(meta(10, "c", 5)), entry(10, "d", 5), Seen::Changed),
            (&tagged, None, entry(11, "a", 5), Seen::Changed),
            (&untagged, Some(meta(10, "c", 5)), entry(10, "", 5), Seen::Changed),
        ] {
            assert_eq!(marks.weigh_listed_alone(answer.as_ref(), &entry), expected, "{answer:?} {entry:?}");
        }
    }

    #[test]
    fn a_second_look_tells_a_change_from_tags_that_tell_nothing() {
        let marks = marks("a", 5, &["b"]);
        let (now, soon) = (Timestamp::from_unix(5 + SETTLED_SECONDS), Timestamp::from_unix(4 + SETTLED_SECONDS));
        for (head, again, vouched, now, expected) in [
            (meta(10, "c", 5), meta(10, "d", 5), Vouched::No, now, Seen::Same),
            (meta(10, "c", 5), meta(10, "d", 5), Vouched::No, soon, Seen::TooYoung),
            (meta(10, "c", 5), meta(10, "d", 5), Vouched::Listed, soon, Seen::Same),
            // The object has changed and stays so.
            (meta(10, "c", 5), meta(10, "c", 5), Vouched::No, now, Seen::Changed),
            (meta(10, "c", 5), meta(10, "c", 5), Vouched::Listed, now, Seen::Changed),
            // It changes all the time.
            (meta(10, "c", 5), meta(10, "d", 6), Vouched::Listed, now, Seen::Changed),
            (meta(10, "c", 5), meta(11, "d", 5), Vouched::Listed, now, Seen::Changed),
            (meta(10, "c", 5), meta(10, "", 5), Vouched::No, now, Seen::Changed),
            (meta(10, "c", 0), meta(10, "d", 0), Vouched::No, now, Seen::Changed),
        ] {
            assert_eq!(marks.weigh_again([&head, &again], vouched, now), expected, "{head:?} {again:?} {vouched:?}");
        }
    }

    #[test]
    fn answers_that_differ_by_tag_alone_are_of_one_size_and_of_a_time_long_ago() {
        let now = Timestamp::from_unix(5 + SETTLED_SECONDS);
        for (one, other, expected) in [
            (meta(10, "a", 5), meta(10, "b", 5), true),
            (meta(10, "a", 5), meta(10, "a", 5), false),
            (meta(10, "a", 5), meta(10, "", 5), false),
            (meta(10, "a", 5), meta(11, "b", 5), false),
            (meta(10, "a", 5), meta(10, "b", 4), false),
            (meta(10, "a", 0), meta(10, "b", 0), false),
            (meta(10, "a", 6), meta(10, "b", 6), false),
        ] {
            assert_eq!(differ_by_tag_alone([&one, &other], now), expected, "{one:?} {other:?}");
        }
    }
}
