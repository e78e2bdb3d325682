//! The first request to a bucket: it must be reached, and the credentials accepted, before anything is mounted.

use std::sync::Arc;
use std::time::Duration;

use crate::base::{Clock, Timestamp};
use crate::config::{Problem, Result};
use crate::list::{self, AsOf};
use crate::metrics::Metrics;
use crate::store::{self, BucketEntry, Connected, Error, ErrorKind, Store};

/// How long a bucket may take to answer at the start. The caller of a mount wants to know sooner than a reader
/// in the middle of a file, who is helped by patience.
const PATIENCE: Duration = Duration::from_secs(15);

/// After how long no further try is made within that: the last one must have time to fail by itself, for its error
/// says more than that time ran out; and one that was not answered must leave time for another address.
const RETRY_BUDGET: Duration = Duration::from_secs(9);

/// How long each try may take.
const FIRST_BYTE: Duration = Duration::from_secs(8);

/// What the first request found below its prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::app) enum Below {
    Nothing,
    Something,
}

/// Builds the store and asks the bucket for one key below the prefix.
pub(in crate::app) async fn reach(
    options: store::Options,
    (prefix, at): (&str, Option<Timestamp>),
    metrics: &Arc<Metrics>,
    clock: &Clock,
) -> Result<(Connected, Below)> {
    let below = ask(options.clone(), (prefix, at), metrics, clock).await?;
    Ok((connect(options, metrics, clock)?, below))
}

/// Why the bucket cannot be listed below the prefix; never returns when it can. For commands that list at once, as
/// patiently as a reader, and should still be told soon that no server is there.
pub(in crate::app) async fn failure(
    options: store::Options,
    (prefix, at): (&str, Option<Timestamp>),
    metrics: &Arc<Metrics>,
    clock: &Clock,
) -> Problem {
    match ask(options, (prefix, at), metrics, clock).await {
        Ok(_) => std::future::pending().await,
        Err(problem) => problem,
    }
}

/// Builds the store of several buckets: of these, or of all that the credentials may list where none is named. A life
/// that goes on with a mount takes the names as they are where the service does not answer.
pub(in crate::app) async fn reach_all(
    mut options: store::Options,
    only: &[String],
    (goes_on, metrics, clock): (bool, &Arc<Metrics>, &Clock),
) -> Result<Connected> {
    options.timeouts.first_byte = options.timeouts.first_byte.min(FIRST_BYTE);
    let listed = listed(&options, clock).await?;
    let wanted = |name: &String| BucketEntry { name: name.clone(), ..BucketEntry::default() };
    let buckets = match listed {
        Ok(mut buckets) => {
            buckets.retain(|bucket| only.is_empty() || only.contains(&bucket.name));
            let missing: Vec<&String> =
                only.iter().filter(|name| buckets.iter().all(|bucket| bucket.name != **name)).collect();
            buckets.extend(missing.into_iter().map(wanted));
            buckets
        }
        // Who may read some buckets need not be allowed to list all.
        Err(error) if !only.is_empty() && (goes_on || error.kind() == ErrorKind::AccessDenied) => {
            tracing::warn!(
                "the buckets cannot be listed: {error}; those that are named are taken to be where region says"
            );
            only.iter().map(wanted).collect()
        }
        Err(error) => return Err(explain_account(&error, ", or name them with --bucket")),
    };
    if buckets.is_empty() {
        return Err(Problem::failure("the credentials list no bucket: name some with --bucket"));
    }
    tracing::info!(buckets = buckets.len(), "the mount shows several buckets");
    store::connect_all(options, buckets, metrics.clone(), clock.clone()).map_err(|error| match error.kind() {
        ErrorKind::Invalid => Problem::usage(error.message()),
        _ => Problem::failure(error.to_string()),
    })
}

/// The buckets that the credentials may list.
pub(in crate::app) async fn buckets(mut options: store::Options, clock: &Clock) -> Result<Vec<BucketEntry>> {
    options.timeouts.first_byte = options.timeouts.first_byte.min(FIRST_BYTE);
    listed(&options, clock).await?.map_err(|error| explain_account(&error, ""))
}

/// The answer of the service, unless it takes too long.
async fn listed(options: &store::Options, clock: &Clock) -> Result<store::Result<Vec<BucketEntry>>> {
    let late = |_| Problem::failure(format!("the buckets were not listed within {} s", PATIENCE.as_secs()));
    tokio::time::timeout(PATIENCE, store::list_buckets(options, clock)).await.map_err(late)
}

/// Why the buckets of an account cannot be listed, with what to do, and what else there is to do.
fn explain_account(error: &Error, or_else: &str) -> Problem {
    match error.kind() {
        ErrorKind::Invalid if error.status().is_none() => Problem::usage(error.message()),
        ErrorKind::AccessDenied if error.code() == Some("AccessDenied") => Problem::failure(format!(
            "the buckets cannot be listed: {error}; allow this key to list them (oss:ListBuckets, or \
             s3:ListAllMyBuckets){or_else}"
        )),
        _ => Problem::failure(format!("the buckets cannot be listed: {error}")),
    }
}

/// What is read of a bucket: as it is, or as it stood at a time.
pub(in crate::app) fn viewed(connected: &Connected, at: Option<Timestamp>) -> Arc<dyn Store> {
    match at {
        Some(at) => Arc::new(AsOf::new(connected.store.clone(), at)),
        None => connected.store.clone(),
    }
}

/// Asks for one key, with little patience. Where the bucket is looked at as of a time, that must be one to look at.
async fn ask(
    mut options: store::Options,
    (prefix, at): (&str, Option<Timestamp>),
    metrics: &Arc<Metrics>,
    clock: &Clock,
) -> Result<Below> {
    let bucket = options.bucket.clone();
    options.retry.budget = RETRY_BUDGET;
    options.timeouts.first_byte = options.timeouts.first_byte.min(FIRST_BYTE);
    let hurried = connect(options, metrics, clock)?;
    hurried.credentials_there().await.map_err(|error| explain(&error, bucket.as_str(), &hurried.endpoint))?;
    if let Some(at) = at {
        let checked = AsOf::new(hurried.store.clone(), at).check(prefix, clock.now()).await;
        checked.map_err(|error| match (error.kind(), error.status()) {
            (ErrorKind::Invalid, None) => Problem::usage(error.message()),
            _ => explain(&error, bucket.as_str(), &hurried.endpoint),
        })?;
    }
    first_request(&*viewed(&hurried, at), prefix, bucket.as_str(), &hurried.endpoint).await
}

/// Builds the store without sending a request.
pub(in crate::app) fn connect(options: store::Options, metrics: &Arc<Metrics>, clock: &Clock) -> Result<Connected> {
    store::connect(options, metrics.clone(), clock.clone()).map_err(|error| match error.kind() {
        ErrorKind::Invalid => Problem::usage(error.message()),
        _ => Problem::failure(error.to_string()),
    })
}

async fn first_request(store: &dyn Store, prefix: &str, bucket: &str, endpoint: &str) -> Result<Below> {
    match tokio::time::timeout(PATIENCE, list::any_below(store, prefix)).await {
        Ok(Ok(found)) => Ok(if found { Below::Something } else { Below::Nothing }),
        Ok(Err(error)) => Err(explain(&error, bucket, endpoint)),
        Err(_) => Err(unreachable(endpoint, &format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}

/// A failed request, as one sentence with what to do.
pub(in crate::app) fn explain(error: &Error, bucket: &str, endpoint: &str) -> Problem {
    let code = error.code().unwrap_or_default();
    let said = match error.request_id() {
        Some(id) if !code.is_empty() => format!(" ({code}, request id {id})"),
        _ if !code.is_empty() => format!(" ({code})"),
        _ => String::new(),
    };
    Problem::failure(match error.kind() {
        ErrorKind::NoSuchBucket => {
            format!("bucket {bucket:?} does not exist at {endpoint}{said}: check its name, and the region or endpoint")
        }
        ErrorKind::WrongRegion => {
            format!("bucket {bucket:?} is not at {endpoint}: {}{said}: set region or endpoint to that", error.message())
        }
        ErrorKind::AccessDenied | ErrorKind::Credentials if code == "SignatureDoesNotMatch" => {
            format!("{endpoint} refuses the signature{said}: the access key secret is wrong; correct it")
        }
        ErrorKind::AccessDenied | ErrorKind::Credentials if code.starts_with("InvalidAccessKeyId") => {
            format!(
                "{endpoint} does not know the access key id{said}: check the credentials, and that they are for this \
                 service"
            )
        }
        // The service has said nothing: its source, which the sentence names, has none.
        ErrorKind::Credentials if code.is_empty() => error.message().to_owned(),
        ErrorKind::Credentials => {
            format!("{endpoint} does not accept the credentials: {}{said}: renew them", error.message())
        }
        ErrorKind::AccessDenied if error.cure().is_some() => {
            let cure = error.cure().unwrap_or_default();
            format!("access to the versions in bucket {bucket:?} is denied at {endpoint}{said}: {cure}")
        }
        ErrorKind::AccessDenied => format!(
            "access to bucket {bucket:?} is denied at {endpoint}{said}: allow this key to list it (oss:ListObjects, or \
             s3:ListBucket) and to read its objects, or name a prefix that it may list"
        ),
        ErrorKind::ClockSkew => {
            format!("the clocks of this machine and of {endpoint} differ too much{said}: set the clock")
        }
        ErrorKind::Network | ErrorKind::Timeout => {
            let cause = error.root_cause().map(|cause| format!(": {cause}")).unwrap_or_default();
            if let Some(cure) = error.cure() {
                let what = error.message();
                return Problem::failure(format!("{endpoint} cannot be reached: {what}{cause}: {cure}"));
            }
            return unreachable(endpoint, &error.root_cause().unwrap_or_else(|| error.message().to_owned()));
        }
        _ => format!("bucket {bucket:?} cannot be listed at {endpoint}: {error}"),
    })
}

fn unreachable(endpoint: &str, why: &str) -> Problem {
    Problem::failure(format!("{endpoint} cannot be reached: {why}: check endpoint, region and network"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_says_what_to_do() {
        for (kind, code, says) in [
            (ErrorKind::NoSuchBucket, "NoSuchBucket", "check its name"),
            (ErrorKind::WrongRegion, "AccessDenied", "set region or endpoint"),
            (ErrorKind::AccessDenied, "SignatureDoesNotMatch", "secret is wrong"),
            (ErrorKind::Credentials, "InvalidAccessKeyId", "does not know the access key id"),
            (ErrorKind::Credentials, "SecurityTokenExpired", "renew them"),
            (ErrorKind::AccessDenied, "AccessDenied", "oss:ListObjects, or s3:ListBucket"),
            (ErrorKind::Credentials, "", "what the server says"),
            (ErrorKind::ClockSkew, "RequestTimeTooSkewed", "set the clock"),
            (ErrorKind::Network, "", "cannot be reached: refused: check"),
            (ErrorKind::Server, "InternalError", "cannot be listed"),
        ] {
            let source: Box<dyn std::error::Error + Send + Sync> = "refused".into();
            let error =
                Error::new(kind, "what the server says").with_code(code.to_owned()).with_request_id("5C".to_owned());
            let error = if kind == ErrorKind::Network { error.with_source(Some(source)) } else { error };
            let problem = explain(&error, "b", "http://h");
            assert!(problem.sentence.contains(says), "{kind:?}: {problem}");
            assert!(!problem.sentence.contains('\n') && problem.code() == 1);
        }
        let source: Box<dyn std::error::Error + Send + Sync> = "Connection refused".into();
        let error = Error::new(ErrorKind::Network, "the proxy http://p:1 refuses the connection")
            .with_cure("leave it out")
            .with_source(Some(source));
        assert_eq!(
            explain(&error, "b", "http://h").sentence,
            "http://h cannot be reached: the proxy http://p:1 refuses the connection: Connection refused: leave it out"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_of_keys_that_hangs_is_named_and_not_the_network() {
        use crate::base::{BucketName, Timestamp};
        use crate::store::credentials::Source;

        let mut options = store::Options::new(store::Dialect::Oss, BucketName::new("bucket"));
        options.endpoint = Some("http://127.0.0.1:1".to_owned());
        options.region = Some("cn-hangzhou".to_owned());
        options.credentials = Source::Process("sleep 600 # hush".to_owned());
        let clock = Clock::manual(Timestamp::from_unix(1_709_210_096));
        let problem = ask(options, ("", None), &Arc::default(), &clock).await.unwrap_err();
        let says = "the program of credentials-process (sleep) did not end within 60 s and was killed; run it by hand";
        assert_eq!(problem.sentence, says);
    }
}
