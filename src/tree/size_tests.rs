//! What a tree of a million files takes.

use expect_test::expect;

use super::tests::{NOW, entries, options};
use super::*;
use crate::base::KeySpan;

fn a_million() -> Tree {
    let mut tree = Tree::new(options(OddKeys::Hide));
    let listing = tree.begin_listing(Ino::ROOT, Depth::Directory, NOW, NOW).unwrap();
    for page in 0..1000u64 {
        let line = |n: u64| (format!("{:08}.jpg", page * 1000 + n), format!("{:032x}", page * 1000 + n));
        let lines: Vec<_> = (0..1000).map(line).collect();
        let items = lines.iter().map(|(key, etag)| {
            let mtime = Some(Timestamp::from_unix(1_700_000_000));
            Item::Object(
                key,
                Facts { size: 1 << 20, etag: Some(etag), mtime, class: Some("Standard"), ..Facts::default() },
            )
        });
        let span = KeySpan { from: format!("{:08}", page * 1000), before: Some(format!("{:08}", (page + 1) * 1000)) };
        tree.apply(&listing, &span, items, NOW);
    }
    tree.apply(&listing, &KeySpan { from: String::new(), before: Some("00000000".to_owned()) }, [], NOW);
    tree.apply(&listing, &KeySpan { from: format!("{:08}", 1_000_000), before: None }, [], NOW);
    tree.end_listing(&listing);
    tree
}

#[test]
fn a_million_files_take_little_memory() {
    let mut tree = a_million();
    // 64 in the arena, 4 in the list of children, 10 in the index.
    let beside_names = tree.bytes() as u64 / 1_000_000 - 12;
    expect!["78"].assert_eq(&beside_names.to_string());
    assert!(beside_names <= 115, "{beside_names} bytes for each file beside its name");
    let read = entries(&mut tree, Ino::ROOT);
    assert_eq!(read.len(), 1_000_000);
    for entry in read.iter().step_by(999) {
        match tree.lookup(Ino::ROOT, entry.name.as_bytes(), NOW, NOW) {
            Lookup::Found(view) => assert_eq!(view.ino, entry.view.ino),
            other => panic!("{other:?}"),
        }
    }
}
