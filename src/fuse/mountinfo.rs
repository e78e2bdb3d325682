//! The kernel's table of mounts, as `/proc/thread-self/mountinfo` tells it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The file system type that mounts of this program show.
pub const FS_TYPE: &str = "fuse.ossmount";

/// One row of the table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mount {
    /// The kernel's number of this mount; used again after it is gone.
    pub id: u64,
    /// The number of its file system, as in `st_dev`: major and minor. No two live file systems share it.
    pub device: (u32, u32),
    /// Where it is mounted.
    pub dir: PathBuf,
    /// The file system type.
    pub fs_type: String,
    /// What is mounted: for this program the URL.
    pub source: String,
    /// The user who mounted it, where the file system is of FUSE. The kernel vouches for it: fusermount3 lets users
    /// mount in their own name alone.
    pub owner: Option<u32>,
}

/// The live mounts of this program that this process can see, in the order they were made.
pub fn mounts() -> io::Result<Vec<Mount>> {
    Ok(all()?.into_iter().filter(|mount| mount.fs_type == FS_TYPE).collect())
}

/// All mounts, in the order of the table: of several on one directory the last is the topmost.
pub(super) fn all() -> io::Result<Vec<Mount>> {
    // The thread's own: threads may live in different mount namespaces.
    Ok(parse(&fs::read("/proc/thread-self/mountinfo")?))
}

/// The topmost mount whose root is this directory, which must be an absolute path without links.
pub(super) fn on_top_of(dir: &Path) -> io::Result<Option<Mount>> {
    Ok(all()?.into_iter().rfind(|mount| mount.dir == dir))
}

/// The mount that a descriptor was opened through. Reading it asks nothing of the file system, which may be hung.
pub(super) fn id_of(descriptor: impl AsFd) -> io::Result<u64> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", descriptor.as_fd().as_raw_fd()))?;
    let id = info.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok());
    id.ok_or_else(|| io::Error::other("the kernel does not report the mount of a descriptor"))
}

/// Lines that are not understood are left out: the format only grows.
fn parse(table: &[u8]) -> Vec<Mount> {
    table.split(|byte| *byte == b'\n').filter_map(parse_line).collect()
}

/// `id parent major:minor root dir options [tags...] - type source super-options`
fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let text = |field: Option<&[u8]>| String::from_utf8(unescape(field?)).ok();
    let id = text(fields.next())?.parse().ok()?;
    let device = text(fields.nth(1))?;
    let (major, minor) = device.split_once(':')?;
    let dir = PathBuf::from(OsString::from_vec(unescape(fields.nth(1)?)));
    fields.find(|field| *field == b"-")?;
    let fs_type = text(fields.next())?;
    let source = String::from_utf8_lossy(&unescape(fields.next()?)).into_owned();
    let options = String::from_utf8_lossy(fields.next().unwrap_or_default()).into_owned();
    let owner = options.rsplit(',').find_map(|option| option.strip_prefix("user_id=")?.parse().ok());
    Some(Mount { id, device: (major.parse().ok()?, minor.parse().ok()?), dir, fs_type, source, owner })
}

/// The kernel writes blanks, backslashes and `#` as a backslash and three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, tail)) = rest.split_first() {
        let octal = match tail {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] if byte == b'\\' => {
                Some((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'))
            }
            _ => None,
        };
        plain.push(octal.unwrap_or(byte));
        rest = if octal.is_some() { &tail[3..] } else { tail };
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read() {
        let table = b"22 1 0:21 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
            91 22 0:50 / /mnt/a\\040b\\134c ro,nosuid,nodev - fuse.ossmount oss://bucket/x\\040y\\043 ro,user_id=7,group_id=8\n\
            nonsense\n\
            92 22 0:51 / /mnt/c rw shared:7 master:3 - tmpfs none rw\n";
        let mounts = parse(table);
        assert_eq!(mounts.len(), 3);
        assert_eq!(
            mounts[1],
            Mount {
                id: 91,
                device: (0, 50),
                dir: PathBuf::from("/mnt/a b\\c"),
                fs_type: "fuse.ossmount".to_owned(),
                source: "oss://bucket/x y#".to_owned(),
                owner: Some(7),
            }
        );
        assert_eq!((mounts[2].fs_type.as_str(), mounts[2].owner), ("tmpfs", None));
    }

    #[test]
    fn only_whole_escapes_are_undone() {
        assert_eq!(unescape(b"a\\040b\\04\\9\\\\777\\"), b"a b\\04\\9\\\\777\\");
    }

    #[test]
    fn a_descriptor_tells_its_mount() {
        let root = all().unwrap().into_iter().rfind(|mount| mount.dir == Path::new("/proc")).unwrap();
        let file = fs::File::open("/proc/self/stat").unwrap();
        assert_eq!(id_of(&file).unwrap(), root.id);
    }
}
