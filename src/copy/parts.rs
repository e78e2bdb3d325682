//! Copying an object in parts: begin or resume an upload, copy the missing parts, complete it; or abort it and leave
//! nothing behind, unless keeping the parts was requested.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use md5::{Digest, Md5};

use super::LeftParts;
use super::copying::Copying;
use super::plan::Parts;
use super::status::Manner;
use super::work::Stopped;
use crate::base::ETag;
use crate::store::{
    CompleteRequest, Copied, CopyPartRequest, ErrorKind, ListPartsRequest, Result, Upload, UploadRequest, UploadedPart,
};

/// How long to wait before an upload is aborted again, whose last parts arrived after it was aborted.
const ABORT_PAUSES: [Duration; 3] = [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(4)];

/// An upload, and the tags of the parts that have arrived.
#[derive(Debug)]
struct Begun {
    upload: Upload,
    cut: Parts,
    arrived: BTreeMap<u32, ETag>,
}

/// Copies an object in parts.
pub(super) async fn copy(copying: &Copying<'_>, cut: Parts) -> std::result::Result<Copied, Stopped> {
    let work = copying.work;
    let mut begun = match &work.request.resume {
        Some(id) => {
            let upload = Upload { key: copying.key.clone(), id: id.clone() };
            work.unless_cancelled(go_on(copying, upload, cut)).await??
        }
        // Not given up between being begun and being known here.
        None => begin(copying, cut).await?,
    };
    work.goes(Manner::Parts, copying.meta.size, begun.cut.count());
    for number in begun.arrived.keys() {
        work.advance(begun.cut.range(*number).len(), 1);
    }
    let outcome = match work.unless_cancelled(copy_missing(copying, &mut begun)).await {
        Ok(Ok(())) => complete(copying, &begun).await.map_err(Stopped::from),
        Ok(Err(error)) => Err(error.into()),
        Err(cancelled) => Err(cancelled),
    };
    if outcome.is_err() {
        give_up(copying, begun.upload).await;
    }
    outcome
}

async fn begin(copying: &Copying<'_>, cut: Parts) -> Result<Begun> {
    let request = &copying.work.request;
    let upload = copying.to.mutable.begin_upload(UploadRequest {
        key: copying.key.clone(),
        metadata: copying.metadata(),
        tags: copying.tags().await?,
        storage_class: request.storage_class.clone(),
        acl: request.acl.clone(),
        overwrite: request.overwrite,
    });
    Ok(Begun { upload: upload.await?, cut, arrived: BTreeMap::new() })
}

/// Finds out what of an upload has arrived, and keeps what fits: the size of its parts is its own. Parts of another
/// object, or of an older version, do not show here, but in the checksum of the whole.
async fn go_on(copying: &Copying<'_>, upload: Upload, cut: Parts) -> Result<Begun> {
    let (mut found, mut after) = (Vec::<UploadedPart>::new(), 0);
    loop {
        let page = copying.to.mutable.list_parts(ListPartsRequest { upload: upload.clone(), after }).await?;
        found.extend(page.parts);
        match page.next {
            Some(next) => after = next,
            None => break,
        }
    }
    let largest = found.iter().map(|part| part.size).max();
    let cut = largest.and_then(|largest| Parts::begun(copying.meta.size, largest)).unwrap_or(cut);
    let fits = |part: &UploadedPart| cut.range(part.number).len() == part.size && part.size > 0;
    let arrived = found.into_iter().filter(fits).map(|part| (part.number, part.etag)).collect();
    Ok(Begun { upload, cut, arrived })
}

/// Copies the parts that have not arrived, some at a time. The first that fails ends it.
async fn copy_missing(copying: &Copying<'_>, begun: &mut Begun) -> Result<()> {
    let Begun { upload, cut, arrived } = begun;
    let missing: Vec<u32> = cut.numbers().filter(|number| !arrived.contains_key(number)).collect();
    let mut copied = stream::iter(missing)
        .map(|number| copy_part(copying, upload, *cut, number))
        .buffer_unordered(copying.work.options.parallel.max(1));
    while let Some((number, etag)) = copied.try_next().await? {
        arrived.insert(number, etag);
    }
    Ok(())
}

async fn copy_part(copying: &Copying<'_>, upload: &Upload, cut: Parts, number: u32) -> Result<(u32, ETag)> {
    let range = cut.range(number);
    let _permit = copying.work.permit().await;
    let request = |source| CopyPartRequest { upload: upload.clone(), number, source, range };
    let etag = copying.pinned(|source| copying.to.mutable.copy_part(request(source))).await?;
    copying.work.advance(range.len(), 1);
    Ok((number, etag))
}

async fn complete(copying: &Copying<'_>, begun: &Begun) -> Result<Copied> {
    let request = CompleteRequest {
        upload: begun.upload.clone(),
        parts: begun.arrived.iter().map(|(number, etag)| (*number, etag.clone())).collect(),
        acl: copying.work.request.acl.clone(),
        overwrite: copying.work.request.overwrite,
    };
    match copying.to.mutable.complete_upload(request).await {
        Ok(copied) => Ok(copied),
        Err(error) => copying.perhaps_made(error, tag_of_parts(begun.arrived.values())).await,
    }
}

/// The tag that S3 gives an object of these parts: the MD5 of their MD5s, and their number. `None` where a tag is no
/// MD5.
fn tag_of_parts<'e>(tags: impl Iterator<Item = &'e ETag>) -> Option<ETag> {
    let (mut sum, mut parts) = (Md5::new(), 0);
    for tag in tags {
        let digest: [u8; 16] = hex::decode(tag.as_str()).ok()?.try_into().ok()?;
        sum.update(digest);
        parts += 1;
    }
    ETag::parse(&format!("{}-{parts}", hex::encode(sum.finalize())))
}

/// Aborts the upload, or tells of it where its parts are to stay or will not go.
async fn give_up(copying: &Copying<'_>, upload: Upload) {
    let left = match copying.work.options.left_parts {
        LeftParts::Leave => true,
        LeftParts::Abort => match abort(copying, &upload).await {
            Ok(()) => false,
            Err(error) => {
                tracing::warn!(upload = upload.id, %error, "parts of a copy could not be aborted");
                true
            }
        },
    };
    if left {
        copying.work.has_left(upload);
    }
}

/// Parts that were on their way when the upload was aborted may arrive later; then it is aborted again.
async fn abort(copying: &Copying<'_>, upload: &Upload) -> Result<()> {
    let bucket = &copying.to.mutable;
    for pause in ABORT_PAUSES {
        tokio::time::sleep(pause).await;
        bucket.abort_upload(upload.clone()).await?;
        match bucket.list_parts(ListPartsRequest { upload: upload.clone(), after: 0 }).await {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
            Ok(_) => {}
        }
    }
    bucket.abort_upload(upload.clone()).await
}
