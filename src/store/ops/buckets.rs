//! ListBuckets: the buckets of an account, and where each of them is.

use http::Method;

use super::listing::iso_time;
use super::{Call, HttpStore, unfit};
use crate::store::xml::{self, Leaf, Tag};
use crate::store::{BucketEntry, Result};

const OPERATION: &str = "ListBuckets";

/// Pages of buckets at most; a page has a hundred or a thousand.
const MOST_PAGES: usize = 100;

impl HttpStore {
    /// Every bucket that the credentials may list, in the order of the server.
    pub(in crate::store) async fn list_buckets(&self) -> Result<Vec<BucketEntry>> {
        let (mut found, mut marker) = (Vec::new(), None);
        for _ in 0..MOST_PAGES {
            let call = Call::new(OPERATION, Method::GET, None).of_service().query("marker", marker.clone());
            let document = self.document(call).await?;
            let page = parse(&document.body).map_err(|error| error.with_operation(OPERATION))?;
            found.extend(page.buckets);
            match page.next.filter(|next| marker.as_ref() != Some(next)) {
                Some(next) => marker = Some(next),
                None => break,
            }
        }
        Ok(found)
    }
}

#[derive(Debug, Default)]
struct BucketPage {
    is_listing: bool,
    buckets: Vec<BucketEntry>,
    next: Option<String>,
}

fn parse(body: &[u8]) -> Result<BucketPage> {
    let (mut page, mut bucket) = (BucketPage::default(), BucketEntry::default());
    let walked = xml::walk(body, |leaf| take(&mut page, &mut bucket, &leaf));
    walked.map_err(|error| unfit("the list of buckets cannot be read").with_source(Some(error.into())))?;
    if page.is_listing { Ok(page) } else { Err(unfit("the answer is not a list of buckets")) }
}

fn take(page: &mut BucketPage, bucket: &mut BucketEntry, leaf: &Leaf<'_>) {
    let text = leaf.text.trim_ascii();
    let filled = || Some(text.to_owned()).filter(|text| !text.is_empty());
    match leaf.path {
        [Tag::ListAllMyBucketsResult] => page.is_listing = true,
        [Tag::ListAllMyBucketsResult, Tag::NextMarker] => page.next = filled(),
        [Tag::ListAllMyBucketsResult, Tag::Buckets, Tag::Bucket] => {
            let found = std::mem::take(bucket);
            page.buckets.extend((!found.name.is_empty()).then_some(found));
        }
        [Tag::ListAllMyBucketsResult, Tag::Buckets, Tag::Bucket, field] => match field {
            Tag::Name => text.clone_into(&mut bucket.name),
            Tag::CreationDate => bucket.created = iso_time(text),
            Tag::Region | Tag::BucketRegion => bucket.region = filled(),
            // OSS writes the product in front of it.
            Tag::Location if bucket.region.is_none() => {
                bucket.region = filled().map(|place| place.strip_prefix("oss-").unwrap_or(&place).to_owned());
            }
            _ => {}
        },
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_tell_where_they_are() {
        let xml = "<ListAllMyBucketsResult><Owner><ID>1</ID></Owner><Buckets>\
                   <Bucket><CreationDate>2024-02-29T12:34:56.000Z</CreationDate><Location>oss-cn-beijing</Location>\
                   <Name>one</Name></Bucket>\
                   <Bucket><Name>two</Name><Location>oss-cn-x</Location><Region>cn-hangzhou</Region></Bucket>\
                   <Bucket><Name>three</Name></Bucket><Bucket></Bucket></Buckets>\
                   <NextMarker>three</NextMarker></ListAllMyBucketsResult>";
        let page = parse(xml.as_bytes()).unwrap();
        let told: Vec<_> = page.buckets.iter().map(|one| (one.name.as_str(), one.region.as_deref())).collect();
        assert_eq!(told, [("one", Some("cn-beijing")), ("two", Some("cn-hangzhou")), ("three", None)]);
        assert_eq!(page.buckets[0].created.map(|time| time.seconds), Some(1_709_210_096));
        assert_eq!(page.next.as_deref(), Some("three"));
        for xml in ["", "<Error/>", "<ListAllMyBucketsResult><Buckets>"] {
            assert!(parse(xml.as_bytes()).is_err(), "{xml}");
        }
    }
}
