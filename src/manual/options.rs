//! Every option. Flags have `--` in front, variables are `OSSMOUNT_<NAME>`; the names stand as they are after
//! `-o` and in the configuration file.
//!
//! Printed from the table in `src/config/table.rs`; a test compares them.
//!
//! # where
//!
//! | option | takes | default | what it does |
//! |---|---|---|---|
//! | `endpoint` | HOST | from the region | Where the service answers: a host, with http:// or https:// in front and a port behind if need be, without the bucket. |
//! | `region` | REGION | from the endpoint | The region of the bucket, as in cn-hangzhou or eu-central-1; signatures name it. |
//! | `addressing` | auto virtual path cname | `auto` | Where the bucket goes in a URL: bucket.host/key, host/bucket/key, or, with cname, nowhere: the endpoint is a domain bound to the bucket. auto takes path for IP addresses and localhost. |
//! | `internal` | on off | `off` | Use the region's internal endpoint, which only machines of that region reach. |
//! | `accelerate` | on off | `off` | Use the transfer acceleration endpoint. |
//! | `dual-stack` | on off | `off` | Use the endpoint that answers over IPv4 and IPv6. |
//! | `sign` | v4 v1 none | `v4` | How requests are signed. v1 is for old OSS-compatible servers and needs no region; none is for public buckets. |
//! | `request-payer` | none requester | `none` | Who pays for requests: requester on a bucket that asks for it. |
//! | `proxy` | URL | none | Reach the service through this HTTP proxy: HOST:PORT, with USER:PASSWORD@ in front where it wants them. Encrypted requests go through a tunnel (CONNECT), others are handed to it. A password belongs into a file or the environment. |
//! | `bind` | INTERFACE ADDRESS | the kernel's choice | Connections set out from this interface or address of the machine; given several times, from each in turn, past one that does not answer. |
//! | `ca-bundle` | PATH | the system's | Trust the certificates in this PEM file instead of the system's. |
//!
//! # who
//!
//! | option | takes | default | what it does |
//! |---|---|---|---|
//! | `credentials` | auto env file process ecs-role oidc uri anonymous | `auto` | Where access keys come from. auto takes the first that is there: what one of the options below names; the environment (OSS_ACCESS_KEY_ID, OSS_ACCESS_KEY_SECRET and OSS_SESSION_TOKEN or the ALIBABA_CLOUD_ names for oss://, AWS_ACCESS_KEY_ID and its kin for s3://); a cluster's token; the files of the aliyun command line, of ossutil and of ossfs, or of the aws command line; a service named in the environment; the role of the ECS instance. |
//! | `credentials-file` | PATH | none | A file with access keys, read again when it changes: JSON with AccessKeyId, AccessKeySecret and, for temporary keys, SecurityToken and Expiration; profiles of the aliyun command line; sections of ossutil or the aws command line; lines BUCKET:ID:SECRET. |
//! | `profile` | NAME | the file's choice | The profile or section of that file. |
//! | `credentials-process` | COMMAND | none | A command for the shell that prints such JSON; run again before the keys end. |
//! | `credentials-uri` | URL | none | A service that answers with such JSON; asked again before the keys end. |
//! | `ram-role` | NAME | the instance's | The RAM role of the ECS instance that this runs on. |
//! | `role-arn` | ARN | none | A role to take on with the other credentials or with a cluster's token, as in acs:ram::ACCOUNT:role/NAME. For s3:// with a token alone, as in arn:aws:iam::ACCOUNT:role/NAME. |
//! | `role-session-name` | NAME | ossmount | What the service's log calls who took the role on. |
//! | `oidc-provider-arn` | ARN | none | Who vouches for a cluster's token, as in acs:ram::ACCOUNT:oidc-provider/NAME; not needed for s3://. |
//! | `oidc-token-file` | PATH | none | Where a cluster writes that token; read anew each time. |
//! | `sts-endpoint` | URL | the region's | The service that grants roles: https:// and a host, as in sts-vpc.cn-hangzhou.aliyuncs.com. S3-compatible servers that grant roles themselves must be named here. |
//! | `metadata-endpoint` | URL | http://100.100.100.200 | The metadata service of the ECS instance. |
//!
//! # tree
//!
//! | option | takes | default | what it does |
//! |---|---|---|---|
//! | `metadata-ttl` | TIME indefinite | `60s` | How long names, sizes and times are believed without asking again. 0 asks at every open, indefinite freezes the view. |
//! | `negative-ttl` | TIME | `5s` | How long the absence of a name is believed. |
//! | `odd-keys` | hide escape | `hide` | Keys that make no safe path: left out, or shown under an escaped name. |
//! | `listing` | auto lazy eager | `auto` | What is listed before it is asked for. lazy lists a directory when it is looked into, eager the whole mount at the start, and auto what lies ahead of a program that walks the tree. |
//! | `metadata-memory` | SIZE auto | `auto` | Memory for names and attributes, from 16MiB on; past it, directories that nothing has open are forgotten and listed again when they are wanted. auto is an eighth of the machine's memory or of the cgroup's limit, whichever is smaller, and at least 256MiB where there is room. |
//! | `symlinks` | on off | `off` | Show symlink objects as links; off shows them as files with the target's data. |
//! | `uid` | ID | who mounts | The owner of everything. |
//! | `gid` | ID | who mounts | The group of everything. |
//! | `file-mode` | MODE | `0444` | The permissions of files. |
//! | `dir-mode` | MODE | `0555` | The permissions of directories. |
//! | `allow-other` | on off | `off` | Let every user in, as far as the modes allow. |
//! | `allow-root` | on off | `off` | Let root in besides who mounts. |
//! | `nonempty` | on off | `off` | Mount over a directory that is not empty, hiding what is in it. |
//!
//! # list
//!
//! | option | takes | default | what it does |
//! |---|---|---|---|
//! | `list-concurrency` | N | `64` | Requests under way at once for one listing, 1 to 1024. |
//!
//! # read
//!
//! | option | takes | default | what it does |
//! |---|---|---|---|
//! | `prefetch` | auto open off | `auto` | What is fetched before it is asked for: windows ahead of sequential readers and the files that come next, besides them whole files from open on, or nothing. |
//! | `prefetch-threshold` | SIZE | `128KiB` | How much a reader must have read in sequence before more is fetched ahead of it, up to 1GiB. |
//! | `prefetch-parts` | N auto | `auto` | Requests under way ahead of one reader, at most; auto is as many as there are connections. |
//! | `part-size` | SIZE | `8MiB` | The largest request for a part of a file, 1MiB to 1GiB. Files up to this size come in one request. |
//! | `max-connections` | N auto | `auto` | Requests under way at once; auto is 64, or list-concurrency where that is more. |
//! | `memory-limit` | SIZE auto | `auto` | Memory for read buffers, for the whole daemon, from 64MiB on. auto is a quarter of the machine's memory or of the cgroup's limit, whichever is smaller, and at least 64MiB where there is room. |
//! | `max-bandwidth` | SIZE | no limit | Bytes of files per second, all requests together, from 1MiB on. What a program waits for goes before what is fetched ahead. |
//! | `record` | PATH | none | Write to this file which bytes of which files are read, in order, for replay. What it holds is replaced once something was read. |
//! | `replay` | PATH | none | Fetch what was recorded in this file ahead of a program that loads the same files again, once it opens the first of them. May be the file that record names; then it need not be there yet. |
//! | `verify` | crc64 off | `crc64` | Compare each object that has passed through whole with the CRC-64 that the store keeps of it. |
//!
//! # cache
//!
//! | option | takes | default | what it does |
//! |---|---|---|---|
//! | `memory-cache` | auto off | `auto` | Keep files in memory after they were read and closed, while nothing else wants the memory. |
//! | `passthrough` | auto off | `auto` | Let the kernel read files of 16 MiB and more by itself, once they are all in memory, where the daemon runs as root and the kernel can (Linux 6.9). |
//! | `direct-io` | auto on off | `auto` | Answer reads past the page cache. auto does so where it costs a third of the CPU time: for big files, and programs that were seen to read in pieces of 64 KiB and more. |
//! | `keep-page-cache` | on off | `on` | Keep the kernel's pages of a file from one open to the next while its entity tag stands. |
//!
//! # copy
//!
//! | option | takes | default | what it does |
//! |---|---|---|---|
//! | `copy` | on off | on; off with allow-other | Take requests to copy within the service, with the daemon's key. |
//! | `copy-from` | BUCKET[/PREFIX] | what is mounted | Copies may also read from this bucket, or below this prefix of one. May be given several times. |
//! | `copy-to` | BUCKET[/PREFIX] | what is mounted | Copies may also write to this bucket, or below this prefix of one. May be given several times. |
//! | `control-xattr` | on off | `off` | Take control requests by setfattr -n user.ossmount.call too. The kernel is not told that the mount is read-only then, and does not check modes: the daemon refuses writes itself. |
//! | `copy-part-size` | SIZE | `64MiB` | The parts that large objects are copied in, 100KiB to 5GiB; larger where an object would have more than 10,000. |
//! | `copy-parallel` | N | `3` | Parts of one object copied at once, 1 to 1000. |
//! | `copy-threshold` | SIZE | `200MiB` | Objects up to this size are copied in one request, larger ones in parts; at most 5GiB. |
//! | `copy-requests` | N | `32` | Copying requests under way at once, all copies together, 1 to 1024. |
//! | `leave-parts-on-error` | on off | `off` | Keep the parts of a copy that fails or is cancelled, so that a later one can go on from them. They are paid for until the upload is aborted. |
//! | `shallow-copy` | on off | `on` | Try larger objects in one request first where the service may only have to write down a name: in the same bucket, storage class and without encryption. |
//!
//! # run
//!
//! | option | takes | default | what it does |
//! |---|---|---|---|
//! | `foreground` | on off | `off` | Stay in the foreground, with the log on stderr. |
//! | `log-level` | error warn info debug trace | `info` | The least serious lines that are logged. SIGUSR2 moves a running daemon to the next level. |
//! | `log-file` | PATH | stderr | Append the log to this file. SIGHUP opens it anew. Without it, a daemon in the background logs to /dev/log. |
//! | `log-file-size` | SIZE | no limit | When the log file would grow beyond this, keep it as FILE.1, the one before as FILE.2, and begin another. |
//! | `log-file-count` | N | `5` | Log files that are kept then, the one that is written included, 1 to 1000. |
//! | `log-format` | text json | `text` | How lines of the log look. |
//! | `pid-file` | PATH | none | Write the daemon's process id here while it runs. |
//! | `control-socket` | PATH | in the runtime directory | Take control requests on a Unix socket here, or nowhere with off; only its owner and root may ask. |
//! | `fuse-fd` | N | none | Serve this descriptor of /dev/fuse, which the caller has mounted on DIR and will unmount; the same as /dev/fd/N for DIR. Stays in the foreground. |
//! | `metrics-listen` | ADDRESS | none | Serve /metrics for Prometheus, /healthz and /readyz over HTTP on this host and port, as in 127.0.0.1:9464, or on a Unix socket at a path. There is no password: keep it on the loopback or where only those come who may know. |
//! | `supervise` | on off | `off` | Start the daemon again when it dies, and let it go on with the mount, so that open files stay readable. systemd does so without this option. |
//! | `drain-timeout` | TIME | `10s` | How long SIGTERM waits for reads under way before unmounting. |
