//! Applying a listing of a directory to the tree, page by page.
//!
//! A listing is a merge of two sorted lists: the children that the directory had, and what the pages show. What both
//! have stays as it is, number and all; what only the pages have is new; what only the old children have is gone as
//! soon as a page has passed its place. Each step is a constant amount of work, so that a directory costs what it
//! holds however it is cut into pages, and a page is applied in well under a millisecond.
//!
//! A file `a` is settled when the listing has passed `a/`. Until then it waits in [`Run::pending`], which is a stack:
//! whatever waits at one place of the listing is a beginning of whatever came later.

use std::cmp::Ordering;
use std::mem;
use std::time::Duration;

use super::escape::Shown;
use super::lookup::{Role, compare};
use super::node::{Body, Flags, NodeId, PackedTime};
use super::order::{OrderId, OrderState};
use super::{Changes, Facts, OddKey, Outdated, Tree};
use crate::base::{Ino, KeySpan};

/// How far below a directory a listing looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Depth {
    /// What lies directly in it: keys up to the next `/`.
    Directory,
    /// All below it.
    Subtree,
}

/// A listing that is going on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listing {
    id: u64,
    directory: Ino,
    /// What to list: keys below this prefix.
    pub prefix: String,
    /// Whether up to the next `/` or all of them.
    pub depth: Depth,
}

/// One line of a listing with delimiter `/`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Item<'a> {
    /// An object, by its raw key.
    Object(&'a str, Facts<'a>),
    /// A common prefix, raw, with its `/`.
    Prefix(&'a str),
}

impl Item<'_> {
    /// Where it stands in the order of keys.
    pub fn key(&self) -> &str {
        match self {
            Item::Object(key, _) | Item::Prefix(key) => key,
        }
    }
}

/// Whether a listing still has a directory to be applied to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Yes.
    Wanted,
    /// The directory is gone, and the listing can end.
    Gone,
}

/// The state of a listing.
#[derive(Debug)]
pub(super) struct Run {
    id: u64,
    pub(super) order: OrderId,

    /// What the pages have shown, in the order of the keys.
    pub(super) children: Vec<NodeId>,
    pub(super) parts: Vec<NodeId>,
    /// The first of the old children that no page has passed.
    pub(super) cursor: usize,
    /// Files of `children` whose name a directory may still take.
    pending: Vec<NodeId>,
    marker: Option<PackedTime>,
    /// When the last page came.
    pub(super) touched: Duration,
    /// Whether the server broke the order of keys.
    disordered: bool,
}

impl Run {
    pub(super) fn replace_pending(&mut self, old: NodeId, new: NodeId) {
        for id in &mut self.pending {
            if *id == old {
                *id = new;
            }
        }
    }
}

impl Tree {
    /// Begins a listing; `None` if one is going on, or there is no such directory.
    pub fn begin_listing(&mut self, directory: Ino, depth: Depth, now: Duration) -> Option<Listing> {
        if depth == Depth::Subtree {
            return None;
        }
        let id = self.find_ino(directory)?;
        let node = self.nodes.at(id);
        if node.flags.has(Flags::REMOVED) || node.directory()?.run.is_some() {
            return None;
        }
        let order = self.new_order(id, OrderState::Growing);
        let run = Run {
            id: self.id(),
            order,
            children: Vec::new(),
            parts: Vec::new(),
            cursor: 0,
            pending: Vec::new(),
            marker: None,
            touched: now,
            disordered: false,
        };
        let listing = Listing { id: run.id, directory, prefix: self.key_of(id), depth };
        let state = self.directory_mut(id);
        state.run = Some(Box::new(run));
        state.snapshot = None;
        self.hold(id);
        Some(listing)
    }

    /// Whether a listing still has a directory to be applied to.
    pub fn standing(&self, listing: &Listing) -> Standing {
        let directory = self.find_ino(listing.directory).and_then(|id| self.nodes.at(id).directory());
        match directory.and_then(|state| state.run.as_ref()) {
            Some(run) if run.id == listing.id => Standing::Wanted,
            _ => Standing::Gone,
        }
    }

    /// Applies the next page, whose items are in the order of their keys: within `span` they are all there is.
    pub fn apply<'a>(
        &mut self,
        listing: &Listing,
        _span: &KeySpan,
        items: impl IntoIterator<Item = Item<'a>>,
        now: Duration,
    ) -> (Standing, Changes) {
        let mut changes = Changes::default();
        let Some((id, mut run)) = self.take_run(listing) else { return (Standing::Gone, changes) };
        let before = mem::take(&mut self.directory_mut(id).children);
        let mut step = Step { directory: id, run: &mut run, before: &before, changes: &mut changes };
        for item in items {
            let Some(rest) = item.key().strip_prefix(&listing.prefix) else { continue };
            step.item(self, rest, item);
        }
        run.touched = now;
        let state = self.directory_mut(id);
        state.children = before;
        state.run = Some(run);
        (Standing::Wanted, changes)
    }

    /// The listing has come to its end: what it has not shown is not there.
    pub fn finish(&mut self, listing: &Listing, now: Duration) -> Changes {
        let mut changes = Changes::default();
        let Some((id, mut run)) = self.take_run(listing) else { return changes };
        let before = mem::take(&mut self.directory_mut(id).children);
        for &gone in &before[run.cursor..] {
            self.detach(gone, &mut changes);
        }
        let step = &mut Step { directory: id, run: &mut run, before: &[], changes: &mut changes };
        step.settle_pending(self, None);
        if step.run.disordered {
            step.put_in_order(self);
        }
        let parts = mem::replace(&mut self.directory_mut(id).parts, mem::take(&mut run.parts));
        for part in parts {
            if !self.directory(id).parts.contains(&part) {
                self.detach(part, &mut changes);
            }
        }
        run.children.shrink_to_fit();
        let deserted = run.children.is_empty() && run.marker.is_none() && id != NodeId::ROOT;
        let state = self.directory_mut(id);
        state.children = run.children;
        let mtime = run.marker.unwrap_or(PackedTime::UNKNOWN);
        let retimed = mem::replace(&mut state.mtime, mtime) != mtime;
        state.listed_at = Some(now);
        state.probed.clear();
        state.probes = 0;
        if retimed {
            changes.outdated.push(Outdated::Attributes(listing.directory));
        }
        if deserted {
            // Nothing below it: the directory itself may be gone, and the next look-up of it finds out.
            self.nodes.at_mut(id).flags.set(Flags::STALE, true);
        }
        self.end_order(id, run.order, OrderState::Complete);
        self.release(id);
        changes
    }

    /// The listing has broken off. What it has shown stays known, and is not settled.
    pub fn abandon(&mut self, listing: &Listing) {
        let Some((id, run)) = self.take_run(listing) else { return };
        self.put_back(id, *run);
    }

    pub(super) fn put_back(&mut self, id: NodeId, run: Run) {
        let state = self.directory_mut(id);
        let before = mem::take(&mut state.children);
        state.children = run.children;
        state.children.extend_from_slice(&before[run.cursor..]);
        for part in run.parts {
            if !state.parts.contains(&part) {
                state.parts.push(part);
            }
        }
        for file in run.pending {
            let name = self.nodes.at(file).name.clone();
            let shadowed = self.find(id, &name, Role::Directory).is_some();
            self.shadow(file, shadowed);
        }
        self.end_order(id, run.order, OrderState::Broken);
        self.release(id);
    }

    fn end_order(&mut self, id: NodeId, order: OrderId, end: OrderState) {
        let Some(list) = self.orders.get_mut(&order) else { return };
        list.state = end;
        if list.handles == 0 {
            self.orders.remove(&order);
        } else if end == OrderState::Complete {
            self.directory_mut(id).snapshot = Some(order);
        }
    }

    fn take_run(&mut self, listing: &Listing) -> Option<(NodeId, Box<Run>)> {
        let id = self.find_ino(listing.directory)?;
        let state = match &mut self.nodes.at_mut(id).body {
            Body::Directory(state) => state,
            Body::Object { .. } => return None,
        };
        let run = state.run.take_if(|run| run.id == listing.id)?;
        Some((id, run))
    }
}

/// One step of the merge, while the run and the old children are out of the tree.
struct Step<'r> {
    directory: NodeId,
    run: &'r mut Run,
    before: &'r [NodeId],
    changes: &'r mut Changes,
}

impl Step<'_> {
    fn item(&mut self, tree: &mut Tree, rest: &str, item: Item<'_>) {
        let part = tree.nodes.at(self.directory).flags.has(Flags::PART);
        match item {
            Item::Object("", _) => {}
            Item::Object(_, facts) if rest.is_empty() => {
                if !part {
                    self.run.marker = Some(PackedTime::new(facts.mtime));
                    // A marker with content is an object like others, whose component is empty.
                    if facts.size > 0 {
                        self.entry(tree, "", Role::File, &facts);
                    }
                }
            }
            // A server that does not collapse a key does so for us.
            Item::Object(..) | Item::Prefix(_) if rest.contains('/') => {
                let component = rest.split('/').next().unwrap_or_default();
                self.entry(tree, component, Role::Directory, &Facts::default());
            }
            Item::Object(_, facts) => self.entry(tree, rest, Role::File, &facts),
            Item::Prefix(_) => {}
        }
    }

    fn entry(&mut self, tree: &mut Tree, component: &str, role: Role, facts: &Facts<'_>) {
        let key = (component, role);
        match self.run.children.last().map(|&last| compare(key, tree.order_key(last))) {
            Some(Ordering::Equal) => return,
            Some(Ordering::Less) => return self.out_of_order(tree, component, role, facts),
            Some(Ordering::Greater) | None => {}
        }
        self.pass(tree, key);
        self.settle_pending(tree, Some(key));
        let before = self.before.get(self.run.cursor).copied();
        let id = match before.filter(|&id| tree.order_key(id) == key) {
            Some(id) => {
                self.run.cursor += 1;
                tree.refresh(id, facts, self.changes)
            }
            None => tree.add(self.directory, component, role, facts),
        };
        self.run.children.push(id);
        match role {
            Role::Directory => self.show(tree, id),
            Role::File => self.run.pending.push(id),
        }
    }

    /// Old children before this place have not been shown again: they are gone.
    fn pass(&mut self, tree: &mut Tree, key: (&str, Role)) {
        while let Some(&id) = self.before.get(self.run.cursor)
            && compare(tree.order_key(id), key) == Ordering::Less
        {
            tree.detach(id, self.changes);
            self.run.cursor += 1;
        }
    }

    /// Files whose name no directory can take any more, now that the listing has come to this place (`None`: to its
    /// end).
    fn settle_pending(&mut self, tree: &mut Tree, reached: Option<(&str, Role)>) {
        while let Some(&id) = self.run.pending.last() {
            let name = tree.order_key(id).0;
            let taken = reached.map(|key| compare(key, (name, Role::Directory)));
            if taken == Some(Ordering::Less) {
                return;
            }
            self.run.pending.pop();
            tree.shadow(id, taken == Some(Ordering::Equal));
            self.show(tree, id);
        }
    }

    /// Puts an entry into the handles' list, or reports why it has no name.
    fn show(&mut self, tree: &mut Tree, id: NodeId) {
        let piece = match tree.shown_of(id) {
            None => return,
            Some(Shown::Hidden(odd)) => {
                let new = !tree.nodes.at(id).flags.has(Flags::REPORTED);
                tree.nodes.at_mut(id).flags.set(Flags::REPORTED, true);
                if new {
                    self.changes.odd.push(OddKey { key: tree.key_of(id), odd });
                }
                return;
            }
            Some(Shown::Plain(_) | Shown::Escaped(_)) => return self.list(tree, id),
            Some(Shown::InPart(piece)) => piece.to_owned(),
        };
        self.make_part(tree, &piece);
    }

    /// Shows the directory that holds the rest of names too long to be shown whole, unless it is shown already.
    fn make_part(&mut self, tree: &mut Tree, piece: &str) {
        if tree.find_part(&self.run.parts, piece).is_none() {
            let known = tree.find_part(&tree.directory(self.directory).parts, piece);
            let part = known.unwrap_or_else(|| tree.add_part(self.directory, piece));
            self.run.parts.push(part);
            self.list(tree, part);
        }
    }

    fn list(&mut self, tree: &mut Tree, id: NodeId) {
        if let Some(order) = tree.orders.get_mut(&self.run.order) {
            order.nodes.push(id);
        }
    }

    /// A server that breaks the order of keys gets slower answers, not wrong ones.
    fn out_of_order(&mut self, tree: &mut Tree, component: &str, role: Role, facts: &Facts<'_>) {
        self.run.disordered = true;
        let Err(at) = self.search(tree, component, role) else { return };
        let id = tree.add(self.directory, component, role, facts);
        self.run.children.insert(at, id);
        match role {
            Role::File => tree.shadow(id, self.search(tree, component, Role::Directory).is_ok()),
            Role::Directory => {
                if let Ok(at) = self.search(tree, component, Role::File) {
                    tree.shadow(self.run.children[at], true);
                }
            }
        }
        self.show(tree, id);
    }

    fn search(&self, tree: &Tree, component: &str, role: Role) -> Result<usize, usize> {
        self.run.children.binary_search_by(|&id| compare(tree.order_key(id), (component, role)))
    }

    /// Finds out anew which files are shadowed, after the order was broken. What has been listed is asked for its name
    /// when it is read; only the directory that a name now needs, because it got too long, must be made.
    fn put_in_order(&mut self, tree: &mut Tree) {
        for index in 0..self.run.children.len() {
            let id = self.run.children[index];
            let (name, role) = tree.order_key(id);
            if role == Role::File {
                let taken = self.search(tree, name, Role::Directory).is_ok();
                tree.shadow(id, taken);
                if let Some(Shown::InPart(piece)) = tree.shown_of(id) {
                    let piece = piece.to_owned();
                    self.make_part(tree, &piece);
                }
            }
        }
    }
}
