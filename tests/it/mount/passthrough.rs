//! Files that the kernel reads by itself stay what they are for as long as a program can see them.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use ossmount::metrics::Metric;
use ossmount::store::memory::MemoryStore;

use crate::conformance::pattern;
use crate::support;
use crate::support::bed::{Bed, Recipe};
use crate::support::program::until;

const MIB: usize = 1 << 20;
const SIZE: usize = 24 * MIB + 4321;

/// Reads a file to its end, which is so long.
fn read(bed: &Bed, name: &str) {
    let mut all = vec![0; SIZE];
    File::open(bed.path(name)).unwrap().read_exact_at(&mut all, 0).unwrap();
}

#[test]
fn a_mapping_stays_what_it_is_after_the_file_was_closed() {
    let (store, bytes) = (MemoryStore::new(), pattern(SIZE));
    for number in 0..6 {
        store.put(format!("model-{number}"), bytes.clone());
    }
    let mut recipe = Recipe::default();
    recipe.read.memory_limit = 80 * MIB as u64;
    let bed = recipe.make(Arc::new(store));
    read(&bed, "model-0");
    let passed = || bed.metrics().value(Metric::PassthroughOpens);
    let mut map = None;
    until("the kernel reads it by itself", || {
        let file = File::open(bed.path("model-0")).unwrap();
        map = Some(support::mapping::map(&file));
        passed() > 0
    });
    // It is closed now, and mapped. Others want the memory.
    for number in [1, 2, 3, 4, 5, 1, 2, 3, 4, 5] {
        read(&bed, &format!("model-{number}"));
    }
    let map = map.unwrap();
    assert!(map[..] == bytes[..], "the mapping has changed");
    drop(map);
    // Unmapped, it makes room: others can be kept whole, and read by the kernel.
    let before = passed();
    until("its memory goes to others", || {
        (1..=3).for_each(|number| read(&bed, &format!("model-{number}")));
        passed() > before
    });
}
