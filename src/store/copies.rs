//! Requests and answers of copies within the service, and of uploads in parts, which is how large ones are made.

use crate::base::{BucketName, ByteRange, ETag, Key};

use super::StorageClass;

/// What a copy is made of. The bucket is in the same region as the one that is changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CopySource {
    /// The bucket that the object lies in.
    pub bucket: BucketName,
    /// The key of the object.
    pub key: Key,
    /// A version of it; `None` means the current one.
    pub version: Option<String>,
    /// Fail with [`ErrorKind::Changed`](super::ErrorKind::Changed) unless it still carries this tag.
    pub if_match: Option<ETag>,
}

/// What an object carries beside its bytes and tags.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Metadata {
    /// MIME type; the server has a default.
    pub content_type: Option<String>,
    /// Cache-Control, Content-Disposition, Content-Encoding, Content-Language, Expires: lower-case names, and values.
    pub headers: Vec<(String, String)>,
    /// User metadata: names of letters, digits and `-`, without the dialect's prefix.
    pub user: Vec<(String, String)>,
}

/// Tags: names and values, neither encoded.
pub type Tags = Vec<(String, String)>;

/// Whether an object that is there already may be replaced.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Overwrite {
    /// An object of that key is replaced.
    #[default]
    Allow,
    /// The request fails. Versioned buckets of OSS keep the old version, and let the request through.
    Forbid,
}

/// A copy in one request.
#[derive(Clone, Debug)]
pub struct CopyRequest {
    /// The object that is copied.
    pub source: CopySource,
    /// Bytes of the source, by which the time allowed goes: the service is silent until it has copied them.
    pub size: u64,
    /// The key of the new object.
    pub key: Key,
    /// Its metadata; `None` takes the source's.
    pub metadata: Option<Metadata>,
    /// Its tags; `None` takes the source's (S3 and OSS alike).
    pub tags: Option<Tags>,
    /// Its storage class; `None` leaves that to the bucket.
    pub storage_class: Option<StorageClass>,
    /// Its access rule in the service's word, such as `private`.
    pub acl: Option<String>,
    /// What happens when there is an object.
    pub overwrite: Overwrite,
}

/// An upload in parts to begin.
#[derive(Clone, Debug)]
pub struct UploadRequest {
    /// The key of the new object.
    pub key: Key,
    /// The metadata of the new object.
    pub metadata: Metadata,
    /// The tags of the new object.
    pub tags: Tags,
    /// Its storage class; `None` leaves that to the bucket.
    pub storage_class: Option<StorageClass>,
    /// Its access rule. S3 takes it here, OSS at the end.
    pub acl: Option<String>,
    /// What happens when there is an object. OSS looks here and at the end, S3 only at the end.
    pub overwrite: Overwrite,
}

/// An upload in parts under way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upload {
    /// The object to be.
    pub key: Key,
    /// What the service calls the upload.
    pub id: String,
}

/// A part to be taken from another object.
#[derive(Clone, Debug)]
pub struct CopyPartRequest {
    /// The upload that it belongs to.
    pub upload: Upload,
    /// Its number, 1 to 10,000.
    pub number: u32,
    /// What it is taken from.
    pub source: CopySource,
    /// Which bytes; not empty, and within the source: OSS takes the whole source for a range that it cannot read.
    pub range: ByteRange,
}

/// Parts of an upload to ask for.
#[derive(Clone, Debug)]
pub struct ListPartsRequest {
    /// The upload that the part belongs to.
    pub upload: Upload,
    /// Only parts with higher numbers.
    pub after: u32,
}

/// Parts of an upload, by number.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PartPage {
    /// The parts that are there.
    pub parts: Vec<UploadedPart>,
    /// What to ask after for more; `None` on the last page.
    pub next: Option<u32>,
}

/// A part that has arrived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UploadedPart {
    /// The number of the part, from 1 on.
    pub number: u32,
    /// The size of the part, in bytes.
    pub size: u64,
    /// What it takes to name it at the end.
    pub etag: ETag,
}

/// An upload to be made an object.
#[derive(Clone, Debug)]
pub struct CompleteRequest {
    /// The upload that is completed.
    pub upload: Upload,
    /// Its parts, by rising number.
    pub parts: Vec<(u32, ETag)>,
    /// The access rule of the object. OSS takes it here, S3 at the beginning.
    pub acl: Option<String>,
    /// What happens when there is an object.
    pub overwrite: Overwrite,
}

/// An object that was made by a copy, as far as the answer tells.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Copied {
    /// The entity tag of the new object.
    pub etag: Option<ETag>,
    /// CRC-64/XZ of its bytes.
    pub crc64: Option<u64>,
    /// The version of the new object, on versioned buckets.
    pub version: Option<String>,
    /// The service's name for the request that made it.
    pub request_id: Option<String>,
}
