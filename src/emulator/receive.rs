//! The body of a request: framing removed, hashed, compared with headers and signature, and kept in memory or in a
//! file.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::auth::{Decoder, Payload};
use super::content::Content;
use super::counters::Tally;
use super::failure::{Failure, entity_too_large, internal};
use super::request::Request;
use super::text::hex;

/// What is left of a refused body is read up to this, so that the client is still there to read the refusal.
const MOST_DRAINED: u64 = 1 << 20;
/// Documents sent by clients are no longer than this: a deletion of 1000 keys of 1023 bytes, each escaped.
const LONGEST_DOCUMENT: u64 = 8 << 20;
/// Memory taken at once on the word of a Content-Length.
const MOST_TRUSTED: u64 = 64 << 20;

/// A request's body, not yet read.
pub(super) struct RequestBody {
    incoming: Option<Incoming>,
}

/// A body that arrived whole and agrees with what was said of it.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) content: Content,
    pub(super) md5: [u8; 16],
    pub(super) crc: u64,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming) -> Self {
        RequestBody { incoming: Some(incoming) }
    }

    /// Reads and forgets what was not read, within reason.
    pub(super) async fn drain(&mut self) {
        let Some(mut incoming) = self.incoming.take() else { return };
        let mut left = MOST_DRAINED;
        while let Some(Ok(frame)) = incoming.frame().await {
            let len = frame.data_ref().map_or(0, |data| data.len() as u64);
            match left.checked_sub(len) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    }

    /// Reads the body as a document of text.
    pub(super) async fn text(&mut self, how: &How<'_>) -> Result<String, Failure> {
        let how = How { largest: LONGEST_DOCUMENT, staging: None, ..*how };
        let received = self.receive(&how).await?;
        let mut bytes = Vec::new();
        let collected = received.content.each(|piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        });
        collected.map_err(|error| internal(&error))?;
        String::from_utf8(bytes).map_err(|_| super::failure::malformed_xml())
    }

    /// Reads the body to its end and checks it.
    pub(super) async fn receive(&mut self, how: &How<'_>) -> Result<Received, Failure> {
        let told = how.request.header("content-length").and_then(|length| length.parse::<u64>().ok());
        if told.is_some_and(|told| told > how.largest) {
            return Err(entity_too_large(how.largest));
        }
        let Some(mut incoming) = self.incoming.take() else { return Err(incomplete()) };
        let mut sink = Sink::new(how, told)?;
        let mut decoder = match how.payload {
            Payload::Chunked(seed) => Some(Decoder::new(seed.clone())),
            _ => None,
        };
        let mut pieces = Vec::new();
        let outcome = loop {
            let Some(frame) = incoming.frame().await else { break Ok(()) };
            let Ok(frame) = frame else { break Err(incomplete()) };
            let Ok(data) = frame.into_data() else { continue };
            how.tally.received_bytes.fetch_add(data.len() as u64, Relaxed);
            let decoded = match &mut decoder {
                Some(decoder) => decoder.feed(data, &mut pieces),
                None => {
                    pieces.push(data);
                    Ok(())
                }
            };
            let taken = decoded.and_then(|()| pieces.drain(..).try_for_each(|piece| sink.take(&piece)));
            if taken.is_err() {
                break taken;
            }
        };
        if let Err(failure) = outcome {
            self.incoming = Some(incoming);
            return Err(failure);
        }
        let trailers = decoder.map(Decoder::finish).transpose()?.unwrap_or_default();
        sink.finish(&trailers)
    }
}

/// How a body is to be read.
#[derive(Clone, Copy)]
pub(super) struct How<'a> {
    pub(super) request: &'a Request,
    pub(super) payload: &'a Payload,
    /// The largest body that is taken, in bytes.
    pub(super) largest: u64,
    /// A directory for a temporary file; memory when absent.
    pub(super) staging: Option<&'a Path>,
    pub(super) tally: &'a Tally,
}

fn incomplete() -> Failure {
    Failure::new(400, "IncompleteBody", "The body ended before its Content-Length.")
}

enum Store {
    Memory(Vec<u8>),
    File(NamedTempFile),
}

struct Sink<'a> {
    how: How<'a>,
    store: Store,
    len: u64,
    md5: Md5,
    crc: crc_fast::Digest,
    sha256: Option<Sha256>,
    checksums: Vec<Checksum>,
}

impl<'a> Sink<'a> {
    fn new(how: &How<'a>, told: Option<u64>) -> Result<Self, Failure> {
        let store = match how.staging {
            Some(folder) => Store::File(NamedTempFile::new_in(folder).map_err(|error| internal(&error))?),
            None => Store::Memory(Vec::with_capacity(told.unwrap_or(0).min(MOST_TRUSTED) as usize)),
        };
        let headers = &how.request.headers;
        let named = headers.keys().map(|name| name.as_str().to_owned());
        let in_trailer = how.request.header("x-amz-trailer").unwrap_or_default().to_ascii_lowercase();
        let names = named.chain(in_trailer.split(',').map(|name| name.trim().to_owned()));
        Ok(Sink {
            how: *how,
            store,
            len: 0,
            md5: Md5::new(),
            crc: crc_fast::Digest::new(CrcAlgorithm::Crc64Xz),
            sha256: matches!(how.payload, Payload::Hash(_)).then(Sha256::new),
            checksums: names.filter_map(|name| Checksum::named(&name)).collect(),
        })
    }

    fn take(&mut self, piece: &Bytes) -> Result<(), Failure> {
        self.len += piece.len() as u64;
        if self.len > self.how.largest {
            return Err(entity_too_large(self.how.largest));
        }
        self.md5.update(piece);
        self.crc.update(piece);
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(piece);
        }
        for checksum in &mut self.checksums {
            checksum.sum.update(piece);
        }
        match &mut self.store {
            Store::Memory(bytes) => bytes.extend_from_slice(piece),
            Store::File(file) => file.write_all(piece).map_err(|error| internal(&error))?,
        }
        Ok(())
    }

    fn finish(self, trailers: &[(String, String)]) -> Result<Received, Failure> {
        let md5: [u8; 16] = self.md5.finalize().into();
        let request = self.how.request;
        if let Some(told) = request.header("content-md5")
            && told != STANDARD.encode(md5)
        {
            let message = "The Content-MD5 you specified does not match what was received.";
            let code =
                if STANDARD.decode(&told).is_ok_and(|md5| md5.len() == 16) { "BadDigest" } else { "InvalidDigest" };
            let code = if request.dialect == super::options::Dialect::Oss { "InvalidDigest" } else { code };
            return Err(Failure::new(400, code, message).ec("0017-00000004"));
        }
        if let (Payload::Hash(told), Some(sha256)) = (self.how.payload, self.sha256)
            && *told != hex(&sha256.finalize())
        {
            let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
            return Err(Failure::new(400, "XAmzContentSHA256Mismatch", message));
        }
        for checksum in self.checksums {
            let in_trailer = trailers.iter().find(|(name, _)| *name == checksum.name).map(|(_, value)| value.clone());
            if let Some(told) = in_trailer.or_else(|| request.header(&checksum.name))
                && told != STANDARD.encode(checksum.sum.finish())
            {
                let message = format!("The {} you specified did not match the calculated checksum.", checksum.name);
                return Err(Failure::new(400, "BadDigest", message));
            }
        }
        let content = match self.store {
            Store::Memory(mut bytes) => {
                bytes.shrink_to_fit();
                Content::Memory(bytes.into())
            }
            Store::File(file) => {
                let (file, path) = file.into_parts();
                Content::temporary(file, path, self.len)
            }
        };
        Ok(Received { content, md5, crc: self.crc.finalize() })
    }
}

/// A checksum that an S3 client announced.
struct Checksum {
    name: String,
    sum: Sum,
}

enum Sum {
    Crc(crc_fast::Digest, usize),
    Sha1(Sha1),
    Sha256(Sha256),
}

impl Checksum {
    fn named(name: &str) -> Option<Self> {
        let crc = |algorithm, bytes| Sum::Crc(crc_fast::Digest::new(algorithm), bytes);
        let sum = match name.strip_prefix("x-amz-checksum-")? {
            "crc32" => crc(CrcAlgorithm::Crc32IsoHdlc, 4),
            "crc32c" => crc(CrcAlgorithm::Crc32Iscsi, 4),
            "crc64nvme" => crc(CrcAlgorithm::Crc64Nvme, 8),
            "sha1" => Sum::Sha1(Sha1::new()),
            "sha256" => Sum::Sha256(Sha256::new()),
            _ => return None,
        };
        Some(Checksum { name: name.to_owned(), sum })
    }
}

impl Sum {
    fn update(&mut self, piece: &[u8]) {
        match self {
            Sum::Crc(crc, _) => crc.update(piece),
            Sum::Sha1(sha1) => sha1.update(piece),
            Sum::Sha256(sha256) => sha256.update(piece),
        }
    }

    /// Big-endian, as the wire form encodes it.
    fn finish(self) -> Vec<u8> {
        match self {
            Sum::Crc(crc, bytes) => crc.finalize().to_be_bytes()[8 - bytes..].to_vec(),
            Sum::Sha1(sha1) => sha1.finalize().to_vec(),
            Sum::Sha256(sha256) => sha256.finalize().to_vec(),
        }
    }
}
