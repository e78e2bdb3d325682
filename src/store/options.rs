//! The options for reaching one bucket. `config` fills them in; nothing here reads flags, files or the environment.

use std::path::PathBuf;
use std::time::Duration;

use super::connections::Connections;
use super::credentials::{Known, Source};
use super::http::{Addresses, Bind, Proxy};
use super::layers::{NearOptions, RetryPolicy};
use crate::base::BucketName;

/// Which protocol the server speaks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Dialect {
    /// Alibaba Cloud OSS: `oss://`.
    Oss,
    /// Amazon S3 and those compatible with it: `s3://`.
    S3,
}

/// Where the bucket's name goes in a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Addressing {
    /// `Path` for IP addresses and `localhost`, else `Virtual`.
    #[default]
    Auto,
    /// The bucket stands in the host: `bucket.host/key`.
    Virtual,
    /// `host/bucket/key`, which OSS itself refuses and emulators and many S3 servers want.
    Path,
    /// `host/key`: a domain of one's own that is bound to the bucket.
    Cname,
}

/// How requests are signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Sign {
    /// OSS V4 or S3 SigV4, by dialect.
    #[default]
    V4,
    /// OSS V1 (HMAC-SHA1), which needs no region. OSS only.
    V1,
    /// Not at all: public buckets.
    None,
}

/// Which call lists a bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ListVersion {
    /// V2, and V1 from the moment the server shows that it does not know V2.
    #[default]
    Auto,
    /// ListObjectsV2, which is the newer one.
    V2,
    /// ListObjects, for servers that know only that.
    V1,
}

/// How long to wait for the network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// For a connection to stand, TLS not included.
    pub connect: Duration,
    /// From sending a request to the first byte of its answer, connecting included.
    pub first_byte: Duration,
    /// Between two chunks of a body.
    pub stall: Duration,
    /// How long an unused connection is kept for the next request.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(20),
            stall: Duration::from_secs(20),
            idle: Duration::from_secs(30),
        }
    }
}

/// One bucket, and how to reach it.
#[derive(Clone, Debug)]
pub struct Options {
    /// The protocol of the service.
    pub dialect: Dialect,
    /// The name of the bucket.
    pub bucket: BucketName,
    /// `[https://|http://]host[:port]`, without the bucket; `None` derives it from the region.
    pub endpoint: Option<String>,
    /// The plain region id, such as `cn-hangzhou`; `None` derives it from the endpoint.
    pub region: Option<String>,
    /// Where the bucket's name goes.
    pub addressing: Addressing,
    /// Use the region's internal endpoint (OSS), reachable only from machines of that region.
    pub internal: bool,
    /// Use the transfer acceleration endpoint.
    pub accelerate: bool,
    /// Use the endpoint that answers over IPv4 and IPv6.
    pub dual_stack: bool,
    /// How requests are signed.
    pub sign: Sign,
    /// Pay for requests on a requester-pays bucket.
    pub request_payer: bool,
    /// Trust these certificates (PEM) instead of the machine's own.
    pub ca_bundle: Option<PathBuf>,
    /// Requests go through this proxy.
    pub proxy: Option<Proxy>,
    /// Connections set out from these, in turn; none leaves it to the kernel.
    pub bind: Vec<Bind>,
    /// What is known of the addresses of names; clones share it.
    pub addresses: Addresses,
    /// Where credentials come from.
    pub credentials: Source,
    /// What answers for sources of credentials; clones share it.
    pub known: Known,
    /// Requests in flight at once; clones share it.
    pub connections: Connections,
    /// Bytes of objects per second, all GETs together; `None` means as fast as they come.
    pub max_bandwidth: Option<u64>,
    /// Caches that are asked before the bucket.
    pub near: Option<NearOptions>,
    /// Time limits of the network.
    pub timeouts: Timeouts,
    /// How failed requests are tried again.
    pub retry: RetryPolicy,
    /// Which call lists the bucket.
    pub list_version: ListVersion,
    /// What the `User-Agent` header says.
    pub user_agent: String,
}

impl Options {
    /// The defaults for a bucket, to be reached without credentials.
    pub fn new(dialect: Dialect, bucket: BucketName) -> Self {
        Options {
            dialect,
            bucket,
            endpoint: None,
            region: None,
            addressing: Addressing::Auto,
            internal: false,
            accelerate: false,
            dual_stack: false,
            sign: Sign::V4,
            request_payer: false,
            ca_bundle: None,
            proxy: None,
            bind: Vec::new(),
            addresses: Addresses::default(),
            credentials: Source::Anonymous,
            known: Known::default(),
            connections: Connections::default(),
            max_bandwidth: None,
            near: None,
            timeouts: Timeouts::default(),
            retry: RetryPolicy::default(),
            list_version: ListVersion::Auto,
            user_agent: concat!("ossmount/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}
