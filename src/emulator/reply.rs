//! An answer before it is sent: status, headers, content and the range of it.

use std::ops::Range;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::content::Content;
use super::xml::Writer;

/// An answer before it is sent.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) content: Content,
    /// What of the content is sent.
    pub(super) range: Range<u64>,
}

impl Reply {
    /// An answer without a body.
    pub(super) fn new(status: StatusCode) -> Self {
        Reply { status, headers: HeaderMap::new(), content: Content::empty(), range: 0..0 }
    }

    /// 200 without a body.
    pub(super) fn ok() -> Self {
        Reply::new(StatusCode::OK)
    }

    /// An answer with status 204 and no body.
    pub(super) fn no_content() -> Self {
        Reply::new(StatusCode::NO_CONTENT)
    }

    /// 200 with a document.
    pub(super) fn xml(document: Writer) -> Self {
        Reply::ok().text("application/xml", document.finish())
    }

    /// The same answer with a text.
    pub(super) fn text(self, content_type: &str, text: String) -> Self {
        let len = text.len() as u64;
        self.header("content-type", content_type).content(Content::Memory(Bytes::from(text)), 0..len)
    }

    /// The same answer with a stretch of a content.
    pub(super) fn content(mut self, content: Content, range: Range<u64>) -> Self {
        self.content = content;
        self.range = range;
        self
    }

    /// The same answer with a header. What cannot be a header (a line break in metadata) is left out.
    pub(super) fn header(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.set(name, value.as_ref());
        self
    }

    /// The same answer with a header if there is a value.
    pub(super) fn header_if(self, name: &str, value: Option<impl AsRef<str>>) -> Self {
        match value {
            Some(value) => self.header(name, value),
            None => self,
        }
    }

    /// Sets a header to a value.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_bytes(value.as_bytes())) {
            self.headers.insert(name, value);
        }
    }
}
