//! The bucket over HTTP. [`Store`] is the seam that the rest of the program sees: read a range, look at an object,
//! list a page. Everything else here is either an implementation of it or a layer over it.
//!
//! Errors carry a closed [`ErrorKind`]; what that means to a program (errno) is decided in `fs`. Nothing here knows
//! inodes, flags or files. What changes a bucket is the separate trait [`StoreMut`], which only `copy` holds.
//!
//! | file | what it owns |
//! |---|---|
//! | `account` | the buckets of an account as one store |
//! | `body` | the bytes of an answer, received into memory of the caller |
//! | `connect` | builds the store of a mount: client and layers |
//! | `connections` | how many requests may be in flight |
//! | `copies` | requests and answers of copies and of uploads in parts |
//! | `credentials` | where access keys come from |
//! | `dialect` | OSS and S3 |
//! | `encode` | percent-encoding, as both signature schemes require it |
//! | `endpoint` | where requests go: scheme, authority, addressing, region, path |
//! | `error` | errors of requests to a store |
//! | `http` | the HTTP client |
//! | `layers` | layers over a store |
//! | `memory` | a bucket in memory |
//! | `mutate` | the separate trait of requests that change a bucket, which only `copy` and tests use |
//! | `ops` | one file per operation |
//! | `options` | the options for reaching one bucket |
//! | `sign` | signatures |
//! | `types` | requests and answers of the [`Store`] trait |
//! | `xml` | reads the XML of listings and errors as a stream of leaves |

mod account;
mod body;
mod connect;
mod connections;
mod copies;
pub mod credentials;
mod dialect;
mod encode;
mod endpoint;
mod error;
mod http;
pub mod layers;
pub mod memory;
mod mutate;
mod ops;
mod options;
pub mod sign;
mod types;
mod xml;

use async_trait::async_trait;

use crate::base::Key;

pub use account::{AllBuckets, connect_all, list_buckets};
pub use body::{Body, Receive};
pub use connect::{Connected, connect};
pub use connections::Connections;
pub use copies::{
    CompleteRequest, Copied, CopyPartRequest, CopyRequest, CopySource, ListPartsRequest, Metadata, Overwrite, PartPage,
    Tags, Upload, UploadRequest, UploadedPart,
};
use endpoint::is_known_host;
pub use endpoint::{Reached, origin, reached};
pub use error::{Error, ErrorKind, Result};
pub use http::{Addresses, Bind, Proxy, Served};
pub use mutate::{Change, DeleteRequest, Outcome, PutRequest, StoreMut};
pub use ops::HttpStore;
pub use options::{Addressing, Dialect, ListVersion, Options, Sign, Timeouts};
pub use types::{
    BucketEntry, Expected, GetRequest, GetResponse, HeadRequest, ListEntry, ListPage, ListRequest, NULL_VERSION,
    ObjectKind, ObjectMeta, Pair, Priority, StorageClass, Traffic, VersionEntry, VersionPage, VersionPlace,
    VersionsRequest,
};

/// Reading from one bucket. Cheap to share (`Arc<dyn Store>`); every call may be dropped at any await.
///
/// No method has a default: a layer that does not hand a call on does not compile.
///
/// What each implementation promises, and the conformance suite checks:
/// - bytes, tags and sizes are those of one version of the object; an answer that does not fit the request (wrong
///   status, range, total or tag) is an error and never data;
/// - keys travel as they are: dot segments, doubled slashes, any byte that XML and URLs can carry;
/// - a listing is in byte order, complete and without duplicates when paged to its end.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug + 'static {
    /// Reads a range of an object, or all of it.
    ///
    /// Fails with [`ErrorKind::Changed`] when `if_match` no longer fits and [`ErrorKind::RangeNotSatisfiable`] when
    /// the range starts at or past the end.
    async fn get(&self, request: GetRequest) -> Result<GetResponse>;

    /// The facts of an object, without its bytes.
    async fn head(&self, request: HeadRequest) -> Result<ObjectMeta>;

    /// One page of a listing.
    async fn list(&self, request: ListRequest) -> Result<ListPage>;

    /// One page of a listing of all versions and delete markers, in the order of the server: by key, and of one key the
    /// newest first. A bucket that never kept versions shows its objects as versions called `null`.
    async fn list_versions(&self, request: VersionsRequest) -> Result<VersionPage>;

    /// The key that a symlink object, or a version of it, names: raw, counted from the root of the bucket, and empty
    /// where it names none. Fails with [`ErrorKind::Unsupported`] where the dialect has no such objects.
    async fn symlink_target(&self, key: &Key, version: Option<&str>) -> Result<String>;

    /// The tags of an object, or of a version of it, in the server's order. Fails with [`ErrorKind::Unsupported`] where
    /// objects have none.
    async fn tags(&self, key: &Key, version: Option<&str>) -> Result<Tags>;

    /// Has the fleet of near caches fetch a range of a pinned version. Its bytes do not come here. False where that
    /// version is not read through the fleet. Fails with [`ErrorKind::Unsupported`] where there is no fleet.
    async fn warm(&self, request: GetRequest) -> Result<bool> {
        let message = "there is no fleet of near caches: mount with near";
        Err(Error::new(ErrorKind::Unsupported, message).with_key(request.key.to_string()))
    }

    /// Whether there is a fleet of near caches for [`Store::warm`].
    fn has_fleet(&self) -> bool {
        false
    }
}
