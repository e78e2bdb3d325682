//! Keys in, tree out: against a reference model that knows no pages, no time and no inodes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::base::{BucketName, KeySpan, after, behind};

/// What a bucket holds: size and tag of each key.
pub(super) type Bucket = BTreeMap<String, (u64, String)>;
/// What a mount should show: every path; directories without, files with size and tag.
pub(super) type Shows = BTreeMap<String, Option<(u64, String)>>;

pub(super) const NOW: Duration = Duration::from_secs(1000);

pub(super) fn options(odd_keys: OddKeys) -> Options {
    Options {
        bucket: BucketName::new("bucket"),
        prefix: String::new(),
        odd_keys,
        fresh_for: Some(Duration::from_secs(60)),
        absent_for: Some(Duration::from_secs(60)),
        missing_for: Some(Duration::from_secs(5)),
        default_time: Timestamp::from_unix(7),
        view: Standpoint::Now,
    }
}

/// The model: where every key and every directory above one is shown.
pub(super) fn model(bucket: &Bucket, odd_keys: OddKeys) -> Shows {
    let mut directories: BTreeSet<&str> = BTreeSet::new();
    for key in bucket.keys() {
        directories.extend(key.match_indices('/').map(|(at, _)| &key[..=at]));
    }
    let place = |parent: &str, component: &str, role| -> Option<Vec<String>> {
        let mut path = path_of(parent, odd_keys)?;
        path.extend(escape::path(component, role, odd_keys)?);
        Some(path)
    };
    let mut shows = Shows::new();
    let mut show = |path: Option<Vec<String>>, facts: Option<(u64, String)>| {
        let Some(path) = path else { return };
        for above in 1..path.len() {
            shows.entry(path[..above].join("/")).or_insert(None);
        }
        shows.insert(path.join("/"), facts);
    };
    for directory in &directories {
        show(path_of(directory, odd_keys), None);
    }
    for (key, facts) in bucket {
        let (parent, component) = key.split_at(key.rfind('/').map_or(0, |at| at + 1));
        if component.is_empty() && facts.0 == 0 {
            continue;
        }
        let shadowed = directories.contains(format!("{key}/").as_str());
        let role = if shadowed { Role::Shadowed } else { Role::File };
        show(place(parent, component, role), Some(facts.clone()));
    }
    shows
}

/// The path of a key prefix that ends in `/`, or of the root.
fn path_of(prefix: &str, odd_keys: OddKeys) -> Option<Vec<String>> {
    let mut path = Vec::new();
    for component in prefix.split_terminator('/') {
        path.extend(escape::path(component, Role::Directory, odd_keys)?);
    }
    Some(path)
}

/// A line of a listing: a key with size and tag, or a common prefix.
pub(super) type Line = (String, Option<(u64, String)>);

/// All lines of a listing, in the order of the keys.
pub(super) fn lines_of(bucket: &Bucket, listing: &Listing) -> Vec<Line> {
    match listing.depth {
        Depth::Directory => list(bucket, &listing.prefix),
        Depth::Subtree => {
            let below = bucket.iter().filter(|(key, _)| key.starts_with(&listing.prefix));
            below.map(|(key, facts)| (key.clone(), Some(facts.clone()))).collect()
        }
    }
}

/// Lines in pages as a store gives them that is asked for one after the other.
pub(super) fn in_pages(lines: &[Line], page: usize) -> Vec<(KeySpan, &[Line])> {
    let mut reached = String::new();
    let mut pages = Vec::new();
    for lines in lines.chunks(page) {
        let from = reached.clone();
        for (key, facts) in lines {
            let behind = if facts.is_some() { after(key) } else { behind(key).unwrap() };
            reached = reached.max(behind);
        }
        pages.push((KeySpan { from, before: Some(reached.clone()) }, lines));
    }
    pages.push((KeySpan { from: reached, before: None }, &[]));
    pages
}

/// The keys of a listing cut at these places. A listing of a directory does not cut through what lies below another.
pub(super) fn cut_at(listing: &Listing, mut bounds: Vec<String>) -> Vec<KeySpan> {
    if listing.depth == Depth::Directory {
        for bound in &mut bounds {
            if let Some(rest) = bound.strip_prefix(&listing.prefix)
                && let Some(at) = rest.find('/')
            {
                bound.truncate(listing.prefix.len() + at + 1);
            }
        }
    }
    bounds.sort();
    let mut from = String::new();
    let mut spans: Vec<KeySpan> = Vec::new();
    for bound in bounds {
        spans.push(KeySpan { from: std::mem::replace(&mut from, bound.clone()), before: Some(bound) });
    }
    spans.push(KeySpan { from, before: None });
    spans
}

/// Applies one page with all that the bucket has within a span.
pub(super) fn apply(
    tree: &mut Tree,
    bucket: &Bucket,
    listing: &Listing,
    span: &KeySpan,
    now: Duration,
) -> (Standing, Changes) {
    let mut lines = lines_of(bucket, listing);
    lines.retain(|(key, _)| span.holds(key));
    tree.apply(listing, span, items(&lines), now)
}

/// Sees to all that has gone.
pub(super) fn sweep(tree: &mut Tree) {
    while tree.sweep(&mut Changes::default()) {}
}

/// The lines of a listing with delimiter `/`, in the order of the keys.
pub(super) fn list(bucket: &Bucket, prefix: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for (key, facts) in bucket.iter().filter(|(key, _)| key.starts_with(prefix)) {
        match key[prefix.len()..].find('/') {
            Some(at) => {
                let common = &key[..=prefix.len() + at];
                if lines.last().is_none_or(|(last, _)| last != common) {
                    lines.push((common.to_owned(), None));
                }
            }
            None => lines.push((key.clone(), Some(facts.clone()))),
        }
    }
    lines
}

pub(super) fn items(lines: &[Line]) -> impl Iterator<Item = Item<'_>> {
    lines.iter().map(|(key, facts)| match facts {
        Some((size, etag)) => Item::Object(key, Facts { size: *size, etag: Some(etag), ..Facts::default() }),
        None => Item::Prefix(key),
    })
}

/// Lists one directory page by page. `watch` sees the tree after each page.
pub(super) fn list_directory(
    tree: &mut Tree,
    bucket: &Bucket,
    directory: Ino,
    page: usize,
    watch: impl FnMut(&mut Tree),
) -> Vec<OddKey> {
    list_directory_at(tree, bucket, directory, page, NOW, watch)
}

/// The same at some time.
pub(super) fn list_directory_at(
    tree: &mut Tree,
    bucket: &Bucket,
    directory: Ino,
    page: usize,
    now: Duration,
    mut watch: impl FnMut(&mut Tree),
) -> Vec<OddKey> {
    let listing = tree.begin_listing(directory, Depth::Directory, now, now).unwrap();
    let mut odd = Vec::new();
    for (span, lines) in in_pages(&list(bucket, &listing.prefix), page) {
        let (standing, changes) = tree.apply(&listing, &span, items(lines), now);
        assert_ne!(standing, Standing::Gone);
        odd.extend(changes.odd);
        watch(tree);
    }
    tree.end_listing(&listing);
    odd
}

/// Entries of a directory, kept.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Entries {
    pub(super) listed: Vec<Listed>,
    pub(super) state: SnapshotState,
}

/// One entry of a directory, kept.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Listed {
    pub(super) index: usize,
    pub(super) name: Box<str>,
    pub(super) view: View,
}

impl Tree {
    /// The list of a complete directory, or of the round that is going on, whatever feeds it.
    pub(super) fn open_directory(
        &mut self,
        directory: Ino,
        now: Duration,
        younger_than: Option<Duration>,
    ) -> Option<SnapshotId> {
        if let Some(snapshot) = self.open_complete(directory, now, younger_than) {
            return Some(snapshot);
        }
        let id = self.find_ino(directory).filter(|&id| self.nodes.at(id).is_directory())?;
        let snapshot = self.snapshot_of_round(id)?;
        self.open_snapshot(id, snapshot)
    }

    /// Up to `max` entries from the index `from` on.
    pub(super) fn entries(&mut self, id: SnapshotId, from: usize, max: usize, now: Duration) -> Option<Entries> {
        let mut listed = Vec::new();
        let state = self.show_entries(id, from, now, |row| {
            if listed.len() == max {
                return Take::Enough;
            }
            listed.push(Listed { index: row.index, name: row.name.into(), view: row.view });
            Take::Seen
        })?;
        Some(Entries { listed, state })
    }
}

pub(super) fn entries(tree: &mut Tree, directory: Ino) -> Vec<Listed> {
    let handle = tree.open_directory(directory, NOW, None).unwrap();
    let entries = tree.entries(handle, 0, usize::MAX, NOW).unwrap();
    assert_eq!(entries.state, SnapshotState::Complete);
    tree.close_directory(handle);
    entries.listed
}

/// Lists everything and says what is shown, with inode numbers.
pub(super) fn walk(tree: &mut Tree, bucket: &Bucket, page: usize) -> (Shows, HashMap<String, Ino>) {
    let mut shows = Shows::new();
    let mut numbers = HashMap::new();
    let mut todo = vec![(Ino::ROOT, String::new())];
    while let Some((directory, path)) = todo.pop() {
        list_directory(tree, bucket, directory, page, |_| {});
        for Listed { name, view, .. } in entries(tree, directory) {
            let path = format!("{path}{name}");
            let object = tree.object(view.ino);
            let facts = object.map(|object| (object.size, object.etag.unwrap().as_str().to_owned()));
            assert_eq!(facts.is_none(), view.shape == Shape::Directory);
            assert_eq!(shows.insert(path.clone(), facts), None, "{path} twice");
            assert_eq!(numbers.values().find(|&&ino| ino == view.ino), None, "a number twice");
            numbers.insert(path.clone(), view.ino);
            match tree.lookup(directory, name.as_bytes(), NOW, NOW) {
                Lookup::Found(found) => assert_eq!(found, view, "{path}"),
                other => panic!("{path} is listed, but {other:?}"),
            }
            if view.shape == Shape::Directory {
                todo.push((view.ino, path + "/"));
            }
        }
    }
    (shows, numbers)
}

fn key() -> impl Strategy<Value = String> {
    let component = prop_oneof![
        8 => "[ab]{1,2}",
        4 => "[ab][-.0]",
        2 => Just(String::new()),
        2 => "\\.{1,2}",
        2 => "%oss-(file|dir|part)=[a%]{0,2}",
        2 => "a\0?",
        1 => "[ab]{1,2}".prop_map(|end| "n".repeat(244) + &end),
        1 => "[ab]{1,2}".prop_map(|end| "n".repeat(254) + &end),
        1 => "[ab]{1,2}".prop_map(|end| "n".repeat(490) + &end),
    ];
    prop::collection::vec(component, 1..4).prop_map(|components| components.join("/"))
}

pub(super) fn bucket() -> impl Strategy<Value = Bucket> {
    prop::collection::btree_map(key().prop_filter("no empty key", |key| !key.is_empty()), (0..3u64, "[01]"), 0..20)
}

pub(super) fn odd_keys() -> impl Strategy<Value = OddKeys> {
    prop_oneof![Just(OddKeys::Hide), Just(OddKeys::Escape)]
}

/// The names in the root once the pages of a listing have come, a line each, in this order.
fn names_after(keys: &[&str], order: &[usize], odd_keys: OddKeys) -> Vec<String> {
    let mut tree = Tree::new(options(odd_keys));
    let listing = tree.begin_listing(Ino::ROOT, Depth::Directory, NOW, NOW).unwrap();
    let lines: Vec<Line> =
        keys.iter().map(|key| (key.to_string(), (!key.ends_with('/')).then(|| (1, "t".to_owned())))).collect();
    let pages = in_pages(&lines, 1);
    for &at in order {
        let (span, lines) = &pages[at];
        tree.apply(&listing, span, items(lines), NOW);
    }
    tree.end_listing(&listing);
    let mut names: Vec<String> = entries(&mut tree, Ino::ROOT).into_iter().map(|entry| entry.name.into()).collect();
    names.sort();
    names
}

#[test]
fn a_long_name_that_a_directory_takes_late_is_still_shown_in_parts() {
    // 246 bytes are a name; with what marks a shadowed file they are too many for one.
    let name = "n".repeat(246);
    let directory = format!("{name}/");
    let keys = [&*name, &directory, "z"];
    let in_order = names_after(&keys, &[0, 1, 2, 3], OddKeys::Escape);
    assert_eq!(in_order.len(), 3, "{in_order:?}");
    assert!(in_order[0].starts_with("%oss-part="), "{in_order:?}");
    for order in [[2, 0, 1, 3], [0, 3, 2, 1], [3, 2, 1, 0]] {
        assert_eq!(names_after(&keys, &order, OddKeys::Escape), in_order, "{order:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_keys_give_the_model_tree(bucket in bucket(), page in 1..6usize, odd_keys in odd_keys()) {
        let mut tree = Tree::new(options(odd_keys));
        let (shows, _) = walk(&mut tree, &bucket, page);
        prop_assert_eq!(shows, model(&bucket, odd_keys));
    }

    #[test]
    fn a_second_listing_keeps_what_stands(
        before in bucket(), after in bucket(), both in bucket(), page in 1..6usize, odd_keys in odd_keys()
    ) {
        let mut tree = Tree::new(options(odd_keys));
        let before: Bucket = before.into_iter().chain(both.clone()).collect();
        let after: Bucket = after.into_iter().chain(both).collect();
        let (shows_before, numbers_before) = walk(&mut tree, &before, page);
        for ino in numbers_before.values() {
            tree.remember(*ino, 1);
        }
        let (shows_after, numbers_after) = walk(&mut tree, &after, page);
        prop_assert_eq!(&shows_after, &model(&after, odd_keys));
        for (path, ino) in &numbers_before {
            prop_assert!(tree.view(*ino, NOW).is_some(), "the kernel still refers to {path}");
            let same = shows_after.get(path).is_some_and(|facts| match (facts, &shows_before[path]) {
                (None, None) => true,
                (Some(new), Some(old)) => new.1 == old.1,
                _ => false,
            });
            prop_assert_eq!(same, numbers_after.get(path) == Some(ino), "{}", path);
        }
        for ino in numbers_before.values() {
            tree.forget(*ino, 1);
        }
        let (shows, numbers) = walk(&mut tree, &after, page);
        prop_assert_eq!(shows, shows_after);
        prop_assert_eq!(numbers, numbers_after);
        walk(&mut tree, &Bucket::new(), page);
        sweep(&mut tree);
        prop_assert_eq!(tree.len(), 1, "nothing is left but the root");
    }

    #[test]
    fn pages_in_any_order_lose_nothing(
        bucket in bucket(), page in 1..6usize, odd_keys in odd_keys(), turns in prop::collection::vec(0..64usize, 24)
    ) {
        let lines = list(&bucket, "");
        let mut pages = in_pages(&lines, page);
        let mut tree = Tree::new(options(odd_keys));
        let listing = tree.begin_listing(Ino::ROOT, Depth::Directory, NOW, NOW).unwrap();
        for turn in turns.into_iter().chain(std::iter::repeat(0)).take(pages.len()).collect::<Vec<_>>() {
            let (span, lines) = pages.remove(turn % pages.len());
            tree.apply(&listing, &span, items(lines), NOW);
        }
        tree.end_listing(&listing);
        let names: BTreeSet<String> = entries(&mut tree, Ino::ROOT).into_iter().map(|entry| entry.name.into()).collect();
        let expected: BTreeSet<String> =
            model(&bucket, odd_keys).into_keys().filter(|path| !path.contains('/')).collect();
        prop_assert_eq!(names, expected);
    }

    /// A listing turns out to be wrong when some of its pages have come, and begins anew.
    #[test]
    fn a_doubted_listing_that_begins_anew_shows_everything_once(
        bucket in bucket(), stale in bucket(), page in 1..4usize, doubted_after in 0..8usize, opened_after in 0..8usize,
        read_before in 0..6usize
    ) {
        let mut tree = Tree::new(options(OddKeys::Hide));
        list_directory(&mut tree, &stale, Ino::ROOT, 1000, |_| {});
        let now = NOW + Duration::from_secs(100);
        let listing = tree.begin_listing(Ino::ROOT, Depth::Directory, now, now).unwrap();
        let (wrong, right) = (list(&stale, ""), list(&bucket, ""));
        let (mut handle, mut read) = (None, Vec::new());
        for (nth, (span, lines)) in in_pages(&wrong, page).into_iter().enumerate().take(doubted_after) {
            tree.apply(&listing, &span, items(lines), now);
            if nth == opened_after {
                handle = tree.open_directory(Ino::ROOT, now, Some(Duration::from_secs(60)));
                read = handle.map_or_else(Vec::new, |handle| tree.entries(handle, 0, read_before, now).unwrap().listed);
            }
        }
        tree.doubt();
        let known = |tree: &mut Tree, name: &str| !matches!(tree.lookup(Ino::ROOT, name.as_bytes(), now, now), Lookup::Unknown { .. });
        prop_assert!(!known(&mut tree, "nothing of this name"), "it is not said any more that a name is not there");
        prop_assert_eq!(tree.last_listing(Ino::ROOT), None);
        // A listing that was over by then does not begin anew: the directory is listed again.
        let listing = match tree.as_of(&listing) {
            Some(_) => listing,
            None => {
                tree.end_listing(&listing);
                tree.begin_listing(Ino::ROOT, Depth::Directory, now, now).unwrap()
            }
        };
        for (span, lines) in in_pages(&right, page) {
            tree.apply(&listing, &span, items(lines), now);
        }
        tree.end_listing(&listing);
        let mut all: Vec<String> = entries(&mut tree, Ino::ROOT).into_iter().map(|entry| entry.name.into()).collect();
        all.sort();
        let expected = model(&bucket, OddKeys::Hide).into_keys().filter(|path| !path.contains('/'));
        prop_assert!(all.iter().cloned().eq(expected));
        let Some(handle) = handle else { return Ok(()) };
        prop_assert_eq!(tree.snapshot_state(handle), Some(SnapshotState::Doubted));
        prop_assert!(tree.catch_up(handle), "the directory is known whole");
        let from = read.last().map_or(0, |last| last.index + 1);
        let rest = tree.entries(handle, from, usize::MAX, now).unwrap();
        prop_assert_eq!(rest.state, SnapshotState::Complete);
        read.extend(rest.listed);
        let names: Vec<String> = read.into_iter().map(|entry| entry.name.into()).collect();
        let unique: BTreeSet<&String> = names.iter().collect();
        prop_assert_eq!(unique.len(), names.len(), "no name comes twice: {:?}", names);
        prop_assert!(all.iter().all(|name| unique.contains(name)), "{:?} lacks some of {:?}", names, all);
    }

    #[test]
    fn what_a_listing_has_settled_stays_so(
        bucket in bucket(), stale in bucket(), page in 1..4usize, odd_keys in odd_keys(), listed_before in any::<bool>()
    ) {
        let mut tree = Tree::new(options(odd_keys));
        if listed_before {
            list_directory(&mut tree, &stale, Ino::ROOT, 1000, |_| {});
        }
        // Later than any answer of that listing holds.
        let now = NOW + Duration::from_secs(100);
        let names: BTreeSet<String> = model(&bucket, odd_keys).into_keys().chain(model(&stale, odd_keys).into_keys())
            .filter(|path| !path.contains('/')).collect();
        let listing = tree.begin_listing(Ino::ROOT, Depth::Directory, now, now).unwrap();
        let handle = tree.open_directory(Ino::ROOT, now, Some(Duration::from_secs(60))).unwrap();
        let mut answers = Vec::new();
        let mut read: Vec<Listed> = Vec::new();
        for (span, lines) in in_pages(&list(&bucket, ""), page) {
            tree.apply(&listing, &span, items(lines), now);
            answers.extend(names.iter().map(|name| (name, tree.lookup(Ino::ROOT, name.as_bytes(), now, now))));
            let from = read.last().map_or(0, |last| last.index + 1);
            read.extend(tree.entries(handle, from, 1, now).unwrap().listed);
        }
        tree.end_listing(&listing);
        let from = read.last().map_or(0, |last| last.index + 1);
        read.extend(tree.entries(handle, from, usize::MAX, now).unwrap().listed);
        tree.close_directory(handle);
        for (name, answer) in answers {
            let last = tree.lookup(Ino::ROOT, name.as_bytes(), now, now);
            match answer {
                Lookup::Unknown { .. } => {}
                Lookup::Found(_) | Lookup::Missing(_) => prop_assert_eq!(answer, last, "{}", name),
                other => prop_assert!(false, "{other:?}"),
            }
        }
        let read: BTreeMap<String, Ino> = read.into_iter().map(|entry| (entry.name.into(), entry.view.ino)).collect();
        let all: BTreeMap<String, Ino> =
            entries(&mut tree, Ino::ROOT).into_iter().map(|entry| (entry.name.into(), entry.view.ino)).collect();
        prop_assert_eq!(read, all, "a handle opened at the start has read everything, once");
    }
}

pub(super) fn bucket_of(keys: &[(&str, u64)]) -> Bucket {
    keys.iter().map(|&(key, size)| (key.to_owned(), (size, format!("tag{size}")))).collect()
}

fn check(keys: &[(&str, u64)], odd_keys: OddKeys, expected: Expect) {
    let mut tree = Tree::new(options(odd_keys));
    let bucket = bucket_of(keys);
    let (shows, _) = walk(&mut tree, &bucket, 2);
    let mut picture = String::new();
    let mut lines: Vec<_> = shows.into_iter().collect();
    lines.sort_by(|(a, _), (b, _)| a.split('/').cmp(b.split('/')));
    for (path, facts) in lines {
        let depth = path.matches('/').count();
        let name = path.rsplit('/').next().unwrap();
        let indent = "  ".repeat(depth);
        match facts {
            None => writeln!(picture, "{indent}{name}/").unwrap(),
            Some((size, _)) => writeln!(picture, "{indent}{name} {size}").unwrap(),
        }
    }
    let mut odd = list_directory(&mut Tree::new(options(odd_keys)), &bucket, Ino::ROOT, 2, |_| {});
    odd.sort_by(|a, b| a.key.cmp(&b.key));
    for OddKey { key, odd } in odd {
        writeln!(picture, "hidden: {key:?}, its name {}", odd.reason()).unwrap();
    }
    expected.assert_eq(&picture);
}

#[test]
fn keys_split_at_slashes() {
    let keys = [("config.json", 10), ("model/a.safetensors", 20), ("model/b/c", 30), ("empty/", 0), ("zero", 0)];
    check(
        &keys,
        OddKeys::Hide,
        expect![[r#"
            config.json 10
            empty/
            model/
              a.safetensors 20
              b/
                c 30
            zero 0
        "#]],
    );
}

const ODD: &[(&str, u64)] = &[
    ("a", 1),
    ("a-b", 2),
    ("a/b", 3),
    ("a//c", 4),
    ("..", 5),
    ("./d", 6),
    ("/e", 7),
    ("marker/", 8),
    ("nul\0", 9),
    ("%oss-file=x", 10),
];

#[test]
fn odd_keys_are_hidden() {
    check(
        ODD,
        OddKeys::Hide,
        expect![[r#"
            %oss-file=x 10
            a/
              b 3
            a-b 2
            marker/
            hidden: "..", its name would be `.` or `..`
            hidden: "./", its name would be `.` or `..`
            hidden: "/", its name would be empty
            hidden: "a", its name is taken by the directory of the same name
            hidden: "nul\0", its name would hold a NUL byte
        "#]],
    );
}

#[test]
fn odd_keys_are_escaped() {
    check(
        ODD,
        OddKeys::Escape,
        expect![[r#"
            %oss-dir=/
              e 7
            %oss-dir=./
              d 6
            %oss-file=%25oss-file=x 10
            %oss-file=.. 5
            %oss-file=a 1
            %oss-file=nul%00 9
            a/
              %oss-dir=/
                c 4
              b 3
            a-b 2
            marker/
              %oss-file= 8
        "#]],
    );
}

#[test]
fn a_directory_that_goes_while_it_is_listed_leaves_nothing() {
    let mut tree = Tree::new(options(OddKeys::Hide));
    list_directory(&mut tree, &bucket_of(&[("dir/a", 1), ("dir/b", 1)]), Ino::ROOT, 10, |_| {});
    let dir = entries(&mut tree, Ino::ROOT)[0].view.ino;
    list_directory(&mut tree, &bucket_of(&[("dir/a", 1), ("dir/b", 1)]), dir, 10, |_| {});
    let listing = tree.begin_listing(dir, Depth::Directory, NOW, NOW).unwrap();
    tree.probed(dir, "a", &Probe::Missing, NOW);
    tree.probed(Ino::ROOT, "dir", &Probe::Missing, NOW);
    assert_eq!(tree.apply(&listing, &KeySpan::all(), [], NOW).0, Standing::Gone);
    sweep(&mut tree);
    assert_eq!(tree.len(), 1);
}

#[test]
fn a_file_whose_listing_broke_off_does_not_stand_beside_its_directory() {
    let mut tree = Tree::new(options(OddKeys::Hide));
    list_directory(&mut tree, &bucket_of(&[("b/a", 1)]), Ino::ROOT, 10, |_| {});
    let listing = tree.begin_listing(Ino::ROOT, Depth::Directory, NOW, NOW).unwrap();
    let span = KeySpan { from: String::new(), before: Some("b/".to_owned()) };
    tree.apply(&listing, &span, items(&list(&bucket_of(&[("b", 1)]), "")), NOW);
    tree.end_listing(&listing);
    let shown = entries(&mut tree, Ino::ROOT);
    assert_eq!(
        shown.iter().map(|entry| (&*entry.name, entry.view.shape)).collect::<Vec<_>>(),
        [("b", Shape::Directory)]
    );
}
