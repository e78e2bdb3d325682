//! GetObject: whole objects and ranges.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Method;
use tokio::io::ReadBuf;

use super::fit::{End, Fit, RangeAnswer};
use super::meta::object_meta;
use super::versions::Needs;
use super::{Call, HttpStore, unfit};
use crate::base::ETag;
use crate::store::http::Response;
use crate::store::{Body, Error, ErrorKind, GetRequest, GetResponse, Receive, Result, Traffic};

const OPERATION: &str = "GetObject";

impl HttpStore {
    pub(super) async fn get_object(&self, request: GetRequest) -> Result<GetResponse> {
        let response = self.call(self.get_call(&request)?).await;
        let response = response.map_err(|error| self.lacks_version(error, request.version.as_deref()))?;
        if !answer(&response).is_whole_or_part(&request) {
            return self.got(response, &request);
        }
        match self.got(response, &request) {
            // Without a range there is no doubt what is sent.
            Err(error) if error.kind() == ErrorKind::Protocol => {
                let whole = GetRequest { range: None, ..request };
                let response = self.call(self.get_call(&whole)?).await?;
                self.got(response, &whole)
            }
            answer => answer,
        }
    }

    /// A refusal of a version names the permission that reading one needs.
    pub(super) fn lacks_version(&self, error: Error, version: Option<&str>) -> Error {
        match version {
            Some(_) => self.permission(error, Needs::GetVersion),
            None => error,
        }
    }

    fn get_call<'a>(&self, request: &'a GetRequest) -> Result<Call<'a>> {
        let mut call = Call::new(OPERATION, Method::GET, Some(request.key.as_str()))
            .query("versionId", request.version.clone())
            .header("if-match", request.if_match.as_ref().map(ETag::quoted));
        if let Traffic::Warming { slice_bytes } = request.traffic {
            call.warmed_bytes = Some(slice_bytes);
        }
        if let Some(range) = request.range {
            if range.is_empty() {
                return Err(Error::new(ErrorKind::Invalid, "the requested range is empty"));
            }
            call = call.header("range", range.header());
            for (name, value) in self.rules.range_headers {
                call = call.header(*name, (*value).to_owned());
            }
        }
        Ok(call)
    }

    /// What an answer holds, if it fits the request.
    fn got(&self, response: Response, request: &GetRequest) -> Result<GetResponse> {
        let status = response.status;
        let Fit { range, size, end } = answer(&response)
            .fit(request)
            .map_err(|error| error.with_operation(OPERATION).with_key(request.key.to_string()).with_status(status))?;
        let meta = object_meta(self.rules, &response.headers, size);
        let body = Exact::new(response.body, range.len(), end);
        Ok(GetResponse { meta, range, body: Body::new(body) })
    }
}

fn answer(response: &Response) -> RangeAnswer<'_> {
    let Response { status, headers, skipped, length, .. } = response;
    RangeAnswer { status: *status, headers, skipped, length: *length }
}

/// Passes on exactly the bytes promised.
struct Exact<R> {
    received: R,
    missing: u64,
    end: End,
    /// The last byte of a body that does not say where it ends, until it was seen to end there.
    last: Option<u8>,
}

impl<R: Receive + Unpin> Exact<R> {
    fn new(received: R, missing: u64, end: End) -> Self {
        Exact { received, missing, end, last: None }
    }

    fn receive(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let before = into.filled().len();
        if self.missing > u64::from(self.last.is_some()) {
            ready!(Pin::new(&mut self.received).poll_receive(cx, into))?;
            let received = &into.filled()[before..];
            let len = received.len() as u64;
            let pending = self.missing;
            match received.last() {
                None => return Poll::Ready(Err(early(pending))),
                Some(_) if len > pending => return Poll::Ready(Err(self.late())),
                Some(&last) if len == pending && self.end == End::Expected => {
                    self.last = Some(last);
                    self.missing = 1;
                    into.set_filled(before + len as usize - 1);
                    if len > 1 {
                        return Poll::Ready(Ok(()));
                    }
                }
                Some(_) => {
                    self.missing -= len;
                    return Poll::Ready(Ok(()));
                }
            }
        }
        let mut more = [0];
        let mut more = ReadBuf::new(&mut more);
        ready!(Pin::new(&mut self.received).poll_receive(cx, &mut more))?;
        if !more.filled().is_empty() {
            return Poll::Ready(Err(self.late()));
        }
        if let Some(last) = self.last.take() {
            into.put_slice(&[last]);
            self.missing = 0;
        }
        Poll::Ready(Ok(()))
    }

    fn late(&self) -> Error {
        match self.end {
            End::Told => unfit("the body is longer than its length"),
            End::Expected => Error::new(ErrorKind::Changed, "the object is longer than listed"),
        }
    }
}

fn early(missing: u64) -> Error {
    Error::new(ErrorKind::Network, format!("the body ended {missing} bytes early"))
}

impl<R: Receive + Unpin> Receive for Exact<R> {
    fn poll_receive(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let before = into.filled().len();
        let received = ready!(self.receive(cx, into));
        if received.is_err() {
            into.set_filled(before);
        }
        Poll::Ready(received.map_err(|error| error.with_operation(OPERATION)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// These pieces, then the end.
    struct Pieces(Vec<&'static [u8]>);

    impl Receive for Pieces {
        fn poll_receive(mut self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
            if !self.0.is_empty() {
                let len = self.0[0].len().min(into.remaining());
                into.put_slice(&self.0[0][..len]);
                self.0[0] = &self.0[0][len..];
                if self.0[0].is_empty() {
                    self.0.remove(0);
                }
            }
            Poll::Ready(Ok(()))
        }
    }

    /// What comes of a body of which so many bytes were promised: the pieces, and how it ends.
    async fn passed(pieces: &[&'static [u8]], promised: u64, end: End, room: usize) -> String {
        let mut body = Body::new(Exact::new(Pieces(pieces.to_vec()), promised, end));
        let (mut shown, mut room) = (String::new(), vec![0; room]);
        loop {
            match body.read(&mut room).await {
                Ok(0) => return format!("{shown}end"),
                Ok(len) => shown += &format!("{} ", String::from_utf8_lossy(&room[..len])),
                Err(error) => return format!("{shown}{:?}", error.kind()),
            }
        }
    }

    #[tokio::test]
    async fn a_body_ends_where_it_was_said_to() {
        assert_eq!(passed(&[b"abc", b"de"], 5, End::Told, 9).await, "abc de end");
        assert_eq!(passed(&[b"abc"], 5, End::Told, 9).await, "abc Network");
        assert_eq!(passed(&[b"abc", b"def"], 5, End::Told, 9).await, "abc Protocol");
        assert_eq!(passed(&[b"abc", b"de", b"f"], 5, End::Told, 9).await, "abc de Protocol");
    }

    #[tokio::test]
    async fn a_body_without_a_length_is_whole_only_once_its_end_was_seen() {
        assert_eq!(passed(&[b"abc", b"de"], 5, End::Expected, 9).await, "abc d e end");
        assert_eq!(passed(&[b"abc", b"de"], 5, End::Expected, 1).await, "a b c d e end");
        assert_eq!(passed(&[b"abc", b"d"], 5, End::Expected, 9).await, "abc d Network");
        assert_eq!(passed(&[b"abc", b"de", b"f"], 5, End::Expected, 9).await, "abc d Changed");
        assert_eq!(passed(&[b"abcdef"], 5, End::Expected, 9).await, "Changed");
        assert_eq!(passed(&[], 0, End::Expected, 9).await, "end");
        assert_eq!(passed(&[b"x"], 0, End::Expected, 9).await, "Changed");
    }
}
