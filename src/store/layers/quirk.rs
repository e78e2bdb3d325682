//! Listings of servers that break the rules, for tests: another order of the keys, common prefixes repeated on each
//! page, `start-after` ignored or refused, keys listed twice, empty pages.
//!
//! Every such listing is complete all the same when it is paged to its end by its tokens.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;

use crate::base::{Key, fnv1a};
use crate::store::{
    Error, ErrorKind, GetRequest, GetResponse, HeadRequest, ListEntry, ListPage, ListRequest, ObjectMeta, Result,
    Store, Tags, VersionPage, VersionsRequest,
};

/// The order in which a server lists keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum KeyOrder {
    /// By their bytes, as the protocol has it.
    #[default]
    Bytes,
    /// By their UTF-16 code units.
    Utf16,
    /// Scattered, as this seed has it.
    Scattered(u64),
}

/// What a server makes of `start-after`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum StartAfter {
    /// It begins behind that key, in its own order.
    #[default]
    Obeyed,
    /// It begins at the beginning.
    Ignored,
    /// The server answers it with status 400.
    Refused,
}

/// Pages that are truncated and show no name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum EmptyPages {
    /// No such pages are given.
    #[default]
    None,
    /// So many in a row before each page that shows names.
    Before(u32),
    /// There are no others: the listing has no end.
    Endless,
}

/// How a server lists.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Quirks {
    /// The order of the keys.
    pub order: KeyOrder,
    /// How the server treats `start-after`.
    pub start_after: StartAfter,
    /// Whether each page repeats all common prefixes.
    pub repeated_prefixes: bool,
    /// Whether one name of five is listed a second time, at once or up to three names later.
    pub duplicates: bool,
    /// Pages without a name.
    pub empty_pages: EmptyPages,
}

/// Lists what another store holds in the manner of a server with quirks.
#[derive(Debug)]
pub struct QuirkStore {
    inner: Arc<dyn Store>,
    quirks: Quirks,
    lists: AtomicU64,
}

impl QuirkStore {
    /// Puts quirks over a store.
    pub fn new(inner: Arc<dyn Store>, quirks: Quirks) -> Self {
        QuirkStore { inner, quirks, lists: AtomicU64::new(0) }
    }

    /// Pages asked for so far.
    pub fn lists(&self) -> u64 {
        self.lists.load(Ordering::Relaxed)
    }

    /// Every object below a prefix, in this server's order.
    async fn all(&self, prefix: &str) -> Result<Vec<ListEntry>> {
        let mut all = Vec::new();
        let mut request = ListRequest { prefix: prefix.to_owned(), ..ListRequest::default() };
        loop {
            let page = self.inner.list(request.clone()).await?;
            all.extend(page.entries);
            request.continuation = page.next;
            if request.continuation.is_none() {
                break;
            }
        }
        match self.quirks.order {
            KeyOrder::Bytes => {}
            KeyOrder::Utf16 => all.sort_by_cached_key(|entry| utf16(&entry.key)),
            KeyOrder::Scattered(seed) => {
                all.sort_by_cached_key(|entry| fnv1a(format!("{seed}{}", entry.key).as_bytes()))
            }
        }
        Ok(all)
    }

    fn is_behind(&self, key: &str, place: &str) -> bool {
        match self.quirks.order {
            KeyOrder::Bytes => key > place,
            KeyOrder::Utf16 => utf16(key) > utf16(place),
            KeyOrder::Scattered(_) => true,
        }
    }

    /// The lines of a listing: objects, and common prefixes without one.
    fn lines(&self, all: Vec<ListEntry>, request: &ListRequest) -> Vec<(String, Option<ListEntry>)> {
        let mut seen = HashSet::new();
        let mut lines = Vec::new();
        for entry in all {
            let rest = &entry.key[request.prefix.len()..];
            let cut = request.delimiter.as_deref().and_then(|delimiter| Some(rest.find(delimiter)? + delimiter.len()));
            match cut {
                Some(cut) => {
                    let prefix = entry.key[..request.prefix.len() + cut].to_owned();
                    if seen.insert(prefix.clone()) {
                        lines.push((prefix, None));
                    }
                }
                None => lines.push((entry.key.clone(), Some(entry))),
            }
        }
        if self.quirks.duplicates {
            for at in (0..lines.len()).rev().step_by(5) {
                let again = (at + 1 + at / 5 % 4).min(lines.len());
                lines.insert(again, lines[at].clone());
            }
        }
        lines
    }
}

/// Where a listing stands: lines passed, and empty pages given since.
fn place(token: &str) -> Result<(usize, u32)> {
    let parsed = token.split_once('.').and_then(|(line, empty)| Some((line.parse().ok()?, empty.parse().ok()?)));
    parsed.ok_or_else(|| Error::new(ErrorKind::Invalid, "no token of this server").with_status(400))
}

fn utf16(key: &str) -> Vec<u16> {
    key.encode_utf16().collect()
}

#[async_trait]
impl Store for QuirkStore {
    async fn get(&self, request: GetRequest) -> Result<GetResponse> {
        self.inner.get(request).await
    }

    async fn head(&self, request: HeadRequest) -> Result<ObjectMeta> {
        self.inner.head(request).await
    }

    async fn list(&self, request: ListRequest) -> Result<ListPage> {
        self.lists.fetch_add(1, Ordering::Relaxed);
        let mut all = self.all(&request.prefix).await?;
        // Tokens count lines from the key on that the listing began behind.
        let (begin, token) = match request.continuation.as_deref().map(|token| token.split_once('|')) {
            Some(Some((token, begin))) => (Some(begin.to_owned()), token.to_owned()),
            Some(None) => return Err(Error::new(ErrorKind::Invalid, "no token of this server").with_status(400)),
            None => (request.start_after.clone(), "0.0".to_owned()),
        };
        match (self.quirks.start_after, &begin) {
            (StartAfter::Refused, Some(_)) if request.continuation.is_none() => {
                let message = "start-after is not supported";
                return Err(Error::new(ErrorKind::Invalid, message)
                    .with_status(400)
                    .with_code("InvalidArgument".to_owned()));
            }
            (StartAfter::Obeyed, Some(begin)) => all.retain(|entry| self.is_behind(&entry.key, begin)),
            _ => {}
        }
        let lines = self.lines(all, &request);
        let (from, empty) = place(&token)?;
        let next = |line: usize, empty: u32| Some(format!("{line}.{empty}|{}", begin.as_deref().unwrap_or_default()));
        match self.quirks.empty_pages {
            EmptyPages::Endless => return Ok(ListPage { next: next(0, empty + 1), ..ListPage::default() }),
            EmptyPages::Before(row) if empty < row => {
                return Ok(ListPage { next: next(from, empty + 1), ..ListPage::default() });
            }
            _ => {}
        }
        let most = if request.max_keys == 0 { 1000 } else { request.max_keys.min(1000) } as usize;
        let to = lines.len().min(from + most);
        let mut page = ListPage { next: (to < lines.len()).then(|| next(to, 0)).flatten(), ..ListPage::default() };
        let repeated = lines[..from.min(to)].iter().chain(&lines[to..]).filter(|(_, entry)| entry.is_none());
        if self.quirks.repeated_prefixes {
            page.prefixes.extend(repeated.map(|(prefix, _)| prefix.clone()));
        }
        for (name, entry) in &lines[from.min(to)..to] {
            match entry {
                Some(entry) => page.entries.push(entry.clone()),
                None => page.prefixes.push(name.clone()),
            }
        }
        if self.quirks.repeated_prefixes && self.quirks.order == KeyOrder::Bytes {
            page.prefixes.sort_unstable();
            page.prefixes.dedup();
        }
        Ok(page)
    }

    async fn list_versions(&self, request: VersionsRequest) -> Result<VersionPage> {
        self.inner.list_versions(request).await
    }

    async fn symlink_target(&self, key: &Key, version: Option<&str>) -> Result<String> {
        self.inner.symlink_target(key, version).await
    }

    async fn tags(&self, key: &Key, version: Option<&str>) -> Result<Tags> {
        self.inner.tags(key, version).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::MemoryStore;

    /// Every name of a listing by pages of two, as it comes.
    async fn listed(quirks: Quirks, delimiter: Option<&str>) -> Vec<String> {
        let inner = MemoryStore::new();
        for key in ["a/1", "a/2", "b", "c/1", "\u{ff00}", "\u{10000}"] {
            inner.put(key, "");
        }
        let store = QuirkStore::new(Arc::new(inner), quirks);
        let mut request =
            ListRequest { max_keys: 2, delimiter: delimiter.map(str::to_owned), ..ListRequest::default() };
        let mut names = Vec::new();
        loop {
            let page = store.list(request.clone()).await.unwrap();
            names.extend(page.entries.into_iter().map(|entry| entry.key));
            names.extend(page.prefixes);
            request.continuation = page.next;
            if request.continuation.is_none() {
                return names;
            }
        }
    }

    #[tokio::test]
    async fn each_quirk_shows_and_no_name_is_lost() {
        let plain = Quirks::default();
        let all = ["a/1", "a/2", "b", "c/1", "\u{ff00}", "\u{10000}"];
        assert_eq!(listed(plain, None).await, all);
        assert_eq!(listed(plain, Some("/")).await, ["b", "a/", "\u{ff00}", "c/", "\u{10000}"]);
        let utf16 = Quirks { order: KeyOrder::Utf16, ..plain };
        assert_eq!(listed(utf16, None).await, ["a/1", "a/2", "b", "c/1", "\u{10000}", "\u{ff00}"]);
        let mut scattered = listed(Quirks { order: KeyOrder::Scattered(1), ..plain }, None).await;
        assert_ne!(scattered, all);
        scattered.sort_unstable();
        assert_eq!(scattered, all);
        let twice = listed(Quirks { duplicates: true, ..plain }, None).await;
        assert_eq!(twice.len(), all.len() + 2, "{twice:?}");
        let repeated = listed(Quirks { repeated_prefixes: true, ..plain }, Some("/")).await;
        assert_eq!(repeated.iter().filter(|name| *name == "a/").count(), 3, "{repeated:?}");
        assert_eq!(listed(Quirks { empty_pages: EmptyPages::Before(3), ..plain }, None).await, all);
    }

    #[tokio::test]
    async fn start_after_is_obeyed_ignored_or_refused() {
        for (start_after, expected) in [
            (StartAfter::Obeyed, Some(vec!["b", "c"])),
            (StartAfter::Ignored, Some(vec!["a", "b", "c"])),
            (StartAfter::Refused, None),
        ] {
            let inner = MemoryStore::new();
            for key in ["a", "b", "c"] {
                inner.put(key, "");
            }
            let store = QuirkStore::new(Arc::new(inner), Quirks { start_after, ..Quirks::default() });
            let page = store.list(ListRequest { start_after: Some("a".into()), ..ListRequest::default() }).await;
            let keys = page.ok().map(|page| page.entries.into_iter().map(|entry| entry.key).collect::<Vec<_>>());
            assert_eq!(keys, expected.map(|keys| keys.into_iter().map(str::to_owned).collect()), "{start_after:?}");
        }
    }
}
