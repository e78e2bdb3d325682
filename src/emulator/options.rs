//! The options of an emulator: addresses, accounts, limits, and the options of a stored object.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::fault::Fault;
use super::generator::GeneratedBucket;
use super::shaping::Shaping;
use crate::base::{ByteSize, Clock, Timestamp};

/// The access key id of the default account.
pub const ACCESS_KEY_ID: &str = "EmulatorAccessKeyId";
/// The secret of the default account. It protects nothing: the emulator listens on loopback by default.
pub const ACCESS_KEY_SECRET: &str = "EmulatorAccessKeySecretForTestsOnly";

/// Everything an emulator is started with. The default listens on a free loopback port, has one account, no buckets,
/// no shaping and no faults.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// A directory whose sub-directories are buckets and whose files are objects.
    pub root: Option<PathBuf>,
    /// Who may call. Several accounts may share an access key id when their tokens differ.
    pub credentials: Vec<Account>,
    /// The region of every bucket, as signatures name it (`cn-hangzhou`).
    pub region: String,
    /// Which buckets may be read without a signature.
    pub anonymous_read: AnonymousRead,
    /// The dialect of an unsigned request that carries neither `x-oss-` nor `x-amz-` headers.
    pub anonymous_dialect: Dialect,
    /// The delays and bandwidths of the emulated network.
    pub shaping: Shaping,
    /// What goes wrong, in the order in which it is tried.
    pub faults: Vec<Fault>,
    /// Seeds the dice of the faults.
    pub seed: u64,
    /// The clock of dates, signature checks and expiry.
    pub clock: Clock,
    /// Sizes of listing pages.
    pub pages: PageLimits,
    /// The largest object that one request may write.
    pub largest_object: ByteSize,
    /// The smallest part of a multipart upload but the last; `None` takes the dialect's own (100 KiB and 5 MiB).
    pub smallest_part: Option<ByteSize>,
    /// Threads that serve connections.
    pub worker_threads: usize,
    /// Buckets whose keys and content are computed.
    pub generated: Vec<GeneratedBucket>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            root: None,
            credentials: vec![Account::default()],
            region: "cn-hangzhou".to_owned(),
            anonymous_read: AnonymousRead::Nothing,
            anonymous_dialect: Dialect::Oss,
            shaping: Shaping::default(),
            faults: Vec::new(),
            seed: 0,
            clock: Clock::system(),
            pages: PageLimits::default(),
            largest_object: ByteSize(5 << 30),
            smallest_part: None,
            worker_threads: 2,
            generated: Vec::new(),
        }
    }
}

/// The protocol a request speaks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Dialect {
    /// The protocol of Alibaba Cloud OSS.
    Oss,
    /// The protocol of Amazon S3.
    S3,
}

/// Which buckets may be read without a signature.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AnonymousRead {
    /// No bucket is public.
    Nothing,
    /// The buckets of this list.
    Buckets(Vec<String>),
    /// Every bucket is public.
    Everything,
}

/// An account that may call the emulator.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// The access key id, sent in the open.
    pub access_key_id: String,
    /// The secret that signs.
    pub access_key_secret: String,
    /// The STS token that must come with it, for temporary credentials.
    pub security_token: Option<String>,
    /// When temporary credentials end.
    pub expires: Option<Timestamp>,
}

impl Account {
    /// An account whose keys do not end.
    pub fn new(access_key_id: impl Into<String>, access_key_secret: impl Into<String>) -> Self {
        Account {
            access_key_id: access_key_id.into(),
            access_key_secret: access_key_secret.into(),
            security_token: None,
            expires: None,
        }
    }

    /// The same account as temporary credentials with an STS token.
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.security_token = Some(token.into());
        self
    }
}

impl Default for Account {
    fn default() -> Self {
        Account::new(ACCESS_KEY_ID, ACCESS_KEY_SECRET)
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("access_key_id", &self.access_key_id)
            .field("access_key_secret", &"***")
            .field("security_token", &self.security_token.as_ref().map(|_| "***"))
            .field("expires", &self.expires)
            .finish()
    }
}

/// Entries per listing page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageLimits {
    /// Entries of a page when an OSS request names no number.
    pub oss_default: usize,
    /// Entries of a page when an S3 request names no number.
    pub s3_default: usize,
    /// The most entries of a page; OSS refuses to be asked for more, S3 cuts.
    pub largest: usize,
}

impl Default for PageLimits {
    fn default() -> Self {
        PageLimits { oss_default: 100, s3_default: 1000, largest: 1000 }
    }
}

/// What an object carries besides its bytes. `content_type` falls back to `application/octet-stream`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PutOptions {
    /// The value of `Content-Type`.
    pub content_type: Option<String>,
    /// The value of `Cache-Control`.
    pub cache_control: Option<String>,
    /// The value of `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// The value of `Content-Encoding`.
    pub content_encoding: Option<String>,
    /// The value of `Content-Language`.
    pub content_language: Option<String>,
    /// The `Expires` header, as text.
    pub expires: Option<String>,
    /// User metadata: names without `x-oss-meta-` or `x-amz-meta-`.
    pub user_metadata: Vec<(String, String)>,
    /// The storage class in the words of OSS (`Standard`, `IA`, `Archive`, `ColdArchive`, `DeepColdArchive`).
    pub storage_class: StorageClass,
    /// The tags of the object.
    pub tags: Vec<(String, String)>,
    /// Makes the object a symlink to this key of the same bucket; the bytes given are ignored.
    pub symlink_target: Option<String>,
    /// The modification time; now when absent.
    pub last_modified: Option<Timestamp>,
}

/// Where an object is kept, which decides whether it can be read at once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum StorageClass {
    /// The object can be read at once.
    #[default]
    Standard,
    /// Infrequent access, readable at once.
    InfrequentAccess,
    /// Must be restored before it is read.
    Archive,
    /// Must be restored before it is read.
    ColdArchive,
    /// Must be restored before it is read.
    DeepColdArchive,
}
