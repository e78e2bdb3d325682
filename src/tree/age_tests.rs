//! Answers that come in another order than they were asked for: an earlier one changes nothing that a later one has
//! told.

use super::tests::{Bucket, apply, bucket_of, entries, list_directory_at, options};
use super::*;
use crate::base::KeySpan;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn tree(bucket: &Bucket) -> Tree {
    let mut tree = Tree::new(options(OddKeys::Hide));
    list_directory_at(&mut tree, bucket, Ino::ROOT, 1000, at(10), |_| {});
    tree
}

fn names(tree: &mut Tree) -> Vec<String> {
    entries(tree, Ino::ROOT).into_iter().map(|entry| entry.name.into()).collect()
}

fn ino(tree: &mut Tree, name: &str) -> Ino {
    entries(tree, Ino::ROOT).into_iter().find(|entry| &*entry.name == name).unwrap().view.ino
}

#[test]
fn a_page_leaves_names_alone_that_were_asked_for_after_it() {
    let mut tree = tree(&bucket_of(&[("a", 1), ("b", 1), ("c", 1), ("d/x", 1)]));
    let listing = tree.begin_listing(Ino::ROOT, Depth::Directory, at(20), at(20)).unwrap();
    let facts = Facts { size: 7, etag: Some("new"), ..Facts::default() };
    tree.probed(Ino::ROOT, "new", &Probe::Object(facts), at(22));
    tree.probed(Ino::ROOT, "b", &Probe::Object(facts), at(22));
    tree.probed(Ino::ROOT, "c", &Probe::Missing, at(22));
    tree.probed(Ino::ROOT, "d", &Probe::Missing, at(22));
    tree.probed(Ino::ROOT, "e", &Probe::Directory, at(22));
    apply(&mut tree, &bucket_of(&[("a", 1), ("b", 1), ("c", 1), ("d/x", 1)]), &listing, &KeySpan::all(), at(21));
    tree.end_listing(&listing);
    assert_eq!(names(&mut tree), ["a", "b", "e", "new"]);
    let size = |tree: &mut Tree, name: &str| match tree.lookup(Ino::ROOT, name.as_bytes(), at(22), at(22)) {
        Lookup::Found(view) => view.size,
        other => panic!("{other:?}"),
    };
    assert_eq!((size(&mut tree, "b"), size(&mut tree, "new")), (7, 7), "and they need not be asked for again");
    // One that was asked for later than all of them decides.
    list_directory_at(&mut tree, &bucket_of(&[("a", 1), ("c", 1)]), Ino::ROOT, 1000, at(23), |_| {});
    assert_eq!(names(&mut tree), ["a", "c"]);
}

#[test]
fn who_asked_for_a_name_earlier_learns_nothing() {
    let mut tree = tree(&bucket_of(&[("a", 1)]));
    tree.probed(Ino::ROOT, "a", &Probe::Missing, at(9));
    tree.probed(Ino::ROOT, "b", &Probe::Directory, at(9));
    let file = ino(&mut tree, "a");
    tree.renew(file, None, at(9));
    let facts = Facts { size: 7, etag: Some("old"), ..Facts::default() };
    assert_eq!(tree.renew(file, Some(&facts), at(9)).0, Renewed::Changed);
    assert_eq!(names(&mut tree), ["a"]);
    assert_eq!(ino(&mut tree, "a"), file);
    tree.renew(file, Some(&facts), at(10));
    assert_ne!(ino(&mut tree, "a"), file);
}

#[test]
fn an_answer_about_a_version_that_an_older_page_has_replaced_is_one_about_its_name() {
    let mut tree = tree(&bucket_of(&[("a", 1)]));
    let opened = ino(&mut tree, "a");
    tree.remember(opened, 1);
    // Asked at 22, and before the answer comes one that was asked for at 21.
    list_directory_at(&mut tree, &bucket_of(&[("a", 2)]), Ino::ROOT, 1000, at(21), |_| {});
    let between = ino(&mut tree, "a");
    let facts = Facts { size: 7, etag: Some("new"), ..Facts::default() };
    assert_eq!(tree.renew(opened, Some(&facts), at(22)).0, Renewed::Changed);
    let now = ino(&mut tree, "a");
    assert!(now != between && now != opened && tree.view(now, at(22)).is_some_and(|view| view.size == 7));
    // One that is older than that changes nothing, and a later one shows that it is gone.
    tree.renew(opened, None, at(21));
    assert_eq!(names(&mut tree), ["a"]);
    tree.renew(opened, None, at(23));
    assert_eq!(names(&mut tree), [""; 0]);
}

#[test]
fn a_wide_page_passes_by_what_was_listed_after_it_and_tells_of_what_lies_below() {
    let before = bucket_of(&[("a", 1), ("d/old", 1), ("d/e/f", 1)]);
    let mut tree = tree(&before);
    let wide = tree.begin_listing(Ino::ROOT, Depth::Subtree, at(20), Duration::ZERO).unwrap();
    let d = ino(&mut tree, "d");
    let after = bucket_of(&[("a", 1), ("d/new", 1), ("d/e/f", 1)]);
    list_directory_at(&mut tree, &after, d, 1000, at(22), |_| {});
    apply(&mut tree, &before, &wide, &KeySpan::all(), at(21));
    let in_d: Vec<_> = entries(&mut tree, d).into_iter().map(|entry| (entry.name, entry.view.ino)).collect();
    assert_eq!(in_d.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["e", "new"]);
    assert!(tree.last_listing(in_d[0].1).is_some_and(|last| last.at == at(21)), "what lies below is as the page says");
    assert!(tree.last_listing(Ino::ROOT).is_some_and(|last| last.at == at(21)));
    tree.end_listing(&wide);
}

#[test]
fn what_others_have_settled_too_early_does_not_count() {
    for (oldest, settled) in [(20, true), (21, false)] {
        let bucket = bucket_of(&[("a", 1), ("z", 1)]);
        let mut tree = tree(&bucket);
        let wide = tree.begin_listing(Ino::ROOT, Depth::Subtree, at(20), Duration::ZERO).unwrap();
        let first = KeySpan { from: String::new(), before: Some("m".to_owned()) };
        apply(&mut tree, &bucket, &wide, &first, at(20));
        let own = tree.begin_listing(Ino::ROOT, Depth::Directory, at(22), at(oldest)).unwrap();
        assert_eq!(tree.as_of(&own), Some(at(if settled { 20 } else { 22 })));
        let second = KeySpan { from: "m".to_owned(), before: None };
        let (standing, _) = apply(&mut tree, &bucket, &own, &second, at(22));
        assert_eq!(standing, if settled { Standing::Settled } else { Standing::Wanted });
        assert_eq!(tree.join(&own, at(oldest)).is_some(), !settled);
        // A wide page that is too old for those who have joined is no help to them.
        apply(&mut tree, &bucket, &wide, &first, at(20));
        assert_eq!(tree.as_of(&own).is_some(), !settled);
        tree.end_listing(&own);
        tree.end_listing(&wide);
    }
}

#[test]
fn a_stale_object_is_not_held_to_be_there() {
    let bucket = bucket_of(&[("a", 1), ("b", 1)]);
    let mut tree = tree(&bucket);
    let file = ino(&mut tree, "a");
    tree.mark_stale(file, at(20));
    // Asked for before the change was seen, and after it took place.
    list_directory_at(&mut tree, &bucket_of(&[("b", 1)]), Ino::ROOT, 1000, at(19), |_| {});
    assert_eq!(names(&mut tree), ["b"]);
    list_directory_at(&mut tree, &bucket, Ino::ROOT, 1000, at(19), |_| {});
    assert_eq!(names(&mut tree), ["a", "b"]);
}

#[test]
fn a_stale_object_stays_so_under_pages_that_were_asked_for_before() {
    let bucket = bucket_of(&[("a", 1)]);
    let mut tree = tree(&bucket);
    let file = ino(&mut tree, "a");
    tree.mark_stale(file, at(20));
    list_directory_at(&mut tree, &bucket, Ino::ROOT, 1000, at(19), |_| {});
    assert!(tree.object(file).unwrap().stale);
    list_directory_at(&mut tree, &bucket, Ino::ROOT, 1000, at(21), |_| {});
    assert!(!tree.object(file).unwrap().stale);
}

#[test]
fn directories_that_were_listed_before_a_time_are_named() {
    let bucket = bucket_of(&[("a/b/c", 1), ("d/e", 1), ("f", 1)]);
    let mut tree = tree(&bucket);
    let (a, d) = (ino(&mut tree, "a"), ino(&mut tree, "d"));
    list_directory_at(&mut tree, &bucket, a, 1000, at(12), |_| {});
    let Lookup::Found(View { ino: b, .. }) = tree.lookup(a, b"b", at(12), at(12)) else { panic!("b is there") };
    list_directory_at(&mut tree, &bucket, b, 1000, at(8), |_| {});
    let before = |tree: &Tree, directory, depth, time| {
        let (mut found, mut part) = (Vec::new(), Some(TreePart::default()));
        while let Some(here) = part {
            let (more, next) = tree.listed_before(directory, depth, time, here);
            found.extend(more);
            part = next;
        }
        found.sort();
        found
    };
    let sorted = |mut inos: Vec<Ino>| {
        inos.sort();
        inos
    };
    assert_eq!(before(&tree, Ino::ROOT, Depth::Subtree, at(8)), []);
    assert_eq!(before(&tree, Ino::ROOT, Depth::Subtree, at(9)), [b]);
    assert_eq!(before(&tree, Ino::ROOT, Depth::Subtree, at(13)), sorted(vec![Ino::ROOT, a, b]), "d was never listed");
    assert_eq!(before(&tree, Ino::ROOT, Depth::Directory, at(13)), [Ino::ROOT]);
    assert_eq!(before(&tree, a, Depth::Subtree, at(13)), sorted(vec![a, b]));
    assert_eq!(before(&tree, d, Depth::Subtree, at(13)), []);
    let listing = tree.begin_listing(d, Depth::Directory, at(20), at(20)).unwrap();
    assert_eq!(before(&tree, d, Depth::Directory, at(13)), [d], "it is listed as of a later time now");
    assert_eq!(before(&tree, d, Depth::Directory, at(20)), []);
    tree.end_listing(&listing);
}
