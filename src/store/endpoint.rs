//! Where requests go: from the options to scheme, authority, addressing and region, and from a key to the `Host`
//! header and the path that is signed and sent.

use std::net::IpAddr;

use super::dialect::{KnownHost, Reach, Rules};
use super::encode;
use super::{Addressing, Dialect, Error, ErrorKind, Options, Result, Sign};

/// A bucket's place on the network.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Endpoint {
    pub(super) tls: bool,
    /// Host and, if it is not the scheme's own, port; without the bucket.
    pub(super) authority: String,
    pub(super) style: Style,
    /// Empty where nothing needs one.
    pub(super) region: String,
    /// What V4 signatures of OSS call the service.
    pub(super) product: &'static str,
}

/// Where the bucket's name goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Style {
    /// The bucket stands in the host: `bucket.host/key`.
    Virtual,
    /// The bucket stands in the path: `host/bucket/key`.
    Path,
    /// `host/key`: the host is bound to the bucket.
    Cname,
}

/// Where requests for a bucket go, for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reached {
    /// Scheme and authority, without the bucket.
    pub endpoint: String,
    /// The plain region id; empty where nothing needs one.
    pub region: String,
    /// Where the bucket's name goes: `virtual`, `path` or `cname`.
    pub addressing: &'static str,
}

/// Works out where requests go; sends nothing.
///
/// Fails with [`ErrorKind::Invalid`] and one sentence that says what to change.
pub fn reached(options: &Options) -> Result<Reached> {
    let endpoint = Endpoint::resolve(options)?;
    let addressing = match endpoint.style {
        Style::Virtual => "virtual",
        Style::Path => "path",
        Style::Cname => "cname",
    };
    Ok(Reached { endpoint: endpoint.url(), region: endpoint.region, addressing })
}

/// The store that objects are of: the same for all ways to it. Names of buckets are unique where the service is known,
/// so that its hosts, and regions, say nothing more.
pub fn origin(options: &Options) -> String {
    let scheme = match options.dialect {
        Dialect::Oss => "oss",
        Dialect::S3 => "s3",
    };
    let own = options.endpoint.as_deref().filter(|endpoint| !is_known_host(endpoint, options.dialect));
    let host = own.map(|endpoint| parse(endpoint).map_or_else(|_| endpoint.to_owned(), |(_, authority)| authority));
    format!("{scheme}://{}/{}", host.unwrap_or_default(), options.bucket.as_str())
}

/// Whether an endpoint is a host of the service that has buckets of one region or of all.
pub(super) fn is_known_host(endpoint: &str, dialect: Dialect) -> bool {
    parse(endpoint).is_ok_and(|(_, authority)| (Rules::of(dialect).known_host)(host_of(&authority)).is_some())
}

/// The two places of a request that name the object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Target {
    /// The value of the `Host` header.
    pub(super) host: String,
    /// The path, percent-encoded as it is sent.
    pub(super) path: String,
}

impl Endpoint {
    /// Works out the endpoint. Fails with [`ErrorKind::Invalid`] and a sentence that says what to change.
    pub(super) fn resolve(options: &Options) -> Result<Endpoint> {
        let rules = Rules::of(options.dialect);
        let reach = reach(options)?;
        let given = options.region.as_deref().map(|region| plain_region(region, options.dialect)).transpose()?;
        let Some(endpoint) = options.endpoint.as_deref() else {
            if options.addressing == Addressing::Cname {
                return Err(invalid(
                    "addressing=cname requires endpoint; set it to the domain that is bound to the bucket",
                ));
            }
            let region = given.ok_or_else(|| invalid("neither endpoint nor region is given; set one of them"))?;
            let host = (rules.host)(&region, reach).map_err(invalid)?;
            let known = (rules.known_host)(&host);
            return Endpoint { tls: true, authority: host, style: Style::Virtual, region, product: product(&known) }
                .addressed(options, known.is_some());
        };
        if reach != Reach::Public {
            return Err(invalid(
                "an endpoint is given together with internal, accelerate or dual-stack; leave out one of them",
            ));
        }
        let (tls, authority) = parse(endpoint)?;
        let authority = match options.addressing {
            Addressing::Cname => authority,
            _ => without_bucket(authority, options, rules),
        };
        let known = (rules.known_host)(host_of(&authority));
        let region = region(options, given, &known, &authority)?;
        let endpoint = Endpoint { tls, authority, style: Style::Virtual, region, product: product(&known) };
        endpoint.addressed(options, known.is_some())
    }

    /// The way that a bucket is named there. `is_known` where the host is the service's own, whose names have stricter
    /// rules than those of compatible servers.
    fn addressed(self, options: &Options, is_known: bool) -> Result<Endpoint> {
        let bucket = options.bucket.as_str();
        check_bucket(bucket, options.dialect, is_known)?;
        let host = host_of(&self.authority);
        let bare = host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        // No certificate covers `a.b.host`, and names with upper case or underscores are no host names.
        let unfit = options.dialect == Dialect::S3
            && ((self.tls && bucket.contains('.')) || bucket.contains(|c: char| c == '_' || c.is_ascii_uppercase()));
        let style = match options.addressing {
            Addressing::Virtual if bare => {
                return Err(invalid(format!("a bucket name cannot be put in front of {host}; set addressing to path")));
            }
            Addressing::Virtual => Style::Virtual,
            Addressing::Path => Style::Path,
            Addressing::Cname => Style::Cname,
            Addressing::Auto if bare || unfit => Style::Path,
            Addressing::Auto => Style::Virtual,
        };
        Ok(Endpoint { style, ..self })
    }

    /// Where a request for a key (or, without one, for the bucket) goes.
    pub(super) fn target(&self, bucket: &str, key: Option<&str>) -> Target {
        let key = encode::path(key.unwrap_or(""));
        match self.style {
            Style::Virtual => Target { host: format!("{bucket}.{}", self.authority), path: format!("/{key}") },
            Style::Cname => Target { host: self.authority.clone(), path: format!("/{key}") },
            Style::Path => Target { host: self.authority.clone(), path: format!("/{bucket}/{key}") },
        }
    }

    /// Where a request to the service itself goes. Fails where the host is bound to one bucket.
    pub(super) fn service(&self) -> Result<Target> {
        match self.style {
            Style::Cname => Err(invalid("a domain that is bound to a bucket shows no others; name the bucket")),
            Style::Virtual | Style::Path => Ok(Target { host: self.authority.clone(), path: "/".to_owned() }),
        }
    }

    /// Scheme and authority, for people.
    pub(super) fn url(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.authority)
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, message)
}

fn product(known: &Option<KnownHost>) -> &'static str {
    known.as_ref().map_or("oss", |known| known.product)
}

fn reach(options: &Options) -> Result<Reach> {
    match (options.internal, options.accelerate, options.dual_stack) {
        (false, false, false) => Ok(Reach::Public),
        (true, false, false) => Ok(Reach::Internal),
        (false, true, false) => Ok(Reach::Accelerate),
        (false, false, true) => Ok(Reach::DualStack),
        _ => Err(invalid("internal, accelerate and dual-stack exclude each other; keep one of them")),
    }
}

/// The region as signatures want it: `oss-cn-hangzhou` is what OSS calls a location, `cn-hangzhou` the region.
fn plain_region(region: &str, dialect: Dialect) -> Result<String> {
    let plain = match dialect {
        Dialect::Oss => region.strip_prefix("oss-").unwrap_or(region),
        Dialect::S3 => region,
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if plain.is_empty() || !plain.chars().all(fits) {
        return Err(invalid(format!("{region:?} is not a region; write its id, as in cn-hangzhou")));
    }
    Ok(plain.to_owned())
}

fn region(options: &Options, given: Option<String>, known: &Option<KnownHost>, authority: &str) -> Result<String> {
    let derived = known.as_ref().and_then(|known| known.region.clone());
    match (given, derived) {
        // OSS also accepts other regions in SigV4, so only its own dialect can contradict itself.
        (Some(given), Some(derived)) if given != derived && options.dialect == Dialect::Oss => Err(invalid(format!(
            "the endpoint {authority} is in region {derived}, but region is {given}; leave out one of them"
        ))),
        (Some(region), _) | (None, Some(region)) => Ok(region),
        // Servers that know no regions go by this one.
        (None, None) if options.dialect == Dialect::S3 => Ok("us-east-1".to_owned()),
        (None, None) if options.sign == Sign::V4 && !options.credentials.is_anonymous() => Err(invalid(format!(
            "the endpoint {authority} does not contain its region, which V4 signatures require; set region, as in \
             cn-hangzhou"
        ))),
        (None, None) => Ok(String::new()),
    }
}

/// Splits `[scheme://]host[:port][/]` into whether TLS is used and a lower-case authority without the default port.
fn parse(endpoint: &str) -> Result<(bool, String)> {
    if endpoint.contains('@') {
        // Not shown: there may be a password in it.
        return Err(invalid(
            "the endpoint contains a user or password, which no service accepts there; write [https://]host[:port], \
             and see --help for where access keys come from",
        ));
    }
    let fail = |why: &str| invalid(format!("the endpoint {endpoint:?} {why}; write [https://]host[:port]"));
    let (tls, rest) = match endpoint.split_once("://") {
        None => (true, endpoint),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
        Some(_) => return Err(fail("has a scheme other than http and https")),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest).to_ascii_lowercase();
    if authority.contains(['?', '#']) {
        return Err(fail("has a query"));
    }
    if authority.contains('/') {
        return Err(fail("has a path"));
    }
    let parsed: http::uri::Authority = authority.parse().map_err(|_| fail("is not a host"))?;
    let host = parsed.host();
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let bracketed = host.starts_with('[') && host.trim_matches(['[', ']']).parse::<std::net::Ipv6Addr>().is_ok();
    if host.is_empty() || !(bracketed || host.chars().all(fits)) {
        return Err(fail("is not a host"));
    }
    match authority[host.len()..].strip_prefix(':') {
        None => Ok((tls, authority)),
        Some(_) if parsed.port_u16() == Some(if tls { 443 } else { 80 }) => Ok((tls, host.to_owned())),
        Some(_) if parsed.port_u16().is_some_and(|port| port > 0) => Ok((tls, authority)),
        Some(_) => Err(fail("has no valid port")),
    }
}

fn host_of(authority: &str) -> &str {
    if authority.starts_with('[') {
        return authority.split_inclusive(']').next().unwrap_or(authority);
    }
    authority.split(':').next().unwrap_or(authority)
}

/// People paste the bucket's own host name; where the rest is a known endpoint, the bucket is taken off.
fn without_bucket(authority: String, options: &Options, rules: &Rules) -> String {
    match authority.strip_prefix(options.bucket.as_str()).and_then(|rest| rest.strip_prefix('.')) {
        Some(rest) if (rules.known_host)(host_of(rest)).is_some() => rest.to_owned(),
        _ => authority,
    }
}

/// A compatible server judges the name itself; what could not stand in a host name or a path is refused here, and what
/// the service has never let a bucket be called, where it is that service that is asked.
fn check_bucket(bucket: &str, dialect: Dialect, is_known: bool) -> Result<()> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if bucket.is_empty() || bucket.starts_with('.') || !bucket.chars().all(fits) {
        return Err(invalid(format!("{bucket:?} is not a bucket name; write only letters, digits, - . and _")));
    }
    let is_end = |c: char| c.is_ascii_alphanumeric();
    let (fits, rule): (fn(char) -> bool, _) = match dialect {
        Dialect::Oss => {
            (|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-', "3 to 63 lower-case letters, digits and -")
        }
        // Old buckets have longer names, upper case and underscores.
        Dialect::S3 => (|_| true, "3 or more letters, digits, - and ."),
    };
    let most = if dialect == Dialect::Oss { 63 } else { 255 };
    let is_right = (3..=most).contains(&bucket.len())
        && bucket.chars().all(fits)
        && bucket.starts_with(is_end)
        && bucket.ends_with(is_end)
        && !bucket.contains("..");
    match is_right || !is_known {
        true => Ok(()),
        false => Err(invalid(format!(
            "{bucket:?} is not a valid bucket name for this service: a name has {rule}, and begins and ends with a \
             letter or digit; check the name"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::BucketName;
    use crate::store::credentials::{Credentials, Source};

    fn options(dialect: Dialect, endpoint: &str, region: &str) -> Options {
        let mut options = Options::new(dialect, BucketName::new("bkt"));
        options.endpoint = (!endpoint.is_empty()).then(|| endpoint.to_owned());
        options.region = (!region.is_empty()).then(|| region.to_owned());
        options.credentials = Source::Static(Credentials::new("id", "secret"));
        options
    }

    /// `url style region` of what the options resolve to, or the error.
    fn shown(options: &Options) -> String {
        match Endpoint::resolve(options) {
            Ok(endpoint) => format!("{} {:?} {}", endpoint.url(), endpoint.style, endpoint.region),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Invalid);
                error.to_string()
            }
        }
    }

    #[test]
    fn endpoints_come_from_regions_and_regions_from_endpoints() {
        for (dialect, endpoint, region, expected) in [
            (Dialect::Oss, "", "cn-hangzhou", "https://oss-cn-hangzhou.aliyuncs.com Virtual cn-hangzhou"),
            (Dialect::Oss, "", "oss-cn-hangzhou", "https://oss-cn-hangzhou.aliyuncs.com Virtual cn-hangzhou"),
            (
                Dialect::Oss,
                "http://OSS-cn-beijing-internal.aliyuncs.com/",
                "",
                "http://oss-cn-beijing-internal.aliyuncs.com Virtual cn-beijing",
            ),
            (
                Dialect::Oss,
                "bkt.oss-cn-hangzhou.aliyuncs.com",
                "",
                "https://oss-cn-hangzhou.aliyuncs.com Virtual cn-hangzhou",
            ),
            (Dialect::Oss, "data.example.com:8443", "cn-x", "https://data.example.com:8443 Virtual cn-x"),
            (Dialect::Oss, "https://oss.example.com:443", "cn-x", "https://oss.example.com Virtual cn-x"),
            (Dialect::Oss, "http://127.0.0.1:9000", "cn-x", "http://127.0.0.1:9000 Path cn-x"),
            (Dialect::Oss, "http://[::1]:9000", "cn-x", "http://[::1]:9000 Path cn-x"),
            (Dialect::Oss, "http://localhost:80", "cn-x", "http://localhost Path cn-x"),
            (Dialect::S3, "", "eu-west-1", "https://s3.eu-west-1.amazonaws.com Virtual eu-west-1"),
            (Dialect::S3, "http://127.0.0.1:9000", "", "http://127.0.0.1:9000 Path us-east-1"),
            (
                Dialect::S3,
                "oss-cn-hangzhou.aliyuncs.com",
                "us-east-1",
                "https://oss-cn-hangzhou.aliyuncs.com Virtual us-east-1",
            ),
        ] {
            assert_eq!(shown(&options(dialect, endpoint, region)), expected);
        }
    }

    #[test]
    fn the_ways_to_reach_a_region() {
        for (set, expected) in [
            ((true, false, false), "https://oss-cn-x-internal.aliyuncs.com"),
            ((false, true, false), "https://oss-accelerate.aliyuncs.com"),
            ((false, false, true), "https://cn-x.oss.aliyuncs.com"),
        ] {
            let mut options = options(Dialect::Oss, "", "cn-x");
            (options.internal, options.accelerate, options.dual_stack) = set;
            assert_eq!(shown(&options), format!("{expected} Virtual cn-x"));
        }
        let mut s3 = options(Dialect::S3, "", "eu-west-1");
        s3.internal = true;
        assert!(shown(&s3).contains("S3 has no internal endpoints"));
    }

    #[test]
    fn bad_options_are_told_what_to_do() {
        for (endpoint, region, said) in [
            ("", "", "set one of them"),
            ("data.example.com", "", "set region"),
            ("oss-accelerate.aliyuncs.com", "", "set region"),
            ("oss-cn-hangzhou.aliyuncs.com", "cn-beijing", "leave out one of them"),
            ("ftp://host", "cn-x", "other than http"),
            ("https://host/path", "cn-x", "has a path"),
            ("https://user:hush@host", "cn-x", "contains a user or password"),
            ("hush@host", "cn-x", "contains a user or password"),
            ("https://host?a=b", "cn-x", "has a query"),
            ("host/#x", "cn-x", "has a query"),
            ("https://ho st", "cn-x", "is not a host"),
            ("https://host:0", "cn-x", "no valid port"),
            ("https://host:99999", "cn-x", "write [https://]host[:port]"),
            ("https://", "cn-x", "is not a host"),
            ("", "cn hangzhou", "is not a region"),
        ] {
            let shown = shown(&options(Dialect::Oss, endpoint, region));
            assert!(shown.contains(said), "{endpoint} {region}: {shown}");
            assert!(!shown.contains("hush"), "{shown}");
        }
        let mut both = options(Dialect::Oss, "", "cn-x");
        (both.internal, both.accelerate) = (true, true);
        assert!(shown(&both).contains("exclude each other"));
        both.accelerate = false;
        both.endpoint = Some("oss-cn-x.aliyuncs.com".into());
        assert!(shown(&both).contains("leave out one of them"));
        let mut bare = options(Dialect::Oss, "http://127.0.0.1", "cn-x");
        bare.addressing = Addressing::Virtual;
        assert!(shown(&bare).contains("set addressing to path"));
        let mut bound = options(Dialect::Oss, "", "cn-x");
        bound.addressing = Addressing::Cname;
        assert!(shown(&bound).contains("cname requires endpoint"));
        bare.bucket = BucketName::new("a/b");
        assert!(shown(&bare).contains("is not a bucket name"));
    }

    #[test]
    fn unsigned_and_v1_requests_need_no_region() {
        let mut options = options(Dialect::Oss, "data.example.com", "");
        options.sign = Sign::V1;
        assert_eq!(shown(&options), "https://data.example.com Virtual ");
        options.sign = Sign::V4;
        options.credentials = Source::Anonymous;
        assert_eq!(shown(&options), "https://data.example.com Virtual ");
    }

    #[test]
    fn buckets_that_no_certificate_covers_go_into_the_path() {
        let mut options = options(Dialect::S3, "", "eu-west-1");
        for (bucket, style) in
            [("a.b", Style::Path), ("a_b", Style::Path), ("Abc", Style::Path), ("abc", Style::Virtual)]
        {
            options.bucket = BucketName::new(bucket);
            assert_eq!(Endpoint::resolve(&options).unwrap().style, style, "{bucket}");
        }
    }

    #[test]
    fn names_that_no_bucket_can_have_are_refused_before_anything_is_sent() {
        let tell = |dialect, endpoint, bucket: &str| {
            let mut options = options(dialect, endpoint, "cn-x");
            options.bucket = BucketName::new(bucket);
            shown(&options)
        };
        let (long, longest) = ("b".repeat(64), "b".repeat(63));
        for bucket in ["b", "ab", "Abc", "a_b", "a.b", "abc-", &long] {
            assert!(tell(Dialect::Oss, "", bucket).contains("is not a valid bucket name"), "{bucket}");
            let compatible = tell(Dialect::Oss, "http://127.0.0.1:9000", bucket);
            assert!(compatible.contains("Path"), "{bucket}: {compatible}");
        }
        for bucket in ["abc", "a-1", &longest] {
            assert!(tell(Dialect::Oss, "", bucket).contains("Virtual"), "{bucket}");
        }
        for bucket in ["ab", "abc-", "-abc", "a..c", &"b".repeat(256)] {
            assert!(tell(Dialect::S3, "", bucket).contains("is not a valid bucket name"), "{bucket}");
        }
        for bucket in ["abc", "Old_Name", "a.c", &long] {
            assert!(tell(Dialect::S3, "", bucket).contains("https://s3.cn-x"), "{bucket}");
        }
    }

    #[test]
    fn targets_keep_the_key_as_it_is() {
        let mut options = options(Dialect::Oss, "oss-cn-x.aliyuncs.com:8080", "");
        for (addressing, host, path) in [
            (Addressing::Virtual, "bkt.oss-cn-x.aliyuncs.com:8080", "/a/../b//%2B%25"),
            (Addressing::Path, "oss-cn-x.aliyuncs.com:8080", "/bkt/a/../b//%2B%25"),
            (Addressing::Cname, "oss-cn-x.aliyuncs.com:8080", "/a/../b//%2B%25"),
        ] {
            options.addressing = addressing;
            let target = Endpoint::resolve(&options).unwrap().target("bkt", Some("a/../b//+%"));
            assert_eq!(target, Target { host: host.into(), path: path.into() });
        }
    }
}
