//! The ioctl by which any file or directory of a mount takes control requests, also of a mount that is read-only; and
//! the extended attributes that do so on a mount that the kernel was not told to be read-only.

use fuser::ReplyIoctl;

use crate::fs::Answered;

/// Bytes that go in and out: JSON, filled up with NULs.
pub const IOCTL_BYTES: usize = 8192;

/// `_IOWR(0xF5, 1, char[8192])`: the answer takes the place of the request.
pub const IOCTL: u32 = 0b11 << 30 | (IOCTL_BYTES as u32) << 16 | 0xF5 << 8 | 1;

/// Set to a request where the mount takes them so.
pub(super) const CALL: &[u8] = b"user.ossmount.call";

/// The answer to that.
pub(super) const RESULT: &[u8] = b"user.ossmount.result";

/// The longest answer: a NUL must follow, for those who take it for a text of C.
const MOST_BYTES: usize = IOCTL_BYTES - 1;

/// Answers. The kernel hands the bytes out also where the call fails, so that the sentence comes with the number.
pub(super) fn reply(reply: ReplyIoctl, answered: Answered, socket: Option<&str>) {
    let Answered { error, json } = answered.within(MOST_BYTES, socket);
    let mut bytes = json.into_bytes();
    bytes.resize(IOCTL_BYTES, 0);
    reply.ioctl(error.map_or(0, |errno| -errno.0), &bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_the_one_that_is_documented() {
        assert_eq!(IOCTL, 0xE000_F501);
    }
}
