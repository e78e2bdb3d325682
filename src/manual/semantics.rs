//! Semantics: what the tree of files is, how long it is believed, what a program may rely on.
//!
//! The examples are run by a test, on a bucket with `a.txt`, `dir/b.txt` and `dir/deep/c.txt`, one that keeps versions,
//! and one with an archived object and a link; `...` stands for what differs.
//!
//! # Keys and names
//!
//! Keys split at `/`. A directory exists while a key lies below it, or a marker object `dir/` exists; the marker
//! itself is no entry, but gives the directory its time once the directory has been listed. Directories without a
//! marker, and those not looked into yet, show the time of the mount: asking for each marker would cost a request for
//! every directory that `ls -l` shows.
//!
//! `a` beside `a/b`: the directory takes the name.
//!
//! Names are bytes, and keys are UTF-8, so that a name that is not UTF-8 does not exist.
//!
//! ```console
//! $ ossmount cp oss://bucket/a.txt oss://bucket/dir
//! oss://bucket/a.txt -> oss://bucket/dir: 6B
//! $ mkdir mnt && ossmount mount oss://bucket mnt
//! $ stat -c '%n %F, %s bytes, %b blocks, %h links, %a' mnt/a.txt mnt/dir
//! mnt/a.txt regular file, 6 bytes, 1 blocks, 1 links, 444
//! mnt/dir directory, 0 bytes, 0 blocks, 2 links, 555
//! $ ls mnt/$'no\xff'
//! ls: cannot access ...: No such file or directory
//! ```
//!
//! # Writing
//!
//! Everything that writes is refused with EROFS, by the kernel, before anybody is asked. Objects come into the bucket
//! by other ways; copies within the service can be asked for through the mount ([`control`](super::control)).
//!
//! ```console
//! $ mkdir mnt && ossmount mount oss://bucket mnt
//! $ rm mnt/a.txt
//! rm: cannot remove 'mnt/a.txt': Read-only file system
//! $ mkdir mnt/new
//! mkdir: cannot create directory ...: Read-only file system
//! $ touch mnt/a.txt
//! touch: ...: Read-only file system
//! $ chmod 600 mnt/a.txt
//! chmod: ...: Read-only file system
//! $ flock mnt/a.txt echo locks work
//! locks work
//! ```
//!
//! # Odd keys
//!
//! Some keys have no name of their own: those with an empty, `.` or `..` component, a component over 255 bytes or with
//! a NUL byte, an object beside a directory of the same name, a marker that has content. With `odd-keys=hide` they are
//! left out, counted (`odd_keys`), and named in the log when they are first seen. With `odd-keys=escape` every object
//! has a path:
//!
//! | in the key | in the path |
//! |---|---|
//! | the object `a` beside `a/b` | `%oss-file=a` |
//! | the content of the marker `dir/` | `dir/%oss-file=` |
//! | an object called `..` | `%oss-file=..` |
//! | `a//b` | `a/%oss-dir=/b` |
//! | a NUL in a name | `%oss-file=x%00y` (and `%` becomes `%25` in such names) |
//! | a component of 600 bytes | `%oss-part=` and 245 bytes, `/%oss-part=` and 245 bytes, `/` and the rest |
//! | a component that starts with `%oss-` | the same behind `%oss-file=` or `%oss-dir=`, its `%` as `%25` |
//!
//! The path gives the key back by this table alone. All other names are the same in both modes.
//!
//! ```console
//! $ ossmount cp oss://bucket/a.txt oss://bucket/dir
//! oss://bucket/a.txt -> oss://bucket/dir: 6B
//! $ ossmount cp oss://bucket/a.txt oss://bucket/x//y
//! oss://bucket/a.txt -> oss://bucket/x//y: 6B
//! $ mkdir hidden shown
//! $ ossmount mount oss://bucket hidden
//! $ ossmount mount oss://bucket shown -o odd-keys=escape
//! $ find hidden -type f | sort
//! hidden/a.txt
//! hidden/dir/b.txt
//! hidden/dir/deep/c.txt
//! $ find shown -type f | sort
//! shown/%oss-file=dir
//! shown/a.txt
//! shown/dir/b.txt
//! shown/dir/deep/c.txt
//! shown/x/%oss-dir=/y
//! $ cat shown/%oss-file=dir
//! alpha
//! ```
//!
//! # Inode numbers
//!
//! A function of bucket, key and entity tag: the same after a remount, on another machine, and in mounts of different
//! prefixes of one bucket; another one when the object changes. Directories: of bucket and prefix. Servers that list
//! no entity tags: size and time stand in for it.
//!
//! ```console
//! $ mkdir mnt && ossmount mount oss://bucket mnt
//! $ was=$(stat -c %i mnt/dir/b.txt) && ossmount umount mnt
//! $ ossmount mount oss://bucket/dir mnt
//! $ [ "$(stat -c %i mnt/b.txt)" = "$was" ] && echo the same number
//! the same number
//! $ ossmount cp mnt/deep/c.txt mnt/b.txt
//! oss://bucket/dir/deep/c.txt -> oss://bucket/dir/b.txt: 6B
//! $ [ "$(stat -c %i mnt/b.txt)" = "$was" ] || echo another one
//! another one
//! ```
//!
//! # How long things are believed
//!
//! | `metadata-ttl` | names and attributes | an open |
//! |---|---|---|
//! | a time (60 s) | as long since the request that showed them was sent | costs no request |
//! | `0` | what is there, for a second; what is missing, not at all; a directory is listed anew whenever it is opened | asks the store whether the object is the same |
//! | `indefinite` | for ever | costs no request |
//!
//! A name that a listing does not show is believed to be missing for as long as the listing is. A program that looks
//! for such a name again waits for it to appear: that name is asked for alone once `negative-ttl` (5 s) is over, and so
//! is one that was asked for alone before, except under `indefinite`. The kernel is told what is left of these times,
//! so that nothing is believed twice as long.
//!
//! # What is seen
//!
//! Of every name, an operation tells what it stood for at some moment between the beginning of the operation, less the
//! time for which such an answer is believed, and its end. An operation is an `open`, a `stat`, a look-up, or an
//! `opendir` with all that is read from that handle. So:
//!
//! - What was put, replaced or deleted before an operation began is seen by it, unless it is younger than what the
//!   table above lets be believed. Under `metadata-ttl=0` an `open` and an `opendir` see everything that was there
//!   before them; a `stat` may show the size of a second ago.
//! - What was there all that time is never missing, and never ESTALE. ESTALE is said only of what has changed
//!   meanwhile: by a read of an object that was replaced since its `open`, and by an operation on a name that changes
//!   again and again while it is looked at.
//! - A listing is as old as the first of its requests. A program that opens a directory shares a listing that goes on
//!   only if that began late enough; else it waits until that one is over, and shares the next one with all others who
//!   wait. A listing that is read by no program any more is not waited for.
//! - A request that was sent earlier changes nothing that a later one has told, in whatever order the answers come.
//! - After a `refresh` all this holds as if its beginning were the earliest moment that may be seen.
//! - Several names are seen each for itself: a listing of many pages is no snapshot.
//!
//! Two requests tell what one name stands for, since it can be an object or a directory: where a name turns from one
//! into the other, it may be missing for the time of one look-up.
//!
//! An open with `O_DIRECT` asks the store whatever the times are, as `metadata-ttl=0` does for every open: who wants
//! what there is now can have it without another mount. If the object has changed, the name leads to the new version
//! from then on, for all; if it is gone, the open fails with ENOENT.
//!
//! ```console
//! $ mkdir mnt && ossmount mount oss://bucket mnt && cat mnt/a.txt mnt/dir/b.txt
//! alpha
//! beta
//! $ elsewhere ossmount cp oss://bucket/dir/b.txt oss://bucket/a.txt
//! oss://bucket/dir/b.txt -> oss://bucket/a.txt: 5B
//! $ cat mnt/a.txt
//! alpha
//! $ dd if=mnt/a.txt iflag=direct status=none
//! beta
//! $ cat mnt/a.txt
//! beta
//! ```
//!
//! What is copied or refreshed through any mount of this user is there at once in all of them, whatever the times:
//!
//! ```console
//! $ mkdir mnt frozen
//! $ ossmount mount oss://bucket mnt
//! $ ossmount mount oss://bucket frozen --metadata-ttl indefinite
//! $ ls frozen/new mnt/new
//! ls: cannot access 'frozen/new': No such file or directory
//! ls: cannot access 'mnt/new': No such file or directory
//! $ ossmount cp mnt/a.txt mnt/new
//! oss://bucket/a.txt -> oss://bucket/new: 6B
//! $ cat frozen/new mnt/new
//! alpha
//! alpha
//! ```
//!
//! What comes from elsewhere (another machine, another program) shows when those times are over:
//!
//! ```console
//! $ mkdir fresh usual frozen
//! $ ossmount mount oss://bucket fresh --metadata-ttl 0
//! $ ossmount mount oss://bucket usual
//! $ ossmount mount oss://bucket frozen --metadata-ttl indefinite
//! $ ls fresh usual frozen | paste -s -d ' '
//! fresh: a.txt dir  frozen: a.txt dir  usual: a.txt dir
//! $ elsewhere ossmount cp oss://bucket/a.txt oss://bucket/late
//! oss://bucket/a.txt -> oss://bucket/late: 6B
//! $ ls fresh
//! a.txt
//! dir
//! late
//! $ ls usual
//! a.txt
//! dir
//! $ cat frozen/late
//! cat: frozen/late: No such file or directory
//! $ ossmount control usual '{"op":"refresh"}' > /dev/null
//! $ cat usual/late
//! alpha
//! $ elsewhere ossmount cp oss://bucket/dir/b.txt oss://bucket/a.txt
//! oss://bucket/dir/b.txt -> oss://bucket/a.txt: 5B
//! $ cat fresh/a.txt
//! beta
//! ```
//!
//! A name that was looked for in vain, with a short `negative-ttl` and with a long one:
//!
//! ```console
//! $ mkdir short long
//! $ ossmount mount oss://bucket short --negative-ttl 0
//! $ ossmount mount oss://bucket long --negative-ttl 1h
//! $ ls short/later long/later
//! ls: cannot access 'short/later': No such file or directory
//! ls: cannot access 'long/later': No such file or directory
//! $ elsewhere ossmount cp oss://bucket/a.txt oss://bucket/later
//! oss://bucket/a.txt -> oss://bucket/later: 6B
//! $ ls short/later long/later
//! ls: cannot access 'long/later': No such file or directory
//! short/later
//! ```
//!
//! Directories are listed when they are looked into, 1000 entries a request. All who want the same directory share one
//! listing, and each answer is given as soon as the listing has come to it. A name that it has not reached within 10 ms
//! is asked for alone beside it (two requests), and whichever answers first counts; of many names at once in one
//! directory, four at a time. In a directory of more than 2000 entries whose listing has become too old, single names
//! are asked for alone, until that has cost as many requests as listing it again; while the listing is believed, no
//! name is a reason to make another.
//!
//! A listing goes on when the program that wanted it has gone, for 1000 pages at most, and while pages come.
//!
//! Under a time for `metadata-ttl`, directories in use are listed again in the background when three quarters of it are
//! over, so that a program that polls never waits: those used last, 256 at most, 8 at once, and only where a program
//! has opened the directory since, or looked up or opened as many names in it as it has pages, after a quarter of that
//! time: what a program does with a listing that it has just waited for is no reason for another. Entries that have not
//! changed keep their inode numbers and their pages; what has changed the kernel is told.
//!
//! # What is listed before it is asked for
//!
//! | `listing` | |
//! |---|---|
//! | `lazy` | nothing: a directory is listed when a program looks into it |
//! | `eager` | the whole mount from the start on, in the background; again when three quarters of `metadata-ttl` are over, if any of it was used meanwhile |
//! | `auto` | what lies ahead of a walk |
//!
//! A walk is when directories are opened one after the other. With the second child of a directory that has to be
//! listed, the rest of that subtree is listed at once: 1000 keys a request, however many directories they lie in. It
//! runs ahead of the walk by 32,000 entries, four times what the walk has read, and four pages for each directory that
//! it has opened; and ends when the walk does not follow for 10 s. A directory that it has not come to is listed by
//! itself, so that no program waits for the whole.
//!
//! What `lazy` asks for, one request for the bucket itself at the start and one for each of three directories:
//!
//! ```console
//! $ mkdir mnt && ossmount mount oss://bucket mnt --listing lazy
//! $ ossmount status mnt | grep -w metrics.list_requests
//! metrics.list_requests ... 1
//! $ ls mnt
//! a.txt
//! dir
//! $ ossmount status mnt | grep -w metrics.list_requests
//! metrics.list_requests ... 2
//! $ find mnt > /dev/null
//! $ ossmount status mnt | grep -w metrics.list_requests
//! metrics.list_requests ... 4
//! ```
//!
//! # Memory
//!
//! Names and attributes take some 100 bytes a file. Past `metadata-memory`, the directories that were not used for
//! longest are forgotten, except for what programs, or the kernel's own memory of names, still refer to; the kernel is
//! asked to forget files that no program has open. They are listed again when a program looks into them, and inode
//! numbers stay the same. A directory that is too large for that memory is read straight from the store, for each
//! program and each name ([listing](super::listing)).
//!
//! # When an object changes
//!
//! An open file is one version of an object: every request for its bytes carries the entity tag that the open saw
//! (where the store has several tags for one version, see [reading](super::reading), the tags and times of answers are
//! compared). If the object changes, reads that need the store fail with ESTALE, for that descriptor, once and for all;
//! the next open of the name sees the new version. What the kernel holds of the old version belongs to the old inode
//! number. `fstat` of an open file says what was opened.
//!
//! ```console
//! $ mkdir mnt && ossmount mount oss://bucket mnt
//! $ exec 9< mnt/a.txt
//! $ ossmount cp mnt/dir/b.txt mnt/a.txt
//! oss://bucket/dir/b.txt -> oss://bucket/a.txt: 5B
//! $ cat <&9
//! cat: -: Stale file handle
//! $ exec 9<&-
//! $ cat mnt/a.txt
//! beta
//! ```
//!
//! A handle of a directory shows one listing: what comes or goes afterwards is seen by the next `opendir`. Offsets
//! stay valid for the life of the handle.
//!
//! # Versions
//!
//! Where no such key exists, `name?versionId=V` opens version V of the object `name`. `readdir` does not show it.
//!
//! ```console
//! $ mkdir mnt && ossmount mount oss://versions mnt
//! $ version=$(ossmount stat --json oss://versions/a.txt | sed 's/.*"version-id":"\([^"]*\)".*/\1/')
//! $ ossmount cp oss://bucket/dir/b.txt oss://versions/a.txt
//! oss://bucket/dir/b.txt -> oss://versions/a.txt: 5B
//! $ cat mnt/a.txt "mnt/a.txt?versionId=$version"
//! beta
//! alpha
//! $ ls mnt
//! a.txt
//! ```
//!
//! # Symlink objects
//!
//! OSS has objects that name another one. With `symlinks=off` they are files with the target's bytes, size and entity
//! tag. A listing does not tell these, so that the first look at such an entry costs a request; listing a directory
//! does not. A link whose target does not exist is listed, and ENOENT when looked at. With `symlinks=on` they are
//! links to the target's place in the mount, by a relative path that goes no higher than the directory that both
//! share; where the target is empty, lies outside the mount, or has no name in it, the link is shown as a file.
//!
//! ```console
//! $ mkdir files links
//! $ ossmount mount oss://special files
//! $ ossmount mount oss://special links -o symlinks=on
//! $ stat -c '%F, %s bytes' files/link; cat files/link
//! regular file, 5 bytes
//! beta
//! $ readlink links/link; cat links/link
//! dir/b.txt
//! beta
//! ```
//!
//! # Extended attributes
//!
//! `user.oss.` and one of `key`, `bucket`, `etag`, `size`, `last-modified`, `type`, `storage-class`: known from the
//! listing, and shown by `getfattr -d`. `crc64` (decimal, as OSS writes it), `content-type`, `version-id` and
//! `meta.NAME`: answered when asked for, by one request per version of an object. `verified` says how much of the
//! object has passed through and was compared with the checksum that the store keeps: `no`, `partial` or `yes`.
//! Directories have `key` and `bucket`.
//!
//! ```console
//! $ mkdir mnt && ossmount mount oss://bucket mnt
//! $ getfattr -d mnt/a.txt
//! # file: mnt/a.txt
//! user.oss.bucket="bucket"
//! user.oss.etag="..."
//! user.oss.key="a.txt"
//! user.oss.last-modified="..."
//! user.oss.size="6"
//! user.oss.storage-class="Standard"
//! user.oss.type="Normal"
//!
//! $ getfattr --only-values -n user.oss.crc64 mnt/a.txt; echo
//! 17482298344918133709
//! $ getfattr --only-values -n user.oss.verified mnt/a.txt; echo
//! no
//! $ cat mnt/a.txt; getfattr --only-values -n user.oss.verified mnt/a.txt; echo
//! alpha
//! yes
//! $ getfattr -n user.oss.colour mnt/a.txt
//! mnt/a.txt: user.oss.colour: No such attribute
//! ```
//!
//! # Errors
//!
//! | errno | is |
//! |---|---|
//! | ENOENT | no such key (404), or a name that can be none; of look-ups and opens |
//! | EACCES | refused (403); an object of an archive class that has not been restored; credentials that are not accepted |
//! | ESTALE | the object has changed since it was opened, or is gone |
//! | EINTR | the program was killed, or sent SIGINT or SIGTERM, while it waited for the service |
//! | EROFS | anything that writes |
//! | EIO | the service could not be reached, or failed, for 60 to 75 s; a checksum that is wrong |
//! | ENODATA | no such extended attribute |
//! | ENOTTY | an ioctl that is not known |
//! | ENAMETOOLONG | a name of more than 255 bytes |
//! | ENOTCONN | the daemon was killed, or has ended while the file was open |
//!
//! Each EIO, EACCES and ESTALE has a line in the log, with the key, the request's id, how often it was tried and how
//! long.
//!
//! ```console
//! $ mkdir mnt && ossmount mount oss://special mnt --log-file log
//! $ cat mnt/archived
//! cat: mnt/archived: Permission denied
//! $ head -n 1 log
//! ... ERROR reading an archived object: restore it first ... (GetObject, key "archived", status 403, ... request id ...)
//! $ cat mnt/$(printf 'n%.0s' {1..300})
//! cat: ...: File name too long
//! $ getfattr -n user.oss.restore mnt/archived
//! mnt/archived: user.oss.restore: No such attribute
//! ```
//!
//! # What the numbers of `df` mean
//!
//! Nothing: a bucket has no end. Room is shown so that no alarm goes off.
//!
//! ```console
//! $ mkdir mnt && ossmount mount oss://bucket/dir mnt
//! $ df --output=source,fstype mnt
//! Filesystem ... Type
//! oss://bucket/dir fuse.ossmount
//! ```
