//! What changes a bucket: a trait apart from [`Store`](super::Store), so that whoever holds only a `Store` cannot
//! change anything. Only `copy` and the tests hold this one.

use async_trait::async_trait;
use bytes::Bytes;

use super::{ObjectMeta, Result};
use crate::base::Key;

/// Changing one bucket. Cheap to share (`Arc<dyn StoreMut>`).
#[async_trait]
pub trait StoreMut: Send + Sync + std::fmt::Debug + 'static {
    /// Puts a whole object in one piece, replacing what was there. The answer holds what the server told: entity tag,
    /// CRC-64 and version; `size` is that of the body.
    async fn put(&self, request: PutRequest) -> Result<ObjectMeta>;

    /// Deletes an object, or one version of it. Deleting what does not exist succeeds.
    async fn delete(&self, request: DeleteRequest) -> Result<()>;
}

/// An object to put.
#[derive(Clone, Debug)]
pub struct PutRequest {
    /// The object.
    pub key: Key,
    /// All of its bytes, at most 5 GiB.
    pub body: Bytes,
    /// MIME type; the server has a default.
    pub content_type: Option<String>,
    /// User metadata: names of letters, digits and `-`, without the dialect's prefix.
    pub user: Vec<(String, String)>,
}

impl PutRequest {
    /// An object with these bytes and no metadata.
    pub fn new(key: Key, body: impl Into<Bytes>) -> Self {
        PutRequest { key, body: body.into(), content_type: None, user: Vec::new() }
    }
}

/// An object to delete.
#[derive(Clone, Debug)]
pub struct DeleteRequest {
    /// The object.
    pub key: Key,
    /// A version of it; `None` means the current one (which on versioned buckets only hides it).
    pub version: Option<String>,
}

impl DeleteRequest {
    /// The current version of an object.
    pub fn new(key: Key) -> Self {
        DeleteRequest { key, version: None }
    }
}
