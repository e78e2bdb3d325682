//! Requests that come upon a mistake of the tree's own.

use crate::fs::tests::Bed;
use crate::fs::*;

#[tokio::test]
async fn a_request_that_comes_upon_an_entry_that_is_missing_fails_alone() {
    let bed = Bed::new(&["a", "b", "dir/c", "dir/d"], |_| {});
    assert_eq!((bed.names("").await.len(), bed.names("dir").await), (3, vec!["c".to_owned(), "d".to_owned()]));
    let directory = bed.attr("dir").await.ino;
    let lost = bed.attr("dir/d").await.ino;
    bed.fs.names.state.lock().tree.lose(lost);
    let look = |name: &str| unless_broken(bed.fs.clone().lookup(directory, name.as_bytes().to_vec()));
    assert_eq!(look("d").await, Err(Errno::EIO));
    assert_eq!(bed.names("").await.len(), 3, "what goes through other directories is as it was");
    // A number that leads to nothing is one that is not known.
    assert_eq!(unless_broken(bed.fs.clone().getattr(lost)).await, Err(Errno::ESTALE));
}
