//! Small questions: whether any key begins with a prefix, and what a listing says about one key. Each takes one
//! request, or a few if the server answers with empty pages.

use std::sync::Arc;

use futures::StreamExt;

use super::empty::EmptyRow;
use super::findings::Findings;
use super::{ListScope, Options};
use crate::base::KeySpan;
use crate::store::{ListEntry, ListRequest, Result, Store};

/// What a listing tells of one key, if it shows it.
pub async fn one(
    store: Arc<dyn Store>,
    key: &str,
    options: &Options,
    findings: Arc<Findings>,
) -> Result<Option<ListEntry>> {
    let within = KeySpan { from: key.to_owned(), before: Some(format!("{key}\0")) };
    let scope = ListScope::directory(key).within(within);
    let mut pages = super::pages(store, scope, &Options { concurrency: 1, ..options.clone() }).sharing(findings);
    while let Some(page) = pages.next().await {
        if let Some(entry) = page?.entries.into_iter().find(|entry| entry.key == key) {
            return Ok(Some(entry));
        }
    }
    Ok(None)
}

/// Whether any key begins with a prefix. A page without a name that is not the last says nothing.
pub async fn any_below(store: &dyn Store, prefix: &str) -> Result<bool> {
    let mut row = EmptyRow::default();
    let mut request = ListRequest { prefix: prefix.to_owned(), max_keys: 1, ..ListRequest::default() };
    loop {
        let page = store.list(request.clone()).await?;
        let names = (page.entries.len() + page.prefixes.len()) as u64 + page.undecodable;
        let (0, Some(next)) = (names, page.next) else { return Ok(names > 0) };
        row.count(names + page.passed_over)
            .map_err(|error| error.with_operation("ListObjects").with_key(prefix.to_owned()))?;
        tokio::time::sleep(row.pause()).await;
        request.continuation = Some(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ErrorKind;
    use crate::store::layers::{EmptyPages, QuirkStore, Quirks};
    use crate::store::memory::MemoryStore;

    #[tokio::test(start_paused = true)]
    async fn an_empty_page_that_is_not_the_last_says_nothing() {
        let bucket = Arc::new(MemoryStore::new());
        bucket.put("a/b", "");
        for row in [0, 1, 20] {
            let quirks = Quirks { empty_pages: EmptyPages::Before(row), ..Quirks::default() };
            let store = QuirkStore::new(bucket.clone(), quirks);
            assert!(any_below(&store, "a/").await.unwrap(), "{row} empty pages");
            assert!(!any_below(&store, "b/").await.unwrap(), "{row} empty pages");
        }
        let quirks = Quirks { empty_pages: EmptyPages::Endless, ..Quirks::default() };
        let store = QuirkStore::new(bucket, quirks);
        assert_eq!(any_below(&store, "a/").await.unwrap_err().kind(), ErrorKind::Protocol);
        assert_eq!(store.lists(), 1000);
    }
}
