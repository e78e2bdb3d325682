//! A request as it was sent: the raw target, the bucket and key it names, its query, its dialect.
//!
//! Nothing is normalised. Percent escapes of a path are decoded once and `+` stays `+`; in a query `+` is a blank.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue, Method, header};

use super::failure::{Failure, invalid_argument};
use super::options::Dialect;
use super::text::{decode_form, decode_text};

/// A parsed request without its body.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    /// The path as sent.
    pub(super) raw_path: String,
    pub(super) query: Query,
    /// The host with its port, as sent.
    pub(super) host: String,
    pub(super) bucket: Option<String>,
    /// The raw key; `None` for requests about a bucket or the service.
    pub(super) key: Option<String>,
    pub(super) dialect: Dialect,
}

impl Request {
    /// Reads method, target and headers. `knows_bucket` decides how much of a host name is a bucket.
    pub(super) fn parse(
        method: Method,
        target: &http::Uri,
        headers: HeaderMap,
        anonymous_dialect: Dialect,
        knows_bucket: impl Fn(&str) -> bool,
    ) -> Result<Request, Failure> {
        let query = Query::parse(target.query().unwrap_or(""))?;
        let dialect = dialect_of(&headers, &query).unwrap_or(anonymous_dialect);
        let host = match headers.get(header::HOST) {
            Some(host) => value_text(host),
            None => target.authority().map(|authority| authority.to_string()).unwrap_or_default(),
        };
        let raw_path = target.path().to_owned();
        let path = raw_path.strip_prefix('/').unwrap_or(&raw_path);
        let (bucket, raw_key) = match bucket_of_host(&host, knows_bucket) {
            Some(bucket) => (Some(bucket), path),
            None => {
                let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
                let bucket = decode_text(bucket).ok_or_else(bad_bucket)?;
                ((!bucket.is_empty()).then_some(bucket), key)
            }
        };
        let key = decode_text(raw_key).ok_or_else(|| bad_key("0016-00000002", "is not UTF-8"))?;
        let key = (!key.is_empty() && bucket.is_some()).then_some(key);
        let request = Request { method, headers, raw_path, query, host, bucket, key, dialect };
        request.check_key()?;
        Ok(request)
    }

    /// A header as text. Bytes beyond ASCII are read as UTF-8.
    pub(super) fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).map(value_text)
    }

    /// A header of the vendor, by the name that follows `x-oss-` or `x-amz-`.
    pub(super) fn vendor(&self, name: &str) -> Option<String> {
        self.header(&self.vendor_name(name))
    }

    /// The full name of a vendor header.
    pub(super) fn vendor_name(&self, name: &str) -> String {
        match self.dialect {
            Dialect::Oss => format!("x-oss-{name}"),
            Dialect::S3 => format!("x-amz-{name}"),
        }
    }

    /// The key; empty for requests that name none.
    pub(super) fn key_text(&self) -> &str {
        self.key.as_deref().unwrap_or("")
    }

    fn check_key(&self) -> Result<(), Failure> {
        let Some(key) = &self.key else { return Ok(()) };
        check_key(key, self.dialect)
    }
}

/// Whether an object may have this name.
pub(super) fn check_key(key: &str, dialect: Dialect) -> Result<(), Failure> {
    let longest = match dialect {
        Dialect::Oss => 1023,
        Dialect::S3 => 1024,
    };
    if key.is_empty() {
        return Err(bad_key("0016-00000001", "is empty"));
    }
    if key.len() > longest {
        return Err(match dialect {
            Dialect::Oss => bad_key("0016-00000002", "is longer than 1023 bytes"),
            Dialect::S3 => Failure::new(400, "KeyTooLongError", "Your key is too long."),
        });
    }
    if dialect == Dialect::Oss && key.starts_with(['/', '\\']) {
        return Err(bad_key("0016-00000005", "begins with a slash or a backslash"));
    }
    Ok(())
}

fn bad_key(ec: &'static str, why: &str) -> Failure {
    Failure::new(400, "InvalidObjectName", format!("The specified object is not valid: its name {why}.")).ec(ec)
}

fn bad_bucket() -> Failure {
    Failure::new(400, "InvalidBucketName", "The specified bucket is not valid.")
}

/// A header value as text.
pub(super) fn value_text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).trim().to_owned()
}

fn dialect_of(headers: &HeaderMap, query: &Query) -> Option<Dialect> {
    if let Some(authorization) = headers.get(header::AUTHORIZATION) {
        let authorization = value_text(authorization);
        if authorization.starts_with("AWS") {
            return Some(Dialect::S3);
        }
        if authorization.starts_with("OSS") {
            return Some(Dialect::Oss);
        }
    }
    if query.has("X-Amz-Algorithm") {
        return Some(Dialect::S3);
    }
    if query.has("x-oss-signature-version") || query.has("OSSAccessKeyId") {
        return Some(Dialect::Oss);
    }
    let prefixed = |prefix| headers.keys().any(|name| name.as_str().starts_with(prefix));
    if prefixed("x-oss-") {
        return Some(Dialect::Oss);
    }
    prefixed("x-amz-").then_some(Dialect::S3)
}

/// The bucket that a host name carries: nothing for addresses, `localhost` and names of one label; else the longest
/// beginning that is a bucket, or the first label.
fn bucket_of_host(host: &str, knows_bucket: impl Fn(&str) -> bool) -> Option<String> {
    let name = host_name(host);
    if name.is_empty() || name.parse::<IpAddr>().is_ok() || !name.contains('.') {
        return None;
    }
    let ends = name.match_indices('.').map(|(at, _)| at).collect::<Vec<_>>();
    if let Some(end) = ends.iter().rev().find(|end| knows_bucket(&name[..**end])) {
        return Some(name[..*end].to_owned());
    }
    let first = &name[..ends[0]];
    let is_service = first.starts_with("oss-") || first == "oss" || first == "s3" || first.starts_with("s3-");
    (!is_service).then(|| first.to_owned())
}

/// The host without its port and without the brackets of IPv6.
pub(super) fn host_name(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    host.split(':').next().unwrap_or(host)
}

/// The decoded pairs of a query, in their order. A name without `=` has no value.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Query {
    pub(super) pairs: Vec<(String, Option<String>)>,
}

impl Query {
    fn parse(raw: &str) -> Result<Query, Failure> {
        let mut pairs = Vec::new();
        for part in raw.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (part, None),
            };
            let decoded = |text| decode_form(text).ok_or_else(|| invalid_argument("The query is not UTF-8."));
            pairs.push((decoded(name)?, value.map(decoded).transpose()?));
        }
        Ok(Query { pairs })
    }

    /// Whether the name is there, with a value or without.
    pub(super) fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|(found, _)| found == name)
    }

    /// The value; empty when the name stands alone.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_deref().unwrap_or(""))
    }

    /// The value when it is there and not empty.
    pub(super) fn filled(&self, name: &str) -> Option<&str> {
        self.value(name).filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(host: &str, target: &str) -> Result<Request, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert("host", host.parse().unwrap());
        Request::parse(Method::GET, &target.parse().unwrap(), headers, Dialect::Oss, |name| {
            ["known", "dotted.name"].contains(&name)
        })
    }

    #[track_caller]
    fn check(host: &str, target: &str, bucket: Option<&str>, key: Option<&str>) {
        let request = parse(host, target).unwrap();
        assert_eq!((request.bucket.as_deref(), request.key.as_deref()), (bucket, key), "{host} {target}");
    }

    #[test]
    fn addresses_take_the_bucket_from_the_path() {
        check("127.0.0.1:80", "/", None, None);
        check("localhost", "/b", Some("b"), None);
        check("[::1]:80", "/b/", Some("b"), None);
        check("127.0.0.1", "/b/a/../b//c%2520+d/", Some("b"), Some("a/../b//c%20+d/"));
        check("oss-cn-hangzhou.aliyuncs.com", "/b/k", Some("b"), Some("k"));
    }

    #[test]
    fn names_take_the_bucket_from_the_host() {
        check("known.oss-cn-hangzhou.aliyuncs.com", "/a/b", Some("known"), Some("a/b"));
        check("dotted.name.localhost:99", "/.", Some("dotted.name"), Some("."));
        check("other.localhost", "/?x", Some("other"), None);
    }

    #[test]
    fn oss_refuses_names_that_s3_takes() {
        assert_eq!(parse("127.0.0.1", "/b//lead").unwrap_err().code, "InvalidObjectName");
        assert_eq!(parse("127.0.0.1", "/b/%5Cback").unwrap_err().code, "InvalidObjectName");
        assert_eq!(parse("127.0.0.1", "/b/%ff").unwrap_err().code, "InvalidObjectName");
        assert_eq!(parse("127.0.0.1", &format!("/b/{}", "k".repeat(1024))).unwrap_err().code, "InvalidObjectName");
        assert!(check_key("/lead", Dialect::S3).is_ok());
    }

    #[test]
    fn queries_keep_order_and_absent_values() {
        let request = parse("127.0.0.1", "/b?acl&prefix=a+b%2F&empty=").unwrap();
        let pairs: Vec<_> = request.query.pairs.iter().map(|(n, v)| (n.as_str(), v.as_deref())).collect();
        assert_eq!(pairs, [("acl", None), ("prefix", Some("a b/")), ("empty", Some(""))]);
    }
}
