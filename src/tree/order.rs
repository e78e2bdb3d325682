//! What a directory handle reads: a list that only grows while a listing goes on, and stands still afterwards, so
//! that an offset is an index for as long as the handle lives.
//!
//! A file whose name a directory might still take (`a`, while the listing has not come to `a/`) is not in the list
//! yet: the order is that in which entries are settled, nearly that of the keys.
//!
//! All handles that were opened during one listing, or after it with no change since, share one list. While there is
//! a handle, no entry of the directory leaves the arena.

use std::time::Duration;

use super::escape::Shown;
use super::node::{Flags, NodeId};
use super::{Tree, View};
use crate::base::Ino;

/// A list that handles read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct OrderId(pub(super) u64);

#[derive(Debug)]
pub(super) struct Order {
    pub(super) directory: NodeId,
    pub(super) nodes: Vec<NodeId>,
    pub(super) handles: u32,
    pub(super) state: OrderState,
}

impl Order {
    pub(super) fn bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<NodeId>()
    }
}

/// Whether more entries will come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OrderState {
    /// As the listing goes on.
    Growing,
    /// No.
    Complete,
    /// No: the listing broke off.
    Broken,
}

/// Entries of a directory.
#[derive(Clone, PartialEq, Debug)]
pub struct Entries {
    /// Those asked for that are known.
    pub listed: Vec<Listed>,
    /// Whether more will come behind all that is known.
    pub state: OrderState,
}

/// One entry of a directory.
#[derive(Clone, PartialEq, Debug)]
pub struct Listed {
    /// Where it stands in the list.
    pub index: usize,
    /// Its name there.
    pub name: Box<str>,
    /// What is known of it.
    pub view: View,
}

impl Tree {
    /// The list for a new handle: of the listing that is going on, else of the last one if that is younger than
    /// `younger_than` (`None`: of whatever age). Else `None`, and the directory must be listed first.
    pub fn open_directory(&mut self, directory: Ino, now: Duration, younger_than: Option<Duration>) -> Option<OrderId> {
        let id = self.find_ino(directory).filter(|&id| self.nodes.at(id).is_directory())?;
        let state = self.directory(id);
        let order = match (&state.run, state.listed_at, state.snapshot) {
            (Some(run), _, _) => run.order,
            (None, Some(at), snapshot) if younger_than.is_none_or(|ttl| now.saturating_sub(at) < ttl) => {
                snapshot.unwrap_or_else(|| self.make_snapshot(id))
            }
            _ if self.nodes.at(id).flags.has(Flags::REMOVED) => self.make_snapshot(id),
            _ => return None,
        };
        self.orders.get_mut(&order)?.handles += 1;
        self.hold(id);
        Some(order)
    }

    /// A handle is closed.
    pub fn close_directory(&mut self, id: OrderId) {
        let Some(order) = self.orders.get_mut(&id) else { return };
        order.handles -= 1;
        let (directory, unused) = (order.directory, order.handles == 0);
        if unused && order.state != OrderState::Growing {
            self.orders.remove(&id);
            let state = self.directory_mut(directory);
            state.snapshot = state.snapshot.filter(|&snapshot| snapshot != id);
        }
        self.release(directory);
    }

    /// Up to `max` entries from the index `from` on.
    pub fn entries(&self, id: OrderId, from: usize, max: usize, now: Duration) -> Option<Entries> {
        let order = self.orders.get(&id)?;
        // Entries get into the list when they have a name. One that a directory has taken the name of since is left
        // out; the offsets of the others stay.
        let listed = (from..order.nodes.len()).filter_map(|index| {
            let id = order.nodes[index];
            Some(Listed { index, name: self.name_of(id)?, view: self.view_of(id, now, now) })
        });
        Some(Entries { listed: listed.take(max).collect(), state: order.state })
    }

    /// The directory that a list belongs to.
    pub fn directory_of(&self, id: OrderId) -> Option<Ino> {
        Some(self.nodes.at(self.orders.get(&id)?.directory).ino)
    }

    /// The entry above a directory; the root is above itself.
    pub fn parent(&self, ino: Ino) -> Option<Ino> {
        Some(self.nodes.at(self.nodes.at(self.find_ino(ino)?).parent).ino)
    }

    pub(super) fn new_order(&mut self, directory: NodeId, state: OrderState) -> OrderId {
        let id = OrderId(self.id());
        self.orders.insert(id, Order { directory, nodes: Vec::new(), handles: 0, state });
        id
    }

    /// The last listing of a directory as a list of its own.
    fn make_snapshot(&mut self, id: NodeId) -> OrderId {
        let order = self.new_order(id, OrderState::Complete);
        let state = self.directory(id);
        let all = state.children.iter().chain(&state.parts).copied();
        let nodes = all.filter(|&child| self.has_name(child)).collect();
        if let Some(order) = self.orders.get_mut(&order) {
            order.nodes = nodes;
        }
        self.directory_mut(id).snapshot = Some(order);
        order
    }

    pub(super) fn has_name(&self, id: NodeId) -> bool {
        matches!(self.shown_of(id), Some(Shown::Plain(_) | Shown::Escaped(_)))
    }
}
