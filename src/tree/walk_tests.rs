//! Any order of things that can happen to a tree: listings cut short and interleaved, names asked for one by one,
//! objects that change meanwhile, a kernel that remembers and forgets, handles that stay open. Whatever happened, the
//! next listing shows what is there, and when everybody has let go nothing is left.

use std::collections::HashSet;

use proptest::prelude::*;

use super::tests::{Bucket, Listed, apply, cut_at, entries, list_directory_at, model, options, sweep};
use super::*;
use crate::base::KeySpan;

/// One thing that happens. Numbers choose among what there is, modulo its count.
#[derive(Clone, Debug)]
enum Event {
    Put(String, u64),
    Remove(usize),
    Begin(usize, bool, Vec<String>),
    Page(usize, usize),
    Finish(usize),
    Abandon(usize),
    Ask(usize, String),
    Check(usize),
    Resolve(usize, u64),
    Stale(usize),
    Remember(usize),
    Forget(usize),
    Open(usize),
    Read(usize),
    Close(usize),
    Pass(u64),
    Version(usize, String),
    Evict(usize),
    Sweep,
}

fn key() -> impl Strategy<Value = String> {
    prop::collection::vec(prop_oneof![6 => "[ab]", 1 => "a-", 1 => Just(String::new())], 1..4)
        .prop_map(|components| components.join("/"))
        .prop_filter("no empty key", |key| !key.is_empty())
}

fn event() -> impl Strategy<Value = Event> {
    let n = || 0..64usize;
    prop_oneof![
        3 => (key(), 0..3u64).prop_map(|(key, size)| Event::Put(key, size)),
        1 => n().prop_map(Event::Remove),
        4 => (n(), any::<bool>(), prop::collection::vec("[-ab/0]{0,4}", 0..4))
            .prop_map(|(directory, deep, bounds)| Event::Begin(directory, deep, bounds)),
        6 => (n(), n()).prop_map(|(run, span)| Event::Page(run, span)),
        3 => n().prop_map(Event::Finish),
        1 => n().prop_map(Event::Abandon),
        3 => (n(), "[ab]|a-").prop_map(|(directory, name)| Event::Ask(directory, name)),
        1 => n().prop_map(Event::Check),
        1 => (n(), 0..3u64).prop_map(|(file, size)| Event::Resolve(file, size)),
        1 => n().prop_map(Event::Stale),
        3 => n().prop_map(Event::Remember),
        2 => n().prop_map(Event::Forget),
        2 => n().prop_map(Event::Open),
        2 => n().prop_map(Event::Read),
        1 => n().prop_map(Event::Close),
        1 => (1..40u64).prop_map(Event::Pass),
        1 => (n(), "[ab]").prop_map(|(directory, name)| Event::Version(directory, name)),
        2 => (0..100usize).prop_map(Event::Evict),
        2 => Just(Event::Sweep),
    ]
}

struct Handle {
    snapshot: SnapshotId,
    read: Vec<Listed>,
}

struct World {
    tree: Tree,
    bucket: Bucket,
    now: Duration,
    /// Listings going on, and the spans whose pages have not come.
    runs: Vec<(Listing, Vec<KeySpan>)>,
    handles: Vec<Handle>,
    /// The kernel's references.
    held: Vec<Ino>,
    /// Every number seen.
    seen: Vec<Ino>,
}

fn pick<T>(of: &[T], n: usize) -> Option<usize> {
    (!of.is_empty()).then(|| n % of.len())
}

impl World {
    fn new(odd_keys: OddKeys) -> Self {
        World {
            tree: Tree::new(options(odd_keys)),
            bucket: Bucket::new(),
            now: Duration::from_secs(1000),
            runs: Vec::new(),
            handles: Vec::new(),
            held: Vec::new(),
            seen: vec![Ino::ROOT],
        }
    }

    fn ino(&self, n: usize) -> Ino {
        self.seen[n % self.seen.len()]
    }

    /// A page shows the bucket as it is when it is asked for.
    fn page(&mut self, run: usize, span: usize) -> Standing {
        let (listing, spans) = &mut self.runs[run];
        let Some(span) = pick(spans, span).map(|at| spans.swap_remove(at)) else { return Standing::Wanted };
        apply(&mut self.tree, &self.bucket, listing, &span, self.now).0
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Put(key, size) => drop(self.bucket.insert(key, (size, format!("tag{size}")))),
            Event::Remove(n) => {
                if let Some(key) = self.bucket.keys().nth(n % self.bucket.len().max(1)).cloned() {
                    self.bucket.remove(&key);
                }
            }
            Event::Begin(n, deep, bounds) => {
                let depth = if deep { Depth::Subtree } else { Depth::Directory };
                if let Some(listing) = self.tree.begin_listing(self.ino(n), depth, self.now, self.now) {
                    let bounds = bounds.into_iter().map(|bound| format!("{}{bound}", listing.prefix)).collect();
                    let spans = cut_at(&listing, bounds);
                    self.runs.push((listing, spans));
                }
            }
            Event::Page(n, span) => {
                if let Some(run) = pick(&self.runs, n)
                    && self.page(run, span) != Standing::Wanted
                {
                    let (listing, _) = self.runs.remove(run);
                    self.tree.end_listing(&listing);
                }
            }
            Event::Finish(n) => {
                if let Some(run) = pick(&self.runs, n) {
                    while !self.runs[run].1.is_empty() {
                        self.page(run, n);
                    }
                    let (listing, _) = self.runs.remove(run);
                    self.tree.end_listing(&listing);
                }
            }
            Event::Abandon(n) => {
                if let Some(run) = pick(&self.runs, n) {
                    let (listing, _) = self.runs.remove(run);
                    self.tree.end_listing(&listing);
                }
            }
            Event::Ask(n, name) => self.ask(self.ino(n), &name),
            Event::Check(n) => self.check(self.ino(n)),
            Event::Resolve(n, size) => {
                let target = Target::Bytes { size, etag: ETag::parse(&format!("target{size}")), mtime: None };
                let (view, _) = self.tree.resolve(self.ino(n), target, self.now);
                self.seen.extend(view.map(|view| view.ino));
            }
            Event::Stale(n) => drop(self.tree.mark_stale(self.ino(n), self.now)),
            Event::Remember(n) => {
                let ino = self.ino(n);
                if self.tree.view(ino, self.now).is_some() {
                    self.tree.remember(ino, 1);
                    self.held.push(ino);
                }
            }
            Event::Forget(n) => {
                if let Some(at) = pick(&self.held, n) {
                    let ino = self.held.swap_remove(at);
                    self.tree.forget(ino, 1);
                }
            }
            Event::Open(n) => {
                let snapshot = self.tree.open_directory(self.ino(n), self.now, Some(Duration::from_secs(60)));
                self.handles.extend(snapshot.map(|snapshot| Handle { snapshot, read: Vec::new() }));
            }
            Event::Read(n) => {
                if let Some(at) = pick(&self.handles, n) {
                    let handle = &mut self.handles[at];
                    let from = handle.read.last().map_or(0, |last| last.index + 1);
                    let found = self.tree.entries(handle.snapshot, from, 2, self.now).unwrap();
                    self.seen.extend(found.listed.iter().map(|entry| entry.view.ino));
                    handle.read.extend(found.listed);
                }
            }
            Event::Close(n) => {
                if let Some(at) = pick(&self.handles, n) {
                    let handle = self.handles.remove(at);
                    self.tree.close_directory(handle.snapshot);
                }
            }
            Event::Sweep => drop(self.tree.sweep(&mut Changes::default())),
            Event::Evict(percent) => {
                let bytes = self.tree.bytes() / 100 * percent;
                while self.tree.evict(bytes) == Evicted::More {}
            }
            Event::Pass(seconds) => self.now += Duration::from_secs(seconds),
            Event::Version(n, name) => {
                let facts = Facts { size: 1, etag: Some("old"), ..Facts::default() };
                let name = format!("{name}?versionId=1");
                if let Some(ino) = self.tree.add_version(self.ino(n), &name, "1", &facts) {
                    self.tree.remember(ino, 1);
                    self.held.push(ino);
                    self.seen.push(ino);
                }
            }
        }
    }

    fn ask(&mut self, directory: Ino, name: &str) {
        let Some(prefix) = self.tree.prefix(directory) else { return };
        let key = prefix + name;
        let below = format!("{key}/");
        let probe = match self.bucket.get(&key) {
            _ if self.bucket.keys().any(|key| key.starts_with(&below)) => Probe::Directory,
            Some((size, etag)) => Probe::Object(Facts { size: *size, etag: Some(etag), ..Facts::default() }),
            None => Probe::Missing,
        };
        self.tree.probed(directory, name, &probe, self.now);
        if !self.runs.is_empty() {
            // A listing that has passed the place, and saw another state of the bucket, may say otherwise.
            return;
        }
        match (self.tree.lookup(directory, name.as_bytes(), self.now, self.now), probe) {
            (Lookup::Found(view), Probe::Directory) => assert_eq!(view.shape, Shape::Directory),
            (Lookup::Found(view), Probe::Object(facts)) => assert_eq!(view.size, facts.size),
            (Lookup::Missing(_), Probe::Missing) => {}
            // The directory is one part of a long name, or in it, or it has gone.
            (Lookup::Unknown { .. } | Lookup::Missing(_) | Lookup::NotDirectory, _) => {}
            (answer, probe) => panic!("{probe:?} became {answer:?}"),
        }
    }

    fn check(&mut self, ino: Ino) {
        let Some(object) = self.tree.object(ino).filter(|object| object.version.is_none()) else { return };
        let facts = self.bucket.get(&object.key);
        let facts = facts.map(|(size, etag)| Facts { size: *size, etag: Some(etag), ..Facts::default() });
        self.tree.renew(ino, facts.as_ref(), self.now);
    }

    /// What holds at any time.
    fn invariants(&self) {
        self.tree.check();
        for ino in &self.held {
            assert!(self.tree.view(*ino, self.now).is_some(), "the kernel refers to {ino}");
        }
        for handle in &self.handles {
            // A file beside a directory is called as the directory once that is gone, within one handle too.
            let named = |entry: &Listed| match self.tree.options.odd_keys {
                OddKeys::Hide => (entry.name.clone(), None),
                OddKeys::Escape => (entry.name.clone(), Some(entry.view.ino)),
            };
            let names: HashSet<_> = handle.read.iter().map(named).collect();
            assert_eq!(names.len(), handle.read.len(), "an entry twice in one handle");
        }
    }

    /// Nothing refers to anything: all of it can go.
    fn evict_all(&mut self) {
        while self.tree.evict(0) == Evicted::More {}
    }

    fn let_go(&mut self) {
        for (listing, _) in self.runs.drain(..) {
            self.tree.end_listing(&listing);
        }
        for handle in self.handles.drain(..) {
            self.tree.close_directory(handle.snapshot);
        }
        for ino in self.held.drain(..) {
            self.tree.forget(ino, 1);
        }
    }

    /// Lists everything anew.
    fn paths(&mut self) -> Vec<String> {
        let mut paths = Vec::new();
        let mut todo = vec![(Ino::ROOT, String::new())];
        while let Some((directory, path)) = todo.pop() {
            list_directory_at(&mut self.tree, &self.bucket, directory, 2, self.now, |_| {});
            for Listed { name, view, .. } in entries(&mut self.tree, directory) {
                paths.push(format!("{path}{name}"));
                if view.shape == Shape::Directory {
                    todo.push((view.ino, format!("{path}{name}/")));
                }
            }
        }
        paths.sort();
        paths
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_next_listing_is_right(
        events in prop::collection::vec(event(), 0..100),
        odd_keys in prop_oneof![Just(OddKeys::Hide), Just(OddKeys::Escape)],
        evict in any::<bool>(),
    ) {
        let mut world = World::new(odd_keys);
        for event in events {
            world.happen(event);
            world.invariants();
        }
        world.let_go();
        let expected: Vec<String> = model(&world.bucket, odd_keys).into_keys().collect();
        if evict {
            sweep(&mut world.tree);
            world.evict_all();
            prop_assert_eq!(world.tree.len(), 1, "all but the root could go");
        }
        prop_assert_eq!(world.paths(), expected);
        world.bucket.clear();
        world.paths();
        sweep(&mut world.tree);
        prop_assert_eq!(world.tree.len(), 1, "nothing is left but the root");
        prop_assert!(world.tree.listings.is_empty() && world.tree.snapshots.is_empty() && world.tree.versions.is_empty() && world.tree.targets.is_empty());
        prop_assert!(world.tree.stale.is_empty());
    }
}

impl Tree {
    /// Whether what the tree keeps twice says the same in both places.
    fn check(&self) {
        let mut counted = (0, 0, 0);
        for &id in self.index.iter().flatten() {
            let Some(state) = self.nodes.at(id).directory() else { continue };
            counted.0 += state.children.bytes();
            counted.1 += state.extras.as_ref().map_or(0, |extras| extras.probed_bytes);
            counted.2 += 1;
            let ids = |chunk| state.children.ids(chunk).unwrap().to_vec();
            let children: Vec<NodeId> = (0..state.children.chunks()).flat_map(ids).collect();
            for pair in children.windows(2) {
                let order = component::compare(self.order_key(pair[0]), self.order_key(pair[1]));
                assert_eq!(order, std::cmp::Ordering::Less, "children stand in order");
            }
            for child in children.into_iter().chain(state.parts().iter().map(|part| part.id)) {
                let node = self.nodes.at(child);
                assert!(node.parent == id && !node.flags.has(Flags::REMOVED));
                if !node.is_directory() {
                    let taken = self.find(id, self.nodes.name(child), component::EntryKind::Directory).is_some();
                    assert_eq!(node.flags.has(Flags::SHADOWED), taken, "{:?}", self.key_of(child));
                }
            }
        }
        assert_eq!((self.child_bytes, self.probed_bytes, self.directories), counted);
        let index: usize = self.index.iter().map(HashTable::allocation_size).sum();
        assert_eq!(self.index_bytes, index);
    }
}
