//! ListObjects in both forms.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Call;
use super::page::{After, Entry, Page, PageQuery, page};
use crate::emulator::failure::{Failure, invalid_argument};
use crate::emulator::object::Facts;
use crate::emulator::operation::Operation;
use crate::emulator::options::Dialect;
use crate::emulator::reply::Reply;
use crate::emulator::text::{encode, encode_path};
use crate::emulator::time::iso_date;
use crate::emulator::xml::Writer;

/// Who owns every bucket and object.
pub(super) const OWNER: &str = "1234567890123456";
const S3_NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";
/// What an entry takes with a key of some thirty bytes.
const USUAL_ENTRY_BYTES: usize = 256;
/// Prefixes, markers and delimiters are shorter than this.
const TOO_LONG: usize = 1024;

/// How texts are written: percent-encoded when the request asks for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Encoding {
    /// Keys are written as they are.
    Plain,
    /// As OSS encodes: the slash too.
    Slash,
    /// As S3 encodes: all but the slash.
    Path,
}

impl Encoding {
    pub(super) fn of(call: &Call<'_>) -> Result<Self, Failure> {
        match call.request.query.filled("encoding-type") {
            None => Ok(Encoding::Plain),
            Some(kind) if kind.eq_ignore_ascii_case("url") => Ok(match call.dialect() {
                Dialect::Oss => Encoding::Slash,
                Dialect::S3 => Encoding::Path,
            }),
            Some(_) => Err(invalid_argument("Invalid Encoding Method specified in Request.")),
        }
    }

    pub(super) fn text(self, text: &str) -> Cow<'_, str> {
        match self {
            Encoding::Plain => Cow::Borrowed(text),
            Encoding::Slash => encode(text),
            Encoding::Path => encode_path(text),
        }
    }

    pub(super) fn write(self, w: &mut Writer) {
        if self != Encoding::Plain {
            w.leaf("EncodingType", "url");
        }
    }
}

/// A parameter whose length is limited.
pub(super) fn limited<'a>(call: &'a Call<'_>, name: &str) -> Result<&'a str, Failure> {
    let value = call.request.query.value(name).unwrap_or("");
    if value.len() >= TOO_LONG {
        return Err(invalid_argument(format!("The length of {name} must be below {TOO_LONG} bytes.")));
    }
    Ok(value)
}

/// How many lines a page may have. OSS refuses what is beyond its limits and S3 cuts it.
pub(super) fn page_size(call: &Call<'_>, name: &str, default: usize) -> Result<usize, Failure> {
    let largest = call.service.options.pages.largest;
    let Some(text) = call.request.query.filled(name) else { return Ok(default.min(largest)) };
    let number = text.parse::<i64>().ok().and_then(|number| usize::try_from(number).ok());
    match (number, call.dialect()) {
        (Some(number), _) if number <= largest => Ok(number),
        (Some(_), Dialect::S3) => Ok(largest),
        _ => Err(invalid_argument(format!("Argument {name} must be an integer between 0 and {largest}."))
            .element("ArgumentName", name)
            .element("ArgumentValue", text)),
    }
}

/// The page size when the request names none.
pub(super) fn default_page(call: &Call<'_>) -> usize {
    match call.dialect() {
        Dialect::Oss => call.service.options.pages.oss_default,
        Dialect::S3 => call.service.options.pages.s3_default,
    }
}

/// Writes the root of a document in the namespace that the dialect has or has not.
pub(super) fn document(call: &Call<'_>, root: &str, inner: impl FnOnce(&mut Writer)) -> Writer {
    let mut writer = Writer::new();
    match call.dialect() {
        Dialect::Oss => writer.within(root, inner),
        Dialect::S3 => writer.within_namespace(root, S3_NAMESPACE, inner),
    }
    writer
}

/// A continuation token: opaque. In the S3 dialect with characters that must be percent-encoded on the way back; not in
/// that of OSS, whose own connector (C++) sends and signs a token as it came.
fn token(after: &After, dialect: Dialect) -> String {
    let plain = match after {
        After::Beginning => String::new(),
        After::Key(key) => format!("k{key}"),
        After::Prefix(prefix) => format!("p{prefix}"),
    };
    let token = STANDARD.encode(format!("\u{1}{plain}\u{fffd}?>"));
    match dialect {
        Dialect::Oss => token.replace('+', ".").replace('/', "_").replace('=', "-"),
        Dialect::S3 => token,
    }
}

fn parse_token(token: &str) -> Result<After, Failure> {
    let invalid = || invalid_argument("The continuation token provided is incorrect.");
    let standard = token.replace('.', "+").replace('_', "/").replace('-', "=");
    let bytes = STANDARD.decode(standard).map_err(|_| invalid())?;
    let text = String::from_utf8(bytes).map_err(|_| invalid())?;
    let text = text.strip_prefix('\u{1}').and_then(|text| text.strip_suffix("\u{fffd}?>")).ok_or_else(invalid)?;
    match (text.get(..1), text.get(1..)) {
        (Some("k"), Some(key)) => Ok(After::Key(key.to_owned())),
        (Some("p"), Some(prefix)) => Ok(After::Prefix(prefix.to_owned())),
        _ => Err(invalid()),
    }
}

/// A marker that is itself a common prefix stands for all keys below it: the first form has no better token.
fn after_marker(marker: &str, prefix: &str, delimiter: &str) -> After {
    if marker.is_empty() {
        return After::Beginning;
    }
    let below = marker.strip_prefix(prefix).filter(|_| !delimiter.is_empty()).unwrap_or("");
    let is_common = below.find(delimiter).is_some_and(|at| at + delimiter.len() == below.len() && !below.is_empty());
    if is_common { After::Prefix(marker.to_owned()) } else { After::Key(marker.to_owned()) }
}

/// Answers ListObjects and ListObjectsV2.
pub(super) fn list_objects(call: &Call<'_>) -> Result<Reply, Failure> {
    let bucket = call.bucket()?;
    let parameters = &call.request.query;
    let encoding = Encoding::of(call)?;
    let (prefix, delimiter) = (limited(call, "prefix")?, limited(call, "delimiter")?);
    let is_second = call.operation == Operation::ListObjectsV2;
    let after = match parameters.value("continuation-token") {
        Some("") if is_second && call.dialect() == Dialect::S3 => {
            return Err(invalid_argument("The continuation token provided is incorrect."));
        }
        Some(token) if is_second && !token.is_empty() => parse_token(token)?,
        _ if is_second => match limited(call, "start-after")? {
            "" => After::Beginning,
            start => After::Key(start.to_owned()),
        },
        _ => after_marker(limited(call, "marker")?, prefix, delimiter),
    };
    let most = page_size(call, "max-keys", default_page(call))?;
    let query = PageQuery { prefix: prefix.to_owned(), delimiter: delimiter.to_owned(), after, most };
    let page = bucket.walk(|cursor| page(cursor, &query));
    let listing = Listing { call, query: &query, page: &page, encoding };
    let document = document(call, "ListBucketResult", |w| {
        w.leaf("Name", &bucket.name);
        if is_second {
            listing.second_head(w)
        } else {
            listing.first_head(w)
        }
        let with_owner = !is_second || parameters.value("fetch-owner") == Some("true");
        w.reserve(page.entries.len() * USUAL_ENTRY_BYTES);
        for entry in &page.entries {
            listing.entry(w, entry, with_owner);
        }
    });
    Ok(Reply::xml(document))
}

struct Listing<'a> {
    call: &'a Call<'a>,
    query: &'a PageQuery,
    page: &'a Page,
    encoding: Encoding,
}

impl Listing<'_> {
    fn shared_head(&self, w: &mut Writer) {
        w.leaf("Prefix", self.encoding.text(&self.query.prefix));
        w.leaf("MaxKeys", self.query.most);
        if !self.query.delimiter.is_empty() || self.call.dialect() == Dialect::Oss {
            w.leaf("Delimiter", self.encoding.text(&self.query.delimiter));
        }
        self.encoding.write(w);
        w.leaf("IsTruncated", self.page.is_truncated);
    }

    fn next(&self) -> Option<After> {
        let last = self.page.entries.last().filter(|_| self.page.is_truncated);
        last.map(Entry::after)
    }

    fn first_head(&self, w: &mut Writer) {
        self.shared_head(w);
        let call = self.call;
        w.leaf("Marker", self.encoding.text(call.request.query.value("marker").unwrap_or("")));
        // S3 leaves the next marker to the client where no delimiter hides the last key.
        let is_told = call.dialect() == Dialect::Oss || !self.query.delimiter.is_empty();
        if let (Some(After::Key(next) | After::Prefix(next)), true) = (self.next(), is_told) {
            w.leaf("NextMarker", self.encoding.text(&next));
        }
    }

    fn second_head(&self, w: &mut Writer) {
        self.shared_head(w);
        let (call, dialect) = (self.call, self.call.dialect());
        let encoding = if dialect == Dialect::Oss { self.encoding } else { Encoding::Plain };
        let start = call.request.query.value("start-after").unwrap_or("");
        if !start.is_empty() || dialect == Dialect::Oss {
            w.leaf("StartAfter", self.encoding.text(start));
        }
        if let Some(token) = call.request.query.filled("continuation-token") {
            w.leaf("ContinuationToken", encoding.text(token));
        }
        if let Some(next) = self.next() {
            w.leaf("NextContinuationToken", encoding.text(&token(&next, dialect)));
        }
        w.leaf("KeyCount", self.page.entries.len());
    }

    fn entry(&self, w: &mut Writer, entry: &Entry, with_owner: bool) {
        match entry {
            Entry::Prefix(prefix) => {
                w.within("CommonPrefixes", |w| w.leaf("Prefix", self.encoding.text(prefix)));
            }
            Entry::Object(key, object) => w.within("Contents", |w| {
                w.text("Key", &self.encoding.text(key));
                facts(self.call, w, object);
                if with_owner {
                    owner(w);
                }
            }),
        }
    }
}

/// What a listing tells of an object.
pub(super) fn facts(call: &Call<'_>, w: &mut Writer, object: &Facts) {
    let dialect = call.dialect();
    w.text("LastModified", &iso_date(object.modified));
    match dialect {
        Dialect::Oss => w.quoted("ETag", &object.etag),
        Dialect::S3 => w.quoted("ETag", &object.etag.to_ascii_lowercase()),
    }
    if dialect == Dialect::Oss {
        w.text("Type", object.origin.name());
    }
    w.leaf("Size", object.size);
    w.text("StorageClass", object.storage_class.name(dialect));
    if let (Some(text), Dialect::Oss) = (object.restore.text(call.now), dialect) {
        w.text("RestoreInfo", &text);
    }
}

/// The owner of everything.
pub(super) fn owner(w: &mut Writer) {
    w.within("Owner", |w| {
        w.leaf("ID", OWNER);
        w.leaf("DisplayName", OWNER);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::text::encode;

    #[test]
    fn tokens_come_back_as_they_went() {
        for after in [After::Key("a/ü \n".to_owned()), After::Prefix("p/".to_owned()), After::Key(String::new())] {
            for dialect in [Dialect::Oss, Dialect::S3] {
                assert_eq!(parse_token(&token(&after, dialect)), Ok(after.clone()));
            }
            assert_eq!(encode(&token(&after, Dialect::Oss)), token(&after, Dialect::Oss), "travels as it is");
            assert_ne!(encode(&token(&after, Dialect::S3)), token(&after, Dialect::S3), "must be encoded");
        }
        for token in ["x", "AAAA", "Zm9v", "é"] {
            assert!(parse_token(token).is_err(), "{token}");
        }
    }

    #[test]
    fn markers_that_are_common_prefixes_skip_them() {
        assert_eq!(after_marker("a/", "", "/"), After::Prefix("a/".to_owned()));
        assert_eq!(after_marker("p/a/", "p/", "/"), After::Prefix("p/a/".to_owned()));
        assert_eq!(after_marker("a/", "a/", "/"), After::Key("a/".to_owned()));
        assert_eq!(after_marker("a/b", "", "/"), After::Key("a/b".to_owned()));
        assert_eq!(after_marker("a/b/", "", "/"), After::Key("a/b/".to_owned()));
        assert_eq!(after_marker("a/", "", ""), After::Key("a/".to_owned()));
    }
}
