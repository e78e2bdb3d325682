//! The option table: every option that exists, once.

use super::choices::{KeySource, Payer, words};
use super::run::LogFormat;
use super::value::Kind;
use crate::{fs, read, store};

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
    Where,
    /// Which credentials requests are signed with.
    Who,
    /// How the tree looks.
    Tree,
    /// How the bucket is listed.
    List,
    /// How files are read.
    Read,
    /// What is kept after it was read.
    Cache,
    /// How copies are made.
    Copy,
    /// How the daemon runs.
    Run,
}

impl Group {
    /// Every group, in the order in which they are shown.
    pub const ALL: &[Group] =
        &[Group::Where, Group::Who, Group::Tree, Group::List, Group::Read, Group::Cache, Group::Copy, Group::Run];

    /// The word in headings.
    pub fn title(self) -> &'static str {
        match self {
            Group::Where => "where",
            Group::Who => "who",
            Group::Tree => "tree",
            Group::List => "list",
            Group::Read => "read",
            Group::Cache => "cache",
            Group::Copy => "copy",
            Group::Run => "run",
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
    Endpoint = "endpoint", Where, Text("HOST"), Unset "from the region",
        "Where the service answers: a host, with http:// or https:// in front and a port behind if need be, without the \
         bucket.";
    Region = "region", Where, Text("REGION"), Unset "from the endpoint",
        "The region of the bucket, as in cn-hangzhou or eu-central-1; signatures name it.";
    Addressing = "addressing", Where, Choice(words::<store::Addressing>()), Default "auto",
        "Where the bucket goes in a URL: bucket.host/key, host/bucket/key, or, with cname, nowhere: the endpoint is a \
         domain bound to the bucket. auto takes path for IP addresses and localhost.";
    Internal = "internal", Where, Switch, Default "off",
        "Use the region's internal endpoint, which only machines of that region reach.";
    Accelerate = "accelerate", Where, Switch, Default "off",
        "Use the transfer acceleration endpoint.";
    DualStack = "dual-stack", Where, Switch, Default "off",
        "Use the endpoint that answers over IPv4 and IPv6.";
    Sign = "sign", Where, Choice(words::<store::Sign>()), Default "v4",
        "How requests are signed. v1 is for old OSS-compatible servers and needs no region; none is for public buckets.";
    RequestPayer = "request-payer", Where, Choice(words::<Payer>()), Default "none",
        "Who pays for requests: requester on a bucket that asks for it.";
    Proxy = "proxy", Where, Text("URL"), Unset "none",
        "Reach the service through this HTTP proxy: HOST:PORT, with USER:PASSWORD@ in front where it wants them. Encrypted \
         requests go through a tunnel (CONNECT), others are handed to it. A password belongs into a file or the \
         environment.";
    Bind = "bind", Where, List("INTERFACE|ADDRESS"), Unset "the kernel's choice",
        "Connections set out from this interface or address of the machine; given several times, from each in turn, past \
         one that does not answer.";
    CaBundle = "ca-bundle", Where, Path, Unset "the system's",
        "Trust the certificates in this PEM file instead of the system's.";

    Credentials = "credentials", Who,
        Choice(words::<KeySource>()), Default "auto",
        "Where access keys come from. auto takes the first that is there: what one of the options below names; the \
         environment (OSS_ACCESS_KEY_ID, OSS_ACCESS_KEY_SECRET and OSS_SESSION_TOKEN or the ALIBABA_CLOUD_ names for \
         oss://, AWS_ACCESS_KEY_ID and its kin for s3://); a cluster's token; the files of the aliyun command line, of \
         ossutil and of ossfs, or of the aws command line; a service named in the environment; the role of the ECS \
         instance.";
    CredentialsFile = "credentials-file", Who, Path, Unset "none",
        "A file with access keys, read again when it changes: JSON with AccessKeyId, AccessKeySecret and, for temporary \
         keys, SecurityToken and Expiration; profiles of the aliyun command line; sections of ossutil or the aws command \
         line; lines BUCKET:ID:SECRET.";
    Profile = "profile", Who, Text("NAME"), Unset "the file's choice",
        "The profile or section of that file.";
    CredentialsProcess = "credentials-process", Who, Text("COMMAND"), Unset "none",
        "A command for the shell that prints such JSON; run again before the keys end.";
    CredentialsUri = "credentials-uri", Who, Text("URL"), Unset "none",
        "A service that answers with such JSON; asked again before the keys end.";
    RamRole = "ram-role", Who, Text("NAME"), Unset "the instance's",
        "The RAM role of the ECS instance that this runs on.";
    RoleArn = "role-arn", Who, Text("ARN"), Unset "none",
        "A role to take on with the other credentials or with a cluster's token, as in acs:ram::ACCOUNT:role/NAME. For \
         s3:// with a token alone, as in arn:aws:iam::ACCOUNT:role/NAME.";
    RoleSessionName = "role-session-name", Who, Text("NAME"), Unset "ossmount",
        "What the service's log calls who took the role on.";
    OidcProviderArn = "oidc-provider-arn", Who, Text("ARN"), Unset "none",
        "Who vouches for a cluster's token, as in acs:ram::ACCOUNT:oidc-provider/NAME; not needed for s3://.";
    OidcTokenFile = "oidc-token-file", Who, Path, Unset "none",
        "Where a cluster writes that token; read anew each time.";
    StsEndpoint = "sts-endpoint", Who, Text("URL"), Unset "the region's",
        "The service that grants roles: https:// and a host, as in sts-vpc.cn-hangzhou.aliyuncs.com. S3-compatible servers \
         that grant roles themselves must be named here.";
    MetadataEndpoint = "metadata-endpoint", Who, Text("URL"), Unset "http://100.100.100.200",
        "The metadata service of the ECS instance.";

    MetadataTtl = "metadata-ttl", Tree, TimeOrIndefinite, Default "60s", LiveUnlessFrozen,
        "How long names, sizes and times are believed without asking again. 0 asks at every open, indefinite freezes \
         the view.";
    NegativeTtl = "negative-ttl", Tree, Time, Default "5s", LiveUnlessFrozen,
        "How long the absence of a name is believed.";
    OddKeys = "odd-keys", Tree, Choice(words::<fs::OddKeys>()), Default "hide",
        "Keys that make no safe path: left out, or shown under an escaped name.";
    Listing = "listing", Tree, Choice(words::<fs::ListingMode>()), Default "auto",
        "What is listed before it is asked for. lazy lists a directory when it is looked into, eager the whole mount at \
         the start, and auto what lies ahead of a program that walks the tree.";
    MetadataMemory = "metadata-memory", Tree, SizeWithinOrAuto(LEAST_METADATA_MEMORY, MOST_MEMORY), Default "auto",
        "Memory for names and attributes, from 16MiB on; past it, directories that nothing has open are forgotten and \
         listed again when they are wanted. auto is an eighth of the machine's memory or of the cgroup's limit, \
         whichever is smaller, and at least 256MiB where there is room.";
    Symlinks = "symlinks", Tree, Switch, Default "off",
        "Show symlink objects as links; off shows them as files with the target's data.";
    Uid = "uid", Tree, Id, Unset "who mounts",
        "The owner of everything.";
    Gid = "gid", Tree, Id, Unset "who mounts",
        "The group of everything.";
    FileMode = "file-mode", Tree, Mode, Default "0444",
        "The permissions of files.";
    DirMode = "dir-mode", Tree, Mode, Default "0555",
        "The permissions of directories.";
    AllowOther = "allow-other", Tree, Switch, Default "off",
        "Let every user in, as far as the modes allow.";
    AllowRoot = "allow-root", Tree, Switch, Default "off",
        "Let root in besides who mounts.";
    NonEmpty = "nonempty", Tree, Switch, Default "off",
        "Mount over a directory that is not empty, hiding what is in it.";

    ListConcurrency = "list-concurrency", List, CountUpTo(1024), Default "64",
        "Requests under way at once for one listing, 1 to 1024.";

    Prefetch = "prefetch", Read, Choice(words::<read::Prefetch>()), Default "auto", Live,
        "What is fetched before it is asked for: windows ahead of sequential readers and the files that come next, \
         besides them whole files from open on, or nothing.";
    PrefetchThreshold = "prefetch-threshold", Read, SizeWithin(0, 1 << 30), Default "128KiB",
        "How much a reader must have read in sequence before more is fetched ahead of it, up to 1GiB.";
    PrefetchParts = "prefetch-parts", Read, CountUpToOrAuto(MOST_CONNECTIONS), Default "auto",
        "Requests under way ahead of one reader, at most; auto is as many as there are connections.";
    PartSize = "part-size", Read, SizeWithin(1 << 20, 1 << 30), Default "8MiB", Live,
        "The largest request for a part of a file, 1MiB to 1GiB. Files up to this size come in one request.";
    MaxConnections = "max-connections", Read, CountUpToOrAuto(MOST_CONNECTIONS), Default "auto",
        "Requests under way at once; auto is 64, or list-concurrency where that is more.";
    MemoryLimit = "memory-limit", Read, SizeWithinOrAuto(LEAST_MEMORY, MOST_MEMORY), Default "auto", Live,
        "Memory for read buffers, for the whole daemon, from 64MiB on. auto is a quarter of the machine's memory or of \
         the cgroup's limit, whichever is smaller, and at least 64MiB where there is room.";
    MaxBandwidth = "max-bandwidth", Read, SizeWithin(LEAST_BANDWIDTH, u64::MAX), Unset "no limit", Live,
        "Bytes of files per second, all requests together, from 1MiB on. What a program waits for goes before what is \
         fetched ahead.";
    Record = "record", Read, Path, Unset "none",
        "Write to this file which bytes of which files are read, in order, for replay. What it holds is replaced once \
         something was read.";
    Replay = "replay", Read, Path, Unset "none",
        "Fetch what was recorded in this file ahead of a program that loads the same files again, once it opens the first \
         of them. May be the file that record names; then it need not be there yet.";
    Verify = "verify", Read, Choice(words::<read::Verify>()), Default "crc64",
        "Compare each object that has passed through whole with the CRC-64 that the store keeps of it.";

    MemoryCache = "memory-cache", Cache, Choice(words::<read::MemoryCache>()), Default "auto",
        "Keep files in memory after they were read and closed, while nothing else wants the memory.";
    Passthrough = "passthrough", Cache, Choice(words::<read::Passthrough>()), Default "auto",
        "Let the kernel read files of 16 MiB and more by itself, once they are all in memory, where the daemon runs as \
         root and the kernel can (Linux 6.9).";
    DirectIo = "direct-io", Cache, Choice(words::<fs::DirectIo>()), Default "auto",
        "Answer reads past the page cache. auto does so where it costs a third of the CPU time: for big files, and programs \
         that were seen to read in pieces of 64 KiB and more.";
    KeepPageCache = "keep-page-cache", Cache, Switch, Default "on",
        "Keep the kernel's pages of a file from one open to the next while its entity tag stands.";

    Copy = "copy", Copy, Switch, Unset "on; off with allow-other",
        "Take requests to copy within the service, with the daemon's key.";
    CopyFrom = "copy-from", Copy, List("BUCKET[/PREFIX]"), Unset "what is mounted",
        "Copies may also read from this bucket, or below this prefix of one. May be given several times.";
    CopyTo = "copy-to", Copy, List("BUCKET[/PREFIX]"), Unset "what is mounted",
        "Copies may also write to this bucket, or below this prefix of one. May be given several times.";
    ControlXattr = "control-xattr", Copy, Switch, Default "off",
        "Take control requests by setfattr -n user.ossmount.call too. The kernel is not told that the mount is read-only \
         then, and does not check modes: the daemon refuses writes itself.";
    CopyPartSize = "copy-part-size", Copy, SizeWithin(100 << 10, 5 << 30), Default "64MiB",
        "The parts that large objects are copied in, 100KiB to 5GiB; larger where an object would have more than 10,000.";
    CopyParallel = "copy-parallel", Copy, CountUpTo(1000), Default "3",
        "Parts of one object copied at once, 1 to 1000.";
    CopyThreshold = "copy-threshold", Copy, SizeWithin(0, 5 << 30), Default "200MiB",
        "Objects up to this size are copied in one request, larger ones in parts; at most 5GiB.";
    CopyRequests = "copy-requests", Copy, CountUpTo(1024), Default "32",
        "Copying requests under way at once, all copies together, 1 to 1024.";
    LeavePartsOnError = "leave-parts-on-error", Copy, Switch, Default "off",
        "Keep the parts of a copy that fails or is cancelled, so that a later one can go on from them. They are paid \
         for until the upload is aborted.";
    ShallowCopy = "shallow-copy", Copy, Switch, Default "on",
        "Try larger objects in one request first where the service may only have to write down a name: in the same \
         bucket, storage class and without encryption.";

    Foreground = "foreground", Run, Switch, Default "off",
        "Stay in the foreground, with the log on stderr.";
    LogLevel = "log-level", Run, Choice(&["error", "warn", "info", "debug", "trace"]), Default "info", Live,
        "The least serious lines that are logged. SIGUSR2 moves a running daemon to the next level.";
    LogFile = "log-file", Run, Path, Unset "stderr",
        "Append the log to this file. SIGHUP opens it anew. Without it, a daemon in the background logs to /dev/log.";
    LogFileSize = "log-file-size", Run, Size, Unset "no limit",
        "When the log file would grow beyond this, keep it as FILE.1, the one before as FILE.2, and begin another.";
    LogFileCount = "log-file-count", Run, CountUpTo(1000), Default "5",
        "Log files that are kept then, the one that is written included, 1 to 1000.";
    LogFormat = "log-format", Run, Choice(words::<LogFormat>()), Default "text",
        "How lines of the log look.";
    PidFile = "pid-file", Run, Path, Unset "none",
        "Write the daemon's process id here while it runs.";
    ControlSocket = "control-socket", Run, Path, Unset "in the runtime directory",
        "Take control requests on a Unix socket here, or nowhere with off; only its owner and root may ask.";
    FuseFd = "fuse-fd", Run, Count, Unset "none",
        "Serve this descriptor of /dev/fuse, which the caller has mounted on DIR and will unmount; the \
         same as /dev/fd/N for DIR. Stays in the foreground.";
    MetricsListen = "metrics-listen", Run, Text("ADDRESS"), Unset "none",
        "Serve /metrics for Prometheus, /healthz and /readyz over HTTP on this host and port, as in 127.0.0.1:9464, or on \
         a Unix socket at a path. There is no password: keep it on the loopback or where only those come who may know.";
    Supervise = "supervise", Run, Switch, Default "off",
        "Start the daemon again when it dies, and let it go on with the mount, so that open files stay readable. systemd \
         does so without this option.";
    DrainTimeout = "drain-timeout", Run, Time, Default "10s", Live,
        "How long SIGTERM waits for reads under way before unmounting.";
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
        row.group == Group::Who
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
