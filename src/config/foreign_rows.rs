//! Options of other clients, and what each is here: the rows, which [`foreign`](super::foreign) looks up and prints.

use Client::{CommandLines, Fstab, Fuse, Gcsfuse, Goofys, JuiceFs, Mountpoint, Ossfs1, Ossfs2, Rclone, S3fs};
use Ours::{Missing, Unneeded, Use};

/// A program that people come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Client {
    /// ossfs 1.x, which began as s3fs.
    Ossfs1,
    /// ossfs 2.0, configured by a file or flags.
    Ossfs2,
    /// Mountpoint for Amazon S3.
    Mountpoint,
    /// s3fs, whose options stand after `-o`.
    S3fs,
    /// goofys, and geesefs that descends from it.
    Goofys,
    /// The mount command of rclone.
    Rclone,
    /// gcsfuse, of Google Cloud Storage.
    Gcsfuse,
    /// The mount command of JuiceFS.
    JuiceFs,
    /// Words of libfuse, which most FUSE file systems take.
    Fuse,
    /// Words of network and local file systems, as in `/etc/fstab`.
    Fstab,
    /// The command lines of the services.
    CommandLines,
}

impl Client {
    /// Every client, in the order of the manual.
    pub const ALL: &[Client] = &[
        Client::Ossfs1,
        Client::Ossfs2,
        Client::Mountpoint,
        Client::S3fs,
        Client::Goofys,
        Client::Rclone,
        Client::Gcsfuse,
        Client::JuiceFs,
        Client::Fuse,
        Client::Fstab,
        Client::CommandLines,
    ];

    /// The name that messages call it by.
    pub fn title(self) -> &'static str {
        match self {
            Client::Ossfs1 => "ossfs 1.x",
            Client::Ossfs2 => "ossfs 2.0",
            Client::Mountpoint => "Mountpoint",
            Client::S3fs => "s3fs",
            Client::Goofys => "goofys",
            Client::Rclone => "rclone",
            Client::Gcsfuse => "gcsfuse",
            Client::JuiceFs => "JuiceFS",
            Client::Fuse => "libfuse",
            Client::Fstab => "other file systems",
            Client::CommandLines => "ossutil or the aws command line",
        }
    }
}

/// What an option of another client is here. The texts are Markdown; options stand in backticks, with `--`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ours {
    /// This does the same.
    Use(&'static str),
    /// Leave it out; the text says why.
    Unneeded(&'static str),
    /// There is nothing like it; the text says why, or what to do instead.
    Missing(&'static str),
}

impl Ours {
    /// The text of the manual's column.
    pub(super) fn cell(self) -> String {
        match self {
            Ours::Use(text) => text.to_owned(),
            Ours::Unneeded(why) => format!("not needed: {why}"),
            Ours::Missing(why) => format!("nothing: {why}"),
        }
    }
}

/// Options of one client that have the same answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct ForeignRow {
    /// Whose options they are.
    pub(super) client: Client,
    /// The options as that client writes them, between blanks.
    pub(super) options: &'static str,
    /// The answer to all of them.
    pub(super) ours: Ours,
}

impl ForeignRow {
    /// The options, one by one.
    pub(super) fn options(&self) -> impl Iterator<Item = &'static str> {
        self.options.split(' ')
    }
}

const READ_ONLY: Ours = Unneeded("mounts are read-only");
const WRITES: Ours = Missing("it is about writing, and mounts are read-only");
const DISK_CACHE: Ours = Missing("`--cache-dir` has no such setting");
const CACHE_DIR: Ours = Use("`--cache-dir`");
const CACHE_SIZE: Ours = Use("`--cache-size`");
const CACHE_FREE: Ours = Use("`--cache-free`");
const SECRET: Ours =
    Use("the keys into the environment or into a file that `--credentials-file` names; no option takes a secret");
const KEYS_FILE: Ours = Use("`--credentials-file`, which reads the same lines");
const MASK: Ours = Use("`--file-mode` and `--dir-mode`: the modes themselves, not a mask");
const TTL: Ours = Use("`--metadata-ttl`");
const NEGATIVE_TTL: Ours = Use("`--negative-ttl`");
const NAMES_MEMORY: Ours = Use("`--metadata-memory`: an amount of memory, not a number of entries");
const MEMORY: Ours = Use("`--memory-limit`, which bounds all buffers together");
const CONNECTIONS: Ours = Use("`--max-connections`, or leave it out: requests adapt to the load");
const PART: Ours = Use("`--part-size`, or leave it out");
const LISTING: Ours = Unneeded("sizes and times come from the listing");
const DIRECTORIES: Ours = Unneeded("a directory exists while a key lies below it");
const RETRIES: Ours = Unneeded("failures are retried for a minute");
const PATH_STYLE: Ours = Use("`--addressing path`");
const ENDPOINT: Ours = Use("`--endpoint`");
const ANONYMOUS: Ours = Use("`--credentials anonymous`");
const PAYER: Ours = Use("`--request-payer requester`");
const PREFIX: Ours = Use("the prefix in the URL, as in oss://BUCKET/PREFIX");
const THREADS: Ours = Unneeded("the number of threads follows from the machine");
const READ_AHEAD: Ours = Unneeded("windows ahead of readers adapt to the load, within `--memory-limit`");
const LOG_FILE: Ours = Use("`--log-file`, which takes a file");
const DEBUG: Ours = Use("`--log-level debug`");
const FOREGROUND: Ours = Use("`--foreground`");
const BACKGROUND: Ours = Unneeded("a mount goes to the background unless `--foreground` is given");
const NON_EMPTY: Ours = Use("`--nonempty`");
const STATUS: Ours = Use("`ossmount status DIR`, or `--metrics-listen` for Prometheus");
const BANDWIDTH: Ours = Use("`--max-bandwidth`, in bytes per second");
const CERTIFICATE: Ours = Missing("certificates are always checked; `--ca-bundle` trusts one of your own");
const TIMEOUTS: Ours = Unneeded("requests that stand still are sent again, and failures are retried for a minute");
const SIGNATURE: Ours = Unneeded("signatures are V4; `--sign v1` is for old OSS-compatible servers");
const EXTENDED: Ours = Unneeded("extended attributes can always be read");
const INODES: Ours = Unneeded("inode numbers stay the same across mounts");
const KERNEL: Ours = Unneeded("the daemon agrees on it with the kernel");
const NO_EFFECT: Ours = Unneeded("it has no effect on a read-only mount");
const SERVICE: Ours = Missing("only OSS and S3-compatible services are supported");
const PROCESS: Ours = Use("`--credentials-process`");
const PAGE_CACHE: Ours = Use("`--keep-page-cache`, which is on by default");

const fn row(client: Client, options: &'static str, ours: Ours) -> ForeignRow {
    ForeignRow { client, options, ours }
}

/// Every option that is recognised. A name that one of ours has too is there for the manual.
pub(super) const ROWS: &[ForeignRow] = &[
    row(Ossfs1, "url", Use("`--endpoint`, or `--region` with `--internal`")),
    row(Ossfs1, "host servicepath", ENDPOINT),
    row(Ossfs1, "passwd_file", KEYS_FILE),
    row(Ossfs1, "ram_role", Use("`--ram-role NAME`: the role's name, not a URL")),
    row(Ossfs1, "sigv4 sigv2 sigv1", SIGNATURE),
    row(Ossfs1, "public_bucket", ANONYMOUS),
    row(Ossfs1, "umask mp_umask", MASK),
    row(Ossfs1, "max_stat_cache_size", NAMES_MEMORY),
    row(Ossfs1, "stat_cache_expire stat_cache_interval_expire", TTL),
    row(Ossfs1, "enable_noobj_cache disable_noobj_cache", NEGATIVE_TTL),
    row(Ossfs1, "multireq_max parallel_count", CONNECTIONS),
    row(Ossfs1, "readdir_optimize readdir_check_size listobjectsv2 complement_stat", LISTING),
    row(Ossfs1, "compat_dir notsup_compat_dir", DIRECTORIES),
    row(
        Ossfs1,
        "direct_read direct_read_prefetch_chunks direct_read_prefetch_limit direct_read_prefetch_thread",
        READ_AHEAD,
    ),
    row(Ossfs1, "use_cache", CACHE_DIR),
    row(Ossfs1, "ensure_diskfree", CACHE_FREE),
    row(Ossfs1, "del_cache check_cache_dir_exist tmpdir", DISK_CACHE),
    row(Ossfs1, "multipart_size default_acl storage_class use_sse max_dirty_data nomultipart norenameapi", WRITES),
    row(Ossfs1, "use_xattr noxattr", EXTENDED),
    row(Ossfs1, "symlink_in_meta", Use("`--symlinks`")),
    row(Ossfs1, "nocopyapi", Use("`--copy=off`")),
    row(Ossfs1, "noshallowcopyapi", Use("`--shallow-copy=off`")),
    row(Ossfs1, "dbglevel curldbg", DEBUG),
    row(Ossfs1, "logfile", LOG_FILE),
    row(Ossfs1, "f", FOREGROUND),
    row(Ossfs1, "retries", RETRIES),
    row(Ossfs1, "connect_timeout readwrite_timeout", TIMEOUTS),
    row(Ossfs1, "no_check_certificate ssl_verify_hostname", CERTIFICATE),
    row(Ossfs2, "oss_endpoint", ENDPOINT),
    row(Ossfs2, "oss_region", Use("`--region`; without a region ossfs signs by V1, which is `--sign v1` here")),
    row(Ossfs2, "oss_bucket", Use("the bucket in the URL, as in oss://BUCKET/PREFIX")),
    row(Ossfs2, "oss_bucket_prefix", PREFIX),
    row(Ossfs2, "oss_access_key_id oss_access_key_secret oss_session_token", SECRET),
    row(Ossfs2, "credential_process", PROCESS),
    row(Ossfs2, "attr_timeout", TTL),
    row(Ossfs2, "negative_timeout", NEGATIVE_TTL),
    row(Ossfs2, "readdirplus", LISTING),
    row(Ossfs2, "close_to_open", Use("`--metadata-ttl 0`")),
    row(Ossfs2, "max_inode_cache_count", NAMES_MEMORY),
    row(Ossfs2, "total_mem_limit", MEMORY),
    row(Ossfs2, "prefetch_chunk_size", PART),
    row(Ossfs2, "prefetch_chunks prefetch_concurrency_per_file", Use("`--prefetch-parts`, or leave it out")),
    row(Ossfs2, "prefetch_concurrency", CONNECTIONS),
    row(Ossfs2, "upload_buffer_size upload_concurrency", WRITES),
    row(Ossfs2, "log_dir", LOG_FILE),
    row(Ossfs2, "f", FOREGROUND),
    row(Ossfs2, "fuse_device_fd", Use("`--fuse-fd N`, or /dev/fd/N in place of the directory")),
    row(Mountpoint, "--prefix", PREFIX),
    row(Mountpoint, "--endpoint-url", ENDPOINT),
    row(Mountpoint, "--force-path-style", PATH_STYLE),
    row(Mountpoint, "--transfer-acceleration", Use("`--accelerate`")),
    row(Mountpoint, "--requester-pays", PAYER),
    row(Mountpoint, "--no-sign-request", ANONYMOUS),
    row(Mountpoint, "--read-only", READ_ONLY),
    row(Mountpoint, "--allow-delete --allow-overwrite --incremental-upload --write-part-size", WRITES),
    row(Mountpoint, "--storage-class --sse --sse-kms-key-id --upload-checksums", WRITES),
    row(
        Mountpoint,
        "--auto-unmount",
        Unneeded("the daemon unmounts when it ends, and the next mount removes a dead one"),
    ),
    row(Mountpoint, "--maximum-throughput-gbps", Unneeded("it is no limit; `--max-bandwidth` is one")),
    row(Mountpoint, "--max-threads", THREADS),
    row(Mountpoint, "--read-part-size", PART),
    row(Mountpoint, "--negative-metadata-ttl", NEGATIVE_TTL),
    row(Mountpoint, "--cache", CACHE_DIR),
    row(Mountpoint, "--max-cache-size", CACHE_SIZE),
    row(Mountpoint, "--cache-xz --cache-express", DISK_CACHE),
    row(Mountpoint, "--log-directory", LOG_FILE),
    row(Mountpoint, "--debug --debug-crt", DEBUG),
    row(Mountpoint, "--no-log", Use("`--log-level error`")),
    row(Mountpoint, "--log-metrics", STATUS),
    row(Mountpoint, "--bucket-type", Missing("S3 Express One Zone and access points by ARN are not supported")),
    row(Mountpoint, "--expected-bucket-owner", Missing("the owner of a bucket is not checked")),
    row(Mountpoint, "--user-agent-prefix", Missing("the user agent is ossmount's")),
    row(S3fs, "url", Use("`--endpoint`, or `--region` with `--internal`")),
    row(S3fs, "use_path_request_style", PATH_STYLE),
    row(S3fs, "passwd_file", KEYS_FILE),
    row(
        S3fs,
        "iam_role ecs",
        Use("`--credentials ecs-role`, or leave it out: the role of the instance or container is found"),
    ),
    row(S3fs, "ibm_iam_auth credlib", PROCESS),
    row(S3fs, "public_bucket", ANONYMOUS),
    row(S3fs, "requester_pays", PAYER),
    row(S3fs, "sigv2 sigv4", SIGNATURE),
    row(S3fs, "no_check_certificate ssl_verify_hostname", CERTIFICATE),
    row(S3fs, "umask mp_umask", MASK),
    row(S3fs, "use_cache", CACHE_DIR),
    row(S3fs, "ensure_diskfree", CACHE_FREE),
    row(S3fs, "del_cache check_cache_dir_exist tmpdir", DISK_CACHE),
    row(S3fs, "max_stat_cache_size", NAMES_MEMORY),
    row(S3fs, "stat_cache_expire stat_cache_interval_expire", TTL),
    row(S3fs, "enable_noobj_cache disable_noobj_cache", NEGATIVE_TTL),
    row(S3fs, "parallel_count multireq_max", CONNECTIONS),
    row(S3fs, "compat_dir notsup_compat_dir", DIRECTORIES),
    row(S3fs, "listobjectsv2 complement_stat", LISTING),
    row(S3fs, "singlepart_copy_limit", Use("`--copy-threshold`")),
    row(S3fs, "multipart_copy_size", Use("`--copy-part-size`")),
    row(S3fs, "multipart_size default_acl storage_class use_sse max_dirty_data nomultipart norenameapi", WRITES),
    row(S3fs, "nocopyapi", Use("`--copy=off`")),
    row(S3fs, "use_xattr", EXTENDED),
    row(S3fs, "dbglevel curldbg", DEBUG),
    row(S3fs, "logfile", LOG_FILE),
    row(S3fs, "f", FOREGROUND),
    row(S3fs, "retries", RETRIES),
    row(S3fs, "connect_timeout readwrite_timeout", TIMEOUTS),
    row(Goofys, "--storage-class --sse --sse-kms --acl --use-content-type --max-flushers", WRITES),
    row(Goofys, "--requester-pays", PAYER),
    row(Goofys, "--subdomain", Use("`--addressing virtual`")),
    row(Goofys, "--stat-cache-ttl --type-cache-ttl", TTL),
    row(Goofys, "--no-implicit-dir", DIRECTORIES),
    row(Goofys, "--http-timeout", TIMEOUTS),
    row(Goofys, "--cache", CACHE_DIR),
    row(Goofys, "--debug_fuse --debug_s3", DEBUG),
    row(Goofys, "--no-detect", Unneeded("the region is not guessed")),
    row(Goofys, "--cheap", Unneeded("a listing sends no request for each file")),
    row(Goofys, "--read-ahead --read-ahead-large --read-ahead-parallel", READ_AHEAD),
    row(Rclone, "--read-only", READ_ONLY),
    row(Rclone, "--vfs-cache-mode", Unneeded("reading needs no cache on disk, and mounts are read-only")),
    row(Rclone, "--vfs-write-back --vfs-write-wait --write-back-cache", WRITES),
    row(Rclone, "--vfs-cache-max-size", CACHE_SIZE),
    row(Rclone, "--vfs-cache-min-free-space", CACHE_FREE),
    row(Rclone, "--vfs-cache-max-age", DISK_CACHE),
    row(Rclone, "--dir-cache-time --attr-timeout", TTL),
    row(Rclone, "--poll-interval", Unneeded("directories in use are listed again before they expire")),
    row(Rclone, "--buffer-size", MEMORY),
    row(Rclone, "--vfs-read-ahead --max-read-ahead --vfs-read-wait", READ_AHEAD),
    row(Rclone, "--async-read", KERNEL),
    row(Rclone, "--vfs-read-chunk-size --vfs-read-chunk-size-limit", PART),
    row(Rclone, "--vfs-read-chunk-streams --transfers --multi-thread-streams", CONNECTIONS),
    row(Rclone, "--checkers --fast-list", Use("`--list-concurrency`, or leave it out")),
    row(Rclone, "--no-modtime --no-checksum --use-server-modtime", LISTING),
    row(Rclone, "--bwlimit", BANDWIDTH),
    row(Rclone, "--tpslimit", CONNECTIONS),
    row(Rclone, "--daemon --daemon-wait --daemon-timeout", BACKGROUND),
    row(Rclone, "--allow-non-empty", NON_EMPTY),
    row(Rclone, "--file-perms", Use("`--file-mode`")),
    row(Rclone, "--dir-perms", Use("`--dir-mode`")),
    row(Rclone, "--umask", MASK),
    row(
        Rclone,
        "--s3-provider --s3-env-auth",
        Unneeded("the scheme of the URL names the protocol, oss:// or s3://, and keys are found by themselves"),
    ),
    row(Rclone, "--s3-access-key-id --s3-secret-access-key --s3-session-token", SECRET),
    row(Rclone, "--s3-region", Use("`--region`")),
    row(Rclone, "--s3-endpoint", ENDPOINT),
    row(Rclone, "--s3-force-path-style", PATH_STYLE),
    row(Rclone, "--no-check-certificate", CERTIFICATE),
    row(Rclone, "--ca-cert", Use("`--ca-bundle`")),
    row(Rclone, "--contimeout --timeout", TIMEOUTS),
    row(Rclone, "--retries --low-level-retries", RETRIES),
    row(Rclone, "--rc --rc-addr", Use("`--control-socket`, or `ossmount control`")),
    row(Rclone, "--stats", STATUS),
    row(Rclone, "--include --exclude --filter", Missing("a mount shows all below its prefix")),
    row(Rclone, "--volname --network-mode --noappledouble", Missing("it is for other systems than Linux")),
    row(Gcsfuse, "--implicit-dirs", DIRECTORIES),
    row(Gcsfuse, "--only-dir", PREFIX),
    row(Gcsfuse, "--key-file --token-url --billing-project --client-protocol", SERVICE),
    row(Gcsfuse, "--anonymous-access", ANONYMOUS),
    row(Gcsfuse, "--custom-endpoint", ENDPOINT),
    row(Gcsfuse, "--config-file", Use("`--config`, which takes a JSON file")),
    row(Gcsfuse, "--limit-bytes-per-sec", BANDWIDTH),
    row(Gcsfuse, "--limit-ops-per-sec --max-conns-per-host --max-idle-conns-per-host", CONNECTIONS),
    row(Gcsfuse, "--stat-cache-ttl --type-cache-ttl --metadata-cache-ttl-secs --kernel-list-cache-ttl-secs", TTL),
    row(Gcsfuse, "--metadata-cache-negative-ttl-secs --enable-nonexistent-type-cache", NEGATIVE_TTL),
    row(Gcsfuse, "--stat-cache-capacity --stat-cache-max-size-mb --type-cache-max-size-mb", NAMES_MEMORY),
    row(Gcsfuse, "--file-cache-max-size-mb", CACHE_SIZE),
    row(Gcsfuse, "--file-cache-cache-file-for-range-read --temp-dir", DISK_CACHE),
    row(Gcsfuse, "--file-cache-enable-parallel-downloads --file-cache-parallel-downloads-per-file", CONNECTIONS),
    row(Gcsfuse, "--sequential-read-size-mb", PART),
    row(Gcsfuse, "--enable-buffered-read --read-global-max-blocks", READ_AHEAD),
    row(Gcsfuse, "--max-retry-sleep --max-retry-attempts --retry-multiplier", RETRIES),
    row(Gcsfuse, "--rename-dir-limit --write-global-max-blocks --enable-streaming-writes", WRITES),
    row(Gcsfuse, "--log-severity", Use("`--log-level`")),
    row(Gcsfuse, "--log-rotate-max-file-size-mb", Use("`--log-file-size`")),
    row(Gcsfuse, "--log-rotate-backup-file-count", Use("`--log-file-count`")),
    row(Gcsfuse, "--debug_fuse --debug_gcs --debug_http", DEBUG),
    row(Gcsfuse, "--prometheus-port", STATUS),
    row(Gcsfuse, "--app-name", Missing("the user agent is ossmount's")),
    row(JuiceFs, "--free-space-ratio", CACHE_FREE),
    row(JuiceFs, "--cache-partial-only --cache-eviction --cache-scan-interval", DISK_CACHE),
    row(JuiceFs, "--verify-cache-checksum", Use("`--verify`")),
    row(JuiceFs, "--buffer-size", MEMORY),
    row(JuiceFs, "--attr-cache --entry-cache --dir-entry-cache --open-cache", TTL),
    row(JuiceFs, "--negative-dir-entry-cache --negative-entry-cache", NEGATIVE_TTL),
    row(JuiceFs, "--download-limit", BANDWIDTH),
    row(JuiceFs, "--max-downloads", CONNECTIONS),
    row(JuiceFs, "--max-readahead", READ_AHEAD),
    row(JuiceFs, "--io-retries", RETRIES),
    row(JuiceFs, "--get-timeout --put-timeout", TIMEOUTS),
    row(JuiceFs, "--writeback --upload-limit --upload-delay --max-uploads --max-deletes --backup-meta", WRITES),
    row(JuiceFs, "--read-only", READ_ONLY),
    row(JuiceFs, "--subdir", PREFIX),
    row(
        JuiceFs,
        "--storage --meta --trash-days --block-size",
        Missing("there is no format of its own; objects are files"),
    ),
    row(JuiceFs, "--access-key --secret-key --session-token", SECRET),
    row(JuiceFs, "--background", BACKGROUND),
    row(JuiceFs, "--log", LOG_FILE),
    row(JuiceFs, "--no-syslog", LOG_FILE),
    row(JuiceFs, "--metrics --consul", STATUS),
    row(JuiceFs, "--enable-xattr", EXTENDED),
    row(JuiceFs, "--no-usage-report --no-bgjob", Unneeded("nothing is reported to anybody")),
    row(JuiceFs, "--update-fstab", Missing("write the line into /etc/fstab; the README has one")),
    row(JuiceFs, "--umask", MASK),
    row(JuiceFs, "--all-squash --root-squash", Use("`--uid` and `--gid`, which hold for all files")),
    row(Fuse, "max_read max_write max_background congestion_threshold", KERNEL),
    row(Fuse, "max_readahead", READ_AHEAD),
    row(Fuse, "big_writes large_read async_read sync_read atomic_o_trunc no_remote_lock clone_fd", KERNEL),
    row(Fuse, "splice_read splice_write splice_move no_splice_read no_splice_write no_splice_move", KERNEL),
    row(
        Fuse,
        "fd rootmode user_id group_id blkdev blksize",
        Use("`--fuse-fd N`, or /dev/fd/N in place of the directory"),
    ),
    row(Fuse, "kernel_cache auto_cache", PAGE_CACHE),
    row(Fuse, "attr_timeout entry_timeout ac_attr_timeout", TTL),
    row(Fuse, "negative_timeout", NEGATIVE_TTL),
    row(Fuse, "use_ino readdir_ino noforget remember", INODES),
    row(Fuse, "max_idle_threads max_threads", THREADS),
    row(Fuse, "hard_remove intr intr_signal", NO_EFFECT),
    row(Fuse, "writeback_cache", WRITES),
    row(Fuse, "umask", MASK),
    row(Fuse, "modules subdir iconv", PREFIX),
    row(Fuse, "debug d", DEBUG),
    row(Fuse, "f", FOREGROUND),
    row(Fstab, "hard soft timeo retrans bg fg retry", RETRIES),
    row(Fstab, "rsize wsize nconnect", CONNECTIONS),
    row(
        Fstab,
        "vers nfsvers minorversion proto tcp udp port mountport sec noresvport",
        Use("`--endpoint`, with the port behind the host"),
    ),
    row(Fstab, "ac noac actimeo acregmin acregmax acdirmin acdirmax lookupcache", TTL),
    row(Fstab, "lock nolock local_lock cto nocto fsc nofsc", NO_EFFECT),
    row(Fstab, "username password passwd pass cred", SECRET),
    row(Fstab, "noacl user_xattr nouser_xattr", EXTENDED),
    row(Fstab, "fmask", Use("`--file-mode`")),
    row(Fstab, "dmask", Use("`--dir-mode`")),
    row(Fstab, "errors data commit barrier nobarrier discard nodiscard journal norecovery", NO_EFFECT),
    row(Fstab, "loop offset sizelimit rbind move", Missing("it is for devices and directories of this machine")),
    row(CommandLines, "--endpoint-url", ENDPOINT),
    row(CommandLines, "--no-sign-request", ANONYMOUS),
    row(
        CommandLines,
        "--access-key-id --access-key-secret --sts-token --aws-access-key-id --aws-secret-access-key",
        SECRET,
    ),
    row(CommandLines, "--config-file", Use("`--config`, which takes a JSON file")),
    row(CommandLines, "--no-verify-ssl --skip-verify-cert", CERTIFICATE),
    row(CommandLines, "--human-readable", Unneeded("`ossmount ls -l` shows sizes")),
    row(CommandLines, "--summarize", Unneeded("`ossmount ls -r --summary` adds up")),
    row(CommandLines, "--force-path-style", PATH_STYLE),
    row(CommandLines, "--cli-connect-timeout --cli-read-timeout --connect-timeout --read-timeout", TIMEOUTS),
];
