//! What the machine has: memory, and the limits that a cgroup sets to it.

use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid};

use crate::base::ByteSize;

/// The facts of the machine and the process that defaults depend on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Machine {
    /// Bytes of memory that this process may count on: the machine's, or less in a cgroup.
    pub memory: u64,
    /// Bytes of memory that the machine has.
    pub installed: u64,
    /// The user that runs this process.
    pub uid: u32,
    /// The group of that user.
    pub gid: u32,
}

impl Machine {
    /// Looks at `/proc`, `/sys` and the process. Where nothing can be read, 2 GiB of memory are assumed.
    pub fn look() -> Self {
        let read = |path: &Path| fs::read_to_string(path).ok();
        let installed = read(Path::new("/proc/meminfo")).and_then(|text| meminfo(&text, "MemTotal")).unwrap_or(2 << 30);
        let groups = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
        let limit = cgroup_limit(&groups, &read).unwrap_or(u64::MAX);
        let (uid, gid) = (Uid::effective().as_raw(), Gid::effective().as_raw());
        Machine { memory: installed.min(limit), installed, uid, gid }
    }

    /// Whose memory it is that this process may count on, and how much.
    pub(super) fn memory_phrase(&self) -> String {
        let memory = ByteSize(self.memory);
        match self.memory < self.installed {
            true => format!("the cgroup's limit of {memory}"),
            false => format!("the machine's memory of {memory}"),
        }
    }
}

/// Whether this is an instance of Alibaba Cloud, which has a metadata service to ask; elsewhere asking would cost every
/// start a wait.
pub(super) fn is_ecs() -> bool {
    fs::read_to_string("/sys/class/dmi/id/sys_vendor").is_ok_and(|vendor| vendor.trim().starts_with("Alibaba Cloud"))
}

/// The same for an instance of Amazon's EC2.
pub(super) fn is_ec2() -> bool {
    let says = |name: &str, word| {
        let text = fs::read_to_string(Path::new("/sys/class/dmi/id").join(name));
        text.is_ok_and(|text| text.to_ascii_lowercase().contains(word))
    };
    // The older ones have the name of their virtual machine monitor for a vendor.
    says("sys_vendor", "amazon ec2") || says("bios_version", "amazon")
}

/// How the memory that a process may count on is shared out, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemoryShares {
    /// All of it: the machine's, or what a cgroup allows.
    pub allowed: u64,
    /// Left for the program, its stacks and connections, pages of listings on their way, and what allocators keep.
    pub reserved: u64,
    /// Bytes for read buffers.
    pub buffers: u64,
    /// Bytes for names and attributes.
    pub names: u64,
}

impl MemoryShares {
    /// Shares for what is not set by hand. A quarter for read buffers, but at least 64 MiB: windows need that much to
    /// go at the speed of the network. An eighth for names, but at least 256 MiB: a million files with their names.
    /// Where that is more than there is, less: being slower is better than being killed.
    pub fn of(allowed: u64, buffers: Option<u64>, names: Option<u64>) -> Self {
        let reserved = (allowed / 8).saturating_add(16 << 20).min(allowed / 2);
        let usable = allowed - reserved;
        let room = match names {
            Some(names) => usable.saturating_sub(names),
            None => usable / 2,
        };
        let buffers = buffers.unwrap_or((allowed / 4).max(64 << 20).min(room).max(LEAST_SHARE));
        // What an eviction has not come to yet takes a little more than the limit.
        let room = usable.saturating_sub(buffers) / 4 * 3;
        let names = names.unwrap_or((allowed / 8).max(256 << 20).min(room).max(LEAST_SHARE));
        MemoryShares { allowed, reserved, buffers, names }
    }
}

/// No share that is worked out is less, in bytes, whatever is set by hand: nothing would go on.
const LEAST_SHARE: u64 = 8 << 20;

/// The smallest memory limit of the process's cgroup and those above it, version 1 or 2, in bytes. `groups` is the
/// text of `/proc/self/cgroup`; `read` reads a file under `/sys/fs/cgroup`.
pub fn cgroup_limit(groups: &str, read: &dyn Fn(&Path) -> Option<String>) -> Option<u64> {
    MemoryGroup::all(groups).iter().filter_map(|group| group.limit(read)).min()
}

/// A cgroup whose memory limit holds for this process: its own, or one above it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemoryGroup {
    folder: PathBuf,
    version: Version,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Version {
    One,
    Two,
}

impl MemoryGroup {
    /// All of them, the innermost first. `groups` is the text of `/proc/self/cgroup`.
    ///
    /// In a container the path may be one of the host that does not exist here; the walk then still reaches the root,
    /// where the container sees its own limit.
    pub fn all(groups: &str) -> Vec<MemoryGroup> {
        let mut all = Vec::new();
        for line in groups.lines() {
            let mut fields = line.splitn(3, ':');
            let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
                continue;
            };
            let (root, version) = match controllers {
                "" => ("/sys/fs/cgroup", Version::Two),
                _ if controllers.split(',').any(|name| name == "memory") => ("/sys/fs/cgroup/memory", Version::One),
                _ => continue,
            };
            let folders = Path::new(path.trim_start_matches('/')).ancestors();
            all.extend(folders.map(|folder| MemoryGroup { folder: Path::new(root).join(folder), version }));
        }
        all
    }

    /// The bytes of memory that its processes may have together, if that is limited.
    pub fn limit(&self, read: &dyn Fn(&Path) -> Option<String>) -> Option<u64> {
        let files: &[&str] = match self.version {
            Version::One => &["memory.limit_in_bytes"],
            Version::Two => &["memory.max", "memory.high"],
        };
        let number = |file: &&str| self.number(file, read);
        // Version 1 says "no limit" with a number just below 2^63; version 2 with the word "max", which is no number.
        files.iter().filter_map(number).filter(|limit| *limit < 1 << 62).min()
    }

    /// The bytes that they have now and that cannot be taken from them by dropping pages of files.
    pub fn used(&self, read: &dyn Fn(&Path) -> Option<String>) -> Option<u64> {
        let (file, prefix) = match self.version {
            Version::One => ("memory.usage_in_bytes", "total_"),
            Version::Two => ("memory.current", ""),
        };
        let stat = read(&self.folder.join("memory.stat")).unwrap_or_default();
        let pages = |list: &str| -> u64 {
            let line = stat.lines().find_map(|line| line.strip_prefix(prefix)?.strip_prefix(list)?.strip_prefix(' '));
            line.and_then(|bytes| bytes.trim().parse().ok()).unwrap_or(0)
        };
        Some(self.number(file, read)?.saturating_sub(pages("active_file")).saturating_sub(pages("inactive_file")))
    }

    /// Where the kernel tells how long its processes stood still for lack of memory; only version 2 does.
    pub fn pressure_file(&self) -> Option<PathBuf> {
        (self.version == Version::Two).then(|| self.folder.join("memory.pressure"))
    }

    /// The file that tells how often the limit was reached; only version 2 wakes a process that waits for it to change.
    pub fn events_file(&self) -> Option<PathBuf> {
        (self.version == Version::Two).then(|| self.folder.join("memory.events"))
    }

    fn number(&self, file: &str, read: &dyn Fn(&Path) -> Option<String>) -> Option<u64> {
        read(&self.folder.join(file))?.trim().parse().ok()
    }
}

/// A row of the text of `/proc/meminfo`, in bytes.
pub fn meminfo(text: &str, row: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(row)?.strip_prefix(':'))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(groups: &str, files: &[(&str, &str)]) -> Option<u64> {
        let read =
            |path: &Path| files.iter().find(|(name, _)| Path::new(name) == path).map(|(_, text)| (*text).to_owned());
        cgroup_limit(groups, &read)
    }

    #[test]
    fn the_tightest_limit_on_the_way_up_counts() {
        let files = [
            ("/sys/fs/cgroup/pods/pod1/memory.max", "max\n"),
            ("/sys/fs/cgroup/pods/memory.max", "1073741824\n"),
            ("/sys/fs/cgroup/memory.max", "4294967296\n"),
            ("/sys/fs/cgroup/other/memory.max", "1\n"),
        ];
        assert_eq!(limit("0::/pods/pod1\n", &files), Some(1 << 30));
        assert_eq!(limit("0::/\n", &files), Some(4 << 30));
        assert_eq!(limit("0::/gone/away\n", &files), Some(4 << 30));
        assert_eq!(limit("", &files), None);
    }

    #[test]
    fn version_one_is_read_and_no_limit_is_none() {
        let groups = "5:cpu,cpuacct:/x\n4:memory:/docker/abc\n0::/init.scope\n";
        let file = "/sys/fs/cgroup/memory/memory.limit_in_bytes";
        assert_eq!(limit(groups, &[(file, "536870912\n")]), Some(512 << 20));
        assert_eq!(limit(groups, &[(file, "9223372036854771712\n")]), None);
    }

    #[test]
    fn pages_of_files_are_not_in_use() {
        let files = [
            ("/sys/fs/cgroup/pod/memory.current", "1000\n"),
            ("/sys/fs/cgroup/pod/memory.stat", "file 900\nshmem 300\ninactive_file 200\nactive_file 100\n"),
            ("/sys/fs/cgroup/memory/memory.usage_in_bytes", "500\n"),
            ("/sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 40\ntotal_active_file 50\n"),
        ];
        let read =
            |path: &Path| files.iter().find(|(name, _)| Path::new(name) == path).map(|(_, text)| (*text).to_owned());
        let used = |groups| MemoryGroup::all(groups).iter().map(|group| group.used(&read)).collect::<Vec<_>>();
        assert_eq!(used("0::/pod\n"), [Some(700), None]);
        assert_eq!(used("4:memory:/\n"), [Some(410)]);
    }

    #[test]
    fn shares_are_a_quarter_and_an_eighth_where_there_is_enough() {
        let shares = |allowed| {
            let shares = MemoryShares::of(allowed, None, None);
            (shares.buffers, shares.names)
        };
        assert_eq!(shares(8 << 30), (2 << 30, 1 << 30));
        assert_eq!(shares(1 << 30), (256 << 20, 256 << 20));
        assert_eq!(
            shares(300 << 20),
            (75 << 20, ((300 << 20) - 56_098_816 - (75 << 20)) / 4 * 3),
            "less than a million files"
        );
        assert_eq!(shares(200 << 20), (64 << 20, ((200 << 20) - (41 << 20) - (64 << 20)) / 4 * 3));
        assert_eq!(shares(64 << 20), (20 << 20, 15 << 20), "smaller, not dead");
        assert_eq!(shares(0), (LEAST_SHARE, LEAST_SHARE));
    }

    #[test]
    fn what_is_set_by_hand_leaves_less_to_the_other() {
        let of = |buffers, names| MemoryShares::of(512 << 20, buffers, names);
        assert_eq!(of(Some(400 << 20), None).names, ((512 - 80 - 400) << 20) / 4 * 3);
        assert_eq!(of(None, Some(400 << 20)).buffers, (512 - 80 - 400) << 20);
        assert_eq!((of(Some(1 << 40), None).names, of(None, Some(1 << 40)).buffers), (LEAST_SHARE, LEAST_SHARE));
        let both = of(Some(3), Some(4));
        assert_eq!((both.buffers, both.names), (3, 4), "as told");
    }

    #[test]
    fn all_parts_together_fit() {
        for mib in (40..4096).chain([1 << 14, 1 << 20]) {
            let MemoryShares { allowed, reserved, buffers, names } = MemoryShares::of(mib << 20, None, None);
            assert!(reserved + buffers + names <= allowed, "{mib} MiB: {reserved} + {buffers} + {names}");
            assert!(buffers >= LEAST_SHARE && names >= LEAST_SHARE, "{mib} MiB");
        }
    }

    #[test]
    fn rows_of_meminfo() {
        assert_eq!(meminfo("MemTotal:       24689764 kB\nMemFree: 1 kB\n", "MemTotal"), Some(24689764 << 10));
        assert_eq!(meminfo("nothing", "MemTotal"), None);
    }

    #[test]
    fn this_machine_has_some() {
        assert!(Machine::look().memory > 64 << 20);
    }
}
