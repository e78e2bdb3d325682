//! Having the members fetch what they own, without its bytes coming here.
//!
//! A member fetches a slice whole, whatever range of it is asked for. So it is asked for the last byte, which comes
//! when all of the slice has.

use std::pin::Pin;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use tokio::sync::Semaphore;

use super::fleet::Member;
use super::{Core, Pinned, route};
use crate::base::ByteRange;
use crate::store::{Body, Error, ErrorKind, GetRequest, Result, Store, Traffic};

/// Slices that members fetch at once for one mount: as many as 64 connections of a program that reads would have them
/// fetch.
pub(super) const AT_ONCE: usize = 64;

/// Bounds the slices that members fetch at once.
pub(super) fn turns() -> Semaphore {
    Semaphore::new(AT_ONCE)
}

impl<S: Store + ?Sized> Core<S> {
    /// Has the owners of the slices of a range fetch them. False where this version is not read through the fleet.
    pub(super) async fn warm(self: &Arc<Self>, request: &GetRequest) -> Result<bool> {
        let key = || request.key.to_string();
        let Some(slice_bytes) = self.slice_bytes else {
            let message = "an accelerator is not a fleet of near caches: it is warmed up by what its console offers";
            return Err(Error::new(ErrorKind::Unsupported, message).with_key(key()));
        };
        let Some((pinned, range, size)) = self.pinned(request) else { return Ok(false) };
        if self.facts(&pinned, request).await.is_none() {
            let message = "the object has changed since it was listed, or may not be read";
            return Err(Error::new(ErrorKind::Changed, message).with_key(key()));
        }
        // From the grid on, as members cut it.
        let from = range.start / slice_bytes * slice_bytes;
        let to = range.end.div_ceil(slice_bytes).saturating_mul(slice_bytes).min(size);
        let slices = route::cut(ByteRange::new(from, to), slice_bytes);
        let warmed = slices.map(|slice| self.warm_slice(&pinned, request, slice));
        futures::stream::iter(warmed).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        Ok(true)
    }

    /// Has an owner fetch a slice.
    async fn warm_slice(self: &Arc<Self>, pinned: &Arc<Pinned>, request: &GetRequest, slice: ByteRange) -> Result<()> {
        // Never closed.
        let _turn = self.warming.acquire().await.ok();
        let last = ByteRange::new(slice.end - 1, slice.end);
        let request = request.clone().range(last).traffic(Traffic::Warming { slice_bytes: slice.len() });
        let mut failed: Vec<Arc<Member>> = Vec::new();
        loop {
            let (answer, refusal) = self.ask_owners(pinned, &request, slice, &failed).await;
            let Some((answer, member)) = answer else {
                let message = match refusal {
                    Some((_, error)) => format!("no near cache fetched it: {}", error.message()),
                    None => "no near cache fetched it: they are out, or do not answer".to_owned(),
                };
                return Err(Error::new(ErrorKind::Network, message).with_key(request.key.to_string()));
            };
            match self.last_byte(answer.body, &member).await {
                Ok(()) => return Ok(()),
                Err(error) => {
                    self.fleet.strike(&member, error.message());
                    failed.push(member);
                }
            }
        }
    }

    /// Waits for the only byte of an answer, as long as its member gives signs of life.
    async fn last_byte(&self, body: Body, member: &Arc<Member>) -> Result<()> {
        let byte = body.collect(1);
        let silence = self.fleet.clone().silence(member.clone());
        tokio::pin!(byte);
        let silence: Pin<Box<_>> = Box::pin(silence);
        tokio::select! {
            biased;
            byte = byte => byte.map(|_| self.fleet.heard(member)),
            error = silence => Err(error),
        }
    }
}
