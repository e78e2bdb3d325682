/*
 * Lets a program that prepares its own files read them through a mount: a library for LD_PRELOAD.
 *
 * The program works in the directory that the emulator serves as a bucket ($SUITE_BUCKET). Whatever it creates, writes
 * or removes happens there, as an upload by another client would. What it only reads (open for reading, stat, access,
 * extended attributes, directories) is taken from the same path below $SUITE_READER, a mount of that bucket or, for
 * comparison, a local read-only bind mount. One line in $SUITE_LOG tells of each path that was taken there.
 *
 * What is read by a descriptor that can write too is read from a descriptor of the reader's, opened for that one call: bytes,
 * size and attributes, and maps that nothing is written through. The position is that of the program's descriptor.
 *
 * What a bucket does not hold stays in place: symbolic links, devices, FIFOs, sockets, and directories without a file.
 * What is named from a descriptor stays where the descriptor is, and a directory opened with O_NOFOLLOW stays too: so
 * programs remove their trees.
 *
 * A local file that is unlinked stays readable through open descriptors, an object cannot. With $SUITE_UNLINKED set, what the
 * program unlinks stays until its folder is removed, so that what it does after that can be judged.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

/* The function of this name that comes after this library. */
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static long kernel(long number, long a, long b, long c, long d)
{
	return NEXT(syscall)(number, a, b, c, d, 0, 0);
}

static void note(const char *call, const char *path)
{
	const char *log = getenv("SUITE_LOG");
	char line[PATH_MAX + 64];
	int length = snprintf(line, sizeof line, "%s %s\n", call, path);
	int fd = log ? kernel(SYS_openat, AT_FDCWD, (long)log, O_WRONLY | O_APPEND | O_CLOEXEC, 0) : -1;

	if (fd >= 0) {
		kernel(SYS_write, fd, (long)line, length < (int)sizeof line ? length : (int)sizeof line - 1, 0);
		kernel(SYS_close, fd, 0, 0, 0);
	}
}

static int stops_at_a_file(const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)path, (void)place;
	return type == FTW_F && S_ISREG(status->st_mode);
}

/* Whether the bucket shows this path, or says that there is no such path. */
static bool belongs(const char *path)
{
	struct stat status;

	if (kernel(SYS_newfstatat, AT_FDCWD, (long)path, (long)&status, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG;
	if (S_ISDIR(status.st_mode))
		return nftw(path, stops_at_a_file, 16, FTW_PHYS) == 1;
	return S_ISREG(status.st_mode);
}

/* The path to use in place of this one; `room` is for one that differs. errno stays as it was. */
static const char *reader(const char *call, int from, const char *path, char room[PATH_MAX])
{
	const char *bucket = getenv("SUITE_BUCKET"), *root = getenv("SUITE_READER");
	char whole[PATH_MAX] = "";
	int before = errno;
	size_t length = bucket ? strlen(bucket) : 0;
	const char *found = path;

	if (!bucket || !root)
		return path;
	/* The kernel says whether the pointer is one, without a fault. */
	if (kernel(SYS_faccessat, AT_FDCWD, (long)path, F_OK, 0) && errno == EFAULT)
		goto out;
	if (!path[0] || (path[0] != '/' && from != AT_FDCWD))
		goto out;
	if (path[0] != '/' && kernel(SYS_getcwd, (long)whole, sizeof whole, 0, 0) < 0)
		goto out;
	if (path[0] != '/')
		strcat(whole, "/");
	if (strlen(whole) + strlen(path) >= sizeof whole)
		goto out;
	strcat(whole, path);
	if (strncmp(whole, bucket, length) || (whole[length] && whole[length] != '/') || !belongs(whole))
		goto out;
	if (snprintf(room, PATH_MAX, "%s%s", root, whole + length) < PATH_MAX) {
		found = room;
		note(call, whole + length);
	}
out:
	errno = before;
	return found;
}

/* Of a path that is opened: what creates or changes stays in place, and so do directories that are being removed. */
static const char *reader_to_open(int from, const char *path, int flags, char room[PATH_MAX])
{
	bool removes = (flags & O_DIRECTORY) && (flags & O_NOFOLLOW);

	if ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) || (flags & O_TMPFILE) == O_TMPFILE || removes)
		return path;
	if ((flags & O_CREAT) && kernel(SYS_faccessat, from, (long)path, F_OK, 0))
		return path;
	return reader("open", from, path, room);
}

static mode_t mode_of(int flags, va_list arguments)
{
	return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(arguments, mode_t) : 0;
}

#define OPEN(name) \
	int name(const char *path, int flags, ...) \
	{ \
		char room[PATH_MAX]; \
		va_list arguments; \
		va_start(arguments, flags); \
		mode_t mode = mode_of(flags, arguments); \
		va_end(arguments); \
		return NEXT(name)(reader_to_open(AT_FDCWD, path, flags, room), flags, mode); \
	}
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
	int name(int from, const char *path, int flags, ...) \
	{ \
		char room[PATH_MAX]; \
		va_list arguments; \
		va_start(arguments, flags); \
		mode_t mode = mode_of(flags, arguments); \
		va_end(arguments); \
		return NEXT(name)(from, reader_to_open(from, path, flags, room), flags, mode); \
	}
OPENAT(openat)
OPENAT(openat64)

#define FOPEN(name) \
	FILE *name(const char *path, const char *mode) \
	{ \
		char room[PATH_MAX]; \
		bool reads = mode[0] == 'r' && !strchr(mode, '+'); \
		return NEXT(name)(reads ? reader("open", AT_FDCWD, path, room) : path, mode); \
	}
FOPEN(fopen)
FOPEN(fopen64)

/* NAME(path, ARGUMENTS), of a path from the working directory. */
#define PLAIN(type, name, parameters, ...) \
	type name parameters \
	{ \
		char room[PATH_MAX]; \
		return NEXT(name)(reader(#name, AT_FDCWD, path, room) __VA_OPT__(,) __VA_ARGS__); \
	}
PLAIN(DIR *, opendir, (const char *path))
PLAIN(int, stat, (const char *path, struct stat *status), status)
PLAIN(int, stat64, (const char *path, struct stat64 *status), status)
PLAIN(int, lstat, (const char *path, struct stat *status), status)
PLAIN(int, lstat64, (const char *path, struct stat64 *status), status)
PLAIN(int, statfs, (const char *path, struct statfs *status), status)
PLAIN(int, statfs64, (const char *path, struct statfs64 *status), status)
PLAIN(int, statvfs, (const char *path, struct statvfs *status), status)
PLAIN(int, statvfs64, (const char *path, struct statvfs64 *status), status)
PLAIN(int, access, (const char *path, int mode), mode)
PLAIN(long, pathconf, (const char *path, int name), name)
PLAIN(ssize_t, getxattr, (const char *path, const char *name, void *value, size_t size), name, value, size)
PLAIN(ssize_t, lgetxattr, (const char *path, const char *name, void *value, size_t size), name, value, size)
PLAIN(ssize_t, listxattr, (const char *path, char *list, size_t size), list, size)
PLAIN(ssize_t, llistxattr, (const char *path, char *list, size_t size), list, size)

/* NAME(from, path, ARGUMENTS), of a path from a descriptor. */
#define FROM(type, name, parameters, ...) \
	type name parameters \
	{ \
		char room[PATH_MAX]; \
		return NEXT(name)(from, reader(#name, from, path, room), __VA_ARGS__); \
	}
FROM(int, fstatat, (int from, const char *path, struct stat *status, int flags), status, flags)
FROM(int, fstatat64, (int from, const char *path, struct stat64 *status, int flags), status, flags)
FROM(int, statx, (int from, const char *path, int flags, unsigned mask, struct statx *status), flags, mask, status)
FROM(int, faccessat, (int from, const char *path, int mode, int flags), mode, flags)
FROM(int, name_to_handle_at, (int from, const char *path, struct file_handle *handle, int *mount, int flags), handle, mount, flags)

int unlink(const char *path)
{
	return getenv("SUITE_UNLINKED") ? NEXT(access)(path, F_OK) : NEXT(unlink)(path);
}

/* A descriptor of the reader's for what this one, which can write, reads; or -1, and it reads by itself. errno stays. */
static int reading(int fd)
{
	char name[64], path[PATH_MAX], room[PATH_MAX];
	int before = errno, flags = NEXT(fcntl)(fd, F_GETFL), found = -1;
	long length;
	const char *target;

	if (flags >= 0 && (flags & O_ACCMODE) != O_RDONLY && !(flags & O_PATH)) {
		snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
		length = kernel(SYS_readlinkat, AT_FDCWD, (long)name, (long)path, sizeof path - 1);
		if (length > 0) {
			path[length] = 0;
			target = reader("read", AT_FDCWD, path, room);
			if (target == room)
				found = kernel(SYS_openat, AT_FDCWD, (long)room, O_RDONLY | O_CLOEXEC | (flags & O_DIRECT), 0);
		}
	}
	errno = before;
	return found;
}

static bool can_read(int fd)
{
	int before = errno, flags = NEXT(fcntl)(fd, F_GETFL);

	errno = before;
	return flags >= 0 && (flags & O_ACCMODE) == O_RDWR;
}

/* Closes what `reading` gave; errno stays that of the call. */
static void read_on(int own)
{
	int before = errno;

	if (own >= 0)
		kernel(SYS_close, own, 0, 0, 0);
	errno = before;
}

/* NAME(fd, ARGUMENTS), at an offset that the call names. */
#define AT(type, name, is_read, parameters, ...) \
	type name parameters \
	{ \
		int own = is_read ? reading(fd) : -1; \
		type done = NEXT(name)(own < 0 ? fd : own, __VA_ARGS__); \
		read_on(own); \
		return done; \
	}
AT(ssize_t, pread, can_read(fd), (int fd, void *data, size_t size, off_t at), data, size, at)
AT(ssize_t, pread64, can_read(fd), (int fd, void *data, size_t size, off64_t at), data, size, at)
AT(ssize_t, preadv, can_read(fd), (int fd, const struct iovec *parts, int count, off_t at), parts, count, at)
AT(ssize_t, preadv64, can_read(fd), (int fd, const struct iovec *parts, int count, off64_t at), parts, count, at)
AT(ssize_t, preadv2, at >= 0 && can_read(fd), (int fd, const struct iovec *parts, int count, off_t at, int flags), parts, count, at, flags)
AT(ssize_t, preadv64v2, at >= 0 && can_read(fd), (int fd, const struct iovec *parts, int count, off64_t at, int flags), parts, count, at, flags)
AT(int, fstat, true, (int fd, struct stat *status), status)
AT(int, fstat64, true, (int fd, struct stat64 *status), status)
AT(ssize_t, readahead, can_read(fd), (int fd, off64_t at, size_t size), at, size)
AT(int, posix_fadvise, can_read(fd), (int fd, off_t at, off_t size, int advice), at, size, advice)
AT(int, posix_fadvise64, can_read(fd), (int fd, off64_t at, off64_t size, int advice), at, size, advice)

/* NAME(fd, ARGUMENTS), at the descriptor's position, which moves. */
#define HERE(name, fd, parameters, ...) \
	ssize_t name parameters \
	{ \
		int own = can_read(fd) ? reading(fd) : -1, program = fd; \
		ssize_t done; \
		if (own < 0) \
			return NEXT(name)(__VA_ARGS__); \
		kernel(SYS_lseek, own, kernel(SYS_lseek, program, 0, SEEK_CUR, 0), SEEK_SET, 0); \
		fd = own; \
		done = NEXT(name)(__VA_ARGS__); \
		kernel(SYS_lseek, program, kernel(SYS_lseek, own, 0, SEEK_CUR, 0), SEEK_SET, 0); \
		read_on(own); \
		return done; \
	}
HERE(read, fd, (int fd, void *data, size_t size), fd, data, size)
HERE(readv, fd, (int fd, const struct iovec *parts, int count), fd, parts, count)
HERE(sendfile, fd, (int to, int fd, off_t *at, size_t size), to, fd, at, size)
HERE(sendfile64, fd, (int to, int fd, off64_t *at, size_t size), to, fd, at, size)
HERE(splice, fd, (int fd, off64_t *at, int to, off64_t *there, size_t size, unsigned flags), fd, at, to, there, size, flags)

#define SEEK(name, type) \
	type name(int fd, type by, int from) \
	{ \
		int own = from == SEEK_SET || from == SEEK_CUR ? -1 : reading(fd); \
		type to; \
		if (own < 0) \
			return NEXT(name)(fd, by, from); \
		to = NEXT(name)(own, by, from); \
		read_on(own); \
		return to < 0 ? to : NEXT(name)(fd, to, SEEK_SET); \
	}
SEEK(lseek, off_t)
SEEK(lseek64, off64_t)

#define MAP(name, type) \
	void *name(void *place, size_t size, int protection, int flags, int fd, type at) \
	{ \
		bool reads = fd >= 0 && !(flags & MAP_ANONYMOUS) && ((flags & MAP_PRIVATE) || !(protection & PROT_WRITE)); \
		int own = reads && can_read(fd) ? reading(fd) : -1; \
		void *mapped = NEXT(name)(place, size, protection, flags, own < 0 ? fd : own, at); \
		read_on(own); \
		return mapped; \
	}
MAP(mmap, off_t)
MAP(mmap64, off64_t)

/* Calls by number: those of them that take a path and read. */
long syscall(long number, ...)
{
	char room[PATH_MAX];
	va_list arguments;
	long a[6];

	va_start(arguments, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(arguments, long);
	va_end(arguments);
	switch (number) {
	case SYS_open:
		a[0] = (long)reader_to_open(AT_FDCWD, (const char *)a[0], a[1], room);
		break;
	case SYS_openat:
		a[1] = (long)reader_to_open(a[0], (const char *)a[1], a[2], room);
		break;
	case SYS_stat:
	case SYS_lstat:
	case SYS_statfs:
	case SYS_access:
	case SYS_getxattr:
	case SYS_lgetxattr:
	case SYS_listxattr:
	case SYS_llistxattr:
		a[0] = (long)reader("call", AT_FDCWD, (const char *)a[0], room);
		break;
	case SYS_newfstatat:
	case SYS_statx:
	case SYS_faccessat:
	case SYS_faccessat2:
	case SYS_name_to_handle_at:
		a[1] = (long)reader("call", a[0], (const char *)a[1], room);
		break;
	}
	return NEXT(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
