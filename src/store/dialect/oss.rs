//! Alibaba Cloud OSS.

use super::{KnownHost, Reach, Rules, common_kind};
use crate::store::ErrorKind;

pub(super) const RULES: Rules = Rules {
    prefix: "x-oss-",
    // Without it OSS answers a range that reaches past the end with 200 and the whole object.
    range_headers: &[("x-oss-range-behavior", "standard")],
    plus_is_space: false,
    tokens_are_encoded: true,
    kind_of,
    host,
    known_host,
};

fn kind_of(code: &str) -> Option<ErrorKind> {
    match code {
        "SymlinkTargetNotExist" => Some(ErrorKind::NotFound),
        "SecurityTokenExpired" | "InvalidSecurityToken" | "AccessKeyIdAndSecurityTokenNotMatch" => {
            Some(ErrorKind::Credentials)
        }
        _ => common_kind(code),
    }
}

fn host(region: &str, reach: Reach) -> Result<String, &'static str> {
    Ok(match reach {
        Reach::Public => format!("oss-{region}.aliyuncs.com"),
        Reach::Internal => format!("oss-{region}-internal.aliyuncs.com"),
        Reach::DualStack => format!("{region}.oss.aliyuncs.com"),
        Reach::Accelerate => "oss-accelerate.aliyuncs.com".to_owned(),
    })
}

fn known_host(host: &str) -> Option<KnownHost> {
    let name = host.strip_suffix(".aliyuncs.com")?;
    let known = |region: Option<&str>| Some(KnownHost { region: region.map(str::to_owned), product: "oss" });
    if name == "oss" {
        return known(Some("cn-hangzhou"));
    }
    if let Some(boxed) = name.strip_suffix(".oss-cloudbox") {
        // The box id takes the place of the region.
        let id = boxed.split('.').next()?;
        return Some(KnownHost { region: Some(id.to_owned()), product: "oss-cloudbox" });
    }
    if let Some(region) = name.strip_suffix(".oss") {
        return (!region.contains('.')).then_some(()).and_then(|()| known(Some(region)));
    }
    // The S3-compatible endpoints of OSS put `s3.` in front.
    let region = name.strip_prefix("s3.").unwrap_or(name).strip_prefix("oss-")?;
    if region.contains('.') {
        return None;
    }
    if region.starts_with("accelerate") {
        return known(None);
    }
    known(Some(region.strip_suffix("-internal").unwrap_or(region)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_tell_their_region() {
        for (host, region, product) in [
            ("oss-cn-hangzhou.aliyuncs.com", Some("cn-hangzhou"), "oss"),
            ("oss-ap-southeast-1-internal.aliyuncs.com", Some("ap-southeast-1"), "oss"),
            ("cn-beijing.oss.aliyuncs.com", Some("cn-beijing"), "oss"),
            ("s3.oss-cn-hangzhou.aliyuncs.com", Some("cn-hangzhou"), "oss"),
            ("oss.aliyuncs.com", Some("cn-hangzhou"), "oss"),
            ("oss-accelerate.aliyuncs.com", None, "oss"),
            ("oss-accelerate-overseas.aliyuncs.com", None, "oss"),
            ("cb-f8z7.cn-hangzhou.oss-cloudbox.aliyuncs.com", Some("cb-f8z7"), "oss-cloudbox"),
        ] {
            let known = known_host(host).unwrap();
            assert_eq!((known.region.as_deref(), known.product), (region, product), "{host}");
        }
        for host in ["data.example.com", "127.0.0.1", "b.oss-cn-hangzhou.aliyuncs.com", "aliyuncs.com"] {
            assert_eq!(known_host(host), None, "{host}");
        }
    }

    #[test]
    fn codes_say_what_the_status_cannot() {
        for (code, kind) in [
            ("NoSuchBucket", ErrorKind::NoSuchBucket),
            ("InvalidObjectState", ErrorKind::Archived),
            ("SecurityTokenExpired", ErrorKind::Credentials),
            ("TotalQpsLimitExceeded", ErrorKind::Throttled),
            ("DownloadTrafficRateLimitExceeded", ErrorKind::Throttled),
            ("RequestTimeTooSkewed", ErrorKind::ClockSkew),
        ] {
            assert_eq!(kind_of(code), Some(kind), "{code}");
        }
        assert_eq!(kind_of("AccessDenied"), None);
    }
}
