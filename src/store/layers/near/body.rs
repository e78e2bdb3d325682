//! A body that is put together from slices, each from the member that owns it, or from the bucket.
//!
//! A few slices are asked for ahead of the one that is being received, so that members are waited for side by side.
//! What a member began and did not finish goes on elsewhere, from the first byte that is missing: at the second owner,
//! else from the bucket.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::future::BoxFuture;
use tokio::io::ReadBuf;

use super::fleet::Member;
use super::{Core, Pinned, route};
use crate::base::ByteRange;
use crate::metrics::Metric;
use crate::store::{Body, Error, GetRequest, Receive, Result, Store};

/// So many slices of one body are asked for at once. A part of 8 MiB is four slices of 2 MiB.
const SIDE_BY_SIDE: usize = 4;

/// Bytes of a pinned version, slice by slice.
pub(super) struct Assembled<S: ?Sized> {
    core: Arc<Core<S>>,
    pinned: Arc<Pinned>,
    request: GetRequest,
    /// What was not asked for yet.
    rest: VecDeque<ByteRange>,
    /// What was, in order.
    asked: VecDeque<AskedSlice>,
    /// Ends the wait for a member that has become silent, while the next bytes are waited for.
    silence: Option<BoxFuture<'static, Error>>,
}

enum AskedSlice {
    Asking(BoxFuture<'static, Result<Opened>>),
    Flowing(Opened),
    /// There will be no more, and an error has said why.
    Lost,
}

/// Bytes that are on their way.
pub(super) struct Opened {
    /// Those that have not come yet.
    pub(super) missing: ByteRange,
    pub(super) body: Body,
    /// Who sends them; `None` where that is the bucket.
    pub(super) member: Option<Arc<Member>>,
    /// Who has begun to, and failed.
    pub(super) failed: Vec<Arc<Member>>,
}

impl<S: Store + ?Sized> Assembled<S> {
    /// The bytes `range` of the version that `request` names. Sends nothing before it is polled.
    pub(super) fn new(core: Arc<Core<S>>, pinned: Arc<Pinned>, request: GetRequest, range: ByteRange) -> Self {
        let rest = match core.slice_bytes {
            Some(slice_bytes) => route::cut(range, slice_bytes).collect(),
            None => VecDeque::from([range]),
        };
        Assembled { core, pinned, request, rest, asked: VecDeque::new(), silence: None }
    }

    /// Ready once the first bytes are about to come.
    pub(super) fn poll_begun(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.ask_ahead(cx);
        match self.asked.front_mut() {
            Some(piece) => piece.poll_open(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Keeps slices asked for ahead of what is received.
    fn ask_ahead(&mut self, cx: &mut Context<'_>) {
        while self.asked.len() < SIDE_BY_SIDE
            && let Some(slice) = self.rest.pop_front()
        {
            self.asked.push_back(self.ask(slice, Vec::new()));
        }
        for piece in self.asked.iter_mut().skip(1) {
            // What failed is told when its turn comes.
            if let AskedSlice::Asking(asking) = piece
                && let Poll::Ready(opened) = asking.as_mut().poll(cx)
            {
                *piece =
                    opened.map_or_else(|error| AskedSlice::Asking(Box::pin(async { Err(error) })), AskedSlice::Flowing);
            }
        }
    }

    fn ask(&self, slice: ByteRange, failed: Vec<Arc<Member>>) -> AskedSlice {
        AskedSlice::Asking(self.core.clone().open(self.pinned.clone(), self.request.clone(), slice, failed))
    }

    /// The next bytes of the slice in front; how many came, at least one.
    fn poll_front(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<u64>> {
        loop {
            let Some(front) = self.asked.front_mut() else { return Poll::Ready(Ok(0)) };
            ready!(front.poll_open(cx))?;
            let AskedSlice::Flowing(opened) = front else { return Poll::Ready(Err(failed_before())) };
            let (before, most) = (into.filled().len(), opened.missing.len());
            let received = opened.body.poll_receive(cx, into);
            let len = (into.filled().len() - before) as u64;
            let why = match received {
                Poll::Ready(Ok(())) if len > 0 && len <= most => {
                    opened.missing.start += len;
                    let member = opened.member.clone();
                    self.came(len, member.as_deref());
                    return Poll::Ready(Ok(len));
                }
                Poll::Ready(Ok(())) => Error::ended_early(most),
                Poll::Ready(Err(error)) => error,
                Poll::Pending => ready!(self.poll_silence(cx)),
            };
            into.set_filled(before);
            self.go_on_elsewhere(why)?;
        }
    }

    /// Accounts for bytes that have come.
    fn came(&mut self, len: u64, member: Option<&Member>) {
        self.silence = None;
        if let Some(member) = member {
            self.core.fleet.heard(member);
            self.core.metrics.add(Metric::NearBytes, len);
        }
        if self.asked.front().is_some_and(AskedSlice::is_complete) {
            self.asked.pop_front();
        }
    }

    /// Ready with an error once the member in front has been silent for too long.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let Some(AskedSlice::Flowing(Opened { member: Some(member), .. })) = self.asked.front() else {
            // The bucket has its own limits.
            return Poll::Pending;
        };
        let (fleet, member) = (&self.core.fleet, member.clone());
        self.silence.get_or_insert_with(|| Box::pin(fleet.clone().silence(member))).as_mut().poll(cx)
    }

    /// The rest of the slice in front comes from elsewhere. Fails where it is the bucket that failed.
    fn go_on_elsewhere(&mut self, why: Error) -> Result<()> {
        self.silence = None;
        let Some(front) = self.asked.front_mut() else { return Err(why) };
        match std::mem::replace(front, AskedSlice::Lost) {
            AskedSlice::Flowing(Opened { missing, member: Some(member), mut failed, .. }) => {
                self.core.fleet.strike(&member, why.message());
                failed.push(member);
                let piece = self.ask(missing, failed);
                self.asked.pop_front();
                self.asked.push_front(piece);
                Ok(())
            }
            _ => Err(why),
        }
    }
}

impl AskedSlice {
    /// Ready once its bytes are about to come.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if let AskedSlice::Asking(asking) = self {
            let opened = ready!(asking.as_mut().poll(cx));
            *self = AskedSlice::Lost;
            *self = AskedSlice::Flowing(opened?);
        }
        Poll::Ready(Ok(()))
    }

    fn is_complete(&self) -> bool {
        matches!(self, AskedSlice::Flowing(opened) if opened.missing.is_empty())
    }
}

impl<S: Store + ?Sized> Receive for Assembled<S> {
    fn poll_receive(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        self.ask_ahead(cx);
        self.poll_front(cx, into).map_ok(drop)
    }
}

fn failed_before() -> Error {
    Error::new(crate::store::ErrorKind::Network, "the body has failed before")
}
