//! Buckets: made, removed, described, listed.

use super::list::{default_page, document, limited, owner, page_size};
use super::{Call, file_failure};
use crate::emulator::bucket::{Bucket, VersionStart, Versioning, Walk};
use crate::emulator::failure::{Failure, not_implemented};
use crate::emulator::options::{AnonymousRead, Dialect};
use crate::emulator::reply::Reply;
use crate::emulator::time::iso_date;
use crate::emulator::xml::Writer;

/// Answers ListBuckets of an account.
pub(super) fn list_buckets(call: &Call<'_>) -> Result<Reply, Failure> {
    let (prefix, marker) = (limited(call, "prefix")?, limited(call, "marker")?);
    let most = page_size(call, "max-keys", default_page(call))?;
    let all = call.service.all_buckets();
    let mut wanted = all.iter().filter(|bucket| bucket.name.starts_with(prefix) && bucket.name.as_str() > marker);
    let page: Vec<_> = wanted.by_ref().take(most).collect();
    let is_truncated = most > 0 && wanted.next().is_some();
    let is_paged = ["prefix", "marker", "max-keys"].iter().any(|name| call.request.query.has(name));
    Ok(Reply::xml(document(call, "ListAllMyBucketsResult", |w| {
        if is_paged || is_truncated {
            w.leaf("Prefix", prefix);
            w.leaf("Marker", marker);
            w.leaf("MaxKeys", most);
            w.leaf("IsTruncated", is_truncated);
            if let Some(last) = page.last().filter(|_| is_truncated) {
                w.leaf("NextMarker", &last.name);
            }
        }
        owner(w);
        w.within("Buckets", |w| {
            for bucket in &page {
                w.within("Bucket", |w| describe(call, w, bucket));
            }
        });
    })))
}

fn describe(call: &Call<'_>, w: &mut Writer, bucket: &Bucket) {
    w.leaf("Name", &bucket.name);
    w.leaf("CreationDate", iso_date(bucket.created));
    if call.dialect() == Dialect::Oss {
        let region = &call.service.options.region;
        w.leaf("Location", format!("oss-{region}"));
        w.leaf("Region", region);
        w.leaf("StorageClass", "Standard");
        w.leaf("ExtranetEndpoint", format!("oss-{region}.aliyuncs.com"));
        w.leaf("IntranetEndpoint", format!("oss-{region}-internal.aliyuncs.com"));
    }
}

/// Answers PutBucket by making it.
pub(super) fn put_bucket(call: &Call<'_>) -> Result<Reply, Failure> {
    let name = call.request.bucket.as_deref().unwrap_or("");
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let inner = |c: char| fits(c) || c == '-' || (call.dialect() == Dialect::S3 && c == '.');
    let is_name =
        (3..=63).contains(&name.len()) && name.chars().all(inner) && name.starts_with(fits) && name.ends_with(fits);
    if !is_name {
        return Err(Failure::new(400, "InvalidBucketName", "The specified bucket is not valid.").ec("0015-00000001"));
    }
    if call.service.bucket(name).is_some() && call.dialect() == Dialect::S3 {
        let message = "Your previous request to create the named bucket succeeded and you already own it.";
        return Err(Failure::new(409, "BucketAlreadyOwnedByYou", message));
    }
    call.service.create_bucket(name).map_err(|error| file_failure(&error))?;
    Ok(Reply::ok().header("location", format!("/{name}")))
}

/// Answers DeleteBucket. Parts of an upload under way keep a bucket of OSS; in S3 they go with it.
pub(super) fn delete_bucket(call: &Call<'_>) -> Result<Reply, Failure> {
    let bucket = call.bucket()?;
    let is_empty = bucket.holds_no_object() && (call.dialect() == Dialect::S3 || bucket.holds_no_upload());
    if !is_empty {
        let message = "The bucket you tried to delete is not empty.";
        return Err(Failure::new(409, "BucketNotEmpty", message).ec("0015-00000301"));
    }
    call.service.remove_bucket(&bucket.name).map_err(|error| file_failure(&error))?;
    Ok(Reply::no_content())
}

/// Answers HeadBucket of a bucket.
pub(super) fn head_bucket(call: &Call<'_>) -> Result<Reply, Failure> {
    call.bucket()?;
    let region = &call.service.options.region;
    Ok(match call.dialect() {
        Dialect::Oss => Reply::ok().header("x-oss-bucket-region", format!("oss-{region}")),
        Dialect::S3 => Reply::ok().header("x-amz-bucket-region", region),
    })
}

/// Answers GetBucketLocation of a bucket.
pub(super) fn location(call: &Call<'_>) -> Result<Reply, Failure> {
    call.bucket()?;
    let region = &call.service.options.region;
    let place = match call.dialect() {
        Dialect::Oss => format!("oss-{region}"),
        Dialect::S3 => region.clone(),
    };
    let mut writer = Writer::new();
    writer.leaf("LocationConstraint", place);
    Ok(Reply::xml(writer))
}

fn grant(call: &Call<'_>, bucket: &str) -> &'static str {
    match &call.service.options.anonymous_read {
        AnonymousRead::Everything => "public-read",
        AnonymousRead::Buckets(names) if names.iter().any(|name| name == bucket) => "public-read",
        _ => "private",
    }
}

/// Answers GetBucketInfo of a bucket.
pub(super) fn bucket_info(call: &Call<'_>) -> Result<Reply, Failure> {
    let bucket = call.bucket()?;
    Ok(Reply::xml(document(call, "BucketInfo", |w| {
        w.within("Bucket", |w| {
            describe(call, w, &bucket);
            w.leaf("DataRedundancyType", "LRS");
            w.leaf("TransferAcceleration", "Disabled");
            w.leaf("CrossRegionReplication", "Disabled");
            w.leaf("AccessMonitor", "Disabled");
            w.leaf("BlockPublicAccess", false);
            w.leaf("ResourceGroupId", "rg-default");
            match bucket.versioning() {
                Versioning::Off => {}
                Versioning::Enabled => w.leaf("Versioning", "Enabled"),
                Versioning::Suspended => w.leaf("Versioning", "Suspended"),
            }
            owner(w);
            w.within("AccessControlList", |w| w.leaf("Grant", grant(call, &bucket.name)));
            w.within("ServerSideEncryptionRule", |w| w.leaf("SSEAlgorithm", "None"));
            w.within("BucketPolicy", |w| {
                w.leaf("LogBucket", "");
                w.leaf("LogPrefix", "");
            });
        });
    })))
}

/// GetBucketStat. It counts, and of a generated bucket with millions of keys that takes its time.
pub(super) fn stat(call: &Call<'_>) -> Result<Reply, Failure> {
    let bucket = call.bucket()?;
    let (mut bytes, mut objects, mut markers) = (0_u64, 0_u64, 0_u64);
    bucket.walk_versions(VersionStart { least: "", behind: None }, |_, version| {
        match version.facts {
            Some(object) => {
                bytes += object.size;
                objects += 1;
            }
            None => markers += 1,
        }
        Walk::On
    });
    Ok(Reply::xml(document(call, "BucketStat", |w| {
        w.leaf("Storage", bytes);
        w.leaf("ObjectCount", objects);
        w.leaf("MultipartUploadCount", bucket.uploads.lock().iter().count());
        w.leaf("LiveChannelCount", 0);
        w.leaf("LastModifiedTime", call.now.seconds);
        w.leaf("StandardStorage", bytes);
        w.leaf("StandardObjectCount", objects);
        w.leaf("DeleteMarkerCount", markers);
    })))
}

/// Answers GetBucketAcl and GetObjectAcl.
pub(super) fn acl(call: &Call<'_>) -> Result<Reply, Failure> {
    let bucket = call.bucket()?;
    if call.request.key.is_some() {
        call.find(&bucket)?;
    }
    if call.dialect() == Dialect::S3 {
        return Err(not_implemented("Reading the ACL in the S3 dialect"));
    }
    let grant = if call.request.key.is_some() { "default" } else { grant(call, &bucket.name) };
    Ok(Reply::xml(document(call, "AccessControlPolicy", |w| {
        owner(w);
        w.within("AccessControlList", |w| w.leaf("Grant", grant));
    })))
}
