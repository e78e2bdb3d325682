//! Which files will be wanted next: what stands behind those that were read, in the order of the listing or by the
//! numbers in their names.
//!
//! The tree tells who stands where, `runs` whether somebody goes along there, `numbered` what a name says; the reader
//! decides how much of it is fetched. Nothing is asked of the store: what the tree does not know is not expected.

use std::num::NonZeroUsize;

use lru::LruCache;

use super::file::to_read;
use super::numbered::Numbered;
use super::runs::{Runs, Trust};
use super::{Fs, State};
use crate::base::Ino;
use crate::read;
use crate::tree::{Position, Shape, Tree};

/// Directories and series of names of which it is remembered what was read.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

/// What was read, in each of the orders that files can be read in.
#[derive(Debug)]
pub(super) struct Successors {
    orders: LruCache<Order, Runs>,
}

/// An order of files of one directory.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Order {
    /// That of the keys.
    Listing(Ino),
    /// That of the numbers in names that are the same otherwise.
    Numbers { directory: Ino, prefix: Box<str>, suffix: Box<str> },
}

impl Successors {
    pub(super) fn new() -> Self {
        Successors { orders: LruCache::new(REMEMBERED) }
    }

    /// A file was read: the files that will be wanted next, in this order. Some of them may have been named before.
    pub(super) fn read(&mut self, tree: &Tree, ino: Ino) -> Vec<Ino> {
        let Some(position) = tree.position(ino) else { return Vec::new() };
        let listing = Order::Listing(position.directory);
        let runs = self.orders.get_or_insert_mut(listing, || Runs::new(Trust::Earned));
        let ahead = runs.read(position.index as u64, position.entries as u64);
        let mut next = self.read_by_number(tree, &position);
        let count = ahead.end.saturating_sub(ahead.start) as usize;
        next.extend(tree.files_from(position.directory, ahead.start as usize).take(count));
        next
    }

    fn read_by_number(&mut self, tree: &Tree, position: &Position<'_>) -> Vec<Ino> {
        let Some(numbered) = Numbered::parse(position.component) else { return Vec::new() };
        let (trust, end) = match numbered.total {
            Some(total) => (Trust::Given, total.saturating_add(1)),
            None if numbered.is_out_of_listing_order() => (Trust::Earned, u64::MAX),
            None => return Vec::new(),
        };
        let Position { directory, .. } = *position;
        let order = Order::Numbers { directory, prefix: numbered.prefix.into(), suffix: numbered.suffix.into() };
        let ahead = self.orders.get_or_insert_mut(order, || Runs::new(trust)).read(numbered.number, end);
        ahead.filter_map(|number| tree.file(directory, &numbered.with_number(number))).collect()
    }
}

impl Fs {
    /// A file is read in earnest: those that will be wanted next may be fetched.
    pub(super) fn expect_successors(&self, ino: Ino) {
        if !self.reader.looks_ahead() {
            return;
        }
        let objects: Vec<read::Object> = {
            let mut state = self.state.lock();
            let State { tree, successors, .. } = &mut *state;
            let next = successors.read(tree, ino);
            let now = self.clock.elapsed();
            // Symlink objects whose target is not known would cost a request of another kind.
            let is_file = |ino: &Ino| tree.view(*ino, now).is_some_and(|view| view.shape == Shape::File);
            let object = |ino| Some(to_read(ino, tree.object(ino).filter(|object| !object.stale)?));
            next.into_iter().filter(is_file).filter_map(object).collect()
        };
        if !objects.is_empty() {
            self.reader.expect(objects);
        }
    }
}
