//! Merging one page of a listing into the children of the directories that it touches.
//!
//! Within the page's span the page is all there is. In every directory the children and the lines of the page are two
//! sorted lists: what both have stays as it is, number and all; what only the page has is new; what only the children
//! have is gone. The result takes their place in one piece, so that a page costs what it holds, and a page that
//! changes nothing changes no list.
//!
//! The lines of a subtree's page lead into directories and out of them again in the order of the keys: [`Frame`]s are
//! the directories on the way to the present line. Those that a bound of the span runs through (the span may begin in
//! the middle of `a/b/`) are settled in part, whether or not the page shows anything there; all others are settled
//! whole.

use std::cmp::Ordering;
use std::time::Duration;

use super::arena::NAME_BYTES;
use super::children::{At, Piece};
use super::component::{EntryKind, compare};
use super::listing::{Depth, Item, Listing, Settled, Standing};
use super::packed::{Flags, NodeId, PackedTime};
use super::round::ListingId;
use super::spans::Span;
use super::{Changes, Facts, Outdated, Tree};
use crate::base::KeySpan;

/// Old children that are passed one by one before the next one shown is looked up instead.
const NEAR: u32 = 8;

impl Tree {
    /// Applies one page: within `span` the items are all there is. Pages may come in any order, and more than once.
    /// Items outside of the span are left out: other pages settle those. A listing of a subtree has no common prefixes.
    /// What has gone waits for [`Tree::sweep`]. `now` is when the page was asked for.
    pub fn apply<'a>(
        &mut self,
        listing: &Listing,
        span: &KeySpan,
        items: impl IntoIterator<Item = Item<'a>>,
        now: Duration,
    ) -> (Standing, Changes) {
        let mut changes = Changes::default();
        let standing = self.standing(listing);
        let Some(directory) = self.listings.get(&listing.id).map(|ongoing| ongoing.directory) else {
            return (standing, changes);
        };
        if standing != Standing::Wanted {
            return (standing, changes);
        }
        let listed = |key: &str| {
            key.starts_with(&listing.prefix) && key.len() <= NAME_BYTES && span.holds(place_in_listing(listing, key))
        };
        let mut within: Vec<Item<'_>> = items.into_iter().filter(|item| listed(item.key())).collect();
        if !within.is_sorted_by_key(Item::key) {
            within.sort_by_key(Item::key);
        }
        let mut page = Page {
            id: listing.id,
            depth: listing.depth,
            span,
            now,
            path: listing.prefix.clone(),
            frames: Vec::new(),
            shown: Vec::new(),
            pending: Vec::new(),
            in_part: Vec::new(),
            changes: &mut changes,
        };
        page.merge(self, directory, &within);
        (self.standing(listing), changes)
    }
}

/// Where a line stands in a listing: a server that does not collapse keys below a directory shows them in its place.
fn place_in_listing<'k>(listing: &Listing, key: &'k str) -> &'k str {
    match listing.depth {
        Depth::Subtree => key,
        Depth::Directory => {
            let prefix = listing.prefix.len();
            key[prefix..].find('/').map_or(key, |at| &key[..=prefix + at])
        }
    }
}

/// A page on its way into the tree.
struct Page<'p> {
    id: ListingId,
    depth: Depth,
    span: &'p KeySpan,
    now: Duration,

    /// The prefix of the innermost directory; each frame's is a beginning of it.
    path: String,
    frames: Vec<Frame>,
    /// What the page shows in the directories of `frames`, one behind the other.
    shown: Vec<NodeId>,
    /// Files of `shown` whose name a directory may still take, likewise. Within a frame it is a stack: whatever waits
    /// at one place is a beginning of whatever came later.
    pending: Vec<NodeId>,
    /// Directories that were settled in part, and in which something was shown.
    in_part: Vec<(NodeId, NodeId)>,
    changes: &'p mut Changes,
}

/// A directory that the page touches.
#[derive(Clone, Copy, Debug)]
struct Frame {
    directory: NodeId,
    /// Bytes of its prefix.
    prefix: usize,
    /// Whether the span begins, or ends, in the middle of it.
    cut: Cut,
    /// The page is too old for it: it leads through to what lies below, and changes nothing.
    passive: bool,
    /// The children within the span, and the first of them that the page has not passed.
    begin: At,
    cursor: At,
    end: At,
    /// Where its part of [`Page::shown`] and [`Page::pending`] begins.
    shown: usize,
    pending: usize,
    /// Whether the children differ from what is shown.
    changed: bool,
    /// Whether the directory is held, so that an entry that has gone stays alive while it stands among the children.
    held: bool,
    /// Whether the page has shown anything in it, and its marker.
    occupied: bool,
    marker: Option<PackedTime>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Cut {
    left: bool,
    right: bool,
}

impl<'p> Page<'p> {
    fn merge(&mut self, tree: &mut Tree, directory: NodeId, items: &[Item<'_>]) {
        let prefix = self.path.as_str();
        let KeySpan { from, before } = self.span;
        let cut = Cut {
            left: from.starts_with(prefix),
            right: before.as_deref().is_some_and(|before| before.starts_with(prefix)),
        };
        let beyond = !cut.left && **from > *prefix;
        let ahead = !cut.right && before.as_deref().is_some_and(|before| before <= prefix);
        if beyond || ahead || self.span.is_empty() {
            return;
        }
        self.open(tree, directory, prefix.len(), cut);
        if self.depth == Depth::Subtree {
            self.open_at_beginning(tree, items.first().map(Item::key));
        }
        for item in items {
            self.item(tree, item);
        }
        if self.depth == Depth::Subtree {
            self.open_at_end(tree);
        }
        while !self.frames.is_empty() {
            self.close(tree);
        }
        for (parent, directory) in std::mem::take(&mut self.in_part) {
            let settled =
                tree.directory(parent).round().is_none_or(|round| round.spans.settle_below(tree.nodes.name(directory)));
            if !settled {
                tree.announce(parent, directory);
            }
        }
    }

    /// The part of a directory that the page settles.
    fn span_in(&self, frame: &Frame) -> Span<'p> {
        let before = self.span.before.as_deref().filter(|_| frame.cut.right);
        Span {
            from: if frame.cut.left { &self.span.from[frame.prefix..] } else { "" },
            before: before.map(|before| &before[frame.prefix..]),
        }
    }

    fn open(&mut self, tree: &Tree, directory: NodeId, prefix: usize, cut: Cut) {
        let mut frame = Frame {
            directory,
            prefix,
            cut,
            passive: tree.is_beyond(directory, self.now),
            begin: At::default(),
            cursor: At::default(),
            end: At::default(),
            shown: self.shown.len(),
            pending: self.pending.len(),
            changed: false,
            held: false,
            occupied: false,
            marker: None,
        };
        frame.locate(tree, self.span_in(&frame));
        self.frames.push(frame);
    }

    /// Opens a directory in the innermost one, whose component is the next one of `path`.
    fn open_below(&mut self, tree: &mut Tree, directory: NodeId, path: &str, prefix: usize) {
        let Some(parent) = self.frames.last() else { return };
        let from = parent.prefix;
        let same = |bound: &str| bound.get(from..prefix) == Some(&path[from..prefix]);
        let cut = Cut {
            left: parent.cut.left && same(&self.span.from),
            right: parent.cut.right && self.span.before.as_deref().is_some_and(same),
        };
        if cut.left || cut.right {
            tree.inherit_round(parent.directory, directory, self.id, self.now);
        }
        self.path.truncate(from);
        self.path.push_str(&path[from..prefix]);
        self.open(tree, directory, prefix, cut);
    }

    /// Opens the directories that the span begins in the middle of, as far as they are known or shown.
    fn open_at_beginning(&mut self, tree: &mut Tree, first: Option<&str>) {
        let from: &'p str = &self.span.from;
        while let Some(frame) = self.frames.last().copied().filter(|frame| frame.cut.left) {
            let Some((component, below)) = from[frame.prefix..].split_once('/') else { return };
            let prefix = frame.prefix + component.len() + 1;
            let shown = first.is_some_and(|first| first.starts_with(&from[..prefix]));
            if below.is_empty() || !(shown || tree.find(frame.directory, component, EntryKind::Directory).is_some()) {
                return;
            }
            if shown && !frame.passive && !tree.is_probed_after(frame.directory, component, self.now) {
                tree.put(frame.directory, component, EntryKind::Directory, &Facts::default(), self.now, self.changes);
                let span = self.span_in(&frame);
                if let Some(frame) = self.frames.last_mut() {
                    frame.occupied = true;
                    frame.locate(tree, span);
                }
            }
            let Some(id) = tree.find(frame.directory, component, EntryKind::Directory) else { return };
            self.open_below(tree, id, from, prefix);
        }
    }

    /// Opens the directories that the span ends in the middle of and that no line has led into.
    fn open_at_end(&mut self, tree: &mut Tree) {
        let Some(before) = self.span.before.as_deref() else { return };
        while self.frames.last().is_some_and(|frame| !frame.cut.right) && self.frames.len() > 1 {
            self.close(tree);
        }
        while let Some(frame) = self.frames.last().copied().filter(|frame| frame.cut.right) {
            let Some((component, below)) = before[frame.prefix..].split_once('/') else { return };
            let key = (component, EntryKind::Directory);
            if frame.passive {
                let known = tree.find(frame.directory, component, EntryKind::Directory);
                let Some(id) = known.filter(|_| !below.is_empty()) else { return };
                self.open_below(tree, id, before, frame.prefix + component.len() + 1);
                continue;
            }
            self.pass(tree, key);
            let Some(id) = self.old(tree).filter(|&id| !below.is_empty() && tree.order_key(id) == key) else { return };
            self.step(tree);
            self.shown.push(id);
            self.open_below(tree, id, before, frame.prefix + component.len() + 1);
        }
    }

    fn item(&mut self, tree: &mut Tree, item: &Item<'_>) {
        let key = item.key();
        while self.frames.len() > 1 && !key.starts_with(&self.path) {
            self.close(tree);
        }
        while let Some(frame) = self.frames.last_mut() {
            let (directory, rest) = (frame.directory, &key[frame.prefix..]);
            frame.occupied = true;
            if let Some((component, _)) = rest.split_once('/') {
                let prefix = frame.prefix + component.len() + 1;
                let id = self.entry(tree, component, EntryKind::Directory, &Facts::default());
                let Some(id) = id.filter(|_| self.depth == Depth::Subtree) else { return };
                self.open_below(tree, id, key, prefix);
                continue;
            }
            let Item::Object(_, facts) = item else { return };
            // An empty component is a marker; with content it is an object like others. A part directory has none.
            let part = tree.nodes.at(directory).flags.has(Flags::PART);
            if rest.is_empty() && !part {
                frame.marker = Some(PackedTime::new(facts.mtime));
            }
            if !rest.is_empty() || (facts.size > 0 && !part) {
                self.entry(tree, rest, EntryKind::File, facts);
            }
            return;
        }
    }

    /// The page shows an entry in the innermost directory. `None` where something later says that it is not there.
    fn entry(&mut self, tree: &mut Tree, component: &str, role: EntryKind, facts: &Facts<'_>) -> Option<NodeId> {
        let &frame = self.frames.last()?;
        let key = (component, role);
        if frame.passive {
            return tree.find(frame.directory, component, role);
        }
        if let Some(&last) = self.shown[frame.shown..].last()
            && tree.order_key(last) == key
        {
            return Some(last);
        }
        self.pass(tree, key);
        let old = self.old(tree).filter(|&id| tree.order_key(id) == key);
        let probed = tree.is_probed_after(frame.directory, component, self.now);
        if probed && old.is_none() {
            return None;
        }
        self.settle_pending(tree, key);
        let id = match old {
            Some(old) if probed => {
                self.step(tree);
                old
            }
            Some(old) => {
                self.step(tree);
                if !tree.is_same(old, facts) {
                    self.hold(tree);
                }
                let id = tree.refresh(old, facts, self.now, self.changes);
                self.change(id != old);
                id
            }
            None => {
                self.change(true);
                tree.add(frame.directory, component, role, facts)
            }
        };
        self.shown.push(id);
        match role {
            EntryKind::Directory => tree.show(frame.directory, id, self.now, self.changes),
            EntryKind::File => self.pending.push(id),
        }
        Some(id)
    }

    fn change(&mut self, changed: bool) {
        if let Some(frame) = self.frames.last_mut() {
            frame.changed |= changed;
        }
    }

    /// From now on, no entry of the innermost directory leaves the arena before the page leaves the directory.
    fn hold(&mut self, tree: &mut Tree) {
        if let Some(frame) = self.frames.last_mut().filter(|frame| !frame.held) {
            frame.held = true;
            tree.hold(frame.directory);
        }
    }

    /// The first old child of the innermost directory that the page has not passed.
    fn old(&self, tree: &Tree) -> Option<NodeId> {
        let frame = self.frames.last().filter(|frame| frame.cursor < frame.end)?;
        tree.directory(frame.directory).children.entry(frame.cursor)
    }

    fn step(&mut self, tree: &Tree) {
        if let Some(frame) = self.frames.last_mut() {
            frame.cursor = tree.directory(frame.directory).children.next(frame.cursor);
        }
    }

    /// Old children before this place have not been shown again: they are gone.
    fn pass(&mut self, tree: &mut Tree, key: (&str, EntryKind)) {
        let Some(&Frame { cursor: from, .. }) = self.frames.last() else { return };
        let mut passed = 0;
        while let Some(id) = self.old(tree)
            && compare(tree.order_key(id), key) == Ordering::Less
        {
            passed += 1;
            if passed > NEAR {
                self.jump(tree, key);
                break;
            }
            self.step(tree);
        }
        if passed > 0 {
            self.bury(tree, from);
        }
    }

    fn jump(&mut self, tree: &Tree, key: (&str, EntryKind)) {
        if let Some(frame) = self.frames.last_mut() {
            let (Ok(at) | Err(at)) = tree.place(frame.directory, key.0, key.1);
            frame.cursor = at.min(frame.end);
        }
    }

    /// The children from a place to the cursor are gone. They stay alive for as long as they stand among the children.
    fn bury(&mut self, tree: &mut Tree, from: At) {
        let Some(&Frame { directory, cursor, .. }) = self.frames.last() else { return };
        let children = &tree.directory(directory).children;
        let pieces: Vec<Piece> = children.pieces(from..cursor).collect();
        if !tree.may_stay(directory, self.now) {
            self.change(!pieces.is_empty());
            return tree.bury(pieces);
        }
        let mut gone = Vec::new();
        for id in pieces.iter().flat_map(|piece| piece.ids()).copied() {
            if tree.stays(directory, id, self.now) {
                self.keep(tree, id);
            } else {
                gone.push(id);
            }
        }
        if !gone.is_empty() {
            self.change(true);
            // Alive until it is swept: it stands among the children for as long as the page goes on.
            tree.bury([Piece::new(gone.into())]);
        }
    }

    fn keep(&mut self, tree: &mut Tree, id: NodeId) {
        let (name, role) = tree.order_key(id);
        let name = name.to_owned();
        self.settle_pending(tree, (&name, role));
        self.shown.push(id);
        if role == EntryKind::File {
            self.pending.push(id);
        }
    }

    /// Files whose name no directory can take any more, now that the page has come to this place.
    fn settle_pending(&mut self, tree: &mut Tree, reached: (&str, EntryKind)) {
        let Some(&Frame { directory, pending, .. }) = self.frames.last() else { return };
        while self.pending.len() > pending
            && let Some(&id) = self.pending.last()
        {
            let taken = compare(reached, (tree.order_key(id).0, EntryKind::Directory));
            if taken == Ordering::Less {
                return;
            }
            self.pending.pop();
            tree.shade(id, taken == Ordering::Equal, self.changes);
            tree.show(directory, id, self.now, self.changes);
        }
    }

    /// The same at the end of a directory's part of the page. What a bound of that part cuts is seen to by
    /// [`Page::shade_cut`].
    fn settle_all_pending(&mut self, tree: &mut Tree, frame: &Frame, span: Span<'_>) {
        for id in self.pending.split_off(frame.pending) {
            if tree.settled_by(id, span) {
                tree.shade(id, false, self.changes);
                tree.show(frame.directory, id, self.now, self.changes);
            }
        }
    }

    /// The page has left the innermost directory.
    fn close(&mut self, tree: &mut Tree) {
        if self.frames.last().is_some_and(|frame| frame.passive) {
            self.frames.pop();
            self.path.truncate(self.frames.last().map_or(0, |parent| parent.prefix));
            return;
        }
        if let Some(frame) = self.frames.last_mut() {
            let from = frame.cursor;
            frame.cursor = frame.end;
            self.bury(tree, from);
        }
        let Some(frame) = self.frames.pop() else { return };
        self.path.truncate(self.frames.last().map_or(0, |parent| parent.prefix));
        if frame.changed {
            let shown = &self.shown[frame.shown..];
            tree.change_children(frame.directory, |children| children.splice(frame.begin..frame.end, shown));
        }
        self.shown.truncate(frame.shown);
        let span = self.span_in(&frame);
        self.settle_all_pending(tree, &frame, span);
        self.shade_cut(tree, &frame, span);
        if span.from.is_empty() {
            self.mark(tree, &frame);
        }
        if let Some(parent) = self.frames.last()
            && frame.occupied
            && !parent.passive
            && (frame.cut.left || frame.cut.right)
        {
            self.in_part.push((parent.directory, frame.directory));
        }
        let settled = Settled { span, depth: self.depth, shown: frame.occupied };
        let deserted = tree.settle_span(frame.directory, self.id, settled, self.now, self.changes);
        if frame.held {
            tree.release(frame.directory);
        }
        if deserted {
            self.drop_deserted(tree, &frame);
        }
    }

    /// A directory that this page and others have settled, and in which none has shown anything, is gone.
    fn drop_deserted(&mut self, tree: &mut Tree, frame: &Frame) {
        let Some(&parent) = self.frames.last().filter(|parent| !parent.passive) else { return };
        if frame.cut.left {
            // No line has led back into the directory above so far.
            let name = tree.nodes.name(frame.directory).to_owned();
            tree.take_out(parent.directory, &name, EntryKind::Directory, self.changes);
            let span = self.span_in(&parent);
            if let Some(parent) = self.frames.last_mut() {
                parent.locate(tree, span);
            }
        } else {
            // It is the last that was shown above, since the page ends here.
            self.shown.pop();
            self.change(true);
            self.hold(tree);
            tree.detach(frame.directory, self.changes);
        }
    }

    /// Files that stand on one side of a bound while the directory that takes their name stands on the other.
    fn shade_cut(&mut self, tree: &mut Tree, frame: &Frame, span: Span<'_>) {
        for name in span.cut() {
            if let Some(file) = tree.find(frame.directory, name, EntryKind::File) {
                let shadowed = tree.find(frame.directory, name, EntryKind::Directory).is_some();
                tree.shade(file, shadowed, self.changes);
            }
        }
    }

    /// The page covers the place of the directory's marker.
    fn mark(&mut self, tree: &mut Tree, frame: &Frame) {
        let state = tree.directory_mut(frame.directory);
        let mtime = frame.marker.unwrap_or(PackedTime::UNKNOWN);
        state.marked = frame.marker.is_some();
        if std::mem::replace(&mut state.mtime, mtime) != mtime {
            let node = tree.nodes.at(frame.directory);
            self.changes.outdated.extend((node.references > 0).then_some(Outdated::Attributes(node.ino)));
        }
    }
}

impl Frame {
    /// Finds the children within the span.
    fn locate(&mut self, tree: &Tree, span: Span<'_>) {
        let range = tree.range(self.directory, span);
        (self.begin, self.cursor, self.end) = (range.start, range.start, range.end);
    }
}
