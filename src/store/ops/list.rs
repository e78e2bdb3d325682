//! ListObjectsV2, and ListObjects for servers that know only that.
//!
//! A continuation that this store hands out starts with the version of the call that it belongs to, so that a listing
//! goes on as it began.

use std::sync::atomic::Ordering;

use http::Method;

use super::listing::{Decoding, Listing};
use super::{Call, HttpStore, unfit};
use crate::store::{Body, Error, ErrorKind, ListPage, ListRequest, ListVersion, Result};

/// A page of 1000 keys of 1023 bytes, each byte percent-encoded, with everything around it has some 4 MiB.
const MAX_PAGE_BYTES: usize = 32 << 20;

/// The most that servers give at once, and the default of this trait.
const MAX_KEYS: u32 = 1000;

/// Where a listing goes on, and by which call.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Cursor {
    /// A marker: the key to start after.
    V1(String),
    /// A continuation token of ListObjectsV2.
    V2(String),
}

impl Cursor {
    fn parse(text: &str) -> Result<Cursor> {
        if let Some(marker) = text.strip_prefix('1') {
            return Ok(Cursor::V1(marker.to_owned()));
        }
        match text.strip_prefix('2') {
            Some(token) => Ok(Cursor::V2(token.to_owned())),
            None => Err(Error::new(ErrorKind::Invalid, "the continuation token is not from this store")),
        }
    }

    fn into_text(self) -> String {
        match self {
            Cursor::V1(marker) => format!("1{marker}"),
            Cursor::V2(token) => format!("2{token}"),
        }
    }
}

impl HttpStore {
    pub(super) async fn list_objects(&self, request: ListRequest) -> Result<ListPage> {
        match request.continuation.as_deref().map(Cursor::parse).transpose()? {
            Some(Cursor::V1(marker)) => self.list_v1(&request, Some(marker)).await,
            Some(Cursor::V2(token)) => {
                let listing = self.list_v2(&request, Some(&token)).await?;
                page(&request, listing, Some(&Cursor::V2(token)))
            }
            None if self.lists_v1.load(Ordering::Relaxed) => self.list_v1(&request, request.start_after.clone()).await,
            None => self.list_first(&request).await,
        }
    }

    /// The first page, which shows whether the server knows V2.
    async fn list_first(&self, request: &ListRequest) -> Result<ListPage> {
        let auto = self.options.list_version == ListVersion::Auto;
        match self.list_v2(request, None).await {
            // The server took no notice of `list-type=2`, and so of `start-after` neither.
            Ok(listing) if auto && listing.is_v1() => {
                self.lists_v1.store(true, Ordering::Relaxed);
                match &request.start_after {
                    Some(_) => self.list_v1(request, request.start_after.clone()).await,
                    None => page(request, listing, None),
                }
            }
            Ok(listing) => page(request, listing, None),
            Err(error) if auto && error.kind() == ErrorKind::Unsupported => {
                let page = self.list_v1(request, request.start_after.clone()).await?;
                self.lists_v1.store(true, Ordering::Relaxed);
                Ok(page)
            }
            Err(error) => Err(error),
        }
    }

    async fn list_v2(&self, request: &ListRequest, token: Option<&str>) -> Result<Listing> {
        let start_after = match token {
            Some(_) => None,
            None => request.start_after.clone(),
        };
        let call = Call::new("ListObjectsV2", Method::GET, None)
            .query("list-type", "2".to_owned())
            .query("continuation-token", token.map(str::to_owned))
            .query("start-after", start_after.filter(|key| !key.is_empty()));
        self.listing(call, request).await
    }

    async fn list_v1(&self, request: &ListRequest, marker: Option<String>) -> Result<ListPage> {
        let marker = marker.filter(|marker| !marker.is_empty());
        let call = Call::new("ListObjects", Method::GET, None).query("marker", marker.clone());
        let listing = self.listing(call, request).await?;
        page(request, listing, marker.map(Cursor::V1).as_ref())
    }

    async fn listing(&self, call: Call<'_>, request: &ListRequest) -> Result<Listing> {
        let max_keys = if request.max_keys == 0 { MAX_KEYS } else { request.max_keys.min(MAX_KEYS) };
        let operation = call.operation;
        let call = call
            .query("prefix", Some(request.prefix.clone()).filter(|prefix| !prefix.is_empty()))
            .query("delimiter", request.delimiter.clone().filter(|delimiter| !delimiter.is_empty()))
            .query("max-keys", max_keys.to_string())
            .query("encoding-type", "url".to_owned());
        let named = |error: Error| error.with_operation(operation).with_key(request.prefix.clone());
        let response = self.call(call).await.map_err(named)?;
        let body = Body::new(response.body).collect(MAX_PAGE_BYTES).await.map_err(named)?;
        let decoding = Decoding { plus_is_space: self.rules.plus_is_space, tokens_too: self.rules.tokens_are_encoded };
        Listing::parse(&body, decoding).map_err(named)
    }
}

/// The page that a listing is, or why it does not fit the request that was answered from `cursor`.
fn page(request: &ListRequest, listing: Listing, cursor: Option<&Cursor>) -> Result<ListPage> {
    let outside = |key: &str| !key.starts_with(&request.prefix);
    let keys = listing.entries.iter().map(|entry| &entry.key).chain(&listing.prefixes);
    if let Some(key) = keys.into_iter().find(|key| outside(key)) {
        return Err(unfit(format!("the listing of {:?} contains {key:?}", request.prefix)));
    }
    let next = next(&listing)?;
    if next.is_some() && next.as_ref() == cursor {
        return Err(unfit("the listing repeats its continuation token"));
    }
    let Listing { entries, prefixes, undecodable, .. } = listing;
    Ok(ListPage { entries, prefixes, next: next.map(Cursor::into_text), undecodable, ..ListPage::default() })
}

fn next(listing: &Listing) -> Result<Option<Cursor>> {
    if !listing.truncated {
        return Ok(None);
    }
    if !listing.is_v1() {
        let token = listing.next_token.clone();
        let token = token.ok_or_else(|| unfit("a page of the listing has no continuation token"))?;
        return Ok(Some(Cursor::V2(token)));
    }
    if let Some(marker) = &listing.next_marker {
        return Ok(Some(Cursor::V1(marker.clone())));
    }
    // S3 gives a marker only with a delimiter: the last name is as good.
    let key = listing.entries.last().map(|entry| entry.key.clone());
    // Going on after a common prefix means after everything in it.
    let prefix = listing.prefixes.last().map(|prefix| format!("{prefix}\u{10ffff}"));
    let last = key.max(prefix).ok_or_else(|| unfit("a page of the listing has no marker to continue from"))?;
    Ok(Some(Cursor::V1(last)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(xml: &str) -> Listing {
        Listing::parse(xml.as_bytes(), Decoding { plus_is_space: true, tokens_too: false }).unwrap()
    }

    fn v1(more: &str) -> Listing {
        listing(&format!("<ListBucketResult><Marker/><IsTruncated>true</IsTruncated>{more}</ListBucketResult>"))
    }

    #[test]
    fn the_ways_to_go_on() {
        let v2 = "<ListBucketResult><KeyCount>1</KeyCount><IsTruncated>true</IsTruncated>\
                  <NextContinuationToken>a+b=</NextContinuationToken></ListBucketResult>";
        let contents = "<Contents><Key>p/k</Key><Size>1</Size></Contents>";
        let prefixes = "<CommonPrefixes><Prefix>p/d/</Prefix></CommonPrefixes>";
        for (listing, expected) in [
            (listing(v2), "2a+b="),
            (v1("<NextMarker>p/z</NextMarker>"), "1p/z"),
            (v1(contents), "1p/k"),
            (v1(prefixes), "1p/d/\u{10ffff}"),
            (v1(&format!("{contents}{prefixes}")), "1p/k"),
        ] {
            let page = page(&ListRequest::default(), listing, None).unwrap();
            let next = page.next.unwrap();
            assert_eq!(next, expected);
            assert_eq!(Cursor::parse(&next).unwrap().into_text(), expected);
        }
        assert!(next(&v1("")).is_err());
        assert!(Cursor::parse("x").is_err() && Cursor::parse("").is_err());
    }

    #[test]
    fn answers_must_fit_their_request() {
        let inside = "<Contents><Key>p/k</Key><Size>1</Size></Contents>";
        let request = ListRequest { prefix: "p/".into(), ..ListRequest::default() };
        assert!(page(&request, v1(inside), None).is_ok());
        assert!(page(&request, v1(inside), Some(&Cursor::V1("p/k".into()))).is_err(), "goes round in circles");
        let other = ListRequest { prefix: "q/".into(), ..ListRequest::default() };
        assert!(page(&other, v1(inside), None).is_err(), "holds what was not asked for");
    }
}
