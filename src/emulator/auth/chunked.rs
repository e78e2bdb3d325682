//! The framing that S3 clients put around streamed bodies (`aws-chunked`), with its chain of signatures.
//!
//! `{size in hex}[;chunk-signature={sig}]` CRLF, data, CRLF, …, a chunk of size 0, trailers, CRLF.

use std::fmt;

use bytes::{Buf, Bytes, BytesMut};
use sha2::{Digest, Sha256};

use super::{hmac_sha256, sha256_hex};
use crate::emulator::failure::Failure;
use crate::emulator::text::{hex, same_secret};

/// A line of the framing is never longer than this.
const LONGEST_LINE: usize = 8 * 1024;

/// Where the chain of chunk signatures begins: the signature of the headers.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::emulator) struct ChunkSeed {
    key: Vec<u8>,
    date: String,
    scope: String,
    previous: String,
}

impl fmt::Debug for ChunkSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkSeed").field("scope", &self.scope).finish_non_exhaustive()
    }
}

impl ChunkSeed {
    pub(super) fn new(key: Vec<u8>, date: &str, scope: &str, signature: &str) -> Self {
        ChunkSeed { key, date: date.to_owned(), scope: scope.to_owned(), previous: signature.to_owned() }
    }

    /// Judges the next signature of the chain; `kind` ends the algorithm's name, `hashes` ends the string to sign.
    fn check(&mut self, kind: &str, hashes: &str, given: &str) -> Result<(), Failure> {
        let (date, scope, previous) = (&self.date, &self.scope, &self.previous);
        let text = format!("AWS4-HMAC-SHA256-{kind}\n{date}\n{scope}\n{previous}\n{hashes}");
        let right = hex(&hmac_sha256(&self.key, text.as_bytes()));
        if !same_secret(&right, given) {
            let message = "The signature of a chunk of the body does not match the signature you provided.";
            return Err(Failure::new(403, "SignatureDoesNotMatch", message).element("StringToSign", text));
        }
        self.previous = right;
        Ok(())
    }
}

enum State {
    Size,
    Data { left: u64, signature: Option<String> },
    DataEnd { signature: Option<String> },
    Trailer,
    Done,
}

/// Takes the framing off a body as it arrives.
pub(in crate::emulator) struct Decoder {
    seed: Option<ChunkSeed>,
    state: State,
    waiting: BytesMut,
    hash: Sha256,
    trailers: Vec<(String, String)>,
}

impl Decoder {
    pub(in crate::emulator) fn new(seed: Option<ChunkSeed>) -> Self {
        Decoder { seed, state: State::Size, waiting: BytesMut::new(), hash: Sha256::new(), trailers: Vec::new() }
    }

    /// Takes the next bytes off the wire and gives back what they carry.
    pub(in crate::emulator) fn feed(&mut self, mut wire: Bytes, content: &mut Vec<Bytes>) -> Result<(), Failure> {
        while !wire.is_empty() {
            match &mut self.state {
                State::Data { left, signature } => {
                    let piece = wire.split_to(wire.len().min(usize::try_from(*left).unwrap_or(usize::MAX)));
                    *left -= piece.len() as u64;
                    if self.seed.is_some() {
                        self.hash.update(&piece);
                    }
                    content.push(piece);
                    if *left == 0 {
                        let signature = signature.take();
                        self.state = State::DataEnd { signature };
                    }
                }
                State::Done => return Err(malformed("goes on after its end")),
                _ => {
                    let Some(line) = self.line(&mut wire)? else { return Ok(()) };
                    self.take_line(&line)?;
                }
            }
        }
        Ok(())
    }

    /// The trailers, once the framing has come to its end.
    pub(in crate::emulator) fn finish(self) -> Result<Vec<(String, String)>, Failure> {
        match self.state {
            State::Done => Ok(self.trailers),
            _ => Err(Failure::new(400, "IncompleteBody", "The body ended before its last chunk.")),
        }
    }

    fn line(&mut self, wire: &mut Bytes) -> Result<Option<String>, Failure> {
        let end = wire.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(wire.len(), |end| end + 1);
        if self.waiting.len() + taken > LONGEST_LINE {
            return Err(malformed("has a line that is too long"));
        }
        self.waiting.extend_from_slice(&wire[..taken]);
        wire.advance(taken);
        if end.is_none() {
            return Ok(None);
        }
        let line = self.waiting.split();
        let line = line.strip_suffix(b"\r\n").ok_or_else(|| malformed("has a line that does not end in CRLF"))?;
        let line = std::str::from_utf8(line).map_err(|_| malformed("has a line that is not text"))?;
        Ok(Some(line.to_owned()))
    }

    fn take_line(&mut self, line: &str) -> Result<(), Failure> {
        match std::mem::replace(&mut self.state, State::Size) {
            State::Size => {
                let (size, extension) = line.split_once(';').unwrap_or((line, ""));
                let left = u64::from_str_radix(size.trim(), 16).map_err(|_| malformed("has a chunk without a size"))?;
                let signature = extension.trim().strip_prefix("chunk-signature=").map(str::to_owned);
                if left == 0 {
                    self.end_chunk(signature.as_deref())?;
                    self.state = State::Trailer;
                } else {
                    self.state = State::Data { left, signature };
                }
            }
            State::DataEnd { signature } if line.is_empty() => self.end_chunk(signature.as_deref())?,
            State::DataEnd { .. } => return Err(malformed("has a chunk longer than its size")),
            State::Trailer if line.is_empty() => self.end_trailers()?,
            State::Trailer => {
                let (name, value) = line.split_once(':').ok_or_else(|| malformed("has a trailer without a colon"))?;
                self.trailers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
                self.state = State::Trailer;
            }
            State::Data { .. } | State::Done => return Err(malformed("is out of order")),
        }
        Ok(())
    }

    fn end_chunk(&mut self, signature: Option<&str>) -> Result<(), Failure> {
        let Some(seed) = &mut self.seed else { return Ok(()) };
        let given = signature.ok_or_else(|| malformed("has a chunk without a signature"))?;
        let hash = hex(&self.hash.finalize_reset());
        seed.check("PAYLOAD", &format!("{}\n{hash}", sha256_hex(b"")), given)
    }

    fn end_trailers(&mut self) -> Result<(), Failure> {
        let signature = self.trailers.iter().position(|(name, _)| name == "x-amz-trailer-signature");
        let signature = signature.map(|at| self.trailers.remove(at).1);
        if let (Some(seed), false) = (&mut self.seed, self.trailers.is_empty()) {
            let given = signature.ok_or_else(|| malformed("has trailers without a signature"))?;
            let text: String = self.trailers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
            seed.check("TRAILER", &sha256_hex(text.as_bytes()), &given)?;
        }
        self.state = State::Done;
        Ok(())
    }
}

fn malformed(why: &str) -> Failure {
    Failure::new(400, "InvalidRequest", format!("The aws-chunked body {why}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Decoded = (Vec<u8>, Vec<(String, String)>);

    fn decode(wire: &[u8], step: usize, seed: Option<ChunkSeed>) -> Result<Decoded, Failure> {
        let mut decoder = Decoder::new(seed);
        let mut content = Vec::new();
        for piece in wire.chunks(step) {
            decoder.feed(Bytes::copy_from_slice(piece), &mut content)?;
        }
        Ok((content.concat(), decoder.finish()?))
    }

    #[test]
    fn unsigned_chunks_and_trailers_come_apart_however_they_arrive() {
        let wire = b"5\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n";
        for step in [1, 2, 7, 1000] {
            let (content, trailers) = decode(wire, step, None).unwrap();
            assert_eq!(content, b"hello world");
            assert_eq!(trailers, [("x-amz-checksum-crc32".to_owned(), "DUoRhQ==".to_owned())]);
        }
        assert_eq!(decode(b"5\r\nhello\r\n", 100, None).unwrap_err().code, "IncompleteBody");
        for wire in [&b"x\r\n"[..], b"5\r\nhello!\r\n", b"0\n\n", b"0\r\n\r\nmore", &[b'1'; 9000]] {
            assert_eq!(decode(wire, 100, None).unwrap_err().code, "InvalidRequest");
        }
    }

    /// The streaming example of the public AWS documentation: 65 KiB of `a` in chunks of 64 KiB, 1 KiB and 0.
    #[test]
    fn the_published_chain_of_signatures_verifies() {
        let secret = "AWS4wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        let key = ["20130524", "us-east-1", "s3", "aws4_request"]
            .iter()
            .fold(secret.as_bytes().to_vec(), |key, part| hmac_sha256(&key, part.as_bytes()));
        let first = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
        let seed = || ChunkSeed::new(key.clone(), "20130524T000000Z", "20130524/us-east-1/s3/aws4_request", first);
        let chunk = |size: usize, signature: &str| {
            let mut wire = format!("{size:x};chunk-signature={signature}\r\n").into_bytes();
            wire.extend(std::iter::repeat_n(b'a', size));
            wire.extend(b"\r\n");
            wire
        };
        let mut wire = chunk(65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648");
        wire.extend(chunk(1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"));
        wire.extend(chunk(0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"));
        assert_eq!(decode(&wire, 1000, Some(seed())).unwrap().0.len(), 66560);
        wire[100] ^= 1;
        assert_eq!(decode(&wire, 1000, Some(seed())).unwrap_err().code, "SignatureDoesNotMatch");
    }
}
