//! The option table: every option that exists, once.

use super::choices::{KeySource, Payer, words};
use super::run::LogFormat;
use super::value::Kind;
use crate::{fs, fuse, read, store};

/// The smallest memory limit that is taken: the windows of a few readers.
const LEAST_MEMORY: u64 = 64 << 20;

/// The smallest memory for names: some 100,000 files.
const LEAST_METADATA_MEMORY: u64 = 16 << 20;

/// The most memory that is taken for a limit: no machine has as much, so that it is a mistake in the unit.
const MOST_MEMORY: u64 = 16 << 40;

/// The lowest bandwidth, in bytes per second: less, and bodies stand still for longer than servers allow.
const LEAST_BANDWIDTH: u64 = 1 << 20;

/// The most requests under way at once: a process has fewer ports to one address.
const MOST_CONNECTIONS: usize = 65_535;

/// What an option is about; the order in which groups are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    /// Where the bucket is.
    Connection,
    /// Which credentials requests are signed with.
    Credentials,
    /// As of which time a versioned bucket is shown.
    View,
    /// How names and attributes look, and for how long they are cached.
    Names,
    /// How the bucket is listed.
    List,
    /// How files are read.
    Read,
    /// What is kept after it was read.
    Cache,
    /// How copies are made.
    Copy,
    /// How the daemon runs.
    Daemon,
}

impl Group {
    /// Every group, in the order in which they are shown.
    pub const ALL: &[Group] = &[
        Group::Connection,
        Group::Credentials,
        Group::View,
        Group::Names,
        Group::List,
        Group::Read,
        Group::Cache,
        Group::Copy,
        Group::Daemon,
    ];

    /// The heading of the group, as in "Connection options".
    pub fn title(self) -> &'static str {
        match self {
            Group::Connection => "Connection",
            Group::Credentials => "Credentials",
            Group::View => "Point-in-time",
            Group::Names => "Names",
            Group::List => "Listing",
            Group::Read => "Reading",
            Group::Cache => "Cache",
            Group::Copy => "Copy",
            Group::Daemon => "Daemon",
        }
    }
}

/// What holds when an option is not given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// The value that holds.
    Default(&'static str),
    /// No value; the text says what happens then.
    Unset(&'static str),
}

impl Standing {
    /// The value, or what happens without one.
    pub fn text(self) -> &'static str {
        match self {
            Standing::Default(text) | Standing::Unset(text) => text,
        }
    }
}

/// Whether SIGHUP changes an option of a live mount.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// Only a new mount takes it over.
    NewMount,
    /// It is taken over at once.
    Live,
    /// It is taken over at once, but by a mount whose view is frozen.
    LiveUnlessFrozen,
}

/// One option of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The key in code.
    pub key: Name,
    /// The name: `--part-size`, `-o part-size=`, `"part-size"` in the file, `OSSMOUNT_PART_SIZE`.
    pub name: &'static str,
    /// What it is about.
    pub group: Group,
    /// The kind of value that it takes.
    pub kind: Kind,
    /// What holds without it.
    pub standing: Standing,
    /// When a change of it is taken over.
    pub change: Change,
    /// What it does, in a sentence or two.
    pub help: &'static str,
}

impl Row {
    /// The default, if there is one.
    pub fn default(&self) -> Option<&'static str> {
        match self.standing {
            Standing::Default(text) => Some(text),
            Standing::Unset(_) => None,
        }
    }

    /// The environment variable of the option, such as `OSSMOUNT_PART_SIZE`.
    pub fn variable(&self) -> String {
        format!("OSSMOUNT_{}", self.name.replace('-', "_").to_ascii_uppercase())
    }
}

macro_rules! change {
    () => {
        Change::NewMount
    };
    ($change:ident) => {
        Change::$change
    };
}

macro_rules! table {
    ($($key:ident = $name:literal, $group:ident, $kind:expr, $standing:ident $default:literal, $($change:ident,)? $help:literal;)*) => {
        /// The key of an option in code.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Name { $(#[doc = $help] $key),* }

        /// Every option, in the order in which they are shown.
        pub const TABLE: &[Row] = &[$(Row {
            key: Name::$key,
            name: $name,
            group: Group::$group,
            kind: $kind,
            standing: Standing::$standing($default),
            change: change!($($change)?),
            help: $help,
        }),*];
    };
}

use Kind::*;

table! {
    Endpoint = "endpoint", Connection, Text("HOST"), Unset "from the region",
        "The service: a host, optionally with http:// or https:// in front and a port behind, without the bucket.";
    Region = "region", Connection, Text("REGION"), Unset "from the endpoint",
        "The region of the bucket, as in cn-hangzhou or eu-central-1. It is part of signatures.";
    Addressing = "addressing", Connection, Choice(words::<store::Addressing>()), Default "auto",
        "How URLs name the bucket: bucket.host/key (virtual), host/bucket/key (path), or not at all because the \
         endpoint is a domain bound to the bucket (cname). auto is path for IP addresses and localhost.";
    Internal = "internal", Connection, Switch, Default "off",
        "Use the internal endpoint of the region, which only machines of that region reach.";
    Accelerate = "accelerate", Connection, Switch, Default "off",
        "Use the transfer acceleration endpoint.";
    DualStack = "dual-stack", Connection, Switch, Default "off",
        "Use the endpoint that supports both IPv4 and IPv6.";
    Sign = "sign", Connection, Choice(words::<store::Sign>()), Default "v4",
        "How requests are signed. v1 is for old OSS-compatible servers and needs no region; none is for public \
         buckets.";
    RequestPayer = "request-payer", Connection, Choice(words::<Payer>()), Default "none",
        "Who pays for requests: requester for buckets that require it.";
    Proxy = "proxy", Connection, Text("URL"), Unset "none",
        "Send requests through this HTTP proxy: HOST:PORT or USER:PASSWORD@HOST:PORT. HTTPS requests use a tunnel \
         (CONNECT), HTTP requests are sent to the proxy itself. Set a password in a file or the environment.";
    Bind = "bind", Connection, List("INTERFACE|ADDRESS"), Unset "the kernel's choice",
        "Local interface or address for connections. May be given several times; connections use them in turn and skip \
         one that does not reach the service.";
    CaBundle = "ca-bundle", Connection, Path, Unset "the system's",
        "Trust the certificates in this PEM file instead of the system's.";

    Credentials = "credentials", Credentials,
        Choice(words::<KeySource>()), Default "auto",
        "Source of access keys. auto uses the first that exists: the source named by one of the options below; the \
         environment (OSS_ACCESS_KEY_ID, OSS_ACCESS_KEY_SECRET and OSS_SESSION_TOKEN or the ALIBABA_CLOUD_ names for \
         oss://, the AWS_ names for s3://); the token of a cluster; files of the aliyun command line, ossutil and \
         ossfs, or profiles of the aws command line; a service named in the environment; the role of the ECS or EC2 \
         instance.";
    CredentialsFile = "credentials-file", Credentials, Path, Unset "none",
        "A file with access keys, read again when it changes: JSON with AccessKeyId, AccessKeySecret and, for \
         temporary keys, SecurityToken and Expiration; profiles of the aliyun command line; sections of ossutil or the \
         aws command line; lines BUCKET:ID:SECRET.";
    Profile = "profile", Credentials, Text("NAME"), Unset "the file's choice",
        "The profile or section of that file.";
    CredentialsProcess = "credentials-process", Credentials, Text("COMMAND"), Unset "none",
        "A shell command that prints such JSON. It runs again before the keys expire.";
    CredentialsUri = "credentials-uri", Credentials, Text("URL"), Unset "none",
        "A service that returns such JSON. It is asked again before the keys expire.";
    RamRole = "ram-role", Credentials, Text("NAME"), Unset "the instance's",
        "The role of the ECS or EC2 instance.";
    RoleArn = "role-arn", Credentials, Text("ARN"), Unset "none",
        "A role to assume with the other credentials or with the token of a cluster, as in acs:ram::ACCOUNT:role/NAME, \
         or for s3:// arn:aws:iam::ACCOUNT:role/NAME.";
    RoleSessionName = "role-session-name", Credentials, Text("NAME"), Unset "ossmount",
        "The name of the role's session in the logs of the service.";
    OidcProviderArn = "oidc-provider-arn", Credentials, Text("ARN"), Unset "none",
        "The identity provider of the token of a cluster, as in acs:ram::ACCOUNT:oidc-provider/NAME; not needed for \
         s3://.";
    OidcTokenFile = "oidc-token-file", Credentials, Path, Unset "none",
        "The file with the token of a cluster; read again each time.";
    StsEndpoint = "sts-endpoint", Credentials, Text("URL"), Unset "the region's",
        "The service that grants roles: https:// and a host, as in sts-vpc.cn-hangzhou.aliyuncs.com. Required for \
         S3-compatible servers that grant roles themselves.";
    MetadataEndpoint = "metadata-endpoint", Credentials, Text("URL"), Unset "the cloud's",
        "The metadata service of the instance: http://100.100.100.200 at ECS, http://169.254.169.254 at EC2.";

    At = "at", View, Moment, Unset "now",
        "Show a versioned bucket as it stood at this time: RFC 3339, as in 2026-03-01T12:00:00Z, or how long ago, as in \
         90m, 12h or 3d; at least a minute. Needs permission to list and read versions.";

    Bucket = "bucket", Names, List("NAME"), Unset "all that the keys may list",
        "A bucket to show in a mount of oss:// or s3://, which name none. May be given several times.";
    MetadataTtl = "metadata-ttl", Names, TimeOrIndefinite, Default "60s", LiveUnlessFrozen,
        "How long names, sizes and times are cached. 0 asks the store at every open; indefinite caches them for the \
         life of the mount.";
    NegativeTtl = "negative-ttl", Names, Time, Default "5s", LiveUnlessFrozen,
        "How long a missing name is cached after a program looked it up.";
    OddKeys = "odd-keys", Names, Choice(words::<fs::OddKeys>()), Default "hide",
        "Keys that cannot be file names: hide omits them, escape shows them under escaped names.";
    Listing = "listing", Names, Choice(words::<fs::ListingMode>()), Default "auto",
        "What is listed in advance. lazy lists a directory when it is opened, eager the whole mount at the start, auto \
         the directories ahead of a program that walks the tree. The default is eager with at.";
    MetadataMemory = "metadata-memory", Names, SizeWithinOrAuto(LEAST_METADATA_MEMORY, MOST_MEMORY), Default "auto",
        "Memory for names and attributes, from 16MiB on. Beyond it, directories that are not in use are evicted and \
         listed again when they are needed. auto is an eighth of the machine's memory or of the cgroup's limit, \
         whichever is smaller, and at least 256MiB where there is room.";
    Symlinks = "symlinks", Names, Switch, Default "off",
        "Show symlink objects as links; off shows them as files with the data of their targets.";
    Uid = "uid", Names, Id, Unset "the user who mounts",
        "The owner of all files and directories.";
    Gid = "gid", Names, Id, Unset "the user who mounts",
        "The group of all files and directories.";
    FileMode = "file-mode", Names, Mode, Default "0444",
        "The permissions of files; 0555 where programs are run from the mount.";
    DirMode = "dir-mode", Names, Mode, Default "0555",
        "The permissions of directories.";
    AllowOther = "allow-other", Names, Switch, Default "off",
        "Let all users access the mount, within its modes.";
    AllowRoot = "allow-root", Names, Switch, Default "off",
        "Let root access the mount besides the user who mounts.";
    NonEmpty = "nonempty", Names, Switch, Default "off",
        "Mount over a directory that is not empty, which hides its content.";

    ListConcurrency = "list-concurrency", List, CountUpTo(1024), Default "64",
        "Requests in flight for one listing, 1 to 1024.";

    Prefetch = "prefetch", Read, Choice(words::<read::Prefetch>()), Default "auto", Live,
        "What is fetched in advance. auto: windows ahead of sequential readers, and the next files; open: also whole \
         files when they are opened; off: nothing.";
    PrefetchThreshold = "prefetch-threshold", Read, SizeWithin(0, 1 << 30), Default "128KiB",
        "Bytes that a reader must have read in sequence before windows are fetched ahead of it, up to 1GiB.";
    PrefetchParts = "prefetch-parts", Read, CountUpToOrAuto(MOST_CONNECTIONS), Default "auto",
        "Most requests in flight ahead of one reader; auto is max-connections.";
    PartSize = "part-size", Read, SizeWithin(1 << 20, 1 << 30), Default "8MiB", Live,
        "The largest request for a part of a file, 1MiB to 1GiB. Smaller files are fetched in one request.";
    MaxConnections = "max-connections", Read, CountUpToOrAuto(MOST_CONNECTIONS), Default "auto",
        "Most requests in flight. auto is 64, or list-concurrency if that is more, and up to 256 while more requests bring \
         more bytes.";
    MemoryLimit = "memory-limit", Read, SizeWithinOrAuto(LEAST_MEMORY, MOST_MEMORY), Default "auto", Live,
        "Memory for read buffers of the whole daemon, from 64MiB on. auto is a quarter of the machine's memory or of \
         the cgroup's limit, whichever is smaller, and at least 64MiB where there is room.";
    MaxBandwidth = "max-bandwidth", Read, SizeWithin(LEAST_BANDWIDTH, u64::MAX), Unset "no limit", Live,
        "Limit for the bytes of files per second, over all requests, from 1MiB on. Requests that a program waits for \
         go before prefetching.";
    Record = "record", Read, Path, Unset "none",
        "Record in this file which bytes of which files are read, in order, for replay. The old content is replaced \
         once something was read.";
    Replay = "replay", Read, Path, Unset "none",
        "Prefetch what this file recorded when a program loads the same files again, once it opens the first of them. \
         Can be the file that record names; it need not exist yet.";
    Verify = "verify", Read, Choice(words::<read::Verify>()), Default "crc64",
        "Compare each object that was read completely with the CRC-64 that the store keeps of it.";

    MemoryCache = "memory-cache", Cache, Choice(words::<read::MemoryCache>()), Default "auto",
        "Keep files in memory after they were closed, while the memory is not needed for others.";
    Passthrough = "passthrough", Cache, Choice(words::<read::Passthrough>()), Default "auto",
        "Let the kernel read files of 16 MiB and more directly, once they are completely in memory. Needs root and \
         Linux 6.9.";
    Bridge = "bridge", Cache, Choice(words::<fuse::BridgeUse>()), Default "auto",
        "Let the kernel read large files from an EROFS image that the daemon serves, so that mapped files are read at \
         nearly the speed of local ones, in large pages of its page cache. Requires root and Linux 6.9. auto uses it \
         where it works without a loop device, on takes one where it must and fails to mount where it does not work, \
         loop is on with a loop device also where none is needed.";
    BridgeMin = "bridge-min", Cache, SizeWithin(1 << 20, MOST_MEMORY), Default "16MiB",
        "Files of at least this size are read through the bridge.";
    DirectIo = "direct-io", Cache, Choice(words::<fs::DirectIo>()), Default "auto",
        "Bypass the page cache. auto does so where it costs a third of the CPU time: for large files, and programs \
         that were seen to read in pieces of 64 KiB and more.";
    KeepPageCache = "keep-page-cache", Cache, Switch, Default "on",
        "Keep a file's pages in the kernel's page cache from one open to the next while its entity tag is the same.";
    KernelReadAhead = "kernel-read-ahead", Cache, SizeWithin(128 << 10, 64 << 20), Default "1MiB",
        "How much the kernel reads ahead of programs into the page cache, and around page faults, 128KiB to 64MiB. \
         Needs root; without it the kernel's 128KiB stay.";
    KernelMaxRequest = "kernel-max-request", Cache, SizeWithin(1 << 20, 16 << 20), Default "1MiB",
        "The largest request that the kernel may send, 1MiB to 16MiB. More than fs.fuse.max_pages_limit allows raises \
         that limit, for all FUSE mounts of the machine and until it restarts. Needs root and Linux 6.13.";
    CacheDir = "cache-dir", Cache, List("DIR"), Unset "none",
        "A directory on a local disk where what was fetched is kept, for the next process, mount and boot. Several \
         mounts can use it at the same time. May be given several times, for several disks; a path has no spaces or \
         commas.";
    CacheSize = "cache-size", Cache, Size, Unset "what cache-free allows",
        "The most bytes in all cache directories together.";
    CacheFree = "cache-free", Cache, Size, Unset "10GiB, or 5 % of a larger file system",
        "Bytes that stay free on the file system of each cache directory.";
    CacheDirAny = "cache-dir-any", Cache, Switch, Default "off",
        "Use a cache directory also on a network file system, in memory (tmpfs) or on overlayfs.";
    Near = "near", Cache, List("CACHE"), Unset "none",
        "Where many nodes share what was fetched: http://HOST:PORT or https://HOST:PORT for each cache of a fleet, \
         dns:NAME:PORT or dns+https:NAME:PORT for every address of a name, accelerator for the OSS accelerator of the \
         region, or accelerator:HOST.";
    NearSlice = "near-slice", Cache, SizeWithin(64 << 10, 64 << 20), Default "2MiB",
        "The grid on which near caches cut objects: the number in their configuration.";
    NearMin = "near-min", Cache, Size, Default "1MiB",
        "Smaller objects come from the bucket.";
    NearPatience = "near-patience", Cache, Time, Default "2s",
        "A near cache that sends nothing for so long, while it is waited for, has failed.";
    NearTrust = "near-trust", Cache, Choice(words::<read::NearTrust>()), Default "parts",
        "When programs see what comes from near caches: parts as they come, or each file once all of it is in memory and \
         matches the checksum of the bucket (OSS alone). Files that do not fit then come from the bucket.";
    NearTokenFile = "near-token-file", Cache, Path, Unset "none",
        "The file with the token that near caches ask for; read again every minute.";
    NearCaBundle = "near-ca-bundle", Cache, Path, Unset "the system's",
        "Trust the certificates in this PEM file for near caches.";

    Copy = "copy", Copy, Switch, Unset "on; off with allow-other",
        "Accept requests for server-side copies, which use the keys of the daemon.";
    CopyFrom = "copy-from", Copy, List("BUCKET[/PREFIX]"), Unset "what is mounted",
        "A further bucket, or prefix of a bucket, that copies can read from. May be given several times.";
    CopyTo = "copy-to", Copy, List("BUCKET[/PREFIX]"), Unset "what is mounted",
        "A further bucket, or prefix of a bucket, that copies can write to. May be given several times.";
    ControlXattr = "control-xattr", Copy, Switch, Default "off",
        "Accept control requests by setfattr -n user.ossmount.call too. The kernel then does not treat the mount as \
         read-only and does not check modes; the daemon refuses writes itself.";
    CopyPartSize = "copy-part-size", Copy, SizeWithin(100 << 10, 5 << 30), Default "64MiB",
        "The size of the parts of large copies, 100KiB to 5GiB; larger for objects that would have more than 10,000 \
         parts.";
    CopyParallel = "copy-parallel", Copy, CountUpTo(1000), Default "3",
        "Parts of one object that are copied at once, 1 to 1000.";
    CopyThreshold = "copy-threshold", Copy, SizeWithin(0, 5 << 30), Default "200MiB",
        "Objects up to this size are copied in one request, larger ones in parts; at most 5GiB.";
    CopyRequests = "copy-requests", Copy, CountUpTo(1024), Default "32",
        "Copy requests in flight, over all copies, 1 to 1024.";
    LeavePartsOnError = "leave-parts-on-error", Copy, Switch, Default "off",
        "Keep the parts of a copy that fails or is cancelled, so that a later copy can continue. The parts are charged \
         until the upload is aborted.";
    ShallowCopy = "shallow-copy", Copy, Switch, Default "on",
        "Try one request for larger objects first where the service may copy without moving data: in the same bucket \
         and storage class, without encryption.";

    Foreground = "foreground", Daemon, Switch, Default "off",
        "Stay in the foreground and log to stderr.";
    LogLevel = "log-level", Daemon, Choice(&["error", "warn", "info", "debug", "trace"]), Default "info", Live,
        "The lowest severity that is logged. SIGUSR2 switches a running daemon to the next level.";
    LogFile = "log-file", Daemon, Path, Unset "stderr",
        "Append the log to this file. SIGHUP opens it again. Without it, a daemon in the background logs to /dev/log.";
    LogFileSize = "log-file-size", Daemon, Size, Unset "no limit",
        "When the log file would grow beyond this size, rename it to FILE.1, the previous one to FILE.2, and start a \
         new file.";
    LogFileCount = "log-file-count", Daemon, CountUpTo(1000), Default "5",
        "Log files to keep in that case, including the current one, 1 to 1000.";
    LogFormat = "log-format", Daemon, Choice(words::<LogFormat>()), Default "text",
        "The format of log lines.";
    PidFile = "pid-file", Daemon, Path, Unset "none",
        "Write the process id of the daemon to this file while it runs.";
    ControlSocket = "control-socket", Daemon, Path, Unset "in the runtime directory",
        "Accept control requests on a Unix socket at this path, or nowhere with off. Only its owner and root can \
         connect.";
    FuseFd = "fuse-fd", Daemon, Count, Unset "none",
        "Serve this descriptor of /dev/fuse, which the caller has mounted on DIR and will unmount; the same as \
         /dev/fd/N for DIR. Stays in the foreground.";
    MetricsListen = "metrics-listen", Daemon, Text("ADDRESS"), Unset "none",
        "Serve /metrics for Prometheus, /healthz, /readyz and a page for people over HTTP on this host and port, as in 127.0.0.1:9464, or \
         on a Unix socket at this path. There is no password: use the loopback address or a trusted network.";
    Supervise = "supervise", Daemon, Switch, Default "off",
        "Start a new daemon when the daemon dies; it continues the mount, and open files stay readable. Not needed \
         under systemd.";
    DrainTimeout = "drain-timeout", Daemon, Time, Default "10s", Live,
        "How long SIGTERM waits for requests in flight.";
}

impl Name {
    /// The row of this option.
    pub fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// Whether the option has power over more than the mount it is given for: it names keys or a program to run,
    /// chooses which services to believe, lets others in, or names files that are written. A file that others may write
    /// does not choose it.
    pub fn needs_trust(self) -> bool {
        let row = self.row();
        row.group == Group::Credentials
            || (row.kind == Kind::Path && self != Name::Replay)
            || matches!(
                self,
                Name::Endpoint
                    | Name::Proxy
                    | Name::AllowOther
                    | Name::AllowRoot
                    | Name::CopyFrom
                    | Name::CopyTo
                    | Name::MetricsListen
            )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_their_keys_and_their_defaults_are_valid() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.key as usize, index, "{}", row.name);
            assert!(row.help.ends_with('.'), "{}", row.name);
            if let Some(default) = row.default() {
                assert_eq!(row.kind.check(default), Ok(()), "{}", row.name);
            }
        }
    }

    #[test]
    fn groups_stand_together_and_names_are_unique() {
        let groups: Vec<_> = TABLE.iter().map(|row| row.group).collect::<Vec<_>>();
        let mut seen = groups.clone();
        seen.dedup();
        assert_eq!(seen, Group::ALL);
        let mut names: Vec<_> = TABLE.iter().map(|row| row.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TABLE.len());
    }

    #[test]
    fn variables_are_upper_case() {
        assert_eq!(Name::PartSize.row().variable(), "OSSMOUNT_PART_SIZE");
    }
}
