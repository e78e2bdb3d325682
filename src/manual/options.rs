//! Options: look up each option with its values, its default and its effect.
//!
//! A flag has `--` in front of the name, a variable is `OSSMOUNT_<NAME>` in capitals with `_`; after `-o` and in the
//! configuration file the name is used as it is. [`configuration`](super::configuration) has the order of
//! precedence, [`defaults`](super::defaults) the reasons for the defaults.
//!
//! The tables are printed from `src/config/table.rs`; a test compares them.
//!
//! # Connection
//!
//! | option | takes | default | what it does |
//! |---|---|---|---|
//! | `endpoint` | HOST | from the region | The service: a host, optionally with http:// or https:// in front and a port behind, without the bucket. |
//! | `region` | REGION | from the endpoint | The region of the bucket, as in cn-hangzhou or eu-central-1. It is part of signatures. |
//! | `addressing` | auto virtual path cname | `auto` | How URLs name the bucket: bucket.host/key (virtual), host/bucket/key (path), or not at all because the endpoint is a domain bound to the bucket (cname). auto is path for IP addresses and localhost. |
//! | `internal` | on off | `off` | Use the internal endpoint of the region, which only machines of that region reach. |
//! | `accelerate` | on off | `off` | Use the transfer acceleration endpoint. |
//! | `dual-stack` | on off | `off` | Use the endpoint that supports both IPv4 and IPv6. |
//! | `sign` | v4 v1 none | `v4` | How requests are signed. v1 is for old OSS-compatible servers and needs no region; none is for public buckets. |
//! | `request-payer` | none requester | `none` | Who pays for requests: requester for buckets that require it. |
//! | `proxy` | URL | none | Send requests through this HTTP proxy: HOST:PORT or USER:PASSWORD@HOST:PORT. HTTPS requests use a tunnel (CONNECT), HTTP requests are sent to the proxy itself. Set a password in a file or the environment. |
//! | `bind` | INTERFACE ADDRESS | the kernel's choice | Local interface or address for connections. May be given several times; connections use them in turn and skip one that does not reach the service. |
//! | `ca-bundle` | PATH | the system's | Trust the certificates in this PEM file instead of the system's. |
//!
//! # Credentials
//!
//! | option | takes | default | what it does |
//! |---|---|---|---|
//! | `credentials` | auto env file process ecs-role oidc uri anonymous | `auto` | Source of access keys. auto uses the first that exists: the source named by one of the options below; the environment (OSS_ACCESS_KEY_ID, OSS_ACCESS_KEY_SECRET and OSS_SESSION_TOKEN or the ALIBABA_CLOUD_ names for oss://, the AWS_ names for s3://); the token of a cluster; files of the aliyun command line, ossutil and ossfs, or of the aws command line; a service named in the environment; the role of the ECS instance. |
//! | `credentials-file` | PATH | none | A file with access keys, read again when it changes: JSON with AccessKeyId, AccessKeySecret and, for temporary keys, SecurityToken and Expiration; profiles of the aliyun command line; sections of ossutil or the aws command line; lines BUCKET:ID:SECRET. |
//! | `profile` | NAME | the file's choice | The profile or section of that file. |
//! | `credentials-process` | COMMAND | none | A shell command that prints such JSON. It runs again before the keys expire. |
//! | `credentials-uri` | URL | none | A service that returns such JSON. It is asked again before the keys expire. |
//! | `ram-role` | NAME | the instance's | The RAM role of the ECS instance. |
//! | `role-arn` | ARN | none | A role to assume with the other credentials or with the token of a cluster, as in acs:ram::ACCOUNT:role/NAME. For s3:// with a token only, as in arn:aws:iam::ACCOUNT:role/NAME. |
//! | `role-session-name` | NAME | ossmount | The name of the role's session in the logs of the service. |
//! | `oidc-provider-arn` | ARN | none | The identity provider of the token of a cluster, as in acs:ram::ACCOUNT:oidc-provider/NAME; not needed for s3://. |
//! | `oidc-token-file` | PATH | none | The file with the token of a cluster; read again each time. |
//! | `sts-endpoint` | URL | the region's | The service that grants roles: https:// and a host, as in sts-vpc.cn-hangzhou.aliyuncs.com. Required for S3-compatible servers that grant roles themselves. |
//! | `metadata-endpoint` | URL | http://100.100.100.200 | The metadata service of the ECS instance. |
//!
//! # Point-in-time
//!
//! | option | takes | default | what it does |
//! |---|---|---|---|
//! | `at` | TIME | now | Show a versioned bucket as it stood at this time: RFC 3339, as in 2026-03-01T12:00:00Z, or how long ago, as in 90m, 12h or 3d; at least a minute. Needs permission to list and read versions. |
//!
//! # Names
//!
//! | option | takes | default | what it does |
//! |---|---|---|---|
//! | `bucket` | NAME | all that the keys may list | A bucket to show in a mount of oss:// or s3://, which name none. May be given several times. |
//! | `metadata-ttl` | TIME indefinite | `60s` | How long names, sizes and times are cached. 0 asks the store at every open; indefinite caches them for the life of the mount. |
//! | `negative-ttl` | TIME | `5s` | How long a missing name is cached after a program looked it up. |
//! | `odd-keys` | hide escape | `hide` | Keys that cannot be file names: hide omits them, escape shows them under escaped names. |
//! | `listing` | auto lazy eager | `auto` | What is listed in advance. lazy lists a directory when it is opened, eager the whole mount at the start, auto the directories ahead of a program that walks the tree. The default is eager with at. |
//! | `metadata-memory` | SIZE auto | `auto` | Memory for names and attributes, from 16MiB on. Beyond it, directories that are not in use are evicted and listed again when they are needed. auto is an eighth of the machine's memory or of the cgroup's limit, whichever is smaller, and at least 256MiB where there is room. |
//! | `symlinks` | on off | `off` | Show symlink objects as links; off shows them as files with the data of their targets. |
//! | `uid` | ID | the user who mounts | The owner of all files and directories. |
//! | `gid` | ID | the user who mounts | The group of all files and directories. |
//! | `file-mode` | MODE | `0444` | The permissions of files. |
//! | `dir-mode` | MODE | `0555` | The permissions of directories. |
//! | `allow-other` | on off | `off` | Let all users access the mount, within its modes. |
//! | `allow-root` | on off | `off` | Let root access the mount besides the user who mounts. |
//! | `nonempty` | on off | `off` | Mount over a directory that is not empty, which hides its content. |
//!
//! # Listing
//!
//! | option | takes | default | what it does |
//! |---|---|---|---|
//! | `list-concurrency` | N | `64` | Requests in flight for one listing, 1 to 1024. |
//!
//! # Reading
//!
//! | option | takes | default | what it does |
//! |---|---|---|---|
//! | `prefetch` | auto open off | `auto` | What is fetched in advance. auto: windows ahead of sequential readers, and the next files; open: also whole files when they are opened; off: nothing. |
//! | `prefetch-threshold` | SIZE | `128KiB` | Bytes that a reader must have read in sequence before windows are fetched ahead of it, up to 1GiB. |
//! | `prefetch-parts` | N auto | `auto` | Most requests in flight ahead of one reader; auto is max-connections. |
//! | `part-size` | SIZE | `8MiB` | The largest request for a part of a file, 1MiB to 1GiB. Smaller files are fetched in one request. |
//! | `max-connections` | N auto | `auto` | Most requests in flight; auto is 64, or list-concurrency if that is more. |
//! | `memory-limit` | SIZE auto | `auto` | Memory for read buffers of the whole daemon, from 64MiB on. auto is a quarter of the machine's memory or of the cgroup's limit, whichever is smaller, and at least 64MiB where there is room. |
//! | `max-bandwidth` | SIZE | no limit | Limit for the bytes of files per second, over all requests, from 1MiB on. Requests that a program waits for go before prefetching. |
//! | `record` | PATH | none | Record in this file which bytes of which files are read, in order, for replay. The old content is replaced once something was read. |
//! | `replay` | PATH | none | Prefetch what this file recorded when a program loads the same files again, once it opens the first of them. Can be the file that record names; it need not exist yet. |
//! | `verify` | crc64 off | `crc64` | Compare each object that was read completely with the CRC-64 that the store keeps of it. |
//!
//! # Cache
//!
//! | option | takes | default | what it does |
//! |---|---|---|---|
//! | `memory-cache` | auto off | `auto` | Keep files in memory after they were closed, while the memory is not needed for others. |
//! | `passthrough` | auto off | `auto` | Let the kernel read files of 16 MiB and more directly, once they are completely in memory. Needs root and Linux 6.9. |
//! | `bridge` | auto on off | `off` | Let the kernel read large files from an EROFS image that the daemon serves, so that mapped files are read at nearly the speed of local ones, in large pages of its page cache. Requires root and Linux 6.12.90, 6.18.30, or 7.0 or later. auto uses it where it works, on fails to mount where it does not. |
//! | `bridge-min` | SIZE | `16MiB` | Files of at least this size are read through the bridge. |
//! | `direct-io` | auto on off | `auto` | Bypass the page cache. auto does so where it costs a third of the CPU time: for large files, and programs that were seen to read in pieces of 64 KiB and more. |
//! | `keep-page-cache` | on off | `on` | Keep a file's pages in the kernel's page cache from one open to the next while its entity tag is the same. |
//! | `cache-dir` | DIR | none | A directory on a local disk where what was fetched is kept, for the next process, mount and boot. Several mounts can use it at the same time. May be given several times, for several disks; a path has no spaces or commas. |
//! | `cache-size` | SIZE | what cache-free allows | The most bytes in all cache directories together. |
//! | `cache-free` | SIZE | 10GiB, or 5 % of a larger file system | Bytes that stay free on the file system of each cache directory. |
//! | `cache-dir-any` | on off | `off` | Use a cache directory also on a network file system, in memory (tmpfs) or on overlayfs. |
//!
//! # Copy
//!
//! | option | takes | default | what it does |
//! |---|---|---|---|
//! | `copy` | on off | on; off with allow-other | Accept requests for server-side copies, which use the keys of the daemon. |
//! | `copy-from` | BUCKET[/PREFIX] | what is mounted | A further bucket, or prefix of a bucket, that copies can read from. May be given several times. |
//! | `copy-to` | BUCKET[/PREFIX] | what is mounted | A further bucket, or prefix of a bucket, that copies can write to. May be given several times. |
//! | `control-xattr` | on off | `off` | Accept control requests by setfattr -n user.ossmount.call too. The kernel then does not treat the mount as read-only and does not check modes; the daemon refuses writes itself. |
//! | `copy-part-size` | SIZE | `64MiB` | The size of the parts of large copies, 100KiB to 5GiB; larger for objects that would have more than 10,000 parts. |
//! | `copy-parallel` | N | `3` | Parts of one object that are copied at once, 1 to 1000. |
//! | `copy-threshold` | SIZE | `200MiB` | Objects up to this size are copied in one request, larger ones in parts; at most 5GiB. |
//! | `copy-requests` | N | `32` | Copy requests in flight, over all copies, 1 to 1024. |
//! | `leave-parts-on-error` | on off | `off` | Keep the parts of a copy that fails or is cancelled, so that a later copy can continue. The parts are charged until the upload is aborted. |
//! | `shallow-copy` | on off | `on` | Try one request for larger objects first where the service may copy without moving data: in the same bucket and storage class, without encryption. |
//!
//! # Daemon
//!
//! | option | takes | default | what it does |
//! |---|---|---|---|
//! | `foreground` | on off | `off` | Stay in the foreground and log to stderr. |
//! | `log-level` | error warn info debug trace | `info` | The lowest severity that is logged. SIGUSR2 switches a running daemon to the next level. |
//! | `log-file` | PATH | stderr | Append the log to this file. SIGHUP opens it again. Without it, a daemon in the background logs to /dev/log. |
//! | `log-file-size` | SIZE | no limit | When the log file would grow beyond this size, rename it to FILE.1, the previous one to FILE.2, and start a new file. |
//! | `log-file-count` | N | `5` | Log files to keep in that case, including the current one, 1 to 1000. |
//! | `log-format` | text json | `text` | The format of log lines. |
//! | `pid-file` | PATH | none | Write the process id of the daemon to this file while it runs. |
//! | `control-socket` | PATH | in the runtime directory | Accept control requests on a Unix socket at this path, or nowhere with off. Only its owner and root can connect. |
//! | `fuse-fd` | N | none | Serve this descriptor of /dev/fuse, which the caller has mounted on DIR and will unmount; the same as /dev/fd/N for DIR. Stays in the foreground. |
//! | `metrics-listen` | ADDRESS | none | Serve /metrics for Prometheus, /healthz and /readyz over HTTP on this host and port, as in 127.0.0.1:9464, or on a Unix socket at this path. There is no password: use the loopback address or a trusted network. |
//! | `supervise` | on off | `off` | Start a new daemon when the daemon dies; it continues the mount, and open files stay readable. Not needed under systemd. |
//! | `drain-timeout` | TIME | `10s` | How long SIGTERM waits for requests in flight. |
