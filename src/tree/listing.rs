//! Running listings, and the rounds that they feed.
//!
//! A listing comes in pages, each of which settles a span of keys; in which order is the store's affair, and several
//! listings can be on their way over the same directories. So it is the directory that keeps account: its [`Round`]
//! knows which part of its keys pages have settled since the round began, whichever listing brought them. A round whose
//! spans are all there is ends in a complete directory at once; one that no listing feeds any more breaks off, and what
//! it has shown stays known but is not settled.
//!
//! A directory that lies wholly within a page has no round at all: it is complete as the page is applied. So however
//! large a subtree is, there are only as many rounds as its pages have edges.
//!
//! Times are those at which the store was *asked*, not those of its answers: what was put before a request was sent is
//! in the answer to it, what was put later may be missing from it. A round is as old as the first request that it goes
//! back to, and so is the directory that it makes complete. That is what lets a reader judge whether a round that is
//! going on, or one that is over, shows all that the reader must see.
//!
//! And no answer takes the place of one that was asked for later: whatever the tree claims to be so as of some time
//! ([`Directory::listed_at`](super::directory::Directory), [`Round::began`], the names asked for one by one) comes from
//! answers that were asked for then or later. A page that is too old for a directory passes it by.
//!
//! How a page is merged into the children is [`page`](super::page)'s affair.

use std::collections::HashSet;
use std::time::Duration;

use super::component::EntryKind;
use super::escape::Shown;
use super::packed::{Flags, Moment, NodeId};
use super::round::{ListingId, Round};
use super::spans::{Span, Spans};
use super::types::{SnapshotId, SnapshotState};
use super::{Changes, Facts, Tree};
use crate::base::Ino;

/// How far below a directory a listing looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Depth {
    /// What lies directly in it: keys up to the next `/`.
    Directory,
    /// The directory and all below it.
    Subtree,
}

/// A listing that is going on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listing {
    pub(super) id: ListingId,
    pub(super) directory: Ino,
    /// What to list: keys below this prefix.
    pub prefix: String,
    /// Whether up to the next `/` or all of them.
    pub depth: Depth,
}

/// One line of a listing.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Item<'a> {
    /// An object, by its raw key.
    Object(&'a str, Facts<'a>),
    /// A common prefix, raw, with its `/`.
    Prefix(&'a str),
}

impl<'a> Item<'a> {
    /// Where it stands in the order of keys.
    pub fn key(&self) -> &'a str {
        match self {
            Item::Object(key, _) | Item::Prefix(key) => key,
        }
    }
}

/// A part of the tree that is looked at in one go.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TreePart(usize);

/// Whether a listing still has something to bring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It has more to bring.
    Wanted,
    /// The round that it was begun for is over, by its own pages or by others: the listing can end.
    Settled,
    /// The directory is gone, and the listing can end.
    Gone,
}

/// What the tree keeps of a listing.
#[derive(Debug)]
pub(super) struct Ongoing {
    pub(super) directory: NodeId,
    /// What it takes part in must show the store as of this time or later.
    oldest: Duration,
    /// Directories whose rounds it has fed, of which most have ended since.
    fed: Vec<NodeId>,
}

impl Tree {
    /// Begins a listing: of what lies directly in a directory, or of all below it. `None` if there is no such
    /// directory. Any number may go on at once, over the same directories too. What others have settled of the
    /// directory counts only where it shows the store as of `oldest` or later; else the directory begins from nothing.
    pub fn begin_listing(&mut self, directory: Ino, depth: Depth, now: Duration, oldest: Duration) -> Option<Listing> {
        let id = self.find_ino(directory)?;
        let node = self.nodes.at(id);
        if node.flags.has(Flags::REMOVED) || !node.is_directory() {
            return None;
        }
        let listing = Listing { id: ListingId(self.id()), directory, prefix: self.key_of(id)?, depth };
        self.listings.insert(listing.id, Ongoing { directory: id, oldest, fed: Vec::new() });
        self.directory_mut(id).extras_mut().listings += 1;
        self.round(id, listing.id, now);
        Some(listing)
    }

    /// Whether a listing still has something to bring.
    pub fn standing(&self, listing: &Listing) -> Standing {
        match self.listings.get(&listing.id) {
            None => Standing::Gone,
            Some(_) if listing.depth == Depth::Subtree => Standing::Wanted,
            Some(ongoing) => match self.directory(ongoing.directory).round() {
                Some(round) if round.feeders.contains(&listing.id) => Standing::Wanted,
                _ => Standing::Settled,
            },
        }
    }

    /// The time that the round shows the store as of which a directory's own listing was begun for; `None` once that
    /// round is over.
    pub fn as_of(&self, listing: &Listing) -> Option<Duration> {
        let directory = self.listings.get(&listing.id)?.directory;
        let round = self.directory(directory).round()?;
        round.feeders.contains(&listing.id).then_some(round.began)
    }

    /// Directories that were listed before a time, or whose round must show the store as of a later one and is not
    /// over: of `directory` and, with [`Depth::Subtree`], of all below it. Looks at one part of the tree, which
    /// [`TreePart::default`] begins with, and returns the next part; `None` after the last.
    pub fn listed_before(
        &self,
        directory: Ino,
        depth: Depth,
        time: Duration,
        part: TreePart,
    ) -> (Vec<Ino>, Option<TreePart>) {
        let Some(top) = self.find_ino(directory) else { return (Vec::new(), None) };
        let is_before = |&id: &NodeId| {
            let node = self.nodes.get(id).filter(|node| !node.flags.has(Flags::REMOVED));
            let Some(state) = node.and_then(|node| node.directory()) else { return false };
            let is_demanded = || state.round().is_some_and(|round| round.oldest > time);
            state.listed_at().map_or_else(is_demanded, |at| at < time)
        };
        let ino = |id| self.nodes.get(id).map(|node| node.ino);
        if depth == Depth::Directory {
            return (Some(top).filter(is_before).and_then(ino).into_iter().collect(), None);
        }
        let Some(ids) = self.nodes.ids_in(part.0) else { return (Vec::new(), None) };
        let ids = ids.filter(is_before).filter(|&id| self.is_within(id, top));
        (ids.filter_map(ino).collect(), Some(TreePart(part.0 + 1)))
    }

    /// Whether a node is `top`, or lies below it.
    fn is_within(&self, id: NodeId, top: NodeId) -> bool {
        let up = |&id: &NodeId| self.nodes.get(id).filter(|_| id != NodeId::ROOT).map(|node| node.parent);
        std::iter::successors(Some(id), up).any(|id| id == top)
    }

    /// The listing has ended, well or not. What pages have covered is complete already; other directories, which no
    /// other listing feeds, break off: what was shown of them stays known, and is not settled.
    pub fn end_listing(&mut self, listing: &Listing) {
        self.end(listing.id);
    }

    fn end(&mut self, id: ListingId) {
        let Some(ongoing) = self.listings.remove(&id) else { return };
        for directory in ongoing.fed {
            let Some(state) = self.nodes.get_mut(directory).and_then(|node| node.directory_mut()) else { continue };
            let Some(round) = state.round_mut() else { continue };
            let feeders = round.feeders.len();
            round.feeders.retain(|&feeder| feeder != id);
            if round.feeders.is_empty() && feeders > 0 {
                self.break_off(directory);
            }
        }
        let state = self.directory_mut(ongoing.directory);
        let extras = state.extras_mut();
        extras.listings = extras.listings.saturating_sub(1);
        state.drop_unused_extras();
        self.offer(ongoing.directory);
        self.free_if_unused(ongoing.directory);
    }

    /// Ends the listings of a directory that has gone.
    pub(super) fn end_listings_of(&mut self, directory: NodeId) {
        let of = self.listings.iter().filter(|(_, ongoing)| ongoing.directory == directory).map(|(&id, _)| id);
        for id in of.collect::<Vec<_>>() {
            self.end(id);
        }
    }

    /// The round of a directory, which this listing feeds from now on.
    pub(super) fn round(&mut self, id: NodeId, listing: ListingId, now: Duration) -> &mut Round {
        let oldest = self.listings.get(&listing).map_or(Duration::ZERO, |ongoing| ongoing.oldest);
        match self.directory_mut(id).round_mut().filter(|round| round.began < oldest) {
            // Its handles go on reading it; what it makes complete is believed by none that comes later.
            Some(round) if round.snapshot.is_some() => round.began = Duration::ZERO,
            Some(_) => self.break_off(id),
            None => {}
        }
        let round = &mut self.nodes.directory_mut(id).extras_mut().round;
        let round = round.get_or_insert_with(|| Round {
            began: now,
            oldest,
            spans: Spans::default(),
            deep: Spans::default(),
            shown_at: None,
            feeders: Vec::new(),
            snapshot: None,
            announced: HashSet::new(),
        });
        round.oldest = round.oldest.max(oldest);
        if !round.feeders.contains(&listing) {
            round.feeders.push(listing);
            if let Some(ongoing) = self.listings.get_mut(&listing) {
                ongoing.fed.push(id);
            }
        }
        round
    }

    /// A page has settled this part of a directory: its children are up to date there. Whether that was the last part,
    /// and there is nothing in the directory.
    pub(super) fn settle_span(
        &mut self,
        id: NodeId,
        listing: ListingId,
        page: Settled<'_>,
        now: Duration,
        changes: &mut Changes,
    ) -> bool {
        let Settled { span, depth, shown } = page;
        if span == Span::ALL && self.directory(id).round().is_none() {
            return self.complete(id, now, changes);
        }
        let all = span == Span::ALL;
        let round = self.round(id, listing, now);
        // A page of the whole directory says all by itself.
        round.began = if all { now } else { round.began.min(now) };
        let snapshot = round.snapshot;
        let before = snapshot.map(|_| round.spans.clone());
        round.spans.add(span);
        if depth == Depth::Subtree {
            round.deep.add(span);
        }
        if shown {
            round.shown_at = Some(now);
        }
        let whole = round.spans.is_all();
        self.show_cut(id, span, now, changes);
        if let Some(before) = before {
            self.extend_snapshot(id, &before, span);
        }
        whole && self.complete(id, now, changes)
    }

    /// Files that a bound of the span has cut off the directory that may take their name are settled with the other
    /// side of the bound.
    fn show_cut(&mut self, id: NodeId, span: Span<'_>, now: Duration, changes: &mut Changes) {
        for name in span.cut() {
            let settled = self.directory(id).round().is_some_and(|round| round.spans.settle(name));
            if let Some(file) = self.find(id, name, EntryKind::File).filter(|_| settled) {
                self.show(id, file, now, changes);
            }
        }
    }

    /// A directory that a page has just shown begins with what earlier pages have settled of it without showing it.
    pub(super) fn inherit_round(&mut self, parent: NodeId, id: NodeId, listing: ListingId, now: Duration) {
        let state = self.directory(id);
        if state.round().is_some() || state.listed_at.is_some() || !state.children.is_empty() {
            return;
        }
        let Some(above) = self.directory(parent).round() else { return };
        let spans = above.deep.below(self.nodes.name(id));
        let round = self.round(id, listing, now);
        (round.spans, round.deep) = (spans.clone(), spans);
    }

    /// All of a directory is settled. Whether there is nothing in it.
    fn complete(&mut self, id: NodeId, now: Duration, changes: &mut Changes) -> bool {
        self.drop_unneeded_parts(id, changes);
        self.touch(id);
        let as_of = self.directory(id).round().map_or(now, |round| round.began);
        self.forget_probes_until(id, as_of);
        let state = self.directory_mut(id);
        state.listed_at = Some(Moment::new(as_of));
        let deserted = state.children.is_empty() && !state.marked && id != NodeId::ROOT;
        let snapshot = state.extras.as_mut().and_then(|extras| extras.round.take()?.snapshot);
        state.drop_unused_extras();
        // Nothing below it: the directory itself may be gone, and the next look-up of it finds out.
        self.nodes.at_mut(id).flags.set(Flags::STALE, deserted);
        if let Some(snapshot) = snapshot {
            self.end_snapshot(snapshot, SnapshotState::Complete);
        }
        deserted
    }

    /// Whether what is known of a directory, or must become known, is younger than an answer of this age.
    pub(super) fn is_beyond(&self, id: NodeId, as_of: Duration) -> bool {
        let state = self.directory(id);
        state.listed_at().is_some_and(|at| at > as_of) || state.round().is_some_and(|round| round.oldest > as_of)
    }

    /// The round of a directory must show the store as of some time, which it does, or later.
    pub(super) fn demand(&mut self, id: NodeId, oldest: Duration) {
        if let Some(round) = self.directory_mut(id).round_mut() {
            round.oldest = round.oldest.max(oldest);
        }
    }

    /// Listings have turned out to be wrong in what they have settled: no directory is known whole any more, and of no
    /// name is it known that it is not there. What was shown is there all the same. Handles on the way go on with
    /// [`Tree::catch_up`] when they have read what they had.
    pub fn doubt(&mut self) {
        for id in self.nodes.ids() {
            let Some(state) = self.nodes.get_mut(id).and_then(|node| node.directory_mut()) else { continue };
            state.listed_at = None;
            if let Some(round) = state.round_mut() {
                (round.spans, round.deep, round.snapshot) = (Spans::default(), Spans::default(), None);
                round.announced.clear();
            }
        }
        self.doubt_snapshots();
    }

    /// A round ends before all of the directory is settled.
    pub(super) fn break_off(&mut self, id: NodeId) {
        self.end_round(id, SnapshotState::Broken);
    }

    pub(super) fn end_round(&mut self, id: NodeId, end: SnapshotState) {
        self.offer(id);
        let state = self.directory_mut(id);
        let round = state.extras.as_mut().and_then(|extras| extras.round.take());
        state.drop_unused_extras();
        if let Some(snapshot) = round.and_then(|round| round.snapshot) {
            self.end_snapshot(snapshot, end);
        }
    }

    /// Whether an entry that a page does not show is there nevertheless, since it was asked for later.
    pub(super) fn stays(&self, parent: NodeId, id: NodeId, as_of: Duration) -> bool {
        self.is_probed_after(parent, self.nodes.name(id), as_of)
    }

    /// Whether there may be any such entry.
    pub(super) fn may_stay(&self, parent: NodeId, as_of: Duration) -> bool {
        self.directory(parent).extras.as_ref().is_some_and(|extras| extras.probed_last > as_of)
    }

    /// Whether a name was asked for alone after a page was.
    pub(super) fn is_probed_after(&self, parent: NodeId, component: &str, as_of: Duration) -> bool {
        let Some(extras) = &self.directory(parent).extras else { return false };
        extras.probed_last > as_of && extras.probed.get(component).is_some_and(|&at| at > as_of)
    }

    /// Puts an entry into the list of this round's handles before all that it stands for is settled.
    pub(super) fn announce(&mut self, parent: NodeId, id: NodeId) {
        let named = self.has_name(id);
        let Some(round) = self.directory_mut(parent).round_mut() else { return };
        if let Some(snapshot) = round.snapshot
            && named
            && round.announced.insert(id)
        {
            self.push_to_snapshot(snapshot, &[id]);
        }
    }

    /// Puts into the list of this round's handles what a span has settled that was not settled before.
    fn extend_snapshot(&mut self, id: NodeId, before: &Spans, span: Span<'_>) {
        let state = self.directory(id);
        let Some(round) = state.round() else { return };
        let Some(snapshot) = round.snapshot else { return };
        let overlaps = before.touch(span);
        let mut new = Vec::new();
        for piece in state.children.pieces(self.range(id, span)) {
            let whole = piece.ids().iter().copied().filter(|&child| self.settled_by(child, span));
            new.extend(whole.filter(|&child| !overlaps || !self.settled_in(child, before)));
        }
        let mut cut = Vec::new();
        for name in span.cut() {
            for child in
                [EntryKind::File, EntryKind::Directory].into_iter().filter_map(|role| self.find(id, name, role))
            {
                let settled = self.settled_in(child, &round.spans) && !self.settled_in(child, before);
                if settled && !self.settled_by(child, span) && !cut.contains(&child) {
                    cut.push(child);
                }
            }
        }
        new.append(&mut cut);
        new.retain(|child| !round.announced.contains(child) && self.has_name(*child));
        self.push_to_snapshot(snapshot, &new);
    }

    pub(super) fn settled_by(&self, id: NodeId, span: Span<'_>) -> bool {
        match self.order_key(id) {
            (name, EntryKind::File) => span.settles(name),
            (name, EntryKind::Directory) => span.settles_below(name),
        }
    }

    fn settled_in(&self, id: NodeId, spans: &Spans) -> bool {
        match self.order_key(id) {
            (name, EntryKind::File) => spans.settle(name),
            (name, EntryKind::Directory) => spans.settle_below(name),
        }
    }

    /// The list for handles that are opened in this round: all that it has settled so far.
    pub(super) fn snapshot_of_round(&mut self, id: NodeId) -> Option<SnapshotId> {
        if let Some(snapshot) = self.directory(id).round()?.snapshot {
            return Some(snapshot);
        }
        let snapshot = self.new_snapshot(id, SnapshotState::Growing);
        let state = self.directory(id);
        let round = state.round()?;
        let (mut chunks, mut announced) = (Vec::new(), HashSet::new());
        for span in round.spans.iter() {
            let range = self.range(id, span);
            // Entries that a bound of the span cuts, and that are not settled for it, stand somewhere within.
            let mut left_out = Vec::new();
            for name in span.cut() {
                for role in [EntryKind::File, EntryKind::Directory] {
                    let Ok(at) = self.place(id, name, role) else { continue };
                    let Some(child) = state.children.entry(at) else { continue };
                    if self.settled_in(child, &round.spans) {
                        continue;
                    }
                    if self.exists_since(child, round.began) && self.has_name(child) {
                        announced.insert(child);
                    }
                    if range.contains(&at) {
                        left_out.push(at);
                    }
                }
            }
            left_out.sort_unstable();
            left_out.dedup();
            let mut from = range.start;
            for at in left_out {
                chunks.extend(state.children.pieces(from..at));
                from = state.children.next(at);
            }
            chunks.extend(state.children.pieces(from..range.end));
        }
        announced.extend(state.parts().iter().filter(|part| part.shown_at >= round.began).map(|part| part.id));
        self.fill_snapshot(snapshot, chunks, state.nameless);
        self.push_to_snapshot(snapshot, &announced.iter().copied().collect::<Vec<_>>());
        let round = self.directory_mut(id).round_mut()?;
        round.snapshot = Some(snapshot);
        round.announced = announced;
        Some(snapshot)
    }

    /// No handle reads the list of this round any more.
    pub(super) fn forget_snapshot_of_round(&mut self, id: NodeId, snapshot: SnapshotId) {
        if let Some(round) = self.directory_mut(id).round_mut().filter(|round| round.snapshot == Some(snapshot)) {
            round.snapshot = None;
            round.announced.clear();
        }
    }

    /// Whether a directory was seen to exist at or after some time by what it holds.
    fn exists_since(&self, id: NodeId, since: Duration) -> bool {
        self.proven_at(id).is_some_and(|at| at >= since)
    }

    /// When a directory was last seen to exist by what it holds: that settles its own name, since a directory takes
    /// it from a file.
    pub(super) fn proven_at(&self, id: NodeId) -> Option<Duration> {
        let state = self.nodes.at(id).directory()?;
        let listed = state.listed_at().filter(|_| state.marked || !state.children.is_empty());
        listed.max(state.round().and_then(|round| round.shown_at))
    }

    /// What follows from an entry's name once it is settled: one without a name is reported, and one too long for
    /// one is shown in a part directory.
    pub(super) fn show(&mut self, parent: NodeId, id: NodeId, now: Duration, changes: &mut Changes) {
        let piece = match self.shown_of(id) {
            Some(Shown::Plain(_) | Shown::Escaped(_)) => return,
            Some(Shown::Hidden(odd)) => {
                let node = self.nodes.at_mut(id);
                if !node.flags.has(Flags::REPORTED) {
                    node.flags.set(Flags::REPORTED, true);
                    changes.odd.extend(self.key_of(id).map(|key| super::OddKey { key, odd }));
                }
                None
            }
            Some(Shown::InPart(piece)) => Some(piece.to_owned()),
            None => None,
        };
        self.directory_mut(parent).nameless = true;
        if let Some(piece) = piece {
            let part = self.part(parent, &piece, now);
            self.announce(parent, part);
        }
    }

    /// Part directories that no entry is shown in any more.
    fn drop_unneeded_parts(&mut self, id: NodeId, changes: &mut Changes) {
        let parts = self.directory(id).parts().iter().map(|part| part.id);
        let unneeded: Vec<NodeId> = parts.filter(|&part| !self.is_needed(id, part)).collect();
        if unneeded.is_empty() {
            return;
        }
        self.directory_mut(id).extras_mut().parts.retain(|part| !unneeded.contains(&part.id));
        for part in unneeded {
            self.detach(part, changes);
        }
    }

    fn is_needed(&self, id: NodeId, part: NodeId) -> bool {
        let piece = self.nodes.name(part);
        let children = &self.directory(id).children;
        let (Ok(mut at) | Err(mut at)) = self.place(id, piece, EntryKind::File);
        while let Some(child) = children.entry(at).filter(|&child| self.nodes.name(child).starts_with(piece)) {
            if self.shown_of(child) == Some(Shown::InPart(piece)) {
                return true;
            }
            at = children.next(at);
        }
        false
    }
}

/// What a page settles of one directory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settled<'s> {
    pub(super) span: Span<'s>,
    pub(super) depth: Depth,
    /// Whether it has shown anything there.
    pub(super) shown: bool,
}
