//! The operations, one file to a family: which one a request asks for, and what they share.
//!
//! | file | what it owns |
//! |---|---|
//! | `bucket` | buckets |
//! | `conditions` | `If-Match` and its kin, on objects and on the sources of copies |
//! | `copy` | copies within the service |
//! | `delete` | deleting |
//! | `list` | ListObjects in both forms |
//! | `multipart` | uploads in parts |
//! | `object` | reading objects |
//! | `page` | one page of a listing, found by walking keys in order |
//! | `range` | which bytes a `Range` header asks for, in both readings of OSS and in that of S3 |
//! | `tagging` | the tags of objects |
//! | `versions` | versions |
//! | `write` | writing objects |

mod bucket;
mod conditions;
mod copy;
mod delete;
mod list;
mod multipart;
mod object;
mod page;
mod range;
mod tagging;
mod versions;
mod write;

use std::io;
use std::sync::Arc;

use http::Method;

pub(super) use write::written_object;

use super::auth::Payload;
use super::bucket::{Bucket, Found, WriteError};
use super::failure::{
    Failure, access_denied, internal, no_such_bucket, no_such_key, no_such_version, not_implemented,
    precondition_failed,
};
use super::fault::FaultKind;
use super::object::Object;
use super::operation::Operation;
use super::options::Dialect;
use super::receive::{How, Received, RequestBody};
use super::reply::Reply;
use super::request::Request;
use super::service::Service;
use crate::base::Timestamp;

/// One request being performed.
pub(super) struct Call<'a> {
    pub(super) service: &'a Service,
    pub(super) request: &'a Request,
    pub(super) payload: &'a Payload,
    pub(super) operation: Operation,
    pub(super) now: Timestamp,
    pub(super) fault: Option<FaultKind>,
}

/// Parameters of buckets that name something the emulator does not have. Without this list they would be taken for
/// listings.
const OTHER_BUCKET_MATTERS: &[&str] = &[
    "accelerate",
    "analytics",
    "asyncFetch",
    "callback",
    "cors",
    "encryption",
    "intelligent-tiering",
    "inventory",
    "lifecycle",
    "live",
    "logging",
    "metaQuery",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "qosInfo",
    "referer",
    "replication",
    "requestPayment",
    "resourceGroup",
    "rtc",
    "style",
    "tagging",
    "transferAcceleration",
    "website",
    "worm",
];

/// Which operation a request asks for.
pub(super) fn classify(request: &Request) -> Operation {
    let has = |name: &str| request.query.has(name);
    let is_oss = request.dialect == Dialect::Oss;
    match (&request.bucket, &request.key) {
        (None, _) if request.method == Method::GET => Operation::ListBuckets,
        (None, _) => Operation::Unknown,
        (Some(_), Some(_)) => object_operation(request, has, is_oss),
        (Some(_), None) if OTHER_BUCKET_MATTERS.iter().any(|name| has(name)) => Operation::Unknown,
        (Some(_), None) => match request.method {
            Method::GET if has("uploads") => Operation::ListMultipartUploads,
            Method::GET if has("versions") => Operation::ListObjectVersions,
            Method::GET if has("versioning") => Operation::GetBucketVersioning,
            Method::GET if has("location") => Operation::GetBucketLocation,
            Method::GET if has("acl") => Operation::GetBucketAcl,
            Method::GET if has("bucketInfo") && is_oss => Operation::GetBucketInfo,
            Method::GET if has("stat") && is_oss => Operation::GetBucketStat,
            Method::GET if request.query.value("list-type") == Some("2") => Operation::ListObjectsV2,
            Method::GET => Operation::ListObjects,
            Method::HEAD => Operation::HeadBucket,
            Method::PUT if has("versioning") => Operation::PutBucketVersioning,
            Method::PUT if !has("acl") => Operation::PutBucket,
            Method::POST if has("delete") => Operation::DeleteMultipleObjects,
            Method::DELETE => Operation::DeleteBucket,
            _ => Operation::Unknown,
        },
    }
}

fn object_operation(request: &Request, has: impl Fn(&str) -> bool, is_oss: bool) -> Operation {
    let is_copy = request.headers.contains_key(request.vendor_name("copy-source"));
    match request.method {
        Method::GET if has("uploadId") => Operation::ListParts,
        Method::GET if has("tagging") => Operation::GetObjectTagging,
        Method::GET if has("symlink") && is_oss => Operation::GetSymlink,
        Method::GET if has("acl") => Operation::GetObjectAcl,
        Method::HEAD | Method::GET if has("objectMeta") && is_oss => Operation::GetObjectMeta,
        Method::GET => Operation::GetObject,
        Method::HEAD => Operation::HeadObject,
        Method::PUT if has("partNumber") && is_copy => Operation::UploadPartCopy,
        Method::PUT if has("partNumber") => Operation::UploadPart,
        Method::PUT if has("tagging") => Operation::PutObjectTagging,
        Method::PUT if has("symlink") && is_oss => Operation::PutSymlink,
        Method::PUT if has("acl") => Operation::PutObjectAcl,
        Method::PUT if is_copy => Operation::CopyObject,
        Method::PUT => Operation::PutObject,
        Method::POST if has("uploads") => Operation::InitiateMultipartUpload,
        Method::POST if has("uploadId") => Operation::CompleteMultipartUpload,
        Method::POST if has("append") && is_oss => Operation::AppendObject,
        Method::POST if has("restore") => Operation::RestoreObject,
        Method::DELETE if has("uploadId") => Operation::AbortMultipartUpload,
        Method::DELETE if has("tagging") => Operation::DeleteObjectTagging,
        Method::DELETE => Operation::DeleteObject,
        _ => Operation::Unknown,
    }
}

/// Performs a request whose signature has been judged.
pub(super) async fn dispatch(call: &Call<'_>, body: &mut RequestBody) -> Result<Reply, Failure> {
    match call.operation {
        Operation::ListBuckets => bucket::list_buckets(call),
        Operation::PutBucket => bucket::put_bucket(call),
        Operation::DeleteBucket => bucket::delete_bucket(call),
        Operation::HeadBucket => bucket::head_bucket(call),
        Operation::GetBucketInfo => bucket::bucket_info(call),
        Operation::GetBucketLocation => bucket::location(call),
        Operation::GetBucketStat => blocking(|| bucket::stat(call)),
        Operation::GetBucketAcl | Operation::GetObjectAcl => bucket::acl(call),
        Operation::PutObjectAcl => object::put_acl(call),
        Operation::GetBucketVersioning => versions::versioning(call),
        Operation::PutBucketVersioning => versions::put_versioning(call, body).await,
        Operation::ListObjects | Operation::ListObjectsV2 => blocking(|| list::list_objects(call)),
        Operation::ListObjectVersions => blocking(|| versions::list_versions(call)),
        Operation::GetObject | Operation::HeadObject => call.where_files_are(|| object::object(call)),
        Operation::GetObjectMeta => call.where_files_are(|| object::object_meta(call)),
        Operation::PutObject => write::put_object(call, body).await,
        Operation::AppendObject => write::append_object(call, body).await,
        Operation::PutSymlink => write::put_symlink(call),
        Operation::GetSymlink => object::symlink(call),
        Operation::RestoreObject => object::restore(call),
        Operation::DeleteObject => delete::delete_object(call),
        Operation::DeleteMultipleObjects => delete::delete_objects(call, body).await,
        Operation::CopyObject => blocking(|| copy::copy_object(call)),
        Operation::InitiateMultipartUpload => multipart::initiate(call),
        Operation::UploadPart => multipart::upload_part(call, body).await,
        Operation::UploadPartCopy => blocking(|| copy::upload_part_copy(call)),
        Operation::CompleteMultipartUpload => multipart::complete(call, body).await,
        Operation::AbortMultipartUpload => multipart::abort(call),
        Operation::ListParts => multipart::list_parts(call),
        Operation::ListMultipartUploads => multipart::list_uploads(call),
        Operation::GetObjectTagging => tagging::tags(call),
        Operation::PutObjectTagging => tagging::put_tags(call, body).await,
        Operation::DeleteObjectTagging => tagging::delete_tags(call),
        Operation::Unknown => Err(not_implemented("This request")),
    }
}

/// Runs what reads many files where it holds up no other connection.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}

/// A version as a request names it, found.
struct FoundVersion {
    object: Arc<Object>,
    /// Absent in buckets that never kept versions.
    version: Option<String>,
}

impl Call<'_> {
    fn dialect(&self) -> Dialect {
        self.request.dialect
    }

    fn key(&self) -> &str {
        self.request.key_text()
    }

    fn bucket(&self) -> Result<Arc<Bucket>, Failure> {
        let name = self.request.bucket.as_deref().unwrap_or("");
        self.service.bucket(name).ok_or_else(|| no_such_bucket(name))
    }

    /// Runs what may have to read a file, aside if the bucket is a directory: stepping aside costs a thread switch.
    fn where_files_are<T>(&self, work: impl FnOnce() -> T) -> T {
        let is_on_disk = self.bucket().is_ok_and(|bucket| bucket.is_directory());
        if is_on_disk { blocking(work) } else { work() }
    }

    /// The version that the query asks for, or the current one.
    fn find(&self, bucket: &Bucket) -> Result<FoundVersion, Failure> {
        let version = self.request.query.filled("versionId");
        self.find_in(bucket, self.key(), version)
    }

    fn find_in(&self, bucket: &Bucket, key: &str, version: Option<&str>) -> Result<FoundVersion, Failure> {
        let found = match version {
            Some(id) => bucket.version(key, id),
            None => bucket.current(key),
        };
        let marker = self.request.vendor_name("delete-marker");
        let marker: &'static str =
            if marker == "x-oss-delete-marker" { "x-oss-delete-marker" } else { "x-amz-delete-marker" };
        match (found.map_err(|error| internal(&error))?, version) {
            (Found::Object(object, version), _) => Ok(FoundVersion { object, version }),
            (Found::Nothing, None) => Err(no_such_key(key)),
            (Found::Nothing, Some(id)) => Err(no_such_version(key, id)),
            (Found::Marker(id, _), None) => {
                Err(no_such_key(key).header(marker, "true").header(self.version_header(), id))
            }
            (Found::Marker(id, _), Some(_)) => {
                let failure = Failure::new(405, "MethodNotAllowed", "The specified method is not allowed.");
                let failure = failure.header("allow", "DELETE").header(marker, "true");
                Err(failure.header(self.version_header(), id))
            }
        }
    }

    fn version_header(&self) -> &'static str {
        match self.dialect() {
            Dialect::Oss => "x-oss-version-id",
            Dialect::S3 => "x-amz-version-id",
        }
    }

    /// The version to name in the answer to a write: S3 names none where versions are suspended, OSS names `null`.
    fn written_version(&self, version: Option<String>) -> Option<String> {
        version.filter(|version| self.dialect() == Dialect::Oss || version != "null")
    }

    async fn receive(&self, bucket: &Bucket, body: &mut RequestBody) -> Result<Received, Failure> {
        let has_length = self.request.headers.contains_key("content-length");
        if !has_length && !self.request.headers.contains_key("transfer-encoding") {
            return Err(Failure::new(411, "MissingContentLength", "You must provide the Content-Length HTTP header."));
        }
        let staging = bucket.staging().map_err(|error| file_failure(&error))?;
        body.receive(&How { staging, ..self.how() }).await
    }

    async fn document(&self, body: &mut RequestBody) -> Result<String, Failure> {
        body.text(&self.how()).await
    }

    fn how(&self) -> How<'_> {
        How {
            request: self.request,
            payload: self.payload,
            largest: self.service.options.largest_object.0,
            staging: None,
            tally: self.service.tally(),
        }
    }
}

/// A write that did not go through, in the words of the dialect.
fn write_failure(error: WriteError, dialect: Dialect) -> Failure {
    match (error, dialect) {
        (WriteError::Exists, Dialect::Oss) => Failure::new(
            409,
            "FileAlreadyExists",
            "The object you specified already exists and can not be overwritten.",
        )
        .ec("0026-00000007"),
        (WriteError::Exists, Dialect::S3) => precondition_failed("If-None-Match"),
        (WriteError::OtherEtag, _) => precondition_failed("If-Match"),
        (WriteError::Io(error), _) => file_failure(&error),
    }
}

fn file_failure(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::PermissionDenied => access_denied("The emulator may not touch the file."),
        _ => internal(error),
    }
}
