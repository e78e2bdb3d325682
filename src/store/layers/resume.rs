//! Resuming bodies: the rest is requested from the first missing byte, pinned to the version of the first answer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::future::BoxFuture;
use tokio::io::ReadBuf;
use tokio::time::{Sleep, sleep};

use super::crop::crop;
use super::patience::{Patience, tries_again};
use crate::base::ByteRange;
use crate::metrics::Metric;
use crate::store::{Body, Error, ErrorKind, GetRequest, ObjectMeta, Receive, Result, Store};

/// A body that goes on where it broke.
pub(super) struct Continued<S: ?Sized> {
    /// The bytes that have not arrived yet.
    missing: ByteRange,
    state: Phase<S>,
}

enum Phase<S: ?Sized> {
    Flowing(Body, Box<BodySource<S>>),
    /// The body broke, and the rest of it is asked for.
    Asking(BoxFuture<'static, Result<(Body, Box<BodySource<S>>)>>),
    /// There will be no more, and an error has said why.
    Lost,
}

/// Where the rest of a body comes from.
pub(super) struct BodySource<S: ?Sized> {
    inner: Arc<S>,
    /// Pinned to the version of the first answer.
    request: GetRequest,
    /// The facts of the first answer.
    meta: ObjectMeta,
    patience: Patience,
    /// Ends a body that was asked for again and brings nothing while there is time.
    end: Option<Pin<Box<Sleep>>>,
}

impl<S: ?Sized> Continued<S> {
    /// The bytes `missing`, which `body` is about to bring.
    pub(super) fn new(missing: ByteRange, body: Body, source: BodySource<S>) -> Self {
        Continued { missing, state: Phase::Flowing(body, Box::new(source)) }
    }
}

impl<S: Store + ?Sized> Receive for Continued<S> {
    fn poll_receive(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let Continued { missing, state } = &mut *self;
        while !missing.is_empty() {
            match state {
                Phase::Flowing(body, source) => match ready!(source.piece(body, missing.len(), cx, into)) {
                    Ok(len) => {
                        source.patience.renew();
                        source.end = None;
                        missing.start += len;
                        return Poll::Ready(Ok(()));
                    }
                    Err(error) => state.ask(*missing, error),
                },
                Phase::Asking(answer) => {
                    let answer = ready!(answer.as_mut().poll(cx));
                    *state = Phase::Lost;
                    let (body, source) = answer?;
                    *state = Phase::Flowing(body, source);
                }
                Phase::Lost => return Poll::Ready(Err(Error::new(ErrorKind::Network, "the body has failed before"))),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Store + ?Sized> Phase<S> {
    /// Drops the body, which failed, and asks for what is missing.
    fn ask(&mut self, missing: ByteRange, error: Error) {
        if let Phase::Flowing(_, source) = std::mem::replace(self, Phase::Lost) {
            *self = Phase::Asking(Box::pin(source.ask(missing, error)));
        }
    }
}

/// Receives bytes of a body that holds so many more; returns how many, at least one.
fn piece(body: &mut Body, missing: u64, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<u64>> {
    let before = into.filled().len();
    ready!(body.poll_receive(cx, into))?;
    let len = (into.filled().len() - before) as u64;
    Poll::Ready(match len {
        0 => Err(Error::ended_early(missing)),
        _ if len > missing => {
            into.set_filled(before);
            Err(Error::new(ErrorKind::Protocol, "the body is longer than its range"))
        }
        _ => Ok(len),
    })
}

impl<S: ?Sized> BodySource<S> {
    /// What `request`, which names the version that `meta` tells of, brings from `inner`.
    pub(super) fn new(inner: Arc<S>, request: GetRequest, meta: ObjectMeta, patience: Patience) -> Self {
        BodySource { inner, request, meta, patience, end: None }
    }

    /// Receives bytes, as [`piece`] does, unless there is no time left to wait for them.
    fn piece(
        &mut self,
        body: &mut Body,
        missing: u64,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<Result<u64>> {
        let received = piece(body, missing, cx, into);
        if received.is_pending()
            && let Some(end) = &mut self.end
        {
            ready!(end.as_mut().poll(cx));
            return Poll::Ready(Err(self.patience.out_of_time()));
        }
        received
    }
}

impl<S: Store + ?Sized> BodySource<S> {
    /// The rest of a body that broke with an error.
    async fn ask(mut self: Box<Self>, missing: ByteRange, mut error: Error) -> Result<(Body, Box<Self>)> {
        if tries_again(error.kind()) > 0 {
            self.patience.shared.metrics.add(Metric::BodyResumes, 1);
        }
        loop {
            self.patience.after(error).await?;
            match self.patience.within(self.resume(missing)).await {
                Ok(body) => {
                    self.end = self.patience.left().map(|left| Box::pin(sleep(left)));
                    return Ok((body, self));
                }
                Err(next) => error = next,
            }
        }
    }

    async fn resume(&self, missing: ByteRange) -> Result<Body> {
        rest_of(&*self.inner, &self.request, &self.meta, missing).await
    }
}

/// The bytes `missing` of the version that `request` names and `meta` tells of.
pub(super) async fn rest_of<S: Store + ?Sized>(
    inner: &S,
    request: &GetRequest,
    meta: &ObjectMeta,
    missing: ByteRange,
) -> Result<Body> {
    let answer = inner.get(request.clone().range(missing)).await;
    let response = answer.map_err(|error| match error.kind() {
        // The object once had these bytes.
        ErrorKind::RangeNotSatisfiable => Error::new(ErrorKind::Changed, "the object became shorter while it was read"),
        _ => error,
    })?;
    if !same_version(meta, &response.meta) {
        return Err(Error::new(ErrorKind::Changed, "the object changed while it was read"));
    }
    let response = crop(response, missing);
    if response.range != missing {
        let message = format!("{missing:?} was requested and {:?} received", response.range);
        return Err(Error::new(ErrorKind::Protocol, message));
    }
    Ok(response.body)
}

/// Whether two answers speak of the same bytes, by everything that both of them tell.
fn same_version(first: &ObjectMeta, later: &ObjectMeta) -> bool {
    fn agree<T: PartialEq>(first: &Option<T>, later: &Option<T>) -> bool {
        first.is_none() || later.is_none() || first == later
    }
    first.size == later.size
        && agree(&first.etag, &later.etag)
        && agree(&first.crc64, &later.crc64)
        && agree(&first.last_modified, &later.last_modified)
}
