//! What changes a bucket: a trait apart from [`Store`](super::Store), so that a holder of only a `Store` cannot
//! change anything. Only `copy` and the tests hold this one.
//!
//! An implementation, or a layer over one, has a single method: [`StoreMut::change`]. What callers use are the
//! methods beside it, one for each [`Change`] with its own [`Outcome`].

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    CompleteRequest, Copied, CopyPartRequest, CopyRequest, Error, ErrorKind, ListPartsRequest, ObjectMeta, PartPage,
    Result, Upload, UploadRequest,
};
use crate::base::{ETag, Key};

/// Changing one bucket. Cheap to share (`Arc<dyn StoreMut>`); every call may be dropped at any await, after which the
/// service may or may not have made the change.
#[async_trait]
pub trait StoreMut: Send + Sync + std::fmt::Debug + 'static {
    /// Makes a change. The outcome is the one that belongs to it.
    async fn change(&self, change: Change) -> Result<Outcome>;

    /// Puts a whole object in one piece, replacing what was there. The answer holds what the server told: entity tag,
    /// CRC-64 and version; `size` is that of the body.
    async fn put(&self, request: PutRequest) -> Result<ObjectMeta> {
        match self.change(Change::Put(request)).await? {
            Outcome::Stored(meta) => Ok(meta),
            other => Err(foreign(&other)),
        }
    }

    /// Deletes an object, or one version of it. Deleting what does not exist succeeds.
    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        match self.change(Change::Delete(request)).await? {
            Outcome::Done => Ok(()),
            other => Err(foreign(&other)),
        }
    }

    /// Copies an object in one request. The answer comes when the copy is whole.
    ///
    /// Fails with [`ErrorKind::Changed`] when the source does not match, with [`ErrorKind::TooLarge`] when it is more
    /// than the service copies at once, and with [`ErrorKind::Archived`] when it must be restored first.
    async fn copy(&self, request: CopyRequest) -> Result<Copied> {
        match self.change(Change::Copy(request)).await? {
            Outcome::Copied(copied) => Ok(copied),
            other => Err(foreign(&other)),
        }
    }

    /// Begins an upload in parts. A try whose answer was lost leaves one without parts behind.
    async fn begin_upload(&self, request: UploadRequest) -> Result<Upload> {
        match self.change(Change::BeginUpload(request)).await? {
            Outcome::Begun(upload) => Ok(upload),
            other => Err(foreign(&other)),
        }
    }

    /// Takes a part of an upload from an object, and tells the part's tag. A part may be taken again.
    async fn copy_part(&self, request: CopyPartRequest) -> Result<ETag> {
        match self.change(Change::CopyPart(request)).await? {
            Outcome::Part(etag) => Ok(etag),
            other => Err(foreign(&other)),
        }
    }

    /// The parts of an upload that have arrived, by number. Fails with [`ErrorKind::NotFound`] where there is no such
    /// upload.
    async fn list_parts(&self, request: ListPartsRequest) -> Result<PartPage> {
        match self.change(Change::ListParts(request)).await? {
            Outcome::Parts(page) => Ok(page),
            other => Err(foreign(&other)),
        }
    }

    /// Makes an upload an object. Fails with [`ErrorKind::NotFound`] where there is no such upload: perhaps because an
    /// earlier try did it, and its answer was lost.
    async fn complete_upload(&self, request: CompleteRequest) -> Result<Copied> {
        match self.change(Change::CompleteUpload(request)).await? {
            Outcome::Copied(copied) => Ok(copied),
            other => Err(foreign(&other)),
        }
    }

    /// Forgets an upload and its parts. Forgetting what does not exist succeeds.
    async fn abort_upload(&self, upload: Upload) -> Result<()> {
        match self.change(Change::AbortUpload(upload)).await? {
            Outcome::Done => Ok(()),
            other => Err(foreign(&other)),
        }
    }
}

/// A change to a bucket, or a look at one that is being made.
#[derive(Clone, Debug)]
pub enum Change {
    /// See [`StoreMut::put`]; its outcome is [`Outcome::Stored`].
    Put(PutRequest),
    /// [`StoreMut::delete`], which is answered by [`Outcome::Done`].
    Delete(DeleteRequest),
    /// [`StoreMut::copy`], which is answered by [`Outcome::Copied`].
    Copy(CopyRequest),
    /// [`StoreMut::begin_upload`], which is answered by [`Outcome::Begun`].
    BeginUpload(UploadRequest),
    /// [`StoreMut::copy_part`], which is answered by [`Outcome::Part`].
    CopyPart(CopyPartRequest),
    /// [`StoreMut::list_parts`], which is answered by [`Outcome::Parts`].
    ListParts(ListPartsRequest),
    /// [`StoreMut::complete_upload`], which is answered by [`Outcome::Copied`].
    CompleteUpload(CompleteRequest),
    /// [`StoreMut::abort_upload`], which is answered by [`Outcome::Done`].
    AbortUpload(Upload),
}

/// What came of a [`Change`].
#[derive(Debug)]
pub enum Outcome {
    /// There is nothing to tell.
    Done,
    /// An object was put.
    Stored(ObjectMeta),
    /// An object was made.
    Copied(Copied),
    /// The upload that was begun.
    Begun(Upload),
    /// A part arrived, with this tag.
    Part(ETag),
    /// Parts that have arrived.
    Parts(PartPage),
}

impl Change {
    /// What the operation is called in errors.
    pub(super) fn operation(&self) -> &'static str {
        match self {
            Change::Put(_) => "PutObject",
            Change::Delete(_) => "DeleteObject",
            Change::Copy(_) => "CopyObject",
            Change::BeginUpload(_) => "InitiateMultipartUpload",
            Change::CopyPart(_) => "UploadPartCopy",
            Change::ListParts(_) => "ListParts",
            Change::CompleteUpload(_) => "CompleteMultipartUpload",
            Change::AbortUpload(_) => "AbortMultipartUpload",
        }
    }

    /// The object that changes.
    pub(super) fn key(&self) -> &Key {
        match self {
            Change::Put(request) => &request.key,
            Change::Delete(request) => &request.key,
            Change::Copy(request) => &request.key,
            Change::BeginUpload(request) => &request.key,
            Change::CopyPart(request) => &request.upload.key,
            Change::ListParts(request) => &request.upload.key,
            Change::CompleteUpload(request) => &request.upload.key,
            Change::AbortUpload(upload) => &upload.key,
        }
    }
}

/// An implementation that confuses its answers.
fn foreign(outcome: &Outcome) -> Error {
    Error::new(ErrorKind::Protocol, format!("the store returned another kind of answer: {outcome:?}"))
}

/// An object to put.
#[derive(Clone, Debug)]
pub struct PutRequest {
    /// The key of the object.
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
    /// The key of the object.
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
