//! Copying one object: in one request, in parts, or as a shallow copy.

use super::copying::Copying;
use super::parts;
use super::plan::Plan;
use super::request::Source;
use super::status::Manner;
use super::work::{Stopped, Work};
use crate::store::Copied;

/// Copies an object to a key of the destination's bucket.
pub(super) async fn copy(work: &Work, source: &Source, key: &str) -> std::result::Result<Copied, Stopped> {
    let copying = work.unless_cancelled(Copying::look(work, source, key)).await??;
    let copied = match copying.plan()? {
        Plan::Single => {
            work.goes(Manner::Single, copying.meta.size, 0);
            work.unless_cancelled(copying.in_one_request()).await??
        }
        Plan::Parts(cut) => parts::copy(&copying, cut).await?,
        Plan::Shallow(cut) => {
            work.goes(Manner::Shallow, copying.meta.size, 0);
            match work.unless_cancelled(copying.shallow()).await?? {
                Some(copied) => copied,
                None => parts::copy(&copying, cut).await?,
            }
        }
    };
    work.has_written(key);
    copying.check(&copied).await?;
    Ok(copied)
}
