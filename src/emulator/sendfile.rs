//! Stretches of files on their way out, sent by the kernel from its page cache without passing through this process.
//!
//! The HTTP layer queues the bytes of a body and writes them as lists of slices; it never looks at them. For a stretch
//! of a file, [`Outgoing::promise`] gives it a stand-in: as many bytes of one static buffer, which say nothing. The
//! socket finds the stand-ins in a list ([`leading`]) and sends the file's bytes in their place, in the order in which
//! they were promised. This holds because bodies have a length: nothing is framed, and nothing is copied on the way.
//!
//! What is left to others: `content` opens files and says which stretches lie in one; `body` decides when a stretch may
//! go; `server` owns the socket.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::sync::LazyLock;

use bytes::Bytes;

use super::content::FileSlice;

/// Shorter stretches are read and go out with the headers in one call, which costs less than a call of their own.
pub(super) const SHORTEST: u64 = 64 << 10;
/// The longest stretch that is promised at once.
pub(super) const LONGEST: usize = 512 << 10;

/// Made when it is first used: in the program's file it would be as large as a twentieth of all code.
static STAND_IN: LazyLock<Box<[u8]>> = LazyLock::new(|| vec![0; LONGEST].into());

/// The stretches that were promised on a connection and have not gone yet, first to last.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    stretches: VecDeque<FileSlice>,
}

/// What a list of slices begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Leading {
    /// This many slices of real bytes, and whether a stand-in follows.
    Bytes { slices: usize, is_followed: bool },
    /// A stand-in of this many bytes.
    StandIn(usize),
}

impl Outgoing {
    /// Takes a stretch of at most [`LONGEST`] bytes to be sent, and gives the bytes to queue for it.
    pub(super) fn promise(&mut self, stretch: FileSlice) -> Bytes {
        let len = stretch.len() as usize;
        self.stretches.push_back(stretch);
        Bytes::from_static(&STAND_IN[..len])
    }

    /// Sends up to `most` bytes of the first stretch that has not gone.
    pub(super) fn send(&mut self, socket: impl AsFd, most: usize) -> io::Result<usize> {
        let stretch = self.stretches.front_mut().ok_or_else(|| io::Error::other("nothing was promised"))?;
        let sent = stretch.send(socket, most)?;
        if stretch.len() == 0 {
            self.stretches.pop_front();
        }
        Ok(sent)
    }
}

/// What a list of slices, none of them empty, begins with.
pub(super) fn leading(slices: &[IoSlice<'_>]) -> Leading {
    let real = slices.iter().position(|slice| is_stand_in(slice)).unwrap_or(slices.len());
    match slices.first() {
        Some(first) if real == 0 => Leading::StandIn(first.len()),
        _ => Leading::Bytes { slices: real, is_followed: real < slices.len() },
    }
}

fn is_stand_in(slice: &[u8]) -> bool {
    !slice.is_empty() && STAND_IN.as_ptr_range().contains(&slice.as_ptr())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, Write};

    use super::*;
    use crate::emulator::content::Content;

    #[test]
    fn stand_ins_are_told_from_bytes_and_replaced_in_order() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let bytes: Vec<u8> = (0..200_000_u32).map(|i| (i / 7) as u8).collect();
        file.write_all(&bytes).unwrap();
        let (file, path) = file.into_parts();
        let content = Content::temporary(file, path, bytes.len() as u64);
        let mut outgoing = Outgoing::default();
        let first = outgoing.promise(content.stretch(0, 150_000).unwrap());
        let second = outgoing.promise(content.stretch(150_000, u64::MAX).unwrap());
        assert_eq!((first.len(), second.len()), (150_000, 50_000));
        let list = [&b"head"[..], &first, &second, b"end"].map(IoSlice::new);
        assert_eq!(leading(&list), Leading::Bytes { slices: 1, is_followed: true });
        assert_eq!(leading(&list[1..]), Leading::StandIn(150_000));
        assert_eq!(leading(&list[3..]), Leading::Bytes { slices: 1, is_followed: false });
        // A part of a stand-in, as it is left after a short write, is one too.
        assert_eq!(leading(&[IoSlice::new(&first[149_999..])]), Leading::StandIn(1));

        let mut out = tempfile::tempfile().unwrap();
        let mut left = bytes.len();
        while left > 0 {
            let sent = outgoing.send(&out, 40_000).unwrap();
            assert!((1..=40_000).contains(&sent), "{sent}");
            left -= sent;
        }
        assert!(outgoing.send(&out, 1).is_err(), "nothing is left");
        let mut sent = Vec::new();
        out.rewind().unwrap();
        out.read_to_end(&mut sent).unwrap();
        assert!(sent == bytes);
    }
}
