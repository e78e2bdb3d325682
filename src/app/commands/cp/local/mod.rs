//! Copies of objects to files of this machine.
//!
//! | file | what it owns |
//! |---|---|
//! | `names` | where the objects below a prefix go |
//! | `object` | brings one object into a file |
//! | `parts` | the parts of an object: where they lie, which have come, and the checksum of all |
//! | `report` | how the progress is printed |
//! | `tree` | copies all objects below a prefix |

mod names;
mod object;
mod parts;
mod report;
mod tree;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use clap::ArgMatches;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

pub(in crate::app::commands) use self::object::ObjectVersion;
use self::object::{Fetching, fetch, is_damaged};
use self::report::{Counts, LocalReport, NotCopied};
use super::args::Operand;
use crate::app::commands::bulk_runtime;
use crate::app::daemon::{log, reach};
use crate::app::sources::Given;
use crate::app::variable;
use crate::base::{ByteSize, Clock, Key, Timestamp};
use crate::config::{self, BucketUrl, Name, Problem, Result};
use crate::files::{Beneath, Existing};
use crate::fuse;
use crate::metrics::Metrics;
use crate::store::{self, Connected, ErrorKind, HeadRequest, Store};
use crate::tree::{NameRole, OddKeys, name_path};

/// How long a server may refuse to answer before a command says that there is none.
const FIRST_BUDGET: Duration = Duration::from_secs(9);

/// What is to be done with files that are there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum OnExisting {
    Refuse,
    Replace,
    /// Those of the same size and time of the last change stay; others are refused.
    Skip,
}

/// What a command asks for.
#[derive(Debug)]
struct LocalCopy {
    url: BucketUrl,
    etag: Option<crate::base::ETag>,
    at: Option<Timestamp>,
    on_existing: OnExisting,
    odd_keys: OddKeys,
    is_json: bool,
    part_bytes: u64,
}

/// The local path that a copy goes to; `None` where the destination is a URL or lies in a live mount.
pub(super) fn destination(matches: &ArgMatches) -> Option<PathBuf> {
    let path = matches.get_one::<PathBuf>("dst")?;
    let is_url = path.to_str().is_some_and(BucketUrl::is_url);
    (!is_url && !is_in_mount(path)).then(|| path.clone())
}

/// Fails for a source on this machine, which is what a copy into the bucket would begin with.
pub(super) fn refuse_local_source(matches: &ArgMatches) -> Result<()> {
    let Some(path) = matches.get_one::<PathBuf>("src") else { return Ok(()) };
    let is_url = path.to_str().is_some_and(BucketUrl::is_url);
    if is_url || path.symlink_metadata().is_err() || is_in_mount(path) {
        return Ok(());
    }
    Err(Problem::usage(format!(
        "{} is on this machine, and ossmount uploads nothing: SRC is a URL such as oss://bucket/key, or a path in a \
         live mount",
        path.display()
    )))
}

/// Whether what exists of a path lies in a mount of this program.
fn is_in_mount(path: &Path) -> bool {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let Some(there) = path.ancestors().find_map(|above| above.canonicalize().ok()) else { return false };
    fuse::mounts().is_ok_and(|mounts| mounts.iter().any(|mount| there.starts_with(&mount.dir)))
}

/// Copies an object, or all below a prefix, to a local path.
pub(super) fn run(matches: &ArgMatches, given: &Given, source: &Operand, to: &Path) -> Result<()> {
    let options = config::resolve_store(&given.raw, &source.url, &variable)?;
    let copy = LocalCopy {
        url: source.url.clone(),
        etag: super::args::if_match(matches, source)?,
        at: config::resolve_at(&given.raw)?.map(|moment| moment.before(Clock::system().now())),
        on_existing: match (matches.get_flag("force"), matches.get_flag("skip-existing")) {
            (true, _) => OnExisting::Replace,
            (false, true) => OnExisting::Skip,
            (false, false) => OnExisting::Refuse,
        },
        odd_keys: match given.raw.text(Name::OddKeys) {
            Some("escape") => OddKeys::Escape,
            _ => OddKeys::Hide,
        },
        is_json: matches.get_flag("json"),
        part_bytes: part_bytes(given),
    };
    let listing = config::resolve_list(&given.raw)?;
    log::start_quietly(&given.raw)?;
    let is_recursive = matches.get_flag("recursive");
    bulk_runtime()?.block_on(async {
        match is_recursive {
            true => tree::copied(copy, options, &listing, to).await,
            false => copied(copy, options, to).await,
        }
    })
}

/// The size of the parts of a large object.
pub(in crate::app::commands) fn part_bytes(given: &Given) -> u64 {
    let text = given.raw.text(Name::PartSize).unwrap_or_default();
    // It was checked when it was given.
    text.parse::<ByteSize>().map_or(8 << 20, |size| size.0)
}

/// Copies one object to a file.
async fn copied(copy: LocalCopy, options: store::Options, to: &Path) -> Result<()> {
    refuse_directory(&copy.url)?;
    let (root, name, file) = target(&copy, to)?;
    let (connected, version) = look(options.clone(), &copy.url, copy.at, copy.etag.clone()).await?;
    let fetching = copy.fetching(reach::viewed(&connected, copy.at), &options);
    let counts = Arc::new(Counts { total: 1, ..Counts::default() });
    let mut report = copy.report(file.display().to_string(), (version.size, counts.clone()), &fetching);
    let key = version.key.as_str().to_owned();
    let brought = report.during(copy.bring(&fetching, Arc::new(version), (&root, &name), &counts)).await?;
    let failures = brought.err().map(|problem| NotCopied { key, problem });
    report.end(failures.as_slice())
}

/// The folder that an object is copied to, its name there, and both as a path. A folder that is named as one is made.
fn target(copy: &LocalCopy, to: &Path) -> Result<(Beneath, String, PathBuf)> {
    let fail = |why: &str| Problem::failure(format!("{}: {why}", to.display()));
    let (key, _) = copy.url.key_and_version();
    let is_directory = to.is_dir() || to.as_os_str().as_encoded_bytes().ends_with(b"/");
    if is_directory {
        let name = key.rsplit('/').next().unwrap_or(key);
        let names = name_path(name, NameRole::File, copy.odd_keys).ok_or_else(|| {
            Problem::failure(format!("{name:?} cannot be the name of a file: name one, or use --odd-keys=escape"))
        })?;
        let name = names.join("/");
        return Ok((opened(to)?, name.clone(), to.join(name)));
    }
    let name = to.file_name().ok_or_else(|| fail("is not the name of a file"))?;
    let name = name.to_str().ok_or_else(|| fail("the name is not UTF-8"))?;
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = Beneath::open(parent).map_err(|error| not_opened(parent, &error))?;
    Ok((folder, name.to_owned(), to.to_owned()))
}

/// A folder to copy into, which is made where the one above it is there.
fn opened(root: &Path) -> Result<Beneath> {
    Beneath::open_or_make(root).map_err(|error| not_opened(root, &error))
}

fn not_opened(root: &Path, error: &std::io::Error) -> Problem {
    match error.kind() {
        std::io::ErrorKind::NotFound => Problem::failure(format!("{}: no such file or directory", root.display())),
        _ => Problem::failure(format!("{} cannot be written to: {error}", root.display())),
    }
}

/// Finds out which version of an object is there, with little patience for a server that is not.
pub(in crate::app::commands) async fn look(
    options: store::Options,
    url: &BucketUrl,
    at: Option<Timestamp>,
    etag: Option<crate::base::ETag>,
) -> Result<(Connected, ObjectVersion)> {
    let (metrics, clock) = (Arc::new(Metrics::default()), Clock::system());
    refuse_directory(url)?;
    let (key, version) = url.key_and_version();
    if at.is_some() {
        reach::reach(options.clone(), (key, at), &metrics, &clock).await?;
    }
    let mut hurried = options.clone();
    hurried.retry.budget = FIRST_BUDGET;
    let first = reach::connect(hurried, &metrics, &clock)?;
    let request = HeadRequest { key: Key::new(key), version: version.map(str::to_owned) };
    let meta = match reach::viewed(&first, at).head(request).await {
        Ok(meta) => meta,
        Err(error) => return Err(refused(&first, url, at, &error).await),
    };
    if let Some(wanted) = &etag
        && meta.etag.as_ref() != Some(wanted)
    {
        return Err(Problem::failure(format!("{url} does not have the requested entity tag")));
    }
    let version = ObjectVersion {
        key: Key::new(key),
        version: version.map(str::to_owned).or(meta.version.filter(|_| at.is_some())),
        etag: meta.etag,
        size: meta.size,
        modified: meta.last_modified,
    };
    Ok((reach::connect(options, &metrics, &clock)?, version))
}

/// Fails for a URL that cannot be that of an object.
fn refuse_directory(url: &BucketUrl) -> Result<()> {
    let (key, _) = url.key_and_version();
    match key.is_empty() || key.ends_with('/') {
        true => Err(Problem::usage(is_a_directory(url))),
        false => Ok(()),
    }
}

/// For commands that bring one object.
fn is_a_directory(url: &BucketUrl) -> String {
    format!("{url} is a directory: name an object, or copy all below it with cp -r")
}

/// Why an object cannot be looked at. The answer to a HEAD has no body that tells a missing bucket from a missing key.
async fn refused(connected: &Connected, url: &BucketUrl, at: Option<Timestamp>, error: &store::Error) -> Problem {
    let (bucket, endpoint) = (url.bucket.as_str(), connected.endpoint.as_str());
    match error.kind() {
        ErrorKind::NotFound => {
            let below = crate::list::any_below(&*reach::viewed(connected, at), &url.directory()).await;
            match below {
                Ok(true) => Problem::failure(is_a_directory(url)),
                Err(error) if error.kind() == ErrorKind::NoSuchBucket => reach::explain(&error, bucket, endpoint),
                _ => Problem::failure(format!("object {url} does not exist")),
            }
        }
        ErrorKind::AccessDenied if error.code().is_none() => {
            Problem::failure(format!("{url}: access is denied at {endpoint}: allow this key to read the object"))
        }
        ErrorKind::NoSuchBucket
        | ErrorKind::WrongRegion
        | ErrorKind::AccessDenied
        | ErrorKind::Credentials
        | ErrorKind::ClockSkew
        | ErrorKind::Network
        | ErrorKind::Timeout => reach::explain(error, bucket, endpoint),
        _ => Problem::failure(format!("{url}: {error}")),
    }
}

impl LocalCopy {
    fn fetching(&self, store: Arc<dyn Store>, options: &store::Options) -> Arc<Fetching> {
        Arc::new(Fetching {
            store,
            places: Arc::new(Semaphore::new(options.connections.now())),
            part_bytes: self.part_bytes,
            done_bytes: AtomicU64::default(),
        })
    }

    fn report(&self, to: String, total: (u64, Arc<Counts>), fetching: &Arc<Fetching>) -> LocalReport {
        LocalReport::new(self.is_json, (self.url.clone(), to), total, fetching.clone())
    }

    /// Brings one object to its file.
    async fn bring(
        &self,
        fetching: &Arc<Fetching>,
        version: Arc<ObjectVersion>,
        (root, path): (&Beneath, &str),
        counts: &Counts,
    ) -> Result<()> {
        let local = |error: std::io::Error| Problem::failure(format!("{path} cannot be written: {error}"));
        let modified = version.modified.and_then(system_time);
        let existing = match root.held(path).map_err(local)? {
            None => Existing::Keep,
            Some(_) if self.on_existing == OnExisting::Replace => Existing::Replace,
            Some(Ok(facts)) if self.on_existing == OnExisting::Skip => {
                if facts.size == version.size && modified == Some(facts.modified) {
                    counts.skipped.fetch_add(1, Ordering::Relaxed);
                    return Ok(());
                }
                return Err(Problem::failure(format!("{path} exists and is another version: --force replaces it")));
            }
            Some(Ok(_)) => return Err(Problem::failure(format!("{path} exists: --force replaces it"))),
            Some(Err(kind)) => return Err(Problem::failure(format!("{path} is {kind}"))),
        };
        let landing = root.land(path, &self.id(&version, path)).map_err(local)?;
        match fetch(fetching, &version, &landing).await {
            Ok(_) => landing.put(existing, modified).map_err(local)?,
            // Parts that have come are gone on with by the same command.
            Err(problem) if version.size > self.part_bytes && !is_damaged(&problem) => return Err(problem),
            Err(problem) => {
                landing.discard();
                return Err(problem);
            }
        }
        counts.done.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Tells apart what may not be mixed in one file. Without an entity tag nothing tells versions apart.
    fn id(&self, version: &ObjectVersion, path: &str) -> String {
        let Some(etag) = &version.etag else { return format!("{:032x}", rand::random::<u128>()) };
        let name = path.rsplit('/').next().unwrap_or(path);
        let bucket = self.url.bucket.as_str();
        let of = (bucket, version.key.as_str(), version.version.as_deref(), etag.as_str(), version.size, name);
        hex::encode(&Sha256::digest(format!("{of:?}"))[..16])
    }
}

fn system_time(time: Timestamp) -> Option<SystemTime> {
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(time.seconds).ok()?))
}
