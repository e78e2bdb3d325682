//! Semantics: what a program can rely on: names, inode numbers, consistency, errors.
//!
//! A test runs the examples on a bucket with `a.txt`, `dir/b.txt` and `dir/deep/c.txt`, on one that keeps versions, and
//! on one with an archived object and a symlink object. `...` stands for text that differs.
//!
//! # Keys and names
//!
//! | in the bucket | in the mount |
//! |---|---|
//! | keys that contain `/` | directories: one exists while a key begins with its prefix |
//! | a marker object `dir/` | the directory `dir`, with the time of the marker once the directory was listed |
//! | a directory without a marker, or not listed yet | has the time of the mount, because a look at each marker would cost one request for every directory that `ls -l` shows |
//! | the objects `a` and `a/b` | the directory `a`; the object `a` is hidden ([odd keys](#odd-keys)) |
//!
//! Keys are UTF-8. A name that is not UTF-8 does not exist.
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
//! The kernel refuses all operations that write with EROFS. Objects get into the bucket by other means; server-side
//! copies can be requested through the mount ([`control`](super::control)).
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
//! Some keys cannot be file names: those with an empty, `.` or `..` component, with a component over 255 bytes or with
//! a NUL byte, an object beside a directory of the same name, and a marker with content. With `odd-keys=hide` they are
//! omitted, counted (`odd_keys`), and logged when they are first seen. With `odd-keys=escape` every object has a path:
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
//! The table can be reversed: each path stands for exactly one key. All other names are the same in both modes.
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
//! The inode number of a file is computed from bucket, key and entity tag; that of a directory from bucket and prefix.
//! It is the same after a remount, on another machine, and in mounts of different prefixes of one bucket. It changes
//! when the object changes. For servers that list no entity tags, size and time replace the tag.
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
//! # How long names and attributes are cached
//!
//! | `metadata-ttl` | names and attributes are cached | an open |
//! |---|---|---|
//! | a time (60 s) | for that time, from when the request that returned them was sent | sends no request |
//! | `0` | for a second if they exist, not at all if they are missing; a directory is listed at every `opendir` | asks the store whether the object is still the same |
//! | `indefinite` | for the life of the mount | sends no request |
//!
//! A name that is not in a listing counts as missing while the listing is cached. If a program looks for such a name
//! again, it probably waits for the file. After `negative-ttl` (5 s) that name alone is therefore requested from the
//! store, as is a name that was found missing by such a request before; with `indefinite` neither is. The kernel caches
//! each answer only for the rest of these times, so that the times do not add up.
//!
//! # Consistency
//!
//! An operation is an `open`, a `stat`, a look-up, or an `opendir` with all reads of that handle. It shows the state of
//! a name at some moment between the start of the operation minus the time for which the answer is cached, and the end
//! of the operation. Hence:
//!
//! - An object that was put, replaced or deleted before the operation began is shown, unless an older answer is still
//!   cached by the table above. With `metadata-ttl=0` an `open` and an `opendir` show everything that was put before
//!   them; a `stat` can show the size of a second ago.
//! - An object that exists all that time is never missing and never ESTALE. ESTALE means that an object has changed: it
//!   was replaced since its `open`, or its name changes again and again during the operation.
//! - The age of a listing is that of its first request. A program that opens a directory shares a running listing only
//!   if that began late enough. Otherwise it waits for the next one, which all waiting programs share. It does not wait
//!   for a listing that no program reads.
//! - Answers to earlier requests never replace answers to later ones, in whatever order they arrive.
//! - After a `refresh`, no operation shows a state from before the start of the refresh.
//! - Each name is consistent by itself: a listing of several pages is not a snapshot.
//!
//! A name can be an object or a directory, and two requests check both. A name that changes from one into the other can
//! be missing during one look-up.
//!
//! An open with `O_DIRECT` asks the store for any `metadata-ttl`, as every open does with `metadata-ttl=0`. If the
//! object has changed, the name leads to the new version from then on, for all programs; if it was deleted, the open
//! fails with ENOENT.
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
//! A copy or refresh through one mount takes effect immediately in all mounts of the same user on the machine:
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
//! Changes by other machines and programs appear when those times have passed:
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
//! A missing name, with a short and a long `negative-ttl`:
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
//! Directories are listed when they are used, with 1000 entries a request. All programs that use the same directory
//! share one listing, and each gets its answer as soon as the listing has reached the name.
//!
//! | situation | requests |
//! |---|---|
//! | a listing has not reached a name within 10 ms | two requests for that name alone, at most four names of one directory at a time; the first answer is used |
//! | a look-up in a directory of more than 2000 entries whose listing has expired | requests for single names, until they have cost as many requests as a listing |
//! | the program that caused a listing has ended | the listing continues while pages arrive, for at most 1000 pages |
//!
//! If `metadata-ttl` is a time, directories in use are listed again in the background when three quarters of it have
//! passed, so that programs that poll do not wait: at most the 256 that were used last, 8 at once. A directory is in
//! use if, after the first quarter of the time, a program opened it, or looked up or opened as many names in it as the
//! listing has pages. Entries that have not changed keep their inode numbers and cached pages; the kernel is notified
//! of the others.
//!
//! # Listing in advance
//!
//! | `listing` | listed in advance |
//! |---|---|
//! | `lazy` | nothing: a directory is listed when a program opens it |
//! | `eager` | the whole mount, in the background from the start; again after three quarters of `metadata-ttl` if it was used |
//! | `auto` | the directories ahead of a walk |
//!
//! A program walks a tree if it opens one directory after another. When the second child of a directory has to be
//! listed, the rest of that subtree is listed in one go: 1000 keys a request, for any number of directories. This
//! listing runs ahead of the walk by at most 32,000 entries, plus four times what the walk has read and four pages for
//! each directory that it has opened. It ends if the walk does not follow for 10 s. A directory that it has not reached
//! is listed separately, so that no program waits for the whole subtree.
//!
//! With `lazy` there is one request for the bucket at the start, and one for each of three directories:
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
//! Names and attributes take about 100 bytes a file. Beyond `metadata-memory` the least recently used directories are
//! evicted, except for entries that programs or the kernel still refer to; the kernel is asked to evict files that no
//! program has open. Evicted directories are listed again when they are used, with the same inode numbers. A directory
//! that is too large for `metadata-memory` is read from the store for each program and each name
//! ([listing](super::listing)).
//!
//! # When an object changes
//!
//! An open file is one version of an object: every request for its bytes carries the entity tag of the open. (For
//! stores with several tags for one version, see [reading](super::reading), the tags and times of answers are
//! compared.) If the object changes, reads of that descriptor that need the store fail with ESTALE from then on; the
//! next open returns the new version. Cached pages of the old version belong to the old inode number. `fstat` of an
//! open file describes the version that was opened.
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
//! A directory handle shows one listing; later changes are visible to the next `opendir`. Offsets are valid for the
//! life of the handle.
//!
//! # Versions
//!
//! `name?versionId=V` opens version V of the object `name`, unless a key with exactly that name exists. `readdir` does
//! not return such names.
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
//! OSS has objects that name another object as their target.
//!
//! | `symlinks` | such an object is |
//! |---|---|
//! | `off` | a file with the bytes, size and entity tag of its target. These are not in a listing, so that the first look-up of the entry costs a request. If the target does not exist, the entry is listed, and look-ups fail with ENOENT |
//! | `on` | a symbolic link with a relative path to the target; a file if the target is empty, outside the mount, or has no name in it |
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
//! | attribute, after `user.oss.` | value | cost |
//! |---|---|---|
//! | `key`, `bucket`, `etag`, `size`, `last-modified`, `type`, `storage-class` | from the listing; `getfattr -d` prints these | none |
//! | `crc64` (decimal, as OSS writes it), `content-type`, `version-id`, `meta.NAME` | from the store, if asked for by name | one request for each version of an object |
//! | `cached` | how many bytes of the object the disk cache has; absent without one | none |
//! | `verified` | how much of the object was read and compared with its checksum: `no`, `partial` or `yes` | none |
//!
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
//! | errno | meaning |
//! |---|---|
//! | ENOENT | no such key (404), or a name that is not valid as a key |
//! | EACCES | refused (403); an object of an archive class that has not been restored; credentials that are not accepted |
//! | ESTALE | the object has changed since it was opened, or is gone |
//! | EINTR | the program was killed, or sent SIGINT or SIGTERM, while it waited for the service |
//! | EROFS | an operation that writes |
//! | EIO | the service could not be reached, or failed, for 60 to 75 s; a checksum did not match |
//! | ENODATA | no such extended attribute |
//! | ENOTTY | an unknown ioctl |
//! | ENAMETOOLONG | a name of more than 255 bytes |
//! | ENOTCONN | the daemon was killed, or has ended while the file was open |
//!
//! Each EIO, EACCES and ESTALE has a line in the log, with the key, the request id, the number of tries and the time.
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
//! # Free space (`df`)
//!
//! A bucket has no size limit. `df` shows free space so that monitoring raises no alarm; the numbers have no meaning.
//!
//! ```console
//! $ mkdir mnt && ossmount mount oss://bucket/dir mnt
//! $ df --output=source,fstype mnt
//! Filesystem ... Type
//! oss://bucket/dir fuse.ossmount
//! ```
