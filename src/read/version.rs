//! Which version of an object an answer is of, and how an object that changed is told from a store that has several
//! entity tags for one version.
//!
//! Gateways and stores that encrypt may list one tag and send another with the bytes, or another with a part than with
//! the whole. So a tag that is not the one asked for is a doubt, not yet a change: the object is looked at (HEAD), and
//! where that shows a third tag it is listed again. What is still what it was when it was listed has not changed. A
//! store that was seen to do this is remembered for the mount: its GETs go without `If-Match`, and what they
//! themselves tell is compared instead, with the size and the time of the listing and with each other.
//!
//! There are stores that send another tag with every answer. Where the tags of two HEADs in a row differ, and nothing
//! else does, tags tell nothing: the listing decides where it has not lost the tag of the version, else the time of the
//! version, provided that it is old enough for every later version to have another.
//!
//! An open object never takes bytes of another version: its [`Marks`](super::marks::Marks) hold the tags that answers
//! may carry, the first answer of an object adds one at most without a look, and every further one is looked at.

use std::sync::atomic::Ordering;

use super::Reader;
use super::inode::Inode;
use super::marks::{Seen, TagUse, Verdict, differ_by_tag_alone, is_settled};
use super::object::Object;
use crate::base::{ETag, Ino, Key};
use crate::metrics::Metric;
use crate::store::{Error, ErrorKind, HeadRequest, ListEntry, ListRequest, ObjectMeta, Result};

impl Inode {
    /// The tag that GETs ask for; `None` until the first answer where the listing had none, and where tags say nothing.
    pub(super) fn pin(&self, tags: &TagUse) -> Option<ETag> {
        if tags.has_several() { None } else { self.marks(|marks| marks.pin()) }
    }
}

impl Reader {
    /// Whether a listing of this store tells another tag of a version than a HEAD does.
    pub fn listing_has_own_tags(&self) -> bool {
        self.tags.listing_differs.load(Ordering::Relaxed)
    }

    /// Whether a HEAD shows by its tag that an object is not the one that was read, where the listing has other tags.
    pub fn is_other_version(&self, ino: Ino, head: &ObjectMeta) -> bool {
        let Some(tag) = &head.etag else { return false };
        if self.tags.are_endless() {
            // Its time does not tell yet.
            return !is_settled(head.last_modified, self.clock.now());
        }
        let known = self.tags.known(ino);
        !known.is_empty() && !known.contains(tag)
    }

    /// Whether a HEAD leaves a doubt that another one in a row would clear: it differs from what is known in its tag
    /// alone, and this may be a store that sends another tag with every answer.
    pub fn doubts_tag(&self, known: &ObjectMeta, head: &ObjectMeta) -> bool {
        !self.tags.are_endless() && differ_by_tag_alone([known, head], self.clock.now())
    }

    /// Takes in what two HEADs of one object in a row have shown.
    pub fn compare_heads(&self, key: &Key, heads: [&ObjectMeta; 2]) {
        if self.doubts_tag(heads[0], heads[1]) {
            self.found_endless(key, &heads.map(|head| head.etag.clone()));
        }
    }

    /// Tags that answers for this object have carried, while it was open before.
    pub(super) fn recall_tags(&self, inode: &Inode) {
        if inode.object.etag.is_some() {
            let seen = self.tags.known(inode.object.ino);
            inode.marks(|marks| marks.seen = seen);
        }
    }

    /// Compares an answer's facts with the version that is open, and looks where they leave a doubt.
    pub(super) async fn accept(&self, inode: &Inode, answer: &ObjectMeta) -> Result<()> {
        let changed = || inode.error(ErrorKind::Changed, "the object changed since it was opened");
        let judge = || inode.marks(|marks| marks.judge(answer, self.tags.habit(), self.clock.now()));
        match judge() {
            Verdict::Same => {}
            Verdict::Changed => {
                inode.break_with(changed());
                return Err(changed());
            }
            Verdict::Doubt => {
                // Never closed.
                let _turn = self.tags.looks.acquire().await.ok();
                if judge() != Verdict::Same {
                    self.look(inode, Some(answer), changed()).await?;
                }
            }
        }
        inode.learn_checksum(answer.crc64);
        if inode.marks(|marks| marks.is_loose) {
            self.found_several(inode);
        }
        if self.tags.has_several() && inode.object.etag.is_some() {
            self.tags.know(inode.object.ino, inode.marks(|marks| marks.seen.clone()));
        }
        Ok(())
    }

    /// A GET failed because the object seems to have changed, or because a tag was refused. Good if it has not, and the
    /// GET may be sent again; else that error, or one that says why it is not known. `pinned` is the tag that was asked
    /// for.
    pub(super) async fn doubt(&self, inode: &Inode, pinned: Option<&ETag>, changed: Error) -> Result<()> {
        // Never closed.
        let _turn = self.tags.looks.acquire().await.ok();
        if let Some(error) = inode.broken() {
            return Err(error);
        }
        if pinned.is_some() && inode.pin(&self.tags).is_none() {
            // Found out meanwhile.
            return Ok(());
        }
        self.look(inode, None, changed).await?;
        if pinned.is_some() {
            inode.marks(|marks| marks.is_loose = true);
        }
        Ok(())
    }

    /// Looks whether the object is still the version that is open. No read succeeds any more where it is not.
    async fn look(&self, inode: &Inode, answer: Option<&ObjectMeta>, changed: Error) -> Result<()> {
        let object = &inode.object;
        let Some(head) = self.head(inode, &changed).await? else {
            return self.look_at_listing(inode, answer, changed).await;
        };
        let mut seen = inode.marks(|marks| marks.weigh(&head, answer));
        let is_listed = seen == Seen::List;
        if is_listed {
            let entry = self.listed(object).await?;
            let weigh = |entry: ListEntry| inode.marks(|marks| marks.weigh_listed(&head, answer, &entry));
            seen = entry.map_or(Seen::Changed, weigh);
        }
        let mut is_endless = false;
        if let Seen::Again(vouched) = seen {
            let Some(again) = self.head(inode, &changed).await? else { return Err(broken(inode, changed)) };
            seen = inode.marks(|marks| marks.weigh_again([&head, &again], vouched, self.clock.now()));
            is_endless = differ_by_tag_alone([&head, &again], self.clock.now());
        }
        match seen {
            Seen::Same => {}
            Seen::TooYoung => return Err(inode.error(ErrorKind::Protocol, TOO_YOUNG)),
            _ => return Err(broken(inode, changed)),
        }
        if is_listed && object.etag.is_some() {
            self.tags.listing_differs.store(true, Ordering::Relaxed);
        }
        let has_too_many_tags = inode.marks(|marks| {
            marks.learn(head.etag.as_ref());
            marks.learn(answer.and_then(|answer| answer.etag.as_ref()));
            // Answers are compared with what answers say.
            marks.mtime = head.last_modified.or(marks.mtime);
            marks.has_too_many_tags()
        });
        if is_endless || has_too_many_tags {
            let seen = inode.marks(|marks| marks.seen.clone());
            self.found_endless(&object.key, &seen);
        }
        if answer.is_some() && object.etag.is_some() {
            self.found_several(inode);
        }
        Ok(())
    }

    /// Looks only at the listing, where HEADs are refused.
    async fn look_at_listing(&self, inode: &Inode, answer: Option<&ObjectMeta>, changed: Error) -> Result<()> {
        let entry = self.listed(&inode.object).await?;
        let is_same = |entry| inode.marks(|marks| marks.weigh_listed_alone(answer, &entry)) == Seen::Same;
        if !entry.is_some_and(is_same) {
            return Err(broken(inode, changed));
        }
        self.tags.listing_differs.store(true, Ordering::Relaxed);
        if let Some(answer) = answer {
            let seen = inode.marks(|marks| {
                marks.learn(answer.etag.as_ref());
                Some(marks.seen.clone()).filter(|_| marks.has_too_many_tags())
            });
            if let Some(seen) = seen {
                self.found_endless(&inode.object.key, &seen);
            }
            self.found_several(inode);
        }
        Ok(())
    }

    /// What a HEAD tells of the object now; `None` where it is refused. No read succeeds any more where the object has
    /// gone.
    async fn head(&self, inode: &Inode, changed: &Error) -> Result<Option<ObjectMeta>> {
        let Object { key, version, .. } = &inode.object;
        match self.store.head(HeadRequest { key: key.clone(), version: version.clone() }).await {
            Ok(head) => Ok(Some(head)),
            Err(error) if passes(error.kind()) => Err(error),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(broken(inode, changed.clone())),
            Err(_) => Ok(None),
        }
    }

    /// The object as it is listed now. Of the keys that begin like its own it is the first.
    async fn listed(&self, object: &Object) -> Result<Option<ListEntry>> {
        if object.version.is_some() {
            return Ok(None);
        }
        let prefix = object.key.as_str().to_owned();
        let page = self.store.list(ListRequest { prefix, max_keys: 1, ..ListRequest::default() }).await?;
        Ok(page.entries.into_iter().find(|entry| entry.key == object.key.as_str()))
    }

    /// Tags tell nothing in this store, neither those of answers nor perhaps those of the listing.
    fn found_endless(&self, key: &Key, seen: &(impl std::fmt::Debug + ?Sized)) {
        self.tags.listing_differs.store(true, Ordering::Relaxed);
        self.tags.several.store(true, Ordering::Relaxed);
        if self.tags.endless.swap(true, Ordering::Relaxed) {
            return;
        }
        self.metrics.set(Metric::SeveralTags, 1);
        tracing::warn!(
            key = key.as_str(),
            ?seen,
            "the store sends another entity tag with every answer for one version of an object; from now on If-Match is \
             not used, and versions are told apart by their size and time"
        );
    }

    fn found_several(&self, inode: &Inode) {
        if self.tags.several.swap(true, Ordering::Relaxed) {
            return;
        }
        self.metrics.set(Metric::SeveralTags, 1);
        let (listed, seen) = inode.marks(|marks| (marks.listed.clone(), marks.seen.clone()));
        tracing::warn!(
            key = inode.object.key.as_str(),
            ?listed,
            ?seen,
            "the store has several entity tags for one version of an object, or refuses the one that it lists; from now \
             on If-Match is not used, and the size, the time and the tags of answers are compared instead"
        );
    }
}

const TOO_YOUNG: &str = "the store sends another entity tag with every answer, and the object was modified less than a \
                         minute ago: neither its tag nor its time tells whether it has changed; read it again later";

fn broken(inode: &Inode, changed: Error) -> Error {
    inode.break_with(changed.clone());
    changed
}

/// Whether a failure says nothing of the object and may pass.
fn passes(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Server | ErrorKind::Network | ErrorKind::Timeout | ErrorKind::Throttled)
}
