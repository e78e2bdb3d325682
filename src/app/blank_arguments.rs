//! Passwords on the command line, where every user of the machine can read them: found, and blanked once they were
//! read.
//!
//! A URL may carry a user and a password (`proxy`). The caller is told the other ways; what can still be
//! hidden, is.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

/// What stands in place of each byte of a user and password.
const BLANK: u8 = b'*';

/// Which fields of `/proc/self/stat` say where the arguments lie in memory, counted from the one after the name.
const ARGUMENTS: (usize, usize) = (45, 46);

/// Blanks the users and passwords in this process's own arguments. Says what the caller should know, where there
/// were any.
pub(super) fn blank(args: &[OsString]) -> Option<String> {
    let args: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
    let found = secrets(&args);
    if found.is_empty() {
        return None;
    }
    let outcome = match blank_in_memory(&args, &found) {
        Ok(()) => "until now".to_owned(),
        Err(error) => format!("and still can, because it cannot be blanked: {error}"),
    };
    Some(format!(
        "a password was given on the command line, where every user of this machine could read it {outcome}; set it in \
         a configuration file of mode 600, or in the environment (as in OSSMOUNT_PROXY)"
    ))
}

/// A stretch of one of the arguments.
type Place = (usize, Range<usize>);

/// Where users with passwords stand.
fn secrets(args: &[&[u8]]) -> Vec<Place> {
    let mut found = Vec::new();
    for (index, arg) in args.iter().enumerate() {
        let flag = index.checked_sub(1).map_or(&b""[..], |before| args[before]);
        for (item, range) in items(arg).into_iter().enumerate() {
            let value = &arg[range.clone()];
            let named = option_name(value);
            let after_flag = if item == 0 { flag } else { b"" };
            let is_proxy = is_proxy(named.as_ref().map_or(after_flag, |(name, _)| name));
            let start = named.map_or(0, |(_, at)| at);
            if let Some(user) = user_in(&value[start..], is_proxy) {
                found.push((index, range.start + start + user.start..range.start + start + user.end));
            }
        }
    }
    found
}

/// The parts of a list of options: what commas separate, unless a backslash stands in front.
fn items(arg: &[u8]) -> Vec<Range<usize>> {
    let is_end = |at: usize| arg[at] == b',' && (at == 0 || arg[at - 1] != b'\\');
    let ends = (0..arg.len()).filter(|&at| is_end(at)).chain([arg.len()]);
    let mut start = 0;
    let cut = ends.map(|end| std::mem::replace(&mut start, end + 1)..end);
    cut.collect()
}

/// The option that a text gives a value, and where that begins.
fn option_name(text: &[u8]) -> Option<(&[u8], usize)> {
    let at = text.iter().position(|&byte| byte == b'=')?;
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
    text[..at].iter().all(is_name).then_some((&text[..at], at + 1))
}

fn is_proxy(name: &[u8]) -> bool {
    let name = name.strip_prefix(b"-o").unwrap_or(name);
    name.strip_prefix(b"--").unwrap_or(name) == b"proxy"
}

/// The user and password in a URL. A proxy needs no scheme, and its password may hold what ends a host elsewhere.
fn user_in(url: &[u8], is_proxy: bool) -> Option<Range<usize>> {
    let scheme = url.windows(3).position(|window| window == b"://").map(|at| at + 3);
    let start = scheme.or_else(|| is_proxy.then_some(0))?;
    let rest = &url[start..];
    let authority = match is_proxy {
        true => rest,
        false => rest.split(|byte| b"/?#".contains(byte)).next().unwrap_or_default(),
    };
    let end = authority.iter().rposition(|&byte| byte == b'@')?;
    authority[..end].contains(&b':').then_some(start..start + end)
}

/// Writes over the arguments that the kernel shows, after a look whether they are the ones that were given.
fn blank_in_memory(args: &[&[u8]], found: &[Place]) -> io::Result<()> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (start, end) =
        arguments_at(&stat).ok_or_else(|| io::Error::other("the kernel does not report where they are"))?;
    let memory = File::options().read(true).write(true).open("/proc/self/mem")?;
    let mut at = start;
    for (index, arg) in args.iter().enumerate() {
        let mut held = vec![0; arg.len()];
        if at + arg.len() as u64 > end || memory.read_exact_at(&mut held, at).is_err() || held != *arg {
            return Err(io::Error::other("the kernel shows other arguments"));
        }
        for (_, range) in found.iter().filter(|(place, _)| *place == index) {
            memory.write_all_at(&vec![BLANK; range.len()], at + range.start as u64)?;
        }
        // Each ends in a NUL.
        at += arg.len() as u64 + 1;
    }
    Ok(())
}

fn arguments_at(stat: &str) -> Option<(u64, u64)> {
    // A name can hold blanks and brackets.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |at: usize| fields.get(at)?.parse().ok();
    Some((field(ARGUMENTS.0)?, field(ARGUMENTS.1)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The arguments with what would be blanked blanked.
    fn blanked(args: &[&str]) -> Vec<String> {
        let bytes: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
        let mut shown: Vec<Vec<u8>> = bytes.iter().map(|arg| arg.to_vec()).collect();
        for (index, range) in secrets(&bytes) {
            shown[index][range].fill(BLANK);
        }
        shown.into_iter().map(|arg| String::from_utf8(arg).unwrap()).collect()
    }

    #[test]
    fn users_with_passwords_are_found_in_every_place() {
        for (args, expected) in [
            (&["--proxy", "http://u:p@h:1"][..], &["--proxy", "http://***@h:1"][..]),
            (&["--proxy=u:p@h:1"], &["--proxy=***@h:1"]),
            (&["--proxy", "u:p@/x@h"], &["--proxy", "******@h"]),
            (&["-o", "ro,proxy=http://u:a\\,b@h,uid=1"], &["-o", "ro,proxy=http://******@h,uid=1"]),
            (&["-oproxy=u:p@h,ro"], &["-oproxy=***@h,ro"]),
            (&["--endpoint", "https://u:p@h/x"], &["--endpoint", "https://***@h/x"]),
            (&["-o", "credentials_uri=http://u:p@h/k?a=b@c"], &["-o", "credentials_uri=http://***@h/k?a=b@c"]),
            (&["oss://id:secret@b/x"], &["oss://*********@b/x"]),
        ] {
            assert_eq!(blanked(args), expected);
        }
        for args in [
            &["--proxy", "http://h:1"][..],
            &["--proxy", "http://user@h:1"],
            &["oss://b/a:b@c"],
            &["oss://b/x://a:b@c", "/mnt"],
            &["--log-file", "u:p@h"],
            &["--region=r", "u:p@h", ""],
        ] {
            assert_eq!(blanked(args), args);
        }
    }

    #[test]
    fn the_place_of_the_arguments_is_read_past_any_name() {
        let fields: Vec<String> = (3..53).map(|number| number.to_string()).collect();
        let stat = format!("1 (a) b) {}", fields.join(" "));
        assert_eq!(arguments_at(&stat), Some((48, 49)));
        assert_eq!(arguments_at("1 (a) 1 2"), None);
    }
}
