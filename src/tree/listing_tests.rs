//! Listings of everything below a directory: any spans, in any order, over whatever the tree knew before.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::tests::{
    Bucket, Listed, NOW, Shows, apply, bucket, cut_at, entries, list_directory, model, odd_keys, options, sweep, walk,
};
use super::*;
use crate::base::KeySpan;

/// Lists everything below the root at once, in these spans, with `watch` looking at the tree after each page.
pub(super) fn list_subtree(
    tree: &mut Tree,
    bucket: &Bucket,
    spans: &[KeySpan],
    now: Duration,
    mut watch: impl FnMut(&mut Tree),
) {
    let listing = tree.begin_listing(Ino::ROOT, Depth::Subtree, now, now).unwrap();
    for span in spans {
        assert_eq!(apply(tree, bucket, &listing, span, now).0, Standing::Wanted);
        watch(tree);
    }
    tree.end_listing(&listing);
}

/// What the tree shows without being told more, but for part directories, which stand for no prefix of their own.
fn shown(tree: &mut Tree, bucket: &Bucket, now: Duration) -> Shows {
    let mut shows = Shows::new();
    let mut todo = vec![(Ino::ROOT, String::new())];
    while let Some((directory, path)) = todo.pop() {
        if path.contains("%oss-part=") {
            list_directory(tree, bucket, directory, 1000, |_| {});
        }
        let fresh = if path.contains("%oss-part=") { None } else { Some(now - NOW + Duration::from_secs(1)) };
        let handle = tree.open_directory(directory, now, fresh);
        let handle = handle.unwrap_or_else(|| panic!("{path:?} is not complete"));
        let found = tree.entries(handle, 0, usize::MAX, now).unwrap();
        assert_eq!(found.state, SnapshotState::Complete, "{path:?}");
        tree.close_directory(handle);
        for Listed { name, view, .. } in found.listed {
            let path = format!("{path}{name}");
            let object = tree.object(view.ino);
            shows.insert(path.clone(), object.map(|object| (object.size, object.etag.unwrap().as_str().to_owned())));
            if view.shape == Shape::Directory {
                todo.push((view.ino, path + "/"));
            }
        }
    }
    shows
}

fn spans() -> impl Strategy<Value = Vec<KeySpan>> {
    let bound = prop_oneof![3 => "[ab/.0-]{1,5}", 1 => "[ab]{1,2}(/[ab]{1,2}){0,2}/?", 1 => "n{244,250}[ab]?/?"];
    let listing = Listing {
        id: Tree::new(options(OddKeys::Hide)).begin_listing(Ino::ROOT, Depth::Subtree, NOW, NOW).unwrap().id,
        directory: Ino::ROOT,
        prefix: String::new(),
        depth: Depth::Subtree,
    };
    prop::collection::vec(bound, 0..6).prop_map(move |bounds| cut_at(&listing, bounds)).prop_shuffle()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_subtree_in_any_spans_in_any_order_gives_the_model_tree(
        before in bucket(), after in bucket(), both in bucket(), spans in spans(), odd_keys in odd_keys(),
        again in spans(), page in 1..6usize
    ) {
        let before: Bucket = before.into_iter().chain(both.clone()).collect();
        let after: Bucket = after.into_iter().chain(both).collect();
        let mut tree = Tree::new(options(odd_keys));
        let (_, numbers) = walk(&mut tree, &before, page);
        let now = NOW + Duration::from_secs(100);
        list_subtree(&mut tree, &after, &spans, now, |_| {});
        prop_assert_eq!(shown(&mut tree, &after, now), model(&after, odd_keys));
        list_subtree(&mut tree, &before, &again, now, |_| {});
        let (shows, numbers_again) = walk(&mut tree, &before, page);
        prop_assert_eq!(shows, model(&before, odd_keys));
        prop_assert_eq!(numbers_again, numbers);
        list_subtree(&mut tree, &Bucket::new(), &spans, now, |_| {});
        sweep(&mut tree);
        prop_assert_eq!(tree.len(), 1, "nothing is left but the root");
    }

    #[test]
    fn what_a_subtree_has_settled_stays_so(
        bucket in bucket(), stale in bucket(), spans in spans(), odd_keys in odd_keys(), opened_after in 0..6usize,
        twice in any::<bool>()
    ) {
        let mut tree = Tree::new(options(odd_keys));
        walk(&mut tree, &stale, 1000);
        let now = NOW + Duration::from_secs(100);
        let names: BTreeSet<String> = model(&bucket, odd_keys).into_keys().chain(model(&stale, odd_keys).into_keys())
            .filter(|path| !path.contains('/')).collect();
        let (mut answers, mut read, mut handle, mut pages) = (Vec::new(), Vec::<Listed>::new(), None, 0);
        let mut watch = |tree: &mut Tree| {
            pages += 1;
            answers.extend(names.iter().map(|name| (name, tree.lookup(Ino::ROOT, name.as_bytes(), now, now))));
            if pages == opened_after {
                handle = tree.open_directory(Ino::ROOT, now, Some(Duration::from_secs(60)));
            }
            if let Some(handle) = handle {
                let from = read.last().map_or(0, |last| last.index + 1);
                read.extend(tree.entries(handle, from, 1, now).unwrap().listed);
            }
        };
        list_subtree(&mut tree, &bucket, &spans, now, &mut watch);
        if twice {
            // Spans that come again change nothing.
            list_subtree(&mut tree, &bucket, &spans, now, &mut watch);
        }
        for (name, answer) in answers {
            match (answer, tree.lookup(Ino::ROOT, name.as_bytes(), now, now)) {
                (Lookup::Unknown { .. }, _) | (Lookup::Missing(_), Lookup::Missing(_)) => {}
                // A directory is settled with the first key that is shown below it; its marker comes later.
                (Lookup::Found(early), Lookup::Found(last)) => prop_assert_eq!(early.ino, last.ino, "{}", name),
                (early, last) => prop_assert!(false, "{name}: {early:?}, then {last:?}"),
            }
        }
        if let Some(handle) = handle {
            let from = read.last().map_or(0, |last| last.index + 1);
            let rest = tree.entries(handle, from, usize::MAX, now).unwrap();
            prop_assert_eq!(rest.state, SnapshotState::Complete);
            read.extend(rest.listed);
            let mut read: Vec<String> = read.into_iter().map(|entry| entry.name.into()).collect();
            read.sort();
            let mut all: Vec<String> = entries(&mut tree, Ino::ROOT).into_iter().map(|entry| entry.name.into()).collect();
            all.sort();
            prop_assert_eq!(read, all, "a handle opened on the way has read everything, once");
        }
    }
}
