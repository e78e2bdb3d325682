//! Commands: what each does, with an example that is run.
//!
//! `ossmount COMMAND --help` has every option of a command. Each ends with 0 when it was done, with 1 and one sentence
//! on stderr when it failed, with 2 when it was not understood. What is printed for people may change; what `--json`
//! prints keeps its fields.
//!
//! URLs are `oss://BUCKET[/KEY or PREFIX]` and `s3://...`. Every command that asks a service takes the options of the
//! groups *where* and *who*, by flag, variable or configuration file.
//!
//! # mount
//!
//! `ossmount mount URL DIR [options]` mounts, and returns once the mount answers. `ossmount URL DIR -o ...` is the
//! same, as mount(8) calls it. `-f` stays in the foreground, with the log on stderr.
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
//! # umount
//!
//! `ossmount umount DIR` unmounts and waits until the daemon has ended, where that is of the same user. A mount in use
//! is left alone, unless with `--lazy`.
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
//! `ossmount ls URL` lists what lies directly below a prefix, `-r` everything. Pages are printed as they come, from
//! many requests at once; `--sort` puts them in the order of the keys. `-l` shows size, time and storage class,
//! `--json` an object a line, `--summary` the sums.
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
//! `ossmount stat URL-or-PATH` shows everything that is known of an object, asked of the service or of a live mount.
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
//! ossmount: there is no object oss://bucket/none
//! ```
//!
//! # cp
//!
//! `ossmount cp SRC DST` copies an object within the service, `-r` all below a prefix; [`copying`](super::copying) says
//! how. Each side is a URL or a path under a live mount. `--json` prints an event a line.
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
//! # prefetch
//!
//! `ossmount prefetch PATH...` asks a live mount to fetch files, and directories with all below them, into memory in
//! this order; `--wait` waits for it.
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
//! `ossmount status` shows the live mounts, `ossmount status DIR` the health and all figures of one; `--json` both as
//! JSON.
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
//! Shows what holds for each option and where it comes from; with the URL, DIR and options of a mount it says as well
//! what stands in the way of one. Nothing is sent, nothing mounted. [`configuration`](super::configuration) has more.
//!
//! ```console
//! $ ossmount config --part-size 16MiB | grep ^part-size
//! part-size             16MiB             --part-size
//! ```
//!
//! # control
//!
//! `ossmount control DIR REQUEST` makes any request to a live mount, and prints the answer; REQUEST is JSON, a file
//! that holds it, or `-`. [`control`](super::control) has them all.
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
//! ossmount: there is no operation "fly": there are copy, ... (EINVAL)
//! ```
//!
//! # demo
//!
//! `ossmount demo [DIR]` starts a server with a sample bucket on this machine, mounts it on DIR or a directory of its
//! own, says what to try, and cleans up on Ctrl-C.
//!
//! # emulator
//!
//! `ossmount emulator --root DIR` serves the sub-directories of a directory as buckets, in the OSS and S3 dialects,
//! with signatures checked; `--generate` adds buckets of computed keys, `--ttfb`, `--conn-bandwidth` and `--fault` make
//! it as slow and as unreliable as wanted. It is for trials and tests.
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
