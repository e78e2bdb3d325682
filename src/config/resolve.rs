//! From the given values to the `Options` of each room.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::choices::Payer;
use super::credentials::{self, Asked};
use super::listen::MetricsListen;
use super::machine::{Machine, MemoryShares};
use super::near::{resolve_near, resolve_proven_from};
use super::problem::{Problem, Result};
use super::raw::Raw;
use super::run::{ControlSocket, Log, Run};
use super::table::Name;
use super::url::BucketUrl;
use super::value::{self, Moment};
use super::words::Words;
use crate::store::Connections;
use crate::{cache, copy, fs, fuse, list, read, store};

/// Everything a mount needs, in the terms of each room.
#[derive(Clone, Debug)]
pub struct Mounting {
    /// The bucket and how to reach it.
    pub store: store::Options,
    /// How files are read.
    pub read: read::Options,
    /// How the tree looks. The mount's time is left to the caller.
    pub fs: fs::Options,
    /// How copies are made.
    pub copy: copy::Options,
    /// Which objects copies may touch; `None` where none are made.
    pub copy_reach: Option<copy::Reach>,
    /// As of which time the bucket is shown; `None` means now.
    pub at: Option<Moment>,
    /// The buckets to show where the URL names none: these, or all where there are none; `None` where it names one.
    pub buckets: Option<Vec<String>>,
    /// What is kept on disk.
    pub disk: cache::DiskOptions,
    /// How the kernel is served.
    pub fuse: fuse::Options,
    /// How the daemon runs.
    pub run: Run,
}

/// Resolves everything for a mount of `url`. Relative paths stay relative where [`Raw::set_directory`] was not called.
pub fn resolve(
    raw: &Raw,
    words: Words,
    url: &BucketUrl,
    machine: Machine,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Mounting> {
    let store = resolve_store(raw, url, variable)?;
    with_store(raw, words, url, machine, store)
}

/// The same for no bucket yet: everything but what depends on one is checked.
pub(super) fn resolve_without_bucket(raw: &Raw, words: Words, machine: Machine) -> Result<Mounting> {
    let url: BucketUrl = "oss://bucket".parse()?;
    let mut store = store::Options::new(url.dialect, url.bucket.clone());
    resolve_way(raw, &mut store)?;
    with_store(raw, words, &url, machine, store)
}

fn with_store(raw: &Raw, words: Words, url: &BucketUrl, machine: Machine, store: store::Options) -> Result<Mounting> {
    let store = store::Options { near: resolve_near(raw)?, ..store };
    let proven_from = resolve_proven_from(raw, store.near.as_ref(), url.dialect)?;
    let read = read::Options { proven_from, ..resolve_read(raw, machine, store.connections.clone())? };
    let fs = resolve_fs(raw, url, machine)?;
    let copy = resolve_copy(raw)?;
    let fuse = resolve_fuse(raw, words)?;
    let buckets = resolve_buckets(raw, url)?;
    let copy_reach = resolve_copy_reach(raw, url, &fuse)?.filter(|_| buckets.is_none());
    let (disk, at, run) = (resolve_disk(raw, &store)?, resolve_at(raw)?, resolve_run(raw)?);
    Ok(Mounting { store, read, fs, copy, copy_reach, at, buckets, disk, fuse, run })
}

/// Resolves what it takes to reach a bucket.
pub fn resolve_store(
    raw: &Raw,
    url: &BucketUrl,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<store::Options> {
    let mut options = store::Options::new(url.dialect, url.bucket.clone());
    resolve_way(raw, &mut options)?;
    if options.sign == store::Sign::V1 && url.dialect == store::Dialect::S3 {
        let place = raw.describe(Name::Sign);
        return Err(Problem::usage(format!("{place}: v1 is an OSS signature; use v4 or none with s3://")));
    }
    let (dialect, bucket) = (url.dialect, url.bucket.as_str());
    options.credentials = credentials::source(raw, &Asked { dialect, sign: options.sign, bucket, variable })?;
    Ok(options)
}

/// How the service is reached, which does not depend on the bucket.
fn resolve_way(raw: &Raw, options: &mut store::Options) -> Result<()> {
    refuse_two_ways(raw)?;
    options.endpoint = raw.text(Name::Endpoint).map(str::to_owned);
    options.region = raw.text(Name::Region).map(str::to_owned);
    options.addressing = raw.choice(Name::Addressing)?;
    options.internal = raw.switch(Name::Internal)?;
    options.accelerate = raw.switch(Name::Accelerate)?;
    options.dual_stack = raw.switch(Name::DualStack)?;
    options.sign = raw.choice(Name::Sign)?;
    options.request_payer = raw.choice::<Payer>(Name::RequestPayer)? == Payer::Requester;
    options.ca_bundle = raw.path(Name::CaBundle);
    options.proxy = read_each(raw, Name::Proxy, raw.text(Name::Proxy))?.pop();
    options.bind = read_each(raw, Name::Bind, raw.list(Name::Bind))?;
    options.connections = connections(raw)?;
    options.max_bandwidth = raw.read(Name::MaxBandwidth, value::size)?;
    Ok(())
}

/// An endpoint and each of the words that choose one of the region's exclude each other.
fn refuse_two_ways(raw: &Raw) -> Result<()> {
    let chosen = |name: Name| raw.switch(name).map(|on| on.then_some(name));
    let choices = [chosen(Name::Internal)?, chosen(Name::Accelerate)?, chosen(Name::DualStack)?];
    let endpoint = raw.is_given(Name::Endpoint).then_some(Name::Endpoint);
    let ways: Vec<Name> = choices.into_iter().chain([endpoint]).flatten().collect();
    if let [first, second, ..] = ways[..] {
        let (first, second) = (raw.describe(first), raw.describe(second));
        return Err(Problem::usage(format!("{first} and {second} both locate the bucket: give only one of them")));
    }
    if raw.choice::<store::Addressing>(Name::Addressing)? == store::Addressing::Cname && endpoint.is_none() {
        let place = raw.describe(Name::Addressing);
        return Err(Problem::usage(format!(
            "{place}: cname requires endpoint: set it to the domain that is bound to the bucket"
        )));
    }
    Ok(())
}

/// Resolves how buckets are listed.
pub fn resolve_list(raw: &Raw) -> Result<list::Options> {
    let concurrency = raw.required(Name::ListConcurrency, value::count)?;
    Ok(list::Options { concurrency: concurrency as u32, ..list::Options::default() })
}

/// Which buckets a mount shows that names none.
fn resolve_buckets(raw: &Raw, url: &BucketUrl) -> Result<Option<Vec<String>>> {
    let names: Vec<String> = raw.list(Name::Bucket).map(str::to_owned).collect();
    if !url.is_account() && names.is_empty() {
        return Ok(None);
    }
    if !url.is_account() {
        let place = raw.describe(Name::Bucket);
        return Err(Problem::usage(format!(
            "{place} chooses among the buckets of oss:// or s3://, but {url} names one: remove one of them"
        )));
    }
    for name in &names {
        format!("oss://{name}").parse::<BucketUrl>().ok().filter(|url| url.path.is_empty()).ok_or_else(|| {
            Problem::usage(format!("{}: {name:?} is not the name of a bucket", raw.describe(Name::Bucket)))
        })?;
    }
    if raw.is_given(Name::At) {
        let at = raw.describe(Name::At);
        return Err(Problem::usage(format!(
            "{at} shows one bucket as it stood, but {url} names none: name the bucket"
        )));
    }
    Ok(Some(names))
}

/// Resolves as of which time a bucket is shown.
pub fn resolve_at(raw: &Raw) -> Result<Option<Moment>> {
    raw.read(Name::At, Moment::parse)
}

/// What is shown as of a past time never changes.
fn refuse_freshness_of_the_past(raw: &Raw, ttl: Option<Duration>) -> Result<()> {
    if ttl.is_none() || !raw.is_given(Name::MetadataTtl) {
        return Ok(());
    }
    let (at, ttl) = (raw.describe(Name::At), raw.describe(Name::MetadataTtl));
    Err(Problem::usage(format!(
        "{at} shows what never changes, and {ttl} says how long it is believed: remove {ttl}, or set it to indefinite"
    )))
}

/// Resolves how copies are made.
pub fn resolve_copy(raw: &Raw) -> Result<copy::Options> {
    Ok(copy::Options {
        part_bytes: raw.required(Name::CopyPartSize, value::size)?,
        parallel: raw.required(Name::CopyParallel, value::count)?,
        threshold_bytes: raw.required(Name::CopyThreshold, value::size)?,
        left_parts: match raw.switch(Name::LeavePartsOnError)? {
            true => copy::LeftParts::Leave,
            false => copy::LeftParts::Abort,
        },
        shallow: match raw.switch(Name::ShallowCopy)? {
            true => copy::Shallow::Try,
            false => copy::Shallow::Off,
        },
        requests: raw.required(Name::CopyRequests, value::count)?,
    })
}

/// Which objects the copies of a mount may touch. A mount for every user makes none unless it is asked to: a process
/// that is root in a container that sees it must not get the use of its key.
fn resolve_copy_reach(raw: &Raw, url: &BucketUrl, fuse: &fuse::Options) -> Result<Option<copy::Reach>> {
    let is_for_everyone = fuse.access == fuse::Access::Everyone;
    let makes_copies = raw.read(Name::Copy, value::switch)?.unwrap_or(!is_for_everyone);
    let reach = copy::Reach {
        mounted: copy::Area::new(url.bucket.clone(), &url.directory()),
        from: read_each(raw, Name::CopyFrom, raw.list(Name::CopyFrom))?,
        to: read_each(raw, Name::CopyTo, raw.list(Name::CopyTo))?,
    };
    Ok(makes_copies.then_some(reach))
}

/// Resolves how the process runs and logs.
pub fn resolve_run(raw: &Raw) -> Result<Run> {
    let replay = raw.path(Name::Replay);
    if replay.is_some() && raw.choice::<read::Prefetch>(Name::Prefetch)? == read::Prefetch::Off {
        let (replay, prefetch) = (raw.describe(Name::Replay), raw.describe(Name::Prefetch));
        return Err(Problem::usage(format!(
            "{replay} prefetches, but {prefetch}=off disables prefetching: give only one of them"
        )));
    }
    Ok(Run {
        record: raw.path(Name::Record),
        replay,
        foreground: raw.switch(Name::Foreground)?,
        log: Log {
            level: raw.text(Name::LogLevel).unwrap_or("info").to_owned(),
            file: raw.path(Name::LogFile),
            file_bytes: raw.read(Name::LogFileSize, value::size)?,
            file_count: raw.required(Name::LogFileCount, value::count)?,
            format: raw.choice(Name::LogFormat)?,
        },
        pid_file: raw.path(Name::PidFile),
        control_socket: match (raw.text(Name::ControlSocket), raw.path(Name::ControlSocket)) {
            (Some("off"), _) => ControlSocket::Off,
            (_, Some(path)) => ControlSocket::At(path),
            (_, None) => ControlSocket::Automatic,
        },
        fuse_fd: raw.read(Name::FuseFd, value::descriptor)?,
        metrics_listen: raw
            .read(Name::MetricsListen, MetricsListen::parse)?
            .map(|listen| listen.map_path(|path| raw.path_from(path))),
        supervise: raw.switch(Name::Supervise)?,
        drain_timeout: raw.required(Name::DrainTimeout, value::parse_time)?,
    })
}

fn resolve_disk(raw: &Raw, store: &store::Options) -> Result<cache::DiskOptions> {
    let dirs: Vec<PathBuf> = raw.list(Name::CacheDir).map(|dir| raw.path_from(PathBuf::from(dir))).collect();
    for name in [Name::CacheSize, Name::CacheFree] {
        if dirs.is_empty() && raw.is_given(name) {
            let place = raw.describe(name);
            return Err(Problem::usage(format!("{place} needs a directory: give cache-dir too, or remove {place}")));
        }
    }
    Ok(cache::DiskOptions {
        dirs,
        size_bytes: raw.read(Name::CacheSize, value::size)?,
        free_bytes: raw.read(Name::CacheFree, value::size)?,
        takes_any: raw.switch(Name::CacheDirAny)?,
        origin: store::origin(store),
    })
}

/// How memory is shared out.
fn resolve_memory(raw: &Raw, machine: Machine) -> Result<MemoryShares> {
    let given = |name| raw.required(name, |text| value::or_word(text, "auto", value::size));
    let (buffers, names) = (given(Name::MemoryLimit)?, given(Name::MetadataMemory)?);
    Ok(MemoryShares::of(machine.memory, buffers, names))
}

fn resolve_read(raw: &Raw, machine: Machine, connections: Connections) -> Result<read::Options> {
    let part_bytes = raw.required(Name::PartSize, value::size)?;
    let memory_limit = resolve_memory(raw, machine)?.buffers;
    Ok(read::Options {
        prefetch: raw.choice(Name::Prefetch)?,
        prefetch_threshold: raw.required(Name::PrefetchThreshold, value::size)?,
        prefetch_parts: raw.required(Name::PrefetchParts, |text| value::or_word(text, "auto", value::count))?,
        part_bytes,
        connections,
        memory_limit,
        verify: raw.choice(Name::Verify)?,
        memory_cache: raw.choice(Name::MemoryCache)?,
        passthrough: raw.choice(Name::Passthrough)?,
        proven_from: None,
    })
}

fn resolve_fs(raw: &Raw, url: &BucketUrl, machine: Machine) -> Result<fs::Options> {
    let mut options = fs::Options::new(url.bucket.clone());
    options.prefix = url.directory();
    let ttl = raw.required(Name::MetadataTtl, |text| value::or_word(text, "indefinite", value::parse_time))?;
    options.metadata_ttl = match ttl {
        None => fs::Ttl::Indefinite,
        Some(Duration::ZERO) => fs::Ttl::EachOpen,
        Some(ttl) => fs::Ttl::For(ttl),
    };
    options.negative_ttl = raw.required(Name::NegativeTtl, value::parse_time)?;
    options.list = resolve_list(raw)?;
    options.listing = raw.choice(Name::Listing)?;
    if raw.is_given(Name::At) {
        refuse_freshness_of_the_past(raw, ttl)?;
        options.metadata_ttl = fs::Ttl::Indefinite;
        if !raw.is_given(Name::Listing) {
            options.listing = fs::ListingMode::Eager;
        }
    }
    let memory = resolve_memory(raw, machine)?;
    options.metadata_bytes = memory.names;
    (options.allowed_bytes, options.reserved_bytes) = (memory.allowed, memory.reserved);
    options.odd_keys = raw.choice(Name::OddKeys)?;
    options.symlinks = if raw.switch(Name::Symlinks)? { fs::Symlinks::On } else { fs::Symlinks::Off };
    options.owner = machine.uid;
    options.uid = raw.read(Name::Uid, value::id)?.unwrap_or(machine.uid);
    options.gid = raw.read(Name::Gid, value::id)?.unwrap_or(machine.gid);
    options.file_mode = raw.required(Name::FileMode, value::mode)?;
    options.dir_mode = raw.required(Name::DirMode, value::mode)?;
    options.direct_io = raw.choice(Name::DirectIo)?;
    options.keep_page_cache = match raw.switch(Name::KeepPageCache)? {
        true => fs::KeepPageCache::On,
        false => fs::KeepPageCache::Off,
    };
    Ok(options)
}

fn resolve_fuse(raw: &Raw, words: Words) -> Result<fuse::Options> {
    let access = match (raw.switch(Name::AllowOther)?, raw.switch(Name::AllowRoot)?) {
        (true, true) => {
            let (other, root) = (raw.describe(Name::AllowOther), raw.describe(Name::AllowRoot));
            return Err(Problem::usage(format!("{other} and {root} exclude each other: give only one of them")));
        }
        (true, false) => fuse::Access::Everyone,
        (false, true) => fuse::Access::OwnerAndRoot,
        (false, false) => fuse::Access::Owner,
    };
    let nonempty = raw.switch(Name::NonEmpty)?;
    let control_xattr = raw.switch(Name::ControlXattr)?;
    if control_xattr && access == fuse::Access::Everyone {
        let (xattr, other) = (raw.describe(Name::ControlXattr), raw.describe(Name::AllowOther));
        return Err(Problem::usage(format!(
            "{xattr} disables the kernel's check of permissions, so that it excludes {other}: remove {xattr}, and send \
             control requests by ioctl or on the control socket"
        )));
    }
    let kernel_read_only = !control_xattr;
    Ok(fuse::Options {
        access,
        nonempty,
        kernel_read_only,
        noexec: words.noexec,
        bridge: raw.choice(Name::Bridge)?,
        bridge_min_bytes: raw.required(Name::BridgeMin, value::size)?,
        read_ahead_kib: (raw.required(Name::KernelReadAhead, value::size)? >> 10) as u32,
        max_request_bytes: raw.required(Name::KernelMaxRequest, value::size)?,
        ..fuse::Options::default()
    })
}

/// Reads texts that a room knows how to read.
fn read_each<'a, T: FromStr<Err = String>>(
    raw: &Raw,
    name: Name,
    texts: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<T>> {
    let read = |text: &str| text.parse().map_err(|what| Problem::usage(format!("{}: {what}", raw.describe(name))));
    texts.into_iter().map(read).collect()
}

fn connections(raw: &Raw) -> Result<Connections> {
    let given = raw.required(Name::MaxConnections, |text| value::or_word(text, "auto", value::count))?;
    // A listing gets as many as it was given.
    let listing = resolve_list(raw)?.concurrency as usize;
    Ok(given.map_or_else(|| Connections::automatic(listing), Connections::fixed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Caller;
    use crate::config::LogFormat;
    use crate::store::credentials::Source;

    const MACHINE: Machine = Machine { memory: 8 << 30, installed: 8 << 30, uid: 7, gid: 8 };

    fn resolved(url: &str, words: &str) -> Result<Mounting> {
        let mut raw = Raw::default();
        let mut mount_words = Words::default();
        mount_words.read(words, &mut raw, Caller::Person)?;
        let keys = |name: &str| name.contains("ACCESS_KEY").then(|| OsString::from("k"));
        resolve(&raw, mount_words, &url.parse()?, MACHINE, &keys)
    }

    #[test]
    fn defaults_are_those_of_the_rooms() {
        let mounting = resolved("oss://b/p", "").unwrap();
        let ours = format!("{:?}", mounting.read);
        let theirs = read::Options { memory_limit: 2 << 30, ..read::Options::default() };
        assert_eq!(ours, format!("{theirs:?}"));
        assert_eq!(mounting.store.bucket.as_str(), "b");
        assert!(matches!(mounting.store.credentials, Source::Static(_)));
        assert_eq!(mounting.run.drain_timeout, Duration::from_secs(10));
    }

    #[test]
    fn words_reach_their_rooms() {
        let words = "endpoint=http://h:1,region=r,addressing=path,sign=v1,request-payer=requester,\
                     max-connections=3,memory-limit=1GiB,part-size=2MiB,prefetch=open,verify=off,log-format=json,\
                     drain-timeout=500ms,memory-cache=off,passthrough=off,prefetch-threshold=1MiB,prefetch-parts=4,\
                     max-bandwidth=10MiB,record=/r,replay=p,bridge=auto,bridge-min=9MiB,\
                     kernel-read-ahead=4MiB,kernel-max-request=2MiB";
        let mounting = resolved("oss://b", words).unwrap();
        let store = &mounting.store;
        assert_eq!((store.endpoint.as_deref(), store.region.as_deref()), (Some("http://h:1"), Some("r")));
        assert_eq!((store.addressing, store.sign), (store::Addressing::Path, store::Sign::V1));
        assert!(store.request_payer && !store.accelerate && !store.internal);
        assert!(resolved("oss://b", "region=r,internal").unwrap().store.internal);
        let ways = resolved("oss://b", "region=r,proxy=http://u:p@h:3128,bind=eth0,bind=10.0.0.1").unwrap().store;
        assert_eq!(ways.proxy.unwrap().to_string(), "http://h:3128");
        assert_eq!(ways.bind.iter().map(store::Bind::to_string).collect::<Vec<_>>(), ["eth0", "10.0.0.1"]);
        let bound = resolved("oss://b", "endpoint=https://data.example.com,region=r,addressing=cname").unwrap();
        assert_eq!(bound.store.addressing, store::Addressing::Cname);
        assert_eq!((mounting.fuse.bridge, mounting.fuse.bridge_min_bytes), (fuse::BridgeUse::Auto, 9 << 20));
        assert_eq!((mounting.fuse.read_ahead_kib, mounting.fuse.max_request_bytes), (4096, 2 << 20));
        let read = &mounting.read;
        assert_eq!((read.connections.most(), read.memory_limit, read.part_bytes), (3, 1 << 30, 2 << 20));
        assert_eq!((read.prefetch_threshold, read.prefetch_parts), (1 << 20, Some(4)));
        assert_eq!(store.max_bandwidth, Some(10 << 20));
        assert_eq!((read.prefetch, read.verify), (read::Prefetch::Open, read::Verify::Off));
        assert_eq!((read.memory_cache, read.passthrough), (read::MemoryCache::Off, read::Passthrough::Off));
        let (record, replay) = (mounting.run.record.as_deref(), mounting.run.replay.as_deref());
        assert_eq!((record, replay), (Some("/r".as_ref()), Some("p".as_ref())));
        assert_eq!(mounting.run.log.format, LogFormat::Json);
        assert_eq!(mounting.run.drain_timeout, Duration::from_millis(500));
    }

    #[test]
    fn the_tree_and_the_kernel_side_are_set() {
        let fs = resolved("oss://b/p", "").unwrap().fs;
        let mut expected = fs::Options::new(crate::base::BucketName::new("b"));
        (expected.prefix, expected.owner, expected.uid, expected.gid) = ("p/".to_owned(), 7, 7, 8);
        expected.metadata_bytes = 1 << 30;
        (expected.allowed_bytes, expected.reserved_bytes) = (8 << 30, (1 << 30) + (16 << 20));
        assert_eq!(format!("{fs:?}"), format!("{expected:?}"));

        let words = "metadata-ttl=0,negative-ttl=0,odd-keys=escape,symlinks,uid=1,gid=2,file-mode=0440,dir-mode=0550,\
                     direct-io=off,keep-page-cache=off,allow_other,nonempty,noexec,listing=eager,list-concurrency=7,\
                     metadata-memory=32MiB";
        let mounting = resolved("oss://b", words).unwrap();
        let fs = &mounting.fs;
        assert_eq!((fs.metadata_ttl, fs.negative_ttl), (fs::Ttl::EachOpen, Duration::ZERO));
        assert_eq!((fs.odd_keys, fs.symlinks), (fs::OddKeys::Escape, fs::Symlinks::On));
        assert_eq!((fs.uid, fs.gid, fs.file_mode, fs.dir_mode), (1, 2, 0o440, 0o550));
        assert_eq!((fs.direct_io, fs.keep_page_cache), (fs::DirectIo::Off, fs::KeepPageCache::Off));
        assert_eq!((fs.listing, fs.list.concurrency, fs.metadata_bytes), (fs::ListingMode::Eager, 7, 32 << 20));
        let fuse = &mounting.fuse;
        assert!(fuse.access == fuse::Access::Everyone && fuse.nonempty && fuse.noexec);
        let frozen = resolved("oss://b", "metadata-ttl=indefinite,allow-root").unwrap();
        assert_eq!((frozen.fs.metadata_ttl, frozen.fuse.access), (fs::Ttl::Indefinite, fuse::Access::OwnerAndRoot));
    }

    #[test]
    fn a_view_of_the_past_never_changes_and_is_listed_whole() {
        let mounting = resolved("oss://b", "at=2024-02-29T12:00:00Z").unwrap();
        assert_eq!(mounting.at, Some(Moment::At(crate::base::Timestamp::from_unix(1_709_208_000))));
        assert_eq!((mounting.fs.metadata_ttl, mounting.fs.listing), (fs::Ttl::Indefinite, fs::ListingMode::Eager));
        let lazy = resolved("oss://b", "at=3d,listing=lazy,metadata-ttl=indefinite").unwrap();
        assert_eq!(lazy.fs.listing, fs::ListingMode::Lazy);
        assert_eq!(resolved("oss://b", "").unwrap().at, None);
    }

    #[test]
    fn copies_are_made_as_told() {
        assert_eq!(resolved("oss://b", "").unwrap().copy, copy::Options::default());
        let words = "copy-part-size=1MiB,copy-parallel=5,copy-threshold=0,leave-parts-on-error,shallow-copy=off,\
                     copy-requests=7";
        let expected = copy::Options {
            part_bytes: 1 << 20,
            parallel: 5,
            threshold_bytes: 0,
            left_parts: copy::LeftParts::Leave,
            shallow: copy::Shallow::Off,
            requests: 7,
        };
        assert_eq!(resolved("oss://b", words).unwrap().copy, expected);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (url, words, says) in [
            ("s3://b", "sign=v1", "use v4 or none with s3://"),
            ("oss://b", "part-size=1KiB", "the minimum is 1MiB"),
            ("oss://b", "part-size=2GiB", "the maximum is 1GiB"),
            ("oss://b", "max-bandwidth=100KiB", "the minimum is 1MiB"),
            ("oss://b", "prefetch-threshold=2GiB", "the maximum is 1GiB"),
            ("oss://b", "memory-limit=1MiB", "the minimum is 64MiB"),
            ("oss://b", "metadata-memory=1MiB", "the minimum is 16MiB"),
            ("oss://b", "memory-limit=8000000TiB", "memory-limit: the maximum is 16TiB"),
            ("oss://b", "metadata-memory=17TiB", "the maximum is 16TiB"),
            ("oss://b", "max-connections=1000000000000000000", "max-connections: the maximum is 65535"),
            ("oss://b", "prefetch-parts=65536", "the maximum is 65535"),
            ("oss://b", "list-concurrency=1025", "the maximum is 1024"),
            ("oss://b", "list-concurrency=0", "list-concurrency"),
            ("oss://b", "copy-part-size=10KiB", "the minimum is 100KiB"),
            ("oss://b", "copy-threshold=6GiB", "the maximum is 5GiB"),
            ("oss://b", "copy-parallel=1001", "the maximum is 1000"),
            ("oss://b", "copy-requests=1025", "the maximum is 1024"),
            ("oss://b", "allow-other,allow-root", "give only one of them"),
            ("oss://b", "internal,endpoint=h", "-o internal and -o endpoint both locate"),
            ("oss://b", "proxy=socks5://u:hush@h", "-o proxy: only proxies with http://"),
            ("oss://b", "bind=a/b", "-o bind: \"a/b\" is neither an interface"),
            ("oss://b", "accelerate,dual-stack", "-o accelerate and -o dual-stack both locate"),
            ("oss://b", "region=r,addressing=cname", "-o addressing: cname requires endpoint"),
            ("oss://b", "control-xattr,allow-other", "it excludes -o allow-other"),
            ("oss://b", "replay=/f,prefetch=off", "give only one of them"),
            ("oss://b", "at=1h,metadata-ttl=60s", "-o metadata-ttl says how long it is believed"),
            ("oss://b", "bucket=c", "oss://b names one: remove one of them"),
            ("oss://b", "at=yesterday", "-o at: \"yesterday\" is not a time in the past"),
            ("oss://b", "metrics-listen=9464", "127.0.0.1:9464"),
        ] {
            let problem = resolved(url, words).unwrap_err();
            assert!(problem.sentence.contains(says) && problem.code() == 2, "{words}: {problem}");
            assert!(!problem.sentence.contains("hush"), "{problem}");
        }
    }
}
