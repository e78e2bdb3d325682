//! ListObjectVersions: versions and delete markers, read in the order of the document.
//!
//! Their order is the history: of one key the newest comes first, whatever ids and times say. So both kinds are kept
//! in one list, as they are interleaved in the document.

use http::Method;

use super::listing::{Decoding, EncodedName, RawEntry, decode, name, take_prefixes};
use super::meta::http_time;
use super::{Call, HttpStore, unfit};
use crate::store::xml::{self, Leaf, Tag};
use crate::store::{
    Body, Dialect, Error, ErrorKind, ListEntry, NULL_VERSION, Result, VersionEntry, VersionPage, VersionPlace,
    VersionsRequest,
};

const OPERATION: &str = "ListObjectVersions";

/// OSS refuses to be asked for 1000.
const MAX_KEYS: u32 = 999;

/// A page of 999 keys of 1023 bytes, each byte percent-encoded, with everything around it has some 5 MiB.
const MAX_PAGE_BYTES: usize = 32 << 20;

impl HttpStore {
    pub(super) async fn list_object_versions(&self, request: VersionsRequest) -> Result<VersionPage> {
        let max_keys = if request.max_keys == 0 { MAX_KEYS } else { request.max_keys.min(MAX_KEYS) };
        let (key, version) = request.after.clone().map_or((None, None), |place| (Some(place.key), place.version));
        let call = Call::new(OPERATION, Method::GET, None)
            .query("versions", String::new())
            .query("prefix", Some(request.prefix.clone()).filter(|prefix| !prefix.is_empty()))
            .query("delimiter", request.delimiter.clone().filter(|delimiter| !delimiter.is_empty()))
            .query("key-marker", key)
            .query("version-id-marker", version)
            .query("max-keys", max_keys.to_string())
            .query("encoding-type", "url".to_owned());
        let named = |error: Error| error.with_operation(OPERATION).with_key(request.prefix.clone());
        let response = self.call(call).await.map_err(|error| named(self.permission(error, Needs::ListVersions)))?;
        let served_at = http_time(&response.headers, "date");
        let body = Body::new(response.body).collect(MAX_PAGE_BYTES).await.map_err(named)?;
        let decoding = Decoding { plus_is_space: self.rules.plus_is_space, tokens_too: self.rules.tokens_are_encoded };
        let page = parse(&body, decoding).map_err(named)?;
        check(&request, &page).map_err(named)?;
        let page = behind_its_key(page, request.after.as_ref());
        Ok(VersionPage { served_at, ..page })
    }

    /// The same error; where the credentials lack a permission that only versions need, with its name.
    pub(super) fn permission(&self, error: Error, needs: Needs) -> Error {
        let is_lacking = error.kind() == ErrorKind::AccessDenied
            && matches!(error.code(), None | Some("AccessDenied" | "AllAccessDisabled" | "Forbidden"));
        if is_lacking { error.with_cure(needs.cure(self.options.dialect)) } else { error }
    }
}

/// What a request for versions needs beyond what any other needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Needs {
    ListVersions,
    GetVersion,
}

impl Needs {
    fn cure(self, dialect: Dialect) -> &'static str {
        match (self, dialect) {
            (Needs::ListVersions, Dialect::Oss) => "allow this key to list versions (oss:ListObjectVersions)",
            (Needs::ListVersions, Dialect::S3) => "allow this key to list versions (s3:ListBucketVersions)",
            (Needs::GetVersion, Dialect::Oss) => "allow this key to read versions (oss:GetObjectVersion)",
            (Needs::GetVersion, Dialect::S3) => "allow this key to read versions (s3:GetObjectVersion)",
        }
    }
}

/// Whether a page fits its request.
fn check(request: &VersionsRequest, page: &VersionPage) -> Result<()> {
    let keys = page.entries.iter().map(|version| &version.entry.key).chain(&page.prefixes);
    if let Some(key) = keys.into_iter().find(|key| !key.starts_with(&request.prefix)) {
        return Err(unfit(format!("the listing of the versions of {:?} contains {key:?}", request.prefix)));
    }
    if page.next.is_some() && page.next == request.after {
        return Err(unfit("the listing of versions repeats its marker and would never end"));
    }
    Ok(())
}

/// What of a page lies behind its beginning: where that is a key without a version, Ceph begins with the key itself.
fn behind_its_key(mut page: VersionPage, after: Option<&VersionPlace>) -> VersionPage {
    if let Some(VersionPlace { key, version: None }) = after {
        page.entries.retain(|version| version.entry.key > *key);
        page.prefixes.retain(|prefix| prefix > key);
    }
    page
}

/// Reads a listing of versions, to the end or not at all.
fn parse(xml: &[u8], decoding: Decoding) -> Result<VersionPage> {
    let mut raw = RawVersions::default();
    xml::walk(xml, |leaf| raw.take(&leaf))
        .map_err(|error| unfit("the listing of versions cannot be read").with_source(Some(error.into())))?;
    raw.finish(decoding)
}

/// The elements before names are decoded: only the whole document tells whether they are encoded.
#[derive(Default)]
struct RawVersions {
    is_listing: bool,
    encoded: bool,
    truncated: bool,
    next_key: Option<EncodedName>,
    next_version: Option<String>,
    entries: Vec<RawVersion>,
    prefixes: Vec<EncodedName>,

    /// The element being read.
    version: RawVersion,
    prefix: EncodedName,
}

#[derive(Default)]
struct RawVersion {
    entry: RawEntry,
    id: Option<String>,
    is_latest: bool,
    is_delete_marker: bool,
}

impl RawVersions {
    fn take(&mut self, leaf: &Leaf<'_>) {
        let Some((Tag::ListVersionsResult, inside)) = leaf.path.split_first() else { return };
        let text = leaf.text.trim_ascii();
        match inside {
            [] => self.is_listing = true,
            [kind @ (Tag::Version | Tag::DeleteMarker)] => {
                self.version.is_delete_marker = *kind == Tag::DeleteMarker;
                self.entries.push(std::mem::take(&mut self.version));
            }
            [Tag::Version | Tag::DeleteMarker, Tag::VersionId] => {
                self.version.id = Some(text.to_owned()).filter(|id| !id.is_empty());
            }
            [Tag::Version | Tag::DeleteMarker, Tag::IsLatest] => {
                self.version.is_latest = text.eq_ignore_ascii_case("true");
            }
            [Tag::Version | Tag::DeleteMarker, field] => self.version.entry.take(*field, leaf),
            [Tag::CommonPrefixes, Tag::Prefix] => self.prefix = name(leaf),
            [Tag::CommonPrefixes] => self.prefixes.push(std::mem::take(&mut self.prefix)),
            [Tag::EncodingType] => self.encoded = text.eq_ignore_ascii_case("url"),
            [Tag::IsTruncated] => self.truncated = text.eq_ignore_ascii_case("true"),
            [Tag::NextKeyMarker] => self.next_key = Some(name(leaf)).filter(|name| !name.is_empty()),
            [Tag::NextVersionIdMarker] => self.next_version = Some(text.to_owned()).filter(|id| !id.is_empty()),
            _ => {}
        }
    }

    fn finish(self, decoding: Decoding) -> Result<VersionPage> {
        if !self.is_listing {
            return Err(unfit("the answer is not a listing of versions"));
        }
        let decoded = |name: EncodedName| decode(name, self.encoded, decoding.plus_is_space);
        let mut page = VersionPage { entries: Vec::with_capacity(self.entries.len()), ..VersionPage::default() };
        for version in self.entries {
            match version.finish(decoded)? {
                Some(version) => page.entries.push(version),
                None => page.undecodable += 1,
            }
        }
        page.undecodable += take_prefixes(self.prefixes, decoded, &mut page.prefixes)
            .ok_or_else(|| unfit("the listing of versions has a common prefix without a name"))?;
        if self.truncated {
            let key = self.next_key.ok_or_else(|| unfit("a page of the listing of versions has no marker"))?;
            // Ceph writes it as it is, in a listing that is encoded.
            let last =
                [page.entries.last().map(|last| last.entry.key.as_str()), page.prefixes.last().map(String::as_str)];
            let key = match last.into_iter().flatten().find(|last| key.is(last)) {
                Some(last) => Some(last.to_owned()),
                None => decoded(key),
            };
            let key = key.ok_or_else(|| unfit("the listing continues after a key that is not UTF-8"))?;
            page.next = Some(VersionPlace { key, version: self.next_version });
        }
        Ok(page)
    }
}

impl RawVersion {
    /// `None` when the key is not UTF-8.
    fn finish(self, decoded: impl Fn(EncodedName) -> Option<String>) -> Result<Option<VersionEntry>> {
        let RawVersion { mut entry, id, is_latest, is_delete_marker } = self;
        if is_delete_marker {
            entry.has_no_bytes();
        }
        let Some(entry) = entry.finish(decoded)? else { return Ok(None) };
        if entry.last_modified.is_none() {
            return Err(unfit(format!("the listing of versions has no time of a version of {:?}", entry.key)));
        }
        let version = Some(id.unwrap_or_else(|| NULL_VERSION.to_owned()));
        Ok(Some(VersionEntry { entry: ListEntry { version, ..entry }, is_latest, is_delete_marker }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;
    use crate::store::{ObjectKind, StorageClass};

    const OSS: Decoding = Decoding { plus_is_space: false, tokens_too: true };
    const S3: Decoding = Decoding { plus_is_space: true, tokens_too: false };

    fn listing(body: &str) -> String {
        format!("<ListVersionsResult>{body}</ListVersionsResult>")
    }

    #[test]
    fn versions_and_markers_keep_the_order_of_the_document() {
        let xml = br#"<?xml version="1.0" encoding="UTF-8"?>
<ListVersionsResult xmlns="http://doc.oss-cn-hangzhou.aliyuncs.com">
  <Name>b</Name><Prefix>p%2F</Prefix><KeyMarker></KeyMarker><VersionIdMarker></VersionIdMarker><MaxKeys>999</MaxKeys>
  <Delimiter>%2F</Delimiter><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>
  <NextKeyMarker>p%2Fa%20b</NextKeyMarker><NextVersionIdMarker>V1</NextVersionIdMarker>
  <DeleteMarker><Key>p%2Fa%20b</Key><VersionId>V3</VersionId><IsLatest>true</IsLatest>
    <LastModified>2024-02-29T12:34:58.000Z</LastModified><Owner><ID>1</ID></Owner></DeleteMarker>
  <Version><Key>p%2Fa%20b</Key><VersionId>V2</VersionId><IsLatest>false</IsLatest>
    <LastModified>2024-02-29T12:34:57.000Z</LastModified><ETag>"5B3C"</ETag><Type>Multipart</Type><Size>7</Size>
    <StorageClass>IA</StorageClass><Owner><ID>1</ID></Owner></Version>
  <DeleteMarker><Key>p%2Fa%20b</Key><VersionId>V1</VersionId><IsLatest>false</IsLatest>
    <LastModified>2024-02-29T12:34:56.000Z</LastModified></DeleteMarker>
  <CommonPrefixes><Prefix>p%2Fd%2F</Prefix></CommonPrefixes>
</ListVersionsResult>"#;
        let page = parse(xml, OSS).unwrap();
        let shown: Vec<_> = page
            .entries
            .iter()
            .map(|version| (version.version(), version.is_latest, version.is_delete_marker))
            .collect();
        assert_eq!(shown, [("V3", true, true), ("V2", false, false), ("V1", false, true)]);
        assert_eq!(
            page.entries[1].entry,
            ListEntry {
                key: "p/a b".into(),
                size: 7,
                etag: crate::base::ETag::parse("5B3C"),
                last_modified: Some(Timestamp::from_unix(1_709_210_097)),
                kind: ObjectKind::Multipart,
                storage_class: Some(StorageClass("IA".into())),
                version: Some("V2".into()),
            }
        );
        assert_eq!(page.prefixes, ["p/d/"]);
        assert_eq!(page.next, Some(VersionPlace { key: "p/a b".into(), version: Some("V1".into()) }));
    }

    #[test]
    fn a_version_without_an_id_was_written_without_versions() {
        let one = "<Version><Key>a+b</Key><VersionId/><LastModified>2024-02-29T12:34:57.000Z</LastModified>\
                   <Size>1</Size></Version><EncodingType>url</EncodingType>";
        let page = parse(listing(one).as_bytes(), S3).unwrap();
        assert_eq!((page.entries[0].entry.key.as_str(), page.entries[0].version()), ("a b", NULL_VERSION));
        assert_eq!(page.next, None);
    }

    #[test]
    fn what_is_no_listing_of_versions_is_refused() {
        let time = "<LastModified>2024-02-29T12:34:57.000Z</LastModified>";
        for body in [
            format!("<Version><Key>a</Key>{time}</Version>"),
            format!("<Version>{time}<Size>1</Size></Version>"),
            "<Version><Key>a</Key><Size>1</Size></Version>".to_owned(),
            "<DeleteMarker><Key>a</Key></DeleteMarker>".to_owned(),
            "<CommonPrefixes/>".to_owned(),
            "<IsTruncated>true</IsTruncated>".to_owned(),
        ] {
            assert!(parse(listing(&body).as_bytes(), OSS).is_err(), "{body}");
        }
        for xml in ["", "<ListBucketResult></ListBucketResult>", "<ListVersionsResult><Version>"] {
            assert!(parse(xml.as_bytes(), OSS).is_err(), "{xml}");
        }
    }

    #[test]
    fn pages_must_fit_their_request() {
        let place = |key: &str| Some(VersionPlace { key: key.into(), version: Some("1".into()) });
        let request = VersionsRequest { prefix: "p/".into(), after: place("p/k"), ..VersionsRequest::default() };
        let page = |next| VersionPage { next, ..VersionPage::default() };
        assert!(check(&request, &page(place("p/l"))).is_ok());
        assert!(check(&request, &page(place("p/k"))).is_err(), "goes round in circles");
        let marked = "<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><NextKeyMarker>a+b</NextKeyMarker>\
                      <Version><Key>a%2Bb</Key><LastModified>2024-02-29T12:34:57.000Z</LastModified><Size>1</Size></Version>";
        let marked = parse(listing(marked).as_bytes(), S3).unwrap();
        assert_eq!(marked.next, Some(VersionPlace { key: "a+b".into(), version: None }), "as Ceph writes it");
        let behind = |key: &str| VersionPlace { key: key.into(), version: None };
        assert_eq!(behind_its_key(marked.clone(), Some(&behind("a+b"))).entries, []);
        assert_eq!(behind_its_key(marked, Some(&behind("a"))).entries.len(), 1);
        let prefixes = vec!["q/".to_owned()];
        assert!(check(&request, &VersionPage { prefixes, ..VersionPage::default() }).is_err(), "was not asked for");
    }
}
