//! Which files will be opened next: those behind the files that were read, in the order of the listing or by the
//! numbers in their names.
//!
//! The tree tells which file stands where, `runs` whether a reader goes along there, `numbering` what a name says; the
//! reader decides how much of it is fetched. Nothing is asked of the store: what the tree does not know is not
//! expected.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;

use super::file::to_read;
use super::numbering::Numbered;
use super::runs::{Named, RunId, Runs, Trust};
use super::{Files, Tuning};
use crate::base::Ino;
use crate::read;
use crate::tree::{Position, Shape, Tree};

/// Directories and series of names of which it is remembered what was read.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

/// What was read, in each of the orders that files can be read in.
#[derive(Debug)]
pub(super) struct Successors {
    tuning: Arc<Tuning>,
    orders: LruCache<Order, Runs>,
    /// Orders with files named that no reader has come to, the last to be read at the back.
    naming: VecDeque<Order>,
    /// Files read in all.
    reads: u64,
}

/// What follows from a file being read.
#[derive(Debug, Default)]
pub(super) struct Outlook {
    /// Files that will be wanted next, in this order, each on behalf of a run. Some of them may have been named before.
    pub(super) next: Vec<(RunId, Ino)>,
    /// Runs whose files are not waited for any more.
    pub(super) withdrawn: Vec<RunId>,
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
    pub(super) fn new(tuning: Arc<Tuning>) -> Self {
        Successors { tuning, orders: LruCache::new(REMEMBERED), naming: VecDeque::new(), reads: 0 }
    }

    /// A file was read.
    pub(super) fn read(&mut self, tree: &Tree, ino: Ino) -> Outlook {
        let Some(position) = tree.position(ino) else { return Outlook::default() };
        self.reads += 1;
        let mut next = self.read_by_number(tree, &position);
        let (index, entries) = (position.index as u64, position.entries as u64);
        if let Some(Named { run, range }) = self.step(Order::Listing(position.directory), Trust::Earned, index, entries)
        {
            let files = tree.files_from(position.directory, range.start as usize);
            next.extend(files.take((range.end - range.start) as usize).map(|ino| (run, ino)));
        }
        Outlook { next, withdrawn: self.withdraw() }
    }

    fn step(&mut self, order: Order, trust: Trust, at: u64, end: u64) -> Option<Named> {
        let named = self
            .orders
            .get_or_insert_mut(order.clone(), || Runs::new(trust, self.tuning.clone()))
            .read(at, end, self.reads)?;
        self.naming.retain(|other| *other != order);
        self.naming.push_back(order);
        Some(named)
    }

    /// The runs that have come to an end without a word.
    fn withdraw(&mut self) -> Vec<RunId> {
        let mut withdrawn = Vec::new();
        let Successors { orders, naming, reads, .. } = self;
        naming.retain(|order| {
            let Some(runs) = orders.peek_mut(order) else { return false };
            withdrawn.extend(runs.withdraw(*reads));
            runs.have_named()
        });
        withdrawn
    }

    fn read_by_number(&mut self, tree: &Tree, position: &Position<'_>) -> Vec<(RunId, Ino)> {
        let Some(numbered) = Numbered::parse(position.component) else { return Vec::new() };
        let (trust, end) = match numbered.total {
            Some(total) => (Trust::Given, total.saturating_add(1)),
            None if numbered.is_out_of_listing_order() => (Trust::Earned, u64::MAX),
            None => return Vec::new(),
        };
        let Position { directory, .. } = *position;
        let order = Order::Numbers { directory, prefix: numbered.prefix.into(), suffix: numbered.suffix.into() };
        let Some(Named { run, range }) = self.step(order, trust, numbered.number, end) else { return Vec::new() };
        let file = |number| Some((run, tree.file(directory, &numbered.with_number(number))?));
        range.filter_map(file).collect()
    }
}

impl Files {
    /// A file is read in earnest: those that will be wanted next may be fetched.
    pub(super) fn expect_successors(&self, ino: Ino) {
        if !self.reader.looks_ahead() {
            return;
        }
        let (next, withdrawn) = {
            let mut successors = self.successors.lock();
            self.names.look_at_tree(|tree, now| {
                let Outlook { next, withdrawn } = successors.read(tree, ino);
                // Symlink objects whose target is not known would cost a request of another kind.
                let is_file =
                    |(_, ino): &(RunId, Ino)| tree.view(*ino, now).is_some_and(|view| view.shape == Shape::File);
                let object = |(RunId(run), ino)| {
                    let object = tree.object(ino).filter(|object| !object.stale)?;
                    Some((read::Cause(run), to_read(ino, object)))
                };
                (next.into_iter().filter(is_file).filter_map(object).collect::<Vec<_>>(), withdrawn)
            })
        };
        if !withdrawn.is_empty() {
            self.reader.withdraw(&withdrawn.into_iter().map(|RunId(run)| read::Cause(run)).collect::<Vec<_>>());
        }
        if !next.is_empty() {
            self.reader.expect(next);
        }
    }
}
