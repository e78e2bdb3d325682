//! The metadata of an object, from the headers of an answer.

use http::HeaderMap;
use jiff::fmt::rfc2822::DateTimeParser;

use crate::base::{ETag, Timestamp};
use crate::store::dialect::Rules;
use crate::store::{ObjectKind, ObjectMeta, StorageClass};

/// The text of a header; bytes that are no UTF-8 are replaced. `None` when it is absent or empty.
pub(super) fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(headers.get(name)?.as_bytes());
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// A header that holds a time, as in `Thu, 29 Feb 2024 12:34:56 GMT`, or in one of the forms that old servers and
/// gateways write.
pub(super) fn http_time(headers: &HeaderMap, name: &str) -> Option<Timestamp> {
    let text = text(headers, name)?;
    // The name of the zone is always that of UTC, and no name is the same.
    let bare = text.strip_suffix("GMT").or(text.strip_suffix("UTC")).unwrap_or(&text).trim_end();
    let usual = DateTimeParser::new().relaxed_weekday(true).parse_timestamp(&text).ok();
    let time = usual.or_else(|| text.parse().ok()).or_else(|| old_time(bare))?;
    Some(Timestamp::from_unix(time.as_second()))
}

/// `Thursday, 29-Feb-24 12:34:56` and `Thu Feb 29 12:34:56 2024`, which HTTP knows too, and the usual form without a
/// zone that jiff knows.
fn old_time(text: &str) -> Option<jiff::Timestamp> {
    // The day of the week says nothing new, and is wrong at times.
    let (day, rest) = text.split_once([',', ' '])?;
    if !day.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return None;
    }
    let forms = ["%d-%b-%y %H:%M:%S", "%d-%b-%Y %H:%M:%S", "%b %e %H:%M:%S %Y", "%d %b %Y %H:%M:%S"];
    let parsed = forms.iter().find_map(|form| jiff::civil::DateTime::strptime(form, rest.trim()).ok())?;
    Some(parsed.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
}

/// A header that holds a number.
pub(super) fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    text(headers, name)?.parse().ok()
}

/// The facts of an object of this size.
pub(super) fn object_meta(rules: &Rules, headers: &HeaderMap, size: u64) -> ObjectMeta {
    let own = |name: &str| text(headers, &rules.header(name));
    ObjectMeta {
        size,
        etag: text(headers, "etag").and_then(|value| ETag::parse(&value)),
        last_modified: http_time(headers, "last-modified"),
        crc64: number(headers, &rules.header("hash-crc64ecma")),
        version: own("version-id"),
        kind: own("object-type").map_or(ObjectKind::Normal, |word| kind(&word)),
        storage_class: own("storage-class").map(|class| StorageClass(class.into())),
        content_type: text(headers, "content-type"),
        headers: carried(headers),
        user: user(rules, headers),
        tag_count: own("tagging-count").and_then(|count| count.parse().ok()),
        encryption: own("server-side-encryption"),
        restore: own("restore"),
    }
}

/// What the service calls an object.
pub(super) fn kind(word: &str) -> ObjectKind {
    match word {
        "Multipart" => ObjectKind::Multipart,
        "Appendable" => ObjectKind::Appendable,
        "Symlink" => ObjectKind::Symlink,
        _ => ObjectKind::Normal,
    }
}

/// The headers that an object carries for those who read it, besides its type.
const CARRIED: [&str; 5] = ["cache-control", "content-disposition", "content-encoding", "content-language", "expires"];

fn carried(headers: &HeaderMap) -> Vec<(String, String)> {
    CARRIED.iter().filter_map(|name| Some(((*name).to_owned(), text(headers, name)?))).collect()
}

fn user(rules: &Rules, headers: &HeaderMap) -> Vec<(String, String)> {
    let prefix = rules.header("meta-");
    headers
        .iter()
        .filter_map(|(name, value)| {
            let name = name.as_str().strip_prefix(&prefix)?;
            Some((name.to_owned(), String::from_utf8_lossy(value.as_bytes()).trim().to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::store::Dialect;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn headers_tell_the_facts() {
        let headers = headers(&[
            ("etag", "\"5B3C\""),
            ("last-modified", "Thu, 29 Feb 2024 12:34:56 GMT"),
            ("x-oss-hash-crc64ecma", "11051210869376104954"),
            ("x-oss-object-type", "Multipart"),
            ("x-oss-storage-class", "IA"),
            ("x-oss-version-id", "v1"),
            ("x-oss-restore", "ongoing-request=\"true\""),
            ("x-oss-meta-owner", "alice"),
            ("x-oss-meta-z-2", ""),
            ("content-type", "text/plain"),
            ("cache-control", "no-cache"),
            ("expires", "Thu, 29 Feb 2024 12:34:56 GMT"),
            ("x-oss-tagging-count", "2"),
            ("x-oss-server-side-encryption", "KMS"),
        ]);
        let meta = object_meta(Rules::of(Dialect::Oss), &headers, 7);
        assert_eq!(
            meta,
            ObjectMeta {
                size: 7,
                etag: ETag::parse("5B3C"),
                last_modified: Some(Timestamp::from_unix(1_709_210_096)),
                crc64: Some(11_051_210_869_376_104_954),
                version: Some("v1".into()),
                kind: ObjectKind::Multipart,
                storage_class: Some(StorageClass("IA".into())),
                content_type: Some("text/plain".into()),
                headers: vec![
                    ("cache-control".into(), "no-cache".into()),
                    ("expires".into(), "Thu, 29 Feb 2024 12:34:56 GMT".into()),
                ],
                tag_count: Some(2),
                encryption: Some("KMS".into()),
                user: vec![("owner".into(), "alice".into()), ("z-2".into(), String::new())],
                restore: Some("ongoing-request=\"true\"".into()),
            }
        );
    }

    #[test]
    fn odd_headers_are_left_out() {
        let odd = headers(&[("etag", "\"\""), ("last-modified", "yesterday"), ("x-amz-hash-crc64ecma", "-1")]);
        assert_eq!(object_meta(Rules::of(Dialect::S3), &odd, 0), ObjectMeta::default());
        let wrong_day = headers(&[("last-modified", "Mon, 29 Feb 2024 12:34:56 GMT")]);
        assert!(http_time(&wrong_day, "last-modified").is_some());
    }

    #[test]
    fn times_come_in_many_forms() {
        for form in [
            "Thu, 29 Feb 2024 12:34:56 GMT",
            "Thu, 29 Feb 2024 12:34:56 UTC",
            "Thu, 29 Feb 2024 13:34:56 +0100",
            "29 Feb 2024 12:34:56 GMT",
            "Thursday, 29-Feb-24 12:34:56 GMT",
            "Thu, 29-Feb-2024 12:34:56 GMT",
            "Thu Feb 29 12:34:56 2024",
            "2024-02-29T12:34:56Z",
            "2024-02-29T12:34:56.789Z",
        ] {
            let headers = HeaderMap::from_iter([(http::header::LAST_MODIFIED, HeaderValue::from_static(form))]);
            assert_eq!(http_time(&headers, "last-modified"), Some(Timestamp::from_unix(1_709_210_096)), "{form}");
        }
        for odd in ["once", "", "Thu", "Thu, 30 Feb 2024 12:34:56 GMT", "1709210096", "Thu, 29 Feb 2024"] {
            let headers = HeaderMap::from_iter([(http::header::LAST_MODIFIED, HeaderValue::from_static(odd))]);
            assert_eq!(http_time(&headers, "last-modified"), None, "{odd}");
        }
    }

    #[test]
    fn what_is_no_text_is_replaced() {
        let latin = HeaderMap::from_iter([(
            http::HeaderName::from_static("x-oss-meta-a"),
            HeaderValue::from_bytes(b"\xe9").unwrap(),
        )]);
        assert_eq!(object_meta(Rules::of(Dialect::Oss), &latin, 0).user, [("a".into(), "\u{fffd}".into())]);
    }
}
