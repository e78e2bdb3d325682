//! Changes to a bucket in memory, copies and uploads in parts among them. The sources of copies lie in the bucket
//! itself, whatever bucket a request names.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use md5::{Digest, Md5};

use super::{Content, MemoryStore, State, Version};
use crate::base::crc64::crc64;
use crate::base::{ByteRange, ETag, Key};
use crate::store::{
    CompleteRequest, Copied, CopyPartRequest, CopyRequest, CopySource, DeleteRequest, Error, ErrorKind,
    ListPartsRequest, Metadata, ObjectKind, ObjectMeta, Overwrite, PartPage, PutRequest, Result, StorageClass, Tags,
    Upload, UploadRequest, UploadedPart,
};

/// Parts on a page of their list.
const PAGE: usize = 1000;

/// An upload in parts under way.
#[derive(Debug)]
pub(super) struct Pending {
    request: UploadRequest,
    parts: BTreeMap<u32, (ETag, Bytes)>,
}

impl MemoryStore {
    pub(super) fn put_object(&self, request: PutRequest) -> ObjectMeta {
        let metadata = Metadata { content_type: request.content_type, headers: Vec::new(), user: request.user };
        let meta = described(facts(&request.body), metadata);
        self.add(request.key.to_string(), Content::Bytes(request.body), meta, Tags::new())
    }

    pub(super) fn delete_object(&self, request: &DeleteRequest) {
        match &request.version {
            None => self.remove(request.key.as_str()),
            Some(id) => self.state.lock().forget(request.key.as_str(), id),
        }
    }

    pub(super) fn copy_object(&self, request: CopyRequest) -> Result<Copied> {
        let Version { content, mut meta, mut tags } = {
            let state = self.state.lock();
            state.check_overwrite(&request.key, request.overwrite)?;
            state.source(&request.source)?.clone()
        };
        if let Some(metadata) = request.metadata {
            meta = described(meta, metadata);
        }
        if let Some(replacing) = request.tags {
            tags = replacing;
        }
        meta.storage_class = Some(request.storage_class.unwrap_or_else(standard));
        meta.version = None;
        Ok(copied(self.add(request.key.to_string(), content, meta, tags)))
    }

    pub(super) fn begin(&self, request: UploadRequest) -> Result<Upload> {
        let mut state = self.state.lock();
        state.check_overwrite(&request.key, request.overwrite)?;
        state.changes += 1;
        let upload = Upload { key: request.key.clone(), id: format!("upload-{}", state.changes) };
        state.uploads.insert(upload.id.clone(), Pending { request, parts: BTreeMap::new() });
        Ok(upload)
    }

    pub(super) fn copy_part_of(&self, request: &CopyPartRequest) -> Result<ETag> {
        let mut state = self.state.lock();
        let bytes = match &state.source(&request.source)?.content {
            Content::Bytes(bytes) => bytes.clone(),
            _ => return Err(refused(ErrorKind::Invalid, "InvalidArgument", "the source holds no bytes")),
        };
        let range = request.range;
        if range.is_empty() || !ByteRange::new(0, bytes.len() as u64).contains(range) {
            return Err(refused(ErrorKind::Invalid, "InvalidArgument", "the range lies outside the source"));
        }
        let bytes = bytes.slice(range.start as usize..range.end as usize);
        let etag = tag(&bytes);
        state.pending(&request.upload)?.parts.insert(request.number, (etag.clone(), bytes));
        Ok(etag)
    }

    pub(super) fn parts_of(&self, request: &ListPartsRequest) -> Result<PartPage> {
        let mut state = self.state.lock();
        let parts = &state.pending(&request.upload)?.parts;
        let mut rest = parts.range(request.after.saturating_add(1)..);
        let part = |(number, (etag, bytes)): (&u32, &(ETag, Bytes))| UploadedPart {
            number: *number,
            size: bytes.len() as u64,
            etag: etag.clone(),
        };
        let parts: Vec<UploadedPart> = rest.by_ref().take(PAGE).map(part).collect();
        let next = rest.next().and(parts.last().map(|part| part.number));
        Ok(PartPage { parts, next })
    }

    pub(super) fn complete(&self, request: CompleteRequest) -> Result<Copied> {
        let (bytes, pending) = {
            let mut state = self.state.lock();
            state.check_overwrite(&request.upload.key, request.overwrite)?;
            let bytes = joined(state.pending(&request.upload)?, &request.parts)?;
            (bytes, state.uploads.remove(&request.upload.id))
        };
        let Some(Pending { request: begun, .. }) = pending else { return Err(no_upload()) };
        let mut meta = described(facts(&bytes), begun.metadata);
        let etag = meta.etag.as_ref().map(|etag| format!("{etag}-{}", request.parts.len()));
        meta.etag = etag.as_deref().and_then(ETag::parse);
        meta.kind = ObjectKind::Multipart;
        meta.storage_class = Some(begun.storage_class.unwrap_or_else(standard));
        Ok(copied(self.add(begun.key.to_string(), Content::Bytes(bytes), meta, begun.tags)))
    }

    pub(super) fn abort(&self, upload: &Upload) {
        self.state.lock().uploads.remove(&upload.id);
    }

    /// Uploads in parts that were neither completed nor aborted.
    pub fn uploads(&self) -> Vec<Upload> {
        let state = self.state.lock();
        let uploads = state.uploads.iter();
        uploads.map(|(id, pending)| Upload { key: pending.request.key.clone(), id: id.clone() }).collect()
    }
}

impl State {
    fn source(&self, source: &CopySource) -> Result<&Version> {
        let found = self.version(&source.key, source.version.as_deref())?;
        if source.if_match.is_some() && source.if_match != found.meta.etag {
            return Err(refused(ErrorKind::Changed, "PreconditionFailed", "the source has another entity tag"));
        }
        if found.meta.storage_class.as_ref().is_some_and(StorageClass::is_archive) && found.meta.restore.is_none() {
            return Err(refused(ErrorKind::Archived, "InvalidObjectState", "the source is archived"));
        }
        Ok(found)
    }

    fn check_overwrite(&self, key: &Key, overwrite: Overwrite) -> Result<()> {
        match (overwrite, self.version(key, None)) {
            (Overwrite::Forbid, Ok(found)) if found.meta.version.is_none() => {
                Err(refused(ErrorKind::Conflict, "FileAlreadyExists", "the object exists"))
            }
            _ => Ok(()),
        }
    }

    fn pending(&mut self, upload: &Upload) -> Result<&mut Pending> {
        let found = self.uploads.get_mut(&upload.id);
        found.filter(|pending| pending.request.key == upload.key).ok_or_else(no_upload)
    }
}

fn joined(pending: &Pending, parts: &[(u32, ETag)]) -> Result<Bytes> {
    let bad = || refused(ErrorKind::Invalid, "InvalidPart", "a part is missing or has another tag");
    if parts.is_empty() || !parts.is_sorted_by(|(a, _), (b, _)| a < b) {
        return Err(refused(ErrorKind::Invalid, "InvalidPartOrder", "the parts are not in order"));
    }
    let mut bytes = BytesMut::new();
    for (number, etag) in parts {
        let (_, part) = pending.parts.get(number).filter(|(known, _)| known == etag).ok_or_else(bad)?;
        bytes.extend_from_slice(part);
    }
    Ok(bytes.freeze())
}

/// The facts of an object of these bytes.
pub(super) fn facts(bytes: &Bytes) -> ObjectMeta {
    ObjectMeta {
        size: bytes.len() as u64,
        etag: Some(tag(bytes)),
        crc64: Some(crc64(bytes)),
        content_type: Some("application/octet-stream".to_owned()),
        storage_class: Some(standard()),
        ..ObjectMeta::default()
    }
}

fn described(facts: ObjectMeta, metadata: Metadata) -> ObjectMeta {
    let Metadata { content_type, headers, user } = metadata;
    let default = || Some("application/octet-stream".to_owned());
    ObjectMeta { content_type: content_type.or_else(default), headers, user, ..facts }
}

fn tag(bytes: &Bytes) -> ETag {
    // Thirty-two digits are a tag.
    ETag::parse(&hex::encode_upper(Md5::digest(bytes))).expect("a tag of digits")
}

fn standard() -> StorageClass {
    StorageClass("Standard".into())
}

fn copied(meta: ObjectMeta) -> Copied {
    Copied { etag: meta.etag, crc64: meta.crc64, version: meta.version, request_id: None }
}

fn no_upload() -> Error {
    refused(ErrorKind::NotFound, "NoSuchUpload", "there is no such upload").with_status(404)
}

fn refused(kind: ErrorKind, code: &str, sentence: &str) -> Error {
    Error::new(kind, sentence).with_code(code.to_owned())
}
