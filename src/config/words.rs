//! The words after `-o`: options of the table, and mount(8)'s own.

use super::foreign::{self, Spelling};
use super::problem::{Problem, Result};
use super::raw::{Origin, Raw};
use super::suggest;
use super::table::{Row, TABLE};
use super::value::Kind;

/// Who wrote the words. mount(8) and mount.fuse put `rw` in front of every list that does not say `ro`, so from them
/// it means nothing; from a person it asks for what cannot be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Caller {
    /// A person, by `ossmount mount`.
    Person,
    /// mount(8), directly or by way of mount.fuse.
    MountProgram,
    /// mount(8) with `-s`: words that are not known are passed over.
    SloppyMountProgram,
}

/// What mount(8)'s words asked for besides the options of the table.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Words {
    /// No programs may be run from the mount.
    pub noexec: bool,
}

/// Words that mount(8) knows and that change nothing here: the mount is read-only, holds no devices and no set-uid
/// files, and its times never move.
const ACCEPTED: &[&str] = &[
    "_netdev",
    "async",
    "atime",
    "auto",
    "auto_unmount",
    "default_permissions",
    "defaults",
    "dev",
    "diratime",
    "dirsync",
    "exec",
    "group",
    "iversion",
    "lazytime",
    "mand",
    "noatime",
    "noauto",
    "nodev",
    "nodiratime",
    "nodirsync",
    "nofail",
    "nogroup",
    "noiversion",
    "nolazytime",
    "nomand",
    "noowner",
    "norelatime",
    "nostrictatime",
    "nosuid",
    "nosymfollow",
    "nouser",
    "nousers",
    "owner",
    "relatime",
    "ro",
    "silent",
    "loud",
    "strictatime",
    "suid",
    "symfollow",
    "sync",
    "user",
    "users",
];

/// The same with a value or a free end.
const ACCEPTED_PREFIXES: &[&str] =
    &["context=", "fscontext=", "defcontext=", "rootcontext=", "x-", "X-", "comment=", "user=", "subtype=", "fsname="];

impl Words {
    /// Takes a list `a,b=c`. A comma or backslash within a value is written `\,` or `\\`; `allow_other` and
    /// `allow-other` are one word.
    pub fn read(&mut self, list: &str, raw: &mut Raw, caller: Caller) -> Result<()> {
        split(list).iter().try_for_each(|word| self.read_word(word, raw, caller))
    }

    fn read_word(&mut self, word: &str, raw: &mut Raw, caller: Caller) -> Result<()> {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let plain = name.replace('_', "-");
        if let Some(row) = TABLE.iter().find(|row| row.name == plain) {
            return raw.set(row.key, value_of(row, value)?, Origin::Word);
        }
        match word {
            "" => Ok(()),
            "noexec" => {
                self.noexec = true;
                Ok(())
            }
            "exec" => {
                self.noexec = false;
                Ok(())
            }
            "rw" if caller == Caller::Person => {
                Err(Problem::usage("-o rw: buckets are mounted read-only; remove rw, or use ro"))
            }
            "rw" => Ok(()),
            "remount" => {
                Err(Problem::usage("-o remount: options of a live mount cannot be changed; unmount and mount again"))
            }
            _ if ACCEPTED.contains(&word) => Ok(()),
            _ if ACCEPTED_PREFIXES.iter().any(|prefix| word.starts_with(prefix)) => Ok(()),
            _ if caller == Caller::SloppyMountProgram => Ok(()),
            _ => {
                let answer = foreign::answer(name, Spelling::Names);
                if !answer.is_empty() {
                    return Err(Problem::usage(format!("-o {name}{answer}")));
                }
                let known = TABLE.iter().map(|row| row.name).chain(ACCEPTED.iter().copied());
                let hint = suggest::hint(&plain, known);
                let hint = if hint.is_empty() { "; see ossmount mount --help".to_owned() } else { hint };
                Err(Problem::usage(format!("-o: unknown option {name:?}{hint}")))
            }
        }
    }
}

fn value_of(row: &Row, value: Option<&str>) -> Result<String> {
    match (value, row.kind) {
        (Some(value), _) => Ok(value.to_owned()),
        (None, Kind::Switch) => Ok("on".to_owned()),
        (None, kind) => {
            Err(Problem::usage(format!("-o {0}: a value is missing; write {0}={1}", row.name, kind.placeholder())))
        }
    }
}

fn split(list: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut chars = list.chars();
    while let Some(c) = chars.next() {
        let word = words.last_mut();
        match (c, word) {
            (',', _) => words.push(String::new()),
            ('\\', Some(word)) => word.push(chars.next().unwrap_or('\\')),
            (c, Some(word)) => word.push(c),
            (_, None) => {}
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Name;

    fn read(list: &str, caller: Caller) -> Result<(Raw, Words)> {
        let (mut raw, mut words) = (Raw::default(), Words::default());
        words.read(list, &mut raw, caller)?;
        Ok((raw, words))
    }

    #[test]
    fn options_and_mount_words_mix() {
        let list = "rw,noexec,nosuid,nodev,region=cn-hangzhou,allow_other,_netdev,nofail,user,x-systemd.automount,\
                    x-systemd.idle-timeout=1min,memory-limit=2GiB,log-file=/tmp/a\\,b";
        let (raw, words) = read(list, Caller::MountProgram).unwrap();
        assert_eq!(raw.text(Name::Region), Some("cn-hangzhou"));
        assert_eq!(raw.text(Name::AllowOther), Some("on"));
        assert_eq!(raw.text(Name::MemoryLimit), Some("2GiB"));
        assert_eq!(raw.text(Name::LogFile), Some("/tmp/a,b"));
        assert!(words.noexec);
        assert!(read("defaults,noauto,relatime,ro", Caller::Person).is_ok());
    }

    #[test]
    fn writing_is_refused_to_people_and_meaningless_from_mount() {
        let problem = read("rw", Caller::Person).unwrap_err();
        assert!(problem.sentence.contains("read-only"), "{problem}");
        assert!(read("rw,dev,suid", Caller::MountProgram).is_ok());
        assert!(read("remount,ro", Caller::MountProgram).unwrap_err().sentence.contains("mount again"));
    }

    #[test]
    fn mistakes_are_named() {
        for (list, says) in [
            ("regoin=x", "did you mean \"region\"?"),
            ("region", "write region=REGION"),
            ("zzz", "unknown option \"zzz\"; see"),
            (
                "allow_delete",
                "-o allow_delete is an option of Mountpoint; ossmount has nothing like it: it is about writing",
            ),
            ("max_read=131072", "-o max_read is an option of libfuse; leave it out: the daemon agrees on it"),
            ("hard,timeo=600", "-o hard is an option of other file systems; leave it out: failures are retried"),
            ("umask=022", "; write file-mode and dir-mode: the modes themselves"),
            ("password=secret", "-o password is an option of other file systems; write the keys into"),
            ("nocopy", "; write copy=off"),
            ("uid=root", "-o uid: "),
            ("allow-other=perhaps", "on nor off"),
        ] {
            let problem = read(list, Caller::MountProgram).unwrap_err();
            assert!(problem.sentence.contains(says), "{list}: {problem}");
            assert_eq!(problem.code(), 2);
        }
        assert!(read("zzz,region=x", Caller::SloppyMountProgram).is_ok());
        assert!(read("uid=root", Caller::SloppyMountProgram).is_err());
    }
}
