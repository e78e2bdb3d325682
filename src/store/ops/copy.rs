//! CopyObject and UploadPartCopy, and what copies and uploads have in common: how the source is named, how metadata
//! travels, and answers that begin well and turn out to be errors.

use http::{HeaderMap, Method};

use super::meta::{number, text};
use super::refusal::Refusal;
use super::{Call, HttpStore, unfit};
use crate::base::ETag;
use crate::store::encode;
use crate::store::http::Response;
use crate::store::xml::{self, Tag};
use crate::store::{
    Body, Copied, CopyPartRequest, CopyRequest, CopySource, Dialect, Metadata, Overwrite, Result, StorageClass,
};

/// A page of parts has some 200 KiB, the other answers some hundred bytes.
const MAX_ANSWER_BYTES: usize = 4 << 20;

impl HttpStore {
    pub(super) async fn copy_object(&self, request: CopyRequest) -> Result<Copied> {
        const OPERATION: &str = "CopyObject";
        let CopyRequest { source, key, metadata, tags, storage_class, acl, overwrite, size: _ } = request;
        let call = self.sourced(Call::new(OPERATION, Method::PUT, Some(key.as_str())), &source);
        let call = match metadata {
            None => call,
            Some(metadata) => {
                self.described(call.header(self.rules.header("metadata-directive"), "REPLACE".to_owned()), metadata)
            }
        };
        let call = match tags {
            None => call,
            Some(tags) => {
                let call = call.header(self.rules.header("tagging-directive"), self.replace_word().to_owned());
                self.tagged(call, &tags)
            }
        };
        let call = self.placed(call, storage_class, acl);
        let call = self.kept(call, overwrite);
        let answer = self.told(call, &[Tag::CopyObjectResult, Tag::ETag]).await?;
        Ok(answer.copied(self))
    }

    pub(super) async fn upload_part_copy(&self, request: CopyPartRequest) -> Result<ETag> {
        const OPERATION: &str = "UploadPartCopy";
        let CopyPartRequest { upload, number, source, range } = request;
        let key = upload.key.clone();
        if range.is_empty() {
            return Err(unfit("a part cannot be empty").with_operation(OPERATION).with_key(key.to_string()));
        }
        let call = Call::new(OPERATION, Method::PUT, Some(key.as_str()))
            .query("partNumber", number.to_string())
            .query("uploadId", upload.id);
        let call = self.sourced(call, &source).header(self.rules.header("copy-source-range"), range.header());
        let answer = self.told(call, &[Tag::CopyPartResult, Tag::ETag]).await?;
        let etag = answer.text.as_deref().and_then(ETag::parse);
        etag.ok_or_else(|| unfit("the answer has no entity tag").with_operation(OPERATION).with_key(key.to_string()))
    }

    /// Names what is copied, pinned to its version and tag.
    fn sourced<'a>(&self, call: Call<'a>, source: &CopySource) -> Call<'a> {
        let CopySource { bucket, key, version, if_match } = source;
        let mut name = format!("/{bucket}/{}", encode::path(key.as_str()));
        if let Some(version) = version {
            name.push_str(&format!("?versionId={}", encode::value(version)));
        }
        call.header(self.rules.header("copy-source"), name)
            .header(self.rules.header("copy-source-if-match"), if_match.as_ref().map(ETag::quoted))
    }

    /// What the object carries beside its bytes and tags.
    pub(super) fn described<'a>(&self, call: Call<'a>, metadata: Metadata) -> Call<'a> {
        let mut call = call.header("content-type", metadata.content_type);
        for (name, value) in metadata.headers {
            call = call.header(name, value);
        }
        for (name, value) in metadata.user {
            call = call.header(self.rules.header(&format!("meta-{}", name.to_ascii_lowercase())), value);
        }
        call
    }

    pub(super) fn tagged<'a>(&self, call: Call<'a>, tags: &[(String, String)]) -> Call<'a> {
        if tags.is_empty() {
            return call;
        }
        let pair = |(name, value): &(String, String)| format!("{}={}", encode::value(name), encode::value(value));
        call.header(self.rules.header("tagging"), tags.iter().map(pair).collect::<Vec<_>>().join("&"))
    }

    pub(super) fn placed<'a>(&self, call: Call<'a>, class: Option<StorageClass>, acl: Option<String>) -> Call<'a> {
        let call = call.header(self.rules.header("storage-class"), class.map(|class| class.0.to_string()));
        call.header(self.acl_header(), acl)
    }

    pub(super) fn acl_header(&self) -> &'static str {
        match self.options.dialect {
            Dialect::Oss => "x-oss-object-acl",
            Dialect::S3 => "x-amz-acl",
        }
    }

    pub(super) fn kept<'a>(&self, call: Call<'a>, overwrite: Overwrite) -> Call<'a> {
        match (overwrite, self.options.dialect) {
            (Overwrite::Allow, _) => call,
            (Overwrite::Forbid, Dialect::Oss) => call.header("x-oss-forbid-overwrite", "true".to_owned()),
            (Overwrite::Forbid, Dialect::S3) => call.header("if-none-match", "*".to_owned()),
        }
    }

    /// OSS writes this directive in another way than that of the metadata.
    fn replace_word(&self) -> &'static str {
        match self.options.dialect {
            Dialect::Oss => "Replace",
            Dialect::S3 => "REPLACE",
        }
    }

    /// Sends a request whose answer is a document, and reads one element of it. S3 begins some answers before it knows
    /// how they end: a document that is an error is one, whatever the status.
    pub(super) async fn told(&self, call: Call<'_>, path: &[Tag]) -> Result<CopyAnswer> {
        let (operation, key) = (call.operation, call.key.map(str::to_owned));
        let document = self.document(call).await?;
        let mut found = None;
        let walked = xml::walk(&document.body, |leaf| {
            if leaf.path == path {
                found = Some(leaf.text.trim().to_owned());
            }
        });
        walked.map_err(|error| {
            unfit(format!("the answer cannot be read: {error}")).with_operation(operation).with_key(key)
        })?;
        Ok(CopyAnswer { text: found.filter(|text| !text.is_empty()), headers: document.headers })
    }

    /// Sends a request and takes its whole answer.
    pub(super) async fn document(&self, call: Call<'_>) -> Result<Document> {
        let signed = self.clock.now();
        let (operation, key) = (call.operation, call.key.map(str::to_owned));
        let named = |error: crate::store::Error| error.with_operation(operation).with_key(key.clone());
        let Response { status, headers, body, .. } = self.call(call).await?;
        let body = Body::new(body).collect(MAX_ANSWER_BYTES).await.map_err(named)?;
        let mut is_error = false;
        // What cannot be read is told apart by the reader of the answer.
        let _ = xml::walk(&body, |leaf| is_error |= leaf.path == [Tag::Error]);
        if is_error {
            let refusal = Refusal { rules: self.rules, status, headers: &headers, body: &body, signed };
            return Err(named(refusal.error()));
        }
        Ok(Document { headers, body })
    }
}

/// An answer with a document in it that is no error.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// One element of an answer, and its headers.
#[derive(Debug)]
pub(super) struct CopyAnswer {
    /// The element's text; `None` where it is absent or empty.
    pub(super) text: Option<String>,
    headers: HeaderMap,
}

impl CopyAnswer {
    /// The object that was made; the element is its tag.
    pub(super) fn copied(&self, store: &HttpStore) -> Copied {
        let own = |name: &str| text(&self.headers, &store.rules.header(name));
        Copied {
            etag: self.text.as_deref().and_then(ETag::parse),
            crc64: number(&self.headers, &store.rules.header("hash-crc64ecma")),
            version: own("version-id"),
            request_id: own("request-id"),
        }
    }
}
