//! Migrating: replace the options of ossfs, Mountpoint for S3, s3fs and rclone mount by those of ossmount.
//!
//! Three differences matter more than options:
//!
//! - *Mounts are read-only.* Programs that write (checkpoints, logs) need an SDK or another client on another
//!   directory. Server-side copies are possible ([`copying`](super::copying)).
//! - *There is no cache on disk.* Repeated reads come from memory and the kernel's page cache.
//! - *Fewer options are needed.* Numbers of threads, window sizes and attribute caches adapt to the load. Where the
//!   table says "not needed", omit the option.
//!
//! The names on the right work as flags, after `-o`, as variables and in the configuration file. An unknown option is
//! an error that suggests a similar one; no option is ignored silently. The names on the left are those of ossfs 1.91,
//! ossfs 2.0, Mountpoint 1.x, s3fs 1.9x and rclone 1.6x.
//!
//! # From ossfs 1.x
//!
//! ```text
//! ossfs my-bucket:/models /mnt/models -ourl=https://oss-cn-hangzhou-internal.aliyuncs.com -oallow_other
//! ossmount mount oss://my-bucket/models /mnt/models --region cn-hangzhou --internal --allow-other --credentials-file /etc/passwd-ossfs
//! ```
//!
//! | ossfs | here |
//! |---|---|
//! | `BUCKET:/PREFIX` | `oss://BUCKET/PREFIX` |
//! | `url` | `--endpoint`, or better `--region` with `--internal`; without a scheme it is https here, http there |
//! | `passwd_file`, `/etc/passwd-ossfs` | `--credentials-file`, which reads the same lines; `~/.passwd-ossfs` is found by itself |
//! | `ram_role=http://100.100.100.200/.../ROLE` | `--ram-role ROLE` |
//! | `sigv4`, `region` | not needed: signatures are V4, and `--region` names the region |
//! | `allow_other`, `uid`, `gid`, `nonempty` | `--allow-other`, `--uid`, `--gid`, `--nonempty` |
//! | `umask`, `mp_umask` | `--file-mode`, `--dir-mode`: the modes themselves, not a mask |
//! | `ro` | not needed |
//! | `max_stat_cache_size` | `--metadata-memory`: an amount of memory, not a number of entries |
//! | `stat_cache_expire` | `--metadata-ttl` |
//! | `multireq_max`, `readdir_optimize` | not needed: sizes and times come from the listing |
//! | `parallel_count`, `direct_read`, `direct_read_prefetch_...` | not needed; `--max-connections` and `--memory-limit` bound them |
//! | `use_cache`, `del_cache`, `ensure_diskfree` | nothing: there is no cache on disk |
//! | `multipart_size`, `noxattr`, `default_acl` | nothing: they are about writing |
//! | `dbglevel`, `-d`, `-f` | `--log-level`, `--foreground` |
//! | `noshallowcopyapi` and similar options | `--shallow-copy off` |
//!
//! Objects that ossfs made keep their names. Modes and owners that it wrote into metadata are not read: every file has
//! `--file-mode`.
//!
//! # From ossfs 2.0
//!
//! Its configuration file becomes a JSON file for `--config`, or flags.
//!
//! | ossfs 2.0 | here |
//! |---|---|
//! | `oss_endpoint`, `oss_region` | `--endpoint`, `--region`; without a region it signs by V1, which here is `--sign v1` |
//! | `oss_bucket`, `oss_bucket_prefix` | `oss://BUCKET/PREFIX` |
//! | `oss_access_key_id`, `oss_access_key_secret` | variables, or a file named by `--credentials-file`; no option takes a secret |
//! | `ram_role` | `--ram-role` |
//! | `credential_process` | `--credentials-process` |
//! | `attr_timeout` (60) | `--metadata-ttl` (60s) |
//! | `negative_timeout` (0) | `--negative-ttl` (5s) |
//! | `readdirplus` | not needed |
//! | `log_dir`, `log_level` | `--log-file` (a file), `--log-level` |
//! | `f` | `--foreground` |
//! | `ro` | not needed |
//! | `upload_...` | nothing |
//! | `fuse_device_fd=N` | `--fuse-fd N`, or `/dev/fd/N` in place of the directory |
//! | memory for reading ahead | `--memory-limit` |
//!
//! What behaves differently: an open file never mixes two versions of an object; the default of `--memory-limit`
//! follows the limit of the container; 403 is EACCES, and reads of an object that was overwritten fail with ESTALE.
//!
//! # From Mountpoint for Amazon S3
//!
//! ```text
//! mount-s3 my-bucket /mnt/models --prefix models/ --read-only --region eu-west-1 --metadata-ttl 60
//! ossmount mount s3://my-bucket/models /mnt/models --region eu-west-1
//! ```
//!
//! | Mountpoint | here |
//! |---|---|
//! | `BUCKET`, `--prefix P/` | `s3://BUCKET/P` |
//! | `--region`, `--endpoint-url` | `--region`, which is not guessed here, and `--endpoint` |
//! | `--force-path-style` | `--addressing path` |
//! | `--transfer-acceleration`, `--dual-stack` | `--accelerate`, `--dual-stack` |
//! | `--requester-pays` | `--request-payer requester` |
//! | `--no-sign-request` | `--credentials anonymous` |
//! | `--profile` | `--profile`, of `~/.aws/credentials`; roles and sources that `~/.aws/config` names are not read |
//! | roles of a pod (`AWS_WEB_IDENTITY_TOKEN_FILE`) and of a container | the same variables |
//! | the role of an EC2 instance | nothing: use `--credentials-process` |
//! | `--read-only` | not needed |
//! | `--allow-delete`, `--allow-overwrite`, `--incremental-upload`, `--storage-class`, `--sse`, `--upload-checksums` | nothing: they are about writing |
//! | `--allow-other`, `--allow-root`, `--uid`, `--gid` | `--allow-other`, `--allow-root`, `--uid`, `--gid` |
//! | `--dir-mode`, `--file-mode` | `--dir-mode`, `--file-mode` |
//! | `--auto-unmount` | not needed: the daemon unmounts when it ends, and the next mount removes a dead one |
//! | `--maximum-throughput-gbps` | not needed; `--max-bandwidth` is a limit |
//! | `--max-threads` | not needed |
//! | `--part-size`, `--read-part-size` | `--part-size` |
//! | `--metadata-ttl SECONDS`, `indefinite`, `minimal` | `--metadata-ttl` with a unit (`60s`), `indefinite`, `0` |
//! | `--negative-metadata-ttl` | `--negative-ttl` |
//! | `--cache`, `--max-cache-size`, `--cache-xz` | nothing; `--memory-cache` keeps files in memory |
//! | `--foreground`, `--log-directory`, `--debug`, `--no-log` | `--foreground`, `--log-file` (a file), `--log-level` |
//! | `--log-metrics` | `ossmount status DIR` |
//! | `--bucket-type directory`, Express One Zone, access points by ARN | nothing |
//! | `--bind` | `--bind` |
//! | `--expected-bucket-owner` | nothing |
//! | `/dev/fd/N` as the directory | the same; with `--fuse-fd N` the directory is named too |
//!
//! What behaves differently: names are cached for 60 s by default; listings are cached, and repeated reads of a file
//! send no request; 403 is EACCES, not EIO; keys that cannot be file names are omitted, and the rest of their directory
//! works.
//!
//! # From s3fs
//!
//! | s3fs | here |
//! |---|---|
//! | `BUCKET:/PATH` | `s3://BUCKET/PATH` |
//! | `url`, `endpoint` | `--endpoint`, `--region` |
//! | `use_path_request_style` | `--addressing path` |
//! | `passwd_file` | `--credentials-file`: lines `ID:SECRET` and `BUCKET:ID:SECRET` are read |
//! | `profile` | `--profile` |
//! | `iam_role` | nothing: use `--credentials-process` |
//! | `public_bucket=1` | `--credentials anonymous` |
//! | `requester_pays` | `--request-payer requester` |
//! | `sigv2` | nothing; `--sign v1` is for OSS only |
//! | `no_check_certificate` | nothing: name the certificate with `--ca-bundle` |
//! | `allow_other`, `uid`, `gid`, `nonempty` | `--allow-other`, `--uid`, `--gid`, `--nonempty` |
//! | `umask`, `mp_umask` | `--file-mode`, `--dir-mode` |
//! | `use_cache`, `del_cache`, `ensure_diskfree` | nothing: there is no cache on disk |
//! | `max_stat_cache_size`, `stat_cache_expire` | `--metadata-memory`, `--metadata-ttl` |
//! | `enable_noobj_cache` | `--negative-ttl` |
//! | `parallel_count`, `multireq_max` | not needed; `--max-connections` |
//! | `multipart_size`, `singlepart_copy_limit` | nothing; for copies `--copy-part-size` and `--copy-threshold` |
//! | `dbglevel`, `curldbg`, `-f` | `--log-level`, `--foreground` |
//! | `retries`, `connect_timeout`, `readwrite_timeout` | nothing: failures are retried for a minute |
//!
//! # From rclone mount
//!
//! | rclone | here |
//! |---|---|
//! | `REMOTE:BUCKET/PATH` and the remote's configuration | `oss://BUCKET/PATH` or `s3://BUCKET/PATH`, with `--endpoint`, `--region` and a source of keys |
//! | `env_auth` | not needed |
//! | `--s3-force-path-style` | `--addressing path` |
//! | `--read-only`, `--vfs-cache-mode` | not needed |
//! | `--daemon` | the default; `--foreground` turns it off |
//! | `--allow-other`, `--allow-root`, `--allow-non-empty` | `--allow-other`, `--allow-root`, `--nonempty` |
//! | `--dir-cache-time`, `--attr-timeout` | `--metadata-ttl` |
//! | `--poll-interval` | not needed: directories in use are listed again before they expire |
//! | `--buffer-size`, `--vfs-read-ahead` | not needed; `--memory-limit` bounds all buffers together |
//! | `--vfs-read-chunk-size`, `--vfs-read-chunk-streams` | `--part-size`, `--max-connections` |
//! | `--vfs-cache-max-size`, `--vfs-cache-max-age`, `--cache-dir` | nothing; `--memory-cache` keeps files in memory |
//! | `--bwlimit` | `--max-bandwidth` |
//! | `--max-read-ahead` | not needed: raised to 1 MiB if the daemon runs as root |
//! | `--uid`, `--gid`, `--file-perms`, `--dir-perms` | `--uid`, `--gid`, `--file-mode`, `--dir-mode` |
//! | `--rc`, `rclone rc vfs/refresh` | `--control-socket`, `ossmount control DIR '{"op":"refresh"}'` |
//! | `--log-file`, `--log-level` | `--log-file`, `--log-level` |
//!
//! # What to check afterwards
//!
//! 1. `ossmount ls -r --summary URL` counts the objects; `find DIR -type f | wc -l` should find as many. Missing
//!    objects have keys that cannot be file names: `odd_keys` in `ossmount status DIR` counts them, and
//!    `odd-keys=escape` shows them.
//! 2. `md5sum` of a few files, old mount and new.
//! 3. Programs that test for a mount by its type find `fuse.ossmount` in `/proc/mounts`.
//! 4. The first line of the log says where the keys came from.
