//! Error answers: a code, a status, a message, the finer OSS error number, and further elements and headers.

use http::StatusCode;

use super::options::Dialect;
use super::xml::Writer;

/// A request that is refused, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
    /// The OSS error number, empty where none is known.
    pub(super) ec: &'static str,
    /// Further elements of the document.
    pub(super) elements: Vec<(&'static str, String)>,
    /// Headers that are sent in addition.
    pub(super) headers: Vec<(&'static str, String)>,
}

impl Failure {
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Failure {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            code,
            message: message.into(),
            ec: "",
            elements: Vec::new(),
            headers: Vec::new(),
        }
    }

    pub(super) fn ec(mut self, ec: &'static str) -> Self {
        self.ec = ec;
        self
    }

    pub(super) fn element(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.elements.push((name, value.into()));
        self
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The XML document that describes the error.
    pub(super) fn document(&self, dialect: Dialect, request_id: &str, host: &str) -> String {
        let mut writer = Writer::new();
        writer.within("Error", |w| {
            w.leaf("Code", self.code);
            w.leaf("Message", &self.message);
            w.leaf("RequestId", request_id);
            w.leaf("HostId", host);
            for (name, value) in &self.elements {
                w.leaf(name, value);
            }
            if dialect == Dialect::Oss && !self.ec.is_empty() {
                w.leaf("EC", self.ec);
                w.leaf("RecommendDoc", format!("https://api.alibabacloud.com/troubleshoot?q={}", self.ec));
            }
        });
        writer.finish()
    }
}

pub(super) fn access_denied(message: &str) -> Failure {
    Failure::new(403, "AccessDenied", message).ec("0003-00000001")
}

pub(super) fn invalid_argument(message: impl Into<String>) -> Failure {
    Failure::new(400, "InvalidArgument", message).ec("0002-00000001")
}

pub(super) fn malformed_xml() -> Failure {
    Failure::new(400, "MalformedXML", "The XML you provided was not well-formed or did not fit the operation.")
}

pub(super) fn no_such_bucket(bucket: &str) -> Failure {
    Failure::new(404, "NoSuchBucket", "The specified bucket does not exist.")
        .ec("0015-00000101")
        .element("BucketName", bucket)
}

pub(super) fn no_such_key(key: &str) -> Failure {
    Failure::new(404, "NoSuchKey", "The specified key does not exist.").ec("0026-00000001").element("Key", key)
}

pub(super) fn no_such_version(key: &str, version: &str) -> Failure {
    Failure::new(404, "NoSuchVersion", "The specified version does not exist.")
        .ec("0026-00000002")
        .element("Key", key)
        .element("VersionId", version)
}

pub(super) fn no_such_upload(id: &str) -> Failure {
    Failure::new(404, "NoSuchUpload", "The specified upload does not exist. The upload ID may be invalid.")
        .ec("0042-00000002")
        .element("UploadId", id)
}

pub(super) fn entity_too_large(largest: u64) -> Failure {
    Failure::new(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size.")
        .element("MaxSizeAllowed", largest.to_string())
}

pub(super) fn precondition_failed(condition: &str) -> Failure {
    Failure::new(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold.")
        .ec("0016-00000201")
        .element("Condition", condition)
}

pub(super) fn not_implemented(what: &str) -> Failure {
    Failure::new(501, "NotImplemented", format!("{what} is not something this emulator does."))
}

pub(super) fn internal(error: &std::io::Error) -> Failure {
    Failure::new(500, "InternalError", format!("The emulator could not reach its own files: {error}."))
}
