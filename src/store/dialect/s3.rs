//! Amazon S3 and the servers that follow it.

use super::{KnownHost, Reach, Rules, common_kind};
use crate::store::ErrorKind;

pub(super) const RULES: Rules = Rules {
    prefix: "x-amz-",
    range_headers: &[],
    // AWS and MinIO write a space as `+`, Ceph and Swift as `%20`; all write a plus as `%2B`.
    plus_is_space: true,
    // AWS's tokens are base64, in which `+` is a plus; Ceph's are raw keys.
    tokens_are_encoded: false,
    kind_of,
    host,
    known_host,
};

fn kind_of(code: &str) -> Option<ErrorKind> {
    match code {
        "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" => Some(ErrorKind::Credentials),
        "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => Some(ErrorKind::WrongRegion),
        "RequestExpired" => Some(ErrorKind::ClockSkew),
        _ => common_kind(code),
    }
}

fn host(region: &str, reach: Reach) -> Result<String, &'static str> {
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    Ok(match reach {
        Reach::Public => format!("s3.{region}.{domain}"),
        Reach::DualStack => format!("s3.dualstack.{region}.{domain}"),
        Reach::Accelerate => "s3-accelerate.amazonaws.com".to_owned(),
        Reach::Internal => return Err("S3 has no internal endpoints; leave out internal, or give the endpoint"),
    })
}

fn known_host(host: &str) -> Option<KnownHost> {
    let known = |region: Option<&str>| Some(KnownHost { region: region.map(str::to_owned), product: "s3" });
    let Some(name) = host.strip_suffix(".amazonaws.com").or_else(|| host.strip_suffix(".amazonaws.com.cn")) else {
        // OSS behind its S3-compatible face.
        return super::oss::RULES.known_host_of(host);
    };
    match name {
        "s3" => known(Some("us-east-1")),
        "s3-accelerate" | "s3-accelerate.dualstack" => known(None),
        _ => {
            let region = name.strip_prefix("s3.").or_else(|| name.strip_prefix("s3-"))?;
            let region = region.strip_prefix("dualstack.").unwrap_or(region);
            if region.contains('.') { None } else { known(Some(region)) }
        }
    }
}

impl Rules {
    fn known_host_of(&self, host: &str) -> Option<KnownHost> {
        (self.known_host)(host).map(|known| KnownHost { product: "s3", ..known })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_tell_their_region() {
        for (host, region) in [
            ("s3.amazonaws.com", Some("us-east-1")),
            ("s3.eu-west-1.amazonaws.com", Some("eu-west-1")),
            ("s3-eu-west-1.amazonaws.com", Some("eu-west-1")),
            ("s3.dualstack.us-west-2.amazonaws.com", Some("us-west-2")),
            ("s3.cn-north-1.amazonaws.com.cn", Some("cn-north-1")),
            ("s3-accelerate.amazonaws.com", None),
            ("oss-cn-hangzhou.aliyuncs.com", Some("cn-hangzhou")),
        ] {
            assert_eq!(known_host(host).unwrap().region.as_deref(), region, "{host}");
        }
        for host in ["b.s3.eu-west-1.amazonaws.com", "minio.example.com", "amazonaws.com"] {
            assert_eq!(known_host(host), None, "{host}");
        }
        for (region, reach) in [("eu-west-1", Reach::Public), ("cn-north-1", Reach::DualStack)] {
            let host = host(region, reach).unwrap();
            assert_eq!(known_host(&host).unwrap().region.as_deref(), Some(region), "{host}");
        }
    }
}
