//! Versions: whether a bucket keeps them, and their listing.

use super::Call;
use super::list::{Encoding, default_page, document, facts, limited, owner, page_size};
use super::page::{PageQuery, common_prefix};
use crate::base::{after, behind};
use crate::emulator::bucket::{Bucket, ListedVersion, VersionStart, Versioning, Walk};
use crate::emulator::failure::{Failure, invalid_argument, malformed_xml};
use crate::emulator::options::Dialect;
use crate::emulator::receive::RequestBody;
use crate::emulator::reply::Reply;
use crate::emulator::time::iso_date;
use crate::emulator::xml::{Writer, parse};

/// Lines that one request may ask OSS for: fewer than of objects.
const OSS_PAGE: std::ops::RangeInclusive<usize> = 1..=999;

/// Answers GetBucketVersioning of a bucket.
pub(super) fn versioning(call: &Call<'_>) -> Result<Reply, Failure> {
    let status = match call.bucket()?.versioning() {
        Versioning::Off => None,
        Versioning::Enabled => Some("Enabled"),
        Versioning::Suspended => Some("Suspended"),
    };
    Ok(Reply::xml(document(call, "VersioningConfiguration", |w| {
        if let Some(status) = status {
            w.leaf("Status", status);
        }
    })))
}

/// Answers PutBucketVersioning of a bucket.
pub(super) async fn put_versioning(call: &Call<'_>, body: &mut RequestBody) -> Result<Reply, Failure> {
    let text = call.document(body).await?;
    let root = parse(&text).ok_or_else(malformed_xml)?;
    let versioning = match root.text_of("Status").map(str::trim) {
        Some("Enabled") => Versioning::Enabled,
        Some("Suspended") => Versioning::Suspended,
        _ => return Err(malformed_xml()),
    };
    call.bucket()?.set_versioning(versioning);
    Ok(Reply::ok())
}

enum Line {
    Version(String, ListedVersion),
    Prefix(String),
}

struct VersionsPage {
    lines: Vec<Line>,
    is_truncated: bool,
}

/// Lines after the markers: of the marked key those older than the marked version, then later keys.
fn page(bucket: &Bucket, query: &PageQuery, key_marker: &str, id_marker: &str) -> VersionsPage {
    let mut lines: Vec<Line> = Vec::new();
    let mut is_truncated = false;
    let marked_prefix = common_prefix_of(key_marker, query).filter(|prefix| *prefix == key_marker);
    let behind_id = Some(id_marker).filter(|id| !id.is_empty() && marked_prefix.is_none());
    let least = match (marked_prefix.and_then(behind), behind_id) {
        (Some(least), _) => least,
        (None, Some(_)) => key_marker.to_owned(),
        (None, None) if key_marker.is_empty() => String::new(),
        // Behind all versions of the key.
        (None, None) => after(key_marker),
    };
    let start = match least < query.prefix {
        true => VersionStart { least: &query.prefix, behind: None },
        false => VersionStart { least: &least, behind: behind_id },
    };
    bucket.walk_versions(start, |key, version| {
        if !key.starts_with(&query.prefix) {
            return Walk::Over;
        }
        if lines.len() == query.most {
            is_truncated = query.most > 0;
            return Walk::Over;
        }
        let Some(common) = common_prefix(key, query) else {
            lines.push(Line::Version(key.to_owned(), version));
            return Walk::On;
        };
        lines.push(Line::Prefix(common.to_owned()));
        behind(common).map_or(Walk::Over, Walk::To)
    });
    VersionsPage { lines, is_truncated }
}

fn common_prefix_of<'a>(key: &'a str, query: &PageQuery) -> Option<&'a str> {
    if key.starts_with(&query.prefix) { common_prefix(key, query) } else { None }
}

/// Answers ListObjectVersions of a bucket.
pub(super) fn list_versions(call: &Call<'_>) -> Result<Reply, Failure> {
    let bucket = call.bucket()?;
    let encoding = Encoding::of(call)?;
    let (key_marker, id_marker) = (limited(call, "key-marker")?, limited(call, "version-id-marker")?);
    if key_marker.is_empty() && !id_marker.is_empty() {
        let failure = invalid_argument("A version-id-marker cannot be specified without a key-marker.");
        return Err(failure.ec("0012-00000106"));
    }
    let most = page_size(call, "max-keys", default_page(call))?;
    if call.dialect() == Dialect::Oss && !OSS_PAGE.contains(&most) {
        let failure = invalid_argument("Argument max-keys must be an integer between 1 and 999.");
        return Err(failure.ec("0012-00000102").element("ArgumentName", "max-keys"));
    }
    let query = PageQuery {
        prefix: limited(call, "prefix")?.to_owned(),
        delimiter: limited(call, "delimiter")?.to_owned(),
        most,
        ..PageQuery::default()
    };
    let page = page(&bucket, &query, key_marker, id_marker);
    Ok(Reply::xml(document(call, "ListVersionsResult", |w| {
        w.leaf("Name", &bucket.name);
        w.leaf("Prefix", encoding.text(&query.prefix));
        w.leaf("KeyMarker", encoding.text(key_marker));
        w.leaf("VersionIdMarker", id_marker);
        w.leaf("MaxKeys", most);
        w.leaf("Delimiter", encoding.text(&query.delimiter));
        encoding.write(w);
        w.leaf("IsTruncated", page.is_truncated);
        match page.lines.last().filter(|_| page.is_truncated) {
            Some(Line::Version(key, version)) => {
                w.leaf("NextKeyMarker", encoding.text(key));
                w.leaf("NextVersionIdMarker", &version.id);
            }
            Some(Line::Prefix(prefix)) => w.leaf("NextKeyMarker", encoding.text(prefix)),
            None => {}
        }
        for line in &page.lines {
            write_line(call, w, line, encoding);
        }
    })))
}

fn write_line(call: &Call<'_>, w: &mut Writer, line: &Line, encoding: Encoding) {
    let (key, version) = match line {
        Line::Prefix(prefix) => return w.within("CommonPrefixes", |w| w.leaf("Prefix", encoding.text(prefix))),
        Line::Version(key, version) => (key, version),
    };
    let name = if version.facts.is_some() { "Version" } else { "DeleteMarker" };
    w.within(name, |w| {
        w.leaf("Key", encoding.text(key));
        w.leaf("VersionId", &version.id);
        w.leaf("IsLatest", version.is_latest);
        match &version.facts {
            Some(found) => facts(call, w, found),
            None => w.leaf("LastModified", iso_date(version.modified)),
        }
        owner(w);
    });
}
