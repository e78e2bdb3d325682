//! Commands: what each command does, with examples to copy.
//!
//! `ossmount COMMAND --help` lists the options of a command. The exit status is 0 for success, 1 for a failure, with
//! one sentence on stderr, and 2 for invalid arguments. Output for people can change between releases;
//! the fields that `--json` prints are stable.
//!
//! URLs are `oss://BUCKET[/KEY or PREFIX]` and `s3://...`. Every command that sends requests to a service takes the
//! [options](super::options) of the groups *Connection* and *Credentials*, by flag, variable or configuration file.
//!
//! # mount
//!
//! `ossmount mount URL DIR [options]` mounts a bucket, or the part below a prefix, and returns when the mount is ready.
//! `ossmount URL DIR -o ...` does the same for mount(8). `-f` stays in the foreground and logs to stderr.
//!
//! ```console
//! $ mkdir mnt
//! $ ossmount mount oss://bucket mnt --metadata-ttl indefinite -o memory-limit=1GiB
//! $ cat mnt/dir/deep/c.txt
//! gamma
//! $ ossmount mount oss://bucket mnt
//! ossmount: .../mnt is already a mount of oss://bucket: unmount it first (ossmount umount)
//! $ ossmount mount oss://bucket missing
//! ossmount: .../missing does not exist: create the directory first
//! $ ossmount mount oss://bucket mnt --metadata-tll 5s
//! ossmount: unexpected argument '--metadata-tll' found; a similar argument exists: '--metadata-ttl'; see --help
//! ```
//!
//! `ossmount mount oss:// DIR`, without a bucket, shows all buckets that the credentials may list as directories, or
//! those that `--bucket NAME` names. Each is reached in its own region when it is first looked at. All share one
//! daemon, one memory limit, one cache and `max-connections`. Such a mount makes no copies and takes no `at`, and its
//! buckets are those of its beginning.
//!
//! ```console
//! $ mkdir mnt
//! $ ossmount mount oss:// mnt --bucket special --bucket versions
//! $ ls mnt; cat mnt/versions/a.txt
//! special
//! versions
//! alpha
//! ```
//!
//! # umount
//!
//! `ossmount umount DIR` unmounts a directory and waits until its daemon has ended, if the daemon belongs to the same
//! user. It refuses to unmount while files are open, unless `--lazy` is given.
//!
//! ```console
//! $ mkdir mnt
//! $ ossmount mount oss://bucket mnt
//! $ exec 9< mnt/a.txt
//! $ ossmount umount mnt
//! ossmount: .../mnt is in use: close its files, or unmount lazily (ossmount umount --lazy)
//! $ ossmount umount --lazy mnt; cat <&9; exec 9<&-
//! alpha
//! $ ossmount umount mnt
//! ossmount: .../mnt is not a mount of ossmount
//! ```
//!
//! # ls
//!
//! `ossmount ls URL` lists the objects and directories directly below a prefix.
//!
//! | option | effect |
//! |---|---|
//! | `-r` | lists everything below the prefix, by many requests at once; pages are printed as they arrive |
//! | `--sort` | prints in the order of the keys |
//! | `-l` | prints size, time and storage class |
//! | `--json` | prints one JSON object a line |
//! | `--summary` | prints the number of objects and bytes, by storage class |
//!
//! ```console
//! $ ossmount ls oss://bucket
//! a.txt
//! dir/
//! $ ossmount ls -l oss://bucket/dir
//!              5  ...Z  Standard     b.txt
//!              -                        directory    deep/
//! $ ossmount ls -r --sort --json oss://bucket/dir
//! {"key":"dir/b.txt","size":5,"last_modified":"...","etag":"...","type":"Normal","storage_class":"Standard"}
//! {"key":"dir/deep/c.txt","size":6,"last_modified":"...","etag":"...","type":"Normal","storage_class":"Standard"}
//! $ ossmount ls -r --summary oss://bucket
//! objects         3
//! bytes           17
//! Standard        3 objects, 17 bytes
//! ```
//!
//! # stat
//!
//! `ossmount stat URL-or-PATH` prints all metadata of an object: of a URL from the service, of a path from its mount.
//!
//! ```console
//! $ ossmount stat oss://bucket/a.txt
//! bucket          bucket
//! ...
//! crc64           17482298344918133709
//! ...
//! size            6
//! ...
//! $ mkdir mnt && ossmount mount oss://bucket mnt
//! $ ossmount stat --json mnt/a.txt
//! {..."key":"a.txt"..."size":"6"...}
//! $ ossmount stat oss://bucket/none
//! ossmount: object oss://bucket/none does not exist
//! ```
//!
//! # cp
//!
//! `ossmount cp SRC DST` makes a server-side copy of an object, and with `-r` of all objects below a prefix;
//! [`copying`](super::copying) has the details. Each side is a URL or a path in a live mount. `--json` prints one event
//! a line.
//!
//! ```console
//! $ ossmount cp oss://bucket/a.txt oss://bucket/copied/a.txt
//! oss://bucket/a.txt -> oss://bucket/copied/a.txt: 6B
//! $ ossmount cp -r oss://bucket/dir oss://bucket/again
//! oss://bucket/dir -> oss://bucket/again/: 2 objects, 11B
//! $ mkdir mnt && ossmount mount oss://bucket mnt
//! $ ossmount cp mnt/a.txt mnt/b.txt && cat mnt/b.txt
//! oss://bucket/a.txt -> oss://bucket/b.txt: 6B
//! alpha
//! ```
//!
//! # log
//!
//! `ossmount log URL` prints the versions of an object, or of all objects below a prefix that ends in a slash, the
//! newest first, with delete markers. `ls`, `stat`, `cp` and `mount` take `--at TIME`, which shows a versioned bucket
//! as it stood then; see [`past`](super::past).
//!
//! ```console
//! $ ossmount log oss://versions/a.txt
//! ...Z  ... 6 * ...  a.txt
//! $ ossmount log oss://versions/none
//! ossmount: oss://versions/none has no versions, and never had any that are kept
//! ```
//!
//! # prefetch
//!
//! `ossmount prefetch PATH...` makes a live mount fetch files, and directories with everything below them, into memory
//! in the given order. `--wait` waits until they are there.
//!
//! ```console
//! $ mkdir mnt && ossmount mount oss://bucket mnt
//! $ ossmount prefetch --wait mnt/dir
//! 2 files of 11 are in memory
//! $ ossmount prefetch --wait mnt/none
//! ossmount: 1 path could not be fetched: none: No such file or directory
//! ```
//!
//! # status
//!
//! `ossmount status` lists the live mounts. `ossmount status DIR` prints health and all figures of one mount; on a
//! terminal it shows a live view until `q`. `--json` prints either as JSON.
//!
//! ```console
//! $ mkdir mnt && ossmount mount oss://bucket mnt && cat mnt/a.txt
//! alpha
//! $ ossmount status mnt
//! ...
//! directory                       .../mnt
//! ...
//! metrics.bytes_read              6
//! ...
//! status                          ok
//! ...
//! ```
//!
//! # config
//!
//! `ossmount config` prints the effective value of each option and where it comes from. With the URL, DIR and options
//! of a mount it also reports what would make that mount fail. It sends no requests and mounts nothing; see
//! [`configuration`](super::configuration).
//!
//! ```console
//! $ ossmount config --part-size 16MiB | grep ^part-size
//! part-size             16MiB             --part-size
//! ```
//!
//! # control
//!
//! `ossmount control DIR REQUEST` sends a control request to a live mount and prints the answer. REQUEST is JSON, the
//! name of a file with JSON, or `-` for standard input. [`control`](super::control) lists the requests.
//!
//! ```console
//! $ mkdir mnt && ossmount mount oss://bucket mnt
//! $ ossmount control mnt '{"op":"pin","path":"a.txt"}'
//! {"bytes":6,"pinned-bytes":6,...}
//! $ ossmount control mnt '{"op":"drop","path":"a.txt"}'
//! {"bytes":6,"files":1}
//! $ ossmount control mnt '{"op":"set","log-level":"debug"}'
//! {"log-level":"debug"}
//! $ ossmount control mnt '{"op":"fly"}'
//! ossmount: unknown operation "fly": the operations are copy, ... (EINVAL)
//! ```
//!
//! # demo
//!
//! `ossmount demo [DIR]` starts a server with a sample bucket on this machine, mounts the bucket on DIR or on a new
//! directory, prints commands to try, and removes what it created on Ctrl-C.
//!
//! # emulator
//!
//! `ossmount emulator --root DIR` serves the sub-directories of a directory as buckets, for trials and tests. It speaks
//! the OSS and S3 dialects and verifies signatures. `--generate` adds buckets of computed keys, `--ttfb` and
//! `--conn-bandwidth` slow it down, and `--fault` makes requests fail.
//!
//! ```console
//! $ mkdir -p root/books && echo once > root/books/tale.txt
//! $ ossmount emulator --root root > log & server=$!
//! $ until endpoint=$(sed -n 's/^listening on //p' log 2> /dev/null) && [ -n "$endpoint" ]; do sleep 0.1; done
//! $ export OSS_ACCESS_KEY_ID=EmulatorAccessKeyId OSS_ACCESS_KEY_SECRET=EmulatorAccessKeySecretForTestsOnly
//! $ ossmount ls oss://books --endpoint "$endpoint" --region cn-hangzhou
//! tale.txt
//! $ kill $server
//! ```
