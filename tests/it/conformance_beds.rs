//! The beds that the conformance suite runs on, each a test of its own.

use std::sync::Arc;

use ossmount::store::memory::MemoryStore;
use ossmount::store::{StorageClass, Store, StoreMut};

use crate::conformance::{Bed, Bucket, Traits, conformance};

fn bucket<S: Store + StoreMut>(store: Arc<S>) -> Bucket {
    Bucket { store: store.clone(), writer: store }
}

#[tokio::test]
async fn memory() {
    let first = Arc::new(MemoryStore::new());
    conformance(Bed {
        name: "memory",
        bucket: bucket(first.clone()),
        versioned: Some(bucket(Arc::new(MemoryStore::new().versioned()))),
        wrong_secret: None,
        no_bucket: None,
        archive: Some(Box::new({
            let store = first.clone();
            move |key| {
                store.put(key, "cold");
                store.amend(key, |meta| meta.storage_class = Some(StorageClass("Archive".into())));
            }
        })),
        link: Some(Box::new(move |key, target| first.put_symlink(key, target))),
        traits: Traits { leading_slash: true, ..Traits::OSS },
        lacks: &[
            ("a_missing_bucket_is_named", "a store in memory is its bucket"),
            ("a_wrong_secret_is_denied", "a store in memory asks nobody for credentials"),
        ],
    })
    .await;
}
